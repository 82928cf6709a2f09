"""The diffusion problem of an image on one grid: every voxel cut into as many parts along each axis."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from homfem import brackets
from homfem.grid.accuracy import GridAccuracy
from homfem.grid.flux import FluxProblem
from homfem.grid.iteration import Progress
from homfem.grid.medium import Medium
from homfem.grid.potential import PotentialProblem
from homfem.grid.tensorial import TensorialFluxProblem
from homfem.parameters import Array
from homfem.progress import progress_bar
from homfem.tensors import EffectiveTensor

log = logging.getLogger("homfem")


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class GridResult:
    """What one grid gives: value and bounds, fields in physical units, iterations, wall time of the two sides."""

    tensor: EffectiveTensor
    potentials: tuple[Array, ...]
    fluxes: tuple[Array, ...]
    iterations: int
    seconds: dict[str, float]


class _Reports:
    """Counts the iterations of one side after the other, and moves the progress bar."""

    def __init__(self, voxels: int, advance_to: Callable[[float], None]) -> None:
        self.iterations, self._done, self._voxels, self._advance_to = 0, 0, voxels, advance_to

    def of(self, side: str) -> Callable[[int, Progress], None]:
        """Return the report of a side: it is called after each load."""

        def report(load: int, progress: Progress) -> None:
            self.iterations += progress.iterations
            self._done += 1
            log.info("image: %s %d, %d voxels, %d iterations", side, load + 1, self._voxels, progress.iterations)
            self._advance_to(self._done)

        return report


class Grid:
    """An image on a grid of three axes: phases that conduct are numbered from 1, 0 insulates.

    Parameters
    ----------
    medium
        What conducts.
    inside : array of bool, shape of the image
        The voxels that take part.
    cuts
        Number of parts of a voxel along each axis.
    """

    def __init__(self, medium: Medium, inside: npt.NDArray[np.bool_], cuts: int) -> None:
        image, table = medium.image, medium.table
        d = image.dimension
        conducting = np.flatnonzero(table[:, 0, 0] > 0.0)
        number = np.zeros(len(table), dtype=np.min_scalar_type(len(conducting)))
        number[conducting] = np.arange(1, len(conducting) + 1)
        phase = number[medium.rows]
        phase[~inside] = 0
        self.first = 3 - d
        self.phase = np.ascontiguousarray(refined(phase, cuts)).reshape(
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

    def solve(self, span: Array, accuracy: GridAccuracy, threads: int, *, fields: bool) -> GridResult:
        """Solve for mean gradients ``span``, shape (m, d), from one side or both."""
        loads = np.hstack([np.zeros((len(span), self.first)), span])
        given = (self.phase, self.coefficients, self.sizes, threads)
        options: dict[str, Any] = {
            "rtol": accuracy.residual, "max_iterations": accuracy.max_iterations, "keep": fields,
        }  # fmt: skip
        seconds, low, fluxes = {}, None, list[Array]()
        with progress_bar("diffusion on the image", total=(1.0 + accuracy.two_sided) * len(loads)) as advance_to:
            reports, lap = _Reports(self.phase.size, advance_to), time.perf_counter()
            problem = PotentialProblem(*given)
            upper, high, potentials = problem.solve(loads, report=reports.of("potential"), **options)
            dofs = problem.dofs
            del problem
            seconds["potential"] = time.perf_counter() - lap
            if accuracy.two_sided:
                lap = time.perf_counter()
                off_axis = self.coefficients - np.einsum("paa->pa", self.coefficients)[:, None] * np.eye(3)
                other = (TensorialFluxProblem if off_axis.any() else FluxProblem)(*given)
                lower, low, fluxes = other.solve(loads, report=reports.of("flux"), **options)
                dofs = max(dofs, other.dofs)
                seconds["flux"] = time.perf_counter() - lap
        physical = self.strength * span
        upper, high = span.T @ upper @ physical, span.T @ high @ physical
        found: dict[str, Any] = {"value": upper, "upper": upper + high, "roundoff": float(np.linalg.norm(high, 2))}
        if low is not None:
            none = np.zeros_like(upper)
            noise = (span.T @ low @ physical, high)
            found = brackets.bracket(span.T @ lower @ physical, upper, below=none, above=none, noise=noise)
        first = self.first
        return GridResult(
            tensor=EffectiveTensor(**found, dofs=dofs),
            potentials=tuple(self.length * u.reshape(u.shape[first:]) for u in potentials),
            fluxes=tuple(self.strength * f[first:].reshape((3 - first, *f.shape[1 + first :])) for f in fluxes),
            iterations=reports.iterations,
            seconds=seconds,
        )


def refined(array: npt.NDArray[Any], cuts: int) -> npt.NDArray[Any]:
    """Return an array with every entry as often along each axis."""
    for axis in range(array.ndim):
        array = np.repeat(array, cuts, axis=axis)
    return array


def _power_of_two(number: float) -> float:
    return math.ldexp(1.0, math.frexp(number)[1] - 1)
