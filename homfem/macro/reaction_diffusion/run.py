"""A reaction-diffusion run: the model marched over a time grid, and its result."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from dolfinx import fem

from homfem.macro.march import Checkpointer, Conservation, March, march
from homfem.macro.observers import Activation, Observer
from homfem.macro.reaction_diffusion.model import ReactionDiffusionModel, conserved_amount
from homfem.macro.reaction_diffusion.problem import Method, ReactionDiffusion
from homfem.parameters import Array
from homfem.timestepping import TimeGrid


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class ReactionDiffusionResult:
    """What a run gives. Arrays have one entry per time level, the start included; numbers are global.

    Parameters
    ----------
    times : array
        Times.
    numbers : mapping of str to array
        Of each species ``"NAME amount"`` (integral of phi u), ``"NAME brought"`` (what reaction, sources and boundaries
        brought in the step that led here), ``"NAME maximum"``, ``"NAME minimum"``; and ``"iterations"``.
    fields : mapping of str to Function
        Species and states at the end.
    conserved : tuple of Conservation
        Of each species the amount less what was brought, and so kept to round-off.
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


def run_reaction_diffusion(
    problem: ReactionDiffusion,
    grid: TimeGrid,
    method: Method | None = None,
    *,
    threshold: float | tuple[str, float] | None = None,
    checkpoint: Checkpointer | None = None,
    checkpoint_every: int = 1000,
    resume: bool = False,
    observers: Sequence[Observer] = (),
) -> ReactionDiffusionResult:
    """March a reaction-diffusion problem over a time grid; collective.

    Parameters
    ----------
    problem, grid, method
        What is solved, the time steps in the problem's unit of time, and how.
    threshold
        Record when the first species, or another one, ``("v", 0.5)``, first passes this value.
    checkpoint, checkpoint_every, resume, observers
        See :func:`homfem.macro.march.march`.

    Raises
    ------
    InputError
        For bad input; CheckpointError for a checkpoint that is truncated or of another problem.
    ConvergenceError
        If a solver stalls or a field is no longer finite.
    """
    model = ReactionDiffusionModel(problem, step=grid.step, method=method)
    name, level = threshold if isinstance(threshold, tuple) else (problem.species[0].name, threshold)
    activation = Activation(name, level)
    done = march(
        model,
        grid,
        observers=[activation, *observers],
        checkpoint=checkpoint,
        checkpoint_every=checkpoint_every,
        resume=resume,
    )
    return ReactionDiffusionResult(
        times=done.times,
        numbers=done.numbers,
        fields=model.fields(),
        conserved=tuple(conservation(done, species.name) for species in problem.species),
        activation=activation.times,
        finished=done.finished,
        seconds=done.seconds,
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
