r"""Effective diffusion tensors of images with two guaranteed bounds: one call."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import scipy

from homfem import brackets
from homfem.grid.budget import next_cuts, require_grid, threads_set
from homfem.grid.calibration import measured_weight
from homfem.grid.connectivity import find_parts, open_passages
from homfem.grid.flux import FluxProblem
from homfem.grid.image import Image
from homfem.grid.iteration import Progress
from homfem.grid.medium import medium_of
from homfem.grid.potential import PotentialProblem
from homfem.grid.tensorial import TensorialFluxProblem
from homfem.kinds import CONDUCTION, kind_of
from homfem.parameters import (
    Array,
    InputError,
    PercolationError,
    check_choice,
    check_integer,
    check_number,
    check_tolerance,
    left_out,
)
from homfem.progress import progress_bar
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


def homogenize_image(
    image: Image, coefficients: Mapping[str, float | npt.ArrayLike], **options: Any
) -> EffectiveTensor:
    """Return the effective diffusion tensor of an image with guaranteed bounds; see :func:`solve_image`."""
    return solve_image(image, coefficients, fields=False, **options).tensor


def solve_image(
    image: Image,
    coefficients: Mapping[str, float | npt.ArrayLike],
    *,
    tolerance: float | None = None,
    max_dofs: int | None = None,
    refine: int = 1,
    rtol: float = 1e-5,
    max_iterations: int = 5000,
    drop_islands: bool = True,
    bounds: bool = True,
    estimate: str = "midpoint",
    thin_gaps: str = "refuse",
    unit: str = "",
    physics: str = "diffusion",
    threads: int | None = None,
    fields: bool = True,
    config: Mapping[str, Any] | None = None,
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
    tolerance
        Relative half-gap to reach by cutting every voxel into more parts; without it the grid is that of ``refine``.
    max_dofs
        No grid is made with more voxels; what was reached is returned with ``tensor.reached`` false and a warning in
        the log; a first grid with more is refused. So are grids that would not fit into the memory
        (:mod:`homfem.limits`).
    refine
        Number of parts into which every voxel is cut along each axis.
    rtol
        What the iterations may leave of the energy, relative to it (:func:`homfem.grid.iteration.minimise`; a tenth of
        it as a rule). The bounds hold for every ``rtol``; one that is too large only widens them.
    max_iterations
        Limit for each load and side.
    drop_islands
        Leave out connected parts that percolate in no direction. They do not change :math:`D^*`.
    bounds
        Without bounds only U is computed: it is ``value`` and ``upper``, and ``lower`` is None.
    estimate
        What ``value`` is: ``"midpoint"`` of the bounds, or ``"calibrated"``: between them at the place where a sample
        of the image lies (:mod:`homfem.grid.calibration`): two to ten times closer in three dimensions, for the cost of
        500,000 voxels more. What is guaranteed then is that it lies between the bounds.
    thin_gaps
        ``"refuse"`` an image that conducts only through gaps one voxel thin, unless ``refine`` or ``tolerance`` cuts
        its voxels: one element across decides the tensor. ``"solve"`` it nevertheless; the bounds hold, far apart.
    unit
        Unit of the coefficients, for the result.
    physics
        ``"diffusion"``, ``"conductivity"`` or ``"heat-conduction"``: the name in the result, and what its unit must
        be. The equations are the same.
    threads
        Number of threads. By default all cores of this process, or one under MPI.
    fields
        Whether the potentials and fluxes are kept.
    config
        The input that led here, kept in the result.

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
    check_integer("refine", refine, at_least=1)
    check_integer("max_iterations", max_iterations, at_least=1)
    check_number("rtol", rtol, above=0.0, at_most=1e-2)
    if tolerance is not None:
        check_tolerance(tolerance)
        if not bounds:
            raise InputError("tolerance", tolerance, "None without two-sided bounds", "Choose refine instead.")
    check_choice("estimate", estimate, ("midpoint", "calibrated"))
    check_choice("thin_gaps", thin_gaps, ("refuse", "solve"))
    if estimate == "calibrated" and not bounds:
        raise InputError("estimate", estimate, "'midpoint' without two-sided bounds")
    if max_dofs is not None:
        check_integer("max_dofs", max_dofs, at_least=1)
    rows, table, conducts = medium_of(image, coefficients)
    if estimate == "calibrated" and len(table) > len(image.names):
        raise InputError("estimate", estimate, "'midpoint' for coefficients with a value for each voxel")
    require_grid(image, refine, max_dofs, len(table))
    start = time.perf_counter()
    seconds: dict[str, float] = {}
    inside, span = _percolating(image, conducts, drop_islands)
    taken = np.bincount(image.phases[inside], minlength=len(conducts)) > 0
    lost = left_out(name for name, flag in zip(image.names, conducts & ~taken, strict=True) if flag)
    for warning in lost:
        log.warning("image: %s", warning)
    if thin_gaps == "refuse" and refine == 1 and tolerance is None:
        _require_passages(image, inside, span)
    _add(seconds, "connectivity", time.perf_counter() - start)
    options: dict[str, Any] = {"rtol": rtol, "max_iterations": max_iterations, "bounds": bounds, "fields": fields}
    history: list[Mapping[str, float]] = []
    cuts, iterations = refine, 0
    with threads_set(threads) as number:
        while True:
            lap = time.perf_counter()
            grid = _Grid(image, rows, table, inside, cuts)
            tensor, potentials, fluxes, spent = grid.solve(span, number, seconds, **options)
            iterations += spent
            gap = tensor.relative_gap
            history.append(
                {
                    "cuts": cuts,
                    "dofs": tensor.dofs,
                    "relative_gap": math.nan if gap is None else gap,
                    "iterations": spent,
                    "seconds": time.perf_counter() - lap,
                }
            )
            log.info("image: %d voxels, relative half-gap %s, %d iterations", grid.phase.size,
                     "none" if gap is None else f"{gap:.3e}", spent)  # fmt: skip
            enough = tolerance is None or gap is None or gap <= tolerance
            if enough or tolerance is None or gap is None:
                break
            finer = next_cuts(image, history, tolerance, max_dofs)
            if finer == cuts:
                log.warning("image: the budget ends the refinement at a relative half-gap of %.3e, short of %.3e",
                            gap, tolerance)  # fmt: skip
                break
            cuts = finer
    value = tensor.value
    if estimate == "calibrated" and tensor.lower is not None and tensor.upper is not None:
        lap = time.perf_counter()

        def of_sample(block: Image, parts: int) -> EffectiveTensor:
            return homogenize_image(
                block,
                coefficients,
                refine=parts,
                rtol=rtol,
                max_iterations=max_iterations,
                thin_gaps="solve",
                threads=threads,
            )

        weight = measured_weight(image, of_sample, cuts)
        value = tensor.lower + weight * (tensor.upper - tensor.lower)
        _add(seconds, "calibration", time.perf_counter() - lap)
    seconds["total"] = time.perf_counter() - start
    from homfem import __version__

    result = EffectiveTensor(
        value=value,
        lower=tensor.lower,
        upper=tensor.upper,
        unit=unit,
        physics=physics,
        method="grid",
        volume_fractions=image.volume_fractions,
        active_phases=tuple(name for name, flag in zip(image.names, conducts, strict=True) if flag),
        interface_area=image.interface_area,
        length_unit=image.length_unit,
        dofs=tensor.dofs,
        iterations=iterations,
        seconds=seconds,
        versions={"homfem": __version__, "numpy": np.__version__, "scipy": scipy.__version__},
        config=dict(config or {}),
        roundoff=tensor.roundoff,
        reached=enough and tensor.reached,
        warnings=image.warnings + lost + tensor.warnings,
    )
    return GridSolution(
        tensor=result,
        image=image.refined(cuts),
        inside=_refined(inside, cuts),
        loads=span,
        potentials=potentials,
        fluxes=fluxes,
        history=tuple(history),
    )


class _Grid:
    """An image on a grid of three axes: phases that conduct are numbered from 1, 0 insulates."""

    def __init__(
        self, image: Image, rows: npt.NDArray[Any], table: Array, inside: npt.NDArray[np.bool_], cuts: int
    ) -> None:
        d = image.dimension
        conducting = np.flatnonzero(table[:, 0, 0] > 0.0)
        number = np.zeros(len(table), dtype=np.min_scalar_type(len(conducting)))
        number[conducting] = np.arange(1, len(conducting) + 1)
        phase = number[rows]
        phase[~inside] = 0
        self.first = 3 - d
        self.phase = np.ascontiguousarray(_refined(phase, cuts)).reshape(
            (1,) * self.first + tuple(cuts * n for n in image.shape)
        )
        self.sizes = np.array([1.0] * self.first + [h / cuts for h in image.voxel])
        self.coefficients = np.zeros((len(conducting) + 1, 3, 3))
        self.coefficients[1:, self.first :, self.first :] = table[conducting]
        if self.first:
            self.coefficients[1:, 0, 0] = np.trace(table[conducting], axis1=1, axis2=2) / d
        # Numbers near one, for single precision; by powers of two, which round nothing.
        self.length = _power_of_two(self.sizes[self.first :].max())
        self.strength = _power_of_two(np.abs(self.coefficients).max())
        self.sizes[self.first :] /= self.length
        self.coefficients /= self.strength

    def solve(
        self,
        span: Array,
        threads: int,
        seconds: dict[str, float],
        *,
        rtol: float,
        max_iterations: int,
        bounds: bool,
        fields: bool,
    ) -> tuple[EffectiveTensor, tuple[Array, ...], tuple[Array, ...], int]:
        loads = np.hstack([np.zeros((len(span), self.first)), span])
        spent = 0
        with progress_bar("diffusion on the image", total=(1.0 + bounds) * len(loads)) as advance_to:

            def report(load: int, progress: Progress) -> None:
                nonlocal spent
                spent += progress.iterations
                log.info("image: %s %d, %d voxels, %d iterations", side, load + 1, self.phase.size, progress.iterations)
                advance_to(load + 1 + (len(loads) if side == "flux" else 0))

            options: dict[str, Any] = {"rtol": rtol, "max_iterations": max_iterations, "report": report, "keep": fields}
            lap, side = time.perf_counter(), "potential"
            problem = PotentialProblem(self.phase, self.coefficients, self.sizes, threads)
            upper, high, potentials = problem.solve(loads, **options)
            dofs = problem.dofs
            del problem
            _add(seconds, "potential", time.perf_counter() - lap)
            fluxes, low = list[Array](), None
            if bounds:
                lap, side = time.perf_counter(), "flux"
                off_axis = self.coefficients - np.einsum("paa->pa", self.coefficients)[:, None] * np.eye(3)
                kind = TensorialFluxProblem if off_axis.any() else FluxProblem
                other = kind(self.phase, self.coefficients, self.sizes, threads)
                lower, low, fluxes = other.solve(loads, **options)
                dofs = max(dofs, other.dofs)
                _add(seconds, "flux", time.perf_counter() - lap)
        physical = self.strength * span
        upper, high = span.T @ upper @ physical, span.T @ high @ physical
        found: dict[str, Any] = {"value": upper, "upper": upper + high, "roundoff": float(np.linalg.norm(high, 2))}
        if low is not None:
            none = np.zeros_like(upper)
            noise = (span.T @ low @ physical, high)
            found = brackets.bracket(span.T @ lower @ physical, upper, below=none, above=none, noise=noise)
        tensor = EffectiveTensor(**found, dofs=dofs)
        first = self.first
        potentials = [self.length * u.reshape(u.shape[first:]) for u in potentials]
        fluxes = [self.strength * flux[first:].reshape((3 - first, *flux.shape[1 + first :])) for flux in fluxes]
        return tensor, tuple(potentials), tuple(fluxes), spent


def _percolating(
    image: Image, conducts: npt.NDArray[np.bool_], drop_islands: bool
) -> tuple[npt.NDArray[np.bool_], Array]:
    """Return the voxels that take part, and orthonormal directions in which they percolate."""
    inside = conducts[image.phases]
    if inside.all():
        return inside, np.eye(image.dimension)
    parts = find_parts(inside)
    span = parts.span(image.period)
    if len(span) == 0:
        names = [name for name, flag in zip(image.names, conducts, strict=True) if flag]
        raise PercolationError(
            "coefficients",
            names,
            "phases that reach from one side of the image to the opposite one in some direction",
            f"Their {len(parts.voxels)} part(s) are islands, so that the effective tensor is zero.",
        )
    if drop_islands and parts.islands.any():
        inside = inside & ~np.concatenate([[False], parts.islands])[parts.number]
    return inside, span


def _require_passages(image: Image, inside: npt.NDArray[np.bool_], span: Array) -> None:
    """Refuse an image through which a flux passes only where the phases that conduct are one voxel thin.

    One element across decides the tensor there, and the bounds are far apart.
    """
    if inside.all() or len(find_parts(open_passages(inside)).span(image.period)) == len(span):
        return
    raise InputError(
        "image",
        image.shape,
        "one whose passages are no gaps one voxel thin, but at least two voxels across wherever the flux needs them",
        "Cut the voxels (refine = 2), ask for a tolerance, or take a finer image.",
    )


def _power_of_two(number: float) -> float:
    return math.ldexp(1.0, math.frexp(number)[1] - 1)


def _refined(array: npt.NDArray[Any], cuts: int) -> npt.NDArray[Any]:
    for axis in range(array.ndim):
        array = np.repeat(array, cuts, axis=axis)
    return array


def _add(stages: dict[str, float], name: str, seconds: float) -> None:
    stages[name] = stages.get(name, 0.0) + seconds
