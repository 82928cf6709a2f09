"""Effective tensors of block media: one call for all methods."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Mapping
from typing import Any

import numpy as np
import scipy

from homfem import brackets
from homfem.blocks.finite_volume import solve_finite_volume
from homfem.blocks.galerkin import solve_bounds
from homfem.blocks.medium import BlockMedium
from homfem.blocks.semi_analytical import solve_semi_analytical
from homfem.kinds import CONDUCTION, kind_of
from homfem.limits import MemoryLimitError, require_memory
from homfem.parameters import Array, ConvergenceError, InputError, check_choice, check_tolerance
from homfem.tensors import EffectiveTensor

log = logging.getLogger("homfem")
#: Bytes for each unknown of the corner-Galerkin method, measured, rounded up.
BYTES = 5000.0
METHODS = ("corner-galerkin", "semi-analytical", "finite-volume")
#: Values that are no further outside bounds, relative, are at their end but for round-off.
OUTSIDE = 1e-10
#: A relative error that is worth a warning.
LARGE = 0.1
#: Degrees and singular functions of the bounds that judge other methods.
JUDGES = ((2, 1), (4, 2), (8, 2))
#: Polynomial degree and number of singular functions per end, in the order in which a tolerance tries them.
LADDER = ((0, 1), (2, 1), (2, 2), (4, 2), (6, 2), (8, 2), (10, 2), (12, 2))


def homogenize_blocks(
    medium: BlockMedium,
    *,
    method: str = "corner-galerkin",
    abscissas: int | tuple[int, int] = 16,
    modes: int | None = None,
    merge: bool = False,
    intervals: int | tuple[int, int] = 16,
    degree: int = 4,
    singular: int = 2,
    tolerance: float | None = None,
    max_dofs: int | None = None,
    collapse: bool = True,
    unit: str = "",
    physics: str = "diffusion",
    length_unit: str = "",
    volume_fractions: Mapping[str, float] | None = None,
    active_phases: tuple[str, ...] | None = None,
) -> EffectiveTensor:
    r"""Return the effective tensor :math:`D^*_{ij}=\frac1A\int e_i\cdot D(e_j+\nabla\psi^{(j)})` of a block medium.

    Parameters
    ----------
    medium
        The block medium.
    method
        ``"corner-galerkin"`` (default; :mod:`homfem.blocks.galerkin`), ``"semi-analytical"`` (the method of March, Carr
        and Turner), ``"finite-volume"`` (their yardstick).
    abscissas, modes, merge
        Semi-analytical method: N_x = N_y or (N_x, N_y) >= 2; N_eig within their eq. 62; merging of equal neighbours.
    intervals
        Finite volumes: mesh intervals per block, one number or two.
    degree, singular
        Corner-Galerkin: polynomial degree (0 to 12), singular functions per end of an interface (0 to 2).
    tolerance
        Corner-Galerkin: degrees are tried in turn until the relative half-gap of the bounds is below it. The other
        methods keep their resolution; ``reached`` is False where their error may be larger (:func:`judged`). > 0.
    max_dofs
        Corner-Galerkin with a tolerance: ``reached`` is False where the next system would have more unknowns.
    collapse
        Corner-Galerkin: join equal neighbouring rows and columns first where that at least halves the number of
        blocks; the tensor is the same.
    unit, physics, length_unit, volume_fractions, active_phases
        Go into the result; ``physics`` is ``"diffusion"``, ``"conductivity"`` or ``"heat-conduction"``, whose equations
        are the same, and the unit must belong to it. By default the fractions are those of the conducting blocks and
        of the voids.

    Returns
    -------
    EffectiveTensor
        ``value`` is the midpoint of the bounds for the corner-Galerkin method, the other methods' own tensor otherwise.
        Finite volumes give an upper bound, the semi-analytical method none: ``estimated_error`` is the largest relative
        error that the bounds of the corner-Galerkin method, which hold for the same medium, leave to their value.

    Raises
    ------
    InputError
        An option outside its range, with what is allowed.
    ConvergenceError
        An iteration that stalls.
    """
    from homfem import __version__

    check_choice("method", method, METHODS)
    unit = kind_of(check_choice("physics", physics, CONDUCTION)).check_unit(unit)
    if tolerance is not None:
        check_tolerance(tolerance, below=math.inf)
    start = time.perf_counter()
    seconds: dict[str, float] = {}
    options: dict[str, Any] = {"method": method, "tolerance": tolerance}
    result: dict[str, Any]
    joined = medium.collapsed() if collapse else medium
    # Unequal blocks need tables for every aspect ratio: joining a few blocks only does not pay.
    joined = joined if 2 * joined.diffusivity.size <= medium.diffusivity.size else medium
    if method == "semi-analytical":
        series = solve_semi_analytical(medium, abscissas=abscissas, modes=modes, merge=merge)
        options |= {"abscissas": abscissas, "modes": modes, "merge": merge}
        seconds |= series.seconds
        result = {"value": series.value, "dofs": series.unknowns} | judged(series.value, joined, tolerance)
    elif method == "finite-volume":
        volumes = solve_finite_volume(medium, intervals=intervals)
        options |= {"intervals": intervals}
        result = {"upper": volumes.value, "dofs": volumes.unknowns, "iterations": volumes.iterations}
        result |= {"value": volumes.value} | judged(volumes.value, joined, tolerance)
    else:
        options |= {"degree": degree, "singular": singular, "collapse": collapse}
        result = _galerkin(joined, degree, singular, tolerance, max_dofs)
    seconds["total"] = time.perf_counter() - start
    fractions = medium.volume_fractions() if volume_fractions is None else dict(volume_fractions)
    return EffectiveTensor(
        unit=unit,
        physics=physics,
        method=method,
        volume_fractions=fractions,
        active_phases=("conducting",) if active_phases is None else active_phases,
        interface_area=medium.interface_length() / medium.area,
        length_unit=length_unit,
        seconds=seconds,
        versions={"homfem": __version__, "numpy": np.__version__, "scipy": scipy.__version__},
        config=options,
        **result,
    )


def judged(value: Array, medium: BlockMedium, tolerance: float | None) -> dict[str, Any]:
    r"""Return what guaranteed bounds of a medium say of a value from a method that has none.

    The bounds are those of the corner-Galerkin method, of the first degrees whose half-gap is a tenth of the distance
    of the value from them, or with which the value is within the tolerance: hardly ever more than the first. Where
    round-off leaves none, those of :func:`layered_bounds` remain.

    Returns
    -------
    dict
        ``estimated_error``, the largest relative error that the bounds leave to the value
        (:func:`homfem.brackets.relative_error`); ``reached``, whether that is within the tolerance, if there is one;
        ``warnings``, if the value lies outside the bounds or they leave much open.
    """
    least, most = brackets.relative_error(value, *layered_bounds(medium))
    try:
        for degree, singular in JUDGES:
            bounds = _galerkin(medium, degree, singular, None, None)
            if bounds["lower"] is None:
                continue
            least, most = brackets.relative_error(value, bounds["lower"], bounds["upper"])
            if 0.5 * (most - least) <= 0.1 * least or (tolerance is not None and most <= tolerance):
                break
    except (ConvergenceError, MemoryLimitError) as error:
        log.info("no closer bounds: %s", error)
    found: dict[str, Any] = {"estimated_error": most, "reached": tolerance is None or most <= tolerance}
    warnings = []
    if least > OUTSIDE:
        warnings.append(
            f"the value is outside guaranteed bounds of this medium, by {least:.2g} of the tensor in some direction: "
            "method = 'corner-galerkin' gives them, and a value between them"
        )
    elif most > LARGE:
        warnings.append(f"guaranteed bounds of this medium leave {most:.2g} of the tensor open in some direction")
    return found | {"warnings": tuple(warnings)}


def layered_bounds(medium: BlockMedium) -> tuple[Array, Array]:
    r"""Return bounds of the effective tensor without a system: of rows side by side, and of columns in series.

    Fluxes that are constant along each row, and potentials that are linear in each column, are admissible:
    :math:`\sum_ih_i\bigl(\sum_jw_j/D_{ij}\bigr)^{-1}\le D^*_{xx}\le\bigl(\sum_jw_j/\sum_ih_iD_{ij}\bigr)^{-1}` with the
    fractions h of the rows and w of the columns, likewise for y. The diagonal matrices are bounds in the Loewner order.
    """
    low, high = np.zeros((2, 2)), np.zeros((2, 2))
    for axis, along in enumerate((medium, medium.transposed())):
        w, h = (np.asarray(part) / np.sum(part) for part in (along.widths, along.heights))
        with np.errstate(divide="ignore"):
            low[axis, axis] = np.sum(h / np.sum(w / along.axial[..., 0], axis=1))
            high[axis, axis] = 1.0 / np.sum(w / (h @ along.axial[..., 0]))
    return low, high


def _galerkin(
    medium: BlockMedium, degree: int, singular: int, tolerance: float | None, max_dofs: int | None
) -> dict[str, Any]:
    steps: tuple[tuple[int, int], ...] = ((degree, singular),)
    if tolerance is not None:
        steps = LADDER
    result: dict[str, Any] = {}
    edges = 2 * medium.diffusivity.shape[0] * medium.diffusivity.shape[1]
    for order, functions in steps:
        expected = edges * (order + 1 + 2 * functions) + edges // 2
        if max_dofs is not None and expected > max_dofs:
            if result:
                break
            remedy = "Allow more, or choose a lower degree."
            raise InputError("max_dofs", max_dofs, f">= {expected}, the unknowns of the first system", remedy)
        require_memory("degree", order, BYTES * expected, f"a system of {expected} unknowns")
        try:
            with np.errstate(divide="ignore", invalid="ignore"):  # exponents that round to nothing: no eigenvalues
                lower, dual, upper, noise = solve_bounds(medium, degree=order, singular=functions)
        except np.linalg.LinAlgError as error:
            raise ConvergenceError(f"corner-galerkin: no bounds at this contrast ({error})") from error
        # Nothing flows where the upper bound is zero: the lower one then is zero too, not round-off.
        below, doubt = (lower.lower, lower.noise) if upper.any() else (np.zeros((2, 2)), np.zeros((2, 2)))
        none = np.zeros((2, 2))
        result = brackets.bracket(below, upper, below=none, above=none, noise=(doubt, noise)) | {
            "dofs": lower.unknowns,
            "iterations": result.get("iterations", 0) + lower.iterations + dual,
        }
        if tolerance is None:
            return result
        gap = brackets.relative_gap(result["lower"], result["upper"]) if result["lower"] is not None else math.inf
        result["reached"] = result["reached"] and gap <= tolerance
        log.info("corner-galerkin: degree %d, relative gap %.1e", order, gap)
        if result["reached"]:
            break
    return result
