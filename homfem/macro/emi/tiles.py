"""Periods of a cell side by side as a domain: its phases are regions, its sides are named boundaries."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from mpi4py import MPI

from homfem.macro.domain import Domain, domain_from_arrays
from homfem.meshing.arrays.facets import cell_facets, row_numbers
from homfem.meshing.arrays.raw_cell import RawCell
from homfem.meshing.files.body import BodyArrays
from homfem.meshing.topology.tiles import tiled_raw
from homfem.parameters import InputError, check_integer, check_number
from homfem.ranks import collective


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
        Its regions are the phases, its boundaries ``"x-low"``, ``"x-high"``, ``"y-low"``, ...; every rank knows the
        cells beside its own.

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
        return BodyArrays(
            points=length * big.points,
            cells=big.cells,
            regions=dict(big.phases),
            region_of_cell=big.phase_of_cell,
            boundaries=names,
            facets=outer[tags > 0],
            facet_tags=tags[tags > 0],
        )

    return domain_from_arrays(comm, make, unit=unit, ghosts=True)
