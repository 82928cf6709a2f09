"""Models of membranes by name: a file of each, and its variants as numbers of its parameters."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from homfem.kinetics.ionic.files import read_ionic
from homfem.kinetics.ionic.fitzhugh_nagumo import FITZHUGH_NAGUMO
from homfem.kinetics.point import PointKinetics
from homfem.parameters import InputError, check_choice

MODELS = Path(__file__).parent / "models"


@dataclass(frozen=True, kw_only=True, slots=True)
class IonicModel:
    """A model of a membrane.

    Parameters
    ----------
    title : str
        What it is of.
    source : str
        Where it was published.
    variants : mapping of str to mapping of str to float
        Numbers of parameters, by variant; the file's own ones belong to the first one.
    kinetics : PointKinetics or None
        The model, where it is not the file ``NAME.ode`` of this package.
    """

    title: str
    source: str
    variants: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    kinetics: PointKinetics | None = None


IONIC_MODELS: dict[str, IonicModel] = {
    "fitzhugh-nagumo": IonicModel(
        title="excitation and recovery without units",
        source="FitzHugh 1961, doi 10.1016/S0006-3495(61)86902-6",
        kinetics=FITZHUGH_NAGUMO,
    ),
    "tentusscher-panfilov-2006": IonicModel(
        title="human ventricular cell",
        source="ten Tusscher, Panfilov 2006, doi 10.1152/ajpheart.00109.2006",
        variants={
            "epi": {},
            "endo": {
                "g_to": 0.073,
                "s_half": 28.0,
                "tau_s_peak": 1000.0,
                "tau_s_centre": 67.0,
                "tau_s_width": 1000.0,
                "tau_s_step": 0.0,
                "tau_s_least": 8.0,
            },
            "m": {"g_Ks": 0.098},
        },
    ),
    "aliev-panfilov": IonicModel(
        title="excitation and recovery, scaled to mV and ms",
        source="Aliev, Panfilov 1996, doi 10.1016/0960-0779(95)00089-5",
    ),
    "mitchell-schaeffer": IonicModel(
        title="two currents and one gate, scaled to mV",
        source="Mitchell, Schaeffer 2003, doi 10.1016/S0092-8240(03)00041-7",
    ),
    "gray-pathmanathan-2016": IonicModel(
        title="rabbit ventricular cell of two currents",
        source="Gray, Pathmanathan 2016, doi 10.1371/journal.pcbi.1005087",
    ),
    "beeler-reuter": IonicModel(
        title="mammalian ventricular cell",
        source="Beeler, Reuter 1977, doi 10.1113/jphysiol.1977.sp011853",
    ),
    "luo-rudy-1991": IonicModel(
        title="guinea pig ventricular cell",
        source="Luo, Rudy 1991, doi 10.1161/01.RES.68.6.1501",
    ),
    "ohara-rudy-2011": IonicModel(
        title="human ventricular cell with 41 states",
        source="O'Hara, Virag, Varro, Rudy 2011, doi 10.1371/journal.pcbi.1002061",
        variants={
            "endo": {},
            "epi": {
                "scale_NaL": 0.6,
                "scale_to": 4.0,
                "scale_CaL": 1.2,
                "scale_Kr": 1.3,
                "scale_Ks": 1.4,
                "scale_K1": 1.2,
                "scale_NaCa": 1.1,
                "scale_NaK": 0.9,
                "scale_Kb": 0.6,
                "scale_up": 1.3,
                "scale_cmdn": 1.3,
                "delta_epi": 0.95,
            },
            "m": {
                "scale_to": 4.0,
                "scale_CaL": 2.5,
                "scale_Kr": 0.8,
                "scale_K1": 1.3,
                "scale_NaCa": 1.4,
                "scale_NaK": 0.7,
                "scale_rel": 1.7,
            },
        },
    ),
}


def ionic_kinetics(name: str, variant: str | None = None) -> PointKinetics:
    """Return the kinetics of a membrane by name: its field V (mV, or without unit), time in ms.

    Parameters
    ----------
    name
        A name of :data:`IONIC_MODELS`.
    variant
        A variant that the model has; None: its first one.

    Raises
    ------
    InputError
        For names that are not known, with the nearest one.

    Example
    -------
    >>> membrane = ionic_kinetics("tentusscher-panfilov-2006", "m")
    >>> membrane.values().g_Ks, membrane.fields[0].unit, len(membrane.states), membrane.gates
    (0.098, 'mV', 18, 13)
    """
    check_choice("ionic model", name, tuple(IONIC_MODELS))
    model = IONIC_MODELS[name]
    if variant is None:
        variant = next(iter(model.variants), None)
    elif not model.variants:
        raise InputError("variant", variant, f"absent: {name} has no variants")
    else:
        check_choice("variant", variant, tuple(model.variants))
    kinetics = read_ionic(MODELS / f"{name}.ode") if model.kinetics is None else model.kinetics
    numbers = model.variants[variant] if variant is not None else {}
    kinetics.values(numbers)
    parameters = tuple(
        dataclasses.replace(entry, value=numbers.get(entry.name, entry.value), source=entry.source or model.source)
        for entry in kinetics.parameters
    )
    title = f"{name} ({variant})" if variant is not None else kinetics.name
    return dataclasses.replace(kinetics, name=title, parameters=parameters)
