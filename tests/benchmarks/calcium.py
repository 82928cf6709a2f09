"""Time per step of the calcium bidomain model in a cube of 30 um: homfem beside a code written by hand, in one run.

Li and Rinzel's membrane, steps of 5 ms, Godunov splitting with backward Euler, solved to 1e-8; each case in
processes of its own, one thread each; the first steps do not count. ``ms`` are of processor time of a rank per step (on
a machine with other work wall time says nothing), split in the reaction and diffusion.

homfem   :class:`homfem.macro.calcium.CalciumModel` of first order, as the code by hand is.
strang   the same of second order, its default: twice the solves (TR-BDF2) and rates in a step.
by hand  what one writes in plain DOLFINx after its demos: for each field a ``LinearProblem``-like loop that assembles
         the form of the right-hand side in every step and solves by PETSc, with CG and BoomerAMG (``cg``; GAMG where
         PETSc has no Hypre) or LU by MUMPS (``lu``); the reaction in NumPy with the same formulas. ``largest``, the
         largest calcium at the end, tells that both do the same.

    python tests/benchmarks/calcium.py --json build/calcium.json
    python tests/benchmarks/calcium.py --cells 30 42 60 --ranks 1 2
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).parent))
from measure import machine, run_worker, table, write_json

STEP, WARM, SIDE, RTOL = 5e-3, 3, 30.0, 1e-8
GAMMA = {"cytosol": 1.0 / 1.185, "er": 0.185 / 1.185}
DIFFUSIVITY = {"cytosol": 20.0, "er": 10.0}
AREA, IP3 = 2.0, 0.3
CODES = ("homfem", "strang", "cg", "lu")
Case = dict[str, Any]


def main() -> None:
    parser = argparse.ArgumentParser(description="Time per step of calcium waves, beside a code written by hand.")
    parser.add_argument("--cells", nargs="+", type=int, default=[30, 42, 60], help="of the mesh along a side")
    parser.add_argument("--ranks", nargs="+", type=int, default=[1, 2])
    parser.add_argument("--codes", nargs="+", default=list(CODES), choices=CODES)
    parser.add_argument("--steps", type=int, default=10)
    parser.add_argument("--lu-up-to", type=int, default=30, help="cells along a side up to which LU is asked")
    parser.add_argument("--json", default="", help="file for the numbers")
    parser.add_argument("--worker", nargs=2, metavar=("CASE", "ANSWER"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.worker:
        work(*options.worker)
        return
    results = []
    for cells in options.cells:
        for ranks in options.ranks:
            for code in options.codes:
                if code == "lu" and cells > options.lu_up_to:
                    continue
                case = {"cells": cells, "ranks": ranks, "code": code, "steps": options.steps}
                answer, _ = run_worker(str(Path(__file__)), case, ranks=ranks if ranks > 1 else 0)
                results.append(case | answer)
                print(f"{code}, {answer['nodes']} nodes, {ranks} rank(s): {answer['ms']:.1f} ms a step", flush=True)
    print(report(results))
    if options.json:
        write_json(options.json, {"machine": machine(), "results": results})


def report(results: list[Case]) -> str:
    """Return the numbers as a table, the ratios to homfem of the same size and ranks among them."""
    ours = {(one["cells"], one["ranks"]): one for one in results if one["code"] == "homfem"}
    rows = []
    for one in results:
        beside = ours.get((one["cells"], one["ranks"]))
        ratio = "" if beside is None else f"{one['ms'] / beside['ms']:.2f}"
        per_node = f"{1e6 * one['ms'] * one['ranks'] / one['nodes']:.0f}"
        stages = [f"{one[stage]:.1f}" for stage in ("ms", "reaction", "diffusion")]
        rows.append([one["code"], str(one["nodes"]), str(one["ranks"]), *stages, per_node, ratio])
    head = ["code", "nodes", "ranks", "ms", "reaction", "diffusion", "ns per node", "over homfem"]
    return table("time per step", head, rows)


def work(task: str, answer: str) -> None:
    from mpi4py import MPI

    case = json.loads(Path(task).read_text())
    found = (homfem_steps if case["code"] in ("homfem", "strang") else hand_steps)(case)
    times = np.array([found[key] for key in ("ms", "reaction", "diffusion")])
    MPI.COMM_WORLD.Allreduce(MPI.IN_PLACE, times, op=MPI.MAX)
    if MPI.COMM_WORLD.rank == 0:
        found |= dict(zip(("ms", "reaction", "diffusion"), times.tolist(), strict=True))
        Path(answer).write_text(json.dumps(found))


def made() -> tuple[Any, Any, Any]:
    """Return the membrane and its state of rest, and the start of calcium in the cytosol."""
    from homfem.kinetics import TRIGGER_WAVE, membrane_from_rates, resting_state

    shares = {f"{name}_fraction": value for name, value in GAMMA.items()}
    membrane = membrane_from_rates(TRIGGER_WAVE, interface_area=AREA, **shares)
    rest = resting_state(membrane, total=3.0 * GAMMA["cytosol"], ip3=IP3, **shares)
    return membrane, rest, lambda x: rest.cytosol + 0.8 * np.exp(-(x**2).sum(axis=0) / 100.0)


def mesh(cells: int) -> Any:
    from dolfinx import mesh as dmesh
    from mpi4py import MPI

    return dmesh.create_box(MPI.COMM_WORLD, [[0.0] * 3, [SIDE] * 3], [cells] * 3)


def timed(step: Any, steps: int) -> float:
    """Return milliseconds of processor time per step, after some that do not count."""
    for k in range(WARM):
        step(k * STEP)
    begun = time.process_time()
    for k in range(WARM, WARM + steps):
        step(k * STEP)
    return 1e3 * (time.process_time() - begun) / steps


def homfem_steps(case: Case) -> Case:
    from homfem.kinetics import li_rinzel
    from homfem.macro.calcium import CalciumModel, CalciumProblem
    from homfem.tensors import EffectiveTensor

    membrane, rest, start = made()
    tensors = {
        name: EffectiveTensor.measured(
            name, GAMMA[name] * DIFFUSIVITY[name], volume_fraction=GAMMA[name], unit="um^2/s", dimension=3
        )
        for name in GAMMA
    }
    problem = CalciumProblem(
        mesh=mesh(case["cells"]), **tensors, kinetics=li_rinzel(membrane), ip3=IP3, initial_cytosol=start,
        initial_er=rest.er, initial_states={"h": rest.inactivation}, interface_area=AREA,
    )  # fmt: skip
    model = CalciumModel(problem, step=STEP, rtol=RTOL, splitting="strang" if case["code"] == "strang" else "godunov")
    spent = {"reaction": 0.0, "diffusion": 0.0}
    for name, inner in (("reaction", "_react"), ("diffusion", "_diffuse")):
        setattr(model, inner, clocked(getattr(model, inner), spent, name))
    ms = timed(model.advance, case["steps"])
    counted = {name: 1e3 * value / (case["steps"] + WARM) for name, value in spent.items()}
    return {"nodes": model.dofs, "ms": ms, **counted, "largest": model.unknowns["cytosol"].largest()}


def clocked(function: Any, spent: dict[str, float], name: str) -> Any:
    def run(*given: Any) -> None:
        begun = time.process_time()
        function(*given)
        spent[name] += time.process_time() - begun

    return run


def hand_steps(case: Case) -> Case:
    """Step a code as one writes it after the demos of DOLFINx."""
    import ufl
    from dolfinx import fem
    from dolfinx.fem.petsc import assemble_matrix, assemble_vector
    from mpi4py import MPI
    from petsc4py import PETSc

    membrane, rest, start = made()
    domain = mesh(case["cells"])
    space = fem.functionspace(domain, ("Lagrange", 1))
    u, v, dt = ufl.TrialFunction(space), ufl.TestFunction(space), fem.Constant(domain, STEP)
    fields, systems = {}, {}
    for name in GAMMA:
        field = fields[name] = fem.Function(space)
        left = fem.form(u * v * ufl.dx + dt * DIFFUSIVITY[name] * ufl.dot(ufl.grad(u), ufl.grad(v)) * ufl.dx)
        matrix = assemble_matrix(left)
        matrix.assemble()
        solver = PETSc.KSP().create(domain.comm)
        solver.setOperators(matrix)
        solver.setTolerances(rtol=RTOL)
        if case["code"] == "lu":
            solver.setType("preonly")
            solver.getPC().setType("lu")
            solver.getPC().setFactorSolverType("mumps")
        else:
            solver.setType("cg")
            solver.setInitialGuessNonzero(True)
            solver.getPC().setType("hypre" if PETSc.Sys.hasExternalPackage("hypre") else "gamg")
        systems[name] = solver, fem.form(field * v * ufl.dx)
    fields["cytosol"].interpolate(start)
    fields["er"].x.array[:] = rest.er
    h = np.full_like(fields["er"].x.array, rest.inactivation)
    m = membrane
    spent = {"reaction": 0.0, "diffusion": 0.0}

    def react() -> None:
        c, e = fields["cytosol"].x.array, fields["er"].x.array
        opened = (IP3 / (IP3 + m.d1) * c / (c + m.d5) * h) ** 3
        flux = (m.channel_permeability * opened + m.leak_permeability) * (e - c) - m.pump_flux * c**2 / (c**2 + m.k3**2)
        q2 = m.d2 * (IP3 + m.d1) / (IP3 + m.d3)
        target = q2 / (q2 + c)
        h[:] = target + (h - target) * np.exp(-STEP * m.a2 * (q2 + c))
        c += STEP * AREA / GAMMA["cytosol"] * flux
        e -= STEP * AREA / GAMMA["er"] * flux

    def diffuse() -> None:
        for name, (solver, right) in systems.items():
            b = assemble_vector(right)
            b.ghostUpdate(addv=PETSc.InsertMode.ADD_VALUES, mode=PETSc.ScatterMode.REVERSE)
            solver.solve(b, fields[name].x.petsc_vec)
            fields[name].x.scatter_forward()
            b.destroy()

    first, second = clocked(react, spent, "reaction"), clocked(diffuse, spent, "diffusion")

    def step(_time: float) -> None:
        first()
        second()

    ms = timed(step, case["steps"])
    counted = {name: 1e3 * value / (case["steps"] + WARM) for name, value in spent.items()}
    largest = domain.comm.allreduce(float(fields["cytosol"].x.array.max()), op=MPI.MAX)
    return {"nodes": space.dofmap.index_map.size_global, "ms": ms, **counted, "largest": largest}


if __name__ == "__main__":
    main()
