"""A cell is its lengths: with the mesh twice as large in a unit of half the length every number is the same."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from homfem.cells.unitcell import UnitCell
from homfem.certify.chemotaxis import solve_chemotaxis
from homfem.certify.dispersion import GivenFlow, StokesFlow, StreamFunction, solve_dispersion
from homfem.certify.electrokinetics import solve_electrokinetics
from homfem.certify.gels import homogenize_gel
from homfem.certify.inclusions import solve_reactive_inclusions
from homfem.certify.multiplication import CrossSections, solve_multiplication
from homfem.certify.reaction import solve_reaction
from homfem.electrolytes import Gel, Ion
from homfem.tensors import EffectiveTensor
from made_cells import grid_cell, square

#: The period of all cells.
PERIOD = 6.0
FACTORS = (1.0, 2.0)
D = {"a": 1.5, "b": 0.5}


def cell(factor: float, phase: Any = square, n: int = 6, names: str = "ab") -> UnitCell:
    """Phases in a square of 6 um, meshed on a square of the side ``factor``."""
    vectors = [[factor, 0.0], [0.0, factor]]
    return grid_cell((n, n), phase, vectors=vectors, length=PERIOD / factor, names=names)


def layers(s: np.ndarray) -> np.ndarray:
    """Three layers without a centre of symmetry."""
    return np.digitize(s[:, 0], [0.3, 0.5])


def salt(*phases: str) -> list[Ion]:
    return [
        Ion(name=name, valence=z, bath=2.0, diffusivities=dict.fromkeys(phases, diffusivity))
        for name, z, diffusivity in (("Na", 1, 1.3), ("Cl", -1, 2.0))
    ]


def numbers(tensor: EffectiveTensor) -> dict[str, Any]:
    """All that a tensor says."""
    found: dict[str, Any] = {"error": tensor.estimated_error, "facets": tensor.geometric_error}
    for name, one in {"": tensor, **tensor.coefficients}.items():
        found |= {f"{name} {side}": getattr(one, side) for side in ("value", "lower", "upper")}
    return {name: np.asarray(value, dtype=float) for name, value in found.items() if value is not None}


def dispersion(factor: float, **options: Any) -> list[EffectiveTensor]:
    return list(solve_dispersion(cell(factor), {"a": 1.5}, **options).series)


def given(factor: float, kind: str) -> list[EffectiveTensor]:
    """A given flow, of the same speeds; everything carries."""
    turn, fluid = 2.0 * np.pi / factor, ("a", "b")
    flow: Any = GivenFlow(fluid=fluid, velocity=lambda x: np.array([np.sin(turn * x[1]), 0.5 + 0.0 * x[0]]))
    if kind == "stream":
        size = PERIOD / (2.0 * np.pi)
        flow = StreamFunction(fluid=fluid, function=lambda x: size * np.sin(turn * x[0]) * np.sin(turn * x[1]))
    return [solve_dispersion(cell(factor), D, flow=flow, **options).tensor for options in ({}, {"bounds": True})]


def groups(factor: float, count: int) -> list[EffectiveTensor]:
    drawn = np.random.default_rng(3)

    def material() -> CrossSections:
        one = drawn.uniform(0.2, 1.0, (3, count))
        return CrossSections(
            diffusion=one[0], absorption=0.1 * one[1], production=0.1 * one[2],
            scattering=drawn.uniform(0.1, 0.5, (count, count)),
        )  # fmt: skip

    found = solve_multiplication(cell(factor, layers, names="abc"), {name: material() for name in "abc"}).tensor
    assert ("drift" in found.coefficients) == (count > 1)
    return [found]


def charged(factor: float, **options: Any) -> list[EffectiveTensor]:
    walls = {"viscosity": 0.3, "permittivity": 4.0, "wall_potential": -2.0}
    return [solve_electrokinetics(cell(factor), salt("a"), "a", **walls, **options).tensor]


def gel(factor: float) -> list[EffectiveTensor]:
    return [homogenize_gel(cell(factor), Gel(ions=salt("a", "b"), fixed_charges={"b": -3.0}))]


RATES: dict[str, Any] = {"rates": {"a": 0.02, "b": 0.3}, "interface_rates": {"a|b": 0.2}}
CASES: dict[str, Any] = {
    "sorption": lambda f: dispersion(f, peclet=[0.5, 5.0], sorption_length=0.7),
    "bounds": lambda f: dispersion(f, peclet=5.0, sorption_length=0.7, bounds=True),
    "coarse": lambda f: dispersion(f, peclet=400.0, flow=StokesFlow(direction=[1.0, 1.0])),
    "wall": lambda f: dispersion(f, peclet=5.0, sorption_length=0.7, wall_rate=0.4),
    "given": lambda f: given(f, "given"),
    "stream": lambda f: given(f, "stream"),
    "decay": lambda f: [solve_reaction(cell(f), D, rates={"b": 0.3}).tensor],
    "walls": lambda f: [solve_reaction(cell(f), {"a": 1.5}, **RATES | {"rates": {"a": 0.02}}).tensor],
    "slow": lambda f: [solve_reaction(cell(f), D, regime="slow", **RATES).tensor],
    "inclusions": lambda f: [solve_reactive_inclusions(cell(f), D, {"b": 0.3}).tensor],
    "one group": lambda f: groups(f, 1),
    "two groups": lambda f: groups(f, 2),
    "layers": charged,
    "layers with bounds": lambda f: charged(f, bounds=True),
    "layers to a tolerance": lambda f: charged(f, tolerance=0.5, refine_layers=False),
    "gel": gel,
    "chemotaxis": lambda f: [solve_chemotaxis(cell(f), D, {"a": -1.0, "b": 2.0}, {"a": 0.1, "b": 3.0}).tensor],
}


@pytest.mark.parametrize("case", CASES)
def test_the_unit_of_the_mesh_does_not_matter(case: str) -> None:
    one, other = (CASES[case](factor) for factor in FACTORS)
    for first, second in zip(one, other, strict=True):
        here, there = numbers(first), numbers(second)
        assert here.keys() == there.keys()
        assert first.retardation == pytest.approx(second.retardation, rel=1e-12)
        assert first.warnings == second.warnings
        for name, value in here.items():
            size = max(float(np.abs(value).max()), 1e-9 * float(np.abs(here[" value"]).max()))
            np.testing.assert_allclose(there[name], value, rtol=1e-6, atol=1e-6 * size, err_msg=name)
