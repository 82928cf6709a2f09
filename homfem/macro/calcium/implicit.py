r"""Steps that solve for transport, exchange, binding, states and boundary laws at once, by Newton's method.

With the mass M and the stiffness K of each field, the amounts A that exchange and boundaries bring to its nodes, and
the states X (:mod:`homfem.macro.calcium.nodal_rates`), stage i of a :class:`homfem.timestepping.DiffusionScheme` finds
the increments d of

.. math::
    M d_i = m_i M d_{i-1} + (k_i - a)\,S(t_n, u_n, X_n) + a\,S(t_i, u_n + d_i, X_i),\qquad S = -Ku + A(t, u, X),

and likewise those of X. Nothing is split: the order in time is that of the scheme, also where the exchange jumps in
space, and no rate limits the step. Amounts at nodes are loads beside the mass M here, where a splitting adds them to
the nodes: in space the two differ by their errors, of second order.

What Newton's method and the linear solver leave of the balance

.. math:: 1^TMd_i = m_i1^TMd_{i-1} + (k_i-a)\,1^TA_n + a\,1^TA_i

is taken away as a constant of each field: as one amount goes into the one field and out of the other, all calcium is
kept to round-off, whatever the tolerance.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from mpi4py import MPI

from homfem.macro.calcium.coupled_matrix import CoupledMatrix
from homfem.macro.calcium.diffusion import Diffusion
from homfem.macro.calcium.exchange import NodalExchange
from homfem.macro.calcium.loads import Loads
from homfem.macro.calcium.nodal_rates import NodalRates, Slopes
from homfem.macro.calcium.unknowns import Unknown
from homfem.parameters import Array, ConvergenceError
from homfem.timestepping import DiffusionScheme

Values = dict[str, Array]

#: Steps of Newton's method, and the shortest part of one that is tried.
MOST_STEPS, SHORTEST = 30, 2.0**-10
#: Round-off of a residual, relative to its terms; and what of the wanted residual rounding excuses where it falls no
#: further.
ROUNDING, EXCUSED = 4e-15, 1e3


@dataclass(slots=True, eq=False)
class _Slope:
    """S of the fields at their nodes, the sums of what enters each, the change of the states, what loads bring."""

    fields: Values
    sums: dict[str, float]
    states: list[Array]
    loads: dict[str, float]


@dataclass(slots=True, eq=False)
class _Stage:
    """What a stage is: its factor and time, and right-hand sides."""

    a: float
    time: float
    sides: Values
    state_sides: list[Array]
    drive: Array


@dataclass(slots=True, eq=False)
class _Rest:
    """What is left of the equations of fields and states, and the norms of both."""

    fields: Values
    states: list[Array]
    sizes: Array


class ImplicitStep:
    """One step of all fields and states, changed in place; collective.

    Parameters
    ----------
    unknowns
        The fields by name.
    exchange
        All kinetics, binding included.
    diffusion
        The matrices of the fields that move.
    loads
        What enters from outside.
    scheme
        The one-step method.
    rtol
        Newton's method ends at this residual, relative to what drives the step.
    preconditioner
        Of the linear solver: ``"jacobi"`` (of the blocks of each node), ``"incomplete-factors"``, ``"direct"``, ...
    """

    def __init__(
        self,
        unknowns: Mapping[str, Unknown],
        exchange: NodalExchange,
        diffusion: Diffusion,
        loads: Loads,
        *,
        scheme: DiffusionScheme,
        rtol: float,
        preconditioner: str,
    ) -> None:
        self.unknowns, self.loads, self.scheme, self.rtol = dict(unknowns), loads, scheme, rtol
        self.rates = NodalRates(exchange, unknowns)
        self.comm = next(iter(unknowns.values())).part.comm
        pairs = [pair for found in self.comm.allgather([*self.rates.pairs, *loads.pairs]) for pair in found]
        self.matrix = CoupledMatrix(unknowns, diffusion, pairs, preconditioner=preconditioner)
        self._volumes = self._sums({name: float(one.weights.sum()) for name, one in unknowns.items()})

    def take(self, time: float, step: float) -> int:
        """Advance fields and states by a step; return the iterations of the linear solver. Collective.

        Raises
        ------
        ConvergenceError
            If Newton's method does not converge; the fields are then those of the start.
        """
        start = {name: one.values.copy() for name, one in self.unknowns.items()}
        first = [states.copy() for states in self.rates.states]
        u, x, count = start, first, 0
        now = self._slope(time, (time, step), start, first)
        moved = {name: np.zeros_like(values) for name, values in start.items()}
        due, brought = dict.fromkeys(start, 0.0), dict.fromkeys(self.loads.labels, 0.0)
        for k, (carry, slope) in enumerate(self.scheme.stages):
            a = self.scheme.diagonal * step
            explicit = slope * step - a
            masses = self._masses(moved)
            sides = {name: carry * masses[name] + explicit * now.fields[name] for name in start}
            state_sides = [
                before + carry * (now_x - before) + explicit * change
                for before, now_x, change in zip(first, x, now.states, strict=True)
            ]
            fields = {name: sides[name] + a * now.fields[name] for name in start}
            drive = self._norms(fields, [slope * step * change for change in now.states])
            stage = _Stage(a, time + self.scheme.forcing[k][-1][1] * step, sides, state_sides, drive)
            u, x, then, used = self._newton(stage, (time, step), start, u, x)
            # What the amounts have moved into the states, to round-off, where these hold calcium.
            x = [side + a * change for side, change in zip(stage.state_sides, then.states, strict=True)]
            count += used
            for name in start:
                due[name] = carry * due[name] + explicit * now.sums[name] + a * then.sums[name]
            for label in brought:
                brought[label] = carry * brought[label] + explicit * now.loads[label] + a * then.loads[label]
            moved = {name: u[name] - values for name, values in start.items()}
            self._balance(moved, due)
            u = {name: start[name] + change for name, change in moved.items()}
        for name, one in self.unknowns.items():
            one.values[:] = u[name]
        for states, found in zip(self.rates.states, x, strict=True):
            states[:] = found
        for label, amount in brought.items():
            self.loads.brought[label] += amount
        return count

    def _masses(self, values: Values) -> Values:
        """Return the product of each field with its mass matrix; collective."""
        return {name: self.matrix.product(name, "mass", one) for name, one in values.items()}

    def _slope(self, at: float, step: tuple[float, float], u: Values, x: Sequence[Array]) -> _Slope:
        """Return S at a time within a step; collective."""
        amounts, changes = self.rates.rates(at, u, x)
        brought: dict[str, float] = {}
        if self.loads.any:
            for name, load in self.loads.rates(*step, u, at=at).items():
                amounts[name] = amounts[name] + load
            brought = self.loads.last
        sums = {name: float(amount.sum()) for name, amount in amounts.items()}
        fields = {name: one - self.matrix.product(name, "stiffness", u[name]) for name, one in amounts.items()}
        return _Slope(fields, sums, changes, brought)

    def _newton(
        self, stage: _Stage, step: tuple[float, float], start: Values, u: Values, x: list[Array]
    ) -> tuple[Values, list[Array], _Slope, int]:
        """Solve a stage; return fields, states, S and the iterations."""
        slope, rest = self._residual(stage, step, start, u, x)
        used = 0
        wanted: Array = np.zeros(0)
        for _ in range(MOST_STEPS):
            if len(wanted) and np.all(rest.sizes <= wanted):
                return u, x, slope, used
            slopes = self.rates.slopes(stage.time, stage.a, u, x, rest.states)
            for pair, slope_of in self.loads.slopes(*step, u, stage.time).items():
                slopes.amounts[pair] = slopes.amounts.get(pair, 0.0) + slope_of
            if not len(wanted):
                wanted = self.rtol * stage.drive + ROUNDING * self._gross(stage.a, u, x, slopes)
                if np.all(rest.sizes <= wanted):
                    return u, x, slope, used
            right = {name: values + slopes.lifted[name] for name, values in rest.fields.items()}
            change, count = self.matrix.solve(stage.a, slopes.amounts, right)
            moves, used = self.rates.moved(slopes, change), used + count
            found = self._better((change, moves), stage, step, start, (u, x), rest, wanted)
            if found is None:
                if np.all(rest.sizes <= EXCUSED * wanted):
                    return u, x, slope, used
                break
            u, x, slope, rest = found
        raise ConvergenceError(self._stopped(stage.time, rest.sizes, wanted))

    def _better(
        self,
        moves: tuple[Values, list[Array]],
        stage: _Stage,
        step: tuple[float, float],
        start: Values,
        at: tuple[Values, list[Array]],
        rest: _Rest,
        wanted: Array,
    ) -> tuple[Values, list[Array], _Slope, _Rest] | None:
        """Return what the longest part of a change that is worth it leads to; None if none is."""
        length, size = 1.0, float(_over(rest.sizes, wanted).max())
        while length >= SHORTEST:
            u = {name: values + length * moves[0][name] for name, values in at[0].items()}
            x = [states + length * move for states, move in zip(at[1], moves[1], strict=True)]
            slope, found = self._residual(stage, step, start, u, x)
            if float(_over(found.sizes, wanted).max()) <= (1.0 - 1e-4 * length) * size:
                return u, x, slope, found
            length *= 0.5
        return None

    def _stopped(self, time: float, left: Array, wanted: Array) -> str:
        over = _over(left, wanted)
        name = [*self.unknowns, "the states"][int(np.argmax(over))]
        return (
            f"calcium bidomain: Newton's method does not converge in the step to t = {time:g} s (the residual of "
            f"{name} is {float(over.max()):.3g} times what was asked for). Take a smaller step."
        )

    def _residual(
        self, stage: _Stage, step: tuple[float, float], start: Values, u: Values, x: list[Array]
    ) -> tuple[_Slope, _Rest]:
        """Return S and what is left of the equations; collective."""
        with np.errstate(all="ignore"):
            slope = self._slope(stage.time, step, u, x)
            masses = self._masses({name: u[name] - values for name, values in start.items()})
            fields = {name: stage.sides[name] + stage.a * slope.fields[name] - masses[name] for name in u}
            states = [
                values - side - stage.a * change
                for values, side, change in zip(x, stage.state_sides, slope.states, strict=True)
            ]
        return slope, _Rest(fields, states, self._norms(fields, states))

    def _gross(self, a: float, u: Values, x: list[Array], slopes: Slopes) -> Array:
        """Return the sizes of the terms of the equations, whose rounding no residual falls below; collective."""
        gross = {name: np.abs(one.weights * u[name]) for name, one in self.unknowns.items()}
        for (name, other), slope in slopes.amounts.items():
            here, there = self.matrix.common[name, other]
            gross[name][here] += a * np.abs(slope[here] * u[other][there])
        return self._norms(gross, x)

    def _norms(self, fields: Values, states: Sequence[Array]) -> Array:
        """Return the norm of each field's values, and that of all states; infinite where one is not finite."""
        with np.errstate(over="ignore", invalid="ignore"):
            squares = [float(fields[name] @ fields[name]) for name in self.unknowns]
            squares.append(float(sum(np.vdot(values, values) for values in states)))
        total = np.array(squares)
        total[~np.isfinite(total)] = np.inf
        self.comm.Allreduce(MPI.IN_PLACE, total, op=MPI.SUM)
        return np.asarray(np.sqrt(total))

    def _sums(self, mine: Mapping[str, float]) -> dict[str, float]:
        total = np.array(list(mine.values()))
        self.comm.Allreduce(MPI.IN_PLACE, total, op=MPI.SUM)
        return {name: float(value) for name, value in zip(mine, total, strict=True)}

    def _balance(self, moved: Values, due: dict[str, float]) -> None:
        """Shift the increments of each field by the constant that makes their amount what has entered; collective."""
        missing = {name: due[name] - float(one.weights @ moved[name]) for name, one in self.unknowns.items()}
        for name, amount in self._sums(missing).items():
            moved[name] += amount / self._volumes[name]


def _over(left: Array, wanted: Array) -> Array:
    """Return residuals over what is wanted of each; infinite where they are not finite."""
    found = np.where(left > 0.0, np.inf, 0.0)
    return np.divide(left, wanted, out=found, where=np.isfinite(left) & (wanted > 0.0))
