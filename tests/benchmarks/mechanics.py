"""Wall time, iterations and memory of elasticity (six loads) and Stokes flow (three loads), by stage.

A cube in the middle of a cubic period, half as long: ten times as stiff as what is around it (elasticity, quadratic
displacements), or a solid in a flow (Taylor and Hood's element). The mesh is structured, six tetrahedra in each of n^3
boxes, so that the number of unknowns is what is asked for and nothing is the mesher's doing. The stages are those of
``cell_problem.py`` from the constraint on; memory is what the process holds at its peak, less what it held before the
mesh was made.

    python tests/benchmarks/mechanics.py --json build/mechanics.json --figure build/mechanics.png

Each case is solved on the whole cell and on its octant (``--symmetry``), where four loads and one are left.

The script starts itself under mpirun, one process group for each case; a small case runs first in each, so that
compiled forms and imports are not in the times. With ``--together`` it starts once for each number of ranks: faster
where cases are small, but what a case holds of memory is then told only beyond the cases before it. Only ratios are for
the reader to judge: no time is a pass mark.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))
from measure import machine, peak_between, run_worker, table, write_json

STAGES = ("mesh", "constraint", "assembly", "preconditioner", "solve", "average")
LOADS = {"elasticity": 6, "stokes": 3}


def main() -> None:
    parser = argparse.ArgumentParser(description="Wall time, iterations and memory of elasticity and Stokes flow.")
    parser.add_argument("--sizes", type=int, nargs="+", default=[100_000, 300_000, 1_000_000])
    parser.add_argument("--ranks", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--physics", nargs="+", default=list(LOADS), choices=list(LOADS))
    parser.add_argument("--contrast", type=float, default=10.0, help="of the stiffness")
    parser.add_argument(
        "--symmetry", nargs="+", default=["none", "auto"], choices=["none", "auto"], help="octant or not"
    )
    parser.add_argument("--together", action="store_true", help="all cases of a number of ranks in one process group")
    parser.add_argument("--json", default="", help="file for the numbers")
    parser.add_argument("--figure", default="", help="file for the figure")
    parser.add_argument("--worker", nargs=2, metavar=("CASE", "ANSWER"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.worker:
        work(*options.worker)
        return
    cases = [
        {"physics": physics, "symmetry": symmetry, "size": size, "contrast": options.contrast}
        for physics, symmetry, size in itertools.product(options.physics, options.symmetry, options.sizes)
    ]
    results = []
    for group in [cases] if options.together else [[case] for case in cases]:
        for ranks in options.ranks:
            answers, samples = run_worker(__file__, {"cases": group}, ranks=ranks)
            for case, answer in zip(group, answers["cases"], strict=True):
                peaks = [
                    peak_between(samples.get(rank["pid"], []), *answer["span"]) - rank["before_mb"]
                    for rank in answer["processes"]
                ]
                results.append({**case, "ranks": ranks, **answer, "memory_mb": [round(peak, 1) for peak in peaks]})
                print(_line(results[-1]), flush=True)
    results.sort(key=lambda r: cases.index({key: r[key] for key in cases[0]}))
    print(report(results))
    if options.json:
        write_json(options.json, {"machine": machine(), "results": results})
    if options.figure:
        draw(results, options.figure)


def work(case_file: str, answer_file: str) -> None:
    """Some cases on the ranks that are here; rank 0 writes the answers."""
    import psutil
    from mpi4py import MPI

    comm = MPI.COMM_WORLD
    answers = []
    for case in json.loads(Path(case_file).read_text())["cases"]:
        solved(comm, case, 6)
        before = psutil.Process().memory_info().rss / 1e6
        answer = solved(comm, case, boxes_for(case))
        answer["processes"] = comm.gather({"pid": os.getpid(), "before_mb": round(before, 1)})
        answers.append(answer)
    if comm.rank == 0:
        Path(answer_file).write_text(json.dumps({"cases": answers}))


def boxes_for(case: Mapping[str, Any]) -> int:
    """Return the even number of boxes along a side that gives about ``size`` unknowns: 24 or 25 for each box."""
    each = 24.0 if case["physics"] == "elasticity" else 25.0 * 7.0 / 8.0
    return max(4, 2 * round(0.5 * (case["size"] / each) ** (1 / 3)))


def solved(comm: Any, case: Mapping[str, Any], boxes: int) -> dict[str, Any]:
    """Solve one case on a mesh of so many boxes along a side; collective."""
    import numpy as np

    from homfem.cells import image_cell
    from homfem.cells.symmetry import symmetric_part
    from homfem.certify.symmetry import StrainLoads, symmetric_solid
    from homfem.grid import Image
    from homfem.local.elasticity import elastic_coefficient, elasticity_problem
    from homfem.local.engine import solve_correctors
    from homfem.local.stokes import stokes_problem

    comm.barrier()
    start = time.perf_counter()
    middle = np.abs(np.arange(boxes) + 0.5 - boxes / 2) < boxes / 4
    labels = (middle[:, None, None] & middle[None, :, None] & middle[None, None, :]).astype(int)
    cell = image_cell(Image.from_labels(labels, {"around": 0, "cube": 1}, voxel=1.0 / boxes), comm=comm)
    octant = case["symmetry"] == "auto"
    if case["physics"] == "elasticity":
        young = {"around": 1.0, "cube": case["contrast"]}
        solids = {name: {"young": value, "poisson": 0.3} for name, value in young.items()}
        strains = StrainLoads.of((0, 1, 2)).strains
        if octant:
            cell, loads, _ = symmetric_solid(cell, solids)
            strains = loads.strains
        problem = elasticity_problem(cell, elastic_coefficient(cell, solids), degree=2, strains=strains)
    else:
        cell = cell.restrict(["around"])
        if octant:
            cell = symmetric_part(cell)
        problem = stokes_problem(cell, axes=[0] if octant else None)
    comm.barrier()
    made = time.perf_counter()
    correctors = solve_correctors(cell, problem, rtol=1e-8, max_iterations=2000)
    comm.barrier()
    end = time.perf_counter()
    return {
        "boxes": boxes,
        "dofs": correctors.dofs,
        "iterations": correctors.iterations,
        "iterations_per_load": round(correctors.iterations / problem.loads, 1),
        "seconds": {"mesh": made - start, **correctors.seconds, "total": end - start},
        "span": [start, end],
        "value": float(correctors.average[0, 0]),
    }


def _line(result: Mapping[str, Any]) -> str:
    return (
        f"{result['physics']}, symmetry {result['symmetry']}: {result['dofs']} dofs on {result['ranks']} rank(s), "
        f"{result['seconds']['total']:.1f} s, "
        f"{result['iterations_per_load']} iterations for each load, load {machine()['load_average'][0]}"
    )


def report(results: list[dict[str, Any]]) -> str:
    """Return the tables: stages, iterations and memory, ratios."""
    keys = ["physics", "symmetry", "dofs", "ranks"]
    stages = [
        [*(r[k] for k in keys), *(f"{r['seconds'].get(stage, 0.0):.2f}" for stage in STAGES),
         f"{r['seconds']['total']:.2f}"] for r in results
    ]  # fmt: skip
    text = table("seconds", [*keys, *STAGES, "total"], stages)
    memory = [
        [*(r[k] for k in keys), r["iterations_per_load"], f"{sum(r['memory_mb']):.0f}",
         f"{1e3 * sum(r['memory_mb']) / r['dofs']:.2f}", f"{1e6 * r['seconds']['total'] / r['dofs']:.0f}"]
        for r in results
    ]  # fmt: skip
    text += "\n" + table(
        "iterations and memory", [*keys, "iterations / load", "MB", "kB / dof", "seconds / million dofs"], memory
    )
    seconds = {tuple(r[k] for k in ("physics", "size", "ranks", "symmetry")): r["seconds"]["total"] for r in results}
    rows = [
        [physics, symmetry, size, f"{value / seconds[physics, size, 1, symmetry]:.2f}"]
        for (physics, size, ranks, symmetry), value in seconds.items()
        if ranks == 2 and (physics, size, 1, symmetry) in seconds
    ]
    text += "\n" + table("ratios: two ranks over one", ["physics", "symmetry", "size", "ratio"], rows)
    rows = [
        [physics, size, ranks, f"{seconds[physics, size, ranks, 'none'] / value:.1f}"]
        for (physics, size, ranks, symmetry), value in seconds.items()
        if symmetry == "auto" and (physics, size, ranks, "none") in seconds
    ]
    return text + "\n" + table("ratios: the whole cell over its octant", ["physics", "size", "ranks", "ratio"], rows)


def draw(results: list[dict[str, Any]], path: str) -> None:
    """Draw seconds and iterations against unknowns."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, (left, right) = plt.subplots(1, 2, figsize=(11, 4.5), layout="constrained")
    keys = ("physics", "symmetry", "ranks")
    for physics, symmetry, ranks in dict.fromkeys(tuple(r[k] for k in keys) for r in results):
        chosen = [r for r in results if tuple(r[k] for k in keys) == (physics, symmetry, ranks)]
        style = {"marker": "o" if physics == "elasticity" else "s", "linestyle": "-" if ranks == 1 else "--"}
        label = f"{physics}{', octant' if symmetry == 'auto' else ''}, {ranks} rank(s)"
        sizes = [r["size"] for r in chosen]
        left.loglog(sizes, [r["seconds"]["total"] for r in chosen], label=label, **style)
        right.semilogx(sizes, [r["iterations_per_load"] for r in chosen], label=label, **style)
    left.set(xlabel="unknowns of the whole cell", ylabel="seconds, mesh to tensor")
    right.set(xlabel="unknowns of the whole cell", ylabel="iterations for each load", ylim=(0, None))
    for axis in (left, right):
        axis.grid(alpha=0.3, which="both")
    left.legend(fontsize=8)
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=120)
    plt.close(figure)


if __name__ == "__main__":
    main()
