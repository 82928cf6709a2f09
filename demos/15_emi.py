"""Resolved membranes beside their limit: single heart muscle cells, and the bidomain that is computed from one of them.

Every cell of the tissue is resolved: potentials inside, outside and in the gap junctions, the ionic model of Gray and
Pathmanathan on the membrane (EMI). Beside it run the bidomain and the monodomain with the conductivities and the
membrane's area of the same cell, computed, not fitted. A tissue of one size is made of fewer and larger or of more and
smaller cells (eps = period / front), with the same limit: conductivities, junctions per length and membrane per volume
are kept. Means over each cell of V and of the extracellular potential are compared at all times.

1. A strip of cells in the plane, with a wave from one end, and with a field between two electrodes, which excites at
   the cathode. All errors fall with eps^2, but that of the extracellular potential beside an electrode, which lets in
   its current evenly where the cells would have it unevenly. A monodomain knows of no field.
2. A sheet, one cell thick, with a wave from a corner, along the cells and across. In the plane two spaces cannot both
   pass in both directions; the cells of a sheet are bodies.
3. Where junctions resist strongly, the limit fails: each cell waits for the one before, and beyond some resistance the
   wave dies. The bidomain knows nothing of it: its velocity only falls with the square root of the conductivity.

Mesh width, time step and splitting are the same on both sides, so that what differs is the limit itself.

    python demos/15_emi.py [--coarse] [--dark] [--out FOLDER]
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from mpi4py import MPI

from homfem import BidomainTensors, UnitCell, homogenize_bidomain
from homfem.bodies import box_mesh
from homfem.cells import myocyte
from homfem.kinetics.ionic import ionic_kinetics
from homfem.macro.cardiac import CardiacMethod, CardiacModel, CardiacProblem
from homfem.macro.conditions import Neumann, Pulsed
from homfem.macro.domain import Domain
from homfem.macro.emi import Contact, EmiMethod, EmiModel, EmiProblem, Injected, Membrane, TileMeans, tiled_domain
from homfem.macro.march import march
from homfem.macro.observers import Call
from homfem.macro.stimulus import Box as Place
from homfem.macro.stimulus import Stimulus
from homfem.meshing.shapes.box_grid import box_grid_raw
from homfem.meshing.shapes.painted import Box, paint
from homfem.output.charts import charts
from homfem.timestepping import Schedule, TimeGrid

COMM = MPI.COMM_WORLD
KINETICS = ionic_kinetics("gray-pathmanathan-2016")
#: mS/mm; uF/mm^2.
CONDUCTIVITIES = {"extracellular": 2.0, "intracellular": 0.5, "junction": 0.5}
CAPACITANCE = 0.01
#: um. A cell and the space around it; the end junctions are as wide as this part of its ends.
LENGTH, WIDTH, GAPS, PATCH = 96.0, 14.0, (4.0, 6.0), 0.4
#: Where the front is in V, mV; time step, ms.
THRESHOLD, STEP = -20.0, 0.02
#: Of the linear solver of the resolved cells.
RTOL = 1e-7


@dataclass(frozen=True)
class Tissue:
    """A cell, what the limit makes of it, and the size of the tissue in mm."""

    cell: UnitCell
    limit: BidomainTensors
    resistance: float
    size: tuple[float, ...]

    def scale(self, counts: Sequence[int]) -> float:
        """How large the cells are against the one of the tensors, where so many fill the tissue."""
        return self.size[0] / counts[0] / (1e-3 * self.cell.periods[0])


@dataclass(frozen=True)
class Protocol:
    """A current into the cells (uA/mm^2 of membrane) of a corner, or between electrodes at both ends (uA/mm^2).

    ``shot``: when a picture is taken, ms.
    """

    end: float
    corner: tuple[float, ...] = ()
    amplitude: float = 1.0
    field: float = 0.0
    duration: float = 1.0
    shot: float | None = None

    def stimuli(self, per: float, dimension: int) -> list[Stimulus]:
        high = (*self.corner, *[math.inf] * (dimension - len(self.corner)))
        place = Place(low=(-math.inf,) * dimension, high=high)
        pulse = Schedule(duration=self.duration)
        return [Stimulus(place=place, amplitude=per * self.amplitude, schedule=pulse)] if self.corner else []


@dataclass(frozen=True)
class Means:
    """Means of V and of the extracellular potential over each cell at all times, shape (times, cells along x, ...)."""

    v: np.ndarray
    outside: np.ndarray
    size: tuple[float, ...]
    shot: tuple[np.ndarray, ...] = ()

    @property
    def times(self) -> np.ndarray:
        return STEP * np.arange(len(self.v))

    def activation(self) -> np.ndarray:
        """When each cell passes the threshold, linear within a step; inf where it does not."""
        passed = (self.v[:-1] < THRESHOLD) & (self.v[1:] >= THRESHOLD)
        first = passed.argmax(axis=0)[None]
        low, high = (np.take_along_axis(part, first, axis=0)[0] for part in (self.v[:-1], self.v[1:]))
        with np.errstate(divide="ignore", invalid="ignore"):
            times = STEP * (first[0] + (THRESHOLD - low) / (high - low))
        return np.where(passed.any(axis=0), times, np.inf)

    def velocity(self, axis: int = 0) -> float:
        """Along an axis, beside the low sides, between .45 and .7 of the way, mm/ms; 0 where no wave came."""
        times = np.moveaxis(self.activation(), axis, 0)
        times = times.reshape(len(times), -1)[:, 0]
        places = (np.arange(len(times)) + 0.5) * self.size[axis] / len(times)
        first, last = (int(np.argmin(np.abs(places - share * self.size[axis]))) for share in (0.45, 0.7))
        passed = times[last] - times[first]
        return float((places[last] - places[first]) / passed) if np.isfinite(passed) else 0.0


def recorded(model, means: dict[str, TileMeans], protocol: Protocol, size: tuple[float, ...], counts, take) -> Means:
    """March, and keep the means at all times, and what ``take`` makes of the model for the picture."""
    rows: list[list[np.ndarray]] = []
    shots = []

    def keep(model, _step, time):
        fields = model.fields()
        rows.append([entry.of(fields[name]) for name, entry in means.items()])
        if protocol.shot is not None and abs(time - protocol.shot) < 0.5 * STEP:
            shots.append(take(model))

    march(model, TimeGrid(end=protocol.end, step=STEP), observers=[Call(keep)])
    parts = np.array(rows).swapaxes(0, 1).reshape(len(means), len(rows), *counts)
    return Means(parts[0], parts[-1], size, *shots)


def gathered(*parts: np.ndarray) -> tuple[np.ndarray, ...]:
    """Arrays of all ranks, one after the other."""
    return tuple(np.concatenate(COMM.allgather(part)) for part in parts)


def middle_plane(model: EmiModel) -> tuple[np.ndarray, ...]:
    """The triangles in the middle of a sheet: their corners, (n, 3, 2), and the potential of their space."""
    space, spaces, fields = model.spaces.space, model.spaces, model.fields()
    owned = space.mesh.topology.index_map(3).size_local
    dofs, x = np.asarray(space.dofmap.list)[:owned], space.tabulate_dof_coordinates()
    inside = np.isclose(x[dofs, 2], 0.5 * COMM.allreduce(float(x[:, 2].max()), op=MPI.MAX))
    chosen = inside.sum(axis=1) == 3
    corners = dofs[chosen][inside[chosen]].reshape(-1, 3)
    values = np.array([fields[name].x.array[corners].mean(axis=1) for name in spaces.names])
    kind = spaces.space_of_cell[:owned][chosen]
    return gathered(x[corners][:, :, :2], values[kind, np.arange(len(kind))])


def nodes_of(model: CardiacModel) -> tuple[np.ndarray, ...]:
    """Nodes and V there."""
    points = model.space.tabulate_dof_coordinates()[: model.owned, :2]
    return gathered(points, model.values)


def resolved(tissue: Tissue, counts: tuple[int, ...], protocol: Protocol) -> Means:
    """Every cell with its membrane."""
    scale, dimension = tissue.scale(counts), tissue.cell.dimension
    domain = tiled_domain(COMM, tissue.cell.raw, counts, length=1e-3 * tissue.cell.length * scale)
    # The part of an end that the junctions leave to the space outside.
    free = 1.0 - PATCH * WIDTH / (WIDTH + GAPS[1])
    pulse = Schedule(duration=protocol.duration)
    problem = EmiProblem(
        domain=domain,
        spaces={name: [name] for name in CONDUCTIVITIES},
        conductivities=CONDUCTIVITIES,
        membrane=Membrane(
            kinetics=KINETICS, capacitance=CAPACITANCE * scale, stimuli=protocol.stimuli(scale, dimension)
        ),
        contacts=[Contact(first="intracellular", second="junction", resistance=0.5 * tissue.resistance * scale)],
        injected=[
            Injected(space="extracellular", boundary=side, density=sign * protocol.field / free, schedule=pulse)
            for side, sign in (("x-low", -1.0), ("x-high", 1.0))
            if protocol.field
        ],
    )
    model = EmiModel(problem, step=STEP, method=EmiMethod(rtol=RTOL))
    measures = {"V": model.spaces.between("intracellular", "extracellular", "membrane"),
                "extracellular": domain.dx("extracellular")}  # fmt: skip
    means = {name: TileMeans(domain, model.spaces.space, counts, dx) for name, dx in measures.items()}
    shown = counts[: len(tissue.size)]
    return recorded(model, means, protocol, tissue.size, shown, middle_plane)


def limit(kind: str, tissue: Tissue, counts: tuple[int, ...], protocol: Protocol, elements: int) -> Means:
    """The bidomain or the monodomain on a mesh of about so many elements along each axis, each within one cell."""
    d = len(tissue.size)
    shown = counts[:d]
    number = [max(1, round(elements / count)) * count for count in shown]
    domain = Domain(mesh=box_mesh(COMM, list(tissue.size), number), unit="mm").with_boundaries(
        {"x-low": lambda x: x[0] < 1e-9, "x-high": lambda x: x[0] > tissue.size[0] - 1e-9}
    )
    area = tissue.limit.membrane_area
    # The bidomain has currents at the ends of steps, where resolved cells have their part of a step.
    late = Schedule(start=0.5 * STEP, duration=protocol.duration)
    electrodes = [
        Neumann(boundary=side, flux=Pulsed(value=sign * protocol.field, schedule=late))
        for side, sign in (("x-low", -1.0), ("x-high", 1.0))
        if protocol.field and kind == "bidomain"
    ]
    problem = CardiacProblem(
        mesh=domain,
        kind=kind,
        membrane=KINETICS,
        area=area,
        capacitance=CAPACITANCE,
        intracellular=tissue.limit.intracellular.value[:d, :d],
        extracellular=tissue.limit.extracellular.value[:d, :d],
        stimuli=protocol.stimuli(area, d),
        electrodes=electrodes,
    )
    method = CardiacMethod(
        scheme="backward-euler", coupling="implicit" if kind == "bidomain" else None, preconditioner="direct",
        rtol=1e-7, elliptic_rtol=1e-9,
    )  # fmt: skip
    model = CardiacModel(problem, step=STEP, method=method)
    means = TileMeans(domain, model.space, shown)
    names = ("V", "phi_e") if kind == "bidomain" else ("V",)
    return recorded(model, dict.fromkeys(names, means), protocol, tissue.size, shown, nodes_of)


def off(ours: np.ndarray, theirs: np.ndarray) -> float:
    """Relative difference of two series in all cells and at all times."""
    return float(np.linalg.norm(ours - theirs) / np.linalg.norm(theirs - theirs[0]))


def strip_cell() -> UnitCell:
    return myocyte(LENGTH, WIDTH, None, GAPS, staggered=False, joined="x", end_patch=PATCH, resolution=1 / 3)


def strip_tissue(resistance: float, length: float) -> Tissue:
    return make_tissue(strip_cell(), resistance, (length,))


def make_tissue(cell: UnitCell, resistance: float, size: tuple[float, ...]) -> Tissue:
    """The tensors on the mesh of the cells, with its elements: what they leave to the limit is its own error."""
    found = homogenize_bidomain(cell, CONDUCTIVITIES, resistance=resistance, degree=1, bounds=False, rtol=1e-11)
    return Tissue(cell, found, resistance, size)


def sheet_cell() -> UnitCell:
    """A cell that is joined end to end and at two of its sides, on a coarse grid with the mirror planes of the cell."""
    period = np.array([LENGTH + GAPS[0], WIDTH + GAPS[1], WIDTH + GAPS[1]])
    low, high = 0.5 * np.array([GAPS[0], GAPS[1], GAPS[1]]), period - 0.5 * np.array([GAPS[0], GAPS[1], GAPS[1]])
    patch, side = 0.5 * PATCH * WIDTH, 0.15 * LENGTH
    middle = 0.5 * period

    def box(phase: str, half: Sequence[float]) -> Box:
        half = np.array(half)
        return Box(phase, tuple((middle - half) / period), tuple((middle + half) / period))

    around = [box("junction", (middle[0], patch, patch)), box("junction", (side, middle[1], patch))]
    body = Box("intracellular", tuple(low / period), tuple(high / period))
    labels, names, layers = paint([*around, body], "extracellular")
    axes, keep, upward = [], [], []
    for lengths, size in zip(layers, period, strict=True):
        parts = [max(1, round(part * size / (20.0 if size == period[0] else 4.0))) for part in lengths]
        parts[len(parts) // 2] = max(2, 2 * (parts[len(parts) // 2] // 2))  # cut by the mirror plane
        steps = np.concatenate([np.full(n, part * size / n) for part, n in zip(lengths, parts, strict=True)])
        axes.append(np.concatenate([[0.0], np.cumsum(steps)]) / period.min())
        keep.append(np.repeat(np.arange(len(lengths)), parts))
        upward.append(np.cumsum(steps) - 0.5 * steps < 0.5 * size)
    tags = (labels + 1)[np.ix_(*keep)].astype(np.int32)
    phases = {name: names.index(name) + 1 for name in ("intracellular", "junction", "extracellular")}
    raw = box_grid_raw(axes, tags, phases, upward=upward, length_unit="um")
    return UnitCell.from_raw(raw, comm=COMM, length=float(period.min()), length_unit="um")


@dataclass(frozen=True)
class Row:
    """One size of cells beside the limits."""

    count: int
    eps: float
    emi: Means
    bidomain: Means
    monodomain: Means

    @property
    def errors(self) -> dict[str, float]:
        """Of the bidomain in V, outside and the velocities along each axis; of the monodomain in V."""
        ours, theirs = self.emi, self.bidomain
        found = {"V": off(ours.v, theirs.v), "outside": off(ours.outside, theirs.outside)}
        for axis in range(len(ours.size)):
            there = theirs.velocity(axis)
            found[f"v{axis}"] = abs(ours.velocity(axis) / there - 1.0) if there else math.nan
        return found | {"monodomain": off(self.monodomain.v, ours.v)}


def compare(tissue: Tissue, counts: Sequence[tuple[int, ...]], protocol: Protocol, elements: int) -> list[Row]:
    """Cells of several sizes in one tissue, and its limits."""
    rows = []
    for count in counts:
        both = [limit(kind, tissue, count, protocol, elements) for kind in ("bidomain", "monodomain")]
        steepest = np.abs(np.diff(both[0].v, axis=1)).max() * count[0] / tissue.size[0]
        front = float(np.ptp(both[0].v)) / steepest
        rows.append(Row(count[0], tissue.size[0] / count[0] / front, resolved(tissue, count, protocol), *both))
    return rows


def told(title: str, tissue: Tissue, rows: list[Row]) -> list[str]:
    """The table of one case."""
    axes = [f"v{axis}" for axis in range(len(tissue.size))]
    names = ["V", "outside", *axes, "monodomain"]
    lines = [title, f"{'cells':>6}{'um':>6}{'eps':>7}{'v EMI':>9}{'v limit':>9}" + "".join(f"{n:>17}" for n in names)]
    for k, row in enumerate(rows):
        parts = []
        for name in names:
            error, before = row.errors[name], rows[k - 1].errors[name] if k else 0.0
            fine = k and name != "monodomain" and before > 0.0 and error > 0.0
            order = math.log(before / error) / math.log(row.count / rows[k - 1].count) if fine else math.nan
            parts.append(f"{error:10.2e}" + (f" ({order:4.2f})" if fine else " " * 7))
        size = 1e3 * tissue.size[0] / row.count
        lines.append(
            f"{row.count:6d}{size:6.0f}{row.eps:7.3f}{row.emi.velocity():9.4f}{row.bidomain.velocity():9.4f}"
            + "".join(parts)
        )
    return lines


def junctions(resistances: Sequence[float], count: int) -> list[tuple[Tissue, Means, Means]]:
    """Cells of their own size whose junctions resist more and more, and the bidomain."""
    found = []
    for resistance in resistances:
        tissue = strip_tissue(resistance, count * 1e-3 * (LENGTH + GAPS[0]))
        diffusivity = float(tissue.limit.monodomain.value[0, 0]) / (tissue.limit.membrane_area * CAPACITANCE)
        # Time for a wave of less than half of the velocity of the limit, which is about 1.7 sqrt(D).
        end = STEP * math.ceil(tissue.size[0] / (0.7 * math.sqrt(diffusivity)) / STEP)
        protocol = Protocol(end=end, corner=(4.0 * tissue.size[0] / count,), amplitude=1.5)
        both = resolved(tissue, (count, 1), protocol), limit("bidomain", tissue, (count, 1), protocol, 8 * count)
        found.append((tissue, *both))
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--coarse", action="store_true", help="few and short runs, for a test")
    parser.add_argument("--out", type=Path, default=Path("out/15_emi"), help="folder of the picture")
    parser.add_argument("--dark", action="store_true", help="pictures on a dark ground")
    options = parser.parse_args()
    coarse = options.coarse
    fine = 192 if coarse else 384

    strip = strip_tissue(0.15, 2.4)
    counts = [(n, 1) for n in ((12, 24) if coarse else (12, 24, 48))]
    wave = Protocol(end=5.0, corner=(0.6,), amplitude=0.8)
    field = Protocol(end=2.0 if coarse else 5.0, field=80.0, duration=2.0)
    cases = {"wave": compare(strip, counts, wave, fine), "field": compare(strip, counts, field, fine)}

    sheet = make_tissue(sheet_cell(), 0.15, (1.2, 0.24))
    corner = Protocol(end=0.6 if coarse else 4.0, corner=(0.4, 0.08), amplitude=1.5, shot=0.6 if coarse else 1.6)
    sizes = [(3, 3, 1)] if coarse else [(6, 6, 1), (12, 12, 1)]
    cases["sheet"] = compare(sheet, sizes, corner, 24 if coarse else 48)

    strong = junctions([4.0] if coarse else [0.05, 0.5, 1.5, 3.0, 5.0, 8.0, 14.0], 8 if coarse else 16)
    if COMM.rank == 0:
        for title, rows in cases.items():
            print("\n".join(told(title, sheet if title == "sheet" else strip, rows)) + "\n")
        print(f"{'R':>8}{'v EMI':>10}{'v limit':>10}")
        for tissue, ours, theirs in strong:
            dead = "  the wave dies" if ours.velocity() == 0.0 else ""
            print(f"{tissue.resistance:8.3g}{ours.velocity():10.4f}{theirs.velocity():10.4f}{dead}")
    for name, last in (("wave", 2e-2), ("field", 2e-2)):
        errors = [[row.errors[key] for key in ("V", "outside")] for row in cases[name]]
        rates = np.log2(np.array(errors[-2]) / errors[-1])
        assert np.all(rates > 1.2), (name, rates)
        assert max(errors[-1]) < (0.3 if coarse else last), errors[-1]
    # A field without a stimulus does nothing to a monodomain.
    assert np.ptp(cases["field"][-1].monodomain.v) < 1e-6
    assert np.ptp(cases["field"][-1].emi.v) > 30.0
    # Strong junctions: the limit runs on, where the resolved row is far slower or silent.
    assert strong[-1][1].velocity() < 0.9 * strong[-1][2].velocity()
    if COMM.rank == 0:
        draw(options.out / "emi", cases, strong, "dark" if options.dark else "light")


def draw(path: Path, cases: dict[str, list[Row]], strong, theme: str) -> None:
    """The sheet, resolved and as the limit; errors over eps; velocities over the resistance; a strip at one time."""
    from matplotlib.collections import PolyCollection
    from matplotlib.tri import Triangulation

    with charts(path, 3, 2, theme=theme) as ((first, second), (third, fourth), (fifth, sixth)):
        last = cases["sheet"][-1]
        corners, values = last.emi.shot
        colours = {"cmap": "RdBu_r", "clim": (-85.0, 85.0)}
        drawn = PolyCollection(1e3 * corners, array=values, edgecolors="face", linewidths=0.1, **colours)
        drawn.set_rasterized(True)
        first.add_collection(drawn)
        points, v = last.bidomain.shot
        mesh = Triangulation(1e3 * points[:, 0], 1e3 * points[:, 1])
        second.tripcolor(mesh, v, shading="gouraud", rasterized=True, **colours)
        for axes, title in ((first, "(a) potentials of resolved cells (mV)"), (second, "(b) V of the bidomain (mV)")):
            axes.set(xlim=(0, 1e3 * last.emi.size[0]), ylim=(0, 1e3 * last.emi.size[1]), title=title, xlabel="x (um)",
                     ylabel="y (um)")  # fmt: skip
            axes.figure.colorbar(drawn, ax=axes, shrink=0.9)

        for name, style in (("wave", "o"), ("field", "s"), ("sheet", "^")):
            eps = [row.eps for row in cases[name]]
            third.loglog(eps, [row.errors["V"] for row in cases[name]], f"C0{style}-", label=f"V, {name}")
            third.loglog(eps, [row.errors["outside"] for row in cases[name]], f"C1{style}--", label=f"outside, {name}")
        rows = cases["wave"]
        eps = np.array([row.eps for row in rows])
        third.loglog(eps, [row.errors["v0"] for row in rows], "C2d-", label="velocity, wave")
        third.loglog(
            eps, 0.7 * rows[-1].errors["V"] * (eps / eps[-1]) ** 2, color="0.6", ls=":", label="$\\varepsilon^2$"
        )
        third.minorticks_off()
        third.set_xticks([0.05, 0.1, 0.2, 0.4], labels=["0.05", "0.1", "0.2", "0.4"])
        third.set(xlabel="ε = period / front", ylabel="relative difference", title="(c) cells get small")
        third.legend(ncols=2, fontsize=7)

        row = cases["field"][-1]
        for place, style in ((0, "-"), (row.count // 2, "--")):
            at = f"{'at the cathode' if place == 0 else 'in the middle'}"
            fourth.plot(row.emi.times, row.emi.v[:, place], f"C0{style}", label=f"resolved, {at}")
            fourth.plot(row.bidomain.times, row.bidomain.v[:, place], f"C1{style}", lw=0.8, label="bidomain")
        fourth.plot(row.monodomain.times, row.monodomain.v[:, 0], color="0.5", ls=":", label="monodomain")
        fourth.set(xlabel="t (ms)", ylabel="V (mV)", ylim=(None, 125.0), title="(d) a field between two electrodes")
        fourth.legend(fontsize=7, loc="upper left", ncols=2)

        resistances = np.array([tissue.resistance for tissue, *_ in strong])
        ours, theirs = (np.array([entry[k].velocity() for entry in strong]) for k in (1, 2))
        runs = ours > 0.0
        fifth.semilogx(resistances, theirs, "C1-", label="bidomain")
        fifth.semilogx(resistances[runs], ours[runs], "C0o-", label="resolved")
        if not runs.all():
            dead = np.zeros(np.count_nonzero(~runs))
            fifth.semilogx(resistances[~runs], dead, "C0x", label="resolved: the wave dies")
        fifth.set(
            xlabel="resistance of the junctions (kΩ mm²)", ylabel="velocity (mm/ms)", title="(e) junctions resist"
        )
        fifth.legend()

        moving = [entry for entry in strong if entry[1].velocity() > 0.0]
        for (tissue, emi, bidomain), colour in ((moving[0], "C0"), (moving[-1], "C3")):
            for means, style in ((emi, "o"), (bidomain, "-")):
                times, cells = means.activation(), np.arange(1, emi.v.shape[1] + 1)
                label = f"R = {tissue.resistance:g} kΩ mm²" if style == "o" else None
                sixth.plot(cells, times, style, color=colour, ms=3, lw=0.8, label=label)
        sixth.set(xlabel="cell", ylabel="time of activation (ms)", title="(f) cell by cell (dots), the limit (lines)")
        sixth.legend()


if __name__ == "__main__":
    main()
