"""Three orthogonal pipes meshed by Gmsh, finer towards the edges where correctors are singular."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from homfem.meshing.arrays.budget import require_cells
from homfem.meshing.arrays.raw_cell import RawCell
from homfem.meshing.by_gmsh.model_arrays import model_to_raw
from homfem.meshing.by_gmsh.session import gmsh_session
from homfem.meshing.shapes.three_pipe_grid import FACES, INTERFACE, NETWORK, OUTSIDE, check_edges, check_phases
from homfem.parameters import Array, Lattice, check_choice, check_integer, check_number
from homfem.reference import PLANE_ORDERS

log = logging.getLogger("homfem")


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
    Parameters and result as in :func:`homfem.meshing.shapes.three_pipe.three_pipe_raw`.
    """
    values = check_edges(edges)
    resolution = check_number("resolution", resolution, above=0.0, at_most=1 / 3)
    grading = check_number("grading", grading, above=0.0, at_most=1.0)
    growth = check_number("growth", growth, above=0.0)
    check_choice("section", section, ["square", "round"])
    check_integer("order", order, at_least=1, at_most=2, remedy=PLANE_ORDERS)
    names = check_phases(phases)
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
