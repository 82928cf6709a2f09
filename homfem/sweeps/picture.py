"""What is drawn of the table of a sweep."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from homfem.disk import writing
from homfem.parameters import Array, InputError
from homfem.sweeps.table import Column, SweepTable


def draw(table: SweepTable, path: str | Path, *, column: str | None = None) -> None:
    """Draw a result of a sweep, by default the first number that varies, with its bracket against the keys that vary.

    The bracket of ``value...`` is ``lower...`` and ``upper...``, where these are columns of the table.

    Parameters
    ----------
    table
        The table.
    path
        A PNG, PDF or SVG file.
    column
        Name of the result. Where no number varies it is the first of them.

    Raises
    ------
    InputError
        If there is no such column, or no number in it.
    OSError
        If the file cannot be written.
    """
    from homfem.output.sweeps import Drawn, Varied, draw_sweep

    numeric = {entry.name: entry for entry in table.columns if np.isfinite(_numbers(entry)).any()}
    varied = [name for name, entry in numeric.items() if np.nanmin(_numbers(entry)) < np.nanmax(_numbers(entry))]
    chosen = next(iter([*varied, *numeric]), "") if column is None else column
    if chosen not in numeric:
        allowed = "a result with numbers: " + (", ".join(numeric) or "no row has any")
        raise InputError("column", column or "(missing)", allowed)
    sides = [
        numeric.get(chosen.replace("value", side, 1)) if "value" in chosen else None for side in ("lower", "upper")
    ]
    lower, upper = (None if side is None else _numbers(side) for side in sides)
    drawn = Drawn(title=numeric[chosen].title, values=_numbers(numeric[chosen]), lower=lower, upper=upper)
    with writing(path):
        draw_sweep([Varied(title=key.title, values=key.values) for key in table.keys], drawn, path)


def _numbers(column: Column) -> Array:
    """Return a column as numbers, NaN for anything else."""
    numbers = [float(v) if isinstance(v, (int, float)) and not isinstance(v, bool) else np.nan for v in column.values]
    return np.array(numbers, dtype=np.float64)
