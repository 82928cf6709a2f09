"""The table ``[macro.domain]``: a cell body or a tissue, made here or read from a file.

A new domain is one class here and its name in :data:`DOMAINS`.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, ClassVar

from pydantic import model_validator

from homfem.config.table import (
    Check,
    Missing,
    Table,
    choice,
    flag,
    join,
    lengths_of,
    numbers,
    parse_table,
    quantity,
    refuse_unknown,
    require_table,
    text,
    unit,
)
from homfem.parameters import InputError, check_choice, check_number
from homfem.quantities import LENGTH, Quantity


def _groups(value: Any) -> dict[str, Any]:
    allowed = 'a table of names with groups of the file, such as { scar = "SET", wall = [1, 2] }'
    if not isinstance(value, dict) or not value:
        raise InputError("", value, allowed)
    for name, labels in value.items():
        if name == "*" or labels == []:
            raise InputError(name, labels, 'one group or several, under a name other than "*", which is all others')
        for label in labels if isinstance(labels, list) else [labels]:
            if not isinstance(label, (str, int)) or isinstance(label, bool):
                raise InputError(name, labels, "the name or the number of a group, or a list of these")
    return value


def _direction(value: Any) -> tuple[float, ...]:
    if not isinstance(value, (list, tuple)) or len(value) not in (1, 2, 3):
        raise InputError("", value, "a direction: a list of 1 to 3 numbers, one per axis")
    return tuple(check_number(f"[{k}]", entry) for k, entry in enumerate(value))


Direction = Annotated[tuple[float, ...], Check(_direction, says="a list of 1 to 3 numbers, one per axis")]
Groups = Annotated[Mapping[str, Any], Check(_groups, says="a table of names with groups of the file")]
Size = Annotated[
    tuple[Quantity, ...],
    Check(
        lambda value: lengths_of(LENGTH, value, (2, 3), "a list of 2 or 3 lengths, one per axis"),
        says="a list of 2 or 3 lengths, one per axis",
    ),
]


class DomainTable(Table):
    """What every domain has."""

    #: The function that makes it, ``"package.module:function"``, called with the table, the communicator, the folder of
    #: files and the unit of the coordinates; collective.
    runner: ClassVar[str]

    @property
    def known_dimension(self) -> int | None:
        """Number of space dimensions, if it is known before the mesh is made."""
        return None


class SizedDomain(DomainTable):
    """A domain of given size along each axis."""

    size: Size
    """Size along each axis."""
    resolution: Annotated[Quantity, quantity(LENGTH, above=0.0)]
    """Size of the mesh cells."""

    @property
    def known_dimension(self) -> int:
        """As many as there are sizes."""
        return len(self.size)

    def sides(self, unit: str = "um") -> list[float]:
        """Return the size along each axis."""
        return [entry.to(unit) for entry in self.size]


#: The boundaries of an interval, a rectangle and a box, by its dimension: of each axis the low and the high end.
SIDES: Mapping[int, tuple[tuple[str, str], ...]] = {
    1: (("left", "right"),),
    2: (("left", "right"), ("bottom", "top")),
    3: (("left", "right"), ("front", "back"), ("bottom", "top")),
}


class Box(SizedDomain):
    """A rectangle or a box with one corner at the origin: sides `left`, `right` (x), `bottom`, `top` (y; in a box z,
    and `front`, `back` along y)."""

    runner = "homfem.runs.domains:box"

    shape: Annotated[str, choice("box")]


class Interval(Box):
    """An interval from the origin, with its one ``size``; its ends are `left` and `right`."""

    size: Annotated[
        tuple[Quantity, ...],
        Check(lambda value: lengths_of(LENGTH, value, (1,), "one length"), says="a list of one length"),
    ]
    shape: Annotated[str, choice("interval")]


class CellBody(SizedDomain):
    """An ellipse or an ellipsoid about the origin; ``size`` holds its diameters. Its boundary is `surface`."""

    runner = "homfem.runs.domains:cell_body"

    shape: Annotated[str, choice("cell-body")]


class FileDomain(DomainTable):
    """A mesh of straight triangles or tetrahedra from a file that Gmsh or meshio reads, with its named groups."""

    runner = "homfem.runs.domains:from_file"

    file: Annotated[str, text("the path of a .msh, .xdmf, .geo or .step file")]
    """The mesh or geometry."""
    unit: Annotated[str, unit(LENGTH)]
    """Unit of its coordinates; a STEP file has its own, and is converted."""
    resolution: Annotated[Quantity, quantity(LENGTH, above=0.0)] | None = None
    """Of geometries: the largest size of the elements, or what a `.geo` file makes of its constant `resolution`."""
    parameters: Annotated[Mapping[str, float], numbers("numbers by the names that the .geo file declares")] | None = (
        None
    )
    """Values for what a `.geo` file declares by `DefineConstant`, or by its path in ONELAB."""
    regions: Groups | None = None
    """Regions by names, from groups of the file."""
    boundaries: Groups | None = None
    """Parts of the boundary by names, from groups of the file."""
    trust: Annotated[bool, flag()] = False
    """Run a `.geo` script whatever it does."""

    @model_validator(mode="after")
    def _script(self) -> FileDomain:
        suffix = Path(self.file).suffix.lower()
        if suffix not in (".geo", ".step", ".stp") and self.resolution is not None:
            allowed = f"absent for a {suffix} file: its mesh is already made"
            raise InputError("resolution", str(self.resolution), allowed)
        if suffix != ".geo" and self.parameters is not None:
            raise InputError("parameters", dict(self.parameters), f"absent for a {suffix} file: it has no constants")
        if suffix != ".geo" and self.trust:
            raise InputError("trust", True, f"false for a {suffix} file: only a .geo file is a script")
        return self


class FibresTable(Table):
    """``[macro.fibres]``: the axes of fibres: a direction, or unit vectors for the elements of a file."""

    direction: Direction | None = None
    """The direction of the fibres, of any length."""
    sheet: Direction | None = None
    """The direction of the sheets, across the fibres."""
    file: Annotated[str, text("the path of a mesh with vectors for its elements")] | None = None
    """A mesh file with a unit vector for each element, in the domain's order; zeros are places without fibres."""
    name: Annotated[str, text("the name of the fibre directions in the file")] | None = None
    """The fibre directions in the file; without it the only data."""
    sheet_name: Annotated[str, text("the name of the sheet directions in the file")] | None = None
    """The sheet directions in the file."""

    @model_validator(mode="after")
    def _one(self) -> FibresTable:
        if (self.direction is None) == (self.file is None):
            given = Missing() if self.direction is None else list(self.direction)
            raise InputError("direction", given, "given, or file: one of the two")
        others = ("name", "sheet_name") if self.file is None else ("sheet",)
        for key in others:
            value = getattr(self, key)
            if value is not None:
                remedy = "It belongs to a direction." if key == "sheet" else "It belongs to a file."
                raise InputError(key, value, f"absent with {'direction' if self.file is None else 'file'}", remedy)
        if self.sheet_name is not None and self.name is None:
            raise InputError("name", Missing(), "given, where sheet_name is")
        return self


DOMAINS: Mapping[str, type[DomainTable]] = {"interval": Interval, "box": Box, "cell-body": CellBody}
"""Every domain by its name in a config."""


def parse_domain(value: Any, path: str = "") -> DomainTable:
    """Return the validated table of a domain; raise :class:`InputError` for anything wrong in it."""
    table = require_table(path, value)
    if "shape" not in table:
        known = ["shape", *FileDomain.model_fields, *(key for m in DOMAINS.values() for key in m.model_fields)]
        refuse_unknown(path, table, list(dict.fromkeys(known)))
        if "file" not in table:
            names = ", ".join(map(repr, DOMAINS))
            raise InputError(
                join(path, "shape"), Missing(), f"one of {names}; or give file, such as a .msh or .xdmf file"
            )
        return parse_table(FileDomain, table, path)
    name = check_choice(join(path, "shape"), table["shape"], list(DOMAINS))
    return parse_table(DOMAINS[name], table, path)
