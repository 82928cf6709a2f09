r"""The dual of a medium with insulating blocks: perfectly conducting blocks, for the upper bound.

Keller's dual of an insulating block conducts perfectly: it costs no energy, its potential is one constant, and only
the net flux of a whole cluster is balanced. Insulating blocks that touch at a corner shut the way between them, so the
dual blocks are connected through corners too. A cluster that meets itself across the cell has the constant
:math:`K+E\cdot o_b` in block b, with the lattice offset :math:`o_b` of the block in the unfolded cluster.

If a cluster reaches from cell to cell along a lattice vector w, the dual conducts infinitely well along w, and the
medium conducts nothing across w: with the unit vector :math:`n\perp w` the loads are restricted to multiples of n, and
:math:`D^*=R\,nn^\mathsf{T}R^\mathsf{T}/(n\cdot D'^*n)`. Two independent directions leave :math:`D^*=0`.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp
from scipy.sparse.csgraph import breadth_first_order, connected_components

from homfem.blocks.flux_system import SIGNS, FluxSystem
from homfem.blocks.medium import BlockMedium
from homfem.parameters import Array, ConvergenceError

TURN = np.array([[0.0, -1.0], [1.0, 0.0]])
STEPS = ((0, 1), (1, 0), (1, 1), (1, -1))  # to half of the eight neighbours: rows, columns


class PerfectDual(FluxSystem):
    """The discrete dual problem of a medium some of whose blocks insulate."""

    def __init__(self, medium: BlockMedium, degree: int, singular: int) -> None:
        self.medium = medium
        axial = medium.axial[medium.conducting]
        self._geometry(degree, singular)
        self._energies(np.sqrt(axial[:, 0] * axial[:, 1]))
        node, offset, windings = _clusters(~medium.conducting)
        nodes = int(node.max()) + 1
        sides = self.around.reshape(-1, 4)
        real = sides >= 0
        signs = np.broadcast_to(SIGNS, sides.shape)[real]
        rows = np.repeat(node.ravel(), 4).reshape(-1, 4)[real]
        self.balance = sp.coo_matrix((signs, (rows, sides[real])), shape=(nodes, self.edges)).tocsr()
        self.component = connected_components(abs(self.balance) @ abs(self.balance).T, directed=False)[1]
        lengths = np.array(medium.lengths)
        shift = np.repeat(offset.reshape(-1, 2), 4, axis=0).reshape(-1, 4, 2)[real] * lengths
        for load in (0, 1):
            np.add.at(self.loads[:, load], sides[real], -signs * shift[:, load])
        self.windings = windings * lengths
        self.rank = int(np.linalg.matrix_rank(self.windings)) if len(windings) else 0
        self.across = np.zeros(2)
        if self.rank == 1:
            along = self.windings[np.argmax(np.abs(self.windings).sum(axis=1))]
            self.across = TURN @ along / np.linalg.norm(along)
            self.loads = self.loads @ np.outer(self.across, self.across)

    def _active_edges(self) -> npt.NDArray[np.bool_]:
        some = self.medium.conducting
        return np.stack([some | np.roll(some, 1, axis=1), some | np.roll(some, 1, axis=0)])

    def upper(self, tolerance: float) -> tuple[Array, Array, int]:
        """Return the upper bound of the effective tensor, what round-off can have done to it, and the iterations."""
        if self.rank == 2 or self.edges == 0:
            return np.zeros((2, 2)), np.zeros((2, 2)), 0
        flux, constants, iterations = self.solve(tolerance)
        bound = self.bound(flux)
        noise = self.noise(flux, constants, bound)
        if self.rank == 1:
            turned = TURN @ self.across
            conducts = np.outer(turned, turned)
            across, least = (float(self.across @ matrix @ self.across) for matrix in (bound, bound - noise))
            return np.asarray(conducts / across), np.asarray(conducts * (1.0 / least - 1.0 / across)), iterations
        high, raised = turned_inverse(bound, noise)
        return high, raised, iterations


def turned_inverse(bound: Array, noise: Array) -> tuple[Array, Array]:
    r"""Return :math:`RL^{-1}R^\mathsf{T}` of a lower bound of the dual, and by how much the noise of L may raise it."""
    high: Array = TURN @ np.linalg.inv(bound) @ TURN.T
    safe = bound - noise
    if np.linalg.eigvalsh(safe)[0] <= 0.0:
        raise ConvergenceError("corner-galerkin: round-off leaves no bound at this contrast; method = 'finite-volume'")
    return high, TURN @ np.linalg.inv(safe) @ TURN.T - high


def _clusters(perfect: npt.NDArray[np.bool_]) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64], Array]:
    """Return the node of each block (one for a cluster), its lattice offset (x, y), and the windings (w, 2)."""
    rows, columns = perfect.shape
    number = np.arange(rows * columns).reshape(rows, columns)
    starts, ends, wraps = [], [], []
    for up, right in STEPS:
        i, j = np.nonzero(perfect & np.roll(perfect, (-up, -right), axis=(0, 1)))
        starts.append(number[i, j])
        ends.append(number[(i + up) % rows, (j + right) % columns])
        wraps.append(np.stack([(j + right) // columns, (i + up) // rows], axis=1))
    start, end, wrap = np.concatenate(starts), np.concatenate(ends), np.concatenate(wraps)
    graph = sp.coo_matrix((np.ones(len(start)), (start, end)), shape=(number.size, number.size)).tocsr()
    graph = graph + graph.T
    node = connected_components(graph, directed=False)[1]
    step: dict[tuple[int, int], tuple[int, int]] = {}
    for pair in range(len(start)):
        a, b, x, y = int(start[pair]), int(end[pair]), int(wrap[pair, 0]), int(wrap[pair, 1])
        step[a, b] = (-x, -y)
        step[b, a] = (x, y)
    offset = np.zeros((number.size, 2), dtype=np.int64)
    for first in np.unique(node, return_index=True)[1]:
        if not perfect.ravel()[first]:
            continue
        order, before = breadth_first_order(graph, first, directed=False)
        for block in order[1:].tolist():
            offset[block] = offset[before[block]] + step[int(before[block]), block]
    windings = offset[start] - wrap - offset[end]
    return node.reshape(rows, columns), offset, windings[np.any(windings != 0, axis=1)].astype(float)
