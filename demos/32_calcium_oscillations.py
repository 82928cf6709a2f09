"""Calcium that oscillates: target waves from a disc with more IP3 through a tissue that is at rest by itself.

    docker/run python demos/32_calcium_oscillations.py

With the set of numbers of the trigger wave a closed cell is at rest at 0.3 uM of IP3 and oscillates from about 0.33 uM
on, the faster the more of it there is. In a tissue each place is such a cell, and diffusion ties neighbours: where
there is more IP3, calcium rises again and again, and each rise sends a wave into the rest, which only answers.

1. The period of a closed cell against IP3, from its ordinary differential equations; with the numbers of De Young and
   Keizer 12.8 s at 0.4 uM.
2. A square of tissue with 0.3 uM of IP3, and 0.35 uM in a disc in its middle: calcium in the cytosol at some times, and
   over time in the middle, half-way and near a corner: one period everywhere, later the farther from the middle.

All calcium stays in the square, to round-off.

Source: De Young, Keizer 1992, doi 10.1073/pnas.89.20.9895; Li, Rinzel 1994, doi 10.1006/jtbi.1994.1041.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from dolfinx import mesh as dmesh
from mpi4py import MPI
from scipy.integrate import solve_ivp

from homfem.kinetics.calcium import CalciumKinetics, calcium_kinetics, cell_kinetics, published_geometry
from homfem.macro.calcium import CalciumProblem, run_calcium
from homfem.macro.domain import Domain
from homfem.macro.probes import Probes
from homfem.output.views import SeriesView
from homfem.output.waves import FieldRecord, draw_series
from homfem.tensors import EffectiveTensor
from homfem.timestepping import TimeGrid

COMM = MPI.COMM_WORLD
PUBLISHED, KINETICS = (calcium_kinetics("li-rinzel", name) for name in ("de-young-keizer", "trigger-wave"))
GEOMETRY = published_geometry(KINETICS)
SHARES = {"cytosol": GEOMETRY.cytosol_fraction, "er": GEOMETRY.er_fraction}
DIFFUSIVITY = {"cytosol": 20.0, "er": 10.0}  # um^2/s in its phase, with the buffers of a cell
AROUND, MIDDLE, DISC = 0.3, 0.35, 15.0  # IP3, uM, and the radius of the disc, um
CYTOSOL = 0.1  # uM at the start


def er(kinetics: CalciumKinetics) -> float:
    """Calcium of the ER at the start, uM: the rest of all."""
    return ((kinetics.total or 0.0) - CYTOSOL) * SHARES["cytosol"] / SHARES["er"]


def say(text: str) -> None:
    if COMM.rank == 0:
        print(text, flush=True)


def period(times: np.ndarray, values: np.ndarray) -> float:
    """The time between the last two rises through the middle of the range; infinite where there are no two."""
    late = times > 0.3 * times[-1]
    middle = 0.5 * (values[late].min() + values[late].max())
    if np.ptp(values[late]) < 0.05:
        return float("inf")
    up = np.flatnonzero((values[:-1] < middle) & (values[1:] >= middle))
    rises = times[up] + (middle - values[up]) / (values[up + 1] - values[up]) * (times[up + 1] - times[up])
    return float(rises[-1] - rises[-2]) if len(rises) > 1 else float("inf")


def closed_cell(kinetics: CalciumKinetics, ip3: float) -> float:
    """The period of a closed cell, s; infinite where it comes to rest."""
    cell = cell_kinetics(kinetics)
    p = cell.values({"ip3": ip3})
    start = cell.start({"cytosol": CYTOSOL, "er": er(kinetics), "h": 0.8})
    found = solve_ivp(lambda t, y: cell.derivative(t, y, p), (0.0, 150.0), start, method="LSODA", rtol=1e-9, atol=1e-11,
                      dense_output=True)  # fmt: skip
    times = np.linspace(0.0, 150.0, 30001)
    return period(times, found.sol(times)[0])


def tissue(side: float, cells: int) -> CalciumProblem:
    mesh = dmesh.create_rectangle(COMM, [[-0.5 * side] * 2, [0.5 * side] * 2], [cells, cells])
    tensors = {
        name: EffectiveTensor.measured(name, share * DIFFUSIVITY[name], volume_fraction=share, dimension=2)
        for name, share in SHARES.items()
    }
    return CalciumProblem(
        mesh=Domain(mesh=mesh, unit="um"),
        **tensors,
        kinetics=KINETICS,
        ip3=lambda x: np.where(np.hypot(x[0], x[1]) < DISC, MIDDLE, AROUND),
        initial_cytosol=CYTOSOL,
        initial_er=er(KINETICS),
        interface_area=2.0,
    )


def target(out: Path, coarse: bool) -> dict[str, float]:
    """Waves that leave the middle; return the period at each place, s."""
    side, end, step = (60.0, 10.0, 0.05) if coarse else (150.0, 90.0, 0.04)
    problem = tissue(side, 12 if coarse else 64)
    record = FieldRecord()
    places = {"middle": 0.0, "half-way": 0.25 * side, "near a corner": 0.45 * side}
    probes = Probes({name: (x, x) for name, x in places.items()})
    result = run_calcium(
        problem, TimeGrid(end=end, step=step), observe=lambda now: record.add(now.cytosol, now.time),
        observe_every=round(1.0 / step), observers=[probes],
    )  # fmt: skip
    steps, seconds = len(result.times) - 1, result.seconds["total"]
    say(f"  {result.dofs} nodes, {steps} steps, {seconds:.1f} s on {result.ranks} rank(s)")
    say(f"  total calcium {result.total[0]:.6g} uM um^2, kept to {result.drift:.0e}")
    assert result.drift < 1e-12
    times = [0.0, 5.0, 10.0] if coarse else [60.0, 62.0, 64.0, 66.0, 68.0, 70.0]
    view = SeriesView(label="calcium in the cytosol (µM)")
    draw_series(record, out / "target.png", view=view, times=times)
    found = {name: np.asarray(probes.values(name, "cytosol")) for name in places}
    draw_traces(out / "traces.png", result.times, found)
    return {name: period(result.times, values) for name, values in found.items()}


def draw_traces(path: Path, times: np.ndarray, found: dict[str, np.ndarray]) -> None:
    """Calcium over time, and the period of a closed cell."""
    if COMM.rank:
        return
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(figsize=(7.0, 3.0), layout="constrained")
    for name, values in found.items():
        axes.plot(times, values, label=name)
    axes.set(xlabel="time (s)", ylabel="calcium in the cytosol (µM)")
    axes.legend(loc="upper right")
    figure.savefig(path, dpi=130)
    plt.close(figure)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("out/32_calcium_oscillations"), help="folder of the figures")
    parser.add_argument("--coarse", action="store_true", help="a small square for a short time, for the tests")
    chosen = parser.parse_args()
    if COMM.rank == 0:
        chosen.out.mkdir(parents=True, exist_ok=True)
    COMM.barrier()
    say("a closed cell:")
    published = closed_cell(PUBLISHED, 0.4)
    say(f"  De Young and Keizer, IP3 0.40 uM: period {published:.2f} s")
    assert abs(published - 12.8) < 0.1
    alone = {ip3: closed_cell(KINETICS, ip3) for ip3 in (AROUND, MIDDLE)}
    for ip3, seconds in alone.items():
        say(f"  IP3 {ip3:.2f} uM: " + (f"period {seconds:.2f} s" if np.isfinite(seconds) else "at rest"))
    assert not np.isfinite(alone[AROUND])
    say("a tissue with more IP3 in the middle:")
    periods = target(chosen.out, chosen.coarse)
    if not chosen.coarse:
        for name, seconds in periods.items():
            say(f"  {name}: period {seconds:.2f} s")
        assert abs(periods["near a corner"] / periods["middle"] - 1.0) < 0.02
    say(f"figures in {chosen.out}")


if __name__ == "__main__":
    main()
