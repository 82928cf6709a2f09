r"""Networks of square pipes that wind, and heart muscle cells in a brick lattice; every face in a coordinate plane."""

from __future__ import annotations

from collections.abc import Sequence

from homfem.meshing.shapes.painted import Box, Painting, painted_plan, pipe_boxes
from homfem.meshing.shapes.plan import BoxMesh, CellPlan, Myocytes, NetworkMesh
from homfem.parameters import check_number


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


def myocyte_plan(length: float, width: float, height: float, gap: float, common: Myocytes) -> CellPlan:
    """Plan the cell of :func:`homfem.cells.myocyte`, which has the parameters; no MPI here."""
    sizes = [
        check_number(name, value, above=0.0, remedy="It is the size of a cell.")
        for name, value in (("length", length), ("width", width), ("height", height))
    ]
    small = min(sizes)
    g = check_number("gap", gap, at_least=1e-6 * small, below=small, remedy="The gap is narrower than a cell.")
    e, s = common.end_patch, common.side_patch
    (long, w, h), period = sizes, (length + g, 2.0 * (width + g), height + g)

    def box(phase: str, low: Sequence[float], high: Sequence[float]) -> Box:
        lows = tuple(x / p for x, p in zip(low, period, strict=True))
        return Box(phase, lows, tuple(x / p for x, p in zip(high, period, strict=True)))

    boxes = []
    for row in (0, 1):
        x, y, z = g / 2 + row * period[0] / 2, g / 2 + row * (w + g), g / 2
        middle_y, middle_z = y + w / 2, z + h / 2
        boxes.append(box("intracellular", (x, y, z), (x + long, y + w, z + h)))
        ends = ((x - g, middle_y - e * w / 2, middle_z - e * h / 2), (x, middle_y + e * w / 2, middle_z + e * h / 2))
        boxes.append(box("junction", *ends))
        # A quarter and three quarters of the period along x both rows have a cell.
        for place in (0.25, 0.75):
            low, high = place * period[0] - s * (long - g) / 4, place * period[0] + s * (long - g) / 4
            boxes.append(box("junction", (low, y - g, middle_z - e * h / 2), (high, y, middle_z + e * h / 2)))
            boxes.append(box("junction", (low, middle_y - e * w / 2, z - g), (high, middle_y + e * w / 2, z)))
    return painted_plan(
        Painting(
            boxes=boxes,
            background="extracellular",
            name="myocyte",
            mesh=BoxMesh(resolution=common.resolution, period=period, length_unit=common.length_unit),
        )
    )
