"""The one call for every physics, with a physics from outside the package."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest

from homfem import certify
from homfem.local.diffusion import diffusion_coefficient, diffusion_problem
from homfem.local.engine import solve_correctors
from homfem.parameters import InputError
from homfem.tensors import EffectiveTensor
from made_cells import grid_cell


@dataclass(frozen=True, kw_only=True, eq=False)
class OneSided(certify.MeshSolution):
    """One side of :class:`Slabs` on one mesh."""

    def gaps(self):
        raise NotImplementedError

    def geometric_error(self):
        return 0.0


@dataclass(frozen=True, kw_only=True)
class Slabs:
    """A physics from outside: diffusion across slabs, solved from one side."""

    coefficients: dict
    sampled = False

    def prepared(self, cell, accuracy):
        return self, accuracy.plan(degree=accuracy.degree or 1, two_sided=False, backend="identified")

    def active(self, cell):
        return cell.restrict(list(self.coefficients))

    def loads(self, dimension):
        return tuple(range(dimension))

    def symmetric(self, active):
        raise InputError("symmetry", "auto", "'none'")

    def solve(self, cell, loads, plan):
        problem = diffusion_problem(
            cell, diffusion_coefficient(cell, self.coefficients), degree=plan.degree, axes=loads
        )
        found = solve_correctors(cell, problem, rtol=plan.rtol)
        return OneSided(tensor=EffectiveTensor(value=found.average), cell=cell, correctors=found)

    def record(self, cell):
        return {"unit": "um^2/s", "active_phases": tuple(self.coefficients)}


def test_a_physics_from_outside_is_solved_by_the_same_call():
    cell = grid_cell((4, 3), lambda s: s[:, 0] > 0.5, names=("a", "b"))
    found = certify.solve_cell(
        cell, Slabs(coefficients={"a": 1.0, "b": 3.0}), certify.Accuracy(rtol=1e-12), config={"key": 1}
    )
    assert found.tensor.value == pytest.approx(np.diag([1.5, 2.0]), abs=1e-10)
    assert (found.tensor.unit, dict(found.tensor.config)) == ("um^2/s", {"key": 1})
    assert found.tensor.reached
    assert found.tensor.dofs == found.correctors.dofs == 12
    assert len(found.history) == 1
    with pytest.raises(InputError, match="symmetry"):
        certify.solve_cell(cell, Slabs(coefficients={"a": 1.0, "b": 3.0}), certify.Accuracy(symmetry="auto"))
