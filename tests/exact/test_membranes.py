"""Membranes: laminates exact to round-off, neutral inclusions, both limits with their rates, units."""

from __future__ import annotations

import numpy as np
import pytest
from mpi4py import MPI

from homfem import UnitCell, homogenize_diffusion, solve_diffusion
from homfem.cells import fibre_array, sphere_array
from made_cells import grid_cell, grid_raw, square, with_named_facets

CONDUCTIVITY = {"a": 1.0, "b": 5.0, "c": 0.2}
FRACTION = np.array([0.25, 0.25, 0.5])
LOWER = [0, 1]
FIBRES = {"fibre": 10.0, "matrix": 1.0}


def layers(s):
    return np.select([s[:, 0] < 0.25, s[:, 0] < 0.5], [0, 1], default=2)


def laminate(d, membranes, length, periods=1.0):
    """1/D_n = <1/D> + (sum over the membranes of a period of 1/h)/L, D_t = <D>; a|c is the period face."""
    k = np.array(list(CONDUCTIVITY.values()))
    across = 1 / ((FRACTION / k).sum() + sum(1 / h for h in membranes.values()) / (length * periods))
    return np.diag([across, *[(FRACTION * k).sum()] * (d - 1)])


@pytest.mark.parametrize("lower_degree", LOWER)
@pytest.mark.parametrize("h", [1e-6, 1e-3, 1.0, 1e3, 1e6])
@pytest.mark.parametrize("d", [2, 3])
def test_a_laminate_is_exact_to_round_off(d, h, lower_degree):
    """Three fields that meet in three membranes, one of them on the period faces; the bounds meet up to round-off."""
    cell = grid_cell((4, 3, 3)[:d], layers, length=2.0)
    membranes = {"a|b": h, "c|b": 2 * h, "a|c": 3 * h}
    tensor = homogenize_diffusion(cell, CONDUCTIVITY, membranes=membranes, rtol=1e-12, lower_degree=lower_degree)
    expected = laminate(d, membranes, length=2.0)
    assert np.abs(tensor.value - expected).max() < 1e-14
    assert abs(tensor.value[0, 0] / expected[0, 0] - 1.0) < 1e-14
    # What round-off can do is in the bounds, and a number; the solver's residual widens the lower one where h is small.
    assert 0.0 < tensor.roundoff < 1e-9
    assert tensor.contains(expected)
    assert np.abs(tensor.upper - expected).max() <= 1.01 * tensor.roundoff + 1e-14
    assert np.abs(tensor.lower - expected).max() < (1e-11 if 1e-4 < h < 1e5 else 1e-8)


@pytest.mark.parametrize("lower_degree", LOWER)
def test_perfect_contact_beside_a_membrane(lower_degree):
    """b and c touch: they are one group, with one field."""
    membranes = {"a|b": 0.3, "a|c": 0.7}
    cell = grid_cell((4, 3), layers, length=2.0)
    tensor = homogenize_diffusion(cell, CONDUCTIVITY, membranes=membranes, lower_degree=lower_degree, rtol=1e-12)
    assert np.abs(tensor.upper - laminate(2, membranes, 2.0)).max() < 1e-11
    assert np.abs(tensor.lower - laminate(2, membranes, 2.0)).max() < 1e-11


@pytest.mark.parametrize("lower_degree", LOWER)
@pytest.mark.parametrize("d", [2, 3])
def test_named_facets_have_a_permeability_of_their_own(d, lower_degree):
    """Two layers meet at x = 1/2, where the facets are called gate, and on the period face; both are a|b."""
    raw = grid_raw((4, 3, 3)[:d], lambda s: (s[:, 0] > 0.5).astype(int))
    raw = with_named_facets(raw, "gate", lambda x: np.abs(x[:, 0] - 0.5) < 1e-9)
    cell = UnitCell.from_raw(raw, comm=MPI.COMM_WORLD)
    conductivity = {"a": 2.0, "b": 5.0}

    def exact(*permeabilities):
        return 1 / (0.5 / 2.0 + 0.5 / 5.0 + sum(1 / h for h in permeabilities))

    for membranes, there in (
        ({"a|b": 0.7, "gate": 0.2}, (0.7, 0.2)),
        ({"gate": 0.2, "b|a": 0.7}, (0.7, 0.2)),
        ({"a|b": 0.7}, (0.7, 0.7)),
    ):
        tensor = homogenize_diffusion(cell, conductivity, membranes=membranes, lower_degree=lower_degree, rtol=1e-12)
        for side in (tensor.lower, tensor.upper):
            assert side == pytest.approx(np.diag([exact(*there), *[3.5] * (d - 1)]), abs=1e-10)


def test_units_a_cell_of_two_micrometres_and_one_of_a_metre():
    """D* depends on h L / D alone."""
    small = homogenize_diffusion(grid_cell((8, 8), square, length=2.0), {"a": 1.0, "b": 3.0}, membranes={"a|b": 0.7})
    large = homogenize_diffusion(grid_cell((8, 8), square), {"a": 1.0, "b": 3.0}, membranes={"a|b": 1.4})
    assert np.abs(small.value - large.value).max() < 1e-12
    other = homogenize_diffusion(
        grid_cell((8, 8), square, length=2e-6), {"a": 1e-9, "b": 3e-9}, membranes={"a|b": 0.7e-3}
    )
    assert np.abs(other.value - 1e-9 * large.value).max() < 1e-20


@pytest.mark.parametrize(("biot", "exact"), [(0.1, 0.604603), (10.0, 1.500443), (10.0 / 9.0, 1.0)])
def test_fibres_behind_membranes(biot, exact):
    """Square array, fraction .3, contrast 10, Bi = h a / k_m; Bi = 10/9 is the neutral inclusion: exactly 1."""
    cell = fibre_array("square", fraction=0.3, resolution=0.05)
    radius = np.sqrt(0.3 / np.pi)
    tensor = homogenize_diffusion(cell, FIBRES, membranes={"matrix|fibre": biot / radius})
    assert tensor.contains(exact * np.eye(2), slack=tensor.geometric_error)
    assert tensor.geometric_error < 1e-3
    assert tensor.relative_gap < 5e-5
    assert abs(tensor.value[0, 0] - exact) < 3e-4


def test_the_distance_from_the_true_circle_falls_with_the_square_of_the_mesh_size():
    """The neutral inclusion; below 1e-4 at a fortieth of the period."""
    off = []
    for resolution in (0.1, 0.05, 0.025):
        cell = fibre_array("square", fraction=0.3, resolution=resolution)
        tensor = homogenize_diffusion(cell, FIBRES, membranes={"fibre|matrix": 10.0 / 9.0 / np.sqrt(0.3 / np.pi)})
        off.append(abs(tensor.value[0, 0] - 1.0))
    assert off[2] < 1e-4
    assert np.log2(off[0] / off[2]) > 2 * 1.5


def test_spheres_behind_membranes():
    """A dilute cubic array: Maxwell's formula with the interface resistance, k_s -> k_s/(1 + k_s/(h a)).

    Source: Hasselman, Johnson 1987, doi 10.1177/002199838702100602; corrections are of the order of phi^(10/3).
    """
    fraction, contrast, biot = 0.1, 10.0, 5.0
    radius = (3 * fraction / (4 * np.pi)) ** (1 / 3)
    inner = contrast / (1 + contrast / biot)
    beta = fraction * (inner - 1) / (inner + 2)
    cell = sphere_array("simple-cubic", fraction=fraction, resolution=0.2)
    tensor = homogenize_diffusion(cell, {"sphere": contrast, "matrix": 1.0}, membranes={"sphere|matrix": biot / radius})
    assert abs(tensor.value[0, 0] / ((1 + 2 * beta) / (1 - beta)) - 1.0) < 3e-3
    assert tensor.anisotropy == "isotropic"


@pytest.mark.parametrize("side", ["insulating", "perfect"])
def test_the_limits_are_reached_at_first_order(side):
    """D*(h) - D*(0) is linear in h, D*(infinity) - D*(h) in 1/h; monotone."""
    cell = grid_cell((12, 12), square)
    limit = solve_diffusion(cell, {"a": 1.0} if side == "insulating" else {"a": 1.0, "b": 5.0}, rtol=1e-12)
    values = [1e-2, 1e-3, 1e-4] if side == "insulating" else [1e3, 1e4, 1e5]
    off = []
    for h in values:
        bracket = homogenize_diffusion(cell, {"a": 1.0, "b": 5.0}, membranes={"a|b": h}, rtol=1e-12)
        off.append(abs(bracket.upper[0, 0] - limit.tensor.upper[0, 0]))
    assert off[0] > off[1] > off[2] > 0.0
    assert np.abs(np.diff(np.log10(off)) + 1.0).max() < 0.05
    assert off[2] < 1e-3


def test_a_doubled_period():
    one = grid_cell((6, 6), square)
    two = grid_cell(
        (12, 6), lambda s: square(np.column_stack([(2 * s[:, 0]) % 1.0, s[:, 1]])), vectors=[[2, 0], [0, 1]]
    )
    values = [
        homogenize_diffusion(cell, {"a": 1.0, "b": 5.0}, membranes={"a|b": 0.8}, rtol=1e-12) for cell in (one, two)
    ]
    assert np.abs(values[0].upper - values[1].upper).max() < 1e-10
    assert np.abs(values[0].lower - values[1].lower).max() < 1e-8
