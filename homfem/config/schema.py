"""The tables of a config as a JSON Schema (2020-12), for editors that complete and check what one writes.

It knows every key of every table, and the type and limits of its value where one JSON type says them. It takes all that
the config takes, and refuses unknown keys; units, files and what keys ask of each other are left to the config.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, get_origin

from pydantic.fields import FieldInfo

from homfem.config.cells import SHAPES
from homfem.config.effective import PHYSICS
from homfem.config.macro import MODELS
from homfem.config.models.domains import DOMAINS, DomainTable, FileDomain
from homfem.config.reference import meaning_of, parts_of, sentence_of, tables_of
from homfem.config.shapes.files import FileCell
from homfem.config.table import Check, Table
from homfem.quantities import Quantity

Schema = dict[str, Any]


def json_schema() -> Schema:
    """Return the schema of a config.

    Example
    -------
    >>> sorted(json_schema()["properties"])
    ['cell', 'effective', 'macro']
    """
    known: Schema = {}
    tables = {
        "cell": _one_of(known, "cell", "shape", SHAPES, FileCell),
        "effective": _one_of(known, "effective", "physics", PHYSICS),
        "macro": _one_of(known, "macro", "model", MODELS),
    }
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "A config of homfem",
        "type": "object",
        "properties": tables,
        "additionalProperties": False,
        "$defs": known,
    }


def as_json() -> str:
    """Return the schema as text."""
    return json.dumps(json_schema(), indent=1, ensure_ascii=False)


def _one_of(
    known: Schema, table: str, key: str, registry: Mapping[str, type[Table]], file: type[Table] | None = None
) -> Schema:
    """Return the schema of a table that one of its keys tells apart; without that key it is one of a file."""
    choices = [_refer(known, f"{table}.{name}", model, {key: name}) for name, model in registry.items()]
    return {"oneOf": [*choices, *([_refer(known, f"{table}.file", file, {})] if file is not None else [])]}


def _refer(known: Schema, name: str, model: type[Table], fixed: Mapping[str, str]) -> Schema:
    """Return a reference to the schema of a table, which is made at its first use."""
    if name not in known:
        known[name] = {}  # a table that holds itself ends here
        known[name] = _table(known, name, model, fixed)
    return {"$ref": f"#/$defs/{name}"}


def _table(known: Schema, name: str, model: type[Table], fixed: Mapping[str, str]) -> Schema:
    properties: Schema = {}
    required = list(fixed)
    for key, field in model.model_fields.items():
        if key in fixed:
            properties[key] = {"const": fixed[key]}
            continue
        told = meaning_of(model, key, field)
        properties[key] = {**_value(known, f"{name}.{key}", field), **({"description": told} if told else {})}
        default = field.default
        if isinstance(default, (bool, int, float, str, Quantity)):
            properties[key]["default"] = str(default) if isinstance(default, Quantity) else default
        if field.is_required():
            required.append(key)
    told = sentence_of(model.__doc__ or "")
    schema = {"type": "object", "properties": properties, "required": required, "additionalProperties": False}
    return {"description": told, **schema}


def _value(known: Schema, name: str, field: FieldInfo) -> Schema:
    """Return the schema of a value: of the tables that it may be, and of its type where that is one."""
    checks = [part for part in parts_of(field) if isinstance(part, Check)]
    tables = tables_of(field)
    if not tables:
        absent = field.annotation is type(None)
        return {"not": {}} if absent else dict(checks[0].schema) if checks else {}
    if issubclass(tables[0], DomainTable):
        return _one_of(known, name, "shape", DOMAINS, FileDomain)
    options = [_refer(known, name if len(tables) == 1 else f"{name}.{t.__name__}", t, {}) for t in tables]
    inner = options[0] if len(options) == 1 else {"anyOf": options}
    origin = get_origin(field.annotation)
    if isinstance(origin, type) and issubclass(origin, Mapping):
        return {"type": "object", "additionalProperties": inner}
    if not checks:
        return inner
    return {"anyOf": [inner, {"type": "array", "items": inner}, {"not": {"type": ["object", "array"]}}]}
