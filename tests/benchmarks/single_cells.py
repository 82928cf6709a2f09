"""Single cells at length: limit cycles of O'Hara-Rudy's layers, ten Tusscher-Panfilov at three steps, beside others.

    docker/run python tests/benchmarks/single_cells.py [--beats 1000]

Some ten minutes on one core; ``homfem validate ionic`` has the short part.
"""

from __future__ import annotations

import argparse
import time

from homfem.kinetics.ionic import Pacing, ionic_kinetics, pace, restitution
from homfem.validation.ionic import TENTUSSCHER_BEATS, TENTUSSCHER_RESTITUTION

#: APD90 in ms of beat 1000 at 1 Hz, -80 A/F for 0.5 ms: a CellML file of Chaste's collection by LSODA at 1e-10.
OHARA = {"endo": 267.8068, "epi": 227.2412, "m": 327.6998}


def layers(beats: int) -> None:
    """Print APD90 of the three layers."""
    pacing = Pacing(amplitude=80.0, duration=0.5)
    for variant, theirs in OHARA.items():
        began = time.perf_counter()
        last = pace(ionic_kinetics("ohara-rudy-2011", variant), pacing, beats=beats).beats[-1]
        took = time.perf_counter() - began
        print(
            f"ohara-rudy-2011 {variant}: {last.apd90:.4f} ms, LSODA {theirs}, {took / beats:.3f} s a beat", flush=True
        )


def steps() -> None:
    """Print the train and the restitution of ten Tusscher and Panfilov by step and order."""
    kinetics = ionic_kinetics("tentusscher-panfilov-2006")
    for order, step in ((1, 0.02), (1, 0.01), (1, 0.005), (2, 0.02)):
        pacing = Pacing(step=step, order=order)
        train = pace(kinetics, pacing, beats=99)
        found = restitution(kinetics, list(TENTUSSCHER_RESTITUTION), pacing, beats=1, start=train.end)
        ours = [train.beats[0].apd90, train.beats[9].apd90, found.last.apd90, *found.durations]
        theirs = [*TENTUSSCHER_BEATS.values(), *TENTUSSCHER_RESTITUTION.values()]
        apart = " ".join(f"{a - b:+.2f}" for a, b in zip(ours, theirs, strict=True))
        print(f"order {order}, step {step} ms, less the independent numbers, in ms: {apart}", flush=True)


def main() -> None:
    """Print all of it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--beats", type=int, default=1000)
    steps()
    layers(parser.parse_args().beats)


if __name__ == "__main__":
    main()
