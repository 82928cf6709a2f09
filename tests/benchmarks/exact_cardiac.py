"""Errors against the exact solutions of Pathmanathan and Gray 2014 by scheme, beside those of the paper's code.

L-infinity in time of the L2 norm, at the paper's steps dt = 0.1 (h/0.1)^2, of V and of the extracellular potential. The
paper's code takes the ionic current of states interpolated in the cells at the start of a step, and the diffusion and
both potentials at its end: here Godunov's splitting with backward Euler, ``coupling="implicit"`` and
``current="interpolated"``.

    python tests/benchmarks/exact_cardiac.py
    python tests/benchmarks/exact_cardiac.py --cells 10 20 40 80 --dimensions 2      # some minutes
"""

from __future__ import annotations

import argparse
import logging
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
from measure import table

SCHEMES = {
    "Strang, Crank-Nicolson": {"splitting": "strang"},
    "Strang, TR-BDF2": {"splitting": "strang", "scheme": "tr-bdf2"},
    "Godunov, Crank-Nicolson": {},
    "Godunov, backward Euler": {"scheme": "backward-euler"},
    "the same, coupling implicit": {"scheme": "backward-euler", "coupling": "implicit"},
    "that of the paper": {"scheme": "backward-euler", "coupling": "implicit", "current": "interpolated"},
}


def main() -> None:
    parser = argparse.ArgumentParser(description="Errors of the cardiac models against exact solutions, by scheme.")
    parser.add_argument("--cells", nargs="+", type=int, default=[10, 20], help="along a side of the tissue")
    parser.add_argument("--dimensions", nargs="+", type=int, default=[1, 2])
    parser.add_argument("--kinds", nargs="+", default=["monodomain", "bidomain", "bath"])
    options = parser.parse_args()

    from homfem.macro.cardiac import CardiacMethod
    from homfem.validation.exact_cardiac import Exact
    from homfem.validation.published import PATHMANATHAN

    logging.getLogger("homfem").setLevel(logging.ERROR)
    sizes = [10, 20, 40, 80]
    rows = []
    for dimension in options.dimensions:
        for kind in options.kinds:
            for name, given in SCHEMES.items():
                exact, method = Exact(kind=kind, dimension=dimension), CardiacMethod(**given)
                found = [exact.errors(n, 0.1 * (10 / n) ** 2, method=method) for n in options.cells]
                for field in found[0]:
                    rows.append((f"{dimension}D", kind, field, name, *(f"{errors[field]:.5f}" for errors in found)))
            if dimension == 2:
                for field, printed in PATHMANATHAN[kind].items():
                    at = dict(zip(sizes, printed, strict=True))
                    entries = (f"{at[n]:g}" if n in at else "" for n in options.cells)
                    rows.append(("2D", kind, field, "printed", *entries))
    heads = ("", "model", "field", "scheme", *(f"h = 1/{n}" for n in options.cells))
    print(table("Errors, dt = 0.1 (h/0.1)^2", heads, rows))


if __name__ == "__main__":
    main()
