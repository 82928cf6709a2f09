r"""Cells painted with boxes: laminates, slits, obstacles, sheets with tubes, networks of square pipes, myocytes.

Every interface lies in a coordinate plane; the grid meets all of them, so that fractions and areas are exact. Lengths
are fractions of the period along their axis, and boxes that leave the cell come in again on the other side. With period
vectors in place of lengths the axes are those vectors: boxes are parallelepipeds along them, layers are parallel to all
vectors but one.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Unpack

from mpi4py import MPI

from homfem.cells.unitcell import UnitCell
from homfem.keywords import takes
from homfem.meshing.shapes import painted
from homfem.meshing.shapes.painted import Box
from homfem.meshing.shapes.plan import BoxMesh, BoxMeshOptions, NetworkMesh
from homfem.parameters import Lattice


@takes(BoxMesh)
def painted_cell(
    boxes: Sequence[Box],
    background: str,
    *,
    name: str = "painted",
    phases: Sequence[str] | None = None,
    comm: MPI.Comm = MPI.COMM_WORLD,
    **mesh: Unpack[BoxMeshOptions],
) -> UnitCell:
    """Return a cell painted with boxes on a background; collective.

    Parameters
    ----------
    boxes
        In the order of painting: a later box covers an earlier one. At least one.
    background
        Phase of what no box covers.
    name
        What it is.
    phases
        The phases in the mesh; by default all.
    comm
        Communicator.
    **mesh
        As :class:`homfem.meshing.shapes.plan.BoxMesh` has them.

    Raises
    ------
    InputError
        For boxes that are empty or larger than the cell, and sizes out of range; on every rank.
    """
    description = painted.Painting(
        boxes=boxes,
        background=background,
        name=name,
        phases=phases,
        mesh=BoxMesh(**mesh),
    )
    plan = painted.painted_plan(description)
    return UnitCell.from_plan(plan, comm=comm)


def laminate(
    fractions: Sequence[float],
    *,
    axis: str = "x",
    dimension: int = 2,
    resolution: float = 0.2,
    period: float | Sequence[float] | Lattice = 1.0,
    length_unit: str = "m",
    comm: MPI.Comm = MPI.COMM_WORLD,
) -> UnitCell:
    r"""Return a laminate: layers with a common normal; collective.

    Phases ``layer1``, ``layer2``, ... of the fractions that are given; interface area per volume: number of layers over
    the period along the normal (two layers at least).

    Parameters
    ----------
    fractions
        Thickness of each layer as a fraction of the period, > 0, with the sum 1; from the origin on.
    axis
        The normal: ``"x"``, ``"y"`` or ``"z"``. With period vectors the one of them that crosses the layers.
    dimension
        2 or 3.
    resolution, period, length_unit, comm
        As in :func:`painted_cell`.
    """
    plan = painted.laminate_plan(
        fractions,
        axis=axis,
        dimension=dimension,
        mesh=BoxMesh(resolution=resolution, period=period, length_unit=length_unit),
    )
    return UnitCell.from_plan(plan, comm=comm)


@takes(BoxMesh)
def slit(
    aperture: float | Sequence[float],
    *,
    axis: str = "x",
    dimension: int = 2,
    comm: MPI.Comm = MPI.COMM_WORLD,
    **mesh: Unpack[BoxMeshOptions],
) -> UnitCell:
    r"""Return pores between parallel walls; collective.

    Phases ``pore`` (fraction: the sum of the apertures) and ``solid``; interface area per volume: 2 over the period
    along the normal, for each slit.

    Parameters
    ----------
    aperture
        Width of the slit as a fraction of the period, in (0, 1), or a list: several slits, each in the middle of an
        equal share of the period, narrower than that.
    axis
        The normal of the walls; with period vectors the one of them that crosses the walls.
    dimension
        2 or 3.
    comm
        Communicator.
    **mesh
        As in :func:`painted_cell`.
    """
    plan = painted.slit_plan(
        aperture,
        axis=axis,
        dimension=dimension,
        mesh=BoxMesh(**mesh),
    )
    return UnitCell.from_plan(plan, comm=comm)


@takes(BoxMesh)
def obstacles(
    edge: float | Sequence[float] = 0.5,
    *,
    lattice: str = "square",
    dimension: int = 2,
    comm: MPI.Comm = MPI.COMM_WORLD,
    **mesh: Unpack[BoxMeshOptions],
) -> UnitCell:
    r"""Return rectangles (boxes in 3D) in a pore space; collective.

    Phases ``obstacle`` and ``pore``. Square lattice: one obstacle in the centre, fraction :math:`\prod_a e_a`.
    Staggered: a second one at the corners, fraction :math:`2\prod_a e_a`, edges below 1/2.

    Parameters
    ----------
    edge
        Edge of the obstacles as a fraction of the period, or one for each axis, in (0, 1).
    lattice
        ``"square"`` or ``"staggered"``.
    dimension
        2 or 3.
    comm
        Communicator.
    **mesh
        As in :func:`painted_cell`.
    """
    plan = painted.obstacles_plan(
        edge,
        lattice=lattice,
        dimension=dimension,
        mesh=BoxMesh(**mesh),
    )
    return UnitCell.from_plan(plan, comm=comm)


@takes(NetworkMesh)
def sheets(
    thickness: float = 0.2,
    tube: float = 0.3,
    *,
    axis: str = "z",
    comm: MPI.Comm = MPI.COMM_WORLD,
    **mesh: Unpack[BoxMeshOptions],
) -> UnitCell:
    r"""Return parallel sheets joined by square tubes, like rough endoplasmic reticulum (ER); collective.

    Phases ``er`` (fraction :math:`t+e^2(1-t)`) and ``cytosol``; interface area per cell :math:`2(1-e^2)+4e(1-t)` for a
    unit cube, with the thickness t of the sheet and the edge e of the tube.

    Parameters
    ----------
    thickness, tube
        Thickness of the sheet and edge of the tube as fractions of the period, in (0, 1).
    axis
        The normal of the sheets.
    comm
        Communicator.
    **mesh
        As in :func:`painted_cell`.
    """
    plan = painted.sheets_plan(
        thickness,
        tube,
        axis=axis,
        mesh=NetworkMesh(**mesh),
    )
    return UnitCell.from_plan(plan, comm=comm)
