"""Reaction in cells: printed numbers, limits, regimes, ranks, what is said of the result, and bad input."""

from __future__ import annotations

import math

import numpy as np
import pytest
from mpi4py import MPI

from homfem import EffectiveTensor, homogenize_diffusion
from homfem.cells import blocks, fibre_array, image_cell, laminate, slit
from homfem.cells.unitcell import UnitCell
from homfem.certify import homogenize_reaction, solve_reaction
from homfem.grid import Image
from homfem.parameters import InputError, PercolationError

QUARTERS = [0.25, 0.5, 0.25]


def square(resolution: float = 0.1, comm: MPI.Comm = MPI.COMM_WORLD) -> UnitCell:
    return blocks(["LLL", "LDL", "LLL"], widths=QUARTERS, heights=QUARTERS, resolution=resolution, comm=comm)


def fibre(resolution: float = 0.1, order: int = 1) -> UnitCell:
    return fibre_array(fraction=0.3, dimension=2, resolution=resolution, order=order)


def rate(tensor: EffectiveTensor) -> float:
    return float(tensor.coefficients["rate"].value)


@pytest.mark.parametrize(("k", "decay", "diffusion"), [(1.0, 0.24687380, 0.99985920), (10.0, 2.21120494, 0.98826630)])
def test_reaction_in_the_square(k: float, decay: float, diffusion: float) -> None:
    tensor = homogenize_reaction(square(0.05), {"L": 1.0, "D": 1.0}, rates={"D": k})
    found = tensor.coefficients["rate"]
    assert found.lower is not None
    assert found.upper is not None
    assert found.lower < decay < found.upper
    assert rate(tensor) == pytest.approx(decay, rel=1e-5)
    assert np.allclose(tensor.value, diffusion * np.eye(2), rtol=1e-5, atol=1e-6)
    assert tensor.lower is None
    assert 0.0 < tensor.estimated_error < 2e-3
    assert tensor.reached


def test_reaction_in_the_fibre_with_curved_elements() -> None:
    tensor = homogenize_reaction(fibre(0.1, order=2), {"fibre": 1.0, "matrix": 1.0}, rates={"fibre": 10.0}, degree=3)
    assert rate(tensor) == pytest.approx(2.65064000, rel=2e-6)
    assert tensor.value[0, 0] == pytest.approx(0.98534451, rel=2e-6)
    assert tensor.coefficients["rate"].lower is None


@pytest.mark.parametrize(("da", "decay", "diffusion"), [(10.0, 13.93302261, 0.62501319), (1.0, 2.54288433, 0.75401725)])
def test_walls_of_the_fibre(da: float, decay: float, diffusion: float) -> None:
    cell = fibre(0.1, order=2)
    tensor = homogenize_reaction(cell, {"matrix": 1.0}, interface_rates={"matrix|fibre": da}, degree=3)
    assert rate(tensor) == pytest.approx(decay, rel=2e-5)
    assert tensor.value[0, 0] == pytest.approx(diffusion, rel=2e-5)
    assert tensor.coefficients["slow_rate"].value == pytest.approx(da * 2.7737513, rel=1e-4)
    assert tensor.coefficients["sink"].value == pytest.approx(0.7 * decay, rel=1e-4)


def test_bounds_on_straight_facets_say_so() -> None:
    curved, flat = (
        homogenize_reaction(cell, {"matrix" if order else "L": 1.0}, rates={"matrix" if order else "L": 1.0})
        for order, cell in ((1, fibre(0.2)), (0, square(0.25)))
    )
    assert "straight facets" in curved.conventions["bounds"]
    assert "bounds" not in flat.conventions


@pytest.mark.parametrize(
    ("named", "exact"),
    [({"interface_rates": {"fibre|matrix": 10.0}}, 13.93302261), ({"rates": {"fibre": 10.0}}, 2.65064)],
)
def test_what_straight_facets_change_in_the_rate_is_told(named: dict, exact: float) -> None:
    """More than the rate is off, and less the finer the facets are."""
    phases, errors = {"matrix": 1.0} | ({"fibre": 1.0} if "rates" in named else {}), []
    for resolution in (0.2, 0.05):
        tensor = homogenize_reaction(fibre(resolution), phases, degree=3, bounds=False, **named)
        assert abs(rate(tensor) / exact - 1.0) < tensor.relative_geometric_error < 4e-3
        errors.append(tensor.relative_geometric_error)
    assert errors[1] < 0.3 * errors[0]
    assert "rate" in tensor.conventions["geometric_error"]


def test_surfaces_that_react_from_both_sides_have_their_facets_estimated() -> None:
    found = {}
    for order, resolution in ((2, 0.1), (1, 0.1), (1, 0.05)):
        found[order, resolution] = homogenize_reaction(
            fibre(resolution, order), {"matrix": 1.0, "fibre": 0.2}, interface_rates={"fibre|matrix": 3.0}, degree=3,
            bounds=False,
        )  # fmt: skip
    for resolution in (0.1, 0.05):
        tensor = found[1, resolution]
        off = abs(rate(tensor) / rate(found[2, 0.1]) - 1.0)
        assert off < tensor.relative_geometric_error < 2.0 * off


def test_walls_without_a_name_of_their_own() -> None:
    """Interfaces of blocks are named where their other side is left out; the closed form is that of a slit."""
    cell = blocks(["DLD"], widths=[0.25, 0.5, 0.25], resolution=0.0625)
    tensor = homogenize_reaction(cell, {"L": 1.0}, interface_rates={"L|D": 4.0})
    found = tensor.coefficients["rate"]
    assert found.lower is not None
    assert found.upper is not None
    assert found.lower < 16.0 * 0.7401738844 < found.upper
    assert tensor.value[0, 0] == 0.0
    assert tensor.value[1, 1] == pytest.approx(1.0, rel=1e-9)


def test_one_wall_of_two_reacts() -> None:
    """Half of the surface reacts: a layer of twice the half-width, m tan m = 2 Da."""
    cell = blocks(["DLE"], widths=[0.25, 0.5, 0.25], resolution=0.0625)
    tensor = homogenize_reaction(cell, {"L": 1.0}, interface_rates={"D|L": 2.0})
    m = 0.8603335890193798  # m tan m = 1
    assert rate(tensor) == pytest.approx((m / 0.5) ** 2, rel=1e-5)


def test_units_of_length_do_not_matter() -> None:
    """A cell of 3 um with the same numbers per um: rates go with the inverse square, or the inverse, of the length."""
    small, large = (
        square(),
        blocks(["LLL", "LDL", "LLL"], widths=QUARTERS, heights=QUARTERS, resolution=0.1, period=3.0, length_unit="um"),
    )
    one = homogenize_reaction(small, {"L": 1.0}, rates={"L": 2.0}, interface_rates={"L|D": 6.0})
    other = homogenize_reaction(large, {"L": 1.0}, rates={"L": 2.0 / 9.0}, interface_rates={"L|D": 2.0}, time_unit="s")
    assert rate(other) == pytest.approx(rate(one) / 9.0, rel=1e-9)
    for side in ("lower", "upper"):
        ours, theirs = (getattr(tensor.coefficients["rate"], side) for tensor in (one, other))
        assert theirs == pytest.approx(ours / 9.0, rel=1e-9)
    assert np.allclose(one.value, other.value, rtol=1e-9)
    assert other.coefficients["damkoehler"].value == pytest.approx(one.coefficients["damkoehler"].value, rel=1e-9)
    assert other.unit == "um^2/s"
    assert other.coefficients["rate"].unit == "1/s"


def test_slow_regime_is_diffusion_with_the_mean_rate() -> None:
    cell = square()
    plain = homogenize_diffusion(cell, {"L": 1.0})
    slow = homogenize_reaction(cell, {"L": 1.0}, rates={"L": 1e-4}, interface_rates={"L|D": 1e-3}, regime="slow")
    assert np.allclose(slow.value, plain.value / 0.75, rtol=1e-12)
    assert slow.lower is not None
    assert plain.lower is not None
    assert np.allclose(slow.lower, plain.lower / 0.75, rtol=1e-12)
    assert rate(slow) == pytest.approx((0.75e-4 + 2e-3) / 0.75, rel=1e-12)
    assert not slow.warnings
    round_ones = fibre(0.2)
    facets = homogenize_reaction(round_ones, {"matrix": 1.0}, rates={"matrix": 1e-4}, regime="slow")
    assert facets.relative_geometric_error == pytest.approx(
        homogenize_diffusion(round_ones, {"matrix": 1.0}).relative_geometric_error, rel=1e-9
    )
    fast = homogenize_reaction(cell, {"L": 1.0}, interface_rates={"L|D": 10.0}, regime="slow")
    assert "not slow" in fast.warnings[0]
    assert fast.coefficients["decay"].value < 0.6 * rate(fast)


def test_limits_of_the_damkoehler_number() -> None:
    """Slow for small numbers; for large ones the walls take all, 5.783185963 in a tube and pi^2/4 in a slit."""
    cell = slit(0.5, dimension=2, resolution=0.05)
    small = homogenize_reaction(cell, {"pore": 1.0}, interface_rates={"pore|solid": 1e-4})
    assert rate(small) == pytest.approx(4e-4, rel=1e-4)
    large = homogenize_reaction(cell, {"pore": 1.0}, interface_rates={"pore|solid": 1e7})
    assert rate(large) == pytest.approx(4.0 * math.pi**2, rel=1e-4)


def test_layers_across_and_along() -> None:
    """A rate in one of two layers: along them the diffusivity is weighted, across them it is the harmonic mean."""
    cell = laminate([0.5, 0.5], axis="x", dimension=2, resolution=0.05)
    tensor = homogenize_reaction(cell, {"layer1": 1.0, "layer2": 1.0}, rates={"layer1": 20.0}, degree=3)
    decay = rate(tensor)
    q, kappa = math.sqrt(decay), math.sqrt(20.0 - decay)
    assert q * math.tan(0.25 * q) == pytest.approx(kappa * math.tanh(0.25 * kappa), rel=1e-7)
    x = (np.arange(200000) + 0.5) / 200000 * 0.25
    inner, outer = np.cos(q * x) / math.cos(0.25 * q), np.cosh(kappa * x) / math.cosh(0.25 * kappa)
    square_of = 0.5 * (np.mean(inner**2) + np.mean(outer**2))
    across = 1.0 / (square_of * 0.5 * (np.mean(inner**-2.0) + np.mean(outer**-2.0)))
    assert tensor.value[0, 0] == pytest.approx(across, rel=1e-6)
    assert tensor.value[1, 1] == pytest.approx(1.0, rel=1e-9)


def test_gaps_are_what_a_degree_changes() -> None:
    """Their sum is what it changes in the energies: Galerkin's identity, of the tensor and of the eigenvalue."""
    cell = blocks(["LLLL", "LDDL", "LDDL", "LLLL"], resolution=0.25)
    even = solve_reaction(cell, {"L": 1.0, "D": 5.0}, rates={"L": 2.0, "D": 2.0}).solved
    change = np.trace(even.compared.average - even.correctors.average)
    assert even.gaps().sum() == pytest.approx(change, rel=1e-8)
    assert change > 0.01
    uneven = solve_reaction(cell, {"L": 1.0, "D": 1.0}, rates={"D": 60.0}).solved
    change = 2.0 * (uneven.other.value - uneven.dual.value) * uneven.medium.amount()  # once for each axis
    assert uneven.gaps().sum() == pytest.approx(change, rel=0.05)


def test_error_is_the_half_gap_of_the_rate() -> None:
    """Along a slit the diffusivity is that of the solute, on any mesh: all that is estimated is the rate."""
    cell = slit(0.5, dimension=2, resolution=0.1)
    tensor = homogenize_reaction(cell, {"pore": 1.0}, interface_rates={"pore|solid": 8.0}, degree=1)
    found = tensor.coefficients["rate"]
    assert tensor.estimated_error == pytest.approx(0.5 * (found.upper - found.lower) / found.upper, rel=1e-9)
    other = homogenize_reaction(cell, {"pore": 1.0}, interface_rates={"pore|solid": 8.0}, degree=1, bounds=False)
    finer = homogenize_reaction(cell, {"pore": 1.0}, interface_rates={"pore|solid": 8.0}, degree=2, bounds=False)
    assert other.estimated_error == pytest.approx(1.0 - rate(finer) / rate(other), rel=1e-6)


def test_tolerance_refines_until_both_are_within() -> None:
    solution = solve_reaction(square(0.2), {"L": 1.0}, interface_rates={"L|D": 1.0}, tolerance=2e-4)
    assert len(solution.history) > 1
    assert solution.tensor.reached
    assert solution.tensor.estimated_error <= 2e-4
    found = solution.tensor.coefficients["rate"]
    assert found.lower is not None
    assert found.upper is not None
    assert (found.upper - found.lower) / 2 <= 2e-4 * found.upper


def _on_ranks(comm: MPI.Comm) -> dict[str, list[float]]:
    tensor = homogenize_reaction(square(0.2, comm), {"L": 1.0}, interface_rates={"L|D": 3.0})
    found = tensor.coefficients["rate"]
    return {"found": [float(found.value), float(found.lower), float(found.upper), *tensor.value.ravel()]}


def test_ranks_agree(on_ranks) -> None:
    one, two, three = (np.array(each["found"]) for each in on_ranks(_on_ranks))
    assert np.allclose(one, two, rtol=1e-7, atol=1e-9)
    assert np.allclose(one, three, rtol=1e-7, atol=1e-9)


def test_result_goes_to_json_and_says_its_conventions() -> None:
    tensor = homogenize_reaction(square(0.2), {"L": 1.0}, rates={"L": 2.0}, time_unit="s")
    plain = tensor.to_dict()
    assert plain["rate"] == pytest.approx(2.0, rel=1e-9)
    assert plain["velocity"] == [0.0, 0.0]
    assert EffectiveTensor.from_json(tensor.to_json()).coefficients["rate"] == tensor.coefficients["rate"]
    assert "not the effectiveness" in tensor.conventions["rate"]
    assert "finite" in str(tensor)


@pytest.mark.parametrize(
    ("given", "named"),
    [
        ({"rates": {"L": -1.0}}, "rates"),
        ({"rates": {"L": math.nan}}, "rates"),
        ({"rates": {"D": 1.0}}, "rates"),
        ({"rates": {"L": 0.0}}, "rates"),
        ({}, "rates"),
        ({"interface_rates": {"L|X": 1.0}}, "interface_rates"),
        ({"interface_rates": {"L|D": -2.0}}, "interface_rates"),
        ({"interface_rates": {"L|D": 1.0, "D|L": 2.0}}, "interface_rates"),
        ({"rates": {"L": 1.0}, "regime": "fast"}, "regime"),
        ({"rates": {"L": 1.0}, "time_unit": "kg"}, "time_unit"),
        ({"rates": {"L": 1.0}, "symmetry": "auto"}, "symmetry"),
        ({"rates": {"L": 1.0}, "backend": "multipoint"}, "backend"),
    ],
)
def test_bad_input_is_refused(given: dict, named: str) -> None:
    with pytest.raises(InputError) as caught:
        homogenize_reaction(square(0.25), {"L": 1.0}, **given)
    assert caught.value.name.startswith(named)


def test_phases_that_do_not_percolate_or_are_apart_are_refused() -> None:
    with pytest.raises(PercolationError):
        homogenize_reaction(square(0.25), {"D": 1.0}, rates={"D": 1.0})
    with pytest.raises(PercolationError, match="2 parts"):
        homogenize_reaction(blocks(["LDLD"], resolution=0.25), {"L": 1.0}, rates={"L": 1.0})
    with pytest.raises(InputError, match="coefficients"):
        homogenize_reaction(square(0.25), {}, rates={"L": 1.0})


@pytest.mark.parametrize("regime", ["finite", "slow"])
def test_closed_pores_hold_nothing_of_what_is_transported(regime: str) -> None:
    """A channel of half the height, and a pore beside it that it does not reach: per total volume half of D."""
    labels = np.ones((8, 16), dtype=int)
    labels[:, 2:10] = 0
    labels[3:5, 12:14] = 0
    cell = image_cell(Image.from_labels(labels, {"pore": 0, "solid": 1}))
    tensor = homogenize_reaction(cell, {"pore": 1.0}, rates={"pore": 1.0}, regime=regime, bounds=False)
    assert tensor.active_fraction == pytest.approx(0.53125)
    assert tensor.storage == pytest.approx(0.5)
    assert tensor.value[0, 0] == pytest.approx(1.0)
    assert tensor.per_total_volume().value[0, 0] == pytest.approx(0.5)
    assert float(tensor.coefficients["sink"].value) == pytest.approx(0.5)
    closed = [text for text in tensor.warnings if "closed pores" in text]
    assert closed == ["closed pores of pore, 0.0312 of the volume, carry nothing and are left out"]
