"""Decay by reaction in phases and on walls, at rest and in a flow: square, fibres, slit and tube."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from homfem.validation.rows import Row
from homfem.validation.transport.sources import FINITE_ELEMENTS

#: k in the inclusion only, D = 1 everywhere: rate of decay and D*.
INCLUSIONS = {
    ("square", 1.0): (0.24687380, 0.99985920),
    ("square", 10.0): (2.21120494, 0.98826630),
    ("fibre", 10.0): (2.65064000, 0.98534451),
}
#: Fibres whose surface reacts, k_s = Da D/period: by Da and Pe, rate, V/Pe, D* along and across.
WALLS: Mapping[tuple[float, float], tuple[float, float | None, float, float]] = {
    (10.0, 0.0): (13.93302261, None, 0.62501319, 0.62501319),
    (1.0, 0.0): (2.54288433, None, 0.75401725, 0.75401725),
    (1.0, 10.0): (2.55904591, 1.0382063, 2.0834407, 0.78684591),
}
#: Half-width or radius 1: by shape, Da (infinite: no concentration on the walls) and sorption length: rate, V/U,
#: (D* - 1)/Pe^2, or D* at rest and that of Pe^2.
ALONG = {
    ("slit", 1.0, 0.0): (0.7401738844, 1.100924555, 1.0, 0.0142316351),
    ("tube", 1.0, 0.0): (1.576992731, 1.144026542, 1.0, 0.0198947699),
    ("tube", 10.0, 0.0): (4.750205415, 1.474007313, 1.0, 0.00853332248),
    ("slit", math.inf, 0.0): (2.467401100, 1.303963551, 1.0, 0.00266515146),
    ("tube", math.inf, 0.0): (5.783185963, 1.563886759, 1.0, 0.00499496508),
    ("tube", 1.0, 0.5): (0.9351862186, 0.6124525103, 0.5658030482, 0.0564348577),
}
MODES = "Galerkin and Bessel functions, independently of homfem"
RADIUS = 0.4


def rows() -> Iterator[Row]:
    """Yield reaction in inclusions, on the walls of fibres, and on those of a slit and a tube."""
    yield from _inclusions()
    yield from _walls()
    yield from _along()


def _inclusions() -> Iterator[Row]:
    from homfem import homogenize_reaction
    from homfem.cells import blocks, fibre_array

    quarters = [0.25, 0.5, 0.25]
    cells = {
        "square": (blocks(["LLL", "LDL", "LLL"], widths=quarters, heights=quarters, resolution=0.05), "D", "L"),
        "fibre": (fibre_array(fraction=0.3, resolution=0.05, order=2), "fibre", "matrix"),
    }
    for (name, k), (decay, diffusion) in INCLUSIONS.items():
        cell, inside, outside = cells[name]
        tensor = homogenize_reaction(cell, {inside: 1.0, outside: 1.0}, rates={inside: k}, degree=3)
        rate = tensor.coefficients["rate"]
        sides: dict[str, Any] = {}
        if rate.lower is not None and rate.upper is not None:
            sides = {"lower": float(rate.lower), "upper": float(rate.upper)}
        told: dict[str, Any] = {"source": FINITE_ELEMENTS}
        of = f"{name}, k = {k:g} inside"
        yield Row(name=f"{of}: rate", ours=float(rate.value), theirs=decay, allowed=1e-6, **sides, **told)
        yield Row(name=f"{of}: D*", ours=float(tensor.value[0, 0]), theirs=diffusion, allowed=1e-6, **told)


def _walls() -> Iterator[Row]:
    from homfem import homogenize_dispersion
    from homfem.cells import fibre_array

    cell = fibre_array(fraction=0.3, resolution=0.05, order=2)
    for (da, pe), (decay, speed, along, across) in WALLS.items():
        tensor = homogenize_dispersion(cell, {"matrix": 1.0}, peclet=pe, wall_rate=da, degree=3)
        told: dict[str, Any] = {"source": FINITE_ELEMENTS, "allowed": 2e-6}
        of = f"fibre, Da {da:g}, Pe {pe:g}"
        yield Row(name=f"{of}: rate", ours=float(tensor.coefficients["rate"].value), theirs=decay, **told)
        if speed is not None:
            ours = float(tensor.coefficients["velocity"].value[0]) / pe
            yield Row(name=f"{of}: V/Pe", ours=ours, theirs=speed, **told)
        yield Row(name=f"{of}: D* along", ours=float(tensor.value[0, 0]), theirs=along, **told)
        if across != along:
            yield Row(name=f"{of}: D* across", ours=float(tensor.value[1, 1]), theirs=across, **told)


def _along() -> Iterator[Row]:
    from homfem import homogenize_dispersion
    from homfem.cells import slit, tube
    from homfem.certify.dispersion import StokesFlow

    cells = {
        "slit": (slit(2 * RADIUS, dimension=2, resolution=0.1), [0.0, 1.0], 1e-7),
        "tube": (tube(RADIUS, resolution=0.2, order=2), [0.0, 0.0, 1.0], 2e-4),
    }
    for (shape, da, held), (decay, speed, rest, taylor) in ALONG.items():
        cell, direction, allowed = cells[shape]
        peclets = [0.0, 10.0 / RADIUS]  # with the period; 10 with the radius
        still, moved = homogenize_dispersion(
            cell, {"pore": 1.0}, peclet=peclets, wall_rate=da / RADIUS, sorption_length=held * RADIUS,
            flow=StokesFlow(direction=direction), degree=(3 if shape == "slit" else 2) + math.isinf(da),
        )  # fmt: skip
        along = np.array(direction)
        of = f"{shape}, Da {da:g}" + (f", K {held:g}" if held else "")
        told: dict[str, Any] = {"source": MODES}
        found = [
            ("rate", float(moved.coefficients["rate"].value) * RADIUS**2, decay, allowed),
            ("V/U", float(along @ moved.coefficients["velocity"].value) / peclets[1], speed, allowed),
            ("D* at rest", float(along @ still.value @ along), rest, allowed),
            ("D* by Pe^2", float(along @ (moved.value - still.value) @ along) / 100.0, taylor, 20.0 * allowed),
        ]
        for what, ours, theirs, within in found:
            yield Row(name=f"{of}: {what}", ours=ours, theirs=theirs, allowed=within, **told)
