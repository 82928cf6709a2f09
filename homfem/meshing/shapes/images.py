"""Images as unit cells: every pixel or voxel cut into simplices or as it is, without a mesher."""

from __future__ import annotations

import numpy as np

from homfem.grid.image import Image
from homfem.meshing.arrays.raw_cell import RawCell
from homfem.meshing.shapes.box_grid import ELEMENTS, box_grid_raw, require_boxes
from homfem.meshing.shapes.plan import CellPlan
from homfem.parameters import Array, PeriodicityError, check_choice


def image_plan(image: Image, *, elements: str = "simplex", name: str = "image") -> CellPlan:
    """Plan the cell of :func:`homfem.cells.image_cell`, which has the parameters; no MPI here."""
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

    return CellPlan(
        make=make, name=name, length=shortest, length_unit=image.length_unit, warnings=image.warnings, conforming=True
    )
