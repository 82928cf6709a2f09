"""Keywords that several functions share: a dataclass has their names, order, defaults and meaning, in one place."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Mapping
from dataclasses import MISSING, fields, is_dataclass
from functools import update_wrapper
from typing import Any, ParamSpec, TypeVar

P = ParamSpec("P")
R = TypeVar("R")
F = TypeVar("F", bound=Callable[..., Any])
#: Sections of a docstring that consist of entries.
_LISTS = ("Parameters", "Raises")


def takes(words: type) -> Callable[[F], F]:
    """Show the fields of a dataclass in place of ``**name`` in the signature and in the docstring of a function.

    The function takes ``**name: Unpack[...]`` of a typed dictionary of the same words, and has the entry ``**name`` in
    the parameters of its docstring, where the words of the dataclass are put; those of its bases come last.

    >>> from dataclasses import dataclass
    >>> @dataclass
    ... class Words:
    ...     tolerance: float | None = None
    >>> @takes(Words)
    ... def solve(cell, **words): ...
    >>> print(inspect.signature(solve).parameters["tolerance"])
    tolerance: 'float | None' = None
    """

    def decorate(function: F) -> F:
        own = inspect.signature(function)
        inherited = {field.name for base in words.__mro__[1:] if is_dataclass(base) for field in fields(base)}
        kept = [one for one in own.parameters.values() if one.kind is not one.VAR_KEYWORD]
        given = [
            inspect.Parameter(
                field.name,
                inspect.Parameter.KEYWORD_ONLY,
                default=field.default if field.default is not MISSING else inspect.Parameter.empty,
                annotation=field.type,
            )
            for field in sorted(fields(words), key=lambda field: field.name in inherited)
        ]
        setattr(function, "__signature__", own.replace(parameters=[*kept, *given]))  # noqa: B010
        name = next((one.name for one in own.parameters.values() if one.kind is one.VAR_KEYWORD), "")
        text = inspect.cleandoc(function.__doc__ or "")
        entry = re.compile(rf"^\*\*{name}\n(    .*\n?)+", re.MULTILINE)
        function.__doc__ = entry.sub(lambda _: parameters_of(words), text)
        return function

    return decorate


def inherits(other: Callable[..., Any]) -> Callable[[F], F]:
    """Complete the docstring of a function by that of another one: what holds for both is said once.

    An entry of ``Parameters`` or ``Raises`` that has no text takes the text that it has there, and a section that has
    none the whole section.

    Raises
    ------
    ValueError
        If the other one has no such text either.

    >>> def one(cell):
    ...     '''Solve.
    ...
    ...     Parameters
    ...     ----------
    ...     cell
    ...         The unit cell.
    ...     '''
    >>> @inherits(one)
    ... def two(cell):
    ...     '''Solve twice.
    ...
    ...     Parameters
    ...     ----------
    ...     cell
    ...     '''
    >>> print(two.__doc__.splitlines()[-1])
        The unit cell.
    """
    known = _sections(other)

    def decorate(function: F) -> F:
        parts = []
        for name, text in _sections(function).items():
            whole = _completed(name, text, known.get(name, ""))
            if name and (not whole or (name in _LISTS and not all(body for _, body in _entries(whole)))):
                raise ValueError(f"{function.__name__}: {name} lack a text that {other.__name__} has not either")
            parts.append(f"{name}\n{'-' * len(name)}\n{whole}" if name else whole)
        function.__doc__ = "\n\n".join(parts) + "\n"
        return function

    return decorate


def _sections(function: Callable[..., Any]) -> dict[str, str]:
    """The text of a docstring by headings; what is before the first one has none."""
    parts = re.split(r"^(\w+)\n-{3,}$", inspect.cleandoc(function.__doc__ or ""), flags=re.MULTILINE)
    names, texts = ["", *parts[1::2]], parts[::2]
    return {name: text.strip("\n") for name, text in zip(names, texts, strict=True)}


def _entries(text: str) -> list[tuple[str, str]]:
    """The entries of a section: a line and what is indented below it."""
    found = re.findall(r"^(\S.*)((?:\n(?: .*)?)*)$", text, re.MULTILINE)
    return [(head, body.strip("\n")) for head, body in found]


def _completed(name: str, text: str, other: str) -> str:
    """A section with what another one says of the entries that have no text."""
    if not text:
        return other
    if name not in _LISTS:
        return text
    known = dict(_entries(other))
    return "\n".join(f"{head}\n{body or known.get(head, '')}".rstrip() for head, body in _entries(text))


def parameters_of(words: type) -> str:
    """Return the entries under ``Parameters`` of a docstring."""
    parts = []
    for one in words.__mro__:
        text = inspect.cleandoc(vars(one).get("__doc__") or "") + "\n"
        found = re.search(r"^Parameters\n-+\n(.*?)(?=^\w[^\n]*\n-+\n|\Z)", text, re.MULTILINE | re.DOTALL)
        parts += [found[1].strip() + "\n"] if found is not None and is_dataclass(one) else []
    return "".join(parts)


def part_of(
    function: Callable[P, Any],
    name: str,
    take: Callable[[Any], Any],
    *,
    returns: type[R],
    summary: str,
    fixed: Mapping[str, Any] | None = None,
) -> Callable[P, R]:
    """Return the function with the same parameters that gives a part of what another one gives.

    Parameters
    ----------
    function
        Gives the whole.
    name, summary
        Name and first line of the docstring of the new one; the parameters, errors and notes are those of the other.
    take
        Takes the part.
    returns
        Its class.
    fixed
        Keywords of the other one that it does not take, with their values.
    """
    held: dict[str, Any] = dict(fixed or {})

    def part(*args: P.args, **kwargs: P.kwargs) -> R:
        found: R = take(function(*args, **kwargs | held))
        return found

    update_wrapper(part, function)
    part.__name__ = part.__qualname__ = name
    part.__annotations__ = {**function.__annotations__, "return": returns.__name__}
    shown = inspect.signature(function)
    kept = [one for one in shown.parameters.values() if one.name not in held]
    setattr(part, "__signature__", shown.replace(parameters=kept, return_annotation=returns.__name__))  # noqa: B010
    text = inspect.cleandoc(function.__doc__ or "")
    text = f"{summary}\n" + text.partition("\n")[2]
    text = re.sub(r"^Returns\n-+\n\S.*$", lambda found: f"{found[0].rpartition(chr(10))[0]}\n{returns.__name__}", text,
                  flags=re.MULTILINE)  # fmt: skip
    for word in held:
        text = re.sub(rf"^{word}\n(    .*\n)+", "", text, flags=re.MULTILINE)
    part.__doc__ = text
    return part
