r"""Cells that are made here: three orthogonal pipes that cross at the centre of the unit cube.

With edges :math:`(a, b, c)` the network is

.. math:: \{|y-\tfrac12|,|z-\tfrac12|<\tfrac a2\}\cup\{|z-\tfrac12|,|x-\tfrac12|<\tfrac b2\}\cup
          \{|x-\tfrac12|,|y-\tfrac12|<\tfrac c2\},

the pipe along x has the cross-section a by a, and so on. Equal edges l: volume fraction :math:`3l^2-2l^3`, interface
area :math:`12\,l(1-l)` per cell; the complement is the network of edge 1 - l shifted by half a period.
"""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from homfem.meshing.arrays.budget import require_cells
from homfem.meshing.arrays.raw_cell import Indices, RawCell, stretched
from homfem.meshing.by_gmsh.model_arrays import model_to_raw
from homfem.meshing.by_gmsh.session import gmsh_session
from homfem.meshing.by_gmsh.subprocess_mesher import run_limited
from homfem.meshing.shapes.box_grid import CUTS, corners_of_boxes, graded_axis, graded_steps, grid_points, require_boxes
from homfem.meshing.shapes.painted import axis_periods, offset_pipes, painted_plan
from homfem.meshing.shapes.plan import CellPlan
from homfem.parameters import Array, InputError, Lattice, check_choice, check_integer, check_number

log = logging.getLogger("homfem")

NETWORK, OUTSIDE = "er", "cytosol"
INTERFACE = f"{NETWORK}|{OUTSIDE}"
#: Nearest that an edge may come to 0 and to 1.
_NEAREST = 1e-9
FACES = ("x-", "x+", "y-", "y+", "z-", "z+")


def three_pipe_plan(
    edges: float | Sequence[float] = 0.1,
    *,
    resolution: float = 0.1,
    grading: float = 0.25,
    growth: float | None = None,
    section: str = "square",
    offsets: Sequence[float] | None = None,
    phases: Sequence[str] = ("er", "cytosol"),
    period: float | Sequence[float] = 1.0,
    length_unit: str = "um",
    order: int = 1,
    mesher: str | None = None,
) -> CellPlan:
    """Plan the cell of :func:`homfem.cells.three_pipe`, which has the parameters; no MPI here."""
    periods = axis_periods(period, 3)
    if offsets is not None:
        check_choice("section", section, ["square"])
        boxes = offset_pipes(check_edges(edges), offsets)
        return painted_plan(
            boxes, "cytosol", name="three-pipe", phases=phases, resolution=resolution, grading=grading,
            growth=1.0 if growth is None else growth, period=list(periods), length_unit=length_unit,
        )  # fmt: skip

    def make() -> RawCell:
        raw = three_pipe_raw(
            edges,
            resolution=resolution,
            grading=grading,
            growth=growth,
            phases=phases,
            section=section,
            order=order,
            mesher=mesher,
        )
        return stretched(raw, periods / periods.min(), length_unit)

    return CellPlan(make=make, name="three-pipe", length=float(periods.min()), length_unit=length_unit)


def three_pipe_raw(
    edges: float | Sequence[float] = 0.1,
    *,
    resolution: float = 0.05,
    grading: float = 0.25,
    growth: float | None = None,
    phases: Sequence[str] = (NETWORK, OUTSIDE),
    section: str = "square",
    order: int = 1,
    mesher: str | None = None,
) -> RawCell:
    """Return the mesh of three orthogonal pipes that cross at the centre of the unit cube.

    Parameters
    ----------
    edges
        Edge of the pipes along x, y, z (``section="round"``: their diameter) as a fraction of the period, or one
        for all; in (0, 1).
    resolution
        Bulk mesh size as a fraction of the period, in (0, 1/3].
    grading
        Mesh size at the edges where the corrector is singular, over the bulk size; in (0, 1].
    growth
        Slope of the mesh size away from them, > 0; by default that of the mesher.
    phases
        ``"er"`` (the pipes), ``"cytosol"`` (the rest), or both.
    section
        ``"square"`` or ``"round"``.
    order
        Degree of the geometry, 1 or 2.
    mesher
        ``"structured"``: :func:`structured_three_pipe`, the default for square pipes of order 1, the only ones that
        it can do; ``"gmsh"``: :func:`gmsh_three_pipe`.
    """
    check_choice("section", section, ["square", "round"])
    possible = section == "square" and order == 1
    mesher = check_choice("mesher", mesher or ("structured" if possible else "gmsh"), ["structured", "gmsh"])
    if mesher == "gmsh":
        return run_limited(
            gmsh_three_pipe,
            edges,
            resolution=resolution,
            grading=grading,
            growth=0.3 if growth is None else growth,
            phases=phases,
            section=section,
            order=order,
        )
    if not possible:
        value = f"structured, with section {section!r} and order {order}"
        raise InputError("mesher", value, "'gmsh' for round pipes and for order 2")
    slope = 1.0 if growth is None else growth
    return structured_three_pipe(edges, resolution=resolution, grading=grading, growth=slope, phases=phases)


def structured_three_pipe(
    edges: float | Sequence[float] = 0.1,
    *,
    resolution: float = 0.05,
    grading: float = 0.25,
    growth: float = 1.0,
    phases: Sequence[str] = (NETWORK, OUTSIDE),
) -> RawCell:
    r"""Mesh the three square pipes with a graded grid of boxes, each cut into six tetrahedra.

    Along each axis the spacing at distance s from the nearest interface plane is

    .. math:: h(s) = \min(H,\; g\,w + q\,s),

    with the bulk size H (``resolution``, or half of the gap between two planes if that is smaller), the smaller w of
    the bulk sizes on both sides of that plane, ``grading`` g and ``growth`` q. The grid is symmetric about the centre
    and the boxes of each octant are cut along the diagonal that points to the centre: the mesh has every symmetry of
    the cell (all 48 of a cube for equal edges), opposite faces match bit for bit, and the interface is met exactly.

    Parameters
    ----------
    edges
        Edge of the square pipes along x, y, z as a fraction of the period, or one for all; in (0, 1).
    resolution
        Bulk spacing H as a fraction of the period, in (0, 1/3].
    grading
        Spacing at the interface planes over H, in (0, 1].
    growth
        Slope q of the spacing, > 0.
    phases
        ``"er"`` (the pipes), ``"cytosol"`` (the rest), or both.

    Returns
    -------
    RawCell
        Unit cube, unit "m", facet groups ``"er|cytosol"``, ``"x-"``, ``"x+"``, ... of the phases that were asked for.
    """
    a, b, c = check_edges(edges)
    resolution = check_number("resolution", resolution, above=0.0, at_most=1 / 3)
    grading = check_number("grading", grading, above=0.0, at_most=1.0)
    growth = check_number("growth", growth, above=0.0)
    names = _check_phases(phases)
    start = time.perf_counter()

    sections = [[b, c], [c, a], [a, b]]
    boxes_in_all = math.prod(graded_steps(section, resolution, grading, growth) for section in sections)
    require_boxes("resolution", resolution, boxes_in_all, 3)
    axes = [graded_axis(section, resolution, grading, growth) for section in sections]
    shape = tuple(len(axis) - 1 for axis in axes)
    near = [np.abs(0.5 * (axis[1:] + axis[:-1]) - 0.5) * 2.0 for axis in axes]
    x, y, z = np.meshgrid(*near, indexing="ij", sparse=True)
    network = ((y < a) & (z < a)) | ((z < b) & (x < b)) | ((x < c) & (y < c))
    if len(names) == 1:
        boxes = np.argwhere(network if names[0] == NETWORK else ~network)
    else:
        boxes = np.argwhere(np.ones(shape, dtype=bool))
    tag_of_box = np.where(network, 1, 2).astype(np.int32)[tuple(boxes.T)]

    facets, facet_tags, facet_names = _box_facets(network, NETWORK in names, len(names) == 2)
    raw = RawCell(
        points=grid_points(axes),
        cells=corners_of_boxes(boxes, shape, _away(shape))[:, CUTS[3]].reshape(-1, 4),
        kind="tetrahedron",
        order=1,
        phase_of_cell=np.repeat(tag_of_box, 6),
        phases={name: tag for name, tag in ((NETWORK, 1), (OUTSIDE, 2)) if name in names},
        facets=facets,
        facet_tags=facet_tags,
        facet_names=facet_names,
        lattice=Lattice.box(1.0, 1.0, 1.0),
    )
    log.info("structured three-pipe: %d tetrahedra in %.2f s", len(raw.cells), time.perf_counter() - start)
    return raw


def check_edges(edges: float | Sequence[float]) -> tuple[float, float, float]:
    """Return the three edges; each must be in (0, 1), and not so near the ends that planes fall together."""
    values = list(edges) if isinstance(edges, (Sequence, np.ndarray)) and not isinstance(edges, str) else [edges] * 3
    if len(values) != 3:
        raise InputError("edges", edges, "one number, or three: the edges of the pipes along x, y and z")
    remedy = "An edge is a fraction of the period."
    a, b, c = (check_number("edges", value, above=0.0, below=1.0, remedy=remedy) for value in values)
    if min(a, b, c) < _NEAREST or max(a, b, c) > 1.0 - _NEAREST:
        raise InputError("edges", edges, f"at least {_NEAREST:g} away from 0 and from 1", remedy)
    return a, b, c


def _check_phases(phases: Sequence[str]) -> list[str]:
    names = [phases] if isinstance(phases, str) else list(phases)
    for name in names:
        check_choice("phases", name, [NETWORK, OUTSIDE])
    if not names:
        raise InputError("phases", phases, f"{NETWORK!r}, {OUTSIDE!r} or both")
    return names


def _away(shape: tuple[int, ...]) -> list[npt.NDArray[np.bool_]]:
    """The diagonals run away from the centre: the mesh then has every symmetry of the cell."""
    return [np.arange(n) >= n // 2 for n in shape]


def _box_facets(
    network: npt.NDArray[np.bool_], inner: bool, both: bool
) -> tuple[Indices, npt.NDArray[np.int32], dict[str, int]]:
    """Return the facets between the phases and on the period faces, seen from the boxes of the phases in the mesh."""
    shape = network.shape
    tags = {INTERFACE: 10} | {name: 11 + k for k, name in enumerate(FACES)}
    found, found_tags = [], []

    def add(boxes: Indices, axis: int, upper_side: bool, tag: int) -> None:
        far = (boxes[:, axis] >= shape[axis] // 2) == upper_side
        i, j = 1 << (axis + 1) % 3, 1 << (axis + 2) % 3
        halves = np.array([[0, i, i | j], [0, j, i | j]])
        local = halves[None] + np.where(far, 1 << axis, 0)[:, None, None]
        corners = corners_of_boxes(boxes, shape, _away(shape))
        found.append(np.take_along_axis(corners, local.reshape(-1, 6), axis=1).reshape(-1, 3))
        found_tags.append(np.full(2 * len(boxes), tag, dtype=np.int32))

    for axis in range(3):
        change = np.argwhere(np.diff(network, axis=axis))
        below = network[tuple(change.T)] == inner
        above = change.copy()
        above[:, axis] += 1
        add(change[below], axis, True, tags[INTERFACE])
        add(above[~below], axis, False, tags[INTERFACE])
        for side in range(2):
            at_face = np.take(network, -side, axis=axis)
            boxes = np.argwhere(np.ones_like(at_face) if both else at_face == inner)
            boxes = np.insert(boxes, axis, side * (shape[axis] - 1), axis=1)
            add(boxes, axis, bool(side), tags[FACES[2 * axis + side]])
    return np.vstack(found), np.concatenate(found_tags), tags


def gmsh_three_pipe(
    edges: float | Sequence[float] = 0.1,
    *,
    resolution: float = 0.05,
    grading: float = 0.25,
    growth: float = 0.3,
    phases: Sequence[str] = (NETWORK, OUTSIDE),
    section: str = "square",
    order: int = 1,
) -> RawCell:
    r"""Mesh the three pipes with Gmsh: unstructured, interface conforming, opposite faces equal node by node.

    The mesh size at distance s from the edges that are re-entrant for a phase of the mesh, and t from the interface, is

    .. math:: h = \min(H,\; g\,w + q\,s,\; w + q\,t), \qquad w = \min(H, \text{narrowest gap}/2),

    with the bulk size H (``resolution``), ``grading`` g and ``growth`` q; a quarter of the gap for round pipes.
    Parameters and result as in :func:`structured_three_pipe` and :func:`three_pipe_raw`.
    """
    values = check_edges(edges)
    resolution = check_number("resolution", resolution, above=0.0, at_most=1 / 3)
    grading = check_number("grading", grading, above=0.0, at_most=1.0)
    growth = check_number("growth", growth, above=0.0)
    check_choice("section", section, ["square", "round"])
    check_integer("order", order, at_least=1, at_most=2)
    names = _check_phases(phases)
    narrowest = min(min(edge, 1.0 - edge) for edge in values)
    near = min(resolution, narrowest / (2.0 if section == "square" else 4.0))
    # Square pipes have edges along them; round ones curves where they cross.
    length = sum(4.0 * (1.0 - edge) if section == "square" else 6.0 * edge for edge in values)
    about = _about(values, length, near, grading * near, resolution, growth)
    require_cells("resolution", resolution, "tetrahedron", about)
    start = time.perf_counter()
    sizes = {f"Mesh_MeshSize{name}": 0.0 for name in ("ExtendFromBoundary", "FromPoints", "FromCurvature")}
    with gmsh_session(**sizes, Mesh_ElementOrder=order, Mesh_MeshSizeMax=resolution) as gmsh:
        interface, singular = _make_pipes(gmsh, values, section, names)
        _set_size(gmsh, interface, singular, near, grading * near, resolution, growth)
        gmsh.model.mesh.generate(3)
        raw = model_to_raw(3, Lattice.box(1.0, 1.0, 1.0))
    log.info("Gmsh three-pipe: %d tetrahedra in %.2f s", len(raw.cells), time.perf_counter() - start)
    return raw


def _about(
    edges: tuple[float, float, float], length: float, near: float, fine: float, bulk: float, growth: float
) -> float:
    """About how many tetrahedra Gmsh makes: six in a cube of the mesh size, whose inverse third power is integrated.

    Around curves of size h at a distance s the size is h + q s, around surfaces likewise on both sides.
    """
    area = sum(4.0 * edge * (1.0 - edge) for edge in edges)
    surface = area * (near**-2 - bulk**-2) / growth
    curve = math.pi * length * (1.0 / fine - 1.0 / bulk) / growth**2
    return 6.0 * (bulk**-3 + surface + curve)


def _make_pipes(
    gmsh: Any, edges: tuple[float, float, float], section: str, names: list[str]
) -> tuple[list[int], list[int]]:
    """Make the geometry and its groups; return the interface surfaces and the re-entrant curves."""
    occ = gmsh.model.occ
    cube = occ.addBox(0, 0, 0, 1, 1, 1)
    pipes = []
    for axis, edge in enumerate(edges):
        if section == "square":
            low = np.where(np.arange(3) == axis, 0.0, 0.5 - edge / 2)
            pipes.append((3, occ.addBox(*low, *np.where(np.arange(3) == axis, 1.0, edge))))
        else:
            base = np.where(np.arange(3) == axis, 0.0, 0.5)
            pipes.append((3, occ.addCylinder(*base, *np.eye(3)[axis], edge / 2)))
    network, _ = occ.fuse(pipes[:1], pipes[1:])
    _, parts = occ.fragment([(3, cube)], network)
    inside = sorted({tag for part in parts[1:] for _, tag in part})
    outside = sorted({tag for _, tag in parts[0]} - set(inside))
    volumes = {NETWORK: inside, OUTSIDE: outside}
    absent = [tag for name in volumes if name not in names for tag in volumes[name]]
    if absent:
        occ.remove([(3, tag) for tag in absent], recursive=True)
    occ.synchronize()

    for number, (name, tags) in enumerate(volumes.items(), start=1):
        if name in names:
            gmsh.model.addPhysicalGroup(3, tags, number, name)
    box = {tag: np.array(gmsh.model.getBoundingBox(2, tag)).reshape(2, 3) for _, tag in gmsh.model.getEntities(2)}
    faces = {
        name: [t for t, b in box.items() if np.all(np.abs(b[:, k // 2] - k % 2) < 1e-6)] for k, name in enumerate(FACES)
    }
    interface = sorted(set(box) - {tag for tags in faces.values() for tag in tags})
    gmsh.model.addPhysicalGroup(2, interface, 10, INTERFACE)
    for k, name in enumerate(FACES):
        gmsh.model.addPhysicalGroup(2, faces[name], 11 + k, name)
    for axis in range(3):
        shift = np.eye(3)[axis]
        transform = np.eye(4)
        transform[axis, 3] = 1.0
        for tag in faces[FACES[2 * axis + 1]]:
            master = [t for t in faces[FACES[2 * axis]] if np.allclose(box[t] + shift, box[tag], atol=1e-6)]
            gmsh.model.mesh.setPeriodic(2, [tag], master, transform.ravel())
    return interface, _reentrant_curves(gmsh, edges, section, names, interface)


def _reentrant_curves(
    gmsh: Any, edges: tuple[float, float, float], section: str, names: list[str], interface: list[int]
) -> list[int]:
    """Return the curves of the interface about which a phase of the mesh fills more than half a turn."""
    curves = []
    for _, curve in gmsh.model.getEntities(1):
        around = [tag for tag in gmsh.model.getAdjacencies(1, curve)[0] if tag in interface]
        if len(set(around)) < 2:
            continue
        low, high = np.array(gmsh.model.getBoundingBox(1, curve)).reshape(2, 3)
        if section == "round":
            if NETWORK in names:
                curves.append(curve)
            continue
        middle, axis = 0.5 * (low + high), int(np.argmax(high - low))
        other = [k for k in range(3) if k != axis]
        quadrants = np.tile(middle, (4, 1))
        quadrants[:, other] += 1e-4 * min(min(edges), 1.0 - max(edges)) * np.array([[1, 1], [1, -1], [-1, 1], [-1, -1]])
        filled = int(np.count_nonzero(_in_network(quadrants, edges)))
        if (filled == 3 and NETWORK in names) or (filled == 1 and OUTSIDE in names):
            curves.append(curve)
    return curves


def _in_network(points: Array, edges: tuple[float, float, float]) -> npt.NDArray[np.bool_]:
    a, b, c = edges
    x, y, z = 2.0 * np.abs(points - 0.5).T
    return np.asarray(((y < a) & (z < a)) | ((z < b) & (x < b)) | ((x < c) & (y < c)))


def _set_size(
    gmsh: Any, interface: list[int], singular: list[int], near: float, fine: float, bulk: float, growth: float
) -> None:
    field = gmsh.model.mesh.field
    fields = []
    for entities, kind, size in ((interface, "SurfacesList", near), (singular, "CurvesList", fine)):
        if not entities or size >= bulk:
            continue
        distance, threshold = field.add("Distance"), field.add("Threshold")
        field.setNumbers(distance, kind, entities)
        field.setNumber(distance, "Sampling", math.ceil(1.0 / size) if kind == "CurvesList" else 20)
        settings = {"InField": distance, "SizeMin": size, "SizeMax": bulk, "DistMin": 0.0}
        for name, value in (settings | {"DistMax": (bulk - size) / growth}).items():
            field.setNumber(threshold, name, value)
        fields.append(threshold)
    smallest = field.add("Min")
    field.setNumbers(smallest, "FieldsList", fields)
    field.setAsBackgroundMesh(smallest)
