"""Bounds and estimates: limits, order, duality, published numbers, the table, and what is refused."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from homfem import bounds
from homfem.parameters import InputError
from homfem.stiffness import isotropic, rotate, voigt_to_mandel
from homfem.tensors import EffectiveTensor
from homfem.validation.published import CYLINDERS, FIBRES, SPHERES

quick = settings(deadline=None, max_examples=40)
positive = st.floats(0.01, 100.0)
numbers = st.one_of(st.just(0.0), st.floats(1e-9, 100.0))


@st.composite
def mixtures(draw: st.DrawFn, entries: st.SearchStrategy[Any]) -> tuple[list[Any], list[float]]:
    count = draw(st.integers(1, 4))
    weights = np.array([draw(st.floats(0.01, 1.0)) for _ in range(count)])
    return [draw(entries) for _ in range(count)], list(weights / weights.sum())


solids = st.tuples(positive, positive).map(lambda pair: {"bulk": pair[0], "shear": pair[1]})  # ill ordered too


def spd(seed: int, n: int) -> np.ndarray:
    m = np.random.default_rng(seed).normal(size=(n, n))
    return m @ m.T + 0.2 * np.eye(n)


def smallest(stiffness: np.ndarray) -> float:
    return float(np.linalg.eigvalsh(voigt_to_mandel(stiffness))[0])


# -- order ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("d", [2, 3])
@quick
@given(mixture=mixtures(numbers))
def test_order_of_conductivity(d: int, mixture: tuple[list[float], list[float]]) -> None:
    k, f = mixture
    outer = bounds.voigt_reuss_conductivity(k, f, dimension=d)
    inner = bounds.hashin_shtrikman(k, f, dimension=d)
    medium = bounds.bruggeman(k, f, dimension=d).value
    slack = 1e-9 * max(k)
    assert min(k) - slack <= outer.lower[0, 0] <= inner.lower + slack
    assert inner.lower - slack <= medium <= inner.upper + slack
    assert inner.upper - slack <= outer.upper[0, 0] <= max(k) + slack
    for matrix in range(len(k)):
        assert inner.lower - slack <= bounds.maxwell(k, f, matrix=matrix, dimension=d).value <= inner.upper + slack


@pytest.mark.parametrize("d", [2, 3])
@quick
@given(mixture=mixtures(solids))
def test_order_of_moduli(d: int, mixture: tuple[list[dict[str, float]], list[float]]) -> None:
    phases, f = mixture
    bulk = np.array([p["bulk"] + (p["shear"] / 3 if d == 2 else 0.0) for p in phases])
    shear = np.array([p["shear"] for p in phases])
    inner = bounds.hashin_shtrikman_moduli(phases, f, dimension=d)
    guess = bounds.self_consistent(phases, f, dimension=d)
    for values, sides, middle in ((bulk, inner.bulk, guess.bulk.value), (shear, inner.shear, guess.shear.value)):
        slack = 1e-9 * values.max()
        assert 1.0 / np.sum(f / values) <= sides.lower + slack
        assert sides.lower - slack <= middle <= sides.upper + slack
        assert sides.upper <= np.dot(f, values) + slack
    for matrix in range(len(phases)):
        inside = bounds.mori_tanaka(phases, f, matrix=matrix, dimension=d)
        assert inner.shear.lower * (1 - 1e-9) <= inside.shear.value <= inner.shear.upper * (1 + 1e-9)


@quick
@given(seed=st.integers(0, 10**6), f=st.floats(0.05, 0.95), kind=st.sampled_from(["conductivity", "stiffness"]))
def test_a_laminate_lies_between_voigt_and_reuss_in_the_loewner_order(seed: int, f: float, kind: str) -> None:
    size = 3 if kind == "conductivity" else 6
    phases = [spd(seed, size), spd(seed + 1, size)]
    normal = Rotation.random(random_state=seed).as_matrix()[0]
    exact = getattr(bounds, f"laminate_{kind}")(phases, [f, 1 - f], normal)
    sides = getattr(bounds, f"voigt_reuss_{kind}")(phases, [f, 1 - f], dimension=3)
    view = voigt_to_mandel if size == 6 else np.asarray
    for gap in (exact - sides.lower, sides.upper - exact):
        values = np.linalg.eigvalsh(view(gap))
        assert values[0] >= -1e-9
    assert bounds.table(exact, phases, [f, 1 - f]).inside
    # The field across the layers is that of equal fluxes: Reuss along the normal, Voigt along the tangents, if aligned.
    if kind == "conductivity":
        diagonal = [np.diag([2.0, 3.0, 5.0]), np.diag([7.0, 1.0, 4.0])]
        aligned = bounds.laminate_conductivity(diagonal, [f, 1 - f], [0, 0, 1])
        means = bounds.voigt_reuss_conductivity(diagonal, [f, 1 - f], dimension=3)
        assert aligned == pytest.approx(np.diag([means.upper[0, 0], means.upper[1, 1], means.lower[2, 2]]))


# -- limits --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("d", [2, 3])
def test_equal_phases_and_single_phases(d: int) -> None:
    solid, other = {"young": 3.0, "poisson": 0.2}, {"young": 7.0, "poisson": 0.4}
    c = isotropic(**solid, dimension=d)
    for phases, f in (([solid, solid], [0.3, 0.7]), ([solid, other], [1.0, 0.0]), ([other, solid], [0, 1])):
        sides = bounds.hashin_shtrikman_moduli(phases, f, dimension=d)
        k = c[:d, :d].sum() / d**2
        assert [sides.bulk.lower, sides.bulk.upper] == pytest.approx([k, k])
        assert [sides.shear.lower, sides.shear.upper] == pytest.approx([c[-1, -1]] * 2)
        assert bounds.self_consistent(phases, f, dimension=d).shear.value == pytest.approx(c[-1, -1])
        mean = bounds.voigt_reuss_stiffness(phases, f, dimension=d)
        assert mean.lower == pytest.approx(c)
        assert mean.upper == pytest.approx(c)
    for k, f in (([2.0, 2.0], [0.4, 0.6]), ([2.0, 9.0], [1, 0]), ([0.0, 2.0], [0, 1])):
        sides = bounds.hashin_shtrikman(k, f, dimension=d)
        assert [sides.lower, sides.upper] == pytest.approx([2.0, 2.0])
        assert 2.0 in bounds.Bounds(lower=sides.lower - 1e-12, upper=sides.upper + 1e-12)
        assert bounds.bruggeman(k, f, dimension=d).value == pytest.approx(2.0)


@pytest.mark.parametrize("d", [2, 3])
def test_insulators_voids_and_perfect_conductors(d: int) -> None:
    f = 0.3
    pores = bounds.hashin_shtrikman([1.0, 0.0], [1 - f, f], dimension=d)
    assert pores.lower == 0.0
    assert pores.upper == pytest.approx((1 - f) / (1 + f / (d - 1)))  # Maxwell's porous body
    metal = bounds.hashin_shtrikman([1.0, math.inf], [1 - f, f], dimension=d)
    assert metal.upper == math.inf
    assert metal.lower == pytest.approx((1 + (d - 1) * f) / (1 - f))
    # The same limits from finite contrasts.
    finite = bounds.hashin_shtrikman([1.0, 1e12], [1 - f, f], dimension=d)
    assert finite.lower == pytest.approx(metal.lower)
    solid = {"young": 1.0, "poisson": 0.3}
    holes = bounds.hashin_shtrikman_moduli([solid, 0], [1 - f, f], dimension=d)
    nearly = bounds.hashin_shtrikman_moduli([solid, {"young": 1e-12, "poisson": 0.3}], [1 - f, f], dimension=d)
    assert (holes.bulk.lower, holes.shear.lower) == (0.0, 0.0)
    assert holes.bulk.upper == pytest.approx(nearly.bulk.upper)
    assert holes.shear.upper == pytest.approx(nearly.shear.upper)
    rigid = bounds.hashin_shtrikman_moduli([solid, {"bulk": math.inf, "shear": math.inf}], [1 - f, f], dimension=d)
    hard = bounds.hashin_shtrikman_moduli([solid, {"young": 1e12, "poisson": 0.3}], [1 - f, f], dimension=d)
    assert rigid.shear.upper == math.inf
    assert rigid.bulk.lower == pytest.approx(hard.bulk.lower)
    assert rigid.shear.lower == pytest.approx(hard.shear.lower)
    assert not bounds.voigt_reuss_conductivity([1.0, 0.0], [0.5, 0.5], dimension=d).lower.any()
    assert not bounds.voigt_reuss_stiffness([solid, 0], [0.5, 0.5], dimension=d).lower.any()


def test_the_harmonic_mean_of_a_fluid_and_a_solid() -> None:
    """A fluid blocks every shear stress; the pressures give Wood's mean of the bulk moduli."""
    phases = [{"bulk": 36.0, "shear": 45.0}, {"bulk": 2.2, "shear": 0}]
    lower = bounds.voigt_reuss_stiffness(phases, [0.7, 0.3], dimension=3).lower
    expected = np.zeros((6, 6))
    expected[:3, :3] = 1 / (0.7 / 36 + 0.3 / 2.2)
    assert lower == pytest.approx(expected, abs=1e-9)


def test_voigt_and_reuss_of_anisotropic_phases() -> None:
    a, b = spd(1, 3), spd(2, 3)
    sides = bounds.voigt_reuss_conductivity([a, b], [0.4, 0.6], dimension=3)
    assert sides.lower == pytest.approx(np.linalg.inv(0.4 * np.linalg.inv(a) + 0.6 * np.linalg.inv(b)))
    assert sides.upper == pytest.approx(0.4 * a + 0.6 * b)
    c, e = spd(3, 6), spd(4, 6)
    stiff = bounds.voigt_reuss_stiffness([c, e], [0.4, 0.6], dimension=3)
    assert stiff.lower == pytest.approx(np.linalg.inv(0.4 * np.linalg.inv(c) + 0.6 * np.linalg.inv(e)))
    turn = Rotation.from_rotvec([0.1, 0.7, 0.3]).as_matrix()
    turned = bounds.voigt_reuss_stiffness([rotate(c, turn), rotate(e, turn)], [0.4, 0.6], dimension=3)
    assert turned.lower == pytest.approx(rotate(stiff.lower, turn))


# -- closed forms and published numbers ----------------------------------------------------------------------------


@quick
@given(mixture=mixtures(positive))
def test_keller_duality_of_the_plane(mixture: tuple[list[float], list[float]]) -> None:
    k, f = mixture
    direct = bounds.hashin_shtrikman(k, f, dimension=2)
    dual = bounds.hashin_shtrikman([1 / x for x in k], f, dimension=2)
    assert direct.lower * dual.upper == pytest.approx(1.0)
    assert direct.upper * dual.lower == pytest.approx(1.0)
    medium = [bounds.bruggeman(x, f, dimension=2).value for x in (k, [1 / y for y in k])]
    assert medium[0] * medium[1] == pytest.approx(1.0)


@quick
@given(k1=positive, k2=positive, g1=positive, g2=positive, f1=st.floats(0.05, 0.95))
def test_the_two_phase_formulas(k1: float, k2: float, g1: float, g2: float, f1: float) -> None:
    """As printed by Hashin and Shtrikman 1962, 1963; written for k2 > k1, G2 > G1."""
    (k1, k2), (g1, g2), f2 = sorted([k1, k2]), sorted([g1, g2]), 1 - f1
    if k2 - k1 < 1e-3 * k1 or g2 - g1 < 1e-3 * g1:
        return
    found = bounds.hashin_shtrikman([k1, k2], [f1, f2], dimension=3)
    assert found.lower == pytest.approx(k1 + f2 / (1 / (k2 - k1) + f1 / (3 * k1)))
    assert found.upper == pytest.approx(k2 + f1 / (1 / (k1 - k2) + f2 / (3 * k2)))
    moduli = bounds.hashin_shtrikman_moduli([{"bulk": k1, "shear": g1}, {"bulk": k2, "shear": g2}], [f1, f2])
    assert moduli.bulk.lower == pytest.approx(k1 + f2 / (1 / (k2 - k1) + 3 * f1 / (3 * k1 + 4 * g1)))
    assert moduli.bulk.upper == pytest.approx(k2 + f1 / (1 / (k1 - k2) + 3 * f2 / (3 * k2 + 4 * g2)))
    lower = g1 + f2 / (1 / (g2 - g1) + 6 * (k1 + 2 * g1) * f1 / (5 * g1 * (3 * k1 + 4 * g1)))
    upper = g2 + f1 / (1 / (g1 - g2) + 6 * (k2 + 2 * g2) * f2 / (5 * g2 * (3 * k2 + 4 * g2)))
    assert [moduli.shear.lower, moduli.shear.upper] == pytest.approx([lower, upper])


def test_quartz_calcite_and_water() -> None:
    # Mavko, Mukerji, Dvorkin, The Rock Physics Handbook, section 4.1: K- 7.10, K+ 26.9, G- 0, G+ 24.6 GPa
    phases = {
        "quartz": {"bulk": 36.0, "shear": 45.0},
        "calcite": {"bulk": 75.0, "shear": 31.0},
        "water": {"bulk": 2.2, "shear": 0.0},
    }
    found = bounds.hashin_shtrikman_moduli(phases, {"quartz": 0.584, "calcite": 0.146, "water": 0.27})
    assert found.bulk.lower == pytest.approx(7.10, abs=0.005)
    assert found.bulk.upper == pytest.approx(26.9, abs=0.05)
    assert found.shear.lower == 0.0
    assert found.shear.upper == pytest.approx(24.6, abs=0.05)


@pytest.mark.parametrize("d", [2, 3])
@quick
@given(k1=positive, k2=positive, f=st.floats(0.0, 1.0))
def test_bruggeman_is_the_root_of_its_quadratic(d: int, k1: float, k2: float, f: float) -> None:
    b = (d * f - 1) * k1 + (d * (1 - f) - 1) * k2
    root = (b + math.sqrt(b * b + 4 * (d - 1) * k1 * k2)) / (2 * (d - 1))
    assert bounds.bruggeman([k1, k2], [f, 1 - f], dimension=d).value == pytest.approx(root, rel=1e-7)


@pytest.mark.parametrize("d", [2, 3])
def test_bruggeman_percolates_at_one_over_d(d: int) -> None:
    def medium(f: float, k: float = 5.0, rest: float = 0.0) -> float:
        return bounds.bruggeman([k, rest], [f, 1 - f], dimension=d).value

    assert [medium(0.0), medium(0.9 / d), medium(1 / d)] == [0.0, 0.0, 0.0]
    for f in (1 / d + 1e-6, 0.5 + 0.01, 0.7, 1.0):
        assert medium(f) == pytest.approx(5.0 * (d * f - 1) / (d - 1), rel=1e-9)
        # Perfect conductors beside an ordinary matrix: finite below 1/d, infinite from there on.
        assert medium(f, math.inf, 1.0) == math.inf
    assert medium(0.5 / d, math.inf, 1.0) == pytest.approx(2.0)
    assert medium(0.1, math.inf, 0.0) == 0.0
    assert medium(0.9, math.inf, 0.0) == math.inf
    three = bounds.bruggeman([1.0, 0.0, math.inf], [0.8, 0.1, 0.1], dimension=d).value
    wide = bounds.bruggeman([1.0, 1e-13, 1e13], [0.8, 0.1, 0.1], dimension=d).value
    assert three == pytest.approx(wide)


@quick
@given(nu=st.floats(-0.5, 0.45), f=st.floats(0.0, 0.6))
def test_self_consistent_holes(nu: float, f: float) -> None:
    """Circular holes: the Young's modulus of the plane is (1 - 3 f) E, whatever the ratio; spheres end at 1/2."""
    solid = {"young": 1.0, "poisson": nu}
    plane = bounds.self_consistent([solid, 0], [1 - f, f], dimension=2)
    k, g = plane.bulk.value, plane.shear.value
    whole = 1.0 / (1.0 - nu**2)
    assert (4 * k * g / (k + g) if g else 0.0) == pytest.approx(max(0.0, 1 - 3 * f) * whole, abs=1e-9)
    space = bounds.self_consistent([solid, 0], [1 - f, f])
    assert (space.shear.value > 0.0) == (f < 0.5 - 1e-12)
    assert (space.bulk.value > 0.0) == (f < 0.5 - 1e-12)


def test_dilute_spheres_in_maxwell_and_mori_tanaka() -> None:
    f, k = 1e-5, 10.0
    slope = (bounds.maxwell([1.0, k], [1 - f, f], matrix=0, dimension=3).value - 1.0) / f
    assert slope == pytest.approx(3 * (k - 1) / (k + 2), rel=1e-4)
    # Eshelby: dilute voids in a solid with ratio 1/5 take E by 2 f.
    guess = bounds.mori_tanaka([{"young": 1.0, "poisson": 0.2}, 0], [1 - f, f], matrix=0)
    bulk, shear = guess.bulk.value, guess.shear.value
    young = 9 * bulk * shear / (3 * bulk + shear)
    assert (1 - young) / f == pytest.approx(2.0, rel=1e-4)


# -- computed tensors ----------------------------------------------------------------------------------------------

ARRAYS = [(2, fraction, values) for (_, fraction), values in CYLINDERS.items()]
ARRAYS += [(3, fraction, values) for fraction, values in SPHERES.items()]


@pytest.mark.parametrize(("d", "fraction", "values"), ARRAYS)
def test_published_arrays_lie_inside(d: int, fraction: float, values: dict[float, float]) -> None:
    """Perrins, McPhedran, McKenzie 1979 (square, square, hexagonal); Sangani and Acrivos 1983: near the matrix side."""
    for contrast, value in values.items():
        sides = bounds.hashin_shtrikman([1.0, contrast], [1 - fraction, fraction], dimension=d)
        assert value in sides
        near = sides.upper if contrast < 1 else sides.lower
        assert value == pytest.approx(near, rel=0.13)
        if contrast < math.inf:
            phases = {"matrix": 1.0, "grain": contrast}
            found = bounds.table(value * np.eye(d), phases, {"matrix": 1 - fraction, "grain": fraction})
            assert found.inside
            wrong = bounds.table(1.01 * sides.upper * np.eye(d), phases, {"matrix": 1 - fraction, "grain": fraction})
            assert not wrong.inside


def test_the_computed_fibre_array_lies_inside() -> None:
    # Square array of fibres along z, fraction .3, E 1 and 10, both ratios .3; computed elsewhere to 1e-8.
    c11, c12, c13, c33, c44, c66 = FIBRES.values()
    value = np.diag([c11, c11, c33, c44, c44, c66])
    value[0, 1] = value[1, 0] = c12
    value[:2, 2] = value[2, :2] = c13
    phases = {"matrix": {"young": 1.0, "poisson": 0.3}, "fibre": {"young": 10.0, "poisson": 0.3}}
    fractions = {"matrix": 0.7, "fibre": 0.3}
    found = bounds.table(value, phases, fractions)
    assert found.inside
    by_name = {row.name: row for row in found.rows}
    assert by_name["Voigt-Reuss"].inside is True
    assert by_name["Hashin-Shtrikman, bulk modulus"].inside is None  # not a cubic tensor
    fibres = bounds.fibre_bounds(phases, fractions)
    assert 0.5 * (c11 + c12) in fibres.area_bulk
    assert c44 in fibres.longitudinal_shear
    plane = bounds.table(value[np.ix_([0, 1, 5], [0, 1, 5])], phases, fractions)
    rows = {row.name: row for row in plane.rows}
    assert rows["Hashin-Shtrikman, area bulk modulus"].inside is True
    assert rows["Hashin-Shtrikman, area bulk modulus"].value == pytest.approx(0.5 * (c11 + c12))
    assert rows["Hashin-Shtrikman, shear modulus"].inside is None  # square, not isotropic


# -- the table -----------------------------------------------------------------------------------------------------


def test_the_table_of_a_tensor_reads_its_fractions_unit_and_bracket() -> None:
    value = 1.88774 * np.eye(3)
    tensor = EffectiveTensor(
        value=value, lower=0.999 * value, upper=1.001 * value, unit="um^2/s",
        volume_fractions={"sphere": 0.3, "matrix": 0.7},
    )  # fmt: skip
    found = bounds.table(tensor, {"sphere": 10.0, "matrix": 1.0})
    assert found.inside
    text = str(found)
    assert "um^2/s" in text
    assert "1.87097" in text
    assert "3.07692" in text
    assert "Bruggeman" in text
    assert "no bound" in text
    assert "NO" not in text
    # A value outside by less than its own bracket is not called outside; by more, it is.
    edge = bounds.hashin_shtrikman([10.0, 1.0], [0.3, 0.7], dimension=3).lower
    for factor, expected in ((0.9995, True), (0.998, False)):
        near = EffectiveTensor(
            value=factor * edge * np.eye(3), lower=(factor - 1e-3) * edge * np.eye(3),
            upper=(factor + 1e-3) * edge * np.eye(3), volume_fractions={"sphere": 0.3, "matrix": 0.7},
        )  # fmt: skip
        verdict = bounds.table(near, {"sphere": 10.0, "matrix": 1.0})
        assert verdict.inside is expected
        assert ("NO" in str(verdict)) is not expected


def test_a_phase_that_is_not_named_insulates() -> None:
    found = bounds.table(0.60566 * np.eye(3), {"matrix": 1.0}, {"matrix": 0.7, "sphere": 0.3})
    assert found.inside
    assert found.rows[1].upper == pytest.approx(0.7 / 1.15)


@quick
@given(k=st.tuples(positive, positive), f=st.floats(0.05, 0.95), seed=st.integers(0, 10**6))
def test_laminates_attain_the_trace_bounds(k: tuple[float, float], f: float, seed: int) -> None:
    """A laminate of rank one attains both: its trace rows equal the Hashin-Shtrikman bounds."""
    if abs(k[0] - k[1]) < 0.05 * k[0]:
        return
    d = 2 + seed % 2
    normal = np.random.default_rng(seed).normal(size=d)
    exact = bounds.laminate_conductivity(k, [f, 1 - f], normal)
    rows = {row.name: row for row in bounds.table(exact, k, [f, 1 - f]).rows}
    if "lower trace" in rows:
        assert rows["lower trace"].value == pytest.approx(rows["lower trace"].lower, rel=1e-6)
        assert rows["upper trace"].value == pytest.approx(rows["upper trace"].upper, rel=1e-6)
        outside = 0.5 * exact + 0.5 * bounds.voigt_reuss_conductivity(k, [f, 1 - f], dimension=d).upper
        assert not bounds.table(outside, k, [f, 1 - f], tolerance=1e-9).inside


def test_voigt_and_reuss_are_compared_in_every_direction() -> None:
    """Three phases, so that no other bound speaks; the diagonal lies inside, the principal values do not."""
    phases, f = [1.0, 2.0, 3.0], [0.4, 0.3, 0.3]
    inside, high = bounds.table(np.diag([1.65, 1.85]), phases, f), np.array([[1.75, 0.2], [0.2, 1.75]])
    assert inside.inside
    assert bounds.table(high - 0.17 * np.fliplr(np.eye(2)), phases, f).inside
    assert not bounds.table(high, phases, f).inside
    solids = [isotropic(young=e, poisson=0.3) + np.diag([0, 0, 0, 0, 0, 0.1]) for e in (0.9, 1.1)]
    middle = bounds.voigt_reuss_stiffness(solids, [0.5, 0.5], dimension=3)
    shear = 0.5 * (middle.lower + middle.upper)
    assert bounds.table(shear, solids, [0.5, 0.5]).inside
    shear[3, 3] *= 1.02  # one shear modulus above the mean of the phases
    assert not bounds.table(shear, solids, [0.5, 0.5]).inside


def test_what_does_not_hold_is_not_compared() -> None:
    three = bounds.table(np.diag([1.0, 2.0]), [1.0, 2.0, 3.0], [0.4, 0.3, 0.3])
    assert three.rows[-1].inside is None
    assert "not isotropic" in three.rows[-1].note
    matrices = bounds.table(2.0 * np.eye(2), [np.diag([1.0, 2.0]), 3.0], [0.5, 0.5])
    assert "isotropic phases" in matrices.rows[-1].note
    crystal = isotropic(young=1.0, poisson=0.2) + np.diag([0.0, 0, 0, 1, 1, 1])
    cubic = bounds.table(crystal, [crystal, isotropic(young=1.0, poisson=0.3)], [1.0, 0.0])
    assert cubic.inside
    assert "isotropic phases" in cubic.rows[-1].note
    phases = [{"young": e, "poisson": 0.3} for e in (1.0, 2.0)]
    sides = bounds.hashin_shtrikman_moduli(phases, [0.4, 0.6])
    middle = [0.5 * (side.lower + side.upper) for side in (sides.bulk, sides.shear)]
    solid = bounds.table(isotropic(bulk=middle[0], shear=middle[1]), phases, [0.4, 0.6])
    assert [row.value for row in solid.rows[1:3]] == pytest.approx(middle)
    assert sum("Mori-Tanaka" in row.name for row in solid.rows) == 4
    assert solid.inside
    assert not bounds.table(isotropic(young=1.5, poisson=0.3), phases, [0.4, 0.6]).inside  # below Hashin-Shtrikman


# -- what is refused -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("call", "part"),
    [
        (lambda: bounds.hashin_shtrikman([1.0, 2.0], [0.5, 0.6], dimension=3), "sum"),
        (lambda: bounds.hashin_shtrikman([1.0, 2.0], [1.0], dimension=3), "as many"),
        (lambda: bounds.hashin_shtrikman([1.0, 2.0], [1.5, -0.5], dimension=3), "fractions"),
        (lambda: bounds.hashin_shtrikman([1.0, -2.0], [0.5, 0.5], dimension=3), r"conductivity\[1\]"),
        (lambda: bounds.hashin_shtrikman([1.0, 2.0], [0.5, 0.5], dimension=4), "dimension"),
        (lambda: bounds.hashin_shtrikman({"a": 1.0}, [1.0], dimension=3), "mapping"),
        (lambda: bounds.hashin_shtrikman({"a": 1.0, "b": 2.0}, {"a": 1.0}, dimension=3), "'b'"),
        (lambda: bounds.maxwell([1.0, 2.0], [0.5, 0.5], matrix="x", dimension=3), "matrix"),
        (lambda: bounds.voigt_reuss_conductivity([np.diag([1.0, -1.0])], [1.0], dimension=2), r"conductivity\[0\]"),
        (lambda: bounds.voigt_reuss_stiffness([5.0], [1.0], dimension=2), r"stiffness\[0\]"),
        (lambda: bounds.voigt_reuss_stiffness([{"bulk": -1.0, "shear": 0}], [1.0], dimension=3), "bulk"),
        (lambda: bounds.hashin_shtrikman_moduli([3.0], [1.0]), r"stiffness\[0\]"),
        (lambda: bounds.hashin_shtrikman_moduli([{"bulk": -1.0, "shear": 1.0}], [1.0]), "bulk"),
        (lambda: bounds.hashin_shtrikman_moduli([np.diag([1.0, 2, 3, 4, 5, 6])], [1.0]), "isotropic"),
        (lambda: bounds.hill_equal_shear([{"bulk": 1, "shear": 1}, {"bulk": 1, "shear": 2}], [0.5, 0.5]), "shear"),
        (lambda: bounds.self_consistent([{"bulk": math.inf, "shear": 1.0}], [1.0]), "finite"),
        (lambda: bounds.fibre_bounds([{"bulk": 1, "shear": 1}, 0], [0.5, 0.5]), "two"),
        (
            lambda: bounds.fibre_relations([{"bulk": 1, "shear": 3}, {"bulk": 4 / 3, "shear": 2}], [0.5, 0.5], 2.0),
            "Hill",
        ),
        (lambda: bounds.laminate_conductivity([1.0, 2.0], [0.5, 0.5], [0, 0, 0]), "normal"),
        (lambda: bounds.laminate_stiffness([5.0], [1.0], [0, 1]), "stiffness"),
        (lambda: bounds.levin_expansion(np.eye(6), [np.eye(6)], [1.0], [1.0]), "two"),
        (lambda: bounds.levin_expansion(np.eye(6), [np.eye(6)] * 2, [1.0, 2.0], [0.5, 0.5]), "different"),
        (lambda: bounds.biot_coefficient(np.eye(3), np.eye(3)), "6x6"),
        (lambda: bounds.table(np.eye(3), [1.0]), "fractions"),
        (lambda: bounds.table(np.ones(3), [1.0], [1.0]), "matrix"),
        (lambda: bounds.table(np.eye(6), [1.0], [1.0], physics="diffusion"), "2x2"),
        (lambda: bounds.table(np.eye(3), [1.0], [1.0], physics="heat"), "physics"),
        (lambda: bounds.table(np.eye(3), [1.0], [1.0], tolerance=-1.0), "tolerance"),
    ],
)
def test_bad_input_is_named(call: Any, part: str) -> None:
    with pytest.raises(InputError, match=part):
        call()
