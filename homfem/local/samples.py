"""Coefficients that are functions of position, at the midpoints of the mesh cells."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from homfem import _dolfinx
from homfem.cells.unitcell import UnitCell
from homfem.parameters import Array, InputError
from homfem.ranks import collective
from homfem.reference import CORNERS


def sample(cell: UnitCell, name: str, function: Callable[[Array], Array], shapes: tuple[tuple[int, ...], ...]) -> Array:
    """Return the values of a function at the midpoints of all local mesh cells; collective.

    Parameters
    ----------
    name
        For messages.
    function
        ``f(x)`` of points (d, n) in mesh units.
    shapes
        What a value may look like; the function returns (n, *shape).

    Raises
    ------
    InputError
        If it returns another shape, on every rank.
    """
    mesh, d = cell.mesh, cell.dimension
    midpoints = mesh.geometry.x[_dolfinx.geometry_dofmap(mesh)[:, : CORNERS[cell.kind]]].mean(axis=1)[:, :d]
    count = len(midpoints)
    with collective(cell.comm):
        values = np.asarray(function(midpoints.T), dtype=np.float64)
        if values.shape not in [(count, *shape) for shape in shapes]:
            allowed = " or ".join("(" + ", ".join(["n", *map(str, shape)]) + ")" for shape in shapes)
            raise InputError(name, values.shape, f"a function of points (d, n) that returns shape {allowed}")
    return values
