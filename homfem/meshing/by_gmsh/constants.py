"""The parameters of a ``.geo`` file: numbers by ``DefineConstant`` and ``DefineNumber``, with their names in ONELAB."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from homfem.parameters import InputError, check_number, nearest_name

_HIDDEN = re.compile(r"/\*.*?(?:\*/|\Z)|//[^\n]*|\"[^\"]*(?:\"|\Z)", re.S)
_START = re.compile(r"\bDefineConstant\s*\[|\b([A-Za-z_]\w*)\s*=\s*DefineNumber\s*[\[(]")
_NAME = re.compile(r"\s*([A-Za-z_]\w*)\s*(?:\[\s*\]|\(\s*\))?\s*(=|\Z)")
_ONELAB = re.compile(r"[,{\s]Name\s*(?=\")")


@dataclass(frozen=True, kw_only=True, slots=True)
class Constant:
    """A number that a script lets others set.

    Parameters
    ----------
    name
        The variable.
    onelab
        Its path in ONELAB, such as ``"Cell/1 width"``; empty where it has none.
    early
        Whether a value that it has before counts: by ``DefineConstant``, not by ``DefineNumber``.
    """

    name: str
    onelab: str
    early: bool


def constants_of(path: Path) -> dict[str, Constant]:
    """Return the numbers that a script declares for others to set, by the name of the variable."""
    text = path.read_text(encoding="utf-8", errors="replace")
    # Of the same length, with blanks for comments and for what is in strings.
    bare = _HIDDEN.sub(lambda m: f'"{" " * (len(m[0]) - 2)}"' if m[0][0] == '"' else " " * len(m[0]), text)
    found: dict[str, Constant] = {}
    for match in _START.finditer(bare):
        for start, end in _entries(bare, match.end()):
            entry = bare[start:end]
            name = match[1]
            if name is None:
                own = _NAME.match(entry)
                if own is None or entry[own.end() :].lstrip(" \t\n\r{").startswith('"'):
                    continue  # a string
                name = own[1]
            onelab = _ONELAB.search(entry)
            given = "" if onelab is None else text[start + onelab.end() + 1 :].partition('"')[0]
            if match[1] is None:
                found.setdefault(name, Constant(name=name, onelab=given, early=True))
            elif onelab is not None:
                found.setdefault(name, Constant(name=name, onelab=given, early=False))
                break
    return found


def _entries(bare: str, start: int) -> Iterator[tuple[int, int]]:
    """Yield where the entries of a list in brackets begin and end; of one number all of it."""
    single = bare[:start].rstrip("[( \t").endswith("DefineNumber")
    depth, first = 1, start
    for place in range(start, len(bare)):
        depth += {"[": 1, "{": 1, "(": 1, "]": -1, "}": -1, ")": -1}.get(bare[place], 0)
        if depth == 0:
            yield first, place
            return
        if depth == 1 and bare[place] == "," and not single:
            yield first, place
            first = place + 1


def chosen_constants(path: Path, parameters: Mapping[str, float]) -> tuple[dict[str, float], dict[str, float]]:
    """Return the values to set before a script runs: of variables, and of paths in ONELAB.

    Parameters
    ----------
    path
        The script.
    parameters
        Values by the names of variables or by paths in ONELAB.

    Raises
    ------
    InputError
        For names that the script does not declare, names that mean the same, and values that are no finite numbers.
    """
    known = constants_of(path)
    by_path = {constant.onelab: constant for constant in known.values() if constant.onelab}
    early: dict[str, float] = {}
    late: dict[str, float] = {}
    for key, value in parameters.items():
        constant = known.get(key) or by_path.get(key)
        if constant is None:
            names = ", ".join(known) or "nothing"
            allowed = f"a constant that {path.name} declares by DefineConstant (or a number of ONELAB)"
            near = nearest_name(str(key), [*known, *by_path])
            raise InputError("parameters", key, allowed, f"It declares {names}. {near}".strip())
        number = check_number(f"parameters.{key}", value)
        target, name = (early, constant.name) if constant.early else (late, constant.onelab)
        if name in target:
            raise InputError("parameters", key, f"given once: it is {constant.name} as well")
        target[name] = number
    return early, late
