r"""How fast a medium of periods tends to its limit: resolved computations beside the homogenized solution.

For :math:`\varepsilon=1/n` the problem is solved with every period resolved and compared with :math:`u_0` and its
reconstruction :math:`u_0+\varepsilon\chi_jG_j(u_0)`. For smooth data

.. math:: \|u_\varepsilon-u_0\|_{L^2}=O(\varepsilon),\qquad
          \|u_\varepsilon-u_0-\varepsilon\chi_jG_j(u_0)\|_{H^1}=O(\sqrt\varepsilon)\text{ over all},\quad
          O(\varepsilon)\text{ inside}:

on the boundary the reconstruction misses the condition by :math:`O(\varepsilon)`, over a length of :math:`\varepsilon`,
which decays over a layer some periods thick. (Cells whose mirror planes are the sides of the box have none: the
correctors do what the boundary asks for, and the rate is 1 all over.)

**The error of the mesh** is kept apart. Every period has the same mesh, that of the cell problem, and the tensor of the
limit is that of the discretised cell: the discretised medium is a periodic medium of its own, with exactly this limit,
so that the errors here tend to zero at any resolution. What is left is the error of the spline :math:`u_0` and of the
linear solver; the former is estimated (``floor``).

Source: Bensoussan, Lions, Papanicolaou 1978; Jikov, Kozlov, Oleinik 1994, section 1.4; Griso 2004, Asymptot. Anal. 40,
269; Moskow, Vogelius 1997, doi 10.1017/S0308210500027050 (the layer).
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from dolfinx import fem

from homfem.cells.unitcell import UnitCell
from homfem.certify import Diffusion, Elasticity
from homfem.limits import BudgetError
from homfem.meshing.arrays.budget import require_cells
from homfem.parameters import Array, InputError, check_integer, check_number
from homfem.progress import tell
from homfem.twoscale.errors import Meter
from homfem.twoscale.limit import Limit, approximations, solve_limit
from homfem.twoscale.medium import Medium, make_medium
from homfem.twoscale.problem import SteadyProblem
from homfem.twoscale.rates import Rates
from homfem.twoscale.resolved import Resolved, mean, solve_resolved
from homfem.twoscale.sampling import in_limit, on_resolved, samples
from homfem.twoscale.splines import SmoothField

log = logging.getLogger("homfem")

#: The errors of a level by name, and what each is.
ERRORS: Mapping[str, str] = {
    "l2": "L2 norm of u_eps - u0",
    "h1": "H1 seminorm of u_eps less the reconstruction",
    "h1 inside": "the same inside",
    "h1 cut": "H1 seminorm of u_eps less the reconstruction with the correctors cut off at the boundary",
    "energy": "energy norm of u_eps less the reconstruction",
    "energy inside": "the same inside",
}


@dataclass(frozen=True, kw_only=True, slots=True)
class TwoScaleMethod:
    """How a study is made.

    Parameters
    ----------
    degree
        Of the Lagrange elements on cell and resolved domain, 1 or 2.
    margin
        The inside is what is at least this part of the shortest side away from the boundary, in (0, 1/2).
    samples, seed
        Number of test functions of the sampled two-scale convergence, and the seed of their draw.
    rtol
        Of the linear solvers.
    max_dofs
        Largest number of unknowns of a resolved problem.
    elements
        Elements of the splines of the limit along each axis; by default 48 in 2D, 12 in 3D.
    """

    degree: int = 1
    margin: float = 0.25
    samples: int = 8
    seed: int = 1
    rtol: float = 1e-10
    max_dofs: int = 2_000_000
    elements: int | None = None

    def __post_init__(self) -> None:
        check_integer("degree", self.degree, at_least=1, at_most=2)
        check_number("margin", self.margin, above=0.0, below=0.5)
        check_integer("samples", self.samples, at_least=0)
        check_integer("seed", self.seed, at_least=0)
        check_number("rtol", self.rtol, above=0.0, at_most=1e-6)
        check_integer("max_dofs", self.max_dofs, at_least=1)
        if self.elements is not None:
            check_integer("elements", self.elements, at_least=6)


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Level:
    r"""What was found for one :math:`\varepsilon`.

    Parameters
    ----------
    periods
        n, along each side of the box; :math:`\varepsilon=1/n`.
    dofs, iterations, seconds
        Of the resolved problem.
    errors
        As :data:`ERRORS` names them, in parts of the same norm over all of :math:`u_0` (``"l2"``) or of the
        reconstruction.
    distance, profile : array
        Distances from the boundary, in units of the box, and in a strip about each the root mean square of the gradient
        of the error of the reconstruction, in parts of that of the gradient of the reconstruction over all.
    sampled : array, shape (samples, 2)
        Integrals of :math:`u_\varepsilon` and of its gradient against the test functions.
    """

    periods: int
    dofs: int
    iterations: int
    seconds: float
    errors: Mapping[str, float]
    distance: Array
    profile: Array
    sampled: Array

    @property
    def eps(self) -> float:
        r""":math:`\varepsilon`."""
        return 1.0 / self.periods


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class TwoScaleFields:
    """The fields of the last level, for pictures.

    Parameters
    ----------
    resolved, reconstructed
        On the resolved mesh.
    homogenized
        On the whole box.
    domain
        The resolved domain.
    """

    resolved: fem.Function
    reconstructed: fem.Function
    homogenized: SmoothField
    domain: Resolved


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class TwoScaleStudy(Rates):
    r"""Resolved computations beside their limit.

    Parameters
    ----------
    levels
        One for each :math:`\varepsilon`, the largest first.
    tensor
        The effective tensor of the discretised cell, shape (d, d), or (3, 3) and (6, 6) in Voigt notation.
    limits : array, shape (samples, 2)
        What ``Level.sampled`` tends to,
    sizes : array, shape (2,)
        and how large it may be at the most: :math:`\|u_0\||\Omega|^{1/2}`, and the same of the gradient.
    floor
        Estimated error of the homogenized solution, as a part of it: ``"l2"``, ``"h1"``. Errors near it say nothing.
    fields
        Of the last level.
    physics, cell, method
        What was studied, and how.
    """

    levels: tuple[Level, ...]
    tensor: Array
    limits: Array
    sizes: Array
    floor: Mapping[str, float]
    fields: TwoScaleFields
    physics: str
    cell: str
    method: TwoScaleMethod = field(default_factory=TwoScaleMethod)

    @property
    def found(self) -> tuple[Level, ...]:
        """The levels."""
        return self.levels

    def errors(self, name: str) -> Array:
        """Return one of :data:`ERRORS` of each level, or ``"sampled"`` and ``"sampled gradient"`` (:meth:`misses`)."""
        if name.startswith("sampled"):
            return self.misses[:, int(name == "sampled gradient")]
        return np.array([level.errors[name] for level in self.levels])

    @property
    def misses(self) -> Array:
        """Root mean square over the samples of what the integrals miss, in parts of ``sizes``; shape (levels, 2)."""
        squares = [np.mean((level.sampled - self.limits) ** 2, axis=0) for level in self.levels]
        return np.asarray(np.sqrt(np.array(squares)) / self.sizes)

    @property
    def names(self) -> tuple[str, ...]:
        """What :meth:`errors` and :meth:`rates` take."""
        return (*ERRORS, *(("sampled", "sampled gradient") if len(self.limits) else ()))

    def __str__(self) -> str:
        """Return the table of errors and rates."""
        floor = f"floor {self.floor['l2']:.1e} (l2), {self.floor['h1']:.1e} (h1)"
        return f"{self.cell}: {self.physics}, {floor}\n{self.table()}"


def two_scale_study(
    cell: UnitCell,
    physics: Diffusion | Elasticity,
    problem: SteadyProblem | None = None,
    *,
    periods: Sequence[int] = (4, 8, 16),
    method: TwoScaleMethod | None = None,
) -> TwoScaleStudy:
    r"""Compare a medium of more and more periods with its limit; collective.

    Parameters
    ----------
    cell
        One period, on the lattice of a box, of straight simplices: the coarser, the more periods fit.
    physics
        :class:`homfem.certify.Diffusion` or :class:`~homfem.certify.Elasticity` with the coefficients of the phases;
        those that are not named are insulating holes, or voids.
    problem
        Source and boundary; by default the source 1, zero on all sides.
    periods
        :math:`n=1/\varepsilon` of each level, whole numbers, increasing. The box is the cell enlarged n times.
    method
        Degree, inside, samples, budget.

    Raises
    ------
    InputError
        For bad input; :class:`~homfem.limits.BudgetError`, before anything is solved, for more unknowns than
        ``max_dofs``; :class:`~homfem.parameters.PercolationError` for phases that are not one connected body.
    ConvergenceError
        If a solver did not converge.

    Examples
    --------
    >>> from homfem.cells import laminate
    >>> from homfem.certify import Diffusion
    >>> cell = laminate([0.5, 0.5], axis="x", dimension=2, resolution=0.25)
    >>> physics = Diffusion(coefficients={"layer1": 1.0, "layer2": 3.0})
    >>> ends = SteadyProblem(held={"x-low": 0.0, "x-high": 0.0})
    >>> study = two_scale_study(cell, physics, ends, periods=(2, 4))
    >>> (study.tensor.round(9) + 0.0).tolist(), [level.periods for level in study.levels]
    ([[1.5, 0.0], [0.0, 2.0]], [2, 4])
    """
    method = TwoScaleMethod() if method is None else method
    problem = SteadyProblem() if problem is None else problem
    require_type("problem", problem, SteadyProblem)
    require_type("method", method, TwoScaleMethod)
    counts = check_periods(periods)
    medium = make_medium(cell, physics, degree=method.degree)
    require_dofs(medium.dofs, counts[-1], medium.dimension, method.max_dofs)
    require_cells("periods", counts[-1], cell.kind, float(len(medium.raw.cells)) * counts[-1] ** medium.dimension)
    problem.sides(medium.dimension, medium.shape)
    problem.sources(medium.raw.phases, medium.shape)
    limit = solve_limit(medium, problem, elements=method.elements)
    chosen = samples(medium, method.samples, method.seed)
    levels = []
    for count in counts:
        tell(f"{count} periods along each side")
        level, fields = _level(medium, problem, limit, count, method)
        levels.append(level)
    limits, sizes = in_limit(medium, fields.homogenized, chosen)
    return TwoScaleStudy(
        levels=tuple(levels),
        tensor=medium.average,
        limits=limits,
        sizes=sizes,
        floor=_floor(medium, limit),
        fields=fields,
        physics=medium.physics,
        cell=cell.name,
        method=method,
    )


def require_type(name: str, value: object, wanted: type) -> None:
    """Refuse anything but an instance of a class."""
    if not isinstance(value, wanted):
        raise InputError(name, value, f"a {wanted.__module__.rpartition('.')[0]}.{wanted.__name__}")


def check_periods(periods: Sequence[int]) -> list[int]:
    """Return the numbers of periods if they are whole and increase."""
    if isinstance(periods, (str, bytes)) or not isinstance(periods, Sequence | np.ndarray) or not len(periods):
        raise InputError("periods", periods, "whole numbers, 1/eps of each level")
    remedy = "eps is one over a whole number, so that periods fill the box."
    counts = [check_integer(f"periods[{k}]", count, at_least=1, remedy=remedy) for k, count in enumerate(periods)]
    if sorted(set(counts)) != counts:
        raise InputError("periods", list(periods), "whole numbers that increase")
    return counts


def require_dofs(own: int, periods: int, dimension: int, max_dofs: int) -> None:
    """Refuse a number of periods with more unknowns than are allowed, of a cell with so many of its own."""
    number = own * periods**dimension
    if number > max_dofs:
        allowed = f"one with at most max_dofs = {max_dofs} unknowns; {periods}^{dimension} periods have up to {number}"
        raise BudgetError("periods", periods, allowed, "Take a coarser cell, fewer periods, or allow more.")


def _level(
    medium: Medium, problem: SteadyProblem, limit: Limit, periods: int, method: TwoScaleMethod
) -> tuple[Level, TwoScaleFields]:
    """Solve one level and measure it; collective."""
    resolved = Resolved(medium, periods)
    solution = solve_resolved(resolved, problem, rtol=method.rtol)
    homogenized = limit.field
    if not problem.held:  # both have mean zero over the active phases
        own = resolved.function(homogenized.values(resolved.points))
        homogenized = homogenized.moved(np.array([-mean(resolved, own)]))
    given = approximations(resolved, homogenized)
    values = solution.function.x.array.reshape(-1, medium.components).T
    inside = resolved.distance() >= method.margin * float(medium.sides.min())
    meter = Meter(resolved, inside, lambda e: medium.energy(e, e, resolved.coefficient))
    sizes, plain = meter.norms(given.reconstructed).whole, meter.norms(given.limit).whole
    if not (plain["l2"] > 0.0 and sizes["h1"] > 0.0):
        raise InputError("problem", problem, "one whose solution varies: errors are in parts of it and of its gradient")
    error, cut = meter.norms(values - given.reconstructed), meter.norms(values - given.cut)
    errors = {
        "l2": meter.norms(values - given.limit).whole["l2"] / plain["l2"],
        "h1": error.whole["h1"] / sizes["h1"],
        "h1 inside": error.inside["h1"] / sizes["h1"],
        "h1 cut": cut.whole["h1"] / sizes["h1"],
        "energy": error.whole["energy"] / sizes["energy"],
        "energy inside": error.inside["energy"] / sizes["energy"],
    }
    half = 0.5 * float(medium.sides.min())
    edges: Array = np.linspace(0.0, half, min(2 * max(periods // 2, 1), 24) + 1, dtype=np.float64)
    scale = sizes["h1"] / np.sqrt(float(resolved.comm.allreduce(meter.volumes.sum())))
    profile = meter.profile(meter.squares(values - given.reconstructed)["h1"], edges) / scale
    chosen = samples(medium, method.samples, method.seed)
    level = Level(
        periods=periods,
        dofs=resolved.dofs,
        iterations=solution.iterations,
        seconds=solution.seconds,
        errors=errors,
        distance=0.5 * (edges[1:] + edges[:-1]),
        profile=profile,
        sampled=on_resolved(resolved, solution.function, chosen),
    )
    fields = TwoScaleFields(
        resolved=solution.function,
        reconstructed=resolved.function(given.reconstructed, "reconstructed"),
        homogenized=homogenized,
        domain=resolved,
    )
    return level, fields


def _floor(medium: Medium, limit: Limit) -> dict[str, float]:
    """Return how far the homogenized solution is from one of two thirds of the elements, over itself."""
    side = (np.arange(60) + 0.5) / 60 if medium.dimension == 2 else (np.arange(24) + 0.5) / 24
    grid = np.meshgrid(*(side * length for length in medium.sides), indexing="ij")
    points = np.stack([x.ravel() for x in grid])
    pairs = {"l2": [f.values(points) for f in (limit.field, limit.coarser)],
             "h1": [f.gradients(points) for f in (limit.field, limit.coarser)]}  # fmt: skip
    return {name: float(np.linalg.norm(one - other) / np.linalg.norm(one)) for name, (one, other) in pairs.items()}
