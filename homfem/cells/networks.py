r"""Networks of square pipes that wind, and heart muscle cells in a brick lattice; every face in a coordinate plane."""

from __future__ import annotations

from collections.abc import Sequence

from mpi4py import MPI

from homfem.cells.painted import Box, painted_cell, pipe_boxes
from homfem.cells.unitcell import UnitCell
from homfem.parameters import check_number


def tortuous_pipes(
    edge: float = 0.0868,
    straight_edge: float = 0.1003,
    detour: float = 0.1619,
    *,
    resolution: float = 0.1,
    grading: float = 1.0,
    growth: float = 1.0,
    period: float | Sequence[float] = 1.0,
    length_unit: str = "um",
    comm: MPI.Comm = MPI.COMM_WORLD,
) -> UnitCell:
    r"""Return three pipes of which two wind: endoplasmic reticulum (ER) as in Goel et al., figure 9; collective.

    The pipe along z is straight, with the section :math:`a\times a`. Those along x and y have the section
    :math:`b\times b` and step aside by the detour d along z, down and up again, between two crossings: their path is
    :math:`1+2d` long. All cross at the centre.

    Parameters
    ----------
    edge
        Edge b of the winding pipes as a fraction of the period, in (0, 1/2).
    straight_edge
        Edge a of the straight pipe, in (0, 1/2).
    detour
        Step d, > b and < 1 - b: the pipe must leave its own level.
    resolution, grading, growth, period, length_unit, comm
        As in :func:`homfem.cells.painted.painted_cell`.

    Notes
    -----
    Phases ``er`` and ``cytosol``. The paper prints the picture, the volume fraction .0285, the area "close to 1.2" and
    the factors 6.7e-3, 6.7e-3 and 1.04e-2, not the path. The default sizes are fitted: they give the three numbers to
    their printed figures, and the area 1.22.

    Source
    ------
    Goel, Sneyd, Friedman 2006, section 5.2 and figure 9, Multiscale Model. Simul. 5(4), 1045.
    """
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
    return painted_cell(
        boxes, "cytosol", name="tortuous-pipes", resolution=resolution, grading=grading, growth=growth, period=period,
        length_unit=length_unit, comm=comm,
    )  # fmt: skip


def myocyte(
    length: float = 100.0,
    width: float = 20.0,
    height: float = 20.0,
    gap: float = 2.0,
    *,
    end_patch: float = 0.5,
    side_patch: float = 0.2,
    resolution: float = 0.25,
    length_unit: str = "um",
    comm: MPI.Comm = MPI.COMM_WORLD,
) -> UnitCell:
    r"""Return heart muscle cells in a brick lattice, joined by gap junctions; collective.

    Cells of length l along x, width w and height h are separated by the gap g, which the extracellular space fills;
    every second row along y is shifted by half a cell. The period is :math:`(l+g)\times2(w+g)\times(h+g)`. Patches of
    junctions bridge the gap between the ends of the cells (:math:`e\,w\times e\,h` with ``end_patch`` e) and between
    their sides (:math:`s(l-g)/2` long, ``side_patch`` s, and as high or wide as the ends'), two to each row beside.

    Phases: ``intracellular`` (fraction :math:`lwh/[(l+g)(w+g)(h+g)]`), ``junction``, ``extracellular``. The membrane is
    the facet group ``"intracellular|extracellular"``, the faces of the junctions ``"intracellular|junction"``.
    Intracellular space and junctions together reach through the cell in all directions, and so does the extracellular
    space.

    Parameters
    ----------
    length, width, height
        Size of a cell, > 0, in ``length_unit``.
    gap
        Width of the extracellular space, > 0 and smaller than the cell.
    end_patch, side_patch
        Size of the patches as a fraction of the end of the cell, and of what it shares with a neighbour's side; both
        in (0, 1).
    resolution
        Bulk mesh size as a fraction of the shortest period, in (0, 1/3].
    length_unit, comm
        Unit of the sizes; communicator.

    Notes
    -----
    A junction of specific conductance G (per area) has the coefficient :math:`G\,g`.
    """
    sizes = [
        check_number(name, value, above=0.0, remedy="It is the size of a cell.")
        for name, value in (("length", length), ("width", width), ("height", height))
    ]
    small = min(sizes)
    g = check_number("gap", gap, at_least=1e-6 * small, below=small, remedy="The gap is narrower than a cell.")
    e = check_number("end_patch", end_patch, above=0.0, below=1.0)
    s = check_number("side_patch", side_patch, above=0.0, below=1.0)
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
    return painted_cell(
        boxes,
        "extracellular",
        name="myocyte",
        resolution=resolution,
        period=period,
        length_unit=length_unit,
        comm=comm,
    )
