"""From the myocyte to the bidomain: both conductivities and the membrane's area, over all that shapes them.

Heart muscle cells stand in rows and are joined end to end and side by side by gap junctions. From one cell come the
tensors of the bidomain equations with guaranteed bounds, Sigma_i and Sigma_e, and the membrane's area per volume beta.
The demo varies the resistance of the junctions (a sweep of twenty costs two to three solves), the length and the width
of the cells and the space between them, and tells how anisotropic the tissue gets and how much faster or slower a plane
wave runs along and across: v goes with sqrt(Sigma_m / beta), with one membrane, Sigma_m the conductivities in series.
Beside it stand the sets that are used for whole hearts, measured or homogenized. The measured ones do not agree with
each other.

    python demos/14_myocyte_tensors.py [--coarse] [--dark] [--out FOLDER]
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from mpi4py import MPI

from homfem import BidomainTensors, homogenize_bidomain, sweep_bidomain
from homfem.cells import myocyte
from homfem.output.charts import charts

#: mS/mm. Cytoplasm and the fluid between cells; the junctions of one cell with the next, in kOhm mm^2.
CONDUCTIVITIES = {"intracellular": 0.5, "extracellular": 2.0}
RESISTANCE = 0.15
#: um. The cell that the others are compared with.
CELL = {"length": 100.0, "width": 20.0, "gap": 2.0}
#: mS/mm: Sigma_i along, across, Sigma_e along, across.
PUBLISHED = {
    "Clerc 1976": (0.17, 0.019, 0.62, 0.24),
    "Roberts, Scher 1982": (0.34, 0.060, 0.12, 0.080),
    "Roberts, Hersh, Scher 1979": (0.28, 0.026, 0.22, 0.13),
    "Roth 1997, nominal": (0.2, 0.02, 0.2, 0.08),
    "image-based models": (0.3, 0.03, 0.3, 0.12),
    "Stinstra 2005, geometry": (0.16, 0.005, 0.21, 0.06),
}


def make_cell(resolution: float, *, length: float, width: float, gap: float):
    """Rows of cells that are joined on all sides; the junctions are 10 um long at the sides, whatever the cell."""
    return myocyte(
        length, width, width, gap, staggered=False, end_patch=0.5, side_patch=10.0 / length, resolution=resolution
    )


def line(name: str, tissue: BidomainTensors, reference: BidomainTensors) -> str:
    """One row of the table."""
    inside, outside = (np.diag(t.value) for t in (tissue.intracellular, tissue.extracellular))
    ratio, speed = tissue.anisotropy(), tissue.velocity_ratio(reference)
    numbers = [inside[0], inside[1], outside[0], outside[1]]
    return (
        f"{name:<22}" + "".join(f"{number:9.4f}" for number in numbers)
        + f"{tissue.membrane_area:8.1f}{tissue.extracellular_fraction:7.3f}"
        + f"{ratio['intracellular']:8.1f}{ratio['extracellular']:6.2f}{ratio['monodomain']:8.1f}"
        + f"{speed[0]:8.3f}{speed[1]:8.3f}"
    )  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--coarse", action="store_true", help="a small mesh and few points, for a test")
    parser.add_argument("--out", type=Path, default=Path("out/14_myocyte_tensors"), help="folder of the picture")
    parser.add_argument("--dark", action="store_true", help="pictures on a dark ground")
    options = parser.parse_args()
    accuracy = {"degree": 1} if options.coarse else {}
    resolution = 1 / 3

    resistances = np.geomspace(0.015, 1.5, 5 if options.coarse else 21)
    cell = make_cell(resolution, **CELL)
    swept = sweep_bidomain(cell, CONDUCTIVITIES, list(resistances), **accuracy)
    reference = swept[len(swept) // 2]
    assert np.isclose(resistances[len(swept) // 2], RESISTANCE)
    rows = {
        f"R = {r:.3g} kOhm mm^2": tissue for r, tissue in list(zip(resistances, swept, strict=True))[:: len(swept) // 4]
    }
    variants = {"length": (60.0, 140.0), "width": (12.0, 28.0), "gap": (1.0, 4.0)}
    if options.coarse:
        variants = {"length": (140.0,)}
    for key, values in variants.items():
        for value in values:
            other = make_cell(resolution, **CELL | {key: value})
            rows[f"{key} = {value:g} um"] = homogenize_bidomain(
                other, CONDUCTIVITIES, resistance=RESISTANCE, **accuracy
            )

    # More resistance, less current; it is across that the junctions decide, and along that the cytoplasm helps.
    along, across = (np.array([t.intracellular.value[k, k] for t in swept]) for k in (0, 1))
    assert np.all(np.diff(along) < 0.0)
    assert np.all(np.diff(across) < 0.0)
    for tissue in swept:
        assert tissue.intracellular.relative_gap < (0.2 if options.coarse else 0.02)
    longer = rows["length = 140 um"]
    assert longer.intracellular.value[0, 0] > reference.intracellular.value[0, 0]
    assert longer.velocity_ratio(reference)[0] > 1.0 > longer.velocity_ratio(reference)[1]

    if MPI.COMM_WORLD.rank == 0:
        print(reference)
        print(f"\n{'':<22}{'i along':>9}{'i across':>9}{'e along':>9}{'e acr.':>9}{'1/mm':>8}{'space':>7}"
              f"{'i ratio':>8}{'e':>6}{'m':>8}{'v along':>8}{'v acr.':>8}")  # fmt: skip
        for name, tissue in rows.items():
            print(line(name, tissue, reference))
        for name, (il, it, el, et) in PUBLISHED.items():
            mono = il * el / (il + el) / (it * et / (it + et))
            print(f"{name:<28.27}{il:7.2f}{it:9.3f}{el:9.2f}{et:9.3f}{'':15}{il / it:8.1f}{el / et:6.2f}{mono:8.1f}")
        reference_file = options.out / "reference.json"
        options.out.mkdir(parents=True, exist_ok=True)
        reference.to_json(reference_file)
        assert BidomainTensors.from_json(reference_file) == reference
        draw(options.out / "tensors", resistances, swept, reference, rows, "dark" if options.dark else "light")


def draw(path: Path, resistances, swept, reference, rows, theme: str) -> None:
    """Conductivities, ratios and velocities over the resistance, and all cells beside what is published."""
    with charts(path, 2, 2, theme=theme) as ((first, second), (third, fourth)):
        inside = [tissue.intracellular for tissue in swept]
        for axis, colour, name in ((0, "C0", "along the cells"), (1, "C1", "across")):
            low, high = (np.array([getattr(t, side)[axis, axis] for t in inside]) for side in ("lower", "upper"))
            first.fill_between(resistances, low, high, color=colour, alpha=0.35, lw=0)
            first.plot(resistances, [t.value[axis, axis] for t in inside], color=colour, label=f"$\\Sigma_i$ {name}")
            outer = reference.extracellular.value[axis, axis]
            first.axhline(outer, color=colour, ls="--", lw=1.0, label=f"$\\Sigma_e$ {name}")
        first.set(xscale="log", yscale="log", ylabel="conductivity (mS/mm)", title="(a) conductivities and bounds")
        first.legend()

        for key, name in (("intracellular", "inside"), ("monodomain", "in series"), ("extracellular", "outside")):
            second.plot(resistances, [tissue.anisotropy()[key] for tissue in swept], label=name)
        second.set(xscale="log", ylim=(0.0, None), ylabel="along / across", title="(b) anisotropy ratios")
        second.legend()

        speeds = np.array([tissue.velocity_ratio(reference) for tissue in swept])
        third.plot(resistances, speeds[:, 0], label="along the cells")
        third.plot(resistances, speeds[:, 1], label="across")
        others = [tissue for name, tissue in rows.items() if not name.startswith("R")]
        for axis in (0, 1):
            ratios = [tissue.velocity_ratio(reference)[axis] for tissue in others]
            label = "other lengths, widths, gaps" if axis == 0 else None
            third.plot([RESISTANCE] * len(ratios), ratios, lw=0.0, marker=".", color=f"C{axis}", label=label)
        third.set(xscale="log", ylim=(0.0, None), ylabel="velocity / reference", title="(c) plane wave, one membrane")
        third.legend()
        for axes in (first, second, third):
            axes.set_xlabel("resistance of the junctions (kΩ mm^2)")

        names: dict[tuple[float, float], list[str]] = {}
        for name, (il, it, el, et) in PUBLISHED.items():
            names.setdefault((round(il / it, 2), round(el / et, 2)), []).append(name)
        ink = fourth.xaxis.label.get_color()
        for place, several in names.items():
            fourth.plot(*place, "o", ms=5, mfc="none", color=ink)
            left = several[0].startswith(("Clerc", "Roberts, Scher"))
            offset, side = ((-6, 3), "right") if left else ((6, 3), "left")
            fourth.annotate("\n".join(several), place, offset, textcoords="offset points", ha=side, fontsize=7)
        fourth.plot([], [], "o", mfc="none", color=ink, label="published")
        for tissues, words, style in ((swept, "junctions from .015 to 1.5", "-"), (others, "other cells", ".")):
            ratios = [tissue.anisotropy() for tissue in tissues]
            fourth.plot([r["intracellular"] for r in ratios], [r["extracellular"] for r in ratios], style, color="C2",
                        label=words)  # fmt: skip
        fourth.set(xscale="log", xlabel="along / across, inside", ylabel="along / across, outside",
                   title="(d) beside those in use", xlim=(1.0, 300.0), ylim=(1.2, 4.4))  # fmt: skip
        fourth.legend(loc="upper left")


if __name__ == "__main__":
    main()
