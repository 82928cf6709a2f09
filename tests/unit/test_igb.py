"""IGB files read back as openCARP's tools read them: words of the header, then frames in the order of the vertices."""

from __future__ import annotations

import numpy as np
import pytest
from dolfinx import mesh
from mpi4py import MPI

from given_fields import Given
from homfem._dolfinx import create_mesh, element
from homfem.macro.march import march
from homfem.output.checkpoint import CheckpointFile
from homfem.output.igb import IgbSeries, header
from homfem.parameters import FileError, InputError
from homfem.timestepping import TimeGrid


def read_igb(path):
    """The header as words, and the numbers of shape (t, x)."""
    data = path.read_bytes()
    assert data[1022:1024] == b"\n\f"
    lines = data[:1022].decode("ascii").split("\n")
    assert max(map(len, lines)) <= 80
    words = dict(word.split(":") for word in " ".join(lines).split())
    values = np.frombuffer(data[1024:], dtype="<f4").reshape(int(words["t"]), -1)
    assert values.shape[1] == int(words["x"]) * int(words["y"]) * int(words["z"])
    return words, values


POINTS = np.array([[0.0, 0], [3, 0], [1, 1], [0, 2], [2, 2], [4, 3], [1, 4]])
CELLS = np.array([[0, 1, 2], [0, 2, 3], [1, 2, 4], [2, 3, 4], [1, 4, 5], [3, 4, 6]])


def formula(x, t):
    return x[0] + 10 * x[1] - 3 * t


def case_igb(comm, path, end=1.0, resume=False, every=2):
    cells, points = (CELLS, POINTS) if comm.rank == 0 else (CELLS[:0], POINTS[:0])
    made = create_mesh(comm, cells, points, element("Lagrange", "triangle", 1, (2,)))
    model = Given(made, formula, step=0.125)
    series = IgbSeries(f"{path}.igb", every=every)
    march(
        model, TimeGrid(end=end, step=0.125), observers=[series], checkpoint=CheckpointFile(path), resume=resume,
    )  # fmt: skip


@pytest.mark.mpi
def test_frames_are_in_the_order_of_the_input_on_any_ranks_and_after_a_restart(on_ranks, tmp_path):
    """Stopped at a time that is not written, and gone on with; stopped at one that is, and gone on with."""
    exact = [formula(POINTS.T, 0.25 * k) for k in range(5)]
    for ranks in (1, 2, 3):
        on_ranks(case_igb, ranks=(ranks,), path=str(tmp_path / "run"))
        words, values = read_igb(tmp_path / "run.igb")
        assert values == pytest.approx(np.array(exact), rel=1e-6, abs=1e-9)
        assert [words[key] for key in ("x", "t", "type", "systeme", "org_t", "dim_t")] == [
            "7", "5", "float", "little_endian", "0", "1",
        ]  # fmt: skip
        assert [words[f"unites{key}"] for key in ("_x", "_t", "")] == ["mm", "ms", "mV"]
    for end in (0.375, 0.5):
        on_ranks(case_igb, ranks=(2,), path=str(tmp_path / "part"), end=end)
        with (tmp_path / "part.igb").open("ab") as file:
            file.write(bytes(100))  # of times after the checkpoint
        on_ranks(case_igb, ranks=(1,), path=str(tmp_path / "part"), resume=True)
        again, values = read_igb(tmp_path / "part.igb")
        assert again == words
        assert values == pytest.approx(np.array(exact), rel=1e-6, abs=1e-9)


def test_bad_files_and_fields_are_refused(tmp_path):
    with pytest.raises(FileError, match=r"ends in .igb"):
        IgbSeries(tmp_path / "run.vtu")
    case_igb(MPI.COMM_SELF, tmp_path / "run", end=0.5)
    (tmp_path / "run.igb").write_bytes(b"")
    with pytest.raises(FileError, match="the file of the run that goes on"):
        case_igb(MPI.COMM_SELF, tmp_path / "run", resume=True)
    square = mesh.create_unit_square(MPI.COMM_SELF, 2, 2)
    grid = TimeGrid(end=1.0, step=1.0)
    with pytest.raises(InputError, match="field = 'U'"):
        march(Given(square, formula, step=1.0), grid, observers=[IgbSeries(tmp_path / "a.igb", "U")])
    with pytest.raises(InputError, match="degree 1"):
        march(Given(square, formula, step=1.0, degree=2), grid, observers=[IgbSeries(tmp_path / "a.igb")])
    with pytest.raises(OSError, match="No such file"):
        march(Given(square, formula, step=1.0), grid, observers=[IgbSeries(tmp_path / "no" / "a.igb")])
    with pytest.raises(InputError, match="at most 1022"):
        header({f"unites_{k}": "x" * 50 for k in range(20)})
