"""How a cell is to be read from a file: the words that the files of Gmsh and of meshio share, and those of Gmsh's."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypedDict

from homfem.meshing.by_gmsh.subprocess_mesher import TIMEOUT
from homfem.parameters import Lattice, check_integer, check_number
from homfem.reference import PLANE_ORDERS

Label = int | str
Labels = Mapping[str, Label | Sequence[Label]]


class ReadingOptions(TypedDict, total=False):
    """The words of :class:`Reading` as keywords of a function."""

    lattice: Lattice | None
    dimension: int | None
    length: float
    length_unit: str | None
    phases: Labels | None
    repair: bool
    timeout: float | None


class GmshOptions(ReadingOptions, total=False):
    """The words of :class:`GmshReading` as keywords of a function."""

    resolution: float | None
    order: int | None
    parameters: Mapping[str, float] | None
    trust: bool


@dataclass(frozen=True, kw_only=True, slots=True)
class Reading:
    """What any file of a mesh is asked for."""

    lattice: Lattice | None = None
    dimension: int | None = None
    length: float = 1.0
    length_unit: str | None = None
    phases: Labels | None = None
    repair: bool = False
    timeout: float | None = TIMEOUT

    def __post_init__(self) -> None:
        check_number("length", self.length, above=0.0)
        if self.dimension is not None:
            check_integer("dimension", self.dimension, at_least=2, at_most=3)


@dataclass(frozen=True, kw_only=True, slots=True)
class GmshReading(Reading):
    """What a file of Gmsh or a STEP file is asked for.

    Parameters
    ----------
    lattice
        Period vectors in the unit of the file, which must have the translations that ``Periodic`` says in the file.
        Default: what ``write_msh`` noted in the file, else these translations
        (:func:`homfem.meshing.by_gmsh.periods.lattice_of_model`), else the sides of the bounding box.
    dimension
        2 or 3. Default: the dimension of the geometry.
    length
        Factor for all coordinates and periods.
    length_unit
        Unit of the coordinates after scaling. Default: what ``write_msh`` noted in the file, else "m". A STEP file has
        a unit of its own: its coordinates are converted to ``length_unit``, and so is ``lattice`` meant.
    phases
        Not for ``.step``: see :func:`homfem.meshing.by_gmsh.model_arrays.groups_of`.
    repair
        Mesh anew where opposite faces do not match, see :func:`homfem.meshing.by_gmsh.repair.repaired`.
    timeout
        Seconds after which meshing is ended; see :func:`homfem.meshing.by_gmsh.subprocess_mesher.run_limited`. None: no
        limit.
    resolution
        ``.geo`` and ``.step`` only: the file's constant ``resolution`` if it has one, else the largest mesh size as a
        fraction of the shortest period.
    order
        ``.geo`` and ``.step`` only: degree of the geometry, 1 or 2. Default: what the file says, else 1.
    parameters
        ``.geo`` only: values for numbers that the file declares by ``DefineConstant`` or ``DefineNumber``, by the names
        of their variables or by their paths in ONELAB.
    trust
        ``.geo`` only: let the script start programs, write files and read others, see
        :func:`homfem.meshing.by_gmsh.scripts.check_script`.
    """

    resolution: float | None = None
    order: int | None = None
    parameters: Mapping[str, float] | None = None
    trust: bool = False

    def __post_init__(self) -> None:
        Reading.__post_init__(self)  # super() does not know the class of a dataclass with slots
        if self.resolution is not None:
            check_number("resolution", self.resolution, above=0.0, at_most=1.0)
        if self.order is not None:
            check_integer("order", self.order, at_least=1, at_most=2, remedy=PLANE_ORDERS)
