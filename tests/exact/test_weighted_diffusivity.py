"""Bounds of the diffusivity of what is left of a solute that decays: printed numbers and finer meshes are between."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from dolfinx import fem
from dolfinx.mesh import create_unit_cube, create_unit_square
from mpi4py import MPI

from homfem import homogenize_diffusion, homogenize_reaction, solve
from homfem.cells import blocks, fibre_array, laminate
from homfem.certify.accuracy import Accuracy
from homfem.certify.reaction.on_mesh import left_of, per_amount
from homfem.certify.reaction.physics import Reaction
from homfem.local.eigenvalue_bounds import EigenvalueBounds, eigenvalue_bounds
from homfem.local.engine import solve_correctors
from homfem.local.weighted_bounds import _bernstein, weighted_bounds
from made_cells import grid_cell

QUARTERS = [0.25, 0.5, 0.25]


def square(resolution):
    return blocks(["LLL", "LDL", "LLL"], widths=QUARTERS, heights=QUARTERS, resolution=resolution)


def bounds_of(tensor):
    one = tensor.coefficients["diffusivity"]
    assert one.order == "loewner"
    assert np.array_equal(one.value, tensor.value)
    return one.lower, one.upper


def between(lower, middle, upper) -> bool:
    return bool(np.linalg.eigvalsh(middle - lower).min() >= 0.0 and np.linalg.eigvalsh(upper - middle).min() >= 0.0)


@pytest.mark.parametrize(("rate", "exact"), [(1.0, 0.99985920), (10.0, 0.98826630)])
def test_squares_that_react_are_between_bounds_that_close(rate, exact):
    """Numbers of another program."""
    gaps = []
    for resolution, degree in ((0.2, 2), (0.1, 2), (0.1, 3)):
        tensor = homogenize_reaction(
            square(resolution), {"L": 1.0, "D": 1.0}, rates={"D": rate}, bounds=True, degree=degree
        )
        lower, upper = bounds_of(tensor)
        assert between(lower, exact * np.eye(2), upper)
        gaps.append(np.trace(upper - lower))
    assert gaps[1] < gaps[0] / 2.0
    assert gaps[2] < gaps[1] / 4.0
    assert gaps[2] < 3e-3


def test_layers_with_a_matrix_that_meet_in_a_reaction():
    """Along the layers and across them, with axes that are turned: a finer mesh of a higher degree is between."""
    turned = [[1.0, 0.3], [0.3, 0.5]]
    given = {"coefficients": {"layer1": turned, "layer2": 0.3}, "interface_rates": {"layer1|layer2": 2.0}}
    cells = [
        laminate([0.6, 0.4], axis="x", dimension=2, resolution=r, period=2.0, length_unit="um") for r in (0.2, 0.1)
    ]
    tensor, fine = (
        homogenize_reaction(cell, **given, time_unit="s", degree=k, bounds=k < 4)
        for cell, k in zip(cells, (2, 4), strict=True)
    )
    lower, upper = bounds_of(tensor)
    assert between(lower, fine.value, upper)
    assert abs(fine.value[0, 1]) > 0.01
    assert np.trace(upper - lower) < 0.5 * np.trace(fine.value)
    assert tensor.coefficients["diffusivity"].unit == tensor.unit


@pytest.mark.parametrize("rate", [1e-6, 1.0, 1e4])
def test_walls_that_react_at_any_rate(rate):
    cell = fibre_array(fraction=0.3, dimension=2, resolution=0.2)
    tensor = homogenize_reaction(cell, {"matrix": 1.0}, interface_rates={"fibre|matrix": rate}, bounds=True, degree=3)
    fine = homogenize_reaction(
        cell, {"matrix": 1.0}, interface_rates={"fibre|matrix": rate}, bounds=False, degree=4
    )  # of the same polygon
    lower, upper = bounds_of(tensor)
    assert between(lower, fine.value, upper)
    if rate < 1e-3:  # what hardly reacts diffuses as what does not
        plain = homogenize_diffusion(cell, {"matrix": 1.0}, degree=3)
        assert plain.value / 0.7 == pytest.approx(fine.value, rel=1e-3, abs=1e-6)
        assert np.trace(upper - lower) < 0.03 * np.trace(fine.value)


def test_directions_that_do_not_percolate_have_none():
    cell = laminate([0.6, 0.4], axis="x", dimension=2, resolution=0.2)
    tensor = homogenize_reaction(cell, {"layer1": 2.0}, interface_rates={"layer1|layer2": 1.0}, bounds=True)
    lower, upper = bounds_of(tensor)
    assert np.abs(lower[0]).max() < 1e-9
    assert np.abs(upper[0]).max() < 1e-9
    assert lower[1, 1] <= 2.0 <= upper[1, 1]  # the weight is the same along the layer


@pytest.mark.parametrize(("axis", "part"), [(0, -0.003), (1, -0.01), (1, 0.01)])
def test_they_hold_for_a_function_that_is_off_on_purpose(axis, part):
    """What u is off by has a first-order effect on the energies of both sides, of either sign."""
    turned = [[1.0, 0.0], [0.0, 0.2]]
    reaction = Reaction(coefficients={"L": turned, "D": turned}, rates={"D": 10.0})
    cell = square(0.15)
    reaction, plan = reaction.prepared(cell, Accuracy(bounds=True, degree=3))
    medium = reaction.medium(cell)
    (spectrum, _), (fine, best) = (left_of(medium, plan, degree) for degree in (3, 5))
    second = eigenvalue_bounds(medium, spectrum, degree=3).second
    off = fem.Function(spectrum.function.function_space)
    off.interpolate(lambda x: np.cos(2.0 * np.pi * x[axis]))
    off.x.array[:] = spectrum.function.x.array + part * off.x.array
    off.x.array[:] *= np.sqrt(medium.amount() / solve.integrate(medium.mass(off, off)))
    quotient = solve.integrate(medium.energy(off, off)) / medium.amount()
    known = EigenvalueBounds(lower=fine.value * (1.0 - 1e-9), upper=quotient * (1.0 + 1e-12), second=second)
    other = replace(spectrum, function=off)
    correctors = solve_correctors(cell, medium.weighted(other, 3), rtol=1e-10)
    sides = weighted_bounds(medium, other, correctors, known, degree=3)
    assert sides is not None
    assert between(sides[0], per_amount(medium, best.average), sides[1])


@pytest.mark.parametrize(("d", "degree"), [(2, 2), (2, 3), (3, 3)])
def test_coefficients_of_bernstein_bound_a_polynomial(d, degree):
    mesh = create_unit_square(MPI.COMM_SELF, 1, 1) if d == 2 else create_unit_cube(MPI.COMM_SELF, 1, 1, 1)
    space = fem.functionspace(mesh, ("DG", degree))
    control = _bernstein(d, degree, space)
    assert control.shape == (len(control), len(control))
    assert control.sum(axis=1) == pytest.approx(1.0, rel=1e-12)
    values = np.random.default_rng(3).normal(size=len(control))
    places = np.random.default_rng(4).dirichlet(np.ones(d + 1), 500)[:, 1:]
    between = space.element.basix_element.tabulate(0, places)[0, :, :, 0] @ values
    coefficients = np.linalg.solve(control, values)
    assert coefficients.min() <= between.min() <= between.max() <= coefficients.max()


def test_in_space():
    """Across layers it is what it is in the plane, along them too."""
    cell = grid_cell((4, 3, 3), lambda s: (s[:, 0] > 0.5).astype(int))
    given = {"coefficients": {"a": 1.0, "b": 0.5}, "rates": {"b": 2.0}}
    lower, upper = bounds_of(homogenize_reaction(cell, **given, bounds=True, degree=1))
    plane = laminate([0.5, 0.5], axis="x", dimension=2, resolution=0.1)
    fine = homogenize_reaction(plane, {"layer1": 1.0, "layer2": 0.5}, rates={"layer2": 2.0}, degree=3).value
    assert between(lower, np.diag([fine[0, 0], fine[1, 1], fine[1, 1]]), upper)
    assert lower[0, 0] > 0.3


def _on_ranks(comm: MPI.Comm) -> dict[str, list[float]]:
    cell = fibre_array(fraction=0.3, dimension=2, resolution=0.3, comm=comm)
    tensor = homogenize_reaction(cell, {"matrix": 1.0, "fibre": 0.3}, rates={"fibre": 5.0}, bounds=True, degree=2)
    return {"found": np.concatenate([side.ravel() for side in bounds_of(tensor)]).tolist()}


def test_ranks_agree(on_ranks):
    one, *others = (np.array(each["found"]) for each in on_ranks(_on_ranks))
    assert one[0] > 0.5
    for other in others:
        assert np.allclose(one, other, rtol=1e-6, atol=1e-8)
