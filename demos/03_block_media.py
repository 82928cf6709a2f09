"""A medium, its pixelations, and their effective diffusivity with guaranteed brackets: after March, Carr and Turner.

    docker/run python demos/03_block_media.py

A 512 x 512 image of dark inclusions (diffusivity 0.1) in a light matrix (1) is coarsened to r x r blocks: a block is
light where the mean of its pixels is at least 0.55 (their section 5.4). The effective tensor of every pixelation is
bounded from both sides by the corner-Galerkin method, that of the image itself too, each pixel being a block; the
distance between the two is the price of the pixelation. Between any two flux lines runs the same flux.

Figures: ``pixelations.png`` (media, flux lines, tensors), ``flux_lines.png`` (the finest one, both directions).

Source: March, Carr, Turner, "A fast algorithm for semi-analytically solving the homogenization boundary value problem
for block locally-isotropic heterogeneous media", section 5.4.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import numpy as np
from mpi4py import MPI

from homfem.blocks import homogenize_blocks, inclusions_image, pixelated
from homfem.blocks.medium import BlockMedium
from homfem.output import canvas
from homfem.output.block_lines import picture_fields
from homfem.output.media import draw_block_medium, draw_flux_lines
from homfem.tensors import EffectiveTensor

COMM = MPI.COMM_WORLD
ENTRIES = (("xx", 0, 0), ("yy", 1, 1), ("xy", 0, 1))


def say(text: str) -> None:
    if COMM.rank == 0:
        print(text, flush=True)


def solve(image: np.ndarray, resolutions: list[int]) -> dict[int, tuple[BlockMedium, EffectiveTensor]]:
    found = {}
    say(f"{'r':>4}  {'D_xx':>10} {'D_yy':>10} {'D_xy':>10}  {'half-gap':>9} {'unknowns':>9} {'seconds':>8}")
    for r in resolutions:
        start = time.perf_counter()
        medium = pixelated(image, r)
        tensor = homogenize_blocks(medium, degree=2)
        entries = " ".join(f"{tensor.value[i, j]:10.6f}" for _, i, j in ENTRIES)
        gap, seconds = tensor.relative_gap, time.perf_counter() - start
        say(f"{r:4d}  {entries}  {gap:9.1e} {tensor.dofs:9d} {seconds:8.2f}")
        found[r] = medium, tensor
    return found


def solve_image(image: np.ndarray) -> EffectiveTensor:
    """Bound the tensor of the image itself: its pixels are blocks too, so that nothing is approximated."""
    start = time.perf_counter()
    tensor = homogenize_blocks(BlockMedium(diffusivity=image), degree=0, singular=1, collapse=False)
    entries = " ".join(f"{tensor.value[i, j]:10.6f}" for _, i, j in ENTRIES)
    seconds = time.perf_counter() - start
    say(f"{'all':>4}  {entries}  {tensor.relative_gap:9.1e} {tensor.dofs:9d} {seconds:8.2f}")
    return tensor


def draw(
    image: np.ndarray, whole: EffectiveTensor, found: dict[int, tuple[BlockMedium, EffectiveTensor]], path: Path
) -> None:
    shown = list(found)[-4:]
    columns = max(len(shown), 3) + (len(shown) < 4)
    with canvas.styled():
        figure = canvas.sheet(3.2 * columns, 7.0, layout="constrained")
        axes = figure.subplots(2, columns)
        for axis in axes[0, len(shown) :]:
            axis.axis("off")
        for axis, r, letter in zip(axes[0], shown, "abcd", strict=False):
            medium, _ = found[r]
            draw_flux_lines(axis, medium, picture_fields(medium), 0, lines=20)
            axis.set(xticks=[], yticks=[])
            axis.set_title(f"({letter}) {r} × {r} blocks", loc="left")
        for axis, (name, i, j), letter in zip(axes[1], ENTRIES, "efg", strict=False):
            value = [tensor.value[i, j] for _, tensor in found.values()]
            error = [tensor.half_gap for _, tensor in found.values()]
            axis.errorbar(list(found), value, yerr=error, fmt="o-", color="#0072B2", capsize=3, label="pixelations")
            low, high = whole.value[i, j] - whole.half_gap, whole.value[i, j] + whole.half_gap
            axis.axhspan(low, high, color="#D55E00", alpha=0.6, label="the image, bracket")
            axis.set_xscale("log", base=2)
            axis.set_xticks(list(found), [str(r) for r in found])
            axis.set(xlabel="blocks along a side, r")
            axis.set_title(f"({letter}) D$_{{{name}}}$, D = 1 and 0.1", loc="left")
            axis.grid(alpha=0.3)
        axes[1, 0].legend(frameon=False)
        for axis in axes[1, 3:]:
            axis.imshow(image, origin="lower", cmap="gray", vmin=-0.8)
            axis.set(xticks=[], yticks=[])
            axis.set_title(f"(h) the image, {len(image)} × {len(image)} pixels", loc="left")
        canvas.save(figure, path)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--coarse", action="store_true", help="a small image and few pixelations, for a quick look")
    parser.add_argument("--out", type=Path, default=Path("out/03_block_media"), help="folder of the figures")
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    image = inclusions_image(128 if arguments.coarse else 512)
    resolutions = [4, 8, 16, 32] if arguments.coarse else [4, 8, 16, 32, 64, 128]
    found = solve(image, resolutions)
    whole = solve_image(image)
    errors = [float(np.abs(tensor.value - whole.value).max()) for _, tensor in found.values()]
    say("largest error of an entry: " + ", ".join(f"{e:.4f} (r = {r})" for r, e in zip(found, errors, strict=True)))
    # The pixelation, not the solver, makes the error: every bracket is far narrower.
    assert all(tensor.half_gap < 0.01 * error for (_, tensor), error in zip(found.values(), errors, strict=True))
    assert errors[-1] < 0.5 * errors[0]
    if COMM.rank == 0:
        draw(image, whole, found, arguments.out / "pixelations.png")
        medium, tensor = found[min(32, resolutions[-1])]
        draw_block_medium(medium, arguments.out / "flux_lines.png", tensor=tensor)


if __name__ == "__main__":
    main()
