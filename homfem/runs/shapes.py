"""The meshed cells of the tables ``[cell]``, and the images and random media that some of them are made of."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from homfem.config.shapes.cell_table import CellTable
from homfem.config.shapes.files import FileCell
from homfem.config.shapes.images import ImageCell
from homfem.config.shapes.random import GaussianField, RandomParticles, RandomShape
from homfem.config.table import keys_from, renamed
from homfem.parameters import CellError, InputError, VariableError
from homfem.ranks import on_root
from homfem.runs.runners import runner

if TYPE_CHECKING:
    from mpi4py import MPI

    from homfem.cells.unitcell import UnitCell
    from homfem.grid import Image
    from homfem.random_media import GaussianMedium, ParticleMedium


def make_cell(table: CellTable, comm: MPI.Comm, folder: Path) -> UnitCell:
    """Return the meshed cell of a table ``[cell]``; files are sought from ``folder``. Collective."""
    cell: UnitCell = runner(table.runner)(table, comm, folder)
    return cell


def made(table: CellTable, comm: MPI.Comm, folder: Path) -> UnitCell:
    """Return the cell that the table's maker makes of the table's arguments; collective."""
    with keys_from(table.argument_keys):
        cell: UnitCell = runner(table.maker)(**table.arguments(), comm=comm)
    return cell


def from_file(table: FileCell, comm: MPI.Comm, folder: Path) -> UnitCell:
    """Return the cell of a mesh or a geometry; collective."""
    from homfem import cells

    options = table.arguments()
    with _naming_the_file(table):
        return cells.from_file(folder / table.file, comm=comm, **options)


@contextmanager
def _naming_the_file(table: FileCell) -> Iterator[None]:
    """Name the file in errors about what it holds."""
    try:
        yield
    except InputError as error:
        key = re.split(r"[^\w]", error.name)[0]
        if key == "lattice" and table.period is not None:
            raise renamed(error, "cell.period") from error
        if key in type(table).model_fields or isinstance(error, VariableError):
            raise
        words = f"a usable cell, but its {error.name} = {error.shown} must be {error.allowed}"
        raise type(error)("cell.file", table.file, words, error.remedy) from error


def image_of(table: ImageCell, folder: Path) -> Image:
    """Return the image of the file, mirrored as the table says."""
    from homfem import grid

    try:
        image = grid.read_image(folder / table.file, **table.arguments())
    except InputError as error:
        if error.name == "image":
            remedy = f"It holds {error.shown.strip(chr(39))}. {error.remedy}".strip()
            raise type(error)("cell.file", table.file, error.allowed, remedy) from error
        raise renamed(error, f"cell.{re.sub('^image', 'file', error.name)}") from error
    axes = ["xyz".index(axis) for axis in table.mirror]
    return image.mirrored(*axes) if axes else image


def from_image(table: ImageCell, comm: MPI.Comm, folder: Path) -> UnitCell:
    """Return the cell of an image, every voxel cut into simplices or as it is; collective."""
    from homfem import cells

    image: list[Image] = []
    on_root(comm, lambda: image.append(image_of(table, folder)))
    shared: Image = comm.bcast(image[0] if image else None, root=0)
    return cells.image_cell(shared, elements=table.elements or "simplex", name=Path(table.file).name, comm=comm)


def medium_of(table: RandomShape) -> ParticleMedium | GaussianMedium:
    """Return the medium in a box of unit sides; errors have the keys of the table."""
    with keys_from({"shape": "cell.voxels", **table.argument_keys}, "cell"):
        medium: ParticleMedium | GaussianMedium = runner(table.medium)(table)
    return medium


def particle_medium(table: RandomParticles) -> ParticleMedium:
    """Return the particles in a box of unit sides."""
    from homfem import random_media as media

    kind: Any = {
        "sphere": lambda: media.Sphere(table.radius or 0.0),
        "ellipsoid": lambda: media.Ellipsoid(table.semi_axes),  # type: ignore[arg-type]
        "fibre": lambda: media.Fibre(table.length or 0.0, table.radius or 0.0),
    }[table.particle]()
    given: dict[str, Any] = {"period": (1.0,) * table.dimension, "fraction": table.fraction, "seed": table.seed}
    if table.overlap:
        return media.boolean_model(kind, **given)
    return media.random_sequential_addition(kind, gap=table.least_gap, **given)


def gaussian_field(table: GaussianField) -> GaussianMedium:
    """Return the field in a box of unit sides."""
    from homfem.random_media import gaussian_medium

    sides = (1.0,) * table.dimension
    return gaussian_medium(table.correlation_length, period=sides, fraction=table.fraction, seed=table.seed)


def voxels_of(table: RandomShape) -> Image:
    """Return the voxels of the medium of a table."""
    from homfem.grid import Image

    medium, length = medium_of(table), table.period[0]
    with keys_from({"shape": "cell.voxels"}, "cell"):
        labels = medium.labels(table.voxels)
    size = length.value / table.voxels
    return Image.from_labels(labels, {"inclusion": 1, "matrix": 0}, voxel=size, length_unit=length.unit)


def from_medium(table: RandomShape, comm: MPI.Comm, folder: Path) -> UnitCell:
    """Return the meshed medium of a table; collective."""
    from homfem import cells

    medium, length = medium_of(table), table.period[0]
    given: dict[str, Any] = {} if table.resolution is None else {"resolution": table.resolution}
    given |= {"refinement": table.refinement, "order": table.order}
    given |= {"length": length.value, "length_unit": length.unit}
    with keys_from(table.argument_keys, "cell"):
        try:
            return cells.medium_cell(medium, comm=comm, **given)
        except CellError as error:
            if error.name != "functions":
                raise
            allowed = f"resolved by its mesh, not with {error.value}"
            raise CellError("cell.shape", table.shape, allowed, table.remedy) from error
