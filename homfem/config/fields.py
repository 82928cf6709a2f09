"""Coefficients from a file, with a value for each voxel of an image or each element of a mesh."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from homfem.config.table import Missing, refuse_unknown, renamed, require_file
from homfem.parameters import Array, FileError, InputError
from homfem.quantities import Kind, check_unit, conversion_factor

KEYS = ("file", "name", "unit", "components")
_MESHES = (".vtu", ".xdmf", ".vtk", ".msh", ".msh2", ".msh4")
_PAIRS = {3: ("xx", "xy", "yy"), 6: ("xx", "xy", "xz", "yy", "yz", "zz")}


@dataclass(frozen=True, slots=True)
class FieldCoefficient:
    """A coefficient with a value for each voxel or mesh element, in a file.

    Parameters
    ----------
    file
        Path of a file that :func:`homfem.grid.read_image` reads; a mesh has one value for each element in its order.
        Or of a mesh with cell data (:func:`homfem.meshing.files.element_data.read_element_data`), such as the cell's
        own file.
    name
        Name of the array in it; None for the only one.
    unit
        Unit of the values.
    components
        Which component of a symmetric matrix each entry of the last axis is; empty where the file says so, and for
        numbers and full matrices.
    """

    file: str
    name: str | None
    unit: str
    components: tuple[str, ...] = ()

    @property
    def dimension(self) -> int | None:
        """Not known before the file is read."""
        return None

    def __str__(self) -> str:
        return f"field of {self.file!r}"

    def located(self, at: str, folder: Path) -> FieldCoefficient:
        """Return it with its path from ``folder``; raise :class:`FileError` if there is no such file."""
        return replace(self, file=str(require_file(f"{at}.field.file", self.file, folder)))

    def to(self, unit: str) -> Array:
        """Return the values in another unit: of shape (\\*voxels or elements), or with a matrix for each."""
        try:
            values, known = self._read()
        except InputError as error:
            raise renamed(error, "field." + {"array": "name"}.get(error.name, error.name)) from error
        if values.dtype.kind not in "biuf":
            raise FileError("field.file", self.file, "a field of numbers", f"It holds {values.dtype}.")
        values = np.asarray(values, dtype=np.float64) * conversion_factor(self.unit, unit)
        order = self.components or known
        return matrices(values, order) if order else values

    def _read(self) -> tuple[np.ndarray, tuple[str, ...]]:
        """Numbers of the file, and which component each of the last axis is where the file says so."""
        if _is_mesh(Path(self.file)):
            from homfem.meshing.files.element_data import read_element_data

            return read_element_data(self.file, self.name)
        from homfem.grid.files import is_image, read_array

        if not is_image(self.file):
            allowed = f"an image, or a mesh with data for its elements that ends in {', '.join(_MESHES)}"
            raise FileError("file", self.file, allowed)
        found = read_array(self.file, array=self.name)
        return found.array, found.components


def _is_mesh(path: Path) -> bool:
    """Whether a file is a mesh that may have data for its elements; a ``.vtk`` may be an image as well."""
    ending = path.suffix.lower()
    if ending != ".vtk":
        return ending in _MESHES
    with path.open("rb") as stream:
        return b"UNSTRUCTURED_GRID" in stream.read(1024).upper()


def parse_field_table(value: dict[str, Any], kind: Kind) -> FieldCoefficient:
    """Return the field of a table ``{ field = { file = ..., ... } }``; keys in errors begin with a dot."""
    for key in value:
        if key != "field":
            raise InputError(f".{key}", value[key], "absent: only the key field stands here")
    try:
        return parse_field(value.get("field", Missing()), kind)
    except InputError as error:
        inner = error.name if error.name[:1] in ("", ".") else f".{error.name}"
        raise renamed(error, f".field{inner}") from error


def parse_field(value: Any, kind: Kind) -> FieldCoefficient:
    """Return the field that a table ``{ file = ..., name = ..., unit = ... }`` says."""
    if not isinstance(value, dict) or "file" not in value or "unit" not in value:
        example = kind.example.split(maxsplit=1)[1]
        raise InputError("", value, f'a table such as {{ file = "field.nii", unit = "{example}" }}')
    refuse_unknown("", value, KEYS)
    for key in ("file", "name"):
        if key in value and (not isinstance(value[key], str) or not value[key].strip()):
            raise InputError(f".{key}", value[key], "a name")
    components = value.get("components", [])
    if not isinstance(components, list) or (components and sorted(components) not in map(sorted, _PAIRS.values())):
        allowed = "a list of xx, xy, yy, or of xx, xy, xz, yy, yz, zz, in the order of the file"
        raise InputError(".components", components, allowed)
    unit = check_unit(".unit", value["unit"], kind)
    return FieldCoefficient(value["file"], value.get("name"), unit, tuple(components))


def matrices(values: Array, order: Sequence[str]) -> Array:
    """Return symmetric matrices (..., d, d) of their components (..., d (d + 1) / 2) in the given order."""
    if values.shape[-1] != len(order):
        allowed = f"a field of {len(order)} components for each voxel or element, {', '.join(order)}"
        raise InputError("field.components", values.shape, allowed)
    d = {3: 2, 6: 3}[len(order)]
    full = np.empty((*values.shape[:-1], d, d))
    for k, pair in enumerate(order):
        i, j = ("xyz".index(axis) for axis in pair)
        full[..., i, j] = full[..., j, i] = values[..., k]
    return full
