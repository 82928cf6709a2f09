r"""A solute breaks through a column of tissue: from the cell to its dispersion tensor, to the curve at a probe.

    docker/run python demos/33_breakthrough.py [--out FOLDER]
    docker/run homfem run demos/33_breakthrough.toml --json column.json

Fluid flows past round cells 20 um apart (fraction .3), at the Peclet number Pe = U L/D = 10 of the mean speed U in the
fluid, and carries a solute (D = 100 um^2/s, so U = 50 um/s) into a column that is 50 cells long. The cell problem gives
V and D*(Pe) per volume of the fluid; the column solves, per volume of the whole,

.. math:: \varphi R\,\partial_tc+v\cdot\nabla c=\nabla\cdot(\varphi RD^*(\mathrm{Pe})\nabla c) ,\qquad v=\varphi RV ,

with the porosity and, where the cells bind some of the solute, the retardation R: :math:`v` is the flux of the fluid
per area of the column whatever is bound (:func:`homfem.materials.carrying_velocity`), and the model takes the tensor as
it is. From t = 0 on the fluid that enters has c = 1 (Danckwerts: what enters is what flows in); what comes by half-way
is beside the exact curve of a column without end, and the amount in the column is what has come in less what has gone
out, to round-off.

Three columns run together: with D*(Pe); with D*(0), the tensor of diffusion around the cells, which the flow makes
wrong by a factor of 2.7 here; and with a solute of which the cells bind K = L/2 per area of their surface, which
arrives R = 2.4 times as late, and on the same way spreads more.

Source: Lindstrom, Haque, Freed, Boersma 1967, doi 10.1021/es60007a001 (the curve); van Genuchten, Alves 1982, US
Department of Agriculture Technical Bulletin 1661, equation A2; Brenner 1980, doi 10.1098/rsta.1980.0205.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np
from mpi4py import MPI
from scipy import special

from homfem.bodies import box_mesh
from homfem.cells import fibre_array
from homfem.certify.dispersion import homogenize_dispersion
from homfem.macro.conditions import Neumann, Outflow
from homfem.macro.domain import Domain
from homfem.macro.probes import Probes
from homfem.macro.reaction_diffusion import ReactionDiffusion, Species, run_reaction_diffusion
from homfem.materials import carrying_velocity
from homfem.output.charts import charts
from homfem.tensors import EffectiveTensor
from homfem.timestepping import TimeGrid

COMM = MPI.COMM_WORLD
# Units: um, s; c relative to the inlet.
FRACTION, PERIOD, DIFFUSIVITY, PECLET = 0.3, 20.0, 100.0, 10.0
SPEED = PECLET * DIFFUSIVITY / PERIOD  # U
LENGTH, BOUND = 1000.0, 0.5 * PERIOD
#: V/U and D*/D along the flow, of finite elements of order 8 and Bloch waves: without and with what the cells bind.
INDEPENDENT = {"flow": (1.0, 2.0785848), "bound": (0.41895773, 1.6538712)}
STILL = 0.76797141
NAMES = {"flow": "D*(Pe)", "still": "D*(0)", "bound": "D*(Pe), cells bind"}


def say(text: str) -> None:
    if COMM.rank == 0:
        print(text, flush=True)


def exact(x: Any, t: Any, speed: float, dispersion: float) -> Any:
    """Return what has come into an empty half line since t = 0, where what flows in has the concentration 1."""
    t = np.maximum(t, 1e-12)
    ahead, behind = ((x + sign * speed * t) / (2.0 * np.sqrt(dispersion * t)) for sign in (-1.0, 1.0))
    front, many = np.exp(-ahead * ahead), speed * speed * t / dispersion
    back = (0.5 + 0.5 * speed * x / dispersion + 0.5 * many) * special.erfcx(behind)
    return 0.5 * special.erfc(ahead) + front * (np.sqrt(many / np.pi) - back)


def tensors(resolution: float) -> dict[str, EffectiveTensor]:
    """Return the three tensors, each with the velocity that belongs to it."""
    cell = fibre_array(fraction=FRACTION, order=2, resolution=resolution, period=PERIOD, length_unit="um")
    options: dict[str, Any] = {"peclet": PECLET, "unit": "um^2/s"}
    flow = homogenize_dispersion(cell, {"matrix": DIFFUSIVITY}, **options)
    bound = homogenize_dispersion(cell, {"matrix": DIFFUSIVITY}, sorption_length=BOUND, **options)
    still = homogenize_dispersion(cell, {"matrix": DIFFUSIVITY}, **options | {"peclet": 0.0})
    return {"flow": flow, "still": still, "bound": bound}


def columns(found: dict[str, EffectiveTensor], count: int, step: float, end: float) -> tuple[Any, Probes, Any]:
    """Return the result, what came by half-way and near the outlet, and the nodes with their values at the end."""
    domain = Domain(mesh=box_mesh(COMM, [LENGTH, PERIOD], [count, 1]), unit="um").with_boundaries(
        {"inlet": lambda x: x[0] < 1e-9, "outlet": lambda x: x[0] > LENGTH - 1e-9}
    )
    velocity = carrying_velocity("flow", found["flow"], unit="um/s")
    conditions = (Neumann(boundary="inlet", flux=velocity[0]), Outflow(boundary="outlet"))
    species = [Species(name=name, tensor=one, velocity=velocity, conditions=conditions) for name, one in found.items()]
    probes = Probes({"middle": [0.5 * LENGTH, 0.5 * PERIOD]})
    problem = ReactionDiffusion(mesh=domain, species=species, degree=2)
    return run_reaction_diffusion(problem, TimeGrid(end=end, step=step), observers=[probes]), probes, velocity


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("out/33_breakthrough"), help="folder of the figure")
    parser.add_argument("--coarse", action="store_true", help="coarse meshes, for the tests")
    parser.add_argument("--dark", action="store_true", help="a dark ground")
    chosen = parser.parse_args()
    found = tensors(0.1 if chosen.coarse else 0.05)
    for name, (speed, spread) in INDEPENDENT.items():
        own = found[name].coefficients["velocity"].value[0] / SPEED
        along = found[name].value[0, 0] / DIFFUSIVITY
        say(f"{NAMES[name]}: V/U {own:.5f} ({speed:.5f}), D*/D {along:.4f} ({spread:.4f})")
        assert abs(own / speed - 1.0) < 1e-3
        assert abs(along / spread - 1.0) < 3e-3
    assert abs(found["still"].value[0, 0] / (DIFFUSIVITY * STILL) - 1.0) < 1e-3

    count, step = (100, 0.2) if chosen.coarse else (400, 0.05)
    done, probes, velocity = columns(found, count, step, end=36.0)
    times = np.asarray(probes.times)
    curves = {name: np.asarray(probes.values("middle", name)) for name in found}
    flux = velocity[0]
    say(f"the fluid passes {flux:.3f} um/s per area: porosity times U {(1.0 - FRACTION) * SPEED:.3f}")
    for name, tensor in found.items():
        known = exact(0.5 * LENGTH, times, flux / tensor.storage, tensor.value[0, 0])
        off = float(np.abs(curves[name] - known).max())
        drift = next(one.drift for one in done.conserved if one.name == name)
        half = np.interp(0.5, curves[name], times)
        say(f"{NAMES[name]}: half of it has come after {half:.2f} s; within {off:.1e} of the exact curve; "
            f"the amount has drifted by {drift:.1e}")  # fmt: skip
        assert off < (0.02 if chosen.coarse else 1e-3)
        assert drift < 1e-11
    wrong = float(np.abs(curves["flow"] - curves["still"]).max())
    say(f"D* without flow is wrong by up to {wrong:.3f} of the inlet")
    assert wrong > 0.05
    if COMM.rank == 0:
        draw(chosen.out / "breakthrough", found, times, curves, flux, "dark" if chosen.dark else "light")


def draw(
    path: Path, found: dict[str, EffectiveTensor], times: Any, curves: dict[str, Any], flux: float, theme: str
) -> None:
    """Draw the curves at the probe, and how long they take to pass against the length of the column."""
    with charts(path, 1, 2, size=(4.6, 3.9), theme=theme) as (curve, passing):
        for number, (name, tensor) in enumerate(found.items()):
            known = exact(0.5 * LENGTH, times, flux / tensor.storage, tensor.value[0, 0])
            curve.plot(times, known, color=f"C{number}", lw=1.2, label=NAMES[name])
            some = slice(None, None, max(1, len(times) // 60))
            curve.plot(times[some], curves[name][some], "o", ms=3, mfc="none", color=f"C{number}")
            lengths = np.geomspace(3.0, 300.0, 40) * PERIOD
            spans = [_passing(length, flux / tensor.storage, tensor.value[0, 0]) for length in lengths]
            passing.plot(lengths / PERIOD, spans, color=f"C{number}")
        curve.set(xlabel="t (s)", ylabel="c / inlet", title="(a) 25 cells behind the inlet (lines: exact)")
        curve.legend(loc="lower right")
        passing.set(xscale="log", yscale="log", xlabel="cells behind the inlet", ylabel="from 10 % to 90 % (s)")
        passing.set_title("(b) how long the front takes to pass")


def _passing(length: float, speed: float, dispersion: float) -> float:
    """Return the time from a tenth to nine tenths of the inlet."""
    times = np.linspace(1e-3, 4.0, 4000) * length / speed
    known = exact(length, times, speed, dispersion)
    return float(np.interp(0.9, known, times) - np.interp(0.1, known, times))


if __name__ == "__main__":
    main()
