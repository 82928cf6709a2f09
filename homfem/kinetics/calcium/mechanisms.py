"""Mechanisms that move calcium, as data, and kinetics that are put together of them: every name and unit is checked.

A :class:`Mechanism` has fluxes, states and parameters; :class:`CalciumKinetics` are some of them. What a model takes is
made of these in :mod:`homfem.kinetics.calcium.assembled`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from homfem.kinetics.calcium.fluxes import (
    CYTOSOL,
    ER,
    GEOMETRY,
    IP3,
    UNITS_OF_LENGTH,
    Flux,
    number,
)
from homfem.kinetics.dimensions import check_dimensions, dimension_of_expression
from homfem.kinetics.expressions import Expression, check_name, parse_expression
from homfem.kinetics.parameters import Parameter, refuse_unknown
from homfem.kinetics.point import Variable
from homfem.kinetics.written import TIME, Formulary, renamed
from homfem.parameters import InputError
from homfem.quantities import dimension_of

#: Names of the concentrations in expressions -> those of the fields.
FIELDS = {"c": CYTOSOL, "e": ER, IP3: IP3}
_MEANINGS = {CYTOSOL: "free calcium of the cytosol", ER: "free calcium of the ER", IP3: "IP3 of the cytosol"}


@dataclass(frozen=True, kw_only=True, slots=True)
class State:
    r"""A state of a membrane: a gate that relaxes, :math:`\dot X = \rho(X_\infty - X)`, or one that drifts.

    Parameters
    ----------
    name : str
        Name of the state.
    rate, target : str
        Of a gate: :math:`\rho` (1/s) and :math:`X_\infty`, expressions.
    drift : str
        Of another state: its derivative, per second.
    unit : str
        Unit of the state.
    start : float
        Where it starts if nothing is said and it is not at rest.
    meaning : str
        What it is.
    """

    name: str
    rate: str = ""
    target: str = ""
    drift: str = ""
    unit: str = ""
    start: float = 0.0
    meaning: str = ""

    def __post_init__(self) -> None:
        if bool(self.drift) == bool(self.rate) or bool(self.rate) != bool(self.target):
            raise InputError(self.name, self.drift or self.rate, "a state with rate and target, or with drift")


@dataclass(frozen=True, kw_only=True, slots=True)
class Mechanism:
    """Fluxes with the states, parameters and definitions that they depend on.

    Parameters
    ----------
    name : str
        Name of the mechanism.
    fluxes : tuple of Flux
        What it moves.
    states : tuple of State
        What gates it.
    parameters : tuple of Parameter
        Its numbers, such as those of :func:`homfem.kinetics.calcium.fluxes.number`.
    definitions : mapping of str to str
        Expressions by name that others use; each uses those before it.
    shares : tuple of tuple of str
        States that are parts of one whole: their sum is at most 1.
    holds : mapping of str to str
        Calcium that gates hold, per volume of cytosol (uM) where the gate is 1: expressions of parameters. What the
        fluxes from and to ``"bound"`` move is what they gain.
    """

    name: str
    fluxes: tuple[Flux, ...] = ()
    states: tuple[State, ...] = ()
    parameters: tuple[Parameter, ...] = ()
    definitions: Mapping[str, str] = field(default_factory=dict)
    shares: tuple[tuple[str, ...], ...] = ()
    holds: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True, slots=True)
class CalciumKinetics:
    """Mechanisms put together; their expressions and units are checked here.

    Parameters
    ----------
    name : str
        Name of the kinetics.
    mechanisms : tuple of Mechanism
        What there is. Parameters of the same name and number are one.
    ip3 : float
        IP3, uM, where no flux makes it a field.
    total : float or None
        Free calcium of a closed cell per volume of cytosol, uM (published c0).
    er_to_cytosol : float or None
        Volume of the ER over that of the cytosol, of a closed cell (published c1).
    start : mapping of str to float
        Concentrations at the start, uM, by field.
    source : str
        Where it was published.
    checked : bool
        Whether the units of all expressions are; else, as of equations from a file, only names are.

    Attributes
    ----------
    formulary : Formulary
        All expressions, read and checked; concentrations bear the names of the fields.

    Raises
    ------
    InputError
        For names that are given twice or not known, with the nearest.
    UnitError
        For an expression whose parts do not fit together, or that is not of the unit of its flux or state.
    """

    name: str
    mechanisms: tuple[Mechanism, ...]
    ip3: float = 0.0
    total: float | None = None
    er_to_cytosol: float | None = None
    start: Mapping[str, float] = field(default_factory=dict)
    source: str = ""
    checked: bool = True
    formulary: Formulary = field(init=False, repr=False)

    def __post_init__(self) -> None:
        if not self.fluxes:
            raise InputError("mechanisms", [entry.name for entry in self.mechanisms], "at least one with a flux")
        refuse_unknown("start", self.start, [entry.name for entry in self.fields])
        object.__setattr__(self, "formulary", _Reader(self).read())

    @property
    def fluxes(self) -> tuple[Flux, ...]:
        """The fluxes of all mechanisms."""
        return tuple(flux for entry in self.mechanisms for flux in entry.fluxes)

    @property
    def states(self) -> tuple[State, ...]:
        """The states of all mechanisms, gates first."""
        every = [state for entry in self.mechanisms for state in entry.states]
        return tuple(sorted(every, key=lambda state: bool(state.drift)))

    @property
    def fields(self) -> tuple[Variable, ...]:
        """Cytosol, ER, and IP3 where a flux makes or degrades it."""
        moved = {end for flux in self.fluxes for end in (flux.source, flux.target)}
        names = [CYTOSOL, ER, *([IP3] if IP3 in moved else [])]
        return tuple(
            Variable(name=name, unit="uM", start=self.start.get(name, 0.0), meaning=_MEANINGS[name]) for name in names
        )

    @property
    def parameters(self) -> tuple[Parameter, ...]:
        """The one table of parameters: of all mechanisms, and IP3 where it is no field."""
        table: dict[str, Parameter] = {}
        for entry in self.mechanisms:
            for parameter in entry.parameters:
                known = table.setdefault(parameter.name, parameter)
                if (known.value, known.unit) != (parameter.value, parameter.unit):
                    raise InputError(
                        f"{entry.name}.{parameter.name}",
                        f"{parameter.value:g} {parameter.unit}",
                        f"{known.value:g} {known.unit}, as in another mechanism of {self.name}",
                        "Rename one of the two.",
                    )
        if all(entry.name != IP3 for entry in self.fields):
            table[IP3] = number(IP3, self.ip3, "uM", "IP3", zero=True)
        return tuple(table.values())

    def held(self) -> dict[str, float]:
        """Return the calcium that gates hold where they are 1, uM per volume of cytosol, by their names.

        Example
        -------
        >>> from homfem.kinetics.calcium import calcium_kinetics
        >>> calcium_kinetics("li-rinzel-buffering").held()
        {'pump': 0.09}
        """
        values = {entry.name: entry.value for entry in self.parameters}
        return {
            name: float(parse_expression(f"{entry.name}.holds", text, list(values)).value(values))
            for entry in self.mechanisms
            for name, text in entry.holds.items()
        }

    def with_parameters(self, numbers: Mapping[str, float]) -> CalciumKinetics:
        """Return the same model with other numbers of its parameters; names and limits are checked."""
        refuse_unknown("parameters", numbers, [entry.name for entry in self.parameters])
        for entry in self.parameters:
            if entry.name in numbers:
                entry.check(numbers[entry.name])

        def change(entry: Parameter) -> Parameter:
            return replace(entry, value=float(numbers.get(entry.name, entry.value)))

        mechanisms = tuple(replace(entry, parameters=tuple(map(change, entry.parameters))) for entry in self.mechanisms)
        return replace(self, mechanisms=mechanisms, ip3=float(numbers.get(IP3, self.ip3)))


class _Reader:
    """What reads the expressions of a model, with the dimensions of their names."""

    def __init__(self, model: CalciumKinetics) -> None:
        self._model = model
        parameters = model.parameters
        self._values = {entry.name: entry.value for entry in parameters} | dict.fromkeys(UNITS_OF_LENGTH, 1.0)
        units = {entry.name: entry.unit for entry in parameters} | UNITS_OF_LENGTH | {TIME: "s"}
        units |= dict.fromkeys(FIELDS, "uM") | {state.name: state.unit for state in model.states}
        self._dimensions: dict[str, Mapping[str, float]] = {
            name: dimension_of(unit) if unit else {} for name, unit in units.items()
        }
        given = [*dict.fromkeys(p.name for entry in model.mechanisms for p in entry.parameters)]
        given += [state.name for state in model.states]
        given += [name for entry in model.mechanisms for name in entry.definitions]
        taken: set[str] = {TIME, *FIELDS, *UNITS_OF_LENGTH, *FIELDS.values(), *(entry.name for entry in GEOMETRY)}
        for name in given:
            check_name(f"{model.name}: name", name, taken)
            taken.add(name)
        names = [flux.name for flux in model.fluxes]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise InputError(f"{model.name}: fluxes", twice, "names that differ")

    def read(self) -> Formulary:
        definitions = []
        for entry in self._model.mechanisms:
            for name, text in entry.definitions.items():
                expression = self._parsed(name, text)
                self._dimensions[name] = {}
                if self._model.checked:
                    self._dimensions[name] = dimension_of_expression(name, expression, self._dimensions, self._values)
                definitions.append((name, renamed(expression, FIELDS)))
        states = self._model.states
        return Formulary(
            definitions=tuple(definitions),
            rates=tuple(
                (flux.name, self._of_unit(flux.name, flux.expression, flux.unit)) for flux in self._model.fluxes
            ),
            gates=tuple(
                (
                    state.name,
                    self._of_unit(f"{state.name}.rate", state.rate, "1/s"),
                    self._of_unit(f"{state.name}.target", state.target, state.unit),
                )
                for state in states
                if not state.drift
            ),
            drifts=tuple(
                (state.name, self._of_unit(f"{state.name}.drift", state.drift, f"({state.unit or '1'})/s"))
                for state in states
                if state.drift
            ),
        )

    def _parsed(self, what: str, text: str) -> Expression:
        return parse_expression(f"{self._model.name}: {what}", text, list(self._dimensions))

    def _of_unit(self, what: str, text: str, unit: str) -> Expression:
        expression = self._parsed(what, text)
        nothing = expression.tree.operation == "number" and expression.tree.number == 0.0  # 0 is of any dimension
        if self._model.checked and not nothing:
            wanted = dimension_of(unit) if unit else {}
            name = f"{self._model.name}: {what}"
            check_dimensions(name, expression, self._dimensions, self._values, wanted)
        return renamed(expression, FIELDS)
