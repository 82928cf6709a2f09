r"""Effective diffusion tensors of images with two guaranteed bounds: one call."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Unpack

import numpy as np
import numpy.typing as npt

from homfem.grid.accuracy import GridAccuracy, GridOptions
from homfem.grid.budget import next_cuts, require_grid, threads_set
from homfem.grid.calibration import measured_weight
from homfem.grid.image import Image
from homfem.grid.medium import Medium, medium_of
from homfem.grid.on_grid import Grid, GridResult, refined
from homfem.grid.provenance import provenance
from homfem.keywords import part_of, takes
from homfem.kinds import CONDUCTION, kind_of
from homfem.parameters import Array, InputError, check_choice
from homfem.progress import tell
from homfem.tensors import EffectiveTensor

log = logging.getLogger("homfem")


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class GridSolution:
    r"""An effective tensor with the fields it was averaged from.

    Parameters
    ----------
    tensor : EffectiveTensor
        The result.
    image : Image
        The image on the grid that was solved, refined.
    inside : array of bool, shape of the image
        The voxels that carry the flux: those of the named phases, without islands.
    loads : array, shape (m, d)
        Orthonormal mean gradients :math:`\xi_j`: the axes, or a basis of what percolates.
    potentials : tuple of m arrays, shape of the image
        Corrector :math:`u_j` at the lowest corner of each voxel; periodic, unit of length. It has no meaning where
        nothing conducts.
    fluxes : tuple of m arrays, shape (d, \*shape of the image)
        :math:`\sigma_j=D(\xi_j+\nabla u_j)` along each axis through the lower face of each voxel; free of divergence.
        Empty without a lower bound. Unit: that of the coefficients.
    history : tuple of mapping
        For each grid: cuts of a voxel, dofs, relative half-gap, iterations, seconds.
    """

    tensor: EffectiveTensor
    image: Image
    inside: npt.NDArray[np.bool_]
    loads: Array
    potentials: tuple[Array, ...]
    fluxes: tuple[Array, ...]
    history: tuple[Mapping[str, float], ...]


@takes(GridAccuracy)
def solve_image(
    image: Image,
    coefficients: Mapping[str, float | npt.ArrayLike],
    *,
    drop_islands: bool = True,
    thin_gaps: str = "refuse",
    fields: bool = True,
    physics: str = "diffusion",
    unit: str = "",
    config: Mapping[str, Any] | None = None,
    **accuracy: Unpack[GridOptions],
) -> GridSolution:
    r"""Solve the diffusion cell problem on an image and bound its effective tensor from both sides.

    :math:`L\le D^*\le U` in the Loewner order for the medium that the voxels are; ``value`` is the midpoint. U is the
    energy of trilinear potentials (:mod:`homfem.grid.potential`), L that of Raviart-Thomas fluxes
    (:mod:`homfem.grid.flux`), both integrated exactly for the fields as they were computed. What round-off can do is in
    both, and in ``tensor.roundoff``.

    Parameters
    ----------
    image
        The image, one period.
    coefficients
        Diffusivity of each conducting phase, in ``unit``: a number or a symmetric positive definite matrix, shape
        (d, d), or one for each voxel: an array of the shape of the image, or that and (d, d); outside the phase any
        number may stand. A phase that is not named insulates.
    drop_islands
        Leave out connected parts that percolate in no direction. They do not change :math:`D^*`.
    thin_gaps
        ``"refuse"`` an image that conducts only through gaps one voxel thin, unless ``refine`` or ``tolerance`` cuts
        its voxels: one element across decides the tensor. ``"solve"`` it nevertheless; the bounds hold, far apart.
    fields
        Whether the potentials and fluxes are kept.
    physics
        ``"diffusion"``, ``"conductivity"`` or ``"heat-conduction"``: the name in the result, and what its unit must
        be. The equations are the same.
    unit
        Unit of the coefficients, for the result.
    config
        The input that led here, kept in the result.
    **accuracy
        As :class:`homfem.grid.GridAccuracy` has them.

    Returns
    -------
    GridSolution

    Raises
    ------
    InputError
        For an unknown phase, a coefficient that is not positive definite, an option out of range, gaps one voxel thin.
    PercolationError
        If the named phases reach from period to period in no direction.
    ConvergenceError
        If ``max_iterations`` do not suffice.

    Notes
    -----
    A direction in which nothing percolates gives exactly zero. Under MPI every rank computes the same.

    Examples
    --------
    >>> import numpy as np
    >>> image = Image.from_labels(np.array([[0, 0], [1, 1]]), {"a": 0, "b": 1})
    >>> homogenize_image(image, {"a": 1.0, "b": 3.0}).value.round(9).tolist()
    [[1.5, 0.0], [0.0, 2.0]]
    """
    unit = kind_of(check_choice("physics", physics, CONDUCTION)).check_unit(unit)
    check_choice("thin_gaps", thin_gaps, ("refuse", "solve"))
    wanted = GridAccuracy(**accuracy)
    medium = medium_of(image, coefficients)
    if wanted.estimate == "calibrated" and medium.has_fields:
        raise InputError("estimate", wanted.estimate, "'midpoint' for coefficients with a value for each voxel")
    require_grid(image, wanted.refine, wanted.max_dofs, len(medium.table))
    start = time.perf_counter()
    inside, span = medium.percolating(drop_islands=drop_islands)
    lost = medium.left_out(inside)
    if thin_gaps == "refuse" and wanted.refine == 1 and wanted.tolerance is None:
        medium.require_passages(inside, span)
    grids = _Grids(medium, inside, span, wanted)
    grids.seconds["connectivity"] = time.perf_counter() - start
    with threads_set(wanted.threads) as number:
        solved = grids.solve(number, fields)
    tensor = replace(
        solved.tensor,
        value=_calibrated(coefficients, wanted, solved.tensor, grids),
        **_record(medium, physics),
        unit=unit,
        iterations=grids.iterations,
        seconds=grids.seconds | {"total": time.perf_counter() - start},
        config=dict(config or {}),
        reached=grids.enough and solved.tensor.reached,
        warnings=image.warnings + lost + solved.tensor.warnings,
    )
    return grids.solution(solved, tensor)


homogenize_image = part_of(
    solve_image,
    "homogenize_image",
    lambda solution: solution.tensor,
    returns=EffectiveTensor,
    summary="Return the effective diffusion tensor of an image with guaranteed bounds.",
    fixed={"fields": False},
)


class _Grids:
    """Finer and finer grids, until the relative half-gap is at most the tolerance."""

    def __init__(self, medium: Medium, inside: npt.NDArray[np.bool_], span: Array, accuracy: GridAccuracy) -> None:
        self.medium, self.inside, self.span, self.accuracy = medium, inside, span, accuracy
        self.history: list[Mapping[str, float]] = []
        self.seconds: dict[str, float] = {}
        self.cuts, self.iterations, self.enough = accuracy.refine, 0, False

    def solve(self, threads: int, fields: bool) -> GridResult:
        """Return what the last grid gives."""
        tolerance = self.accuracy.tolerance
        while True:
            solved = self._on_grid(threads, fields)
            gap = solved.tensor.relative_gap
            self.enough = tolerance is None or gap is None or gap <= tolerance
            if tolerance is not None and gap is not None:
                tell(f"relative half-gap {gap:.1e}, wanted {tolerance:.1e}")
            if self.enough or tolerance is None:
                return solved
            finer = next_cuts(self.medium.image, self.history, tolerance, self.accuracy.max_dofs)
            if finer == self.cuts:
                log.warning("image: the budget ends the refinement at a relative half-gap of %.3e, short of %.3e",
                            gap, tolerance)  # fmt: skip
                return solved
            self.cuts = finer

    def _on_grid(self, threads: int, fields: bool) -> GridResult:
        lap = time.perf_counter()
        grid = Grid(self.medium, self.inside, self.cuts)
        solved = grid.solve(self.span, self.accuracy, threads, fields=fields)
        gap = solved.tensor.relative_gap
        self.iterations += solved.iterations
        for name, spent in solved.seconds.items():
            self.seconds[name] = self.seconds.get(name, 0.0) + spent
        self.history.append(
            {
                "cuts": self.cuts,
                "dofs": solved.tensor.dofs,
                "relative_gap": math.nan if gap is None else gap,
                "iterations": solved.iterations,
                "seconds": time.perf_counter() - lap,
            }
        )
        log.info("image: %d voxels, relative half-gap %s, %d iterations", grid.phase.size,
                 "none" if gap is None else f"{gap:.3e}", solved.iterations)  # fmt: skip
        return solved

    def solution(self, solved: GridResult, tensor: EffectiveTensor) -> GridSolution:
        """Return the fields of the last grid with the tensor."""
        return GridSolution(
            tensor=tensor,
            image=self.medium.image.refined(self.cuts),
            inside=refined(self.inside, self.cuts),
            loads=self.span,
            potentials=solved.potentials,
            fluxes=solved.fluxes,
            history=tuple(self.history),
        )


def _calibrated(
    coefficients: Mapping[str, float | npt.ArrayLike], accuracy: GridAccuracy, tensor: EffectiveTensor, grids: _Grids
) -> Array:
    """The value between the bounds: where a sample of the image lies, if that is asked for."""
    if accuracy.estimate != "calibrated" or tensor.lower is None or tensor.upper is None:
        return tensor.value
    lap = time.perf_counter()

    def of_sample(block: Image, parts: int) -> EffectiveTensor:
        return homogenize_image(
            block,
            coefficients,
            refine=parts,
            rtol=accuracy.rtol,
            max_iterations=accuracy.max_iterations,
            thin_gaps="solve",
            threads=accuracy.threads,
        )

    weight = measured_weight(grids.medium.image, of_sample, grids.cuts)
    grids.seconds["calibration"] = time.perf_counter() - lap
    return tensor.lower + weight * (tensor.upper - tensor.lower)


def _record(medium: Medium, physics: str) -> dict[str, Any]:
    """What a tensor keeps of the image and of where it was computed."""
    return {"physics": physics, "kind": kind_of(physics), "active_phases": medium.names, **provenance(medium.image)}
