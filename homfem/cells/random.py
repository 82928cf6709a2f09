"""Random media as cells: one sample, periodic, meshed along its surfaces."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from mpi4py import MPI

from homfem.cells.grading import MeshSize
from homfem.cells.implicit import implicit_raw
from homfem.cells.raw import RawCell, scaled
from homfem.cells.unitcell import UnitCell
from homfem.parameters import InputError, Lattice
from homfem.random_media import GaussianMedium, ParticleMedium

PHASES = ("inclusion", "matrix")

#: Mesh size near a surface over what it must resolve there (:meth:`ParticleMedium.feature_size`), and the least mesh
#: size as a fraction of the shortest period: particles that all but touch are refused.
SIZE, LEAST = 0.7, 1e-6


def medium_cell(
    medium: ParticleMedium | GaussianMedium,
    *,
    phases: Sequence[str] = PHASES,
    resolution: float = 0.05,
    refinement: int = 0,
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
        :func:`homfem.cells.implicit.implicit_raw`. Where particles do not overlap, the mesh is finer by itself in the
        gaps between them and where their surfaces are more curved than it.
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
    names = list(phases)
    if len(names) != 2 or len(set(names)) != 2:
        raise InputError("phases", phases, "two different names: of the inclusions and of the rest")
    fraction = medium.volume_fraction if isinstance(medium, ParticleMedium) else None
    shortest = min(medium.period)
    size: MeshSize | None = None
    if isinstance(medium, ParticleMedium) and fraction is not None:
        feature = medium.feature_size()
        size = lambda points: np.maximum(SIZE * feature(points), LEAST * shortest)  # noqa: E731

    def make() -> RawCell:
        raw = implicit_raw(
            medium.level_set(),
            names,
            lattice=Lattice.box(*medium.period),
            resolution=resolution,
            refinement=refinement,
            size=size,
            fractions=None if fraction is None else {names[0]: fraction},
            length_unit=length_unit,
        )
        return scaled(raw, 1.0 / shortest)

    return UnitCell.from_raw(make, comm=comm, name="random", length=shortest * length, length_unit=length_unit)
