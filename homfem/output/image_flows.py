"""Pictures of what flows and disperses between the voxels of an image: speed and concentration, with lines of flow."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from homfem.grid import Image, ImageDispersion, ImageFlow
from homfem.output import canvas
from homfem.output.colours import colour_scale
from homfem.output.peclet_chart import draw_peclet
from homfem.output.words import load_words, symbol, with_unit
from homfem.parameters import Array

#: Lines of flow in the plane, between two neighbours of which the same flux runs.
LINES = 24


def draw_image_flow(solution: ImageFlow | ImageDispersion, path: str | Path, *, theme: str = "light") -> None:
    """Draw the speed in an image, and of dispersion the concentration beside its mean; in space three cuts of both.

    Of a permeability the flow is that of the first force; of several Péclet numbers a chart stands beside it,
    ``NAME_peclet.png``. The file is a PNG, PDF or SVG file, the ground ``"light"`` or ``"dark"``.
    """
    place = canvas.check_figure(path)
    image, tensor = solution.image, solution.tensor
    cuts: list[tuple[int, int, int | None]] = [(0, 1, None)]
    if image.dimension == 3:
        cuts = [(0, 1, 2), (0, 2, 1), (1, 2, 0)]
    rows = _rows(solution)
    with canvas.styled(theme) as colours:
        # Beside each other in the plane, one row of cuts below the other in space.
        beside = len(rows) if image.dimension == 2 else len(cuts)
        below = len(rows) * len(cuts) // beside
        figure = canvas.sheet(4.6 * beside + 1.4, 4.1 * below + 0.7, layout="compressed")
        axes = np.atleast_1d(figure.subplots(below, beside)).reshape(len(rows), len(cuts))
        for row, (values, velocity, label) in zip(axes, rows, strict=True):
            shown = values[np.isfinite(values)]
            high = float(np.quantile(np.abs(shown), 0.999)) or 1.0
            scale = colour_scale(values, limits=(0.0 if shown.min() >= 0.0 else -high, high))
            for axis, cut in zip(row, cuts, strict=True):
                axis.set(facecolor=colours.void)
                _draw_cut(axis, image, values, cut, scale)
                if cut[2] is None:
                    draw_streams(axis, image, velocity, colours.ink)
            bar = figure.colorbar(
                scale.mappable, ax=row.tolist(), shrink=0.9, extend="both" if scale.low < 0.0 else "max"
            )
            bar.set_label(label)
        known = ", ".join(f"{value:.5g}" for value in tensor.principal_values)
        figure.suptitle(f"{tensor.kind.title}: principal values {known} {symbol(tensor.unit)} (grid)", fontsize=10.5)
        canvas.save(figure, place)
    if isinstance(solution, ImageDispersion):
        chart = place.with_name(f"{place.stem}_peclet{place.suffix}")
        draw_peclet(solution.series, chart, title="dispersion in an image (grid)", theme=theme)


def _rows(solution: ImageFlow | ImageDispersion) -> list[tuple[Array, Array, str]]:
    """What is coloured, NaN where there is none of it; the velocity; the words beside the colours."""
    image = solution.image
    if isinstance(solution, ImageFlow):
        velocity = solution.velocities[0]
        force = solution.loads[0]
        words = load_words("permeability", int(np.argmax(np.abs(force))), image.dimension)
        if np.count_nonzero(np.abs(force) > 1e-12) > 1:
            words = f"force ({', '.join(f'{entry:.3g}' for entry in force)})"
        speed = speed_of(velocity, solution.fluid)
        return [(speed / np.nanmean(speed), velocity, f"speed over its mean, {words}")]
    velocity = solution.velocity
    peclet = float(solution.tensor.coefficients["peclet"].value)
    corrector = np.where(solution.inside, solution.correctors[0], np.nan)
    label = with_unit(f"concentration beside its mean, Pe = {peclet:.4g}", image.length_unit)
    return [
        (speed_of(velocity, solution.fluid), velocity, "speed over the mean velocity in the fluid"),
        (corrector, velocity, label),
    ]


def speed_of(velocity: Array, fluid: Any) -> Array:
    """Return the speed in the middle of each voxel of the fluid, NaN elsewhere; ``velocity`` is that of its faces."""
    middle = [0.5 * (one + np.roll(one, -1, axis)) for axis, one in enumerate(velocity)]
    return np.where(fluid, np.sqrt(sum(one**2 for one in middle)), np.nan)


def _draw_cut(axis: Any, image: Image, values: Array, cut: tuple[int, int, int | None], scale: Any) -> None:
    """Draw the values in one plane, walls in grey."""
    first, second, normal = cut
    at = 0 if normal is None else image.shape[normal] // 2
    plane = values if normal is None else np.take(values, at, normal)
    extent = (0.0, image.period[first], 0.0, image.period[second])
    axis.imshow(plane.T, cmap=scale.colormap, norm=scale.norm, origin="lower", extent=extent, interpolation="nearest")
    labels = [with_unit("xyz"[k], image.length_unit) for k in (first, second)]
    axis.set(xlabel=labels[0], ylabel=labels[1])
    if normal is not None:
        depth = (at + 0.5) * image.period[normal] / image.shape[normal]
        axis.set_title(f"{'xyz'[normal]} = {depth:.4g} {symbol(image.length_unit)}".strip())


def draw_streams(axis: Any, image: Image, velocity: Array, colour: str) -> None:
    """Draw lines of flow in the plane: level lines of the stream function at the corners of the voxels."""
    stream = stream_at_corners(velocity, image.voxel)
    through = max(abs(float(stream[0, -1] - stream[0, 0])), abs(float(stream[-1, 0] - stream[0, 0])))
    if through <= 1e-12 * float(np.ptp(stream)):
        return
    low, high = float(stream.min()), float(stream.max())
    levels = np.arange(np.floor(low / through * LINES) + 0.5, high / through * LINES + 1.0) * through / LINES
    x, y = (np.linspace(0.0, length, n + 1) for length, n in zip(image.period, image.shape, strict=True))
    axis.contour(x, y, stream.T, levels, colors=colour, linewidths=0.6, linestyles="solid", alpha=0.8)


def stream_at_corners(velocity: Array, voxel: tuple[float, ...]) -> Array:
    r"""Return the stream function of a flow in the plane at all corners, shape (n_x + 1, n_y + 1).

    :math:`u=\partial_y\psi,\;v=-\partial_x\psi` for what passes the faces, exactly: ``velocity`` (2, n_x, n_y) has no
    divergence.
    """
    first = np.concatenate([[0.0], np.cumsum(velocity[0, 0] * voxel[1])])
    across = np.concatenate([velocity[1], velocity[1][:, :1]], axis=1) * voxel[0]
    return np.asarray(first - np.concatenate([np.zeros((1, across.shape[1])), np.cumsum(across, axis=0)]))
