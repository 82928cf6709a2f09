"""Checkpoints: exact round trip on any number of ranks; truncated, foreign and missing files refused."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pytest
from dolfinx import fem, mesh
from mpi4py import MPI

from homfem.macro.state import StateField
from homfem.output.checkpoint import CheckpointFile
from homfem.parameters import CheckpointError, InputError
from homfem.solve import nodal_fingerprint


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


def _entry(function):
    return StateField(function.function_space, function.x.array)


def _spaces(comm, cells=3):
    return dict.fromkeys("ab", fem.functionspace(_box(comm, cells), ("Lagrange", 1)))


def case_write(comm, path):
    space = _spaces(comm)["a"]
    fields = {"a": _entry(_field(space)), "b": _entry(_field(space, lambda x: _wave(x) - 0.3))}
    about = {"name": "p", "k": [1.0]}
    CheckpointFile(path).write(fields, state={"time": 0.1, "list": [1, 2.5]}, problem=about)
    return {}


def case_read(comm, path):
    spaces = _spaces(comm)
    space = spaces["a"]
    values, _, state = CheckpointFile(path).read(spaces, {"name": "p", "k": [1.0 + 1e-12]})
    owned = space.dofmap.index_map.size_local
    a, b = _field(space).x.array[:owned], _field(space, lambda x: _wave(x) - 0.3).x.array[:owned]
    equal = np.array_equal(values["a"], a) and np.array_equal(values["b"], b)
    return {"equal": comm.allreduce(bool(equal), op=MPI.LAND), "state": state}


def case_refused_everywhere(comm, path):
    """Every rank raises, with the same text."""
    try:
        CheckpointFile(path).read(_spaces(comm))
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
def test_numpy_reads_the_same_arrays_from_any_ranks(on_ranks, tmp_path):
    """What its users have: numpy.load gives the values, the nodes and the header."""
    found = []
    for ranks in (1, 2, 3):
        on_ranks(case_write, ranks=(ranks,), path=str(tmp_path / f"{ranks}.ckpt"))
        with np.load(tmp_path / f"{ranks}.ckpt", allow_pickle=False) as archive:
            found.append(dict(archive))
    assert set(found[0]) == {"header", "keys 0", "points 0", "field a", "field b"}
    for name, values in found[0].items():
        assert all(np.array_equal(other[name], values) for other in found[1:]), name
    assert json.loads(found[0]["header"].tobytes())["state"] == {"time": 0.1, "list": [1, 2.5]}
    assert found[0]["field a"].shape == (64, 1)
    assert found[0]["points 0"].shape == (64, 3)
    assert np.sort(found[0]["field a"][:, 0]) == pytest.approx(np.sort(_wave(found[0]["points 0"].T)))


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
    space = fem.functionspace(domain, ("Lagrange", 1))
    return CheckpointFile(path).read(dict.fromkeys("ab", space), problem)


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
    file.write({"u": _entry(fem.Function(space))}, state={}, problem={"k": stored})
    if same:
        file.read({"u": space}, {"k": wanted})
        return
    with pytest.raises(CheckpointError, match=r"differ: k"):
        file.read({"u": space}, {"k": wanted})


def test_a_checkpoint_that_was_taken_away_is_not_started_over(written):
    case_write(MPI.COMM_SELF, str(written))
    written.unlink()
    file = CheckpointFile(written)
    assert file.exists(MPI.COMM_SELF)
    with pytest.raises(CheckpointError, match=r"exists.*a\.ckpt\.previous': copy it"):
        _read(written)


def test_previous_checkpoint_is_kept_and_nothing_else(written, monkeypatch):
    spaces = _spaces(MPI.COMM_SELF)
    file = CheckpointFile(written)

    def saved_time():
        return file.read(spaces).state["time"]

    # A second file of the run is at the path, or still the first, before and after whatever touches files.
    calls = []

    def watched(name, function):
        def run(*arguments, **options):
            times = [saved_time()]
            answer = function(*arguments, **options)
            calls.append((name, *times, saved_time()))
            return answer

        return run

    for place, name in ((os, "replace"), (os, "rename"), (os, "link"), (os, "unlink"), (os, "fsync")):
        monkeypatch.setattr(place, name, watched(name, getattr(place, name)))
    second = _entry(_field(spaces["a"]))
    file.write(dict.fromkeys("ab", second), state={"time": 2.0}, problem={})
    assert [call for call in calls if call[1] != call[2]] == [("replace", 0.1, 2.0)]
    assert [call[0] for call in calls] == ["fsync", "link", "replace", "replace", "fsync"]
    assert file.read(spaces).state == {"time": 2.0}
    assert CheckpointFile(file.previous).read(spaces).state["time"] == 0.1
    assert sorted(path.name for path in written.parent.iterdir()) == ["a.ckpt", "a.ckpt.previous"]


def test_what_takes_long_is_done_before_the_first_checkpoint(tmp_path, monkeypatch):
    """A signal leaves half a second: a mesh of a million cells takes seconds to number, and a tenth to write."""
    spaces, file = _spaces(MPI.COMM_SELF), CheckpointFile(tmp_path / "a")
    file.prepare(spaces)
    monkeypatch.setattr("homfem.output.checkpoint.Numbering", None)
    file.write({name: _entry(_field(space)) for name, space in spaces.items()}, state={}, problem={})
    assert file.read(spaces).state == {}


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

    calls = []

    def full(stream, piece):
        calls.append(stream.write(piece.tobytes()[:100]))
        if len(calls) == 3:
            raise OSError(28, "No space left on device")

    monkeypatch.setattr("homfem.output.archives.write_piece", full)
    with pytest.raises(CheckpointError, match="No space"):
        case_write(MPI.COMM_SELF, str(written))
    assert len(calls) == 3
    assert written.read_bytes() == before
    assert [path.name for path in written.parent.iterdir()] == ["a.ckpt"]


def case_full(comm, path):
    """Rank 0 fails half way: the others are told, and the next checkpoint is whole."""
    from homfem.output import archives

    kept, calls = archives.write_piece, []

    def full(stream, piece):
        calls.append(0)
        if len(calls) == 4:
            raise OSError(28, "No space left on device")
        kept(stream, piece)

    archives.write_piece = full
    try:
        case_write(comm, path)
    except CheckpointError as error:
        text = str(error)
    else:
        text = ""
    finally:
        archives.write_piece = kept
    case_write(comm, path)
    return {"texts": comm.allgather(text)} | case_read(comm, path)


@pytest.mark.mpi
def test_a_write_that_fails_reaches_every_rank(on_ranks, tmp_path):
    for number, answer in enumerate(on_ranks(case_full, path=str(tmp_path / "a.ckpt")), start=1):
        assert answer["equal"]
        assert len(answer["texts"]) == number
        assert all("No space" in text for text in answer["texts"])


def _every_space(comm):
    """A mesh whose cells are turned in every way to their neighbours, a part of it, and spaces of every kind."""
    import basix.ufl

    domain = mesh.create_unit_cube(comm, 2, 2, 2)
    cells = np.flatnonzero(mesh.compute_midpoints(domain, 3, np.arange(_local(domain), dtype=np.int32))[:, 0] < 0.5)
    part = mesh.create_submesh(domain, 3, cells.astype(np.int32))[0]
    taylor_hood = basix.ufl.mixed_element(
        [basix.ufl.element("Lagrange", "tetrahedron", 2, shape=(3,)), basix.ufl.element("Lagrange", "tetrahedron", 1)]
    )
    elements = {
        "P3": ("Lagrange", 3),
        "vector P2": ("Lagrange", 2, (3,)),
        "DG1": ("DG", 1),
        "DG0": ("DG", 0),
        "edges": ("N1curl", 3),
        "facets": ("RT", 2),
        "Taylor-Hood": taylor_hood,
        "quadrature": basix.ufl.quadrature_element("tetrahedron", degree=3),
    }
    spaces = {name: fem.functionspace(domain, element) for name, element in elements.items()}
    domain.topology.create_connectivity(2, 3)
    skin = mesh.create_submesh(domain, 2, mesh.exterior_facet_indices(domain.topology))[0]
    for place, where in (("part", part), ("skin", skin)):
        for family, degree in (("Lagrange", 1), ("Lagrange", 3), ("DG", 2)):
            spaces[f"{place} {family}{degree}"] = fem.functionspace(where, (family, degree))
    return spaces


def _local(domain):
    number = domain.topology.index_map(3)
    return number.size_local + number.num_ghosts


def _smooth(x):
    return np.sin(3 * x[0]) + 0.1 * x[1] * x[2]


def _known(space):
    """A function with a formula, to round-off the same on any ranks."""
    function = fem.Function(space)
    if space.num_sub_spaces == 2:
        function.sub(0).interpolate(lambda x: np.stack([_smooth(x), 2 * x[0], x[1] ** 2]))
        function.sub(1).interpolate(_smooth)
    elif space.value_shape == (3,):
        function.interpolate(lambda x: np.stack([_smooth(x), x[0] * x[1], x[1] ** 2 - x[2]]))
    elif "Quadrature" in str(space.ufl_element()):
        function.x.array[:] = _smooth(space.tabulate_dof_coordinates().T)
    else:
        function.interpolate(_smooth)
    return function


def case_write_every_space(comm, path):
    fields = {name: _entry(_known(space)) for name, space in _every_space(comm).items()}
    series = {"s": np.arange(3.0) if comm.rank == 0 else np.empty(0)}
    CheckpointFile(path).write(fields, state={"time": 1.0}, problem={}, series=series)
    return {}


def case_read_every_space(comm, path):
    """The largest difference of each field from its formula, where the checkpoint came from any number of ranks."""
    spaces = _every_space(comm)
    values, series, _ = CheckpointFile(path).read(spaces)
    wrong = {}
    for name, space in spaces.items():
        exact = _known(space).x.array[: values[name].size]
        assert comm.allreduce(float(np.abs(exact).max(initial=0.0)), op=MPI.MAX) > 0.1
        wrong[name] = comm.allreduce(float(np.abs(values[name] - exact).max(initial=0.0)), op=MPI.MAX)
    told = {name: nodal_fingerprint(space, _known(space).x.array[: values[name].size])
            for name, space in spaces.items() if name in ("P3", "edges", "part DG2")}  # fmt: skip
    return {"wrong": wrong, "told": told, "series": series["s"].tolist() if comm.rank == 0 else []}


@pytest.mark.mpi
@pytest.mark.parametrize("ranks", [1, 2])
def test_fields_of_every_space_go_from_ranks_to_ranks(on_ranks, tmp_path, ranks):
    """P3, whose dofs on edges and facets are turned, H(curl) and H(div), mixed, quadrature, and parts of the mesh."""
    path = str(tmp_path / "a.ckpt")
    on_ranks(case_write_every_space, ranks=(ranks,), path=path)
    answers = on_ranks(case_read_every_space, ranks=(1, 2, 3), path=path)
    for answer in answers:
        for name, numbers in answer["told"].items():
            assert numbers == pytest.approx(answers[0]["told"][name], abs=1e-12)
            assert len(set(numbers)) == 6
        assert answer["series"] == [0.0, 1.0, 2.0]
        assert max(answer["wrong"].values()) < 1e-13, answer["wrong"]


def case_skin(comm, path):
    """H(div) on the facets of a mesh, whose nodes the ranks order."""
    domain = mesh.create_unit_cube(comm, 2, 2, 2)
    domain.topology.create_connectivity(2, 3)
    skin = mesh.create_submesh(domain, 2, mesh.exterior_facet_indices(domain.topology))[0]
    space = fem.functionspace(skin, ("RT", 1))
    file, text = CheckpointFile(path), ""
    if not file.exists(comm):
        file.write({"q": _entry(fem.Function(space))}, state={}, problem={})
    try:
        file.read({"q": space})
    except CheckpointError as error:
        text = str(error)
    return {"text": text}


@pytest.mark.mpi
def test_what_hangs_on_the_ranks_is_refused_on_others(on_ranks, tmp_path):
    here, there = on_ranks(case_skin, ranks=(1, 2), path=str(tmp_path / "a"))
    assert here["text"] == ""
    assert "in this order, for q (in a mesh of facets ranks choose it). Restart on as many ranks" in there["text"]


def test_fields_of_other_spaces_are_refused(written):
    domain = _box(MPI.COMM_SELF)
    linear, quadratic = (fem.functionspace(domain, ("Lagrange", degree)) for degree in (1, 2))
    with pytest.raises(CheckpointError, match=r"b: .*P, tetrahedron, 1.* 64 values.* 2.* 343 values on mesh 0 here"):
        CheckpointFile(written).read({"a": linear, "b": quadratic})
    with pytest.raises(CheckpointError, match=r"fields; b: .* in the checkpoint, nothing here; c: nothing in"):
        CheckpointFile(written).read({"a": linear, "c": linear})
    other = fem.functionspace(_box(MPI.COMM_SELF), ("Lagrange", 1))
    with pytest.raises(CheckpointError, match="of 2 mesh"):
        CheckpointFile(written).read({"a": linear, "b": other})
    with pytest.raises(InputError, match="at least one field"):
        CheckpointFile(written).read({})


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
        file.write({"f": _entry(function)}, state={}, problem={})
        assert np.array_equal(file.read({"f": space}).values["f"], function.x.array)
