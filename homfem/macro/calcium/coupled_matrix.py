r"""The matrix of Newton's method for all fields of a calcium problem together: node by node, what lives there.

.. math:: J_{fg} = (M_f + aK_f)\,\delta_{fg} - a\,\mathrm{diag}(\partial A_f/\partial u_g)

with the amounts A that enter at the nodes: diffusion ties a field to itself at other nodes, exchange ties the fields at
one node. The unknowns are numbered by nodes, so that exchange, however stiff, stays within small dense blocks on the
diagonal, which are inverted (``"jacobi"`` is of these blocks). The pattern is made once.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np
import numpy.typing as npt
from petsc4py import PETSc

from homfem.macro.calcium.diffusion import Diffusion
from homfem.macro.calcium.unknowns import Unknown
from homfem.parameters import Array
from homfem.solve import LinearSolver

Numbers = npt.NDArray[np.int64]
Pair = tuple[str, str]

#: What a linear solve takes of the residual: Newton's next step starts from the true one.
FORCING = 1e-4


class CoupledMatrix:
    """The matrix, its pattern and the places of its entries; collective.

    Parameters
    ----------
    unknowns
        The fields by name.
    diffusion
        Mass and stiffness of those that move.
    pairs
        The fields that exchange at nodes, in both orders; a field itself is always one.
    preconditioner
        As :class:`homfem.solve.LinearSolver` knows it for matrices that are not symmetric.

    Attributes
    ----------
    common : mapping of pair to (array, array)
        The nodes where both fields of a pair live, as positions in the one and in the other.
    """

    def __init__(
        self, unknowns: Mapping[str, Unknown], diffusion: Diffusion, pairs: Iterable[Pair], *, preconditioner: str
    ) -> None:
        self.unknowns = unknowns
        first = next(iter(unknowns.values())).part
        self.comm, owned = first.comm, first.owned
        self.preconditioner = "nodal-blocks" if preconditioner in ("auto", "jacobi") else preconditioner
        at = {name: _nodes(one) for name, one in unknowns.items()}
        self.sizes = np.zeros(owned, dtype=np.int64)
        place: dict[str, Numbers] = {}
        for name, nodes in at.items():
            place[name] = self.sizes[nodes].copy()
            self.sizes[nodes] += 1
        starts = np.concatenate([[0], np.cumsum(self.sizes)])
        self.count = int(starts[-1])
        self.begin = sum(self.comm.allgather(self.count)[: self.comm.rank])
        self.rows = {name: starts[nodes] + place[name] for name, nodes in at.items()}
        self.common: dict[Pair, tuple[Numbers, Numbers]] = {}
        for pair in dict.fromkeys([*((name, name) for name in unknowns), *pairs]):
            _, one, other = np.intersect1d(at[pair[0]], at[pair[1]], assume_unique=True, return_indices=True)
            self.common[pair] = one, other
        self._moving = {one.name: (group, factor) for group in diffusion.shared for one, factor in group.fields}
        self._work = {
            name: (group.stiffness.createVecRight(), group.stiffness.createVecLeft())
            for name, (group, _) in self._moving.items()
        }
        self._make_pattern(diffusion)

    def _make_pattern(self, diffusion: Diffusion) -> None:
        """Find the place of each entry among those of the rows, and the parts that do not change."""
        entries: list[tuple[Numbers, Numbers, Array, Array]] = []
        moving = set()
        for group in diffusion.shared:
            for unknown, factor in group.fields:
                moving.add(unknown.name)
                entries.append(self._own_entries(unknown, group.mass, group.stiffness, factor))
        for name, unknown in self.unknowns.items():
            if name not in moving:
                rows = self.rows[name]
                entries.append((rows, rows + self.begin, unknown.weights, np.zeros(len(rows))))
        rows = np.concatenate([entry[0] for entry in entries])
        columns = np.concatenate([entry[1] for entry in entries])
        ties = {
            pair: (self.rows[pair[0]][one], self.rows[pair[1]][other] + self.begin)
            for pair, (one, other) in self.common.items()
        }
        width = int(self.comm.allreduce(self.count))
        keys = np.concatenate([rows * width + columns, *(row * width + column for row, column in ties.values())])
        found, where = np.unique(keys, return_inverse=True)
        size = len(found)
        self.columns = (found % width).astype(PETSc.IntType)
        self.pointers = np.searchsorted(found // width, np.arange(self.count + 1)).astype(PETSc.IntType)
        self.mass = np.bincount(where[: len(rows)], np.concatenate([entry[2] for entry in entries]), minlength=size)
        self.stiffness = np.bincount(
            where[: len(rows)], np.concatenate([entry[3] for entry in entries]), minlength=size
        )
        self.places: dict[Pair, Numbers] = {}
        at = len(rows)
        for pair, (row, _) in ties.items():
            self.places[pair] = where[at : at + len(row)]
            at += len(row)
        # Numbers of size one: of row sums of masses.
        volume = float(self.comm.allreduce(sum(float(one.weights.sum()) for one in self.unknowns.values())))
        self.scale = width / volume
        self.matrix = PETSc.Mat().createAIJ(
            ((self.count, width),) * 2, csr=(self.pointers, self.columns, self.mass * self.scale), comm=self.comm
        )
        self.matrix.setVariableBlockSizes(self.sizes[self.sizes > 0].astype(PETSc.IntType))
        self.right, self.change = self.matrix.createVecLeft(), self.matrix.createVecRight()

    def _own_entries(
        self, unknown: Unknown, mass: PETSc.Mat, stiffness: PETSc.Mat, factor: float
    ) -> tuple[Numbers, Numbers, Array, Array]:
        """Return rows, columns, masses and stiffnesses of a field that moves; collective."""
        pointers, columns, masses = mass.getValuesCSR()
        rows = np.repeat(self.rows[unknown.name], np.diff(pointers))
        numbers = mass.createVecRight()
        numbers.array[:] = self.rows[unknown.name] + self.begin
        wanted, inverse = np.unique(columns, return_inverse=True)
        index = PETSc.IS().createGeneral(wanted.astype(PETSc.IntType), comm=PETSc.COMM_SELF)
        there = PETSc.Vec().createSeq(len(wanted), comm=PETSc.COMM_SELF)
        scatter = PETSc.Scatter().create(numbers, index, there, None)
        scatter.scatter(numbers, there, addv=PETSc.InsertMode.INSERT_VALUES, mode=PETSc.ScatterMode.FORWARD)
        found = there.array_r.astype(np.int64)[inverse]
        for one in (numbers, index, there, scatter):
            one.destroy()
        return rows, found, factor * masses, factor * stiffness.getValuesCSR()[2]

    def product(self, name: str, matrix: str, values: Array) -> Array:
        """Return the product of a field with its ``"mass"`` or ``"stiffness"``; collective."""
        if name not in self._moving:
            return np.asarray(self.unknowns[name].weights * values) if matrix == "mass" else np.zeros_like(values)
        group, factor = self._moving[name]
        right, left = self._work[name]
        right.array[:] = values
        getattr(group, matrix).mult(right, left)
        return np.asarray(factor * left.array_r)

    def solve(
        self, a: float, slopes: Mapping[Pair, Array], residuals: Mapping[str, Array]
    ) -> tuple[dict[str, Array], int]:
        r"""Return the change of the fields by :math:`J\,\delta u = r`, and the iterations; collective.

        Parameters
        ----------
        a
            The factor of K and of what enters.
        slopes
            Derivatives of the amounts of the first field of a pair by the second, at all nodes of the first one.
        residuals
            r by field.
        """
        values = self.mass + a * self.stiffness
        for pair, slope in slopes.items():
            values[self.places[pair]] -= a * slope[self.common[pair][0]]
        self.matrix.setValuesCSR(self.pointers, self.columns, self.scale * values)
        self.matrix.assemble()
        for name, rows in self.rows.items():
            self.right.array[rows] = self.scale * residuals[name]
        solver = LinearSolver(
            self.matrix, method="gmres", preconditioner=self.preconditioner, rtol=FORCING, name="calcium, implicit"
        )
        count = solver.solve(self.right, self.change)
        solver.destroy()
        found = self.change.array_r
        return {name: found[rows].copy() for name, rows in self.rows.items()}, count


def _nodes(one: Unknown) -> Numbers:
    """The dofs of the whole space, among those that the rank owns, at which a field has values."""
    return np.arange(one.part.owned) if one.part.nodes is None else one.part.nodes
