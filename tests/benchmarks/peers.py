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
octant      the same on the octant between mirror planes: ``symmetry="auto"`` in homfem; by hand in
            the others, where the corrector of a load vanishes on the planes across it. Nothing is periodic there, so
            that the geometric refinement of NGSolve serves both cells; its systems are all solved by Cholesky.

A peer that is not installed is named and left out. To have them all: ``pip install homfem[benchmark]``. In a folder
of its own, on ``PYTHONPATH``, NGSolve is installed with ``--prefix``: with ``--target`` it does not find OpenCASCADE.

    python tests/benchmarks/peers.py --json build/peers.json --figure build/peers.png
"""

from __future__ import annotations

import argparse
import importlib.util
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))
from equal_error import OCTANT, coarsest, curves, draw, ratios, slowest_stage, work
from measure import machine, run_worker, table, write_json
from peer_solvers import EDGE, SOLVERS, Case

#: Converged first diagonal entries of D*/D for edge 0.1, from hp finite elements; good to 1e-7 and better.
REFERENCE = {"er": 0.0104499413, "cytosol": 0.94938977}
PEERS = {"homfem": "dolfinx", "ngsolve": "ngsolve", "scikit-fem": "skfem"}
COLOURS = {"homfem": "Blues", "ngsolve": "Oranges", "scikit-fem": "Greens"}
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
        work(*options.worker, SOLVERS)
        return
    results: list[Case] = []
    for peer in options.peers:
        if importlib.util.find_spec(PEERS[peer]) is None:
            print(f"{peer} is not installed and left out; pip install homfem[benchmark]")
            continue
        for phase in options.phases:
            cases = plan(peer, phase)
            if options.quick:
                cases = coarsest(cases)
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
        draw(panels(results), COLOURS, options.figure, options.clock)


def plan(peer: str, phase: str) -> list[Case]:
    """Return the cases of one method on one cell, the coarsest of each curve first."""
    cases = {"homfem": _homfem, "ngsolve": _ngsolve, "scikit-fem": _scikit_fem}[peer](phase)
    octants = cases
    if peer == "ngsolve" and phase == "cytosol":
        octants = cases + [case for case in _ngsolve("er") if case["hp"]]
    whole = [case | {"octant": False} for case in cases]
    return whole + [case | {"octant": True, "curve": OCTANT + case["curve"]} for case in octants]


def _grids() -> list[Case]:
    """Bulk size, size at the interface planes over it, slope of the size."""
    meshes = [(1 / 3, 0.5, 1.0), (1 / 3, 0.25, 1.0), (1 / 3, 0.1, 1.0), (1 / 3, 0.05, 1.0)]
    return [dict(zip(("resolution", "grading", "growth"), mesh, strict=True)) for mesh in meshes]


def _homfem(_: str) -> list[Case]:
    cases: list[Case] = []
    for degree in (1, 2, 3):
        for grid in _grids()[: {1: 4, 2: 4, 3: 2}[degree]]:
            cases.append({"curve": f"upper, degree {degree}", **grid, "degree": degree, "bounds": False})
    return cases + [{"curve": "bounds", **grid, "degree": 2, "bounds": True} for grid in _grids()]


def _ngsolve(phase: str) -> list[Case]:
    cases: list[Case] = []
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
    return cases


def _scikit_fem(_: str) -> list[Case]:
    return [{"curve": f"P{degree}", "degree": degree, **grid} for degree in (1, 2) for grid in _grids()[: 5 - degree]]


def error(result: Mapping[str, Any]) -> float:
    """Return the relative error of the first diagonal entry."""
    return float(abs(result["value"] / REFERENCE[result["phase"]] - 1.0))


def report(results: Sequence[Mapping[str, Any]]) -> str:
    """Return the tables: every case, and the time at equal error as a ratio to the best of homfem."""
    rows = []
    for r in results:
        gap = f"{r['half_gap']:.1e}" if r.get("half_gap") is not None else ""
        setting = ", ".join(
            f"{k} {r[k]:.3g}" for k in ("resolution", "grading", "size", "edge_size", "order", "hp") if r.get(k)
        )
        rows.append([r["phase"], r["peer"], r["curve"], setting, r["dofs"], f"{r['seconds']:.3f}", f"{error(r):.1e}",
                     gap, slowest_stage(r)])  # fmt: skip
    text = table(
        "all cases",
        ["cell", "method", "curve", "settings", "dofs", "seconds", "error", "half-gap", "slowest stage"],
        rows,
    )
    for phase in REFERENCE:
        found = curves(results, phase, error)
        for where, octant in (("whole", False), ("octant", True)):
            chosen = {key: points for key, points in found.items() if key[1].startswith(OCTANT) == octant}
            title = f"{phase}, {where}: seconds at equal error (over those of homfem's best curve)"
            text += "\n" + ratios(title, chosen, list(PEERS), LEVELS) if chosen else ""
    return text


def panels(results: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return the curves of each cell, by the title of its panel."""
    found = {f"three pipes of edge {EDGE}: {phase}": curves(results, phase, error) for phase in REFERENCE}
    return {title: lines for title, lines in found.items() if lines}


if __name__ == "__main__":
    main()
