"""Attack the bounds with random laminates, whose tensors are known exactly, and print what was found.

``python tests/benchmarks/attack_bounds.py --trials 1000 --seed 1``, also under ``mpirun``; the kinds are
``diffusion membranes elasticity windows grid dispersion``. Exit status 1 if a bound was wrong.
"""

from __future__ import annotations

import argparse
import collections
import logging
import sys
from pathlib import Path

import numpy as np
from mpi4py import MPI

sys.path.insert(0, str(Path(__file__).parents[1]))
from made_laminates import random_trial

KINDS = ("diffusion", "membranes", "elasticity", "windows", "grid", "dispersion")


def main() -> int:
    """Run the trials; print each fault, and the counts of each kind."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--trials", type=int, default=200)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--kinds", nargs="+", default=KINDS, choices=KINDS)
    given = parser.parse_args()
    logging.disable(logging.WARNING)
    counts: dict[str, collections.Counter[str]] = {kind: collections.Counter() for kind in given.kinds}
    gaps: dict[str, list[float]] = {kind: [] for kind in given.kinds}
    faults = 0
    comm = MPI.COMM_WORLD
    for number in range(given.trials):
        kind = given.kinds[number % len(given.kinds)]
        trial = random_trial(np.random.default_rng([given.seed, number]), [kind], comm)
        found = trial.tensor
        state = "gave up" if found is None else "reached" if found.reached else "not reached"
        counts[kind][state] += 1
        if found is not None and found.relative_gap is not None:
            gaps[kind].append(found.relative_gap)
        if trial.fault:
            faults += 1
            counts[kind]["WRONG"] += 1
        if comm.rank == 0 and (trial.fault or trial.error):
            print(f"{given.seed} {number}: {trial.fault or trial.error[:200]}\n    {trial.what}", flush=True)
    for kind in given.kinds if comm.rank == 0 else ():
        shown = ", ".join(f"{name} {count}" for name, count in sorted(counts[kind].items()))
        middle = f"; median half-gap {np.median(gaps[kind]):.1e}" if gaps[kind] else ""
        print(f"{kind}: {shown}{middle}")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
