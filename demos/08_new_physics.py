"""A physics of your own from two formulas: piezo-electric fibres in a polymer.

    docker/run python demos/08_new_physics.py

homfem has no piezo-electricity. A cell problem is a list of unknown fields and two UFL expressions, the bilinear form
and the fields of a uniform macroscopic gradient; the engine does the rest: periodicity, loads, a solver for the coupled
system, averages. With the strain e(u) in Voigt notation and the electric potential p (the field is E = -grad p):

    stress       = C e(u) + d^T grad p          displacement = d e(u) - k grad p

Figure: ``piezo.png``, the potential in a cell that is stretched along the fibres' polarisation.

Source of the constants: PZT-5H; Auld, Acoustic Fields and Waves in Solids, 1973.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np
import ufl
from mpi4py import MPI

from homfem.cells import UnitCell, fibre_array, laminate
from homfem.local.elasticity import rigid_motions, strained, voigt_strain
from homfem.local.engine import solve_correctors
from homfem.local.problem import CellProblem, Correctors, Field, element_of
from homfem.output.cell_figures import at_second_order
from homfem.output.pictures import draw_fields, made_drawable
from homfem.output.views import CellView

# Plane strain, polarised along y. Stiffness in GPa (xx, yy, xy), coupling in C/m^2, permittivity in nF/m: the potential
# then is in GV, and stress, displacement and energy come out in GPa, C/m^2 and GJ/m^3.
PZT = {
    "C": [[126.0, 84.1, 0.0], [84.1, 117.0, 0.0], [0.0, 0.0, 23.0]],
    "d": [[0.0, 0.0, 17.0], [-6.5, 23.3, 0.0]],
    "k": [[15.05, 0.0], [0.0, 13.02]],
}
POLYMER = {
    "C": [[8.0, 4.4, 0.0], [4.4, 8.0, 0.0], [0.0, 0.0, 1.8]],
    "d": [[0.0, 0.0, 0.0], [0.0, 0.0, 0.0]],
    "k": [[0.037, 0.0], [0.0, 0.037]],
}
COMM = MPI.COMM_WORLD


def say(text: str) -> None:
    if COMM.rank == 0:
        print(text, flush=True)


def piezo_problem(cell: UnitCell, phases: dict[str, dict[str, Any]], degree: int = 2) -> CellProblem:
    """The cell problem: loads are the strains xx, yy, xy and the gradients of the potential along x and y."""
    C, d, k = (cell.cell_function({name: values[key] for name, values in phases.items()}) for key in ("C", "d", "k"))

    def bilinear(one: Any, other: Any) -> ufl.Form:
        (u, p), (v, q) = one, other
        stress = C * voigt_strain(u) + ufl.transpose(d) * ufl.grad(p)
        displacement = d * voigt_strain(u) - k * ufl.grad(p)
        return (ufl.inner(stress, voigt_strain(v)) + ufl.inner(displacement, ufl.grad(q))) * ufl.dx

    return CellProblem(
        name="piezo-electricity",
        fields=(
            Field(element=element_of(cell, "Lagrange", degree, shape=(2,)), near_kernel=rigid_motions(2)),
            Field(element=element_of(cell, "Lagrange", degree)),
        ),
        loads=5,
        bilinear=bilinear,
        affine=lambda x, s: (strained(x, s, 2), s[3] * x[0] + s[4] * x[1]),
        domain=cell.mesh,
        kind="saddle",
    )


def exact_laminate(shares: list[float], phases: list[dict[str, Any]]) -> np.ndarray:
    """Layers with normal x: uniform fields in each, jumps of their gradients along x, continuous tractions."""
    matrices = [
        np.block([[np.array(p["C"]), np.array(p["d"]).T], [np.array(p["d"]), -np.array(p["k"])]]) for p in phases
    ]
    jumps = np.array([[1, 0, 0, 0, 0], [0, 0, 1, 0, 0], [0, 0, 0, 1, 0]], dtype=float)  # u_x, u_y and p along x
    a, b = (jumps @ m @ jumps.T for m in matrices)
    difference = jumps @ (matrices[1] - matrices[0])
    # J (M_a (G + J^T w) - M_b (G - share_a / share_b J^T w)) = 0 for every macroscopic gradient G.
    w = np.linalg.solve(a + shares[0] / shares[1] * b, difference)
    gradients = (np.eye(5) + jumps.T @ w, np.eye(5) - shares[0] / shares[1] * jumps.T @ w)
    return sum(share * m @ g for share, m, g in zip(shares, matrices, gradients, strict=True))


def draw(cell: UnitCell, solved: Correctors, path: Path) -> None:
    values = at_second_order(cell, solved.problem, (1,), solved.functions[1])
    if values is None or cell.raw is None:
        return
    raw = cell.raw
    drawn = made_drawable(raw.points, raw.cells, raw.phase_of_cell, 1e3 * (values - values.mean()))
    view = CellView(
        title="piezo-electric fibre, polarised along y: stretch along y",
        label="potential for the strain yy = 1 (MV per metre of period)",
        unit="periods",
    )
    draw_fields(drawn, path, phases=raw.phases, view=view)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--coarse", action="store_true", help="a coarse mesh, for a quick look")
    parser.add_argument("--out", type=Path, default=Path("out/08_new_physics"), help="folder of the figure")
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    # Layers first: every number is known.
    layers = laminate([0.3, 0.7], axis="x", dimension=2, resolution=0.25)
    found = solve_correctors(layers, piezo_problem(layers, {"layer1": PZT, "layer2": POLYMER}), rtol=1e-12).average
    exact = exact_laminate([0.3, 0.7], [PZT, POLYMER])
    say(f"layers: largest error {np.abs(found - exact).max():.1e} of entries up to {np.abs(exact).max():.1f}")
    assert np.abs(found - exact).max() < 1e-7
    cell = fibre_array("square", fraction=0.5, dimension=2, resolution=0.1 if arguments.coarse else 0.03)
    solved = solve_correctors(cell, piezo_problem(cell, {"fibre": PZT, "matrix": POLYMER}))
    moduli, coupling, permittivity = solved.average[:3, :3], solved.average[3:, :3], -solved.average[3:, 3:]
    with np.printoptions(precision=4, suppress=True):
        say(f"fibres: {solved.dofs} dofs, {solved.iterations} iterations for 5 loads")
        say(f"stiffness (GPa)\n{moduli}\ncoupling (C/m^2)\n{coupling}\npermittivity (nF/m)\n{permittivity}")
    # The energy is positive in the strain and negative in the gradient of the potential, as in each phase.
    assert np.linalg.eigvalsh(moduli)[0] > 0.0
    assert np.linalg.eigvalsh(permittivity)[0] > 0.0
    # Half of the area is active, but the field hardly enters the fibres: the coupling is far below half of theirs.
    assert 0.0 < coupling[1, 1] < 0.1 * 0.5 * PZT["d"][1][1]
    draw(cell, solved, arguments.out / "piezo.png")


if __name__ == "__main__":
    main()
