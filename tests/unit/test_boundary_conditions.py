"""Boundary conditions of the cell other than periodic, and windows of several periods."""

from __future__ import annotations

import numpy as np
import pytest
from mpi4py import MPI

from homfem import homogenize_diffusion
from homfem.cells.fibres import fibre_array
from homfem.cells.tiling import tiled
from homfem.certify.windows import compare_boundary_conditions
from homfem.local.diffusion import diffusion_coefficient, diffusion_problem
from homfem.local.elasticity import elastic_coefficient, elasticity_problem
from homfem.local.engine import averages, solve_correctors
from homfem.parameters import InputError
from made_cells import grid_cell

SOLIDS = {"a": {"young": 1.0, "poisson": 0.3}, "b": {"young": 10.0, "poisson": 0.2}}
VALUES = {"a": 1.0, "b": 10.0}
NAMES = ("flux", "periodic", "mixed", "affine")


def near(value):
    return pytest.approx(value, abs=1e-8)


def corner(s):
    """No mirror symmetry."""
    return ((s[:, 0] > 0.25) & (s[:, 1] > 0.5) & (s[:, 0] < 0.9)).astype(int)


def centred(s):
    return (np.abs(s - 0.5).max(axis=1) < 0.25).astype(int)


def layers(s):
    return (s[:, 0] > 0.25).astype(int)


def elastic(cell, boundary, degree=2, **options):
    problem = elasticity_problem(cell, elastic_coefficient(cell, SOLIDS), degree=degree, boundary=boundary)
    return solve_correctors(cell, problem, boundary=boundary, rtol=1e-12, **options).average


@pytest.mark.parametrize("dimension", [2, 3])
@pytest.mark.parametrize("boundary", NAMES)
def test_one_material_does_not_feel_its_boundary(dimension, boundary):
    cell = grid_cell((3, 4, 3)[:dimension], names=("a",))
    matrix = np.diag([1.0, 2.0, 3.0][:dimension])
    assert homogenize_diffusion(cell, {"a": matrix}, boundary=boundary, degree=1).value == pytest.approx(
        matrix, abs=1e-8
    )
    found = elastic(cell, boundary, degree=1)
    assert found == pytest.approx(
        elastic_coefficient(cell, SOLIDS).x.array[: found.size].reshape(found.shape), abs=1e-9
    )


@pytest.mark.parametrize(("shape", "paint"), [((8, 8), corner), ((4, 4, 4), corner)])
def test_the_tensors_are_ordered(shape, paint):
    cell = grid_cell(shape, paint, names=("a", "b"))
    for solve in (
        lambda name: homogenize_diffusion(cell, VALUES, boundary=name, degree=1, bounds=False, rtol=1e-12).value,
        lambda name: elastic(cell, name, degree=1),
    ):
        low, middle, high = (solve(name) for name in ("flux", "periodic", "affine"))
        for step in (middle - low, high - middle):
            assert np.linalg.eigvalsh(step)[0] > -1e-9
        assert np.linalg.norm(high - low) > 1e-2 * np.linalg.norm(low)


def test_layers_are_exact_where_their_field_is_affine():
    """Across layers a uniform flux is the solution, along them an affine field is."""
    cell = grid_cell((8, 5), layers, names=("a", "b"))
    harmonic, mean = 1.0 / (0.25 / 1.0 + 0.75 / 10.0), 0.25 * 1.0 + 0.75 * 10.0
    flux, affine = (homogenize_diffusion(cell, VALUES, boundary=name, degree=1).value for name in ("flux", "affine"))
    assert flux[0, 0] == pytest.approx(harmonic, rel=1e-9)
    assert affine[1, 1] == pytest.approx(mean, rel=1e-9)
    assert flux[1, 1] < mean - 0.1
    assert affine[0, 0] > harmonic + 0.1
    mixed = homogenize_diffusion(cell, VALUES, boundary="mixed", degree=1).value
    assert mixed == pytest.approx(np.diag([harmonic, mean]), abs=1e-8)


@pytest.mark.parametrize("shape", [(8, 8), (4, 4, 4)])
def test_mixed_is_periodic_where_the_cell_is_its_own_mirror_image(shape):
    """The mesh itself is not symmetric (its diagonals are not): quadratic elements come close, finer ones closer."""
    gaps = []
    for refine in (1, 2):
        cell = grid_cell(tuple(refine * n for n in shape), centred, names=("a", "b"))
        pairs = [
            [homogenize_diffusion(cell, VALUES, boundary=name, bounds=False).value for name in ("periodic", "mixed")]
        ]
        if len(shape) == 2:
            pairs.append([elastic(cell, name) for name in ("periodic", "mixed")])
        gaps.append([np.linalg.norm(one - other) / np.linalg.norm(one) for one, other in pairs])
    assert max(gaps[-1]) < 5e-3
    for coarse, fine in zip(*gaps, strict=True):
        assert fine < max(0.6 * coarse, 1e-9)


def test_a_symmetric_mesh_makes_them_equal():
    cell = fibre_array("square", fraction=0.3, resolution=0.1, dimension=2)
    values = {"matrix": 1.0, "fibre": 10.0}
    one, other = (homogenize_diffusion(cell, values, boundary=n, bounds=False).value for n in ("periodic", "mixed"))
    assert other == pytest.approx(one, abs=1e-7)


def test_windows_close_in_on_the_periodic_medium():
    cell = grid_cell((6, 6), corner, names=("a", "b"))
    found = compare_boundary_conditions(cell, VALUES, windows=(1, 2, 4))
    assert found.violation < 1e-8
    periodic = [tensor.value for tensor in found.tensors["periodic"]]
    assert periodic[1] == pytest.approx(periodic[0], abs=1e-7)
    assert periodic[2] == pytest.approx(periodic[0], abs=1e-7)
    for name, sign in (("flux", 1.0), ("affine", -1.0)):
        first, second, third = (tensor.value for tensor in found.tensors[name])
        assert np.linalg.eigvalsh(sign * (second - first))[0] > -1e-9
        assert np.linalg.eigvalsh(sign * (third - second))[0] > -1e-9
    spreads = [found.spread(window) for window in (1, 2, 4)]
    # As one over the size of the window.
    assert 1.6 < spreads[0] / spreads[1] < 2.6
    assert 1.7 < spreads[1] / spreads[2] < 2.4
    assert "holds to" in str(found)


@pytest.mark.parametrize("counts", [2, (3, 1)])
def test_a_tiled_cell_is_the_same_medium(counts):
    cell = grid_cell((5, 4), corner, names=("a", "b"), vectors=[[1.0, 0.0], [0.3, 0.9]])
    several = tiled(cell, counts)
    count = 4 if counts == 2 else 3
    assert several.number_of_cells == count * cell.number_of_cells
    assert several.lattice.volume == pytest.approx(count * cell.lattice.volume)
    assert several.volume_fractions == pytest.approx(dict(cell.volume_fractions))
    one, other = (homogenize_diffusion(c, VALUES, degree=1, rtol=1e-12) for c in (cell, several))
    assert other.value == pytest.approx(one.value, rel=1e-8)
    assert other.lower == pytest.approx(one.lower, rel=1e-6)
    assert other.interface_area == pytest.approx(one.interface_area, rel=1e-12)
    assert tiled(cell, 1) is cell


def test_voids_inside_a_window():
    cell = grid_cell((8, 8), centred, names=("a", "b"))
    low, middle, high = (
        homogenize_diffusion(cell, {"a": 1.0}, boundary=name, degree=1, bounds=False, rtol=1e-12).value
        for name in ("flux", "periodic", "affine")
    )
    assert low[0, 0] < middle[0, 0] < high[0, 0] < 1.0


def case_averages(comm, boundary):
    cell = grid_cell((6, 5), corner, names=("a", "b"), comm=comm)
    found = homogenize_diffusion(cell, VALUES, boundary=boundary, degree=2, bounds=False, rtol=1e-12)
    return {"diffusion": found.value.tolist(), "elasticity": elastic(cell, boundary).tolist(), "dofs": found.dofs}


@pytest.mark.mpi
@pytest.mark.parametrize("boundary", ["affine", "flux", "mixed"])
def test_ranks_agree(on_ranks, boundary):
    one, *others = on_ranks(case_averages, boundary=boundary)
    for other in others:
        assert other["dofs"] == one["dofs"]
        for key in ("diffusion", "elasticity"):
            assert np.array(other[key]) == pytest.approx(np.array(one[key]), abs=1e-8)


def test_refused():
    cell = grid_cell((6, 6), lambda s: (s[:, 0] > 0.5).astype(int), names=("a", "b"))
    with pytest.raises(InputError, match="boundary"):
        homogenize_diffusion(cell, VALUES, boundary="free")
    with pytest.raises(InputError, match="do not fill its faces"):
        homogenize_diffusion(cell, {"a": 1.0}, boundary="flux")
    with pytest.raises(InputError, match="tolerance"):
        homogenize_diffusion(cell, VALUES, boundary="affine", tolerance=0.1)
    oblique = grid_cell((6, 6), corner, names=("a", "b"), vectors=[[1.0, 0.0], [0.5, 1.0]])
    with pytest.raises(InputError, match="box along the axes"):
        homogenize_diffusion(oblique, VALUES, boundary="mixed")
    assert homogenize_diffusion(oblique, VALUES, boundary="affine").upper is not None
    with pytest.raises(InputError, match="windows"):
        compare_boundary_conditions(cell, VALUES, windows=(1, 1))
    with pytest.raises(InputError, match="counts"):
        tiled(cell, (1, 2, 3))
    with pytest.raises(InputError, match=r"counts\[0\]"):
        tiled(cell, 0)
    problem = elasticity_problem(cell, elastic_coefficient(cell, SOLIDS))
    with pytest.raises(InputError, match="the mesh of the identified backend, affine boundary"):
        solve_correctors(cell, problem, boundary="affine")


def test_a_mesh_that_is_no_parallelepiped_is_refused():
    from homfem.cells.hexagonal import hexagonal_myocyte

    cell = hexagonal_myocyte(comm=MPI.COMM_WORLD)
    with pytest.raises(InputError, match="parallelepiped"):
        homogenize_diffusion(cell, dict.fromkeys(cell.phase_names, 1.0), boundary="affine", degree=1)


@pytest.mark.parametrize("rtol", [1e-2, 1e-3])
def test_uniform_fluxes_bound_from_above_at_any_tolerance(rtol):
    """An error of the solver raises the coefficient, with its square."""
    cell = grid_cell((8, 8), corner)
    for problem in (
        diffusion_problem(cell, diffusion_coefficient(cell, VALUES), boundary="flux"),
        elasticity_problem(cell, elastic_coefficient(cell, SOLIDS), degree=1, boundary="flux"),
    ):
        sharp, loose = (solve_correctors(cell, problem, boundary="flux", rtol=r).average for r in (1e-13, rtol))
        raised = np.linalg.eigvalsh(loose - sharp)
        assert raised[0] > -1e-12
        assert 1e-12 < raised[-1] < 20.0 * rtol**2 * np.linalg.norm(sharp, 2)


def test_the_entries_of_mixed_conditions_do_not_feel_the_solver_at_first_order():
    """Those of loads that fix the same components are energies."""
    cell = grid_cell((8, 8), corner)
    problem = diffusion_problem(cell, diffusion_coefficient(cell, VALUES), boundary="mixed")
    sharp, loose = (solve_correctors(cell, problem, boundary="mixed", rtol=r) for r in (1e-13, 1e-3))
    energies = averages(cell, problem, loose.functions)
    assert np.diag(loose.average) == pytest.approx(np.diag(energies), rel=1e-12)
    assert np.all(np.diag(loose.average) > np.diag(sharp.average))
    assert np.diag(loose.average) == pytest.approx(np.diag(sharp.average), rel=2e-5)
