"""A cell in space as what one sees of it: coloured surfaces and lines, from one direction, without perspective.

Arrays only; :mod:`homfem.output.pyvista_pictures` and :mod:`homfem.output.matplotlib_pictures` turn them into pixels.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from homfem.output import skins
from homfem.output.colours import COLOURS, ColourScale, colour_scale
from homfem.output.cuts import Cells, Patch, joined, opened, opened_lines
from homfem.output.views import CellView
from homfem.parameters import Array


def _unit(vector: npt.ArrayLike) -> Array:
    direction = np.asarray(vector, dtype=np.float64)
    return np.asarray(direction / np.linalg.norm(direction))


#: From the scene to the eye; what is to the right of the picture, and up in it.
EYE = _unit(np.array([1.5, -2.1, 1.2]))
RIGHT = _unit(np.cross([0.0, 0.0, 1.0], EYE))
UP = np.cross(EYE, RIGHT)


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Layer:
    """One surface.

    Parameters
    ----------
    patch
        Triangles, with values where the surface is coloured by them.
    name, colour
        Of the phase.
    translucent
        Whether one looks through it.
    lines
        Segments that are drawn, (k, 2, 3): creases, the rims of sections, or the edges of the mesh.
    """

    patch: Patch
    name: str
    colour: str
    translucent: bool
    lines: Array


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Scene:
    """What is drawn of a cell in space.

    Parameters
    ----------
    layers
        The surfaces.
    box : array, shape (2, 3)
        Lowest and highest coordinates, of a cell that is displaced those at rest.
    scale
        Colours of the values; None where no surface has any.
    streams
        Lines along a flow: points (p, 3) and the value at each.
    """

    layers: tuple[Layer, ...]
    box: Array
    scale: ColourScale | None
    streams: tuple[tuple[Array, Array], ...] = ()


def projected(points: Array) -> Array:
    """Return the place in the picture of points (n, 3): to the right and up, in their unit; shape (n, 2)."""
    return np.asarray(points @ np.stack([RIGHT, UP], axis=1))


def corners_of(box: Array) -> Array:
    """Return the eight corners of a box, shape (8, 3), numbered as a product."""
    return np.array([[box[k >> axis & 1, axis] for axis in range(3)] for k in range(8)])


def build(drawn: skins.Drawn, phases: Mapping[str, int], view: CellView) -> Scene:
    """Return the scene of a cell: the opaque phases, cut open where that shows more, behind the translucent ones."""
    nodes, corners, tags, values = drawn[:4]
    present = {name: tag for name, tag in phases.items() if (tags == tag).any()}
    outer = {name: skins.skin(nodes, corners[tags == tag]) for name, tag in present.items()}
    translucent = _translucent(drawn, present, outer, view)
    opaque = np.isin(tags, [tag for name, tag in present.items() if name not in translucent])
    cut = view.cut
    if cut is None:
        cut = bool(skins.volumes(nodes, corners[opaque]).sum() > 0.5 * np.prod(np.ptp(nodes, axis=0)))
    middle = 0.5 * (nodes.min(axis=0) + nodes.max(axis=0))
    solid = [outer[name] for name in present if name not in translucent]
    layers = []
    for colour, name in zip(itertools.cycle(COLOURS), phases, strict=False):
        if name not in present:
            continue
        own = tags == present[name]
        if name in translucent:
            faces = skins.without(outer[name], np.vstack(solid)) if solid else outer[name]
            skin = _triangles(nodes, faces, None)
            if len(skin.triangles):  # of what others enclose nothing is to be seen
                lines = skin.points[skins.creases(*skin[:2])]
                layers.append(Layer(patch=skin, name=name, colour=colour, translucent=True, lines=lines))
            continue
        cells, at_corners = skins.tetrahedra(corners[own], None if values is None else values[own])
        at_nodes = None if at_corners is None else skins.at_nodes(len(nodes), cells, at_corners)
        if at_nodes is not None and not np.isfinite(at_nodes[cells]).any():
            at_nodes = None
        skin = _triangles(nodes, outer[name], at_nodes)
        angle = None if view.mesh_lines else 30.0
        lines = skin.points[skins.creases(*skin[:2], angle)]
        pieces = [skin]
        if cut:
            pieces = opened(skin, Patch(nodes, cells, at_nodes), middle)
            sections = [piece.points[skins.creases(*piece[:2], angle)] for piece in pieces[1:]]
            lines = np.concatenate([opened_lines(lines, middle), *sections])
        whole = joined(pieces)
        if len(whole.triangles):
            layers.append(Layer(patch=whole, name=name, colour=colour, translucent=False, lines=lines))
    shown = [layer.patch.values for layer in layers if layer.patch.values is not None]
    scale = colour_scale(np.concatenate([part.ravel() for part in shown]), limits=view.limits) if shown else None
    still = nodes if drawn.rest is None else drawn.rest
    return Scene(layers=tuple(layers), box=np.stack([still.min(axis=0), still.max(axis=0)]), scale=scale)


def _translucent(
    drawn: skins.Drawn, present: Mapping[str, int], outer: Mapping[str, skins.Indices], view: CellView
) -> set[str]:
    """The phases that are looked through: by default the largest one that others do not enclose."""
    if view.translucent is not None:
        return set(view.translucent)
    if len(present) < 2:
        return set()
    volume = {
        name: float(skins.volumes(drawn.nodes, drawn.corners[drawn.tags == tag]).sum()) for name, tag in present.items()
    }
    for name in sorted(volume, key=lambda name: -volume[name]):
        others = [faces for other, faces in outer.items() if other != name]
        if len(skins.without(outer[name], np.vstack(others))):
            return {name}
    return set()


def _triangles(nodes: Array, faces: Cells, values: Array | None) -> Patch:
    """Faces as triangles over the nodes that they use."""
    surface = skins.surface(nodes, faces, values)
    if faces.shape[1] == 4:
        surface = skins.fanned(surface)
    return Patch(*surface)
