r"""Dispersion at many speeds of one flow from solutions at a few: a projection whose error is computed.

The correctors in the flow and in the reversed one solve :math:`(K+sC)\chi^+=g-sd` and :math:`(K-sC)\chi^-=g+sd` with
the matrix K of diffusion, the skew one C of convection, the loads g of the gradient and d of the drift, and
:math:`F_{ij}m=\int WD_{ij}-(g_i+sd_i)\cdot\chi^+_j`: the value asks :math:`\chi^+` with the load of :math:`\chi^-`,
which belongs to the transpose. In a space V that holds both, Galerkin's solutions have the error

.. math:: m\,(F_{ij}-F^V_{ij})=-R^-_i\cdot(K+sC)^{-1}R^+_j ,\qquad
          m\,|F_{ij}-F^V_{ij}|\le\|R^-_i\|_{K^{-1}}\|R^+_j\|_{K^{-1}}

with the residuals R: as C is skew, :math:`\|(K+sC)^{-1}R\|_K\le\|R\|_{K^{-1}}` at every s. The error of the value is
the product of two residuals, and the constant is one.

**The space.** V is spanned by :math:`\tilde g=K^{-1}g`, :math:`\tilde d=K^{-1}d` and, at a few s, by both correctors
and their first :data:`DERIVATIVES` derivatives by s, which the same factors give: those of :math:`K+sC` serve
:math:`\chi^-` as well, by the transpose. A speed is accepted once the bound is below the tolerance, relative to the
tensor; of those left the worst is solved next. With :math:`T=K^{-1}C`, skew in the product of K, the differential
equations of the derivatives say that TV lies in V and the span of :math:`T\tilde g`, :math:`T\tilde d`: so do the
residuals :math:`-sTVc`, whose size is that of a few products. The one with the largest bound is computed as it is, too,
which tells whether the solutions were as exact as this supposes.

In V the matrix of T is diagonal in a unitary basis, so that a further speed costs as much as a few products of vectors.

Source: Grimme 1997, thesis, Urbana (projection of both sides on solutions and their derivatives); Prud'homme et al.
2002, doi 10.1115/1.1448332 (the error of the value from both residuals, the next speed where it is largest).
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from mpi4py import MPI
from petsc4py import PETSc

from homfem import solve
from homfem.parameters import Array

log = logging.getLogger("homfem")

#: Derivatives of a solution that go into the space beside it: with three, 32 Peclet numbers from .1 to 1000 took 6 or 7
#: factorisations, with two 8, with one 9 or 10, with none 16.
DERIVATIVES = 3
#: What the projection may add to the value, over the tolerance of the solver.
PART = 0.1
#: Length below which what is left of a vector is in the space, relative to the vector.
DEPENDENT = 1e-13
#: The same of a vector beside those that come with it: the error of the value is the square of what this leaves out.
TOGETHER = 3e-7
#: Size of an entry, relative to the largest mean diffusivity, below which its error counts as that of one of this size.
SMALLEST = 1e-12


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Pencil:
    r"""The problems of all speeds; vectors are columns of the owned unknowns.

    Parameters
    ----------
    still, convection
        K and C.
    kernel
        Orthonormal vectors that span the kernel of both.
    gradients, drifts : array, shape (n, d)
        g and d.
    mean : array, shape (d, d)
        :math:`\int WD`.
    """

    still: PETSc.Mat
    convection: PETSc.Mat
    kernel: Sequence[PETSc.Vec]
    gradients: Array
    drifts: Array
    mean: Array

    @property
    def comm(self) -> MPI.Comm:
        """The communicator."""
        return self.still.comm.tompi4py()

    @property
    def dimension(self) -> int:
        """d, of the mesh."""
        return self.gradients.shape[1]

    def matrix(self, scale: float) -> PETSc.Mat:
        """Return :math:`K+sC`, which is the caller's."""
        matrix = self.still.copy()
        matrix.axpy(scale, self.convection)
        return matrix

    def residuals(self, scales: Array, columns: Array) -> Array:
        """Return :math:`g-sd-(K+sC)\\chi` of the correctors of several speeds, shape (n, d) each, side by side."""
        repeated = np.repeat(scales, self.gradients.shape[1])
        sides = np.tile(self.gradients, len(scales)) - repeated * np.tile(self.drifts, len(scales))
        moved = solve.multiply(self.convection, columns)
        return np.asarray(sides - solve.multiply(self.still, columns) - repeated * moved)


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Projected:
    """The correctors of several speeds.

    Parameters
    ----------
    columns : array, shape (s, n, d)
        Of each speed in the order asked for.
    work : array, shape (s, d, d)
        F m.
    factorisations
        How many matrices were factored, that of diffusion included.
    """

    columns: Array
    work: Array
    factorisations: int


def project(pencil: Pencil, scales: Sequence[float], rtol: float) -> Projected:
    """Return the correctors and the values of many speeds, whose errors are below the tolerance; collective.

    Parameters
    ----------
    pencil
        The problems.
    scales
        The speeds, of either sign.
    rtol
        Of the solver; :data:`PART` of it bounds the error of each entry :math:`F_{ij}` over
        :math:`\\sqrt{F_{ii}F_{jj}}`.

    Raises
    ------
    ConvergenceError
        If a matrix has no factors.
    """
    space, enough = _Space(pencil, rtol), PART * rtol
    left = np.unique(np.abs(np.asarray(scales, dtype=np.float64)))
    found: dict[float, tuple[Array, Array]] = {}
    chosen = float(left[-1])
    while True:
        space.extend(chosen)
        bounds, ahead, back = space.judge(left)
        accepted = (bounds <= enough) | (left == chosen)
        if accepted.any():
            worst = int(np.argmax(np.where(accepted, bounds, -1.0)))
            # Of a speed that was solved itself the residual is known to be small.
            if left[worst] != chosen and space.bound(left[worst], ahead[worst], back[worst]) > enough:
                accepted = left == chosen
        found |= {float(left[k]): (ahead[k], back[k]) for k in np.flatnonzero(accepted)}
        left, bounds = left[~accepted], bounds[~accepted]
        if not len(left):
            break
        chosen = float(left[int(np.argmax(bounds))])
    count = space.factorisations
    log.info("dispersion: %d speeds from %d factorisations, a space of %d", len(found), count, space.size)
    coefficients = [found[abs(scale)][0 if scale >= 0.0 else 1] for scale in map(float, scales)]
    result = Projected(
        columns=space.columns_of(coefficients),
        work=np.array([space.work(scale, one) for scale, one in zip(scales, coefficients, strict=True)]),
        factorisations=count,
    )
    space.destroy()
    return result


class _Space:
    """The space V, with the matrix of T and the loads in it."""

    def __init__(self, pencil: Pencil, rtol: float) -> None:
        self.pencil, self.comm, self.rtol = pencil, pencil.comm, min(rtol, 1e-10)
        self.factors = solve.Factors(
            pencil.still,
            kernel=pencil.kernel,
            rtol=self.rtol,
            symmetric=True,
            dimension=pencil.dimension,
            name="dispersion: diffusion",
        )
        self.factorisations = 1
        self.d = pencil.gradients.shape[1]
        start = self.factors.solve(np.hstack([pencil.gradients, pencil.drifts]))
        self._outside = self.factors.solve(solve.multiply(pencil.convection, start))
        self.vectors: Array = np.zeros((len(start), 0))
        self.skew: Array = np.zeros((0, 0))
        self.loads: list[Array] = [np.zeros((0, self.d)) for _ in range(2)]
        self._add(start)

    @property
    def size(self) -> int:
        """Dimension of the space."""
        return self.vectors.shape[1]

    def extend(self, scale: float) -> None:
        """Add both correctors at a speed and their derivatives; collective."""
        if scale == 0.0:  # there they are
            return
        pencil = self.pencil
        matrix = pencil.matrix(scale)
        factors = solve.Factors(
            matrix,
            kernel=pencil.kernel,
            rtol=self.rtol,
            dimension=pencil.dimension,
            name=f"dispersion at {scale:.3g}",
        )
        self.factorisations += 1
        columns = []
        for sign in (1.0, -1.0):
            one = factors.solve(pencil.gradients - sign * scale * pencil.drifts, transposed=sign < 0.0)
            columns.append(one)
            for order in range(1, DERIVATIVES + 1):
                # Of Taylor's series, times the power of the speed, so that all are of one size.
                side = -sign * scale * solve.multiply(pencil.convection, one)
                if order == 1:
                    side -= sign * scale * pencil.drifts
                one = factors.solve(side, transposed=sign < 0.0)
                columns.append(one)
        factors.destroy()
        matrix.destroy()
        self._add(np.hstack(columns))

    def _dot(self, one: Array, other: Array) -> Array:
        return solve.summed(self.comm, one.T @ other)

    def _add(self, columns: Array) -> None:
        """Add what is not in the space, orthonormal in the product of K; and the matrix of T with it."""
        new = self._orthonormal(columns)
        moved = solve.multiply(self.pencil.convection, new)
        size, before = self.size, self.skew
        self.vectors = np.hstack([self.vectors, new])
        entries = self._dot(self.vectors, moved)
        self.skew = np.zeros((self.size, self.size))
        self.skew[:size, :size] = before
        self.skew[:, size:] = entries
        self.skew[size:, :size] = -entries[:size].T
        self.skew = 0.5 * (self.skew - self.skew.T)
        added = np.split(self._dot(new, np.hstack([self.pencil.gradients, self.pencil.drifts])), 2, 1)
        self.loads = [np.vstack([one, more]) for one, more in zip(self.loads, added, strict=True)]

    def _orthonormal(self, columns: Array) -> Array:
        """Return an orthonormal basis of what columns have outside of the space.

        What is less than :data:`TOGETHER` outside of the span of the others is left out.
        """
        still, vectors = self.pencil.still, self.vectors
        images = solve.multiply(still, columns)
        lengths = self._lengths(columns, images)
        columns, images, lengths = columns[:, lengths > 0.0], images[:, lengths > 0.0], lengths[lengths > 0.0]
        columns, images = columns / lengths, images / lengths
        for _ in range(2):
            columns = columns - vectors @ self._dot(vectors, images)
            images = solve.multiply(still, columns)
        rest = self._lengths(columns, images)
        columns, images, rest = columns[:, rest > DEPENDENT], images[:, rest > DEPENDENT], rest[rest > DEPENDENT]
        columns, images = columns / rest, images / rest
        # Of what is left the product is formed and taken to one; what rounding has left in it is gone the second time.
        turned = self._normal(columns, images, TOGETHER**2)
        columns, images = columns @ turned, images @ turned
        columns = columns - vectors @ self._dot(vectors, images)
        return columns @ self._normal(columns, solve.multiply(still, columns), 0.5)

    def _normal(self, columns: Array, images: Array, least: float) -> Array:
        """What takes columns to orthonormal ones; less where their product has eigenvalues below the least."""
        values, turned = np.linalg.eigh(self._dot(columns, images))
        return np.asarray(turned[:, values > least] / np.sqrt(values[values > least]))

    def _lengths(self, columns: Array, images: Array) -> Array:
        """The lengths in the product of K."""
        squares = solve.summed(self.comm, np.einsum("nk,nk->k", columns, images))
        return np.asarray(np.sqrt(np.maximum(squares, 0.0)))

    def _turned(self) -> tuple[Array, Array, Array]:
        """The eigenvalues and vectors of -iT, and what T leads out of the space of each vector."""
        # The directions of the residuals, and how much of each vector goes there.
        self._outside = self._orthonormal(self._outside)
        leak = -self._dot(solve.multiply(self.pencil.convection, self._outside), self.vectors)
        turns, basis = np.linalg.eigh(-1j * self.skew)
        return np.asarray(turns), np.asarray(basis), leak

    def judge(self, scales: Array) -> tuple[Array, Array, Array]:
        """Return for each speed the bound of the error, and the coefficients of both correctors, (s, size, d)."""
        (turns, basis, leak), (gradients, drifts) = self._turned(), self.loads
        sides = basis.conj().T @ np.hstack([gradients, drifts])
        found, lengths = [], []
        for sign in (1.0, -1.0):
            speeds = sign * scales[:, None, None]
            inside = (sides[:, : self.d] - speeds * sides[:, self.d :]) / (1.0 + 1j * speeds * turns[:, None])
            one = np.real(basis @ inside)
            found.append(one)
            lengths.append(np.linalg.norm(speeds * (leak @ one), axis=1))
        return self._relative(scales, found[0], *lengths), found[0], found[1]

    def _relative(self, scales: Array, ahead: Array, one: Array, other: Array) -> Array:
        """The largest bound of an entry, relative to the tensor, from the sizes of the residuals, (s, d) each."""
        entries = np.array([np.diag(self.work(float(scales[k]), ahead[k])) for k in range(len(scales))])
        least = SMALLEST * float(np.max(np.diag(self.pencil.mean)))
        sizes = np.sqrt(np.maximum(entries, least))
        return np.asarray(np.max(one / sizes, axis=1) * np.max(other / sizes, axis=1))

    def bound(self, scale: float, ahead: Array, back: Array) -> float:
        """Return the bound of the error at one speed from the residuals as they are; collective."""
        columns = np.hstack([self.columns(ahead), self.columns(back)])
        rest = self.pencil.residuals(np.array([scale, -scale]), columns)
        squares = np.einsum("nk,nk->k", rest, self.factors.solve(rest))
        lengths = np.sqrt(np.maximum(solve.summed(self.comm, squares), 0.0))
        found = self._relative(np.array([scale]), ahead[None], lengths[None, : self.d], lengths[None, self.d :])
        return float(found[0])

    def columns(self, coefficients: Array) -> Array:
        """Return the vectors of coefficients in the space, of now or of before."""
        return np.asarray(self.vectors[:, : len(coefficients)] @ coefficients)

    def columns_of(self, several: Sequence[Array]) -> Array:
        """Return the vectors of several such coefficients, shape (s, n, d)."""
        padded = np.zeros((self.size, len(several), self.d))
        for k, one in enumerate(several):
            padded[: len(one), k] = one
        columns = self.vectors @ padded.reshape(self.size, len(several) * self.d)
        return columns.reshape(len(columns), len(several), self.d).transpose(1, 0, 2)

    def work(self, scale: float, coefficients: Array) -> Array:
        """Return F m."""
        gradients, drifts = (side[: len(coefficients)] for side in self.loads)
        return np.asarray(self.pencil.mean - (gradients + scale * drifts).T @ coefficients)

    def destroy(self) -> None:
        """Free the factors of diffusion."""
        self.factors.destroy()
