"""Seconds from geometry to tensor against relative error: homfem beside NGSolve and scikit-fem, in one run.

Two cells: three crossing square pipes of edge 0.1 (``er``) and what is around them (``cytosol``), insulated interface.
Every method solves the three loads of the periodic cell problem and gives the whole tensor. The relative error is that
of its first diagonal entry against the converged value (``REFERENCE``). Time runs from nothing to the tensor: geometry,
mesh, constraint, assembly, solve, average; imports and compilation of forms are apart (one coarse case first, in the
same process); ``comparison.py`` says how it is measured.

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

    python tests/benchmarks/peers.py --json build/peers.json --figure build/peers.png
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))
from comparison import Comparison
from equal_error import OCTANT, Case
from peer_solvers import EDGE, SOLVERS

#: Converged first diagonal entries of D*/D for edge 0.1, from hp finite elements; good to 1e-7 and better.
REFERENCE = {"er": 0.0104499413, "cytosol": 0.94938977}


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


COMPARISON = Comparison(
    script=__file__,
    about="Seconds from geometry to tensor against relative error.",
    peers={"homfem": "dolfinx", "ngsolve": "ngsolve", "scikit-fem": "skfem"},
    solvers=SOLVERS,
    cases={phase: f"three pipes of edge {EDGE}: {phase}" for phase in REFERENCE},
    plan=plan,
    error=error,
    levels=(1e-2, 3e-3, 1e-3, 3e-4, 1e-4),
    parts={
        ", whole": lambda curve: not curve.startswith(OCTANT),
        ", octant": lambda curve: curve.startswith(OCTANT),
    },
)

if __name__ == "__main__":
    COMPARISON.main()
