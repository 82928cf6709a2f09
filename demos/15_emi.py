"""Resolved membranes beside the model that is their limit: how fast a wave runs along a row of heart muscle cells.

Every cell of the row is resolved: potentials inside, outside and in the gap junctions, ionic currents on the membrane
(EMI). Beside it runs the monodomain, to which the bidomain reduces for waves along the cells, with the conductivities
and the membrane's area of the same cell. No number is fitted.

1. The finer the cells are against the front, the better the limit: eps = period / front, with the front sqrt(D/k) of
   D = Sigma_m / (beta Cm) and the rate k of the kinetics. The error of the velocity falls with eps^2.
2. Where junctions resist strongly, it fails: conduction gets discontinuous, each cell waits for the one before, and
   beyond some resistance the wave dies, after more and more delay from cell to cell. The limit knows nothing of it: its
   velocity only falls with sqrt(D).

Mesh, time step and splitting are the same on both sides, so that what differs is the limit itself. The kinetics are
those of FitzHugh and Nagumo.

    python demos/15_emi.py [--coarse] [--dark] [--out FOLDER]
"""

from __future__ import annotations

import argparse
import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from mpi4py import MPI

from homfem import BidomainTensors, UnitCell, homogenize_bidomain
from homfem.bodies import box_mesh
from homfem.cells import myocyte
from homfem.kinetics.ionic.fitzhugh_nagumo import FITZHUGH_NAGUMO
from homfem.macro.cardiac import CardiacMethod, CardiacModel, CardiacProblem
from homfem.macro.domain import Domain
from homfem.macro.emi import Contact, EmiModel, EmiProblem, Membrane, tiled_domain
from homfem.macro.march import march
from homfem.macro.observers import Activation
from homfem.macro.stimulus import Box, Stimulus
from homfem.output.charts import charts
from homfem.timestepping import Schedule, TimeGrid

#: mS/mm; uF/mm^2.
CONDUCTIVITIES = {"extracellular": 2.0, "intracellular": 0.5, "junction": 0.5}
CAPACITANCE = 0.01
#: Where the front is in V, which has no unit here; time step in units of 1/k.
THRESHOLD, STEP = 0.5, 0.05
COMM = MPI.COMM_WORLD


@dataclass(frozen=True)
class Row:
    """A row of cells, what the limit makes of it, and how fast its kinetics are."""

    cell: UnitCell
    tissue: BidomainTensors
    resistance: float
    rate: float
    fronts: float = 16.0

    @property
    def period(self) -> float:
        """mm."""
        return 1e-3 * self.cell.periods[0]

    @property
    def diffusivity(self) -> float:
        """Sigma_m / (beta Cm), mm^2/ms."""
        return float(self.tissue.monodomain.value[0, 0]) / (self.tissue.membrane_area * CAPACITANCE)

    @property
    def front(self) -> float:
        """Its width, mm."""
        return math.sqrt(self.diffusivity / self.rate)

    @property
    def eps(self) -> float:
        return self.period / self.front

    @property
    def count(self) -> int:
        """Cells: so many fronts, and no fewer than sixteen."""
        return max(16, math.ceil(self.fronts * self.front / self.period))

    @property
    def grid(self) -> TimeGrid:
        """Time for a wave of .8 of the velocity of the limit, or of .4 where cells are large."""
        expected = math.sqrt(0.5 * self.diffusivity * self.rate) * 0.8 * (0.8 if self.eps < 1.5 else 0.4)
        steps = math.ceil(self.count * self.period / expected / (STEP / self.rate))
        return TimeGrid(end=steps * STEP / self.rate, step=STEP / self.rate)

    def stimulus(self, dimension: int, per: float) -> Stimulus:
        """Lifts V by 1.2 within a time 1/k at the first cells; ``per`` area or volume."""
        high = max(1.5 * self.front, 2.0 * self.period)
        place = Box(low=(-1.0,) * dimension, high=(high, *(1.0,) * (dimension - 1)))
        return Stimulus(
            place=place, amplitude=1.2 * CAPACITANCE * self.rate * per, schedule=Schedule(duration=1.0 / self.rate)
        )

    def window(self) -> tuple[int, int]:
        """The cells between which the velocity is taken: beyond the start, before the end."""
        return round(0.45 * self.count), round(0.8 * self.count)

    def velocity(self, places: np.ndarray, times: np.ndarray) -> float:
        """Velocity between the middles of two cells, mm/ms; 0 where the wave did not come."""
        first, last = ((k + 0.5) * self.period for k in self.window())
        near = [int(np.argmin(np.abs(places - x))) for x in (first, last)]
        passed, way = times[near], float(places[near[1]] - places[near[0]])
        return way / float(passed[1] - passed[0]) if np.all(np.isfinite(passed)) else 0.0


def make_row(cell: UnitCell, resistance: float, rate: float, fronts: float) -> Row:
    """The tensors on the mesh of the row, with its elements: what they leave to the limit is its own error."""
    tissue = homogenize_bidomain(cell, CONDUCTIVITIES, resistance=resistance, degree=1, bounds=False, rtol=1e-11)
    return Row(cell, tissue, resistance, rate, fronts=fronts)


def resolved(row: Row) -> tuple[np.ndarray, np.ndarray]:
    """Places along the row and activation times there, of the membrane of the whole row, every cell resolved."""
    domain = tiled_domain(COMM, row.cell.raw, [row.count, 1], length=1e-3 * row.cell.length)
    problem = EmiProblem(
        domain=domain,
        spaces={name: [name] for name in CONDUCTIVITIES},
        conductivities=CONDUCTIVITIES,
        membrane=Membrane(
            kinetics=FITZHUGH_NAGUMO,
            capacitance=CAPACITANCE,
            parameters={"rate": row.rate},
            stimuli=[row.stimulus(2, 1.0)],
        ),
        contacts=[Contact(first="intracellular", second="junction", resistance=0.5 * row.resistance)],
    )
    model, activation = EmiModel(problem, step=row.grid.step), Activation("V", THRESHOLD)
    march(model, row.grid, observers=[activation])
    own = activation.arrival[model.nodes]
    parts = COMM.allgather((model.points, own))
    points, times = (np.concatenate(part) for part in zip(*parts, strict=True))
    side = np.abs(points[:, 1] - points[:, 1].max()) < 1e-9
    order = np.argsort(points[side, 0])
    return points[side, 0][order], times[side][order]


def limit(row: Row) -> tuple[np.ndarray, np.ndarray]:
    """The same of the monodomain."""
    length = row.count * row.period
    size = min(row.front / 16.0, row.period)
    domain = Domain(mesh=box_mesh(COMM, [length], [math.ceil(length / size)]), unit="mm")
    area = row.tissue.membrane_area
    problem = CardiacProblem(
        mesh=domain,
        membrane=FITZHUGH_NAGUMO,
        parameters={"rate": row.rate},
        area=area,
        capacitance=CAPACITANCE,
        conductivity=float(row.tissue.monodomain.value[0, 0]),
        stimuli=[row.stimulus(1, area)],
    )
    method = CardiacMethod(splitting="godunov", scheme="backward-euler", degree=2, preconditioner="direct", rtol=1e-10)
    model, activation = CardiacModel(problem, step=row.grid.step, method=method), Activation("V", THRESHOLD)
    march(model, row.grid, observers=[activation])
    places = model.space.tabulate_dof_coordinates()[: model.owned, 0]
    parts = COMM.allgather((places, activation.arrival[: len(places)]))
    points, times = (np.concatenate(part) for part in zip(*parts, strict=True))
    order = np.argsort(points)
    return points[order], times[order]


def compare(row: Row) -> dict[str, np.ndarray | float]:
    """Velocities of both; the limit's times at its own nodes are linear between them."""
    (places, times), (x, t) = resolved(row), limit(row)
    first, last = ((k + 0.5) * row.period for k in row.window())
    own = float((last - first) / np.diff(np.interp([first, last], x, t))[0])
    return {"emi": row.velocity(places, times), "limit": own, "places": places, "times": times, "x": x, "t": t}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--coarse", action="store_true", help="few runs, for a test")
    parser.add_argument("--out", type=Path, default=Path("out/15_emi"), help="folder of the picture")
    parser.add_argument("--dark", action="store_true", help="pictures on a dark ground")
    options = parser.parse_args()
    cell = myocyte(100.0, 20.0, None, (2.0, 4.0), staggered=False, joined="x", end_patch=0.4, resolution=1 / 3)

    fronts = 16.0
    rates = [3.2, 1.6] if options.coarse else [3.2, 1.6, 0.8, 0.4, 0.2, 0.1]
    fine = [(row, compare(row)) for row in (make_row(cell, 1.0, rate, fronts) for rate in rates)]
    eps = np.array([row.eps for row, _ in fine])
    errors = np.array([abs(both["emi"] / both["limit"] - 1.0) for _, both in fine])
    orders = np.diff(np.log(errors)) / np.diff(np.log(eps))
    resistances = [6.4] if options.coarse else [0.05, 0.2, 0.8, 1.6, 3.2, 6.4, 9.0, 12.8]
    strong = [(row, compare(row)) for row in (make_row(cell, r, 3.2, 0.5 * fronts) for r in resistances)]

    if COMM.rank == 0:
        print(fine[0][0].tissue)
        print(f"\n{'k (1/ms)':>9}{'eps':>8}{'cells':>7}{'v EMI':>10}{'v limit':>10}{'error':>10}{'order':>7}")
        for k, (row, both) in enumerate(fine):
            order = "" if k == 0 else f"{orders[k - 1]:7.2f}"
            print(
                f"{row.rate:9.3g}{row.eps:8.3f}{row.count:7d}{both['emi']:10.5f}{both['limit']:10.5f}{errors[k]:10.2e}{order}"
            )
        print(f"\n{'R':>9}{'eps':>8}{'v EMI':>10}{'v limit':>10}")
        for row, both in strong:
            dead = "  the wave dies" if both["emi"] == 0.0 else ""
            print(f"{row.resistance:9.3g}{row.eps:8.3f}{both['emi']:10.5f}{both['limit']:10.5f}{dead}")
    assert np.all(np.diff(errors) < 0.0)
    assert errors[-1] < 4e-3
    assert np.all(np.abs(orders - 2.0) < 0.4)
    # Strong junctions: the limit runs on, where the resolved row is far slower or silent.
    assert strong[-1][1]["emi"] < 0.9 * strong[-1][1]["limit"]
    if COMM.rank == 0:
        draw(options.out / "emi", strong, eps, errors, "dark" if options.dark else "light")


def draw(path: Path, strong, eps, errors, theme: str) -> None:
    """Errors over eps, velocities over the resistance, and the times of two rows."""
    with charts(path, 1, 3, theme=theme) as (first, second, third):
        ink = first.xaxis.label.get_color()
        first.loglog(eps, errors, "o-", label="velocity")
        first.loglog(eps, errors[-1] * (eps / eps[-1]) ** 2, color="0.6", ls="--", label="$\\varepsilon^2$")
        first.set(xlabel="ε = period / front", ylabel="relative error of the limit", title="(a) cells get small")
        first.minorticks_off()
        first.set_xticks([0.2, 0.4, 0.7, 1.0], labels=["0.2", "0.4", "0.7", "1"])
        first.legend()

        resistances = np.array([row.resistance for row, _ in strong])
        emi, own = (np.array([both[name] for _, both in strong]) for name in ("emi", "limit"))
        runs = emi > 0.0
        second.semilogx(resistances, own, label="limit")
        second.semilogx(resistances[runs], emi[runs], "o-", label="resolved")
        if not runs.all():
            dead = np.zeros(np.count_nonzero(~runs))
            second.semilogx(resistances[~runs], dead, "x", color=ink, label="resolved: the wave dies")
        second.set(xlabel="resistance of the junctions (kΩ mm^2)", ylabel="velocity (mm/ms)",
                   title="(b) junctions resist")  # fmt: skip
        second.legend()

        moving = [pair for pair in strong if pair[1]["emi"] > 0.0]
        for (row, both), colour in ((moving[0], "C0"), (moving[-1], "C1")):
            low, _ = row.window()
            inside = (both["places"] > low * row.period) & (both["places"] < (low + 6) * row.period)
            start = np.interp(low * row.period, both["x"], both["t"])
            ours = np.interp((low + 0.5) * row.period, both["places"], both["times"])
            shift = ours - np.interp((low + 0.5) * row.period, both["x"], both["t"])
            x = (both["places"][inside] - low * row.period) / row.period
            third.plot(x, row.rate * (both["times"][inside] - start - shift), ".", ms=3, color=colour,
                       label=f"R = {row.resistance:g} kΩ mm²")  # fmt: skip
            line = np.linspace(0.0, 6.0, 50)
            limit = np.interp((low + line) * row.period, both["x"], both["t"]) - start
            third.plot(line, row.rate * limit, color=colour, lw=0.8)
        third.set(xlabel="cells", ylabel="time of activation × k", title="(c) cell by cell (dots), the limit (lines)")
        third.legend()


if __name__ == "__main__":
    main()
