"""Parts between mirror planes: which a function has, their images, and the meshes that they make."""

from __future__ import annotations

import math

import numpy as np
import pytest
import scipy.spatial

from homfem.meshing.arrays.raw_cell import cell_volumes
from homfem.meshing.cut.background import angles, background_raw
from homfem.meshing.cut.implicit import implicit_raw
from homfem.meshing.cut.level_sets import balls, ellipses
from homfem.meshing.cut.mirror_parts import Part, completed, find_part
from homfem.meshing.cut.sections import section_of
from homfem.meshing.topology.mirrors import between, equal_axes, find_mirrors
from homfem.parameters import CellError, InputError, Lattice
from homfem.periodic import check_faces, check_resolution, identify_nodes

SQUARE, CUBE, BRICK = Lattice.box(1.0, 1.0), Lattice.box(1.0, 1.0, 1.0), Lattice.box(1.0, 1.0, 1.3)
PAIRS = ((0, 1), (0, 2), (1, 2))
#: Smallest and largest angles (dihedral in space) that the mesher may leave, in degrees: as without mirrors.
WORST = {2: (15.0, 146.0), 3: (6.0, 173.0)}


def screw(x):
    """A wavy sheet with a mirror across y alone."""
    return np.abs(np.sin(np.pi * (x[:, 0] - 0.1 * np.cos(2.0 * np.pi * x[:, 1]) - 0.13))) - 0.5


def parts(lattice):
    d = lattice.dimension
    everything = tuple(range(d))
    pairs = tuple(pair for pair in PAIRS if max(pair) < d)
    return [
        Part(lattice=lattice, mirrored=(1,)),
        Part(lattice=lattice, mirrored=everything),
        Part(lattice=lattice, mirrored=everything, exchanged=pairs[:1]),
        Part(lattice=lattice, mirrored=everything, exchanged=pairs),
    ]


@pytest.mark.parametrize("lattice", [SQUARE, CUBE])
@pytest.mark.parametrize("number", range(4))
def test_images_of_a_part_fill_the_period_once(lattice, number):
    """Random points have one image in the part; the grid of the part has that share of the volume."""
    part = parts(lattice)[number]
    points = np.random.default_rng(3).random((200, lattice.dimension))
    folded = part.folded(points)
    assert len(folded) == len(points)
    assert np.all(folded <= part.sides)
    assert part.contains(folded).all()
    images = np.stack(list(part.images(folded)))
    assert len(images) == part.copies
    steps = images[:, :, None] - points
    near = np.abs(steps - np.rint(steps)).max(axis=3).min(axis=0)
    assert near.min(axis=1).max() < 1e-14
    grid = background_raw(lattice, 0.3, part=part)
    assert cell_volumes(grid).sum() == pytest.approx(1.0 / part.copies, rel=1e-13)


def centres_of(corners, points, lattice):
    centres = points[corners].mean(axis=1) / np.diag(lattice.vectors)
    # A little off the faces of the cell, so that rounding does not take a centre to the other side.
    return np.mod(centres + 1e-9, 1.0)


def check_mesh(raw, part, worst=None) -> None:
    """Conforming, periodic, not flat; its own image cell by cell, with the phases; no facet on a mirror plane."""
    representative, _ = identify_nodes(raw.points, raw.lattice, tolerance=2e-14)
    check_faces(raw.points, raw.corners, representative, raw.lattice, whole=True, tolerance=2e-14)
    check_resolution(raw.points, raw.cells, representative, raw.lattice)
    assert cell_volumes(raw).sum() == pytest.approx(raw.lattice.volume, rel=1e-12)
    smallest, largest = angles(raw.points, raw.corners)
    low, high = worst or WORST[raw.dimension]
    assert smallest.min() > low
    assert largest.max() < high
    tree = scipy.spatial.cKDTree(centres_of(raw.corners, raw.points, raw.lattice), boxsize=1.0)
    for image in part.images(raw.points):
        distance, number = tree.query(centres_of(raw.corners, image, raw.lattice))
        assert distance.max() < 1e-12
        assert np.array_equal(np.sort(number), np.arange(len(raw.cells)))
        assert np.array_equal(raw.phase_of_cell[number], raw.phase_of_cell)
    on_walls = part.planes_of(raw.points)[:, part.walls]
    assert not on_walls[raw.facets[:, : raw.dimension]].all(axis=1).any()


def ball(lattice, **options):
    phi = balls(lattice, [0.5 * np.diag(lattice.vectors)], 0.3)
    return implicit_raw(phi, ["in", "out"], lattice=lattice, resolution=0.15, **options)


def fraction(raw) -> float:
    return float(cell_volumes(raw)[raw.phase_of_cell == raw.phases["in"]].sum() / raw.lattice.volume)


@pytest.mark.parametrize("order", [1, 2])
@pytest.mark.parametrize(
    ("lattice", "exchanged"), [(SQUARE, PAIRS[:1]), (CUBE, PAIRS), (BRICK, PAIRS[:1]), (Lattice.box(1.0, 1.2), ())]
)
def test_a_ball_is_meshed_with_its_symmetry(lattice, exchanged, order):
    """Its volume is exact; without mirrors the mesh has as many cells, more or less, and is not its own image."""
    d = lattice.dimension
    part = find_part([balls(lattice, [0.5 * np.diag(lattice.vectors)], 0.3)], lattice, "auto")
    assert part.mirrored == tuple(range(d))
    assert part.exchanged == exchanged
    inside = (math.pi * 0.09 if d == 2 else 4.0 / 3.0 * math.pi * 0.027) / lattice.volume
    raw = ball(lattice, mirrors="auto", fractions={"in": inside}, order=order)
    check_mesh(raw, part)
    assert raw.order == order
    assert fraction(raw) == pytest.approx(inside, abs=1e-13)
    if order == 1:
        assert raw.slivers.shape == (len(raw.facets), 2)
        sum_of_part = raw.slivers.reshape(part.copies, -1, 2).sum(axis=1)
        np.testing.assert_allclose(sum_of_part, sum_of_part[:1].repeat(part.copies, axis=0))
        mirrors = find_mirrors(raw)[0]
        assert [mirror.axis for mirror in mirrors] == list(range(d))
        firsts = {(): tuple(range(d)), PAIRS[:1]: (0, 0, 2)[:d], PAIRS: (0, 0, 0)}[exchanged]
        assert equal_axes(between(raw, mirrors), mirrors, PAIRS[:1] if d == 2 else PAIRS) == firsts
    else:
        on_surface = np.linalg.norm(raw.points[raw.facets] - 0.5 * np.diag(lattice.vectors), axis=2)
        assert np.ptp(on_surface) < 1e-4
    if d == 2:
        plain = ball(lattice, fractions={"in": inside})
        assert len(raw.cells) < 1.8 * len(plain.cells)


def test_volume_is_of_fourth_order():
    errors = []
    for size in (0.25, 0.125):
        raw = implicit_raw(balls(CUBE, [[0.5] * 3], 0.3), ["in", "out"], lattice=CUBE, resolution=size, mirrors="auto")
        errors.append(abs(fraction(raw) / (4.0 / 3.0 * math.pi * 0.027) - 1.0))
    assert errors[1] < min(2e-4, errors[0] / 10.0)


def test_one_mirror():
    """Periodic along x, mirrors across y alone; the volume is that of a sheet of that width."""
    part = find_part([screw], SQUARE, "auto")
    assert part.mirrored == (1,)
    raw = implicit_raw(screw, ["in", "out"], lattice=SQUARE, resolution=0.1, mirrors=["y"], fractions={"in": 1 / 3})
    check_mesh(raw, part)
    assert fraction(raw) == pytest.approx(1 / 3, abs=1e-13)
    assert [mirror.axis for mirror in find_mirrors(raw)[0]] == [1]


def test_corners_of_a_polygon_between_mirrors():
    section = section_of("polygon", sides=6)
    centres = np.array([[0.5, 0.5]])
    phi, corners = section.level_set(SQUARE, centres, 0.3), section.corners(centres, 0.3)
    raw = implicit_raw(phi, ["in", "out"], lattice=SQUARE, resolution=0.1, corners={0: corners}, mirrors="auto")
    check_mesh(raw, Part(lattice=SQUARE, mirrored=(0, 1)))
    assert fraction(raw) == pytest.approx(1.5 * math.sqrt(3.0) * 0.09, abs=1e-13)
    distance = np.linalg.norm(raw.points[:, None] - corners, axis=2).min(axis=0)
    assert distance.max() < 1e-14


@pytest.mark.parametrize("lattice", [SQUARE, CUBE])
def test_a_gap_across_a_mirror_plane_is_kept(lattice):
    """Nodes in the plane are out of reach of the surface beside it, and stay; without mirrors it is refused."""
    d = lattice.dimension
    phi = balls(lattice, [[0.5] * d], 0.49)
    with pytest.raises(CellError, match="a gap in 'in' thinner"):
        implicit_raw(phi, ["in", "out"], lattice=lattice, resolution=0.1)
    raw = implicit_raw(phi, ["in", "out"], lattice=lattice, resolution=0.1, mirrors="auto")
    check_mesh(raw, find_part([phi], lattice, "auto"), (10.0, 155.0))
    exact = math.pi * 0.49**2 if d == 2 else 4.0 / 3.0 * math.pi * 0.49**3
    assert fraction(raw) == pytest.approx(exact, rel=1e-4)


def test_a_gap_that_is_too_thin_is_refused():
    """At the mirror plane no node leaves it: the cells in the gap are flat."""
    thin = balls(CUBE, [[0.5] * 3], 0.4995)
    with pytest.raises(CellError, match=r"mirrors|one period"):
        implicit_raw(thin, ["in", "out"], lattice=CUBE, resolution=0.1, mirrors=["x", "y", "z"])
    with pytest.raises(CellError, match="a gap in 'in' thinner"):
        implicit_raw(thin, ["in", "out"], lattice=CUBE, resolution=0.1, mirrors="auto")


@pytest.mark.parametrize("radius", [0.44, 0.484])
def test_surfaces_that_cross_in_mirror_planes(radius):
    """Two discs that overlap by little: their crossings are out of reach within the walls, where nodes stay."""
    functions = [balls(SQUARE, [[0.5, 0.5]], radius), balls(SQUARE, [[0.0, 0.0]], 0.45)]
    raw = implicit_raw(functions, ["in", "b", "out"], lattice=SQUARE, resolution=0.12, mirrors=["x", "y"])
    check_mesh(raw, Part(lattice=SQUARE, mirrored=(0, 1), exchanged=PAIRS[:1]), (12.0, 150.0))
    assert fraction(raw) == pytest.approx(math.pi * radius**2, rel=5e-4)


def test_a_part_that_is_not_filled_is_refused():
    raw = background_raw(CUBE, 0.3, part=parts(CUBE)[3])
    with pytest.raises(CellError, match="of the whole part"):
        completed(raw, parts(CUBE)[1])


def off_centre(x):
    """A ball, and a bump that the fixed points do not see."""
    bump = balls(CUBE, [[0.36, 0.39, 0.27]], 0.12)(x)
    return balls(CUBE, [[0.5] * 3], 0.3)(x) + np.minimum(bump, 0.0)


@pytest.mark.parametrize(
    ("function", "mirrors", "message"),
    [
        (screw, ["x"], r"functions\[0\].*across the plane x = 0"),
        (screw, ["y", "x"], "across the plane x = 0"),
        (screw, ["w"], "mirrors.*out of x, y"),
        (screw, [], "mirrors"),
        (screw, "x", "'none', 'auto'"),
        (ellipses(SQUARE, [[0.5, 0.5]], (0.4, 0.2), 0.5), ["x", "y"], "not its mirror image"),
        (balls(Lattice(vectors=[[1.0, 0.0], [0.5, 1.0]]), [[0.0, 0.0]], 0.2), ["x"], "no box"),
        (off_centre, ["x", "y", "z"], "at mirror images of the nodes"),
    ],
)
def test_mirrors_that_are_not_there_are_refused(function, mirrors, message):
    lattice = CUBE if function is off_centre else SQUARE
    if "box" in message:
        lattice = Lattice(vectors=[[1.0, 0.0], [0.5, 1.0]])
    with pytest.raises(InputError, match=message):
        implicit_raw(function, ["in", "out"], lattice=lattice, resolution=0.15, mirrors=mirrors)


def test_auto_meshes_the_whole_where_there_is_no_mirror():
    for function, lattice in ((ellipses(SQUARE, [[0.5, 0.5]], (0.4, 0.2), 0.5), SQUARE), (off_centre, CUBE)):
        options = {"lattice": lattice, "resolution": 0.15}
        plain, auto = (implicit_raw(function, ["in", "out"], mirrors=m, **options) for m in ("none", "auto"))
        np.testing.assert_array_equal(plain.points, auto.points)
        np.testing.assert_array_equal(plain.cells, auto.cells)
