"""First eigenvalues of cells: the slit in closed form with and without a flow, ranks, and what is refused."""

from __future__ import annotations

import functools

import numpy as np
import pytest
import scipy.optimize
import ufl
from dolfinx import fem
from mpi4py import MPI

from homfem import solve
from homfem.cells import blocks, fibre_array, slit
from homfem.cells.unitcell import UnitCell
from homfem.local import spectral
from homfem.local.bloch import Response, respond
from homfem.local.reaction import Reacting, surfaces_of
from homfem.local.spectral import Pencil, Spectrum, solve_spectrum
from homfem.parameters import ConvergenceError, PercolationError

#: Half the width of the slit in its period of one, wall reaction times it, mean speed times it.
HALF, DAMKOEHLER, PECLET = 0.25, 1.0, 4.0


@functools.cache
def slit_modes(modes: int = 40) -> tuple[float, float, float]:
    """Eigenvalue, velocity over the mean one and (D* - 1)/Pe^2 of a slit of half-width 1, by its cosines."""

    def mode(k: int) -> float:  # m tan m = Da
        return scipy.optimize.brentq(lambda m: m * np.sin(m) - DAMKOEHLER * np.cos(m), k * np.pi, (k + 0.5) * np.pi)

    roots = np.array([mode(k) for k in range(modes)])
    x, weights = np.polynomial.legendre.leggauss(200)
    functions = np.cos(np.outer(roots, x))
    functions /= np.sqrt((functions**2) @ weights)[:, None]
    speed = (functions[0] * 1.5 * (1.0 - x**2) * functions) @ weights
    return roots[0] ** 2, speed[0], float(np.sum(speed[1:] ** 2 / (roots[1:] ** 2 - roots[0] ** 2)))


def reacting(cell: UnitCell, rates: dict[str, float], surfaces: dict[str, float], velocity: object = None) -> Reacting:
    ones = dict.fromkeys(cell.phases, 1.0)
    return Reacting(
        cell=cell,
        diffusivity=cell.cell_function(ones),
        rate=cell.cell_function({name: rates.get(name, 0.0) for name in cell.phases}),
        capacity=cell.cell_function(ones),
        surfaces=surfaces_of(cell, surfaces),
        velocity=velocity,
    )


def in_slit(resolution: float, degree: int, comm: MPI.Comm = MPI.COMM_WORLD) -> tuple[Spectrum, Response]:
    cell = slit(aperture=2 * HALF, dimension=2, resolution=resolution, comm=comm).restrict(["pore"])
    x = ufl.SpatialCoordinate(cell.mesh)[0] - 0.5
    flow = ufl.as_vector([0.0 * x, 1.5 * PECLET / HALF * (1.0 - (x / HALF) ** 2)])
    pencil = Pencil(cell, reacting(cell, {}, {"walls": DAMKOEHLER / HALF}, flow).problem(degree))
    spectrum = pencil.first()
    response = respond(pencil, spectrum)
    pencil.destroy()
    return spectrum, response


def slit_errors(resolution: float, degree: int) -> np.ndarray:
    spectrum, response = in_slit(resolution, degree)
    rate, speed, taylor = slit_modes()
    found = [
        spectrum.value * HALF**2 / rate,
        response.velocity[1] / (PECLET / HALF) / speed,
        (response.dispersion[1, 1] - 1.0) / PECLET**2 / taylor,
    ]
    return np.abs(np.array(found) - 1.0)


def test_functions_are_normalised() -> None:
    """In a flow the mean of the one is 1, and their product holds as much as ones do."""
    spectrum, _ = in_slit(0.125, 2)
    dx = ufl.dx(domain=spectrum.space.mesh)
    volume = solve.integrate(fem.Constant(spectrum.space.mesh, 1.0) * dx)
    assert solve.integrate(spectrum.function * dx) == pytest.approx(volume, rel=1e-10)
    assert solve.integrate(spectrum.function * spectrum.adjoint * dx) == pytest.approx(volume, rel=1e-10)
    assert spectrum.iterations > 2


def test_modes_of_the_slit() -> None:
    """The closed form against the printed numbers of the reactive slit."""
    assert slit_modes() == pytest.approx((0.7401738844, 1.100924555, 0.0142316351), rel=1e-8)


@pytest.mark.parametrize("degree", [1, 2])
def test_reactive_slit_converges_with_twice_the_degree(degree: int) -> None:
    coarse, fine = slit_errors(0.125, degree), slit_errors(0.0625, degree)
    order = np.log2(coarse[[0, 2]] / fine[[0, 2]])
    assert np.all(order > 2 * degree - 0.3), order
    assert np.all(fine < {1: [5e-3, 2e-5, 8e-2], 2: [1e-6, 6e-6, 1e-3]}[degree]), fine


def test_adjoint_of_the_slit_is_the_function() -> None:
    """A flow along the layers carries what is alike along them: the adjoint is the same function."""
    spectrum, _ = in_slit(0.1, 2)
    one, other = spectrum.function.x.array, spectrum.adjoint.x.array
    assert np.allclose(one / one.max(), other / other.max(), atol=1e-3)


def test_no_reaction_leaves_plain_diffusion() -> None:
    """Nothing decays: the eigenvalue is zero and the function constant."""
    cell = fibre_array(fraction=0.3, dimension=2, resolution=0.1).restrict(["matrix"])
    spectrum = solve_spectrum(cell, reacting(cell, {}, {}).problem(2))
    assert abs(spectrum.value) < 1e-10
    assert np.allclose(spectrum.function.x.array, 1.0, atol=1e-10)
    assert spectrum.second > 20.0


def test_eigenvalue_is_below_the_slow_rate_and_tends_to_it() -> None:
    cell = fibre_array(fraction=0.3, dimension=2, resolution=0.1)
    ratios = []
    for rate in (1e-3, 1.0, 10.0):
        medium = reacting(cell, {"fibre": rate}, {"fibre|matrix": 0.1 * rate})
        ratios.append(solve_spectrum(cell, medium.problem(2)).value / medium.slow_rate())
    assert 1.0 - 1e-4 < ratios[0] < 1.0
    assert ratios[0] > ratios[1] > ratios[2] > 0.5


def test_closed_pore_and_two_parts_are_refused() -> None:
    closed = fibre_array(fraction=0.3, dimension=2, resolution=0.2).restrict(["fibre"])
    with pytest.raises(PercolationError, match="in at least one direction"):
        solve_spectrum(closed, reacting(closed, {"fibre": 1.0}, {}).problem(2))
    apart = blocks(["LDLD"], resolution=0.25).restrict(["L"])
    with pytest.raises(PercolationError, match="in 2 parts"):
        solve_spectrum(apart, reacting(apart, {"L": 1.0}, {}).problem(2))


def test_function_that_is_not_positive_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """Linear elements on this mesh do not resolve the layer in which the solute is used up."""
    cell = fibre_array(fraction=0.3, dimension=2, resolution=0.2)
    monkeypatch.setattr(spectral, "NEGATIVE", 1e-3)
    with pytest.raises(ConvergenceError, match="not positive"):
        solve_spectrum(cell, reacting(cell, {"fibre": 1e3}, {}).problem(1))


def test_an_eigenvalue_of_two_parts_that_are_alike_is_refused() -> None:
    """Walls that take all that enters part them: two alike have no first one, of two others one is first."""
    wall = 1e12
    alike = blocks(["LDLD"], resolution=0.25)
    with pytest.raises(ConvergenceError, match="is not simple"):
        solve_spectrum(alike, reacting(alike, {"D": wall}, {}).problem(2))
    apart = blocks(["LDKD"], resolution=0.25)
    found = solve_spectrum(apart, reacting(apart, {"D": wall, "K": 40.0}, {}).problem(2))
    width = 0.25
    assert found.value == pytest.approx((np.pi / width) ** 2, rel=0.05)


def test_round_off_of_a_uniform_medium_is_not_solved_for() -> None:
    """Where nothing varies the response is none, and takes no solve."""
    cell = blocks(["LD"], resolution=0.25)
    pencil = Pencil(cell, reacting(cell, {"L": 3.0, "D": 3.0}, {}).problem(2))
    response = respond(pencil, pencil.first())
    assert response.iterations == 0
    assert all(not one.x.array.any() for one in response.functions)
    assert response.dispersion == pytest.approx(np.eye(2), abs=1e-10)
