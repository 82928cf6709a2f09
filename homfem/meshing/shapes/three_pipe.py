r"""Cells that are made here: three orthogonal pipes that cross at the centre of the unit cube.

With edges :math:`(a, b, c)` the network is

.. math:: \{|y-\tfrac12|,|z-\tfrac12|<\tfrac a2\}\cup\{|z-\tfrac12|,|x-\tfrac12|<\tfrac b2\}\cup
          \{|x-\tfrac12|,|y-\tfrac12|<\tfrac c2\},

the pipe along x has the cross-section a by a, and so on. Equal edges l: volume fraction :math:`3l^2-2l^3`, interface
area :math:`12\,l(1-l)` per cell; the complement is the network of edge 1 - l shifted by half a period.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypedDict

from homfem.meshing.arrays.raw_cell import RawCell, stretched
from homfem.meshing.by_gmsh.subprocess_mesher import run_limited
from homfem.meshing.shapes.painted import Painting, axis_periods, offset_pipes, painted_plan
from homfem.meshing.shapes.plan import BoxMesh, CellPlan
from homfem.meshing.shapes.three_pipe_gmsh import gmsh_three_pipe
from homfem.meshing.shapes.three_pipe_grid import NETWORK, OUTSIDE, check_edges, structured_three_pipe
from homfem.parameters import InputError, check_choice


class PipeMeshOptions(TypedDict, total=False):
    """The words of :class:`PipeMesh` as keywords of a function."""

    resolution: float
    grading: float
    growth: float | None
    period: float | Sequence[float]
    length_unit: str


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class PipeMesh:
    """How crossing pipes are meshed.

    Parameters
    ----------
    resolution
        Bulk mesh size as a fraction of the shortest period, in (0, 1/3].
    grading
        Mesh size at the re-entrant edges over the bulk size, in (0, 1].
    growth
        Slope of the mesh size away from the edges, > 0; by default 1 on the structured grid, 0.3 with Gmsh.
    period, length_unit
        Period, or one for each axis (the whole cell is stretched with it), and its unit.
    """

    resolution: float = 0.1
    grading: float = 0.25
    growth: float | None = None
    period: float | Sequence[float] = 1.0
    length_unit: str = "um"


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class ThreePipe:
    """Three orthogonal pipes, as the parameters of :func:`homfem.cells.three_pipe` say."""

    edges: float | Sequence[float]
    section: str
    offsets: Sequence[float] | None
    phases: Sequence[str]
    order: int
    mesher: str | None
    mesh: PipeMesh


def three_pipe_plan(given: ThreePipe) -> CellPlan:
    """Plan the cell of a description: its numbers are checked, nothing is meshed."""
    periods = axis_periods(given.mesh.period, 3)
    if given.offsets is not None:
        check_choice("section", given.section, ["square"])
        boxes = offset_pipes(check_edges(given.edges), given.offsets)
        return painted_plan(
            Painting(
                boxes=boxes,
                background="cytosol",
                name="three-pipe",
                phases=given.phases,
                mesh=BoxMesh(
                    resolution=given.mesh.resolution,
                    grading=given.mesh.grading,
                    growth=1.0 if given.mesh.growth is None else given.mesh.growth,
                    period=list(periods),
                    length_unit=given.mesh.length_unit,
                ),
            )
        )

    def make() -> RawCell:
        raw = three_pipe_raw(
            given.edges,
            resolution=given.mesh.resolution,
            grading=given.mesh.grading,
            growth=given.mesh.growth,
            phases=given.phases,
            section=given.section,
            order=given.order,
            mesher=given.mesher,
        )
        return stretched(raw, periods / periods.min(), given.mesh.length_unit)

    return CellPlan(
        make=make,
        name="three-pipe",
        length=float(periods.min()),
        length_unit=given.mesh.length_unit,
        conforming=(given.mesher or _default_mesher(given.section, given.order)) == "structured",
    )


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
    possible = _default_mesher(section, order) == "structured"
    mesher = check_choice("mesher", mesher or _default_mesher(section, order), ["structured", "gmsh"])
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


def _default_mesher(section: str, order: int) -> str:
    return "structured" if section == "square" and order == 1 else "gmsh"
