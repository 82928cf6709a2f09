"""A field on an interval at several times: lines over the place, one colour for each time."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from homfem.output import canvas
from homfem.output.views import SeriesView
from homfem.output.words import printed, with_unit
from homfem.parameters import Array

#: More lines than this are named by a colour bar.
NAMED = 8


def draw_profiles(path: Path, points: Array, values: Sequence[Array], times: Sequence[float], view: SeriesView) -> None:
    """Draw a field on an interval over the first coordinate, a line for each time.

    Parameters
    ----------
    path
        The figure's file.
    points
        Nodes (n, 3), in any order.
    values, times
        The field at the nodes (n,) at each time.
    view
        Words, limits and ground.
    """
    from matplotlib import colormaps
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import Normalize

    order = np.argsort(points[:, 0], kind="stable")
    span = Normalize(times[0], times[-1] if times[-1] > times[0] else times[0] + 1.0)
    with canvas.styled(view.theme):
        figure = canvas.sheet(6.4, 3.6, layout="constrained")
        axes = figure.subplots()
        # The ends of the map are left out: one of them is hardly seen on either ground.
        colours = ScalarMappable(norm=span, cmap=colormaps["viridis"])
        for field, time in zip(values, times, strict=True):
            shade = colormaps["viridis"](0.1 + 0.75 * float(span(time)))
            axes.plot(points[order, 0], field[order], color=shade, linewidth=1.5, label=f"{time:.3g} {view.time_unit}")
        if view.front is not None:
            axes.axhline(view.front, linestyle=":", linewidth=1.0, color="0.5")
        if view.limits is not None:
            axes.set_ylim(*view.limits)
        axes.set_xlim(points[:, 0].min(), points[:, 0].max())
        axes.set_xlabel(with_unit("x", view.length_unit))
        axes.set_ylabel(printed(view.label))
        axes.spines[["top", "right"]].set_visible(False)
        if len(times) <= NAMED:
            axes.legend(title="t", frameon=False, fontsize=9, loc="center left", bbox_to_anchor=(1.0, 0.5))
        else:
            figure.colorbar(colours, ax=axes, label=with_unit("time", view.time_unit))
        canvas.save(figure, path)
