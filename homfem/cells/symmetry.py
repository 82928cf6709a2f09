r"""The part of a symmetric cell that its mirror images complete: half, quadrant or octant.

Between two mirror planes half a period apart lies all there is to know. A corrector on the part, with the condition
that its load has on the planes (it vanishes where it is odd; where it is even nothing is asked), is continued by mirror
images to a periodic one on the whole, and so is a flux: bounds found on the part are bounds of the whole cell.

The symmetry is checked on the mesh (:mod:`homfem.meshing.topology.mirrors`), never believed. What qualifies: a straight
mesh in a box along the axes, no mesh cell of which lies on both sides of a mirror plane, and whose phases on one side
are the mirror images of those on the other as sets; its mesh cells need not be. A mesh with cracks, which no set of
points tells, does not. Cells that level sets give have such a mesh with ``mirrors="auto"``
(:mod:`homfem.meshing.cut.mirror_parts`). Meshes
from Gmsh as a rule lack the planes.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from homfem.cells.unitcell import UnitCell
from homfem.meshing.topology.mirrors import Mirror, between, equal_axes, find_mirrors
from homfem.ranks import collective

log = logging.getLogger("homfem")


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class CellSymmetry:
    """What was found on the mesh of a cell.

    Parameters
    ----------
    mirrors
        Pairs of mirror planes, one for each axis that has them.
    reasons
        For each other axis why it has none.
    first_axis
        For each axis the first that an exchange of axes takes to it; looked for where every axis has mirrors.
    """

    mirrors: tuple[Mirror, ...]
    reasons: Mapping[int, str]
    first_axis: tuple[int, ...]

    def describe(self) -> str:
        """Return one line for a log or a message."""
        names = "xyz"
        parts = []
        if self.mirrors:
            parts.append("mirrors across " + ", ".join(names[mirror.axis] for mirror in self.mirrors))
        equal = [[names[k] for k, first in enumerate(self.first_axis) if first == own] for own in set(self.first_axis)]
        parts += [" and ".join(group) + " alike" for group in equal if len(group) > 1]
        parts += [f"none across {names[axis]}: {reason}" for axis, reason in self.reasons.items()]
        return "; ".join(parts)


def find_symmetry(
    cell: UnitCell, *, reasons: Mapping[int, str] | None = None, pairs: Sequence[tuple[int, int]] = ()
) -> CellSymmetry:
    """Return the mirrors and equivalent axes that the mesh of a cell shows; collective.

    Parameters
    ----------
    cell
        The cell, restricted to what is solved on: nothing else is compared.
    reasons
        Axes that the coefficients rule out, and why.
    pairs
        Exchanges of axes that the coefficients allow.
    """
    d, excluded = cell.dimension, dict(reasons or {})
    if cell.mirrors:
        excluded = dict.fromkeys(range(d), "the cell is a symmetric part already")
    elif cell.cracks:
        excluded = dict.fromkeys(range(d), "the mesh may have cracks, which are no part of the phases")
    elif cell.faces != "matching":
        excluded = dict.fromkeys(range(d), "opposite faces do not match")
    found = None
    with collective(cell.comm):
        if cell.raw is not None:
            mirrors, others = find_mirrors(cell.raw, [axis for axis in range(d) if axis not in excluded])
            first = tuple(range(d))
            if len(mirrors) == d:
                first = equal_axes(between(cell.raw, mirrors), mirrors, pairs)
            found = CellSymmetry(mirrors=mirrors, reasons=dict(sorted((excluded | others).items())), first_axis=first)
    result: CellSymmetry = cell.comm.bcast(found, root=0)
    return result


def symmetric_part(cell: UnitCell, symmetry: CellSymmetry | None = None) -> UnitCell:
    """Return the part of a cell between its mirror planes, or the cell itself if it has none; collective.

    Parameters
    ----------
    cell
        The cell, restricted to what is solved on.
    symmetry
        As :func:`find_symmetry` gives it; looked for if not given. The coefficients must have the mirrors as well:
        numbers have all of them.

    Returns
    -------
    UnitCell
        Its lattice, volume fractions, interface area and connectivity are those of the whole; ``mirrors`` tells where
        it was cut. Correctors are solved on it with periodic faces across the axes that have no mirrors.
    """
    symmetry = find_symmetry(cell) if symmetry is None else symmetry
    log.info("%s: %s", cell.name, symmetry.describe())
    if not symmetry.mirrors:
        return cell
    whole, mirrors = cell.raw, symmetry.mirrors
    part = cell.with_mesh(lambda: between(whole, mirrors) if whole is not None else None)
    return replace(part, mirrors=mirrors)
