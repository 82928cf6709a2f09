r"""Receptors with discrete states: a scheme of transitions becomes states that relax, and its balance is checked.

A receptor is in one of its states; :math:`x_k` is the share of receptors in state k, and

.. math:: \dot x_k = \sum_j x_j r_{jk} - x_k\sum_j r_{kj},\qquad \sum_k x_k = 1.

One state is left out, as it is the rest of the others. Each of these relaxes with the rate
:math:`\rho_k = \sum_j r_{kj} (+ r_{0k})` to the target of what comes in over :math:`\rho_k`; the rate does not depend
on :math:`x_k`, so that an exponential step keeps shares between 0 and 1 for each on its own.

Without a source of energy the rates are in **microscopic reversibility**: around each cycle of transitions the product
of the rates is the same in both directions (:func:`check_reversible`).
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from homfem.kinetics.calcium.mechanisms import State
from homfem.kinetics.expressions import parse_expression
from homfem.kinetics.parameters import Parameter
from homfem.parameters import InputError


@dataclass(frozen=True, kw_only=True, slots=True)
class Receptor:
    """A scheme of states and transitions.

    Parameters
    ----------
    states : tuple of str
        Names of the states; the first one is the rest of the others.
    transitions : mapping of (str, str) to str
        Rates (1/s) from one state to another, expressions of ``c``, ``e``, ``ip3`` and parameters.
    definitions : mapping of str to str
        What the rates use.
    meanings : mapping of str to str
        What the states are.

    Raises
    ------
    InputError
        For transitions between other states, and states that cannot be reached or left.
    """

    states: tuple[str, ...]
    transitions: Mapping[tuple[str, str], str]
    definitions: Mapping[str, str] = field(default_factory=dict)
    meanings: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for pair in self.transitions:
            if pair[0] == pair[1] or not set(pair) <= set(self.states):
                raise InputError("transitions", pair, f"between two of {', '.join(self.states)}")
        for which, place in (("left", 0), ("reached", 1)):
            lost = [name for name in self.states if all(pair[place] != name for pair in self.transitions)]
            if lost:
                raise InputError("transitions", lost[0], f"a state that can be {which}")

    def relaxing(self) -> tuple[State, ...]:
        """Return the states as gates, without the first one."""
        return tuple(self._gate(name) for name in self.states[1:])

    def rest(self) -> dict[str, str]:
        """Return the definition of the first state."""
        return {self.states[0]: " - ".join(["1", *self.states[1:]])}

    def _gate(self, name: str) -> State:
        first = self.states[0]
        out = [text for (source, _), text in self.transitions.items() if source == name]
        into = [
            f"{source}*({text})" for (source, end), text in self.transitions.items() if end == name and source != first
        ]
        from_first = self.transitions.get((first, name))
        if from_first is not None:  # the first state is what is left, also of this one
            out.append(from_first)
            into.append(f"({first} + {name})*({from_first})")
        rate = " + ".join(f"({text})" for text in out)
        return State(
            name=name,
            rate=rate,
            target=f"({' + '.join(into)})/({rate})",
            meaning=self.meanings.get(name, "share of the receptors"),
        )


def check_reversible(receptor: Receptor, parameters: Sequence[Parameter], tolerance: float = 1e-9) -> None:
    """Refuse a receptor whose rates are not in microscopic reversibility.

    Every cycle of a basis is gone around in both directions, for several concentrations. A transition without its
    reverse is refused too.

    Raises
    ------
    InputError
        With the cycle and the ratio of the products of its rates.
    """
    names = {entry.name: entry.value for entry in parameters}
    known = [*names, "c", "e", "ip3", *receptor.definitions]
    for pair in receptor.transitions:
        if pair[::-1] not in receptor.transitions:
            raise InputError("transitions", pair, "with the reverse", "Without it there is no equilibrium.")
    for c, e, ip3 in itertools.product((0.03, 1.7), (9.0,), (0.08, 2.3)):
        values: dict[str, float] = {**names, "c": c, "e": e, "ip3": ip3}
        for name, text in receptor.definitions.items():
            values[name] = float(parse_expression(name, text, known).value(values))
        rates = {
            pair: float(parse_expression(" -> ".join(pair), text, known).value(values))
            for pair, text in receptor.transitions.items()
        }
        for cycle in _cycles(receptor):
            steps = list(zip(cycle, [*cycle[1:], cycle[0]], strict=True))
            ratio = float(np.prod([rates[step] / rates[step[::-1]] for step in steps]))
            if not abs(ratio - 1.0) <= tolerance:
                raise InputError(
                    "transitions",
                    " -> ".join([*cycle, cycle[0]]),
                    "a cycle whose rates have the same product in both directions",
                    f"Their ratio is {ratio:.6g}.",
                )


def _cycles(receptor: Receptor) -> list[list[str]]:
    """Return the cycles that the transitions outside of a spanning tree close."""
    above: dict[str, str | None] = {receptor.states[0]: None}
    queue = [receptor.states[0]]
    tree = set()
    for name in queue:
        for source, end in receptor.transitions:
            if source == name and end not in above:
                above[end] = name
                tree.add(frozenset((name, end)))
                queue.append(end)

    def path(name: str | None) -> list[str]:
        found = []
        while name is not None:
            found.append(name)
            name = above[name]
        return found

    cycles = []
    for pair in {frozenset(pair) for pair in receptor.transitions} - tree:
        one, other = sorted(pair)
        first, second = path(one), path(other)
        while len(first) > 1 and len(second) > 1 and first[-2] == second[-2]:
            first.pop(), second.pop()
        cycles.append([*first, *reversed(second[:-1])])
    return cycles
