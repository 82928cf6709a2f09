"""The reference of the configuration, read off its tables: every key, what it takes, its default, what it means."""

from __future__ import annotations

import ast
import functools
import inspect
import itertools
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, get_args

from pydantic.fields import FieldInfo

from homfem.config.cells import SHAPES
from homfem.config.effective import PHYSICS
from homfem.config.macro import MODELS
from homfem.config.models.domains import DOMAINS, DomainTable, FileDomain
from homfem.config.physics.methods import METHODS, Method
from homfem.config.plan import PlanTable
from homfem.config.shapes.files import FileCell
from homfem.config.table import Check, Table
from homfem.parameters import check_choice
from homfem.quantities import Quantity


@dataclass(frozen=True, kw_only=True, slots=True)
class Key:
    """A key of a table.

    Parameters
    ----------
    name
        The key.
    takes
        What its value may be, with the kind of its unit.
    default
        Its default as TOML writes it; ``required``, or empty where there is none.
    meaning
        What it means.
    tables
        The tables that it holds.
    """

    name: str
    takes: str
    default: str
    meaning: str
    tables: tuple[type[Table], ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class Section:
    """A table of the config.

    Parameters
    ----------
    name
        Its path, with the shape, physics or model that it is of: ``cell.three-pipe``, ``macro.calcium.time``.
    header
        How it begins in a config.
    meaning
        What it is.
    keys
        Its keys.
    """

    name: str
    header: str
    meaning: str
    keys: tuple[Key, ...]


def reference(name: str = "") -> list[Section]:
    """Return the tables of the config whose names or headers begin with ``name``, all by default.

    Of tables that several models share alike, one is given where their header is asked for.

    Raises
    ------
    InputError
        If there is no such table.
    """
    sections = [
        *_sections("cell.file", "[cell]", FileCell),
        *(part for shape, table in SHAPES.items() for part in _kind("cell", "shape", shape, table)),
        *(part for physics, table in PHYSICS.items() for part in _kind("effective", "physics", physics, table)),
        *(part for model, table in MODELS.items() for part in _kind("macro", "model", model, table)),
        *_sections("sweep", "PLAN.toml of homfem sweep", PlanTable),
    ]
    found = [
        part
        for part in sections
        if not name or any(f"{at}.".startswith(f"{name}.") for at in (part.name, part.header[1:].partition("]")[0]))
    ]
    if not found:
        check_choice("TABLE", name, ["cell", "effective", "macro", *(part.name for part in sections)])
    alike = {(part.header, part.meaning, part.keys): part for part in reversed(found)}
    return [part for part in found if not name or alike[part.header, part.meaning, part.keys] is part]


def as_markdown(sections: list[Section]) -> str:
    """Return the tables as Markdown."""
    lines: list[str] = []
    for section in sections:
        lines += [f"## `{section.header}`", "", section.meaning, "", "| key | value | default | meaning |"]
        lines += ["|---|---|---|---|"]
        for key in section.keys:
            default = key.default if key.default in ("", "required") else f"`{key.default}`"
            cells = (f"`{key.name}`", key.takes, default, key.meaning)
            lines.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
        lines.append("")
    return "\n".join(lines).rstrip()


def _kind(table: str, key: str, name: str, model: type[Table]) -> Iterator[Section]:
    yield from _sections(f"{table}.{name}", f'[{table}] {key} = "{name}"', model, f"[{table}")


def meaning_of(model: type[Table], key: str, field: FieldInfo) -> str:
    """Return what a key of a table means."""
    return sentence_of(f"{meanings_of(model).get(key) or field.description or ''}{owners_of(model, key)}")


def _sections(name: str, header: str, model: type[Table], place: str = "") -> Iterator[Section]:
    """Yield a table and those inside it; ``place`` begins the headers of these."""
    told = [key for key in ("shape", "physics", "model") if header.partition(f" {key} = ")[1]]
    keys = tuple(entry for entry in keys_of(model) if entry.name not in told)
    yield Section(name=name, header=header, meaning=sentence_of(inspect.getdoc(model) or ""), keys=keys)
    for key, table in ((entry.name, table) for entry in keys for table in entry.tables):
        at = f"{place or header.rstrip(']')}.{key}"
        if issubclass(table, DomainTable):
            yield from _sections(f"{name}.{key}.file", f"{at}]", FileDomain, at)
            for shape, domain in DOMAINS.items():
                yield from _sections(f"{name}.{key}.{shape}", f'{at}] shape = "{shape}"', domain, at)
        else:
            yield from _sections(f"{name}.{key}", f"{at}]", table, at)


def keys_of(model: type[Table]) -> tuple[Key, ...]:
    """Return the keys of a table, not of those inside it."""
    return tuple(
        Key(
            name=key,
            takes=_takes(field),
            default=_default(field),
            meaning=meaning_of(model, key, field),
            tables=tuple(tables_of(field)),
        )
        for key, field in model.model_fields.items()
    )


def parts_of(field: FieldInfo) -> Iterator[Any]:
    """Yield what the annotation of a field is made of: validators and types."""
    pending: list[Any] = [*field.metadata, field.annotation]
    while pending:
        part = pending.pop(0)
        yield part
        pending += [*getattr(part, "__metadata__", ()), *get_args(part)]


def tables_of(field: FieldInfo) -> list[type[Table]]:
    """Return the tables that a field may hold, but for those that say where a tensor comes from."""
    sources = ("FileTensor", "MeasuredTensor", "ComputedTensor")  # told in words
    return list(
        dict.fromkeys(
            part
            for part in parts_of(field)
            if isinstance(part, type) and issubclass(part, Table) and part.__name__ not in sources
        )
    )


def _takes(field: FieldInfo) -> str:
    said = [part.says for part in parts_of(field) if isinstance(part, Check) and part.says]
    if said:
        return said[0]
    return "a table" if tables_of(field) else "absent" if field.annotation is type(None) else ""


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "required"
    return "" if isinstance(field.default, Table) else _as_toml(field.default)


def _as_toml(value: Any) -> str:
    if value is None or value in ((), {}):
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, tuple):
        written = [_as_toml(entry) for entry in value]
        return written[0] if len(written) == 1 else f"[{', '.join(written)}]"
    if isinstance(value, (str, Quantity)):
        return f'"{value}"'
    return str(value)


def owners_of(model: type[Table], key: str) -> str:
    """Tell which methods have a key that not all of them have."""
    owners = [f"`{name}`" for name, section in METHODS.items() if key in section.model_fields]
    if not issubclass(model, Method) or len(owners) in (0, len(METHODS)):
        return ""
    return f" Method {' or '.join(owners)}."


@functools.cache
def meanings_of(model: type[Table]) -> dict[str, str]:
    """Return the string that stands below each key in the source of a table."""
    told: dict[str, str] = {}
    for owner in reversed(model.__mro__):
        if not issubclass(owner, Table) or owner.__module__ == Table.__module__:
            continue
        try:
            (tree,) = ast.parse(textwrap.dedent(inspect.getsource(owner))).body
        except (OSError, TypeError):  # a class that was made, not written
            continue
        body = tree.body if isinstance(tree, ast.ClassDef) else []
        for line, below in itertools.pairwise(body):
            text = below.value.value if isinstance(below, ast.Expr) and isinstance(below.value, ast.Constant) else None
            if isinstance(line, ast.AnnAssign) and isinstance(line.target, ast.Name) and isinstance(text, str):
                told[line.target.id] = text
    return told


def sentence_of(text: str) -> str:
    """Return a text in one line, with a capital and a full stop, without the marks of Sphinx."""
    line = " ".join(text.split()).replace("``", "`")
    for mark in (":mod:", ":func:", ":class:", ":attr:"):
        line = line.replace(mark, "")
    line = line[:1].upper() + line[1:]
    return line if not line or line.endswith((".", ":")) else f"{line}."
