"""Time grids, splittings and diffusion schemes against exact solutions."""

from __future__ import annotations

import math

import numpy as np
import pytest

from homfem.macro.diffusion_step import DiffusionStep
from homfem.parameters import InputError
from homfem.timestepping import (
    BACKWARD_EULER,
    GODUNOV,
    STRANG,
    TR_BDF2,
    DiffusionScheme,
    Splitting,
    TimeGrid,
    advance,
    get_splitting,
    subcycled,
)


@pytest.mark.parametrize(("end", "step", "steps"), [(1.0, 0.1, 10), (3.0, 0.02, 150), (0.3, 0.1, 3), (7.0, 7.0, 1)])
def test_grid_has_whole_steps_and_ends_exactly(end, step, steps):
    grid = TimeGrid(end=end, step=step)
    assert grid.steps == steps
    assert grid.time(steps) == end
    assert [grid.index(grid.time(k)) for k in (0, 1, steps)] == [0, 1, steps]


def test_grid_from_another_start():
    grid = TimeGrid(start=5.0, end=6.0, step=0.25)
    assert [grid.time(k) for k in range(5)] == [5.0, 5.25, 5.5, 5.75, 6.0]


def test_step_that_does_not_divide_is_refused_with_the_nearest():
    with pytest.raises(InputError, match=r"step = 0\.3.*0\.3333333333333333 \(3 steps\)"):
        TimeGrid(end=1.0, step=0.3)


@pytest.mark.parametrize(
    "values", [{"step": 0.0}, {"step": -1.0}, {"step": math.nan}, {"end": 0.0, "step": 1.0}, {"step": 2.5}]
)
def test_bad_grids_are_refused(values):
    with pytest.raises(InputError):
        TimeGrid(**({"end": 1.0} | values))


def test_time_off_the_grid_is_refused():
    grid = TimeGrid(end=1.0, step=0.1)
    for time in (0.05, 1.1, -0.1):
        with pytest.raises(InputError, match="time"):
            grid.index(time)


def _split_error(splitting: Splitting, steps: int) -> float:
    """Error at t = 1 of x' = (A + B) x with non-commuting A and B, each advanced exactly."""
    a, b = np.array([[0.0, 1.0], [0.0, 0.0]]), np.array([[-1.0, 0.0], [1.0, -0.5]])
    x = np.array([1.0, 0.5])
    from scipy.linalg import expm

    def operator(matrix):
        def run(_time, step):
            x[:] = expm(step * matrix) @ x

        return run

    for k in range(steps):
        advance(splitting, {"reaction": operator(a), "diffusion": operator(b)}, k / steps, 1 / steps)
    return float(np.abs(x - expm(a + b) @ [1.0, 0.5]).max())


@pytest.mark.parametrize(("splitting", "cap"), [(GODUNOV, 2e-2), (STRANG, 3e-4)], ids=lambda s: getattr(s, "name", ""))
def test_splitting_has_its_order(splitting, cap):
    coarse, fine = _split_error(splitting, 16), _split_error(splitting, 32)
    assert math.log2(coarse / fine) == pytest.approx(splitting.order, abs=0.06)
    assert fine < cap


def test_operators_are_told_their_own_time():
    calls = []
    record = lambda name: lambda time, step: calls.append((name, time, step))  # noqa: E731
    advance(STRANG, {"reaction": record("r"), "diffusion": record("d")}, 2.0, 0.5)
    assert calls == [("r", 2.0, 0.25), ("d", 2.0, 0.5), ("r", 2.25, 0.25)]


def test_subcycles_cover_the_step():
    calls = []
    subcycled(lambda time, step: calls.append((time, step)), 4)(1.0, 2.0)
    assert calls == [(1.0, 0.5), (1.5, 0.5), (2.0, 0.5), (2.5, 0.5)]
    with pytest.raises(InputError, match="subcycles"):
        subcycled(lambda time, step: None, 0)


def test_bad_splittings_are_refused():
    with pytest.raises(InputError, match="sum to one"):
        Splitting(name="x", order=1, stages=(("reaction", 0.5), ("diffusion", 1.0)))
    with pytest.raises(InputError, match="strang"):
        get_splitting("strange")
    with pytest.raises(InputError, match="operators"):
        advance(GODUNOV, {"reaction": lambda time, step: None}, 0.0, 1.0)


class _Direct:
    """Solves with numpy; optionally leaves an error in the constants, as an iterative solver would."""

    def __init__(self, matrix, spoil=0.0):
        self.dense = (
            matrix.getDenseArray().copy() if matrix.type == "seqdense" else matrix.convert("dense").getDenseArray()
        )
        self.spoil = spoil

    def solve(self, b, x, guess=False):
        x.array[:] = np.linalg.solve(self.dense, b.array_r) + self.spoil
        return 1


def _interval(cells: int):
    """Consistent mass, stiffness and weights of P1 on the unit interval with no flux at the ends."""
    from petsc4py import PETSc

    h = 1.0 / cells
    mass, stiffness = np.zeros((cells + 1, cells + 1)), np.zeros((cells + 1, cells + 1))
    for k in range(cells):
        block = np.ix_([k, k + 1], [k, k + 1])
        mass[block] += h / 6 * np.array([[2, 1], [1, 2]])
        stiffness[block] += 1 / h * np.array([[1, -1], [-1, 1]])
    weights = PETSc.Vec().createWithArray(mass.sum(axis=1))
    matrices = []
    for dense in (mass, stiffness):
        matrix = PETSc.Mat().createAIJ(size=dense.shape, nnz=3)
        for i, j in zip(*np.nonzero(mass), strict=True):
            matrix.setValue(i, j, dense[i, j])
        matrix.assemble()
        matrices.append(matrix)
    return matrices[0], matrices[1], weights, mass, stiffness


def _diffuse(scheme: DiffusionScheme, steps: int, spoil: float = 0.0):
    import scipy.linalg
    from petsc4py import PETSc

    mass, stiffness, weights, m, k = _interval(12)
    u0 = 1.0 + np.cos(np.pi * np.linspace(0, 1, 13)) + 0.3 * np.cos(3 * np.pi * np.linspace(0, 1, 13))
    end = 0.1
    u = PETSc.Vec().createWithArray(u0.copy())
    step = DiffusionStep(
        mass, stiffness, weights, step=end / steps, scheme=scheme, make_solver=lambda matrix: _Direct(matrix, spoil)
    )
    for _ in range(steps):
        step.apply(u)
    exact = scipy.linalg.expm(-end * np.linalg.solve(m, k)) @ u0
    drift = abs(weights.array_r @ u.array_r - weights.array_r @ u0)
    return float(np.abs(u.array_r - exact).max()), float(drift)


@pytest.mark.parametrize(
    ("scheme", "cap"), [(BACKWARD_EULER, 1e-2), (TR_BDF2, 1e-4)], ids=lambda s: getattr(s, "name", "")
)
def test_diffusion_scheme_has_its_order(scheme, cap):
    coarse, fine = _diffuse(scheme, 20)[0], _diffuse(scheme, 40)[0]
    assert math.log2(coarse / fine) == pytest.approx(scheme.order, abs=0.12)
    assert fine < cap


@pytest.mark.parametrize("scheme", [BACKWARD_EULER, TR_BDF2], ids=lambda s: s.name)
def test_diffusion_conserves_although_the_solver_does_not(scheme):
    error, drift = _diffuse(scheme, 20, spoil=1e-3)
    assert drift < 1e-14
    assert error == pytest.approx(_diffuse(scheme, 20)[0], rel=1e-6)


@pytest.mark.parametrize("scheme", [BACKWARD_EULER, TR_BDF2], ids=lambda s: s.name)
def test_diffusion_scheme_is_l_stable(scheme):
    """A mode of rate 1e8 is gone after one step of length one."""
    a, amplitude, previous = scheme.diagonal, 1.0, 0.0
    for carry, slope in scheme.stages:
        previous = (carry * previous - slope * 1e8 * amplitude) / (1.0 + a * 1e8)
    assert abs(amplitude + previous) < 1e-7
