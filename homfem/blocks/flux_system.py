r"""The discrete problem of the Galerkin method for the interface fluxes, and its solution.

Unknowns of one interface are made orthonormal in their own energy. What remains is a block graph Laplacian for the mean
fluxes and a part that couples neighbours only. Conjugate gradients projected on Gq = 0, with the diagonal of B and the
exact constraint as preconditioner (one sparse factorisation with one row per block), need a bounded number of
iterations: the energy of one block with any diffusivity is equivalent to its diagonal, with constants of its shape and
of the basis alone, and the diagonal adds up block by block. Measured for aggregated media, degree 2, one singular
function per end, tolerance 1e-8: 29 to 35 iterations from 16 x 16 to 128 x 128 blocks at a contrast of 10; at 64 x 64
blocks 86 at 1e4 and 89 at 1e6.

Small systems are solved densely.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp
import scipy.sparse.linalg as spla

from homfem.blocks.corners import vertex_exponents
from homfem.blocks.fields import BlockFields, FieldGroup
from homfem.blocks.flux_energies import element_energies
from homfem.blocks.interface_basis import FluxBasis, make_basis
from homfem.blocks.medium import BlockMedium
from homfem.blocks.rectangles import single_blocks
from homfem.brackets import EPS
from homfem.parameters import Array, ConvergenceError

SIGNS = np.array([-1.0, 1.0, -1.0, 1.0])  # outward flux over flux along the axis: left, right, bottom, top
DENSE_LIMIT = 600  # unknowns
ACCURACY = 1e-14  # of the energies of the functions, relative to their size
DEPENDENT = 1e-11  # functions of smaller relative energy than this are dropped


class FluxSystem:
    """The discrete problem of one medium: edges, orthonormal functions, block energies."""

    def __init__(self, medium: BlockMedium, degree: int, singular: int, like: FluxSystem | None = None) -> None:
        self.medium = medium
        at = np.nonzero(medium.conducting)
        axial = medium.axial[at]
        scale = 1.0 / np.sqrt(axial[:, 0] * axial[:, 1])
        if like is None:
            self._geometry(degree, singular)
        else:
            self._share(like)
        self._energies(scale)

    def _share(self, like: FluxSystem) -> None:
        """Take over all that does not depend on the scale of the diffusivities: the dual has the same singularities."""
        for name in ("partition", "edges", "sides", "around", "border", "family", "basis", "ratio", "kind", "energies"):
            setattr(self, name, getattr(like, name))

    def _geometry(self, degree: int, singular: int) -> None:
        medium = self.medium
        self.partition = single_blocks(medium)
        rows, columns = medium.shape
        active = self._active_edges()
        number = np.full((2, rows, columns), -1, dtype=np.int64)
        number[active] = np.arange(np.count_nonzero(active))
        self.edges = int(np.count_nonzero(active))
        at = np.nonzero(medium.conducting)
        # Edges of each conducting block: left, right, bottom, top.
        self.around = np.stack(
            [number[0], np.roll(number[0], -1, axis=1), number[1], np.roll(number[1], -1, axis=0)], axis=-1
        )
        self.sides = self.around[at]
        self.border = (number[0, :, 0], number[1, 0, :])
        exponents = vertex_exponents(medium)
        ends = np.stack(
            [
                np.concatenate([exponents, np.roll(exponents, -1, axis=0)], axis=-1),
                np.concatenate([exponents, np.roll(exponents, -1, axis=1)], axis=-1),
            ]
        )[active]
        distinct, family = np.unique(np.round(ends, 11), axis=0, return_inverse=True)
        distinct = np.vstack([distinct, np.ones((1, 4))])  # the last family serves sides that carry no flux
        self.family = np.append(family.ravel(), len(distinct) - 1)
        self.basis: FluxBasis = make_basis(distinct, degree, singular)
        axial = medium.axial[at]
        size = np.stack([np.asarray(medium.widths)[at[1]], np.asarray(medium.heights)[at[0]]], axis=1)
        self.ratio = np.round(size[:, 0] / size[:, 1] * np.sqrt(axial[:, 1] / axial[:, 0]), 13)
        kinds, kind = np.unique(np.column_stack([self.family[self.sides], self.ratio]), axis=0, return_inverse=True)
        self.energies = element_energies(self.basis, kinds[:, :4].astype(np.int64), kinds[:, 4])
        self.energies *= (SIGNS[:, None] * SIGNS[None, :])[:, :, None, None]
        self.kind = kind.ravel()

    def _active_edges(self) -> npt.NDArray[np.bool_]:
        """Return which left and bottom edges of the blocks carry an unknown flux, shape (2, m, n)."""
        return np.stack(self.partition.active_edges())

    def _energies(self, scale: Array) -> None:
        medium, energies, kind = self.medium, self.energies, self.kind
        n, self._scale = len(self.basis.means), scale
        # Own energy of every edge, then functions that are orthonormal in it.
        own = np.zeros((self.edges + 1, n, n))
        for side in range(4):
            np.add.at(own, self.sides[:, side], scale[:, None, None] * energies[kind, side, side])
        self.change, self.kept, self.resistance = _orthonormal(own[:-1], self.basis.active[self.family[:-1]])
        change = np.concatenate([self.change, np.zeros((1, n, n))])[self.sides]
        inner = energies[kind] * scale[:, None, None, None, None]
        blocks = np.swapaxes(change, -1, -2)[:, :, None] @ inner @ change[:, None, :]
        self.blocks = np.ascontiguousarray(blocks.transpose(0, 1, 3, 2, 4)).reshape(len(scale), 4 * n, 4 * n)
        self.functions = n
        members = len(scale)
        rows_g, cols_g = np.repeat(np.arange(members), 4), self.sides.ravel()
        real = cols_g >= 0
        self.balance = sp.coo_matrix(
            (np.tile(SIGNS, members)[real], (rows_g[real], cols_g[real])), shape=(members, self.edges)
        ).tocsr()
        self.component = medium.components()[1][medium.conducting]
        self.unknowns = int(np.count_nonzero(self.kept)) + members
        self.loads = np.zeros((self.edges, 2))
        for load in (0, 1):
            border = self.border[load]
            self.loads[border[border >= 0], load] = medium.lengths[load]

    def apply(self, flux: Array) -> Array:
        """Return B q for coefficients of shape (edges, n, 2)."""
        n = self.functions
        padded = np.concatenate([flux, np.zeros((1, n, 2))])
        local = self.blocks @ padded[self.sides].reshape(len(self.sides), 4 * n, 2)
        target = np.where(self.sides >= 0, self.sides, self.edges).ravel()
        gather = sp.csr_matrix(
            (np.ones(len(target)), target, np.arange(len(target) + 1)), shape=(len(target), self.edges + 1)
        ).T
        return np.asarray(gather @ local.reshape(len(target), 2 * n)).reshape(-1, n, 2)[:-1]

    def solve(self, tolerance: float) -> tuple[Array, Array, int]:
        """Return the flux coefficients, the block constants and the iterations (0: direct)."""
        if self.unknowns <= DENSE_LIMIT:
            return *self._solve_dense(), 0
        return self._solve_iteratively(tolerance)

    def _solve_dense(self) -> tuple[Array, Array]:
        n, members = self.functions, self.balance.shape[0]
        place = np.full((self.edges + 1, n), -1, dtype=np.int64)
        place[:-1][self.kept] = np.arange(np.count_nonzero(self.kept))
        fluxes = int(np.count_nonzero(self.kept))
        matrix = np.zeros((fluxes + members + 1, fluxes + members + 1))  # the last row and column are thrown away
        local = place[self.sides].reshape(len(self.sides), 4 * n)
        np.add.at(matrix, (local[:, :, None], local[:, None, :]), self.blocks)
        matrix[-1], matrix[:, -1] = 0.0, 0.0
        balance = self.balance.toarray()
        rows = fluxes + np.arange(members)[:, None]
        matrix[rows, place[:-1, 0]] = balance
        matrix[place[:-1, 0][:, None], rows.T] = balance.T
        # One constant of each component is free: its row and column fix it to zero.
        for first in fluxes + np.unique(self.component, return_index=True)[1]:
            matrix[first], matrix[:, first], matrix[first, first] = 0.0, 0.0, 1.0
        right = np.zeros((fluxes + members, 2))
        right[place[:-1, 0]] = self.loads
        solution = np.linalg.solve(matrix[:-1, :-1], right)
        flux = np.zeros((self.edges, n, 2))
        flux[self.kept] = solution[:fluxes]
        return flux, np.asarray(solution[fluxes:], dtype=np.float64)

    def _solve_iteratively(self, tolerance: float, limit: int = 500) -> tuple[Array, Array, int]:
        """Projected conjugate gradients."""
        conductance = 1.0 / self.resistance
        laplacian = (self.balance @ sp.diags_array(conductance) @ self.balance.T).tocsr()
        pinned = np.zeros(self.balance.shape[0], dtype=bool)
        pinned[np.unique(self.component, return_index=True)[1]] = True
        free = np.flatnonzero(~pinned)
        factors = None
        if free.size:
            options = {"SymmetricMode": True}
            reduced = laplacian[free][:, free].tocsc()
            factors = spla.splu(reduced, permc_spec="MMD_AT_PLUS_A", diag_pivot_thresh=0.0, options=options)

        constants: Array = np.zeros((self.balance.shape[0], 2))

        def project(residual: Array) -> Array:
            """Solve with the diagonal of B under the constraint; what the constants balance leaves the residual."""
            nonlocal constants
            potential = np.zeros((self.balance.shape[0], 2))
            if factors is not None:
                potential[free] = factors.solve((self.balance @ (conductance[:, None] * residual[:, 0]))[free])
            # Without this the residual keeps the large part that the multipliers balance, and round-off with it.
            residual[:, 0] -= self.balance.T @ potential
            constants = constants + potential
            step = residual.copy()
            step[:, 0] *= conductance[:, None]
            return step

        residual = np.zeros((self.edges, self.functions, 2))
        residual[:, 0] = self.loads
        flux = np.zeros_like(residual)
        scale = _dot(self.loads, self.loads * conductance[:, None])
        step = project(residual)
        direction, product = step.copy(), _dot(residual, step)
        goal = np.maximum(tolerance**2 * product, 1e-28 * scale)  # the second where a load drives no flux at all
        for count in range(limit + 1):
            unfinished = product > goal
            if not unfinished.any():
                return flux, constants, 2 * count
            image = self.apply(direction)
            curvature = _dot(direction, image)
            length = np.where(unfinished, product / np.where(curvature > 0.0, curvature, 1.0), 0.0)
            flux += length * direction
            residual -= length * image
            step = project(residual)
            previous, product = product, _dot(residual, step)
            direction = step + np.where(unfinished, product / np.where(previous > 0.0, previous, 1.0), 0.0) * direction
        raise ConvergenceError(f"corner-galerkin: no convergence in {limit} iterations")

    def bound(self, flux: Array) -> Array:
        """Return the lower bound of the effective tensor that admissible fluxes give."""
        work = np.einsum("ea,eb->ab", self.loads, flux[:, 0])
        energy = np.einsum("ena,enb->ab", flux, self.apply(flux))
        return np.asarray((work + work.T - 0.5 * (energy + energy.T)) / self.medium.area)

    def noise(self, flux: Array, constants: Array, bound: Array) -> Array:
        r"""Return what round-off can have done to :meth:`bound`, shape (2, 2).

        The energies of the functions are known to :data:`ACCURACY`; in orthonormal functions that is an error of
        :math:`|T|^\mathsf{T}|B||T|` with the change of basis T. What is left of the net flux of a block, times the
        largest difference of the potentials, is work that is not there.
        """
        n = self.functions
        padded = np.abs(np.concatenate([flux, np.zeros((1, n, 2))]))[self.sides]
        change = np.abs(np.concatenate([self.change, np.zeros((1, n, n))]))[self.sides]
        plain = np.einsum("bsij,bsjl->bsil", change, padded, optimize=True)
        energies = np.abs(self.energies[self.kind]) * self._scale[:, None, None, None, None]
        doubt = np.einsum("bsil,bstij,btjm->lm", plain, energies, plain, optimize=True)
        net = np.abs(self.balance @ flux[:, 0]).sum(axis=0)
        net += EPS * (abs(self.balance) @ np.abs(flux[:, 0])).sum(axis=0)
        reach = np.zeros(2)
        for part in np.unique(self.component):
            reach = np.maximum(reach, np.ptp(constants[self.component == part], axis=0))
        work = np.outer(net, reach)
        size = np.sqrt(np.maximum(np.abs(np.diag(bound)), 1e-300))
        area = self.medium.area
        error = (ACCURACY * doubt + work + work.T) / area / np.outer(size, size)
        return np.diag(size**2) * (float(error.sum()) + 2.0 * EPS * len(self.sides))

    def fields(self, flux: Array, constants: Array, modes: int) -> BlockFields:
        """Return the fields that belong to the coefficients."""
        n = self.functions
        plain = np.concatenate([self.change @ flux, np.zeros((1, n, 2))])
        table = self.basis.moments(modes)
        moments = np.einsum("enk,ena->eka", table[self.family], plain)
        groups = []
        for ratio in np.unique(self.ratio):
            members = np.flatnonzero(self.ratio == ratio)
            around = SIGNS[:, None, None] * moments[self.sides[members]]
            groups.append(
                FieldGroup(members=members, ratio=float(ratio), moments_y=around[:, :2], moments_x=around[:, 2:])
            )
        return BlockFields.build(self.partition, constants, groups)


def _orthonormal(own: Array, active: npt.NDArray[np.bool_]) -> tuple[Array, npt.NDArray[np.bool_], Array]:
    """Return changes of basis, which functions remain, and the energy of the first one (mean 1), per edge.

    The zero-mean functions become orthonormal; the first one becomes orthogonal to them and keeps its mean.
    """
    edges, n = own.shape[:2]
    inner = own[:, 1:, 1:]
    diagonal = np.einsum("eii->ei", inner)
    scale = np.where(active[:, 1:], 1.0 / np.sqrt(np.where(active[:, 1:], diagonal, 1.0)), 0.0)
    values, vectors = np.linalg.eigh(inner * scale[:, :, None] * scale[:, None, :])
    kept = values > DEPENDENT
    weight = np.where(kept, 1.0 / np.sqrt(np.where(kept, values, 1.0)), 0.0)
    change = np.zeros((edges, n, n))
    change[:, 1:, 1:] = scale[:, :, None] * vectors * weight[:, None, :]
    change[:, 0, 0] = 1.0
    projection = np.swapaxes(change[:, 1:, 1:], 1, 2) @ own[:, 1:, :1]
    change[:, 1:, 0] = -(change[:, 1:, 1:] @ projection)[..., 0]
    resistance = own[:, 0, 0] - (projection[..., 0] ** 2).sum(axis=1)
    return change, np.concatenate([np.ones((edges, 1), dtype=bool), kept], axis=1), resistance


def _dot(first: Array, second: Array) -> Array:
    axes = tuple(range(first.ndim - 1))
    return np.asarray((first * second).sum(axis=axes))
