"""The TOML file as a plain dictionary: reading it, and setting keys from the command line."""

from __future__ import annotations

import datetime
import json
import os
import re
import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from homfem.parameters import FileError, InputError

Document = dict[str, Any]
_SCALARS = (str, int, float, datetime.date, datetime.time)

#: Tables and lists in tables and lists: more of them than any config has, and far fewer than Python can follow.
DEEPEST = 40
_MANY_KEYS = re.compile(rf"(?<![\w-])(?:[\w-]++\s*+\.\s*+){{{DEEPEST}}}")
_SHALLOW = f"TOML whose tables and lists stand at most {DEEPEST} deep in each other"


def read_document(path: str | Path) -> Document:
    """Return the tables of a TOML file.

    Raises
    ------
    FileError
        If the file is missing, cannot be read, or is not TOML; the message names the line.
    """
    source = Path(path)
    if not os.path.isfile(source):  # unlike Path.is_file false for names that no file can have
        raise FileError("CONFIG", str(path), "a TOML file that exists", "Check the path.")
    try:
        text = source.read_bytes().decode("utf-8")
    except UnicodeDecodeError as error:
        raise FileError("CONFIG", str(path), "text in UTF-8", f"Byte {error.start} is not.") from error
    except OSError as error:
        raise FileError("CONFIG", str(path), "a file that can be read", f"{error.strerror}.") from error
    if _MANY_KEYS.search(text):  # their time and memory in the reader grow with the square
        raise FileError("CONFIG", str(path), _SHALLOW)
    try:
        document = tomllib.loads(text)
        if _is_deep(document):
            raise FileError("CONFIG", str(path), _SHALLOW)
        return document
    except FileError:
        raise
    except tomllib.TOMLDecodeError as error:
        lines = text.splitlines() or [""]
        found = re.search(r"line (\d+)", str(error))
        number = int(found[1]) if found else len(lines)
        line = lines[min(number, len(lines)) - 1].strip()
        raise FileError(f"{source}, line {number}", line, "valid TOML", f"{error}.") from error
    except ValueError as error:  # Python reads no number of more than some thousand digits
        raise FileError("CONFIG", str(path), "TOML with numbers of a sane length", f"{error}.") from error
    except RecursionError as error:
        raise FileError("CONFIG", str(path), _SHALLOW) from error


def plain_document(tables: Mapping[str, Any]) -> Document:
    """Return a copy of tables in the types of TOML: tuples and arrays of numpy become lists, its numbers plain ones.

    Raises
    ------
    InputError
        For a value that TOML does not have, under the path of its key, and for nesting without end.
    """
    result: Document = _plain("", tables, 0)
    return result


def _plain(path: str, entry: Any, depth: int) -> Any:
    if depth > DEEPEST:
        raise InputError(path.split(".")[0], "...", _SHALLOW)
    if isinstance(entry, (np.ndarray, np.generic)):
        entry = entry.tolist()
    if isinstance(entry, Mapping):
        for key in entry:
            if not isinstance(key, str):
                raise InputError(path or "config", key, "a table whose keys are strings")
        return {key: _plain(f"{path}.{key}" if path else key, value, depth + 1) for key, value in entry.items()}
    if isinstance(entry, (list, tuple)):
        return [_plain(f"{path}[{number}]", value, depth + 1) for number, value in enumerate(entry)]
    if entry is None or not isinstance(entry, _SCALARS):
        raise InputError(path, entry, "what TOML has: text, a number, true or false, a date, a list or a table")
    return entry


_BARE = re.compile(r"[A-Za-z0-9_-]+")


def toml_key(name: str) -> str:
    """Return a key as TOML writes it, quoted where it must be."""
    return name if _BARE.fullmatch(name) else json.dumps(name, ensure_ascii=False)


def set_values(
    document: Mapping[str, Any], assignments: Mapping[str, Any] | Iterable[str], *, name: str = "overrides"
) -> Document:
    """Return the document with keys set, in order; the document itself stays.

    Parameters
    ----------
    document
        Tables of a TOML file.
    assignments
        ``{"cell.edge": 0.2}``: values as TOML gives them by a key's path as TOML writes it. Or texts
        ``"cell.edge=0.2"``: such a path, and a TOML value; what is no TOML value is a string, so that
        ``cell.period=2 um`` needs no quotes. ``macro.stimulus.1.amplitude`` leads into a list,
        ``macro.stimulus.amplitude`` into one with a single entry.
    name
        What gave the assignments, for messages.

    Raises
    ------
    InputError
        If an assignment has no ``=``, its path is no TOML key, or it leads through a value that is no table.
    """
    result = _copied(document)
    if isinstance(assignments, Mapping):
        for path, value in assignments.items():
            keys = key_path(str(path), name, str(path), "the path of a key as TOML writes it, such as 'cell.edge'")
            _set(result, keys, _plain(str(path), value, 0), name, str(path))
        return result
    texts = list(assignments) if isinstance(assignments, Iterable) and not isinstance(assignments, str) else None
    if texts is None or not all(isinstance(text, str) for text in texts):
        raise InputError(name, assignments, "a mapping, or a list of texts path.to.key=value")
    for text in texts:
        path, equals, value = text.partition("=")
        if not equals:
            option = "--set " if name == "--set" else ""
            raise InputError(name, text, "of the form path.to.key=value", f"For example {option}cell.edge=0.2.")
        keys = key_path(path, name, text, "path.to.key=value with a path as TOML writes it")
        _set(result, keys, _value(value.strip(), name, text), name, text)
    return result


def _set(document: Document, keys: list[str], value: Any, name: str, whole: str) -> None:
    """Set a key of the document in place; ``name`` and ``whole`` are for messages."""
    table: Any = document
    for depth, key in enumerate(keys):
        known = ".".join(keys[:depth])
        if isinstance(table, list):
            number = int(key) if re.fullmatch(r"\d{1,6}", key) else None
            if number is None and len(table) == 1:
                table = table[0]  # the only one of its kind needs no number
            elif number is None or number >= len(table):
                allowed = f"the path of a key; {known} is a list: {known}.0 to {known}.{len(table) - 1}"
                raise InputError(name, whole, allowed if table else f"the path of a key; {known} is an empty list")
            elif depth + 1 < len(keys):
                table = table[number]
                continue
            else:
                table[number] = value
                break
        if not isinstance(table, dict):
            raise InputError(name, whole, f"the path of a key; {known} is a value, not a table")
        if depth + 1 < len(keys):
            table = table.setdefault(key, {})
        else:
            table[key] = value
    if _is_deep(document):
        raise InputError(name, whole, _SHALLOW)


def key_path(path: str, name: str, text: str, allowed: str) -> list[str]:
    """Return the keys of a path as TOML writes it; ``name``, ``text`` and ``allowed`` are for the message."""
    try:
        parsed: Any = tomllib.loads(f"{path.strip()} = 0")
    except tomllib.TOMLDecodeError as error:
        raise InputError(name, text, allowed) from error
    keys = []
    while isinstance(parsed, dict):
        if len(parsed) != 1:
            raise InputError(name, text, "the path of one key")
        key, parsed = next(iter(parsed.items()))
        keys.append(key)
    return keys


def _value(text: str, name: str, whole: str) -> Any:
    try:
        parsed = tomllib.loads(f"value = {text}")
    except tomllib.TOMLDecodeError:
        return text
    except (ValueError, RecursionError) as error:  # thousands of digits or brackets
        raise InputError(name, whole, "path.to.key=value with a value of a sane length") from error
    return parsed["value"] if len(parsed) == 1 else text


def _is_deep(document: Document) -> bool:
    """Whether tables and lists stand more than :data:`DEEPEST` deep in each other; without recursion."""
    level: list[Any] = [document]
    for _ in range(DEEPEST):
        children = (child for entry in level for child in (entry.values() if isinstance(entry, dict) else entry))
        level = [child for child in children if isinstance(child, (dict, list))]
    return bool(level)


def _copied(entry: Any) -> Any:
    if isinstance(entry, list):
        return [_copied(value) for value in entry]
    return {key: _copied(value) for key, value in entry.items()} if isinstance(entry, Mapping) else entry
