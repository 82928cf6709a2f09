r"""Triply periodic minimal surfaces, and cells from the user's own level-set functions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from mpi4py import MPI

from homfem.cells.unitcell import UnitCell
from homfem.meshing.cut.level_sets import LevelSet
from homfem.meshing.shapes import surfaces
from homfem.parameters import Lattice


def tpms(
    surface: str = "gyroid",
    *,
    level: float | None = None,
    fraction: float | None = None,
    period: float = 1.0,
    length_unit: str = "m",
    resolution: float = 0.1,
    refinement: int = 0,
    order: int = 1,
    mirrors: str = "none",
    comm: MPI.Comm = MPI.COMM_WORLD,
) -> UnitCell:
    r"""Return a solid bounded by a level of the trigonometric approximation of a minimal surface; collective.

    Phases ``solid``, where :math:`\varphi<t`, and ``pore``. In units of the period over :math:`2\pi`

    * gyroid: :math:`\sin x\cos y+\sin y\cos z+\sin z\cos x`, :math:`|t|<\sqrt2`;
    * Schwarz P: :math:`\cos x+\cos y+\cos z`, :math:`|t|<1`;
    * Schwarz D: :math:`\sin x\sin y\sin z+\sin x\cos y\cos z+\cos x\sin y\cos z+\cos x\cos y\sin z`, :math:`|t|<1`.

    Within these levels both phases percolate. By symmetry the level 0 has the fraction 1/2; other fractions have no
    closed form and are integrated numerically, to about 1e-6.

    Parameters
    ----------
    surface
        ``"gyroid"``, ``"schwarz-p"`` or ``"schwarz-d"``.
    level, fraction
        The level t, or the volume fraction of the solid: one of the two. By default the level 0.
    period, length_unit
        Edge of the cube, and its unit.
    resolution
        Bulk mesh size as a fraction of the period, in (0, 1/3]; 0.15 and less show the surface.
    refinement
        How often it is halved at the surface.
    order
        Degree of the geometry, 1 or 2.
    mirrors
        ``"auto"``: a mesh with the mirror planes of Schwarz P, so that cell problems can be solved on the part between
        them (``symmetry="auto"``). The other two have none across the axes.
    comm
        Communicator.

    Raises
    ------
    InputError
        On every rank: a level or a fraction beyond which a phase is made of islands.

    Source
    ------
    Schwarz 1890; Schoen 1970, NASA TN D-5541; the trigonometric functions: Wohlgemuth, Yufa, Hoffman, Thomas 2001,
    Macromolecules 34, 6083.

    Examples
    --------
    >>> cell = tpms("schwarz-p", fraction=0.4, resolution=0.2)
    >>> round(cell.volume_fractions["solid"], 12)
    0.4
    """
    description = surfaces.MinimalSurface(
        surface=surface,
        level=level,
        fraction=fraction,
        period=period,
        length_unit=length_unit,
        resolution=resolution,
        refinement=refinement,
        order=order,
        mirrors=mirrors,
    )
    plan = surfaces.tpms_plan(description)
    return UnitCell.from_plan(plan, comm=comm)


def level_set_cell(
    functions: Sequence[LevelSet] | LevelSet,
    phases: Sequence[str],
    *,
    period: float | Sequence[float] | Lattice = 1.0,
    dimension: int | None = None,
    fractions: Mapping[str, float] | None = None,
    length_unit: str = "m",
    resolution: float = 0.1,
    refinement: int = 0,
    order: int = 1,
    mirrors: str | Sequence[str] = "none",
    name: str = "implicit",
    comm: MPI.Comm = MPI.COMM_WORLD,
) -> UnitCell:
    r"""Return a cell whose phases are given by level-set functions; collective.

    The phase at a point is the first k with :math:`\varphi_k<0`, and the last phase where there is none. Volumes are
    right to fourth order in the mesh size, exact where ``fractions`` are given, areas to second order.

    Parameters
    ----------
    functions
        One function or several: ``phi(points)`` with points of shape (n, d) in fractions of the shortest period,
        returning shape (n,); periodic, continuous, with a slope that does not vanish on the surface. Called on rank 0.
    phases
        One name more than there are functions.
    period
        One length, one per axis, or the whole lattice, in ``length_unit``.
    dimension
        2 or 3, where ``period`` is one length.
    fractions
        Exact volume fractions of phases, where they are known.
    length_unit
        Unit of the period.
    resolution, refinement, order, mirrors
        See :func:`homfem.meshing.cut.implicit.implicit_raw`.
    name
        What it is.
    comm
        Communicator.

    Raises
    ------
    InputError, CellError
        On every rank; see :func:`homfem.meshing.cut.implicit.implicit_raw`.

    Examples
    --------
    >>> import numpy as np
    >>> wave = lambda x: x[:, 1] - 0.5 - 0.1 * np.sin(2 * np.pi * x[:, 0])
    >>> band = lambda x: np.abs(wave(x)) - 0.2
    >>> cell = level_set_cell(band, ["sheet", "rest"], dimension=2, fractions={"sheet": 0.4})
    >>> round(cell.volume_fractions["sheet"], 12)
    0.4
    """
    description = surfaces.LevelSets(
        functions=functions,
        phases=phases,
        period=period,
        dimension=dimension,
        fractions=fractions,
        length_unit=length_unit,
        resolution=resolution,
        refinement=refinement,
        order=order,
        mirrors=mirrors,
        name=name,
    )
    plan = surfaces.level_set_plan(description)
    return UnitCell.from_plan(plan, comm=comm)
