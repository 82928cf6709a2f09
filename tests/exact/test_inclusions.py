"""The effectiveness factor of inclusions: closed forms, both bounds, order, units, ranks, bad input."""

from __future__ import annotations

import copy

import numpy as np
import pytest
from mpi4py import MPI
from scipy.special import iv

from homfem import homogenize_diffusion, homogenize_reactive_inclusions, runs
from homfem.cells import blocks, fibre_array, laminate, sphere_array
from homfem.certify import Accuracy, solve_cell
from homfem.certify.inclusions import Inclusions
from homfem.config import make_config
from homfem.parameters import InputError
from made_cells import grid_cell

SLAB = {1.0: 0.761594156, 2.0: 0.482013790, 10.0: np.tanh(10.0) / 10.0}
CYLINDER = {1.0: 0.892779932, 2.0: 0.697774658}
SPHERE = {1.0: 0.939105856, 2.0: 0.805972081}


def effectiveness(cell, inclusion, around, rate, **options):
    found = homogenize_reactive_inclusions(cell, {inclusion: 1.0, around: 50.0}, {inclusion: rate}, **options)
    return found.coefficients["effectiveness"], found


@pytest.mark.parametrize("thiele", SLAB)
def test_a_layer(thiele):
    cell = laminate([0.5, 0.5], axis="x", dimension=2, resolution=0.04)
    eta, found = effectiveness(cell, "layer1", "layer2", (thiele / 0.25) ** 2)
    exact = np.tanh(thiele) / thiele
    assert exact == pytest.approx(SLAB[thiele], rel=2e-9)
    assert eta.lower <= exact <= eta.upper
    assert eta.upper - eta.lower <= {1.0: 1e-6, 2.0: 1e-5, 10.0: 3e-3}[thiele]
    named = found.coefficients
    assert named["thiele_modulus"].value == pytest.approx(thiele, rel=1e-12)
    assert named["mean_rate"].value == pytest.approx(0.5 * (thiele / 0.25) ** 2, rel=1e-12)
    assert named["rate"].value == pytest.approx(eta.value * named["mean_rate"].value, rel=1e-12)
    assert found.value == pytest.approx(homogenize_diffusion(cell, {"layer2": 50.0}).value, rel=1e-9, abs=1e-9)


def test_the_gap_of_a_layer_falls_with_the_fourth_power():
    gaps = []
    for resolution in (0.125, 0.0625, 0.03125):
        eta, _ = effectiveness(
            laminate([0.5, 0.5], axis="x", dimension=2, resolution=resolution), "layer1", "layer2", 64.0
        )
        gaps.append(float(eta.upper - eta.lower))
    rates = np.log2(np.array(gaps[:-1]) / gaps[1:])
    assert np.all(rates > 3.7)


def test_round_off_is_on_both_sides():
    """Of a slow reaction both sides are right but for the last digits: tanh(F) / F, of a small F by its series."""
    cell, outside = laminate([0.5, 0.5], axis="x", dimension=2, resolution=0.25), 0
    for rate in np.random.default_rng(2).uniform(1e-9, 1e-8, 6):
        physics = Inclusions(coefficients={"layer1": 1.0, "layer2": 50.0}, rates={"layer1": float(rate)})
        solution = solve_cell(cell, physics, Accuracy())
        lower, upper = (float(side[0, 0]) for side in (solution.tensor.lower, solution.tensor.upper))
        square = rate / 16.0
        exact = 0.5 * rate * (1.0 - square / 3.0 + 2.0 * square**2 / 15.0)
        assert lower <= exact <= upper
        assert upper - lower < 1e-8 * rate
        computed = [float(side.average[0, 0]) for side in (solution.solved.dual, solution.solved.correctors)]
        outside += not computed[0] <= exact <= computed[1]
    assert outside


def test_what_straight_facets_change_has_no_unit():
    told = []
    for period in (1.0, 3.0):
        cell = fibre_array(fraction=0.3, dimension=2, resolution=0.3, period=period)
        _, found = effectiveness(cell, "fibre", "matrix", 90.0 / period**2)
        told += [text for text in found.warnings if "change the effectiveness by about" in text]
    assert len(told) == 2
    assert told[0] == told[1]


def test_conforming_elements_alone():
    """Without bounds there is the upper side alone; none at all on curved cells, whose volume is another one."""
    layers = laminate([0.5, 0.5], axis="x", dimension=2, resolution=0.1)
    eta, _ = effectiveness(layers, "layer1", "layer2", 64.0, bounds=False)
    assert eta.lower is None
    assert SLAB[2.0] <= eta.upper <= SLAB[2.0] + 2e-4
    assert abs(eta.value - eta.upper) < 1e-12
    curved = fibre_array(fraction=0.3, resolution=0.1, order=2)
    thiele = 2.0
    eta, _ = effectiveness(curved, "fibre", "matrix", thiele**2 * np.pi / 0.3)
    assert not eta.bounded
    assert eta.value == pytest.approx(CYLINDER[thiele], rel=1e-4)


def within(exact, eta, found, most, thiele):
    """The closed form is within the bounds and what facets change, and that is not much."""
    facets = float(found.warnings[-1].rsplit(" ", 1)[1])
    assert 0.0 < facets < most
    assert eta.lower - facets <= exact <= eta.upper + facets
    assert found.coefficients["thiele_modulus"].value == pytest.approx(thiele, rel=0.03)


@pytest.mark.parametrize("thiele", CYLINDER)
def test_a_cylinder(thiele):
    cell, radius = fibre_array(fraction=0.3, resolution=0.1, dimension=2), np.sqrt(0.3 / np.pi)
    eta, found = effectiveness(cell, "fibre", "matrix", (thiele / radius) ** 2)
    within(CYLINDER[thiele], eta, found, 5e-4, thiele / 2.0)
    assert eta.upper - eta.lower <= 1e-3
    assert 2.0 * iv(1, thiele) / thiele / iv(0, thiele) == pytest.approx(CYLINDER[thiele], rel=1e-8)


def test_a_sphere():
    cell, radius, thiele = sphere_array(fraction=0.3, resolution=1 / 3), (0.225 / np.pi) ** (1 / 3), 2.0
    eta, found = effectiveness(cell, "sphere", "matrix", (thiele / radius) ** 2, degree=1)
    within(SPHERE[thiele], eta, found, 2e-2, thiele / 3.0)
    assert 3.0 * (1.0 / np.tanh(1.0) - 1.0) == pytest.approx(SPHERE[1.0], rel=1e-8)


def test_limits_and_a_square_by_its_series():
    """Slow reaction: eta is 1; fast: surface over volume times sqrt(D/k). A square of side s by the double series."""
    cell = blocks(["MMMM", "MIIM", "MIIM", "MMMM"], resolution=0.05)
    slow, _ = effectiveness(cell, "I", "M", 1e-6)
    assert slow.lower <= 1.0
    assert slow.value == pytest.approx(1.0, abs=1e-7)
    n = np.arange(1, 2001, 2) * np.pi / 0.5
    # w = 1 - sum 16 k sin sin / (m n pi^2 (k + m^2 + n^2)), averaged
    k = 100.0
    weight = (np.arange(1, 2001, 2) * np.pi) ** -2.0
    exact = 1.0 - 64.0 * k * np.einsum("i,j,ij->", weight, weight, 1.0 / (k + n[:, None] ** 2 + n[None] ** 2))
    eta, _ = effectiveness(cell, "I", "M", k)
    assert eta.lower <= exact <= eta.upper
    assert eta.upper - eta.lower <= 1e-3
    sharper, found = effectiveness(cell, "I", "M", k, tolerance=1e-5)
    assert found.reached
    assert sharper.lower <= exact <= sharper.upper
    assert sharper.upper - sharper.lower <= 2e-5


def corner(s):
    return ((s[:, 0] > 0.25) & (s[:, 0] < 0.9) & (s[:, 1] > 0.4) & (s[:, 0] + s[:, 1] < 1.5)).astype(int)


def case(comm):
    cell = grid_cell((8, 8), corner, comm=comm, vectors=[[1.0, 0.0], [0.25, 1.2]], length=3.0)
    found = homogenize_reactive_inclusions(cell, {"a": 20.0, "b": [[2.0, 0.5], [0.5, 1.0]]}, {"b": 4.0})
    return {name: [float(side) for side in (one.value, one.lower, one.upper)]
            for name, one in found.coefficients.items() if one.bounded}  # fmt: skip


@pytest.mark.mpi
def test_the_same_on_ranks(on_ranks):
    one = case(MPI.COMM_WORLD)
    assert set(one) == {"rate", "effectiveness"}
    for other in on_ranks(case, ranks=(2, 3)):
        for name, value in one.items():
            assert other[name] == pytest.approx(value, rel=1e-10), name


CONFIG = {
    "cell": {"shape": "laminate", "fractions": [0.5, 0.5], "axis": "x", "dimension": 2, "resolution": 0.05,
             "period": "20 um"},
    "effective": {
        "physics": "reaction",
        "regime": "inclusions",
        "phases": {"layer1": "1e-12 m^2/s", "layer2": "100 um^2/s"},
        "rates": {"layer1": "2.4 1/min"},  # half a thickness of 5 um: F = 5 sqrt(.04) = 1
    },
}  # fmt: skip


def test_a_config_in_real_units():
    report = runs.tensor(CONFIG).report()
    named = report["coefficients"]
    assert named["thiele_modulus"]["value"] == pytest.approx(1.0, rel=1e-12)
    assert named["effectiveness"]["lower"] <= 0.761594156 <= named["effectiveness"]["upper"]
    assert report["rate"] == pytest.approx(0.02 * 0.761594156, rel=1e-5)
    assert named["rate"]["unit"] == "1/s"
    assert np.diag(report["value"])[1] == pytest.approx(5e-11, rel=1e-9)
    assert report["unit"] == "m^2/s"
    assert "not the rate of decay" in report["conventions"]["effectiveness"]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"rates": {"layer1": "0 1/s"}}, r"^effective\.rates"),
        ({"rates": {"layer1": "1 1/s", "layer2": "1 1/s"}}, r"^effective\.phases.*around the inclusions"),
        ({"rates": {"layer1": "1 1/s", "layer2": "0 1/s"}}, r"^effective\.rates\.layer2.*> 0 with regime"),
        ({"interface_rates": {"layer1|layer2": "1 um/s"}}, r"^effective\.interface_rates.*absent"),
        ({"regime": "inclusion"}, r"^effective\.regime = 'inclusion'.*'inclusions'"),
    ],
)
def test_a_config_that_is_refused(change, said):
    document = copy.deepcopy(CONFIG)
    document["effective"] |= change
    with pytest.raises(InputError, match=said):
        make_config(document)


@pytest.mark.parametrize(
    ("coefficients", "rates", "said"),
    [
        ({"I": 1.0, "M": 1.0}, {"I": -1.0}, r"^rates\['I'\] = -1\.0"),
        ({"I": 1.0, "M": 1.0}, {"I": float("nan")}, r"^rates\['I'\] = nan"),
        ({"I": 1.0, "M": 1.0}, {"X": 1.0}, r"^rates = 'X'"),
        ({"I": 1.0, "M": 1.0}, {}, r"^rates = \{\}"),
        ({"M": 1.0}, {"I": 1.0}, r"^coefficients\['I'\]"),
        ({"I": 1.0}, {"I": 1.0}, r"^coefficients = \['I'\].*outside"),
        ({"I": 0.0, "M": 1.0}, {"I": 1.0}, r"^coefficients\['I'\] = 0\.0"),
    ],
)
def test_what_is_refused(coefficients, rates, said):
    with pytest.raises(InputError, match=said):
        homogenize_reactive_inclusions(blocks(["MMM", "MIM", "MMM"], resolution=0.3), coefficients, rates)
