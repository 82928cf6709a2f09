"""What the shapes share that one function of :mod:`homfem.cells` makes from the keys of the table."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, ClassVar

from pydantic import model_validator

from homfem.config.shapes.cell_table import CellTable, Fraction, LatticePeriod, sizes, written
from homfem.config.table import Check, choice, integer, number
from homfem.parameters import InputError, check_number
from homfem.quantities import Quantity

if TYPE_CHECKING:
    from homfem.config.physics.effective_table import EffectiveTable

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


Fractions = Annotated[
    tuple[float, ...], Check(_fractions, says="a list of numbers > 0 whose sum is 1", schema={"type": "array"})
]
FractionOrList = Annotated[
    float | tuple[float, ...],
    Check(_fraction_or_list, says="a number > 0 and < 1, or a list of them", schema={"type": ["number", "array"]}),
]


class Shape(CellTable):
    """A shape that a function of :mod:`homfem.cells` makes from the keys of the table."""

    #: Names of the phases, and the numbers of dimensions that the shape may have.
    phases: ClassVar[tuple[str, ...]]
    dimensions: ClassVar[tuple[int, ...]] = (2, 3)
    single_period: ClassVar[bool] = False
    axes_in_2d: ClassVar[tuple[str, ...]] = ("x", "y")

    shape: str
    period: LatticePeriod = OneMetre
    """The period: one length, one per axis where the shape allows that, or period vectors."""
    resolution: Annotated[float, number(above=0.0, at_most=1.0 / 3.0)] | None = None
    """Size of the mesh cells as a fraction of the shortest period."""
    dimension: Annotated[int, integer(at_least=2, at_most=3)] | None = None
    """Number of space dimensions, where the shape allows both."""

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

    def own_arguments(self) -> dict[str, Any]:
        """Return the arguments of the maker that are the shape's own."""
        own = set(type(self).model_fields) - set(Shape.model_fields)
        given = {name: getattr(self, name) for name in own}
        result = {name: list(v) if isinstance(v, tuple) else v for name, v in given.items() if v is not None}
        return result | ({"dimension": self.known_dimension} if len(self.dimensions) > 1 else {})

    def arguments(self) -> dict[str, Any]:
        """Return the arguments of the maker."""
        return self.own_arguments() | sizes(self.period, self.resolution)


Whole = Annotated[int, integer(at_least=0, at_most=9)]


class CutShape(Shape):
    """A shape whose surfaces are cut out of a grid: see :mod:`homfem.meshing.cut.implicit`."""

    refinement: Whole | None = None
    """How often the mesh is halved near the surface; without it curved cells of fibres and spheres may be larger."""
    mirrors: Annotated[str, choice("none", "auto")] | None = None
    """Whether the mesh has the mirror planes of the shape, for `symmetry = "auto"`."""

    def suited_to(self, effective: EffectiveTable) -> CutShape:
        """Return the shape with the mirror planes that the cell problem looks for, if nothing else is said."""
        if self.mirrors is not None or getattr(effective, "symmetry", None) != "auto":
            return self
        return self.model_copy(update={"mirrors": "auto"})


class CurvedShape(CutShape):
    """A shape with keys that all curved ones but struts have."""

    order: Annotated[int, integer(at_least=1, at_most=4)] | None = None
    """Order of the mesh cells: 2 for curved ones, 3 and 4 in the plane."""
    fraction: Fraction | None = None
    """Volume fraction of the inclusion."""
