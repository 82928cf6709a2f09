"""All loads of a saddle point at once, on the one matrix of a component."""

from __future__ import annotations

import logging
from contextlib import ExitStack
from dataclasses import replace
from unittest import mock

import numpy as np
import pytest
from mpi4py import MPI
from petsc4py import PETSc

from homfem import cells, solve
from homfem.local import budget
from homfem.local import stacked as local_stacked
from homfem.local.engine import solve_correctors
from homfem.local.posed import Posed
from homfem.local.solenoidal import stiffness_matrix
from homfem.local.stacked import Stacked
from homfem.local.stokes import stokes_problem
from homfem.parameters import ConvergenceError
from homfem.random_media import ParticleMedium, Sphere
from homfem.solve.columns import Columns, component
from homfem.solve.lasting import WINDOW, iterate
from made_cells import grid_cell, square

WENT = {
    "direct": [],
    "factors": ["factors go on"],
    "minres": ["minres goes on"],
    "load by load": ["One load after the other"],
}


def around_a_box(comm=MPI.COMM_WORLD):
    """The space around a box of three different sides, in a skew period."""

    def phase(s):
        return np.all(s > [0.25, 0.5, 0.25], axis=1) & np.all(s < [0.75, 0.99, 0.5], axis=1)

    vectors = [[1.0, 0.0, 0.0], [0.1, 1.1, 0.0], [0.0, 0.2, 1.3]]
    return grid_cell((4, 4, 4), phase, vectors=vectors, comm=comm).restrict(["a"])


def random_matrix(rows, columns, seed):
    entries = np.random.default_rng(seed).standard_normal((rows, columns))
    entries[np.abs(entries) < 0.5] = 0.0
    matrix = PETSc.Mat().createDense([rows, columns], array=entries, comm=PETSc.COMM_SELF)
    return entries, matrix.convert("aij")


def test_columns_and_components_are_products():
    entries, matrix = random_matrix(6, 4, 1)
    given = np.random.default_rng(2).standard_normal((5, 4))
    columns = Columns(matrix, 5)
    assert columns.product(given) == pytest.approx(given @ entries.T)
    assert columns.transposed.product(given @ entries.T) == pytest.approx(given @ entries.T @ entries)
    assert solve.repeated(matrix, 3).convert("dense").getDenseArray() == pytest.approx(np.kron(entries, np.eye(3)))
    for c in range(2):
        assert component(matrix, 2, c, columns=True).convert("dense").getDenseArray() == pytest.approx(entries[:, c::2])
        assert component(matrix, 2, c, columns=False).convert("dense").getDenseArray() == pytest.approx(entries[c::2])
    _, own = random_matrix(6, 6, 3)
    side_by_side = solve.Componentwise(own, 3).operator()
    whole, x = solve.repeated(own, 3), PETSc.Vec().createWithArray(np.arange(18.0), comm=PETSc.COMM_SELF)
    one, other = x.duplicate(), x.duplicate()
    side_by_side.mult(x, one)
    whole.mult(x, other)
    assert one.array == pytest.approx(other.array)
    assert side_by_side.getDiagonal().array == pytest.approx(whole.getDiagonal().array)
    norm = PETSc.NormType.INFINITY
    assert side_by_side.norm(norm) == pytest.approx(whole.norm(norm))


@pytest.mark.parametrize("element", ["taylor-hood", "equal-order", "crouzeix-raviart"])
def test_all_loads_at_once_give_what_factors_of_the_whole_form_give(element):
    """The matrix of the whole form and that which is put together from one component are two assemblies."""
    cell = around_a_box()
    problem = stokes_problem(cell, element=element)
    found = solve_correctors(cell, problem, preconditioner="multigrid", rtol=1e-11)
    whole = solve_correctors(cell, replace(problem, component=None), preconditioner="direct")
    assert found.average == pytest.approx(whole.average, rel=1e-9, abs=1e-14)
    assert found.iterations < 80
    for ours, theirs in zip(found.functions, whole.functions, strict=True):
        for one, other in zip(ours, theirs, strict=True):
            assert one.x.array == pytest.approx(other.x.array, abs=1e-8 * np.abs(other.x.array).max())


def test_one_load_of_several_does_nothing():
    """Between plates across the first axis nothing flows along it: the side is no load, its flow zero."""
    cell = cells.slit(aperture=0.5, axis="x", resolution=0.25, dimension=3).restrict(["pore"])
    found = solve_correctors(cell, stokes_problem(cell), preconditioner="multigrid", rtol=1e-12)
    assert found.average == pytest.approx(np.diag([0.0, 0.5**3 / 12.0, 0.5**3 / 12.0]), abs=1e-12)


def test_what_does_not_converge_at_once_is_solved_load_by_load(monkeypatch):
    cell = grid_cell((6, 6), square).restrict(["a"])
    problem, tried = stokes_problem(cell), []

    def fails(self, sides, solutions):
        tried.append(len(sides))
        self.iterations += 1000
        raise ConvergenceError("in a test")

    whole = solve_correctors(cell, problem, preconditioner="direct").average
    monkeypatch.setattr(solve.StackedSolver, "solve_all", fails)
    found = solve_correctors(cell, problem, preconditioner="multigrid", rtol=1e-10)
    assert tried == [2]
    assert 1000 < found.iterations < 1200  # those of the stack are among them
    assert found.average == pytest.approx(whole, rel=1e-9)


def test_iterations_go_on_from_what_the_stack_has_found(monkeypatch):
    cell = grid_cell((6, 6), square).restrict(["a"])
    cycle = solve.StackedSolver._cycle
    monkeypatch.setattr(solve.StackedSolver, "_cycle", lambda self, rest, more, left: cycle(self, rest, more, 8))
    monkeypatch.setattr(solve.StackedSolver, "_long", lambda self, rest, more: (0, -3))
    problem = stokes_problem(cell)
    whole = solve_correctors(cell, problem, preconditioner="direct").average
    found = solve_correctors(cell, problem, preconditioner="multigrid", rtol=1e-10)
    monkeypatch.setattr(solve.StackedSolver, "_cycle", lambda self, rest, more, left: (more.set(0.0), (0, -3))[1])
    from_zero = solve_correctors(cell, problem, preconditioner="multigrid", rtol=1e-10)
    for one in (found, from_zero):
        assert one.average == pytest.approx(whole, rel=1e-9)
    assert found.iterations < 0.8 * from_zero.iterations


def test_random_spheres_with_narrow_gaps():
    """A gap of a sixth of the diameter: all loads share some fifty iterations."""
    balls = ParticleMedium(
        particle=Sphere(0.33), period=(1.0, 1.0, 1.0), centres=np.array([[0.25] * 3, [0.7] * 3]),
        frames=np.tile(np.eye(3), (2, 1, 1)), scales=np.ones(2), overlap=False, expected_fraction=0.3, seed=1,
    )  # fmt: skip
    cell = cells.medium_cell(balls, phases=("ball", "fluid"), resolution=1 / 3).restrict(["fluid"])
    found = solve_correctors(cell, stokes_problem(cell), preconditioner="multigrid", rtol=1e-10)
    assert found.iterations < 70


def test_stretched_cells_take_factors_where_these_are_cheap_and_minres_else(caplog, monkeypatch):
    """Pipes of width .05: the pressure along them is the slow part, which restarts would forget."""
    cell = cells.three_pipe(edges=0.05, resolution=0.3).restrict(["er"])
    problem = stokes_problem(cell)
    whole = solve_correctors(cell, problem, preconditioner="direct").average
    with caplog.at_level(logging.INFO, logger="homfem"):
        by_factors = solve_correctors(cell, problem, rtol=1e-10)
        assert "factors go on" in caplog.text
        monkeypatch.setattr(local_stacked, "WORK", 1.0)
        by_minres = solve_correctors(cell, problem, rtol=1e-10)
    assert "minres goes on" in caplog.text
    assert "One load after the other" not in caplog.text
    assert by_factors.iterations < 130
    assert by_minres.iterations < 700
    for found in (by_factors, by_minres):
        assert found.average == pytest.approx(whole, rel=1e-8, abs=1e-16)


@pytest.mark.parametrize("work", [5e4, 1.0])
def test_what_rounding_does_not_allow_ends(caplog, monkeypatch, work):
    """A tolerance below round-off: factors, and MINRES, end where rounding does."""
    monkeypatch.setattr(local_stacked, "WORK", work)
    monkeypatch.setattr("homfem.solve.stacked.SLOW", 1e-9)
    cell = grid_cell((6, 6), square).restrict(["a"])
    problem = stokes_problem(cell)
    monkeypatch.setitem(solve.DIRECT_SADDLE, 2, 0)
    with caplog.at_level(logging.INFO, logger="homfem"):
        found = solve_correctors(cell, problem, rtol=1e-17)
    assert f"{'factors' if work > 1.0 else 'minres'} goes on".replace("factors goes", "factors go") in caplog.text
    assert "One load after the other" not in caplog.text
    whole = solve_correctors(cell, problem, preconditioner="direct").average
    assert found.average == pytest.approx(whole, rel=1e-12)


def test_factors_that_fail_leave_the_loads_to_minres(caplog, monkeypatch):
    """All loads at once still, whether there are no factors or their solutions are none."""
    monkeypatch.setattr("homfem.solve.stacked.SLOW", 1e-9)
    monkeypatch.setattr("homfem.solve.stacked.RESTART", 5)
    monkeypatch.setitem(solve.DIRECT_SADDLE, 2, 0)
    cell = grid_cell((6, 6), square).restrict(["a"])
    problem = stokes_problem(cell)
    whole = solve_correctors(cell, problem, preconditioner="direct").average

    def fails(*_, **__):
        raise ConvergenceError("no factors, in a test")

    for place in ("homfem.local.stacked.Factors", "homfem.solve.Factors.solve"):
        caplog.clear()
        with monkeypatch.context() as patch, caplog.at_level(logging.INFO, logger="homfem"):
            patch.setattr(place, fails)
            found = solve_correctors(cell, problem, rtol=1e-10)
        assert "no factors, in a test" in caplog.text
        assert "minres goes on" in caplog.text
        assert "One load after the other" not in caplog.text
        assert found.average == pytest.approx(whole, rel=1e-8)


def test_what_is_no_number_does_not_converge():
    solver, sides = flow_of_a_square(max_iterations=50, rtol=1e-10, name="flow")
    sides[1].setValue(3, np.nan)
    sides[1].assemble()
    with pytest.raises(ConvergenceError, match="flow: gmres of all loads stopped after 0 iterations"):
        solver.solve_all(sides, [side.duplicate() for side in sides])


def test_factors_that_are_too_large_are_refused_before_their_matrix_is_made(monkeypatch):
    cell = around_a_box()
    posed = Posed(cell, stokes_problem(cell), None, "periodic")
    posed.assemble()
    (reduced,) = posed.unknowns.values()
    stacked, options = Stacked(posed, reduced), {"rtol": 1e-10, "name": "flow"}
    joined = posed.operator(reduced, nested=False)
    diagonal = joined.getLocalSize()[0]  # stored by the joined matrix in any case
    assert solve.entries(joined) - diagonal <= stacked._entries() <= solve.entries(joined)
    joined.destroy()
    factors = stacked._factors((), options)
    factors.destroy()
    made, operator = [], Posed.operator

    def noted(self, reduced, *, nested):
        made.append(operator(self, reduced, nested=nested))
        return made[-1]

    monkeypatch.setattr(Posed, "operator", noted)
    for module, name, value in (
        (local_stacked, "LARGEST", stacked._entries() - 1),
        (budget, "FACTORS", {3: 1e12}),
    ):
        with monkeypatch.context() as patched:
            patched.setattr(module, name, value)
            assert stacked._factors((), options) is None
            assert not made

    def fails(*_, **__):
        raise ConvergenceError("no factors, in a test")

    with monkeypatch.context() as patched:
        patched.setattr(local_stacked, "Factors", fails)
        with pytest.raises(ConvergenceError, match="no factors"):
            stacked._factors((), options)
    monkeypatch.setattr(local_stacked, "WORK", 1.0)
    assert stacked._factors((), options) is None
    assert [bool(one) for one in made] == [False, False]  # made for the analysis, and freed
    stacked.destroy()
    posed.destroy()


def test_no_hope_is_seen_early():
    """A diagonal matrix with eigenvalues over nine decades, without a preconditioner."""
    n = 3000
    matrix = PETSc.Mat().createAIJ([n, n], nnz=1, comm=PETSc.COMM_SELF)
    matrix.setDiagonal(PETSc.Vec().createWithArray(np.geomspace(1e-9, 1.0, n), comm=PETSc.COMM_SELF))
    matrix.assemble()
    ksp = PETSc.KSP().create(PETSc.COMM_SELF)
    ksp.setOperators(matrix)
    ksp.setType("minres")
    ksp.getPC().setType("none")
    b, x = matrix.createVecLeft(), matrix.createVecRight()
    b.set(1.0)

    def residual(found):
        return (b - matrix * found).norm()

    wanted = 1e-10 * b.norm()
    count, reason = iterate(ksp, b, x, residual=residual, wanted=wanted, most=2000)
    assert reason < 0
    assert WINDOW <= count < 2 * WINDOW
    count, reason = iterate(ksp, b, x, residual=residual, wanted=wanted, most=400, early=False)
    assert reason < 0
    assert count == 400
    wanted = 0.6 * b.norm()
    count, reason = iterate(ksp, b, x, residual=residual, wanted=wanted, most=2000)
    assert reason > 0
    assert residual(x) <= wanted
    x.set(0.0)
    assert iterate(ksp, x, x.duplicate(), residual=lambda found: 0.0, wanted=0.0, most=10) == (0, 3)
    # A preconditioned residual of nothing beside a true one that is there.
    assert iterate(ksp, x, x.duplicate(), residual=lambda found: 1.0, wanted=0.5, most=10)[1] < 0


def flow_of_a_square(**options):
    """The solver of both loads of a flow, and these."""
    cell = grid_cell((6, 6), square).restrict(["a"])
    posed = Posed(cell, stokes_problem(cell), None, "periodic")
    posed.assemble()
    (reduced,) = posed.unknowns.values()
    return Stacked(posed, reduced).solver(2, (), options), [reduced.vector(side) for side in posed.sides]


def test_too_few_iterations_are_said():
    solver, sides = flow_of_a_square(max_iterations=3, rtol=1e-10, name="flow")
    with pytest.raises(ConvergenceError, match="flow: gmres of all loads stopped after 3"):
        solver.solve_all(sides, [side.duplicate() for side in sides])
    assert solver.iterations == 3


def case_ways(comm):
    """All ways on from a stack that is slow, and with a matrix that there is already."""
    cell = grid_cell((6, 6), square, comm=comm).restrict(["a"])
    problem, found = stokes_problem(cell), {}
    shared = stiffness_matrix(cell, 2, 2)
    cycle = solve.StackedSolver._cycle
    solver = "homfem.solve.StackedSolver."
    ways = {
        "factors": {},
        "minres": {"homfem.local.stacked.WORK": 1.0},
        "load by load": {
            solver + "_cycle": lambda self, rest, more, left: cycle(self, rest, more, 5),
            solver + "_long": lambda self, rest, more: (0, -3),
        },
    }
    for name, places in ways.items():
        for words, own in (("", {}), (", given", {"component": shared})):
            with ExitStack() as stack:
                stack.enter_context(mock.patch.dict(solve.DIRECT_SADDLE, {2: 0}))
                slow = {"homfem.solve.stacked.SLOW": 1e-9, "homfem.solve.stacked.RESTART": 5}
                for place, value in (slow | places).items():
                    stack.enter_context(mock.patch(place, value))
                log = stack.enter_context(mock.patch.object(logging.getLogger("homfem"), "info"))
                solved = solve_correctors(cell, replace(problem, assembled=own), rtol=1e-12)
            said = " ".join(str(call.args) for call in log.call_args_list)
            went = [word for word in ("factors go on", "minres goes on", "One load after the other") if word in said]
            found[name + words] = [went, solved.average.ravel().tolist()]
    assert shared.getSizes()[0][0] > 0  # which stays the caller's
    shared.destroy()
    whole = solve_correctors(cell, problem, preconditioner="direct", rtol=1e-12).average
    return {"direct": [[], whole.ravel().tolist()]} | found


@pytest.mark.mpi
def test_every_way_on_from_a_slow_stack_gives_the_same_on_ranks(on_ranks):
    first, *others = on_ranks(case_ways)
    _, exact = first["direct"]
    for answer in (first, *others):
        for name, (went, average) in answer.items():
            assert average == pytest.approx(exact, rel=1e-9, abs=1e-13), name
            assert went == WENT[name.removesuffix(", given")], name


def case_ranks(comm):
    cell = around_a_box(comm)
    found = solve_correctors(cell, stokes_problem(cell), preconditioner="multigrid", rtol=1e-12)
    direct = solve_correctors(cell, stokes_problem(cell), preconditioner="direct", rtol=1e-12)
    return found.average.ravel().tolist(), direct.average.ravel().tolist()


@pytest.mark.mpi
def test_ranks_agree(on_ranks):
    (first, direct), *others = on_ranks(case_ranks)
    assert first == pytest.approx(direct, rel=1e-10, abs=1e-14)
    for other, factored in others:
        assert other == pytest.approx(first, rel=1e-10, abs=1e-14)
        assert factored == pytest.approx(first, rel=1e-10, abs=1e-14)
