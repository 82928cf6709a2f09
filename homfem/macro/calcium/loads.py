r"""What enters the fields from outside: fluxes through named outer boundaries, and sources in places.

They are loads of the diffusion step, :math:`M\dot u = -Ku + F`, never added to the nodes at once: a pump would empty
the nodes of a fine mesh before diffusion fills them. With :math:`F_i = q(u_i)\int_\Gamma\varphi_i` of a flux q per
area, and :math:`F_i = I\,\overline{\varphi_i}` of a source of strength I with the mean of :math:`\varphi_i` over its
place, the amount that a field gains in a step is :math:`\Delta t\sum_i F_i` to round-off.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import ufl
from dolfinx import fem, la
from mpi4py import MPI

from homfem.macro.calcium.unknowns import Unknown
from homfem.macro.domain import Domain
from homfem.macro.places import PointValues, locate, refuse_outside
from homfem.macro.protocols import Timing
from homfem.macro.stimulus import Place, overlap
from homfem.parameters import Array, InputError, check_number
from homfem.solve import assemble_vector
from homfem.timestepping import Schedule

#: Relative and absolute steps of the differences of laws.
_RELATIVE, _ABSOLUTE = 6e-6, 1e-8

FluxLaw: TypeAlias = Callable[[float, Mapping[str, Array]], Array]
"""``f(time, concentrations)``: the concentrations by field at the nodes of the boundary, what enters per area there."""


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class BoundaryFlux:
    """A flux through a named outer boundary, per area of that boundary.

    Parameters
    ----------
    boundary : str
        Its name in the domain.
    flux : float or FluxLaw
        What enters per area and time, uM um/s; negative where it leaves.
    field : str
        The field that it enters.
    schedule : Timing
        When it is on.
    name : str
        By which results tell what it has brought; without it that of the boundary.
    about : mapping of str to float
        The numbers of a law, by which a checkpoint tells it from others.
    """

    boundary: str
    flux: float | FluxLaw
    field: str = "cytosol"
    schedule: Timing = dataclasses.field(default_factory=Schedule)
    name: str = ""
    about: Mapping[str, float] = dataclasses.field(default_factory=dict)

    @property
    def label(self) -> str:
        """The name."""
        return self.name or self.boundary


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Source:
    r"""A source in a place, or at a point: the mouth of a channel, a puff.

    Parameters
    ----------
    place : Place or sequence of float
        A ball, box or region, or the coordinates of a point, um.
    strength : float
        What it brings per time, uM um^d/s in a domain of d dimensions. A current of I pA of calcium brings
        :math:`5182\,I` uM um^3/s (:data:`homfem.kinetics.currents.PER_PICOAMPERE`).
    field : str
        The field that it enters.
    schedule : Timing
        When it is on.
    name : str
        By which results tell what it has brought.
    """

    place: Place | Sequence[float]
    strength: float
    field: str = "cytosol"
    schedule: Timing = dataclasses.field(default_factory=Schedule)
    name: str = "source"


@dataclass(frozen=True, slots=True, eq=False)
class _Term:
    """What enters one field at some of its nodes: per time, a law at each, or numbers."""

    label: str
    field: str
    places: npt.NDArray[np.int64]
    amounts: Array
    schedule: Timing
    law: FluxLaw | None
    others: Mapping[str, npt.NDArray[np.int64]]


class Loads:
    """All fluxes and sources of a problem at the nodes that a rank owns; collective at the set-up.

    Attributes
    ----------
    any
        Whether there are some.
    follows
        Whether some depend on concentrations.
    labels
        Names of the fluxes and sources.
    brought : mapping of str to float
        What each has brought since :meth:`begin`, this rank's share, in calcium ions.

    Raises
    ------
    InputError
        For unknown boundaries and fields, boundaries that the field does not reach, and places that hold nothing of it.
    """

    def __init__(
        self,
        domain: Domain,
        unknowns: Mapping[str, Unknown],
        fluxes: Sequence[BoundaryFlux],
        sources: Sequence[Source],
    ) -> None:
        self.domain, self.unknowns = domain, unknowns
        self._terms = [self._flux(k, one) for k, one in enumerate(fluxes)]
        self._terms += [self._source(k, one) for k, one in enumerate(sources)]
        self.labels = [term.label for term in self._terms]
        twice = sorted({label for label in self.labels if self.labels.count(label) > 1})
        if twice:
            raise InputError("name", twice, "names of fluxes and sources that differ")
        self.any, self.follows = bool(self._terms), any(term.law is not None for term in self._terms)
        self.brought = dict.fromkeys(self.labels, 0.0)
        self._last: dict[str, float] = {}

    def _unknown(self, path: str, name: str) -> Unknown:
        if name not in self.unknowns:
            raise InputError(f"{path}.field", name, f"one of {', '.join(self.unknowns)}")
        unknown = self.unknowns[name]
        if unknown.field.diffusion is None:
            raise InputError(f"{path}.field", name, "a field that diffuses")
        return unknown

    def _flux(self, k: int, one: BoundaryFlux) -> _Term:
        path, domain = f"fluxes[{k}]", self.domain
        unknown = self._unknown(path, one.field)
        domain.boundary(one.boundary, f"{path}.boundary")
        vector = assemble_vector(ufl.TestFunction(unknown.part.space) * domain.ds(one.boundary))
        areas = unknown.part.of_nodes(vector.array_r).copy()
        whole = float(vector.sum())
        vector.destroy()
        held = float(domain.comm.allreduce(float(areas.sum())))
        if not held > (1.0 - 1e-9) * whole or whole == 0.0:
            raise InputError(f"{path}.boundary", one.boundary, f"one that the {one.field} reaches with all its facets")
        places = np.flatnonzero(areas)
        nodes = places if unknown.part.nodes is None else unknown.part.nodes[places]
        law = one.flux if callable(one.flux) else None
        amounts = areas[places] if law is not None else check_number(f"{path}.flux", one.flux) * areas[places]
        others = {
            name: other.part.positions(nodes)
            for name, other in self.unknowns.items()
            if domain.comm.allreduce(bool(other.part.has(nodes).all()), op=MPI.LAND)
        }
        return _Term(one.label, one.field, places, amounts, one.schedule, law, others if law is not None else {})

    def _source(self, k: int, one: Source) -> _Term:
        path, domain = f"sources[{k}]", self.domain
        unknown = self._unknown(path, one.field)
        part = unknown.part
        strength = check_number(f"{path}.strength", one.strength)
        shares: Array
        if isinstance(one.place, (Sequence, np.ndarray)):
            shares = self._at_point(path, one.place, unknown)
        else:
            weights, volume = overlap(domain, part.space, one.place, name=path, within=part.stimulated)
            shares = np.asarray(weights * part.volumes / volume, dtype=np.float64)
        total = float(domain.comm.allreduce(float(shares.sum())))
        places = np.flatnonzero(shares)
        amounts = strength / total * shares[places]
        return _Term(one.name, one.field, places, amounts, one.schedule, None, {})

    def _at_point(self, path: str, given: Sequence[float], unknown: Unknown) -> Array:
        """Return the basis functions at a point."""
        part, domain, d = unknown.part, self.domain, self.domain.dimension
        point = np.zeros((1, 3))
        if np.shape(given) != (d,) or not np.all(np.isfinite(given)):
            raise InputError(f"{path}.place", given, f"{d} coordinates, one per axis")
        point[0, :d] = given
        cells = locate(domain.mesh, point)
        found = bool(domain.comm.allreduce(bool(cells[0] >= 0), op=MPI.LOR))
        try:
            refuse_outside([domain.mesh], {path: point[0]}, [found], domain.unit)
        except InputError as error:
            raise InputError(f"{path}.place", list(given), error.allowed, error.remedy) from error
        values = PointValues.of(part.space, point, cells)
        marks = fem.Function(part.space)
        marks.x.array[values.dofs] = values.weights[:, :, 0]
        marks.x.scatter_reverse(la.InsertMode.add)
        shares: Array = np.array(part.of_nodes(marks.x.array[: part.owned]))
        inside = float(domain.comm.allreduce(float(shares.sum())))
        if inside < 1.0 - 1e-9:
            raise InputError(f"{path}.place", list(given), f"a place where the {unknown.name} is")
        return shares

    def begin(self) -> None:
        """Count anew what is brought."""
        self.brought = dict.fromkeys(self.labels, 0.0)

    def rates(
        self,
        time: float,
        step: float,
        values: Mapping[str, Array],
        before: Mapping[str, Array] | None = None,
        at: float | None = None,
    ) -> dict[str, Array]:
        """Return what enters each loaded field per time at its nodes.

        Parameters
        ----------
        time, step
            The step: where a schedule is on in a part of it, that part counts.
        values
            The concentrations on which laws depend.
        before
            Concentrations at the start; laws are then means of those at both.
        at
            The time of laws; None: the start, or with ``before`` the end.
        """
        found: dict[str, Array] = {}
        self._last = {}
        for term in self._terms:
            share = term.schedule.share(time, step)
            amounts = term.amounts
            if term.law is not None and share:
                when = at if at is not None else (time if before is None else time + step)
                law = self._law(term, when, values)
                if before is not None:
                    law = 0.5 * (law + self._law(term, time, before))
                amounts = law * amounts
            load = found.setdefault(term.field, np.zeros(len(self.unknowns[term.field].values)))
            if share:
                load[term.places] += share * amounts
                calcium = self.unknowns[term.field].field.calcium
                self._last[term.label] = calcium * share * float(amounts.sum())
        return found

    @property
    def pairs(self) -> list[tuple[str, str]]:
        """The loaded fields with those on which what enters depends."""
        return list(dict.fromkeys((term.field, other) for term in self._terms for other in term.others))

    def slopes(self, time: float, step: float, values: Mapping[str, Array], at: float) -> dict[tuple[str, str], Array]:
        """Return the derivatives of :meth:`rates` by concentrations, for pairs of fields, at all nodes of the first.

        Central differences: what a law is made of is its own.
        """
        found: dict[tuple[str, str], Array] = {}
        for term in self._terms:
            share = term.schedule.share(time, step)
            if term.law is None or not share:
                continue
            for other, places in term.others.items():
                here = values[other][places]
                move = _RELATIVE * np.abs(here) + _ABSOLUTE
                ends = []
                for sign in (1.0, -1.0):
                    there = values[other].copy()
                    there[places] += sign * move
                    ends.append(self._law(term, at, {**values, other: there}))
                slope = np.zeros(len(self.unknowns[term.field].values))
                slope[term.places] = share * term.amounts * (ends[0] - ends[1]) / (2.0 * move)
                key = term.field, other
                found[key] = found[key] + slope if key in found else slope
        return found

    @property
    def last(self) -> dict[str, float]:
        """What each flux and source brings per time by the rates that were asked last, this rank's share."""
        return dict.fromkeys(self.labels, 0.0) | self._last

    def _law(self, term: _Term, time: float, values: Mapping[str, Array]) -> Array:
        at = {name: values[name][places] for name, places in term.others.items()}
        law: Any = term.law
        found = np.asarray(law(time, at), dtype=np.float64)
        if found.shape not in ((), term.places.shape):
            raise InputError(f"{term.label}.flux", found.shape, f"a law with values of shape {term.places.shape}")
        return found

    def edges(self, start: float, end: float) -> list[float]:
        """Return the times in between at which something is switched on or off."""
        return [edge for term in self._terms for edge in term.schedule.edges(start, end)]

    def count(self, step: float) -> None:
        """Count what the rates that were asked last have brought in a step."""
        for label, rate in self._last.items():
            self.brought[label] += step * rate
