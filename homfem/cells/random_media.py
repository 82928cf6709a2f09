r"""Random media as cells: one sample, periodic, meshed along its surfaces."""

from __future__ import annotations

from collections.abc import Sequence

from mpi4py import MPI

from homfem.cells.unitcell import UnitCell
from homfem.meshing.shapes import random_media
from homfem.random_media import GaussianMedium, ParticleMedium


def medium_cell(
    medium: ParticleMedium | GaussianMedium,
    *,
    phases: Sequence[str] = random_media.PHASES,
    resolution: float = 0.05,
    refinement: int = 0,
    order: int = 1,
    length: float = 1.0,
    length_unit: str = "m",
    comm: MPI.Comm = MPI.COMM_WORLD,
) -> UnitCell:
    """Return the cell of a random medium; collective.

    Parameters
    ----------
    medium
        Particles (:func:`homfem.random_media.random_sequential_addition`, ``boolean_model``) or a thresholded Gaussian
        field (``gaussian_medium``).
    phases
        Names of the inclusions and of the rest.
    resolution, refinement
        Mesh size as a fraction of the shortest period, and how many times it is halved at the surfaces: see
        :func:`homfem.meshing.cut.implicit.implicit_raw`. Where particles do not overlap, the mesh is finer by itself in
        the gaps between them and where their surfaces are more curved than it.
    order
        Degree of the surfaces: 1, flat facets; 2, and 3 and 4 in the plane, for surfaces that are smooth. Curved cells
        around particles may be larger, and are (:mod:`homfem.meshing.cut.coarsening`), unless ``refinement`` is given;
        those of a Gaussian field, which undulates at any length, are as the grid is.
    length
        Length of one unit of the medium, in ``length_unit``.
    length_unit, comm
        Unit of length; communicator.

    Raises
    ------
    CellError
        Where the mesh is too coarse for the medium: particles that overlap meet at sharp edges, a Gaussian field has
        necks and gaps of any width.

    Notes
    -----
    For diffusion alone the voxels of the medium on their grid (:func:`homfem.grid.homogenize_image` of
    ``medium.labels(shape)``) are faster; the mesh follows the surfaces and serves every physics.
    """
    plan = random_media.medium_plan(
        medium,
        phases=phases,
        resolution=resolution,
        refinement=refinement,
        order=order,
        length=length,
        length_unit=length_unit,
    )
    return UnitCell.from_plan(plan, comm=comm)
