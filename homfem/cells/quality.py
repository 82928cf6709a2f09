"""Shape of mesh cells: angles and aspect ratios of simplices, from their corners."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import numpy.typing as npt

from homfem.cells.raw import KINDS, Indices, _integrate, jacobians
from homfem.parameters import Array


def signed_volumes(points: Array, cells: Indices, kind: str, order: int) -> tuple[Array, npt.NDArray[np.bool_]]:
    """Return the volumes of cells with the sign of their orientation, and which are degenerate or folded; (m,) each."""
    determinants = jacobians(points, cells, (kind, order))
    d = KINDS[kind]
    extent = np.ptp(points[cells[:, : d + 1]], axis=1).max(axis=1)
    turned = determinants * np.where(determinants.mean(axis=1) < 0.0, -1.0, 1.0)[:, None]
    return _integrate(determinants, (kind, order)), turned.min(axis=1) <= 1e-12 * extent**d


def angles(points: Array, corners: Indices) -> Array:
    """Return the angles of the cells in degrees: plane ones of triangles (m, 3), dihedral of tetrahedra (m, 6).

    Degenerate cells have NaN.
    """
    gradients = _gradients(points, corners)
    with np.errstate(invalid="ignore", divide="ignore"):
        normals = gradients / np.linalg.norm(gradients, axis=2, keepdims=True)
        pairs = np.array(list(combinations(range(corners.shape[1]), 2)))
        cosines = -np.einsum("mpx,mpx->mp", normals[:, pairs[:, 0]], normals[:, pairs[:, 1]])
    return np.degrees(np.arccos(np.clip(cosines, -1.0, 1.0)))


def aspect_ratios(points: Array, corners: Indices) -> Array:
    r"""Return :math:`h\,/\,(c\,\rho)` of the cells: longest edge over inradius, 1 for the regular simplex; shape (m,).

    :math:`c=2\sqrt3` for triangles, :math:`2\sqrt6` for tetrahedra. Degenerate cells have infinity.
    """
    d = points.shape[1]
    edges = [points[corners[:, i]] - points[corners[:, j]] for i, j in combinations(range(d + 1), 2)]
    longest = np.max([np.linalg.norm(edge, axis=1) for edge in edges], axis=0)
    with np.errstate(invalid="ignore", divide="ignore"):
        # The sum of the inverse altitudes is the inverse of the inradius; gradients have the length of those.
        inverse = np.linalg.norm(_gradients(points, corners), axis=2).sum(axis=1)
        ratios = longest * inverse / (2.0 * np.sqrt(3.0 if d == 2 else 6.0))
    return np.where(np.isfinite(ratios), ratios, np.inf)


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
