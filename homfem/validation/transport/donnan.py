"""Electroneutral gels in Donnan equilibrium: a square and layers, steady and at frozen concentrations."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from homfem.validation.rows import Row
from homfem.validation.transport.sources import CLOSED_FORM

#: X = 1: the gel holds two elementary charges for each ion pair of the bath; 1:1 salt, D 1 and 1.5, half in the gel.
SQUARE: Mapping[str, float] = {
    "onsager.K": 1.04807236,
    "onsager.X": 1.06651990,
    "conductivity": 2.11459227,
    "transference.K": 0.49563804,
    "frozen_conductivity": 2.21098965,
    "frozen_transference.K": 0.47984788,
    "salt_diffusion": 1.14077475,
}
ACROSS: Mapping[str, float] = {
    "onsager.K": 1.073686169,
    "onsager.X": 0.5925643017,
    "conductivity": 1.666250471,
    "transference.K": 0.6443726126,
    "frozen_conductivity": 1.985919547,
    "frozen_transference.K": 0.5581270428,
    "salt_diffusion": 0.8650061938,
}
ALONG: Mapping[str, float] = {
    "onsager.K": 1.082842712,
    "onsager.X": 1.024264069,
    "conductivity": 2.107106781,
    "transference.K": 0.5139002551,
    "salt_diffusion": 1.192442456,
}
INSIDE: Mapping[str, float] = {
    "concentration.gel.K": 2.414213562,
    "concentration.gel.X": 0.4142135624,
    "reduced_donnan_potential.gel": -0.881373587,
    "salt_partition": 0.9267766953,
}
OBNOSOV = "closed form of Obnosov for each ion and for all; and finite elements graded to the corners"


def rows() -> Iterator[Row]:
    """Yield the coefficients of a square gel and of gels in layers."""
    from homfem import homogenize_gel
    from homfem.cells import blocks, laminate
    from homfem.electrolytes import Gel

    quarters = [0.25, 0.5, 0.25]
    square = blocks(["WWW", "WGW", "WWW"], widths=quarters, heights=quarters, resolution=0.05)
    found = homogenize_gel(square, Gel(ions=_salt("G", "W"), fixed_charges={"G": -2.0}), tolerance=2e-4)
    for name, theirs in SQUARE.items():
        yield _row(f"square gel: {name}", found.coefficients[name], 0, theirs, 1e-4, OBNOSOV)
    for name, theirs in INSIDE.items():
        own = found.coefficients[name.replace(".gel", ".G")]
        yield Row(name=f"gel: {name}", ours=float(own.value), theirs=theirs, allowed=1e-9, source=CLOSED_FORM)
    layers = laminate([0.4, 0.6], axis="x", dimension=2, resolution=0.25)
    charged = Gel(ions=_salt("layer1", "layer2"), fixed_charges={"layer1": -2.0})
    found = homogenize_gel(layers, charged, rtol=1e-12)
    for axis, (direction, table) in enumerate((("across", ACROSS), ("along", ALONG))):
        for name, theirs in table.items():
            yield _row(f"gel in layers, {direction}: {name}", found.coefficients[name], axis, theirs, 1e-9, CLOSED_FORM)


def _salt(gel: str, water: str) -> list[Any]:
    from homfem.electrolytes import Ion

    return [
        Ion(name=name, valence=z, bath=1.0, diffusivities={gel: 0.5 * d, water: d})
        for name, z, d in (("K", 1, 1.0), ("X", -1, 1.5))
    ]


def _row(name: str, own: Any, axis: int, theirs: float, allowed: float, source: str) -> Row:
    value, lower, upper = (float(side[axis, axis]) for side in (own.value, own.lower, own.upper))
    return Row(name=name, ours=value, lower=lower, upper=upper, theirs=theirs, allowed=allowed, source=source)
