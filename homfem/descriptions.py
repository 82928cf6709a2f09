"""Effective tensors as they come from outside: JSON that is read and checked field by field. No dolfinx here."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from homfem.kinds import read_kind
from homfem.parameters import FileError, InputError, check_integer, check_number


def read_description(source: str | Path) -> dict[str, Any]:
    """Return the object of a JSON file (a path), or of JSON text (a string that begins with a brace).

    Raises
    ------
    FileError
        If the file is missing, cannot be read, or is no JSON object: not UTF-8, cut short, with numbers that JSON does
        not have or that are too long, nested too deeply.
    """
    text = source if isinstance(source, str) and source.lstrip().startswith("{") else None
    shown = str(source)[:80] if text is not None else str(source)
    if text is None:
        path = Path(source)
        if not path.is_file():
            raise FileError("file", shown, "a JSON file that exists", "Check the path.")
        try:
            text = path.read_text(encoding="utf-8")
        except UnicodeDecodeError as error:
            raise FileError("file", shown, "valid JSON in UTF-8", f"Byte {error.start} is not.") from error
        except OSError as error:
            raise FileError("file", shown, "a file that can be read", f"{error.strerror}.") from error
    try:
        data = json.loads(text, parse_constant=_refuse_constant)
    except json.JSONDecodeError as error:
        raise FileError("file", shown, "valid JSON", f"It breaks off at character {error.pos}.") from error
    except RecursionError as error:
        raise FileError("file", shown, "valid JSON", "It is nested too deeply.") from error
    except ValueError as error:
        raise FileError("file", shown, "valid JSON", f"{error}.") from error
    if not isinstance(data, dict):
        raise FileError("file", shown, "a JSON object", f"It is of type {type(data).__name__}.")
    return data


def _refuse_constant(name: str) -> float:
    raise ValueError(f"JSON has no number {name}")


def checked_description(data: Mapping[str, Any], known: set[str]) -> dict[str, Any]:
    """Return those fields of a description of an effective tensor that are known, each of the kind that it must be.

    Raises
    ------
    InputError
        With the name of the field.
    """
    if "value" not in data:
        raise InputError("value", sorted(data)[:20], "present in the description of an effective tensor")
    given = {name: entry for name, entry in data.items() if name in known}
    for name, entry in given.items():
        _CHECKS[name](name, entry)
    _check_active(given.get("active_phases", ()), given.get("volume_fractions", {}))
    return given


def _check_active(active: Any, fractions: Mapping[str, float]) -> None:
    """Refuse active phases that have no volume."""
    missing = [name for name in active if name not in fractions]
    if missing:
        raise InputError("active_phases", list(active), f"phases with a volume fraction; {missing[0]!r} has none")
    if active and not sum(fractions[name] for name in active) > 0.0:
        raise InputError("volume_fractions", dict(fractions), "> 0 for the active phases together")


def _matrix(name: str, entry: Any) -> None:
    if isinstance(entry, np.ndarray):
        return
    rows = entry if isinstance(entry, list) else []
    square = rows and all(isinstance(row, list) and len(row) == len(rows) for row in rows)
    if not square or not all(_is_number(number) for row in rows for number in row):
        raise InputError(name, entry, "a square matrix of finite numbers, as a list of rows")


def _is_number(entry: Any) -> bool:
    if isinstance(entry, bool) or not isinstance(entry, (int, float)):
        return False
    try:
        return math.isfinite(float(entry))
    except OverflowError:  # a whole number beyond all floats
        return False


def _absent_or(check: Callable[[str, Any], object]) -> Callable[[str, Any], None]:
    def either(name: str, entry: Any) -> None:
        if entry is not None:
            check(name, entry)

    return either


def _text(name: str, entry: Any) -> None:
    if not isinstance(entry, str):
        raise InputError(name, entry, "a string")


def _kind(name: str, entry: Any) -> None:
    read_kind(entry, name)


def _texts(name: str, entry: Any) -> None:
    if not isinstance(entry, (list, tuple)) or not all(isinstance(item, str) for item in entry):
        raise InputError(name, entry, "a list of strings")


def check_words(name: str, entry: Any) -> None:
    """Refuse what is no table of texts."""
    _table(name, entry)
    for key, text in entry.items():
        _text(f"{name}.{key}", text)


def _flag(name: str, entry: Any) -> None:
    if not isinstance(entry, bool):
        raise InputError(name, entry, "true or false")


def _table(name: str, entry: Any) -> None:
    if not isinstance(entry, Mapping):
        raise InputError(name, entry, "a table")


def _amount(name: str, entry: Any) -> None:
    if not _is_number(entry):
        raise InputError(name, entry, "a finite number >= 0")
    check_number(name, entry, at_least=0.0)


def _amounts(name: str, entry: Any) -> None:
    _table(name, entry)
    for key, number in entry.items():
        _amount(f"{name}.{key}", number)


def _fractions(name: str, entry: Any) -> None:
    _amounts(name, entry)
    for key, number in entry.items():
        check_number(f"{name}.{key}", number, at_most=1.0 + 1e-9)


def _count(name: str, entry: Any) -> None:
    check_integer(name, entry, at_least=0)


# What each field of an effective tensor is in its description.
_CHECKS: Mapping[str, Callable[[str, Any], None]] = {
    "value": _matrix,
    **dict.fromkeys(("lower", "upper"), _absent_or(_matrix)),
    **dict.fromkeys(("unit", "physics", "method", "boundary", "length_unit", "averaged_over"), _text),
    "kind": _kind,
    "plane": _absent_or(_text),
    "volume_fractions": _fractions,
    **dict.fromkeys(("membranes", "seconds"), _amounts),
    **dict.fromkeys(("versions", "config", "coefficients"), _table),
    **dict.fromkeys(("active_phases", "warnings"), _texts),
    **dict.fromkeys(("geometric_error", "roundoff"), _amount),
    **dict.fromkeys(("interface_area", "estimated_error"), _absent_or(_amount)),
    **dict.fromkeys(("dofs", "iterations", "ranks"), _count),
    "reached": _flag,
    "retardation": _amount,
    "conventions": check_words,
}
