"""Reference cells: what is known of a mesh cell by its kind alone, in the node order of DOLFINx.

A simplex has its corners one after the other, and facet k lies opposite to corner k. A quadrilateral and a hexahedron
are numbered as a tensor product: corner k lies at x = bit 0 of k, y = bit 1, z = bit 2 (not around the cell). Nodes of
higher order, if any, follow the corners.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import combinations

from homfem.parameters import InputError

#: Why sides of order 3 and 4 are refused in space and in files.
PLANE_ORDERS = (
    "Sides of order 3 and 4 are those of shapes in the plane: in space and in files the nodes within such facets are "
    "not placed, nor is the sign of their Jacobians proved. Take order 2 and a finer mesh."
)
#: Number of dimensions of each kind of cell.
DIMENSIONS: Mapping[str, int] = {"triangle": 2, "tetrahedron": 3, "quadrilateral": 2, "hexahedron": 3}
#: The simplex of each number of dimensions, and the image of a square or cube.
SIMPLEX: Mapping[int, str] = {2: "triangle", 3: "tetrahedron"}
BOX: Mapping[int, str] = {2: "quadrilateral", 3: "hexahedron"}
#: Number of corners.
CORNERS: Mapping[str, int] = {"triangle": 3, "tetrahedron": 4, "quadrilateral": 4, "hexahedron": 8}
#: Kind of the facets.
FACET_KIND: Mapping[str, str] = {
    "triangle": "interval",
    "tetrahedron": "triangle",
    "quadrilateral": "interval",
    "hexahedron": "quadrilateral",
}
#: Corners of each facet.
FACETS: Mapping[str, list[list[int]]] = {
    "triangle": [[1, 2], [0, 2], [0, 1]],
    "tetrahedron": [[1, 2, 3], [0, 2, 3], [0, 1, 3], [0, 1, 2]],
    "quadrilateral": [[0, 1], [0, 2], [1, 3], [2, 3]],
    "hexahedron": [[0, 1, 2, 3], [0, 1, 4, 5], [0, 2, 4, 6], [1, 3, 5, 7], [2, 3, 6, 7], [4, 5, 6, 7]],
}
#: The two corners of each edge.
EDGES: Mapping[str, list[tuple[int, int]]] = {
    "triangle": list(combinations(range(3), 2)),
    "tetrahedron": list(combinations(range(4), 2)),
    "quadrilateral": [(i, j) for i, j in combinations(range(4), 2) if (i ^ j).bit_count() == 1],
    "hexahedron": [(i, j) for i, j in combinations(range(8), 2) if (i ^ j).bit_count() == 1],
}
#: Number of corners of a facet.
FACET_CORNERS: Mapping[str, int] = {kind: len(facets[0]) for kind, facets in FACETS.items()}


def is_simplex(kind: str) -> bool:
    """Return whether cells of a kind are simplices."""
    return kind in SIMPLEX.values()


def kind_of(dimension: int, nodes: int) -> str:
    """Return the kind of cells with so many nodes: 4 are a quadrilateral in 2D, 8 a hexahedron in 3D, else simplices.

    Raises
    ------
    InputError
        For fewer nodes than a simplex has.
    """
    if nodes == 1 << dimension:
        return BOX[dimension]
    if nodes <= dimension:
        raise InputError("cells", nodes, f"at least {dimension + 1} nodes per cell in {dimension} dimensions")
    return SIMPLEX[dimension]
