"""Images as unit cells: every pixel or voxel cut into simplices or as it is, without a mesher."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from mpi4py import MPI

from homfem.cells.boxgrid import ELEMENTS, box_grid_raw, require_boxes
from homfem.cells.raw import RawCell
from homfem.cells.unitcell import UnitCell
from homfem.grid.image import Image
from homfem.parameters import Array, PeriodicityError, check_choice


def image_cell(
    image: Image, *, elements: str = "simplex", name: str = "image", comm: MPI.Comm = MPI.COMM_WORLD
) -> UnitCell:
    """Return the cell of an image, cut into simplices or voxel by voxel; collective.

    The mesh is the image: nothing is smoothed.

    Parameters
    ----------
    image
        The image, one period; its names are the phases.
    elements
        ``"simplex"``: two triangles in every pixel, six tetrahedra in every voxel; the diagonals of neighbours are
        mirror images of each other, so that no direction is preferred where the number of voxels is even.
        ``"voxel"``: a quadrilateral for every pixel, a hexahedron for every voxel. A sixth of the mesh cells in 3D for
        the same nodes, but no lower bound and no adaptive refinement, which need simplices.
    name
        What it is.
    comm
        Communicator.

    Raises
    ------
    InputError
        For other elements.
    MemoryLimitError
        For a mesh that does not fit into memory.
    PeriodicityError
        For fewer than three voxels along an axis.

    Notes
    -----
    For diffusion :func:`homfem.grid.homogenize_image` takes the image as it is, with a fraction of the memory. The mesh
    is for the other physics. Voxels of one phase that meet in a corner or an edge only are not connected: no flux
    passes there. Continuous elements share the nodes there and let one pass, so that an upper bound is not sharp.
    """
    check_choice("elements", elements, ELEMENTS)
    small = [axis for axis, n in zip("xyz", image.shape, strict=False) if n < 3]
    if small:
        raise PeriodicityError(
            "image", image.shape, f"at least 3 voxels along {small[0]} for a mesh", "Cut the voxels: image.refined(3)."
        )
    require_boxes("image", image.shape, image.phases.size, image.dimension, elements)
    shortest = min(image.period)

    def make() -> RawCell:
        sides = zip(image.period, image.shape, strict=True)
        axes: list[Array] = [np.asarray(np.linspace(0.0, side / shortest, n + 1)) for side, n in sides]
        return box_grid_raw(
            axes,
            image.phases.astype(np.int32) + 1,
            {phase: tag for tag, phase in enumerate(image.names, start=1)},
            elements=elements,
            upward=[np.arange(n) % 2 == 0 for n in image.shape],
            length_unit=image.length_unit,
        )

    cell = UnitCell.from_raw(make, comm=comm, name=name, length=shortest, length_unit=image.length_unit)
    return replace(cell, warnings=image.warnings + cell.warnings)
