"""The part of a cell in which the fluid flows, where other phases carry a solute that does not move with it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from dolfinx import fem

from homfem import _dolfinx, solve
from homfem.cells.unitcell import UnitCell
from homfem.certify.adapt import on_root
from homfem.parameters import Array


def fluid_part(cell: UnitCell, fluid: Sequence[str]) -> UnitCell:
    """Return the cell restricted to the phases that flow, the cell itself where all do; collective."""
    return cell.restrict([name for name in cell.phase_names if name in fluid])


def extended(velocity: fem.Function, part: UnitCell, cell: UnitCell) -> fem.Function:
    """Return a velocity of a part on the whole cell, zero outside, as a discontinuous function; collective.

    A velocity that passes no wall of the part, and has no divergence there, has none in the whole cell.

    Parameters
    ----------
    velocity
        A vector of Lagrange's elements, continuous or not, on ``part.mesh``.
    part, cell
        The part, of :func:`fluid_part`, and the cell. Of one and the same cell the velocity is returned as it is.
    """
    if part is cell:
        return velocity
    d, degree = cell.dimension, int(velocity.function_space.ufl_element().degree)
    broken = fem.Function(solve.function_space(part.mesh, "DG", degree, (d,)))
    broken.interpolate(velocity)
    owned = part.mesh.topology.index_map(d).size_local
    inside = on_root(part, broken.x.array.reshape(-1, d)[broken.function_space.dofmap.list[:owned]])
    result = fem.Function(solve.function_space(cell.mesh, "DG", degree, (d,)), name=velocity.name)
    number = _dolfinx.original_cell_index(cell.mesh)
    result.x.array.reshape(-1, d)[result.function_space.dofmap.list] = _everywhere(part, cell, inside)[number]
    return result


def _everywhere(part: UnitCell, cell: UnitCell, inside: Array) -> Array:
    """Rows of the mesh cells of a part, known on rank 0, among zeros in the order of those of the whole; collective."""
    every = None
    if cell.raw is not None:
        chosen = np.isin(cell.raw.phase_of_cell, list(part.phases.values()))
        every = np.zeros((len(chosen), *inside.shape[1:]))
        every[chosen] = inside
    return np.asarray(cell.comm.bcast(every, root=0))
