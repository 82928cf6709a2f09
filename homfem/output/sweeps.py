"""The picture of a sweep: a result with its bracket against the keys that vary."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from homfem.output import canvas
from homfem.output.colours import COLOURS
from homfem.parameters import Array

_CURVES = 6  # values of a second key that are told apart as curves; more of them are a map
_PANELS = 6  # keys that have a panel each


@dataclass(frozen=True, kw_only=True, slots=True)
class Varied:
    """A key that varies.

    Parameters
    ----------
    title
        Its name with its unit.
    values
        One for each row: numbers, or anything that is told apart by its text.
    """

    title: str
    values: Sequence[Any]

    @property
    def numeric(self) -> bool:
        """Whether all values are numbers."""
        return all(isinstance(value, (int, float)) and not isinstance(value, bool) for value in self.values)

    @property
    def levels(self) -> list[Any]:
        """Its values, each once: numbers in order, others as they come."""
        levels = list({str(value): value for value in self.values}.values())
        return sorted(levels) if self.numeric else levels

    def places(self) -> Array:
        """Return where the values stand on an axis: numbers where they are, others side by side."""
        if self.numeric:
            return np.array(self.values, dtype=np.float64)
        names = [str(level) for level in self.levels]
        return np.array([names.index(str(value)) for value in self.values], dtype=np.float64)


@dataclass(frozen=True, kw_only=True, slots=True)
class Drawn:
    """The result that is drawn, row by row; NaN where there is none.

    Parameters
    ----------
    title
        Its name with its unit.
    values
        The numbers.
    lower, upper
        Its bracket; None where it has none.
    """

    title: str
    values: Array
    lower: Array | None = None
    upper: Array | None = None


def draw_sweep(keys: Sequence[Varied], drawn: Drawn, path: str | Path) -> None:
    """Draw a result into a PNG, PDF or SVG file.

    Against one key it is a curve with its bracket; against two that form a grid several curves, or a map if both have
    many values; else there is a panel for each of up to six keys, with a point for each row.
    """
    varied = [key for key in keys if len(key.levels) > 1] or list(keys[:1])
    varied.sort(key=lambda key: not key.numeric)  # the axis is the first number
    grid = len(varied) == 2 and len(drawn.values) == len(varied[0].levels) * len(varied[1].levels)
    mapped = False
    if grid and len(varied[1].levels) > _CURVES and varied[1].numeric:
        mapped = len(varied[0].levels) > _CURVES
        if not mapped:
            varied.reverse()
    with canvas.styled():
        canvas.save(_map(varied, drawn) if mapped else _panels(varied, drawn, curves=len(varied) == 1 or grid), path)


def _panels(varied: Sequence[Varied], drawn: Drawn, *, curves: bool) -> Any:
    """Return a figure of the result against one or two keys, or against each of several."""
    panels = 1 if curves else min(len(varied), _PANELS)
    rows = 1 + (panels > 3)
    columns = -(-panels // rows)
    figure = canvas.sheet(2.6 + 4.2 * columns, 1.2 + 3.6 * rows, layout="constrained")
    many = figure.subplots(rows, columns, squeeze=False, sharey=True)
    for number, axes in enumerate(many.flat):
        if number >= panels:
            axes.set_axis_off()
        elif curves:
            _curves(axes, varied, drawn)
        else:
            _points(axes, varied[number], drawn, np.ones(len(drawn.values), dtype=bool), COLOURS[5], "")
            _axis(axes, varied[number])
    for axes in many[:, 0]:
        axes.set_ylabel(drawn.title)
    return figure


def _curves(axes: Any, varied: Sequence[Varied], drawn: Drawn) -> None:
    """Draw the result against the first key, a curve for each value of the second."""
    if len(varied) == 1:
        _points(axes, varied[0], drawn, np.ones(len(drawn.values), dtype=bool), COLOURS[5], "", line=True)
    else:
        texts = np.array([str(value) for value in varied[1].values])
        for number, level in enumerate(varied[1].levels):
            label = f"{level:.4g}" if isinstance(level, float) else str(level)
            colour = COLOURS[(5, 0, 2, 6, 3, 1, 7, 4)[number % len(COLOURS)]]
            _points(axes, varied[0], drawn, texts == str(level), colour, label, line=True)
        axes.legend(title=varied[1].title, frameon=False)
    _axis(axes, varied[0])
    known = drawn.values[np.isfinite(drawn.values)]
    if _logarithmic(varied[0]) and known.size and known.min() > 0.0 and known.max() > 30.0 * known.min():
        axes.set_yscale("log")


def _points(axes: Any, key: Varied, drawn: Drawn, chosen: Any, colour: str, label: str, *, line: bool = False) -> None:
    """Draw the chosen rows against a key: points with their brackets, or a curve in a band with bars."""
    place = key.places()
    chosen = chosen & np.isfinite(drawn.values)
    order = np.flatnonzero(chosen)[np.argsort(place[chosen], kind="stable")]
    x, y = place[order], drawn.values[order]
    joined = line and key.numeric and len(np.unique(x)) == len(x)
    axes.plot(x, y, "o-" if joined else "o", ms=4, color=colour, label=label or None)
    if drawn.lower is None or drawn.upper is None:
        return
    low, high = drawn.lower[order], drawn.upper[order]
    known = np.isfinite(low) & np.isfinite(high)
    if joined:
        axes.fill_between(x, low, high, where=known, color=colour, alpha=0.25, linewidth=0)
    bars = np.abs(np.array([y - low, high - y]))[:, known]
    axes.errorbar(x[known], y[known], bars, fmt="none", ecolor=colour, elinewidth=1, capsize=3)


def _axis(axes: Any, key: Varied) -> None:
    """Give an axis the key's name, its scale, and the names of values that are no numbers."""
    axes.set_xlabel(key.title)
    axes.grid(alpha=0.3)
    if not key.numeric:
        axes.set_xticks(range(len(key.levels)), [str(level)[:24] for level in key.levels])
    elif _logarithmic(key):
        axes.set_xscale("log")


def _logarithmic(key: Varied) -> bool:
    """Whether a key spans more than a decade and a half of positive numbers."""
    places = key.places()
    return key.numeric and bool(places.min() > 0.0 and places.max() > 30.0 * places.min())


def _map(varied: Sequence[Varied], drawn: Drawn) -> Any:
    """Return a figure of the result over a grid of two keys, in colours."""
    figure = canvas.sheet(7.0, 5.2, layout="constrained")
    axes = figure.subplots()
    first, second = varied
    along, up = np.array(first.levels), np.array(second.levels)
    values = np.full((len(up), len(along)), np.nan)
    values[np.searchsorted(up, second.places()), np.searchsorted(along, first.places())] = drawn.values
    sides = (_edges(along, _logarithmic(first)), _edges(up, _logarithmic(second)))
    shown = axes.pcolormesh(*sides, np.ma.masked_invalid(values), cmap="viridis")
    axes.set(xlabel=first.title, ylabel=second.title)
    for key, scale in ((first, axes.set_xscale), (second, axes.set_yscale)):
        if _logarithmic(key):
            scale("log")
    figure.colorbar(shown, ax=axes, label=drawn.title)
    return figure


def _edges(centres: Array, logarithmic: bool) -> Array:
    """Return the sides of fields around their centres, half-way between these on the axis as it is drawn."""
    places = np.log(centres) if logarithmic else centres
    middle = 0.5 * (places[1:] + places[:-1])
    edges = np.concatenate([[2.0 * places[0] - middle[0]], middle, [2.0 * places[-1] - middle[-1]]])
    return np.asarray(np.exp(edges) if logarithmic else edges)
