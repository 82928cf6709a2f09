"""Checkpoints: exact round trip on any number of ranks; truncated, foreign and missing files refused."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pytest
from dolfinx import fem, mesh
from mpi4py import MPI

from homfem.output.checkpoint import CheckpointFile
from homfem.parameters import CheckpointError, InputError


def _wave(x):
    """A function of the nodes' numbers along each axis: its values do not depend on the rounding of coordinates."""
    i, j, k = np.rint(3 * x[0]), np.rint(x[1] * 1.5), np.rint(x[2])
    return np.sin(i) + 0.1 * j + np.exp(-k)


def _box(comm, cells=3):
    return mesh.create_box(comm, [[0, 0, 0], [1, 2, 3]], [cells, cells, cells])


def _field(space, formula=_wave):
    function = fem.Function(space)
    function.interpolate(formula)
    return function


def case_write(comm, path):
    space = fem.functionspace(_box(comm), ("Lagrange", 1))
    values = {"a": _field(space).x.array, "b": _field(space, lambda x: _wave(x) - 0.3).x.array}
    CheckpointFile(path).write(space, values, state={"time": 0.1, "list": [1, 2.5]}, problem={"name": "p", "k": [1.0]})
    return {}


def case_read(comm, path):
    space = fem.functionspace(_box(comm), ("Lagrange", 1))
    values, state = CheckpointFile(path).read(space, {"name": "p", "k": [1.0 + 1e-12]})
    owned = space.dofmap.index_map.size_local
    a, b = _field(space).x.array[:owned], _field(space, lambda x: _wave(x) - 0.3).x.array[:owned]
    equal = np.array_equal(values["a"], a) and np.array_equal(values["b"], b)
    return {"equal": comm.allreduce(bool(equal), op=MPI.LAND), "state": state}


def case_refused_everywhere(comm, path):
    """Every rank raises, with the same text."""
    space = fem.functionspace(_box(comm), ("Lagrange", 1))
    try:
        CheckpointFile(path).read(space)
    except CheckpointError as error:
        text = str(error)
    else:
        text = ""
    return {"texts": comm.allgather(text)}


@pytest.mark.mpi
@pytest.mark.parametrize("ranks", [1, 2, 3])
def test_round_trip_between_numbers_of_ranks_is_exact(on_ranks, tmp_path, ranks):
    path = str(tmp_path / "a.ckpt")
    on_ranks(case_write, ranks=(ranks,), path=path)
    for answer in on_ranks(case_read, ranks=(1, 2, 3), path=path):
        assert answer == {"equal": True, "state": {"time": 0.1, "list": [1, 2.5]}}


@pytest.mark.mpi
def test_truncated_file_is_refused_on_every_rank(on_ranks, tmp_path):
    path = tmp_path / "a.ckpt"
    case_write(MPI.COMM_SELF, str(path))
    path.write_bytes(path.read_bytes()[:-40])
    texts = on_ranks(case_refused_everywhere, ranks=(2,), path=str(path))[0]["texts"]
    assert len(texts) == 2
    assert texts[0] == texts[1]
    assert "truncated" in texts[0]


@pytest.fixture
def written(tmp_path):
    path = tmp_path / "a.ckpt"
    case_write(MPI.COMM_SELF, str(path))
    return path


def _read(path: Path, cells: int = 3, problem=None, formula=None):
    domain = _box(MPI.COMM_SELF, cells)
    if formula is not None:
        domain.geometry.x[:] = formula(domain.geometry.x)
    return CheckpointFile(path).read(fem.functionspace(domain, ("Lagrange", 1)), problem)


@pytest.mark.parametrize("keep", [0, 1, 100, 0.5, 0.99, -1])
def test_truncated_file_is_refused(written, keep):
    whole = written.read_bytes()
    written.write_bytes(whole[: int(keep * len(whole)) if isinstance(keep, float) else keep])
    with pytest.raises(CheckpointError, match="truncated"):
        _read(written)


def test_flipped_byte_is_refused(written):
    whole = bytearray(written.read_bytes())
    whole[len(whole) // 2] ^= 1
    written.write_bytes(whole)
    with pytest.raises(CheckpointError, match="damaged"):
        _read(written)


def test_foreign_files_are_refused(written):
    for write in (
        lambda path: path.write_text("hello"),
        lambda path: np.save(path.open("wb"), np.arange(4)),
        lambda path: np.savez(path.open("wb"), x=np.arange(4)),
    ):
        write(written)
        with pytest.raises(CheckpointError, match="another kind"):
            _read(written)


def test_another_format_is_refused(written):
    with np.load(written) as archive:
        arrays = dict(archive)
    header = json.loads(arrays["header"].tobytes()) | {"format": "homfem checkpoint 99"}
    arrays["header"] = np.frombuffer(json.dumps(header).encode(), dtype=np.uint8)
    with written.open("wb") as file:
        np.savez(file, **arrays)
    with pytest.raises(CheckpointError, match="format"):
        _read(written)


def test_missing_file_is_refused(tmp_path):
    assert not CheckpointFile(tmp_path / "none").exists(MPI.COMM_SELF)
    with pytest.raises(CheckpointError, match="exists"):
        _read(tmp_path / "none")


def test_another_mesh_is_refused(written):
    with pytest.raises(CheckpointError, match="64 nodes"):
        _read(written, cells=2)
    with pytest.raises(CheckpointError, match="64 nodes"):  # all else that differs follows from it
        _read(written, cells=2, problem={})
    with pytest.raises(CheckpointError, match="its nodes are others"):
        _read(written, formula=lambda x: x * 1.001)
    with pytest.raises(CheckpointError, match="its nodes are others"):
        _read(written, formula=lambda x: x[::-1])


def test_another_problem_is_refused_by_name(written):
    with pytest.raises(CheckpointError, match=r"differ: k\."):
        _read(written, problem={"name": "p", "k": [1.1]})
    with pytest.raises(CheckpointError, match="differ: extra, name"):
        _read(written, problem={"name": "q", "k": [1.0], "extra": 1})
    with pytest.raises(
        CheckpointError, match=r"extra: nothing in .*, none here; k: \[1\] in .*, \[1, 2\] here; name: p in"
    ):
        _read(written, problem={"name": "q", "k": [1.0, 2.0], "extra": None})


@pytest.mark.parametrize(
    ("stored", "wanted", "same"),
    [
        (1e-13, 2e-13, False),  # small numbers are compared as closely as others
        (0.0, 1e-300, False),
        (1.0, 1.0 + 5e-11, False),
        ({"about": 1.0}, {"about": 1.0 + 5e-11}, True),
        ({"about": 1.0}, {"about": 1.0 + 5e-10}, False),
        ({"about": 1.0}, 1.0, False),
        ({"about": [[19.0, 1e-16], [-3e-17, 19.0]]}, {"about": [[19.0, -2e-16], [0.0, 19.0]]}, True),
        ([1.0, 1e-9], [1.0, 2e-9], False),
        ([[1.0, 2.0]], [1.0, 2.0], False),
        ([], [], True),
        (None, 0.0, False),
        (True, "True", False),
        ({"a": {"b": None}}, {"a": {}}, False),
        ({"a": ["x", 1.0]}, {"a": ["x", 1.0]}, True),
    ],
)
def test_numbers_are_compared_to_round_off(tmp_path, stored, wanted, same):
    space = fem.functionspace(mesh.create_unit_interval(MPI.COMM_SELF, 2), ("Lagrange", 1))
    file = CheckpointFile(tmp_path / "a")
    file.write(space, {}, state={}, problem={"k": stored})
    if same:
        file.read(space, {"k": wanted})
        return
    with pytest.raises(CheckpointError, match=r"differ: k"):
        file.read(space, {"k": wanted})


def test_a_checkpoint_that_was_taken_away_is_not_started_over(written):
    case_write(MPI.COMM_SELF, str(written))
    written.unlink()
    file = CheckpointFile(written)
    assert file.exists(MPI.COMM_SELF)
    with pytest.raises(CheckpointError, match=r"exists.*a\.ckpt\.previous': copy it"):
        _read(written)


def test_previous_checkpoint_is_kept_and_nothing_else(written, monkeypatch):
    space = fem.functionspace(_box(MPI.COMM_SELF), ("Lagrange", 1))
    file = CheckpointFile(written)
    # A second file of the run is at the path, or still the first, before and after whatever touches files.
    calls = []

    def watched(name, function):
        def run(*arguments, **options):
            times = [file.read(space)[1]["time"]]
            answer = function(*arguments, **options)
            calls.append((name, *times, file.read(space)[1]["time"]))
            return answer

        return run

    for place, name in ((os, "replace"), (os, "rename"), (os, "link"), (os, "unlink"), (os, "fsync"), (np, "savez")):
        monkeypatch.setattr(place, name, watched(name, getattr(place, name)))
    file.write(space, {"c": _field(space).x.array}, state={"time": 2.0}, problem={})
    assert [call for call in calls if call[1] != call[2]] == [("replace", 0.1, 2.0)]
    assert [call[0] for call in calls] == ["savez", "fsync", "link", "replace", "replace", "fsync"]
    assert file.read(space)[1] == {"time": 2.0}
    assert CheckpointFile(file.previous).read(space)[1]["time"] == 0.1
    assert sorted(path.name for path in written.parent.iterdir()) == ["a.ckpt", "a.ckpt.previous"]


def test_remedy_names_the_previous_checkpoint(written):
    case_write(MPI.COMM_SELF, str(written))
    written.write_bytes(b"")
    with pytest.raises(CheckpointError, match=r"a\.ckpt\.previous"):
        _read(written)


def test_a_file_that_cannot_be_written_leaves_nothing(tmp_path):
    with pytest.raises(CheckpointError, match="folder"):
        case_write(MPI.COMM_SELF, str(tmp_path / "missing" / "a.ckpt"))
    assert list(tmp_path.iterdir()) == []


def test_a_write_that_fails_half_way_leaves_the_old_file(written, monkeypatch):
    before = written.read_bytes()

    def full(file, **arrays):
        file.write(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(np, "savez", full)
    with pytest.raises(CheckpointError, match="No space"):
        case_write(MPI.COMM_SELF, str(written))
    assert written.read_bytes() == before
    assert [path.name for path in written.parent.iterdir()] == ["a.ckpt"]


@pytest.mark.parametrize("element", [("Lagrange", 2), ("DG", 1), ("Lagrange", 1, (3,))])
def test_other_spaces_are_refused(tmp_path, element):
    space = fem.functionspace(_box(MPI.COMM_SELF, 1), element)
    with pytest.raises(InputError, match="degree 1"):
        CheckpointFile(tmp_path / "a").write(space, {}, state={}, problem={})


def test_quadrilaterals_and_curved_cells(tmp_path):
    import basix.ufl

    square = mesh.create_unit_square(MPI.COMM_SELF, 3, 2, mesh.CellType.quadrilateral)
    points = np.array([[0, 0], [1, 0], [0, 1], [0.7, 0.7], [0, 0.5], [0.5, 0]], dtype=float)
    coordinate = basix.ufl.element("Lagrange", "triangle", 2, shape=(2,))
    from homfem._dolfinx import create_mesh

    curved = create_mesh(MPI.COMM_SELF, np.arange(6)[None, :], points, coordinate)
    for domain in (square, curved):
        space = fem.functionspace(domain, ("Lagrange", 1))
        file = CheckpointFile(tmp_path / "a")
        function = _field(space)
        file.write(space, {"f": function.x.array}, state={}, problem={})
        assert np.array_equal(file.read(space)[0]["f"], function.x.array)
        with np.load(tmp_path / "a") as archive:
            assert np.array_equal(archive["values"][0], _wave(archive["points"].T))
