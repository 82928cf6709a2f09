"""Scaffolds: lattices of struts, and triply periodic minimal surfaces."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from homfem.config.shapes.cell_table import CellTable, Fraction
from homfem.config.shapes.made import CurvedShape, CutShape
from homfem.config.table import choice, number


class Struts(CutShape):
    """A lattice of struts: a scaffold."""

    maker = "homfem.cells:struts"
    phases, dimensions, single_period = ("strut", "pore"), (3,), True

    kind: Annotated[str, choice("cubic", "body-centred", "octet")] = "cubic"
    """The lattice of the struts."""
    thickness: Fraction | None = None
    """Their width as a fraction of the period, in place of `fraction`."""
    fraction: Fraction | None = None
    """Volume fraction of the struts."""
    section: Annotated[str, choice("round", "square")] | None = None
    """Their section."""
    fillet: Annotated[float, number(at_least=0.0, below=1.0)] | None = None
    """Rounding where struts meet, over their width."""


class MinimalSurface(CurvedShape):
    """A solid bounded by a level of a triply periodic minimal surface: its name is the shape."""

    maker = "homfem.cells:tpms"
    phases, dimensions, single_period = ("solid", "pore"), (3,), True

    shape: Annotated[str, choice("gyroid", "schwarz-p", "schwarz-d")]
    level: Annotated[float, number(above=-2.0, below=2.0)] | None = None
    """The level of the surface, in place of `fraction`: 0 is the minimal surface."""

    def own_arguments(self) -> dict[str, Any]:
        """Return the arguments of the maker that are the shape's own."""
        return super().own_arguments() | {"surface": self.shape}


TABLES: Mapping[str, type[CellTable]] = {
    "struts": Struts,
    "gyroid": MinimalSurface,
    "schwarz-p": MinimalSurface,
    "schwarz-d": MinimalSurface,
}
