"""What pictures are made of: colours, words, cuts, subdivision, stream functions, times of arrival."""

from __future__ import annotations

import itertools

import matplotlib
import numpy as np
import pytest

from homfem.blocks.medium import BlockMedium
from homfem.meshing.shapes.three_pipe_grid import structured_three_pipe
from homfem.output import block_lines, colours, cuts, panels, scene, skins, subdivision, words
from homfem.output.charts import charts
from homfem.output.flow_lines import stream_function
from homfem.output.views import CellView
from homfem.output.waves import arrival_times
from homfem.parameters import FileError, InputError

# Colours.


@pytest.mark.parametrize(
    ("values", "name", "low", "high"),
    [
        ([0.0, 2.0], "viridis", 0.0, 2.0),
        ([1.0, 2.0], "viridis", 0.0, 2.0),
        ([-1e-5, 2.0], "viridis", 0.0, 2.0),  # an error of the elements
        ([-2.0, -1.0], "viridis_r", -2.0, 0.0),
        ([-2.0, 1.0], "balance", -2.0, 2.0),
        ([-1.0, 2.0, np.nan, np.inf], "balance", -2.0, 2.0),
        ([3.0, 3.0], "viridis", 0.0, 3.0),
        ([0.0, 0.0], "viridis", 0.0, 1.0),
        ([np.nan], "viridis", 0.0, 1.0),
        ([], "viridis", 0.0, 1.0),
    ],
)
def test_the_signs_of_a_field_choose_its_colours(values, name, low, high):
    scale = colours.colour_scale(values)
    assert (getattr(scale.colormap, "name", scale.colormap), scale.low, scale.high) == (name, low, high)


def test_limits_and_map_can_be_given():
    scale = colours.colour_scale([-1.0, 2.0], limits=(0.5, 1.0), colormap="inferno")
    assert (scale.colormap, scale.low, scale.high) == ("inferno", 0.5, 1.0)
    assert scale.rgba([0.5, 1.0]) == pytest.approx(
        np.array([[0.001462, 0.000466, 0.013866, 1], [0.988362, 0.998364, 0.644924, 1]])
    )


def test_the_diverging_map_is_uniform_and_even_about_its_middle():
    in_lab = colours.lab(np.array(colours.diverging().colors))
    steps = np.linalg.norm(np.diff(in_lab, axis=0), axis=1)
    middle = len(in_lab) // 2
    for arm in (steps[:middle], steps[middle:]):
        assert arm == pytest.approx(arm.mean(), rel=1e-2)
    assert steps[:middle].sum() == pytest.approx(steps[middle:].sum(), rel=0.2)
    light = in_lab[:, 0]
    assert (np.diff(light[: middle + 1]) > 0).all()
    assert (np.diff(light[middle:]) < 0).all()
    assert light[middle] > 95
    assert light[0] == pytest.approx(light[-1], abs=3)
    # Without red cones (Machado et al. 2009) both ends are still told apart from each other and from the middle.
    protan = np.array(
        [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]]
    )
    rgb = np.array(colours.diverging().colors)[[10, middle, -11]]
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4) @ protan.T
    seen = colours.lab(1.055 * np.clip(linear, 0.0031308, 1.0) ** (1 / 2.4) - 0.055)
    for one, other in itertools.combinations(seen, 2):
        assert np.linalg.norm(one - other) > 25


def test_lab_and_srgb_are_inverse_and_white_is_white():
    given = np.random.default_rng(0).random((50, 3))
    assert colours.srgb(colours.lab(given)) == pytest.approx(given, abs=1e-12)
    assert colours.lab([1.0, 1.0, 1.0]) == pytest.approx([100.0, 0.0, 0.0], abs=1e-4)
    assert colours.lab([1.0, 0.0, 0.0]) == pytest.approx([53.24, 80.09, 67.20], abs=0.02)  # Lindbloom's calculator


def test_an_unknown_ground_is_refused():
    with pytest.raises(InputError, match="theme"):
        CellView(theme="dim")


@pytest.mark.parametrize(
    ("kind", "load", "loads", "text"),
    [
        ("diffusion", 1, 2, "gradient along y"),
        ("stiffness", 3, 6, "shear yz"),
        ("stiffness", 1, 3, "stretch along y"),
        ("stiffness", 0, 7, "stretch along x"),
        ("stiffness", 6, 7, "load 7"),
        ("permeability", 0, 1, "force along x"),
        ("general", 4, 5, "load 5"),
    ],
)
def test_loads_in_words(kind, load, loads, text):
    assert words.load_words(kind, load, loads) == text


# Cuts.


def faces_of(raw, corner, values=None):
    surface = skins.surface(raw.points, skins.skin(raw.points, raw.cells), values)
    skin = cuts.Patch(*surface)
    return cuts.opened(skin, cuts.Patch(raw.points, raw.cells, values), np.array(corner))


def area(patch):
    a, b, c = (patch.points[patch.triangles[:, k]] for k in range(3))
    return 0.5 * np.linalg.norm(np.cross(b - a, c - a), axis=1).sum()


# The second corner lies on nodes of the mesh, the planes on faces of its cells.
@pytest.mark.parametrize("corner", [(0.53, 0.47, 0.51), (0.5, 0.5, 0.5), (0.3, 0.7, 0.3), (0.999999, 0.5, 0.5)])
def test_a_cell_cut_open_has_the_exact_faces(corner):
    raw = structured_three_pipe(0.4, resolution=0.25)
    slope = np.array([1.0, 2.0, 3.0])
    outer, *sections = faces_of(raw, corner, raw.points @ slope)
    size = np.array([1.0 - corner[0], corner[1], 1.0 - corner[2]])
    removed = np.array([size[1] * size[2], size[0] * size[2], size[0] * size[1]])
    assert area(outer) == pytest.approx(6.0 - removed.sum())
    toward = np.array([1.0, -1.0, 1.0])
    for axis, (patch, exact) in enumerate(zip(sections, removed, strict=True)):
        assert area(patch) == pytest.approx(exact)
        assert (patch.points[:, axis] == corner[axis]).all()  # no vertex off its plane
        assert (toward * (patch.points - corner) >= -1e-12).all()
        a, b, c = (patch.points[patch.triangles[:, k]] for k in range(3))
        assert (np.cross(b - a, c - a)[:, axis] * toward[axis] > 0).all()
    for patch in (outer, *sections):
        assert patch.values == pytest.approx(patch.points @ slope, abs=1e-12)
    inside = (toward * (outer.points[outer.triangles].mean(axis=1) - corner) > 1e-9).all(axis=1)
    assert not inside.any()


def test_lines_are_cut_open_alike():
    segments = np.array(
        [[[0.0, 0.0, 1.0], [1.0, 0.0, 1.0]], [[0.0, 1.0, 0.0], [1.0, 1.0, 0.0]], [[0.6, 0.1, 0.9], [0.9, 0.2, 0.8]]]
    )
    left = cuts.opened_lines(segments, np.array([0.4, 0.5, 0.5]))
    lengths = np.linalg.norm(left[:, 1] - left[:, 0], axis=1)
    assert lengths.sum() == pytest.approx(0.4 + 1.0)
    assert not ((left.mean(axis=1) > [0.4, -1, 0.5]) & (left.mean(axis=1) < [2, 0.5, 2])).all(axis=1).any()


def test_a_plane_through_nodes_leaves_no_hairs():
    raw = structured_three_pipe(0.4, resolution=0.25)
    for height in np.unique(raw.points[:, 2])[1:]:
        origin = np.array([0.0, 0.0, height])
        triangles, edges, weights = cuts.section(raw.points, raw.cells, origin, np.array([0.0, 0.0, 1.0]))
        points = cuts.blend(raw.points, edges, weights)
        patch = cuts.Patch(points, triangles, None)
        assert area(patch) == pytest.approx(1.0)
        assert len(np.unique(points.round(12), axis=0)) == len(points)
        assert len(cuts.outline(triangles)) == np.count_nonzero(_on_rim(points[cuts.outline(triangles)]))


def test_nodes_in_a_plane_but_for_round_off_are_not_cut_off():
    raw = structured_three_pipe(0.4, resolution=0.25)
    origin, normal = np.array([0.0, 0.0, 0.5]), np.array([0.0, 0.0, 1.0])
    exact = cuts.section(raw.points, raw.cells, origin, normal)
    shaken = raw.points + 1e-14 * np.random.default_rng(2).standard_normal(raw.points.shape)
    triangles, edges, weights = cuts.section(shaken, raw.cells, origin, normal)
    points = cuts.blend(shaken, edges, weights)
    assert (len(triangles), len(points)) == (len(exact[0]), len(exact[1]))
    assert len(np.unique(points.round(9), axis=0)) == len(points)


def _on_rim(lines):
    return ((np.abs(lines[..., :2]) < 1e-12) | (np.abs(lines[..., :2] - 1.0) < 1e-12)).all(axis=1).any(axis=1)


@pytest.mark.parametrize("most", [7, 2**40])
def test_equal_rows_are_found_for_small_and_large_numbers(most):
    rows = np.random.default_rng(1).integers(0, 7, (200, 3)) * (most // 7)
    found = cuts.distinct_rows(rows)
    exact, counts = np.unique(rows, axis=0, return_counts=True)
    assert (rows[found.first] == exact).all()
    assert (found.counts == counts).all()
    assert (exact[found.inverse] == rows).all()


# Subdivision.


@pytest.mark.parametrize("depth", [0, 1, 2])
def test_second_order_fields_are_exact_at_the_new_nodes(depth):
    raw = structured_three_pipe(0.4, resolution=0.33)
    corners = raw.cells[:, :4]
    places = subdivision.straight(raw.points[corners])

    def quadratic(x):
        return 1.0 + x[..., 0] * x[..., 1] - 2.0 * x[..., 2] ** 2 + x[..., 0]

    pieces, (points, values) = subdivision.subdivided(corners, [places, quadratic(places)], depth)
    assert len(pieces) == len(corners) * 8**depth
    assert np.abs(values - quadratic(points)).max() < 1e-12
    nodes = np.zeros((pieces.max() + 1, 3))
    nodes[pieces] = points
    assert np.abs(nodes[pieces] - points).max() < 1e-14  # neighbours share their nodes
    assert skins.volumes(nodes, pieces).sum() == pytest.approx(1.0)
    assert len(skins.skin(nodes, pieces)) == 4**depth * len(skins.skin(raw.points, corners))


def test_curved_triangles_are_drawn_curved():
    """A quarter of a disc as one triangle of second order, whose round side is a parabola: area 1/2 + 2/3 h b."""
    corners = np.array([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0]])
    middle = np.array([[np.sqrt(0.5), np.sqrt(0.5)], [0.0, 0.5], [0.5, 0.0]])
    places = np.vstack([corners, middle])[None]
    rise, base = np.linalg.norm(middle[0] - [0.5, 0.5]), np.sqrt(2.0)
    errors = []
    for depth in (2, 3, 4):
        _, (points,) = subdivision.subdivided(np.array([[0, 1, 2]]), [places], depth)
        a, b = points[:, 1] - points[:, 0], points[:, 2] - points[:, 0]
        found = 0.5 * np.abs(a[:, 0] * b[:, 1] - a[:, 1] * b[:, 0]).sum()
        errors.append(0.5 + 2.0 / 3.0 * rise * base - found)
    assert 0.0 < errors[-1] < 2e-3
    assert errors[0] / errors[1] == pytest.approx(4.0, rel=0.05)


def test_large_meshes_are_not_cut_smaller():
    assert subdivision.depth_for(10, 3) == subdivision.DEEPEST[3]
    assert subdivision.depth_for(100_000, 4) == 0
    assert subdivision.depth_for(1_000_000, 3) == 0


# Surfaces and lines.


def test_creases_of_a_cube_are_its_edges():
    raw = structured_three_pipe(0.4, resolution=0.25)
    skin = skins.skin(raw.points, raw.cells)
    lines = raw.points[skins.creases(raw.points, skin)]
    assert np.linalg.norm(lines[:, 1] - lines[:, 0], axis=1).sum() == pytest.approx(12.0)
    every = skins.creases(raw.points, skin, None)
    assert len(every) == 1.5 * len(skin)


def test_edges_are_joined_to_paths():
    # A closed square, an open path, and a cross.
    edges = np.array([[0, 1], [2, 1], [2, 3], [3, 0], [7, 8], [8, 9], [20, 21], [22, 21], [21, 23], [21, 24]])
    paths = skins.chains(edges)
    found = sorted(tuple(sorted((int(a), int(b)))) for path in paths for a, b in itertools.pairwise(path))
    assert found == sorted(tuple(sorted(edge)) for edge in edges.tolist())
    assert sorted(len(path) for path in paths) == [2, 2, 2, 2, 3, 5]


def test_values_that_jump_within_a_phase_stay_as_they_are():
    nodes = np.array([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0], [1.0, 1.0]])
    corners, tags = np.array([[0, 1, 2], [1, 3, 2]]), np.array([1, 1])
    smooth = skins.apart(nodes, corners, tags, nodes[corners][..., 0])
    assert len(smooth.points) == 4
    jumping = skins.apart(nodes, corners, tags, np.array([[1.0, 1.0, 1.0], [2.0, 2.0, 2.0]]))
    assert len(jumping.points) == 6
    assert jumping.values[jumping.faces].tolist() == [[1.0, 1.0, 1.0], [2.0, 2.0, 2.0]]


def test_the_scene_of_phases_that_are_not_there_is_that_of_the_others():
    raw = structured_three_pipe(0.4, resolution=0.25)
    drawn = skins.Drawn(raw.points, raw.cells, raw.phase_of_cell)
    found = scene.build(drawn, {"none": 9, **raw.phases}, CellView())
    assert [layer.name for layer in found.layers] == list(raw.phases)
    assert found.scale is None


# Stream functions.


def square_mesh(n=6):
    grid = np.array(list(itertools.product(np.linspace(0, 1, n + 1), repeat=2)))
    i, j = np.divmod(np.arange(n * n), n)
    low = i * (n + 1) + j
    cells = np.concatenate([np.stack([low, low + n + 1, low + n + 2], 1), np.stack([low, low + n + 2, low + 1], 1)])
    return grid, cells


def test_the_stream_function_of_a_uniform_field_is_linear():
    nodes, cells = square_mesh()
    found = stream_function(nodes, cells, np.tile([2.0, 3.0], (len(cells), 1)))
    exact = 2.0 * nodes[:, 1] - 3.0 * nodes[:, 0]
    assert found - found[0] == pytest.approx(exact - exact[0], abs=1e-12)
    # Orientation of the triangles does not matter, nor do nodes of no triangle.
    turned = stream_function(
        np.vstack([nodes, [[5.0, 5.0]]]), cells[:, ::-1], np.tile([[[2.0, 3.0]]], (len(cells), 3, 1))
    )
    assert turned[:-1] - turned[0] == pytest.approx(exact - exact[0], abs=1e-12)
    assert np.isnan(turned[-1])


def test_the_stream_function_is_one_number_on_a_wall_that_nothing_passes():
    """Around a square hole, with noise: no line ends at the wall. Where much passes nothing is tied."""
    nodes, cells = square_mesh(12)
    cells = cells[(np.abs(nodes[cells].mean(axis=1) - 0.5) > 1.0 / 6.0).any(axis=1)]
    on_wall = (np.abs(nodes - 0.5) < 1.0 / 6.0 + 1e-9).all(axis=1)
    on_wall[np.setdiff1d(np.arange(len(nodes)), cells)] = False
    exact = np.where(on_wall, 0.5, nodes[:, 1])
    slopes = np.linalg.solve(np.diff(nodes[cells], axis=1), np.diff(exact[cells], axis=1)[..., None])[..., 0]
    noise = 0.2 * np.random.default_rng(1).standard_normal(slopes.shape)
    found = stream_function(nodes, cells, np.stack([slopes[:, 1], -slopes[:, 0]], axis=1) + noise)
    assert np.ptp(found[on_wall]) == 0.0
    assert np.ptp(found[nodes[:, 0] == 0.0]) == pytest.approx(1.0, abs=0.1)
    through = stream_function(nodes, cells, np.tile([1.0, 0.0], (len(cells), 1)))
    assert np.ptp(through[on_wall]) == pytest.approx(1.0 / 3.0)


def test_the_stream_function_of_parts_that_do_not_touch():
    nodes, cells = square_mesh(3)
    both, far = np.vstack([nodes, nodes + np.array([3.0, 0.0])]), np.vstack([cells, cells + len(nodes)])
    found = stream_function(both, far, np.tile([1.0, 0.0], (len(far), 1)))
    for part in (slice(0, len(nodes)), slice(len(nodes), None)):
        assert found[part] - found[part][0] == pytest.approx(both[part, 1], abs=1e-12)


def test_flux_lines_of_layers_are_exact():
    """Layers with normal y: along x the flux is D in each layer, along y the harmonic mean everywhere."""
    medium = BlockMedium(
        diffusivity=np.array([[1.0, 1.0], [0.1, 0.1]]), heights=np.array([0.3, 0.7]), widths=np.array([0.5, 0.5])
    )
    streams, (x, y) = block_lines.stream_functions(medium, block_lines.picture_fields(medium), points=40)
    assert np.isclose(y, 0.3).any()
    along = np.where(y <= 0.3, y, 0.3 + 0.1 * (y - 0.3))
    assert streams[0] - streams[0][0, 0] == pytest.approx(np.tile(along[:, None], (1, len(x))), abs=1e-9)
    mean = 1.0 / (0.3 / 1.0 + 0.7 / 0.1)
    assert streams[1] - streams[1][0, 0] == pytest.approx(np.tile(-mean * x, (len(y), 1)), abs=1e-9)


def test_flux_lines_refract_on_the_sides_of_blocks():
    """The flux along a side jumps as the diffusivity does; the lines are mirrored as the medium."""
    values = np.ones((4, 4))
    values[1:3, 1:3] = 0.1
    medium = BlockMedium(diffusivity=values)
    streams, (x, y) = block_lines.stream_functions(medium, block_lines.picture_fields(medium), points=160)
    psi = streams[0] - streams[0].mean()
    assert np.abs(psi + psi[::-1]).max() < 1e-5
    assert np.abs(psi - psi[:, ::-1]).max() < 1e-5
    side = int(np.argmin(np.abs(x - 0.25)))
    rows = np.flatnonzero((y > 0.3) & (y < 0.45))
    slope_y = np.gradient(psi[:, side], y)[rows]  # the flux along x, one on both sides
    left, right = ((psi[rows, side + k] - psi[rows, side]) / (x[side + k] - x[side]) for k in (-1, 1))
    assert right / left == pytest.approx(np.full(len(rows), 0.1), abs=0.03)
    assert (slope_y > 0.0).all()


# Times of arrival, panels.


def test_times_of_arrival_of_a_plane_wave():
    x, times = np.linspace(0.0, 3.0, 31), np.linspace(0.0, 2.0, 9)
    values = times[:, None] - x[None, :]
    found = arrival_times(times, values, 0.5)
    exact = np.where(x + 0.5 <= 2.0 + 1e-12, x + 0.5, np.nan)
    assert found == pytest.approx(exact, nan_ok=True)
    assert arrival_times(times, values + 10.0, 0.5) == pytest.approx(np.zeros(31))
    assert np.isnan(arrival_times(times, values, 9.0)).all()
    # The first time counts: what falls and rises again was there before.
    assert arrival_times(np.arange(4.0), np.array([[0.0], [2.0], [0.0], [3.0]]), 1.0) == pytest.approx([0.5])


@pytest.mark.parametrize(
    ("number", "most", "columns"), [(1, 3, 1), (4, 3, 2), (6, 3, 3), (7, 3, 3), (3, 1, 1), (8, 5, 4)]
)
def test_panels_leave_no_gap_where_they_can(number, most, columns):
    assert panels.columns_for(number, most) == columns


def test_charts_have_the_style_of_all_pictures(tmp_path):
    """Colours, ground, units; both formats without a suffix; nothing where the block fails; settings hold again."""
    before = dict(matplotlib.rcParams)
    with charts(tmp_path / "new" / "a", 1, 2, theme="dark", title="t") as axes:
        (line,) = axes[1].plot([0.0, 1.0])
        axes[1].set(xlabel="x (um)", ylabel="K (um^2)")
    assert sorted(path.name for path in (tmp_path / "new").iterdir()) == ["a.pdf", "a.png"]
    assert (axes[1].get_xlabel(), axes[1].get_ylabel()) == ("x (µm)", "K (µm²)")
    assert (line.get_color(), axes[0].spines["top"].get_visible()) == (colours.LINES[0], False)
    assert axes[0].figure.get_facecolor()[:3] == pytest.approx(matplotlib.colors.to_rgb(colours.THEMES["dark"].ground))
    assert dict(matplotlib.rcParams) == before
    with charts(tmp_path / "b.svg") as one:
        one.plot([0.0, 1.0])
    assert [path.name for path in tmp_path.iterdir() if path.is_file()] == ["b.svg"]
    with pytest.raises(ZeroDivisionError), charts(tmp_path / "c") as one:
        one.plot([0.0, 1.0 / 0.0])
    assert not list(tmp_path.glob("c.*"))
    for bad, error in (
        ({"rows": 0}, InputError),
        ({"size": (0.0, 1.0)}, InputError),
        ({"theme": "grey"}, InputError),
    ):
        with pytest.raises(error), charts(tmp_path / "d", **bad):
            pass
    with pytest.raises(FileError), charts(tmp_path / "d.jpg"):
        pass
