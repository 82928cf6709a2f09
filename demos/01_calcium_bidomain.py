"""Calcium travels through a cell whose diffusion coefficients come from the shape of its endoplasmic reticulum (ER).

    docker/run python demos/01_calcium_bidomain.py
    docker/run mpirun -n 2 python demos/01_calcium_bidomain.py

1. The unit cell: three orthogonal pipes of the ER, 0.1 um thick, in a cube of 1 um; the cytosol is the rest.
2. The cell problems of both phases give the effective tensors A* and B* with guaranteed bounds.
3. The calcium bidomain equations on a cell body of 30 um with a nucleus:

       gamma_c dc/dt = div(A* grad c) + lambda~ f(c, e, h)
       gamma_e de/dt = div(B* grad e) - lambda~ f(c, e, h)        dh/dt = Phi(c, h)

   with SERCA pumps, IP3 receptors and a leak in the membrane of the ER. A puff of calcium at one end starts a wave.

Diffusion coefficients of calcium inside the phases are 20 um^2/s, as with the buffers of a cell (Allbritton, Meyer,
Stryer 1992, doi 10.1126/science.1465619: 13 to 65 um^2/s; 223 unbuffered).

Source: Goel, Sneyd, Friedman 2006, Multiscale Model. Simul. 5(4), 1045, eqs 2.25 to 2.28, 5.6.
"""

from __future__ import annotations

import argparse
import logging
import time
from pathlib import Path

import gmsh
import numpy as np
from dolfinx import mesh as dmesh
from mpi4py import MPI

from homfem import three_pipe
from homfem.bodies import gmsh_arrays, mesh_from_arrays
from homfem.certify import solve_diffusion
from homfem.kinetics.calcium import TRIGGER_WAVE, li_rinzel, membrane_from_rates, resting_state
from homfem.macro.calcium import CalciumProblem, front_speed, run_calcium
from homfem.output.pictures import draw_cell
from homfem.output.views import CellView, SeriesView
from homfem.output.waves import FieldRecord, draw_isochrones, draw_series
from homfem.timestepping import TimeGrid

COMM = MPI.COMM_WORLD
DIFFUSIVITY = 20.0  # um^2/s, buffered calcium in either phase
EDGE, PERIOD = 0.1, 1.0  # of the pipes: fraction of the period; um
IP3 = 0.3  # uM
PUFF = 0.8  # uM, at the centre of the start
FRONT = 0.3  # uM
# Limits of D*/D for edge 0.1, from two independent high-order methods.
LIMITS = {"er": 0.0104499413, "cytosol": 0.94938977}
PRINTED = {"er": 0.01047, "cytosol": 0.95}


def say(text: str) -> None:
    if COMM.rank == 0:
        print(text, flush=True)


def cell_body(resolution: float) -> dmesh.Mesh:
    """An ellipsoid of 30 x 24 x 18 um without its nucleus, a ball of radius 4 um; made by Gmsh on rank 0."""

    def make() -> tuple[np.ndarray, np.ndarray]:
        gmsh.initialize(interruptible=False)
        gmsh.option.setNumber("General.Terminal", 0)
        gmsh.option.setNumber("Mesh.MeshSizeMin", resolution)
        gmsh.option.setNumber("Mesh.MeshSizeMax", resolution)
        occ = gmsh.model.occ
        body = occ.addSphere(0.0, 0.0, 0.0, 1.0)
        occ.dilate([(3, body)], 0.0, 0.0, 0.0, 15.0, 12.0, 9.0)
        nucleus = occ.addSphere(2.0, 0.0, 0.0, 4.0)
        occ.cut([(3, body)], [(3, nucleus)])
        occ.synchronize()
        gmsh.model.mesh.generate(3)
        arrays = gmsh_arrays(3)
        gmsh.finalize()
        return arrays

    return mesh_from_arrays(COMM, make)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("out/01_calcium_bidomain"), help="folder of the figures")
    parser.add_argument("--coarse", action="store_true", help="coarse meshes and a short run, for the tests")
    chosen = parser.parse_args()
    if COMM.rank == 0:
        chosen.out.mkdir(parents=True, exist_ok=True)
        logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", datefmt="%H:%M:%S")
    COMM.barrier()
    start = time.perf_counter()

    # 1. the cell
    cell = three_pipe(EDGE, resolution=0.3 if chosen.coarse else 0.15, period=PERIOD, length_unit="um")
    say(cell.describe())

    # 2. the effective tensors, with bounds
    tolerance = {"er": 2e-2, "cytosol": 1e-2} if chosen.coarse else {"er": 3e-3, "cytosol": 1e-3}
    solved = {
        phase: solve_diffusion(cell, {phase: DIFFUSIVITY}, tolerance=tolerance[phase], unit="um^2/s")
        for phase in ("er", "cytosol")
    }
    for phase, solution in solved.items():
        tensor = solution.tensor
        lower, upper = tensor.lower[0, 0] / DIFFUSIVITY, tensor.upper[0, 0] / DIFFUSIVITY
        say(f"\n{phase}: {tensor}")
        say(f"  D*/D in [{lower:.7f}, {upper:.7f}]; limit {LIMITS[phase]:.8f}; printed in the paper {PRINTED[phase]}")
        assert tensor.contains(DIFFUSIVITY * LIMITS[phase])
        assert tensor.relative_gap <= tolerance[phase]
        assert tensor.anisotropy == "isotropic"
    draw_corrector(solved["er"], chosen.out / "cell.png")

    # 3. the wave
    er, cytosol = solved["er"].tensor, solved["cytosol"].tensor
    shares = {"cytosol_fraction": cytosol.active_fraction, "er_fraction": er.active_fraction}
    membrane = membrane_from_rates(TRIGGER_WAVE, **shares, interface_area=er.interface_area)
    rest = resting_state(membrane, total=TRIGGER_WAVE.c0 * cytosol.active_fraction, **shares, ip3=IP3)
    say(f"\nat rest: c = {rest.cytosol:.4f} uM, e = {rest.er:.2f} uM, h = {rest.inactivation:.4f}")
    puff = np.array([-15.0, 0.0, 0.0])

    def start_cytosol(x: np.ndarray) -> np.ndarray:
        return rest.cytosol + PUFF * np.exp(-((x - puff[:, None]) ** 2).sum(axis=0) / 6.0**2)

    body = cell_body(3.0 if chosen.coarse else 0.8)
    problem = CalciumProblem(
        mesh=body,
        cytosol=cytosol,
        er=er,
        kinetics=li_rinzel(membrane),
        ip3=IP3,
        initial_cytosol=start_cytosol,
        initial_er=rest.er,
        initial_states={"h": rest.inactivation},  # the puff is too quick for the receptors to follow
    )
    record = FieldRecord()
    end, step = (1.5, 0.05) if chosen.coarse else (3.0, 0.01)
    result = run_calcium(
        problem,
        TimeGrid(end=end, step=step),
        threshold=FRONT,
        observe=lambda snapshot: record.add(snapshot.cytosol, snapshot.time),
        observe_every=round(0.1 / step),
    )
    draw_series(
        record,
        chosen.out / "wave.png",
        view=SeriesView(label="calcium in the cytosol (µM), white: the front", style="body", front=FRONT),
        times=[0.0, 0.5, 1.0, 1.5] if chosen.coarse else [0.0, 0.5, 1.0, 1.5, 2.0, 2.5],
    )
    arrival = SeriesView(label=f"when calcium reaches {FRONT} µM (s)", style="body")
    draw_isochrones(record, chosen.out / "isochrones.png", view=arrival, threshold=FRONT)
    speed = front_speed(result.activation, origin=puff, inner=9.0, outer=14.0 if chosen.coarse else 24.0)
    steps, seconds = len(result.times) - 1, result.seconds["total"]
    say(f"\n{result.dofs} nodes, {steps} steps on {result.ranks} rank(s), {seconds:.1f} s")
    say(f"wave speed {speed:.2f} um/s; calcium conserved to {result.drift:.1e}; c up to {result.maximum.max():.2f} uM")
    assert result.drift < 1e-12
    assert 8.0 < speed < 15.0
    assert result.maximum.max() > 0.85
    say(f"figures in {chosen.out}; {time.perf_counter() - start:.0f} s in all")


def draw_corrector(solution, path: Path) -> None:
    """The ER of 2 x 2 x 2 periods, coloured by the corrector of a gradient along x."""
    values = solution.cell.nodal_values(solution.correctors.functions[0])
    raw = solution.cell.raw
    if raw is not None:
        draw_cell(
            PERIOD * raw.points,
            raw.cells,
            raw.phase_of_cell,
            path,
            phases=raw.phases,
            corrector=PERIOD * values,
            lattice=PERIOD * raw.lattice.vectors,
            view=CellView(
                label="corrector (µm)",
                periods=2,
                title="endoplasmic reticulum, 2 × 2 × 2 periods: gradient along x",
                unit="um",
            ),
        )


if __name__ == "__main__":
    main()
