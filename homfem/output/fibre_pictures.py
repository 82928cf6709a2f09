"""Pictures of the fibres of a body in space: short strokes on its surface, coloured by how they rise."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from homfem.macro.domain import Domain
from homfem.output import skins
from homfem.output.bodies import body_of
from homfem.output.colours import ColourScale, diverging
from homfem.output.cuts import Patch, joined, opened
from homfem.output.scene import Layer, Scene
from homfem.output.space_pictures import draw_space
from homfem.output.views import CellView
from homfem.parameters import Array, InputError, check_direction, check_integer
from homfem.ranks import collective

#: Of the body, beneath the strokes.
BODY = "#A9ADB3"
#: Length of a stroke, and how far it is lifted off the surface, as parts of the distance between strokes.
_LENGTH, _LIFT = 1.25, 0.06
_NONE = np.zeros((0, 2, 3))


def draw_fibres(
    domain: Domain, path: str | Path, *, axis: Sequence[float] = (0.0, 0.0, 1.0), strokes: int = 3000,
    cut: bool = True, view: CellView | None = None,
) -> None:  # fmt: skip
    r"""Draw the fibres of a body in space as strokes on its surface; collective.

    The colour is the angle at which a fibre rises, :math:`\arcsin(f\cdot a)` with the long axis a. Of the two
    directions of the fibre it is that which turns counterclockwise about the axis, seen from its end: the helix angle
    where the wall stands upright.

    Parameters
    ----------
    domain
        In three dimensions, with fibres.
    path
        A PNG, PDF or SVG file.
    axis
        The long axis, from the apex to the base, of any length.
    strokes
        About how many.
    cut
        Whether the quarter of the body that is nearest to the eye (larger x, smaller y) is left out, so that one sees
        the inside and through the wall.
    view
        Title, size, ground and engine; see :class:`homfem.output.views.CellView`.

    Raises
    ------
    InputError
        Without fibres or in fewer dimensions, for an axis of length zero.
    """
    if domain.dimension != 3 or domain.fibres is None:
        raise InputError("domain", f"{domain.dimension}D", "in three dimensions, with fibres")
    up = check_direction("axis", axis, 3)
    check_integer("strokes", strokes, at_least=1)
    body = body_of(domain)
    with collective(domain.comm):
        if body is None:
            return
        fibre = body.directions["fibre"]
        scene = fibre_scene(body.points, body.cells, fibre, up, strokes=strokes, cut=cut)
        given = CellView() if view is None else view
        label = "helix angle (degrees)" if given.label == CellView().label else given.label
        draw_space(scene, Path(path), replace(given, label=label, unit=given.unit or domain.unit))


def fibre_scene(points: Array, cells: skins.Indices, fibre: Array, up: Array, *, strokes: int, cut: bool) -> Scene:
    """Return the scene of strokes on the surface of tetrahedra; ``fibre`` is that of each cell, (m, 3)."""
    from scipy.spatial import cKDTree

    middles = points[cells].mean(axis=1)
    skin = Patch(*skins.surface(points, skins.skin(points, cells), None))
    pieces = [skin]
    if cut:
        corner = middles.mean(axis=0)
        corner[2] = points[:, 2].min() - np.ptp(points[:, 2])
        pieces = opened(skin, Patch(points, cells, None), corner)
    skin = joined(pieces)
    at = skin.points[skin.triangles]
    normal = np.cross(at[:, 1] - at[:, 0], at[:, 2] - at[:, 0])
    area = 0.5 * np.linalg.norm(normal, axis=1)
    apart = float(np.sqrt(area.sum() / strokes))
    along = fibre[cKDTree(middles).query(at.mean(axis=1))[1]]
    some = np.flatnonzero(along.any(axis=1) & (area > 0.0))
    chosen = some[_thinned(at[some].mean(axis=1), apart)]
    f, place = along[chosen], at[chosen].mean(axis=1)
    place = place + _LIFT * apart * normal[chosen] / (2.0 * area[chosen, None])
    angle = rise(f, place - _apex(points, up), up)
    half = 0.5 * _LENGTH * apart * f
    lines = tuple((np.stack([p - h, p + h]), np.full(2, a)) for p, h, a in zip(place, half, angle, strict=True))
    rims = [piece.points[skins.creases(piece.points, piece.triangles)] for piece in pieces[1:] if len(piece.triangles)]
    layer = Layer(patch=skin, name="tissue", colour=BODY, translucent=False, lines=np.concatenate([_NONE, *rims]))
    box = np.stack([points.min(axis=0), points.max(axis=0)])
    scale = ColourScale(colormap=diverging(), low=-90.0, high=90.0)
    return Scene(layers=(layer,), box=box, scale=scale, streams=lines)


def _apex(points: Array, up: Array) -> Array:
    """The middle of the lowest hundredth of a body: a point of its axis."""
    height = points @ up
    return np.asarray(points[height <= height.min() + 0.01 * np.ptp(height)].mean(axis=0))


def rise(fibre: Array, place: Array, up: Array) -> Array:
    """Return the angle in degrees at which fibres rise along the axis, turning counterclockwise about it; shape (n,).

    Parameters
    ----------
    fibre
        Unit vectors, (n, 3); both directions of a line give the same.
    place
        Points relative to one on the axis, (n, 3).
    up
        The axis, of length 1.
    """
    turn = np.einsum("ij,ij->i", np.cross(up, place), fibre)
    return np.asarray(np.degrees(np.arcsin(np.clip(np.where(turn < 0.0, -1.0, 1.0) * (fibre @ up), -1.0, 1.0))))


def _thinned(places: Array, apart: float) -> skins.Indices:
    """One of the places in each box of a grid: that which is nearest to its middle."""
    boxes = np.floor(places / apart)
    off = np.abs(places / apart - boxes - 0.5).max(axis=1)
    order = np.argsort(off, kind="stable")
    _, first = np.unique(boxes[order], axis=0, return_index=True)
    return np.sort(order[first])
