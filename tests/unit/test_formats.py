"""Files as people have them: scripts that would do more than draw, sets and formats of other programs, any lattice."""

from __future__ import annotations

from pathlib import Path

import pytest

from homfem import cli
from homfem.cells.check import check_mesh
from homfem.cells.gmsh_model import from_gmsh_raw
from homfem.cells.own_meshes import read_raw
from homfem.cells.scripts import check_script
from homfem.cli import session
from homfem.parameters import FileError

CASES = Path(__file__).parents[1] / "cases"


@pytest.fixture
def homfem(capsys, monkeypatch, tmp_path):
    """Run a command in this process, in an empty folder; give status, standard output, standard error."""
    for name in session._LAUNCHERS:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)

    def run(*arguments):
        capsys.readouterr()
        with pytest.raises(SystemExit) as end:
            cli.main([str(argument) for argument in arguments])
        captured = capsys.readouterr()
        return end.value.code, captured.out, captured.err

    return run


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
