"""Stiffness: notation, constants, rotation, plane strain, symmetry classes, and what is refused."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy.spatial.transform import Rotation

import homfem.stiffness as sf
from homfem.parameters import InputError

quick = settings(deadline=None, max_examples=25)
ratios = st.floats(-0.9, 0.49)
turns = st.integers(0, 10**6).map(lambda seed: Rotation.random(random_state=seed).as_matrix())


def spd(n: int) -> st.SearchStrategy[np.ndarray]:
    entries = hnp.arrays(float, (n, n), elements=st.floats(-1.0, 1.0, allow_subnormal=False))
    return entries.map(lambda m: m @ m.T + 0.1 * np.eye(n))


def engineering(strain: np.ndarray) -> np.ndarray:
    """Voigt vector of a strain matrix, with engineering shear."""
    d = len(strain)
    return np.array([strain[i, j] * (1.0 if i == j else 2.0) for i, j in sf.PAIRS[d]])


def with_entries(**entries: float) -> np.ndarray:
    """A 6x6 matrix from entries named C11, C12, ..."""
    c = np.zeros((6, 6))
    for name, value in entries.items():
        i, j = int(name[1]) - 1, int(name[2]) - 1
        c[i, j] = c[j, i] = value
    return c


def cubic(c11: float, c12: float, c44: float) -> np.ndarray:
    return with_entries(C11=c11, C22=c11, C33=c11, C12=c12, C13=c12, C23=c12, C44=c44, C55=c44, C66=c44)


# GPa; silicon, zinc, rutile, olivine (forsterite 92), diopside: the usual tables of single crystals.
SILICON = cubic(165.7, 63.9, 79.6)
ZINC = with_entries(C11=163.7, C22=163.7, C33=63.5, C12=36.4, C13=53.0, C23=53.0, C44=38.8, C55=38.8, C66=63.65)
RUTILE = with_entries(C11=269.0, C22=269.0, C33=480.0, C12=177.0, C13=146.0, C23=146.0, C44=124.0, C55=124.0, C66=192.0)
OLIVINE = with_entries(
    C11=323.7, C22=197.6, C33=235.1, C12=66.4, C13=71.6, C23=75.6, C44=64.6, C55=78.7, C66=79.0
)  # fmt: skip
DIOPSIDE = with_entries(
    C11=223.0, C22=171.0, C33=235.0, C12=77.0, C13=81.0, C23=57.0, C44=74.0, C55=67.0, C66=66.0,
    C15=17.0, C25=7.0, C35=43.0, C46=7.3,
)  # fmt: skip


# -- notation ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("d", [2, 3])
@quick
@given(data=st.data())
def test_all_notations_give_one_stress_and_one_energy(d: int, data: st.DataObject) -> None:
    n = len(sf.PAIRS[d])
    c = data.draw(spd(n))
    m = data.draw(hnp.arrays(float, (d, d), elements=st.floats(-1.0, 1.0)))
    strain = 0.5 * (m + m.T)
    tensor = sf.voigt_to_tensor(c)
    stress = np.einsum("ijkl,kl->ij", tensor, strain)
    voigt = c @ engineering(strain)
    assert voigt == pytest.approx(np.array([stress[i, j] for i, j in sf.PAIRS[d]]), abs=1e-12)
    assert engineering(strain) @ voigt == pytest.approx(np.sum(stress * strain), abs=1e-12)
    mandel = sf.voigt_to_mandel(c)
    assert np.linalg.norm(mandel) == pytest.approx(np.linalg.norm(tensor), rel=1e-12)
    assert sf.mandel_to_voigt(mandel) == pytest.approx(c, rel=1e-14)
    assert sf.tensor_to_voigt(tensor) == pytest.approx(c, rel=1e-12, abs=1e-14)


@pytest.mark.parametrize("d", [2, 3])
@quick
@given(data=st.data(), turn=turns, angle=st.floats(0.0, 6.3))
def test_rotation_is_the_one_of_the_components(d: int, data: st.DataObject, turn: np.ndarray, angle: float) -> None:
    r = turn if d == 3 else np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    c = data.draw(spd(len(sf.PAIRS[d])))
    turned = np.einsum("ia,jb,kc,ld,abcd->ijkl", r, r, r, r, sf.voigt_to_tensor(c))
    assert sf.rotate(c, r) == pytest.approx(sf.tensor_to_voigt(turned), abs=1e-11)


def test_order_of_the_rows() -> None:
    assert sf.INDEX_NAMES == {2: ("xx", "yy", "xy"), 3: ("xx", "yy", "zz", "yz", "xz", "xy")}
    tensor = np.zeros((3, 3, 3, 3))
    for i, j, k, q in ((0, 2, 0, 2), (2, 0, 0, 2), (0, 2, 2, 0), (2, 0, 2, 0)):
        tensor[i, j, k, q] = 7.0
    assert np.array_equal(np.argwhere(np.round(sf.tensor_to_voigt(tensor), 9)), [[4, 4]])
    assert sf.tensor_to_voigt(tensor)[4, 4] == pytest.approx(7.0)


# -- constants -----------------------------------------------------------------------------------------------------


@quick
@given(young=st.floats(0.1, 100.0), poisson=ratios)
def test_young_and_poisson_are_what_a_bar_shows(young: float, poisson: float) -> None:
    c = sf.isotropic(young=young, poisson=poisson)
    strain = np.linalg.solve(c, [1.0, 0, 0, 0, 0, 0])
    assert strain[0] == pytest.approx(1.0 / young)
    assert strain[1:3] == pytest.approx([-poisson / young] * 2, abs=1e-12)
    bulk, shear = sf.moduli(young=young, poisson=poisson)
    assert c[5, 5] == pytest.approx(shear)
    assert (c @ [1, 1, 1, 0, 0, 0])[:3] == pytest.approx([3.0 * bulk] * 3)
    for other in ({"bulk": bulk, "shear": shear}, {"lame": c[0, 1], "shear": shear}):
        assert sf.isotropic(**other) == pytest.approx(c, rel=1e-9, abs=1e-9 * young)
    assert sf.isotropic_moduli(c) == pytest.approx((bulk, shear))
    constants = sf.engineering_constants(c)
    assert constants.young == pytest.approx([young] * 3)
    assert constants.shear == pytest.approx([shear] * 3)
    assert constants.poisson[0, 1] == pytest.approx(poisson, abs=1e-12)


@quick
@given(poisson=ratios)
def test_plane_strain_of_an_isotropic_solid(poisson: float) -> None:
    c = sf.isotropic(young=2.0, poisson=poisson, dimension=2)
    assert sf.plane_strain(sf.isotropic(young=2.0, poisson=poisson)) == pytest.approx(c, abs=1e-12)
    constants = sf.engineering_constants(c)
    assert constants.young == pytest.approx([2.0 / (1.0 - poisson**2)] * 2)
    assert constants.poisson[1, 0] == pytest.approx(poisson / (1.0 - poisson), abs=1e-12)
    assert sf.isotropic_moduli(c) == pytest.approx(sf.moduli(young=2.0, poisson=poisson))
    assert "plane strain" in str(constants)


@pytest.mark.parametrize("axis", ["x", "y", "z"])
def test_a_fibre_from_its_constants(axis):
    """Read off again by the inverse; turned about its axis it stays what it is."""
    k = "xyz".index(axis)
    c = sf.transversely_isotropic(
        young_along=230.0, young_across=15.0, poisson_along=0.2, poisson_across=0.3, shear_along=24.0, axis=axis
    )
    constants = sf.engineering_constants(c)
    across = [i for i in range(3) if i != k]
    assert constants.young[k] == pytest.approx(230.0)
    assert constants.young[across] == pytest.approx([15.0, 15.0])
    assert constants.poisson[k, across] == pytest.approx([0.2, 0.2])
    assert constants.poisson[across[0], across[1]] == pytest.approx(0.3)
    assert np.delete(constants.shear, k) == pytest.approx([24.0, 24.0])
    about, sine, cosine = np.eye(3), np.sin(0.7), np.cos(0.7)
    about[np.ix_(across, across)] = [[cosine, -sine], [sine, cosine]]
    assert sf.rotate(c, about) == pytest.approx(c, abs=1e-11 * c.max())


def test_an_orthotropic_solid_from_its_constants():
    c = sf.orthotropic((10.0, 5.0, 2.0), (0.3, 0.25, 0.2), (1.0, 2.0, 3.0))
    constants = sf.engineering_constants(c)
    assert constants.young == pytest.approx([10.0, 5.0, 2.0])
    assert constants.shear == pytest.approx([1.0, 2.0, 3.0])
    ratios = constants.poisson
    assert [ratios[0, 1], ratios[0, 2], ratios[1, 2]] == pytest.approx([0.3, 0.25, 0.2])
    assert sf.orthotropic((3.0,) * 3, (0.2,) * 3, (1.25,) * 3) == pytest.approx(sf.isotropic(young=3.0, poisson=0.2))


@pytest.mark.parametrize(
    ("young", "poisson", "shear", "name"),
    [
        ((1.0, -1.0, 1.0), (0.0,) * 3, (1.0,) * 3, "young"),
        ((1.0, 1.0, 1.0), (0.0,) * 3, (1.0, 0.0, 1.0), "shear"),
        ((1.0, 1.0, 1.0), (1.0, 0.0, 0.0), (1.0,) * 3, "poisson"),
        ((1.0, 1.0, 1.0), (0.6, 0.6, 0.6), (1.0,) * 3, "poisson"),
        ((1.0, 1.0), (0.0,) * 3, (1.0,) * 3, "young"),
        ((1.0, 1.0, 1.0), (0.0, float("nan"), 0.0), (1.0,) * 3, "poisson"),
    ],
)
def test_no_solid_has_these_constants(young, poisson, shear, name):
    with pytest.raises(InputError, match=rf"stiffness\.{name}"):
        sf.orthotropic(young, poisson, shear)


def test_no_fibre_has_these_constants():
    good = {"young_along": 2.0, "young_across": 1.0, "poisson_along": 0.2, "poisson_across": 0.3, "shear_along": 1.0}
    for wrong, name in (
        ({"young_along": 0.0}, "young_along"),
        ({"poisson_across": -1.0}, "poisson_across"),
        ({"shear_along": -1.0}, "shear"),
        ({"axis": "w"}, "axis"),
    ):
        with pytest.raises(InputError, match=name):
            sf.transversely_isotropic(**good | wrong)


def test_engineering_constants_of_an_orthotropic_solid() -> None:
    # A ply: E1 = 140, E2 = E3 = 10, nu12 = nu13 = 0.3, nu23 = 0.4; the compliance is written down by hand.
    s = np.diag([1 / 140, 1 / 10, 1 / 10, 1 / 3.5, 1 / 5, 1 / 6])
    s[0, 1] = s[1, 0] = s[0, 2] = s[2, 0] = -0.3 / 140
    s[1, 2] = s[2, 1] = -0.4 / 10
    constants = sf.engineering_constants(np.linalg.inv(s))
    assert constants.young == pytest.approx([140, 10, 10])
    assert constants.shear == pytest.approx([3.5, 5, 6])
    nu = constants.poisson
    assert (nu[0, 1], nu[0, 2], nu[1, 2]) == pytest.approx((0.3, 0.3, 0.4))
    assert nu[1, 0] == pytest.approx(0.3 * 10 / 140)
    assert "nu_xy 0.3" in str(constants)
    assert "G_yz 3.5" in str(constants)


def test_a_stiffness_as_a_user_writes_it() -> None:
    c = sf.isotropic(young=10.0, poisson=0.3)
    assert np.array_equal(sf.stiffness({"young": 10.0, "poisson": 0.3}, 3), c)
    assert np.array_equal(sf.stiffness(c.tolist(), 3), c)
    assert sf.stiffness(c, 2) == pytest.approx(sf.stiffness({"young": 10.0, "poisson": 0.3}, 2))


# -- symmetry ------------------------------------------------------------------------------------------------------

CRYSTALS = {
    "isotropic": sf.isotropic(young=1.0, poisson=0.25),
    "cubic": SILICON,
    "transversely isotropic": ZINC,
    "tetragonal": RUTILE,
    "orthotropic": OLIVINE,
    "monoclinic": DIOPSIDE,
}
CYCLE = np.array([[0.0, 0, 1], [1, 0, 0], [0, 1, 0]])  # x -> y -> z -> x


@pytest.mark.parametrize("name", CRYSTALS)
def test_classes_of_crystals_and_their_axes(name: str) -> None:
    c = CRYSTALS[name]
    axis = {"monoclinic": "y"}.get(name, "z" if name in ("transversely isotropic", "tetragonal") else "")
    for _ in range(3):
        found = sf.symmetry(c)
        assert (found.name, found.axis) == (name, axis)
        c, axis = sf.rotate(c, CYCLE), {"x": "y", "y": "z", "z": "x"}.get(axis, "")
    oblique = Rotation.from_rotvec([0.3, 0.5, 0.2]).as_matrix()
    assert sf.symmetry(sf.rotate(CRYSTALS[name], oblique)).name == (name if name == "isotropic" else "general")


def test_a_turned_crystal_and_classes_in_the_plane() -> None:
    turned = sf.rotate(SILICON, Rotation.from_euler("z", 20, degrees=True).as_matrix())
    assert str(sf.symmetry(turned)) == "monoclinic about z"
    plane = sf.plane_strain(SILICON)
    assert sf.symmetry(plane).name == "square"
    assert sf.symmetry(sf.plane_strain(OLIVINE)).name == "orthotropic"
    assert sf.symmetry(sf.isotropic(young=1.0, poisson=0.2, dimension=2)).name == "isotropic"
    half = np.deg2rad(20)
    turn = np.array([[np.cos(half), -np.sin(half)], [np.sin(half), np.cos(half)]])
    assert sf.symmetry(sf.rotate(plane, turn)).name == "general"
    assert sf.symmetry(SILICON + 1e-3 * OLIVINE, tolerance=1e-2).name == "cubic"


@pytest.mark.parametrize("name", sf.CLASSES[3])
@pytest.mark.parametrize("axis", ["x", "y", "z"])
@settings(deadline=None, max_examples=8)
@given(c=spd(6), other=spd(6), angle=st.floats(0.1, 3.0))
def test_the_projection_is_the_nearest_member_of_its_class(
    name: str, axis: str, c: np.ndarray, other: np.ndarray, angle: float
) -> None:
    near = sf.project(c, name, axis)
    assert sf.symmetry(near, tolerance=1e-9).name in sf.CLASSES[3][: sf.CLASSES[3].index(name) + 1]
    # No other member is nearer: the difference is orthogonal to the class.
    member = sf.project(other, name, axis)
    inner = np.sum(sf.voigt_to_mandel(c - near) * sf.voigt_to_mandel(member))
    assert inner == pytest.approx(0.0, abs=1e-10)
    if name == "transversely isotropic":
        r = Rotation.from_rotvec(angle * np.eye(3)["xyz".index(axis)]).as_matrix()
        assert sf.rotate(near, r) == pytest.approx(near, abs=1e-10)
    if name == "isotropic":
        assert sf.isotropic_moduli(near)[0] == pytest.approx(c[:3, :3].sum() / 9.0)


@pytest.mark.parametrize("name", ["isotropic", "square", "orthotropic"])
@quick
@given(c=spd(3), other=spd(3))
def test_the_projection_in_the_plane(name: str, c: np.ndarray, other: np.ndarray) -> None:
    near, member = sf.project(c, name), sf.project(other, name)
    assert sf.symmetry(near, tolerance=1e-9).name in sf.CLASSES[2][: sf.CLASSES[2].index(name) + 1]
    assert np.sum(sf.voigt_to_mandel(c - near) * sf.voigt_to_mandel(member)) == pytest.approx(0.0, abs=1e-10)


@quick
@given(c11=st.floats(2.0, 9.0), c12=st.floats(-0.9, 1.9), c44=st.floats(0.1, 9.0))
def test_universal_index_of_a_cubic_crystal_follows_from_zeners_ratio(c11: float, c12: float, c44: float) -> None:
    c = cubic(c11, c12, c44)
    zener = 2.0 * c44 / (c11 - c12)
    assert sf.zener_anisotropy(c) == pytest.approx(zener)
    # Ranganathan and Ostoja-Starzewski 2008, eq. 9
    assert sf.universal_anisotropy(c) == pytest.approx(1.2 * (zener**0.5 - zener**-0.5) ** 2, abs=1e-9)
    r = Rotation.from_rotvec([0.4, -0.3, 0.8]).as_matrix()
    assert sf.universal_anisotropy(sf.rotate(c, r)) == pytest.approx(sf.universal_anisotropy(c), abs=1e-9)


def test_anisotropy_of_isotropic_solids_is_zero() -> None:
    for d in (2, 3):
        c = sf.isotropic(young=3.0, poisson=0.1, dimension=d)
        assert sf.universal_anisotropy(c) == pytest.approx(0.0, abs=1e-12)
        assert sf.zener_anisotropy(c) == pytest.approx(1.0)
    assert sf.universal_anisotropy(sf.plane_strain(SILICON)) > 0.01


# -- what is refused -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "part"),
    [
        ({"young": -1.0, "poisson": 0.3}, "fibre.young"),
        ({"young": 1.0, "poisson": 0.5}, "incompressible"),
        ({"young": 1.0, "poisson": 0.6}, "fibre.poisson"),
        ({"young": 1.0, "poisson": -1.0}, "fibre.poisson"),
        ({"bulk": 0.0, "shear": 1.0}, "fibre.bulk"),
        ({"bulk": 1.0, "shear": -1.0}, "fibre.shear"),
        ({"lame": -1.0, "shear": 1.0}, "fibre.lame"),
        ({"bulk": 1e20, "shear": 1.0}, "too far apart"),
        ({"bulk": 1e-20, "shear": 1.0}, "too far apart"),
        ({"young": 1.0, "poisson": 0.5 - 1e-16}, "too far apart"),
        ({"young": 1.0}, "young and poisson"),
        ({"young": 1.0, "poison": 0.3}, "Did you mean 'poisson' by 'poison'"),
        ({"young": 1.0, "poisson": "0.3"}, "fibre.poisson"),
        (5.0, "One number"),
        ([[1.0, 2.0]], "Voigt matrix"),
        ("stiff", "Voigt matrix"),
        (np.full((6, 6), np.nan), "Voigt matrix"),
        (np.triu(np.ones((6, 6))), "not symmetric"),
        (np.diag([1.0, 1, 1, 1, 1, -1]), "eigenvalue"),
        (np.zeros((6, 6)), "eigenvalue"),
    ],
)
def test_a_bad_stiffness_is_named(value: Any, part: str) -> None:
    with pytest.raises(InputError, match="fibre") as caught:
        sf.stiffness(value, 3, "fibre")
    assert part in str(caught.value)


@pytest.mark.parametrize(
    ("call", "part"),
    [
        (lambda: sf.isotropic(young=1.0, poisson=0.3, dimension=4), "dimension"),
        (lambda: sf.stiffness(np.eye(6), 1), "dimension"),
        (lambda: sf.voigt_to_mandel(np.eye(4)), "6x6"),
        (lambda: sf.tensor_to_voigt(np.ones((3, 3, 3))), "shape"),
        (lambda: sf.tensor_to_voigt(np.arange(16.0).reshape(2, 2, 2, 2)), "symmetric"),
        (lambda: sf.rotate(np.eye(6), np.ones((3, 3))), "orthogonal"),
        (lambda: sf.rotate(np.eye(6), np.eye(2)), "3x3"),
        (lambda: sf.plane_strain(np.eye(3)), "6x6"),
        (lambda: sf.plane_strain(DIOPSIDE), "coupling"),
        (lambda: sf.isotropic_moduli(SILICON), "isotropic"),
        (lambda: sf.zener_anisotropy(ZINC), "cubic"),
        (lambda: sf.project(ZINC, "trigonal"), "one of"),
        (lambda: sf.project(ZINC, "tetragonal", "w"), "axis"),
        (lambda: sf.symmetry(ZINC, tolerance=-1.0), "tolerance"),
    ],
)
def test_bad_input_is_named(call: Any, part: str) -> None:
    with pytest.raises(InputError, match=part):
        call()
