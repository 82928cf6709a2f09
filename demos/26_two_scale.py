r"""The proof of the limit: everything resolved, beside the homogenized solution and its reconstruction.

A box is made of $(1/\varepsilon)^d$ periods, each with the very mesh of its cell problem, and solved with everything
resolved. Beside it: the homogenized solution $u_0$ with the effective tensor of the same cell, and its reconstruction
$u_0 + \varepsilon\,\chi_k(x/\varepsilon)\,\partial_k u_0$. No number is fitted. As the periods get small,

* $u_\varepsilon - u_0$ falls with $\varepsilon$ in $L^2$;
* the gradient of $u_\varepsilon$ is that of the reconstruction but for $\varepsilon$ inside, and for
  $\sqrt\varepsilon$ over all: a boundary layer some periods thick misses it. The gradient of $u_0$ alone is wrong at
  any $\varepsilon$;
* calcium in a resolved network of endoplasmic reticulum and the cytosol around it, exchanging through the membrane,
  tends to the calcium bidomain: c and e, over a time in which both fields move and exchange.

Pictures: a perforated medium in the plane (fields, rates and the layer), and calcium in space, cut through the pipes.

    python demos/26_two_scale.py [--coarse] [--dark] [--out FOLDER]
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np
from mpi4py import MPI

from homfem import three_pipe
from homfem._dolfinx import geometry_dofmap
from homfem.cells import blocks
from homfem.certify import Diffusion, Elasticity
from homfem.kinetics import DE_YOUNG_KEIZER, li_rinzel, membrane_from_rates
from homfem.output.charts import charts
from homfem.twoscale import (
    CalciumPair,
    CalciumStudy,
    SteadyProblem,
    TwoScaleStudy,
    calcium_two_scale_study,
    two_scale_study,
)

COMM = MPI.COMM_WORLD
#: Length of the box with calcium, um, and its period as it is.
SIDE, PERIOD = 8.0, 1.0


def perforated(resolution: float):
    """A square hole off the centre of the cell: no side of the box is a mirror plane, which brings the layer out."""
    return blocks(["LLL", "LVL", "LLL"], widths=[0.15, 0.5, 0.35], heights=[0.3, 0.5, 0.2], resolution=resolution)


def plane(coarse: bool) -> tuple[TwoScaleStudy, TwoScaleStudy, TwoScaleStudy]:
    """Diffusion around holes, for pictures and for rates, and a stiff inclusion in a soft solid."""
    diffusion, problem = Diffusion(coefficients={"L": 1.0}), SteadyProblem(source=1.0)
    shown = two_scale_study(perforated(0.125 if coarse else 0.05), diffusion, problem, periods=(4,))
    periods = (4, 8) if coarse else (2, 4, 8, 16, 32)
    rates = two_scale_study(perforated(0.2 if coarse else 0.125), diffusion, problem, periods=periods)
    solid = Elasticity(stiffnesses={"L": {"young": 1.0, "poisson": 0.3}, "V": {"young": 20.0, "poisson": 0.3}})
    pulled = SteadyProblem(source=[0.0, -1.0])
    elastic = two_scale_study(perforated(0.2), solid, pulled, periods=(4, 8) if coarse else (2, 4, 8, 16, 32))
    return shown, rates, elastic


def calcium(coarse: bool) -> tuple[CalciumStudy, CalciumStudy]:
    """Li and Rinzel's receptors in a network of pipes: a strip of many periods, and the whole box."""
    cell = three_pipe(0.4, resolution=1 / 3, period=PERIOD, length_unit="um")
    membrane = membrane_from_rates(
        DE_YOUNG_KEIZER,
        cytosol_fraction=cell.volume_fractions["cytosol"],
        er_fraction=cell.volume_fractions["er"],
        interface_area=cell.interface_area,
    )
    common: dict[str, Any] = {
        "cell": cell,
        "diffusivities": {"cytosol": 20.0, "er": 10.0},
        "kinetics": li_rinzel(membrane),
        "side": SIDE,
        "ip3": 0.5,
        "end": 0.4,
        "step": 0.02 if coarse else 0.005,
    }
    strip = CalciumPair(
        **common,
        strip=True,
        initial_cytosol=lambda x: 0.3 + 0.25 * np.cos(np.pi * x[0] / SIDE),
        initial_er=lambda x: 6.0 - 2.0 * np.cos(np.pi * x[0] / SIDE),
    )
    box = CalciumPair(
        **common,
        initial_cytosol=lambda x: 0.1 + 1.5 * np.exp(-np.sum((x[:2] - 0.35 * SIDE) ** 2, axis=0) / (0.2 * SIDE) ** 2),
        initial_er=lambda x: 6.0 - 2.0 * np.cos(np.pi * x[0] / SIDE) * np.cos(np.pi * x[1] / SIDE),
    )
    along = calcium_two_scale_study(strip, periods=(4, 8) if coarse else (4, 8, 16, 32))
    return along, calcium_two_scale_study(box, periods=(2,) if coarse else (2, 4, 8))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--coarse", action="store_true", help="few periods, for a test")
    parser.add_argument("--out", type=Path, default=Path("out/26_two_scale"), help="folder of the pictures")
    parser.add_argument("--dark", action="store_true", help="pictures on a dark ground")
    options = parser.parse_args()
    theme = "dark" if options.dark else "light"

    shown, rates, elastic = plane(options.coarse)
    along, box = calcium(options.coarse)
    if COMM.rank == 0:
        for study in (rates, elastic, along, box):
            print(study, end="\n\n")
    for study in (rates, elastic):
        assert abs(study.rates("l2")[-1] - 1.0) < 0.15
        assert abs(study.rates("h1 inside")[-1] - 1.0) < 0.1
        assert 0.4 < study.rates("h1")[-1] < 0.85
    for name in ("cytosol h1", "er h1", "cytosol h1 inside", "er h1 inside"):
        assert abs(along.rates(name)[-1] - 1.0) < 0.15
    assert max(level.drift for level in (*along.levels, *box.levels)) < 1e-12

    draw_plane(options.out / "fields", shown, theme)
    draw_calcium(options.out / "calcium", box, theme)
    if COMM.rank == 0:
        draw_rates(options.out / "rates", rates, elastic, along, theme)


def gathered(points: np.ndarray, triangles: np.ndarray, values: list[np.ndarray]) -> Any:
    """Triangles of all ranks with values at their corners, on rank 0; collective."""
    corners = points[triangles]
    parts = COMM.gather((corners, [one[triangles] for one in values]))
    if parts is None:
        return None
    places = np.concatenate([part[0] for part in parts]).reshape(-1, 2)
    found = [np.concatenate([part[1][k] for part in parts]).ravel() for k in range(len(values))]
    return places, np.arange(len(places)).reshape(-1, 3), found


def steepness(corners: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Sizes of the gradients of triangles with corners (n, 3, 2) and values (n, 3), as corner means, (3n,)."""
    edges, rise = corners[:, 1:] - corners[:, :1], values[:, 1:] - values[:, :1]
    size = np.repeat(np.linalg.norm(np.linalg.solve(edges, rise[..., None])[..., 0], axis=1), 3)
    _, node = np.unique(np.rint(1e7 * corners.reshape(-1, 2)), axis=0, return_inverse=True)
    node = node.ravel()
    return (np.bincount(node, size) / np.bincount(node))[node]


def draw_plane(path: Path, study: TwoScaleStudy, theme: str) -> None:
    """Three fields side by side, and below the sizes of their gradients; collective."""
    fields = study.fields
    domain = fields.domain
    cells = domain.space.dofmap.list[: domain.owned_cells]
    limit = fields.homogenized.values(domain.points)[0]
    values = [fields.resolved.x.array.copy(), limit, fields.reconstructed.x.array.copy()]
    found = gathered(domain.points.T, cells, values)
    if found is None:
        return
    places, triangles, values = found
    names = (f"resolved, ε = 1/{study.levels[-1].periods}", "homogenized", "reconstructed")
    side = np.linspace(0.0, 1.0, 161)
    grid = np.stack([x.ravel() for x in np.meshgrid(side, side, indexing="ij")])
    smooth = fields.homogenized.values(grid)[0].reshape(161, 161)
    steep = np.linalg.norm(fields.homogenized.gradients(grid)[0], axis=0).reshape(161, 161)
    sizes = [steepness(places[triangles], one[triangles]) for one in values]
    tops = max(float(one.max()) for one in values), float(np.quantile(sizes[0], 0.999))
    with charts(path, 2, 3, size=(3.4, 3.15), theme=theme) as axes:
        for k, name in enumerate(names):
            for row, (top, colours) in enumerate(zip(tops, ("viridis", "magma"), strict=True)):
                chart = axes[row][k]
                if k == 1:
                    chart.pcolormesh(side, side, (smooth, steep)[row].T, shading="gouraud", cmap=colours,
                                     vmin=0.0, vmax=top, rasterized=True)  # fmt: skip
                else:
                    chart.tripcolor(*places.T, triangles, (values, sizes)[row][k], shading="gouraud",
                                    cmap=colours, vmin=0.0, vmax=top, rasterized=True)  # fmt: skip
                chart.set(aspect="equal", xlim=(0, 1), ylim=(0, 1), xticks=[0, 0.5, 1], yticks=[0, 0.5, 1])
                chart.set_title(name if row == 0 else "size of its gradient")
            for row in range(2) if k == 2 else ():
                chart.figure.colorbar(axes[row][2].collections[0], ax=list(axes[row]), shrink=0.85, pad=0.01,
                                      label="u" if row == 0 else "|∇u|")  # fmt: skip


def cut(study: CalciumStudy, name: str, at: float) -> Any:
    """Facets of a phase in the plane z = at with the resolved and the reconstructed field; collective."""
    fields = study.fields
    function = fields.resolved[name]
    mesh, space = function.function_space.mesh, function.function_space
    count = mesh.topology.index_map(3).size_local
    own = np.flatnonzero(fields.cells[name][:count])
    x = mesh.geometry.x[geometry_dofmap(mesh)[own]]
    dofs = space.dofmap.list[own]
    triangles, corners = [], []
    for k in range(4):  # the facet opposite to corner k, of the cells below the plane
        others = [j for j in range(4) if j != k]
        inside = np.all(np.abs(x[:, others, 2] - at) < 1e-6, axis=1) & (x[:, k, 2] < at)
        triangles.append(dofs[inside][:, others])
        corners.append(x[inside][:, others, :2])
    nodes, places = np.concatenate(triangles), np.concatenate(corners).reshape(-1, 2)
    values = [one.x.array[nodes].ravel() for one in (function, fields.reconstructed[name])]
    return gathered(places, np.arange(len(places)).reshape(-1, 3), values)


def draw_calcium(path: Path, study: CalciumStudy, theme: str) -> None:
    """Both concentrations in a plane through the pipes: resolved, homogenized, reconstructed; collective."""
    periods = round(1.0 / study.levels[-1].eps)
    at = SIDE * (periods // 2 + 0.5) / periods
    found = {name: cut(study, name, at) for name in ("cytosol", "er")}
    if COMM.rank != 0:
        return
    side = np.linspace(0.0, SIDE, 129)
    grid = np.stack([x.ravel() for x in np.meshgrid(side, side, indexing="ij")] + [np.full(129 * 129, at)])
    with charts(path, 2, 3, size=(3.4, 3.15), theme=theme) as axes:
        for row, name in enumerate(found):
            places, triangles, values = found[name]
            smooth = study.fields.homogenized[name].values(grid)[0].reshape(129, 129)
            low, high = min(smooth.min(), values[0].min()), max(smooth.max(), values[0].max())
            style: dict[str, Any] = {
                "cmap": ("viridis", "magma")[row], "vmin": low, "vmax": high, "rasterized": True, "shading": "gouraud",
            }  # fmt: skip
            for k, chart in enumerate(axes[row]):
                if k == 1:
                    shown = chart.pcolormesh(side, side, smooth.T, **style)
                else:
                    shown = chart.tripcolor(*places.T, triangles, values[k // 2], **style)
                chart.set(aspect="equal", xlim=(0, SIDE), ylim=(0, SIDE), xlabel="x (um)")
                word = (f"resolved, ε = 1/{periods}", "homogenized", "reconstructed")[k]
                chart.set_title(f"{('c, cytosol', 'e, ER')[row]}: {word}")
            axes[row][0].set_ylabel("y (um)")
            chart.figure.colorbar(shown, ax=list(axes[row]), shrink=0.85, pad=0.01, label=f"{'ce'[row]} (uM)")


def draw_rates(path: Path, rates: TwoScaleStudy, elastic: TwoScaleStudy, along: CalciumStudy, theme: str) -> None:
    """Errors over eps of the three, and the layer of the first."""
    with charts(path, 2, 2, size=(4.6, 3.7), theme=theme) as axes:
        pairs = ((axes[0][0], rates, "(a) diffusion around holes"), (axes[0][1], elastic, "(b) stiff inclusions"))
        for chart, study, title in pairs:
            curves = {"l2": "limit, L²", "h1": "reconstruction, H¹", "h1 inside": "reconstruction, H¹ inside"}
            for name, label in curves.items():
                chart.loglog(study.eps, study.errors(name), "o-", label=label)
            chart.loglog(study.eps, study.errors("sampled gradient"), "s:", ms=4, label="two-scale integrals")
            guides(chart, study.eps, 0.72 * study.errors("h1 inside")[-1], 1.25 * study.errors("h1")[-1])
            chart.set(xlabel="ε", ylabel="relative error", title=title)
            chart.set_ylim(bottom=0.12 * study.errors("sampled gradient").min())
            chart.legend(fontsize=8, loc="lower right")
        chart = axes[1][0]
        for level in rates.levels[-3:]:
            chart.semilogy(level.distance, level.profile, label=f"ε = 1/{level.periods}")
        chart.set(xlabel="distance from the boundary", ylabel="error of the gradient",
                  title="(c) the layer: reconstruction, by distance")  # fmt: skip
        chart.legend()
        chart = axes[1][1]
        for name, label in (("cytosol", "c"), ("er", "e")):
            chart.loglog(along.eps, along.errors(f"{name} l2"), "o-", label=f"{label}: limit, L²")
            chart.loglog(along.eps, along.errors(f"{name} h1"), "s--", ms=4, label=f"{label}: reconstruction, H¹")
        guides(chart, along.eps, 0.6 * along.errors("er l2")[-1], None)
        chart.set(xlabel="ε", ylabel="relative error", title="(d) calcium in pipes, against the bidomain")
        chart.legend(fontsize=8, loc="upper left")
        chart.set_ylim(top=4.0)


def guides(chart: Any, eps: np.ndarray, first: float, half: float | None) -> None:
    """Slopes 1 and 1/2, from the smallest eps."""
    chart.loglog(eps, first * eps / eps[-1], color="0.6", ls="--", lw=0.9)
    offset = {"textcoords": "offset points", "color": "0.5", "fontsize": 9}
    chart.annotate("ε", (eps[-2], first * eps[-2] / eps[-1]), xytext=(2, -4), va="top", **offset)
    if half is not None:
        chart.loglog(eps, half * np.sqrt(eps / eps[-1]), color="0.6", ls="--", lw=0.9)
        chart.annotate("√ε", (eps[-1], half), xytext=(0, 4), va="bottom", ha="center", **offset)
    ticks = [one for one in eps if round(1.0 / one) in (2, 4, 8, 16, 32)]
    chart.minorticks_off()
    chart.set_xticks(ticks, labels=[f"1/{round(1.0 / one)}" for one in ticks])


if __name__ == "__main__":
    main()
