"""Effective tensors in other units, beside each other, and in tables."""

from __future__ import annotations

import csv
import io
import math
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from homfem import tensor_table
from homfem.coefficients import NamedCoefficient
from homfem.parameters import InputError, UnitError
from homfem.stiffness import isotropic
from homfem.tensors import EffectiveTensor

D = np.diag([2.0, 1.0])


def bracket(value: np.ndarray, half: float, **rest: object) -> EffectiveTensor:
    one = half * np.eye(len(value))
    return EffectiveTensor(value=value, lower=value - one, upper=value + one, **rest)  # type: ignore[arg-type]


# -- units ---------------------------------------------------------------------------------------------------------


def test_coefficients_in_the_unit_of_the_tensor_go_along() -> None:
    coefficients = {
        "modulus": NamedCoefficient(value=30.0, lower=29.0, upper=31.0, unit="GPa"),
        "thermal": NamedCoefficient(value=[1.0, 2.0, 0.0], unit="GPa/K", basis="stress"),
        "storage": NamedCoefficient(value=0.5, unit="1/GPa"),
        "tension": NamedCoefficient(value=7.0, unit="kPa"),
        "expansion": NamedCoefficient(value=1e-5, unit="1/K"),
        "biot": NamedCoefficient(value=[0.8, 0.8, 0.0], basis="stress"),
    }
    tensor = EffectiveTensor(value=isotropic(young=1.0, poisson=0.3, dimension=2), physics="elasticity", unit="GPa",
                             coefficients=coefficients)  # fmt: skip
    other = tensor.to("MPa")
    found = {name: (float(entry.value.flat[0]), entry.unit) for name, entry in other.coefficients.items()}
    assert found == {
        "modulus": (pytest.approx(3e4), "MPa"),
        "thermal": (pytest.approx(1e3), "MPa/K"),
        "storage": (pytest.approx(5e-4), "1/MPa"),
        "tension": (pytest.approx(7e-3), "MPa"),
        "expansion": (1e-5, "1/K"),
        "biot": (0.8, ""),
    }
    modulus = other.coefficients["modulus"]
    assert (modulus.lower, modulus.upper) == (pytest.approx(29e3), pytest.approx(31e3))
    back = other.to("GPa")
    for name, entry in tensor.coefficients.items():
        assert back.coefficients[name].unit == ("GPa" if name == "tension" else entry.unit)
        factor = 1e-6 if name == "tension" else 1.0
        np.testing.assert_allclose(back.coefficients[name].value, factor * entry.value, rtol=1e-14)
    compound = replace(tensor, coefficients={"storage": NamedCoefficient(value=2.0, unit="1/GPa")}).to("N/mm^2")
    assert compound.coefficients["storage"].unit == "1/(N/mm^2)"
    assert float(compound.coefficients["storage"].value) == pytest.approx(2e-3)
    again = compound.to("GPa").coefficients["storage"]
    assert (float(again.value), again.unit) == (pytest.approx(2.0), "1/GPa")


# -- comparison ----------------------------------------------------------------------------------------------------


def test_the_difference_is_relative_in_a_norm() -> None:
    found = EffectiveTensor(value=D, unit="um^2/s").compared([[2.0, 0.0], [0.0, 2.0]])
    assert found.relative_difference == pytest.approx(1.0 / math.sqrt(8.0))
    assert EffectiveTensor(value=D).compared(2.0, norm="spectral").relative_difference == pytest.approx(0.5)
    assert found.overlap is None
    rows = {row.name: (row.difference, row.relative) for row in found.entries}
    assert rows == {"xx": (0.0, 0.0), "xy": (0.0, 0.0), "yy": (-1.0, -0.5)}
    assert "0.354" in str(found)
    assert len(str(found).splitlines()) == 5
    skew = EffectiveTensor(value=[[1.0, 0.2], [-0.2, 1.0]], physics="dispersion").compared(1.0)
    assert [row.name for row in skew.entries] == ["xx", "xy", "yx", "yy"]
    assert EffectiveTensor(value=D).compared(np.zeros((2, 2))).relative_difference == math.inf


def test_a_stiffness_is_compared_in_mandel_notation() -> None:
    """Turned by 45 degrees both norms are the same: shear counts as it should."""
    one = EffectiveTensor(value=np.diag([3.0, 1.0, 0.5]), physics="elasticity")
    other = EffectiveTensor(value=np.diag([2.0, 1.0, 0.7]), physics="elasticity")
    r = math.sqrt(0.5) * np.array([[1.0, -1.0], [1.0, 1.0]])
    for norm in ("frobenius", "spectral"):
        first = one.compared(other, norm=norm).relative_difference
        assert one.rotated(r).compared(other.rotated(r), norm=norm).relative_difference == pytest.approx(first)
    assert [row.name for row in one.compared(other).entries][:3] == ["xxxx", "xxyy", "xxxy"]


def test_brackets_overlap_by_directions() -> None:
    tensor = bracket(D, 0.1)
    assert tensor.compared(bracket(D + 0.15 * np.eye(2), 0.1)).overlap is True
    assert tensor.compared(bracket(D + 0.25 * np.eye(2), 0.1)).overlap is False
    # The entries of both overlap, the shear direction does not.
    off = np.array([[0.0, 0.3], [0.3, 0.0]])
    assert tensor.compared(bracket(D + off, 0.1)).overlap is False
    assert tensor.compared(D + 0.05 * np.eye(2)).overlap is True
    assert tensor.compared(D + 0.3 * off).overlap is True
    assert tensor.compared(D + off).overlap is False
    assert EffectiveTensor(value=D).compared(tensor).overlap is True
    # With one side only it is certain that they miss, never that they meet.
    above = EffectiveTensor(value=D, upper=D + 0.1 * np.eye(2))
    assert above.compared(D + np.eye(2)).overlap is False
    assert above.compared(D).overlap is None
    assert "do not overlap" in str(above.compared(D + np.eye(2)))


def test_units_and_kinds_are_minded() -> None:
    tensor = EffectiveTensor(value=D, unit="um^2/s")
    assert tensor.compared(tensor.to("mm^2/s")).relative_difference == pytest.approx(0.0, abs=1e-15)
    assert tensor.compared(1e-6 * D, unit="mm^2/s").relative_difference == pytest.approx(0.0, abs=1e-15)
    with pytest.raises(UnitError, match="unit"):
        tensor.compared(D, unit="S/m")
    with pytest.raises(UnitError, match="Only one"):
        tensor.compared(replace(tensor, unit=""))
    with pytest.raises(UnitError, match="without a unit"):
        replace(tensor, unit="").compared(D, unit="um^2/s")
    for other, message in (
        (EffectiveTensor(value=D, physics="conductivity"), "a tensor of diffusion"),
        (EffectiveTensor(value=np.eye(3)), "of shape"),
        (np.eye(3), "finite matrix"),
        ([[np.nan, 0.0], [0.0, 1.0]], "finite matrix"),
        ("two", "finite matrix"),
    ):
        with pytest.raises(InputError, match=message):
            tensor.compared(other)
    with pytest.raises(InputError, match="left out beside a tensor"):
        tensor.compared(tensor, unit="um^2/s")
    with pytest.raises(InputError, match="norm"):
        tensor.compared(D, norm="max")
    sheet = EffectiveTensor(value=np.eye(3), physics="elasticity", plane="stress")
    with pytest.raises(InputError, match="in plane stress"):
        sheet.compared(replace(sheet, plane="strain"))
    with pytest.raises(InputError, match="finite matrix"):
        sheet.compared(2.0)  # k I is no stiffness


@settings(deadline=None, max_examples=30)
@given(st.integers(0, 2**31))
def test_bounds_of_entries_hold_and_are_reached(seed: int) -> None:
    draw = np.random.default_rng(seed)
    m, root = draw.standard_normal((3, 3)), draw.standard_normal((3, 3))
    value, gap = m @ m.T + np.eye(3), root @ root.T
    tensor = EffectiveTensor(value=value, lower=value - gap, upper=value + gap)
    assert tensor.entry_bounds is not None
    below, above = tensor.entry_bounds
    for _ in range(50):
        e = draw.standard_normal((3, 3))
        e = (e + e.T) / np.linalg.norm(e + e.T, 2)
        inside = value + root @ e @ root.T
        assert np.all((below <= inside + 1e-12) & (inside <= above + 1e-12))
    x, y = root[0], root[1]
    # The reflection that swaps x and y, of norm one, reaches the bound of xy.
    x, y = x / np.linalg.norm(x), y / np.linalg.norm(y)
    across = (x - y) / np.linalg.norm(x - y)
    swap = np.eye(3) - 2.0 * np.outer(across, across)
    assert (value + root @ swap @ root.T)[0, 1] == pytest.approx(above[0, 1], rel=1e-9, abs=1e-9)
    assert EffectiveTensor(value=value).entry_bounds is None


# -- tables and notebooks ------------------------------------------------------------------------------------------


class Cells(HTMLParser):
    """The text of HTML, and its tags."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.words: list[str] = []
        self.tags: list[str] = []
        self.open: list[str] = []
        self.feed(text)
        assert not self.open

    def handle_starttag(self, tag: str, attrs: object) -> None:
        self.tags.append(tag)
        self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.words += [data.strip()] if data.strip() else []


HOSTILE = "<script>alert('x')</script>|a\nb"


def test_a_table_says_the_same_in_every_form() -> None:
    one = bracket(np.diag([2.0, 1.0, 0.5]), 0.01, unit="um^2/s")
    flat = EffectiveTensor(value=[[3.0, 0.25], [0.25, 3.0]], unit="mm^2/s", reached=False, warnings=("coarse",))
    table = tensor_table({"one": one, HOSTILE: flat})
    assert table.head == ("name", "kind", "xx", "xy", "yy", "zz", "half-gap", "relative gap", "unit", "remarks")
    text = str(table).splitlines()
    assert len(text) == 3
    assert text[1].split() == ["one", "diffusion", "2", "0", "1", "0.5", "0.01", "2.00e-02", "um^2/s"]
    assert text[2].endswith("no bounds; short of the tolerance; warnings: 1")
    lines = table.markdown().splitlines()
    assert len(lines) == 4
    assert {line.replace("\\|", "").count("|") for line in lines} == {11}
    assert "<script>" not in table.markdown()
    rows = list(csv.DictReader(io.StringIO(table.csv())))
    assert rows[1]["name"] == HOSTILE
    assert float(rows[0]["xx"]) == 2.0
    assert (float(rows[0]["xx_lower"]), float(rows[0]["xx_upper"])) == (1.99, 2.01)
    assert (rows[1]["zz"], rows[1]["half_gap"], rows[1]["warnings"]) == ("", "", "coarse")
    page = Cells(table.html())
    assert "script" not in page.tags
    assert page.words.count("um^2/s") == 1
    assert table._repr_html_() == table.html()
    same = tensor_table({"one": one, "flat": flat}, unit="mm^2/s")
    assert [row[-2] for row in same.rows] == ["mm^2/s"] * 2
    assert float(same.rows[0][2]) == pytest.approx(2e-6)


def test_entries_of_planes_and_of_space_do_not_share_a_column() -> None:
    plane = EffectiveTensor(value=isotropic(young=1.0, poisson=0.3, dimension=2), physics="elasticity")
    space = EffectiveTensor(value=isotropic(young=1.0, poisson=0.3), physics="elasticity")
    head = tensor_table({"plane": plane, "space": space}).head
    assert {"xyxy", "zzzz", "xxyy"} <= set(head)
    assert "xxxy" not in head  # zero in both


def test_a_table_of_nothing_is_refused() -> None:
    for given_tensors in ({}, [EffectiveTensor(value=D)], None):
        with pytest.raises(InputError, match="by name"):
            tensor_table(given_tensors)  # type: ignore[arg-type]
    with pytest.raises(InputError, match=r"tensors\['a'\]"):
        tensor_table({"a": D})  # type: ignore[dict-item]
    with pytest.raises(UnitError):
        tensor_table({"a": EffectiveTensor(value=D)}, unit="um^2/s")


def test_a_notebook_shows_the_matrix_its_bounds_and_what_is_known_of_it() -> None:
    tensor = bracket(
        D, 0.1, unit="um^2/s", active_phases=(HOSTILE,), volume_fractions={HOSTILE: 0.5}, warnings=("<b>bold</b>",),
        coefficients={"<i>": NamedCoefficient(value=1.0, unit="<u>")},
    )  # fmt: skip
    page = Cells(tensor._repr_html_())
    assert not {"script", "b", "i", "u"} & set(page.tags)
    assert page.tags.count("table") == 3
    assert page.words[1:5] == ["2", "0", "0", "1"]
    assert "in um^2/s" in page.words[0]
    assert {"lower", "upper", "1.9", "2.1"} <= set(page.words)
    assert any("guaranteed to ± 0.1 in every direction" in word for word in page.words)
    assert any(word == "WARNING: <b>bold</b>" for word in page.words)
    assert "details" not in Cells(EffectiveTensor(value=D)._repr_html_()).tags
