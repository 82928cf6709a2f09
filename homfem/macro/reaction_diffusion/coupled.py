r"""Transport and reaction of all species as one nonlinear system, solved by Newton's method with damping.

A stage in time, or the state at rest, is

.. math:: B_i u_i - a\,M\,R_i(t, u) = c_i,\qquad B_i = M_i + aK_i\ \text{or}\ K_i,

with the matrices of :mod:`homfem.macro.linear`, the mass matrix M without volume fraction, and R at the nodes: its
derivatives scale the columns of M, so that nothing is assembled again.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from mpi4py import MPI
from petsc4py import PETSc

from homfem.kinetics import PointKinetics
from homfem.macro.linear_problem import FixedValues, Load
from homfem.macro.reaction_diffusion.equations import Equations
from homfem.macro.rungs import Rungs
from homfem.macro.stimulus import NodalStimulus
from homfem.parameters import Array, ConvergenceError, InputError
from homfem.solve import LinearSolver
from homfem.timestepping import DiffusionScheme

log = logging.getLogger("homfem")

#: Newton's method ends at this residual, relative to the terms of the equation; where round-off lets it fall no
#: further, this one is taken.
RESIDUAL, EXCUSED = 1e-14, 1e-10
MOST_STEPS, SMALLEST = 40, 2.0**-12
#: Entries of the largest matrix that is factored.
_FACTORED = 3_000_000


class Coupled:
    """The system of all species; collective.

    Parameters
    ----------
    equations
        The linear problems.
    kinetics, parameters
        R, and its parameters at the nodes; None: no reaction.

    Attributes
    ----------
    brought : list of float
        What the last step, or the state at rest in a unit of time, brought to each species.
    reacted : list of float
        What of that came from R.
    inner : float
        As of :class:`homfem.macro.linear.BoundedDiffusionStep`.
    thrown : list of float
        Of the state at rest, what comes and goes at all nodes, without signs.

    Raises
    ------
    InputError
        For kinetics with states, or without a Jacobian.
    """

    def __init__(self, equations: Equations, kinetics: PointKinetics | None, parameters: Mapping[str, Any]) -> None:
        self.equations, self.kinetics, self.comm = equations, kinetics, equations.problem.domain.comm
        if kinetics is not None and (kinetics.states or kinetics.jacobian is None):
            what = "with states" if kinetics.states else "without a Jacobian"
            allowed = "kinetics without states and with a Jacobian, to be solved together with transport"
            raise InputError("kinetics", f"{kinetics.name} {what}", allowed, "Split them: splitting = 'strang'.")
        species = equations.problem.species
        self.names = [entry.name for entry in species]
        self.rows = [] if kinetics is None else [self.names.index(field.name) for field in kinetics.fields]
        self.parameters = None if kinetics is None else kinetics.values(parameters, size=equations.owned)
        self.problems = [equations.problem_of(name) for name in self.names]
        made: dict[str, tuple[PETSc.Mat, PETSc.Mat, PETSc.Mat]] = {}
        for name, problem in zip(self.names, self.problems, strict=True):
            if equations.alike.get(name, name) == name:
                made[name] = problem.mass(), problem.mass(capacity=False), problem.stiffness()
        of = [made[equations.alike.get(name, name)] for name in self.names]
        self.mass, self.plain, self.stiffness = (list(entry) for entry in zip(*of, strict=True))
        self.fixed, self.load = [FixedValues(p) for p in self.problems], [Load(p) for p in self.problems]
        self.sources = [
            NodalStimulus(
                equations.problem.domain, equations.space, entry.sources, name=f"species.{entry.name}.sources"
            )
            for entry in species
        ]
        self.leaks = []
        for matrix in self.stiffness:
            ones, sums = matrix.createVecLeft(), matrix.createVecRight()
            ones.set(1.0)
            matrix.multTranspose(ones, sums)
            self.leaks.append(sums)
        pairs = list(zip(self.mass, self.stiffness, strict=True))
        self._stages = Rungs(lambda a: [_sum(mass, a, stiffness) for mass, stiffness in pairs], rounded=False)
        self.inner = 0.0
        self.brought, self.thrown, self.reacted = ([0.0] * len(self.names) for _ in range(3))

    def step(self, u: Sequence[PETSc.Vec], time: float, step: float, scheme: DiffusionScheme) -> int:
        """Advance the species in place by a step; return the steps of Newton's method. Collective."""
        start, count, a = [vector.copy() for vector in u], 0, scheme.diagonal * step
        slopes, gains = self._slopes(time, start)
        moved: list[PETSc.Vec] = []
        self.brought, self.reacted = [0.0] * len(u), [0.0] * len(u)
        for (carry, slope), forcing in zip(scheme.stages, scheme.forcing, strict=True):
            explicit, sides = slope * step - a, []
            for i, before in enumerate(start):
                side = self._force(i, time, step, [(weight * slope * step, at) for weight, at in forcing])
                self._bring(i, side.sum(), *(explicit * gain for gain in gains[i]), carry=carry)
                self.reacted[i] = carry * self.reacted[i] + explicit * gains[i][0]
                side.axpy(explicit, slopes[i])
                self.mass[i].multAdd(before, side, side)
                if carry:
                    side.axpy(carry, moved[i])
                sides.append(side)
            count += self._newton(u, self._stages.of(a), a, sides, self._when(time, step, forcing[-1][1]))
            moved = [self._moved(i, before, u[i]) for i, before in enumerate(start)]
        return count

    def _when(self, time: float, step: float, part: float) -> float:
        """Return the time after a part of a step, ``inner`` of it away from both ends."""
        return time + min(max(part, self.inner), 1.0 - self.inner) * step

    def rest(self, u: Sequence[PETSc.Vec]) -> int:
        """Solve for the state at rest, from what ``u`` holds; return the steps of Newton's method. Collective."""
        sides = [self._force(i, 0.0, 1.0, [(1.0, 0.0)]) for i in range(len(u))]
        self.brought, self.reacted = [side.sum() for side in sides], [0.0] * len(u)
        count = self._newton(u, self.stiffness, 1.0, sides, 0.0)
        for i, rate in enumerate(self._rates(0.0, u)):
            moved = self.stiffness[i].createVecLeft()
            self.stiffness[i].mult(u[i], moved)
            reacted = self.comm.allreduce(float(self.equations.volumes @ np.abs(rate)))
            one = PETSc.NormType.NORM_1
            self.thrown[i] = reacted + sides[i].norm(one) + moved.norm(one)
        return count

    def _bring(self, i: int, *parts: float, carry: float = 1.0) -> None:
        self.brought[i] = carry * self.brought[i] + sum(parts)

    def _moved(self, i: int, before: PETSc.Vec, after: PETSc.Vec) -> PETSc.Vec:
        change, result = after.copy(), self.mass[i].createVecLeft()
        change.axpy(-1.0, before)
        self.mass[i].mult(change, result)
        return result

    def _force(self, i: int, time: float, step: float, terms: Sequence[tuple[float, float]]) -> PETSc.Vec:
        """Return what boundaries and sources bring, at times that are parts of a step, with weights."""
        side, work = self.plain[i].createVecLeft(), self.plain[i].createVecLeft()
        for weight, at in terms:
            self.load[i].add(self._when(time, step, at), weight, side, work)
        if self.sources[i].stimuli:
            rates = self.plain[i].createVecRight()
            self.sources[i].add(rates.array, time, step)
            rates.scale(sum(weight for weight, _ in terms) / step)
            self.plain[i].multAdd(rates, side, side)
        return side

    def _rates(self, time: float, u: Sequence[PETSc.Vec]) -> list[Array]:
        """Return R at the owned nodes."""
        found: list[Array] = [np.zeros(self.equations.owned) for _ in u]
        if self.kinetics is not None:
            fields = [np.asarray(u[row].array_r) for row in self.rows]
            rates = self.kinetics.rates(time, fields, np.empty((0, self.equations.owned)), self.parameters)
            if self.kinetics.stoichiometry is not None:
                rates = np.array(self.kinetics.stoichiometry) @ rates
            for row, rate in zip(self.rows, rates, strict=True):
                found[row] = np.asarray(rate, dtype=np.float64)
        return found

    def _slopes(self, time: float, u: Sequence[PETSc.Vec]) -> tuple[list[PETSc.Vec], list[tuple[float, float]]]:
        """Return M R - K u of each species, and the sums of the two."""
        slopes, gains = [], []
        for i, rate in enumerate(self._rates(time, u)):
            slope, values = self.plain[i].createVecLeft(), self.plain[i].createVecRight()
            self.stiffness[i].mult(u[i], slope)
            slope.scale(-1.0)
            values.array[:] = rate
            self.plain[i].multAdd(values, slope, slope)
            slopes.append(slope)
            reacted = self.comm.allreduce(float(self.equations.volumes @ rate))
            gains.append((reacted, -float(self.leaks[i].dot(u[i]))))
        return slopes, gains

    def _newton(
        self, u: Sequence[PETSc.Vec], base: Sequence[PETSc.Mat], a: float, sides: Sequence[PETSc.Vec], time: float
    ) -> int:
        """Solve a stage in place, and count what it brings; return the steps."""
        for fixed, vector in zip(self.fixed, u, strict=True):
            fixed.at(time, vector)
        rest, size = self._residual(u, base, a, sides, time)
        left = self._free(rest)
        for count in range(MOST_STEPS):  # noqa: B007 - told below
            if left <= RESIDUAL * size:
                break
            change = self._direction(u, base, a, rest, time)
            length, better = 1.0, False
            while length >= SMALLEST and not better:
                tried = [vector.copy() for vector in u]
                for vector, more in zip(tried, change, strict=True):
                    vector.axpy(length, more)
                new, new_size = self._residual(tried, base, a, sides, time)
                better = self._free(new) <= (1.0 - 1e-4 * length) * left
                length *= 0.5
            if not better:
                break
            for vector, value in zip(u, tried, strict=True):
                value.copy(vector)
            rest, size, left = new, new_size, self._free(new)
        if not left <= EXCUSED * size:
            raise ConvergenceError(
                f"reaction-diffusion: Newton's method stopped after {count + 1} steps with a residual of {left:.3e}, "
                f"{EXCUSED * size:.3e} was asked for. Start nearer to the solution, or take a smaller step."
            )
        for i, (rate, fixed) in enumerate(zip(self._rates(time, u), self.fixed, strict=True)):
            reacted = self.comm.allreduce(a * float(self.equations.volumes @ rate))
            held = self.comm.allreduce(float(rest[i].array_r[fixed.dofs].sum()))
            self.reacted[i] += reacted
            self._bring(i, reacted, -a * float(self.leaks[i].dot(u[i])), held)
        return count

    def _residual(
        self, u: Sequence[PETSc.Vec], base: Sequence[PETSc.Mat], a: float, sides: Sequence[PETSc.Vec], time: float
    ) -> tuple[list[PETSc.Vec], float]:
        """Return the residuals, and the size of their terms."""
        found, size = [], 0.0
        for i, rate in enumerate(self._rates(time, u)):
            rest, values = self.plain[i].createVecLeft(), self.plain[i].createVecRight()
            base[i].mult(u[i], rest)
            size += rest.norm() + sides[i].norm()
            values.array[:] = -a * rate
            work = self.plain[i].createVecLeft()
            self.plain[i].mult(values, work)
            size += work.norm()
            rest.axpy(1.0, work)
            rest.axpy(-1.0, sides[i])
            found.append(rest)
        if not np.isfinite(size):
            raise ConvergenceError("reaction-diffusion: the equations are not finite. Start nearer to the solution.")
        return found, size

    def _free(self, rest: Sequence[PETSc.Vec]) -> float:
        """Return the norm of residuals but for the rows of fixed values."""
        total = 0.0
        for vector, fixed in zip(rest, self.fixed, strict=True):
            values = vector.array_r.copy()
            values[fixed.dofs] = 0.0
            total += float(values @ values)
        return float(np.sqrt(self.comm.allreduce(total, op=MPI.SUM)))

    def _direction(
        self, u: Sequence[PETSc.Vec], base: Sequence[PETSc.Mat], a: float, rest: Sequence[PETSc.Vec], time: float
    ) -> list[PETSc.Vec]:
        """Return Newton's change of the species."""
        blocks: list[list[PETSc.Mat | None]] = [[None] * len(u) for _ in u]
        for i, matrix in enumerate(base):
            blocks[i][i] = matrix.copy()
        for (i, j), slope in self._slopes_of_rates(time, u).items():
            scaled = self.plain[i].copy()
            column = scaled.createVecRight()
            column.array[:] = -a * slope
            scaled.diagonalScale(None, column)
            if blocks[i][j] is None:
                blocks[i][j] = scaled
            else:
                blocks[i][j].axpy(1.0, scaled, structure=PETSc.Mat.Structure.SAME_NONZERO_PATTERN)  # type: ignore[union-attr]
        for i, fixed in enumerate(self.fixed):
            for j, block in enumerate(blocks[i]):
                if block is not None:
                    block.zeroRows(fixed.rows, diag=1.0 if i == j else 0.0)
        matrix = blocks[0][0] if len(u) == 1 else PETSc.Mat().createNest(blocks, comm=self.comm).convert("aij")
        right, change = matrix.createVecLeft(), matrix.createVecRight()
        owned = self.equations.owned
        for i, (vector, fixed) in enumerate(zip(rest, self.fixed, strict=True)):
            values = -vector.array_r
            values[fixed.dofs] = 0.0
            right.array[i * owned : (i + 1) * owned] = values
        small = matrix.getInfo(PETSc.Mat.InfoType.GLOBAL_SUM)["nz_used"] <= _FACTORED
        solver = LinearSolver(
            matrix,
            method="gmres",
            preconditioner="direct" if small else "incomplete-factors",
            rtol=1e-10,
            name="Newton's step",
        )
        solver.solve(right, change)
        solver.destroy()
        matrix.destroy()
        parts = []
        for i, vector in enumerate(u):
            part = vector.duplicate()
            part.array[:] = change.array_r[i * owned : (i + 1) * owned]
            parts.append(part)
        return parts

    def _slopes_of_rates(self, time: float, u: Sequence[PETSc.Vec]) -> dict[tuple[int, int], Array]:
        """Return the derivatives of R at the nodes by pairs of species, those that are not zero on some rank."""
        if self.kinetics is None or self.kinetics.jacobian is None:
            return {}
        fields = [np.asarray(u[row].array_r) for row in self.rows]
        found = self.kinetics.jacobian(time, fields, np.empty((0, self.equations.owned)), self.parameters)
        there = np.array(np.abs(found).max(axis=2, initial=0.0) > 0.0)
        self.comm.Allreduce(MPI.IN_PLACE, there, op=MPI.LOR)
        return {(self.rows[i], self.rows[j]): found[i, j] for i, j in np.argwhere(there)}


def _sum(mass: PETSc.Mat, a: float, stiffness: PETSc.Mat) -> PETSc.Mat:
    result = mass.copy()
    result.axpy(a, stiffness, structure=PETSc.Mat.Structure.SAME_NONZERO_PATTERN)
    return result
