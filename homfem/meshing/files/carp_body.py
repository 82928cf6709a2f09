"""The mesh of a body from the files of openCARP, with its box judged by the unit that it is said to have."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import numpy as np

from homfem.meshing.by_gmsh.reading import Labels
from homfem.meshing.files import carp
from homfem.meshing.files.groups import chosen
from homfem.parameters import Array, FileError, InputError
from homfem.progress import NOTICE
from homfem.quantities import conversion_factor

log = logging.getLogger("homfem")

#: Hearts are not longer, and tissue is hardly shorter; in metres.
LARGEST, SMALLEST = 1.0, 1e-4


def carp_body(
    path: Path, length: float, unit: str, regions: Labels | None = None, boundaries: Labels | None = None
) -> dict[str, Any]:
    """Return what :class:`homfem.meshing.files.body.BodyArrays` holds, of a mesh of openCARP.

    Parameters
    ----------
    path
        Its ``.pts``, ``.elem`` or ``.lon`` file. Without the latter it has no fibres.
    length
        Factor of all coordinates.
    unit
        Unit of the coordinates in the file. The bounding box goes to the log.
    regions
        For each name the numbers of its regions; by default each has its number as name.
    boundaries
        For each name a ``.surf`` or ``.vtx`` file beside the mesh, or several.

    Raises
    ------
    FileError
        With file and line, see :mod:`homfem.meshing.files.carp`; and for a body that is longer than 1 m.
    InputError
        For regions that there are not, and boundaries that are no such files.
    """
    points, cells, numbers = carp.read_mesh(path)
    check_size(path, points, unit)
    groups = carp.groups_of(numbers)
    names, region_of_cell = chosen(
        groups, {name: name for name in groups} if regions is None else regions, len(cells), "regions"
    )
    facets: list[carp.Indices] = [np.zeros((0, cells.shape[1] - 1), dtype=np.int64)]
    tags = [np.zeros(0, dtype=np.int32)]
    for number, (name, files) in enumerate((boundaries or {}).items(), start=1):
        for file in [files] if isinstance(files, (str, int)) else files:
            if Path(str(file)).suffix.lower() not in carp.SURFACES:
                raise InputError(f"boundaries.{name}", file, "a .surf or .vtx file beside the mesh, or a list of these")
            found = carp.read_surface(path.parent / str(file), cells)
            facets.append(found)
            tags.append(np.full(len(found), number, dtype=np.int32))
    directions, axes = {}, path.with_suffix(".lon")
    if axes.is_file() or path.suffix.lower() == ".lon":
        fibre, sheet = carp.read_axes(axes, len(cells))
        directions = {"fibre": fibre} if sheet is None else {"fibre": fibre, "sheet": sheet}
    return {
        "points": points * length,
        "cells": cells,
        "regions": names,
        "region_of_cell": region_of_cell,
        "boundaries": {str(name): number for number, name in enumerate(boundaries or {}, start=1)},
        "facets": np.concatenate(facets),
        "facet_tags": np.concatenate(tags),
        "directions": directions,
    }


def check_size(path: Path, points: Array, unit: str) -> None:
    """Log the box of a mesh of openCARP; refuse one that no heart has, and say where its unit is in doubt."""
    low, high = points.min(axis=0), points.max(axis=0)
    side = float((high - low).max())
    text = " x ".join(f"{a:g} to {b:g}" for a, b in zip(low, high, strict=True))
    log.log(NOTICE, "%s: bounding box %s %s", path.name, text, unit)
    metres = side * conversion_factor(unit, "m")
    if metres > LARGEST:
        remedy = f"Its box is {text} {unit}. Coordinates of openCARP are in um; say unit = ... for others."
        raise FileError("file", str(path), f"a heart of at most {LARGEST:g} m; this one has {metres:.3g} m", remedy)
    if metres < SMALLEST:
        log.warning("%s is %.3g %s long: is that the unit of its coordinates? If they are in mm, say unit = 'mm'.",
                    path, side, unit)  # fmt: skip
