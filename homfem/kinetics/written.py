r"""Kinetics from expressions: one text for rates, gates and drifts, for their slopes, the state of rest, compiled code.

A :class:`Formulary` has the trees of all of it (:class:`homfem.kinetics.expressions.Node`): definitions in an order in
which each uses those before it, then rates :math:`r_j`, gates :math:`(\rho_k, X_{k,\infty})` and drifts. Their names
are fields, states, parameters, definitions and ``t``; whoever writes code from the trees needs nothing else.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from homfem.kinetics.expressions import Expression, Node, as_array
from homfem.kinetics.point import Fields, PointKinetics, Variable
from homfem.parameters import Array, ConvergenceError

TIME = "t"
Slopes = dict[str, Any]
_ITERATIONS = 50


@dataclass(frozen=True, kw_only=True, slots=True)
class Formulary:
    """The expressions of kinetics.

    Parameters
    ----------
    definitions : tuple of (str, Expression)
        What others use, by name, each after what it uses itself.
    rates : tuple of (str, Expression)
        The rates by name, in their order.
    gates : tuple of (str, Expression, Expression)
        Each gate by name, with the rate at which it relaxes and its target.
    drifts : tuple of (str, Expression)
        The derivatives of the other states by name.
    """

    definitions: tuple[tuple[str, Expression], ...] = ()
    rates: tuple[tuple[str, Expression], ...] = ()
    gates: tuple[tuple[str, Expression, Expression], ...] = ()
    drifts: tuple[tuple[str, Expression], ...] = ()

    def renamed(self, names: Mapping[str, str]) -> Formulary:
        """Return the same with other names in place of some, also of what it defines."""
        return Formulary(
            definitions=tuple((names.get(name, name), renamed(entry, names)) for name, entry in self.definitions),
            rates=tuple((name, renamed(entry, names)) for name, entry in self.rates),
            gates=tuple(
                (names.get(name, name), renamed(rate, names), renamed(target, names))
                for name, rate, target in self.gates
            ),
            drifts=tuple((names.get(name, name), renamed(entry, names)) for name, entry in self.drifts),
        )

    def needed(self, expressions: Iterable[Expression]) -> tuple[tuple[str, Expression], ...]:
        """Return the definitions that some expressions use, in their order."""
        used = frozenset[str]().union(*(expression.names for expression in expressions))
        kept = []
        for name, expression in reversed(self.definitions):
            if name in used:
                used |= expression.names
                kept.append((name, expression))
        return tuple(reversed(kept))

    @property
    def names(self) -> frozenset[str]:
        """All names that stand in it."""
        every = [entry for _, entry in (*self.definitions, *self.rates, *self.drifts)]
        every += [entry for _, *pair in self.gates for entry in pair]
        return frozenset[str]().union(*(expression.names for expression in every))


def renamed(expression: Expression, names: Mapping[str, str]) -> Expression:
    """Return an expression with other names in place of some."""

    def change(node: Node) -> Node:
        return replace(node, name=names.get(node.name, node.name), parts=tuple(map(change, node.parts)))

    tree = change(expression.tree)
    return Expression(text=str(tree), tree=tree)


def product(first: Expression, second: Expression) -> Expression:
    """Return the product of two expressions."""
    tree = Node("*", (first.tree, second.tree))
    return Expression(text=str(tree), tree=tree)


def written_kinetics(formulary: Formulary, *, fields: tuple[Variable, ...], **description: Any) -> PointKinetics:
    """Return the kinetics of a formulary: its rates, relaxation, drift, Jacobian and state of rest.

    Parameters
    ----------
    formulary
        The expressions, in the order of the rates and the states.
    fields, description
        As of :class:`~homfem.kinetics.point.PointKinetics`: name, time unit, states, parameters, stoichiometry.

    Example
    -------
    >>> from homfem.kinetics.expressions import parse_expression
    >>> text = parse_expression("decay", "-2*u", ["u"])
    >>> decay = written_kinetics(
    ...     Formulary(rates=(("decay", text),)), name="decay", time_unit="s", fields=(Variable(name="u"),)
    ... )
    >>> decay.jacobian(0.0, [np.ones(1)], np.empty((0, 1)), decay.values()).tolist()
    [[[-2.0]]]
    """
    functions = _Functions(formulary, fields, **description)
    return PointKinetics(
        fields=fields,
        rates=functions.rates,
        relaxation=functions.relaxation if formulary.gates else None,
        drift=functions.drift if formulary.drifts else None,
        jacobian=functions.jacobian,
        rest=functions.rest if formulary.gates or formulary.drifts else None,
        written=formulary,
        **description,
    )


class _Functions:
    """The functions of a formulary in NumPy."""

    def __init__(
        self,
        formulary: Formulary,
        fields: tuple[Variable, ...],
        *,
        name: str,
        states: tuple[Variable, ...] = (),
        stoichiometry: tuple[tuple[float, ...], ...] | None = None,
        **_others: Any,
    ) -> None:
        self._formulary, self._name, self._rows = formulary, name, stoichiometry
        self._fields = [field.name for field in fields]
        self._states, self._starts = [state.name for state in states], np.array([state.start for state in states])
        gates = [pair for _, *pair in formulary.gates]
        self._rates = [entry for _, entry in formulary.rates]
        self._speeds, self._targets = [pair[0] for pair in gates], [pair[1] for pair in gates]
        self._drifts = [entry for _, entry in formulary.drifts]
        self._for_rates = formulary.needed(self._rates)
        self._for_gates = formulary.needed([*self._speeds, *self._targets])
        self._for_drifts = formulary.needed(self._drifts)

    def _names(self, time: float, fields: Fields, states: Array, p: Any) -> dict[str, Any]:
        return {
            **vars(p),
            **dict(zip(self._fields, fields, strict=True)),
            **dict(zip(self._states, states, strict=True)),
            TIME: time,
        }

    def _values(
        self,
        expressions: Sequence[Expression],
        needed: Sequence[tuple[str, Expression]],
        names: dict[str, Any],
        size: int,
    ) -> Array:
        for name, expression in needed:
            names[name] = expression.value(names)
        result = np.empty((len(expressions), size))
        for row, expression in zip(result, expressions, strict=True):
            row[:] = expression.value(names)
        return result

    def rates(self, time: float, fields: Fields, states: Array, p: Any) -> Array:
        names = self._names(time, fields, states, p)
        return self._values(self._rates, self._for_rates, names, len(fields[0]))

    def relaxation(self, time: float, fields: Fields, states: Array, p: Any) -> tuple[Array, Array]:
        names = self._names(time, fields, states, p)
        both = self._values([*self._speeds, *self._targets], self._for_gates, names, len(fields[0]))
        return both[: len(self._speeds)], both[len(self._speeds) :]

    def drift(self, time: float, fields: Fields, states: Array, p: Any) -> Array:
        names = self._names(time, fields, states, p)
        return self._values(self._drifts, self._for_drifts, names, len(fields[0]))

    def jacobian(self, time: float, fields: Fields, states: Array, p: Any) -> Array:
        """Return the derivatives of the rates of all fields and states with respect to them, by the chain rule."""
        names, variables = self._names(time, fields, states, p), [*self._fields, *self._states]
        size, number = len(fields[0]), len(self._fields)
        known: dict[str, Slopes] = {}
        for name, expression in self._formulary.definitions:
            names[name], known[name] = _slopes(expression, names, variables, known)
        result = np.zeros((len(variables), len(variables), size))

        def put(row: int, slopes: Slopes, factor: Any = 1.0) -> None:
            for name, slope in slopes.items():
                result[row, variables.index(name)] += as_array(factor * slope, size)

        rows = self._rows
        for j, rate in enumerate(self._rates):
            slopes = _slopes(rate, names, variables, known)[1]
            for i in range(number):
                factor = float(i == j) if rows is None else rows[i][j]
                if factor:
                    put(i, slopes, factor)
        for k, (speed, target) in enumerate(zip(self._speeds, self._targets, strict=True)):
            rate, by_rate = _slopes(speed, names, variables, known)
            goal, by_goal = _slopes(target, names, variables, known)
            put(number + k, by_rate, goal - states[k])
            put(number + k, by_goal, rate)
            result[number + k, number + k] -= rate
        for k, drift in enumerate(self._drifts, start=number + len(self._speeds)):
            put(k, _slopes(drift, names, variables, known)[1])
        return result

    def _change(self, fields: Fields, states: Array, p: Any) -> Array:
        """Return the derivatives of all states in time."""
        parts = []
        if self._speeds:
            rate, target = self.relaxation(0.0, fields, states, p)
            parts.append(rate * (target - states[: len(rate)]))
        if self._drifts:
            parts.append(self.drift(0.0, fields, states, p))
        return np.concatenate(parts)

    def rest(self, fields: Fields, p: Any) -> Array:
        """Return the states at rest for fields that are held, by Newton's method at every node.

        Raises
        ------
        ConvergenceError
            If there is none, or it is not found.
        """
        number = len(self._fields)
        states = np.repeat(self._starts[:, None], len(fields[0]), axis=1)
        for _ in range(_ITERATIONS):
            change = self._change(fields, states, p)
            matrix = np.moveaxis(self.jacobian(0.0, fields, states, p)[number:, number:], -1, 0)
            try:
                move = np.linalg.solve(matrix, change.T[..., None])[..., 0].T
            except np.linalg.LinAlgError:
                break
            states -= move
            if np.all(np.abs(move) <= 1e-10 * np.maximum(1.0, np.abs(states))):  # the error is of its square
                return states
        raise ConvergenceError(f"{self._name}: no states of rest are found for these fields. Give the states.")


def _slopes(
    expression: Expression, names: Mapping[str, Any], variables: Sequence[str], known: Mapping[str, Slopes]
) -> tuple[Any, Slopes]:
    """Return the value and the derivatives with respect to variables, also through definitions."""
    value, direct = expression.slopes(names, [*variables, *known])
    total: Slopes = {}
    for name, slope in direct.items():
        for by, inner in known[name].items() if name in known else ((name, None),):
            term = slope if inner is None else slope * inner
            total[by] = total[by] + term if by in total else term
    return value, total
