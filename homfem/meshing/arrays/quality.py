"""Shape of mesh cells: angles and aspect ratios, from their corners."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import numpy.typing as npt

from homfem.meshing.arrays.jacobians import Indices, flat_cells, integrate, jacobians
from homfem.parameters import Array
from homfem.reference import EDGES, is_simplex, kind_of


def signed_volumes(points: Array, cells: Indices, kind: str, order: int) -> tuple[Array, npt.NDArray[np.bool_]]:
    """Return the volumes of cells with the sign of their orientation, and which are degenerate or folded; (m,) each."""
    determinants = jacobians(points, cells, (kind, order))
    turned = determinants * np.where(determinants.mean(axis=1) < 0.0, -1.0, 1.0)[:, None]
    return integrate(determinants, (kind, order)), flat_cells(points, cells, turned, kind)


def angles(points: Array, corners: Indices) -> Array:
    """Return the angles of the cells in degrees: plane ones in 2D, dihedral ones in 3D.

    Shape (m, 3) for triangles, (m, 6) for tetrahedra, (m, 4) for quadrilaterals. For hexahedra (m, 24): between the
    two faces along each edge, at both of its ends. Degenerate cells have NaN.
    """
    kind = kind_of(points.shape[1], corners.shape[1])
    if not is_simplex(kind):
        return _box_angles(points[corners])
    gradients = _gradients(points, corners)
    with np.errstate(invalid="ignore", divide="ignore"):
        normals = gradients / np.linalg.norm(gradients, axis=2, keepdims=True)
        pairs = np.array(list(combinations(range(corners.shape[1]), 2)))
        cosines = -np.einsum("mpx,mpx->mp", normals[:, pairs[:, 0]], normals[:, pairs[:, 1]])
    return np.degrees(np.arccos(np.clip(cosines, -1.0, 1.0)))


def aspect_ratios(points: Array, corners: Indices) -> Array:
    r"""Return :math:`h\,/\,(c\,\rho)` of the cells: longest edge over inradius, 1 for the regular simplex; shape (m,).

    :math:`c=2\sqrt3` for triangles, :math:`2\sqrt6` for tetrahedra. For quadrilaterals and hexahedra it is the longest
    edge over the shortest, 1 for a square or cube. Degenerate cells have infinity.
    """
    d = points.shape[1]
    kind = kind_of(d, corners.shape[1])
    edges = [np.linalg.norm(points[corners[:, i]] - points[corners[:, j]], axis=1) for i, j in EDGES[kind]]
    longest = np.max(edges, axis=0)
    if not is_simplex(kind):
        with np.errstate(divide="ignore"):
            return np.asarray(longest / np.min(edges, axis=0))
    with np.errstate(invalid="ignore", divide="ignore"):
        # The sum of the inverse altitudes is the inverse of the inradius; gradients have the length of those.
        inverse = np.linalg.norm(_gradients(points, corners), axis=2).sum(axis=1)
        ratios = longest * inverse / (2.0 * np.sqrt(3.0 if d == 2 else 6.0))
    return np.where(np.isfinite(ratios), ratios, np.inf)


def _box_angles(nodes: Array) -> Array:
    """Angles of quadrilaterals or hexahedra with the given nodes, shape (m, 2^d, d)."""
    d = nodes.shape[2]
    columns = []
    with np.errstate(invalid="ignore", divide="ignore"):
        for k in range(1 << d):
            edges: list[Array] = [nodes[:, k ^ 1 << a] - nodes[:, k] for a in range(d)]
            sides = edges if d == 2 else [np.asarray(np.cross(edges[a - 2], edges[a - 1])) for a in range(d)]
            handed = 1.0 if d == 2 else -1.0  # normals that point alike: the angle between the faces is the rest
            unit = [side / np.linalg.norm(side, axis=1, keepdims=True) for side in sides]
            columns += [handed * np.einsum("mx,mx->m", one, two) for one, two in combinations(unit, 2)]
    return np.degrees(np.arccos(np.clip(np.stack(columns, axis=1), -1.0, 1.0)))


def _gradients(points: Array, corners: Indices) -> Array:
    """Gradients of the barycentric coordinates, shape (m, d + 1, d); not finite for degenerate cells."""
    d = points.shape[1]
    rows = points[corners[:, 1:]] - points[corners[:, :1]]
    determinant = np.linalg.det(rows)
    flat = np.abs(determinant) <= 1e-14 * np.abs(rows).max(axis=(1, 2)) ** d
    rows[flat] = np.eye(d)
    inner = np.linalg.inv(rows).transpose(0, 2, 1)
    inner[flat] = np.nan
    return np.concatenate([-inner.sum(axis=1, keepdims=True), inner], axis=1)
