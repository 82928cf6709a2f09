"""Parameters of kinetics: one table of them serves the code, the keys of a config and the documentation."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import numpy as np

from homfem.parameters import Array, InputError, check_number, nearest_name
from homfem.quantities import Kind

_KEY = "parameter"


@dataclass(frozen=True, kw_only=True, slots=True)
class Parameter:
    """A number that kinetics depend on.

    Parameters
    ----------
    name : str
        Name in formulas, configs and documentation.
    value : float
        The published or default number, in ``unit``.
    unit : str
        Unit of the number; empty for a pure number.
    kind : Kind or None
        What a config takes for it, in any unit that converts to ``unit``; None for a pure number.
    meaning : str
        What it is, in words.
    source : str
        Where the number is from.
    above, at_least : float
        Limits of the number: 0, or none.
    """

    name: str
    value: float
    unit: str = ""
    kind: Kind | None = None
    meaning: str
    source: str = ""
    above: float = -math.inf
    at_least: float = -math.inf

    def check(self, value: Any) -> float:
        """Return a number in its unit; raise :class:`InputError` if it is none or out of range."""
        return check_number(self.name, value, above=self.above, at_least=self.at_least)

    def check_values(self, value: Any, size: int) -> float | Array:
        """Return a number, or finite numbers within the limits for each of ``size`` nodes (an array of its own)."""
        if np.ndim(value) == 0:
            return self.check(value.item() if isinstance(value, np.ndarray) else value)
        values = np.array(value, dtype=np.float64)
        if values.shape != (size,):
            raise InputError(self.name, values.shape, f"a number, or one for each node: of shape ({size},)")
        bad = ~(np.isfinite(values) & (values > self.above) & (values >= self.at_least))
        if bad.any():
            self.check(float(values[np.argmax(bad)]))
        return values


def parameter(
    value: float,
    unit: str = "",
    *,
    kind: Kind | None = None,
    meaning: str,
    source: str = "",
    above: float = -math.inf,
    at_least: float = -math.inf,
) -> Any:
    """Return the dataclass field of a :class:`Parameter`, whose name is the field's; NaN: without a default."""
    about = {"unit": unit, "kind": kind, "meaning": meaning, "source": source, "above": above, "at_least": at_least}
    metadata = {_KEY: about | {"value": value}}
    if math.isnan(value):
        return dataclasses.field(metadata=metadata)
    return dataclasses.field(default=value, metadata=metadata)


def parameters_of(table: Any) -> tuple[Parameter, ...]:
    """Return the table of parameters of a dataclass whose fields :func:`parameter` made; of an object with its numbers.

    Example
    -------
    >>> from homfem.kinetics import LiRinzelRates
    >>> parameters_of(LiRinzelRates)[0].unit
    '1/s'
    """
    found = [Parameter(name=field.name, **field.metadata[_KEY]) for field in dataclasses.fields(table)]
    if not isinstance(table, type):
        found = [dataclasses.replace(entry, value=getattr(table, entry.name)) for entry in found]
    return tuple(found)


def check_parameters(table: Any) -> None:
    """Check the numbers of a dataclass whose fields :func:`parameter` made; raise :class:`InputError`."""
    for entry in parameters_of(table):
        entry.check(entry.value)


def refuse_unknown(what: str, given: Iterable[str], known: Iterable[str]) -> None:
    """Raise :class:`InputError` for the first name that is not known, with the nearest one and the list."""
    names = list(known)
    for name in given:
        if name not in names:
            allowed = "one of " + ", ".join(map(repr, names)) if names else "absent: there are none"
            raise InputError(what, name, allowed, nearest_name(name, names))


def parameter_values(
    table: Iterable[Parameter], given: Mapping[str, Any] | None = None, *, size: int = 1
) -> SimpleNamespace:
    """Return the numbers of a table, by attribute.

    Parameters
    ----------
    table
        The parameters.
    given
        Numbers, or arrays of shape (size,), in place of the table's own, in the units of the table.
    size
        Number of nodes.

    Raises
    ------
    InputError
        For names that the table does not have (with the nearest one), and numbers out of range.
    """
    entries, chosen = tuple(table), dict(given or {})
    refuse_unknown("parameters", chosen, [entry.name for entry in entries])
    return SimpleNamespace(
        **{entry.name: entry.check_values(chosen.get(entry.name, entry.value), size) for entry in entries}
    )


def describe_parameters(table: Iterable[Parameter]) -> str:
    """Return a table of parameters as Markdown: name, number, unit, meaning, source."""
    lines = ["| parameter | value | unit | meaning | source |", "|---|---|---|---|---|"]
    for entry in table:
        number = "" if math.isnan(entry.value) else f"{entry.value:.6g}"
        lines.append(f"| `{entry.name}` | {number} | {entry.unit} | {entry.meaning} | {entry.source} |")
    return "\n".join(lines)
