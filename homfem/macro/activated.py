"""A march that records when a field passes a threshold, with the words that the runs of all models take."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypedDict, Unpack

from dolfinx import fem

from homfem.macro.march import Checkpointer, March, march
from homfem.macro.observers import Activation, Observer
from homfem.macro.state import Model
from homfem.step_control import AdaptiveGrid, Interval
from homfem.timestepping import TimeGrid


class MarchOptions(TypedDict, total=False):
    """The words of :class:`MarchSettings` as keywords of a function."""

    checkpoint: Checkpointer | None
    checkpoint_every: int | Interval
    resume: bool
    observers: Sequence[Observer]


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class MarchSettings:
    """How a march is saved and watched.

    Parameters
    ----------
    checkpoint, checkpoint_every
        Where the run is saved, every so many steps (or :class:`homfem.step_control.Interval`) and at the end.
    resume
        Go on from ``checkpoint`` if it exists (a warning says if not); the result then holds the whole history. See
        :func:`homfem.macro.march.march`.
    observers
        What else watches the march (:mod:`homfem.macro.observers`), such as probes.
    """

    checkpoint: Checkpointer | None = None
    checkpoint_every: int | Interval = 1000
    resume: bool = False
    observers: Sequence[Observer] = ()


def march_activated(
    model: Model, grid: TimeGrid | AdaptiveGrid, field: str, threshold: float | None, **options: Unpack[MarchOptions]
) -> tuple[March, fem.Function | None]:
    """March a model over a time grid and record when a field first passes a threshold; collective.

    Parameters
    ----------
    model, grid
        As of :func:`homfem.macro.march.march`.
    field, threshold
        As of :class:`homfem.macro.observers.Activation`.
    **options
        As :class:`MarchSettings` has them.

    Returns
    -------
    tuple
        The march, and the times of activation as a function; None of them without a threshold.
    """
    chosen = MarchSettings(**options)
    activation = Activation(field, threshold)
    done = march(
        model,
        grid,
        observers=[activation, *chosen.observers],
        checkpoint=chosen.checkpoint,
        checkpoint_every=chosen.checkpoint_every,
        resume=chosen.resume,
    )
    return done, activation.times
