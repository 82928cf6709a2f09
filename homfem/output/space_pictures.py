"""A cell in space on a sheet: its scene, the lengths of its box, the names of its phases, the colour bar."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import numpy as np

from homfem.output import canvas, matplotlib_pictures, pyvista_pictures
from homfem.output.colours import Theme
from homfem.output.plane_pictures import add_bar, add_key
from homfem.output.scene import EYE, RIGHT, UP, Scene, corners_of, projected
from homfem.output.views import CellView
from homfem.output.words import printed, symbol
from homfem.parameters import Array

log = logging.getLogger("homfem")

#: Room about the scene for the lengths of the box, as a fraction of it.
MARGIN = 0.1


def draw_space(scene: Scene, path: Path, view: CellView) -> None:
    """Draw a scene into a PNG, PDF or SVG file; surfaces are pixels in each, words and bars are not."""
    flat = projected(corners_of(scene.box))
    for points, _ in scene.streams:
        flat = np.vstack([flat, projected(points)])
    for layer in scene.layers:
        flat = np.vstack([flat, projected(layer.patch.points)])
    low, high = flat.min(axis=0), flat.max(axis=0)
    edge = MARGIN * float((high - low).max())
    low, high = low - np.array([0.6, 1.0]) * edge, high + np.array([0.6, 0.4]) * edge
    names = {layer.name: layer for layer in scene.layers if layer.patch.values is None}
    with canvas.styled(view.theme, points=canvas.letters_for(view.size)) as theme:
        shape = (float(high[0] - low[0]), float(high[1] - low[1]))
        label = None if scene.scale is None else printed(view.label)
        words = canvas.Words(title=view.title, label=label, names=list(names))
        sheet = canvas.laid_out(shape, view.size, words, framed=False, fill=True)
        axes = sheet.axes
        if (view.engine or best_engine()) == "pyvista":
            _pixels(sheet, scene, (low, high), theme)
        else:
            matplotlib_pictures.paint(axes, scene, theme)
        axes.set(xlim=(low[0], high[0]), ylim=(low[1], high[1]), aspect="equal")
        axes.set_axis_off()
        _lengths(axes, scene, view.unit, theme)
        patches = [(layer.name, layer.colour, 0.35 if layer.translucent else 1.0) for layer in names.values()]
        add_key(sheet, patches, theme)
        if scene.scale is not None:
            add_bar(sheet, scene.scale, theme)
        canvas.save(sheet.figure, path)


def _pixels(sheet: canvas.Layout, scene: Scene, ends: tuple[Array, Array], theme: Theme) -> None:
    """Put what pyvista draws into the axes, one pixel for each of the sheet."""
    low, high = ends
    box = sheet.axes.get_window_extent()
    size = (max(round(box.width), 8), max(round(box.height), 8))
    middle = 0.5 * (low + high)
    depth = float(scene.box.mean(axis=0) @ EYE)
    point = middle[0] * RIGHT + middle[1] * UP + depth * EYE
    picture = pyvista_pictures.render(scene, (point, 0.5 * float(high[1] - low[1])), size, theme)
    sheet.axes.imshow(picture, extent=(low[0], high[0], low[1], high[1]), interpolation="nearest", zorder=1)


def _lengths(axes: Any, scene: Scene, unit: str, theme: Theme) -> None:
    """Write the name and the length of the box along its lowest edge of each direction, outside of it."""
    # Outside of what is displaced as well.
    reached = np.vstack([scene.box, *(layer.patch.points for layer in scene.layers)])
    corner = corners_of(np.stack([reached.min(axis=0), reached.max(axis=0)]))
    centre = projected(scene.box.mean(axis=0)[None])[0]
    size = np.ptp(scene.box, axis=0)
    # x and y along the bottom in front, z up at the left.
    for name, first, second in (("x", 0, 1), ("y", 1, 3), ("z", 0, 4)):
        ends = projected(corner[[first, second]])
        place = ends.mean(axis=0)
        along = ends[1] - ends[0]
        outward = np.array([-along[1], along[0]]) / max(float(np.linalg.norm(along)), 1e-300)
        outward = outward if outward @ (place - centre) > 0 else -outward
        place = place + 0.035 * float(size.max()) * outward
        angle = np.degrees(np.arctan2(along[1], along[0]))
        text = f"{name}: {size['xyz'.index(name)]:.4g} {symbol(unit)}".strip()
        axes.text(*place, text, color=theme.ink, rotation=angle if abs(angle) <= 90 else angle - 180,
                  rotation_mode="anchor", ha="center", va="top" if name != "z" else "bottom", zorder=6)  # fmt: skip


def best_engine() -> str:
    """Return what draws in space here: pyvista where it works."""
    if pyvista_pictures.pyvista_works():
        return "pyvista"
    log.info("pyvista cannot draw without a display here: the picture is drawn by matplotlib")
    return "matplotlib"
