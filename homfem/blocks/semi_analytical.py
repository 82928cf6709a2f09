r"""The semi-analytical method of March, Carr and Turner for block media, complete.

**Unknowns.** On every interface between conducting rectangles the flux up the gradient (:math:`D\,\partial_xv` or
:math:`D\,\partial_yv`, with :math:`v=\psi+\xi`) at :math:`N_x` (horizontal grid edges) or :math:`N_y` (vertical ones)
midpoints, and one constant :math:`K_b`, the mean of v, in every rectangle.

**Equations.** Inside a rectangle v is the separated solution of :mod:`homfem.blocks.elements` with the cosine moments
of the fluxes taken by the midpoint rule and truncated after :math:`N_{eig}` modes. At every abscissa v is continuous,
or jumps by the period where the edge closes the cell (their eqs 48-51); the net flux of every rectangle is zero (45),
in all rectangles but one of each connected component, where the mean of v is set to zero instead (52). One sparse
factorisation serves both loads. For aligned blocks the system has :math:`mn(N_x+N_y+1)` unknowns. The effective tensor
follows in closed form (54-61). Rectangles of one shape share one matrix.

**Number of modes** (62): :math:`\max(N_x,N_y)-1\le N_{eig}\le2\min(N_x,N_y)-3`. Fewer modes than abscissas leave
fluxes that no equation sees (a singular matrix); more are aliased by the midpoint rule. The default is the paper's,
:math:`\min(2\min(N_x,N_y)-3,\,100)`, and at least the lower end. Sides of a merged rectangle have their own abscissas P
each, and the bounds hold for each pair of opposite sides alone: :math:`P-1\le N_{eig}\le2P-3`.

**Zero blocks** (their 5.6): edges of insulating blocks carry no unknown, the blocks none at all. A component of the
conducting blocks that does not reach from cell to cell in a direction gives 0 there from a regular system.

**Merged rectangles** (their 5.5): see :mod:`homfem.blocks.rectangles`; everything above holds with several grid edges
on one side of a rectangle.

The method gives no bounds: the midpoint rule and the collocation have no sign.

Source: N. G. March, E. J. Carr, I. W. Turner, sections 3 and 5.5-5.6.
"""

from __future__ import annotations

import logging
import math
import time
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp
import scipy.sparse.linalg as spla

from homfem.blocks.elements import average_weights, cosine_moments, potential_map
from homfem.blocks.fields import BlockFields, FieldGroup
from homfem.blocks.medium import BlockMedium
from homfem.blocks.rectangles import Integers, Partition, merged_blocks, single_blocks
from homfem.limits import require_memory
from homfem.parameters import Array, ConvergenceError, InputError, check_integer

log = logging.getLogger("homfem")
MAX_MODES = 100
#: Bytes for each entry of the blocks' matrices, times log2 of their number, for the factors: measured, rounded up.
BYTES = 45.0
SIGNS = np.array([-1.0, 1.0, -1.0, 1.0])  # outward flux over flux along the axis: left, right, bottom, top


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class SemiAnalyticalSolution:
    """Result of the semi-analytical method.

    Parameters
    ----------
    value : array, shape (2, 2)
        Effective tensor, unit of the diffusivities.
    fields : BlockFields
        Potential and flux anywhere in the cell.
    unknowns : int
        Size N of the linear system.
    residual : float
        2-norm of the residual of the linear system, the larger of the two loads.
    seconds : mapping
        Wall time: ``"assemble"``, ``"solve"``, ``"total"``.
    """

    value: Array
    fields: BlockFields
    unknowns: int
    residual: float
    seconds: dict[str, float]


def mode_range(across: int, up: int) -> tuple[int, int]:
    """Return the smallest and the largest N_eig that their eq. 62 allows for N_x = ``across``, N_y = ``up``."""
    return max(across, up) - 1, 2 * min(across, up) - 3


def check_modes(across: int, up: int, modes: int | None) -> int:
    """Return N_eig, by default the paper's choice; raise :class:`InputError` outside their eq. 62."""
    for name, value in (("N_x", across), ("N_y", up)):
        try:
            check_integer("abscissas", value, at_least=2)
        except InputError as error:
            remedy = "The method needs two abscissas on each interface."
            raise InputError("abscissas", value, f"for {name} {error.allowed}", remedy) from error
    low, high = mode_range(across, up)
    if low > high:
        allowed = f"such that max(N_x, N_y) - 1 = {low} <= 2 min(N_x, N_y) - 3 = {high}"
        raise InputError("abscissas", (across, up), allowed, "Take the two numbers nearer to each other.")
    if modes is None:
        return max(low, min(high, MAX_MODES))
    check_integer("modes", modes, at_least=0)
    if not low <= modes <= high:
        allowed = f"N_eig with max(N_x, N_y) - 1 = {low} <= N_eig <= 2 min(N_x, N_y) - 3 = {high}"
        raise InputError("modes", modes, allowed)
    return modes


def solve_semi_analytical(
    medium: BlockMedium, *, abscissas: int | tuple[int, int] = 16, modes: int | None = None, merge: bool = False
) -> SemiAnalyticalSolution:
    """Solve the cell problem of a block medium by the semi-analytical method.

    Parameters
    ----------
    medium
        The block medium.
    abscissas
        Flux unknowns per grid edge: N_x = N_y, or (N_x, N_y). At least 2; at least 3 to fulfil eq. 62 together with
        an odd lower bound (N_x = N_y = 2 gives N_eig = 1).
    modes
        N_eig, within eq. 62; default: the paper's min(2 N_x - 3, 100). Not used with ``merge``.
    merge
        Merge equal neighbours into larger rectangles first (their section 5.5).

    Raises
    ------
    InputError
        Abscissas below 2, modes outside eq. 62.
    ConvergenceError
        A contrast at which the system is singular in floating-point numbers.
    """
    start = time.perf_counter()
    across, up = abscissas if isinstance(abscissas, tuple) else (abscissas, abscissas)
    chosen = check_modes(across, up, modes)
    blocks = medium.shape[0] * medium.shape[1]
    entries = blocks * (2.0 * (float(across) + float(up))) ** 2
    what = f"a matrix of {entries:.2g} entries"
    needed = BYTES * math.log2(blocks + 1.0) * entries
    require_memory("abscissas", abscissas, needed, what, "Choose a smaller one.")
    partition = merged_blocks(medium) if merge else single_blocks(medium)
    unknowns = _Unknowns(partition, across, up)
    groups = _groups(partition, across, up, None if merge else chosen)
    matrix, right = _assemble(partition, unknowns, groups)
    assembled = time.perf_counter()
    order = _elimination_order(partition, unknowns)
    try:
        factors = spla.splu(
            matrix[order][:, order].tocsc(),
            permc_spec="NATURAL",
            diag_pivot_thresh=0.1,
            options={"SymmetricMode": True},
        )
    except RuntimeError as error:
        raise ConvergenceError(f"semi-analytical: the system has no factors at this contrast ({error})") from error
    solution = np.empty_like(right)
    solution[order] = factors.solve(right[order])
    residual = float(np.linalg.norm(matrix @ solution - right, axis=0).max())
    value, fields = _evaluate(partition, unknowns, groups, solution)
    end = time.perf_counter()
    seconds = {"assemble": assembled - start, "solve": end - assembled, "total": end - start}
    log.info("semi-analytical: %d unknowns, residual %.1e, %.3f s", matrix.shape[0], residual, end - start)
    return SemiAnalyticalSolution(
        value=value, fields=fields, unknowns=matrix.shape[0], residual=residual, seconds=seconds
    )


class _Unknowns:
    """Numbers of the flux unknowns: first unknown of each left and each bottom edge of the blocks, -1 where none."""

    def __init__(self, partition: Partition, across: int, up: int) -> None:
        active_left, active_bottom = partition.active_edges()
        self.left = np.full(active_left.shape, -1, dtype=np.int64)
        self.left[active_left] = np.arange(np.count_nonzero(active_left)) * up
        count = int(np.count_nonzero(active_left)) * up
        self.bottom = np.full(active_bottom.shape, -1, dtype=np.int64)
        self.bottom[active_bottom] = count + np.arange(np.count_nonzero(active_bottom)) * across
        self.fluxes = count + int(np.count_nonzero(active_bottom)) * across
        self.across, self.up = across, up

    def of_sides(self, boxes: Integers) -> list[Integers]:
        """Return the unknowns on the four sides of rectangles of one shape, each of shape (r, abscissas)."""
        rows, columns = self.left.shape
        r = boxes[:, :1] + np.arange(boxes[0, 1] - boxes[0, 0])
        c = boxes[:, 2:3] + np.arange(boxes[0, 3] - boxes[0, 2])
        firsts = (
            (self.left[r, boxes[:, 2:3]], self.up),
            (self.left[r, boxes[:, 3:4] % columns], self.up),
            (self.bottom[boxes[:, :1], c], self.across),
            (self.bottom[boxes[:, 1:2] % rows, c], self.across),
        )
        result: list[Integers] = []
        for first, number in firsts:
            every = np.where(first[..., None] >= 0, first[..., None] + np.arange(number), -1)
            result.append(every.reshape(len(boxes), -1))
        return result


@dataclass(kw_only=True, slots=True, eq=False)
class _Group:
    """Rectangles of one shape and one ratio D_y / D_x."""

    members: Integers
    width: float
    height: float
    ratio: float
    points_y: Array
    weights_y: Array
    modes_y: int
    points_x: Array
    weights_x: Array
    modes_x: int


def _groups(partition: Partition, across: int, up: int, modes: int | None) -> list[_Group]:
    medium, boxes = partition.medium, partition.boxes
    widths, heights = np.asarray(medium.widths), np.asarray(medium.heights)
    diffusivity = medium.axial[boxes[:, 0], boxes[:, 2]]
    stretch = np.sqrt(diffusivity[:, 1] / diffusivity[:, 0])
    shapes: dict[tuple[bytes, bytes, float], list[int]] = {}
    for number in range(len(boxes)):
        bottom, top, first, last = map(int, boxes[number])
        key = (
            np.round(widths[first:last], 14).tobytes(),
            np.round(heights[bottom:top], 14).tobytes(),
            float(stretch[number]),
        )
        shapes.setdefault(key, []).append(number)
    result = []
    for (_, _, factor), members in shapes.items():
        bottom, top, first, last = map(int, boxes[members[0]])
        width, height = float(widths[first:last].sum()), float(heights[bottom:top].sum())
        points_y, weights_y = _midpoints(np.asarray(heights[bottom:top] / height), up)
        points_x, weights_x = _midpoints(np.asarray(widths[first:last] / width), across)
        modes_y, modes_x = (
            modes if modes is not None else max(len(points) - 1, min(2 * len(points) - 3, MAX_MODES))
            for points in (points_y, points_x)
        )
        group = _Group(
            members=np.array(members, dtype=np.int64),
            width=width,
            height=height,
            ratio=width / height * factor,
            points_y=points_y,
            weights_y=weights_y,
            modes_y=modes_y,
            points_x=points_x,
            weights_x=weights_x,
            modes_x=modes_x,
        )
        result.append(group)
    return result


def _midpoints(segments: Array, number: int) -> tuple[Array, Array]:
    starts = np.concatenate([[0.0], np.cumsum(segments)[:-1]])
    points = starts[:, None] + segments[:, None] * (np.arange(number) + 0.5) / number
    return points.ravel(), np.repeat(segments / number, number)


def _geometry(group: _Group) -> tuple[Array, Array]:
    """Return, per boundary abscissa, the sign of the outward flux and the length of its side."""
    counts = [len(group.points_y)] * 2 + [len(group.points_x)] * 2
    sizes = np.array([group.height, group.height, group.width, group.width])
    return np.repeat(SIGNS, counts), np.repeat(sizes, counts)


def _assemble(partition: Partition, unknowns: _Unknowns, groups: list[_Group]) -> tuple[sp.csc_matrix, Array]:
    medium, boxes = partition.medium, partition.boxes
    total = unknowns.fluxes + len(boxes)
    mean = np.sqrt(np.prod(medium.axial[boxes[:, 0], boxes[:, 2]], axis=-1))
    number, component = medium.components()
    component = component[boxes[:, 0], boxes[:, 2]]
    gauge = np.zeros(len(boxes), dtype=bool)
    gauge[[np.flatnonzero(component == c)[-1] for c in range(number)]] = True
    rows: list[npt.NDArray[np.int64]] = []
    columns: list[npt.NDArray[np.int64]] = []
    entries: list[Array] = []

    def add(i: Integers, j: Integers, v: Array) -> None:
        shape = np.broadcast_shapes(i.shape, j.shape, v.shape)
        row, column = np.broadcast_to(i, shape).ravel(), np.broadcast_to(j, shape).ravel()
        keep = (row >= 0) & (column >= 0)
        rows.append(row[keep])
        columns.append(column[keep])
        entries.append(np.broadcast_to(v, shape).ravel()[keep])

    areas = np.zeros(len(boxes))
    for group in groups:
        dofs = np.concatenate(unknowns.of_sides(boxes[group.members]), axis=1)
        signs, sizes = _geometry(group)
        local = potential_map(
            group.ratio, group.points_y, group.weights_y, group.modes_y, group.points_x, group.weights_x, group.modes_x
        )
        local = local * signs[:, None] * (signs * sizes)[None, :]
        add(dofs[:, :, None], dofs[:, None, :], local / mean[group.members, None, None])
        constants = unknowns.fluxes + group.members
        add(dofs, constants[:, None], signs)
        weights = np.concatenate([group.weights_y] * 2 + [group.weights_x] * 2) * sizes
        balance = np.where(gauge[group.members], -1, constants)
        add(balance[:, None], dofs, signs * weights)
        areas[group.members] = group.width * group.height
    # Zero mean over each component in place of one balance.
    keeper = np.zeros(number, dtype=np.int64)
    keeper[component[gauge]] = np.flatnonzero(gauge)
    add(unknowns.fluxes + keeper[component], unknowns.fluxes + np.arange(len(boxes)), areas / areas.max())
    matrix = sp.coo_matrix(
        (np.concatenate(entries), (np.concatenate(rows), np.concatenate(columns))), shape=(total, total)
    ).tocsc()
    right = np.zeros((total, 2))
    for load, (edges, length, per_edge) in enumerate(
        (
            (unknowns.left[:, 0], medium.lengths[0], unknowns.up),
            (unknowns.bottom[0], medium.lengths[1], unknowns.across),
        )
    ):
        border = edges[edges >= 0][:, None] + np.arange(per_edge)
        right[border.ravel(), load] = length
    return matrix, right


def _elimination_order(partition: Partition, unknowns: _Unknowns) -> Integers:
    """Return the unknowns by nested dissection of the torus of blocks; factors are half as large as by COLAMD."""
    boxes, total = partition.boxes, unknowns.fluxes + len(partition.boxes)
    place = np.zeros((total, 2), dtype=np.int64)  # in half blocks: even numbers are grid lines
    for first, number, shift in ((unknowns.left, unknowns.up, (0, 1)), (unknowns.bottom, unknowns.across, (1, 0))):
        row, column = np.nonzero(first >= 0)
        dofs = first[row, column][:, None] + np.arange(number)
        place[dofs, 0] = 2 * column[:, None] + shift[0]
        place[dofs, 1] = 2 * row[:, None] + shift[1]
    place[unknowns.fluxes :] = np.stack([boxes[:, 2] + boxes[:, 3], boxes[:, 0] + boxes[:, 1]], axis=1)
    # The sides of the cell separate first (they come last); the rows of zero mean couple everything.
    component = partition.medium.components()[1][boxes[:, 0], boxes[:, 2]]
    gauges = total - len(boxes) + np.array([np.flatnonzero(component == c)[-1] for c in np.unique(component)])
    left = np.setdiff1d(np.flatnonzero(place[:, 0] == 0), gauges)
    bottom = np.setdiff1d(np.flatnonzero((place[:, 1] == 0) & (place[:, 0] > 0)), gauges)
    inner = np.setdiff1d(np.flatnonzero((place > 0).all(axis=1)), gauges)
    parts: list[Integers] = []
    _dissect(place, inner, parts)
    return np.concatenate([*parts, bottom, left, gauges])


def _dissect(place: Integers, chosen: Integers, parts: list[Integers]) -> None:
    """Append the chosen unknowns to ``parts``: both halves, then the grid line between them."""
    if not len(chosen):
        return
    low, high = place[chosen].min(axis=0), place[chosen].max(axis=0)
    axis = int(np.argmax(high - low))
    if high[axis] - low[axis] <= 2:
        parts.append(chosen)
        return
    line = (low[axis] + high[axis]) // 4 * 2
    line = line if line > low[axis] else line + 2
    _dissect(place, chosen[place[chosen, axis] < line], parts)
    _dissect(place, chosen[place[chosen, axis] > line], parts)
    parts.append(chosen[place[chosen, axis] == line])


def _evaluate(
    partition: Partition, unknowns: _Unknowns, groups: list[_Group], solution: Array
) -> tuple[Array, BlockFields]:
    medium, boxes = partition.medium, partition.boxes
    flux = np.vstack([solution[: unknowns.fluxes], np.zeros((1, 2))])  # the last row serves the edges without unknowns
    total = np.zeros((2, 2))
    parts = []
    for group in groups:
        sides = unknowns.of_sides(boxes[group.members])
        moment_y = cosine_moments(group.points_y, group.weights_y * group.height, group.modes_y)
        moment_x = cosine_moments(group.points_x, group.weights_x * group.width, group.modes_x)
        left, right, bottom, top = (
            SIGNS[k] * np.einsum("kp,rpa->rka", moment_y if k < 2 else moment_x, flux[sides[k]]) for k in range(4)
        )
        weight_x, weight_y = average_weights(group.modes_x), average_weights(group.modes_y)
        total[0] += group.width * (0.5 * (right - left)[:, 0] + np.tensordot(bottom + top, weight_x, (1, 0))).sum(
            axis=0
        )
        total[1] += group.height * (0.5 * (top - bottom)[:, 0] + np.tensordot(left + right, weight_y, (1, 0))).sum(
            axis=0
        )
        part = FieldGroup(
            members=group.members,
            ratio=group.ratio,
            moments_y=np.stack([left, right], 1),
            moments_x=np.stack([bottom, top], 1),
        )
        parts.append(part)
    constants = solution[unknowns.fluxes :]
    fields = BlockFields.build(partition, constants, parts)
    return np.asarray(total / medium.area), fields
