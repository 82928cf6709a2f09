"""What an unconverged solver may leave in the bounds: each allowance against the worst case, and against its theory.

The worst case is a small dense eigenvalue problem: forces of one unit in all, in equilibrium where nothing is held.
A solver that does nothing leaves the mean of the coefficients for an energy; all of what that is too high must be
allowed for, in the norm that the theory has: how it grows with the mesh, with the copies of a symmetric part and with
membranes tells each factor in it.
"""

from __future__ import annotations

import itertools
import math
from types import SimpleNamespace

import numpy as np
import pytest
from mpi4py import MPI

from homfem import bounds, homogenize_diffusion, homogenize_elasticity, solve
from homfem.cells.symmetry import symmetric_part
from homfem.cells.unitcell import UnitCell
from homfem.certify.diffusion import residual_excess
from homfem.certify.stokes.bounds import upper_allowance
from homfem.local.allowance import Spread, unfolded
from homfem.local.boundary import groups
from homfem.local.diffusion import diffusion_coefficient, diffusion_problem
from homfem.local.elasticity import elastic_coefficient
from homfem.local.engine import solve_correctors
from homfem.local.facets import FacetUnknowns, HeldUnknowns, VertexFunctions
from homfem.local.flux import solve_fluxes
from homfem.local.flux_elements import FluxElements
from homfem.local.membrane_facets import MembraneUnknowns
from homfem.local.membranes import crossing_weight, find_membranes, membrane_problem
from homfem.local.reduced import Reduced
from homfem.local.stress import solve_stresses
from homfem.local.stress_elements import StressElements
from homfem.local.system import System
from homfem.meshing.topology.mirrors import between, find_mirrors
from homfem.stiffness import isotropic
from made_cells import grid_cell, grid_raw, square

SOLIDS = {"a": {"young": 1.0, "poisson": 0.3}, "b": {"young": 10.0, "poisson": 0.2}}


def channel(n: int, d: int = 2, layers: int = 1):
    """One row of n squares or cubes, walled in but at both ends; phases a and b alternate along it."""

    def paint(s):
        return np.where((s[:, 1:] > 1.0 / 3.0).any(axis=1), 2, (layers * s[:, 0]).astype(int) % 2)

    vectors = np.diag([1.0] + [3.0 / n] * (d - 1))
    return grid_cell((n,) + (3,) * (d - 1), paint, vectors=vectors).restrict(["a", "b"][:layers])


def medium(cell, seed: int, spread: float = 1.5, tensors: bool = False):
    """A coefficient for each mesh cell, of any size and direction."""
    random, d, count = np.random.default_rng(seed), cell.dimension, cell.number_of_cells
    coefficient = diffusion_coefficient(
        cell, dict.fromkeys(cell.phases, np.diag(np.arange(1.0, d + 1)) if tensors else 1.0)
    )
    sizes = np.exp(spread * random.standard_normal((count, d if tensors else 1)))
    turns = np.linalg.qr(random.standard_normal((count, d, d)))[0]
    coefficient.x.array[:] = (turns @ (sizes[:, :, None] * turns.transpose(0, 2, 1)) if tensors else sizes).ravel()
    return coefficient


def dense(matrix) -> np.ndarray:
    full = matrix.convert("dense").getDenseArray()
    return 0.5 * (full + full.T)


def worst(matrix: np.ndarray) -> float:
    """The largest f.A^+ f of forces f with sum |f_i| = 1; where A has the constants, of two opposite ones."""
    size = np.abs(matrix).max()
    if np.linalg.eigvalsh(matrix)[0] > 1e-13 * size:
        return float(np.linalg.inv(matrix).diagonal().max())
    inverse = np.linalg.inv(matrix + size / len(matrix))
    return float(0.25 * np.max(np.add.outer(inverse.diagonal(), inverse.diagonal()) - 2.0 * inverse))


def broken(cell, coefficient, membranes=None):
    """The matrices of the Crouzeix-Raviart problem, and the factor of its allowance in mesh units."""
    if membranes is None:
        problem = diffusion_problem(cell, coefficient, element="CR")
    else:
        problem = membrane_problem(cell, coefficient, membranes, element="CR", degree=1)
    system = System(cell, problem, "identified", "periodic")
    blocks = system.matrices(problem.bilinear, "bilinear")
    matrices = [
        dense(Reduced(system, planes).matrix(blocks).convert("aij")) for planes in groups(cell, problem, "periodic")
    ]
    unit = residual_excess(cell, coefficient, SimpleNamespace(residual_norms=np.ones(1)), membranes)[0]
    return matrices, unit * cell.lattice.volume / cell.copies


def linear(cell, coefficient, membranes=None):
    """The same of the fluxes that are linear on each mesh cell."""
    number = FacetUnknowns(cell) if membranes is None else MembraneUnknowns(cell, membranes)
    elements = FluxElements(cell, coefficient, number.order)
    full, vertices = number.matrix(elements.stiffness), VertexFunctions(number)
    planes = {((mirror.axis,),) for mirror in cell.mirrors} or {((),)}
    matrices = [dense(HeldUnknowns(number, vertices, held).matrix(full)) for held in planes]
    crossing = 0.0 if membranes is None else cell.dimension**2 * crossing_weight(cell, membranes)
    return matrices, elements.weight + crossing


def solve_nothing(patch):
    """A solver that does nothing, until the patch is undone."""
    patch.setattr(solve.LinearSolver, "solve", lambda self, b, x, guess=False, rtol=None: 0)


@pytest.fixture
def idle(monkeypatch):
    """A solver that does nothing."""
    solve_nothing(monkeypatch)


CELLS = [
    lambda: channel(3),
    lambda: channel(12),
    lambda: channel(4, 3),
    lambda: grid_cell((3, 3), vectors=[[1.0, 0.0], [0.4, 0.3]]),
    lambda: grid_cell((3, 3, 3)),
    lambda: grid_cell((4, 4), square).restrict(["a"]),
    lambda: symmetric_part(grid_cell((4, 4))),
    lambda: symmetric_part(grid_cell((12, 4), vectors=[[1.0, 0.0], [0.0, 0.1]])),
    lambda: symmetric_part(grid_cell((4, 4, 4))),
]


@pytest.mark.parametrize("number", range(len(CELLS)))
@pytest.mark.parametrize("side", [broken, linear])
def test_no_residual_can_do_more(number, side):
    """On small meshes of any kind, whole and between mirror planes, with any coefficients: numbers and tensors."""
    cell = CELLS[number]()
    for seed, tensors in itertools.product(range(3), (False, True)):
        matrices, weight = side(cell, medium(cell, seed, tensors=tensors))
        assert len(matrices) == (cell.dimension if cell.mirrors else 1)
        for matrix in matrices:
            assert weight > worst(matrix)


@pytest.mark.parametrize("d", [2, 3])
@pytest.mark.parametrize("tensors", [False, True])
def test_each_element_pays_for_its_worst_pair(d, tensors):
    """The factor is the sum over the elements, none left out, of what two unknowns of each can be apart."""
    cell = grid_cell((3,) * d, vectors=np.diag([1.0, 0.6, 0.3][:d]))
    coefficient = medium(cell, 5, tensors=tensors)
    elements = FluxElements(cell, coefficient, FacetUnknowns(cell).order)
    pairs = sum(4.0 * worst(matrix) for matrix in elements.stiffness)
    assert pairs <= elements.weight * (1.0 + 1e-12)
    assert elements.weight < 2.0 * pairs
    # Crouzeix-Raviart by hand: the gradient of the function of a facet is its outward area vector over the volume.
    points = cell.mesh.geometry.x[cell.mesh.geometry.dofmap][:, :, :d]
    edges = points[:, 1:] - points[:, :1]
    slopes = np.linalg.inv(edges).transpose(0, 2, 1)
    slopes = -d * np.concatenate([-slopes.sum(axis=1, keepdims=True), slopes], axis=1)
    values = coefficient.x.array.reshape(len(points), -1)
    flows = slopes * values[:, :, None] if not tensors else slopes @ values.reshape(-1, d, d)
    matrices = flows @ slopes.transpose(0, 2, 1) * (np.abs(np.linalg.det(edges)) / math.factorial(d))[:, None, None]
    pairs = sum(4.0 * worst(matrix) for matrix in matrices)
    weight = broken(cell, coefficient)[1]
    if tensors:
        assert pairs <= weight
    else:
        assert weight == pytest.approx(pairs, rel=1e-9)  # along the longest edge it is sharp


@pytest.mark.parametrize("side", [broken, linear])
@pytest.mark.parametrize("h", [1e-6, 1e-2, 1.0, 1e3])
@pytest.mark.parametrize("layers", [2, 4])
def test_no_residual_can_do_more_across_membranes(side, h, layers):
    cell = channel(12, layers=layers)
    for seed in range(3):
        matrices, weight = side(cell, medium(cell, seed), find_membranes(cell, {"a|b": h}))
        assert all(weight > worst(matrix) for matrix in matrices)


def idle_excess(cell, coefficient, *, element, membranes=None, load=0):
    """The allowance of a solver that does nothing, from the functions that the bounds call, and its energy."""
    if element == "linear":
        found = solve_fluxes(cell, coefficient, membranes=membranes, allowance=math.inf)
        return found.excess[load], found.average[load, load]
    if membranes is None:
        problem = diffusion_problem(cell, coefficient, element="CR")
    else:
        problem = membrane_problem(cell, coefficient, membranes, element="CR", degree=1)
    found = solve_correctors(cell, problem)
    return residual_excess(cell, coefficient, found, membranes)[load], found.average[load, load]


@pytest.mark.parametrize("element", ["linear", "broken"])
def test_an_idle_solver_on_finer_meshes(idle, element):
    """A coefficient that rises and falls along a channel: the residual spreads, the sum of its sizes stays.

    The factor of n elements between n walls of a width of 1/n, and all jumps of the flux: the same for any n. A root of
    squares would have half at twice the n, and the worst of the elements instead of their sum as well.
    """
    found = []
    for n in (160, 320):
        cell = channel(n)
        coefficient = diffusion_coefficient(cell, {"a": 1.0})
        up = 1.0 + 2.0 * np.arange(n // 2) / (n // 2 - 1)
        place = cell.mesh.geometry.x[cell.mesh.geometry.dofmap][:, :, 0].mean(axis=1)
        values = np.concatenate([up, up[::-1]])[(n * place).astype(int)]
        coefficient.x.array[:] = values
        excess, energy = idle_excess(cell, coefficient, element=element)
        assert energy == pytest.approx(2.0 / 3.0, rel=1e-9)  # one row of three, the mean of 1 to 3
        assert excess > energy - 1.0 / (3.0 * np.mean(1.0 / values))
        found.append(excess)
    assert found[1] == pytest.approx(found[0], rel=0.02)


@pytest.mark.parametrize("element", ["linear", "broken"])
@pytest.mark.parametrize("layers", [2, 4, 6])
def test_each_membrane_pays_for_itself(idle, element, layers):
    """What an idle solver may leave is affine in 1/h; its slope is that of the mass matrix of a facet, once a pair."""
    cell = channel(12, layers=layers)
    coefficient = diffusion_coefficient(cell, {"a": 1.0, "b": 2.0})
    strengths = (0.5, 1.0)
    found = [
        idle_excess(cell, coefficient, element=element, membranes=find_membranes(cell, {"a|b": h}))[0]
        for h in strengths
    ]
    slope = (found[0] - found[1]) / (1.0 / strengths[0] - 1.0 / strengths[1])
    intercept = found[1] - slope / strengths[1]
    whole = (broken if element == "broken" else linear)(cell, coefficient)[1]  # of the elements alone
    # The largest u_i^2 of a function u on a facet with the integral of u^2 one; Crouzeix-Raviart has the mean alone.
    side = 3.0 / 12.0 / 3.0
    mass = side * (np.array([[2.0, 1.0], [1.0, 2.0]]) / 6.0 if element == "linear" else np.eye(1))
    # Around the ring there are as many pairs of neighbours as layers; of two layers one, through either end.
    pairs = layers if layers > 2 else 1
    assert slope / intercept * whole == pytest.approx(pairs * np.linalg.inv(mass)[0, 0], rel=1e-6)


def mirrored(n, d):
    """A square or cube inside, on a mesh that is its own mirror image, and the part between the mirror planes."""
    raw = grid_raw((n,) * d, lambda s: (np.abs(s - 0.5) < 0.25).all(axis=1).astype(int))
    mirrors = find_mirrors(raw)[0]
    whole = UnitCell.from_raw(unfolded(between(raw, mirrors), mirrors), comm=MPI.COMM_SELF)
    return whole, symmetric_part(whole)


@pytest.mark.parametrize("element", ["linear", "broken"])
@pytest.mark.parametrize("d", [2, 3])
def test_an_idle_solver_on_a_symmetric_part(idle, element, d):
    """The residual of the whole is that of each copy, its factor the sum over them; between planes a force is held."""
    whole, part = mirrored(8 if d == 2 else 4, d)
    found = [
        idle_excess(cell, diffusion_coefficient(cell, {"a": 1.0, "b": 5.0}), element=element) for cell in (whole, part)
    ]
    assert found[1][1] == pytest.approx(found[0][1], rel=1e-12)
    assert found[1][0] * 4.0**d == pytest.approx(found[0][0], rel=1e-9)


@pytest.mark.parametrize("d", [2, 3])
@pytest.mark.parametrize("load", [0, -1])
def test_an_idle_solver_of_stresses_on_a_symmetric_part(idle, d, load):
    """All copies count, and the translation, which the whole leaves free, on the planes that hold it as well."""
    whole, part = mirrored(8 if d == 2 else 4, d)
    found = [
        solve_stresses(cell, elastic_coefficient(cell, SOLIDS), allowance=math.inf, strains=[load % (3 * d - 3)])
        for cell in (whole, part)
    ]
    assert found[1].average == pytest.approx(found[0].average, rel=1e-12)
    assert found[1].excess[0] == pytest.approx(found[0].excess[0] * (1.0 + math.sqrt(d)) ** 2, rel=1e-9)


def test_an_idle_solver_of_stresses_on_finer_meshes(idle):
    """A stiffness that rises and falls along a row of n squares, as above: n elements, of slopes as n, to the square.

    The path is as n, the square of the rotation over a facet as n^2, that of the nodal forces as 1/n^2 for 1/n^2 of
    the volume; a root of the squares of n forces would have one power less.
    """
    found = []
    for n in (24, 48, 96):
        cell = grid_cell((n, 3), vectors=np.diag([1.0, 3.0 / n]))
        up = 1.0 + 2.0 * np.arange(n // 2) / (n // 2 - 1)
        young = np.concatenate([up, up[::-1]])
        coefficient = elastic_coefficient(
            cell,
            {
                "a": lambda x, y=young, n=n: (
                    y[(n * x[0]).astype(int), None, None] * isotropic(dimension=2, young=1.0, poisson=0.3)
                )
            },
        )
        one = solve_stresses(cell, coefficient, allowance=math.inf, strains=[0])
        found.append(one.excess[0])
    powers = np.diff(np.log2(found))
    assert 1.6 < powers[0] < powers[1]
    assert 1.8 < powers[1] < 2.1


class Recorder:
    """Takes element matrices instead of a matrix, and the weights of the elements instead of a layout."""

    def __init__(self, number: FacetUnknowns, diameter: float) -> None:
        self.number, self.diameter = number, diameter
        self.owned_cells, self.rows, self.vector = number.owned_cells, number.rows, number.vector
        self.matrices, self.weights = np.zeros(0), np.zeros(0)

    def empty_matrix(self):
        return self

    def setValuesRCV(self, rows, columns, values, addv):
        self.matrices = values

    def assemble(self):
        pass

    def factor(self, weights):
        self.weights = weights
        return float(weights.sum())


@pytest.mark.parametrize("d", [2, 3])
def test_each_element_pays_for_what_bends_it(d):
    """A node of an element is off the nearest rigid motion by w_K of its energy at the most; twice, for two facets.

    At a distance the rotation counts, of two unit displacements across the shortest edge in two dimensions.
    """
    cell = grid_cell((3,) * d, vectors=np.diag([1.0, 0.6, 0.3][:d]))
    coefficient = elastic_coefficient(cell, SOLIDS)
    near, far = (Recorder(FacetUnknowns(cell, d), diameter) for diameter in (0.0, 7.0))
    for recorder in (near, far):
        StressElements(cell, coefficient, recorder, recorder, [0]).assemble()
    for matrix, weight in zip(near.matrices, near.weights, strict=True):
        inverse = np.linalg.pinv(matrix, rcond=1e-10)
        assert np.linalg.matrix_rank(matrix, tol=1e-10 * np.abs(matrix).max()) == len(matrix) - 3 * (d - 1)
        blocks = [inverse[k : k + d, k : k + d] for k in range(0, len(matrix), d)]
        apart = max(np.linalg.eigvalsh(block)[-1] for block in blocks)
        assert 4.0 * apart <= weight < {2: 12.0, 3: 30.0}[d] * apart
    if d == 2:
        points = cell.mesh.geometry.x[cell.mesh.geometry.dofmap][:, :, :2]
        shortest = min(np.linalg.norm(points[0, i] - points[0, j]) for i, j in ((0, 1), (0, 2), (1, 2)))
        assert far.weights / near.weights == pytest.approx((1.0 + 2.0 * 7.0 / shortest) ** 2)


def test_the_allowances_are_taken_off(idle):
    """An idle solver has Voigt's mean for an energy, which no lower bound is."""
    cell = grid_cell((4, 4), lambda s: s[:, 0] < 0.5)
    exact = np.diag([2.0 / (1.0 + 1.0 / 3.0), 2.0])
    phases = {"a": 1.0, "b": 3.0}
    for options in ({"lower_degree": 0}, {"lower_degree": 1}):
        found = homogenize_diffusion(cell, phases, **options)
        assert np.linalg.eigvalsh(found.lower - exact)[-1] < 1e-12
        assert not found.reached
        assert found.warnings
    for options in ({"lower_degree": 0}, {"lower_degree": 1}):
        found = homogenize_diffusion(cell, phases, membranes={"a|b": 1e-3}, **options)
        assert found.lower[0, 0] < 1.0 / (0.5 + 0.5 / 3.0 + 2e3)
        assert not found.reached
    found = homogenize_elasticity(cell, SOLIDS)
    stiffness = bounds.laminate_stiffness(SOLIDS, {"a": 0.5, "b": 0.5}, [1.0, 0.0])
    assert np.linalg.eigvalsh(found.lower - stiffness)[-1] < 1e-12
    assert not found.reached


def test_the_factor_of_the_upper_bound_of_a_permeability():
    """Of broken velocities between walls: the Laplacian of Crouzeix-Raviart without the facets of the walls."""
    cell = channel(12)
    problem = diffusion_problem(cell, diffusion_coefficient(cell, {"a": 1.0}), element="CR")
    system = System(cell, problem, "identified", "periodic")
    whole = dense(system.matrices(problem.bilinear, "bilinear")[0][0])
    mid = system.spaces[0].space.tabulate_dof_coordinates()[: len(whole)]
    inner = np.flatnonzero((mid[:, 1] > 1e-9) & (mid[:, 1] < 1.0 / 12.0 - 1e-9))
    assert len(inner) == 24
    held = whole[np.ix_(inner, inner)]
    random = np.random.default_rng(3)
    directions = random.standard_normal((50, 2))
    factor = 24.0  # a mesh cell has the square of half its longest edge over its volume, one
    assert factor > worst(held)
    for size, parts in (
        (1e-9, [1.0, 0.0]),
        (1e-3, [1.0, 2.0]),
        (1.0, [0.0, 1.0]),
        (1e3, [2.0, 1.0]),
        (1.0, [0.0, 0.0]),
    ):
        root = random.standard_normal((2, 2))
        for energy in (root @ root.T, np.zeros((2, 2))):
            norms = size * np.array(parts)
            added = upper_allowance(cell, SimpleNamespace(residual_norms=norms), energy)
            for xi in directions:
                jumps = math.sqrt(factor / cell.lattice.volume) * np.abs(xi) @ norms
                true = (math.sqrt(xi @ energy @ xi) + jumps) ** 2
                assert xi @ (energy + added) @ xi >= true * (1.0 - 1e-9)
    energy, step = np.eye(2), 1e-9
    added = upper_allowance(cell, SimpleNamespace(residual_norms=np.array([step, 0.0])), energy)
    assert np.abs(added).max() < 2.2 * step * math.sqrt(factor / cell.lattice.volume)


@pytest.mark.parametrize("d", [2, 3])
def test_closed_paths_hold_the_rotation(d):
    """The factor where one mesh cell bends: that of its rotation, from steps of one period to those of a diagonal."""
    cell = grid_cell((3,) * d)
    spread = Spread(cell)
    one = np.zeros(cell.number_of_cells)
    one[-1] = 1.0
    steps = np.sqrt(2.0) * spread.diameter / np.array([math.sqrt(d), 1.0])
    least, most = (2.0 + steps * (1.0 if d == 2 else math.sqrt(1.5))) * [1.0, 1.0 if d == 2 else 2.0]
    assert least**2 <= spread.factor(one) <= most**2
    assert spread.factor(2.0 * one) == pytest.approx(2.0 * spread.factor(one))
    assert spread.factor(one + 1.0) > 2.0 * spread.factor(one)


def case_idle(comm):
    """All allowances of an idle solver, with the mesh over several ranks."""
    with pytest.MonkeyPatch.context() as patch:
        solve_nothing(patch)
        return allowances(comm)


def allowances(comm):
    cell = grid_cell((12, 3), lambda s: (6 * s[:, 0]).astype(int) % 2, comm=comm)
    medium = diffusion_coefficient(cell, {"a": 1.0, "b": 5.0})
    result = {}
    for element in ("linear", "broken"):
        for h in (None, 1e-2):
            membranes = None if h is None else find_membranes(cell, {"a|b": h})
            result[f"{element} {h}"] = idle_excess(cell, medium, element=element, membranes=membranes)
    stress = solve_stresses(cell, elastic_coefficient(cell, SOLIDS), allowance=math.inf)
    result["stress"] = stress.excess.tolist()
    flow = SimpleNamespace(residual_norms=np.array([1e-3, 2e-3]))
    result["flow"] = upper_allowance(cell, flow, np.eye(2)).ravel().tolist()
    return result


@pytest.mark.mpi
def test_ranks_agree(on_ranks):
    one, *others = on_ranks(case_idle)
    for key, value in one.items():
        assert np.all(np.array(value)[:1] > 0.0)
        for other in others:
            assert np.array(other[key]) == pytest.approx(np.array(value), rel=1e-9)
