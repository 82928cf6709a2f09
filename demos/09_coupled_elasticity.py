"""Heat, pore pressure and active stress in an elastic microstructure, beside the relations that must hold.

    docker/run python demos/09_coupled_elasticity.py

Three cells, one engine: the elastic cell problem with one more load. Fibres in a matrix expand when they are warmed
(Rosen and Hashin: the expansion follows from the stiffness). A solid with spherical pores is put under the pressure of
a fluid (Biot: b = 1 - K*/K_s). Myofibrils in a soft matrix contract along their axis; what arrives outside is less than
their share of the volume where the matrix can give way.

Figure: ``coupled.png``, Biot's coefficient and the active stress against the volume fraction.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from mpi4py import MPI

from homfem import homogenize_active_stress, homogenize_poroelasticity, homogenize_thermoelasticity
from homfem.cells import fibre_array, sphere_array
from homfem.output.charts import charts
from homfem.stiffness import isotropic

GLASS, EPOXY = {"young": 72.0, "poisson": 0.2}, {"young": 3.0, "poisson": 0.35}
BONE = {"young": 20.0, "poisson": 0.3}
FIBRIL, SARCOPLASM = {"young": 30.0, "poisson": 0.45}, {"young": 3.0, "poisson": 0.45}
COMM = MPI.COMM_WORLD


def say(text: str) -> None:
    if COMM.rank == 0:
        print(text, flush=True)


def thermal(resolution: float) -> None:
    """Glass in epoxy, 5 and 60 millionths per kelvin (in plane strain (1 + nu) times as much)."""
    cell = fibre_array("square", fraction=0.5, dimension=2, resolution=resolution)
    phases = {"fibre": GLASS, "matrix": EPOXY}
    own = {"fibre": 5.0 * (1.0 + GLASS["poisson"]), "matrix": 60.0 * (1.0 + EPOXY["poisson"])}
    found = homogenize_thermoelasticity(cell, phases, own, unit="GPa", rtol=1e-12)
    glass, epoxy = (np.linalg.inv(isotropic(**solid, dimension=2)) for solid in (GLASS, EPOXY))
    ones = np.array([1.0, 1.0, 0.0])
    share = np.linalg.solve(glass - epoxy, np.linalg.inv(found.stiffness.value) - epoxy)
    exact = own["matrix"] * ones + (own["fibre"] - own["matrix"]) * ones @ share
    say(f"expansion {found.expansion.round(4)} millionths per kelvin; from the stiffness {exact.round(4)}")
    assert np.abs(found.expansion - exact).max() < 1e-6


def pressure(fractions: list[float], resolution: float) -> list[float]:
    """Spherical pores in bone: Biot's coefficient."""
    values = []
    for fraction in fractions:
        cell = sphere_array("simple-cubic", fraction=fraction, resolution=resolution)
        found = homogenize_poroelasticity(cell, {"matrix": BONE}, unit="GPa", degree=1, rtol=1e-12)
        bulk = found.stiffness.value[:3, :3].sum() / 9.0
        solid = isotropic(**BONE)[:3, :3].sum() / 9.0
        relation = 1.0 - bulk / solid
        say(f"porosity {fraction}: b = {found.biot[0]:.6f}, 1 - K*/K_s = {relation:.6f}, N = {found.modulus:.2f} GPa")
        assert abs(found.biot[:3].mean() - relation) < 1e-8
        assert found.biot[0] > fraction
        values.append(float(found.biot[0]))
    return values


def contraction(fractions: list[float], resolution: float) -> tuple[list[float], list[float]]:
    """Myofibrils along z, contracting along z: the active stress along them and across."""
    along, across = [], []
    for fraction in fractions:
        cell = fibre_array("hexagonal", fraction=fraction, dimension=3, axis="z", resolution=resolution)
        found = homogenize_active_stress(
            cell, {"fibre": FIBRIL, "matrix": SARCOPLASM}, "fibre", [0.0, 0.0, 1.0], unit="kPa", degree=1, rtol=1e-10
        )
        along.append(float(found.stress[2]))
        across.append(float(found.stress[0]))
        say(f"fibrils {fraction}: active stress {found.stress[2]:.6f} along, {found.stress[0]:.1e} across")
        # The fibres pull along themselves: no traction on their sides, nothing to relax.
        assert abs(found.stress[2] - cell.volume_fractions["fibre"]) < 1e-8
        assert abs(found.stress[0]) < 1e-8
    return along, across


def draw(
    pores: list[float], biot: list[float], cross: list[tuple[float, float, float]], path: Path, theme: str
) -> None:
    """Biot's coefficient over the porosity, the active stress over the fraction of the fibrils."""
    fractions, relaxed, average = zip(*cross, strict=True)
    with charts(path, 1, 2, theme=theme) as (left, right):
        left.plot(pores, biot, "o-", color="C4", label="simple cubic array of pores")
        left.plot(pores, pores, "--", color="0.55", label="porosity, the lower limit")
        left.set(xlabel="porosity", ylabel="Biot's coefficient b", title="Pressure in spherical pores")
        right.plot(fractions, average, "--", color="0.55", label="volume average")
        right.plot(fractions, relaxed, "o-", color="C0", label="with elastic relaxation")
        right.set(xlabel="fraction of the fibrils", ylabel="active stress / stress in the fibril")
        right.set_title("Fibrils that contract across their axis")
        for axes in (left, right):
            axes.legend()


def relaxed(fractions: list[float], resolution: float) -> list[tuple[float, float, float]]:
    """Fibrils in the plane of their cross-section contracting along x: the matrix gives way."""
    rows = []
    for fraction in fractions:
        cell = fibre_array("square", fraction=fraction, dimension=2, resolution=resolution)
        found = homogenize_active_stress(cell, {"fibre": FIBRIL, "matrix": SARCOPLASM}, "fibre", [1.0, 0.0], unit="kPa")
        rows.append((fraction, float(found.stress[0]), float(found.average[0])))
        assert 0.0 < found.stress[0] < found.average[0]
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--coarse", action="store_true", help="coarse meshes, for a quick look")
    parser.add_argument("--out", type=Path, default=Path("out/09_coupled_elasticity"), help="folder of the figure")
    parser.add_argument("--dark", action="store_true", help="pictures on a dark ground")
    arguments = parser.parse_args()
    coarse = arguments.coarse
    thermal(0.12 if coarse else 0.05)
    pores = [0.1, 0.3] if coarse else [0.05, 0.1, 0.2, 0.3, 0.4]
    biot = pressure(pores, 0.25 if coarse else 0.12)
    contraction([0.5] if coarse else [0.3, 0.5, 0.7], 0.2 if coarse else 0.12)
    cross = relaxed([0.2, 0.6] if coarse else [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7], 0.15 if coarse else 0.06)
    if COMM.rank == 0:
        draw(pores, biot, cross, arguments.out / "coupled", "dark" if arguments.dark else "light")


if __name__ == "__main__":
    main()
