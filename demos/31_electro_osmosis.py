"""Charged fibres in a salt: how the double layers carry current and fluid, from overlapping layers to thin ones.

    docker/run python demos/31_electro_osmosis.py [--out FOLDER]

Fibres of 31 nm radius in a square array with a period of 100 nm hold -50 mV against a solution of potassium chloride,
whose concentration goes from 0.1 to 100 mmol/l: Debye's length falls from 30 to 1 nm.

1. Conductivity, transference number of potassium, electro-osmotic mobility and electro-viscous permeability against the
   concentration: in dilute solution the walls conduct and choose the cations, in a concentrated one they do neither,
   and the mobility tends to Smoluchowski's. The transference number counts the ions that the flow carries along.
2. At 1 mmol/l the potential, both concentrations, and the flow that a field drives.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np
from mpi4py import MPI

from homfem import EffectiveTensor, solve_electrokinetics
from homfem.cells import UnitCell, fibre_array
from homfem.certify import CellSolution
from homfem.electrolytes import FARADAY, VACUUM, Ion, conductivity_factor

COMM = MPI.COMM_WORLD
PERMITTIVITY, VISCOSITY, ZETA, TEMPERATURE = 78.4 * VACUUM, 0.89e-3, -0.05, 298.15
DIFFUSIVITIES = {"K": 1.957e-9, "Cl": 2.032e-9}


def say(text: str) -> None:
    if COMM.rank == 0:
        print(text, flush=True)


def salt(bath: float) -> list[Ion]:
    """Potassium chloride of a concentration in mol/m^3."""
    valences = {"K": 1, "Cl": -1}
    return [Ion(name=k, valence=valences[k], bath=bath, diffusivities={"matrix": d}) for k, d in DIFFUSIVITIES.items()]


def solved(cell: UnitCell, bath: float) -> CellSolution:
    return solve_electrokinetics(
        cell,
        salt(bath),
        "matrix",
        viscosity=VISCOSITY,
        permittivity=PERMITTIVITY,
        wall_potential=ZETA,
        temperature=TEMPERATURE,
        degree=3,
    )


def along(tensor: EffectiveTensor, name: str) -> float:
    return float(tensor.coefficients[name].value.ravel()[0])


def nodal(solution: CellSolution) -> dict[str, Any]:
    """Potential, concentrations and the velocity that a field along x drives, at the nodes, on rank 0; collective."""
    cell, correctors = solution.cell, solution.correctors
    psi = cell.nodal_values(correctors.problem.given[0])
    # A field pulls the cations and pushes the anions: the loads of both ions along x, less the other.
    flow = [cell.nodal_values(correctors.functions[load][0]) for load in (2, 4)]
    if psi is None or flow[0] is None or flow[1] is None:
        return {}
    return {"psi": psi, "flow": flow[0] - flow[1]}


def draw(solution: CellSolution, path: Path) -> None:
    """The equilibrium and the flow of a field, in four panels; collective."""
    fields, raw = nodal(solution), solution.cell.raw
    if raw is None or not fields:
        return
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt
    from matplotlib.tri import LinearTriInterpolator, Triangulation

    size = solution.cell.length
    mesh = Triangulation(*(size * raw.points.T), raw.corners)
    speed = np.linalg.norm(fields["flow"], axis=1)
    mean = fields["flow"][:, 0].max()
    panels = [
        ("potential (mV)", 25.693 * fields["psi"], "viridis"),
        ("potassium over that of the bath", np.exp(-fields["psi"]), "magma"),
        ("chloride over that of the bath", np.exp(fields["psi"]), "magma"),
        ("flow in a field along x (relative)", speed / mean, "cividis"),
    ]
    figure, axes = plt.subplots(1, 4, figsize=(16.0, 4.4), layout="constrained")
    for axis, (title, values, colours) in zip(axes, panels, strict=True):
        image = axis.tripcolor(mesh, values, shading="gouraud", cmap=colours)
        figure.colorbar(image, ax=axis, shrink=0.8)
        axis.set(title=title, aspect="equal", xlabel="x (nm)", xlim=(0.0, size), ylim=(0.0, size))
    axes[0].set_ylabel("y (nm)")
    grid = np.linspace(0.0, size, 80)
    x, y = np.meshgrid(grid, grid)
    u, v = (LinearTriInterpolator(mesh, fields["flow"][:, k])(x, y) for k in range(2))
    inside = np.hypot(x - 0.5 * size, y - 0.5 * size) < size * np.sqrt(0.3 / np.pi)
    u[inside], v[inside] = np.nan, np.nan
    axes[3].streamplot(x, y, u, v, color="white", linewidth=0.7, arrowsize=0.7, density=0.9)
    axes[3].set(xlim=(0.0, size), ylim=(0.0, size))  # which the lines have moved
    figure.savefig(path, dpi=130)
    plt.close(figure)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("out/31_electro_osmosis"), help="folder of the figure")
    parser.add_argument("--coarse", action="store_true", help="a coarse mesh and fewer salts, for the tests")
    chosen = parser.parse_args()
    if COMM.rank == 0:
        chosen.out.mkdir(parents=True, exist_ok=True)
    COMM.barrier()

    order = {"order": 2} if not chosen.coarse else {}
    cell = fibre_array(
        fraction=0.3, period=100.0, length_unit="nm", resolution=0.1 if chosen.coarse else 0.05,
        refinement=0 if chosen.coarse else 1, **order,
    )  # fmt: skip
    baths = [0.1, 1.0] if chosen.coarse else [0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 100.0]
    # What is left of the conductivity of the solution between insulating fibres, and of Smoluchowski's mobility.
    open_part = 0.53758
    slip = -PERMITTIVITY * ZETA / VISCOSITY * open_part
    say("mmol/l  sigma (S/m)  of an uncharged cell  t(K)    mobility / Smoluchowski's  K electro-viscous / K")
    ratios = []
    for bath in baths:
        tensor = solved(cell, bath).tensor
        free = conductivity_factor(TEMPERATURE) * bath * sum(DIFFUSIVITIES.values()) * open_part
        sigma, mobility = along(tensor, "conductivity"), along(tensor, "electroosmotic_mobility")
        stopped = along(tensor, "electroviscous_permeability") / along(tensor, "permeability")
        ratios.append((sigma / free, along(tensor, "transference.K"), mobility / slip, stopped))
        numbers = f"{sigma / free:20.3f}  {ratios[-1][1]:.4f}  {ratios[-1][2]:24.4f}  {stopped:21.4f}"
        say(f"{bath:6g}  {sigma:11.5f}  {numbers}")
        matrix = tensor.coefficients["onsager_bath"].value
        assert np.array_equal(matrix, matrix.T)
    surplus, carried, slipping, held = np.array(ratios).T
    assert np.all(np.diff(surplus) < 0.0)
    assert surplus[0] > 2.0
    assert np.all(np.diff(carried) < 0.0)
    assert carried[0] > 0.9
    assert np.all(np.diff(slipping) > 0.0)
    assert slipping[-1] < 1.0
    assert np.all(held < 1.0)
    if not chosen.coarse:
        assert slipping[-1] > 0.85
        assert surplus[-1] < 1.06
        # Of thin layers: the part of the free solution, and the ions that the electro-osmotic flow carries along.
        free = DIFFUSIVITIES["K"] / sum(DIFFUSIVITIES.values())
        with_flow = FARADAY * baths[-1] * along(tensor, "electroosmotic_mobility") / along(tensor, "conductivity")
        assert 0.0 < carried[-1] - free - with_flow < 0.06  # what is left of the layers
    # The picture takes straight facets: its values are those of the nodes.
    plain = fibre_array(fraction=0.3, period=100.0, length_unit="nm", resolution=0.1 if chosen.coarse else 0.03)
    draw(solved(plain, 1.0), chosen.out / "electro_osmosis.png")
    say(f"the equilibrium and the flow are drawn in {chosen.out / 'electro_osmosis.png'}")


if __name__ == "__main__":
    main()
