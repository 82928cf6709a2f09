r"""The speed of a calcium wave against the volume fraction of the ER: from the shape of the ER, with a bracket.

    docker/run python demos/22_wave_speed.py [--out FOLDER]

1. **The cells**: the ER as three crossing square pipes of period 1 um, from thin to half of the volume. Each cell gives
   both effective tensors between guaranteed bounds, its volume fractions and the area of its membrane.
2. **The membrane** is the same per area in all of them: that of a published kind of set (``TRIGGER_WAVE``) in the cell
   whose volumes it belongs to. At rest c and e follow from the membrane alone, so that all cells start alike, and three
   things change with the fraction: the tensors, the capacities, the area.
3. **The speed** of a planar wave, in one dimension, along an axis of the cell; for the middle, the lower and the upper
   ends of the tensors. What the mesh and the steps leave is found by refining both.
4. **The law**: lengths times a number and tensors times its square leave the equations as they are. So a speed v(A, B)
   has :math:`v(sA, sB) = \sqrt s\,v(A, B)` exactly, and its elasticities add up to one half:
   :math:`\partial\ln v/\partial\ln A + \partial\ln v/\partial\ln B = 1/2`.

What is proved, and what is not: the bounds of the tensors are; so is the speed of tensors that both are off by one
factor. That the speed grows with each tensor is not, and it does not: calcium that spreads in the cytosol carries the
front, and calcium that spreads in the ER takes from it what it needs, a little. Both elasticities are computed, and the
bracket drawn is :math:`v\,(1 \pm |\alpha_A|\delta_A \pm |\alpha_B|\delta_B)` with the half-gaps
:math:`\delta` of the tensors: first order in these, which are a few thousandths. Where the ER is thin no wave runs.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
from mpi4py import MPI

from homfem import homogenize_diffusion, three_pipe
from homfem.bodies import box_mesh
from homfem.kinetics import TRIGGER_WAVE, li_rinzel, membrane_from_rates, resting_state
from homfem.macro.calcium import CalciumProblem, front_speed, run_calcium
from homfem.output.charts import charts
from homfem.parameters import InputError
from homfem.tensors import EffectiveTensor
from homfem.timestepping import TimeGrid

COMM = MPI.COMM_WORLD
DIFFUSIVITIES = {"cytosol": 20.0, "er": 10.0}  # um^2/s
IP3 = 0.3  # uM
REFERENCE = 0.25  # the edge whose volumes are those of the set of rates
LENGTH, START, RISE, END = 100.0, 20.0, 0.8, 14.0  # um, um, uM, s
TIMED, THRESHOLD = (45.0, 85.0), 0.3  # um, beyond the start and short of the end; uM


def say(text: str) -> None:
    if COMM.rank == 0:
        print(text, flush=True)


@dataclass(frozen=True, kw_only=True)
class Tissue:
    """A cell as a planar wave sees it: along an axis, per volume of the tissue (um^2/s), as lower, middle, upper."""

    fractions: dict[str, float]
    tensors: dict[str, tuple[float, float, float]]
    area: float

    def half_gap(self, name: str) -> float:
        """Half of the bracket relative to the middle."""
        low, middle, high = self.tensors[name]
        return 0.5 * (high - low) / middle


def homogenized(edge: float, tolerance: float) -> Tissue:
    """Return what the cell of an edge gives."""
    cell = three_pipe(edges=edge, resolution=0.125, period=1.0, length_unit="um")
    fractions, tensors, area = {}, {}, 0.0
    for name, value in DIFFUSIVITIES.items():
        found = homogenize_diffusion(cell, {name: value}, tolerance=tolerance, unit="um^2/s")
        fractions[name], area = found.active_fraction, found.interface_area
        tensors[name] = tuple(float(entry[0, 0]) for entry in (found.lower, found.value, found.upper))
    return Tissue(fractions=fractions, tensors=tensors, area=area)


class Waves:
    """Planar waves in tissues of one membrane, which are at rest alike."""

    def __init__(self, reference: Tissue) -> None:
        of = {f"{name}_fraction": fraction for name, fraction in reference.fractions.items()}
        self.membrane = membrane_from_rates(TRIGGER_WAVE, interface_area=reference.area, **of)
        total = TRIGGER_WAVE.c0 * reference.fractions["cytosol"]
        self.rest = resting_state(self.membrane, total=total, ip3=IP3, **of)

    def speed(
        self, tissue: Tissue, factors: Mapping[str, float], size: float, step: float, scale: float = 1.0
    ) -> float:
        """Return the speed of a wave, um/s; NaN where there is none.

        Parameters
        ----------
        tissue
            The cell.
        factors
            Of the tensors, by name; 1 where nothing is said.
        size, step
            Of the elements (um) and of the time steps (s).
        scale
            Of all lengths, the elements as well.
        """
        measured = {
            name: EffectiveTensor.measured(
                name,
                scale**2 * factors.get(name, 1.0) * tissue.tensors[name][1],
                volume_fraction=tissue.fractions[name],
                unit="um^2/s",
                dimension=1,
            )
            for name in DIFFUSIVITIES
        }
        problem = CalciumProblem(
            mesh=box_mesh(COMM, [scale * LENGTH], [round(LENGTH / size)]),
            **measured,
            kinetics=li_rinzel(self.membrane),
            ip3=IP3,
            initial_cytosol=lambda x: self.rest.cytosol + RISE * (x[0] <= scale * START * (1.0 + 1e-9)),
            initial_er=self.rest.er,
            initial_states={"h": self.rest.inactivation},
            interface_area=tissue.area,
        )
        end = step * round(END / step)
        done = run_calcium(problem, TimeGrid(end=end, step=step), threshold=THRESHOLD, preconditioner="direct")
        assert done.drift < 1e-12
        near, far = (scale * x for x in TIMED)
        try:
            return front_speed(done.activation, origin=np.zeros(1), inner=near, outer=far)
        except InputError:  # no front came by
            return float("nan")


def refined(waves: Waves, tissue: Tissue, size: float, step: float) -> tuple[list[float], float, float]:
    """Return speeds on finer and finer meshes and steps, what they go to, and the uncertainty of that.

    Both errors are of second order: with speeds v1, v2, v3 for halves of both, the limit is v3 + (v3 - v2)/3, and what
    it changed by with the last refinement is the uncertainty.
    """
    found = [waves.speed(tissue, {}, size / 2**k, step / 2**k) for k in range(3)]
    limits = [b + (b - a) / 3.0 for a, b in pairwise(found)]
    return found, limits[-1], abs(limits[-1] - limits[-2])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("out/22_wave_speed"), help="folder of the pictures")
    parser.add_argument("--coarse", action="store_true", help="coarse meshes, for the tests")
    parser.add_argument("--dark", action="store_true", help="pictures on a dark ground")
    chosen = parser.parse_args()
    theme, coarse = "dark" if chosen.dark else "light", chosen.coarse
    edges = (0.15, REFERENCE, 0.4) if coarse else (0.1, 0.15, 0.2, 0.225, REFERENCE, 0.3, 0.35, 0.4, 0.5)
    size, step, tolerance = (2.5, 0.05, 2e-2) if coarse else (1.0, 0.02, 2e-3)

    tissues = {edge: homogenized(edge, tolerance) for edge in edges}
    waves = Waves(tissues[REFERENCE])
    found, limit, left = refined(waves, tissues[REFERENCE], size, step)
    told = ", ".join(f"{one:.4f}" for one in found)
    say(f"speed at the reference, elements of {size:g} um and steps of {step:g} s and halves: {told} um/s")
    say(f"extrapolated: {limit:.4f} +- {left:.4f} um/s")
    assert left < 5e-3 * limit
    doubled = waves.speed(tissues[REFERENCE], {}, size, step, scale=2.0)
    say(f"lengths times 2, tensors times 4: {doubled:.6f} um/s, twice {0.5 * doubled:.6f}")
    assert abs(doubled / (2.0 * found[0]) - 1.0) < 1e-9

    rows = []
    say("ER volume   A (um^2/s)   B (um^2/s)   speed (um/s)   elasticities A, B (sum)   bracket")
    for tissue in tissues.values():
        rows.append(row_of(waves, tissue, size, step, limit / found[0]))
    assert np.isnan(rows[0][1])  # too little ER for a wave
    assert all(abs(sum(row[2:4]) - 0.5) < 0.02 for row in rows if row[1] > 0.0)
    assert np.all(np.diff([row[1] for row in rows if row[1] > 0.0]) > 0.0)
    if COMM.rank == 0:
        chosen.out.mkdir(parents=True, exist_ok=True)
        draw(chosen.out / "speed", tissues, rows, theme)


def row_of(waves: Waves, tissue: Tissue, size: float, step: float, correction: float) -> tuple[float, ...]:
    """Return the fraction, the speed, its elasticities by both tensors, and half of its bracket, relative.

    ``correction`` takes what the mesh and the steps leave at the reference from the others, too.
    """
    middle = waves.speed(tissue, {}, size, step)
    elasticities = [0.0, 0.0]
    if middle > 0.0:
        for k, name in enumerate(DIFFUSIVITIES):
            more, less = (waves.speed(tissue, {name: factor}, size, step) for factor in (1.1, 1.0 / 1.1))
            elasticities[k] = float(np.log(more / less) / (2.0 * np.log(1.1)))
    half = sum(abs(one) * tissue.half_gap(name) for one, name in zip(elasticities, DIFFUSIVITIES, strict=True))
    speed = correction * middle
    a, b = (tissue.tensors[name][1] for name in DIFFUSIVITIES)
    said = f"{tissue.fractions['er']:9.4f} {a:12.4f} {b:12.4f} "
    if middle > 0.0:
        sums = f"{elasticities[0]:.3f}, {elasticities[1]:.3f} ({sum(elasticities):.3f})"
        said += f"{speed:12.4f}   {sums:>25}   [{speed * (1 - half):.4f}, {speed * (1 + half):.4f}]"
    else:
        said += "     no wave"
    say(said)
    return tissue.fractions["er"], speed, *elasticities, half


def draw(path: Path, tissues: Mapping[float, Tissue], rows: Sequence[tuple[float, ...]], theme: str) -> None:
    """Draw the tensors, the speed with its bracket, and the elasticities against the fraction."""
    fractions = [row[0] for row in rows]
    there = [row for row in rows if row[1] > 0.0]
    none = [row[0] for row in rows if not row[1] > 0.0]
    with charts(path, 1, 3, size=(3.9, 3.5), theme=theme) as (left, middle, right):
        for k, (name, word) in enumerate((("cytosol", "cytosol"), ("er", "ER"))):
            values = np.array([tissue.tensors[name] for tissue in tissues.values()]) / DIFFUSIVITIES[name]
            left.fill_between(fractions, values[:, 0], values[:, 2], color=f"C{4 * k}", alpha=0.3, lw=0)
            left.plot(fractions, values[:, 1], "o-", ms=3, color=f"C{4 * k}", label=word)
        left.set(xlabel="volume fraction of the ER", ylabel="tensor / diffusivity", title="(a) of the cell", ylim=0.0)
        left.legend()
        x, v, half = (np.array([row[k] for row in there]) for k in (0, 1, 4))
        middle.errorbar(x, v, yerr=v * half, fmt="o-", ms=3, capsize=2, color="C4", label="from the cell, with bracket")
        at = int(np.argmin(np.abs(x - tissues[REFERENCE].fractions["er"])))
        spread = np.sqrt([tissues_at(tissues, one).tensors["cytosol"][1] for one in x])
        middle.plot(x, v[at] * spread / spread[at], "--", color="0.55", lw=1, label="root of the cytosol's tensor")
        if none:
            middle.axvspan(0.0, max(none), color="0.5", alpha=0.15, lw=0)
            middle.text(0.5 * max(none), 0.5 * v.max(), "no wave", ha="center", va="center", rotation=90)
        middle.set(xlabel="volume fraction of the ER", ylabel="speed (um/s)", title="(b) speed", xlim=0.0, ylim=0.0)
        middle.legend(loc="lower right")
        for k, word in ((2, "by the cytosol's tensor"), (3, "by the ER's tensor")):
            right.plot(x, [row[k] for row in there], "o-", ms=3, color=f"C{4 * (k - 2)}", label=word)
        right.plot(x, [row[2] + row[3] for row in there], ":", color="0.55", label="sum: 1/2")
        right.set(xlabel="volume fraction of the ER", ylabel="elasticity of the speed", title="(c) what it follows")
        right.legend()


def tissues_at(tissues: Mapping[float, Tissue], fraction: float) -> Tissue:
    """Return the tissue of a fraction."""
    return min(tissues.values(), key=lambda tissue: abs(tissue.fractions["er"] - fraction))


if __name__ == "__main__":
    main()
