"""Effective tensors of block media: one call for all methods."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Mapping
from typing import Any, Unpack

import numpy as np
import scipy

from homfem import brackets
from homfem.blocks.accuracy import BlockAccuracy, BlockOptions
from homfem.blocks.finite_volume import solve_finite_volume
from homfem.blocks.galerkin import solve_bounds
from homfem.blocks.medium import BlockMedium
from homfem.blocks.semi_analytical import solve_semi_analytical
from homfem.keywords import takes
from homfem.kinds import CONDUCTION, kind_of
from homfem.limits import MemoryLimitError, require_memory
from homfem.parameters import Array, ConvergenceError, InputError, check_choice
from homfem.progress import tell
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


@takes(BlockAccuracy)
def homogenize_blocks(
    medium: BlockMedium,
    *,
    method: str = "corner-galerkin",
    length_unit: str = "",
    volume_fractions: Mapping[str, float] | None = None,
    active_phases: tuple[str, ...] | None = None,
    physics: str = "diffusion",
    unit: str = "",
    config: Mapping[str, Any] | None = None,
    **accuracy: Unpack[BlockOptions],
) -> EffectiveTensor:
    r"""Return the effective tensor :math:`D^*_{ij}=\frac1A\int e_i\cdot D(e_j+\nabla\psi^{(j)})` of a block medium.

    Parameters
    ----------
    medium
        The block medium.
    method
        ``"corner-galerkin"`` (default; :mod:`homfem.blocks.galerkin`), ``"semi-analytical"`` (the method of March, Carr
        and Turner), ``"finite-volume"`` (their yardstick).
    length_unit, volume_fractions, active_phases
        Go into the result. By default the fractions are those of the conducting blocks and of the voids.
    physics
        ``"diffusion"``, ``"conductivity"`` or ``"heat-conduction"``: the name in the result, and what its unit must
        be. The equations are the same.
    unit
        Unit of the coefficients, for the result.
    config
        The input that led here, kept in the result; by default the method and its own options.
    **accuracy
        As :class:`homfem.blocks.BlockAccuracy` has them.

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
    wanted = BlockAccuracy(**accuracy)
    start = time.perf_counter()
    result, options, seconds = _by_method(medium, method, wanted)
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
        config=options if config is None else dict(config),
        **result,
    )


def _by_method(
    medium: BlockMedium, method: str, wanted: BlockAccuracy
) -> tuple[dict[str, Any], dict[str, Any], dict[str, float]]:
    """What a method gives, its own options, and wall time by stage."""
    options: dict[str, Any] = {"method": method, "tolerance": wanted.tolerance}
    joined = medium.collapsed() if wanted.collapse else medium
    # Unequal blocks need tables for every aspect ratio: joining a few blocks only does not pay.
    joined = joined if 2 * joined.diffusivity.size <= medium.diffusivity.size else medium
    if method == "semi-analytical":
        own: dict[str, Any] = {"abscissas": wanted.abscissas, "modes": wanted.modes, "merge": wanted.merge}
        series = solve_semi_analytical(medium, **own)
        result = {"value": series.value, "dofs": series.unknowns} | judged(series.value, joined, wanted.tolerance)
        return result, options | own, dict(series.seconds)
    if method == "finite-volume":
        volumes = solve_finite_volume(medium, intervals=wanted.intervals)
        result = {"upper": volumes.value, "dofs": volumes.unknowns, "iterations": volumes.iterations}
        result |= {"value": volumes.value} | judged(volumes.value, joined, wanted.tolerance)
        return result, options | {"intervals": wanted.intervals}, {}
    options |= {"degree": wanted.order, "singular": wanted.singular, "collapse": wanted.collapse}
    return _galerkin(joined, wanted.order, wanted.singular, wanted.tolerance, wanted.max_dofs), options, {}


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
        tell(f"relative half-gap {gap:.1e}, wanted {tolerance:.1e}")
        if result["reached"]:
            break
    return result
