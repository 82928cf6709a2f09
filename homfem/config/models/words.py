"""Words of other codes that mean the same as keys of ours: they are read as these, and errors name what was written."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from homfem.config.table import renamed
from homfem.parameters import InputError

Path = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Word:
    """A key of others: where it stands, where ours does, and how its value becomes ours."""

    theirs: Path
    ours: Path
    change: Callable[[Any], Any] = lambda value: value


@dataclass(frozen=True, slots=True)
class Translated:
    """A table in our words, and what was written, by the paths of our keys."""

    table: dict[str, Any]
    written: Mapping[str, str]

    def told(self, error: InputError, path: str) -> InputError:
        """Return an error under the keys that were written."""
        for ours, theirs in self.written.items():
            for end in ("", ".", "["):
                begin = f"{path}.{ours}{end}"
                if error.name == begin or (end and error.name.startswith(begin)):
                    return renamed(error, f"{path}.{theirs}{error.name.removeprefix(f'{path}.{ours}')}")
        return error


def translated(table: Mapping[str, Any], words: tuple[Word, ...], path: str) -> Translated:
    """Return a table with our keys in place of those of others.

    Raises
    ------
    InputError
        Where both words for one thing are given.
    """
    found: dict[str, Any] = copy.deepcopy(dict(table))
    written: dict[str, str] = {}
    for word in words:
        key = word.theirs[-1]
        for at, inner in _places(found, word.theirs):
            if key not in inner:
                continue
            value = inner.pop(key)
            there = inner if word.ours[:-1] == word.theirs[:-1] else _made(found, word.ours[:-1])
            if word.ours[-1] in there:
                shown = f"{path}.{at}{key}"
                raise InputError(shown, value, f"absent beside {'.'.join(word.ours)}: both mean the same")
            try:
                there[word.ours[-1]] = word.change(value)
            except InputError as error:
                raise renamed(error, f"{path}.{at}{key}") from error
            ours = at if word.ours[:-1] == word.theirs[:-1] else ".".join([*word.ours[:-1], ""])
            written[f"{ours}{word.ours[-1]}"] = f"{at}{key}"
    return Translated(found, written)


def _places(table: dict[str, Any], keys: Path) -> list[tuple[str, dict[str, Any]]]:
    """Return the tables in which the last of the keys may stand, each with its path that ends in a dot."""
    places: list[tuple[str, Any]] = [("", table)]
    for key in keys[:-1]:
        inside = [(f"{at}{key}", inner[key]) for at, inner in places if isinstance(inner, dict) and key in inner]
        places = []
        for at, inner in inside:
            if isinstance(inner, list):
                several = len(inner) > 1
                places += [(f"{at}[{k}]." if several else f"{at}.", entry) for k, entry in enumerate(inner)]
            else:
                places.append((f"{at}.", inner))
    return [(at, inner) for at, inner in places if isinstance(inner, dict)]


def _made(table: dict[str, Any], keys: Path) -> dict[str, Any]:
    """Return the table at keys, made where it is not there."""
    for key in keys:
        inner = table.setdefault(key, {})
        if not isinstance(inner, dict):
            raise InputError(".".join(keys), inner, "a table of keys")
        table = inner
    return table
