"""What watches a march: activation times, conserved totals, any function of the fields.

An :class:`Observer` sees every step and may keep fields and series of numbers, which stand in the checkpoints of the
run. What writes files of fields or pictures is in :mod:`homfem.output`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from dolfinx import fem
from mpi4py import MPI

from homfem.macro.state import Model, StateField, with_unit
from homfem.parameters import Array, InputError, check_choice, check_number
from homfem.step_control import Interval, check_every, is_due


class Observer:
    """What watches a march. A subclass overrides what it needs; every method is called on all ranks.

    Parameters
    ----------
    name
        Different for each observer of a run; what it keeps stands in the checkpoint under this name.
    every
        :meth:`show` is called at the start, every so many steps, or at every multiple of an interval of time, and at
        the end.

    Attributes
    ----------
    origin
        The start of the grid, from which intervals count; the march sets it.
    """

    def __init__(self, name: str, *, every: int | Interval = 1) -> None:
        self.name, self.every, self.origin = name, check_every("every", every), 0.0

    def due(self, step: int, time: float) -> bool:
        """Tell whether a step, which led to ``time``, is one of every so many."""
        return is_due(self.every, step, time - self.origin)

    def begin(self, model: Model, time: float) -> None:
        """Prepare, before the first step; the model is at its start, also where the run is to be resumed."""

    def identity(self, model: Model) -> Mapping[str, Any]:
        """Return what must be the same for a checkpoint to go on from, as :meth:`Model.identity` does."""
        return {}

    def watch(self, model: Model, step: int, start: float, end: float, last: bool) -> None:
        """See the model after step ``step``, which led from ``start`` to ``end``; before any checkpoint of it."""

    def shows(self, step: int, time: float, bound: bool) -> bool:
        """Tell whether :meth:`show` is due; ``bound``: it is the first step of the run or the last of the grid."""
        return bound or self.due(step, time)

    def show(self, model: Model, step: int, time: float) -> None:
        """Show or write what is due; after the checkpoint, if there is one at this step."""

    def write(self, model: Model, step: int, time: float) -> None:
        """Bring files up to date: before the first step, after a checkpoint or where one is due, and at the end."""

    def end(self) -> None:
        """Let go of files, however the march ends; not collective."""

    def fields(self) -> Mapping[str, StateField]:
        """Return the fields that it keeps, as views: a restart sets them."""
        return {}

    def series(self) -> Mapping[str, Array]:
        """Return further arrays that it keeps, whole on rank 0."""
        return {}

    def restore(self, series: Mapping[str, Array]) -> None:
        """Go on from what :meth:`series` had returned on rank 0; other ranks get nothing."""


class Call(Observer):
    """Calls ``function(model, step, time)`` at the start, every so many steps, and at the end; on every rank."""

    def __init__(
        self, function: Callable[[Model, int, float], None], *, every: int | Interval = 1, name: str = "call"
    ) -> None:
        super().__init__(name, every=every)
        self.function = function

    def show(self, model: Model, step: int, time: float) -> None:
        """Call the function."""
        self.function(model, step, time)


class Activation(Observer):
    r"""The time at which each value of a field first rises through a threshold, linear in time within the step.

    .. math::  t = t_n + (t_{n+1} - t_n)\,\frac{\theta - u_n}{u_{n+1} - u_n}\quad\text{where } u_n < \theta \le u_{n+1}.

    Parameters
    ----------
    field
        Name of a field of the model's state, of any Lagrange or quadrature space.
    threshold
        In the unit of the field; None: nothing is recorded.
    name
        For several of them in one run.

    Attributes
    ----------
    times
        After the run, the activation times as a function of the field's space: inf where it stayed below, the start
        of the grid where it began above. None without a threshold.
    """

    def __init__(self, field: str, threshold: float | None, *, name: str = "activation") -> None:
        super().__init__(name)
        self.field = field
        self.threshold = None if threshold is None else check_number("threshold", threshold)

    def begin(self, model: Model, time: float) -> None:
        """Take hold of the field; what is above the threshold is active from the start."""
        state = model.state()
        self._space, self._values = state[check_choice("field", self.field, list(state))]
        level = math.inf if self.threshold is None else self.threshold
        self.arrival = np.where(self._values >= level, time, np.inf)
        self._before = self._values.copy()

    def identity(self, model: Model) -> Mapping[str, Any]:
        """Activation times are those of one threshold over the whole history."""
        label = with_unit("threshold", model.units.fields.get(self.field, ""))
        return {label if self.name == "activation" else f"{self.name}: {label}": self.threshold}

    def watch(self, model: Model, step: int, start: float, end: float, last: bool) -> None:
        """Set the times of the values that passed in this step."""
        if self.threshold is not None:
            crossed(self.arrival, self._before, self._values, self.threshold, start, end)
            self._before[:] = self._values

    def fields(self) -> Mapping[str, StateField]:
        """Return the times so far."""
        return {"times": StateField(self._space, self.arrival)}

    def restore(self, series: Mapping[str, Array]) -> None:
        """Take the values of the restored model as those before the next step."""
        self._before[:] = self._values

    @property
    def times(self) -> fem.Function | None:
        """The activation times as a function; collective."""
        if self.threshold is None:
            return None
        function = fem.Function(self._space, name=self.name)
        function.x.array[: self.arrival.size] = self.arrival
        function.x.scatter_forward()
        return function


def crossed(arrival: Array, before: Array, after: Array, threshold: float, start: float, end: float) -> None:
    """Set the arrival time, linear in time within the step, where a value passed the threshold for the first time."""
    new = np.flatnonzero((before < threshold) & (after >= threshold) & np.isinf(arrival))
    arrival[new] = start + (end - start) * (threshold - before[new]) / (after[new] - before[new])


def front_speed(activation: fem.Function, *, origin: Array, inner: float, outer: float) -> float:
    """Return the speed of a front that spreads from ``origin``, length per time; collective.

    The inverse slope of the regression of activation time on distance, over the activated nodes whose distance from
    ``origin`` lies in [inner, outer].

    Parameters
    ----------
    activation
        Activation times (:class:`Activation`), of a Lagrange space.
    origin
        Point, shape (d,), in the unit of the mesh.
    inner, outer
        Range of distances: beyond the stimulus, short of the boundary.

    Raises
    ------
    InputError
        If the front passed fewer than two distances there.
    """
    space = activation.function_space
    owned = space.dofmap.index_map.size_local
    center = np.zeros(3)
    center[: np.size(origin)] = origin
    distance = np.linalg.norm(space.tabulate_dof_coordinates()[:owned] - center, axis=1)
    time = activation.x.array[:owned]
    use = (distance >= inner) & (distance <= outer) & np.isfinite(time)
    r, t = distance[use], time[use]
    sums = np.array([r.size, r.sum(), t.sum(), r @ r, r @ t], dtype=np.float64)
    space.mesh.comm.Allreduce(MPI.IN_PLACE, sums, op=MPI.SUM)
    count, sum_r, sum_t, sum_rr, sum_rt = sums
    spread, slope = count * sum_rr - sum_r**2, count * sum_rt - sum_r * sum_t
    if count < 2 or spread <= 0.0 or slope <= 0.0:
        raise InputError("activation", int(count), "that of a front which moves outward through [inner, outer]")
    return float(spread / slope)
