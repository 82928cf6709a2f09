"""The configs beside the demos run as they are, but shorter and coarser, and give what the demos do."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from homfem import runs

DEMOS = Path(__file__).parents[2] / "demos"
#: Of each config: what is coarser, and what a probe holds at the end.
COARSE = {
    "12_oxygen_in_tissue.toml": (
        {"cell.resolution": 0.2, "macro.domain.resolution": "20 um", "macro.time.end": "20 s"},
        {"far": ("oxygen", 55.2, 0.3), "edge": ("oxygen", 41.9, 1.0), "corner": ("oxygen", 0.2, 0.5)},
    ),
    "13_packed_bed.toml": (
        {"cell.resolution": 0.3, "macro.time.step": "1 ms"},
        {"outlet": ("gas", 0.1713, 0.002), "inlet": ("gas", 0.979, 0.02)},
    ),
}


def test_every_config_is_run_here():
    assert set(COARSE) == {path.name for path in DEMOS.glob("*.toml")}


@pytest.mark.parametrize("name", COARSE)
def test_config(name, tmp_path):
    overrides, expected = COARSE[name]
    shutil.copy(DEMOS / name, tmp_path)
    run = runs.macro(tmp_path / name, overrides=overrides)
    probes = run.report()["probes"]
    for probe, (field, value, room) in expected.items():
        assert probes[probe][field][-1] == pytest.approx(value, abs=room)
