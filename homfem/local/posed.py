"""A cell problem as it is assembled and solved: for each group of loads that fix the same unknowns one matrix."""

from __future__ import annotations

import functools
import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import ufl
from dolfinx import fem
from mpi4py import MPI
from petsc4py import PETSc

from homfem import periodic, solve
from homfem.cells.unitcell import UnitCell
from homfem.limits import MemoryLimitError
from homfem.local import boundary as conditions
from homfem.local.budget import require_system
from homfem.local.fixed import Planes, parts_in_space
from homfem.local.kernels import kernels_of, require_balance
from homfem.local.problem import BOUNDARIES, CellProblem
from homfem.local.reduced import Reduced
from homfem.local.stacked import Stacked, metric_of, positive, stackable
from homfem.local.system import System, summed
from homfem.parameters import Array, ConvergenceError, InputError, check_choice
from homfem.solve import Block, Coarse, Direct, Multigrid

log = logging.getLogger("homfem")

#: Skew part of a form, relative, that is taken for round-off.
SYMMETRIC = 1e-10


@dataclass(frozen=True, kw_only=True, slots=True)
class Method:
    """How the linear systems are solved; see :func:`homfem.local.engine.solve_correctors`."""

    preconditioner: str | None = None
    rtol: float = 1e-10
    max_iterations: int = 500


class Found:
    """What the loads until now have given."""

    def __init__(self, loads: int) -> None:
        self.functions: list[Any] = [None] * loads
        self.residuals, self.compliance = np.zeros(loads), np.zeros((loads, loads))
        self.dofs, self.iterations = 0, 0
        self.left_kernel: tuple[Any, ...] = ()
        #: Of each load of a stationary problem its solution, right-hand side and image, the owned unknowns.
        self.products: list[Array | None] = [None] * loads

    def stationary(self, comm: MPI.Comm) -> Array:
        r"""Return :math:`\ell(z; s)+\ell(w; t)-a(w, z)` of all pairs of loads; collective."""
        solutions, sides, images = np.stack([one for one in self.products if one is not None], axis=1)
        half = solutions @ (sides - 0.5 * images).T
        return solve.summed(comm, half + half.T)


class Posed:
    """A cell problem with its spaces, its groups of loads that fix the same unknowns, and what is assembled of it.

    Parameters
    ----------
    cell, problem, backend, boundary
        As in :func:`homfem.local.engine.solve_correctors`.
    """

    def __init__(self, cell: UnitCell, problem: CellProblem, backend: str | None, boundary: str) -> None:
        backend = periodic.check_backend(cell.periodic_mesh, backend)
        check_choice("boundary", boundary, BOUNDARIES)
        if problem.kind == "general" and (boundary not in ("periodic", "affine") or cell.mirrors):
            allowed = f"'periodic' or 'affine' on a whole cell for {problem.name}: not symmetric"
            raise InputError("boundary", boundary, allowed)
        self.cell, self.problem, self.boundary = cell, problem, boundary
        self.system = System(cell, problem, backend, boundary)
        self.parts = cell.part_of_cell if boundary == "periodic" else parts_in_space(cell)
        self.groups = conditions.groups(cell, problem, boundary)
        self.unknowns = {planes: Reduced(self.system, planes) for planes in self.groups}
        self.component: PETSc.Mat | None = None
        self.blocks: list[list[PETSc.Mat | None]] = []
        #: A diffusion along the streamlines, where the method "streamline" solves.
        self.along: PETSc.Mat | None = None
        self._prolongations: dict[bool, list[PETSc.Mat | None]] = {}

    def require_room(self, *, direct: bool) -> None:
        """Refuse a system that is larger than it may be."""
        require_system(
            self.cell,
            f"system of {self.problem.name}",
            max(reduced.dofs for reduced in self.unknowns.values()),
            max(field.components for field in self.problem.fields),
            direct=direct,
        )

    def direct(self, method: Method) -> bool:
        """Whether factors of the whole matrix are made at once: chosen, or by size and memory of a saddle point."""
        if method.preconditioner is not None or self.problem.kind != "saddle":
            return method.preconditioner == "direct"
        broken = any(field.preconditioner == "direct" for field in self.problem.fields)
        most = (solve.DIRECT_BROKEN if broken else solve.DIRECT_SADDLE)[self.cell.dimension]
        if max(one.dofs for one in self.unknowns.values()) > most:
            return False
        return self.has_room()

    def has_room(self) -> bool:
        """Whether factors fit into the memory; iterations need less; collective."""
        try:
            self.require_room(direct=True)
        except MemoryLimitError:
            return False
        return True

    def assemble(self, *, matrix: bool = True, sides: bool = True) -> None:
        """Assemble matrices, loads and means; collective."""
        problem, system = self.problem, self.system
        load = fem.Constant(problem.domain, np.zeros(problem.loads))
        if matrix:
            self.component = system.component()
            self.blocks = system.matrices(problem.bilinear, "bilinear", first=self.component is None)
        self.sides: list[list[PETSc.Vec]] = []
        if sides:
            right = conditions.loads(system, self.boundary, load)
            tags = [system.walls.outer_tags] if self.boundary == "flux" else []
            compiled = system.vectors(lambda: right(problem.pick(system.tests)), f"load {self.boundary}", [load], tags)
            for j in range(problem.loads):
                load.value[:] = np.eye(problem.loads)[j]
                self.sides.append(system.assemble(compiled))
        self.means = system.assemble(system.vectors(lambda: _mean_form(system.tests), "mean"))
        solve.free_unused(self.cell.comm, self.cell.mesh.comm)  # what was assembled before, in Newton's method say

    def full(self, *, component: bool = False) -> list[PETSc.Mat | None]:
        """Return the prolongations of all fields, see :meth:`System.prolongations`; made once, collective."""
        if component not in self._prolongations:
            self._prolongations[component] = self.system.prolongations(component=component)
        return self._prolongations[component]

    @functools.cached_property
    def metric(self) -> list[list[PETSc.Mat | None]]:
        """The matrices of the metric, for which a direct solver does not ask; collective.

        That of the first field is the matrix itself where its components are alike.
        """
        metric = self.problem.metric
        if metric is None:
            return self.blocks
        return self.system.matrices(metric, "metric", first=self.component is None)

    def whole(self) -> list[list[PETSc.Mat | None]]:
        """Return the matrices of all pairs of fields, with that of the first field; collective."""
        if self.component is not None and self.blocks[0][0] is None:
            self.blocks[0][0] = solve.repeated(self.component, self.problem.fields[0].components)
        return self.blocks

    def operator(self, reduced: Reduced, *, nested: bool) -> PETSc.Mat:
        """Return the matrix of a group, a nest or not where there are several fields."""
        if self.component is None or self.blocks[0][0] is not None or not reduced.alike:
            matrix = reduced.matrix(self.whole())
        else:
            one = reduced.component(self.component)
            matrix = reduced.matrix(self.blocks, solve.repeated(one, self.problem.fields[0].components))
            if one is not self.component:
                one.destroy()
        return matrix if nested or len(self.blocks) == 1 else matrix.convert("aij")

    def mean_one(self, reduced: Reduced, vector: PETSc.Vec) -> Any:
        """Return a vector as functions, of the mean 1 over the parts where it lives; collective."""
        mean = reduced.vector(self.means)
        over = mean.duplicate()
        over.array[:] = np.where(np.abs(vector.array_r) > 0.0, mean.array_r, 0.0)
        scaled = vector.copy()
        scaled.scale(over.sum() / mean.dot(vector))
        result = self.problem.pick(reduced.functions(scaled, "density"))
        for thing in (mean, over, scaled):
            thing.destroy()
        return result

    def destroy(self) -> None:
        """Free what was assembled, and what nothing refers to any more (:func:`homfem.solve.free_unused`)."""
        vectors = [vector for side in self.sides for vector in side]
        made = [matrix for several in self._prolongations.values() for matrix in several]
        metric = self.__dict__.pop("metric", [])
        own = {id(one): one for row in (*self.blocks, *metric) for one in row} | {id(self.component): self.component}
        for given in self.problem.assembled.values():
            own.pop(id(given), None)
        for thing in (*self.means, *vectors, *made, *own.values()):
            if thing is not None:
                thing.destroy()
        self.blocks = []
        self._prolongations.clear()
        solve.free_unused(self.cell.comm, self.cell.mesh.comm)


class Group:
    """The loads that fix the same unknowns: one matrix and one solver serve them; collective.

    Parameters
    ----------
    posed
        The problem, assembled.
    planes
        What they fix.
    method
        How the systems are solved.
    """

    def __init__(self, posed: Posed, planes: tuple[Planes, ...], method: Method) -> None:
        self.posed, self.method, problem = posed, method, posed.problem
        self.reduced = reduced = posed.unknowns[planes]
        self.members = posed.groups[planes]
        # A nest does not multiply by aggregation's algebra: definite systems of several fields become one matrix.
        self.direct = posed.direct(method)
        self.nested = problem.kind == "saddle" and not self.direct
        self.stacked = Stacked(posed, reduced) if self.nested and stackable(posed, reduced) else None
        self.operator = self.stacked.operator if self.stacked else posed.operator(reduced, nested=self.nested)
        symmetric, rotations = problem.kind != "general", posed.boundary != "periodic"
        if symmetric:
            _check_symmetry(problem, self.operator)
        self.kernels = kernels_of(reduced, self.operator, posed.parts, symmetric=symmetric, rotations=rotations)
        # A load that does nothing (layers along the gradient) leaves round-off of a(F, v), which no solver can reduce.
        self.round_off = solve.round_off(self.operator, reduced.dofs)
        self.noise = self.round_off if problem.linear is None and posed.boundary != "flux" else 0.0
        if problem.kind == "general":  # all loads are of one kind: one that does nothing is told by the others
            largest = max(sum(part.norm() for part in side) for side in posed.sides)
            self.noise = max(self.noise, float(np.finfo(np.float64).eps * np.sqrt(reduced.dofs)) * largest)
        self.solver: Any = self._solver()
        self.mean, self.hidden = reduced.vector(posed.means), solve.product_noise(self.operator)
        self.x, self.rest = reduced.new_vector(), reduced.new_vector()

    def solve_all(self, found: Found) -> None:
        """Solve for all loads of the group; collective."""
        if self.stacked is None:
            for j in self.members:
                self.solve(j, found)
        else:
            self._at_once(found)

    def _at_once(self, found: Found) -> None:
        """Solve for all loads side by side, or one after the other from what that has found."""
        sides = [self.reduced.vector(self.posed.sides[j]) for j in self.members]
        solutions = [self.reduced.new_vector() for _ in sides]
        for j, side in zip(self.members, sides, strict=True):
            require_balance(self.posed.problem, side, self.kernels, j, self.round_off)
        try:
            start = time.perf_counter()
            count = self.solver.solve_all(sides, solutions)
            name, dofs, seconds = self.posed.problem.name, self.reduced.dofs, time.perf_counter() - start
            log.info("%s: %d loads at once, %d dofs, %d iterations, %.1f s", name, len(sides), dofs, count, seconds)
            for j, side, x in zip(self.members, sides, solutions, strict=True):
                self._finish(j, side, x, found)
        except ConvergenceError as error:
            log.info("%s One load after the other.", error)
            self._start_over(found)
            for j, x in zip(self.members, solutions, strict=True):
                x.copy(self.x)
                self.solve(j, found, guess=True)
        finally:
            for vector in (*sides, *solutions):
                vector.destroy()

    def _start_over(self, found: Found) -> None:
        """Go on without the stack, whose iterations count."""
        assert self.stacked is not None
        found.iterations += self.solver.iterations
        self.solver.destroy()
        self.stacked.destroy()
        self.stacked, self.operator = None, self.posed.operator(self.reduced, nested=True)
        self.solver = self._solver()

    def solve(self, j: int, found: Found, guess: bool = False) -> None:
        """Solve for the load j, from what :attr:`x` holds or from zero; collective."""
        reduced, x = self.reduced, self.x
        problem, side = self.posed.problem, reduced.vector(self.posed.sides[j])
        guess = guess and side.norm() > self.noise
        if not guess:
            x.set(0.0)
        if side.norm() > self.noise:
            if problem.linear is not None:
                require_balance(problem, side, self.kernels, j, self.round_off)
            count = self.solver.solve(side, x, guess=True) if guess else self.solver.solve(side, x)
            log.info("%s load %d: %d dofs, %d iterations", problem.name, j + 1, reduced.dofs, count)
        self._finish(j, side, x, found)
        side.destroy()

    def _finish(self, j: int, side: PETSc.Vec, x: PETSc.Vec, found: Found) -> None:
        """Take the means off a solution, and note it with its residual."""
        posed, reduced, rest = self.posed, self.reduced, self.rest
        problem = posed.problem
        for constant in self.kernels.right:
            rest.pointwiseMult(self.mean, constant)
            x.axpy(-rest.dot(x) / rest.dot(constant), constant)
        self.operator.mult(x, rest)
        if problem.stationary:
            found.products[j] = np.array([x.array_r, side.array_r, rest.array_r])
        rest.aypx(-1.0, side)
        found.residuals[j] = rest.norm(PETSc.NormType.N1) + self.hidden(x)
        found.functions[j] = problem.pick(reduced.functions(x, f"corrector_{j + 1}"))
        if self.kernels.apart and not found.left_kernel:
            found.left_kernel = tuple(posed.mean_one(reduced, vector) for vector in self.kernels.left)
        if posed.boundary == "flux":
            for i in range(problem.loads):
                other = reduced.vector(posed.sides[i])
                found.compliance[i, j] = other.dot(x) / posed.cell.lattice.volume
                other.destroy()

    def _solver(self) -> Any:
        problem, method = self.posed.problem, self.method
        options: dict[str, Any] = {
            "rtol": method.rtol,
            "max_iterations": method.max_iterations,
            "name": f"{problem.name} corrector",
        }
        if self.stacked is not None:
            own = method.preconditioner is None
            return self.stacked.solver(len(self.members), self.kernels.right, options, factors=own)
        if self.nested:
            return solve.BlockSolver(self.operator, self._blocks(), kernel=self.kernels.right, **options)
        if method.preconditioner == "streamline":
            (prolongation,) = self.reduced.prolongations(self.posed.full())
            kernel = self.kernels.right
            return solve.StreamlineSolver(self.operator, self.posed.along, prolongation, kernel=kernel, **options)
        chosen: str | Multigrid | Direct | None = "direct" if self.direct else method.preconditioner
        d = self.posed.cell.dimension
        if chosen is None or chosen == "multigrid":
            first = solve.DIRECT_CORRECTORS[d] if chosen is None and self.posed.has_room() else 0
            chosen = Multigrid(coarse=self._coarse, smoother=problem.smoother, direct_first=first, dimension=d)
        elif chosen == "direct":
            chosen = Direct(dimension=d)
        left = self.kernels.left if self.kernels.apart else ()
        return solve.LinearSolver(
            self.operator,
            method="gmres" if problem.kind == "general" else "cg",
            preconditioner=chosen,
            kernel=solve.Kernel(vectors=self.kernels.right, left=left),
            # Fields that a stiff term ties to each other: the residual is a small difference of large numbers.
            atol=self.noise if len(problem.fields) > 1 else 0.0,
            **options,
        )

    def _coarse(self) -> Coarse:
        """What multigrid needs for the matrix of all fields; collective."""
        prolongations = self.reduced.prolongations(self.posed.full())
        near = self.reduced.near_kernels(prolongations)
        chain = [p for p in prolongations if p is not None]
        if len(chain) > 1:
            count = len(chain)
            nest = PETSc.Mat().createNest([[chain[i] if i == j else None for j in range(count)] for i in range(count)])
            chain = [nest.convert("aij")]
        return Coarse(prolongations=chain, near_kernel=near[0] if len(near) == 1 else ())

    def _blocks(self) -> list[Block]:
        """What preconditions each field of a saddle point; collective."""
        prolongations = self.reduced.prolongations(self.posed.full())
        near = self.reduced.near_kernels(prolongations)
        problem, blocks = self.posed.problem, list[Block]()
        for k, field in enumerate(problem.fields):
            blocks.append(
                Block(
                    matrix=positive(self.reduced.diagonal(metric_of(self.posed, k), k)),
                    preconditioner=field.preconditioner,
                    prolongations=[p for p in (prolongations[k],) if p is not None],
                    near_kernel=near[k],
                )
            )
        return blocks

    def destroy(self) -> None:
        """Free what belongs to the group."""
        self.solver.destroy()
        self.kernels.destroy()
        for thing in (self.mean, self.x, self.rest):
            thing.destroy()
        if self.stacked is not None:
            self.stacked.destroy()
        elif self.operator is not self.posed.blocks[0][0]:  # which other groups of loads still need
            self.operator.destroy()


def _check_symmetry(problem: CellProblem, matrix: PETSc.Mat) -> None:
    r"""Compare :math:`x\cdot Ay` with :math:`y\cdot Ax` for random vectors scaled to the diagonal; collective."""
    diagonal = matrix.getDiagonal()
    size = np.abs(diagonal.array_r)
    weight = 1.0 / np.sqrt(np.where(size > 0.0, size, 1.0))
    diagonal.destroy()
    random = np.random.default_rng((12, matrix.comm.rank))
    x, y, image = (matrix.createVecRight() for _ in range(3))
    x.array[:], y.array[:] = weight * random.standard_normal((2, len(weight)))
    matrix.mult(y, image)
    forward = x.dot(image)
    image.array[:] *= weight
    limit = SYMMETRIC * image.norm()
    matrix.mult(x, image)
    different = abs(forward - y.dot(image))
    for vector in (x, y, image):
        vector.destroy()
    if different > limit:
        allowed = f"symmetric for kind = {problem.kind!r}"
        raise InputError("bilinear", problem.name, allowed, "Say kind='general' of a form that is not.")


def _mean_form(tests: Sequence[Any]) -> ufl.Form:
    """The integral of each basis function (the sum of its components)."""
    form = 0
    for v in tests:
        form += summed(v) * ufl.dx
    return form
