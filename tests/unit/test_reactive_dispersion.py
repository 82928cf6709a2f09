"""Dispersion with a reaction on the walls: closed forms, printed numbers, the weighted cell problem, limits."""

from __future__ import annotations

import json
import math
from types import SimpleNamespace

import numpy as np
import pytest
import ufl
from dolfinx import fem
from mpi4py import MPI

from homfem import _dolfinx, runs
from homfem.cells import fibre_array, slit
from homfem.certify import homogenize_dispersion, solve_dispersion
from homfem.certify.dispersion import StokesFlow, reacting
from homfem.local.dispersion import Carrier
from homfem.local.dispersion_series import solve_dispersed
from homfem.parameters import InputError, PercolationError


def fibre(resolution: float = 0.1, comm: MPI.Comm = MPI.COMM_WORLD):
    return fibre_array(fraction=0.3, dimension=2, resolution=resolution, order=2, comm=comm)


def rate_of(tensor) -> float:
    return float(tensor.coefficients["rate"].value)


@pytest.mark.parametrize(
    ("peclet", "rate", "velocity", "along", "across"),
    [(10.0, 2.55904591, 1.0382063, 2.0834407, 0.78684591), (0.0, 2.54288433, None, 0.75401725, 0.75401725)],
)
def test_walls_of_fibres(peclet: float, rate: float, velocity: float | None, along: float, across: float) -> None:
    tensor = homogenize_dispersion(fibre(0.08), {"matrix": 1.0}, peclet=peclet, wall_rate=1.0, degree=3)
    assert rate_of(tensor) == pytest.approx(rate, rel=2e-6)
    assert np.allclose(np.diag(tensor.value), [along, across], rtol=1e-5)
    if velocity is not None:
        assert tensor.coefficients["velocity"].value[0] / peclet == pytest.approx(velocity, rel=2e-6)


def test_slit_in_closed_form() -> None:
    """Half-width 1/4, Da 1, any Peclet number: the printed numbers of the reactive slit."""
    cell = slit(0.5, dimension=2, resolution=0.05)
    tensors = homogenize_dispersion(
        cell, {"pore": 1.0}, peclet=[4.0, 40.0], wall_rate=4.0, degree=3, flow=StokesFlow(direction=[0.0, 1.0])
    )
    for tensor in tensors:
        pe = float(tensor.coefficients["peclet"].value)  # with the period; the half-width is a quarter of it
        assert rate_of(tensor) == pytest.approx(16.0 * 0.7401738844, rel=1e-7)
        assert tensor.coefficients["velocity"].value[1] == pytest.approx(1.100924555 * pe, rel=1e-6)
        assert tensor.value[1, 1] == pytest.approx(1.0 + 0.0142316351 * (pe / 4.0) ** 2, rel=1e-6)
        assert tensor.value[0, 0] == 0.0


def test_reaction_and_sorption() -> None:
    """m tan m = Da - K m^2, and what the walls hold slows all down."""
    cell = slit(0.5, dimension=2, resolution=0.05)
    tensor = homogenize_dispersion(
        cell, {"pore": 1.0}, peclet=0.0, wall_rate=4.0, sorption_length=0.125, flow=StokesFlow(direction=[0.0, 1.0])
    )
    m = math.sqrt(rate_of(tensor)) / 4.0
    assert m * math.tan(m) == pytest.approx(1.0 - 0.5 * m * m, rel=1e-6)
    square = 0.5 + math.sin(2 * m) / (4 * m)  # of cos(m x) over the half-width, and what its wall holds
    assert tensor.value[1, 1] == pytest.approx(square / (square + 0.5 * math.cos(m) ** 2), rel=1e-6)
    assert tensor.retardation == pytest.approx(1.5, rel=1e-9)


def test_walls_that_take_all() -> None:
    """A slit whose walls hold no concentration: the first two modes in closed form, the rest a sum over modes."""
    cell = slit(0.5, dimension=2, resolution=0.05)
    flow = StokesFlow(direction=[0.0, 1.0])
    still, moved = homogenize_dispersion(
        cell, {"pore": 1.0}, peclet=[0.0, 40.0], wall_rate=math.inf, degree=3, flow=flow
    )
    assert rate_of(moved) == pytest.approx(4.0 * math.pi**2, rel=1e-7)
    assert moved.coefficients["velocity"].value[1] == pytest.approx(40.0 * (1.0 + 3.0 / math.pi**2), rel=1e-6)
    assert still.value[1, 1] == pytest.approx(1.0, rel=1e-8)
    assert moved.value[1, 1] == pytest.approx(1.0 + 0.0026651514565 * 10.0**2, rel=1e-5)
    assert moved.retardation == 1.0
    # As the limit of walls that take ever more, which is reached as the inverse of the rate.
    (fast,) = homogenize_dispersion(cell, {"pore": 1.0}, peclet=[40.0], wall_rate=4e4, degree=3, flow=flow)
    assert rate_of(fast) == pytest.approx(rate_of(moved), rel=1e-3)
    assert rate_of(fast) < rate_of(moved)
    assert np.allclose(fast.value, moved.value, rtol=1e-3)


def test_eigenfunctions_of_walls_that_take_all() -> None:
    """Zero on the walls, of the mean and the product that are said."""
    solved = solve_dispersion(fibre(0.2), {"matrix": 1.0}, peclet=5.0, wall_rate=math.inf).solved
    (spectrum,) = solved.spectra
    phi, adjoint = spectrum.function, spectrum.adjoint
    one, dx = fem.Constant(solved.cell.mesh, 1.0), ufl.dx(solved.cell.mesh)
    size = fem.assemble_scalar(fem.form(one * dx))
    assert fem.assemble_scalar(fem.form(phi * adjoint * dx)) == pytest.approx(size, rel=1e-9)
    assert fem.assemble_scalar(fem.form(phi * dx)) == pytest.approx(size, rel=1e-9)
    assert fem.assemble_scalar(fem.form(phi**2 * ufl.ds)) == 0.0


def test_error_is_estimated() -> None:
    """The change from elements of one degree less is above what the finer elements are off by; of degree 1 about it."""
    exact = {"rate": 2.55904591, "along": 2.0834407}
    for resolution, degree in ((0.2, 2), (0.2, 1), (0.1, 2)):
        tensor = homogenize_dispersion(fibre(resolution), {"matrix": 1.0}, peclet=10.0, wall_rate=1.0, degree=degree)
        off = max(abs(rate_of(tensor) / exact["rate"] - 1.0), abs(tensor.value[0, 0] / exact["along"] - 1.0))
        assert off < (1.1 if degree == 1 else 1.0) * tensor.estimated_error < 0.2
    still = homogenize_dispersion(fibre(0.1), {"matrix": 1.0}, peclet=0.0, wall_rate=1.0)
    assert still.estimated_error < 0.02  # a velocity of round-off does not count


@pytest.mark.parametrize("peclet", [1.0, 20.0])
def test_error_is_the_largest_change_from_one_degree_less(peclet: float) -> None:
    """In a slow flow the rate changes most, in a fast one the tensor."""
    cell = slit(0.5, axis="y", dimension=2, resolution=0.15)
    fine, coarse = (
        homogenize_dispersion(cell, {"pore": 1.0}, peclet=peclet, wall_rate=1.0, degree=degree) for degree in (2, 1)
    )
    changes = [rate_of(coarse) / rate_of(fine) - 1.0, coarse.value[0, 0] / fine.value[0, 0] - 1.0]
    # Relative to the mean of both tensors.
    changes[1] /= 1.0 + 0.5 * changes[1]
    largest = int(np.argmax(np.abs(changes)))
    assert largest == (peclet > 5.0)
    assert fine.estimated_error == pytest.approx(abs(changes[largest]), rel=1e-6)


def test_a_velocity_that_a_degree_changes_counts_beside_its_size_or_diffusion(monkeypatch) -> None:
    """All else being the same; one that is slower than diffusion through a period counts beside that."""
    cell = slit(0.5, dimension=2, resolution=0.15)
    carrier = solve_dispersion(cell, {"pore": 1.0}, peclet=1.0, flow=StokesFlow(direction=[0.0, 1.0])).solved.carrier

    def solved(speed: float):
        return SimpleNamespace(scale=1.0, velocity=np.array([0.0, speed]), value=np.diag([0.0, 2.0]))

    def changes(fine: float, coarse: float):
        monkeypatch.setattr(reacting, "react_all", lambda *_: [(solved(coarse), SimpleNamespace(value=3.0))])
        walls = reacting.WallReaction(rate=1.0)
        return reacting.changes_of_degree(carrier, None, walls, [(solved(fine), SimpleNamespace(value=3.0))])

    assert changes(10.0, 9.0) == [pytest.approx(0.1)]
    assert changes(1e-3, 2e-3) == [pytest.approx(0.5e-3)]


def test_a_slow_reaction_leaves_the_correctors_of_none() -> None:
    """Walls that hold some count in the mean that the correctors have."""
    cell, flow = slit(0.5, dimension=2, resolution=0.15), StokesFlow(direction=[0.0, 1.0])
    with_reaction, without = (
        solve_dispersion(
            cell, {"pore": 1.0}, peclet=4.0, wall_rate=rate, sorption_length=0.1, flow=flow, degree=3
        ).solved.dispersed[0]
        for rate in (1e-9, 0.0)
    )
    assert with_reaction.mass == pytest.approx(0.7, rel=1e-9)
    assert with_reaction.correctors.average == pytest.approx(without.correctors.average, rel=1e-6, abs=1e-9)


def test_units_of_length_and_time() -> None:
    """A diffusivity in um^2/s in a cell in mm: rates of walls are in mm/s."""
    rates = []
    for period, length_unit, wall_rate in ((1000.0, "um", 1.0), (1.0, "mm", 1e-3)):
        cell = slit(0.5, dimension=2, resolution=0.15, period=period, length_unit=length_unit)
        tensor = homogenize_dispersion(
            cell, {"pore": 100.0}, peclet=0.0, wall_rate=wall_rate, unit="um^2/s", flow=StokesFlow(direction=[0.0, 1.0])
        )
        assert tensor.coefficients["rate"].unit == "1/s"
        rates.append(rate_of(tensor))
    assert rates[1] == pytest.approx(rates[0], rel=1e-9)


@pytest.mark.parametrize(("wall_rate", "exact"), [(1.0, 2.55904606), (math.inf, 28.96640844)])
def test_what_straight_facets_change_in_the_rate_is_told(wall_rate: float, exact: float) -> None:
    for resolution in (0.2, 0.05):
        cell = fibre_array(fraction=0.3, dimension=2, resolution=resolution)
        tensor = homogenize_dispersion(cell, {"matrix": 1.0}, peclet=10.0, wall_rate=wall_rate, degree=3)
        off = abs(rate_of(tensor) / exact - 1.0)
        assert off < tensor.relative_geometric_error < 2.0 * off
    assert homogenize_dispersion(fibre(0.2), {"matrix": 1.0}, peclet=10.0, wall_rate=1.0).geometric_error == 0.0


def test_response_is_the_weighted_cell_problem() -> None:
    """The cell problem of dispersion with the weight phi phi* and its own drift: the same tensor by another way."""
    solution = solve_dispersion(fibre(), {"matrix": 1.0}, peclet=10.0, wall_rate=3.0, degree=3)
    solved = solution.solved
    phi, adjoint, flow = solved.spectra[0].function, solved.spectra[0].adjoint, solved.flow
    cell = solution.cell
    space = fem.functionspace(cell.mesh, ("Lagrange", 6))
    weight, drift = fem.Function(space), fem.Function(fem.functionspace(cell.mesh, ("DG", 6, (2,))))
    weight.interpolate(fem.Expression(phi * adjoint, _dolfinx.interpolation_points(space)))
    velocity = solved.dispersed[0].scale * (flow.velocity - ufl.grad(flow.potential))
    b = phi * adjoint * velocity + phi * ufl.grad(adjoint) - adjoint * ufl.grad(phi)
    drift.interpolate(fem.Expression(b, _dolfinx.interpolation_points(drift.function_space)))
    carrier = Carrier(cell=cell, diffusivity=solved.carrier.diffusivity, velocity=drift, weight=weight, degree=3)
    (other,) = solve_dispersed(carrier, [1.0])
    assert np.allclose(other.velocity, solved.dispersed[0].velocity, rtol=1e-4, atol=1e-6)
    assert np.allclose(other.value, solved.dispersed[0].value, rtol=1e-3, atol=1e-5)


def test_reversed_flow_and_no_reaction() -> None:
    cell = fibre(0.15)
    there, back = (
        homogenize_dispersion(cell, {"matrix": 1.0}, peclet=5.0, wall_rate=2.0, flow=StokesFlow(direction=[s, 0.0]))
        for s in (1.0, -1.0)
    )
    assert np.allclose(there.value, back.value, rtol=1e-7)
    assert rate_of(there) == pytest.approx(rate_of(back), rel=1e-9)
    assert np.allclose(there.coefficients["velocity"].value, -back.coefficients["velocity"].value, atol=1e-7)
    slow = homogenize_dispersion(cell, {"matrix": 1.0}, peclet=5.0, wall_rate=1e-7)
    none = homogenize_dispersion(cell, {"matrix": 1.0}, peclet=5.0)
    assert np.allclose(slow.value, none.value, rtol=1e-5, atol=1e-7)
    assert rate_of(slow) == pytest.approx(2.7737513e-7, rel=1e-3)


def test_units_and_what_is_said() -> None:
    cell = fibre_array(fraction=0.3, dimension=2, resolution=0.2, period=10.0, length_unit="um")
    tensor = homogenize_dispersion(cell, {"matrix": 100.0}, peclet=1.0, wall_rate=10.0, unit="um^2/s")
    plain = homogenize_dispersion(
        fibre_array(fraction=0.3, dimension=2, resolution=0.2), {"matrix": 1.0}, peclet=1.0, wall_rate=1.0
    )
    assert rate_of(tensor) == pytest.approx(rate_of(plain), rel=1e-8)
    assert tensor.coefficients["rate"].unit == "1/s"
    assert tensor.to_dict()["rate"] == rate_of(tensor)
    assert "what is left" in tensor.conventions["rate"]
    assert "flux_form" not in tensor.coefficients


def test_config() -> None:
    document = {
        "cell": {"shape": "fibre-array", "fraction": 0.3, "dimension": 2, "resolution": 0.1, "order": 2,
                 "period": "10 um"},
        "effective": {"physics": "dispersion", "phases": {"matrix": "1e-6 cm^2/s"}, "peclet": 10.0, "degree": 3,
                      "wall_rate": "10 um/s"},
    }  # fmt: skip
    plain = json.loads(runs.tensor(document).tensor.to_json())
    assert plain["rate"] == pytest.approx(2.55904591, rel=1e-5)
    assert plain["velocity"][0] == pytest.approx(1.0382063 * 100.0, rel=1e-5)
    assert plain["value"][0][0] == pytest.approx(2.0834407e-6, rel=1e-4)
    taken = runs.tensor({**document, "effective": {**document["effective"], "wall_rate": "infinite"}})
    assert rate_of(taken.tensor) == pytest.approx(28.9663, rel=1e-5)
    for key, value in (
        ("wall_rate", "-1 um/s"),
        ("wall_rate", "inf um/s"),
        ("wall_rate", "all"),
        ("wall_rate", "1 1/s"),
        ("tolerance", 1e-3),
        ("bounds", True),
    ):
        wrong = {**document, "effective": {**document["effective"], key: value}}
        with pytest.raises(InputError) as caught:
            runs.tensor(wrong)
        assert caught.value.name == f"effective.{key}"


def _on_ranks(comm: MPI.Comm) -> dict[str, list[float]]:
    tensor = homogenize_dispersion(fibre(0.2, comm), {"matrix": 1.0}, peclet=10.0, wall_rate=1.0)
    return {"found": [rate_of(tensor), *tensor.value.ravel(), *tensor.coefficients["velocity"].value]}


def test_ranks_agree(on_ranks) -> None:
    one, two, three = (np.array(each["found"]) for each in on_ranks(_on_ranks))
    assert np.allclose(one, two, rtol=1e-6, atol=1e-7)
    assert np.allclose(one, three, rtol=1e-6, atol=1e-7)


def test_bad_input_is_refused() -> None:
    cell = fibre_array(fraction=0.3, dimension=2, resolution=0.2)
    for options, named in (
        ({"wall_rate": -1.0}, "wall_rate"),
        ({"wall_rate": math.nan}, "wall_rate"),
        ({"wall_rate": -math.inf}, "wall_rate"),
        ({"wall_rate": math.inf, "sorption_length": 0.1}, "sorption_length"),
        ({"wall_rate": 1.0, "bounds": True}, "bounds"),
        ({"wall_rate": 1.0, "tolerance": 1e-3}, "tolerance"),
    ):
        with pytest.raises(InputError) as caught:
            homogenize_dispersion(cell, {"matrix": 1.0}, peclet=1.0, **options)
        assert caught.value.name == named
    with pytest.raises(PercolationError):
        homogenize_dispersion(cell, {"fibre": 1.0}, peclet=0.0, wall_rate=1.0)
