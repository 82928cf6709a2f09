"""One call solves the cell problem of any physics: restriction, symmetry, the adaptive loop, the record of it all."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from homfem.brackets import relative_gap
from homfem.cells.unitcell import UnitCell
from homfem.certify.accuracy import Accuracy, Plan
from homfem.certify.adapt import refine_carriers
from homfem.certify.physics import CellSolution, MeshSolution, Physics
from homfem.limits import BudgetError, MemoryLimitError
from homfem.local.budget import unknowns_limited
from homfem.local.clock import Clock
from homfem.progress import tell
from homfem.tensors import EffectiveTensor

log = logging.getLogger("homfem")

#: Meshes after which a gap that has not fallen is taken to be round-off.
STALLED = 3
#: Part of the tolerance that straight facets on curved surfaces may take; beyond, refinement is not tried.
FACETS = 0.9


def solve_cell(
    cell: UnitCell,
    physics: Physics[Any],
    accuracy: Accuracy | None = None,
    *,
    config: Mapping[str, Any] | None = None,
) -> CellSolution:
    """Solve the cell problem of a physics as well as is asked for, and bound its effective tensor; collective.

    Parameters
    ----------
    cell
        The unit cell.
    physics
        :class:`homfem.certify.Diffusion`, :class:`~homfem.certify.Elasticity`, :class:`~homfem.certify.Stokes`, ...
    accuracy
        How well, and how. By default on the mesh of the cell.
    config
        The input that led here, kept in the result.

    Returns
    -------
    CellSolution

    Raises
    ------
    InputError
        For what the physics refuses.
    BudgetError, MemoryLimitError
        If the system of the first mesh has more unknowns than ``max_dofs``, or does not fit into the memory.
    PercolationError
        If the active phases reach from cell to cell in no direction.
    ConvergenceError
        If a linear solve did not converge.

    Examples
    --------
    >>> from homfem.cells import laminate
    >>> layers = laminate([0.5, 0.5], axis="x", dimension=2, resolution=0.25)
    >>> from homfem.certify import Diffusion
    >>> physics = Diffusion(coefficients={"layer1": 1.0, "layer2": 3.0})
    >>> solve_cell(layers, physics, Accuracy(tolerance=1e-3)).tensor.value.round(9).tolist()
    [[1.5, 0.0], [0.0, 2.0]]
    """
    physics, plan = physics.prepared(cell, Accuracy() if accuracy is None else accuracy)
    clock = Clock(cell.seconds)
    active = physics.active(cell)
    clock.lap("restrict")
    loads, symmetry = physics.loads(cell.dimension), None
    if plan.symmetric:
        active, loads, symmetry = physics.symmetric(active)
        clock.lap("symmetry")
    meshes = _Meshes(cell.name, plan, clock)
    solved = meshes.solve(physics, active, loads)
    record = {**measured(cell), **physics.record(cell), "config": dict(config or {})}
    total = sum(cell.seconds.values()) + clock.elapsed

    def entered(tensor: EffectiveTensor, geometric: float) -> EffectiveTensor:
        if physics.sampled:
            tensor = replace(tensor, lower=None, upper=None, roundoff=0.0)
        return replace(
            tensor,
            **record,
            warnings=(*meshes.part.warnings, *tensor.warnings, *meshes.warnings),
            dofs=max(side.dofs for side in solved.sides),
            iterations=meshes.iterations,
            geometric_error=geometric,
            seconds=clock.seconds | {"total": total},
            reached=meshes.enough and tensor.reached,
        )

    return CellSolution(
        tensor=entered(solved.tensor, meshes.geometric),
        cell=solved.cell,
        correctors=solved.correctors,
        dual=solved.dual,
        history=tuple(meshes.history),
        symmetry=symmetry,
        series=tuple(map(entered, solved.series, meshes.of_series)),
        solved=solved,
    )


class _Meshes:
    """Finer and finer meshes, until the relative half-gap (or estimated error) is at most the tolerance.

    Where straight facets stand for curved surfaces, the half-gap and what they may change must together be. An
    estimated error is no less than what the last refinement changed, and must be so on two meshes in a row.

    Parameters
    ----------
    name
        Of the cell, for the log.
    plan, clock
        What is asked for, and the time by stage.
    """

    def __init__(self, name: str, plan: Plan, clock: Clock) -> None:
        self.name, self.plan, self.clock = name, plan, clock
        self.history: list[Mapping[str, float]] = []
        self.warnings: tuple[str, ...] = ()
        self.iterations, self.geometric = 0, 0.0
        self.of_series: tuple[float, ...] = ()
        self.within = self.enough = self.coarse = False

    def solve(self, physics: Physics[Any], active: UnitCell, loads: Any) -> MeshSolution:
        """Return the solution on the last mesh, which is :attr:`part`; collective."""
        self.part = active
        solved = self._on(physics, active, loads)
        finer = self._finer(solved)
        while finer is not None:
            try:
                solved = _compared(self._on(physics, finer, loads), solved)
            except (BudgetError, MemoryLimitError) as error:
                self.warnings += (f"no finer mesh was solved: {error}",)
                log.warning("%s: %s", self.name, self.warnings[0])
                break
            self.part = finer
            finer = self._finer(solved)
        if self.coarse:
            shape = replace(solved.tensor, geometric_error=self.geometric).relative_geometric_error
            self.warnings += (
                f"straight facets of the mesh may change the tensor by {shape:.1e} of itself, too much for the "
                f"tolerance of {self.plan.tolerance:g}; choose a finer resolution of the cell",
            )
        return solved

    def _on(self, physics: Physics[Any], part: UnitCell, loads: Any) -> MeshSolution:
        self.clock.skip()
        part.distribution.distribute()
        self.clock.lap("periodic mesh")
        with unknowns_limited(self.plan.max_dofs):
            return physics.solve(part, loads, self.plan)

    def _finer(self, solved: MeshSolution) -> UnitCell | None:
        """Judge what was solved; return the mesh to go on with, if any."""
        gap, dofs = self._entered(solved)
        what = _measure_of(solved)
        if not self._goes_on(solved, gap):
            return None
        if len(self.history) > STALLED and gap >= min(entry["relative_gap"] for entry in self.history[:-STALLED]):
            log.warning("%s: the %s of %.3e does not fall any more, short of %.3e: round-off", self.name, what, gap,
                        self.plan.tolerance)  # fmt: skip
            return None
        self.clock.skip()
        refined = refine_carriers(self.part, solved.gaps(), self.plan.max_dofs, dofs)
        self.clock.lap("refine")
        if refined is None:
            short = f"short of {self.plan.tolerance:.3e}" if not self.within else "which no coarser mesh confirms"
            log.warning("%s: max_dofs = %s ends the refinement at a %s of %.3e, %s", self.name, self.plan.max_dofs,
                        what, gap, short)  # fmt: skip
        return refined

    def _entered(self, solved: MeshSolution) -> tuple[float, int]:
        """Enter a mesh into the history; return the gap (nan if there is none) and the unknowns."""
        tensor, part = solved.tensor, self.part
        gap = tensor.estimated_error if tensor.relative_gap is None else tensor.relative_gap
        dofs = max(side.dofs for side in solved.sides)
        self.iterations += sum(side.iterations for side in solved.sides)
        self.clock.add(solved.seconds, *(side.seconds for side in solved.sides))
        self.history.append(
            {
                "cells": part.number_of_cells,
                "dofs": dofs,
                "relative_gap": float("nan") if gap is None else gap,
                "seconds": self.clock.skip(),
            }
        )
        shown = "none" if gap is None else f"{gap:.3e}"
        log.info("%s: %d mesh cells, %d dofs, %s %s", self.name, part.number_of_cells, dofs, _measure_of(solved), shown)
        if self.plan.tolerance is not None:
            tell(f"{_measure_of(solved)} {shown}, wanted {self.plan.tolerance:.1e}")
        if len(self.history) == 1:
            # On the first mesh, whose facets are as long as what they cut off: refinement halves them in their planes.
            self.geometric = solved.geometric_error()
            self.of_series = solved.geometric_errors(self.geometric)
        return self.history[-1]["relative_gap"], dofs

    def _goes_on(self, solved: MeshSolution, gap: float) -> bool:
        """Whether a finer mesh is needed, and may help."""
        tolerance, tensor = self.plan.tolerance, solved.tensor
        confirmed = self.within or tensor.estimated_error is None or solved.proved
        if tolerance is None or np.isnan(gap):
            self.within, self.enough, self.coarse = True, tolerance is None or confirmed, False
            return False
        # The tolerance counts what straight facets change as well, and that no refinement lessens.
        shape = replace(tensor, geometric_error=self.geometric).relative_geometric_error
        self.within = gap + shape <= tolerance
        self.enough = self.within and confirmed
        self.coarse = gap <= tolerance <= min(shape / FACETS, gap + shape)
        return not (self.enough or self.coarse)


def _measure_of(solved: MeshSolution) -> str:
    return "relative half-gap" if solved.tensor.estimated_error is None else "estimated relative error"


def _compared(solved: MeshSolution, before: MeshSolution) -> MeshSolution:
    """An estimate that is no less than the change from the coarser mesh."""
    error = solved.tensor.estimated_error
    if error is None or solved.proved:
        return solved
    change = 2.0 * relative_gap(before.tensor.value, solved.tensor.value)
    return replace(solved, tensor=replace(solved.tensor, estimated_error=max(error, change)))


def measured(cell: UnitCell) -> dict[str, Any]:
    """Return what an effective tensor records of its cell and of where it was computed."""
    return {
        "volume_fractions": dict(cell.volume_fractions),
        "interface_area": cell.interface_area,
        "length_unit": cell.length_unit,
        "ranks": cell.comm.size,
        "versions": versions(),
    }


def versions() -> dict[str, str]:
    """Return the versions of homfem and of what it computed with."""
    import dolfinx
    import petsc4py

    import homfem

    return {
        "homfem": homfem.__version__,
        "dolfinx": dolfinx.__version__,
        "petsc": petsc4py.__version__,
        "numpy": np.__version__,
    }
