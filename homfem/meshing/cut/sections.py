"""Sections of fibres: their area, corners, level sets, and how far apart they are in an array."""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass

import numpy as np

from homfem.meshing.cut.level_sets import LevelSet, balls, ellipses, polygons
from homfem.parameters import Array, Lattice, check_choice, check_integer, check_number


@dataclass(frozen=True, slots=True)
class Section:
    """A convex section with a radius r and a coating of thickness t.

    Parameters
    ----------
    kind
        ``"round"``, ``"elliptical"`` or ``"polygon"``.
    aspect
        Long over short axis of an ellipse; r is half of the long one.
    sides
        Number of sides of a regular polygon; r is the radius of the circle through its corners.
    angle
        From the first axis to the long axis or to a corner, in radians.
    """

    kind: str
    aspect: float = 1.0
    sides: int = 0
    angle: float = 0.0

    def semi_axes(self, radius: float, thickness: float = 0.0) -> tuple[float, float]:
        """Half axes of an ellipse."""
        return radius + thickness, radius / self.aspect + thickness

    def outer(self, radius: float, thickness: float) -> float:
        """Radius of a polygon whose sides are moved out by the thickness."""
        return radius + thickness / math.cos(math.pi / self.sides)

    def area(self, radius: float, thickness: float = 0.0) -> float:
        """Area of the section with its coating."""
        if self.kind == "polygon":
            return 0.5 * self.sides * self.outer(radius, thickness) ** 2 * math.sin(2.0 * math.pi / self.sides)
        a, b = self.semi_axes(radius, thickness)
        return math.pi * a * b

    def level_set(self, lattice: Lattice, centres: Array, radius: float, thickness: float = 0.0) -> LevelSet:
        """Level-set function of the sections with their coatings."""
        if self.kind == "polygon":
            return polygons(lattice, centres, self.outer(radius, thickness), self.sides, self.angle)
        if self.kind == "round":
            return balls(lattice, centres, radius + thickness)
        return ellipses(lattice, centres, self.semi_axes(radius, thickness), self.angle)

    def corners(self, centres: Array, radius: float, thickness: float = 0.0) -> Array:
        """Corners of the sections, shape (k, 2)."""
        if self.kind != "polygon":
            return np.zeros((0, 2))
        turn = self.angle + 2.0 * np.pi * np.arange(self.sides) / self.sides
        around = self.outer(radius, thickness) * np.stack([np.cos(turn), np.sin(turn)], axis=1)
        return np.asarray((centres[:, None] + around).reshape(-1, 2))

    def narrowest(self, radius: float) -> float:
        """Smallest length of the section that the mesh has to show."""
        if self.kind == "polygon":
            return radius * min(1.0, 2.0 * math.sin(math.pi / self.sides))
        # The radius of curvature at the end of the long axis.
        return radius / self.aspect**2

    def separation(self, apart: Array, radius: float, thickness: float) -> Array:
        """By how much two sections can grow about their centres, which are ``apart``, until they touch; shape (k,)."""
        if self.kind == "polygon":
            turn = self.angle + (2.0 * np.arange(self.sides) + 1.0) * np.pi / self.sides
            normals = np.stack([np.cos(turn), np.sin(turn)])
            inner = math.cos(math.pi / self.sides)
            width = self.outer(radius, thickness) * (2.0 * inner if self.sides % 2 == 0 else 1.0 + inner)
            return np.asarray(np.abs(apart @ normals).max(axis=1) / width)
        c, s = math.cos(self.angle), math.sin(self.angle)
        turned = apart @ np.array([[c, -s], [s, c]]) / np.array(self.semi_axes(radius, thickness))
        return np.asarray(0.5 * np.linalg.norm(turned, axis=1))

    def largest(self, apart: Array, thickness: float) -> float:
        """Radius at which the coated sections touch; 0 if they do for any."""

        def room(radius: float) -> float:
            return float(self.separation(apart, radius, thickness).min()) - 1.0

        tiny = 1e-9
        if room(tiny) <= 0.0:
            return 0.0
        high = 1.0
        while room(high) > 0.0:
            high *= 2.0
        import scipy.optimize

        return float(scipy.optimize.brentq(room, tiny, high, xtol=1e-15))

    def gap(self, apart: Array, radius: float, thickness: float) -> float:
        """Thinnest gap between two coated sections, along the line through their centres."""
        return float((np.linalg.norm(apart, axis=1) * (1.0 - 1.0 / self.separation(apart, radius, thickness))).min())


def section_of(kind: str, aspect: float = 1.0, sides: int = 6, angle: float = 0.0) -> Section:
    """Return a section, its parameters checked; the angle in radians."""
    check_choice("section", kind, ("round", "elliptical", "polygon"))
    if kind == "elliptical":
        return Section(kind, aspect=check_number("aspect", aspect, at_least=1.0, at_most=10.0), angle=angle)
    if kind == "polygon":
        return Section(kind, sides=check_integer("sides", sides, at_least=3, at_most=12), angle=angle)
    return Section(kind)


def difference_vectors(lattice: Lattice, centres: Array) -> Array:
    """Return the vectors between the centres and the images of others, those that matter for contact; shape (k, d)."""
    d = lattice.dimension
    images = np.array(list(itertools.product(range(-2, 3), repeat=d))) @ lattice.vectors
    vectors = (centres[:, None, None] - centres[None, :, None] + images).reshape(-1, d)
    return np.asarray(vectors[np.linalg.norm(vectors, axis=1) > 1e-9])
