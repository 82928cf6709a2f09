r"""Images as unit cells: every pixel or voxel cut into simplices or as it is, without a mesher."""

from __future__ import annotations

from mpi4py import MPI

from homfem.cells.unitcell import UnitCell
from homfem.grid.image import Image
from homfem.meshing.shapes import images


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
    plan = images.image_plan(image, elements=elements, name=name)
    return UnitCell.from_plan(plan, comm=comm)
