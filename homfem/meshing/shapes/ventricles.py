r"""Idealised ventricles: the wall between two ellipsoids that a plane truncates, and two such walls side by side.

The long axis is z, the apex lies below, the base is the plane z = ``base``. The defaults of the left one are those
of Land et al. (2015), Proc. R. Soc. A 471, 20150641, doi:10.1098/rspa.2015.0641, in mm.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from homfem.meshing.arrays.budget import require_filled
from homfem.meshing.by_gmsh.generation import generate
from homfem.meshing.by_gmsh.session import gmsh_session
from homfem.meshing.files.body import BodyArrays
from homfem.parameters import Array, InputError, check_number

log = logging.getLogger("homfem")

Radii = tuple[float, float, float]
#: A node lies on a surface within this part of its size.
ON_SURFACE = 1e-6


@dataclass(frozen=True, kw_only=True, slots=True)
class Ventricle:
    r"""The wall of a left ventricle between two ellipsoids about the origin.

    At depth t, from 0 on the endocardium to 1 on the epicardium, lies the ellipsoid with the half axes
    :math:`r_i(t) = (1-t)\,r_i^{\rm endo} + t\,r_i^{\rm epi}`.

    Parameters
    ----------
    endo, epi
        Half axes of the inner and the outer ellipsoid along x, y, z; or two numbers, across and along the long axis.
    base
        Where the plane of the base cuts the long axis; between the apex and the upper end of the inner ellipsoid.

    Boundaries of its mesh are ``endo``, ``epi``, ``base``; the region is ``wall``.

    Raises
    ------
    InputError
        For half axes that are not > 0, an inner ellipsoid that is not inside the outer one, a base beyond its ends.
    """

    endo: Sequence[float] = (7.0, 17.0)
    epi: Sequence[float] = (10.0, 20.0)
    base: float = 5.0

    def __post_init__(self) -> None:
        for name in ("endo", "epi"):
            object.__setattr__(self, name, _half_axes(name, getattr(self, name)))
        _require_inside("endo", self.endo, "epi", self.epi)
        object.__setattr__(self, "base", _check_base("endo", self.base, self.endo[2]))

    @property
    def volume(self) -> float:
        """Volume of the wall."""
        return truncated_volume(self.epi, self.base) - self.cavity

    @property
    def cavity(self) -> float:
        """Volume of the cavity."""
        return truncated_volume(self.endo, self.base)

    @property
    def sides(self) -> Radii:
        """Extent along x, y and z."""
        return 2.0 * self.epi[0], 2.0 * self.epi[1], self.epi[2] + self.base

    def stretched(self, sides: Sequence[float]) -> Ventricle:
        """Return the ventricle of another extent along x, y and z."""
        factors = np.asarray(sides, dtype=np.float64) / self.sides
        endo, epi = (tuple((np.asarray(radii) * factors).tolist()) for radii in (self.endo, self.epi))
        return Ventricle(endo=endo, epi=epi, base=float(self.base * factors[2]))

    def depth(self, points: Array) -> Array:
        r"""Return t of points, shape (n, 3), by :math:`\sum_i (x_i/r_i(t))^2 = 1`; beyond [0, 1] outside of the wall.

        1/sqrt of the sum is a concave function of t: Newton's method comes to the root from below and needs no guard.
        """
        inner, wall = np.asarray(self.endo), np.subtract(self.epi, self.endo)
        t = np.zeros(len(points))
        for _ in range(100):
            radii = inner + t[:, None] * wall
            terms = (points / radii) ** 2
            total = terms.sum(axis=1)
            move = total * (total**0.5 - 1.0) / np.einsum("ij,ij->i", terms, wall / radii)
            t = t + move
            if np.abs(move).max(initial=0.0) < 1e-14:
                break
        return t

    def axes(self, points: Array, alpha_endo: float = 90.0, alpha_epi: float = -90.0) -> tuple[Array, Array]:
        r"""Return the fibres and the outward normals of the ellipsoids at points: unit vectors, each of shape (n, 3).

        .. math::
            f = \sin\alpha\,\frac{\partial_u x}{|\partial_u x|} + \cos\alpha\,\frac{\partial_v x}{|\partial_v x|},\quad
            x = (r_1\sin u\cos v,\ r_2\sin u\sin v,\ r_3\cos u),\ -\pi\le u\le 0,

        with the angle :math:`\alpha = (1-t)\,\alpha_{\rm endo} + t\,\alpha_{\rm epi}` (Land et al. 2015, problem 3).

        Parameters
        ----------
        points
            Shape (n, 3), in the wall. On the long axis, where no direction stands out, v is 0.
        alpha_endo, alpha_epi
            Degrees from the circumference, on the endocardium and the epicardium.
        """
        t = np.clip(self.depth(points), 0.0, 1.0)
        radii = np.asarray(self.endo) + t[:, None] * np.subtract(self.epi, self.endo)
        x, y, z = (points / radii).T
        across = np.hypot(x, y)
        scale = np.hypot(across, z)
        sin_u, cos_u = -across / scale, z / scale
        on_axis = across < 1e-12
        safe = np.where(on_axis, 1.0, across)
        cos_v, sin_v = np.where(on_axis, -1.0, x / safe), np.where(on_axis, 0.0, y / safe)
        cos_v, sin_v = -cos_v, -sin_v  # sin u < 0
        along = radii * np.stack([cos_u * cos_v, cos_u * sin_v, -sin_u], axis=1)
        round_ = radii * np.stack([sin_v, -cos_v, 0.0 * t], axis=1)
        along, round_ = _units(along), _units(round_)
        alpha = np.radians((1.0 - t) * alpha_endo + t * alpha_epi)[:, None]
        return _units(np.sin(alpha) * along + np.cos(alpha) * round_), _units(np.cross(round_, along))

    def mesh(self, size: float) -> BodyArrays:
        """Return tetrahedra of one size; see :func:`mesh_of_solids`."""
        size = _check_size(size, min(np.subtract(self.epi, self.endo)), min(self.endo))
        require_filled("resolution", size, self.sides, size, self.volume / float(np.prod(self.sides)))
        with gmsh_session(Mesh_MeshSizeMin=size, Mesh_MeshSizeMax=size) as gmsh:
            occ = gmsh.model.occ
            wall = _cut(
                occ, [_ellipsoid(occ, self.epi)], [_ellipsoid(occ, self.endo), _above(occ, self.base, self.epi)]
            )
            occ.synchronize()
            surfaces = {"endo": Surface(self.endo), "epi": Surface(self.epi)}
            return mesh_of_solids(gmsh, {"wall": wall}, _namer(surfaces, self.base), size)


@dataclass(frozen=True, kw_only=True, slots=True)
class BiVentricle:
    """The walls of both ventricles, each between two ellipsoids; the left one's is whole, and is the septum as well.

    Parameters
    ----------
    lv_endo, lv_epi
        Half axes of the left ventricle, about the origin; as in :class:`Ventricle`.
    rv_endo, rv_epi
        Half axes of the right ventricle.
    offset
        Where the centre of the right ventricle is on the x axis.
    base
        As in :class:`Ventricle`.

    Boundaries of its mesh are ``lv`` and ``rv``, the endocardia, ``epi`` and ``base``; regions are ``left``, with the
    septum, and ``right``.

    Raises
    ------
    InputError
        As :class:`Ventricle`; and for a right ventricle that does not meet the left one or has no cavity beside it.
    """

    lv_endo: Sequence[float] = (7.0, 17.0)
    lv_epi: Sequence[float] = (10.0, 20.0)
    rv_endo: Sequence[float] = (11.0, 15.0)
    rv_epi: Sequence[float] = (13.0, 17.0)
    offset: float = 6.0
    base: float = 5.0

    def __post_init__(self) -> None:
        for name in ("lv_endo", "lv_epi", "rv_endo", "rv_epi"):
            object.__setattr__(self, name, _half_axes(name, getattr(self, name)))
        _require_inside("lv_endo", self.lv_endo, "lv_epi", self.lv_epi)
        _require_inside("rv_endo", self.rv_endo, "rv_epi", self.rv_epi)
        least = min(self.lv_endo[2], self.rv_endo[2])
        object.__setattr__(self, "base", _check_base("lv_endo and rv_endo", self.base, least))
        object.__setattr__(self, "offset", check_number("offset", self.offset))
        scale = np.sqrt(1.0 - (self.base / np.array([self.lv_epi[2], self.rv_endo[2]])) ** 2)
        outer, inner = float(self.lv_epi[0] * scale[0]), float(self.rv_endo[0] * scale[1])
        if abs(self.offset) >= outer or abs(self.offset) + inner <= outer:
            allowed = (
                f"such that the right ventricle begins in the left one and its cavity reaches beyond x = {outer:.4g}"
            )
            raise InputError(
                "offset", self.offset, allowed, f"At the base the cavity is {inner:.4g} wide to each side."
            )

    @property
    def sides(self) -> Radii:
        """Extent along x, y and z."""
        box = self._box()
        return tuple(float(side) for side in box[1] - box[0])  # type: ignore[return-value]

    def _box(self) -> Array:
        centres = np.array([[0.0, 0.0, 0.0], [self.offset, 0.0, 0.0]])
        radii = np.array([self.lv_epi, self.rv_epi])
        low, high = (centres - radii).min(axis=0), (centres + radii).max(axis=0)
        high[2] = self.base
        return np.stack([low, high])

    def stretched(self, sides: Sequence[float]) -> BiVentricle:
        """Return the ventricles of another extent along x, y and z."""
        factors = np.asarray(sides, dtype=np.float64) / self.sides
        names = ("lv_endo", "lv_epi", "rv_endo", "rv_epi")
        radii = {name: tuple((np.asarray(getattr(self, name)) * factors).tolist()) for name in names}
        return replace(self, **radii, offset=float(self.offset * factors[0]), base=float(self.base * factors[2]))

    def mesh(self, size: float) -> BodyArrays:
        """Return tetrahedra of one size; see :func:`mesh_of_solids`."""
        walls = (np.subtract(self.lv_epi, self.lv_endo), np.subtract(self.rv_epi, self.rv_endo))
        size = _check_size(size, float(np.min(walls)), min(*self.lv_endo, *self.rv_endo))
        require_filled("resolution", size, self.sides, size, 0.25)
        with gmsh_session(Mesh_MeshSizeMin=size, Mesh_MeshSizeMax=size) as gmsh:
            occ, far = gmsh.model.occ, np.abs(self._box()).max(axis=0)
            left = _cut(
                occ, [_ellipsoid(occ, self.lv_epi)], [_ellipsoid(occ, self.lv_endo), _above(occ, self.base, far)]
            )
            outer = _ellipsoid(occ, self.rv_epi, self.offset)
            holes = [
                _ellipsoid(occ, self.rv_endo, self.offset),
                _ellipsoid(occ, self.lv_epi),
                _above(occ, self.base, far),
            ]
            right = _cut(occ, [outer], holes)
            _, parts = occ.fragment(left, right)
            occ.synchronize()
            solids = {"left": parts[0], "right": [part for group in parts[1:] for part in group]}
            surfaces = {
                "lv": Surface(self.lv_endo),
                "rv": Surface(self.rv_endo, self.offset),
                "epi": Surface(self.rv_epi, self.offset),
                "": Surface(self.lv_epi),
            }
            name = _namer(surfaces, self.base)
            cavity = surfaces["rv"]

            def named(points: Array, middle: Array) -> str:
                # The left ventricle's outside is the septum's right side where the cavity of the right one is.
                return name(points, middle) or ("rv" if cavity.level(middle) < 0.0 else "epi")

            return mesh_of_solids(gmsh, solids, named, size)


@dataclass(frozen=True, slots=True)
class Surface:
    """An ellipsoid with its centre on the x axis."""

    radii: Sequence[float]
    offset: float = 0.0

    def level(self, points: Array) -> Any:
        """Return a function of points that is negative inside, 0 on the surface, near it a part of its radius."""
        scaled = (points - np.array([self.offset, 0.0, 0.0])) / self.radii
        return np.linalg.norm(scaled, axis=-1) - 1.0


def truncated_volume(radii: Sequence[float], base: float) -> float:
    r"""Return the volume of an ellipsoid below the plane z = base: :math:`\pi r_1r_2(z-z^3/3r_3^2+2r_3/3)`."""
    a, b, c = radii
    return float(np.pi * a * b * (base - base**3 / (3.0 * c * c) + 2.0 * c / 3.0))


def mesh_of_solids(gmsh: Any, solids: dict[str, list[tuple[int, int]]], name: Any, size: float) -> BodyArrays:
    """Mesh the solids of the current model and return them, each as a region.

    Parameters
    ----------
    solids
        The solids of each region.
    name
        Called with the nodes on a surface, (n, 3), and the middle of one of its triangles; returns its name.
    size
        Of the elements, for messages.
    """
    generate(gmsh, 3, "resolution", size)
    tags, coordinates, _ = gmsh.model.mesh.getNodes()
    number = np.zeros(int(tags.max()) + 1, dtype=np.int64)
    number[tags] = np.arange(len(tags))
    points = coordinates.reshape(-1, 3)
    cells, region_of_cell = [], []
    for region, parts in enumerate(solids.values(), start=1):
        for dimension, tag in parts:
            own = _nodes(gmsh, dimension, tag, 4, number)
            cells.append(own)
            region_of_cell.append(np.full(len(own), region, dtype=np.int32))
    facets, names = [], []
    everything = [part for parts in solids.values() for part in parts]
    for dimension, tag in gmsh.model.getBoundary(everything, combined=True, oriented=False):
        own = _nodes(gmsh, dimension, tag, 3, number)
        facets.append(own)
        names += [name(points[np.unique(own)], points[own[0]].mean(axis=0))] * len(own)
    known = {key: k for k, key in enumerate(sorted(set(names)), start=1)}
    used, corners = np.unique(np.concatenate(cells), return_inverse=True)
    again = np.full(len(points), -1, dtype=np.int64)
    again[used] = np.arange(len(used))
    return BodyArrays(
        points=points[used],
        cells=corners.reshape(-1, 4),
        regions={key: k for k, key in enumerate(solids, start=1)},
        region_of_cell=np.concatenate(region_of_cell),
        boundaries=known,
        facets=again[np.concatenate(facets)],
        facet_tags=np.array([known[key] for key in names], dtype=np.int32),
    )


def _nodes(gmsh: Any, dimension: int, tag: int, corners: int, number: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Corner nodes of the simplices of an entity."""
    _, nodes = gmsh.model.mesh.getElementsByType({3: 2, 4: 4}[corners], tag)
    return np.asarray(number[nodes.astype(np.int64)]).reshape(-1, corners)


def _namer(surfaces: dict[str, Surface], base: float) -> Any:
    """Return what tells the name of a surface by its nodes: that of the ellipsoid that they lie on, else the base."""

    def name(points: Array, _middle: Array) -> str:
        for key, surface in surfaces.items():
            if np.abs(surface.level(points)).max() < ON_SURFACE:
                return key
        if np.abs(points[:, 2] - base).max() < ON_SURFACE * np.ptp(points):
            return "base"
        raise InputError("mesh", points[0].tolist(), "a body whose surfaces lie on its ellipsoids or its base")

    return name


def _ellipsoid(occ: Any, radii: Sequence[float], offset: float = 0.0) -> tuple[int, int]:
    body = (3, occ.addSphere(0, 0, 0, 1))
    occ.dilate([body], 0, 0, 0, *radii)
    if offset:
        occ.translate([body], offset, 0, 0)
    return body


def _above(occ: Any, base: float, far: Sequence[float]) -> tuple[int, int]:
    """A box above the base, beyond the body to all sides."""
    wide = 4.0 * float(np.max(far))
    return 3, occ.addBox(-wide, -wide, base, 2.0 * wide, 2.0 * wide, wide)


def _cut(occ: Any, bodies: list[tuple[int, int]], tools: list[tuple[int, int]]) -> list[tuple[int, int]]:
    return list(occ.cut(bodies, tools)[0])


def _units(vectors: Array) -> Array:
    return np.asarray(vectors / np.linalg.norm(vectors, axis=1)[:, None])


def _half_axes(name: str, given: Any) -> Radii:
    values = [check_number(f"{name}[{k}]", value, above=0.0) for k, value in enumerate(np.ravel(given).tolist())]
    if len(values) not in (2, 3):
        raise InputError(name, given, "two half axes, across and along the long axis, or three along x, y and z")
    return (values[0], values[0], values[1]) if len(values) == 2 else (values[0], values[1], values[2])


def _require_inside(inner: str, smaller: Sequence[float], outer: str, larger: Sequence[float]) -> None:
    if not all(a < b for a, b in zip(smaller, larger, strict=True)):
        raise InputError(
            inner, list(smaller), f"shorter than the half axes of {outer} ({list(larger)}) along each axis"
        )


def _check_base(name: str, base: float, long_: float) -> float:
    remedy = f"The plane of the base must cut {name}."
    return check_number("base", base, above=-long_, below=long_, remedy=remedy)


def _check_size(size: float, wall: float, least: float) -> float:
    remedy = "It must be smaller than the least half axis."
    size = check_number("resolution", size, above=0.0, below=least, remedy=remedy)
    if size > wall:
        log.warning("resolution: the mesh cells (%.4g) are larger than the wall is thick (%.4g)", size, wall)
    return size
