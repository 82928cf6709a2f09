r"""Calcium of single cells: where it oscillates, how channels open, and kinetics of one's own in twenty lines.

    docker/run python demos/23_calcium_cells.py [--coarse] [--out FOLDER]

A closed cell of cytosol and endoplasmic reticulum (ER) has $\dot c = J_{receptor} + J_{leak} - J_{SERCA}$, with as much
taken from the ER as the cytosol gains.

1. **Oscillations** of the models of Li and Rinzel (one gate) and of De Young and Keizer (eight states) against IP3: the
   state of rest, its two Hopf points, and the largest and smallest calcium of the cycle between them.
2. **Open probability** at rest against calcium: the IP3 receptor has a bell, for both models the same; the ryanodine
   receptor of Keizer and Levine opens at once and then adapts.
3. **Kinetics of one's own**: pumps and channels as expressions with units, put together with published ones. An open
   cell, with pumps and a store-operated channel in its plasma membrane, oscillates like the closed one as long as the
   outside feeds it; with no calcium outside it comes to rest and its ER runs empty.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

import numpy as np
from mpi4py import MPI
from scipy.integrate import solve_ivp

from homfem.kinetics.calcium import (
    CalciumKinetics,
    Geometry,
    Mechanism,
    SurfaceFlux,
    calcium_kinetics,
    cell_kinetics,
    closed_cell,
    number,
)
from homfem.kinetics.calcium.oscillations import Cell, hopf_points, limit_cycle
from homfem.kinetics.calcium.pumps import pmca, store_operated_influx
from homfem.output.charts import charts
from homfem.parameters import UnitError

COMM = MPI.COMM_WORLD
NAMES = {"li-rinzel": "Li-Rinzel", "de-young-keizer": "De Young-Keizer"}


def say(text: str) -> None:
    if COMM.rank == 0:
        print(text, flush=True)


def oscillations(name: str, number_of_cycles: int) -> dict[str, np.ndarray]:
    """Return rest, Hopf points and cycles of a closed cell against IP3."""
    cell = Cell(calcium_kinetics(name))
    ends = hopf_points(cell, "ip3", 0.25, 0.75, number=10)
    (first, early), (last, late) = ends
    say(f"{name}: oscillates for IP3 from {first:.4f} to {last:.4f} uM, with periods of {early:.2f} and {late:.2f} s")
    grid = np.linspace(0.2, 0.8, 61)
    rest = np.array([cell.rest({"ip3": p})[0] for p in grid])
    inside = first + (last - first) * np.linspace(0.06, 0.94, number_of_cycles)
    cycles, start = [], {"cytosol": 0.3}
    for p in inside:
        cycle = limit_cycle(cell, parameters={"ip3": p}, start=start, settle=120.0, tolerance=1e-6)
        assert cycle is not None
        cycles.append((p, cycle.smallest, cycle.largest, cycle.period))
        start = dict(zip(cell.names, cycle.state, strict=True))  # the next one is near
    return {"grid": grid, "rest": rest, "ends": np.array(ends), "cycles": np.array(cycles).T}


def draw_oscillations(found: dict[str, dict[str, np.ndarray]], path: Path) -> None:
    with charts(path, 1, 2, size=(4.6, 3.6)) as (left, right):
        for k, (name, one) in enumerate(found.items()):
            colour, ends = f"C{k}", one["ends"][:, 0]
            stable = (one["grid"] < ends[0]) | (one["grid"] > ends[1])
            for part in (one["grid"] < ends[0], one["grid"] > ends[1]):
                left.plot(one["grid"][part], one["rest"][part], color=colour)
            left.plot(one["grid"][~stable], one["rest"][~stable], ":", color=colour)
            left.plot(ends, np.interp(ends, one["grid"], one["rest"]), "o", color=colour)
            p, low, high, period = one["cycles"]
            left.plot(p, low, color=colour, lw=1.0)
            left.plot(p, high, color=colour, lw=1.0, label=NAMES[name])
            right.plot(p, period, color=colour, label=NAMES[name])
        left.set(xlabel="IP3 (uM)", ylabel="c (uM)", title="rest, Hopf points, extrema of the cycle")
        right.set(xlabel="IP3 (uM)", ylabel="period (s)", title="period")
        left.legend()
        right.legend()


def open_probability(name: str, c: np.ndarray, **parameters: float) -> np.ndarray:
    """Return the open probability at rest: the flux of the receptors for e - c of 1 uM, over that of all open."""
    kinetics = cell_kinetics(calcium_kinetics(name))
    p = kinetics.values(parameters)
    states = kinetics.rest([c, c + 1.0], p)
    flux = kinetics.rates(0.0, [c, c + 1.0], states, p)[0]
    return np.asarray(flux / (p.cytosol_fraction * p.c1 * p.v1))


def draw_open_probabilities(path: Path) -> None:
    c = np.geomspace(1e-2, 10.0, 200)
    with charts(path, 1, 2, size=(4.6, 3.6)) as (left, right):
        for p in (0.1, 0.4, 2.0):
            full = open_probability("de-young-keizer", c, ip3=p)
            reduced = open_probability("li-rinzel", c, ip3=p)
            assert np.abs(full - reduced).max() < 1e-12
            left.plot(c, full, label=f"IP3 {p:g} uM")
            left.plot(c[::12], reduced[::12], "k.", ms=4.0)
            say(f"IP3 receptor, IP3 {p:g} uM: opens most, {full.max():.3f}, at {c[np.argmax(full)]:.3f} uM")
        left.set(xscale="log", xlabel="c (uM)", ylabel="open probability", title="IP3 receptor (dots: Li-Rinzel)")
        left.legend()
        plateau = open_probability("keizer-levine", c)
        w = cell_kinetics(calcium_kinetics("keizer-levine-reduced"))
        before = w.rest([np.array([0.1])] * 2, w.values())[0, 0]
        all_open = w.rest([c, c], w.values())[0]
        peak = open_probability("keizer-levine-reduced", c) / all_open * before  # slow state as before
        right.plot(c, peak, label="at once, from 0.1 uM")
        right.plot(c, plateau, label="adapted")
        right.set(xscale="log", xlabel="c (uM)", title="ryanodine receptor")
        right.legend()
        at = int(np.argmin(np.abs(c - 0.4)))
        say(f"ryanodine receptor at 0.4 uM: opens {peak[at]:.3f} at once, {plateau[at]:.3f} when adapted")
        assert peak[at] > 5.0 * plateau[at]


def own_kinetics() -> CalciumKinetics:
    """Return an open cell: the published ER, and a plasma membrane with a pump, channels, an exchanger of its own."""
    exchanger = Mechanism(
        name="exchanger",
        fluxes=(
            SurfaceFlux(
                name="exchange",
                source="cytosol",
                target="outside",
                expression="v_ncx*c^4/(k_ncx^4 + c^4)",
            ),
        ),
        parameters=(
            number("v_ncx", 0.3, "uM*um/s", "largest flux of the exchanger"),
            number("k_ncx", 0.4, "uM", "calcium at half of it"),
        ),
    )
    closed = calcium_kinetics("li-rinzel").with_parameters({"ip3": 0.45})
    membrane = (exchanger, pmca(0.4), store_operated_influx(0.2, 12.0))
    return replace(closed, name="open cell", mechanisms=(*closed.mechanisms, *membrane))


def run(
    kinetics: CalciumKinetics, geometry: Geometry, end: float, **parameters: float
) -> tuple[np.ndarray, np.ndarray]:
    """Return times, and fields and states of a cell that starts at c = 0.15, e = 10 uM."""
    cell = cell_kinetics(kinetics, geometry)
    p = cell.values(parameters)
    found = solve_ivp(
        lambda t, y: cell.derivative(t, y, p),
        (0.0, end),
        cell.start({"cytosol": 0.15, "er": 10.0}),
        method="LSODA",
        rtol=1e-7,
        atol=1e-9,
        t_eval=np.linspace(0.0, end, 1200),
    )
    return found.t, found.y


def draw_own(path: Path, end: float) -> None:
    kinetics, inside = own_kinetics(), closed_cell(0.185)
    geometry = Geometry(cytosol_fraction=inside.cytosol_fraction, er_fraction=inside.er_fraction, plasma_area=0.2)
    curves = {
        "closed cell": run(calcium_kinetics("li-rinzel").with_parameters({"ip3": 0.45}), inside, end),
        "open cell": run(kinetics, geometry, end),
        "open cell, none outside": run(kinetics, geometry, end, v_soc=0.0),
    }
    with charts(path, 1, 2, size=(4.6, 3.4)) as (left, right):
        for name, (t, y) in curves.items():
            left.plot(t, y[0], label=name)
            right.plot(t, y[1], label=name)
            late = y[0][t > 0.6 * end]
            say(f"{name}: c from {late.min():.3f} to {late.max():.3f} uM, ER {y[1][-1]:.2f} uM at the end")
        left.set(xlabel="t (s)", ylabel="c (uM)", title="cytosol")
        right.set(xlabel="t (s)", ylabel="e (uM)", title="ER")
        left.legend()
    emptied = curves["open cell, none outside"][1]
    assert emptied[1][-1] < 0.7 * curves["closed cell"][1][1][-1]
    assert np.ptp(curves["closed cell"][1][0][-400:]) > 0.1
    total = curves["closed cell"][1][0] + 0.185 * curves["closed cell"][1][1]
    assert np.abs(total / total[0] - 1.0).max() < 1e-6
    try:
        wrong = SurfaceFlux(name="wrong", source="cytosol", target="outside", expression="c^4/(0.4^4 + c^4)")
        CalciumKinetics(name="mine", mechanisms=(Mechanism(name="wrong", fluxes=(wrong,)),))
    except UnitError as error:
        say(f"refused: {error}")
    else:
        raise AssertionError("a flux without unit was taken")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--coarse", action="store_true", help="fewer cycles, shorter runs")
    parser.add_argument("--out", type=Path, default=Path("results/calcium_cells"))
    options = parser.parse_args()
    if COMM.rank > 0:  # single cells need one process
        return
    counts = (2, 1) if options.coarse else (17, 7)  # of eight states they take longer
    found = {name: oscillations(name, count) for name, count in zip(NAMES, counts, strict=True)}
    draw_oscillations(found, options.out / "oscillations.png")
    draw_open_probabilities(options.out / "open_probability.png")
    draw_own(options.out / "own.png", 120.0 if options.coarse else 300.0)


if __name__ == "__main__":
    main()
