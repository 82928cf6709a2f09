"""The chart of dispersion against the Péclet number: along the flow and across it, and the powers of the regimes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from homfem.output.charts import charts
from homfem.output.words import with_unit
from homfem.parameters import Array

if TYPE_CHECKING:
    from homfem.tensors import EffectiveTensor

#: From how many Péclet numbers above zero on there is a chart.
FEWEST = 3


def along_and_across(tensor: EffectiveTensor, matrix: Array) -> tuple[float, float]:
    """Return the entry of a matrix along the mean velocity of a tensor, and the mean of those across it."""
    velocity = np.asarray(tensor.coefficients["velocity"].value)
    unit = velocity / np.linalg.norm(velocity)
    along = float(unit @ matrix @ unit)
    return along, (float(np.trace(matrix)) - along) / (len(unit) - 1)


def draw_peclet(tensors: Sequence[EffectiveTensor], path: str | Path, *, title: str = "", theme: str = "light") -> bool:
    """Draw dispersion tensors against their Péclet numbers, with bars where they have bounds; one rank calls it.

    Parameters
    ----------
    tensors
        With the coefficients ``peclet`` and ``velocity``.
    path
        A PNG, PDF or SVG file.
    title, theme
        Above the chart; the ground: ``"light"`` or ``"dark"``.

    Returns
    -------
    bool
        Whether it was drawn: not with fewer than three numbers above zero, nor without a mean velocity.
    """
    shown = [one for one in tensors if float(one.coefficients["peclet"].value) > 0.0]
    shown = [one for one in shown if np.linalg.norm(one.coefficients["velocity"].value) > 0.0]
    if len(shown) < FEWEST:
        return False
    shown.sort(key=lambda one: float(one.coefficients["peclet"].value))
    peclet = np.array([float(one.coefficients["peclet"].value) for one in shown])
    values = np.array([along_and_across(one, one.value) for one in shown])
    spreads = values.max(axis=0) > 1e-9 * values.max()  # not across a channel: a logarithmic axis has no zero
    with charts(path, size=(5.6, 4.4), title=title, theme=theme) as axes:
        for k, name in enumerate(("along the flow", "across it")):
            if not spreads[k]:
                continue
            axes.plot(peclet, values[:, k], "o-", color=f"C{k}", label=name)
            sides = [(one, side) for one in shown for side in (one.lower, one.upper) if side is not None]
            if len(sides) == 2 * len(shown):
                low, high = np.array([along_and_across(one, side)[k] for one, side in sides]).reshape(-1, 2).T
                axes.errorbar(peclet, values[:, k], [values[:, k] - low, high - values[:, k]], fmt="none",
                              ecolor=f"C{k}", capsize=3)  # fmt: skip
        # Powers through the last point: lanes between walls (Pe^2), paths that part and meet (Pe).
        steep = peclet >= peclet[-1] / 30.0
        for power, style in ((1, ":"), (2, "--")):
            line = values[-1, 0] * (peclet[steep] / peclet[-1]) ** power
            name = "$\\propto\\mathrm{Pe}$" if power == 1 else "$\\propto\\mathrm{Pe}^2$"
            axes.plot(peclet[steep], line, style, color="0.5", linewidth=1.0, label=name)
        axes.set(xscale="log", yscale="log", xlabel="Péclet number", ylabel=with_unit("dispersion", shown[0].unit))
        axes.set_ylim(values[:, spreads].min() / 1.6, 1.6 * values.max())
        axes.legend()
    return True
