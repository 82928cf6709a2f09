"""The endoplasmic reticulum as three orthogonal pipes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Unpack

from mpi4py import MPI

from homfem.cells.unitcell import UnitCell
from homfem.keywords import takes
from homfem.meshing.shapes.three_pipe import PipeMesh, PipeMeshOptions, ThreePipe, three_pipe_plan


@takes(PipeMesh)
def three_pipe(
    edges: float | Sequence[float] = 0.1,
    *,
    section: str = "square",
    offsets: Sequence[float] | None = None,
    phases: Sequence[str] = ("er", "cytosol"),
    order: int = 1,
    mesher: str | None = None,
    comm: MPI.Comm = MPI.COMM_WORLD,
    **mesh: Unpack[PipeMeshOptions],
) -> UnitCell:
    """Return the endoplasmic reticulum as three orthogonal pipes that cross at the centre of the cell; collective.

    Equal square pipes of edge l: volume fraction 3 l^2 - 2 l^3, interface area 12 l (1 - l) per cell.

    Parameters
    ----------
    edges
        Edge of the pipes along x, y, z (``section="round"``: their diameter) as a fraction of the period, in (0, 1),
        or one for all.
    section
        ``"square"`` or ``"round"``.
    offsets
        Square pipes: by how much the pipe along x is moved along y, that along y along z, and that along z along x, as
        fractions of the period in (-1/2, 1/2). Pipes that are moved apart no longer cross.
    phases
        ``"er"`` and ``"cytosol"``, or one of them.
    order
        Degree of the geometry.
    mesher
        ``"structured"`` or ``"gmsh"``; by default the structured grid where it applies.
    comm
        Communicator.
    **mesh
        As :class:`homfem.meshing.shapes.three_pipe.PipeMesh` has them.

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
        section=section,
        offsets=offsets,
        phases=phases,
        order=order,
        mesher=mesher,
        mesh=PipeMesh(**mesh),
    )
    plan = three_pipe_plan(description)
    return UnitCell.from_plan(plan, comm=comm)
