"""Periods of a cell side by side as a domain: its phases are regions, its sides are named boundaries."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
from mpi4py import MPI

from homfem.limits import require_memory
from homfem.macro.domain import Domain
from homfem.macro.domain_makers import domain_from_arrays
from homfem.meshing.arrays.budget import BYTES
from homfem.meshing.arrays.facets import cell_facets, row_numbers
from homfem.meshing.arrays.raw_cell import RawCell
from homfem.meshing.files.body import BodyArrays
from homfem.meshing.topology.tiles import tiled_raw
from homfem.parameters import InputError, check_integer, check_number
from homfem.ranks import collective

#: Bytes for each unknown: matrices, preconditioner, vectors.
PER_UNKNOWN = 3000.0


def tiled_domain(
    comm: MPI.Comm, raw: RawCell | None, counts: Sequence[int], *, length: float, unit: str = "mm"
) -> Domain:
    """Return several periods of a cell as a domain; collective.

    Parameters
    ----------
    comm
        Communicator of the mesh.
    raw
        The arrays of the cell, on rank 0: ``cell.raw`` of a :class:`homfem.cells.UnitCell` with straight simplices.
    counts
        Number of periods along each axis.
    length
        What one unit of the arrays is in ``unit``: ``cell.length`` of a cell in mm, a thousandth of that of one in um.
    unit
        Of the coordinates of the domain.

    Returns
    -------
    Domain
        Its regions are the phases, its boundaries ``"x-low"``, ``"x-high"``, ``"y-low"``, ... and the facets that the
        cell names, such as ``"end-junctions"``; every rank knows the cells beside its own.

    Raises
    ------
    InputError
        For counts that are no whole numbers >= 1, one for each axis, and cells that are no straight simplices.
    """
    check_number("length", length, above=0.0)
    with collective(comm):
        if raw is not None:
            if raw.kind not in ("triangle", "tetrahedron") or raw.order != 1:
                raise InputError("raw", f"{raw.kind} of order {raw.order}", "straight simplices")
            if len(counts) != raw.dimension:
                raise InputError("counts", counts, f"{raw.dimension} whole numbers, one for each axis")
            for k, count in enumerate(counts):
                check_integer(f"counts[{k}]", count, at_least=1)

    def make() -> BodyArrays:
        assert raw is not None  # on rank 0
        big = tiled_raw(raw, [int(count) for count in counts])[0] if max(counts) > 1 else raw
        d = big.dimension
        facets = cell_facets(big.corners, big.kind).reshape(-1, d)
        number = row_numbers(np.sort(facets, axis=1))
        _, first, count = np.unique(number, return_index=True, return_counts=True)
        outer = facets[first[count == 1]]
        middle, low, high = big.points[outer].mean(axis=1), big.points.min(axis=0), big.points.max(axis=0)
        near = 1e-9 * float(np.ptp(big.points, axis=0).max())
        tags = np.zeros(len(outer), dtype=np.int32)
        names: dict[str, int] = {}
        for axis in range(d):
            for end, side in (("low", low[axis]), ("high", high[axis])):
                names[f"{'xyz'[axis]}-{end}"] = len(names) + 1
                tags[np.abs(middle[:, axis] - side) <= near] = len(names)
        groups = {name: tag for name, tag in big.facet_names.items() if name not in names}
        own = np.isin(big.facet_tags, list(groups.values()))
        shift = len(names)
        names |= {name: shift + tag for name, tag in groups.items()}
        return BodyArrays(
            points=length * big.points,
            cells=big.cells,
            regions=dict(big.phases),
            region_of_cell=big.phase_of_cell,
            boundaries=names,
            facets=np.vstack([outer[tags > 0], big.facets[own]]),
            facet_tags=np.concatenate([tags[tags > 0], (shift + big.facet_tags[own]).astype(np.int32)]),
        )

    return domain_from_arrays(comm, make, unit=unit, ghosts=True)


def require_tiles(raw: RawCell, spaces: Mapping[str, Sequence[str]], counts: Sequence[int], degree: int = 1) -> int:
    """Refuse so many periods of a cell that their potentials would not fit into the memory; return the unknowns.

    Parameters
    ----------
    raw
        The arrays of the cell.
    spaces
        The regions of each space.
    counts
        Periods along each axis.
    degree
        Of the elements.

    Raises
    ------
    MemoryLimitError
        With the unknowns.
    """
    nodes = 0
    for regions in spaces.values():
        own = np.isin(raw.phase_of_cell, [raw.phases[name] for name in regions if name in raw.phases])
        nodes += len(np.unique(raw.cells[own]))
    unknowns = nodes * math.prod(counts) * degree**raw.dimension
    elements = len(raw.cells) * math.prod(counts)
    what = f"{unknowns:.2g} unknown potentials"
    require_memory(
        "cells", list(counts), BYTES[raw.kind] * elements + PER_UNKNOWN * unknowns, what, "Take fewer cells."
    )
    return unknowns
