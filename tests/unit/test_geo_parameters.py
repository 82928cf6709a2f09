"""What a Gmsh file says by itself: its parameters, and the periods of its Periodic curves and surfaces."""

from __future__ import annotations

import math
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from homfem.cells import from_file
from homfem.meshing.by_gmsh.constants import chosen_constants, constants_of
from homfem.meshing.by_gmsh.model import from_gmsh_raw
from homfem.meshing.by_gmsh.session import gmsh_session
from homfem.meshing.files.check import check_mesh
from homfem.parameters import InputError, Lattice, PeriodicityError

SKEW = """
Point(1) = {0, 0, 0, .3}; Point(2) = {1, 0, 0, .3}; Point(3) = {1 + lean, high, 0, .3}; Point(4) = {lean, high, 0, .3};
Line(1) = {1, 2}; Line(2) = {2, 3}; Line(3) = {4, 3}; Line(4) = {1, 4};
Curve Loop(1) = {1, 2, -3, -4}; Plane Surface(1) = {1}; Physical Surface("a") = {1};
"""
PERIODIC = "Periodic Curve {2} = {4} Translate {1, 0, 0};\nPeriodic Curve {3} = {1} Translate {lean, high, 0};\n"


def write(folder: Path, text: str, name: str = "cell.geo") -> Path:
    (folder / name).write_text(text)
    return folder / name


def skew(folder: Path, periodic: str = PERIODIC, lean: float = 0.5, high: float = 1.0) -> Path:
    return write(folder, f"lean = {lean}; high = {high};\n{SKEW}{periodic}")


# -- parameters ----------------------------------------------------------------------------------------------------

DECLARES = """
// DefineConstant[ commented = 1 ];
/* DefineConstant[ hidden = 1 ]; */
DefineConstant[ h = 0.3, name_only ]; DefineConstant[
  r = {0.2, Min 0, Max {1}, Name "Cell/1 radius, of the ball", Choices{0.1="a", 0.2="b"}} ,
  w = { Sqrt(2), Name "Cell/width" },
  s = "text", t = {"text", Name "Cell/text"} ];
n = DefineNumber[ 3, Name "Cell/count" ]; m = DefineNumber[ 4 ];
Printf("DefineConstant[ spoken = 1 ]");
"""


def test_the_numbers_that_a_file_declares_are_found(tmp_path: Path) -> None:
    found = constants_of(write(tmp_path, DECLARES))
    assert {name: (entry.onelab, entry.early) for name, entry in found.items()} == {
        "h": ("", True),
        "name_only": ("", True),
        "r": ("Cell/1 radius, of the ball", True),
        "w": ("Cell/width", True),
        "n": ("Cell/count", False),
    }


def test_parameters_go_by_their_name_or_their_path(tmp_path: Path) -> None:
    path = write(tmp_path, DECLARES)
    assert chosen_constants(path, {"Cell/width": 2, "n": 5, "h": 0.1}) == ({"w": 2.0, "h": 0.1}, {"Cell/count": 5.0})
    for parameters, message in (
        ({"hh": 1.0}, r"parameters = 'hh'.*declares by DefineConstant.*h, name_only, r, w, n.*Did you mean 'h'"),
        ({"commented": 1.0}, "parameters = 'commented'"),
        ({"Min": 1.0}, "parameters = 'Min'"),
        ({"m": 1.0}, "parameters = 'm'"),
        ({"s": 1.0}, "parameters = 's'"),
        ({"h": "thick"}, r"parameters\.h = 'thick'.*finite number"),
        ({"h": math.nan}, r"parameters\.h = nan"),
        ({"w": 1.0, "Cell/width": 2.0}, "given once"),
    ):
        with pytest.raises(InputError, match=f"(?s){message}"):
            chosen_constants(path, parameters)  # type: ignore[arg-type]


@pytest.mark.parametrize(("name", "area"), [("wide", 3.0), ("Cell/high", 2.0), ("high", 2.0)])
def test_values_reach_the_script(tmp_path: Path, name: str, area: float) -> None:
    text = 'DefineConstant[ wide = 2 ]; high = DefineNumber[ 1, Name "Cell/high" ];\nSetFactory("OpenCASCADE");\n'
    text += 'Rectangle(1) = {0, 0, 0, wide, high}; Physical Surface("a") = {1}; Mesh.MeshSizeMax = 0.5;\n'
    path = write(tmp_path, text)
    value = {"wide": 3.0}.get(name, 1.0)
    assert from_gmsh_raw(path, timeout=None).lattice == Lattice.box(2.0, 1.0)
    assert from_gmsh_raw(path, timeout=None, parameters={name: value}).lattice.volume == pytest.approx(
        area if name == "wide" else 2.0 * value
    )
    if name != "wide":
        with gmsh_session():
            taller = from_gmsh_raw(path, timeout=None, parameters={name: 1.5})
            assert taller.lattice.volume == pytest.approx(3.0)
            # Nothing is left for the next file in a Gmsh that runs on.
            assert from_gmsh_raw(path, timeout=None).lattice.volume == pytest.approx(2.0)


CELL = """
[cell]
file = "cell.geo"
period = "1 um"
{keys}
[effective]
physics = "diffusion"
[effective.phases]
a = "1 um^2/s"
"""
ROUND = """
DefineConstant[ radius = 0.3 ];
SetFactory("OpenCASCADE");
Rectangle(1) = {0, 0, 0, 1, 1}; Disk(2) = {0.5, 0.5, 0, radius};
BooleanFragments{ Surface{1}; Delete; }{ Surface{2}; Delete; }
Physical Surface("a") = {3}; Physical Surface("b") = {2};
Mesh.MeshSizeMax = 0.2;
"""


def test_a_config_gives_parameters_and_the_order(tmp_path: Path) -> None:
    from homfem import runs

    write(tmp_path, ROUND)

    def report(keys: str) -> Any:
        (tmp_path / "a.toml").write_text(CELL.format(keys=keys))
        return runs.tensor(tmp_path / "a.toml").report()

    exact = 1.0 - math.pi * 0.04
    straight = report("parameters = { radius = 0.2 }")
    curved = report("parameters = { radius = 0.2 }\norder = 2")
    assert straight["volume_fractions"]["a"] == pytest.approx(exact, abs=0.01)
    assert abs(curved["volume_fractions"]["a"] - exact) < 0.1 * abs(straight["volume_fractions"]["a"] - exact)
    for keys, message in (
        ("parameters = { raduis = 0.2 }", r"cell\.parameters = 'raduis'.*Did you mean 'radius'"),
        ('parameters = { radius = "0.2 um" }', r"cell\.parameters\.radius.*without unit"),
        ("parameters = { }", r"cell\.parameters"),
        ("order = 3", r"cell\.order = 3"),
    ):
        with pytest.raises(InputError, match=f"(?s){message}"):
            report(keys)
    write(tmp_path, "", "cell.msh")
    for key in ("order = 2", "parameters = { a = 1.0 }"):
        (tmp_path / "a.toml").write_text(CELL.format(keys=key).replace("cell.geo", "cell.msh"))
        with pytest.raises(InputError, match=f"cell.{key.split()[0]} = .*absent for a .msh file"):
            runs.tensor(tmp_path / "a.toml")


# -- periods -------------------------------------------------------------------------------------------------------


def as_msh(path: Path, version: float) -> Path:
    with gmsh_session(Mesh_MshFileVersion=version) as gmsh:
        gmsh.open(str(path))
        gmsh.model.mesh.generate(2)
        gmsh.write(str(path.with_suffix(".msh")))
    return path.with_suffix(".msh")


@pytest.mark.parametrize("form", ["geo", "msh"])
def test_the_periods_of_a_skew_cell_are_those_that_the_file_says(tmp_path: Path, form: str) -> None:
    path = skew(tmp_path)
    path = path if form == "geo" else as_msh(path, 4.1)
    cell = from_file(path, timeout=None)
    np.testing.assert_allclose(cell.lattice.vectors, [[1.0, 0.0], [0.5, 1.0]], atol=1e-12)
    assert sum(cell.volume_fractions.values()) == pytest.approx(1.0)
    report = check_mesh(path)
    assert report.ok, report
    # One length scales them both.
    twice = from_file(path, period=2.0, timeout=None)
    np.testing.assert_allclose(twice.length * twice.lattice.vectors, [[2.0, 0.0], [1.0, 2.0]], atol=1e-12)
    same = Lattice(vectors=np.array([[1.0, 0.0], [1.5, 1.0]]))  # other vectors of the same lattice
    assert from_file(path, period=same, timeout=None).lattice.volume == pytest.approx(1.0)
    for wrong in (Lattice.box(1.0, 1.0), Lattice(vectors=np.array([[1.0, 0.0], [0.4, 1.0]]))):
        with pytest.raises(PeriodicityError, match=r"translation \(0\.5, 1\), which Periodic in the file says"):
            from_gmsh_raw(path, lattice=wrong, timeout=None)
        assert not check_mesh(path, period=wrong).ok


def test_the_periods_of_a_skew_cell_in_space(tmp_path: Path) -> None:
    text = (
        f"lean = 0.3; high = 1;\n{SKEW}"
        + """
e[] = Extrude {0.2, 0.1, 1} { Surface{1}; };
Physical Volume("a") = {e[1]};
Periodic Surface {e[0]} = {1} Translate {0.2, 0.1, 1}; Periodic Surface {e[3]} = {e[5]} Translate {1, 0, 0};
Periodic Surface {e[4]} = {e[2]} Translate {0.3, 1, 0};
"""
    )
    cell = from_file(write(tmp_path, text.replace('Physical Surface("a") = {1};', "")), timeout=None)
    # In units of the shortest period, which is 1.
    np.testing.assert_allclose(cell.lattice.vectors, [[1, 0, 0], [0.3, 1, 0], [0.2, 0.1, 1]], atol=1e-12)
    assert cell.volume_fractions == pytest.approx({"a": 1.0})


def test_without_periodic_it_is_the_bounding_box_as_before(tmp_path: Path) -> None:
    path = skew(tmp_path, "", lean=0.0, high=2.0)
    assert from_gmsh_raw(path, timeout=None).lattice == Lattice.box(1.0, 2.0)
    one_pair = skew(tmp_path, "Periodic Curve {2} = {4} Translate {1, 0, 0};\n", lean=0.0, high=2.0)
    assert from_gmsh_raw(one_pair, timeout=None).lattice == Lattice.box(1.0, 2.0)
    with pytest.raises(PeriodicityError, match="where one is along no axis"):
        from_gmsh_raw(skew(tmp_path, "Periodic Curve {3} = {1} Translate {lean, high, 0};\n"), timeout=None)


def test_matched_parts_inside_are_no_periods(tmp_path: Path) -> None:
    """Two holes that are meshed alike, and curves that are matched by a rotation."""
    text = """
SetFactory("OpenCASCADE");
Rectangle(1) = {0, 0, 0, 2, 1}; Rectangle(2) = {0.2, 0.2, 0, 0.4, 0.4}; Rectangle(3) = {1.2, 0.2, 0, 0.4, 0.4};
BooleanDifference{ Surface{1}; Delete; }{ Surface{2, 3}; Delete; }
left() = Curve In BoundingBox {0.15, 0.15, -1, 0.25, 0.65, 1};
right() = Curve In BoundingBox {1.15, 0.15, -1, 1.25, 0.65, 1};
Periodic Curve {right(0)} = {left(0)} Translate {1, 0, 0};
west() = Curve In BoundingBox {-.1, -.1, -1, .1, 1.1, 1}; east() = Curve In BoundingBox {1.9, -.1, -1, 2.1, 1.1, 1};
Periodic Curve {east(0)} = {west(0)} Translate {2, 0, 0};
Physical Surface("a") = {1}; Mesh.MeshSizeMax = 0.2;
"""
    assert from_gmsh_raw(write(tmp_path, text), timeout=None).lattice == Lattice.box(2.0, 1.0)
    turned = """
Point(1) = {0, 0, 0, .2}; Point(2) = {1, 0, 0, .2}; Point(3) = {1, 1, 0, .2}; Point(4) = {0, 1, 0, .2};
Line(1) = {1, 2}; Line(2) = {2, 3}; Line(3) = {3, 4}; Line(4) = {4, 1};
Curve Loop(1) = {1, 2, 3, 4}; Plane Surface(1) = {1}; Physical Surface("a") = {1};
Periodic Curve {-4} = {1} Rotate {{0, 0, 1}, {0, 0, 0}, Pi / 2};
"""
    path = write(tmp_path, turned)
    assert from_gmsh_raw(path, timeout=None).lattice == Lattice.box(1.0, 1.0)
    # Nor where a file names the pairs of nodes without the map between them.
    path = as_msh(path, 4.1)
    text, count = re.subn(r"^16( \S+){16} *$", "0", path.read_text(), flags=re.MULTILINE)
    assert count > 0
    path.write_text(text)
    assert from_gmsh_raw(path).lattice == Lattice.box(1.0, 1.0)


def test_parts_of_one_side_that_are_matched_are_no_period(tmp_path: Path) -> None:
    """Two blocks with the same mesh: the tops are matched with each other, and each with its bottom."""
    points = [(x, y) for y in (0, 1) for x in range(3)]
    text = "".join(f"Point({k + 1}) = {{{x}, {y}, 0, .4}};\n" for k, (x, y) in enumerate(points))
    text += (
        "Line(1) = {1, 2}; Line(2) = {2, 3}; Line(3) = {4, 5}; Line(4) = {5, 6}; Line(5) = {1, 4}; Line(6) = {3, 6};\n"
    )
    text += 'Curve Loop(1) = {1, 2, 6, -4, -3, -5}; Plane Surface(1) = {1}; Physical Surface("a") = {1};\n'
    text += "Periodic Curve {2} = {1} Translate {1, 0, 0}; Periodic Curve {3} = {1} Translate {0, 1, 0};\n"
    text += "Periodic Curve {4} = {2} Translate {0, 1, 0}; Periodic Curve {6} = {5} Translate {2, 0, 0};\n"
    assert from_gmsh_raw(write(tmp_path, text), timeout=None).lattice == Lattice.box(2.0, 1.0)


def test_a_hexagon_has_the_lattice_of_its_three_pairs(tmp_path: Path) -> None:
    points = [(math.cos(k * math.pi / 3), math.sin(k * math.pi / 3)) for k in range(6)]
    text = "".join(f"Point({k + 1}) = {{{x!r}, {y!r}, 0, .4}};\n" for k, (x, y) in enumerate(points))
    text += "".join(f"Line({k + 1}) = {{{k + 1}, {(k + 1) % 6 + 1}}};\n" for k in range(6))
    text += 'Curve Loop(1) = {1:6}; Plane Surface(1) = {1}; Physical Surface("a") = {1};\n'
    for k in range(3):
        shift = np.array(points[k]) + points[k + 1]
        text += f"Periodic Curve {{{k + 1}}} = {{-{k + 4}}} Translate {{{shift[0]!r}, {shift[1]!r}, 0}};\n".replace(
            "np.float64(", ""
        ).replace(")", "")
    lattice = from_gmsh_raw(write(tmp_path, text), timeout=None).lattice
    assert lattice.volume == pytest.approx(1.5 * math.sqrt(3.0))
    assert np.linalg.norm(lattice.vectors, axis=1) == pytest.approx([math.sqrt(3.0)] * 2)


def test_translations_of_no_lattice_are_refused(tmp_path: Path) -> None:
    """The left side in thirds, of which two are changed over on the right."""
    points = [(x, y) for x in (0, 1) for y in range(4)]
    text = "".join(f"Point({k + 1}) = {{{x}, {y} / 3, 0, .3}};\n" for k, (x, y) in enumerate(points))
    text += "".join(f"Line({k + 1}) = {{{k + 1}, {k + 2}}}; Line({k + 4}) = {{{k + 5}, {k + 6}}};\n" for k in range(3))
    text += (
        "Line(7) = {1, 5}; Line(8) = {4, 8}; Curve Loop(1) = {7, 4, 5, 6, -8, -3, -2, -1}; Plane Surface(1) = {1};\n"
    )
    text += 'Physical Surface("a") = {1};\nPeriodic Curve {8} = {7} Translate {0, 1, 0};\n'
    text += "Periodic Curve {6} = {3} Translate {1, 0, 0}; Periodic Curve {5} = {1} Translate {1, 1 / 3, 0};\n"
    with pytest.raises(PeriodicityError, match=r"Periodic = .*translations of one lattice"):
        from_gmsh_raw(write(tmp_path, text), timeout=None)


def test_nodes_elsewhere_than_the_file_says_are_refused(tmp_path: Path) -> None:
    path = as_msh(skew(tmp_path), 4.1)
    text = path.read_text()
    assert "$Periodic" in text
    head, tail = text.split("$Periodic")
    moved = tail.replace("16 1 0 0 1 0", "16 1 0 0 1.1 0")
    assert moved != tail
    path.write_text(f"{head}$Periodic{moved}")
    with pytest.raises(PeriodicityError, match=r"(?s)node at \(1.*where Periodic of the file says, at \(1\.1"):
        from_gmsh_raw(path)
    assert not check_mesh(path).ok
