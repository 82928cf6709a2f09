r"""How fine a grid is for flow and dispersion in an image: what is asked for, and what the grid leaves, estimated.

There are no bounds of these tensors on voxels. The error is estimated, **without guarantee**, by the distance from the
tensor on a grid of half as many voxels along each axis, over all directions and over what a method of first order would
leave of it: with ratio r of the voxels :math:`|D_h-D_{rh}|/(r-1)`. Where walls are flat the order is two and the
estimate is three times the error; at the corners of stairs it is about one. Where voxels are cut (``refine``) the grid
of half as many is one of the same image. Else it is the image in blocks of two voxels, of the phase that most of their
voxels have, which are other stairs. In no case does it say how far stairs are from the smooth walls that they stand
for: a round fibre of 25 voxels across disperses 4 % more than the smooth one, where the estimate says 2 %.
"""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol, TypedDict, TypeVar

from homfem.brackets import relative_gap
from homfem.grid.image import Image
from homfem.limits import memory_limit, require_memory
from homfem.parameters import (
    Array,
    ConvergenceError,
    InputError,
    PercolationError,
    check_integer,
    check_number,
    check_tolerance,
)
from homfem.progress import tell

log = logging.getLogger("homfem")

#: Bytes per voxel of the grid that a solution takes, by dimension: operators and multigrid of each velocity, vectors of
#: MINRES, flows.
BYTES_PER_VOXEL = {2: 700, 3: 900}
#: Relative residual of flow and concentration.
RTOL = 1e-8
#: What the estimate is of, and what it is not.
ESTIMATE = (
    "of flow and concentration between the faces of the voxels, beside a coarser grid, without guarantee; how far "
    "these faces are from smooth walls is not in it"
)
#: Estimated error that is worth a warning.
LARGE = 0.05


class FlowOptions(TypedDict, total=False):
    """The words of :class:`FlowAccuracy` as keywords of a function."""

    tolerance: float | None
    max_dofs: int | None
    rtol: float | None
    max_iterations: int
    refine: int
    estimate: bool
    threads: int | None


@dataclass(frozen=True, kw_only=True, slots=True)
class FlowAccuracy:
    """How well flow and dispersion in an image are to be solved.

    Parameters
    ----------
    tolerance
        Estimated relative error (:mod:`homfem.grid.resolution`) to reach by cutting every voxel into more parts;
        without it the grid is that of ``refine``.
    max_dofs
        No grid is made with more voxels; what was reached is returned with ``tensor.reached`` false and a warning; a
        first grid with more is refused. So are grids that would not fit into the memory (:mod:`homfem.limits`).
    rtol
        Relative residual of the iterations, at most 1e-3, by default 1e-8.
    max_iterations
        Limit for each load.
    refine
        Number of parts into which every voxel is cut along each axis.
    estimate
        Whether the error is estimated, for an eighth of the cost (a quarter in the plane).
    threads
        Number of threads. By default all cores of this process, or one under MPI.
    """

    tolerance: float | None = None
    max_dofs: int | None = None
    rtol: float | None = None
    max_iterations: int = 2000
    refine: int = 1
    estimate: bool = True
    threads: int | None = None

    def __post_init__(self) -> None:
        check_integer("refine", self.refine, at_least=1)
        check_integer("max_iterations", self.max_iterations, at_least=1)
        if self.rtol is not None:
            check_number("rtol", self.rtol, at_least=1e-14, at_most=1e-3)
        if self.tolerance is not None:
            check_tolerance(self.tolerance)
            if not self.estimate:
                raise InputError("tolerance", self.tolerance, "None without an estimate", "Choose refine instead.")
        if self.max_dofs is not None:
            check_integer("max_dofs", self.max_dofs, at_least=1)

    @property
    def cuts_voxels(self) -> bool:
        """Whether voxels are cut, so that a gap of one is no element."""
        return self.refine > 1 or self.tolerance is not None

    @property
    def residual(self) -> float:
        """Relative residual of the iterations."""
        return RTOL if self.rtol is None else self.rtol


class OnGrid(Protocol):
    """What one grid gives: ``values`` are symmetric parts of tensors, in the directions that percolate."""

    @property
    def values(self) -> Sequence[Array]:
        """The tensors that are compared."""
        ...


Solved = TypeVar("Solved", bound=OnGrid)


@dataclass(frozen=True, kw_only=True, slots=True)
class Resolved:
    """How the grids went: an estimate for each tensor, or None; whether that is enough; each grid that was solved."""

    errors: tuple[float | None, ...]
    enough: bool
    cuts: int
    history: tuple[Mapping[str, float], ...]
    warnings: tuple[str, ...]


def resolve(
    image: Image, accuracy: FlowAccuracy, solve: Callable[[Image, int], Solved], *, blocks: bool = True
) -> tuple[Solved, Resolved]:
    """Solve on one grid, or on finer and finer ones until the estimated error is at most the tolerance.

    Parameters
    ----------
    image
        The image.
    accuracy
        What is asked for.
    solve
        Solves on an image whose voxels are cut into as many parts.
    blocks
        Whether the image may be taken in blocks of two voxels, for the estimate.

    Raises
    ------
    MemoryLimitError, InputError
        If the first grid does not fit into the memory, or has more voxels than ``max_dofs``.
    """
    cuts, tolerance = accuracy.refine, accuracy.tolerance
    _require_grid(image, cuts, accuracy.max_dofs)
    before = _coarser(image, cuts, solve, blocks) if accuracy.estimate else None
    history: list[Mapping[str, float]] = []
    while True:
        lap = time.perf_counter()
        found = solve(image, cuts)
        errors: tuple[float | None, ...] = (None,) * len(found.values)
        if before is not None:
            coarse, ratio = before
            errors = tuple(_error(*pair, ratio) for pair in zip(coarse.values, found.values, strict=True))
        worst = max((math.inf if error is None else error for error in errors), default=0.0)
        voxels = float(image.phases.size) * float(cuts) ** image.dimension
        history.append({"cuts": cuts, "dofs": voxels, "error": worst, "seconds": time.perf_counter() - lap})
        log.info("image: %.3g voxels, estimated error %s", voxels, f"{worst:.3e}" if math.isfinite(worst) else "none")
        enough = tolerance is None or worst <= tolerance
        finer = cuts if tolerance is None or enough else _finer(image, cuts, worst / tolerance, accuracy.max_dofs)
        if finer == cuts:
            return found, Resolved(
                errors=errors, enough=enough, cuts=cuts, history=tuple(history), warnings=_warnings(errors, accuracy)
            )
        tell(f"estimated error {worst:.1e}, wanted {tolerance:.1e}")
        before, cuts = (found, finer / cuts), finer


def _require_grid(image: Image, cuts: int, max_dofs: int | None) -> None:
    """Refuse a first grid that does not fit into the memory, or has over ``max_dofs`` voxels."""
    voxels = float(image.phases.size) * float(cuts) ** image.dimension
    name, value = ("refine", cuts) if cuts > 1 else ("image", image.shape)
    require_memory(name, value, BYTES_PER_VOXEL[image.dimension] * voxels, f"a flow on a grid of {voxels:.3g} voxels")
    if max_dofs is not None and voxels > max_dofs:
        remedy = "Allow more, or take a part of the image or a smaller refine."
        raise InputError("max_dofs", max_dofs, f">= {voxels:.0f}, the number of voxels of the first grid", remedy)


def _coarser(
    image: Image, cuts: int, solve: Callable[[Image, int], Solved], blocks: bool
) -> tuple[Solved, float] | None:
    """The solution on a grid of half as many voxels along each axis, and the ratio; None where there is none."""
    if cuts == 1 and (not blocks or any(n % 2 for n in image.shape)):
        return None
    try:
        if cuts > 1:
            return solve(image, cuts // 2), cuts / (cuts // 2)
        return solve(image.block_averaged(2), 1), 2.0
    except (PercolationError, InputError, ConvergenceError) as error:  # a phase is gone, its passages; or it is coarse
        log.info("image: no estimate from a grid of half as many voxels along each axis: %s", error)
        return None


def _error(coarse: Array, fine: Array, ratio: float) -> float:
    """The estimate; infinite where the grids have not the same directions."""
    return 2.0 * relative_gap(coarse, fine) / (ratio - 1.0) if coarse.shape == fine.shape else math.inf


def _finer(image: Image, cuts: int, excess: float, max_dofs: int | None) -> int:
    """Cuts of the next grid: the error falls about like the size of the voxels; within the budget."""
    wanted = cuts + 1 if not math.isfinite(excess) else max(cuts + 1, min(math.ceil(cuts * excess), 2 * cuts))
    most = memory_limit() / BYTES_PER_VOXEL[image.dimension]
    if max_dofs is not None:
        most = min(most, float(max_dofs))
    allowed = int((most / image.phases.size) ** (1.0 / image.dimension) * (1.0 + 1e-12))
    return max(cuts, min(wanted, allowed))


def _warnings(errors: Sequence[float | None], accuracy: FlowAccuracy) -> tuple[str, ...]:
    """What is said of a tensor that is not known well."""
    known = [error for error in errors if error is not None]
    if len(known) < len(errors):
        if not accuracy.estimate:
            return ()
        words = (
            "the error is not estimated: the image has no counterpart of blocks of two voxels (an axis of odd length, "
            "a value for each voxel, passages that close, or a flow that is too fast for it): take refine = 2"
        )
    elif max(known, default=0.0) > LARGE:
        words = (
            f"a grid of half as many voxels along each axis differs by {max(known):.1%}: the voxels are large for it"
        )
        if accuracy.tolerance is None:
            words += "; cut them (refine), or ask for a tolerance"
    else:
        return ()
    log.warning("image: %s", words)
    return (words,)
