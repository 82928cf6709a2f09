r"""Point kinetics at the nodes of a space: explicit steps of the fields, exponential ones of the gates.

With a step k, scales :math:`\sigma_i` (what a rate per its own unit changes in field i at a node) and the stoichiometry
:math:`\nu` of :mod:`homfem.kinetics.point`,

.. math:: u_i \leftarrow u_i + \sigma_i\sum_j \nu_{ij}\,(k\,r_j),\qquad
    X_k \leftarrow X_{k,\infty} + (X_k - X_{k,\infty})\,e^{-k\rho_k},

evaluated at the start of the step (first order) or at the midpoint that such a half step gives (second order); of a
gate that holds what the rates move they take the mean of that exponential over the step. **One** number
:math:`k r_j` goes into every field that shares the rate: what one loses another gains, to round-off.

Membranes have further schemes, and steps that are compiled: see :mod:`homfem.kinetics.ionic.kernels`.
"""

from __future__ import annotations

import ctypes
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from homfem.kinetics.ionic.kernels import SCALE, SCHEMES, compiled, kernel_source
from homfem.kinetics.ionic.steps import stage
from homfem.kinetics.parameters import refuse_unknown
from homfem.kinetics.point import PointKinetics
from homfem.kinetics.written_code import scale_name, step_source
from homfem.parameters import Array, InputError, check_choice, check_integer

#: Nodes per block: the temporaries of a block stay in the processor's cache.
BLOCK = 4096
#: Nodes from which on written kinetics are compiled: a compiler takes as long as thousands of steps of fewer.
LARGE = 4000

Values = float | Array


class Source(Protocol):
    """What is added to a field over time, such as a stimulus."""

    def add(self, values: Array, time: float, step: float, *, part: float) -> None:
        """Add a part of what comes in the step from ``time`` to the values, in place."""


@dataclass(frozen=True, slots=True)
class _Block:
    """Some nodes: views of the fields, the gates and the other states, parameters, and what a rate moves."""

    fields: list[Array]
    states: Array
    parameters: Any
    moves: list[tuple[int, int, Values]]  # field, rate, factor


class NodalReaction:
    """Kinetics at the nodes that a rank owns; the fields and ``states`` change in place. Not collective.

    Parameters
    ----------
    kinetics
        What happens at a point.
    fields : mapping of str to array, shape (n,)
        The values of each field of the kinetics, as views that are written to.
    parameters : mapping of str to float or array, shape (n,)
        In place of the table's own numbers.
    scales : mapping of str to float or array, shape (n,)
        :math:`\\sigma_i` by field, such as a surface per volume; 1 where nothing is said.
    start : mapping of str to float or array, shape (n,)
        States at the start; those that are not named are at rest with the fields, if the kinetics tell, or have the
        start of their table.
    sources : mapping of str to Source
        What is added to a field, such as :class:`homfem.macro.stimulus.NodalStimulus`: half before and half after the
        kinetics, or at first order all before.
    order
        1 (Euler) or 2 (midpoint).
    positive
        Keep fields that start >= 0 so: a rate takes no more of a field than its share of what is there. One number per
        rate is cut, so that what one field loses another gains as before, and none where all that is taken in a step
        is there: then the order is that of the method.

    Attributes
    ----------
    states : array, shape (states, n)
        The states, in the order of the kinetics.
    parameters : namespace
        The parameters as the kinetics take them.

    Raises
    ------
    InputError
        For unknown names (with the nearest), missing fields, and arrays of another shape.
    """

    def __init__(
        self,
        kinetics: PointKinetics,
        fields: Mapping[str, Array],
        *,
        parameters: Mapping[str, Values] | None = None,
        scales: Mapping[str, Values] | None = None,
        start: Mapping[str, Values] | None = None,
        sources: Mapping[str, Source] | None = None,
        order: int = 2,
        positive: bool = False,
    ) -> None:
        names = [field.name for field in kinetics.fields]
        if set(fields) != set(names):
            raise InputError("fields", sorted(fields), f"those of {kinetics.name}: {', '.join(names)}")
        self.positive = positive
        self.kinetics, self.order = kinetics, check_integer("order", order, at_least=1, at_most=2)
        values = [fields[name] for name in names]
        self.size = len(values[0]) if values else 0
        given = {name: _values(name, value, self.size) for name, value in (parameters or {}).items()}
        p = kinetics.values(given, size=self.size)
        refuse_unknown("scales", scales or {}, names)
        refuse_unknown("sources", sources or {}, names)
        self._sources = [(fields[name], source) for name, source in (sources or {}).items()]
        factors = {name: _values(f"scales.{name}", value, self.size) for name, value in (scales or {}).items()}
        self.states = self._start(values, p, start or {})
        self._fields, self.parameters, self._scales = values, p, factors
        own = tuple(tuple(float(i == j) for j in range(len(names))) for i in range(len(names)))
        rows = own if kinetics.stoichiometry is None else kinetics.stoichiometry
        moves: list[tuple[int, int, Values]] = [
            (i, j, number * factors.get(name, 1.0))
            for i, (name, row) in enumerate(zip(names, rows, strict=True))
            for j, number in enumerate(row)
            if number != 0.0
        ]
        self._blocks = [self._block(first, values, p, moves) for first in range(0, self.size, BLOCK)]

    def _start(self, fields: list[Array], p: Any, start: Mapping[str, Values]) -> Array:
        kinetics = self.kinetics
        states = np.empty((len(kinetics.states), self.size))
        refuse_unknown("start", start, [state.name for state in kinetics.states])
        if kinetics.rest is not None and len(states):
            states[:] = kinetics.rest(fields, p)
        for row, state in enumerate(kinetics.states):
            if state.name in start:
                states[row] = _values(f"start.{state.name}", start[state.name], self.size)
            elif kinetics.rest is None:
                states[row] = state.start
        kinetics.check_shares(states)
        return states

    def _block(self, first: int, fields: list[Array], p: Any, moves: list[tuple[int, int, Values]]) -> _Block:
        part = slice(first, min(first + BLOCK, self.size))
        return _Block(
            fields=[values[part] for values in fields],
            states=self.states[:, part],
            parameters=type(p)(**{name: _part(value, part) for name, value in vars(p).items()}),
            moves=[(i, j, _part(factor, part)) for i, j, factor in moves],
        )

    def step(self, time: float, step: float) -> None:
        """Advance the fields and the states by a step from ``time``."""
        for values, source in self._sources:
            source.add(values, time, step, part=1.0 / self.order)
        self._react(time, step)
        if self.order > 1:
            for values, source in self._sources:
                source.add(values, time, step, part=0.5)

    def not_finite(self) -> tuple[str, int] | None:
        """Return the name of a field or a state that is not finite at a node, and that node; None if all are finite."""
        names = [entry.name for entry in (*self.kinetics.fields, *self.kinetics.states)]
        for name, values in zip(names, (*self._fields, *self.states), strict=True):
            with np.errstate(over="ignore", invalid="ignore"):
                total = values.sum()
            if not np.isfinite(total):  # also where the sum alone is too large
                bad = ~np.isfinite(values)
                if bad.any():
                    return name, int(np.argmax(bad))
        return None

    def _react(self, time: float, step: float) -> None:
        """Advance by the kinetics alone."""
        kinetics = self.kinetics
        for block in self._blocks:
            fields, states, p = block.fields, block.states, block.parameters
            at, now, then = time, fields, states
            if self.order > 1:
                rates = kinetics.rates(time, fields, states, p)
                at, now = time + 0.5 * step, [values.copy() for values in fields]
                then = self._half(block, time, step)
                self._move(block, now, rates, 0.5 * step)
            rates = kinetics.rates(at, now, self._mean(block, at, now, then, step), p)
            self._relax(block, at, now, then, step)
            self._move(block, fields, rates, step)

    def _move(self, block: _Block, fields: list[Array], rates: Array, step: float) -> None:
        """Add what the rates bring in a step to the fields, in place; the rates are used up."""
        rates *= step
        if self.positive:
            _cut(block, fields, rates)
        for field, rate, factor in block.moves:
            fields[field] += factor * rates[rate]
        if self.positive:
            for values in fields:
                np.maximum(values, 0.0, out=values)  # of round-off

    def _half(self, block: _Block, time: float, step: float) -> Array:
        """Return the states at the middle of a step."""
        kinetics, gates = self.kinetics, self.kinetics.gates
        states = np.empty_like(block.states)
        if kinetics.relaxation is not None:
            rate, target = kinetics.relaxation(time, block.fields, block.states, block.parameters)
            states[:gates] = target + (block.states[:gates] - target) * np.exp(-0.5 * step * rate)
        if kinetics.drift is not None:
            drift = kinetics.drift(time, block.fields, block.states, block.parameters)
            states[gates:] = block.states[gates:] + 0.5 * step * drift
        return states

    def _mean(self, block: _Block, time: float, fields: list[Array], states: Array, step: float) -> Array:
        """Return the states with those that hold what the rates move in the mean of the step."""
        held = list(self.kinetics.holding)
        if not held or self.kinetics.relaxation is None:
            return states
        rate, target = self.kinetics.relaxation(time, fields, states, block.parameters)
        result, start, z = states.copy(), block.states[held], step * rate[held]
        part = np.divide(-np.expm1(-z), z, out=np.ones_like(z), where=z > 0.0)
        result[held] = target[held] + (start - target[held]) * part
        return result

    def _relax(self, block: _Block, time: float, fields: list[Array], states: Array, step: float) -> None:
        """Advance the states of a block, with rates and targets at ``time`` for given fields and states."""
        kinetics, gates = self.kinetics, self.kinetics.gates
        relaxed = drift = None
        if kinetics.relaxation is not None:
            relaxed = kinetics.relaxation(time, fields, states, block.parameters)
        if kinetics.drift is not None:  # before the gates move, where the states are the block's own
            drift = kinetics.drift(time, fields, states, block.parameters)
        if relaxed is not None:
            rate, target = relaxed
            x = block.states[:gates]
            x -= target
            x *= np.exp(-step * rate)
            x += target
        if drift is not None:
            block.states[gates:] += step * drift


class MembraneReaction(NodalReaction):
    """A membrane at nodes by NumPy, by any of :data:`homfem.kinetics.ionic.kernels.SCHEMES` (``scheme``)."""

    scheme = "rush-larsen"

    def _react(self, time: float, step: float) -> None:
        for block in self._blocks:
            at, base = time, np.vstack([block.fields[0], block.states])
            now = base
            with np.errstate(over="ignore", invalid="ignore"):
                if self.order > 1:
                    at, now = time + 0.5 * step, self._stage(block, time, base, base, 0.5 * step)
                new = self._stage(block, at, now, base, step)
            block.fields[0][:], block.states[:] = new[0], new[1:]

    def _stage(self, block: _Block, time: float, now: Array, base: Array, step: float) -> Array:
        ((_, _, scale),) = block.moves
        kinetics, p = self.kinetics, block.parameters
        return stage(kinetics, p, self.scheme, time=time, now=now, base=base, step=step, scale=scale)


class CompiledReaction(NodalReaction):
    """A membrane at nodes by a compiled step, that :meth:`compile` makes."""

    def compile(self, scheme: str) -> bool:
        """Compile the step of a scheme, or find it compiled; return whether there is one."""
        values = {**vars(self.parameters), SCALE: self._scales.get(self.kinetics.fields[0].name, 1.0)}
        arrays = [name for name, value in values.items() if isinstance(value, np.ndarray)]
        step = compiled(kernel_source(self.kinetics.formulas, scheme, self.order, arrays))
        if step is None:
            return False
        potential = self._fields[0]
        straight = potential.flags.c_contiguous and potential.dtype == np.float64
        self._potential = potential if straight else np.empty(self.size)
        self._numbers = np.array([value for name, value in values.items() if name not in arrays])
        self._arrays = [np.ascontiguousarray(values[name]) for name in arrays]
        self._pointers = (ctypes.c_void_p * max(1, len(arrays)))(*(array.ctypes.data for array in self._arrays))
        addresses = (array.ctypes.data for array in (self._potential, self.states, self._numbers))
        self._step, self._addresses = step, (*addresses, ctypes.addressof(self._pointers))
        return True

    def _react(self, time: float, step: float) -> None:
        if self._potential is not self._fields[0]:
            self._potential[:] = self._fields[0]
        self._step(self.size, self.size, time, step, *self._addresses)
        if self._potential is not self._fields[0]:
            self._fields[0][:] = self._potential


class CompiledKinetics(NodalReaction):
    """Kinetics that are written as expressions, by a compiled step that :meth:`compile` makes."""

    def compile(self) -> bool:
        """Compile the step, or find it compiled; return whether there is one."""
        scales = {scale_name(field.name): self._scales.get(field.name, 1.0) for field in self.kinetics.fields}
        values = {**vars(self.parameters), **scales}
        arrays = [name for name, value in values.items() if isinstance(value, np.ndarray)]
        step = compiled(step_source(self.kinetics, self.order, arrays))
        straight = all(field.flags.c_contiguous and field.dtype == np.float64 for field in self._fields)
        if step is None or not straight:
            return False
        self._numbers = np.array([value for name, value in values.items() if name not in arrays], dtype=np.float64)
        self._arrays = [np.ascontiguousarray(values[name]) for name in arrays]
        self._pointers = [
            (ctypes.c_void_p * max(1, len(group)))(*(array.ctypes.data for array in group))
            for group in (self._fields, self._arrays)
        ]
        fields, given = (ctypes.addressof(pointers) for pointers in self._pointers)
        self._step, self._addresses = step, (fields, self.states.ctypes.data, self._numbers.ctypes.data, given)
        return True

    def _react(self, time: float, step: float) -> None:
        self._step(self.size, self.size, time, step, *self._addresses)


def make_reaction(
    kinetics: PointKinetics,
    fields: Mapping[str, Array],
    *,
    scheme: str = "rush-larsen",
    compile: bool = True,
    **options: Any,
) -> NodalReaction:
    """Return what takes the steps of kinetics at nodes.

    Parameters
    ----------
    kinetics, fields, options
        As of :class:`NodalReaction`; ``order`` is 1 or 2.
    scheme
        ``"rush-larsen"``: gates exponentially, the rest explicitly; ``"generalized-rush-larsen"``: the rest
        exponentially, too; ``"explicit"``: all explicitly. The last two take kinetics of one field that tell their
        slopes, as those of :func:`homfem.kinetics.ionic.ionic_kinetics` from files do.
    compile
        Compile kinetics that have formulas, or are written as expressions and have :data:`LARGE` nodes or more, at
        first use; without a compiler NumPy takes the steps, and that is said.

    Raises
    ------
    InputError
        For an unknown scheme, one that the kinetics cannot take, and as ``NodalReaction`` does.
    """
    check_choice("scheme", scheme, SCHEMES)
    if kinetics.slopes is None or kinetics.stoichiometry is not None or options.get("positive"):
        if scheme != "rush-larsen":
            needed = f"'rush-larsen' for {kinetics.name}"
            raise InputError("scheme", scheme, needed, "Others take kinetics of one field that tell their slopes.")
        if compile and kinetics.written is not None and not options.get("positive"):
            quick = CompiledKinetics(kinetics, fields, **options)
            if quick.size >= LARGE and quick.compile():
                return quick
        return NodalReaction(kinetics, fields, **options)
    if compile and kinetics.formulas is not None:
        fast = CompiledReaction(kinetics, fields, **options)
        if fast.compile(scheme):
            return fast
    plain = MembraneReaction(kinetics, fields, **options)
    plain.scheme = scheme
    return plain


def _cut(block: _Block, fields: list[Array], rates: Array) -> None:
    """Cut what rates bring, in place, to what is there: no field loses more than it has."""
    taken = [np.zeros_like(values) for values in fields]
    for field, rate, factor in block.moves:
        taken[field] += np.maximum(0.0, -factor * rates[rate])
    shares = [
        np.where(lost > values, values / np.where(lost > 0.0, lost, 1.0), 1.0)
        for lost, values in zip(taken, fields, strict=True)
    ]
    factors = np.ones_like(rates)
    for field, rate, factor in block.moves:
        loses = factor * rates[rate] < 0.0
        factors[rate] = np.where(loses, np.minimum(factors[rate], shares[field]), factors[rate])
    rates *= factors


def _values(name: str, given: Any, size: int) -> Values:
    """Return a number, also of an array that is the same at all nodes, or an array of its own."""
    if np.ndim(given) == 0:
        return float(given)
    values = np.array(given, dtype=np.float64)
    if values.shape != (size,):
        raise InputError(name, values.shape, f"a number, or one for each of {size} nodes")
    return float(values[0]) if size and np.ptp(values) == 0.0 else values


def _part(value: Values, part: slice) -> Values:
    return value[part] if isinstance(value, np.ndarray) else value
