"""D* of a two-phase voxel image: time, memory, iterations and errors of the grid solver beside its peers, in one run.

The image is a thresholded Gaussian field, seeded, made periodic by mirroring. By this symmetry the periodic problem
along x is the one between two plates with closed side walls, which the peers solve: all methods approximate the same
number, D*_xx of the medium that the voxels are. homfem computes the whole tensor with both bounds, a peer one number
for one direction.

Two cases: ``contrast`` (coefficients 1 and 10) and ``pores`` (1, the other phase insulates).

Reference: bounds of homfem on grids of two and three times as many voxels along each axis (``--cuts``); the midpoints
of all grids are extrapolated to voxel size zero. It is printed with the finest bounds.

taufactor   successive over-relaxation by finite volumes, torch on the processor; ``conv_crit`` 1e-2 is its default.
porespy     ``tortuosity_fd`` by OpenPNM and PyAMG; one conducting phase only.

Every method runs in a process of its own with as many threads as the machine has cores; small runs come first, so that
imports and compilation do not count. A peer that is not installed is named and left out: ``pip install taufactor
porespy openpnm``. NASA's PuMA is not on PyPI.

    python tests/benchmarks/image_diffusion.py --json build/image.json
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import scipy.ndimage

sys.path.insert(0, str(Path(__file__).parent))
from measure import machine, peak_between, run_worker, table, write_json

Case = dict[str, Any]
COEFFICIENTS: dict[str, dict[str, float]] = {"contrast": {"dark": 1.0, "bright": 10.0}, "pores": {"bright": 1.0}}
PEERS = {"homfem": "homfem", "taufactor": "taufactor", "porespy": "porespy"}
#: Standard deviation of the filter that correlates the noise, in voxels.
CORRELATION = 3.0
SEED = 1


def main() -> None:
    parser = argparse.ArgumentParser(description="D* of a voxel image by the grid solver and by others.")
    parser.add_argument("--size", type=int, default=128, help="voxels along each axis, even")
    parser.add_argument("--cuts", type=int, nargs=2, default=[2, 3], help="grids of the reference")
    parser.add_argument("--cases", nargs="+", default=list(COEFFICIENTS), choices=list(COEFFICIENTS))
    parser.add_argument("--peers", nargs="+", default=list(PEERS), choices=list(PEERS))
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--json", default="", help="file for the numbers")
    parser.add_argument("--worker", nargs=2, metavar=("CASE", "ANSWER"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.worker:
        work(*options.worker)
        return
    peers = [peer for peer in options.peers if importlib.util.find_spec(PEERS[peer])]
    for peer in sorted(set(options.peers) - set(peers)):
        print(f"{peer} is not installed and left out")
    content: Case = {"machine": machine(), "size": options.size, "threads": options.threads, "cases": {}}
    for name in options.cases:
        runs = [run(case) for case in plan(name, peers, options.size, options.threads)]
        coarse = next(r for r in runs if r["peer"] == "homfem")
        grids = [{"peer": "homfem", "setting": f"refine {cuts}", "case": name, "size": options.size,
                  "threads": options.threads, "options": {"refine": cuts}} for cuts in options.cuts]  # fmt: skip
        grids = [run(case) for case in grids]
        exact = reference([coarse, *grids], [1, *options.cuts])
        for r in runs:
            r["errors"] = {side: r[side] / exact - 1.0 for side in ("value", "lower", "upper") if r.get(side)}
        content["cases"][name] = {"reference": exact, "grids": grids, "runs": runs}
        print("\n" + report(name, exact, grids, runs), flush=True)
    if options.json:
        write_json(options.json, content)


def plan(name: str, peers: list[str], size: int, threads: int) -> list[Case]:
    """Return the runs of one case; the first is that of homfem."""
    common = {"case": name, "size": size, "threads": threads}
    runs = [
        {"peer": "homfem", "setting": "midpoint", "options": {}, **common},
        {"peer": "homfem", "setting": "calibrated", "options": {"estimate": "calibrated"}, **common},
    ]
    if "taufactor" in peers:
        for limit in (1e-2, 1e-3):
            runs.append(
                {"peer": "taufactor", "setting": f"conv_crit {limit:g}", "options": {"conv_crit": limit}, **common}
            )
    if "porespy" in peers and name == "pores":
        runs.append({"peer": "porespy", "setting": "tortuosity_fd", "options": {}, **common})
    return runs


def run(case: Case) -> Case:
    """Run one case in its own process; add its peak memory."""
    answer, samples = run_worker(__file__, case, timeout=7200.0)
    answer["peak_mb"] = sum(peak_between(part, answer["start"], answer["end"]) for part in samples.values())
    return {**case, **answer}


def bright(size: int) -> np.ndarray:
    """Return where the image is bright: half of the voxels of an octant, mirrored."""
    half = size // 2
    field = scipy.ndimage.gaussian_filter(np.random.default_rng(SEED).standard_normal((half,) * 3), CORRELATION)
    octant = field > np.median(field)
    for axis in range(3):
        octant = np.concatenate([octant, np.flip(octant, axis)], axis=axis)
    return octant


def work(case_file: str, answer_file: str) -> None:
    """One method on one case, in this process."""
    case = json.loads(Path(case_file).read_text())
    solver = {"homfem": with_homfem, "taufactor": with_taufactor, "porespy": with_porespy}[case["peer"]]
    solve = solver(case)
    solve(np.indices((16, 16, 16))[1] < 8)
    image = bright(case["size"])
    start = time.perf_counter()
    answer = solve(image)
    end = time.perf_counter()
    Path(answer_file).write_text(json.dumps({**answer, "start": start, "end": end, "seconds": end - start}))


def with_homfem(case: Case) -> Callable[[np.ndarray], Case]:
    """The whole tensor with both bounds."""
    from homfem.grid import Image, homogenize_image

    def solve(inside: np.ndarray) -> Case:
        image = Image(phases=inside.astype(np.uint8), names=("dark", "bright"))
        tensor = homogenize_image(image, COEFFICIENTS[case["case"]], threads=case["threads"], **case["options"])
        lower, upper, value = (float(side[0, 0]) for side in (tensor.lower, tensor.upper, tensor.value))
        return {"value": value, "lower": lower, "upper": upper, "iterations": tensor.iterations,
                "stages": dict(tensor.seconds)}  # fmt: skip

    return solve


def with_taufactor(case: Case) -> Callable[[np.ndarray], Case]:
    """One direction between plates."""
    import taufactor
    import torch

    torch.set_num_threads(case["threads"])

    def solve(inside: np.ndarray) -> Case:
        if case["case"] == "contrast":
            solver = taufactor.MultiPhaseSolver(inside.astype(int) + 1, cond={1: 1.0, 2: 10.0}, device="cpu")
        else:
            solver = taufactor.Solver(inside.astype(int), device="cpu")
        solver.solve(verbose=False, iter_limit=100_000, **case["options"])
        value = float(np.ravel(np.asarray(solver.D_eff))[0])
        return {"value": value, "iterations": int(getattr(solver, "iter", 0))}

    return solve


def with_porespy(case: Case) -> Callable[[np.ndarray], Case]:
    """One direction between plates; the bright phase alone."""
    import porespy

    porespy.settings.tqdm["disable"] = True

    def solve(inside: np.ndarray) -> Case:
        found = porespy.simulations.tortuosity_fd(im=inside, axis=0)
        return {"value": float(found.effective_porosity / found.tortuosity), "iterations": 0}

    return solve


def reference(grids: list[Case], cuts: list[int]) -> float:
    """Return the limit of a + b h^q through three midpoints, if it is between all bounds; else the finest midpoint."""
    from scipy.optimize import brentq

    first, second, third = (0.5 * (r["lower"] + r["upper"]) for r in grids)
    h = [1.0 / cut for cut in cuts]

    def slope(q: float) -> float:
        return (first - second) / (h[0] ** q - h[1] ** q) - (second - third) / (h[1] ** q - h[2] ** q)

    low, high = max(r["lower"] for r in grids), min(r["upper"] for r in grids)
    if slope(0.5) * slope(6.0) < 0.0:
        q = brentq(slope, 0.5, 6.0)
        limit = first - (first - second) / (h[0] ** q - h[1] ** q) * h[0] ** q
        if low <= limit <= high:
            return float(limit)
    return float(third)


def report(name: str, exact: float, grids: list[Case], runs: list[Mapping[str, Any]]) -> str:
    """Return the table of one case, with ratios to the first run."""
    rows, first = [], runs[0]
    for r in runs:
        errors = [f"{r['errors'][side]:+.1e}" if side in r["errors"] else "" for side in ("value", "lower", "upper")]
        rows.append([r["peer"], r["setting"], f"{r['seconds']:.1f}", f"{r['peak_mb']:.0f}", r["iterations"] or "",
                     *errors, f"{r['seconds'] / first['seconds']:.1f}",
                     f"{abs(r['errors']['value'] / first['errors']['value']):.1f}"])  # fmt: skip
    finest = grids[-1]
    title = (
        f"{name}: D*_xx = {exact:.6g}; the finest grid ({finest['setting']}, {finest['seconds']:.0f} s, "
        f"{finest['peak_mb'] / 1e3:.1f} GB) puts it between {finest['lower']:.6g} and {finest['upper']:.6g}"
    )
    head = [
        "method",
        "setting",
        "seconds",
        "MB",
        "iterations",
        "error",
        "of lower",
        "of upper",
        "time ratio",
        "error ratio",
    ]
    return table(title, head, rows)


if __name__ == "__main__":
    main()
