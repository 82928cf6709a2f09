"""Meshes and functions as other programs take them: nodes of degree 1 or 2, cells in the order of VTK, in blocks.

Nodes and cells have numbers that do not depend on the ranks (:mod:`homfem.solve.numbering`), so that a series goes on
on any number of ranks. Each rank has a block of every array; nothing is gathered.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from dolfinx import fem

from homfem._dolfinx import vtk_order
from homfem.macro.places import has_values
from homfem.parameters import Array, InputError
from homfem.solve import Blocks, MeshNumbering, Numbering

#: What XDMF calls cells by the name and the degree that they have in DOLFINx.
TOPOLOGIES = {
    ("interval", 1): "Polyline",
    ("interval", 2): "Edge_3",
    ("triangle", 1): "Triangle",
    ("triangle", 2): "Triangle_6",
    ("quadrilateral", 1): "Quadrilateral",
    ("quadrilateral", 2): "Quadrilateral_9",
    ("tetrahedron", 1): "Tetrahedron",
    ("tetrahedron", 2): "Tetrahedron_10",
    ("hexahedron", 1): "Hexahedron",
    ("hexahedron", 2): "Hexahedron_27",
    ("prism", 1): "Wedge",
}


class Part(NamedTuple):
    """This rank's block of an array over the ranks: of its ``size`` rows those that begin at ``first``."""

    block: npt.NDArray[Any]
    first: int
    size: int


class Column(NamedTuple):
    """An array of a function as others read it: scalar (n,), vector (n, 3) or tensor (n, 9), at nodes or of cells."""

    name: str
    function: str
    at_cells: bool
    kind: str


@dataclass(frozen=True, slots=True)
class _Values:
    """How the values of a function come about: those of itself, or of its interpolation."""

    function: fem.Function
    target: fem.Function
    numbering: Numbering
    columns: Sequence[Column]

    def parts(self) -> Iterator[tuple[Column, Part]]:
        if self.target is not self.function:
            self.target.interpolate(self.function)
            self.target.x.scatter_forward()
        numbering, shape = self.numbering, self.function.function_space.value_shape
        values: Array = numbering.to_block(self.target.x.array)
        first, size = numbering.first, numbering.size // numbering.block
        for column, array in zip(self.columns, _arrays(values, self.columns[0].kind, shape), strict=True):
            yield column, Part(np.ascontiguousarray(array), first, size)


def _arrays(values: Array, kind: str, shape: tuple[int, ...]) -> Sequence[Array]:
    """Return the values as readers take them: in two dimensions, vectors and tensors have zeros for the third."""
    if kind == "Vector":
        return [np.pad(values, ((0, 0), (0, 3 - values.shape[1])))]
    if kind == "Tensor":
        whole = np.zeros((len(values), 3, 3))
        whole[:, : shape[0], : shape[1]] = values.reshape(-1, *shape)
        return [whole.reshape(-1, 9)]
    return list(values.T)


class Grid:
    """Functions on one mesh as arrays at its nodes and of its cells; collective.

    Where a function is of degree 2 or more, or the mesh is, the nodes are those of degree 2, and other functions are
    interpolated there; where one jumps between cells, each cell has nodes of its own. Functions that are constant in
    cells are arrays of cells.

    Parameters
    ----------
    functions
        Functions with values at points, of any spaces on one mesh.

    Attributes
    ----------
    topology
        What XDMF calls the cells.
    nodes, cells, width
        How many there are, over all ranks, and how many nodes a cell has.
    columns
        What :meth:`values` gives.

    Raises
    ------
    InputError
        For functions without values at points (quadrature and mixed spaces), and for cells that XDMF does not know.
    """

    def __init__(self, functions: Sequence[fem.Function]) -> None:
        mesh = functions[0].function_space.mesh
        self.comm, self.mesh = mesh.comm, mesh
        elements = [_checked(function) for function in functions]
        degrees = [_degree(element) for element in elements]
        geometry = int(mesh.ufl_domain().ufl_coordinate_element().embedded_superdegree)
        self.degree = 2 if max(geometry, *degrees) > 1 else 1
        self.broken = any(
            degree > 0 and not _is_continuous(element) for degree, element in zip(degrees, elements, strict=True)
        )
        cell = str(mesh.topology.cell_name())
        if (cell, self.degree) not in TOPOLOGIES:
            known = ", ".join(f"{name} of degree {degree}" for name, degree in TOPOLOGIES)
            raise InputError("functions", f"{cell} of degree {self.degree}", f"on cells that XDMF takes: {known}")
        self.topology = TOPOLOGIES[cell, self.degree]
        self._numbering = MeshNumbering(mesh)
        self._spaces: list[Numbering] = []
        index_map = mesh.topology.index_map(mesh.topology.dim)
        self._owned, self.cells = int(index_map.size_local), int(index_map.size_global)
        self._blocks = Blocks(self.comm, self._numbering.cells, self.cells)
        self._nodes = self._number(fem.functionspace(mesh, (self._family, self.degree)))
        self.nodes, self.width = self._nodes.size, int(self._nodes.space.dofmap.list.shape[1])
        self._values = [self._taken(function, degree) for function, degree in zip(functions, degrees, strict=True)]
        self.columns = [column for values in self._values for column in values.columns]

    @property
    def digest(self) -> str:
        """What tells the cells from those of other meshes; the same on any ranks."""
        return self._numbering.digest

    @property
    def _family(self) -> str:
        return "Discontinuous Lagrange" if self.broken else "Lagrange"

    def _number(self, space: fem.FunctionSpace) -> Numbering:
        found = next((entry for entry in self._spaces if entry.space is space), None)
        if found is None:
            found = Numbering(space, self._numbering)
            self._spaces.append(found)
        return found

    def _taken(self, function: fem.Function, degree: int) -> _Values:
        space = function.function_space
        family, to = (self._family, self.degree) if degree else ("Discontinuous Lagrange", 0)
        wanted = fem.functionspace(self.mesh, (family, to, space.value_shape))
        target = function
        if wanted.ufl_element() != space.ufl_element():
            same = (s.space for s in self._spaces if s.space.ufl_element() == wanted.ufl_element())
            target = fem.Function(next(same, wanted), name=function.name)
        numbering = self._number(target.function_space)
        return _Values(function, target, numbering, _columns(function.name, space.value_shape, degree == 0))

    def values(self) -> list[tuple[Column, Part]]:
        """Return the arrays of the functions as they are now; collective."""
        return [pair for values in self._values for pair in values.parts()]

    def points(self) -> Part:
        """Return the coordinates of the nodes, (n, 3); collective."""
        at = self._nodes.space.tabulate_dof_coordinates()
        block = np.column_stack([self._nodes.to_block(column)[:, 0] for column in at.T.copy()])
        return Part(block, self._nodes.first, self.nodes)

    def connectivity(self) -> Part:
        """Return the numbers of the nodes of each cell in the order of VTK; collective."""
        lists = np.asarray(self._nodes.space.dofmap.list)[: self._owned]
        nodes = self._nodes.numbers()[lists][:, vtk_order(self.mesh, lists.shape[1])]
        return self.of_cells(np.ascontiguousarray(nodes))

    def of_cells(self, values: npt.NDArray[Any]) -> Part:
        """Return values of the cells that the rank owns in the order of the file; collective."""
        return Part(self._blocks.gather(values[: self._owned]), self._blocks.first, self.cells)


def _checked(function: fem.Function) -> Any:
    space = function.function_space
    element = space.ufl_element()
    if not has_values(space):
        remedy = "Interpolate it into a discontinuous Lagrange space, or write the parts of a mixed one."
        raise InputError("functions", f"{function.name}: {element}", "functions with values at points", remedy)
    return element


def _degree(element: Any) -> int:
    return int(element.embedded_superdegree)


def _is_continuous(element: Any) -> bool:
    return bool(getattr(element, "family_name", "") == "P" and not element.discontinuous)


def _columns(name: str, shape: tuple[int, ...], at_cells: bool) -> list[Column]:
    if np.prod(shape, dtype=np.int64) == 1:
        return [Column(name, name, at_cells, "Scalar")]
    if shape in ((2,), (3,)):
        return [Column(name, name, at_cells, "Vector")]
    if shape in ((2, 2), (3, 3)):
        return [Column(name, name, at_cells, "Tensor")]
    parts = (",".join(map(str, index)) for index in np.ndindex(*shape))
    return [Column(f"{name}[{part}]", name, at_cells, "Scalar") for part in parts]
