"""The slab of Niederer et al. 2011 over mesh sizes, steps and mass matrices, beside what eleven codes found.

Times of activation (ms) at the corners and the centre; below, the published mean and standard deviation at
dt = 0.01 ms. ``mass`` 1 is consistent, 0 lumped: one is early and one late on coarse meshes, and both go to one limit,
which is what the last lines extrapolate to from the two finest meshes of each, at order 2.

    python tests/benchmarks/niederer.py --sizes 0.5 0.2 --steps 0.05 0.01 --json build/niederer.json
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))
from measure import machine, table, write_json


def main() -> None:
    parser = argparse.ArgumentParser(description="Times of activation of the slab of Niederer et al. 2011.")
    parser.add_argument("--sizes", nargs="+", type=float, default=[0.5, 0.2], help="of the cubes of the mesh, mm")
    parser.add_argument("--steps", nargs="+", type=float, default=[0.05, 0.01, 0.005], help="ms")
    parser.add_argument("--mass", nargs="+", type=float, default=[1.0, 0.0], help="1: consistent, 0: lumped")
    parser.add_argument("--degree", type=int, default=1)
    parser.add_argument("--json", default="", help="file for the numbers")
    options = parser.parse_args()

    from mpi4py import MPI

    from homfem.macro.cardiac import CardiacMethod
    from homfem.validation.niederer import niederer_times
    from homfem.validation.published import NIEDERER_TIMES

    root = MPI.COMM_WORLD.rank == 0
    found: list[dict[str, Any]] = []
    for size in sorted(options.sizes, reverse=True):
        for step in options.steps:
            for mass in options.mass:
                method = CardiacMethod(mass=mass, degree=options.degree)
                begun = time.perf_counter()
                end = (150.0 if size > 0.3 else 80.0) if mass < 1.0 else 70.0
                times = niederer_times(size, step, end=end, method=method)
                seconds = time.perf_counter() - begun
                found.append({"size": size, "step": step, "mass": mass, "times": times, "seconds": seconds})
                if root:
                    print(f"{size:g} mm, {step:g} ms, mass {mass:g}: {seconds:.0f} s", flush=True)
    if not root:
        return
    names = list(found[0]["times"])
    rows = [
        (f"{r['size']:g}", f"{r['step']:g}", f"{r['mass']:g}", *(f"{r['times'][name]:.2f}" for name in names))
        for r in found
    ]
    for size, theirs in NIEDERER_TIMES.items():
        entries = ("{:.1f}±{:.1f}".format(*theirs[name]) if name in theirs else "" for name in names)
        rows.append((f"{size:g}", "0.01", "published", *entries))
    print(table("Times of activation, ms", ("mm", "ms", "mass", *names), rows))
    for line in limits(found, "P8"):
        print(line)
    if options.json:
        write_json(options.json, {"machine": machine(), "results": found})


def limits(found: list[dict[str, Any]], name: str) -> list[str]:
    """Return the limit of the time at a point for each step and mass, from the two finest meshes at order 2."""
    lines = []
    for step, mass in dict.fromkeys((r["step"], r["mass"]) for r in found):
        same = sorted((r["size"], r["times"][name]) for r in found if (r["step"], r["mass"]) == (step, mass))
        if len(same) > 1:
            (h, fine), (coarse_h, coarse) = same[:2]
            limit = fine + (fine - coarse) * h**2 / (coarse_h**2 - h**2)
            lines.append(f"{name}, dt {step:g} ms, mass {mass:g}: {limit:.2f} ms from {coarse:.2f} and {fine:.2f}")
    return lines


if __name__ == "__main__":
    main()
