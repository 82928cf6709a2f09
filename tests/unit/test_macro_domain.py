"""Domains: regions and boundaries by name and fibres from files, arrays and functions, the same on every rank."""

from __future__ import annotations

import math

import gmsh
import meshio
import numpy as np
import pytest
import ufl
from dolfinx import fem, mesh
from mpi4py import MPI

from homfem._dolfinx import geometry_dofmap
from homfem.config.models.domains import parse_domain
from homfem.macro.domain import Domain
from homfem.macro.domain_makers import domain_from_arrays, read_domain, to_local_cells
from homfem.macro.fibre_files import fibres_of_file
from homfem.macro.fibres import FibreFrame
from homfem.meshing.files.body import BodyArrays, read_body
from homfem.meshing.files.directions import read_directions
from homfem.parameters import FileError, InputError, UnitError
from homfem.runs.domains import make_domain

SIDES = {2: [[1, 2], [0, 2], [0, 1]], 3: [[1, 2, 3], [0, 2, 3], [0, 1, 3], [0, 1, 2]]}
FIBRE = np.array([0.6, 0.8, 0.0])


def blocks(d: int = 3, n: int = 3) -> BodyArrays:
    """The unit square or cube: regions "left" (x < 1/n) and "right", facets "x0", "top", "inner" (x = 1/n)."""
    made = (mesh.create_unit_square(MPI.COMM_SELF, n, n), mesh.create_unit_cube(MPI.COMM_SELF, n, n, n))[d - 2]
    points, cells = made.geometry.x[:, :d].copy(), geometry_dofmap(made).astype(np.int64)
    middle = points[cells].mean(axis=1)
    facets = np.unique(np.sort(np.concatenate([cells[:, k] for k in SIDES[d]]), axis=1), axis=0)
    x = points[facets]
    tags = np.select(
        [np.all(np.abs(x[:, :, 0] - place) < 1e-9, axis=1) for place in (0.0, 1 / n)]
        + [np.all(np.abs(x[:, :, d - 1] - 1) < 1e-9, axis=1)],
        [1, 3, 7],
        0,
    )
    return BodyArrays(
        points=points,
        cells=cells,
        regions={"left": 1, "right": 4},
        region_of_cell=np.where(middle[:, 0] < 1 / n, 1, 4).astype(np.int32),
        boundaries={"x0": 1, "inner": 3, "top": 7},
        facets=facets[tags > 0],
        facet_tags=tags[tags > 0].astype(np.int32),
        directions={
            "fibre": np.where(middle[:, :1] < 1 / n, FIBRE[:d], np.eye(d)[0]),
            "sheet": np.tile(np.eye(d)[d - 1] + 0.0, (len(cells), 1)),
        }
        if d == 3
        else {"fibre": np.where(middle[:, :1] < 1 / n, FIBRE[:d], np.eye(d)[0])},
    )


def case_names(comm, d):
    domain = domain_from_arrays(comm, lambda: blocks(d), unit="mm")
    x = ufl.SpatialCoordinate(domain.mesh)
    volumes = domain.cell_volumes()[: domain.mesh.topology.index_map(d).size_local]
    mean = {}
    for name in ("fibre", "sheet") if d == 3 else ("fibre",):
        vectors = getattr(domain.fibres, name).x.array.reshape(-1, d)[: len(volumes)]
        mean[name] = comm.allreduce(volumes @ vectors).tolist()
    space = fem.functionspace(domain.mesh, ("Lagrange", 1))
    nodal = domain.nodal({"left": 3.0, "*": 1.0}, space)
    near = space.tabulate_dof_coordinates()[: len(nodal), 0]
    expected = np.where(near < 0.3, 3.0, np.where(near > 0.4, 1.0, np.clip(nodal, 1.1, 2.9)))
    return mean | {
        "volumes": domain.volumes(),
        "x0": comm.allreduce(fem.assemble_scalar(fem.form(x[1] * domain.ds("x0")))),
        "top": comm.allreduce(fem.assemble_scalar(fem.form(x[0] * domain.ds("top")))),
        "inner facets": comm.allreduce(int(np.sum(domain.facets("inner") < facets_owned(domain)))),
        "nodal": comm.allreduce(np.abs(nodal - expected).max(initial=0.0), MPI.MAX),
        "sum": comm.allreduce(nodal.sum()),
    }


def facets_owned(domain: Domain) -> int:
    return domain.mesh.topology.index_map(domain.dimension - 1).size_local


@pytest.mark.parametrize("d", [2, 3])
def test_names_and_fibres_survive_to_every_rank(on_ranks, d):
    results = on_ranks(case_names, d=d)
    for found in results:
        assert found["volumes"] == pytest.approx({"left": 1 / 3, "right": 2 / 3}, rel=1e-12)
        assert found["x0"] == pytest.approx(0.5, rel=1e-12)
        assert found["top"] == pytest.approx(0.5, rel=1e-12)
        assert found["inner facets"] == (3 if d == 2 else 18)
        assert found["fibre"] == pytest.approx((FIBRE / 3 + np.eye(3)[0] * 2 / 3)[:d], rel=1e-12, abs=1e-14)
        assert found.get("sheet", [0, 0, 1]) == pytest.approx([0, 0, 1], abs=1e-14)
        assert found["nodal"] < 1e-14
        assert found["sum"] == pytest.approx(results[0]["sum"], rel=1e-13)


def test_an_interval_has_its_ends():
    points = np.linspace(0, 2, 5)[:, None]
    body = BodyArrays(
        points=points,
        cells=np.array([[0, 1], [2, 1], [2, 3], [4, 3]]),
        boundaries={"low": 1, "high": 2},
        facets=np.array([[4], [0]]),
        facet_tags=np.array([2, 1], dtype=np.int32),
    )
    domain = domain_from_arrays(MPI.COMM_SELF, lambda: body, unit="mm")
    x = ufl.SpatialCoordinate(domain.mesh)
    ends = [fem.assemble_scalar(fem.form((1 + x[0]) * domain.ds(name))) for name in ("low", "high")]
    assert ends == pytest.approx([1.0, 3.0])


def geometry(path, groups=True, order=1):
    """A disc of radius 2 with a disc of radius 1 in it: regions "core" and "shell", boundaries "rim" and "wall"."""
    gmsh.initialize(interruptible=False)
    gmsh.option.setNumber("General.Terminal", 0)
    occ = gmsh.model.occ
    parts, _ = occ.fragment([(2, occ.addDisk(0, 0, 0, 2, 2))], [(2, occ.addDisk(0, 0, 0, 1, 1))])
    occ.synchronize()
    if groups:
        areas = {tag: occ.getMass(2, tag) for _, tag in parts}
        core = min(areas, key=areas.get)
        shell = next(tag for tag in areas if tag != core)
        gmsh.model.addPhysicalGroup(2, [core], 5, "core")
        gmsh.model.addPhysicalGroup(2, [shell], 2)
        (rim,) = (c for _, c in gmsh.model.getBoundary([(2, core), (2, shell)], oriented=False))
        (wall,) = (c for _, c in gmsh.model.getBoundary([(2, core)], oriented=False))
        gmsh.model.addPhysicalGroup(1, [rim], 9, "rim")
        gmsh.model.addPhysicalGroup(1, [wall], 5, "wall")
    gmsh.option.setNumber("Mesh.MeshSizeMax", 0.25)
    gmsh.model.mesh.generate(2)
    gmsh.model.mesh.setOrder(order)
    gmsh.write(str(path))
    gmsh.finalize()


@pytest.mark.parametrize("order", [1, 2])
def test_physical_groups_of_a_mesh_are_regions_and_boundaries(tmp_path, order):
    geometry(tmp_path / "disc.msh", order=order)
    domain = read_domain(MPI.COMM_SELF, tmp_path / "disc.msh", unit="mm", to="um")
    assert set(domain.regions) == {"core", "2"}
    assert domain.volumes() == pytest.approx({"core": math.pi * 1e6, "2": 3 * math.pi * 1e6}, rel=0.02)
    assert set(domain.boundaries) == {"rim", "wall"}
    one = fem.Constant(domain.mesh, 1.0)
    assert fem.assemble_scalar(fem.form(one * domain.ds("rim"))) == pytest.approx(4e3 * math.pi, rel=0.01)
    assert fem.assemble_scalar(fem.form(one * domain.ds("wall"))) == 0.0  # it lies inside
    assert domain.facets("wall").size > 20
    named = read_domain(
        MPI.COMM_SELF, tmp_path / "disc.msh", unit="mm", regions={"all": ["core", 2]}, boundaries={"out": "rim"}
    )
    assert named.volumes() == pytest.approx({"all": 4 * math.pi}, rel=0.01)
    assert set(named.boundaries) == {"out"}


def test_a_geometry_is_meshed_with_its_groups(tmp_path):
    (tmp_path / "box.geo").write_text(
        'SetFactory("OpenCASCADE"); Rectangle(1) = {0, 0, 0, 1, 1}; Rectangle(2) = {1, 0, 0, 2, 1};\n'
        'BooleanFragments{ Surface{1, 2}; Delete; }{}\nPhysical Surface("a") = {1}; Physical Surface("b") = {2};\n'
        'Physical Curve("low") = Curve In BoundingBox{-.1, -.1, -.1, 3.1, .1, .1}; Mesh.MeshSizeMax = .4;\n'
    )
    domain = read_domain(MPI.COMM_SELF, tmp_path / "box.geo", unit="cm")
    assert domain.volumes() == pytest.approx({"a": 1.0, "b": 2.0}, rel=1e-9)
    one = fem.Constant(domain.mesh, 1.0)
    assert fem.assemble_scalar(fem.form(one * domain.ds("low"))) == pytest.approx(3.0, rel=1e-9)


def test_a_mesh_without_groups_has_no_names(tmp_path):
    geometry(tmp_path / "disc.msh", groups=False)
    domain = read_domain(MPI.COMM_SELF, tmp_path / "disc.msh", unit="mm")
    assert (domain.regions, domain.boundaries) == ({}, {})
    assert domain.volumes() == pytest.approx({"": 4 * math.pi}, rel=0.01)


def write_sets(path, **change):
    body = blocks(2, 4)
    sets = {"left": [np.flatnonzero(body.region_of_cell == 1), []], "edge": [[], np.arange(len(body.facets))]}
    cells = [("triangle", body.cells), ("line", body.facets)]
    meshio.Mesh(np.c_[body.points, 0 * body.points[:, 0]], cells, cell_sets=sets | change).write(path)
    return body


def test_sets_of_other_formats_are_regions_and_boundaries(tmp_path):
    write_sets(tmp_path / "body.inp")
    body = read_body(tmp_path / "body.inp")
    assert set(body.regions) == {"left"}
    domain = domain_from_arrays(MPI.COMM_SELF, lambda: body, unit="mm")
    assert domain.volumes() == pytest.approx({"left": 0.25, "": 0.75})


def test_overlapping_sets_are_refused_until_they_are_named(tmp_path):
    write_sets(tmp_path / "body.inp", every=[np.arange(32), []])
    with pytest.raises(InputError, match=r"regions\.every = 'every'.*without the 8 that 'left' has"):
        read_body(tmp_path / "body.inp")
    assert set(read_body(tmp_path / "body.inp", regions={"tissue": "every"}).regions) == {"tissue"}
    with pytest.raises(InputError, match=r"regions\.b = 'every'.*regions = { a = 'left' }"):
        read_body(tmp_path / "body.inp", regions={"a": "left", "b": "every"})
    with pytest.raises(InputError, match=r"regions\.tissue = 'evry'.*'left', 'every'.*Did you mean 'every'"):
        read_body(tmp_path / "body.inp", regions={"tissue": "evry"})


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"region_of_cell": np.ones(3, dtype=np.int32)}, r"region_of_cell = \(3,\)"),
        ({"facet_tags": np.ones(3, dtype=np.int32)}, r"facets = "),
        (
            {"facets": np.array([[0, 15]]), "facet_tags": np.array([3], dtype=np.int32)},
            r"boundaries\.inner = 1.*of none",
        ),
        ({"directions": {"fiber": np.ones((18, 2))}}, r"directions\.fiber"),
        ({"directions": {"fibre": np.ones((18, 2))}}, r"fibre = \[1.0, 1.0\].*unit vectors.*18.*1.414"),
        ({"directions": {"fibre": np.full((18, 2), np.nan)}}, r"fibre = \[nan, nan\].*unit vectors"),
    ],
)
def test_arrays_that_do_not_fit_are_refused(change, named):
    from dataclasses import replace

    with pytest.raises(InputError, match=named):
        domain_from_arrays(MPI.COMM_SELF, lambda: replace(blocks(2), **change), unit="mm")


def square(**change) -> Domain:
    return Domain(mesh=mesh.create_unit_square(MPI.COMM_SELF, 4, 4), unit="mm", **change)


def test_names_by_position():
    domain = square().with_regions({"low": lambda x: x[1] < 0.5, "high": lambda x: x[1] > 0.5})
    domain = domain.with_boundaries({"left": lambda x: x[0] < 1e-9})
    assert domain.volumes() == pytest.approx({"low": 0.5, "high": 0.5})
    y = ufl.SpatialCoordinate(domain.mesh)[1]
    assert fem.assemble_scalar(fem.form(y * domain.ds("left"))) == pytest.approx(0.5)
    assert domain.cells("low").size == 16


@pytest.mark.parametrize(
    ("places", "named"),
    [
        ({"a": lambda x: x[0] < 0.5, "b": lambda x: x[0] < 0.3}, r"regions\.b = .*outside 'a'"),
        ({"a": lambda x: x[0] > 3}, r"regions\.a = 'no place'"),
        ({"a": lambda x: x[0]}, r"regions\.a = .*inside"),
    ],
)
def test_bad_places_are_refused(places, named):
    with pytest.raises(InputError, match=named):
        square().with_regions(places)


def test_unknown_names_are_refused_with_the_nearest():
    domain = square().with_regions({"scar": lambda x: x[0] < 0.5, "wall": lambda x: x[0] > 0.5})
    with pytest.raises(InputError, match=r"region = 'skar'.*'scar', 'wall'.*Did you mean 'scar'"):
        domain.cells("skar")
    with pytest.raises(InputError, match=r"boundary = 'left'.*there are none"):
        domain.ds("left")
    with pytest.raises(InputError, match=r"density = 'skar'.*Did you mean 'scar'"):
        domain.cell_values({"skar": 1.0}, "density")
    with pytest.raises(InputError, match=r"density = \['scar'\].*'wall' would have none"):
        domain.cell_values({"scar": 1.0}, "density")
    with pytest.raises(InputError, match=r"16 cells without a region would have none"):
        square().with_regions({"a": lambda x: x[0] < 0.5}).cell_values({"a": 1.0}, "density")
    assert np.unique(domain.cell_values({"scar": 1.0, "*": 2.0})).tolist() == [1.0, 2.0]


def test_nodal_means_are_of_linear_elements():
    domain = square()
    with pytest.raises(InputError, match=r"space = .*degree 1 on simplices"):
        domain.nodal({"*": 1.0}, fem.functionspace(domain.mesh, ("Lagrange", 2)))
    boxes = mesh.create_unit_square(MPI.COMM_SELF, 2, 2, mesh.CellType.quadrilateral)
    with pytest.raises(InputError, match=r"mesh = 4.*straight simplices"):
        Domain(mesh=boxes, unit="mm").volumes()


@pytest.mark.parametrize(
    ("change", "error", "named"),
    [
        ({"unit": "s"}, UnitError, "unit = 's'"),
        ({"regions": {"a": 1}}, InputError, "regions.*given with tags of dimension 2"),
        ({"boundaries": {"a": 1, "b": 1}}, InputError, "boundaries.*differ"),
        ({"boundaries": {"a": 0}}, InputError, "boundaries.*not 0"),
    ],
)
def test_bad_domains_are_refused(change, error, named):
    with pytest.raises(error, match=named):
        Domain(**({"mesh": mesh.create_unit_square(MPI.COMM_SELF, 1, 1), "unit": "mm"} | change))


def test_fibres_by_direction_and_by_function():
    cube = mesh.create_unit_cube(MPI.COMM_SELF, 2, 2, 2)
    frame = FibreFrame.constant(cube, [0, 3, 0], sheet=[1, 1, 0])
    assert [np.array(a.value) for a in (frame.fibre, frame.sheet)] == [
        pytest.approx([0, 1, 0]),
        pytest.approx([1, 0, 0]),
    ]
    turning = FibreFrame.of_nodes(
        cube,
        lambda x: np.array([np.cos(x[2]), np.sin(x[2]), 0 * x[2]]),
        lambda x: np.array([0 * x[0], 0.6 + 0 * x[0], 0.8 + 0 * x[0]]),
    )
    axes = turning.axes()
    metadata = {"quadrature_degree": 3}
    error = sum((ufl.inner(axes[i], axes[j]) - float(i == j)) ** 2 for i in range(3) for j in range(3))
    assert fem.assemble_scalar(fem.form(error * ufl.dx(metadata=metadata))) < 1e-28
    z = ufl.SpatialCoordinate(cube)[2]
    error = (axes[0][0] - ufl.cos(z)) ** 2 * ufl.dx(metadata=metadata)
    assert math.sqrt(fem.assemble_scalar(fem.form(error))) < 0.02


@pytest.mark.parametrize(
    ("make", "named"),
    [
        (lambda m: FibreFrame.constant(m, [0, 0]), r"direction = \[0, 0\].*not all 0"),
        (lambda m: FibreFrame.constant(m, [1, 0, 0]), "2 finite numbers"),
        (lambda m: FibreFrame.constant(m, [1, 0], sheet=[2, 0]), "sheet.*across the fibre"),
        (lambda m: FibreFrame.of_nodes(m, lambda x: x[:2]), r"fibre = .*unit vectors"),
        (lambda m: FibreFrame.of_nodes(m, lambda x: x[0]), r"fibre = \(4,\).*shape \(d, 4\)"),
        (lambda m: FibreFrame.of_cells(m, fibre=np.ones((1, 2))), r"fibre = \(1, 2\).*2 places"),
    ],
)
def test_bad_fibres_are_refused(make, named):
    with pytest.raises(InputError, match=named):
        make(mesh.create_unit_square(MPI.COMM_SELF, 1, 1))


def test_places_without_fibres_are_known():
    domain = square()
    fibre = np.where(dmidpoints(domain)[:, :1] < 0.5, [[1.0, 0.0]], 0.0)
    frame = FibreFrame.of_cells(domain.mesh, fibre=fibre)
    assert frame.missing().tolist() == np.flatnonzero(~fibre.any(axis=1)).tolist()


def dmidpoints(domain):
    count = domain.mesh.topology.index_map(2).size_local
    return mesh.compute_midpoints(domain.mesh, 2, np.arange(count, dtype=np.int32))


def case_fibres(comm, path, other):
    domain = read_domain(comm, path, unit="um")
    try:
        frame = fibres_of_file(domain.mesh, other, "f")
    except FileError as error:
        return {"error": str(error)}
    count = domain.mesh.topology.index_map(2).size_local
    found = np.asarray(frame.fibre.x.array).reshape(-1, 2)[:count, 0]
    return {"apart": comm.allreduce(float(np.abs(found - np.cos(dmidpoints(domain)[:, 0])).max()), op=MPI.MAX)}


@pytest.mark.mpi
def test_fibres_of_elements_elsewhere_or_in_another_order_are_refused(on_ranks, tmp_path):
    body = blocks(2, 4)
    angle = body.points[body.cells].mean(axis=1)[:, 0]
    vectors = np.c_[np.cos(angle), np.sin(angle), 0 * angle]
    three = np.c_[body.points, 0 * body.points[:, 0]]

    def write(name, order, points):
        cells = [("triangle", body.cells[order])]
        meshio.Mesh(points, cells, cell_data={"f": [vectors[order]]}).write(tmp_path / name)
        return str(tmp_path / name)

    same = np.arange(len(body.cells))
    path = write("f.vtu", same, three)
    for other in (path, write("mm.vtu", same, 1e-3 * three)):
        assert all(answer["apart"] < 1e-12 for answer in on_ranks(case_fibres, path=path, other=other))
    for other in (write("back.vtu", same[::-1], three), write("moved.vtu", same, three + np.array([0.5, 0.0, 0.0]))):
        answers = on_ranks(case_fibres, ranks=(1, 2), path=path, other=other)
        assert all("elements of the domain in their order" in answer["error"] for answer in answers)


@pytest.mark.parametrize("rising", [True, False])
def test_element_data_of_gmsh_belong_to_their_tags(rising, tmp_path):
    """The mesh comes in the order of the file, the data in that of the tags: where these differ they are refused."""
    body = blocks(2, 4)
    angle = body.points[body.cells].mean(axis=1)[:, 0]
    tags = np.arange(1, len(body.cells) + 1)[:: 1 if rising else -1]
    nodes = "".join(f"{k} {x!r} {y!r} 0\n" for k, (x, y) in enumerate(body.points.tolist(), 1))
    cells = "".join(f"{t} 2 2 1 1 {a} {b} {c}\n" for t, (a, b, c) in zip(tags, body.cells + 1, strict=True))
    data = "".join(
        f"{t} {math.cos(a)!r} {math.sin(a)!r} 0\n" for t, a in zip(tags.tolist(), angle.tolist(), strict=True)
    )
    (tmp_path / "f.msh").write_text(
        "$MeshFormat\n2.2 0 8\n$EndMeshFormat\n"
        f"$Nodes\n{len(body.points)}\n{nodes}$EndNodes\n$Elements\n{len(tags)}\n{cells}$EndElements\n"
        f'$ElementData\n1\n"f"\n1\n0\n3\n0\n3\n{len(tags)}\n{data}$EndElementData\n'
    )
    answer = case_fibres(MPI.COMM_SELF, tmp_path / "f.msh", tmp_path / "f.msh")
    if rising:
        assert answer["apart"] < 1e-12
    else:
        assert "elements of the domain in their order" in answer["error"]


def test_fibres_of_a_file_belong_to_their_elements(tmp_path):
    body = blocks(2, 4)
    angle = body.points[body.cells].mean(axis=1)[:, 0]
    vectors = np.c_[np.cos(angle), np.sin(angle), 0 * angle]
    three = np.c_[body.points, 0 * body.points[:, 0]]
    meshio.Mesh(three, [("triangle", body.cells)], cell_data={"f": [vectors], "k": [angle]}).write(tmp_path / "f.vtu")
    domain = read_domain(MPI.COMM_SELF, tmp_path / "f.vtu", unit="mm")
    read = read_directions(tmp_path / "f.vtu", "f")
    frame = FibreFrame.of_cells(domain.mesh, fibre=to_local_cells(domain.mesh, read))
    found = np.asarray(frame.fibre.x.array).reshape(-1, 2)
    assert found[:, 0] == pytest.approx(np.cos(dmidpoints(domain)[:, 0]), abs=1e-12)
    with pytest.raises(InputError, match="2 or 3 components"):
        read_directions(tmp_path / "f.vtu", "k")
    with pytest.raises(InputError, match=r"name = 'g'.*'f', 'k'"):
        read_directions(tmp_path / "f.vtu", "g")
    with pytest.raises(FileError, match="nowhere"):
        read_directions(tmp_path / "nowhere.vtu", "g")


def test_a_file_of_a_config_has_regions_and_boundaries(tmp_path):
    geometry(tmp_path / "disc.msh")
    table = {"file": "disc.msh", "unit": "mm", "regions": {"inside": "core", "rest": [2]}}
    domain = make_domain(parse_domain(table), MPI.COMM_SELF, tmp_path)
    assert (domain.unit, set(domain.regions), set(domain.boundaries)) == ("um", {"inside", "rest"}, {"rim", "wall"})
    assert domain.volumes()["inside"] == pytest.approx(math.pi * 1e6, rel=0.02)
    with pytest.raises(InputError, match=r"^regions\.inside = 'cor': .*'2', 'core'.*Did you mean 'core'"):
        make_domain(parse_domain(table | {"regions": {"inside": "cor"}}), MPI.COMM_SELF, tmp_path)


def test_an_interval_of_a_config():
    table = {"shape": "interval", "size": ["16 mm"], "resolution": "0.1 cm"}
    domain = make_domain(parse_domain(table), MPI.COMM_SELF, None, "mm")
    assert domain.volumes() == pytest.approx({"": 16.0})
    assert domain.mesh.topology.index_map(1).size_local == 16
    assert np.ptp(domain.mesh.geometry.x[:, 0]) == pytest.approx(16.0)


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"regions": "core"}, "regions = 'core'.*a table of names"),
        ({"boundaries": {"rim": 1.5}}, r"boundaries\.rim = 1.5.*name or the number"),
        ({"trust": True}, "trust = True.*only a .geo file"),
        ({"shape": "interval", "size": ["1 mm", "1 mm"], "resolution": "1 mm"}, "size = .*one length"),
    ],
)
def test_bad_tables_of_domains_are_refused(change, named):
    table = change if "shape" in change else {"file": "disc.msh", "unit": "mm"} | change
    with pytest.raises(InputError, match=named):
        parse_domain(table)
