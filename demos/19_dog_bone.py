r"""A unipolar stimulus in cardiac tissue makes a dog bone: the bidomain with unequal ratios of anisotropy.

    docker/run python demos/19_dog_bone.py [--out FOLDER]
    docker/run homfem run demos/19_dog_bone.toml        # unequal ratios, from a config

A cathode in the middle of a sheet draws current from the extracellular space. With one conductivity, or with two
whose anisotropies are alike, the tissue under it is depolarised in an ellipse, and nothing else happens. In the heart
the intracellular space conducts ten times as well along the fibres as across, the extracellular one 2.5 times, and no
stretching of the axes makes both isotropic. Then the depolarised region has the shape of a dog bone across the fibres,
and on both sides of it, along the fibres, the cathode makes *virtual anodes*: tissue that it hyperpolarises
(Sepulveda, Roth, Wikswo 1989). That is why strong shocks excite, and why a stimulus can begin re-entry.

The membrane is passive, as in the paper. In an infinite sheet at rest in time the Fourier transform of V is then exact,

$$\hat V = \frac{A_i\,\hat c}{\chi g(A_i+A_e)+A_iA_e},\qquad A_{i,e}=k\cdot\sigma_{i,e}k ,$$

with the cathode's current c. The demo holds the sheet against it, for the nominal and for equal ratios.

Source: Sepulveda, Roth, Wikswo 1989, Biophysical Journal 55, 987, doi 10.1016/S0006-3495(89)82897-3; nominal
conductivities: Roth 1997, IEEE Transactions on Biomedical Engineering 44, 326, doi 10.1109/10.563303.
"""

from __future__ import annotations

import argparse
import functools
from pathlib import Path
from typing import Any

import numpy as np
from mpi4py import MPI
from scipy import special
from scipy.interpolate import RectBivariateSpline

from homfem.bodies import box_mesh
from homfem.kinetics import PointKinetics
from homfem.kinetics.parameters import Parameter
from homfem.kinetics.point import Variable
from homfem.macro.cardiac import CardiacMethod, CardiacProblem, solve_cardiac
from homfem.macro.conditions import Dirichlet
from homfem.macro.domain import Domain
from homfem.macro.stimulus import Ball, Stimulus
from homfem.output.charts import charts
from homfem.output.colours import colour_scale
from homfem.output.waves import FieldRecord
from homfem.timestepping import TimeGrid

COMM = MPI.COMM_WORLD
# mm, ms, mV, mS/mm, uA/mm^3: conductivities along and across the fibres, which run along x.
INTRACELLULAR = (0.2, 0.02)
EXTRACELLULAR = {"unequal ratios": (0.2, 0.08), "equal ratios": (0.2, 0.02)}
AREA, CAPACITANCE, LEAK = 140.0, 0.01, 1e-3  # 1/mm, uF/mm^2, mS/mm^2
SIDE, NEAR = 40.0, 5.0  # of the sheet; half the side of what is looked at
ELECTRODE, CURRENT = 0.4, 40.0  # radius of the cathode, uA/mm^3
DURATION = 60.0  # six times the time constant of the membrane

PASSIVE = PointKinetics(
    name="passive membrane",
    time_unit="ms",
    fields=(Variable(name="V", unit="mV", meaning="membrane potential less that at rest"),),
    parameters=(Parameter(name="rate", value=LEAK / CAPACITANCE, unit="1/ms", meaning="g/Cm"),),
    rates=lambda _time, fields, _states, p: -p.rate * fields[0][None],
    jacobian=lambda _time, fields, _states, p: np.full((1, 1, fields[0].size), -p.rate),
)


def say(text: str) -> None:
    if COMM.rank == 0:
        print(text, flush=True)


def solve(extracellular: tuple[float, float], count: int, step: float) -> tuple[Any, Any, Any]:
    """Return nodes (n, 2), triangles and V (mV) at the end of the stimulus, on rank 0."""
    mesh = box_mesh(COMM, [2.0, 2.0], [count, count])
    s = mesh.geometry.x[:, :2] - 1.0
    mesh.geometry.x[:, :2] = 0.5 * SIDE * (0.15 * s + 0.85 * s**3)  # fine in the middle
    domain = Domain(mesh=mesh, unit="mm").with_boundaries({"rim": lambda x: np.full(x.shape[1], True)})
    cathode = Stimulus(place=Ball(centre=(0.0, 0.0), radius=ELECTRODE), amplitude=-CURRENT)
    problem = CardiacProblem(
        mesh=domain, kind="bidomain", membrane=PASSIVE, area=AREA, capacitance=CAPACITANCE,
        intracellular=np.diag(INTRACELLULAR), extracellular=np.diag(extracellular),
        extracellular_sources=(cathode,), electrodes=(Dirichlet(boundary="rim", value=0.0),),
    )  # fmt: skip
    done = solve_cardiac(problem, TimeGrid(end=DURATION, step=step), CardiacMethod(scheme="backward-euler"))
    say(done.table())
    return gathered(done.fields["V"])


def gathered(function: Any) -> tuple[Any, Any, Any]:
    """Return nodes, triangles and values on rank 0, None elsewhere."""
    record = FieldRecord()
    record.add(function, 0.0)
    return (record.points[:, :2], record.cells, record.values[0]) if COMM.rank == 0 else (None, None, None)


@functools.cache
def exact(extracellular: tuple[float, float], number: int = 2048) -> Any:
    """Return V(x, y) in an infinite sheet at rest in time, by Fourier transform in a box three sheets wide."""
    side = 3.0 * SIDE
    k = 2.0 * np.pi * np.fft.fftfreq(number, side / number)
    kx, ky = np.meshgrid(k, k, indexing="ij")
    inside, outside = (a * kx**2 + b * ky**2 for a, b in (INTRACELLULAR, extracellular))
    reach = ELECTRODE * np.hypot(kx, ky)
    disc = np.pi * ELECTRODE**2 * np.divide(2.0 * special.j1(reach), reach, out=np.ones_like(reach), where=reach > 0.0)
    below = AREA * LEAK * (inside + outside) + inside * outside
    transform = np.divide(inside * CURRENT * disc, below, out=np.zeros_like(below), where=below > 0.0)
    field = np.real(np.fft.ifft2(transform)) * (number / side) ** 2
    axis = np.fft.fftshift(np.fft.fftfreq(number, 1.0 / side))
    near = np.flatnonzero(np.abs(axis) < NEAR + 1.0)
    spline = RectBivariateSpline(axis[near], axis[near], np.fft.fftshift(field)[np.ix_(near, near)])
    return functools.partial(spline, grid=False)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("out/19_dog_bone"), help="folder of the picture")
    parser.add_argument("--coarse", action="store_true", help="a coarse mesh, for the tests")
    parser.add_argument("--dark", action="store_true", help="pictures on a dark ground")
    chosen = parser.parse_args()
    count, step = (64, 4.0) if chosen.coarse else (120, 2.0)
    found = {}
    for name, extracellular in EXTRACELLULAR.items():
        found[name] = nodes, _, v = solve(extracellular, count, step)
        if nodes is None:
            continue
        near = np.flatnonzero(np.abs(nodes).max(axis=1) < NEAR)  # the rim, where the current leaves, is far away
        at, v = nodes[near], v[near]
        off, least = np.abs(v - exact(extracellular)(*at.T)).max() / v.max(), v.min() / v.max()
        anode = np.abs(at[np.argmin(v)])
        say(f"{name}: V from {v.min():.2f} to {v.max():.2f} mV, {100 * off:.1f} % off the infinite sheet at most")
        if name == "equal ratios":
            assert least > -1e-3
        else:
            reach = np.abs(at[v > 0.0])
            waist, ends = reach[reach[:, 1] < 0.1, 0].max(), reach[:, 0].max()
            say(f"virtual anodes {anode[0]:.1f} mm along the fibres, {-100 * least:.1f} % of the depolarisation; "
                f"depolarised {waist:.1f} mm along the fibres from the cathode, {ends:.1f} mm beside it")  # fmt: skip
            assert least < -0.02
            assert anode[0] > 2.0 > anode[1]
            assert ends > 1.3 * waist
        assert off < 0.02
    if COMM.rank == 0:
        draw(chosen.out / "dog_bone", found, "dark" if chosen.dark else "light")


def draw(path: Path, found: Any, theme: str) -> None:
    """Draw V in both sheets, and along and across the fibres beside the infinite sheet."""
    levels = [-0.6, -0.3, 0.0, 0.3, 1.0, 3.0, 10.0]
    scale = colour_scale([], limits=(-2.0, 2.0), colormap="balance")
    with charts(path, 1, 3, size=(4.4, 3.9), theme=theme) as axes:
        for panel, (name, (nodes, triangles, v)), letter in zip(axes, found.items(), "ab", strict=False):
            x, y = nodes.T
            panel.tripcolor(
                x, y, triangles, v, cmap=scale.colormap, norm=scale.norm, shading="gouraud", rasterized=True
            )
            some = [level for level in levels if level or name == "unequal ratios"]  # elsewhere 0 is round-off
            lines = panel.tricontour(x, y, triangles, v, levels=some, colors="#202020", linewidths=0.7)
            panel.clabel(lines, lines.levels[lines.levels <= 1.0], fontsize=7)
            panel.set(aspect="equal", xlim=(-NEAR, NEAR), ylim=(-NEAR, NEAR), title=f"({letter}) {name}")
            panel.set(xlabel="along the fibres, x (mm)", ylabel="y (mm)")
        for word, place in (("virtual anode", (-4.8, 1.15)), ("virtual anode", (2.6, 1.15)), ("dog bone", (-0.9, 3.7))):
            axes[0].text(*place, word, fontsize=8, color="#202020")
        axes[0].figure.colorbar(scale.mappable, ax=axes[1], label="V (mV)", extend="both", shrink=0.9)
        line = np.linspace(-NEAR, NEAR, 400)
        for number, (name, (nodes, _, v)) in enumerate(found.items()):
            for axis, style, word in ((0, "-", "along"), (1, "--", "across")):
                at = np.zeros((2, len(line)))
                at[axis] = line
                axes[2].plot(line, exact(EXTRACELLULAR[name])(*at), f"C{4 * number}{style}", label=f"{name}, {word}")
                on = np.flatnonzero(np.abs(nodes[:, 1 - axis]) < 1e-9)
                axes[2].plot(nodes[on, axis], v[on], "o", ms=2.5, mfc="none", color=f"C{4 * number}")
        axes[2].set(xlim=(-NEAR, NEAR), xlabel="distance from the cathode (mm)", ylabel="V (mV)")
        axes[2].set_yscale("symlog", linthresh=1.0)
        axes[2].set_yticks([-1.0, 0.0, 1.0, 10.0, 40.0], ["-1", "0", "1", "10", "40"])
        axes[2].set_title("(c) lines: infinite sheet, exact")
        axes[2].legend(fontsize=8)


if __name__ == "__main__":
    main()
