"""Connectivity of phases on the torus, on meshes small enough to count by hand."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from homfem.meshing.arrays.identification import joined_by
from homfem.meshing.arrays.raw_cell import RawCell, cell_volumes, restrict, select
from homfem.meshing.shapes.three_pipe_grid import structured_three_pipe
from homfem.meshing.topology.percolation import connectivities, integer_basis, merged, percolation, without_islands
from homfem.parameters import Lattice
from homfem.periodic import identify_nodes

KUHN = [[0, 1 << i, (1 << i) | (1 << j), 7] for i in range(3) for j in range(3) if i != j]


def grid(shape: tuple[int, ...], inside: Callable[..., np.ndarray], lattice: Lattice | None = None) -> RawCell:
    """Boxes cut into simplices; ``inside(i, j[, k])`` of the box numbers tells phase "a" from phase "b"."""
    d = len(shape)
    boxes = np.stack(np.meshgrid(*map(np.arange, shape), indexing="ij"), axis=-1).reshape(-1, d)
    nodes = np.stack(np.meshgrid(*(np.arange(n + 1) for n in shape), indexing="ij"), axis=-1).reshape(-1, d)
    stride = np.cumprod([1, *[n + 1 for n in shape[:0:-1]]])[::-1]
    bits = (np.arange(2**d)[:, None] >> np.arange(d)) & 1
    corners = (boxes[:, None] + bits) @ stride
    simplices = np.array(KUHN if d == 3 else [[0, 1, 3], [0, 2, 3]])
    lattice = lattice or Lattice.box(*([1.0] * d))
    chosen = np.asarray(inside(*boxes.T)) & np.ones(len(boxes), dtype=bool)
    names = {name: tag for name, tag, there in (("a", 3, chosen.any()), ("b", 7, not chosen.all())) if there}
    return RawCell(
        points=nodes / np.array(shape) @ lattice.vectors,
        cells=corners[:, simplices].reshape(-1, d + 1),
        kind="triangle" if d == 2 else "tetrahedron",
        order=1,
        phase_of_cell=np.repeat(np.where(chosen, 3, 7), len(simplices)),
        phases=names,
        facets=np.zeros((0, d)),
        facet_tags=np.zeros(0),
        facet_names={},
        lattice=lattice,
    )


def connectivity(raw: RawCell):
    return percolation(raw, *identify_nodes(raw.points, raw.lattice))


def test_inclusion_is_an_island_and_its_matrix_percolates():
    found = connectivity(grid((6, 6), lambda i, j: (i - 2.5) ** 2 + (j - 2.5) ** 2 < 3))
    assert [part.fraction for part in found["a"].parts] == pytest.approx([12 / 36])
    assert found["a"].rank == 0
    assert len(found["a"].islands) == 1
    assert found["a"].axes == ()
    assert found["b"].percolates
    assert found["b"].axes == (0, 1)
    assert len(found["b"].parts) == 1
    assert "no direction" in found["a"].describe()


def test_inclusion_cut_by_the_corners_is_one_island():
    found = connectivity(grid((6, 6), lambda i, j: np.isin(i, [0, 5]) & np.isin(j, [0, 5])))
    assert len(found["a"].parts) == 1
    assert found["a"].parts[0].fraction == pytest.approx(4 / 36)
    assert found["a"].rank == 0


def test_layers_percolate_along_themselves_only():
    found = connectivity(grid((5, 5, 5), lambda i, j, k: np.isin(k, [1, 3])))
    for name, thickness in (("a", [1, 1]), ("b", [2, 1])):
        assert found[name].rank == 2
        assert found[name].axes == (0, 1)
        assert np.abs(found[name].span(Lattice.box(1, 1, 1))[:, 2]).max() < 1e-14
        # The layers of b at k = 0 and k = 4 are one layer.
        assert [part.fraction for part in found[name].parts] == pytest.approx([t / 5 for t in thickness])


def test_diagonal_path_percolates_along_the_diagonal_of_the_lattice():
    lattice = Lattice(vectors=np.array([[2.0, 0.0], [1.0, 1.5]]))
    raw = grid((6, 6), lambda i, j: (i == j) | (i == (j + 1) % 6), lattice)
    found = connectivity(raw)["a"]
    assert found.directions.tolist() == [[1, 1]]
    assert found.axes == ()
    direction = found.span(lattice)[0]
    assert abs(direction @ np.array([3.0, 1.5])) == pytest.approx(np.hypot(3.0, 1.5))


def test_squares_that_meet_at_corners_are_not_connected():
    found = connectivity(grid((4, 4), lambda i, j: (i + j) % 2 == 0))
    # The cut of each box runs along its diagonal, so that no facet joins two boxes of one colour.
    assert {name: len(phase.parts) for name, phase in found.items()} == {"a": 8, "b": 8}
    assert found["a"].rank == found["b"].rank == 0


def test_path_that_closes_after_two_periods():
    """Two strands that change places on the way up: each goes on as the other, so that the path is one."""
    one = [(0, 0, 0), (0, 0, 1), (0, 0, 2), (1, 0, 2), (2, 0, 2), (2, 0, 3), (2, 0, 4), (2, 0, 5)]
    two = [(2, 0, 0), (2, 1, 0), (2, 2, 0), (2, 2, 1), (2, 2, 2), (2, 2, 3), (2, 2, 4), (1, 2, 4), (0, 2, 4), (0, 1, 4)]
    two += [(0, 0, 4), (0, 0, 5)]
    strands = np.zeros((4, 4, 6), dtype=bool)
    strands[tuple(np.array(one + two).T)] = True
    found = connectivity(grid(strands.shape, lambda i, j, k: strands[i, j, k]))["a"]
    assert len(found.parts) == 1
    assert found.parts[0].fraction == pytest.approx(20 / 96)
    assert found.directions.tolist() == [[0, 0, 2]]
    assert found.axes == (2,)


def test_one_box_across_the_period_is_still_right():
    found = connectivity(grid((1, 1), lambda i, j: i >= 0))["a"]
    assert found.directions.tolist() == [[1, 0], [0, 1]]
    found = connectivity(grid((2, 1, 1), lambda i, j, k: i == 0))
    assert found["a"].directions.tolist() == [[0, 1, 0], [0, 0, 1]]
    assert found["b"].axes == (1, 2)


def test_pipes_percolate_alone_and_together():
    raw = structured_three_pipe(0.3, resolution=0.25)
    found = connectivity(raw)
    assert found["er"].percolates
    assert found["cytosol"].percolates
    assert found["er"].parts[0].fraction == pytest.approx(3 * 0.09 - 2 * 0.027, abs=1e-14)
    alone = connectivity(restrict(raw, ["cytosol"]))
    assert alone["cytosol"].directions.tolist() == np.eye(3).tolist()


def test_islands_are_removed_and_nothing_else():
    def pattern(i, j):
        return (j == 0) | ((i == 3) & (j == 3)) | (np.isin(i, [0, 5]) & (j == 4))

    raw = restrict(grid((6, 6), pattern), ["a"])
    assert [part.fraction for part in connectivity(raw)["a"].islands] == pytest.approx([2 / 36, 1 / 36])
    rest = without_islands(raw, *identify_nodes(raw.points, raw.lattice))
    assert cell_volumes(rest).sum() == pytest.approx(6 / 36)
    assert connectivity(rest)["a"].directions.tolist() == [[1, 0]]
    assert connectivity(rest)["a"].islands == ()


def test_integer_basis_generates_the_same_lattice():
    assert integer_basis([[2, 4], [3, 5]]).tolist() == [[1, 1], [0, 2]]
    assert integer_basis(np.zeros((3, 2))).shape == (0, 2)
    rng = np.random.default_rng(3)
    rows = rng.integers(-4, 5, (3, 3))
    basis = integer_basis(np.vstack([rows, rows[0] + rows[2], -rows[1]]))
    assert abs(np.linalg.det(basis)) == pytest.approx(abs(np.linalg.det(rows)))
    coefficients = rows @ np.linalg.inv(basis)
    assert np.abs(coefficients - coefficients.round()).max() < 1e-12


@pytest.mark.parametrize("shape", [(5, 4), (4, 6), (3, 4, 3)])
def test_phases_together_are_what_they_are_as_one(shape):
    """From the pieces of the phases, and from all cells with their phases forgotten; some boxes are missing."""
    random = np.random.default_rng(17)
    for _ in range(12):
        inside, there = random.random((2, *shape))
        raw = grid(shape, lambda *i, field=inside: field[i] < 0.5)
        raw = select(raw, np.repeat(there.ravel() < random.uniform(0.4, 0.9), len(raw.cells) // there.size))
        nodes = identify_nodes(raw.points, raw.lattice, partial=True)
        whole, alone = connectivities(raw, *nodes)[1], percolation(merged(raw), *nodes)["all"]
        assert np.array_equal(whole.directions, alone.directions)
        pairs = [
            sorted((round(part.fraction, 12), part.directions.tolist()) for part in each.parts)
            for each in (whole, alone)
        ]
        assert pairs[0] == pairs[1]


@pytest.mark.parametrize("count", [1, 7, 60, 500])
def test_what_pairs_join_is_what_a_search_of_the_graph_finds(count):
    """Random pairs, from none to more than there are things, and one path through all of them in any order."""
    rng = np.random.default_rng(count)
    for number in (0, count // 3, count, 3 * count):
        pairs = rng.integers(0, count, (number, 2))
        graph = coo_array((np.ones(number), tuple(pairs.T)), shape=(count, count))
        _, part = connected_components(graph, directed=False)
        first = np.unique(part, return_index=True)[1]
        np.testing.assert_array_equal(joined_by(pairs, count), first[part])
    order = rng.permutation(count)
    assert not joined_by(np.column_stack([order[:-1], order[1:]]), count).any()
