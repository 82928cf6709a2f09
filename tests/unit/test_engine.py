"""The engine with a physics from outside the package: elasticity in two formulas, exact on laminates."""

from __future__ import annotations

from dataclasses import replace
from unittest import mock

import basix.ufl
import numpy as np
import pytest
import ufl
from dolfinx import fem
from petsc4py import PETSc
from scipy.special import i0

from homfem import solve, three_pipe
from homfem.local.diffusion import diffusion_coefficient, diffusion_problem
from homfem.local.elasticity import elastic_coefficient, elasticity_problem
from homfem.local.engine import averages, left_kernel, solve_correctors
from homfem.local.membranes import find_membranes, membrane_problem
from homfem.local.posed import Posed
from homfem.local.problem import CellProblem, Field
from homfem.local.slopes import slopes
from homfem.local.solenoidal import solenoidal, stiffness_matrix
from homfem.local.stokes import stokes_problem
from homfem.parameters import ConvergenceError, InputError
from made_cells import grid_cell, square

# Plane strain, isotropic layers with normal x: Lame's constants of both, fraction of the first.
LAME = {"a": (1.0, 2.0), "b": (6.0, 0.5)}
FRACTION = 0.25


def elasticity(cell, degree):
    """Loads are the unit strains xx, yy, xy (engineering shear)."""
    first = cell.cell_function({name: lame[0] for name, lame in LAME.items()})
    shear = cell.cell_function({name: lame[1] for name, lame in LAME.items()})

    def strain(u):
        return ufl.sym(ufl.grad(u))

    def stress(e):
        return first * ufl.tr(e) * ufl.Identity(2) + 2 * shear * e

    def turning(x):
        one, none = np.ones_like(x[0]), np.zeros_like(x[0])
        return [np.stack([one, none]), np.stack([none, one]), np.stack([-x[1], x[0]])]

    element = basix.ufl.element("Lagrange", cell.kind, degree, shape=(2,))
    return CellProblem(
        name="elasticity",
        fields=(Field(element=element, near_kernel=turning),),
        loads=3,
        bilinear=lambda u, v: ufl.inner(stress(strain(u)), strain(v)) * ufl.dx,
        affine=lambda x, s: ufl.as_vector([s[0] * x[0] + 0.5 * s[2] * x[1], 0.5 * s[2] * x[0] + s[1] * x[1]]),
        domain=cell.mesh,
    )


def exact_laminate():
    """Continuous traction: C11 = 1/<1/M>, C12 = C11 <l/M>, C22 = <M - l^2/M> + C12^2/C11, C66 = 1/<1/mu>."""
    weights = np.array([FRACTION, 1 - FRACTION])
    lam, mu = np.array(list(LAME.values())).T
    m = lam + 2 * mu
    c11 = 1 / (weights / m).sum()
    c12 = c11 * (weights * lam / m).sum()
    c22 = (weights * (m - lam**2 / m)).sum() + c12**2 / c11
    return np.array([[c11, c12, 0.0], [c12, c22, 0.0], [0.0, 0.0, 1 / (weights / mu).sum()]])


def case_laminate(comm, degree):
    cell = grid_cell((4, 4), lambda s: s[:, 0] >= FRACTION, comm=comm)
    correctors = solve_correctors(cell, elasticity(cell, degree), rtol=1e-12)
    import ufl as forms

    from homfem import solve

    means = [abs(solve.integrate(f[k] * forms.dx)) for f in correctors.functions for k in range(2)]
    return {"average": correctors.average.tolist(), "means": max(means), "dofs": correctors.dofs}


@pytest.mark.mpi
@pytest.mark.parametrize("degree", [1, 2])
def test_elasticity_from_outside_is_exact_on_a_laminate(on_ranks, degree):
    for answer in on_ranks(case_laminate, degree=degree):
        assert np.abs(np.array(answer["average"]) - exact_laminate()).max() < 1e-9
        assert answer["means"] < 1e-12
        assert answer["dofs"] == 2 * 16 * degree**2


def test_iterations_stay_few_on_a_stretched_mesh():
    """Elements twenty times as long as wide along the pipes' edges: at most 160 smoothing steps, two an iteration."""
    cell = three_pipe(0.1, resolution=0.333, grading=0.05, phases=("cytosol",))
    problem = diffusion_problem(cell, diffusion_coefficient(cell, {"cytosol": 1.0}), degree=2)
    assert 2 * solve_correctors(cell, problem, rtol=1e-9).iterations < 3 * 160


@pytest.mark.parametrize("degree", [1, 2])
def test_iterations_do_not_grow_in_a_slender_frame(degree):
    """Bars an eighth of the period wide bend: without rotations on the coarse grids it takes half as many again."""
    counts = []
    for n in (32, 128):
        cell = grid_cell((n, n), lambda s: np.abs(s - 0.5).max(axis=1) < 7 / 16).restrict(["a"])
        coefficient = elastic_coefficient(cell, {"a": {"young": 1.0, "poisson": 0.3}})
        problem = elasticity_problem(cell, coefficient, degree=degree, strains=[0])
        counts.append(solve_correctors(cell, problem, preconditioner="multigrid", rtol=1e-9).iterations)
    assert counts[1] < 1.1 * counts[0]


def case_stiff_inclusions(comm):
    """How many of the loads of stiff squares went on to a direct solver."""
    from homfem.solve import linear

    failures = []
    original = linear.LinearSolver._prepare

    def watched(self):
        original(self)
        if self._attempts[0][0] == "direct":
            failures.append(self.name)

    linear.LinearSolver._prepare = watched
    for n, degree, contrast in [(8, 1, 1e4), (10, 1, 1e3), (12, 1, 1e6), (4, 2, 1e4), (16, 2, 1e2)]:
        cell = grid_cell((n, n), square, comm=comm)
        moduli = {"a": {"young": 1.0, "poisson": 0.3}, "b": {"young": contrast, "poisson": 0.49}}
        problem = elasticity_problem(cell, elastic_coefficient(cell, moduli), degree=degree)
        solve_correctors(cell, problem, preconditioner="multigrid", rtol=1e-9)
    return {"failures": len(failures)}


@pytest.mark.mpi
def test_stiff_inclusions_leave_the_preconditioner_definite(on_ranks):
    """The smoothers' largest eigenvalues live in the stiff phase, where the noise that looks for them is small."""
    assert [answer["failures"] for answer in on_ranks(case_stiff_inclusions)] == [0, 0, 0]


def test_nearly_incompressible_phases_are_solved_at_last():
    """Conjugate gradients give up; the stiffness in compression is that of one homogeneous phase, exactly."""
    cell = grid_cell((8, 8), square)
    moduli = {name: {"young": 1.0, "poisson": 0.4999999} for name in "ab"}
    moduli["b"] = {"young": 10.0, "poisson": 0.4999999}
    bulk = {name: entry["young"] / (3 * (1 - 2 * entry["poisson"])) for name, entry in moduli.items()}
    problem = elasticity_problem(cell, elastic_coefficient(cell, moduli), degree=3)
    average = solve_correctors(cell, problem).average
    # All that is compressed is the soft phase's volume and the stiff one's, at one pressure.
    assert average[0, 1] == pytest.approx(1.0 / (0.75 / bulk["a"] + 0.25 / bulk["b"]), rel=1e-5)


def hall(cell, kind):
    """Diffusion in layers with normal x whose coefficients have a skew part, as in a magnetic field."""
    coefficient = cell.cell_function(
        {"a": np.array([[1.0, 3.0], [-3.0, 1.0]]), "b": np.array([[10.0, -2.0], [2.0, 5.0]])}
    )
    return CellProblem(
        name="conduction in a magnetic field",
        fields=(Field(element=basix.ufl.element("Lagrange", cell.kind, 1)),),
        loads=2,
        bilinear=lambda u, v: ufl.inner(ufl.dot(coefficient, ufl.grad(u)), ufl.grad(v)) * ufl.dx,
        affine=lambda x, s: ufl.dot(s, x),
        domain=cell.mesh,
        kind=kind,
    )


def shear(cell):
    """Dispersion in the flow (P sin 2 pi y, W)."""
    y = ufl.SpatialCoordinate(cell.mesh)[1]
    flow = ufl.as_vector([10.0 * ufl.sin(2 * ufl.pi * y), 5.0])
    mean = ufl.as_vector([0.0, 5.0])

    def total(w, s):
        return s + ufl.grad(w)

    return CellProblem(
        name="dispersion",
        fields=(Field(element=basix.ufl.element("Lagrange", cell.kind, 3)),),
        loads=2,
        bilinear=lambda u, v: (ufl.inner(ufl.grad(u), ufl.grad(v)) + ufl.inner(flow, ufl.grad(u)) * v) * ufl.dx,
        linear=lambda v, s: (-ufl.inner(s, ufl.grad(v)) - ufl.inner(flow - mean, s) * v) * ufl.dx,
        average=lambda w, s, z, t: ufl.inner(total(w, s), total(z, t)) * ufl.dx,
        domain=cell.mesh,
        kind="general",
    )


def drifting(cell, drift, density=1.0, mean=(0.0, 0.0), degree=2):
    """Brownian motion with the unit diffusivity in a drift, in the frame that moves with its mean."""
    velocity = ufl.as_vector(list(mean))
    return CellProblem(
        name="drift",
        fields=(Field(element=basix.ufl.element("Lagrange", cell.kind, degree)),),
        loads=2,
        bilinear=lambda u, v: (ufl.inner(ufl.grad(u), ufl.grad(v)) - ufl.inner(drift, ufl.grad(u)) * v) * ufl.dx,
        linear=lambda v, s: (ufl.inner(drift - velocity, s) * v - ufl.inner(s, ufl.grad(v))) * ufl.dx,
        average=lambda w, s, z, t: density * ufl.inner(s + ufl.grad(w), t + ufl.grad(z)) * ufl.dx,
        domain=cell.mesh,
        kind="general",
    )


def in_a_potential(cell, height, force=0.0):
    """Mean drift, dispersion and error of the untilted density in the potential height sin(2 pi x) - force x."""
    x = ufl.SpatialCoordinate(cell.mesh)[0]
    drift = ufl.as_vector([force - 2 * ufl.pi * height * ufl.cos(2 * ufl.pi * x), 0.0])
    (density,) = left_kernel(cell, drifting(cell, drift))
    mean = solve.integrate(drift[0] * density * ufl.dx)
    found = solve_correctors(cell, drifting(cell, drift, density, (mean, 0.0)))
    assert solve.integrate((found.left_kernel[0] - density) ** 2 * ufl.dx) < 1e-18
    exact = ufl.exp(-height * ufl.sin(2 * ufl.pi * x)) / i0(height)
    error = np.sqrt(solve.integrate((density - exact) ** 2 * ufl.dx))
    return {"density": error, "mean": mean, "dispersion": found.average.tolist()}


def tilted(height, force):
    """The same by two quadratures: Reimann et al. 2001, doi 10.1103/PhysRevLett.87.010602, eqs 8 to 10."""
    x = np.arange(256)[:, None] / 256
    nodes, weights = np.polynomial.legendre.leggauss(60)
    y = 0.5 * (nodes + 1.0)

    def potential(place):
        return height * np.sin(2 * np.pi * place)

    behind = np.exp(potential(x) - potential(x - y) - force * y) @ (0.5 * weights)
    ahead = np.exp(potential(x + y) - potential(x) - force * y) @ (0.5 * weights)
    return (1 - np.exp(-force)) / behind.mean(), (behind**2 * ahead).mean() / behind.mean() ** 3


def case_not_symmetric(comm):
    refused = []
    cell = grid_cell((4, 4), lambda s: s[:, 0] >= FRACTION, comm=comm)
    for options in ({}, {"preconditioner": "direct"}, {"boundary": "flux"}):
        try:
            solve_correctors(cell, hall(cell, "general" if "boundary" in options else "definite"), **options)
        except InputError as error:
            refused.append(str(error))
    layers = solve_correctors(cell, hall(cell, "general")).average
    flow, line = grid_cell((3, 12), comm=comm), grid_cell((24, 3), comm=comm)
    return {
        "layers": layers.tolist(),
        "flow": solve_correctors(flow, shear(flow)).average.tolist(),
        "refused": refused,
        "at rest": in_a_potential(line, 1.5),
        "tilted": in_a_potential(line, 1.5, 3.0),
    }


@pytest.mark.mpi
def test_a_form_that_is_not_symmetric_is_solved_as_such_or_refused(on_ranks):
    """Layers: the flux across and the gradient along are constant. Shear: 1 + P^2 / (2 (4 pi^2 + W^2)).

    Drift in a potential: 1 / I_0(height)^2 across it (Lifson and Jackson), of a tilted one by quadrature.
    """
    a, b = np.array([[1.0, 3.0], [-3.0, 1.0]]), np.array([[10.0, -2.0], [2.0, 5.0]])

    def mean(f):
        return FRACTION * f(a) + (1 - FRACTION) * f(b)

    across = 1 / mean(lambda m: 1 / m[0, 0])
    right, left = mean(lambda m: m[0, 1] / m[0, 0]), mean(lambda m: m[1, 0] / m[0, 0])
    along = mean(lambda m: m[1, 1] - m[1, 0] * m[0, 1] / m[0, 0]) + left * right * across
    exact = np.array([[across, right * across], [left * across, along]])
    velocity, dispersion = tilted(1.5, 3.0)
    for answer in on_ranks(case_not_symmetric):
        assert np.abs(np.array(answer["layers"]) - exact).max() < 1e-9
        assert np.array(answer["flow"]) == pytest.approx(np.diag([1 + 100 / (2 * (4 * np.pi**2 + 25)), 1.0]), abs=2e-4)
        assert ["kind='general'" in text or "boundary" in text for text in answer["refused"]] == [True] * 3
        assert answer["at rest"]["density"] < 5e-4
        assert answer["at rest"]["mean"] == pytest.approx(0.0, abs=1e-9)
        assert np.array(answer["at rest"]["dispersion"]) == pytest.approx(np.diag([i0(1.5) ** -2, 1.0]), abs=2e-5)
        assert answer["tilted"]["mean"] == pytest.approx(velocity, abs=1e-4)
        assert np.array(answer["tilted"]["dispersion"]) == pytest.approx(np.diag([dispersion, 1.0]), abs=2e-4)


def test_a_load_that_works_on_the_invariant_density_is_refused():
    """It has no corrector: not in a frame at rest, whether the density is a constant or not."""
    cell = grid_cell((6, 6))
    x = ufl.SpatialCoordinate(cell.mesh)
    for drift in (ufl.as_vector([0.0, 5.0 + ufl.sin(2 * ufl.pi * x[0])]), ufl.as_vector([ufl.cos(x[0]), 0.0])):
        with pytest.raises(InputError, match="Subtract its mean"):
            solve_correctors(cell, drifting(cell, drift))


@pytest.mark.parametrize(("peclet", "exact"), [(1.0, 1.117730417), (100.0, 10.69345967)])
def test_gmres_solves_what_has_too_many_entries_for_factors(monkeypatch, peclet, exact):
    """A cellular flow, the value of a Bloch expansion; multigrid of the symmetric part holds for the slow one only."""
    monkeypatch.setattr("homfem.solve.options.DIRECT", 0)
    cell = grid_cell((24, 24))
    x, y = ufl.SpatialCoordinate(cell.mesh)
    stream = peclet * ufl.sin(2 * ufl.pi * x) * ufl.sin(2 * ufl.pi * y)
    found = solve_correctors(cell, drifting(cell, -ufl.as_vector([stream.dx(1), -stream.dx(0)]), degree=3))
    assert found.average[0, 0] == pytest.approx(exact, rel=6e-4)
    assert found.iterations < (100 if peclet == 1.0 else 700)
    assert found.residual_norms.max() < 1e-6


def test_parts_have_densities_of_their_own():
    """Two channels that do not meet, of mean 1 each; none crosses over."""
    cell = grid_cell((12, 8), lambda s: (4 * s[:, 1]).astype(int) % 2 == 0, names=("b", "a")).restrict(["a"])
    x = ufl.SpatialCoordinate(cell.mesh)[0]
    drift = ufl.as_vector([-2 * ufl.pi * ufl.cos(2 * ufl.pi * x), 0.0])
    found = left_kernel(cell, drifting(cell, drift))
    assert len(found) == 2
    total = solve.integrate((found[0] + found[1]) * ufl.dx)
    assert total == pytest.approx(0.5, abs=1e-12)
    assert solve.integrate(abs(found[0] * found[1]) * ufl.dx) < 1e-20
    assert solve.integrate((found[0] + found[1] - ufl.exp(-ufl.sin(2 * ufl.pi * x)) / i0(1.0)) ** 2 * ufl.dx) < 1e-5


def test_densities_that_are_none_are_not_returned(monkeypatch):
    cell = grid_cell((6, 3))
    drift = ufl.as_vector([ufl.cos(2 * ufl.pi * ufl.SpatialCoordinate(cell.mesh)[0]), 0.0])
    monkeypatch.setattr("homfem.local.kernels.ROUND_OFF", 1e-30)
    with pytest.raises(ConvergenceError, match="left kernel: a residual of"):
        left_kernel(cell, drifting(cell, drift))


def test_a_symmetric_problem_has_its_constants():
    cell = grid_cell((4, 4), square)
    problem = diffusion_problem(cell, diffusion_coefficient(cell, {"a": 1.0, "b": 5.0}))
    (constant,) = left_kernel(cell, problem)
    assert np.abs(constant.x.array - 1.0).max() < 1e-12
    assert solve_correctors(cell, problem).left_kernel == ()


def test_an_effective_tensor_is_derived_by_named_coefficients():
    """Layers: D = 1/<1/d> across, <d> along. A stiffness is homogeneous of degree one in those of its phases."""
    cell = grid_cell((4, 4), lambda s: s[:, 0] >= FRACTION, vectors=[[1.0, 0.0], [0.0, 2.0]])
    d = {"a": 2.0, "b": 6.0}
    found = solve_correctors(cell, diffusion_problem(cell, diffusion_coefficient(cell, d)), rtol=1e-12)
    slope, inside = slopes(cell, found, "diffusivity")[..., 0], cell.phase_of_cell == cell.phases["a"]
    across = 1.0 / (FRACTION / d["a"] + (1 - FRACTION) / d["b"])
    exact = np.diag([across**2 * FRACTION / d["a"] ** 2, FRACTION])
    assert slope[..., inside].sum(axis=-1) == pytest.approx(exact, abs=1e-10)
    solids = {"a": {"young": 1.0, "poisson": 0.3}, "b": {"young": 7.0, "poisson": 0.2}}
    coefficient = elastic_coefficient(cell, solids)
    found = solve_correctors(cell, elasticity_problem(cell, coefficient), rtol=1e-12)
    work = np.einsum("ijcv,cv->ij", slopes(cell, found, "stiffness"), coefficient.x.array.reshape(-1, 9))
    assert work == pytest.approx(found.average, abs=1e-10)
    flow = grid_cell((3, 3))
    for correctors, name, message in (
        (found, "stifness", "stiffness"),
        (solve_correctors(flow, replace(shear(flow), coefficients={"d": coefficient})), "d", "symmetric"),
        (replace(found, problem=replace(found.problem, coefficients={"d": found.functions[0]})), "d", "constant on"),
    ):
        with pytest.raises(InputError, match=message):
            slopes(cell, correctors, name)


def kept_problems():
    """Problems whose forms are kept: in this order, a wrong one of those before would be taken up."""
    cell = grid_cell([4, 4], lambda s: (s[:, 0] > FRACTION).astype(int), names=("a", "b"))
    young = {"a": {"young": 2.0, "poisson": 0.3}, "b": {"young": 1.0, "poisson": 0.2}}
    number = diffusion_coefficient(cell, {"a": 1.0, "b": 3.0})
    matrix = diffusion_coefficient(cell, {"a": [[2.0, 0.5], [0.5, 1.0]], "b": 3.0})
    stiffness = elastic_coefficient(cell, young)
    stress = cell.cell_function({"a": [1.0, 0.0, 0.0], "b": [0.0, 2.0, 0.5]})
    other = cell.cell_function({"a": [0.0, 1.0, 3.0], "b": [1.0, 0.0, 0.5]})
    slip = {"slip_length": 3.0}
    for boundary in ("periodic", "affine", "flux"):
        for coefficient in (number, matrix):
            for options in ({}, {"degree": 2}, {"element": "CR"}, {"axes": [0]}, {"axes": [1]}, {"axes": [1, 0]}):
                yield cell, diffusion_problem(cell, coefficient, boundary=boundary, **options), boundary
        for options in ({}, {"degree": 2}, {"strains": [0, 1]}, {"strains": [2]}, {"strains": [1]}):
            yield cell, elasticity_problem(cell, stiffness, boundary=boundary, **{"degree": 1} | options), boundary
    for further in ({}, {"eigenstresses": (stress,)}, {"eigenstresses": (stress, other)}):
        yield cell, elasticity_problem(cell, stiffness, degree=1, **further), "periodic"
    # The voids of the two have different volumes.
    for part in (grid_cell([6, 6], square).restrict(["b"]), grid_cell([8, 8], square).restrict(["b"])):
        own = elastic_coefficient(part, {"b": young["b"]})
        pulled = part.cell_function({"b": [1.0, -1.0, 0.5]})
        for further in ({"pressure": True}, {"pressure": True, "eigenstresses": (pulled,)}):
            yield part, elasticity_problem(part, own, degree=1, **further), "periodic"
    fluid = grid_cell([6, 6], square).restrict(["a"])
    for options in ({}, {"degree": 3}, {"axes": [1]}, {"slip_length": 0.1}, {"slip_length": 3.0}, {"degree": 3} | slip,
                    {"element": "equal-order"}, {"element": "crouzeix-raviart"}):  # fmt: skip
        yield fluid, stokes_problem(fluid, **options), "periodic"
    for permeability in (0.5, 20.0):
        layers = grid_cell([4, 4], lambda s: (s[:, 0] > FRACTION).astype(int), names=("a", "b"))
        membranes = find_membranes(layers, {"a|b": permeability})
        for coefficients in ({"a": 1.0, "b": 3.0}, {"a": [[2.0, 0.5], [0.5, 1.0]], "b": 3.0}):
            coefficient = diffusion_coefficient(layers, coefficients)
            for element, degree in (("Lagrange", 2), ("Lagrange", 1), ("CR", 1)):
                problem = membrane_problem(layers, coefficient, membranes, element=element, degree=degree)
                yield layers, problem, "periodic"


def test_forms_that_are_kept_are_those_of_the_problem():
    for cell, problem, boundary in kept_problems():
        kept, built = (
            solve_correctors(cell, one, boundary=boundary, preconditioner="direct")
            for one in (problem, replace(problem, formula=None))
        )
        assert kept.average == pytest.approx(built.average, rel=1e-12, abs=1e-13)
        for ours, theirs in zip(kept.functions, built.functions, strict=True):
            pairs = zip(ours, theirs, strict=True) if isinstance(ours, tuple) else [(ours, theirs)]
            for one, other in pairs:
                assert one.x.array == pytest.approx(other.x.array, abs=1e-11)


def on_two_meshes():
    """A solve of each problem with forms of its own, as a function of the mesh size."""

    def layers(n):
        return grid_cell([n, n], lambda s: (s[:, 0] > FRACTION).astype(int), names=("a", "b"))

    def solid(n, **further):
        cell = grid_cell([n, n], square).restrict(["b"])
        return cell, elasticity_problem(
            cell, elastic_coefficient(cell, {"b": {"young": 1.0, "poisson": 0.2}}), **further
        )

    def crossed(n):
        cell = layers(n)
        coefficient = diffusion_coefficient(cell, {"a": 1.0, "b": float(n)})
        return cell, membrane_problem(cell, coefficient, find_membranes(cell, {"a|b": float(n)}))

    def flow(n, **options):
        cell = grid_cell([n, n], square).restrict(["a"])
        return cell, stokes_problem(cell, **options)

    return {
        "pressure": lambda n: solid(n, pressure=True),
        "membranes": crossed,
        "flow": flow,
        "slip": lambda n: flow(n, slip_length=float(n)),
        "upper bound of a flow": lambda n: flow(n, element="crouzeix-raviart"),
    }


@pytest.mark.parametrize("name", list(on_two_meshes()))
def test_forms_are_built_once_whatever_the_mesh_and_the_numbers_in_them(name, monkeypatch):
    make = on_two_meshes()[name]
    for n in (4, 8):
        cell, problem = make(n)
        solve_correctors(cell, problem, preconditioner="direct")
        monkeypatch.setattr("homfem.solve.forms._compiled", lambda form: pytest.fail("a form is built again"))


def test_a_problem_with_another_formula_takes_up_no_form_of_the_one_that_it_was_made_from():
    """A force twice as large drives a flow twice as fast."""
    fluid = grid_cell((6, 6), square).restrict(["a"])
    problem = stokes_problem(fluid)
    whole = solve_correctors(fluid, problem, preconditioner="direct")
    loaded = replace(problem, linear=lambda z, s: 2.0 * problem.linear(z, s))
    found = solve_correctors(fluid, loaded, preconditioner="direct")
    for ours, theirs in zip(found.functions, whole.functions, strict=True):
        assert ours[0].x.array == pytest.approx(2.0 * theirs[0].x.array, abs=1e-12)


def test_flows_go_on_with_a_direct_solver(monkeypatch):
    cell = grid_cell((6, 6), square).restrict(["a"])
    problem = stokes_problem(cell)
    whole = solve_correctors(cell, problem).average
    few = {"preconditioner": "multigrid", "max_iterations": 2}
    assert solve_correctors(cell, problem, **few).average == pytest.approx(whole, abs=1e-10)
    monkeypatch.setattr("homfem.solve.options.DIRECT", 0)
    with pytest.raises(ConvergenceError, match="minres stopped after 2"):
        solve_correctors(cell, problem, **few)


def case_stationary(comm):
    """The average of stationary problems, as it is and by the form that says what it is."""
    cell, found, turn = grid_cell((6, 6), square, comm=comm).restrict(["a"]), {}, 2.0 * np.pi

    def solved(cell, problem, **options):
        one = solve_correctors(cell, problem, **options | {"rtol": 1e-12})
        assert problem.stationary
        found[problem.name] = one.average.tolist(), averages(cell, problem, one.functions).tolist()
        return one

    solved(cell, stokes_problem(cell))
    velocity = fem.Function(solve.function_space(cell.mesh, "Lagrange", 2, (2,)))
    velocity.interpolate(lambda x: np.stack([np.sin(turn * x[0]), 1.0 + np.cos(turn * x[1])]))
    other = fem.Function(velocity.function_space)
    other.interpolate(lambda x: np.stack([np.sin(turn * (x[0] + x[1])), np.cos(turn * x[0])]))
    with mock.patch("homfem.local.solenoidal.solve_correctors", solved):
        solenoidal(cell, [velocity, other], 2)
    return found


@pytest.mark.mpi
def test_the_average_of_a_stationary_problem_is_that_of_its_form(on_ranks):
    first, *others = on_ranks(case_stationary)
    assert set(first) == {"Stokes flow", "divergence"}
    for answer in (first, *others):
        for name, (average, form) in answer.items():
            size = np.abs(np.array(form)).max()
            assert size > 1e-4
            np.testing.assert_allclose(average, form, rtol=0.0, atol=1e-10 * size)
            np.testing.assert_allclose(average, first[name][0], rtol=0.0, atol=1e-9 * size)


def case_other_matrices(comm):
    cell = grid_cell((4, 4), square, comm=comm).restrict(["a"])
    linear = stiffness_matrix(cell, 1, 0)
    velocity = fem.Function(solve.function_space(cell.mesh, "Lagrange", 2, (2,)))
    said = []
    for tried in (
        lambda: solve_correctors(cell, replace(stokes_problem(cell), assembled={"component": linear})),
        lambda: solenoidal(cell, [velocity], 2, stiffness=linear),
    ):
        try:
            tried()
        except InputError as error:
            said.append(str(error))
    return said


@pytest.mark.mpi
def test_a_given_matrix_of_other_unknowns_is_refused(on_ranks):
    for said in on_ranks(case_other_matrices):
        assert len(said) == 2
        for name, words in zip(("component", "bilinear"), said, strict=True):
            assert f"assembled['{name}']" in words
            assert "unknowns of its field" in words


def case_freed(comm):
    """What Python has let go of before a solve, or lets go of when a problem is assembled again; how many are freed."""
    cell = grid_cell((4, 4), square, comm=comm)
    freed = []

    class Told:
        def destroy(self, _):
            freed.append(1)

    def told(where):
        matrix = PETSc.Mat().createPython(((2, None), (2, None)), Told(), comm=where)
        matrix.setUp()
        return matrix

    problem = diffusion_problem(cell, diffusion_coefficient(cell, {"a": 1.0, "b": 3.0}), degree=1)
    for where in (cell.comm, cell.mesh.comm):
        told(where)
    counts = [len(freed)]
    solve_correctors(cell, problem)
    counts.append(len(freed))
    posed = Posed(cell, problem, None, "periodic")
    posed.blocks = [[told(cell.mesh.comm)]]
    posed.assemble()
    counts.append(len(freed))
    posed.destroy()
    return counts


@pytest.mark.mpi
def test_what_python_has_let_go_of_is_freed_on_all_ranks(on_ranks):
    one, *others = on_ranks(case_freed)
    assert one == [2, 2, 3]
    assert others == [[0, 2, 3]] * 2


def case_assembled(comm):
    cell = grid_cell((4, 4), square, comm=comm).restrict(["a"])
    given = stiffness_matrix(cell, 2, 2)
    posed = Posed(cell, replace(stokes_problem(cell), assembled={"component": given}), None, "periodic")
    posed.assemble()
    (reduced,) = posed.unknowns.values()
    operator = posed.operator(reduced, nested=True)
    matrices = [one for row in (*posed.blocks, *posed.metric) for one in row if one is not None]
    operator.destroy()
    posed.destroy()
    left = sum(bool(one) for one in matrices)
    return {"made": len(matrices), "left": left, "given": given.refcount}


@pytest.mark.mpi
def test_what_was_assembled_is_freed_and_what_was_given_is_not(on_ranks):
    for found in on_ranks(case_assembled):
        assert found == {"made": 3, "left": 0, "given": 1}
