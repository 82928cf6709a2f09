"""The rows of a sweep: each a checked config with the name of its result, made before anything runs."""

from __future__ import annotations

import functools
import hashlib
import importlib
import importlib.metadata
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from homfem import __version__
from homfem.config import make_config, plain_document, read_document, renamed, set_values
from homfem.config.plan import COMMANDS, Plan, parse_plan
from homfem.parameters import InputError
from homfem.runs.targets import with_data

PlanSource = str | Path | Mapping[str, Any]
"""The path of a plan, or its tables as a mapping."""

# What a result may change with, and the distribution that says its version.
_VERSIONS = {"dolfinx": "fenics-dolfinx", "petsc4py": "petsc4py", "gmsh": "gmsh"}


@dataclass(frozen=True, kw_only=True, slots=True)
class Row:
    """A row of a sweep.

    Parameters
    ----------
    number
        Its place in the plan, from 1.
    values
        The keys that vary, with the row's values.
    document
        Its whole config, checked.
    key
        The name of its result: a hash of the config, the files that it names, and the versions that matter.
    """

    number: int
    values: Mapping[str, Any]
    document: Mapping[str, Any]
    key: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Prepared:
    """A plan with all its rows checked, and the files that they read, by the keys that name them."""

    plan: Plan
    rows: tuple[Row, ...]
    files: tuple[tuple[str, Path], ...]


def prepare(plan: PlanSource, *, folder: str | Path | None = None) -> Prepared:
    """Return a checked plan with its checked rows; nothing runs, and nothing is written.

    Parameters
    ----------
    plan
        The path of a plan, or its tables as a mapping.
    folder
        Where the config is sought from, and the store; by default the folder of the plan, for a mapping the current
        one.

    Raises
    ------
    InputError
        For the first thing that is wrong in the plan or in the config of a row, which is named.
    """
    if isinstance(plan, (str, Path)):
        try:
            document, place = read_document(plan), Path(plan).parent
        except InputError as error:
            raise renamed(error, "PLAN" if error.name == "CONFIG" else error.name) from error
    elif isinstance(plan, Mapping):
        document, place = plain_document(plan), Path()
    else:
        raise InputError("plan", plan, "the path of a TOML file, or a mapping of its tables")
    if folder is not None and not isinstance(folder, (str, Path)):
        raise InputError("folder", folder, "the path of a folder")
    checked = parse_plan(document, place if folder is None else Path(folder))
    digests = functools.cache(_digest)
    rows, files = [], dict[tuple[str, Path], None]()
    if isinstance(checked.table.config, str):
        files["config", Path(place if folder is None else folder) / checked.table.config] = None
    for number, values in enumerate(checked.rows(), start=1):
        try:
            row, named = _row(checked, number, values, digests)
        except InputError as error:
            raise renamed(error, f"row {number}: {error.name}") from error
        rows.append(row)
        files |= dict.fromkeys(named)
    return Prepared(plan=checked, rows=tuple(rows), files=tuple(files))


def _row(plan: Plan, number: int, values: Mapping[str, Any], digest: Any) -> tuple[Row, list[tuple[str, Path]]]:
    """Return a row, if its config has nothing wrong in it, and the files that it reads."""
    document = set_values(plan.base, values)
    config = make_config(document, folder=plan.folder, needed=COMMANDS[plan.command])
    files = {key: digest(file) for named, path in config.files for key, file in with_data(named, path)}
    said = {"command": plan.command, "config": _without_folder(document), "files": files, "versions": versions()}
    text = json.dumps(said, sort_keys=True, default=str)
    key = hashlib.sha256(text.encode()).hexdigest()[:20]
    return Row(number=number, values=dict(values), document=document, key=key), config.files


def _without_folder(document: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the config without the folder of a macroscale run, in whose place the store is."""
    macro = document.get("macro")
    if not isinstance(macro, dict) or not isinstance(macro.get("output"), dict):
        return document
    output = {key: value for key, value in macro["output"].items() if key != "folder"}
    return {**document, "macro": {**macro, "output": output}}


def _digest(file: Path) -> str:
    with open(file, "rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


@functools.cache
def versions() -> dict[str, str]:
    """Return the versions that a result may change with; those of what is not here are left out."""
    found = {"homfem": __version__}
    for name, distribution in _VERSIONS.items():
        try:
            found[name] = importlib.metadata.version(distribution)
        except importlib.metadata.PackageNotFoundError:
            try:
                found[name] = str(getattr(importlib.import_module(name), "__version__", "unknown"))
            except ImportError:
                continue
    return found
