r"""Single cells: states of rest, where they turn into oscillations (Hopf points), periods and extrema of limit cycles.

A closed cell keeps :math:`\gamma_c c + \gamma_e e`, so that its Jacobian is singular along it; e is then the rest of c.
:func:`hopf_points` follows the state of rest along a parameter and finds where a pair of complex eigenvalues crosses
the imaginary axis; :func:`limit_cycle` integrates until the oscillation repeats.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from homfem.kinetics.calcium.assembled import cell_kinetics
from homfem.kinetics.calcium.fluxes import ER, Geometry
from homfem.kinetics.calcium.mechanisms import CalciumKinetics
from homfem.parameters import Array, ConvergenceError, InputError, check_number

_SMALLEST_SWING = 1e-6


@dataclass(frozen=True, kw_only=True, slots=True)
class CalciumCycle:
    """An oscillation: its period (s), smallest and largest c (uM), and a state on it (fields, then states)."""

    period: float
    smallest: float
    largest: float
    state: Array


class Cell:
    """A well-mixed cell: its kinetics, and what it keeps.

    Parameters
    ----------
    model
        The mechanisms.
    total
        Free calcium per volume of cytosol, uM, of a closed cell: c + (gamma_e/gamma_c) e. None: that of the model.
    geometry
        None: the one of the model.
    held
        Fields that do not change, such as ``("er",)``.

    Raises
    ------
    InputError
        For a closed cell without a total, and fields that are unknown.
    """

    def __init__(
        self,
        model: CalciumKinetics,
        *,
        total: float | None = None,
        geometry: Geometry | None = None,
        held: Sequence[str] = (),
    ) -> None:
        self.kinetics = cell_kinetics(model, geometry)
        self.names = [entry.name for entry in (*self.kinetics.fields, *self.kinetics.states)]
        for name in held:
            if name not in self.names[: len(self.kinetics.fields)]:
                raise InputError("held", name, f"fields of {model.name}: {self.names[: len(self.kinetics.fields)]}")
        self.closed = bool(self.kinetics.kept) and ER not in held
        self.total = total if total is not None else model.total
        left_out = set(held)
        if self.closed:
            if self.total is None:
                raise InputError("total", None, f"given, uM: {model.name} is a closed cell")
            check_number("total", self.total, above=0.0)
            weights = self.kinetics.kept[0]
            self._ratio = weights[1] / weights[0]
            left_out.add(ER)
        self.free = np.array([k for k, name in enumerate(self.names) if name not in left_out])

    def whole(self, free: Array, base: Array) -> Array:
        """Return a whole state from its free part; what is held is that of ``base``."""
        state = base.copy()
        state[self.free] = free
        if self.closed and self.total is not None:
            state[1] = (self.total - state[0]) / self._ratio
        return state

    def change(self, free: Array, base: Array, parameters: Mapping[str, float]) -> Array:
        """Return the derivative of the free part."""
        state = self.whole(free, base)
        return np.asarray(self.kinetics.derivative(0.0, state, self.kinetics.values(parameters))[self.free])

    def jacobian(self, free: Array, base: Array, parameters: Mapping[str, float]) -> Array:
        """Return the derivatives of the free part by itself."""
        state = self.whole(free, base)[:, None]
        count, p = len(self.kinetics.fields), self.kinetics.values(parameters)
        assert self.kinetics.jacobian is not None  # written kinetics have one
        full = self.kinetics.jacobian(0.0, list(state[:count]), state[count:], p)[:, :, 0]
        found = full[np.ix_(self.free, self.free)]
        if self.closed:
            found[:, 0] -= full[self.free, 1] / self._ratio
        return np.asarray(found)

    def rest(self, parameters: Mapping[str, float]) -> Array:
        """Return the state of rest with the smallest c, whole; by a search in c, with all states at rest for each.

        Raises
        ------
        ConvergenceError
            If there is none between 1e-4 uM and what the cell has.
        """
        import scipy.optimize

        base, p = self.kinetics.start(), self.kinetics.values(parameters)
        if len(self.kinetics.fields) > 2 or (not self.closed and 1 in self.free):
            return self._rest_of_all(base, parameters)
        most = self.total if self.closed and self.total is not None else 100.0
        grid: Array = np.geomspace(1e-4, most, 801, dtype=np.float64)
        values = self._net(grid, base, p)
        crossing = np.flatnonzero((values[:-1] > 0.0) & (values[1:] <= 0.0))
        if not len(crossing):
            raise ConvergenceError(f"{self.kinetics.name}: no state of rest between {grid[0]:g} and {grid[-1]:g} uM.")
        found = scipy.optimize.brentq(
            lambda c: float(self._net(np.array([c]), base, p)[0]),
            grid[crossing[0]],
            grid[crossing[0] + 1],
            xtol=1e-15,
            rtol=8.9e-16,
        )
        fields, states = self._column(np.array([found]), base, p)
        return np.concatenate([[field[0] for field in fields], states[:, 0]])

    def _column(self, c: Array, base: Array, p: Any) -> tuple[list[Array], Array]:
        """Return fields and states at rest for some c."""
        e: Array = np.full(c.shape, base[1])
        if self.closed and self.total is not None:
            e = np.asarray((self.total - c) / self._ratio)
        states: Array = np.empty((len(self.kinetics.states), c.size))
        if self.kinetics.rest is not None:
            states = self.kinetics.rest([c, e], p)
        return [c, e], states

    def _net(self, c: Array, base: Array, p: Any) -> Array:
        """Return the rate of change of c with all states at rest."""
        fields, states = self._column(c, base, p)
        return np.asarray((np.array(self.kinetics.stoichiometry) @ self.kinetics.rates(0.0, fields, states, p))[0])

    def _rest_of_all(self, base: Array, parameters: Mapping[str, float]) -> Array:
        import scipy.optimize

        found = scipy.optimize.root(
            lambda x: self.change(x, base, parameters), base[self.free], tol=1e-12, method="hybr"
        )
        left = np.abs(self.change(found.x, base, parameters))
        if not np.all(left <= 1e-8 * np.maximum(1.0, np.abs(found.x))):
            raise ConvergenceError(f"{self.kinetics.name}: no state of rest is found from its start.")
        return self.whole(found.x, base)

    def growth(self, parameters: Mapping[str, float]) -> complex:
        """Return the eigenvalue of the state of rest with the largest real part, 1/s; of a pair that with Im >= 0."""
        state = self.rest(parameters)
        values = np.linalg.eigvals(self.jacobian(state[self.free], state, parameters))
        largest = values[np.argmax(values.real)]
        return complex(largest.real, abs(largest.imag))


def hopf_points(
    cell: Cell, name: str, low: float, high: float, *, parameters: Mapping[str, float] | None = None, number: int = 60
) -> list[tuple[float, float]]:
    r"""Return where the state of rest turns into oscillations or back along a parameter, with the period there.

    Parameters
    ----------
    cell
        The cell.
    name
        Name of the parameter, such as ``"ip3"``.
    low, high
        Its range.
    parameters
        Numbers of others.
    number
        Intervals in which a change is sought.

    Returns
    -------
    list of (float, float)
        The parameter and :math:`2\pi/\omega` (s), where a pair :math:`\pm i\omega` of eigenvalues crosses the axis.

    Example
    -------
    >>> from homfem.kinetics.calcium import calcium_kinetics
    >>> found = hopf_points(Cell(calcium_kinetics("li-rinzel")), "ip3", 0.1, 1.0)
    >>> [round(ip3, 4) for ip3, _ in found]
    [0.3545, 0.6369]
    """
    import scipy.optimize

    others = dict(parameters or {})

    def real(value: float) -> float:
        return cell.growth({**others, name: float(value)}).real

    grid = np.linspace(low, high, number + 1)
    values = [real(value) for value in grid]
    found = []
    for k in range(number):
        if (values[k] > 0.0) != (values[k + 1] > 0.0):
            at = float(scipy.optimize.brentq(real, grid[k], grid[k + 1], xtol=1e-12))
            turning = cell.growth({**others, name: at}).imag
            if turning > 0.0:
                found.append((at, 2.0 * np.pi / turning))
    return found


def limit_cycle(
    cell: Cell,
    *,
    parameters: Mapping[str, float] | None = None,
    start: Mapping[str, float] | None = None,
    settle: float = 400.0,
    tolerance: float = 1e-9,
) -> CalciumCycle | None:
    """Return the oscillation of a cell, or None where it comes to rest.

    Parameters
    ----------
    cell
        The cell.
    parameters
        Numbers in place of those of the model.
    start
        Fields and states by name from which it starts; others are at rest, c a little above it.
    settle
        Time after which it is taken to repeat, s.
    tolerance
        Of the integrator, LSODA.

    Raises
    ------
    ConvergenceError
        If the integrator fails, or the oscillation does not repeat itself yet after that time.

    Example
    -------
    >>> from homfem.kinetics.calcium import calcium_kinetics
    >>> cycle = limit_cycle(Cell(calcium_kinetics("li-rinzel")), parameters={"ip3": 0.4})
    >>> round(cycle.period, 2)
    12.77
    """
    from scipy.integrate import solve_ivp

    numbers, p = dict(parameters or {}), cell.kinetics.values(parameters)
    base = cell.rest(numbers)
    given = dict(start or {})
    first = base.copy()
    first[0] *= 1.05
    for name, value in given.items():
        first[cell.names.index(name)] = value

    def change(_time: float, free: Array) -> Array:
        state = cell.whole(free, first)
        return np.asarray(cell.kinetics.derivative(0.0, state, p)[cell.free])

    def run(begin: Array, end: float, **options: Any) -> Any:
        solution = solve_ivp(
            change, (0.0, end), begin, method="LSODA", rtol=tolerance, atol=1e-3 * tolerance, **options
        )
        if not solution.success:
            raise ConvergenceError(f"{cell.kinetics.name}: {solution.message}")
        return solution

    settled = run(first[cell.free], settle)
    late = settled.y[0][settled.t > 0.5 * settle]
    low, high = float(late.min()), float(late.max())
    if high - low < _SMALLEST_SWING * high:
        return None
    middle = 0.5 * (low + high)

    def crossing(_time: float, free: Array) -> float:
        return float(free[0]) - middle

    crossing.direction, crossing.terminal = 1.0, 4  # type: ignore[attr-defined]
    again = run(settled.y[:, -1], settle, events=crossing, dense_output=True)
    times = again.t_events[0]
    times, unsettled = times[-3:], f"{cell.kinetics.name}: it has not settled after {settle:g} s. Take longer."
    if len(times) < 3:
        raise ConvergenceError(unsettled)
    period = float(times[-1] - times[-2])
    if abs((times[-2] - times[-3]) / period - 1.0) > 1e-4:
        raise ConvergenceError(unsettled)
    samples = again.sol(np.linspace(times[-2], times[-1], 4001))[0]
    state = cell.whole(again.sol(times[-1]), first)
    return CalciumCycle(period=period, smallest=float(samples.min()), largest=float(samples.max()), state=state)
