"""Cytosol without ER beside tissue with ER: a nerve terminal from which a wave starts, and a cell with a nucleus.

    docker/run python demos/27_calcium_regions.py

The calcium bidomain equations hold where the endoplasmic reticulum (ER) is a fine network. A synaptic terminal, the
cleft between a plasma membrane and the ER, or a nucleus has none: there calcium diffuses in plain cytosol,

       dc/dt = div(A grad c)                                        without ER
       gamma_c dc/dt = div(A* grad c) + lambda~ f(c, e, h)          with ER
       gamma_e de/dt = div(B* grad e) - lambda~ f(c, e, h)

with c and its flux continuous where the two meet, and no flux of e through that interface.

1. A terminal: channels in its end bring calcium while they are open. It diffuses to where the ER begins, and a wave of
   calcium-induced release runs into the process. A pump in the plasma membrane takes out what has come in.
2. A cell with a nucleus, in three dimensions: the wave runs around the nucleus, which fills by diffusion, and later.

All calcium is accounted for: the change of the total is what channels and pump have brought, to round-off.

Source: Goel, Sneyd, Friedman 2006, Multiscale Model. Simul. 5(4), 1045, section 4.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from dolfinx import mesh as dmesh
from mpi4py import MPI

from homfem.kinetics.calcium import (
    TRIGGER_WAVE,
    CalciumKinetics,
    boundary_law,
    li_rinzel,
    membrane_from_rates,
    resting_state,
)
from homfem.kinetics.calcium.pumps import pmca
from homfem.macro.calcium import BoundaryFlux, CalciumProblem, CalciumResult, Source, run_calcium
from homfem.macro.domain import Domain
from homfem.macro.stimulus import Ball
from homfem.output.views import SeriesView
from homfem.output.waves import FieldRecord, draw_series
from homfem.tensors import EffectiveTensor
from homfem.timestepping import Schedule, TimeGrid

COMM = MPI.COMM_WORLD
DIFFUSIVITY = {"cytosol": 20.0, "er": 10.0}  # um^2/s in its phase, with the buffers of a cell
SHARES = {"cytosol_fraction": 0.8, "er_fraction": 0.2}
AREA = 2.0  # of the ER's membrane, 1/um
IP3 = 0.3  # uM
MEMBRANE = membrane_from_rates(TRIGGER_WAVE, interface_area=AREA, **SHARES)
REST = resting_state(MEMBRANE, total=TRIGGER_WAVE.c0 * SHARES["cytosol_fraction"], ip3=IP3, **SHARES)
# Of the plasma membrane: what leaks in at rest is what the pump takes out then.
PUMP = CalciumKinetics(name="pump", mechanisms=(pmca(1.0, 0.4),))
LEAK = 1.0 * REST.cytosol**2 / (0.4**2 + REST.cytosol**2)


def say(text: str) -> None:
    if COMM.rank == 0:
        print(text, flush=True)


def tissue(domain: Domain, without: str, **more) -> CalciumProblem:
    """ER in all regions but one."""
    d = domain.dimension
    shares = {"cytosol": SHARES["cytosol_fraction"], "er": SHARES["er_fraction"]}
    tensors = {
        name: EffectiveTensor.measured(name, share * DIFFUSIVITY[name], volume_fraction=share, dimension=d)
        for name, share in shares.items()
    }
    with_er = [name for name in domain.regions if name != without]
    return CalciumProblem(
        mesh=domain,
        cytosol={without: DIFFUSIVITY["cytosol"], **dict.fromkeys(with_er, tensors["cytosol"])},
        er=dict.fromkeys(with_er, tensors["er"]),
        kinetics=li_rinzel(MEMBRANE),
        ip3=IP3,
        initial_cytosol=REST.cytosol,
        initial_er=REST.er,
        initial_states={"h": REST.inactivation},
        interface_area=AREA,
        **more,
    )


def plasma_membrane(boundary: str) -> list[BoundaryFlux]:
    """A pump and a leak that balance at rest."""
    return [
        BoundaryFlux(boundary=boundary, flux=boundary_law(PUMP), name="pump"),
        BoundaryFlux(boundary=boundary, flux=LEAK, name="leak"),
    ]


def run(problem: CalciumProblem, end: float, step: float, every: float) -> tuple[CalciumResult, dict[str, FieldRecord]]:
    """March, and keep c and e."""
    records = {"cytosol": FieldRecord(), "er": FieldRecord()}

    def keep(snapshot) -> None:
        for name, record in records.items():
            record.add(getattr(snapshot, name), snapshot.time)

    grid = TimeGrid(end=end, step=step)
    result = run_calcium(problem, grid, threshold=0.3, observe=keep, observe_every=round(every / step))
    brought = {name: values[-1] for name, values in result.brought.items()}
    steps, seconds = len(result.times) - 1, result.seconds["total"]
    say(f"  {result.dofs} nodes, {steps} steps, {seconds:.1f} s on {result.ranks} rank(s)")
    say("  brought (uM um^d): " + ", ".join(f"{name} {value:.4g}" for name, value in brought.items()))
    first, last = result.total[0], result.total[-1]
    say(f"  total calcium {first:.6g} -> {last:.6g} uM um^d, accounted for to {result.drift:.0e}")
    assert result.drift < 1e-12
    return result, records


def terminal(out: Path, coarse: bool) -> None:
    """A process of 60 x 12 um whose first 10 um have no ER; channels in the middle of its end."""
    say("a terminal without ER:")
    length, width, wall = 60.0, 12.0, 10.0
    counts = [30, 6] if coarse else [120, 24]
    mesh = dmesh.create_rectangle(COMM, [[0.0, 0.0], [length, width]], counts)
    domain = (
        Domain(mesh=mesh, unit="um")
        .with_regions({"terminal": lambda x: x[0] < wall, "process": lambda x: x[0] > wall})
        .with_boundaries({"membrane": lambda x: (x[1] < 1e-6) | (x[1] > width - 1e-6), "end": lambda x: x[0] < 1e-6})
    )
    channels = Source(
        place=Ball(centre=(0.0, width / 2), radius=3.0), strength=90.0, schedule=Schedule(duration=0.5), name="channels"
    )
    problem = tissue(domain, "terminal", fluxes=plasma_membrane("membrane"), sources=[channels])
    result, records = run(problem, 1.0 if coarse else 5.0, 0.02 if coarse else 0.01, 0.1)
    times = [0.0, 0.2, 0.4, 0.6, 0.8, 1.0] if coarse else [0.3, 0.6, 1.2, 2.4, 3.6, 4.8]
    label = "calcium in the cytosol (µM)"
    draw_series(records["cytosol"], out / "terminal_cytosol.png", view=SeriesView(label=label, front=0.3), times=times)
    view = SeriesView(label="calcium in the ER (µM)", limits=(REST.er - 2.5, REST.er))  # from the interface on
    draw_series(records["er"], out / "terminal_er.png", view=view, times=times)
    assert result.brought["channels"][-1] == np.float64(result.brought["channels"].max())
    assert abs(result.brought["channels"][-1] - 45.0) < 1e-9
    if not coarse:
        x = result.activation.function_space.tabulate_dof_coordinates()
        arrived = result.activation.x.array[(x[:, 0] > 20.0) & (x[:, 0] < 40.0)]
        assert np.isfinite(arrived).all()


def nucleus(out: Path, coarse: bool) -> None:
    """An ellipsoid of 24 x 18 x 14 um about a nucleus of radius 3.5 um."""
    say("a cell with a nucleus:")
    domain = body(2.5 if coarse else 1.2)
    start = Source(
        place=Ball(centre=(-11.0, 0.0, 0.0), radius=4.0), strength=600.0, schedule=Schedule(duration=0.2), name="puff"
    )
    problem = tissue(domain, "nucleus", fluxes=plasma_membrane("surface"), sources=[start])
    _, records = run(problem, 0.5 if coarse else 2.4, 0.02, 0.1)
    view = SeriesView(label="calcium in cytosol and nucleus (µM), white: 0.3 µM", style="body", front=0.3)
    times = [0.0, 0.5] if coarse else [0.2, 0.6, 1.0, 1.4, 1.8, 2.4]
    draw_series(records["cytosol"], out / "nucleus_cytosol.png", view=view, times=times)
    view = SeriesView(label="calcium in the ER (µM)", style="body", limits=(REST.er - 2.5, REST.er))
    draw_series(records["er"], out / "nucleus_er.png", view=view, times=times)


def body(size: float) -> Domain:
    """The ellipsoid, with the region of its nucleus; made by Gmsh on rank 0, so that a surface lies between them."""
    import gmsh

    from homfem.bodies import gmsh_arrays, mesh_from_arrays
    from homfem.meshing.by_gmsh.session import gmsh_session

    def make():
        with gmsh_session(Mesh_MeshSizeMin=size, Mesh_MeshSizeMax=size):
            occ = gmsh.model.occ
            cell, inside = occ.addSphere(0, 0, 0, 1), occ.addSphere(1.0, 0, 0, 3.5)
            occ.dilate([(3, cell)], 0, 0, 0, 12.0, 9.0, 7.0)
            occ.fragment([(3, cell)], [(3, inside)])
            occ.synchronize()
            gmsh.model.mesh.generate(3)
            return gmsh_arrays(3)

    made = Domain(mesh=mesh_from_arrays(COMM, make), unit="um")
    near = lambda x: np.linalg.norm(x - np.array([[1.0], [0.0], [0.0]]), axis=0) < 3.5  # noqa: E731
    return made.with_regions({"nucleus": near, "cell": lambda x: ~near(x)}).with_boundaries(
        {"surface": lambda x: np.full(x.shape[1], True)}
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("out/27_calcium_regions"), help="folder of the figures")
    parser.add_argument("--coarse", action="store_true", help="coarse meshes and short runs, for the tests")
    chosen = parser.parse_args()
    if COMM.rank == 0:
        chosen.out.mkdir(parents=True, exist_ok=True)
    COMM.barrier()
    terminal(chosen.out, chosen.coarse)
    nucleus(chosen.out, chosen.coarse)
    say(f"figures in {chosen.out}")


if __name__ == "__main__":
    main()
