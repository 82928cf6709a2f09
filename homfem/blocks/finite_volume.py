r"""The vertex-centred finite-volume method on a block medium: the yardstick of March, Carr and Turner (section 4).

Nodes lie on the block corners and on equal subdivisions of the blocks; the control volume of a node joins the
centroids of the four elements around it. With central differences the flux through the two half faces between two
neighbouring nodes is a conductance times the difference of the potential,

.. math:: G_e = \frac{1}{|e|}\Bigl(D_1\frac{h_1}{2}+D_2\frac{h_2}{2}\Bigr),

with the two elements 1 and 2 beside the edge e between the nodes and their widths :math:`h_1, h_2` across it. The same
matrix is that of linear finite elements on right triangles (each element cut along a diagonal), so the tensor of the
network is an upper bound of the effective tensor, in exact arithmetic. The bilinear gradients at the centroids, which
the paper integrates (its eqs 65-66), give the same tensor:
:math:`D^*_{ij}=\frac1A\sum_e G_e\,\delta_e(\psi^{(i)}+x_i)\,\delta_e x_j`.

Source: March, Carr, Turner, section 4; Carr, Turner, Int. J. Numer. Meth. Eng. 98 (2014) 157.
"""

from __future__ import annotations

import logging
import math
import time
from dataclasses import dataclass

import numpy as np
import scipy.fft
import scipy.sparse as sp
import scipy.sparse.linalg as spla
from scipy.sparse.csgraph import connected_components

from homfem.blocks.medium import BlockMedium
from homfem.limits import require_memory
from homfem.parameters import Array, ConvergenceError, InputError, check_choice, check_integer

log = logging.getLogger("homfem")
DIRECT_LIMIT = 100_000
#: Bytes for each node, measured, rounded up; those of the factors times log2 of their number.
BYTES = {"direct": 110.0, "fft": 250.0}
#: Conjugate gradients for one load.
MOST_ITERATIONS = 2000


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class FiniteVolumeSolution:
    """Nodal potentials of the finite-volume method.

    Parameters
    ----------
    value : array, shape (2, 2)
        Effective tensor.
    potential : array, shape (2, M, N)
        Periodic part of the potential for the loads x and y at the nodes (row upwards), zero mean over each component.
    x, y : arrays, shapes (N,), (M,)
        Coordinates of the nodes.
    unknowns, iterations : int
        Size of the linear system; iterations of conjugate gradients over both loads (0: direct).
    seconds : float
        Wall time.
    """

    value: Array
    potential: Array
    x: Array
    y: Array
    unknowns: int
    iterations: int
    seconds: float


def solve_finite_volume(
    medium: BlockMedium, *, intervals: int | tuple[int, int] = 16, solver: str = "auto", tolerance: float = 1e-11
) -> FiniteVolumeSolution:
    """Solve the cell problem of a block medium by vertex-centred finite volumes.

    Parameters
    ----------
    medium
        The block medium.
    intervals
        Mesh intervals per block in x and y (one number, or two), >= 1: the paper's ``N_F / n``.
    solver
        ``"direct"``: one sparse LU factorisation; ``"fft"``: conjugate gradients preconditioned by the homogeneous
        medium on the same grid through the FFT (equal spacing needed); ``"auto"``: the latter above 100,000 nodes
        where the spacing is equal.
    tolerance
        Relative residual of the conjugate gradients.

    Raises
    ------
    InputError
        Intervals below 1, or ``"fft"`` on unequal spacing.
    ConvergenceError
        Conjugate gradients that stall.
    """
    start = time.perf_counter()
    across, up = (intervals, intervals) if not isinstance(intervals, tuple) else intervals
    check_integer("intervals", across, at_least=1)
    check_integer("intervals", up, at_least=1)
    check_choice("solver", solver, ("auto", "direct", "fft"))
    nodes = float(across) * float(up) * medium.diffusivity.shape[0] * medium.diffusivity.shape[1]
    sides = (np.asarray(medium.widths), np.asarray(medium.heights))
    even = all(np.ptp(side) <= 1e-12 * side[0] for side in sides)
    fft = even and nodes > DIRECT_LIMIT and solver != "direct"
    each = BYTES["fft"] if fft else BYTES["direct"] * math.log2(nodes + 1.0)
    require_memory("intervals", intervals, each * nodes, f"a grid of {nodes:.3g} nodes", "Choose a smaller one.")
    grid = medium.refined(up, across)
    widths, heights = np.asarray(grid.widths), np.asarray(grid.heights)
    equal = np.ptp(widths) <= 1e-12 * widths[0] and np.ptp(heights) <= 1e-12 * heights[0]
    if solver == "fft" and not equal:
        raise InputError("solver", solver, "'direct' or 'auto' where the nodes are not equally spaced")
    # Edge (i, j) -> (i, j+1) has the elements (i, j) above and (i-1, j) below; and likewise for the vertical edges.
    weight_x = grid.axial[..., 0] * heights[:, None] / 2
    weight_y = grid.axial[..., 1] * widths[None, :] / 2
    conduct_x = (weight_x + np.roll(weight_x, 1, axis=0)) / widths[None, :]
    conduct_y = (weight_y + np.roll(weight_y, 1, axis=1)) / heights[:, None]
    loads = np.stack(
        [
            _divergence(conduct_x * widths[None, :], 0.0 * conduct_y),
            _divergence(0.0 * conduct_x, conduct_y * heights[:, None]),
        ]
    )
    if solver == "fft" or (solver == "auto" and equal and grid.diffusivity.size > DIRECT_LIMIT):
        potential, iterations, unknowns = _solve_fft(conduct_x, conduct_y, loads, tolerance)
    else:
        potential, unknowns = _solve_direct(conduct_x, conduct_y, loads)
        iterations = 0
    drop_x = np.roll(potential, -1, axis=2) - potential
    drop_y = np.roll(potential, -1, axis=1) - potential
    drop_x[0] += widths[None, :]
    drop_y[1] += heights[:, None]
    value = np.einsum("aij,ij,bij->ab", drop_x, conduct_x, drop_x) + np.einsum(
        "aij,ij,bij->ab", drop_y, conduct_y, drop_y
    )
    seconds = time.perf_counter() - start
    log.info("finite volumes: %d nodes, %d iterations, %.3f s", unknowns, iterations, seconds)
    return FiniteVolumeSolution(
        value=value / medium.area,
        potential=potential,
        x=np.cumsum(widths) - widths,
        y=np.cumsum(heights) - heights,
        unknowns=unknowns,
        iterations=iterations,
        seconds=seconds,
    )


def _divergence(flux_x: Array, flux_y: Array) -> Array:
    return flux_x - np.roll(flux_x, 1, axis=-1) + flux_y - np.roll(flux_y, 1, axis=-2)


def _solve_direct(conduct_x: Array, conduct_y: Array, loads: Array) -> tuple[Array, int]:
    rows, columns = conduct_x.shape
    number = np.arange(rows * columns).reshape(rows, columns)
    first = np.concatenate([number.ravel(), number.ravel()])
    second = np.concatenate([np.roll(number, -1, axis=1).ravel(), np.roll(number, -1, axis=0).ravel()])
    weight = np.concatenate([conduct_x.ravel(), conduct_y.ravel()])
    links = sp.coo_matrix((weight, (first, second)), shape=(number.size, number.size)).tocsr()
    links = links + links.T
    links.eliminate_zeros()
    degree = np.asarray(links.sum(axis=1)).ravel()
    component = connected_components(links, directed=False)[1]
    pinned = np.zeros(number.size, dtype=bool)
    pinned[np.unique(component, return_index=True)[1]] = True
    free = np.flatnonzero(~pinned)
    potential = np.zeros((number.size, 2))
    if free.size:
        matrix = (sp.diags_array(degree) - links).tocsr()[free][:, free].tocsc()
        options = {"SymmetricMode": True}
        factors = spla.splu(matrix, permc_spec="MMD_AT_PLUS_A", diag_pivot_thresh=0.0, options=options)
        potential[free] = factors.solve(loads.reshape(2, -1).T[free])
    counts = np.bincount(component)
    for load in (0, 1):
        potential[:, load] -= (np.bincount(component, potential[:, load]) / counts)[component]
    return potential.T.reshape(2, rows, columns), int(np.count_nonzero(degree))


def _solve_fft(conduct_x: Array, conduct_y: Array, loads: Array, tolerance: float) -> tuple[Array, int, int]:
    rows, columns = conduct_x.shape
    wave_x = 2.0 - 2.0 * np.cos(2.0 * np.pi * np.arange(columns // 2 + 1) / columns)
    wave_y = 2.0 - 2.0 * np.cos(2.0 * np.pi * np.arange(rows) / rows)
    symbol = conduct_x.mean() * wave_x[None, :] + conduct_y.mean() * wave_y[:, None]
    symbol[0, 0] = 1.0
    active = (conduct_x + np.roll(conduct_x, 1, 1) + conduct_y + np.roll(conduct_y, 1, 0)) > 0.0

    def operate(field: Array) -> Array:
        return -_divergence(
            conduct_x * (np.roll(field, -1, axis=1) - field), conduct_y * (np.roll(field, -1, axis=0) - field)
        )

    def precondition(residual: Array) -> Array:
        transform = scipy.fft.rfft2(residual)
        transform[0, 0] = 0.0
        return np.asarray(scipy.fft.irfft2(transform / symbol, s=residual.shape))

    potential = np.zeros_like(loads)
    total = 0
    for load in range(len(loads)):
        right: Array = loads[load]
        size = float(np.linalg.norm(right))
        field: Array = potential[load]
        residual: Array = np.array(right)
        scaled = precondition(residual)
        direction, product = scaled.copy(), float(np.vdot(residual, scaled))
        count = 0
        while not np.linalg.norm(residual) <= tolerance * size < np.inf:
            image = operate(direction)
            curvature = float(np.vdot(direction, image))
            if count == MOST_ITERATIONS or not min(curvature, product) > 0.0:  # or nothing but round-off is left
                raise ConvergenceError(f"finite volumes: no convergence in {count} iterations")
            count += 1
            step = product / curvature
            field += step * direction
            residual -= step * image
            scaled = precondition(residual)
            previous, product = product, float(np.vdot(residual, scaled))
            direction = scaled + (product / previous) * direction
            total += 1
        field -= field.mean()
    return potential, total, int(np.count_nonzero(active))
