r"""Fluxes on one simplex with a given divergence, and their element matrices: parts of :mod:`homfem.local.equilibrium`.

On the reference simplex :math:`\hat K` the fields are the vector polynomials :math:`\hat q` of degree m whose normal
component is linear on each facet. Piola's map :math:`q=J\hat q/|\det J|` takes them to K and keeps this, the moments on
facets and those of the divergence, so that with a basis of them

.. math:: C_{ia}=\int_{\partial\hat K}\hat q_i\cdot\hat n\,\mu_a ,\qquad B_{ki}=\int_{\hat K}\psi_k\,\nabla\cdot\hat q_i

are the same on every K (:math:`\mu_a`: linear functions of a facet, :math:`\psi_k`: an orthonormal basis of degree
m - 1). The columns of Z span the fields without divergence, :math:`BP=I`. Only the energy knows of K,

.. math:: A=\int_K q_i\cdot D^{-1}q_j=\sum_{ab}\frac{(J^TD^{-1}J)_{ab}}{|\det J|}\int_{\hat K}\hat q_{i,a}\hat q_{j,b} ,

and with :math:`H=Z(Z^TAZ)^{-1}Z^T` the field with the moments b of its divergence that minimises
:math:`c^TAc-2\,c\cdot(C\mu+l)` is :math:`c=Pb+H(C\mu+l-APb)`.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import basix
import numpy as np
import numpy.typing as npt
import ufl
from dolfinx import fem

from homfem import _dolfinx, solve
from homfem.brackets import symmetric
from homfem.cells.unitcell import UnitCell
from homfem.parameters import Array

_CELLS = {1: basix.CellType.interval, 2: basix.CellType.triangle, 3: basix.CellType.tetrahedron}
_ALL = (basix.LatticeType.equispaced, True)
_BLOCK = 10000  # mesh cells per pass, so that the temporaries stay small


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class ReferenceFluxes:
    """The fields on the reference simplex, in an orthonormal basis; n of them.

    Parameters
    ----------
    degree
        m.
    fields : array, shape (n, d, polynomials)
        Their coefficients in the orthonormal polynomials of degree m.
    products : array, shape (d, d, n, n)
        Integrals of the products of their components.
    traces : array, shape (n, (d + 1) d)
        C: facet k is opposite to corner k, with its corners in ascending order.
    kernel : array, shape (n, z)
        Z.
    lifting : array, shape (n, moments)
        P, of the smallest norm.
    largest
        The largest value of a component of the fields at the nodes.
    """

    degree: int
    fields: Array
    products: Array
    traces: Array
    kernel: Array
    lifting: Array
    largest: float


def polynomials(d: int, degree: int, points: Array, derivatives: int = 0) -> Array:
    """Return the orthonormal polynomials of the reference simplex at points, shape (1 or 1 + d, points, count)."""
    variant = basix.LagrangeVariant.legendre
    element = basix.create_element(basix.ElementFamily.P, _CELLS[d], degree, variant, discontinuous=True)
    return np.asarray(element.tabulate(derivatives, points)[:, :, :, 0])


@functools.cache
def reference_fluxes(d: int, degree: int) -> ReferenceFluxes:
    """Return the fields of a degree m >= 1 on the reference simplex."""
    count = polynomials(d, degree, np.zeros((1, d))).shape[2]
    corners = np.vstack([np.zeros(d), np.eye(d)])
    at, weights = basix.make_quadrature(_CELLS[d - 1], 2 * degree + 1)
    hats = np.column_stack([1.0 - at.sum(axis=1), at])
    along = polynomials(d - 1, degree, at)[0][:, d:]  # those of degree two and more
    linear, higher = [], []
    for k in range(d + 1):
        # The length of the normal is the area of the facet over that of the reference one.
        through = polynomials(d, degree, hats @ np.delete(corners, k, axis=0))[0]
        flow = (_normals(d)[k][:, None, None] * through.T[None] * weights).reshape(d * count, -1)
        linear.append(flow @ hats)
        higher.append(flow @ along)
    fields = _null_space(np.hstack(higher).T).T
    volume, weights = basix.make_quadrature(_CELLS[d], 2 * degree)
    table = polynomials(d, degree, volume, 1)
    below = polynomials(d, degree - 1, volume)[0]
    divergence = np.concatenate([(table[1 + a].T * weights) @ below for a in range(d)])
    matrix = (fields @ divergence).T
    shaped = fields.reshape(len(fields), d, count)
    return ReferenceFluxes(
        degree=degree,
        fields=shaped,
        products=np.einsum("iak,jbk->abij", shaped, shaped),
        traces=fields @ np.hstack(linear),
        kernel=_null_space(matrix),
        lifting=np.linalg.pinv(matrix),
        largest=float(
            np.abs(shaped @ polynomials(d, degree, basix.create_lattice(_CELLS[d], degree, *_ALL))[0].T).max()
        ),
    )


class Moments:
    """Integrals of a form over each owned mesh cell with the orthonormal polynomials of the reference simplex.

    Parameters
    ----------
    cell
        Of straight simplices.
    degree
        Of the polynomials.
    name, build
        Names the formula, and returns the form for a test function.
    functions, constants
        What is in it.
    vector
        Whether the test function is a vector.
    """

    def __init__(
        self,
        cell: UnitCell,
        degree: int,
        name: str,
        build: Callable[[Any], ufl.Form],
        functions: Sequence[fem.Function],
        constants: Sequence[fem.Constant] = (),
        vector: bool = False,
    ) -> None:
        shape = (cell.dimension,) if vector else ()
        space = solve.function_space(cell.mesh, "DG", degree, shape)
        terminals = solve.Terminals(mesh=cell.mesh, spaces=[space], functions=functions, constants=constants)
        self._form = solve.compile_formula(
            ("moments", name, degree, vector), lambda: build(ufl.TestFunction(space)), terminals
        )
        self._places = space.dofmap.list[: cell.mesh.topology.index_map(cell.dimension).size_local]
        self._block = space.dofmap.bs
        self._values = polynomials(cell.dimension, degree, _dolfinx.interpolation_points(space))[0]

    def __call__(self) -> Array:
        """Assemble; shape (m, polynomials), of vectors (m, d, polynomials). Collective."""
        vector = solve.assemble_vector(self._form)
        nodal = vector.array_r.reshape(-1, self._block)[self._places]
        vector.destroy()
        found = np.swapaxes(nodal, 1, 2) @ self._values
        return found if self._block > 1 else found[:, 0]


def _normals(d: int) -> Array:
    """Outward normals of the facets of the reference simplex, as long as a facet is large beside the reference one."""
    return np.vstack([np.ones(d), -np.eye(d)])


def facet_fluxes(elements: EquilibriumElements, nodal: Array, nodes: Array, degree: int) -> Array:
    """Return what flows out through the facets, shape (m, d + 1, loads), of polynomials of a degree.

    Parameters
    ----------
    nodal : array, shape (m, nodes, d, loads)
        Their values at the points ``nodes`` of the reference simplex.
    """
    d = elements.d
    corners = np.vstack([np.zeros(d), np.eye(d)])
    at, weights = basix.make_quadrature(_CELLS[d - 1], degree)
    hats = np.column_stack([1.0 - at.sum(axis=1), at])
    back = np.linalg.inv(polynomials(d, degree, nodes)[0])
    rules = [weights @ polynomials(d, degree, hats @ np.delete(corners, k, axis=0))[0] @ back for k in range(d + 1)]
    pulled = np.einsum("mab,mxbj->mxaj", np.linalg.inv(elements.jacobian), nodal)
    found = np.einsum("ka,kx,mxaj->mkj", _normals(d), np.array(rules), pulled, optimize=True)
    return np.asarray(found * elements.determinant[:, None, None])


def _null_space(matrix: Array) -> Array:
    """Orthonormal columns that span the kernel of a matrix."""
    if not matrix.size:
        return np.eye(matrix.shape[1])
    _, sizes, axes = np.linalg.svd(matrix)
    return np.asarray(axes[int(np.sum(sizes > 1e-10 * sizes[0])) :].T)


class EquilibriumElements:
    """Element matrices of all owned cells, and the fields of given multipliers.

    Parameters
    ----------
    cell
        A cell of straight simplices.
    coefficient
        D, constant on each mesh cell.
    degree
        m, of the fields; their divergence has one degree less.
    order : array, shape (m, d + 1, d)
        For each cell and facet its corners in the order of the unknowns.
    """

    def __init__(self, cell: UnitCell, coefficient: fem.Function, degree: int, order: npt.NDArray[np.int64]) -> None:
        d, count = cell.dimension, len(order)
        self.cell, self.d, self.reference = cell, d, reference_fluxes(d, degree)
        nodes = cell.mesh.geometry.x[_dolfinx.geometry_dofmap(cell.mesh)[:count, : d + 1]][:, :, :d]
        #: J, edges from the first corner as columns, and its determinant's absolute value.
        self.jacobian = np.swapaxes(nodes[:, 1:] - nodes[:, :1], 1, 2)
        self.determinant = np.abs(np.linalg.det(self.jacobian))
        values = coefficient.x.array.reshape(len(cell.phase_of_cell), -1)[:count]
        tensors = values[:, :, None] * np.eye(d) if values.shape[1] == 1 else values.reshape(-1, d, d)
        self._metric = np.einsum("mia,mij,mjb->mab", self.jacobian, np.linalg.inv(tensors), self.jacobian)
        self._metric /= self.determinant[:, None, None]
        # The facet k leaves out the corner k.
        place = order - (order > np.arange(d + 1)[:, None])
        of_facet = d * np.arange(d + 1)[:, None]
        #: Of each unknown of a cell its place in the order of the reference, and the other way round.
        self._place = (of_facet + place).reshape(count, -1)
        self._back = np.argsort(self._place, axis=1)
        size = (d + 1) * d
        self.stiffness = np.empty((count, size, size))
        self.trace_of = np.empty(count)
        self.weight = 0.0
        for part in self._parts():
            _, solved = self._matrices(part)
            own = self.reference.traces.T @ solved @ self.reference.traces
            ordered = np.take_along_axis(own, self._place[part][:, :, None], axis=1)
            self.stiffness[part] = np.take_along_axis(ordered, self._place[part][:, None, :], axis=2)
            self.trace_of[part] = np.trace(own, axis1=1, axis2=2)
            pseudo = np.linalg.inv(own + self.trace_of[part, None, None] / size**2)
            self.weight += float(4.0 * np.einsum("mii->mi", pseudo).max(axis=1).sum())

    def _parts(self) -> Iterator[slice]:
        count = len(self.determinant)
        return (slice(begin, min(begin + _BLOCK, count)) for begin in range(0, count, _BLOCK))

    def _matrices(self, part: slice) -> tuple[Array, Array]:
        """A and H of the mesh cells of a part."""
        kernel = self.reference.kernel
        energy = np.tensordot(self._metric[part], self.reference.products, axes=2)
        return energy, kernel @ np.linalg.solve(
            kernel.T @ energy @ kernel, np.broadcast_to(kernel.T, (len(energy), *kernel.T.shape))
        )

    def areas(self) -> Array:
        """Return the areas of the facets opposite to the corners, shape (m, d + 1)."""
        slopes = np.linalg.inv(self.jacobian)
        slopes = np.concatenate([-slopes.sum(axis=1, keepdims=True), slopes], axis=1)
        return np.linalg.norm(slopes, axis=2) * self.determinant[:, None] / math.factorial(self.d - 1)

    def work(self, moments: Array) -> Array:
        r"""Return :math:`l_i=\int_Kw\cdot q_i`.

        Parameters
        ----------
        moments : array, shape (m, d, polynomials, loads)
            Integrals over K of the components of w with the orthonormal polynomials of the reference simplex.
        """
        pulled = np.einsum("mab,makj->mbkj", self.jacobian, moments) / self.determinant[:, None, None, None]
        return np.einsum("nbk,mbkj->mnj", self.reference.fields, pulled, optimize=True)

    def work_of_constants(self) -> Array:
        r"""Return :math:`l_i=\int_Kw\cdot q_i` of the unit vectors w, shape (m, n, d)."""
        first = self.reference.fields[:, :, 0] * polynomials(self.d, 0, np.zeros((1, self.d)))[0, 0, 0] ** -1
        return np.einsum("nb,mab->mna", first, self.jacobian)

    def fluxes(self, multiplier: Array | None, divergence: Array, work: Array) -> Array:
        """Return the coefficients of the fields, shape (m, n, loads).

        Parameters
        ----------
        multiplier : array, shape (m, k, loads)
            In the order of the unknowns; none for zeros.
        divergence : array, shape (m, moments, loads)
            b.
        work : array, shape (m, n, loads)
            l.
        """
        found = np.empty_like(work)
        for part in self._parts():
            energy, solved = self._matrices(part)
            given = self.reference.lifting @ divergence[part]
            force = work[part] - energy @ given
            if multiplier is not None:
                mine = np.take_along_axis(multiplier[part], self._back[part][:, :, None], axis=1)
                force = force + self.reference.traces @ mine
            found[part] = given + solved @ force
        return found

    def outflow(self, fluxes: Array) -> Array:
        r"""Return the moments :math:`C^Tc` on the facets in the order of the unknowns, shape (m, k, loads)."""
        return np.take_along_axis(self.reference.traces.T @ fluxes, self._place[:, :, None], axis=1)

    def linear_fields(self, moments: Array) -> Array:
        """Return fields of degree 1 of given moments on the facets, in the order of the unknowns: (m, n, loads)."""
        mine = np.take_along_axis(moments, self._back[:, :, None], axis=1)
        return np.linalg.inv(reference_fluxes(self.d, 1).traces.T) @ mine

    def energies(self, fluxes: Array) -> tuple[Array, Array]:
        """Return the sums over the owned cells of the energies (loads, loads), and of ``tr(A) |c|^2`` (loads,)."""
        loads = fluxes.shape[2]
        energy, size = np.zeros((loads, loads)), np.zeros(loads)
        for part in self._parts():
            matrix = np.tensordot(self._metric[part], self.reference.products, axes=2)
            energy += np.einsum("mij,mik->jk", fluxes[part], matrix @ fluxes[part], optimize=True)
            size += np.einsum("mii->m", matrix) @ (fluxes[part] ** 2).sum(axis=1)
        return symmetric(energy), size

    def function(self, fluxes: Array, name: str) -> fem.Function:
        """Return one field, of coefficients (m, n), as a discontinuous function of degree m on the torus."""
        mesh, d = self.cell.mesh, self.d
        space = solve.function_space(mesh, "DG", self.reference.degree, (d,))
        function = fem.Function(space, name=name)
        table = polynomials(d, self.reference.degree, _dolfinx.interpolation_points(space))[0]
        at_nodes = np.einsum("nak,xk->nxa", self.reference.fields, table)
        values = function.x.array.reshape(-1, d)
        for part in self._parts():
            own = np.tensordot(fluxes[part], at_nodes, axes=1)
            own = np.einsum("mab,mxb->mxa", self.jacobian[part], own) / self.determinant[part, None, None]
            values[space.dofmap.list[: len(fluxes)][part]] = own
        function.x.scatter_forward()
        return function
