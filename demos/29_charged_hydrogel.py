r"""A charged hydrogel: which ion carries the current, against the charge of the gel.

    docker/run python demos/29_charged_hydrogel.py [--coarse] [--out FOLDER]

The polymer of a hydrogel carries charges that cannot leave. The gel takes up ions of the other sign and turns those of
its own away (Donnan), and what a piece of it conducts depends on how gel and free electrolyte lie beside each other:

* a **gel with channels** of electrolyte, as in a scaffold: the anions are left in the channels, which lead nowhere;
* **beads of gel** in electrolyte, as in a bed of ion exchanger: the anions go around them.

Both are round, in a hexagonal array, and have the same amounts of gel; sodium chloride of 150 mol/m^3, diffusivities in
the gel half of those in water, 37 degrees Celsius.

1. **Transference**: the part of the current that sodium carries. In the steady state every ion has a diffusion problem
   of its own. Beside it the number for alternating currents, where concentrations have no time to change and one
   potential drives both ions; the rule for layers in series is such a number.
2. **Conductivity**: the steady one is never above the frozen one. At 200 mol/m^3 it is given in S/m with its bounds.
3. **Salt** diffuses at zero current, held back by the slower ion: in the gel with channels it comes to rest as the gel
   becomes a membrane that only sodium passes.

``demos/29_charged_hydrogel.toml`` is the gel with channels at 200 mol/m^3 as a config.

Source: Donnan 1911, doi 10.1016/0376-7388(94)00297-C (reprint); Kedem, Katchalsky 1961, doi 10.1085/jgp.45.1.143.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from mpi4py import MPI

from homfem import homogenize_gel
from homfem.cells import UnitCell, fibre_array
from homfem.electrolytes import Gel, Ion, layered_gel_frozen, layered_gel_steady
from homfem.output.charts import charts
from homfem.tensors import EffectiveTensor

COMM = MPI.COMM_WORLD
BATH, TEMPERATURE, WATER = 150.0, 310.15, {"Na": 1330.0, "Cl": 2030.0}  # mol/m^3, K, um^2/s
#: Of each structure: its name, the phase that is gel, the fraction of the round phase; gel .7 of the volume in both.
STRUCTURES = (("gel with channels", "matrix", 0.3), ("beads of gel", "fibre", 0.7))
NAMED = 200.0  # mol/m^3, of the config


def say(text: str) -> None:
    if COMM.rank == 0:
        print(text, flush=True)


def ions(gel: str, water: str) -> list[Ion]:
    return [
        Ion(name=name, valence=z, bath=BATH, diffusivities={gel: 0.5 * WATER[name], water: WATER[name]})
        for name, z in (("Na", 1), ("Cl", -1))
    ]


def solved(cell: UnitCell, gel: str, charge: float) -> EffectiveTensor:
    """The coefficients of a structure whose gel has a charge, collective."""
    water = "fibre" if gel == "matrix" else "matrix"
    given = Gel(
        ions=ions(gel, water),
        fixed_charges={gel: -charge},
        temperature=TEMPERATURE,
        unit="um^2/s",
        concentration_unit="mol/m^3",
    )
    return homogenize_gel(cell, given)


def entry(tensor: EffectiveTensor, name: str) -> tuple[float, float, float]:
    """The first entry of a coefficient with its bounds."""
    one = tensor.coefficients[name]
    return tuple(float(side[0, 0]) for side in (one.value, one.lower, one.upper))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("out/29_charged_hydrogel"), help="folder of the figure")
    parser.add_argument("--coarse", action="store_true", help="coarse cells and few charges, for the tests")
    parser.add_argument("--dark", action="store_true", help="a dark ground")
    chosen = parser.parse_args()
    charges = np.array([3.0, NAMED, 3e3] if chosen.coarse else sorted([*np.geomspace(3.0, 3e4, 25), NAMED]))
    names = ("transference.Na", "frozen_transference.Na", "conductivity", "frozen_conductivity", "salt_diffusion")
    lines = {}
    for structure, gel, fraction in STRUCTURES:
        cell = fibre_array(
            lattice="hexagonal",
            fraction=fraction,
            resolution=0.2 if chosen.coarse else 0.05,
            dimension=2,
            period=10.0,
            length_unit="um",
        )
        found = [solved(cell, gel, charge) for charge in charges]
        lines[structure] = {name: np.array([entry(tensor, name) for tensor in found]) for name in names}
        own = found[int(np.flatnonzero(charges == NAMED)[0])]
        sodium, frozen = entry(own, "transference.Na"), entry(own, "frozen_transference.Na")
        potential = own.coefficients[f"donnan_potential.{gel}"]
        say(f"{structure}, {NAMED:g} mol/m^3 of charges, {float(potential.value):.2f} mV against the bath:")
        say(f"  {own.value[0, 0]:.4f} S/m steady, {entry(own, 'frozen_conductivity')[0]:.4f} S/m frozen")
        say(f"  sodium carries {sodium[0]:.4f} ({sodium[1]:.4f} to {sodium[2]:.4f}) of it; frozen {frozen[0]:.4f}")
        say(f"  salt diffuses at {entry(own, 'salt_diffusion')[0]:.1f} um^2/s")
        for name in names:
            assert np.all(lines[structure][name][:, 1] <= lines[structure][name][:, 2])
        assert np.all(lines[structure]["conductivity"][:, 1] <= lines[structure]["frozen_conductivity"][:, 2])
        free = WATER["Na"] / sum(WATER.values())
        assert abs(lines[structure]["transference.Na"][0, 0] - free) < 0.01  # next to no charge
    channels, beads = (lines[structure]["transference.Na"][-1, 0] for structure, _, _ in STRUCTURES)
    say(f"at {charges[-1]:g} mol/m^3 sodium carries {channels:.4f} in the gel with channels, {beads:.4f} around beads")
    assert channels > beads
    if COMM.rank == 0:
        draw(chosen.out / "hydrogel", charges, lines, "dark" if chosen.dark else "light")
    say(f"the figure is {chosen.out / 'hydrogel.png'}")


def draw(path: Path, charges: np.ndarray, lines, theme: str) -> None:
    fine = np.geomspace(charges[0], charges[-1], 100)
    fractions = {"gel": 0.7, "water": 0.3}
    layers = [
        [rule(ions("gel", "water"), {"gel": -charge}, fractions).transference["Na"] for charge in fine]
        for rule in (layered_gel_steady, layered_gel_frozen)
    ]
    with charts(path, 1, 3, size=(4.6, 3.8), theme=theme) as (part, current, salt):
        for k, (structure, found) in enumerate(lines.items()):
            for ax, name, style in (
                (part, "transference.Na", "-"),
                (part, "frozen_transference.Na", "--"),
                (current, "conductivity", "-"),
                (current, "frozen_conductivity", "--"),
                (salt, "salt_diffusion", "-"),
            ):
                value, lower, upper = found[name].T
                label = f"{structure}{', frozen' if style == '--' else ''}"
                ax.semilogx(charges, value, color=f"C{k}", linestyle=style, label=label)
                ax.fill_between(charges, lower, upper, color=f"C{k}", alpha=0.25, linewidth=0.0)
        for values, style, word in zip(layers, ("-", "--"), ("", ", frozen"), strict=True):
            part.semilogx(fine, values, color="C2", linestyle=style, linewidth=1.0, label=f"layers in series{word}")
        part.axhline(WATER["Na"] / sum(WATER.values()), color="0.6", linewidth=0.8)
        part.set(ylabel="part of the current that sodium carries", ylim=(0.35, 1.02))
        current.set(ylabel="conductivity (S/m)", yscale="log")
        salt.set(ylabel="diffusivity of salt (um^2/s)", ylim=(0.0, None))
        for ax, letter in zip((part, current, salt), "abc", strict=True):
            ax.set(xlabel="negative charges of the gel (mol/m^3)", title=f"({letter})")
            ax.axvline(BATH, color="0.6", linestyle=":", linewidth=0.8)
            ax.legend(fontsize="small")


if __name__ == "__main__":
    main()
