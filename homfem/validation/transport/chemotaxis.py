"""Cells that follow an attractant: a square inclusion, and layers."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from homfem.validation.rows import Row
from homfem.validation.transport.sources import CLOSED_FORM

GRADED = "finite elements graded to the corners and a Fourier-Galerkin method, independently of homfem"
#: Of the square: motility, sensitivity (inclusion, matrix), the number, its source; the attractant .1 and 1.
SQUARE = (
    ("motility 10/1, S 4/1", (10.0, 1.0), (4.0, 1.0), 1.00079947, GRADED),
    ("motility 1, S 10/1", (1.0, 1.0), (10.0, 1.0), 4.52423874, "1 + 10 (1 - D_c*), Obnosov's closed form"),
    ("S the motility, 10/1", (10.0, 1.0), (10.0, 1.0), 1.54421999, "the effective motility, Obnosov's closed form"),
)
MOTILITY, ATTRACTANT = 1.54421999, 0.647576126
#: What the rule for a motility that is the same everywhere gives for the first.
RULE = 2.17474624
ACROSS, ALONG = 0.8264462810, 2.5


def rows() -> Iterator[Row]:
    """Yield the sensitivity of a square inclusion and of layers."""
    from homfem import homogenize_chemotaxis
    from homfem.cells import blocks, laminate

    quarters = [0.25, 0.5, 0.25]
    square = blocks(["MMM", "MIM", "MMM"], widths=quarters, heights=quarters, resolution=0.05)
    first: dict[str, Any] = {}
    for name, motility, sensitivity, theirs, source in SQUARE:
        given = [dict(zip("IM", pair, strict=True)) for pair in (motility, sensitivity, (0.1, 1.0))]
        named = homogenize_chemotaxis(square, *given, tolerance=1e-3).coefficients
        first = first or dict(named)
        yield _row(f"square, {name}: sensitivity", named["sensitivity"], 0, theirs, 6e-4, source)
    obnosov = "closed form of Obnosov"
    yield _row("square: effective motility", first["motility"], 0, MOTILITY, 6e-4, obnosov)
    yield _row("square: effective diffusivity of the attractant", first["attractant"], 0, ATTRACTANT, 6e-4, obnosov)
    rule = float(first["constant_motility_sensitivity"].value[0, 0])
    name = "square, motility 10/1, S 4/1: rule for one motility"
    yield Row(name=name, ours=rule, theirs=RULE, allowed=3e-4, source=GRADED)
    layers = laminate([0.5, 0.5], axis="x", dimension=2, resolution=0.25)
    names = ("layer1", "layer2")
    given = [dict(zip(names, pair, strict=True)) for pair in ((1.0, 10.0), (1.0, 4.0), (1.0, 0.1))]
    found = homogenize_chemotaxis(layers, *given).coefficients["sensitivity"]
    for axis, (direction, theirs) in enumerate((("across", ACROSS), ("along", ALONG))):
        yield _row(f"layers, {direction}: sensitivity", found, axis, theirs, 1e-9, CLOSED_FORM)


def _row(name: str, own: Any, axis: int, theirs: float, allowed: float, source: str) -> Row:
    value, lower, upper = (float(side[axis, axis]) for side in (own.value, own.lower, own.upper))
    return Row(name=name, ours=value, lower=lower, upper=upper, theirs=theirs, allowed=allowed, source=source)
