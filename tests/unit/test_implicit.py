"""Cells from level sets against exact volumes, areas and slivers; periodic, conforming, no flat cells; refusals."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from homfem.meshing.arrays.raw_cell import RawCell, cell_volumes, restrict, scaled
from homfem.meshing.arrays.refinement import bisect_cells, bisect_longest
from homfem.meshing.cut import level_sets
from homfem.meshing.cut.background import angles, background_raw
from homfem.meshing.cut.implicit import implicit_raw
from homfem.meshing.cut.level_sets import balls, cylinders, ellipses
from homfem.meshing.cut.sections import section_of
from homfem.parameters import CellError, ConvergenceError, InputError, Lattice
from homfem.periodic import check_faces, check_resolution, identify_nodes

SQUARE, CUBE = Lattice.box(1.0, 1.0), Lattice.box(1.0, 1.0, 1.0)
VOLUME = {2: math.pi, 3: 4.0 / 3.0 * math.pi}
SURFACE = {2: 2.0 * math.pi, 3: 4.0 * math.pi}
#: Smallest and largest angles (dihedral in space) that the mesher may leave, in degrees.
WORST = {2: (15.0, 146.0), 3: (6.0, 173.0)}


def ball(dimension: int, centre=(0.51, 0.93, 0.2), radius: float = 0.3, lattice: Lattice | None = None, **options):
    box = lattice or (SQUARE if dimension == 2 else CUBE)
    return implicit_raw(balls(box, [centre[:dimension]], radius), ["in", "out"], lattice=box, **options)


def fraction(raw: RawCell, name: str) -> float:
    return float(cell_volumes(raw)[raw.phase_of_cell == raw.phases[name]].sum() / raw.lattice.volume)


def facet_areas(raw: RawCell) -> np.ndarray:
    x = raw.points[raw.facets[:, : raw.dimension]]
    if raw.dimension == 2:
        return np.linalg.norm(x[:, 1] - x[:, 0], axis=1)
    return 0.5 * np.linalg.norm(np.cross(x[:, 1] - x[:, 0], x[:, 2] - x[:, 0]), axis=1)


def check_mesh(raw: RawCell) -> None:
    """Faces match to the last digits, facet by facet; cells fill the period and are not flat."""
    representative, _ = identify_nodes(raw.points, raw.lattice, tolerance=2e-14)
    check_faces(raw.points, raw.corners, representative, raw.lattice, whole=True, tolerance=2e-14)
    check_resolution(raw.points, raw.cells, representative, raw.lattice)
    assert cell_volumes(raw).sum() == pytest.approx(raw.lattice.volume, rel=1e-12)
    smallest, largest = angles(raw.points, raw.corners)
    assert smallest.min() > WORST[raw.dimension][0]
    assert largest.max() < WORST[raw.dimension][1]


@pytest.mark.parametrize(("dimension", "sizes", "cap"), [(2, (0.1, 0.05), 3e-6), (3, (0.2, 0.1), 1e-4)])
def test_volume_is_of_fourth_and_area_of_second_order(dimension, sizes, cap):
    volume, area = [], []
    for size in sizes:
        raw = ball(dimension, resolution=size)
        volume.append(abs(fraction(raw, "in") / (VOLUME[dimension] * 0.3**dimension) - 1.0))
        area.append(abs(facet_areas(raw).sum() / (SURFACE[dimension] * 0.3 ** (dimension - 1)) - 1.0))
    assert volume[1] < min(cap, volume[0] / 10.0)
    assert area[1] < min(0.01, area[0] / 3.0)


@pytest.mark.parametrize("dimension", [2, 3])
@pytest.mark.parametrize("name", ["in", "out"])
@pytest.mark.parametrize("order", [1, 2])
def test_volume_is_exact_where_it_is_given(dimension, name, order):
    inside = VOLUME[dimension] * 0.3**dimension
    wanted = {"in": inside, "out": 1.0 - inside}
    raw = ball(dimension, resolution=0.15, fractions={name: wanted[name]}, order=order)
    assert fraction(raw, "in") == pytest.approx(inside, abs=1e-13)
    assert raw.order == order


def test_volume_that_is_not_that_of_the_function_is_refused():
    with pytest.raises(InputError, match=r"fractions\['in'\].*the volume fraction of the level set"):
        ball(2, resolution=0.1, fractions={"in": 0.3})


def test_slivers_are_the_area_between_a_polygon_and_its_circle():
    raw = ball(2, (0.5, 0.5), resolution=0.1, conserve=False)
    np.testing.assert_allclose(np.linalg.norm(raw.points[raw.facets] - 0.5, axis=2), 0.3, rtol=1e-12)
    lack = math.pi * 0.09 - fraction(raw, "in")
    assert raw.slivers[:, 0].sum() == pytest.approx(lack, rel=1e-9)
    assert raw.slivers[:, 1].max() < 1e-15
    # One facet by the formula of the circular segment.
    half = np.arcsin(0.5 * facet_areas(raw) / 0.3)
    np.testing.assert_allclose(raw.slivers[:, 0], 0.09 * (half - np.sin(half) * np.cos(half)), rtol=1e-8)


def test_slivers_balance_where_the_volume_is_kept():
    raw = ball(2, resolution=0.1)
    larger, smaller = raw.slivers.sum(axis=0)
    assert larger == pytest.approx(smaller, rel=2e-3)
    circle = ball(2, resolution=0.1, conserve=False).slivers.sum()
    assert larger + smaller < 0.7 * circle


def test_slivers_are_handed_on():
    raw = ball(2, resolution=0.1)
    np.testing.assert_array_equal(restrict(raw, "out").slivers, raw.slivers)
    np.testing.assert_allclose(scaled(raw, 2.0).slivers, 4.0 * raw.slivers)
    representative, _ = identify_nodes(raw.points, raw.lattice)
    marked = np.zeros(len(raw.cells), dtype=bool)
    marked[::7] = True
    finer = bisect_cells(raw, representative, marked)
    assert len(finer.facets) > len(raw.facets)
    np.testing.assert_allclose(finer.slivers.sum(axis=0), raw.slivers.sum(axis=0), rtol=1e-13)
    density = finer.slivers.sum(axis=1) / facet_areas(finer)
    assert density.max() <= (raw.slivers.sum(axis=1) / facet_areas(raw)).max() * (1.0 + 1e-12)


def test_slivers_must_be_two_volumes_per_facet():
    raw = ball(2, resolution=0.2)
    with pytest.raises(CellError, match="slivers"):
        RawCell(**{name: getattr(raw, name) for name in raw.__slots__} | {"slivers": np.zeros((1, 2))})


@settings(max_examples=25, deadline=None)
@given(
    st.tuples(*[st.floats(0.0, 1.0)] * 2), st.floats(0.15, 0.4), st.sampled_from([0.08, 0.11, 0.14]), st.integers(0, 2)
)
def test_discs_anywhere(centre, radius, size, refinement):
    raw = ball(2, centre, radius, resolution=size, refinement=refinement, lattice=Lattice.box(1.0, 1.1))
    check_mesh(raw)
    assert fraction(raw, "in") == pytest.approx(math.pi * radius**2 / 1.1, rel=0.05 * (size / radius) ** 4)


@settings(max_examples=6, deadline=None)
@given(st.tuples(*[st.floats(0.0, 1.0)] * 3), st.floats(0.22, 0.4), st.integers(0, 1))
def test_spheres_anywhere(centre, radius, refinement):
    raw = ball(3, centre, radius, resolution=0.17, refinement=refinement, lattice=Lattice.box(1.0, 1.1, 1.0))
    check_mesh(raw)
    assert fraction(raw, "in") == pytest.approx(4.0 / 3.0 * math.pi * radius**3 / 1.1, rel=5e-3)


def test_skewed_lattice():
    lattice = Lattice(vectors=np.array([[1.0, 0.0], [0.5, math.sqrt(0.75)]]))
    raw = ball(2, (0.1, 0.05), 0.35, lattice=lattice, resolution=0.08)
    representative, _ = identify_nodes(raw.points, lattice)
    check_faces(raw.points, raw.cells, representative, lattice, whole=True)
    assert fraction(raw, "in") == pytest.approx(math.pi * 0.35**2 / lattice.volume, rel=1e-5)


def test_coating_and_facet_names():
    functions = [balls(SQUARE, [[0.2, 0.1]], 0.2), balls(SQUARE, [[0.2, 0.1]], 0.3)]
    core, both = math.pi * 0.04, math.pi * 0.09
    raw = implicit_raw(functions, ["core", "shell", "rest"], lattice=SQUARE, resolution=0.07,
                       fractions={"core": core, "rest": 1.0 - both})  # fmt: skip
    check_mesh(raw)
    assert fraction(raw, "core") == pytest.approx(core, abs=1e-13)
    assert fraction(raw, "shell") == pytest.approx(both - core, abs=1e-13)
    assert set(raw.facet_names) == {"core|shell", "shell|rest"}
    # Facets on a face of the cell are there for both phases.
    representative, _ = identify_nodes(raw.points, SQUARE)
    _, once = np.unique(np.sort(representative[raw.facets], axis=1), axis=0, return_index=True)
    inner = facet_areas(raw)[once[raw.facet_tags[once] == raw.facet_names["core|shell"]]].sum()
    assert inner == pytest.approx(2.0 * math.pi * 0.2, rel=0.01)


def bands(axis: int, lattice: Lattice):
    side = lattice.vectors[axis, axis]
    return lambda x: np.abs((x[:, axis] + 0.03) / side - np.rint((x[:, axis] + 0.03) / side)) * side - 0.2


@pytest.mark.parametrize("dimension", [2, 3])
def test_crossing_planes_are_met_exactly(dimension):
    lattice = SQUARE if dimension == 2 else CUBE
    functions = [bands(0, lattice), bands(1, lattice)]
    raw = implicit_raw(functions, ["a", "b", "c"], lattice=lattice, resolution=0.15)
    check_mesh(raw)
    assert [fraction(raw, name) for name in "abc"] == pytest.approx([0.4, 0.24, 0.36], abs=1e-12)
    one = implicit_raw(functions, ["a", "a", "c"], lattice=lattice, resolution=0.15, fractions={"c": 0.36})
    assert fraction(one, "a") == pytest.approx(0.64, abs=1e-12)
    assert set(one.facet_names) == {"a|c"}
    assert facet_areas(one).sum() == pytest.approx(2.4, rel=1e-12)


def test_facets_on_the_faces_of_the_cell_belong_to_both_phases():
    half = lambda x: 0.25 - np.abs(x[:, 0] - np.floor(x[:, 0]) - 0.5)  # noqa: E731
    raw = implicit_raw(lambda x: half(x + np.array([0.25, 0.0])), ["a", "b"], lattice=SQUARE, resolution=0.2)
    assert fraction(raw, "a") == pytest.approx(0.5, abs=1e-12)
    for name in "ab":
        assert facet_areas(restrict(raw, name)).sum() == pytest.approx(2.0, rel=1e-12)


def test_fractions_that_are_not_those_of_the_level_sets_are_refused():
    with pytest.raises(InputError, match=r"the volumes of the level sets\. Correct them"):
        ball(2, (0.5, 0.5), resolution=0.1, order=2, fractions={"in": 0.6})  # of radius 0.3: 0.283


def test_second_order_nodes_lie_on_the_surface():
    raw = ball(2, (0.5, 0.5), resolution=0.1, order=2)
    distance = np.linalg.norm(raw.points[raw.facets] - 0.5, axis=2)
    np.testing.assert_allclose(distance, 0.3, atol=1e-12)
    coarse = ball(2, (0.5, 0.5), resolution=0.2, order=2)
    exact = math.pi * 0.09
    assert abs(fraction(raw, "in") - exact) < min(1e-5, abs(fraction(coarse, "in") - exact) / 10.0)


def test_cylinders_and_ellipses_have_their_volume():
    raw = implicit_raw(cylinders(CUBE, [[0.5, 0.9]], 0.3, axis=1), ["in", "out"], lattice=CUBE, resolution=0.15)
    assert fraction(raw, "in") == pytest.approx(math.pi * 0.09, rel=2e-3)
    raw = implicit_raw(ellipses(SQUARE, [[0.1, 0.2]], (0.4, 0.2), 0.7), ["in", "out"], lattice=SQUARE, resolution=0.06)
    assert fraction(raw, "in") == pytest.approx(math.pi * 0.08, rel=1e-4)


def test_many_balls_as_few():
    """More than eight centres are searched in another way."""
    centres = np.random.default_rng(3).random((12, 2))
    points = np.random.default_rng(4).uniform(-1.0, 2.0, (50, 2))
    one_by_one = np.min([balls(SQUARE, [c], 0.05 + 0.01 * (k % 2))(points) for k, c in enumerate(centres)], axis=0)
    together = balls(SQUARE, centres, [0.05 + 0.01 * (k % 2) for k in range(12)])(points)
    np.testing.assert_allclose(together, one_by_one, atol=1e-14)


@pytest.mark.parametrize("dimension", [2, 3])
@pytest.mark.parametrize("gap", [0.001, 0.02])
def test_gap_thinner_than_the_mesh_is_refused(dimension, gap):
    with pytest.raises(CellError, match="a gap in 'in' thinner than the mesh"):
        ball(dimension, radius=0.5 - 0.5 * gap, resolution=0.15)


@pytest.mark.parametrize("dimension", [2, 3])
def test_gap_between_nodes_off_the_surface_is_refused(dimension):
    """A thin void inside of a ball that no node is near: only the values along the edges tell of it."""
    box = SQUARE if dimension == 2 else CUBE
    whole, centre = balls(box, [[0.5] * dimension], 0.45), np.array([0.463, 0.5, 0.5])[:dimension]

    def slit(points):
        step = np.abs(points - np.floor(points) - centre)
        step[:, 0] += 0.12
        return np.maximum(whole(points), 0.123 - step.max(axis=1))

    with pytest.raises(CellError, match="a gap in 'in' thinner than the mesh"):
        implicit_raw(slit, ["in", "out"], lattice=box, resolution=0.1)


@pytest.mark.parametrize("dimension", [2, 3])
@pytest.mark.parametrize(("side", "what"), [(1.0, "a gap in 'in'"), (-1.0, "a part of 'in'")])
def test_layer_between_the_nodes_of_a_mesh_with_both_phases_is_refused(dimension, side, what):
    """One band that the mesh shows and one between two rows of nodes, whose signs do not tell of it."""

    def bands(points):
        away = np.abs(np.mod(points[:, :1] - [0.281, 0.75] + 0.5, 1.0) - 0.5)
        return side * ([0.004, 0.15] - away).max(axis=1)

    box = SQUARE if dimension == 2 else CUBE
    with pytest.raises(CellError, match=f"{what} thinner than the mesh"):
        implicit_raw(bands, ["in", "out"], lattice=box, resolution=0.125)


def test_gap_that_the_mesh_shows_is_kept():
    raw = ball(2, radius=0.47, resolution=0.15, refinement=2)
    assert fraction(raw, "in") == pytest.approx(math.pi * 0.47**2, rel=1e-5)


def test_sheet_thinner_than_the_mesh_is_refused():
    sheet = lambda x: np.abs(x[:, 0] - np.floor(x[:, 0]) - 0.47) - 0.02  # noqa: E731
    with pytest.raises(CellError, match=r"thinner than the mesh|without cells"):
        implicit_raw(sheet, ["sheet", "rest"], lattice=SQUARE, resolution=0.2)


def test_part_smaller_than_a_cell_is_refused():
    with pytest.raises(CellError, match="phase 'in' without cells"):
        ball(2, (0.53, 0.47), 0.01, resolution=0.2)


def test_sharp_corner_is_refused():
    cube = lambda x: np.abs(x - np.floor(x) - 0.5).max(axis=1) - 0.23  # noqa: E731
    with pytest.raises(CellError, match="sharp corner"):
        implicit_raw(cube, ["cube", "rest"], lattice=CUBE, resolution=0.15)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"functions": lambda x: x[:, 0] - 0.5}, "functions.*periodic"),
        ({"functions": lambda x: np.full(len(x), np.nan)}, "finite"),
        ({"functions": lambda x: x}, r"shape \(n,\)"),
        ({"phases": ["in", "in"]}, "phases"),
        ({"phases": ["in"]}, "phases"),
        ({"resolution": 0.4}, "resolution"),
        ({"refinement": -1}, "refinement"),
        ({"order": 5}, "order"),
        ({"fractions": {"none": 0.2}}, "fractions"),
        ({"fractions": {"in": 1.2}}, "fractions"),
        ({"fractions": {"in": 0.2, "out": 0.7}}, "sum 1"),
        ({"size": lambda x: np.zeros(len(x))}, "size"),
        ({"corners": {0: np.array([[0.1, 0.1], [0.1, 0.1]])}}, "corners"),
    ],
)
def test_refused(change, message):
    functions = change.pop("functions", balls(SQUARE, [[0.5, 0.5]], 0.3))
    phases = change.pop("phases", ["in", "out"])
    with pytest.raises(InputError, match=message):
        implicit_raw(functions, phases, lattice=SQUARE, **change)


def test_corners_that_the_mesh_cannot_show_are_refused():
    section = section_of("polygon", sides=3)
    phi, corners = section.level_set(SQUARE, np.array([[0.5, 0.5]]), 0.2), section.corners(np.array([[0.5, 0.5]]), 0.2)
    with pytest.raises(CellError, match="a corner near"):
        implicit_raw(phi, ["in", "out"], lattice=SQUARE, resolution=1 / 3, corners={0: corners})


def test_fractions_of_the_last_phase_alone_do_not_say_which():
    functions = [balls(SQUARE, [[0.5, 0.5]], 0.2), balls(SQUARE, [[0.5, 0.5]], 0.3)]
    with pytest.raises(InputError, match="all but one"):
        implicit_raw(functions, ["a", "b", "c"], lattice=SQUARE, fractions={"c": 0.5})


def test_corners_in_space_and_order_two_of_shared_phases_are_refused():
    phi = balls(CUBE, [[0.5] * 3], 0.3)
    with pytest.raises(CellError, match="corners"):
        implicit_raw(phi, ["in", "out"], lattice=CUBE, corners={0: np.zeros((1, 3))})
    with pytest.raises(CellError, match="order"):
        implicit_raw([phi, phi], ["in", "in", "out"], lattice=CUBE, order=2)


def test_balls_are_checked():
    with pytest.raises(CellError, match="centres"):
        balls(SQUARE, [[0.5, 0.5, 0.5]], 0.1)
    with pytest.raises(CellError, match="radii"):
        balls(SQUARE, [[0.5, 0.5]], -0.1)


@pytest.mark.parametrize("lattice", [SQUARE, CUBE])
def test_longest_edges_keep_the_angles_of_the_grid(lattice):
    raw = background_raw(lattice, 1 / 3)
    for turn in range(9):
        representative, _ = identify_nodes(raw.points, lattice)
        middle = raw.points[raw.corners].mean(axis=1)
        raw = bisect_longest(
            raw, representative, np.linalg.norm(middle - [0.9, 0.1, 0.4][: raw.dimension], axis=1) < 0.3
        )
        check = identify_nodes(raw.points, lattice, tolerance=1e-14)[0]
        check_faces(raw.points, raw.cells, check, lattice, whole=True)
        assert angles(raw.points, raw.cells)[0].min() > 44.9, turn
    assert len(raw.cells) > 3 * len(background_raw(lattice, 1 / 3).cells)


def test_roots_to_the_last_digit():
    """Cubes, kinks, steps and a root of order nine; at the ends too. Few values of smooth functions are asked for."""
    c = np.array([0.0, 1e-12, 0.3, 0.5, 1.0 - 1e-15, 1.0])
    asked = []

    def cubes(x, number):
        asked.append(len(x))
        return x**3 - c[number]

    assert level_sets.roots(cubes, len(c)) == pytest.approx(np.cbrt(c), rel=1e-15)
    assert sum(asked) < 20 * len(c)
    steep = np.array([0.2, 0.7])
    for function in (np.abs, np.ones_like, lambda x: np.abs(x) ** 9):
        found = level_sets.roots(lambda x, k, f=function: np.sign(steep[k] - x) * f(x - steep[k]), len(steep))
        assert found == pytest.approx(steep, rel=4e-16, abs=1e-15)
    near = np.array([0.0, 5e-324, 1e-60, 1e-17, 1e-12])  # at a node, or as good as
    for function in (lambda x, k: np.where(x > near[k], 1.0, -1.0), lambda x, k: x - near[k] - 1e-300):
        assert level_sets.roots(function, len(near)) == pytest.approx(near, rel=1e-9, abs=1e-23)
    assert level_sets.roots(cubes, 0).shape == (0,)


def test_functions_without_a_root_are_refused(monkeypatch):
    with pytest.raises(ConvergenceError, match="one sign at both ends"):
        level_sets.roots(lambda x, _: 1.0 + x, 3)
    monkeypatch.setattr(level_sets, "ROUNDS", 3)
    with pytest.raises(ConvergenceError, match="on 2 edges after 3 rounds"):
        level_sets.roots(lambda x, _: x - 1 / 3 + 0.1 * (x > 1 / 3), 2)
