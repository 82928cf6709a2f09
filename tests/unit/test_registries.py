"""What a user adds: a table of a config with its line in a registry runs as what is there does."""

from __future__ import annotations

import json

import numpy as np
import pytest

from homfem import runs
from homfem.config import MODELS
from homfem.parameters import InputError
from toy_tables import Decay


def test_a_new_model_is_a_table_and_a_line_of_the_registry(homfem, tmp_path, monkeypatch):
    monkeypatch.setitem(MODELS, "decay", Decay)
    (tmp_path / "decay.toml").write_text('[macro]\nmodel = "decay"\nrate = "2000 1/h"\n')
    exact = np.exp(-2000.0 / 3600.0)
    assert runs.macro(tmp_path / "decay.toml").result == pytest.approx(exact, rel=1e-12)
    status, out, _ = homfem("run", tmp_path / "decay.toml", "--json", "-")
    assert (status, json.loads(out)) == (0, {"left": pytest.approx(exact, rel=1e-12)})
    with pytest.raises(InputError, match=r"^macro\.rat = .*'macro\.rate'"):
        runs.macro({"macro": {"model": "decay", "rat": 1}})
