"""Quantities with units: what is read, what is refused, conversions."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from homfem.parameters import InputError, UnitError
from homfem.quantities import (
    BINDING_RATE,
    CONCENTRATION,
    DIFFUSIVITY,
    INVERSE_LENGTH,
    LENGTH,
    TIME,
    check_unit,
    conversion_factor,
    parse_quantity,
)


@pytest.mark.parametrize(
    ("text", "kind", "unit", "value"),
    [
        ("1 um", LENGTH, "m", 1e-6),
        ("1 inch", LENGTH, "mm", 25.4),
        ("3 * nm", LENGTH, "um", 3e-3),
        ("-2e-3 mm", LENGTH, "um", -2.0),
        ("250 um^2/s", DIFFUSIVITY, "um^2/s", 250.0),
        ("250um**2 / s", DIFFUSIVITY, "um^2/s", 250.0),
        ("250 µm²/s", DIFFUSIVITY, "um^2/s", 250.0),
        ("2.5 cm^2/s", DIFFUSIVITY, "m^2/s", 2.5e-4),
        ("20 ms", TIME, "s", 0.02),
        ("0.1 uM", CONCENTRATION, "mol/m^3", 1e-4),
        ("2 /um", INVERSE_LENGTH, "1/m", 2e6),
        ("0.2 /(uM s)", BINDING_RATE, "1/(uM*s)", 0.2),
        ("0.2 1/uM/s", BINDING_RATE, "1/(nM*s)", 2e-4),
        ("0.2 (1/uM)(1/s)", BINDING_RATE, "1/(uM*s)", 0.2),
        ("0.2 1/(uM·s)", BINDING_RATE, "1/(uM*s)", 0.2),
        ("0.2 1/(uM×s)", BINDING_RATE, "1/(uM*s)", 0.2),
        ("5 m³/mol/s", BINDING_RATE, "m^3/mol/s", 5.0),
        ("3 \N{GREEK SMALL LETTER MU}m", LENGTH, "nm", 3e3),
        ("3 \N{MICRO SIGN}m", LENGTH, "nm", 3e3),
    ],
)
def test_quantities_are_read_and_converted(text, kind, unit, value):
    assert parse_quantity("x", text, kind).to(unit) == pytest.approx(value, rel=1e-14)


def test_unit_is_kept_as_it_was_written_in_plain_letters():
    assert parse_quantity("D", "220 µm² / ms", DIFFUSIVITY).unit == "um^2/ms"
    assert parse_quantity("D", "1 nm**2/ns", DIFFUSIVITY).unit == "nm^2/ns"


@pytest.mark.parametrize("value", [1, 0.5, "1", " 2.5 ", "1e3"])
def test_bare_numbers_are_refused(value):
    with pytest.raises(UnitError, match=r"cell\.period = .*a length as a string with its unit.*no unit"):
        parse_quantity("cell.period", value, LENGTH)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("1 s", r"'s' is of dimension \[time\], not \[length\]"),
        ("1 um^2", "dimension"),
        ("1 uM", "dimension"),
        ("1 degC", "dimension"),
        ("1 %", "no unit"),
        ("1 umm", "'umm' is no unit"),
        ("1 0*um", "no unit"),
        ("1 um(", "no unit"),
        ("1 m/", "no unit"),
        ("1 2 um", "no unit"),
        ("1 um^9^9^9^9^9", "no unit"),
        ("1 um^(9^9^9^9)", "no unit"),
        ("um", "as a string with its unit"),
        ("", "as a string with its unit"),
        (None, "as a string with its unit"),
        (True, "as a string with its unit"),
        (["1 um"], "as a string with its unit"),
    ],
)
def test_other_units_are_refused(text, reason):
    with pytest.raises(UnitError, match=reason):
        parse_quantity("x", text, LENGTH)


@pytest.mark.parametrize("text", ["1.1e200 um", "-1e201 um", "0.9e-200 um", "5e-324 um", "1.7e308 um"])
def test_numbers_at_the_ends_of_floating_point_are_refused(text):
    with pytest.raises(InputError, match=r"x = .*a length with a number between 1e-200 and 1e\+200"):
        parse_quantity("x", text, LENGTH)
    assert parse_quantity("x", "1e200 um", LENGTH).value == 1e200
    assert parse_quantity("x", "1e-200 um", LENGTH).value == 1e-200
    assert parse_quantity("x", "0 um", LENGTH).value == 0.0


@pytest.mark.parametrize("text", ["0 um", "-1 um", "nan um", "inf um", "-inf um", "1e999 um"])
def test_numbers_out_of_range_are_refused(text):
    with pytest.raises(InputError, match=r"x = .*a length that is finite and > 0\. Mind the sign"):
        parse_quantity("x", text, LENGTH, above=0.0, remedy="Mind the sign.")


def test_limits_are_inclusive_where_they_say_so():
    assert parse_quantity("c", "0 uM", CONCENTRATION, at_least=0.0).value == 0.0
    with pytest.raises(InputError, match=">= 0"):
        parse_quantity("c", "-0.1 uM", CONCENTRATION, at_least=0.0)


def test_units_alone():
    assert check_unit("u", "µm", LENGTH) == "um"
    with pytest.raises(UnitError, match=r"u = 's': it must be a unit of a length, such as 'um'"):
        check_unit("u", "s", LENGTH)
    with pytest.raises(UnitError, match="a unit of a length"):
        check_unit("u", 3, LENGTH)
    with pytest.raises(UnitError, match=r"converts to um"):
        conversion_factor("s", "um")


@given(st.floats(1e-200, 1e200), st.sampled_from([("nm", 1e-9), ("um", 1e-6), ("km", 1e3), ("angstrom", 1e-10)]))
def test_every_number_comes_back(value, unit):
    name, factor = unit
    quantity = parse_quantity("x", f"{value!r} {name}", LENGTH, above=0.0)
    assert quantity.value == value
    assert math.isclose(quantity.to("m"), value * factor, rel_tol=1e-14)


@given(st.one_of(st.text(max_size=12), st.text(alphabet="1 um/s*^().eE+-", max_size=12).map("1 {}".format)))
def test_any_text_is_a_quantity_or_refused(text):
    try:
        quantity = parse_quantity("x", text, LENGTH)
    except InputError:
        return
    assert math.isfinite(quantity.to("m"))
