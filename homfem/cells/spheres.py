r"""Simple cubic, body-centred and face-centred arrays of spheres, apart or overlapping."""

from __future__ import annotations

from typing import Unpack

from mpi4py import MPI

from homfem.cells.unitcell import UnitCell
from homfem.keywords import takes
from homfem.meshing.shapes import spheres
from homfem.meshing.shapes.plan import SurfaceMesh, SurfaceMeshOptions


@takes(SurfaceMesh)
def sphere_array(
    lattice: str = "simple-cubic",
    *,
    fraction: float | None = None,
    radius: float | None = None,
    overlap: bool = False,
    comm: MPI.Comm = MPI.COMM_WORLD,
    **mesh: Unpack[SurfaceMeshOptions],
) -> UnitCell:
    r"""Return a cubic array of equal spheres in a matrix; collective.

    Phases ``sphere`` and ``matrix``. With N spheres of radius r in a cube of edge 1 (N = 1, 2, 4) that do not touch the
    fraction is :math:`\tfrac43\pi Nr^3`, the area :math:`4\pi Nr^2`. They touch at r = 1/2, :math:`\sqrt3/4`,
    :math:`\sqrt2/4`, with the fractions .5236, .6802, .7405.

    Spheres that overlap (``overlap=True``) lose a cap of height :math:`h=r-a/2` to each of their z nearest neighbours
    at the distance a (z = 6, 8, 12):

    .. math:: f = N\bigl(\tfrac43\pi r^3 - z\,\tfrac13\pi h^2(3r-h)\bigr), \quad A = N(4\pi r^2-2\pi z\,r h),

    as long as no two caps of a sphere meet: r < :math:`a/\sqrt2` for simple cubic, and less for the others (see the
    message). Then the phase ``sphere`` percolates. The mesh has these fractions to round-off, and nodes on the edges
    where spheres meet.

    Parameters
    ----------
    lattice
        ``"simple-cubic"``, ``"body-centred"`` or ``"face-centred"``.
    fraction, radius
        Volume fraction of the spheres, or their radius as a fraction of the period: one of the two.
    overlap
        Whether the spheres may overlap.
    comm
        Communicator.
    **mesh
        As :class:`homfem.meshing.shapes.plan.SurfaceMesh` has them.

    Raises
    ------
    InputError
        On every rank: sizes out of range, spheres that touch; the largest fraction is named.

    Examples
    --------
    >>> cell = sphere_array("body-centred", fraction=0.2, resolution=0.2)
    >>> round(cell.volume_fractions["sphere"], 12)
    0.2
    """
    description = spheres.SphereArray(
        lattice=lattice,
        fraction=fraction,
        radius=radius,
        overlap=overlap,
        mesh=SurfaceMesh(**mesh),
    )
    plan = spheres.sphere_array_plan(description)
    return UnitCell.from_plan(plan, comm=comm)
