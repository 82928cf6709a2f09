"""Time per step on the slab of Niederer et al. 2011: homfem's monodomain and bidomain beside fenicsx-beat, in one run.

The slab of 20 x 7 x 3 mm at rest, stimulated at a corner, steps of 0.05 ms, ten Tusscher-Panfilov 2006. Each case runs
in processes of its own, one thread each; the first steps do not count. ``ms`` are of processor time of a rank per step
(on a machine with other work wall time says nothing), split in the membrane (ODE) and the rest (PDE).

homfem        Godunov splitting, Crank-Nicolson, compiled Rush-Larsen steps.
fenicsx-beat  its monodomain with Godunov (theta 1) and, its own choice, Strang splitting (theta 1/2), generalized
              Rush-Larsen steps as gotranx writes them for NumPy (with Rush-Larsen steps V was not finite), with each
              of its linear solvers (``direct``: MUMPS, its default; ``iterative``: CG with BoomerAMG). Left out where
              it is not installed: ``pip install fenicsx-beat==0.7.2 gotranx``. Its bidomain (where DOLFINx is 0.10 or
              newer) solves for both potentials together: with its default (LU by MUMPS, a multiplier for the mean), and
              grounded at a corner, with LU and with GMRES and BoomerAMG; its own "iterative" (CG with BoomerAMG) is for
              matrices that are symmetric, which this one is not.

    python tests/benchmarks/cardiac_peers.py --json build/cardiac.json
    python tests/benchmarks/cardiac_peers.py --sizes 0.25 0.16 0.1 --ranks 1 2 --peers homfem
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

STEP, WARM, COUNTED = 0.05, 10, 60
Case = dict[str, Any]


def main() -> None:
    parser = argparse.ArgumentParser(description="Time per step of cardiac models, beside a peer.")
    parser.add_argument("--sizes", nargs="+", type=float, default=[0.5, 0.25], help="of the cubes of the mesh, mm")
    parser.add_argument("--ranks", nargs="+", type=int, default=[1])
    parser.add_argument("--peers", nargs="+", default=["homfem", "beat"], choices=["homfem", "beat"])
    parser.add_argument("--kinds", nargs="+", default=["monodomain", "bidomain"])
    parser.add_argument("--steps", type=int, default=COUNTED)
    parser.add_argument("--json", default="", help="file for the numbers")
    parser.add_argument("--worker", nargs=2, metavar=("CASE", "ANSWER"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.worker:
        work(*options.worker)
        return
    results = []
    for case in cases(options):
        answer, samples = run_worker(str(Path(__file__)), case, ranks=case["ranks"] if case["ranks"] > 1 else 0)
        grown = sum(max(size for _, size in series) for series in samples.values()) - sum(answer["imported"])
        results.append({**case, **answer, "bytes_per_node": grown / answer["nodes"]})
        print(f"{case['name']}, {case['size']:g} mm, {case['ranks']} rank(s): {results[-1]['ms']:.2f} ms", flush=True)
    print(report(results))
    if options.json:
        write_json(options.json, {"machine": machine(), "results": results})


def cases(options: argparse.Namespace) -> list[Case]:
    """Return what is run."""
    found: list[Case] = []
    for size in options.sizes:
        for ranks in options.ranks:
            common = {"size": size, "ranks": ranks, "steps": options.steps}
            if "homfem" in options.peers:
                found += [
                    {"name": f"homfem {kind}", "peer": "homfem", "kind": kind, **common} for kind in options.kinds
                ]
            if "beat" in options.peers and ranks == 1:
                if importlib.util.find_spec("beat") is None:
                    print("fenicsx-beat is not installed: left out")
                    continue
                found += [{"peer": "beat", **case, **common} for case in beat_cases(options.kinds)]
    return found


def beat_cases(kinds: list[str]) -> list[Case]:
    """Return the variants of fenicsx-beat: splitting, solver, and what fixes the extracellular potential."""
    import dolfinx

    scheme = "generalized_rush_larsen"
    found: list[Case] = []
    if "monodomain" in kinds:
        found += [
            {"name": f"beat, theta {theta:g}, {solver}", "kind": "monodomain", "theta": theta, "solver": solver}
            for theta, solver in ((1.0, "iterative"), (1.0, "direct"), (0.5, "direct"))
        ]
    if "bidomain" in kinds and tuple(int(part) for part in dolfinx.__version__.split(".")[:2]) >= (0, 10):
        found += [
            {
                "name": f"beat bidomain, {solver}{', grounded' * grounded}", "kind": "bidomain", "theta": 1.0,
                "solver": solver, "grounded": grounded,
            }
            for solver, grounded in (("direct", False), ("direct", True), ("gmres", True))
        ]  # fmt: skip
    return [{"scheme": scheme, **case} for case in found]


def report(results: list[Case]) -> str:
    """Return the table, and the ratios to the fastest variant of the peer."""
    rows = [
        (
            *(r["name"], f"{r['size']:g}", r["nodes"], r["ranks"], f"{r['ms']:.2f}", f"{r['ode']:.2f}"),
            *(f"{r['ms'] - r['ode']:.2f}", f"{1e6 * r['ms'] * r['ranks'] / r['nodes']:.0f}"),
            *(" + ".join(f"{n:.1f}" for n in r["iterations"].values()), f"{r['bytes_per_node']:.0f}"),
        )
        for r in results
    ]
    head = ("case", "mm", "nodes", "ranks", "ms", "ODE", "PDE", "ns/node", "iterations", "bytes/node")
    lines = [table("Time per step", head, rows)]
    ours = {(r["kind"], r["size"], r["ranks"]): r for r in results if r["peer"] == "homfem" and "ionic" not in r}
    for (kind, size, ranks), mine in ours.items():
        theirs = [r for r in results if r["peer"] == "beat" and (r["kind"], r["size"]) == (kind, size)]
        if theirs and ranks == 1:
            low, high = (take(r["ms"] for r in theirs) / mine["ms"] for take in (min, max))
            lines.append(f"{kind}, {size:g} mm: {low:.1f} times as fast as its fastest variant, {high:.1f} its slowest")
        mono = ours.get(("monodomain", size, ranks))
        if kind == "bidomain" and mono:
            ratio = mine["ms"] / mono["ms"]
            lines.append(f"bidomain over monodomain, {size:g} mm, {ranks} rank(s): {ratio:.2f}")
        if ranks > 1 and (kind, size, 1) in ours:
            lines.append(f"{kind}, {size:g} mm, 1 to {ranks} ranks: {ours[kind, size, 1]['ms'] / mine['ms']:.2f}")
    return "\n".join(lines)


def work(case_file: str, answer_file: str) -> None:
    """Run one case in this process."""
    import psutil
    from mpi4py import MPI

    case = json.loads(Path(case_file).read_text())
    answer = {"homfem": homfem_case, "beat": beat_case}[case["peer"]](case)
    comm = MPI.COMM_WORLD
    answer["ms"], answer["ode"] = comm.allreduce(answer["ms"], MPI.MAX), comm.allreduce(answer["ode"], MPI.MAX)
    answer["imported"] = comm.gather(answer["imported"])
    answer["wall"] = comm.allreduce(answer["wall"], MPI.MAX)
    answer["peak"] = psutil.Process().memory_info().rss
    if comm.rank == 0:
        Path(answer_file).write_text(json.dumps(answer))


def homfem_case(case: Case) -> Case:
    """Return the times of homfem."""
    import psutil

    from homfem.macro.cardiac import CardiacMethod, CardiacModel
    from homfem.validation.niederer import niederer_problem

    clock, time.perf_counter = time.perf_counter, time.process_time  # what the model times itself with
    imported = psutil.Process().memory_info().rss
    method = CardiacMethod(ionic=case.get("ionic", "rush-larsen"))
    model = CardiacModel(niederer_problem(case["size"], kind=case["kind"]), step=STEP, method=method)
    for k in range(WARM):
        model.advance(STEP * k)
    before, count = dict(model.seconds), dict(model.iterations)
    started, wall = time.process_time(), clock()
    for k in range(WARM, WARM + case["steps"]):
        model.advance(STEP * k)
    per_step = 1e3 / case["steps"]
    return {
        "ms": (time.process_time() - started) * per_step,
        "wall": (clock() - wall) * per_step,
        "ode": (model.seconds["ODE"] - before["ODE"]) * per_step,
        "stages": {stage: (took - before[stage]) * per_step for stage, took in model.seconds.items()},
        "iterations": {stage: (n - count[stage]) / case["steps"] for stage, n in model.iterations.items()},
        "nodes": model.space.dofmap.index_map.size_global,
        "imported": imported,
        "largest": float(model.values.max(initial=-1e300)),
    }


def beat_case(case: Case) -> Case:
    """Return the times of fenicsx-beat."""
    import beat
    import dolfinx
    import gotranx
    import numpy as np
    import psutil
    import ufl
    from mpi4py import MPI

    imported = psutil.Process().memory_info().rss
    model_file = next(Path(beat.__file__).parent.glob("cli/templates/niederer_benchmark/*.ode"))
    ode = gotranx.load_ode(model_file)
    code = gotranx.cli.gotran2py.get_code(ode, scheme=[gotranx.schemes.Scheme[case["scheme"]]])
    cell: dict[str, Any] = {}
    exec(compile(code, "cell", "exec"), cell)
    sides = np.array([20.0, 7.0, 3.0])
    mesh = dolfinx.mesh.create_box(MPI.COMM_WORLD, [np.zeros(3), sides], [round(s / case["size"]) for s in sides])
    moment = dolfinx.fem.Constant(mesh, 0.0)
    corner = dolfinx.mesh.locate_entities(mesh, 3, lambda x: np.all(x <= 1.5 + 1e-9, axis=0))
    tags = dolfinx.mesh.meshtags(mesh, 3, corner, np.full(len(corner), 1, dtype=np.int32))
    # Over chi C_m = 1.4 uF/mm^3: mm^2/ms and mV/ms.
    current = ufl.conditional(ufl.And(ufl.ge(moment, 0.0), ufl.le(moment, 2.0)), 50.0 / 1.4, 0.0)
    dx = ufl.Measure("dx", domain=mesh, subdomain_data=tags)
    stimulus = beat.Stimulus(expr=current, dZ=dx, marker=1)
    parameters = beat.MonodomainModel.default_parameters("iterative" if case["solver"] == "iterative" else "direct")
    parameters["theta"] = 0.5
    if case["solver"] == "gmres":
        parameters["petsc_options"] = {"ksp_type": "gmres", "pc_type": "hypre", "pc_hypre_type": "boomeramg"}
    common = {"time": moment, "mesh": mesh, "I_s": stimulus, "params": parameters, "dx": dx}

    def tensor(*along: float) -> Any:
        return ufl.as_tensor(np.diag(along) / 1.4)

    def grounded(model: Any) -> list[Any]:
        corner = dolfinx.mesh.locate_entities_boundary(mesh, 0, lambda x: np.all(np.abs(x.T - sides) < 1e-9, axis=1))
        dofs = dolfinx.fem.locate_dofs_topological(model.V_ue, 0, corner)
        return [dolfinx.fem.dirichletbc(0.0, dofs, model.V_ue)]

    if case["kind"] == "monodomain":
        pde = beat.MonodomainModel(M=tensor(0.13342, 0.017606, 0.017606), **common)
    else:
        held = {"bcs": grounded} if case["grounded"] else {}
        pde = beat.BidomainModel(M_i=tensor(0.17, 0.019, 0.019), M_e=tensor(0.62, 0.24, 0.24), **held, **common)
    names = {"stim_amplitude": 0.0} if "stim_amplitude" in cell["parameter"] else {}
    solver = beat.odesolver.DolfinODESolver(
        v_ode=dolfinx.fem.Function(pde.V), v_pde=pde.v, fun=cell[case["scheme"]],
        init_states=cell["init_state_values"](), parameters=cell["init_parameter_values"](**names),
        num_states=len(cell["init_state_values"]()), v_index=cell["state_index"]("V"),
    )  # fmt: skip
    both = beat.MonodomainSplittingSolver(pde=pde, ode=solver, theta=case["theta"])
    took = 0.0
    plain = solver.step

    def timed(*given: Any, **named: Any) -> None:
        nonlocal took
        begun = time.process_time()
        plain(*given, **named)
        took += time.process_time() - begun

    solver.step = timed
    for k in range(WARM):
        both.step((STEP * k, STEP * (k + 1)))
    took, started, wall = 0.0, time.process_time(), time.perf_counter()
    iterations = 0
    for k in range(WARM, WARM + case["steps"]):
        both.step((STEP * k, STEP * (k + 1)))
        iterations += pde._solver.solver.getIterationNumber()
    if not (pde._solver.solver.getConvergedReason() > 0 and np.all(np.isfinite(pde.v.x.array))):
        raise RuntimeError(f"{case['name']}: the peer did not solve it")
    per_step = 1e3 / case["steps"]
    return {
        "ms": (time.process_time() - started) * per_step,
        "wall": (time.perf_counter() - wall) * per_step,
        "ode": took * per_step,
        "iterations": {"parabolic": iterations / case["steps"]},
        "nodes": pde.V.dofmap.index_map.size_global,
        "imported": imported,
        "largest": float(pde.v.x.array.max()),
    }


if __name__ == "__main__":
    main()
