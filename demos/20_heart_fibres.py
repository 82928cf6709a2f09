"""Ventricles and their fibres: by a formula, and by the rule of Laplace and Dirichlet.

    docker/run python demos/20_heart_fibres.py

The ideal left ventricle of Land et al. (2015), between two ellipsoids, has fibres by a formula: the angle to the
circumference falls linearly with the depth in the wall. The Laplace-Dirichlet rule of Bayer et al. (2012) needs named
surfaces alone, and so goes for any ventricle and for both together. On the ellipsoid the two differ by what the
harmonic depth of the rule differs from that of the formula. The left ventricle is then written as a mesh of openCARP,
with its fibres, and read back.

Figures: ``left.png`` and ``both.png``, fibres on the surface and in the wall. Files for openCARP: ``left.pts``,
``left.elem``, ``left.lon``.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from mpi4py import MPI

from homfem.macro.domain import Domain
from homfem.macro.domain_makers import read_domain, ventricle_domain
from homfem.macro.fibre_rules import RuleAngles, ellipsoid_fibres, ldrb_fibres
from homfem.meshing.shapes.ventricles import BiVentricle, Ventricle
from homfem.output.bodies import body_of, export_carp
from homfem.output.fibre_pictures import draw_fibres, rise
from homfem.output.views import CellView

COMM = MPI.COMM_WORLD
ANGLES = RuleAngles(alpha_endo=60.0, alpha_epi=-60.0, beta_endo=0.0, beta_epi=0.0)


def say(text: str) -> None:
    if COMM.rank == 0:
        print(text, flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--coarse", action="store_true", help="coarse meshes, for a quick look")
    parser.add_argument("--out", type=Path, default=Path("out/20_heart_fibres"), help="folder of the figures")
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    size = 2.0 if arguments.coarse else 0.8

    heart = ventricle_domain(COMM, Ventricle(), resolution=size)
    volume = heart.volumes()["wall"]
    say(f"left ventricle: {volume:.1f} mm^3, exactly {Ventricle().volume:.1f} mm^3 ({heart_cells(heart)} cells)")
    assert abs(volume / Ventricle().volume - 1.0) < 0.005
    formula = heart.with_fibres(ellipsoid_fibres(heart, alpha_endo=60.0, alpha_epi=-60.0))
    rule = heart.with_fibres(ldrb_fibres(heart, angles=ANGLES))
    compare(formula, rule)
    draw_fibres(rule, arguments.out / "left.png", view=CellView(title="Left ventricle, Laplace-Dirichlet rule"))

    both = ventricle_domain(COMM, BiVentricle(), resolution=size)
    both = both.with_fibres(ldrb_fibres(both, angles=ANGLES))
    said = ", ".join(f"{name} {value:.1f} mm^3" for name, value in both.volumes().items())
    say(f"both ventricles: {said} ({heart_cells(both)} cells)")
    draw_fibres(both, arguments.out / "both.png", view=CellView(title="Both ventricles, Laplace-Dirichlet rule"))

    export_carp(rule, arguments.out / "left")
    again = read_domain(COMM, arguments.out / "left.pts", unit="um", to="mm")
    assert abs(again.volumes()["1"] / volume - 1.0) < 1e-9
    mine, theirs = body_of(rule), body_of(again)
    if mine is not None and theirs is not None:
        apart = np.abs(mine.directions["fibre"] - theirs.directions["fibre"]).max()
        say(f"written for openCARP and read back: fibres differ by {apart:.0e}")
        assert apart < 1e-14


def heart_cells(domain: Domain) -> int:
    return int(domain.mesh.topology.index_map(3).size_global)


def compare(formula: Domain, rule: Domain) -> None:
    """Print the angle to the circumference by depth, between 10 mm below the centre and the base."""
    one, other = body_of(formula), body_of(rule)
    if one is None or other is None:
        return
    at = one.points[one.cells].mean(axis=1)
    depth, middle = Ventricle().depth(at), at[:, 2] > -10.0
    say("depth   formula   rule   (mean angles in degrees)")
    for low in np.arange(0.0, 1.0, 0.2):
        here = middle & (depth >= low) & (depth < low + 0.2)
        if here.sum() < 30:
            continue
        up = np.array([0.0, 0.0, 1.0])
        angles = [float(rise(b.directions["fibre"][here], at[here], up).mean()) for b in (one, other)]
        say(f"{depth[here].mean():5.2f} {angles[0]:8.1f} {angles[1]:8.1f}")
        assert abs(angles[0] - angles[1]) < 12.0


if __name__ == "__main__":
    main()
