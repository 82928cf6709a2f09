r"""The periodic constraint between faces that do not match, as weights. Plain arrays on one rank.

Of each pair of opposite faces the one with fewer facets leads, the other follows. The value of an unknown that
follows is, to begin with, that of the leading side at its image one period away: with the linear functions u and those
with a kink at a phase boundary both sides agree. Interpolation alone lets a constant flux through the faces do work,
:math:`\int_F q\,(v_+-v_-)\ne0`, which costs an order of accuracy. So the facets of the following side are grouped, each
group within one phase and around an unknown of its own, and the unknowns inside a group are moved together until

.. math:: \int_G (v_+-v_-) = 0 \quad\text{for each group } G,

integrated over the overlaps of the facets of both sides; from degree two on the first moments vanish as well. A flux
that is constant in each phase then does no work: laminates are exact. Unknowns on the edges of the period cell are
interpolated only, and followed from face to face until none depends on another that is eliminated.

Source: the moments are those of a mortar constraint, Bernardi, Maday, Patera 1994, "A new nonconforming approach to
domain decomposition: the mortar element method".
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass

import basix
import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

from homfem.meshing.arrays.facet_overlaps import REACH, TOLERANCE, balls, close_pairs, face_frame, measures, overlaps
from homfem.parameters import Array, Lattice, PeriodicityError

Indices = npt.NDArray[np.int64]

_ROUND_OFF = 1e-11
#: Least integral, over the area of its facets, of the basis function of an unknown that a group is made around.
_CARRIES = 0.05
#: Moments of a group are independent when their smallest eigenvalue is larger than this times the largest.
_INDEPENDENT = 1e-4


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class FaceTraces:
    """The facets of a mesh on the faces of the period cell, with the unknowns of a Lagrange space on them.

    Parameters
    ----------
    corners : array, shape (n, d, d)
        Corners of each facet in lattice coordinates from 0 to 1.
    unknowns : array of int, shape (n, k)
        Numbers of the unknowns of each facet.
    places : array, shape (n, k, d)
        Where they are, in lattice coordinates.
    phase : array of int, shape (n,)
        Phase of the cell of each facet.
    """

    corners: Array
    unknowns: Indices
    places: Array
    phase: Indices


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Weights:
    """Each eliminated unknown as a sum: ``u[slave] = sum(value * u[master])``, one entry per term.

    ``free`` is the number of unknowns on the following faces that have no partner, on walls.
    """

    slave: Indices
    master: Indices
    value: Array
    free: int


def constraint_weights(traces: FaceTraces, lattice: Lattice, degree: int) -> Weights:
    """Return the constraint of a Lagrange space of a degree.

    Raises
    ------
    PeriodicityError
        If an unknown depends on itself, which only faces that differ near the edges of the period cell can cause.
    """
    d = lattice.dimension
    number, where = _unknowns(traces)
    side, where, corners, places = _led(traces, where)
    local = np.searchsorted(number[0], traces.unknowns)
    local = number[1][local]
    high, low = where > 1.0 - TOLERANCE, where < TOLERANCE
    follows = np.zeros(len(where), dtype=bool)
    rows: list[sp.csr_array] = []
    faces = []
    for k in range(d):
        flat = face_frame(lattice, k)
        own = {
            s: _Side.of(corners[side == 2 * k + s], places[side == 2 * k + s], local[side == 2 * k + s],
                        traces.phase[side == 2 * k + s], k, flat, degree) for s in (0, 1)
        }  # fmt: skip
        if not len(own[0].local) or not len(own[1].local):
            continue
        for image, has in _images(where, low | high, k):
            wanted = np.flatnonzero(high[:, k] & has & ~follows)
            found, weights = _interpolated(own[0], own[1], wanted, image[wanted] @ flat, len(where))
            follows[found] = True
            rows.append(weights)
        faces.append((k, own[0], own[1]))
    step = sp.dia_array((np.where(follows, 0.0, 1.0)[None], [0]), shape=(len(where), len(where))).tocsr()
    step = sum(rows, step)
    total = step.copy()
    for k, leading, following in faces:
        edge = np.delete(high | low, k, axis=1).any(axis=1)
        total = total + _balance(leading, following, step, follows & high[:, k] & ~edge)
    return _resolved(sp.csr_array(total), follows, int(np.count_nonzero(high.any(axis=1) & ~follows)), number, d)


def _unknowns(traces: FaceTraces) -> tuple[tuple[Indices, Indices], Array]:
    """Own numbers of the unknowns, sorted by place so that they are the same on any number of ranks.

    Returns the sorted global numbers and the own number of each, and the places in the order of the own numbers.
    """
    known, first = np.unique(traces.unknowns, return_index=True)
    where = traces.places.reshape(-1, traces.places.shape[2])[first]
    order = np.lexsort(np.round(where, 9).T)
    own = np.empty(len(known), dtype=np.int64)
    own[order] = np.arange(len(known))
    return (known, own), where[order]


def _images(where: Array, ends: npt.NDArray[np.bool_], k: int) -> Iterator[tuple[Array, npt.NDArray[np.bool_]]]:
    """Images on the face k, without their k-th coordinate, and which places have them.

    One on an edge of the period cell has several, of which some may lie outside of the mesh. They are smaller than the
    place itself in lexicographic order, so that no unknown depends on itself.
    """
    for later in itertools.product((0.0, 1.0), repeat=where.shape[1] - 1 - k):
        image, has = where.copy(), np.ones(len(where), dtype=bool)
        for j, value in enumerate(later, start=k + 1):
            image[:, j] = np.where(ends[:, j], value, where[:, j])
            has &= ends[:, j] | (value == 0.0)
        yield np.delete(image, k, axis=1), has


def _led(traces: FaceTraces, where: Array) -> tuple[Indices, Array, Array, Array]:
    """Side of each facet, 2 k where it leads and 2 k + 1 where it follows, and coordinates turned to match."""
    corners, places = traces.corners, traces.places
    on_low = np.asarray((corners < TOLERANCE).all(axis=1))
    on_high = np.asarray((corners > 1.0 - TOLERANCE).all(axis=1))
    turned = on_low.sum(axis=0) > on_high.sum(axis=0)
    side = np.full(len(corners), -1, dtype=np.int64)
    for k, turn in enumerate(turned):
        side[on_low[:, k]] = 2 * k + int(turn)
        side[on_high[:, k]] = 2 * k + 1 - int(turn)
    where, corners, places = (np.where(turned, 1.0 - x, x) for x in (where, corners, places))
    return side, where, corners, places


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class _Side:
    """The facets of one side of a pair of faces, in the plane: corners, unknowns, phases, and their basis."""

    corners: Array
    local: Indices
    phase: Indices
    basis: Array
    degree: int

    @classmethod
    def of(
        cls, corners: Array, places: Array, local: Indices, phase: Indices, k: int, flat: Array, degree: int
    ) -> _Side:
        corners = np.delete(corners, k, axis=2) @ flat
        places = np.delete(places, k, axis=2) @ flat
        centre = np.round(corners.mean(axis=1), 9)
        order = np.lexsort(centre.T)
        corners, places, local, phase = corners[order], places[order], local[order], phase[order]
        # The same order of unknowns in every facet, so that one matrix has the basis of all.
        inside = np.einsum("nkm,nml->nkl", places - corners[:, :1], _inverse_edges(corners))
        key = np.rint(inside * 5040.0) @ (10000.0 ** np.arange(inside.shape[2]))
        rank = np.argsort(key, axis=1, kind="stable")
        local = np.take_along_axis(local, rank, axis=1)
        basis: Array = np.zeros((0, 0))
        if len(inside):
            basis = np.asarray(np.linalg.inv(_monomials(inside[0, rank[0]], degree)))
        return cls(corners=corners, local=local, phase=phase, basis=basis, degree=degree)

    def coordinates(self, facet: Indices, points: Array) -> Array:
        """Reference coordinates of points (p, m) or (p, q, m), each in a facet."""
        inverse = _inverse_edges(self.corners[facet])
        if points.ndim == 2:
            return np.asarray(np.einsum("pm,pml->pl", points - self.corners[facet, 0], inverse))
        return np.asarray(np.einsum("pqm,pml->pql", points - self.corners[facet, :1], inverse))

    def values(self, reference: Array) -> Array:
        """Values of the basis functions at reference coordinates, in the order of ``local``."""
        return np.asarray(_monomials(reference, self.degree) @ self.basis)


def _inverse_edges(corners: Array) -> Array:
    return np.asarray(np.linalg.inv(corners[:, 1:] - corners[:, :1]))


def _monomials(x: Array, degree: int) -> Array:
    if x.shape[-1] == 1:
        powers = [x[..., 0] ** a for a in range(degree + 1)]
    else:
        powers = [x[..., 0] ** a * x[..., 1] ** b for a in range(degree + 1) for b in range(degree + 1 - a)]
    return np.stack(powers, axis=-1)


def _interpolated(
    leading: _Side, following: _Side, wanted: Indices, images: Array, count: int
) -> tuple[Indices, sp.csr_array]:
    """Unknowns whose image is on the leading side, and the rows of their weights."""
    size = np.full(count, np.inf)
    np.minimum.at(size, following.local, balls(following.corners)[1][:, None])
    centre, radius = balls(leading.corners)
    # An unknown on an edge of the cell may belong to another face only.
    reach = np.where(np.isfinite(size[wanted]), REACH * size[wanted], REACH * radius.max(initial=0.0))
    point, facet = close_pairs(images, reach, centre, radius)
    reference = leading.coordinates(facet, images[point])
    shares = np.concatenate([1.0 - reference.sum(axis=1, keepdims=True), reference], axis=1)
    outside = shares.min(axis=1, initial=0.0) < -_ROUND_OFF
    clipped = np.clip(shares, 0.0, None)
    clipped /= clipped.sum(axis=1, keepdims=True)
    shares = np.where(outside[:, None], clipped, shares)
    distance = np.linalg.norm(np.einsum("pc,pcm->pm", shares, leading.corners[facet]) - images[point], axis=1)
    distance[~outside] = 0.0
    near = distance <= np.minimum(REACH * radius[facet], reach[point])
    point, facet, shares, distance = point[near], facet[near], shares[near], distance[near]
    order = np.lexsort((facet, distance, point))
    chosen = order[np.unique(point[order], return_index=True)[1]]
    weights = leading.values(shares[chosen, 1:])
    weights[np.abs(weights) < _ROUND_OFF] = 0.0
    row = np.repeat(wanted[point[chosen]], weights.shape[1])
    column = leading.local[facet[chosen]].ravel()
    matrix = sp.coo_array((weights.ravel(), (row, column)), shape=(count, count)).tocsr()
    matrix.eliminate_zeros()
    return wanted[point[chosen]], matrix


def _balance(leading: _Side, following: _Side, step: sp.csr_array, inner: npt.NDArray[np.bool_]) -> sp.csr_array:
    """What is added to the weights of the unknowns ``inner`` so that the jump has no moments over groups of facets."""
    count, m = step.shape[0], following.corners.shape[2]
    one, other, parts = overlaps(following.corners, leading.corners)
    points, weight = _quadrature(parts, leading.degree + 1)
    ours, theirs = (
        side.values(side.coordinates(facet, points)) for side, facet in ((following, one), (leading, other))
    )
    integral = np.zeros(count)
    np.add.at(integral, following.local[one], np.einsum("pq,pqk->pk", weight, ours))
    group = _groups(following, integral, inner)
    groups = int(group.max(initial=-1)) + 1
    kept = group[one] >= 0
    number = group[one[kept]]
    moments = _moments(following, group, groups, number, points[kept], 1 if leading.degree == 1 else 1 + m)
    size = moments.shape[2]
    rows = number[:, None] * size + np.arange(size)
    means = []
    for side, facet, values in ((following, one, ours), (leading, other, theirs)):
        entries = np.einsum("pq,pqr,pqk->prk", weight[kept], moments, values[kept])
        columns = np.broadcast_to(side.local[facet[kept]][:, None, :], entries.shape)
        where = (np.broadcast_to(rows[..., None], entries.shape).ravel(), columns.ravel())
        means.append(sp.coo_array((entries.ravel(), where), shape=(groups * size, count)).tocsr())
    moved = sp.csr_array(means[0].copy())
    owner = _only_group(following.local, group, count)
    row = np.repeat(np.arange(groups * size), np.diff(moved.indptr)) // size
    moved.data[(owner[moved.indices] != row) | ~inner[moved.indices]] = 0.0
    moved.eliminate_zeros()
    return sp.csr_array(moved.T @ _inverse(moved, size) @ (means[1] - means[0] @ step))


def _moments(side: _Side, group: Indices, groups: int, number: Indices, points: Array, size: int) -> Array:
    """The constant and, where ``size`` says so, the coordinates about the middle of the group; (p, q, size)."""
    used = group >= 0
    facets = np.maximum(np.bincount(group[used], minlength=groups), 1)
    middles, radii = balls(side.corners[used])
    middle = np.stack([np.bincount(group[used], x, groups) for x in middles.T], axis=1) / facets[:, None]
    radius = np.bincount(group[used], radii, groups) / facets
    local = (points - middle[number][:, None]) / radius[number][:, None, None]
    return np.concatenate([np.ones((*points.shape[:2], 1)), local], axis=2)[..., :size]


def _inverse(moved: sp.csr_array, size: int) -> sp.csr_array:
    """Inverse of the products of the moments in each group; of the constant alone where the others depend on it."""
    entries = sp.coo_array(moved @ moved.T)
    groups = moved.shape[0] // size
    gram = np.zeros((groups, size, size))
    gram[entries.row // size, entries.row % size, entries.col % size] = entries.data
    values = np.linalg.eigvalsh(gram)
    good = values[:, 0] > _INDEPENDENT * values[:, -1]
    inverse = np.zeros_like(gram)
    inverse[good] = np.linalg.inv(gram[good])
    alone = ~good & (gram[:, 0, 0] > 0.0)
    inverse[alone, 0, 0] = 1.0 / gram[alone, 0, 0]
    index = np.arange(groups * size).reshape(groups, size)
    rows, columns = np.repeat(index, size, axis=1).ravel(), np.tile(index, size).ravel()
    return sp.coo_array((inverse.ravel(), (rows, columns)), shape=(groups * size, groups * size)).tocsr()


def _quadrature(parts: Array, degree: int) -> tuple[Array, Array]:
    """Points (p, q, m) and weights (p, q) on simplices, exact for polynomials of the degree."""
    m = parts.shape[2]
    kind = {1: basix.CellType.interval, 2: basix.CellType.triangle}[m]
    x, w = basix.make_quadrature(kind, degree)
    shares = np.concatenate([1.0 - x.sum(axis=1, keepdims=True), x], axis=1)
    return np.einsum("qc,pcm->pqm", shares, parts), np.outer(measures(parts), w / w.sum())


def _groups(side: _Side, integral: Array, inner: npt.NDArray[np.bool_]) -> Indices:
    """Group of each facet, -1 where no unknown of its phase can balance it."""
    area = np.zeros(len(inner))
    np.add.at(area, side.local, measures(side.corners)[:, None])
    uses = np.bincount(side.local.ravel(), minlength=len(inner))
    least, most = np.full(len(inner), np.iinfo(np.int64).max), np.full(len(inner), -1)
    np.minimum.at(least, side.local, side.phase[:, None])
    np.maximum.at(most, side.local, side.phase[:, None])
    active = inner & (uses > 0) & (least == most)
    group: Indices = np.full(len(side.local), -1, dtype=np.int64)
    if side.degree > 1:
        # Groups around a vertex have unknowns enough for linear moments.
        group = _spread(side, _seeded(side, group, active & (uses > side.corners.shape[2]), uses), len(inner))
        active[side.local[group >= 0]] = False
    group = _seeded(side, group, active & (integral > _CARRIES * area), uses)
    return _spread(side, group, len(inner))


def _seeded(side: _Side, group: Indices, active: npt.NDArray[np.bool_], uses: Indices) -> Indices:
    """Groups of the facets around unknowns that share no facet; unknowns with the fewest facets come first."""
    count = len(active)
    # Among equals at random, but always the same.
    priority = np.random.default_rng(0).permutation(count) - uses * np.int64(count)
    lowest = np.iinfo(np.int64).min
    group, groups, active = group.copy(), int(group.max(initial=-1)) + 1, active.copy()
    while active.any():
        best = np.where(active[side.local], priority[side.local], lowest).max(axis=1)
        best = np.where(group < 0, best, lowest)
        beaten = np.zeros(count, dtype=bool)
        beaten[side.local[priority[side.local] < best[:, None]]] = True
        seeds = np.flatnonzero(active & ~beaten)
        name = np.full(count, -1, dtype=np.int64)
        name[seeds] = groups + np.arange(len(seeds))
        groups += len(seeds)
        chosen = name[side.local].max(axis=1)
        group[chosen >= 0] = chosen[chosen >= 0]
        active[side.local[group >= 0]] = False
    return group


def _spread(side: _Side, group: Indices, count: int) -> Indices:
    """Give facets without a group that of a neighbour of their phase, nearest first."""
    phases = np.unique(side.phase, return_inverse=True)[1]
    key = side.local + count * phases[:, None]
    while True:
        name = np.full(count * (int(phases.max(initial=0)) + 1), -1, dtype=np.int64)
        np.maximum.at(name, key, group[:, None])
        grown = np.where(group < 0, name[key].max(axis=1), group)
        if np.array_equal(grown, group):
            return group
        group = grown


def _only_group(local: Indices, group: Indices, count: int) -> Indices:
    """Group of each unknown all of whose facets are in it; -1 for the others."""
    least, most = np.full(count, np.iinfo(np.int64).max), np.full(count, -2, dtype=np.int64)
    np.minimum.at(least, local, group[:, None])
    np.maximum.at(most, local, group[:, None])
    return np.where(least == most, least, -1)


def _resolved(
    step: sp.csr_array, follows: npt.NDArray[np.bool_], free: int, number: tuple[Indices, Indices], d: int
) -> Weights:
    """Follow eliminated unknowns until none depends on another one, and number them as the space does."""
    own = sp.csr_array(step[np.flatnonzero(follows)])
    for _ in range(2**d):
        if not np.any(follows[own.indices]):
            break
        own = sp.csr_array(own @ step)
    entries = own.tocoo()
    kept = np.abs(entries.data) > _ROUND_OFF
    slave, master, value = np.flatnonzero(follows)[entries.row[kept]], entries.col[kept], entries.data[kept]
    if np.any(follows[master]):
        raise PeriodicityError(
            "mesh",
            "an unknown on a period face that depends on itself",
            "one with phase boundaries that meet opposite faces in the same places",
            "Choose a finer mesh (a smaller resolution).",
        )
    back = np.empty_like(number[0])
    back[number[1]] = number[0]
    return Weights(slave=back[slave], master=back[master], value=value, free=free)
