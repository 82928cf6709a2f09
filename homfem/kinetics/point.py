r"""Kinetics at a point: sources of fields and the states that gate them, as data. No mesh, no dolfinx.

Fields :math:`u_i` (what a macroscale model moves in space) and states :math:`X_k` (what stays where it is) obey

.. math:: \dot u_i = \sum_j \nu_{ij}\,r_j(t, u, X),\qquad
    \dot X_k = \rho_k(t, u, X)\,\bigl(X_{k,\infty}(t, u, X) - X_k\bigr)\quad\text{or}\quad \dot X_k = \varphi_k(t, u, X)

with rates r, their stoichiometry :math:`\nu`, gates that relax to a target and other states that drift. One rate that
two fields share moves exactly as much out of the one as into the other. A gate, whose :math:`\rho, X_\infty` do not
depend on X, takes exponential steps (Rush, Larsen 1978, doi 10.1109/TBME.1978.326270).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import numpy as np

from homfem.kinetics.parameters import Parameter, parameter_values, refuse_unknown
from homfem.parameters import Array, ConvergenceError, InputError

Fields = Sequence[Array]
#: Of shares that sum to 1.
_ROUNDING = 1e-9


@dataclass(frozen=True, kw_only=True, slots=True)
class Variable:
    """A field or a state: its name, unit, meaning, and the number it starts with where nothing else is said.

    ``gate`` of a state: it relaxes to a target; else it drifts. ``holds`` of a gate in which rates are linear: it holds
    what the rates move, so that they take its mean over a step, by which they bring what it gains, to round-off.
    """

    name: str
    unit: str = ""
    start: float = 0.0
    meaning: str = ""
    gate: bool = True
    holds: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class PointKinetics:
    r"""Kinetics as functions of the local state, vectorised over n nodes (structure of arrays).

    Every function is called as ``f(time, fields, states, p)``: ``fields`` is a sequence of arrays of shape (n,),
    ``states`` an array of shape (len(states), n), ``p`` has the parameters as attributes, each a number or an array of
    shape (n,). They leave their arguments alone and return new arrays.

    Parameters
    ----------
    name : str
        Name of the kinetics.
    time_unit : str
        Unit of time.
    fields, states : tuple of Variable
        The fields u and the states X; gates come before the other states.
    parameters : tuple of Parameter
        The one table of parameters.
    rates : callable
        :math:`r`, of shape (number of rates, n).
    stoichiometry : tuple of rows, or None
        :math:`\nu`, a row for each field with an entry for each rate; None: the identity, one rate for each field.
    relaxation : callable or None
        ``(rate, target)`` of the gates, :math:`\rho` and :math:`X_\infty`, each of shape (gates, n).
    drift : callable or None
        :math:`\varphi` of the other states, of shape (states - gates, n).
    rest : callable ``(fields, p) -> states`` or None
        The states at rest for fields that are held, of shape (states, n).
    jacobian : callable or None
        Derivatives of :math:`(\dot u, \dot X)` with respect to (u, X), of shape (f + s, f + s, n).
    slopes : callable or None
        :math:`\partial\dot u_i/\partial u_i` of the fields and :math:`\partial\varphi_k/\partial X_k` of the other
        states, of shape (f + states - gates, n).
    formulas : object or None
        The same functions as source code (:class:`homfem.kinetics.ionic.formulas.Formulas`), from which compiled steps
        are made.
    written : object or None
        The same functions as trees of expressions (:class:`homfem.kinetics.written.Formulary`), where they were written
        so: compiled steps can be made from them.
    shares : tuple of tuple of str
        Groups of states that are parts of one whole: each is >= 0, and their sum is at most 1; the rest is in a state
        that is not among them.
    quasi_positive : bool
        Whether :math:`\dot u_i \ge 0` is proved where :math:`u_i = 0` and the other fields are :math:`\ge 0`.
    kept : tuple of rows
        Weights w, one for each field, of sums that are proved to stay: :math:`\sum_i w_i\dot u_i = 0`.

    Raises
    ------
    InputError
        If names are given twice, or the parts do not fit together.
    """

    name: str
    time_unit: str
    fields: tuple[Variable, ...]
    states: tuple[Variable, ...] = ()
    parameters: tuple[Parameter, ...] = ()
    rates: Callable[[float, Fields, Array, Any], Array]
    stoichiometry: tuple[tuple[float, ...], ...] | None = None
    relaxation: Callable[[float, Fields, Array, Any], tuple[Array, Array]] | None = None
    drift: Callable[[float, Fields, Array, Any], Array] | None = None
    rest: Callable[[Fields, Any], Array] | None = None
    jacobian: Callable[[float, Fields, Array, Any], Array] | None = None
    slopes: Callable[[float, Fields, Array, Any], Array] | None = None
    formulas: Any = None
    written: Any = None
    shares: tuple[tuple[str, ...], ...] = ()
    quasi_positive: bool = False
    kept: tuple[tuple[float, ...], ...] = ()

    def __post_init__(self) -> None:
        for what, entries in (("fields and states", (*self.fields, *self.states)), ("parameters", self.parameters)):
            names = [entry.name for entry in entries]
            twice = sorted({name for name in names if names.count(name) > 1})
            if twice:
                raise InputError(what, twice, "names that differ")
        gates = [state.gate for state in self.states]
        if gates != sorted(gates, reverse=True):
            raise InputError("states", [state.name for state in self.states], "in order: gates before the others")
        for what, function, number in (
            ("relaxation", self.relaxation, self.gates),
            ("drift", self.drift, len(gates) - self.gates),
        ):
            if (function is None) != (number == 0):
                needed = f"a function, for {number} states" if number else "None, without such states"
                raise InputError(what, function, needed)
        rows = self.stoichiometry
        if rows is not None and (len(rows) != len(self.fields) or len({len(row) for row in rows}) != 1):
            raise InputError("stoichiometry", rows, f"{len(self.fields)} rows of one length, one for each field")
        refuse_unknown("shares", [name for group in self.shares for name in group], [s.name for s in self.states])
        if any(len(weights) != len(self.fields) for weights in self.kept):
            raise InputError("kept", self.kept, f"rows of {len(self.fields)} weights, one for each field")

    @property
    def holding(self) -> tuple[int, ...]:
        """The gates that hold what the rates move, by their place."""
        return tuple(k for k, state in enumerate(self.states) if state.holds)

    @property
    def gates(self) -> int:
        """Number of states that relax; they come first."""
        return sum(state.gate for state in self.states)

    def values(self, given: Mapping[str, Any] | None = None, *, size: int = 1) -> SimpleNamespace:
        """Return the parameters as attributes; see :func:`homfem.kinetics.parameters.parameter_values`."""
        return parameter_values(self.parameters, given, size=size)

    def start(self, given: Mapping[str, float] | None = None) -> Array:
        """Return the start of fields and states at one point, shape (f + s,); ``given`` ones by name."""
        variables, chosen = (*self.fields, *self.states), dict(given or {})
        refuse_unknown("start", chosen, [entry.name for entry in variables])
        return np.array([chosen.get(entry.name, entry.start) for entry in variables], dtype=np.float64)

    def check_shares(self, states: Array) -> None:
        """Refuse states, of shape (states, n), of which parts of one whole are negative or more than the whole.

        Raises
        ------
        InputError
            With the name of the state or the group, and the worst number.
        """
        names = [state.name for state in self.states]
        for group in self.shares:
            rows = states[[names.index(name) for name in group]]
            for name, row in zip(group, rows, strict=True):
                lowest = float(row.min(initial=np.inf))
                if not lowest >= -_ROUNDING and row.size:
                    raise InputError(name, lowest, "a share, >= 0")
            largest = float(rows.sum(axis=0).max(initial=-np.inf))
            if not largest <= 1.0 + _ROUNDING and rows.size:
                raise InputError(" + ".join(group), largest, "at most 1: they are parts of one whole")

    def derivative(self, time: float, state: Array, p: Any) -> Array:
        r"""Return :math:`(\dot u, \dot X)` for a state (u, X): one point, shape (f + s,), or n, shape (f + s, n).

        For integrators of ordinary differential equations and for roots.
        """
        single = state.ndim == 1
        columns = state[:, None] if single else state
        number = len(self.fields)
        fields, states = tuple(columns[k] for k in range(number)), columns[number:]
        result = np.empty_like(columns)
        rates = self.rates(time, fields, states, p)
        result[:number] = rates if self.stoichiometry is None else np.array(self.stoichiometry) @ rates
        middle = number + self.gates
        if self.relaxation is not None:
            rate, target = self.relaxation(time, fields, states, p)
            result[number:middle] = rate * (target - states[: self.gates])
        if self.drift is not None:
            result[middle:] = self.drift(time, fields, states, p)
        return result[:, 0] if single else result


def resting_point(kinetics: PointKinetics, parameters: Mapping[str, float] | None = None, **start: float) -> Array:
    """Return a state (u, X) of one point at which nothing changes, shape (f + s,): the one that Newton's method finds.

    Parameters
    ----------
    kinetics
        The kinetics.
    parameters
        Numbers in place of the table's own.
    start
        Fields and states by name from which it is sought, in place of their own starts.

    Raises
    ------
    ConvergenceError
        If none is found from there.
    InputError
        For unknown names.
    """
    import scipy.optimize

    p, first = kinetics.values(parameters), kinetics.start(start)
    found = scipy.optimize.root(lambda y: kinetics.derivative(0.0, y, p), first, method="hybr", tol=1e-13)
    left = np.abs(kinetics.derivative(0.0, found.x, p))
    if not np.all(left <= 1e-9 * np.maximum(1.0, np.abs(found.x))):
        raise ConvergenceError(f"{kinetics.name}: no state of rest is found from {first.tolist()}. Start elsewhere.")
    return np.asarray(found.x)
