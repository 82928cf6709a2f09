r"""What happens at the nodes, and its derivatives: amounts that enter the fields, and the change of the states.

At node i the field f gains :math:`A_{f} = \mu\sum_j\nu_{fj}r_j(t, u, X)` per time
(:mod:`homfem.macro.calcium.exchange`), and a state changes by :math:`\dot X = \Phi(t, u, X)`. Newton's method for a
stage with the factor a,

.. math:: X - a\Phi(u, X) = \dots,\qquad Mu + aKu - aMw^{-1}A(u, X) = \dots,

eliminates the change of the states at each node, so that the fields alone are solved for:

.. math::
    \delta X = -B_F - B_u\,\delta u,\quad (B_F, B_u) = (1 - a\Phi_X)^{-1}(F_X, -a\Phi_u),\qquad
    \frac{\mathrm{d}A}{\mathrm{d}u} = A_u - A_X B_u .
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from homfem.kinetics.point import PointKinetics
from homfem.kinetics.slopes import jacobian_of
from homfem.macro.calcium.exchange import ExchangeGroup, NodalExchange
from homfem.macro.calcium.unknowns import Unknown
from homfem.parameters import Array

Pair = tuple[str, str]
#: Nodes whose derivatives are there at one time.
_BLOCK = 8192


@dataclass(slots=True, eq=False)
class Slopes:
    """Derivatives at the nodes.

    Parameters
    ----------
    amounts : mapping of pair of fields to array
        Those of the amounts of the first field by the second, states eliminated, at all nodes of the first one.
    lifted : mapping of str to array
        What the residuals of the states add to the right-hand side of a field.
    moves : list of (array, array)
        :math:`B_F` and :math:`B_u` of each group, of shape (states, n) and (states, fields, n).
    """

    amounts: dict[Pair, Array]
    lifted: dict[str, Array]
    moves: list[tuple[Array, Array]]


class NodalRates:
    """Amounts and changes of states by all kinetics of an exchange. Not collective.

    Parameters
    ----------
    exchange
        The kinetics by groups of nodes.
    unknowns
        The fields by name.
    """

    def __init__(self, exchange: NodalExchange, unknowns: Mapping[str, Unknown]) -> None:
        self.groups, self.unknowns = exchange.groups, unknowns
        self._slopes = [jacobian_of(group.reaction.kinetics) for group in self.groups]
        self._places = [self._positions(group) for group in self.groups]

    def _positions(self, group: ExchangeGroup) -> list[npt.NDArray[np.int64]]:
        return [self.unknowns[field.name].part.positions(group.nodes) for field in group.reaction.kinetics.fields]

    @property
    def pairs(self) -> list[Pair]:
        """The fields that exchange."""
        found = [[field.name for field in group.reaction.kinetics.fields] for group in self.groups]
        return list(dict.fromkeys((one, other) for names in found for one in names for other in names))

    @property
    def states(self) -> list[Array]:
        """The states of each group, as views, of shape (states, n)."""
        return [group.reaction.states for group in self.groups]

    def rates(
        self, time: float, values: Mapping[str, Array], states: Sequence[Array]
    ) -> tuple[dict[str, Array], list[Array]]:
        """Return the amounts that enter each field per time at its nodes, and the change of the states per time."""
        amounts: dict[str, Array] = {name: np.zeros(len(one.values)) for name, one in self.unknowns.items()}
        changes = []
        for group, places, x in zip(self.groups, self._places, states, strict=True):
            kinetics, p = group.reaction.kinetics, group.reaction.parameters
            fields = [values[field.name][at] for field, at in zip(kinetics.fields, places, strict=True)]
            moved = _products(kinetics, kinetics.rates(time, fields, x, p))
            for field, at, row in zip(kinetics.fields, places, moved, strict=True):
                amounts[field.name][at] += group.measure * row
            changes.append(_changes(kinetics, time, fields, x, p))
        return amounts, changes

    def slopes(
        self, time: float, a: float, values: Mapping[str, Array], states: Sequence[Array], rest: Sequence[Array]
    ) -> Slopes:
        """Return the derivatives of the amounts, with the states eliminated, whose residuals are ``rest``."""
        found = Slopes({}, {name: np.zeros(len(one.values)) for name, one in self.unknowns.items()}, [])
        for k, (group, places) in enumerate(zip(self.groups, self._places, strict=True)):
            names = [field.name for field in group.reaction.kinetics.fields]
            size, count, width = len(group.nodes), states[k].shape[0], len(names)
            by_rest, by_fields = np.zeros((count, size)), np.zeros((count, width, size))
            for first in range(0, size, _BLOCK):
                part = slice(first, min(first + _BLOCK, size))
                fields = [values[name][at[part]] for name, at in zip(names, places, strict=True)]
                p = _parts(group.reaction.parameters, part)
                full = self._slopes[k](time, fields, states[k][:, part], p)
                within, through = full[:width, :width], full[:width, width:]
                if count:
                    left = -a * full[width:, width:]
                    left[np.arange(count), np.arange(count)] += 1.0
                    sides = np.concatenate([rest[k][:, None, part], -a * full[width:, :width]], axis=1)
                    solved = _solved(left, sides)
                    by_rest[:, part], by_fields[:, :, part] = solved[:, 0], solved[:, 1:]
                    within = within - np.einsum("fsn,sgn->fgn", through, solved[:, 1:])
                measure = group.measure[part]
                for i, one in enumerate(names):
                    if count:
                        lift = np.einsum("sn,sn->n", through[i], solved[:, 0])
                        found.lifted[one][places[i][part]] += -a * measure * lift
                    for j, other in enumerate(names):
                        entry = found.amounts.setdefault((one, other), np.zeros(len(self.unknowns[one].values)))
                        entry[places[i][part]] += measure * within[i, j]
            found.moves.append((by_rest, by_fields))
        return found

    def moved(self, slopes: Slopes, change: Mapping[str, Array]) -> list[Array]:
        """Return the change of the states of each group that belongs to that of the fields."""
        found = []
        for group, places, (by_rest, by_fields) in zip(self.groups, self._places, slopes.moves, strict=True):
            names = [field.name for field in group.reaction.kinetics.fields]
            fields = np.array([change[name][at] for name, at in zip(names, places, strict=True)])
            found.append(-by_rest - np.einsum("sfn,fn->sn", by_fields, fields))
        return found


def _products(kinetics: PointKinetics, rates: Array) -> Array:
    return rates if kinetics.stoichiometry is None else np.array(kinetics.stoichiometry) @ rates


def _changes(kinetics: PointKinetics, time: float, fields: Sequence[Array], states: Array, p: Any) -> Array:
    """Return the derivatives of the states in time."""
    result, gates = np.empty_like(states), kinetics.gates
    if kinetics.relaxation is not None:
        rate, target = kinetics.relaxation(time, fields, states, p)
        result[:gates] = rate * (target - states[:gates])
    if kinetics.drift is not None:
        result[gates:] = kinetics.drift(time, fields, states, p)
    return result


def _parts(parameters: Any, part: slice) -> Any:
    return type(parameters)(
        **{name: value[part] if isinstance(value, np.ndarray) else value for name, value in vars(parameters).items()}
    )


def _solved(left: Array, sides: Array) -> Array:
    """Return the solutions of small systems, of shapes (s, s, n) and (s, k, n), at each node."""
    if len(left) == 1:
        return np.asarray(sides / left)
    try:
        found = np.linalg.solve(np.moveaxis(left, -1, 0), np.moveaxis(sides, -1, 0))
    except np.linalg.LinAlgError:
        return np.full_like(sides, np.nan)
    return np.asarray(np.moveaxis(found, 0, -1), dtype=np.float64)
