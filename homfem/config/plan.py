"""The plan of a sweep: a config, and the keys of it that vary over a grid, a list or a sample."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field, field_validator

from homfem.config.document import Document, read_document
from homfem.config.table import Check, Missing, Table, choice, integer, parse_table, require_file, text
from homfem.config.varied import Sample, parse_grid, parse_list, parse_sample
from homfem.parameters import InputError

#: More rows than anyone waits for, and few enough to be checked one by one.
MOST_ROWS = 100_000
COMMANDS = {"effective": ("cell", "effective"), "cell": ("cell",), "run": ("macro",)}
"""The commands that a sweep repeats, with the tables that each needs."""


def _config(value: Any) -> str | Document:
    if isinstance(value, dict) and value:
        return value
    return str(text("the path of a TOML file, or its tables under [config]").func(value))  # type: ignore[call-arg]


def _columns(value: Any) -> tuple[str, ...]:
    known = isinstance(value, (list, tuple)) and all(isinstance(entry, str) and entry.strip() for entry in value)
    if not known or not value or len(set(value)) != len(value):
        raise InputError("", value, 'a list of results, each once, such as ["value[0][0]", "relative_gap"]')
    return tuple(value)


class PlanTable(Table):
    """The plan of a sweep: a config, the keys of it that vary, and how its rows are run."""

    config: Annotated[Any, Check(_config, says="the path of a TOML file, or tables")] = Field(
        description="the config that every row changes: the path of a TOML file beside the plan, or its tables"
    )
    """The config that every row changes: the path of a TOML file, sought beside the plan, or its tables."""
    command: Annotated[str, choice(*COMMANDS)] | None = None
    """What is done with each row; by default `run` with a table [macro], else `effective` with one of that name."""
    store: Annotated[str, text("the path of a folder")] = "results"
    """The folder of the results, beside the plan: what is there is not computed again."""
    workers: Annotated[int, integer(at_least=1, at_most=1024)] = 1
    """Processes that run rows at the same time, each with one thread; under MPI its ranks do that instead."""
    ranks: Annotated[int, integer(at_least=1)] = 1
    """Ranks of MPI that share each row."""
    columns: Annotated[tuple[str, ...], Check(_columns, says="a list of names of results")] = ()
    """Results in the table, by their place in the report; by default the value with its bounds, or all numbers."""
    grid: Annotated[Any, Check(parse_grid, says="a table of keys, each with a list or a range")] = Field(default={})
    """Keys of which every combination is run, each with a list or `{ start, stop, number, spacing = "log" }`."""
    list: Annotated[Any, Check(parse_list, says="a table of keys, each with a list or a range")] = Field(default={})
    """Keys that vary together, each with a list or a range, all of one length."""
    sample: Annotated[Any, Check(parse_sample, says="a table with `number`, `seed`, `method` and keys")] | None = None
    """Keys that are drawn: `{ min, max }`, or a distribution; `method` is `latin-hypercube`, `random` or `sobol`."""

    @field_validator("store")
    @classmethod
    def _apart(cls, value: str) -> str:
        if Path(value).suffix in (".toml", ".json"):
            raise InputError("", value, "the path of a folder")
        return value


@dataclass(frozen=True, kw_only=True, slots=True)
class Plan:
    """A checked plan; the values of its rows are not checked yet.

    Parameters
    ----------
    table, document
        The plan, checked, and as it was written.
    base
        The config that every row changes.
    folder
        Where the files of the config are sought from.
    store
        The folder of the results.
    command
        What is done with each row: ``"effective"``, ``"cell"`` or ``"run"``.
    """

    table: PlanTable
    document: Document
    base: Document
    folder: Path
    store: Path
    command: str

    @property
    def paths(self) -> tuple[str, ...]:
        """The keys that vary."""
        drawn = {} if self.table.sample is None else self.table.sample.spreads
        return (*self.table.grid, *self.table.list, *drawn)

    def rows(self) -> list[dict[str, Any]]:
        """Return the value of each key that varies, row by row: the last key of the grid changes fastest."""
        combined = list(itertools.product(*self.table.grid.values()))
        zipped = list(zip(*self.table.list.values(), strict=True)) or [()]
        drawn = [()] if self.table.sample is None else self.table.sample.rows()
        together = itertools.product(combined, zipped, drawn)
        return [dict(zip(self.paths, itertools.chain(*parts), strict=True)) for parts in together]


def parse_plan(value: Mapping[str, Any], folder: Path) -> Plan:
    """Return a checked plan; the config that it names is read.

    Parameters
    ----------
    value
        Tables as TOML gives them.
    folder
        Where the config is sought from, and the store.

    Raises
    ------
    InputError
        For the first thing that is wrong in it, under the path of its key; FileError for a config that is missing.
    """
    table = parse_table(PlanTable, dict(value), "")
    _check_rows(table)
    if isinstance(table.config, str):
        path = require_file("config", table.config, folder)
        base, place = read_document(path), path.parent
    else:
        base, place = table.config, folder
    plan = Plan(
        table=table,
        document=dict(value),
        base=base,
        folder=place,
        store=folder / table.store,
        command=table.command or _command(base, table),
    )
    for key in plan.paths:
        if plan.paths.count(key) > 1:
            raise InputError(key, "twice", "varied in one of [grid], [list] and [sample]")
        if key == "macro.output.folder":
            raise InputError(key, "varied", "absent from the plan", "The store has a folder for each row.")
    return plan


def _check_rows(table: PlanTable) -> None:
    """Refuse a plan without rows, and one with more than can be run."""
    if not (table.grid or table.list or table.sample):
        raise InputError("grid", Missing(), 'given, or list or sample: the keys that vary, such as "cell.edge"')
    lengths = {path: len(values) for path, values in table.list.items()}
    if len(set(lengths.values())) > 1:
        said = ", ".join(f"{path}: {length}" for path, length in lengths.items())
        raise InputError("list", said, "keys with as many values each", "A grid runs every combination.")
    drawn = table.sample.number if isinstance(table.sample, Sample) else 1
    number = math.prod(map(len, table.grid.values())) * max([1, *lengths.values()]) * drawn
    if number > MOST_ROWS:
        raise InputError("grid", f"{number} rows", f"at most {MOST_ROWS} rows in all")


def _command(base: Mapping[str, Any], table: PlanTable) -> str:
    """Return what the tables of a config are for, those that a row adds among them."""
    drawn = {} if table.sample is None else table.sample.spreads
    names = {*base, *(path.split(".")[0] for path in (*table.grid, *table.list, *drawn))}
    return "run" if "macro" in names else "effective" if "effective" in names else "cell"
