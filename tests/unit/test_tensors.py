"""The effective tensor: bounds in the Loewner order, gap, principal axes, anisotropy classes, JSON without loss."""

from __future__ import annotations

import copy
import json
import math
import pickle
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from homfem import brackets
from homfem.coefficients import NamedCoefficient
from homfem.kinds import CONDUCTIVITY, TensorKind
from homfem.parameters import FileError, InputError
from homfem.quantities import SPEED
from homfem.stiffness import isotropic, orthotropic
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


@pytest.mark.parametrize(
    ("physics", "value"), [("diffusion", np.diag([1.2, 1.0])), ("elasticity", np.diag([3.0, 2.0, 1.0]))]
)
def test_a_bracket_that_says_little_calls_nothing_isotropic(physics, value) -> None:
    low, high = 0.5 * value, 1.5 * value
    assert EffectiveTensor(value=value, lower=low, upper=high, physics=physics).anisotropy == "undetermined"
    same = np.eye(2) if physics == "diffusion" else isotropic(young=2.0, poisson=0.25)
    tensor = EffectiveTensor(value=same, lower=0.5 * same, upper=1.5 * same, physics=physics)
    assert tensor.anisotropy == "undetermined"
    assert "isotropic" not in str(tensor)
    apart = EffectiveTensor(value=np.diag([9.0, 1.0]), lower=np.diag([7.0, 0.9]), upper=np.diag([11.0, 1.1]))
    assert apart.anisotropy == "orthotropic"  # as all that the bracket holds


def test_print_says_by_what_a_class_is_known() -> None:
    value = np.diag([1.03, 1.01, 1.0])
    assert "  isotropic within the bracket; " in str(bracketed(value - 0.02 * np.eye(3), value + 0.02 * np.eye(3)))
    assert "  isotropic by the value alone; " in str(EffectiveTensor(value=np.eye(3), upper=1.1 * np.eye(3)))
    assert "  isotropic; " in str(bracketed(np.eye(3), (1.0 + 1e-8) * np.eye(3)))
    assert "  of undetermined class, the bracket is too wide; " in str(bracketed(np.eye(3), 2.0 * np.eye(3)))


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


def test_moduli_are_attributes_of_a_stiffness() -> None:
    young, poisson, shear = [10.0, 4.0, 2.0], [0.3, 0.2, 0.25], [1.0, 0.8, 1.5]
    tensor = EffectiveTensor(value=orthotropic(young, poisson, shear), physics="poroelasticity", unit="kPa")
    np.testing.assert_allclose(tensor.young_moduli, young, rtol=1e-12)
    np.testing.assert_allclose(tensor.shear_moduli, shear, rtol=1e-12)
    ratios = tensor.poisson_ratios
    np.testing.assert_allclose([ratios[0, 1], ratios[0, 2], ratios[1, 2]], poisson, rtol=1e-12)
    # The compliance is symmetric: nu_ij E_j = nu_ji E_i.
    np.testing.assert_allclose(ratios[1, 0], 0.3 * 4.0 / 10.0, rtol=1e-12)
    assert np.isnan(np.diag(ratios)).all()
    data = json.loads(tensor.to_json())["engineering_constants"]
    assert data["young"] == pytest.approx(young, rel=1e-12)
    assert data["poisson"][0] == [None, pytest.approx(0.3, rel=1e-12), pytest.approx(0.2, rel=1e-12)]
    plane = EffectiveTensor(value=isotropic(young=2.0, poisson=0.25, dimension=2), physics="elasticity")
    np.testing.assert_allclose(plane.young_moduli, 2.0 / (1.0 - 0.25**2), rtol=1e-12)
    np.testing.assert_allclose(plane.shear_moduli, [0.8], rtol=1e-12)


def test_what_has_no_moduli_says_so() -> None:
    with pytest.raises(InputError, match="kind = 'diffusion': it must be 'stiffness'"):
        _ = EffectiveTensor(value=np.eye(3)).young_moduli
    slack = EffectiveTensor(value=np.diag([1.0, 0.0, 1.0]), physics="elasticity")
    with pytest.raises(InputError, match="transmits stress in every direction"):
        _ = slack.poisson_ratios
    assert json.loads(slack.to_json())["engineering_constants"] is None
    assert "it transmits no stress in some direction" in str(slack)
    assert ", nu_xy 0, nu_xz 0, " in str(EffectiveTensor(value=np.eye(6), physics="elasticity"))


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


def dispersed(**rest: Any) -> EffectiveTensor:
    """A dispersion tensor as its cell problem gives it: over the fluid and what its walls hold."""
    given: dict[str, Any] = {
        "value": [[3.0, 0.5], [0.5, 1.0]],
        "physics": "dispersion",
        "unit": "um^2/s",
        "averaged_over": "active",
        "retardation": 2.0,
        "volume_fractions": {"pore": 0.4, "grain": 0.6},
        "active_phases": ("pore",),
        "conventions": {"velocity": "mean over the fluid", "peclet_length": "the shortest period"},
        "coefficients": {
            "velocity": NamedCoefficient(value=[2.0, 0.0], unit="um/s", basis="vector"),
            "flux_form": NamedCoefficient(value=[[3.0, 0.7], [0.3, 1.0]], unit="um^2/s", basis="matrix"),
        },
    }
    return EffectiveTensor(**given | rest)


def test_tensor_over_the_active_phases_says_so_and_is_not_divided_twice() -> None:
    tensor = dispersed(lower=[[2.9, 0.5], [0.5, 0.9]], upper=[[3.1, 0.5], [0.5, 1.1]])
    assert tensor.storage == pytest.approx(0.8)
    np.testing.assert_array_equal(tensor.effective_coefficient, tensor.value)
    total = tensor.per_total_volume()
    np.testing.assert_allclose(total.value, 0.8 * tensor.value, rtol=1e-15)
    np.testing.assert_allclose(total.effective_coefficient, tensor.value, rtol=1e-15)
    np.testing.assert_allclose(total.coefficients["flux_form"].value, [[2.4, 0.56], [0.24, 0.8]], rtol=1e-15)
    np.testing.assert_array_equal(total.coefficients["velocity"].value, [2.0, 0.0])
    assert total.contains(0.8 * tensor.value)
    assert total.per_total_volume() is total
    for one, words in (
        (tensor, "the whole cell: 2.49443, 0.70557"),
        (total, "the active phases, retarded: 3.11803, 0"),
    ):
        assert f"per volume of {words}" in str(one)
    np.testing.assert_allclose(np.array(tensor.ufl(per_phase=True).ufl_operands[0].ufl_operands, float), [3.0, 0.5])
    np.testing.assert_allclose(np.array(tensor.ufl().ufl_operands[0].ufl_operands, float), [2.4, 0.4])
    with pytest.raises(InputError, match="per_total_volume"):
        tensor.compared(total)


def test_conventions_are_printed_and_go_to_json_and_back() -> None:
    tensor = dispersed()
    assert "  peclet length: the shortest period\n" in str(tensor)
    assert "  velocity: [2, 0] um/s; mean over the fluid\n" in str(tensor)
    numbered = dispersed(coefficients={"peclet": NamedCoefficient(value=np.array(3.0), basis="scalar")})
    assert "  peclet: 3; length: the shortest period\n" in str(numbered)
    written = json.loads(tensor.to_json())
    assert (written["velocity"], written["averaged_over"], written["retardation"]) == ([2.0, 0.0], "active", 2.0)
    assert "rate" not in written
    assert EffectiveTensor.from_json(tensor.to_json()) == tensor
    for name, wrong in (("averaged_over", "fluid"), ("retardation", 0.0), ("conventions", {"velocity": 1.0})):
        with pytest.raises(InputError, match=name):
            dispersed(**{name: wrong})
        with pytest.raises(InputError, match=name):
            EffectiveTensor.from_dict(tensor.to_dict() | {name: wrong})


def test_measured_tensor() -> None:
    tensor = EffectiveTensor.measured("cytosol", 2.0, volume_fraction=0.5, unit="um^2/s", dimension=2)
    np.testing.assert_array_equal(tensor.value, 2.0 * np.eye(2))
    np.testing.assert_array_equal(tensor.effective_coefficient, 4.0 * np.eye(2))
    assert tensor.relative_gap is None
    assert tensor.unit == "um^2/s"
    assert tensor.physics == "diffusion"
    assert EffectiveTensor.measured("cells", 0.17, unit="mS/mm").physics == "conductivity"
    solid = EffectiveTensor.measured("solid", {"young": 2.0, "poisson": 0.25}, unit="kPa", physics="elasticity")
    np.testing.assert_allclose(solid.young_moduli, 2.0, rtol=1e-12)
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


# A physics that the package does not know has any unit; it may bring a kind of its own.
own_kind = TensorKind(name="own", quantity=SPEED, title="own tensor")
kinds_and_units = (
    st.fixed_dictionaries({"physics": names.map("own ".__add__), "unit": st.text(max_size=8)})
    | st.fixed_dictionaries({"physics": names.map("own ".__add__), "kind": st.sampled_from([own_kind, CONDUCTIVITY])})
    | st.fixed_dictionaries({"physics": st.sampled_from(["diffusion", "dispersion"]), "unit": st.just("um^2/ms")})
    | st.fixed_dictionaries({"physics": st.just("conductivity"), "unit": st.sampled_from(["", "mS/mm"])})
)


@st.composite
def tensors(draw: st.DrawFn) -> EffectiveTensor:
    n = draw(st.sampled_from([2, 3, 6]))
    square = hnp.arrays(float, (n, n), elements=finite)
    fractions = draw(st.dictionaries(names, st.floats(0.01, 1.0), max_size=3))
    value = draw(square)
    symmetric = value @ value.T + np.eye(n)
    bounds = {"lower": 0.5 * symmetric, "upper": 1.5 * symmetric, "roundoff": draw(st.floats(0.0, 1.0))}
    bounds = {name: entry for name, entry in bounds.items() if draw(st.booleans())}
    return EffectiveTensor(
        value=symmetric if bounds else value,
        **bounds,
        **draw(kinds_and_units),
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
        coefficients={"velocity": NamedCoefficient(value=draw(square)[0, :2], unit="um/s", basis="vector")},
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
    for again in (
        EffectiveTensor.from_json(tensor.to_json()),
        pickle.loads(pickle.dumps(tensor)),
        copy.deepcopy(tensor),
    ):
        assert_same(again, tensor)
        assert again == tensor
        assert hash(again) == hash(tensor)


def test_tensors_are_equal_if_every_field_is() -> None:
    tensor = bracketed(np.eye(2), 2.0 * np.eye(2), unit="um^2/s", config={"edges": (0.1, 0.2)})
    assert tensor == EffectiveTensor.from_json(tensor.to_json())
    assert tensor == replace(tensor, config={"edges": np.array([0.1, 0.2])})
    assert hash(replace(tensor, value=[[1.5, -0.0], [0.0, 1.5]])) == hash(tensor)
    for change in (
        {"value": 1.6 * np.eye(2)}, {"lower": None}, {"upper": 2.1 * np.eye(2)}, {"unit": "m^2/s"}, {"dofs": 1},
        {"coefficients": {"rate": NamedCoefficient(value=1.0)}}, {"seconds": {"total": 1.0}}, {"config": {}},
    ):  # fmt: skip
        assert replace(tensor, **change) != tensor
    assert tensor != tensor.value.tolist()
    assert len({tensor, EffectiveTensor.from_json(tensor.to_json())}) == 1


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


def test_values_per_volume_are_printed_where_there_are_two_volumes() -> None:
    given = {"active_phases": ("a",), "volume_fractions": {"a": 0.5, "b": 0.5}}
    assert "per volume of the active phases: 2, 2" in str(EffectiveTensor(value=np.eye(2), **given))
    assert "per volume" not in str(EffectiveTensor(value=np.eye(2), physics="multiplication", **given))
    given = {"active_phases": ("a", "b"), "volume_fractions": {"a": 0.3, "b": 0.7}}
    assert "per volume of" not in str(EffectiveTensor(value=np.eye(2), **given))


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


def test_what_is_below_round_off_is_printed_as_zero_and_kept() -> None:
    value = np.array([[2.0, 3e-16, 0.1], [3e-16, 1.0, -2e-13], [0.1, -2e-13, 1.0]])
    tensor = EffectiveTensor(value=value)
    first, second, _ = str(tensor).splitlines()[1:4]
    assert first.split() == ["[", "2", "0", "0.1", "]"]
    assert second.split() == ["[", "0", "1", "-2e-13", "]"]  # more than round-off, as far as is known
    noisy = replace(tensor, lower=value - 1e-3 * np.eye(3), upper=value + 1e-3 * np.eye(3), roundoff=1e-12)
    assert str(noisy).splitlines()[2].split() == ["[", "0", "1", "0", "]"]
    np.testing.assert_array_equal(noisy.value, value)
    assert json.loads(noisy.to_json())["value"] == value.tolist()
    # Beside a direction that conducts well, a weak one keeps what it has.
    weak = str(EffectiveTensor(value=[[1.0, 0, 0], [0, 1e-16, 1e-17], [0, 1e-17, 1e-16]])).splitlines()
    assert weak[2].split() == ["[", "0", "1e-16", "1e-17", "]"]


# -- order, and what is known when it fails ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"lower": np.diag([1.0, 2.0]), "upper": np.diag([2.0, 1.0])}, r"(?s)lower = .*at most upper"),
        ({"lower": [[1.0, 0.6], [0.6, 1.0]], "upper": 1.5 * np.eye(2)}, r"(?s)lower = .*at most upper"),
        ({"lower": 2.0 * np.eye(2), "upper": 3.0 * np.eye(2)}, r"(?s)lower = .*at most value"),
        ({"upper": np.diag([2.0, 0.9])}, r"(?s)value = .*at most upper"),
        ({"lower": np.diag([1e-12, 2.0])}, r"(?s)lower = .*at most value"),
        ({"lower": [[0.5, 0.1], [0.0, 0.5]]}, r"(?s)lower = .*symmetric"),
        ({"value": [[1.0, 0.1], [0.0, 1.0]], "upper": 3.0 * np.eye(2)}, r"(?s)value = .*symmetric"),
    ],
)
@pytest.mark.parametrize("size", [1e-9, 1.0, 1e9])
def test_bounds_that_are_not_in_order_are_refused_from_python_and_from_json(
    wrong: dict[str, Any], message: str, size: float
) -> None:
    given_fields = {name: size * np.asarray(matrix) for name, matrix in ({"value": np.eye(2)} | wrong).items()}
    with pytest.raises(InputError, match=message):
        EffectiveTensor(**given_fields)
    text = json.dumps({name: np.asarray(matrix).tolist() for name, matrix in given_fields.items()})
    with pytest.raises(InputError, match=message):
        EffectiveTensor.from_json(text)


def test_the_order_is_relative_to_each_direction() -> None:
    """Beside a direction that conducts 1e12 times better, an order that fails by 1e-6 of the weak one is seen."""
    good = np.diag([1e12, 2.0])
    assert EffectiveTensor(value=good, lower=good, upper=good).relative_gap == 0.0
    with pytest.raises(InputError, match="at most upper"):
        EffectiveTensor(value=good, lower=good, upper=np.diag([1e12, 2.0 - 2e-6]))
    gap = EffectiveTensor(value=good, lower=np.diag([1e12, 1.0]), upper=np.diag([1e12, 3.0])).relative_gap
    assert gap == pytest.approx(0.5, rel=1e-9)


@settings(deadline=None, max_examples=50)
@given(data=st.data())
def test_a_value_is_brought_between_the_bounds_and_moved_only_if_it_must(data: st.DataObject) -> None:
    scale = np.diag(10.0 ** np.array(data.draw(st.lists(st.integers(-5, 5), min_size=3, max_size=3))))
    lower = scale @ data.draw(spd(3)) @ scale
    upper = lower + scale @ data.draw(spd(3)) @ scale
    anything = scale @ (data.draw(matrices(3)) + data.draw(matrices(3)).T) @ scale
    inside = brackets.clipped(anything, lower, upper)
    assert brackets.violation(lower, inside) < 1e-12
    assert brackets.violation(inside, upper) < 1e-12
    middle = 0.5 * (lower + upper)
    # Numbers below the normal range have no twelve digits.
    tiny = np.finfo(float).tiny
    np.testing.assert_allclose(brackets.clipped(middle, lower, upper), middle, rtol=1e-12, atol=tiny)
    assert brackets.violation(brackets.clipped(anything, lower, lower), lower) < 1e-12
    assert brackets.violation(lower, brackets.clipped(anything, lower, lower)) < 1e-12


@settings(deadline=None, max_examples=50)
@given(matrices(3), st.lists(st.floats(0.0, 1.0), min_size=3, max_size=3), st.floats(-6.0, 6.0))
def test_what_loads_share_covers_every_combination_of_them(m: np.ndarray, parts: list[float], power: float) -> None:
    energies = np.array([1.0, 10.0**power, 3.0])
    cover = brackets.shared(np.array(parts) ** 2, energies)
    for xi in m:
        assert (np.abs(xi) @ parts) ** 2 <= xi @ cover @ xi * (1.0 + 1e-12)


def side(low: np.ndarray, high: np.ndarray, below: float, noise: float = 1e-14) -> dict[str, Any]:
    one = np.eye(len(low))
    return brackets.bracket(low, high, below=below * one, above=0.0 * one, noise=(noise * one, noise * one))


def test_the_value_does_not_carry_the_allowance_of_the_solver() -> None:
    found = EffectiveTensor(**side(0.9 * np.eye(2), 1.1 * np.eye(2), below=0.5))
    np.testing.assert_allclose(found.value, np.eye(2), rtol=1e-15)
    assert found.lower is not None
    np.testing.assert_allclose(found.lower, 0.4 * np.eye(2), rtol=1e-12)
    assert found.roundoff == pytest.approx(1e-14)
    assert found.reached
    assert not found.warnings


def test_a_lower_energy_that_the_solver_left_too_large_does_not_take_the_value_out_of_the_bounds() -> None:
    found = EffectiveTensor(**side(np.diag([1.5, 0.9]), np.diag([1.1, 1.1]), below=0.6))
    np.testing.assert_allclose(found.value, np.diag([1.1, 1.0]), rtol=1e-12)


@pytest.mark.parametrize(
    ("low", "below", "reason", "bounded"),
    [(1.2, 0.05, "above the upper one", False), (0.9, 1e6, "not positive", True), (0.9, 0.9, "not positive", True)],
)
def test_a_bracket_that_fails_is_never_reached_and_the_value_is_the_side_that_holds(low, below, reason, bounded):
    found = EffectiveTensor(**side(np.diag([1.0, low]), np.diag([1.1, 1.1]), below))
    np.testing.assert_allclose(found.value, 1.1 * np.eye(2), rtol=1e-12)
    assert not found.reached
    assert reason in found.warnings[0]
    assert "NOTE" in str(found)
    assert reason in str(found)
    assert (found.lower is not None) == bounded
    assert not EffectiveTensor.from_json(found.to_json()).reached


@settings(deadline=None, max_examples=100)
@given(st.floats(0.1, 10.0), st.floats(1e-12, 0.3), st.floats(-1.0, 1.0), st.floats(-9.0, 9.0))
def test_what_is_printed_covers_the_bounds(value: float, gap: float, place: float, power: float) -> None:
    """The value as it is printed, plus and minus what is printed, holds both bounds."""
    size = 10.0**power
    lower, upper = size * value * np.diag([1.0 - gap, 1.0]), size * value * np.diag([1.0 + gap, 1.0])
    tensor = EffectiveTensor(value=0.5 * (lower + upper) + 0.2 * place * (upper - lower), lower=lower, upper=upper)
    lines = str(tensor).splitlines()
    printed = np.array([[float(entry) for entry in line.strip(" []").split()] for line in lines[1:3]])
    around = float(lines[3].split("±")[1].split()[0])
    for part in (upper - printed, printed - lower):
        assert np.abs(np.diag(part)).max() <= around * (1.0 + 1e-9)
    assert around <= 1.5 * tensor.half_gap + 1e-15 * size * value


@pytest.mark.parametrize("number", [1.0, 1.005, 1.0001, 9.994, 9.996, 0.12349, 3.3e-17, 0.0])
def test_half_gaps_are_rounded_outwards(number: float) -> None:
    assert number <= float(brackets.outwards(number)) <= 1.011 * number
