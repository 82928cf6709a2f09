"""A flow with what diffuses in it, on one mesh: what bounds of dispersion are made of."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import ufl
from dolfinx import fem

from homfem import solve
from homfem.cells.unitcell import UnitCell
from homfem.parameters import Array


@dataclass(frozen=True, kw_only=True, eq=False)
class Stream:
    """A flow with what diffuses in it, on one mesh and in its units.

    Parameters
    ----------
    cell
        Restricted to the phases that carry it, whole, of straight simplices.
    coefficient
        Diffusivity, constant on each mesh cell.
    velocity
        Without divergence and linear on each mesh cell (:func:`homfem.certify.dispersion.velocity.solenoidal`).
    uncertainty
        How far from it one without any jump may be, in the mean square.
    capacity
        What a unit of volume holds at the concentration 1, constant on each mesh cell; 1 by default.
    wall_capacity
        What a unit of area of the walls holds, of the mesh cell beside it or of all; none by default.
    """

    cell: UnitCell
    coefficient: fem.Function
    velocity: fem.Function
    uncertainty: float = 0.0
    capacity: fem.Function | None = None
    wall_capacity: fem.Function | fem.Constant | None = None

    @cached_property
    def density(self) -> fem.Function:
        """The capacity of each mesh cell."""
        return self._per_cell(1.0) if self.capacity is None else self.capacity

    @cached_property
    def sorption(self) -> fem.Function:
        """The capacity of the walls, on each mesh cell."""
        if isinstance(self.wall_capacity, fem.Function):
            return self.wall_capacity
        return self._per_cell(0.0 if self.wall_capacity is None else float(self.wall_capacity.value))

    def _per_cell(self, value: float) -> fem.Function:
        result = fem.Function(solve.function_space(self.cell.mesh, "DG", 0))
        result.x.array[:] = value
        return result

    def held(self, w: Any) -> ufl.Form:
        r"""Return the form :math:`m(w)`."""
        return self.density * w * ufl.dx + self.sorption * w * ufl.ds

    @cached_property
    def measure(self) -> float:
        """m(1); collective."""
        one = fem.Constant(self.cell.mesh, 1.0)
        form = solve.compile_formula(
            ("stream", "measure"),
            lambda: self.held(one),
            solve.Terminals(mesh=self.cell.mesh, functions=[self.density, self.sorption], constants=[one]),
        )
        return solve.integral(form)()

    @cached_property
    def mean(self) -> Array:
        """V, over the measure; collective."""
        mesh, v, d = self.cell.mesh, self.velocity, self.cell.dimension
        axis = fem.Constant(mesh, np.zeros(d))
        form = solve.compile_formula(
            ("stream", "mean"),
            lambda: ufl.inner(v, axis) * ufl.dx,
            solve.Terminals(mesh=mesh, functions=[v], constants=[axis]),
        )
        value, result = solve.integral(form), []
        for unit in np.eye(d):
            axis.value[:] = unit
            result.append(value())
        return np.array(result) / self.measure
