"""Cells of rectangular blocks (boxes in space)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from homfem.blocks.layout import layer_lengths, read_layout
from homfem.meshing.arrays.raw_cell import RawCell
from homfem.meshing.shapes.box_grid import block_array_raw
from homfem.meshing.shapes.painted import axis_periods
from homfem.meshing.shapes.plan import BoxMesh, CellPlan


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Blocks:
    """Rectangular blocks, as the parameters of :func:`homfem.cells.blocks` say."""

    layout: Any
    widths: Sequence[float] | None
    heights: Sequence[float] | None
    depths: Sequence[float] | None
    mesh: BoxMesh


def blocks_plan(given: Blocks) -> CellPlan:
    """Plan the cell of a description: its numbers are checked, nothing is meshed."""
    labels, letters = read_layout(given.layout)
    periods = axis_periods(given.mesh.period, labels.ndim)
    lengths = layer_lengths(labels.shape, given.widths, given.heights, given.depths)

    def make() -> RawCell:
        scale = periods / periods.min()
        return block_array_raw(
            labels + 1,
            {letter: number for number, letter in enumerate(letters, start=1)},
            [part * factor for part, factor in zip(lengths, scale, strict=True)],
            resolution=given.mesh.resolution,
            grading=given.mesh.grading,
            growth=given.mesh.growth,
            length_unit=given.mesh.length_unit,
        )

    return CellPlan(
        make=make, name="blocks", length=float(periods.min()), length_unit=given.mesh.length_unit, conforming=True
    )
