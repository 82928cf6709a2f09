"""The TOML file as a plain dictionary: reading it, and setting keys from the command line."""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from homfem.parameters import FileError, InputError

Document = dict[str, Any]

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


def set_values(document: Document, assignments: Iterable[str]) -> Document:
    """Return the document with ``path=value`` assignments carried out, in order; the document itself stays.

    Parameters
    ----------
    document
        Tables of a TOML file.
    assignments
        ``"cell.edge=0.2"``: a key's path as TOML writes it, and a TOML value; what is no TOML value is a string, so
        that ``cell.period=2 um`` needs no quotes.

    Raises
    ------
    InputError
        If an assignment has no ``=``, its path is no TOML key, or it leads through a value that is no table.
    """
    result = _copied(document)
    for text in assignments:
        path, equals, value = text.partition("=")
        if not equals:
            raise InputError("--set", text, "of the form path.to.key=value", "For example --set cell.edge=0.2.")
        table: Any = result
        keys = _keys(path, text)
        for depth, key in enumerate(keys[:-1]):
            table = table.setdefault(key, {})
            if not isinstance(table, dict):
                known = ".".join(keys[: depth + 1])
                raise InputError("--set", text, f"the path of a key; {known} is a value, not a table")
        table[keys[-1]] = _value(value.strip(), text)
        if _is_deep(result):
            raise InputError("--set", text, _SHALLOW)
    return result


def _keys(path: str, text: str) -> list[str]:
    try:
        parsed: Any = tomllib.loads(f"{path.strip()} = 0")
    except tomllib.TOMLDecodeError as error:
        raise InputError("--set", text, "path.to.key=value with a path as TOML writes it") from error
    keys = []
    while isinstance(parsed, dict):
        if len(parsed) != 1:
            raise InputError("--set", text, "one assignment path.to.key=value")
        key, parsed = next(iter(parsed.items()))
        keys.append(key)
    return keys


def _value(text: str, whole: str) -> Any:
    try:
        parsed = tomllib.loads(f"value = {text}")
    except tomllib.TOMLDecodeError:
        return text
    except (ValueError, RecursionError) as error:  # thousands of digits or brackets
        raise InputError("--set", whole, "path.to.key=value with a value of a sane length") from error
    return parsed["value"] if len(parsed) == 1 else text


def _is_deep(document: Document) -> bool:
    """Whether tables and lists stand more than :data:`DEEPEST` deep in each other; without recursion."""
    level: list[Any] = [document]
    for _ in range(DEEPEST):
        children = (child for entry in level for child in (entry.values() if isinstance(entry, dict) else entry))
        level = [child for child in children if isinstance(child, (dict, list))]
    return bool(level)


def _copied(entry: Any) -> Any:
    return {key: _copied(value) for key, value in entry.items()} if isinstance(entry, dict) else entry
