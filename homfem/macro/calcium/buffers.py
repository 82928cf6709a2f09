r"""Buffers of a tissue: bound calcium as fields beside free calcium, and their binding at the nodes.

.. math:: \gamma\,\partial_tb_i = \nabla\cdot(\tilde D_i\nabla b_i) + \gamma\bigl(k_+u\,(B_i-b_i) - k_-b_i\bigr)

with the calcium u of the phase in which the buffer is, its volume fraction and the tensor of the buffer (Goel et al.,
eqs 3.12 to 3.15). At a node the amounts :math:`w_uu+\sum_iw_ib_i` are kept to round-off, with the weights
:math:`w=\int\gamma\varphi`, whatever the rates and the step (:func:`homfem.kinetics.calcium.binding_step`). Rapid
buffers are put in equilibrium by each step: the splitting is then of first order in time, and its limit is the
rapid-buffer approximation with its nonlinear term, in conservative form.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from mpi4py import MPI

from homfem.kinds import DIFFUSION
from homfem.kinetics.calcium.binding_code import compiled_binding
from homfem.kinetics.calcium.buffers import Buffer, binding_step, check_bound
from homfem.kinetics.point import PointKinetics, Variable
from homfem.macro.calcium.fields import REST, Exchange, Field
from homfem.macro.calcium.unknowns import Unknown
from homfem.macro.initial import FieldInput
from homfem.macro.reaction import LARGE
from homfem.materials import required_tensor
from homfem.parameters import Array, ConvergenceError, InputError, check_number
from homfem.tensors import EffectiveTensor

#: How often a rapid buffer binds and releases in a step that solves for all at once.
QUICK = 1e6


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class TissueBuffer:
    """A buffer in a tissue.

    Parameters
    ----------
    buffer : Buffer
        What binds, in which phase.
    diffusion : EffectiveTensor, mapping of str to EffectiveTensor or float, or None
        The effective tensor of the buffer, um^2/s, or one for each region of its phase; a number for a region is its
        diffusivity where nothing stands in the way. None: immobile, or see ``ratio``.
    ratio : float or None
        Its diffusivity over that of calcium, in place of ``diffusion``: the correctors of both are the same, so that
        its tensors are those of calcium times that (:func:`homfem.homogenize_calcium` knows which are).
    initial : FieldInput, mapping of str to float, or None
        Bound calcium at the start, uM, from 0 to the total. None: in equilibrium with the calcium at the start.
    regions : sequence of str or None
        Where it is; None: wherever its phase is.

    Raises
    ------
    InputError
        For a buffer with a diffusivity and no tensor, and the other way round.
    """

    buffer: Buffer
    diffusion: EffectiveTensor | Mapping[str, EffectiveTensor | float] | None = None
    ratio: float | None = None
    initial: FieldInput | Mapping[str, float] | None = None
    regions: Sequence[str] | None = None

    def __post_init__(self) -> None:
        name = f"buffers.{self.buffer.name}"
        given = [key for key in ("diffusion", "ratio") if getattr(self, key) is not None]
        if self.buffer.diffusivity > 0.0 and not given:
            allowed = "its effective tensor, or in its place the ratio of its diffusivity to that of calcium"
            raise InputError(f"{name}.diffusion", None, allowed, "The buffer has a diffusivity.")
        if self.buffer.diffusivity == 0.0 and given:
            raise InputError(f"{name}.{given[0]}", "given", "None: its diffusivity is 0")
        if len(given) > 1:
            raise InputError(f"{name}.ratio", self.ratio, "None where diffusion is given")
        if self.ratio is not None:
            check_number(f"{name}.ratio", self.ratio, above=0.0)
        if self.buffer.rapid and self.initial is not None:
            raise InputError(f"{name}.initial", "given", "None: a rapid buffer is in equilibrium")

    def field(self, phase: Field, dimension: int) -> Field:
        """Return the field of bound calcium beside that of free calcium in its phase."""
        capacity = self._capacity(phase)
        return Field(
            name=self.buffer.name,
            capacity=capacity,
            diffusion=self._tensors(phase, capacity, dimension),
            initial=0.0 if self.initial is None else self.initial,
            calcium=1.0,
        )

    def _capacity(self, phase: Field) -> dict[str, float]:
        if self.regions is None:
            return dict(phase.capacity)
        name = f"buffers.{self.buffer.name}.regions"
        if not self.regions or isinstance(self.regions, str):
            raise InputError(name, self.regions, "a list of at least one region")
        missing = [region for region in self.regions if region not in phase.capacity and REST not in phase.capacity]
        if missing:
            allowed = f"regions with {phase.name}: {', '.join(phase.capacity)}"
            raise InputError(name, missing, allowed, f"{self.buffer.name} is in the {phase.name}.")
        return {region: phase.capacity.get(region, phase.capacity.get(REST, 0.0)) for region in self.regions}

    def _tensors(self, phase: Field, capacity: Mapping[str, float], dimension: int) -> dict[str, Array] | None:
        if self.ratio is not None:
            own = phase.diffusion or {}
            return {region: self.ratio * np.asarray(own.get(region, own.get(REST))) for region in capacity}
        given = self.diffusion
        if given is None:
            return None
        if not isinstance(given, (EffectiveTensor, Mapping)):
            raise InputError(f"buffers.{self.buffer.name}.diffusion", given, "an effective tensor, or one by region")
        found: dict[str, Array] = {}
        for region, fraction in capacity.items():
            name = f"buffers.{self.buffer.name}.diffusion" + ("" if region == REST else f".{region}")
            by_region = {region: given} if isinstance(given, EffectiveTensor) else given
            tensor = by_region[region] if region in by_region else by_region.get(REST)
            if tensor is None:
                raise InputError(name, None, f"given, as for all of {', '.join(capacity)}")
            if not isinstance(tensor, EffectiveTensor):
                found[region] = fraction * check_number(name, tensor, above=0.0) * np.eye(dimension)
                continue
            taken = required_tensor(name, tensor, DIFFUSION, unit="um^2/s", dimension=dimension)
            if not np.isclose(taken.active_fraction, fraction, rtol=1e-6, atol=0.0):
                allowed = f"a tensor of the volume fraction of its phase, {fraction:g}"
                raise InputError(name, taken.active_fraction, allowed)
            found[region] = np.asarray(taken.value)
        return found


def binding_exchange(buffer: Buffer, *, step: float) -> Exchange:
    """Return the binding of a buffer as kinetics, for a step that solves for all at once.

    A rapid buffer binds :data:`QUICK` times while the step lasts: its rates are finite, and so quick that what a step
    ends with is the equilibrium.
    """
    off = buffer.k_off if not buffer.rapid else QUICK / step
    on, total = off / buffer.dissociation, buffer.total

    def rates(_time: float, fields: Sequence[Array], _states: Array, _p: object) -> Array:
        return np.asarray(on * fields[0] * (total - fields[1]) - off * fields[1])[None]

    def jacobian(_time: float, fields: Sequence[Array], _states: Array, _p: object) -> Array:
        slopes = on * (total - fields[1]), -on * fields[0] - off
        return np.array([[-slopes[0], -slopes[1]], list(slopes)])

    kinetics = PointKinetics(
        name=f"binding to {buffer.name}",
        time_unit="s",
        fields=(Variable(name=buffer.phase, unit="uM"), Variable(name=buffer.name, unit="uM")),
        rates=rates,
        stoichiometry=((-1.0,), (1.0,)),
        jacobian=jacobian,
    )
    return Exchange(kinetics=kinetics, per=buffer.name, parameters={})


@dataclass(slots=True, eq=False)
class _Group:
    """Nodes at which the same buffers of a phase are: values there, which are copies where places are given."""

    calcium: Array
    bound: list[Array]
    buffers: list[Buffer]
    shares: list[float | Array]
    copies: list[tuple[Array, Unknown, npt.NDArray[np.int64]]]
    compiled: Callable[[float], None] | None


class NodalBinding:
    """The binding of all buffers at the nodes that a rank owns; collective at the set-up.

    Parameters
    ----------
    buffers
        The buffers.
    unknowns
        The fields by name; those of bound calcium are put in equilibrium where nothing else was said.
    order
        1 or 2.

    Raises
    ------
    InputError
        If more calcium is bound at the start than there is of a buffer; on every rank.
    """

    def __init__(self, buffers: Sequence[TissueBuffer], unknowns: Mapping[str, Unknown], *, order: int) -> None:
        self.order = order
        self.groups: list[_Group] = []
        for one in buffers:
            _start(one, unknowns[one.buffer.phase], unknowns[one.buffer.name])
        for phase in dict.fromkeys(one.buffer.phase for one in buffers):
            inside = [one.buffer for one in buffers if one.buffer.phase == phase]
            self._gather(unknowns[phase], inside, [unknowns[buffer.name] for buffer in inside])

    def _gather(self, calcium: Unknown, buffers: list[Buffer], bound: list[Unknown]) -> None:
        nodes = _nodes(calcium)
        lives = np.array([one.part.has(nodes) for one in bound])
        for key in np.unique(lives, axis=1).T:
            chosen = [k for k, there in enumerate(key) if there]
            here = nodes[(lives == key[:, None]).all(axis=0)]
            if not chosen or not len(here):
                continue
            copies: list[tuple[Array, Unknown, npt.NDArray[np.int64]]] = []

            def values(one: Unknown, here: npt.NDArray[np.int64] = here, copies: list = copies) -> Array:
                if len(here) == len(one.values):
                    return one.values
                copies.append((np.empty(len(here)), one, one.part.positions(here)))
                return copies[-1][0]

            weights = calcium.weights[calcium.part.positions(here)]
            shares = [_number(bound[k].weights[bound[k].part.positions(here)] / weights) for k in chosen]
            here_too = values(calcium), [values(bound[k]) for k in chosen], [buffers[k] for k in chosen], shares
            quick = compiled_binding(*here_too, self.order) if len(here) >= LARGE else None
            self.groups.append(_Group(*here_too, copies, quick))

    @property
    def rapid(self) -> bool:
        """Whether a buffer is always in equilibrium: a step is then of first order."""
        return any(buffer.rapid for group in self.groups for buffer in group.buffers)

    def step(self, step: float) -> None:
        """Advance calcium and what is bound by a step; of length 0 nothing changes."""
        for group in self.groups if step else ():
            self._bind(group, step)

    def settle(self) -> None:
        """Put what is rapid in equilibrium, after something else has changed the fields."""
        for group in self.groups:
            if any(buffer.rapid for buffer in group.buffers):
                self._bind(group, 0.0)

    def _bind(self, group: _Group, step: float) -> None:
        for values, one, places in group.copies:
            values[:] = one.values[places]
        try:
            if group.compiled is not None:
                group.compiled(step)
            else:
                binding_step(group.calcium, group.bound, group.buffers, step, shares=group.shares, order=self.order)
        except ConvergenceError:
            group.calcium[:] = np.nan  # which all ranks find out together, and end the run or take a smaller step
        for values, one, places in group.copies:
            one.values[places] = values


def _nodes(one: Unknown) -> npt.NDArray[np.int64]:
    """The dofs of the whole space, among those that the rank owns, at which a field has values."""
    return np.arange(one.part.owned) if one.part.nodes is None else one.part.nodes


def _start(one: TissueBuffer, calcium: Unknown, bound: Unknown) -> None:
    """Put what is bound in equilibrium, or check what was given; collective."""
    if one.initial is None:
        bound.values[:] = one.buffer.bound(calcium.values[calcium.part.positions(_nodes(bound))])
        return
    comm = bound.part.comm
    least = comm.allreduce(float(bound.values.min(initial=np.inf)), op=MPI.MIN)
    most = comm.allreduce(float(bound.values.max(initial=-np.inf)), op=MPI.MAX)
    check_bound(one.buffer, np.array([least, most]), name=f"buffers.{one.buffer.name}.initial")


def _number(ratio: Array) -> float | Array:
    """A ratio as a number where it is the same at all nodes."""
    return 1.0 if len(ratio) and np.ptp(ratio) < 1e-12 and abs(ratio[0] - 1.0) < 1e-12 else ratio
