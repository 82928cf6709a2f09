r"""How much the algebraic residual of a stress problem can have added to its energies: a proven bound.

In the notation of :mod:`homfem.local.stress`, the algebraic residual :math:`\rho` makes the energy computed too high by
:math:`\rho^TA^+\rho`, which is bounded without any estimate. On an element K the unknowns of a multiplier :math:`\mu`
differ from those of some rigid motion :math:`r_K` by :math:`\delta_K\le\sqrt{w_K\,\mu^TS_K\mu}` at every node,
:math:`w_K` the largest trace of a nodal block of a generalised inverse of :math:`S_K`. At the nodes of a common facet
:math:`r_K-r_{K'}` is at most :math:`\delta_K+\delta_{K'}`, so that its rotation is at most
:math:`\sigma_f(\delta_K+\delta_{K'})` with the sum :math:`\sigma_f` of the reciprocal heights of the facet, and its
value at a distance :math:`D` at most :math:`(1+D\sigma_f)(\delta_K+\delta_{K'})`. Lay the elements of a connected part
out in space along a tree, with the diameter :math:`D`: along the path to any element every :math:`\mu` stays within
:math:`\sqrt{Ta(\mu)}` of the rigid motion of the root, with the largest sum of a path

.. math:: T = \max_{K}\sum_{K'\text{ on the path to }K}\beta_{K'}^2w_{K'},\qquad
          \beta_K = 2(1+D\max_{f\subset K}\sigma_f) .

Two paths that meet after a period :math:`c` give :math:`r(x)-r(x-c)=\omega\times c` where they part, so that for the
rotation :math:`\omega` of the root :math:`|\omega\times c|\le(\sqrt2+|c|/D)\sqrt{Ta(\mu)}` and hence
:math:`|\omega|\le\gamma\sqrt{Ta(\mu)}`, :math:`\gamma^2=\sum_c(\sqrt2+|c|/D)^2/\lambda_{\min}(\sum_c|c|^2I-cc^T)`.
What is left is a translation, on which :math:`\rho` does no work:

.. math:: \rho^TA^+\rho \le (1+D\gamma)^2\,T\,\Bigl(\sum_i|\rho_i|\Bigr)^2

with the sum over all nodes; what round-off can hide of the residual is in it (:mod:`homfem.local.stress_elements`).

**Between mirror planes** a multiplier is continued to the whole cell by its mirror images, where all of this holds with
:math:`a` so many times larger as there are copies. Components that are held on the planes are zero there somewhere, so
that those of the translation, on which :math:`\rho` may do work, are at most as large as what is left: another factor
of :math:`(1+\sqrt d)^2`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from homfem import _dolfinx, periodic
from homfem.cells.unitcell import UnitCell
from homfem.meshing.arrays.raw_cell import RawCell
from homfem.meshing.topology.mirrors import NEAR, Mirror
from homfem.meshing.topology.unfolding import Layout, lay_out
from homfem.parameters import Array, PercolationError
from homfem.ranks import collective


class Spread:
    r"""How far a residual can reach: the factor of the allowance; collective."""

    def __init__(self, cell: UnitCell) -> None:
        self.cell = cell
        self._layout: Layout | None = None
        #: The largest diameter of the parts laid out in space.
        self.diameter = 0.0
        self._turned = 0.0
        with collective(cell.comm):
            if cell.raw is not None:
                raw = unfolded(cell.raw, cell.mirrors)
                matched = periodic.identify_nodes(raw.points, raw.lattice, partial=True)
                self._layout = lay_out(raw, *matched, together=True)
                self.diameter = self._layout.diameter
                self._turned = max(_turning(cycles, self.diameter, cell) for cycles in self._layout.cycles)
        self.diameter = cell.comm.bcast(self.diameter, root=0)

    def factor(self, weights: Array) -> float:
        r""":math:`(1+D\gamma)^2T` times the copies, from :math:`\beta_K^2w_K` of each owned mesh cell."""
        comm = self.cell.comm
        number = _dolfinx.original_cell_index(self.cell.mesh)[: len(weights)]
        gathered = comm.gather((number, weights), root=0)
        result = 0.0
        if gathered is not None and self._layout is not None:
            own = np.zeros(len(self._layout.part_of_cell) // self.cell.copies)
            for index, values in gathered:
                own[index] = values
            path = float(self._layout.path_sums(np.tile(own, self.cell.copies)).max())
            result = (1.0 + self.diameter * self._turned) ** 2 * path * self.cell.copies
        return float(comm.bcast(result, root=0))


def _turning(cycles: Array, diameter: float, cell: UnitCell) -> float:
    r""":math:`\gamma` of a connected part from the shifts of its closed paths."""
    d = cell.dimension
    squares = (cycles**2).sum(axis=1)
    total = float(squares.sum())
    least = total if d == 2 else float(np.linalg.eigvalsh(total * np.eye(d) - cycles.T @ cycles)[0])
    if least <= 1e-9 * max(total, 1e-300):
        raise PercolationError(
            "phases",
            tuple(cell.phase_names),
            f"connected from one cell to the next in {d - 1} independent direction(s) at least",
            "A solid part that is a fibre can turn about its axis, and an island can turn at will: its displacement is "
            "not determined. Give a surrounding phase a stiffness as well.",
        )
    return math.sqrt(float(((math.sqrt(2.0) + np.sqrt(squares) / diameter) ** 2).sum()) / least)


def unfolded(raw: RawCell, mirrors: Sequence[Mirror]) -> RawCell:
    """Return a part between mirror planes with its mirror images, one after the other, without its named facets."""
    if not mirrors:
        return raw
    points, cells = raw.points, raw.cells
    for mirror in mirrors:
        image = points.copy()
        image[:, mirror.axis] = 2.0 * mirror.low - image[:, mirror.axis]
        apart = np.abs(image - points).max(axis=1) > NEAR * raw.lattice.shortest
        number = np.arange(len(points))
        number[apart] = len(points) + np.arange(np.count_nonzero(apart))
        points, cells = np.vstack([points, image[apart]]), np.vstack([cells, number[cells]])
    none = np.zeros((0, raw.facets.shape[1]), dtype=np.int64)
    return replace(
        raw,
        points=points,
        cells=cells,
        phase_of_cell=np.tile(raw.phase_of_cell, 1 << len(mirrors)),
        facets=none,
        facet_tags=np.zeros(0, dtype=np.int32),
        facet_names={},
        slivers=None,
    )
