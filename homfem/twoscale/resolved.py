"""The resolved domain: a box of so many periods, each with the very mesh of the cell, and what is solved on it."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import scipy.sparse
import scipy.sparse.csgraph
import ufl
from dolfinx import fem
from mpi4py import MPI
from petsc4py import PETSc

from homfem import solve
from homfem._dolfinx import geometry_dofmap, original_cell_index
from homfem.bodies import mesh_from_arrays
from homfem.local.reduced import at_points, orthonormal
from homfem.meshing.arrays.facets import cell_facets, row_numbers
from homfem.meshing.arrays.raw_cell import RawCell
from homfem.meshing.topology.tiles import tiled_raw
from homfem.parameters import Array, InputError
from homfem.ranks import collective
from homfem.solve import Coarse, LinearSolver, Multigrid
from homfem.twoscale.medium import Medium
from homfem.twoscale.problem import SteadyProblem

log = logging.getLogger("homfem")

Indices = npt.NDArray[np.int64]


class Tiled:
    """A box of periods of a cell, whose mesh is that of the cell in each of them; collective.

    Parameters
    ----------
    comm
        Communicator of the mesh.
    raw
        Arrays of the cell, on every rank; its periods are the sides of a box, which they fill.
    counts
        Periods along each axis.
    scale
        Length of one mesh unit of the cell in the box, one corner of which is the origin.
    degree, shape
        Of the Lagrange elements, and of a value.
    ghosts
        Whether a rank knows the mesh cells beyond the facets of its own.

    Attributes
    ----------
    mesh
        Distributed over the ranks.
    element : array of int
        For each local mesh cell, ghosts included, the element of the cell's arrays whose image it is.
    space
        The Lagrange space.
    points : array, shape (d, n)
        The nodes of the local unknowns.
    sides : array
        Lengths of the box.
    """

    def __init__(
        self,
        comm: MPI.Comm,
        raw: RawCell,
        counts: Sequence[int],
        *,
        scale: float,
        degree: int,
        shape: tuple[int, ...] = (),
        ghosts: bool = False,
    ) -> None:
        self.comm, self.raw, self.scale = comm, raw, scale
        d = raw.dimension
        self.sides = np.diag(raw.lattice.vectors) * np.asarray(counts) * scale

        def make() -> tuple[Array, Indices]:
            big = tiled_raw(raw, counts, partial=True)[0] if max(counts) > 1 else raw
            return (big.points - raw.points.min(axis=0)) * scale, big.cells

        self.mesh = mesh_from_arrays(comm, make, ghosts=ghosts)
        self.element = original_cell_index(self.mesh) % len(raw.cells)
        self.space = solve.function_space(self.mesh, "Lagrange", degree, shape)
        self.points = np.ascontiguousarray(self.space.tabulate_dof_coordinates()[:, :d].T)
        self.owned = int(self.space.dofmap.index_map.size_local)
        self.components = int(np.prod(shape, dtype=int))
        self.dofs = int(self.space.dofmap.index_map.size_global) * self.components

    @property
    def owned_cells(self) -> int:
        """Mesh cells that the rank owns."""
        return int(self.mesh.topology.index_map(self.mesh.topology.dim).size_local)

    def function(self, values: Array, name: str = "u") -> fem.Function:
        """Return the function with values of shape (m, n) at the nodes ``points``."""
        made = fem.Function(self.space, name=name)
        made.x.array[:] = values.T.ravel()
        return made

    def copied(self, by_element: Array, cells: npt.NDArray[np.bool_] | None = None) -> Array:
        """Return a function of the cell at the nodes, shape (m, n): it has the same values in each period.

        Parameters
        ----------
        by_element
            As :meth:`Medium.at_elements` gives it, for each element of the arrays; with ``cells`` for each of these.
        cells
            The local mesh cells on which the function lives; it is zero elsewhere.
        """
        values = np.zeros((self.points.shape[1], by_element.shape[2]))
        dofs = self.space.dofmap.list
        values[dofs if cells is None else dofs[cells]] = by_element[self.element] if cells is None else by_element
        return values.T

    def on_side(self, axis: int, end: int) -> npt.NDArray[np.bool_]:
        """Return which local nodes are on a side of the box."""
        length = self.sides[axis]
        return np.asarray(np.abs(self.points[axis] - end * length) <= 1e-9 * length)

    def distance(self) -> Array:
        """Return the distance of the midpoint of each local mesh cell from the boundary of the box."""
        x = self.mesh.geometry.x[geometry_dofmap(self.mesh)][:, :, : len(self.sides)].mean(axis=1)
        return np.asarray(np.minimum(x, self.sides - x).min(axis=1))

    def phase(self, name: str) -> npt.NDArray[np.bool_]:
        """Return which local mesh cells are of a phase."""
        return np.asarray(self.raw.phase_of_cell[self.element] == self.raw.phases[name])


class Resolved(Tiled):
    r"""A box of :math:`n^d` periods of a medium, :math:`\varepsilon=1/n`; collective.

    The box is the cell enlarged: its sides are those of the cell in mesh units, and the medium at x is that of the cell
    at :math:`x/\varepsilon`.

    Parameters
    ----------
    medium
        The medium.
    periods
        n.

    Raises
    ------
    InputError
        If the sides of the box cut something off.
    """

    def __init__(self, medium: Medium, periods: int) -> None:
        self.medium, self.periods = medium, periods
        counts = [periods] * medium.dimension
        require_body(medium.comm, medium.raw, counts)
        super().__init__(medium.comm, medium.raw, counts, scale=1.0 / periods, degree=medium.degree, shape=medium.shape)
        self.coefficient = self._coefficient()

    @property
    def eps(self) -> float:
        r""":math:`\varepsilon`."""
        return 1.0 / self.periods

    def _coefficient(self) -> fem.Function:
        own = self.medium.coefficient
        made = fem.Function(solve.function_space(self.mesh, "DG", 0, own.ufl_shape))
        values = self.medium.at_elements(own)[:, 0]
        made.x.array.reshape(-1, values.shape[1])[made.function_space.dofmap.list[:, 0]] = values[self.element]
        return made


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class ResolvedSolution:
    """What a resolved solve gives: the function, iterations and seconds."""

    function: fem.Function
    iterations: int
    seconds: float


def solve_resolved(
    resolved: Resolved,
    problem: SteadyProblem,
    *,
    boundary: Mapping[tuple[int, int], Callable[[Array], Array]] | Array | None = None,
    rtol: float = 1e-10,
) -> ResolvedSolution:
    """Solve a steady problem with every period resolved; collective.

    Parameters
    ----------
    resolved
        The domain.
    problem
        What is solved.
    boundary
        Values at all nodes, shape (m, n), of which those on the sides that are held count, in place of the problem's.
    rtol
        Of the linear solver.
    """
    started = time.perf_counter()
    medium, space = resolved.medium, resolved.space
    u, v = ufl.TrialFunction(space), ufl.TestFunction(space)
    matrix = solve.assemble_matrix(medium.energy(u, v, resolved.coefficient) * ufl.dx)
    load = _load(resolved, problem)
    fixed = np.zeros(resolved.points.shape[1], dtype=bool)
    values = np.zeros((medium.components, resolved.points.shape[1]))
    for (axis, end), given in problem.sides(medium.dimension, medium.shape).items():
        own = resolved.on_side(axis, end)
        fixed |= own
        values[:, own] = given(resolved.points[:, own]) if boundary is None else np.asarray(boundary)[:, own]
    function = resolved.function(values)
    kernel: list[PETSc.Vec] = []
    held = bool(problem.held)
    if held:
        _hold(resolved, matrix, load, function, fixed)
    else:
        ones = matrix.createVecRight()
        ones.set(1.0)
        ones.normalize()
        kernel = [ones]
    solver = LinearSolver(
        matrix,
        preconditioner=Multigrid(coarse=lambda: _coarse(resolved)),
        rtol=rtol,
        kernel=kernel,
        name=f"resolved {medium.physics}, {resolved.periods} periods",
    )
    x = load.duplicate()
    solver.solve(load, x)
    function.x.array[: resolved.owned * medium.components] = x.array_r
    function.x.scatter_forward()
    if not held:
        function.x.array[:] -= mean(resolved, function)
    log.info("%s: %d dofs, %d iterations", solver.name, resolved.dofs, solver.iterations)
    found = ResolvedSolution(function=function, iterations=solver.iterations, seconds=time.perf_counter() - started)
    solver.destroy()
    for thing in (matrix, load, x, *kernel):
        thing.destroy()
    return found


def mean(resolved: Resolved, function: fem.Function) -> float:
    """Return the mean of a scalar function over the active phases; collective."""
    return solve.integrate(function * ufl.dx) / solve.volume(resolved.mesh)


def _load(resolved: Resolved, problem: SteadyProblem) -> PETSc.Vec:
    """The right-hand side: the source at the nodes, times the test functions, over the cells of each phase."""
    medium, space = resolved.medium, resolved.space
    inside = fem.Function(solve.function_space(resolved.mesh, "DG", 0))
    source = fem.Function(space)
    v = ufl.TestFunction(space)
    form = solve.compile_form(inside * ufl.inner(source, v) * ufl.dx)
    load = None
    for name, given in problem.sources(medium.raw.phases, medium.shape).items():
        inside.x.array[inside.function_space.dofmap.list[:, 0]] = resolved.phase(name)
        source.x.array[:] = given(resolved.points).T.ravel()
        part = solve.assemble_vector(form)
        if load is None:
            load = part
        else:
            load.axpy(1.0, part)
            part.destroy()
    assert load is not None  # there is a phase
    if not problem.held:
        inside.x.array[:] = 1.0
        source.x.array[:] = load.sum() / solve.volume(resolved.mesh)
        part = solve.assemble_vector(form)
        load.axpy(-1.0, part)
        part.destroy()
    return load


def _hold(
    resolved: Resolved, matrix: PETSc.Mat, load: PETSc.Vec, function: fem.Function, fixed: npt.NDArray[np.bool_]
) -> None:
    """Take the held unknowns out of a system, in place; ``function`` has their values."""
    m = resolved.medium.components
    own = np.repeat(fixed[: resolved.owned], m)
    values, lift = matrix.createVecs()
    values.array[:] = np.where(own, function.x.array[: len(own)], 0.0)
    matrix.mult(values, lift)
    load.axpy(-1.0, lift)
    diagonal = float(matrix.getDiagonal().max()[1])
    load.array[own] = diagonal * values.array_r[own]
    first = resolved.space.dofmap.index_map.local_range[0] * m
    matrix.zeroRowsColumns((first + np.flatnonzero(own)).astype(PETSc.IntType), diag=diagonal)
    values.destroy()
    lift.destroy()


def _coarse(resolved: Resolved) -> Coarse:
    """What multigrid represents: constants, or the rigid motions."""
    vectors = []
    for values in at_points(resolved.space, resolved.medium.near_kernel):
        vector = PETSc.Vec().createMPI((len(values), resolved.dofs), comm=resolved.comm)
        vector.array[:] = values
        vectors.append(vector)
    return Coarse(near_kernel=orthonormal(vectors))


def require_body(comm: MPI.Comm, raw: RawCell, counts: Sequence[int]) -> None:
    """Refuse a box whose sides cut something off: a part that hangs together only with what is beyond; collective."""
    with collective(comm):
        parts = bodies(raw, counts) if comm.rank == 0 else 1
        if parts > 1:
            remedy = "Give a cell with its low corner elsewhere, so that its faces cut off nothing."
            allowed = "one whose active phases stay one body when a box of periods is cut out"
            raise InputError("cell", f"{parts} bodies in {' x '.join(map(str, counts))} periods", allowed, remedy)


def bodies(raw: RawCell, counts: Sequence[int]) -> int:
    """Return how many bodies, joined by facets, the cells of a box of periods are."""
    # Where boxes of three periods are one body, so are larger ones: those of three overlap.
    found = 1
    for several in ([min(count, 3) for count in counts], list(counts)):
        big = tiled_raw(raw, several, partial=True)[0] if max(several) > 1 else raw
        facets = cell_facets(big.corners, big.kind)
        rows = np.sort(facets.reshape(-1, facets.shape[2]), axis=1)
        number = np.unique(row_numbers(rows), return_inverse=True)[1]
        size = len(facets)
        links = (np.repeat(np.arange(size), facets.shape[1]), size + number)
        graph = scipy.sparse.coo_array(
            (np.ones(len(number), dtype=np.int8), links), shape=(size + number.max() + 1,) * 2
        )
        found = int(scipy.sparse.csgraph.connected_components(graph, directed=False)[0])
        if found == 1:
            break
    return found
