r"""Point kinetics of calcium mechanisms: of a tissue, of a well-mixed cell, of a membrane, a volume and a boundary.

:func:`tissue_kinetics`: amounts per volume of tissue and time. With the volume fractions
:math:`\gamma_c,\gamma_e`, the membrane area S per volume of tissue and the density :math:`\lambda` of the transporters,

.. math::
    \gamma_c\dot c = \sum_j \nu_{cj} R_j,\qquad \gamma_e\dot e = \sum_j \nu_{ej} R_j,\qquad
    R_j = \lambda S f_j \ \text{(surface)}, \quad R_j = \lambda\gamma_c J_j \ \text{(volume)},

which are the sources of the calcium bidomain equations (source, eqs 2.27, 2.28). A macroscale model divides by the
capacities :math:`\gamma`; these, S and :math:`\lambda` are parameters and may differ from node to node.

:func:`cell_kinetics`: the same of one geometry, divided by the capacities: a well-mixed cell.

:func:`membrane_kinetics`, :func:`volume_kinetics`, :func:`boundary_kinetics`: the fluxes of one kind as they are, per
area of the ER's membrane (uM um/s), per volume of cytosol (uM/s), per area of the plasma membrane (uM um/s, for the
boundary of a tissue), each with the states that it depends on.

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

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace

import numpy as np

from homfem.kinetics.calcium.fluxes import (
    CYTOSOL,
    ER,
    GEOMETRY,
    IP3,
    UNITS_OF_LENGTH,
    Flux,
    Geometry,
    SurfaceFlux,
    VolumeFlux,
    closed_cell,
    number,
)
from homfem.kinetics.calcium.mechanisms import CalciumKinetics
from homfem.kinetics.expressions import parse_expression
from homfem.kinetics.parameters import Parameter
from homfem.kinetics.point import PointKinetics, Variable
from homfem.kinetics.written import Formulary, product, written_kinetics
from homfem.parameters import Array, InputError


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
        rates.append((name, product(parse_expression("factor", factor, names), expression)))
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


def membrane_kinetics(model: CalciumKinetics) -> PointKinetics | None:
    """Return the surface fluxes through the membrane of the ER per its area, uM um/s; None if the model has none.

    Example
    -------
    >>> from homfem.kinetics.calcium import calcium_kinetics, closed_cell
    >>> kinetics = membrane_kinetics(on_membrane(calcium_kinetics("li-rinzel"), closed_cell(0.1)))
    >>> [field.name for field in kinetics.fields], [state.name for state in kinetics.states]
    (['cytosol', 'er'], ['h'])
    """
    return _of_fluxes(model, lambda flux: isinstance(flux, SurfaceFlux) and flux.membrane == "er")


def volume_kinetics(model: CalciumKinetics) -> PointKinetics | None:
    """Return the volume fluxes per volume of cytosol, uM/s; None if the model has none."""
    return _of_fluxes(model, lambda flux: isinstance(flux, VolumeFlux))


def boundary_kinetics(model: CalciumKinetics) -> PointKinetics | None:
    """Return the surface fluxes through the plasma membrane per its area, uM um/s; None if the model has none."""
    return _of_fluxes(model, lambda flux: isinstance(flux, SurfaceFlux) and flux.membrane == "plasma")


def boundary_law(
    model: CalciumKinetics, parameters: Mapping[str, float] | None = None
) -> Callable[[float, Mapping[str, Array]], Array]:
    """Return what enters the cytosol through the plasma membrane, uM um/s, as a function of time and concentrations.

    Parameters
    ----------
    model
        Kinetics with surface fluxes through the plasma membrane, without states of their own.
    parameters
        Numbers in place of those of the model, such as that of IP3 where it is no field.

    Returns
    -------
    callable ``(time, {field: array}) -> array``
        Of concentrations in uM by field.

    Raises
    ------
    InputError
        If the model has no such fluxes, or they depend on states.

    Example
    -------
    >>> from homfem.kinetics.calcium import CalciumKinetics
    >>> from homfem.kinetics.calcium.pumps import pmca
    >>> law = boundary_law(CalciumKinetics(name="pump", mechanisms=(pmca(2.0, 0.5),)))
    >>> law(0.0, {"cytosol": np.array([0.5]), "er": np.array([10.0])})
    array([-1.])
    """
    kinetics = boundary_kinetics(model)
    if kinetics is None or kinetics.states:
        names = [] if kinetics is None else [state.name for state in kinetics.states]
        needed = "kinetics with surface fluxes through the plasma membrane that depend on no states"
        raise InputError("kinetics", f"{model.name} {names}", needed)
    p, row = kinetics.values(parameters), np.array((kinetics.stoichiometry or ())[0])
    names = [field.name for field in kinetics.fields]
    rates = kinetics.rates

    def law(time: float, concentrations: Mapping[str, Array]) -> Array:
        size = len(concentrations[CYTOSOL])
        fields = [concentrations.get(name, np.full(size, np.nan)) for name in names]
        return np.asarray(row @ rates(time, fields, np.empty((0, size)), p))

    return law


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


def _of_fluxes(model: CalciumKinetics, wanted: Callable[[Flux], bool]) -> PointKinetics | None:
    """Return some fluxes of a model as they are, with the states that they depend on."""
    kept = [k for k, flux in enumerate(model.fluxes) if wanted(flux)]
    if not kept:
        return None
    formulary = replace(model.formulary, rates=tuple(model.formulary.rates[k] for k in kept))
    return _kinetics(model, _with_own_states(formulary), [model.fluxes[k] for k in kept], ())


def _with_own_states(formulary: Formulary) -> Formulary:
    """Return the same without states on which no rate depends, be it through other states."""
    gates = {name: pair for name, *pair in formulary.gates}
    drifts = {name: [entry] for name, entry in formulary.drifts}
    states = {**gates, **drifts}
    used: set[str] = set()
    queue = [expression for _, expression in formulary.rates]
    while queue:
        names = {name for one in queue for name in one.names}
        names |= {name for _, one in formulary.needed(queue) for name in one.names}
        new = {name for name in names if name in states} - used
        used |= new
        queue = [one for name in new for one in states[name]]
    return replace(
        formulary,
        gates=tuple(entry for entry in formulary.gates if entry[0] in used),
        drifts=tuple(entry for entry in formulary.drifts if entry[0] in used),
    )


def _kinetics(
    model: CalciumKinetics, formulary: Formulary, fluxes: Sequence[Flux], geometry: Iterable[Parameter]
) -> PointKinetics:
    fields = model.fields
    holding = {name for entry in model.mechanisms for name in entry.holds}
    rows = tuple(
        tuple(float(flux.target == entry.name) - float(flux.source == entry.name) for flux in fluxes)
        for entry in fields
    )
    last = [entry for _, entry in (*formulary.rates, *formulary.drifts)]
    last += [entry for _, *pair in formulary.gates for entry in pair]
    formulary = replace(formulary, definitions=formulary.needed(last))
    lengths = [number(name, 1.0, unit, "a length of 1") for name, unit in UNITS_OF_LENGTH.items()]
    used, own = formulary.names, {name for name, *_ in (*formulary.gates, *formulary.drifts)}
    parameters = [entry for entry in (*model.parameters, *lengths) if entry.name in used or entry.name == IP3]
    calcium = tuple(float(entry.name != IP3) for entry in fields)
    gains = [sum(w * row[j] for w, row in zip(calcium, rows, strict=True)) for j in range(len(fluxes))]
    return written_kinetics(
        formulary,
        name=model.name,
        time_unit="s",
        fields=fields,
        states=tuple(
            Variable(
                name=s.name, unit=s.unit, start=s.start, meaning=s.meaning, gate=not s.drift, holds=s.name in holding
            )
            for s in model.states
            if s.name in own
        ),
        parameters=(*parameters, *geometry),
        stoichiometry=rows,
        shares=tuple(group for entry in model.mechanisms for group in entry.shares if own.issuperset(group)),
        kept=(calcium,) if not any(gains) else (),
    )
