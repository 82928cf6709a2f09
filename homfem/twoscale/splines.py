r"""Smooth fields on a box: tensor products of B-splines, and the elliptic problem with a constant tensor in them.

The homogenized problem, for m unknown fields,

.. math:: -\partial_i(A_{piqj}\,\partial_j u_q) = f_p \quad\text{in } \Omega=\prod_k(0, L_k),\qquad
          u = g \text{ on the sides that are held},\quad n_iA_{piqj}\partial_ju_q = 0 \text{ on the others},

has smooth coefficients on a domain without re-entrant corners: splines of degree p are of order p + 1 until the corners
of the box count, and their derivatives are continuous, so that the corrector reconstruction takes them as they are.

Source: Hughes, Cottrell, Bazilevs 2005, Comput. Methods Appl. Mech. Engrg. 194, 4135 (splines as a Galerkin space).
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.interpolate
import scipy.sparse
from mpi4py import MPI
from petsc4py import PETSc

from homfem.parameters import Array
from homfem.solve import LinearSolver

#: A function of points, shape (d, n) -> (m, n).
Values = Callable[[Array], Array]


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class SmoothField:
    """Some fields on a box as splines.

    Parameters
    ----------
    knots
        Along each axis.
    coefficients : array, shape (n_1, ..., n_d, m)
    degree
        The same along all axes.
    """

    knots: tuple[Array, ...]
    coefficients: Array
    degree: int

    @classmethod
    def through(cls, axes: Sequence[Array], values: Array, degree: int = 3) -> SmoothField:
        """Return the splines that take values on a grid: ``values`` of shape (len(axes[0]), ..., m)."""
        knots, coefficients = [], values
        for k, nodes in enumerate(axes):
            made = scipy.interpolate.make_interp_spline(nodes, coefficients, k=degree, axis=k)
            knots.append(np.asarray(made.t))
            coefficients = np.moveaxis(made.c, 0, k)
        return cls(knots=tuple(knots), coefficients=np.ascontiguousarray(coefficients), degree=degree)

    @property
    def dimension(self) -> int:
        """Number of space dimensions."""
        return len(self.knots)

    def values(self, points: Array, axis: int | None = None) -> Array:
        """Return the fields at points of shape (d, n), or their derivatives along an axis; shape (m, n)."""
        nu = [int(k == axis) for k in range(self.dimension)]
        made = scipy.interpolate.NdBSpline(self.knots, self.coefficients, self.degree)
        return np.asarray(made(np.ascontiguousarray(points.T), nu=nu)).T

    def gradients(self, points: Array) -> Array:
        """Return the gradients at points of shape (d, n); shape (m, d, n)."""
        return np.stack([self.values(points, axis) for axis in range(self.dimension)], axis=1)

    def moved(self, by: Array) -> SmoothField:
        """Return the fields with a constant added to each; the basis functions sum to one."""
        return SmoothField(knots=self.knots, coefficients=self.coefficients + by, degree=self.degree)


@dataclass(frozen=True, kw_only=True, slots=True)
class _Axis:
    """The basis along one axis, at the points and weights of Gauss on all of its elements."""

    length: float
    elements: int
    degree: int

    @property
    def knots(self) -> Array:
        """Open and uniform."""
        inner = np.linspace(0.0, self.length, self.elements + 1)
        return np.concatenate([[0.0] * self.degree, inner, [self.length] * self.degree])

    @property
    def size(self) -> int:
        """Number of basis functions."""
        return self.elements + self.degree

    def quadrature(self) -> tuple[Array, Array]:
        """Return points and weights, exact for products of two basis functions and a linear one."""
        nodes, weights = np.polynomial.legendre.leggauss(self.degree + 2)
        h = self.length / self.elements
        points = (np.arange(self.elements)[:, None] + 0.5 * (nodes + 1.0)) * h
        return points.ravel(), np.tile(0.5 * h * weights, self.elements)

    def tables(self) -> tuple[Any, Any]:
        """Return the basis functions and their derivatives at the points of quadrature, shape (points, size)."""
        points, _ = self.quadrature()
        basis = scipy.interpolate.BSpline(self.knots, np.eye(self.size), self.degree)
        return scipy.sparse.csr_array(basis(points)), scipy.sparse.csr_array(basis.derivative()(points))

    def greville(self) -> Array:
        """Return the places at which interpolation is well posed, the ends among them."""
        t, p = self.knots, self.degree
        return np.array([t[i + 1 : i + p + 1].mean() for i in range(self.size)])


class SplineProblem:
    """An elliptic problem with a constant tensor on a box; see the module.

    Parameters
    ----------
    sides
        Lengths of the box, one corner of which is the origin.
    tensor : array, shape (m, d, m, d)
        A.
    held
        For each side that is held, ``(axis, end)`` with end 0 or 1, the values there.
    elements, degree
        Elements along each axis, and the degree of the splines.
    """

    def __init__(
        self, sides: Array, tensor: Array, held: Mapping[tuple[int, int], Values], *, elements: int, degree: int = 4
    ) -> None:
        self.axes = [_Axis(length=float(side), elements=elements, degree=degree) for side in sides]
        self.tensor, self.held, self.fields = tensor, held, tensor.shape[0]
        self.shape = tuple(axis.size for axis in self.axes)

    def solve(self, source: Values) -> SmoothField:
        """Return the solution; without a side that is held the one of mean zero, for a source of mean zero."""
        matrix, load = self._stiffness(), self._load(source).ravel()
        solution, fixed = np.zeros(len(load)), np.zeros(len(load), dtype=bool)
        index = np.arange(len(load)).reshape(*self.shape, self.fields)
        for (axis, end), values in self.held.items():
            own = np.take(index, -end, axis=axis)
            solution[own], fixed[own] = self._trace(axis, end, values), True
        free = np.flatnonzero(~fixed)
        if not self.held:  # what the mean of the source brings has no solution
            one = self._ones().ravel()
            load -= one * (load.sum() / one.sum())
        right = (load - matrix @ solution)[free]
        solution[free] = _solved(matrix[free][:, free], right, free=not self.held)
        if not self.held:  # the basis functions sum to one, so that a constant has the same coefficients
            solution -= self._means(solution)
        knots = tuple(axis.knots for axis in self.axes)
        return SmoothField(
            knots=knots, coefficients=solution.reshape(*self.shape, self.fields), degree=self.axes[0].degree
        )

    def _ones(self) -> Array:
        """The integrals of the basis functions."""
        return self._load(lambda x: np.ones((self.fields, x.shape[1])))

    def _means(self, solution: Array) -> Array:
        """Means of the fields, in the order of the unknowns."""
        weights = self._ones().reshape(-1, self.fields)
        means = np.sum(weights * solution.reshape(-1, self.fields), axis=0) / weights.sum(axis=0)
        return np.tile(means, len(weights))

    def _stiffness(self) -> Any:
        m, d = self.fields, len(self.axes)
        products = []
        for axis in self.axes:
            weights, tables = scipy.sparse.diags_array(axis.quadrature()[1]), axis.tables()
            products.append([[(one.T @ weights @ other).tocsr() for other in tables] for one in tables])
        whole = None
        for i, j in itertools.product(range(d), repeat=2):
            block = self.tensor[:, i, :, j]
            if not block.any():
                continue
            parts = [products[k][int(k == i)][int(k == j)] for k in range(d)]
            term = scipy.sparse.kron(functools.reduce(scipy.sparse.kron, parts), block)
            whole = term if whole is None else whole + term
        assert whole is not None  # the tensor is positive definite
        assert whole.shape[0] == m * np.prod(self.shape)
        return whole.tocsr()

    def _load(self, source: Values) -> Array:
        """The integrals of the source times each basis function, shape (n_1, ..., n_d, m)."""
        rules = [axis.quadrature() for axis in self.axes]
        grid = np.meshgrid(*(points for points, _ in rules), indexing="ij")
        values = np.asarray(source(np.stack([x.ravel() for x in grid])))
        load = np.moveaxis(values.reshape(self.fields, *grid[0].shape), 0, -1)
        for k, (axis, (_, weights)) in enumerate(zip(self.axes, rules, strict=True)):
            table = (axis.tables()[0].T * weights).toarray()
            load = np.moveaxis(np.tensordot(table, load, axes=(1, k)), 0, k)
        return np.asarray(load)

    def _trace(self, axis: int, end: int, values: Values) -> Array:
        """Coefficients of the splines on a side that take the values at its Greville points."""
        others = [one for k, one in enumerate(self.axes) if k != axis]
        grid = np.meshgrid(*(one.greville() for one in others), indexing="ij")
        points = np.stack([x.ravel() for x in grid])
        points = np.insert(points, axis, end * self.axes[axis].length, axis=0)
        found = np.moveaxis(np.asarray(values(points)).reshape(self.fields, *grid[0].shape), 0, -1)
        for k, one in enumerate(others):
            basis = scipy.interpolate.BSpline(one.knots, np.eye(one.size), one.degree)(one.greville())
            found = np.moveaxis(np.linalg.solve(basis, np.moveaxis(found, k, 0).reshape(one.size, -1))
                                .reshape(np.moveaxis(found, k, 0).shape), 0, k)  # fmt: skip
        return np.asarray(found)


def _solved(matrix: Any, right: Array, *, free: bool) -> Array:
    """Return the solution of a symmetric system; with ``free`` constants are its kernel, and the solution has none."""
    parts = (matrix.indptr.astype(PETSc.IntType), matrix.indices.astype(PETSc.IntType), matrix.data)
    made = PETSc.Mat().createAIJ(matrix.shape, csr=parts, comm=MPI.COMM_SELF)
    x, b = made.createVecs()
    b.array[:] = right
    kernel = []
    if free:
        kernel = [made.createVecRight()]
        kernel[0].set(1.0)
        kernel[0].normalize()
    solver = LinearSolver(made, preconditioner="direct", rtol=1e-12, kernel=kernel, name="homogenized problem")
    if b.norm() > 0.0:
        solver.solve(b, x)
    values = x.array_r.copy()
    solver.destroy()
    for thing in (made, x, b, *kernel):
        thing.destroy()
    return np.asarray(values)
