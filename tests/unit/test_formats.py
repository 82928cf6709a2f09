"""Files as people have them: scripts that would do more than draw, sets and formats of other programs, any lattice."""

from __future__ import annotations

import itertools
import json
import subprocess
import sys
from pathlib import Path

import meshio
import numpy as np
import pytest
import pyvista
from mpi4py import MPI

from homfem.cells.unitcell import UnitCell
from homfem.meshing.arrays.elements import SHAPES, Block, uniform
from homfem.meshing.arrays.raw_cell import cell_volumes
from homfem.meshing.by_gmsh.model import from_gmsh_raw
from homfem.meshing.by_gmsh.scripts import check_script
from homfem.meshing.by_gmsh.session import gmsh_session
from homfem.meshing.files.check import check_mesh
from homfem.meshing.files.element_sets import partition
from homfem.meshing.files.foreign import read_raw
from homfem.meshing.topology.faces import join
from homfem.parameters import CellError, FileError, InputError, Lattice
from homfem.reference import SIMPLEX

CASES = Path(__file__).parents[1] / "cases"


@pytest.fixture(autouse=True)
def folder(monkeypatch, tmp_path):
    """Commands run in a folder of their own."""
    monkeypatch.chdir(tmp_path)


# Scripts


GOOD = 'SetFactory("OpenCASCADE");\nRectangle(1) = {0, 0, 0, 1, 1};\nPhysical Surface("a") = {1};\n'


@pytest.mark.parametrize(
    "line",
    [
        'SystemCall "touch made";',
        'System "touch made";',
        'NonBlockingSystemCall "touch made";',
        'S2N["SystemCall"] "touch made";',
        'StringToName["Sys"] "touch made";',
        'OnelabRun("name", "touch made");',
        "Printf('a') > 'made';",
        'Printf("a %g", 1) >> StrCat("ma", "de");',
        'Save "made.msh";',
        'Print "made.geo_unrolled";',
        'CreateDir "made";',
        'Include "other.geo";',
        'Merge "other.geo";',
        'Field[1] = ExternalProcess; Field[1].CommandLine = "touch made; cat"; Background Field = 1;',
        'Macro m\n  SystemCall "touch made";\nReturn\nCall m;',
        '/* "*/ SystemCall "touch made"; // */',
        'b = "// /*"; SystemCall "touch made";',
        "b = '\"'; SystemCall 'touch made'; c = '\"';",
        '// a\rb = 1;\nSystemCall\n "touch made";',
        '// a \0 SystemCall "touch made";',
        f"b = \"{'x' * 1100} SystemCall 'touch made'; //\";",
        "Plugin(MathEval).Run;",
        "SYSTEMCALL 'touch made';",
        "Exit;",
    ],
)
def test_scripts_that_do_more_than_draw_are_refused(tmp_path, line):
    path = tmp_path / "cell.geo"
    (tmp_path / "other.geo").write_text("SystemCall 'touch made';\n")
    path.write_bytes((GOOD + line + "\n").encode())
    before = sorted(tmp_path.iterdir())
    with pytest.raises(FileError, match=r"cell\.geo.*it must be"):
        from_gmsh_raw(path)
    report = check_mesh(path)
    assert not report.ok
    assert sorted(tmp_path.iterdir()) == before


def test_words_in_comments_and_strings_are_no_harm(tmp_path):
    path = tmp_path / "cell.geo"
    lines = [
        "// SystemCall 'x'; Printf('a') > 'b';",
        "/* Save */ Savings = 2; Printf('no file, %g', Savings > 1);",
        "b = 'Merge'; Geometry.OCCBoundsUseStl = 0; Mesh.SaveAll = 0;",
    ]
    path.write_text(GOOD + "\n".join(lines) + "\n")
    check_script(path)
    assert list(from_gmsh_raw(path, timeout=None).phases) == ["a"]
    for geo in (Path(__file__).parents[2] / "meshes").glob("*.geo"):
        check_script(geo)


def test_a_trusted_script_does_what_it_wants(tmp_path, homfem):
    (tmp_path / "part.geo").write_text(GOOD)
    (tmp_path / "cell.geo").write_text('Include "part.geo";\nPrintf("x") > "made";\n')
    assert homfem("cell", "--check", "cell.geo")[0] == 1
    assert not (tmp_path / "made").exists()
    status, out, _ = homfem("cell", "--check", "cell.geo", "--trust")
    assert "phase        a" in out
    assert (tmp_path / "made").exists()
    (tmp_path / "made").unlink()
    config = tmp_path / "cell.toml"
    config.write_text('[cell]\nfile = "cell.geo"\nrepair = true\n')
    status, _, err = homfem("cell", config)
    assert (status, "cell.file = " in err, "trust = true" in err) == (2, True, True)
    assert homfem("cell", config, "--set", "cell.trust=true")[0] == 0
    assert (tmp_path / "made").exists()
    config.write_text('[cell]\nfile = "part.msh"\ntrust = true\n')
    (tmp_path / "part.msh").write_text("")
    assert "cell.trust = True: it must be false for a .msh file" in homfem("cell", config)[2]


@pytest.mark.parametrize("suffix", [".msh", ".msh4", ".MSH"])
def test_a_script_under_the_name_of_a_mesh_is_refused(tmp_path, homfem, suffix):
    script = (CASES / "evil.msh").read_bytes()
    path = tmp_path / f"evil{suffix}"
    for head in (b"", b"\n", b"$Comments\n$EndComments\n", b"$Mesh"):
        path.write_bytes(head + script)
        with pytest.raises(FileError, match="evil"):
            read_raw(path)
        assert not check_mesh(path).ok
    config = tmp_path / "evil.toml"
    config.write_text((CASES / "evil.toml").read_text().replace("evil.msh", path.name))
    path.write_bytes(script)
    status, _, err = homfem("effective", config)
    assert status == 2
    assert "cell.file" in err
    assert "begins with" in err
    assert sorted(p.name for p in tmp_path.iterdir()) == sorted([path.name, "evil.toml"])


def test_options_beside_a_file_are_not_read(tmp_path):
    """Gmsh reads FILE.opt, which is a script, with FILE."""
    (tmp_path / "cell.geo").write_text(GOOD)
    from_gmsh_raw(tmp_path / "cell.geo", timeout=None)
    mesh = "$MeshFormat\n2.2 0 8\n$EndMeshFormat\n$Nodes\n0\n$EndNodes\n$Elements\n0\n$EndElements\n"
    (tmp_path / "cell.msh").write_text(mesh)
    for name in ("cell.geo.opt", "cell.msh.opt"):
        (tmp_path / name).write_text(f'SystemCall "touch {tmp_path}/made";\n')
    from_gmsh_raw(tmp_path / "cell.geo", timeout=None)
    assert not check_mesh(tmp_path / "cell.msh").ok
    assert not (tmp_path / "made").exists()


def test_a_path_cannot_break_out_of_a_script(tmp_path):
    path = tmp_path / 'x"; b = "x.geo'
    path.write_text(GOOD)
    with pytest.raises(FileError, match="without quotation marks"):
        from_gmsh_raw(path, trust=True)


# Files of other programs: layers of 1 and 10, 20/11 across and 11/2 along


def solved(homfem, folder: Path, file: Path, phases: str, keys: str = "", *extra) -> np.ndarray:
    config = folder / "case.toml"
    text = f'[cell]\nfile = "{file}"\n{keys}\n[effective]\nphysics = "diffusion"\n[effective.phases]\n{phases}\n'
    config.write_text(text)
    status, _, err = homfem("effective", config, "--json", folder / "case.json", *extra)
    assert (status, err) == (0, "")
    return np.array(json.loads((folder / "case.json").read_text())["value"])


LAYERS = np.diag([20.0 / 11.0, 5.5])


@pytest.mark.parametrize(
    ("name", "phases", "keys"),
    [
        ("quad.vtk", ("phase1", "phase2"), ""),
        ("triquad.msh", ("a", "b"), ""),
        ("triquad.msh", ("x", "y"), 'phases = { x = "a", y = 2 }'),
        ("triquad.unv", ("a", "b"), ""),
        ("tri22_nonames.msh", ("a", "b"), "phases = { a = 1, b = [2] }"),
        ("tri.bdf", ("phase1", "phase2"), ""),
        ("tri.bdf", ("a", "b"), "phases = { a = 1, b = 2 }"),
        ("cae2d.inp", ("FIBER", "MATRIX"), ""),
        ("cae2d_dummy.inp", ("F", "M"), 'phases = { F = "FIBER", M = "MATRIX" }'),
        ("cae2d.inp", ("F", "M"), 'phases = { F = "FIBER", M = "*" }'),
    ],
)
def test_layers_from_files_of_other_programs(homfem, tmp_path, name, phases, keys):
    values = "\n".join(f'{phase} = "{value} m^2/s"' for phase, value in zip(phases, (1, 10), strict=True))
    value = solved(homfem, tmp_path, CASES / name, values, keys)
    assert np.allclose(np.sort(np.linalg.eigvalsh(value)), [20.0 / 11.0, 5.5], rtol=1e-9)
    assert np.allclose(np.sort(np.diag(value)), [20.0 / 11.0, 5.5], rtol=1e-9)


@pytest.mark.parametrize(
    ("name", "keys", "message"),
    [
        ("tri22_nonames.msh", "", "phases = { NAME = 1, NAME = 2 }"),
        (
            "tri22_nonames.msh",
            "phases = { a = 1 }",
            "cell.phases = {'a': 1}: it must be a name for each physical group",
        ),
        ("tri22_nonames.msh", "phases = { a = 1, b = 3 }", "cell.phases.b = 3: it must be the number or the name"),
        ("tri22_nonames.msh", "phases = { a = 1, b = [2, 1] }", "cell.phases.b = 1: it must be another group"),
        ("triquad.msh", 'phases = { a = "c", b = 2 }', "cell.phases.a = 'c': it must be the number or the name"),
        ("cae2d.inp", 'phases = { a = "FIBRE" }', "FIBER (64), MATRIX (64), ALLEL (128)"),
        ("cae2d.inp", 'phases = { a = "ALLEL", b = "FIBER" }', "They share 64 cells"),
        ("cae2d.inp", 'phases = { a = "FIBER" }', "64 of 128 have none"),
        ("cae2d.inp", 'phases = { a = "*", b = ["*"] }', "cell.phases.b = '*': it must be the label of one phase"),
    ],
)
def test_phases_that_a_file_does_not_have_are_refused(homfem, tmp_path, name, keys, message):
    (tmp_path / "case.toml").write_text(f'[cell]\nfile = "{CASES / name}"\n{keys}\n')
    status, _, err = homfem("cell", tmp_path / "case.toml")
    assert status == 2
    assert message in " ".join(err.split())


def test_the_old_way_of_one_phase_is_refused(homfem):
    status, _, err = homfem("effective", CASES / "one_phase.toml")
    assert status == 2
    assert "FIBER" in err
    status, out, _ = homfem("effective", CASES / "dummy_nodes.toml", "--json", "-")
    assert np.allclose(np.diag(json.loads(out)["value"]), np.diag(LAYERS), rtol=1e-9)


def test_sets_that_are_the_phases():
    flags = {
        "ALL": [1, 1, 1, 1], "F": [1, 1, 0, 0], "M": [0, 0, 1, 1], "PROBE": [0, 1, 1, 0], "F2": [1, 1, 0, 0],
        "Y1": [1, 0, 0, 0], "Y2": [0, 1, 0, 0],
    }  # fmt: skip
    sets = {name: np.array(row, dtype=bool) for name, row in flags.items()}

    def of(*names: str, preferred: tuple[str, ...] = ()) -> list[str] | None:
        return partition({name: sets[name] for name in names}, preferred)

    assert of("ALL", "F", "M") == ["F", "M"]
    assert of("F", "M") == ["F", "M"]
    assert of("PROBE", "M", "F", "ALL") == ["M", "F"]
    assert of("ALL", "F", "F2", "M") == ["F", "M"]
    assert of("ALL") == ["ALL"]
    assert of() is None
    assert of("ALL", "F") is None  # the rest has no name
    assert of("F", "Y1", "Y2", "M") is None  # two ways
    assert of("F", "Y1", "Y2", "M", preferred=("M", "Y2", "Y1")) == ["Y1", "Y2", "M"]
    assert of("F", "Y1", "M", preferred=("M", "Y1")) == ["F", "M"]
    many = {f"s{k}": np.arange(300) == k for k in range(300)} | {"half": np.arange(300) < 150}
    assert partition(many) is None
    del many["half"]
    assert partition(many) == list(many)


TEXGEN = """*Heading
File generated by TexGen
*Node
1, 0., 0., 0.
{nodes}
*Element, Type=C3D8R
{elements}
*ElSet, ElSet=AllElements, Generate
1, 27, 1
*ElSet, ElSet=Matrix
{matrix}
*ElSet, ElSet=Yarn0
{yarn}
*Orientation, Name=TexGenOrientations, Input=weave.ori, Definition=coordinates
1, 2
*Solid Section, ElSet=Matrix, Material=Mat1, Orientation=TexGenOrientations
1.0,
*Solid Section, ElSet=Yarn0, Material=Mat0,
 Orientation=TexGenOrientations
1.0,
*NSet, NSet=ConstraintsDriver0
100
*Node
100, 0.5, 0.5, -3.
*Equation
3
1, 1, 1., 2, 1, -1., 100, 1, 1.
"""


def lattice_of_hexahedra(n: int = 3, seed: int = 3) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Points, hexahedra in the order of VTK and a layer number; inner nodes moved, node numbers shuffled."""
    random = np.random.default_rng(seed)
    s = np.stack(np.meshgrid(*[np.arange(n + 1)] * 3, indexing="ij"), axis=-1).reshape(-1, 3)
    moves = random.uniform(-0.06, 0.06, (n, n, n, 3))[tuple((s % n).T)]
    points = s / n + np.where(s % n == 0, 0.0, moves)
    number = np.arange(len(s)).reshape((n + 1,) * 3)
    corners = [(0, 0, 0), (1, 0, 0), (1, 1, 0), (0, 1, 0), (0, 0, 1), (1, 0, 1), (1, 1, 1), (0, 1, 1)]
    cells = np.stack([number[i : n + i, j : n + j, k : n + k].ravel() for i, j, k in corners], axis=1)
    shuffled = random.permutation(len(points))
    layer = np.repeat(np.arange(n), n * n) % 2
    return points[np.argsort(shuffled)], shuffled[cells], layer


def in_wedges(cells: np.ndarray, which: int) -> np.ndarray:
    parts = [[0, 1, 2, 4, 5, 6], [0, 2, 3, 4, 6, 7]] if which else [[0, 1, 3, 4, 5, 7], [1, 2, 3, 5, 6, 7]]
    return cells[:, parts].reshape(-1, 6)


def in_pyramids(points: np.ndarray, cells: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    middle = np.arange(len(cells)) + len(points)
    faces = cells[:, SHAPES["hexahedron"][2]]
    five = np.concatenate([faces[:, :, ::-1], np.broadcast_to(middle[:, None, None], (len(cells), 6, 1))], axis=2)
    return np.concatenate([points, points[cells].mean(axis=1)]), five.reshape(-1, 5)


def write_blocks(path: Path, points: np.ndarray, blocks: list, tags: list) -> Path:
    meshio.Mesh(points, blocks, cell_data={"material": [np.asarray(tag) for tag in tags]}).write(path)
    return path


@pytest.mark.parametrize(
    ("what", "suffix"),
    [
        *itertools.product(["hexahedra", "wedges", "pyramids", "mixture"], [".vtu", ".bdf", ".msh"]),
        ("hexahedra", ".inp"),  # of Abaqus meshio does not write pyramids
        ("wedges", ".inp"),
    ],
)
def test_solids_of_every_shape(tmp_path, what, suffix):
    points, cells, layer = lattice_of_hexahedra()
    low = np.arange(len(cells)) % 2 == 0
    if what == "hexahedra":
        blocks, tags = [("hexahedron", cells)], [layer]
    elif what == "wedges":
        blocks, tags = [("wedge", in_wedges(cells, 1))], [np.repeat(layer, 2)]
    elif what == "pyramids":
        points, five = in_pyramids(points, cells)
        blocks, tags = [("pyramid", five)], [np.repeat(layer, 6)]
    else:  # faces of one kind of element meet those of another, also across the period
        wedge = np.all(np.stack([low, layer == 0]), axis=0)
        points, five = in_pyramids(points, cells[layer == 1])
        blocks = [("hexahedron", cells[~wedge & (layer == 0)]), ("pyramid", five)]
        tags = [layer[~wedge & (layer == 0)], np.repeat(layer[layer == 1], 6)]
        blocks.append(("hexahedron", cells[wedge]))
        tags.append(layer[wedge])
    path = tmp_path / f"cell{suffix}"
    if suffix == ".inp":
        sets = {f"L{k}": [np.flatnonzero(np.asarray(tag) == k) for tag in tags] for k in (0, 1)}
        meshio.Mesh(points, blocks, cell_sets=sets).write(path)
        raw = read_raw(path)
    elif suffix == ".vtu":
        raw = read_raw(write_blocks(path, points, blocks, tags), phases={"L0": 0, "L1": 1})
    else:
        with gmsh_session(Mesh_MshFileVersion=2.2, Mesh_SaveGroupsOfElements=1) as gmsh:
            gmsh.model.addDiscreteEntity(3, 1)
            gmsh.model.addDiscreteEntity(3, 2)
            gmsh.model.mesh.addNodes(3, 1, np.arange(1, len(points) + 1), points.ravel())
            kinds = {"hexahedron": 5, "wedge": 6, "pyramid": 7}
            for (name, own), tag in zip(blocks, tags, strict=True):
                for k in (0, 1):
                    nodes = own[np.asarray(tag) == k] + 1
                    gmsh.model.mesh.addElementsByType(k + 1, kinds[name], [], nodes.ravel())
            for k in (0, 1):
                gmsh.model.addPhysicalGroup(3, [k + 1], k + 1, f"L{k}" if suffix == ".msh" else "")
            gmsh.write(str(path))
        raw = read_raw(path, phases={"L0": 1, "L1": 2})
    assert raw.kind == ("hexahedron" if what == "hexahedra" else "tetrahedron")
    assert raw.notes == ()
    volumes = cell_volumes(raw)
    assert volumes.sum() == pytest.approx(1.0, abs=1e-6)
    if raw.simplicial:
        assert len(raw.cells) == {"wedges": 27 * 6, "pyramids": 27 * 12, "mixture": 18 * 6 + 9 * 12}[what]
    join(raw)  # faces match, and nothing is open inside
    report = check_mesh(path)
    assert report.kind == raw.kind
    assert report.cells == len(raw.cells)
    assert all(face.ok for face in report.faces)


def test_a_file_of_texgen(tmp_path):
    points, cells, layer = lattice_of_hexahedra()
    rows = {
        "nodes": "\n".join(", ".join(map(str, [k + 2, *x])) for k, x in enumerate(points)),
        "elements": "\n".join(", ".join(map(str, [k + 1, *(row + 2)])) for k, row in enumerate(cells)),
        "matrix": ", ".join(str(k + 1) for k in np.flatnonzero(layer == 0)),
        "yarn": ", ".join(str(k + 1) for k in np.flatnonzero(layer == 1)),
    }
    path = tmp_path / "weave.inp"
    path.write_text(TEXGEN.format(**rows))
    raw = read_raw(path)
    assert list(raw.phases) == ["Matrix", "Yarn0"]
    assert [int(np.count_nonzero(raw.phase_of_cell == tag)) for tag in raw.phases.values()] == [18, 9]
    assert np.allclose(raw.lattice.vectors, np.eye(3))
    assert len(raw.points) == 64


PART = """*Part, name=CELL
*Node
1, 0., 0.
2, 1., 0.
3, 1., 1.
4, 0., 1.
*Element, type=CPE3, elset=low
1, 1, 2, 3
*Element, type=CPE3
2, 1, 3, 4
*Elset, elset=HIGH
2,
*Elset, elset="BOTH"
low, high
*End Part
"""


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (PART, None),
        (PART + "*Part, name=RP\n*Node\n1, 7., 7., 7.\n*End Part\n", None),
        (PART + "*Assembly, name=A\n*Instance, name=I, part=cell\n2., 3.\n*End Instance\n*End Assembly\n", None),
        (
            PART + "*Instance, name=I, part=CELL\n*End Instance\n*Instance, name=J, part=CELL\n*End Instance\n",
            "there once",
        ),
        (PART + "*Instance, name=I, part=CELL\n0., 0.\n0., 0., 0., 0., 0., 1., 30.\n*End Instance\n", "not turned"),
        (PART + PART.replace("CELL", "OTHER"), "one part with elements"),
        (PART.replace("2, 1, 3, 4", "2, 1, 3, 9"), "node 9 is not"),
        (PART.replace("2, 1, 3, 4", "1, 1, 3, 4"), "its own number"),
        (PART.replace("4, 0., 1.", "3, 0., 1."), "one place"),
        (PART.replace("2, 1, 3, 4", "2, 1, 3"), "Near line"),
        (PART.replace("2, 1, 3, 4", "2, 1, 3, x"), "Near line"),
        (PART.replace("CPE3, elset", "U7, elset"), "U7 is not"),
        (PART.replace("low, high", "low, hihg"), "hihg of BOTH is not"),
        (PART.replace("*Elset, elset=HIGH", "*Ngen\n1, 2\n*Elset, elset=HIGH"), "without [*]NGEN"),
        (PART + "*Include, input=none.inp\n", "none.inp does not"),
        (PART + "*Include, input=cell.inp\n", "at most 8 deep"),
        ("*Heading\n", "with elements"),
    ],
)
def test_input_files_of_abaqus(tmp_path, text, message):
    path = tmp_path / "cell.inp"
    path.write_text(text)
    if message is None:
        raw = read_raw(path)
        assert list(raw.phases) == ["low", "HIGH"]
        assert cell_volumes(raw).sum() == pytest.approx(1.0)
    else:
        with pytest.raises(InputError, match=message):
            read_raw(path)


def test_named_facets_of_elements_that_are_cut(tmp_path):
    points, cells, layer = lattice_of_hexahedra()
    wedges, sides = in_wedges(cells, 1), cells[:, [0, 1, 5, 4]]
    blocks = [("wedge", wedges), ("quad", sides), ("triangle", wedges[:, :3])]
    tags = [np.repeat(layer, 2), np.full(len(sides), 7), np.full(len(wedges), 8)]
    raw = read_raw(write_blocks(tmp_path / "cell.vtu", points, blocks, tags), facets={"side": 7, "base": 8})
    counts = {name: int(np.count_nonzero(raw.facet_tags == tag)) for name, tag in raw.facet_names.items()}
    assert counts == {"side": 2 * len(sides), "base": len(wedges)}
    assert raw.element_shape == (len(wedges),)
    assert np.array_equal(np.bincount(raw.element), np.full(len(wedges), 3))
    assert np.array_equal(raw.phase_of_cell - 1, np.repeat(layer, 2)[raw.element])


# Any lattice


def test_the_hexagonal_composite_of_a_well_known_tour(homfem):
    """Plane strain, inclusions of 210 GPa in 50 GPa; the tour prints these on a coarse mesh with straight facets.

    J. Bleyer, Numerical tours of computational mechanics with FEniCS: periodic homogenization of linear elastic
    materials. Its inclusions are polygons inside the circles, and so the composite is softer, by some 5e-4.
    """
    status, out, err = homfem("effective", CASES / "hexagonal.toml", "--json", "-")
    assert (status, err) == (0, "")
    value = np.array(json.loads(out)["value"])
    printed = np.array([[65.551, 17.441, 0.0], [17.441, 65.551, 0.0], [0.0, 0.0, 24.062]])
    assert np.allclose(value, printed, rtol=1e-3, atol=1e-3)
    assert value[0, 0] - value[0, 1] == pytest.approx(2.0 * value[2, 2], rel=1e-4)  # isotropic
    # The same lattice for the checker, and one that is not that of the mesh.
    file, wrong = CASES / "hexagonal.geo", '[["1 mm", "0 mm"], ["0.4 mm", "0.8660254037844386 mm"]]'
    assert homfem("cell", "--check", file, "--period", "[[1, 0], [0.5, 0.8660254037844386]]")[0] == 0
    assert homfem("cell", "--check", file, "--period", "[[1, 0], [0.4, 0.8660254037844386]]")[0] == 1
    assert homfem("cell", "--check", file)[0] == 1
    assert homfem("cell", CASES / "hexagonal.toml", "--set", f"cell.period={wrong}")[0] == 2


def test_a_film_does_not_touch_the_next(homfem, tmp_path):
    """Half of the period is filled: half of 20/11 along, nothing across."""
    values = 'FIBER = "1 m^2/s"\nMATRIX = "10 m^2/s"'
    for period in ('[["1 m", "0 m"], ["0 m", "2 m"]]', '[["1 m", "0 cm"], ["25 cm", "200 cm"]]'):
        value = solved(homfem, tmp_path, CASES / "cae2d.inp", values, f"period = {period}")
        assert np.allclose(value, np.diag([10.0 / 11.0, 0.0]), atol=1e-9)
    status, out, _ = homfem("cell", "--check", CASES / "cae2d.inp", "--period", "[[1, 0], [0, 2]]")
    assert status == 0
    assert "the cells reach over 0.5 of it only: a film" in out
    assert homfem("cell", "--check", CASES / "cae2d.inp", "--period", "[1, 2]")[0] == 1


@pytest.mark.parametrize(
    ("period", "message"),
    [
        ('[["1 m", "0 m"], ["0.5 m"]]', "cell.period[1] = ['0.5 m']: it must be a list of 2 period vectors"),
        ('[["1 m", "0 m"], "1 m"]', "cell.period[1] = '1 m': it must be a list of 2 period vectors"),
        ('[["1 m", "0 m"]]', "2 or 3 period vectors"),
        ('[["1 m", "0 m"], ["0.5 m", 1]]', "cell.period[1][1] = 1"),
        ('[["1 m", "0 m"], ["0.5 s", "1 m"]]', "cell.period[1][0] = '0.5 s'"),
        ('[["1 m", "0 m"], ["2 m", "0 m"]]', "linearly independent"),
        ('[["0.5 m", "0 m"], ["0 m", "1 m"]]', "the volume of one period"),
        ('["1 m", "2 m"]', "or the period vectors"),
    ],
)
def test_periods_that_cannot_be_are_refused(homfem, tmp_path, period, message):
    (tmp_path / "case.toml").write_text(f'[cell]\nfile = "{CASES / "cae2d.inp"}"\nperiod = {period}\n')
    status, _, err = homfem("cell", tmp_path / "case.toml")
    assert status == 2
    assert message in " ".join(err.split())


def test_period_and_trust_go_with_the_checker(homfem):
    for extra in (["--period", "1"], ["--trust"]):
        status, _, err = homfem("cell", CASES / "hexagonal.toml", *extra)
        assert status == 2
        assert "go with --check" in err
    for text in ("[1, x]", "[[1, 0], [2, 0]]", "[[1, 0], [1]]", '"1 m"'):
        status, _, err = homfem("cell", "--check", CASES / "cae2d.inp", "--period", text)
        assert (status, "--period = " in err) == (2, True)


def test_refusals_on_two_ranks_are_those_of_one(tmp_path):
    command = [sys.executable, "-m", "homfem", "effective", str(CASES / "evil.toml")]
    one = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, timeout=100)
    two = subprocess.run(["mpirun", "-n", "2", *command], capture_output=True, text=True, cwd=tmp_path, timeout=100)
    assert (one.returncode, two.returncode) == (2, 2)
    assert two.stderr.count(one.stderr.strip()) == two.stderr.count("homfem: cell.file") == 1
    assert not list(tmp_path.iterdir())


# Higher orders, and what cannot be


def test_elements_of_second_order(tmp_path):
    points, cells, layer = lattice_of_hexahedra()
    edges = [(0, 1), (1, 2), (2, 3), (3, 0), (4, 5), (5, 6), (6, 7), (7, 4), (0, 4), (1, 5), (2, 6), (3, 7)]
    extra = points[cells][:, edges].mean(axis=2).reshape(-1, 3)
    unique, place = np.unique(np.round(extra, 12), axis=0, return_inverse=True)
    twenty = np.concatenate([cells, place.reshape(-1, 12) + len(points)], axis=1)
    every = np.concatenate([points, unique])
    raw = read_raw(write_blocks(tmp_path / "a.vtu", every, [("hexahedron20", twenty)], [layer]))
    assert (raw.kind, raw.order, raw.notes) == ("hexahedron", 1, ())
    assert cell_volumes(raw).sum() == pytest.approx(1.0)


# Corners and the further nodes of elements in the order of VTK, in half edges.
ROUND = [(0, 0), (2, 0), (2, 2), (0, 2), (1, 0), (2, 1), (1, 2), (0, 1)]
TWENTY = [
    *[(*c, z) for z in (0, 2) for c in ROUND[:4]],
    *[(*c, z) for z in (0, 2) for c in ROUND[4:]],
    *[(*c, 1) for c in ROUND[:4]],
]
FACES = [(0, 1, 1), (2, 1, 1), (1, 0, 1), (1, 2, 1), (1, 1, 0), (1, 1, 2)]


def between(corners: list, edges: list) -> list:
    """Corners, and after them the nodes in the middle of edges."""
    return [*corners, *(tuple((np.array(corners[a]) + corners[b]) / 2) for a, b in edges)]


def wedge(one: int, two: int, three: int) -> list:
    """A half of a hexahedron, along z."""
    edges = [(0, 1), (1, 2), (2, 0), (3, 4), (4, 5), (5, 3), (0, 3), (1, 4), (2, 5)]
    return between([(*ROUND[k], z) for z in (0, 2) for k in (one, two, three)], edges)


def pyramid(face: list) -> list:
    """A sixth of a hexahedron, from one of its faces to its middle."""
    edges = [(0, 1), (1, 2), (2, 3), (3, 0), (0, 4), (1, 4), (2, 4), (3, 4)]
    return between([*(TWENTY[k] for k in reversed(face)), (1, 1, 1)], edges)


# The elements that fill a square or a cube.
SECOND = {
    "quad": [ROUND],
    "quad9": [[*ROUND, (1, 1)]],
    "hexahedron20": [TWENTY],
    "hexahedron27": [[*TWENTY, *FACES, (1, 1, 1)]],
    "wedge15": [wedge(0, 1, 2), wedge(0, 2, 3)],
    "pyramid13": [pyramid(face) for face in SHAPES["hexahedron"][2]],
}


def bulging(kind: str, bulge: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Points, elements and layers of a grid of n along each axis; edges along y in the plane x = 1/2 are parabolas."""
    n, parts = 4, np.rint(2 * np.array(SECOND[kind])).astype(int)  # in quarters of an edge of the grid
    d = parts.shape[-1]
    first = 4 * np.stack(np.meshgrid(*[np.arange(n)] * d, indexing="ij"), axis=-1).reshape(-1, d)
    place, cells = np.unique((first[:, None, None] + parts).reshape(-1, d), axis=0, return_inverse=True)
    points = np.pad(place / (4.0 * n), ((0, 0), (0, 3 - d)))
    points[(place[:, 0] == 2 * n) & (place[:, 1] % 4 == 2), 0] += bulge
    return points, cells.reshape(-1, parts.shape[1]), np.repeat((first[:, 0] >= 2 * n).astype(int) + 1, len(parts))


# Their numbers in VTK.
IN_VTK = {"quad8": 23, "quad9": 28, "hexahedron20": 25, "hexahedron27": 29, "wedge15": 26, "pyramid13": 27}


def write_second(path: Path, points: np.ndarray, kind: str, cells: np.ndarray, layer: np.ndarray) -> Path:
    """Elements of second order as VTK and Gmsh write them: meshio makes no meshes of all."""
    if path.suffix == ".vtu":
        counted = np.column_stack([np.full(len(cells), cells.shape[1]), cells]).ravel()
        grid = pyvista.UnstructuredGrid(counted, np.full(len(cells), IN_VTK[kind]), points)
        grid.cell_data["material"] = layer
        grid.save(path)
        return path
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(meshio._mesh.topological_dimension, kind, len(np.ptp(points, axis=0).nonzero()[0]))
        tags = {f"gmsh:{what}": [layer] for what in ("physical", "geometrical")}
        meshio.Mesh(points, [(kind, cells)], cell_data=tags).write(path, file_format="gmsh22", binary=False)
    return path


@pytest.mark.parametrize("suffix", [".vtu", ".msh"])
@pytest.mark.parametrize("kind", list(SECOND))
def test_curved_elements_of_second_order_keep_their_shape(tmp_path, kind, suffix):
    points, cells, layer = bulging(kind, 0.03)
    name = "quad8" if kind == "quad" else kind
    path = write_second(tmp_path / f"a{suffix}", points, name, cells, layer)
    raw = read_raw(path, phases={"a": 1, "b": 2})
    assert (raw.kind, raw.order, raw.notes) == (SIMPLEX[raw.dimension], 2, ())
    volumes = cell_volumes(raw)
    # Simpson: below the chords and the parabolas lie 1/2 and 2/3 of the height.
    assert volumes[raw.phase_of_cell == 1].sum() == pytest.approx(0.5 + 2.0 / 3.0 * 0.03, abs=1e-12)
    assert volumes.sum() == pytest.approx(1.0, abs=1e-12)
    assert raw.element_shape == (len(layer),)
    cell = UnitCell.from_raw(raw, comm=MPI.COMM_SELF)
    assert cell.warnings == ()


@pytest.mark.parametrize("kind", ["quad", "quad9", "hexahedron20", "hexahedron27"])
def test_named_facets_of_curved_elements_are_cut_with_them(tmp_path, kind):
    """Elements of one dimension less in the plane x = 1/2; in 2D one more that is no facet of the mesh."""
    points, cells, layer = bulging(kind, 0.03)
    d = len(SECOND[kind][0][0])
    left = cells[np.isclose(points[cells[:, 1], 0], 0.5)]
    side = [1, 2, 5] if d == 2 else [1, 2, 6, 5, 9, 18, 13, 17]
    nodes = np.vstack([left[:, side], [left[0, 0], left[-1, 2], left[0, 5]]]) if d == 2 else left[:, side]
    facet, name = ("line3", "quad8") if d == 2 else ("quad8", kind)
    name = kind if kind != "quad" else name
    blocks = [(name, cells), (facet, nodes)]
    path = write_blocks(tmp_path / "a.vtu", points, blocks, [layer, np.full(len(nodes), 7)])
    raw = read_raw(path, facets={"middle": 7}, phases={"a": 1, "b": 2})
    assert len(raw.facets) == (4 if d == 2 else 2 * 16)
    ends = raw.points[raw.facets[:, :d]]
    assert np.all(np.isclose(ends[..., 0], 0.5))
    edges = raw.points[raw.facets[:, d:]]
    assert set(np.round(edges[..., 0].ravel(), 12)) <= {0.5, 0.53}


@pytest.mark.parametrize("suffix", [".vtu", ".msh"])
@pytest.mark.parametrize("kind", ["hexahedron27", "wedge15", "pyramid13"])
def test_layers_of_elements_of_second_order_are_a_laminate(tmp_path, homfem, kind, suffix):
    points, cells, layer = bulging(kind, 0.0)
    path = write_second(tmp_path / f"a{suffix}", points, kind, cells, layer)
    value = solved(homfem, tmp_path, path, 'a = "1 m^2/s"\nb = "10 m^2/s"', "phases = { a = 1, b = 2 }")
    assert np.allclose(value, np.diag([20.0 / 11.0, 5.5, 5.5]), rtol=1e-9, atol=1e-9)
    result = json.loads((tmp_path / "case.json").read_text())
    assert result["volume_fractions"] == pytest.approx({"a": 0.5, "b": 0.5}, rel=1e-12)


def test_curved_elements_that_fold_when_they_are_cut_are_taken_as_straight(tmp_path):
    points, cells, layer = bulging("quad9", 0.2)
    raw = read_raw(write_blocks(tmp_path / "a.vtu", points, [("quad9", cells)], [layer]))
    assert (raw.kind, raw.order) == ("quadrilateral", 1)
    assert "curved elements were taken as straight" in raw.notes[0]
    assert UnitCell.from_raw(raw, comm=MPI.COMM_SELF).warnings == raw.notes


def test_what_cannot_be_read_is_said(tmp_path):
    points = np.array([[0.0, 0, 0], [1, 0, 0], [1.2, 1, 0], [0.5, 1.5, 0], [0, 1, 0]])
    path = tmp_path / "cell.vtu"
    meshio.Mesh(points, [("polygon", [[0, 1, 2, 3, 4]])]).write(path)
    with pytest.raises(CellError, match=r"polygon.*triangles, quadrilaterals"):
        read_raw(path)
    meshio.Mesh(points, [("line", [[0, 1]])]).write(path)
    with pytest.raises(CellError, match="at least one triangle or quadrilateral"):
        read_raw(path)
    hexahedron = np.array(
        [[0.0, 0, 0], [1, 0, 0], [1, 1, 0], [0, 1, 0], [0, 0, 1], [1, 0, 1], [-0.5, -0.5, -0.5], [0, 1, 1]]
    )
    blocks = [("hexahedron", [[0, 1, 2, 3, 4, 5, 6, 7]]), ("wedge", [[0, 1, 2, 4, 5, 7]])]
    meshio.Mesh(hexahedron, blocks).write(path)
    with pytest.raises(CellError, match="too warped"):
        read_raw(path)


def test_a_cell_of_one_tetrahedron_is_checked():
    report = check_mesh(CASES / "onetet.vtu")
    assert not report.ok
    assert any("do not match" in problem for problem in report.problems)


def test_quadrilaterals_are_cut_inside():
    points = np.array([[0.0, 0.0], [1.0, 0.0], [0.3, 0.3], [0.0, 1.0], [1.0, 1.0]])
    blocks = [Block("quad", 1, np.array([[0, 1, 2, 3]])), Block("triangle", 1, np.array([[1, 4, 2], [4, 3, 2]]))]
    cells = uniform(points, blocks, Lattice.box(1.0, 1.0), {})
    assert cells.kind == "triangle"
    assert list(cells.parent) == [0, 0, 1, 2]
    assert {tuple(sorted(row)) for row in cells.cells[:2].tolist()} == {(0, 1, 2), (0, 2, 3)}
