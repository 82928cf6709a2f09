"""The common call: results, tolerance, budget, options, and media that cannot be used."""

from __future__ import annotations

import numpy as np
import pytest

from homfem.blocks import METHODS, BlockMedium, aggregated, homogenize_blocks, paper_case
from homfem.blocks.boxes import BoxMedium, homogenize_boxes
from homfem.blocks.effective import layered_bounds
from homfem.blocks.finite_volume import solve_finite_volume
from homfem.blocks.layout import label_interface
from homfem.blocks.semi_analytical import solve_semi_analytical
from homfem.parameters import ConvergenceError, InputError
from homfem.tensors import EffectiveTensor


@pytest.mark.parametrize("method", METHODS)
def test_every_method_fills_the_result(method):
    medium = BlockMedium.from_layout(["LLV", "LDL"], {"L": 1.0, "D": 0.1}, widths=[0.5, 0.3, 0.2])
    tensor = homogenize_blocks(medium, method=method, unit="um^2/s", length_unit="um")
    assert tensor.method == method
    assert tensor.unit == "um^2/s"
    assert tensor.dofs > 0
    assert tensor.seconds["total"] > 0.0
    assert tensor.volume_fractions == pytest.approx({"conducting": 0.9, "void": 0.1})
    # Edges between unlike blocks, by hand: two vertical ones in each row; the columns 2 and 3 at both horizontal lines.
    assert tensor.interface_area == pytest.approx(0.5 * 2 + 0.5 * 2 + 2 * 0.5)
    again = EffectiveTensor.from_json(tensor.to_json())
    assert np.array_equal(again.value, tensor.value)
    assert again.config["method"] == method


def test_the_interface_is_per_area_of_the_cell_whatever_its_periods():
    """The same in cells as wide and as high as you like: by hand; the same cell twice; another unit of length."""
    layout, phases = ["LLV", "LDL"], {"L": 1.0, "D": 0.1}
    medium = BlockMedium.from_layout(layout, phases, widths=[1.5, 0.9, 0.6], heights=[0.5, 0.25])
    # Vertical edges: two in each row, .5 and .25 high; below and above "VD" two each, .9 and .6 wide; the cell 3 x .75.
    expected = (2 * 0.5 + 2 * 0.25 + 2 * (0.9 + 0.6)) / (3.0 * 0.75)
    assert homogenize_blocks(medium, degree=1).interface_area == pytest.approx(expected, rel=1e-14)
    twice = BlockMedium.from_layout(
        [row * 2 for row in layout], phases, widths=[1.5, 0.9, 0.6] * 2, heights=[0.5, 0.25]
    )
    assert homogenize_blocks(twice, degree=1).interface_area == pytest.approx(expected, rel=1e-14)
    larger = BlockMedium.from_layout(layout, phases, widths=[15.0, 9.0, 6.0], heights=[5.0, 2.5])
    assert homogenize_blocks(larger, degree=1).interface_area == pytest.approx(0.1 * expected, rel=1e-14)
    labels = np.array([[0, 0, 2], [0, 1, 0]])
    assert label_interface(labels, [[0.5, 0.25], [1.5, 0.9, 0.6]]) == pytest.approx(expected, rel=1e-14)
    # In space the columns are as high as you like, and a layer on top adds its own area.
    high = label_interface(np.stack([labels, np.full((2, 3), 3)]), [[3.0, 1.0], [0.5, 0.25], [1.5, 0.9, 0.6]])
    assert high == pytest.approx(0.75 * expected + 2.0 / 4.0, rel=1e-14)


def test_the_guarantees_of_the_methods():
    medium = paper_case("B")
    semi, volumes, galerkin = (
        homogenize_blocks(medium, method=m) for m in ("semi-analytical", "finite-volume", "corner-galerkin")
    )
    assert semi.lower is None
    assert semi.upper is None
    assert volumes.lower is None
    assert np.array_equal(volumes.upper, volumes.value)
    assert galerkin.contains(galerkin.value)
    assert np.linalg.eigvalsh(volumes.upper - galerkin.upper)[0] > 0.0


@pytest.mark.parametrize("method", ["semi-analytical", "finite-volume"])
@pytest.mark.parametrize("contrast", [4.0, 100.0, 1e6])
def test_the_error_of_methods_without_bounds_is_known(method, contrast):
    """The checkerboard has the geometric mean; the semi-analytical method gives 4.9 and finite volumes 20.8 for 10."""
    medium = BlockMedium(diffusivity=[[1.0, contrast], [contrast, 1.0]], widths=[0.5, 0.5])
    tensor = homogenize_blocks(medium, method=method)
    error = np.abs(np.linalg.eigvalsh(tensor.value) / contrast**0.5 - 1.0).max()
    assert error <= tensor.estimated_error <= 1.01 * error
    assert tensor.reached
    assert "outside guaranteed bounds" in tensor.warnings[0]
    assert f"{tensor.estimated_error:.1e}" in str(tensor)
    for factor in (0.99, 1.01):
        judged = homogenize_blocks(medium, method=method, tolerance=factor * tensor.estimated_error)
        assert judged.reached == (factor > 1.0)
        assert judged.config["tolerance"] == factor * tensor.estimated_error


@pytest.mark.parametrize("method", ["semi-analytical", "finite-volume"])
def test_a_value_at_the_end_of_the_bounds_has_no_warning(method):
    tensor = homogenize_blocks(BlockMedium(diffusivity=[[1.0, 10.0, 3.0]]), method=method, tolerance=1e-8)
    assert tensor.reached
    assert tensor.estimated_error < 1e-10
    assert tensor.warnings == ()


def test_flux_through_a_corner_that_insulates_is_an_error():
    corner = BlockMedium(diffusivity=[[1.0, 0.0], [0.0, 1.0]])
    assert homogenize_blocks(corner, method="finite-volume").estimated_error > 1e6
    assert homogenize_blocks(corner, method="semi-analytical").estimated_error == 0.0


def test_bounds_without_a_system_judge_where_round_off_leaves_no_others():
    """At a contrast of 1e14 the bounds of Galerkin's method are gone; the value of 1e7 is still far from both ends."""
    medium = BlockMedium(diffusivity=[[1.0, 1e14], [1e14, 1.0]])
    with pytest.raises(ConvergenceError):
        homogenize_blocks(medium)
    low, high = layered_bounds(medium)
    assert np.diag(low) == pytest.approx(2.0)
    assert np.diag(high) == pytest.approx(0.5e14)
    for method in ("semi-analytical", "finite-volume"):
        tensor = homogenize_blocks(medium, method=method)
        assert tensor.estimated_error > 0.5
        assert "open" in tensor.warnings[0]
    with pytest.raises(ConvergenceError, match="no bounds"):
        homogenize_blocks(BlockMedium(diffusivity=[[1.0, 1e30], [1e30, 1.0]]))
    high = BlockMedium(diffusivity=[[1.0, 1e18, 1.0], [1e18, 1.0, 1e18], [1e18, 0.0, 1.0]])
    with pytest.raises(ConvergenceError, match="no factors"):
        homogenize_blocks(high, method="semi-analytical")


def test_bounds_without_a_system_hold_and_are_those_of_laminates():
    """Stripes, where both are exact, with a row that insulates; any medium, where they hold others."""
    low, high = layered_bounds(BlockMedium(diffusivity=[[1.0, 1.0], [4.0, 4.0], [0.0, 0.0]], heights=[0.25, 0.25, 0.5]))
    assert np.array_equal(low, np.diag([1.25, 0.0]))
    assert np.array_equal(high, np.diag([1.25, 0.0]))
    medium = BlockMedium(diffusivity=np.array([[[1, 9.0], [1.0, 3.0]], [[2.0, 0.1], [0.0, 0.0]]]), widths=[0.3, 0.4])
    low, high = layered_bounds(medium)
    closer = homogenize_blocks(medium, degree=6)
    assert np.linalg.eigvalsh(closer.lower - low)[0] > 0.0
    assert np.linalg.eigvalsh(high - closer.upper)[0] > 0.0


def blocks(number: int) -> BlockMedium:
    """Of widths that are not equal, where finite volumes have no other solver than the direct one."""
    return BlockMedium(diffusivity=aggregated(number, seed=1).diffusivity, widths=np.linspace(1.0, 2.0, number))


def boxes(number: int) -> BoxMedium:
    return BoxMedium(diffusivity=np.ones((number, number, number)))


@pytest.mark.parametrize(
    ("solve", "measured"),
    [
        (lambda: solve_semi_analytical(blocks(8), abscissas=32), 82e6),
        (lambda: solve_semi_analytical(blocks(16), abscissas=16), 144e6),
        (lambda: solve_semi_analytical(blocks(24), abscissas=16), 557e6),
        (lambda: solve_semi_analytical(blocks(32), abscissas=8), 268e6),
        (lambda: solve_finite_volume(blocks(32), intervals=8), 110e6),
        (lambda: solve_finite_volume(blocks(32), intervals=24), 1166e6),
        (lambda: homogenize_boxes(boxes(6), degree=2), 182e6),
        (lambda: homogenize_boxes(boxes(8), degree=2), 817e6),
        (lambda: homogenize_boxes(boxes(10), degree=1), 691e6),
    ],
)
def test_factors_are_estimated_a_little_above_what_was_measured(monkeypatch, solve, measured):
    """Bytes of one process above those at its start; nothing is solved here."""

    class Estimated(Exception):
        pass

    def stop(name, value, needed, *rest):
        raise Estimated(needed)

    for module in ("semi_analytical", "finite_volume", "boxes"):
        monkeypatch.setattr(f"homfem.blocks.{module}.require_memory", stop)
    with pytest.raises(Estimated) as caught:
        solve()
    assert 1.0 < caught.value.args[0] / measured < 3.6


@pytest.mark.parametrize("tolerance", [1e-2, 1e-5, 1e-9])
def test_tolerance_is_reached_with_few_unknowns(tolerance):
    tensor = homogenize_blocks(paper_case("D"), tolerance=tolerance)
    assert tensor.reached
    assert tensor.relative_gap <= tolerance
    assert tensor.dofs < 250


def test_budget_ends_the_refinement_and_is_reported():
    medium = aggregated(12, seed=0)
    tensor = homogenize_blocks(medium, tolerance=1e-9, max_dofs=1500)
    assert not tensor.reached
    assert tensor.relative_gap > 1e-9
    assert tensor.dofs <= 1500


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"method": "semianalytical"}, "Did you mean 'semi-analytical'"),
        ({"degree": 13}, "degree.*<= 12"),
        ({"degree": -1}, "degree"),
        ({"singular": 3}, "singular.*<= 2"),
        ({"tolerance": 0.0}, "tolerance.*>= 1e-13"),
        ({"tolerance": float("nan")}, "tolerance"),
        ({"method": "semi-analytical", "abscissas": 1}, "N_x"),
        ({"method": "finite-volume", "intervals": 0}, "intervals"),
    ],
)
def test_bad_options_are_refused(options, message):
    with pytest.raises(InputError, match=message):
        homogenize_blocks(paper_case("A"), **options)


def test_insulated_directions_give_zero():
    channel = BlockMedium(diffusivity=[[0, 0], [2, 2]])
    tensor = homogenize_blocks(channel)
    assert np.allclose(tensor.value, np.diag([1.0, 0.0]), atol=1e-13)
    assert tensor.contains(np.diag([1.0, 0.0]), slack=1e-12)
    assert tensor.half_gap < 1e-13
    islands = homogenize_blocks(BlockMedium(diffusivity=[[1, 0], [0, 0]]))
    assert np.abs(islands.value).max() < 1e-14
    assert islands.half_gap == 0.0
    many = homogenize_blocks(BlockMedium(diffusivity=np.tile([[1, 1, 0], [1, 1, 0], [0, 0, 0]], (12, 12))), degree=3)
    assert np.abs(many.value).max() == many.relative_gap == 0.0


def test_importing_needs_no_finite_elements():
    import subprocess
    import sys

    code = "import sys, homfem.blocks; sys.exit('dolfinx' in sys.modules or 'petsc4py' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
