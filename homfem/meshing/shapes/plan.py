"""A cell that is not meshed yet: what it is, how large, and how its arrays are made."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from homfem.meshing.arrays.raw_cell import RawCell


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class CellPlan:
    """A checked request for a cell. Making it is cheap, on every rank; ``make`` is called on one.

    Parameters
    ----------
    name
        What the cell is, for messages and results.
    make
        Returns the arrays.
    length, length_unit
        Physical length of one unit of the arrays.
    phases
        The phases that are kept; None for all. Volume fractions and areas are those of the whole.
    conforming
        The arrays are a grid of boxes that is made here: its cells meet in whole facets and never overlap, so that
        nothing is searched for cracks and overlaps.
    warnings
        What must be said of every result.
    """

    name: str
    make: Callable[[], RawCell]
    length: float = 1.0
    length_unit: str = "m"
    phases: tuple[str, ...] | None = None
    conforming: bool = False
    warnings: tuple[str, ...] = ()
