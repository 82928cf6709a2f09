r"""Mechanisms that move calcium, and what they make together: point kinetics of a tissue, a closed cell, a boundary.

A :class:`Mechanism` has fluxes, states and parameters. A :class:`CalciumKinetics` puts mechanisms together and checks
them: every name is known, every expression has its unit. Three kinds of point kinetics come of it.

:func:`tissue_kinetics`: amounts per volume of tissue and time. With the volume fractions
:math:`\gamma_c,\gamma_e`, the membrane area S per volume of tissue and the density :math:`\lambda` of the transporters,

.. math::
    \gamma_c\dot c = \sum_j \nu_{cj} R_j,\qquad \gamma_e\dot e = \sum_j \nu_{ej} R_j,\qquad
    R_j = \lambda S f_j \ \text{(surface)}, \quad R_j = \lambda\gamma_c J_j \ \text{(volume)},

which are the sources of the calcium bidomain equations (source, eqs 2.27, 2.28). A macroscale model divides by the
capacities :math:`\gamma`; these, S and :math:`\lambda` are parameters and may differ from node to node.

:func:`cell_kinetics`: the same of one geometry, divided by the capacities: a well-mixed cell.

:func:`boundary_kinetics`: the surface fluxes through the plasma membrane, uM um/s, for the boundary of a tissue.

General fluxes
--------------
Of the general flux :math:`f(c, e, \partial_t c, \partial_t e, X)`, :math:`\dot X = \Phi(c, e, X)` (source, eq 5.6) the
states X are supported in full, with different fluxes on the two sides of the membrane (what is between them is bound:
:func:`homfem.kinetics.calcium.pumps.buffering_serca`). A dependence on the rates of change is not: it would change the
capacities. A state that follows c with a time constant, :math:`\tau\dot y = c - y`, has :math:`(c - y)/\tau` for
:math:`\partial_t c`.

Source: Goel, Sneyd, Friedman 2006, Multiscale Model. Simul. 5(4), 1045.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from homfem.kinetics.calcium.fluxes import (
    CYTOSOL,
    ER,
    IP3,
    UNITS_OF_LENGTH,
    Flux,
    Geometry,
    SurfaceFlux,
    VolumeFlux,
    closed_cell,
    number,
)
from homfem.kinetics.dimensions import check_dimensions, dimension_of_expression
from homfem.kinetics.expressions import Expression, Node, check_name, parse_expression
from homfem.kinetics.parameters import Parameter, refuse_unknown
from homfem.kinetics.point import PointKinetics, Variable
from homfem.kinetics.written import TIME, Formulary, renamed, written_kinetics
from homfem.parameters import InputError
from homfem.quantities import dimension_of

#: Names of the concentrations in expressions -> those of the fields.
FIELDS = {"c": CYTOSOL, "e": ER, IP3: IP3}
_MEANINGS = {CYTOSOL: "free calcium of the cytosol", ER: "free calcium of the ER", IP3: "IP3 of the cytosol"}
#: Parameters of a tissue, which its geometry gives.
GEOMETRY = (
    number("density", 1.0, "", "density of the transporters relative to that of the kinetics", zero=True),
    number("er_area", 1.0, "1/um", "membrane of the ER per volume of tissue"),
    number("plasma_area", 0.0, "1/um", "plasma membrane per volume of tissue", zero=True),
    number("cytosol_fraction", 1.0, "", "volume fraction of the cytosol"),
)


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
    """

    name: str
    fluxes: tuple[Flux, ...] = ()
    states: tuple[State, ...] = ()
    parameters: tuple[Parameter, ...] = ()
    definitions: Mapping[str, str] = field(default_factory=dict)
    shares: tuple[tuple[str, ...], ...] = ()


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
        if expression.tree.operation != "number" or expression.tree.number != 0.0:  # 0 is of any dimension
            wanted = dimension_of(unit) if unit else {}
            name = f"{self._model.name}: {what}"
            check_dimensions(name, expression, self._dimensions, self._values, wanted)
        return renamed(expression, FIELDS)


def tissue_kinetics(model: CalciumKinetics) -> PointKinetics:
    r"""Return the sources of the calcium bidomain equations: amounts per volume of tissue (module docstring).

    Fields ``cytosol``, ``er`` and maybe ``ip3`` in uM; rates in uM/s per volume of tissue, which a model divides by the
    capacity of each field: :math:`\gamma_c` of cytosol and IP3, :math:`\gamma_e` of the ER. Parameters are those of the
    model and ``density``, ``er_area``, ``plasma_area``, ``cytosol_fraction`` (and ``ip3``); each is a number or has one
    for each node. ``written`` has all of it as expressions.

    Example
    -------
    >>> from homfem.kinetics.calcium import calcium_kinetics
    >>> kinetics = tissue_kinetics(calcium_kinetics("li-rinzel"))
    >>> [rate for rate, _ in kinetics.written.rates], kinetics.stoichiometry
    (['receptor', 'leak', 'serca'], ((1.0, 1.0, -1.0), (-1.0, -1.0, 1.0)))
    """
    factors = {"er": "density*er_area", "plasma": "plasma_area"}
    per_volume = {"er": "density*cytosol_fraction"}
    names = [*(entry.name for entry in GEOMETRY)]
    rates = []
    for flux, (name, expression) in zip(model.fluxes, model.formulary.rates, strict=True):
        if isinstance(flux, SurfaceFlux):
            factor = factors[flux.membrane]
        else:
            factor = per_volume.get(flux.membrane, "cytosol_fraction")
        rates.append((name, _times(parse_expression("factor", factor, names), expression)))
    formulary = replace(model.formulary, rates=tuple(rates))
    return _kinetics(model, formulary, model.fluxes, GEOMETRY)


def cell_kinetics(model: CalciumKinetics, geometry: Geometry | None = None) -> PointKinetics:
    """Return the kinetics of a well-mixed cell: rates of change of its concentrations, uM/s.

    Parameters
    ----------
    model
        The mechanisms.
    geometry
        Volumes and areas; None: those that the model was published with.

    Raises
    ------
    InputError
        If there is neither, or the plasma membrane has no area and the model has surface fluxes through it.

    Example
    -------
    >>> from homfem.kinetics.calcium import calcium_kinetics
    >>> from homfem.kinetics import resting_point
    >>> cell = cell_kinetics(calcium_kinetics("li-rinzel", "trigger-wave"))
    >>> cell.fields[0].start
    0.1
    """
    geometry = geometry or published_geometry(model)
    for flux in model.fluxes:
        if isinstance(flux, SurfaceFlux):
            geometry.area(flux.membrane)
    tissue = tissue_kinetics(model)
    numbers = {
        "er_area": geometry.er_area,
        "plasma_area": geometry.plasma_area,
        "cytosol_fraction": geometry.cytosol_fraction,
    }
    parameters = tuple(replace(entry, value=numbers.get(entry.name, entry.value)) for entry in tissue.parameters)
    capacities = {CYTOSOL: geometry.cytosol_fraction, ER: geometry.er_fraction, IP3: geometry.cytosol_fraction}
    rows = tuple(
        tuple(entry / capacities[name.name] for entry in row)
        for name, row in zip(tissue.fields, tissue.stoichiometry or (), strict=True)
    )
    kept = tuple(
        tuple(weight * capacities[name.name] for name, weight in zip(tissue.fields, weights, strict=True))
        for weights in tissue.kept
    )
    return written_kinetics(
        tissue.written,
        name=model.name,
        time_unit="s",
        fields=tissue.fields,
        states=tissue.states,
        parameters=parameters,
        stoichiometry=rows,
        shares=tissue.shares,
        kept=kept,
    )


def published_geometry(model: CalciumKinetics) -> Geometry:
    """Return the geometry of the closed cell that a model was published with."""
    if model.er_to_cytosol is None:
        raise InputError("geometry", None, f"given for {model.name}, which was published without one")
    return closed_cell(model.er_to_cytosol)


def boundary_kinetics(model: CalciumKinetics) -> PointKinetics | None:
    """Return the surface fluxes through the plasma membrane, into the cytosol, uM um/s; None if the model has none.

    For the boundary of a tissue: the rate of a field is what comes through the boundary per its area. States of the
    membrane are those that the fluxes of the model have.
    """
    kept = [k for k, flux in enumerate(model.fluxes) if flux.membrane == "plasma" and isinstance(flux, SurfaceFlux)]
    if not kept:
        return None
    formulary = replace(model.formulary, rates=tuple(model.formulary.rates[k] for k in kept))
    return _kinetics(model, formulary, [model.fluxes[k] for k in kept], ())


def on_membrane(model: CalciumKinetics, geometry: Geometry) -> CalciumKinetics:
    r"""Return a model with surface fluxes in place of volume fluxes through the ER membrane, the same in a geometry.

    :math:`f = \gamma_c J/S`: the transporters belong to the membrane then, and where there is more of it there are more
    of them. A ratio ``c1`` of volumes becomes that of the geometry.

    Example
    -------
    >>> from homfem.kinetics.calcium import calcium_kinetics, closed_cell
    >>> [flux.unit for flux in on_membrane(calcium_kinetics("li-rinzel"), closed_cell(0.1)).fluxes]
    ['uM*um/s', 'uM*um/s', 'uM*um/s']
    """
    mechanisms = [
        replace(
            entry,
            fluxes=tuple(
                flux.per_area(geometry) if isinstance(flux, VolumeFlux) and flux.membrane == "er" else flux
                for flux in entry.fluxes
            ),
        )
        for entry in model.mechanisms
    ]
    moved = replace(model, mechanisms=tuple(mechanisms))
    ratio = {"c1": geometry.er_fraction / geometry.cytosol_fraction}
    return moved.with_parameters(ratio if any(entry.name == "c1" for entry in moved.parameters) else {})


def without_plasma_surface(model: CalciumKinetics) -> CalciumKinetics:
    """Return a model without the surface fluxes of its plasma membrane, which are on the boundary of a tissue."""
    mechanisms = [
        replace(
            entry,
            fluxes=tuple(f for f in entry.fluxes if f.membrane != "plasma" or not isinstance(f, SurfaceFlux)),
        )
        for entry in model.mechanisms
    ]
    return replace(model, mechanisms=tuple(mechanisms))


def _kinetics(
    model: CalciumKinetics, formulary: Formulary, fluxes: Sequence[Flux], geometry: Iterable[Parameter]
) -> PointKinetics:
    fields = model.fields
    rows = tuple(
        tuple(float(flux.target == entry.name) - float(flux.source == entry.name) for flux in fluxes)
        for entry in fields
    )
    lengths = [number(name, 1.0, unit, "a length of 1") for name, unit in UNITS_OF_LENGTH.items()]
    used = formulary.names
    parameters = [entry for entry in (*model.parameters, *lengths) if entry.name in used or entry.name == IP3]
    calcium = tuple(float(entry.name != IP3) for entry in fields)
    gains = [sum(w * row[j] for w, row in zip(calcium, rows, strict=True)) for j in range(len(fluxes))]
    return written_kinetics(
        formulary,
        name=model.name,
        time_unit="s",
        fields=fields,
        states=tuple(
            Variable(name=s.name, unit=s.unit, start=s.start, meaning=s.meaning, gate=not s.drift) for s in model.states
        ),
        parameters=(*parameters, *geometry),
        stoichiometry=rows,
        shares=tuple(group for entry in model.mechanisms for group in entry.shares),
        kept=(calcium,) if not any(gains) else (),
    )


def _times(factor: Expression, other: Expression) -> Expression:
    tree = Node("*", (factor.tree, other.tree))
    return Expression(text=str(tree), tree=tree)
