"""Stiffness of a fibre composite between guaranteed bounds, its engineering constants, and the cell under shear.

    docker/run python demos/06_elasticity.py

Long fibres in a square array, ten times as stiff as the matrix. In plane strain the bracket must hold the values of an
independent computation; in space Hill's relations give Young's modulus along the fibres within a hair of the mixture's.

Source: Hill 1964, J. Mech. Phys. Solids 12, 199 (the relations of fibre composites).
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from mpi4py import MPI

from homfem import homogenize_elasticity, solve_elasticity
from homfem.cells import fibre_array
from homfem.certify import CellSolution, hill_mandel
from homfem.output import canvas
from homfem.output.colours import colour_scale
from homfem.stiffness import PAIRS, engineering_constants

FRACTION = 0.3
SOLIDS = {"fibre": {"young": 10.0, "poisson": 0.3}, "matrix": {"young": 1.0, "poisson": 0.3}}  # GPa
PLANE = {(0, 0): 2.07500597, (0, 1): 0.79325060, (2, 2): 0.55703320}  # independent, to 1e-8
STRAIN = 0.3  # of the picture
COMM = MPI.COMM_WORLD


def plane(resolution: float, tolerance: float) -> CellSolution:
    cell = fibre_array(fraction=FRACTION, resolution=resolution)
    solution = solve_elasticity(cell, SOLIDS, tolerance=tolerance, unit="GPa")
    tensor = solution.tensor
    assert tensor.relative_gap is not None
    assert tensor.relative_gap <= tolerance
    exact = np.zeros((3, 3))
    for (i, j), value in PLANE.items():
        exact[i, j] = exact[j, i] = value
    exact[1, 1] = exact[0, 0]
    # Straight facets move the tensor by less than the width of the bracket.
    assert tensor.contains(exact, slack=2.0 * tolerance)
    assert tensor.anisotropy == "square"
    work, asymmetry = hill_mandel(solution.cell, solution.correctors)
    assert max(work, asymmetry) < 1e-6
    if COMM.rank == 0:
        print(f"plane strain:\n{tensor}\n  Hill's condition holds to {work:.0e}")
    return solution


def space(resolution: float) -> None:
    cell = fibre_array(fraction=FRACTION, resolution=resolution, refinement=0, dimension=3)
    tensor = homogenize_elasticity(cell, SOLIDS, unit="GPa")
    constants = engineering_constants(tensor.value)
    if COMM.rank == 0:
        print(f"in space:\n{tensor}")
    # With equal Poisson's ratios the mixture is exact along the fibres.
    assert abs(constants.young[2] - (FRACTION * 10.0 + (1.0 - FRACTION) * 1.0)) < 1e-3
    assert abs(constants.poisson[2, 0] - 0.3) < 1e-3
    assert constants.young[0] < 0.5 * constants.young[2]
    assert tensor.anisotropy == "tetragonal about z"


def draw(solution: CellSolution, path: Path) -> None:
    """The deformed cell under shear, coloured by the shear stress of the lower bound; one rank."""
    cell, load = solution.cell, PAIRS[2].index((0, 1))
    plain, chi = cell.periodic_mesh.plain, cell.periodic_mesh.to_plain(solution.correctors.functions[load])
    nodes = plain.geometry.x[:, :2]
    vertices = np.asarray(plain.geometry.dofmap)[:, :3]
    # The values of the corrector at the corners of each mesh cell come first in its unknowns.
    corners = chi.function_space.dofmap.list[:, :3]
    displacement = np.stack([chi.x.array[2 * corners], chi.x.array[2 * corners + 1]], axis=2)
    moved = np.zeros_like(nodes)
    moved[vertices] = displacement
    moved[:, 0] += 0.5 * nodes[:, 1]
    moved[:, 1] += 0.5 * nodes[:, 0]
    stress = cell.periodic_mesh.to_plain(solution.dual.functions[load])
    shear = stress.x.array.reshape(-1, 3)[stress.function_space.dofmap.list, 2]
    fibre = np.empty(len(vertices), dtype=bool)
    fibre[cell.periodic_mesh.plain_cell] = cell.phase_of_cell == cell.phases["fibre"]
    deformed = nodes + STRAIN * moved
    scale = colour_scale(shear)
    with canvas.styled():
        figure = canvas.sheet(10.6, 4.9, layout="constrained")
        panels = figure.subplots(1, 2)
        panels[0].triplot(*deformed.T, vertices, lw=0.4, color="0.65")
        panels[0].triplot(*deformed.T, vertices[fibre], lw=0.5, color="#D55E00")
        panels[0].plot([], [], color="#D55E00", label="fibre")
        panels[0].plot([], [], color="0.65", label="matrix")
        panels[0].set_title(f"(a) shear xy of {STRAIN:g}, drawn as it is", loc="left")
        where = deformed[vertices].reshape(-1, 2)
        alone = np.arange(len(where)).reshape(-1, 3)
        panels[1].tripcolor(*where.T, alone, shear.ravel(), shading="gouraud", cmap=scale.colormap, norm=scale.norm)
        figure.colorbar(scale.mappable, ax=panels[1], label="stress xy for the shear xy = 1 (GPa)")
        panels[1].set_title("(b) stress in equilibrium, of the lower bound", loc="left")
        for panel in panels:
            panel.plot([0, 1, 1, 0, 0], [0, 0, 1, 1, 0], "--", lw=0.9, color="0.2", label="at rest")
            panel.set(aspect="equal", xlabel="x / period", ylabel="y / period", ylim=(-0.06, 1.32))
        panels[0].legend(loc="upper center", ncols=3, frameon=False, fontsize=9)
        canvas.save(figure, path)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("out/elasticity"), help="folder of the figure")
    parser.add_argument("--coarse", action="store_true", help="coarse meshes, for the tests")
    chosen = parser.parse_args()
    solution = plane(0.12 if chosen.coarse else 0.05, 5e-3 if chosen.coarse else 5e-4)
    space(0.3 if chosen.coarse else 0.2)
    if COMM.size == 1:
        chosen.out.mkdir(parents=True, exist_ok=True)
        draw(solution, chosen.out / "elasticity.png")
        print(f"figure: {chosen.out / 'elasticity.png'}")


if __name__ == "__main__":
    main()
