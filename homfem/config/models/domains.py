"""The table ``[macro.domain]``: a cell body or a tissue, made here or read from a file.

A new domain is one class here and its name in :data:`DOMAINS`.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Self

from pydantic import Field, model_validator

from homfem.config.models.layers import LAYERS, names_of
from homfem.config.models.stimulus import PlaceTable
from homfem.config.table import (
    Check,
    Missing,
    Table,
    choice,
    flag,
    join,
    keys_from,
    lengths_of,
    listed,
    number,
    numbers,
    parse_table,
    quantity,
    refuse_unknown,
    require_table,
    tables_by_name,
    text,
    unit,
)
from homfem.parameters import InputError, check_choice, check_number
from homfem.quantities import LENGTH, Quantity, parse_quantity

if TYPE_CHECKING:
    from homfem.meshing.shapes import ventricles


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


LengthUnit = Annotated[str, unit(LENGTH)]
Direction = Annotated[tuple[float, ...], Check(_direction, says="a list of 1 to 3 numbers, one per axis")]
Groups = Annotated[Mapping[str, Any], Check(_groups, says="a table of names with groups of the file")]
_HALF_AXES = "a list of 2 lengths: half axes across and along the long axis"
HalfAxes = Annotated[
    tuple[Quantity, ...], Check(lambda value: lengths_of(LENGTH, value, (2,), _HALF_AXES), says=_HALF_AXES)
]
_EXTENT = "a list of 3 lengths, one per axis"
Extent = Annotated[tuple[Quantity, ...], Check(lambda value: lengths_of(LENGTH, value, (3,), _EXTENT), says=_EXTENT)]
Point = Annotated[tuple[Quantity, ...], listed(lambda value: parse_quantity("", value, LENGTH), (3,), _EXTENT)]
Size = Annotated[
    tuple[Quantity, ...],
    Check(
        lambda value: lengths_of(LENGTH, value, (2, 3), "a list of 2 or 3 lengths, one per axis"),
        says="a list of 2 or 3 lengths, one per axis",
    ),
]


def _place(value: Any) -> PlaceTable:
    place = parse_table(PlaceTable, value, "")
    if place.type == "region":
        raise InputError("type", place.type, "'ball' or 'box'")
    return place


class DomainTable(Table):
    """What every domain has."""

    layers: Annotated[Any, LAYERS] | None = None
    """Layers of a wall as regions, by their parts of its depth from the inside out, such as `{ endo = 0.3, mid = 0.4,
    epi = 0.3 }`. Or a table with these as `parts`, and lists of names: `inner` and `outer` of boundaries, by default
    `lv` and `rv`, or `endo`, and `epi`; `within` of the regions that are the wall, by default all."""

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
    regions: Annotated[Mapping[str, PlaceTable], tables_by_name(_place, "region")] = {}
    """Regions by names: balls and boxes, to which the cells with their midpoints inside belong."""

    @model_validator(mode="after")
    def _places(self) -> Self:
        for name, place in self.regions.items():
            with keys_from({}, f"regions.{name}"):
                place.check_dimension(self.known_dimension)
        return self

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


def _mm(*values: float) -> tuple[Quantity, ...]:
    return tuple(Quantity(value, "mm") for value in values)


#: Keys of an ideal heart that are no lengths of its shape.
_NO_LENGTHS = ("shape", "size", "resolution", "layers")


class IdealHeart(DomainTable):
    """What ideal ventricles have: the long axis is z, the apex below, the base a plane."""

    runner = "homfem.runs.domains:ventricles"

    size: Extent | None = None
    """Extent along each axis, to which the default shape is stretched; in place of half axes and base."""
    base: Annotated[Quantity, quantity(LENGTH)] = Quantity(5.0, "mm")
    """Height of the plane of the base over the centre of the ellipsoids."""
    resolution: Annotated[Quantity, quantity(LENGTH, above=0.0)] = Field(
        description="the size of the mesh cells, such as '1 mm'"
    )

    @property
    def known_dimension(self) -> int:
        """They are in space."""
        return 3

    @model_validator(mode="after")
    def _made(self) -> Self:
        given = [key for key in type(self).model_fields if key in self.model_fields_set]
        others = [key for key in given if key not in _NO_LENGTHS]
        if self.size is not None and others:
            sizes = [str(side) for side in self.size]
            raise InputError("size", sizes, f"absent where {others[0]} is given", "It stretches the default shape.")
        self.ideal("mm")
        return self

    def ideal(self, unit: str) -> ventricles.Ventricle | ventricles.BiVentricle:
        """Return the shape with its lengths in a unit."""
        from homfem.meshing.shapes import ventricles

        lengths = {key: getattr(self, key) for key in type(self).model_fields if key not in _NO_LENGTHS}
        values = {
            key: value.to(unit) if isinstance(value, Quantity) else tuple(entry.to(unit) for entry in value)
            for key, value in lengths.items()
        }
        shape: ventricles.Ventricle | ventricles.BiVentricle = getattr(ventricles, type(self).__name__)(**values)
        return shape if self.size is None else shape.stretched([side.to(unit) for side in self.size])


class Ventricle(IdealHeart):
    """The wall of a left ventricle between two ellipsoids, by default that of Land et al. (2015): boundaries `endo`,
    `epi` and `base`, region `wall`."""

    shape: Annotated[str, choice("ventricle")]
    endo: HalfAxes = _mm(7.0, 17.0)
    """Half axes of the inner ellipsoid."""
    epi: HalfAxes = _mm(10.0, 20.0)
    """Half axes of the outer ellipsoid."""


class BiVentricle(IdealHeart):
    """The walls of both ventricles between ellipsoids: boundaries `lv`, `rv` (inside), `epi` and `base`, regions `left`
    (with the septum) and `right`."""

    shape: Annotated[str, choice("biventricle")]
    lv_endo: HalfAxes = _mm(7.0, 17.0)
    """Half axes of the inner ellipsoid of the left ventricle."""
    lv_epi: HalfAxes = _mm(10.0, 20.0)
    """Half axes of the outer ellipsoid of the left ventricle."""
    rv_endo: HalfAxes = _mm(11.0, 15.0)
    """Half axes of the inner ellipsoid of the right ventricle."""
    rv_epi: HalfAxes = _mm(13.0, 17.0)
    """Half axes of the outer ellipsoid of the right ventricle."""
    offset: Annotated[Quantity, quantity(LENGTH)] = Quantity(6.0, "mm")
    """Distance of the long axis of the right ventricle from that of the left one, along x."""


#: Endings of the files of openCARP, and the unit of their coordinates.
CARP, CARP_UNIT = (".pts", ".elem", ".lon"), "um"


class FileDomain(DomainTable):
    """A mesh of straight triangles or tetrahedra from a file that Gmsh or meshio reads, with its named groups; or of
    openCARP, with its regions by number and its fibres."""

    runner = "homfem.runs.domains:from_file"

    file: Annotated[str, text("the path of a .msh, .xdmf, .geo, .step or .pts file")]
    """The mesh or geometry; of openCARP the `.pts`, the `.elem` or the `.lon` file."""
    unit: LengthUnit | None = None
    """Unit of its coordinates; only openCARP has one without it, um. A STEP file has its own, and is converted."""
    resolution: Annotated[Quantity, quantity(LENGTH, above=0.0)] | None = None
    """Of geometries: the largest size of the elements, or what a `.geo` file makes of its constant `resolution`."""
    parameters: Annotated[Mapping[str, float], numbers("numbers by the names that the .geo file declares")] | None = (
        None
    )
    """Values for what a `.geo` file declares by `DefineConstant`, or by its path in ONELAB."""
    regions: Groups | None = None
    """Regions by names, from groups of the file."""
    boundaries: Groups | None = None
    """Parts of the boundary by names, from groups of the file; of openCARP from `.surf` or `.vtx` files beside it."""
    trust: Annotated[bool, flag()] = False
    """Run a `.geo` script whatever it does."""

    @property
    def coordinates(self) -> str:
        """Unit of the coordinates."""
        return self.unit or CARP_UNIT

    @model_validator(mode="after")
    def _script(self) -> FileDomain:
        suffix = Path(self.file).suffix.lower()
        if self.unit is None and suffix not in CARP:
            raise InputError("unit", Missing(), "given: the unit of the coordinates, such as 'mm'")
        if suffix not in (".geo", ".step", ".stp") and self.resolution is not None:
            allowed = f"absent for a {suffix} file: its mesh is already made"
            raise InputError("resolution", str(self.resolution), allowed)
        if suffix != ".geo" and self.parameters is not None:
            raise InputError("parameters", dict(self.parameters), f"absent for a {suffix} file: it has no constants")
        if suffix != ".geo" and self.trust:
            raise InputError("trust", True, f"false for a {suffix} file: only a .geo file is a script")
        return self


_Angle = Annotated[float, number(at_least=-90.0, at_most=90.0)]


class FibresTable(Table):
    """``[macro.fibres]``: the axes of fibres: a direction, a rule, or unit vectors for the elements of a file."""

    direction: Direction | None = None
    """The direction of the fibres, of any length."""
    sheet: Direction | None = None
    """The direction of the sheets, across the fibres."""
    rule: Annotated[str, choice("ldrb", "ellipsoid")] | None = None
    """The Laplace-Dirichlet rule of ventricles with boundaries `endo` or `lv` (and `rv`), `epi`, `base`; or the formula
    of the shape `ventricle`."""
    alpha_endo: _Angle | None = None
    """Angle of the fibres to the circumference on the inner surfaces, in degrees; `ldrb` has 40, `ellipsoid` 90."""
    alpha_epi: _Angle | None = None
    """Angle of the fibres to the circumference on the outer surface; `ldrb` has -50, `ellipsoid` -90."""
    beta_endo: _Angle | None = None
    """Angle of the sheets to the direction through the wall on the inner surfaces, of `ldrb`, which has -65."""
    beta_epi: _Angle | None = None
    """Angle of the sheets to the direction through the wall on the outer surface, of `ldrb`, which has 25."""
    profile: Annotated[str, choice("linear", "bayer")] | None = None
    """How the angles of `ldrb` vary in the wall: linearly in its depth (default), or with its square as published."""
    apex: Point | None = None
    """A point beside the apex, for `ldrb`; else the boundary `apex`, or the node that is farthest from the base."""
    tissue: Annotated[tuple[str, ...], Check(names_of, says="a list of names of regions")] | None = None
    """Regions with fibres, of `ldrb`; all others have none. Without it everything has fibres."""
    file: Annotated[str, text("the path of a mesh with vectors for its elements or nodes")] | None = None
    """A mesh file with a unit vector for each element or node, in the domain's order, or a `.lon` file of openCARP;
    zeros are places without fibres."""
    name: Annotated[str, text("the name of the fibre directions in the file")] | None = None
    """The fibre directions in the file; without it the only data."""
    sheet_name: Annotated[str, text("the name of the sheet directions in the file")] | None = None
    """The sheet directions in the file."""

    @model_validator(mode="after")
    def _one(self) -> FibresTable:
        kinds = [key for key in _OF_FIBRES if getattr(self, key) is not None]
        if len(kinds) != 1:
            given = Missing() if self.direction is None else list(self.direction)
            raise InputError("direction", given, "given, or rule, or file: one of the three")
        kind = kinds[0] if kinds[0] != "rule" else str(self.rule)
        for owner, keys in _OF_FIBRES.items():
            for key in keys:
                allowed = kinds[0] == owner and key not in _NOT_OF.get(kind, ())
                if getattr(self, key) is not None and not allowed:
                    remedy = f"It belongs to a {owner}." if kinds[0] != owner else "It belongs to the rule ldrb."
                    raise InputError(key, getattr(self, key), f"absent with {kind}", remedy)
        if self.sheet_name is not None and self.name is None:
            raise InputError("name", Missing(), "given, where sheet_name is")
        return self


#: What belongs to each way to give fibres.
_OF_FIBRES = {
    "direction": ("sheet",),
    "rule": ("alpha_endo", "alpha_epi", "beta_endo", "beta_epi", "profile", "apex", "tissue"),
    "file": ("name", "sheet_name"),
}
_NOT_OF = {"ellipsoid": ("beta_endo", "beta_epi", "profile", "apex", "tissue")}

DOMAINS: Mapping[str, type[DomainTable]] = {
    "interval": Interval,
    "box": Box,
    "cell-body": CellBody,
    "ventricle": Ventricle,
    "biventricle": BiVentricle,
}
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
