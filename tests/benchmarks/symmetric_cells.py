"""CPU time of curved cells whole and on the part between their mirror planes: meshing, solving, both.

    OMP_NUM_THREADS=1 python tests/benchmarks/symmetric_cells.py [--json FILE.json] [--coarse 2]

The diffusion cell problem with both bounds, contrast 10, at one resolution: on the grid that takes no notice of the
mirrors (``mirrors="none"``, ``symmetry="none"``), and on the symmetric one (``"auto"`` both). Each is solved
on a coarse mesh before, so that forms are compiled. The half-gaps tell whether both are equally good.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from typing import Any

from measure import table, write_json

from homfem import UnitCell, solve_diffusion
from homfem.cells import fibre_array, sphere_array, struts, tpms

CELLS: dict[str, tuple[Callable[..., UnitCell], dict[str, Any], float]] = {
    "spheres, simple cubic": (sphere_array, {"lattice": "simple-cubic", "fraction": 0.3}, 0.05),
    "spheres, body-centred": (sphere_array, {"lattice": "body-centred", "fraction": 0.3}, 0.0625),
    "spheres, face-centred": (sphere_array, {"lattice": "face-centred", "fraction": 0.3}, 0.0625),
    "Schwarz P": (tpms, {"surface": "schwarz-p"}, 0.0625),
    "struts, cubic": (struts, {"kind": "cubic", "thickness": 0.4}, 0.0625),
    "fibres, square": (fibre_array, {"lattice": "square", "fraction": 0.5}, 0.02),
    "fibres, hexagonal": (fibre_array, {"lattice": "hexagonal", "fraction": 0.5}, 0.02),
}


def run(name: str, symmetry: str, coarse: float) -> dict[str, Any]:
    """Mesh and solve one cell; CPU seconds of this process."""
    make, keys, resolution = CELLS[name]
    start = time.process_time()
    cell = make(**keys, resolution=min(resolution * coarse, 0.125), mirrors=symmetry)
    meshed = time.process_time()
    found = solve_diffusion(cell, dict(zip(cell.phase_names, (10.0, 1.0), strict=True)), symmetry=symmetry)
    end = time.process_time()
    tensor = found.tensor
    return {
        "cell": name,
        "symmetry": symmetry,
        "mesh": meshed - start,
        "solve": end - meshed,
        "cells": cell.number_of_cells,
        "solved": found.cell.number_of_cells,
        "loads": len(found.correctors.average),
        "value": tensor.value[0, 0],
        "half_gap": tensor.relative_gap,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", metavar="FILE")
    parser.add_argument("--coarse", type=float, default=1.0, help="factor of all resolutions")
    parser.add_argument("--cells", nargs="*", default=list(CELLS), choices=list(CELLS))
    options = parser.parse_args()
    for name in options.cells:
        for symmetry in ("none", "auto"):
            run(name, symmetry, 100.0)
    results, rows = [], []
    for name in options.cells:
        whole, part = (run(name, symmetry, options.coarse) for symmetry in ("none", "auto"))
        results += [whole, part]
        for r in (whole, part):
            numbers = [f"{r[key]:.3g}" for key in ("mesh", "solve")]
            rows.append([r["cell"], r["symmetry"], r["cells"], r["solved"], r["loads"], *numbers, f"{r['value']:.6f}",
                         f"{r['half_gap']:.1e}"])  # fmt: skip
        ratios = {key: whole[key] / part[key] for key in ("mesh", "solve")}
        ratios["both"] = (whole["mesh"] + whole["solve"]) / (part["mesh"] + part["solve"])
        part["ratios"] = ratios
        rows.append(["", "ratio", "", "", "", *(f"{ratios[key]:.1f}" for key in ("mesh", "solve")),
                     f"both {ratios['both']:.1f}", ""])  # fmt: skip
    head = ["cell", "symmetry", "mesh cells", "solved", "loads", "mesh s", "solve s", "value", "half-gap"]
    print(table("CPU seconds, whole and by symmetry", head, rows))
    if options.json:
        write_json(options.json, {"results": results})


if __name__ == "__main__":
    main()
