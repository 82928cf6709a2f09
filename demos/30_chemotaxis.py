r"""Chemotaxis through a matrix: where the product of averages goes wrong, and by how much.

    docker/run python demos/30_chemotaxis.py [--coarse] [--out FOLDER]

Cells move at random with the motility $D_n$ and follow an attractant, which diffuses with $D_c$, with the
sensitivity S: $n_t = \nabla\cdot(D_n\nabla n - n\,S\nabla c)$. In a matrix of fibres all three are others inside of the
fibres. Seen from afar

$$n_t = \nabla\cdot(D_n^*\nabla n - n\,S^*\nabla c),\qquad
  S^* = \langle(I+\nabla\chi^n)^T S\,(I+\nabla\chi^c)\rangle ,$$

in which the correctors of *both* diffusions meet. Two shorter formulas are in use:

* the **product of averages**: the mean of S times the mean gradient, $\langle S\rangle$;
* the **rule for one motility**, $\langle S(I+\nabla\chi^c)\rangle$, which sees how the gradient of the attractant lies
  in the fibres, but not that cells which are driven pile up where they cannot move on.

Round fibres of fraction .3, $D_n$ and $D_c$ in the fibres over those around them from 1/100 to 100, S the same
everywhere.

1. **Where**: the product of averages is right where either contrast is 1 and S does not vary. In the corners it is a
   fifth to a half too small where cells and attractant shun the same phase, and four fifths too large where each
   shuns the other's.
2. **By how much**: S*/<S> against the contrast of the attractant, with guaranteed bounds; the rule for one motility is
   the line of equal motilities, whatever cells do.
3. **Why**: the product of both gradients, whose mean is S*/<S>, for one of the corners: in a fibre that draws the
   attractant's flux its gradient is small, and there cells hardly move; around it each avoids where the other goes.

If S is a number times the motility, S* is the same number times D_n*, whatever the attractant does: checked as well.

``demos/30_chemotaxis.toml`` is one point as a config.

Source: two-scale expansion of Keller, Segel 1971, doi 10.1016/0022-5193(71)90050-6.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np
from mpi4py import MPI

from homfem import homogenize_chemotaxis, solve_chemotaxis
from homfem._dolfinx import geometry_dofmap
from homfem.cells import UnitCell, fibre_array
from homfem.local.means import mean_gradients
from homfem.output.charts import charts
from homfem.tensors import EffectiveTensor

COMM = MPI.COMM_WORLD
FRACTION, MATRIX = 0.3, 1.0


def say(text: str) -> None:
    if COMM.rank == 0:
        print(text, flush=True)


def solved(cell: UnitCell, motility: float, attractant: float, sensitivity: float = 1.0) -> EffectiveTensor:
    """The sensitivity for coefficients of the fibres over those around them; collective."""
    return homogenize_chemotaxis(
        cell,
        {"fibre": motility, "matrix": MATRIX},
        {"fibre": sensitivity, "matrix": 1.0},
        {"fibre": attractant, "matrix": MATRIX},
    )


def first(tensor: EffectiveTensor, name: str) -> tuple[float, ...]:
    one = tensor.coefficients[name]
    sides = (one.value, one.lower, one.upper) if one.bounded else (one.value,)
    return tuple(float(side[0, 0]) for side in sides)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("out/30_chemotaxis"), help="folder of the figure")
    parser.add_argument("--coarse", action="store_true", help="a coarse cell and few contrasts, for the tests")
    parser.add_argument("--dark", action="store_true", help="a dark ground")
    chosen = parser.parse_args()
    cell = fibre_array(fraction=FRACTION, resolution=0.12 if chosen.coarse else 0.06, dimension=2)
    contrasts = np.geomspace(1e-2, 1e2, 3 if chosen.coarse else 9)
    # 1. where
    table = np.array([[first(solved(cell, m, c), "sensitivity") for c in contrasts] for m in contrasts])
    say("S*/<S>; rows: motility in the fibres over that around, columns: the same of the attractant")
    say("          " + " ".join(f"{c:8.3g}" for c in contrasts))
    for m, row in zip(contrasts, table, strict=True):
        say(f"{m:8.3g}  " + " ".join(f"{value:8.4f}" for value, _, _ in row))
    middle = len(contrasts) // 2
    assert np.abs(table[middle, :, 0] - 1.0).max() < 1e-9  # one motility and one S: the product of averages is right
    assert np.abs(table[:, middle, 0] - 1.0).max() < 1e-9
    assert np.abs(table[..., 0] - table[..., 0].T).max() < 1e-6  # cells and attractant exchange their parts
    alike, apart = table[0, 0, 0], table[0, -1, 0]
    off = [1.0 / value - 1.0 for value in (alike, apart)]
    say(f"both shun the fibres: the product of averages is {off[0]:+.0%} off; only cells do: {off[1]:+.0%}")
    assert alike > 1.05
    assert apart < 0.95
    # 2. by how much
    lines = {m: table[k] for k, m in enumerate(contrasts) if k in (0, middle, len(contrasts) - 1)}
    one = solved(cell, contrasts[0], contrasts[-1])
    rule, exact = first(one, "constant_motility_sensitivity")[0], first(one, "sensitivity")
    say(f"motility {contrasts[0]:g}, attractant {contrasts[-1]:g}: S*/S = {exact[0]:.4f}")
    say(f"it lies between {exact[1]:.4f} and {exact[2]:.4f}")
    say(f"the rule for one motility gives {rule:.4f}")
    tied = solved(cell, 0.1, 7.0, sensitivity=0.1)
    assert np.isclose(first(tied, "sensitivity")[0], first(tied, "motility")[2], rtol=1e-3)
    # 3. why, on one rank
    shown = shown_fields(chosen.coarse) if COMM.rank == 0 else None
    if COMM.rank == 0:
        draw(chosen.out / "chemotaxis", contrasts, table, lines, shown, "dark" if chosen.dark else "light")
    say(f"the figure is {chosen.out / 'chemotaxis.png'}")


def shown_fields(coarse: bool) -> Any:
    """Gradient of the attractant and of the cells along x in a corner of the table, at the middle of each triangle."""
    cell = fibre_array(fraction=FRACTION, resolution=0.12 if coarse else 0.03, dimension=2, comm=MPI.COMM_SELF)
    slow, fast, everywhere = ({"fibre": own, "matrix": 1.0} for own in (1e-2, 1e2, 1.0))
    # The correctors of a solution are those of the cells; with the parts exchanged, those of the attractant.
    found = [solve_chemotaxis(cell, *given) for given in ((slow, everywhere, fast), (fast, everywhere, slow))]
    cells, attractant = (mean_gradients(one.cell, one.correctors)[:, 0, 0] + [1.0, 0.0] for one in found)
    mesh = found[0].cell.mesh
    points = mesh.geometry.x[geometry_dofmap(mesh)][..., :2]
    return points, np.einsum("mi,mi->m", cells, attractant)


def draw(path: Path, contrasts: np.ndarray, table: np.ndarray, lines: Any, shown: Any, theme: str) -> None:
    with charts(path, 1, 3, size=(4.7, 3.9), theme=theme) as (where, much, why):
        error = 100.0 * (1.0 / table[..., 0] - 1.0)
        levels = np.arange(-80.0, 81.0, 10.0)
        colours = where.contourf(contrasts, contrasts, error, levels=levels, cmap="RdBu_r", extend="both")
        marks = where.contour(
            contrasts, contrasts, error, levels=[-20, -10, -5, 5, 10, 20, 40], colors="0.3", linewidths=0.7
        )
        where.clabel(marks, fmt="%g %%", fontsize=7)
        where.set(
            xscale="log",
            yscale="log",
            xlabel="attractant: D in the fibres / around",
            ylabel="cells: D in the fibres / around",
            title="(a) error of the product of averages",
        )
        where.grid(visible=False)
        where.figure.colorbar(colours, ax=where, label="of S* (%)", ticks=levels[::2])
        for k, (m, row) in enumerate(lines.items()):
            value, lower, upper = row.T
            label = f"motility {m:g}" + (" = the rule for one motility" if np.isclose(m, 1.0) else "")
            much.semilogx(contrasts, value, color=f"C{k}", label=label)
            much.fill_between(contrasts, lower, upper, color=f"C{k}", alpha=0.25, linewidth=0.0)
        much.set(xlabel="attractant: D in the fibres / around", ylabel="S* / <S>", title="(b) the exact sensitivity")
        much.legend(fontsize="small")
        points, density = shown
        flat = points.reshape(-1, 2)
        triangles = np.arange(len(flat)).reshape(-1, 3)
        drawn = why.tripcolor(*flat.T, triangles, facecolors=density, cmap="RdBu_r", vmin=0.0, vmax=2.0)
        why.set(aspect="equal", xticks=[], yticks=[], title="(c) motility 0.01, attractant 100")
        why.grid(visible=False)
        why.figure.colorbar(drawn, ax=why, label="its mean is S* / <S>")


if __name__ == "__main__":
    main()
