"""Cells of quadrilaterals and hexahedra: the arrays, the cell of an image voxel by voxel, files, pictures, refusals."""

from __future__ import annotations

from dataclasses import replace

import matplotlib.image
import numpy as np
import pytest
import ufl
from dolfinx import fem
from mpi4py import MPI

from homfem import cells, periodic
from homfem.cells.unitcell import UnitCell
from homfem.certify import homogenize_diffusion
from homfem.grid import Image
from homfem.local.diffusion import diffusion_coefficient, diffusion_problem
from homfem.local.flux import solve_fluxes
from homfem.local.problem import element_of
from homfem.meshing.arrays import quality
from homfem.meshing.arrays.facets import cell_facets, facets_of
from homfem.meshing.arrays.raw_cell import RawCell, cell_volumes, restrict
from homfem.meshing.arrays.refinement import bisect_cells
from homfem.meshing.by_gmsh.repair import RepairError, remeshed
from homfem.meshing.files.check import check_mesh
from homfem.meshing.shapes.box_grid import block_array_raw, box_grid_raw
from homfem.output import pictures, skins
from homfem.output.views import CellView
from homfem.parameters import InputError, Lattice, PercolationError, PeriodicityError
from homfem.reference import EDGES, FACETS, kind_of

SHAPES = [((5, 4), (0.5, 0.25)), ((4, 3, 5), (0.5, 0.25, 1.0))]


def random_image(shape, voxel, seed=1) -> Image:
    labels = np.random.default_rng(seed).integers(0, 3, shape)
    return Image.from_labels(labels, {"a": 0, "b": 1, "c": 2}, voxel=list(voxel), length_unit="um")


def grid_raw(shape, tags=None) -> RawCell:
    """Unit square or cube of boxes; one phase "a" unless tags are given."""
    axes = [np.linspace(0.0, 1.0, n + 1) for n in shape]
    tags = np.ones(shape, dtype=np.int32) if tags is None else np.asarray(tags, dtype=np.int32)
    return box_grid_raw(axes, tags, {"abc"[k - 1]: k for k in np.unique(tags)}, elements="voxel")


def one_cell(points, order=None) -> RawCell:
    points = np.asarray(points, dtype=np.float64)
    d = points.shape[1]
    return RawCell(
        points=points,
        cells=np.array([range(1 << d) if order is None else order]),
        kind=kind_of(d, 1 << d),
        order=1,
        phase_of_cell=np.array([1]),
        phases={"a": 1},
        facets=np.zeros(0),
        facet_tags=np.zeros(0),
        facet_names={},
        lattice=Lattice.box(*[2.0] * d),
    )


def frustum(top: float) -> np.ndarray:
    """Corners of a square frustum of height 1, its base of side 1."""
    base = np.array([[x, y] for y in (-0.5, 0.5) for x in (-0.5, 0.5)])
    return np.vstack([np.column_stack([base, np.zeros(4)]), np.column_stack([top * base, np.ones(4)])])


# The arrays.


def test_the_reference_cells_are_those_of_basix():
    import basix

    for kind in FACETS:
        topology = basix.topology(basix.CellType[kind])
        d = len(topology) - 1
        assert FACETS[kind] == topology[d - 1]
        assert sorted(map(sorted, EDGES[kind])) == sorted(map(sorted, topology[1]))


def test_volumes_are_exact():
    assert cell_volumes(one_cell(frustum(0.5))) == pytest.approx([(1.0 + 0.25 + 0.5) / 3.0], rel=1e-14)
    trapezium = [[0.0, 0.0], [1.0, 0.0], [0.2, 0.7], [0.6, 0.7]]
    assert cell_volumes(one_cell(trapezium)) == pytest.approx([0.5 * (1.0 + 0.4) * 0.7], rel=1e-14)
    sheared = one_cell([[0.0, 0.0], [1.0, 0.2], [0.3, 0.5], [1.3, 0.7]])
    assert cell_volumes(sheared) == pytest.approx([0.5 - 0.06], rel=1e-14)
    assert sheared.affine
    assert not one_cell(trapezium).affine


def test_cells_are_turned_to_positive_orientation():
    for points in (frustum(0.5), np.array([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0], [0.9, 1.0]])):
        mirrored = points * np.array([-1.0] + [1.0] * (points.shape[1] - 1))
        raw = one_cell(mirrored)
        assert not np.array_equal(raw.cells[0], np.arange(raw.cells.shape[1]))
        edges = raw.points[raw.cells[0, [1 << a for a in range(raw.dimension)]]] - raw.points[raw.cells[0, 0]]
        assert np.linalg.det(edges) > 0.0
        assert cell_volumes(raw) == pytest.approx(cell_volumes(one_cell(points)), rel=1e-14)
        facets = {frozenset(facet) for facet in FACETS[raw.kind]}
        assert {frozenset(facet) for facet in cell_facets(raw.cells, raw.kind)[0].tolist()} == facets


@pytest.mark.parametrize(
    ("change", "name"),
    [
        (lambda raw: replace(raw, cells=raw.cells[:, [0, 1, 3, 2]]), "cells"),  # around the cell: crossed
        (lambda raw: replace(raw, points=raw.points * [1.0, 0.0]), "cells"),
        (lambda raw: replace(raw, points=raw.points + 0.9 * (np.arange(16) == 5)[:, None]), "cells"),
        (lambda raw: replace(raw, order=2), "order"),
        (lambda raw: replace(raw, cells=raw.cells[:, :3]), "cells"),
        (lambda raw: replace(raw, kind="hexahedron"), "points"),
        (lambda raw: replace(raw, kind="prism"), "kind"),
        (lambda raw: bisect_cells(raw, np.arange(16), np.ones(9, dtype=bool)), "kind"),
    ],
)
def test_bad_arrays_are_refused(change, name):
    with pytest.raises(InputError) as caught:
        change(grid_raw((3, 3)))
    assert caught.value.name == name


def test_other_refusals():
    raw = grid_raw((3, 3))
    with pytest.raises(RepairError, match="simplices"):
        remeshed(raw)
    with pytest.raises(InputError, match="elements"):
        box_grid_raw([np.linspace(0, 1, 4)] * 2, np.ones((3, 3), dtype=np.int32), {"a": 1}, elements="cube")
    image = random_image((4, 4), (1.0, 1.0))
    with pytest.raises(InputError, match="elements"):
        cells.image_cell(image, elements="cube")
    with pytest.raises(PeriodicityError, match="at least 3 voxels along y"):
        cells.image_cell(Image.from_labels(np.zeros((4, 2)), {"a": 0}), elements="voxel")
    cell = cells.image_cell(image, elements="voxel")
    coefficients = {"a": 1.0, "b": 2.0, "c": 3.0}
    coefficient = diffusion_coefficient(cell, coefficients)
    with pytest.raises(InputError, match="straight simplices"):
        solve_fluxes(cell, coefficient)
    with pytest.raises(InputError, match="element"):
        diffusion_problem(cell, coefficient, element="CR")
    with pytest.raises(InputError, match="simplices") as caught:
        homogenize_diffusion(cell, coefficients, tolerance=1e-2)
    assert caught.value.name == "tolerance"


def test_two_voxels_across_are_refused_and_so_are_unequal_faces():
    with pytest.raises(PeriodicityError, match="three elements"):
        UnitCell.from_raw(grid_raw((2, 3)), comm=MPI.COMM_SELF)
    tags = np.ones((3, 3, 3), dtype=np.int32)
    tags[0, 1, 1] = 0  # opposite to a voxel
    raw = box_grid_raw([np.linspace(0, 1, 4)] * 3, tags, {"a": 1}, elements="voxel")
    with pytest.raises(PeriodicityError, match="1 facets without partner"):
        UnitCell.from_raw(raw, comm=MPI.COMM_SELF)


@pytest.mark.parametrize("shape", [(4, 3), (4, 3, 3)])
def test_restriction_keeps_the_named_facets_of_its_cells(shape):
    tags = np.ones(shape, dtype=np.int32)
    tags[1] = 2
    raw = grid_raw(shape, tags)
    facets = np.unique(np.sort(cell_facets(raw.cells, raw.kind).reshape(-1, 1 << len(shape) - 1), axis=1), axis=0)
    x = raw.points[facets][..., 0]
    wall = facets[np.ptp(x, axis=1) == 0.0]  # all facets across x: five planes of them
    raw = replace(raw, facets=wall, facet_tags=np.full(len(wall), 7), facet_names={"wall": 7})
    per_plane = int(np.prod(shape[1:]))
    assert len(raw.facets) == 5 * per_plane
    inner = restrict(raw, ["b"])
    assert len(inner.facets) == 2 * per_plane
    assert facets_of(raw.cells[raw.phase_of_cell == 2], wall, raw.kind).sum() == 2 * per_plane
    cell = UnitCell.from_raw(raw, comm=MPI.COMM_SELF)
    assert len(cell.facets["wall"]) == 4 * per_plane  # the two period faces are one
    assert len(cell.facets["period-1"]) == per_plane
    assert sorted(np.intersect1d(cell.facets["wall"], cell.facets["a|b"])) == sorted(cell.facets["a|b"])


# The cell of an image.


@pytest.mark.parametrize(("shape", "voxel"), SHAPES)
def test_fractions_areas_and_connectivity_are_those_of_the_image_and_of_the_cut_mesh(shape, voxel):
    image = random_image(shape, voxel)
    cell, cut = (cells.image_cell(image, elements=kind) for kind in ("voxel", "simplex"))
    assert cell.number_of_cells == np.prod(shape)
    assert cell.kind == {2: "quadrilateral", 3: "hexahedron"}[len(shape)]
    assert cell.volume_fractions == pytest.approx(image.volume_fractions, abs=1e-13)
    assert cell.interface_area == pytest.approx(image.interface_area, rel=1e-12)
    assert cell.periods == pytest.approx(image.period)
    assert cell.raw.length_unit == cut.raw.length_unit
    for name in cell.phases:
        ours, theirs = cell.connectivity[name], cut.connectivity[name]
        assert [part.fraction for part in ours.parts] == pytest.approx([part.fraction for part in theirs.parts])
        assert ours.directions.tolist() == theirs.directions.tolist()
    per_voxel = {2: 1, 3: 2}[len(shape)]  # a side of a voxel is cut into two triangles
    assert {k: per_voxel * len(v) for k, v in cell.facets.items()} == {k: len(v) for k, v in cut.facets.items()}
    text = cell.describe()
    assert {2: "20 quadrilaterals of order 1, 30 nodes", 3: "60 hexahedra of order 1, 120 nodes"}[len(shape)] in text


@pytest.mark.parametrize(("shape", "voxel"), SHAPES)
def test_phases_alone_and_without_islands(shape, voxel):
    labels = np.zeros(shape, dtype=int)
    labels[0] = labels[(2,) + (1,) * (len(shape) - 1)] = 1  # a layer and an island
    image = Image.from_labels(labels, {"rest": 0, "a": 1}, voxel=list(voxel))
    cell = cells.image_cell(image, elements="voxel")
    part = cell.restrict(["a"])
    layer = int(np.prod(shape[1:]))
    assert part.number_of_cells == layer + 1
    assert part.volume_fractions == cell.volume_fractions
    assert len(part.whole.islands) == 1
    rest = part.without_islands()
    assert rest.number_of_cells == layer
    assert not rest.whole.islands
    assert cell.restrict(["rest"]).without_islands().number_of_cells == np.prod(shape) - layer - 1


@pytest.mark.parametrize(("shape", "voxel"), SHAPES)
def test_nodal_values_belong_to_the_points(shape, voxel):
    cell = cells.image_cell(random_image(shape, voxel), elements="voxel")
    length = cell.lattice.vectors[0, 0]
    function = fem.Function(fem.functionspace(cell.mesh, ("Lagrange", 2)))
    function.interpolate(lambda x: np.cos(2.0 * np.pi * x[0] / length))
    assert cell.nodal_values(function) == pytest.approx(np.cos(2.0 * np.pi * cell.raw.points[:, 0] / length))


@pytest.mark.parametrize("suffix", [".xdmf", ".msh"])
@pytest.mark.parametrize(("shape", "voxel"), SHAPES)
def test_cells_come_back_from_files(tmp_path, shape, voxel, suffix):
    raw = cells.image_cell(random_image(shape, voxel), elements="voxel").raw
    corners = cell_facets(raw.cells[:2], raw.kind)[:, 1]
    raw = replace(raw, facets=corners, facet_tags=[1, 2], facet_names={"one": 1, "two": 2})
    cell = UnitCell.from_raw(raw, comm=MPI.COMM_SELF, name="saved", length=2.5, length_unit="um")
    cell.save(tmp_path / f"cell{suffix}")
    again = cells.load_cell(tmp_path / f"cell{suffix}", comm=MPI.COMM_SELF)
    for name in ("points", "cells", "phase_of_cell", "facets", "facet_tags"):
        assert np.array_equal(getattr(again.raw, name), getattr(raw, name)), name
    assert again.raw.phases == raw.phases
    assert again.raw.facet_names == raw.facet_names
    assert again.periods == pytest.approx(cell.periods)
    report = check_mesh(tmp_path / f"cell{suffix}") if suffix == ".msh" else check_mesh(raw)
    assert report.ok
    assert (report.kind, report.cells) == (raw.kind, len(raw.cells))


def test_meshes_of_gmsh_made_of_quadrilaterals(tmp_path):
    path = tmp_path / "cell.geo"
    path.write_text(
        'SetFactory("OpenCASCADE"); Rectangle(1) = {0, 0, 0, 2, 1}; Physical Surface("a") = {1};\n'
        "Transfinite Curve{1, 3} = 9; Transfinite Curve{2, 4} = 6; Transfinite Surface{1}; Recombine Surface{1};\n"
    )
    cell = cells.from_gmsh(path)
    assert cell.kind == "quadrilateral"
    assert cell.number_of_cells == 40
    assert cell.volume_fractions["a"] == pytest.approx(1.0, abs=1e-13)


def test_blocks_of_boxes():
    raw = block_array_raw(
        np.array([[1, 2], [2, 1]]), {"a": 1, "b": 2}, [np.full(2, 0.5)] * 2, resolution=0.125, elements="voxel"
    )
    cell = UnitCell.from_raw(raw, comm=MPI.COMM_SELF)
    assert cell.kind == "quadrilateral"
    assert cell.volume_fractions == pytest.approx({"a": 0.5, "b": 0.5}, abs=1e-14)
    assert cell.interface_area == pytest.approx(4.0, rel=1e-14)


# Parts that touch in a node or an edge alone.


def touching_image(d: int) -> Image:
    """Three stripes along y (and z) of phase 1; the first two touch in a corner, 3D in an edge, across ranks or not."""
    labels = np.zeros((10, 4) if d == 2 else (10, 4, 3), dtype=int)
    for column in (0, 1, 4, 5, 7, 8):
        labels[column] = 1
    labels[2, 0] = labels[3, 1] = 1
    return Image.from_labels(labels, {"void": 0, "solid": 1}, voxel=1.0)


def kernels(comm, d):
    """Numbers of parts and of constants, what the matrix leaves of them, its kernel by eigenvalues (one rank)."""
    cell = cells.image_cell(touching_image(d), elements="voxel", comm=comm).restrict(["solid"])
    space = periodic.make_periodic_space(cell.periodic_mesh, element_of(cell, "Lagrange", 1), cell.lattice)
    u, v = ufl.TrialFunction(space.space), ufl.TestFunction(space.space)
    matrix = space.matrix(ufl.inner(ufl.grad(u), ufl.grad(v)) * ufl.dx)
    result = matrix.createVecRight()
    left = []
    constants = space.constants(cell.part_of_cell)
    for constant in constants:
        matrix.mult(constant, result)
        left.append(result.norm())
    found = {"parts": len(cell.whole.parts), "constants": len(constants), "left": max(left)}
    if comm.size == 1:
        dense = matrix.convert("dense").getDenseArray()
        found["kernel"] = int(np.sum(np.abs(np.linalg.eigvalsh(dense)) < 1e-10))
    found["touching"] = homogenize_diffusion(cell, {"solid": 1.0}, degree=1, rtol=1e-9).upper.tolist()
    return found


def measured(comm):
    """What must not depend on the number of ranks."""
    cell = cells.image_cell(random_image(*SHAPES[1]), elements="voxel", comm=comm)
    function = fem.Function(fem.functionspace(cell.mesh, ("Lagrange", 1)))
    function.interpolate(lambda x: np.sin(2.0 * np.pi * x[1] / cell.lattice.vectors[1, 1]))
    values = cell.nodal_values(function)
    owned = cell.mesh.topology.index_map(cell.dimension - 1).size_local
    return kernels(comm, 3) | {
        "facets": {name: comm.allreduce(int(np.sum(facets < owned))) for name, facets in cell.facets.items()},
        "fractions": dict(cell.volume_fractions),
        "area": cell.interface_area,
        "values": None if values is None else values.tolist(),
        "upper": homogenize_diffusion(cell, {"a": 1.0, "b": 10.0}, degree=1, rtol=1e-11).upper.tolist(),
    }


def check_kernels(found, d):
    assert found["parts"] == 3
    assert found["constants"] == 2
    assert found["left"] < 1e-12
    assert found["touching"][0] == pytest.approx([0.0] * d, abs=1e-12)  # nothing flows through a corner
    assert 0.6 < found["touching"][1][1] < 0.65  # six layers in ten, and what the teeth add


def test_the_kernel_is_that_of_the_matrix_where_parts_touch():
    found = kernels(MPI.COMM_SELF, 2)
    assert found["kernel"] == 2
    check_kernels(found, 2)


def test_ranks_agree(on_ranks):
    first, *others = on_ranks(measured)
    assert first["kernel"] == 2
    for run in (first, *others):
        check_kernels(run, 3)
        assert run["facets"] == first["facets"]
        assert run["fractions"] == pytest.approx(first["fractions"], abs=1e-14)
        assert run["area"] == pytest.approx(first["area"], rel=1e-12)
        for name in ("values", "upper", "touching"):
            assert np.allclose(run[name], first[name], rtol=0.0, atol=1e-9)


# The checker and pictures.


def test_the_checker_measures_quadrilaterals_and_hexahedra():
    c, s = 0.5, np.sqrt(0.75)
    rhombus = np.array([[0.0, 0.0], [1.0, 0.0], [c, s], [1.0 + c, s]])
    corners = np.arange(4)[None]
    assert sorted(quality.angles(rhombus, corners)[0]) == pytest.approx([60.0, 60.0, 120.0, 120.0])
    assert quality.aspect_ratios(rhombus * [[1.0, 1.0]], corners) == pytest.approx([1.0])
    prism = np.vstack([np.column_stack([rhombus, np.full(4, z)]) for z in (0.0, 3.0)])
    found = np.sort(quality.angles(prism, np.arange(8)[None])[0])
    assert found == pytest.approx([60.0] * 4 + [90.0] * 16 + [120.0] * 4)
    assert quality.aspect_ratios(prism, np.arange(8)[None]) == pytest.approx([3.0])
    # The dihedral angles along the upper edges of a frustum: by the normals of its faces.
    slope = np.degrees(np.arctan2(1.0, 0.25))
    angles = quality.angles(frustum(0.5), np.arange(8)[None])[0]
    assert angles.min() == pytest.approx(slope)
    assert angles.max() == pytest.approx(180.0 - slope)


def test_the_checker_finds_what_is_wrong():
    raw = grid_raw((4, 3, 3))
    report = check_mesh(raw)
    assert report.ok
    assert [(face.nodes, face.facets, face.elements_across) for face in report.faces] == [
        ((16, 16), (9, 9), 4),
        ((20, 20), (12, 12), 3),
        ((20, 20), (12, 12), 3),
    ]
    assert report.quality.worst_aspect == pytest.approx(4 / 3)
    assert report.quality.smallest_angle == pytest.approx(90.0)
    moved = raw.points.copy()
    moved[np.flatnonzero((moved == [1.0, 1 / 3, 1 / 3]).all(axis=1)), 1] += 0.05
    bad = check_mesh(replace(raw, points=moved))
    assert not bad.ok
    assert bad.faces[0].unmatched_nodes == (1, 1)
    assert bad.faces[0].unmatched_facets == (4, 4)


def test_skins_are_closed_and_turned_outward():
    tags = np.ones((3, 3, 3), dtype=np.int32)
    tags[1, 1, 1] = 2
    raw = grid_raw((3, 3, 3), tags)
    for tag, faces, volume in ((2, 6, 1 / 27), (1, 60, 26 / 27)):
        own = raw.cells[raw.phase_of_cell == tag]
        skin = skins.skin(raw.points, own)
        assert skin.shape == (faces, 4)
        assert skins.volumes(raw.points, own).sum() == pytest.approx(volume)
        fine = skins.divided(skins.surface(raw.points, skin, raw.points @ [1.0, 2.0, 3.0]))
        for points, polygons in ((raw.points, skin), (fine.points, fine.faces)):
            a, b, c, e = (points[polygons[:, k]] for k in range(4))
            area = 0.5 * (np.cross(b - a, c - a) + np.cross(c - a, e - a))
            # The divergence theorem with x/3.
            middle = 0.25 * (a + b + c + e)
            assert np.einsum("ix,ix->", middle, area) / 3.0 == pytest.approx(volume)
        assert fine.values == pytest.approx(fine.points @ [1.0, 2.0, 3.0])
    fan = skins.fanned(skins.surface(raw.points, skin, raw.points @ [1.0, 2.0, 3.0]))
    a, b, c = (fan.points[fan.faces[:, k]] for k in range(3))
    assert np.einsum("ix,ix->", a, np.cross(b, c)) / 6.0 == pytest.approx(26 / 27)
    assert fan.values == pytest.approx(fan.points @ [1.0, 2.0, 3.0])
    flat = grid_raw((3, 3), tags[1])
    assert len(skins.interfaces(flat.cells, flat.phase_of_cell)) == 4


@pytest.mark.parametrize("shape", [(6, 6), (6, 6, 6)])
def test_pictures_show_the_colours_of_phases(tmp_path, shape):
    tags = np.ones(shape, dtype=np.int32)
    tags[:3] = 2
    raw = grid_raw(shape, tags)
    view = CellView(size=(420, 330), translucent=[], mesh_lines=True, engine="matplotlib")
    options = {"phases": raw.phases, "view": view}
    path = pictures.draw_cell(raw.points, raw.cells, raw.phase_of_cell, tmp_path / "a.png", **options)
    image = matplotlib.image.imread(path)[:, :, :3]
    red, blue = image[..., 0] > image[..., 2] + 0.25, image[..., 2] > image[..., 0] + 0.25
    assert red.mean() > 0.05
    assert blue.mean() > 0.05
    assert np.nonzero(blue)[1].mean() < np.nonzero(red)[1].mean()  # phase b lies at small x
    values = raw.points[:, 0]
    path = pictures.draw_cell(raw.points, raw.cells, raw.phase_of_cell, tmp_path / "b.png", corrector=values, **options)
    coloured = matplotlib.image.imread(path)[:, :, :3]
    rows, columns = np.minimum(coloured.shape, image.shape)[:2]
    assert (coloured[:rows, :columns] != image[:rows, :columns]).any(axis=2).mean() > 0.1


def test_voxels_on_a_diagonal_do_not_percolate():
    labels = np.array([[1, 0, 0], [0, 1, 0], [0, 0, 1]])
    cell = cells.image_cell(Image.from_labels(labels, {"void": 0, "solid": 1}), elements="voxel")
    assert cell.connectivity["solid"].rank == 0
    assert len(cell.connectivity["solid"].parts) == 3
    with pytest.raises(PercolationError):
        homogenize_diffusion(cell, {"solid": 1.0})
