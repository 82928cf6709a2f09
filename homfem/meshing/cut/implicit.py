r"""Cells given by level-set functions: periodic by construction, without Gmsh, in two and three dimensions.

With functions :math:`\varphi_1,\varphi_2,\ldots` the phase at a point is the first k with :math:`\varphi_k<0`, and the
last phase where there is none. A regular grid of simplices is bisected towards the surfaces, cut along them
(:mod:`homfem.meshing.cut.cutting`), and the nodes on them are moved so that the phases have their true volumes
(:mod:`homfem.meshing.cut.volume_correction`). Corners and edges of a surface are not resolved: they come out rounded
off or chipped on the scale of the mesh.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypedDict, Unpack

import numpy as np

from homfem.keywords import takes
from homfem.meshing.arrays.raw_cell import Indices, RawCell
from homfem.meshing.arrays.refinement import PAIRS
from homfem.meshing.cut import volume_correction
from homfem.meshing.cut.background import angles, background_raw, sines
from homfem.meshing.cut.coarsening import coarsen
from homfem.meshing.cut.corners import mark_kinks, meet_corners
from homfem.meshing.cut.curved import of_order
from homfem.meshing.cut.cutting import CutMesh, cut, start
from homfem.meshing.cut.ears import open_ears
from homfem.meshing.cut.grading import MeshSize, graded
from homfem.meshing.cut.level_sets import LevelSet, check_periodic, nearest
from homfem.meshing.cut.mirror_parts import Part, check_images, completed, find_part
from homfem.meshing.cut.resolved import TooCoarseError, require_resolved
from homfem.meshing.cut.smoothing import smooth
from homfem.parameters import Array, CellError, InputError, Lattice, check_integer, check_number
from homfem.reference import PLANE_ORDERS, SIMPLEX

log = logging.getLogger("homfem")

#: How often a mesh for curved cells is made finer where it is too coarse, before it is refused, or nodes are taken off
#: the surface.
FINER = 3

#: Angles below this in degrees, and above 180 less this, are refused where nodes must not leave mirror planes.
FLATTEST = {2: 12.0, 3: 5.0}


class CutOptions(TypedDict, total=False):
    """The words of :class:`Cut` as keywords of a function."""

    resolution: float
    refinement: int
    size: MeshSize | None
    conserve: bool
    order: int
    mirrors: str | Sequence[str]
    length_unit: str
    collapse: bool


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Cut:
    """How a grid is made and cut.

    Parameters
    ----------
    resolution
        Longest edge of the grid as a fraction of the shortest period, in (0, 1/3].
    refinement
        How many times the grid is halved at the surfaces before it is cut.
    size
        Wanted length of the longest edges at points near the surfaces, ``size(points) -> (n,)``, where it is to vary.
    conserve
        Move the nodes off the surfaces so that the volumes are right to fourth order; else they lie on the surfaces.
    order
        Degree of the geometry. From 2 on the nodes lie on the surfaces, those on the edges as well; 3 and 4 in the
        plane.
    mirrors
        ``"auto"``: where the functions are their own mirror images across the planes at 0 and half a period of an axis,
        and across those that exchange axes, only the part between these planes is meshed, and its images are the rest:
        the mesh has the symmetry, so that cell problems can be solved on the part. ``"none"``, or axes that are to
        have such planes, such as ``["x", "y"]``.
    length_unit
        Unit of the lattice.
    collapse
        Collapse edges of curved cells (``order`` > 1) that are shorter than they need be
        (:mod:`homfem.meshing.cut.coarsening`), but where they would fold.
    """

    resolution: float = 0.1
    refinement: int = 0
    size: MeshSize | None = None
    conserve: bool = True
    order: int = 1
    mirrors: str | Sequence[str] = "none"
    length_unit: str = "m"
    collapse: bool = False

    def __post_init__(self) -> None:
        check_integer("refinement", self.refinement, at_least=0, at_most=12)
        check_integer("order", self.order, at_least=1, at_most=4)


@takes(Cut)
def implicit_raw(
    functions: Sequence[LevelSet] | LevelSet,
    phases: Sequence[str],
    *,
    lattice: Lattice,
    fractions: Mapping[str, float] | None = None,
    corners: Mapping[int, Array] | None = None,
    **how: Unpack[CutOptions],
) -> RawCell:
    r"""Return the mesh of the cell whose phases are given by level-set functions.

    Parameters
    ----------
    functions
        One function or several, ``phi(points)`` with points of shape (n, d) in the unit of the lattice, returning shape
        (n,): periodic, continuous, negative inside, with a slope that does not vanish on the surface.
    phases
        One name more than there are functions: the phase where the first function is negative, where the second is
        and the first is not, ..., and where none is. Functions with one name are one phase: give bodies that meet at
        an edge a function each, and the edge is resolved.
    lattice
        Period vectors. The grid of a box is mapped to them: strongly skewed ones give flat simplices.
    fractions
        Exact volume fractions of phases, where they are known: the surfaces are moved along their normals, by a
        distance of fourth order in the mesh size, less where it is finer (by its ratio to the mean; of curved cells to
        the power ``order``), until the mesh has them to 1e-12.
    corners
        In the plane, for functions (by their number) the corners of their zero levels, shape (k, 2), which become
        nodes: of polygons, which the mesh then has exactly.
    **how
        As :class:`Cut` has them.

    Returns
    -------
    RawCell
        Its ``facets`` are those between the phases, named ``"a|b"``, with their ``slivers``. A facet on a face of the
        cell is there twice, for each of its phases where that has it, with the same slivers.

    Raises
    ------
    InputError
        For arguments out of range, a function that is not periodic or not finite, a fraction that is not that of the
        function, a function without the mirrors that are asked for.
    CellError
        If the mesh is too coarse for the functions: a phase without cells, a part or a gap thinner than the mesh, cells
        at a mirror plane that stay flat.

    Notes
    -----
    Volumes of the phases are right to fourth order in the mesh size (without ``fractions``), areas to second order.
    Surfaces that cross each other meet in nodes, whose volume is right to second order only.
    Measured over some hundred random discs and spheres: angles of triangles from 17 to 142 degrees, dihedral angles of
    tetrahedra from 5 to 170; the worst ones of a mesh are in the log. A million tetrahedra take about 6 seconds.
    """
    wanted = Cut(**how)
    given: list[LevelSet] = [functions] if callable(functions) else list(functions)
    names = _check_phases(phases, len(given))
    if corners and lattice.dimension != 2:
        raise CellError("corners", sorted(corners), "None in space: only plane sections have corners")
    unique = list(dict.fromkeys(names))
    phase = np.array([unique.index(name) for name in names])
    if wanted.order > 2 and lattice.dimension == 3:
        raise InputError("order", wanted.order, "1 or 2 in space", PLANE_ORDERS)
    if wanted.order > 1 and len(unique) < len(names):
        raise CellError("order", wanted.order, "1 where functions share a phase")
    for number, phi in enumerate(given):
        check_periodic(phi, lattice, f"functions[{number}]")
    targets = _targets(fractions or {}, unique, lattice.volume)

    places = {k: np.asarray(at, dtype=np.float64) for k, at in (corners or {}).items()}

    def make(part: Part) -> RawCell:
        if wanted.order == 1:
            mesh = start(_grid(lattice, given, wanted, part), len(given), part)
            _cut_along(mesh, given, names, places)
            share = {k: volume / part.copies for k, volume in targets.items()}
            faces = _fit(mesh, given, phase, unique, share, conserve=wanted.conserve)
            return completed(_to_raw(mesh, given, faces, unique, phase, wanted.length_unit, straight=True), part)
        coarse: list[TooCoarseError] = []
        while True:
            try:
                return curved(part, coarse)
            except TooCoarseError as error:
                if len(coarse) == FINER:
                    raise
                log.info("the mesh is made finer at %d places: %s", len(error.sizes), error)
                coarse.append(error)

    def curved(part: Part, coarse: Sequence[TooCoarseError]) -> RawCell:
        mesh = start(_grid(lattice, given, wanted, part, coarse), len(given), part)
        _cut_along(mesh, given, names, places)
        _coarsen(mesh, given, phase, wanted, coarse)
        share = {k: volume / part.copies for k, volume in targets.items()}
        faces = _fit(mesh, given, phase, unique, share, conserve=False)
        found = _to_raw(mesh, given, faces, unique, phase, wanted.length_unit, straight=False)
        last = len(coarse) == FINER
        return completed(of_order(found, given, share, part, order=wanted.order, straighten=last), part)

    part = find_part(given, lattice, wanted.mirrors)
    if part.copies > 1 and wanted.mirrors == "auto":
        try:
            return make(part)
        except InputError as error:
            log.info("the whole period is meshed, not %s: %s", part.describe(), error)
            part = Part(lattice=lattice)
    return make(part)


def _grid(
    lattice: Lattice, functions: Sequence[LevelSet], wanted: Cut, part: Part, coarse: Sequence[TooCoarseError] = ()
) -> RawCell:
    """Return the grid that is cut, as fine near the surfaces as is wanted there, and finer where cells would fold."""
    raw = background_raw(lattice, wanted.resolution, wanted.length_unit, part)
    if wanted.size is None and not wanted.refinement and not coarse:
        return raw
    finest, size = wanted.resolution * lattice.shortest * 0.5**wanted.refinement, wanted.size

    around = _sizes_around(lattice, coarse, 1.5)

    def wish(x: Array) -> Array:
        found = np.minimum(finest, size(x)) if size else np.full(len(x), finest)
        return np.minimum(found, 0.5 * around(x))

    return graded(raw, functions, wish, part.copies, wanted.refinement)


def _sizes_around(lattice: Lattice, coarse: Sequence[TooCoarseError], reach: float) -> MeshSize:
    """Mesh sizes that were too coarse, at points within ``reach`` times them from where; infinite elsewhere."""
    around = [nearest(lattice, error.places) for error in coarse]

    def size(x: Array) -> Array:
        found: Array = np.full(len(x), np.inf)
        for error, near in zip(coarse, around, strict=True):
            away, number = near(x)
            length = error.sizes[number]
            found = np.where(away < reach * length, np.minimum(found, length), found)
        return found

    return size


def _coarsen(
    mesh: CutMesh, functions: Sequence[LevelSet], phase: Indices, wanted: Cut, coarse: Sequence[TooCoarseError]
) -> None:
    """Make the mesh as coarse as curved cells may be, but not where it was too coarse before.

    In space this is done once more after the cells are better.
    """
    lattice = mesh.lattice
    around = _sizes_around(lattice, coarse, 0.75)  # the nodes of the cells alone
    for turn in range(lattice.dimension - 1 if wanted.collapse else 0):
        if turn:
            smooth(mesh, functions)
        kept = np.isfinite(around(mesh.points))
        coarsen(mesh, functions, phase, wanted.resolution * lattice.shortest, wanted.order, kept)
    open_ears(mesh, phase)


def _cut_along(
    mesh: CutMesh, functions: Sequence[LevelSet], names: Sequence[str], corners: Mapping[int, Array]
) -> None:
    """Cut the grid along all functions, and look at whether it shows them."""
    for number in range(len(functions)):
        cut(mesh, functions, number)
        if number in corners:
            meet_corners(mesh, functions, number, corners[number])
    check_images(mesh.part, functions, mesh.points)
    mark_kinks(mesh, functions)
    require_resolved(mesh, functions, names)


def _fit(
    mesh: CutMesh,
    functions: Sequence[LevelSet],
    phase: Indices,
    names: Sequence[str],
    targets: Mapping[int, float],
    *,
    conserve: bool,
) -> volume_correction.Interface:
    """Improve the cells and move the nodes so that the volumes are right; return the facets between the phases."""
    smooth(mesh, functions)
    faces = volume_correction.interface(mesh, phase)
    if conserve:
        where = volume_correction.normals(mesh, functions, faces)
        volume_correction.conserve(mesh, functions, faces, where)
        smooth(mesh, functions, on_surfaces=False)
        if targets:
            volume_correction.meet_volumes(mesh, faces, where, targets, names, phase)
    d = mesh.points.shape[1]
    if log.isEnabledFor(logging.INFO):
        smallest, largest = angles(mesh.points, mesh.cells)
        log.info("%d %s on %s, angles from %.1f to %.1f degrees", len(mesh.cells), SIMPLEX[d], mesh.part.describe(),
                 smallest.min(), largest.max())  # fmt: skip
    if mesh.part.copies == 1:
        return faces
    worst = np.degrees(np.arcsin(np.clip(sines(mesh.points[mesh.cells]), -1.0, 1.0)))
    flat = np.flatnonzero(worst < FLATTEST[d])
    if len(flat):
        x = mesh.points[mesh.cells[flat[np.argsort(worst[flat], kind="stable")]]]
        first, second = PAIRS[d + 1]
        raise TooCoarseError.at(
            x.mean(axis=1), np.linalg.norm(x[:, first] - x[:, second], axis=2).max(axis=1), "mirrors",
            f"a cell with an angle of {max(0.0, worst.min()):.2g} degrees",
            f"those of a mesh with angles of {FLATTEST[d]:g} degrees and more",
            "Choose a smaller resolution or more refinement there, or mirrors = 'none'.",
        )  # fmt: skip
    return faces


def _check_phases(phases: Sequence[str], count: int) -> list[str]:
    names = [phases] if isinstance(phases, str) else [str(name) for name in phases]
    if len(names) != count + 1 or names[-1] in names[:-1] or count == 0:
        allowed = f"{count + 1} names for {count} functions, one or more, the last name another than those before"
        raise InputError("phases", phases, allowed)
    return names


def _targets(fractions: Mapping[str, float], names: Sequence[str], volume: float) -> dict[int, float]:
    """Volume that each surface is to give to its region; the last phase's fraction is turned into another's."""
    known = {}
    for name, value in fractions.items():
        if name not in names:
            raise InputError("fractions", name, "of phases: " + ", ".join(map(repr, names)))
        known[names.index(name)] = check_number(f"fractions[{name!r}]", value, above=0.0, below=1.0)
    missing = [k for k in range(len(names)) if k not in known]
    if not missing and abs(sum(known.values()) - 1.0) > 1e-12:
        raise InputError("fractions", dict(fractions), "of sum 1")
    if len(names) - 1 in known:
        if len(missing) > 1:
            remedy = "Give the fractions of all phases but one."
            raise InputError("fractions", dict(fractions), f"given without {names[-1]!r}, or for all but one", remedy)
        for k in missing:
            known[k] = check_number("fractions", 1.0 - sum(known.values()), above=0.0)
        del known[len(names) - 1]
    return {k: value * volume for k, value in known.items()}


def _to_raw(
    mesh: CutMesh,
    functions: Sequence[LevelSet],
    faces: volume_correction.Interface,
    names: Sequence[str],
    phase: Indices,
    length_unit: str,
    *,
    straight: bool,
) -> RawCell:
    # On a face of the cell a facet has two images, and each phase its own.
    apart = (faces.nodes != faces.image).any(axis=1) & (np.sort(faces.nodes) != np.sort(faces.image)).any(axis=1)
    slivers = volume_correction.slivers(mesh, functions, faces) if straight else None
    pair = np.sort(np.stack([phase[faces.low], phase[faces.high]], axis=1), axis=1) @ [len(names), 1]
    kinds, tag = np.unique(pair, return_inverse=True)
    pairs = [divmod(int(kind), len(names)) for kind in kinds]
    facet_names = {f"{names[i]}|{names[j]}": number + 1 for number, (i, j) in enumerate(pairs)}
    return RawCell(
        points=mesh.points,
        cells=mesh.cells,
        kind=SIMPLEX[mesh.points.shape[1]],
        order=1,
        phase_of_cell=(phase[mesh.region] + 1).astype(np.int32),
        phases={name: number + 1 for number, name in enumerate(names)},
        facets=np.vstack([faces.nodes, faces.image[apart]]),
        facet_tags=np.concatenate([tag, tag[apart]]).astype(np.int32) + 1,
        facet_names=facet_names,
        lattice=mesh.lattice,
        length_unit=length_unit,
        slivers=None if slivers is None else np.vstack([slivers, slivers[apart]]),
    )
