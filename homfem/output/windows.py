"""A picture of boundary conditions side by side, against the size of the window."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from homfem.certify.windows import BoundaryComparison
from homfem.parameters import FileError

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
        Name that ends in .png.
    title
        Line above the picture.
    """
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    path = Path(path)
    if path.suffix.lower() != ".png" or not path.parent.is_dir():
        raise FileError("path", str(path), "a name that ends in .png, in an existing directory")
    figure, axes = plt.subplots(1, 2, figsize=(10.0, 4.2), layout="constrained")
    unit = found.tensors["periodic"][0].unit
    for axis, (name, pick) in zip(axes, (("smallest", 0), ("largest", -1)), strict=True):
        for boundary, tensors in found.tensors.items():
            colour, marker, label = _STYLES[boundary]
            values = [np.linalg.eigvalsh(tensor.value)[pick] for tensor in tensors]
            axis.plot(found.windows, values, color=colour, marker=marker, label=label)
        low, high = (
            [np.linalg.eigvalsh(tensor.value)[pick] for tensor in found.tensors[key]] for key in ("flux", "affine")
        )
        axis.fill_between(found.windows, low, high, color="#999999", alpha=0.15)
        axis.set(xlabel="window, in periods", ylabel=f"{name} eigenvalue" + (f" ({unit})" if unit else ""))
        axis.set_xticks(found.windows)
        axis.grid(alpha=0.3)
    axes[0].legend()
    figure.suptitle(title or "Apparent tensors under three boundary conditions")
    figure.savefig(path, dpi=110)
    plt.close(figure)
