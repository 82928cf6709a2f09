"""Seconds from geometry to tensor against relative error in mechanics: homfem beside NGSolve and SfePy, in one run.

Two cells with round fibres of fraction 0.3 in a square array, in the plane: ``elasticity`` (plane strain, matrix E = 1,
fibre E = 10, both nu = 0.3; three loads) and ``stokes`` (flow across the fibres; two loads). The relative error is the
largest of C11, C12 and C66, or that of k, against converged values (``REFERENCE``). Time runs from nothing to the
tensor: geometry, mesh, constraint, assembly, factorisation, solve, average; imports and compilation of forms are apart
(one case of each curve first, in the same process); ``comparison.py`` says how it is measured. The problems are small,
so that the fixed costs of each code weigh; all solve them directly.

homfem      its own mesh, straight or of second order; ``upper``: conforming displacements of degree 1 to 4 (MUMPS);
            ``taylor-hood`` for the flow; ``midpoint`` of the two-sided bounds, and ``half-gap``: their half-width, an
            error that is *guaranteed* for the mesh with straight sides and needs no reference.
NGSolve     OpenCASCADE geometry with periodic edges, elements curved as their order, orders 1 to 4 with static
            condensation, Taylor and Hood's for the flow; sparse Cholesky (it was faster than UMFPACK).
SfePy       P1 and P2 (P2/P1 for the flow) on the triangles of homfem with straight sides, periodic conditions; its
            direct solver: UMFPACK with scikit-umfpack, else SuperLU.

    python tests/benchmarks/mechanics_peers.py --json build/mechanics.json --figure build/mechanics.png
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))
from comparison import Comparison
from equal_error import Case
from mechanics_solvers import FRACTION, SOLVERS

#: C11, C12, C66 and k/L^2, converged to ``ACCURACY``.
REFERENCE = {"elasticity": (2.07500597, 0.79325060, 0.55703320), "stokes": (0.0097199390,)}
ACCURACY = 1e-8


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


COMPARISON = Comparison(
    script=__file__,
    about="Seconds from geometry to tensor against relative error.",
    peers={"homfem": "dolfinx", "ngsolve": "ngsolve", "sfepy": "sfepy"},
    solvers=SOLVERS,
    cases={
        "elasticity": f"round fibres, fraction {FRACTION}: plane strain",
        "stokes": f"round fibres, fraction {FRACTION}: flow across the fibres",
    },
    plan=plan,
    error=error,
    levels=(1e-2, 1e-3, 1e-4, 1e-5, 1e-6),
)

if __name__ == "__main__":
    COMPARISON.main()
