"""Pictures of block media and images: the phases, the lines along which the flux runs, its size."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from homfem.blocks.fields import BlockFields
from homfem.blocks.galerkin import solve_galerkin
from homfem.blocks.medium import BlockMedium
from homfem.blocks.tables import PaperTable
from homfem.grid import GridSolution
from homfem.output.colours import COLOURS
from homfem.parameters import Array
from homfem.tensors import EffectiveTensor

#: Grid lines of a picture along the longer side, and their shift off the sides of the blocks, in steps.
POINTS, SHIFT = 280, 0.618


def draw_block_medium(
    medium: BlockMedium,
    path: str | Path,
    *,
    fields: BlockFields | None = None,
    tensor: EffectiveTensor | None = None,
    length_unit: str = "",
    lines: int = 24,
) -> None:
    """Draw a block medium with the flux lines of a mean gradient along x and along y into a PNG file.

    Parameters
    ----------
    medium
        The medium.
    path
        The file.
    fields
        Its solution; by default :func:`picture_fields`.
    tensor
        Written above the pictures.
    length_unit
        Unit of the lengths.
    lines
        Flux lines that enter through a side of the cell; between two neighbours runs the same flux.
    """
    import matplotlib as mpl

    mpl.use("Agg")
    import matplotlib.pyplot as plt

    solved = picture_fields(medium) if fields is None else fields
    width, height = medium.lengths
    tall = float(np.clip(5.5 * height / width, 1.5, 11.0))
    figure, axes = plt.subplots(1, 2, figsize=(12.5, tall + 1.0), layout="constrained")
    streams, nodes = stream_functions(medium, solved)
    for load, axis in enumerate(axes):
        _draw_lines(axis, medium, streams[load], nodes, load, lines)
        axis.set(title=f"mean gradient along {'xy'[load]}", xlabel=f"x ({length_unit})" if length_unit else "x")
    axes[0].set_ylabel(f"y ({length_unit})" if length_unit else "y")
    if tensor is not None:
        value = np.where(np.abs(tensor.value) < 1e-10 * np.abs(tensor.value).max(), 0.0, tensor.value)
        rows = "; ".join("  ".join(f"{entry:.5g}" for entry in row) for row in value)
        gap = "" if tensor.relative_gap is None else f", guaranteed to {100 * tensor.relative_gap:.2g} %"
        figure.suptitle(f"effective diffusivity [{rows}] {tensor.unit} ({tensor.method}{gap})")
    figure.savefig(path, dpi=110)
    plt.close(figure)


def picture_fields(medium: BlockMedium) -> BlockFields:
    """Return the solution of :mod:`homfem.blocks.galerkin` with as many modes as a picture can show."""
    modes = int(np.clip(POINTS / max(medium.shape), 8, 100))
    return solve_galerkin(medium, degree=4).fields(modes)


def draw_flux_lines(axis: Any, medium: BlockMedium, fields: BlockFields, load: int, lines: int = 24) -> None:
    """Draw the blocks (dark where they conduct badly, hatched where they insulate) and flux lines into matplotlib axes.

    The flux lines are level lines of the stream function: the same flux runs between any two neighbours.

    Parameters
    ----------
    axis
        The axes.
    medium, fields
        The medium and its solution.
    load
        0 for the mean gradient along x, 1 along y.
    lines
        Flux lines that enter through a side of the cell.
    """
    streams, nodes = stream_functions(medium, fields)
    _draw_lines(axis, medium, streams[load], nodes, load, lines)


def _draw_lines(
    axis: Any, medium: BlockMedium, stream: Array, nodes: tuple[Array, Array], load: int, lines: int
) -> None:
    x, y = (np.concatenate([[0.0], np.cumsum(part)]) for part in (medium.widths, medium.heights))
    value = np.where(medium.conducting, np.sqrt(medium.axial.prod(axis=2)), np.nan)
    logarithm = np.log10(value)
    low, high = np.nanmin(logarithm), np.nanmax(logarithm)
    axis.pcolormesh(x, y, logarithm, cmap="Greys_r", vmin=low - 1.2 * max(high - low, 0.5), vmax=high + 0.02)
    axis.set_facecolor("#f6d5c3")
    through = abs(float(stream[-2, 0] - stream[0, 0] if load == 0 else stream[0, -2] - stream[0, 0]))
    if through > 1e-9 * np.nanmax(value) * max(medium.lengths):
        levels = np.arange(np.floor(stream.min() / through * lines), stream.max() / through * lines + 1) + 0.5
        axis.contour(*nodes, stream, levels * through / lines, colors="#D55E00", linewidths=0.9, linestyles="solid")
    axis.set(aspect="equal", xlim=(0.0, x[-1]), ylim=(0.0, y[-1]))


def stream_functions(
    medium: BlockMedium, fields: BlockFields, points: int = POINTS
) -> tuple[Array, tuple[Array, Array]]:
    r"""Stream function :math:`\Psi` (:math:`J_x=\partial_y\Psi,\ J_y=-\partial_x\Psi`) of both loads on a grid.

    Least squares: :math:`\Delta_h\Psi=\partial_yJ_x-\partial_xJ_y` with the flux at the middles of the grid's edges.
    The flux near singular corners, where a grid cannot integrate it, then spoils the lines there alone.

    Returns
    -------
    streams : array, shape (2 loads, rows + 1, columns + 1)
    nodes : tuple
        x and y of the grid lines, one period and a little off the sides of the cell.
    """
    counts = np.maximum(8, np.rint(points * np.array(medium.lengths) / max(medium.lengths))).astype(int)
    steps = np.array(medium.lengths) / counts
    # Off the sides of the blocks, where the series of the flux converge slowly and the tangential flux jumps.
    x, y = (step * (np.arange(n + 2) - SHIFT) for step, n in zip(steps, counts, strict=True))

    def sample(along_x: Array, along_y: Array, component: int) -> Array:
        grid = np.meshgrid(along_x, along_y)
        values = fields.flux(np.column_stack([part.ravel() for part in grid]))[:, component]
        return np.asarray(values.T.reshape(2, *grid[0].shape))

    n_x, n_y = counts
    right = sample(x[:n_x], y[:n_y] + 0.5 * steps[1], 0) * steps[1]  # rise of Psi along each vertical edge
    upward = -sample(x[:n_x] + 0.5 * steps[0], y[:n_y], 1) * steps[0]  # and along each horizontal one
    mean_y, mean_x = (part.mean(axis=(1, 2))[:, None, None] for part in (right, upward))
    source = np.roll(right, 1, 1) - right + np.roll(upward, 1, 2) - upward
    wave = [2.0 - 2.0 * np.cos(2.0 * np.pi * np.arange(n) / n) for n in (n_y, n_x)]
    symbol = wave[0][:, None] + wave[1][None, :]
    symbol[0, 0] = 1.0
    periodic = np.fft.ifft2(np.fft.fft2(source) / symbol).real
    rows, columns = np.arange(n_y + 2), np.arange(n_x + 2)
    streams = periodic[:, rows[:, None] % n_y, columns % n_x] + mean_y * rows[:, None] + mean_x * columns
    return streams, (x, y)


def draw_figure_3(table: PaperTable, path: str | Path) -> None:
    """Draw the curves of figure 3 of March, Carr and Turner from the regenerated table: sizes and times against m."""
    import matplotlib as mpl

    mpl.use("Agg")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(1, 2, figsize=(11.0, 4.6), layout="constrained")
    methods = (("semi-analytical", "N(SA)", "s (SA)"), ("finite volumes", "N(FV)", "s (FV)"))
    for name, size, seconds in (*methods, ("corner-Galerkin, both bounds", "N(CG)", "s (CG, both bounds)")):
        for axis, column in zip(axes, (size, seconds), strict=True):
            axis.loglog(table.column("m"), table.column(column), "o-", ms=4, label=name)
    for axis, label in zip(axes, ("unknowns", "seconds"), strict=True):
        axis.set(xlabel="blocks along a side, m", ylabel=label)
        axis.grid(alpha=0.3)
    axes[0].legend()
    figure.suptitle(table.title)
    figure.savefig(path, dpi=110)
    plt.close(figure)


def draw_image(solution: GridSolution, path: str | Path) -> None:
    """Draw an image and the size of the flux for the first mean gradient into a PNG file; in 3D three cuts of both."""
    import matplotlib as mpl

    mpl.use("Agg")
    import matplotlib.pyplot as plt
    from matplotlib.colors import ListedColormap
    from matplotlib.patches import Patch

    image, tensor = solution.image, solution.tensor
    flux = np.sqrt(sum(0.25 * (part + np.roll(part, -1, a)) ** 2 for a, part in enumerate(solution.fluxes[0])))
    cuts: list[tuple[int, int, int | None]] = [(0, 1, None)]
    if image.dimension == 3:
        cuts = [(0, 1, 2), (0, 2, 1), (1, 2, 0)]
    figure, axes = plt.subplots(2, len(cuts), figsize=(4.6 * len(cuts) + 1.5, 8.4), layout="constrained", squeeze=False)
    colours = ListedColormap(COLOURS[: len(image.names)])
    names = "xyz"
    for column, (first, second, normal) in enumerate(cuts):
        place = () if normal is None else (image.shape[normal] // 2, normal)
        phases, speed = (np.take(part, *place) if place else part for part in (image.phases, flux))
        extent = (0.0, image.period[first], 0.0, image.period[second])
        axes[0, column].imshow(phases.T, cmap=colours, vmin=-0.5, vmax=len(image.names) - 0.5, origin="lower",
                               extent=extent, interpolation="nearest")  # fmt: skip
        shown = axes[1, column].imshow(speed.T, cmap="viridis", vmin=0.0, vmax=float(np.quantile(flux, 0.998)),
                                       origin="lower", extent=extent, interpolation="nearest")  # fmt: skip
        for axis in axes[:, column]:
            axis.set(xlabel=f"{names[first]} ({image.length_unit})", ylabel=f"{names[second]} ({image.length_unit})")
    patches = [Patch(color=COLOURS[k], label=name) for k, name in enumerate(image.names)]
    axes[0, -1].legend(handles=patches, loc="upper right")
    direction = ", ".join(f"{entry:.3g}" for entry in solution.loads[0])
    figure.colorbar(shown, ax=axes[1], label=f"|flux| for the mean gradient ({direction})", shrink=0.9)
    gap = "" if tensor.relative_gap is None else f", guaranteed to {100 * tensor.relative_gap:.2g} %"
    values = ", ".join(f"{value:.5g}" for value in tensor.principal_values)
    figure.suptitle(f"principal values {values} {tensor.unit} (grid{gap})")
    figure.savefig(path, dpi=110)
    plt.close(figure)
