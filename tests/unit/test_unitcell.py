"""The unit cell: measures from the mesh, named facets, parts of it, files, refusals; the same on every rank."""

from __future__ import annotations

import numpy as np
import pytest
import ufl
from mpi4py import MPI

from homfem import Lattice, from_file, from_gmsh, homogenize_diffusion, load_cell, solve, three_pipe
from homfem._dolfinx import geometry_dofmap, original_cell_index
from homfem.cells import fibre_array, hexagonal_myocyte, image_cell, tube
from homfem.grid.image import Image
from homfem.meshing.arrays.refinement import bisect_cells
from homfem.parameters import CellError, FileError, InputError, PercolationError, PeriodicityError
from homfem.periodic import check_resolution, identify_nodes
from made_cells import checkerboard, grid_cell, grid_raw, quarters, square

SKEW = [[1.0, 0.0, 0.0], [0.2, 1.1, 0.0], [0.1, -0.3, 0.9]]


@pytest.mark.parametrize("edge", [0.05, 0.1, 0.5, 0.8, 0.95])
def test_three_pipe_measures_are_exact(edge):
    cell = three_pipe(edge, resolution=0.25, period=0.5)
    assert abs(cell.volume_fractions["er"] - (3 * edge**2 - 2 * edge**3)) < 1e-13
    assert abs(sum(cell.volume_fractions.values()) - 1.0) < 1e-13
    assert abs(cell.interface_area * 0.5 / (12 * edge * (1 - edge)) - 1.0) < 1e-12


def test_different_edges():
    """Inclusion and exclusion: pipes of edges a, b, c along x, y, z."""
    a, b, c = 0.3, 0.2, 0.4
    cell = three_pipe((a, b, c), resolution=0.2)
    pairs = a * b * min(a, b) + b * c * min(b, c) + c * a * min(c, a)
    triple = min(a, b) * min(b, c) * min(c, a)
    assert abs(cell.volume_fractions["er"] - (a**2 + b**2 + c**2 - pairs + triple)) < 1e-13


def case_measures(comm, divisions):
    cell = grid_cell(divisions, square, comm=comm, names=("matrix", "fibre"), length=2.0)
    part = cell.restrict(["matrix"])
    tagged = {}
    for name in ("matrix|fibre", "period-1"):
        owned = cell.mesh.topology.index_map(cell.dimension - 1).size_local
        tagged[name] = comm.allreduce(int(np.count_nonzero(cell.facets[name] < owned)))
    return {
        "fractions": dict(cell.volume_fractions),
        "area": cell.interface_area,
        "part": part.volume_fractions["fibre"],
        "cells": part.number_of_cells,
        "wall": solve.integrate(1.0 * ufl.ds(domain=part.mesh)),
        "tagged": tagged,
        "text": cell.describe(),
    }


@pytest.mark.mpi
def test_a_square_inclusion_on_every_rank(on_ranks):
    for answer in on_ranks(case_measures, divisions=(8, 12)):
        assert answer["fractions"]["fibre"] == pytest.approx(0.25, abs=1e-14)
        assert answer["area"] == pytest.approx(2.0 / 2.0, abs=1e-13)  # perimeter 2 per unit area, length 2
        assert answer["part"] == answer["fractions"]["fibre"]
        assert answer["cells"] == 2 * 8 * 12 * 3 // 4
        assert answer["wall"] == pytest.approx(2.0, abs=1e-13)
        assert answer["tagged"] == {"matrix|fibre": 2 * 4 + 2 * 6, "period-1": 12}
        assert "fibre: percolates in no direction" in answer["text"]


def voxels(shape, edges):
    phases = np.random.default_rng(1).integers(0, 2, shape)
    return image_cell(Image(phases=phases, names=("a", "b"), voxel=edges), elements="voxel")


@pytest.mark.parametrize(
    "make",
    [
        lambda: three_pipe((0.3, 0.2, 0.4), resolution=1 / 3),
        lambda: three_pipe(0.3, resolution=1 / 3, phases=["er"], period=3.0),
        lambda: fibre_array("hexagonal", fraction=0.3, period=2.0),
        lambda: fibre_array("hexagonal", fraction=0.3, order=2),
        lambda: hexagonal_myocyte(80.0, 16.0, 2.0, resolution=1 / 3),
        lambda: voxels((3, 4, 5), (0.2, 0.3, 0.4)),
        lambda: voxels((3, 4), (0.2, 0.3)),
    ],
)
def test_what_is_measured_on_arrays_is_what_is_integrated_on_the_mesh(make):
    cell = make()
    volume = cell.lattice.volume
    tag = cell.cell_function(dict(cell.phases))
    jump = ufl.conditional(ufl.ne(tag("+"), tag("-")), 1.0, 0.0) * ufl.dS
    area = solve.integrate(1.0 * ufl.ds(domain=cell.mesh)) + (solve.integrate(jump) if len(cell.phases) > 1 else 0.0)
    assert cell.interface_area * cell.length * volume == pytest.approx(area, rel=1e-12)
    for name, number in cell.phases.items():
        own = solve.integrate(ufl.conditional(ufl.eq(tag, float(number)), 1.0, 0.0) * ufl.dx)
        assert cell.volume_fractions[name] == pytest.approx(own / volume, rel=1e-12)


def test_the_area_of_curved_facets_in_space_is_integrated():
    cell = fibre_array(fraction=0.3, order=2, dimension=3, resolution=1 / 3, layers=3)
    tag = cell.cell_function(dict(cell.phases))
    dS = ufl.dS(metadata={"quadrature_degree": 14})
    area = solve.integrate(ufl.conditional(ufl.ne(tag("+"), tag("-")), 1.0, 0.0) * dS)
    assert cell.interface_area == pytest.approx(area / cell.lattice.volume, rel=1e-12)
    # Walls of the pore alone are outer facets.
    alone = tube(0.25, order=2, resolution=1 / 3, layers=3).restrict(["pore"])
    walls = solve.integrate(1.0 * ufl.ds(domain=alone.mesh, metadata={"quadrature_degree": 14}))
    assert alone.interface_area == pytest.approx(walls / alone.lattice.volume, rel=1e-12)


def test_the_mesh_in_space_is_made_when_it_is_asked_for_and_has_the_same_cells():
    cell = fibre_array(fraction=0.3, order=2, resolution=1 / 3, comm=MPI.COMM_SELF).restrict(["matrix"])
    homogenize_diffusion(cell, {"matrix": 1.0})
    assert "_in_space" not in vars(cell.periodic_mesh)  # nothing that was solved needed it
    torus, plain, place = cell.mesh, cell.periodic_mesh.plain, cell.periodic_mesh.plain_cell
    here, there = (mesh.geometry.x[geometry_dofmap(mesh)] for mesh in (torus, plain))
    assert np.array_equal(here, there[place])
    numbers = np.asarray(torus.geometry.input_global_indices)[geometry_dofmap(torus)]
    assert np.array_equal(numbers, cell.raw.cells[original_cell_index(torus)])
    first = np.unique(geometry_dofmap(torus), return_index=True)[1]
    assert np.all(np.diff(first) > 0)  # nodes in the order in which the cells meet them


def test_the_connectivity_of_phases_together():
    cell = fibre_array(fraction=0.3, dimension=2, coating=0.05)
    assert cell.connectivity_of(["matrix"]) is cell.connectivity["matrix"]
    assert cell.connectivity_of(cell.phase_names) is cell.whole
    several = cell.connectivity_of(["fibre", "coating"])
    assert (several.rank, len(several.parts)) == (0, 1)
    alone, known = cell.restrict(["matrix"]).whole, cell.connectivity["matrix"]
    assert [part.fraction for part in alone.parts] == [part.fraction for part in known.parts]
    assert np.array_equal(alone.directions, known.directions)
    with pytest.raises(InputError, match="matrx"):
        cell.connectivity_of(["matrx"])


def test_interfaces_on_the_period_faces_count():
    """A 2 by 2 checkerboard: the sides at x = 0 and y = 0 are interfaces as well, total length 4."""
    assert grid_cell((4, 4), checkerboard).interface_area == pytest.approx(4.0, abs=1e-13)


def test_cell_functions_follow_the_phases():
    cell = grid_cell((4, 6), quarters)
    values = {"a": 1.0, "b": 2.0, "c": 4.0, "d": 8.0}
    assert solve.integrate(cell.cell_function(values) * ufl.dx) == pytest.approx(15 / 4, abs=1e-13)
    matrices = {name: v * np.array([[2.0, 1.0], [1.0, 3.0]]) for name, v in values.items()}
    assert solve.integrate(cell.cell_function(matrices)[1, 1] * ufl.dx) == pytest.approx(45 / 4, abs=1e-12)


@pytest.mark.parametrize("suffix", [".msh", ".xdmf"])
def test_files_give_back_the_same_cell(tmp_path, suffix):
    cell = three_pipe((0.3, 0.2, 0.4), resolution=0.25, period=0.7)
    path = tmp_path / f"cell{suffix}"
    cell.save(path)
    again = load_cell(path)
    assert np.array_equal(again.raw.points, cell.raw.points)
    assert np.array_equal(again.raw.cells, cell.raw.cells)
    assert again.lattice == cell.lattice
    assert (again.length, again.length_unit, again.name) == (0.7, "um", "three-pipe")
    assert again.volume_fractions == pytest.approx(cell.volume_fractions, abs=1e-15)
    assert {k: len(v) for k, v in again.facets.items()} == {k: len(v) for k, v in cell.facets.items()}


def test_skew_lattice_survives_a_file(tmp_path):
    cell = grid_cell((3, 4, 3), vectors=SKEW, length=3.0)
    cell.save(tmp_path / "skew.msh")
    assert load_cell(tmp_path / "skew.msh").lattice == cell.lattice


def test_broken_files_are_refused(tmp_path):
    cell = three_pipe(0.4, resolution=0.3)
    with pytest.raises(InputError, match=r"\.msh"):
        cell.save(tmp_path / "cell.stl")
    with pytest.raises(FileError, match="present"):
        load_cell(tmp_path / "none.msh")
    path = tmp_path / "cell.xdmf"
    cell.save(path)
    (tmp_path / "cell.h5").write_bytes(b"broken")
    with pytest.raises(FileError, match="complete"):
        load_cell(path)


def case_refused(comm, edge):
    try:
        three_pipe(edge, comm=comm)
    except InputError as error:
        return {"texts": comm.allgather(str(error))}
    return {"texts": []}


@pytest.mark.mpi
@pytest.mark.parametrize("edge", [0.0, -0.1, 1.0, 1.5])
def test_a_bad_edge_is_refused_on_every_rank(on_ranks, edge):
    for number, answer in enumerate(on_ranks(case_refused, ranks=(1, 2), edge=edge), start=1):
        assert len(answer["texts"]) == number
        assert all("edges" in text and "< 1" in text for text in answer["texts"])


@pytest.mark.parametrize("comm", [3, None, MPI.COMM_NULL])
def test_what_is_no_communicator_is_refused(comm):
    with pytest.raises(InputError, match=r"^comm = .*a communicator of mpi4py"):
        three_pipe(0.5, resolution=0.3, comm=comm)


def test_islands_do_not_percolate():
    cell = grid_cell((8, 8), square, names=("matrix", "fibre"))
    cell.restrict(["matrix"]).require_percolation()
    with pytest.raises(PercolationError, match="fibre"):
        cell.restrict(["fibre"]).require_percolation()


def test_unknown_phase_is_refused_with_the_nearest():
    with pytest.raises(InputError, match="Did you mean 'cytosol'"):
        three_pipe(0.4, resolution=0.3).restrict(["cytosl"])


def test_mesh_without_groups_and_mesh_that_is_not_periodic_are_refused(tmp_path):
    body = "Point(1)={0,0,0,.2};Point(2)={1,0,0,.2};Point(3)={1,1,0,.1};Point(4)={0,1,0,.2};"
    body += "Line(1)={1,2};Line(2)={2,3};Line(3)={3,4};Line(4)={4,1};Curve Loop(1)={1:4};Plane Surface(1)={1};"
    plain = tmp_path / "plain.geo"
    plain.write_text(body)
    with pytest.raises(CellError, match=r"[Pp]hysical"):
        from_gmsh(plain)
    unequal = tmp_path / "unequal.geo"
    unequal.write_text(body + 'Physical Surface("all")={1};Transfinite Curve {2}=9;Transfinite Curve {4}=6;')
    with pytest.raises(PeriodicityError, match="period 1"):
        from_gmsh(unequal)
    with pytest.raises(FileError, match=r"none\.geo"):
        from_gmsh(tmp_path / "none.geo")


def test_physical_size_of_a_file(tmp_path):
    """The file's coordinates are stretched to the period that is given; area per volume follows."""
    cell = from_gmsh("meshes/slit.geo", period=4.0, length_unit="um")
    assert cell.periods == pytest.approx((4.0, 4.0))
    assert cell.interface_area == pytest.approx(0.5, abs=1e-12)


@pytest.mark.parametrize(("divisions", "vectors"), [((6, 4), None), ((4, 3, 4), SKEW)])
def test_bisection_keeps_the_cell_periodic(divisions, vectors):
    """Random marks, five times over: the same volume, faces that match, no hanging node, shapes that stay."""
    raw = grid_raw(divisions, lambda s: s[:, 0] > 0.5, vectors=vectors)
    generator = np.random.default_rng(5)
    volume = raw.lattice.volume
    for _ in range(5):
        representative, _ = identify_nodes(raw.points, raw.lattice)
        before = len(raw.cells)
        raw = bisect_cells(raw, representative, generator.random(len(raw.cells)) < 0.02)
        assert len(raw.cells) > before
        representative, _ = identify_nodes(raw.points, raw.lattice)
        check_resolution(raw.points, raw.cells, representative, raw.lattice)
        d = raw.dimension
        edges = raw.points[raw.cells[:, 1:]] - raw.points[raw.cells[:, :1]]
        volumes = np.linalg.det(edges) / (2 if d == 2 else 6)
        assert volumes.sum() == pytest.approx(volume, rel=1e-12)
        # On the torus every facet has two cells: a hanging node would leave facets with one.
        keep = [[j for j in range(d + 1) if j != k] for k in range(d + 1)]
        facets = np.sort(representative[raw.cells][:, keep].reshape(-1, d), axis=1)
        _, times = np.unique(facets, axis=0, return_counts=True)
        assert (times == 2).all()
        i, j = np.triu_indices(d + 1, 1)
        longest = np.linalg.norm(raw.points[raw.cells[:, i]] - raw.points[raw.cells[:, j]], axis=2).max(axis=1)
        assert (volumes / longest**d).min() > (0.15 if d == 2 else 0.001)
    phase = raw.phase_of_cell
    middle = raw.lattice.fractional(raw.points[raw.cells].mean(axis=1))
    assert np.array_equal(phase == 2, middle[:, 0] > 0.5)


def case_no_phase(comm):
    cell = three_pipe(0.4, resolution=0.3, comm=comm)
    with pytest.raises(InputError, match="phase_names"):
        cell.restrict([])
    return {}


@pytest.mark.mpi
def test_no_phase_is_refused_on_every_rank(on_ranks):
    on_ranks(case_no_phase, ranks=(1, 2))


@pytest.mark.parametrize("name", ["part.msh", "part.xdmf"])
def test_a_part_with_a_wall_on_a_period_face_comes_back(tmp_path, name):
    from homfem import cells, homogenize_diffusion, load_cell

    part = cells.blocks(["AB", "AB"], resolution=0.2).restrict(["A"])  # its walls are at x = 0 and x = 1/2
    part.save(tmp_path / name)
    again = load_cell(tmp_path / name)
    one, two = (homogenize_diffusion(cell, {"A": 1.0}) for cell in (part, again))
    assert one.value == pytest.approx(np.diag([0.0, 0.5]), abs=1e-9)
    assert two.value == pytest.approx(one.value, abs=1e-9)


def test_period_vectors_belong_to_the_mesh_and_one_length_scales_it(tmp_path):
    file = tmp_path / "a.geo"
    file.write_text(
        'SetFactory("OpenCASCADE");\nRectangle(1) = {0, 0, 0, 1, 1};\nPhysical Surface("a") = {1};\n'
        "Mesh.MeshSizeMax = 0.3;\n"
    )
    assert from_file(file, period=Lattice.box(1.0, 1.0)).warnings == ()
    assert from_file(file, period=3.0).length == 3.0
    for size in (1.01, 2.0, 1e6):
        with pytest.raises(CellError, match=r"(?s)period = .*a mesh of size 1 x 1, .*one length .* scales the mesh"):
            from_file(file, period=Lattice.box(size, size))
    with pytest.raises(CellError, match="Give the period vectors that belong to the mesh"):
        from_file(file, period=Lattice.box(0.5, 0.5))
    # Strips with gaps between them may be meant.
    strips = from_file(file, period=Lattice.box(1.0, 2.0))
    assert strips.warnings == (
        "the mesh is shorter than period vector 2: what is between its copies there is taken to be empty",
    )
    tensor = homogenize_diffusion(strips, {"a": 4.0})
    assert tensor.value == pytest.approx(np.diag([2.0, 0.0]), abs=1e-9)
    assert strips.warnings[0] in tensor.warnings
