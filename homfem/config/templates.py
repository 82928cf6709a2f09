"""Commented templates of configs, written from the tables: every key with what it takes and means."""

from __future__ import annotations

import json
import re
import textwrap
from collections.abc import Iterator, Mapping
from typing import Any

from homfem.config.cells import SHAPES
from homfem.config.document import Document, toml_key
from homfem.config.effective import PHYSICS
from homfem.config.macro import MODELS
from homfem.config.models.domains import DOMAINS
from homfem.config.plan import PlanTable
from homfem.config.reference import Key, keys_of
from homfem.config.table import Table
from homfem.parameters import InputError, check_choice

SWEEP = "sweep"
#: The cell of every physics' template.
CELL: Mapping[str, Any] = {
    "shape": "fibre-array",
    "fraction": 0.3,
    "period": "10 um",
    "resolution": 0.1,
    "dimension": 2,
}
_WIDTH = 116
_UNNAMED = "NAME"


def template_names() -> dict[str, str]:
    """Return the names of the templates, with what each is."""
    return (
        {
            one: f"[effective] physics = {name!r}" + (f", {variant}" if variant else "")
            for one, (name, variant) in _physics().items()
        }
        | {name: f"[macro] model = {name!r}" for name in MODELS}
        | {SWEEP: "the plan of a sweep"}
    )


def template(name: str) -> str:
    """Return a config that works, as TOML: every key of its tables, those that may be left out as comments.

    Parameters
    ----------
    name
        A physics of ``[effective]``, or one of its further examples (``"electrodiffusion-double-layer"``); a model of
        ``[macro]``, or ``"sweep"``.

    Raises
    ------
    InputError
        For another name.
    """
    check_choice("NAME", name, list(template_names()))
    command = "run" if name in MODELS else SWEEP if name == SWEEP else "effective"
    lines = [
        f"# {name}.toml, for: homfem {command} {name}.toml",
        "# A key behind a # may be left out; what stands there is its default, or an example.",
    ]
    if name == SWEEP:
        given = {"config": effective_example("diffusion"), "grid": {"cell.fraction": [0.1, 0.2, 0.3]}}
        return "\n".join([*lines, *_table("", PlanTable, given)]) + "\n"
    if name in MODELS:
        model = MODELS[name]
        if model.example_cell is not None:
            lines += ["", *_table("cell", SHAPES[model.example_cell["shape"]], model.example_cell)]
        return "\n".join([*lines, "", *_table("macro", model, {"model": name} | example_of(model))]) + "\n"
    example = effective_example(name)
    shape = SHAPES[example["cell"]["shape"]]
    lines += ["", *_table("cell", shape, example["cell"]), ""]
    return "\n".join([*lines, *_table("effective", PHYSICS[_physics()[name][0]], example["effective"])]) + "\n"


def _physics() -> dict[str, tuple[str, str]]:
    """The templates of physics by name: the physics, and which of its further examples, if it has some."""
    found = {}
    for name, model in PHYSICS.items():
        found[name] = (name, "")
        found |= {f"{name}-{variant}": (name, variant) for variant in model.further_examples}
    return found


def effective_example(template_name: str) -> Document:
    """Return the tables ``[cell]`` and ``[effective]`` of the template of a physics, without what is derived."""
    name, variant = _physics()[template_name]
    model = PHYSICS[name]
    given = model.further_examples[variant] if variant else {"cell": model.example_cell or CELL} | example_of(model)
    own = dict(given)
    return {"cell": dict(own.pop("cell")), "effective": {"physics": name} | own}


def example_of(model: type[Table]) -> Document:
    """Return what a table and those that it is made from give as their example."""
    return {key: value for owner in reversed(model.__mro__) for key, value in vars(owner).get("example", {}).items()}


def _table(path: str, model: type[Table], given: Mapping[str, Any], mark: str = "", several: bool = False) -> list[str]:
    """Return a table with those inside it; ``mark`` before its keys makes it a comment."""
    keys = keys_of(model)
    lines = [f"{mark}[[{path}]]" if several else f"{mark}[{path}]"] if path else []
    inside: list[str] = []
    for key in sorted(keys, key=lambda key: key.name not in ("shape", "physics", "model")):  # these say which table
        at, value = f"{path}.{toml_key(key.name)}".lstrip("."), given.get(key.name)
        if key.tables:
            inside += ["", *_inner(at, key, value, mark)]
        elif isinstance(value, Mapping) and not mark:
            inside += ["", *_told(key), *_values(at, value)]
        else:
            left_out = mark or ("" if key.name in given or key.default == "required" else "#")
            lines += [*_told(key), f"{left_out}{toml_key(key.name)} = {_value(key, given, bool(left_out))}"]
    return [*lines, *inside]


def _inner(path: str, key: Key, value: Any, mark: str) -> Iterator[str]:
    """Yield the tables of a key: as they are given, else what is required of one, else as comments."""
    model, by_name = key.tables[0], key.takes.endswith("by its name")
    yield from _told(key)
    if value is None and (mark or key.default != "required"):
        several = key.takes == "a list of tables"
        path = f"{path}.{_UNNAMED}" if by_name else path
        yield from _table(path, model, {}, "#", several)
        return
    if isinstance(value, list):
        for k, entry in enumerate(value):
            yield from (
                ["", *_table(path, model, entry, several=True)] if k else _table(path, model, entry, several=True)
            )
        return
    for name, entry in value.items() if by_name else [("", value or {})]:
        at = f"{path}.{toml_key(name)}" if name else path
        own = DOMAINS.get(entry.get("shape", ""), model) if isinstance(entry, Mapping) else model
        yield from _table(at, own, entry if not isinstance(entry, str) else {})


def _values(path: str, table: Mapping[str, Any]) -> Iterator[str]:
    """Yield a table whose keys the user names; tables of tables stand each on its own."""
    plain = {key: value for key, value in table.items() if not (isinstance(value, Mapping) and path == "config")}
    if plain:
        yield f"[{path}]"
        yield from (f"{toml_key(key)} = {as_toml(value)}" for key, value in plain.items())
    for key, value in table.items():
        if key not in plain:
            yield from _nested(f"{path}.{toml_key(key)}", value)


def _nested(path: str, table: Mapping[str, Any]) -> Iterator[str]:
    """Yield a table of a config and those inside it."""
    yield f"[{path}]"
    yield from (f"{toml_key(key)} = {as_toml(value)}" for key, value in table.items() if not isinstance(value, Mapping))
    for key, value in table.items():
        if isinstance(value, Mapping):
            yield from _nested(f"{path}.{toml_key(key)}", value)


def _told(key: Key) -> list[str]:
    """Return what a key means and takes, as comments; nothing for the key that says which table it is."""
    if not key.meaning:
        return []
    default = f"default {key.default}" if key.default not in ("", "required") else key.default
    takes = "; ".join(part for part in (key.takes, default) if part)
    text = f"{key.meaning} ({takes})" if takes else key.meaning
    wrapper = textwrap.TextWrapper(_WIDTH, "# ", "#   ", break_long_words=False, break_on_hyphens=False)
    return wrapper.wrap(text)


def _value(key: Key, given: Mapping[str, Any], left_out: bool) -> str:
    """Return the value of a key: the one that is given, the default, or an example of what it takes."""
    if key.name in given:
        return as_toml(given[key.name])
    value = key.default if key.default not in ("", "required") else sample_of(key.takes)
    if not value and not left_out:
        remedy = "Give the table an example of it."
        raise InputError("example", "(missing)", f"given for the required key {key.name!r}", remedy)
    return value or "..."


def sample_of(says: str) -> str:
    """Return an example of what a check says that it takes, as TOML; empty where it does not tell.

    >>> sample_of('a time > 0, such as "20 ms"'), sample_of("a number > 0 and < 1"), sample_of('"none" or "auto"')
    ('"20 ms"', '0.5', '"none"')
    """
    if found := re.search(r"such as (\"[^\"]*\"|'[^']*'|\[[^]]*\]|[\d.e+-]*\d)", says):
        return found[1].replace("'", '"')
    if found := re.match(r'"[^"]*"(?= or |$)', says):
        return found[0]
    if says == "true or false":
        return "true"
    limits = {sign: float(limit) for sign, limit in re.findall(r"([<>]=?) (-?[\d.e+-]+)", says)}
    low, high = (limits.get(sign, limits.get(f"{sign}=")) for sign in "><")
    if says.startswith("a whole number"):
        return f"{int(low or 1) if '>=' in limits else int(low or 0) + 1}"
    if says.startswith("a number"):
        return f"{(low or 0.0) + 1.0 if high is None else 0.5 * ((low or 0.0) + high)}"
    return ""


def as_toml(value: Any) -> str:
    """Return a value as TOML."""
    if isinstance(value, Mapping):
        return "{ " + ", ".join(f"{toml_key(key)} = {as_toml(entry)}" for key, entry in value.items()) + " }"
    if isinstance(value, (list, tuple)):
        return f"[{', '.join(map(as_toml, value))}]"
    if isinstance(value, bool):
        return str(value).lower()
    return json.dumps(value, ensure_ascii=False) if isinstance(value, str) else repr(value)
