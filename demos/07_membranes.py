"""Fibres behind membranes: the effective diffusivity over the Biot number, with guaranteed bounds.

Cylinders of radius a in a square array (fraction 0.3, ten times as diffusive as the matrix) have a membrane of
permeability h. The Biot number Bi = h a / D_matrix decides between fibres that nothing enters and fibres in perfect
contact. At Bi = 10/9 they are neutral: the tissue diffuses as if they were not there, for the resistance of the
membrane undoes exactly what the fibres conduct better.

    python demos/07_membranes.py [--coarse] [--out FOLDER]
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from mpi4py import MPI

from homfem import homogenize_diffusion
from homfem.cells import fibre_array
from homfem.output.charts import charts

FRACTION, CONTRAST = 0.3, 10.0
#: Rayleigh multipoles (Perrins, McPhedran, McKenzie 1979, with the resistance of the interface).
KNOWN = {0.1: 0.604603, CONTRAST / (CONTRAST - 1): 1.0, 10.0: 1.500443}
PERFECT = 1.652036


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--coarse", action="store_true", help="a small mesh and few points, for a test")
    parser.add_argument("--out", type=Path, default=Path("out"), help="folder of the picture")
    parser.add_argument("--dark", action="store_true", help="pictures on a dark ground")
    options = parser.parse_args()

    cell = fibre_array("square", fraction=FRACTION, resolution=0.1 if options.coarse else 0.03)
    radius = np.sqrt(FRACTION / np.pi)
    phases = {"fibre": CONTRAST, "matrix": 1.0}
    biots = np.unique(np.concatenate([np.logspace(-3, 4, 8 if options.coarse else 36), list(KNOWN)]))
    tensors = [homogenize_diffusion(cell, phases, membranes={"fibre|matrix": biot / radius}) for biot in biots]
    insulating = homogenize_diffusion(cell, {"matrix": 1.0})
    perfect = homogenize_diffusion(cell, phases)

    # Increasing in h, between the two limits; the known values within what the straight facets change.
    lower, upper = (np.array([getattr(t, side)[0, 0] for t in tensors]) for side in ("lower", "upper"))
    assert np.all(np.diff(lower) > 0.0)
    assert insulating.lower[0, 0] < lower[0]
    assert upper[-1] < perfect.upper[0, 0]
    for biot, exact in KNOWN.items():
        tensor = tensors[int(np.argmin(np.abs(biots - biot)))]
        assert tensor.contains(exact, slack=tensor.geometric_error)
        if MPI.COMM_WORLD.rank == 0:
            print(f"Bi = {biot:8.4f}: {tensor.lower[0, 0]:.6f} .. {tensor.upper[0, 0]:.6f}, exact {exact:.6f}")
    assert perfect.contains(PERFECT, slack=perfect.geometric_error)
    if MPI.COMM_WORLD.rank == 0:
        print(tensors[-1])
        limits = {"perfect contact": perfect.value[0, 0], "nothing enters the fibres": insulating.value[0, 0]}
        draw(options.out / "membranes", biots, lower, upper, limits, "dark" if options.dark else "light")


def draw(
    path: Path, biots: np.ndarray, lower: np.ndarray, upper: np.ndarray, limits: dict[str, float], theme: str
) -> None:
    """The bracket over the Biot number, the two limits, the known values and the neutral inclusion."""
    with charts(path, size=(6.4, 4.2), title="Fibres behind membranes, fraction 0.3, contrast 10", theme=theme) as axes:
        axes.fill_between(biots, lower, upper, color="C1", alpha=0.5, lw=0)
        apart = f"bounds, at most {np.max(upper - lower):.0e} apart"
        axes.plot(biots, 0.5 * (lower + upper), color="C4", label=apart)
        for name, level in limits.items():
            axes.axhline(level, color="0.55", lw=0.8, ls="--")
            axes.annotate(name, (1.3e-3, level), (0, -4), textcoords="offset points", va="top", fontsize=9)
        axes.plot(list(KNOWN), list(KNOWN.values()), "o", color="C0", label="multipole values")
        neutral, words = (CONTRAST / (CONTRAST - 1), 1.0), "neutral inclusion: Bi = 10/9, D* = D"
        axes.annotate(words, neutral, (12, -14), textcoords="offset points", fontsize=9)
        axes.set(xscale="log", xlabel="Biot number $h\\,a/D_\\mathrm{matrix}$", ylabel="$D^*/D_\\mathrm{matrix}$")
        axes.set_ylim(0.45, 1.75)
        axes.legend(loc=(0.52, 0.2))


if __name__ == "__main__":
    main()
