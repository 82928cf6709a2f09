"""Pictures of block media and images: the phases, the lines along which the flux runs, its size."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from homfem.blocks.fields import BlockFields
from homfem.blocks.medium import BlockMedium
from homfem.blocks.tables import PaperTable
from homfem.grid import GridSolution
from homfem.output import canvas
from homfem.output.block_lines import picture_fields, stream_functions
from homfem.output.colours import COLOURS, Theme, colour_scale
from homfem.output.words import symbol, with_unit
from homfem.parameters import Array
from homfem.tensors import EffectiveTensor

LINES = "#D55E00"
#: Shades of the blocks, from those that conduct worst, and of those that insulate.
SHADES = ("#8A8F98", "#FFFFFF")
INSULATING = "#F6D5C3"


def draw_block_medium(
    medium: BlockMedium,
    path: str | Path,
    *,
    fields: BlockFields | None = None,
    tensor: EffectiveTensor | None = None,
    length_unit: str = "",
    lines: int = 24,
    theme: str = "light",
) -> None:
    """Draw a block medium with the flux lines of a mean gradient along x and along y into a PNG, PDF or SVG file.

    Parameters
    ----------
    medium
        The medium.
    path
        The file.
    fields
        Its solution; by default :func:`picture_fields`.
    tensor
        Written above the pictures; its unit is that of the diffusivities in the legend.
    length_unit
        Unit of the lengths.
    lines
        Flux lines that enter through a side of the cell; between two neighbours runs the same flux.
    theme
        The ground: ``"light"`` or ``"dark"``.
    """
    place = canvas.check_figure(path)
    solved = picture_fields(medium) if fields is None else fields
    width, height = medium.lengths
    tall = float(np.clip(4.6 * height / width, 1.5, 9.0))
    streams, nodes = stream_functions(medium, solved)
    with canvas.styled(theme) as colours:
        figure = canvas.sheet(11.0, tall + 1.9, layout="compressed")
        axes = figure.subplots(1, 2)
        for load, (axis, letter) in enumerate(zip(axes, "ab", strict=True)):
            _draw_lines(axis, medium, (streams[load], nodes), load, lines)
            axis.set_title(f"({letter}) gradient along {'xy'[load]}", loc="left")
            axis.set(xlabel=with_unit("x", length_unit), ylabel=with_unit("y", length_unit))
        unit = "" if tensor is None else tensor.unit
        key = _key(medium, unit, colours)
        figure.legend(handles=key, loc="outside lower center", ncols=min(len(key), 5), frameon=False)
        if tensor is not None:
            figure.suptitle(_words(tensor), fontsize=10.5)
        canvas.save(figure, place)


def _words(tensor: EffectiveTensor) -> str:
    """The tensor, row by row, and how well it is known."""
    value = np.where(np.abs(tensor.value) < 1e-10 * np.abs(tensor.value).max(), 0.0, tensor.value)
    rows = "; ".join("  ".join(f"{entry:.5g}" for entry in row) for row in value)
    gap = "" if tensor.relative_gap is None else f", guaranteed to {100 * tensor.relative_gap:.2g} %"
    return f"effective diffusivity [{rows}] {symbol(tensor.unit)} ({tensor.method}{gap})"


def _key(medium: BlockMedium, unit: str, theme: Theme) -> list[Any]:
    """What the shades mean: each diffusivity, or where there are many the lowest and the highest."""
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    value, shade = _shades(medium)
    found = np.unique(value[np.isfinite(value)].round(12))
    shown = found if len(found) <= 6 else found[[0, -1]]
    edge: dict[str, Any] = {"edgecolor": theme.faint, "linewidth": 0.6}
    patches: list[Any] = [
        Patch(facecolor=shade(entry), label=f"D = {entry:.4g} {symbol(unit)}".strip(), **edge) for entry in shown[::-1]
    ]
    if not medium.conducting.all():
        patches.append(Patch(facecolor=INSULATING, label="insulating", **edge))
    return [*patches, Line2D([], [], color=LINES, linewidth=1.0, label="flux lines")]


def _shades(medium: BlockMedium) -> tuple[Array, Any]:
    """The mean diffusivity of each block (NaN where it insulates), and the shade of a diffusivity."""
    from matplotlib.colors import LinearSegmentedColormap, LogNorm

    value = np.where(medium.conducting, np.sqrt(medium.axial.prod(axis=2)), np.nan)
    low, high = float(np.nanmin(value)), float(np.nanmax(value))
    colormap = LinearSegmentedColormap.from_list("blocks", SHADES)
    norm = LogNorm(low if high > low * (1 + 1e-12) else 0.5 * high, high)
    return value, lambda entry: colormap(norm(entry))


def draw_flux_lines(axis: Any, medium: BlockMedium, fields: BlockFields, load: int, lines: int = 24) -> None:
    """Draw the blocks (dark where they conduct badly, coloured where they insulate) and flux lines into axes.

    The flux lines are level lines of the stream function: the same flux runs between any two neighbours.

    Parameters
    ----------
    axis
        Axes of matplotlib.
    medium, fields
        The medium and its solution.
    load
        0 for the mean gradient along x, 1 along y.
    lines
        Flux lines that enter through a side of the cell.
    """
    streams, nodes = stream_functions(medium, fields)
    _draw_lines(axis, medium, (streams[load], nodes), load, lines)


def _draw_lines(axis: Any, medium: BlockMedium, flow: tuple[Array, tuple[Array, Array]], load: int, lines: int) -> None:
    x, y = (np.concatenate([[0.0], np.cumsum(part)]) for part in (medium.widths, medium.heights))
    value, shade = _shades(medium)
    colours = np.where(np.isfinite(value)[..., None], shade(np.nan_to_num(value, nan=1.0)), _rgba(INSULATING))
    axis.pcolormesh(x, y, colours)
    stream, nodes = flow
    through = abs(float(stream[-1, 0] - stream[0, 0] if load == 0 else stream[0, -1] - stream[0, 0]))
    if through > 1e-9 * np.nanmax(value) * max(medium.lengths):
        # Alike on both sides of the middle of the side where they enter.
        side = stream[:, 0] if load == 0 else stream[0]
        middle = float(np.interp(0.5, np.linspace(0.0, 1.0, len(side)), side))
        low, high = (
            np.floor((stream.min() - middle) / through * lines),
            np.ceil((stream.max() - middle) / through * lines),
        )
        levels = middle + (np.arange(low, high + 1) + 0.5) * through / lines
        axis.contour(*nodes, stream, levels, colors=LINES, linewidths=0.9, linestyles="solid")
    axis.set(aspect="equal", xlim=(0.0, x[-1]), ylim=(0.0, y[-1]))


def _rgba(colour: str) -> Array:
    from matplotlib.colors import to_rgba

    return np.array(to_rgba(colour))


def draw_figure_3(table: PaperTable, path: str | Path) -> None:
    """Draw the curves of figure 3 of March, Carr and Turner from the regenerated table: sizes and times against m."""
    place = canvas.check_figure(path)
    with canvas.styled():
        figure = canvas.sheet(10.0, 4.4, layout="constrained")
        axes = figure.subplots(1, 2)
        methods = (("semi-analytical", "N(SA)", "s (SA)"), ("finite volumes", "N(FV)", "s (FV)"))
        named = (*methods, ("corner-Galerkin, both bounds", "N(CG)", "s (CG, both bounds)"))
        for (name, size, seconds), colour, marker in zip(named, ("#0072B2", "#D55E00", "#009E73"), "os^", strict=True):
            for axis, column in zip(axes, (size, seconds), strict=True):
                axis.loglog(table.column("m"), table.column(column), marker + "-", ms=5, color=colour, label=name)
        for axis, label, letter in zip(axes, ("number of unknowns", "time (s)"), "ab", strict=True):
            axis.set(xlabel="blocks along a side, m", ylabel=label)
            axis.set_title(f"({letter})", loc="left")
            axis.grid(alpha=0.3)
        axes[0].legend(frameon=False)
        figure.suptitle(table.title, fontsize=10.5)
        canvas.save(figure, place)


def draw_image(solution: GridSolution, path: str | Path, *, theme: str = "light") -> None:
    """Draw an image and the size of the flux for the first mean gradient, in 3D three cuts of both.

    The file is a PNG, PDF or SVG file, the ground ``"light"`` or ``"dark"``.
    """
    from matplotlib.colors import ListedColormap
    from matplotlib.patches import Patch

    place = canvas.check_figure(path)
    image, tensor = solution.image, solution.tensor
    flux = np.sqrt(sum(0.25 * (part + np.roll(part, -1, a)) ** 2 for a, part in enumerate(solution.fluxes[0])))
    cuts: list[tuple[int, int, int | None]] = [(0, 1, None)]
    if image.dimension == 3:
        cuts = [(0, 1, 2), (0, 2, 1), (1, 2, 0)]
    # The few voxels at sharp corners take no part in the scale.
    scale = colour_scale(flux, limits=(0.0, float(np.quantile(flux, 0.998)) or 1.0))
    shades = ListedColormap([COLOURS[k % len(COLOURS)] for k in range(len(image.names))])
    with canvas.styled(theme):
        figure = canvas.sheet(4.0 * len(cuts) + 1.9, 8.4, layout="compressed")
        axes = figure.subplots(2, len(cuts), squeeze=False)
        for column, (first, second, normal) in enumerate(cuts):
            at = 0 if normal is None else image.shape[normal] // 2
            phases, speed = (part if normal is None else np.take(part, at, normal) for part in (image.phases, flux))
            extent = (0.0, image.period[first], 0.0, image.period[second])
            grid: dict[str, Any] = {"origin": "lower", "extent": extent, "interpolation": "nearest"}
            axes[0, column].imshow(phases.T, cmap=shades, vmin=-0.5, vmax=len(image.names) - 0.5, **grid)
            axes[1, column].imshow(speed.T, cmap=scale.colormap, norm=scale.norm, **grid)
            for axis in axes[:, column]:
                labels = [with_unit("xyz"[k], image.length_unit) for k in (first, second)]
                axis.set(xlabel=labels[0], ylabel=labels[1])
            if normal is not None:
                depth = (at + 0.5) * image.period[normal] / image.shape[normal]
                axes[0, column].set_title(f"{'xyz'[normal]} = {depth:.4g} {symbol(image.length_unit)}".strip())
        patches = [Patch(color=COLOURS[k % len(COLOURS)], label=name) for k, name in enumerate(image.names)]
        figure.legend(handles=patches, loc="outside lower center", ncols=min(len(patches), 6), frameon=False)
        load = np.asarray(solution.loads[0], dtype=np.float64)
        words = f"gradient ({', '.join(f'{entry:.3g}' for entry in load)})"
        if np.count_nonzero(load) == 1:
            words = f"gradient along {'xyz'[int(np.argmax(np.abs(load)))]}"
        bar = figure.colorbar(scale.mappable, ax=axes[1].tolist(), shrink=0.9, extend="max")
        bar.set_label(with_unit(f"size of the flux, {words}", tensor.unit))
        gap = "" if tensor.relative_gap is None else f", guaranteed to {100 * tensor.relative_gap:.2g} %"
        values = ", ".join(f"{value:.5g}" for value in tensor.principal_values)
        figure.suptitle(f"principal values {values} {symbol(tensor.unit)} (grid{gap})", fontsize=10.5)
        canvas.save(figure, place)
