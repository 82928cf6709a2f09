r"""Dispersion in an image: flow between the pixels of a slice of tissue, without a mesh, and what the pixels change.

    docker/run python demos/34_image_dispersion.py [--out FOLDER]

A picture of tissue is made of pixels, and so are its walls. ``method = "grid"`` takes it as it is: velocities live on
the edges of the pixels, pressures and concentrations in them, and neither a mesh nor its memory is needed. Here

1. **the slice**, a random medium of which 70 % are pores (a Gaussian field above a threshold, one period), carries a
   solute from the Péclet number .1 to 1000: one flow serves them all. D* grows about as Pe along the flow while lanes
   mix, and as Pe^2 from some hundred on: the image repeats itself, and so do the lanes through it;
2. **round fibres** in ever finer pixels have a limit that is known. What is off has two parts. The grid leaves an error
   that ``estimated_error`` estimates, from a grid of half as many pixels along each axis. The stairs are no circle, and
   no grid between them says how far they are from one: with 40 pixels twice what was estimated is off. Both fall as
   the pixel.

.. math:: \partial_t c + V\cdot\nabla c = \nabla\cdot(D^*(\mathrm{Pe})\,\nabla c) ,\qquad \mathrm{Pe}=UL/D ,

with the mean speed U in the pores, the side L of the image, and D* per volume of the pores.

Source: Harlow, Welch 1965, doi 10.1063/1.1761178 (the grid); Brenner 1980, doi 10.1098/rsta.1980.0205.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np
from mpi4py import MPI

from homfem.grid import Image, ImageDispersion, homogenize_dispersion_image, solve_dispersion_image
from homfem.output.charts import charts
from homfem.output.image_flows import draw_streams, speed_of

COMM = MPI.COMM_WORLD
POROSITY, SHOWN, SEED = 0.7, 100.0, 5
#: Of round fibres (fraction .3) at Pe = 10 along the flow and across it: finite elements of order 8.
ROUND = (2.0785848, 0.8200195)


def say(text: str) -> None:
    if COMM.rank == 0:
        print(text, flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("out/34_image_dispersion"), help="folder of the figure")
    parser.add_argument("--coarse", action="store_true", help="small images and few numbers, for the tests")
    parser.add_argument("--dark", action="store_true", help="a dark ground")
    chosen = parser.parse_args()
    if COMM.rank:  # images are solved on one rank
        return

    # 1. the slice
    numbers = [0.0, 1.0, SHOWN] if chosen.coarse else [0.0, *np.geomspace(0.1, 1e3, 13).round(9).tolist()]
    found = solve_dispersion_image(tissue(64 if chosen.coarse else 256), {"pore": 1.0}, peclet=numbers)
    say("      Pe   D*/D along  across   estimated error")
    for number, tensor in zip(numbers, found.series, strict=True):
        along, across = np.diag(tensor.value)
        say(f"{number:8.4g} {along:12.5g} {across:7.4g} {tensor.estimated_error:12.1%}")
    at_rest = found.series[0].value
    assert all(np.linalg.eigvalsh(one.value - at_rest)[0] > -1e-6 * np.abs(one.value).max() for one in found.series)

    # 2. round fibres
    pixels = (20, 80) if chosen.coarse else (20, 40, 80, 160, 320)
    off = []
    for n in pixels:
        tensor: Any = homogenize_dispersion_image(fibre(n), {"pore": 1.0}, peclet=10.0)
        errors = np.abs(np.diag(tensor.value) / ROUND - 1.0)
        off.append((*errors, tensor.estimated_error))
        said = f"{errors[0]:.2%} along and {errors[1]:.2%} across the flow"
        say(f"{n:4d} pixels: off the round fibre by {said}; estimated {off[-1][2]:.2%}")
    assert max(off[-1][:2]) < 0.02 * 80 / pixels[-1]

    shown = found if numbers[-1] == SHOWN else solve_dispersion_image(found.image, {"pore": 1.0}, peclet=SHOWN)
    draw(chosen.out / "image", shown, (numbers, found), (pixels, off), "dark" if chosen.dark else "light")
    say(f"the figure is {chosen.out / 'image.png'}")


def tissue(n: int) -> Image:
    """Return a slice of n x n pixels: the same medium on any grid."""
    waves = np.random.default_rng(SEED).standard_normal((2, 33, 33))
    k = np.arange(-16, 17)
    size = np.exp(-0.5 * (np.hypot(k[:, None], k) / 4.0) ** 2)
    x = (np.arange(n) + 0.5) / n
    turns = np.exp(2j * np.pi * np.outer(x, k))
    field = np.real(turns @ (size * (waves[0] + 1j * waves[1])) @ turns.T)
    return Image.from_grey(field, float(np.quantile(field, POROSITY)), ["pore", "solid"], voxel=1.0 / n)


def fibre(n: int) -> Image:
    """Return n x n pixels with a round fibre of fraction .3."""
    x = (np.arange(n) + 0.5) / n - 0.5
    labels = (np.hypot(x[:, None], x) < np.sqrt(0.3 / np.pi)).astype(int)
    return Image.from_labels(labels, {"pore": 0, "solid": 1}, voxel=1.0 / n)


def draw(path: Path, shown: ImageDispersion, regimes: Any, stairs: Any, theme: str) -> None:
    """Draw the flow, the concentration, the tensor against the Péclet number, and what pixels leave."""
    corrector = np.where(shown.inside, shown.correctors[0], np.nan)
    with charts(path, 2, 2, size=(5.2, 4.3), theme=theme) as axes:
        speed = speed_of(shown.velocity, shown.fluid)
        colour(axes[0, 0], shown, speed, (0.0, float(np.nanquantile(speed, 0.995))), "Blues", "speed over its mean")
        spread = float(np.nanquantile(np.abs(corrector), 0.995))
        words = "concentration beside its mean,\nover gradient times L"
        colour(axes[0, 1], shown, corrector, (-spread, spread), "RdBu_r", words)
        axes[0, 0].set_title("Flow between the pixels")
        axes[0, 1].set_title(f"Pe = {SHOWN:g}")
        draw_regimes(axes[1, 0], *regimes)
        draw_stairs(axes[1, 1], *stairs)


def colour(ax: Any, shown: ImageDispersion, values: Any, limits: tuple[float, float], colours: str, label: str) -> None:
    """Colour the pores, with lines along the flow."""
    drawn = ax.imshow(
        values.T, origin="lower", extent=(0, 1, 0, 1), cmap=colours, vmin=limits[0], vmax=limits[1],
        interpolation="nearest",
    )  # fmt: skip
    draw_streams(ax, shown.image, shown.velocity, "0.2")
    ax.set(xticks=[], yticks=[], facecolor="0.75")
    ax.grid(visible=False)
    ax.figure.colorbar(drawn, ax=ax, label=label, shrink=0.9)


def draw_regimes(ax: Any, numbers: Any, found: ImageDispersion) -> None:
    """Draw D*/D against Pe, with the estimate as a band."""
    peclet = np.array(numbers[1:])
    values = np.array([np.diag(tensor.value) for tensor in found.series[1:]])
    errors = np.array([tensor.estimated_error for tensor in found.series[1:]])[:, None]
    for k, words in enumerate(("along the flow", "across")):
        ax.loglog(peclet, values[:, k], color=f"C{k}", label=words)
        low, high = (values[:, k] * (1.0 + sign * np.minimum(errors[:, 0], 0.9)) for sign in (-1, 1))
        ax.fill_between(peclet, low, high, color=f"C{k}", alpha=0.25, linewidth=0.0)
    for power, first, last in ((1, 8.0, 120.0), (2, 200.0, 1000.0)):
        guide = np.array([first, last])
        line = 2.5 * np.interp(last, peclet, values[:, 0]) * (guide / last) ** power
        ax.loglog(guide, line, color="0.5", linewidth=1.0)
        words = "Pe" if power == 1 else "Pe²"
        ax.annotate(words, (guide[0], line[0]), xytext=(-3, 2), textcoords="offset points", ha="right", color="0.4")
    ax.set(xlabel="Pe = U L / D", ylabel="D* / D, per volume of the pores", title="The slice (band: estimated error)")
    ax.legend(fontsize=8)


def draw_stairs(ax: Any, pixels: Any, off: Any) -> None:
    """Draw what round fibres are off, and what was estimated, against the pixels."""
    along, across, estimated = np.array(off).T
    ax.loglog(pixels, along, "o-", label="along the flow")
    ax.loglog(pixels, across, "o-", label="across")
    ax.loglog(pixels, estimated, "--", color="0.4", label="estimated")
    first = 0.2 * along[0] * pixels[0]
    ax.loglog(pixels, [first / n for n in pixels], color="0.5", linewidth=1.0)
    ax.annotate("1 / pixels", (pixels[-1], first / pixels[-1]), color="0.4", va="top", ha="right")
    ax.set(xlabel="pixels along the period", ylabel="relative error of D* at Pe = 10", title="Stairs for round fibres")
    ax.set_xticks(pixels, [str(n) for n in pixels])
    ax.minorticks_off()
    ax.legend(fontsize=8)


if __name__ == "__main__":
    main()
