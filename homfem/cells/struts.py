r"""Lattices of straight struts, such as scaffolds and metamaterials: cubic, body-centred cubic, octet truss.

The axes of the struts are whole lines through the points of a lattice: along the axes of the cubic cell, along its
four diagonals, or along the six diagonals of its faces. At each point as many struts cross.
"""

from __future__ import annotations

from typing import Unpack

from mpi4py import MPI

from homfem.cells.unitcell import UnitCell
from homfem.keywords import takes
from homfem.meshing.shapes.plan import SurfaceMesh, SurfaceMeshOptions
from homfem.meshing.shapes.struts import Struts, struts_plan


@takes(SurfaceMesh)
def struts(
    kind: str = "cubic",
    *,
    thickness: float | None = None,
    fraction: float | None = None,
    section: str = "round",
    fillet: float = 0.0,
    comm: MPI.Comm = MPI.COMM_WORLD,
    **mesh: Unpack[SurfaceMeshOptions],
) -> UnitCell:
    r"""Return a lattice of struts in a pore space; collective.

    ``"cubic"``: struts along the axes of the cell; ``"body-centred"``: along its four diagonals; ``"octet"``: along the
    diagonals of its faces, which join the points of a face-centred lattice to their twelve neighbours. Round struts
    cross at the corners of the cell, square ones at its centre. Phases ``strut`` and ``pore``; the fraction of the
    struts is that of :func:`homfem.meshing.shapes.struts.strut_fraction`.

    Parameters
    ----------
    kind
        ``"cubic"``, ``"body-centred"`` or ``"octet"``.
    thickness
        Diameter (``section="square"``: edge) of the struts as a fraction of the period, > 0, below 1,
        :math:`1/\sqrt2` and :math:`1/\sqrt6` for the three kinds: from there on struts touch that do not cross.
    fraction
        Volume fraction of the struts, instead of their thickness; only with sharp joints.
    section
        ``"round"``, or ``"square"``: plane faces, cubic only.
    fillet
        Radius of the fillets at the joints of round struts as a fraction of the period, >= 0, so small that it does
        not fill the windows: thickness/2 + fillet below half of the bound of the thickness. Body-centred lattices and
        octet trusses need one, > 0.
    comm
        Communicator.
    **mesh
        As :class:`homfem.meshing.shapes.plan.SurfaceMesh` has them.

    Raises
    ------
    InputError
        For sizes out of range, and for what is not available: square struts that are not cubic, sharp joints of four
        or six round struts, a fraction with fillets.
    CellError
        If the mesh is too coarse for the struts, the windows between them, or the fillets.

    Notes
    -----
    With sharp joints the fraction of the mesh is exact to round-off; with fillets it is that of the mesh, to fourth
    order in its size. The interface area of round cubic struts is larger than the true one, which is
    :math:`6\pi r-24\sqrt2\,r^2` in a cell of edge 1: by 1 % at r = 0.3 and ``resolution`` 0.1, and by 3 % at r = 0.05,
    where that mesh is coarse. With the distances :math:`d_i` to the round struts of each direction and the fillet
    :math:`\rho` the pore is where

    .. math:: \max(\rho,\min_i d_i)>\Bigl[\sum_i\max(\rho-d_i,0)^2\Bigr]^{1/2}.

    Examples
    --------
    >>> cell = struts("cubic", thickness=0.3, section="square", resolution=0.25)
    >>> round(cell.volume_fractions["strut"], 12)
    0.216
    """
    description = Struts(
        kind=kind,
        thickness=thickness,
        fraction=fraction,
        section=section,
        fillet=fillet,
        mesh=SurfaceMesh(**mesh),
    )
    plan = struts_plan(description)
    return UnitCell.from_plan(plan, comm=comm)
