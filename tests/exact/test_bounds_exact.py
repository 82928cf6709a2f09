"""Bounds and laminates against exact solutions that are derived here another way."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from homfem import bounds
from homfem.stiffness import INDEX_NAMES, PAIRS, engineering_constants, isotropic, isotropic_moduli, rotate

quick = settings(deadline=None, max_examples=30)
positive = st.floats(0.05, 20.0)
share = st.floats(0.05, 0.95)
ratio = st.floats(-0.5, 0.45)
seeds = st.integers(0, 10**6)


def spd(seed: int, n: int) -> np.ndarray:
    m = np.random.default_rng(seed).normal(size=(n, n))
    return m @ m.T + 0.2 * np.eye(n)


def turned(d: int, seed: int) -> np.ndarray:
    if d == 3:
        return Rotation.random(random_state=seed).as_matrix()
    c, s = np.cos(seed), np.sin(seed)
    return np.array([[c, -s], [s, c]])


# -- coated spheres and cylinders: fill space with them, all sizes, one ratio --------------------------------------


def coated_conductivity(core: float, shell: float, f: float, d: int) -> float:
    """Conductivity of the neutral coated sphere: u = A r in the core, B r + C r^(1-d) in the shell, u(1) = 1."""
    a = f ** (1.0 / d)
    system = np.array([
        [a, -a, -(a ** (1 - d))],
        [core, -shell, shell * (d - 1) * a**-d],
        [0.0, 1.0, 1.0],
    ])  # fmt: skip
    _, b, c = np.linalg.solve(system, [0.0, 0.0, 1.0])
    return float(shell * (b - (d - 1) * c))


@pytest.mark.parametrize("d", [2, 3])
@quick
@given(k1=positive, k2=positive, f=share)
def test_coated_spheres_attain_hashin_shtrikman_for_conductivity(d: int, k1: float, k2: float, f: float) -> None:
    low, high = sorted([k1, k2])
    found = bounds.hashin_shtrikman([low, high], [1 - f, f], dimension=d)
    assert found.lower == pytest.approx(coated_conductivity(high, low, f, d), rel=1e-9)
    assert found.upper == pytest.approx(coated_conductivity(low, high, 1 - f, d), rel=1e-9)
    assert bounds.maxwell([low, high], [1 - f, f], matrix=0, dimension=d).value == pytest.approx(found.lower)


def coated_bulk(core: tuple[float, float], shell: tuple[float, float], f: float, d: int) -> float:
    """Bulk modulus (2D: area) of the coated sphere: u = A r, B r + C r^(1-d); radial stress d K B - 2(d-1) G C r^-d."""
    a = f ** (1.0 / d)
    (k1, _), (k2, g2) = core, shell
    system = np.array([
        [a, -a, -(a ** (1 - d))],
        [d * k1, -d * k2, 2 * (d - 1) * g2 * a**-d],
        [0.0, 1.0, 1.0],
    ])  # fmt: skip
    _, b, c = np.linalg.solve(system, [0.0, 0.0, 1.0])
    return float((d * k2 * b - 2 * (d - 1) * g2 * c) / d)


@pytest.mark.parametrize("d", [2, 3])
@quick
@given(e1=positive, e2=positive, nu=ratio, f=share)
def test_coated_spheres_attain_hashin_shtrikman_for_bulk(d: int, e1: float, e2: float, nu: float, f: float) -> None:
    phases = [{"young": e, "poisson": nu} for e in sorted([e1, e2])]  # one ratio: the moduli are well ordered
    solids = [(e / 3 / (1 - 2 * nu), e / 2 / (1 + nu)) for e in sorted([e1, e2])]
    soft, stiff = [(k + g / 3, g) if d == 2 else (k, g) for k, g in solids]
    found = bounds.hashin_shtrikman_moduli(phases, [1 - f, f], dimension=d)
    assert found.bulk.lower == pytest.approx(coated_bulk(stiff, soft, f, d), rel=1e-9)
    assert found.bulk.upper == pytest.approx(coated_bulk(soft, stiff, 1 - f, d), rel=1e-9)
    softer = bounds.mori_tanaka(phases, [1 - f, f], matrix=0, dimension=d)
    assert softer.bulk.value == pytest.approx(found.bulk.lower)
    assert softer.shear.value == pytest.approx(found.shear.lower)


@quick
@given(e=st.tuples(positive, positive), nu=st.tuples(ratio, ratio), f=share)
def test_coated_cylinders_attain_hills_bounds_along_the_fibres(
    e: tuple[float, float], nu: tuple[float, float], f: float
) -> None:
    """Unit axial strain, free outside: u = A r + a term B/r in the shell; lateral strain is minus Poisson's ratio."""
    lame = [x * v / (1 + v) / (1 - 2 * v) for x, v in zip(e, nu, strict=True)]
    g = [x / 2 / (1 + v) for x, v in zip(e, nu, strict=True)]
    found = bounds.fibre_bounds([{"young": x, "poisson": v} for x, v in zip(e, nu, strict=True)], [f, 1 - f])
    shown = {}
    for core, shell, inner in ((0, 1, f), (1, 0, 1 - f)):
        a = inner**0.5
        k = [x + y for x, y in zip(lame, g, strict=True)]
        system = np.array([
            [a, -a, -1 / a],
            [2 * k[core], -2 * k[shell], 2 * g[shell] / inner],
            [0.0, 2 * k[shell], -2 * g[shell]],
        ])  # fmt: skip
        strain, b, c = np.linalg.solve(system, [0.0, lame[shell] - lame[core], -lame[shell]])
        axial = inner * (2 * lame[core] * strain + lame[core] + 2 * g[core])
        axial += (1 - inner) * (2 * lame[shell] * b + lame[shell] + 2 * g[shell])
        shown[g[shell]] = (axial, -(b + c))
    (young_low, nu_low), (young_high, nu_high) = shown[min(g)], shown[max(g)]
    assert found.young.lower == pytest.approx(young_low, rel=1e-8)
    assert found.young.upper == pytest.approx(young_high, rel=1e-8)
    assert [found.poisson.lower, found.poisson.upper] == pytest.approx(sorted([nu_low, nu_high]), rel=1e-7, abs=1e-9)


# -- laminates -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("d", [2, 3])
@quick
@given(seed=seeds, count=st.integers(1, 4))
def test_laminate_conductivity_solves_the_layers(d: int, seed: int, count: int) -> None:
    """All layer gradients as unknowns: equal tangential parts, equal normal flux, given mean; a dense system."""
    rng = np.random.default_rng(seed)
    layers = [spd(seed + k, d) for k in range(count)]
    f = rng.dirichlet(np.ones(count))
    frame = turned(d, seed)
    n, tangents = frame[0], frame[1:]
    rows = [np.concatenate([f[k] * np.eye(d) for k in range(count)], axis=1)]
    for k in range(count - 1):
        jump = np.zeros((d, d * count))
        jump[:-1, k * d : k * d + d], jump[:-1, (k + 1) * d : (k + 2) * d] = tangents, -tangents
        jump[-1, k * d : k * d + d], jump[-1, (k + 1) * d : (k + 2) * d] = n @ layers[k], -n @ layers[k + 1]
        rows.append(jump)
    right = np.zeros((d * count, d))
    right[:d] = np.eye(d)
    gradients = np.linalg.solve(np.concatenate(rows), right).reshape(count, d, d)
    expected = np.einsum("p,pij,pjk->ik", f, np.array(layers), gradients)
    assert bounds.laminate_conductivity(layers, f, 3.0 * n) == pytest.approx(expected, rel=1e-8, abs=1e-8)


@pytest.mark.parametrize("d", [2, 3])
@quick
@given(seed=seeds, count=st.integers(1, 3))
def test_laminate_stiffness_solves_the_layers(d: int, seed: int, count: int) -> None:
    """In the frame of the layers: strains of each layer as unknowns, with normal z (3D) or y (2D); then turned."""
    names, size, axis = INDEX_NAMES[d], len(PAIRS[d]), "xyz"[d - 1]
    across = [k for k, name in enumerate(names) if axis in name]  # continuous stress; the other strains are continuous
    layers = [spd(seed + k, size) for k in range(count)]
    f = np.random.default_rng(seed).dirichlet(np.ones(count))
    rows = [np.concatenate([f[k] * np.eye(size) for k in range(count)], axis=1)]
    for k in range(count - 1):
        jump = np.zeros((size, size * count))
        for row in range(size):
            for layer, sign in ((k, 1.0), (k + 1, -1.0)):
                own = layers[layer][row] if row in across else np.eye(size)[row]
                jump[row, layer * size : (layer + 1) * size] = sign * own
        rows.append(jump)
    right = np.zeros((size * count, size))
    right[:size] = np.eye(size)
    strains = np.linalg.solve(np.concatenate(rows), right).reshape(count, size, size)
    expected = np.einsum("p,pij,pjk->ik", f, np.array(layers), strains)
    normal = np.eye(d)[d - 1]
    assert bounds.laminate_stiffness(layers, f, normal) == pytest.approx(expected, rel=1e-8, abs=1e-8)
    r = turned(d, seed)
    found = bounds.laminate_stiffness([rotate(c, r) for c in layers], f, r @ normal)
    assert found == pytest.approx(rotate(expected, r), rel=1e-7, abs=1e-7)


@quick
@given(seed=seeds, count=st.integers(2, 4))
def test_isotropic_layers_follow_backus(seed: int, count: int) -> None:
    """Backus 1962, eq. 13: A, B, C, F, L, M of a stack of isotropic layers with axis z."""
    rng = np.random.default_rng(seed)
    lam, mu, f = rng.uniform(0.1, 5.0, count), rng.uniform(0.1, 5.0, count), rng.dirichlet(np.ones(count))
    p = lam + 2 * mu
    found = bounds.laminate_stiffness([{"lame": x, "shear": y} for x, y in zip(lam, mu, strict=True)], f, [0, 0, 1])
    c33 = 1.0 / (f @ (1 / p))
    c13 = c33 * (f @ (lam / p))
    c11 = f @ (4 * mu * (lam + mu) / p) + c33 * (f @ (lam / p)) ** 2
    c12 = f @ (2 * mu * lam / p) + c33 * (f @ (lam / p)) ** 2
    expected = np.diag([c11, c11, c33, 1 / (f @ (1 / mu)), 1 / (f @ (1 / mu)), f @ mu])
    expected[0, 1] = expected[1, 0] = c12
    expected[:2, 2] = expected[2, :2] = c13
    assert found == pytest.approx(expected, rel=1e-10, abs=1e-12)


ICOSAHEDRON = np.array([[0, 1, 1.618033988749895], [0, -1, 1.618033988749895]])
AXES = {
    2: [[np.cos(t), np.sin(t)] for t in np.pi * np.arange(3) / 3],
    3: [np.roll(v, k) for v in ICOSAHEDRON for k in range(3)],
}


@pytest.mark.parametrize("d", [2, 3])
@pytest.mark.parametrize("matrix", [0, 1])
@quick
@given(e=st.tuples(positive, positive), nu=ratio, f=share)
def test_isotropic_laminates_of_high_rank_attain_the_bounds(
    d: int, matrix: int, e: tuple[float, float], nu: float, f: float
) -> None:
    """Layers of one phase added in turn along directions that are isotropic to fourth order (Francfort, Murat 1986)."""
    core, around = sorted(e)[1 - matrix], sorted(e)[matrix]
    axes = AXES[d]
    kept = 1.0 - np.arange(len(axes) + 1) * f / len(axes)  # fraction of the core after each step; f of the matrix
    solid = isotropic(young=core, poisson=nu, dimension=d)
    coat = isotropic(young=around, poisson=nu, dimension=d)
    conductor = core * np.eye(d)
    for k, axis in enumerate(axes):
        part = kept[k + 1] / kept[k]
        solid = bounds.laminate_stiffness([solid, coat], [part, 1 - part], axis)
        conductor = bounds.laminate_conductivity([conductor, around], [part, 1 - part], axis)
    bulk, shear = isotropic_moduli(solid, tolerance=1e-7)
    phases = [{"young": x, "poisson": nu} for x in (core, around)]
    found = bounds.hashin_shtrikman_moduli(phases, [1 - f, f], dimension=d)
    side = "upper" if matrix else "lower"
    assert getattr(found.bulk, side) == pytest.approx(bulk + shear / 3 if d == 2 else bulk, rel=1e-7)
    assert getattr(found.shear, side) == pytest.approx(shear, rel=1e-7)
    sides = bounds.hashin_shtrikman([core, around], [1 - f, f], dimension=d)
    assert conductor == pytest.approx(getattr(sides, side) * np.eye(d), rel=1e-7, abs=1e-8)


def test_layers_that_insulate_are_the_limit_of_poor_ones() -> None:
    normal = [1.0, 2.0, 0.5]
    exact = bounds.laminate_conductivity([spd(1, 3), 0.0, 2.0], [0.3, 0.3, 0.4], normal)
    assert exact @ normal == pytest.approx(np.zeros(3), abs=1e-12)
    nearly = bounds.laminate_conductivity([spd(1, 3), 1e-9, 2.0], [0.3, 0.3, 0.4], normal)
    assert exact == pytest.approx(nearly, abs=1e-8)
    solid = {"young": 2.0, "poisson": 0.3}
    empty = bounds.laminate_stiffness([solid, 0], [0.5, 0.5], normal)
    faint = bounds.laminate_stiffness([solid, {"young": 1e-9, "poisson": 0.3}], [0.5, 0.5], normal)
    assert empty == pytest.approx(faint, abs=1e-8)
    assert not bounds.laminate_stiffness([0, 0], [0.5, 0.5], normal).any()


# -- exact relations -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("d", [2, 3])
@quick
@given(seed=seeds, f=share, g=positive)
def test_hills_equal_shear_is_what_a_laminate_has(d: int, seed: int, f: float, g: float) -> None:
    k1, k2 = np.random.default_rng(seed).uniform(0.1, 10.0, 2)
    phases = [{"bulk": k1, "shear": g}, {"bulk": k2, "shear": g}]
    laminate = bounds.laminate_stiffness(phases, [f, 1 - f], turned(d, seed)[0])
    bulk, shear = isotropic_moduli(laminate, tolerance=1e-9)  # an isotropic mixture, whatever the geometry
    assert shear == pytest.approx(g)
    assert bounds.hill_equal_shear(phases, [f, 1 - f], dimension=d) == pytest.approx(bulk + g / 3 if d == 2 else bulk)
    both = bounds.hashin_shtrikman_moduli(phases, [f, 1 - f], dimension=d)
    assert both.bulk.lower == pytest.approx(both.bulk.upper)


@quick
@given(seed=seeds, f=share)
def test_expansion_of_a_laminate_follows_levin(seed: int, f: float) -> None:
    """Layers normal to z that are heated: in-plane strains equal and free of force, nothing across."""
    rng = np.random.default_rng(seed)
    young, nu, alpha = rng.uniform(1, 10, 2), rng.uniform(0, 0.4, 2), rng.uniform(-1, 3, 2)
    phases = [{"young": e, "poisson": v} for e, v in zip(young, nu, strict=True)]
    share_of = np.array([f, 1 - f])
    plane = young / (1 - nu)
    inside = share_of @ (plane * alpha) / (share_of @ plane)
    across = share_of @ (alpha - 2 * nu / (1 - nu) * (inside - alpha))
    found = bounds.levin_expansion(
        bounds.laminate_stiffness(phases, share_of, [0, 0, 1]), [isotropic(**p) for p in phases], list(alpha), share_of
    )
    assert found == pytest.approx(np.diag([inside, inside, across]), rel=1e-7, abs=1e-7)


def test_levin_for_isotropic_mixtures_and_anisotropic_input() -> None:
    phases, k = [isotropic(bulk=2.0, shear=1.0), isotropic(bulk=7.0, shear=3.0)], 3.5
    found = bounds.levin_expansion(isotropic(bulk=k, shear=1.7), phases, [0.1, 0.4], [0.6, 0.4])
    scalar = 0.6 * 0.1 + 0.4 * 0.4 + 0.3 * (1 / k - (0.6 / 2 + 0.4 / 7)) / (1 / 7 - 1 / 2)
    assert found == pytest.approx(scalar * np.eye(3))
    same = bounds.levin_expansion(isotropic(bulk=k, shear=1.7), phases, [0.1, 0.1 * np.eye(3)], [0.6, 0.4])
    assert same == pytest.approx(0.1 * np.eye(3))


@quick
@given(e=positive, nu=ratio, f=share)
def test_biots_coefficient_of_a_spherical_shell(e: float, nu: float, f: float) -> None:
    """A hollow sphere under equal pressure in the pore and outside shrinks as the solid does; b adds the rest."""
    k, g = e / 3 / (1 - 2 * nu), e / 2 / (1 + nu)
    drained = coated_bulk((0.0, 0.0), (k, g), f, 3)
    b = bounds.biot_coefficient(isotropic(bulk=drained, shear=0.1 * g), isotropic(young=e, poisson=nu))
    assert b == pytest.approx((1 - drained / k) * np.eye(3), abs=1e-9)
    # Unit pore pressure with a fixed outside pushes on it with b: u = B r + C / r^2, u(1) = 0, stress at the pore -1.
    a3 = f
    amplitude = np.linalg.solve([[1.0, 1.0], [3 * k, -4 * g / a3]], [0.0, -1.0])
    assert b[0, 0] == pytest.approx(-(3 * k * amplitude[0] - 4 * g * amplitude[1]), rel=1e-8)


def test_biot_of_an_anisotropic_body() -> None:
    layers = [{"young": 1.0, "poisson": 0.2}, 0]
    body = bounds.laminate_stiffness(layers, [0.7, 0.3], [0, 0, 1])
    b = bounds.biot_coefficient(body, isotropic(young=1.0, poisson=0.2))
    # Across, the pressure carries everything; along, the pores carry theirs and the layers what their ratio passes on.
    along = 0.3 + 0.7 * 0.2 / (1 - 0.2)
    assert b == pytest.approx(np.diag([along, along, 1.0]))


def test_hills_relations_along_fibres_close_on_the_computed_square_array() -> None:
    # Square array, fraction .3, E 1 and 10, both ratios .3; stiffness computed elsewhere to 1e-8.
    c11, c12, c13, c33 = 2.07500597, 0.79325060, 0.86047697, 4.21628618
    phases, f = [{"young": 1.0, "poisson": 0.3}, {"young": 10.0, "poisson": 0.3}], [0.7, 0.3]
    k = 0.5 * (c11 + c12)
    young, nu = bounds.fibre_relations(phases, f, k)
    assert young == pytest.approx(c33 - c13**2 / k, abs=1e-7)
    assert nu == pytest.approx(c13 / (2 * k), abs=1e-7)


@quick
@given(e=st.tuples(positive, positive), nu=st.tuples(ratio, ratio), f=share)
def test_hills_relations_carry_the_bounds_of_k_to_those_of_young(
    e: tuple[float, float], nu: tuple[float, float], f: float
) -> None:
    phases = [{"young": x, "poisson": v} for x, v in zip(e, nu, strict=True)]
    k = [x / 2 / (1 + v) / (1 - 2 * v) for x, v in zip(e, nu, strict=True)]
    if abs(k[0] - k[1]) < 0.05 * k[0]:
        return
    found = bounds.fibre_bounds(phases, [f, 1 - f])
    ends = [bounds.fibre_relations(phases, [f, 1 - f], end) for end in (found.area_bulk.lower, found.area_bulk.upper)]
    assert [young for young, _ in ends] == pytest.approx([found.young.lower, found.young.upper], rel=1e-6)
    assert sorted(nu for _, nu in ends) == pytest.approx([found.poisson.lower, found.poisson.upper], rel=1e-6, abs=1e-7)


def test_a_laminate_is_stiffest_along_its_layers() -> None:
    body = bounds.laminate_stiffness(
        [{"young": 1.0, "poisson": 0.0}, {"young": 9.0, "poisson": 0.0}], [0.5, 0.5], [0, 0, 1]
    )
    assert engineering_constants(body).young == pytest.approx([5.0, 5.0, 1.8])
