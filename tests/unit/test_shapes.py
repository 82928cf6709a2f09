"""Three crossing pipes: both meshers against the exact volume, area and symmetry."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from homfem.meshing.arrays.facets import cell_facets, row_numbers
from homfem.meshing.arrays.raw_cell import RawCell, cell_volumes
from homfem.meshing.shapes.box_grid import graded_axis
from homfem.meshing.shapes.three_pipe import three_pipe_raw
from homfem.meshing.shapes.three_pipe_gmsh import gmsh_three_pipe
from homfem.meshing.shapes.three_pipe_grid import structured_three_pipe
from homfem.parameters import InputError
from homfem.periodic import check_resolution, identify_nodes

MESHERS = {"structured": structured_three_pipe, "gmsh": gmsh_three_pipe}
EDGES = [0.05, 0.1, 1 / 3, 0.5, 0.8, 0.95]


def area(raw: RawCell, name: str) -> float:
    corners = raw.points[raw.facets[raw.facet_tags == raw.facet_names[name]][:, :3]]
    return float(
        0.5 * np.linalg.norm(np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]), axis=1).sum()
    )


def fraction(raw: RawCell, name: str) -> float:
    return float(cell_volumes(raw)[raw.phase_of_cell == raw.phases[name]].sum())


def worst_angles(raw: RawCell) -> tuple[float, float]:
    corners = raw.points[raw.corners]
    normals = []
    for k, facet in enumerate(([1, 2, 3], [0, 2, 3], [0, 1, 3], [0, 1, 2])):
        a, b, c = (corners[:, i] for i in facet)
        normal = np.cross(b - a, c - a)
        normal *= np.sign(np.einsum("ix,ix->i", normal, corners[:, k] - a))[:, None]
        normals.append(normal / np.linalg.norm(normal, axis=1)[:, None])
    cosines = [-np.einsum("ix,ix->i", normals[i], normals[j]) for i, j in itertools.combinations(range(4), 2)]
    angles = np.degrees(np.arccos(np.clip(cosines, -1, 1)))
    return float(angles.min()), float(angles.max())


def check_conforming_and_periodic(raw: RawCell, bitwise: bool) -> None:
    """Every facet has two cells on the torus if both phases are there, one of them at most on a wall otherwise."""
    representative, offset = identify_nodes(raw.points, raw.lattice, tolerance=1e-15 if bitwise else 1e-12)
    if bitwise:
        np.testing.assert_array_equal(raw.points, raw.points[representative] + offset)
    check_resolution(raw.points, raw.cells, representative, raw.lattice)
    facets = np.sort(representative[cell_facets(raw.corners, raw.kind).reshape(-1, 3)], axis=1)
    _, count = np.unique(row_numbers(facets), return_counts=True)
    walls = np.count_nonzero(count == 1)
    assert set(count.tolist()) <= {1, 2}
    one_phase = len(raw.phases) == 1
    assert walls == (np.count_nonzero(raw.facet_tags == raw.facet_names["er|cytosol"]) if one_phase else 0)


@pytest.mark.parametrize("mesher", MESHERS)
@pytest.mark.parametrize("edge", EDGES)
def test_volume_area_and_periodic_faces(mesher, edge):
    raw = MESHERS[mesher](edge, resolution=0.2, grading=0.6)
    assert fraction(raw, "er") == pytest.approx(3 * edge**2 - 2 * edge**3, abs=1e-14)
    assert cell_volumes(raw).sum() == pytest.approx(1.0, abs=1e-14)
    assert area(raw, "er|cytosol") == pytest.approx(12 * edge * (1 - edge), abs=1e-13)
    for face in ("x-", "x+", "y-", "y+", "z-", "z+"):
        assert area(raw, face) == pytest.approx(1.0, abs=1e-13)
    check_conforming_and_periodic(raw, bitwise=True)


@pytest.mark.parametrize("mesher", MESHERS)
def test_unequal_edges(mesher):
    a, b, c = 0.2, 0.4, 0.7
    raw = MESHERS[mesher]((a, b, c), resolution=0.2, grading=0.6)
    # Inclusion and exclusion: the pipes x and y meet in a box min(b, .) by min(a, .) and so on.
    pairs = min(a, b) * a * b + min(b, c) * b * c + min(a, c) * a * c
    triple = min(b, c) * min(a, c) * min(a, b)
    assert fraction(raw, "er") == pytest.approx(a * a + b * b + c * c - pairs + triple, abs=1e-14)
    # The pipe along x has the edge a: its mouth on the face x = 0.
    mouth = raw.points[raw.facets[raw.facet_tags == raw.facet_names["x-"]][:, :3]]
    inside = np.all(np.abs(mouth - 0.5)[:, :, 1:] <= a / 2 + 1e-12, axis=(1, 2))
    corners = mouth[inside]
    size = 0.5 * np.linalg.norm(np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]), axis=1).sum()
    assert size == pytest.approx(a * a, abs=1e-13)
    check_conforming_and_periodic(raw, bitwise=True)


@pytest.mark.parametrize("mesher", MESHERS)
@pytest.mark.parametrize("phase", ["er", "cytosol"])
def test_one_phase_alone(mesher, phase):
    raw = MESHERS[mesher](0.3, resolution=0.2, grading=0.6, phases=phase)
    expected = 0.216 if phase == "er" else 0.784
    assert list(raw.phases) == [phase]
    assert fraction(raw, phase) == pytest.approx(expected, abs=1e-14)
    assert area(raw, "er|cytosol") == pytest.approx(12 * 0.3 * 0.7, abs=1e-13)
    assert area(raw, "y+") == pytest.approx(0.09 if phase == "er" else 0.91, abs=1e-13)
    check_conforming_and_periodic(raw, bitwise=True)


def centroids(raw: RawCell) -> set[tuple]:
    middle = np.round(raw.points[raw.cells].mean(axis=1) * 2**30).astype(np.int64)
    return set(map(tuple, np.column_stack([middle, raw.phase_of_cell]).tolist()))


def test_structured_mesh_has_the_symmetry_of_the_cube():
    raw = structured_three_pipe(0.4, resolution=0.2)
    own = centroids(raw)
    for order, mirrored in ((([1, 0, 2]), None), ([1, 2, 0], None), ([0, 1, 2], 0), ([0, 1, 2], 2)):
        points = raw.points[:, order].copy()
        if mirrored is not None:
            points[:, mirrored] = 1.0 - points[:, mirrored]
        moved = np.round(points[raw.cells].mean(axis=1) * 2**30).astype(np.int64)
        image = set(map(tuple, np.column_stack([moved, raw.phase_of_cell]).tolist()))
        # Rounding may fall either way for a few.
        assert len(own & image) > 0.98 * len(own)


def test_complement_is_the_network_of_the_other_edge_shifted_by_half_a_period():
    one, two = structured_three_pipe(0.3, resolution=0.2), structured_three_pipe(0.7, resolution=0.2)
    shifted = (one.points[one.cells].mean(axis=1) + 0.5) % 1.0
    swapped = 3 - one.phase_of_cell
    a = np.column_stack([shifted, swapped, cell_volumes(one)])
    b = np.column_stack([two.points[two.cells].mean(axis=1), two.phase_of_cell, cell_volumes(two)])
    assert len(a) == len(b)
    a, b = (m[np.lexsort(np.round(m, 9).T)] for m in (a, b))
    np.testing.assert_allclose(a, b, atol=1e-12)


@pytest.mark.parametrize(("edges", "resolution"), [((0.1, 0.1), 0.1), ((0.3, 0.6), 0.05), ((0.95, 0.95), 1 / 3)])
def test_graded_axis(edges, resolution):
    nodes = graded_axis(edges, resolution, 0.25, 0.5)
    spacing = np.diff(nodes)
    assert nodes[0] == 0.0
    assert nodes[-1] == 1.0
    assert spacing.min() > 0.0
    assert spacing.max() <= resolution * (1 + 1e-12)
    np.testing.assert_allclose(nodes, 1.0 - nodes[::-1], atol=1e-16)
    for edge in edges:
        at = int(np.argmin(np.abs(nodes - 0.5 * (1 - edge))))
        assert nodes[at] == 0.5 * (1 - edge)
        # The formula at the plane, one step of growth, and what rounding to whole numbers of cells may add.
        assert max(spacing[at - 1], spacing[at]) < 2 * 0.25 * min(resolution, edge / 2, (1 - edge) / 2)
    assert np.max(spacing[1:] / spacing[:-1]) < 2.0
    assert len(graded_axis(edges, resolution, 0.05, 0.5)) > len(nodes)


def test_finer_parameters_give_smaller_cells():
    sizes = [
        len(structured_three_pipe(0.3, resolution=r, grading=g).cells) for r, g in ((0.2, 1), (0.1, 1), (0.1, 0.1))
    ]
    assert sizes == sorted(sizes)
    assert sizes[2] > 2 * sizes[1] > 4 * sizes[0]


def test_gmsh_grades_to_the_edges_that_are_re_entrant_for_the_phases_of_the_mesh():
    """The pipes' own re-entrant edges are those of the central cube; the cytosol's lie along the pipes."""
    shortest = {}
    for phase in ("er", "cytosol"):
        raw = gmsh_three_pipe(0.4, resolution=0.2, grading=0.1, phases=phase)
        tetrahedra = raw.points[raw.corners]
        size = np.cbrt(6 * cell_volumes(raw))
        middle = tetrahedra.mean(axis=1)
        central = np.linalg.norm(np.abs(middle[:, 1:] - 0.5) - 0.2, axis=1)
        at_cube = (central < 0.03) & (np.abs(middle[:, 0] - 0.5) < 0.15)
        along = (central < 0.03) & (np.abs(middle[:, 0] - 0.5) > 0.35)
        shortest[phase] = (np.median(size[at_cube]), np.median(size[along]))
    assert shortest["er"][0] < 0.5 * shortest["er"][1]
    assert shortest["cytosol"][1] < 0.04


def test_meshes_are_repeatable():
    one, two = (gmsh_three_pipe(0.3, resolution=0.2) for _ in range(2))
    np.testing.assert_array_equal(one.points, two.points)
    np.testing.assert_array_equal(one.cells, two.cells)


def test_quality():
    low, high = worst_angles(gmsh_three_pipe(0.1, resolution=0.2))
    assert low > 5
    assert high < 165
    low, high = worst_angles(structured_three_pipe(0.5, resolution=0.1, grading=1.0))
    assert low == pytest.approx(45.0)
    assert high == pytest.approx(90.0)


def test_round_pipes_of_second_order():
    radius = 0.15
    exact = 3 * np.pi * radius**2 - 8 * np.sqrt(2) * radius**3
    errors = []
    for order in (1, 2):
        raw = three_pipe_raw(2 * radius, resolution=0.15, section="round", order=order)
        errors.append(abs(fraction(raw, "er") / exact - 1))
        assert cell_volumes(raw).sum() == pytest.approx(1.0, abs=1e-10)
    check_conforming_and_periodic(raw, bitwise=False)
    assert errors[0] < 0.05
    assert errors[1] < 1e-3


def test_default_mesher_follows_the_section_and_the_order():
    structured = structured_three_pipe(0.5, resolution=0.25)
    np.testing.assert_array_equal(three_pipe_raw(0.5, resolution=0.25).cells, structured.cells)
    assert three_pipe_raw(0.5, resolution=0.3, order=2).order == 2
    with pytest.raises(InputError, match="mesher"):
        three_pipe_raw(0.5, order=2, mesher="structured")


@pytest.mark.parametrize(
    ("inputs", "name"),
    [
        ({"edges": 0.0}, "edges"),
        ({"edges": 1.0}, "edges"),
        ({"edges": -0.1}, "edges"),
        ({"edges": (0.1, 0.2)}, "edges"),
        ({"edges": (0.1, 0.2, float("nan"))}, "edges"),
        ({"edges": "0.1"}, "edges"),
        ({"resolution": 0.5}, "resolution"),
        ({"resolution": 0.0}, "resolution"),
        ({"grading": 0.0}, "grading"),
        ({"grading": 1.5}, "grading"),
        ({"phases": ["er", "cytosole"]}, "phases"),
        ({"phases": []}, "phases"),
        ({"section": "hexagonal"}, "section"),
        ({"mesher": "netgen"}, "mesher"),
        ({"order": 3}, "order"),
    ],
)
def test_bad_input_is_refused_by_name(inputs, name):
    with pytest.raises(InputError) as caught:
        three_pipe_raw(**inputs)
    assert caught.value.name == name
