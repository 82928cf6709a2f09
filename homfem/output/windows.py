"""A picture of boundary conditions side by side, against the size of the window."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from homfem.certify.windows import BoundaryComparison
from homfem.output.canvas import check_figure, save, sheet, styled
from homfem.output.words import with_unit

_STYLES = {
    "flux": ("#0072B2", "v", "uniform flux (SUBC)"),
    "periodic": ("#000000", "o", "periodic"),
    "affine": ("#D55E00", "^", "uniform gradient (KUBC)"),
}


def draw_boundary_conditions(found: BoundaryComparison, path: str | Path, *, title: str = "") -> None:
    """Draw the smallest and the largest eigenvalue of the apparent tensors against the size of the window; rank 0 only.

    Parameters
    ----------
    found
        From :func:`homfem.certify.windows.compare_boundary_conditions`.
    path
        Name that ends in .png, .pdf or .svg.
    title
        Line above the picture.
    """
    place = check_figure(path)
    unit = found.tensors["periodic"][0].unit
    with styled():
        figure = sheet(9.6, 4.1, layout="constrained")
        axes = figure.subplots(1, 2)
        for axis, (name, pick), letter in zip(axes, (("smallest", 0), ("largest", -1)), "ab", strict=True):
            values = {
                boundary: [np.linalg.eigvalsh(tensor.value)[pick] for tensor in tensors]
                for boundary, tensors in found.tensors.items()
            }
            for boundary, curve in values.items():
                colour, marker, label = _STYLES[boundary]
                axis.plot(found.windows, curve, color=colour, marker=marker, label=label)
            axis.fill_between(found.windows, values["flux"], values["affine"], color="#999999", alpha=0.15)
            axis.set(xlabel="window, in periods", ylabel=with_unit(f"{name} eigenvalue", unit))
            axis.set_title(f"({letter})", loc="left")
            axis.set_xticks(found.windows)
            axis.grid(alpha=0.3)
        axes[0].legend(frameon=False)
        figure.suptitle(title or "Apparent tensors under three boundary conditions", fontsize=11)
        save(figure, place)
