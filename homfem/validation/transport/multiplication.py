"""Neutrons in a slab of fuel and moderator."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from homfem.validation.rows import Row

#: Period 1, fuel in 60 % of it: D .05, absorption 1, production 1.5; moderator: D .1, absorption .3.
SLAB = {
    "k": 1.279774009, "k by volume": 1.25, "absorption": 0.744838032, "production": 0.953224354,
    "flux in moderator over fuel": 0.860409687, "migration area along": 0.0846848442,
    "migration area across": 0.0811015930,
}  # fmt: skip
SOURCE = "transcendental equation of the slab, and quadrature; finite volumes agree"


def rows() -> Iterator[Row]:
    """Yield the multiplication of a slab and what is weighted by its flux."""
    from homfem import homogenize_multiplication
    from homfem.cells import laminate
    from homfem.certify import CrossSections

    cell = laminate([0.6, 0.4], axis="x", dimension=2, resolution=0.05)
    fuel = CrossSections(diffusion=0.05, absorption=1.0, production=1.5)
    moderator = CrossSections(diffusion=0.1, absorption=0.3)
    tensor = homogenize_multiplication(cell, {"layer1": fuel, "layer2": moderator}, degree=4)
    named = tensor.coefficients
    factor = named["multiplication"]
    ours = {
        "k": float(factor.value),
        "k by volume": float(named["volume_multiplication"].value),
        "absorption": float(named["absorption"].value),
        "production": float(named["production"].value),
        "flux in moderator over fuel": float(named["flux"].value[1] / named["flux"].value[0]),
        "migration area along": float(tensor.value[1, 1]),
        "migration area across": float(tensor.value[0, 0]),
    }
    for name, theirs in SLAB.items():
        sides: dict[str, Any] = {}
        if name == "k" and factor.lower is not None and factor.upper is not None:
            sides = {"lower": float(factor.lower), "upper": float(factor.upper)}
        yield Row(name=f"reactor slab: {name}", ours=ours[name], theirs=theirs, allowed=2e-9, source=SOURCE, **sides)
