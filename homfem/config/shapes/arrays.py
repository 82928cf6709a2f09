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
    """The array of the fibres."""
    radius: Fraction | None = None
    """Their radius as a fraction of the period, in place of `fraction`."""
    coating: Fraction | None = None
    """Thickness of a coating as a fraction of the period."""
    section: Annotated[str, choice("round", "elliptical", "polygon")] | None = None
    """The section of the fibres."""
    aspect: Annotated[float, number(above=0.0)] | None = None
    """Ratio of the half axes of elliptical fibres."""
    sides: Annotated[int, integer(at_least=3, at_most=64)] | None = None
    """Number of sides of polygonal fibres."""
    angle: Annotated[float, number()] | None = None
    """Rotation of elliptical and polygonal fibres in degrees."""
    axis: Axis | None = None
    """Direction of the fibres in three dimensions."""
    layers: Annotated[int, integer(at_least=1)] | None = None
    """Mesh cells along the fibres in three dimensions."""

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
    """The array of the spheres."""
    radius: Fraction | None = None
    """Their radius as a fraction of the period, in place of `fraction`."""
    overlap: Annotated[bool, flag()] = False
    """Whether spheres may overlap."""


class Tube(CurvedShape):
    """A straight round pore."""

    vector_dimensions = (2,)
    maker = "homfem.cells:tube"
    phases, dimensions, axes_in_2d = ("pore", "solid"), (3, 2), ()

    fraction: None = None
    """A tube has a radius."""
    radius: Fraction = Field(description="the radius as a fraction of the period")
    axis: Axis | None = None
    """Its direction in three dimensions."""
    layers: Annotated[int, integer(at_least=1)] | None = None
    """Mesh cells along it in three dimensions."""


TABLES: Mapping[str, type[CellTable]] = {
    "fibre-array": FibreArray,
    "sphere-array": SphereArray,
    "tube": Tube,
}
