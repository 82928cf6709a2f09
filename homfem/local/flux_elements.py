"""Element matrices of the flux problem of :mod:`homfem.local.flux`, and the fields of a multiplier."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from dolfinx import fem
from mpi4py import MPI

from homfem import _dolfinx, solve
from homfem.cells.unitcell import UnitCell
from homfem.parameters import Array

Indices = npt.NDArray[np.int64]
_BLOCK = 20000  # mesh cells per pass of the element matrices, so that their temporaries stay small


class FluxElements:
    """Element matrices of all owned cells, and what gives the flux back."""

    def __init__(self, cell: UnitCell, coefficient: fem.Function, order: Indices) -> None:
        d = cell.dimension
        self.cell, self.d = cell, d
        count = len(order)
        self._nodes = cell.mesh.geometry.x[_dolfinx.geometry_dofmap(cell.mesh)[:count, : d + 1]][:, :, :d]
        values = coefficient.x.array.reshape(len(cell.phase_of_cell), -1)[:count]
        tensors = values[:, :, None] * np.eye(d) if values.shape[1] == 1 else values.reshape(-1, d, d)
        self._inverse = np.linalg.inv(tensors)
        # The energy does not feel a constant, but its digits do: x counts from a corner of the cell.
        origin = np.empty(d)
        cell.comm.Allreduce(self._nodes.min(axis=(0, 1), initial=np.inf), origin, op=MPI.MIN)
        #: The trace of x on the facets of each cell, from the cell's own side (it jumps across the period): (m, k, d).
        self.trace = np.take_along_axis(self._nodes, order.reshape(count, -1, 1), axis=1) - origin
        size = (d + 1) * d
        self.stiffness = np.empty((count, size, size))
        self._lift = np.empty((count, d + d * d - 1, size))
        self.trace_of = np.empty(count)
        self.weight = 0.0
        for begin in range(0, count, _BLOCK):
            self._fill(slice(begin, min(begin + _BLOCK, count)), order)

    def _fields(self, part: slice) -> tuple[Array, Array]:
        """The basis at the vertices, shape (m, fields, d + 1, d), and the volumes."""
        d, nodes = self.d, self._nodes[part]
        edges = nodes[:, 1:] - nodes[:, :1]
        volume = np.abs(np.linalg.det(edges)) / (2.0 if d == 2 else 6.0)
        size = volume ** (1.0 / d)
        local = (nodes - nodes.mean(axis=1, keepdims=True)) / size[:, None, None]
        gradients = _traceless(d)
        constant = np.broadcast_to(np.eye(d)[:, None, :], (len(nodes), d, d + 1, d))
        linear = local[:, None] @ gradients.transpose(0, 2, 1)
        return np.concatenate([constant, linear], axis=1), volume

    def _fill(self, part: slice, order: Indices) -> None:
        d = self.d
        fields, volume = self._fields(part)
        nodes, inverse, order = self._nodes[part], self._inverse[part], order[part]
        # Mass of linear fields from their values at the vertices: |K|/((d+1)(d+2)) (sum_v a_v.b_v + sum a . sum b).
        weighted = fields @ inverse[:, None]
        total, weighted_total = fields.sum(axis=2), weighted.sum(axis=2)
        count, number = fields.shape[:2]
        mass = fields.reshape(count, number, -1) @ weighted.reshape(count, number, -1).transpose(0, 2, 1)
        mass += total @ weighted_total.transpose(0, 2, 1)
        mass *= (volume / ((d + 1) * (d + 2)))[:, None, None]
        # Facet k is opposite to vertex k: its outward area vector is -d |K| grad of the barycentric coordinate.
        edges = nodes[:, 1:] - nodes[:, :1]
        gradient = np.linalg.inv(edges).transpose(0, 2, 1)
        gradient = np.concatenate([-gradient.sum(axis=1, keepdims=True), gradient], axis=1)
        area = -d * volume[:, None, None] * gradient
        through = (fields @ area.transpose(0, 2, 1)[:, None]).transpose(0, 1, 3, 2)
        at_facet = np.take_along_axis(through, order[:, None], axis=3)
        moments = (at_facet + at_facet.sum(axis=3, keepdims=True)) / (d * (d + 1))
        moments = moments.reshape(count, number, -1)
        lift = np.linalg.solve(mass, moments)
        stiffness = moments.transpose(0, 2, 1) @ lift
        self._lift[part], self.stiffness[part] = lift, stiffness
        size = stiffness.shape[1]
        self.trace_of[part] = np.trace(stiffness, axis1=1, axis2=2)
        pseudo = np.linalg.inv(stiffness + self.trace_of[part, None, None] / size**2)
        self.weight += float(4.0 * np.einsum("mii->mi", pseudo).max(axis=1).sum())

    def flux(self, multiplier: Array, name: str) -> fem.Function:
        """The flux of a multiplier, its load's trace included, as a discontinuous linear function on the torus."""
        mesh, d = self.cell.mesh, self.d
        space = solve.function_space(mesh, "DG", 1, (d,))
        function = fem.Function(space, name=name)
        values = function.x.array.reshape(-1, d)
        coefficients = (self._lift @ multiplier[:, :, None])[:, :, 0]
        for begin in range(0, len(coefficients), _BLOCK):
            part = slice(begin, min(begin + _BLOCK, len(coefficients)))
            fields, _ = self._fields(part)
            combined = coefficients[part][:, None] @ fields.reshape(len(fields), fields.shape[1], -1)
            values[space.dofmap.list[part]] = combined.reshape(-1, d + 1, d)
        function.x.scatter_forward()
        return function


def _traceless(d: int) -> Array:
    """A basis of the d x d matrices without trace, shape (d^2 - 1, d, d)."""
    matrices = []
    for i in range(d):
        for j in range(d):
            if i != j:
                matrices.append(np.outer(np.eye(d)[i], np.eye(d)[j]))
    for i in range(d - 1):
        matrices.append(np.diag(np.eye(d)[i] - np.eye(d)[i + 1]))
    return np.array(matrices)
