"""Linear solves that are checked, kernels, functionals, and errors that reach every rank."""

from __future__ import annotations

import numpy as np
import pytest
import ufl
from dolfinx import fem
from dolfinx import mesh as dmesh
from mpi4py import MPI
from petsc4py import PETSc

from homfem import solve
from homfem.parameters import ConvergenceError, HomfemError, InputError
from homfem.ranks import collective
from homfem.solve.options import held, options_of

ALIVE = []  # spaces whose matrices are in use: PETSc objects borrow the communicator of their index map


def laplace(comm, n, shift=0.0, degree=1):
    mesh = dmesh.create_unit_square(comm, n, n)

    space = fem.functionspace(mesh, ("Lagrange", degree))
    ALIVE.append(space)
    u, v, x = ufl.TrialFunction(space), ufl.TestFunction(space), ufl.SpatialCoordinate(mesh)
    constant = fem.Constant(mesh, shift)
    matrix = solve.assemble_matrix((ufl.inner(ufl.grad(u), ufl.grad(v)) + constant * u * v) * ufl.dx)
    return matrix, solve.assemble_vector(ufl.cos(ufl.pi * x[0]) * v * ufl.dx)


@pytest.mark.parametrize("preconditioner", ["multigrid", "ssor", "jacobi", "none", "direct"])
@pytest.mark.parametrize("shift", [0.0, 1.0])
def test_the_true_residual_is_what_was_asked_for(preconditioner, shift):
    matrix, b = laplace(MPI.COMM_WORLD, 12, shift)
    solver = solve.LinearSolver(
        matrix, preconditioner=preconditioner, rtol=1e-9, kernel=solve.Kernel(constant=shift == 0.0)
    )
    x = matrix.createVecRight()
    for scale in (1.0, 1e-6):
        side = b.copy()
        side.scale(scale)
        solver.solve(side, x)
        assert (side - matrix * x).norm() <= 1.01e-9 * side.norm()
        assert shift > 0.0 or abs(x.sum()) < 1e-9 * x.norm()
    assert solver.solves == 2


def test_a_good_guess_saves_iterations():
    matrix, b = laplace(MPI.COMM_WORLD, 24, 1.0)
    for preconditioner in ("jacobi", "direct"):
        solver = solve.LinearSolver(matrix, preconditioner=preconditioner)
        x = matrix.createVecRight()
        first = solver.solve(b, x)
        again = solver.solve(b, x, guess=True)
        assert again <= 1 <= first


def test_iterations_do_not_grow_under_refinement():
    counts = []
    for n in (16, 32, 64):
        matrix, b = laplace(MPI.COMM_WORLD, n)
        x = matrix.createVecRight()
        counts.append(solve.LinearSolver(matrix, kernel=solve.Kernel(constant=True)).solve(b, x))
    assert counts[-1] <= counts[0] + 6


def test_stopping_short_hands_over_to_a_direct_solver():
    """Two smoothing steps are too few; the factors of a small matrix are not."""
    matrix, b = laplace(MPI.COMM_WORLD, 24, 1.0)
    solver, x = solve.LinearSolver(matrix, preconditioner="jacobi", max_iterations=3), matrix.createVecRight()
    for _ in range(2):
        solver.solve(b, x)
        assert (b - matrix * x).norm() <= 1e-10 * b.norm()
    assert solver.iterations == 5


@pytest.mark.parametrize("size", [2.0**-83, 2.0**83])
@pytest.mark.parametrize("degree", [1, 3])
def test_units_do_not_matter(size, degree):
    """PETSc's smoothers compare pivots with absolute numbers."""
    results = []
    for factor in (1.0, size):
        matrix, b = laplace(MPI.COMM_WORLD, 6, 1.0, degree)
        matrix.scale(factor)
        x = matrix.createVecRight()
        count = solve.LinearSolver(matrix, preconditioner="ssor").solve(b, x)
        x.scale(factor)
        results.append((x.array.copy(), count))
    assert results[0][1] == results[1][1]
    assert np.array_equal(results[0][0], results[1][0])


def test_a_matrix_without_solution_raises():
    """The factors of a singular matrix serve a load that is not in its range, and the residual tells."""
    matrix, b = laplace(MPI.COMM_WORLD, 8)
    b.shift(1.0)
    with pytest.raises(ConvergenceError, match="residual"):
        solve.LinearSolver(matrix, preconditioner="direct", name="test system").solve(b, matrix.createVecRight())


def test_a_solver_that_breaks_off_hands_over_or_raises(monkeypatch):
    matrix, b = laplace(MPI.COMM_WORLD, 8, 1.0)
    x, rest = matrix.createVecRight(), matrix.createVecRight()
    rest.set(0.0)
    matrix.setDiagonal(rest)  # which PETSc's relaxation divides by
    solver = solve.LinearSolver(matrix, preconditioner="ssor", name="test system")
    solver.solve(b, x)
    matrix.mult(x, rest)
    assert (rest - b).norm() < 1e-6 * b.norm()
    monkeypatch.setattr("homfem.solve.options.DIRECT", 0)
    with pytest.raises(ConvergenceError, match=r"test system: PETSc breaks off .*[Zz]ero.*too far apart"):
        solve.LinearSolver(matrix, preconditioner="ssor", name="test system").solve(b, x)


@pytest.mark.parametrize("preconditioner", ["multigrid", "direct"])
def test_a_load_that_is_not_finite_raises(preconditioner):
    matrix, b = laplace(MPI.COMM_WORLD, 4, 1.0)
    b.scale(np.inf)
    with pytest.raises(ConvergenceError, match="test system: the right-hand side is not finite"):
        solve.LinearSolver(matrix, preconditioner=preconditioner, name="test system").solve(b, matrix.createVecRight())


def test_stopping_short_raises(monkeypatch):
    monkeypatch.setattr("homfem.solve.options.DIRECT", 0)
    matrix, b = laplace(MPI.COMM_WORLD, 24, 1.0)
    solver = solve.LinearSolver(matrix, preconditioner="jacobi", max_iterations=3, name="test system")
    with pytest.raises(ConvergenceError, match=r"test system: cg stopped after 3 iterations"):
        solver.solve(b, matrix.createVecRight())


def test_an_indefinite_matrix_raises():
    matrix, b = laplace(MPI.COMM_WORLD, 8, -100.0)
    with pytest.raises(ConvergenceError, match="indefinite"):
        solve.LinearSolver(matrix, preconditioner="none").solve(b, matrix.createVecRight())


def test_a_direct_solver_goes_first_where_the_matrix_is_small_and_the_tolerance_sharp(monkeypatch):
    """Multigrid is not even set up then; where the factors fail it goes on."""
    monkeypatch.setattr("homfem.solve.options.DIRECT", 0)  # what takes over where others fail has another limit
    matrix, b = laplace(MPI.COMM_WORLD, 12)
    made = []

    def coarse():
        made.append(solve.Coarse())
        return made[-1]

    cases = [(1e-10, 10**6, True), (1e-10, 100, False), (1e-3, 10**6, False), (1e-10, 0, False)]
    for rtol, entries, direct in cases:
        made.clear()
        x = matrix.createVecRight()
        multigrid = solve.Multigrid(coarse=coarse, direct_first=entries)
        kernel = solve.Kernel(constant=True)
        count = solve.LinearSolver(matrix, rtol=rtol, preconditioner=multigrid, kernel=kernel).solve(b.copy(), x)
        assert (count == 1) == (not made) == direct
        assert (b - matrix * x).norm() <= 1.01 * rtol * b.norm()


def test_multigrid_goes_on_where_factors_fail(monkeypatch):
    matrix, b = laplace(MPI.COMM_WORLD, 12, 1.0)
    monkeypatch.setattr("homfem.solve.linear.REFINEMENTS", 0)
    monkeypatch.setattr(solve.LinearSolver, "_applied", lambda _self, _rest, more: (more.set(0.0), (1, 1))[1])
    solver, x = solve.LinearSolver(matrix, preconditioner=solve.Multigrid(direct_first=10**6)), matrix.createVecRight()
    assert solver.solve(b, x) > 1
    assert (b - matrix * x).norm() <= 1.01e-10 * b.norm()


def test_factors_of_a_matrix_of_moderate_size_are_ordered_by_their_fill(monkeypatch):
    """By approximate minimum fill (2 among MUMPS's orderings); of a larger one by what MUMPS chooses for it."""
    matrix, b = laplace(MPI.COMM_SELF, 110, 1.0)
    assert matrix.getSize()[0] > 10_000
    found = []
    for dimension, kind in ((2, solve.Direct(dimension=2)), (3, "direct")):
        monkeypatch.setattr("homfem.solve.options.QUICK_ORDER", {2: 1_500_000, 3: 1000})
        solver, x = solve.LinearSolver(matrix, preconditioner=kind), matrix.createVecRight()
        solver.solve(b, x)
        found.append((solver.ksp.getPC().getFactorMatrix().getMumpsInfog(7), x.norm()))
        solver.destroy()
        factors = solve.Factors(matrix, dimension=dimension)
        assert factors._factor.getMumpsInfog(7) == found[-1][0]
        factors.destroy()
    assert found[0][0] == 2 != found[1][0]
    assert found[0][1] == pytest.approx(found[1][1], rel=1e-10)


@pytest.mark.parametrize(
    "broken",
    [
        {"pc_factor_mat_solver_type": "none of that name"},  # PETSc's error
        {"mat_mumps_icntl_28": 2, "mat_mumps_icntl_29": 1},  # an ordering that is not there: MUMPS ends without a word
    ],
)
def test_an_analysis_that_fails_is_no_sign_of_cheap_factors(broken, monkeypatch):
    n = 60
    dense = PETSc.Mat().createDense([n, n], array=np.eye(n) + 0.01, comm=MPI.COMM_SELF)
    matrix = dense.convert("aij")
    assert solve.work_of_factors(matrix, 2) == pytest.approx(n**3 / 3.0, rel=0.1)
    monkeypatch.setattr("homfem.solve.factors.options_of", lambda *given, **named: options_of(*given, **named) | broken)
    assert solve.work_of_factors(matrix, 2) == np.inf
    assert matrix.refcount == 1  # what held it is freed


def test_factors_that_leave_more_than_is_asked_for_are_applied_again(monkeypatch):
    """Once more where that gains a lot; iterations about them go on where it does not, also from worse than nothing."""
    matrix, b = laplace(MPI.COMM_SELF, 24, 1.0)
    solver, x = solve.LinearSolver(matrix, preconditioner="direct", rtol=1e-13), matrix.createVecRight()
    exact = x.duplicate()
    solver.solve(b, exact)
    factors = solver.ksp.getPC()
    for error, least, most in ((1e-6, 2, 4), (0.3, 2, 20), (5.0, 2, 20), (-1.5, 2, 20)):

        def poor(_self, rest, more, error=error):
            factors.apply(rest, more)
            more.scale(1.0 + error)
            return 1, 1

        monkeypatch.setattr(solve.LinearSolver, "_applied", poor)
        count = solver.solve(b, x)
        assert least <= count <= most
        assert (b - matrix * x).norm() <= 1.1e-13 * b.norm()
        x.axpy(-1.0, exact)
        assert x.norm() <= 1e-10 * exact.norm()


def case_held(comm):
    matrix, b = laplace(comm, 12)
    kernel = matrix.createVecRight()
    kernel.set(1.0 / np.sqrt(kernel.getSize()))
    before = matrix.copy()
    with held(matrix, kernel):
        change = matrix.copy()
        change.axpy(-1.0, before)
        inside = [change.norm(), change.norm(PETSc.NormType.INFINITY)]
    matrix.axpy(-1.0, before)
    solver, x = solve.LinearSolver(before, preconditioner="direct", rtol=1e-12, kernel=[kernel]), b.duplicate()
    count = solver.solve(b, x)
    size = x.norm()
    solver.ksp.getPC().apply(b, x)
    least = comm.allreduce(float(np.abs(x.array_r).min()), op=MPI.MIN)
    zero = solver.ksp.getPC().getFactorMatrix().getMumpsInfog(28)
    return {"inside": inside, "left": matrix.norm(), "count": count, "size": size, "least": least, "zero pivots": zero}


@pytest.mark.mpi
def test_an_unknown_of_a_singular_matrix_is_held_while_factors_are_made(on_ranks):
    """By one entry of the diagonal; afterwards the matrix is what it was, and the factors give zero there."""
    for found in on_ranks(case_held):
        assert found["inside"] == pytest.approx([8.0, 8.0])  # the sum of the absolute entries of a row inside
        assert (found["left"], found["count"], found["zero pivots"]) == (0.0, 1, 0)
        assert found["least"] < 1e-12 * found["size"]


def test_a_direct_solver_that_goes_first_sees_an_indefinite_matrix():
    matrix, b = laplace(MPI.COMM_WORLD, 8, -100.0)
    solver = solve.LinearSolver(matrix, preconditioner=solve.Multigrid(direct_first=10**6), name="test system")
    with pytest.raises(ConvergenceError, match=r"test system: .* indefinite"):
        solver.solve(b, matrix.createVecRight())


@pytest.mark.parametrize(
    "options",
    [{"method": "bicg"}, {"preconditioner": "ilu"}, {"rtol": 2.0}, {"max_iterations": 0}],
)
def test_refusals(options):
    matrix, _ = laplace(MPI.COMM_WORLD, 4, 1.0)
    with pytest.raises(InputError, match=next(iter(options))):
        solve.LinearSolver(matrix, **options)
    with pytest.raises(InputError, match="smoother"):
        solve.Multigrid(smoother=("ssor", "ilu"))


def saddle(n, scales):
    """Velocity and pressure with natural conditions, and preconditioners that are exact but for their sizes."""
    mesh = dmesh.create_unit_square(MPI.COMM_WORLD, n, n)
    spaces = fem.functionspace(mesh, ("Lagrange", 2, (2,))), fem.functionspace(mesh, ("Lagrange", 1))
    ALIVE.append(spaces)
    (u, p), (v, q) = (tuple(kind(space) for space in spaces) for kind in (ufl.TrialFunction, ufl.TestFunction))
    x = ufl.SpatialCoordinate(mesh)
    energy, mass = (ufl.inner(ufl.grad(u), ufl.grad(v)) + ufl.inner(u, v)) * ufl.dx, p * q * ufl.dx
    forms = [[energy, -p * ufl.div(v) * ufl.dx], [-q * ufl.div(u) * ufl.dx, None]]
    blocks = [[None if form is None else solve.assemble_matrix(form) for form in row] for row in forms]
    matrix = PETSc.Mat().createNest(blocks)
    preconditioners = []
    for form, scale in zip((energy, mass), scales, strict=True):
        preconditioners.append(solve.assemble_matrix(form))
        preconditioners[-1].scale(scale)
    b = matrix.createVecRight()
    rows = matrix.getNestISs()[0]
    for part, form in zip(rows, (ufl.exp(x[0]) * v[1] * ufl.dx, 1e-3 * ufl.sin(x[1]) * q * ufl.dx), strict=True):
        b.setValues(part.getIndices(), solve.assemble_vector(form).array_r)
    b.assemble()
    return matrix, [solve.Block(matrix=one, preconditioner="direct") for one in preconditioners], b


@pytest.mark.parametrize("scale", [1e-4, 1.0, 1e4])
def test_minres_ends_at_the_true_residual(scale, monkeypatch):
    """It watches another one, in which a field may weigh next to nothing; no direct solver is at hand."""
    monkeypatch.setattr("homfem.solve.options.DIRECT", 0)
    matrix, blocks, b = saddle(4, (1.0, scale))
    solver, x = solve.BlockSolver(matrix, blocks, rtol=1e-8), matrix.createVecRight()
    assert solver.solve(b, x) == solver.iterations
    assert (b - matrix * x).norm() <= 1.01e-8 * b.norm()


def test_functionals_follow_their_coefficients():
    mesh = dmesh.create_unit_square(MPI.COMM_WORLD, 4, 4)
    u = fem.Function(fem.functionspace(mesh, ("Lagrange", 1)))
    value = solve.integral(u * ufl.dx)
    for constant in (1.0, 3.0):
        u.x.array[:] = constant
        assert value() == pytest.approx(constant)


def case_collective(comm, kind):
    """The last rank fails; every rank must see it."""
    try:
        with collective(comm):
            if comm.rank == comm.size - 1:
                if kind == "input":
                    raise InputError("edge", 2.0, "in (0, 1)", "Choose less.")
                raise OSError("disk full")
    except (HomfemError, OSError) as error:
        return {"texts": comm.allgather(str(error)), "same": comm.allreduce(int(isinstance(error, InputError)))}
    return {"texts": [], "same": 0}


@pytest.mark.mpi
@pytest.mark.parametrize(("kind", "text"), [("input", "edge = 2.0"), ("other", "disk full")])
def test_errors_reach_every_rank(on_ranks, kind, text):
    for number, answer in enumerate(on_ranks(case_collective, kind=kind), start=1):
        assert len(answer["texts"]) == number
        assert all(text in entry for entry in answer["texts"])
        assert answer["same"] == (number if kind == "input" else 0)


def case_nothing(comm):
    with collective(comm):
        done = comm.rank
    return {"sum": comm.allreduce(done)}


@pytest.mark.mpi
def test_without_an_error_nothing_happens(on_ranks):
    assert [answer["sum"] for answer in on_ranks(case_nothing)] == [0, 1, 3]


def test_prolongation_makes_a_second_order_space_cheap():
    """p-multigrid on the second-order space needs no more iterations than aggregation on it."""
    import dolfinx.fem.petsc

    mesh = dmesh.create_unit_cube(MPI.COMM_WORLD, 6, 6, 6)
    fine, coarse = fem.functionspace(mesh, ("Lagrange", 2)), fem.functionspace(mesh, ("Lagrange", 1))
    u, v, x = ufl.TrialFunction(fine), ufl.TestFunction(fine), ufl.SpatialCoordinate(mesh)
    matrix = solve.assemble_matrix(ufl.inner(ufl.grad(u), ufl.grad(v)) * ufl.dx)
    b = solve.assemble_vector(ufl.cos(ufl.pi * x[0]) * v * ufl.dx)
    prolongation = dolfinx.fem.petsc.interpolation_matrix(coarse, fine)
    prolongation.assemble()
    counts, solutions = [], []
    for prolongations in ([], [prolongation]):
        y = matrix.createVecRight()
        solver = solve.LinearSolver(
            matrix,
            kernel=solve.Kernel(constant=True),
            preconditioner=solve.Multigrid(coarse=solve.Coarse(prolongations=prolongations)),
            rtol=1e-11,
        )
        counts.append(solver.solve(b.copy(), y))
        solutions.append(y.array.copy())
    assert counts[1] <= counts[0]
    assert np.abs(solutions[0] - solutions[1]).max() < 1e-8 * np.abs(solutions[0]).max()


def test_a_destroyed_solver_lets_go_of_its_vectors():
    """On several ranks PETSc keeps what is only collected: the kernel must be held by its maker alone."""
    matrix, b = laplace(MPI.COMM_WORLD, 6)
    kernel, near = b.duplicate(), b.duplicate()
    for vector in (kernel, near):
        vector.set(1.0)
        vector.normalize()
    solver = solve.LinearSolver(
        matrix, kernel=[kernel], preconditioner=solve.Multigrid(coarse=solve.Coarse(near_kernel=[near]))
    )
    assert kernel.getRefCount() > 1
    assert near.getRefCount() > 1
    solver.destroy()
    matrix.destroy()
    assert kernel.getRefCount() == near.getRefCount() == 1


def test_solves_start_from_those_before():
    """The third of three solutions on a line is known before it is solved for; a start worse than zero is not taken."""
    matrix, b = laplace(MPI.COMM_WORLD, 16, 1e4)
    first, second = b.copy(), matrix * b
    solver = solve.LinearSolver(matrix, preconditioner="ssor", rtol=1e-6)
    before, x, counts = solve.Successive(b), matrix.createVecRight(), []
    for time in (1.0, 2.0, 3.0, -2.0):
        side = time * first + 1e-3 * second
        counts.append(solver.solve(side, x, before=before))
        assert (side - matrix * x).norm() <= 1.01e-6 * side.norm()
    assert counts[2] <= 1 < min(counts[0], counts[1])
    assert counts[3] == solve.LinearSolver(matrix, preconditioner="ssor", rtol=1e-6).solve(side, x)


def test_smoothers_of_the_aggregation_are_tried_in_turn(caplog):
    """A very anisotropic tensor askew to the mesh takes more iterations than are allowed, until the factors solve."""
    mesh = dmesh.create_unit_square(MPI.COMM_WORLD, 24, 24)
    space = fem.functionspace(mesh, ("Lagrange", 1))
    ALIVE.append(space)
    u, v, n = ufl.TrialFunction(space), ufl.TestFunction(space), np.array([np.cos(0.3), -np.sin(0.3)])
    tensor = ufl.as_matrix((1e-3 * np.eye(2) + np.outer(n, n)).tolist())
    matrix = solve.assemble_matrix(ufl.inner(tensor * ufl.grad(u), ufl.grad(v)) * ufl.dx)
    b = solve.assemble_vector(ufl.cos(ufl.pi * ufl.SpatialCoordinate(mesh)[0]) * v * ufl.dx)
    names, x = ("incomplete-cholesky", "sweeps"), matrix.createVecRight()
    for limit, tried in ((200, 1), (20, 3)):
        caplog.clear()
        with caplog.at_level("INFO", logger="homfem"):
            solver = solve.LinearSolver(
                matrix, preconditioner=solve.Multigrid(relaxation=names), rtol=1e-8, max_iterations=limit,
                kernel=solve.Kernel(constant=True),
            )  # fmt: skip
            solver.solve(b, x)
        assert caplog.text.count("Another solver goes on") == tried - 1
        assert (b - matrix * x).norm() <= 1.01e-8 * b.norm()
    with pytest.raises(InputError, match="relaxation"):
        solve.Multigrid(relaxation=("sweeps", "jacobi"))
