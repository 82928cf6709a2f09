"""What a macroscale model offers to the march and to its observers: its state, its fields, its numbers, its units."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple, Protocol, TypeAlias, runtime_checkable

import numpy as np
from dolfinx import fem
from mpi4py import MPI

from homfem.parameters import Array

Reduction: TypeAlias = Literal["sum", "max", "min"]


class StateField(NamedTuple):
    """A field that a restart needs: its space, and the values that the rank owns, as a view into the model.

    The space may be any: scalar, vector, quadrature, mixed, on the mesh or a part of it.
    """

    space: fem.FunctionSpace
    values: Array


@dataclass(frozen=True, kw_only=True, slots=True)
class Units:
    """The units in which a model computes; an empty string where it has none.

    Parameters
    ----------
    time, length : str
        Of the time grid, and of the coordinates of the mesh.
    fields : mapping of str to str
        Of the fields, by name.
    """

    time: str = ""
    length: str = ""
    fields: Mapping[str, str] = field(default_factory=dict)

    def label(self, name: str) -> str:
        """Return the name of a field with its unit: ``"cytosol (uM)"``."""
        return with_unit(name, self.fields.get(name, ""))


def with_unit(name: str, unit: str) -> str:
    """Return ``"name (unit)"``, or the name alone where there is no unit."""
    return f"{name} ({unit})" if unit else name


class Model(Protocol):
    """A discretised problem with its state, as :func:`homfem.macro.march.march` takes it. Every method is collective.

    Attributes
    ----------
    name
        What messages call it: ``"calcium bidomain"``.
    comm
        The communicator of its mesh.
    dofs
        Number of unknowns, global.
    units
        The units that it computes in.
    seconds
        Wall time by stage so far, such as ``{"setup": ..., "diffusion": ...}``; the march adds its own.
    """

    name: str
    comm: MPI.Comm
    dofs: int
    units: Units
    seconds: dict[str, float]

    def advance(self, time: float) -> Any:
        """Advance the state by one step of the grid, from ``time``."""

    def measure(self) -> Mapping[str, tuple[float, Reduction]]:
        """Return numbers of the state by name, each the rank's own with how those of all ranks become one."""

    def judge(self, time: float, numbers: Mapping[str, float]) -> None:
        """Warn of numbers (global, after a step that led to ``time``), or raise what ends the run."""

    def fields(self) -> Mapping[str, fem.Function]:
        """Return what is shown, by name, the ghosts brought up to date; the model's own: copy what you keep."""

    def state(self) -> Mapping[str, StateField]:
        """Return all that a restart needs, by name. Fields that are shown have the name that they have there."""

    def identity(self) -> Mapping[str, Any]:
        """Return what tells this problem, its start and its steps from others; a checkpoint of another is refused.

        Plain data (numbers, strings, lists, mappings), equal on any number of ranks; numbers that round-off may change
        with the number of ranks stand in a mapping ``{"about": numbers}``.
        """


@runtime_checkable
class Restorable(Protocol):
    """A model that computes with other arrays than those of :meth:`Model.state`, such as those of a part of a mesh."""

    def restored(self) -> None:
        """Take what a checkpoint has put into these arrays; on every rank."""


@runtime_checkable
class Adjustable(Protocol):
    """A model that takes steps of any length, as :class:`homfem.step_control.AdaptiveGrid` asks for them.

    A step depends on nothing but what :meth:`judged` returns: a step that is taken back leaves no trace.

    Attributes
    ----------
    order
        Order of the method in time.
    extrapolates
        Combinations of two results are one as well: nothing must stay above zero.
    """

    order: int
    extrapolates: bool

    def take(self, time: float, step: float) -> Any:
        """Advance the state by a step of this length; collective."""

    def judged(self) -> Mapping[str, Sequence[Array]]:
        """Return the fields and states whose errors count, by name, the same on every rank: views of what it owns."""

    def tally(self) -> Array:
        """Return the numbers that the last step brought and that add up over steps; the rank's part."""

    def accept(self, numbers: Array) -> None:
        """Take these numbers as those of the last step, and the values as they are now; collective."""

    def edges(self, start: float, end: float) -> Sequence[float]:
        """Return the times in between at which something is switched: a step ends there."""


def reduced(
    comm: MPI.Comm, measured: Mapping[str, tuple[float, Reduction]], asked: int = 0
) -> tuple[dict[str, float], int]:
    """Return the numbers over all ranks, and the most that any rank is asked; two reductions. Collective."""
    sums = [name for name, (_, how) in measured.items() if how == "sum"]
    signs = {name: 1.0 if how == "max" else -1.0 for name, (_, how) in measured.items() if how != "sum"}
    total = np.array([measured[name][0] for name in sums])
    extrema = np.array([*(sign * measured[name][0] for name, sign in signs.items()), float(asked)])
    if sums:
        comm.Allreduce(MPI.IN_PLACE, total, op=MPI.SUM)
    comm.Allreduce(MPI.IN_PLACE, extrema, op=MPI.MAX)
    sum_of = {name: float(value) for name, value in zip(sums, total, strict=True)}
    extremum = {name: sign * float(extrema[k]) for k, (name, sign) in enumerate(signs.items())}
    return {name: sum_of[name] if name in sum_of else extremum[name] for name in measured}, int(extrema[-1])
