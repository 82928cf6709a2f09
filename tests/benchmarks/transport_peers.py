"""Seconds from geometry to dispersion tensors against relative error: homfem beside NGSolve and scikit-fem, in one run.

Slow flow around round fibres and spheres, along the first axis (``transport_cells.py``): one of each, where the fixed
costs of each code weigh, and 16 and 64 fibres and 8 spheres at random places; one Peclet number, or 32 from .1 to 1000.
The relative error is the largest of those of the diagonal entries at the numbers that are known (``REFERENCE``). Time
runs from nothing to the tensors: geometry, mesh, constraint, flow, all loads of the cell problem; imports and
compilation of forms are apart (one case of each curve first, in the same process); ``comparison.py`` says how it is
measured.

homfem      ``solve_dispersion`` on its own mesh, sides of second or fourth order; Taylor and Hood's flow, degree 2 to 6
            for both, 2 and 3 in space.
NGSolve     OpenCASCADE geometry with periodic edges, elements curved as their order, orders 2 to 6 (4 in space) with
            static condensation; Taylor and Hood's flow of the same order by sparse Cholesky, the cell problem with skew
            convection by UMFPACK. It was faster than the symmetrised saddle point by sparse Cholesky, and at 32 numbers
            than K + Pe C without condensation, assembled once and factored in one pattern.
scikit-fem  P2 to P4 on the triangles of homfem, with sides curved by quadratic maps; Taylor and Hood's flow; SuperLU.
            Not in space.

Errors below those of the references are not told apart.

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
from transport_cells import MEDIA
from transport_solvers import SOLVERS

#: D*/D over the fluid along the axes, after the relative error of these, by the balls along a side, the dimension and
#: the Peclet number. One fibre: by orders 6 to 10; the others by orders 8 and 10 of NGSolve, in space 4 and 5.
REFERENCE = {
    (1, 2): {10.0: (1e-7, 2.0785848, 0.8200195), 100.0: (1e-7, 71.510432, 1.0499567)},
    (4, 2): {40.0: (3e-7, 1.8252681, 1.4175024), 1000.0: (1e-5, 140.4396, 3.31767)},
    (8, 2): {80.0: (3e-6, 3.369713, 1.224305), 1000.0: (5e-6, 130.14317, 2.929569)},
    (1, 3): {10.0: (1e-5, 1.866392, 0.882309, 0.882309)},
    (2, 3): {20.0: (1e-4, 1.77072, 0.927034, 0.924675)},
}


def plan(peer: str, name: str) -> list[Case]:
    """Return the cases of one method, the coarsest of each curve first."""
    medium, cases = MEDIA[name], list[Case]()
    one, plane = medium.n == 1, medium.dimension == 2
    if peer == "ngsolve":
        sizes = {True: (0.3, 0.15, 0.1, 0.06), False: (0.5, 0.35, 0.2)}[one] if plane else (0.4, 0.3, 0.2)
        if not plane and len(medium.numbers) > 1:
            sizes = (0.4, 0.3)
        for order in range(2 if one or not plane else 3, 7 if plane else 4):
            cases += [{"curve": f"order {order}", "order": order, "size": size} for size in sizes]
        return cases
    if peer == "scikit-fem":
        finest = {2: 0.025, 3: 0.05, 4: 0.1} if one else {3: 0.1, 4: 0.2}
        for degree in finest if plane else ():
            sizes = [size for size in (0.2, 0.1, 0.05, 0.025) if size >= finest[degree]]
            cases += [{"curve": f"P{degree}", "degree": degree, "resolution": size} for size in sizes]
        return cases
    if plane:
        sizes = {(2, 2): (0.2, 0.1, 0.05, 0.025), (3, 2): (0.2, 0.1, 0.05), (4, 2): (0.2, 0.1), (4, 4): (0.2, 0.1)}
        sizes |= {(5, 4): (1 / 3, 0.2), (6, 4): (1 / 3, 0.2)}
        if not one:
            sizes = {(3, 4): (0.3, 0.2), (4, 4): (0.3, 0.2), (5, 4): (0.4, 1 / 3, 0.25), (6, 4): (0.5,)}
    else:
        sizes = {(2, 2): (0.25, 0.15), (3, 2): (1 / 3, 0.25)}
    for (degree, geometry), several in sizes.items():
        case = {"curve": f"degree {degree}, sides of order {geometry}", "degree": degree, "geometry": geometry}
        cases += [{**case, "resolution": size} for size in several]
    return cases


def error(result: Mapping[str, Any]) -> float:
    """Return the largest relative error of the known entries, no less than that of the reference."""
    medium = MEDIA[result["phase"]]
    d = medium.dimension
    pairs = dict(zip(medium.numbers, zip(*[iter(result["value"])] * d, strict=True), strict=True))
    apart = []
    for number, (accuracy, *known) in REFERENCE[medium.n, d].items():
        if number in pairs:
            apart += [accuracy, *(abs(v / exact - 1.0) for v, exact in zip(pairs[number], known, strict=True))]
    return max(apart)


COMPARISON = Comparison(
    script=__file__,
    about="Seconds from geometry to dispersion tensors against relative error.",
    peers={"homfem": "dolfinx", "ngsolve": "ngsolve", "scikit-fem": "skfem"},
    solvers=SOLVERS,
    cases={name: f"dispersion: {medium.title}" for name, medium in MEDIA.items()},
    plan=plan,
    error=error,
    levels=(1e-2, 1e-3, 1e-4, 1e-5, 1e-6),
)

if __name__ == "__main__":
    COMPARISON.main()
