"""The Johnson-Mercier fields and the stress problem: admissible, below the stiffness, with an allowance that covers."""

from __future__ import annotations

import math

import numpy as np
import pytest
import ufl
from mpi4py import MPI
from petsc4py import PETSc

from homfem import bounds, periodic, solve
from homfem.cells.symmetry import symmetric_part
from homfem.local.allowance import Spread
from homfem.local.boundary import odd_planes
from homfem.local.elasticity import elastic_coefficient, elasticity_problem, strain_parity
from homfem.local.engine import solve_correctors
from homfem.local.facets import FacetUnknowns, HeldUnknowns, VertexFunctions
from homfem.local.johnson_mercier import reference
from homfem.local.stress import solve_stresses
from homfem.local.stress_elements import StressElements
from homfem.meshing.topology.unfolding import lay_out
from homfem.parameters import PercolationError
from homfem.stiffness import PAIRS, basis, isotropic
from made_cells import grid_cell, grid_raw, square
from made_laminates import layered_cell

PHASES = {"a": {"young": 1.0, "poisson": 0.3}, "b": {"young": 10.0, "poisson": 0.2}}


def prism(s):
    return square(s[:, :2])


@pytest.mark.parametrize(("d", "fields"), [(2, 9), (3, 30)])
def test_the_reference_fields_balance(d, fields):
    """As many as the literature says; the divergence theorem against every affine displacement, part by part."""
    r = reference(d)
    assert r.stress.shape == (fields, d + 1, d + 1, len(PAIRS[d]))
    moments = r.moments.reshape(fields, -1)
    assert np.abs(moments @ moments.T - np.eye(fields)).max() < 1e-12
    vertices = np.vstack([np.zeros(d), np.eye(d)])
    mean = r.stress.mean(axis=2).sum(axis=1) / (math.factorial(d) * (d + 1))  # the integral over the simplex
    for index, strain in enumerate(basis(d)):
        work = sum(
            np.einsum("kai,ai->k", r.moments[:, f], np.delete(vertices, f, axis=0) @ strain) for f in range(d + 1)
        )
        assert np.abs(work - mean[:, index]).max() < 1e-13
        turn = np.triu(strain, 1) - np.triu(strain, 1).T
        twist = sum(
            np.einsum("kai,ai->k", r.moments[:, f], np.delete(vertices, f, axis=0) @ turn) for f in range(d + 1)
        )
        assert np.abs(twist).max() < 1e-13
    # The nearest linear field has the same mean.
    assert np.abs(r.linear.mean(axis=1) / math.factorial(d) - mean).max() < 1e-13


@pytest.mark.parametrize("d", [2, 3])
def test_flat_elements_keep_the_digits_of_their_energies(d):
    """Elements a thousand times as long as high: the energy of E x is that of E, and translations cost nothing."""
    cell = layered_cell(np.array([0.0, 0.999, 1.0]), np.array([0, 1]), d, 0, 3, MPI.COMM_SELF)
    moduli = {"young": 3.0, "poisson": 0.2}
    number, size = FacetUnknowns(cell, d), len(PAIRS[d])
    coefficient = elastic_coefficient(cell, {"a": moduli, "b": moduli})
    elements = StressElements(cell, coefficient, number, Spread(cell), list(range(size)))
    matrix, _, total, _ = elements.assemble()
    exact = isotropic(dimension=d, **moduli)
    assert total == pytest.approx(exact, rel=1e-10, abs=1e-10)
    found = elements.recover(np.zeros((len(elements.nodes), number.rows.shape[1], size)))
    assert found.energy == pytest.approx(exact, rel=1e-11, abs=1e-11)
    whole, product = matrix.norm(PETSc.NormType.INFINITY), matrix.createVecLeft()
    for vector in HeldUnknowns(number, number.at_vertices(), ()).constants():
        matrix.mult(vector, product)
        assert product.norm() < 1e-14 * whole


@pytest.mark.parametrize(("d", "normal"), [(2, 0), (2, 1), (3, 0), (3, 2)])
def test_a_laminate_is_exact(d, normal):
    cell = grid_cell((4,) * d, lambda s: s[:, normal] >= 0.25)
    found = solve_stresses(cell, elastic_coefficient(cell, PHASES), rtol=1e-12)
    exact = bounds.laminate_stiffness(PHASES, {"a": 0.25, "b": 0.75}, np.eye(d)[normal])
    assert np.abs(found.average - exact).max() < 1e-10
    assert found.allowance < 1e-6


@pytest.mark.parametrize(("d", "n"), [(2, 6), (3, 4)])
@pytest.mark.parametrize("perforated", [False, True])
def test_the_means_and_energies_are_the_tensor(d, n, perforated):
    """Stresses in equilibrium: their mean is the energy's, L_ij = <sigma_j>_i; below the conforming energy."""
    cell = grid_cell((n,) * d, prism)
    phases = {"a": PHASES["a"]} if perforated else PHASES
    cell = cell.restrict(list(phases))
    coefficient = elastic_coefficient(cell, phases)
    found = solve_stresses(cell, coefficient, rtol=1e-12)
    mean = [[solve.integrate(f[i] * ufl.dx) for f in found.functions] for i in range(len(PAIRS[d]))]
    assert np.abs(np.array(mean) - found.average).max() < 1e-9
    assert np.abs(found.energies.sum(axis=0) - np.diag(found.average)).max() < 1e-9
    above = solve_correctors(cell, elasticity_problem(cell, coefficient), rtol=1e-9).average
    gap = np.linalg.eigvalsh(above - found.average)
    assert gap[0] > -1e-9
    assert gap[-1] > 1e-3


@pytest.mark.parametrize(("d", "n"), [(2, 8), (3, 4)])
@pytest.mark.parametrize("rtol", [1e-2])
def test_the_allowance_covers_an_unconverged_solve(d, n, rtol):
    cell = grid_cell((n,) * d, prism)
    coefficient = elastic_coefficient(cell, PHASES)
    sharp, loose = (solve_stresses(cell, coefficient, rtol=t, allowance=a) for t, a in ((1e-12, 1e-9), (rtol, 1e99)))
    excess = np.linalg.eigvalsh(loose.average - sharp.average)[-1]
    assert excess > 1e-11
    assert loose.allowance > excess
    assert sharp.allowance < 1e-9


@pytest.mark.parametrize(("divisions", "where"), [((4, 4), None), ((3, 3, 3), None), ((6, 6), square)])
def test_the_allowance_is_a_bound_of_the_pseudo_inverse(divisions, where):
    """The factor of the allowance against the true one: dense, for two opposite unit forces anywhere."""
    cell = grid_cell(divisions, where).restrict(["a"])
    d = cell.dimension
    coefficient = elastic_coefficient(cell, {"a": PHASES["a"]})
    number = FacetUnknowns(cell, d)
    along = list(range(len(PAIRS[d])))
    matrix, _, _, weight = StressElements(cell, coefficient, number, Spread(cell), along).assemble()
    dense = matrix.convert("dense").getDenseArray()
    shifts = np.tile(np.eye(d), (len(dense) // d, 1))
    scale = np.abs(dense).max()
    assert np.abs(dense @ shifts).max() < 1e-12 * scale
    # Without the translations the matrix is regular; they do no work on opposite forces.
    inverse = np.linalg.inv(dense + scale / len(dense) * shifts @ shifts.T)[::d, ::d]
    own = np.diag(inverse)
    worst = np.max(own[:, None] + own - 2.0 * inverse)
    assert weight > 0.25 * worst  # (sum |rho|)^2 = 4


@pytest.mark.parametrize(("divisions", "where"), [((4, 4), None), ((4, 4, 4), None), ((8, 8), square)])
@pytest.mark.parametrize("load", [0, -1])
def test_the_allowance_on_the_part_between_mirror_planes(divisions, where, load):
    """The same with what the load holds on the planes; a single force is in equilibrium there."""
    part = symmetric_part(grid_cell(divisions, where).restrict(["a"]))
    d = part.dimension
    assert part.copies == 2**d
    coefficient = elastic_coefficient(part, {"a": PHASES["a"]})
    number = FacetUnknowns(part, d)
    along = list(range(len(PAIRS[d])))
    full, _, _, weight = StressElements(part, coefficient, number, Spread(part), along).assemble()
    planes = odd_planes(d, strain_parity(d)[load], range(d))
    vertices = VertexFunctions(number)
    held = HeldUnknowns(number, vertices, planes)
    matrix = held.matrix(full)
    assert held.constants() == []
    worst = np.linalg.inv(matrix.convert("dense").getDenseArray()).diagonal().max()
    assert (1.0 + math.sqrt(d)) ** 2 * weight > worst


def test_refinement_closes_in_from_below():
    """The energy rises on nested meshes; its error falls like h^(2s), s the exponent at the corners of the square."""
    energies = []
    for n in (4, 8, 16, 32):
        cell = grid_cell((n, n), square)
        energies.append(solve_stresses(cell, elastic_coefficient(cell, PHASES)).average[0, 0])
    steps = np.diff(energies)
    assert np.all(steps > 0.0)
    assert steps[0] > 2.5 * steps[1] > 6.0 * steps[2]


def test_a_nearly_incompressible_phase_does_not_lock():
    """At Poisson's ratio 0.4999 the shear stiffness stays where it is at 0.499, up to the compressibility."""
    found = []
    for ratio in (0.499, 0.4999):
        cell = grid_cell((8, 8), square)
        phases = {"a": {"young": 1.0, "poisson": 0.3}, "b": {"young": 10.0, "poisson": ratio}}
        found.append(solve_stresses(cell, elastic_coefficient(cell, phases)).average[2, 2])
    assert found[1] == pytest.approx(found[0], rel=1e-3)


def test_a_fibre_that_can_turn_is_refused():
    cell = grid_cell((4, 4, 4), prism).restrict(["b"])
    with pytest.raises(PercolationError, match="turn"):
        solve_stresses(cell, elastic_coefficient(cell, {"b": PHASES["b"]}))


def test_a_part_is_laid_out_once():
    """A slanted strip across two faces: its only closed path is its own direction, (1, -1)."""
    raw = grid_raw((6, 6), lambda s: ((s[:, 0] + s[:, 1]) % 1.0 < 0.5).astype(int))
    matched = periodic.identify_nodes(raw.points, raw.lattice, partial=False)
    layout = lay_out(raw, *matched)
    assert len(layout.cycles) == 2
    assert layout.diameter >= 1.0
    for cycles in layout.cycles:
        assert np.abs(cycles.sum(axis=1)).max() < 1e-12
        assert np.abs(cycles[:, 0]).min() == pytest.approx(1.0)
    # Every cell touches the layout of the cell before it on its path: they share an edge in space.
    points = raw.points[raw.cells] + (layout.position @ raw.lattice.vectors)[:, None]
    inner = np.flatnonzero(layout.parent >= 0)
    assert len(inner) == len(raw.cells) - 2
    for cell in inner:
        pair = np.vstack([points[cell], points[layout.parent[cell]]]).round(9)
        assert len(np.unique(pair, axis=0)) == 4
    steps = layout.path_sums(np.ones(len(raw.cells)))
    assert np.array_equal(steps[inner], steps[layout.parent[inner]] + 1.0)
    assert steps[layout.parent < 0].tolist() == [1.0, 1.0]


def case_stresses(comm):
    cell = grid_cell((4, 3, 3), prism, comm=comm)
    found = solve_stresses(cell, elastic_coefficient(cell, PHASES), rtol=1e-12)
    energy = comm.allreduce(found.energies.sum(axis=0))
    mean = [solve.integrate(found.functions[0][i] * ufl.dx) for i in range(6)]
    return {"average": found.average.tolist(), "energy": energy.tolist(), "mean": mean, "dofs": found.dofs}


@pytest.mark.mpi
def test_ranks_agree(on_ranks):
    answers = on_ranks(case_stresses)
    for answer in answers:
        assert answer["dofs"] == answers[0]["dofs"]
        for key in ("average", "energy", "mean"):
            assert np.abs(np.array(answer[key]) - answers[0][key]).max() < 1e-9
