r"""The diffusion cell problem on the symmetric part of a cell: what the coefficients allow, and which loads are left.

With mirrors across every axis :math:`D^*` is diagonal: :math:`e_i\cdot D^*e_j` changes its sign with :math:`e_i` and is
that of the same medium. Axes that an exchange takes to each other have equal entries, so that one load serves them:
for a cubic cell one of three, on an eighth of the mesh. A bound of :math:`e_1\cdot D^*e_1` then is one of the others as
well, on whatever mesh it was found.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from homfem.cells.symmetry import CellSymmetry, find_symmetry, symmetric_part
from homfem.cells.unitcell import UnitCell
from homfem.local.diffusion import Coefficient
from homfem.parameters import Array, check_spd

SYMMETRIES = ("none", "auto")
#: Entries of a coefficient smaller than this times the largest are zero.
_ROUND_OFF = 1e-14


@dataclass(frozen=True, kw_only=True, slots=True)
class Loads:
    """The unit loads that are solved.

    Parameters
    ----------
    axes
        The axis of each.
    of_axis
        For each axis the number of the load that serves it.
    """

    axes: tuple[int, ...]
    of_axis: tuple[int, ...]

    @classmethod
    def every(cls, dimension: int) -> Loads:
        """Return one load for each axis."""
        return cls(axes=tuple(range(dimension)), of_axis=tuple(range(dimension)))

    def tensor(self, average: Array) -> Array:
        """Return the tensor of shape (d, d) from that of the loads."""
        if len(self.axes) == len(self.of_axis):
            return average
        return np.diag(np.diag(average)[list(self.of_axis)])


def symmetric_cell(cell: UnitCell, coefficients: Mapping[str, Coefficient]) -> tuple[UnitCell, Loads, CellSymmetry]:
    """Return the part of a cell that has to be solved, and for which loads; collective.

    Parameters
    ----------
    cell
        Restricted to the phases that conduct.
    coefficients
        Of each of its phases. A function of position is taken to have no symmetry.
    """
    d = cell.dimension
    reasons: dict[int, str] = {}
    pairs = list(combinations(range(d), 2))
    for name in cell.phase_names:
        value = coefficients[name]
        if callable(value):
            reasons = dict.fromkeys(range(d), f"the coefficient of {name!r} is a function of position")
            break
        matrix = check_spd(f"coefficients[{name!r}]", value, d)
        small = _ROUND_OFF * np.abs(matrix).max()
        for axis in range(d):
            if np.abs(np.delete(matrix[axis], axis)).max() > small:
                reasons.setdefault(axis, f"the coefficient of {name!r} is not its mirror image")
        pairs = [(i, j) for i, j in pairs if abs(matrix[i, i] - matrix[j, j]) <= small]
    symmetry = find_symmetry(cell, reasons=reasons, pairs=pairs)
    axes = tuple(sorted(set(symmetry.first_axis)))
    loads = Loads(axes=axes, of_axis=tuple(axes.index(first) for first in symmetry.first_axis))
    return symmetric_part(cell, symmetry), loads, symmetry
