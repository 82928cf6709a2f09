"""Bidomains of heart muscle cells: junctions in series exactly, a published cell, the membrane's area, sweeps."""

from __future__ import annotations

import json

import numpy as np
import pytest

from homfem import BidomainTensors, homogenize_bidomain, sweep_bidomain
from homfem.cells import hexagonal_myocyte, laminate, myocyte
from homfem.certify import Accuracy
from homfem.certify.bidomain.family import Family
from homfem.certify.bidomain.problem import tissue_of
from homfem.certify.bidomain.sweep import _family, _points
from homfem.materials import required_coefficient
from homfem.parameters import InputError, UnitError
from homfem.quantities import INVERSE_LENGTH

CONDUCTIVITY = {"intracellular": 0.5, "extracellular": 2.0}
FULL = {"staggered": False, "joined": "x", "end_patch": 1.0, "resolution": 1 / 3}
PLANE = {"staggered": False, "joined": "x", "end_patch": 0.4, "resolution": 1 / 3}


def plane_cell(**more):
    """Partial junctions end to end."""
    return myocyte(60.0, 20.0, None, (2.0, 4.0), **PLANE, **more)


def small_cell():
    """Partial junctions on all sides."""
    return myocyte(30.0, 10.0, 10.0, (2.0, 3.0), staggered=False, side_patch=0.3, resolution=1 / 3)


def test_full_junctions_are_in_series_with_the_cells():
    r"""Sigma = phi / (1/sigma + R/L): 20 x 20 um in 25 x 25, period 160 um; and the membrane without its ends."""
    cell = myocyte(159.0, 20.0, 20.0, (1.0, 5.0), **FULL)
    found = homogenize_bidomain(cell, CONDUCTIVITY, resistance=0.15, bounds=False, degree=1, rtol=1e-12)
    exact = 0.64 / (1 / 0.5 + 0.15 / 0.16)
    assert found.intracellular.value == pytest.approx(np.diag([exact, 0.0, 0.0]), abs=1e-9)
    assert found.membrane_area == pytest.approx(1e3 * 4 * 20 * 159 / (160 * 25 * 25), rel=1e-12)
    assert found.intracellular_fraction == pytest.approx(0.64, rel=1e-12)
    # The number that is quoted for this cell, .2188034, has a junction of 1 um that resists by R alone.
    channel = homogenize_bidomain(cell, CONDUCTIVITY | {"junction": 1e-3 / 0.15}, bounds=False, degree=1, rtol=1e-12)
    assert channel.intracellular.value[0, 0] == pytest.approx(0.2188034, abs=5e-8)


def test_the_bounds_of_full_junctions_meet():
    cell = myocyte(99.0, 20.0, None, 1.0, **FULL)
    exact = np.diag([20 / 21 / (1 / 0.5 + 0.3 / 0.1), 0.0])
    found = homogenize_bidomain(cell, CONDUCTIVITY, resistance=0.3).intracellular
    assert found.contains(exact)
    assert found.relative_gap < 1e-6
    assert found.value == pytest.approx(exact, abs=1e-11)


def test_the_worked_cell():
    """155 x 20 x 20 um, gaps of 5 um, channels 10 x 10 um along x and y; values to the figures that are quoted."""
    cell = myocyte(
        155.0, 20.0, 20.0, 5.0, staggered=False, joined="xy", end_patch=0.5, side_patch=10 / 155, resolution=1 / 3
    )
    found = homogenize_bidomain(cell, CONDUCTIVITY, resistance=0.15)
    assert found.volume_fractions["intracellular"] == pytest.approx(0.62, rel=1e-12)
    assert found.membrane_area == pytest.approx(1e3 * (2 * 400 + 4 * 155 * 20 - 4 * 100) / (160 * 25 * 25), rel=1e-12)
    inside, outside = found.intracellular, found.extracellular
    assert inside.value[0, 0] == pytest.approx(0.1047, abs=5e-5)
    assert inside.value[1, 1] == pytest.approx(0.00356, abs=5e-6)
    assert outside.value[0, 0] == pytest.approx(0.703, abs=5e-4)
    assert inside.relative_gap < 2e-3
    # Resistors in series: cell, channel, junction; current has to crowd into the channel beside.
    chain = 0.16 / 625e-6 / (0.155 / (0.5 * 400e-6) + 0.005 / (0.5 * 100e-6) + 0.15 / 100e-6)
    assert chain == pytest.approx(0.1078, abs=5e-5)
    assert inside.upper[0, 0] < chain


def test_conductivities_in_series_and_what_follows():
    cell = myocyte(99.0, 20.0, None, 1.0, **FULL)
    slow, fast = (homogenize_bidomain(cell, CONDUCTIVITY, resistance=r) for r in (0.6, 0.1))
    for tissue in (slow, fast):
        inside, outside = (t.value[0, 0] for t in (tissue.intracellular, tissue.extracellular))
        assert tissue.monodomain.value[0, 0] == pytest.approx(inside * outside / (inside + outside), rel=1e-12)
        assert tissue.monodomain.contains(np.diag([inside * outside / (inside + outside), 0.0]))
        assert tissue.anisotropy()["intracellular"] == np.inf
    ratio = fast.monodomain.value[0, 0] / slow.monodomain.value[0, 0]
    with np.errstate(invalid="ignore"):
        assert fast.velocity_ratio(slow)[0] == pytest.approx(np.sqrt(ratio), rel=1e-12)


def test_a_cell_in_millimetres_has_the_same_bidomain():
    one = homogenize_bidomain(plane_cell(), CONDUCTIVITY, resistance=0.2, degree=1)
    cell = myocyte(0.06, 0.02, None, (0.002, 0.004), **PLANE, length_unit="mm")
    two = homogenize_bidomain(cell, CONDUCTIVITY, resistance=0.2, degree=1)
    assert two.intracellular.value == pytest.approx(one.intracellular.value, rel=1e-8)
    assert two.membrane_area == pytest.approx(one.membrane_area, rel=1e-12)
    area = required_coefficient("intracellular", two.intracellular, "membrane_area", INVERSE_LENGTH, unit="1/um")
    assert float(area) == pytest.approx(1e-3 * one.membrane_area, rel=1e-12)


def test_it_prints_and_is_read_again(tmp_path):
    found = homogenize_bidomain(
        small_cell(), CONDUCTIVITY, degree=1, resistance={"end-junctions": 0.2, "side-junctions": 2.0}
    )
    path = tmp_path / "tissue.json"
    found.to_json(path)
    again = BidomainTensors.from_json(path)
    assert again == found
    assert json.loads(path.read_text())["resistance"] == {"end-junctions": 0.2, "side-junctions": 2.0}
    text = str(found)
    assert f"{found.membrane_area:.6g} 1/mm" in text
    assert "guaranteed" in text
    assert "end-junctions 0.2" in text
    data = json.loads(path.read_text())
    for broken in ({"extracellular": 1}, {"resistance": {"end-junctions": -1}}, {"resistance": {"a": "b"}}):
        with pytest.raises(InputError):
            BidomainTensors.from_dict(data | broken)


RESISTANCES = np.geomspace(0.003, 3.0, 20)


def test_a_sweep_is_between_the_bounds_of_single_solves():
    """Its upper bound is no less than the least energy of the mesh, its lower one no more; and both are close."""
    cell = plane_cell()
    swept = sweep_bidomain(cell, CONDUCTIVITY, list(RESISTANCES))
    for k in (0, 4, 9, 13, 19):
        one = homogenize_bidomain(cell, CONDUCTIVITY, resistance=float(RESISTANCES[k])).intracellular
        many = swept[k].intracellular
        assert np.linalg.eigvalsh(many.upper - one.upper).min() > -1e-8 * one.value[0, 0]
        assert np.linalg.eigvalsh(one.lower - many.lower).min() > -1e-8 * one.value[0, 0]
        assert many.relative_gap < 1.25 * one.relative_gap + 5e-5
        assert swept[k].extracellular.value == pytest.approx(swept[0].extracellular.value)
    along = np.array([tissue.intracellular.value[0, 0] for tissue in swept])
    assert np.all(np.diff(along) < 0.0)


def test_a_sweep_of_twenty_solves_three_times_at_most(monkeypatch):
    solved, add = [], Family.add
    monkeypatch.setattr(Family, "add", lambda self, h: (solved.append(h), add(self, h))[1])
    sweep_bidomain(plane_cell(), CONDUCTIVITY, list(RESISTANCES))
    assert 2 <= len(solved) <= 3
    solved.clear()
    sweep_bidomain(plane_cell(), CONDUCTIVITY, list(RESISTANCES), solves=1)
    assert len(solved) == 1


def test_two_kinds_of_junctions_are_swept_together():
    cell = small_cell()
    given = [{"end-junctions": r, "side-junctions": s} for r, s in ((0.05, 4.0), (0.1, 1.0), (0.4, 0.2))]
    swept = sweep_bidomain(cell, CONDUCTIVITY, given, solves=2, degree=1)
    for tissue, resistance in list(zip(swept, given, strict=True))[1:2]:
        one = homogenize_bidomain(cell, CONDUCTIVITY, resistance=resistance, degree=1).intracellular
        assert np.linalg.eigvalsh(tissue.intracellular.upper - one.upper).min() > -1e-8 * one.value[1, 1]
        assert tissue.intracellular.contains(one.value, slack=1e-2 * one.value[1, 1])
        assert tissue.resistance == resistance


def test_conductivities_are_swept_on_one_mesh(monkeypatch):
    """Each phase by itself, and the resistance; beside solves of their own."""
    solved, add = [], Family.add
    monkeypatch.setattr(Family, "add", lambda self, w: (solved.append(w), add(self, w))[1])
    cell = plane_cell()
    rng = np.random.default_rng(7)
    given = [{"intracellular": a, "extracellular": c, "junction": b} for a, b, c in 10.0 ** rng.uniform(-1, 0, (20, 3))]
    resistances = 10.0 ** rng.uniform(-2, 0, 20)
    swept = sweep_bidomain(cell, given, resistances, solves=6)
    assert len(solved) <= 6
    for k in (0, 7, 19):
        one = homogenize_bidomain(cell, given[k], resistance=float(resistances[k]))
        inside, many = one.intracellular, swept[k].intracellular
        assert np.linalg.eigvalsh(many.upper - inside.upper).min() > -1e-8 * inside.value[0, 0]
        assert np.linalg.eigvalsh(inside.lower - many.lower).min() > -1e-8 * inside.value[0, 0]
        assert many.relative_gap < 1.25 * inside.relative_gap + 5e-4
        assert swept[k].extracellular.value == pytest.approx(one.extracellular.value, rel=1e-7, abs=1e-12)
        assert swept[k].extracellular.contains(one.extracellular.value)
        assert swept[k].intracellular.membranes == inside.membranes
        assert swept[k].membrane_area == one.membrane_area


def test_perfect_contact_and_axes_of_their_own_are_swept_too(monkeypatch):
    solved, add = [], Family.add
    monkeypatch.setattr(Family, "add", lambda self, w: (solved.append(w), add(self, w))[1])
    cell = plane_cell()
    skew = np.array([[0.6, 0.1], [0.1, 0.3]])
    given = [{"intracellular": inside, "extracellular": 2.0} for inside in (0.5, skew, 0.25, 2.0 * skew, 4.0)]
    swept = sweep_bidomain(cell, given)
    assert len(solved) == 2  # one of the numbers, one of the matrices
    for k, own in enumerate(given):
        one = homogenize_bidomain(cell, own).intracellular
        assert swept[k].intracellular.value == pytest.approx(one.value, rel=1e-4, abs=1e-12)
        assert swept[k].intracellular.relative_gap < 1.01 * one.relative_gap + 1e-6
    assert swept[3].intracellular.value == pytest.approx(2.0 * swept[1].intracellular.value, rel=1e-8)


def test_sizes_change_the_area_of_the_membrane_and_what_junctions_do():
    cell = plane_cell()
    _, twice = sweep_bidomain(cell, CONDUCTIVITY, 0.2, scales=[1.0, 2.0])
    other = myocyte(120.0, 40.0, None, (4.0, 8.0), **PLANE)
    one = homogenize_bidomain(other, CONDUCTIVITY, resistance=0.2)
    assert twice.membrane_area == pytest.approx(one.membrane_area, rel=1e-12)
    assert twice.intracellular.value == pytest.approx(one.intracellular.value, rel=1e-6, abs=1e-12)
    assert twice.intracellular.interface_area == pytest.approx(one.intracellular.interface_area, rel=1e-12)
    assert twice.intracellular.membranes == pytest.approx(one.intracellular.membranes)
    assert twice.extracellular.value == pytest.approx(one.extracellular.value, rel=1e-9)


def test_a_tolerance_refines_for_the_whole_sweep():
    found = sweep_bidomain(plane_cell(), CONDUCTIVITY, [0.05, 0.1, 0.2], tolerance=1e-3)
    assert found[1].intracellular.relative_gap < 1.5e-3


def test_hexagonal_cells_have_junctions_by_name():
    cell = hexagonal_myocyte(80.0, 16.0, 2.0, resolution=1 / 3)
    given = {"end-junctions": 0.15, "side-junctions": 1.0}
    found = homogenize_bidomain(cell, CONDUCTIVITY, resistance=given, degree=1)
    e, s, w, g, long = 0.5, 0.2, 16.0, 2.0, 80.0
    junctions = np.sqrt(3) * e**2 * w**2 + 2 * np.sqrt(3) * e * s * w * (long - g)
    membrane = np.sqrt(3) * w**2 + 2 * np.sqrt(3) * w * long - junctions
    volume = np.sqrt(3) / 2 * (w + g) ** 2 * (long + g)
    assert found.membrane_area == pytest.approx(1e3 * membrane / volume, rel=1e-9)
    tighter = homogenize_bidomain(cell, CONDUCTIVITY, resistance=given | {"side-junctions": 10.0}, degree=1)
    assert tighter.intracellular.value[1, 1] < 0.3 * found.intracellular.value[1, 1]
    assert tighter.intracellular.value[0, 0] > 0.8 * found.intracellular.value[0, 0]


def on_any_ranks(comm):
    cell = plane_cell(comm=comm)
    one = homogenize_bidomain(cell, CONDUCTIVITY, resistance=0.2)
    swept = sweep_bidomain(cell, CONDUCTIVITY, [0.05, 0.2, 0.8], solves=2)
    both = [one.intracellular, *(tissue.intracellular for tissue in swept)]
    return [one.membrane_area, *(float(side[0, 0]) for t in both for side in (t.value, t.lower, t.upper))]


def test_ranks_agree(on_ranks):
    alone, *others = on_ranks(on_any_ranks)
    for other in others:
        assert other == pytest.approx(alone, rel=1e-6)


@pytest.mark.parametrize(
    ("changed", "name"),
    [
        ({"conductivities": {"intracellular": 0.5}}, "conductivities['extracellular']"),
        ({"conductivities": CONDUCTIVITY | {"bath": 1.0}}, "conductivities"),
        ({"resistance": -0.1}, "resistance"),
        ({"resistance": {"ends": 0.1}}, "resistance"),
        ({"resistance": {"intracellular|junction": 0.1, "junction|intracellular": 0.2}}, "resistance"),
        ({"resistance": {"end-junctions": 0.1, "side-junctions": 0.0}}, "resistance['side-junctions']"),
        ({"membrane": "wall"}, "membrane"),
    ],
)
def test_bad_input_is_refused(changed, name):
    given = {"conductivities": CONDUCTIVITY, "resistance": 0.1} | changed
    with pytest.raises(InputError) as caught:
        homogenize_bidomain(small_cell(), **given)
    assert caught.value.name == name


@pytest.mark.parametrize(
    ("resistances", "more", "name"),
    [
        ([], {}, "resistances"),
        ([0.1, 0.0], {}, "resistances[1]"),
        ([0.1, {"end-junctions": 0.1}], {}, "resistances[1]"),
        ([0.1], {"solves": 0}, "solves"),
        ([0.1, 0.2], {"scales": [1.0]}, "scales"),
        (0.1, {"scales": [1.0, 0.0]}, "scales[1]"),
        (0.1, {"conductivities": [CONDUCTIVITY, {"extracellular": 1.0}]}, "conductivities[1]['intracellular']"),
        (0.1, {"conductivities": []}, "conductivities"),
        ([0.1], {"bounds": False}, "bounds"),
    ],
)
def test_a_bad_sweep_is_refused(resistances, more, name):
    with pytest.raises(InputError) as caught:
        sweep_bidomain(plane_cell(), **({"conductivities": CONDUCTIVITY, "resistances": resistances} | more))
    assert caught.value.name == name


def test_other_cells_are_refused():
    with pytest.raises(InputError, match="a cell with the phase 'intracellular'"):
        homogenize_bidomain(laminate([0.5, 0.5]), CONDUCTIVITY)
    with pytest.raises(UnitError, match="a unit of length"):
        homogenize_bidomain(myocyte(60.0, 20.0, None, 2.0, **PLANE, length_unit="voxel"), CONDUCTIVITY)


def test_a_config_gives_the_same(homfem, tmp_path):
    """Sigma_i with everything else by name, in S/m; the resistance in a unit of its own."""
    config = tmp_path / "tissue.toml"
    config.write_text(
        """
        [cell]
        shape = "myocyte"
        length = "30 um"
        width = "10 um"
        height = "0.01 mm"
        gap = "2 um"
        staggered = false
        side_patch = 0.3
        resolution = 0.3333

        [effective]
        physics = "bidomain"
        degree = 1
        phases = { intracellular = "0.5 S/m", extracellular = "2 S/m" }
        resistance = "0.0015 ohm*cm^2"
        """
    )
    code, out, err = homfem("effective", config, "--json", tmp_path / "found.json")
    assert code == 0, err
    assert "membrane_area" in out
    cell = myocyte(30.0, 10.0, 10.0, 2.0, staggered=False, side_patch=0.3, resolution=0.3333)
    expected = homogenize_bidomain(cell, CONDUCTIVITY, resistance=1.5e-3 * 1e2 * 1e-3, degree=1)
    found = json.loads((tmp_path / "found.json").read_text())
    assert found["value"][0] == pytest.approx(expected.intracellular.value[0], rel=1e-6, abs=1e-9)
    for name, tensor in (("extracellular", expected.extracellular), ("monodomain", expected.monodomain)):
        entry = found["coefficients"][name]
        assert entry["unit"] == "mS/mm"
        assert entry["order"] == "loewner"
        assert np.diag(entry["lower"]) == pytest.approx(np.diag(tensor.lower), rel=1e-6)
    assert found["coefficients"]["membrane_area"]["value"] == pytest.approx(expected.membrane_area)
    code, _, err = homfem("effective", config, "--set", "effective.resistance=-1 ohm*m^2")
    assert code == 2
    assert "effective.resistance" in err
    code, _, err = homfem("effective", config, "--set", "effective.resistance={ends = '1 ohm*m^2'}")
    assert code == 2
    assert "effective.resistance" in err
    code, _, err = homfem("effective", config, "--set", "cell.joined=z")
    assert code == 2
    assert "cell.joined" in err


def test_what_currents_miss_is_taken_off_the_lower_bound():
    """The residual counts with its square root, and more where junctions conduct less than when it was solved."""
    tissue = tissue_of(plane_cell(), CONDUCTIVITY, "intracellular|extracellular")
    points = _points(tissue, [(CONDUCTIVITY, resistance, 1.0) for resistance in (20.0, 0.2)])
    family, (low, high) = _family(tissue, points, np.ones((2, 2)), Accuracy())
    family.add(high)

    def losses(missing):
        family._excess = [np.full(2, missing)]
        return [float(family.bracket(h)["lower"][0, 0]) for h in (low, high)]

    none, some, more = losses(0.0), losses(1e-12), losses(4e-12)
    first, second = np.subtract(none, some), np.subtract(none, more)
    assert second == pytest.approx(2.0 * first, rel=1e-2)
    # At a hundredth of the permeability ten times as much is missing of a current that is far smaller.
    share = first / np.sqrt(none)
    assert share[0] > 5.0 * share[1] * np.sqrt(none[0] / none[1])
    assert first[1] > 2.0 * np.sqrt(1e-12 * none[1])
