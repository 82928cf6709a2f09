"""One published number beside ours."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, kw_only=True, slots=True)
class Row:
    """A published number beside ours.

    Parameters
    ----------
    name
        What it is of.
    ours, theirs
        The two numbers, in ``unit``; ``theirs`` is never computed by homfem.
    unit
        Their unit; ``"1"`` for pure numbers.
    allowed
        How far they may be apart, in parts of theirs: what the printed digits and our mesh leave.
    source
        Where theirs is from.
    lower, upper
        Bounds of ours, where they are guaranteed (of curved phases: those of the mesh); else None.
    at_most
        Theirs is an error: ours may be any that is not larger (but for what is allowed).
    """

    name: str
    ours: float
    theirs: float
    unit: str = "1"
    allowed: float
    source: str
    lower: float | None = None
    upper: float | None = None
    at_most: bool = False

    @property
    def relative(self) -> float:
        """How far they are apart, ours less theirs, in parts of theirs; where theirs is zero, ours itself."""
        return (self.ours - self.theirs) / (abs(self.theirs) or 1.0)

    @property
    def within(self) -> bool:
        """Whether that is allowed; a number that is none is not."""
        if self.at_most:
            return self.ours >= 0.0 and self.relative <= self.allowed
        return abs(self.relative) <= self.allowed

    @property
    def bounds(self) -> str:
        """The bounds of ours in text, the lower one rounded down and the upper one up; nothing without."""
        if self.lower is None or self.upper is None:
            return ""
        size = max(abs(self.lower), abs(self.upper))
        unit = 10.0 ** (math.floor(math.log10(size)) - 5) if size else 1.0
        low, high = math.floor(self.lower / unit) * unit, math.ceil(self.upper / unit) * unit
        return f"{low:.6g} … {high:.6g}"

    def to_dict(self) -> dict[str, Any]:
        """Return it as plain values."""
        names = (
            "name",
            "ours",
            "theirs",
            "unit",
            "relative",
            "allowed",
            "within",
            "lower",
            "upper",
            "bounds",
            "source",
        )
        return {name: getattr(self, name) for name in names}


def as_text(rows: Sequence[Row]) -> str:
    """Return rows as a table in text, with the sources below it."""
    sources = list(dict.fromkeys(row.source for row in rows))
    lines = [("name", "ours", "bounds", "theirs", "unit", "apart", "allowed", "", "source")]
    for row in rows:
        digits = (
            *(f"{row.ours:.7g}", row.bounds, f"{row.theirs:.9g}", row.unit),
            *(f"{row.relative:+.1e}", f"{row.allowed:.1e}"),
        )
        lines.append((row.name, *digits, "" if row.within else "NO", f"[{sources.index(row.source) + 1}]"))
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    shown = [
        "  ".join(cell.ljust(width) if place == 0 else cell.rjust(width) for place, (cell, width) in enumerate(cells))
        for cells in (list(zip(line, widths, strict=True)) for line in lines)
    ]
    outside = sum(not row.within for row in rows)
    told = f"{len(rows)} numbers, " + (
        f"{outside} not within what is allowed" if outside else "all within what is allowed"
    )
    return "\n".join([*shown, *(f"[{number}] {source}" for number, source in enumerate(sources, start=1)), told])
