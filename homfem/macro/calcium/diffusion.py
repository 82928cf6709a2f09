"""Diffusion of the fields of a calcium problem: matrices and solvers are made once for all fields that share them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from mpi4py import MPI
from petsc4py import PETSc

from homfem.macro.calcium.unknowns import Nodal, Unknown
from homfem.macro.diffusion_step import DiffusionStep
from homfem.parameters import Array
from homfem.solve import LinearSolver, Multigrid
from homfem.timestepping import DiffusionScheme

#: Nodes from which on ``"auto"`` looks for more than Jacobi's; below, the same iterations on any number of ranks count.
LARGE = 20_000
#: Sizes of :math:`a\max K_{ii}/M_{ii}` from which on incomplete factors and multigrid take less time than what comes
#: before. Of the time of Jacobi, in cubes: factors 1.06 at 1.5 (30,000 nodes), 0.83 at 3 and 6, 0.6 at 30 and 120,
#: multigrid 0.63 at 120 and 0.34 at 600, where factors take 0.62.
STEEP, STEEPEST = 1.0, 150.0


@dataclass(slots=True, eq=False)
class _Shared:
    """Fields with the same matrices, up to a factor of each: those of the first, and its weights."""

    mass: PETSc.Mat
    stiffness: PETSc.Mat
    weights: PETSc.Vec
    fields: list[tuple[Unknown, float]]
    steps: dict[float, DiffusionStep]
    noise: float


class Diffusion:
    """Implicit steps of all fields that diffuse; collective.

    Parameters
    ----------
    unknowns
        The fields.
    scheme
        The one-step method.
    rtol, preconditioner
        Of :class:`homfem.solve.LinearSolver`, on the increments of a step; ``"auto"``: Jacobi's, or on large meshes
        what is the fastest for the step (:func:`preconditioner_of`).
    guess
        Iterations start from the increments of the step before.

    Attributes
    ----------
    shared
        The fields that share matrices, group by group; fields whose capacities and tensors are those of another times
        one number share with it.
    """

    def __init__(
        self,
        unknowns: Sequence[Unknown],
        *,
        scheme: DiffusionScheme,
        rtol: float,
        preconditioner: str,
        guess: bool = True,
    ) -> None:
        self.scheme, self.rtol, self.preconditioner, self.guess = scheme, rtol, preconditioner, guess
        self.shared: list[_Shared] = []
        for unknown in unknowns:
            if unknown.field.diffusion is not None:
                self._join(unknown)
        self._steps: dict[tuple[str, float], DiffusionStep] = {}
        self._kept: dict[tuple[str, float, int], Nodal] = {}

    def _join(self, unknown: Unknown) -> None:
        """Put a field beside one whose matrices it shares, or make them."""
        for group in self.shared:
            factor = ratio(group.fields[0][0], unknown)
            if factor is not None:
                group.fields.append((unknown, factor))
                return
        mass, stiffness = unknown.matrices()
        weights = mass.createVecLeft()
        weights.array[:] = unknown.weights
        self.shared.append(_Shared(mass, stiffness, weights, [(unknown, 1.0)], {}, 0.0))

    def prepare(self, step: float) -> None:
        """Set up the steps of one length, if there are none yet; collective."""
        for group in self.shared:
            if step in group.steps:
                continue
            if not group.steps:
                # At rest there is nothing to solve for but round-off: an increment of 1e-15 of the field is none.
                largest = min((one for field, _ in group.fields if (one := field.largest())), default=1.0)
                group.noise = 1e-15 * largest * group.weights.norm()
            made = DiffusionStep(
                group.mass,
                group.stiffness,
                group.weights,
                step=step,
                scheme=self.scheme,
                make_solver=partial(
                    LinearSolver,
                    preconditioner=self._chosen(group, step),
                    rtol=self.rtol,
                    atol=group.noise,
                    name="calcium diffusion, " + ", ".join(field.name for field, _ in group.fields),
                ),
                guess=self.guess and self.preconditioner != "direct",
            )
            group.steps[step] = made
            for k, (field, _) in enumerate(group.fields):
                self._steps[field.name, step] = made if k == 0 else made.of_another()

    def _chosen(self, group: _Shared, step: float) -> str | Multigrid:
        if self.preconditioner != "auto":
            return self.preconditioner
        return preconditioner_of(group.mass, group.stiffness, self.scheme.diagonal * step)

    def increments(self, name: str, step: float) -> list[Nodal]:
        """Return the start values of the linear solver of a field, as a restart needs them."""
        part = next(field.part for group in self.shared for field, _ in group.fields if field.name == name)
        found = []
        for stage, vector in enumerate(self._steps[name, step].increments):
            key = (name, step, stage)
            if key not in self._kept:
                self._kept[key] = Nodal(part, f"increment {name}", vector)
            found.append(self._kept[key])
        return found

    def apply(self, step: float, loads: Mapping[str, Array] | None = None, *, tried: bool = False) -> int:
        """Advance all fields by a step; return the iterations. Collective.

        Parameters
        ----------
        step
            One that is prepared.
        loads
            What enters a field per time at its nodes.
        tried
            Only find the increments, which :meth:`predicted` tells, of the fields with loads.
        """
        count = 0
        for group in self.shared:
            for field, factor in group.fields:
                load = (loads or {}).get(field.name)
                if tried and load is None:
                    continue
                one = self._steps[field.name, step]
                self._set_load(one, load, factor)
                count += one.solve(field.vector) if tried else one.apply(field.vector)
        return count

    def predicted(self, field: Unknown, step: float) -> Array:
        """Return what a field becomes by the increments that were found last."""
        return np.asarray(field.values + self._steps[field.name, step].increments[-1].array_r)

    def _set_load(self, step: DiffusionStep, load: Array | None, factor: float) -> None:
        if load is None:
            step.load = None
            return
        if step.load is None:
            step.load = step.increments[0].duplicate()
        step.load.array[:] = load / factor


def preconditioner_of(mass: PETSc.Mat, stiffness: PETSc.Mat, a: float) -> str | Multigrid:
    r"""Return the preconditioner of M + aK that takes the least time; collective.

    Jacobi's iterations grow with :math:`a\max K_{ii}/M_{ii}`, the square of the length of diffusion over the mesh
    size, and so faster than the nodes of a mesh that is refined; those of incomplete factors a third as fast, those of
    multigrid hardly.
    """
    if mass.getSize()[0] < LARGE:
        return "jacobi"
    steep = a * stiffness.getDiagonal().array_r / mass.getDiagonal().array_r
    most = mass.comm.tompi4py().allreduce(float(steep.max(initial=0.0)), op=MPI.MAX)
    if most < STEEP:
        return "jacobi"
    return "incomplete-cholesky" if most < STEEPEST else Multigrid(relaxation=("incomplete-cholesky", "chebyshev"))


def ratio(first: Unknown, other: Unknown) -> float | None:
    """Return by what number the matrices of another field are those of the first one; None if by no number."""
    if first.part is not other.part:
        return None
    keys = set(first.field.capacity)
    if keys != set(other.field.capacity) or first.field.diffusion is None or other.field.diffusion is None:
        return None
    pairs: list[tuple[Any, Any]] = [(first.field.capacity[key], other.field.capacity[key]) for key in keys]
    factor = pairs[0][1] / pairs[0][0]
    pairs += [(first.field.diffusion[key], other.field.diffusion[key]) for key in keys]
    same = all(np.allclose(np.multiply(factor, a), b, rtol=1e-14, atol=0.0) for a, b in pairs)
    return factor if same else None
