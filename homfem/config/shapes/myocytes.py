"""Heart muscle cells, joined by gap junctions."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from homfem.config.shapes.cell_table import CellTable
from homfem.config.table import choice, flag, number, quantity
from homfem.quantities import LENGTH, Quantity

Size = Annotated[Quantity, quantity(LENGTH, above=0.0)]
Patch = Annotated[float, number(above=0.0, at_most=1.0)]


class Myocyte(CellTable):
    """Heart muscle cells in a brick lattice, joined by gap junctions."""

    maker = "homfem.cells:myocyte"

    shape: Annotated[str, choice("myocyte", "hexagonal-myocyte")]
    length: Size = Quantity(100.0, "um")
    """Length of a cell."""
    width: Size = Quantity(20.0, "um")
    """Its width."""
    height: Size | None = Quantity(20.0, "um")
    """Its height; none in a plane cell."""
    gap: Size = Quantity(2.0, "um")
    """Width of the space between cells."""
    end_patch: Patch | None = None
    """Gap junctions at the ends, as a fraction of the width."""
    side_patch: Patch | None = None
    """Gap junctions at the sides, as a fraction of the length over which cells lie side by side."""
    staggered: Annotated[bool, flag()] | None = None
    """Whether every second row is shifted."""
    joined: Annotated[str, choice("x", "xy", "xz", "xyz")] | None = None
    """The axes along which cells are joined."""
    resolution: Annotated[float, number(above=0.0, at_most=1.0 / 3.0)] | None = None
    """Size of the mesh cells as a fraction of the shortest period."""

    @property
    def known_phases(self) -> tuple[str, ...]:
        """Inside, junctions, outside."""
        return ("intracellular", "junction", "extracellular")

    @property
    def known_dimension(self) -> int:
        """Three."""
        return 3

    def arguments(self) -> dict[str, Any]:
        """Return the arguments of the maker; lengths in the unit of the first."""
        unit = self.length.unit
        given = {name: getattr(self, name) for name in ("length", "width", "height", "gap")}
        lengths = {name: value.to(unit) for name, value in given.items() if value is not None}
        others = {
            name: getattr(self, name) for name in ("end_patch", "side_patch", "staggered", "joined", "resolution")
        }
        return lengths | {name: value for name, value in others.items() if value is not None} | {"length_unit": unit}


class HexagonalMyocyte(Myocyte):
    """Heart muscle cells of hexagonal section in a hexagonal array."""

    maker = "homfem.cells:hexagonal_myocyte"

    height: None = None
    """A hexagonal cell has a width."""
    joined: None = None
    """Hexagonal cells are joined to all their neighbours."""


TABLES: Mapping[str, type[CellTable]] = {
    "myocyte": Myocyte,
    "hexagonal-myocyte": HexagonalMyocyte,
}
