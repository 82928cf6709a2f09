"""The gallery of unit cells: every built-in shape with its phases, fractions, areas and effective diffusivities.

    docker/run python demos/02_cells.py

Every cell is written as the table [cell] of a config. One phase of each (named first) has the diffusivity 0 or 10 times
that of the others; the tensors come with their guaranteed bounds, and with an estimate of what straight facets on
curved surfaces may change. Each line has the principal values of the tensor in units of the other phases' diffusivity.

Files: ``gallery.png`` (all cells), ``gallery.md`` (the page: picture, numbers, config), and for each cell its picture
``NAME.png`` with its config ``NAME.toml`` beside it, such as ``spheres_simple_cubic.png``.
"""

from __future__ import annotations

import argparse
import re
import time
from pathlib import Path
from typing import Any

import numpy as np
from mpi4py import MPI

from homfem import EffectiveTensor, UnitCell, homogenize_diffusion, runs
from homfem.config import SHAPES
from homfem.output import canvas
from homfem.output.cell_figures import draw_unit_cell
from homfem.parameters import PercolationError

COMM = MPI.COMM_WORLD
OUTER = ("cytosol", "extracellular", "matrix", "pore")  # phases that are drawn translucent
SLOW = ("round pipes", "winding pipes", "spheres, face-centred", "Schwarz D", "octet of struts", "heart muscle cells")
#: Of curved cells in space, for a test.
COARSE = {"sphere-array": 0.15, "gyroid": 0.2, "schwarz-p": 0.2, "struts": 0.2, "sheets": 0.2}
LARGE = 40_000  # mesh cells from which on linear elements are taken

#: The table [cell] of each entry, and the phase whose diffusivity is 0 or 10.
GALLERY: dict[str, tuple[dict[str, Any], str]] = {
    "three crossing pipes": ({"shape": "three-pipe", "edge": 0.3, "period": "1 um", "resolution": 0.15}, "er"),
    "round pipes": (
        {"shape": "three-pipe", "edge": 0.35, "section": "round", "period": "1 um", "resolution": 0.15},
        "er",
    ),
    "winding pipes": (
        {"shape": "tortuous-pipes", "edge": 0.12, "straight_edge": 0.14, "detour": 0.2, "resolution": 0.33},
        "cytosol",
    ),
    "sheets with tubes": ({"shape": "sheets", "thickness": 0.2, "tube": 0.3, "period": "1 um"}, "er"),
    "slit": ({"shape": "slit", "aperture": 0.3}, "solid"),
    "laminate": ({"shape": "laminate", "fractions": [0.2, 0.3, 0.5], "axis": "y"}, "layer1"),
    "obstacles": ({"shape": "obstacles", "edge": 0.5}, "obstacle"),
    "staggered obstacles": ({"shape": "obstacles", "edge": 0.35, "lattice": "staggered"}, "obstacle"),
    "checkerboard": ({"shape": "blocks", "layout": ["AB", "BA"], "resolution": 0.05}, "A"),
    "four phases": ({"shape": "blocks", "layout": ["AB", "CD"], "resolution": 0.05}, "A"),
    "blocks": ({"shape": "blocks", "layout": ["LLLL", "LDDL", "LDLL", "LLLL"], "resolution": 0.05}, "D"),
    "boxes": ({"shape": "blocks", "layout": [["AB", "BB"], ["BB", "BA"]], "resolution": 0.15}, "A"),
    "fibres, square": ({"shape": "fibre-array", "fraction": 0.5, "resolution": 0.05}, "fibre"),
    "coated fibres": (
        {"shape": "fibre-array", "lattice": "hexagonal", "fraction": 0.3, "coating": 0.05, "resolution": 0.05},
        "fibre",
    ),
    "elliptical fibres": (
        {"shape": "fibre-array", "fraction": 0.3, "section": "elliptical", "aspect": 2.0, "angle": 30.0},
        "fibre",
    ),
    "fibres in space": ({"shape": "fibre-array", "fraction": 0.4, "axis": "x"}, "fibre"),
    "tube": ({"shape": "tube", "radius": 0.3}, "pore"),
    "spheres, simple cubic": ({"shape": "sphere-array", "fraction": 0.3}, "sphere"),
    "spheres, body-centred": ({"shape": "sphere-array", "lattice": "body-centred", "fraction": 0.4}, "sphere"),
    "spheres, face-centred": ({"shape": "sphere-array", "lattice": "face-centred", "fraction": 0.4}, "sphere"),
    "gyroid": ({"shape": "gyroid", "fraction": 0.4}, "solid"),
    "Schwarz P": ({"shape": "schwarz-p"}, "solid"),
    "Schwarz D": ({"shape": "schwarz-d"}, "solid"),
    "struts": ({"shape": "struts", "thickness": 0.2}, "strut"),
    "octet of struts": ({"shape": "struts", "kind": "octet", "thickness": 0.26, "fillet": 0.07}, "strut"),
    "random discs": (
        {"shape": "random-particles", "fraction": 0.3, "radius": 0.1, "gap": 0.04, "seed": 1, "resolution": 0.04},
        "inclusion",
    ),
    "Gaussian field": (
        {"shape": "gaussian-field", "fraction": 0.4, "correlation_length": 0.2, "seed": 4, "resolution": 0.025},
        "inclusion",
    ),
    "hexagonal muscle cells": (
        {"shape": "hexagonal-myocyte", "length": "50 um", "width": "18 um", "gap": "3 um", "resolution": 0.33},
        "intracellular",
    ),
    "heart muscle cells": (
        {"shape": "myocyte", "length": "60 um", "width": "18 um", "height": "18 um", "gap": "3 um", "resolution": 0.3},
        "intracellular",
    ),
}


def solve(cell: UnitCell, phase: str, coarse: bool) -> dict[str, EffectiveTensor]:
    others = [name for name in cell.phase_names if name != phase]
    coefficients = dict.fromkeys(others, 1.0)
    found = {}
    options: dict[str, Any] = {"degree": 1 if coarse or cell.number_of_cells > LARGE else 2}
    if not coarse:
        options |= {"tolerance": 1e-2, "max_dofs": 300_000}
    for contrast in (0.0, 10.0):
        given = coefficients | ({phase: contrast} if contrast else {})
        try:
            found[f"{contrast:g}"] = homogenize_diffusion(cell, given, **options)
        except PercolationError:  # nothing flows
            zero = np.zeros((cell.dimension, cell.dimension))
            found[f"{contrast:g}"] = EffectiveTensor(value=zero, lower=zero, upper=zero)
    return found


def show(tensor: EffectiveTensor) -> str:
    values = ", ".join(f"{value:.4g}" for value in tensor.principal_values)
    gap = "" if tensor.half_gap is None else f" ± {tensor.half_gap:.1g}"
    geometry = f" (facets ± {tensor.geometric_error:.1g})" if tensor.geometric_error else ""
    return f"{values}{gap}{geometry}"


def toml(table: dict[str, Any]) -> str:
    def write(value: Any) -> str:
        if isinstance(value, list):
            return "[" + ", ".join(map(write, value)) + "]"
        return f'"{value}"' if isinstance(value, str) else str(value)

    return "[cell]\n" + "\n".join(f"{key} = {write(value)}" for key, value in table.items())


def page(entries: dict[str, tuple[UnitCell, dict[str, EffectiveTensor]]], folder: Path) -> None:
    lines = ["# Gallery of unit cells", "", "![all cells](gallery.png)", ""]
    for name, (cell, tensors) in entries.items():
        table, phase = entry(name)
        fractions = ", ".join(f"{key} {value:.6g}" for key, value in cell.volume_fractions.items())
        area = f"interface area per volume {cell.interface_area:.6g} /{cell.length_unit}"
        lines += [f"## {name}", "", f"![{name}]({picture(name)})", "", f"Fractions: {fractions}; {area}.", ""]
        lines += [f"- {phase} with {c} times the others: {show(tensor)}" for c, tensor in tensors.items()]
        lines += ["", "```toml", toml(table), "```", ""]
    (folder / "gallery.md").write_text("\n".join(lines))


def entry(name: str) -> tuple[dict[str, Any], str]:
    """The table [cell] of an entry, with a period, and the phase whose diffusivity is varied."""
    table, phase = GALLERY[name]
    own = "period" in table or "length" in table
    return table if own else table | {"period": "10 um"}, phase


def plain(name: str) -> str:
    """The name of an entry's files."""
    return re.sub(r"\W+", "_", name.lower())


def picture(name: str) -> str:
    return plain(name) + ".png"


def poster(entries: dict[str, tuple[UnitCell, dict[str, EffectiveTensor]]], folder: Path) -> None:
    """All cells on one sheet, each with its numbers below."""
    from matplotlib.image import imread

    columns = 4
    rows = -(-len(entries) // columns)
    with canvas.styled():
        figure = canvas.sheet(4.1 * columns, 4.0 * rows)
        figure.subplots_adjust(left=0.01, right=0.99, top=0.995, bottom=0.75 / (4.0 * rows), wspace=0.04, hspace=0.24)
        axes = figure.subplots(rows, columns, squeeze=False)
        for axis in axes.flat:
            axis.axis("off")
        for axis, (name, (cell, tensors)) in zip(axes.flat, entries.items(), strict=False):
            axis.imshow(trimmed(imread(folder / picture(name))[..., :3]))
            phase = GALLERY[name][1]
            lines = [f"{name}: {phase} {cell.volume_fractions[phase]:.4g}"]
            lines += [f"× {contrast}: {show(tensor)}" for contrast, tensor in tensors.items()]
            axis.text(0.5, -0.01, "\n".join(lines), fontsize=9.5, ha="center", va="top", transform=axis.transAxes)
        canvas.save(figure, folder / "gallery.png")


def trimmed(image: np.ndarray) -> np.ndarray:
    """A picture without the white about it."""
    inked = (image < 0.99).any(axis=2)
    rows, columns = (np.flatnonzero(inked.any(axis=axis)) for axis in (1, 0))
    return image[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]


def check(cell: UnitCell, tensors: dict[str, EffectiveTensor], phase: str) -> None:
    """Wiener's bounds hold for every cell, and what insulates conducts less."""
    share = cell.volume_fractions[phase]
    assert abs(sum(cell.volume_fractions.values()) - 1.0) < 1e-12
    for contrast, tensor in tensors.items():
        assert tensor.lower is not None
        arithmetic = float(contrast) * share + 1.0 - share
        harmonic = 1.0 / (share / float(contrast) + 1.0 - share) if float(contrast) else 0.0
        slack = 1e-9 + tensor.geometric_error
        assert np.linalg.eigvalsh(tensor.lower)[-1] <= arithmetic + slack
        assert np.linalg.eigvalsh(tensor.upper)[0] >= harmonic - slack
    assert np.linalg.eigvalsh(tensors["10"].upper - tensors["0"].lower)[0] > -1e-9


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--coarse", action="store_true", help="a quick look: linear elements on the first mesh")
    parser.add_argument("--out", type=Path, default=Path("out/02_cells"), help="folder of the files")
    parser.add_argument("--only", nargs="*", help="names of entries")
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    if arguments.coarse:
        canvas.DPI = 70  # half of the pixels along each side
    missing = set(SHAPES) - {table["shape"] for table, _ in GALLERY.values()} - {"image"}
    assert not missing, f"shapes that the gallery does not show: {missing}"
    entries = {}
    for name in arguments.only or [name for name in GALLERY if not (arguments.coarse and name in SLOW)]:
        start = time.perf_counter()
        table, phase = entry(name)
        made = {"resolution": COARSE[table["shape"]]} if arguments.coarse and table["shape"] in COARSE else {}
        cell = runs.cell({"cell": table | made}, comm=COMM).cell
        tensors = solve(cell, phase, arguments.coarse)
        check(cell, tensors, phase)
        outer = [key for key in cell.phase_names if key in OUTER]
        draw_unit_cell(cell, str(arguments.out / picture(name)), title=name, translucent=outer or None)
        entries[name] = cell, tensors
        if COMM.rank == 0:
            (arguments.out / f"{plain(name)}.toml").write_text(toml(table) + "\n")
            values = "; ".join(f"x{contrast}: {show(tensor)}" for contrast, tensor in tensors.items())
            seconds = time.perf_counter() - start
            print(f"{name:22} {cell.number_of_cells:7d} cells  {values}  {seconds:.1f} s", flush=True)
    if COMM.rank == 0:
        poster(entries, arguments.out)
        page(entries, arguments.out)


if __name__ == "__main__":
    main()
