"""Plane stress: the reduced stiffness by hand, laminates of thin layers, and what is said of it everywhere."""

from __future__ import annotations

import json
from fractions import Fraction

import numpy as np
import pytest

from homfem import bounds, cli, homogenize_elasticity
from homfem.cli import session
from homfem.config import load_config
from homfem.parameters import InputError
from homfem.stiffness import (
    check_plane,
    engineering_constants,
    isotropic,
    isotropic_field,
    orthotropic,
    plane_stress,
    rotate,
    stiffness,
)
from homfem.tensors import EffectiveTensor
from made_cells import grid_cell
from made_laminates import layered, rational, strain_of

SOLIDS = {"a": {"young": 2.0, "poisson": 0.3}, "b": {"young": 9.0, "poisson": -0.7}}


def by_hand(young, poisson):
    """The textbook's reduced stiffness of an isotropic sheet."""
    top = young / (1.0 - poisson**2)
    return np.array([[top, poisson * top, 0], [poisson * top, top, 0], [0, 0, young / (2.0 * (1.0 + poisson))]])


def turned(seed=3):
    """An orthotropic solid turned in space: its stiffness couples everything with everything."""
    q, _ = np.linalg.qr(np.random.default_rng(seed).normal(size=(3, 3)))
    return rotate(orthotropic([10.0, 5.0, 2.0], [0.2, 0.3, 0.1], [1.0, 2.0, 3.0]), q)


def corner(s):
    return ((s[:, 0] > 0.25) & (s[:, 0] < 0.9) & (s[:, 1] > 0.4)).astype(int)


@pytest.mark.parametrize("poisson", [-0.9, 0.0, 0.3, 0.49999999])
def test_an_isotropic_sheet(poisson):
    exact = by_hand(3.0, poisson)
    assert plane_stress(isotropic(young=3.0, poisson=poisson)) == pytest.approx(exact, rel=1e-6)
    assert stiffness({"young": 3.0, "poisson": poisson}, 2, plane="stress") == pytest.approx(exact, rel=1e-12)
    fields = {"young": np.array([3.0, 6.0]), "poisson": np.full(2, poisson)}
    assert isotropic_field("", fields, 2, "stress")[1] == pytest.approx(2.0 * exact, rel=1e-12)
    constants = engineering_constants(exact, plane="stress")
    assert (constants.young[0], constants.poisson[0, 1]) == pytest.approx((3.0, poisson), abs=1e-12)
    assert str(constants).endswith("(plane stress)")


def test_any_sheet_has_the_compliance_of_the_solid():
    c = turned()
    compliance = np.linalg.inv(c)
    inside = np.ix_([0, 1, 5], [0, 1, 5])
    assert plane_stress(c) == pytest.approx(np.linalg.inv(compliance[inside]), rel=1e-12)
    # In plane strain such a solid does not stay plane.
    with pytest.raises(InputError, match="out-of-plane shear"):
        stiffness(c, 2)
    cell = grid_cell((4, 4), corner, names=("a", "b"))
    found = homogenize_elasticity(cell, {"a": c, "b": c.tolist()}, plane="stress")
    assert np.linalg.inv(found.value) == pytest.approx(compliance[inside], rel=1e-9)
    whole = homogenize_elasticity(cell, {"a": c, "b": c}, plane="stress", symmetry="auto")
    assert whole.value == pytest.approx(found.value, rel=1e-9)


def test_thin_layers_are_between_their_bounds():
    cell = grid_cell((4, 4), lambda s: (s[:, 0] > 0.25).astype(int), names=("a", "b"))
    sheets = [rational(by_hand(**solid)) for solid in SOLIDS.values()]
    exact = np.asarray(layered(sheets, [Fraction(1, 4), Fraction(3, 4)], strain_of(0, 2)), dtype=float)
    found = homogenize_elasticity(cell, SOLIDS, plane="stress", degree=1)
    assert found.value == pytest.approx(exact, abs=1e-9)
    assert found.contains(exact, slack=1e-12)
    assert found.relative_gap < 1e-8
    strain = homogenize_elasticity(cell, SOLIDS, plane="strain", degree=1)
    assert strain.value == pytest.approx(homogenize_elasticity(cell, SOLIDS, degree=1).value, abs=1e-12)
    assert np.linalg.eigvalsh(strain.value - found.value)[0] > -1e-12
    assert strain.value[0, 0] > 1.05 * found.value[0, 0]


def test_the_result_says_which():
    cell = grid_cell((4, 4), corner, names=("a", "b"))
    found = homogenize_elasticity(cell, SOLIDS, plane="stress", unit="GPa")
    assert found.plane == "stress"
    assert "elasticity in plane stress, a, b" in str(found)
    assert "(plane stress)" in str(found)
    again = EffectiveTensor.from_json(found.to_json())
    assert again.plane == "stress"
    assert homogenize_elasticity(cell, SOLIDS).plane == "strain"
    with pytest.raises(InputError, match="plane = 'plate'"):
        EffectiveTensor.from_dict(found.to_dict() | {"plane": "plate"})
    # What holds for sheets is set beside it, not what holds in plane strain.
    assert bounds.table(found, SOLIDS).inside
    assert bounds.table(found, list(SOLIDS.values()), [found.volume_fractions[name] for name in "ab"]).inside
    exact = [by_hand(**solid) for solid in SOLIDS.values()]
    mean = sum(found.volume_fractions[name] * matrix for name, matrix in zip("ab", exact, strict=True))
    voigt = next(row for row in bounds.table(found, SOLIDS).rows if row.name == "Voigt-Reuss")
    assert voigt.upper == pytest.approx(mean, rel=1e-12)


@pytest.mark.parametrize("options", [{}, {"symmetry": "auto"}, {"boundary": "affine"}], ids=str)
def test_moduli_are_reduced_on_every_road(options):
    """Beside the reduced matrices typed in, which stand for the plane itself whatever is said of it."""
    cell = grid_cell((6, 6), lambda s: (np.abs(s - 0.5).max(axis=1) < 0.3).astype(int), names=("a", "b"))
    size = cell.element_shape
    arrays = {name: {key: np.full(size, entry) for key, entry in solid.items()} for name, solid in SOLIDS.items()}
    matrices = {name: by_hand(**solid) for name, solid in SOLIDS.items()}
    exact = homogenize_elasticity(cell, matrices, **options).value
    for solids in (SOLIDS, matrices) if options else (SOLIDS, matrices, arrays):
        assert homogenize_elasticity(cell, solids, plane="stress", **options).value == pytest.approx(exact, abs=1e-9)


@pytest.mark.parametrize("plane", ["strain", "stress"])
@pytest.mark.parametrize("wrong", [{"young": 1.0, "poisson": 0.6}, {"bulk": -0.1, "shear": 1.0}])
def test_arrays_of_unstable_moduli_are_refused(plane, wrong):
    """In the plane their matrices may be positive definite: E > 0 and nu = 0.6 in a sheet, K < 0."""
    cell = grid_cell((4, 4), corner, names=("a", "b"))
    given = {key: np.full(cell.element_shape, entry) for key, entry in wrong.items()}
    with pytest.raises(InputError, match="positive definite"):
        homogenize_elasticity(cell, {"a": SOLIDS["a"], "b": given}, plane=plane)
    with pytest.raises(InputError, match=r"poisson|bulk"):
        homogenize_elasticity(cell, {"a": SOLIDS["a"], "b": wrong}, plane=plane)


def test_planes_belong_to_two_dimensions():
    assert check_plane(None, 2) == "strain"
    assert check_plane(None, 3) is None
    for plane in ("strain", "stress"):
        with pytest.raises(InputError, match="three dimensions"):
            homogenize_elasticity(grid_cell((4, 4, 4), corner, names=("a", "b")), SOLIDS, plane=plane)
    with pytest.raises(InputError, match="'strain', 'stress'"):
        homogenize_elasticity(grid_cell((4, 4), corner, names=("a", "b")), SOLIDS, plane="plate")
    with pytest.raises(InputError, match="6x6"):
        plane_stress(np.eye(3))


CONFIG = """
[cell]
shape = "laminate"
fractions = [0.25, 0.75]
axis = "x"
dimension = 2
resolution = 0.25
[effective]
physics = "elasticity"
plane = "stress"
[effective.phases]
layer1 = { young = "2 GPa", poisson = 0.3 }
layer2 = { young = "9 GPa", poisson = -0.7 }
"""


def test_a_sheet_from_the_command_line(tmp_path, capsys, monkeypatch):
    for name in session._LAUNCHERS:
        monkeypatch.delenv(name, raising=False)
    path = tmp_path / "sheet.toml"
    path.write_text(CONFIG)

    def run(*options):
        with pytest.raises(SystemExit) as end:
            cli.main(["effective", str(path), "--json", "-", *options])
        assert end.value.code == 0
        return json.loads(capsys.readouterr().out)

    sheets = [rational(by_hand(**solid)) for solid in SOLIDS.values()]
    exact = np.asarray(layered(sheets, [Fraction(1, 4), Fraction(3, 4)], strain_of(0, 2)), dtype=float)
    found = run()
    assert (found["plane"], found["unit"]) == ("stress", "GPa")
    assert np.array(found["value"]) == pytest.approx(exact, abs=1e-8)
    # Anisotropic solids are given in space, in plane strain as well.
    rows = json.dumps([[f"{entry!r} MPa" for entry in row] for row in (1e3 * turned()).tolist()])
    same = run("--set", f"effective.phases.layer1={rows}", "--set", f"effective.phases.layer2={rows}")
    inside = np.ix_([0, 1, 5], [0, 1, 5])
    assert np.array(same["value"]) == pytest.approx(1e3 * np.linalg.inv(np.linalg.inv(turned())[inside]), rel=1e-8)
    for assignment, words in (
        ("effective.plane=plate", ["effective.plane = 'plate'", "'stress'"]),
        ("cell.dimension=3", ["effective.plane = 'stress'", "three dimensions"]),
    ):
        with pytest.raises(InputError) as caught:
            load_config(path, assignments=[assignment])
        assert all(word in str(caught.value) for word in words)
    capsys.readouterr()
    coupled = ["--set", "effective.plane=strain", "--set", f"effective.phases.layer1={rows}"]
    with pytest.raises(SystemExit) as end:
        cli.main(["effective", str(path), *coupled])
    assert end.value.code == 2
    assert "effective.phases.layer1" in capsys.readouterr().err
