"""Effective tensors of turned bodies: components by their definition, there and back, bounds, coefficients."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from homfem import brackets
from homfem.coefficients import NamedCoefficient
from homfem.kinds import CONDUCTIVITY, TensorKind
from homfem.parameters import InputError
from homfem.stiffness import PAIRS, isotropic, orthotropic, transversely_isotropic, voigt_to_tensor
from homfem.tensors import EffectiveTensor
from homfem.tensors.rotation import turning

seeds = st.integers(0, 2**31)
ROTATION = Rotation.from_rotvec([0.3, -1.1, 0.7]).as_matrix()


def turn(d: int, seed: int) -> np.ndarray:
    draw = np.random.default_rng(seed)
    angle = draw.uniform(0.0, 2.0 * np.pi)
    if d == 3:
        return Rotation.random(random_state=draw.integers(2**31)).as_matrix()
    return np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])


def spd(n: int, seed: int) -> np.ndarray:
    m = np.random.default_rng(seed).standard_normal((n, n))
    return m @ m.T + 0.1 * np.eye(n)


def bracket(n: int, seed: int, **rest: Any) -> EffectiveTensor:
    lower = spd(n, seed)
    upper = lower + 0.1 * spd(n, seed + 1)
    return EffectiveTensor(value=0.5 * (lower + upper), lower=lower, upper=upper, **rest)


@pytest.mark.parametrize(("n", "d", "physics"), [(2, 2, "diffusion"), (3, 3, "conductivity"),
                                                 (3, 2, "elasticity"), (6, 3, "elasticity")])  # fmt: skip
@settings(deadline=None, max_examples=25)
@given(seed=seeds)
def test_turned_there_and_back_it_is_the_same_and_its_bounds_hold(n: int, d: int, physics: str, seed: int) -> None:
    tensor, r = bracket(n, seed, physics=physics), turn(d, seed)
    turned = tensor.rotated(r)
    # Numbers that do not change: of a stiffness in Mandel notation.
    np.testing.assert_allclose(turned.principal_values, tensor.principal_values, rtol=1e-11)
    assert turned.relative_gap == pytest.approx(tensor.relative_gap, rel=1e-9)
    back, size = turned.rotated(r.T), float(tensor.principal_values[0])
    for name in ("value", "lower", "upper"):
        assert np.abs(getattr(back, name) - getattr(tensor, name)).max() <= 2e-13 * size
    # What round-off can have done is in the bounds, and counted.
    assert 0.0 < back.roundoff <= 1e-12 * size
    assert brackets.violation(back.lower, tensor.lower) == 0.0
    assert brackets.violation(tensor.upper, back.upper) == 0.0


def test_components_are_those_of_the_definition() -> None:
    k = np.array([[3.0, 0.5, 0.0], [-0.5, 2.0, 0.1], [0.0, 0.1, 1.0]])
    spread = EffectiveTensor(value=k, physics="dispersion").rotated(ROTATION).value
    np.testing.assert_allclose(spread, np.einsum("ia,jb,ab", ROTATION, ROTATION, k), rtol=1e-13, atol=1e-14)
    c = orthotropic(young=(10.0, 5.0, 3.0), poisson=(0.2, 0.25, 0.3), shear=(1.0, 2.0, 3.0))
    turned = EffectiveTensor(value=c, physics="elasticity").rotated(ROTATION).value
    expected = np.einsum("ia,jb,kc,ld,abcd", *([ROTATION] * 4), voigt_to_tensor(c))
    np.testing.assert_allclose(voigt_to_tensor(turned), expected, rtol=1e-12, atol=1e-13)


def test_the_axes_of_a_tensor_make_it_diagonal() -> None:
    tensor = bracket(3, 5)
    turned = tensor.rotated(tensor.principal_axes)
    np.testing.assert_allclose(turned.value, np.diag(tensor.principal_values), atol=1e-12)


@pytest.mark.parametrize("axis", ["x", "y", "z"])
def test_fibres_and_sheets_are_laid_along_directions(axis: str) -> None:
    f, s = np.array([1.0, 2.0, 2.0]) / 3.0, np.array([2.0, 1.0, -2.0]) / 3.0
    first = "xyz".index(axis)
    values = np.roll([5.0, 3.0, 1.0], first)
    tensor = EffectiveTensor(value=np.diag(values), lower=np.diag(values), upper=np.diag(values))
    turned = tensor.rotated(fibre=7.0 * f, sheet=s + 0.3 * f, axis=axis)
    n = np.cross(f, s)
    expected = 5.0 * np.outer(f, f) + 3.0 * np.outer(s, s) + np.outer(n, n)
    np.testing.assert_allclose(turned.value, expected, atol=1e-14)
    with pytest.raises(InputError, match=f"sheet = None.*across {axis}"):
        tensor.rotated(fibre=f, axis=axis)
    alike = EffectiveTensor(value=np.diag(np.roll([5.0, 2.0, 2.0], first))).rotated(fibre=f, axis=axis)
    np.testing.assert_allclose(alike.value, 2.0 * np.eye(3) + 3.0 * np.outer(f, f), atol=1e-14)


def test_a_velocity_goes_along_with_the_fibre_and_the_sides_of_the_plane_stay() -> None:
    velocity = {"velocity": NamedCoefficient(value=[1.0, 2.0], basis="vector")}
    tensor = EffectiveTensor(value=np.diag([3.0, 1.0]), coefficients=velocity)
    turned = tensor.rotated(fibre=[0.0, 1.0])
    np.testing.assert_allclose(turned.coefficients["velocity"].value, [-2.0, 1.0], atol=1e-15)
    along_y = tensor.rotated(fibre=[0.0, 1.0], axis="y")
    np.testing.assert_allclose(along_y.coefficients["velocity"].value, [1.0, 2.0], atol=1e-15)
    flipped = tensor.rotated(fibre=[0.0, 1.0], sheet=[1.0, 0.3])
    np.testing.assert_allclose(flipped.coefficients["velocity"].value, [2.0, 1.0], atol=1e-15)


def test_a_stiffness_that_is_alike_across_its_fibre_needs_no_sheet() -> None:
    c = transversely_isotropic(
        young_along=10.0, young_across=4.0, poisson_along=0.3, poisson_across=0.35, shear_along=2.0, axis="z"
    )
    tensor = EffectiveTensor(value=c, physics="elasticity")
    one = tensor.rotated(fibre=[1.0, 1.0, 0.0], axis="z")
    other = tensor.rotated(fibre=[1.0, 1.0, 0.0], sheet=[1.0, -1.0, 3.0], axis="z")
    np.testing.assert_allclose(one.value, other.value, atol=1e-12)
    with pytest.raises(InputError, match="sheet"):
        tensor.rotated(fibre=[1.0, 1.0, 0.0])  # its own axis is z


@pytest.mark.parametrize("d", [2, 3])
@settings(deadline=None, max_examples=20)
@given(seed=seeds)
def test_coefficients_turn_by_their_basis(d: int, seed: int) -> None:
    r, draw = turn(d, seed), np.random.default_rng(seed)
    pairs = PAIRS[d]
    strain = draw.standard_normal((d, d))
    strain = strain + strain.T
    third = draw.standard_normal((d, d, d))
    c = spd(len(pairs), seed)
    w = np.array([1.0 if i == j else 2.0 for i, j in pairs])
    voigt = np.array([strain[i, j] for i, j in pairs])
    turned_strain = r @ strain @ r.T
    turned_voigt = np.array([turned_strain[i, j] for i, j in pairs])
    given_and_wanted = {
        "scalar": (4.0, 4.0),
        "vector": (strain[0], r @ strain[0]),
        "matrix": (third[0], r @ third[0] @ r.T),
        "third-order": (third, np.einsum("ia,jb,kc,abc", r, r, r, third)),
        "strain": (w * voigt, w * turned_voigt),
        "stress": (voigt, turned_voigt),
    }
    coefficients = {name: NamedCoefficient(value=one, basis=name) for name, (one, _) in given_and_wanted.items()}
    stiff = EffectiveTensor(value=c, physics="elasticity", coefficients=coefficients)
    turned = stiff.rotated(r)
    for name, (_, wanted) in given_and_wanted.items():
        np.testing.assert_allclose(turned.coefficients[name].value, wanted, atol=1e-12)
    as_coefficient = {"stiff": NamedCoefficient(value=c, basis="stiffness")}
    beside = EffectiveTensor(value=np.eye(d), coefficients=as_coefficient).rotated(r)
    np.testing.assert_allclose(beside.coefficients["stiff"].value, turned.value, atol=1e-11)
    # Stress times strain is an energy: T(strain)^T T(stress) = 1.
    np.testing.assert_allclose(turning("strain", r).T @ turning("stress", r), np.eye(len(pairs)), atol=1e-13)


@pytest.mark.parametrize("basis", ["vector", "matrix", "strain", "stress", "stiffness", "third-order"])
@settings(deadline=None, max_examples=10)
@given(seed=seeds)
def test_bounds_of_entries_are_derived_again_and_hold(basis: str, seed: int) -> None:
    draw = np.random.default_rng(seed)
    shape = {"vector": (3,), "matrix": (3, 3), "strain": (6,), "stress": (6,), "stiffness": (6, 6)}
    middle = draw.standard_normal(shape.get(basis, (3, 3, 3)))
    half = draw.uniform(0.0, 1.0, middle.shape)
    entry = NamedCoefficient(value=middle, lower=middle - half, upper=middle + half, basis=basis)
    turned = EffectiveTensor(value=np.eye(3), coefficients={"c": entry}).rotated(ROTATION).coefficients["c"]
    matrix = turning(basis, ROTATION)
    for place in draw.uniform(-1.0, 1.0, (50, *middle.shape)):
        inside = (matrix @ (middle + place * half).ravel()).reshape(middle.shape)
        assert np.all(inside >= turned.lower - 1e-12)
        assert np.all(inside <= turned.upper + 1e-12)
    # No narrower: a corner of the box is reached.
    corner = (np.abs(matrix) @ half.ravel()).reshape(middle.shape)
    np.testing.assert_allclose(turned.upper - turned.value, corner, atol=1e-12)
    one_sided = EffectiveTensor(value=np.eye(3), coefficients={"c": replace(entry, lower=None)}).rotated(ROTATION)
    assert not one_sided.coefficients["c"].bounded


def test_bounds_of_a_coefficient_in_the_loewner_order_turn_as_it_does() -> None:
    lower, r = spd(3, 1), ROTATION
    entry = NamedCoefficient(value=lower + 0.5 * np.eye(3), lower=lower, upper=lower + np.eye(3), basis="matrix",
                             order="loewner")  # fmt: skip
    turned = EffectiveTensor(value=np.eye(3), coefficients={"c": entry}).rotated(r).coefficients["c"]
    np.testing.assert_allclose(turned.lower, r @ lower @ r.T, atol=1e-12)
    np.testing.assert_allclose(turned.upper - turned.lower, np.eye(3), atol=1e-12)
    assert turned.order == "loewner"
    with pytest.raises(InputError, match="order"):
        NamedCoefficient(value=[1.0, 2.0], basis="vector", order="loewner")
    with pytest.raises(InputError, match=r"lower = .*symmetric"):
        replace(entry, lower=[[1.0, 0.5, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]])


def test_axes_that_are_permuted_leave_every_digit() -> None:
    tensor = bracket(3, 9, roundoff=1e-10)
    turned = tensor.rotated([[0, 1, 0], [0, 0, 1], [1, 0, 0]])
    assert turned.roundoff == tensor.roundoff
    np.testing.assert_array_equal(turned.value, np.roll(tensor.value, (-1, -1), axis=(0, 1)))


def test_a_weak_direction_beside_a_strong_one_keeps_its_bounds_in_order() -> None:
    thin = np.diag([1e12, 2.0, 1e-3])
    turned = EffectiveTensor(value=thin, lower=thin, upper=thin).rotated(ROTATION)
    assert turned.rotated(ROTATION.T).contains(thin)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({}, "rotation = None.*or else a fibre"),
        ({"rotation": np.eye(3), "fibre": [1, 0, 0]}, "not both"),
        ({"rotation": np.eye(2)}, "orthogonal 3x3"),
        ({"rotation": 1.001 * np.eye(3)}, "R R"),
        ({"rotation": np.full((3, 3), np.nan)}, "orthogonal"),
        ({"rotation": "z"}, "orthogonal"),
        ({"rotation": np.eye(3), "sheet": [1, 0, 0]}, "sheet.*left out"),
        ({"fibre": [0, 0, 0], "sheet": [0, 1, 0]}, "fibre.*not all 0"),
        ({"fibre": [1, 0], "sheet": [0, 1, 0]}, "fibre.*3 finite"),
        ({"fibre": [1, 0, 0], "sheet": [2, 0, 0]}, "sheet.*across the fibre"),
        ({"fibre": [1, 0, 0], "sheet": [0, 1, 0], "axis": "w"}, "axis = 'w'"),
    ],
)
def test_what_is_no_rotation_is_refused(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=f"(?s){message}"):
        EffectiveTensor(value=np.diag([3.0, 2.0, 1.0])).rotated(**arguments)


def test_what_is_not_known_to_turn_is_refused() -> None:
    with pytest.raises(InputError, match=r"kind = 'general'.*how it turns"):
        EffectiveTensor(value=np.eye(3), physics="own").rotated(ROTATION)
    own = TensorKind(name="own", quantity=CONDUCTIVITY.quantity)
    EffectiveTensor(value=np.eye(3), physics="own", kind=own).rotated(ROTATION)
    with pytest.raises(InputError, match="2 or 3 space dimensions"):
        EffectiveTensor(value=np.eye(4)).rotated(np.eye(4))
    unknown = {"flow": NamedCoefficient(value=[1.0, 0.0, 0.0])}
    with pytest.raises(InputError, match=r"coefficients\.flow\.basis"):
        EffectiveTensor(value=np.eye(3), coefficients=unknown).rotated(ROTATION)
    flat = {"flow": NamedCoefficient(value=[1.0, 0.0], basis="vector")}
    with pytest.raises(InputError, match=r"coefficients\.flow = .*3 dimensions"):
        EffectiveTensor(value=np.eye(3), coefficients=flat).rotated(ROTATION)


def test_an_isotropic_stiffness_is_the_same_in_all_axes() -> None:
    tensor = EffectiveTensor(value=isotropic(young=3.0, poisson=0.3), physics="elasticity")
    np.testing.assert_allclose(tensor.rotated(fibre=[1, 2, 3]).value, tensor.value, atol=1e-13)
