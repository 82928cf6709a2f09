"""The shapes of ``[cell]`` that one function of :mod:`homfem.cells` makes. A new one is one class and its name."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

from pydantic import Field, PlainValidator, model_validator

from homfem.config.cell_table import CellTable, Fraction, LatticePeriod, sizes, written
from homfem.config.table import choice, flag, integer, number, quantity
from homfem.parameters import InputError, check_number
from homfem.quantities import LENGTH, Quantity

if TYPE_CHECKING:
    from mpi4py import MPI

    from homfem.cells.unitcell import UnitCell
    from homfem.config.effective import EffectiveTable

Axis = Annotated[str, choice("x", "y", "z")]
OneMetre = (Quantity(1.0, "m"),)


def _fractions(value: Any) -> tuple[float, ...]:
    if not isinstance(value, (list, tuple)) or not value:
        raise InputError("", value, "a list of numbers > 0 whose sum is 1")
    return tuple(check_number(f"[{k}]", entry, above=0.0, at_most=1.0) for k, entry in enumerate(value))


def _fraction_or_list(value: Any) -> float | tuple[float, ...]:
    if isinstance(value, (list, tuple)) and value:
        return tuple(check_number(f"[{k}]", entry, above=0.0, below=1.0) for k, entry in enumerate(value))
    return check_number("", value, above=0.0, below=1.0, remedy="It is a fraction of the period, or a list of them.")


Fractions = Annotated[tuple[float, ...], PlainValidator(_fractions)]
FractionOrList = Annotated[float | tuple[float, ...], PlainValidator(_fraction_or_list)]


class Shape(CellTable):
    """A shape that a function of :mod:`homfem.cells` makes from the keys of the table."""

    #: Name of the function, of the phases, and the numbers of dimensions that the shape may have.
    maker: ClassVar[str]
    phases: ClassVar[tuple[str, ...]]
    dimensions: ClassVar[tuple[int, ...]] = (2, 3)
    single_period: ClassVar[bool] = False
    axes_in_2d: ClassVar[tuple[str, ...]] = ("x", "y")

    shape: str
    period: LatticePeriod = OneMetre
    resolution: Annotated[float, number(above=0.0, at_most=1.0 / 3.0)] | None = None
    dimension: Annotated[int, integer(at_least=2, at_most=3)] | None = None

    @model_validator(mode="after")
    def _dimension(self) -> Shape:
        d = self.known_dimension
        if d not in self.dimensions:
            allowed = " or ".join(map(str, self.dimensions))
            raise InputError("dimension", d, f"{allowed} for this shape")
        oblique = not isinstance(self.period[0], Quantity)
        wrong = d not in self.vector_dimensions if oblique else self.single_period and len(self.period) > 1
        if len(self.period) not in (1, d) or wrong:
            allowed = "one length" if self.single_period else f"one length, or {d}, one per axis"
            allowed += "".join(f"; {n} period vectors with dimension = {n}" for n in self.vector_dimensions)
            raise InputError("period", written(self.period), allowed)
        axis = getattr(self, "axis", None)
        if axis is not None and axis not in self.axes_in_2d and d == 2:
            known = " or ".join(map(repr, self.axes_in_2d)) or "absent"
            raise InputError("axis", axis, f"{known} in two dimensions", "Set dimension = 3.")
        return self

    @property
    def known_phases(self) -> tuple[str, ...]:
        """The phases of the shape."""
        return self.phases

    @property
    def known_dimension(self) -> int:
        """As the table says; else that which the periods or the axis need; else the smallest that the shape has."""
        if self.dimension is not None:
            return self.dimension
        if len(self.dimensions) > 1 and (len(self.period) == 3 or getattr(self, "axis", None) == "z"):
            return 3
        return self.dimensions[0]

    def options(self) -> dict[str, Any]:
        """Return the arguments of the maker that are the shape's own."""
        own = set(type(self).model_fields) - set(Shape.model_fields)
        given = {name: getattr(self, name) for name in own}
        result = {name: list(v) if isinstance(v, tuple) else v for name, v in given.items() if v is not None}
        return result | ({"dimension": self.known_dimension} if len(self.dimensions) > 1 else {})

    def build(self, comm: MPI.Comm, folder: Path) -> UnitCell:
        """Return the meshed cell; collective."""
        from homfem import cells

        make = getattr(cells, self.maker)
        cell: UnitCell = make(**self.options(), **sizes(self.period, self.resolution), comm=comm)
        return cell


class Laminate(Shape):
    """Layers with a common normal."""

    vector_dimensions = (2, 3)
    maker = "laminate"

    fractions: Fractions = Field(description="the thickness of each layer as a fraction of the period")
    axis: Axis = "x"

    @property
    def known_phases(self) -> tuple[str, ...]:
        """One per layer."""
        return tuple(f"layer{k + 1}" for k in range(len(self.fractions)))


class Slit(Shape):
    """Pores between parallel walls."""

    vector_dimensions = (2, 3)
    maker, phases = "slit", ("pore", "solid")

    aperture: FractionOrList = Field(description="the width of the slit as a fraction of the period, or several")
    axis: Axis = "x"


class Obstacles(Shape):
    """Rectangles or boxes in a pore space."""

    vector_dimensions = (2, 3)
    maker, phases = "obstacles", ("obstacle", "pore")

    edge: FractionOrList = Field(description="the edge of the obstacles as a fraction of the period, or one per axis")
    lattice: Annotated[str, choice("square", "staggered")] = "square"


class Sheets(Shape):
    """Parallel sheets joined by tubes: rough endoplasmic reticulum."""

    vector_dimensions = (3,)
    maker, phases, dimensions = "sheets", ("er", "cytosol"), (3,)

    thickness: Fraction | None = None
    tube: Fraction | None = None
    axis: Axis = "z"


class TortuousPipes(Shape):
    """Three pipes of which two wind: Goel et al., figure 9."""

    maker, phases, dimensions = "tortuous_pipes", ("er", "cytosol"), (3,)

    edge: Fraction | None = None
    straight_edge: Fraction | None = None
    detour: Fraction | None = None


Whole = Annotated[int, integer(at_least=0, at_most=9)]


class CutShape(Shape):
    """A shape whose surfaces are cut out of a grid: see :mod:`homfem.meshing.cut.implicit`."""

    refinement: Whole | None = None
    mirrors: Annotated[str, choice("none", "auto")] | None = None

    def suited_to(self, effective: EffectiveTable) -> CutShape:
        """Return the shape with the mirror planes that the cell problem looks for, if nothing else is said."""
        if self.mirrors is not None or getattr(effective, "symmetry", None) != "auto":
            return self
        return self.model_copy(update={"mirrors": "auto"})


class CurvedShape(CutShape):
    """A shape with keys that all curved ones but struts have."""

    order: Annotated[int, integer(at_least=1, at_most=2)] | None = None
    fraction: Fraction | None = None


class FibreArray(CurvedShape):
    """Parallel fibres in a square or hexagonal array, with a coating if one is given."""

    vector_dimensions = (2,)
    maker, axes_in_2d = "fibre_array", ()

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


class Tube(CurvedShape):
    """A straight round pore."""

    vector_dimensions = (2,)
    maker, phases, dimensions, axes_in_2d = "tube", ("pore", "solid"), (3, 2), ()

    fraction: None = None
    radius: Fraction = Field(description="the radius as a fraction of the period")
    axis: Axis | None = None
    layers: Annotated[int, integer(at_least=1)] | None = None


class SphereArray(CurvedShape):
    """Equal spheres in a cubic array."""

    maker, phases, dimensions, single_period = "sphere_array", ("sphere", "matrix"), (3,), True

    lattice: Annotated[str, choice("simple-cubic", "body-centred", "face-centred")] = "simple-cubic"
    radius: Fraction | None = None
    overlap: Annotated[bool, flag()] = False


class MinimalSurface(CurvedShape):
    """A solid bounded by a level of a triply periodic minimal surface: its name is the shape."""

    maker, phases, dimensions, single_period = "tpms", ("solid", "pore"), (3,), True

    shape: Annotated[str, choice("gyroid", "schwarz-p", "schwarz-d")]
    level: Annotated[float, number(above=-2.0, below=2.0)] | None = None

    def options(self) -> dict[str, Any]:
        """Return the arguments of the maker that are the shape's own."""
        return super().options() | {"surface": self.shape}


class Struts(CutShape):
    """A lattice of struts: a scaffold."""

    maker, phases, dimensions, single_period = "struts", ("strut", "pore"), (3,), True

    kind: Annotated[str, choice("cubic", "body-centred", "octet")] = "cubic"
    thickness: Fraction | None = None
    fraction: Fraction | None = None
    section: Annotated[str, choice("round", "square")] | None = None
    fillet: Annotated[float, number(at_least=0.0, below=1.0)] | None = None


Size = Annotated[Quantity, quantity(LENGTH, above=0.0)]


class Myocyte(CellTable):
    """Heart muscle cells in a brick lattice, joined by gap junctions."""

    maker: ClassVar[str] = "myocyte"

    shape: Annotated[str, choice("myocyte", "hexagonal-myocyte")]
    length: Size = Quantity(100.0, "um")
    width: Size = Quantity(20.0, "um")
    height: Size | None = Quantity(20.0, "um")
    gap: Size = Quantity(2.0, "um")
    end_patch: Fraction | None = None
    side_patch: Fraction | None = None
    resolution: Annotated[float, number(above=0.0, at_most=1.0 / 3.0)] | None = None

    @property
    def known_phases(self) -> tuple[str, ...]:
        """Inside, junctions, outside."""
        return ("intracellular", "junction", "extracellular")

    @property
    def known_dimension(self) -> int:
        """Three."""
        return 3

    def build(self, comm: MPI.Comm, folder: Path) -> UnitCell:
        """Return the meshed cell; collective."""
        from homfem import cells

        unit = self.length.unit
        given = {name: getattr(self, name) for name in ("length", "width", "height", "gap")}
        lengths = {name: value.to(unit) for name, value in given.items() if value is not None}
        make = getattr(cells, self.maker)
        cell: UnitCell = make(**lengths, **self.extras(), length_unit=unit, comm=comm)
        return cell

    def extras(self) -> dict[str, Any]:
        """Return what else the maker is given."""
        others = {name: getattr(self, name) for name in ("end_patch", "side_patch", "resolution")}
        return {name: value for name, value in others.items() if value is not None}


class HexagonalMyocyte(Myocyte):
    """Heart muscle cells of hexagonal section in a hexagonal array."""

    maker: ClassVar[str] = "hexagonal_myocyte"

    height: None = None
    staggered: Annotated[bool, flag()] | None = None

    def extras(self) -> dict[str, Any]:
        """Return what else the maker is given."""
        return super().extras() | ({} if self.staggered is None else {"staggered": self.staggered})
