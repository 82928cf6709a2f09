r"""Heart muscle cells of hexagonal section in a hexagonal array; every interface is plane, the mesh is structured.

The section of the tissue is cut into the hexagons of the array, one around each cell; each of them into six sectors
around its centre, and a sector into rows of triangles up to the side of the cell and a strip of rectangles beyond. The
triangles become prisms along the cells, and each prism three tetrahedra.
"""

from __future__ import annotations

from typing import Unpack

from mpi4py import MPI

from homfem.cells.unitcell import UnitCell
from homfem.keywords import takes
from homfem.meshing.shapes import hexagonal
from homfem.meshing.shapes.plan import MyocyteOptions, Myocytes


@takes(Myocytes)
def hexagonal_myocyte(
    length: float = 100.0,
    width: float = 20.0,
    gap: float = 2.0,
    *,
    staggered: bool = True,
    comm: MPI.Comm = MPI.COMM_WORLD,
    **common: Unpack[MyocyteOptions],
) -> UnitCell:
    r"""Return heart muscle cells of hexagonal section in a hexagonal array, joined by gap junctions; collective.

    Cells of length l along x, whose section is a regular hexagon of width w from side to side, are separated from each
    of their six neighbours and end to end by the gap g, which the extracellular space fills. Two opposite sides are
    normal to y; every second row along z is shifted by half a cell along x. With the distance :math:`p=w+g` of the axes
    the period is :math:`(l+g)\times p\times\sqrt3\,p` and holds two cells. Patches of junctions bridge the gap between
    the ends (hexagons of width :math:`e\,w`, ``end_patch`` e) and to each of the six neighbours (two rectangles as wide
    as the side of the hexagon :math:`e\,w`, and long :math:`s\,(l-g)/2`, ``side_patch`` s). Volume fractions:

    .. math::
        \phi_\mathrm{intracellular} = \frac{l\,w^2}{(l+g)\,p^2},\qquad
        \phi_\mathrm{junction} = \frac{g\,[e^2w^2 + 2\,e\,s\,w\,(l-g)]}{(l+g)\,p^2}.

    Phases: ``intracellular``, ``junction``, ``extracellular``. The membrane is the facet group
    ``"intracellular|extracellular"``, the faces of the junctions ``"intracellular|junction"``, of the areas (per cell)
    :math:`A=\sqrt3\,e^2w^2+2\sqrt3\,e\,s\,w\,(l-g)` of junctions and :math:`\sqrt3\,w^2+2\sqrt3\,w\,l-A` of membrane.
    Intracellular space and junctions together reach through the cell in all directions, and so does the extracellular
    space.

    Parameters
    ----------
    length, width
        Size of a cell, > 0, in ``length_unit``.
    gap
        Width of the extracellular space, > 0 and smaller than the cell.
    staggered
        Whether every second row is shifted. Without the shift the cell has the symmetry of the hexagon, and every
        tensor is isotropic in the plane across the cells.
    comm
        Communicator.
    **common
        As :class:`homfem.meshing.shapes.plan.Myocytes` has them.

    Raises
    ------
    InputError
        For a size or a fraction out of range; on every rank.

    Notes
    -----
    A junction of specific conductance G (per area) has the coefficient :math:`G\,g`. The mesh of the period is not a
    box: it is that of two whole hexagons side by side, which tile space by the lattice.

    Examples
    --------
    >>> cell = hexagonal_myocyte(80.0, 16.0, 2.0, resolution=1 / 3)
    >>> round(cell.volume_fractions["intracellular"], 9)
    0.770852153
    """
    plan = hexagonal.hexagonal_myocyte_plan(length, width, gap, staggered=staggered, common=Myocytes(**common))
    return UnitCell.from_plan(plan, comm=comm)
