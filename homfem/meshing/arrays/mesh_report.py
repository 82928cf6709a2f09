"""What the checker of meshes finds, as data and in words."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True, kw_only=True, slots=True)
class FaceReport:
    """How the two faces across one period match.

    Parameters
    ----------
    period
        Number of the period vector, from 1.
    nodes, facets : tuple of int
        Nodes and facets of the cells on the low and on the high face.
    unmatched_nodes, unmatched_facets : tuple of int
        Those without a partner on the other face.
    examples : tuple
        Coordinates of the first few nodes without a partner.
    elements_across
        Fewest mesh edges from one face to the other; None if there is no way.
    """

    period: int
    nodes: tuple[int, int]
    facets: tuple[int, int]
    unmatched_nodes: tuple[int, int]
    unmatched_facets: tuple[int, int]
    examples: tuple[tuple[float, ...], ...]
    elements_across: int | None

    @property
    def ok(self) -> bool:
        """Whether the faces match."""
        return not any(self.unmatched_nodes) and not any(self.unmatched_facets)


@dataclass(frozen=True, kw_only=True, slots=True)
class PhaseCheck:
    """One phase: cells, volume over that of the period, and what percolates (None where that cannot be told)."""

    name: str
    cells: int
    fraction: float
    parts: int | None = None
    islands: int | None = None
    directions: tuple[tuple[int, ...], ...] | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Quality:
    """Shape of the cells.

    Angles, in degrees, are plane ones in 2D and dihedral ones in 3D. The aspect ratio is the longest edge over the
    inradius, 1 for the regular simplex; for quadrilaterals and hexahedra it is the longest edge over the shortest.
    ``quantiles`` are those at 0, 1, 10, 50, 90, 99 and 100 % of the smallest angle and of the aspect ratio of each
    cell.
    """

    smallest_angle: float
    largest_angle: float
    worst_aspect: float
    worst_at: tuple[float, ...]
    quantiles: dict[str, tuple[float, ...]]


@dataclass(frozen=True, kw_only=True, slots=True)
class MeshReport:
    """What :func:`homfem.meshing.files.check.check_mesh` found.

    Parameters
    ----------
    source
        The file, or ``"cell"``.
    problems
        What keeps the mesh from being used as it is.
    notes
        What is worth knowing.
    dimension, kind, order, cells, nodes
        The mesh; zeros where there is none.
    period : tuple of tuple of float
        Period vectors that it was checked against.
    filled
        Volume of all cells over that of the period.
    negative, degenerate
        Cells of negative orientation (they are turned when a cell is made) and of no volume, or folded.
    faces, quality, phases
        See their classes.
    """

    source: str
    problems: tuple[str, ...]
    notes: tuple[str, ...] = ()
    dimension: int = 0
    kind: str = ""
    order: int = 0
    cells: int = 0
    nodes: int = 0
    period: tuple[tuple[float, ...], ...] = ()
    filled: float = 0.0
    negative: int = 0
    degenerate: int = 0
    faces: tuple[FaceReport, ...] = ()
    quality: Quality | None = None
    phases: tuple[PhaseCheck, ...] = ()

    @property
    def ok(self) -> bool:
        """Whether the mesh can be used as a periodic cell as it is."""
        return not self.problems

    def to_dict(self) -> dict[str, Any]:
        """Return all of it as plain values, for JSON; with ``"ok"``."""
        return {"ok": self.ok, **asdict(self)}

    def __str__(self) -> str:
        lines = [f"{self.source}: {'a periodic cell' if self.ok else 'not usable as a periodic cell'}"]
        if self.cells:
            vectors = "; ".join("(" + " ".join(f"{c:.6g}" for c in row) + ")" for row in self.period)
            lines += [
                f"  mesh         {self.cells} {self.kind} cells of order {self.order}, {self.nodes} nodes",
                f"  period       {vectors}, filled to {self.filled:.9g}",
            ]
        for face in self.faces:
            bad = (sum(face.unmatched_nodes), sum(face.unmatched_facets))
            state = "match" if face.ok else f"{bad[0]} nodes and {bad[1]} facets without partner"
            lines.append(
                f"  period {face.period}     {face.nodes[0]} and {face.nodes[1]} nodes, {face.facets[0]} and "
                f"{face.facets[1]} facets: {state}; {face.elements_across or 'no'} elements across"
            )
        if self.cells:
            lines.append(f"  orientation  {self.negative} negative, {self.degenerate} degenerate or folded")
        if self.quality is not None:
            q = self.quality
            lines.append(
                f"  quality      angles {q.smallest_angle:.3g} to {q.largest_angle:.4g} degrees, aspect up to "
                f"{q.worst_aspect:.3g} near {place(q.worst_at)}"
            )
        for phase in self.phases:
            text = f"  phase        {phase.name}: fraction {phase.fraction:.9g}, {phase.cells} cells"
            if phase.directions is not None:
                rows = ", ".join("(" + " ".join(map(str, row)) + ")" for row in phase.directions)
                d = {0: "in no direction", self.dimension: "in every direction"}
                text += f", {phase.parts} part(s), {phase.islands} island(s), percolates "
                text += d.get(len(phase.directions), f"only along {rows}")
            lines.append(text)
        lines += [f"  note: {note}" for note in self.notes] + [f"  PROBLEM: {problem}" for problem in self.problems]
        return "\n".join(lines)


def place(point: Iterable[float]) -> str:
    """Return a point in words."""
    return "(" + ", ".join(f"{float(c):.6g}" for c in point) + ")"


def tuples(rows: Iterable[Iterable[Any]], kind: Callable[[Any], Any] = float) -> tuple[tuple[Any, ...], ...]:
    """Return an array of rows as plain tuples."""
    return tuple(tuple(kind(entry) for entry in row) for row in rows)
