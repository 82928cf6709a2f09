r"""Steps of the potentials in space: the membrane potential, and in a bidomain the extracellular one with it.

A step k of the scheme with the coefficient :math:`\theta` solves

.. math:: (M + \theta k K_i)\,\delta V = -k\,K_i(V + \varphi_e),\qquad V \leftarrow V + \delta V,

with the mass matrix M of :math:`\chi C_m`. The extracellular potential in it is that of the step before (lagged), or
that of :math:`V + \theta\,\delta V`, with :math:`\delta V` from a predictor (midpoint) or by iteration (implicit). That
converges: an error of :math:`\varphi_e` comes back smaller by :math:`\sigma_i/(\sigma_i+\sigma_e)` at least.

Each solve starts from those of the two steps before (:class:`homfem.solve.Successive`), which a restart needs.
"""

from __future__ import annotations

import time as clock
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial

import numpy as np
from dolfinx import fem
from mpi4py import MPI
from petsc4py import PETSc

from homfem.macro.cardiac.extracellular import Extracellular
from homfem.macro.cardiac.problem import CardiacMethod
from homfem.macro.cardiac.tissue import Tissue
from homfem.macro.diffusion_step import DiffusionStep
from homfem.parameters import Array, ConvergenceError
from homfem.solve import LinearSolver, Successive

#: Corrections of an implicit coupling at the most.
MOST_CORRECTIONS = 100


class Diffusion:
    """Advances the potentials in space; matrices and solvers are set up here, once. Collective.

    Parameters
    ----------
    tissue
        The tissue with its problem and method.
    potential
        V on the nodes of the tissue, in place.
    seconds
        Wall time by stage, to which that of the stages here is added.
    step
        Time step, ms.
    time
        Of the start, ms.

    Attributes
    ----------
    phi_e : Function or None
        The extracellular potential, of a bidomain.
    iterations : dict
        Of the linear solvers by stage, so far.
    """

    def __init__(
        self, tissue: Tissue, potential: PETSc.Vec, seconds: dict[str, float], *, step: float, time: float
    ) -> None:
        self.tissue, self.method, self.step, self._v = tissue, tissue.method, step, potential
        problem = tissue.problem
        self.phi_e: fem.Function | None = None
        self._seconds = seconds
        self._seconds |= dict.fromkeys(("parabolic", "elliptic", "transfer"), 0.0)
        self.iterations = dict.fromkeys(
            ("parabolic",) if problem.kind == "monodomain" else ("parabolic", "elliptic"), 0
        )
        self.mass, self.stiffness = tissue.mass(), tissue.stiffness()
        ones, weights = self.mass.createVecs()
        ones.set(1.0)
        self.mass.mult(ones, weights)
        ones.destroy()
        largest = tissue.domain.comm.allreduce(float(np.abs(potential.array_r).max(initial=0.0)), op=MPI.MAX) or 1.0
        # At rest there is nothing to solve for but round-off: an increment of 1e-14 of the field is none.
        make = partial(
            LinearSolver,
            preconditioner=self.method.preconditioner,
            rtol=self.method.rtol,
            atol=1e-14 * largest * weights.norm(),
            name=f"{problem.kind}, parabolic step",
        )
        self.weights = weights
        self._solvers: dict[float, _Following] = {}
        self._steps = {
            fraction: self._step_over(fraction, make) for fraction in self.method.split.fractions("diffusion")
        }
        self._wholes: dict[str, Array] = {}  # of the increments, where there is a bath
        if problem.kind != "monodomain":
            noise = 100.0 * float(np.finfo(np.float64).eps) * self.stiffness.norm(PETSc.NormType.INFINITY) * largest
            self._make_extracellular(noise * weights.getSize(), time)

    def _step_over(self, fraction: float, make: Callable[[PETSc.Mat], LinearSolver]) -> DiffusionStep:
        def following(matrix: PETSc.Mat) -> _Following:
            self._solvers[fraction] = _Following(make(matrix), self.method)
            return self._solvers[fraction]

        return DiffusionStep(
            self.mass,
            self.stiffness,
            self.weights,
            step=fraction * self.step,
            scheme=self.method.one_step,
            make_solver=following,
            guess=False,
        )

    def _make_extracellular(self, noise: float, time: float) -> None:
        self.phi_e = fem.Function(self.tissue.space, name="phi_e")
        self._phi = self.phi_e.x.petsc_vec
        self.extracellular = Extracellular(self.tissue, self.stiffness, noise)
        self._driver, self._middle, self._change = (self.stiffness.createVecRight() for _ in range(3))
        self._ends, self._middles = (self.extracellular.successive() for _ in range(2))
        self._at_middle = self._phi.duplicate()
        self.iterations["elliptic"] += self.extracellular.solve(self._v, self._phi, time, before=self._ends)

    @contextmanager
    def _timed(self, stage: str) -> Iterator[None]:
        started = clock.perf_counter()
        yield
        self._seconds[stage] += clock.perf_counter() - started

    def move(self, time: float, step: float) -> None:
        """Advance V by a step, a fraction of the splitting, from a time."""
        fraction = min(self._steps, key=lambda f: abs(f * self.step - step))
        diffusion = self._steps[fraction]
        if self.phi_e is None:
            with self._timed("parabolic"):
                self.iterations["parabolic"] += diffusion.apply(self._v)
            return
        coupling = self.method.coupled
        diffusion.guess = False
        self._parabolic(diffusion, self._phi)
        if coupling != "lagged":
            diffusion.guess = True
            self._correct(diffusion, time, 1 if coupling == "midpoint" else MOST_CORRECTIONS)
        self._v.axpy(1.0, diffusion.increments[-1])

    def follow(self, time: float) -> None:
        """Bring the extracellular potential to the membrane potential of a time."""
        if self.phi_e is not None:
            with self._timed("elliptic"):
                self.iterations["elliptic"] += self.extracellular.solve(self._v, self._phi, time, before=self._ends)

    def _parabolic(self, diffusion: DiffusionStep, phi: PETSc.Vec) -> None:
        """Find the increment of V that V and an extracellular potential drive."""
        with self._timed("transfer"):
            self._v.copy(self._driver)
            self._driver.array[:] += self.tissue.of_nodes(phi.array_r)
        with self._timed("parabolic"):
            self.iterations["parabolic"] += diffusion.solve(self._driver)

    def _correct(self, diffusion: DiffusionStep, time: float, most: int) -> None:
        """Repeat the increment with the extracellular potential of the scheme's own place in the step."""
        # A flux that is constant over the step errs at third order if it is that of the middle, whatever the stages.
        theta, middle, change = 0.5 if diffusion.scheme.order > 1 else 1.0, self._at_middle, self._change
        for k in range(most):
            diffusion.increments[-1].copy(change)
            self._v.copy(self._middle)
            self._middle.axpy(theta, change)
            with self._timed("elliptic"):
                at, before = time + theta * diffusion.step, None if k else self._middles
                count = self.extracellular.solve(self._middle, middle, at, before=before, guess=k > 0)
                self.iterations["elliptic"] += count
            self._parabolic(diffusion, middle)
            if most > 1:
                change.axpy(-1.0, diffusion.increments[-1])
                if change.norm() <= 2.0 * self.method.rtol * diffusion.increments[-1].norm():
                    break
        else:
            if most > 1:
                raise ConvergenceError(f"cardiac bidomain: the coupling did not converge in {most} corrections.")

    def norms(self) -> list[float]:
        """Return the norms of the matrices, which tell a problem from others; collective."""
        matrices = [self.mass, self.stiffness]
        if self.phi_e is not None:
            matrices.append(self.extracellular.solver.matrix)
        return [matrix.norm() for matrix in matrices]

    def state(self) -> dict[str, Array]:
        """Return what a restart needs beside V, by name: owned values of the whole domain, as views."""
        found, nodes = self._increments(), self.tissue.nodes
        if nodes is not None:
            for name, values in found.items():
                self._wholes.setdefault(name, np.zeros(self.tissue.owned))[nodes] = values
            found = dict(self._wholes)
        if self.phi_e is not None:
            found["phi_e"] = self.phi_e.x.array[: self.tissue.owned]
            middles = None if self.method.coupled == "lagged" else self._middles
            for name, successive in (("phi_e", self._ends), ("phi_e at the middle", middles)):
                if successive is not None:
                    found |= {f"{name}, {key}": values for key, values in successive.state().items()}
        return found

    def restored(self) -> None:
        """Take what a checkpoint has put into the values of the whole domain."""
        for name, values in self._increments().items() if self._wholes else ():
            values[:] = self._wholes[name][self.tissue.nodes]
        if self.phi_e is not None:
            self._phi.stateIncrease()  # PETSc has not seen it change, and keeps a norm of zero for zero

    def _increments(self) -> dict[str, Array]:
        """Return the increments of V before, at the nodes of the tissue, by name."""
        found: dict[str, Array] = {}
        for fraction, solver in self._solvers.items():
            found |= {f"increment over {fraction:g}, {key}": values for key, values in solver.state().items()}
        return found


class _Following:
    """The solver of diffusion steps, which start from the increments of the steps before, stage by stage."""

    def __init__(self, solver: LinearSolver, method: CardiacMethod) -> None:
        self.solver = solver
        direct = method.preconditioner == "direct"
        vector = solver.matrix.createVecRight()
        self._stages = [None if direct else Successive(vector) for _ in method.one_step.stages]
        self._next = 0

    def solve(self, b: PETSc.Vec, x: PETSc.Vec, guess: bool = False) -> int:
        """Solve for the increment of the next stage, or, with ``guess``, for ``x`` again."""
        stage = self._stages[self._next]
        if guess:
            return self.solver.solve(b, x, guess=stage is not None)
        self._next = (self._next + 1) % len(self._stages)
        return self.solver.solve(b, x, before=stage)

    def state(self) -> dict[str, Array]:
        """Return what a restart needs, by name."""
        stages = [(k, stage) for k, stage in enumerate(self._stages, start=1) if stage is not None]
        return {f"stage {k}, {key}": values for k, stage in stages for key, values in stage.state().items()}
