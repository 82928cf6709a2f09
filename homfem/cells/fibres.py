r"""Arrays of parallel fibres with round, elliptical or polygonal section, coated or not; straight tubes."""

from __future__ import annotations

from typing import Unpack

from mpi4py import MPI

from homfem.cells.unitcell import UnitCell
from homfem.keywords import takes
from homfem.meshing.shapes import fibres
from homfem.meshing.shapes.plan import SurfaceMesh, SurfaceMeshOptions


@takes(SurfaceMesh)
def fibre_array(
    lattice: str = "square",
    *,
    fraction: float | None = None,
    radius: float | None = None,
    coating: float | None = None,
    section: str = "round",
    aspect: float = 1.0,
    sides: int = 6,
    angle: float = 0.0,
    dimension: int = 2,
    axis: str = "z",
    layers: int | None = None,
    comm: MPI.Comm = MPI.COMM_WORLD,
    **mesh: Unpack[SurfaceMeshOptions],
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
    fraction, radius
        Volume fraction of the fibres in (0, 1), or their radius as a fraction of the shorter period of the section
        (half of the long axis of an ellipse, circumradius of a polygon): one of the two.
    coating
        Thickness, > 0, as a fraction of the same period.
    section
        ``"round"``, ``"elliptical"`` or ``"polygon"``. A polygon is met exactly, corners included, on a mesh that may
        be up to a fifth finer for that.
    aspect
        Long over short axis of an ellipse, in [1, 10].
    sides
        Number of sides of a regular polygon, 3 to 12.
    angle
        In degrees from the first axis of the section to the long axis, or to a corner.
    dimension
        2, or 3: the section swept along ``axis``.
    axis
        ``"x"``, ``"y"`` or ``"z"``, in three dimensions; the section's axes are the other two, in their order.
    layers
        Number of mesh layers along the fibres, at least 3; by default as high as ``resolution``, and no more than 3
        where the period along them is one length for all (nothing varies along fibres).
    comm
        Communicator.
    **mesh
        As :class:`homfem.meshing.shapes.plan.SurfaceMesh` has them.

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
    description = fibres.FibreArray(
        lattice=lattice,
        fraction=fraction,
        radius=radius,
        coating=coating,
        section=section,
        aspect=aspect,
        sides=sides,
        angle=angle,
        dimension=dimension,
        axis=axis,
        layers=layers,
        mesh=SurfaceMesh(**mesh),
    )
    plan = fibres.fibre_array_plan(description)
    return UnitCell.from_plan(plan, comm=comm)


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
    description = fibres.FibreArray(
        lattice="square",
        fraction=None,
        radius=radius,
        coating=None,
        section="round",
        aspect=1.0,
        sides=6,
        angle=0.0,
        dimension=dimension,
        axis=axis,
        layers=layers,
        mesh=SurfaceMesh(**mesh),
    )
    plan = fibres.tube_plan(description)
    return UnitCell.from_plan(plan, comm=comm)
