"""Means of gradients over mesh cells, against assembled forms and against the fields themselves."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
import ufl
from dolfinx import fem

from homfem import solve
from homfem.cells import fibre_array, image_cell, sphere_array
from homfem.grid import Image
from homfem.local.means import mean_gradients

CELLS = {
    "triangles": lambda: fibre_array("square", fraction=0.3, resolution=0.25),
    "curved triangles": lambda: fibre_array("square", fraction=0.3, resolution=0.25, order=2),
    "tetrahedra": lambda: sphere_array("simple-cubic", fraction=0.2, resolution=0.25),
    "quadrilaterals": lambda: image_cell(
        Image.from_labels(np.eye(3, dtype=int), {"a": 0, "b": 1}, voxel=[0.3, 0.2]), elements="voxel"
    ),
}


@pytest.mark.parametrize("name", CELLS)
@pytest.mark.parametrize(("family", "degree", "components"), [("Lagrange", 1, 2), ("Lagrange", 3, 1), ("CR", 1, 1)])
def test_they_are_those_of_assembled_forms(name, family, degree, components):
    cell = CELLS[name]()
    if family == "CR" and not cell.simplicial:
        degree, family = 2, "Lagrange"
    mesh, d = cell.mesh, cell.dimension
    space = solve.function_space(mesh, family, degree, (components,) if components > 1 else ())
    functions = [fem.Function(space), fem.Function(space)]
    for number, function in enumerate(functions):
        function.x.array[:] = np.random.default_rng(number).standard_normal(len(function.x.array))
    found = mean_gradients(cell, SimpleNamespace(functions=functions))
    constants = solve.function_space(mesh, "DG", 0, (components, d) if components > 1 else (d,))
    volume = solve.assemble_vector(ufl.TestFunction(solve.function_space(mesh, "DG", 0)) * ufl.dx).array_r
    for number, u in enumerate(functions):
        whole = solve.assemble_vector(ufl.inner(ufl.grad(u), ufl.TestFunction(constants)) * ufl.dx).array_r
        means = whole.reshape(-1, components, d) / volume[:, None, None]
        assert np.abs(found[:, number] - means).max() < 1e-11 * np.abs(means).max()
