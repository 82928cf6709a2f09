r"""Exchange between the fields at the nodes, as amounts: what one field loses others gain, to round-off.

At node i a rate r, per area or per volume, moves the amount :math:`G_i = \mu_i r` per time, with the measure
:math:`\mu_i = \int\lambda S\varphi_i` of the membrane or :math:`\mu_i = w_i` of a field's volume; a field of weight
:math:`w_i` changes by :math:`\nu G_i/w_i`. The sum :math:`\sum_i w_iu_i` of all that takes part is therefore kept to
round-off, also at nodes of an interface, where one field reaches farther than another and the weights differ.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from dolfinx import fem
from mpi4py import MPI

from homfem.kinetics.joined import joined
from homfem.macro.calcium.fields import MEMBRANE, Exchange
from homfem.macro.calcium.unknowns import Nodal, Unknown
from homfem.macro.initial import nodal_values
from homfem.macro.parts import DomainPart
from homfem.macro.reaction import NodalReaction, Values, make_reaction
from homfem.parameters import Array, InputError

#: Measures and weights whose ratio is the same at all nodes up to this are taken to have one ratio.
_ALIKE = 1e-12


@dataclass(slots=True, eq=False)
class ExchangeGroup:
    """Nodes at which the same fields live, and their kinetics; ``measure`` times a rate is the amount that it moves."""

    nodes: npt.NDArray[np.int64]
    reaction: NodalReaction
    measure: Array
    copies: list[tuple[Array, Unknown, npt.NDArray[np.int64]]]

    def step(self, time: float, step: float) -> None:
        """Advance the fields and states by a step."""
        for values, unknown, places in self.copies:
            values[:] = unknown.values[places]
        self.reaction.step(time, step)
        for values, unknown, places in self.copies:
            unknown.values[places] = values


class NodalExchange:
    """All kinetics of a problem at the nodes that a rank owns; collective at the set-up.

    Parameters
    ----------
    exchanges
        The kinetics.
    unknowns
        The fields by name.
    membrane
        :math:`\\mu` of the membrane at all owned dofs.
    start
        States at the start by name; those that are not named are at rest with the fields.
    order
        1 (Euler) or 2 (midpoint).

    Attributes
    ----------
    states : mapping of str to Nodal
        The states X by name, on the part where all fields of their kinetics live (:meth:`refresh`).

    Raises
    ------
    InputError
        For kinetics of fields that there are not, and states that are there twice or unknown.
    """

    def __init__(
        self,
        exchanges: Sequence[Exchange],
        unknowns: Mapping[str, Unknown],
        membrane: Array,
        *,
        start: Mapping[str, Array],
        order: int,
    ) -> None:
        self.unknowns, self.order, self._membrane = dict(unknowns), order, membrane
        self._exchanges, self._start = list(exchanges), start
        self.states: dict[str, Nodal] = {}
        self.groups: list[ExchangeGroup] = []
        if not exchanges:
            return
        space = next(iter(unknowns.values())).part.space
        whole = np.arange(space.dofmap.index_map.size_local)
        lives = {name: unknown.part.has(whole) for name, unknown in unknowns.items()}
        self._parameters = [
            {name: _at_nodes(name, value, space) for name, value in one.parameters.items()} for one in exchanges
        ]
        acts = np.array([np.logical_and.reduce([self._lives(lives, name) for name in one.fields]) for one in exchanges])
        self._make_states(exchanges, acts)
        for key in np.unique(acts, axis=1).T:
            nodes = np.flatnonzero((acts == key[:, None]).all(axis=0))
            chosen = [k for k, on in enumerate(key) if on]
            if chosen and len(nodes):
                self.groups.append(self._group(chosen, nodes))

    def _lives(self, lives: Mapping[str, npt.NDArray[np.bool_]], name: str) -> npt.NDArray[np.bool_]:
        if name not in lives:
            raise InputError("kinetics", name, f"of the fields {', '.join(lives)}")
        return lives[name]

    def _make_states(self, exchanges: Sequence[Exchange], acts: npt.NDArray[np.bool_]) -> None:
        for k, one in enumerate(exchanges):
            part = self._part_of(one)
            for state in one.kinetics.states:
                if state.name in self.states:
                    raise InputError("kinetics", state.name, "states with names that differ")
                self.states[state.name] = Nodal(part, state.name)
            everywhere = int(np.count_nonzero(acts[k])) == part.size
            if not part.comm.allreduce(everywhere, op=MPI.LAND):
                raise InputError("kinetics", one.kinetics.name, "of fields of which one lives within all others")

    def _part_of(self, one: Exchange) -> DomainPart:
        """Return the part on which all fields of an exchange live: that of its smallest field."""
        parts = [self.unknowns[name].part for name in one.fields]
        return min(parts, key=lambda part: part.count)

    def _group(self, chosen: list[int], nodes: npt.NDArray[np.int64]) -> ExchangeGroup:
        """Return the kinetics at some nodes, with the weights of the fields there."""
        parts = [self._exchanges[k] for k in chosen]
        labels = [f"k{k}" for k in chosen]
        names = list(dict.fromkeys(name for one in parts for name in one.fields))
        fields, copies = {}, []
        for name in names:
            unknown = self.unknowns[name]
            if len(nodes) == len(unknown.values):  # all of its nodes: in place
                fields[name] = unknown.values
            else:
                fields[name] = np.empty(len(nodes))
                copies.append((fields[name], unknown, unknown.part.positions(nodes)))
        for values, unknown, places in copies:
            values[:] = unknown.values[places]
        parameters: dict[str, Values] = {}
        over = base = self._base(names, nodes)
        if len(parts) == 1:
            kinetics, over = parts[0].kinetics, self._measure(parts[0], nodes)
        else:
            kinetics = joined(dict(zip(labels, (one.kinetics for one in parts), strict=True)))
        for label, k, one in zip(labels, chosen, parts, strict=True):
            if len(parts) > 1:
                parameters[f"{label}_measure"] = _ratio(self._measure(one, nodes), base)
            for name, value in self._parameters[k].items():
                own = name if len(parts) == 1 else f"{label}_{name}"
                parameters[own] = value[nodes] if isinstance(value, np.ndarray) else value
        scales = {name: _ratio(over, self._weights(name, nodes)) for name in names}
        start = {name: value[nodes] for name, value in self._start.items() if name in {s.name for s in kinetics.states}}
        reaction = make_reaction(kinetics, fields, parameters=parameters, scales=scales, start=start, order=self.order)
        return ExchangeGroup(nodes=nodes, reaction=reaction, measure=over, copies=copies)

    def _base(self, names: Sequence[str], nodes: npt.NDArray[np.int64]) -> Array:
        """Return volumes at nodes, beside which measures and weights are numbers where nothing varies."""
        part = min((self.unknowns[name].part for name in names), key=lambda part: part.size)
        return part.volumes[part.positions(nodes)]

    def _weights(self, name: str, nodes: npt.NDArray[np.int64]) -> Array:
        unknown = self.unknowns[name]
        return unknown.weights[unknown.part.positions(nodes)]

    def _measure(self, one: Exchange, nodes: npt.NDArray[np.int64]) -> Array:
        return self._membrane[nodes] if one.per == MEMBRANE else self._weights(one.per, nodes)

    def step(self, time: float, step: float) -> None:
        """Advance fields and states by a step."""
        for group in self.groups:
            group.step(time, step)

    def gather(self) -> None:
        """Bring the states up to date at the nodes that the rank owns; collective."""
        for group in self.groups:
            for state, row in zip(group.reaction.kinetics.states, group.reaction.states, strict=True):
                nodal = self.states[state.name]
                nodal.values[nodal.part.positions(group.nodes)] = row
        for nodal in self.states.values():
            if nodal.part.nodes is not None:
                nodal.refresh()

    def refresh(self) -> None:
        """Bring the functions of the states up to date, ghosts included; collective."""
        self.gather()
        for nodal in self.states.values():
            nodal.refresh()

    def taken(self) -> None:
        """Take the states that a checkpoint has set; collective."""
        for nodal in self.states.values():
            nodal.taken()
        for group in self.groups:
            for row, state in enumerate(group.reaction.kinetics.states):
                nodal = self.states[state.name]
                group.reaction.states[row] = nodal.values[nodal.part.positions(group.nodes)]


def _at_nodes(name: str, given: Values, space: fem.FunctionSpace) -> Values:
    """Return a parameter: a number, or values at all owned dofs."""
    if isinstance(given, float):
        return given
    return nodal_values(name, given, space)


def _ratio(over: Array, under: Array) -> Values:
    """Return a ratio at nodes, as a number where it is the same at all."""
    found: Array = over / under
    if not len(found):
        return 1.0
    middle = 0.5 * (float(found.max()) + float(found.min()))
    return middle if np.ptp(found) <= _ALIKE * abs(middle) else found
