"""The shape ``image`` of the table ``[cell]``: pixels or voxels from a file."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import model_validator

from homfem.config.shapes.cell_table import CellTable, Period
from homfem.config.table import Check, Table, choice, integer, lengths_of, listed, text
from homfem.parameters import InputError, check_integer, check_number
from homfem.quantities import LENGTH, Quantity, parse_quantity

if TYPE_CHECKING:
    from homfem.config.physics.effective_table import EffectiveTable

Labels = Mapping[str, float | tuple[float, ...]]


def _labels(value: Any) -> Labels:
    if not isinstance(value, dict) or not value:
        raise InputError("", value, "a table of phase names and their labels, such as { pore = 1, solid = 0 }")
    result: dict[str, float | tuple[float, ...]] = {}
    for name, label in value.items():
        if isinstance(label, list) and label:
            result[name] = tuple(check_number(f"{name}[{k}]", entry) for k, entry in enumerate(label))
        else:
            result[name] = check_number(name, label, remedy="A phase has a number, or a list of numbers.")
    return result


def _thresholds(value: Any) -> tuple[float, ...]:
    items = value if isinstance(value, list) else [value]
    if not items:
        raise InputError("", value, "a number or a list of numbers that grow")
    return tuple(check_number(f"[{k}]" if isinstance(value, list) else "", entry) for k, entry in enumerate(items))


def _names(value: Any) -> tuple[str, ...]:
    if not isinstance(value, list) or not value or any(not isinstance(name, str) or not name for name in value):
        raise InputError("", value, "a list of names, one more than thresholds, from dark to bright")
    return tuple(value)


def _voxel(value: Any) -> tuple[Quantity, ...]:
    if isinstance(value, list):
        return lengths_of(LENGTH, value, (2, 3), "a length, or a list of 2 or 3 lengths, one per axis")
    return (parse_quantity("", value, LENGTH, above=0.0),)


def _count(value: Any) -> int:
    return check_integer("", value, at_least=1)


def _axes(value: Any) -> tuple[str, ...]:
    if not isinstance(value, list) or any(axis not in ("x", "y", "z") for axis in value):
        raise InputError("", value, "a list of axes, such as ['x', 'y']")
    return tuple(value)


class RawHeader(Table):
    """What a file of raw numbers does not say itself; see :func:`homfem.grid.read_image`."""

    type: Annotated[str, text("a type of numbers, such as 'uint8'")]
    """The type of the numbers."""
    size: Annotated[tuple[int, ...], listed(_count, (2, 3), "a list of 2 or 3 numbers of voxels, along x, y and z")]
    """How many voxels along x, y and z."""
    byte_order: Annotated[str, choice("little", "big")] = "little"
    """Which byte of a number comes first."""
    offset: Annotated[int, integer(at_least=0)] = 0
    """Bytes before the first number."""


class ImageCell(CellTable):
    """Pixels or voxels from a file, one period.

    ``elements`` are those of the meshed methods: ``"simplex"`` cuts the voxels, ``"voxel"`` takes them as they are.
    The size of a voxel is that of the file, where it states one; ``voxel`` or ``period`` give it otherwise.
    """

    runner = "homfem.runs.shapes:from_image"
    meshless_runner = "homfem.runs.meshless:solve_image_cell"

    shape: Annotated[str, choice("image")]
    file: Annotated[str, text("the path of an image, such as slice.png, stack.tif, scan.nii.gz")]
    """The image: its voxels are one period."""
    array: Annotated[str, text("the name of an array in the file")] | None = None
    """Which of several arrays."""
    raw: RawHeader | None = None
    """What a file of raw numbers does not say itself."""
    labels: (
        Annotated[
            Labels, Check(_labels, says="a table of phase names and their labels, such as { pore = 1, solid = 0 }")
        ]
        | None
    ) = None
    """The phases by the labels of their voxels."""
    thresholds: (
        Annotated[tuple[float, ...], Check(_thresholds, says="a number, or a list of numbers that grow")] | None
    ) = None
    """The greys between the phases, in place of `labels`."""
    names: Annotated[tuple[str, ...], Check(_names, says="a list of names, one more than thresholds")] | None = None
    """The phases from dark to bright, with `thresholds`."""
    voxel: Annotated[tuple[Quantity, ...], Check(_voxel, says="a length, or a list of one per axis")] | None = None
    """The size of a voxel."""
    period: Period | None = None
    """The size of the image, in place of `voxel`."""
    elements: Annotated[str, choice("simplex", "voxel")] | None = None
    """What the voxels become on a mesh: triangles or tetrahedra, or one cell each."""
    mirror: Annotated[tuple[str, ...], Check(_axes, says='a list of axes, such as ["x", "y"]')] = ()
    """Axes along which the image is continued by its mirror image."""
    dimension: Annotated[int, integer(at_least=2, at_most=3)] | None = None
    """Number of space dimensions, where the file leaves it open."""

    @model_validator(mode="after")
    def _phases(self) -> ImageCell:
        if (self.labels is None) == (self.thresholds is None):
            given = None if self.labels is None else dict(self.labels)
            raise InputError("labels", given, "given, or thresholds with names in place of it")
        if (self.names is None) != (self.thresholds is None):
            raise InputError("names", self.names, "given with thresholds, and only then")
        if self.voxel is not None and self.period is not None:
            raise InputError("voxel", [str(v) for v in self.voxel], "absent where the period is given")
        return self

    @property
    def known_phases(self) -> tuple[str, ...]:
        """As the table names them."""
        return tuple(self.labels) if self.labels is not None else self.names or ()

    @property
    def known_dimension(self) -> int | None:
        """What the table says, if it does."""
        lengths = self.voxel or self.period or ()
        return self.dimension or (len(lengths) if len(lengths) > 1 else None)

    @property
    def methods(self) -> tuple[str, ...]:
        """The voxels themselves are a grid of finite elements."""
        return ("grid",)

    def arguments(self) -> dict[str, Any]:
        """Return the arguments of :func:`homfem.grid.read_image`, but for the file."""
        options: dict[str, Any] = {"dimension": self.known_dimension, "array": self.array}
        for name, lengths in (("voxel", self.voxel), ("period", self.period)):
            if lengths is not None:
                sizes = [entry.value for entry in lengths]
                options |= {name: sizes[0] if len(sizes) == 1 else sizes, "length_unit": lengths[0].unit}
        if self.raw is not None:
            options["raw"] = self.raw.model_dump()
        if self.labels is not None:
            return options | {"labels": dict(self.labels)}
        return options | {"thresholds": list(self.thresholds or ()), "names": self.names}

    def check_effective(self, effective: EffectiveTable) -> None:
        """Refuse a key of meshes with the method that needs none."""
        if effective.meshless and self.elements is not None:
            raise InputError("cell.elements", self.elements, "absent with method 'grid'", "It belongs to meshes.")


TABLES: Mapping[str, type[CellTable]] = {"image": ImageCell}
