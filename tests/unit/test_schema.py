"""The schema of a config for editors: it takes what the config takes, and refuses what no table has."""

from __future__ import annotations

import copy
import importlib.util
import json
import re
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest

from homfem.config import MODELS, PHYSICS, SHAPES, make_config
from homfem.config.reference import reference
from homfem.config.schema import as_json, json_schema
from homfem.parameters import InputError
from made_configs import CELL, EFFECTIVE, WAVE

ROOT = Path(__file__).parents[2]
SCHEMA = json_schema()
TYPES: dict[str, Any] = {
    "object": dict, "array": list, "string": str, "boolean": bool, "number": (int, float), "integer": int,
}  # fmt: skip
#: Every word that the schema uses; a new one must be judged below.
WORDS = {
    "$schema", "$defs", "$ref", "title", "description", "default", "examples", "type", "properties", "required",
    "additionalProperties", "items", "oneOf", "anyOf", "not", "const", "enum", "pattern", "minItems", "maxItems",
    "minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum",
}  # fmt: skip


def is_type(value: Any, kind: str) -> bool:
    if kind != "boolean" and isinstance(value, bool):
        return False
    return isinstance(value, TYPES[kind]) or (kind == "integer" and isinstance(value, float) and value.is_integer())


def fits(value: Any, schema: dict[str, Any] | bool) -> bool:
    """Judge a value by the words of JSON Schema 2020-12 that occur here."""
    if isinstance(schema, bool):
        return schema
    assert set(schema) <= WORDS, set(schema) - WORDS
    if "$ref" in schema and not fits(value, SCHEMA["$defs"][schema["$ref"].removeprefix("#/$defs/")]):
        return False
    kinds = schema.get("type", [])
    if kinds and not any(is_type(value, kind) for kind in ([kinds] if isinstance(kinds, str) else kinds)):
        return False
    if isinstance(value, dict):
        known, rest = schema.get("properties", {}), schema.get("additionalProperties", True)
        if not set(schema.get("required", ())) <= set(value):
            return False
        if not all(fits(entry, known.get(key, rest)) for key, entry in value.items()):
            return False
    if isinstance(value, list):
        if not schema.get("minItems", 0) <= len(value) <= schema.get("maxItems", len(value)):
            return False
        if not all(fits(entry, schema.get("items", True)) for entry in value):
            return False
    if isinstance(value, str) and not re.search(schema.get("pattern", ""), value):
        return False
    if is_type(value, "number"):
        low, high = schema.get("exclusiveMinimum"), schema.get("exclusiveMaximum")
        if (low is not None and value <= low) or (high is not None and value >= high):
            return False
        if not schema.get("minimum", value) <= value <= schema.get("maximum", value):
            return False
    return (
        value == schema.get("const", value)
        and ("enum" not in schema or value in schema["enum"])
        and ("not" not in schema or not fits(value, schema["not"]))
        and ("oneOf" not in schema or sum(fits(value, part) for part in schema["oneOf"]) == 1)
        and ("anyOf" not in schema or any(fits(value, part) for part in schema["anyOf"]))
    )


def accepted(document: Any) -> bool:
    plain = fits(document, SCHEMA)
    if importlib.util.find_spec("jsonschema"):
        from jsonschema import Draft202012Validator

        assert Draft202012Validator(SCHEMA).is_valid(document) == plain
    return plain


def pages() -> Any:
    sys.path.insert(0, str(ROOT / "docs"))
    try:
        import pages

        return pages
    finally:
        sys.path.pop(0)


def gallery() -> dict[str, dict[str, Any]]:
    specification = importlib.util.spec_from_file_location("gallery", ROOT / "demos" / "02_cells.py")
    assert specification is not None
    assert specification.loader is not None
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return {name: table for name, (table, _) in module.GALLERY.items()}


def documents() -> dict[str, dict[str, Any]]:
    """Whole configs of the tests, of the pages and of the gallery."""
    found = {"effective": tomllib.loads(CELL + EFFECTIVE), "wave": tomllib.loads(WAVE)}
    for number, (path, block) in enumerate(pages().toml_blocks()):
        document = tomllib.loads(block)
        if set(document) <= set(SCHEMA["properties"]) and "model" in document.get("macro", {"model": ""}):
            found[f"{path.name} {number}"] = document
    return found | {name: {"cell": table} for name, table in gallery().items()}


DOCUMENTS = documents()


@pytest.mark.parametrize("name", DOCUMENTS)
def test_it_takes_the_configs_of_tests_pages_and_gallery(name):
    assert accepted(DOCUMENTS[name])


def test_it_is_a_schema_of_every_table_and_key():
    assert SCHEMA["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    if importlib.util.find_spec("jsonschema"):
        from jsonschema import Draft202012Validator

        Draft202012Validator.check_schema(SCHEMA)
    for table, registry in (("cell", SHAPES), ("effective", PHYSICS), ("macro", MODELS)):
        names = [part["$ref"].rpartition("/")[2] for part in SCHEMA["properties"][table]["oneOf"]]
        assert names == [f"{table}.{name}" for name in registry] + ["cell.file"] * (table == "cell")
    for section in reference():
        if section.name.split(".")[0] not in SCHEMA["properties"]:
            continue  # a plan of a sweep is another document
        known = SCHEMA["$defs"][section.name]["properties"]
        for key in section.keys:
            assert known[key.name]["description"] == key.meaning, (section.name, key.name)
    references = re.findall(r'"\$ref": "#/\$defs/([^"]*)"', as_json())
    assert set(references) == set(SCHEMA["$defs"])


def tables_in(entry: Any) -> list[dict[str, Any]]:
    inner = entry.values() if isinstance(entry, dict) else entry if isinstance(entry, list) else ()
    return [*([entry] if isinstance(entry, dict) else []), *(table for part in inner for table in tables_in(part))]


def test_it_refuses_an_unknown_key_in_every_table():
    """Tables of names (of phases, of sources of a tensor) are free; the config has the last word on them."""
    refused = 0
    for document in (tomllib.loads(CELL + EFFECTIVE), tomllib.loads(WAVE)):
        for number in range(len(tables_in(document))):
            changed = copy.deepcopy(document)
            tables_in(changed)[number]["colour"] = "red"
            if "phases" in changed.get("effective", {}) and "colour" in changed["effective"]["phases"]:
                continue
            with pytest.raises(InputError, match="colour"):
                make_config(changed)
            assert not accepted(changed)
            refused += 1
    assert refused >= 8


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("cell.shape", "three-pip"),
        ("cell.edge", 1.5),
        ("cell.edge", "0.1"),
        ("cell.section", "oval"),
        ("effective.physics", "difusion"),
        ("effective.tolerance", 0.0),
        ("effective.max_dofs", 1.5),
        ("effective.phases", None),
        ("macro.time.end", 3.0),
        ("macro.time.splitting", "lee"),
        ("macro.domain.shape", "ball"),
        ("macro.probes", [{"nam": "a"}]),
        ("macro", {"model": "calcium"}),
    ],
)
def test_it_refuses_what_one_can_see_without_units(path, value):
    document = tomllib.loads(CELL + EFFECTIVE + WAVE)
    *above, key = path.split(".")
    table = document
    for name in above:
        table = table[name]
    if value is None:
        del table[key]
    else:
        table[key] = value
    with pytest.raises(InputError):
        make_config(document)
    assert not accepted(document)


def test_the_command_prints_it_and_the_file_is_current(homfem):
    status, out, _ = homfem("keys", "--schema")
    assert status == 0
    assert json.loads(out) == SCHEMA
    assert (ROOT / "docs" / "homfem.schema.json").read_text() == out, "homfem keys --schema > docs/homfem.schema.json"
    assert homfem("keys", "cell", "--schema")[0] == 2
