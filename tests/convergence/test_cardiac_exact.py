"""The cardiac models against exact solutions: orders in space and time, and the errors of another well-tested code."""

from __future__ import annotations

import numpy as np
import pytest

from homfem.macro.cardiac import CardiacMethod
from homfem.validation.exact_cardiac import Exact
from homfem.validation.published import PATHMANATHAN

SECOND = CardiacMethod(splitting="strang")


@pytest.mark.parametrize("kind", list(PATHMANATHAN))
def test_errors_in_the_plane_are_below_the_published_ones_and_of_second_order(kind):
    """At the same mesh sizes and steps, dt = 0.1 (h/0.1)^2; of V and of the extracellular potential."""
    exact = Exact(kind=kind, dimension=2)
    found = [exact.errors(n, 0.1 * (10 / n) ** 2, method=SECOND) for n in (10, 20, 40)]
    for name, published in PATHMANATHAN[kind].items():
        errors = np.array([entry[name] for entry in found])
        assert np.all(errors <= published[:3]), (name, errors)
        assert np.all(np.log2(errors[:-1] / errors[1:]) > 1.9), (name, errors)
        assert errors[-1] > 0.05 * published[2]  # and the solution is not that of nothing


@pytest.mark.parametrize("kind", list(PATHMANATHAN))
def test_errors_on_lines_and_in_space(kind):
    line = [Exact(kind=kind, dimension=1).errors(n, 0.1 * (10 / n) ** 2, method=SECOND) for n in (10, 20)]
    for name, caps in {"V": (0.011, 0.0028), "phi_e": (0.007, 0.0018)}.items():
        if name in line[0]:
            errors = [entry[name] for entry in line]
            assert np.all(np.array(errors) < caps)
            assert errors[0] > 3.7 * errors[1]
    # cos(3 pi z) on six and twelve cells: still far from the limit, but the rate is there.
    cells = (4, 8) if kind == "bath" else (6, 12)
    space = [
        Exact(kind=kind, dimension=3).errors(n, 0.125 * (cells[0] / n) ** 2, end=0.5, method=SECOND) for n in cells
    ]
    for name in space[0]:
        assert space[1][name] < {"monodomain": 0.15, "bidomain": 0.09, "bath": 0.02}[kind]
        assert space[0][name] > 2.5 * space[1][name]


@pytest.mark.parametrize("kind", ["monodomain", "bidomain"])
def test_orders_in_time(kind):
    """On a mesh of degree 2 on which the error in space is nothing: Godunov 1, Strang with the potential midway 2."""
    exact = Exact(kind=kind, dimension=1)
    sharp = {"degree": 2, "rtol": 1e-10, "elliptic_rtol": 1e-10}
    methods = {
        "godunov": (CardiacMethod(**sharp), 1.0),
        "implicit Euler": (CardiacMethod(scheme="backward-euler", **sharp), 1.0),
        "strang": (CardiacMethod(splitting="strang", **sharp), 2.0),
        "strang, implicit": (CardiacMethod(splitting="strang", coupling="implicit", **sharp), 2.0),
    }
    methods["tr-bdf2"] = (CardiacMethod(splitting="strang", scheme="tr-bdf2", **sharp), 2.0)
    if kind == "bidomain":
        methods["tr-bdf2, implicit"] = (
            CardiacMethod(splitting="strang", scheme="tr-bdf2", coupling="implicit", **sharp), 2.0,
        )  # fmt: skip
        methods["strang, lagged"] = (CardiacMethod(splitting="strang", coupling="lagged", **sharp), 1.0)
    for name, (method, order) in methods.items():
        errors = [exact.errors(40, step, method=method) for step in (0.05, 0.025)]
        for field in errors[0]:
            rate = np.log2(errors[0][field] / errors[1][field])
            assert rate == pytest.approx(order, abs=0.2), (name, field, rate)
