"""A cell that is not meshed yet: what it is, how large, and how its arrays are made."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypedDict

from homfem.meshing.arrays.raw_cell import RawCell
from homfem.parameters import Lattice, check_number


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class CellPlan:
    """A checked request for a cell. Making it is cheap, on every rank; ``make`` is called on one.

    Parameters
    ----------
    name
        What the cell is, for messages and results.
    make
        Returns the arrays.
    length, length_unit
        Physical length of one unit of the arrays.
    phases
        The phases that are kept; None for all. Volume fractions and areas are those of the whole.
    conforming
        The arrays are a grid of boxes that is made here: its cells meet in whole facets and never overlap, so that
        nothing is searched for cracks and overlaps.
    warnings
        What must be said of every result.
    """

    name: str
    make: Callable[[], RawCell]
    length: float = 1.0
    length_unit: str = "m"
    phases: tuple[str, ...] | None = None
    conforming: bool = False
    warnings: tuple[str, ...] = ()


class BoxMeshOptions(TypedDict, total=False):
    """The words of :class:`BoxMesh` as keywords of a function."""

    resolution: float
    grading: float
    growth: float
    period: float | Sequence[float] | Lattice
    length_unit: str


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class BoxMesh:
    """How a cell is meshed whose interfaces lie in coordinate planes.

    Parameters
    ----------
    resolution
        Bulk mesh size as a fraction of the shortest period, in (0, 1/3].
    grading, growth
        Mesh size at the planes of the interfaces over that in the bulk, in (0, 1], and its slope, > 0.
    period, length_unit
        Period, or one for each axis, or the period vectors, and its unit.
    """

    resolution: float = 0.1
    grading: float = 1.0
    growth: float = 1.0
    period: float | Sequence[float] | Lattice = 1.0
    length_unit: str = "m"


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class NetworkMesh(BoxMesh):
    """The same for networks within a living cell, whose lengths are in um."""

    length_unit: str = "um"


class MyocyteOptions(TypedDict, total=False):
    """The words of :class:`Myocytes` as keywords of a function."""

    end_patch: float
    side_patch: float
    resolution: float
    length_unit: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Myocytes:
    """What the arrays of heart muscle cells have in common.

    Parameters
    ----------
    end_patch, side_patch
        Size of the patches of junctions as a fraction of the end of a cell, and of the length over which two shifted
        cells lie side by side; in (0, 1], below 1 for hexagonal cells.
    resolution
        Bulk mesh size as a fraction of the shortest period, in (0, 1/3].
    length_unit
        Unit of the sizes.
    """

    end_patch: float = 0.5
    side_patch: float = 0.2
    resolution: float = 0.25
    length_unit: str = "um"

    def __post_init__(self) -> None:
        check_number("end_patch", self.end_patch, above=0.0, at_most=1.0)
        check_number("side_patch", self.side_patch, above=0.0, at_most=1.0)
        check_number("resolution", self.resolution, above=0.0, at_most=1 / 3)


class SurfaceMeshOptions(TypedDict, total=False):
    """The words of :class:`SurfaceMesh` as keywords of a function."""

    resolution: float
    refinement: int | None
    order: int
    mirrors: str | Sequence[str]
    period: float | Sequence[float] | Lattice
    length_unit: str


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class SurfaceMesh:
    """How a cell is meshed whose interfaces are curved surfaces, cut out of a grid.

    Parameters
    ----------
    resolution
        Bulk mesh size as a fraction of the shortest period, in (0, 1/3].
    refinement
        How often it is halved at the surfaces. By default as often as gaps and coatings ask where the shape knows them,
        and not at all elsewhere; curved cells of fibres and spheres are then made larger again where they may be.
    order
        Degree of the geometry, 1 or 2; for sections in the plane to 4.
    mirrors
        ``"auto"``: a mesh with the mirror planes of the shape, so that cell problems can be solved on the part between
        them (``symmetry="auto"``); made from that part, so cheaper as well. ``"none"``: the grid takes no notice of
        them.
    period, length_unit
        Period, or one for each axis, or the period vectors, as far as the shape has them, and its unit.
    """

    resolution: float = 0.1
    refinement: int | None = None
    order: int = 1
    mirrors: str | Sequence[str] = "none"
    period: float | Sequence[float] | Lattice = 1.0
    length_unit: str = "m"
