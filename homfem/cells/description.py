"""A unit cell in words."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from mpi4py import MPI

if TYPE_CHECKING:
    from homfem.cells.unitcell import UnitCell


def describe(cell: UnitCell) -> str:
    """Return a readable description: sizes, phases, fractions, connectivity, named facets (collective)."""
    periods = " x ".join(f"{p:.6g}" for p in cell.periods)
    lines = [f"{cell.name}: {cell.dimension}D cell, periods {periods} {cell.length_unit}"]
    points = int(cell.periodic_mesh.plain.geometry.index_map().size_global)
    kind = {"tetrahedron": "tetrahedra", "hexahedron": "hexahedra"}.get(cell.kind, cell.kind + "s")
    lines.append(f"  mesh: {cell.number_of_cells} {kind} of order {cell.order}, {points} nodes")
    for name in cell.phases:
        lines.append(f"  volume fraction {cell.volume_fractions[name]:.9g} of {cell.connectivity[name].describe()}")
    if not cell.matching:
        lines.append("  faces: not matched node by node; no bounds are guaranteed")
    lines.append(f"  interface area per volume: {cell.interface_area:.9g} /{cell.length_unit}")
    owned = cell.mesh.topology.index_map(cell.dimension - 1).size_local
    counts = {n: cell.comm.allreduce(int(np.count_nonzero(f < owned)), op=MPI.SUM) for n, f in cell.facets.items()}
    lines.append("  facets: " + (", ".join(f"{name} ({count})" for name, count in counts.items()) or "none named"))
    return "\n".join(lines)
