"""The methods of diffusion, each with the keys of ``[effective]`` that are its own."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from homfem.config.physics.effective_table import MESHED
from homfem.config.table import Table, choice, flag, integer, parse_table, tolerance_check
from homfem.parameters import InputError


class Method(Table):
    """What every method has."""

    tolerance: Annotated[float, tolerance_check()] | None = None
    """Relative half-gap between the bounds that is to be reached."""


class FiniteElement(Method):
    """Finite elements on a mesh of the cell."""

    max_dofs: Annotated[int, integer(at_least=1, example=200000)] | None = None
    """Most unknowns that refinement may take."""
    degree: Annotated[int, integer(at_least=1, at_most=6)] | None = None
    """Degree of the elements, or of the functions of a block."""
    membranes: Any = None
    """Permeabilities of interfaces."""
    symmetry: Annotated[str, choice("none", "auto")] | None = None
    """Whether mirror planes are looked for, so that a part of the cell is solved; by default where that may help."""


class CornerGalerkin(Method):
    """Block media by functions that are singular at the corners."""

    max_dofs: Annotated[int, integer(at_least=1, example=200000)] | None = None
    """Most unknowns that refinement may take."""
    degree: Annotated[int, integer(at_least=0, at_most=12)] | None = None
    """Degree of the elements, or of the functions of a block."""


class SemiAnalytical(Method):
    """Block media by the method of March, Carr and Turner."""

    abscissas: Annotated[int, integer(at_least=2)] | None = None
    """Unknown fluxes on each interface."""
    modes: Annotated[int, integer(at_least=0)] | None = None
    """Terms of the series in each block."""
    merge: Annotated[bool, flag()] | None = None
    """Whether equal neighbours become one block."""


class FiniteVolume(Method):
    """Block media by finite volumes."""

    intervals: Annotated[int, integer(at_least=1)] | None = None
    """Volumes along each side of a block."""


class Grid(Method):
    """Finite elements on the voxels of an image."""

    max_dofs: Annotated[int, integer(at_least=1, example=200000)] | None = None
    """Most unknowns that refinement may take."""
    refine: Annotated[int, integer(at_least=1)] | None = None
    """Elements along each side of a voxel."""


METHODS: Mapping[str, type[Method]] = {
    MESHED: FiniteElement,
    "corner-galerkin": CornerGalerkin,
    "semi-analytical": SemiAnalytical,
    "finite-volume": FiniteVolume,
    "grid": Grid,
}
"""The keys of every method by its name in a config."""

#: Every key that some method has.
METHOD_KEYS = tuple(dict.fromkeys(key for section in METHODS.values() for key in section.model_fields))


def check_section(path: str, method: str, given: Mapping[str, Any]) -> None:
    """Refuse a key that a method does not have, and a value that is none of the method; None stands for no value."""
    own = METHODS[method].model_fields
    values = {key: value for key, value in given.items() if value is not None}
    for key, value in values.items():
        if key not in own:
            owners = " and ".join(repr(name) for name, section in METHODS.items() if key in section.model_fields)
            raise InputError(f"{path}.{key}", value, f"absent with method {method!r}", f"It belongs to {owners}.")
    parse_table(METHODS[method], values, path)
