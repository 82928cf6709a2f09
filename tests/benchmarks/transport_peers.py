"""Seconds from geometry to dispersion tensors against relative error: homfem beside NGSolve and scikit-fem, in one run.

A square array of round fibres of fraction 0.3, the fluid around them, slow flow along the rows, at Pe = 10, Pe = 100,
and for 32 numbers from .1 to 1000 (``SWEEP``). The relative error is the largest of those of the dispersion along and
across the flow at Pe 10 and 100 against converged values (``REFERENCE``). Time runs from nothing to the tensors:
geometry, mesh, constraint, flow, both loads of the cell problem; imports and compilation of forms are apart (one case
of each curve first, in the same process). Each method runs in one process of its own, on one thread; each case runs
``--repeat`` times and its shortest time counts. On a machine that is busy with other work compare processor time
(``--clock cpu``). The problems are small, so that the fixed costs of each code weigh.

homfem      ``solve_dispersion`` on its own mesh of second order: Taylor and Hood's flow, degree 2 to 4 for both.
NGSolve     OpenCASCADE geometry with periodic edges, elements curved as their order, orders 2 to 6 with static
            condensation; Taylor and Hood's flow of the same order by sparse Cholesky, the cell problem with skew
            convection by UMFPACK (it was faster than the symmetrised saddle point by sparse Cholesky).
scikit-fem  P2 to P4 on the triangles of homfem, with sides curved by quadratic maps; Taylor and Hood's flow; SuperLU.

Errors below 1e-7 are not told apart: the references have eight digits.

A peer that is not installed is named and left out. To have them all: ``pip install homfem[benchmark]``.

    python tests/benchmarks/transport_peers.py --json build/transport.json --figure build/transport.png
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
from transport_solvers import FRACTION, PECLET, SOLVERS

#: D*/D over the fluid along and across the flow, by Peclet number, converged to ``ACCURACY`` by orders 6 to 10.
REFERENCE = {10.0: (2.0785848, 0.8200195), 100.0: (71.510432, 1.0499567)}
ACCURACY = 1e-7
PEERS = {"homfem": "dolfinx", "ngsolve": "ngsolve", "scikit-fem": "skfem"}
COLOURS = {"homfem": "Blues", "ngsolve": "Oranges", "scikit-fem": "Greens"}
LEVELS = (1e-2, 1e-3, 1e-4, 1e-5, 1e-6)


def main() -> None:
    parser = argparse.ArgumentParser(description="Seconds from geometry to dispersion tensors against relative error.")
    parser.add_argument("--peers", nargs="+", default=list(PEERS), choices=list(PEERS))
    parser.add_argument("--cases", nargs="+", default=list(PECLET), choices=list(PECLET))
    parser.add_argument("--repeat", type=int, default=3)
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
        for phase in options.cases:
            cases = coarsest(plan(peer)) if options.quick else plan(peer)
            task = {"peer": peer, "phase": phase, "cases": cases, "repeat": options.repeat, "clock": options.clock}
            answer, _ = run_worker(__file__, task)
            results += answer["results"]
            versions[peer] = answer["version"]
            told = f"{len(cases)} cases, imports {answer['imports']:.2f} s"
            print(f"{peer} {answer['version']}, {phase}: {told}", flush=True)
    print("\n" + report(results))
    if options.json:
        write_json(options.json, {"machine": machine(), "versions": versions, "results": results})
    if options.figure:
        draw(panels(results), COLOURS, options.figure, options.clock)


def plan(peer: str) -> list[Case]:
    """Return the cases of one method, the coarsest of each curve first."""
    cases: list[Case] = []
    if peer == "ngsolve":
        for order in range(2, 7):
            cases += [{"curve": f"order {order}", "order": order, "size": size} for size in (0.3, 0.15, 0.1, 0.06)]
        return cases
    for degree in range(2, 5):
        title = f"degree {degree}" if peer == "homfem" else f"P{degree}"
        finest = {2: 0.025, 3: 0.025, 4: 0.05} if peer == "homfem" else {2: 0.025, 3: 0.05, 4: 0.1}
        case = {"curve": title, "degree": degree, "refinement": 0}
        cases += [{**case, "resolution": size} for size in (0.2, 0.1, 0.05, 0.025) if size >= finest[degree]]
    return cases


def error(result: Mapping[str, Any]) -> float:
    """Return the largest relative error of the known entries, no less than that of the reference."""
    pairs = dict(zip(PECLET[result["phase"]], zip(*[iter(result["value"])] * 2, strict=True), strict=True))
    apart = [
        abs(value / exact - 1.0)
        for number, known in REFERENCE.items()
        if number in pairs
        for value, exact in zip(pairs[number], known, strict=True)
    ]
    return max(ACCURACY, *apart)


def report(results: Sequence[Mapping[str, Any]]) -> str:
    """Return the tables: every case, and the time at equal error as a ratio to the best of homfem."""
    rows = []
    for r in results:
        size = f"{r.get('resolution', r.get('size')):.3g}"
        times = f"{r['wall']:.3f}", f"{r['cpu']:.3f}"
        rows.append([r["phase"], r["peer"], r["curve"], size, r["dofs"], *times, f"{error(r):.1e}", slowest_stage(r)])
    head = ["case", "method", "curve", "size", "dofs", "wall s", "cpu s", "error", "slowest stage"]
    text = table("all cases", head, rows)
    for phase in PECLET:
        found = curves(results, phase, error)
        title = f"{phase}: seconds at equal error (over those of homfem's best curve)"
        text += "\n" + ratios(title, found, list(PEERS), LEVELS) if found else ""
    return text


def panels(results: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return the curves of each case, by the title of its panel."""
    found = {
        f"dispersion around fibres, fraction {FRACTION}: {phase}": curves(results, phase, error) for phase in PECLET
    }
    return {title: lines for title, lines in found.items() if lines}


if __name__ == "__main__":
    main()
