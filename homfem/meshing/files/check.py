"""A checker for cells: says of any mesh whether it is a periodic cell, and if not, why and where."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import scipy.sparse
import scipy.sparse.csgraph
import scipy.spatial

from homfem.meshing.arrays import quality
from homfem.meshing.arrays.facets import cell_facets, row_numbers
from homfem.meshing.arrays.identification import check_faces, check_resolution, identify_nodes
from homfem.meshing.arrays.mesh_report import FaceReport, MeshReport, PhaseCheck, Quality, place, tuples
from homfem.meshing.arrays.raw_cell import FACET_NODES, Indices, RawCell
from homfem.meshing.files.loose import LooseMesh, read_loosely, read_period
from homfem.meshing.topology import nonmatching_faces
from homfem.meshing.topology.cracks import find_cracks
from homfem.meshing.topology.crossings import find_overlaps
from homfem.meshing.topology.percolation import percolation
from homfem.parameters import Array, HomfemError, Lattice
from homfem.reference import EDGES, FACET_CORNERS

_TOLERANCE = 1e-8
_SHOWN = 3


def check_mesh(
    source: str | Path | RawCell,
    period: float | Sequence[float] | Lattice | None = None,
    dimension: int | None = None,
    *,
    trust: bool = False,
) -> MeshReport:
    """Check a mesh as a periodic cell; a bad mesh is reported, never raised.

    Parameters
    ----------
    source
        Any file that :func:`homfem.meshing.files.foreign.read_raw` reads, or a cell. ``.geo`` and ``.step`` are meshed.
    period
        Period in the unit of the file: one length, one for each axis, or a lattice, which may be longer than the mesh
        (a film). Default: what the file says, else the sides of the bounding box.
    dimension
        2 or 3. Default: what the mesh has.
    trust
        Run a ``.geo`` script whatever it does, see :func:`homfem.meshing.by_gmsh.scripts.check_script`.

    Returns
    -------
    MeshReport
        With ``ok``, ``str()`` and ``to_dict()``.
    """
    name = "cell" if isinstance(source, RawCell) else str(source)
    try:
        mesh = read_loosely(source, dimension, period, trust=trust)
    except HomfemError as error:
        return MeshReport(source=name, problems=(str(error),))
    problems, notes = list(mesh.problems), list(mesh.notes)
    report = MeshReport(
        source=name, problems=(), dimension=mesh.dimension, kind=mesh.kind, order=mesh.order, cells=len(mesh.cells)
    )
    used = np.unique(mesh.cells)
    if used[0] < 0 or used[-1] >= len(mesh.points) or not np.all(np.isfinite(mesh.points[used])):
        return replace(report, problems=(*problems, "some nodes of cells are missing, or their coordinates not finite"))
    if len(used) < len(mesh.points):
        notes.append(f"{len(mesh.points) - len(used)} nodes belong to no cell")
        number = np.cumsum(np.isin(np.arange(len(mesh.points)), used)) - 1
        mesh = replace(mesh, points=mesh.points[used], cells=number[mesh.cells])
    try:
        lattice = mesh.lattice if period is None else read_period(period, mesh.dimension)
        lattice = lattice or Lattice.box(*np.ptp(mesh.points, axis=0))
    except HomfemError as error:
        return replace(report, nodes=len(used), problems=(*problems, str(error)))
    report = replace(report, nodes=len(used), period=tuples(lattice.vectors))
    return _checked(report, mesh, lattice, problems, notes, film=isinstance(period, Lattice))


def _checked(
    report: MeshReport, mesh: LooseMesh, lattice: Lattice, problems: list[str], notes: list[str], *, film: bool
) -> MeshReport:
    """Return the report of a mesh whose nodes are there, with a lattice; a film is shorter than a period."""
    volumes, flat = quality.signed_volumes(mesh.points, mesh.cells, mesh.kind, mesh.order)
    negative = int(np.count_nonzero(volumes < 0.0))
    if flat.any():
        where = mesh.points[mesh.corners[flat][0]].mean(axis=0)
        problems.append(f"{flat.sum()} cells are degenerate or folded, one near {place(where)}")
    if negative:
        notes.append(f"{negative} cells have negative orientation; they are turned when a cell is made")
    filled = float(np.abs(volumes).sum() / lattice.volume)
    if filled > 1.0 + 1e-9:
        problems.append(f"the cells fill {filled:.9g} of the period: they overlap, or the period is too small")
    elif filled < 1.0 - 1e-9:
        notes.append(f"the cells fill {filled:.9g} of the period; the rest is taken to be void")
    problems += _topology(mesh, lattice)
    faces, found = _faces(mesh, lattice)
    problems += found
    short = _short(mesh, lattice)
    notes += [f"{text}: a film" for text in short if film]
    problems += [f"{text}; if a film is meant, give the period vectors" for text in short if not film]
    if any(not face.ok for face in faces):
        notes.append(_ways_out(mesh, lattice))
    phases, found = _phases(mesh, lattice, np.abs(volumes), flat, all(face.ok for face in faces))
    problems += found
    shape = _quality(mesh, flat)
    if shape is not None and shape.smallest_angle < 1.0:
        notes.append(f"the smallest angle is {shape.smallest_angle:.2g} degrees: expect slow solvers and large errors")
    return replace(
        report,
        problems=tuple(dict.fromkeys(problems)),
        notes=tuple(notes),
        filled=filled,
        negative=negative,
        degenerate=int(flat.sum()),
        faces=faces,
        quality=shape,
        phases=phases,
    )


def _topology(mesh: LooseMesh, lattice: Lattice) -> list[str]:
    """What is wrong with the mesh apart from its period: nodes that coincide, facets of three cells."""
    problems = []
    near = scipy.spatial.cKDTree(mesh.points).query_pairs(_TOLERANCE * lattice.shortest, output_type="ndarray")
    if len(near):
        where = place(mesh.points[near[0, 0]])
        problems.append(f"{len(near)} pairs of nodes coincide, one at {where}: parts that touch there are not joined")
    facets = _facets(mesh)
    count = np.unique(row_numbers(np.sort(facets, axis=1)), return_counts=True)[1]
    if np.any(count > 2):
        problems.append(f"{np.count_nonzero(count > 2)} facets belong to more than two cells: cells overlap")
    return problems


def _faces(mesh: LooseMesh, lattice: Lattice) -> tuple[tuple[FaceReport, ...], list[str]]:
    fractional = lattice.fractional(mesh.points)
    low, reach = fractional.min(axis=0), np.ptp(fractional, axis=0)
    if np.any(reach > 1.0 + _TOLERANCE):
        # No parallelepiped: every facet of the boundary needs a partner, if the cells fill the period.
        try:
            representative, _ = identify_nodes(mesh.points, lattice)
            check_faces(mesh.points, mesh.corners, representative, lattice, whole=True)
        except HomfemError as error:
            text = ", ".join(f"{value:.9g}" for value in reach)
            return (), [f"the cells reach over {text} periods, and not all facets have a partner: {error}"]
        return (), []
    facets = _boundary(mesh)
    graph = _graph(mesh)
    reports, problems = [], []
    for k in range(mesh.dimension):
        if reach[k] < 1.0 - _TOLERANCE:
            continue
        sides = [np.abs(fractional[:, k] - low[k] - end) <= _TOLERANCE for end in (0.0, 1.0)]
        report = _face(mesh, lattice, k, sides, facets, graph)
        reports.append(report)
        if not report.ok:
            where = ", ".join(place(example) for example in report.examples)
            problems.append(
                f"faces across period {k + 1} do not match: {sum(report.unmatched_nodes)} nodes and "
                f"{sum(report.unmatched_facets)} facets have no partner" + (f"; at {where}" if where else "")
            )
    return tuple(reports), problems


def _short(mesh: LooseMesh, lattice: Lattice) -> list[str]:
    """The periods that the mesh does not reach over."""
    reach = np.ptp(lattice.fractional(mesh.points), axis=0)
    return [
        f"period {k + 1}: the cells reach over {reach[k]:.9g} of it only"
        for k in range(mesh.dimension)
        if reach[k] < 1.0 - _TOLERANCE
    ]


def _face(
    mesh: LooseMesh, lattice: Lattice, k: int, sides: list[npt.NDArray[np.bool_]], facets: Indices, graph: Any
) -> FaceReport:
    nodes = [np.flatnonzero(side) for side in sides]
    moved = [mesh.points[nodes[0]] + lattice.vectors[k], mesh.points[nodes[1]]]
    limit = _TOLERANCE * lattice.shortest
    far_high, partner = scipy.spatial.cKDTree(moved[0]).query(moved[1])
    far_low, _ = scipy.spatial.cKDTree(moved[1]).query(moved[0])
    alone = [nodes[0][far_low > limit], nodes[1][far_high > limit]]
    own = [facets[side[facets].all(axis=1)] for side in sides]
    # High facets by the names of their low partners; a node without one keeps a name that no low node has.
    name = np.arange(len(mesh.points)) + len(mesh.points)
    name[nodes[0]] = nodes[0]
    name[nodes[1]] = np.where(far_high <= limit, nodes[0][partner], name[nodes[1]])
    number = row_numbers(np.sort(np.vstack([own[0], name[own[1]]]), axis=1)) if len(own[0]) + len(own[1]) else nodes[0]
    lows, highs = number[: len(own[0])], number[len(own[0]) :]
    steps = scipy.sparse.csgraph.dijkstra(graph, indices=nodes[0], unweighted=True, min_only=True)[nodes[1]].min()
    examples = np.concatenate(alone)[:_SHOWN]
    return FaceReport(
        period=k + 1,
        nodes=(len(nodes[0]), len(nodes[1])),
        facets=(len(own[0]), len(own[1])),
        unmatched_nodes=(len(alone[0]), len(alone[1])),
        unmatched_facets=(int((~np.isin(lows, highs)).sum()), int((~np.isin(highs, lows)).sum())),
        examples=tuples(mesh.points[examples]),
        elements_across=int(steps) if np.isfinite(steps) else None,
    )


def _ways_out(mesh: LooseMesh, lattice: Lattice) -> str:
    """What can be done about faces that do not match."""
    repair = "repair = true meshes the cell anew with faces that match, which keeps guaranteed bounds"
    try:
        raw = _raw(mesh, lattice)
        nonmatching_faces.check_traces(raw, nonmatching_faces.origin_of(raw))
    except HomfemError as error:
        return f"{repair}; faces = 'non-matching' is no way here: {error}"
    return f"two ways out: {repair}; faces = 'non-matching' uses the mesh as it is, for a value without bounds"


def _facets(mesh: LooseMesh) -> Indices:
    """Corner nodes of the facets of all cells, shape (f, corners of a facet)."""
    return cell_facets(mesh.corners, mesh.kind).reshape(-1, FACET_CORNERS[mesh.kind])


def _boundary(mesh: LooseMesh) -> Indices:
    """Corner nodes of the facets that belong to one cell, shape (f, corners of a facet)."""
    facets = _facets(mesh)
    _, first, count = np.unique(row_numbers(np.sort(facets, axis=1)), return_index=True, return_counts=True)
    return np.asarray(facets[first[count == 1]])


def _graph(mesh: LooseMesh) -> Any:
    """The corner nodes, joined by the edges of the cells."""
    first, second = np.array(EDGES[mesh.kind]).T
    ends = mesh.cells[:, first].ravel(), mesh.cells[:, second].ravel()
    count = len(mesh.points)
    return scipy.sparse.coo_array((np.ones(len(ends[0])), ends), shape=(count, count)).tocsr()


def _phases(
    mesh: LooseMesh, lattice: Lattice, volumes: Array, flat: npt.NDArray[np.bool_], matching: bool
) -> tuple[tuple[PhaseCheck, ...], list[str]]:
    plain = tuple(
        PhaseCheck(
            name=name,
            cells=int(np.count_nonzero(mesh.phase_of_cell == tag)),
            fraction=float(volumes[mesh.phase_of_cell == tag].sum() / lattice.volume),
        )
        for name, tag in mesh.phases.items()
    )
    kept = ~flat
    try:
        raw = _raw(mesh, lattice, kept)
        representative, offset = identify_nodes(raw.points, lattice, partial=True)
        across = None if matching else nonmatching_faces.links_across(raw, nonmatching_faces.origin_of(raw))
        found = percolation(raw, representative, offset, across)
        check_resolution(raw.points, raw.cells, representative, lattice)
        given = (raw, representative)
        cracks = "" if flat.any() else find_cracks(*given, faces=matching) or find_overlaps(*given, faces=matching)
    except HomfemError as error:
        # Degenerate cells and overlaps are told in plainer words elsewhere.
        known = flat.any() or volumes.sum() > lattice.volume * (1.0 + 1e-9)
        return plain, [] if known else [str(error)]
    result = []
    for phase in plain:
        own = found.get(phase.name)
        if own is None:
            result.append(phase)
            continue
        rows = tuples(own.directions, int)
        result.append(replace(phase, parts=len(own.parts), islands=len(own.islands), directions=rows))
    return tuple(result), [f"parts are not joined: {cracks}"] if cracks else []


def _raw(mesh: LooseMesh, lattice: Lattice, kept: npt.NDArray[np.bool_] | None = None) -> RawCell:
    """The cell of a mesh, or of those of its cells that are kept."""
    chosen = np.ones(len(mesh.cells), dtype=bool) if kept is None else kept
    tags = np.unique(mesh.phase_of_cell[chosen])
    return RawCell(
        points=mesh.points,
        cells=mesh.cells[chosen],
        kind=mesh.kind,
        order=mesh.order,
        phase_of_cell=mesh.phase_of_cell[chosen],
        phases={name: tag for name, tag in mesh.phases.items() if tag in tags},
        facets=np.zeros((0, FACET_NODES[mesh.kind, mesh.order]), dtype=np.int64),
        facet_tags=np.zeros(0, dtype=np.int32),
        facet_names={},
        lattice=lattice,
    )


def _quality(mesh: LooseMesh, flat: npt.NDArray[np.bool_]) -> Quality | None:
    corners = mesh.corners[~flat]
    if not len(corners):
        return None
    angles, aspects = quality.angles(mesh.points, corners), quality.aspect_ratios(mesh.points, corners)
    smallest = angles.min(axis=1)
    shares = [0.0, 0.01, 0.1, 0.5, 0.9, 0.99, 1.0]
    return Quality(
        smallest_angle=float(smallest.min()),
        largest_angle=float(angles.max()),
        worst_aspect=float(aspects.max()),
        worst_at=tuples(mesh.points[corners[[int(np.argmax(aspects))]]].mean(axis=1))[0],
        quantiles={
            "smallest_angle": tuples([np.quantile(smallest, shares)])[0],
            "aspect": tuples([np.quantile(aspects, shares)])[0],
        },
    )
