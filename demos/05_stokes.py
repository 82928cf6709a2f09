"""Slow flow through a packing of spheres: permeability, against published numbers and a formula.

    docker/run python demos/05_stokes.py

1. A slit of width h: K = porosity * h^2 / 12; with the slip length b at its walls 1 + 6 b/h times as much.
2. Cylinders in a square array, across their axes: with a lower and an upper bound, and with an estimate of the error.
3. Spheres in a simple cubic array: K / L^2 = 1 / (6 pi (a/L) F) with the drag F over Stokes's, and the flow.

Source: Zick, Homsy 1982, doi 10.1017/S0022112082000627 (spheres); Sangani, Acrivos 1982, doi
10.1016/0301-9322(82)90029-5 (cylinders).
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from mpi4py import MPI

from homfem import homogenize_stokes, solve_stokes
from homfem.cells import fibre_array, slit, sphere_array
from homfem.certify import CellSolution
from homfem.output.cell_figures import at_second_order
from homfem.output.pictures import draw_fields, made_drawable
from homfem.output.views import CellView

COMM = MPI.COMM_WORLD
CYLINDERS = {0.2: 51.53, 0.4: 217.89, 0.6: 1763.0}  # F/(mu U) of a cylinder per length
SPHERES = {0.216: 7.442, 0.343: 15.4}  # F/(6 pi mu a U)


def say(text: str) -> None:
    if COMM.rank == 0:
        print(text, flush=True)


def draw_flow(solution: CellSolution, load: int, path: Path) -> None:
    """Lines along the flow, coloured by its speed over the mean, about the sphere."""
    cell, solved = solution.cell, solution.correctors
    flow = at_second_order(cell, solved.problem, (0,), solved.functions[load])
    if flow is not None and cell.raw is not None:
        mean = solved.average[load, load]
        raw = cell.raw
        drawn = made_drawable(raw.points, raw.cells, raw.phase_of_cell, vectors=flow / mean).sized()
        title = f"Stokes flow between spheres, force along {'xyz'[load]} (lengths in periods)"
        view = CellView(label="speed over Darcy's velocity", title=title)
        draw_fields(drawn, path, phases=cell.phases, view=view)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("out/05_stokes"), help="folder of the figure")
    parser.add_argument("--coarse", action="store_true", help="coarse meshes and fewer packings, for the tests")
    chosen = parser.parse_args()
    if COMM.rank == 0:
        chosen.out.mkdir(parents=True, exist_ok=True)
    COMM.barrier()

    # 1. a slit of 5 um in a period of 10 um
    exact = 0.5 * 5.0**2 / 12.0
    channel = slit(0.5, resolution=0.2, period=10.0, length_unit="um")
    sticking = homogenize_stokes(channel)
    sliding = homogenize_stokes(channel, slip_length=0.5)
    say(str(sticking))
    assert np.allclose(sticking.value, np.diag([0.0, exact]), rtol=1e-9)
    assert np.allclose(sliding.value, np.diag([0.0, exact * (1.0 + 6.0 * 0.5 / 5.0)]), rtol=1e-9)

    # 2. cylinders: bounds as close as is asked for, and an estimate, on meshes that are refined where it matters
    for fraction, drag in CYLINDERS.items():
        cell = fibre_array(fraction=fraction, resolution=0.05)
        bounded = homogenize_stokes(cell, "matrix", bounds=True, tolerance=0.02 if chosen.coarse else 0.004)
        estimated = homogenize_stokes(cell, "matrix", tolerance=1e-4)
        lower, upper = bounded.lower[0, 0] * drag, bounded.upper[0, 0] * drag
        say(
            f"cylinders {fraction:.2f}: K between {lower:.4f} and {upper:.4f} of the published value ({bounded.dofs} "
            f"dofs); {estimated.value[0, 0] * drag:.5f}, within {estimated.estimated_error:.0e} by an estimate "
            f"({estimated.dofs} dofs)"
        )
        # Refinement leaves the straight facets where they are, so that both are of one and the same polygon.
        assert bounded.contains(estimated.value)
        assert abs(estimated.value[0, 0] * drag - 1.0) < 0.002
        assert abs(estimated.value[0, 0] - 1.0 / drag) < estimated.geometric_error + 5e-4 / drag

    # 3. spheres
    packings = [0.216] if chosen.coarse else list(SPHERES)
    for fraction in packings:
        radius = (0.75 * fraction / np.pi) ** (1 / 3)
        expected = 1.0 / (6.0 * np.pi * radius * SPHERES[fraction])
        cell = sphere_array(fraction=fraction, resolution=0.25 if chosen.coarse else 0.2)
        solution = solve_stokes(cell, "matrix")
        ratio = np.diag(solution.tensor.value) / expected
        say(
            f"spheres {fraction:.3f}: K/L^2 = {solution.tensor.value[0, 0]:.6f}, "
            f"{ratio[0]:.5f} of the published value; {solution.tensor.dofs} dofs"
        )
        assert np.all(np.abs(ratio - 1.0) < 0.005)
        if fraction == 0.216:
            say(str(solution.tensor))
            draw_flow(solution, 0, chosen.out / "flow.png")
    say(f"the flow is drawn in {chosen.out / 'flow.png'}")


if __name__ == "__main__":
    main()
