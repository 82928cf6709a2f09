r"""Networks of square pipes that wind, and heart muscle cells in a brick lattice; every face in a coordinate plane."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from homfem.meshing.shapes.junctions import with_junctions
from homfem.meshing.shapes.painted import AXES, Box, Painting, painted_plan, pipe_boxes
from homfem.meshing.shapes.plan import BoxMesh, CellPlan, Myocytes, NetworkMesh
from homfem.parameters import Array, InputError, check_number


@dataclass(frozen=True, kw_only=True, slots=True)
class BrickMyocytes:
    """The cells of :func:`homfem.cells.myocyte`, which has the parameters."""

    length: float = 100.0
    width: float = 20.0
    height: float | None = 20.0
    gap: float | Sequence[float] = 2.0
    staggered: bool = True
    joined: str = "xyz"

    def checked(self) -> tuple[Array, Array]:
        """Return the sizes of a cell, and the gap along each axis; an error for what is out of range."""
        names = ("length", "width", "height")[: 2 if self.height is None else 3]
        sizes = [
            check_number(name, getattr(self, name), above=0.0, remedy="It is the size of a cell.") for name in names
        ]
        small = min(sizes)
        given = [self.gap, self.gap] if np.isscalar(self.gap) else list(self.gap)  # type: ignore[arg-type]
        if len(given) != 2:
            raise InputError("gap", self.gap, "one width, or two: along the cells and across")
        gaps = [
            check_number("gap", gap, at_least=1e-6 * small, below=small, remedy="The gap is narrower than a cell.")
            for gap in given
        ]
        axes = "xyz"[: len(sizes)]
        # The words of three dimensions serve the plane.
        if not isinstance(self.joined, str) or set(self.joined) - set("xyz") or not set(self.joined) & set(axes):
            raise InputError("joined", self.joined, f"one or more of the letters {axes}, such as 'x'")
        if not isinstance(self.staggered, bool):
            raise InputError("staggered", self.staggered, "True or False")
        return np.array(sizes), np.array([gaps[0], gaps[1], gaps[1]][: len(sizes)])


def tortuous_pipes_plan(
    edge: float = 0.0868,
    straight_edge: float = 0.1003,
    detour: float = 0.1619,
    *,
    mesh: BoxMesh = NetworkMesh(),  # noqa: B008  (frozen)
) -> CellPlan:
    """Plan the cell of :func:`homfem.cells.tortuous_pipes`, which has the parameters; no MPI here."""
    b = check_number("edge", edge, above=0.0, below=0.5, remedy="It is a fraction of the period.")
    a = check_number("straight_edge", straight_edge, above=0.0, below=0.5, remedy="It is a fraction of the period.")
    d = check_number("detour", detour, above=b, below=1.0 - b, remedy="The pipe must leave its own level.")
    boxes = pipe_boxes([[0.5, 0.5, 0.0], [0.5, 0.5, 1.0]], a)
    for axis in (0, 1):
        corners = [(0.0, -d), (0.25, -d), (0.25, 0.0), (0.75, 0.0), (0.75, -d), (1.0, -d)]
        path = [[0.5, 0.5, 0.5 + rise] for _, rise in corners]
        for point, (place, _) in zip(path, corners, strict=True):
            point[axis] = place
        boxes += pipe_boxes(path, b)
    return painted_plan(
        Painting(
            boxes=boxes,
            background="cytosol",
            name="tortuous-pipes",
            mesh=mesh,
        )
    )


def myocyte_plan(given: BrickMyocytes, common: Myocytes) -> CellPlan:
    """Plan the cell of :func:`homfem.cells.myocyte`, which has the parameters; no MPI here."""
    sizes, g = given.checked()
    d = len(sizes)
    shares = (1.0, 2.0 if given.staggered else 1.0, 1.0)[:d]
    period = tuple(float(length) for length in np.array(shares) * (sizes + g))

    def box(phase: str, low: Array, high: Array) -> Box:
        return Box(phase, tuple(map(float, low / period)), tuple(map(float, high / period)))

    boxes = []
    for row in range(2 if given.staggered else 1):
        corner = 0.5 * g
        corner[:2] += row * np.array([0.5 * period[0], sizes[1] + g[1]])
        boxes.append(box("intracellular", corner, corner + sizes))
        boxes += [box("junction", *ends) for ends in _junctions(corner, sizes, g, given, common)]

    painted = painted_plan(
        Painting(
            boxes=boxes,
            background="extracellular",
            name="myocyte",
            mesh=BoxMesh(resolution=common.resolution, period=period, length_unit=common.length_unit),
        )
    )
    return replace(painted, make=lambda: with_junctions(painted.make()))


def _junctions(
    corner: Array, sizes: Array, gap: Array, given: BrickMyocytes, common: Myocytes
) -> list[tuple[Array, Array]]:
    """Opposite corners of the junctions before the lower faces of a cell, axis by axis."""
    e, s, d = common.end_patch, common.side_patch, len(sizes)
    middle, found = corner + 0.5 * sizes, []
    for axis in (axis for axis in range(d) if AXES[axis] in given.joined):
        low, high = middle - 0.5 * e * sizes, middle + 0.5 * e * sizes
        low[axis], high[axis] = corner[axis] - gap[axis], corner[axis]
        if axis == 0:
            found.append((low, high))
            continue
        # Shifted cells lie side by side a quarter and three quarters along; others all along.
        halves = given.staggered
        centres = [0.25 * (sizes[0] + gap[0]), 0.75 * (sizes[0] + gap[0])] if halves else [middle[0]]
        half = 0.25 * s * (sizes[0] - gap[0]) if halves else 0.5 * s * sizes[0]
        for centre in centres:
            low[0], high[0] = centre - half, centre + half
            found.append((low.copy(), high.copy()))
    return found
