"""Effective tensors in tables: several beside each other, and one in a notebook. No dolfinx here."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping
from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from homfem import brackets
from homfem.parameters import Array, InputError
from homfem.tensors.properties import TensorProperties, entry_names
from homfem.tensors.text import headline, remarks, shown, without_round_off

if TYPE_CHECKING:
    from homfem.tensors.effective import EffectiveTensor


@dataclass(frozen=True, kw_only=True, slots=True)
class TensorTable:
    """Several tensors, one a line; ``print`` it, or let a notebook show it.

    Parameters
    ----------
    head
        The columns: name, kind and phases, the entries that are not zero in all tensors, half-gap, relative gap, unit,
        remarks.
    rows
        The cells of each line. Entries have as many digits as are known.
    records
        The same with every digit, by column, with ``xx_lower`` and ``xx_upper`` for the bounds of each entry
        (:attr:`homfem.tensors.EffectiveTensor.entry_bounds`): what :meth:`csv` writes.
    """

    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    records: tuple[Mapping[str, str], ...]

    def __str__(self) -> str:
        lines = [tuple(" ".join(cell.split()) for cell in line) for line in (self.head, *self.rows)]
        widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
        text = (
            [cell.ljust(n) if k in (0, 1, len(widths) - 1) else cell.rjust(n)
             for k, (cell, n) in enumerate(zip(line, widths, strict=True))]
            for line in lines
        )  # fmt: skip
        return "\n".join("  ".join(line).rstrip() for line in text)

    def markdown(self) -> str:
        """Return the table in Markdown."""
        lines = [self.head, tuple("---" for _ in self.head), *self.rows]
        return "".join(f"| {' | '.join(map(_in_markdown, line))} |\n" for line in lines)

    def csv(self) -> str:
        """Return comma-separated values with every digit and the bounds of each entry; lines end with a line feed."""
        columns = list(dict.fromkeys(key for record in self.records for key in record))
        text = io.StringIO()
        writer = csv.DictWriter(text, columns, restval="", lineterminator="\n")
        writer.writeheader()
        writer.writerows(self.records)
        return text.getvalue()

    def html(self) -> str:
        """Return the table in HTML; all that comes from outside is escaped."""
        lines = [_line("th", self.head), *(_line("td", row) for row in self.rows)]
        return f"<table>\n{''.join(lines)}</table>\n"

    def _repr_html_(self) -> str:
        return self.html()


def tensor_table(tensors: Mapping[str, EffectiveTensor], *, unit: str | None = None) -> TensorTable:
    """Return a table of several tensors, as text (``print``), Markdown, comma-separated values or HTML.

    Parameters
    ----------
    tensors
        The tensors by the names that the lines have; of any kinds.
    unit
        A unit that all are converted to; by default each has its own.

    Raises
    ------
    InputError
        If there is no tensor, or an entry is none.
    UnitError
        If a unit does not convert.

    Example
    -------
    >>> from homfem import EffectiveTensor
    >>> sides = EffectiveTensor(value=[[2.0, 0.1], [0.1, 1.0]], unit="um^2/s")
    >>> print(tensor_table({"cells": sides, "gel": EffectiveTensor.measured("gel", 3.0, unit="um^2/s", dimension=2)}))
    name   kind            xx   xy  yy  half-gap  relative gap    unit  remarks
    cells  diffusion        2  0.1   1         -             -  um^2/s  no bounds
    gel    diffusion, gel   3    0   3         -             -  um^2/s  no bounds
    """
    if not isinstance(tensors, Mapping) or not tensors:
        raise InputError("tensors", tensors, "a table of tensors by name, not empty")
    found: dict[str, EffectiveTensor] = {}
    for name, tensor in tensors.items():
        if not isinstance(tensor, TensorProperties):
            raise InputError(f"tensors[{name!r}]", tensor, "an EffectiveTensor")
        found[str(name)] = tensor if unit is None else tensor.to(unit)
    cells = {name: _entries(tensor) for name, tensor in found.items()}
    every = list(dict.fromkeys(entry for row in cells.values() for entry in row))
    kept = [entry for entry in every if any(float(row.get(entry, "0")) for row in cells.values())]
    rows = tuple(
        (name, _kind(tensor), *(cells[name].get(entry, "") for entry in kept), *_known(tensor))
        for name, tensor in found.items()
    )
    return TensorTable(
        head=("name", "kind", *kept, "half-gap", "relative gap", "unit", "remarks"),
        rows=rows,
        records=tuple(_record(name, tensor, kept) for name, tensor in found.items()),
    )


def _kind(tensor: EffectiveTensor) -> str:
    plane = " in plane stress" if tensor.plane == "stress" else ""
    return ", ".join([f"{tensor.physics}{plane}", *tensor.active_phases])


def _places(tensor: EffectiveTensor) -> dict[str, tuple[int, int]]:
    """The entries of a tensor by name: of a symmetric one those of the upper triangle."""
    symmetric = tensor.kind.symmetric or np.array_equal(tensor.value, tensor.value.T)
    names = entry_names(tensor.dimension, tensor.kind.voigt)
    return {str(name): (i, j) for (i, j), name in np.ndenumerate(names) if i <= j or not symmetric}


def _entries(tensor: EffectiveTensor) -> dict[str, str]:
    words = [row.split() for row in shown(tensor)[0]]
    return {name: words[i][j] for name, (i, j) in _places(tensor).items()}


def _known(tensor: EffectiveTensor) -> tuple[str, str, str, str]:
    half, gap = tensor.half_gap, tensor.relative_gap
    sides = {(True, True): "", (True, False): "a lower bound", (False, True): "an upper bound"}
    notes = [sides.get((tensor.lower is not None, tensor.upper is not None), "no bounds")]
    notes += [] if tensor.reached else ["short of the tolerance"]
    notes += [f"warnings: {len(tensor.warnings)}"] if tensor.warnings else []
    numbers = ("-" if half is None else brackets.outwards(half), "-" if gap is None else f"{gap:.2e}")
    return (*numbers, tensor.unit, "; ".join(filter(None, notes)))


def _record(name: str, tensor: EffectiveTensor, kept: list[str]) -> dict[str, str]:
    record = {"name": name, "kind": tensor.kind.name, "physics": tensor.physics}
    record |= {"phases": " ".join(tensor.active_phases), "unit": tensor.unit}
    places, sides = _places(tensor), tensor.entry_bounds
    for entry in kept:
        at = places.get(entry)
        numbers = [] if at is None else [tensor.value[at], *(() if sides is None else (side[at] for side in sides))]
        keys = (entry, f"{entry}_lower", f"{entry}_upper")
        record |= {key: repr(float(number)) for key, number in zip(keys, numbers, strict=False)}
    for key, number in (("half_gap", tensor.half_gap), ("relative_gap", tensor.relative_gap)):
        record[key] = "" if number is None else repr(float(number))
    return record | {"reached": str(tensor.reached).lower(), "warnings": "; ".join(tensor.warnings)}


def _in_markdown(cell: str) -> str:
    return escape(" ".join(cell.split()), quote=False).replace("\\", "\\\\").replace("|", "\\|")


def _line(tag: str, cells: Any) -> str:
    return f"<tr>{''.join(f'<{tag}>{escape(str(cell))}</{tag}>' for cell in cells)}</tr>\n"


def html_of(tensor: EffectiveTensor) -> str:
    """Return a tensor as a notebook shows it: the matrix, its bounds, what is known of it; all of it escaped."""
    rows, printed = shown(tensor)
    names = entry_names(tensor.dimension, tensor.kind.voigt)
    value = _matrix("", [row.split() for row in rows], names)
    parts = [f"<p><strong>{escape(headline(tensor))}</strong></p>\n", value]
    sides = [(name, side) for name, side in (("lower", tensor.lower), ("upper", tensor.upper)) if side is not None]
    if sides:
        tables = (_matrix(name, _numbers(without_round_off(side, tensor.roundoff)), names) for name, side in sides)
        parts.append(f"<details><summary>bounds in every direction</summary>\n{''.join(tables)}</details>\n")
    lines = (f"<li>{escape(line.strip())}</li>\n" for line in remarks(tensor, printed))
    return f"<div>\n{''.join(parts)}<ul>\n{''.join(lines)}</ul>\n</div>\n"


def _numbers(matrix: Array) -> list[list[str]]:
    return [[f"{entry:.10g}" for entry in row] for row in matrix]


def _matrix(caption: str, rows: list[list[str]], names: npt.NDArray[np.str_]) -> str:
    """A matrix as a table, the name of each entry as its title."""
    lines = "".join(
        "<tr>" + "".join(f'<td title="{name}">{word}</td>' for word, name in zip(row, line, strict=True)) + "</tr>\n"
        for row, line in zip(rows, names, strict=True)
    )
    head = f"<caption>{caption}</caption>\n" if caption else ""
    return f"<table>\n{head}{lines}</table>\n"
