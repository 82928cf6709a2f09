"""What a user adds: a table of a config with its line in a registry runs as what is there does."""

from __future__ import annotations

import json

import numpy as np
import pytest

from homfem import runs
from homfem.config import MODELS, PHYSICS, SHAPES, make_config
from homfem.config.models.domains import DOMAINS, FileDomain
from homfem.config.shapes.files import FileCell
from homfem.parameters import InputError
from homfem.runs.runners import runner
from toy_tables import Contrast, Decay, TwoLayers


def test_a_new_model_is_a_table_and_a_line_of_the_registry(homfem, tmp_path, monkeypatch):
    monkeypatch.setitem(MODELS, "decay", Decay)
    (tmp_path / "decay.toml").write_text('[macro]\nmodel = "decay"\nrate = "2000 1/h"\n')
    exact = np.exp(-2000.0 / 3600.0)
    assert runs.macro(tmp_path / "decay.toml").result == pytest.approx(exact, rel=1e-12)
    status, out, _ = homfem("run", tmp_path / "decay.toml", "--json", "-")
    assert (status, json.loads(out)) == (0, {"left": pytest.approx(exact, rel=1e-12), "warnings": []})
    with pytest.raises(InputError, match=r"^macro\.rat = .*'macro\.rate'"):
        runs.macro({"macro": {"model": "decay", "rat": 1}})


def test_a_new_shape_and_a_new_physics_are_a_table_and_a_line_each(homfem, tmp_path, monkeypatch):
    monkeypatch.setitem(SHAPES, "two-layers", TwoLayers)
    monkeypatch.setitem(PHYSICS, "contrast", Contrast)
    cell = '[cell]\nshape = "two-layers"\nshare = 0.25\nperiod = "2 um"\nresolution = 0.3\n'
    (tmp_path / "new.toml").write_text(cell + '[effective]\nphysics = "contrast"\nfirst = 4.0\n')
    exact = [1.0 / (0.25 / 4.0 + 0.75), 0.25 * 4.0 + 0.75]
    run = runs.tensor(tmp_path / "new.toml")
    assert np.diag(run.tensor.value) == pytest.approx(exact, rel=1e-6)
    assert run.tensor.volume_fractions == pytest.approx({"layer1": 0.25, "layer2": 0.75}, rel=1e-12)
    status, out, _ = homfem("effective", tmp_path / "new.toml", "--set", "cell.share=0.5", "--json", "-")
    assert status == 0
    assert json.loads(out)["value"][1][1] == pytest.approx(0.5 * 4.0 + 0.5, rel=1e-6)
    for wrong, name in (({"cell.shar": 1}, "cell.share"), ({"effective.frist": 1}, "effective.first")):
        with pytest.raises(InputError, match=name):
            runs.tensor(tmp_path / "new.toml", overrides=wrong)
    with pytest.raises(InputError, match=r"^effective\.first = 0: .*> 0"):
        runs.tensor(tmp_path / "new.toml", overrides={"effective.first": 0})


@pytest.mark.parametrize(
    ("method", "keys", "message"),
    [
        ("corner-galerkin", {"abscissas": 4}, r"abscissas = 4: .*absent with method 'corner-.*to 'semi-analytical'\."),
        ("finite-element", {"refine": 2}, r"refine = 2: .*absent with method 'finite-element'.*belongs to 'grid'\."),
        ("semi-analytical", {"max_dofs": 9}, r"max_dofs = 9: .*'finite-element' and 'corner-galerkin' and 'grid'\."),
        ("finite-element", {"degree": 7}, r"degree = 7: .*<= 6"),
        ("corner-galerkin", {"degree": 13}, r"degree = 13: .*<= 12"),
    ],
)
def test_a_key_belongs_to_the_methods_whose_section_has_it(method, keys, message):
    cell = {"shape": "blocks", "layout": ["LD", "DL"]}
    phases = {"L": "4 m^2/s", "D": "1 m^2/s"}
    with pytest.raises(InputError, match=rf"^effective\.{message}"):
        make_config({"cell": cell, "effective": {"physics": "diffusion", "method": method, "phases": phases, **keys}})


def test_what_tables_name_is_there():
    tables = [*SHAPES.values(), *PHYSICS.values(), *MODELS.values(), *DOMAINS.values(), FileCell, FileDomain]
    names = [
        getattr(table, key, "")
        for table in tables
        for key in ("runner", "maker", "meshless_runner", "voxel_runner", "medium")
    ]
    named = {name for name in names if name}
    assert len(named) > 20
    assert all(callable(runner(name)) for name in named)


def test_every_table_stands_in_the_registry_once():
    from homfem.config import cells, effective, macro

    registries = ((cells.SHAPES, cells), (effective.PHYSICS, effective), (macro.MODELS, macro))
    for registry, place in registries:
        assert len(registry) == sum(len(module.TABLES) for module in place.MODULES)
    for registry, _ in registries:
        for name, table in registry.items():
            field = next(iter({"shape", "physics", "model"} & set(table.model_fields)))
            checks = [entry for entry in table.model_fields[field].metadata if hasattr(entry, "func")]
            assert all(check.func(name) == name for check in checks)
