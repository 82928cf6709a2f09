"""Seconds from geometry to tensor against relative error: homfem beside NGSolve and scikit-fem, in one run.

Two cells: three crossing square pipes of edge 0.1 (``er``) and what is around them (``cytosol``), insulated interface.
Every method solves the three loads of the periodic cell problem and gives the whole tensor. The relative error is that
of its first diagonal entry against the converged value (``REFERENCE``). Time runs from nothing to the tensor: geometry,
mesh, constraint, assembly, solve, average; imports and compilation of forms are apart (one coarse case first, in the
same process). Each method runs in one process of its own, on one thread; each case runs ``--repeat`` times and its
shortest time counts. On a machine that is busy with other work compare processor time (``--clock cpu``).

homfem      graded structured mesh; ``upper``: conforming value of degree 1 to 3; ``midpoint`` of the two-sided bounds,
            and ``half-gap``: the half-width of the bounds, an error that is *guaranteed* and needs no reference.
NGSolve     OpenCASCADE geometry with periodic faces identified, H1 of order 1 to 5 with static condensation; refined
            towards the re-entrant edges by mesh size or, where these do not meet the period faces, geometrically (hp;
            where they do, refinement loses the identification and the value is wrong); sparse Cholesky for small
            systems, conjugate gradients with BDDC for larger ones.
scikit-fem  P1 and P2 on the tetrahedra of homfem, opposite unknowns identified by their coordinates; SuperLU for small
            systems, conjugate gradients with the diagonal for larger ones.

A peer that is not installed is named and left out. To have them all: ``pip install homfem[benchmark]``.

    python tests/benchmarks/peers.py --json build/peers.json --figure build/peers.png
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import math
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))
from measure import machine, run_worker, table, write_json
from peer_solvers import EDGE, SOLVERS, Case

#: Converged first diagonal entries of D*/D for edge 0.1, from hp finite elements; good to 1e-7 and better.
REFERENCE = {"er": 0.0104499413, "cytosol": 0.94938977}
PEERS = {"homfem": "dolfinx", "ngsolve": "ngsolve", "scikit-fem": "skfem"}
GUARANTEED = "guaranteed half-gap"
LEVELS = (1e-2, 3e-3, 1e-3, 3e-4, 1e-4)


def main() -> None:
    parser = argparse.ArgumentParser(description="Seconds from geometry to tensor against relative error.")
    parser.add_argument("--peers", nargs="+", default=list(PEERS), choices=list(PEERS))
    parser.add_argument("--phases", nargs="+", default=list(REFERENCE), choices=list(REFERENCE))
    parser.add_argument("--repeat", type=int, default=2)
    parser.add_argument("--clock", default="wall", choices=["wall", "cpu"])
    parser.add_argument("--quick", action="store_true", help="the coarsest case of each curve only")
    parser.add_argument("--json", default="", help="file for the numbers")
    parser.add_argument("--figure", default="", help="file for the figure")
    parser.add_argument("--worker", nargs=2, metavar=("CASE", "ANSWER"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.worker:
        work(*options.worker)
        return
    results: list[Case] = []
    for peer in options.peers:
        if importlib.util.find_spec(PEERS[peer]) is None:
            print(f"{peer} is not installed and left out; pip install homfem[benchmark]")
            continue
        for phase in options.phases:
            cases = plan(peer, phase)
            if options.quick:
                first = {case["curve"]: case for case in reversed(cases)}
                cases = [case for case in cases if case is first[case["curve"]]]
            task = {"peer": peer, "phase": phase, "cases": cases, "repeat": options.repeat, "clock": options.clock}
            answer, _ = run_worker(__file__, task)
            results += answer["results"]
            print(
                f"{peer} {answer['version']}, {phase}: {len(cases)} cases, imports {answer['imports']:.2f} s",
                flush=True,
            )
    print("\n" + report(results))
    if options.json:
        write_json(options.json, {"machine": machine(), "results": results})
    if options.figure:
        draw(results, options.figure)


def plan(peer: str, phase: str) -> list[Case]:
    """Return the cases of one method on one cell, the coarsest first."""
    cases: list[Case] = []
    # Bulk size, size at the interface planes over it, slope of the size.
    meshes = [(1 / 3, 0.5, 1.0), (1 / 3, 0.25, 1.0), (1 / 3, 0.1, 1.0), (1 / 3, 0.05, 1.0)]
    grids = [dict(zip(("resolution", "grading", "growth"), mesh, strict=True)) for mesh in meshes]
    if peer == "homfem":
        for degree in (1, 2, 3):
            for grid in grids[: {1: 4, 2: 4, 3: 2}[degree]]:
                cases.append({"curve": f"upper, degree {degree}", **grid, "degree": degree, "bounds": False})
        cases += [{"curve": "bounds", **grid, "degree": 2, "bounds": True} for grid in grids]
    elif peer == "ngsolve":
        # Bulk size, size at the re-entrant edges, how fast it may grow from there (Netgen's "grading").
        near: list[tuple[float, float | None, float]] = [(0.1, None, 0.3), (0.1, 0.02, 0.3), (0.1, 0.01, 0.3)]
        if phase == "cytosol":
            near = [(0.3, None, 0.6), (0.3, None, 0.3), (0.3, 0.05, 0.9), (0.3, 0.025, 0.9), (0.3, 0.0125, 0.9)]
        for order in (1, 2, 3, 4):
            for size, edge, grading in near[: len(near) if order < 4 else len(near) - 1]:
                cases.append({"curve": f"order {order}", "order": order, "size": size, "edge_size": edge,
                              "grading": grading, "hp": 0})  # fmt: skip
        if phase == "er":
            for order, levels in ((2, 1), (3, 1), (3, 2), (4, 1), (4, 2), (5, 2)):
                cases.append({"curve": "hp", "order": order, "size": 0.2, "edge_size": None, "grading": 0.9,
                              "hp": levels})  # fmt: skip
    else:
        for degree in (1, 2):
            cases += [{"curve": f"P{degree}", "degree": degree, **grid} for grid in grids[: 5 - degree]]
    return cases


def work(case_file: str, answer_file: str) -> None:
    """All cases of one method on one cell, in this process, on one thread."""
    task = json.loads(Path(case_file).read_text())
    start = time.perf_counter()
    solver, version = SOLVERS[task["peer"]]()
    imports = time.perf_counter() - start
    warm = {case["curve"]: case for case in reversed(task["cases"])}
    for case in warm.values():
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


def curves(results: Sequence[Mapping[str, Any]], phase: str) -> dict[tuple[str, str], list[tuple[float, float]]]:
    """Return (seconds, relative error) of each curve of each method on one cell, the largest error first."""
    found: dict[tuple[str, str], list[tuple[float, float]]] = {}
    for r in results:
        if r["phase"] != phase:
            continue
        errors = {r["curve"]: abs(r["value"] / REFERENCE[phase] - 1.0)}
        if r.get("half_gap") is not None:
            errors = {
                "midpoint of the bounds": errors["bounds"],
                GUARANTEED: r["half_gap"],
            }
        for name, error in errors.items():
            found.setdefault((r["peer"], name), []).append((r["seconds"], error))
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


def report(results: Sequence[Mapping[str, Any]]) -> str:
    """Return the tables: every case, and the time at equal error as a ratio to the best of homfem."""
    rows = []
    for r in results:
        error = abs(r["value"] / REFERENCE[r["phase"]] - 1.0)
        gap = f"{r['half_gap']:.1e}" if r.get("half_gap") is not None else ""
        setting = ", ".join(
            f"{k} {r[k]:.3g}" for k in ("resolution", "grading", "size", "edge_size", "order", "hp") if r.get(k)
        )
        slow = max(((n, s) for n, s in r["stages"].items() if n != "total"), key=lambda item: item[1])
        rows.append([r["phase"], r["peer"], r["curve"], setting, r["dofs"], f"{r['seconds']:.3f}", f"{error:.1e}", gap,
                     f"{slow[0]} {100 * slow[1] / r['wall']:.0f} %"])  # fmt: skip
    text = table(
        "all cases",
        ["cell", "method", "curve", "settings", "dofs", "seconds", "error", "half-gap", "slowest stage"],
        rows,
    )
    for phase in REFERENCE:
        found = curves(results, phase)
        if not found:
            continue
        lines: dict[str, list[list[tuple[float, float]]]] = {
            f"{peer}, best curve": [v for (who, name), v in found.items() if who == peer and name != GUARANTEED]
            for peer in PEERS
        }
        lines["homfem, guaranteed"] = [found[key] for key in [("homfem", GUARANTEED)] if key in found]
        base = {level: _best(lines["homfem, best curve"], level) for level in LEVELS}
        rows = []
        for name, several in lines.items():
            times = {level: _best(several, level) for level in LEVELS}
            rows.append([name, *(_ratio(times[level], base[level]) for level in LEVELS)])
        head = ["method", *(f"error {level:.0e}" for level in LEVELS)]
        text += "\n" + table(
            f"{phase}: seconds at equal error (over those of homfem's best curve)",
            head,
            [row for row in rows if lines[row[0]]],
        )
    return text


def _best(several: Sequence[Sequence[tuple[float, float]]], level: float) -> float:
    """Return the least time of any curve; between the points of one curve only."""
    return min((seconds_at(points, level) for points in several), default=math.inf)


def _ratio(seconds: float, base: float) -> str:
    if not math.isfinite(seconds):
        return "not reached"
    return f"{seconds:.3f}" + (f" ({seconds / base:.2f})" if math.isfinite(base) else " (homfem not)")


def draw(results: Sequence[Mapping[str, Any]], path: str) -> None:
    """Draw seconds against relative error for both cells."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    phases = [phase for phase in REFERENCE if any(r["phase"] == phase for r in results)]
    figure, axes = plt.subplots(1, len(phases), figsize=(7.5 * len(phases), 6), layout="constrained", squeeze=False)
    colours = {
        "homfem": plt.get_cmap("Blues"),
        "ngsolve": plt.get_cmap("Oranges"),
        "scikit-fem": plt.get_cmap("Greens"),
    }
    for ax, phase in zip(axes[0], phases, strict=True):
        seen: dict[str, int] = {}
        for (peer, name), points in curves(results, phase).items():
            k = seen[peer] = seen.get(peer, -1) + 1
            style: dict[str, Any] = {"color": colours[peer](0.4 + 0.13 * k), "marker": "osD^v*"[k % 6], "ms": 5}
            if name == GUARANTEED:
                style |= {"color": "black", "linestyle": "--"}
            ax.loglog([p[1] for p in points], [p[0] for p in points], label=f"{peer}: {name}", **style)
        ax.set(
            title=f"three pipes of edge {EDGE}: {phase}",
            xlabel="relative error",
            ylabel="seconds, geometry to tensor, one core",
        )
        ax.invert_xaxis()
        ax.grid(alpha=0.3, which="both")
        ax.legend(fontsize=8)
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=120)
    plt.close(figure)


if __name__ == "__main__":
    main()
