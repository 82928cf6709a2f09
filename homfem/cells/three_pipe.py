"""The endoplasmic reticulum as three orthogonal pipes."""

from __future__ import annotations

from collections.abc import Sequence

from mpi4py import MPI

from homfem.cells.unitcell import UnitCell
from homfem.meshing.shapes.three_pipe import ThreePipe, three_pipe_plan


def three_pipe(
    edges: float | Sequence[float] = 0.1,
    *,
    resolution: float = 0.1,
    grading: float = 0.25,
    growth: float | None = None,
    section: str = "square",
    offsets: Sequence[float] | None = None,
    phases: Sequence[str] = ("er", "cytosol"),
    period: float | Sequence[float] = 1.0,
    length_unit: str = "um",
    order: int = 1,
    mesher: str | None = None,
    comm: MPI.Comm = MPI.COMM_WORLD,
) -> UnitCell:
    """Return the endoplasmic reticulum as three orthogonal pipes that cross at the centre of the cell; collective.

    Equal square pipes of edge l: volume fraction 3 l^2 - 2 l^3, interface area 12 l (1 - l) per cell.

    Parameters
    ----------
    edges
        Edge of the pipes along x, y, z (``section="round"``: their diameter) as a fraction of the period, in (0, 1),
        or one for all.
    resolution
        Bulk mesh size as a fraction of the period, in (0, 1/3].
    grading
        Mesh size at the re-entrant edges over the bulk size, in (0, 1].
    growth
        Slope of the mesh size away from the edges, > 0; by default 1 on the structured grid, 0.3 with Gmsh.
    section
        ``"square"`` or ``"round"``.
    offsets
        Square pipes: by how much the pipe along x is moved along y, that along y along z, and that along z along x, as
        fractions of the period in (-1/2, 1/2). Pipes that are moved apart no longer cross.
    phases
        ``"er"`` and ``"cytosol"``, or one of them.
    period, length_unit
        Period, or one for each axis (the whole cell is stretched with it), and its unit.
    order
        Degree of the geometry.
    mesher
        ``"structured"`` or ``"gmsh"``; by default the structured grid where it applies.
    comm
        Communicator.

    Raises
    ------
    InputError
        For an edge outside (0, 1), and the like, on every rank.

    Source
    ------
    Goel, Sneyd, Friedman 2006, section 2.7, Multiscale Model. Simul. 5(4), 1045.

    Examples
    --------
    >>> cell = three_pipe(0.1, resolution=0.1)
    >>> round(cell.volume_fractions["er"], 9)
    0.028
    """
    description = ThreePipe(
        edges=edges,
        resolution=resolution,
        grading=grading,
        growth=growth,
        section=section,
        offsets=offsets,
        phases=phases,
        period=period,
        length_unit=length_unit,
        order=order,
        mesher=mesher,
    )
    plan = three_pipe_plan(description)
    return UnitCell.from_plan(plan, comm=comm)
