"""Time and iterations of solvers for the cell problem of dispersion, against the Peclet number and the unknowns.

Slow flow around fibres in the plane and around spheres in space (both of fraction 0.3, along the first axis). Of each
solver the processor time of set-up and of all loads for one Peclet number, with the matrices assembled, and its
iterations for all loads. With K the matrix of diffusion and C the skew one of convection:

factors         LU factors of K + Pe C (MUMPS)
gmres, mg       GMRES on K + Pe C, multigrid of K
gmres, ilu      GMRES on K + Pe C, incomplete factors
minres, mg      MINRES on the symmetric saddle point, multigrid of K for both fields
saddle factors  factors of the symmetric saddle point
schur           conjugate gradients on K + Pe^2 C^T K^-1 C, factors of K for K^-1 and as preconditioner
streamline      p-multigrid of K + Pe C that a diffusion along the streamlines holds up
chosen          what homfem takes by itself

    python tests/benchmarks/dispersion_solvers.py --plane 0.05 0.025 0.0125 --space 0.25 0.15 --json build/solvers.json
"""

from __future__ import annotations

import argparse
import itertools
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from petsc4py import PETSc

sys.path.insert(0, str(Path(__file__).parent))
from measure import machine, table, write_json

from homfem import solve
from homfem.cells import fibre_array, sphere_array
from homfem.certify.dispersion import solve_dispersion
from homfem.local.dispersion import Carrier, symmetrised_problem
from homfem.local.dispersion_series import _Series, solve_dispersed
from homfem.local.engine import solve_correctors
from homfem.local.posed import Method
from homfem.parameters import ConvergenceError

Case = dict[str, Any]
RTOL = 1e-8
MOST = 2000
#: Options of PETSc for GMRES on the plain form.
PLAIN: dict[str, dict[str, Any]] = {
    "factors": {"pc_type": "lu", "pc_factor_mat_solver_type": "mumps", "ksp_max_it": 5, "mat_mumps_icntl_24": 1},
    "gmres, ilu": {"pc_type": "asm", "sub_pc_type": "ilu", "sub_pc_factor_levels": 2, "ksp_max_it": MOST},
    "gmres, mg": {"pc_type": "gamg", "ksp_max_it": MOST},
}


def main() -> None:
    parser = argparse.ArgumentParser(description="Time and iterations of solvers of dispersion.")
    parser.add_argument("--plane", nargs="*", type=float, default=[0.05, 0.025, 0.0125], help="resolutions")
    parser.add_argument("--space", nargs="*", type=float, default=[0.25, 0.15], help="resolutions")
    parser.add_argument("--peclet", nargs="+", type=float, default=[0.1, 1.0, 10.0, 100.0, 1e3, 1e4])
    parser.add_argument("--solvers", nargs="+", default=list(SOLVERS), choices=list(SOLVERS))
    parser.add_argument("--json", default="", help="file for the numbers")
    options = parser.parse_args()
    results: list[Case] = []
    for dimension, resolutions in ((2, options.plane), (3, options.space)):
        for resolution in resolutions:
            results += measured(dimension, resolution, options.peclet, options.solvers)
    print(report(results))
    if options.json:
        write_json(options.json, {"machine": machine(), "results": results})


def measured(dimension: int, resolution: float, peclet: list[float], solvers: list[str]) -> list[Case]:
    """Return what each solver takes on one mesh."""
    if dimension == 2:
        cell = fibre_array(fraction=0.3, resolution=resolution, order=2)
    else:
        cell = sphere_array(fraction=0.3, resolution=resolution, order=2)
    solution: Any = solve_dispersion(cell, {"matrix": 1.0}, peclet=1.0)
    carrier = solution.solved.carrier
    results = []
    for number in peclet:
        for name in solvers:
            start = time.process_time()
            try:
                iterations, value = SOLVERS[name](carrier, number)
            except ConvergenceError:
                iterations, value = -1, float("nan")
            seconds = time.process_time() - start
            case = {"dimension": dimension, "dofs": solution.tensor.dofs, "peclet": number, "solver": name}
            results.append(case | {"seconds": seconds, "iterations": iterations, "value": value})
            print(f"{case}: {seconds:.2f} s, {iterations} iterations, {value:.8g}", flush=True)
    return results


def report(results: list[Case]) -> str:
    """Return a table: one line for each mesh and solver, seconds and iterations by Peclet number."""
    numbers = sorted({one["peclet"] for one in results})
    rows: dict[tuple[Any, ...], dict[float, str]] = {}
    for one in results:
        text = f"{one['seconds']:.2f} ({one['iterations']})" if one["iterations"] >= 0 else "fails"
        rows.setdefault((f"{one['dimension']}D", one["dofs"], one["solver"]), {})[one["peclet"]] = text
    return table(
        "processor time in s (iterations) for all loads",
        ["", "unknowns", "solver", *(f"Pe {number:g}" for number in numbers)],
        [[*map(str, key), *(row.get(number, "") for number in numbers)] for key, row in rows.items()],
    )


def system(carrier: Carrier, number: float) -> tuple[PETSc.Mat, PETSc.Mat, list[PETSc.Vec], Any]:
    """Return K, C, the loads and what made them; the matrices are kept."""
    if carrier not in _KEPT:
        _KEPT.clear()
        _KEPT[carrier] = _Series(carrier, Method())
    series = _KEPT[carrier]
    gradients, drifts = series.loads
    loads = []
    for gradient, drift in zip(gradients, drifts, strict=True):
        load = gradient.copy()
        load.axpy(-number, drift)
        loads.append(load)
    return series.still, series.convection, loads, series


_KEPT: dict[Any, Any] = {}


def plain(options: dict[str, Any]) -> Callable[[Carrier, float], tuple[int, float]]:
    """Return GMRES on K + Pe C with a preconditioner; its value is D* along the flow."""

    def run(carrier: Carrier, number: float) -> tuple[int, float]:
        still, convection, loads, series = system(carrier, number)
        matrix = still.copy()
        matrix.axpy(number, convection)
        constant = PETSc.NullSpace().create(constant=True)
        for one in (matrix, still):
            one.setNullSpace(constant)
            one.setNearNullSpace(constant)
        ksp = PETSc.KSP().create()
        ksp.setOperators(matrix, still if options["pc_type"] == "gamg" else matrix)
        ksp.setOptionsPrefix(prefix := f"dispersion{next(_SERIAL)}_")
        database = PETSc.Options()
        for key, value in {"ksp_type": "gmres", "ksp_gmres_restart": 200, "ksp_pc_side": "right", **options}.items():
            database[prefix + key] = value
        ksp.setFromOptions()
        ksp.setTolerances(rtol=RTOL)
        iterations, value = 0, float("nan")
        for k, load in enumerate(loads):
            x = load.duplicate()
            ksp.solve(load, x)
            if ksp.getConvergedReason() < 0:
                raise ConvergenceError(f"reason {ksp.getConvergedReason()}")
            iterations += ksp.getIterationNumber()
            if k == 0:
                there = series.loads[0][0].dot(x) + number * series.loads[1][0].dot(x)
                value = (series.mean[0, 0] - there) / carrier.mass
        ksp.destroy()
        return iterations, float(value)

    return run


_SERIAL = itertools.count()


def saddle(preconditioner: str) -> Callable[[Carrier, float], tuple[int, float]]:
    """Return the symmetric saddle point."""

    def run(carrier: Carrier, number: float) -> tuple[int, float]:
        problem = symmetrised_problem(carrier, number)
        found = solve_correctors(carrier.cell, problem, preconditioner=preconditioner, rtol=RTOL, max_iterations=MOST)
        return found.iterations, float(found.average[0, 0] * carrier.cell.lattice.volume / carrier.mass)

    return run


def schur(carrier: Carrier, number: float) -> tuple[int, float]:
    """Conjugate gradients on the Schur complement; K is factored once."""
    still, convection, _, series = system(carrier, number)
    inverse = solve.LinearSolver(
        still, preconditioner="direct", rtol=1e-12, kernel=solve.Kernel(constant=True), name="K"
    )
    size = still.getSize()[0]

    class Complement:
        """K + Pe^2 C^T K^-1 C."""

        def mult(self, _: Any, x: PETSc.Vec, y: PETSc.Vec) -> None:
            side, found = x.duplicate(), x.duplicate()
            convection.mult(x, side)
            inverse.solve(side, found)
            convection.mult(found, y)  # C^T is -C
            y.scale(-(number**2))
            still.multAdd(x, y, y)

    class Inverse:
        """K^-1."""

        def apply(self, _: Any, x: PETSc.Vec, y: PETSc.Vec) -> None:
            side = x.copy()
            inverse.solve(side, y)

    matrix = PETSc.Mat().createPython([size, size], Complement())
    matrix.setUp()
    ksp = PETSc.KSP().create()
    ksp.setOperators(matrix)
    ksp.setType("cg")
    ksp.getPC().setType("python")
    ksp.getPC().setPythonContext(Inverse())
    ksp.setTolerances(rtol=RTOL, max_it=MOST)
    iterations, value = 0, float("nan")
    for k, (gradient, drift) in enumerate(zip(*series.loads, strict=True)):
        f, g, side = (gradient.duplicate() for _ in range(3))
        inverse.solve(gradient.copy(), f)
        convection.mult(f, side)
        side.scale(-number)
        side.axpy(-number, drift)
        ksp.solve(side, g)
        if ksp.getConvergedReason() < 0:
            raise ConvergenceError("schur")
        iterations += ksp.getIterationNumber()
        if k == 0:
            work = side.duplicate()
            convection.mult(g, work)
            work.scale(-number)
            work.axpy(1.0, gradient)
            inverse.solve(work, f)
            odd, even = (series.loads[1][0].dot(g) * number, gradient.dot(f))
            value = (series.mean[0, 0] - even - odd) / carrier.mass
    return iterations, float(value)


def streamline(carrier: Carrier, number: float) -> tuple[int, float]:
    """P-multigrid that a diffusion along the streamlines holds up."""
    return chosen(carrier, number, "streamline")


def chosen(carrier: Carrier, number: float, preconditioner: str | None = None) -> tuple[int, float]:
    """What homfem takes by itself, or one of its solvers."""
    method = Method(preconditioner=preconditioner, rtol=RTOL, max_iterations=MOST)
    (found,) = solve_dispersed(carrier, [number], method)
    return found.correctors.iterations, float(found.value[0, 0])


SOLVERS: dict[str, Callable[[Carrier, float], tuple[int, float]]] = {
    **{name: plain(options) for name, options in PLAIN.items()},
    "minres, mg": saddle("multigrid"),
    "saddle factors": saddle("direct"),
    "schur": schur,
    "streamline": streamline,
    "chosen": chosen,
}

if __name__ == "__main__":
    main()
