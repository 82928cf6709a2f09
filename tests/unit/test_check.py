"""The checker of meshes: good ones pass, and each thing that can be wrong is told in its place."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import meshio
import numpy as np
import pytest

from homfem.meshing.arrays.quality import angles, aspect_ratios
from homfem.meshing.arrays.raw_cell import RawCell
from homfem.meshing.by_gmsh.model import write_msh
from homfem.meshing.by_gmsh.session import gmsh_session
from homfem.meshing.files.check import check_mesh
from homfem.parameters import Lattice
from made_cells import grid_raw, square

MESHES = Path(__file__).parents[2] / "meshes"


def written(path: Path, raw: RawCell, points=None, cells=None, **data) -> Path:
    """A file that has what no cell may have."""
    kind = {"triangle": "triangle", "tetrahedron": "tetra"}[raw.kind]
    points = raw.points if points is None else points
    cells = raw.cells if cells is None else cells
    data = data or {"phase": [raw.phase_of_cell[: len(cells)]]}
    flat = np.column_stack([points, np.zeros(len(points))]) if points.shape[1] == 2 else points
    meshio.Mesh(flat, [(kind, cells)], cell_data=data).write(path)
    return path


@pytest.mark.parametrize(
    "raw",
    [
        grid_raw((4, 5), square),
        grid_raw((4, 3, 5)),
        grid_raw((4, 4), square, vectors=[[2.0, 0.0], [0.7, 1.0]]),
        grid_raw((3, 4, 3), square, vectors=[[1.0, 0.2, 0.0], [0.0, 1.0, 0.3], [0.1, 0.0, 1.0]]),
    ],
)
def test_a_periodic_cell_passes(tmp_path, raw):
    report = check_mesh(raw)
    assert report.ok, str(report)
    assert report.problems == report.notes == ()
    assert (report.cells, report.nodes, report.negative, report.degenerate) == (len(raw.cells), len(raw.points), 0, 0)
    assert report.filled == pytest.approx(1.0, abs=1e-12)
    assert len(report.faces) == raw.dimension
    assert "a periodic cell" in str(report)
    assert "PROBLEM" not in str(report)
    assert json.loads(json.dumps(report.to_dict()))["ok"] is True
    path = tmp_path / "cell.msh"
    write_msh(raw, path)
    again = check_mesh(path)
    assert replace(again, source="cell") == report


def test_numbers_of_a_grid():
    raw = grid_raw((4, 5), square)
    report = check_mesh(raw)
    one, two = report.faces
    assert (one.nodes, one.facets, one.elements_across) == ((6, 6), (5, 5), 4)
    assert (two.nodes, two.facets, two.elements_across) == ((5, 5), (4, 4), 5)
    # Right triangles with the legs 1/4 and 1/5; inradius (a + b - c) / 2.
    a, b, c = 0.25, 0.2, np.hypot(0.25, 0.2)
    quality = report.quality
    assert quality.smallest_angle == pytest.approx(np.degrees(np.arctan(0.8)))
    assert quality.largest_angle == pytest.approx(90.0)
    assert quality.worst_aspect == pytest.approx(c / (0.5 * (a + b - c)) / (2 * np.sqrt(3)))
    assert quality.quantiles["aspect"] == pytest.approx((quality.worst_aspect,) * 7)
    names = {phase.name: phase for phase in report.phases}
    assert sum(phase.fraction for phase in report.phases) == pytest.approx(1.0)
    assert names["a"].directions == ((1, 0), (0, 1))
    assert (names["b"].parts, names["b"].islands, names["b"].directions) == (1, 1, ())
    assert "in no direction" in str(report)
    assert "in every direction" in str(report)


def test_shape_of_known_cells():
    regular = np.array([[1.0, 1, 1], [1, -1, -1], [-1, 1, -1], [-1, -1, 1]])
    cell = np.arange(4)[None]
    assert angles(regular, cell) == pytest.approx(np.full((1, 6), np.degrees(np.arccos(1 / 3))))
    assert aspect_ratios(regular, cell) == pytest.approx([1.0])
    corner = np.array([[0.0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1]])
    assert np.sort(angles(corner, cell)[0]) == pytest.approx([np.degrees(np.arctan(np.sqrt(2)))] * 3 + [90.0] * 3)
    # Inradius of the corner tetrahedron: 3 V / area = 1 / (3 + sqrt 3).
    assert aspect_ratios(corner, cell) == pytest.approx([np.sqrt(2) * (3 + np.sqrt(3)) / (2 * np.sqrt(6))])
    triangle = np.array([[0.0, 0], [1, 0], [0.5, np.sqrt(3) / 2]])
    assert angles(triangle, cell[:, :3]) == pytest.approx(np.full((1, 3), 60.0))
    assert aspect_ratios(triangle, cell[:, :3]) == pytest.approx([1.0])
    flat = np.array([[0.0, 0], [1, 0], [2, 0]])
    assert aspect_ratios(flat, cell[:, :3]) == [np.inf]
    assert np.all(np.isnan(angles(flat, cell[:, :3])))


def test_files_of_the_project_pass():
    report = check_mesh(MESHES / "slit.geo")
    assert report.ok, str(report)
    assert [phase.name for phase in report.phases] == ["pore", "solid"]
    assert all(phase.directions == ((1, 0),) for phase in report.phases)
    assert "only along (1 0)" in str(report)


def test_a_curved_mesh_is_read_and_folded_cells_are_found(tmp_path):
    path = tmp_path / "curved.geo"
    path.write_text(
        'SetFactory("OpenCASCADE");\nRectangle(1) = {0, 0, 0, 1, 1};\nDisk(2) = {0.5, 0.5, 0, 0.3};\n'
        'BooleanFragments{ Surface{1}; Delete; }{ Surface{2}; Delete; }\nPhysical Surface("disc") = {2};\n'
        'Physical Surface("rest") = {3};\nMesh.ElementOrder = 2;\nMesh.MeshSizeMax = 0.2;\n'
    )
    report = check_mesh(path)
    assert (report.order, report.ok) == (2, True)
    from homfem.meshing.by_gmsh.model import from_gmsh_raw

    raw = from_gmsh_raw(path)
    inner = raw.points.copy()
    lone = raw.cells[raw.phase_of_cell == 1][0]
    inner[lone[3]] = inner[lone[0]] + 0.01  # a mid-edge node beside the opposite corner
    place = [0, 1, 2, 5, 3, 4]
    meshio.Mesh(inner, [("triangle6", raw.cells[:, place])], cell_data={"tag": [raw.phase_of_cell]}).write(
        tmp_path / "folded.vtu"
    )
    report = check_mesh(tmp_path / "folded.vtu")
    assert report.degenerate >= 1
    assert any("degenerate or folded" in problem for problem in report.problems)


def move(raw: RawCell, where, by) -> np.ndarray:
    points = raw.points.copy()
    points[np.linalg.norm(points - where, axis=1) < 1e-9] += by
    return points


GRID = grid_raw((4, 4), square)


def test_unmatched_nodes_are_named(tmp_path):
    report = check_mesh(written(tmp_path / "cell.vtu", GRID, points=move(GRID, (1.0, 0.25), (0.0, 0.07))))
    assert not report.ok
    face, other = report.faces
    assert (face.nodes, face.unmatched_nodes, face.unmatched_facets) == ((5, 5), (1, 1), (2, 2))
    assert face.examples == ((0.0, 0.25), (1.0, 0.32))
    assert other.ok
    assert len(report.problems) == 1
    assert "faces across period 1 do not match: 2 nodes and 4 facets" in report.problems[0]
    assert "(0, 0.25), (1, 0.32)" in report.problems[0]
    assert "PROBLEM" in str(report)
    assert json.loads(json.dumps(report.to_dict()))["faces"][0]["unmatched_nodes"] == [1, 1]


def test_facets_that_differ_between_the_same_nodes_are_found():
    raw = grid_raw((4, 4, 4))
    corner = np.array([[0, 0, 0.0], [0.25, 0.25, 0], [0.25, 0, 0], [0, 0.25, 0]])
    index = [int(np.argmin(np.linalg.norm(raw.points - x, axis=1))) for x in corner]
    above = int(np.argmin(np.linalg.norm(raw.points - (0.25, 0.25, 0.25), axis=1)))
    cells = raw.cells.copy()
    # The two cells on the face z = 0 with the edge 0-1 become two with the edge 2-3: the other diagonal of a square.
    both = [k for k, cell in enumerate(cells) if set(index[:2]) <= set(cell) and above in cell
            and (index[2] in cell or index[3] in cell)]  # fmt: skip
    assert len(both) == 2
    cells[both[0]], cells[both[1]] = [index[0], index[2], index[3], above], [index[1], index[2], index[3], above]
    report = check_mesh(replace(raw, cells=cells))
    assert report.faces[2].unmatched_nodes == (0, 0)
    assert report.faces[2].unmatched_facets == (2, 2)
    assert any("period 3 do not match: 0 nodes and 4 facets" in problem for problem in report.problems)


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"points": move(GRID, (0.5, 0.5), (-0.25, 0.0))}, "degenerate or folded, one near"),
        ({"cells": np.vstack([GRID.cells, GRID.cells[:3]]), "phase": [np.ones(35, int)]}, "more than two cells"),
        ({"cells": np.vstack([GRID.cells, GRID.cells[:3]]), "phase": [np.ones(35, int)]}, "fill 1.09375 of the period"),
        ({"points": np.where(GRID.points == 0.5, np.nan, GRID.points)}, "not finite"),
        ({"a": [np.ones(32, int)], "b": [np.ones(32, int)]}, "phase_data"),
    ],
)
def test_what_is_wrong_with_a_file_is_told(tmp_path, change, problem):
    report = check_mesh(written(tmp_path / "cell.vtk", GRID, **change))
    assert not report.ok
    assert any(problem in text for text in report.problems), report.problems


def test_parts_that_are_not_joined_are_found(tmp_path):
    left = GRID.points[GRID.cells].mean(axis=1)[:, 0] < 0.5
    cells = GRID.cells.copy()
    cells[~left] += len(GRID.points)  # the right half with nodes of its own
    report = check_mesh(written(tmp_path / "cell.vtk", GRID, np.vstack([GRID.points] * 2), cells))
    assert any("5 pairs of nodes coincide" in problem for problem in report.problems)
    assert report.faces[0].elements_across is None
    assert any("20 nodes belong to no cell" in note for note in report.notes)


def test_orientation_voids_and_flat_cells_are_notes(tmp_path):
    cells = GRID.cells[GRID.phase_of_cell == 1].copy()
    cells[3:8] = cells[3:8][:, [1, 0, 2]]
    report = check_mesh(written(tmp_path / "cell.vtk", GRID, cells=cells, p=[np.ones(len(cells), int)]))
    assert report.ok, str(report)
    assert report.filled == pytest.approx(0.75)
    assert any("taken to be void" in note for note in report.notes)
    assert report.negative == 5
    assert any("5 cells have negative orientation" in note for note in report.notes)
    thin = grid_raw((4, 4), vectors=[[1.0, 0.0], [0.0, 0.01]])
    report = check_mesh(thin)
    assert report.ok
    assert any("smallest angle is 0.57 degrees" in note for note in report.notes)


def test_a_mesh_that_is_too_coarse_is_told():
    report = check_mesh(grid_raw((2, 4)))
    assert [face.elements_across for face in report.faces] == [2, 4]
    assert any("at least three elements" in problem for problem in report.problems)


def test_the_period_may_be_given():
    assert check_mesh(GRID, period=1.0).ok
    assert check_mesh(GRID, period=(1.0, 1.0), dimension=2).ok
    report = check_mesh(GRID, period=(2.0, 1.0))
    assert any("reach over 0.5 of it only" in problem for problem in report.problems)
    report = check_mesh(GRID, period=0.5)
    assert any("fill 4 of the period" in problem for problem in report.problems)
    for period in ((1.0, 1.0, 1.0), -1.0, Lattice.box(1.0, 1.0, 1.0)):
        assert "period" in check_mesh(GRID, period=period).problems[0]


def test_a_cell_of_another_shape_is_checked_facet_by_facet():
    """The upper half of the square moved by half a period, like bricks: it still tiles the plane."""
    upper = GRID.points[GRID.cells].mean(axis=1)[:, 1] > 0.5
    corners = GRID.points[GRID.cells] + np.where(upper, 0.5, 0.0)[:, None, None] * np.array([1.0, 0.0])
    points, cells = np.unique(np.round(corners.reshape(-1, 2), 9), axis=0, return_inverse=True)
    bricks = replace(GRID, points=points, cells=cells.reshape(-1, 3))
    report = check_mesh(bricks)
    assert report.ok, str(report)
    assert report.faces == ()
    # The halves of the squares now stand in the way of each other: no way upwards is left.
    assert {phase.name: phase.directions for phase in report.phases}["a"] == ((1, 0),)
    report = check_mesh(replace(bricks, points=move(bricks, (1.5, 0.75), (0.0, 0.05))))
    assert any("not all facets have a partner" in problem for problem in report.problems)


def test_groups_of_gmsh_that_a_cell_may_not_have_are_told(tmp_path):
    path = tmp_path / "cell.msh"
    with gmsh_session(Mesh_SaveAll=1) as gmsh:
        gmsh.model.occ.addRectangle(0, 0, 0, 1, 1)
        gmsh.model.occ.addRectangle(1, 0, 0, 1, 1)
        gmsh.model.occ.fragment([(2, 1)], [(2, 2)])
        gmsh.model.occ.synchronize()
        gmsh.model.addPhysicalGroup(2, [1], 5)
        gmsh.option.setNumber("Mesh.MeshSizeMax", 0.2)
        gmsh.model.mesh.generate(2)
        gmsh.write(str(path))
    report = check_mesh(path)
    assert not report.ok
    assert any("physical group 5, which has no name" in problem for problem in report.problems)
    assert any("in 0 physical groups" in problem for problem in report.problems)
    assert {phase.name for phase in report.phases} == {"group 5", "no group"}
    assert report.filled == pytest.approx(1.0)


@pytest.mark.parametrize(
    ("name", "text", "problem"),
    [
        ("none.msh", None, "existing"),
        ("a.msh", "nonsense", "Gmsh can read"),
        ("a.vtu", "<VTKFile>", "meshio says"),
        ("a.geo", "nonsense;\n", "Gmsh says"),
        ("a.geo", "Point(1) = {0, 0, 0};\n", "physical groups"),
        ("a.step", "nonsense", "OpenCASCADE"),
        ("a.xyz9", "nonsense", "meshio says"),
        ("slice.png", "PNG", "read with shape = 'image' in [cell], beside file, labels (or thresholds) and voxel"),
        ("scan.nii.gz", "NIfTI", "read with shape = 'image'"),
        ("stack.TIF", "TIFF", "read with shape = 'image'"),
    ],
)
def test_a_file_without_a_mesh_is_told(tmp_path, name, text, problem):
    if text is not None:
        (tmp_path / name).write_text(text)
    report = check_mesh(tmp_path / name)
    assert not report.ok
    assert (report.cells, report.faces, report.quality) == (0, (), None)
    assert problem in report.problems[0]
    assert "not usable" in str(report)
    assert json.dumps(report.to_dict())


def test_another_dimension_than_the_mesh_has_is_told(tmp_path):
    write_msh(GRID, tmp_path / "cell.msh")
    assert "tetrahedron" in check_mesh(tmp_path / "cell.msh", dimension=3).problems[0]
