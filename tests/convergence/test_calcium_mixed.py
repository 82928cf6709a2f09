"""A homogenized region beside resolved cytosol: order across the interface, and a closed form at rest."""

from __future__ import annotations

import numpy as np
import pytest
from mpi4py import MPI

from homfem.macro.calcium import BoundaryFlux, CalciumProblem, run_calcium
from homfem.timestepping import TimeGrid
from two_regions import AREA, GAMMA_C, GAMMA_E, WALL, Mode, halves, linear, measured, unit_mesh


@pytest.mark.parametrize(
    ("dimension", "cells", "step", "cap"),
    [(1, (32, 64), 0.0025, 8e-5), (2, (16, 32), 0.02, 2e-4), (3, (8, 16), 0.05, 1.5e-3)],
)
def test_second_order_in_space_across_the_interface(dimension, cells, step, cap):
    """Capacity, tensor and reaction jump at the wall, where c goes on and e ends."""
    errors = []
    for number in cells:
        mode = Mode(unit_mesh(MPI.COMM_SELF, dimension, number))
        errors.append(mode.errors(run_calcium(mode.problem(), TimeGrid(end=0.5, step=step)), 0.5))
    rates = np.log2(np.array(errors[0]) / np.array(errors[1]))
    mean, largest = rates[::2], rates[1::2]
    assert mean == pytest.approx([2.0, 2.0], abs=0.12)
    assert (largest > 1.6).all()
    assert max(errors[1][::2]) < cap


@pytest.mark.parametrize(("splitting", "least"), [("godunov", 0.95), ("strang", 1.3)])
def test_order_in_time_across_the_interface(splitting, least):
    """A reaction that jumps in space costs Strang's splitting half an order, on meshes finer than a step diffuses."""
    errors = []
    for step in (0.05, 0.025):
        mode = Mode(unit_mesh(MPI.COMM_SELF, 1, 256))
        errors.append(mode.errors(run_calcium(mode.problem(), TimeGrid(end=0.5, step=step), splitting=splitting), 0.5))
    assert np.log2(errors[0][0] / errors[1][0]) > least
    assert np.log2(errors[0][2] / errors[1][2]) > least
    assert errors[1][0] < (1e-3 if splitting == "strang" else 5e-3)


def test_steady_diffusion_through_two_regions_in_closed_form():
    """q enters left and leaves right: slopes q/A and q/A~, and the calcium that was there; exact at the nodes."""
    q, free, cytosol = 0.3, 2.0, 0.9
    domain = halves(unit_mesh(MPI.COMM_SELF, 1, 24)).with_boundaries(
        {"left": lambda x: x[0] < 1e-9, "right": lambda x: x[0] > 1 - 1e-9}
    )
    problem = CalciumProblem(
        mesh=domain,
        cytosol={"cleft": free, "myo": measured("cytosol", GAMMA_C, [cytosol])},
        er={"myo": measured("er", GAMMA_E, [0.1])},
        kinetics=linear(1.0),
        density=0.0,
        ip3=0.0,
        initial_cytosol=1.0,
        initial_er=5.0,
        interface_area=AREA,
        fluxes=[BoundaryFlux(boundary="left", flux=q), BoundaryFlux(boundary="right", flux=-q)],
    )
    result = run_calcium(problem, TimeGrid(end=1e4, step=1e3), splitting="godunov", preconditioner="direct")
    x = result.cytosol.function_space.tabulate_dof_coordinates()[:, 0]
    profile = np.where(x <= WALL, -q / free * x, -q / free * WALL - q / cytosol * (x - WALL))
    right = 1.0 - WALL
    content = -q / free * WALL**2 / 2 - GAMMA_C * right * (q / free * WALL + q / cytosol * right / 2)
    constant = ((WALL + GAMMA_C * right) - content) / (WALL + GAMMA_C * right)
    assert result.cytosol.x.array == pytest.approx(constant + profile, rel=1e-12)
    assert result.er.x.array == pytest.approx(5.0, rel=1e-13)
    assert result.brought["left"][-1] == pytest.approx(3e3, rel=1e-12)
