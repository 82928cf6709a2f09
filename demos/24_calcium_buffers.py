r"""Calcium with buffers: one cell problem for all that is proportional, a puff, and rapid buffers as a limit.

    docker/run python demos/24_calcium_buffers.py [--coarse] [--out FOLDER]

Most of the calcium of a cell is bound. A buffer of the total B has bound b,
$\gamma\partial_t b = \nabla\cdot(\tilde D\nabla b) + \gamma\,(k_+c\,(B-b) - k_-b)$, beside calcium, which loses what b
gains (Goel et al., eqs 3.12 to 3.15).

1. **The cell**: calcium, a mobile buffer in the cytosol and one in the ER. Their diffusivities are numbers times those
   of calcium, so the correctors are the same: two cell problems give four tensors, all with bounds. A buffer of fibres
   along x is no such number and has a cell problem of its own.
2. **A puff** of calcium after 40 ms, with no buffer, one that stays, one that moves: the first keeps calcium where it
   came in, the second carries it away. Calcium, free and bound, is kept to round-off.
3. **Rapid buffers** are in equilibrium with calcium at all times, which leaves one equation with a capacity, an
   effective diffusivity and a term in $|\nabla c|^2$ (Wagner and Keizer 1994). Buffers with rates come to it as one
   over the rates; steps that are much longer than a time of binding are no difficulty.

Source: Goel, Sneyd, Friedman 2006, section 3, Multiscale Model. Simul. 5(4), 1045; Wagner, Keizer 1994, Biophys. J. 67,
447; Allbritton, Meyer, Stryer 1992, Science 258, 1812 (223 um^2/s).
"""

from __future__ import annotations

import argparse
import dataclasses
from pathlib import Path

import numpy as np
from dolfinx import mesh
from mpi4py import MPI

from homfem import EffectiveTensor, homogenize_calcium, three_pipe
from homfem.kinetics import MembraneKinetics
from homfem.kinetics.calcium import Buffer, rapid_buffering
from homfem.macro.calcium import CalciumProblem, TissueBuffer, run_calcium
from homfem.macro.domain import Domain
from homfem.output import canvas
from homfem.timestepping import TimeGrid

COMM = MPI.COMM_WORLD
FREE, LENGTH, CELLS = 223.0, 10.0, 40  # um^2/s, um
STAYS = Buffer(name="stays", total=50.0, k_on=50.0, k_off=100.0)
MOVES = Buffer(name="moves", total=50.0, k_on=50.0, k_off=100.0, diffusivity=30.0)
STORE = Buffer(name="store", total=1000.0, k_on=0.1, k_off=65.0, diffusivity=5.0, phase="er")
FIBROUS = Buffer(name="fibrous", total=10.0, k_on=50.0, k_off=100.0, diffusivity=30.0)


def say(text: str) -> None:
    if COMM.rank == 0:
        print(text, flush=True)


def cell_tensors(coarse: bool):
    """All tensors of the cell."""
    cell = three_pipe(0.3, resolution=1 / 3 if coarse else 0.2, period=0.5, length_unit="um")
    found = homogenize_calcium(
        cell,
        {"cytosol": FREE, "er": FREE},
        [STAYS, MOVES, STORE, FIBROUS],
        of_buffers={"fibrous": np.diag([30.0, 3.0, 3.0])},
        symmetry="auto",
    )
    tensors = {"calcium, cytosol": found.cytosol, "calcium, er": found.er, **found.buffers}
    say("effective tensors (um^2/s)      along x, bounds           along y          corrector")
    for name, tensor in tensors.items():
        own = found.shared.get(name)
        bounds = f"{tensor.lower[0, 0]:.3f} … {tensor.upper[0, 0]:.3f}"
        whose = f"that of calcium, {own}" if own else "its own"
        say(f"{name:24}{tensor.value[0, 0]:12.3f} {bounds:>20} {tensor.value[1, 1]:11.3f}      {whose}")
    assert dict(found.shared) == {"moves": "cytosol", "store": "er"}
    assert "stays" not in found.buffers
    return found


def passive() -> MembraneKinetics:
    """A membrane of the ER through which nothing goes."""
    return MembraneKinetics(
        name="passive",
        states=(),
        flux=lambda c, e, x, ip3: np.zeros_like(c),
        relaxation=lambda c, e, x, ip3: (np.empty((0, len(c))),) * 2,
        steady=lambda c, e, ip3: np.empty((0, len(c))),
    )


def line(found, buffers) -> CalciumProblem:
    """A line of tissue with a puff at its left end, in equilibrium at 0.1 uM elsewhere."""

    def along(tensor):
        value, fraction = float(tensor.value[0, 0]), tensor.active_fraction
        return EffectiveTensor.measured(tensor.active_phases[0], value, volume_fraction=fraction, dimension=1)

    bound = lambda x, buffer: buffer.bound(0.1) + 0.0 * x[0]  # noqa: E731
    return CalciumProblem(
        mesh=Domain(mesh=mesh.create_interval(MPI.COMM_SELF, CELLS, [0.0, LENGTH]), unit="um"),
        cytosol=along(found.cytosol),
        er=along(found.er),
        kinetics=passive(),
        ip3=0.0,
        initial_cytosol=lambda x: 0.1 + 20.0 * np.exp(-((x[0] / 1.5) ** 2)),
        initial_er=300.0,
        interface_area=found.er.interface_area or 1.0,
        buffers=[
            TissueBuffer(
                buffer=buffer,
                ratio=buffer.diffusivity / FREE or None,
                # What is rapid is in equilibrium with the puff, too; the others have not seen it yet.
                initial=None if buffer.rapid else lambda x, buffer=buffer: bound(x, buffer),
            )
            for buffer in buffers
        ],
    )


def profile(found, buffers, end: float, steps: int) -> tuple[np.ndarray, np.ndarray]:
    done = run_calcium(line(found, buffers), TimeGrid(end=end, step=end / steps))
    assert done.drift < 1e-12
    points = done.cytosol.function_space.tabulate_dof_coordinates()[:, 0]
    order = np.argsort(points)
    return points[order], done.cytosol.x.array[order]


def equilibrated(problem: CalciumProblem) -> CalciumProblem:
    """The same with all buffers in equilibrium with the puff at the start."""
    return dataclasses.replace(problem, buffers=[dataclasses.replace(one, initial=None) for one in problem.buffers])


def rates_and_errors(found, coarse: bool) -> tuple[np.ndarray, np.ndarray]:
    """How far buffers with rates are from rapid ones, which two steps and the error of first order tell."""
    end, steps = 2e-3, 200 if coarse else 800

    def run(buffers, number):
        done = run_calcium(equilibrated(line(found, buffers)), TimeGrid(end=end, step=end / number))
        return done.cytosol.x.array

    rapid = [dataclasses.replace(buffer, rapid=True) for buffer in (STAYS, MOVES)]
    limit = 2.0 * run(rapid, 2 * steps) - run(rapid, steps)
    factors = np.array([1.0, 4.0, 16.0] if coarse else [1.0, 2.0, 4.0, 8.0, 16.0, 32.0])
    errors = []
    for factor in factors:
        quick = [dataclasses.replace(b, k_on=factor * b.k_on, k_off=factor * b.k_off) for b in (STAYS, MOVES)]
        errors.append(np.abs(run(quick, 2 * steps) - limit).max() / limit.max())
    return factors, np.array(errors)


def draw(profiles, factors, errors, path: Path) -> None:
    colours = ("#7f7f7f", "#D55E00", "#0072B2", "#009E73")
    with canvas.styled():
        figure = canvas.sheet(12.0, 4.0, layout="constrained")
        puff, diffusivity, order = figure.subplots(1, 3)
        for (name, (x, c)), colour in zip(profiles.items(), colours, strict=True):
            puff.plot(x, c, color=colour, label=name, ls="--" if "rapid" in name else "-")
        puff.set(
            xlabel="distance from the puff (µm)",
            ylabel="free calcium after 40 ms (µM)",
            xlim=(0, 8),
            ylim=(0.08, 60),
            yscale="log",
        )
        puff.legend(frameon=False, loc="upper right")
        c = np.geomspace(0.01, 100.0, 200)
        for buffers, name, colour in (
            ([STAYS], "stays", colours[1]),
            ([MOVES], "moves", colours[2]),
            ([STAYS, MOVES], "both", colours[3]),
        ):
            diffusivity.plot(c, rapid_buffering(buffers, c, FREE).diffusivity, color=colour, label=name)
        diffusivity.axhline(FREE, color=colours[0], label="no buffer")
        diffusivity.set(
            xscale="log", yscale="log", xlabel="free calcium (µM)", ylabel="rapid buffers: diffusivity (µm²/s)"
        )
        diffusivity.legend(frameon=False)
        order.loglog(factors, errors, "o-", color=colours[2], label="largest difference of c")
        order.loglog(factors, errors[-1] * factors[-1] / factors, ":", color=colours[0], label="one over the rates")
        order.set(xlabel="rates, times those of the puff", ylabel="rates beside rapid, of the largest c")
        order.legend(frameon=False)
        for panel, letter in zip((puff, diffusivity, order), "abc", strict=True):
            panel.grid(alpha=0.3)
            panel.set_title(f"({letter})", loc="left")
        canvas.save(figure, path)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("out/24_calcium_buffers"), help="folder of the figure")
    parser.add_argument("--coarse", action="store_true", help="a coarse cell and few steps, for the tests")
    chosen = parser.parse_args()
    if COMM.rank == 0:
        chosen.out.mkdir(parents=True, exist_ok=True)
    found = cell_tensors(chosen.coarse)
    steps = 100 if chosen.coarse else 800
    cases = {"no buffer": [], "a buffer that stays": [STAYS], "one that moves": [MOVES], "both": [STAYS, MOVES]}
    profiles = {name: profile(found, buffers, 0.04, steps) for name, buffers in cases.items()}
    far = {name: float(np.interp(4.0, *curve)) for name, curve in profiles.items()}
    say("\nfree calcium 4 um away after 40 ms (uM): " + ", ".join(f"{name} {c:.3f}" for name, c in far.items()))
    assert far["a buffer that stays"] < far["one that moves"] < far["no buffer"]
    factors, errors = rates_and_errors(found, chosen.coarse)
    slope = float(np.log(errors[-2] / errors[-1]) / np.log(factors[-1] / factors[-2]))
    say("rates, times those of the puff: " + ", ".join(f"{factor:g}" for factor in factors))
    say("calcium beside rapid buffers:   " + ", ".join(f"{error:.1e}" for error in errors) + f" (order {slope:.2f})")
    assert 0.8 < slope < 1.3
    if COMM.rank == 0:
        draw(profiles, factors, errors, chosen.out / "buffers.png")
        print(f"figure: {chosen.out / 'buffers.png'}")


if __name__ == "__main__":
    main()
