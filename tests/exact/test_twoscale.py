"""Two-scale errors that are known: laminates in closed form, media whose solution is the reconstruction."""

from __future__ import annotations

import numpy as np
import pytest

from homfem.cells import blocks, laminate, three_pipe
from homfem.certify import Diffusion, Elasticity
from homfem.twoscale import SteadyProblem, TwoScaleMethod, two_scale_study
from homfem.twoscale.limit import approximations
from homfem.twoscale.medium import make_medium
from homfem.twoscale.resolved import Resolved, solve_resolved
from homfem.twoscale.sampling import in_limit, on_resolved, samples
from homfem.twoscale.splines import SmoothField

FRACTIONS, VALUES = (0.3, 0.7), (1.0, 5.0)


def layers():
    return laminate(list(FRACTIONS), axis="x", dimension=2, resolution=0.33)


def odd_blocks(**changes):
    """An inclusion off the centre: no mirror plane of the cell is a side of the box."""
    given = {"widths": [0.2, 0.4, 0.4], "heights": [0.3, 0.5, 0.2], "resolution": 0.25}
    return blocks(["LLL", "LDL", "LLL"], **given | changes)


def pieces(periods: int):
    """Gauss points of all layers of a row of periods: points, weights and the coefficient there, in order."""
    nodes, weights = np.polynomial.legendre.leggauss(4)
    ends = np.cumsum([0.0, *np.tile(np.array(FRACTIONS) / periods, periods)])
    sizes = np.diff(ends)
    points = ends[:-1, None] + 0.5 * sizes[:, None] * (nodes + 1.0)
    return points, 0.5 * sizes[:, None] * weights, np.tile(VALUES, periods)[:, None], ends


def laminate_errors(periods: int) -> dict[str, float]:
    """Errors in closed form of -(a u')' = 1, u(0) = u(1) = 0: a u' = c - x in every layer."""
    x, w, a, ends = pieces(periods)
    mean = sum(f / v for f, v in zip(FRACTIONS, VALUES, strict=True))
    c = float(np.sum(w * x / a) / np.sum(w / a))
    slope = (c - x) / a

    def primitive(y, k):
        return (c * y - 0.5 * y * y) / a[k, 0]

    starts = np.cumsum([0.0, *(primitive(ends[k + 1], k) - primitive(ends[k], k) for k in range(len(a)))])
    u = np.stack([starts[k] + primitive(x[k], k) - primitive(ends[k], k) for k in range(len(a))])
    u0, s0 = 0.5 * mean * x * (1.0 - x), mean * (0.5 - x)
    # The corrector has the slope 1/(a mean) - 1 and mean zero over the period.
    slopes = 1.0 / (a * mean) - 1.0
    chi = np.array([0.0, slopes[0, 0] * FRACTIONS[0]])
    y = np.mod(x * periods, 1.0)
    first = y < FRACTIONS[0]
    chi_at = np.where(first, slopes[0, 0] * y, chi[1] + slopes[1, 0] * (y - FRACTIONS[0]))
    chi_at = chi_at - np.sum(w * chi_at)
    rebuilt = s0 * (1.0 + slopes) + chi_at / periods * -mean
    return {
        "l2": float(np.sqrt(np.sum(w * (u - u0) ** 2) / np.sum(w * u0**2))),
        "h1": float(np.sqrt(np.sum(w * (slope - rebuilt) ** 2) / np.sum(w * rebuilt**2))),
        "energy": float(np.sqrt(np.sum(w * a * (slope - rebuilt) ** 2) / np.sum(w * a * rebuilt**2))),
    }


def test_a_laminate_has_the_errors_of_the_closed_form():
    ends = SteadyProblem(held={"x-low": 0.0, "x-high": 0.0})
    study = two_scale_study(
        layers(), Diffusion(coefficients={"layer1": 1.0, "layer2": 5.0}), ends,
        periods=(1, 3, 5), method=TwoScaleMethod(degree=2, samples=0, elements=8),
    )  # fmt: skip
    for level in study.levels:
        exact = laminate_errors(level.periods)
        for name, value in exact.items():
            assert level.errors[name] == pytest.approx(value, rel=1e-8), (level.periods, name)
    assert study.rates("l2")[-1] == pytest.approx(1.0, abs=0.08)


def test_what_is_affine_across_layers_is_rebuilt_exactly():
    ends = SteadyProblem(source=0.0, held={"x-low": 0.0, "x-high": 2.0})
    study = two_scale_study(
        layers(), Diffusion(coefficients={"layer1": 1.0, "layer2": 5.0}), ends,
        periods=(2, 4), method=TwoScaleMethod(samples=0, elements=6),
    )  # fmt: skip
    for level in study.levels:
        assert level.errors["h1"] < 1e-9
        assert level.errors["energy"] < 1e-9
        assert level.errors["l2"] > 0.01 / level.periods  # the limit alone is not exact
    # A sheet under a strain across its layers, free to slide along its sides.
    solid = Elasticity(stiffnesses={"layer1": {"young": 1.0, "poisson": 0.2}, "layer2": {"young": 7.0, "poisson": 0.2}})
    held = {"x-low": [0.0, 0.0], "x-high": [0.01, 0.0], "y-low": lambda x: _pulled(x), "y-high": lambda x: _pulled(x)}
    medium = make_medium(layers(), solid)
    assert medium.average[0, 0] == pytest.approx(1.0 / sum(
        f * (1 + 0.2) * (1 - 0.4) / (e * (1 - 0.2)) for f, e in zip(FRACTIONS, (1.0, 7.0), strict=True)
    ))  # fmt: skip
    assert set(SteadyProblem(held=held).sides(2, (2,))) == {(0, 0), (0, 1), (1, 0), (1, 1)}


def _pulled(x):
    return np.stack([0.01 * x[0], 0.0 * x[0]])


@pytest.mark.parametrize("physics", ["perforated", "two phases", "elastic", "perforated solid", "pipes"])
@pytest.mark.parametrize("degree", [1, 2])
def test_an_affine_limit_with_matching_boundary_is_rebuilt_exactly(physics, degree):
    """With the reconstruction of an affine u0 on the boundary the resolved solution is that reconstruction."""
    cell = three_pipe(0.4, resolution=0.33) if physics == "pipes" else odd_blocks()
    given = {
        "perforated": Diffusion(coefficients={"L": 2.0}),
        "two phases": Diffusion(coefficients={"L": [[2.0, 0.5], [0.5, 1.0]], "D": 9.0}),
        "elastic": Elasticity(stiffnesses={"L": {"young": 1.0, "poisson": 0.3}, "D": {"young": 9.0, "poisson": 0.1}}),
        "perforated solid": Elasticity(stiffnesses={"L": {"young": 1.0, "poisson": 0.3}}),
        "pipes": Diffusion(coefficients={"er": 3.0}),
    }
    medium = make_medium(cell, given[physics], degree=degree)
    d, m = medium.dimension, medium.components
    slope = np.random.default_rng(3).normal(size=(m, d))
    knots = tuple(np.array([0.0, 0.0, length, length]) for length in medium.sides)
    corners = np.stack(np.meshgrid(*([0.0, length] for length in medium.sides), indexing="ij"), axis=-1)
    field = SmoothField(knots=knots, coefficients=corners @ slope.T, degree=1)
    resolved = Resolved(medium, 2 if d == 3 else 3)
    rebuilt = approximations(resolved, field).reconstructed
    problem = SteadyProblem(source=0.0, held={"*": 0.0})
    found = solve_resolved(resolved, problem, boundary=rebuilt, rtol=1e-12).function
    values = found.x.array.reshape(-1, m).T
    assert np.abs(values - rebuilt).max() < 1e-8 * np.abs(rebuilt).max()
    # ... and the limit alone is not.
    assert np.abs(values - field.values(resolved.points)).max() > 1e-3 * np.abs(rebuilt).max()


def test_integrals_of_a_constant_are_those_of_the_limit():
    """Over whole periods a constant has the integrals of the limit at once, whatever is fast."""
    medium = make_medium(odd_blocks(), Diffusion(coefficients={"L": 2.0}))
    resolved = Resolved(medium, 3)
    one = resolved.function(np.ones((1, resolved.points.shape[1])))
    knots = tuple(np.array([0.0, 0.0, length, length]) for length in medium.sides)
    field = SmoothField(knots=knots, coefficients=np.ones((2, 2, 1)), degree=1)
    chosen = samples(medium, 6, 5)
    for sample in chosen:
        sample.slow[:] = 0.0
    found, (limits, sizes) = on_resolved(resolved, one, chosen), in_limit(medium, field, chosen)
    assert sizes == pytest.approx([1.0, 0.0])
    assert found == pytest.approx(limits, abs=1e-12)
    assert np.ptp(limits[:, 0]) > 1e-2  # they tell the samples apart


def test_integrals_of_an_affine_reconstruction_are_those_of_the_limit():
    """Its gradient is periodic: integrals over whole periods of it times what is fast are those of the limit."""
    medium = make_medium(odd_blocks(), Elasticity(stiffnesses={"L": {"young": 1.0, "poisson": 0.3}}))
    resolved = Resolved(medium, 3)
    slope = np.array([[0.3, -1.0], [0.7, 0.2]])
    knots = tuple(np.array([0.0, 0.0, length, length]) for length in medium.sides)
    corners = np.stack(np.meshgrid(*([0.0, length] for length in medium.sides), indexing="ij"), axis=-1)
    field = SmoothField(knots=knots, coefficients=corners @ slope.T, degree=1)
    rebuilt = resolved.function(approximations(resolved, field).reconstructed)
    chosen = samples(medium, 6, 5)
    for sample in chosen:
        sample.slow[:] = 0.0
    found, (limits, sizes) = on_resolved(resolved, rebuilt, chosen), in_limit(medium, field, chosen)
    assert sizes[1] == pytest.approx(np.linalg.norm(slope))
    assert found[:, 1] == pytest.approx(limits[:, 1], abs=1e-11)
