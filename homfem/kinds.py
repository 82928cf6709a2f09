"""Kinds of effective tensors: what the entries mean, in which unit, with which symmetry. No dolfinx here.

A physics gives a tensor of one kind; several physics may share a kind, as their tensors enter the same macroscale
equation. Whoever takes or prints a tensor asks for its kind, never for its physics.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, TypeAlias

from homfem import quantities
from homfem.parameters import InputError, UnitError, check_choice
from homfem.quantities import Kind, check_unit

BASES = ("vector", "voigt")


#: The permeability of an image whose file states no size of a voxel.
IN_VOXELS = "voxel^2"


@dataclass(frozen=True, kw_only=True, slots=True)
class TensorKind:
    r"""A kind of effective tensor.

    Parameters
    ----------
    name
        One word or two, as in the JSON of a tensor.
    basis
        ``"vector"``: a matrix of shape (d, d) between vectors, in an orthonormal basis. ``"voigt"``: a stiffness as
        Voigt matrix with engineering shear, of shape (3, 3) in the plane and (6, 6) in space.
    symmetric
        Whether the theory makes it symmetric. A tensor of another kind has bounds where its value is: the symmetric
        part of a dispersion tensor.
    quantity
        What its entries are, with their unit; None where nothing is known of it.
    title
        What it is called in print.

    Raises
    ------
    InputError
        If the basis is another word.

    Example
    -------
    >>> kind_of("poroelasticity").name, kind_of("conductivity").quantity.unit
    ('stiffness', 'S/m')
    """

    name: str
    basis: str = "vector"
    symmetric: bool = True
    quantity: Kind | None = None
    title: str = "effective tensor"

    def __post_init__(self) -> None:
        check_choice("kind.basis", self.basis, BASES)

    @property
    def voigt(self) -> bool:
        """Whether it is a stiffness in Voigt notation."""
        return self.basis == "voigt"

    def check_unit(self, unit: str, name: str = "unit") -> str:
        """Return a unit of this kind in plain letters (``"um^2/s"``); an empty one says that none was given.

        Raises
        ------
        UnitError
            If the unit is unknown, or of another dimension.
        """
        if unit == "" or (self.quantity is None and isinstance(unit, str)):
            return unit
        if self == PERMEABILITY and unit == IN_VOXELS:
            return unit
        if self.quantity is None:
            raise UnitError(name, unit, "a string")
        try:
            return check_unit(name, unit, self.quantity)
        except UnitError as error:
            owners = [physics for physics, kind in PHYSICS.items() if kind != self and kind.takes(unit)]
            more = f"It belongs to the physics {', '.join(map(repr, owners))}." if owners else ""
            raise UnitError(name, unit, error.allowed, f"{error.remedy} {more}".strip()) from error

    def takes(self, unit: str) -> bool:
        """Tell whether a unit is of the dimension of this kind."""
        if self.quantity is None:
            return True
        try:
            check_unit("unit", unit, self.quantity)
        except UnitError:
            return False
        return True

    def plain(self) -> str | dict[str, Any]:
        """Return what JSON takes: the name, and of a kind that the package does not know everything."""
        return self.name if KINDS.get(self.name) == self else asdict(self)


#: The kind of tensor that a model takes, or several that serve it.
TensorKinds: TypeAlias = TensorKind | Sequence[TensorKind]

DIFFUSION = TensorKind(name="diffusion", quantity=quantities.DIFFUSIVITY)
CONDUCTIVITY = TensorKind(name="conductivity", quantity=quantities.CONDUCTIVITY)
THERMAL_CONDUCTIVITY = TensorKind(name="thermal conductivity", quantity=quantities.THERMAL_CONDUCTIVITY)
STIFFNESS = TensorKind(name="stiffness", basis="voigt", quantity=quantities.MODULUS)
PERMEABILITY = TensorKind(name="permeability", quantity=quantities.AREA, title="permeability")
DISPERSION = TensorKind(name="dispersion", symmetric=False, quantity=quantities.DIFFUSIVITY, title="dispersion tensor")
SENSITIVITY = TensorKind(name="sensitivity", symmetric=False, title="chemotactic sensitivity")
MIGRATION_AREA = TensorKind(name="migration area", quantity=quantities.AREA, title="migration area")
REGIME = "v = O(1/eps): a cell is crossed faster than diffusion does; at v = O(1) the same V, and D* of no flow"
"""Of a dispersion tensor: where it holds."""
GENERAL = TensorKind(name="general", symmetric=False)
"""A second-order tensor, or a matrix of any other loads, of which nothing more is known."""

KINDS: Mapping[str, TensorKind] = {
    kind.name: kind
    for kind in (
        DIFFUSION,
        CONDUCTIVITY,
        THERMAL_CONDUCTIVITY,
        STIFFNESS,
        PERMEABILITY,
        DISPERSION,
        SENSITIVITY,
        MIGRATION_AREA,
        GENERAL,
    )
}
"""Every kind by its name."""

PHYSICS: Mapping[str, TensorKind] = {
    "diffusion": DIFFUSION,
    "conductivity": CONDUCTIVITY,
    "bidomain": CONDUCTIVITY,
    "electrodiffusion": CONDUCTIVITY,
    "heat-conduction": THERMAL_CONDUCTIVITY,
    **dict.fromkeys(("elasticity", "thermoelasticity", "poroelasticity", "active-stress"), STIFFNESS),
    "stokes": PERMEABILITY,
    "dispersion": DISPERSION,
    "reaction": DIFFUSION,
    "chemotaxis": SENSITIVITY,
    "multiplication": MIGRATION_AREA,
}
"""The kind of tensor that each physics of the package gives."""

#: The physics of a flux driven by a gradient: one equation, in different units.
CONDUCTION = ("diffusion", "conductivity", "heat-conduction")


def kind_of(physics: str) -> TensorKind:
    """Return the kind of tensor that a physics gives; :data:`GENERAL` for one that the package does not know."""
    return PHYSICS.get(physics, GENERAL)


def conduction_in(unit: str) -> str:
    """Return the physics of :data:`CONDUCTION` that a unit belongs to: diffusion where there is none.

    Raises
    ------
    UnitError
        If it belongs to none.
    """
    fitting = [physics for physics in CONDUCTION if not unit or PHYSICS[physics].takes(unit)]
    if not fitting:
        DIFFUSION.check_unit(unit)
    return fitting[0]


def read_kind(entry: TensorKind | str | Mapping[str, Any], name: str = "kind") -> TensorKind:
    """Return the kind that :meth:`TensorKind.plain` wrote; a kind stays as it is.

    Raises
    ------
    InputError
        For a name that is not known, or a table that is none of a kind.
    """
    if isinstance(entry, TensorKind):
        return entry
    if isinstance(entry, str):
        return KINDS[check_choice(name, entry, tuple(KINDS))]
    try:
        given = dict(entry)
        if given.get("quantity") is not None:
            given["quantity"] = Kind(**given["quantity"])
        kind = TensorKind(**given)
    except (TypeError, ValueError) as error:
        raise InputError(
            name, entry, "the name of a kind, or a table of name, basis, symmetric, quantity, title"
        ) from (error)
    texts = [kind.name, kind.title, *(() if kind.quantity is None else asdict(kind.quantity).values())]
    if not all(isinstance(text, str) for text in texts) or not isinstance(kind.symmetric, bool):
        raise InputError(name, entry, "a kind whose name, title and quantity are strings")
    return kind


def settled(kind: TensorKind, physics: str) -> TensorKind:
    """Return the kind of a tensor of which a kind (:data:`GENERAL` if none was given) and a physics are told.

    Raises
    ------
    InputError
        If the physics gives another kind.
    """
    own = PHYSICS.get(physics)
    if own is None or kind == own:
        return kind
    if kind != GENERAL:
        remedy = "Say which physics it belongs to."
        raise InputError("kind", kind.name, f"{own.name!r}, the kind of physics {physics!r}", remedy)
    return own
