"""The registry of physics, and the table ``[effective]`` of any of them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from homfem.config.physics import (
    bidomain,
    chemotaxis,
    coupled,
    diffusion,
    dispersion,
    elasticity,
    electrodiffusion,
    multiplication,
    reaction,
    stokes,
)
from homfem.config.physics.effective_table import EffectiveTable
from homfem.config.table import Missing, parse_table, refuse_unknown, require_table
from homfem.parameters import InputError, check_choice

#: Where the physics are: a new one is a module with its ``TABLES``, and its place here.
MODULES = (
    diffusion,
    bidomain,
    elasticity,
    coupled,
    stokes,
    dispersion,
    reaction,
    multiplication,
    electrodiffusion,
    chemotaxis,
)
PHYSICS: Mapping[str, type[EffectiveTable]] = {
    name: table for module in MODULES for name, table in module.TABLES.items()
}
"""Every physics by its name in a config."""


def parse_effective(value: Any, path: str = "effective") -> EffectiveTable:
    """Return the validated table of an effective coefficient; raise :class:`InputError` for anything wrong in it."""
    table = require_table(path, value)
    if "physics" not in table:
        known = dict.fromkeys(key for model in PHYSICS.values() for key in model.model_fields)
        refuse_unknown(path, table, list(known))
        raise InputError(f"{path}.physics", Missing(), "one of " + ", ".join(map(repr, PHYSICS)))
    name = check_choice(f"{path}.physics", table["physics"], list(PHYSICS))
    return parse_table(PHYSICS[name], table, path)
