"""The registry of macroscale models, and the table ``[macro]`` of any of them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from homfem.config.models import calcium, cardiac, emi, reaction_diffusion
from homfem.config.models.macro_table import MacroTable
from homfem.config.table import Missing, refuse_unknown, require_table
from homfem.parameters import InputError, check_choice

__all__ = ["MODELS", "MacroTable", "parse_macro"]

#: Where the models are: a new one is a module with its ``TABLES``, and its place here.
MODULES = (calcium, reaction_diffusion, cardiac, emi)
MODELS: Mapping[str, type[MacroTable]] = {name: table for module in MODULES for name, table in module.TABLES.items()}
"""Every macroscale model by its name in a config."""


def parse_macro(value: Any, folder: Path, path: str = "macro") -> MacroTable:
    """Return the validated table of a macroscale run; raise :class:`InputError` for anything wrong in it."""
    table = require_table(path, value)
    if "model" not in table:
        refuse_unknown(path, table, list(dict.fromkeys(key for m in MODELS.values() for key in m.model_fields)))
        raise InputError(f"{path}.model", Missing(), "one of " + ", ".join(map(repr, MODELS)))
    name = check_choice(f"{path}.model", table["model"], list(MODELS))
    return MODELS[name].parse(table, folder, path)
