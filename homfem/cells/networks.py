r"""Networks of square pipes that wind, and heart muscle cells in a brick lattice; every face in a coordinate plane."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Unpack

from mpi4py import MPI

from homfem.cells.unitcell import UnitCell
from homfem.keywords import takes
from homfem.meshing.shapes import networks
from homfem.meshing.shapes.plan import BoxMeshOptions, MyocyteOptions, Myocytes, NetworkMesh


@takes(NetworkMesh)
def tortuous_pipes(
    edge: float = 0.0868,
    straight_edge: float = 0.1003,
    detour: float = 0.1619,
    *,
    comm: MPI.Comm = MPI.COMM_WORLD,
    **mesh: Unpack[BoxMeshOptions],
) -> UnitCell:
    r"""Return three pipes of which two wind: endoplasmic reticulum (ER) as in Goel et al., figure 9; collective.

    The pipe along z is straight, with the section :math:`a\times a`. Those along x and y have the section
    :math:`b\times b` and step aside by the detour d along z, down and up again, between two crossings: their path is
    :math:`1+2d` long. All cross at the centre.

    Parameters
    ----------
    edge
        Edge b of the winding pipes as a fraction of the period, in (0, 1/2).
    straight_edge
        Edge a of the straight pipe, in (0, 1/2).
    detour
        Step d, > b and < 1 - b: the pipe must leave its own level.
    comm
        Communicator.
    **mesh
        As in :func:`homfem.cells.painted.painted_cell`.

    Notes
    -----
    Phases ``er`` and ``cytosol``. The paper prints the picture, the volume fraction .0285, the area "close to 1.2" and
    the factors 6.7e-3, 6.7e-3 and 1.04e-2, not the path. The default sizes are fitted: they give the three numbers to
    their printed figures, and the area 1.22.

    Source
    ------
    Goel, Sneyd, Friedman 2006, section 5.2 and figure 9, Multiscale Model. Simul. 5(4), 1045.
    """
    plan = networks.tortuous_pipes_plan(
        edge,
        straight_edge,
        detour,
        mesh=NetworkMesh(**mesh),
    )
    return UnitCell.from_plan(plan, comm=comm)


@takes(Myocytes)
def myocyte(
    length: float = 100.0,
    width: float = 20.0,
    height: float | None = 20.0,
    gap: float | Sequence[float] = 2.0,
    *,
    staggered: bool = True,
    joined: str = "xyz",
    comm: MPI.Comm = MPI.COMM_WORLD,
    **common: Unpack[MyocyteOptions],
) -> UnitCell:
    r"""Return heart muscle cells in a brick lattice, joined by gap junctions; collective.

    Cells of length l along x, width w and height h are separated by the gap g, which the extracellular space fills;
    every second row along y is shifted by half a cell. The period is :math:`(l+g)\times2(w+g)\times(h+g)`. Patches of
    junctions bridge the gap between the ends of the cells (:math:`e\,w\times e\,h` with ``end_patch`` e) and between
    their sides (:math:`s(l-g)/2` long, ``side_patch`` s, and as high or wide as the ends'), two to each row beside.
    Without the shift the period is :math:`(l+g)\times(w+g)\times(h+g)`, and one patch, :math:`s\,l` long, is in the
    middle of each side.

    Phases: ``intracellular`` (fraction :math:`lwh/[(l+g)(w+g)(h+g)]`), ``junction``, ``extracellular``. The membrane is
    the facet group ``"intracellular|extracellular"``, the faces of the junctions ``"intracellular|junction"``, of which
    ``"end-junctions"`` are those across x and ``"side-junctions"`` the others.
    Intracellular space and junctions together reach through the cell in the directions that are joined, and the
    extracellular space in all (in the plane, and with ``end_patch=1``, not across what is joined).

    Parameters
    ----------
    length, width, height
        Size of a cell, > 0, in ``length_unit``; without a height a plane cell.
    gap
        Width of the extracellular space, > 0 and smaller than the cell; or two widths, between ends and between sides.
    staggered
        Whether every second row is shifted.
    joined
        The axes along which cells are joined: ``"x"`` (end to end), ``"xy"``, ``"xyz"``.
    comm
        Communicator.
    **common
        As :class:`homfem.meshing.shapes.plan.Myocytes` has them.

    Notes
    -----
    A junction is a channel of conductivity :math:`\sigma_j` between two faces. One of the resistance R per area has
    the permeability 2/R on each of them (:func:`homfem.homogenize_bidomain`), or, with no faces that resist,
    :math:`\sigma_j=g/R`.
    """
    given = networks.BrickMyocytes(
        length=length, width=width, height=height, gap=gap, staggered=staggered, joined=joined
    )
    return UnitCell.from_plan(networks.myocyte_plan(given, Myocytes(**common)), comm=comm)
