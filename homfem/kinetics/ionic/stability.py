"""The largest step that an explicit scheme takes at the start of a membrane."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from homfem.kinetics.point import PointKinetics


def explicit_limit(
    kinetics: PointKinetics, scheme: str, parameters: Mapping[str, Any] | None = None
) -> tuple[str, float]:
    r"""Return what limits the step of a scheme at the start of a membrane, and that limit in the unit of its time.

    A quantity that is taken explicitly, :math:`\dot y = a y + \dots` with a < 0, is stable for steps up to -2/a. A
    larger step fails for sure; during an upstroke the limit may be smaller.

    Parameters
    ----------
    kinetics
        A membrane that tells its slopes, or of gates alone.
    scheme
        One of :data:`homfem.kinetics.ionic.kernels.SCHEMES`.
    parameters
        Numbers in place of the table's own.

    Returns
    -------
    tuple of str and float
        The name, and the limit; ``("", inf)`` where nothing limits.

    Example
    -------
    >>> from homfem.kinetics.ionic import ionic_kinetics
    >>> name, limit = explicit_limit(ionic_kinetics("tentusscher-panfilov-2006"), "explicit")
    >>> name, round(limit, 4)
    ('m', 0.0021)
    """
    start, p = kinetics.start(), kinetics.values(parameters)
    number = len(kinetics.fields)
    fields, states = [start[k : k + 1] for k in range(number)], start[number:, None]
    found: dict[str, float] = {}
    if scheme == "explicit" and kinetics.relaxation is not None:
        speeds = kinetics.relaxation(0.0, fields, states, p)[0][:, 0]
        gates = kinetics.states[: kinetics.gates]
        found |= {gate.name: float(speed) for gate, speed in zip(gates, speeds, strict=True)}
    if scheme != "generalized-rush-larsen" and kinetics.slopes is not None:
        others = (*kinetics.fields, *kinetics.states[kinetics.gates :])
        slopes = kinetics.slopes(0.0, fields, states, p)[:, 0]
        found |= {entry.name: -float(slope) for entry, slope in zip(others, slopes, strict=True)}
    name = max(found, key=lambda key: found[key] if np.isfinite(found[key]) else -math.inf, default="")
    return (name, 2.0 / found[name]) if name and found[name] > 0.0 else ("", math.inf)
