"""Element matrices of the stress problem of :mod:`homfem.local.stress`, and the fields of a multiplier."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from dolfinx import fem
from mpi4py import MPI
from petsc4py import PETSc

from homfem import _dolfinx, solve
from homfem.brackets import EPS
from homfem.cells.unitcell import UnitCell
from homfem.local.allowance import Spread
from homfem.local.facets import FacetUnknowns
from homfem.local.johnson_mercier import reference
from homfem.local.roundoff import STEPS
from homfem.parameters import Array
from homfem.stiffness import PAIRS, basis, voigt_to_mandel

_BLOCK = 4000  # mesh cells per pass of the element matrices, so that their temporaries stay small
#: Mesh cells whose map from the reference simplex has a larger condition number (Frobenius norms) are flat.
FLAT = 30.0


@dataclass(frozen=True, slots=True, eq=False)
class Recovered:
    """What :meth:`StressElements.recover` gives.

    Stresses, their energies by mesh cell and of all cells together, their reactions (m, unknowns, loads), and the error
    that round-off may leave in the energies and in a residual.
    """

    functions: tuple[fem.Function, ...]
    energies: Array
    energy: Array
    reaction: Array
    error: Array
    hidden: Array


@dataclass(frozen=True, slots=True, eq=False)
class _Local:
    r"""Some mesh cells: F, |det F|, Piola map, the energy A of the fields over |det F|, and the lift A^-1 M of moments.

    Of a cell a times as long as high the energies of the fields span a^4, and A keeps nothing of the small ones beyond
    a = 1e4. Those of the ``flat`` cells come from singular values of the fields themselves, which span a^2:
    :math:`A=V\Sigma^2V^T` with ``axes`` V and ``values`` :math:`\Sigma`, ``rooted`` :math:`\Sigma^{-1}V^TM`.
    """

    gradient: Array
    determinant: Array
    piola: Array
    energy: Array
    lift: Array
    flat: npt.NDArray[np.int64]
    axes: Array
    values: Array
    rooted: Array

    def stiffness(self, moments: Array) -> Array:
        """The matrices S of the unknowns."""
        count, d, _ = self.gradient.shape
        unknowns = moments.shape[1]
        turned = self.gradient.transpose(0, 2, 1)
        half = (moments.T @ self.lift).reshape(count, -1, d) @ (self.determinant[:, None, None] * turned)
        result = (self.gradient[:, None] @ half.reshape(count, -1, d, unknowns)).reshape(count, unknowns, unknowns)
        if len(self.flat):
            root = (self.rooted.reshape(len(self.flat), -1, d) @ turned[self.flat]).reshape(self.rooted.shape)
            result[self.flat] = root.transpose(0, 2, 1) @ root * self.determinant[self.flat, None, None]
        return np.asarray(result)

    def solve(self, pulled: Array) -> tuple[Array, Array]:
        """The fields of multipliers, pulled back to the reference simplex, and their energies (m, loads, loads)."""
        fields = self.lift @ pulled
        energies = fields.transpose(0, 2, 1) @ (self.energy @ fields)
        if len(self.flat):
            root = self.rooted @ pulled[self.flat]
            fields[self.flat] = self.axes @ (root / self.values[:, :, None])
            energies[self.flat] = root.transpose(0, 2, 1) @ root
        return fields, energies * self.determinant[:, None, None]


class StressElements:
    """Element matrices of all owned cells, block by block, and what gives the stress back.

    Local unknowns are in the order of the vertices' global numbers, in which the neighbours agree.
    """

    def __init__(
        self, cell: UnitCell, coefficient: fem.Function, number: FacetUnknowns, spread: Spread, along: list[int]
    ) -> None:
        d = cell.dimension
        self.cell, self.number, self.d, self.spread = cell, number, d, spread
        self.reference = reference(d)
        count = number.owned_cells
        self.permutation = np.argsort(cell.periodic_mesh.input_vertex[:count], axis=1)
        nodes = cell.mesh.geometry.x[_dolfinx.geometry_dofmap(cell.mesh)[:count, : d + 1]][:, :, :d]
        # The energy does not feel a constant, but its digits do: x counts from a corner of the cell.
        origin = np.empty(d)
        cell.comm.Allreduce(nodes.min(axis=(0, 1), initial=np.inf), origin, op=MPI.MIN)
        self.nodes = np.take_along_axis(nodes, self.permutation[:, :, None], axis=1) - origin
        rows = number.rows.reshape(count, d + 1, d * d)
        self.rows = np.take_along_axis(rows, self.permutation[:, :, None], axis=1).reshape(count, -1)
        size = len(PAIRS[d])
        weights = voigt_to_mandel(np.ones((size, size)))
        values = coefficient.x.array.reshape(-1, size, size)[:count]
        self.compliance = np.linalg.inv(values * weights)
        strains = basis(d)
        strains[d:] *= math.sqrt(0.5)  # unit engineering shear
        opposite = np.array([[v for v in range(d + 1) if v != f] for f in range(d + 1)])
        #: The trace of E x on the facets of each cell, from the cell's own side: (m, unknowns, loads).
        self.trace = np.einsum("mfaj,lij->mfail", self.nodes[:, opposite], strains[along]).reshape(
            count, -1, len(along)
        )
        self.opposite = opposite
        self._kept: tuple[slice, _Local] | None = None

    def _blocks(self) -> Iterator[slice]:
        for begin in range(0, len(self.nodes), _BLOCK):
            yield slice(begin, min(begin + _BLOCK, len(self.nodes)))

    def _map(self, part: slice) -> tuple[Array, Array, Array]:
        """The gradient F of the map from the reference simplex, |det F|, and the Mandel matrix of its Piola map."""
        nodes = self.nodes[part]
        gradient = (nodes[:, 1:] - nodes[:, :1]).transpose(0, 2, 1)
        matrices = basis(self.d)
        # For each b the matrix F B_b F^T, and its product with each A_a.
        pushed = gradient[:, None] @ matrices @ gradient.transpose(0, 2, 1)[:, None]
        flat = matrices.reshape(len(matrices), -1)
        piola = flat @ pushed.reshape(len(nodes), len(matrices), -1).transpose(0, 2, 1)
        return gradient, np.abs(np.linalg.det(gradient)), piola

    def _local(self, part: slice) -> _Local:
        """Of the last block it is kept: a small cell has no other one."""
        if self._kept is None or part != self._kept[0]:
            self._kept = (part, self._made(part))
        return self._kept[1]

    def _made(self, part: slice) -> _Local:
        gradient, determinant, piola = self._map(part)
        r, size = self.reference, len(PAIRS[self.d])
        fields = len(r.stress)
        pulled = piola.transpose(0, 2, 1) @ self.compliance[part] @ piola
        energy = (pulled.reshape(-1, size * size) @ r.energy.reshape(size * size, -1)).reshape(-1, fields, fields)
        moments = r.moments.reshape(1, fields, -1)
        condition = np.linalg.norm(gradient, axis=(1, 2)) * np.linalg.norm(np.linalg.inv(gradient), axis=(1, 2))
        flat = np.flatnonzero(condition > FLAT)
        # C^-1 = G^T G; the fields at the nodes, weighted so that their squares sum up to their energy.
        factor = np.linalg.cholesky(self.compliance[part][flat]).transpose(0, 2, 1) @ piola[flat]
        weighted = r.weighted.reshape(fields, -1, size)
        at_nodes = (weighted @ factor.transpose(0, 2, 1)[:, None]).reshape(len(flat), fields, weighted[0].size)
        triangles = np.linalg.qr(at_nodes.transpose(0, 2, 1), mode="r")
        _, values, axes = np.linalg.svd(triangles)
        rooted = (axes @ moments) / values[:, :, None]
        lift = np.asarray(np.linalg.solve(energy, moments))
        return _Local(gradient, determinant, piola, energy, lift, flat, axes.transpose(0, 2, 1), values, rooted)

    def assemble(self) -> tuple[PETSc.Mat, list[PETSc.Vec], Array, float]:
        """The matrix, the right-hand sides, the energy of the traces, and the factor of the allowance; collective."""
        d, loads = self.d, self.trace.shape[2]
        moments = self.reference.moments.reshape(len(self.reference.stress), -1)
        unknowns = moments.shape[1]
        at_node = moments.reshape(len(moments), -1, d)
        matrix = self.number.empty_matrix()
        reaction = np.zeros((len(self.nodes), unknowns, loads))
        weights = np.zeros(len(self.nodes))
        self.trace_of = np.zeros(len(self.nodes))
        for part in self._blocks():
            local = self._local(part)
            gradient, determinant, energy = local.gradient, local.determinant, local.energy
            count = len(gradient)
            stiffness = local.stiffness(moments)
            stiffness = _still(0.5 * (stiffness + stiffness.transpose(0, 2, 1)), d)
            rows = self.rows[part]
            matrix.setValuesRCV(rows, rows, stiffness, addv=PETSc.InsertMode.ADD_VALUES)
            reaction[part] = stiffness @ self.trace[part]
            self.trace_of[part] = np.trace(stiffness, axis1=1, axis2=2)
            # A generalised inverse of the element matrix, block by block of its diagonal.
            image = (energy @ moments).reshape(count, len(moments), -1, d)
            inner = np.einsum("kni,mknj->mnij", at_node, image)
            back = np.linalg.inv(gradient)
            metric = back @ back.transpose(0, 2, 1)
            trace = np.einsum("mij,mnij->mn", metric, inner) / determinant[:, None]
            slope = 1.0 + self.spread.diameter * self._slopes(part)
            weights[part] = 4.0 * slope**2 * trace.max(axis=1)
        matrix.assemble()
        comm = self.cell.comm
        sides = [self.number.vector(-reaction[:, :, j], self.rows) for j in range(loads)]
        total = comm.allreduce(np.tensordot(self.trace, reaction, axes=((0, 1), (0, 1))), op=MPI.SUM)
        return matrix, sides, total, self.spread.factor(weights)

    def _slopes(self, part: slice) -> Array:
        """For each cell the largest sum of the reciprocal heights of a facet."""
        points = self.nodes[part][:, self.opposite]
        pairs = itertools.combinations(range(self.d), 2)
        edges = np.stack([points[:, :, a] - points[:, :, b] for a, b in pairs], axis=2)
        lengths = np.linalg.norm(edges, axis=3)
        if self.d == 2:
            return np.asarray((2.0 / lengths[:, :, 0]).max(axis=1))
        double_area = np.linalg.norm(np.cross(edges[:, :, 0], edges[:, :, 1]), axis=2)
        return np.asarray((lengths.sum(axis=2) / double_area).max(axis=1))

    def recover(self, multipliers: Array) -> Recovered:
        """The stresses as linear functions on each mesh cell, with their energies and reactions; collective.

        ``multipliers[k, :, j]`` are the unknowns of mesh cell k for load j, in the order of its facets.
        """
        mesh, d = self.cell.mesh, self.d
        size, loads = len(PAIRS[d]), multipliers.shape[2]
        space = solve.function_space(mesh, "DG", 1, (size,))
        functions = tuple(fem.Function(space, name=f"stress_{j + 1}") for j in range(loads))
        weights = np.array([1.0] * d + [math.sqrt(0.5)] * (size - d))
        local = self._strained(self._sorted(multipliers) + self.trace)
        energies = np.zeros((len(self.nodes), loads, loads))
        reaction = np.zeros_like(local)
        r = self.reference
        fields = len(r.stress)
        moments = r.moments.reshape(fields, -1)
        for part in self._blocks():
            own = self._local(part)
            gradient, determinant = own.gradient, own.determinant
            count = len(gradient)
            pulled = gradient.transpose(0, 2, 1)[:, None] @ local[part].reshape(count, -1, d, loads)
            coefficients, energies[part] = own.solve(pulled.reshape(count, -1, loads))
            pushed = (moments.T @ coefficients).reshape(count, -1, d, loads) * determinant[:, None, None, None]
            reaction[part] = (gradient[:, None] @ pushed).reshape(count, -1, loads)
            nodal = (coefficients.transpose(0, 2, 1) @ r.linear.reshape(fields, -1)).reshape(count, loads, d + 1, size)
            nodal = (nodal @ own.piola.transpose(0, 2, 1)[:, None]) * weights
            dofs = np.take_along_axis(space.dofmap.list[part], self.permutation[part], axis=1)
            for j, function in enumerate(functions):
                function.x.array.reshape(-1, size)[dofs] = nodal[:, j]
        for function in functions:
            function.x.scatter_forward()
        absolute = math.sqrt(local.shape[1]) * (self.trace_of @ np.abs(local).sum(axis=1))
        sums = np.concatenate([energies.sum(axis=0), [self.trace_of @ (local**2).sum(axis=1), absolute]])
        sums = self.cell.comm.allreduce(sums, op=MPI.SUM)
        energy = 0.5 * (sums[:loads] + sums[:loads].T)
        error, hidden = STEPS * EPS * sums[loads:]
        return Recovered(functions, np.einsum("mll->ml", energies), energy, reaction, error, hidden)

    def _strained(self, values: Array) -> Array:
        """Values at the nodes of the facets of each cell, (m, unknowns, loads), less the nearest rigid motion."""
        d, count = self.d, len(values)
        points = self.nodes[:, self.opposite].reshape(count, -1, d)
        points = points - points.mean(axis=1, keepdims=True)
        values = values.reshape(count, points.shape[1], d, -1)
        values = values - values.mean(axis=1, keepdims=True)
        squares = (points**2).sum(axis=(1, 2))
        spins = [(i, j) for i in range(d) for j in range(i)]
        turns = np.stack(
            [points[:, :, i, None] * values[:, :, j] - points[:, :, j, None] * values[:, :, i] for i, j in spins],
            axis=2,
        ).sum(axis=1)
        gram = points.transpose(0, 2, 1) @ points
        # The rotation W with W x = sum_ij w_ij (x_i e_j - x_j e_i): its normal equations.
        matrix = np.zeros((count, len(spins), len(spins)))
        for a, (i, j) in enumerate(spins):
            for b, (k, m) in enumerate(spins):
                matrix[:, a, b] = (
                    (j == m) * gram[:, i, k]
                    - (j == k) * gram[:, i, m]
                    - (i == m) * gram[:, j, k]
                    + (i == k) * gram[:, j, m]
                )
        spin = np.linalg.solve(matrix + 1e-14 * squares[:, None, None] * np.eye(len(spins)), turns)
        for a, (i, j) in enumerate(spins):
            values[:, :, j] -= points[:, :, i, None] * spin[:, a, None]
            values[:, :, i] += points[:, :, j, None] * spin[:, a, None]
        return np.asarray(values.reshape(count, -1, values.shape[3]))

    def _sorted(self, values: Array) -> Array:
        """Unknowns of each cell, from the order of its facets to that of the vertices' numbers."""
        apart = values.reshape(len(values), self.d + 1, -1)
        return np.take_along_axis(apart, self.permutation[:, :, None], axis=1).reshape(values.shape)


def _still(stiffness: Array, d: int) -> Array:
    """Element matrices less what rounding has left of the forces on a translation: the kernel of the whole matrix."""
    count, unknowns, _ = stiffness.shape
    rows = stiffness.reshape(count, -1, d, unknowns)
    columns = (rows - rows.mean(axis=1, keepdims=True)).reshape(count, unknowns, -1, d)
    return np.asarray((columns - columns.mean(axis=2, keepdims=True)).reshape(count, unknowns, unknowns))
