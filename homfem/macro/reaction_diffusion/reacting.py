"""The kinetics of all species of a problem, those that do not react among them, and the sums that reactions keep."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from homfem.kinetics import PointKinetics, Variable
from homfem.macro.reaction_diffusion.problem import ReactionDiffusion


def with_species(kinetics: PointKinetics | None, species: Any) -> PointKinetics:
    """Return kinetics whose fields are all species: those that do not react come last, and get nothing."""
    own = () if kinetics is None else kinetics.fields
    names = [variable.name for variable in own]
    idle = tuple(Variable(name=entry.name) for entry in species if entry.name not in names)
    if kinetics is None:
        return PointKinetics(
            name="no reaction",
            time_unit="",
            fields=idle,
            rates=lambda _time, fields, _states, _p: np.empty((0, len(fields[0]))),
            stoichiometry=((),) * len(idle),
        )
    if not idle:
        return kinetics
    rows = kinetics.stoichiometry
    if rows is None:
        rows = tuple(tuple(float(i == j) for j in range(len(own))) for i in range(len(own)))
    inner, count = kinetics.rates, len(own)
    still = ((0.0,) * len(rows[0]),) * len(idle)
    wrapped: dict[str, Any] = {
        key: _of_first(getattr(kinetics, key), count) for key in ("relaxation", "drift") if getattr(kinetics, key)
    }
    if kinetics.rest is not None:
        rest = kinetics.rest
        wrapped["rest"] = lambda fields, p: rest(fields[:count], p)
    return replace(
        kinetics,
        fields=(*own, *idle),
        stoichiometry=(*rows, *still),
        rates=_of_first(inner, count),
        jacobian=None,
        **wrapped,
    )


def _of_first(function: Any, count: int) -> Any:
    """Return a function of the kinetics that is given the first fields alone."""
    return lambda time, fields, states, p: function(time, fields[:count], states, p)


def kept_sums(problem: ReactionDiffusion) -> list[dict[str, float]]:
    """Return the sums of species that reactions keep, as weights by species of one unit; no species alone."""
    if problem.kinetics is None:
        return []
    names = [field.name for field in problem.kinetics.fields]
    units = {species.name: species.unit for species in problem.species}
    found = [{name: w for name, w in zip(names, row, strict=True) if w} for row in problem.kinetics.kept]
    return [weights for weights in found if len(weights) > 1 and len({units[name] for name in weights}) == 1]
