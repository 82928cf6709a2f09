"""Effective diffusion coefficient against the edge of the ER's pipes and its volume fraction: figure 8 of the paper.

    docker/run python demos/figure_8_er_edges.py

For edges from 0.05 to 0.95 the tensors of ER and cytosol are bounded from both sides. EDC is the tensor per volume of
the phase, D*/gamma, with D = 250 um^2/s in both phases. Crosses are what the text of the paper prints, at the edge 0.1,
and by its relation EDC_ER(l) = EDC_cytosol(1 - l) at 0.9.

The relation is exact for square pipes of one edge, and more generally for pipes whose sections are rectangles: the ER
is where at least two coordinates are inside of their intervals, so the cytosol is where at least two are outside, which
is the same network of the edges 1 - l, moved by half a period. Round pipes, and square ones of three edges, have none
such: the brackets of the two sides have no number in common (of the round ones those of a mesh with straight
facets, which are within 2 % of the curved pipes; the sides are 13 % apart), so the relation does not hold.

Source: Goel, Sneyd, Friedman 2006, section 5.2 and figure 8, Multiscale Model. Simul. 5(4), 1045.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from mpi4py import MPI

from homfem import EffectiveTensor, homogenize_diffusion, three_pipe
from homfem.output import canvas
from homfem.validation.goel import Coefficient, pipe_tensors, rectangular_pipe_tensors
from homfem.validation.published import GOEL

DIFFUSIVITY = 250.0  # um^2/s
COMM = MPI.COMM_WORLD
STYLES = {"er": ("#D55E00", "ER"), "cytosol": ("#0072B2", "cytosol")}


def fraction_of(edge):
    return 3 * edge**2 - 2 * edge**3


def brackets(edges: np.ndarray, resolution: float, tolerance: float) -> dict[str, list[EffectiveTensor]]:
    found: dict[str, list[EffectiveTensor]] = {"er": [], "cytosol": []}
    for edge in edges:
        options = {"diffusivity": DIFFUSIVITY, "resolution": resolution, "tolerance": tolerance}
        for phase, tensor in pipe_tensors(float(edge), **options).items():
            found[phase].append(tensor)
        if COMM.rank == 0:
            row = [f"{edge:5.2f} {fraction_of(edge):9.6f}"]
            row += [
                f"{t[-1].effective_coefficient[0, 0]:9.3f} ±{50 * t[-1].relative_gap:5.2f} %" for t in found.values()
            ]
            print("   ".join(row), flush=True)
    return found


def relation(tolerance: float, thin: tuple[float, float, float]) -> list[tuple[str, Coefficient, Coefficient]]:
    """EDC_ER(l) and EDC_cytosol(1 - l), D = 1, of pipes of several sections."""
    rows = []
    for section in ("square", "round"):
        one, other = (pipe_tensors(edge, tolerance=tolerance, section=section) for edge in (0.3, 0.7))
        rows.append((f"{section}, 0.3", Coefficient.of(one["er"]), Coefficient.of(other["cytosol"])))
    thick = tuple(round(1.0 - edge, 12) for edge in thin)
    of = ", ".join(f"{edge:g}" for edge in thin)
    er = rectangular_pipe_tensors(thin, tolerance=tolerance)[0]
    cytosol = rectangular_pipe_tensors(thick, tolerance=tolerance)[1]
    rows += [(f"rectangles of {of}: {name * 2}", Coefficient.of(er, k), Coefficient.of(cytosol, k))
             for k, name in enumerate("xyz")]  # fmt: skip
    er, cytosol = (
        homogenize_diffusion(three_pipe(edges, resolution=0.25), {phase: 1.0}, tolerance=tolerance)
        for edges, phase in ((thin, "er"), (thick, "cytosol"))
    )
    rows += [(f"squares of {of}: {name * 2}", Coefficient.of(er, k), Coefficient.of(cytosol, k))
             for k, name in enumerate("xyz")]  # fmt: skip
    return rows


def show_relation(rows: list[tuple[str, Coefficient, Coefficient]]) -> None:
    """Print the rows, and hold them to what is proved: squares and rectangles meet, the others do not."""
    if COMM.rank == 0:
        print(f"\n{'pipes':32}{'ER of l':>22}{'cytosol of 1 - l':>22}   (EDC/D, bounds)")
    for name, er, cytosol in rows:
        sides = [f"{one.lower:.4f} … {one.upper:.4f}" for one in (er, cytosol)]
        if COMM.rank == 0:
            print(f"{name:32}{sides[0]:>22}{sides[1]:>22}   {'may be equal' if er.meets(cytosol) else 'not equal'}")
        if name.startswith(("square,", "rectangles")):
            assert er.meets(cytosol)
    assert not all(er.meets(cytosol) for name, er, cytosol in rows if name.startswith("squares of"))
    assert not any(er.meets(cytosol) for name, er, cytosol in rows if name.startswith("round"))


def check(edges: np.ndarray, found: dict[str, list[EffectiveTensor]], tolerance: float) -> None:
    """D*_cytosol(l) = D*_ER(1 - l): overlapping brackets, edge by edge; and the limits for l = 0.1."""
    for k, edge in enumerate(edges):
        mirror = int(np.argmin(np.abs(edges - (1.0 - edge))))
        one, other = found["cytosol"][k], found["er"][mirror]
        assert abs(edges[mirror] - (1.0 - edge)) < 1e-12
        assert max(one.lower[0, 0], other.lower[0, 0]) <= min(one.upper[0, 0], other.upper[0, 0])
        assert max(one.relative_gap, other.relative_gap) <= tolerance
        if abs(edge - 0.1) < 1e-12:
            assert found["er"][k].contains(DIFFUSIVITY * 0.0104499413)
            assert found["cytosol"][k].contains(DIFFUSIVITY * 0.94938977)
    for tensors in found.values():
        assert all(tensor.anisotropy == "isotropic" for tensor in tensors)


def draw(edges: np.ndarray, found: dict[str, list[EffectiveTensor]], path: Path) -> None:
    """Above the coefficients; below how far the guaranteed bounds are from them, too little to be seen above."""
    with canvas.styled():
        figure = canvas.sheet(10.0, 6.4, layout="constrained")
        panels = figure.subplots(2, 2, sharex="col", sharey="row", height_ratios=(2.2, 1.0))
        fraction = fraction_of(edges)
        for column, (x, label) in enumerate(
            ((edges, "edge of the pipes / period"), (fraction, "volume fraction of the ER"))
        ):
            for phase, tensors in found.items():
                colour, name = STYLES[phase]
                low, high, middle = (
                    np.array([getattr(tensor, side)[0, 0] / tensor.active_fraction for tensor in tensors])
                    for side in ("lower", "upper", "value")
                )
                panels[0, column].plot(x, middle, "o-", ms=3.5, lw=1.2, color=colour, label=name)
                panels[0, column].fill_between(x, low, high, color=colour, alpha=0.3, lw=0)
                band = (100.0 * (side / middle - 1.0) for side in (low, high))
                panels[1, column].fill_between(x, *band, color=colour, alpha=0.3, lw=0)
                panels[1, column].plot(x, 100.0 * (high / middle - 1.0), lw=0.8, color=colour)
                panels[1, column].plot(x, 100.0 * (low / middle - 1.0), lw=0.8, color=colour)
            panels[1, column].set(xlabel=label, xlim=(0, 1))
        panels[0, 0].set(ylabel=f"EDC (µm²/s), D = {DIFFUSIVITY:g} µm²/s", ylim=(0, 1.04 * DIFFUSIVITY))
        panels[1, 0].set(ylabel="guaranteed bounds\nabout it (%)")
        for phase, (factor, _) in GOEL.items():
            share = {"er": fraction_of(0.1), "cytosol": 1.0 - fraction_of(0.1)}[phase]
            printed = factor * DIFFUSIVITY / share
            for edge in (0.1, 0.9):
                for column, x in enumerate((edge, fraction_of(edge))):
                    panels[0, column].plot(x, printed, "x", ms=8, mew=1.6, color="0.1", zorder=5)
        panels[0, 0].plot([], [], "x", ms=8, mew=1.6, color="0.1", label="printed in the paper")
        panels[0, 0].plot(0.0, DIFFUSIVITY, "x", ms=8, mew=1.6, color="0.1", clip_on=False, zorder=5)
        panels[0, 1].plot(0.0, DIFFUSIVITY, "x", ms=8, mew=1.6, color="0.1", clip_on=False, zorder=5)
        panels[0, 0].legend(loc="lower center", frameon=False)
        for panel, letter in zip(panels.flat, "abcd", strict=True):
            panel.grid(alpha=0.3)
            panel.set_title(f"({letter})", loc="left")
        canvas.save(figure, path)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("out/figure_8"), help="folder of the figure")
    parser.add_argument("--coarse", action="store_true", help="three edges on coarse meshes, for the tests")
    chosen = parser.parse_args()
    # Symmetric about 1/2, so that every edge has its mirror image.
    half = [0.1, 0.5] if chosen.coarse else [0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.35, 0.4, 0.45, 0.5]
    edges = np.array([*half, *(1.0 - e for e in half[-2::-1])])
    tolerance = 2e-2 if chosen.coarse else 5e-3
    if COMM.rank == 0:
        chosen.out.mkdir(parents=True, exist_ok=True)
        print(" edge  fraction    EDC of the ER       EDC of the cytosol  (um^2/s, width of the bracket)")
    found = brackets(edges, 0.3 if chosen.coarse else 0.15, tolerance)
    check(edges, found, tolerance)
    show_relation(relation(1e-2, (0.25, 0.25, 0.5) if chosen.coarse else (0.2, 0.3, 0.4)))
    if COMM.rank == 0:
        draw(edges, found, chosen.out / "figure_8.png")
        print(f"figure: {chosen.out / 'figure_8.png'}")


if __name__ == "__main__":
    main()
