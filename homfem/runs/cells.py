"""The run of a table ``[cell]``: its meshed cell; and a mesh as a file, checked."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from homfem.config import Config, present
from homfem.parameters import FileError, Lattice
from homfem.progress import progress_bar
from homfem.runs.configs import Overrides, Source, communicator, read_config
from homfem.runs.keys import keys_under
from homfem.runs.outcome import Outcome
from homfem.runs.shapes import make_cell

if TYPE_CHECKING:
    from mpi4py import MPI

    from homfem.cells.unitcell import UnitCell
    from homfem.meshing.arrays.mesh_report import MeshReport


@dataclass(frozen=True, kw_only=True, slots=True)
class CellRun:
    """The cell of a config.

    Parameters
    ----------
    cell
        The meshed cell.
    description
        It in words.
    config
        What made it.
    outcome
        How the run ended.
    """

    cell: UnitCell
    description: str
    config: Config
    outcome: Outcome = Outcome.DONE

    @property
    def warnings(self) -> tuple[str, ...]:
        """What is to be known of the cell."""
        return self.cell.warnings

    def report(self) -> dict[str, Any]:
        """Return the sizes, fractions and warnings of the cell as plain values; lengths in ``length_unit``."""
        cell = self.cell
        return {
            "name": cell.name,
            "dimension": cell.dimension,
            "kind": cell.kind,
            "order": cell.order,
            "cells": cell.number_of_cells,
            "periods": [list(map(float, row)) for row in cell.length * cell.lattice.vectors],
            "length_unit": cell.length_unit,
            "volume_fractions": {name: float(cell.volume_fractions[name]) for name in cell.phases},
            "interface_area": float(cell.interface_area),
            "faces": cell.faces,
            "warnings": list(self.warnings),
            "config": self.config.document,
        }


def cell(
    config: Source,
    *,
    overrides: Overrides = (),
    folder: str | Path | None = None,
    comm: MPI.Comm | None = None,
) -> CellRun:
    """Mesh the cell of a config. Collective.

    Parameters
    ----------
    config
        The path of a TOML file with a table ``[cell]``, its tables as a mapping, or a checked config.
    overrides
        Keys to set, ``{"cell.edge": 0.2}`` or ``["cell.edge=0.2"]``.
    folder
        Where files are sought from; by default the folder of the config's file, for a mapping the current one.
    comm
        The ranks that share the mesh; all by default.

    Returns
    -------
    CellRun
        With ``cell``, ``description``, ``report()``.

    Raises
    ------
    InputError
        For anything wrong in the config (a missing file: FileError), under the path of its key; on every rank.
    """
    checked = read_config(config, overrides=overrides, folder=folder, needed=("cell",))
    ranks = communicator(comm)
    with progress_bar("cell", rank=ranks.rank):
        made = build_cell(checked, ranks)
        return CellRun(cell=made, description=made.describe(), config=checked)


def build_cell(config: Config, comm: MPI.Comm) -> UnitCell:
    """Return the meshed cell of a checked config that has one; errors name its keys. Collective."""
    with keys_under("cell"):
        return make_cell(present("cell", config.cell), comm, config.folder)


@dataclass(frozen=True, kw_only=True, slots=True)
class CheckRun:
    """What a check of a mesh found.

    Parameters
    ----------
    found
        What was found.
    outcome
        Done where the mesh is a periodic cell.
    """

    found: MeshReport
    outcome: Outcome

    @property
    def warnings(self) -> tuple[str, ...]:
        """What keeps the mesh from being used as it is."""
        return self.found.problems

    def report(self) -> dict[str, Any]:
        """Return all of it as plain values, with ``"ok"``."""
        return self.found.to_dict()


def check(
    file: str | Path, *, period: float | Sequence[float] | Lattice | None = None, trust: bool = False
) -> CheckRun:
    """Check a mesh as a periodic cell; a bad mesh is reported, not raised. On the rank that calls.

    Parameters
    ----------
    file
        The path of a mesh, or of a geometry, which is meshed.
    period
        One length, one for each axis, or a lattice, in the unit of the file; by default as the file says.
    trust
        Run a ``.geo`` script whatever it does.

    Returns
    -------
    CheckRun
        With ``found``, ``report()`` and an ``outcome``.

    Raises
    ------
    FileError
        If there is no such file.
    """
    from homfem.meshing.files.check import check_mesh

    if not os.path.isfile(file):  # unlike Path.is_file false for names that no file can have
        raise FileError("file", str(file), "a file that exists")
    found = check_mesh(file, period, trust=trust)
    return CheckRun(found=found, outcome=Outcome.DONE if found.ok else Outcome.UNFIT)
