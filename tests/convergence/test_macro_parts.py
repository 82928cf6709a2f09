"""The shared parts of macroscale models together: a monodomain of a few lines on them, against exact fronts."""

from __future__ import annotations

import math

import numpy as np
import pytest
from dolfinx import fem
from mpi4py import MPI

from homfem.bodies import box_mesh
from homfem.kinds import CONDUCTIVITY
from homfem.kinetics import FITZHUGH_NAGUMO
from homfem.macro.coefficients import tensor_coefficient
from homfem.macro.domain import Domain
from homfem.macro.fibres import FibreFrame
from homfem.macro.linear import BoundedDiffusionStep, LinearProblem
from homfem.macro.march import march
from homfem.macro.observers import Activation
from homfem.macro.reaction import NodalReaction
from homfem.macro.state import StateField, Units
from homfem.macro.stimulus import NodalStimulus, Region, Stimulus
from homfem.timestepping import STRANG, Schedule, TimeGrid, advance


class Monodomain:
    """C V_t = div(sigma grad V) + C (k V (V - a)(1 - V) - w + stimulus), sigma in mS/mm along fibres, C in uF/mm^3."""

    name = "monodomain"
    units = Units(time="ms", length="mm", fields={"V": ""})

    def __init__(self, domain, sigma, *, capacity, step, stimuli=(), parameters=None):
        self.comm, self.seconds = domain.comm, {}
        self.space = fem.functionspace(domain.mesh, ("Lagrange", 1))
        self.dofs = self.space.dofmap.index_map.size_global
        self.potential = fem.Function(self.space, name="V")
        self.values = self.potential.x.array[: self.space.dofmap.index_map.size_local]
        coefficient = tensor_coefficient("sigma", domain, sigma, CONDUCTIVITY, unit="mS/mm", axes="fibre")
        problem = LinearProblem(domain=domain, space=self.space, coefficient=coefficient, capacity=capacity)
        self.diffusion, self.step = BoundedDiffusionStep(problem, step=step), step
        self.reaction = NodalReaction(
            FITZHUGH_NAGUMO,
            {"V": self.values},
            parameters=parameters,
            sources={"V": NodalStimulus(domain, self.space, stimuli)},
        )

    def advance(self, time):
        diffuse = lambda t, _step: self.diffusion.apply(self.potential.x.petsc_vec, t)  # noqa: E731
        advance(STRANG, {"reaction": self.reaction.step, "diffusion": diffuse}, time, self.step)

    def measure(self):
        return {"largest": (float(self.values.max(initial=-np.inf)), "max")}

    def judge(self, time, numbers):
        assert numbers["largest"] < 1.2, time

    def fields(self):
        self.potential.x.scatter_forward()
        return {"V": self.potential}

    def state(self):
        return {"V": StateField(self.space, self.values), "w": StateField(self.space, self.reaction.states[0])}

    def identity(self):
        return {"model": self.name}


def speed(axis: int, fibre, length: float, step=0.05) -> float:
    """Of a front in a thin strip along an axis, between two thirds of its length."""
    sides, counts = [length / 240] * 2, [1, 1]
    sides[axis], counts[axis] = length, 240
    made = box_mesh(MPI.COMM_SELF, sides, counts)
    domain = Domain(mesh=made, unit="mm", fibres=FibreFrame.constant(made, fibre))
    domain = domain.with_regions({"end": lambda x: x[axis] < length / 8, "rest": lambda x: x[axis] > length / 8})
    pulse = Stimulus(place=Region(name="end"), amplitude=0.5, schedule=Schedule(duration=2.0))
    # No recovery to speak of: the front is Nagumo's.
    still = {"epsilon": 1e-12}
    model = Monodomain(domain, np.diag([1.0, 0.25]), capacity=2.0, step=step, stimuli=[pulse], parameters=still)
    activation = Activation("V", 0.5)
    march(model, TimeGrid(end=60.0, step=step), observers=[activation])
    x = model.space.tabulate_dof_coordinates()[:, axis]
    times = activation.times.x.array
    use = (x > length / 3) & (x < 2 * length / 3)
    return float(np.polyfit(times[use], x[use], 1)[0])


@pytest.mark.parametrize(("axis", "fibre", "diffusivity"), [(0, [1, 0], 0.5), (0, [0, 1], 0.125), (1, [0, 1], 0.5)])
def test_fronts_along_and_across_fibres_run_at_their_exact_speed(axis, fibre, diffusivity):
    """sqrt(D k/2) (1 - 2a), D = sigma/C."""
    exact = math.sqrt(0.5 * diffusivity) * (1.0 - 2.0 * 0.1)
    assert speed(axis, fibre, 24.0 * math.sqrt(2.0 * diffusivity)) == pytest.approx(exact, rel=5e-3)
