r"""Arrays of parallel fibres with round, elliptical or polygonal section, coated or not; straight tubes."""

from __future__ import annotations

from typing import Unpack

from mpi4py import MPI

from homfem.cells.unitcell import UnitCell
from homfem.keywords import takes
from homfem.meshing.shapes.fibres import FibreArray, FibreArrayOptions, fibre_array_plan, tube_plan
from homfem.meshing.shapes.plan import SurfaceMesh, SurfaceMeshOptions


@takes(FibreArray)
def fibre_array(
    lattice: str = "square", *, comm: MPI.Comm = MPI.COMM_WORLD, **array: Unpack[FibreArrayOptions]
) -> UnitCell:
    r"""Return an array of parallel fibres in a matrix; collective.

    Phases ``fibre``, ``matrix`` and, with a coating, ``coating``. With N fibres in the section S of the cell (N = 1
    square, 2 hexagonal) and the radius r the fraction and the perimeter of a fibre are

    =========== ============================================ =================================
    section     fraction of the fibres                       perimeter
    =========== ============================================ =================================
    round       :math:`N\pi r^2/S`                           :math:`2\pi r`
    elliptical  :math:`N\pi r^2/(aS)`, aspect a              an elliptic integral
    polygon     :math:`N\tfrac n2r^2\sin\tfrac{2\pi}n/S`     :math:`2nr\sin\tfrac\pi n`
    =========== ============================================ =================================

    and the mesh has these fractions to round-off. A coating of thickness t is the difference between the section with
    r + t (ellipse: both half axes plus t; polygon: sides moved by t) and the fibre.

    Parameters
    ----------
    lattice
        ``"square"``: one fibre in the centre of the section (a rectangle if its two periods differ);
        ``"hexagonal"``: fibres in the centre and the corners of a rectangle 1 by :math:`\sqrt3`.
    comm
        Communicator.
    **array
        As :class:`homfem.meshing.shapes.fibres.FibreArray` has them.

    Raises
    ------
    InputError
        On every rank: sizes out of range, fibres (with their coatings) that touch; the largest fraction is named.

    Notes
    -----
    ``period`` is one length (that of the first axis of the section, and that along the fibres), or one for each axis;
    for ``"hexagonal"`` the second of the section is :math:`\sqrt3` times the first. In the plane also two period
    vectors, with one fibre in the cell (``"square"``); the shortest vectors of their lattice are meshed. Sections that
    are turned may have no mirrors; in three dimensions the number of layers must be even for them.

    Examples
    --------
    >>> cell = fibre_array("hexagonal", fraction=0.3)
    >>> round(cell.volume_fractions["fibre"], 12)
    0.3
    """
    return UnitCell.from_plan(fibre_array_plan(lattice, FibreArray(**array)), comm=comm)


@takes(SurfaceMesh)
def tube(
    radius: float,
    *,
    axis: str = "z",
    dimension: int = 3,
    layers: int | None = None,
    comm: MPI.Comm = MPI.COMM_WORLD,
    **mesh: Unpack[SurfaceMeshOptions],
) -> UnitCell:
    r"""Return a straight round pore along an axis; collective.

    Phases ``pore`` (fraction :math:`\pi r^2/S` with the section S of the cell) and ``solid``; wall area
    :math:`2\pi r` per length of the tube. The parameters are those of :func:`fibre_array`.

    Examples
    --------
    >>> cell = tube(0.25, dimension=2)
    >>> round(cell.volume_fractions["pore"], 9)
    0.196349541
    """
    described = FibreArray(radius=radius, dimension=dimension, axis=axis, layers=layers, **mesh)
    return UnitCell.from_plan(tube_plan(described), comm=comm)
