"""Arrays of fibres and spheres, tubes, minimal surfaces, own level sets: exact fractions, areas, what is refused."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mpi4py import MPI

from homfem.cells.fibres import fibre_array, tube
from homfem.cells.spheres import sphere_array
from homfem.cells.surfaces import level_set_cell, tpms
from homfem.cells.unitcell import UnitCell
from homfem.meshing.cut import curved
from homfem.meshing.cut.background import angles
from homfem.meshing.cut.sections import difference_vectors, section_of
from homfem.meshing.shapes.spheres import largest_radius, volume_fraction
from homfem.meshing.shapes.surfaces import level_fraction
from homfem.parameters import InputError, Lattice

COMM = MPI.COMM_WORLD


def worst(cell: UnitCell) -> float:
    return float(angles(cell.raw.points, cell.raw.corners)[0].min())


@pytest.mark.parametrize("make", [fibre_array, sphere_array])
def test_the_volumes_that_curved_surfaces_are_fitted_to_are_those_of_the_checked_cell(monkeypatch, make):
    quick = make(fraction=0.3, resolution=0.25, order=2, comm=COMM)
    sound = curved._sound_volumes
    asked = []

    def never(*arguments):
        asked.append(sound(*arguments) is not None)

    monkeypatch.setattr(curved, "_sound_volumes", never)
    slow = make(fraction=0.3, resolution=0.25, order=2, comm=COMM)
    assert all(asked)
    if COMM.rank == 0:
        assert asked
        assert np.array_equal(quick.raw.points, slow.raw.points)


@pytest.mark.parametrize("lattice", ["square", "hexagonal"])
@pytest.mark.parametrize("order", [1, 2, 3, 4])
def test_round_fibres(lattice, order):
    cell = fibre_array(lattice, fraction=0.5, order=order, comm=COMM)
    assert cell.volume_fractions["fibre"] == pytest.approx(0.5, abs=1e-12)
    section, count = (1.0, 1) if lattice == "square" else (math.sqrt(3.0), 2)
    radius = math.sqrt(0.5 * section / count / math.pi)
    assert cell.interface_area == pytest.approx(
        count * 2.0 * math.pi * radius / section, rel={1: 3e-3, 2: 3e-5, 3: 3e-5, 4: 3e-8}[order]
    )
    assert cell.connectivity["fibre"].rank == 0
    assert cell.connectivity["matrix"].rank == 2
    assert worst(cell) > 12.0


def test_periods_and_units():
    cell = fibre_array("square", radius=0.3, period=[2.0, 3.0], length_unit="um", comm=COMM)
    assert cell.volume_fractions["fibre"] == pytest.approx(math.pi * 0.6**2 / 6.0, abs=1e-12)
    assert cell.periods == pytest.approx((2.0, 3.0))
    assert cell.length_unit == "um"
    cell = fibre_array("hexagonal", radius=0.3, period=2.0, comm=COMM)
    assert cell.periods == pytest.approx((2.0, 2.0 * math.sqrt(3.0)))


def test_coating():
    cell = fibre_array(fraction=0.3, coating=0.06, comm=COMM)
    radius = math.sqrt(0.3 / math.pi)
    assert cell.volume_fractions["fibre"] == pytest.approx(0.3, abs=1e-12)
    assert cell.volume_fractions["coating"] == pytest.approx(math.pi * (radius + 0.06) ** 2 - 0.3, abs=1e-12)
    assert {"fibre|coating", "coating|matrix"} <= set(cell.facets)


@pytest.mark.parametrize("sides", [3, 4, 6])
@pytest.mark.parametrize("coating", [None, 0.05])
def test_polygons_are_exact(sides, coating):
    cell = fibre_array(section="polygon", sides=sides, angle=17.0, radius=0.25, coating=coating, comm=COMM)
    area = 0.5 * sides * 0.25**2 * math.sin(2.0 * math.pi / sides)
    perimeter = 2.0 * sides * 0.25 * math.sin(math.pi / sides)
    assert cell.volume_fractions["fibre"] == pytest.approx(area, abs=1e-12)
    if coating is None:
        assert cell.interface_area == pytest.approx(perimeter, rel=1e-12)
    else:
        # Sides moved by t: area P t + n t^2 tan(pi/n), perimeter 2 n t tan(pi/n) more.
        wider = sides * math.tan(math.pi / sides) * coating
        assert cell.volume_fractions["coating"] == pytest.approx((perimeter + wider) * coating, abs=1e-12)
        assert cell.interface_area == pytest.approx(2.0 * perimeter + 2.0 * wider, rel=1e-12)
    assert cell.raw.slivers.max() < 1e-12


def test_ellipses():
    cell = fibre_array("hexagonal", section="elliptical", aspect=2.0, angle=30.0, radius=0.4, comm=COMM)
    assert cell.volume_fractions["fibre"] == pytest.approx(2.0 * math.pi * 0.4 * 0.2 / math.sqrt(3.0), abs=1e-12)


@pytest.mark.parametrize("order", [1, 2])
def test_fibres_in_space(order):
    cell = fibre_array(
        fraction=0.3, dimension=3, axis="x", period=[2.0, 1.0, 1.2], order=order, resolution=0.2, comm=COMM
    )
    assert cell.volume_fractions["fibre"] == pytest.approx(0.3, abs=1e-12)
    assert cell.connectivity["fibre"].directions.tolist() == [[1, 0, 0]]
    radius = math.sqrt(0.3 * 1.2 / math.pi)
    assert cell.interface_area == pytest.approx(2.0 * math.pi * radius / 1.2, rel=0.02 if order == 1 else 2e-3)
    if order == 1:
        flat = fibre_array(fraction=0.3, period=[1.0, 1.2], resolution=0.2, comm=COMM)
        assert cell.raw.slivers.sum() == pytest.approx(2.0 * flat.raw.slivers.sum(), rel=1e-9)


def test_tube():
    cell = tube(0.25, axis="y", resolution=0.2, comm=COMM)
    assert cell.volume_fractions["pore"] == pytest.approx(math.pi / 16.0, abs=1e-12)
    assert cell.connectivity["pore"].directions.tolist() == [[0, 1, 0]]
    assert set(cell.phases) == {"pore", "solid"}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"fraction": 0.79}, r"fraction = 0.79.*< 0.785398"),
        ({"lattice": "hexagonal", "fraction": 0.91}, r"< 0.9069"),
        ({"radius": 0.5}, r"radius = 0.5.*< 0.5"),
        ({"radius": 0.45, "coating": 0.06}, r"< 0.44"),
        ({"radius": 0.1, "coating": 0.4999}, r"radius = 0.1"),
        ({"radius": 0.499999}, "no gap or layer is thinner"),
        ({"section": "polygon", "sides": 3, "fraction": 0.6}, r"< 0.433013"),
        ({"section": "polygon", "sides": 2, "fraction": 0.1}, "sides"),
        ({"section": "elliptical", "aspect": 0.5, "fraction": 0.1}, "aspect"),
        ({"section": "star", "fraction": 0.1}, "section"),
        ({}, "fraction, radius"),
        ({"fraction": 0.1, "radius": 0.1}, "fraction, radius"),
        ({"lattice": "cubic", "radius": 0.1}, "lattice"),
        ({"radius": 0.1, "dimension": 4}, "dimension"),
        ({"radius": 0.1, "dimension": 3, "axis": "w"}, "axis"),
        ({"radius": 0.1, "period": [1.0, 2.0, 3.0]}, "period"),
        ({"radius": 0.1, "period": -1.0}, "period"),
        ({"radius": 0.1, "lattice": "hexagonal", "period": [1.0, 2.0]}, "period"),
        ({"radius": 0.1, "dimension": 3, "layers": 2}, "layers"),
        ({"radius": 0.1, "order": 5}, "order"),
        ({"radius": 0.1, "order": 3, "dimension": 3}, "order"),
        ({"radius": -0.1}, "radius"),
        ({"fraction": 0.3, "angle": math.nan}, "angle"),
    ],
)
def test_fibres_refused(options, message):
    with pytest.raises(InputError, match=message):
        fibre_array(**options, comm=COMM)


@settings(max_examples=40, deadline=None)
@given(
    st.sampled_from(["round", "elliptical", "polygon"]),
    st.integers(3, 12),
    st.floats(1.0, 5.0),
    st.floats(-3.0, 3.0),
    st.floats(0.0, 0.1),
    st.booleans(),
)
def test_largest_sections_touch(kind, sides, aspect, angle, thickness, hexagonal):
    """Just below the largest radius no point of one section lies in its neighbours; just above one does."""
    section = section_of(kind, aspect, sides, angle)
    lattice = Lattice.box(1.0, math.sqrt(3.0)) if hexagonal else Lattice.box(1.0, 1.0)
    centres = np.array([[0.5, 0.5], [0.0, 0.0]] if hexagonal else [[0.5, 0.5]]) @ lattice.vectors
    apart = difference_vectors(lattice, centres)
    largest = section.largest(apart, thickness)
    turn = 2.0 * np.pi * np.arange(4000) / 4000
    around = np.stack([np.cos(turn), np.sin(turn)], axis=1)
    single = Lattice.box(1e3, 1e3)
    # Points of a boundary, by bisection along rays; the section alone in a wide cell.
    for radius, touches in ((0.99 * largest, False), (1.01 * largest, True)):
        phi = section.level_set(single, np.array([[500.0, 500.0]]), radius, thickness)
        low, high = np.zeros(len(turn)), np.full(len(turn), 5.0)
        for _ in range(50):
            middle = 0.5 * (low + high)
            inside = np.asarray(phi(500.0 + middle[:, None] * around)) < 0.0
            low, high = np.where(inside, middle, low), np.where(inside, high, middle)
        boundary = np.vstack([low[:, None] * around, *([section.corners(np.zeros((1, 2)), radius, thickness)])])
        others = (boundary[:, None] - apart[np.linalg.norm(apart, axis=1) < 2.5]).reshape(-1, 2)
        assert (np.asarray(phi(500.0 + others)).min() < 0.0) == touches


@pytest.mark.parametrize(("lattice", "count"), [("simple-cubic", 1), ("body-centred", 2), ("face-centred", 4)])
def test_spheres(lattice, count):
    cell = sphere_array(lattice, fraction=0.3, resolution=0.15, comm=COMM)
    assert cell.volume_fractions["sphere"] == pytest.approx(0.3, abs=1e-12)
    radius = (0.3 / count * 0.75 / math.pi) ** (1 / 3)
    assert cell.interface_area == pytest.approx(count * 4.0 * math.pi * radius**2, rel=0.02)
    assert len(cell.connectivity["sphere"].parts) == count
    assert cell.connectivity["matrix"].rank == 3
    assert worst(cell) > 5.0


@pytest.mark.parametrize(("lattice", "radius", "size"), [("simple-cubic", 0.6, 0.1), ("body-centred", 0.46, 0.13)])
def test_overlapping_spheres(lattice, radius, size):
    cell = sphere_array(lattice, radius=radius, overlap=True, resolution=size, refinement=0, comm=COMM)
    points = np.random.default_rng(0).random((400_000, 3))
    centres = [[0.5] * 3] if lattice == "simple-cubic" else [[0.5] * 3, [0.0] * 3]
    away = [np.linalg.norm((points - c) - np.rint(points - c), axis=1) for c in centres]
    if lattice == "simple-cubic":  # the spheres around the neighbours reach in as well
        away += [np.linalg.norm((points - c) - np.rint(points - c) + s, axis=1) for c in centres
                 for s in np.vstack([np.eye(3), -np.eye(3)])]  # fmt: skip
    sampled = np.mean(np.min(away, axis=0) < radius)
    assert cell.volume_fractions["sphere"] == pytest.approx(sampled, abs=4e-3)
    assert cell.volume_fractions["sphere"] == pytest.approx(volume_fraction(lattice, radius), abs=1e-12)
    assert cell.connectivity["sphere"].rank == 3
    height, neighbours = (radius - 0.5, 6) if lattice == "simple-cubic" else (radius - math.sqrt(3.0) / 4.0, 8)
    area = len(centres) * 2.0 * math.pi * radius * (2.0 * radius - neighbours * height)
    assert cell.interface_area == pytest.approx(area, rel=0.02)


def test_largest_radii():
    assert largest_radius("simple-cubic", overlap=False) == 0.5
    assert largest_radius("face-centred", overlap=False) == pytest.approx(math.sqrt(0.125))
    assert largest_radius("simple-cubic", overlap=True) == pytest.approx(math.sqrt(0.5))
    assert largest_radius("face-centred", overlap=True) == pytest.approx(math.sqrt(1 / 6))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"fraction": 0.53}, r"fraction = 0.53.*< 0.523599"),
        ({"lattice": "face-centred", "fraction": 0.75}, r"< 0.74048"),
        ({"lattice": "body-centred", "radius": 0.44}, r"< 0.433013"),
        ({"radius": 0.75, "overlap": True}, r"< 0.707107"),
        ({"radius": 0.5, "overlap": True}, "2 %"),
        ({"fraction": 0.99, "overlap": True}, "fraction"),
        ({}, "fraction, radius"),
        ({"lattice": "diamond", "radius": 0.1}, "lattice"),
        ({"radius": 0.3, "period": 0.0}, "period"),
        ({"radius": 0.3, "resolution": 0.5}, "resolution"),
    ],
)
def test_spheres_refused(options, message):
    with pytest.raises(InputError, match=message):
        sphere_array(**options, comm=COMM)


@pytest.mark.parametrize("surface", ["gyroid", "schwarz-p", "schwarz-d"])
def test_minimal_surfaces(surface):
    cell = tpms(surface, resolution=0.15, comm=COMM)
    assert cell.volume_fractions["solid"] == pytest.approx(0.5, abs=1e-12)
    assert cell.connectivity["solid"].rank == cell.connectivity["pore"].rank == 3
    assert len(cell.connectivity["solid"].parts) == len(cell.connectivity["pore"].parts) == 1
    minimal = {"gyroid": 3.0915, "schwarz-p": 2.3451, "schwarz-d": 3.8378}[surface]
    assert cell.interface_area == pytest.approx(minimal, rel=0.04)


@pytest.mark.parametrize("surface", ["gyroid", "schwarz-p", "schwarz-d"])
def test_fraction_below_a_level(surface):
    """Against the share of points, and by the symmetry of both sides."""
    from homfem.meshing.shapes.surfaces import SURFACES

    points = np.random.default_rng(1).random((1_000_000, 3))
    assert level_fraction(surface, 0.4) == pytest.approx(np.mean(SURFACES[surface][0](points) < 0.4), abs=2e-3)
    assert level_fraction(surface, 0.4) + level_fraction(surface, -0.4) == pytest.approx(1.0, abs=1e-9)


def test_minimal_surface_of_given_fraction():
    cell = tpms("gyroid", fraction=0.3, resolution=0.15, comm=COMM)
    assert cell.volume_fractions["solid"] == pytest.approx(0.3, abs=1e-12)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"surface": "enneper"}, "surface"),
        ({"level": 1.5}, "level.*islands"),
        ({"surface": "schwarz-p", "fraction": 0.9}, "fraction.*islands"),
        ({"level": 0.0, "fraction": 0.5}, "level, fraction"),
        ({"period": -1.0}, "period"),
    ],
)
def test_minimal_surfaces_refused(options, message):
    with pytest.raises(InputError, match=message):
        tpms(**options, comm=COMM)


def test_own_level_set():
    def band(x):
        return np.abs(x[:, 1] - 0.5 - 0.1 * np.sin(2.0 * np.pi * x[:, 0]) - np.floor(x[:, 1])) - 0.2

    cell = level_set_cell(band, ["sheet", "rest"], period=3.0, dimension=2, fractions={"sheet": 0.4}, comm=COMM)
    assert cell.volume_fractions["sheet"] == pytest.approx(0.4, abs=1e-12)
    assert cell.connectivity["sheet"].directions.tolist() == [[1, 0]]
    assert cell.periods == pytest.approx((3.0, 3.0))
    cell = level_set_cell(band, ["sheet", "rest"], period=[3.0, 3.0], comm=COMM)
    assert cell.volume_fractions["sheet"] == pytest.approx(0.4, abs=1e-5)
    cell = level_set_cell(band, ["sheet", "rest"], period=Lattice.box(1.0, 1.0), comm=COMM)
    assert cell.volume_fractions["sheet"] == pytest.approx(0.4, abs=1e-5)


@pytest.mark.parametrize(
    "options",
    [{"dimension": 4}, {"period": [1.0]}, {"period": 0.0}, {"period": [1.0, 1.0], "dimension": 3}],
)
def test_own_level_set_refused(options):
    with pytest.raises(InputError):
        level_set_cell(lambda x: x[:, 0] * 0.0 + 1.0, ["a", "b"], **options, comm=COMM)
