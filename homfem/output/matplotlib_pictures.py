"""Scenes painted by matplotlib, far triangles first, where there is no pyvista."""

from __future__ import annotations

from typing import Any

import numpy as np

from homfem.output import skins
from homfem.output.colours import Theme
from homfem.output.scene import EYE, Layer, Scene, corners_of, projected
from homfem.parameters import Array

#: Triangles of a coloured surface are cut smaller up to so many: each is painted in one colour.
FINE = 8_000
#: How far lines are moved to the eye, as a fraction of the scene.
_LIFT = 0.02
_LIGHT = np.array([0.4, -0.6, 0.7]) / np.linalg.norm([0.4, -0.6, 0.7])
_EDGES = np.array([[i, i | 1 << axis] for i in range(8) for axis in range(3) if not i >> axis & 1])


def paint(axes: Any, scene: Scene, theme: Theme) -> None:
    """Paint a scene into axes of matplotlib whose coordinates are those of :func:`homfem.output.scene.projected`.

    Data have the colours of their scale, without light. Of a translucent surface the back alone is painted, in a pale
    colour: the front would hide what is inside.
    """
    from matplotlib.collections import LineCollection, PolyCollection

    frame = corners_of(scene.box)
    behind = (frame @ EYE)[_EDGES].min(axis=1) < (frame @ EYE).min() + 1e-9 * np.ptp(frame @ EYE)
    for chosen, above in ((_EDGES[behind], 1), (_EDGES[~behind], 4)):
        lines = LineCollection(list(projected(frame)[chosen]), colors=theme.faint, linewidths=0.8, zorder=above)
        axes.add_collection(lines)
    for translucent in (True, False):
        shown = [_painted(layer, scene, theme) for layer in scene.layers if layer.translucent is translucent]
        if not shown:
            continue
        corners, colours, edges = (np.concatenate(part) for part in zip(*shown, strict=True))
        order = np.argsort((corners @ EYE).mean(axis=1) + _LIFT * float(np.ptp(scene.box)) * edges, kind="stable")
        outlines: Any = projected(corners[order].reshape(-1, 3)).reshape(-1, 3, 2)
        width = np.where(edges[order], 0.7, 0.2)
        axes.add_collection(
            PolyCollection(
                outlines,
                facecolors=colours[order],
                edgecolors="face",
                linewidths=width,
                antialiased=False,
                rasterized=True,
                zorder=2 + (not translucent),
            )
        )
    for points, values in scene.streams:
        if scene.scale is not None:
            flat = projected(points)
            pairs = np.stack([flat[:-1], flat[1:]], axis=1)
            colours = scene.scale.rgba(0.5 * (values[:-1] + values[1:]))
            axes.add_collection(LineCollection(list(pairs), colors=colours, linewidths=1.5, zorder=3.5))


def _painted(layer: Layer, scene: Scene, theme: Theme) -> tuple[Array, Array, Array]:
    """Triangles (t, 3, 3) and their colours (t, 4), then the lines as triangles of no width; which are lines (t,)."""
    from matplotlib.colors import to_rgba

    corners, colours = _faces(layer, scene, theme)
    lines = layer.lines
    # Short ones: painted by how far away they are, they must not reach from the front to the back.
    parts = np.linspace(0.0, 1.0, 13)
    at = lines[:, :1] + parts[None, :, None] * (lines[:, 1:] - lines[:, :1])
    pieces = np.stack([at[:, :-1], at[:, 1:], at[:, 1:]], axis=2).reshape(-1, 3, 3)
    ink = to_rgba(layer.colour, 0.5) if layer.translucent else to_rgba("#202020")
    marked = np.repeat([False, True], [len(corners), len(pieces)])
    return np.vstack([corners, pieces]), np.vstack([colours, np.tile(ink, (len(pieces), 1))]), marked


def _faces(layer: Layer, scene: Scene, theme: Theme) -> tuple[Array, Array]:
    """Triangles (t, 3, 3) and their colours (t, 4)."""
    from matplotlib.colors import to_rgb

    surface = skins.Surface(*layer.patch)
    while len(surface.faces) < (FINE if surface.values is not None else FINE // 4):
        surface = skins.divided(surface)
    points, triangles, values = surface
    if values is not None and scene.scale is not None:
        mean = values[triangles].mean(axis=1)
        colours = scene.scale.rgba(mean)
        colours[~np.isfinite(mean)] = (*to_rgb(theme.void), 1.0)
        return points[triangles], colours
    corners = points[triangles]
    normals = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    normals /= np.linalg.norm(normals, axis=1)[:, None]
    base, ground = np.array(to_rgb(layer.colour)), np.array(to_rgb(theme.ground))
    if layer.translucent:
        corners = corners[normals @ EYE < 0]
        return corners, np.tile(np.append(0.8 * ground + 0.2 * base, 1.0), (len(corners), 1))
    shade = 0.7 + 0.3 * np.clip(normals @ _LIGHT, -1.0, 1.0)
    return corners, np.column_stack([shade[:, None] * base, np.ones(len(corners))])
