r"""Which phases carry a flux through the cell, and in which directions: connectivity on the torus.

Two cells are connected when they share a facet, also across the period. A closed path through a connected part
comes back shifted by a lattice vector :math:`\sum_k w_k a_k`; the integer vectors w of all closed paths form a
lattice, the winding of the part. A part with winding of rank r conducts in the r-dimensional space that it
spans, so that the effective tensor of a phase on its own has the rank of the windings of its parts together.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from homfem.meshing.arrays.facets import cell_facets, row_numbers
from homfem.meshing.arrays.identification import joined_by
from homfem.meshing.arrays.raw_cell import Indices, RawCell, cell_volumes, select, unchecked
from homfem.parameters import Array, CellError, Lattice
from homfem.reference import FACETS

#: Pairs of cells and the offset of the first's facet minus that of the second's, shapes (p,), (p,), (p, d).
Links = tuple[Indices, Indices, Indices]


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Part:
    """A connected part of a phase on the torus.

    Parameters
    ----------
    fraction
        Its volume over the volume of the period cell.
    directions : array of int, shape (r, d)
        Basis of its winding lattice, in Hermite normal form: row w means a path from a point to its image shifted by
        ``w @ lattice.vectors``. No rows: an island.
    """

    fraction: float
    directions: Indices

    @property
    def rank(self) -> int:
        """Number of independent directions in which the part percolates."""
        return len(self.directions)

    @property
    def island(self) -> bool:
        """Whether the part percolates in no direction."""
        return self.rank == 0


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class PhaseConnectivity:
    """Connected parts of one phase, the largest first.

    Parameters
    ----------
    phase
        Name of the phase.
    parts
        Its connected parts on the torus.
    directions : array of int, shape (r, d)
        Basis of the sum of the winding lattices of all parts.
    """

    phase: str
    parts: tuple[Part, ...]
    directions: Indices

    @property
    def rank(self) -> int:
        """Rank of the effective tensor of this phase on its own."""
        return len(self.directions)

    @property
    def percolates(self) -> bool:
        """Whether the phase percolates in every direction."""
        return self.rank == self.directions.shape[1]

    @property
    def islands(self) -> tuple[Part, ...]:
        """Parts that percolate in no direction."""
        return tuple(part for part in self.parts if part.island)

    @property
    def axes(self) -> tuple[int, ...]:
        """Numbers k of the period vectors :math:`a_k` along which the phase percolates."""
        d = self.directions.shape[1]
        inside = [np.linalg.matrix_rank(np.vstack([self.directions, np.eye(d)[k]])) == self.rank for k in range(d)]
        return tuple(k for k in range(d) if inside[k])

    def span(self, lattice: Lattice) -> Array:
        """Return an orthonormal basis of the space in which the phase percolates, shape (rank, d)."""
        if self.rank == 0:
            return np.zeros((0, lattice.dimension))
        return np.asarray(np.linalg.svd(self.directions @ lattice.vectors)[2][: self.rank])

    def describe(self) -> str:
        """Return one line for a log or a message."""
        d = self.directions.shape[1]
        rows = ", ".join("(" + " ".join(f"{entry:d}" for entry in row) + ")" for row in self.directions)
        where = {0: "in no direction", d: "in every direction"}.get(self.rank, f"only along {rows}")
        text = f"{self.phase}: percolates {where}; {len(self.parts)} part(s)"
        if self.islands and self.rank:
            text += f", {len(self.islands)} of them island(s) of fraction {sum(p.fraction for p in self.islands):.3g}"
        return text


def percolation(
    raw: RawCell,
    representative: Indices,
    offset: Indices,
    across: Links | None = None,
    *,
    shared: Links | None = None,
    volumes: Array | None = None,
) -> Mapping[str, PhaseConnectivity]:
    """Return the connectivity of each phase on the torus.

    Parameters
    ----------
    raw
        The cell.
    representative : array of int, shape (n,)
    offset : array of int, shape (n, d)
        From :func:`homfem.periodic.identify_nodes`:
        ``points[i] = points[representative[i]] + offset[i] @ lattice.vectors``.
    across
        Further pairs of cells that are joined, see :func:`homfem.meshing.topology.nonmatching_faces.links_across`.
    shared
        The facets that two cells share, where :func:`shared_facets` was asked before.
    volumes : array, shape (m,), optional
        Volumes of the cells, where they are known.

    Returns
    -------
    mapping of str to PhaseConnectivity
        In the order of ``raw.phases``.

    Raises
    ------
    CellError
        If a facet belongs to more than two cells.
    """
    return connectivities(raw, representative, offset, across, shared=shared, volumes=volumes)[0]


def connectivities(
    raw: RawCell,
    representative: Indices,
    offset: Indices,
    across: Links | None = None,
    *,
    shared: Links | None = None,
    volumes: Array | None = None,
) -> tuple[Mapping[str, PhaseConnectivity], PhaseConnectivity]:
    """Return the connectivity of each phase, and that of all together; arguments as :func:`percolation`."""
    pieces = _pieces(raw, np.asarray(representative), np.asarray(offset), across, shared)
    volumes = cell_volumes(raw) if volumes is None else volumes
    fractions = np.bincount(pieces.of_cell, weights=volumes, minlength=pieces.number) / raw.lattice.volume
    tag_of_piece = np.zeros(pieces.number, dtype=np.int64)
    tag_of_piece[pieces.of_cell] = raw.phase_of_cell
    part, cycles = pieces.parts(whole=False)
    tag_of_part = np.zeros(len(cycles), dtype=np.int64)
    tag_of_part[part] = tag_of_piece
    size = _sums(part, fractions, len(cycles))
    result = {
        name: _connectivity(name, np.flatnonzero(tag_of_part == tag), size, cycles, raw.dimension)
        for name, tag in raw.phases.items()
    }
    if len(result) == 1:
        return result, next(iter(result.values()))
    part, cycles = pieces.parts(whole=True)
    size = _sums(part, fractions, len(cycles))
    return result, _connectivity("all", np.arange(len(cycles)), size, cycles, raw.dimension)


def _sums(part: Indices, fractions: Array, count: int) -> Array:
    """The fraction of each of so many parts, from those of the pieces in it."""
    return np.asarray(np.bincount(part, weights=fractions, minlength=count), dtype=np.float64)


def _connectivity(
    name: str, own: Indices, fractions: Array, cycles: Sequence[Indices], dimension: int
) -> PhaseConnectivity:
    """The connectivity of the parts ``own`` of all, the largest first."""
    own = own[np.argsort(-fractions[own], kind="stable")]
    parts = tuple(Part(fraction=float(fractions[k]), directions=integer_basis(cycles[k])) for k in own)
    if len(parts) == 1:
        return PhaseConnectivity(phase=name, parts=parts, directions=parts[0].directions)
    every = np.vstack([np.zeros((0, dimension), dtype=np.int64), *(part.directions for part in parts)])
    return PhaseConnectivity(phase=name, parts=parts, directions=integer_basis(every))


def without_islands(raw: RawCell, representative: Indices, offset: Indices) -> RawCell:
    """Return the cell without the parts of phases that percolate in no direction; arguments as :func:`percolation`.

    Islands of a phase on its own carry no flux, and each leaves one more constant of the corrector undetermined.
    """
    kept = ~on_islands(raw, representative, offset)
    return raw if kept.all() else select(raw, kept)


def on_islands(
    raw: RawCell, representative: Indices, offset: Indices, across: Links | None = None
) -> npt.NDArray[np.bool_]:
    """Return for each cell whether its part percolates in no direction; arguments as :func:`percolation`."""
    pieces = _pieces(raw, np.asarray(representative), np.asarray(offset), across)
    part, cycles_of_part = pieces.parts(whole=False)
    return np.array([not np.any(cycles) for cycles in cycles_of_part])[part][pieces.of_cell]


def part_of_cell(raw: RawCell, representative: Indices, offset: Indices, across: Links | None = None) -> Indices:
    """Return for each cell the number of its connected part, shape (m,); arguments as :func:`percolation`."""
    pieces = _pieces(raw, np.asarray(representative), np.asarray(offset), across)
    return np.asarray(pieces.parts(whole=False)[0][pieces.of_cell])


def integer_basis(vectors: npt.ArrayLike) -> Indices:
    """Return the basis in Hermite normal form of the lattice that integer vectors generate, shape (r, d)."""
    rows = _once(np.asarray(vectors, dtype=np.int64))
    done = 0
    for column in range(rows.shape[1]):
        while True:
            active = done + np.flatnonzero(rows[done:, column])
            if len(active) == 0:
                break
            pivot = active[np.argmin(np.abs(rows[active, column]))]
            rows[[done, pivot]] = rows[[pivot, done]]
            if rows[done, column] < 0:
                rows[done] *= -1
            if len(active) == 1:
                rows[:done] -= (rows[:done, column] // rows[done, column])[:, None] * rows[done]
                done += 1
                break
            rows[done + 1 :] -= (rows[done + 1 :, column] // rows[done, column])[:, None] * rows[done]
    return rows[:done]


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class _Pieces:
    """The connected pieces of the phases of a cell that is cut open at its faces, and the few links between them.

    ``links`` are pairs of pieces with the jump between their cells, each pair and jump once; ``alike`` says which of
    them join pieces of one phase.
    """

    of_cell: Indices
    number: int
    links: Indices
    alike: npt.NDArray[np.bool_]

    def parts(self, *, whole: bool) -> tuple[Indices, list[Indices]]:
        """Connected part of each piece on the torus, and for each the offsets of closed paths that generate all.

        ``whole``: parts of all phases together, not of each.
        """
        links = self.links if whole else self.links[self.alike]
        number, part_of_piece = _connected(self.number, links[:, 0], links[:, 1])
        cycles, part_of_cycle = _cycles(links, part_of_piece, self.number, number)
        return part_of_piece, np.split(cycles, np.searchsorted(part_of_cycle, np.arange(1, number)))


def _pieces(
    raw: RawCell, representative: Indices, offset: Indices, across: Links | None, shared: Links | None = None
) -> _Pieces:
    first, second, jump = linked_cells(raw, shared_facets(raw, representative, offset) if shared is None else shared)
    if across is not None:
        first, second = np.concatenate([first, across[0]]), np.concatenate([second, across[1]])
        jump = np.vstack([jump, across[2]])
    alike = raw.phase_of_cell[first] == raw.phase_of_cell[second]
    inside = alike & ~np.logical_or.reduce([along != 0 for along in jump.T])
    number, piece = _connected(len(raw.cells), first[inside], second[inside])
    outside = ~inside
    rows = np.column_stack([piece[first[outside]], piece[second[outside]], jump[outside]])
    rows = _once(rows)
    tag = np.zeros(number, dtype=np.int64)
    tag[piece] = raw.phase_of_cell
    return _Pieces(of_cell=piece, number=number, links=rows, alike=tag[rows[:, 0]] == tag[rows[:, 1]])


def _once(rows: Indices) -> Indices:
    """Rows of integers, each once, in lexicographic order."""
    if len(rows) < 2:
        return rows.copy()
    return rows[np.unique(row_numbers(rows - rows.min(axis=0)), return_index=True)[1]]


def linked_cells(raw: RawCell, shared: Links) -> Links:
    """Return the pairs of cells that share a facet, from :func:`shared_facets`."""
    one, two, jump = shared
    per_cell = len(FACETS[raw.kind])
    return one // per_cell, two // per_cell, jump


def shared_facets(raw: RawCell, representative: Indices, offset: Indices) -> Links:
    """Return pairs of facets that are one on the torus, and the offset of the first minus that of the second.

    Facet k of cell i has the number ``i * facets of a cell + k``. It is told by its nodes on the covering space up to a
    lattice shift, so that the coarsest meshes are right.
    """
    of_cells = cell_facets(raw.corners, raw.kind)
    per_cell = of_cells.shape[1]
    facets: Indices = of_cells.reshape(-1, of_cells.shape[2])
    code = row_numbers(offset - offset.min(axis=0))
    key = representative * (int(code.max()) + 1) + code
    by_key = np.argsort(key, kind="stable")
    place = np.empty(len(key), dtype=np.int64)
    place[by_key] = np.arange(len(key))
    facets = by_key[np.sort(place[facets], axis=1)]
    first, *others = code[facets.T]
    crossing = np.flatnonzero(np.logical_or.reduce([other != first for other in others]))
    shape_of = np.zeros((len(facets), 1), dtype=np.int64)
    if len(crossing):
        relative = offset[facets[crossing]] - offset[facets[crossing, :1]]
        relative = relative.reshape(len(crossing), -1)
        shape_of[crossing, 0] = 1 + row_numbers(relative - relative.min(axis=0))
        shape_of[crossing[~relative.any(axis=1)], 0] = 0
    number = row_numbers(np.hstack([representative[facets], shape_of]))
    order = np.argsort(number, kind="stable")
    equal = number[order[1:]] == number[order[:-1]]
    if np.any(equal[1:] & equal[:-1]):
        where = int(order[np.flatnonzero(equal[1:] & equal[:-1])[0]]) // per_cell
        raise CellError("cells", where, "such that a facet belongs to at most two cells; this one overlaps with others")
    one, two = order[:-1][equal], order[1:][equal]
    jump = offset[facets[one, 0]] - offset[facets[two, 0]]
    return one, two, jump


#: Up to so many vertices the parts of a graph are found without a matrix of it, which takes longer to be made.
_SMALL = 4000


def _connected(count: int, first: Indices, second: Indices) -> tuple[int, Indices]:
    """How many connected parts a graph has, and that of each vertex, numbered by their first vertices."""
    if count <= _SMALL:
        parts, part = np.unique(joined_by(np.column_stack([first, second]), count), return_inverse=True)
        return len(parts), part
    graph = coo_array((np.ones(len(first)), (first, second)), shape=(count, count))
    number, label = connected_components(graph, directed=False)
    return int(number), label.astype(np.int64)


def _cycles(links: Indices, part_of_piece: Indices, pieces: int, parts: int) -> tuple[Indices, Indices]:
    """Offsets of the closed paths that generate all others, and the part of each, sorted by part.

    Each piece gets a position by walking a spanning tree; each link then closes a path.
    """
    part_of_link, steps = part_of_piece[links[:, 0]], links[:, 2:]
    if parts < pieces:
        position = _positions(links, part_of_piece, pieces)
        steps = position[links[:, 0]] + steps - position[links[:, 1]]
    by_part = np.argsort(part_of_link, kind="stable")
    return steps[by_part], part_of_link[by_part]


def _positions(links: Indices, part_of_piece: Indices, pieces: int) -> Indices:
    """A place on the covering space for each piece, the first of each part at the origin."""
    d = links.shape[1] - 2
    position = np.zeros((pieces, d), dtype=np.int64)
    neighbours: dict[int, list[tuple[int, int]]] = {}
    for number in range(len(links)):
        i, j = int(links[number, 0]), int(links[number, 1])
        if i != j:
            neighbours.setdefault(i, []).append((j, number))
            neighbours.setdefault(j, []).append((i, number))
    reached = np.zeros(pieces, dtype=bool)
    for root in np.unique(part_of_piece, return_index=True)[1]:
        reached[root] = True
        waiting = [int(root)]
        for piece in waiting:
            for other, number in neighbours.get(piece, ()):
                if not reached[other]:
                    reached[other] = True
                    # A link tells the jump from its first piece to its second.
                    jump = links[number, 2:]
                    position[other] = position[piece] + (jump if links[number, 0] == piece else -jump)
                    waiting.append(other)
    return position


def merged(raw: RawCell) -> RawCell:
    """Return the cell with all of its phases as one, named "all"."""
    return unchecked(raw, phases={"all": 1}, phase_of_cell=np.ones_like(raw.phase_of_cell))
