"""Pictures of a cell: its phases, and a corrector on them; drawn without a display, from plain arrays."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from homfem.output import matplotlib_pictures, pyvista_pictures, skins
from homfem.output.views import CellView
from homfem.parameters import FileError, InputError, check_choice
from homfem.reference import CORNERS, kind_of

log = logging.getLogger("homfem")


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
    """Draw a cell in 2D or 3D into a PNG file.

    Phases have a colour each, translucent ones let the others be seen; with a corrector the opaque phases are coloured
    by it.

    Parameters
    ----------
    points : array, shape (n, d)
        Nodes, in ``view.unit``.
    cells : array of int, shape (m, k)
        Triangles or tetrahedra, corners first (further nodes are not used); quadrilaterals (k = 4 in 2D) or hexahedra
        (k = 8 in 3D), numbered as :mod:`homfem.reference` says.
    phase_of_cell : array of int, shape (m,)
        Tag of the phase of each cell.
    path
        File that is written, with a name that ends in .png.
    phases
        Name of each phase and its tag.
    corrector : array, shape (n,) or (m, corners)
        Value at each node, or at the corners of each cell for a field that jumps from phase to phase; not finite where
        there is none.
    lattice : array, shape (d, d)
        Period vectors as rows; needed for more than one period.
    view
        Words, periods, what is looked through, size.

    Raises
    ------
    InputError
        Arrays that do not fit together, an unknown phase, several periods without a lattice.
    FileError
        A name that does not end in .png, or a directory that does not exist.
    """
    path = Path(path)
    if path.suffix.lower() != ".png":
        raise FileError("path", str(path), "a name that ends in .png")
    if not path.parent.is_dir():
        raise FileError("path", str(path), "in an existing directory")
    drawn = _checked(points, cells, phase_of_cell, corrector)
    for name in view.translucent or ():
        check_choice("translucent", name, list(phases))
    drawn = _repeated(drawn, lattice, view.periods)
    if drawn.nodes.shape[1] == 2:
        matplotlib_pictures.draw_plane(drawn, phases, path, view)
    else:
        surfaces, translucent = _surfaces(drawn, phases, view)
        module = pyvista_pictures if (view.engine or _best_engine()) == "pyvista" else matplotlib_pictures
        module.draw_surfaces(surfaces, translucent, path, view)
    return path


def _checked(
    points: npt.ArrayLike, cells: npt.ArrayLike, phase_of_cell: npt.ArrayLike, corrector: npt.ArrayLike | None
) -> skins.Drawn:
    """Return the arrays of a cell by its corners, the corrector at the corners of each mesh cell."""
    nodes = np.asarray(points, dtype=np.float64)
    d = nodes.shape[1] if nodes.ndim == 2 else 0
    if d not in (2, 3):
        raise InputError("points", nodes.shape, "of shape (n, 2) or (n, 3)")
    corners = np.asarray(cells, dtype=np.int64)
    corners = corners[:, : CORNERS[kind_of(d, corners.shape[1])]]
    tags = np.asarray(phase_of_cell)
    if tags.shape != corners.shape[:1]:
        raise InputError("phase_of_cell", tags.shape, f"of shape ({len(corners)},)")
    if corrector is None:
        return skins.Drawn(nodes, corners, tags, None)
    values = np.asarray(corrector, dtype=np.float64)
    if values.shape not in ((len(nodes),), corners.shape):
        each = "a value for each node, or for each corner of each cell"
        raise InputError("corrector", values.shape, f"of shape ({len(nodes)},) or {corners.shape}: {each}")
    return skins.Drawn(nodes, corners, tags, values if values.ndim == 2 else values[corners])


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


def _surfaces(
    drawn: skins.Drawn, phases: Mapping[str, int], view: CellView
) -> tuple[dict[str, skins.Surface], set[str]]:
    """Return the surface of each phase, and which phases are looked through."""
    nodes, corners, tags, values = drawn
    translucent = view.translucent
    if translucent is None:
        volume = {name: float(skins.volumes(nodes, corners[tags == tag]).sum()) for name, tag in phases.items()}
        translucent = [max(volume, key=lambda name: volume[name])] if len(phases) > 1 else []
    opaque = np.isin(tags, [tag for name, tag in phases.items() if name not in translucent])
    cut = view.cut
    if cut is None:
        box = np.prod(np.ptp(nodes, axis=0))
        cut = bool(skins.volumes(nodes, corners[opaque]).sum() > 0.5 * box)
    if cut:
        eye = nodes[corners].mean(axis=1) - 0.5 * (nodes.min(axis=0) + nodes.max(axis=0))
        kept = ~(opaque & (eye[:, 0] > 0) & (eye[:, 1] < 0) & (eye[:, 2] > 0))
        corners, tags, values = corners[kept], tags[kept], None if values is None else values[kept]
    outer = {name: skins.skin(nodes, corners[tags == tag]) for name, tag in phases.items()}
    solid = np.vstack([next(iter(outer.values()))[:0], *(outer[n] for n in phases if n not in translucent)])
    for name in translucent:
        outer[name] = skins.without(outer[name], solid)
    surfaces = {}
    for name, skin in outer.items():
        own = tags == phases[name]
        shown = None if name in translucent else values
        at_nodes = None if shown is None else skins.at_nodes(len(nodes), corners[own], shown[own])
        surfaces[name] = skins.surface(nodes, skin, at_nodes)
    return surfaces, set(translucent)


def _best_engine() -> str:
    if pyvista_pictures.pyvista_works():
        return "pyvista"
    log.info("pyvista cannot draw without a display here: the picture is drawn by matplotlib")
    return "matplotlib"
