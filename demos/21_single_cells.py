r"""Single cells: action potentials of seven membranes, restitution, a limit cycle that a tissue starts with.

    docker/run python demos/21_single_cells.py [--coarse] [--out FOLDER]

A membrane obeys $\dot V = -(I_{ion} + I_{stim})/C_m$ with gates and concentrations of its own.

1. **Action potentials** at 1 Hz, side by side: what a model is, in one look. Durations beside those of other
   implementations, by an independent integrator.
2. **Restitution** of the human ventricle (ten Tusscher and Panfilov 2006): a train at 1 Hz (S1), then one stimulus
   (S2) a diastolic interval after the last action potential. Where the slope exceeds 1, beats can alternate.
3. **Alternans** of Beeler and Reuter 1977 as the cycle gets shorter: one duration, two, then block.
4. **The limit cycle**: pacing until a beat ends as it began. It is kept on disk, and gives the start of a tissue by
   name.

Steps are compiled at first use, which takes some seconds for each model.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from mpi4py import MPI

from homfem.kinetics.ionic import IONIC_MODELS, ActionPotential, Pacing, ionic_kinetics, limit_cycle, pace, restitution
from homfem.output.charts import charts
from homfem.parameters import ConvergenceError
from homfem.validation.ionic import IONIC_APD, TENTUSSCHER_RESTITUTION

COMM = MPI.COMM_WORLD
HUMAN = "tentusscher-panfilov-2006"
# In units of their own: no mV, so no place among the panels.
WITHOUT_UNITS = ("fitzhugh-nagumo",)
STIMULI = {HUMAN: {"amplitude": 52.0}, "ohara-rudy-2011": {"amplitude": 80.0, "duration": 0.5}}
BEATS = 3


def say(text: str) -> None:
    if COMM.rank == 0:
        print(text, flush=True)


def action_potentials(coarse: bool) -> dict[tuple[str, str | None], ActionPotential]:
    """Return the last of a few beats at 1 Hz of every model and variant."""
    found = {}
    for name, model in IONIC_MODELS.items():
        if name in WITHOUT_UNITS or (coarse and name == "ohara-rudy-2011"):
            continue
        pacing = Pacing(**({"amplitude": 40.0} | STIMULI.get(name, {})))
        for variant in model.variants or (None,):
            paced = pace(ionic_kinetics(name, variant), pacing, beats=BEATS)
            assert not paced.missed
            found[name, variant] = paced.last
            theirs = IONIC_APD.get((name, variant))
            beside = f", another implementation {theirs.apd90:.2f}" if theirs else ""
            say(f"{name} {variant or ''}: APD90 {paced.last.duration():.2f} ms{beside}")
            assert theirs is None or abs(paced.last.duration() - theirs.apd90) < 0.05
    return found


def draw_action_potentials(found: dict[tuple[str, str | None], ActionPotential], path: Path) -> None:
    names = list(dict.fromkeys(name for name, _ in found))
    with charts(path, 2, 4, size=(2.9, 2.4)) as axes:
        for place, name in zip(axes.flat, names, strict=False):
            for (owner, variant), action in found.items():
                if owner == name:
                    style = ("-", "--", "-.")[len(place.get_lines())]  # some lie on one another
                    place.plot(action.times, action.potential, style, label=variant)
            place.set(title=name, xlim=(-10.0, 500.0), ylim=(-100.0, 60.0))
            if len(place.get_lines()) > 1:
                place.legend()
        for place in axes.flat[len(names) :]:
            place.axis("off")
        for place in axes[-1]:
            place.set_xlabel("t (ms)")
        for place in axes[:, 0]:
            place.set_ylabel("V (mV)")


def curve(beats: int) -> tuple[np.ndarray, np.ndarray]:
    """Return diastolic intervals and APD90 of the human ventricle."""
    intervals = np.array(sorted({*TENTUSSCHER_RESTITUTION, 25.0, 42.0, 65.0, 80.0, 130.0, 160.0, 250.0, 400.0, 700.0}))
    found = restitution(ionic_kinetics(HUMAN), intervals, Pacing(order=1), beats=beats)
    for interval, duration in zip(found.intervals, found.durations, strict=True):
        if interval in TENTUSSCHER_RESTITUTION and beats == 100:
            theirs = TENTUSSCHER_RESTITUTION[interval]
            say(f"DI {interval:g} ms: APD90 {duration:.2f} ms, independently {theirs:.2f}")
            assert abs(duration - theirs) < 0.5
    steep = found.intervals[:-1][found.slopes > 1.0]
    say(f"the slope exceeds 1 up to DI = {steep.max():g} ms" if len(steep) else "the slope is below 1")
    return found.intervals, found.durations


def alternans(coarse: bool) -> list[tuple[float, float]]:
    """Return cycle lengths and the durations that come in turn."""
    kinetics, found, blocked = ionic_kinetics("beeler-reuter"), [], []
    for cycle in np.arange(262.0, 340.0, 26.0 if coarse else 2.0):
        try:
            beats = limit_cycle(kinetics, Pacing(cycle_length=cycle, amplitude=40.0), tolerance=1e-4).last
        except ConvergenceError:  # every other stimulus comes too early
            blocked.append(cycle)
            continue
        found += [(cycle, beat.apd90) for beat in beats]
    say(f"beeler-reuter: every other stimulus is blocked up to a cycle of {max(blocked):g} ms")
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--coarse", action="store_true", help="fewer beats and models")
    parser.add_argument("--out", type=Path, default=Path("results/single_cells"))
    options = parser.parse_args()
    if COMM.rank > 0:  # single cells need one process
        return
    draw_action_potentials(action_potentials(options.coarse), options.out / "action_potentials.png")
    intervals, durations = curve(3 if options.coarse else 100)
    pairs = np.array(alternans(options.coarse))
    with charts(options.out / "restitution.png", 1, 2, size=(4.4, 3.4)) as (left, right):
        left.plot(intervals, durations, "o-", label="S1-S2, S1 at 1 Hz")
        if not options.coarse:
            left.plot(*zip(*TENTUSSCHER_RESTITUTION.items(), strict=True), "x", markersize=9.0, label="independent")
        left.set(xlabel="diastolic interval (ms)", ylabel="APD90 (ms)", title="ten Tusscher-Panfilov 2006")
        left.legend()
        right.plot(*pairs.T, "o", markersize=3.5)
        right.set(xlabel="cycle length (ms)", ylabel="APD90 (ms)", title="Beeler-Reuter 1977: one beat, two in turn")
    rest = limit_cycle(ionic_kinetics("luo-rudy-1991"), Pacing(amplitude=40.0))
    say(
        f"luo-rudy-1991 repeats itself after {rest.beats} beats: V = {rest.start['V']:.3f} mV, "
        f"Ca_i = {1e3 * rest.start['Ca_i']:.4f} uM before a stimulus"
    )
    assert not rest.alternans


if __name__ == "__main__":
    main()
