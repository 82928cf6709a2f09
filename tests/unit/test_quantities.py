"""Quantities with units: what is read, what is refused, conversions."""

from __future__ import annotations

import math
import tomllib
from typing import Annotated

import pytest
from hypothesis import given
from hypothesis import strategies as st

from homfem import quantities
from homfem.config.table import Table, parse_table, quantity
from homfem.parameters import InputError, UnitError
from homfem.quantities import (
    BINDING_RATE,
    CONCENTRATION,
    DIFFUSIVITY,
    INVERSE_LENGTH,
    LENGTH,
    TIME,
    Quantity,
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


# What one is in the unit of the kind, by hand, and so by a registry of pint of its own.
ELECTRIC_AND_MECHANIC = [
    ("1.74 mS/cm", quantities.CONDUCTIVITY, "mS/mm", 0.174),
    ("0.17 S/m", quantities.CONDUCTIVITY, "mS/mm", 0.17),
    ("140 /mm", INVERSE_LENGTH, "1/cm", 1400.0),
    ("1 uF/cm^2", quantities.CAPACITANCE_PER_AREA, "uF/mm^2", 0.01),
    ("150 pF", quantities.CAPACITANCE, "F", 1.5e-10),
    ("-85.23 mV", quantities.VOLTAGE, "V", -0.08523),
    ("52 uA/cm^2", quantities.CURRENT_DENSITY, "uA/mm^2", 0.52),
    ("-52 pA/pF", quantities.Kind(name="a current per capacitance", unit="A/F", example="1 pA/pF"), "A/F", -52.0),
    ("50 mA/cm^3", quantities.CURRENT_PER_VOLUME, "uA/mm^3", 50.0),
    ("2 nA", quantities.CURRENT, "uA", 2e-3),
    ("14.8 nS/pF", quantities.Kind(name="a conductance per capacitance", unit="S/F", example="1 nS/pF"), "mS/uF", 14.8),
    ("25 mS/mm^2", quantities.CONDUCTANCE, "S/m^2", 25e3),
    ("3 mN", quantities.FORCE, "N", 3e-3),
    ("120 mmHg", quantities.PRESSURE, "kPa", 15.998684),
    ("15 kPa", quantities.PRESSURE, "mN/mm^2", 15.0),
    ("10 mN/mm^3", quantities.FORCE_PER_VOLUME, "N/m^3", 1e7),
    ("4 mPa s", quantities.VISCOSITY, "Pa*s", 4e-3),
    ("1.06 g/cm^3", quantities.DENSITY, "kg/m^3", 1060.0),
    ("0.4 1/GPa", quantities.COMPLIANCE, "1/kPa", 4e-7),
    ("0.6 W/m/K", quantities.THERMAL_CONDUCTIVITY, "mW/(mm*K)", 0.6),
    ("1 W/cm^2/K", quantities.HEAT_TRANSFER, "W/(m^2*K)", 1e4),
    ("2 GPa/K", quantities.THERMAL_STRESS, "kPa/mK", 2e3),
    ("36 km/h", quantities.SPEED, "m/s", 10.0),
    ("1 darcy", quantities.AREA, "um^2", 0.9869233),
    (
        "9.5e-11 m^2/s/V",
        quantities.Kind(name="a mobility", unit="m^2/(V*s)", example="1 um^2/(V*s)"),
        "um^2/(mV*s)",
        0.095,
    ),
]


@pytest.mark.parametrize(("text", "kind", "unit", "value"), ELECTRIC_AND_MECHANIC, ids=lambda v: str(v)[:20])
def test_electric_and_mechanic_quantities_are_those_of_pint(text, kind, unit, value):
    import pint

    found = parse_quantity("x", text, kind).to(unit)
    assert found == pytest.approx(value, rel=1e-6)
    number, _, written = text.partition(" ")
    own = pint.UnitRegistry()
    given = own.Quantity(float(number), "1" + written if written.startswith("/") else written.replace(" ", "*"))
    assert found == pytest.approx(given.to(unit).magnitude, rel=1e-12)
    with pytest.raises(UnitError, match=kind.name):
        parse_quantity("x", "1 mol", kind)


class Membrane(Table):
    """As a model of heart muscle has it."""

    area: Annotated[Quantity, quantity(INVERSE_LENGTH, above=0.0)]
    capacitance: Annotated[Quantity, quantity(quantities.CAPACITANCE_PER_AREA, above=0.0)]
    rest: Annotated[Quantity, quantity(quantities.VOLTAGE)]
    stimulus: Annotated[Quantity, quantity(quantities.CURRENT_PER_VOLUME)]
    intracellular: Annotated[Quantity, quantity(quantities.CONDUCTIVITY, at_least=0.0)]


MEMBRANE = """
area = "140 /mm"
capacitance = "1 uF/cm^2"
rest = "-85.23 mV"
stimulus = "50 uA/mm^3"
intracellular = "0.17 S/m"
"""


def test_electric_quantities_of_a_table_fit_together():
    """In mV, ms, mm, uA, mS and uF the monodomain equation has no factors: uF/mm^3 mV/ms = uA/mm^3 = mS/mm mV/mm^2."""
    table = parse_table(Membrane, tomllib.loads(MEMBRANE), "macro.membrane")
    area, capacitance = table.area.to("1/mm"), table.capacitance.to("uF/mm^2")
    assert (area, capacitance) == pytest.approx((140.0, 0.01), rel=1e-14)
    assert table.intracellular.to("mS/mm") == pytest.approx(0.17, rel=1e-14)
    assert table.stimulus.to("uA/mm^3") / (area * capacitance) == pytest.approx(50 / 1.4)  # mV/ms
    assert conversion_factor("uF/mm^3*mV/ms", "uA/mm^3") == pytest.approx(1.0, rel=1e-14)
    assert conversion_factor("mS/mm*mV/mm^2", "uA/mm^3") == pytest.approx(1.0, rel=1e-14)


@pytest.mark.parametrize(
    ("key", "text", "message"),
    [
        ("area", "140", r"macro\.membrane\.area = 140: .*no unit"),
        ("area", '"140 mm"', r"macro\.membrane\.area = '140 mm': .*an area per volume"),
        ("capacitance", '"1 uF"', r"macro\.membrane\.capacitance = '1 uF': .*a capacitance per area"),
        ("capacitance", '"-1 uF/cm^2"', r"macro\.membrane\.capacitance = .*> 0"),
        ("rest", '"-85 mA"', r"macro\.membrane\.rest = '-85 mA': .*a voltage"),
        ("stimulus", '"50 uA/mm^2"', r"macro\.membrane\.stimulus = .*a current per volume"),
    ],
)
def test_electric_quantities_of_a_table_are_refused_by_their_key(key, text, message):
    lines = [f"{key} = {text}" if line.startswith(f"{key} ") else line for line in MEMBRANE.splitlines()]
    with pytest.raises(InputError, match=message):
        parse_table(Membrane, tomllib.loads("\n".join(lines)), "macro.membrane")


def test_every_kind_reads_its_own_example():
    kinds = [entry for entry in vars(quantities).values() if isinstance(entry, quantities.Kind)]
    assert len(kinds) > 25
    for kind in kinds:
        quantity = parse_quantity("x", kind.example, kind)
        assert quantity.to(kind.unit) != 0.0
        assert check_unit("x", kind.unit, kind) == kind.unit
        assert check_unit("x", quantity.unit, kind) == quantity.unit


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
