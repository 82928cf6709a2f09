"""Order in space and in time of the calcium bidomain model, against solutions found by other means."""

from __future__ import annotations

import math

import numpy as np
import pytest
import scipy.linalg
import ufl
from dolfinx import fem, mesh
from mpi4py import MPI
from scipy.integrate import solve_ivp

from homfem.kinetics import TRIGGER_WAVE, MembraneKinetics, li_rinzel, membrane_from_rates, resting_state
from homfem.macro.calcium import CalciumProblem, run_calcium
from homfem.solve import integrate
from homfem.tensors import EffectiveTensor
from homfem.timestepping import TimeGrid

GAMMA_C, GAMMA_E, AREA = 0.75, 0.25, 1.5


def _tensor(name: str, fraction: float, diagonal) -> EffectiveTensor:
    matrix = np.diag(diagonal)
    return EffectiveTensor.measured(name, matrix, volume_fraction=fraction, dimension=len(matrix))


class Modes:
    """Linear exchange f = k X (e - c) with X' = r (X1 - X), and one cosine over a constant in c and in e.

    Constant and cosine evolve on their own: two systems of two ordinary equations with X(t) known, integrated by scipy
    to 1e-12. Diffusion and exchange do not commute, for A*/gamma_c differs from B*/gamma_e.
    """

    k, r, target, x0 = 0.8, 1.3, 0.9, 0.2
    mean, amplitude = (1.0, 4.0), (0.7, -1.5)
    numbers = (1, 2, 1)
    a, b = np.array([0.06, 0.03, 0.02]), np.array([0.004, 0.01, 0.005])

    def __init__(self, domain, density: float = 1.3) -> None:
        self.domain, self.dimension, self.density = domain, domain.topology.dim, density
        self.waves = np.pi * np.array(self.numbers[: self.dimension])

    def shape(self, x):
        return np.prod([np.cos(q * x[i]) for i, q in enumerate(self.waves)], axis=0)

    def problem(self) -> CalciumProblem:
        d = self.dimension
        kinetics = MembraneKinetics(
            name="linear exchange",
            states=("x",),
            flux=lambda c, e, x, p: self.k * x[0] * (e - c),
            relaxation=lambda c, e, x, p: (np.full_like(x, self.r), np.full_like(x, self.target)),
            steady=lambda c, e, p: np.full((1, c.size), self.target),
        )
        return CalciumProblem(
            mesh=self.domain,
            cytosol=_tensor("cytosol", GAMMA_C, self.a[:d]),
            er=_tensor("er", GAMMA_E, self.b[:d]),
            kinetics=kinetics,
            ip3=0.0,
            initial_cytosol=lambda x: self.mean[0] + self.amplitude[0] * self.shape(x),
            initial_er=lambda x: self.mean[1] + self.amplitude[1] * self.shape(x),
            initial_states={"x": self.x0},
            interface_area=AREA,
            density=self.density,
        )

    def exact(self, time: float):
        """Constant and amplitude of c, then of e."""
        answer = []
        for decay, start in ((0.0, self.mean), (1.0, self.amplitude)):
            rates = [decay * float(self.waves**2 @ m[: self.dimension]) for m in (self.a, self.b)]

            def right(t, y, rates=rates):
                x = self.target + (self.x0 - self.target) * math.exp(-self.r * t)
                g = self.density * AREA * self.k * x * (y[1] - y[0])
                return [(-rates[0] * y[0] + g) / GAMMA_C, (-rates[1] * y[1] - g) / GAMMA_E]

            answer.append(solve_ivp(right, (0, time), start, rtol=1e-12, atol=1e-13, method="DOP853").y[:, -1])
        return answer

    def errors(self, result, time: float) -> list[float]:
        """L2 errors of c and e, by quadrature of the analytic solution on the mesh."""
        x = ufl.SpatialCoordinate(self.domain)
        shape = math.prod([ufl.cos(float(q) * x[i]) for i, q in enumerate(self.waves)], start=ufl.as_ufl(1.0))
        mean, amplitude = self.exact(time)
        measure = ufl.dx(metadata={"quadrature_degree": 6})
        errors = []
        for field, function in enumerate((result.cytosol, result.er)):
            constants = [fem.Constant(self.domain, float(v)) for v in (mean[field], amplitude[field])]
            difference = function - constants[0] - constants[1] * shape
            errors.append(math.sqrt(integrate(difference**2 * measure)))
        return errors


def _mesh(dimension: int, cells: int):
    if dimension == 1:
        return mesh.create_unit_interval(MPI.COMM_SELF, cells)
    if dimension == 2:
        return mesh.create_unit_square(MPI.COMM_SELF, cells, cells)
    return mesh.create_unit_cube(MPI.COMM_SELF, cells, cells, cells)


@pytest.mark.parametrize(("dimension", "cells", "cap"), [(1, (16, 32), 2e-4), (2, (16, 32), 7e-4), (3, (12, 24), 1e-3)])
def test_second_order_in_space(dimension, cells, cap):
    errors = []
    for number in cells:
        modes = Modes(_mesh(dimension, number))
        errors.append(modes.errors(run_calcium(modes.problem(), TimeGrid(end=0.5, step=0.0125)), 0.5))
    rates = np.log2(np.array(errors[0]) / np.array(errors[1]))
    assert rates == pytest.approx([2.0, 2.0], abs=0.12)
    assert max(errors[1]) < cap


@pytest.mark.parametrize(
    ("splitting", "order", "cap"), [("godunov", 1, 2e-2), ("strang", 2, 4e-4)], ids=["godunov", "strang"]
)
def test_order_in_time_linear(splitting, order, cap):
    """1D, on a mesh so fine that what it leaves is far below the errors in time."""
    modes = Modes(_mesh(1, 1000))
    errors = [
        modes.errors(run_calcium(modes.problem(), TimeGrid(end=1.0, step=step), splitting=splitting), 1.0)
        for step in (0.1, 0.05)
    ]
    rates = np.log2(np.array(errors[0]) / np.array(errors[1]))
    assert rates == pytest.approx([order, order], abs=0.15)
    assert max(errors[1]) < cap


def _semidiscrete(points, diffusivities, ip3, density, start, time):
    """The same equations on a line by numpy and scipy: consistent P1, exchange at the nodes, stiff solver."""
    n, h = points.size, np.diff(points)
    mass, stiffness = np.zeros((n, n)), np.zeros((n, n))
    for k in range(n - 1):
        block = np.ix_([k, k + 1], [k, k + 1])
        mass[block] += h[k] / 6 * np.array([[2, 1], [1, 2]])
        stiffness[block] += 1 / h[k] * np.array([[1, -1], [-1, 1]])
    spread = -scipy.linalg.solve(mass, stiffness)
    r, p, relative = TRIGGER_WAVE, ip3(points[None]), density(points[None])
    c1 = GAMMA_E / GAMMA_C

    def right(_t, y):
        c, e, h = y.reshape(3, n)
        m = p / (p + r.d1) * c / (c + r.d5)
        j = relative * ((r.v1 * (m * h) ** 3 + r.v2) * c1 * (e - c) - r.v3 * c**2 / (r.k3**2 + c**2))
        q2 = r.d2 * (p + r.d1) / (p + r.d3)
        dc, de = diffusivities[0] * spread @ c + j, diffusivities[1] * spread @ e - j / c1
        return np.concatenate([dc, de, r.a2 * (q2 - (q2 + c) * h)])

    return (
        solve_ivp(right, (0, time), np.concatenate(start), method="BDF", rtol=1e-9, atol=1e-11).y[:, -1].reshape(3, n)
    )


@pytest.mark.parametrize(
    ("splitting", "subcycles", "order", "cap", "varying"),
    [
        ("godunov", 1, 1, 4e-2, 0.0),
        ("strang", 1, 2, 1.2e-4, 0.0),
        ("strang", 3, 2, 9e-5, 0.0),
        ("strang", 1, 2, 2e-4, 1.0),
    ],
)
def test_order_in_time_of_a_wave(splitting, subcycles, order, cap, varying):
    """A travelling wave of the full kinetics against the method of lines with scipy's BDF; IP3 and density may vary."""
    membrane = membrane_from_rates(TRIGGER_WAVE, cytosol_fraction=GAMMA_C, er_fraction=GAMMA_E, interface_area=AREA)
    rest = resting_state(membrane, total=3 * GAMMA_C, cytosol_fraction=GAMMA_C, er_fraction=GAMMA_E, ip3=0.3)
    line = mesh.create_interval(MPI.COMM_SELF, 40, [0.0, 80.0])
    bump = lambda x: rest.cytosol + 0.9 * np.exp(-((x[0] / 12.0) ** 2))  # noqa: E731
    ip3 = lambda x: 0.3 + 0.05 * varying * np.sin(x[0] / 9.0)  # noqa: E731
    density = lambda x: 1.0 + 0.2 * varying * np.cos(x[0] / 7.0)  # noqa: E731
    problem = CalciumProblem(
        mesh=line,
        cytosol=_tensor("cytosol", GAMMA_C, [20.0 * GAMMA_C]),
        er=_tensor("er", GAMMA_E, [10.0 * GAMMA_E]),
        kinetics=li_rinzel(membrane),
        ip3=ip3,
        initial_cytosol=bump,
        initial_er=rest.er,
        initial_states={"h": rest.inactivation},
        interface_area=AREA,
        density=density,
    )
    end = 2.0
    errors = []
    for step in (0.05, 0.025):
        result = run_calcium(
            problem, TimeGrid(end=end, step=step), splitting=splitting, subcycles=subcycles, rtol=1e-10
        )
        x = result.cytosol.function_space.tabulate_dof_coordinates()[:, 0]
        sort = np.argsort(x)
        if not errors:
            start = [bump(x[None, sort]), np.full(x.size, rest.er), np.full(x.size, rest.inactivation)]
            reference = _semidiscrete(x[sort], (20.0, 10.0), ip3, density, start, end)
            assert np.ptp(reference[0]) > 0.5
        found = [f.x.array[sort] for f in (result.cytosol, result.er, result.states["h"])]
        errors.append([np.abs(a - b).max() / np.abs(b).max() for a, b in zip(found, reference, strict=True)])
    rates = np.log2(np.array(errors[0]) / np.array(errors[1]))
    assert rates == pytest.approx([order] * 3, abs=0.2)
    assert max(errors[1]) < cap


@pytest.mark.parametrize("threshold", [0.3, 0.7])
def test_activation_times_of_a_front_at_its_exact_speed(threshold):
    r"""Nagumo's :math:`c_t = Dc_{xx} + kc(1-c)(c-a)` has the front :math:`c = 1/(1+e^{(x-vt-x_0)/w})`,
    :math:`w = \sqrt{2D/k}`, :math:`v = (1-2a)\sqrt{kD/2}` (Murray, Mathematical Biology I, 13.5).
    """
    d, k, a, first = 20.0, 10.0, 0.2, 15.0
    width, speed = math.sqrt(2 * d / k), (1 - 2 * a) * math.sqrt(k * d / 2)
    kinetics = MembraneKinetics(
        name="nagumo",
        states=(),
        flux=lambda c, e, x, p: GAMMA_C / AREA * k * c * (1 - c) * (c - a),
        relaxation=lambda c, e, x, p: (x, x),
        steady=lambda c, e, p: np.empty((0, c.size)),
    )
    problem = CalciumProblem(
        mesh=mesh.create_interval(MPI.COMM_SELF, 300, [0.0, 60.0]),
        cytosol=_tensor("cytosol", GAMMA_C, [d * GAMMA_C]),
        er=_tensor("er", GAMMA_E, [0.1]),
        kinetics=kinetics,
        ip3=0.0,
        initial_cytosol=lambda x: 1.0 / (1.0 + np.exp((x[0] - first) / width)),
        initial_er=50.0,
        interface_area=AREA,
    )
    grid = TimeGrid(start=-1.0, end=4.0, step=0.02)
    found = run_calcium(problem, grid, threshold=threshold).activation
    x = found.function_space.tabulate_dof_coordinates()[:, 0]
    exact = grid.start + np.maximum(0.0, (x - first - width * math.log(1 / threshold - 1)) / speed)
    reached = exact < grid.end - 0.1
    assert np.count_nonzero(reached) > 200
    assert np.isinf(found.x.array[exact > grid.end + 0.1]).all()
    assert found.x.array[reached] == pytest.approx(exact[reached], abs=grid.step / 10)
