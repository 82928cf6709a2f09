"""Cells of rectangular blocks (boxes in space)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from mpi4py import MPI

from homfem.cells.unitcell import UnitCell
from homfem.meshing.shapes.blocks import Blocks, blocks_plan


def blocks(
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
    comm: MPI.Comm = MPI.COMM_WORLD,
) -> UnitCell:
    r"""Return a cell of rectangular blocks (boxes in 3D), each letter of the layout being a phase; collective.

    Volume fraction of a phase: the sum of width times height (times depth) of its blocks, exactly.

    Parameters
    ----------
    layout
        In two dimensions strings of one length, one letter per block, the first being the top row (largest y), such as
        ``["LDD", "LLD"]``; in three dimensions a list of such lists, the first being the top layer (largest z).
    widths, heights, depths
        Widths of the columns along x, heights of the rows along y in the order of the strings, depths of the layers
        along z in the order of the layout: fractions of the period that sum to 1. By default they are equal.
    resolution
        Mesh size as a fraction of the shortest period, in (0, 1/3]; a block has at least two elements across.
    grading
        Mesh size at the sides of the blocks over that in their middle, in (0, 1].
    growth
        Slope of the mesh size away from the sides, > 0.
    period, length_unit
        Period, or one for each axis, and its unit.
    comm
        Communicator.

    Raises
    ------
    InputError
        On every rank: strings of different lengths, widths that do not fit, sizes out of range.

    Examples
    --------
    >>> cell = blocks(["LD", "DL"], resolution=0.25)
    >>> round(cell.volume_fractions["D"], 12)
    0.5
    """
    description = Blocks(
        layout=layout,
        widths=widths,
        heights=heights,
        depths=depths,
        resolution=resolution,
        grading=grading,
        growth=growth,
        period=period,
        length_unit=length_unit,
    )
    plan = blocks_plan(description)
    return UnitCell.from_plan(plan, comm=comm)
