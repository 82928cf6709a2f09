"""What the benchmarks beside other codes share: timed cases, curves of seconds against error, ratios at equal error."""

from __future__ import annotations

import json
import math
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))
from measure import table

Case = dict[str, Any]
Points = list[tuple[float, float]]
GUARANTEED = "guaranteed half-gap"
MIDPOINT = "midpoint of the bounds"
#: How the names of curves begin that use mirror planes.
OCTANT = "octant, "


def coarsest(cases: Sequence[Case]) -> list[Case]:
    """Return the first case of each curve."""
    first = {case["curve"]: case for case in reversed(cases)}
    return [case for case in cases if case is first[case["curve"]]]


def work(case_file: str, answer_file: str, solvers: Mapping[str, Callable[[], Any]]) -> None:
    """All cases of one method on one cell, in this process, on one thread; one coarse case of each curve first."""
    task = json.loads(Path(case_file).read_text())
    start = time.perf_counter()
    solver, version = solvers[task["peer"]]()
    imports = time.perf_counter() - start
    for case in coarsest(task["cases"]):
        solver(task["phase"], case)
    results = []
    for case in task["cases"]:
        best: Case = {}
        for _ in range(task["repeat"]):
            wall, cpu = time.perf_counter(), time.process_time()
            outcome = solver(task["phase"], case)
            wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
            seconds = wall if task["clock"] == "wall" else cpu
            if not best or seconds < best["seconds"]:
                best = {**case, **outcome, "peer": task["peer"], "phase": task["phase"]}
                best |= {"seconds": seconds, "wall": wall, "cpu": cpu}
            if wall > 10.0:
                break
        results.append(best)
    Path(answer_file).write_text(json.dumps({"results": results, "version": version, "imports": imports}))


def curves(
    results: Sequence[Mapping[str, Any]], phase: str, error: Callable[[Mapping[str, Any]], float]
) -> dict[tuple[str, str], Points]:
    """Return (seconds, relative error) of each curve of each method on one cell, the largest error first."""
    found: dict[tuple[str, str], Points] = {}
    for r in results:
        if r["phase"] != phase:
            continue
        errors = {r["curve"]: error(r)}
        if r.get("half_gap") is not None:
            part = OCTANT if r.get("octant") else ""
            errors = {part + MIDPOINT: error(r), part + GUARANTEED: r["half_gap"]}
        for name, value in errors.items():
            found.setdefault((r["peer"], name), []).append((r["seconds"], value))
    return {key: sorted(points, key=lambda point: -point[1]) for key, points in found.items()}


def seconds_at(points: Sequence[tuple[float, float]], level: float) -> float:
    """Return the least time for an error of at most ``level``, log-log between the best points; inf if not reached.

    No extrapolation: where even the fastest point is better than ``level``, its time stands.
    """
    front: list[tuple[float, float]] = []
    for seconds, error in sorted(points):
        if not front or error < front[-1][1]:
            front.append((seconds, error))
    if not front or front[-1][1] > level:
        return math.inf
    if front[0][1] <= level:
        return front[0][0]
    k = next(k for k, (_, error) in enumerate(front) if error <= level)
    (t0, e0), (t1, e1) = front[k - 1], front[k]
    return math.exp(math.log(t0) + (math.log(t1) - math.log(t0)) * math.log(e0 / level) / math.log(e0 / e1))


def ratios(title: str, found: Mapping[tuple[str, str], Points], peers: Sequence[str], levels: Sequence[float]) -> str:
    """Return the table of the seconds of each method at equal error, and over those of the best curve of homfem."""
    lines = {
        f"{peer}, best curve": [v for (who, name), v in found.items() if who == peer and not name.endswith(GUARANTEED)]
        for peer in peers
    }
    lines["homfem, guaranteed"] = [v for (_, name), v in found.items() if name.endswith(GUARANTEED)]
    base = {level: _best(lines["homfem, best curve"], level) for level in levels}
    rows = [
        [name, *(_ratio(_best(several, level), base[level]) for level in levels)]
        for name, several in lines.items()
        if several
    ]
    return table(title, ["method", *(f"error {level:.0e}" for level in levels)], rows)


def _best(several: Sequence[Sequence[tuple[float, float]]], level: float) -> float:
    """Return the least time of any curve; between the points of one curve only."""
    return min((seconds_at(points, level) for points in several), default=math.inf)


def _ratio(seconds: float, base: float) -> str:
    if not math.isfinite(seconds):
        return "not reached"
    return f"{seconds:.3f}" + (f" ({seconds / base:.2f})" if math.isfinite(base) else " (homfem not)")


def slowest_stage(result: Mapping[str, Any]) -> str:
    """Return the name of the longest stage and its part of the time."""
    name, seconds = max(((n, s) for n, s in result["stages"].items() if n != "total"), key=lambda item: item[1])
    return f"{name} {100 * seconds / result['wall']:.0f} %"


def draw(
    panels: Mapping[str, Mapping[tuple[str, str], Points]], colours: Mapping[str, str], path: str, clock: str
) -> None:
    """Draw seconds against relative error, one panel for each cell; one colour map for each method."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(1, len(panels), figsize=(7.5 * len(panels), 7), layout="constrained", squeeze=False)
    for ax, (title, found) in zip(axes[0], panels.items(), strict=True):
        count = {peer: sum(who == peer and not name.endswith(GUARANTEED) for who, name in found) for peer in colours}
        seen = dict.fromkeys(colours, 0)
        for (peer, name), points in found.items():
            style: dict[str, Any] = {"color": "black", "linestyle": "--", "marker": "x"}
            if not name.endswith(GUARANTEED):
                k, seen[peer] = seen[peer], seen[peer] + 1
                shade = plt.get_cmap(colours[peer])(0.4 + 0.55 * k / max(1, count[peer] - 1))
                style = {"color": shade, "marker": "osD^v*Pp"[k % 8]}
            ax.loglog([p[1] for p in points], [p[0] for p in points], label=f"{peer}: {name}", ms=5, **style)
        ax.set(title=title, xlabel="relative error", ylabel=f"{clock} seconds, geometry to tensor, one core")
        ax.invert_xaxis()
        ax.grid(alpha=0.3, which="both")
        ax.legend(fontsize=8, loc="upper center", bbox_to_anchor=(0.5, -0.1), ncol=2)
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=120)
    plt.close(figure)
