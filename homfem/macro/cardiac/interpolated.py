r"""The ionic current of states that are interpolated in the cells, in place of that of the nodes.

.. math:: \sum_j M_{ij}\,\delta V_j = \Delta t\int\chi C_m\,r\bigl(t, V_h(x), X_h(x)\bigr)\,\varphi_i\,dx

with the rate :math:`r = -I_{ion}/C_m` of V and X interpolated from the nodes (state variable interpolation), at the
start of the step; with nodal currents r itself is interpolated. On coarse meshes the two err differently in the
velocity of a front (Pathmanathan, Mirams, Southern, Whiteley 2011, doi 10.1002/cnm.1438). The states still change at
the nodes. A step costs that of all points of the quadrature, with NumPy.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import SimpleNamespace

import basix
import numpy as np
from dolfinx import fem, la
from petsc4py import PETSc

from homfem.kinetics import PointKinetics
from homfem.macro.cardiac.tissue import Tissue
from homfem.parameters import Array
from homfem.solve import LinearSolver

#: Cells per block: the temporaries of a block stay in the processor's cache.
BLOCK = 1024
_CELLS = {1: basix.CellType.interval, 2: basix.CellType.triangle, 3: basix.CellType.tetrahedron}


class InterpolatedCurrent:
    """What the membrane brings to V in an explicit step, by quadrature; collective.

    Parameters
    ----------
    tissue
        The tissue with its problem and method.
    mass
        The mass matrix on its nodes.
    parameters
        Those of the membrane that are given: numbers, or values at the nodes of the tissue.
    """

    def __init__(self, tissue: Tissue, mass: PETSc.Mat, parameters: Mapping[str, float | Array]) -> None:
        self.tissue, self.kinetics = tissue, tissue.problem.membrane
        domain, degree = tissue.domain, tissue.method.degree
        d = domain.dimension
        points, weights = basix.make_quadrature(_CELLS[d], 2 * degree)
        element = basix.create_element(basix.ElementFamily.P, _CELLS[d], degree, basix.LagrangeVariant.gll_warped)
        self._shapes = np.asarray(element.tabulate(0, points)[0, :, :, 0])
        owned = domain.mesh.topology.index_map(d).size_local
        cells = np.flatnonzero(tissue.cells[:owned])
        self._dofs = np.asarray(tissue.space.dofmap.list)[cells]
        capacity = tissue.cell_capacity()[cells] * domain.cell_volumes()[cells]
        self._weights = np.outer(capacity, weights / weights.sum())
        self._work = fem.Function(tissue.space)
        given = {
            name: value if isinstance(value, float) else self._at_points(tissue.spread(value))
            for name, value in parameters.items()
        }
        self._parameters = _Parameters(self.kinetics, given, self._weights.size)
        self._solver = LinearSolver(
            mass, preconditioner=tissue.method.preconditioner, rtol=tissue.method.rtol, name="mass of the membrane"
        )
        self._load, self._change = mass.createVecLeft(), mass.createVecRight()

    def _local(self, values: Array) -> Array:
        """Return owned values of the whole domain with those of the ghosts."""
        self._work.x.array[: self.tissue.owned] = values
        self._work.x.scatter_forward()
        return np.asarray(self._work.x.array.copy())

    def _at_points(self, values: Array) -> Array:
        return np.asarray(self._local(values)[self._dofs] @ self._shapes.T).ravel()

    def change(self, potential: Array, states: Array, time: float, step: float) -> Array:
        """Return the change of V at the nodes of the tissue in a step from a time; collective."""
        spread = self.tissue.spread
        nodal = [self._local(spread(potential)), *(self._local(spread(state)) for state in states)]
        total, points = np.zeros(len(self._work.x.array)), len(self._shapes)
        for first in range(0, len(self._dofs), BLOCK):
            part = slice(first, min(first + BLOCK, len(self._dofs)))
            dofs = self._dofs[part]
            there = np.stack([(values[dofs] @ self._shapes.T).ravel() for values in nodal])
            p = self._parameters.of(slice(part.start * points, part.stop * points))
            rate = np.asarray(self.kinetics.rates(time, (there[0],), there[1:], p)[0]).reshape(-1, points)
            brought = (rate * self._weights[part]) @ self._shapes
            total += np.bincount(dofs.ravel(), brought.ravel(), minlength=len(total))
        self._work.x.array[:] = total
        self._work.x.scatter_reverse(la.InsertMode.add)
        self._load.array[:] = step * self.tissue.of_nodes(self._work.x.array[: self.tissue.owned])
        self._solver.solve(self._load, self._change)
        return np.asarray(self._change.array_r)


class _Parameters:
    """The parameters at points, by parts of these."""

    def __init__(self, kinetics: PointKinetics, given: Mapping[str, float | Array], size: int) -> None:
        self._all = vars(kinetics.values(given, size=size))

    def of(self, part: slice) -> SimpleNamespace:
        return SimpleNamespace(
            **{name: value[part] if isinstance(value, np.ndarray) else value for name, value in self._all.items()}
        )
