"""How steps with resolved membranes grow with the number of cells and of ranks.

A wave from one end through a strip of heart muscle cells in the plane, and through a sheet of cells one cell thick,
joined end to end and at two of their sides: the cells of ``demos/15_emi.py``. Of each size: unknown potentials,
processor time of a rank per step, split in the ionic model and the potentials, iterations of the linear
solver, memory of an unknown.

    python tests/benchmarks/emi.py --strips 64 256 1024 --sheets 6 12 24 --ranks 1 2
    python tests/benchmarks/emi.py --sheets 12 --solvers direct multigrid

``--strips`` are cells in a row, ``--sheets`` cells along each side of a square of cells; the solver is that which the
model takes by itself (factors where they are cheap, else multigrid), unless ``--solvers`` names others.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import sys
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))
from measure import machine, run_worker, table, write_json

#: ms; steps before those that are timed.
STEP, WARM = 0.02, 5
#: Of the junctions, kOhm mm^2.
RESISTANCE = 0.15
Case = dict[str, Any]


def main() -> None:
    parser = argparse.ArgumentParser(description="Time per step of resolved membranes against unknowns and ranks.")
    parser.add_argument("--strips", nargs="*", type=int, default=[64, 256, 1024], help="cells in a row")
    parser.add_argument("--sheets", nargs="*", type=int, default=[6, 12, 18], help="cells along each side")
    parser.add_argument("--ranks", nargs="+", type=int, default=[1, 2])
    parser.add_argument("--solvers", nargs="+", default=["auto"], choices=["auto", "direct", "multigrid"])
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--json", default="", help="file for the numbers")
    parser.add_argument("--worker", nargs=2, metavar=("CASE", "ANSWER"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.worker:
        work(*options.worker)
        return
    counts = [[n, 1] for n in options.strips] + [[n, n, 1] for n in options.sheets]
    results = []
    for count in counts:
        for solver in options.solvers:
            for ranks in options.ranks:
                case = {"counts": count, "ranks": ranks, "solver": solver, "steps": options.steps}
                answer, samples = run_worker(__file__, case, ranks=ranks if ranks > 1 else 0)
                peaks = sum(max(size for _, size in series) for series in samples.values())
                answer["bytes_per_unknown"] = (peaks - sum(answer.pop("imported"))) / answer["unknowns"]
                results.append(case | answer)
                print(f"{count}, {ranks} rank(s): {answer['unknowns']} unknowns, {answer['ms']:.2f} ms", flush=True)
    print(report(results))
    if options.json:
        write_json(options.json, {"machine": machine(), "results": results})


def report(results: list[Case]) -> str:
    """Return the table, and what more ranks give."""
    rows = [
        (
            *(" x ".join(map(str, r["counts"])), r["solver"], r["ranks"], r["unknowns"], r["nodes"]),
            *(f"{r[key]:.2f}" for key in ("setup", "ms", "ode", "potentials")),
            *(f"{r['iterations']:.1f}", f"{1e6 * r['ms'] * r['ranks'] / r['unknowns']:.0f}"),
            f"{r['bytes_per_unknown']:.0f}",
        )
        for r in results
    ]
    head = ("cells", "solver", "ranks", "unknowns", "of membrane", "setup, s", "ms", "ODE", "potentials", "iterations",
            "ns/unknown", "bytes/unknown")  # fmt: skip
    lines = [table("Processor time of a rank per step", head, rows)]
    alone = {(tuple(r["counts"]), r["solver"]): r["ms"] for r in results if r["ranks"] == 1}
    for r in results:
        before = alone.get((tuple(r["counts"]), r["solver"]))
        if r["ranks"] > 1 and before:
            lines.append(f"{' x '.join(map(str, r['counts']))}, 1 to {r['ranks']} ranks: {before / r['ms']:.2f}")
    return "\n".join(lines)


def work(case_file: str, answer_file: str) -> None:
    """Run one case on the ranks that are here; rank 0 writes the answer."""
    import psutil
    from mpi4py import MPI

    from homfem.macro.emi import EmiMethod, EmiModel

    comm = MPI.COMM_WORLD
    case = json.loads(Path(case_file).read_text())
    imported = psutil.Process().memory_info().rss
    time.perf_counter = time.process_time  # what the model times itself with
    solver = None if case["solver"] == "auto" else case["solver"]
    problem = tissue(comm, case["counts"])
    model = EmiModel(problem, step=STEP, method=EmiMethod(preconditioner=solver))
    setup = model.seconds["setup"]
    for k in range(WARM):
        model.advance(STEP * k)
    before, count, started = dict(model.seconds), model.iterations, time.process_time()
    for k in range(WARM, WARM + case["steps"]):
        model.advance(STEP * k)
    found = {"ms": time.process_time() - started, "ode": model.seconds["ODE"] - before["ODE"]}
    found["potentials"] = model.seconds["potentials"] - before["potentials"]
    answer = {key: 1e3 / case["steps"] * comm.allreduce(value, MPI.MAX) for key, value in found.items()}
    answer |= {
        "setup": comm.allreduce(setup, MPI.MAX),
        "unknowns": model.dofs,
        "nodes": comm.allreduce(len(model.nodes)),
        "iterations": (model.iterations - count) / case["steps"],
        "largest": comm.allreduce(float(model.values.max(initial=-1e300)), MPI.MAX),
        "imported": comm.gather(imported),
    }
    if comm.rank == 0:
        Path(answer_file).write_text(json.dumps(answer))


def demo_15() -> Any:
    """Return the module of the demo, whose cells these are."""
    spec = importlib.util.spec_from_file_location("demo_15", Path(__file__).parents[2] / "demos" / "15_emi.py")
    assert spec is not None
    assert spec.loader is not None
    module = sys.modules["demo_15"] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def tissue(comm: Any, counts: list[int]) -> Any:
    """Return a strip of cells in the plane, or a sheet of cells one cell thick, stimulated at an end; collective."""
    from homfem.kinetics.ionic import ionic_kinetics
    from homfem.macro.emi import Contact, EmiProblem, Membrane, tiled_domain
    from homfem.macro.stimulus import Box, Stimulus
    from homfem.timestepping import Schedule

    demo = demo_15()
    cell = demo.strip_cell() if len(counts) == 2 else demo.sheet_cell()
    d = len(counts)
    place = Box(low=(-1.0,) * d, high=(0.25, *(1e3,) * (d - 1)))
    stimulus = Stimulus(place=place, amplitude=1.0, schedule=Schedule(duration=1.0))
    return EmiProblem(
        domain=tiled_domain(comm, cell.raw, counts, length=1e-3 * cell.length),
        spaces={name: [name] for name in demo.CONDUCTIVITIES},
        conductivities=demo.CONDUCTIVITIES,
        membrane=Membrane(
            kinetics=ionic_kinetics("gray-pathmanathan-2016"), capacitance=demo.CAPACITANCE, stimuli=[stimulus]
        ),
        contacts=[Contact(first="intracellular", second="junction", resistance=0.5 * RESISTANCE)],
    )


if __name__ == "__main__":
    main()
