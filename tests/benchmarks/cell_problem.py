"""Wall time and memory of the diffusion cell problem with two-sided bounds, by stage.

Three crossing pipes of edge 0.1, each phase alone and both together at a contrast of 1000. On each mesh two systems are
solved: quadratic Lagrange (upper bound) and Crouzeix-Raviart (lower bound); the size is the number of unknowns of the
larger. The stages:

=================  ===================================================================================================
``mesh``           coordinates and tetrahedra, on rank 0
``identify``       nodes of opposite faces matched, guards, connectivity of the phases, on rank 0
``periodic mesh``  the torus and the plain mesh distributed; volumes, interface area, named facets
``restrict``       with ``--route restricted`` only: one phase cut out of a mesh of both, and distributed anew
``constraint``     the periodic function space (multipoint: the constraint as well)
``assembly``       matrix and right-hand sides
``preconditioner`` multigrid hierarchy
``solve``          conjugate gradients, three loads, to a relative residual of 1e-10
``average``        the effective tensor
=================  ===================================================================================================

The set-up of the constraint is ``identify`` + ``periodic mesh`` + ``restrict`` + ``constraint``, less the time that a
mesh without periods takes to be distributed and to get the same two function spaces (measured beside it).

    python tests/benchmarks/cell_problem.py --json build/cell_problem.json --figure build/cell_problem.png

The script starts itself under mpirun, one process group for each case; a small case runs first in each, so that
compiled forms and imports are not in the times. Only ratios are for the reader to judge: no time is a pass mark.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import resource
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))
from measure import machine, peak_between, run_worker, table, write_json

STAGES = (
    "mesh",
    "identify",
    "periodic mesh",
    "restrict",
    "constraint",
    "assembly",
    "preconditioner",
    "solve",
    "average",
)
CONTRAST = {"er": 1000.0, "cytosol": 1.0}
SYSTEMS = {"P2": ("Lagrange", 2), "CR": ("CR", 1)}


def main() -> None:
    parser = argparse.ArgumentParser(description="Wall time and memory of the diffusion cell problem, by stage.")
    parser.add_argument("--sizes", type=int, nargs="+", default=[50_000, 300_000, 1_000_000])
    parser.add_argument("--ranks", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--phases", nargs="+", default=["er", "cytosol", "both"], choices=["er", "cytosol", "both"])
    parser.add_argument("--multipoint-up-to", type=int, default=300_000, help="largest size for the multipoint backend")
    parser.add_argument("--route", nargs="+", default=["alone"], choices=["alone", "restricted"])
    parser.add_argument("--edge", type=float, default=0.1)
    parser.add_argument("--json", default="", help="file for the numbers")
    parser.add_argument("--figure", default="", help="file for the figure")
    parser.add_argument("--worker", nargs=2, metavar=("CASE", "ANSWER"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.worker:
        work(*options.worker)
        return
    results = []
    for route, phase, size, backend, ranks in itertools.product(
        options.route, options.phases, options.sizes, ("identified", "multipoint"), options.ranks
    ):
        if (backend == "multipoint" and size > options.multipoint_up_to) or (route == "restricted" and phase == "both"):
            continue
        case = {"phase": phase, "size": size, "backend": backend, "edge": options.edge, "route": route}
        results.append(measured(case, ranks))
        print(_line(results[-1]), flush=True)
    content = {"machine": machine(), "results": results}
    print(report(results))
    if options.json:
        write_json(options.json, content)
    if options.figure:
        draw(results, options.figure)


def measured(case: Mapping[str, Any], ranks: int) -> dict[str, Any]:
    """Run one case and put the peak memory of each rank beside the time of each stage."""
    answer, samples = run_worker(__file__, case, ranks=ranks)
    spans = answer.pop("spans")
    answer["memory_mb"] = {
        stage: [round(max((peak_between(samples.get(rank["pid"], []), *span) for name, *span in spans if name == stage),
                          default=0.0), 1) for rank in answer["processes"]]
        for stage in {name for name, *_ in spans}
    }  # fmt: skip
    return {**case, "ranks": ranks, **answer}


def work(case_file: str, answer_file: str) -> None:
    """One case on the ranks that are here; rank 0 writes the answer."""
    from mpi4py import MPI

    comm = MPI.COMM_WORLD
    case = json.loads(Path(case_file).read_text())
    solved(comm, case, resolution=1 / 3, grading=0.5)
    resolution = comm.bcast(resolution_for(case) if comm.rank == 0 else None)
    base = psutil_rss()
    answer = solved(comm, case, resolution)
    answer["plain_seconds"] = plain_seconds(comm, answer.pop("cell"))
    mine = {
        "pid": os.getpid(),
        "before_mb": round(base, 1),
        "peak_mb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3, 1),
    }
    answer["processes"] = comm.gather(mine)
    if comm.rank == 0:
        Path(answer_file).write_text(json.dumps(answer))


def psutil_rss() -> float:
    """Return the resident size of this process in MB."""
    import psutil

    return psutil.Process().memory_info().rss / 1e6


def resolution_for(case: Mapping[str, Any]) -> float:
    """Return the resolution whose Crouzeix-Raviart system (two unknowns for each tetrahedron) has about ``size``."""
    from homfem.meshing.shapes.three_pipe import three_pipe_raw

    names = ("er", "cytosol") if case["phase"] == "both" else (case["phase"],)
    resolution, best = 0.1, (float("inf"), 0.1)
    for _ in range(6):
        unknowns = 2.0 * len(three_pipe_raw(case["edge"], resolution=resolution, phases=names).cells)
        best = min(best, (abs(unknowns / case["size"] - 1.0), resolution))
        if best[0] < 0.03:
            break
        resolution = min(1 / 3, resolution * (unknowns / case["size"]) ** (1 / 3))
    return best[1]


def solved(comm: Any, case: Mapping[str, Any], resolution: float, grading: float = 0.25) -> dict[str, Any]:
    """Solve both systems on one mesh; collective. Returns the answer with the span of each stage, and the cell."""
    import numpy as np

    from homfem.cells import three_pipe
    from homfem.certify import residual_allowance
    from homfem.local.diffusion import diffusion_coefficient, diffusion_problem
    from homfem.local.engine import solve_correctors

    names = ("er", "cytosol") if case["phase"] == "both" else (case["phase"],)
    meshed = ("er", "cytosol") if case["route"] == "restricted" else names
    clock = time.perf_counter
    comm.barrier()
    start, cpu = clock(), time.process_time()
    cell = three_pipe(case["edge"], resolution=resolution, grading=grading, phases=meshed, comm=comm)
    comm.barrier()
    made = clock()
    mesh_end = start + cell.seconds["mesh"]
    spans = [("mesh", start, mesh_end), ("identify", mesh_end, made)]
    if case["route"] == "restricted":
        cell = cell.restrict(names)
        comm.barrier()
        spans.append(("restrict", made, clock()))
    lap = clock()
    cell.distribution.distribute()
    comm.barrier()
    spans.append(("periodic mesh", lap, clock()))
    coefficient = diffusion_coefficient(cell, {name: CONTRAST[name] if len(names) > 1 else 1.0 for name in names})
    answer: dict[str, Any] = {"resolution": resolution, "tetrahedra": cell.number_of_cells, "systems": {}}
    sides = {}
    for system, (element, degree) in SYSTEMS.items():
        comm.barrier()
        lap = clock()
        problem = diffusion_problem(cell, coefficient, element=element, degree=degree, backend=case["backend"])
        correctors = solve_correctors(cell, problem, backend=case["backend"])
        moment = lap
        for stage, seconds in correctors.seconds.items():
            spans.append((f"{stage} {system}", moment, moment + seconds))
            moment += seconds
        answer["systems"][system] = {
            "dofs": correctors.dofs,
            "iterations": correctors.iterations,
            "iterations_per_load": round(correctors.iterations / problem.loads, 1),
            "seconds": dict(correctors.seconds),
        }
        sides[system] = correctors.average
        if system == "CR":
            sides[system] = correctors.average - residual_allowance(cell, coefficient, correctors) * np.eye(3)
    total = clock() - start
    cpus = comm.allgather(time.process_time() - cpu)
    seconds = {
        stage: sum(end - begin for name, begin, end in spans if name in (stage, *(f"{stage} {s}" for s in SYSTEMS)))
        for stage in STAGES
    }
    answer |= {
        "seconds": {**seconds, "total": total},
        "cpu_seconds": cpus,
        "spans": spans,
        "dofs": max(system["dofs"] for system in answer["systems"].values()),
        "bracket": [float(sides["CR"][0, 0]), float(sides["P2"][0, 0])],
        "cell": cell,
    }
    return answer


def plain_seconds(comm: Any, cell: Any) -> float:
    """Seconds to distribute the same tetrahedra without periods and to make the two function spaces; collective."""
    import basix.ufl
    import numpy as np
    from dolfinx import fem
    from dolfinx import mesh as dmesh

    from homfem import _dolfinx

    element = basix.ufl.element("Lagrange", cell.kind, 1, shape=(3,))
    raw = cell.raw
    cells = raw.cells if raw is not None else np.zeros((0, 4), dtype=np.int64)
    points = raw.points if raw is not None else np.zeros((0, 3))
    comm.barrier()
    start = time.perf_counter()
    partitioner = _dolfinx.cell_partitioner(dmesh.GhostMode.shared_facet) if comm.size > 1 else None
    mesh = _dolfinx.create_mesh(comm, cells, points, element, partitioner)
    for family, degree in SYSTEMS.values():
        fem.functionspace(mesh, (family, degree))
    comm.barrier()
    return time.perf_counter() - start


def constraint_seconds(result: Mapping[str, Any]) -> tuple[float, float]:
    """Return the seconds from the mesh's arrays to the periodic spaces, and the part that the periods add."""
    seconds = result["seconds"]
    whole = sum(seconds[stage] for stage in ("identify", "periodic mesh", "restrict", "constraint"))
    return whole, max(0.0, whole - result["plain_seconds"])


def _line(result: Mapping[str, Any]) -> str:
    return (
        f"{result['phase']} {result['backend']} {result['route']}: {result['dofs']} dofs on {result['ranks']} rank(s), "
        f"{result['seconds']['total']:.2f} s, load {machine()['load_average'][0]}"
    )


def report(results: list[dict[str, Any]]) -> str:
    """Return the tables: stages, and ratios."""

    def key(result: Mapping[str, Any]) -> list[Any]:
        return [result["phase"], result["backend"], result["route"], result["dofs"], result["ranks"]]

    keys = ["phase", "backend", "route", "dofs", "ranks"]
    stages = [
        [*key(r), *(f"{r['seconds'][stage]:.2f}" for stage in STAGES), f"{r['seconds']['total']:.2f}"] for r in results
    ]
    text = table("seconds", [*keys, *STAGES, "total"], stages)
    inner = ("assembly", "preconditioner", "solve")
    parts = STAGES[:4] + tuple(f"{stage} {system}" for system in SYSTEMS for stage in inner)
    memory = [
        [*key(r), *("/".join(f"{m:.0f}" for m in r["memory_mb"].get(part, [0])) for part in parts),
         "/".join(f"{p['before_mb']:.0f}" for p in r["processes"])] for r in results
    ]  # fmt: skip
    text += "\n" + table("largest resident size of each rank, MB", [*keys, *parts, "at start"], memory)
    rows = []
    for r in results:
        same = [o for o in results if all(o[k] == r[k] for k in ("phase", "size", "route"))]
        one = next((o for o in same if o["ranks"] == 1 and o["backend"] == r["backend"]), None)
        other = next((o for o in same if o["ranks"] == r["ranks"] and o["backend"] == "identified"), None)
        whole, added = constraint_seconds(r)
        low, high = r["bracket"]
        rows.append([
            *key(r),
            f"{100 * whole / r['seconds']['total']:.1f} %",
            f"{100 * added / r['seconds']['total']:.1f} %",
            f"{r['systems']['P2']['iterations_per_load']:.1f}",
            f"{r['systems']['CR']['iterations_per_load']:.1f}",
            f"{r['seconds']['total'] / one['seconds']['total']:.2f}" if one else "",
            f"{max(r['cpu_seconds']) / max(one['cpu_seconds']):.2f}" if one else "",
            f"{r['seconds']['total'] / other['seconds']['total']:.2f}" if other else "",
            f"{max(p['peak_mb'] - p['before_mb'] for p in r['processes']) * r['ranks'] * 1e3 / r['dofs']:.1f}",
            f"{100 * (high - low) / (high + low):.3f} %",
        ])  # fmt: skip
    head = [
        "set-up",
        "of it periodic",
        "CG P2",
        "CG CR",
        "t / t(1 rank)",
        "cpu per rank / 1",
        "t / t(identified)",
        "kB/dof",
        "half-gap",
    ]
    text += "\n" + table(
        "ratios: mesh set-up / whole, part of the periods / whole (aim: <= 20 %), iterations per load (aim: flat)",
        [*keys, *head],
        rows,
    )
    return text


def draw(results: list[dict[str, Any]], path: str) -> None:
    """Draw the stages as stacked bars, iterations and memory against the number of unknowns."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    chosen = [r for r in results if r["backend"] == "identified" and r["route"] == "alone"]
    figure, (left, middle, right) = plt.subplots(1, 3, figsize=(17, 6), width_ratios=[2, 1, 1], layout="constrained")
    labels = [f"{r['phase']}\n{_short(r['dofs'])}\n{r['ranks']}" for r in chosen]
    bottom = [0.0] * len(chosen)
    colours = plt.get_cmap("tab10")
    for k, stage in enumerate(STAGES):
        share = [100 * r["seconds"][stage] / r["seconds"]["total"] for r in chosen]
        if not any(share):
            continue
        left.bar(range(len(chosen)), share, bottom=bottom, label=stage, color=colours(k))
        bottom = [a + b for a, b in zip(bottom, share, strict=True)]
    for k, r in enumerate(chosen):
        left.text(k, 101, f"{r['seconds']['total']:.1f} s", ha="center", fontsize=8)
    left.set_xticks(range(len(chosen)), labels, fontsize=8)
    left.set(ylabel="share of the wall time, %", ylim=(0, 108), xlabel="phase, unknowns, ranks")
    left.legend(loc="upper left", bbox_to_anchor=(0, -0.16), fontsize=8, ncols=len(STAGES) // 2)
    styles = {"P2": "-", "CR": "--"}
    for k, (phase, ranks) in enumerate(sorted({(r["phase"], r["ranks"]) for r in chosen})):
        own = [r for r in chosen if (r["phase"], r["ranks"]) == (phase, ranks)]
        for system, style in styles.items():
            x = [r["systems"][system]["dofs"] for r in own]
            y = [r["systems"][system]["iterations_per_load"] for r in own]
            middle.semilogx(
                x,
                y,
                style,
                marker="os^"[(ranks - 1) % 3],
                color=colours(k),
                label=f"{phase}, {system}, {ranks} rank(s)",
            )
        x = [r["dofs"] for r in own]
        y = [sum(p["peak_mb"] - p["before_mb"] for p in r["processes"]) for r in own]
        right.loglog(x, y, marker="os^"[(ranks - 1) % 3], color=colours(k), label=f"{phase}, {ranks} rank(s)")
    middle.set(xlabel="unknowns", ylabel="conjugate gradients, iterations per load", ylim=(0, None))
    right.set(xlabel="unknowns of the larger system", ylabel="memory above the start, all ranks, MB")
    for axes in (middle, right):
        axes.legend(fontsize=8)
        axes.grid(alpha=0.3, which="both")
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=120)
    plt.close(figure)


def _short(count: int) -> str:
    return f"{count / 1e6:.2g}M" if count >= 1_000_000 else f"{count / 1e3:.0f}k"


if __name__ == "__main__":
    main()
