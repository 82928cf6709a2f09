"""``step = "auto"`` in configs: what it gives, when outputs come, what is refused."""

from __future__ import annotations

import numpy as np
import pytest

from homfem import runs
from homfem.parameters import InputError
from homfem.step_control import AdaptiveGrid, Interval

REACTION = {
    "macro": {
        "model": "reaction-diffusion",
        "domain": {"shape": "interval", "size": ["20 um"], "resolution": "0.4 um"},
        "species": {
            "u": {
                "tensor": {"value": "0.5 um^2/s", "volume_fraction": 1.0},
                "initial": {"type": "box", "min": ["0 um"], "max": ["3 um"], "value": 1.0},
            }
        },
        "reaction": {"name": "nagumo", "rate": "6 1/s", "threshold": 0.1},
        "time": {"end": "900 ms", "step": "auto", "tolerance": 1e-3, "step_max": "0.2 s"},
        "output": {"every": "0.25 s", "checkpoint_every": "0.4 s", "threshold": 0.5},
        "probes": [{"name": "near", "at": ["4 um"]}],
    }
}
CALCIUM = {
    "macro": {
        "model": "calcium",
        "domain": {"shape": "interval", "size": ["60 um"], "resolution": "1 um"},
        "tensors": {
            "cytosol": {"value": "16 um^2/s", "volume_fraction": 0.8},
            "er": {"value": "2 um^2/s", "volume_fraction": 0.2},
            "interface_area": "2 1/um",
        },
        "kinetics": {"ip3": "0.3 uM"},
        "stimulus": {"rise": "0.8 uM", "centre": ["0 um"], "radius": "12 um"},
        "time": {"end": "0.5 s", "step": "auto", "tolerance": 1e-2},
        "output": {"every": "0.2 s"},
    }
}


def near(times, mark: float) -> bool:
    return bool(np.isclose(times, mark, rtol=1e-12).any())


def test_a_reaction_follows_its_tolerance_and_meets_its_outputs(tmp_path):
    run = runs.macro(REACTION, folder=tmp_path, drawn=True)
    said = run.report()
    times = said["times"]  # in the unit of the end
    assert times[-1] == pytest.approx(900.0, rel=1e-13)
    assert all(near(times, mark) for mark in (250.0, 400.0, 500.0, 750.0, 800.0))
    assert said["steps"] == len(times) - 1 == len(said["time_steps"]) == len(said["step_errors"])
    assert np.diff(times) == pytest.approx(said["time_steps"], rel=1e-6)
    assert max(said["step_errors"]) <= 1e-3
    assert max(said["time_steps"]) <= 200.0
    assert said["rejected_steps"] >= 1
    assert run.record is not None
    assert run.record.times == pytest.approx([0.0, 0.25, 0.5, 0.75, 0.9])
    assert len(said["probes"]["near"]["u"]) == len(times)  # each step
    assert said["conserved"][0]["drift"] < 1e-13
    more = runs.macro(REACTION, folder=tmp_path, resume=True, overrides={"macro.time.end": "1200 ms"}).report()
    assert more["times"][: len(times)] == pytest.approx(times, rel=1e-13)
    assert near(more["times"], 1000.0)


def test_calcium_follows_its_tolerance(tmp_path):
    said = runs.macro(CALCIUM, folder=tmp_path).report()
    assert said["times"][-1] == 0.5
    assert near(said["times"], 0.2)
    assert near(said["times"], 0.4)
    assert said["drift"] < 1e-12
    assert max(said["step_errors"]) <= 1e-2
    assert len(set(np.round(said["time_steps"], 12))) > 1


def test_equal_steps_say_nothing_of_errors(tmp_path):
    said = runs.macro(CALCIUM, folder=tmp_path, overrides={"macro.time": {"end": "0.5 s", "step": "0.1 s"}}).report()
    assert "step_errors" not in said
    assert said["steps"] == 5


@pytest.mark.parametrize(
    ("time", "name"),
    [
        ({"end": "1 s", "step": "auto"}, "macro.time.tolerance"),
        ({"end": "1 s", "step": "auto", "tolerance": 0.5}, "macro.time.tolerance"),
        ({"end": "1 s", "step": "auto", "tolerance": "1e-3"}, "macro.time.tolerance"),
        ({"end": "1 s", "step": "0.1 s", "tolerance": 1e-3}, "macro.time.tolerance"),
        ({"end": "1 s", "step": "0.1 s", "step_max": "0.1 s"}, "macro.time.step_max"),
        ({"end": "1 s", "step": "auto", "tolerance": 1e-3, "step_min": "2 s"}, "macro.time.step_min"),
        ({"end": "1 s", "step": "automatic", "tolerance": 1e-3}, "macro.time.step"),
        ({"end": "1 s", "step": "0.3 s"}, "macro.time.step"),
        ({"end": "1 s", "step": 0.1}, "macro.time.step"),
    ],
)
@pytest.mark.parametrize("config", [REACTION, CALCIUM], ids=["reaction-diffusion", "calcium"])
def test_bad_times_are_refused_under_their_key(config, time, name, tmp_path):
    with pytest.raises(InputError) as error:
        runs.macro({"macro": config["macro"] | {"time": time, "output": {}}}, folder=tmp_path)
    assert error.value.name == name
    assert not list(tmp_path.iterdir())


def test_a_model_of_equal_steps_refuses_auto(tmp_path):
    from homfem.config.models.cardiac import CardiacTime
    from homfem.config.table import parse_table

    with pytest.raises(InputError, match="step"):
        parse_table(CardiacTime, {"end": "1 s", "step": "auto"}, "macro.time")


def test_grids_and_intervals_of_tables():
    from homfem.config.models.marching import AdaptiveTime
    from homfem.config.table import parse_table

    table = parse_table(AdaptiveTime, {"end": "2 s", "step": "auto", "tolerance": 1e-3, "step_min": "1 ms"}, "")
    assert table.grid("ms") == AdaptiveGrid(end=2000.0, tolerance=1e-3, step_min=1.0)
    assert Interval(2.0).marks(0.0, 2.0) == []
