"""The table ``[effective]`` of any physics. A new physics is one class and its name in :data:`PHYSICS`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from homfem.config.coupled import ActiveStress, Poroelasticity, Thermoelasticity
from homfem.config.effective import Conductivity, Diffusion, EffectiveTable
from homfem.config.mechanics import Elasticity, Stokes
from homfem.config.table import Missing, choose, parse_table, refuse_unknown, require_table
from homfem.parameters import InputError

PHYSICS: Mapping[str, type[EffectiveTable]] = {
    "diffusion": Diffusion,
    "conductivity": Conductivity,
    "elasticity": Elasticity,
    "thermoelasticity": Thermoelasticity,
    "poroelasticity": Poroelasticity,
    "active-stress": ActiveStress,
    "stokes": Stokes,
}
"""Every physics by its name in a config."""


def parse_effective(value: Any, path: str = "effective") -> EffectiveTable:
    """Return the validated table of an effective coefficient; raise :class:`InputError` for anything wrong in it."""
    table = require_table(path, value)
    if "physics" not in table:
        known = dict.fromkeys(key for model in PHYSICS.values() for key in model.model_fields)
        refuse_unknown(path, table, list(known))
        raise InputError(f"{path}.physics", Missing(), "one of " + ", ".join(map(repr, PHYSICS)))
    name = choose(f"{path}.physics", table["physics"], list(PHYSICS))
    return parse_table(PHYSICS[name], table, path)
