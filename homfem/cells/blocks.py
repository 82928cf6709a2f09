"""Cells of rectangular blocks (boxes in space)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Unpack

from mpi4py import MPI

from homfem.cells.unitcell import UnitCell
from homfem.keywords import takes
from homfem.meshing.shapes.blocks import Blocks, blocks_plan
from homfem.meshing.shapes.plan import BoxMesh, BoxMeshOptions


@takes(BoxMesh)
def blocks(
    layout: Any,
    *,
    widths: Sequence[float] | None = None,
    heights: Sequence[float] | None = None,
    depths: Sequence[float] | None = None,
    comm: MPI.Comm = MPI.COMM_WORLD,
    **mesh: Unpack[BoxMeshOptions],
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
    comm
        Communicator.
    **mesh
        As :class:`homfem.meshing.shapes.plan.BoxMesh` has them; a block has at least two elements across.

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
        mesh=BoxMesh(**mesh),
    )
    plan = blocks_plan(description)
    return UnitCell.from_plan(plan, comm=comm)
