"""Seconds from geometry to tensor against relative error in mechanics: homfem beside NGSolve and SfePy, in one run.

Two cells with round fibres of fraction 0.3 in a square array, in the plane: ``elasticity`` (plane strain, matrix E = 1,
fibre E = 10, both nu = 0.3; three loads) and ``stokes`` (flow across the fibres; two loads). The relative error is the
largest of C11, C12 and C66, or that of k, against converged values (``REFERENCE``). Time runs from nothing to the
tensor: geometry, mesh, constraint, assembly, factorisation, solve, average; imports and compilation of forms are apart
(one case of each curve first, in the same process). Each method runs in one process of its own, on one thread; each
case runs ``--repeat`` times and its shortest time counts. On a machine that is busy with other work compare processor
time (``--clock cpu``). The problems are small, so that the fixed costs of each code weigh; all solve them directly.

homfem      its own mesh, straight or of second order; ``upper``: conforming displacements of degree 1 to 4 (MUMPS);
            ``taylor-hood`` for the flow; ``midpoint`` of the two-sided bounds, and ``half-gap``: their half-width, an
            error that is *guaranteed* for the mesh with straight sides and needs no reference.
NGSolve     OpenCASCADE geometry with periodic edges, elements curved as their order, orders 1 to 4 with static
            condensation, Taylor and Hood's for the flow; sparse Cholesky (it was faster than UMFPACK).
SfePy       P1 and P2 (P2/P1 for the flow) on the triangles of homfem with straight sides, periodic conditions; its
            direct solver: UMFPACK with scikit-umfpack, else SuperLU.

A peer that is not installed is named and left out. To have them all: ``pip install homfem[benchmark]``.

    python tests/benchmarks/mechanics_peers.py --json build/mechanics.json --figure build/mechanics.png
"""

from __future__ import annotations

import argparse
import importlib.util
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))
from equal_error import Case, coarsest, curves, draw, ratios, slowest_stage, work
from measure import machine, run_worker, table, write_json
from mechanics_solvers import FRACTION, SOLVERS

#: C11, C12, C66 and k/L^2, converged to ``ACCURACY``.
REFERENCE = {"elasticity": (2.07500597, 0.79325060, 0.55703320), "stokes": (0.0097199390,)}
ACCURACY = 1e-8
PEERS = {"homfem": "dolfinx", "ngsolve": "ngsolve", "sfepy": "sfepy"}
COLOURS = {"homfem": "Blues", "ngsolve": "Oranges", "sfepy": "Greens"}
LEVELS = (1e-2, 1e-3, 1e-4, 1e-5, 1e-6)


def main() -> None:
    parser = argparse.ArgumentParser(description="Seconds from geometry to tensor against relative error.")
    parser.add_argument("--peers", nargs="+", default=list(PEERS), choices=list(PEERS))
    parser.add_argument("--cells", nargs="+", default=list(REFERENCE), choices=list(REFERENCE))
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
    versions: dict[str, str] = {}
    for peer in options.peers:
        if importlib.util.find_spec(PEERS[peer]) is None:
            print(f"{peer} is not installed and left out; pip install homfem[benchmark]")
            continue
        for cell in options.cells:
            cases = coarsest(plan(peer, cell)) if options.quick else plan(peer, cell)
            task = {"peer": peer, "phase": cell, "cases": cases, "repeat": options.repeat, "clock": options.clock}
            answer, _ = run_worker(__file__, task)
            results += answer["results"]
            versions[peer] = answer["version"]
            print(
                f"{peer} {answer['version']}, {cell}: {len(cases)} cases, imports {answer['imports']:.2f} s", flush=True
            )
    print("\n" + report(results))
    if options.json:
        write_json(options.json, {"machine": machine(), "versions": versions, "results": results})
    if options.figure:
        draw(panels(results), COLOURS, options.figure, options.clock)


def plan(peer: str, cell: str) -> list[Case]:
    """Return the cases of one method on one cell, the coarsest first."""
    least = 1 if cell == "elasticity" else 2
    cases: list[Case] = []
    sizes = (0.2, 0.1, 0.05, 0.025)
    if peer == "homfem":
        for geometry, degrees in ((1, (1, 2)), (2, (2, 3, 4))):
            for degree in (k for k in degrees if k >= least):
                title = "upper" if cell == "elasticity" else "taylor-hood"
                title += f", {'curved' if geometry == 2 else 'straight'}, degree {degree}"
                case = {"curve": title, "geometry": geometry, "degree": degree, "bounds": False, "direct": True}
                # The resolution 1/3 is halved at the fibres by default; the others are not: the triangles of SfePy.
                if geometry == 2:
                    cases.append({**case, "resolution": 1 / 3, "refinement": None})
                cases += [{**case, "resolution": size, "refinement": 0} for size in sizes]
        case = {"curve": "bounds", "geometry": 1, "degree": 2, "bounds": True, "direct": True}
        cases += [{**case, "resolution": size, "refinement": 0} for size in sizes]
    elif peer == "ngsolve":
        for order in range(least, 5):
            case = {"curve": f"order {order}", "order": order, "solver": "sparsecholesky"}
            cases += [{**case, "size": size} for size in (0.3, *sizes[1:])]
    else:
        for degree in range(least, 3):
            finer = (0.0125,) if degree == 1 else ()
            cases += [{"curve": f"P{degree}", "degree": degree, "resolution": size} for size in (*sizes, *finer)]
    return cases


def error(result: Mapping[str, Any]) -> float:
    """Return the largest relative error of the entries of the tensor, no less than that of the reference."""
    pairs = zip(result["value"], REFERENCE[result["phase"]], strict=True)
    return max(ACCURACY, *(abs(value / exact - 1.0) for value, exact in pairs))


def report(results: Sequence[Mapping[str, Any]]) -> str:
    """Return the tables: every case, and the time at equal error as a ratio to the best of homfem."""
    rows = []
    for r in results:
        gap = f"{r['half_gap']:.1e}" if r.get("half_gap") is not None else ""
        size = f"{r.get('resolution', r.get('size')):.3g}"
        rows.append([r["phase"], r["peer"], r["curve"], size, r["dofs"], f"{r['wall']:.3f}", f"{r['cpu']:.3f}",
                     f"{error(r):.1e}", gap, slowest_stage(r)])  # fmt: skip
    head = ["cell", "method", "curve", "size", "dofs", "wall s", "cpu s", "error", "half-gap", "slowest stage"]
    text = table("all cases", head, rows)
    for cell in REFERENCE:
        found = curves(results, cell, error)
        title = f"{cell}: seconds at equal error (over those of homfem's best curve)"
        text += "\n" + ratios(title, found, list(PEERS), LEVELS) if found else ""
    return text


def panels(results: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return the curves of each cell, by the title of its panel."""
    titles = {"elasticity": "plane strain", "stokes": "flow across the fibres"}
    found = {f"round fibres, fraction {FRACTION}: {titles[c]}": curves(results, c, error) for c in REFERENCE}
    return {title: lines for title, lines in found.items() if lines}


if __name__ == "__main__":
    main()
