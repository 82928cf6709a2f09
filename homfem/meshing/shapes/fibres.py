r"""Arrays of parallel fibres with round, elliptical or polygonal section, coated or not; straight tubes."""

from __future__ import annotations

import logging
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from homfem.meshing.arrays.budget import require_cells, require_filled
from homfem.meshing.arrays.raw_cell import RawCell
from homfem.meshing.cut.curved import of_order
from homfem.meshing.cut.extrusion import extruded
from homfem.meshing.cut.implicit import implicit_raw
from homfem.meshing.cut.level_sets import LevelSet
from homfem.meshing.cut.mirror_parts import MIRRORS
from homfem.meshing.cut.sections import Section, difference_vectors, section_of
from homfem.meshing.shapes.plan import CellPlan, SurfaceMesh, SurfaceMeshOptions
from homfem.parameters import Array, CellError, InputError, Lattice, check_choice, check_integer, check_number
from homfem.reference import PLANE_ORDERS

log = logging.getLogger("homfem")

AXES = ("x", "y", "z")


class FibreArrayOptions(SurfaceMeshOptions, total=False):
    """The words of :class:`FibreArray` as keywords of a function."""

    fraction: float | None
    radius: float | None
    coating: float | None
    section: str
    aspect: float
    sides: int
    angle: float
    dimension: int
    axis: str
    layers: int | None


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class FibreArray(SurfaceMesh):
    r"""Array of parallel fibres.

    Parameters
    ----------
    fraction, radius
        Volume fraction of the fibres in (0, 1), or their radius as a fraction of the shorter period of the section
        (half of the long axis of an ellipse, circumradius of a polygon): one of the two.
    coating
        Thickness, > 0, as a fraction of the same period.
    section
        ``"round"``, ``"elliptical"`` or ``"polygon"``. A polygon is met exactly, corners included, on a mesh that may
        be up to a fifth finer for that.
    aspect
        Long over short axis of an ellipse, in [1, 10].
    sides
        Number of sides of a regular polygon, 3 to 12.
    angle
        In degrees from the first axis of the section to the long axis, or to a corner.
    dimension
        2, or 3: the section swept along ``axis``.
    axis
        ``"x"``, ``"y"`` or ``"z"``, in three dimensions; the section's axes are the other two, in their order.
    layers
        Number of mesh layers along the fibres, at least 3; by default as high as ``resolution``, and no more than 3
        where the period along them is one length for all (nothing varies along fibres).
    """

    fraction: float | None = None
    radius: float | None = None
    coating: float | None = None
    section: str = "round"
    aspect: float = 1.0
    sides: int = 6
    angle: float = 0.0
    dimension: int = 2
    axis: str = "z"
    layers: int | None = None


def fibre_array_plan(lattice: str, given: FibreArray) -> CellPlan:
    """Plan the cell of a description: its numbers are checked, nothing is meshed."""
    return _plan(("fibre", "coating", "matrix"), "fibre-array", lattice, given)


def tube_plan(given: FibreArray) -> CellPlan:
    """Plan a cell with one pore in place of a fibre, see :func:`homfem.cells.tube`."""
    return _plan(("pore", "", "solid"), "tube", "square", given)


class _Fibres(NamedTuple):
    """Fibres in a plane cell: their level sets, and what the mesh must know of them."""

    phases: list[str]
    functions: list[LevelSet]
    fractions: dict[str, float]
    corners: dict[int, Array]
    finest: list[float]
    """Lengths that the mesh must see; that of a coating comes last."""


def _plan(names: tuple[str, str, str], title: str, lattice: str, given: FibreArray) -> CellPlan:
    section = section_of(given.section, given.aspect, given.sides, math.radians(check_number("angle", given.angle)))
    resolution = check_number("resolution", given.resolution, above=0.0, at_most=1 / 3)
    check_choice("lattice", lattice, ("square", "hexagonal"))
    check_integer("dimension", given.dimension, at_least=2, at_most=3)
    check_choice("mirrors", given.mirrors, MIRRORS)
    check_choice("axis", given.axis, AXES)
    along = AXES.index(given.axis) if given.dimension == 3 else 2
    others = [a for a in range(3) if a != along]
    periods: Array = np.ones(3)
    if isinstance(given.period, Lattice):
        vectors = _oblique(lattice, given.period, given.dimension)
    else:
        periods = _periods(lattice, given.period, given.dimension, along)
        vectors = np.diag(periods[others])
    length = float(np.linalg.norm(vectors, axis=1).min())
    box = Lattice(vectors=np.asarray(vectors / length, dtype=np.float64))
    fibres = _fibres(names, lattice, given, section, box)
    halvings = _halvings(given, fibres, resolution)
    height = float(periods[along]) / length
    require_filled("resolution", resolution, np.linalg.norm(box.vectors, axis=1), resolution)
    count = _layers(given, height / resolution)
    name, value = ("resolution", resolution) if given.layers is None else ("layers", given.layers)
    if given.dimension == 3:
        require_cells(name, value, "tetrahedron", 12.0 * count * box.volume / resolution**2)

    def make() -> RawCell:
        flat = _plane(given, fibres, box, resolution, halvings)
        if given.dimension == 2:
            return flat
        require_cells(name, value, "tetrahedron", 3.0 * count * len(flat.cells))
        raw = extruded(flat, height, count, along)
        if given.order == 1:
            return raw
        targets = {fibres.phases.index(phase): part * raw.lattice.volume for phase, part in fibres.fractions.items()}
        return of_order(raw, [_swept(phi, others) for phi in fibres.functions], targets)

    most, why = (4, "") if given.dimension == 2 else (2, PLANE_ORDERS)
    check_integer("order", given.order, at_least=1, at_most=most, remedy=why)
    return CellPlan(make=make, name=title, length=length, length_unit=given.length_unit)


def _fibres(names: tuple[str, str, str], lattice: str, given: FibreArray, section: Section, box: Lattice) -> _Fibres:
    """Place the fibres in the cell, whose shortest period is 1."""
    centres = np.array([[0.5, 0.5]] if lattice == "square" else [[0.5, 0.5], [0.0, 0.0]]) @ box.vectors
    thickness = 0.0 if given.coating is None else check_number("coating", given.coating, above=0.0, below=0.5)
    apart = difference_vectors(box, centres)
    size = _size(section, apart, len(centres) / box.volume, given.fraction, given.radius, thickness)
    functions = [section.level_set(box, centres, size)]
    fractions = {names[0]: len(centres) * section.area(size) / box.volume}
    corners = {0: section.corners(centres, size)}
    finest = [section.gap(apart, size, thickness), 0.5 * section.narrowest(size)]
    if given.coating is not None:
        functions.append(section.level_set(box, centres, size, thickness))
        fractions[names[1]] = len(centres) * section.area(size, thickness) / box.volume - fractions[names[0]]
        corners[1] = section.corners(centres, size, thickness)
        finest.append(thickness)
    phases = [names[0], names[2]] if given.coating is None else list(names)
    return _Fibres(phases, functions, fractions, corners, finest)


def _halvings(given: FibreArray, fibres: _Fibres, resolution: float) -> int:
    """Return how often the mesh is halved at the fibres."""
    if given.refinement is not None:
        return given.refinement
    name, value = ("radius", given.radius) if given.fraction is None else ("fraction", given.fraction)
    if given.coating is not None and fibres.finest[-1] <= min(fibres.finest):
        name, value = "coating", given.coating
    return halvings_for(name, value, resolution, min(fibres.finest))


def _layers(given: FibreArray, wanted: float) -> int:
    """Return the number of layers along the fibres; ``wanted`` would have the resolution."""
    least = 3 if np.isscalar(given.period) else max(3, math.ceil(wanted - 1e-9))
    if given.mirrors == "auto":
        least += least % 2
    return least if given.layers is None else check_integer("layers", given.layers, at_least=3)


def _plane(given: FibreArray, fibres: _Fibres, box: Lattice, resolution: float, halvings: int) -> RawCell:
    """Mesh the plane cell; a grid that does not fit the corners of a polygon is made finer, little by little."""

    def meshed(size: float) -> RawCell:
        return implicit_raw(
            fibres.functions,
            fibres.phases,
            lattice=box,
            resolution=size,
            refinement=halvings,
            fractions=fibres.fractions,
            corners={k: places for k, places in fibres.corners.items() if len(places)},
            conserve=given.order == 1,
            order=given.order if given.dimension == 2 else 1,
            collapse=given.refinement is None,
            mirrors=given.mirrors,
            length_unit=given.length_unit,
        )

    for factor in (1.0, 0.95, 0.9, 0.85, 0.8) if len(fibres.corners[0]) else ():
        try:
            return meshed(factor * resolution)
        except CellError as error:
            log.info("resolution %.4g: %s", factor * resolution, error)
    return meshed(resolution)


def _swept(phi: LevelSet, others: list[int]) -> LevelSet:
    return lambda points: phi(points[:, others])


def _oblique(lattice: str, period: Lattice, dimension: int) -> Array:
    """The two shortest vectors of a lattice in the plane, by Lagrange and Gauss: its cell is the least skewed one."""
    if dimension != 2 or period.dimension != 2:
        allowed = "lengths in space: only in the plane fibres take period vectors"
        raise InputError("period", period.vectors.tolist(), allowed)
    if lattice != "square":
        raise InputError("lattice", lattice, "'square' with period vectors: they say the lattice")
    short: Array = period.vectors[0]
    long: Array = period.vectors[1]
    while True:
        if short @ short > long @ long:
            short, long = long, short
        turns = float(np.rint(short @ long / (short @ short)))
        if turns == 0.0:
            return np.stack([short, long])
        long = np.asarray(long - turns * short)


def _periods(lattice: str, period: float | Sequence[float], dimension: int, along: int) -> Array:
    """Periods along x, y, z; in the plane the third one stands for nothing."""
    others = [a for a in range(3) if a != along]
    ratio = math.sqrt(3.0) if lattice == "hexagonal" else 1.0
    if np.isscalar(period):
        value = check_number("period", period, above=0.0, remedy="A period is a length.")
        periods = np.full(3, value)
        periods[others[1]] = value * ratio
        return periods
    given = list(period)  # type: ignore[arg-type]
    if len(given) != dimension:
        raise InputError("period", period, f"one length, or {dimension}, one per axis")
    periods = np.ones(3)
    periods[:dimension] = [check_number("period", value, above=0.0, remedy="A period is a length.") for value in given]
    if lattice == "hexagonal":
        if abs(periods[others[1]] / periods[others[0]] / ratio - 1.0) > 1e-6:
            allowed = "in the section 1 to 1.7320508 for a hexagonal array"
            raise InputError("period", period, allowed, "Give one length: the distance of neighbouring fibres.")
        periods[others[1]] = periods[others[0]] * ratio
    return periods


def _size(
    section: Section, apart: Array, density: float, fraction: float | None, radius: float | None, thickness: float
) -> float:
    """Radius of the fibres, checked against touching."""
    if (fraction is None) == (radius is None):
        raise InputError("fraction, radius", (fraction, radius), "given one of the two")
    largest = section.largest(apart, thickness)
    if largest <= 0.0:
        raise InputError("coating", thickness, "thinner: the coatings alone touch")
    if fraction is not None:
        most = density * section.area(largest)
        value = check_number("fraction", fraction, above=0.0, below=1.0)
        if value >= most:
            remedy = "Choose a smaller fraction" + (", or a thinner coating." if thickness else ".")
            raise InputError("fraction", fraction, f"< {most:.6g}, where the fibres touch", remedy)
        return math.sqrt(value / density / section.area(1.0))
    value = check_number("radius", radius, above=0.0)
    if value >= largest:
        raise InputError("radius", radius, f"< {largest:.6g} (of the shorter period), where the fibres touch")
    return value


def halvings_for(name: str, value: Any, resolution: float, thinnest: float) -> int:
    """Return how often a mesh size is to be halved so that two or more cells fit across the thinnest part.

    ``name`` and ``value`` are those of the parameter that makes it so thin, for the message.
    """
    halvings = max(0, math.ceil(math.log2(1.2 * resolution / thinnest)))
    if halvings > 9:
        allowed = f"such that no gap or layer is thinner than {resolution / 512:.2g} of the period at this resolution"
        remedy = f"One is {thinnest:.2g}. Give refinement yourself, or leave a wider gap."
        raise InputError(name, value, allowed, remedy)
    return halvings
