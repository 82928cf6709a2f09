r"""What a mesh leaves in a dispersion tensor where the flow is fast for it: an estimate, without guarantee.

At large Peclet numbers the concentration varies in layers along the walls and between the streams. The Peclet number of
the mesh, :math:`\mathrm{Pe}\,h/\ell` with the mean size h of its cells and the shortest period, tells where they are
resolved: around a square array of fibres, in a flow at an angle to the rows, quadratic elements were off by 2e-3 at
10, by 5e-2 at 100 and by half at 1000. Where it is above :data:`FAST`, the tensor of elements of one degree less is
computed beside, and their distance in the worst direction is the ``estimated_error``: it is that of the lower degree,
and so well above the error where the mesh begins to resolve the flow.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import replace

from homfem.brackets import relative_gap
from homfem.local.dispersion import Carrier
from homfem.local.dispersion_series import Dispersed, solve_dispersed
from homfem.local.posed import Method
from homfem.parameters import Array, ConvergenceError

log = logging.getLogger("homfem")

#: Peclet number of the mesh from which the error is estimated.
FAST = 5.0
#: Estimated error that is worth a warning.
LARGE = 0.05
#: Relative residual that is enough for the tensor of one degree less.
ENOUGH = 1e-6


def mesh_peclet(carrier: Carrier, peclet: float) -> float:
    """Return the Peclet number of the mean size of the mesh cells."""
    cell = carrier.cell
    volume = cell.lattice.volume * sum(cell.volume_fractions[name] for name in cell.phase_names)
    size = (volume / cell.number_of_cells) ** (1.0 / cell.dimension)
    return float(peclet * size * cell.length / min(cell.periods))


def estimated_errors(
    carrier: Carrier, solved: Sequence[Dispersed], peclet: Sequence[float], method: Method
) -> list[float | None]:
    """Return the estimate for each Peclet number; collective.

    None where the mesh is fine for it, where elements are linear, and where those of one degree less found no solution.
    """
    errors: list[float | None] = [None] * len(solved)
    if carrier.degree == 1:
        return errors
    fast = [k for k, one in enumerate(peclet) if mesh_peclet(carrier, one) > FAST]
    if not fast:
        return errors
    try:
        lower = replace(carrier, degree=carrier.degree - 1)
        below = solve_dispersed(lower, [solved[k].scale for k in fast], replace(method, rtol=max(method.rtol, ENOUGH)))
    except ConvergenceError as error:
        log.info("%s: no estimate of the error: %s", carrier.cell.name, error)
        return errors
    for k, other in zip(fast, below, strict=True):
        errors[k] = distance(carrier, solved[k].value, other.value)
    return errors


def warnings_of(carrier: Carrier, peclet: Sequence[float], errors: Sequence[float | None]) -> list[tuple[str, ...]]:
    """Return what is said of each tensor whose mesh may not resolve the flow; one line of the log tells of all."""
    found = [_warning(carrier, one, error) for one, error in zip(peclet, errors, strict=True)]
    told = [k for k, words in enumerate(found) if words]
    if len(told) == 1:
        log.warning("%s: %s", carrier.cell.name, found[told[0]])
    elif told:
        fast, worst = [peclet[k] for k in told], max(errors[k] or 0.0 for k in told)
        more = f": elements of one degree less differ by up to {worst:.1%}" if worst else ""
        words = f"{len(told)} of the Peclet numbers, {min(fast):g} to {max(fast):g}{more}"
        log.warning("%s: the mesh is coarse for %s; refine, or ask for bounds", carrier.cell.name, words)
    return [(words,) if words else () for words in found]


def _warning(carrier: Carrier, peclet: float, error: float | None) -> str:
    """What is said of one tensor; empty where the mesh is fine for it."""
    number = mesh_peclet(carrier, peclet)
    if number <= FAST or (error is not None and error <= LARGE):
        return ""
    told = "and there is no estimate of what is missed: refine, or ask for bounds where there are any"
    if error is not None:
        told = f"and elements of one degree less differ by {error:.1%}: refine, or ask for bounds"
    return f"the mesh is coarse for the Peclet number {peclet:g}: that of its cells is {number:.3g}, {told}"


def distance(carrier: Carrier, value: Array, other: Array) -> float:
    """Return the largest relative distance of two tensors, over the directions in which the phases reach on."""
    span = carrier.cell.whole.span(carrier.cell.lattice)
    one, two = (span @ tensor @ span.T for tensor in (value, other))
    return 2.0 * relative_gap(one, two)
