"""Parameters of the Li-Rinzel model: rates per volume of cytosol as they are published, and those of a membrane."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from homfem.kinetics.calcium.registry import CALCIUM_KINETICS
from homfem.kinetics.parameters import check_parameters, parameter
from homfem.parameters import check_number
from homfem.quantities import CONCENTRATION, PERMEABILITY

#: The one table of numbers: that of the mechanisms of :func:`homfem.kinetics.calcium.calcium_kinetics`.
_TABLE = {entry.name: entry for entry in CALCIUM_KINETICS["li-rinzel"].table()}


def _number(name: str) -> Any:
    entry = _TABLE[name]
    return parameter(entry.value, entry.unit, kind=entry.kind, meaning=entry.meaning, source=entry.source, above=0.0)


@dataclass(frozen=True, kw_only=True, slots=True)
class LiRinzelRates:
    """Rates of the Li-Rinzel model per volume of cytosol, as they are published; every one > 0.

    The fields are the table of parameters (:func:`homfem.kinetics.parameters.parameters_of`): numbers, units, meanings,
    sources. ``c0`` is the free calcium of the closed cell, c + c1 e, per volume of cytosol.
    """

    v1: float = _number("v1")
    v2: float = _number("v2")
    v3: float = _number("v3")
    k3: float = _number("k3")
    a2: float = _number("a2")
    d1: float = _number("d1")
    d2: float = _number("d2")
    d3: float = _number("d3")
    d5: float = _number("d5")
    c0: float = parameter(
        CALCIUM_KINETICS["li-rinzel"].total or 0.0,
        "uM",
        kind=CONCENTRATION,
        meaning="free calcium per volume of cytosol",
        source=_TABLE["v1"].source,
        above=0.0,
    )
    c1: float = _number("c1")

    def __post_init__(self) -> None:
        check_parameters(self)


def _of_set(name: str) -> LiRinzelRates:
    numbers = dict(CALCIUM_KINETICS["li-rinzel"].sets[name])
    total = {"c0": numbers.pop("total")} if "total" in numbers else {}
    return LiRinzelRates(**total, **{key: value for key, value in numbers.items() if key in _TABLE})


DE_YOUNG_KEIZER = _of_set("de-young-keizer")
"""The published set (De Young, Keizer 1992, table 1; v2, v3, k3 as there). A closed cell oscillates for IP3 from about
0.36 to 0.65 uM; at rest this set does not support a travelling wave."""

TRIGGER_WAVE = _of_set("trigger-wave")
"""A set whose resting state (c 0.1, e 15.7 uM at IP3 0.3 uM) supports a travelling wave: about 11 um/s in the plane for
Dc = 20, De = 10 um^2/s. c0, v1 and v3 are chosen for that; the other constants are those of De Young and Keizer."""


_OF_GEOMETRY = float("nan")


@dataclass(frozen=True, kw_only=True, slots=True)
class LiRinzelMembrane:
    """The membrane of the ER with IP3 receptors, leak and SERCA pumps; every number > 0.

    The fields are the table of parameters; the first three have no number of their own, since they depend on the
    geometry: P3 and Pl, permeability with all receptors open and of the leak, and V, largest flux of the pumps.
    """

    channel_permeability: float = parameter(
        _OF_GEOMETRY, "um/s", kind=PERMEABILITY, meaning="P3: permeability with all receptors open", above=0.0
    )
    leak_permeability: float = parameter(
        _OF_GEOMETRY, "um/s", kind=PERMEABILITY, meaning="Pl: permeability of the leak", above=0.0
    )
    pump_flux: float = parameter(_OF_GEOMETRY, "uM*um/s", meaning="V: largest flux of the pumps", above=0.0)
    k3: float = _number("k3")
    a2: float = _number("a2")
    d1: float = _number("d1")
    d2: float = _number("d2")
    d3: float = _number("d3")
    d5: float = _number("d5")

    def __post_init__(self) -> None:
        check_parameters(self)


def membrane_from_rates(
    rates: LiRinzelRates, *, cytosol_fraction: float, er_fraction: float, interface_area: float
) -> LiRinzelMembrane:
    r"""Return the membrane that has the given rates per volume of cytosol in the given geometry.

    :math:`P_3 = v_1\gamma_e/S`, :math:`P_l = v_2\gamma_e/S`, :math:`V = v_3\gamma_c/S`. The geometry's own
    :math:`\gamma_e/\gamma_c` takes the place of the published ``c1``; with the same calcium per volume of cytosol the
    dynamics of c then differ little (exactly nothing where the two ratios agree).

    Parameters
    ----------
    rates
        Rates per volume of cytosol.
    cytosol_fraction, er_fraction
        Volume fractions, each in (0, 1).
    interface_area
        Membrane area per volume of tissue, 1/um, > 0.

    Raises
    ------
    InputError
        If a number is out of range.

    Example
    -------
    >>> m = membrane_from_rates(DE_YOUNG_KEIZER, cytosol_fraction=0.9, er_fraction=0.1, interface_area=2.0)
    >>> round(m.channel_permeability, 12), round(m.pump_flux, 12)
    (0.3, 0.405)
    """
    gamma_c = check_number("cytosol_fraction", cytosol_fraction, above=0.0, below=1.0)
    gamma_e = check_number("er_fraction", er_fraction, above=0.0, below=1.0)
    area = check_number("interface_area", interface_area, above=0.0)
    return LiRinzelMembrane(
        channel_permeability=rates.v1 * gamma_e / area,
        leak_permeability=rates.v2 * gamma_e / area,
        pump_flux=rates.v3 * gamma_c / area,
        k3=rates.k3,
        a2=rates.a2,
        d1=rates.d1,
        d2=rates.d2,
        d3=rates.d3,
        d5=rates.d5,
    )
