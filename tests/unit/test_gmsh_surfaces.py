"""Cells that Gmsh meshes know how far their straight facets are from the surfaces of its model."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from mpi4py import MPI

from homfem import homogenize_diffusion, three_pipe
from homfem.cells import from_file
from homfem.cells.unitcell import UnitCell
from homfem.meshing.arrays.raw_cell import RawCell
from homfem.meshing.by_gmsh.model import write_msh
from homfem.meshing.by_gmsh.model_arrays import model_to_raw
from homfem.meshing.by_gmsh.session import gmsh_session
from homfem.parameters import Lattice
from made_cells import grid_raw, square

HEXAGONAL = Path(__file__).parents[2] / "meshes" / "hexagonal_fibres.geo"


def ball_raw(d: int, size: float, radius: float = 0.3, *, hole: bool = False) -> RawCell:
    """A ball in a unit cube, with the nodes of its surface on it."""
    with gmsh_session(Mesh_MeshSizeMin=size, Mesh_MeshSizeMax=size) as gmsh:
        occ = gmsh.model.occ
        box = occ.addBox(0, 0, 0, 1, 1, 1) if d == 3 else occ.addRectangle(0, 0, 0, 1, 1)
        ball = occ.addSphere(0.52, 0.5, 0.5, radius) if d == 3 else occ.addDisk(0.52, 0.5, 0, radius, radius)
        if hole:
            parts, _ = occ.cut([(d, box)], [(d, ball)])
        else:
            parts, _ = occ.fragment([(d, box)], [(d, ball)])
        occ.synchronize()
        for k in range(d):
            sides = []
            for end in (0.0, 1.0):
                lo, hi = np.full(3, -1e-3), np.array([1.001, 1.001, 1.001 if d == 3 else 1e-3])
                lo[k], hi[k] = end - 1e-3, end + 1e-3
                sides.append([tag for _, tag in gmsh.model.getEntitiesInBoundingBox(*lo, *hi, d - 1)])
            shift = np.eye(4)
            shift[k, 3] = 1.0
            gmsh.model.mesh.setPeriodic(d - 1, sides[1], sides[0], shift.ravel())
        if hole:
            gmsh.model.addPhysicalGroup(d, [parts[0][1]], 1, "matrix")
        else:
            gmsh.model.addPhysicalGroup(d, [tag for _, tag in parts if tag != ball], 1, "matrix")
            gmsh.model.addPhysicalGroup(d, [ball], 2, "ball")
        gmsh.model.mesh.generate(d)
        return model_to_raw(d, Lattice.box(*[1.0] * d))


@pytest.mark.parametrize("hole", [False, True])
@pytest.mark.parametrize("d", [2, 3])
def test_slivers_are_what_the_mesh_lacks_of_a_ball(d, hole):
    raw = ball_raw(d, 0.1 if d == 2 else 0.15, hole=hole)
    volume = {2: np.pi * 0.09, 3: 4.0 / 3.0 * np.pi * 0.027}[d]
    cell = UnitCell.from_raw(raw, comm=MPI.COMM_SELF)
    matrix = cell.volume_fractions["matrix"]
    lack = matrix - (1.0 - volume)
    assert lack > 1e-3
    larger, smaller = raw.slivers.sum(axis=0)
    # The matrix is named first, and is smaller than its mesh.
    assert set(raw.facet_names) == {"matrix|outside" if hole else "matrix|ball"}
    assert larger < 1e-12
    assert smaller == pytest.approx(lack, rel=0.01 if d == 2 else 0.04)
    assert cell.slivers[1].sum() == pytest.approx(smaller, rel=1e-12)


def test_the_error_of_a_disc_is_covered_and_said():
    """Square array of discs of radius .3, contrast 10; the reference has the true volume and a fine mesh."""
    exact = homogenize_diffusion(reference(), {"fibre": 10.0, "matrix": 1.0}, tolerance=1e-5, degree=3)
    cell = UnitCell.from_raw(ball_raw(2, 0.1), comm=MPI.COMM_SELF)
    found = homogenize_diffusion(cell, {"ball": 10.0, "matrix": 1.0}, tolerance=1e-4, degree=3)
    error = np.linalg.norm(found.value - exact.value, 2)
    assert error > 50.0 * found.half_gap
    assert error < found.geometric_error < 2.0 * error
    assert not found.reached
    assert "for the straight-sided mesh" in str(found)
    assert "choose a finer resolution" in found.warnings[-1]
    # Both fit into a tolerance of twice the error.
    share = 2.0 * found.relative_geometric_error
    assert homogenize_diffusion(cell, {"ball": 10.0, "matrix": 1.0}, tolerance=share).reached


def reference() -> UnitCell:
    from homfem.cells import fibre_array

    return fibre_array(fraction=np.pi * 0.09, dimension=2, resolution=0.03, comm=MPI.COMM_SELF)


def test_round_pipes_have_them_and_square_ones_none():
    cell = three_pipe(0.4, section="round", resolution=0.2, comm=MPI.COMM_SELF)
    lack = np.pi / 4.0 * 0.16 * 3.0 - np.sqrt(2.0) * 0.4**3 - cell.volume_fractions["er"]
    assert cell.raw.slivers.sum(axis=0) == pytest.approx([lack, 0.0], rel=0.03, abs=1e-12)
    square = three_pipe(0.4, mesher="gmsh", resolution=0.3, comm=MPI.COMM_SELF)
    assert square.raw.slivers is None


def test_files_of_geometry_have_them():
    cell = from_file(HEXAGONAL, comm=MPI.COMM_SELF)
    assert homogenize_diffusion(cell, dict.fromkeys(cell.phases, 1.0)).geometric_error == pytest.approx(0.0, abs=1e-12)
    first, *rest = cell.phases
    unlike = {first: 1.0} | dict.fromkeys(rest, 5.0)
    assert homogenize_diffusion(cell, unlike).geometric_error > 1e-4


def test_a_mesh_without_a_geometry_says_that_its_bounds_are_of_the_mesh(tmp_path):
    write_msh(replace(ball_raw(2, 0.1), slivers=None), tmp_path / "ball.msh")
    write_msh(grid_raw((8, 8), square), tmp_path / "square.msh")
    cell = from_file(tmp_path / "ball.msh", comm=MPI.COMM_SELF)
    # 19 facets around the disc.
    (warning,) = homogenize_diffusion(cell, {"ball": 10.0, "matrix": 1.0}).warnings
    assert "angles up to 19 degrees" in warning
    assert "of the mesh" in warning
    assert from_file(tmp_path / "square.msh", comm=MPI.COMM_SELF).warnings == ()
    assert from_file(HEXAGONAL, comm=MPI.COMM_SELF).warnings == ()
