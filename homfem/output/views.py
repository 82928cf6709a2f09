"""How pictures look: of a cell, and of a field at several times."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from homfem.output.colours import THEMES
from homfem.parameters import check_choice, check_integer


@dataclass(frozen=True, kw_only=True, slots=True)
class CellView:
    """How a cell is drawn (:func:`homfem.output.pictures.draw_cell`).

    Parameters
    ----------
    label
        What the corrector is, beside the colour bar.
    title
        Line above the picture.
    unit
        Unit of the coordinates, for the axes.
    periods
        How many periods along each period vector, or one number for all.
    translucent
        Names of the phases to look through. Default: in 3D, of several phases, the largest that others do not enclose.
    cut
        Whether to take the octant nearest to the eye out of the opaque phases of a 3D cell. Default: where they fill
        more than half of the box about them.
    mesh_lines
        Whether to show the cells of the mesh.
    size
        Width and height in pixels; a picture in 2D has the shape of the cell within them.
    engine
        ``"pyvista"`` (3D) or ``"matplotlib"``. Default: pyvista in 3D where it works.
    theme
        The ground: ``"light"`` or ``"dark"``.
    limits
        Values at the ends of the colour bar. Default: :func:`homfem.output.colours.colour_scale`.
    lines
        About how many lines along a flux or velocity enter through a side of the cell.
    heads
        Whether the lines have arrow heads, in the plane. A flux that is said to belong to a gradient has none: it runs
        along the gradient by convention, and against it in nature.

    Raises
    ------
    InputError
        For an unknown engine or theme, less than one line.
    """

    label: str = "corrector"
    title: str = ""
    unit: str = ""
    periods: Sequence[int] | int = 1
    translucent: Sequence[str] | None = None
    cut: bool | None = None
    mesh_lines: bool = False
    size: tuple[int, int] = (1400, 1100)
    engine: str | None = None
    theme: str = "light"
    limits: tuple[float, float] | None = None
    lines: int = 20
    heads: bool = True

    def __post_init__(self) -> None:
        check_choice("theme", self.theme, list(THEMES))
        check_integer("lines", self.lines, at_least=1)
        if self.engine is not None:
            check_choice("engine", self.engine, ("pyvista", "matplotlib"))


@dataclass(frozen=True, kw_only=True, slots=True)
class SeriesView:
    """How a field at several times is drawn (:func:`homfem.output.waves.draw_series`).

    Parameters
    ----------
    label
        What the colour bar shows, with its unit.
    style
        ``"section"``: the plane through the middle of the body; ``"body"``: the half of the body behind it,
        its skin faded.
    normal
        Normal of the plane.
    limits
        Range of the colours; None: that of the drawn values.
    length_unit, time_unit
        Names of the units.
    columns
        Panels per row.
    colormap
        Name of the colours (:func:`homfem.output.colours.colour_scale`). Default: by the signs of the values.
    theme
        The ground: ``"light"`` or ``"dark"``.
    front
        Value at which a line is drawn, such as that of a wave's front.

    Raises
    ------
    InputError
        For an unknown style or theme, no column.
    """

    label: str
    style: str = "section"
    normal: Sequence[float] = (0.0, 1.0, 0.0)
    limits: tuple[float, float] | None = None
    length_unit: str = "um"
    time_unit: str = "s"
    columns: int = 3
    colormap: str | None = None
    theme: str = "light"
    front: float | None = None

    def __post_init__(self) -> None:
        check_choice("style", self.style, ("section", "body"))
        check_choice("theme", self.theme, list(THEMES))
        check_integer("columns", self.columns, at_least=1)
