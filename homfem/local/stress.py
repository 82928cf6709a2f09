r"""The elastic cell problem in its stresses: a guaranteed lower bound of the effective stiffness.

The effective stiffness is also a maximum over stresses: for every symmetric field :math:`\sigma` that is periodic, in
equilibrium and without traction on the walls of voids,

.. math:: E\cdot C^*E \;\ge\; \frac1{|Y|}\int (2\,E\cdot\sigma - \sigma\cdot C^{-1}\sigma)\,dy .

Here :math:`\sigma` is a Johnson-Mercier field without divergence on each simplex
(:mod:`homfem.local.johnson_mercier`). Continuity of the traction is imposed by a multiplier :math:`\lambda`, a linear
vector on each facet, and :math:`\sigma` is eliminated element by element as in :mod:`homfem.local.flux`:

.. math:: \sigma_K = A_K^{-1}C_K(\lambda+Ex),\qquad A_K=\int_K\tau_i\cdot C^{-1}\tau_j,\qquad
          C_K=\int_{\partial K}\mu_j\cdot\tau_in,\qquad \sum_K\mu^TS_K(\lambda+Ex)=0,\quad S_K=C_K^TA_K^{-1}C_K .

:math:`S_K` vanishes on the rigid motions alone. The minimal energy per volume is a lower bound of
:math:`E\cdot C^*E`.

The algebraic residual makes the energy computed too high: :mod:`homfem.local.allowance` bounds by how much.

Source: Johnson, Mercier 1978, doi 10.1007/BF01403910; Arnold, Brezzi 1985, doi 10.1051/m2an/1985190100071 (the
multipliers).
"""

from __future__ import annotations

import itertools
import logging
import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
from dolfinx import fem
from mpi4py import MPI
from petsc4py import PETSc

from homfem import _dolfinx, solve
from homfem.cells.unitcell import UnitCell
from homfem.local.allowance import Spread
from homfem.local.boundary import odd_planes
from homfem.local.elasticity import rigid_motions, strain_parity
from homfem.local.facets import FacetUnknowns, HeldUnknowns
from homfem.local.fixed import Planes
from homfem.local.johnson_mercier import reference
from homfem.local.system import orthonormal
from homfem.parameters import Array, ConvergenceError, InputError
from homfem.stiffness import PAIRS, basis, voigt_to_mandel

log = logging.getLogger("homfem")

Indices = npt.NDArray[np.int64]
_BLOCK = 4000  # mesh cells per pass of the element matrices, so that their temporaries stay small
#: No solve is asked for a smaller relative residual than this: round-off is near.
SHARPEST = 1e-14


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Stresses:
    r"""The solved stress problem.

    Parameters
    ----------
    functions : tuple of fem.Function
        For each load, a unit strain (order of :data:`homfem.stiffness.PAIRS`, engineering shear), the stress, a Voigt
        vector, as the nearest linear function on each mesh cell.
    energies : array, shape (owned mesh cells, loads)
        :math:`\int_K\sigma_j\cdot C^{-1}\sigma_j`.
    average : array, shape (loads, loads)
        The energy tensor, a Voigt matrix; the allowance is not subtracted.
    allowance
        What the algebraic residual can have added: ``average - allowance * identity`` is a lower bound.
    dofs, iterations, seconds
        As in :class:`homfem.local.problem.Correctors`.
    """

    functions: tuple[fem.Function, ...]
    energies: Array
    average: Array
    allowance: float
    dofs: int
    iterations: int
    seconds: Mapping[str, float] = field(default_factory=dict)


def solve_stresses(
    cell: UnitCell,
    coefficient: fem.Function,
    *,
    strains: Sequence[int] | None = None,
    rtol: float = 1e-10,
    allowance: float = 1e-6,
    max_iterations: int = 500,
) -> Stresses:
    """Solve the stress problem for unit strains; collective.

    On the part of a cell between mirror planes a multiplier vanishes there in the components that are odd: loads that
    answer the mirrors differently have matrices of their own, and no energy together.

    Parameters
    ----------
    cell
        A cell of straight simplices, restricted to the solid phases.
    coefficient
        Stiffness, constant on each mesh cell (see :func:`homfem.local.elasticity.elastic_coefficient`).
    strains
        The macroscopic strains, by their place in :data:`homfem.stiffness.PAIRS`; by default all.
    rtol, max_iterations
        See :class:`homfem.solve.LinearSolver`.
    allowance
        Where the allowance is more than this part of the smallest eigenvalue, the solver goes on.

    Raises
    ------
    ConvergenceError
        If a load was not solved to ``rtol``.
    PercolationError
        If a connected part of the solid can turn freely about an axis.
    """
    if not (cell.simplicial and cell.order == 1):
        raise InputError("cell", f"{cell.kind} cells of order {cell.order}", "made of straight simplices")
    if not cell.periodic_mesh.matching:
        raise InputError("faces", "non-matching", "matching: a stress is in equilibrium across the period only there")
    start = time.perf_counter()
    d = cell.dimension
    along = list(range(len(PAIRS[d]))) if strains is None else list(strains)
    parity, mirrored = strain_parity(d)[along], [mirror.axis for mirror in cell.mirrors]
    groups: dict[Planes, list[int]] = {}
    for j in range(len(along)):
        groups.setdefault(odd_planes(d, parity[j], mirrored), []).append(j)
    number = FacetUnknowns(cell, d)
    elements = _Elements(cell, coefficient, number, Spread(cell), along)
    full, sides, constant, weight = elements.assemble()
    share = cell.copies / cell.lattice.volume
    vertices = number.at_vertices()
    prolongation = number.from_vertices(vertices)
    motions = _rigid_motions(vertices, d)
    seconds = {"assembly": time.perf_counter() - start, "preconditioner": 0.0, "solve": 0.0}
    traces = np.empty((len(elements.nodes), number.rows.shape[1], len(along)))
    average = np.zeros((len(along), len(along)))
    left, iterations, dofs = 0.0, 0, 0
    for planes, members in groups.items():
        lap = time.perf_counter()
        held = HeldUnknowns(number, vertices, planes)
        matrix, coarse = held.matrices(full, prolongation)
        near = orthonormal([held.at_vertices(values) for values in motions])
        kernel = held.constants()
        right = [held.without(sides[j]) for j in members]
        own = np.ix_(members, members)
        average[own], added, multipliers, solver = _solve_group(
            matrix,
            right,
            constant[own],
            share,
            weight * share * ((1.0 + math.sqrt(d)) ** 2 if any(planes) else 1.0),
            allowance,
            held.node_norms,
            rtol=rtol,
            max_iterations=max_iterations,
            kernel=kernel,
            near_kernel=near,
            prolongations=[coarse],
            name="stress",
        )
        for j, x in zip(members, multipliers, strict=True):
            traces[:, :, j] = held.local(x)
        left, dofs, iterations = max(left, added), max(dofs, matrix.getSize()[0]), iterations + solver.iterations
        seconds["preconditioner"] += solver.setup_seconds
        seconds["solve"] += time.perf_counter() - lap - solver.setup_seconds
        solver.destroy()
        for thing in (*kernel, *near, *right, *multipliers, *((matrix, coarse) if matrix is not full else ())):
            thing.destroy()
    full.destroy()
    prolongation.destroy()
    lap = time.perf_counter()
    functions, energies = elements.recover(traces)
    seconds["average"] = time.perf_counter() - lap
    return Stresses(
        functions=functions,
        energies=energies,
        average=average,
        allowance=left,
        dofs=dofs,
        iterations=iterations,
        seconds=seconds,
    )


def _solve_group(
    matrix: PETSc.Mat,
    sides: list[PETSc.Vec],
    constant: Array,
    share: float,
    weight: float,
    allowance: float,
    node_norms: Callable[[PETSc.Vec], Array],
    *,
    rtol: float,
    **options: Any,
) -> tuple[Array, float, list[PETSc.Vec], solve.LinearSolver]:
    """Solve for loads that hold the same unknowns: the average, what the residual may have added, and the solution."""
    multipliers = [matrix.createVecRight() for _ in sides]
    solver = solve.solve_with(("incomplete-cholesky", "ssor"), matrix, sides, multipliers, rtol=rtol, **options)
    best = math.inf
    while True:
        energy, residual = _energy(matrix, sides, multipliers, constant, node_norms)
        average, left = share * energy, weight * residual
        values = np.linalg.eigvalsh(average)
        wanted = allowance * float(values[values > 1e-9 * values[-1]][0])
        if left <= wanted or rtol <= SHARPEST or left > 0.5 * best:
            break
        best = left
        # The allowance goes with the square of the residual.
        rtol = max(rtol * min(0.1, 0.5 * math.sqrt(wanted / left)), SHARPEST)
        log.info("stress: the residual may add %.1e, %.1e is wanted; rtol = %.0e now", left, wanted, rtol)
        try:
            solver.solve_all(sides, multipliers, rtol=rtol)
        except ConvergenceError as error:
            log.info("%s", error)  # what was reached is a bound, whatever it is
            rtol = SHARPEST
    if left > wanted:
        log.warning("stress: the residual of the solver may add %.1e to the energies; %.1e was wanted", left, wanted)
    return average, left, multipliers, solver


def _energy(
    matrix: PETSc.Mat,
    sides: list[PETSc.Vec],
    multipliers: list[PETSc.Vec],
    constant: Array,
    node_norms: Callable[[PETSc.Vec], Array],
) -> tuple[Array, float]:
    r"""The energies of all pairs of loads, and :math:`\sum_j(\sum_i|\rho_{j,i}|)^2` over the nodes; collective."""
    result, residual = constant.copy(), 0.0
    product = matrix.createVecRight()
    for j, x in enumerate(multipliers):
        matrix.mult(x, product)
        for i, (side, other) in enumerate(zip(sides, multipliers, strict=True)):
            result[i, j] += other.dot(product) - other.dot(sides[j]) - x.dot(side)
        product.aypx(-1.0, sides[j])
        total = float(node_norms(product).sum())
        residual += matrix.comm.tompi4py().allreduce(total, op=MPI.SUM) ** 2
    product.destroy()
    return 0.5 * (result + result.T), residual


def _rigid_motions(space: fem.FunctionSpace, d: int) -> list[Array]:
    """Translations and rotations at the owned unknowns of a vector space; rotations jump across the period."""
    points = space.tabulate_dof_coordinates()[: space.dofmap.index_map.size_local]
    return [values.T.ravel() for values in rigid_motions(d)(points.T)]


class _Elements:
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

    def _blocks(self) -> Iterator[slice]:
        for begin in range(0, len(self.nodes), _BLOCK):
            yield slice(begin, min(begin + _BLOCK, len(self.nodes)))

    def _map(self, part: slice) -> tuple[Array, Array, Array]:
        """The gradient F of the map from the reference simplex, |det F|, and the Mandel matrix of its Piola map."""
        nodes = self.nodes[part]
        gradient = (nodes[:, 1:] - nodes[:, :1]).transpose(0, 2, 1)
        matrices = basis(self.d)
        piola = np.einsum("aij,mik,bkl,mjl->mab", matrices, gradient, matrices, gradient, optimize=True)
        return gradient, np.abs(np.linalg.det(gradient)), piola

    def _local(self, part: slice) -> tuple[Array, Array, Array, Array, Array]:
        """F, |det F|, Piola map, the energy of the fields over |det F|, and the lift of the moments by its inverse."""
        gradient, determinant, piola = self._map(part)
        r, size = self.reference, len(PAIRS[self.d])
        fields = len(r.stress)
        pulled = piola.transpose(0, 2, 1) @ self.compliance[part] @ piola
        energy = (pulled.reshape(-1, size * size) @ r.energy.reshape(size * size, -1)).reshape(-1, fields, fields)
        lift = np.linalg.solve(energy, r.moments.reshape(1, fields, -1))
        return gradient, determinant, piola, energy, np.asarray(lift)

    def assemble(self) -> tuple[PETSc.Mat, list[PETSc.Vec], Array, float]:
        """The matrix, the right-hand sides, the energy of the traces, and the factor of the allowance; collective."""
        d, loads = self.d, self.trace.shape[2]
        moments = self.reference.moments.reshape(len(self.reference.stress), -1)
        unknowns = moments.shape[1]
        at_node = moments.reshape(len(moments), -1, d)
        matrix = self.number.empty_matrix()
        reaction = np.zeros((len(self.nodes), unknowns, loads))
        weights = np.zeros(len(self.nodes))
        for part in self._blocks():
            gradient, determinant, _, energy, lift = self._local(part)
            count = len(gradient)
            stiffness = (moments.T @ lift).reshape(count, -1, d) @ (
                determinant[:, None, None] * gradient.transpose(0, 2, 1)
            )
            stiffness = gradient[:, None] @ stiffness.reshape(count, -1, d, unknowns)
            stiffness = stiffness.reshape(count, unknowns, unknowns)
            stiffness = 0.5 * (stiffness + stiffness.transpose(0, 2, 1))
            rows = self.rows[part]
            matrix.setValuesRCV(rows, rows, stiffness, addv=PETSc.InsertMode.ADD_VALUES)
            reaction[part] = stiffness @ self.trace[part]
            # A generalised inverse of the element matrix, block by block of its diagonal.
            image = (energy @ moments).reshape(count, len(moments), -1, d)
            inner = np.einsum("kni,mknj->mnij", at_node, image, optimize=True)
            back = np.linalg.inv(gradient)
            trace = np.einsum("mia,mnij,mja->mn", back, inner, back, optimize=True) / determinant[:, None]
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

    def recover(self, multipliers: Array) -> tuple[tuple[fem.Function, ...], Array]:
        """The stresses as linear functions on each mesh cell, and their energies on each.

        ``multipliers[k, :, j]`` are the unknowns of mesh cell k for load j, in the order of its facets.
        """
        mesh, d = self.cell.mesh, self.d
        size, loads = len(PAIRS[d]), multipliers.shape[2]
        space = fem.functionspace(mesh, ("DG", 1, (size,)))
        functions = tuple(fem.Function(space, name=f"stress_{j + 1}") for j in range(loads))
        weights = np.array([1.0] * d + [math.sqrt(0.5)] * (size - d))
        local = self._sorted(multipliers) + self.trace
        energies = np.zeros((len(self.nodes), loads))
        r = self.reference
        fields = len(r.stress)
        for part in self._blocks():
            gradient, determinant, piola, energy, lift = self._local(part)
            count = len(gradient)
            pulled = gradient.transpose(0, 2, 1)[:, None] @ local[part].reshape(count, -1, d, loads)
            coefficients = lift @ pulled.reshape(count, -1, loads)
            energies[part] = determinant[:, None] * np.einsum(
                "mkl,mkl->ml", coefficients, energy @ coefficients, optimize=True
            )
            nodal = (coefficients.transpose(0, 2, 1) @ r.linear.reshape(fields, -1)).reshape(count, loads, d + 1, size)
            nodal = (nodal @ piola.transpose(0, 2, 1)[:, None]) * weights
            dofs = np.take_along_axis(space.dofmap.list[part], self.permutation[part], axis=1)
            for j, function in enumerate(functions):
                function.x.array.reshape(-1, size)[dofs] = nodal[:, j]
        for function in functions:
            function.x.scatter_forward()
        return functions, energies

    def _sorted(self, values: Array) -> Array:
        """Unknowns of each cell, from the order of its facets to that of the vertices' numbers."""
        apart = values.reshape(len(values), self.d + 1, -1)
        return np.take_along_axis(apart, self.permutation[:, :, None], axis=1).reshape(values.shape)
