"""What all effective tensors of meshed cells share: the adaptive loop, and the record of how a tensor was computed."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from homfem.brackets import relative_gap
from homfem.cells.symmetry import CellSymmetry
from homfem.cells.unitcell import UnitCell
from homfem.limits import BudgetError, MemoryLimitError
from homfem.local.budget import unknowns_limited
from homfem.local.engine import Correctors
from homfem.local.flux import Fluxes
from homfem.local.stress import Stresses
from homfem.tensors import EffectiveTensor

log = logging.getLogger("homfem")

#: Meshes after which a gap that has not fallen is taken to be round-off.
STALLED = 3
#: Part of the tolerance that straight facets on curved surfaces may take; beyond, refinement is not tried.
FACETS = 0.9


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class CellSolution:
    """An effective tensor together with the fields it was averaged from.

    Parameters
    ----------
    tensor
        The result.
    cell
        The cell that was solved, restricted to its active phases and refined.
    upper
        Conforming correctors.
    lower
        Crouzeix-Raviart correctors (``lower_degree=0``) or fluxes (``lower_degree=1``) for diffusion, stresses for
        elasticity; None without a lower bound.
    history
        For each mesh of the adaptive loop: mesh cells, dofs of the larger system, relative half-gap, seconds.
    symmetry
        What was found with ``symmetry="auto"``, else None. ``cell`` is the part between the mirror planes then, and
        ``upper`` and ``lower`` have one load for each group of axes that are alike.
    """

    tensor: EffectiveTensor
    cell: UnitCell
    upper: Correctors
    lower: Correctors | Fluxes | Stresses | None
    history: tuple[Mapping[str, float], ...]
    symmetry: CellSymmetry | None = None


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class MeshSolution:
    """Both sides on one mesh.

    Parameters
    ----------
    tensor
        Value and bounds, or ``estimated_error`` in their place.
    upper, lower
        As in :class:`CellSolution`; of an estimate the two that are compared.
    refine
        ``refine(dofs)``: the cell with a finer mesh where the gap is, or None if the budget leaves no room.
    geometric_error
        Estimate of what straight facets change, made when it is asked for.
    """

    tensor: EffectiveTensor
    upper: Correctors
    lower: Correctors | Fluxes | Stresses | None
    refine: Callable[[int], UnitCell | None]
    geometric_error: Callable[[], float] = lambda: 0.0


def solve_adaptively(
    cell: UnitCell,
    active: UnitCell,
    solve_mesh: Callable[[UnitCell], MeshSolution],
    *,
    tolerance: float | None,
    max_dofs: int | None,
    sampled: bool,
    stages: dict[str, float],
    start: float,
) -> CellSolution:
    """Solve on finer meshes until the relative half-gap (or estimated error) is at most ``tolerance``; collective.

    Where straight facets stand for curved surfaces, the half-gap and what they may change must together be. An
    estimated error is no less than what the last refinement changed, and must be so on two meshes in a row.

    Parameters
    ----------
    cell
        The whole cell, for the record.
    active
        The part of it that is solved.
    solve_mesh
        Solves both sides on a mesh.
    tolerance, max_dofs
        As in :func:`homfem.certify.diffusion.solve_diffusion`; without a tolerance one mesh is solved.
    sampled
        Whether a coefficient is a function of position: the bounds then are not those of the medium.
    stages, start
        Wall time by stage until now, and when the work began.
    """
    history: list[Mapping[str, float]] = []
    warnings: tuple[str, ...] = ()
    iterations, geometric, within, finer = 0, 0.0, False, active
    before: EffectiveTensor | None = None
    while True:
        lap = time.perf_counter()
        try:
            with unknowns_limited(max_dofs):
                solved = _compared(solve_mesh(finer), before)
        except (BudgetError, MemoryLimitError) as error:
            if not history:
                raise
            warnings = (f"no finer mesh was solved: {error}",)
            log.warning("%s: %s", cell.name, warnings[0])
            break
        active = finer
        parts = [part for part in (solved.upper, solved.lower) if part is not None]
        iterations += sum(part.iterations for part in parts)
        add_seconds(stages, *(part.seconds for part in parts))
        dofs = max(part.dofs for part in parts)
        gap = solved.tensor.relative_gap
        if gap is None:
            gap = solved.tensor.estimated_error
        what = "relative half-gap" if solved.tensor.estimated_error is None else "estimated relative error"
        history.append(
            {
                "cells": active.number_of_cells,
                "dofs": dofs,
                "relative_gap": float("nan") if gap is None else gap,
                "seconds": time.perf_counter() - lap,
            }
        )
        log.info("%s: %d mesh cells, %d dofs, %s %s", cell.name, active.number_of_cells, dofs, what,
                 "none" if gap is None else f"{gap:.3e}")  # fmt: skip
        if len(history) == 1:
            # On the first mesh, whose facets are as long as what they cut off: refinement halves them in their planes.
            geometric = solved.geometric_error()
        # The tolerance counts what straight facets change as well, and that no refinement lessens.
        shape = replace(solved.tensor, geometric_error=geometric).relative_geometric_error
        confirmed = within or solved.tensor.estimated_error is None
        within = tolerance is None or gap is None or gap + shape <= tolerance
        enough = within and confirmed
        coarse = tolerance is not None and gap is not None and gap <= tolerance <= min(shape / FACETS, gap + shape)
        if enough or coarse or solved.lower is None or tolerance is None or gap is None:
            break
        if len(history) > STALLED and gap >= min(entry["relative_gap"] for entry in history[:-STALLED]):
            log.warning("%s: the %s of %.3e does not fall any more, short of %.3e: round-off", cell.name, what, gap,
                        tolerance)  # fmt: skip
            break
        lap = time.perf_counter()
        refined = solved.refine(dofs)
        add_seconds(stages, {"refine": time.perf_counter() - lap})
        if refined is None:
            short = f"short of {tolerance:.3e}" if not within else "which no coarser mesh confirms"
            log.warning(
                "%s: max_dofs = %s ends the refinement at a %s of %.3e, %s", cell.name, max_dofs, what, gap, short
            )
            break
        finer, before = refined, solved.tensor
    tensor = replace(solved.tensor, lower=None, upper=None, roundoff=0.0) if sampled else solved.tensor
    warnings = active.warnings + tensor.warnings + warnings
    if coarse:
        warnings += (
            f"straight facets of the mesh may change the tensor by {shape:.1e} of itself, too much for the tolerance "
            f"of {tolerance:g}; choose a finer resolution of the cell",
        )
    tensor = replace(
        tensor,
        **measured(cell),
        warnings=warnings,
        dofs=dofs,
        iterations=iterations,
        geometric_error=geometric,
        seconds=stages | {"total": sum(cell.seconds.values()) + time.perf_counter() - start},
        reached=enough and solved.tensor.reached,
    )
    return CellSolution(tensor=tensor, cell=active, upper=solved.upper, lower=solved.lower, history=tuple(history))


def _compared(solved: MeshSolution, before: EffectiveTensor | None) -> MeshSolution:
    """An estimate that is no less than the change from the coarser mesh."""
    error = solved.tensor.estimated_error
    if error is None or before is None:
        return solved
    change = 2.0 * relative_gap(before.value, solved.tensor.value)
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


def add_seconds(stages: dict[str, float], *spent: Mapping[str, float]) -> None:
    """Add to the wall time of stages."""
    for seconds in spent:
        for name, value in seconds.items():
            stages[name] = stages.get(name, 0.0) + value


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
