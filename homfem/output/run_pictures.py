"""Pictures of what lies in the folder of a run: its probes, its fields at one time, when they came where; tensors."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from homfem.output import canvas
from homfem.output.colours import LINES
from homfem.output.lead_pictures import draw_mark, last_action_potential
from homfem.output.panels import columns_for, draw_fields, draw_isochrone_panel
from homfem.output.pictures import draw_fields as draw_cell_fields
from homfem.output.pictures import made_drawable
from homfem.output.run_files import Curve, Curves, Series, Snapshot, SolvedCell, Tensor
from homfem.output.views import CellView, SeriesView
from homfem.output.words import printed, with_unit
from homfem.parameters import InputError

_STYLES = ("-", "--", ":", "-.")


def draw_curves(curves: Curves, path: Path, *, theme: str = "light") -> None:
    """Draw numbers over time into a PNG, PDF or SVG file, a panel for each field.

    Integrals, whose unit is another, have panels of their own. Of membrane potentials at points the last action
    potential that is over has its duration marked, from its upstroke to 90 % of its repolarisation.

    Raises
    ------
    InputError
        If there are no curves.
    """
    panels: dict[tuple[str, str], list[Curve]] = {}
    for curve in curves.curves:
        panels.setdefault((curve.field, curve.unit), []).append(curve)
    if not panels:
        raise InputError("curves", [], "at least one curve")
    with canvas.styled(theme):
        columns = columns_for(len(panels), 3)
        rows = math.ceil(len(panels) / columns)
        most = max(map(len, panels.values()))
        key = 0.22 * math.ceil(most / 2) + 0.1
        figure = canvas.sheet(3.6 * columns + 0.4, (2.7 + key) * rows, layout="constrained")
        grid = figure.subplots(rows, columns, squeeze=False).ravel()
        names = list(dict.fromkeys(curve.name for curve in curves.curves if curve.statistic != "integral"))
        for axes, ((field, unit), drawn) in zip(grid, panels.items(), strict=False):
            for curve in drawn:
                number = names.index(curve.name) if curve.statistic != "integral" else drawn.index(curve)
                mark = None
                if (field, unit, curve.statistic) == ("V", "mV", ""):  # a membrane potential at a point
                    mark = last_action_potential(curves.times, curve.values)
                lasts = "" if mark is None else f", APD90 {mark.duration:.4g} {curves.unit}".rstrip()
                if mark is not None:
                    draw_mark(axes, mark, number)
                axes.plot(
                    curves.times,
                    curve.values,
                    color=LINES[number % len(LINES)],
                    linestyle=_STYLES[number // len(LINES) % len(_STYLES)],
                    linewidth=1.4,
                    marker="o" if len(curves.times) == 1 else None,
                    label=f"{curve.name}{lasts}",
                )
            integral = all(curve.statistic == "integral" for curve in drawn)
            axes.set_ylabel(with_unit(f"integral of {field}" if integral else field, unit))
            axes.set_xlabel(with_unit("time", curves.unit))
            axes.spines[["top", "right"]].set_visible(False)
            axes.legend(loc="lower left", bbox_to_anchor=(0.0, 1.0), ncols=2, frameon=False, fontsize=8.5)
        for axes in grid[len(panels) :]:
            axes.set_axis_off()
        canvas.save(figure, path)


def draw_snapshot(series: Series, snapshot: Snapshot, names: Sequence[str], path: Path, *, theme: str) -> None:
    """Draw fields at one time into a PNG, PDF or SVG file, a panel for each."""
    title = f"t = {snapshot.time:.6g} {series.time_unit}".rstrip()
    fields = {series.label(name): snapshot.fields[name] for name in names}
    if snapshot.cells.shape[1] == 2:
        _draw_lines(series, snapshot, names, path, title=title, theme=theme)
        return
    view = SeriesView(label="", style="body", length_unit=series.information.get("length unit", ""), theme=theme)
    draw_fields(path, snapshot.points, snapshot.cells, fields, title, view)


def _draw_lines(
    series: Series, snapshot: Snapshot, names: Sequence[str], path: Path, *, title: str, theme: str
) -> None:
    """Draw fields on lines over the first coordinate."""
    with canvas.styled(theme):
        columns = columns_for(len(names), 3)
        rows = math.ceil(len(names) / columns)
        figure = canvas.sheet(3.6 * columns + 0.4, 2.7 * rows + 0.3, layout="constrained")
        grid = figure.subplots(rows, columns, squeeze=False).ravel()
        order = np.argsort(snapshot.points[:, 0], kind="stable")
        for axes, name in zip(grid, names, strict=False):
            axes.plot(snapshot.points[order, 0], snapshot.fields[name][order], color=LINES[0], linewidth=1.4)
            axes.set_xlabel(with_unit("x", series.information.get("length unit", "")))
            axes.set_ylabel(printed(series.label(name)))
            axes.spines[["top", "right"]].set_visible(False)
        for axes in grid[len(names) :]:
            axes.set_axis_off()
        figure.suptitle(title, fontsize=11)
        canvas.save(figure, path)


def draw_activation(series: Series, path: Path, *, theme: str) -> bool:
    """Draw a map of activation times with lines of equal time; tell whether it came to any place."""
    snapshot = series.at(len(series.times) - 1)
    (name, times) = next(iter(snapshot.fields.items()))
    if not np.isfinite(times).any():
        return False
    if snapshot.cells.shape[1] == 2:
        title = f"until t = {snapshot.time:.6g} {series.time_unit}".rstrip()
        _draw_lines(series, snapshot, [name], path, title=title, theme=theme)
        return True
    length = series.information.get("length unit", "")
    view = SeriesView(label=series.label(name), style="body", length_unit=length, theme=theme)
    draw_isochrone_panel(path, snapshot.points, snapshot.cells, times, view)
    return True


def draw_solved_cell(cell: SolvedCell, label: str, path: Path, *, title: str, theme: str) -> None:
    """Draw one field of a cell into a PNG, PDF or SVG file, as ``homfem effective --figure`` draws it."""
    view = CellView(label=label, title=title, unit=cell.unit, theme=theme, translucent=())
    drawn = made_drawable(cell.points, cell.cells, cell.phase_of_cell, cell.fields[label])
    draw_cell_fields(drawn, path, phases=cell.phases, view=view)


def draw_tensors(tensors: Sequence[Tensor], path: Path, *, theme: str) -> None:
    """Draw the diagonals of tensors with their bounds into a PNG, PDF or SVG file, a panel for each unit."""
    panels: dict[str, list[Tensor]] = {}
    for tensor in tensors:
        panels.setdefault(tensor.unit, []).append(tensor)
    with canvas.styled(theme):
        columns = columns_for(len(panels), 3)
        rows = math.ceil(len(panels) / columns)
        figure = canvas.sheet(4.2 * columns, 3.4 * rows, layout="constrained")
        grid = figure.subplots(rows, columns, squeeze=False).ravel()
        for axes, (unit, drawn) in zip(grid, panels.items(), strict=False):
            most = max(len(tensor.value) for tensor in drawn)
            for number, tensor in enumerate(drawn):
                at = np.arange(len(tensor.value)) + 0.5 * (number - 0.5 * (len(drawn) - 1)) / len(drawn)
                ends = [tensor.value if end is None else end for end in (tensor.lower, tensor.upper)]
                reach = np.abs(np.array([tensor.value - ends[0], ends[1] - tensor.value]))
                axes.errorbar(
                    at, tensor.value, yerr=reach, fmt="o", markersize=4, capsize=4, linewidth=1.4,
                    color=LINES[number % len(LINES)], label=tensor.name,
                )  # fmt: skip
            low, high = axes.get_ylim()
            middle = 0.5 * (low + high)
            if high - low < 2e-4 * abs(middle):  # what differs by round-off is drawn as equal
                axes.set_ylim(middle - 1e-4 * abs(middle), middle + 1e-4 * abs(middle))
            axes.set_xticks(range(most), [f"{k}{k}" for k in range(1, most + 1)])
            axes.set_xlim(-0.5, most - 0.5)
            axes.set_xlabel("entry")
            axes.set_ylabel(with_unit("effective tensor", unit))
            axes.spines[["top", "right"]].set_visible(False)
            axes.legend(loc="lower left", bbox_to_anchor=(0.0, 1.0), ncols=3, frameon=False, fontsize=8.5)
        for axes in grid[len(panels) :]:
            axes.set_axis_off()
        canvas.save(figure, path)
