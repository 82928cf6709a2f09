"""Keys of a config from the table of parameters that kinetics have."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Any

from pydantic import Field

from homfem.config.table import Table, number, quantity
from homfem.kinetics.parameters import Parameter
from homfem.quantities import Quantity


def parameter_keys(parameters: Iterable[Parameter]) -> dict[str, Any]:
    """Return the keys of a table of parameters, for ``pydantic.create_model``; each may be left out."""
    keys: dict[str, Any] = {}
    for entry in parameters:
        limits = {"above": entry.above, "at_least": entry.at_least}
        kind: Any = Annotated[float, number(**limits)]
        if entry.kind is not None:
            kind = Annotated[Quantity, quantity(entry.kind, **limits)]
        keys[entry.name] = (kind | None, Field(default=None, description=entry.meaning))
    return keys


def given_parameters(table: Table, parameters: Iterable[Parameter]) -> dict[str, float]:
    """Return the numbers that a table of such keys gives, in the units of the parameters."""
    given = {entry.name: (getattr(table, entry.name), entry.unit) for entry in parameters}
    return {
        name: value.to(unit) if isinstance(value, Quantity) else float(value)
        for name, (value, unit) in given.items()
        if value is not None
    }
