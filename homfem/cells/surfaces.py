r"""Triply periodic minimal surfaces, and cells from the user's own level-set functions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Unpack

from mpi4py import MPI

from homfem.cells.unitcell import UnitCell
from homfem.keywords import takes
from homfem.meshing.cut.level_sets import LevelSet
from homfem.meshing.shapes import surfaces
from homfem.meshing.shapes.plan import SurfaceMesh, SurfaceMeshOptions


@takes(SurfaceMesh)
def tpms(
    surface: str = "gyroid",
    *,
    level: float | None = None,
    fraction: float | None = None,
    comm: MPI.Comm = MPI.COMM_WORLD,
    **mesh: Unpack[SurfaceMeshOptions],
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
    comm
        Communicator.
    **mesh
        As :class:`homfem.meshing.shapes.plan.SurfaceMesh` has them.

    Notes
    -----
    A ``resolution`` of 0.15 and less shows the surface. Schwarz P has mirror planes across the axes, the others none.

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
        mesh=SurfaceMesh(**mesh),
    )
    plan = surfaces.tpms_plan(description)
    return UnitCell.from_plan(plan, comm=comm)


@takes(SurfaceMesh)
def level_set_cell(
    functions: Sequence[LevelSet] | LevelSet,
    phases: Sequence[str],
    *,
    dimension: int | None = None,
    fractions: Mapping[str, float] | None = None,
    name: str = "implicit",
    comm: MPI.Comm = MPI.COMM_WORLD,
    **mesh: Unpack[SurfaceMeshOptions],
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
    dimension
        2 or 3, where ``period`` is one length.
    fractions
        Exact volume fractions of phases, where they are known.
    name
        What it is.
    comm
        Communicator.
    **mesh
        As :class:`homfem.meshing.shapes.plan.SurfaceMesh` has them.

    Raises
    ------
    InputError, CellError
        On every rank; see :func:`homfem.meshing.cut.implicit.implicit_raw`.

    Examples
    --------
    >>> import numpy as np
    >>> wave = lambda x: x[:, 1] - 0.1 * np.sin(2 * np.pi * x[:, 0])
    >>> band = lambda x: np.abs(wave(x) % 1.0 - 0.5) - 0.2
    >>> cell = level_set_cell(band, ["sheet", "rest"], dimension=2, fractions={"sheet": 0.4})
    >>> round(cell.volume_fractions["sheet"], 12)
    0.4
    """
    description = surfaces.LevelSets(
        functions=functions,
        phases=phases,
        dimension=dimension,
        fractions=fractions,
        name=name,
        mesh=SurfaceMesh(**mesh),
    )
    plan = surfaces.level_set_plan(description)
    return UnitCell.from_plan(plan, comm=comm)
