r"""Steps of the potentials in space: the membrane potential, and in a bidomain the extracellular one with it.

A step k of the scheme with the coefficient :math:`\theta` solves

.. math:: (M + \theta k K_i)\,\delta V = -k\,K_i(V + \varphi_e),\qquad V \leftarrow V + \delta V,

with the mass matrix M of :math:`\chi C_m`. The extracellular potential in it is that of the step before (lagged), or
that of :math:`V + \theta\,\delta V`, with :math:`\delta V` from a predictor (midpoint) or by iteration (implicit). That
converges: an error of :math:`\varphi_e` comes back smaller by :math:`\sigma_i/(\sigma_i+\sigma_e)` at least.
"""

from __future__ import annotations

import time as clock
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial

import numpy as np
from dolfinx import fem
from mpi4py import MPI
from petsc4py import PETSc

from homfem.macro.cardiac.extracellular import Extracellular
from homfem.macro.cardiac.tissue import Tissue
from homfem.parameters import Array, ConvergenceError
from homfem.solve import LinearSolver
from homfem.timestepping import DiffusionStep

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
        self._steps = {
            fraction: DiffusionStep(
                self.mass,
                self.stiffness,
                weights,
                step=fraction * step,
                scheme=self.method.one_step,
                make_solver=make,
                guess=False,
            )
            for fraction in self.method.split.fractions("diffusion")
        }
        if problem.kind != "monodomain":
            noise = 100.0 * float(np.finfo(np.float64).eps) * self.stiffness.norm(PETSc.NormType.INFINITY) * largest
            self._make_extracellular(noise * weights.getSize(), time)

    def _make_extracellular(self, noise: float, time: float) -> None:
        self.phi_e = fem.Function(self.tissue.space, name="phi_e")
        self._phi = self.phi_e.x.petsc_vec
        self.extracellular = Extracellular(self.tissue, self.stiffness, noise)
        self._driver, self._middle, self._change = (self.stiffness.createVecRight() for _ in range(3))
        # Start values: the potential one and two steps before, at the ends and at the middles of steps.
        self._before = self._phi.duplicate()
        self._middles = [self._phi.duplicate() for _ in range(2)]
        self.extracellular.solve(self._v, self._phi, time)
        for vector in (self._before, *self._middles):
            self._phi.copy(vector)

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
            diffusion.guess = self.method.preconditioner != "direct"
            self._correct(diffusion, time, 1 if coupling == "midpoint" else MOST_CORRECTIONS)
        self._v.axpy(1.0, diffusion.increments[-1])

    def follow(self, time: float) -> None:
        """Bring the extracellular potential to the membrane potential of a time."""
        if self.phi_e is not None:
            with self._timed("elliptic"):
                _extrapolate(self._phi, self._before)
                self.iterations["elliptic"] += self.extracellular.solve(self._v, self._phi, time)

    def _parabolic(self, diffusion: DiffusionStep, phi: PETSc.Vec) -> None:
        """Find the increment of V that V and an extracellular potential drive."""
        with self._timed("transfer"):
            self._v.copy(self._driver)
            self._driver.array[:] += self.tissue.of_nodes(phi.array_r)
        with self._timed("parabolic"):
            self.iterations["parabolic"] += diffusion.solve(self._driver)

    def _correct(self, diffusion: DiffusionStep, time: float, most: int) -> None:
        """Repeat the increment with the extracellular potential of the scheme's own place in the step."""
        theta, middle = diffusion.scheme.diagonal, self._middles[0]
        _extrapolate(middle, self._middles[1])
        change = self._change
        for _ in range(most):
            diffusion.increments[-1].copy(change)
            self._v.copy(self._middle)
            self._middle.axpy(theta, change)
            with self._timed("elliptic"):
                at = time + theta * diffusion.step
                self.iterations["elliptic"] += self.extracellular.solve(self._middle, middle, at)
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
        if self.phi_e is None:
            return {}
        found = {"phi_e": self.phi_e.x.array[: self.tissue.owned], "phi_e before": self._before.array}
        if self.method.coupled != "lagged":
            found |= {f"phi_e middle {k}": vector.array for k, vector in enumerate(self._middles)}
        return found


def _extrapolate(now: PETSc.Vec, before: PETSc.Vec) -> None:
    """Put ``2 now - before`` into ``now`` and ``now`` into ``before``, in place."""
    before.aypx(-1.0, now)  # now - before
    now.axpy(1.0, before)  # 2 now - before
    before.aypx(-1.0, now)  # the old now
