"""Tensors by the methods that need no mesh: those of block media, and those of voxels. No dolfinx here."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from homfem.blocks.layout import label_fractions, label_interface, read_layout
from homfem.config.physics.methods import METHODS
from homfem.config.shapes.blocks import Blocks
from homfem.config.shapes.cell_table import CellTable
from homfem.config.shapes.images import ImageCell
from homfem.config.shapes.random import RandomShape
from homfem.config.table import keys_from
from homfem.parameters import InputError
from homfem.runs.physics import value_of
from homfem.runs.runners import runner
from homfem.runs.shapes import image_of, voxels_of

if TYPE_CHECKING:
    from homfem.blocks.medium import BlockMedium
    from homfem.config.physics.diffusion import Diffusion
    from homfem.config.physics.effective_table import EffectiveTable
    from homfem.grid import Image
    from homfem.tensors import EffectiveTensor


@dataclass(frozen=True, kw_only=True, slots=True)
class BlockSolution:
    """A block medium and its effective tensor.

    Parameters
    ----------
    medium
        The blocks with their coefficients, lengths in ``length_unit``.
    tensor
        The effective tensor.
    length_unit
        Unit of the lengths.
    """

    medium: BlockMedium
    tensor: EffectiveTensor
    length_unit: str


def solve_meshless(
    cell: CellTable, effective: Diffusion | EffectiveTable, folder: Path, *, fields: bool = False
) -> Any:
    """Return the solution by the method of ``[effective]``, which is one of the cell's own. On one rank.

    Parameters
    ----------
    cell, effective
        The tables of the config.
    folder
        Where files are sought from.
    fields
        Whether to keep what a picture of voxels needs.

    Raises
    ------
    InputError
        If the cell has no such method, or the medium is none that it solves.
    """
    if not cell.meshless_runner:
        raise InputError("method", getattr(effective, "method", ""), "'finite-element' for this cell")
    return runner(cell.meshless_runner)(cell, effective, folder, fields)


def block_medium(cell: Blocks, effective: Diffusion, unit: str) -> BlockMedium:
    """Return the medium with the coefficients in ``unit``; a letter without one insulates."""
    from homfem.blocks.medium import BlockMedium

    values: dict[str, Any] = {}
    for name, coefficient in effective.phases.items():
        value = np.asarray(coefficient.to(unit))
        if value.ndim == 2 and np.any(value != np.diag(np.diag(value))):
            raise InputError(
                f"phases.{name}", str(coefficient), f"a number or a diagonal matrix with {effective.method!r}",
                "Use method = 'finite-element' for axes that are not those of the blocks.",
            )  # fmt: skip
        values[name] = np.diag(value) if value.ndim == 2 else float(value)
    widths, heights = (part * q.value for part, q in zip(cell.parts(), cell.periods, strict=True))
    return BlockMedium.from_layout(cell.layout, values, widths=widths, heights=heights[::-1])


def solve_blocks(cell: Blocks, effective: Diffusion, folder: Path, fields: bool) -> BlockSolution:
    """Return the medium and its tensor by one of the methods of :mod:`homfem.blocks`."""
    from homfem.blocks import homogenize_blocks

    unit, length_unit = effective.unit, cell.periods[0].unit
    medium = block_medium(cell, effective, unit)
    labels, letters = read_layout(cell.layout)
    options = {key: getattr(effective, key) for key in METHODS[effective.method].model_fields}
    tensor = homogenize_blocks(
        medium,
        method=effective.method,
        unit=unit,
        physics=effective.physics,
        length_unit=length_unit,
        volume_fractions=label_fractions(labels, letters, cell.parts()),
        active_phases=tuple(name for name in letters if name in effective.phases),
        **{key: value for key, value in options.items() if value is not None},
    )
    lengths = [part * entry.value for part, entry in zip(cell.parts(), cell.periods, strict=True)]
    tensor = replace(tensor, interface_area=label_interface(labels, lengths))
    return BlockSolution(medium=medium, tensor=tensor, length_unit=length_unit)


def solve_image_cell(cell: ImageCell, effective: EffectiveTable, folder: Path, fields: bool) -> Any:
    """Return the solution on the voxels of an image."""
    image = image_of(cell, folder)
    try:
        return _solve_voxels(image, effective, fields, "cell.file")
    except InputError as error:
        if error.name != "cell.file":
            raise
        raise type(error)("cell.file", cell.file, error.allowed, error.remedy) from error


def solve_voxels(cell: RandomShape, effective: EffectiveTable, folder: Path, fields: bool) -> Any:
    """Return the solution on the voxels of a random medium."""
    return _solve_voxels(voxels_of(cell), effective, fields, "cell.voxels")


def _solve_voxels(image: Image, effective: Any, fields: bool, key: str) -> Any:
    """Return the solution on the voxels of an image, which has that key in the config."""
    if effective.voxel_runner:
        with keys_from({"image": key}):
            return runner(effective.voxel_runner)(image, effective, fields)
    from homfem.grid import solve_image

    effective.check(image.names, image.dimension)
    unit = effective.unit
    with keys_from({"image": key}):
        return solve_image(
            image,
            {name: value_of(name, value, unit) for name, value in effective.phases.items()},
            tolerance=effective.tolerance,
            refine=effective.refine or 1,
            max_dofs=effective.max_dofs,
            unit=unit,
            physics=effective.physics,
            fields=fields,
        )
