r"""A spiral wave: two stimuli, S1 and S2, start re-entry in a sheet of cardiac tissue, and it keeps turning.

    docker/run python demos/18_spiral.py [--out FOLDER]

S1 at the left edge sends a plane wave through the sheet. While its tail is in the middle, S2 excites the lower half of
what can be excited again behind it. The new wave has a free end; it turns about this end and comes back to where it
was, again and again, and nothing stimulates it any more. S1 alone leaves the sheet and is gone.

The demo counts the turns, measures the period at four places, which must agree, and follows the tip: there the front
meets the tail, where V is at a level and does not change.

Membrane: Aliev and Panfilov 1996, doi 10.1016/0960-0779(95)00089-5. Protocol: Frazier et al. 1989, Journal of Clinical
Investigation 83, 1039, doi 10.1172/JCI113945.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np
from mpi4py import MPI

from homfem.bodies import box_mesh
from homfem.kinetics.ionic import ionic_kinetics
from homfem.macro.cardiac import CardiacProblem, solve_cardiac
from homfem.macro.probes import Probes
from homfem.macro.stimulus import Box, Stimulus
from homfem.macro.tips import Tips
from homfem.output.charts import charts
from homfem.output.observers import Record
from homfem.output.views import SeriesView
from homfem.output.waves import draw_series
from homfem.timestepping import Schedule, TimeGrid

COMM = MPI.COMM_WORLD
# mm, ms, mV, mS/mm, uA/mm^3.
SIDE, CONDUCTIVITY, AREA, CAPACITANCE = 80.0, 0.14, 140.0, 0.01
LEVEL = -30.0  # of the front, mV
S2 = 560.0  # ms
PLACES = {"left": (20.0, 40.0), "below": (40.0, 20.0), "right": (60.0, 40.0), "above": (40.0, 60.0)}


def say(text: str) -> None:
    if COMM.rank == 0:
        print(text, flush=True)


def solve(count: int, step: float, end: float, *, second: bool) -> tuple[Any, Any, Any]:
    """Return the largest V at the end, V over time at the places, and pictures of V and tips, each of time, x, y."""
    s1 = Stimulus(
        place=Box(low=(0.0, 0.0), high=(2.0, SIDE)), amplitude=30.0, schedule=Schedule(start=0.0, duration=4.0)
    )
    half = Box(low=(0.0, 0.0), high=(0.6 * SIDE, 0.5 * SIDE))
    s2 = Stimulus(place=half, amplitude=30.0, schedule=Schedule(start=S2, duration=4.0))
    problem = CardiacProblem(
        mesh=box_mesh(COMM, [SIDE, SIDE], [count, count]), membrane=ionic_kinetics("aliev-panfilov"), area=AREA,
        capacitance=CAPACITANCE, conductivity=CONDUCTIVITY, stimuli=(s1, s2) if second else (s1,),
    )  # fmt: skip
    probes, record = Probes(PLACES), Record("V", every=round(50.0 / step))
    tips = Tips("V", LEVEL, every=round(5.0 / step))
    done = solve_cardiac(problem, TimeGrid(end=end, step=step), observers=[probes, record, tips])
    say(done.table())
    curves = {name: probes.values(name, "V") for name in PLACES}
    return float(done.numbers["V maximum"][-1]), curves, (record.record, tips.found)


def passes(values: Any, step: float) -> Any:
    """Return when V rises through the level, linear within a step."""
    k = np.flatnonzero((values[:-1] < LEVEL) & (values[1:] >= LEVEL))
    return step * (k + (LEVEL - values[k]) / (values[k + 1] - values[k]))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("out/18_spiral"), help="folder of the pictures")
    parser.add_argument("--coarse", action="store_true", help="a coarse mesh, for the tests")
    parser.add_argument("--dark", action="store_true", help="pictures on a dark ground")
    chosen = parser.parse_args()
    theme = "dark" if chosen.dark else "light"
    count, step, end = (64, 1.0, 2400.0) if chosen.coarse else (128, 0.5, 4000.0)

    alone, _, _ = solve(count, step, 1200.0, second=False)
    say(f"S1 alone: V is at most {alone:.1f} mV after 1200 ms")
    assert alone < -75.0
    most, curves, (record, tips) = solve(count, step, end, second=True)
    periods = {
        name: np.diff(passes(values, step)[passes(values, step) > S2 + 200.0]) for name, values in curves.items()
    }
    for name, found in periods.items():
        say(f"{name:>6}: {len(found)} turns, periods " + ", ".join(f"{period:.0f}" for period in found) + " ms")
    last = np.array([found[-1] for found in periods.values()])
    say(f"period of the last turn {last.mean():.1f} ms, +- {np.ptp(last) / 2:.1f} ms over the places")
    assert min(map(len, periods.values())) >= (2 if chosen.coarse else 5)
    assert most > 0.0
    assert np.ptp(last) < (0.1 if chosen.coarse else 0.02) * last.mean()
    chosen.out.mkdir(parents=True, exist_ok=True)
    view = SeriesView(
        label="V (mV)", length_unit="mm", time_unit="ms", limits=(-85.0, 25.0), colormap="viridis", theme=theme
    )
    draw_series(record, chosen.out / "spiral.png", view=view, times=[300.0, S2 + 10.0, 700.0, 900.0, 1100.0, end])
    if COMM.rank == 0:
        draw(chosen.out / "turns", curves, (tips[tips[:, 0] > S2 + 200.0], last.mean()), step, theme)


def draw(path: Path, curves: Any, turning: Any, step: float, theme: str) -> None:
    """Draw V at two places over time, and the way of the tip."""
    tips, period = turning
    with charts(path, 1, 2, size=(5.0, 3.6), theme=theme) as (over_time, way):
        for name in ("left", "right"):
            over_time.plot(1e-3 * step * np.arange(len(curves[name])), curves[name], lw=1.0, label=name)
        over_time.axvline(1e-3 * S2, color="0.55", lw=0.8, ls=":")
        over_time.annotate("S2", (1e-3 * S2, 24.0), (3, 0), textcoords="offset points", fontsize=9)
        over_time.set(xlabel="time (s)", ylabel="V (mV)", title=f"(a) the last turn takes {period:.0f} ms")
        over_time.legend(loc="upper right", bbox_to_anchor=(1.0, 0.75))
        way.plot(*tips[:, 1:3].T, "o", ms=1.5)
        way.set(aspect="equal", xlabel="x (mm)", ylabel="y (mm)", title="(b) way of the tip, every 5 ms")
        way.margins(0.2)


if __name__ == "__main__":
    main()
