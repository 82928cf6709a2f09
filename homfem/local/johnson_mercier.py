r"""Symmetric stresses without divergence on a simplex: the Johnson-Mercier element of any dimension.

The simplex is split at its barycentre into d + 1 parts. :math:`\sigma` is symmetric, linear on each part, and
:math:`\sigma n` is continuous across the inner facets: 15 fields in 2D, 42 in 3D. Those without divergence are 9 and
30, as many as there are linear tractions on the facets that leave the simplex in equilibrium (4 x 3 - 3 and 36 - 6):
each such traction belongs to exactly one field.

They are computed once on the reference simplex and mapped by :math:`x = F\hat x + b` as
:math:`\sigma = F\hat\sigma F^T`, which keeps symmetry, absence of divergence and continuity, and takes the moments of
the traction to :math:`\int_f\varphi\,\sigma n = |\det F|\,F\int_{\hat f}\hat\varphi\,\hat\sigma\hat n`.

Source: Johnson, Mercier 1978, doi 10.1007/BF01403910; Gopalakrishnan, Guzman, Lee 2024, The Johnson-Mercier elasticity
element in any dimensions.
"""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass

import numpy as np

from homfem.parameters import Array
from homfem.stiffness import PAIRS, basis

_ROUND_OFF = 1e-10


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Reference:
    r"""The fields without divergence on the reference simplex (the origin and the unit vectors), k of them.

    Parameters
    ----------
    dimension
        d, 2 or 3.
    stress : array, shape (k, d + 1, d + 1, n)
        Field, part (part p is opposite to vertex p), node (the vertices; the barycentre in place of vertex p),
        component in Mandel notation (n = 3 or 6).
    moments : array, shape (k, d + 1, d, d)
        :math:`\int_f\varphi_a\,\sigma n`: field, facet f (opposite to vertex f), its vertex a in ascending order,
        component. As a matrix of k rows it has orthonormal rows.
    linear : array, shape (k, d + 1, n)
        Values at the vertices of the linear fields nearest in the mean square.
    energy : array, shape (n, n, k, k)
        :math:`\int\sigma^{(i)}_\alpha\sigma^{(j)}_\beta`, symmetric in (:math:`\alpha, \beta`).
    weighted : array, shape (k, d + 1, d + 1, n)
        Combinations of ``stress`` at the nodes of a part whose products, summed over parts and nodes, are ``energy``.
    """

    dimension: int
    stress: Array
    moments: Array
    linear: Array
    energy: Array
    weighted: Array


@functools.cache
def reference(dimension: int) -> Reference:
    """Return the fields of the reference simplex, computed once."""
    d = dimension
    vertices = np.vstack([np.zeros(d), np.eye(d)])
    centre = vertices.mean(axis=0)
    components = len(PAIRS[d])
    # Coordinates of a stress that is linear on each part: part, node, component.
    shape = (d + 1, d + 1, components)
    matrices = basis(d)
    conditions = []
    for p in range(d + 1):
        corners = vertices.copy()
        corners[p] = centre
        gradient = _gradients(corners)
        for i in range(d):
            row = np.zeros(shape)
            row[p] = np.einsum("vj,cj->vc", gradient, matrices[:, i])
            conditions.append(row)
    # Parts p < q share the facet through the barycentre and the other vertices. The barycentre is node p in part p.
    for p in range(d + 1):
        for q in range(p + 1, d + 1):
            others = [v for v in range(d + 1) if v not in (p, q)]
            edges = vertices[others] - centre
            normal = np.linalg.svd(edges)[2][-1]
            for one, other in [(p, q), *((v, v) for v in others)]:
                for i in range(d):
                    row = np.zeros(shape)
                    row[p, one] = matrices[:, i] @ normal
                    row[q, other] = -matrices[:, i] @ normal
                    conditions.append(row)
    system = np.array(conditions).reshape(len(conditions), -1)
    _, singular, right = np.linalg.svd(system)
    rank = int(np.count_nonzero(singular > _ROUND_OFF * singular[0]))
    fields = right[rank:].reshape(-1, *shape)
    moments = np.stack([_moments(fields, vertices, f, matrices) for f in range(d + 1)], axis=1)
    # As many fields as the tractions in equilibrium; another basis makes their moments orthonormal.
    _, singular, right = np.linalg.svd(moments.reshape(len(fields), -1).T, full_matrices=False)
    combine = right / singular[:, None]
    fields = np.tensordot(combine, fields, axes=1)
    moments = np.tensordot(combine, moments, axes=1)
    # Mass of linear functions from their values at the vertices: |T|/((d+1)(d+2)) (sum_v a_v b_v + sum a sum b).
    volume = 1.0 / (math.factorial(d) * (d + 1))
    energy = np.einsum("ipva,jpvb->abij", fields, fields, optimize=True)
    total = fields.sum(axis=2)
    energy += np.einsum("ipa,jpb->abij", total, total, optimize=True)
    energy *= volume / ((d + 1) * (d + 2))
    energy = 0.5 * (energy + energy.transpose(1, 0, 2, 3))
    mass = volume / ((d + 1) * (d + 2)) * (np.eye(d + 1) + 1.0)
    weighted = np.einsum("vw,ipwa->ipva", np.linalg.cholesky(mass).T, fields)
    linear = _projected(fields)
    return Reference(dimension=d, stress=fields, moments=moments, linear=linear, energy=energy, weighted=weighted)


def _gradients(corners: Array) -> Array:
    """Gradients of the barycentric coordinates, shape (d + 1, d)."""
    inner = np.linalg.inv(corners[1:] - corners[:1]).T
    return np.vstack([-inner.sum(axis=0), inner])


def _projected(fields: Array) -> Array:
    """Values at the vertices of the linear functions nearest in the mean square, shape (fields, d + 1, n)."""
    count = fields.shape[1]
    # Barycentric coordinates of the simplex at the nodes of the parts: part, node, vertex.
    hats = np.broadcast_to(np.eye(count), (count, count, count)).copy()
    hats[range(count), range(count)] = 1.0 / count
    product = np.einsum("pva,jpvc->jac", hats, fields)
    product += np.einsum("pa,jpc->jac", hats.sum(axis=1), fields.sum(axis=2))
    mass = count * (np.eye(count) + 1.0)
    return np.asarray(np.linalg.solve(mass, product))


def _moments(fields: Array, vertices: Array, facet: int, matrices: Array) -> Array:
    """Moments of the traction on one outer facet, shape (fields, d, d)."""
    d = vertices.shape[1]
    nodes = [v for v in range(d + 1) if v != facet]
    # The outward area vector is -d |K| times the gradient of the barycentric coordinate of the opposite vertex.
    area = -_gradients(vertices)[facet] / math.factorial(d - 1)
    traction = fields[:, facet, nodes] @ (matrices @ area)
    return np.asarray((traction + traction.sum(axis=1, keepdims=True)) / (d * (d + 1)))
