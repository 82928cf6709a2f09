"""Rates of resolved computations towards their limit, and the splines of the limit on their own."""

from __future__ import annotations

import numpy as np
import pytest

from homfem.cells import blocks, laminate
from homfem.certify import Diffusion, Elasticity
from homfem.twoscale import SteadyProblem, TwoScaleMethod, two_scale_study
from homfem.twoscale.splines import SplineProblem


def cell(comm=None):
    more = {} if comm is None else {"comm": comm}
    return blocks(["LLL", "LDL", "LLL"], widths=[0.1, 0.4, 0.5], heights=[0.3, 0.5, 0.2], resolution=0.2, **more)


def wave(x):
    return np.cos(np.pi * x[0]) * np.cos(2.0 * np.pi * x[1])


CASES = {
    "two phases": (Diffusion(coefficients={"L": 1.0, "D": 10.0}), SteadyProblem()),
    "holes": (Diffusion(coefficients={"L": 1.0}), SteadyProblem(source=lambda x: 1.0 + x[0] * x[1])),
    "no side held": (
        Diffusion(coefficients={"L": 1.0, "D": 10.0}),
        SteadyProblem(source={"L": lambda x: wave(x) + 0.4, "*": wave}, held={}),
    ),
    "solid": (
        Elasticity(stiffnesses={"L": {"young": 1.0, "poisson": 0.3}, "D": {"young": 10.0, "poisson": 0.3}}),
        SteadyProblem(source=[1.0, 0.0], held={"x-low": 0.0, "y-low": 0.0, "y-high": 0.0, "x-high": 0.0}),
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_rates(case):
    physics, problem = CASES[case]
    study = two_scale_study(cell(), physics, problem, periods=(4, 8, 16), method=TwoScaleMethod(samples=4))
    last = {name: study.rates(name)[-1] for name in study.names}
    assert last["l2"] == pytest.approx(1.0, abs=0.07)
    assert last["h1 inside"] == pytest.approx(1.0, abs=0.06)
    assert last["energy inside"] == pytest.approx(1.0, abs=0.07)
    for name in ("h1", "energy"):  # the square root of eps in the end, from above: the part of order eps goes first
        assert 0.5 < last[name] < 0.9, name
    assert 0.3 < last["h1 cut"] < 0.6
    assert last["sampled"] > 0.9
    assert last["sampled gradient"] > 0.9
    # Absolute caps, and the reconstruction is better than nothing.
    assert study.errors("l2")[-1] < 0.05
    assert study.errors("h1")[-1] < 0.11
    assert study.errors("h1 inside")[-1] < 0.02
    assert study.floor["l2"] < 1e-2 * study.errors("l2")[-1]
    assert study.floor["h1"] < 6e-2 * study.errors("h1 inside")[-1]
    # The error of the reconstruction is in a layer at the boundary.
    profile = study.levels[-1].profile
    assert profile[0] > 3.0 * profile[len(profile) // 2]


def test_a_cell_of_mirrors_has_no_layer():
    """Where mirror planes are the sides of the box the corrector does what they ask for: order 1 all over."""
    even = laminate([0.25, 0.5, 0.25], axis="x", dimension=2, resolution=0.25)
    physics = Diffusion(coefficients={"layer1": 1.0, "layer2": 10.0, "layer3": 1.0})
    ends = SteadyProblem(held={"x-low": 0.0, "x-high": 0.0})
    study = two_scale_study(even, physics, ends, periods=(4, 8), method=TwoScaleMethod(samples=0))
    assert study.rates("h1")[-1] > 0.93
    profile = study.levels[-1].profile
    assert profile[0] < 1.6 * profile[len(profile) // 2]


def case_study(comm) -> dict:
    study = two_scale_study(cell(comm), *CASES["solid"], periods=(2, 4), method=TwoScaleMethod(samples=2))
    return {
        "errors": [study.errors(name).tolist() for name in study.names],
        "profile": study.levels[-1].profile.tolist(),
        "dofs": study.levels[-1].dofs,
        "tensor": study.tensor.tolist(),
    }


def test_the_same_on_1_2_3_ranks(on_ranks):
    one, *others = on_ranks(case_study)
    for other in others:
        assert other["dofs"] == one["dofs"]
        for name in ("errors", "profile", "tensor"):
            assert np.allclose(other[name], one[name], rtol=1e-7, atol=1e-12)


@pytest.mark.parametrize("sides", ["all", "two", "none"])
def test_splines_are_of_high_order(sides):
    """An anisotropic problem of two coupled fields with a smooth exact solution."""
    lengths, w = np.array([1.0, 1.5]), np.pi / np.array([1.0, 1.5])
    tensor = np.zeros((2, 2, 2, 2))
    tensor[0, :, 0, :], tensor[1, :, 1, :] = np.diag([2.0, 1.0]), np.diag([1.0, 3.0])
    if sides == "all":  # off the diagonal no flux is lost on sides that are held
        tensor[0, :, 0, :] += np.array([[0.0, 0.4], [0.4, 0.0]])
        tensor[0, :, 1, :] = tensor[1, :, 0, :] = 0.3 * np.eye(2)

    def exact(x):
        a, b = np.cos(w[0] * x[0]), np.cos(w[1] * x[1])
        return np.stack([a * b, 2.0 * np.cos(2 * w[0] * x[0]) * b])

    def source(x):
        out = np.zeros((2, x.shape[1]))
        for q, (factor, k) in enumerate(((1.0, 1), (2.0, 2))):
            ca, sa = np.cos(k * w[0] * x[0]), np.sin(k * w[0] * x[0])
            cb, sb = np.cos(w[1] * x[1]), np.sin(w[1] * x[1])
            second = np.array([[-((k * w[0]) ** 2) * ca * cb, k * w[0] * w[1] * sa * sb],
                               [k * w[0] * w[1] * sa * sb, -(w[1] ** 2) * ca * cb]])  # fmt: skip
            out -= factor * np.einsum("pij,ijn->pn", full[:, :, q, :], second)
        return out

    ends = {"all": [(0, 0), (0, 1), (1, 0), (1, 1)], "two": [(0, 0), (1, 1)], "none": []}[sides]
    full = tensor
    if sides == "none":
        tensor = tensor[:1, :, :1, :]
    fields = tensor.shape[0]
    points = np.random.default_rng(1).uniform(size=(2, 200)) * lengths[:, None]
    errors = []
    for elements in (6, 12):
        problem = SplineProblem(
            lengths, tensor, dict.fromkeys(ends, lambda x: exact(x)[:fields]), elements=elements, degree=4
        )
        found = problem.solve((lambda x: source(x)[:1]) if sides == "none" else source)
        errors.append(np.abs(found.values(points) - exact(points)[:fields]).max())
    assert errors[1] < 2e-5
    assert np.log2(errors[0] / errors[1]) > 4.5
