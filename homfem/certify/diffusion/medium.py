"""A cell with its diffusivity and its membranes on one mesh: what both sides of the bounds are solved on."""

from __future__ import annotations

from dataclasses import dataclass

from dolfinx import fem

from homfem.cells.unitcell import UnitCell
from homfem.certify.physics import owned_values
from homfem.certify.symmetry import Loads
from homfem.local import roundoff
from homfem.local.diffusion import diffusion_problem
from homfem.local.membranes import Membranes, crossing_strength, membrane_problem
from homfem.local.problem import CellProblem, Correctors
from homfem.parameters import Array


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Medium:
    """What conducts, on one mesh.

    Parameters
    ----------
    cell
        Restricted to the phases that conduct.
    coefficient
        Diffusivity, constant on each mesh cell.
    membranes
        Where the flux is resisted, if anywhere.
    loads
        The unit gradients.
    backend, boundary
        What the problems are solved with.
    """

    cell: UnitCell
    coefficient: fem.Function
    membranes: Membranes | None
    loads: Loads
    backend: str
    boundary: str

    @property
    def axes(self) -> list[tuple[int]]:
        """The axis that each load needs."""
        return [(axis,) for axis in self.loads.axes]

    def problem(self, element: str, degree: int) -> CellProblem:
        """Return the cell problem in an element, ``"Lagrange"`` or ``"CR"``."""
        if self.membranes is not None:
            return membrane_problem(self.cell, self.coefficient, self.membranes, element=element, degree=degree)
        return diffusion_problem(
            self.cell,
            self.coefficient,
            element=element,
            degree=degree,
            axes=self.loads.axes,
            backend=self.backend,
            boundary=self.boundary,
        )

    def noise(self, correctors: Correctors) -> Array:
        """Return what round-off can have done to the energies of correctors; collective."""
        largest = roundoff.largest(owned_values(self.cell, self.coefficient), self.cell.dimension)
        jumps = 0.0 if self.membranes is None else crossing_strength(self.cell, self.membranes)
        return roundoff.of_correctors(self.cell, largest, correctors, self.axes, jumps)
