"""Pictures of electrocardiograms and electrograms on the grid of their paper, and marks of action potentials."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from homfem.kinetics.ionic.action_potential import ActionPotential
from homfem.output import canvas
from homfem.output.colours import LINES, theme_of
from homfem.output.run_files import read_numbers
from homfem.output.words import printed
from homfem.parameters import Array, FileError, InputError

#: The leads of the standard electrocardiogram as its paper has them: by columns, four of three.
STANDARD = (("I", "II", "III"), ("aVR", "aVL", "aVF"), ("V1", "V2", "V3"), ("V4", "V5", "V6"))
LIMBS = ("RA", "LA", "LL")
#: A large square of the paper: 200 ms and .5 mV; of five small ones each way.
SQUARE_TIME, SQUARE_POTENTIAL = 200.0, 0.5
#: Colours of large and small squares on each ground.
_GRID = {"light": ("#E8A39D", "#F7DEDB"), "dark": ("#6B4447", "#33292D")}
_HEADER = re.compile(r"^(?P<name>[^:]+?)( \((?P<unit>[^()]*)\))?$")
_MS = {"ms": 1.0, "s": 1e3}


@dataclass(frozen=True, kw_only=True, slots=True)
class LeadTable:
    """Leads or electrodes over time: their names, times and values, shape (names, times), with the units of both."""

    names: tuple[str, ...]
    times: Array
    values: Array
    time_unit: str
    unit: str


def read_leads(path: Path) -> LeadTable:
    """Read a table of leads as :class:`homfem.macro.leads.LeadSeries` writes it, of a run that goes on too.

    Raises
    ------
    FileError
        If it is no such table.
    """
    try:
        header, numbers = read_numbers(path)
        found = [_HEADER.match(label) for label in header]
        if len(found) < 2 or not all(found) or found[0] is None or found[0]["name"] != "time":
            raise ValueError(header)
    except (OSError, ValueError, IndexError) as error:
        raise FileError("folder", str(path), "a table of leads as homfem writes it") from error
    names = tuple(entry["name"] for entry in found[1:] if entry is not None)
    units = [entry["unit"] or "" for entry in found if entry is not None]
    return LeadTable(names=names, times=numbers[:, 0], values=numbers[:, 1:].T, time_unit=units[0], unit=units[1])


def draw_leads(table: LeadTable, path: Path, *, theme: str = "light") -> None:
    """Draw leads on the grid of an electrocardiogram into a PNG, PDF or SVG file.

    The standard leads stand as on their paper, in columns of three; any other, electrodes and electrograms, below in
    rows. A large square is 200 ms and .5 mV where that shows the leads, else round numbers; the picture says which.

    Raises
    ------
    InputError
        If there is nothing to draw.
    """
    if not table.names or not len(table.times):
        raise InputError("leads", list(table.names), "at least one lead with a sample")
    columns = [column for column in STANDARD if set(column) <= set(table.names)]
    standard = [name for column in columns for name in column]
    beside = (*standard, *(LIMBS if columns else ()))  # electrodes of which the standard leads are made
    others = [name for name in table.names if name not in beside]
    step_time, step_potential = _squares(table)
    across = max(1, len(columns))
    rows = (3 if columns else 0) + math.ceil(len(others) / across)
    # A large square is as high as wide, up to where a panel would be a slit.
    span = _span(table) / step_potential
    width, height = 2.6, min(max(0.3 * (span + 1.0), 1.0), 2.0)
    with canvas.styled(theme):
        figure = canvas.sheet(width * across + 0.4, height * rows + 0.75, layout="constrained")
        grid = figure.subplots(rows, across, squeeze=False, sharex=True, sharey=True)
        names = np.full((rows, across), "", dtype=object)
        for k, column in enumerate(columns):
            names[:3, k] = column
        first = 3 if columns else 0
        for k, name in enumerate(others):
            names[first + k // across, k % across] = name
        for axes, name in zip(grid.ravel(), names.ravel(), strict=True):
            if name:
                _draw(axes, table, name, (step_time, step_potential), theme)
            else:
                axes.set_visible(False)
        unit = {"time": table.time_unit, "potential": table.unit}
        square = f"{step_time:g} {unit['time']}".strip() + ", " + f"{step_potential:g} {unit['potential']}".strip()
        figure.suptitle(printed(f"a large square: {square}"), fontsize=9)
        canvas.save(figure, path)


def _span(table: LeadTable) -> float:
    return float(np.ptp(table.values)) or 1.0


def _squares(table: LeadTable) -> tuple[float, float]:
    """Return the sides of a large square: those of the paper where these show what there is, else round ones."""
    length = float(np.ptp(table.times)) or 1.0
    time = SQUARE_TIME / _MS[table.time_unit] if table.time_unit in _MS else 0.0
    if not time or not 2.0 <= length / time <= 25.0:
        time = canvas.nice_number(length / 6.0)
    potential, span = SQUARE_POTENTIAL, _span(table)
    if table.unit != "mV" or not 0.8 <= span / potential <= 12.0:
        potential = canvas.nice_number(span / 4.0)
    return time, potential


def _draw(axes: Any, table: LeadTable, name: str, squares: tuple[float, float], theme: str) -> None:
    """Draw one lead with its grid; below and above at least half a large square."""
    large, small = _GRID[theme]
    low, high = float(table.values.min()), float(table.values.max())
    axes.plot(table.times, table.values[table.names.index(name)], color=theme_of(theme).ink, linewidth=1.0,
              marker="o" if len(table.times) == 1 else None)  # fmt: skip
    axes.set_xlim(float(table.times[0]), float(table.times[-1]) or 1.0)
    axes.set_ylim(low - 0.5 * squares[1], high + 0.5 * squares[1])
    (left, right), (bottom, top) = axes.get_xlim(), axes.get_ylim()
    for part, colour, width in ((0.2, small, 0.5), (1.0, large, 0.8)):  # as two collections: ticks take far longer
        axes.vlines(_lines(left, right, part * squares[0]), bottom, top, colors=colour, linewidths=width, zorder=0.5)
        axes.hlines(_lines(bottom, top, part * squares[1]), left, right, colors=colour, linewidths=width, zorder=0.5)
    axes.set_xticks([])
    axes.set_yticks([])
    axes.spines[:].set_visible(False)
    axes.annotate(printed(name), (0.0, 1.0), (4, -4), xycoords="axes fraction", textcoords="offset points", va="top",
                  fontsize=10, fontweight="bold",
                  bbox={"fc": theme_of(theme).ground, "ec": "none", "alpha": 0.8, "pad": 1.0})  # fmt: skip


def _lines(low: float, high: float, side: float) -> Array:
    """Return the multiples of a side from one end to the other."""
    numbers = np.arange(math.ceil(low / side - 1e-9), math.floor(high / side + 1e-9) + 1, dtype=np.float64)
    return np.asarray(side * numbers)


@dataclass(frozen=True, kw_only=True, slots=True)
class Mark:
    """The last action potential that is over, in a trace: when it begins and ends, and V there."""

    begin: float
    end: float
    level: float

    @property
    def duration(self) -> float:
        """How long it lasts."""
        return self.end - self.begin


def last_action_potential(times: Array, potential: Array, level: float = 0.9, *, least: float = 30.0) -> Mark | None:
    """Return the last action potential of a trace that is over at a level, or None.

    It begins where V rises fastest; V at rest is the least one since the beat before.

    Parameters
    ----------
    times, potential
        The trace, in any unit of time and mV.
    level
        Part of the amplitude that is lost at the end.
    least
        The amplitude that makes a beat.
    """
    low, high = float(np.min(potential)), float(np.max(potential))
    if len(times) < 3 or not np.all(np.isfinite(potential)) or high - low < least:
        return None
    middle = 0.5 * (low + high)
    rises = np.flatnonzero((potential[:-1] < middle) & (potential[1:] >= middle)) + 1
    ends = [*rises[1:], len(times)]
    for k in reversed(range(len(rises))):
        start = rises[k - 1] if k else 0
        rest = start + int(np.argmin(potential[start : rises[k]]))
        part = slice(rest, ends[k])
        beat = ActionPotential(times=times[part], potential=potential[part], threshold=middle, settled=-math.inf)
        end = beat.repolarisation(level) if len(times[part]) >= 3 else math.nan
        if math.isfinite(end):
            return Mark(begin=beat.upstroke_time, end=end, level=beat.peak - level * (beat.peak - beat.rest))
    return None


def draw_mark(axes: Any, mark: Mark, number: int) -> None:
    """Draw how long an action potential lasts, in the colour of its line."""
    colour = LINES[number % len(LINES)]
    axes.plot([mark.begin, mark.end], [mark.level, mark.level], color=colour, linewidth=0.9, marker="|", markersize=6)
