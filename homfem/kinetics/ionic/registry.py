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
