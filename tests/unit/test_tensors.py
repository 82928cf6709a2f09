"""The effective tensor: bounds in the Loewner order, gap, principal axes, anisotropy classes, JSON without loss."""

from __future__ import annotations

import copy
import json
import math
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from homfem.parameters import FileError, InputError
from homfem.stiffness import isotropic
from homfem.tensors import EffectiveTensor

entries = st.floats(-1.0, 1.0, allow_subnormal=False)
finite = st.floats(-1e6, 1e6)
names = st.text(min_size=1, max_size=8)


def matrices(n: int) -> st.SearchStrategy[np.ndarray]:
    return hnp.arrays(float, (n, n), elements=entries)


def spd(n: int) -> st.SearchStrategy[np.ndarray]:
    return matrices(n).map(lambda m: m @ m.T + 0.05 * np.eye(n))


def rotation(m: np.ndarray) -> np.ndarray:
    return np.linalg.qr(m + 3.0 * np.eye(len(m)))[0]


def directions(n: int, count: int) -> np.ndarray:
    """Unit vectors that cover all directions: exactly evenly in the plane, by a Fibonacci lattice in space."""
    if n == 2:
        angle = np.pi * np.arange(count) / count
        return np.column_stack([np.cos(angle), np.sin(angle)])
    z = 1.0 - (np.arange(count) + 0.5) / count  # a half-sphere is enough for quadratic forms
    angle = np.pi * (1.0 + math.sqrt(5.0)) * np.arange(count)
    radius = np.sqrt(1.0 - z**2)
    return np.column_stack([radius * np.cos(angle), radius * np.sin(angle), z])


def form(matrix: np.ndarray, xi: np.ndarray) -> np.ndarray:
    return np.einsum("ni,ij,nj->n", xi, matrix, xi)


def bracketed(lower: np.ndarray, upper: np.ndarray, **rest: Any) -> EffectiveTensor:
    return EffectiveTensor(value=0.5 * (np.asarray(lower) + np.asarray(upper)), lower=lower, upper=upper, **rest)


# -- bounds --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("n", [2, 3])
@settings(deadline=None, max_examples=60)
@given(data=st.data())
def test_gaps_are_the_largest_over_all_directions(n: int, data: st.DataObject) -> None:
    lower = data.draw(spd(n))
    upper = lower + data.draw(matrices(n).map(lambda m: m @ m.T))
    tensor = bracketed(lower, upper)
    xi = directions(n, 40_000)
    relative = np.max(form(upper - lower, xi) / form(upper + lower, xi))
    absolute = 0.5 * np.max(form(upper - lower, xi))
    assert tensor.relative_gap is not None
    assert tensor.half_gap is not None
    # No sampled direction is worse, and the sampling comes close to the maximum that is claimed.
    assert relative <= tensor.relative_gap + 1e-9
    assert tensor.relative_gap == pytest.approx(relative, rel=0.02, abs=1e-9)
    assert absolute <= tensor.half_gap + 1e-12
    assert tensor.half_gap == pytest.approx(absolute, rel=0.02, abs=1e-9)


def test_gaps_of_known_bounds() -> None:
    tensor = bracketed(np.diag([1.0, 9.0]), np.diag([3.0, 11.0]))
    assert tensor.relative_gap == pytest.approx(0.5, rel=1e-9)
    assert tensor.half_gap == pytest.approx(1.0, rel=1e-12)
    assert bracketed(np.eye(3), np.eye(3)).relative_gap == 0.0
    assert bracketed(np.zeros((2, 2)), np.zeros((2, 2))).relative_gap == 0.0


def test_a_direction_that_does_not_conduct_leaves_the_gap_finite() -> None:
    tensor = bracketed(np.diag([1.0, 0.0]), np.diag([1.02, 0.0]))
    assert tensor.relative_gap == pytest.approx(0.01 / 1.01, rel=1e-6)
    assert tensor.anisotropy_ratio == math.inf


@pytest.mark.parametrize("n", [2, 3])
@settings(deadline=None, max_examples=60)
@given(data=st.data())
def test_what_lies_between_the_bounds_in_every_direction_is_contained(n: int, data: st.DataObject) -> None:
    lower = data.draw(spd(n))
    tensor = bracketed(lower, lower + data.draw(spd(n)))
    middle = data.draw(spd(n))
    xi = directions(n, 20_000)
    assert tensor.lower is not None
    assert tensor.upper is not None
    margins = np.concatenate([form(middle - tensor.lower, xi), form(tensor.upper - middle, xi)])
    assume(abs(margins.min()) > 2e-3)  # a boundary case that the sampled directions cannot decide
    assert tensor.contains(middle) == bool(margins.min() > 0.0)
    assert tensor.contains(tensor.value)
    assert tensor.contains(tensor.upper, slack=1e-12)


def test_containment_is_by_directions_not_by_entries() -> None:
    tensor = bracketed(np.eye(2), 2.0 * np.eye(2))
    # Every entry lies between those of the bounds with room on the diagonal, but one direction lies outside.
    assert not tensor.contains([[1.5, 0.6], [0.6, 1.5]])
    assert tensor.contains([[1.5, 0.4], [0.4, 1.5]])
    assert tensor.contains(1.5)
    assert not tensor.contains(2.1)
    assert tensor.contains(2.1, slack=0.11)
    assert not tensor.contains(0.9)


def test_without_both_bounds_there_is_no_gap_and_nothing_to_contain() -> None:
    tensor = EffectiveTensor(value=np.eye(2), upper=2.0 * np.eye(2))
    assert tensor.relative_gap is None
    assert tensor.half_gap is None
    with pytest.raises(InputError, match="both present"):
        tensor.contains(np.eye(2))
    assert "upper bound" in str(tensor)
    assert "no guaranteed bounds" in str(EffectiveTensor(value=np.eye(2)))


# -- principal axes and classes ------------------------------------------------------------------------------------


@given(matrices(3), st.lists(st.floats(0.1, 10.0), min_size=3, max_size=3))
def test_principal_values_and_axes_rebuild_the_tensor(m: np.ndarray, values: list[float]) -> None:
    q = rotation(m)
    matrix = q @ np.diag(values) @ q.T
    tensor = EffectiveTensor(value=matrix)
    axes = tensor.principal_axes
    np.testing.assert_allclose(tensor.principal_values, sorted(values, reverse=True), rtol=1e-10)
    np.testing.assert_allclose(axes @ axes.T, np.eye(3), atol=1e-12)
    np.testing.assert_allclose(axes.T @ np.diag(tensor.principal_values) @ axes, matrix, atol=1e-11)
    assert tensor.anisotropy_ratio == pytest.approx(max(values) / min(values), rel=1e-9)


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ((2.0, 2.0, 2.0), "isotropic"),
        ((3.0, 2.0, 2.0), "transversely isotropic"),
        ((3.0, 3.0, 2.0), "transversely isotropic"),
        ((3.0, 2.0, 1.0), "orthotropic"),
        ((2.0, 2.0), "isotropic"),
        ((2.0, 1.0), "orthotropic"),
        ((1.0, 1.0, 0.0), "transversely isotropic"),
    ],
)
@given(data=st.data())
def test_anisotropy_class_does_not_depend_on_the_axes(
    values: tuple[float, ...], expected: str, data: st.DataObject
) -> None:
    q = rotation(data.draw(matrices(len(values))))
    assert EffectiveTensor(value=q @ np.diag(values) @ q.T).anisotropy == expected


def test_differences_within_the_bracket_do_not_count() -> None:
    value = np.diag([1.03, 1.01, 1.0])
    assert EffectiveTensor(value=value).anisotropy == "orthotropic"
    assert bracketed(value - 0.02 * np.eye(3), value + 0.02 * np.eye(3)).anisotropy == "isotropic"
    assert bracketed(value - 0.006 * np.eye(3), value + 0.006 * np.eye(3)).anisotropy == "transversely isotropic"


def test_three_values_spread_over_more_than_the_bracket_are_not_isotropic() -> None:
    # Each neighbour is within the bracket's width, the outer two are not.
    value = np.diag([1.04, 1.02, 1.0])
    assert bracketed(value - 0.0125 * np.eye(3), value + 0.0125 * np.eye(3)).anisotropy != "isotropic"


def test_a_large_matrix_has_no_second_order_class() -> None:
    tensor = EffectiveTensor(value=np.eye(6))
    with pytest.raises(InputError, match="2 or 3"):
        _ = tensor.anisotropy
    assert "anisotropy" not in tensor.to_dict()


def test_a_stiffness_has_its_own_class_and_constants() -> None:
    tensor = EffectiveTensor(value=isotropic(young=2.0, poisson=0.25), physics="elasticity")
    assert tensor.anisotropy == tensor.to_dict()["anisotropy"] == "isotropic"
    assert "E_x 2," in str(tensor)
    # 3K and 2G, five times.
    assert tensor.principal_values == pytest.approx([4.0, 1.6, 1.6, 1.6, 1.6, 1.6])


# -- fractions -----------------------------------------------------------------------------------------------------


def test_effective_coefficient_is_per_volume_of_the_active_phases() -> None:
    tensor = EffectiveTensor(
        value=0.0104 * np.eye(3), volume_fractions={"er": 0.028, "cytosol": 0.972}, active_phases=("er",)
    )
    assert tensor.active_fraction == 0.028
    np.testing.assert_allclose(tensor.effective_coefficient, np.eye(3) * 0.0104 / 0.028, rtol=1e-14)
    both = EffectiveTensor(value=np.eye(2), volume_fractions={"a": 0.25, "b": 0.75}, active_phases=("a", "b"))
    assert both.active_fraction == 1.0
    assert EffectiveTensor(value=np.eye(2)).active_fraction == 1.0


def test_measured_tensor() -> None:
    tensor = EffectiveTensor.measured("cytosol", 2.0, volume_fraction=0.5, unit="um^2/s", dimension=2)
    np.testing.assert_array_equal(tensor.value, 2.0 * np.eye(2))
    np.testing.assert_array_equal(tensor.effective_coefficient, 4.0 * np.eye(2))
    assert tensor.relative_gap is None
    assert tensor.unit == "um^2/s"
    assert tensor.active_phases == ("cytosol",)
    for fraction in (0.0, 1.1, math.nan):
        with pytest.raises(InputError, match="volume_fraction"):
            EffectiveTensor.measured("cytosol", 2.0, volume_fraction=fraction)
    with pytest.raises(InputError, match="cytosol"):
        EffectiveTensor.measured("cytosol", [[1.0, 2.0], [2.0, 1.0]], dimension=2)


# -- input ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "value", [np.ones((2, 3)), [1.0, 2.0], 1.0, [[math.nan, 0.0], [0.0, 1.0]], np.full((2, 2), np.inf)]
)
def test_a_value_that_is_no_finite_square_matrix_is_refused(value: Any) -> None:
    with pytest.raises(InputError, match=r"(?s)value = .*finite square matrix"):
        EffectiveTensor(value=value)


@pytest.mark.parametrize("name", ["lower", "upper"])
@pytest.mark.parametrize("bound", [np.eye(3), [[math.nan, 0.0], [0.0, 1.0]], 1.0])
def test_a_bound_that_does_not_fit_is_refused(name: str, bound: Any) -> None:
    with pytest.raises(InputError, match=rf"(?s){name} = .*finite 2x2 matrix or None"):
        EffectiveTensor(value=np.eye(2), **{name: bound})


def test_the_arrays_of_the_caller_stay_apart() -> None:
    value = np.eye(2)
    tensor = EffectiveTensor(value=value, lower=value, upper=value)
    value[0, 0] = 9.0
    assert tensor.value[0, 0] == 1.0
    assert tensor.lower is not None
    assert tensor.lower[0, 0] == 1.0
    with pytest.raises(AttributeError):
        tensor.value = np.eye(2)  # type: ignore[misc]


# -- JSON and pickle -----------------------------------------------------------------------------------------------

plain = st.recursive(
    st.none() | st.booleans() | st.integers(-1000, 1000) | finite | names,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(names, inner, max_size=3),
    max_leaves=6,
)


@st.composite
def tensors(draw: st.DrawFn) -> EffectiveTensor:
    n = draw(st.sampled_from([2, 3, 6]))
    square = hnp.arrays(float, (n, n), elements=finite)
    fractions = draw(st.dictionaries(names, st.floats(0.01, 1.0), max_size=3))
    return EffectiveTensor(
        value=draw(square),
        lower=draw(st.none() | square),
        upper=draw(st.none() | square),
        unit=draw(st.text(max_size=8)),
        physics=draw(names),
        method=draw(names),
        volume_fractions=fractions,
        active_phases=tuple(fractions),
        interface_area=draw(st.floats(0.0, 1e3)),
        length_unit=draw(names),
        dofs=draw(st.integers(0, 10**9)),
        iterations=draw(st.integers(0, 10**6)),
        seconds=draw(st.dictionaries(names, st.floats(0.0, 1e4), max_size=3)),
        ranks=draw(st.integers(1, 64)),
        versions=draw(st.dictionaries(names, names, max_size=3)),
        config=draw(st.dictionaries(names, plain, max_size=3)),
        reached=draw(st.booleans()),
    )


STORED = tuple(EffectiveTensor.__dataclass_fields__)


def assert_same(one: EffectiveTensor, other: EffectiveTensor) -> None:
    for name in STORED:
        first, second = getattr(one, name), getattr(other, name)
        if isinstance(first, np.ndarray):
            np.testing.assert_array_equal(first, second, err_msg=name)
        else:
            assert first == second, name


@settings(deadline=None, max_examples=50)
@given(tensors())
def test_json_and_pickle_lose_nothing(tensor: EffectiveTensor) -> None:
    # A class of anisotropy needs nothing; a relative gap needs bounds that are in order, so give it such.
    if tensor.lower is not None and tensor.upper is not None:
        spread = np.abs(tensor.upper) @ np.abs(tensor.upper).T + np.eye(tensor.dimension)
        base = tensor.lower @ tensor.lower.T + np.eye(tensor.dimension)
        tensor = EffectiveTensor(**{name: getattr(tensor, name) for name in STORED if name not in ("lower", "upper")},
                                 lower=base, upper=base + spread)  # fmt: skip
    assert_same(EffectiveTensor.from_json(tensor.to_json()), tensor)
    assert_same(pickle.loads(pickle.dumps(tensor)), tensor)
    assert_same(copy.deepcopy(tensor), tensor)


def test_json_file(tmp_path: Path) -> None:
    tensor = bracketed(0.9 * np.eye(2), np.eye(2), unit="um^2/s", volume_fractions={"a": 1.0}, active_phases=("a",))
    path = tmp_path / "tensor.json"
    text = tensor.to_json(path)
    assert path.read_text() == text
    assert [file.name for file in tmp_path.iterdir()] == ["tensor.json"]
    assert_same(EffectiveTensor.from_json(path), tensor)
    assert_same(EffectiveTensor.from_json(str(path)), tensor)


def test_json_has_the_fields_of_the_command_line() -> None:
    data = json.loads(bracketed(0.9 * np.eye(2), np.eye(2)).to_json())
    contract = {"physics", "method", "boundary", "value", "lower", "upper", "relative_gap", "unit", "volume_fractions"}
    contract |= {"interface_area", "dofs", "iterations", "seconds", "ranks", "versions", "config"}
    assert contract <= set(data)
    assert data["value"] == [[0.95, 0.0], [0.0, 0.95]]
    assert data["relative_gap"] == pytest.approx(0.1 / 1.9, rel=1e-9)
    assert json.loads(EffectiveTensor(value=np.eye(2)).to_json())["lower"] is None


def test_numpy_scalars_in_the_provenance_are_written_as_plain_numbers() -> None:
    tensor = EffectiveTensor(value=np.eye(2), dofs=np.int64(7), config={"edges": np.array([0.1, 0.2]), "n": (1, 2)})
    data = json.loads(tensor.to_json())
    assert data["dofs"] == 7
    assert data["config"] == {"edges": [0.1, 0.2], "n": [1, 2]}


def test_bad_json_is_refused(tmp_path: Path) -> None:
    with pytest.raises(FileError, match="exists"):
        EffectiveTensor.from_json(tmp_path / "absent.json")
    whole = bracketed(np.eye(2), np.eye(2)).to_json()
    (tmp_path / "cut.json").write_text(whole[:-20])
    with pytest.raises(FileError, match=r"valid JSON.*breaks off at character"):
        EffectiveTensor.from_json(tmp_path / "cut.json")
    with pytest.raises(InputError, match="value"):
        EffectiveTensor.from_json('{"lower": [[1]]}')


# -- print ---------------------------------------------------------------------------------------------------------


def test_print_says_the_value_the_guarantee_and_where_it_came_from() -> None:
    tensor = bracketed(
        0.98 * np.eye(3), 1.02 * np.eye(3), unit="um^2/s", volume_fractions={"er": 0.25, "cytosol": 0.75},
        active_phases=("er",), interface_area=1.08, length_unit="um", dofs=1234, iterations=30, seconds={"total": 2.5},
        ranks=2, reached=False,
    )  # fmt: skip
    text = str(tensor)
    for part in ("diffusion, er", "um^2/s", "± 0.02", "relative 2.00e-02", "isotropic", "er 0.25", "1.08 /um",
                 "per volume of the active phases: 4, 4, 4", "1234 dofs, 30 iterations, 2.5 s", "short"):  # fmt: skip
        assert part in text


def test_bounds_that_say_nothing_have_an_infinite_gap():
    tensor = EffectiveTensor(value=-np.eye(2), lower=-3 * np.eye(2), upper=np.eye(2))
    assert tensor.relative_gap == np.inf
    assert json.loads(tensor.to_json())["relative_gap"] is None


def test_a_value_that_is_not_the_midpoint_is_not_said_to_be_guaranteed_to_the_half_gap():
    middle = EffectiveTensor(value=np.eye(2), lower=0.9 * np.eye(2), upper=1.1 * np.eye(2))
    assert "guaranteed to ± 0.1 " in str(middle)
    aside = EffectiveTensor(value=0.95 * np.eye(2), lower=0.9 * np.eye(2), upper=1.1 * np.eye(2))
    assert "guaranteed" not in str(aside)
    assert "between bounds 0.2 apart" in str(aside)


def test_warnings_are_printed_and_kept_in_json() -> None:
    tensor = bracketed(np.eye(2), 2.0 * np.eye(2), warnings=["phase 'grain' is an island: left out"])
    assert "WARNING: phase 'grain' is an island: left out" in str(tensor)
    assert EffectiveTensor.from_json(tensor.to_json()).warnings == ("phase 'grain' is an island: left out",)
