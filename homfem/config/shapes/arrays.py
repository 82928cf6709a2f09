"""Arrays of fibres and of spheres, and a tube."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated

from pydantic import Field

from homfem.config.shapes.cell_table import CellTable, Fraction
from homfem.config.shapes.made import Axis, CurvedShape
from homfem.config.table import choice, flag, integer, number


class FibreArray(CurvedShape):
    """Parallel fibres in a square or hexagonal array, with a coating if one is given."""

    vector_dimensions = (2,)
    maker = "homfem.cells:fibre_array"
    axes_in_2d = ()

    lattice: Annotated[str, choice("square", "hexagonal")] = "square"
    radius: Fraction | None = None
    coating: Fraction | None = None
    section: Annotated[str, choice("round", "elliptical", "polygon")] | None = None
    aspect: Annotated[float, number(above=0.0)] | None = None
    sides: Annotated[int, integer(at_least=3, at_most=64)] | None = None
    angle: Annotated[float, number()] | None = None
    axis: Axis | None = None
    layers: Annotated[int, integer(at_least=1)] | None = None

    @property
    def known_dimension(self) -> int:
        """As the table says; an axis needs three."""
        return self.dimension or (3 if self.axis is not None or len(self.period) == 3 else 2)

    @property
    def known_phases(self) -> tuple[str, ...]:
        """Two, or three with a coating."""
        return ("fibre", "matrix") if self.coating is None else ("fibre", "coating", "matrix")


class SphereArray(CurvedShape):
    """Equal spheres in a cubic array."""

    maker = "homfem.cells:sphere_array"
    phases, dimensions, single_period = ("sphere", "matrix"), (3,), True

    lattice: Annotated[str, choice("simple-cubic", "body-centred", "face-centred")] = "simple-cubic"
    radius: Fraction | None = None
    overlap: Annotated[bool, flag()] = False


class Tube(CurvedShape):
    """A straight round pore."""

    vector_dimensions = (2,)
    maker = "homfem.cells:tube"
    phases, dimensions, axes_in_2d = ("pore", "solid"), (3, 2), ()

    fraction: None = None
    radius: Fraction = Field(description="the radius as a fraction of the period")
    axis: Axis | None = None
    layers: Annotated[int, integer(at_least=1)] | None = None


TABLES: Mapping[str, type[CellTable]] = {
    "fibre-array": FibreArray,
    "sphere-array": SphereArray,
    "tube": Tube,
}
