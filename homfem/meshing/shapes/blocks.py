"""Cells of rectangular blocks (boxes in space)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from homfem.blocks.layout import layer_lengths, read_layout
from homfem.meshing.arrays.raw_cell import RawCell
from homfem.meshing.shapes.box_grid import block_array_raw
from homfem.meshing.shapes.painted import axis_periods
from homfem.meshing.shapes.plan import CellPlan


def blocks_plan(
    layout: Any,
    *,
    widths: Sequence[float] | None = None,
    heights: Sequence[float] | None = None,
    depths: Sequence[float] | None = None,
    resolution: float = 0.1,
    grading: float = 1.0,
    growth: float = 1.0,
    period: float | Sequence[float] = 1.0,
    length_unit: str = "m",
) -> CellPlan:
    """Plan the cell of :func:`homfem.cells.blocks`, which has the parameters; no MPI here."""
    labels, letters = read_layout(layout)
    periods = axis_periods(period, labels.ndim)
    lengths = layer_lengths(labels.shape, widths, heights, depths)

    def make() -> RawCell:
        scale = periods / periods.min()
        return block_array_raw(
            labels + 1,
            {letter: number for number, letter in enumerate(letters, start=1)},
            [part * factor for part, factor in zip(lengths, scale, strict=True)],
            resolution=resolution,
            grading=grading,
            growth=growth,
            length_unit=length_unit,
        )

    return CellPlan(make=make, name="blocks", length=float(periods.min()), length_unit=length_unit)
