r"""Oxygen in muscle: a cell with capillaries gives D*, the exchange and the permeability; the tissue model takes them.

    docker/run python demos/12_oxygen_in_tissue.py [--fine] [--out FOLDER]

1. **The cell**: capillaries (radius 2.5 um) in a hexagonal array, 40 um apart. Diffusion across them gives D*, Stokes
   flow along them the permeability (Poiseuille's), the mesh their area per volume.
2. **The exchange** between blood and tissue. Where diffusion in the tissue is much faster than the wall, it is the
   wall's permeability h times the area per volume (the slow limit, Da = h a/D << 1). Here Da = 20, and it is not:
   uptake makes a fall of concentration around every capillary, Krogh's, which is in series with the wall.
3. **Along the capillaries** (blood that flows, tissue that takes): beside the solution of Krogh and Erlang, which is
   exact while the uptake is constant and nothing diffuses along them.
4. **Across them**, where some are blocked: beside the computation that resolves every capillary. Nothing is fitted.

Numbers: light work, M = 20 uM/s (2.7 ml of oxygen per 100 g and minute); D = 2000 um^2/s; 1.3 uM per mmHg; blood with
8.8 mM of oxygen when saturated, half of it at 26 mmHg, Hill's exponent 2.7. Orders of magnitude and formulas: Popel
1989, Critical Reviews in Biomedical Engineering 17, 257; Krogh 1919, doi 10.1113/jphysiol.1919.sp001839.

``demos/12_oxygen_in_tissue.toml`` is part 3 as a config.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from mpi4py import MPI
from scipy.spatial import cKDTree

from homfem import homogenize_diffusion, homogenize_stokes
from homfem.bodies import box_mesh, mesh_from_arrays
from homfem.cells import fibre_array
from homfem.cells.tiling import tiled
from homfem.kinetics import written_reaction
from homfem.macro.conditions import Dirichlet, Outflow, Robin
from homfem.macro.domain import Domain
from homfem.macro.reaction_diffusion import ReactionDiffusion, Species, solve_at_rest
from homfem.output.charts import charts
from homfem.output.colours import colour_scale

COMM = MPI.COMM_WORLD
# Units: um, s, uM.
CAPILLARY, SPACING = 2.5, 40.0  # radius, distance of neighbours
D, WALL = 2000.0, 1000.0  # diffusivity in the tissue, permeability of the wall
M, HALF = 20.0, 1.3  # largest uptake of the tissue, concentration at half of it (1 mmHg)
SATURATED, P50, HILL = 8800.0, 26.0 * 1.3, 2.7  # oxygen of saturated blood, dissolved oxygen at half saturation
ARTERIAL, SPEED, LENGTH = 0.97 * 8800.0, 200.0, 600.0  # oxygen at the inlet, speed in a capillary, length of one
BLOCKED, ACROSS = 160.0, 60.0  # radius of what is blocked; dissolved oxygen in the blood of the section
MMHG = 1.3  # uM per mmHg


def say(text: str) -> None:
    if COMM.rank == 0:
        print(text, flush=True)


@dataclass(frozen=True, kw_only=True)
class Cell:
    """What the microstructure hands to the tissue."""

    tensor: Any  # D*, per volume of the whole
    permeability: float  # along the capillaries, um^2
    blood: float  # volume fraction of the capillaries
    area: float  # of their walls per volume, 1/um
    slow: float  # exchange in the slow limit, 1/s
    exchange: float  # exchange with Krogh's fall in series, 1/s


def krogh_fall(r: Any, blood: float) -> Any:
    """Return D/M times the fall from the wall to the radius r, in a cylinder with the capillary's share of volume."""
    tissue = CAPILLARY / np.sqrt(blood)
    return 0.5 * tissue**2 * np.log(r / CAPILLARY) - 0.25 * (r * r - CAPILLARY**2)


def mean_fall(blood: float) -> float:
    """Return the mean of :func:`krogh_fall` over the tissue, by its integral in closed form."""
    a, b = CAPILLARY**2, CAPILLARY**2 / blood
    logarithm = 0.5 * b * (b * np.log(b / a) / (b - a) - 1.0)  # mean of b ln(r/a) over a < r^2 < b
    return float(0.5 * logarithm - 0.125 * (b - a))


def solve_cell(resolution: float) -> Cell:
    """Return what the hexagonal array gives."""
    shape: dict[str, Any] = {"radius": CAPILLARY / SPACING, "period": SPACING, "length_unit": "um"}
    section = fibre_array("hexagonal", resolution=resolution, **shape)
    tensor = homogenize_diffusion(section, {"matrix": D}, unit="um^2/s")
    bundle = fibre_array("hexagonal", dimension=3, axis="z", resolution=max(resolution, 0.1), **shape)
    permeability = homogenize_stokes(bundle, fluid="fibre").value[2, 2]
    blood, area = section.volume_fractions["fibre"], section.interface_area
    slow = WALL * area
    exchange = 1.0 / (1.0 / slow + mean_fall(blood) / (D * (1.0 - blood)))
    say(str(tensor))
    return Cell(
        tensor=tensor, permeability=permeability, blood=blood, area=area, slow=slow, exchange=exchange
    )  # fmt: skip


def dissolved(blood: Any) -> Any:
    """Return what is dissolved in blood with so much oxygen: Hill's curve."""
    return P50 * (blood / (SATURATED - blood)) ** (1.0 / HILL)


def along(cell: Cell, count: int, krogh: bool) -> dict[str, Any]:
    """Solve for blood and tissue along the capillaries; as Krogh: all of M is taken, nothing diffuses along them."""
    taken = "M" if krogh else "M*tissue/(half + abs(tissue))"
    numbers = {} if krogh else {"half": f"{HALF!r} uM"}
    kinetics = written_reaction(
        {
            "blood": "-k*(P50*(blood/(full - blood))^(1/n) - tissue)",
            "tissue": f"k*(P50*(blood/(full - blood))^(1/n) - tissue) - share*{taken}",
        },
        {"blood": "uM", "tissue": "uM"},
        parameters={
            "k": f"{cell.exchange!r} 1/s",
            "P50": f"{P50!r} uM",
            "full": f"{SATURATED!r} uM",
            "n": HILL,
            "share": 1.0 - cell.blood,
            "M": f"{M!r} uM/s",
            **numbers,
        },
    )
    velocity = cell.blood * SPEED
    domain = Domain(mesh=box_mesh(COMM, [LENGTH], [count]), unit="um").with_boundaries(
        {"inlet": lambda x: x[0] < 1e-6, "outlet": lambda x: x[0] > LENGTH - 1e-6}
    )
    blood = Species(
        name="blood", volume_fraction=cell.blood, initial=ARTERIAL, velocity=[velocity],
        conditions=(Dirichlet(boundary="inlet", value=ARTERIAL), Outflow(boundary="outlet")),
    )  # fmt: skip
    tissue = Species(
        name="tissue", tensor=None if krogh else (1.0 - cell.blood) * D, volume_fraction=1.0 - cell.blood,
        initial=dissolved(ARTERIAL),
    )  # fmt: skip
    problem = ReactionDiffusion(mesh=domain, species=(blood, tissue), kinetics=kinetics)
    done = solve_at_rest(problem)
    x, found = gathered(done.fields["blood"], done.fields["tissue"])
    return {"x": x, "blood": found[0], "tissue": found[1]}


def gathered(*functions: Any) -> tuple[Any, list[Any]]:
    """Return the nodes of an interval in order, on every rank, and the values there."""
    space = functions[0].function_space
    own = space.dofmap.index_map.size_local
    x = np.concatenate(COMM.allgather(space.tabulate_dof_coordinates()[:own, 0]))
    order = np.argsort(x)
    return x[order], [np.concatenate(COMM.allgather(u.x.array[:own]))[order] for u in functions]


def centres(counts: tuple[int, int]) -> Any:
    """Return the centres of the capillaries of a section of so many cells."""
    wide, high = SPACING, np.sqrt(3.0) * SPACING
    i, j = np.meshgrid(np.arange(counts[0] + 1), np.arange(counts[1] + 1), indexing="ij")
    corners = np.stack([i.ravel() * wide, j.ravel() * high], axis=1)
    i, j = np.meshgrid(np.arange(counts[0]), np.arange(counts[1]), indexing="ij")
    return np.concatenate([corners, np.stack([(i.ravel() + 0.5) * wide, (j.ravel() + 0.5) * high], axis=1)])


def uptake(share: float, exchange: bool) -> Any:
    """Return the kinetics of tissue: what it takes, and what it has from blood where that is not resolved."""
    gain = "k*(supply - tissue)" if exchange else "0"
    numbers: dict[str, Any] = {"share": share, "M": f"{M!r} uM/s", "half": f"{HALF!r} uM"}
    if exchange:
        numbers |= {"k": "1 1/s", "supply": f"{ACROSS!r} uM"}
    return written_reaction(
        {"tissue": f"{gain} - share*M*tissue/(half + abs(tissue))"}, {"tissue": "uM"}, parameters=numbers
    )


def resolved(counts: tuple[int, int], resolution: float) -> tuple[Domain, Any]:
    """Solve in the tissue between the capillaries, each of which has its wall."""
    cell = fibre_array("hexagonal", radius=CAPILLARY / SPACING, period=SPACING, length_unit="um", resolution=resolution)
    middle = cKDTree(centres(counts))
    open_ = np.linalg.norm(middle.data, axis=1) > BLOCKED

    def wall(x: Any) -> Any:
        distance, nearest = middle.query(x[:2].T)
        return (distance < 1.1 * CAPILLARY) & open_[nearest]

    several = tiled(cell, counts)

    def between() -> tuple[Any, Any]:
        """Return the mesh of the tissue, in um: the cell's own is in periods, and closed in itself."""
        raw = several.raw
        cells = raw.cells[raw.phase_of_cell == several.phases["matrix"]]
        used, numbers = np.unique(cells, return_inverse=True)
        return several.length * raw.points[used], numbers.reshape(cells.shape)

    domain = Domain(mesh=mesh_from_arrays(COMM, between), unit="um").with_boundaries({"open": wall})
    tissue = Species(
        name="tissue", tensor=D, initial=ACROSS,
        conditions=(Robin(boundary="open", coefficient=WALL, ambient=ACROSS),),
    )  # fmt: skip
    problem = ReactionDiffusion(mesh=domain, species=(tissue,), kinetics=uptake(1.0, exchange=False))
    return domain, solve_at_rest(problem).fields["tissue"]


def homogenized(cell: Cell, exchange: float, counts: tuple[int, int], fine: int) -> tuple[Domain, Any]:
    """Solve with D* and the exchange; where capillaries are blocked there is none."""
    sides = [counts[0] * SPACING, counts[1] * np.sqrt(3.0) * SPACING]
    middle = cKDTree(centres(counts))
    open_ = np.linalg.norm(middle.data, axis=1) > BLOCKED
    mesh = box_mesh(COMM, sides, [fine * counts[0], 2 * fine * counts[1]])
    domain = Domain(mesh=mesh, unit="um").with_regions(
        {"perfused": lambda x: open_[middle.query(x[:2].T)[1]], "blocked": lambda x: ~open_[middle.query(x[:2].T)[1]]}
    )
    tissue = Species(name="tissue", tensor=cell.tensor, volume_fraction=1.0 - cell.blood, initial=ACROSS)
    problem = ReactionDiffusion(
        mesh=domain,
        species=(tissue,),
        kinetics=uptake(1.0 - cell.blood, exchange=True),
        parameters={"k": {"perfused": exchange, "blocked": 0.0}},
    )
    return domain, solve_at_rest(problem).fields["tissue"]


def territories(domain: Domain, tissue: Any, counts: tuple[int, int]) -> Any:
    """Return the mean in the surroundings of each capillary, on every rank; collective."""
    middle = cKDTree(centres(counts))
    mesh = domain.mesh
    own = mesh.topology.index_map(2).size_local
    dofs = tissue.function_space.dofmap.list[:own]
    places = tissue.function_space.tabulate_dof_coordinates()[:, :2][dofs].mean(axis=1)
    volumes, means = domain.cell_volumes()[:own], tissue.x.array[dofs].mean(axis=1)
    nearest = middle.query(places)[1]
    sums = np.array([np.bincount(nearest, weights, minlength=middle.n) for weights in (volumes * means, volumes)])
    COMM.Allreduce(MPI.IN_PLACE, sums, op=MPI.SUM)
    return sums[0] / sums[1]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("out/12_oxygen_in_tissue"), help="folder of the picture")
    parser.add_argument("--coarse", action="store_true", help="a small section, for the tests")
    parser.add_argument("--fine", action="store_true", help="a larger section on finer meshes")
    parser.add_argument("--dark", action="store_true", help="pictures on a dark ground")
    chosen = parser.parse_args()
    counts = (6, 3) if chosen.coarse else (16, 9) if chosen.fine else (10, 6)
    resolution = 0.3 if chosen.coarse else 0.1 if chosen.fine else 0.2

    cell = solve_cell(0.2 if chosen.coarse else 0.1)
    poiseuille = cell.blood * CAPILLARY**2 / 8.0
    say(f"permeability along capillaries {cell.permeability:.5f} um^2, Poiseuille {poiseuille:.5f}")
    assert abs(cell.permeability / poiseuille - 1.0) < 0.02
    say(
        f"Da = h a/D = {WALL * SPACING / D:.0f}: the wall alone would exchange {cell.slow:.2f} 1/s, "
        f"with the fall in the tissue it is {cell.exchange:.2f} 1/s"
    )

    count = 120 if chosen.coarse else 480
    lines = {krogh: along(cell, count, krogh) for krogh in (True, False)}
    x = lines[True]["x"]
    exact = ARTERIAL - M * (1.0 - cell.blood) * x / (cell.blood * SPEED)
    fall = M * (1.0 - cell.blood) / cell.exchange
    off = np.abs(lines[True]["blood"] - exact).max()
    below = np.abs(lines[True]["tissue"] - (dissolved(exact) - fall))[x > 100.0].max()
    say(f"along the capillaries, beside Krogh and Erlang: blood loses {ARTERIAL - exact[-1]:.0f} uM, {off:.2g} uM "
        f"off, tissue {below:.2g} uM")  # fmt: skip
    assert off < 0.001 * (ARTERIAL - exact[-1])
    assert below < 0.1

    fine = 4 if chosen.coarse else 8
    small = resolved(counts, resolution)
    large = homogenized(cell, cell.exchange, counts, fine)
    wall_only = homogenized(cell, cell.slow, counts, fine)
    means = {
        name: territories(*found, counts)
        for name, found in (("resolved", small), ("homogenized", large), ("slow limit", wall_only))
    }
    far = np.linalg.norm(centres(counts), axis=1) - BLOCKED
    errors = {name: np.abs(means[name] - means["resolved"]) for name in ("homogenized", "slow limit")}
    for name, error in errors.items():
        say(f"across the capillaries, {name}: the means of territories are {error.max():.1f} uM off at most, "
            f"{error[far > SPACING].max():.2f} uM where all neighbours are perfused")  # fmt: skip
    assert errors["homogenized"].max() < 5.0
    assert errors["homogenized"][far > SPACING].max() < 0.5
    assert errors["slow limit"][far > SPACING].max() > 2.0
    pieces = {name: COMM.gather(piece(*found)) for name, found in (("resolved", small), ("homogenized", large))}
    if COMM.rank == 0:
        theme = "dark" if chosen.dark else "light"
        draw(chosen.out / "oxygen", (pieces, counts), means, (lines, cell), theme)


def piece(domain: Domain, tissue: Any) -> tuple[Any, Any, Any]:
    """Return points, triangles and values of a rank's part of the mesh."""
    own = domain.mesh.topology.index_map(2).size_local
    space = tissue.function_space
    return space.tabulate_dof_coordinates()[:, :2], space.dofmap.list[:own], tissue.x.array.copy()


def draw(path: Path, sections: Any, means: Any, along: Any, theme: str) -> None:
    """Draw the sections, the means of the territories over the distance, and the way along a capillary, in mmHg."""
    with charts(path, 2, 2, size=(4.8, 4.2), theme=theme) as axes:
        draw_sections(axes[0], *sections)
        draw_territories(axes[1, 0], sections[1], means)
        draw_along(axes[1, 1], *along)


def draw_sections(axes: Any, pieces: Any, counts: tuple[int, int]) -> None:
    from matplotlib.collections import EllipseCollection

    scale, middle = colour_scale([0.0, 45.0]), centres(counts)
    for axis, (name, parts), letter in zip(axes, pieces.items(), "ab", strict=True):
        for points, triangles, values in parts:
            colours = {"cmap": scale.colormap, "norm": scale.norm, "rasterized": True}
            axis.tripcolor(*points.T, triangles, values / MMHG, shading="gouraud", **colours)
        axis.set(aspect="equal", xlabel="x (um)", ylabel="y (um)", title=f"({letter}) {name}")
        axis.set(xlim=(0.0, counts[0] * SPACING), ylim=(0.0, counts[1] * np.sqrt(3.0) * SPACING))
        turn = np.linspace(0.0, 0.5 * np.pi, 60)
        axis.plot(BLOCKED * np.cos(turn), BLOCKED * np.sin(turn), color="white", lw=0.8, ls="--")
    far = np.linalg.norm(middle, axis=1) > BLOCKED
    for chosen, colour in ((far, "C0"), (~far, "0.6")):
        size = np.full(chosen.sum(), 2.0 * CAPILLARY)
        axes[0].add_collection(EllipseCollection(
            size, size, np.zeros(chosen.sum()), units="xy", offsets=middle[chosen],
            offset_transform=axes[0].transData, facecolor=colour, edgecolor="none", zorder=3,
        ))  # fmt: skip
    axes[0].figure.colorbar(scale.mappable, ax=axes, label="partial pressure of oxygen (mmHg)", shrink=0.9)


def draw_territories(axes: Any, counts: tuple[int, int], means: Any) -> None:
    distance = np.linalg.norm(centres(counts), axis=1)
    order = np.argsort(distance)
    axes.plot(distance[order], means["resolved"][order] / MMHG, "o", color="0.55", ms=4, mfc="none", label="resolved")
    for name, style, label in (
        ("homogenized", "C0-", "D*, exchange with Krogh's fall"),
        ("slow limit", "C4--", "D*, exchange of the wall alone"),
    ):
        axes.plot(distance[order], means[name][order] / MMHG, style, lw=1.2, label=label)
    axes.axvline(BLOCKED, color="0.6", lw=0.8, ls=":")
    axes.text(BLOCKED - 6.0, 43.0, "blocked", ha="right", fontsize=9)
    axes.set(xlabel="distance of the capillary from the corner (um)", ylabel="mean around it (mmHg)", ylim=(0.0, 47.0))
    axes.set_title("(c) territories of the capillaries")
    axes.legend(loc="lower right")


def draw_along(axes: Any, lines: Any, cell: Cell) -> None:
    x = lines[True]["x"]
    exact = ARTERIAL - M * (1.0 - cell.blood) * x / (cell.blood * SPEED)
    wall = dissolved(exact) - M * (1.0 - cell.blood) / cell.slow
    corner = wall - M / D * krogh_fall(CAPILLARY / np.sqrt(cell.blood), cell.blood)
    between = {"color": "0.55", "alpha": 0.25, "lw": 0, "label": "tissue, Krogh: wall to farthest point"}
    axes.fill_between(x, corner / MMHG, wall / MMHG, **between)
    axes.plot(x, dissolved(exact) / MMHG, color="C0", lw=4.0, alpha=0.3, label="blood, Krogh and Erlang")
    some = slice(None, None, max(1, len(x) // 30))
    for krogh, style, text in ((True, "o", "as Krogh"), (False, "-", "with saturating uptake, diffusion along")):
        at = some if krogh else slice(None)
        for name, colour, pressure in (
            ("blood", "C0", dissolved(lines[krogh]["blood"])),
            ("tissue", "C4", lines[krogh]["tissue"]),
        ):
            axes.plot(x[at], pressure[at] / MMHG, colour + style, ms=3, mfc="none", lw=1.2, label=f"{name}, {text}")
    axes.set(xlabel="distance along the capillary (um)", ylabel="partial pressure (mmHg)", ylim=(0.0, 98.0))
    axes.set_title("(d) along the capillaries")
    axes.legend(fontsize=8)


if __name__ == "__main__":
    main()
