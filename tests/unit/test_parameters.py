"""Errors say four things and survive a trip between processes; checks refuse what they must; lattices are lattices."""

from __future__ import annotations

import math
import pickle
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from homfem import parameters as p

INPUT_ERRORS = [
    p.InputError,
    p.UnitError,
    p.CellError,
    p.PeriodicityError,
    p.PercolationError,
    p.FileError,
    p.CheckpointError,
]
entries = st.floats(-1.0, 1.0, allow_subnormal=False)


def spd(dimension: int) -> st.SearchStrategy[np.ndarray]:
    return hnp.arrays(float, (dimension, dimension), elements=entries).map(lambda m: m @ m.T + 0.1 * np.eye(dimension))


# -- errors --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", INPUT_ERRORS)
def test_message_names_parameter_value_allowed_and_remedy(kind: type[p.InputError]) -> None:
    error = kind("cell.edge", 1.5, "a number > 0 and < 1", "Choose a smaller edge.")
    assert str(error) == "cell.edge = 1.5: it must be a number > 0 and < 1. Choose a smaller edge."
    assert isinstance(error, p.HomfemError)
    assert isinstance(error, ValueError)


def test_message_without_remedy_ends_with_what_is_allowed() -> None:
    assert str(p.InputError("x", "y", "a number")) == "x = 'y': it must be a number"


@pytest.mark.parametrize("kind", INPUT_ERRORS)
def test_input_errors_are_pickled_whole(kind: type[p.InputError]) -> None:
    error = kind("cell.edge", 1.5, "less than 1", "Shrink it.")
    copy = pickle.loads(pickle.dumps(error))
    assert type(copy) is kind
    assert (copy.name, copy.value, copy.allowed, copy.remedy) == ("cell.edge", 1.5, "less than 1", "Shrink it.")
    assert str(copy) == str(error)


def test_convergence_error_is_pickled_and_is_no_input_error() -> None:
    copy = pickle.loads(pickle.dumps(p.ConvergenceError("system: stopped after 3 iterations")))
    assert type(copy) is p.ConvergenceError
    assert str(copy) == "system: stopped after 3 iterations"
    assert isinstance(copy, RuntimeError)
    assert not isinstance(copy, p.InputError)


def test_a_caller_can_tell_errors_apart() -> None:
    assert issubclass(p.PeriodicityError, p.CellError)
    assert issubclass(p.PercolationError, p.CellError)
    assert issubclass(p.CheckpointError, p.FileError)
    assert not issubclass(p.FileError, p.CellError)
    assert not issubclass(p.UnitError, p.CellError)


@pytest.mark.parametrize("value", ["x" * 5000, list(range(5000)), np.arange(5000.0), np.eye(200)])
def test_long_values_are_cut_in_messages(value: Any) -> None:
    text = str(p.InputError("name", value, "short"))
    assert len(text) < 300
    assert text.startswith("name = ")
    assert text.endswith("it must be short")


# -- names ---------------------------------------------------------------------------------------------------------


def test_misspelt_names_are_answered_with_the_nearest() -> None:
    assert p.nearest_name("cytosl", ["er", "cytosol"]) == "Did you mean 'cytosol'?"
    assert p.nearest_name("quux", ["er", "cytosol"]) == ""


def test_choice() -> None:
    assert p.check_choice("boundary", "periodic", ("periodic", "affine")) == "periodic"
    with pytest.raises(
        p.InputError, match=r"boundary = 'perodic': it must be one of 'periodic', 'affine'.*'periodic'\?"
    ):
        p.check_choice("boundary", "perodic", ("periodic", "affine"))


# -- numbers -------------------------------------------------------------------------------------------------------


@given(st.floats(allow_nan=True, allow_infinity=True), st.floats(-10, 10), st.floats(0, 10))
def test_number_is_accepted_exactly_inside_open_and_closed_ranges(value: float, low: float, width: float) -> None:
    high = low + width
    for limits, inside in (
        ({"above": low, "below": high}, low < value < high),
        ({"at_least": low, "at_most": high}, low <= value <= high),
        ({}, math.isfinite(value)),
    ):
        if inside:
            assert p.check_number("x", value, **limits) == value
        else:
            with pytest.raises(p.InputError):
                p.check_number("x", value, **limits)


@pytest.mark.parametrize("value", [True, "1", b"1", None, [1.0], np.array([1.0, 2.0]), {}, math.nan, math.inf])
def test_what_is_no_finite_number_is_refused(value: Any) -> None:
    with pytest.raises(p.InputError, match=r"x = .*a finite number"):
        p.check_number("x", value)


def test_number_types_and_message() -> None:
    for value in (2, np.float32(2.0), np.int64(2)):
        number = p.check_number("x", value)
        assert type(number) is float
        assert number == 2.0
    with pytest.raises(p.InputError, match=r"edge = 1.0: it must be a finite number > 0 and < 1. Shrink the pipe."):
        p.check_number("edge", 1.0, above=0.0, below=1.0, remedy="Shrink the pipe.")


def test_integer() -> None:
    assert p.check_integer("degree", np.int32(2), at_least=1, at_most=4) == 2
    assert type(p.check_integer("degree", np.int32(2), at_least=1)) is int
    for value in (0, 5, 2.0, True, "2", None):
        with pytest.raises(p.InputError, match=r"degree = .* a whole number >= 1 and <= 4"):
            p.check_integer("degree", value, at_least=1, at_most=4)


# -- coefficients --------------------------------------------------------------------------------------------------


@given(spd(3))
def test_spd_matrices_come_back_symmetric_and_unchanged(matrix: np.ndarray) -> None:
    result = p.check_spd("D", matrix, 3)
    np.testing.assert_array_equal(result, result.T)
    np.testing.assert_allclose(result, matrix, rtol=1e-14, atol=1e-14)


def test_a_number_becomes_a_multiple_of_the_identity() -> None:
    np.testing.assert_array_equal(p.check_spd("D", 2, 2), [[2.0, 0.0], [0.0, 2.0]])


@given(spd(2), st.floats(0.2, 5.0))
def test_a_matrix_with_a_negative_eigenvalue_is_refused(matrix: np.ndarray, excess: float) -> None:
    values, vectors = np.linalg.eigh(matrix)
    assume(values[0] > 1e-6)
    broken = matrix - (1.0 + excess) * values[0] * np.outer(vectors[:, 0], vectors[:, 0])
    with pytest.raises(p.InputError, match="smallest eigenvalue is -"):
        p.check_spd("D", 0.5 * (broken + broken.T), 2)


@pytest.mark.parametrize(
    ("value", "because"),
    [
        (0.0, "smallest eigenvalue is 0"),
        (-1.0, "smallest eigenvalue is -1"),
        (math.nan, "2x2"),
        ([[1.0, math.inf], [math.inf, 1.0]], "2x2"),
        ([[1.0, 0.5], [0.0, 1.0]], "not symmetric"),
        ([[1.0, 2.0], [2.0, 1.0]], "smallest eigenvalue is -1"),
        (np.eye(3), "2x2"),
        ([1.0, 1.0], "2x2"),
        ([[1.0], [1.0, 2.0]], "2x2"),
        ("fast", "2x2"),
        (None, "2x2"),
    ],
)
def test_what_is_no_diffusivity_is_refused(value: Any, because: str) -> None:
    with pytest.raises(p.InputError, match=because) as caught:
        p.check_spd("phases.er", value, 2)
    assert caught.value.name == "phases.er"
    assert "symmetric positive definite 2x2" in str(caught.value)


# -- lattice -------------------------------------------------------------------------------------------------------


def test_box_lattice() -> None:
    lattice = p.Lattice.box(2.0, 3.0, 0.5)
    assert lattice.dimension == 3
    assert lattice.volume == pytest.approx(3.0, rel=1e-15)
    assert lattice.shortest == 0.5


def test_hexagonal_lattice_has_the_volume_of_its_cell() -> None:
    lattice = p.Lattice(vectors=[[1.0, 0.0], [0.5, math.sqrt(0.75)]])
    assert lattice.volume == pytest.approx(math.sqrt(3.0) / 2.0, rel=1e-15)
    assert lattice.shortest == pytest.approx(1.0)
    assert lattice == p.Lattice(vectors=np.array([[1.0, 0.0], [0.5, math.sqrt(0.75)]]))
    assert hash(lattice) == hash(p.Lattice(vectors=lattice.vectors.copy()))
    assert lattice != p.Lattice.box(1.0, 1.0)


@given(spd(3), hnp.arrays(float, (5, 3), elements=entries))
def test_fractional_coordinates_invert_the_combination_of_period_vectors(vectors: np.ndarray, s: np.ndarray) -> None:
    # A rotation away from symmetry, so that rows and columns cannot be mixed up unseen.
    vectors = vectors @ np.array([[0.0, 1.0, 0.0], [0.0, 0.0, 1.0], [1.0, 0.0, 0.0]])
    np.testing.assert_allclose(p.Lattice(vectors=vectors).fractional(s @ vectors), s, atol=1e-10)


@pytest.mark.parametrize(
    "vectors",
    [
        [[1.0, 0.0], [2.0, 0.0]],
        [[1.0, 0.0], [0.0, 0.0]],
        [[1.0, 0.0], [0.0, math.nan]],
        [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]],
        np.eye(4),
        [[1.0]],
        [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [1.0, 1.0, 0.0]],
    ],
)
def test_what_is_no_lattice_is_refused(vectors: Any) -> None:
    with pytest.raises(p.CellError, match="linearly independent period vectors"):
        p.Lattice(vectors=vectors)


def test_a_thin_cell_is_a_lattice() -> None:
    assert p.Lattice.box(1e-9, 1.0, 1e3).volume == pytest.approx(1e-6, rel=1e-12)


def test_a_lattice_cannot_be_changed() -> None:
    vectors = np.eye(2)
    lattice = p.Lattice(vectors=vectors)
    vectors[0, 0] = 7.0
    assert lattice.vectors[0, 0] == 1.0
    with pytest.raises(ValueError, match="read-only"):
        lattice.vectors[0, 0] = 2.0
    with pytest.raises(AttributeError):
        lattice.vectors = np.eye(3)  # type: ignore[misc]


def test_a_lattice_is_pickled_whole() -> None:
    lattice = p.Lattice.box(1.0, 2.0)
    assert pickle.loads(pickle.dumps(lattice)) == lattice
