"""Options of the grid solver: what is refused, budgets, what the result says."""

from __future__ import annotations

import logging
import subprocess
import sys

import numpy as np
import pytest

from homfem.grid import Image, budget, homogenize_image, iteration, solve_image
from homfem.parameters import ConvergenceError, InputError, PercolationError

IMAGE = Image.from_labels([[0, 1], [1, 0]], {"a": 0, "b": 1}, voxel=0.5, length_unit="um")
BOTH = {"a": 1.0, "b": 9.0}


@pytest.mark.parametrize(
    ("coefficients", "options", "message"),
    [
        ({}, {}, "at least one of"),
        ({"a": 1.0, "c": 1.0}, {}, "phase = 'c'"),
        ({"a": 0.0}, {}, "coefficients.a = 0.0"),
        ({"a": -1.0}, {}, "coefficients.a"),
        ({"a": [[1.0, 2.0], [2.0, 1.0]]}, {}, "positive definite"),
        ({"a": np.eye(3)}, {}, "2x2"),
        (BOTH, {"refine": 0}, "refine"),
        (BOTH, {"rtol": 0.0}, "rtol"),
        (BOTH, {"tolerance": 1.0}, "tolerance"),
        (BOTH, {"tolerance": 0.1, "bounds": False}, "two-sided"),
        (BOTH, {"max_dofs": 0}, "max_dofs"),
        (BOTH, {"max_iterations": 0}, "max_iterations"),
        (BOTH, {"threads": 0}, "threads"),
    ],
)
def test_bad_options_are_refused(coefficients, options, message):
    with pytest.raises(InputError, match=message):
        homogenize_image(IMAGE, coefficients, **options)


def test_islands_alone_are_refused():
    with pytest.raises(PercolationError, match=r"\['b'\].*reach.*2 part\(s\) are islands"):
        homogenize_image(IMAGE, {"b": 1.0})


def test_too_few_iterations_are_an_error():
    with pytest.raises(ConvergenceError, match=r"potential, load 1: 2 iterations.*rtol"):
        homogenize_image(IMAGE, BOTH, refine=8, max_iterations=2)


def test_what_the_result_says():
    tensor = homogenize_image(IMAGE, BOTH, refine=2, unit="um^2/s", config={"key": 1})
    assert (tensor.method, tensor.physics, tensor.boundary, tensor.unit) == ("grid", "diffusion", "periodic", "um^2/s")
    assert tensor.volume_fractions == {"a": 0.5, "b": 0.5}
    assert tensor.active_phases == ("a", "b")
    assert tensor.interface_area == pytest.approx(4.0)
    assert tensor.length_unit == "um"
    assert tensor.dofs == 16
    assert tensor.iterations > 0
    assert {"potential", "flux", "total"} <= set(tensor.seconds)
    assert tensor.config == {"key": 1}
    assert tensor.reached
    assert np.allclose(tensor.value, 0.5 * (tensor.lower + tensor.upper))
    assert type(tensor).from_json(tensor.to_json()).dofs == 16


def test_one_side_alone():
    tensor = homogenize_image(IMAGE, BOTH, refine=4, bounds=False)
    assert tensor.lower is None
    assert np.abs(tensor.upper - tensor.value).max() <= 1.01 * tensor.roundoff < 1e-11
    assert np.allclose(tensor.upper, homogenize_image(IMAGE, BOTH, refine=4).upper, rtol=1e-12)
    assert solve_image(IMAGE, BOTH, bounds=False).fluxes == ()


def test_a_tolerance_refines_the_grid():
    solution = solve_image(IMAGE, BOTH, tolerance=0.05)
    assert solution.tensor.relative_gap <= 0.05
    assert solution.tensor.reached
    cuts = [step["cuts"] for step in solution.history]
    assert cuts == sorted(set(cuts))
    assert len(cuts) > 1
    assert solution.image.shape == (2 * cuts[-1],) * 2
    assert solution.history[-2]["relative_gap"] > 0.05


def test_a_budget_ends_the_refinement(caplog):
    with caplog.at_level(logging.WARNING, logger="homfem"):
        tensor = homogenize_image(IMAGE, BOTH, tolerance=1e-3, max_dofs=400)
    assert not tensor.reached
    assert tensor.dofs == 400
    assert "short of 1.000e-03" in caplog.text


def test_the_memory_of_the_machine_is_a_budget(monkeypatch):
    monkeypatch.setitem(budget.BYTES_PER_VOXEL, 2, 1e9)
    tensor = homogenize_image(IMAGE, BOTH, tolerance=1e-3)
    assert not tensor.reached
    assert tensor.dofs < 400


def test_threads_change_nothing_and_are_put_back():
    import numba

    before = numba.get_num_threads()
    one, two = (homogenize_image(IMAGE, BOTH, refine=8, threads=number) for number in (1, 2))
    assert np.allclose(one.value, two.value, rtol=1e-12)
    assert numba.get_num_threads() == before


def test_under_mpi_one_thread_is_the_default(monkeypatch):
    monkeypatch.setenv("OMPI_COMM_WORLD_SIZE", "2")
    with budget.threads_set(None) as number:
        assert number == 1


def test_preconditioners_invert_homogeneous_media():
    """In a homogeneous medium the first step of the iteration is the last: what is left is single precision."""
    from homfem.grid.flux import FluxProblem
    from homfem.grid.potential import PotentialProblem
    from homfem.grid.tensorial import TensorialFluxProblem

    phase = np.ones((4, 5, 7), dtype=np.uint8)
    sizes = np.array([1.0, 0.4, 2.0])
    full = np.array([[3.0, 0.6, -0.2], [0.6, 1.0, 0.3], [-0.2, 0.3, 2.0]])
    x = np.random.default_rng(0).standard_normal(phase.shape)
    x -= x.mean()
    out = np.empty_like(x)
    problem = PotentialProblem(phase, np.array([np.zeros((3, 3)), full]), sizes, 1)
    problem.product(x.reshape(-1), out.reshape(-1))
    assert np.abs(problem.precondition(out.reshape(-1)).reshape(x.shape) - x).max() < 1e-5
    diagonal = np.diag(np.diag(full))
    other = FluxProblem(phase, np.array([np.zeros((3, 3)), diagonal]), sizes, 1)
    other.gradient(x, np.zeros(3), out)
    assert np.abs(other._precondition(out) - x).max() < 1e-5
    faces = np.random.default_rng(0).standard_normal((3, *phase.shape))
    faces -= faces.mean()
    jumps = np.empty_like(faces)
    third = TensorialFluxProblem(phase, np.array([np.zeros((3, 3)), full]), sizes, 1)
    third.gradient(faces, np.zeros(3), jumps)
    assert np.abs(third._precondition(jumps) - faces).max() < 1e-4


def test_operator_and_preconditioner_are_symmetric_where_nodes_are_split():
    from homfem.grid.potential import PotentialProblem

    rng = np.random.default_rng(0)
    phase = (rng.random((5, 4, 6)) < 0.5).astype(np.uint8)
    problem = PotentialProblem(phase, np.array([np.zeros((3, 3)), np.eye(3)]), np.array([1.0, 0.5, 2.0]), 1)
    assert problem.dofs > phase.size + 10
    one, two = rng.standard_normal((2, problem.dofs))
    first, second = np.empty_like(one), np.empty_like(two)
    problem.product(one, first)
    problem.product(two, second)
    assert first @ two == pytest.approx(second @ one, rel=1e-12)
    assert problem.precondition(one) @ two == pytest.approx(problem.precondition(two) @ one, rel=1e-4)
    assert problem.precondition(one) @ one > 0.0


def test_minimise_solves_a_small_system():
    matrix = np.diag([1.0, 2.0, 5.0])
    side = np.array([1.0, 1.0, 1.0])

    def product(x, out):
        out[:] = matrix @ x

    energies = []
    x, progress = iteration.minimise(
        product,
        lambda r: r.copy(),
        side.copy(),
        energy=10.0,
        count=1,
        stop=iteration.Stop(
            rtol=1.0, max_iterations=10, accept=lambda residual, size, energy: energies.append(energy) or True
        ),
    )
    assert energies == [pytest.approx(10.0 - side @ x)]
    assert np.allclose(x, [1.0, 0.5, 0.2])
    assert progress.iterations == 3
    assert 10.0 - sum(progress.energies) == pytest.approx(10.0 - side @ x)


def test_importing_the_solver_compiles_nothing():
    program = (
        "import sys, homfem.grid; print(sorted({'numba', 'pyvista', 'tifffile', 'PIL', 'dolfinx'} & set(sys.modules)))"
    )
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60)
    assert run.stdout.strip() == "[]"


def test_a_gap_one_voxel_thin_is_refused():
    """A channel that narrows to one pixel: a flux needs the gap, and one element across says little about it."""
    open_ = np.ones((8, 8), dtype=int)
    open_[3:5, :] = 0
    open_[3:5, 4] = 1
    image = Image.from_labels(open_, {"pore": 1, "solid": 0})
    with pytest.raises(InputError, match=r"one voxel thin.*at least two voxels across") as caught:
        homogenize_image(image, {"pore": 1.0})
    assert "refine = 2" in str(caught.value)
    assert homogenize_image(image, {"pore": 1.0}, thin_gaps="solve").contains(
        homogenize_image(image, {"pore": 1.0}, refine=8).value
    )
    cut = homogenize_image(image, {"pore": 1.0}, refine=2)
    assert cut.contains(homogenize_image(image, {"pore": 1.0}, refine=8).value)
    assert homogenize_image(image, {"pore": 1.0}, tolerance=0.2).relative_gap < 0.2
    # Where the gap is not the only way, and where everything conducts, nothing hangs on it.
    homogenize_image(image, {"pore": 1.0, "solid": 0.1})
    open_[:, 0:2] = 1
    homogenize_image(Image.from_labels(open_, {"pore": 1, "solid": 0}), {"pore": 1.0})


@pytest.mark.parametrize(("length", "strength"), [(1e30, 1.0), (1e-30, 1e-40), (1e-9, 1e40)])
@pytest.mark.parametrize("shape", [(8, 8), (6, 6, 6)])
def test_units_change_numbers_and_nothing_else(shape, length, strength):
    """The same medium in other units of length and diffusivity has the same tensor, potentials and fluxes in them."""
    labels = np.random.default_rng(5).integers(0, 2, shape)
    solved = {}
    for voxel, unit in ((1.0, 1.0), (length, strength)):
        image = Image.from_labels(labels, {"a": 0, "b": 1}, voxel=voxel, length_unit="m")
        solved[voxel, unit] = solve_image(image, {"a": unit, "b": 9.0 * unit}, fields=True)
    one, other = solved[1.0, 1.0], solved[length, strength]
    for name in ("value", "lower", "upper"):
        np.testing.assert_allclose(
            getattr(other.tensor, name) / strength, getattr(one.tensor, name), rtol=1e-9, atol=1e-9
        )
    for a, b in zip(one.potentials, other.potentials, strict=True):
        np.testing.assert_allclose(b / length, a, atol=1e-4)
    for a, b in zip(one.fluxes, other.fluxes, strict=True):
        np.testing.assert_allclose(b / strength, a, atol=1e-3)
