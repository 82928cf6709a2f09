r"""From the heart muscle cell to a planar wave: the cell gives the conductivities and the membrane's area.

    docker/run python demos/16_planar_wave.py [--out FOLDER]

1. **The cell**: heart muscle cells that are joined end to end and side by side give Sigma_i, Sigma_e with guaranteed
   bounds, and the membrane's area per volume beta. Nothing of the tissue is measured, nothing is fitted.
2. **The slab**: the bidomain equations with these, and the membrane of ten Tusscher and Panfilov, in three dimensions;
   a stimulus at one face sends a planar wave along the cells, or across them.
3. **The velocity**: a planar wave along an axis sees Sigma_m alone, both conductivities in series. So it is that of a
   cable, which is computed on finer and finer meshes and extrapolated: what is apart is the error of the slab's mesh.
4. **The law**: of one membrane, velocities are as the roots of Sigma_m/beta; the cable with junctions of other
   resistances holds it.

Source: Niederer et al. 2011, doi 10.1098/rsta.2011.0139, for meshes and steps; Henriquez 1993, Critical Reviews in
Biomedical Engineering 21, 1, for planar waves of the bidomain.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np
from mpi4py import MPI

from homfem import BidomainTensors, sweep_bidomain
from homfem.bodies import box_mesh
from homfem.cells import myocyte
from homfem.kinetics.ionic import ionic_kinetics
from homfem.macro.cardiac import CardiacMethod, CardiacProblem, solve_cardiac
from homfem.macro.conduction import velocity_between
from homfem.macro.stimulus import Box, Stimulus
from homfem.output.cell_figures import draw_unit_cell
from homfem.output.charts import charts
from homfem.output.observers import Record
from homfem.output.views import SeriesView
from homfem.output.waves import draw_series
from homfem.timestepping import Schedule, TimeGrid

COMM = MPI.COMM_WORLD
# um and kOhm mm^2 of the cell; mm, ms, mV, mS/mm, uF/mm^2 of the tissue.
CONDUCTIVITIES = {"intracellular": 0.5, "extracellular": 2.0}
RESISTANCES = (0.05, 0.15, 0.45)
CAPACITANCE, STIMULUS = 0.01, 50.0  # uF/mm^2; uA/mm^3
LENGTHS = (12.0, 6.0)  # of the slab along the wave, for a wave along the cells and across
MEMBRANE = ionic_kinetics("tentusscher-panfilov-2006", "epi")


def say(text: str) -> None:
    if COMM.rank == 0:
        print(text, flush=True)


def wave(sides: Any, counts: Any, step: float, axis: int, sigma: float, observers: Any = (), **tissue: Any) -> float:
    """Return the velocity of a planar wave along an axis, mm/ms, over the middle of its way.

    ``sigma`` is the conductivity in series along it, which tells how long to wait.
    """
    length, high = sides[axis], [np.inf] * len(sides)
    high[axis] = length / 12.0
    pulse = Schedule(start=0.0, duration=2.0)
    face = Stimulus(place=Box(low=(-np.inf,) * len(sides), high=tuple(high)), amplitude=STIMULUS, schedule=pulse)
    problem = CardiacProblem(
        mesh=box_mesh(COMM, sides, counts), membrane=MEMBRANE, capacitance=CAPACITANCE, stimuli=(face,), **tissue
    )
    grid = TimeGrid(end=step * round(length / (17.0 * np.sqrt(sigma / tissue["area"])) / step), step=step)
    done = solve_cardiac(problem, grid, CardiacMethod(splitting="strang"), threshold=-30.0, observers=observers)
    points = {name: [0.5 * side for side in sides] for name in ("near", "far")}
    points["near"][axis], points["far"][axis] = 0.4 * length, 0.8 * length
    return velocity_between(done.activation, points, "near", "far", unit="mm")


def cable(tissue: BidomainTensors, sizes: Any, step: float) -> tuple[list[float], float]:
    """Return velocities along the cells in a cable, for sizes of elements, and what they go to, by their squares."""
    sigma, area = float(tissue.monodomain.value[0, 0]), tissue.membrane_area
    found = [
        wave([LENGTHS[0]], [round(LENGTHS[0] / size)], step, 0, sigma, conductivity=sigma, area=area) for size in sizes
    ]
    return found, found[-1] - (found[-2] - found[-1]) / ((sizes[-2] / sizes[-1]) ** 2 - 1.0)


def slab(tissue: BidomainTensors, axis: int, size: float, step: float, wide: float, observers: Any = ()) -> float:
    """Return the velocity in a slab of the bidomain, along the cells (axis 0) or across them."""
    sides = [wide, wide, 0.5 * wide]
    sides[axis] = LENGTHS[axis]
    counts = [max(2, round(side / 0.5)) for side in sides]
    counts[axis] = round(LENGTHS[axis] / size)
    tensors = {"kind": "bidomain", "intracellular": tissue.intracellular, "extracellular": tissue.extracellular}
    sigma = float(tissue.monodomain.value[axis, axis])
    return wave(sides, counts, step, axis, sigma, observers, area=tissue.membrane_area, **tensors)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("out/16_planar_wave"), help="folder of the pictures")
    parser.add_argument("--coarse", action="store_true", help="coarse meshes, for the tests")
    parser.add_argument("--dark", action="store_true", help="pictures on a dark ground")
    chosen = parser.parse_args()
    theme, coarse = "dark" if chosen.dark else "light", chosen.coarse
    sizes, step = ((0.2, 0.1, 0.05), 0.05) if coarse else ((0.1, 0.05, 0.025), 0.02)

    cell = myocyte(100.0, 20.0, 20.0, 2.0, staggered=False, end_patch=0.5, side_patch=0.1, resolution=1 / 3)
    swept = sweep_bidomain(cell, CONDUCTIVITIES, RESISTANCES, **({"degree": 1} if coarse else {}))
    middle = swept[1]
    say(str(middle))
    speeds, limit = cable(middle, sizes, step)
    for size, speed in zip(sizes, speeds, strict=True):
        say(f"cable, elements of {size:5.3f} mm: {speed:.4f} mm/ms")
    say(f"cable, extrapolated: {limit:.4f} mm/ms")

    record = Record("V", every=round(1.0 / step))
    found = {}
    for resistance, tissue in zip(RESISTANCES, swept, strict=True):
        for axis, word in ((0, "along"), (1, "across")) if not coarse or tissue is middle else ():
            law = limit * root(tissue, axis) / root(middle, 0)
            # Elements are as wide for the wave across, whose front is narrower.
            size = sizes[-2] * root(tissue, axis) / root(middle, 0)
            shown = tissue is middle and axis == 0
            speed = slab(tissue, axis, size, step, 3.0 if shown and not coarse else 1.0, [record] if shown else [])
            found[resistance, axis] = root(tissue, axis), speed
            say(f"slab, R = {resistance:g} kOhm mm^2, {word}: {speed:.4f} mm/ms, by the law {law:.4f}")
            assert abs(speed / law - 1.0) < (0.05 if coarse else 0.02)
    assert abs(speeds[-1] / limit - 1.0) < 0.02
    chosen.out.mkdir(parents=True, exist_ok=True)
    draw_unit_cell(cell, str(chosen.out / "cell.png"), theme=theme)
    view = SeriesView(
        label="V (mV)", style="body", length_unit="mm", time_unit="ms", limits=(-86.0, 40.0), colormap="viridis",
        columns=1, theme=theme,
    )  # fmt: skip
    draw_series(record.record, chosen.out / "wave.png", view=view, times=[4.0, 12.0, 20.0])
    if COMM.rank == 0:
        draw(chosen.out / "velocity", (sizes, speeds, limit), found, root(middle, 0), theme)


def root(tissue: BidomainTensors, axis: int) -> float:
    """Return sqrt(Sigma_m / beta) along an axis."""
    return float(np.sqrt(tissue.monodomain.value[axis, axis] / tissue.membrane_area))


def draw(path: Path, study: Any, found: Any, scale: float, theme: str) -> None:
    """Draw the cable's convergence, and the slabs beside the law."""
    sizes, speeds, limit = study
    with charts(path, 1, 2, size=(4.6, 3.6), theme=theme) as (left, right):
        left.plot(np.square(sizes), speeds, "o-", color="C4", label="cable")
        left.axhline(limit, color="0.55", lw=0.8, ls="--", label="extrapolated")
        left.set(xlabel="size of the elements, squared (mm^2)", ylabel="velocity (mm/ms)", title="(a) along the cells")
        left.legend()
        most = 1.1 * max(x for x, _ in found.values())
        right.plot([0.0, most], [0.0, limit * most / scale], color="0.55", lw=0.8, ls="--", label="law, from (a)")
        for axis, word in ((0, "along"), (1, "across")):
            points = [entry for (_, own), entry in found.items() if own == axis]
            right.plot(*zip(*points, strict=True), "o", color=f"C{4 * axis}", label=f"slab, {word} the cells")
        right.set(xlabel="$\\sqrt{\\Sigma_m/\\beta}$", ylabel="velocity (mm/ms)", title="(b) bidomain, three junctions")
        right.legend()


if __name__ == "__main__":
    main()
