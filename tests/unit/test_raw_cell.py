"""Cells as arrays; Gmsh files in and out."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import gmsh
import numpy as np
import pytest

from homfem.meshing.arrays.facets import facets_of, row_numbers
from homfem.meshing.arrays.raw_cell import RawCell, cell_volumes, restrict, scaled
from homfem.meshing.by_gmsh.model import from_gmsh_raw, write_msh
from homfem.meshing.by_gmsh.session import gmsh_session
from homfem.meshing.shapes.three_pipe_gmsh import gmsh_three_pipe
from homfem.meshing.shapes.three_pipe_grid import structured_three_pipe
from homfem.parameters import CellError, FileError, InputError, Lattice, PeriodicityError
from homfem.periodic import check_resolution, identify_nodes

MESHES = Path(__file__).parents[2] / "meshes"
SPHERE = """SetFactory("OpenCASCADE");
DefineConstant[ radius = {0.3, Name "Cell/radius"}, size = 0.2 ];
Box(1) = {0, 0, 0, 1, 1, 1};
Sphere(2) = {0.5, 0.5, 0.5, radius};
BooleanFragments{ Volume{1}; Delete; }{ Volume{2}; Delete; }
Physical Volume("sphere") = {2};
Physical Volume("matrix") = {3};
Mesh.MeshSizeMax = size;
"""


@pytest.fixture(autouse=True)
def gmsh_is_left_alone():
    yield
    assert not gmsh.isInitialized()


def two_triangles(**changes) -> RawCell:
    fields = {
        "points": [[0, 0], [1, 0], [0, 1], [1, 1]],
        "cells": [[0, 1, 3], [0, 2, 3]],
        "kind": "triangle",
        "order": 1,
        "phase_of_cell": [5, 6],
        "phases": {"a": 5, "b": 6},
        "facets": [[0, 3], [0, 1]],
        "facet_tags": [1, 2],
        "facet_names": {"a|b": 1, "y-": 2},
        "lattice": Lattice.box(1.0, 1.0),
    }
    return RawCell(**(fields | changes))


def write(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "cell.geo"
    path.write_text(text)
    return path


def assert_same(one: RawCell, two: RawCell) -> None:
    for field in dataclasses.fields(RawCell):
        a, b = getattr(one, field.name), getattr(two, field.name)
        if isinstance(a, np.ndarray):
            assert a.dtype == b.dtype
            np.testing.assert_array_equal(a, b, err_msg=field.name)
        else:
            assert a == b, field.name


def test_cells_are_turned_and_unused_points_removed():
    raw = two_triangles(
        points=[[9, 9], [0, 0], [1, 0], [0, 1], [1, 1]],
        cells=[[1, 2, 4], [1, 3, 4]],
        facets=[[1, 4], [0, 1]],
    )
    assert raw.points.shape == (4, 2)
    assert raw.cells.tolist() == [[0, 1, 3], [0, 3, 2]]
    assert raw.facets.tolist() == [[0, 3]]
    assert raw.facet_names == {"a|b": 1}
    assert cell_volumes(raw).tolist() == [0.5, 0.5]


@pytest.mark.parametrize(
    ("changes", "name", "text"),
    [
        ({"cells": np.zeros((0, 3)), "phase_of_cell": []}, "cells", "at least one cell"),
        ({"phases": {"a": 5}}, "phases", "tag 6 of 1 cells has none"),
        ({"phases": {"a": 5, "b": 6, "c": 7}}, "phases", "'c' has none"),
        ({"phases": {"a": 5, "b": 5}}, "phases", "different tag"),
        ({"facet_names": {"a|b": 1}}, "facet_names", "tag 2 has none"),
        ({"points": [[0, 0], [1, 0], [2, 0], [1, 1]], "cells": [[0, 1, 3], [0, 1, 2]]}, "cells", "degenerate"),
        ({"lattice": Lattice.box(0.9, 1.0)}, "cells", "the volume of one period"),
        ({"lattice": Lattice.box(1.0, 1.0, 1.0)}, "lattice", "2 period vectors"),
        ({"cells": [[0, 1, 3], [0, 2, 4]]}, "cells", "node numbers from 0 to 3"),
        ({"order": 5}, "order", "1 or 2 or 3 or 4 for a triangle"),
        ({"points": [[0, 0], [1, 0], [0, 1], [1, np.nan]]}, "points", "finite"),
    ],
)
def test_bad_cells_are_refused(changes, name, text):
    with pytest.raises(CellError, match=text) as caught:
        two_triangles(**changes)
    assert caught.value.name == name


def test_part_of_a_period_is_allowed():
    part = two_triangles(cells=[[0, 1, 3]], phase_of_cell=[5], phases={"a": 5})
    assert cell_volumes(part).sum() == 0.5
    assert len(part.points) == 3


def test_restriction_keeps_the_phase_and_its_facets():
    raw = two_triangles()
    part = restrict(raw, ["b"])
    assert part.phases == {"b": 6}
    assert part.facet_names == {"a|b": 1}
    np.testing.assert_array_equal(part.points, raw.points[[0, 2, 3]])
    assert restrict(raw, ["b", "a"]) is raw
    with pytest.raises(InputError, match="Did you mean 'sphere'"):
        restrict(two_triangles(phases={"sphere": 5, "matrix": 6}), ["spere"])


def test_restriction_leaves_out_facets_of_the_other_phase_with_corners_on_the_interface():
    raw = two_triangles(
        points=[[0, 0], [1, 0], [0, 1], [1, 1], [0.5, 0.5]],
        cells=[[0, 1, 4], [1, 3, 4], [3, 2, 4], [2, 0, 4]],
        phase_of_cell=[5, 6, 5, 6],
        facets=[[1, 3], [0, 1]],
        facet_names={"x+": 1, "y-": 2},
    )
    part = restrict(raw, ["a"])
    assert len(part.points) == 5
    assert part.facets.tolist() == [[0, 1]]
    assert part.facet_names == {"y-": 2}


def test_facets_are_told_from_triples_of_nodes():
    cells = np.array([[0, 1, 2, 3], [1, 2, 3, 4]])
    facets = np.array([[3, 1, 2], [4, 3, 1], [0, 1, 4], [0, 2, 1]])
    assert facets_of(cells, facets, "tetrahedron").tolist() == [True, True, False, True]


def test_row_numbers_tell_rows_apart_also_with_large_entries():
    rows = np.array([[2**40, 1, 2**40], [1, 2**40, 2**40], [2**40, 1, 2**40], [2**40, 1, 2**40 - 1]])
    number = row_numbers(rows)
    assert number[0] == number[2]
    assert len(set(number.tolist())) == 3


def test_scaling_multiplies_volumes_and_lattice():
    raw = scaled(structured_three_pipe(0.4, resolution=0.25), 3.0, "um")
    assert cell_volumes(raw).sum() == pytest.approx(27.0)
    assert raw.lattice == Lattice.box(3.0, 3.0, 3.0)
    assert raw.length_unit == "um"
    with pytest.raises(InputError, match="length"):
        scaled(raw, 0.0)


@pytest.mark.parametrize("order", [1, 2])
def test_files_round_trip_bit_for_bit(tmp_path, order):
    raw = gmsh_three_pipe(0.4, resolution=0.3, grading=1.0, order=order)
    raw = dataclasses.replace(raw, length_unit="um", lattice=Lattice(vectors=np.eye(3) + 1e-17))
    path = tmp_path / "cell.msh"
    write_msh(raw, path)
    assert_same(from_gmsh_raw(path), raw)
    assert [file.name for file in tmp_path.iterdir()] == ["cell.msh"]


def test_interleaved_phases_keep_their_order_in_a_file(tmp_path):
    raw = structured_three_pipe(0.5, resolution=1 / 3)
    mixed = np.random.default_rng(1).permutation(len(raw.cells))
    raw = dataclasses.replace(raw, cells=raw.cells[mixed], phase_of_cell=raw.phase_of_cell[mixed])
    write_msh(raw, tmp_path / "cell.msh")
    assert_same(from_gmsh_raw(tmp_path / "cell.msh"), raw)


def test_second_order_nodes_are_in_the_order_of_dolfinx(tmp_path):
    raw = gmsh_three_pipe(0.5, resolution=0.3, grading=1.0, order=2)
    edges = [(2, 3), (1, 3), (1, 2), (0, 3), (0, 2), (0, 1)]
    nodes, facets = raw.points[raw.cells], raw.points[raw.facets]
    for k, (i, j) in enumerate(edges):
        np.testing.assert_allclose(nodes[:, 4 + k], 0.5 * (nodes[:, i] + nodes[:, j]), atol=1e-15)
    for k, (i, j) in enumerate([(1, 2), (0, 2), (0, 1)]):
        np.testing.assert_allclose(facets[:, 3 + k], 0.5 * (facets[:, i] + facets[:, j]), atol=1e-15)
    assert cell_volumes(raw).sum() == pytest.approx(1.0, abs=1e-13)


def test_second_order_volumes_of_curved_cells_converge(tmp_path):
    exact = 4 / 3 * np.pi * 0.3**3
    path = write(tmp_path, SPHERE)
    errors = []
    for order, size in ((1, 0.12), (2, 0.12), (2, 0.06)):
        raw = from_gmsh_raw(path, order=order, parameters={"size": size})
        volume = cell_volumes(raw)[raw.phase_of_cell == raw.phases["sphere"]].sum()
        errors.append(abs(volume / exact - 1.0))
    assert errors[1] < 0.05 * errors[0]
    assert errors[2] < 2e-4
    assert errors[2] < errors[1] / 4


def test_second_order_cell_turned_over_has_the_same_volume():
    # One corner moved off the middle of an edge: the area of the parabolic segment is 2/3 of base times height.
    points = np.array([[0, 0], [1, 0], [0, 1], [0.5, 0.5], [0, 0.5], [0.5, -0.1]])
    fields = {"kind": "triangle", "order": 2, "phase_of_cell": [1], "phases": {"a": 1}, "facets": [], "facet_tags": []}
    fields |= {"facet_names": {}, "lattice": Lattice.box(1.0, 1.0), "points": points}
    for cell in ([0, 1, 2, 3, 4, 5], [0, 2, 1, 3, 5, 4]):
        assert cell_volumes(RawCell(cells=[cell], **fields)).sum() == pytest.approx(0.5 + 2 / 3 * 0.1, abs=1e-15)
    fields["points"] = points + np.array([[0, 0]] * 5 + [[0, 0.9]])
    with pytest.raises(CellError, match="folded"):
        RawCell(cells=[[0, 1, 2, 3, 4, 5]], **fields)


def test_constants_and_resolution_reach_the_file(tmp_path):
    path = write(tmp_path, SPHERE)
    coarse = from_gmsh_raw(path)
    assert len(from_gmsh_raw(path, resolution=0.1).cells) > 3 * len(coarse.cells)
    small = from_gmsh_raw(path, parameters={"radius": 0.2})
    share = [cell_volumes(raw)[raw.phase_of_cell == raw.phases["sphere"]].sum() for raw in (coarse, small)]
    assert share[0] > 2 * share[1]
    assert_same(from_gmsh_raw(path), coarse)
    with pytest.raises(InputError, match="DefineConstant"):
        from_gmsh_raw(path, parameters={"raduis": 0.2})
    scaled_up = from_gmsh_raw(path, length=2.0, length_unit="um")
    assert cell_volumes(scaled_up).sum() == pytest.approx(8.0)
    assert scaled_up.length_unit == "um"


@pytest.mark.parametrize(
    ("text", "error", "message"),
    [
        ("Box(1) = {0, 0, 0, 1, 1, 1};", CellError, r'Physical Volume\("er"\) = \{1\}'),
        ('Box(1) = {0, 0, 0, 1, 1, 1}; Physical Surface("a") = {1};', CellError, "at least one Physical Volume"),
        ("Box(1) = {0, 0, 0, 1, 1, 1}; Physical Volume(1) = {1};", CellError, "named, every one of them"),
        ("Box(1) = {0, 0, 0, 1, 1, 1}; nonsense;", FileError, "Gmsh says: .*line 2: syntax error"),
        (
            'Rectangle(1) = {0, 0, 0, 1, 1}; Recombine Surface{1}; Physical Surface("a") = {1}; Mesh.ElementOrder = 2;',
            CellError,
            "quadrilaterals and hexahedra: 1",
        ),
        (
            'Rectangle(1) = {0, 0, 0, 1, 1}; Physical Surface("a") = {1}; Physical Surface("b") = {1};',
            CellError,
            "in two phases",
        ),
        (
            'Rectangle(1) = {0, 0, 0, 1, 1}; Physical Surface("a") = {1}; Mesh.ElementOrder = 3;',
            CellError,
            "order, 1 or 2",
        ),
    ],
)
def test_unusable_files_are_refused(tmp_path, text, error, message):
    path = write(tmp_path, f'SetFactory("OpenCASCADE");\n{text}\n')
    with pytest.raises(error, match=message):
        from_gmsh_raw(path)


def test_missing_and_truncated_files_are_refused(tmp_path):
    with pytest.raises(FileError, match="existing"):
        from_gmsh_raw(tmp_path / "none.geo")
    path = tmp_path / "cell.msh"
    write_msh(structured_three_pipe(0.5, resolution=1 / 3), path)
    path.write_bytes(path.read_bytes()[:5000])
    with pytest.raises(FileError, match="Gmsh says"):
        from_gmsh_raw(path)
    with pytest.raises(InputError, match="already made"):
        from_gmsh_raw(path, resolution=0.1)
    with pytest.raises(FileError, match="directory"):
        write_msh(structured_three_pipe(0.5, resolution=1 / 3), tmp_path / "nowhere" / "cell.msh")


def test_mesh_whose_faces_do_not_match_is_named(tmp_path):
    text = "Point(1) = {0, 0, 0, .1}; Point(2) = {1, 0, 0, .2}; Point(3) = {1, 1, 0, .03}; Point(4) = {0, 1, 0, .1};\n"
    text += "Line(1) = {1, 2}; Line(2) = {2, 3}; Line(3) = {3, 4}; Line(4) = {4, 1}; Curve Loop(1) = {1:4};\n"
    raw = from_gmsh_raw(write(tmp_path, text + 'Plane Surface(1) = {1};\nPhysical Surface("a") = {1};\n'))
    with pytest.raises(PeriodicityError):
        identify_nodes(raw.points, raw.lattice)


@pytest.mark.parametrize(
    ("name", "inputs", "fractions"),
    [
        ("slit", {}, {"pore": 0.5, "solid": 0.5}),
        ("slit", {"parameters": {"aperture": 0.2}, "resolution": 0.05}, {"pore": 0.2, "solid": 0.8}),
        ("hexagonal_fibres", {"order": 2}, {"fibre": 0.3, "matrix": 0.7}),
        ("three_pipe_er", {"parameters": {"edge": 0.5}, "resolution": 0.2}, {"er": 0.5, "cytosol": 0.5}),
        ("three_pipe_er", {"parameters": {"edge": 0.3, "grading": 0.6}}, {"er": 0.216, "cytosol": 0.784}),
    ],
)
def test_files_of_the_project_give_periodic_cells(name, inputs, fractions):
    raw = from_gmsh_raw(MESHES / f"{name}.geo", **inputs)
    volumes = cell_volumes(raw) / raw.lattice.volume
    assert {k: volumes[raw.phase_of_cell == tag].sum() for k, tag in raw.phases.items()} == pytest.approx(
        fractions, abs=1e-6
    )
    representative, _ = identify_nodes(raw.points, raw.lattice, tolerance=1e-10)
    check_resolution(raw.points, raw.cells, representative, raw.lattice)
    assert set(raw.facet_names) == {"|".join(raw.phases), *(a + s for a in "xyz"[: raw.dimension] for s in "-+")}
    # Every face of the low side is one of the high side after identification.
    for axis in "xyz"[: raw.dimension]:
        low, high = (raw.facets[raw.facet_tags == raw.facet_names[axis + side]][:, : raw.dimension] for side in "-+")
        ids = [set(map(tuple, np.sort(representative[facets], axis=1).tolist())) for facets in (low, high)]
        assert ids[0] == ids[1]
        assert len(ids[0]) == len(low)


def test_session_inside_a_running_gmsh_leaves_its_model():
    gmsh.initialize(readConfigFiles=False, interruptible=False)
    try:
        gmsh.option.setNumber("General.Terminal", 0)
        gmsh.model.add("mine")
        gmsh.model.occ.addBox(0, 0, 0, 1, 1, 1)
        gmsh.model.occ.synchronize()
        gmsh.option.setNumber("Mesh.ElementOrder", 1)
        gmsh_three_pipe(0.5, resolution=0.3, grading=1.0, order=2)
        from_gmsh_raw(MESHES / "slit.geo")
        assert gmsh.model.getCurrent() == "mine"
        assert len(gmsh.model.getEntities(3)) == 1
        assert gmsh.option.getNumber("Mesh.ElementOrder") == 1
    finally:
        gmsh.finalize()


def test_session_ends_after_an_error_and_says_what_gmsh_said():
    with pytest.raises(CellError, match=r"[Uu]nknown"), gmsh_session() as running:
        running.model.occ.fuse([(3, 77)], [(3, 78)])
    with pytest.raises(ZeroDivisionError), gmsh_session():
        _ = 1 / 0
