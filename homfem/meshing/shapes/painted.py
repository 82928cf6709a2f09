r"""Cells painted with boxes: laminates, slits, obstacles, sheets with tubes, networks of square pipes, myocytes.

Every interface lies in a coordinate plane; the grid meets all of them, so that fractions and areas are exact. Lengths
are fractions of the period along their axis, and boxes that leave the cell come in again on the other side. With period
vectors in place of lengths the axes are those vectors: boxes are parallelepipeds along them, layers are parallel to all
vectors but one.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from homfem.meshing.arrays.raw_cell import RawCell
from homfem.meshing.shapes.box_grid import block_array_raw
from homfem.meshing.shapes.plan import BoxMesh, CellPlan, NetworkMesh
from homfem.parameters import Array, CellError, InputError, Lattice, check_choice, check_integer, check_number

AXES = ("x", "y", "z")


@dataclass(frozen=True, slots=True)
class Box:
    """A rectangle or box of one phase.

    Parameters
    ----------
    phase
        Name of the phase.
    low, high
        Opposite corners as fractions of the periods, ``low < high <= low + 1`` along each axis; taken modulo 1.
    """

    phase: str
    low: tuple[float, ...]
    high: tuple[float, ...]


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Painting:
    """Boxes on a background, as the parameters of :func:`homfem.cells.painted_cell` say."""

    boxes: Sequence[Box]
    background: str
    name: str = "painted"
    phases: Sequence[str] | None = None
    mesh: BoxMesh = BoxMesh()  # noqa: RUF009  (frozen)


def painted_plan(given: Painting) -> CellPlan:
    """Plan the cell of a description: its numbers are checked, nothing is meshed."""
    if not given.boxes:
        raise CellError("boxes", given.boxes, "at least one box")
    d = len(given.boxes[0].low)
    lattice = period_vectors(given.mesh.period, d)
    periods = np.linalg.norm(lattice.vectors, axis=1)
    labels, names, lengths = paint(given.boxes, given.background)
    tags = {phase: tag for tag, phase in enumerate(names, start=1)}
    for phase in given.phases or ():
        check_choice("phases", phase, names)

    def make() -> RawCell:
        raw = block_array_raw(
            labels + 1,
            tags,
            [part * factor for part, factor in zip(lengths, periods / periods.min(), strict=True)],
            resolution=given.mesh.resolution,
            grading=given.mesh.grading,
            growth=given.mesh.growth,
            length_unit=given.mesh.length_unit,
        )
        along = lattice.vectors / periods[:, None]
        oblique = Lattice(vectors=lattice.vectors / periods.min())
        return raw if raw.lattice == oblique else replace(raw, points=raw.points @ along, lattice=oblique)

    return CellPlan(
        make=make,
        name=given.name,
        length=float(periods.min()),
        length_unit=given.mesh.length_unit,
        phases=None if given.phases is None else tuple(given.phases),
        conforming=True,
    )


def paint(boxes: Sequence[Box], background: str) -> tuple[npt.NDArray[np.int64], tuple[str, ...], list[Array]]:
    """Return the number of the phase of each block of the coarsest grid of all planes, the phases, and the layers.

    The phases are named in the order in which the boxes bring them, the background last; those that nothing shows are
    left out.
    """
    d = len(boxes[0].low)
    planes: list[Array] = []
    for axis in range(d):
        ends = np.array([[box.low[axis], box.high[axis]] for box in boxes])
        wide = ends[:, 1] - ends[:, 0]
        if not np.all(np.isfinite(ends)) or np.any(wide <= 0.0) or np.any(wide > 1.0 + 1e-12):
            worst = int(np.argmin(np.where((wide > 0.0) & (wide <= 1.0 + 1e-12), 1.0, 0.0)))
            raise CellError("boxes", boxes[worst], f"of a width > 0 and <= 1 along {AXES[axis]}")
        cuts = ends[wide < 1.0 - 1e-12].ravel() % 1.0
        cuts = np.unique(np.round(np.concatenate([[0.0, 1.0], cuts]), 13))
        close = np.diff(cuts) > 1e-9
        planes.append(np.concatenate([cuts[:-1][close], [1.0]]))
    lengths = [np.diff(axis) for axis in planes]
    middles = [0.5 * (axis[1:] + axis[:-1]) for axis in planes]
    names = list(dict.fromkeys([*(box.phase for box in boxes if box.phase != background), background]))
    labels = np.full([len(part) for part in lengths], names.index(background), dtype=np.int64)
    for box in boxes:
        inside = [(m - low) % 1.0 < high - low for m, low, high in zip(middles, box.low, box.high, strict=True)]
        labels[np.ix_(*inside)] = names.index(box.phase)
    shown, numbers = np.unique(labels, return_inverse=True)
    return numbers.reshape(labels.shape), tuple(names[k] for k in shown), lengths


def laminate_plan(
    fractions: Sequence[float],
    *,
    axis: str = "x",
    dimension: int = 2,
    mesh: BoxMesh = BoxMesh(resolution=0.2),  # noqa: B008  (frozen)
) -> CellPlan:
    """Plan the cell of :func:`homfem.cells.laminate`, which has the parameters; no MPI here."""
    normal = check_axis(axis, dimension)
    given = np.asarray(fractions, dtype=float)
    if given.ndim != 1 or not len(given) or not np.all(np.isfinite(given)) or np.any(given <= 0.0):
        raise InputError("fractions", fractions, "numbers > 0, one for each layer")
    if abs(float(given.sum()) - 1.0) > 1e-9:
        raise InputError("fractions", fractions, f"fractions whose sum is 1, not {given.sum():.12g}")
    ends = np.concatenate([[0.0], np.cumsum(given)[:-1], [1.0]])
    boxes = [_slab(f"layer{k + 1}", normal, dimension, float(ends[k]), float(ends[k + 1])) for k in range(len(given))]
    return painted_plan(
        Painting(
            boxes=boxes,
            background=boxes[-1].phase,
            name="laminate",
            mesh=mesh,
        )
    )


def slit_plan(
    aperture: float | Sequence[float],
    *,
    axis: str = "x",
    dimension: int = 2,
    mesh: BoxMesh = BoxMesh(),  # noqa: B008  (frozen)
) -> CellPlan:
    """Plan the cell of :func:`homfem.cells.slit`, which has the parameters; no MPI here."""
    normal = check_axis(axis, dimension)
    widths = [aperture] if np.isscalar(aperture) else list(aperture)  # type: ignore[arg-type]
    share = 1.0 / max(len(widths), 1)
    if not widths:
        raise InputError("aperture", aperture, "a number, or a list of at least one")
    boxes = []
    for k, width in enumerate(widths):
        width = check_number("aperture", width, above=0.0, below=share, remedy="A slit is narrower than its share.")
        middle = (k + 0.5) * share
        boxes.append(_slab("pore", normal, dimension, middle - 0.5 * width, middle + 0.5 * width))
    return painted_plan(
        Painting(
            boxes=boxes,
            background="solid",
            name="slit",
            mesh=mesh,
        )
    )


def obstacles_plan(
    edge: float | Sequence[float] = 0.5,
    *,
    lattice: str = "square",
    dimension: int = 2,
    mesh: BoxMesh = BoxMesh(),  # noqa: B008  (frozen)
) -> CellPlan:
    """Plan the cell of :func:`homfem.cells.obstacles`, which has the parameters; no MPI here."""
    check_integer("dimension", dimension, at_least=2, at_most=3)
    check_choice("lattice", lattice, ("square", "staggered"))
    edges = [edge] * dimension if np.isscalar(edge) else list(edge)  # type: ignore[arg-type]
    if len(edges) != dimension:
        raise InputError("edge", edge, f"one number, or {dimension}, one per axis")
    below = 1.0 if lattice == "square" else 0.5
    sizes = [check_number("edge", value, above=0.0, below=below, remedy="Obstacles may not touch.") for value in edges]
    centres = [0.5] if lattice == "square" else [0.5, 0.0]
    boxes = [
        Box("obstacle", tuple(c - 0.5 * s for s in sizes), tuple(c + 0.5 * s for s in sizes)) for c in centres
    ]  # fmt: skip
    return painted_plan(
        Painting(
            boxes=boxes,
            background="pore",
            name="obstacles",
            mesh=mesh,
        )
    )


def sheets_plan(
    thickness: float = 0.2,
    tube: float = 0.3,
    *,
    axis: str = "z",
    mesh: BoxMesh = NetworkMesh(),  # noqa: B008  (frozen)
) -> CellPlan:
    """Plan the cell of :func:`homfem.cells.sheets`, which has the parameters; no MPI here."""
    normal = check_axis(axis, 3)
    t = check_number("thickness", thickness, above=0.0, below=1.0, remedy="It is a fraction of the period.")
    e = check_number("tube", tube, above=0.0, below=1.0, remedy="It is a fraction of the period.")
    low, high = [0.5 - 0.5 * e] * 3, [0.5 + 0.5 * e] * 3
    low[normal], high[normal] = 0.0, 1.0
    boxes = [_slab("er", normal, 3, 0.5 - 0.5 * t, 0.5 + 0.5 * t), Box("er", tuple(low), tuple(high))]
    return painted_plan(
        Painting(
            boxes=boxes,
            background="cytosol",
            name="sheets",
            mesh=mesh,
        )
    )


def pipe_boxes(path: Sequence[Sequence[float]], edge: float | Sequence[float], phase: str = "er") -> list[Box]:
    """Return the boxes of a square pipe along a path of straight pieces, each along one axis.

    Parameters
    ----------
    path
        Corners of the centre line as fractions of the period, shape (n, 3); it may leave the cell.
    edge
        Edge of the pipe, or one for each axis.
    phase
        Its phase.
    """
    points = np.asarray(path, dtype=float)
    if points.ndim != 2 or points.shape[1] != 3 or len(points) < 2 or not np.all(np.isfinite(points)):
        raise InputError("path", path, "at least two points with three coordinates")
    sizes = np.broadcast_to(np.asarray(edge, dtype=float), 3)
    boxes = []
    for start, end in itertools.pairwise(points):
        moved = np.abs(end - start) > 1e-12
        if moved.sum() != 1:
            raise InputError("path", [start.tolist(), end.tolist()], "pieces along one axis each")
        axis = int(np.argmax(moved))
        low, high = np.minimum(start, end) - 0.5 * sizes, np.maximum(start, end) + 0.5 * sizes
        if high[axis] - low[axis] > 1.0:  # it runs through the cell
            low[axis], high[axis] = 0.0, 1.0
        boxes.append(Box(phase, tuple(map(float, low)), tuple(map(float, high))))
    return boxes


def offset_pipes(edges: Sequence[float], offsets: Sequence[float]) -> list[Box]:
    """Return three pipes along the axes through the centre, each moved along the next axis.

    Parameters
    ----------
    edges
        Edges of the square sections of the pipes along x, y, z.
    offsets
        Fractions of the period in (-1/2, 1/2): of the pipe along x along y, of that along y along z, of that along z
        along x.
    """
    given = list(offsets)
    if len(given) != 3:
        raise InputError("offsets", offsets, "three numbers, one for each pipe")
    boxes = []
    for axis, (edge, offset) in enumerate(zip(edges, given, strict=True)):
        centre = np.full(3, 0.5)
        centre[(axis + 1) % 3] += check_number("offsets", offset, above=-0.5, below=0.5)
        low, high = centre - 0.5 * edge, centre + 0.5 * edge
        low[axis], high[axis] = 0.0, 1.0
        boxes.append(Box("er", tuple(map(float, low)), tuple(map(float, high))))
    return boxes


def check_axis(axis: str, dimension: int) -> int:
    """Return the number of an axis by its name."""
    check_integer("dimension", dimension, at_least=2, at_most=3)
    return AXES.index(check_choice("axis", axis, AXES[:dimension]))


def _slab(phase: str, normal: int, dimension: int, low: float, high: float) -> Box:
    lows, highs = [0.0] * dimension, [1.0] * dimension
    lows[normal], highs[normal] = low, high
    return Box(phase, tuple(lows), tuple(highs))


def period_vectors(period: float | Sequence[float] | Lattice, dimension: int) -> Lattice:
    """Return the period vectors: as they are given, or one period along each axis, each > 0."""
    if not isinstance(period, Lattice):
        return Lattice.box(*axis_periods(period, dimension))
    if period.dimension != dimension:
        raise InputError("period", period.vectors.tolist(), f"{dimension} period vectors")
    return period


def axis_periods(period: float | Sequence[float] | Lattice, dimension: int) -> Array:
    """Return one period per axis, each > 0, or raise :class:`InputError`."""
    if isinstance(period, Lattice):
        raise InputError(
            "period", period.vectors.tolist(), "lengths along the axes: this shape takes no period vectors"
        )
    values = [period] * dimension if np.isscalar(period) else list(period)  # type: ignore[arg-type]
    if len(values) != dimension:
        raise InputError("period", period, f"one length, or {dimension}, one per axis")
    return np.array([check_number("period", value, above=0.0, remedy="A period is a length.") for value in values])
