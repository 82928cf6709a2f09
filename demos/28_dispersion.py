r"""Dispersion around the cells of a tissue: how fast a solute spreads while the fluid between the cells carries it.

    docker/run python demos/28_dispersion.py [--out FOLDER]
    docker/run homfem effective demos/28_dispersion.toml --figure dispersion.png

Round cells of fraction .3 in a square array; the fluid between them flows slowly past, at any angle to the rows, and
carries a solute that diffuses. Seen from afar its concentration moves with the mean velocity V of the fluid and spreads
with a tensor that depends on the Peclet number Pe = V L / D (L the distance of the cells):

.. math:: \partial_t c + V\cdot\nabla c = \nabla\cdot(D^*(\mathrm{Pe})\,\nabla c) ,

per volume of the fluid. Between cells 20 um apart fluid moves at 0.1 to 4 um/s in tissue at rest: Pe is .02 to 1 for a
small solute (D = 100 um^2/s), 1 to 40 for a virus (2 um^2/s). In perfused scaffolds and beds it is 10 to 1000.

1. **Regimes.** Below Pe = 1 the flow does not matter: D* is that of diffusion around the cells. Above, D* grows along
   the flow: as Pe^2 where lanes lead through the array, along its rows or its diagonals, for a solute in the slow fluid
   between two cells has to diffuse to get away (Taylor); as Pe where the flow has an angle to the rows, and mixes the
   lanes. Across the flow D* tends to a limit.
2. **Angles.** Except along rows and diagonals the tensor has no axis along the flow: it has entries beside the
   diagonal. At Pe = 10 and 45 degrees a solute spreads *less* along the flow than across it.
3. **Sorption** on the cells holds the solute back: it moves R = 1 + K |wall| / |fluid| times as slowly. Across the flow
   R D* does not change; along it the solute that is held, and let go, spreads more than that.

Every line is one mesh, one flow and one assembly for all its Peclet numbers. The numbers that are checked are of
another method; with `tolerance` in place of `resolution` they come with guaranteed bounds.

Source: Brenner 1980, doi 10.1098/rsta.1980.0205; Koch, Cox, Brenner, Brady 1989, doi 10.1017/S0022112089000728;
Edwards, Shapiro, Brenner, Shapira 1991, doi 10.1007/BF00136346.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from mpi4py import MPI

from homfem.cells import UnitCell, fibre_array
from homfem.certify import CellSolution
from homfem.certify.dispersion import StokesFlow, solve_dispersion
from homfem.output.charts import charts
from homfem.output.flow_lines import draw_flow_lines
from homfem.output.pictures import made_drawable
from homfem.output.solved import on_cells
from homfem.tensors import EffectiveTensor

COMM = MPI.COMM_WORLD
FRACTION, PERIOD, DIFFUSIVITY = 0.3, 20.0, 100.0  # um, um^2/s
ANGLES = (0, 20, 45)  # degrees between the flow and the rows of cells
SHOWN = 100.0  # the Peclet number of the fields
#: D*/D along and across the flow by (angle, Pe); D*/D without flow: finite elements of order 8, Bloch waves.
INDEPENDENT = {
    (0, 1.0): (0.79098942, 0.76874271),
    (0, 10.0): (2.0785848, 0.8200195),
    (0, 100.0): (71.510432, 1.0499567),
    (45, 10.0): (0.88955876, 1.5112522),
}
AT_REST = 0.76797141
#: V/(V without sorption), D*/D along and across at Pe = 10 where the walls hold K = L/2.
SORBED = (0.41895773, 1.6538712, 0.34355353)


def say(text: str) -> None:
    if COMM.rank == 0:
        print(text, flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("out/28_dispersion"), help="folder of the figure")
    parser.add_argument("--coarse", action="store_true", help="a coarse mesh and few numbers, for the tests")
    parser.add_argument("--dark", action="store_true", help="a dark ground")
    chosen = parser.parse_args()
    coarse = chosen.coarse
    cell = fibre_array(
        fraction=FRACTION, order=2, resolution=0.1 if coarse else 0.05, refinement=0, period=PERIOD, length_unit="um"
    )

    # 1. regimes
    numbers = sorted(
        {*np.geomspace(0.1, 1e2 if coarse else 1e3, 4 if coarse else 21).round(9).tolist(), 1.0, 10.0, SHOWN}
    )
    lines = {angle: [along(one, angle) for one in solved(cell, angle, numbers).series] for angle in ANGLES}
    for angle in ANGLES:
        say(f"flow at {angle} degrees to the rows:      Pe   D along / D  across / D")
        for number, (forth, across, _) in zip(numbers, lines[angle], strict=True):
            say(f"{number:41.4g} {forth:13.5g} {across:11.5g}")
    for (angle, number), expected in INDEPENDENT.items():
        found = lines[angle][numbers.index(number)][:2]
        assert np.allclose(found, expected, rtol=2e-3 if coarse else 5e-5), (angle, number, found, expected)
    assert all(min(forth, across) > AT_REST * (1.0 - 1e-3) for line in lines.values() for forth, across, _ in line)

    # 2. angles
    turned = np.linspace(0.0, 90.0, 5 if coarse else 25).tolist()
    at_ten = [along(solved(cell, angle, [10.0]).tensor, angle) for angle in turned]
    forth, across, beside = at_ten[turned.index(45.0)]
    say(f"Pe = 10 at 45 degrees: {forth:.5f} along the flow, {across:.5f} across it, {beside:.1e} beside the diagonal")
    assert forth < across

    # 3. sorption: K over the distance of the cells
    lengths = (0.0, 0.5, 1.0) if coarse else (0.0, 0.02, 0.05, 0.1, 0.2, 0.35, 0.5, 0.7, 1.0)
    held = [solved(cell, 0, [10.0], sorption=one * PERIOD).tensor for one in lengths]
    speed = 10.0 * DIFFUSIVITY / PERIOD
    kept = [(one.retardation, *np.diag(one.value) / DIFFUSIVITY, velocity(one) / speed) for one in held]
    for length, (factor, forth, across, part) in zip(lengths, kept, strict=True):
        say(f"K = {length:.2f} L: R = {factor:.4f}, V = {part:.5f} U, D*/D = {forth:.5f}, {across:.5f}")
        assert math.isclose(part * factor, 1.0, rel_tol=1e-9)
        assert math.isclose(factor * across, kept[0][2], rel_tol=1e-6)
    _, forth, across, part = kept[lengths.index(0.5)]
    assert np.allclose((part, forth, across), SORBED, rtol=2e-3 if coarse else 5e-5)

    fields = [field(solved(cell, angle, [SHOWN]), angle) for angle in ANGLES]
    if COMM.rank == 0:
        theme = "dark" if chosen.dark else "light"
        draw(chosen.out / "dispersion", fields, (numbers, lines), (turned, at_ten), (lengths, kept), theme)
    say(f"the figure is {chosen.out / 'dispersion.png'}")


def solved(cell: UnitCell, angle: float, numbers: Sequence[float], *, sorption: float = 0.0) -> CellSolution:
    """Return the dispersion of a flow at an angle to the rows, for some Peclet numbers; collective."""
    flow = StokesFlow(direction=[math.cos(math.radians(angle)), math.sin(math.radians(angle))])
    return solve_dispersion(
        cell,
        {"matrix": DIFFUSIVITY},
        flow=flow,
        peclet=list(numbers),
        sorption_length=sorption,
        degree=3,
        unit="um^2/s",
    )


def along(tensor: EffectiveTensor, angle: float) -> tuple[float, float, float]:
    """Return D*/D along and across a flow, and the entry of both."""
    c, s = math.cos(math.radians(angle)), math.sin(math.radians(angle))
    turn = np.array([[c, -s], [s, c]])
    value = turn.T @ tensor.value @ turn / DIFFUSIVITY
    return float(value[0, 0]), float(value[1, 1]), float(value[0, 1])


def velocity(tensor: EffectiveTensor) -> float:
    """Return the speed at which the solute moves, um/s."""
    return float(np.linalg.norm(tensor.coefficients["velocity"].value))


def field(solution: CellSolution, angle: float) -> Any:
    """Return the mesh with the concentration beside its mean for a gradient along the flow, and the flow."""
    cell, (x, y) = solution.cell, solution.correctors.functions
    c, s = math.cos(math.radians(angle)), math.sin(math.radians(angle))
    total = x.copy()
    total.x.array[:] = c * x.x.array + s * y.x.array
    values, vectors = (on_cells(cell, one, cell.mesh, 2) for one in (total, solution.solved.flow.velocity))
    if cell.raw is None or values is None:
        return None
    return made_drawable(cell.raw.points, cell.raw.cells, cell.raw.phase_of_cell, values, vectors=vectors)


def draw(path: Path, fields: Sequence[Any], regimes: Any, turned: Any, sorbed: Any, theme: str) -> None:
    """Draw the fields above, and below them the tensor against the Peclet number, the angle, and the sorption."""
    with charts(path, 2, 3, size=(4.9, 4.0), theme=theme) as axes:
        for ax, drawn, angle in zip(axes[0], fields, ANGLES, strict=True):
            draw_field(ax, drawn, f"Pe = {SHOWN:g}, flow at {angle}° to the rows")
        draw_regimes(axes[1, 0], *regimes)
        draw_angles(axes[1, 1], *turned)
        draw_sorption(axes[1, 2], *sorbed)


def draw_field(ax: Any, drawn: Any, title: str) -> None:
    """Colour the fluid, and draw lines along the flow."""
    corners, values = drawn.corners, drawn.values
    spread = np.abs(values).max()
    points = drawn.nodes[corners].reshape(-1, 2)
    triangles = np.arange(len(points)).reshape(-1, 3)
    colours = ax.tripcolor(
        *points.T,
        triangles,
        values.ravel(),
        shading="gouraud",
        cmap="RdBu_r",
        vmin=-spread,
        vmax=spread,
        rasterized=True,
    )
    draw_flow_lines(ax, drawn, 22)
    ax.set(title=title, aspect="equal", xlim=(0, 1), ylim=(0, 1), xticks=[], yticks=[], facecolor="0.75")
    ax.grid(visible=False)
    ax.figure.colorbar(colours, ax=ax, label="concentration beside its mean,\nover gradient times L", shrink=0.9)


def draw_regimes(ax: Any, numbers: Sequence[float], lines: Any) -> None:
    """Draw D*/D against Pe, along the flow and across it, with the powers between them."""
    for k, angle in enumerate(ANGLES):
        forth, across, _ = np.array(lines[angle]).T
        ax.loglog(numbers, forth, color=f"C{k}", label=f"{angle}°, along the flow")
        ax.loglog(numbers, across, color=f"C{k}", linestyle="--", label=f"{angle}°, across")
    known = np.array([(number, *pair) for (_, number), pair in INDEPENDENT.items()])
    for column in (1, 2):
        ax.loglog(known[:, 0], known[:, column], "o", color="0.35", markersize=4, fillstyle="none", zorder=5)
    high = np.array([numbers[-1] / 12.0, numbers[-1] / 1.6])
    for power, at, words in ((2, 2.2 * lines[0][-1][0], "Pe²"), (1, 0.35 * lines[20][-1][0], "Pe")):
        guide = at * (high / numbers[-1]) ** power
        ax.loglog(high, guide, color="0.5", linewidth=1.0)
        left = power == 2
        place = {"xy": (high[1 - left], guide[1 - left]), "xytext": (-4, 2) if left else (2, -8)}
        ax.annotate(words, **place, textcoords="offset points", ha="right" if left else "left", color="0.4")
    ax.axhline(AT_REST, color="0.5", linewidth=0.8, linestyle=":")
    ax.set(xlabel="Pe = V L / D", ylabel="D* / D, per volume of the fluid", title="Regimes")
    ax.legend(fontsize=7, title="circles: other methods", title_fontsize=7)


def draw_angles(ax: Any, turned: Sequence[float], found: Any) -> None:
    """Draw the tensor in the axes of the flow against its angle."""
    forth, across, beside = np.array(found).T
    for values, words in ((forth, "along the flow"), (across, "across"), (beside, "beside the diagonal")):
        ax.plot(turned, values, label=words)
    ax.plot([45, 45], INDEPENDENT[45, 10.0], "o", color="0.35", markersize=4, fillstyle="none", zorder=5)
    ax.axhline(AT_REST, color="0.5", linewidth=0.8, linestyle=":")
    ax.set(xlabel="angle of the flow to the rows (degrees)", ylabel="D* / D", title="Pe = 10: angles")
    ax.set(xticks=[0, 15, 30, 45, 60, 75, 90])
    ax.legend(fontsize=8)


def draw_sorption(ax: Any, lengths: Sequence[float], kept: Any) -> None:
    """Draw velocity and tensor against what the walls hold."""
    factor, forth, across, part = np.array(kept).T
    for values, words in ((part, "V / U"), (factor * forth, "R D*/D along"), (factor * across, "R D*/D across")):
        ax.plot(lengths, values, label=words)
    ax.set(xlabel="K / L: what the cells hold", title="Pe = 10: sorption", ylim=(0.0, None))
    ax.legend(fontsize=8)


if __name__ == "__main__":
    main()
