"""Lines along a flow in space, for a scene: traced from the side where it enters, and not hidden by its walls."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from homfem.output import skins
from homfem.output.colours import colour_scale
from homfem.output.cuts import Cells, Patch, clip, compact, snapped
from homfem.output.pyvista_pictures import hidden, pyvista_works, traced
from homfem.output.scene import EYE, Layer, Scene
from homfem.output.views import CellView
from homfem.parameters import Array

WALL = "#B9BDC4"
#: Least distance of lines where they begin, as a fraction of the picture.
APART = 0.03
#: Walls that hide more of the lines are looked through in front.
HIDDEN = 0.4


def with_streams(scene: Scene, drawn: skins.Drawn, view: CellView) -> Scene:
    """Return a scene with lines along the vectors of a cell, coloured by their size, between the walls of the flow.

    What flows is not drawn itself, but for phases that are looked through: where all are, no walls are needed. Without
    pyvista, which traces the lines, and where nothing flows, the scene is returned as it is.
    """
    vectors = drawn.vectors
    if vectors is None or not pyvista_works():
        return scene
    flows = np.isfinite(vectors).all(axis=(1, 2)) & (np.abs(np.nan_to_num(vectors)).max(axis=(1, 2)) > 0.0)
    if not flows.any():
        return scene
    cells = drawn.corners[flows]
    at_nodes = np.nan_to_num(skins.at_nodes(len(drawn.nodes), cells, vectors[flows]))
    simplices, _ = skins.tetrahedra(cells, None)
    axis = int(np.argmax(np.abs(at_nodes.sum(axis=0))))
    streams = [
        (points, np.linalg.norm(along, axis=1))
        for points, along in traced(drawn.nodes, simplices, at_nodes, _starts(drawn.nodes, cells, axis, view.lines))
    ]
    if not streams:
        return scene
    still = tuple(layer for layer in scene.layers if layer.patch.values is None and len(scene.layers) > 1)
    seen_through = all(layer.translucent for layer in scene.layers)
    layers = scene.layers if seen_through else (*still, *walls(drawn.nodes, cells, scene.box))
    return replace(
        scene,
        layers=tuple(in_sight(layers, np.concatenate([points for points, _ in streams]))),
        scale=colour_scale(np.concatenate([size for _, size in streams]), limits=view.limits),
        streams=tuple(streams),
    )


def in_sight(layers: Sequence[Layer], points: Array) -> list[Layer]:
    """Return layers behind which most of some points are seen: the half toward the eye is looked through if need be.

    The half is that below the middle of y, away from the eye all stays as it is.
    """
    opaque = [layer for layer in layers if not layer.translucent]
    some = points[:: max(1, len(points) // 300)]
    if not opaque or hidden(some, [layer.patch for layer in opaque], EYE).mean() < HIDDEN:
        return list(layers)
    middle = 0.5 * (points[:, 1].min() + points[:, 1].max())
    found = []
    for layer in layers:
        if layer.translucent:
            found.append(layer)
            continue
        behind = snapped(layer.patch.points[:, 1] - middle)
        front, back = (compact(layer.patch.between(*clip(layer.patch.triangles, side))) for side in (-behind, behind))
        found.append(replace(layer, patch=front, translucent=True, lines=layer.lines[:0]))
        found.append(replace(layer, patch=back, lines=_beyond(layer.lines, middle)))
    return [layer for layer in found if len(layer.patch.triangles)]


def _beyond(lines: Array, middle: float) -> Array:
    """What of segments (k, 2, 3) lies beyond a value of y."""
    side = lines[:, :, 1] - middle
    lines, side = lines[(side > 0.0).any(axis=1)], side[(side > 0.0).any(axis=1)]
    share = np.divide(side[:, 0], side[:, 0] - side[:, 1], out=np.zeros(len(side)), where=side[:, 0] != side[:, 1])
    crossing = lines[:, 0] + share[:, None] * (lines[:, 1] - lines[:, 0])
    return np.where((side < 0.0)[:, :, None], crossing[:, None], lines)


def _starts(nodes: Array, cells: Cells, axis: int, lines: int) -> Array:
    """Return where lines begin: in rows over what of the cells lies on the low side along an axis."""
    low, high = (end(nodes[cells].reshape(-1, 3), axis=0) for end in (np.min, np.max))
    faces = skins.skin(nodes, cells)
    entry = nodes[faces[(nodes[faces][:, :, axis] < low[axis] + 1e-6 * (high - low)[axis]).all(axis=1)]]
    if len(entry):
        ends = entry.min(axis=(0, 1)), entry.max(axis=(0, 1))
        across = np.arange(3) != axis
        low, high = np.where(across, ends[0], low), np.where(across, ends[1], high)
    # Tubes stay apart where the entry is narrow.
    room = np.delete(high - low, axis).min() / (APART * float(np.ptp(nodes, axis=0).max()))
    return seeds(np.stack([low, high]), axis, min(lines, max(2, int(0.5 * room**2))))


def seeds(box: Array, axis: int, lines: int) -> Array:
    """Return points in rows on the side of a box that lies low along an axis, about twice as many as lines."""
    number = max(2, round(float(np.sqrt(2.0 * lines))))
    at = (np.arange(number) + 0.5) / number
    across = np.stack(np.meshgrid(at, at), axis=-1).reshape(-1, 2)
    unit = np.insert(across, axis, 1e-3, axis=1)
    return np.asarray(box[0] + unit * (box[1] - box[0]))


def walls(nodes: Array, cells: Cells, box: Array) -> list[Layer]:
    """Return the surface of cells without what lies in the sides of a box; none where nothing is left."""
    faces = skins.skin(nodes, cells)
    slack = 1e-6 * (box[1] - box[0])
    at = nodes[faces]
    outer = (np.abs(at - box[0]) < slack).all(axis=1).any(axis=1) | (np.abs(at - box[1]) < slack).all(axis=1).any(
        axis=1
    )
    if outer.all():
        return []
    surface = skins.surface(nodes, faces[~outer], None)
    surface = skins.fanned(surface) if surface.faces.shape[1] == 4 else surface
    patch = compact(Patch(*surface))
    lines = patch.points[skins.creases(patch.points, patch.triangles, 40.0)]
    return [Layer(patch=patch, name="wall", colour=WALL, translucent=False, lines=lines)]
