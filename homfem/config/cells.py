"""The registry of shapes, and the table ``[cell]`` of any of them or of a file."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from homfem.config.shapes import arrays, blocks, images, myocytes, planes, random, reticulum, scaffolds
from homfem.config.shapes.cell_table import CellTable
from homfem.config.shapes.files import FileCell
from homfem.config.table import Missing, parse_table, refuse_unknown, require_file, require_table
from homfem.parameters import InputError, check_choice

#: Where the shapes are: a new one is a module with its ``TABLES``, and its place here.
MODULES = (reticulum, planes, blocks, arrays, scaffolds, myocytes, random, images)
SHAPES: Mapping[str, type[CellTable]] = {name: table for module in MODULES for name, table in module.TABLES.items()}
"""Every shape by its name in a config."""


def parse_cell(value: Any, folder: Path, path: str = "cell") -> CellTable:
    """Return the validated table of a cell.

    Raises
    ------
    InputError
        For an unknown shape or key, a value out of range, a file that is missing (FileError).
    """
    table = require_table(path, value)
    if "shape" not in table:
        if "file" not in table:
            known = dict.fromkeys(["shape", "file", *(key for model in SHAPES.values() for key in model.model_fields)])
            refuse_unknown(path, table, list(known))
            names = ", ".join(map(repr, SHAPES))
            raise InputError(f"{path}.shape", Missing(), f"one of {names}; or give {path}.file, a mesh or a geometry")
        cell = parse_table(FileCell, table, path)
        require_file(f"{path}.file", cell.file, folder)
        return cell
    name = check_choice(f"{path}.shape", table["shape"], list(SHAPES))
    if "file" in table and "file" not in SHAPES[name].model_fields:
        raise InputError(f"{path}.file", table["file"], "absent where a shape is given")
    _refuse_vectors(f"{path}.period", table.get("period"), name)
    shape = parse_table(SHAPES[name], table, path)
    if "file" in table:
        require_file(f"{path}.file", table["file"], folder)
    return shape


def _refuse_vectors(path: str, period: Any, name: str) -> None:
    """Refuse period vectors for a shape that has periods along the axes only."""
    if (
        SHAPES[name].vector_dimensions
        or not isinstance(period, list)
        or not any(isinstance(row, list) for row in period)
    ):
        return
    others = ", ".join(repr(known) for known, model in SHAPES.items() if model.vector_dimensions)
    remedy = f"Period vectors are for {others} and for meshes from files."
    raise InputError(path, period, f"one length, or one per axis where the shape allows that, for {name!r}", remedy)
