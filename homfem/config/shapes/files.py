"""A cell from a file."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

from pydantic import model_validator

from homfem.config.shapes.cell_table import CellTable, LatticePeriod, sizes, written
from homfem.config.table import Check, choice, flag, integer, keys_from, number, numbers, text
from homfem.parameters import InputError

_MESHED_HERE = (".geo", ".step", ".stp")


def _groups(value: Any) -> dict[str, Any]:
    if not isinstance(value, dict) or not value:
        raise InputError("", value, "a table of phase names and their numbers or sets in the file")
    for name, entry in value.items():
        items = entry if isinstance(entry, list) else [entry]
        if not items or any(isinstance(item, bool) or not isinstance(item, (int, str)) for item in items):
            raise InputError(name, entry, "a whole number, the name of a cell set, or a list of these")
    return dict(value)


class FileCell(CellTable):
    """A cell from a file: Gmsh, STEP, or anything that meshio reads; its groups are the phases."""

    runner = "homfem.runs.shapes:from_file"

    file: Annotated[str, text("the path of a .geo, .step or .msh file, or of a mesh that meshio reads")]
    """The mesh or geometry: its groups are the phases."""
    period: LatticePeriod | None = None
    """The period, where the file does not say it: one length, one per axis, or period vectors."""
    dimension: Annotated[int, integer(at_least=2, at_most=3)] | None = None
    """Number of space dimensions."""
    resolution: Annotated[float, number(above=0.0, at_most=1.0)] | None = None
    """Size of the mesh cells as a fraction of the shortest period, for geometries."""
    order: Annotated[int, integer(at_least=1, at_most=2)] | None = None
    """Degree of the mesh cells, for geometries: 2 follows curved surfaces. By default what the file says, else 1."""
    parameters: Annotated[Mapping[str, float], numbers("numbers by the names that the .geo file declares")] | None = (
        None
    )
    """Values for what a `.geo` file declares by `DefineConstant`, or by its path in ONELAB."""
    phases: (
        Annotated[
            Mapping[str, Any], Check(_groups, says="a table of phase names and their numbers or sets in the file")
        ]
        | None
    ) = None
    """The phases by the numbers or sets of the file."""
    phase_data: Annotated[str, text("the name of the cell data that tells the phases")] | None = None
    """The cell data that tells the phases."""
    repair: Annotated[bool, flag()] = False
    """Mesh the cell anew, with opposite faces that match."""
    trust: Annotated[bool, flag()] = False
    """Run a `.geo` script whatever it does."""
    faces: Annotated[str, choice("matching", "non-matching")] = "matching"
    """Whether opposite faces match node by node; without it there are no bounds."""
    cracks: Annotated[bool, flag()] = False
    """Whether parts that touch and share no nodes are meant as cracks."""
    timeout: Annotated[float, number(above=0.0)] | None = None
    """Seconds that a mesher may take."""

    @model_validator(mode="after")
    def _suffix(self) -> FileCell:
        suffix = Path(self.file).suffix.lower()
        for name in ("resolution", "order"):
            if suffix not in _MESHED_HERE and getattr(self, name) is not None:
                raise InputError(name, getattr(self, name), f"absent for a {suffix} file: its mesh is already made")
        if suffix != ".geo" and self.parameters is not None:
            raise InputError("parameters", dict(self.parameters), f"absent for a {suffix} file: it has no constants")
        if suffix != ".geo" and self.trust:
            raise InputError("trust", True, f"false for a {suffix} file: only a .geo file is a script")
        if self.repair and self.faces == "non-matching":
            raise InputError(
                "repair", True, "false with faces = 'non-matching'", "A repaired mesh has faces that match."
            )
        if self.dimension and self.period and len(self.period) not in (1, self.dimension):
            raise InputError(
                "period", written(self.period), f"one length, or {self.dimension}, or {self.dimension} period vectors"
            )
        return self

    @property
    def known_dimension(self) -> int | None:
        """What the table says, if it does."""
        return self.dimension

    def arguments(self) -> dict[str, Any]:
        """Return the arguments of :func:`homfem.cells.from_file`, but for the file."""
        own = {name: getattr(self, name) for name in ("phases", "phase_data", "timeout", "order", "parameters")}
        with keys_from({"lattice": "cell.period"}):
            options = {"dimension": self.dimension} | sizes(self.period, self.resolution)
        options |= {name: value for name, value in own.items() if value is not None}
        options |= {"trust": True} if self.trust else {}
        return options | {"repair": self.repair, "faces": self.faces, "cracks": self.cracks}
