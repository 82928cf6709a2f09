"""Scripts of Gmsh that set a tiny mesh size themselves are refused before their mesh is made, and no others."""

from __future__ import annotations

import pytest

from homfem.limits import VARIABLE, MemoryLimitError
from homfem.meshing.by_gmsh import generation
from homfem.meshing.by_gmsh.model import from_gmsh_raw
from homfem.meshing.by_gmsh.session import gmsh_session

SQUARE = """
Point(1) = {0, 0, 0, SIZE}; Point(2) = {1, 0, 0, SIZE}; Point(3) = {1, 1, 0, SIZE}; Point(4) = {0, 1, 0, SIZE};
Line(1) = {1, 2}; Line(2) = {2, 3}; Line(3) = {4, 3}; Line(4) = {4, 1};
Curve Loop(1) = {1, 2, -3, 4}; Plane Surface(1) = {1};
Periodic Curve{3} = {1}; Periodic Curve{2} = {-4};
"""
PLANE = SQUARE + 'Physical Surface("a") = {1};\n'
QUADS = SQUARE + 'Recombine Surface{1}; Physical Surface("a") = {1};\n'
BOX = 'SetFactory("OpenCASCADE");\nBox(1) = {0, 0, 0, 1, 1, 1};\nMeshSize{:} = SIZE;\nPhysical Volume("a") = {1};\n'
# A fine corner, and coarse everywhere else; an extruded layer with one element across.
GRADED = PLANE.replace("Point(1) = {0, 0, 0, SIZE}", "Point(1) = {0, 0, 0, 1e-4}")
LAYER = SQUARE + 'Extrude{0, 0, 1}{Surface{1}; Layers{1};}\nPhysical Volume("a") = {1};\n'
BRICKS = (
    SQUARE
    + 'Recombine Surface{1};\nExtrude{0, 0, 1}{Surface{1}; Layers{10}; Recombine;}\nPhysical Volume("a") = {1};\n'
)


@pytest.mark.parametrize(
    ("script", "size", "count", "limit"),
    [
        (PLANE, 1e-12, r"4e\+12 triangles", "500 GB"),  # by the sizes of the points
        (PLANE, 0.01, r"9e\+03 triangles", "5 MB"),  # by the curves
        (BOX, 5e-3, r"4e\+05 tetrahedra", "400 MB"),  # by the curves and the box
        (BOX, 0.05, r"1\.\de\+04 tetrahedra", "20 MB"),  # by the surfaces
    ],
)
def test_a_tiny_size_of_the_script_is_refused_by_its_file(tmp_path, monkeypatch, script, size, count, limit):
    path = tmp_path / "cell.geo"
    path.write_text(script.replace("SIZE", str(size)))
    monkeypatch.setenv(VARIABLE, limit)
    monkeypatch.setattr(generation, "_COUNTS", {})  # no mesh is made
    with pytest.raises(MemoryLimitError, match=rf"file = '.*cell.geo'.* about {count} .*coarser mesh.*HOMFEM_MEMORY"):
        from_gmsh_raw(path, timeout=None)


@pytest.mark.parametrize(
    ("script", "size"), [(PLANE, 0.05), (QUADS, 0.05), (BOX, 0.1), (GRADED, 0.2), (LAYER, 0.2), (BRICKS, 0.1)]
)
def test_no_more_cells_are_foretold_than_there_are(tmp_path, script, size):
    """And not much fewer where the sizes are even."""
    path = tmp_path / "cell.geo"
    path.write_text(script.replace("SIZE", str(size)))
    with gmsh_session() as gmsh:
        gmsh.open(str(path))
        d = gmsh.model.getDimension()
        assert generation._fewest_lines(gmsh) <= 12.1 / size
        for dim in range(1, d):
            gmsh.model.mesh.generate(dim)
        fewest, _ = generation._fewest(gmsh, d)
        gmsh.model.mesh.generate(d)
        made = sum(gmsh.option.getNumber(option) for option in generation._COUNTS[d])
    assert 0.0 < fewest <= made
    if script in (PLANE, BOX):
        assert fewest > 0.3 * made


def test_what_was_made_is_counted(tmp_path, monkeypatch):
    """Where the boundary does not tell, because sizes are not taken from it."""
    path = tmp_path / "cell.geo"
    path.write_text("Mesh.MeshSizeExtendFromBoundary = 0;\nMesh.MeshSizeMax = 0.02;\n" + PLANE.replace("SIZE", "0.5"))
    monkeypatch.setenv(VARIABLE, "1 MB")
    with pytest.raises(MemoryLimitError, match=r"triangles would take about \d"):
        from_gmsh_raw(path, timeout=None)


def test_the_mesh_is_that_of_one_call(tmp_path):
    path = tmp_path / "cell.geo"
    path.write_text(BOX.replace("SIZE", "0.3"))
    with gmsh_session() as gmsh:
        gmsh.open(str(path))
        gmsh.model.mesh.generate(3)
        once = gmsh.option.getNumber("Mesh.NbTetrahedra")
    assert len(from_gmsh_raw(path, timeout=None).cells) == once
