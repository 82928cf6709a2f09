r"""Triply periodic minimal surfaces, and cells from the user's own level-set functions."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from homfem.meshing.arrays.raw_cell import RawCell
from homfem.meshing.cut.implicit import implicit_raw
from homfem.meshing.cut.level_sets import LevelSet
from homfem.meshing.cut.mirror_parts import MIRRORS
from homfem.meshing.shapes.plan import CellPlan, SurfaceMesh
from homfem.parameters import Array, InputError, Lattice, check_choice, check_integer, check_number


def _gyroid(x: Array) -> Array:
    s, c = np.sin(2.0 * np.pi * x), np.cos(2.0 * np.pi * x)
    return np.asarray(s[:, 0] * c[:, 1] + s[:, 1] * c[:, 2] + s[:, 2] * c[:, 0])


def _schwarz_p(x: Array) -> Array:
    return np.asarray(np.cos(2.0 * np.pi * x).sum(axis=1))


def _schwarz_d(x: Array) -> Array:
    s, c = np.sin(2.0 * np.pi * x), np.cos(2.0 * np.pi * x)
    return np.asarray(
        s.prod(axis=1) + s[:, 0] * c[:, 1] * c[:, 2] + c[:, 0] * s[:, 1] * c[:, 2] + c[:, 0] * c[:, 1] * s[:, 2]
    )


#: Function, and the level beyond which one of the phases falls apart into islands.
SURFACES: dict[str, tuple[Callable[[Array], Array], float]] = {
    "gyroid": (_gyroid, math.sqrt(2.0)),
    "schwarz-p": (_schwarz_p, 1.0),
    "schwarz-d": (_schwarz_d, 1.0),
}


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class MinimalSurface:
    """Solid bounded by a level of a triply periodic function, as the parameters of :func:`homfem.cells.tpms` say."""

    surface: str
    level: float | None
    fraction: float | None
    mesh: SurfaceMesh


def tpms_plan(given: MinimalSurface) -> CellPlan:
    """Plan the cell of a description: its numbers are checked, nothing is meshed."""
    check_choice("surface", given.surface, list(SURFACES))
    function, limit = SURFACES[given.surface]
    check_choice("mirrors", given.mesh.mirrors, MIRRORS)
    period = check_number("period", given.mesh.period, above=0.0, remedy="A period is a length.")
    if given.level is not None and given.fraction is not None:
        raise InputError("level, fraction", (given.level, given.fraction), "given one of the two at most")
    if given.fraction is None:
        at = 0.0 if given.level is None else check_number("level", given.level)
        if not -limit < at < limit:
            raise InputError("level", given.level, f"> {-limit:.6g} and < {limit:.6g}", "Beyond, one phase is islands.")
        value = level_fraction(given.surface, at)
    else:
        value = check_number("fraction", given.fraction, above=0.0, below=1.0)
        most = level_fraction(given.surface, limit)
        if not 1.0 - most < value < most:
            allowed = f"> {1.0 - most:.6g} and < {most:.6g}"
            raise InputError("fraction", given.fraction, allowed, "Beyond, one phase is islands.")
        import scipy.optimize

        at = scipy.optimize.brentq(lambda t: level_fraction(given.surface, t) - value, -limit, limit, xtol=1e-12)

    def make() -> RawCell:
        return implicit_raw(
            lambda x: function(x) - at,
            ["solid", "pore"],
            lattice=Lattice.box(1.0, 1.0, 1.0),
            resolution=given.mesh.resolution,
            refinement=given.mesh.refinement or 0,
            fractions={"solid": value},
            order=given.mesh.order,
            mirrors=given.mesh.mirrors,
            length_unit=given.mesh.length_unit,
        )

    return CellPlan(make=make, name=given.surface, length=period, length_unit=given.mesh.length_unit)


def level_fraction(surface: str, level: float, count: int = 1024) -> float:
    r"""Return the fraction of the unit cube where the function of a surface is below a level, to about 1e-6.

    All three functions are :math:`A(y,z)\cos(x-\psi(y,z))+B(y,z)` along x, so that the length below the level is an
    arc cosine; it is summed over ``count`` by ``count`` midpoints of y and z.
    """
    angle = 2.0 * np.pi * (np.arange(count) + 0.5) / count
    y, z = angle[:, None], angle[None, :]
    if surface == "gyroid":
        amplitude, base = np.hypot(np.cos(y), np.sin(z)), np.sin(y) * np.cos(z)
    elif surface == "schwarz-p":
        amplitude, base = np.ones((count, count)), np.cos(y) + np.cos(z)
    else:
        amplitude, base = np.hypot(np.cos(y - z), np.sin(y + z)), np.zeros((count, count))
    cosine = np.clip((level - base) / np.maximum(amplitude, 1e-300), -1.0, 1.0)
    return float(1.0 - np.arccos(cosine).mean() / np.pi)


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class LevelSets:
    """Phases given by level-set functions, as the parameters of :func:`homfem.cells.level_set_cell` say."""

    functions: Sequence[LevelSet] | LevelSet
    phases: Sequence[str]
    dimension: int | None
    fractions: Mapping[str, float] | None
    name: str
    mesh: SurfaceMesh


def level_set_plan(given: LevelSets) -> CellPlan:
    """Plan the cell of a description: its numbers are checked, nothing is meshed."""
    if isinstance(given.mesh.period, Lattice):
        lattice = given.mesh.period
    elif np.isscalar(given.mesh.period):
        count = check_integer("dimension", 3 if given.dimension is None else given.dimension, at_least=2, at_most=3)
        lattice = Lattice.box(*[check_number("period", given.mesh.period, above=0.0)] * count)
    else:
        sides = [check_number("period", side, above=0.0) for side in given.mesh.period]  # type: ignore[union-attr]
        if len(sides) not in (2, 3):
            raise InputError("period", given.mesh.period, "one length, or one for each of 2 or 3 axes")
        lattice = Lattice.box(*sides)
    if given.dimension is not None and given.dimension != lattice.dimension:
        raise InputError("dimension", given.dimension, f"{lattice.dimension}, the number of periods")
    length = lattice.shortest
    unit = Lattice(vectors=np.asarray(lattice.vectors / length, dtype=np.float64))

    def make() -> RawCell:
        return implicit_raw(
            given.functions,
            given.phases,
            lattice=unit,
            resolution=given.mesh.resolution,
            refinement=given.mesh.refinement or 0,
            fractions=given.fractions,
            order=given.mesh.order,
            mirrors=given.mesh.mirrors,
            length_unit=given.mesh.length_unit,
        )

    return CellPlan(make=make, name=given.name, length=length, length_unit=given.mesh.length_unit)
