"""Effective chemotaxis: laminates, special cases that are exact, what holds of any cell, bounds, ranks, bad input."""

from __future__ import annotations

import copy
import json
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from dolfinx import fem
from mpi4py import MPI

from homfem import brackets, homogenize_chemotaxis, homogenize_diffusion, runs
from homfem.cells import blocks, fibre_array, laminate
from homfem.certify.chemotaxis import solve_chemotaxis
from homfem.certify.chemotaxis.geometry import changes_at_facets
from homfem.certify.chemotaxis.halves import carried
from homfem.certify.chemotaxis.sides import Diffusing
from homfem.config import make_config
from homfem.local import equilibrium
from homfem.local.chemotaxis import tensor_function
from homfem.local.engine import solve_correctors
from homfem.local.membranes import facet_areas
from homfem.parameters import ConvergenceError, InputError, PercolationError
from homfem.solve import integral
from made_cells import grid_cell

SQUARE = ["MMMM", "MIIM", "MIIM", "MMMM"]


def sides(tensor):
    named = tensor.coefficients["sensitivity"]
    assert np.array_equal(named.value, tensor.value)
    return named.lower, named.upper


def harmonic(fractions, values):
    return 1.0 / sum(f / v for f, v in zip(fractions, values, strict=True))


def test_layers_have_a_closed_form():
    fractions, motility, sensitivity, attractant = (0.5, 0.3, 0.2), (1.0, 10.0, 0.3), (1.0, -4.0, 2.5), (1.0, 0.1, 7.0)
    cell = laminate(fractions, axis="y", dimension=2, resolution=0.25)
    names = ("layer1", "layer2", "layer3")
    given = [dict(zip(names, values, strict=True)) for values in (motility, sensitivity, attractant)]
    found = homogenize_chemotaxis(cell, *given)
    across = sum(f * s / (m * c) for f, m, s, c in zip(fractions, motility, sensitivity, attractant, strict=True))
    across *= harmonic(fractions, motility) * harmonic(fractions, attractant)
    along = sum(f * s for f, s in zip(fractions, sensitivity, strict=True))
    exact = np.diag([along, across])
    assert np.abs(found.value - exact).max() <= 1e-10
    lower, upper = sides(found)
    assert np.all(lower <= exact)
    assert np.all(exact <= upper)
    assert np.abs(upper - lower).max() <= 1e-8
    rule = np.diag([along, harmonic(fractions, attractant) * sum(
        f * s / c for f, s, c in zip(fractions, sensitivity, attractant, strict=True))])  # fmt: skip
    assert np.abs(found.coefficients["constant_motility_sensitivity"].value - rule).max() <= 1e-10
    assert abs(rule[1, 1] - across) > 1.0


@pytest.mark.parametrize(("curved", "asked"), [(False, {"bounds": False}), (True, {})])
def test_conforming_elements_alone(curved, asked):
    """Without bounds, as on curved cells: S* = S D_n* where S is a number times the motility, and no side of it."""
    cell = fibre_array(fraction=0.3, resolution=0.25, order=2) if curved else blocks(SQUARE, resolution=0.25)
    inside, outside = cell.phase_names
    motility = {inside: 10.0, outside: 1.0}
    found = homogenize_chemotaxis(
        cell, motility, {name: 3.0 * value for name, value in motility.items()}, {inside: 0.1, outside: 1.0}, **asked
    )
    named = found.coefficients
    assert set(named) == {"motility", "attractant", "constant_motility_sensitivity"}
    assert not any(one.bounded for one in named.values())
    assert found.estimated_error is None
    # Galerkin's error of the two differs, in the square of those of the correctors.
    assert np.abs(found.value - 3.0 * named["motility"].value).max() < 1e-3 * found.value[0, 0]
    plain = homogenize_diffusion(cell, motility, bounds=False).value
    assert np.abs(named["motility"].value - plain).max() < 1e-8 * plain[0, 0]
    assert np.abs(named["constant_motility_sensitivity"].value - found.value).max() > 0.1


def matrices_in_layers():
    """Random matrices of two layers: motilities, sensitivities, attractants, and S* of any fraction of the first."""
    rng = np.random.default_rng(4)
    spd = [[(lambda r: r @ r.T + 0.3 * np.eye(2))(rng.normal(size=(2, 2))) for _ in range(2)] for _ in range(2)]
    sensitivity = rng.normal(size=(2, 2, 2))

    def gradients(fractions, matrices, direction):
        """The gradients in the layers for a mean one: e + a n in each, with one normal flux."""
        normal = np.array([m[0, 0] for m in matrices])
        own = np.array([m[0] @ direction for m in matrices])
        flux = np.sum(fractions * own / normal) / np.sum(fractions / normal)
        return [direction + (flux - o) / n * np.array([1.0, 0.0]) for o, n in zip(own, normal, strict=True)]

    def exact(first):
        fractions = np.array([first, 1.0 - first])
        return np.array([
            [sum(f * p @ s @ q for f, p, s, q in zip(fractions, gradients(fractions, spd[0], e), sensitivity,
                                                     gradients(fractions, spd[1], z), strict=True)) for z in np.eye(2)]
            for e in np.eye(2)
        ])  # fmt: skip

    names = ("layer1", "layer2")
    tables = [dict(zip(names, [m.tolist() for m in table], strict=True)) for table in (spd[0], sensitivity, spd[1])]
    return tables, exact


def test_matrices_in_layers():
    """Across layers the normal fluxes and the gradients along are continuous, whatever the matrices."""
    given, of = matrices_in_layers()
    cell, exact = laminate((0.4, 0.6), axis="x", dimension=2, resolution=0.25), of(0.4)
    found = homogenize_chemotaxis(cell, *given)
    assert np.abs(found.value - exact).max() <= 1e-9 * np.abs(exact).max()
    assert abs(exact[0, 1] - exact[1, 0]) > 1e-2
    lower, upper = sides(found)
    assert np.all((lower <= exact) & (exact <= upper))


def test_layers_that_grow_change_the_tensor_as_its_estimate_says():
    given, of = matrices_in_layers()
    cell = laminate((0.4, 0.6), axis="x", dimension=2, resolution=0.25)
    solved = solve_chemotaxis(cell, *given, degree=1, rtol=1e-12).solved
    (facets,) = (facets for name, facets in cell.facets.items() if "layer1" in name and "layer2" in name)
    links = cell.mesh.topology.connectivity(1, 2)
    first, second = links.array[links.offsets[facets]], links.array[links.offsets[facets + 1] - 1]
    change = solved.unit * changes_at_facets(*solved.halves, (facets, first, second))
    sign = np.where(cell.phase_of_cell[first] == cell.phases["layer1"], 1.0, -1.0)
    # the two surfaces are moved by half of what the first layer gains
    total = np.einsum("f,fij->ij", 0.5 * sign * facet_areas(cell, facets), change)
    slope = (of(0.4 + 1e-5) - of(0.4 - 1e-5)) / 2e-5
    assert np.abs(total - slope).max() <= 1e-8 * np.abs(slope).max()


@pytest.mark.parametrize("phases", [("fibre", "matrix"), ("matrix",)])
def test_the_estimate_of_facets_is_that_of_diffusion_where_all_are_alike(phases):
    cell = fibre_array(fraction=0.3, resolution=0.15, dimension=2)
    medium = {name: 7.0 if name == "fibre" else 1.0 for name in phases}
    found = homogenize_chemotaxis(cell, medium, medium, medium)
    plain = homogenize_diffusion(cell, medium)
    assert found.geometric_error == pytest.approx(plain.geometric_error, rel=1e-6)
    assert found.geometric_error > 1e-6


def test_the_estimate_of_facets_covers_what_they_change():
    """Cells of second order have round fibres."""
    given = {"fibre": 10.0, "matrix": 1.0}, {"fibre": 4.0, "matrix": 1.0}, {"fibre": 0.1, "matrix": 1.0}
    flat = homogenize_chemotaxis(fibre_array(fraction=0.3, resolution=0.2, dimension=2), *given, tolerance=2e-3)
    round_ = homogenize_chemotaxis(fibre_array(fraction=0.3, resolution=0.1, dimension=2, order=2), *given, degree=3)
    change = np.abs(flat.value - round_.value).max()
    assert change <= flat.geometric_error + flat.estimated_error * np.abs(flat.value).max()
    assert flat.relative_geometric_error == pytest.approx(flat.geometric_error / np.abs(flat.value).max())


def test_functions_of_position_are_sampled_and_have_no_bounds():
    """Layers as functions, and a motility that varies along x alone: S* is harmonic there."""
    cell = laminate((0.5, 0.5), axis="x", dimension=2, resolution=0.02)
    wave = lambda x: 1.0 / (2.0 + np.cos(2.0 * np.pi * x[0]))  # noqa: E731
    both = lambda given: {"layer1": given, "layer2": given}  # noqa: E731
    found = homogenize_chemotaxis(cell, both(wave), both(lambda x: -3.0 * wave(x)), both(1.0))
    assert found.value[0, 0] == pytest.approx(-3.0 / 2.0, rel=1e-3)  # -3 times the motility
    assert found.value[1, 1] == pytest.approx(-3.0 / np.sqrt(3.0), rel=1e-3)
    for name in ("sensitivity", "motility", "attractant"):
        assert found.coefficients[name].lower is None
    assert found.estimated_error < 1e-2
    assert found.conventions["bounds"].startswith("none")
    matrix = lambda x: np.broadcast_to(np.array([[2.0, 1.0], [0.0, 3.0]]), (x.shape[1], 2, 2))  # noqa: E731
    turned = homogenize_chemotaxis(cell, both(1.0), both(matrix), both(1.0))
    assert np.abs(turned.value - [[2.0, 1.0], [0.0, 3.0]]).max() < 1e-12
    for table, said in (
        ({"motility": both(lambda x: x[0] - 0.5)}, r"^motility\['layer1'\].*positive definite"),
        ({"attractant": both(matrix)}, r"^attractant\['layer1'\].*symmetric"),
        ({"sensitivity": both(lambda x: np.full(x.shape[1], np.nan))}, r"^sensitivity\['layer1'\].*finite"),
        ({"sensitivity": both(lambda x: x)}, r"^sensitivity\['layer1'\].*shape"),
    ):
        given = {"motility": both(1.0), "sensitivity": both(1.0), "attractant": both(1.0)} | table
        with pytest.raises(InputError, match=said):
            homogenize_chemotaxis(cell, **given)
    with pytest.raises(InputError, match=r"^sensitivity\['layer1'\].*no cell moves"):
        homogenize_chemotaxis(cell, {"layer2": 1.0}, {"layer1": wave}, both(1.0))


@pytest.mark.parametrize("size", [3e6, 1e-200])
def test_the_unit_of_the_sensitivity_does_not_matter(size):
    """A flux that nothing varies in is round-off however large it is."""
    cell = laminate((0.5, 0.5), axis="x", dimension=2, resolution=0.2)
    both = lambda given: {"layer1": given, "layer2": given}  # noqa: E731
    found = homogenize_chemotaxis(cell, both(2.0), both(size), both(555.5))
    assert found.value == pytest.approx(size * np.eye(2), rel=1e-9, abs=1e-9 * size)
    assert np.all(found.coefficients["sensitivity"].lower <= found.value)


@pytest.mark.parametrize(
    ("motility", "sensitivity", "exact"),
    [
        ({"I": 10.0, "M": 1.0}, {"I": 4.0, "M": 1.0}, 1.00079947),
        ({"I": 1.0, "M": 1.0}, {"I": 10.0, "M": 1.0}, 4.52423874),
        ({"I": 10.0, "M": 1.0}, {"I": 10.0, "M": 1.0}, 1.54421999),
        ({"I": 10.0, "M": 1.0}, {"I": -0.3, "M": -3.0}, -3.0 * 0.647576126),
    ],
)
def test_the_square_inclusion(motility, sensitivity, exact):
    """Numbers of a Fourier-Galerkin and a graded finite element program; S = 3 D_c for the last."""
    cell = blocks(SQUARE, resolution=0.1)
    found = homogenize_chemotaxis(cell, motility, sensitivity, {"I": 0.1, "M": 1.0})
    lower, upper = sides(found)
    assert np.all(lower.diagonal() <= exact)
    assert np.all(exact <= upper.diagonal())
    assert np.abs(found.value.diagonal() / exact - 1.0).max() <= 5e-3
    for name, value in (("attractant", 0.647576126), ("motility", 1.0 if motility["I"] == 1.0 else 1.54421999)):
        named = found.coefficients[name]
        assert np.all(named.lower.diagonal() <= value + 1e-8)
        assert np.all(value - 1e-8 <= named.upper.diagonal())
    rule = found.coefficients["constant_motility_sensitivity"].value[0, 0]
    if motility["I"] == 1.0:
        assert rule == pytest.approx(found.value[0, 0], rel=1e-9)
    elif sensitivity["I"] == 4.0:
        assert rule == pytest.approx(2.17474624, rel=2e-3)  # what the rule gives where it does not hold


@pytest.mark.parametrize(("inside", "exact"), [(10.0, 1.54421999), (0.1, 0.647576126)])
def test_the_bounds_are_not_idle(inside, exact):
    """All three alike: the error is that of an energy, of the first order in what the bounds multiply."""
    medium = {"I": inside, "M": 1.0}
    found = homogenize_chemotaxis(blocks(SQUARE, resolution=0.3), medium, medium, medium, degree=1)
    lower, upper = (side[0, 0] for side in sides(found))
    assert lower <= exact <= upper
    assert abs(found.value[0, 0] - exact) > 0.15 * 0.5 * (upper - lower)


@pytest.mark.parametrize("inside", [0.01, 10.0])
def test_bounds_are_of_the_order_of_both_sides(inside):
    """Quadratic correctors and linear fluxes: their errors are of one size, and the bounds have their product."""
    cell = fibre_array(fraction=0.3, resolution=0.06, dimension=2)
    medium = {"fibre": inside, "matrix": 1.0}
    found = homogenize_chemotaxis(cell, medium, {"fibre": 1.0, "matrix": 1.0}, medium)
    lower, upper = sides(found)
    assert (upper - lower).max() / 2.0 <= 3.5e-3 * found.value[0, 0]
    assert found.estimated_error == pytest.approx((upper - lower).max() / 2.0 / found.value.max(), rel=1e-9)
    assert "guaranteed relative error of each entry" in str(found)
    assert "without guarantee" not in str(found)


def test_refinement_is_where_the_product_of_the_errors_is():
    """At corners: some thousand unknowns reach what uniform refinement takes a hundred times as many for."""
    cell = blocks(SQUARE, resolution=0.12)
    solution = solve_chemotaxis(
        cell, {"I": 0.01, "M": 1.0}, {"I": 1.0, "M": 1.0}, {"I": 1.0, "M": 0.01}, tolerance=4e-3
    )
    assert solution.tensor.reached
    assert solution.tensor.dofs < 4000
    gaps = [entry["relative_gap"] for entry in solution.history]
    assert gaps == sorted(gaps, reverse=True)
    carried = solution.solved.gaps()
    centres = solution.cell.raw.points[solution.cell.raw.corners].mean(axis=1)
    at_corner = np.abs(np.abs(centres - 0.5) - 0.25).max(axis=1) < 0.1
    assert carried[at_corner].sum() > 0.7 * carried.sum()


def perturbed(monkeypatch, size):
    """Wrong correctors of unit gradients, with all that follows from them."""

    def solve(cell, problem, **options):
        found = solve_correctors(cell, problem, **options)
        d = cell.dimension
        bump = fem.Function(found.space)
        for k, one in enumerate(found.functions[:d]):
            bump.interpolate(lambda x, k=k: np.sin(2.0 * np.pi * (x[0] + 0.1 * k)) + np.cos(2.0 * np.pi * x[1]))
            one.x.array[:] += size * bump.x.array
        w, z = fem.Function(found.space), fem.Function(found.space)
        s, t = (fem.Constant(problem.domain, np.zeros(problem.loads)) for _ in range(2))
        value = integral(problem.average(w, s, z, t))
        average = np.zeros((problem.loads,) * 2)
        for i, first in enumerate(found.functions):
            for j, second in enumerate(found.functions):
                w.x.array[:], z.x.array[:] = first.x.array, second.x.array
                s.value[:], t.value[:] = np.eye(problem.loads)[i], np.eye(problem.loads)[j]
                average[i, j] = value() / cell.lattice.volume
        return replace(found, average=average)

    monkeypatch.setattr("homfem.certify.chemotaxis.sides.solve_correctors", solve)


def test_what_is_wrong_with_the_correctors_enters_by_its_square(monkeypatch):
    """The computed parts of the first two terms take away what enters in the first order; bounds hold all the same."""
    cell = blocks(["MMMM", "MIIM", "MMIM", "MMMM"], resolution=0.2)
    given = cell, {"I": 10.0, "M": 1.0}, {"I": 4.0, "M": 1.0}, {"I": 0.1, "M": 1.0}
    right, off = homogenize_chemotaxis(*given), []
    for size in (0.02, 0.01):
        with monkeypatch.context() as patch:
            perturbed(patch, size)
            found = homogenize_chemotaxis(*given)
        off.append(found.value - right.value)
        (lower, upper), (least, most) = sides(found), sides(right)
        assert np.all((lower <= most) & (least <= upper))
    slope = (4.0 * off[1] - off[0]) / 0.02
    assert np.abs(slope).max() <= 1e-6
    assert np.abs(off[1]).min() > 1e-4


def test_the_product_of_both_errors_counts(monkeypatch):
    """All three alike, and wrong correctors: what they drive takes nearly all of the first two terms away."""
    medium = {"I": 4.0, "M": 1.0}
    given = blocks(SQUARE, resolution=0.2), medium, medium, medium
    right = homogenize_chemotaxis(*given)
    perturbed(monkeypatch, 0.1)
    found = homogenize_chemotaxis(*given)
    lower, upper = sides(found)
    assert np.all((lower <= right.value) & (right.value <= upper))
    assert np.diag(right.value - found.value).min() > 0.3 * np.diag(upper - lower).max() / 2.0


def unconverged(monkeypatch, part):
    """Multipliers of fluxes that are off by a part of the largest."""
    take = equilibrium._Found.take

    def spoilt(self, multipliers):
        draw = np.random.default_rng(3)
        for x in multipliers:
            x.array[:] += part * np.abs(x.array).max() * draw.uniform(-1.0, 1.0, x.local_size)
        return take(self, multipliers)

    monkeypatch.setattr(equilibrium, "ROUNDS", 0)
    monkeypatch.setattr(equilibrium._Found, "take", spoilt)


def test_fluxes_that_are_not_converged(monkeypatch):
    """The lower side of layers, which is exact, is too high then, but for what is taken off it."""
    unconverged(monkeypatch, 1e-2)
    cell = laminate((0.5, 0.5), axis="y", dimension=2, resolution=0.25)
    given = {"layer1": 1.0, "layer2": 5.0}, {"layer1": 1.0, "layer2": -2.0}, {"layer1": 1.0, "layer2": 0.3}
    loose = solve_chemotaxis(cell, *given, degree=1).solved.halves[0]
    exact = np.diag([3.0, harmonic((0.5, 0.5), (1.0, 5.0))])
    assert brackets.violation(loose.below.average, exact) > 1e-9
    assert brackets.violation(loose.sides[0], exact) == 0.0


def test_fluxes_that_jump_may_be_nearer_to_what_drives(monkeypatch):
    """Nearer than any that do not; their distance with what the residual leaves is not below that of these."""
    given = blocks(SQUARE, resolution=0.3), {"I": 0.1, "M": 1.0}, {"I": 4.0, "M": 1.0}, {"I": 10.0, "M": 1.0}
    right = solve_chemotaxis(*given, degree=1).solved.halves[0]
    nearer = np.zeros(2, dtype=bool)
    for part in (1e-4, -1e-4):
        with monkeypatch.context() as patch:
            unconverged(patch, part)
            loose = solve_chemotaxis(*given, degree=1).solved.halves[0]
        assert np.all(loose.driven >= right.driven)
        nearer |= np.sqrt(loose.sums[2:]) < right.driven * (1.0 - 1e-8)
    assert nearer.any()


def test_round_off_is_in_the_sides_of_layers():
    """Their tensors are exact but for the last digits, which are on both sides of them."""
    beyond = np.zeros(2, dtype=bool)
    for seed in range(3):
        draw = np.random.default_rng(seed).uniform(0.1, 3.0, (3, 2))
        names = ("layer1", "layer2")
        cell = laminate((0.5, 0.5), axis="y", dimension=2, resolution=0.25)
        tables = [dict(zip(names, row.tolist(), strict=True)) for row in draw]
        found = solve_chemotaxis(cell, *tables, rtol=1e-12)
        for half, values in zip(found.solved.halves, (draw[0], draw[2]), strict=True):
            exact = np.array([values.mean(), harmonic((0.5, 0.5), values)])
            lower, upper = (np.diag(side) for side in half.sides)
            assert np.all((lower <= exact) & (exact <= upper))
            beyond |= [np.any(np.diag(half.below.average) > exact), np.any(np.diag(half.upper.average)[:2] < exact)]
    assert beyond.all()


def corner(s):
    return ((s[:, 0] > 0.25) & (s[:, 0] < 0.9) & (s[:, 1] > 0.4) & (s[:, 0] + s[:, 1] < 1.5)).astype(int)


MOTILITY = {"a": [[2.0, 0.5], [0.5, 1.0]], "b": 10.0}
SENSITIVITY = {"a": [[1.0, -0.4], [0.7, 0.2]], "b": -3.0}
ATTRACTANT = {"a": 1.0, "b": [[0.3, 0.1], [0.1, 0.2]]}


def oblique(comm=MPI.COMM_SELF, n=8):
    return grid_cell((n, n), corner, comm=comm, vectors=[[1.0, 0.0], [0.25, 1.2]])


def test_bounds_hold_and_shrink_and_the_tensor_is_not_symmetric():
    cell = oblique(n=8)
    coarse = homogenize_chemotaxis(cell, MOTILITY, SENSITIVITY, ATTRACTANT, degree=1)
    fine = homogenize_chemotaxis(cell, MOTILITY, SENSITIVITY, ATTRACTANT, tolerance=5e-2)
    lower, upper = sides(coarse)
    assert np.all((lower <= fine.value) & (fine.value <= upper))
    assert fine.reached
    assert np.abs(np.subtract(*sides(fine))).max() <= 1e-1 * np.abs(fine.value).max() < np.abs(upper - lower).max()
    assert abs(fine.value[0, 1] - fine.value[1, 0]) > 0.5


def test_turned_and_scaled_and_exchanged():
    """S*(D_n, S, D_c)^T = S*(D_c, S^T, D_n): the mirror image of the problem; linear in S; homogeneous of degree 0."""
    cell = oblique()
    one = homogenize_chemotaxis(cell, MOTILITY, SENSITIVITY, ATTRACTANT, rtol=1e-12)
    turned = {name: np.transpose(np.atleast_2d(value)).tolist() if np.ndim(value) else value
              for name, value in SENSITIVITY.items()}  # fmt: skip
    mirror = homogenize_chemotaxis(cell, ATTRACTANT, turned, MOTILITY, rtol=1e-12)
    assert np.abs(one.value.T - mirror.value).max() <= 1e-9
    width = np.abs(np.subtract(*sides(one))).max()
    for side, other in zip(sides(one), sides(mirror), strict=True):
        assert np.abs(side.T - other).max() <= 1e-6 * width
    scaled = homogenize_chemotaxis(
        cell,
        {name: (7.0 * np.asarray(value)).tolist() for name, value in MOTILITY.items()},
        {name: (-2.0 * np.asarray(value)).tolist() for name, value in SENSITIVITY.items()},
        ATTRACTANT,
        rtol=1e-12,
    )
    assert np.abs(scaled.value + 2.0 * one.value).max() <= 1e-9
    assert np.abs(np.subtract(*sides(scaled)) - 2.0 * np.subtract(*sides(one))).max() <= 1e-6


def test_schwarz_inequality():
    """|x.S*z|^2 <= x.Az... with the tensors in which S meets one corrector twice, for S symmetric and positive."""
    cell = oblique()
    followed = {"a": [[1.0, 0.3], [0.3, 0.5]], "b": 3.0}
    s = homogenize_chemotaxis(cell, MOTILITY, followed, ATTRACTANT).value
    a = homogenize_chemotaxis(cell, MOTILITY, followed, MOTILITY).value
    b = homogenize_chemotaxis(cell, ATTRACTANT, followed, ATTRACTANT).value
    angles = np.linspace(0.0, np.pi, 40)
    x = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    left = np.einsum("ni,ij,mj->nm", x, s, x) ** 2
    right = np.outer(np.einsum("ni,ij,nj->n", x, a, x), np.einsum("ni,ij,nj->n", x, b, x))
    assert np.all(left <= right * (1.0 + 1e-12))
    assert (left / right).max() > 0.4


def test_voids_and_cells_that_leave_a_phase_to_the_attractant():
    cell = blocks(SQUARE, resolution=0.15)
    # cells and attractant in the matrix alone, S a number times the motility
    alone = homogenize_chemotaxis(cell, {"M": 2.0}, {"M": 6.0}, {"M": 5.0})
    plain = homogenize_diffusion(cell, {"M": 6.0}, degree=2)
    lower, upper = sides(alone)
    assert alone.value[0, 0] == pytest.approx(plain.upper[0, 0], rel=1e-6)
    assert np.all((lower <= plain.upper + 1e-9).diagonal())
    # the attractant goes through the inclusions too, where no cell moves
    through = homogenize_chemotaxis(cell, {"M": 2.0}, {"M": 6.0}, {"M": 5.0, "I": 50.0}, tolerance=3e-2)
    assert through.reached
    # S is a number times the motility, so S* is, whatever the attractant does
    lower, upper = sides(through)
    assert np.all((lower.diagonal() <= plain.upper.diagonal()) & (plain.lower.diagonal() <= upper.diagonal()))
    assert through.coefficients["attractant"].value[0, 0] > 5.0
    # cells everywhere, the attractant in the matrix alone
    behind = homogenize_chemotaxis(cell, {"M": 2.0, "I": 1.0}, {"M": 15.0}, {"M": 5.0})
    inside = homogenize_diffusion(cell, {"M": 15.0}, degree=2)  # S = 3 D_c
    lower, upper = sides(behind)
    assert np.all((lower.diagonal() <= inside.upper.diagonal()) & (inside.lower.diagonal() <= upper.diagonal()))


def case(comm):
    found = homogenize_chemotaxis(oblique(comm), MOTILITY, SENSITIVITY, ATTRACTANT, rtol=1e-12)
    part = homogenize_chemotaxis(oblique(comm), {"a": 2.0}, {"a": 6.0}, {"a": 5.0, "b": 50.0}, rtol=1e-12)
    named = found.coefficients | {"part": part.coefficients["sensitivity"]}
    return {name: [named[name].value.tolist(), named[name].lower.tolist(), named[name].upper.tolist()]
            for name in ("sensitivity", "motility", "attractant", "part")}  # fmt: skip


@pytest.mark.mpi
def test_the_same_on_ranks(on_ranks):
    one = case(MPI.COMM_WORLD)
    for other in on_ranks(case, ranks=(2, 3)):
        for name, value in one.items():
            assert np.abs(np.array(other[name]) - value).max() <= 1e-7, name


@pytest.mark.parametrize(
    ("motility", "sensitivity", "attractant", "said"),
    [
        ({"M": 1.0}, {"M": 1.0, "I": -1.0}, {"M": 1.0, "I": 1.0}, r"^sensitivity\['I'\] = -1\.0.*no cell moves"),
        ({"M": 1.0, "I": 1.0}, {"I": 2.0}, {"M": 1.0}, r"^sensitivity\['I'\] = 2\.0.*no attractant"),
        ({"M": 1.0, "I": 0.0}, {"M": 1.0}, {"M": 1.0}, r"^motility\['I'\] = 0\.0"),
        ({"M": 1.0}, {"M": float("nan")}, {"M": 1.0}, r"^sensitivity\['M'\] = nan"),
        ({"M": 1.0}, {"M": [[1.0, 2.0]]}, {"M": 1.0}, r"^sensitivity\['M'\]"),
        ({"M": 1.0}, {"X": 1.0}, {"M": 1.0}, r"^sensitivity = 'X'"),
        ({}, {"M": 1.0}, {"M": 1.0}, r"^motility = \{\}"),
        ({"M": 1.0}, {"M": 1.0}, {"M": -1.0}, r"^attractant\['M'\]"),
    ],
)
def test_what_is_refused(motility, sensitivity, attractant, said):
    with pytest.raises(InputError, match=said):
        homogenize_chemotaxis(blocks(SQUARE, resolution=0.25), motility, sensitivity, attractant)


def test_what_drives_a_little_is_not_lost_to_a_loose_tolerance():
    """Sensitivities that differ by 1e-5 drive a corrector of that size; of one number, none."""
    cell = blocks(SQUARE, resolution=0.25)
    size, names = 1e-5, ("M", "I")
    driven = {}
    for contrast in (0.0, size):
        found = [
            tensor_function(cell, name, {one: value * np.eye(2) for one, value in zip(names, values, strict=True)})
            for name, values in (("motility", (1.0, 3.0)), ("sensitivity", (1.0, 1.0 + contrast)))
        ]
        own = Diffusing(cell=cell, coefficient=found[0], sensitivity=found[1], phases=names)
        space = fem.functionspace(cell.mesh, ("Lagrange", 2))
        for rtol in (1e-4, 1e-10):
            solved = own.solve([fem.Function(space) for _ in range(2)], degree=2, rtol=rtol)
            driven[contrast, rtol] = solved.functions[2].x.array
    exact = driven[size, 1e-10]
    assert 0.01 * size < np.abs(exact).max() < size
    assert driven[size, 1e-4] == pytest.approx(exact, abs=1e-3 * size)
    assert not driven[0.0, 1e-4].any()
    assert not driven[0.0, 1e-10].any()


def test_islands_that_the_attractant_does_not_join_are_refused():
    cell = blocks(["MIM", "MMM", "IMI"], resolution=0.3)
    with pytest.raises(PercolationError, match=r"^motility = \('I',\)"):
        homogenize_chemotaxis(cell, {"I": 1.0}, {"I": 1.0}, {"M": 1.0, "I": 1.0})
    strips = blocks(["IMM", "MMM", "III", "MMM"], resolution=0.3)
    with pytest.raises(PercolationError, match=r"^motility = .*connected"):
        homogenize_chemotaxis(strips, {"I": 1.0}, {"I": 1.0}, {"M": 1.0, "I": 1.0})
    with pytest.raises(InputError, match=r"^symmetry"):
        homogenize_chemotaxis(strips, {"I": 1.0, "M": 1.0}, {"I": 1.0}, {"M": 1.0, "I": 1.0}, symmetry="auto")


CONFIG = {
    "cell": {"shape": "laminate", "fractions": [0.5, 0.5], "axis": "x", "dimension": 2, "resolution": 0.3},
    "effective": {
        "physics": "chemotaxis",
        "motility": {"layer1": "1 um^2/s", "layer2": "1e-11 m^2/s"},
        "sensitivity": {"layer1": "1 um^2/s/uM", "layer2": "4e-9 m^2/s/(mol/m^3)"},
        "attractant": {"layer1": "1000 um^2/s", "layer2": "100 um^2/s"},
    },
}


def test_a_config(homfem, tmp_path):
    run = runs.tensor(CONFIG)
    report = json.loads(json.dumps(run.report()))
    assert report["unit"] == "um^2/s/uM"
    # 4e-9 m^5/(mol s) are 4 um^2/s/uM
    assert np.allclose(report["value"], np.diag([100.0 / 121.0, 2.5]), rtol=1e-9, atol=1e-9)
    named = report["coefficients"]
    assert named["motility"]["value"][0][0] == pytest.approx(20.0 / 11.0, rel=1e-9)
    assert named["motility"]["unit"] == "um^2/s"
    assert named["attractant"]["value"][1][1] == pytest.approx(550.0, rel=1e-9)
    assert named["sensitivity"]["lower"][0][0] <= 100.0 / 121.0 <= named["sensitivity"]["upper"][0][0]
    assert "not symmetric" in report["conventions"]["flux"]


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        (
            "sensitivity",
            {"layer1": "1 um^2/s", "layer2": "1 um^2/s/uM"},
            r"^effective\.sensitivity\.layer2.*converts to",
        ),
        ("sensitivity", {"layer1": "1 um^2"}, r"^effective\.sensitivity\.layer1.*It is a diffusivity, or"),
        ("sensitivity", {"layer1": 1.0}, r"^effective\.sensitivity\.layer1.*no unit"),
        ("sensitivity", {"layer3": "1 um^2/s"}, r"^effective\.sensitivity\.layer3"),
        ("sensitivity", {}, r"^effective\.sensitivity = \{\}"),
        ("motility", {"layer1": "1 um^2/s"}, r"^effective\.sensitivity\.layer2.*no cell moves"),
        ("motility", {"layer1": "1 um^2/s", "layer2": "0 um^2/s"}, r"^effective\.motility\.layer2"),
        ("attractant", {"layer1": "1 um^2/s"}, r"^effective\.sensitivity\.layer2.*no attractant"),
        ("attractant", None, r"^effective\.attractant = \(missing\)"),
        ("motilty", {}, r"^effective\.motilty.*'effective\.motility'"),
    ],
)
def test_a_config_that_is_refused(key, value, said):
    document = copy.deepcopy(CONFIG)
    if value is None:
        del document["effective"][key]
    else:
        document["effective"][key] = value
    with pytest.raises(InputError, match=said):
        make_config(document)


@pytest.mark.parametrize("slow", ["fibre", "matrix"])
def test_diffusivities_that_are_far_apart(slow):
    """Where attractant and sensitivity are the same everywhere S* is S: what drives does no work, and is round-off."""
    cell, same = fibre_array(fraction=0.3, resolution=0.2), {"fibre": 1.0, "matrix": 1.0}
    for contrast in (1e12, 1e15):
        for given in ((same | {slow: 1.0 / contrast}, same, same), (same, same, same | {slow: 1.0 / contrast})):
            found = homogenize_chemotaxis(cell, *given)
            assert found.value == pytest.approx(np.eye(2), abs=1e-12)
            assert found.estimated_error < (0.02 if contrast == 1e12 else 0.4)
            assert found.reached
            assert not found.warnings
    far = same | {slow: 1e-18}
    found = homogenize_chemotaxis(cell, far, same, same)
    assert found.estimated_error > 1.0
    assert not found.reached
    assert [text for text in found.warnings if "say nothing" in text]
    with pytest.raises(InputError, match=r"^motility = .*within a factor of 1e\+10") as caught:
        homogenize_chemotaxis(cell, far, same, far)
    assert isinstance(caught.value.__cause__, ConvergenceError)


def test_what_mesh_cells_carry_is_the_slope_of_the_width():
    """Twice the change of the width where the squares of a mesh cell grow; with another size of the sensitivity too."""
    rng = np.random.default_rng(3)
    places = rng.random((2, 4, 7)) ** 4

    def halves(given):
        one_rank = SimpleNamespace(comm=MPI.COMM_SELF)
        return [SimpleNamespace(dimension=2, places=part, sums=part.sum(axis=1), cell=one_rank) for part in given]

    def width(given, largest):
        (e, h), (f, g) = ((part[:2].sum(), part[2:].sum()) for part in given)
        return np.sqrt(e * h) + np.sqrt(f * g) + largest * np.sqrt(e * f)

    for largest in (0.0, 0.3, 20.0):
        found = carried(largest, *halves(places))
        for k in range(7):
            more, less = places.copy(), places.copy()
            more[:, :, k] *= 1.0 + 1e-5
            less[:, :, k] *= 1.0 - 1e-5
            slope = (width(more, largest) - width(less, largest)) / 2e-5
            assert found[k] == pytest.approx(2.0 * slope, rel=1e-6)
