"""Tips and filaments of waves that turn about given points, in closed form; on any ranks, through a restart."""

from __future__ import annotations

import numpy as np
import pytest
from dolfinx import mesh
from mpi4py import MPI

from given_fields import Given
from homfem.macro.march import march
from homfem.macro.tips import Tips
from homfem.output.checkpoint import CheckpointFile
from homfem.parameters import InputError
from homfem.timestepping import TimeGrid

OMEGA = 2.5  # more than a turn in the run, less than half of one between two times


def turning(points, turns, level=0.0):
    """V = Re of the product over the points of (z - c), conjugate where it turns clockwise, turned by the time."""

    def formula(x, t):
        product = np.exp(-1j * OMEGA * t) * np.ones(x.shape[1], dtype=complex)
        for (a, b), turn in zip(points, turns, strict=True):
            z = (x[0] - a) + 1j * (x[1] - b)
            product *= z if turn > 0 else np.conj(z)
        return product.real + level

    return formula


def case_tips(comm, path=None, end=3.0, resume=False, points=((0.43, 0.57),), turns=(1,), d=2, n=10):
    shape = [[0] * d, [1] * d]
    made = mesh.create_rectangle(comm, shape, [n] * 2) if d == 2 else mesh.create_box(comm, shape, [n] * 3)
    model = Given(made, turning(points, turns, level=-30.0), step=0.25)
    tips = Tips("V", -30.0, every=2, path=path)
    march(
        model, TimeGrid(end=end, step=0.25), observers=[tips], resume=resume,
        checkpoint=None if path is None else CheckpointFile(path),
    )  # fmt: skip
    return {"found": tips.found.tolist(), "rows": tips.rows.tolist(), "times": tips.times.tolist()}


@pytest.mark.mpi
@pytest.mark.parametrize("turn", [1, -1])
def test_a_wave_that_turns_about_a_point_has_its_tip_there(on_ranks, turn):
    """V is linear in space: exact."""
    for answer in on_ranks(case_tips, turns=(turn,)):
        found = np.array(answer["found"])
        assert answer["times"] == [0.5 * k for k in range(7)]
        assert found[:, 0] == pytest.approx([0.5 * k for k in range(1, 7)])
        assert found[:, 1:3] == pytest.approx(np.tile([0.43, 0.57], (6, 1)), abs=1e-12)
        assert np.all(found[:, 3] == turn)
        assert answer["rows"] == [[0.0, 0.0]] + [[1.0, turn]] * 6


@pytest.mark.mpi
def test_a_pair_that_turns_against_each_other(on_ranks):
    """Second order in the size of elements."""
    points, errors = ((0.31, 0.52), (0.72, 0.47)), []
    for n in (10, 20):
        for answer in on_ranks(case_tips, points=points, turns=(1, -1), n=n, end=1.0):
            found = np.array(answer["found"])
            assert answer["rows"][1:] == [[2.0, 0.0]] * 2
            assert found[:2, 3].tolist() == [1.0, -1.0]
        errors.append(np.abs(found[:, 1:3] - np.tile(points, (2, 1))).max())
    assert errors[1] < 4e-3
    assert errors[0] / errors[1] > 2.0


@pytest.mark.mpi
def test_a_scroll_wave_has_a_straight_filament(on_ranks):
    for answer in on_ranks(case_tips, d=3, n=4, end=1.0):
        found = np.array(answer["found"])
        assert np.array(answer["rows"])[1:, 1] == pytest.approx([1.0] * 2, rel=1e-12)
        assert found[:, 1:3] == pytest.approx(np.tile([0.43, 0.57], (len(found), 1)), abs=1e-12)
        assert found[:, 4].min() > 0.0
        assert found[found[:, 0] == 0.5][:, 3].max() < 1.0


def test_plane_waves_have_no_tips():
    made = mesh.create_unit_square(MPI.COMM_SELF, 12, 12)
    for wave in (
        lambda x, t: np.cos(9.0 * x[0] - 2.0 * t),
        lambda x, t: np.tanh(20.0 * (x[0] + 0.3 * x[1] - 0.2 * t)),
        lambda x, t: np.full(x.shape[1], -80.0),
    ):
        tips = Tips("V", 0.1, every=1)
        march(Given(made, wave, step=0.25), TimeGrid(end=2.0, step=0.25), observers=[tips])
        assert not tips.rows.any()
        assert tips.found.shape == (0, 4)


@pytest.mark.mpi
def test_tips_go_on_after_a_restart(on_ranks, tmp_path):
    """Stopped between two times."""
    on_ranks(case_tips, ranks=(2,), path=str(tmp_path / "run"), end=1.25)
    again = on_ranks(case_tips, ranks=(1,), path=str(tmp_path / "run"), resume=True)[0]
    whole = case_tips(MPI.COMM_SELF)
    assert np.array(again["found"]) == pytest.approx(np.array(whole["found"]), abs=1e-12)
    assert again["rows"] == whole["rows"]
    import h5py

    with h5py.File(tmp_path / "run.h5") as file:
        assert file["found/x"][:] == pytest.approx([0.43] * 6)
        assert file["found/time"].attrs["unit"] == "ms"
        assert file["tips"][:].tolist() == [0.0] + [1.0] * 6
    lines = (tmp_path / "run.csv").read_text().splitlines()
    assert lines[0] == "time (ms),tips,turns"
    assert len(lines) == 8


def test_bad_fields_are_refused():
    line = mesh.create_interval(MPI.COMM_SELF, 3, [0.0, 1.0])
    square = mesh.create_unit_square(MPI.COMM_SELF, 2, 2)
    quads = mesh.create_unit_square(MPI.COMM_SELF, 2, 2, mesh.CellType.quadrilateral)
    grid = TimeGrid(end=1.0, step=1.0)
    for model in (
        Given(line, turning((), ()), step=1.0), Given(square, turning((), ()), step=1.0, degree=2),
        Given(quads, turning((), ()), step=1.0),
    ):  # fmt: skip
        with pytest.raises(InputError, match="degree 1 on triangles or tetrahedra"):
            march(model, grid, observers=[Tips("V", 0.0, every=1)])
    with pytest.raises(InputError, match="every = 0"):
        Tips("V", 0.0, every=0)
    with pytest.raises(InputError, match="level"):
        Tips("V", np.nan, every=1)
