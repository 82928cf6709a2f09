"""Dispersion at many speeds from solutions at a few: the same numbers, and an error that is what is said of it."""

from __future__ import annotations

import numpy as np
import pytest
import ufl
from dolfinx import fem
from petsc4py import PETSc

from homfem import solve
from homfem.cells import fibre_array, laminate
from homfem.certify.dispersion import GivenFlow, StokesFlow, coarse, solve_dispersion
from homfem.local import dispersion_projection, dispersion_series
from homfem.local.dispersion import dispersion_problem
from homfem.local.dispersion_projection import Pencil, project
from homfem.local.kernels import kernels_of
from homfem.local.posed import Method
from homfem.parameters import ConvergenceError

PECLET = [0.0, *np.logspace(-1.0, 3.0, 32), 1e6]


def apart(one, other):
    """The largest distance of two flux forms, each entry relative to the diagonal ones of its row and its column."""
    sizes = np.sqrt(np.diag(other))
    return np.abs((one - other) / np.outer(sizes, sizes)).max()


@pytest.fixture
def counted(monkeypatch):
    """How many matrices are factored."""
    found = []
    original = solve.Factors.__init__

    def counting(self, *arguments, **options):
        found.append(options["name"])
        original(self, *arguments, **options)

    monkeypatch.setattr(solve.Factors, "__init__", counting)
    return found


def pencil_of(cell, *, direction, carriers=("matrix",), scale=1.0, **options):
    """The matrices and loads of a cell, and the scale of the Peclet number 1."""
    solution = solve_dispersion(
        cell,
        dict.fromkeys(carriers, scale),
        peclet=1.0,
        flow=StokesFlow(direction=direction, fluid="matrix"),
        **options,
    )
    carrier = solution.solved.carrier
    series = dispersion_series._Series(carrier, Method())
    kernels = kernels_of(series.posed.unknowns[series.planes], series.still, series.posed.parts, symmetric=True)
    gradients, drifts = (np.array([vector.array_r for vector in side]).T for side in series.loads)
    made = Pencil(
        still=series.still, convection=series.convection, kernel=kernels.right,
        gradients=gradients, drifts=drifts, mean=series.mean,
    )  # fmt: skip
    return made, solution.solved.dispersed[0].scale


def swirl(x):
    """The flow of Arnold, Beltrami and Childress, and a mean."""
    x, y, z = 2.0 * np.pi * x
    return np.array([np.sin(z) + np.cos(y) + 0.3, np.sin(x) + np.cos(z) + 0.1, np.sin(y) + np.cos(x)])


@pytest.mark.parametrize(
    ("cell", "flow"),
    [
        (lambda: fibre_array(fraction=0.3, resolution=0.2, order=2), StokesFlow()),
        (lambda: fibre_array(fraction=0.3, resolution=0.2, order=2), StokesFlow(direction=(2.0, 1.0))),
        (
            lambda: laminate([0.5, 0.5], axis="z", dimension=3, resolution=0.25),
            GivenFlow(velocity=swirl, fluid=["layer1", "layer2"]),
        ),
    ],
    ids=["along", "oblique", "space"],
)
def test_many_speeds_are_those_of_each_on_its_own(cell, flow, counted, monkeypatch):
    cell = cell()
    # Without the tensors of one degree less, which tell how coarse the mesh is.
    monkeypatch.setattr(coarse, "FAST", np.inf)
    many = solve_dispersion(cell, dict.fromkeys(flow.fluid or ["matrix"], 1.0), flow=flow, peclet=PECLET)
    assert 4 <= len(counted) <= 9
    assert len(set(counted)) == len(counted)
    monkeypatch.setattr(dispersion_series, "MANY", 10**9)
    found = many.solved.dispersed
    each = dispersion_series.solve_dispersed(many.solved.carrier, [one.scale for one in found], Method(rtol=1e-13))
    for one, other in zip(found, each, strict=True):
        assert apart(one.flux, other.flux) < 1e-10
        np.testing.assert_array_equal(one.velocity, other.velocity)
        assert one.correctors.dofs == other.correctors.dofs
        for own, reference in zip(one.correctors.functions, other.correctors.functions, strict=True):
            size = np.linalg.norm(reference.x.array)
            assert np.linalg.norm(own.x.array - reference.x.array) <= 2e-5 * size
        assert one.correctors.residual_norms.max() < 1e-3 * (1.0 + one.scale)


def test_residuals_are_those_of_the_forms():
    """Of a projected corrector, by assembling what it lacks."""
    cell = fibre_array(fraction=0.3, resolution=0.3)
    peclet = np.geomspace(0.1, 100.0, 12)
    many = solve_dispersion(cell, {"matrix": 1.0}, flow=StokesFlow(direction=(2.0, 1.0)), peclet=peclet.tolist())
    carrier, projected = many.solved.carrier, 0
    for one in many.solved.dispersed:
        problem = dispersion_problem(carrier, one.scale)
        for axis, function, norm in zip(
            np.eye(2), one.correctors.functions, one.correctors.residual_norms, strict=True
        ):
            test = ufl.TestFunction(function.function_space)
            load = fem.Constant(carrier.cell.mesh, axis)
            vector = solve.assemble_vector(problem.linear(test, load) - problem.bilinear(function, test))
            rest = float(vector.norm(PETSc.NormType.NORM_1))
            vector.destroy()
            assert rest == pytest.approx(norm, rel=1e-2, abs=1e-9)
            projected += rest > 1e-7
    assert projected > 4


def test_both_signs_with_bounds():
    """Bounds take the flow and the reversed one: F(-v) = F(v)^T, and each lies between its bounds."""
    cell = fibre_array(fraction=0.3, resolution=0.2)
    peclet = [0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0]
    many = solve_dispersion(cell, {"matrix": 2.0}, flow=StokesFlow(direction=(1.0, 2.0)), peclet=peclet, bounds=True)
    for tensor in many.series:
        assert np.linalg.eigvalsh(tensor.value - tensor.lower).min() > -1e-12
        assert np.linalg.eigvalsh(tensor.upper - tensor.value).min() > -1e-12
    carrier = many.solved.carrier
    scales = [one.scale for one in many.solved.dispersed]
    both = dispersion_series.solve_dispersed(carrier, [*scales, *(-scale for scale in scales)])
    for ahead, back in zip(both[:8], both[8:], strict=True):
        np.testing.assert_allclose(back.flux, ahead.flux.T, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize(
    "given", [{"carriers": ("matrix", "fibre"), "partition": {"fibre": 3.0}}, {"sorption_length": 0.1}]
)
def test_the_error_is_below_its_bound(given):
    """At every stage, of two phases with partition and of walls that sorb: the bound is that of the residuals."""
    cell = fibre_array(fraction=0.3, resolution=0.2, order=2)
    pencil, unit = pencil_of(cell, direction=(1.0, 0.4), **given)
    scales = unit * np.array([0.3, 3.0, 30.0, 300.0])
    exact = []
    for scale in scales:
        factors = solve.Factors(pencil.matrix(scale), kernel=pencil.kernel, rtol=1e-13)
        found = factors.solve(pencil.gradients - scale * pencil.drifts)
        exact.append(pencil.mean - (pencil.gradients + scale * pencil.drifts).T @ found)
        factors.destroy()
    space = dispersion_projection._Space(pencil, 1e-12)
    tight = []
    for chosen in unit * np.array([1000.0, 100.0, 10.0]):
        space.extend(chosen)
        bounds, ahead, back = space.judge(scales)
        for k, scale in enumerate(scales):
            error = apart(space.work(scale, ahead[k]), exact[k])
            assert error <= 1.001 * bounds[k] + 1e-13
            assert space.bound(scale, ahead[k], back[k]) == pytest.approx(bounds[k], rel=1e-5, abs=1e-16)
            if bounds[k] > 1e-12:
                tight.append(error / bounds[k])
    assert max(tight) > 0.1
    space.destroy()


def test_a_wrong_prediction_is_found_out(monkeypatch):
    """Bounds that are too small: the residual is computed, the speed is solved after all, the numbers stay right."""
    cell = fibre_array(fraction=0.3, resolution=0.2)
    pencil, unit = pencil_of(cell, direction=(1.0, 0.0))
    scales = unit * np.logspace(0.0, 2.0, 8)
    right = project(pencil, scales, 1e-9)
    original = dispersion_projection._Space._turned

    def short_sighted(self):
        turns, basis, leak = original(self)
        return turns, basis, 1e-4 * leak

    monkeypatch.setattr(dispersion_projection._Space, "_turned", short_sighted)
    found = project(pencil, scales, 1e-9)
    np.testing.assert_allclose(found.work, right.work, rtol=1e-8, atol=1e-9)


def test_speeds_in_units_of_nature():
    """A diffusivity of 1e-9 and one of 1e9 give the same numbers."""
    cell = fibre_array(fraction=0.3, resolution=0.2)
    one, *others = (
        solve_dispersion(cell, {"matrix": scale}, peclet=[1.0, 2.0, 3.0, 5.0, 8.0, 13.0, 21.0, 34.0])
        for scale in (1.0, 1e-9, 1e9)
    )
    for other, scale in zip(others, (1e-9, 1e9), strict=True):
        for own, reference in zip(other.series, one.series, strict=True):
            np.testing.assert_allclose(own.value / scale, reference.value, rtol=1e-9, atol=1e-10)


def test_flows_along_layers_disperse_nothing():
    """Loads that are round-off alone: a uniform flow, and one along layers of two diffusivities."""
    cell = laminate([0.5, 0.5], axis="y", dimension=2, resolution=0.25)
    both, peclet = ["layer1", "layer2"], [0.0, *np.logspace(0.0, 6.0, 9)]
    uniform = GivenFlow(velocity=lambda x: np.array([1.0 + 0.0 * x[0], 0.5 + 0.0 * x[0]]), fluid=both)
    for one in solve_dispersion(cell, dict.fromkeys(both, 1.0), flow=uniform, peclet=peclet).series:
        np.testing.assert_allclose(one.value, np.eye(2), atol=1e-9)
    along = GivenFlow(velocity=lambda x: np.array([1.0 + 0.0 * x[0], 0.0 * x[0]]), fluid=both)
    for one in solve_dispersion(cell, {"layer1": 1.0, "layer2": 3.0}, flow=along, peclet=peclet).series:
        np.testing.assert_allclose(one.value, np.diag([2.0, 1.5]), atol=1e-9)


def test_what_has_no_factors_is_solved_on_its_own(monkeypatch, caplog):
    cell = fibre_array(fraction=0.3, resolution=0.2)
    peclet = [1.0, 2.0, 3.0, 5.0, 8.0, 13.0, 21.0, 34.0]
    right = solve_dispersion(cell, {"matrix": 1.0}, peclet=peclet)

    def broken(*arguments, **options):
        raise ConvergenceError("no factors.")

    monkeypatch.setattr(dispersion_series, "project", broken)
    with caplog.at_level("INFO", logger="homfem"):
        found = solve_dispersion(cell, {"matrix": 1.0}, peclet=peclet)
    assert "Each speed is solved on its own" in caplog.text
    for own, reference in zip(found.series, right.series, strict=True):
        np.testing.assert_allclose(own.value, reference.value, rtol=1e-8, atol=1e-9)


# -- factors --------------------------------------------------------------------------------------------------------


def matrix_of(entries):
    made = PETSc.Mat().createDense(entries.shape, array=entries, comm=PETSc.COMM_SELF)
    made.assemble()
    return made.convert("aij")


@pytest.mark.parametrize("size", [1e-15, 1.0, 1e12])
def test_factors_and_those_of_the_transpose(size):
    random = np.random.default_rng(3)
    entries = size * (random.standard_normal((30, 30)) + 10.0 * np.eye(30))
    matrix, sides = matrix_of(entries), random.standard_normal((30, 5))
    factors = solve.Factors(matrix, rtol=1e-12)
    np.testing.assert_allclose(factors.solve(sides), np.linalg.solve(entries, sides), rtol=1e-10)
    np.testing.assert_allclose(factors.solve(sides, transposed=True), np.linalg.solve(entries.T, sides), rtol=1e-10)
    np.testing.assert_allclose(factors.solve(sides), np.linalg.solve(entries, sides), rtol=1e-10)
    assert factors.solves == 15
    np.testing.assert_allclose(solve.multiply(matrix, sides), entries @ sides, rtol=1e-12)
    factors.destroy()


def test_what_factors_cannot_do_is_an_error():
    matrix = matrix_of(np.diag([1.0, 2.0, 0.0]) + np.diag([1.0, 1.0], 1))
    with pytest.raises(ConvergenceError, match="residual"):
        solve.Factors(matrix).solve(np.eye(3))
    with pytest.raises(ConvergenceError, match="not finite"):
        solve.Factors(matrix_of(np.eye(3))).solve(np.full((3, 1), np.nan))
