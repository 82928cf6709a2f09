r"""The extracellular potential for a given membrane potential: the elliptic equation of the bidomain, many times.

.. math:: -\nabla\cdot\bigl((\sigma_i+\sigma_e)\nabla\varphi_e\bigr) = \nabla\cdot(\sigma_i\nabla V) + s_i + s_e

in the tissue, :math:`-\nabla\cdot(\sigma_b\nabla\varphi_e) = s_e` in the bath. Where no electrode fixes it, it has mean
zero.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import ufl
from petsc4py import PETSc

from homfem.macro.cardiac.tissue import Tissue
from homfem.macro.conditions import Dirichlet, Neumann, Pulsed
from homfem.macro.linear import EllipticSolver
from homfem.macro.linear_problem import LinearProblem
from homfem.macro.protocols import Timing
from homfem.macro.stimulus import Part, Stimulus, overlap
from homfem.parameters import Array, InputError
from homfem.solve import Multigrid, Successive, assemble_vector, integrate

#: What currents may leave over, relative to the sum of their absolute values.
BALANCE = 1e-8
#: Smoothers of its multigrid, in the order in which they are tried.
RELAXATIONS = ("incomplete-cholesky", "sweeps")


class Extracellular:
    """Solves for the extracellular potential; collective.

    Parameters
    ----------
    tissue
        The tissue with its problem.
    stiffness
        :math:`K_i` on the nodes of the tissue.
    noise
        The sum of absolute values of what round-off leaves in :math:`K_i V`.

    Raises
    ------
    InputError
        For currents that do not sum to zero where no electrode lets them out.
    """

    def __init__(self, tissue: Tissue, stiffness: PETSc.Mat, noise: float) -> None:
        self.tissue, self._stiffness, self._flux = tissue, stiffness, stiffness.createVecLeft()
        problem, method = tissue.problem, tissue.method
        grounded = any(isinstance(electrode, Dirichlet) for electrode in problem.electrodes)
        if not grounded:
            _check_balance(tissue)
        linear = LinearProblem(
            domain=tissue.domain,
            space=tissue.space,
            coefficient=tissue.whole_coefficient(),
            conditions=tuple(problem.electrodes),
            name="extracellular potential",
        )
        chosen = method.elliptic_preconditioner
        self.solver = EllipticSolver(
            linear,
            balance=BALANCE,
            noise=noise,
            preconditioner=Multigrid(relaxation=RELAXATIONS) if chosen == "multigrid" else chosen,
            rtol=method.elliptic_rtol,
            atol=noise / np.sqrt(tissue.space.dofmap.index_map.size_global),
        )
        self._successive = chosen != "direct"
        self._load = self._flux if tissue.nodes is None else self.solver.matrix.createVecLeft()
        self._sources: list[tuple[Timing, Any, Array]] = []
        v, dx = ufl.TestFunction(tissue.space), ufl.dx(domain=tissue.domain.mesh)
        for name, part, sources in _sources(tissue):
            if not sources:
                continue
            basis = assemble_vector((1.0 if part is None else tissue.inside) * v * dx)
            nodes = np.arange(tissue.owned) if part is None else part.nodes
            for k, source in enumerate(sources):
                weights, _ = overlap(tissue.domain, tissue.space, source.place, name=f"{name}[{k}]", within=part)
                currents = source.amplitude * weights * basis.array_r[nodes]
                use = np.flatnonzero(currents)
                self._sources.append((source.schedule, nodes[use], currents[use]))
            basis.destroy()

    def successive(self) -> Successive | None:
        """Return a sequence of solutions, each of which starts from those before; None for a direct solver."""
        return Successive(self.solver.matrix.createVecRight()) if self._successive else None

    def solve(
        self,
        potential: PETSc.Vec,
        phi: PETSc.Vec,
        time: float,
        *,
        before: Successive | None = None,
        guess: bool = False,
    ) -> int:
        """Solve for ``phi``, given the membrane potential at a time; return the iterations.

        Start from the solutions ``before``, or, with ``guess``, from ``phi``.
        """
        self._stiffness.mult(potential, self._flux)
        self._flux.scale(-1.0)
        load = self._load
        if self.tissue.nodes is not None:
            load.set(0.0)
            load.array[self.tissue.nodes] = self._flux.array_r
        for schedule, nodes, currents in self._sources:
            if schedule.active(time):
                load.array[nodes] += currents
        return self.solver.solve(phi, time, more=load, before=before, guess=guess and self._successive)


def _sources(tissue: Tissue) -> tuple[tuple[str, Part | None, Sequence[Stimulus]], ...]:
    """Return the currents from outside by name, with the part of the domain in which they flow."""
    problem = tissue.problem
    return (
        ("intracellular_sources", tissue.stimulated, problem.intracellular_sources),
        ("extracellular_sources", None, problem.extracellular_sources),
    )


def _check_balance(tissue: Tissue) -> None:
    """Refuse currents that no electrode lets out: of each schedule, and through the boundaries. Collective."""
    problem, domain = tissue.problem, tissue.domain
    remedy = "Ground an electrode (Dirichlet), or let as much out as in."
    sums: dict[Timing, list[float]] = {}
    for name, part, sources in _sources(tissue):
        for k, source in enumerate(sources):
            _, volume = overlap(domain, tissue.space, source.place, name=f"{name}[{k}]", within=part)
            sums.setdefault(source.schedule, []).append(source.amplitude * volume)
    through: dict[Timing | None, list[float]] = {}
    for electrode in problem.electrodes:
        flux = electrode.flux if isinstance(electrode, Neumann) else None
        value, schedule = (flux.value, flux.schedule) if isinstance(flux, Pulsed) else (flux, None)
        if value is None or callable(value):  # what a function lets in is seen as the run goes
            through = {}
            break
        through.setdefault(schedule, []).append(float(value) * integrate(1.0 * domain.ds(electrode.boundary)))
    checked = [("sources", currents) for currents in sums.values()]
    checked += [("electrodes", currents) for currents in through.values()]
    for name, currents in checked:
        net, size = sum(currents), sum(abs(current) for current in currents)
        if abs(net) > BALANCE * size:
            allowed = "currents that sum to zero, where no electrode fixes the extracellular potential"
            raise InputError(name, net, allowed, remedy)
