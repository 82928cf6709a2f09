"""The slab of Niederer et al. 2011 over mesh sizes, steps, mass matrices and degrees, beside what eleven codes found.

Times of activation (ms) at the nine points and along the diagonal; below, the published mean and standard deviation at
dt = 0.01 ms. ``mass`` 1 is consistent, 0 lumped: one is early and one late on coarse meshes, and both go to one limit.

    python tests/benchmarks/niederer.py --sizes 0.5 0.2 --steps 0.05 0.01 --folder build/niederer

Each run leaves its times in the folder, and a run under way its checkpoint: called again, the study goes on, and takes
the fine ones from where they were left. ``--report`` only reads what is there. ``--figure FILE`` draws the times along
the diagonal.

The last lines extrapolate: in dx at order 2 from the two finest meshes of one step, of each kind of elements that has
three and whose times did not go down and up again as the mesh was refined (then they are not near their limit); in dt
at order 1 from the two least steps of the finest mesh that has two, the mean over its kinds. The limit is the middle of
what the kinds say, its uncertainty half of their spread, of the least of the extrapolations in dx, and of that in dt.
"""

from __future__ import annotations

import argparse
import json
import logging
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).parent))
from measure import table

DIAGONAL = 21
Found = list[dict[str, Any]]


def main() -> None:
    parser = argparse.ArgumentParser(description="Times of activation of the slab of Niederer et al. 2011.")
    parser.add_argument("--sizes", nargs="+", type=float, default=[0.5, 0.2], help="of the cubes of the mesh, mm")
    parser.add_argument("--steps", nargs="+", type=float, default=[0.05, 0.01, 0.005], help="ms")
    parser.add_argument("--mass", nargs="+", type=float, default=[1.0, 0.0], help="1: consistent, 0: lumped")
    parser.add_argument("--degree", type=int, default=1)
    parser.add_argument("--folder", default="build/niederer", help="where results and checkpoints are kept")
    parser.add_argument("--report", action="store_true", help="read what is there, run nothing")
    parser.add_argument("--figure", default="", help="file for the picture of the diagonal")
    options = parser.parse_args()

    from mpi4py import MPI

    logging.getLogger("homfem").setLevel(logging.ERROR)  # it warns of coarse meshes, which are what this is about
    folder, root = Path(options.folder), MPI.COMM_WORLD.rank == 0
    if root:
        folder.mkdir(parents=True, exist_ok=True)
    MPI.COMM_WORLD.barrier()
    if not options.report:
        for size in sorted(options.sizes, reverse=True):
            for step in sorted(options.steps, reverse=True):
                for mass in options.mass:
                    run(folder, size, step, mass, options.degree)
    if not root:
        return
    found = [json.loads(file.read_text()) for file in sorted(folder.glob("*.json"))]
    print(report(found))
    if options.figure:
        draw(found, options.figure)


def run(folder: Path, size: float, step: float, mass: float, degree: int) -> None:
    """Run one case, unless its times are there."""
    from mpi4py import MPI

    from homfem.macro.cardiac import CardiacMethod
    from homfem.validation.niederer import niederer_times

    name = f"dx{size:g}-dt{step:g}-mass{mass:g}-degree{degree}"
    file = folder / f"{name}.json"
    if MPI.COMM_WORLD.bcast(file.is_file()):
        return
    begun = time.process_time()
    times = niederer_times(
        size,
        step,
        end=200.0,
        method=CardiacMethod(mass=mass, degree=degree),
        diagonal=DIAGONAL,
        checkpoint=folder / f"{name}.ckpt",
    )
    seconds = MPI.COMM_WORLD.allreduce(time.process_time() - begun)
    if MPI.COMM_WORLD.rank == 0:
        answer = {"size": size, "step": step, "mass": mass, "degree": degree, "times": times, "seconds": seconds}
        file.write_text(json.dumps(answer))
        for left in folder.glob(f"{name}.ckpt*"):
            left.unlink()
        print(f"{name}: {seconds:.0f} s of processor time, P8 {times['P8']:.3f} ms", flush=True)


def report(found: Found) -> str:
    """Return the table of all runs, that of what was published, and the limits."""
    from homfem.validation.published import NIEDERER_TIMES

    names = [f"P{k}" for k in range(1, 10)]
    order = sorted(found, key=lambda r: (r["degree"], -r["size"], -r["step"], -r["mass"]))
    rows = [
        (f"{r['size']:.2g}", f"{r['step']:g}", kind(r), *(f"{r['times'][name]:.3f}" for name in names)) for r in order
    ]
    for size, theirs in NIEDERER_TIMES.items():
        entries = ("{:.1f}±{:.1f}".format(*theirs[name]) if name in theirs else "" for name in names)
        rows.append((f"{size:g}", "0.01", "published", *entries))
    head = ("dx, mm", "dt, ms", "mass", *names)
    return "\n".join([table("Times of activation, ms", head, rows), *limit(found, "P8"), *limit(found, "P9")])


def limit(found: Found, name: str) -> list[str]:
    """Return what the times at a point go to, as lines: of each kind of elements, and of all."""
    lines: list[str] = []
    ends: list[tuple[float, float]] = []
    step = max(r["step"] for r in found)  # which every mesh has
    for word in dict.fromkeys(kind(r) for r in found):
        same = sorted((r["size"], r["times"][name]) for r in found if kind(r) == word and r["step"] == step)
        if len(same) < 2:
            continue
        (h, fine), (coarse_h, coarse) = same[:2]
        end = fine + (fine - coarse) * h**2 / (coarse_h**2 - h**2)
        steady = len(same) > 2 and (fine - coarse) * (coarse - same[2][1]) > 0.0
        told = f"{end:.2f} ms in the limit" if steady else "went down and up" if len(same) > 2 else "two meshes only"
        lines.append(
            f"{name}, {word}, dt {step:g} ms: {coarse:.2f} at {coarse_h:.2g}, {fine:.2f} at {h:.2g} mm, {told}"
        )
        if steady:
            ends.append((end, abs(end - fine)))
    change, words = in_time(found, name, step)
    if ends:
        low, high = min(ends)[0], max(ends)[0]
        doubt = 0.5 * (high - low + min(size for _, size in ends) + abs(change))
        lines += [words, f"{name} in the limit: {0.5 * (low + high) + change:.1f} +- {doubt:.1f} ms"]
    return lines


def in_time(found: Found, name: str, step: float) -> tuple[float, str]:
    """Return what is to be added to the time at a point with a step for that without, and from where that is."""
    changes: dict[float, dict[str, float]] = {}
    for r in found:
        others = [o for o in found if o["size"] == r["size"] and kind(o) == kind(r)]
        at = {o["step"]: o["times"][name] for o in others}
        if len(at) > 1 and r["step"] == step:
            least, next_one = sorted(at)[:2]
            end = at[least] + (at[least] - at[next_one]) * least / (next_one - least)
            changes.setdefault(r["size"], {})[kind(r)] = end - at[step]
    if not changes:
        return 0.0, f"{name}: no mesh has two steps"
    size, of_kind = min(changes.items())
    words = ", ".join(f"{change:+.2f} {word}" for word, change in sorted(of_kind.items()))
    return sum(of_kind.values()) / len(of_kind), f"{name}, dt {step:g} ms to 0 at {size:g} mm, ms: {words}"


def kind(result: dict[str, Any]) -> str:
    """Return how a run was discretised in space."""
    if result["degree"] > 1:
        return f"P{result['degree']}"
    return {1.0: "consistent", 0.0: "lumped"}.get(result["mass"], f"{result['mass']:g}")


def draw(found: Found, path: str) -> None:
    """Draw the times along the diagonal for each mesh at the least step, and the far corner beside the published."""
    from homfem.output.charts import charts
    from homfem.validation.niederer import POINTS
    from homfem.validation.published import NIEDERER_TIMES

    length = float(np.linalg.norm(np.subtract(POINTS[7], POINTS[0])))
    along = np.linspace(0.0, length, DIAGONAL)
    sizes = sorted({r["size"] for r in found}, reverse=True)
    marks = {"consistent": ("-", "o"), "lumped": ("--", "v"), "P2": (":", "^")}
    with charts(path, 1, 2, size=(4.8, 3.8)) as (left, right):
        for word, (dash, marker) in marks.items():
            same = [r for r in found if kind(r) == word]
            for k, size in enumerate(sizes):
                fine = min((r for r in same if r["size"] == size), key=lambda r: r["step"], default=None)
                if fine is not None:
                    times = [fine["times"][f"D{j}"] for j in range(DIAGONAL)]
                    left.plot(along, times, dash, color=f"C{k}", label=f"{word}, dx {size:.2g} mm")
            lines = [
                min((r for r in same if r["size"] == size), key=lambda r: r["step"], default=None) for size in sizes
            ]
            there = [(r["size"], r["times"]["P8"]) for r in lines if r is not None]
            if there:
                right.plot(*zip(*there, strict=True), dash, marker=marker, color="C3", label=word)
        told = sorted(NIEDERER_TIMES)
        middle, spread = np.array([NIEDERER_TIMES[size]["P8"] for size in told]).T
        right.errorbar(
            told, middle, spread, fmt="s", color="0.45", capsize=3.0, label="eleven codes, mean and deviation"
        )
        left.set(xlabel="distance along the diagonal (mm)", ylabel="activation (ms)")
        right.set(xlabel="dx (mm)", ylabel="activation of the far corner (ms)", xlim=(0.0, None), ylim=(25.0, 160.0))
        left.legend(fontsize=7.0)
        right.legend(fontsize=7.5)


if __name__ == "__main__":
    main()
