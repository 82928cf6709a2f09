r"""Simple cubic, body-centred and face-centred arrays of spheres, apart or overlapping."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from homfem.meshing.arrays.raw_cell import RawCell
from homfem.meshing.cut.implicit import implicit_raw
from homfem.meshing.cut.level_sets import balls, second_nearest
from homfem.meshing.cut.mirror_parts import MIRRORS
from homfem.meshing.shapes.fibres import halvings_for
from homfem.meshing.shapes.plan import CellPlan, SurfaceMesh
from homfem.parameters import Array, InputError, Lattice, check_choice, check_integer, check_number
from homfem.reference import PLANE_ORDERS

#: Centres in the cube, distance of nearest neighbours and their number, distance of the second ones and their number.
PACKINGS = {
    "simple-cubic": ([[0.5, 0.5, 0.5]], 1.0, 6, math.sqrt(2.0), 12),
    "body-centred": ([[0.5, 0.5, 0.5], [0.0, 0.0, 0.0]], math.sqrt(0.75), 8, 1.0, 6),
    "face-centred": (
        [[0.5, 0.5, 0.5], [0.5, 0.0, 0.0], [0.0, 0.5, 0.0], [0.0, 0.0, 0.5]],
        math.sqrt(0.5),
        12,
        1.0,
        6,
    ),
}


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class SphereArray:
    """Cubic array of spheres, as the parameters of :func:`homfem.cells.sphere_array` say."""

    lattice: str
    fraction: float | None
    radius: float | None
    overlap: bool
    mesh: SurfaceMesh


def sphere_array_plan(given: SphereArray) -> CellPlan:
    """Plan the cell of a description: its numbers are checked, nothing is meshed."""
    check_choice("lattice", given.lattice, list(PACKINGS))
    centres, apart, _, second, _ = PACKINGS[given.lattice]
    period = check_number("period", given.mesh.period, above=0.0, remedy="A period is a length.")
    resolution = check_number("resolution", given.mesh.resolution, above=0.0, at_most=1 / 3)
    check_integer("order", given.mesh.order, at_least=1, at_most=2, remedy=PLANE_ORDERS)
    check_choice("mirrors", given.mesh.mirrors, MIRRORS)
    size = _radius(given.lattice, given.fraction, given.radius, given.overlap)
    box = Lattice.box(1.0, 1.0, 1.0)
    # Spheres that overlap have a function each, so that the edges between them are met.
    groups = [centres] if size < 0.5 * apart else [[centre] for centre in centres]
    functions = [balls(box, group, size) for group in groups]
    gap = apart - 2.0 * size
    thinnest = 0.5 * size
    if gap < 0.0:  # necks where spheres overlap, and gaps between the second neighbours
        thinnest = min(thinnest, 0.8 * math.sqrt(size**2 - 0.25 * apart**2), second - 2.0 * size)
    thin = ("radius", given.radius) if given.fraction is None else ("fraction", given.fraction)
    halvings = halvings_for(*thin, resolution, thinnest) if given.mesh.refinement is None else given.mesh.refinement
    mesh_size: Callable[[Array], Array] | None = None
    if given.mesh.refinement is None and gap > 0.0:
        halvings_for(*thin, resolution, gap)
        between = second_nearest(box, centres, size)
        mesh_size = lambda points: np.maximum(0.7 * between(points), 0.7 * gap)  # noqa: E731
    exact = volume_fraction(given.lattice, size)

    def make() -> RawCell:
        return implicit_raw(
            functions,
            ["sphere"] * len(functions) + ["matrix"],
            lattice=box,
            resolution=resolution,
            refinement=halvings,
            size=mesh_size,
            fractions={"sphere": exact},
            order=given.mesh.order,
            collapse=given.mesh.refinement is None,
            mirrors=given.mesh.mirrors,
            length_unit=given.mesh.length_unit,
        )

    return CellPlan(make=make, name="sphere-array", length=period, length_unit=given.mesh.length_unit)


def volume_fraction(lattice: str, radius: float) -> float:
    """Return the fraction of the spheres, see ``sphere_array``; the radius as a fraction of the period."""
    centres, apart, neighbours, _, _ = PACKINGS[lattice]
    height = max(0.0, radius - 0.5 * apart)
    cap = math.pi / 3.0 * height**2 * (3.0 * radius - height)
    return len(centres) * (4.0 / 3.0 * math.pi * radius**3 - neighbours * cap)


def largest_radius(lattice: str, overlap: bool) -> float:
    """Return the radius below which spheres do not touch; with ``overlap`` below which the caps of one do not meet."""
    centres, apart, _, second, _ = PACKINGS[lattice]
    if not overlap:
        return 0.5 * apart
    # The circles where a sphere meets two neighbours touch when the angle between these is twice their half-angle.
    box = Lattice.box(1.0, 1.0, 1.0)
    shifts = np.stack([g.ravel() for g in np.meshgrid(*[[-1, 0, 1]] * 3, indexing="ij")], axis=1) @ box.vectors
    vectors = (np.array(centres)[0] - np.array(centres)[:, None] + shifts).reshape(-1, 3)
    near = vectors[np.abs(np.linalg.norm(vectors, axis=1) - apart) < 1e-9] / apart
    cosine = (near @ near.T - 2.0 * np.eye(len(near))).max()
    between = math.acos(cosine)
    return min(0.5 * apart / math.cos(0.5 * between), 0.5 * second)


def _radius(lattice: str, fraction: float | None, radius: float | None, overlap: bool) -> float:
    if (fraction is None) == (radius is None):
        raise InputError("fraction, radius", (fraction, radius), "given one of the two")
    largest = largest_radius(lattice, overlap)
    touch = largest_radius(lattice, False)
    what = "where three spheres meet" if overlap else "where the spheres touch"
    remedy = "" if overlap else "Spheres that overlap: overlap = true."
    if radius is not None:
        size = check_number("radius", radius, above=0.0)
        if size >= largest:
            raise InputError("radius", radius, f"< {largest:.6g} of the period, {what}", remedy)
    else:
        value = check_number("fraction", fraction, above=0.0, below=1.0)
        most = volume_fraction(lattice, largest)
        if value >= most:
            raise InputError("fraction", fraction, f"< {most:.6g}, {what}", remedy)
        size = math.cbrt(value / len(PACKINGS[lattice][0]) * 0.75 / math.pi)
        if size > touch:
            import scipy.optimize

            size = scipy.optimize.brentq(lambda r: volume_fraction(lattice, r) - value, touch, largest, xtol=1e-16)
    if overlap and abs(size - touch) < 0.02 * touch:
        raise InputError("radius", size, f"2 % or more off {touch:.6g}, where the spheres touch in points")
    return float(size)
