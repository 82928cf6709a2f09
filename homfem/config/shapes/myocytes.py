"""Heart muscle cells, joined by gap junctions."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Self

from pydantic import model_validator

from homfem.config.shapes.cell_table import CellTable
from homfem.config.table import Check, choice, flag, integer, lengths_of, number, quantity
from homfem.parameters import InputError
from homfem.quantities import LENGTH, Quantity, parse_quantity

Size = Annotated[Quantity, quantity(LENGTH, above=0.0)]
_GAP = "a length, or a list of 2 lengths: between ends and between sides"


def _gap(value: Any) -> Quantity | tuple[Quantity, ...]:
    if isinstance(value, (list, tuple)):
        return lengths_of(LENGTH, value, (2,), _GAP)
    return parse_quantity("", value, LENGTH, above=0.0)


#: Of a cell where nothing is said.
HEIGHT = Quantity(20.0, "um")
Patch = Annotated[float, number(above=0.0, at_most=1.0)]


class Myocyte(CellTable):
    """Heart muscle cells in a brick lattice, joined by gap junctions."""

    maker = "homfem.cells:myocyte"

    shape: Annotated[str, choice("myocyte", "hexagonal-myocyte")]
    length: Size = Quantity(100.0, "um")
    """Length of a cell."""
    width: Size = Quantity(20.0, "um")
    """Its width."""
    height: Size | None = None
    """Its height, 20 um without it; a plane cell has none."""
    gap: Annotated[Any, Check(_gap, says=_GAP)] = Quantity(2.0, "um")
    """Width of the space between cells; or two widths, between their ends and between their sides."""
    dimension: Annotated[int, integer(at_least=2, at_most=3)] = 3
    """2: plane cells."""
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

    @model_validator(mode="after")
    def _plane(self) -> Self:
        if self.dimension == 2 and self.height is not None:
            raise InputError("height", str(self.height), "absent where dimension = 2")
        return self

    @property
    def known_phases(self) -> tuple[str, ...]:
        """Inside, junctions, outside."""
        return ("intracellular", "junction", "extracellular")

    @property
    def known_dimension(self) -> int:
        """Two or three."""
        return self.dimension

    def arguments(self) -> dict[str, Any]:
        """Return the arguments of the maker; lengths in the unit of the first."""
        unit = self.length.unit
        lengths: dict[str, Any] = {name: getattr(self, name).to(unit) for name in ("length", "width")}
        several = isinstance(self.gap, tuple)
        lengths["gap"] = [width.to(unit) for width in self.gap] if several else self.gap.to(unit)
        lengths |= self._height(unit)
        others = {
            name: getattr(self, name) for name in ("end_patch", "side_patch", "staggered", "joined", "resolution")
        }
        return lengths | {name: value for name, value in others.items() if value is not None} | {"length_unit": unit}

    def _height(self, unit: str) -> dict[str, Any]:
        """The height as an argument of the maker."""
        height = HEIGHT if self.height is None else self.height
        return {"height": height.to(unit) if self.dimension == 3 else None}


class HexagonalMyocyte(Myocyte):
    """Heart muscle cells of hexagonal section in a hexagonal array."""

    maker = "homfem.cells:hexagonal_myocyte"

    height: None = None
    """A hexagonal cell has a width."""
    gap: Size = Quantity(2.0, "um")
    """Width of the space between cells."""
    dimension: Annotated[int, integer(at_least=3, at_most=3)] = 3
    """A hexagonal cell is one in space."""
    joined: None = None
    """Hexagonal cells are joined to all their neighbours."""

    def _height(self, unit: str) -> dict[str, Any]:
        """None: the maker has no such argument."""
        return {}


TABLES: Mapping[str, type[CellTable]] = {
    "myocyte": Myocyte,
    "hexagonal-myocyte": HexagonalMyocyte,
}
