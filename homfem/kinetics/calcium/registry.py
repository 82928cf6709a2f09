"""Kinetics of calcium by name, with their published sets of numbers: what :func:`calcium_kinetics` and configs know."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import cache

from homfem.kinetics.calcium.ip3_receptors import (
    atri_membrane,
    atri_receptor,
    de_young_keizer_receptor,
    egg_receptor,
    li_rinzel_receptor,
    store_leak,
)
from homfem.kinetics.calcium.mechanisms import CalciumKinetics, Mechanism
from homfem.kinetics.calcium.pumps import buffering_serca, hill_serca, reversible_serca
from homfem.kinetics.calcium.ryanodine import keizer_levine_receptor, reduced_keizer_levine_receptor
from homfem.kinetics.parameters import Parameter
from homfem.parameters import InputError, check_choice


@dataclass(frozen=True, kw_only=True, slots=True)
class CalciumEntry:
    """Kinetics of calcium with a name.

    Parameters
    ----------
    title : str
        What they are.
    source : str
        Where they were published.
    mechanisms : tuple of callables
        What makes the mechanisms.
    sets : mapping of str to mapping of str to float
        Numbers of parameters by the name of a set, and ``total`` (uM): what differs from those of the mechanisms; the
        first one is the usual one.
    start : mapping of str to float
        Concentrations from which a cell may start, uM.
    ip3 : float or None
        IP3 of the cell, uM; None: it does not matter.
    total, er_to_cytosol : float or None
        Free calcium of a closed cell per volume of cytosol, uM, and the volume of its ER over that of its cytosol.
    """

    title: str
    source: str
    mechanisms: tuple[Callable[[], Mechanism], ...]
    sets: Mapping[str, Mapping[str, float]] = field(default_factory=lambda: {"published": {}})
    start: Mapping[str, float] = field(default_factory=dict)
    ip3: float | None = 0.4
    total: float | None = 2.0
    er_to_cytosol: float | None = 0.185

    def table(self) -> tuple[Parameter, ...]:
        """Return the parameters of all mechanisms, without IP3; no unit is checked here."""
        made = (entry for make in self.mechanisms for entry in make().parameters)
        return tuple({entry.name: entry for entry in made}.values())


_DYK = "De Young, Keizer 1992, doi 10.1073/pnas.89.20.9895"
_LR = f"Li, Rinzel 1994, doi 10.1006/jtbi.1994.1041; numbers of {_DYK}"
_SETS: Mapping[str, Mapping[str, float]] = {
    "de-young-keizer": {},
    "trigger-wave": {"v1": 12.0, "v3": 2.5, "ip3": 0.3, "total": 3.0},
}
_START = {"cytosol": 0.1, "er": 10.0}

CALCIUM_KINETICS: Mapping[str, CalciumEntry] = {
    "li-rinzel": CalciumEntry(
        title="IP3 receptor with one gate, leak, SERCA pump by Hill",
        source=_LR,
        mechanisms=(li_rinzel_receptor, store_leak, hill_serca),
        sets=_SETS,
        start=_START,
    ),
    "de-young-keizer": CalciumEntry(
        title="IP3 receptor with eight states, leak, SERCA pump by Hill",
        source=_DYK,
        mechanisms=(de_young_keizer_receptor, store_leak, hill_serca),
        sets=_SETS,
        start=_START,
    ),
    "li-rinzel-reversible": CalciumEntry(
        title="IP3 receptor with one gate, leak, reversible SERCA pump",
        source=f"{_LR}; the pump: homfem.kinetics.calcium.pumps",
        mechanisms=(li_rinzel_receptor, store_leak, reversible_serca),
        sets=_SETS,
        start=_START,
    ),
    "li-rinzel-buffering": CalciumEntry(
        title="IP3 receptor with one gate, leak, SERCA pump that holds calcium",
        source=f"{_LR}; the pump: homfem.kinetics.calcium.pumps",
        mechanisms=(li_rinzel_receptor, store_leak, buffering_serca),
        sets=_SETS,
        start=_START,
    ),
    "atri": CalciumEntry(
        title="IP3 receptor with one gate of a store whose calcium does not matter, pump, leak",
        source="Atri, Amundson, Clapham, Sneyd 1993, doi 10.1016/S0006-3495(93)81191-3",
        mechanisms=(atri_receptor, atri_membrane),
        start={"cytosol": 0.1, "er": 100.0},
        ip3=1.0,
        total=None,
        er_to_cytosol=0.185,
    ),
    "keizer-levine": CalciumEntry(
        title="ryanodine receptor with four states, leak, SERCA pump by Hill",
        source="Keizer, Levine 1996, doi 10.1016/S0006-3495(96)79543-7 (receptor); leak and pump chosen",
        mechanisms=(keizer_levine_receptor, store_leak, hill_serca),
        start=_START,
        ip3=None,
    ),
    "keizer-levine-reduced": CalciumEntry(
        title="ryanodine receptor with one gate, leak, SERCA pump by Hill",
        source="Keizer, Levine 1996, doi 10.1016/S0006-3495(96)79543-7 (receptor); leak and pump chosen",
        mechanisms=(reduced_keizer_levine_receptor, store_leak, hill_serca),
        start=_START,
        ip3=None,
    ),
    "xenopus-egg": CalciumEntry(
        title="IP3 receptor of waves in eggs, leak, SERCA pump by Hill",
        source="Wagner, Li, Smith, Keizer 1998, doi 10.1016/S0006-3495(98)77651-9, quoted",
        mechanisms=(egg_receptor, hill_serca),
        sets={"published": {"v3": 10.0, "k3": 0.25}},
        start={"cytosol": 0.1, "er": 10.0},
        ip3=0.1,
        total=None,
        er_to_cytosol=None,
    ),
}
"""The kinetics of calcium by their names. One more is a line here; a config knows it then."""


@cache
def calcium_kinetics(name: str, parameters: str | None = None) -> CalciumKinetics:
    """Return kinetics of calcium by name.

    Parameters
    ----------
    name
        A name of :data:`CALCIUM_KINETICS`.
    parameters
        A set of numbers that they have; None: the usual one.

    Raises
    ------
    InputError
        For names that are not known, with the nearest.

    Example
    -------
    >>> wave = calcium_kinetics("li-rinzel", "trigger-wave")
    >>> {entry.name: entry.value for entry in wave.parameters}["v1"], wave.total, [flux.unit for flux in wave.fluxes]
    (12.0, 3.0, ['uM/s', 'uM/s', 'uM/s'])
    """
    entry = CALCIUM_KINETICS[check_choice("kinetics", name, tuple(CALCIUM_KINETICS))]
    chosen = next(iter(entry.sets)) if parameters is None else check_choice("parameters", parameters, tuple(entry.sets))
    numbers = dict(entry.sets[chosen])
    total = numbers.pop("total", entry.total)
    kinetics = CalciumKinetics(
        name=name,
        mechanisms=tuple(make() for make in entry.mechanisms),
        ip3=entry.ip3 or 0.0,
        total=total,
        er_to_cytosol=entry.er_to_cytosol,
        start=entry.start,
        source=entry.source,
    )
    known = {parameter.name for parameter in kinetics.parameters}
    if not numbers.keys() <= known | {"ip3"}:
        raise InputError("parameters", sorted(numbers.keys() - known), f"of {name}")
    return kinetics.with_parameters({key: value for key, value in numbers.items() if key in known})


def with_field_of_ip3(kinetics: CalciumKinetics, turnover: Mechanism) -> CalciumKinetics:
    """Return kinetics in which IP3 is a field, made and degraded by a mechanism; it starts at the number it had."""
    start = {**kinetics.start, "ip3": kinetics.ip3}
    return replace(kinetics, mechanisms=(*kinetics.mechanisms, turnover), start=start)
