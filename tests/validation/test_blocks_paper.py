"""The tables of March, Carr and Turner, and published numbers of block media."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import pytest

from homfem.blocks import aggregated, checkerboard, homogenize_blocks, inclusions_image, paper_case, pixelated
from homfem.blocks.finite_volume import solve_finite_volume
from homfem.blocks.semi_analytical import solve_semi_analytical
from homfem.blocks.tables import TABLE_1, TABLE_2, figure_3, regenerate_tables
from homfem.parameters import InputError
from homfem.validation.published import BLOCKS

LIMITS = {case: np.diag(entries) for case, entries in BLOCKS.items()}


@pytest.mark.parametrize("case", sorted(LIMITS))
def test_cases_lie_inside_tight_brackets(case):
    tensor = homogenize_blocks(paper_case(case), tolerance=1e-10)
    assert tensor.reached
    assert tensor.contains(LIMITS[case], slack=2e-8)
    assert np.allclose(tensor.value, LIMITS[case], atol=2e-8)


def test_odd_checkerboard():
    assert np.allclose(homogenize_blocks(checkerboard(3), degree=8).value, 0.2955529 * np.eye(2), atol=1e-7)


def test_case_4_agrees_with_the_printed_tensor_and_its_principal_axes():
    tensor = homogenize_blocks(paper_case("4"), degree=8)
    assert np.allclose(tensor.value, [[0.533, -0.0286], [-0.0286, 0.676]], atol=5e-4)
    assert np.allclose(tensor.principal_values, [0.682, 0.527], atol=1.5e-3)
    angle = np.degrees(np.arctan2(*np.abs(tensor.principal_axes[1][::-1])))
    assert angle == pytest.approx(10.9, abs=0.3)


@pytest.mark.parametrize("case", sorted(TABLE_1))
def test_table_1_to_three_figures(case):
    # The printed numbers need more than the stated sizes: N_x = 48 and 128 x 128 nodes (see homfem.blocks.tables).
    _, volumes, series = TABLE_1[case]
    computed = homogenize_blocks(paper_case(case), degree=6).value
    entries = np.array([computed[0, 0], computed[1, 1], computed[0, 1]])
    places = np.array([5e-4, 5e-4, 5e-5])
    assert np.all(np.abs(entries - series) <= 1.05 * places)
    nodes = solve_finite_volume(paper_case(case), intervals=16).value
    assert np.all(np.abs(np.array([nodes[0, 0], nodes[1, 1], nodes[0, 1]]) - volumes) <= places)


def test_table_1_semi_analytical():
    value = solve_semi_analytical(paper_case("1"), abscissas=48, modes=93).value
    assert f"{value[0, 0]:.3f}" == "0.648"
    for modes in (15, 22, 29):
        assert solve_semi_analytical(paper_case("1"), abscissas=16, modes=modes).value[0, 0] < 0.6475


@lru_cache
def benchmark(case):
    """Their benchmark: finite volumes on 1024 x 1024 nodes (cases C and D are A and B on finer blocks)."""
    return solve_finite_volume(paper_case({"C": "A", "D": "B"}.get(case, case)), intervals=256).value


@pytest.mark.parametrize(
    ("case", "number"), [(c, n) for c in "ABCD" for n in TABLE_2[c] if n < 64 and (c in "AB" or n < 16)]
)
def test_errors_of_table_2_within_ten_per_cent(case, number):
    series_printed, _, volume_printed, _ = TABLE_2[case][number]
    medium = paper_case(case)
    series = solve_semi_analytical(medium, abscissas=number, modes=2 * number - 3)
    volumes = solve_finite_volume(medium, intervals=number)
    assert series.unknowns == medium.diffusivity.size * (2 * number + 1)
    assert volumes.unknowns == medium.diffusivity.size * number**2
    for k, (i, j) in enumerate(((0, 0), (1, 1), (0, 1))):
        if series_printed[k] == 0.0:
            continue
        base = benchmark(case)[i, j]
        assert abs(series.value[i, j] / base - 1.0) == pytest.approx(series_printed[k], rel=0.02)
        assert abs(volumes.value[i, j] / base - 1.0) == pytest.approx(volume_printed[k], rel=0.02)


def test_table_2_last_row_needs_all_modes():
    # Printed 2.04e-4 at N_x = 64: N_eig = 2 N_x - 3, not the 100 of the text.
    base = benchmark("A")[0, 0]
    errors = [
        abs(solve_semi_analytical(paper_case("A"), abscissas=64, modes=modes).value[0, 0] / base - 1.0)
        for modes in (125, 100)
    ]
    assert errors[0] == pytest.approx(2.04e-4, rel=0.01)
    assert errors[1] < 1e-4


def test_tables_are_made_and_printed():
    tables = regenerate_tables(("1", "4"), full=False, repeats=1)
    assert len(tables[0].rows) == 12
    text = str(tables[0])
    assert "corner-Galerkin" in text
    assert "0.6476" in text
    assert tables[1].column("N(SA)") == tables[1].column("N printed")
    assert tables[1].to_dict()["columns"][0] == "r"
    curve = figure_3(numbers=(2, 3), repeats=1)
    assert curve.column("N(SA)") == [33 * 4, 33 * 9]
    assert curve.column("N(FV)") == [256 * 4, 256 * 9]
    with pytest.raises(InputError, match="which"):
        regenerate_tables(("5",))


def test_aggregated_media_are_bracketed_and_pixelation_converges():
    tensor = homogenize_blocks(aggregated(20, seed=20), degree=2)
    series = solve_semi_analytical(aggregated(20, seed=20), abscissas=8).value
    assert tensor.relative_gap < 1e-5
    assert np.allclose(series, tensor.value, rtol=0, atol=8e-3)
    image = inclusions_image(256)
    values = [homogenize_blocks(pixelated(image, r), degree=1).value for r in (16, 32, 64)]
    assert np.abs(values[1] - values[2]).max() < 0.02 < 0.2 < values[2][0, 0]
