"""Motility, sensitivity and the attractant's diffusivity of each phase: what may stand beside what."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from homfem.parameters import Array, InputError, check_choice, check_spd

#: For each phase a number, a matrix, or a function of position.
Coefficients = Mapping[str, float | npt.ArrayLike | Callable[[Array], Array]]


@dataclass(frozen=True, kw_only=True, slots=True)
class ChemotaxisData:
    """The coefficients of all phases: matrices, or functions of position.

    Parameters
    ----------
    motility, attractant : mapping of str to array, shape (d, d), or function
        Symmetric and positive definite, of the phases in which cells move and the attractant diffuses.
    sensitivity : mapping of str to array, shape (d, d), or function
        Any matrix, of phases that are in both.
    """

    motility: Mapping[str, Any]
    sensitivity: Mapping[str, Any]
    attractant: Mapping[str, Any]


def checked(
    motility: Coefficients, sensitivity: Coefficients, attractant: Coefficients, phases: tuple[str, ...], d: int
) -> ChemotaxisData:
    """Return the coefficients as matrices; functions of position as they are.

    Raises
    ------
    InputError
        For a phase that the cell does not have, a motility or diffusivity that is not positive, a sensitivity that is
        no matrix of finite numbers, or one where no cell moves or no attractant is.
    """
    given: dict[str, Coefficients] = {"motility": motility, "sensitivity": sensitivity, "attractant": attractant}
    for name, table in given.items():
        if not table:
            raise InputError(name, table, f"given for at least one of {phases}")
        for phase in table:
            check_choice(name, phase, phases)
    moving = {
        name: {
            phase: value if callable(value) else check_spd(f"{name}[{phase!r}]", value, d)
            for phase, value in ((phase, given[name][phase]) for phase in phases if phase in given[name])
        }
        for name in ("motility", "attractant")
    }
    followed = {}
    for phase in (one for one in phases if one in sensitivity):
        given_one: Any = sensitivity[phase]
        matrix = given_one if callable(given_one) else _matrix(f"sensitivity[{phase!r}]", given_one, d)
        some = callable(matrix) or matrix.any()
        for name, what in (("motility", "no cell moves"), ("attractant", "no attractant is")):
            if some and phase not in given[name]:
                remedy = f"Give the phase its {name}, or leave its sensitivity out."
                raise InputError(f"sensitivity[{phase!r}]", sensitivity[phase], f"0 where {what}", remedy)
        if some:
            followed[phase] = matrix
    return ChemotaxisData(motility=moving["motility"], sensitivity=followed, attractant=moving["attractant"])


def _matrix(name: str, value: Any, d: int) -> Array:
    allowed = f"a finite number or a {d}x{d} matrix of them"
    try:
        matrix = np.array(value, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise InputError(name, value, allowed) from error
    matrix = float(matrix) * np.eye(d) if matrix.ndim == 0 else matrix
    if matrix.shape != (d, d) or not np.all(np.isfinite(matrix)):
        raise InputError(name, value, allowed)
    return matrix
