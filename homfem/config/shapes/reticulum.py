"""The endoplasmic reticulum: crossing pipes, winding pipes, sheets joined by tubes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import model_validator

from homfem.config.shapes.cell_table import CellTable, Fraction, Period, fraction, sizes
from homfem.config.shapes.made import Axis, Shape
from homfem.config.table import Check, Missing, choice, listed, number
from homfem.parameters import InputError, check_number
from homfem.quantities import Quantity


def _three(value: Any) -> int:
    if value != 3 or isinstance(value, bool):
        raise InputError("", value, "3: this shape is three-dimensional")
    return 3


def _offset(value: Any) -> float:
    return check_number("", value, above=-0.5, below=0.5, remedy="It is a fraction of the period.")


class ThreePipe(CellTable):
    """Three orthogonal pipes that cross at the centre of a cube: the endoplasmic reticulum (ER) in the cytosol."""

    maker = "homfem.cells:three_pipe"

    shape: Annotated[str, choice("three-pipe")]
    edge: Fraction | None = None
    """Width of all pipes as a fraction of the period."""
    edges: Annotated[tuple[float, ...], listed(fraction, (3,), "a list of 3 numbers, one per axis")] | None = None
    """Widths of the pipes along x, y and z."""
    section: Annotated[str, choice("square", "round")] = "square"
    """Their section."""
    offsets: Annotated[tuple[float, ...], listed(_offset, (3,), "a list of 3 numbers, one per pipe")] | None = None
    """Shift of the pipe along x in y, of that along y in z, of that along z in x, as fractions of the period."""
    period: Period = (Quantity(1.0, "m"),)
    """The period: one length, or one per axis."""
    resolution: Annotated[float, number(above=0.0, at_most=1.0 / 3.0)] | None = None
    """Size of the mesh cells as a fraction of the shortest period."""
    dimension: Annotated[int, Check(_three, says="3")] = 3
    """Number of space dimensions."""

    @model_validator(mode="after")
    def _one_size(self) -> ThreePipe:
        if self.edge is None and self.edges is None:
            raise InputError(
                "edge",
                Missing(),
                "given: the edge of the pipes as a fraction of the period",
                "Or give edges = [a, b, c].",
            )
        if self.edge is not None and self.edges is not None:
            raise InputError("edges", list(self.edges), "absent where edge is given")
        if len(self.period) not in (1, 3):
            raise InputError("period", [str(p) for p in self.period], "one length, or 3, one per axis")
        return self

    @property
    def known_phases(self) -> tuple[str, ...]:
        """The pipes and the rest."""
        return ("er", "cytosol")

    @property
    def known_dimension(self) -> int:
        """Three."""
        return 3

    @property
    def argument_keys(self) -> Mapping[str, str]:
        """The edges are those of one key."""
        return {} if self.edge is None else {"edges": "cell.edge"}

    def arguments(self) -> dict[str, Any]:
        """Return the arguments of the maker."""
        options = {"edges": self.edges or self.edge, "section": self.section} | sizes(self.period, self.resolution)
        return options if self.offsets is None else options | {"offsets": list(self.offsets)}


class TortuousPipes(Shape):
    """Three pipes of which two wind: Goel et al., figure 9."""

    maker = "homfem.cells:tortuous_pipes"
    phases, dimensions = ("er", "cytosol"), (3,)

    edge: Fraction | None = None
    """Width of the winding pipes as a fraction of the period."""
    straight_edge: Fraction | None = None
    """Width of the straight pipe."""
    detour: Fraction | None = None
    """How far the winding pipes step aside, as a fraction of the period."""


class Sheets(Shape):
    """Parallel sheets joined by tubes: rough endoplasmic reticulum."""

    vector_dimensions = (3,)
    maker = "homfem.cells:sheets"
    phases, dimensions = ("er", "cytosol"), (3,)

    thickness: Fraction | None = None
    """Thickness of the sheets as a fraction of the period."""
    tube: Fraction | None = None
    """Width of the tubes between them."""
    axis: Axis = "z"
    """The normal of the sheets."""


TABLES: Mapping[str, type[CellTable]] = {
    "three-pipe": ThreePipe,
    "tortuous-pipes": TortuousPipes,
    "sheets": Sheets,
}
