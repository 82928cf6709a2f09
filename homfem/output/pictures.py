"""Pictures of a cell: its phases, and a field on them; drawn without a display, from plain arrays."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from homfem.output import canvas, scene, skins, subdivision
from homfem.output.plane_pictures import draw_plane
from homfem.output.space_pictures import draw_space
from homfem.output.streams import with_streams
from homfem.output.views import CellView
from homfem.parameters import Array, InputError, check_choice
from homfem.reference import CORNERS, kind_of


def draw_cell(
    points: npt.ArrayLike,
    cells: npt.ArrayLike,
    phase_of_cell: npt.ArrayLike,
    path: str | Path,
    *,
    phases: Mapping[str, int],
    corrector: npt.ArrayLike | None = None,
    lattice: npt.ArrayLike | None = None,
    view: CellView = CellView(),  # noqa: B008  (frozen)
) -> Path:
    """Draw a cell in 2D or 3D into a PNG, PDF or SVG file.

    Phases have a colour each, translucent ones let the others be seen; with a corrector the opaque phases are coloured
    by it, exactly as the colour bar is. A cut goes through the cells, and is plane.

    Parameters
    ----------
    points : array, shape (n, d)
        Nodes, in ``view.unit``.
    cells : array of int, shape (m, k)
        Triangles or tetrahedra, corners first, those of higher order curved; quadrilaterals (k = 4 in 2D) or hexahedra
        (k = 8 in 3D), numbered as :mod:`homfem.reference` says.
    phase_of_cell : array of int, shape (m,)
        Tag of the phase of each cell.
    path
        File that is written, with a name that ends in .png, .pdf or .svg.
    phases
        Name of each phase and its tag.
    corrector : array, shape (n,), (m, corners) or (m, 6 or 10)
        Value at each node, or at the corners of each cell for a field that jumps from phase to phase, or at the nodes
        of second order of each simplex; not finite where there is none.
    lattice : array, shape (d, d)
        Period vectors as rows; needed for more than one period.
    view
        Words, periods, what is looked through, size.

    Raises
    ------
    InputError
        Arrays that do not fit together, an unknown phase, several periods without a lattice.
    FileError
        A name that ends otherwise, or a directory that does not exist.
    """
    path = canvas.check_figure(path)
    return draw_fields(
        made_drawable(points, cells, phase_of_cell, corrector), path, phases=phases, lattice=lattice, view=view
    )


def draw_fields(
    drawn: skins.Drawn,
    path: str | Path,
    *,
    phases: Mapping[str, int],
    lattice: npt.ArrayLike | None = None,
    view: CellView = CellView(),  # noqa: B008  (frozen)
) -> Path:
    """Draw a cell with the fields that it carries: values as colours, vectors as lines along them, a shape at rest.

    Parameters and errors are those of :func:`draw_cell`; :func:`made_drawable` makes the arrays.
    """
    path = canvas.check_figure(path)
    for name in view.translucent or ():
        check_choice("translucent", name, list(phases))
    if not len(drawn.corners):
        raise InputError("cells", len(drawn.corners), "at least one")
    drawn = _repeated(drawn, lattice, view.periods)
    if drawn.nodes.shape[1] == 2:
        draw_plane(drawn, phases, path, view)
    else:
        shown = scene.build(drawn, phases, view)
        if drawn.vectors is not None:
            shown = with_streams(shown, drawn, view)
        draw_space(shown, path, view)
    return path


def made_drawable(
    points: npt.ArrayLike,
    cells: npt.ArrayLike,
    phase_of_cell: npt.ArrayLike,
    values: npt.ArrayLike | None = None,
    *,
    vectors: npt.ArrayLike | None = None,
    displacement: npt.ArrayLike | None = None,
) -> skins.Drawn:
    """Return a cell as it is drawn: straight cells with linear fields, those of second order cut into smaller ones.

    Parameters
    ----------
    points, cells, phase_of_cell
        As of :func:`draw_cell`.
    values
        As the corrector of :func:`draw_cell`.
    vectors, displacement
        A flux or velocity, and what the nodes are moved by: as the values, with a last axis of d components.

    Raises
    ------
    InputError
        Arrays that do not fit together.
    """
    nodes = np.asarray(points, dtype=np.float64)
    d = nodes.shape[1] if nodes.ndim == 2 else 0
    if d not in (2, 3):
        raise InputError("points", nodes.shape, "of shape (n, 2) or (n, 3)")
    every = np.asarray(cells, dtype=np.int64)
    corners = every[:, : CORNERS[kind_of(d, every.shape[1])]]
    tags = np.asarray(phase_of_cell)
    if tags.shape != corners.shape[:1]:
        raise InputError("phase_of_cell", tags.shape, f"of shape ({len(corners)},)")
    given = (("corrector", values, ()), ("vectors", vectors, (d,)), ("displacement", displacement, (d,)))
    width = corners.shape[1]
    simplex = width == d + 1
    second_order = subdivision.NODES[width] if simplex else width
    fields = [
        None if field is None else _of_cells(name, field, len(nodes), corners, (second_order, *tail))
        for name, field, tail in given
    ]
    bent = simplex and every.shape[1] > width
    if simplex and (bent or any(field is not None and field.shape[1] > width for field in fields)):
        depth = subdivision.depth_for(len(corners), width)
        places = subdivision.as_second_order(nodes[every]) if bent else subdivision.straight(nodes[corners])
        second = [field if field is None or field.shape[1] > width else subdivision.straight(field) for field in fields]
        pieces, found = subdivision.subdivided(corners, [places, *(f for f in second if f is not None)], depth)
        nodes = np.zeros((int(pieces.max()) + 1, d))
        nodes[pieces] = found.pop(0)
        corners, tags = pieces, np.repeat(tags, len(pieces) // len(corners))
        fields = [None if field is None else found.pop(0) for field in fields]
    moved, rest = nodes, None
    if fields[2] is not None:
        moved, rest = nodes + np.nan_to_num(skins.at_nodes(len(nodes), corners, fields[2])), nodes
    return skins.Drawn(moved, corners, tags, fields[0], fields[1], rest)


def _of_cells(name: str, field: npt.ArrayLike, count: int, corners: skins.Indices, last: tuple[int, ...]) -> Array:
    """A field at the corners of each cell, or at its nodes of second order, of which ``last`` has the number."""
    values = np.asarray(field, dtype=np.float64)
    allowed = [(count, *last[1:]), (*corners.shape, *last[1:]), (len(corners), *last)]
    if values.shape not in allowed:
        shapes = f"of shape {allowed[0]} or {allowed[1]}: a value for each node, or for each corner of each cell"
        raise InputError(name, values.shape, shapes)
    return values[corners] if values.shape == allowed[0] else values


def _repeated(drawn: skins.Drawn, lattice: npt.ArrayLike | None, periods: Sequence[int] | int) -> skins.Drawn:
    """Return several periods of a cell, joined."""
    d = drawn.nodes.shape[1]
    counts = [periods] * d if isinstance(periods, int) else [int(number) for number in periods]
    if len(counts) != d or min(counts) < 1:
        raise InputError("periods", periods, f"a whole number >= 1, or {d} of them")
    if max(counts) == 1:
        return drawn
    if lattice is None:
        raise InputError("lattice", None, "given when there is more than one period")
    return skins.repeated(drawn, np.asarray(lattice), counts)
