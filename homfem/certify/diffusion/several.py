"""Several diffusion problems in the same phases on one mesh, refined until the worst of them is good enough."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np

from homfem.cells.symmetry import CellSymmetry
from homfem.cells.unitcell import UnitCell
from homfem.certify.accuracy import Accuracy, Plan
from homfem.certify.diffusion.physics import Diffusion, DiffusionOnMesh
from homfem.certify.physics import MeshSolution, Side
from homfem.certify.symmetry import Loads, symmetric_cell
from homfem.parameters import Array
from homfem.tensors import EffectiveTensor


@dataclass(frozen=True, kw_only=True, slots=True)
class SeveralDiffusions:
    """Diffusion problems of one set of phases; each has its tensor in the ``series`` of the solution.

    ``tensor`` of the solution is the one with the widest bounds, over its least principal value: what the loop goes by.
    """

    problems: tuple[Diffusion, ...]

    def prepared(self, cell: UnitCell, accuracy: Accuracy) -> tuple[Self, Plan]:
        """Refuse what one of them refuses; return all of them, and the plan."""
        prepared = [problem.prepared(cell, accuracy) for problem in self.problems]
        return replace(self, problems=tuple(problem for problem, _ in prepared)), prepared[0][1]

    def active(self, cell: UnitCell) -> UnitCell:
        """Return what conducts, without islands; collective."""
        return self.problems[0].active(cell)

    def loads(self, dimension: int) -> Loads:
        """Return the unit gradients along all axes."""
        return self.problems[0].loads(dimension)

    def symmetric(self, active: UnitCell) -> tuple[UnitCell, Loads, CellSymmetry]:
        """Return the part between the mirror planes that all of them have; collective."""
        return symmetric_cell(active, *(problem.coefficients for problem in self.problems))

    def solve(self, cell: UnitCell, loads: Loads, plan: Plan) -> DiffusionsOnMesh:
        """Solve all of them on one mesh; collective."""
        solved = tuple(problem.solve(cell, loads, plan) for problem in self.problems)
        worst = max((_relative(one.tensor) for one in solved), key=lambda tensor: tensor.relative_gap or 0.0)
        last = solved[-1]
        return DiffusionsOnMesh(
            tensor=worst,
            cell=cell,
            correctors=last.correctors,
            dual=last.dual,
            series=tuple(one.tensor for one in solved),
            solved=solved,
            tolerance=plan.tolerance or 0.0,
        )

    def record(self, cell: UnitCell) -> dict[str, Any]:
        """Return what the tensors keep of the input."""
        return self.problems[0].record(cell)

    @property
    def sampled(self) -> bool:
        """Whether a coefficient is a function of position."""
        return any(problem.sampled for problem in self.problems)


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class DiffusionsOnMesh(MeshSolution):
    """Several diffusion problems on one mesh; ``correctors`` and ``dual`` are those of the last one."""

    solved: tuple[DiffusionOnMesh, ...]
    tolerance: float

    def gaps(self) -> Array:
        """Return the gaps of all that are too wide, each over its tensor, on rank 0; collective."""
        wide = [one for one in self.solved if (one.tensor.relative_gap or 0.0) > self.tolerance]
        return np.sum([one.gaps() / _least(one.tensor) for one in wide or self.solved], axis=0)

    def geometric_error(self) -> float:
        """Return the largest of all, over their tensors; collective."""
        return max(self._relative_geometric())

    def geometric_errors(self, own: float) -> tuple[float, ...]:
        """Return that of each; collective."""
        relative = self._relative_geometric()
        return tuple(error * _least(one.tensor) for error, one in zip(relative, self.solved, strict=True))

    def _relative_geometric(self) -> list[float]:
        return [one.geometric_error() / _least(one.tensor) for one in self.solved]

    @property
    def sides(self) -> list[Side]:
        """What was solved."""
        return [side for one in self.solved for side in one.sides]


def _least(tensor: EffectiveTensor) -> float:
    """The least principal value, of the directions in which anything flows."""
    values = np.abs(tensor.principal_values)
    return float(values[values > 1e-9 * values.max(initial=0.0)].min(initial=np.inf))


def _relative(tensor: EffectiveTensor) -> EffectiveTensor:
    size = _least(tensor)
    sides = {name: getattr(tensor, name) for name in ("value", "lower", "upper", "roundoff")}
    divided: dict[str, Any] = {name: side / size for name, side in sides.items() if side is not None}
    return replace(tensor, **divided)
