"""Time and unknowns to a given accuracy on cases A-D of March, Carr and Turner, all methods in one run.

    python tests/benchmarks/blocks_efficiency.py [--figure FILE.png] [--json FILE.json] [--repeats 5]

Methods: the semi-analytical method with the paper's N_eig = 2 N_x - 3 (and, as a variant that the paper allows and does
not use, N_eig = N_x - 1, which is more accurate), finite volumes, the corner-Galerkin method with both bounds, on the
given blocks and with equal rows and columns joined, and the certified finite elements (mesh, both bounds and the
adaptive loop, from the layout to the tensor; forms compiled before). The error is the largest relative error of an
entry against the corner-Galerkin tensor of degree 12, whose guaranteed half-gap is below 1e-12. A target not reached
within the sizes tried is extrapolated by the power laws fitted to its last three points, and marked ~.

Seconds are CPU seconds: run with OMP_NUM_THREADS=1; then they do not depend on what else the machine does.

The corner-Galerkin method keeps tables of its quadrature between calls; "cold" is the first call, without them.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from homfem.blocks import homogenize_blocks, paper_case
from homfem.blocks import interface_basis as basis
from homfem.blocks.effective import LADDER

TARGETS = (1e-3, 1e-5)
TOLERANCES = (3e-2, 1e-2, 3e-3, 1e-3, 3e-4)
SIZES = {
    "A": ((4, 6, 8, 12, 16, 24, 32, 64, 96), (8, 16, 32, 64, 128, 256, 512)),
    "B": ((4, 6, 8, 12, 16, 24, 32, 64, 96), (8, 16, 32, 64, 128, 256, 512)),
    "C": ((2, 3, 4, 6, 8, 12), (2, 4, 8, 16, 32, 64, 128)),
    "D": ((2, 3, 4, 6, 8, 12), (2, 4, 8, 16, 32, 64, 128)),
}


def forget() -> None:
    """Drop the tables that the corner-Galerkin method keeps."""
    for table in (basis._graded, basis._cosines, basis._decays, basis._polynomials):
        table.cache_clear()


def median_time(task: Callable[[], Any], repeats: int, before: Callable[[], None] | None = None) -> tuple[Any, float]:
    times = []
    for _ in range(repeats):
        if before is not None:
            before()
        start = time.process_time()
        result = task()
        times.append(time.process_time() - start)
        if times[-1] > 2.0:
            break
    return result, float(np.median(times))


def curves(case: str, repeats: int) -> dict[str, list[tuple[float, float, int, str]]]:
    """Return (error, seconds, unknowns, setting) of each method over its settings."""
    medium = paper_case(case)
    exact = homogenize_blocks(medium, degree=12)
    scale = np.where(np.abs(exact.value) > 1e-10, np.abs(exact.value), np.inf)
    result: dict[str, list[tuple[float, float, int, str]]] = {}

    def add(name: str, setting: str, before: Callable[[], None] | None = None, **options: Any) -> None:
        tensor, seconds = median_time(lambda: homogenize_blocks(medium, **options), repeats, before)
        error = float((np.abs(tensor.value - exact.value) / scale).max())
        result.setdefault(name, []).append((error, seconds, tensor.dofs, setting))

    abscissas, intervals = SIZES[case]
    for n in abscissas:
        # N_x = 2 allows one mode only.
        add("semi-analytical", f"N_x={n}", method="semi-analytical", abscissas=n, modes=max(n - 1, 2 * n - 3))
        add("semi-analytical, N_eig = N_x - 1", f"N_x={n}", method="semi-analytical", abscissas=n, modes=n - 1)
    for n in intervals:
        add("finite volumes", f"{n} per block", method="finite-volume", intervals=n)
    for tolerance in TOLERANCES:
        error, seconds, unknowns = elements(case)(tolerance, exact.value, scale, repeats)
        result.setdefault("certified finite elements", []).append((error, seconds, unknowns, f"gap {tolerance:.0e}"))
    for degree, singular in LADDER[:6]:
        setting = f"degree {degree}, {singular}"
        add("corner-Galerkin", setting, degree=degree, singular=singular, collapse=False)
        add("corner-Galerkin, joined", setting, degree=degree, singular=singular)
        add("corner-Galerkin, joined, cold", setting, forget, degree=degree, singular=singular)
    return result


def elements(case: str) -> Callable[..., tuple[float, float, int]]:
    """Return a function that solves a case by the certified finite elements to a relative half-gap."""
    import homfem
    from homfem.blocks.media import LAYOUTS
    from homfem.cells import blocks

    layout = LAYOUTS[{"C": "A", "D": "B"}.get(case, case)]

    def solve(tolerance: float, exact: np.ndarray, scale: np.ndarray, repeats: int) -> tuple[float, float, int]:
        def task() -> Any:
            cell = blocks(layout, resolution=1 / 8)
            return homfem.homogenize_diffusion(cell, {"L": 1.0, "D": 0.1}, tolerance=tolerance)

        task()
        tensor, seconds = median_time(task, min(repeats, 3))
        return float((np.abs(tensor.value - exact) / scale).max()), seconds, tensor.dofs

    return solve


def reach(points: list[tuple[float, float, int, str]], target: float) -> tuple[float, float, str]:
    """Return seconds, unknowns and setting for a target error, extrapolated where it was not reached."""
    good = [point for point in points if point[0] <= target]
    if good:
        best = min(good, key=lambda point: point[1])
        return best[1], best[2], best[3]
    table = np.log(np.array([point[:3] for point in points[-3:]], dtype=float))
    (rate, start), (growth, size) = (np.polyfit(table[:, 0], table[:, k], 1) for k in (1, 2))
    return float(np.exp(start + rate * np.log(target))), float(np.exp(size + growth * np.log(target))), "~ extrapolated"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--figure")
    parser.add_argument("--json")
    parser.add_argument("--repeats", type=int, default=5)
    arguments = parser.parse_args()
    data = {case: curves(case, arguments.repeats) for case in SIZES}
    rows = []
    for case, methods in data.items():
        for target in TARGETS:
            base = reach(methods["semi-analytical"], target)[0]
            for name, points in methods.items():
                seconds, unknowns, setting = reach(points, target)
                rows.append((case, target, name, seconds, round(unknowns), setting, base / seconds))
    print(f"{'case':4} {'error':>6}  {'method':34} {'seconds':>10} {'unknowns':>9}  {'SA / this':>9}  setting")
    for case, target, name, seconds, unknowns, setting, ratio in rows:
        print(f"{case:4} {target:6.0e}  {name:34} {seconds:10.3g} {unknowns:9d}  {ratio:9.3g}  {setting}")
    if arguments.json:
        with open(arguments.json, "w") as file:
            json.dump({"curves": data, "rows": rows}, file, indent=1)
    if arguments.figure:
        draw(data, arguments.figure)


def draw(data: dict[str, dict[str, list[tuple[float, float, int, str]]]], path: str) -> None:
    import matplotlib as mpl

    mpl.use("Agg")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(2, len(data), figsize=(4 * len(data), 7.5), sharey=True, layout="constrained")
    for column, (case, methods) in enumerate(data.items()):
        for name, points in methods.items():
            table = np.array([point[:3] for point in points])
            for row, quantity in enumerate((1, 2)):
                axes[row, column].loglog(table[:, quantity], np.maximum(table[:, 0], 1e-15), "o-", ms=3, label=name)
        axes[0, column].set(title=f"case {case}", xlabel="seconds")
        axes[1, column].set(xlabel="unknowns")
        for row in (0, 1):
            axes[row, column].grid(alpha=0.3)
    for row in (0, 1):
        axes[row, 0].set_ylabel("largest relative error")
    axes[0, 0].legend(fontsize=7, loc="lower right")
    figure.savefig(path, dpi=110)


if __name__ == "__main__":
    main()
