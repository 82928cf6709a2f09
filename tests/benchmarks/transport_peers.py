"""Seconds from geometry to dispersion tensors against relative error: homfem beside NGSolve and scikit-fem, in one run.

A square array of round fibres of fraction 0.3, the fluid around them, slow flow along the rows, at Pe = 10, Pe = 100,
and for 32 numbers from .1 to 1000 (``SWEEP``). The relative error is the largest of those of the dispersion along and
across the flow at Pe 10 and 100 against converged values (``REFERENCE``). Time runs from nothing to the tensors:
geometry, mesh, constraint, flow, both loads of the cell problem; imports and compilation of forms are apart (one case
of each curve first, in the same process); ``comparison.py`` says how it is measured. The problems are small, so that
the fixed costs of each code weigh.

homfem      ``solve_dispersion`` on its own mesh of second order: Taylor and Hood's flow, degree 2 to 4 for both.
NGSolve     OpenCASCADE geometry with periodic edges, elements curved as their order, orders 2 to 6 with static
            condensation; Taylor and Hood's flow of the same order by sparse Cholesky, the cell problem with skew
            convection by UMFPACK (it was faster than the symmetrised saddle point by sparse Cholesky).
scikit-fem  P2 to P4 on the triangles of homfem, with sides curved by quadratic maps; Taylor and Hood's flow; SuperLU.

Errors below 1e-7 are not told apart: the references have eight digits.

    python tests/benchmarks/transport_peers.py --json build/transport.json --figure build/transport.png
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))
from comparison import Comparison
from equal_error import Case
from transport_solvers import FRACTION, PECLET, SOLVERS

#: D*/D over the fluid along and across the flow, by Peclet number, converged to ``ACCURACY`` by orders 6 to 10.
REFERENCE = {10.0: (2.0785848, 0.8200195), 100.0: (71.510432, 1.0499567)}
ACCURACY = 1e-7


def plan(peer: str, _case: str) -> list[Case]:
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


COMPARISON = Comparison(
    script=__file__,
    about="Seconds from geometry to dispersion tensors against relative error.",
    peers={"homfem": "dolfinx", "ngsolve": "ngsolve", "scikit-fem": "skfem"},
    solvers=SOLVERS,
    cases={case: f"dispersion around fibres, fraction {FRACTION}: {case}" for case in PECLET},
    plan=plan,
    error=error,
    levels=(1e-2, 1e-3, 1e-4, 1e-5, 1e-6),
)

if __name__ == "__main__":
    COMPARISON.main()
