"""Action potentials of given potentials that are linear in time between steps, so that all crossings are exact."""

from __future__ import annotations

import numpy as np
import pytest
from dolfinx import mesh
from mpi4py import MPI

from given_fields import Given
from homfem.macro.action_potentials import ActionPotentials
from homfem.macro.march import march
from homfem.output.checkpoint import CheckpointFile
from homfem.parameters import CheckpointError, InputError
from homfem.solve import Numbering
from homfem.timestepping import TimeGrid

STEP = 0.5


def beats(x, t):
    """Beat k of node x begins at .5 x + 40 k from its rest, rises by 2 steps to a peak, falls over 20 + x - 3 k."""
    t0 = 0.5 * np.round(x[0])
    value = np.full(t0.shape, -80.0)
    for k in range(3):
        begin, length = t0 + 40.0 * k + 1.0, 20.0 + np.round(x[0]) - 3.0 * k
        rest, after, peak = -80.0 + 2.0 * k, -78.0 + 2.0 * k, 20.0 + x[0] + k
        since = t - begin
        up = rest + (peak - rest) * np.array([0.0, 0.2, 1.0])[np.clip(np.rint(since / STEP), 0, 2).astype(int)]
        down = peak + (after - peak) * np.clip((since - 2 * STEP) / length, 0.0, 1.0)
        value = np.where(since <= 0.0, value, np.where(since <= 2 * STEP, up, down))
    return value


def exact(x):
    """Activation, peak, rest, upstroke and repolarisation by beat, each from its definition."""
    x = np.round(x)
    found = {}
    for k in range(3):
        begin, length = 0.5 * x + 40.0 * k + 1.0, 20.0 + x - 3.0 * k
        rest, after, peak = -80.0 + 2.0 * k, -78.0 + 2.0 * k, 20.0 + x + k
        at = begin + STEP * (1.0 + (-40.0 - rest - 0.2 * (peak - rest)) / (0.8 * (peak - rest)))
        fall = {f"{p}": peak - p / 100 * (peak - rest) for p in (50, 90)} | {"fixed": np.full(x.shape, -60.0)}
        found[k] = {"at": at, "peak": peak, "rest": np.full(x.shape, rest), "upstroke": 0.8 * (peak - rest) / STEP}
        for key, level in fall.items():
            found[k][key] = begin + 2 * STEP + length * (peak - level) / (peak - after)
        found[k]["middle"] = begin + 1.5 * STEP
    return found


def case_beats(comm, path, resume=False, end=119.0, options=None):
    line = mesh.create_interval(comm, 8, [0.0, 8.0])
    model = Given(line, beats, step=STEP)
    seen = ActionPotentials("V", -40.0, levels=[50, 90], fixed=[-60.0], **(options or {"beats": 3}))
    late = ActionPotentials("V", -40.0, activation="upstroke", name="late", beats=2)
    early = ActionPotentials("V", -40.0, name="early", keep="first", levels=[50, 90])
    march(
        model, TimeGrid(end=end, step=STEP), observers=[seen, late, early], checkpoint=CheckpointFile(path),
        checkpoint_every=1000, resume=resume,
    )  # fmt: skip
    maps = {"count": seen.count}
    for k in range(3):
        maps |= {
            f"at {k}": seen.activation(k), f"peak {k}": seen.peak(k), f"rest {k}": seen.rest(k),
            f"upstroke {k}": seen.upstroke(k), f"50 {k}": seen.repolarisation(50, beat=k),
            f"90 {k}": seen.repolarisation(90, beat=k), f"fixed {k}": seen.repolarisation(fixed=-60.0, beat=k),
        }  # fmt: skip
    maps |= {
        "APD90": seen.duration(90), "APD90 0": seen.duration(90, beat=0), "DI90": seen.diastolic_interval(90),
        "DI50 1": seen.diastolic_interval(50, beat=1), "DI90 0": seen.diastolic_interval(90, beat=0),
        "middle 2": late.activation(), "middle 0": late.activation(0), "late APD": late.duration(90),
        "first APD": early.duration(90), "first at": early.activation(), "first count": early.count,
        "cycle": seen.cycle_length(), "first peak": early.peak(), "first 50": early.repolarisation(50),
    }  # fmt: skip
    whole = {key: Numbering(f.function_space).gather(f.x.array) for key, f in maps.items()}
    return {"at": seen.duration(90).name, "maps": {k: np.nan_to_num(v, nan=-1.0).tolist() for k, v in whole.items()}}


@pytest.mark.mpi
def test_maps_of_every_beat_are_exact_on_any_ranks_and_after_a_restart(on_ranks, tmp_path):
    """Stopped in the second upstroke, and gone on with on another number of ranks."""
    whole = on_ranks(case_beats, path=str(tmp_path / "whole"))
    on_ranks(case_beats, ranks=(2,), path=str(tmp_path / "part"), end=43.0)
    saved, again = (tmp_path / "part").read_bytes(), []
    for ranks in (1, 3):
        (tmp_path / "part").write_bytes(saved)
        again += on_ranks(case_beats, ranks=(ranks,), path=str(tmp_path / "part"), resume=True)
    x = np.arange(9.0)
    wanted = exact(x)
    for answer in (*whole, *again):
        found = {key: np.array(values) for key, values in answer["maps"].items()}
        assert answer["at"] == "APD90"
        assert np.all(found["count"] == 3)
        assert np.all(found["first count"] == 3)
        for k, key in ((k, key) for k in range(3) for key in ("at", "peak", "rest", "upstroke", "50", "90", "fixed")):
            assert found[f"{key} {k}"] == pytest.approx(wanted[k][key], abs=1e-11), (key, k)
        assert found["APD90"] == pytest.approx(wanted[2]["90"] - wanted[2]["at"], abs=1e-11)
        assert found["APD90 0"] == pytest.approx(wanted[0]["90"] - wanted[0]["at"], abs=1e-11)
        assert found["DI90"] == pytest.approx(wanted[2]["at"] - wanted[1]["90"], abs=1e-11)
        assert found["DI50 1"] == pytest.approx(wanted[1]["at"] - wanted[0]["50"], abs=1e-11)
        assert np.all(found["DI90 0"] == -1)  # none before
        assert np.all(found["middle 0"] == -1)  # not kept
        assert found["middle 2"] == pytest.approx(wanted[2]["middle"], abs=1e-11)
        assert found["late APD"] == pytest.approx(wanted[2]["90"] - wanted[2]["middle"], abs=1e-11)
        assert found["first APD"] == pytest.approx(wanted[0]["90"] - wanted[0]["at"], abs=1e-11)
        assert found["cycle"] == pytest.approx(wanted[2]["at"] - wanted[1]["at"], abs=1e-11)
        assert found["first 50"] == pytest.approx(wanted[0]["50"], abs=1e-11)
        assert found["first peak"] == pytest.approx(wanted[0]["peak"], abs=1e-11)
        assert found["first at"] == pytest.approx(wanted[0]["at"], abs=1e-11)


def seen_of(values, threshold=-40.0, **options):
    """Beats of a potential that is given step by step, the same everywhere; the numbers of one node."""
    line = mesh.create_interval(MPI.COMM_SELF, 1, [0.0, 1.0])
    model = Given(line, lambda x, t: np.full(x.shape[1], float(np.interp(t, range(len(values)), values))), step=1.0)
    observer = ActionPotentials("V", threshold, **options)
    march(model, TimeGrid(end=float(len(values) - 1), step=1.0), observers=[observer])
    return observer


def test_a_notch_is_no_repolarisation_and_a_stimulus_that_fails_is_none_either():
    """APD20 (level 0) falls in the notch and after the dome: the latter counts; APD90 (-70) falls twice in diastole."""
    values = [-80, -80, 20, -10, 10, 10, -30, -75, -80, -50, -80, -80]
    seen = seen_of(values, levels=[20, 90])
    assert seen.repolarisation(20).x.array[0] == pytest.approx(5.25)
    assert seen.repolarisation(90).x.array[0] == pytest.approx(6 + 40 / 45)
    assert seen.count.x.array[0] == 1


def test_a_dome_above_the_spike_raises_the_peak():
    seen = seen_of([-80, 10, -20, 20, 20, -80, -80], levels=[50])
    assert seen.peak().x.array[0] == 20
    assert seen.repolarisation(50).x.array[0] == pytest.approx(4.5)


def test_what_begins_above_the_threshold_is_active_from_the_start_without_a_rest():
    seen = seen_of([0, 10, -70, -80, 20, -80], levels=[90], fixed=[-60.0], beats=2)
    assert seen.activation(0).x.array[0] == 0
    assert seen.peak(0).x.array[0] == 10
    assert np.isnan(seen.duration(90, beat=0).x.array[0])
    assert seen.duration(fixed=-60.0, beat=0).x.array[0] == pytest.approx(1 + 70 / 80)
    assert seen.rest().x.array[0] == -80
    assert seen.duration(90).x.array[0] == pytest.approx(0.9 + 0.6)


def test_a_node_that_stays_at_rest_has_no_beat():
    seen = seen_of([-80, -60, -80], levels=[90])
    assert seen.count.x.array[0] == 0
    for found in (seen.activation(), seen.peak(), seen.duration(90), seen.upstroke(0)):
        assert np.isnan(found.x.array).all()


def test_checkpoints_of_other_levels_are_refused(tmp_path):
    case_beats(MPI.COMM_SELF, str(tmp_path / "run"), end=2.0)
    with pytest.raises(CheckpointError, match="action potentials"):
        case_beats(MPI.COMM_SELF, str(tmp_path / "run"), resume=True, options={"beats": 3, "activation": "upstroke"})


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"levels": [0]}, "levels = 0.*> 0"),
        ({"levels": [100]}, "levels = 100.*< 100"),
        ({"levels": [90, 90.0]}, "levels.*different"),
        ({"fixed": [-60, -60]}, "fixed.*different"),
        ({"beats": 0}, "beats = 0"),
        ({"activation": "upstrok"}, "activation = 'upstrok'.*'upstroke'"),
        ({"keep": "all"}, "keep = 'all'"),
        ({"threshold": np.nan}, "threshold"),
    ],
)
def test_bad_arguments_are_refused(options, named):
    with pytest.raises(InputError, match=named):
        ActionPotentials("V", **({"threshold": -40.0} | options))


def test_what_is_not_watched_is_refused():
    seen = seen_of([-80, 20, -80], levels=[90])
    for ask, named in [
        (lambda: seen.duration(50), r"level = 50.*one of \[90.0\].*levels="),
        (lambda: seen.duration(), "level = None"),
        (lambda: seen.duration(90, fixed=1.0), "not both"),
        (lambda: seen.duration(fixed=-60.0), "fixed = -60.0"),
        (lambda: seen.diastolic_interval(90), "beats = 1.*>= 2"),
        (lambda: seen.activation(0.5), "beat = 0.5"),
    ]:
        with pytest.raises(InputError, match=named):
            ask()
    with pytest.raises(InputError, match="field = 'v'"):
        march(
            Given(mesh.create_interval(MPI.COMM_SELF, 1, [0.0, 1.0]), beats, step=1.0),
            TimeGrid(end=1.0, step=1.0), observers=[ActionPotentials("v", 0.0)],
        )  # fmt: skip
