"""What a physics gives :func:`homfem.certify.loop.solve_cell`, and what solving it gives."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, Self, TypeVar

from dolfinx import fem

from homfem.cells.symmetry import CellSymmetry
from homfem.cells.unitcell import UnitCell
from homfem.certify.accuracy import Accuracy, Plan
from homfem.local.problem import Correctors
from homfem.parameters import Array
from homfem.tensors import EffectiveTensor

L = TypeVar("L")


class Side(Protocol):
    """One side of a bracket: fields, one for each load, their energies, and what they took."""

    @property
    def functions(self) -> Sequence[Any]:
        """The field of each load."""

    @property
    def average(self) -> Array:
        """The tensor of the energies, shape (loads, loads)."""

    @property
    def dofs(self) -> int:
        """Number of independent unknowns."""

    @property
    def iterations(self) -> int:
        """Iterations, summed over the loads."""

    @property
    def seconds(self) -> Mapping[str, float]:
        """Wall time by stage."""


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class MeshSolution(ABC):
    """A cell problem solved on one mesh, from one side or from both.

    Parameters
    ----------
    tensor
        Value and bounds, or ``estimated_error`` in their place, and further coefficients.
    cell
        The cell with the mesh of the correctors.
    correctors
        The conforming correctors.
    dual
        The other side: fluxes, stresses or correctors that do not conform; None with one side alone.
    compared
        What an estimate compares the correctors with.
    series
        Tensors for several numbers of the input, ``tensor`` among them.
    seconds
        Wall time of stages beside the solves.
    """

    tensor: EffectiveTensor
    cell: UnitCell
    correctors: Correctors
    dual: Any = None
    compared: Correctors | None = None
    series: tuple[EffectiveTensor, ...] = ()
    seconds: Mapping[str, float] = field(default_factory=dict)

    @abstractmethod
    def gaps(self) -> Array:
        """Return the part of the gap (or the estimate) in each mesh cell of ``raw``, on rank 0; collective."""

    @abstractmethod
    def geometric_error(self) -> float:
        """Return an estimate of what straight facets change in the tensor; collective."""

    def geometric_errors(self, own: float) -> tuple[float, ...]:
        """Return the same for each of the series; ``own`` is that of the tensor. Collective."""
        return (own,) * len(self.series)

    @property
    def proved(self) -> bool:
        """Whether ``estimated_error`` is a bound of a tensor that has none in the Loewner order."""
        return False

    @property
    def sides(self) -> list[Side]:
        """What was solved."""
        return [side for side in (self.correctors, self.dual, self.compared) if side is not None]


class Physics(Protocol[L]):
    """A cell problem with its coefficients: plain data. ``L`` says which unit loads are solved."""

    def prepared(self, cell: UnitCell, accuracy: Accuracy) -> tuple[Self, Plan]:
        """Refuse what does not go together; return the physics in the names of the cell, and the plan."""

    def active(self, cell: UnitCell) -> UnitCell:
        """Return the part of the cell that carries the fields, without islands; collective."""

    def loads(self, dimension: int) -> L:
        """Return all loads."""

    def symmetric(self, active: UnitCell) -> tuple[UnitCell, L, CellSymmetry]:
        """Return the part between the mirror planes, the loads that are left, and what was found; collective."""

    def solve(self, cell: UnitCell, loads: L, plan: Plan) -> MeshSolution:
        """Solve on one mesh: the largest system first, so that what is too large is refused at once; collective."""

    def record(self, cell: UnitCell) -> dict[str, Any]:
        """Return what the tensor keeps of the input."""

    @property
    def sampled(self) -> bool:
        """Whether a coefficient is a function of position: the bounds then are not those of the medium."""


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class CellSolution:
    """An effective tensor together with the fields that it was averaged from, of any physics.

    Parameters
    ----------
    tensor
        The result.
    cell
        The cell that was solved, restricted to its active phases and refined; for the bounds of flows split at the
        barycentres.
    correctors
        The conforming correctors, in mesh units: of diffusion potentials, of elasticity displacements, then those of
        further loads. Of a flow ``correctors.functions[j]`` is the pair of velocity and pressure that the unit force
        along axis j drives, for the viscosity 1: a velocity in physical units is ``cell.length**2`` times it.
    dual
        The other side, None without: of diffusion fluxes or Crouzeix-Raviart correctors, of elasticity stresses, of a
        flow Crouzeix and Raviart's.
    history
        For each mesh of the adaptive loop: mesh cells, dofs of the larger system, relative half-gap or estimated error,
        seconds.
    symmetry
        What was found with ``symmetry="auto"``, else None. ``cell`` is the part between the mirror planes then, and
        the fields have one load for each group of axes that are alike.
    series
        One tensor for each of several numbers of the input, such as Peclet numbers, in their order.
    solved
        All that the physics knows of the last mesh.
    """

    tensor: EffectiveTensor
    cell: UnitCell
    correctors: Correctors
    dual: Any
    history: tuple[Mapping[str, float], ...]
    symmetry: CellSymmetry | None = None
    series: tuple[EffectiveTensor, ...] = ()
    solved: MeshSolution | None = None


def sampled(coefficients: Mapping[str, Any]) -> bool:
    """Return whether a coefficient is a function of position."""
    return any(callable(value) for value in coefficients.values())


def owned_values(cell: UnitCell, coefficient: fem.Function) -> Array:
    """Return a coefficient on each owned mesh cell, shape (n, m)."""
    owned = cell.mesh.topology.index_map(cell.dimension).size_local
    return coefficient.x.array.reshape(len(cell.phase_of_cell), -1)[:owned]
