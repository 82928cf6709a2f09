"""What the system of a cell problem may take: refused before it is made, exactly at the number that is reported."""

from __future__ import annotations

import pytest

from homfem import cells, homogenize_diffusion, homogenize_elasticity, homogenize_stokes, solve, solve_diffusion
from homfem.limits import VARIABLE, BudgetError, MemoryLimitError
from homfem.local import budget
from homfem.local.budget import bytes_of, require_system, unknowns_limited

SOLIDS = {"L": {"young": 1.0, "poisson": 0.3}, "D": {"young": 10.0, "poisson": 0.3}}
BOARD, CHANNEL = ["LD", "DL"], ["LL", "LD"]


def diffusion(**options):
    return homogenize_diffusion(cells.blocks(BOARD, resolution=0.25), {"L": 1.0, "D": 10.0}, **options)


def elasticity(**options):
    return homogenize_elasticity(cells.blocks(BOARD, resolution=0.25), SOLIDS, **options)


def permeability(**options):
    return homogenize_stokes(cells.blocks(["LLL", "LDL", "LLL"], resolution=0.2), "L", **options)


@pytest.mark.parametrize(
    ("solve_it", "options"),
    [
        (diffusion, {}),
        (diffusion, {"symmetry": "auto"}),
        (diffusion, {"degree": 1}),
        (diffusion, {"boundary": "affine"}),
        (diffusion, {"membranes": {"L|D": 1.0}}),
        (diffusion, {"backend": "multipoint"}),
        (elasticity, {}),
        (elasticity, {"symmetry": "auto"}),
        (permeability, {}),
        (permeability, {"bounds": True}),
        (permeability, {"tolerance": 0.9}),
    ],
)
def test_the_budget_holds_for_the_first_mesh_to_the_unknown(solve_it, options):
    room = {"max_dofs": 700} if "tolerance" in options else {}  # for the first of the two meshes that must agree
    dofs = solve_it(**room, **options).dofs
    assert solve_it(max_dofs=dofs, **options).dofs == dofs
    with pytest.raises(BudgetError, match=f"max_dofs = {dofs - 1}: it must be >= {dofs}: .*cell.resolution"):
        solve_it(max_dofs=dofs - 1, **options)


@pytest.mark.parametrize("solve_it", [diffusion, elasticity, permeability])
def test_a_system_that_does_not_fit_is_refused_before_anything_is_solved(solve_it, monkeypatch):
    monkeypatch.setenv(VARIABLE, "100 kB")
    monkeypatch.setattr(solve.LinearSolver, "__init__", lambda *_, **__: pytest.fail("solved"))
    with pytest.raises(MemoryLimitError, match=r"cell = 'blocks': .*cell.resolution.*HOMFEM_MEMORY"):
        solve_it()


def test_iterations_go_where_factors_do_not_fit(monkeypatch):
    """A flow in the plane is solved by factors as a rule."""
    monkeypatch.setenv(VARIABLE, "1 GB")
    by_factors = permeability()
    monkeypatch.setitem(budget.FACTORS, 2, 1e9)
    by_iterations = permeability()
    assert by_factors.iterations <= 4 < 10 < by_iterations.iterations
    assert by_iterations.value == pytest.approx(by_factors.value, rel=1e-8, abs=1e-12)


@pytest.mark.parametrize(("solve_it", "most"), [(diffusion, 2), (elasticity, 3)])
def test_iterations_go_where_factors_of_correctors_do_not_fit(solve_it, most, monkeypatch):
    """Diffusion and elasticity in the plane are solved by factors as a rule, one application for each load."""
    monkeypatch.setenv(VARIABLE, "1 GB")
    by_factors = solve_it()
    monkeypatch.setitem(budget.FACTORS, 2, 1e9)
    by_iterations = solve_it()
    assert by_factors.iterations <= 2 * most
    assert by_iterations.iterations > 4 * most
    assert by_iterations.value == pytest.approx(by_factors.value, rel=1e-8, abs=1e-12)


def test_the_number_of_unknowns_is_limited_in_the_block_alone():
    cell = cells.blocks(BOARD, resolution=0.25)
    with pytest.raises(BudgetError, match="max_dofs = 5"), unknowns_limited(5):
        require_system(cell, "system", 6)
    require_system(cell, "system", 6)


def test_factors_take_more_than_multigrid(monkeypatch):
    dofs = permeability(preconditioner="multigrid").dofs
    monkeypatch.setenv(VARIABLE, f"{1.01 * bytes_of(dofs, 2, 2):.0f} B")
    assert permeability(preconditioner="multigrid").dofs == dofs
    with pytest.raises(MemoryLimitError):
        permeability(preconditioner="direct")


def test_refinement_ends_where_the_memory_does_and_says_so(monkeypatch):
    """What was reached before is returned, with the mesh that it belongs to."""
    cell = cells.blocks(BOARD, resolution=0.25)
    first = solve_diffusion(cell, {"L": 1.0, "D": 10.0})
    monkeypatch.setenv(VARIABLE, f"{1.01 * bytes_of(first.tensor.dofs, 2):.0f} B")
    ended = solve_diffusion(cell, {"L": 1.0, "D": 10.0}, tolerance=1e-4)
    assert not ended.tensor.reached
    assert "HOMFEM_MEMORY" in ended.tensor.warnings[-1]
    assert ended.tensor.dofs == first.tensor.dofs
    assert ended.cell.number_of_cells == first.cell.number_of_cells
    assert (ended.tensor.value == first.tensor.value).all()


#: Unknowns, dimension, components, whether direct, and bytes above those of the mesh: meshes of blocks on one rank.
MEASURED = [
    (60_000, 2, 1, False, 86e6),
    (147_456, 3, 1, False, 327e6),
    (36_992, 2, 2, False, 65e6),
    (41_472, 3, 3, False, 200e6),
    (23_217, 2, 2, True, 84e6),
    (83_025, 2, 2, True, 320e6),
    (10_586, 3, 3, True, 90e6),
    (36_484, 3, 3, True, 431e6),
]


@pytest.mark.parametrize(("dofs", "dimension", "components", "direct", "measured"), MEASURED)
def test_estimates_are_a_little_above_what_was_measured(dofs, dimension, components, direct, measured):
    assert 1.0 < bytes_of(dofs, dimension, components, direct=direct) / measured < 1.5
