"""Templates of configs: every one is accepted and complete, and those of the cheap cells run."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Annotated

import numpy as np
import pytest

from homfem import runs, sweeps
from homfem.config import MODELS, PHYSICS, make_config
from homfem.config.physics.effective_table import EffectiveTable
from homfem.config.reference import keys_of
from homfem.config.table import Check
from homfem.config.templates import as_toml, sample_of, template, template_names
from homfem.parameters import InputError
from toy_tables import Contrast, Decay


def test_there_is_one_for_every_physics_and_model():
    names = list(template_names())
    assert [name for name in names if not name.startswith("electrodiffusion-")] == [*PHYSICS, *MODELS, "sweep"]
    assert "electrodiffusion-double-layer" in names
    regimes = [
        tomllib.loads(template(name))["effective"].get("regime", "donnan") for name in names if "electro" in name
    ]
    assert regimes[:2] == ["donnan", "double-layer"]
    with pytest.raises(InputError, match=r"^NAME = 'difusion'.*'diffusion'"):
        template("difusion")


@pytest.mark.parametrize("name", template_names())
def test_every_template_is_accepted_and_tells_every_key(name):
    text = template(name)
    document = tomllib.loads(text)
    assert max(map(len, text.splitlines())) <= 120
    if name == "sweep":
        assert len(sweeps.prepare(document).rows) == 3
        return
    physics = document.get("effective", {}).get("physics")
    make_config(document, needed=("macro",) if name in MODELS else ("cell", "effective"))
    table = MODELS[name] if name in MODELS else PHYSICS[physics]
    for key in keys_of(table):
        if key.tables:
            assert re.search(rf"^#?\[+(effective|macro)\.{key.name}[\].]", text, re.M), key.name
        else:
            assert re.search(rf"^#?({key.name} = |\[(effective|macro)\.{key.name}\])", text, re.M), key.name


@pytest.mark.parametrize("name", template_names())
def test_no_key_behind_a_mark_is_unknown(name):
    """Each is taken in on its own: it may not fit, but it is known, and its value is TOML."""
    lines = template(name).splitlines()
    marked = [k for k, line in enumerate(lines) if re.match(r"#\w+ = (?!\.\.\.)", line)]
    tried = 0
    for k in marked:
        above = next((line for line in reversed(lines[:k]) if re.match(r"#?\[", line)), "")
        if above.startswith("#"):  # its table is left out as well
            continue
        document = tomllib.loads("\n".join([*lines[:k], lines[k][1:], *lines[k + 1 :]]))
        tried += 1
        said = ""
        try:
            sweeps.prepare(document) if name == "sweep" else make_config(document)
        except InputError as error:
            said = str(error)
        assert "known keys" not in said, lines[k]
    assert tried >= 3


@pytest.mark.parametrize("name", ["diffusion", "stokes", "thermoelasticity", "electrodiffusion-double-layer"])
def test_templates_of_cells_run(name):
    found = runs.tensor(tomllib.loads(template(name))).tensor
    assert found.volume_fractions["fibre"] == pytest.approx(0.3, rel=1e-9)
    assert np.all(np.linalg.eigvalsh(found.value) > 0.0)


@pytest.mark.parametrize("name", ["calcium", "reaction-diffusion"])
def test_templates_of_models_run(name, tmp_path):
    run = runs.macro(tomllib.loads(template(name)), folder=tmp_path)
    assert run.outcome is runs.Outcome.DONE
    assert (tmp_path / "output").is_dir()


class Unsaid(EffectiveTable):
    """A physics with a required key of which neither its check nor an example tells a value."""

    physics: str
    what: Annotated[str, Check(lambda value: value)]


def test_a_new_physics_and_a_new_model_have_theirs(monkeypatch):
    monkeypatch.setitem(PHYSICS, "contrast", Contrast)
    monkeypatch.setitem(MODELS, "decay", Decay)
    assert tomllib.loads(template("contrast"))["effective"] == {"physics": "contrast", "first": 1.0}
    assert tomllib.loads(template("decay"))["macro"] == {"model": "decay", "rate": "6 1/s"}
    monkeypatch.setitem(PHYSICS, "unsaid", Unsaid)
    with pytest.raises(InputError, match=r"^example = .*'what'"):
        template("unsaid")


@pytest.mark.parametrize(
    ("says", "value"),
    [
        ("a whole number >= 3 and <= 64", "3"),
        ("a whole number > 3", "4"),
        ("a number", "1.0"),
        ("a number > 2", "3.0"),
        ("a number >= 1 and <= 2", "1.5"),
        ("the unit of a length, such as 'm'", '"m"'),
        ("a list of 2 numbers, such as [1, 0]", "[1, 0]"),
        ("true or false", "true"),
        ("a table", ""),
    ],
)
def test_examples_of_what_checks_say(says, value):
    assert sample_of(says) == value


def test_values_as_toml():
    given = {"a b": [1, 0.5, True, 'say "x" \\ um'], "c": {"d": "µm", "e.f": 1e-300}}
    assert tomllib.loads("x = " + as_toml(given))["x"] == given


def test_the_command(homfem, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    status, out, _ = homfem("init", "--list")
    assert [line.split()[0] for line in out.splitlines()] == list(template_names())
    status, out, _ = homfem("init", "stokes")
    assert status == 0
    assert "stokes.toml" in out
    assert Path("stokes.toml").read_text() == template("stokes")
    Path("stokes.toml").write_text("mine")
    status, _, err = homfem("init", "stokes")
    assert (status, Path("stokes.toml").read_text()) == (2, "mine")
    assert "--force" in err
    assert homfem("init", "stokes", "--force")[0] == 0
    assert Path("stokes.toml").read_text() == template("stokes")
    assert homfem("init", "stokes", "-")[1] == template("stokes")
    assert homfem("init", "elasticity", "no/a.toml")[0] == 2
    assert homfem("init")[0] == 2
    assert homfem("init", "nothing")[0] == 2
