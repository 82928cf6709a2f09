"""A reaction-diffusion run: the model marched over a time grid, and its result."""

from __future__ import annotations

import logging
import time as clock
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Unpack

import numpy as np
from dolfinx import fem

from homfem.keywords import takes
from homfem.macro.activated import MarchOptions, MarchSettings, march_activated
from homfem.macro.conditions import Neumann
from homfem.macro.march import Conservation, March, show_once
from homfem.macro.observers import Observer
from homfem.macro.reaction_diffusion.model import ReactionDiffusionModel, conserved_amount
from homfem.macro.reaction_diffusion.problem import Method, ReactionDiffusion
from homfem.macro.state import reduced
from homfem.parameters import Array, InputError
from homfem.step_control import AdaptiveGrid
from homfem.timestepping import IMPLICIT, TimeGrid

log = logging.getLogger("homfem")
#: A species that starts non-negative may fall below zero by this part of its largest value without a warning.
NEGATIVE = 1e-3


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class ReactionDiffusionResult:
    """What a run gives. Arrays have one entry per time level, the start included; numbers are global.

    Parameters
    ----------
    times : array
        Times.
    numbers : mapping of str to array
        Of each species ``"NAME amount"`` (integral of phi u), ``"NAME brought"`` (what reaction, sources and boundaries
        brought in the step that led here), ``"NAME maximum"``, ``"NAME minimum"``; and ``"iterations"``. With a
        tolerance also ``"time step"``, ``"error of the step"``, ``"rejected steps"``.
    fields : mapping of str to Function
        Species and states at the end.
    conserved : tuple of Conservation
        Of each species the amount less what was brought, and so kept to round-off. Then the sums of species that the
        reactions keep (:mod:`homfem.kinetics.invariants`), less what sources, boundaries and flow brought.
    activation : Function or None
        Time at which the first species, or the one that was asked for, first passed the threshold.
    finished : bool
        False if the run was interrupted.
    seconds : mapping
        Wall time by stage: setup, reaction, transport, output, total.
    dofs, ranks : int
        Unknowns of all species; ranks of the run.
    """

    times: Array
    numbers: Mapping[str, Array]
    fields: Mapping[str, fem.Function]
    conserved: tuple[Conservation, ...]
    activation: fem.Function | None
    finished: bool
    seconds: Mapping[str, float]
    dofs: int
    ranks: int


@takes(MarchSettings)
def run_reaction_diffusion(
    problem: ReactionDiffusion,
    grid: TimeGrid | AdaptiveGrid,
    method: Method | None = None,
    *,
    threshold: float | tuple[str, float] | None = None,
    **options: Unpack[MarchOptions],
) -> ReactionDiffusionResult:
    """March a reaction-diffusion problem over a time grid; collective.

    Parameters
    ----------
    problem, grid, method
        What is solved, the time steps in the problem's unit of time, or a tolerance that finds them, and how.
    threshold
        Record when the first species, or another one, ``("v", 0.5)``, first passes this value.
    **options
        As :class:`homfem.macro.activated.MarchSettings` has them.

    Raises
    ------
    InputError
        For bad input; CheckpointError for a checkpoint that is truncated or of another problem.
    ConvergenceError
        If a solver stalls or a field is no longer finite.
    """
    adaptive = isinstance(grid, AdaptiveGrid)
    step = grid.longest if isinstance(grid, AdaptiveGrid) else grid.step
    model = ReactionDiffusionModel(problem, step=step, method=method, adaptive=adaptive)
    name, level = threshold if isinstance(threshold, tuple) else (problem.species[0].name, threshold)
    done, activation = march_activated(model, grid, name, level, **options)
    _warn_of_negative_values(problem, done, model.method)
    return ReactionDiffusionResult(
        times=done.times,
        numbers=done.numbers,
        fields=model.fields(),
        conserved=(
            *(conservation(done, species.name) for species in problem.species),
            *(conservation_of_sum(done, weights) for weights in model.sums),
        ),
        activation=activation,
        finished=done.finished,
        seconds=done.seconds,
        dofs=model.dofs,
        ranks=model.comm.size,
    )


def _warn_of_negative_values(problem: ReactionDiffusion, done: March, method: Method) -> None:
    """Say which species began at zero or above and fell clearly below it: mostly a front that the mesh does not see."""
    for species in problem.species:
        lowest, highest = done.numbers[f"{species.name} minimum"], float(done.numbers[f"{species.name} maximum"].max())
        if lowest[0] >= 0.0 and lowest.min() < -NEGATIVE * highest:
            log.warning(
                "%s: falls to %.3g, below zero, where its largest value is %.3g: refine the mesh and the step%s",
                species.name, lowest.min(), highest, "" if method.positivity else ", or ask for positivity",
            )  # fmt: skip


def solve_at_rest(
    problem: ReactionDiffusion, method: Method | None = None, *, observers: Sequence[Observer] = ()
) -> ReactionDiffusionResult:
    r"""Solve for the state at rest, :math:`\nabla\cdot(v_i u_i) = \nabla\cdot(D_i\nabla u_i) + R_i(u) + s_i`.

    By Newton's method with damping, from the start of the species; values and fluxes at boundaries are those of time 0.
    Where there are several such states, it is the one that is found from there.

    Parameters
    ----------
    problem
        What is solved; volume fractions do not matter.
    method
        Its ``stabilization``; the rest does not matter.
    observers
        See the one state, as a start (:mod:`homfem.macro.observers`).

    Returns
    -------
    ReactionDiffusionResult
        With one time, 0. ``"NAME brought"`` is what remains of all that comes and goes, per unit of time, and ``drift``
        of ``conserved`` its size relative to the sum of its parts.

    Raises
    ------
    InputError
        For a species whose level nothing fixes, and sources that are not always on.
    ConvergenceError
        If Newton's method stalls.
    """
    chosen = replace(Method() if method is None else method, splitting=IMPLICIT)
    reacting = [] if problem.kinetics is None else [field.name for field in problem.kinetics.fields]
    for species in problem.species:
        loose = all(isinstance(entry, Neumann) for entry in species.conditions)
        if loose and species.name not in reacting:
            allowed = "with a value, a transfer or an outflow at some boundary, or a reaction, for a state at rest"
            raise InputError(f"species.{species.name}.conditions", list(species.conditions), allowed)
        for k, source in enumerate(species.sources):
            if source.schedule.start > 0.0 or source.schedule.duration < np.inf:
                path = f"species.{species.name}.sources[{k}].schedule"
                raise InputError(path, source.schedule, "absent for a state at rest: the source is always on")
    model = ReactionDiffusionModel(problem, step=1.0, method=chosen)
    drifts = model.settle()
    started = clock.perf_counter()
    show_once(model, observers)
    output = clock.perf_counter() - started
    numbers = {name: np.array([value]) for name, value in reduced(model.comm, model.measure())[0].items()}
    return ReactionDiffusionResult(
        times=np.zeros(1),
        numbers=numbers,
        fields=model.fields(),
        conserved=tuple(
            Conservation(name=name, start=float(numbers[f"{name} amount"][0]), drift=drift)
            for name, drift in drifts.items()
        ),
        activation=None,
        finished=True,
        seconds=model.seconds | {"output": output, "total": sum(model.seconds.values()) + output},
        dofs=model.dofs,
        ranks=model.comm.size,
    )


def conservation(done: March, name: str) -> Conservation:
    """Return how well the amount of a species is kept, but for what was brought.

    The deviation is relative to the start, or to the largest amount that there was or that came and went, if that is
    more.
    """
    kept, amounts = conserved_amount(done.numbers, name), done.numbers[f"{name} amount"]
    moved = np.abs(np.cumsum(done.numbers[f"{name} brought"]))
    scale = max(float(np.abs(amounts).max()), float(moved.max())) or 1.0
    return Conservation(name=name, start=float(kept[0]), drift=float(np.abs(kept - kept[0]).max()) / scale)


def conservation_of_sum(done: March, weights: Mapping[str, float]) -> Conservation:
    """Return how well a weighted sum of the amounts of species is kept, but for what did not come from reactions.

    The deviation is relative as in :func:`conservation`.
    """
    kept, scale = np.zeros(len(done.times)), 0.0
    for name, weight in weights.items():
        amounts = done.numbers[f"{name} amount"]
        brought = np.cumsum(done.numbers[f"{name} brought"] - done.numbers[f"{name} reacted"])
        kept += weight * (amounts - brought)
        scale = max(scale, abs(weight) * max(float(np.abs(amounts).max()), float(np.abs(brought).max())))
    drift = float(np.abs(kept - kept[0]).max()) / (scale or 1.0)
    return Conservation(name=_sum_text(weights), start=float(kept[0]), drift=drift)


def _sum_text(weights: Mapping[str, float]) -> str:
    """Return a weighted sum as text, such as ``a + 2 b``."""
    parts = [f"{'-' if w < 0.0 else '+'} {'' if abs(w) == 1.0 else f'{abs(w):.6g} '}{n}" for n, w in weights.items()]
    return " ".join(parts).removeprefix("+ ")
