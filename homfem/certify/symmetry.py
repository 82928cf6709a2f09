r"""Cell problems on the symmetric part of a cell: what the coefficients allow, and which loads are left.

**Diffusion.** With mirrors across every axis :math:`D^*` is diagonal: :math:`e_i\cdot D^*e_j` changes its sign with
:math:`e_i` and is that of the same medium. Axes that an exchange takes to each other have equal entries, so that one
load serves them: for a cubic cell one of three, on an eighth of the mesh. A bound of :math:`e_1\cdot D^*e_1` then is
one of the others as well, on whatever mesh it was found.

**Stokes flow.** The permeability is a diagonal tensor with mirrors across every axis in the same way.

**Elasticity.** The strains along the axes answer every mirror alike and have one matrix; each shear answers them in a
way of its own, and with mirrors across every axis it has no energy together with another strain. Equal axes leave one
shear for all that they are in: for a cubic cell four loads of six, with two matrices, on an eighth of the mesh. The
block of the strains along the axes is solved as a whole: its bounds hold in the Loewner order, and still do for its
mean over the exchanges of equal axes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import combinations, permutations

import numpy as np

from homfem.cells.symmetry import CellSymmetry, find_symmetry, symmetric_part
from homfem.cells.unitcell import UnitCell
from homfem.local.diffusion import Coefficient, varies
from homfem.local.elasticity import Stiffness, strain_parity
from homfem.local.elasticity import varies as stiffness_varies
from homfem.parameters import Array, check_spd
from homfem.stiffness import PAIRS, stiffness

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
    def of(cls, first_axis: tuple[int, ...]) -> Loads:
        """Return one load for each axis that is not an image of another."""
        axes = tuple(sorted(set(first_axis)))
        return cls(axes=axes, of_axis=tuple(axes.index(first) for first in first_axis))

    def tensor(self, average: Array) -> Array:
        """Return the tensor of shape (d, d) from that of the loads."""
        if len(self.axes) == len(self.of_axis):
            return average
        return np.diag(np.diag(average)[list(self.of_axis)])


def symmetric_cell(
    cell: UnitCell, coefficients: Mapping[str, Coefficient], *others: Mapping[str, Coefficient]
) -> tuple[UnitCell, Loads, CellSymmetry]:
    """Return the part of a cell that has to be solved, and for which loads; collective.

    Parameters
    ----------
    cell
        Restricted to the phases that conduct.
    coefficients
        Of each of its phases. A function of position is taken to have no symmetry.
    others
        Those of further problems on the same part.
    """
    d = cell.dimension
    reasons: dict[int, str] = {}
    pairs = list(combinations(range(d), 2))
    for name, value in ((name, table[name]) for table in (coefficients, *others) for name in cell.phase_names):
        if varies(cell, name, value):
            reasons = dict.fromkeys(range(d), f"the coefficient of {name!r} is a function of position")
            break
        matrix = check_spd(f"coefficients[{name!r}]", value, d)
        small = _ROUND_OFF * np.abs(matrix).max()
        for axis in range(d):
            if np.abs(np.delete(matrix[axis], axis)).max() > small:
                reasons.setdefault(axis, f"the coefficient of {name!r} is not its mirror image")
        pairs = [(i, j) for i, j in pairs if abs(matrix[i, i] - matrix[j, j]) <= small]
    symmetry = find_symmetry(cell, reasons=reasons, pairs=pairs)
    return symmetric_part(cell, symmetry), Loads.of(symmetry.first_axis), symmetry


def symmetric_flow(cell: UnitCell) -> tuple[UnitCell, Loads, CellSymmetry]:
    """Return the part of a cell that has to be solved, restricted to its fluid, and for which forces; collective."""
    symmetry = find_symmetry(cell, pairs=list(combinations(range(cell.dimension), 2)))
    return symmetric_part(cell, symmetry), Loads.of(symmetry.first_axis), symmetry


@dataclass(frozen=True, kw_only=True, slots=True)
class StrainLoads:
    """The unit strains that are solved, by their places in :data:`homfem.stiffness.PAIRS`.

    Parameters
    ----------
    strains
        The place of each load; those along the axes come first.
    of_strain
        For each strain the number of the load that serves it.
    first_axis
        See :class:`homfem.cells.symmetry.CellSymmetry`.
    """

    strains: tuple[int, ...]
    of_strain: tuple[int, ...]
    first_axis: tuple[int, ...]

    @classmethod
    def of(cls, first_axis: tuple[int, ...]) -> StrainLoads:
        """Return one load for each strain that is not an image of another."""
        d = len(first_axis)
        strains: list[int] = []
        of_strain: list[int] = []
        seen: dict[tuple[int, ...], int] = {}
        for k, (i, j) in enumerate(PAIRS[d]):
            kind = (i, i, 0) if i == j else (*sorted((first_axis[i], first_axis[j])), 1)
            if kind not in seen:
                seen[kind] = len(strains)
                strains.append(k)
            of_strain.append(seen[kind])
        return cls(strains=tuple(strains), of_strain=tuple(of_strain), first_axis=first_axis)

    def tensor(self, average: Array) -> Array:
        """Return the Voigt matrix from that of the loads."""
        d = len(self.first_axis)
        if self.first_axis == tuple(range(d)):
            return average
        result = np.diag(np.diag(average)[list(self.of_strain)])
        orders = [
            list(order)
            for order in permutations(range(d))
            if all(self.first_axis[order[k]] == self.first_axis[k] for k in range(d))
        ]
        result[:d, :d] = np.mean([average[np.ix_(order, order)] for order in orders], axis=0)
        return result


def symmetric_solid(
    cell: UnitCell, stiffnesses: Mapping[str, Stiffness], plane: str | None = None
) -> tuple[UnitCell, StrainLoads, CellSymmetry]:
    """Return the part of a cell that has to be solved, and for which strains; collective.

    Parameters
    ----------
    cell
        Restricted to its solid phases.
    stiffnesses
        Of each of its phases. A function of position is taken to have no symmetry.
    plane
        See :func:`homfem.local.elasticity.elastic_coefficient`.
    """
    d = cell.dimension
    parity = strain_parity(d)
    reasons: dict[int, str] = {}
    pairs = list(combinations(range(d), 2))
    for name in cell.phase_names:
        value = stiffnesses[name]
        if stiffness_varies(cell, value):
            reasons = dict.fromkeys(range(d), f"the stiffness of {name!r} is a function of position")
            break
        matrix = stiffness(value, d, f"stiffnesses[{name!r}]", plane)
        small = _ROUND_OFF * np.abs(matrix).max()
        for axis in range(d):
            if np.abs(matrix[parity[:, [axis]] != parity[:, axis]]).max(initial=0.0) > small:
                reasons.setdefault(axis, f"the stiffness of {name!r} is not its mirror image")
        pairs = [pair for pair in pairs if np.abs(exchanged(matrix, pair) - matrix).max() <= small]
    symmetry = find_symmetry(cell, reasons=reasons, pairs=pairs)
    return symmetric_part(cell, symmetry), StrainLoads.of(symmetry.first_axis), symmetry


def exchanged(matrix: Array, axes: tuple[int, int]) -> Array:
    """Return a Voigt matrix in a frame in which two axes are exchanged."""
    d = 2 if len(matrix) == 3 else 3
    order = list(range(d))
    order[axes[0]], order[axes[1]] = axes[1], axes[0]
    places = {frozenset(pair): k for k, pair in enumerate(PAIRS[d])}
    turned = [places[frozenset((order[i], order[j]))] for i, j in PAIRS[d]]
    return np.asarray(matrix[np.ix_(turned, turned)])
