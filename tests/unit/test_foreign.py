"""Cells meshed or drawn elsewhere: STEP, any format of meshio, meshing that is ended, faces that do not match."""

from __future__ import annotations

import itertools
import os
import re
import resource
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import gmsh
import meshio
import numpy as np
import psutil
import pytest
from mpi4py import MPI

from homfem.config import make_config
from homfem.meshing.arrays.facets import cell_facets
from homfem.meshing.arrays.raw_cell import RawCell, cell_volumes
from homfem.meshing.by_gmsh.filling import fill_volume
from homfem.meshing.by_gmsh.model import from_gmsh_raw, write_msh
from homfem.meshing.by_gmsh.model_arrays import model_to_raw
from homfem.meshing.by_gmsh.repair import RepairError, remeshed, repaired
from homfem.meshing.by_gmsh.session import gmsh_session
from homfem.meshing.by_gmsh.subprocess_mesher import run_limited
from homfem.meshing.files.element_data import read_element_data
from homfem.meshing.files.foreign import from_meshio_raw, read_raw
from homfem.meshing.files.saved import MESHIO_TYPES
from homfem.parameters import CellError, FileError, InputError, Lattice, PeriodicityError, UnitError
from homfem.periodic import check_faces, identify_nodes
from homfem.runs.physics import solve_effective
from homfem.runs.shapes import make_cell
from homfem.stiffness import isotropic
from made_cells import grid_raw, square
from made_laminates import layered, rational, strain_of


def fractions(raw: RawCell) -> dict[str, float]:
    volumes = cell_volumes(raw) / raw.lattice.volume
    return {name: float(volumes[raw.phase_of_cell == tag].sum()) for name, tag in raw.phases.items()}


def assert_periodic(raw: RawCell) -> None:
    representative, _ = identify_nodes(raw.points, raw.lattice)
    check_faces(raw.points, raw.corners, representative, raw.lattice, whole=True)
    assert np.count_nonzero(representative != np.arange(len(representative))) > 5


# STEP


def write_step(path: Path, build, names: tuple[str, ...] = ()) -> Path:
    """Draw with OpenCASCADE, and name the parts in their order: Gmsh cannot write names itself."""
    with gmsh_session() as session:
        build(session.model.occ)
        session.model.occ.synchronize()
        session.write(str(path))
    text = path.read_text()
    for number, name in enumerate(names, start=1):
        text = re.sub(rf"'Open CASCADE STEP translator [\d.]+ \d+\.{number}'", f"'{name}'", text)
    path.write_text(text)
    return path


def fibre(occ) -> None:
    matrix, cylinder = occ.addBox(0, 0, 0, 1, 1, 1), occ.addCylinder(0.5, 0.5, 0, 0, 0, 1, 0.3)
    occ.fragment([(3, matrix)], [(3, cylinder)])  # the fibre comes first


def fibre_at_the_corners(occ) -> None:
    box = occ.addBox(0, 0, 0, 1, 1, 1)
    rods = [(3, occ.addCylinder(x, y, 0, 0, 0, 1, 0.3)) for x in (0, 1) for y in (0, 1)]
    inside, _ = occ.intersect([(3, box)], rods, removeObject=False)
    occ.fragment([(3, box)], inside)  # four quarters first


@pytest.mark.parametrize("order", [1, 2])
def test_a_step_file_with_names(tmp_path, order):
    path = write_step(tmp_path / "cell.step", fibre, ("fibre", "matrix"))
    raw = from_gmsh_raw(path, length_unit="mm", resolution=0.15, order=order, timeout=None)
    assert raw.order == order
    assert raw.length_unit == "mm"
    assert np.allclose(raw.lattice.vectors, np.eye(3), atol=1e-12)
    area = 0.09 * np.pi
    assert fractions(raw) == pytest.approx({"fibre": area, "matrix": 1 - area}, rel=0.03 if order == 1 else 1e-3)
    assert_periodic(raw)
    fine = from_gmsh_raw(path, length_unit="mm", resolution=0.11, order=order, timeout=None)
    assert len(fine.cells) > 2 * len(raw.cells)


def test_a_step_file_carries_its_unit(tmp_path):
    path = write_step(tmp_path / "cell.stp", fibre, ("fibre", "matrix"))
    raw = from_gmsh_raw(path, length_unit="um", resolution=0.2)
    assert raw.length_unit == "um"
    assert np.allclose(raw.lattice.vectors, 1000.0 * np.eye(3), rtol=1e-12)
    assert raw.points.max() == pytest.approx(1000.0, rel=1e-12)
    given = from_gmsh_raw(path, length_unit="um", resolution=0.2, lattice=Lattice.box(1000.0, 1000.0, 1000.0))
    assert np.array_equal(given.points, raw.points)


def test_parts_of_one_name_are_one_phase(tmp_path):
    names = ("fibre", "fibre", "fibre", "fibre", "matrix")
    raw = from_gmsh_raw(write_step(tmp_path / "a.step", fibre_at_the_corners, names), length_unit="mm", order=2)
    assert fractions(raw) == pytest.approx({"fibre": 0.09 * np.pi, "matrix": 1 - 0.09 * np.pi}, rel=1e-3)
    assert_periodic(raw)
    raw = from_gmsh_raw(write_step(tmp_path / "b.step", fibre_at_the_corners), length_unit="mm", resolution=0.2)
    assert list(raw.phases) == ["part1", "part2", "part3", "part4", "part5"]


def test_a_flat_step_file_on_an_oblique_lattice(tmp_path):
    def rhombus(occ) -> None:
        points = [occ.addPoint(x, y, 0) for x, y in ((0, 0), (1, 0), (1.5, 0.8), (0.5, 0.8))]
        lines = [occ.addLine(points[k], points[(k + 1) % 4]) for k in range(4)]
        face, disc = occ.addPlaneSurface([occ.addCurveLoop(lines)]), occ.addDisk(0.75, 0.4, 0, 0.2, 0.2)
        occ.fragment([(2, face)], [(2, disc)])

    lattice = Lattice(vectors=[[1.0, 0.0], [0.5, 0.8]])
    path = write_step(tmp_path / "cell.step", rhombus)
    raw = from_gmsh_raw(path, lattice=lattice, length_unit="mm", order=2, timeout=None)
    assert sorted(fractions(raw).values()) == pytest.approx([0.05 * np.pi, 1 - 0.05 * np.pi], rel=1e-4)
    assert_periodic(raw)


def bump(occ) -> None:
    box, ball = occ.addBox(0, 0, 0, 1, 1, 1), occ.addSphere(1.0, 0.5, 0.5, 0.3)
    occ.fuse([(3, box)], [(3, ball)])


def overlap(occ) -> None:
    occ.addBox(0, 0, 0, 1, 1, 1)
    occ.addBox(0.5, 0, 0, 1, 1, 1)


def one_sided(occ) -> None:
    box, ball = occ.addBox(0, 0, 0, 1, 1, 1), occ.addSphere(1.0, 0.5, 0.5, 0.3)
    half, _ = occ.intersect([(3, box)], [(3, ball)], removeObject=False)
    occ.fragment([(3, box)], half)


def cone(occ) -> None:
    """The centres of its ends match, their sizes do not."""
    occ.fragment([(3, occ.addBox(0, 0, 0, 1, 1, 1))], [(3, occ.addCone(0, 0.5, 0.5, 1, 0, 0, 0.3, 0.2))])


@pytest.mark.parametrize(
    ("build", "inputs", "error", "message"),
    [
        (overlap, {}, CellError, "'part1' and 'part2'.*without overlap"),
        (bump, {}, CellError, "holds all parts"),
        (one_sided, {}, PeriodicityError, r"faces across period 1 = '1 against 2.*alike on both sides"),
        (cone, {}, PeriodicityError, r"faces across period 1 = '2 against 2"),
        (fibre, {"lattice": Lattice.box(0.5, 1.0, 1.0)}, CellError, "holds all parts"),
        (fibre, {"lattice": Lattice.box(1.0, 1.0)}, CellError, "3 period vectors"),
        (fibre, {"length_unit": "s"}, UnitError, "length"),
        (fibre, {"parameters": {"a": 1.0}}, InputError, "no constants"),
        (fibre, {"order": 3}, InputError, "order = 3"),
        (lambda occ: occ.addLine(occ.addPoint(0, 0, 0), occ.addPoint(1, 0, 0)), {}, FileError, "at least one face"),
        (lambda occ: occ.addSphere(0, 0, 0, 1), {"dimension": 2}, CellError, "in one plane"),
        (lambda occ: occ.addTorus(0, 0, 0, 2, 1), {}, CellError, "period"),
    ],
)
def test_unusable_step_files_are_refused(tmp_path, build, inputs, error, message):
    path = write_step(tmp_path / "cell.step", build)
    with pytest.raises(error, match=message):
        from_gmsh_raw(path, timeout=None, **({"length_unit": "mm"} | inputs))


def test_a_step_file_that_is_none_is_refused(tmp_path):
    (tmp_path / "cell.step").write_text("solid nonsense\n")
    with pytest.raises(FileError, match="OpenCASCADE can read"):
        from_gmsh_raw(tmp_path / "cell.step")


# Meshing ends


ENDLESS = 'For i In {1:2000000000}\n  a = i;\nEndFor\nPoint(1) = {0, 0, 0};\nPhysical Surface("a") = {1};\n'


def test_meshing_is_ended_in_time(tmp_path):
    path = tmp_path / "endless.geo"
    path.write_text(ENDLESS)
    others = psutil.Process().children()
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    with pytest.raises(CellError, match=r"timeout = 3.0: .*the mesher was ended"):
        from_gmsh_raw(path, timeout=3)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    # What the mesher has computed: never more than the time that it had, however busy the machine is.
    assert after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime < 3.5
    assert set(psutil.Process().children()) <= set(others)
    with pytest.raises(InputError, match="timeout = 0"):
        from_gmsh_raw(path, timeout=0)
    assert not gmsh.isInitialized()


def test_a_process_of_its_own_gives_what_this_one_gives():
    raw = grid_raw((4, 4), square)
    other = run_limited(cell_volumes, raw)
    assert np.array_equal(other, cell_volumes(raw))
    assert np.array_equal(run_limited(cell_volumes, raw, timeout=None), other)
    with pytest.raises(FileError, match="directory"):  # an error of the package comes back as it is
        run_limited(write_msh, raw, Path("/nowhere/cell.msh"))


#: Run by the process of a mesher: it loads all that a mesher may, makes a mesh, and tells what is loaded.
LOADED = """(
    importlib := __import__("importlib"),
    meshing := importlib.import_module("homfem.meshing"),
    [importlib.import_module(each.name) for each in
     importlib.import_module("pkgutil").walk_packages(meshing.__path__, "homfem.meshing.")],
    meshing.shapes.three_pipe_gmsh.gmsh_three_pipe(0.5, resolution=0.3),
    list(importlib.import_module("sys").modules),
)[-1]"""


def test_the_process_of_a_mesher_loads_neither_dolfinx_nor_mpi():
    loaded = run_limited(eval, LOADED, {})
    assert {"gmsh", "homfem.meshing.files.foreign", "homfem.meshing.shapes.fibres"} <= set(loaded)
    heavy = {"dolfinx", "dolfinx_mpc", "mpi4py", "petsc4py", "ufl", "basix", "ffcx"}
    assert not heavy & {name.split(".")[0] for name in loaded}


def test_a_process_that_crashes_is_told():
    with pytest.raises(CellError, match="exit status 7"):
        run_limited(os._exit, 7)
    with pytest.raises(CellError, match="signal"):
        run_limited(os.abort)


def test_the_log_comes_back(tmp_path, caplog):
    path = tmp_path / "cell.geo"
    path.write_text(
        'SetFactory("OpenCASCADE");\nRectangle(1) = {0, 0, 0, 1, 1};\nPhysical Surface("a") = {1};\n'
        "Physical Curve(7) = {1};\n"
    )
    from_gmsh_raw(path)
    assert "physical group 7 of dimension 1 has no name" in caplog.text


# Formats of meshio


def meshio_mesh(raw: RawCell, **more) -> meshio.Mesh:
    kind, place = MESHIO_TYPES[raw.kind, raw.order]
    return meshio.Mesh(raw.points, [(kind, raw.cells[:, place])], **more)


@pytest.fixture(scope="module")
def curved(tmp_path_factory) -> RawCell:
    path = write_step(tmp_path_factory.mktemp("step") / "cell.step", fibre, ("fibre", "matrix"))
    return from_gmsh_raw(path, length_unit="mm", resolution=0.25, order=2)


@pytest.mark.parametrize("suffix", [".vtu", ".vtk", ".xdmf", ".inp"])
def test_curved_cells_of_other_formats(tmp_path, curved, suffix):
    path = tmp_path / f"cell{suffix}"
    if suffix == ".inp":  # Abaqus has element sets
        sets = {name: [np.flatnonzero(curved.phase_of_cell == tag)] for name, tag in curved.phases.items()}
        meshio_mesh(curved, cell_sets=sets).write(path)
        raw = from_meshio_raw(path, length_unit="mm")
    else:
        meshio_mesh(curved, cell_data={"material": [curved.phase_of_cell + 10]}).write(path)
        raw = from_meshio_raw(path, phases={"fibre": 11, "matrix": [12]}, length_unit="mm")
        assert list(from_meshio_raw(path).phases) == ["phase11", "phase12"]
    assert raw.order == 2
    assert fractions(raw) == pytest.approx(fractions(curved), rel=1e-9)
    assert np.allclose(raw.lattice.vectors, np.eye(3), atol=1e-9)
    assert_periodic(raw)


def test_flat_cells_and_their_facets_of_another_format(tmp_path):
    raw = grid_raw((4, 4), square, vectors=[[2.0, 0.0], [0.5, 1.0]])
    points = np.column_stack([raw.points, np.full(len(raw.points), 3.0)])
    blocks = [("line", [[0, 1], [1, 2]]), ("triangle", raw.cells[:10]), ("triangle", raw.cells[10:])]
    data = {"tag": [np.array([7, 8]), raw.phase_of_cell[:10], raw.phase_of_cell[10:]], "size": [np.ones(2) * 0.5] * 3}
    data["size"] = [np.full(len(block[1]), 0.5) for block in blocks]
    meshio.Mesh(points, blocks, cell_data=data).write(tmp_path / "cell.vtu")
    lattice = raw.lattice
    read = read_raw(tmp_path / "cell.vtu", lattice=lattice, phases={"all": [1, 2]}, facets={"mouth": 8}, length=2.0)
    assert fractions(read) == pytest.approx({"all": 1.0})
    assert read.lattice.volume == pytest.approx(4 * lattice.volume)
    assert set(read.facet_names) == {"mouth"}
    assert np.allclose(np.sort(read.points[read.facets[0]], axis=0), np.sort(2 * raw.points[[1, 2]], axis=0))
    assert_periodic(read)
    meshio.Mesh(points, blocks[1:]).write(tmp_path / "plain.vtk")
    assert fractions(from_meshio_raw(tmp_path / "plain.vtk", lattice=lattice)) == pytest.approx({"phase1": 1.0})


@pytest.mark.parametrize(
    ("change", "inputs", "error", "message"),
    [
        ({}, {"phases": {"a": 1}}, CellError, "8 of 32 have none.*cell data"),
        ({}, {"phases": {"a": 1, "b": 9}}, InputError, r"phases.b = 9.*material: 1, 2"),
        ({}, {"phases": {"a": [1, 2], "b": 2}}, CellError, "share 8 cells"),
        ({}, {"phases": {"a": "set"}}, InputError, "name of a cell set"),
        ({}, {"phase_data": "materiel"}, InputError, "material"),
        ({}, {"dimension": 3}, CellError, "at least one tetrahedron"),
        ({}, {"dimension": 4}, InputError, "dimension = 4"),
        ({}, {"length": 0.0}, InputError, "length = 0"),
        ({"more": {"other": 1}}, {}, InputError, "phase_data.*'material', 'other'"),
        ({"z": True}, {}, CellError, "in one plane"),
        ({"quad": True}, {}, CellError, "1 are too warped"),
    ],
)
def test_unusable_meshes_are_refused(tmp_path, change, inputs, error, message):
    raw = grid_raw((4, 4), square)
    points = np.column_stack([raw.points, raw.points[:, 0] if change.get("z") else np.zeros(len(raw.points))])
    blocks = [("triangle", raw.cells)]
    data = {"material": [raw.phase_of_cell]}
    if change.get("quad"):
        blocks.append(("quad", [[0, 1, 2, 3]]))
        data["material"].append(np.array([1]))
    for name, value in change.get("more", {}).items():
        data[name] = [np.full(len(raw.cells), value)]
    path = tmp_path / "cell.vtk"
    meshio.Mesh(points, blocks, cell_data=data).write(path)
    with pytest.raises(error, match=message):
        from_meshio_raw(path, **inputs)


def test_files_that_meshio_cannot_read_are_refused(tmp_path):
    with pytest.raises(FileError, match="existing"):
        from_meshio_raw(tmp_path / "none.vtu")
    for name, text in (("a.vtu", "<VTKFile>"), ("a.bdf", "x"), ("a.xyz9", "x"), ("a.vtk", "")):
        (tmp_path / name).write_text(text)
        with pytest.raises(FileError, match="meshio says"):
            from_meshio_raw(tmp_path / name)


def test_options_of_another_kind_of_file_are_refused(tmp_path):
    with pytest.raises(InputError, match=r"resolution = 0.1.*absent for a .vtu file"):
        read_raw(tmp_path / "cell.vtu", resolution=0.1)
    with pytest.raises(InputError, match=r"phases.*absent for a .step file"):
        read_raw(tmp_path / "cell.step", phases={"a": 1})
    with pytest.raises(FileError, match="existing"):
        read_raw(tmp_path / "cell.step")


# Faces that do not match


def mismatched(build, d: int, *, size: float = 0.2, order: int = 1, corner: float = 0.06) -> RawCell:
    """A cell whose mesh is finer at the edge x = y = 1 than at the opposite ones."""
    with gmsh_session(Mesh_ElementOrder=order) as session:
        build(session.model.occ)
        session.model.occ.synchronize()
        for number, (_, tag) in enumerate(session.model.getEntities(d), start=1):
            session.model.addPhysicalGroup(d, [tag], name=f"part{number}")
        for entity in session.model.getEntities(0):
            x = session.model.getValue(0, entity[1], [])
            session.model.mesh.setSize([entity], corner if min(x[0], x[1]) > 0.9 else size)
        session.model.mesh.generate(d)
        return model_to_raw(d)


def disc(occ) -> None:
    occ.fragment([(2, occ.addRectangle(0, 0, 0, 1, 1))], [(2, occ.addDisk(0.5, 0.5, 0, 0.3, 0.3))])


def layers(occ) -> None:
    occ.fragment([(2, occ.addRectangle(0, 0, 0, 1, 0.4))], [(2, occ.addRectangle(0, 0.4, 0, 1, 0.6))])


def hole(occ) -> None:
    occ.cut([(2, occ.addRectangle(0, 0, 0, 1, 1))], [(2, occ.addDisk(0.5, 0.5, 0, 0.3, 0.3))])


def ball(occ) -> None:
    occ.fragment([(3, occ.addBox(0, 0, 0, 1, 1, 1))], [(3, occ.addSphere(0.5, 0.5, 0.5, 0.3))])


def bubble(occ) -> None:
    occ.cut([(3, occ.addBox(0, 0, 0, 1, 1, 1))], [(3, occ.addSphere(0.5, 0.5, 0.5, 0.3))])


def solid_layers(occ) -> None:
    occ.fragment([(3, occ.addBox(0, 0, 0, 1, 1, 0.4))], [(3, occ.addBox(0, 0, 0.4, 1, 1, 0.6))])


def notched(occ) -> None:
    """What is missing below is there above, between the same lines."""
    body = occ.addBox(0, 0, 0, 1, 1, 1)
    below = [occ.addBox(0.4, 0, 0, 0.2, 1, 0.2)]
    above = [occ.addBox(0, 0, 0.8, 0.4, 1, 0.2), occ.addBox(0.6, 0, 0.8, 0.4, 1, 0.2)]
    occ.cut([(3, body)], [(3, tag) for tag in below + above])


def flat_notched(occ) -> None:
    body = occ.addRectangle(0, 0, 0, 1, 1)
    below = [occ.addRectangle(0.4, 0, 0, 0.2, 0.2)]
    above = [occ.addRectangle(0, 0.8, 0, 0.4, 0.2), occ.addRectangle(0.6, 0.8, 0, 0.4, 0.2)]
    occ.cut([(2, body)], [(2, tag) for tag in below + above])


def boundaries(raw: RawCell) -> set:
    """Facets between phases and of voids inside the cell, by the coordinates of their nodes."""
    facets = cell_facets(raw.corners, raw.kind).reshape(-1, raw.dimension)
    phase = np.repeat(raw.phase_of_cell, raw.dimension + 1)
    sides: dict = {}
    for nodes, own in zip(np.sort(facets, axis=1).tolist(), phase.tolist(), strict=True):
        sides.setdefault(tuple(nodes), []).append(own)
    s = raw.lattice.fractional(raw.points)
    s -= s.min(axis=0)
    found = set()
    for nodes, own in sides.items():
        on_face = np.any(np.all(np.isclose(s[list(nodes)], 0) | np.isclose(s[list(nodes)], 1), axis=0))
        if (len(own) == 2 and own[0] != own[1]) or (len(own) == 1 and not on_face):
            found.add(tuple(sorted(map(tuple, np.round(raw.points[list(nodes)], 9).tolist()))))
    return found


OBLIQUE = {2: np.array([[2.0, 0.1], [0.7, 1.0]]), 3: np.array([[1.0, 0.1, 0.0], [0.0, 1.0, 0.3], [0.2, 0.0, 1.0]])}


@pytest.mark.parametrize(
    ("build", "d"),
    [(disc, 2), (layers, 2), (hole, 2), (ball, 3), (bubble, 3), (fibre, 3)],
    ids=lambda v: getattr(v, "__name__", str(v)),
)
def test_faces_that_do_not_match_are_meshed_anew(build, d):
    raw = mismatched(build, d)
    if build in (disc, ball):
        shift = np.arange(1.0, d + 1)
        raw = replace(raw, points=raw.points @ OBLIQUE[d] + shift, lattice=Lattice(vectors=OBLIQUE[d]))
    with pytest.raises(PeriodicityError):
        identify_nodes(raw.points, raw.lattice)
    new = repaired(raw, timeout=None)
    representative, _ = identify_nodes(new.points, new.lattice)
    check_faces(new.points, new.corners, representative, new.lattice, whole=build not in (hole, bubble))
    assert fractions(new) == pytest.approx(fractions(raw), abs=1e-12)
    assert boundaries(new) == boundaries(raw)
    assert 0.5 * len(raw.cells) < len(new.cells) < 1.5 * len(raw.cells)
    assert repaired(new) is new


def test_the_middle_of_a_new_edge_may_be_an_old_node():
    for size, corner in ((0.1, 0.04), (0.125, 0.05), (0.25, 0.125)):
        assert_periodic(repaired(mismatched(disc, 2, size=size, corner=corner), timeout=None))


def test_names_of_facets_that_are_kept_survive(caplog):
    raw = mismatched(disc, 2)
    phase = dict(raw.phases.items())
    flags = [np.isin(np.arange(len(raw.points)), raw.cells[raw.phase_of_cell == tag]) for tag in phase.values()]
    both = flags[0] & flags[1]
    facets = np.unique(np.sort(cell_facets(raw.cells, raw.kind).reshape(-1, 2), axis=1), axis=0)
    membrane = facets[both[facets].all(axis=1)]
    wall = facets[(raw.points[facets][..., 0] == 0.0).all(axis=1)]
    named = replace(
        raw,
        facets=np.vstack([membrane, wall]),
        facet_tags=np.repeat([1, 2], [len(membrane), len(wall)]),
        facet_names={"membrane": 1, "wall": 2},
        slivers=None,
    )
    new = repaired(named, timeout=None)
    assert dict(new.facet_names) == {"membrane": 1}
    assert len(new.facets) == len(membrane) > 5
    assert np.allclose(np.linalg.norm(new.points[new.facets] - 0.5, axis=2), 0.3)
    assert "lost their names: wall" in caplog.text


@pytest.mark.parametrize("suffix", [".msh", ".vtu"])
def test_files_are_repaired_when_asked(tmp_path, suffix):
    raw = mismatched(disc, 2)
    path = tmp_path / f"cell{suffix}"
    if suffix == ".msh":
        write_msh(raw, path)
    else:
        points = np.column_stack([raw.points, np.zeros(len(raw.points))])
        meshio.Mesh(points, [("triangle", raw.cells)], cell_data={"phase": [raw.phase_of_cell]}).write(path)
    with pytest.raises(PeriodicityError):
        identify_nodes(read_raw(path).points, raw.lattice)
    new = read_raw(path, repair=True)
    assert_periodic(new)
    assert list(fractions(new).values()) == pytest.approx(list(fractions(raw).values()))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: mismatched(disc, 2, order=2), "order = 2.*curvature"),
        (lambda: mismatched(solid_layers, 3), "boundaries of phases on the faces across period .*cut alike"),
        (lambda: mismatched(notched, 3, corner=0.2), "faces across period 3.*filled in the same places"),
        (lambda: mismatched(flat_notched, 2), "faces across period 2.*filled in the same places"),
        (lambda: replace(mismatched(disc, 2), lattice=Lattice(vectors=[[1.0, 0.3], [0.0, 1.0]])), "parallelepiped"),
        (lambda: replace(mismatched(disc, 2), lattice=Lattice.box(1.0, 2.0)), "parallelepiped"),
    ],
)
def test_meshes_that_cannot_be_repaired_are_refused(make, message):
    raw = make()
    with pytest.raises(RepairError, match=message):
        remeshed(raw)


def two_squares(s: np.ndarray) -> np.ndarray:
    """Squares that touch in a corner."""
    return (np.all((s > 0.25) & (s < 0.5), axis=1) | np.all((s > 0.5) & (s < 0.75), axis=1)).astype(int)


def checks(s: np.ndarray) -> np.ndarray:
    return (np.floor(4 * s).sum(axis=1) % 2).astype(int)


def with_a_node_moved(raw: RawCell) -> RawCell:
    points = raw.points.copy()
    points[np.isclose(points, (1.0, 0.125)).all(axis=1)] += (0.0, 0.03)
    return replace(raw, points=points)


def test_parts_that_touch_in_points():
    board = with_a_node_moved(grid_raw((8, 8), checks))
    new = repaired(board, timeout=None)
    assert_periodic(new)
    assert boundaries(new) == boundaries(board)
    with pytest.raises(RepairError, match="does not touch itself"):  # around the squares the other phase does
        repaired(with_a_node_moved(grid_raw((8, 8), two_squares)), timeout=None)


def test_a_volume_whose_surface_is_open_is_refused():
    square_ = np.array([[0.0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1]])
    with pytest.raises(CellError, match="closed"):
        fill_volume(square_, np.array([[0, 1, 2], [0, 1, 3], [0, 2, 3]]))
    points, cells = fill_volume(square_, np.array([[0, 1, 2], [0, 1, 3], [0, 2, 3], [1, 2, 3]]))
    surface = np.array([[0, 1, 2], [0, 1, 3], [0, 2, 3], [1, 2, 3]])
    crossing = np.vstack([square_, square_ + np.array([0.65, 0.15, 0.15])])
    with pytest.raises(CellError, match=r"volume = .*such that Gmsh can fill it"):
        fill_volume(crossing, np.vstack([surface, surface + 4]))
    edges = points[cells[:, 1:]] - points[cells[:, :1]]
    assert np.abs(np.linalg.det(edges)).sum() / 6 == pytest.approx(1 / 6)


def shuffled_strip(path, rng):
    """A unit square of quadrilaterals and triangles in several blocks, in no order; the middles of its elements."""
    x, y = np.meshgrid(np.linspace(0.0, 1.0, 9), np.linspace(0.0, 1.0, 5), indexing="ij")
    node = np.arange(45).reshape(9, 5)
    quads = np.stack([node[:-1, :-1], node[1:, :-1], node[1:, 1:], node[:-1, 1:]], axis=-1).reshape(-1, 4)
    quads = rng.permutation(quads)
    halves = rng.permutation(quads[20:][:, [[0, 1, 2], [0, 2, 3]]].reshape(-1, 3))
    cells = [("triangle", halves[:7]), ("quad", quads[:9]), ("triangle", halves[7:]), ("quad", quads[9:20])]
    points = np.stack([x.ravel(), y.ravel()], axis=1)
    middles = [points[nodes].mean(axis=1) for _, nodes in cells]
    return np.column_stack([points, np.zeros(45)]), cells, middles


def write_msh_data(path, points, cells, views, *, tags=None, kind="ElementData", steps=(0,)):
    """A mesh in Gmsh's format 2.2 with numbers for its elements, whose tags are in no order unless they are given."""
    rng = np.random.default_rng(6)
    count = sum(len(nodes) for _, nodes in cells)
    tags = 3 * rng.permutation(count) + 5 if tags is None else tags
    types = {"triangle": 2, "quad": 3, "triangle6": 9}
    rows = [(types[name], nodes + 1) for name, block in cells for nodes in block]
    lines = ["$MeshFormat", "2.2 0 8", "$EndMeshFormat", "$Nodes", len(points)]
    lines += [f"{k} {x!r} {y!r} 0" for k, (x, y) in enumerate(points[:, :2].tolist(), start=1)]
    lines += ["$EndNodes", "$Elements", count]
    lines += [f"{tag} {shape} 2 1 1 {' '.join(map(str, n))}" for tag, (shape, n) in zip(tags, rows, strict=True)]
    lines += ["$EndElements"]
    for (name, values), step in itertools.product(views.items(), steps):
        head = [f"${kind}", 1, f'"{name}"', 1, float(step), 3, step, values.shape[1], len(values)]
        own = np.arange(1, len(points) + 1) if kind == "NodeData" else tags
        shuffled = [(own[k], values[k].tolist()) for k in rng.permutation(len(values))]
        lines += [*head, *(f"{tag} {' '.join(map(repr, row))}" for tag, row in shuffled), f"$End{kind}"]
    path.write_text("\n".join(map(str, lines)) + "\n")
    return path


def tensors_of_file(comm, folder, names):
    """The tensors of one mesh file whose own cell data are the coefficient."""
    results = {}
    for name, file in names.items():
        field = {"field": {"file": file, "name": name, "unit": "m^2/s"}}
        if file.endswith(".xdmf"):
            field["field"]["components"] = ["xx", "xy", "yy"]
        msh = file.endswith(".msh")
        cell = {"file": file, "phases": {"tissue": 1}} if msh else {"file": "mesh.vtu", "phases": {"tissue": "*"}}
        effective = {"physics": "diffusion", "phases": {"tissue": field}}
        config = make_config({"cell": cell, "effective": effective}, folder=Path(folder))
        tensor = solve_effective(config.effective, make_cell(config.cell, comm, Path(folder)), config={}).tensor
        results[name] = [tensor.value.tolist(), tensor.lower.tolist(), tensor.upper.tolist()]
    return results


def test_coefficients_of_elements_are_those_of_the_file(tmp_path, on_ranks):
    # Layers across x whose tensors have turned axes; elements of two shapes in four blocks in no order.
    points, cells, middles = shuffled_strip(tmp_path, np.random.default_rng(4))
    angles, long, across = np.random.default_rng(5).uniform([[0.0], [2.0], [0.2]], [[3.0], [5.0], [1.0]], (3, 8))
    c, s = np.cos(angles), np.sin(angles)
    xx, xy, yy = long * c**2 + across * s**2, (long - across) * c * s, long * s**2 + across * c**2
    layer = [np.floor(8 * x[:, 0]).astype(int) for x in middles]
    zero = [0.0 * k for k in layer]
    full = [np.stack([xx[k], xy[k], o, xy[k], yy[k], o, o, o, 1 + o], axis=1) for k, o in zip(layer, zero, strict=True)]
    data = {"turned": full, "number": [1.0 * k for k in layer]}
    meshio.Mesh(points, cells, cell_data=data).write(tmp_path / "mesh.vtu")
    meshio.Mesh(points[:, :2], cells, cell_data={"again": [f[:, [0, 1, 4]] for f in full]}).write(
        tmp_path / "data.xdmf"
    )
    views = {"of Gmsh": np.concatenate(full), "number": np.concatenate(layer)[:, None]}
    write_msh_data(tmp_path / "mesh.msh", points, cells, views)
    files = {"turned": "mesh.vtu", "again": "data.xdmf", "of Gmsh": "mesh.msh"}
    # The flux along x and the slope along y are the same in all layers.
    k11 = 1.0 / np.mean(1.0 / xx)
    k12 = k11 * np.mean(xy / xx)
    exact = np.array([[k11, k12], [k12, np.mean(yy - xy**2 / xx) + k12**2 / k11]])
    for found in on_ranks(tensors_of_file, folder=str(tmp_path), names=files):
        for name, sides in found.items():
            for side in sides:
                assert np.array(side) == pytest.approx(exact, abs=1e-8), name


@pytest.mark.parametrize(
    ("data", "field", "message"),
    [
        ({"a": 1.0, "b": 1.0}, {}, "name = None|name one by"),
        ({"a": 1.0}, {"name": "q"}, r"field\.name = 'q'.*'a'"),
        ({"a": np.ones(9)}, {"name": "a"}, "without xz and yz"),
        ({"a": -1.0}, {"name": "a"}, "finite number > 0"),
        ({}, {}, "It has none"),
    ],
)
def test_fields_of_meshes_that_cannot_be_are_refused(tmp_path, data, field, message):
    points, cells, middles = shuffled_strip(tmp_path, np.random.default_rng(4))
    filled = {name: [np.tile(value, (len(m), 1)) for m in middles] for name, value in data.items()}
    meshio.Mesh(points, cells, cell_data=filled).write(tmp_path / "mesh.vtu")
    field = {"field": {"file": "mesh.vtu", "unit": "m^2/s"} | field}
    effective = {"physics": "diffusion", "phases": {"tissue": field}}
    config = make_config(
        {"cell": {"file": "mesh.vtu", "phases": {"tissue": "*"}}, "effective": effective}, folder=tmp_path
    )
    with pytest.raises(InputError, match=message):
        solve_effective(config.effective, make_cell(config.cell, MPI.COMM_SELF, tmp_path), config={})


@pytest.mark.parametrize(
    ("views", "name", "options", "message"),
    [
        ({}, None, {}, "It has none"),
        ({"a": 1.0, "b": 2.0}, None, {}, "It has 'a', 'b': name one"),
        ({"a": 1.0}, "q", {}, r"field\.name = 'q'.*'a'"),
        ({"a": 1.0}, "a", {"kind": "NodeData"}, r"element data 'a' of one step\. It has NodeData in 1 step"),
        ({"a": 1.0}, "a", {"steps": (0, 1)}, r"It has ElementData in 2 step"),
        ({"a": np.ones(9)}, "a", {}, "without xz and yz"),
        ({"a": 1.0, "part": 30}, "a", {}, r"tissue'\]\[\d+\] = nan: it must be a finite number > 0"),
    ],
)
def test_views_of_gmsh_that_are_no_coefficients_are_refused(tmp_path, views, name, options, message):
    points, cells, middles = shuffled_strip(tmp_path, np.random.default_rng(4))
    count = views.pop("part", sum(map(len, middles)))
    data = {key: np.tile(value, (count, 1)) for key, value in views.items()}
    path = write_msh_data(tmp_path / "mesh.msh", points, cells, data, **options)
    field = {"field": {"file": path.name, "unit": "m^2/s"} | ({"name": name} if name else {})}
    effective = {"physics": "diffusion", "phases": {"tissue": field}}
    config = make_config(
        {"cell": {"file": path.name, "phases": {"tissue": 1}}, "effective": effective}, folder=tmp_path
    )
    with pytest.raises(InputError, match=message):
        solve_effective(config.effective, make_cell(config.cell, MPI.COMM_SELF, tmp_path), config={})


def test_data_of_triangles_of_two_orders_go_by_tags(tmp_path):
    """The place of an element along x as its number: that of the middle of its cell."""
    raw = grid_raw((4, 4))
    straight, curved = raw.cells[::2], raw.cells[1::2]
    ends = np.sort(curved[:, [[0, 1], [1, 2], [2, 0]]], axis=2)
    edges, place = np.unique(ends.reshape(-1, 2), axis=0, return_inverse=True)
    points = np.concatenate([raw.points, raw.points[edges].mean(axis=1)])
    cells = [("triangle", straight), ("triangle6", np.column_stack([curved, place.reshape(-1, 3) + len(raw.points)]))]
    middle = np.concatenate([points[c].mean(axis=1) for c in (straight, curved)])[:, :1]
    path = write_msh_data(tmp_path / "mesh.msh", points, cells, {"x": middle})
    found = read_raw(path, phases={"a": 1})
    values, _ = read_element_data(path, "x")
    assert values[found.element] == pytest.approx(found.points[found.cells[:, :3], 0].mean(axis=1), abs=1e-12)


@pytest.mark.parametrize("suffix", [".vtu", ".msh"])
def test_moduli_of_elements_are_those_of_the_file(tmp_path, suffix):
    """Layers across x of one phase, Young's modulus and Poisson's ratio being cell data of the cell's own file."""
    points, cells, middles = shuffled_strip(tmp_path, np.random.default_rng(4))
    young = np.random.default_rng(8).uniform(1.0, 9.0, 8)
    layer = [np.floor(8 * x[:, 0]).astype(int) for x in middles]
    path = tmp_path / f"mesh{suffix}"
    if suffix == ".vtu":
        meshio.Mesh(points, cells, cell_data={"E": [young[k] for k in layer], "part": layer}).write(path)
    else:
        last_first = np.arange(sum(map(len, layer)), 0, -1)
        write_msh_data(path, points, cells, {"E": young[np.concatenate(layer)][:, None]}, tags=last_first)
    phase = {"young": {"field": {"file": path.name, "name": "E", "unit": "GPa"}}, "poisson": 0.3}
    cell = {"file": path.name, "phases": {"tissue": 1 if suffix == ".msh" else "*"}}
    effective = {"physics": "elasticity", "phases": {"tissue": phase}}
    config = make_config({"cell": cell, "effective": effective}, folder=tmp_path)
    tensor = solve_effective(config.effective, make_cell(config.cell, MPI.COMM_SELF, tmp_path), config={}).tensor
    stiffnesses = [rational(isotropic(dimension=2, young=modulus, poisson=0.3)) for modulus in young]
    exact = layered(stiffnesses, [Fraction(1, 8)] * 8, strain_of(0, 2)).astype(float)
    for side in (tensor.value, tensor.lower, tensor.upper):
        assert side == pytest.approx(exact, rel=1e-7, abs=1e-7)
