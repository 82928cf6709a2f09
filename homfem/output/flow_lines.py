r"""Lines along a flux or velocity in the plane: level lines of its stream function, the same flow between neighbours.

The stream function of a field without sources, :math:`J=(\partial_y\Psi,-\partial_x\Psi)`, is the one of linear
elements that is nearest to it in the mean square,

.. math:: \int\nabla\Psi\cdot\nabla\varphi = \int(-J_y,\,J_x)\cdot\nabla\varphi \quad\text{for all }\varphi .

Along a wall that nothing passes it is one number: lines do not run into walls.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from homfem.output import skins
from homfem.output.cuts import outline
from homfem.parameters import Array

INK = "#101010"
#: Least part of what flows at all that passes a wall which is no wall.
PASSED = 0.15


def stream_function(nodes: Array, triangles: skins.Indices, vectors: Array) -> Array:
    """Return the stream function at the nodes, (n,), zero somewhere on each connected part; NaN where no triangle is.

    Parameters
    ----------
    nodes, triangles
        Points (n, 2) and corners (m, 3).
    vectors
        The field in each triangle, (m, 2), or linear in it, at its corners, (m, 3, 2).
    """
    from scipy.sparse import coo_matrix

    mean = vectors.mean(axis=1) if vectors.ndim == 3 else vectors
    x = nodes[triangles]
    # Twice the area times the gradient of each shape function.
    opposite = np.roll(x, -2, axis=1) - np.roll(x, -1, axis=1)
    slope = np.stack([-opposite[..., 1], opposite[..., 0]], axis=-1)
    a, b = x[:, 1] - x[:, 0], x[:, 2] - x[:, 0]
    double = a[:, 0] * b[:, 1] - a[:, 1] * b[:, 0]
    stiffness = np.einsum("mix,mjx->mij", slope, slope) / (2.0 * np.abs(double))[:, None, None]
    turned = np.stack([-mean[:, 1], mean[:, 0]], axis=1)
    load = 0.5 * np.sign(double)[:, None] * np.einsum("mx,mix->mi", turned, slope)
    used, number = np.unique(triangles, return_inverse=True)
    number = number.reshape(-1, 3)
    rows, columns = np.repeat(number, 3, axis=1).ravel(), np.tile(number, (1, 3)).ravel()
    matrix = coo_matrix((stiffness.ravel(), (rows, columns)), shape=(len(used), len(used))).tocsr()
    right = np.bincount(number.ravel(), load.ravel(), minlength=len(used))
    values = _solved(matrix, np.asarray(right, dtype=np.float64))
    tied = np.arange(len(used))
    for wall in _walls(nodes[used], number):
        if np.ptp(values[wall]) < PASSED * np.ptp(values):
            tied[wall] = wall[0]
    group = np.unique(tied, return_inverse=True)[1]
    joined = coo_matrix((np.ones(len(used)), (np.arange(len(used)), group))).tocsr()
    result = np.full(len(nodes), np.nan)
    result[used] = _solved((joined.T @ matrix @ joined).tocsr(), joined.T @ right)[group]
    return result


def _solved(matrix: Any, right: Array) -> Array:
    """The solution of a singular system that is zero somewhere on each connected part."""
    from scipy.sparse.csgraph import connected_components
    from scipy.sparse.linalg import splu

    _, part = connected_components(matrix, directed=False)
    pinned = np.unique(part, return_index=True)[1]
    free = np.setdiff1d(np.arange(len(right)), pinned)
    values = np.zeros(len(right))
    if free.size:
        values[free] = splu(matrix[free][:, free].tocsc()).solve(right[free])
    return values


def _walls(nodes: Array, triangles: skins.Indices) -> list[skins.Indices]:
    """The nodes of each connected part of the rim of triangles, without what lies in the sides of the whole."""
    from scipy.sparse import coo_matrix
    from scipy.sparse.csgraph import connected_components
    from scipy.spatial import ConvexHull

    edges = outline(triangles)
    a, b = nodes[edges[:, 0]], nodes[edges[:, 1]]
    normal = np.stack([a[:, 1] - b[:, 1], b[:, 0] - a[:, 0]], axis=1)
    hull = nodes[ConvexHull(nodes).vertices]
    away = np.einsum("ehx,ex->eh", hull[None] - a[:, None], normal)
    slack = 1e-6 * float(np.ptp(nodes, axis=0).max()) * np.linalg.norm(normal, axis=1)
    inner = edges[(away.min(axis=1) < -slack) & (away.max(axis=1) > slack)]
    if not len(inner):
        return []
    graph = coo_matrix((np.ones(len(inner)), inner.T), shape=(len(nodes), len(nodes)))
    part = connected_components(graph, directed=False)[1]
    on_rim = np.unique(inner)
    order = on_rim[np.argsort(part[on_rim], kind="stable")]
    return np.split(order, np.flatnonzero(np.diff(part[order])) + 1)


def draw_flow_lines(axes: Any, drawn: skins.Drawn, lines: int, *, heads: bool = True) -> None:
    """Draw about so many lines along the vectors of a cell into axes of matplotlib, with or without arrow heads.

    They are placed alike on both sides of the middle of the range of the stream function.
    """
    nodes, corners, vectors = drawn.nodes, drawn.corners, drawn.vectors
    if vectors is None:
        return
    inside = np.isfinite(vectors).all(axis=(1, 2))
    if not inside.any() or not np.any(vectors[inside]):
        return
    corners, vectors = corners[inside], vectors[inside]
    mean = vectors.mean(axis=1)
    if corners.shape[1] == 4:
        fan = skins.fanned(skins.Surface(nodes, skins.around(corners), None))
        nodes, triangles, mean = fan.points, fan.faces, np.repeat(mean, 4, axis=0)
    else:
        triangles = corners
    stream = stream_function(nodes, triangles, mean)
    known = np.isfinite(stream)
    low, high = float(stream[known].min()), float(stream[known].max())
    if not high > low:
        return
    step = (high - low) / lines
    levels = low + step * (np.arange(lines) + 0.5)
    safe = np.where(known, stream, low)
    drawn_lines = axes.tricontour(
        *nodes.T, triangles, safe, levels=levels, colors=INK, linewidths=0.8, linestyles="solid"
    )
    if heads:
        arrows(axes, parts_of(drawn_lines), nodes[triangles].mean(axis=1), mean)


def parts_of(contours: Any) -> list[Array]:
    """Return the points of each connected part of contour lines of matplotlib."""
    found = []
    for path in contours.get_paths():
        if path.codes is not None:
            starts = np.flatnonzero(path.codes == path.MOVETO)
            found += np.split(path.vertices, starts[1:])
    return [part for part in found if len(part) > 1]


def arrows(axes: Any, paths: list[npt.NDArray], places: Array, vectors: Array) -> None:
    """Put an arrow head in the middle of each path, the way the nearest of the vectors points."""
    from scipy.spatial import cKDTree

    reach = float(np.ptp(places, axis=0).max())
    heads = []
    for path in paths:
        steps = np.linalg.norm(np.diff(path, axis=0), axis=1)
        length = float(steps.sum())
        if length < 0.12 * reach:
            continue
        reached = np.concatenate([[0.0], np.cumsum(steps)])
        k = min(int(np.searchsorted(reached, 0.5 * length, side="right")) - 1, len(steps) - 1)
        along = (path[k + 1] - path[k]) / max(float(steps[k]), 1e-300)
        heads.append((path[k] + (0.5 * length - reached[k]) * along, along))
    if not heads:
        return
    at, along = (np.array(part) for part in zip(*heads, strict=True))
    nearest = vectors[cKDTree(places).query(at)[1]]
    along *= np.where(np.einsum("ix,ix->i", along, nearest) < 0.0, -1.0, 1.0)[:, None]
    axes.quiver(*at.T, *along.T, color=INK, angles="xy", scale_units="xy", scale=1.0 / (0.015 * reach), pivot="mid",
                width=0.0012, headwidth=11, headlength=11, headaxislength=10, minlength=0, minshaft=0.1, units="width",
                zorder=4)  # fmt: skip
