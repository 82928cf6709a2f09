"""Arguments of cells, problems, fields and pictures that are refused, each by its own message."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import dolfinx.io
import numpy as np
import pytest
import ufl
from dolfinx import fem
from dolfinx import mesh as dmesh
from mpi4py import MPI

from homfem import cells, certify, solve
from homfem.cells import files, painted
from homfem.cells.symmetry import symmetric_part
from homfem.cells.unitcell import UnitCell
from homfem.config.fields import FieldCoefficient
from homfem.grid import Image
from homfem.kinetics import TRIGGER_WAVE, membrane_from_rates, resting_state
from homfem.local.diffusion import diffusion_coefficient, diffusion_problem
from homfem.local.elasticity import elastic_coefficient, elasticity_problem
from homfem.local.engine import solve_correctors
from homfem.local.flux import solve_fluxes
from homfem.local.stokes import stokes_problem
from homfem.local.stress import solve_stresses
from homfem.meshing.arrays.identification import identify_nodes
from homfem.meshing.arrays.raw_cell import restrict
from homfem.meshing.arrays.refinement import bisect_cells, split_at_barycentres
from homfem.meshing.by_gmsh.model import write_msh
from homfem.meshing.cut.cutting import Edges, _crossings
from homfem.meshing.files.foreign import read_raw
from homfem.meshing.shapes.box_grid import box_grid_raw
from homfem.meshing.topology.percolation import shared_facets
from homfem.orientation.draws import sample_directions
from homfem.orientation.sphere import check_vector
from homfem.output.checkpoint import CheckpointFile
from homfem.output.fields import FieldSeries
from homfem.output.microfields import localise
from homfem.output.pictures import draw_cell
from homfem.output.views import SeriesView
from homfem.output.waves import FieldRecord, draw_series
from homfem.output.windows import draw_boundary_conditions
from homfem.parameters import (
    CellError,
    CheckpointError,
    ConvergenceError,
    FileError,
    InputError,
    Lattice,
    PercolationError,
    PeriodicityError,
)
from homfem.solve.vertices import input_vertices
from made_cells import grid_cell, grid_raw, square, with_named_facets

CASES, GEOMETRIES = (Path(__file__).parents[1] / name for name in ("cases", "meshes"))
SOLID = {"young": 1.0, "poisson": 0.3}


def refused(message, kind=InputError):
    """Expect an error whose text matches."""
    return pytest.raises(kind, match=message)


@pytest.fixture(scope="module")
def cell():
    return grid_cell((6, 6), square)


@pytest.fixture(scope="module")
def part():
    return symmetric_part(painted.laminate([0.3, 0.7], dimension=2, resolution=0.25, comm=MPI.COMM_SELF))


# Cells


def test_cells(cell, part, tmp_path):
    with refused("period = .*one length, or 2"):
        files.from_file(CASES / "cae2d.inp", period=[1.0, 1.0, 1.0])
    with refused("in the ratio of the file's period vectors"):
        files.from_file(CASES / "cae2d.inp", period=[1.0, 2.0])
    with refused("a RawCell, or a function that makes one, on rank 0"):
        UnitCell.from_raw(lambda: None, comm=MPI.COMM_SELF, name="none")
    with refused("Take the symmetric part last"):
        part.restrict(["layer1"])
    with refused("whole, not its part between mirror planes"):
        part.require_whole()
    write_msh(grid_raw((4, 4)), tmp_path / "cell.msh")
    with refused("Save the cell with UnitCell.save", FileError):
        files.load_cell(tmp_path / "cell.msh")
    with refused("a name that ends in .msh", FileError):
        write_msh(grid_raw((4, 4)), tmp_path / "cell.mesh")


def test_shapes():
    oblique = Lattice(vectors=np.array([[1.0, 0.0], [0.4, 1.0]]))
    for make, keys, message in (
        (painted.slit, {"aperture": 0.5, "dimension": 3, "period": oblique}, "3 period vectors"),
        (cells.fibre_array, {"fraction": 0.3, "dimension": 3, "period": oblique}, "only in the plane"),
        (cells.fibre_array, {"fraction": 0.3, "dimension": 2, "period": oblique, "lattice": "hexagonal"},
         "lattice = 'hexagonal'.*'square' with period vectors"),
        (cells.fibre_array, {"fraction": 0.3, "dimension": 2, "section": "polygon", "sides": 3, "coating": 0.45},
         "coatings alone touch"),
        (cells.medium_cell, {"medium": None, "phases": ("a", "a")}, "two different names"),
    ):  # fmt: skip
        with refused(message):
            make(**keys)


def test_arrays_of_cells():
    raw = grid_raw((4, 4))
    for change, message in (
        ({"phase_of_cell": raw.phase_of_cell[1:]}, "one tag per cell"),
        ({"facet_tags": np.ones(3, dtype=np.int32)}, "one tag per facet"),
        ({"cells": raw.cells[:, :2]}, r"cells = .*of shape \(n, 3\) for a triangle of order 1"),
        ({"kind": "quadrilateral", "order": 2}, "1 for a quadrilateral"),
    ):
        with refused(message, CellError):
            replace(raw, **change)
    with refused("at least one of 'a'"):
        restrict(raw, [])
    nodes = identify_nodes(raw.points, raw.lattice)[0]
    with refused("one flag per mesh cell"):
        bisect_cells(raw, nodes, np.ones(3, dtype=bool))
    every = np.ones(len(raw.cells), dtype=bool)
    curved = SimpleNamespace(order=2, kind="triangle", cells=raw.cells)
    with refused("1 for refinement by bisection", CellError):
        bisect_cells(curved, nodes, every)
    with refused("simplices of order 1 to be split", CellError):
        split_at_barycentres(curved)
    voxels = box_grid_raw([np.linspace(0.0, 1.0, 4)] * 2, np.ones((3, 3), dtype=int), {"a": 1}, elements="voxel")
    with refused("simplices for refinement by bisection", CellError):
        bisect_cells(voxels, nodes, every)


def test_nodes_that_are_off_by_little_each_and_too_much_together():
    """The fourth corner is within the tolerance of the images of its neighbours, and not of that of the first."""
    off = 0.8e-6
    points = np.array([[0.0, 0.0], [1.0, off], [off, 1.0], [1.0 + off, 1.0 + off]])
    with refused("its image one period away must be a node", PeriodicityError):
        identify_nodes(points, Lattice.box(1.0, 1.0), tolerance=1e-6)


def test_surfaces_without_a_crossing():
    """Signs that belong to other images of the ends: a function that is periodic but for its rounding."""

    class Mesh:
        points = np.array([[0.0, 0.0], [1.0, 0.0]])

    edges = Edges(np.array([0]), np.array([1]), np.array([0]), np.array([0]))
    with refused("no root: the level set has one sign at both ends of an edge", ConvergenceError):
        _crossings(Mesh, lambda points: 1e-17 + 0.0 * points[:, 0], edges)


def test_cells_that_overlap_on_a_facet():
    """Three triangles with an edge in common."""
    corners = np.array([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0], [1.0, 1.0], [0.4, 0.4]])
    raw = SimpleNamespace(corners=np.array([[0, 1, 2], [3, 2, 1], [4, 2, 1]]), kind="triangle", points=corners)
    with refused("a facet belongs to at most two cells", CellError):
        shared_facets(raw, np.arange(5), np.zeros((5, 2), dtype=int))


TWO_GROUPS = """$MeshFormat
2.2 0 8
$EndMeshFormat
$PhysicalNames
2
2 1 "a"
2 2 "a"
$EndPhysicalNames
$Nodes
4
1 0 0 0
2 1 0 0
3 1 1 0
4 0 1 0
$EndNodes
$Elements
2
1 2 2 1 1 1 2 3
2 2 2 2 2 1 3 4
$EndElements
"""


def test_groups_of_one_name_and_other_coordinates(tmp_path):
    (tmp_path / "cell.msh").write_text(TWO_GROUPS)
    with refused("physical groups = 2: it must be named, every one", CellError):  # Gmsh leaves the second without
        read_raw(tmp_path / "cell.msh")
    path = tmp_path / "cell.inp"
    path.write_text("*Node, system=C\n1, 0., 0.\n")
    with refused("an input file with Cartesian coordinates", FileError):
        read_raw(path)


# Problems


def test_coefficients_and_problems(cell, part):
    with refused(r"coefficients\['a'\].*given for every phase"):
        diffusion_coefficient(cell, {"b": 1.0})
    with refused(r"stiffnesses\['b'\].*given for every phase"):
        elastic_coefficient(cell, {"a": SOLID})
    modulus = elastic_coefficient(cell, {"a": SOLID, "b": SOLID})
    for keys, message in (
        ({"strains": [0], "pressure": True}, "None with eigenstresses or pressure"),
        ({"boundary": "affine", "pressure": True}, "'periodic' with eigenstresses or pressure"),
    ):
        with refused(message):
            elasticity_problem(cell, modulus, **keys)
    problem = diffusion_problem(cell, diffusion_coefficient(cell, {"a": 1.0, "b": 2.0}))
    for change, message in (({"fields": ()}, "at least one Field"), ({"affine": None}, "or else both linear and")):
        with refused(message):
            replace(problem, **change)
    mixed = diffusion_problem(cell, diffusion_coefficient(cell, {"a": 1.0, "b": 2.0}), boundary="mixed")
    with refused("boundary = 'mixed'.*whose parity is not given"):
        solve_correctors(cell, replace(mixed, parity=None), boundary="mixed")
    own = diffusion_problem(part, diffusion_coefficient(part, {"layer1": 1.0, "layer2": 2.0}))
    with refused("whole for diffusion.*whose parity is not given"):
        solve_correctors(part, replace(own, parity=None))
    with refused("whole for other backends"):
        solve_correctors(part, own, backend="multipoint")


def test_problems_of_several_fields(cell):
    fluid = cell.restrict(["a"])
    flow = stokes_problem(fluid)
    plain = diffusion_problem(cell, diffusion_coefficient(cell, {"a": 1.0, "b": 2.0}), boundary="flux")
    forms = {"linear": plain.linear_form, "average": plain.average_form, "affine": None}
    with refused("another one for diffusion, which no macroscopic gradient drives"):
        solve_correctors(cell, replace(plain, **forms), boundary="flux")
    with refused("'identified' for a problem of several fields"):
        solve_correctors(fluid, flow, backend="multipoint")
    with refused("field 2 of .* has no diagonal block. Give a metric"):
        solve_correctors(fluid, replace(flow, metric=None), preconditioner="multigrid")


def test_stiffnesses_that_fail_beside_the_softest_place(cell):
    """The matrix of the smallest eigenvalue is fine; another one is not symmetric, or not finite."""
    good = np.diag([3.0, 3.0, 1.0])

    def skew(x):
        values = np.broadcast_to(2.0 * good, (x.shape[1], 3, 3)).copy()
        values[0], values[1, 0, 1] = good, 0.5
        return values

    def nowhere(x):
        return np.broadcast_to(np.nan * good, (x.shape[1], 3, 3)).copy()

    for function, message in ((skew, "finite, symmetric and positive definite everywhere"), (nowhere, "finite")):
        with refused(rf"stiffnesses\['a'\].*{message}"):
            elastic_coefficient(cell, {"a": function, "b": SOLID})


def test_lower_bounds_on_other_meshes():
    quads = cells.image_cell(Image(phases=np.eye(4, dtype=int), names=("a", "b")), elements="voxel")
    with refused("made of straight simplices"):
        solve_fluxes(quads, diffusion_coefficient(quads, {"a": 1.0, "b": 1.0}))
    geo = GEOMETRIES / "unmatched_disc.geo"
    loose = files.from_file(geo, resolution=0.3, faces="non-matching", comm=MPI.COMM_SELF)
    names = loose.phase_names
    with refused("a stress is in equilibrium across the period only there"):
        solve_stresses(loose, elastic_coefficient(loose, dict.fromkeys(names, SOLID)))
    with refused("one whose opposite faces match"):
        certify.homogenize_stokes(loose, fluid=names[0])
    with refused("made of straight simplices"):
        solve_stresses(quads, elastic_coefficient(quads, {"a": SOLID, "b": SOLID}))


def test_membranes_where_nothing_touches():
    """Facets that have a name, between two phases of which none conducts."""

    def layers(s):
        return np.array([0, 1, 2, 1])[np.minimum((4 * s[:, 0]).astype(int), 3)]

    raw = with_named_facets(grid_raw((8, 4), layers, names=("a", "b", "c")), "skin", lambda x: np.isclose(x[:, 0], 0.5))
    cell = UnitCell.from_raw(raw, comm=MPI.COMM_SELF, name="layers")
    with refused("membranes = 'skin'.*between phases that conduct"):
        certify.homogenize_diffusion(cell, {"a": 1.0}, membranes={"skin": 1.0})


def test_options_of_physics(cell):
    solids = {"a": SOLID, "b": SOLID}
    with refused("a finite number, or a Voigt strain of 3 numbers"):
        certify.homogenize_thermoelasticity(cell, solids, {"a": [1.0, 2.0], "b": 1.0})
    for direction in ([0.0, 0.0], [1.0, 0.0, 0.0]):
        with refused("a vector of 2 numbers, not zero"):
            certify.homogenize_active_stress(cell, {"a": SOLID, "b": SOLID}, active_phase="a", direction=direction)
    stripes = grid_cell((8, 4), lambda s: (s[:, 0] < 0.5).astype(int))
    with refused("connected in every direction", PercolationError):
        certify.homogenize_thermoelasticity(stripes, {"b": SOLID}, {"b": 1.0})
    for options, message in (
        ({"slip_length": 0.1, "symmetry": "auto"}, "symmetry = 'auto'"),
        ({"element": "equal-order", "tolerance": 0.1}, "None with element='equal-order'"),
    ):
        with refused(message):
            certify.homogenize_stokes(cell, fluid="a", **options)
    with refused("symmetry = 'auto'"):
        certify.homogenize_elasticity(cell, {"a": SOLID, "b": SOLID}, symmetry="auto", boundary="affine")
    with refused("symmetry = 'auto'"):
        certify.homogenize_diffusion(cell, {"a": 1.0, "b": 1.0}, symmetry="auto", boundary="affine")


# Models, orientations, files


def test_a_membrane_at_which_nothing_rests():
    membrane = membrane_from_rates(TRIGGER_WAVE, cytosol_fraction=0.8, er_fraction=0.2, interface_area=1.0)
    with refused("one whose flux is positive at c = 0"), np.errstate(all="ignore"):
        resting_state(membrane, total=1e308, cytosol_fraction=0.8, er_fraction=0.2, ip3=0.3)


def test_fields_that_are_no_numbers(tmp_path):
    np.save(tmp_path / "a.npy", np.ones((3, 3), dtype=complex))
    (tmp_path / "a.inp").write_text("*Node")
    with refused(r"field\.file = .*an image, or a mesh .* ends in \.vtu, \.xdmf, \.vtk, \.msh", FileError):
        FieldCoefficient(str(tmp_path / "a.inp"), None, "m^2/s").to("m^2/s")
    with refused(r"field\.file = .*a field of numbers. It holds complex128", FileError):
        FieldCoefficient(str(tmp_path / "a.npy"), None, "m^2/s").to("m^2/s")


def test_orientations():
    for orientation, message in (
        ("fibres", r"Uniform\(\), Directions\(\)"),
        (lambda generator: np.ones((3, 2)), r"a function \(generator, count\) -> vectors"),
        (lambda generator, count: np.zeros((count, 2)), "finite vectors that are not zero"),
        (lambda generator, count: np.ones((count, 3)), "finite vectors that are not zero"),
    ):
        with refused(message):
            sample_directions(orientation, 3, 2, 1)
    for value in ("x", [[1.0], [1.0, 2.0]]):
        with refused("a vector of 2 or 3 finite numbers"):
            check_vector("axis", value)


def space_of(cell_type=dmesh.CellType.tetrahedron, element=("Lagrange", 1)):
    domain = dmesh.create_box(MPI.COMM_SELF, [[0, 0, 0], [1, 1, 1]], [2, 2, 2], cell_type)
    return fem.functionspace(domain, element)


def test_a_checkpoint_of_other_cells(tmp_path):
    from homfem.macro.state import StateField

    space = space_of()
    function = fem.Function(space)
    entry = StateField(function.function_space, function.x.array)
    CheckpointFile(tmp_path / "a").write({"c": entry}, state={}, problem={})
    with refused("its cells are others", CheckpointError):
        CheckpointFile(tmp_path / "a").read({"c": space_of(dmesh.CellType.hexahedron)}, {})


def test_places_of_fields(tmp_path, monkeypatch):
    function = fem.Function(space_of(), name="c")
    (tmp_path / "a.h5").mkdir()
    (tmp_path / "a.bp").write_text("")
    (tmp_path / "c-times").write_text("")
    for name, message in (
        ("a.xdmf", "no folder"),
        ("a.bp", "the name of a folder or a new name"),
        ("c.xdmf", "c-times': it must be a folder of the series"),
    ):
        with refused(message, FileError):
            FieldSeries(tmp_path / name, [function])
    monkeypatch.delattr(dolfinx.io, "VTXWriter")
    with refused("this dolfinx has no ADIOS2", FileError):
        FieldSeries(tmp_path / "b.bp", [function])
    monkeypatch.setattr("os.access", lambda *_: False)  # the superuser may write everywhere
    with refused("in a folder that can be written in", FileError):
        FieldSeries(tmp_path / "b.xdmf", [function])
    with refused("scalar continuous Lagrange of degree 1"):
        input_vertices(space_of(element=("Lagrange", 2)))


def test_pictures(cell, tmp_path):
    solution = certify.solve_diffusion(cell, {"a": 1.0, "b": 2.0}, bounds=False, degree=1)
    fields = localise(solution.cell, solution.correctors, [1.0, 0.0])
    with refused("rank = 0.*the arrays are there"):
        replace(fields, cell=replace(fields.cell, raw=None)).unfolded()
    with refused("a name that ends in .png, .pdf or .svg", FileError):
        draw_boundary_conditions(None, tmp_path / "a.jpg")
    points, triangle = np.eye(3)[:, :2], [[0, 1, 2]]
    for nodes, tags, message in ((points[:, :1], [1], "points"), (points, [1, 1], "phase_of_cell")):
        with refused(message):
            draw_cell(nodes, triangle, tags, tmp_path / "a.png", phases={"a": 1})
    record = FieldRecord()
    record.comm = MPI.COMM_SELF
    corners = np.vstack([np.zeros(3), np.eye(3)])
    record.points = np.vstack([corners, corners + 3.0 * np.eye(3)[0]])  # two bodies, and the plane between them
    record.cells, record.times, record.values = np.arange(8).reshape(2, 4), [0.0], [np.ones(8)]
    for style in ("section", "body"):
        with refused("of a plane that cuts the body"):
            draw_series(record, tmp_path / "a.png", view=SeriesView(label="c", style=style, normal=(1.0, 0.0, 0.0)))


def test_a_matrix_without_factors():
    domain = dmesh.create_unit_square(MPI.COMM_SELF, 2, 2)
    space = fem.functionspace(domain, ("Lagrange", 1))
    u, v = ufl.TrialFunction(space), ufl.TestFunction(space)
    matrix = solve.assemble_matrix(u * v * ufl.dx)
    matrix.scale(np.nan)
    with refused("linear system", ConvergenceError):
        solver = solve.LinearSolver(matrix, preconditioner="direct")
        b, x = matrix.createVecLeft(), matrix.createVecRight()
        b.set(1.0)
        solver.solve(b, x)
