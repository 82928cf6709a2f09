"""What all tables of a config share: strict models, checked types, and errors that name the path of the key."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar, get_args

from pydantic import BaseModel, ConfigDict, PlainValidator, ValidationError

from homfem.parameters import (
    FileError,
    InputError,
    VariableError,
    check_choice,
    check_integer,
    check_number,
    check_tolerance,
    nearest_name,
)
from homfem.quantities import Kind, Quantity, check_unit, parse_quantity


class Table(BaseModel):
    """A table of the config: unknown keys are refused, values do not change."""

    model_config = ConfigDict(extra="forbid", frozen=True, arbitrary_types_allowed=True, defer_build=True)


class Missing:
    """Stands for the value of a key that is not there."""

    def __repr__(self) -> str:
        return "(missing)"


T = TypeVar("T", bound=Table)


@dataclass(frozen=True, slots=True)
class Check(PlainValidator):
    """A validator that says what it allows: in words for the reference of the keys, as JSON Schema for editors."""

    says: str = ""
    schema: Mapping[str, Any] = field(default_factory=dict, compare=False)


def _limits(above: float, below: float, at_least: float, at_most: float) -> str:
    """The limits of a number in words, with a space before them; nothing where there are none."""
    low = f"> {above:g}" if above > -math.inf else f">= {at_least:g}" if at_least > -math.inf else ""
    high = f"< {below:g}" if below < math.inf else f"<= {at_most:g}" if at_most < math.inf else ""
    return " " + " and ".join(filter(None, [low, high])) if low or high else ""


def _limited(above: float, below: float, at_least: float, at_most: float) -> dict[str, float]:
    """The limits of a number in JSON Schema."""
    given = {"exclusiveMinimum": above, "exclusiveMaximum": below, "minimum": at_least, "maximum": at_most}
    return {key: limit for key, limit in given.items() if math.isfinite(limit)}


def number(
    *, above: float = -math.inf, below: float = math.inf, at_least: float = -math.inf, at_most: float = math.inf
) -> Check:
    """Return the validator of a bare number in a range."""

    def check(value: Any) -> float:
        remedy = "It is a pure number, without unit." if isinstance(value, str) else ""
        return check_number("", value, above=above, below=below, at_least=at_least, at_most=at_most, remedy=remedy)

    says = f"a number{_limits(above, below, at_least, at_most)}"
    return Check(check, says=says, schema={"type": "number", **_limited(above, below, at_least, at_most)})


def tolerance_check() -> Check:
    """Return the validator of a tolerance that can be reached."""
    schema = {"type": "number", **_limited(0.0, 1.0, -math.inf, math.inf)}
    return Check(
        lambda value: check_tolerance(value, name=""), says="a number > 0 and < 1, such as 0.01", schema=schema
    )


def integer(*, at_least: int, at_most: int | None = None, example: int | None = None) -> Check:
    """Return the validator of a whole number in a range; ``example`` is one of use."""
    limits = (-math.inf, math.inf, at_least, math.inf if at_most is None else at_most)
    return Check(
        lambda value: check_integer("", value, at_least=at_least, at_most=at_most),
        says=f"a whole number{_limits(*limits)}{'' if example is None else f', such as {example}'}",
        schema={"type": "integer", **_limited(*limits)},
    )


def numbers(what: str) -> Check:
    """Return the validator of a table of bare numbers by name; ``what`` says of what."""

    def check(value: Any) -> dict[str, float]:
        if not isinstance(value, dict) or not value:
            raise InputError("", value, f"a table of {what}")
        remedy = "It is a pure number, without unit."
        return {name: check_number(name, entry, remedy=remedy if isinstance(entry, str) else "")
                for name, entry in value.items()}  # fmt: skip

    schema = {"type": "object", "additionalProperties": {"type": "number"}}
    return Check(check, says=f"a table of {what}", schema=schema)


def choice(*known: str) -> Check:
    """Return the validator of one of several names."""
    says = " or ".join(f'"{name}"' for name in known)
    return Check(lambda value: check_choice("", value, known), says=says, schema={"enum": list(known)})


def table(parse: Callable[[Any, str], Any]) -> Check:
    """Return the validator of a table inside a table; ``parse(value, path)`` names keys from an empty path."""
    return Check(lambda value: parse(value, ""), says="a table", schema={"type": "object"})


def text(allowed: str) -> Check:
    """Return the validator of a string that is not empty; ``allowed`` says what it stands for."""

    def check(value: Any) -> str:
        if not isinstance(value, str) or not value.strip():
            raise InputError("", value, allowed)
        if any(ord(letter) < 32 or 0xD800 <= ord(letter) < 0xE000 for letter in value):  # these no file can hold
            raise InputError("", value, f"{allowed}, without control characters")
        return value

    return Check(check, says=allowed, schema={"type": "string", "pattern": r"\S"})


def flag() -> Check:
    """Return the validator of true or false."""

    def check(value: Any) -> bool:
        if not isinstance(value, bool):
            raise InputError("", value, "true or false")
        return value

    return Check(check, says="true or false", schema={"type": "boolean"})


def quantity(kind: Kind, *, above: float = -math.inf, at_least: float = -math.inf) -> Check:
    """Return the validator of a number with its unit."""
    says = f'{kind.name}{_limits(above, math.inf, at_least, math.inf)}, such as "{kind.example}"'
    schema = {"type": "string", "examples": [kind.example]}
    return Check(
        lambda value: parse_quantity("", value, kind, above=above, at_least=at_least), says=says, schema=schema
    )


def unit(kind: Kind) -> Check:
    """Return the validator of a unit alone."""
    says = f"the unit of {kind.name}, such as {kind.unit!r}"
    return Check(lambda value: check_unit("", value, kind), says=says, schema={"type": "string"})


def tables_by_name(parse: Callable[[Any], Any], what: str) -> Check:
    """Return the validator of a table of tables, such as ``[macro.species.NAME]``; ``parse`` checks each of them."""

    def check(value: Any) -> dict[str, Any]:
        if not isinstance(value, dict) or not value:
            raise InputError("", value, f"a table for each {what}, by its name")
        found = {}
        for name, entry in value.items():
            try:
                found[str(name)] = parse(entry)
            except InputError as error:
                at = f"{name}{error.name}" if error.name.startswith("[") else join(str(name), error.name)
                raise renamed(error, at) from error
        return found

    return Check(check, says=f"a table for each {what}, by its name")


def listed(entry: Callable[[Any], Any], lengths: Sequence[int], allowed: str) -> Check:
    """Return the validator of a list: ``entry`` checks each item, ``lengths`` are the lengths that are allowed."""

    def check(value: Any) -> tuple[Any, ...]:
        if not isinstance(value, (list, tuple)) or len(value) not in lengths:
            raise InputError("", value, allowed)
        return tuple(_item(entry, k, item) for k, item in enumerate(value))

    schema = {"type": "array", "minItems": min(lengths), "maxItems": max(lengths)}
    return Check(check, says=allowed, schema=schema)


def _item(entry: Callable[[Any], Any], index: int, item: Any) -> Any:
    try:
        return entry(item)
    except InputError as error:
        raise renamed(error, f"[{index}]{error.name}") from error


def lengths_of(kind: Kind, value: Any, lengths: Sequence[int], allowed: str) -> tuple[Quantity, ...]:
    """Return a list of quantities > 0, all in the unit of the first one."""
    if not isinstance(value, (list, tuple)) or len(value) not in lengths:
        raise InputError("", value, allowed)
    items = [_item(lambda v: parse_quantity("", v, kind, above=0.0), k, item) for k, item in enumerate(value)]
    return same_unit(items)


def lengths(count: int) -> str:
    """Return how many lengths are allowed, in words."""
    return f"{count} length{'s' * (count > 1)}"


def same_unit(items: Iterable[Quantity]) -> tuple[Quantity, ...]:
    """Return quantities in the unit of the first one."""
    known = list(items)
    return tuple(Quantity(item.to(known[0].unit), known[0].unit) for item in known)


def renamed(error: InputError, name: str) -> InputError:
    """Return the same error under another name of its parameter; an environment variable keeps its own."""
    kept, remedy = error.name if isinstance(error, VariableError) else name, error.remedy
    if isinstance(error, UnknownKeyError) and kept.endswith(error.name):
        above = kept.removesuffix(error.name)
        remedy = remedy.replace("'", f"'{above}", 1) if " " not in above else remedy
    return type(error)(kept, error.value, error.allowed, remedy)


class UnknownKeyError(InputError):
    """A key that is not known; what it says may be meant stands in the same table."""


@contextmanager
def keys_from(keys: Mapping[str, str], path: str = "", written: Mapping[str, Any] | None = None) -> Iterator[None]:
    """Give the errors of a library call the keys of the config that its arguments come from.

    Parameters
    ----------
    keys
        Key by the name of the argument.
    path
        The table of arguments that are not named there; without it their errors stay as they are.
    written
        By the name of an argument, the value of its key: errors show that one, with the unit that the user chose.
    """
    try:
        yield
    except InputError as error:
        known = keys.get(error.name) or (join(path, error.name) if path else "")
        if not known or error.name.startswith(f"{path}."):
            raise
        shown = (written or {}).get(error.name)
        found = renamed(error, known)
        if shown is not None:
            found = type(error)(found.name, str(shown), found.allowed, found.remedy)
        raise found from error


def join(*keys: str) -> str:
    """Return the path of a key from its parts; empty ones are left out."""
    return ".".join(key for key in keys if key)


def require_table(path: str, value: Any) -> dict[str, Any]:
    """Return ``value`` if it is a table, else raise :class:`InputError`."""
    if isinstance(value, Missing):
        raise InputError(path, value, f"given, as a table [{path}]")
    if not isinstance(value, dict):
        raise InputError(path, value, "a table of keys")
    return value


def require_file(name: str, file: str, folder: Path) -> Path:
    """Return the path of a file that the config names, sought from ``folder``; raise :class:`FileError` without it."""
    if not os.path.isfile(folder / file):  # unlike Path.is_file false for names that no file can have
        raise FileError(name, file, "a file that exists", f"It is sought from {str(folder)!r}.")
    return folder / file


def refuse_unknown(path: str, table: Mapping[str, Any], known: Sequence[str]) -> None:
    """Raise :class:`InputError` for the first key that is not known; name the nearest one."""
    for key in table:
        if key not in known:
            raise unknown_key(path, key, table[key], known)


def unknown_key(path: str, key: str, value: Any, known: Sequence[str]) -> UnknownKeyError:
    """Return the error for a key that is not known: its path, its value, the known ones and the nearest."""
    at = join(path, key)
    near = nearest_name(key, known)
    remedy = near.replace("'", f"'{path}.", 1) if path else near
    return UnknownKeyError(at, value, "one of the known keys " + ", ".join(known), remedy)


def parse_table(model: type[T], value: Any, path: str) -> T:
    """Return the validated table.

    Raises
    ------
    InputError
        The first thing that is wrong, under the path of its key; an unknown key comes before anything else, since it is
        often the reason for a missing one.
    """
    table = require_table(path, value)
    try:
        return model.model_validate(table)
    except ValidationError as failure:
        errors = failure.errors(include_url=False)
        unknown = [error for error in errors if error["type"] == "extra_forbidden"]
        raise _input_error(model, table, path, (unknown or errors)[0]) from failure


def _input_error(model: type[Table], table: Mapping[str, Any], path: str, error: Any) -> InputError:
    location = [str(step) for step in error["loc"]]
    at = join(path, *location)
    if error["type"] == "extra_forbidden":
        *above, key = location
        return unknown_key(join(path, *above), key, error["input"], list(_model_at(model, above).model_fields))
    if error["type"] == "missing":
        field = _model_at(model, location[:-1]).model_fields[location[-1]]
        return InputError(at, Missing(), f"given: {field.description}" if field.description else "given")
    if error["type"] in ("model_type", "dict_type"):
        return InputError(at, error["input"], "a table of keys")
    cause = error.get("ctx", {}).get("error")
    if isinstance(cause, InputError):
        inner = cause.name
        return renamed(cause, at + inner if inner.startswith("[") else join(at, inner))
    return InputError(at, error["input"], error["msg"].removeprefix("Input should be ").removeprefix("Value error, "))


def _model_at(model: type[Table], location: Sequence[str]) -> type[Table]:
    """Return the model of the table at a location below ``model``."""
    for key in location:
        annotation = model.model_fields[key].annotation
        candidates = [annotation, *get_args(annotation)]
        model = next(c for c in candidates if isinstance(c, type) and issubclass(c, Table))
    return model
