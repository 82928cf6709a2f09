"""The reference of the keys: complete, as the tables check them, and printed in the documentation as it is."""

from __future__ import annotations

from pathlib import Path

import pytest

from homfem.config import MODELS, PHYSICS, SHAPES, make_config
from homfem.config.reference import as_markdown, reference
from homfem.parameters import InputError

PAGE = Path(__file__).parents[2] / "docs" / "keys.md"


def told(table):
    (section,) = [part for part in reference(table) if part.name == table]
    return {key.name: key for key in section.keys}


def test_every_key_says_what_it_takes_and_means():
    sections = reference()
    names = [section.name for section in sections]
    assert len(set(names)) == len(names)
    for place, registry in (("cell", SHAPES), ("effective", PHYSICS), ("macro", MODELS)):
        assert {f"{place}.{name}" for name in registry} <= set(names)
    for section in sections:
        assert section.meaning, section.name
        for key in section.keys:
            assert key.takes, (section.name, key.name)
            assert key.meaning, (section.name, key.name)


def test_what_is_told_is_what_is_checked():
    array = told("cell.sphere-array")
    assert array["fraction"].takes == "a number > 0 and < 1, a fraction of the period"
    assert array["lattice"].takes == '"simple-cubic" or "body-centred" or "face-centred"'
    assert (array["lattice"].default, array["overlap"].default, array["radius"].default) == (
        '"simple-cubic"', "false", "",
    )  # fmt: skip
    assert array["period"].default == '"1 m"'
    assert "shape" not in array
    particles = told("cell.random-particles")
    assert (particles["seed"].takes, particles["seed"].default) == ("a whole number >= 0", "required")
    assert told("effective.stokes")["slip_length"].takes.startswith("a length > 0, such as")
    assert told("effective.diffusion")["abscissas"].meaning.endswith("Method `semi-analytical`.")
    assert told("effective.elasticity")["plane"].takes == '"strain" or "stress"'
    assert told("macro.calcium.time")["step"].default == "required"
    assert "unit" in told("macro.calcium.domain.file")
    with pytest.raises(InputError, match=r"^cell\.fraction = 1\.0: it must be a finite number > 0 and < 1"):
        make_config({"cell": {"shape": "sphere-array", "fraction": 1.0}})


def test_the_command_prints_a_table_and_those_inside_it(homfem):
    status, out, _ = homfem("keys", "macro.calcium")
    assert status == 0
    headers = [line for line in out.splitlines() if line.startswith("## ")]
    assert headers[0] == '## `[macro] model = "calcium"`'
    assert "## `[macro.time]`" in headers
    assert not any("cell]" in header for header in headers)
    assert homfem("keys")[1].rstrip() == as_markdown(reference())
    status, _, err = homfem("keys", "cell.three-pip")
    assert status == 2
    assert "TABLE = 'cell.three-pip'" in err
    assert "'cell.three-pipe'" in err
    assert homfem("keys", "cell.three")[0] == 2
    assert homfem("keys", "macro.probes") == homfem("keys", "macro.calcium.probes"), "as the header in a config"


def test_the_page_is_current():
    assert PAGE.read_text() == as_markdown(reference()) + "\n", "homfem keys > docs/keys.md"
