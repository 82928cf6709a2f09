"""How well the diffusion problem of an image is to be solved: words that other cells have too, and those of a grid."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypedDict

from homfem.parameters import InputError, check_choice, check_integer, check_number, check_tolerance


class GridOptions(TypedDict, total=False):
    """The words of :class:`GridAccuracy` as keywords of a function."""

    tolerance: float | None
    max_dofs: int | None
    bounds: bool | None
    rtol: float | None
    max_iterations: int
    refine: int
    estimate: str
    threads: int | None


@dataclass(frozen=True, kw_only=True, slots=True)
class GridAccuracy:
    """How well the diffusion problem of an image is to be solved.

    Parameters
    ----------
    tolerance
        Relative half-gap to reach by cutting every voxel into more parts; without it the grid is that of ``refine``.
    max_dofs
        No grid is made with more voxels; what was reached is returned with ``tensor.reached`` false and a warning in
        the log; a first grid with more is refused. So are grids that would not fit into the memory
        (:mod:`homfem.limits`).
    bounds
        Both bounds, as by default. Without them only U is computed: it is ``value`` and ``upper``, ``lower`` is None.
    rtol
        What the iterations may leave of the energy, relative to it (:func:`homfem.grid.iteration.minimise`; a tenth of
        it as a rule), at most 1e-2, by default 1e-5. The bounds hold for every ``rtol``; one that is too large only
        widens them.
    max_iterations
        Limit for each load and side.
    refine
        Number of parts into which every voxel is cut along each axis.
    estimate
        What ``value`` is: ``"midpoint"`` of the bounds, or ``"calibrated"``: between them at the place where a sample
        of the image lies (:mod:`homfem.grid.calibration`): two to ten times closer in three dimensions, for the cost of
        500,000 voxels more. What is guaranteed then is that it lies between the bounds.
    threads
        Number of threads. By default all cores of this process, or one under MPI.
    """

    tolerance: float | None = None
    max_dofs: int | None = None
    bounds: bool | None = None
    rtol: float | None = None
    max_iterations: int = 5000
    refine: int = 1
    estimate: str = "midpoint"
    threads: int | None = None

    def __post_init__(self) -> None:
        check_integer("refine", self.refine, at_least=1)
        check_integer("max_iterations", self.max_iterations, at_least=1)
        if self.rtol is not None:
            check_number("rtol", self.rtol, above=0.0, at_most=1e-2)
        if self.tolerance is not None:
            check_tolerance(self.tolerance)
            if not self.two_sided:
                allowed = "None without two-sided bounds"
                raise InputError("tolerance", self.tolerance, allowed, "Choose refine instead.")
        check_choice("estimate", self.estimate, ("midpoint", "calibrated"))
        if self.estimate == "calibrated" and not self.two_sided:
            raise InputError("estimate", self.estimate, "'midpoint' without two-sided bounds")
        if self.max_dofs is not None:
            check_integer("max_dofs", self.max_dofs, at_least=1)

    @property
    def two_sided(self) -> bool:
        """Whether both bounds are computed."""
        return self.bounds is not False

    @property
    def residual(self) -> float:
        """What the iterations may leave."""
        return 1e-5 if self.rtol is None else self.rtol
