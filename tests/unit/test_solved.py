"""The fields of a solved cell problem: their names, and the jumps across membranes in files and pictures."""

from __future__ import annotations

import numpy as np
import pytest
import ufl
from mpi4py import MPI

from homfem import solve, solve_diffusion
from homfem.local.elasticity import elastic_coefficient, elasticity_problem
from homfem.local.problem import CellProblem, Field, element_of
from homfem.local.stokes import stokes_problem
from homfem.output.cell_figures import draw_solution, write_solution
from homfem.output.solved import fields_of_load, shown_fields, values_at_arrays, whole_function
from made_cells import grid_cell, square
from read_files import read_vtx

SOLIDS = {"a": {"young": 1.0, "poisson": 0.3}, "b": {"young": 10.0, "poisson": 0.2}}


def halves(s):
    return (s[:, 0] > 0.5).astype(int)


def stacked(comm=None, degree=2):
    """Two layers that conduct alike, a membrane in the middle and one on the period face: u jumps by q/h at each."""
    cell = grid_cell((6, 4), halves, **({} if comm is None else {"comm": comm}))
    options = {"membranes": {"a|b": 2.0}, "bounds": False, "degree": degree, "rtol": 1e-12}
    return solve_diffusion(cell, {"a": 1.0, "b": 1.0}, **options)


def test_names():
    cell = grid_cell((6, 6), square)
    assert shown_fields(stacked().correctors.problem) == {"potential": (0, 1)}
    elastic = elasticity_problem(cell, elastic_coefficient(cell, SOLIDS))
    assert shown_fields(elastic) == {"displacement": (0,)}
    assert shown_fields(stokes_problem(cell)) == {"velocity": (0,), "pressure": (1,)}


def test_fields_without_a_name():
    """Those on different phases are one; those that overlap, or differ in kind, are several."""
    cell = grid_cell((6, 6), square)
    linear, vector = element_of(cell, "Lagrange", 1), element_of(cell, "Lagrange", 1, shape=(2,))

    def names(*fields):
        found = {"loads": 2, "bilinear": lambda u, v: None, "affine": lambda x, s: None, "domain": cell.mesh}
        return shown_fields(CellProblem(name="test", fields=fields, **found))

    a, b = Field(element=linear, phases=("a",)), Field(element=linear, phases=("b",))
    assert names(a, b) == {"field1": (0, 1)}
    assert names(a, a) == {"field1": (0,), "field2": (1,)}
    assert names(a, b, a, b) == {"field1": (0, 1), "field3": (2, 3)}
    assert names(Field(element=vector), Field(element=linear)) == {"field1": (0,), "field2": (1,)}
    assert names(Field(element=vector, phases=("a",)), b) == {"field1": (0,), "field2": (1,)}
    named = (Field(element=linear, name="c"), Field(element=linear, name="c"))
    assert names(*named) == {"c1": (0,), "c2": (1,)}


def case_jump(comm):
    return {str(degree): jump(comm, degree) for degree in (1, 3)}


def jump(comm, degree):
    """1/q = 1 + 2/h with h = 2; the corrector jumps by q/h on both membranes, and nowhere else."""
    solution = stacked(comm, degree)
    problem, cell = solution.correctors.problem, solution.cell
    fields = fields_of_load(problem, solution.correctors.functions[0])
    broken = whole_function(cell, problem, (0, 1), fields)
    gap = broken("+") - broken("-")
    values = values_at_arrays(cell, problem, (0, 1), fields)
    sides = []
    if values is not None:
        raw = cell.raw
        x, tag = raw.points[raw.cells][..., 0], raw.phase_of_cell[:, None]
        left, right = ((np.abs(x - 0.5) < 1e-9) & (tag == raw.phases[name]) for name in ("a", "b"))
        sides = [float(np.ptp(values[left])), float(np.ptp(values[right])), float(values[right][0] - values[left][0])]
    return {
        "sum of squares": solve.integrate(gap**2 * ufl.dS),
        "inside": solve.integrate(ufl.inner(ufl.grad(broken), ufl.grad(broken)) * ufl.dx),
        "sides": sides,
    }


@pytest.mark.mpi
def test_the_jump_is_the_flux_over_the_permeability(on_ranks):
    for answer in (case_jump(MPI.COMM_WORLD), *on_ranks(case_jump, ranks=(2, 3))):
        for found in answer.values():
            assert found["sum of squares"] == pytest.approx(2 * 0.25**2, abs=1e-9)
            assert found["inside"] == pytest.approx(0.25, abs=1e-9)  # slope q - 1 = -1/2
            assert found["sides"] == pytest.approx([0.0, 0.0, 0.25], abs=1e-9)


def test_the_file_is_discontinuous(tmp_path):
    write_solution(stacked(), str(tmp_path / "u.bp"))
    points, values = read_vtx(tmp_path / "u.bp", "geometry", "corrector_1")
    middle = values[np.abs(points[:, 0] - 0.5) < 1e-9]
    assert np.ptp(middle) == pytest.approx(0.25, abs=1e-9)
    assert np.minimum(middle - middle.min(), middle.max() - middle) == pytest.approx(np.zeros_like(middle), abs=1e-9)


def test_the_picture_has_an_edge_in_the_middle(tmp_path):
    """The corrector falls in each layer and jumps up between them: blue left of the membrane, red right of it."""
    import matplotlib.image

    draw_solution(stacked(), str(tmp_path / "u.png"))
    image = matplotlib.image.imread(tmp_path / "u.png")[:, :, :3]
    red, blue = (image[..., i] - image[..., 2 - i] > 0.3 for i in (0, 2))
    row = image.shape[0] // 2
    frame = np.flatnonzero(red[row] | blue[row])
    first, last = frame[0], frame[frame < 0.85 * image.shape[1]][-1]
    width = last - first
    strip = slice(first + int(0.46 * width), first + int(0.54 * width))
    changes = [int(np.flatnonzero(mask[row, strip])[k]) for mask, k in ((blue, -1), (red, 0))]
    assert 0 < changes[1] - changes[0] < 0.03 * width
