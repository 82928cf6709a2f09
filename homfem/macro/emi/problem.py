"""The description of a tissue whose membranes are resolved: its spaces, its membrane, its contacts, what is held."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from homfem.kinetics import PointKinetics
from homfem.kinetics.ionic.kernels import SCHEMES
from homfem.macro.domain import Domain
from homfem.macro.protocols import Timing
from homfem.macro.stimulus import Stimulus
from homfem.parameters import Array, InputError, check_choice, check_integer, check_number
from homfem.timestepping import Schedule


@dataclass(frozen=True, kw_only=True, slots=True)
class Membrane:
    """A membrane between two spaces.

    Parameters
    ----------
    kinetics
        Its one field is V, its rate :math:`-I_{ion}/C_m`; time in ms.
    inside, outside
        The spaces on its two sides: V is the potential of the first less that of the second.
    capacitance
        :math:`C_m`, uF/mm^2, > 0.
    parameters, start
        Of the kinetics, by name: numbers; V and the states at the start, numbers or functions of the points of shape
        (d, n), in mm, that return shape (n,).
    stimuli
        Currents into the cells, uA/mm^2 of membrane, on what of the membrane lies in a place.
    """

    kinetics: PointKinetics
    capacitance: float
    inside: str = "intracellular"
    outside: str = "extracellular"
    parameters: Mapping[str, float] = field(default_factory=dict)
    start: Mapping[str, float | Callable[[Array], Array]] = field(default_factory=dict)
    stimuli: Sequence[Stimulus] = ()

    def __post_init__(self) -> None:
        check_number("membrane.capacitance", self.capacitance, above=0.0)
        if len(self.kinetics.fields) != 1 or self.kinetics.time_unit != "ms":
            raise InputError("membrane.kinetics", self.kinetics.name, "kinetics with one field and time in ms")


@dataclass(frozen=True, kw_only=True, slots=True)
class Contact:
    """A resistance R between two spaces where they meet, or on named ``facets`` of these alone; kOhm mm^2, > 0."""

    first: str
    second: str
    resistance: float
    facets: str | None = None

    def __post_init__(self) -> None:
        check_number("contact.resistance", self.resistance, above=0.0, remedy="In perfect contact they are one space.")


@dataclass(frozen=True, kw_only=True, slots=True)
class Held:
    """A potential that is held on a boundary of the domain where the space meets it, mV.

    On a ``schedule`` it is 0 while that is off; a step takes the mean over it.
    """

    space: str
    boundary: str
    value: float = 0.0
    schedule: Timing | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Injected:
    """A current that enters a space through a boundary of the domain, uA/mm^2 of where the space meets it."""

    space: str
    boundary: str
    density: float
    schedule: Timing = field(default_factory=Schedule)


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class EmiProblem:
    r"""What is solved; the equations stand in :mod:`homfem.macro.emi`.

    Parameters
    ----------
    domain
        In mm, with named regions and boundaries; on several ranks with ghosts (:func:`homfem.macro.emi.tiled_domain`).
    spaces
        The regions of each space by its name. Regions of one space that touch are in perfect contact.
    conductivities
        Of each space, mS/mm, > 0.
    membrane
        The membrane; None: nothing changes in time, for :func:`homfem.macro.emi.solve_steady`.
    contacts
        Gap junctions: a junction of the resistance R between two faces has R/2 on each.
    held
        Potentials on boundaries. Without any the first space's has the mean zero.
    injected
        Currents from electrodes on boundaries; without held potentials they sum to zero at any time.

    Raises
    ------
    InputError
        For names that are not there, spaces that share a region, numbers out of range.
    """

    domain: Domain
    spaces: Mapping[str, Sequence[str]]
    conductivities: Mapping[str, float]
    membrane: Membrane | None = None
    contacts: Sequence[Contact] = ()
    held: Sequence[Held] = ()
    injected: Sequence[Injected] = ()

    def __post_init__(self) -> None:
        if self.domain.unit != "mm":
            raise InputError("domain", self.domain.unit, "a domain in mm")
        if len(self.spaces) < 2:
            raise InputError("spaces", sorted(self.spaces), "two spaces at least")
        seen: dict[str, str] = {}
        for name, regions in self.spaces.items():
            if name not in self.conductivities:
                raise InputError(f"conductivities[{name!r}]", None, "given for every space, in mS/mm")
            for region in regions:
                self.domain.region(region, f"spaces[{name!r}]")
                if region in seen:
                    raise InputError(f"spaces[{name!r}]", region, f"in one space alone; it is in {seen[region]!r}")
                seen[region] = name
        for name, value in self.conductivities.items():
            check_choice("conductivities", name, list(self.spaces))
            check_number(f"conductivities[{name!r}]", value, above=0.0)
        self._check_links()
        for k, one in enumerate(self.held):
            check_choice(f"held[{k}].space", one.space, list(self.spaces))
            self.domain.boundary(one.boundary, f"held[{k}].boundary")
            check_number(f"held[{k}].value", one.value)
        for k, current in enumerate(self.injected):
            check_choice(f"injected[{k}].space", current.space, list(self.spaces))
            self.domain.boundary(current.boundary, f"injected[{k}].boundary")
            check_number(f"injected[{k}].density", current.density)

    def _check_links(self) -> None:
        """Refuse spaces that are not there, and facets that are linked twice."""
        links: list[tuple[str, tuple[str, str], str | None]] = [
            (f"contacts[{k}]", (contact.first, contact.second), contact.facets)
            for k, contact in enumerate(self.contacts)
        ]
        if self.membrane is not None:
            links.append(("membrane", (self.membrane.inside, self.membrane.outside), None))
        met: dict[frozenset[str], list[str | None]] = {}
        for path, pair, facets in links:
            for name in pair:
                check_choice(path, name, list(self.spaces))
            if facets is not None:
                self.domain.boundary(facets, f"{path}.facets")
            others = met.setdefault(frozenset(pair), [])
            if len(set(pair)) < 2 or facets in others or None in (*others, facets if others else ""):
                raise InputError(path, pair, "two spaces that are linked once")
            others.append(facets)


@dataclass(frozen=True, kw_only=True, slots=True)
class EmiMethod:
    """How it is discretised and solved.

    Parameters
    ----------
    degree
        Of the elements, 1 or 2.
    order
        In time: 1 (kinetics, then implicit Euler) or 2 (Strang, Crank-Nicolson).
    ionic
        Steps of the membrane: ``"rush-larsen"``, ``"generalized-rush-larsen"`` or ``"explicit"``
        (:func:`homfem.macro.reaction.make_reaction`).
    subcycles
        Ionic steps in a step, or in each half of one of second order.
    rtol
        Of the linear solver.
    preconditioner
        See :class:`homfem.solve.LinearSolver`. None: ``"direct"`` where factors are cheap, else ``"multigrid"``, whose
        iterations do not grow with the number of cells.
    """

    degree: int = 1
    order: int = 1
    ionic: str = "rush-larsen"
    subcycles: int = 1
    rtol: float = 1e-8
    preconditioner: str | None = None

    def __post_init__(self) -> None:
        check_integer("degree", self.degree, at_least=1, at_most=2)
        check_integer("order", self.order, at_least=1, at_most=2)
        check_choice("ionic", self.ionic, SCHEMES)
        check_integer("subcycles", self.subcycles, at_least=1)
        check_number("rtol", self.rtol, above=0.0, below=1.0)


def described(problem: EmiProblem) -> dict[str, Any]:
    """Return the plain data of a problem, by which a checkpoint is known."""
    membrane = problem.membrane
    return {
        "spaces": {name: list(regions) for name, regions in problem.spaces.items()},
        "conductivities": {name: float(value) for name, value in problem.conductivities.items()},
        "contacts": [repr(contact) for contact in problem.contacts],
        "held": [repr(one) for one in problem.held],
        "injected": [repr(one) for one in problem.injected],
        "membrane": None
        if membrane is None
        else {
            "kinetics": membrane.kinetics.name,
            "capacitance": membrane.capacitance,
            "parameters": dict(membrane.parameters),
            "start": {name: "function" if callable(value) else value for name, value in membrane.start.items()},
            "stimuli": [repr(stimulus) for stimulus in membrane.stimuli],
        },
    }
