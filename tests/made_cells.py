"""Small cells for tests: a structured grid of simplices on any lattice, with phases by a function of position."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
from mpi4py import MPI

from homfem.cells.unitcell import UnitCell
from homfem.meshing.arrays.raw_cell import RawCell
from homfem.parameters import Lattice


def grid_raw(
    divisions: Sequence[int],
    phase: Callable[[np.ndarray], np.ndarray] | None = None,
    *,
    names: Sequence[str] = ("a", "b", "c", "d"),
    vectors: Sequence[Sequence[float]] | None = None,
) -> RawCell:
    """Kuhn triangulation of a grid; ``phase(s)`` gives the number of the phase at midpoints in lattice coordinates."""
    d = len(divisions)
    axes = [np.linspace(0.0, 1.0, n + 1) for n in divisions]
    nodes = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, d)
    number = np.arange(len(nodes)).reshape([n + 1 for n in divisions])
    cells = []
    for order in itertools.permutations(range(d)):
        step = np.zeros(d, dtype=int)
        corners = [number[tuple(slice(0, n) for n in divisions)].ravel()]
        for axis in order:
            step[axis] = 1
            corners.append(number[tuple(slice(o, n + o) for o, n in zip(step, divisions, strict=True))].ravel())
        cells.append(np.stack(corners, axis=1))
    all_cells = np.concatenate(cells)
    assert len(all_cells) == math.prod(divisions) * math.factorial(d)
    middle = nodes[all_cells].mean(axis=1)
    index = np.zeros(len(all_cells), dtype=int) if phase is None else np.asarray(phase(middle), dtype=int)
    lattice = np.eye(d) if vectors is None else np.array(vectors)
    present = np.unique(index)
    return RawCell(
        points=nodes @ lattice,
        cells=all_cells,
        kind="triangle" if d == 2 else "tetrahedron",
        order=1,
        phase_of_cell=index + 1,
        phases={names[k]: int(k) + 1 for k in present},
        facets=np.zeros((0, d), dtype=np.int64),
        facet_tags=np.zeros(0, dtype=np.int32),
        facet_names={},
        lattice=Lattice(vectors=lattice),
    )


def grid_cell(
    divisions: Sequence[int],
    phase: Callable[[np.ndarray], np.ndarray] | None = None,
    *,
    comm: MPI.Comm = MPI.COMM_WORLD,
    names: Sequence[str] = ("a", "b", "c", "d"),
    vectors: Sequence[Sequence[float]] | None = None,
    length: float = 1.0,
) -> UnitCell:
    """The distributed cell of :func:`grid_raw`."""
    return UnitCell.from_raw(
        lambda: grid_raw(divisions, phase, names=names, vectors=vectors), comm=comm, length=length, length_unit="um"
    )


def square(s: np.ndarray) -> np.ndarray:
    """Centred square of fraction 1/4: phase 1 inside, 0 outside."""
    return (np.abs(s - 0.5) < 0.25).all(axis=1).astype(int)


def checkerboard(s: np.ndarray) -> np.ndarray:
    """Two by two squares."""
    return (s[:, 0] < 0.5) ^ (s[:, 1] < 0.5)


def quarters(s: np.ndarray) -> np.ndarray:
    """Four phases: 0 north-east, 1 north-west, 2 south-west, 3 south-east."""
    east, north = s[:, 0] > 0.5, s[:, 1] > 0.5
    return np.select([north & east, north & ~east, ~north & ~east], [0, 1, 2], default=3)


def with_named_facets(raw: RawCell, name: str, place: Callable[[np.ndarray], np.ndarray]) -> RawCell:
    """The cell with a name for the facets between phases that ``place(midpoints)`` selects; not on the faces."""
    d = raw.dimension
    facets = np.concatenate([np.delete(raw.cells, k, axis=1) for k in range(d + 1)])
    tags = np.tile(raw.phase_of_cell, d + 1)
    unique, number, count = np.unique(np.sort(facets, axis=1), axis=0, return_inverse=True, return_counts=True)
    low, high = np.full(len(unique), np.inf), np.full(len(unique), -np.inf)
    np.minimum.at(low, number.ravel(), tags)
    np.maximum.at(high, number.ravel(), tags)
    chosen = unique[(count == 2) & (low < high) & place(raw.points[unique].mean(axis=1))]
    return replace(raw, facets=chosen, facet_tags=np.full(len(chosen), 9, dtype=np.int32), facet_names={name: 9})
