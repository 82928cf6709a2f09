"""A membrane that moves calcium between the cytosol and the endoplasmic reticulum, of any kinetics."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from homfem.kinetics.parameters import Parameter
from homfem.kinetics.point import Fields, PointKinetics, Variable
from homfem.kinetics.written import Formulary
from homfem.parameters import Array
from homfem.quantities import CONCENTRATION


@dataclass(frozen=True, kw_only=True, slots=True)
class MembraneKinetics:
    r"""The flux through a membrane and the states that gate it, as functions of the local state.

    :math:`f = f(c, e, X, p)` and :math:`\dot X_k = r_k(c, e, X, p)\,(X_{k,\infty}(c, e, X, p) - X_k)`. Any rate
    :math:`\Phi` can be written so (:math:`X_\infty = X + \Phi/r`); for a gate, r and :math:`X_\infty` do not depend
    on X and the step is exponential.

    Parameters
    ----------
    name : str
        Name of the kinetics.
    states : tuple of str
        Names of the gating states X; may be empty.
    flux : callable ``(c, e, X, ip3) -> f``
        Flux from the ER into the cytosol per membrane area, uM um/s. ``c``, ``e`` (uM) have shape (n,), ``X`` has shape
        (len(states), n), ``ip3`` (uM) is a number or has shape (n,); ``f`` is a new array of shape (n,).
    relaxation : callable ``(c, e, X, ip3) -> (rate, target)``
        Rates (1/s) and targets of the states, each of shape (len(states), n).
    steady : callable ``(c, e, ip3) -> X``
        The states at rest for fixed c and e, shape (len(states), n).
    parameters : mapping
        Numbers that identify the kinetics, for logs and checkpoints.
    written : Formulary or None
        The same as expressions of ``cytosol``, ``er``, ``ip3`` and the states, of which compiled steps are made.
    """

    name: str
    states: tuple[str, ...]
    flux: Callable[[Array, Array, Array, Array | float], Array]
    relaxation: Callable[[Array, Array, Array, Array | float], tuple[Array, Array]]
    steady: Callable[[Array, Array, Array | float], Array]
    parameters: Mapping[str, float] = field(default_factory=dict)
    written: Formulary | None = None


def exchange_kinetics(membrane: MembraneKinetics) -> PointKinetics:
    r"""Return the point kinetics of a membrane: one flux (uM um/s), which the cytosol gains and the ER loses.

    The fields are ``cytosol`` and ``er`` (uM), IP3 (uM) is the parameter. What a flux per area of membrane changes in a
    field per volume, :math:`\lambda S/\gamma`, is the business of the macroscale model.
    """

    def rates(_time: float, fields: Fields, states: Array, p: Any) -> Array:
        return membrane.flux(fields[0], fields[1], states, p.ip3)[None]

    def relaxation(_time: float, fields: Fields, states: Array, p: Any) -> tuple[Array, Array]:
        return membrane.relaxation(fields[0], fields[1], states, p.ip3)

    return PointKinetics(
        name=membrane.name,
        time_unit="s",
        fields=(
            Variable(name="cytosol", unit="uM", meaning="free calcium of the cytosol"),
            Variable(name="er", unit="uM", meaning="free calcium of the endoplasmic reticulum"),
        ),
        states=tuple(Variable(name=name, meaning="gate of the membrane") for name in membrane.states),
        parameters=(Parameter(name="ip3", value=0.0, unit="uM", kind=CONCENTRATION, meaning="IP3", at_least=0.0),),
        rates=rates,
        stoichiometry=((1.0,), (-1.0,)),
        relaxation=relaxation if membrane.states else None,
        written=membrane.written,
        rest=lambda fields, p: np.asarray(membrane.steady(fields[0], fields[1], p.ip3)),
    )
