"""The permeability: exact slits and tubes, published arrays, both bounds, bad input."""

from __future__ import annotations

import logging
from dataclasses import replace

import numpy as np
import pytest
import ufl
from dolfinx import fem

from homfem import periodic, solve
from homfem.cells import fibre_array, image_cell, sphere_array, tube
from homfem.cells.unitcell import UnitCell
from homfem.certify import Accuracy, MeshSolution, Stokes, homogenize_stokes, solve_cell, solve_stokes
from homfem.certify.stokes import bounds as stokes_bounds
from homfem.certify.stokes.gap import flow_gaps
from homfem.grid.image import Image
from homfem.local.engine import averages, solve_correctors
from homfem.local.stokes import stokes_problem
from homfem.meshing.arrays.raw_cell import cell_volumes
from homfem.meshing.arrays.refinement import bisect_cells, split_at_barycentres
from homfem.parameters import InputError, PercolationError
from homfem.validation.published import DRAG_OF_CYLINDERS as CYLINDERS
from homfem.validation.published import DRAG_OF_SPHERES, permeability_of_spheres
from made_cells import grid_cell, square

SLIT = 0.5 * 0.5**2 / 12


def slit_cell(divisions=(8, 4), pores=1, **options):
    """Walls across the first axis; the pores fill the first half of each share."""
    return grid_cell(divisions, lambda s: (s[:, 0] * pores) % 1 >= 0.5, names=("pore", "solid"), **options)


@pytest.mark.parametrize("preconditioner", ["direct", "multigrid"])
def test_slit_is_exact(preconditioner):
    solution = solve_stokes(slit_cell(length=3.0), rtol=1e-12, preconditioner=preconditioner)
    assert solution.tensor.value == pytest.approx(np.diag([0.0, 9.0 * SLIT]), abs=1e-10)
    assert solution.tensor.unit == "um^2"
    assert solution.tensor.lower is None
    assert solution.tensor.upper is None
    assert np.all(solution.tensor.value[0] == 0.0)
    # The parabola, in mesh units.
    flow = solution.correctors.functions[1][0]
    x = ufl.SpatialCoordinate(solution.cell.mesh)
    exact = ufl.as_vector([0.0, 0.5 * x[0] * (0.5 - x[0])])
    assert solve.integrate(ufl.inner(flow - exact, flow - exact) * ufl.dx) < 1e-20


def test_slit_in_3d_is_exact():
    tensor = homogenize_stokes(slit_cell((6, 3, 3)), rtol=1e-12)
    assert tensor.value == pytest.approx(np.diag([0.0, SLIT, SLIT]), abs=1e-10)


def test_parallel_slits_add():
    """Two slits of half the width: K is a quarter; the pressure has a constant in each."""
    tensor = homogenize_stokes(slit_cell((16, 4), pores=2), rtol=1e-11, preconditioner="multigrid")
    assert tensor.value == pytest.approx(np.diag([0.0, SLIT / 4]), abs=1e-10)


def test_closed_direction_is_said(caplog):
    with caplog.at_level(logging.WARNING, logger="homfem"):
        homogenize_stokes(slit_cell())
    assert "percolates only along (0 1)" in caplog.text


@pytest.mark.parametrize("fraction", [0.05, 0.2, 0.4, 0.6])
def test_cylinders_of_sangani_and_acrivos(fraction):
    tensor = homogenize_stokes(fibre_array(fraction=fraction, resolution=0.05), "matrix")
    assert np.diag(tensor.value) * CYLINDERS[fraction] == pytest.approx([1.0, 1.0], rel=1e-3)


def test_densest_cylinders():
    """Lubrication, F = 9 pi/(2 sqrt 2) (1 - sqrt(f/f_max))^(-5/2), says 127400, the printed number is 126300."""
    tensor = homogenize_stokes(fibre_array(fraction=0.75, resolution=0.1), "matrix")
    assert tensor.value[0, 0] * 126300 == pytest.approx(1.0, rel=0.01)
    assert tensor.value[0, 0] * 127400 == pytest.approx(1.0, rel=0.005)


def test_spheres_of_zick_and_homsy():
    exact = permeability_of_spheres(0.216, DRAG_OF_SPHERES[0.216])
    tensor = homogenize_stokes(sphere_array(fraction=0.216, resolution=0.25), "matrix")
    assert tensor.value == pytest.approx(exact * np.eye(3), abs=0.005 * exact)
    assert tensor.iterations < 3 * 100


@pytest.mark.parametrize(("order", "error"), [(1, 3e-3), (2, 1e-5)])
def test_tube_of_poiseuille(order, error):
    tensor = homogenize_stokes(tube(0.3, resolution=0.2, layers=3, order=order))
    assert np.abs(tensor.value[:2]).max() == 0.0
    assert tensor.value[2, 2] == pytest.approx(np.pi * 0.3**4 / 8, rel=error)


def square_hole(n, *, periods=1, **options):
    """Fluid around centred squares of fraction 1/4, ``periods`` of them along each axis."""
    return grid_cell((n * periods,) * 2, lambda s: square((s * periods) % 1), names=("pore", "solid"), **options)


def test_two_periods_are_one():
    """The lattice of the second is twice as fine."""
    one = homogenize_stokes(square_hole(8), rtol=1e-12, preconditioner="multigrid")
    two = homogenize_stokes(square_hole(8, periods=2, length=2.0), rtol=1e-12, preconditioner="multigrid")
    assert two.value == pytest.approx(one.value, rel=1e-9)


def test_the_kernel_of_the_pressure_costs_no_digits():
    """The factors' last pivot is round-off, and so large is the part of their solution in the kernel."""
    cell = square_hole(16).restrict(["pore"])
    problem = stokes_problem(cell, degree=4, axes=[0])
    found = solve_correctors(cell, problem, preconditioner="direct", rtol=1e-12)
    # The sum of all entries of the load is the volume of the fluid.
    assert found.residual_norms[0] < 1e-10 * 0.75


def test_mean_velocity_is_the_dissipation():
    cell = square_hole(8, vectors=[[1.0, 0.2], [0.0, 1.1]]).restrict(["pore"])
    found = solve_correctors(cell, stokes_problem(cell), rtol=1e-13)
    flows = [u for u, _ in found.functions]
    volume = cell.lattice.volume
    mean = np.array([[solve.integrate(u[i] * ufl.dx) for u in flows] for i in range(2)]) / volume
    energy = np.array([[solve.integrate(ufl.inner(ufl.grad(u), ufl.grad(v)) * ufl.dx) for u in flows] for v in flows])
    size = np.abs(mean).max()
    assert mean == pytest.approx(energy / volume, abs=1e-10 * size)
    assert found.average == pytest.approx(mean, abs=1e-10 * size)
    assert mean == pytest.approx(mean.T, abs=1e-10 * size)
    assert abs(mean[0, 1]) > 1e-3 * size
    assert np.linalg.eigvalsh(found.average)[0] > 0.0
    for u, _ in found.functions:
        assert solve.integrate(ufl.inner(u, u) * ufl.ds) < 1e-25


@pytest.mark.parametrize("rtol", [1e-10, 0.03])
def test_the_permeability_is_the_value_of_lagranges_function(rtol):
    """From matrix and loads as from its form, of a flow that is loosely solved too, on curved cells."""
    cell = fibre_array(fraction=0.3, resolution=0.2, order=2).restrict(["matrix"])
    problem = stokes_problem(cell)
    found = solve_correctors(cell, problem, preconditioner="multigrid", rtol=rtol)
    work = np.array([[solve.integrate(u[k] * ufl.dx) for u, _ in found.functions] for k in range(2)])
    assert np.any(np.abs(work - found.average) > 1e-5) == (rtol > 1e-3)
    np.testing.assert_allclose(found.average, averages(cell, problem, found.functions), rtol=1e-11, atol=1e-14)


def test_errors_of_the_flow_enter_with_their_square():
    """A wrong flow, 1e-3 off: the average is 1e-6 off."""
    cell = square_hole(8).restrict(["pore"])
    problem = stokes_problem(cell)
    found = solve_correctors(cell, problem, rtol=1e-12)
    for u, _ in found.functions:
        u.x.array[:] *= 1.001
    assert averages(cell, problem, found.functions) == pytest.approx(found.average * (1.0 - 1e-6), rel=1e-9, abs=1e-12)


@pytest.mark.parametrize("fraction", [0.2, 0.6])
def test_bounds_enclose(fraction):
    """They close in; the published numbers lie between, within the error of straight facets."""
    gaps = []
    for resolution in (0.1, 0.05):
        cell = fibre_array(fraction=fraction, resolution=resolution)
        tensor = homogenize_stokes(cell, "matrix", bounds=True)
        assert not tensor.warnings
        assert tensor.lower[0, 0] * CYLINDERS[fraction] < 1.0 < tensor.upper[0, 0] * CYLINDERS[fraction]
        between = homogenize_stokes(cell, "matrix", degree=3)
        assert tensor.contains(between.value)
        assert 0.0 < np.abs(tensor.value - tensor.lower).max() < 1e-9 * tensor.value[0, 0]
        gaps.append(tensor.relative_gap)
    assert gaps[1] < 0.4 * gaps[0]


def test_bounds_in_3d():
    """Around a cube of half the period."""
    cell = grid_cell((4, 4, 4), square, names=("pore", "solid"))
    lower = homogenize_stokes(cell, element="scott-vogelius", preconditioner="direct")
    upper = homogenize_stokes(cell, element="crouzeix-raviart", preconditioner="multigrid")
    middle = homogenize_stokes(cell, preconditioner="multigrid")
    assert np.all(np.linalg.eigvalsh(middle.value - lower.value) > 0.0)
    assert np.all(np.linalg.eigvalsh(upper.value - middle.value) > 0.0)
    assert upper.upper is not None
    assert upper.lower is None
    assert lower.lower is not None
    assert lower.upper is None


def test_crouzeix_raviart_feels_no_gradients():
    """A force along the normal of the slit only makes pressure."""
    cell = slit_cell().restrict(["pore"])
    found = solve_correctors(cell, stokes_problem(cell, element="crouzeix-raviart"), preconditioner="direct")
    flow = found.functions[0][0]
    assert solve.integrate(ufl.inner(flow, flow) * ufl.dx) < 1e-25


def test_bounds_cover_a_loose_solver():
    """The allowances keep the order where the solver stops early."""
    cell = square_hole(8)
    sharp = homogenize_stokes(cell, bounds=True)
    upper = homogenize_stokes(cell, element="crouzeix-raviart", rtol=1e-5, preconditioner="multigrid").upper
    assert np.all(np.linalg.eigvalsh(upper - sharp.upper) > 0.0)
    lower = homogenize_stokes(cell, element="scott-vogelius", rtol=1e-5, preconditioner="multigrid").lower
    assert np.all(np.linalg.eigvalsh(sharp.lower - lower) > 0.0)


def test_upper_bound_holds_for_a_wrong_flow():
    """A tenth too slow, which takes a fifth off the energy; the residual then is a tenth of the load."""
    cell = square_hole(8).restrict(["pore"])
    problem = stokes_problem(cell, element="crouzeix-raviart")
    found = solve_correctors(cell, problem, preconditioner="direct")
    bound = stokes_bounds.upper_bound(cell, found)
    v, load = ufl.TestFunction(found.spaces[0]), fem.Constant(cell.mesh, np.zeros(2))
    form = solve.compile_form(problem.linear((v, None), load))
    norms = []
    for j, (u, _) in enumerate(found.functions):
        u.x.array[:] *= 0.9
        load.value[:] = np.eye(2)[j]
        norms.append(0.1 * np.abs(solve.assemble_vector(form).array_r).sum())
    wrong = replace(found, residual_norms=np.zeros(2))
    assert np.all(np.linalg.eigvalsh(stokes_bounds.upper_bound(cell, wrong) - bound) < 0.0)
    covered = replace(found, residual_norms=np.array(norms))
    assert np.all(np.linalg.eigvalsh(stokes_bounds.upper_bound(cell, covered) - bound) > 0.0)


def test_split_at_barycentres():
    cell = grid_cell((4, 4, 4), lambda s: s[:, 0] >= 0.25, names=("pore", "solid"))
    split = split_at_barycentres(cell.raw)
    assert len(split.cells) == 4 * len(cell.raw.cells)
    volumes, tags = cell_volumes(split), split.phase_of_cell
    assert [volumes[tags == k].sum() for k in (1, 2)] == pytest.approx([0.25, 0.75])
    assert volumes == pytest.approx(np.repeat(cell_volumes(cell.raw) / 4, 4))


def test_scott_vogelius_has_no_divergence():
    cell = square_hole(8)
    solution = solve_stokes(cell, element="scott-vogelius")
    assert solution.cell.number_of_cells == 3 * cell.restrict(["pore"]).number_of_cells
    for u, _ in solution.correctors.functions:
        assert solve.integrate(ufl.div(u) ** 2 * ufl.dx) < 1e-28


def test_equal_order_converges():
    exact = 1.0 / CYLINDERS[0.4]
    errors = []
    for resolution in (0.05, 0.025):
        cell = fibre_array(fraction=0.4, resolution=resolution)
        value = homogenize_stokes(cell, "matrix", element="equal-order").value
        errors.append(abs(value[0, 0] / exact - 1.0))
    assert errors[0] < 0.03
    assert errors[1] < 0.35 * errors[0]


def case_ranks(comm):
    cell = square_hole(6, comm=comm)
    answer = {}
    for element, preconditioner in (
        ("taylor-hood", "multigrid"),
        ("crouzeix-raviart", "multigrid"),
        ("scott-vogelius", "direct"),
    ):
        tensor = homogenize_stokes(cell, element=element, preconditioner=preconditioner, rtol=1e-12)
        answer[element] = [*tensor.value.ravel().tolist(), tensor.dofs]
    # A skew cell: no two mesh cells are alike but for the turn by half a circle, and the same ones are refined.
    skew = square_hole(4, vectors=[[1.0, 0.2], [0.0, 1.1]], comm=comm)
    for options in ({"bounds": True, "tolerance": 0.15}, {"tolerance": 0.03}):
        solution = solve_stokes(skew, **options)
        cells = [entry["cells"] for entry in solution.history]
        assert len(cells) > 1
        answer[str(options)] = [*solution.tensor.value.ravel().tolist(), *cells]
    return answer


@pytest.mark.mpi
def test_ranks_agree(on_ranks):
    first, *others = on_ranks(case_ranks)
    for other in others:
        for element, values in first.items():
            assert other[element] == pytest.approx(values, rel=1e-8, abs=1e-12)


@pytest.mark.parametrize("length", [0.01, 10.0])
def test_slip_in_a_slit_is_exact(length):
    tensor = homogenize_stokes(slit_cell(length=2.0), slip_length=length, rtol=1e-10, preconditioner="multigrid")
    assert tensor.value == pytest.approx(np.diag([0.0, 4.0 * SLIT * (1.0 + 6.0 * length)]), rel=1e-10)


def test_slip_in_a_tube():
    """Curved walls: K = porosity R^2/8 (1 + 4 b/R)."""
    cell = tube(0.3, resolution=0.2, layers=3, order=2)
    tensor = homogenize_stokes(cell, slip_length=0.1)
    assert tensor.value[2, 2] == pytest.approx(np.pi * 0.3**4 / 8 * (1 + 4 / 3), rel=1e-5)
    with pytest.raises(InputError, match="slip_length"):
        homogenize_stokes(tube(0.3, resolution=0.3, layers=3), slip_length=0.1)


@pytest.mark.parametrize(("shape", "element", "error"), [((8, 4), "taylor-hood", 1e-9), ((32, 4), "equal-order", 0.01)])
def test_pixels(shape, element, error):
    phases = np.ones(shape, dtype=int)
    phases[: shape[0] // 2] = 0
    image = Image(phases=phases, names=("pore", "solid"), voxel=(1 / shape[0], 1 / shape[1]), length_unit="um")
    tensor = homogenize_stokes(image_cell(image, elements="voxel"), element=element)
    assert tensor.value == pytest.approx(np.diag([0.0, SLIT]), rel=error)
    with pytest.raises(InputError, match="element"):
        homogenize_stokes(image_cell(image, elements="voxel"), bounds=True)


def voxels_around_a_cube(n):
    middle = np.abs((np.arange(n) + 0.5) / n - 0.5) < 0.26
    phases = np.asarray(middle[:, None, None] & middle[None, :, None] & middle[None, None, :], dtype=int)
    return Image(phases=phases, names=("pore", "solid"), voxel=1 / n, length_unit="um")


def test_iterations_stay_few():
    counts = []
    for n in (4, 8):
        cell = image_cell(voxels_around_a_cube(n), elements="simplex")
        counts.append(homogenize_stokes(cell, rtol=1e-8, preconditioner="multigrid").iterations)
    assert counts[1] < 1.25 * counts[0]
    assert counts[1] < 3 * 60


def test_text():
    text = str(homogenize_stokes(slit_cell()))
    assert text.startswith("permeability (stokes, pore; finite-element, periodic) in um^2")
    assert "a lower bound" in str(homogenize_stokes(slit_cell(), element="scott-vogelius"))


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"fluid": "water"}, "fluid"),
        ({"fluid": []}, "fluid"),
        ({"fluid": ["pore", "solid"]}, "fluid"),
        ({"element": "mini"}, "element"),
        ({"degree": 1}, "degree"),
        ({"element": "crouzeix-raviart", "degree": 2}, "degree"),
        ({"rtol": 0.0}, "rtol"),
        ({"preconditioner": "none"}, "preconditioner"),
        ({"boundary": "affine"}, "boundary"),
        ({"backend": "multipoint"}, "backend"),
        ({"bounds": True, "element": "taylor-hood"}, "bounds"),
        ({"slip_length": 0.0}, "slip_length"),
        ({"slip_length": 0.1, "element": "equal-order"}, "slip_length"),
        ({"tolerance": 0.0}, "tolerance"),
        ({"tolerance": 0.1, "element": "crouzeix-raviart"}, "tolerance"),
        ({"tolerance": 0.1, "degree": 2}, "degree"),
        ({"tolerance": 0.1, "max_dofs": 0}, "max_dofs"),
    ],
)
def test_bad_input(options, named):
    with pytest.raises(InputError, match=named):
        homogenize_stokes(slit_cell(), **options)


def test_unknown_fluid_names_the_known_ones():
    with pytest.raises(InputError, match=r"'pore'.*'solid'"):
        homogenize_stokes(slit_cell(), "water")


def test_closed_pore():
    with pytest.raises(PercolationError):
        homogenize_stokes(square_hole(8), "solid")


def test_dead_pores_do_not_matter():
    """A closed hole in the solid of a slit."""

    def phase(s):
        hole = (np.abs(s - [0.75, 0.5]) < 0.125).all(axis=1)
        return (s[:, 0] >= 0.5) & ~hole

    solution = solve_stokes(grid_cell((16, 8), phase, names=("pore", "solid")), rtol=1e-12)
    assert solution.tensor.value == pytest.approx(np.diag([0.0, SLIT]), abs=1e-10)
    assert solution.tensor.volume_fractions["pore"] == pytest.approx(0.5 + 1 / 16)


def test_the_gap_is_a_sum_over_mesh_cells():
    """Prager and Synge: the trace of the difference of the bounds, both solved directly."""
    cell = fibre_array(fraction=0.4, resolution=0.2).restrict(["matrix"])
    upper = solve_correctors(cell, stokes_problem(cell, element="crouzeix-raviart"), preconditioner="direct")
    split = stokes_bounds.split(cell)
    lower = solve_correctors(split, stokes_problem(split, element="scott-vogelius"), preconditioner="direct")
    gaps = flow_gaps(cell, upper, split, lower)
    assert gaps.min() > 0.0
    assert gaps.sum() == pytest.approx(np.trace(upper.average - lower.average), rel=1e-8)


def test_bounds_reach_a_tolerance():
    """Around squares, whose corners need small cells: with fewer unknowns than a uniform mesh of the same gap."""
    solution = solve_stokes(square_hole(8), bounds=True, tolerance=0.02)
    tensor = solution.tensor
    assert tensor.reached
    assert tensor.relative_gap <= 0.02
    assert [entry["relative_gap"] for entry in solution.history][-1] == tensor.relative_gap
    assert len(solution.history) > 1
    assert tensor.estimated_error is None
    uniform = homogenize_stokes(square_hole(32), bounds=True)
    assert uniform.relative_gap > 0.02
    assert tensor.dofs < uniform.dofs
    # Bisection leaves the walls where they are: one permeability lies in all brackets.
    exact = homogenize_stokes(square_hole(16), degree=4)
    assert tensor.contains(exact.value)
    assert uniform.contains(exact.value)


#: Of a square duct with the side 1: the flux for a unit force, a classical series.
DUCT = 1 / 12 - 16 / np.pi**5 * sum(np.tanh(n * np.pi / 2) / n**5 for n in range(1, 60, 2))


def duct(n):
    """A square duct of half the period along z."""
    return grid_cell((n, n, 3), lambda s: (s[:, :2] >= 0.5).any(axis=1), names=("pore", "solid"))


def test_an_estimate_reaches_a_tolerance():
    """The flux of a square duct is known: the estimate covers the error, and is within a few times that of degree 2."""
    solution = solve_stokes(duct(4), tolerance=5e-2)
    tensor, exact = solution.tensor, DUCT / 16
    assert tensor.reached
    assert len(solution.history) > 1
    assert tensor.estimated_error <= 1e-2
    assert tensor.lower is None
    assert tensor.upper is None
    assert "estimate" in str(tensor)
    error = abs(tensor.value[2, 2] / exact - 1.0)
    assert error < tensor.estimated_error
    before = solve_correctors(solution.cell, stokes_problem(solution.cell), preconditioner="direct")
    lesser = abs(before.average[2, 2] / exact - 1.0)
    assert 0.5 * lesser < tensor.estimated_error < 2.0 * lesser


def bisected(cell):
    """Every edge halved: four triangles for one."""
    nodes, _ = periodic.identify_nodes(cell.raw.points, cell.raw.lattice, partial=True)
    raw = bisect_cells(cell.raw, nodes, np.ones(len(cell.raw.cells), dtype=bool))
    return UnitCell.from_raw(raw, comm=cell.comm, partial=True)


def test_an_estimate_does_not_pass_through_zero():
    """The values of degree 2 and 3 lie on both sides of the truth: their distance is a thirtieth of the error."""
    cell = fibre_array(fraction=0.6, resolution=0.2)
    fluid = cell.restrict(["matrix"])
    fine = bisected(bisected(fluid))
    exact = solve_correctors(fine, stokes_problem(fine, degree=4), preconditioner="direct", rtol=1e-8).average
    first, second = (homogenize_stokes(cell, "matrix", degree=degree).value for degree in (2, 3))
    error = abs(second[0, 0] / exact[0, 0] - 1.0)
    assert abs(first[0, 0] / second[0, 0] - 1.0) < 0.1 * error
    solution = solve_stokes(cell, "matrix", tolerance=0.02)
    estimates = [entry["relative_gap"] for entry in solution.history]
    assert error < estimates[0]
    # Within the tolerance at once, and believed when a finer mesh agrees.
    tensor = solution.tensor
    assert tensor.reached
    assert len(estimates) == 2
    assert tensor.estimated_error == estimates[1]
    assert max(estimates) + tensor.relative_geometric_error < 0.02
    assert np.linalg.norm(tensor.value - exact, 2) / exact[0, 0] < estimates[1] < estimates[0]


class Told(MeshSolution):
    """A solution whose estimate is told."""

    def gaps(self):
        return np.ones(0 if self.cell.raw is None else len(self.cell.raw.cells))

    def geometric_error(self):
        return 0.0


def test_an_estimate_is_no_less_than_the_last_change(caplog, monkeypatch):
    """And is within the tolerance on two meshes in a row, or not reached."""
    solution = solve_stokes(slit_cell())
    made = [(1.0, 0.3), (1.1, 0.005), (1.1, 0.005), (1.1, 0.005), (9.0, 0.0)]

    def gaps(meshes, most):
        told = iter(meshes)

        def solve(self, part, loads, plan):
            value, estimate = next(told)
            tensor = replace(solution.tensor, value=value * np.eye(2), estimated_error=estimate)
            return Told(tensor=tensor, cell=part, correctors=solution.correctors)

        monkeypatch.setattr(Stokes, "solve", solve)
        found = solve_cell(slit_cell(), Stokes(), Accuracy(tolerance=0.05, max_dofs=most))
        return found.tensor, [entry["relative_gap"] for entry in found.history]

    tensor, found = gaps(made, None)
    assert tensor.reached
    assert found == pytest.approx([0.3, 0.1 / 1.05, 0.005, 0.005])
    tensor, found = gaps(made[1:], 100)
    assert not tensor.reached
    assert found == [0.005]
    assert "no coarser mesh" in caplog.text


@pytest.mark.parametrize("bounds", [True, False])
def test_a_budget_ends_the_refinement(bounds, caplog):
    tensor = homogenize_stokes(square_hole(8), bounds=bounds, tolerance=1e-4, max_dofs=6000)
    assert not tensor.reached
    assert tensor.dofs <= 6000
    assert "max_dofs" in caplog.text


def test_bounds_need_straight_simplices():
    cell = fibre_array(fraction=0.3, resolution=0.2, order=2)
    with pytest.raises(InputError, match="element"):
        homogenize_stokes(cell, "matrix", bounds=True)
    with pytest.raises(InputError, match="tolerance"):
        homogenize_stokes(cell, "matrix", tolerance=0.1)
