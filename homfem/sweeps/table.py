"""The table of a sweep: the keys that vary and the results, row by row, with their units."""

from __future__ import annotations

import csv
import io
import json
import math
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from homfem.config.varied import in_one_unit
from homfem.disk import write_text
from homfem.parameters import InputError, UnitError, nearest_name
from homfem.quantities import conversion_factor
from homfem.sweeps.rows import Prepared, Row, versions

_TENSOR = ("value[0][0]", "lower[0][0]", "upper[0][0]", "relative_gap")
_ASIDE = ("config", "versions", "seconds", "units", "tensors", "ranks", "order", "dimension")  # of a report
_STEP = re.compile(r'\.?"([^"]+)"|\.?([^.\[\]"]+)|\[(\d+)\]')
_STATUSES = ("done", "short", "failed", "missing")


@dataclass(frozen=True, kw_only=True, slots=True)
class Column:
    """A column of the table.

    Parameters
    ----------
    name
        The key that varies, or the result.
    unit
        Its unit; empty for pure numbers and text, and where the rows have units of different dimensions.
    values
        One for each row; None where there is none.
    """

    name: str
    unit: str
    values: tuple[Any, ...]

    @property
    def title(self) -> str:
        """Its name with its unit."""
        return f"{self.name} [{self.unit}]" if self.unit else self.name


@dataclass(frozen=True, kw_only=True, slots=True)
class SweepTable:
    """What a sweep found.

    Parameters
    ----------
    keys, columns
        The keys that vary; the results.
    statuses
        Of each row: done, short (of its tolerance), failed, or missing (not run yet).
    messages
        Of each row: why it failed; else empty.
    seconds
        Of each row; None where it is missing.
    rows
        What was asked for.
    plan
        The plan as it was written.
    """

    keys: tuple[Column, ...]
    columns: tuple[Column, ...]
    statuses: tuple[str, ...]
    messages: tuple[str, ...]
    seconds: tuple[float | None, ...]
    rows: tuple[Row, ...]
    plan: Mapping[str, Any]

    def _named(self, name: str) -> Column:
        known = {entry.name: entry for entry in (*self.keys, *self.columns)}
        if name not in known:
            raise InputError("name", name, "one of " + ", ".join(known), nearest_name(name, list(known)))
        return known[name]

    def column(self, name: str) -> list[Any]:
        """Return the values of a column, row by row; raise :class:`InputError` for one that is not there."""
        return list(self._named(name).values)

    def unit(self, name: str) -> str:
        """Return the unit of a column."""
        return self._named(name).unit

    @property
    def counts(self) -> dict[str, int]:
        """How many rows have each status; those that none has are left out."""
        found = Counter(self.statuses)
        return {status: found[status] for status in _STATUSES if found[status]}

    @property
    def status(self) -> int:
        """Exit status of the command: 1 with rows that failed or are missing, else 3 with rows that are short."""
        found = self.counts
        return 1 if found.keys() & {"failed", "missing"} else 3 if "short" in found else 0

    def to_dict(self) -> dict[str, Any]:
        """Return it as plain values: what ``--json`` writes."""
        return {
            "keys": [{"name": entry.name, "unit": entry.unit} for entry in self.keys],
            "columns": [{"name": entry.name, "unit": entry.unit} for entry in self.columns],
            "counts": self.counts,
            "rows": [
                {
                    "row": row.number,
                    "status": self.statuses[k],
                    "values": {entry.name: entry.values[k] for entry in self.keys},
                    "results": {entry.name: entry.values[k] for entry in self.columns},
                    "seconds": self.seconds[k],
                    "message": self.messages[k],
                    "key": row.key,
                }
                for k, row in enumerate(self.rows)
            ],
            "versions": versions(),
            "plan": dict(self.plan),
        }

    def to_csv(self, path: str | Path | None = None) -> str:
        """Return the table as comma-separated values with a line of titles, and write it to ``path`` if given."""
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(
            ["row", *(entry.title for entry in (*self.keys, *self.columns)), "status", "seconds", "message"]
        )
        for k, row in enumerate(self.rows):
            cells = [_cell(entry.values[k], repr) for entry in (*self.keys, *self.columns)]
            writer.writerow([row.number, *cells, self.statuses[k], _cell(self.seconds[k], repr), self.messages[k]])
        if path is not None:
            write_text(path, text.getvalue())
        return text.getvalue()

    def __str__(self) -> str:
        columns = [["row", *(str(row.number) for row in self.rows)]]
        for entry in (*self.keys, *self.columns):
            columns.append([entry.title, *(_cell(value, "{:.6g}".format) for value in entry.values)])
        columns.append(["status", *self.statuses])
        widths = [max(map(len, column)) for column in columns]
        lines = [
            "  ".join(cell.ljust(width) if column is columns[-1] else cell.rjust(width)
                      for cell, width, column in zip(line, widths, columns, strict=True)).rstrip()
            for line in zip(*columns, strict=True)
        ]  # fmt: skip
        lines += [f"row {row.number}: {said}" for row, said in zip(self.rows, self.messages, strict=True) if said]
        counted = ", ".join(f"{number} {status}" for status, number in self.counts.items())
        return "\n".join([*lines, f"{len(self.rows)} rows: {counted}"])


def _cell(value: Any, number: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, float):
        return str(number(value))
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def make_table(ready: Prepared, records: Mapping[str, Mapping[str, Any]]) -> SweepTable:
    """Return the table of a plan from what is stored, by the keys of the rows.

    Raises
    ------
    InputError
        For a column that no report has.
    """
    found = [records.get(row.key, {}) for row in ready.rows]
    reports = [record.get("report") for record in found]
    keys = []
    for path in ready.plan.paths:
        values, unit = in_one_unit([row.values[path] for row in ready.rows])
        keys.append(Column(name=path, unit=unit, values=tuple(values)))
    names = ready.plan.table.columns or _usual(reports)
    return SweepTable(
        keys=tuple(keys),
        columns=tuple(_column(name, reports) for name in names),
        statuses=tuple(record.get("status", "missing") for record in found),
        messages=tuple(record.get("message", "") for record in found),
        seconds=tuple(record.get("seconds") for record in found),
        rows=ready.rows,
        plan=ready.plan.document,
    )


def _usual(reports: Sequence[Mapping[str, Any] | None]) -> tuple[str, ...]:
    """Return the results that are shown if none are named: a tensor's first entry, or all plain numbers."""
    report = next((report for report in reports if report is not None), None)
    if report is None:
        return ()
    if "relative_gap" in report or "results" in report:
        several = [f"results[{k}]." for k in range(len(report["results"]))] if "results" in report else [""]
        usual = [f"{before}{name}" for before in several for name in (*_TENSOR, "rate")]
        return tuple(name for name in usual if any(_has(entry, name) for entry in reports if entry))
    return tuple(dict.fromkeys(name for entry in reports if entry for name in _numbers(entry)))


def _has(report: Mapping[str, Any], name: str) -> bool:
    """Whether a report has a result, and a value of it."""
    return _picked(report, _steps(name), None) is not None


def _places(report: Mapping[str, Any], above: str = "") -> Iterator[str]:
    """Yield the names of all results of a report, the lists whole."""
    for name, value in report.items():
        at = f"{above}.{name}" if above else name
        if isinstance(value, Mapping) and name not in _ASIDE:
            yield from _places(value, at)
        else:
            yield at


def _numbers(report: Mapping[str, Any], above: str = "") -> Iterator[str]:
    """Yield the names of the numbers of a report that are no entries of lists."""
    for name, value in report.items():
        at = f'"{name}"' if re.search(r'[.\[\]"]', name) else name
        at = f"{above}.{at}" if above else at
        if isinstance(value, Mapping) and name not in _ASIDE:
            yield from _numbers(value, at)
        elif isinstance(value, (int, float)) and not isinstance(value, bool) and name not in _ASIDE:
            yield at


def _column(name: str, reports: Sequence[Mapping[str, Any] | None]) -> Column:
    """Return a result of all rows, in the unit of the first row that has it."""
    steps = _steps(name)
    missing = object()
    picked = [missing if report is None else _picked(report, steps, missing) for report in reports]
    there = [value for value in picked if value is not missing]
    if not there and any(report is not None for report in reports):
        known = sorted({known for report in reports if report for known in (*report, *_places(report))} - {"config"})
        remedy = nearest_name(name, known)
        raise InputError("columns", name, "a result that the rows have, such as " + ", ".join(known[:40]), remedy)
    values = [None if value is missing else _finite(value) for value in picked]
    units = [_unit(report, steps) if value is not None else "" for report, value in zip(reports, values, strict=True)]
    unit = next((unit for unit, value in zip(units, values, strict=True) if value is not None), "")
    try:
        values = [
            value * conversion_factor(own, unit) if isinstance(value, float) and own != unit else value
            for own, value in zip(units, values, strict=True)
        ]
    except UnitError:  # rows of different physics
        values = [
            f"{value:.10g} {own}".rstrip() if isinstance(value, float) else value
            for own, value in zip(units, values, strict=True)
        ]
        unit = ""
    return Column(name=name, unit=unit, values=tuple(values))


def _finite(value: Any) -> Any:
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _steps(name: str) -> list[str | int]:
    """Return the keys and places of a name such as ``coefficients.biot.value[0][0]``."""
    steps: list[str | int] = []
    place = 0
    while place < len(name):
        found = _STEP.match(name, place)
        if found is None:
            raise InputError("columns", name, 'the place of a result in the report, such as "value[0][0]"')
        steps.append(int(found[3]) if found[3] else found[1] or found[2])
        place = found.end()
    return steps


def _picked(report: Any, steps: Sequence[str | int], missing: object) -> Any:
    for step in steps:
        try:
            report = report[step]
        except (KeyError, IndexError, TypeError):
            return missing
    return report


def _unit(report: Mapping[str, Any] | None, steps: Sequence[str | int]) -> str:
    """Return the unit of a result as its report says it; empty for a pure number."""
    if report is None or not steps:
        return ""
    if steps[0] == "results" and len(steps) > 2:
        return _unit(report["results"][steps[1]], steps[2:])
    if steps[0] in report.get("coefficients", {}):  # a coefficient that stands at the top as well
        return str(report["coefficients"][steps[0]].get("unit") or "")
    if steps[0] == "coefficients" and len(steps) > 2:
        owner, last = report["coefficients"][steps[1]], steps[2]
    else:
        owner, last = report, steps[0]
    if last in ("value", "lower", "upper", "effective_coefficient", "principal_values"):
        return str(owner.get("unit") or "")
    if last == "interface_area":
        unit = report.get("length_unit")
        return f"1/{unit}" if unit else ""
    named = report.get("units", {})
    if steps[-1] == "activation" or last == "end":
        return str(named.get("time", ""))
    return str(named.get(str(last).removesuffix("_range"), "") or ("s" if last == "seconds" else ""))
