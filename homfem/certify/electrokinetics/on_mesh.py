"""A charged cell solved on one mesh: its bounds or its estimate, and where they are."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from homfem.cells.unitcell import UnitCell
from homfem.certify.electrokinetics.bounds import Lower
from homfem.certify.electrokinetics.change import Change, Response
from homfem.certify.electrokinetics.gap import electrokinetic_gaps
from homfem.certify.electrokinetics.geometry import matrix_changes
from homfem.certify.electrokinetics.matrix import confined
from homfem.certify.physics import MeshSolution
from homfem.local.electrokinetics import cells_within
from homfem.local.problem import Correctors
from homfem.parameters import Array
from homfem.ranks import collective


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Sides:
    """Both bounds in mesh units, in the variables of the virtual bath, with the fields that they are of."""

    lower: Array
    upper: Array
    dual: Correctors
    fields: Lower


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class ElectrokineticsOnMesh(MeshSolution):
    """A charged cell solved on one mesh.

    ``forces`` are those of unit fields, of which the conductivity is; ``conducting`` makes it of a matrix of Onsager in
    mesh units.
    """

    response: Response
    whole: UnitCell
    change: Change | None
    bounded: Sides | None
    forces: Array | None
    conducting: Array

    def gaps(self) -> Array:
        """Return the part of the estimate, or of the gap of the conductivity, in each mesh cell, on rank 0."""
        if self.bounded is None or self.forces is None:
            assert self.change is not None  # or else no tolerance was asked for
            return self.change.parts
        own = electrokinetic_gaps(self.bounded.dual, self.bounded.fields, self.forces)
        size = np.einsum("na,ab,nb->n", self.forces, self.bounded.upper, self.forces)
        part = (own / np.where(size > 0.0, size, 1.0)[:, None]).sum(axis=0)
        result = np.zeros(0)
        with collective(self.whole.comm):
            if self.whole.raw is not None and self.cell.raw is not None:
                result = np.zeros(len(self.whole.raw.cells))
                result[cells_within(self.whole.raw, self.cell.raw)] = part
        return result

    def geometric_error(self) -> float:
        """Return an estimate of what straight facets on curved walls change in the conductivity; collective."""
        changes = matrix_changes(self.whole, self.cell, self.response)
        of = [self.conducting @ confined(self.cell, change) @ self.conducting.T for change in changes]
        return float(sum(np.linalg.norm(one, 2) for one in of))
