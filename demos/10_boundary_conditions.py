"""How large must a window be? The boundary conditions of a representative volume, side by side.

    docker/run python demos/10_boundary_conditions.py

One period of a medium of fibres (conductivity 10 and 1), and windows of several periods, under a uniform gradient
(KUBC), a uniform flux (SUBC) and periodic conditions. On one mesh the three are ordered exactly, and the outer two
close in on the periodic value as one over the size of the window. The same for elasticity.

Figures: ``windows.png`` (conductivity), ``windows_elastic.png``; ``field.png``, the potential for a gradient along x
over 3 x 2 periods.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from mpi4py import MPI

from homfem import compare_boundary_conditions, localise, solve_diffusion
from homfem.cells import fibre_array
from homfem.output.windows import draw_boundary_conditions

CONDUCTIVITY = {"fibre": 10.0, "matrix": 1.0}
SOLIDS = {"fibre": {"young": 10.0, "poisson": 0.3}, "matrix": {"young": 1.0, "poisson": 0.3}}
COMM = MPI.COMM_WORLD


def say(text: str) -> None:
    if COMM.rank == 0:
        print(text, flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--coarse", action="store_true", help="coarse meshes and few windows, for a quick look")
    parser.add_argument("--out", type=Path, default=Path("out/10_boundary_conditions"), help="folder of the figures")
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    coarse = arguments.coarse
    # The lower left corner of the period lies in a fibre: its faces cut through fibres, as those of a sample do.
    cell = fibre_array("hexagonal", fraction=0.4, dimension=2, resolution=0.15 if coarse else 0.06)
    windows = (1, 2, 3) if coarse else (1, 2, 3, 4, 6, 8)
    found = compare_boundary_conditions(cell, CONDUCTIVITY, windows=windows)
    say(str(found))
    assert found.violation < 1e-7
    first, last = windows[1], windows[-1]
    ratio = found.spread(first) / found.spread(last)
    say(f"from {first} to {last} periods the spread falls by {ratio:.2f} (one over the size: {last / first:.2f})")
    assert 0.8 < ratio / (last / first) < 1.25
    if COMM.rank == 0:
        draw_boundary_conditions(found, arguments.out / "windows.png")
    elastic = compare_boundary_conditions(cell, SOLIDS, physics="elasticity", windows=windows[:3])
    say(str(elastic))
    assert elastic.violation < 1e-7
    if COMM.rank == 0:
        picture = arguments.out / "windows_elastic.png"
        draw_boundary_conditions(elastic, picture, title="Apparent stiffness of three windows")
    solution = solve_diffusion(cell, CONDUCTIVITY, bounds=False)
    localise(solution.cell, solution.correctors, [1.0, 0.0]).draw(arguments.out / "field.png", (3, 2))


if __name__ == "__main__":
    main()
