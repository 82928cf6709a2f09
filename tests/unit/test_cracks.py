"""Parts of a mesh that touch but are not joined are refused on every way in, unless cracks are meant."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from mpi4py import MPI

from homfem import homogenize_diffusion, homogenize_elasticity
from homfem.cells import fibre_array, from_file, load_cell
from homfem.cells.unitcell import UnitCell
from homfem.cli.app import main
from homfem.grid import Image, homogenize_image
from homfem.meshing.arrays.facets import cell_facets, row_numbers
from homfem.meshing.arrays.raw_cell import RawCell, restrict
from homfem.meshing.files.check import check_mesh
from homfem.meshing.files.saved import beside, write_cell
from homfem.meshing.shapes.box_grid import box_grid_raw
from homfem.meshing.topology import crossings
from homfem.meshing.topology.cracks import find_cracks
from homfem.parameters import CellError, Lattice
from made_cells import grid_raw, square

CASES = Path(__file__).parents[1] / "cases"


def put_together(*parts: RawCell, lattice: Lattice | None = None) -> RawCell:
    """The cells of several meshes in one, without joining them; phases by their names."""
    first = parts[0]
    start = np.cumsum([0, *(len(part.points) for part in parts)])
    names = sorted({name for part in parts for name in part.phases})
    tags = [np.zeros(9, dtype=int) for _ in parts]
    for table, part in zip(tags, parts, strict=True):
        for name, tag in part.phases.items():
            table[tag] = names.index(name) + 1
    return replace(
        first,
        points=np.vstack([part.points for part in parts]),
        cells=np.vstack([part.cells + k for part, k in zip(parts, start[:-1], strict=True)]),
        phase_of_cell=np.concatenate([t[part.phase_of_cell] for t, part in zip(tags, parts, strict=True)]),
        phases={name: k for k, name in enumerate(names, start=1)},
        lattice=lattice or first.lattice,
    )


def layer(low: float, high: float, divisions: tuple[int, ...], name: str) -> RawCell:
    """A block that reaches from low to high along the last axis, and not to the faces across the others."""
    raw = grid_raw(divisions, names=(name,))
    points = 0.1 + 0.8 * raw.points
    points[:, -1] = raw.points[:, -1]
    points[:, -1] = low + (high - low) * points[:, -1]
    return replace(raw, points=points)


def made(raw: RawCell, **options) -> UnitCell:
    return UnitCell.from_raw(raw, comm=MPI.COMM_SELF, **options)


def with_node_twice(raw: RawCell, place: np.ndarray) -> RawCell:
    """The node at a place once more, for half of the cells around it."""
    node = int(np.argmin(np.linalg.norm(raw.points - place, axis=1)))
    cells = raw.cells.copy()
    own = np.flatnonzero((cells == node).any(axis=1))
    upper = own[raw.points[cells[own][:, : raw.corners.shape[1]]].mean(axis=1)[:, 0] > raw.points[node, 0]]
    assert 0 < len(upper) < len(own)
    cells[upper] = np.where(cells[upper] == node, len(raw.points), cells[upper])
    return replace(raw, points=np.vstack([raw.points, raw.points[node]]), cells=cells)


def with_hole(raw: RawCell) -> RawCell:
    return restrict(raw, ["a"]) if "b" in raw.phases else raw


def second_order(raw: RawCell) -> RawCell:
    """The same mesh with a node in the middle of every edge."""
    edges = np.sort(raw.cells[:, [[1, 2], [0, 2], [0, 1]]], axis=2)
    pairs, number = np.unique(edges.reshape(-1, 2), axis=0, return_inverse=True)
    points = np.vstack([raw.points, raw.points[pairs].mean(axis=1)])
    return replace(raw, points=points, cells=np.hstack([raw.cells, len(raw.points) + number.reshape(-1, 3)]), order=2,
                   facets=np.zeros((0, 3), dtype=np.int64))  # fmt: skip


@pytest.mark.parametrize("hole", [False, True])
@pytest.mark.parametrize("case", ["two", "three", "curved"])
def test_one_node_twice(case, hole):
    raw = grid_raw((4, 4, 4) if case == "three" else (6, 6), square)
    place = np.full(raw.dimension, 1.0 / 6.0 if raw.dimension == 2 else 0.25)
    place[-1] = 0.5
    if case == "curved":
        raw = second_order(raw)
    raw = with_hole(raw) if hole else raw
    made(raw)
    torn = with_node_twice(raw, place)
    with pytest.raises(CellError, match=r"BooleanFragments.*cracks = true"):
        made(torn)
    assert "belong to one cell" in str(check_mesh(torn))


@pytest.mark.parametrize("hole", [False, True])
@pytest.mark.parametrize(("kind", "shape"), [("quadrilateral", (4, 5)), ("hexahedron", (3, 4, 5))])
def test_boxes_that_are_not_joined(kind, shape, hole):
    tags = np.ones(shape, dtype=np.int32)
    tags[1, 1] = 2 if hole else 1
    raw = box_grid_raw([np.linspace(0.0, 1.0, n + 1) for n in shape], tags, {"a": 1}, elements="voxel")
    assert raw.kind == kind
    made(raw)
    with pytest.raises(CellError, match=r"touch another|fill the period"):
        made(with_node_twice(raw, np.array([0.6, 0.6, 0.6])[: raw.dimension]))


@pytest.mark.parametrize(("lower", "upper"), [((4, 4), (8, 4)), ((3, 3, 3), (4, 4, 3)), ((4, 3), (7, 3))])
def test_hanging_nodes(lower, upper):
    """Blocks of other divisions on each other in a void."""
    raw = put_together(layer(0.0, 0.25, lower, "a"), layer(0.25, 0.5, upper, "b"))
    with pytest.raises(CellError, match=r"touch another.* joined wherever they touch"):
        made(raw)
    # What is not there cannot touch: a gap of a thousandth of the period is a void.
    made(put_together(layer(0.0, 0.249, lower, "a"), layer(0.25, 0.5, upper, "b")))


@pytest.mark.parametrize("upper", [(4, 4), (5, 4), (8, 4)])
def test_parts_that_touch_up_to_the_faces(upper):
    """Opposite faces cannot be matched where nodes are there twice: that is what is said."""
    halves = [
        replace(part, points=part.points * [1.0, 0.5] + [0.0, at])
        for part, at in ((grid_raw((4, 4), names=("a",)), 0.0), (grid_raw(upper, names=("b",)), 0.5))
    ]
    with pytest.raises(CellError, match=r"coincide|fill the period"):
        made(put_together(*halves))


def test_gaps_of_the_size_of_round_off_are_found_across_the_period_too():
    with pytest.raises(CellError, match=r"touch another"):
        made(layer(0.0, 1.0 - 1e-7, (4, 4), "a"))
    made(layer(0.0, 0.9, (4, 4), "a"))


def test_cells_that_overlap():
    """Each once more in other nodes, partly over each other, one within the other: never more than the period."""
    block = layer(0.0, 0.3, (4, 4), "a")
    for raw in (
        put_together(block, block),
        put_together(layer(0.0, 0.3, (4, 4), "a"), layer(0.2, 0.5, (5, 4), "b")),
        put_together(layer(0.0, 0.6, (4, 4), "a"), layer(0.2, 0.4, (5, 4), "b")),
    ):
        with pytest.raises(CellError, match=r"touch another, or lie in it|coincide"):
            made(raw)
        assert not check_mesh(raw).ok
    # A facet of three cells.
    twice = restrict(grid_raw((4, 4), square), ["a"])
    extra = np.vstack([twice.cells, twice.cells[:1]])
    with pytest.raises(CellError, match="overlap"):
        made(replace(twice, cells=extra, phase_of_cell=np.append(twice.phase_of_cell, twice.phase_of_cell[0])))


def bar(low: list[float], high: list[float], divisions: tuple[int, ...], name: str) -> RawCell:
    raw = grid_raw(divisions, names=(name,))
    return replace(raw, points=np.array(low) + raw.points * (np.array(high) - np.array(low)))


@pytest.mark.parametrize("move", [[0.02, 0.16], [-0.02, -0.16]])
def test_a_folded_mesh_with_voids(move):
    """A node is moved over its neighbours: cells turn over, and all of them are less than the period."""
    sound = restrict(grid_raw((8, 8), square), ["a"])
    made(sound)
    node = np.flatnonzero(np.linalg.norm(sound.points - [0.125, 0.5], axis=1) < 1e-9)
    points = sound.points.copy()
    points[node] += move
    folded = replace(sound, points=points)
    with pytest.raises(CellError, match="same side"):
        made(folded)
    with pytest.raises(CellError, match="same side"):
        made(folded, cracks=True)
    assert not check_mesh(folded).ok


@pytest.mark.parametrize("divisions", [(6, 5), (4, 3, 5)])
def test_folds_of_simplices_are_those_of_their_places(divisions):
    """The orientation of facets, which needs no coordinates, against the side on which the cells' middles lie."""
    sound = restrict(grid_raw(divisions, square), ["a"])
    folds = 0
    for seed in range(6):
        random = np.random.default_rng(seed)
        inner = ((sound.points > 0.01) & (sound.points < 0.99)).all(axis=1, keepdims=True)
        moved = sound.points + inner * random.uniform(-0.2, 0.2, sound.points.shape)
        try:
            raw = replace(sound, points=moved)
        except CellError:  # more than the volume of the period
            continue
        facets = cell_facets(raw.corners, raw.kind).reshape(-1, raw.dimension)
        number = row_numbers(np.sort(facets, axis=1))
        order = np.argsort(number)
        same = np.flatnonzero(np.diff(number[order]) == 0)
        one, other = order[same], order[same + 1]
        by_place = crossings._on_one_side(raw, facets, one, other)
        assert np.array_equal(crossings._turned_alike(facets, one, other), by_place)
        folds += len(by_place)
    assert folds > 5


@pytest.mark.parametrize("shift", [0.0, 0.6])
@pytest.mark.parametrize("d", [2, 3])
def test_bars_that_cross_where_no_facet_has_its_middle(d, shift):
    """No node and no middle of a wall lies in a cell of the other bar; with the shift they cross one period away."""
    rest = [0.4, 0.6][: 2 * (d - 2)]
    one = bar([0.0, 0.45, *rest[:1]], [1.0, 0.55, *rest[1:]], (3, 3, 3)[:d], "a")
    other = bar([0.3 + shift, 0.05, *[0.45] * (d - 2)], [0.36 + shift, 0.95, *[0.52] * (d - 2)], (3, 2, 3)[:d], "b")
    crossed = put_together(one, replace(other, points=other.points + np.eye(d)[0] * (shift > 0.0)))
    with pytest.raises(CellError, match=r"edges of walls pass through"):
        made(crossed)
    made(put_together(one, bar([0.3, 0.6, *[0.45] * (d - 2)], [0.36, 0.95, *[0.52] * (d - 2)], (3, 2, 3)[:d], "b")))


def ring(inner: float, outer: float, count: int, layers: int, turn: float = 0.0) -> tuple[np.ndarray, np.ndarray]:
    """Points and triangles between two polygons of as many corners."""
    radius = np.linspace(inner, outer, layers + 1)
    angle = 2.0 * np.pi * (np.arange(count) + turn) / count
    points = (radius[:, None, None] * np.stack([np.cos(angle), np.sin(angle)], axis=-1)).reshape(-1, 2) + 0.5
    number = np.arange(len(points)).reshape(layers + 1, count)
    a, b, c, d = number[:-1], np.roll(number[:-1], -1, axis=1), number[1:], np.roll(number[1:], -1, axis=1)
    cells = np.concatenate([np.stack(t, axis=-1).reshape(-1, 3) for t in ((a, b, d), (a, d, c))])
    return points, cells


def rings(*given: tuple[float, float, int, int, float]) -> RawCell:
    points, cells = zip(*(ring(*entry) for entry in given), strict=True)
    start = np.cumsum([0, *(len(p) for p in points)])
    empty = np.zeros((0, 2), dtype=np.int64)
    return RawCell(
        points=np.vstack(points), cells=np.vstack([c + s for c, s in zip(cells, start[:-1], strict=True)]),
        kind="triangle", order=1, phase_of_cell=np.repeat(np.arange(1, len(cells) + 1), [len(c) for c in cells]),
        phases={f"ring{k}": k for k in range(1, len(cells) + 1)}, facets=empty, facet_tags=np.zeros(0, dtype=np.int32),
        facet_names={}, lattice=Lattice.box(1.0, 1.0),
    )  # fmt: skip


def test_a_curved_surface_that_was_meshed_twice():
    """Between polygons of other corners there are gaps; they are no thinner voids than the chords can show."""

    def found(raw: RawCell) -> str:
        return find_cracks(raw, np.arange(len(raw.points)))

    for turn, count in ((0.5, 24), (0.5, 60), (0.3, 24)):
        assert "belong to one cell" in found(rings((0.1, 0.3, count, 3, 0.0), (0.3, 0.45, count, 3, turn)))
    assert "belong to one cell" in found(rings((0.1, 0.3, 24, 3, 0.0), (0.3, 0.45, 40, 3, 0.0)))
    # A void twice as wide as what the chords cut off is one, and so are other voids.
    sagitta = 0.3 * (1.0 - np.cos(np.pi / 24.0))
    assert not found(rings((0.1, 0.3 - 4.0 * sagitta, 24, 3, 0.0), (0.3, 0.45, 24, 3, 0.5)))
    assert not found(rings((0.1, 0.2, 24, 3, 0.0), (0.3, 0.45, 24, 3, 0.5)))


def test_bodies_that_nearly_touch_and_sharp_notches_are_sound():
    for fraction, phase in ((0.77, "matrix"), (0.77, "fibre")):
        cell = fibre_array(fraction=fraction, resolution=0.1, comm=MPI.COMM_SELF)
        assert made(restrict(cell.raw, [phase])).warnings == ()
    # A wedge of void between straight sides, fifty times as long as wide.
    notch = grid_raw((8, 8), lambda s: (np.abs(s[:, 1] - 0.5) < 0.125) & (np.abs(s[:, 0] - 0.5) < 0.25))
    points, side = notch.points.copy(), np.abs(np.abs(notch.points[:, 1] - 0.5) - 0.125) < 1e-9
    side &= np.abs(points[:, 0] - 0.5) < 0.26
    points[side, 1] = 0.5 + 0.02 * np.sign(points[side, 1] - 0.5) * (points[side, 0] - 0.24)
    assert made(restrict(replace(notch, points=points), ["a"])).warnings == ()


@pytest.mark.parametrize(("name", "true"), [("unmerged3.geo", 1.0), ("dup.msh", 1.7095)])
def test_files_whose_parts_are_not_joined(tmp_path, name, true):
    """Their inclusions were left out in silence."""
    with pytest.raises(CellError, match="fill the period"):
        from_file(CASES / name, comm=MPI.COMM_SELF)
    report = check_mesh(CASES / name)
    assert not report.ok
    assert "fill the period" in str(report)
    cell = from_file(CASES / name, cracks=True, comm=MPI.COMM_SELF)
    coefficients = dict(zip(cell.phases, (1.0, 1.0 if true == 1.0 else 100.0), strict=True))
    tensor = homogenize_diffusion(cell, coefficients, degree=1)
    # The square is a hole now: what a hole gives, far from the truth, but with two warnings.
    assert tensor.value[0, 0] == pytest.approx(0.5772, abs=0.02) != true
    cracked, lost = tensor.warnings
    assert "cracks" in cracked
    assert "'i" in lost
    assert "left out" in lost
    assert "WARNING: the mesh has cracks" in str(tensor)
    # Saved, it is as before.
    cell.save(tmp_path / "cell.msh")
    assert load_cell(tmp_path / "cell.msh", comm=MPI.COMM_SELF).warnings == cell.warnings


def test_a_saved_cell_is_looked_at(tmp_path):
    raw = restrict(grid_raw((8, 8), square), ["a"])
    torn = with_node_twice(raw, np.array([0.125, 0.5]))
    about = {"name": "x", "length": 1.0, "length_unit": "m", "partial": True, "faces": "matching", "origin": None}
    for cell, bad in ((raw, False), (torn, True)):
        write_cell(cell, tmp_path / "cell.msh", about)
        assert beside(tmp_path / "cell.msh").is_file()
        if bad:
            with pytest.raises(CellError, match="joined"):
                load_cell(tmp_path / "cell.msh", comm=MPI.COMM_SELF)
        else:
            load_cell(tmp_path / "cell.msh", comm=MPI.COMM_SELF)


def test_faces_that_need_not_match_are_no_cracks():
    raw = grid_raw((4, 4), square)
    points = raw.points.copy()
    high = (points[:, 0] == 1.0) & (points[:, 1] > 0.0) & (points[:, 1] < 1.0)
    points[high, 1] += 0.01
    raw = replace(raw, points=points, phase_of_cell=np.ones_like(raw.phase_of_cell), phases={"a": 1})
    assert made(raw, faces="non-matching").warnings == ()
    with pytest.raises(CellError, match="fill the period"):
        made(with_node_twice(raw, np.array([0.5, 0.5])), faces="non-matching")


def test_a_phase_with_a_coefficient_that_is_left_out_is_said():
    """Squares in a void between layers: they carry nothing, whatever the physics."""
    raw = grid_raw((8, 8), lambda s: np.where(np.abs(s[:, 1] - 0.5) > 0.25, 0, np.where(square(2 * s - 0.5), 1, 2)))
    cell = made(raw)
    solid = {"young": 1.0, "poisson": 0.3}
    for tensor in (
        homogenize_diffusion(cell, {"a": 1.0, "b": 2.0}, degree=1),
        homogenize_elasticity(cell, {"a": solid, "b": solid}, degree=1),
    ):
        (warning,) = tensor.warnings
        assert "'b' was given a coefficient but left out" in warning
    assert homogenize_diffusion(cell, {"a": 1.0}, degree=1).warnings == ()


def test_a_phase_of_an_image_that_is_left_out_is_said():
    labels = np.zeros((8, 8), dtype=int)
    labels[:, 2:6] = 2
    labels[3:5, 3:5] = 1
    image = Image(phases=labels, names=("a", "b", "void"))
    (warning,) = homogenize_image(image, {"a": 1.0, "b": 2.0}, threads=1).warnings
    assert "'b' was given a coefficient but left out" in warning


def refused_on_every_rank(comm):
    raw = with_node_twice(grid_raw((4, 4), square), np.array([0.25, 0.5])) if comm.rank == 0 else None
    try:
        UnitCell.from_raw(raw, comm=comm)
    except CellError as error:
        return {"refused": comm.allreduce(1, op=MPI.SUM), "text": str(error)}
    return {"refused": 0}


def test_every_rank_is_told(on_ranks):
    (answer,) = on_ranks(refused_on_every_rank, ranks=(2,))
    assert answer["refused"] == 2
    assert "joined" in answer["text"]


def test_the_key_of_a_config(tmp_path, capsys):
    for name in ("u3.toml", "unmerged3.geo"):
        shutil.copy(CASES / name, tmp_path)
    for more, status in ([], 2), (["--set", "cell.cracks=true"], 0):
        with pytest.raises(SystemExit) as ended:
            main(["effective", str(tmp_path / "u3.toml"), *more])
        assert ended.value.code == status
    assert "WARNING: the mesh has cracks" in capsys.readouterr().out
