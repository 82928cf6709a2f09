"""Resolved media beside their limit: rates of theory, and a laminate in closed form."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from homfem.validation import published
from homfem.validation.rows import Row


def two_scale_rows() -> Iterator[Row]:
    """Yield errors of a laminate, and rates in eps of media of holes, of a solid with inclusions, and of calcium."""
    yield from _laminate()
    yield from _plane()
    yield from _calcium()


def _laminate() -> Iterator[Row]:
    from homfem.cells import laminate
    from homfem.certify import Diffusion
    from homfem.twoscale import SteadyProblem, TwoScaleMethod, two_scale_study

    cell = laminate([0.3, 0.7], axis="x", dimension=2, resolution=0.33)
    study = two_scale_study(
        cell,
        Diffusion(coefficients={"layer1": 1.0, "layer2": 5.0}),
        SteadyProblem(held={"x-low": 0.0, "x-high": 0.0}),
        periods=tuple(published.TWO_SCALE_LAMINATE),
        method=TwoScaleMethod(degree=2, samples=0, elements=8),
    )
    for level in study.levels:
        for name, theirs in published.TWO_SCALE_LAMINATE[level.periods].items():
            words = f"laminate 1 : 5, 1/eps = {level.periods}: error, {name}"
            told: dict[str, Any] = {"allowed": 1e-7, "source": published.TWO_SCALE_EXACT}
            yield Row(name=words, ours=level.errors[name], theirs=theirs, **told)


def _plane() -> Iterator[Row]:
    from homfem.cells import blocks
    from homfem.certify import Diffusion, Elasticity
    from homfem.twoscale import SteadyProblem, TwoScaleMethod, two_scale_study

    cell = blocks(["LLL", "LDL", "LLL"], widths=[0.1, 0.4, 0.5], heights=[0.3, 0.5, 0.2], resolution=0.2)
    moduli = {"L": {"young": 1.0, "poisson": 0.3}, "D": {"young": 10.0, "poisson": 0.3}}
    cases: dict[str, Any] = {
        "diffusion around holes": (Diffusion(coefficients={"L": 1.0}), SteadyProblem(), (16, 32)),
        "stiff inclusions": (Elasticity(stiffnesses=moduli), SteadyProblem(source=[1.0, 0.0]), (8, 16)),
    }
    rates = {"l2": "limit, L2", "h1": "reconstruction, H1", "h1 inside": "reconstruction, H1 inside"}
    for title, (physics, problem, periods) in cases.items():
        study = two_scale_study(cell, physics, problem, periods=periods, method=TwoScaleMethod(samples=4))
        for name, word in rates.items():
            theirs, allowed = published.TWO_SCALE_RATES[name]
            given: dict[str, Any] = {"theirs": theirs, "allowed": allowed, "source": published.TWO_SCALE_THEORY}
            yield Row(name=f"{title}: rate of the {word}", ours=float(study.rates(name)[-1]), **given)


def _calcium() -> Iterator[Row]:
    import numpy as np

    from homfem import three_pipe
    from homfem.kinetics import DE_YOUNG_KEIZER, li_rinzel, membrane_from_rates
    from homfem.twoscale import CalciumPair, calcium_two_scale_study

    cell, side = three_pipe(0.4, resolution=1 / 3, period=1.0, length_unit="um"), 8.0
    fractions = {f"{name}_fraction": cell.volume_fractions[name] for name in ("cytosol", "er")}
    pair = CalciumPair(
        cell=cell,
        diffusivities={"cytosol": 20.0, "er": 10.0},
        kinetics=li_rinzel(membrane_from_rates(DE_YOUNG_KEIZER, **fractions, interface_area=cell.interface_area)),
        side=side,
        strip=True,
        ip3=0.5,
        initial_cytosol=lambda x: 0.3 + 0.25 * np.cos(np.pi * x[0] / side),
        initial_er=lambda x: 6.0 - 2.0 * np.cos(np.pi * x[0] / side),
        end=0.4,
        step=0.01,
    )
    study = calcium_two_scale_study(pair, periods=(8, 16))
    theirs, allowed = published.TWO_SCALE_RATES["mirrors"]
    given: dict[str, Any] = {"theirs": theirs, "allowed": allowed, "source": published.TWO_SCALE_THEORY}
    for name, word in (("l2", "limit, L2"), ("h1", "reconstruction, H1")):
        for phase in pair.diffusivities:
            words = f"calcium of the {phase} in pipes: rate of the {word}"
            yield Row(name=words, ours=float(study.rates(f"{phase} {name}")[-1]), **given)
