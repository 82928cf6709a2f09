"""Buffers of the calcium model from a config."""

from __future__ import annotations

import copy

import numpy as np
import pytest
from mpi4py import MPI

from homfem import runs
from homfem.config import make_config
from homfem.parameters import InputError
from homfem.runs.calcium import make_problem

DYE = {"total": "50 uM", "k_on": "100 1/(uM*s)", "k_off": "50 1/s", "ratio": 0.1}
STORE = {"total": "1 mM", "k_on": "0.1 1/(uM*s)", "dissociation": "0.65 mM", "phase": "er"}
LINE = {
    "macro": {
        "model": "calcium",
        "domain": {"shape": "interval", "size": ["20 um"], "resolution": "1 um"},
        "tensors": {
            "cytosol": {"value": "16 um^2/s", "volume_fraction": 0.8},
            "er": {"value": "2 um^2/s", "volume_fraction": 0.2},
            "interface_area": "2 1/um",
        },
        "kinetics": {"ip3": "0.3 uM"},
        "time": {"end": "0.1 s", "step": "5 ms"},
        "stimulus": {"rise": "0.8 uM", "type": "box", "min": ["0 um"], "max": ["6 um"]},
        "probes": [{"name": "end", "at": ["20 um"]}],
    }
}


def line(tmp_path=None, **buffers):
    tables = copy.deepcopy(LINE)
    if buffers:
        tables["macro"]["buffers"] = buffers
    if tmp_path is not None:
        tables["macro"]["output"] = {"folder": str(tmp_path / "out")}
    return tables


def test_a_run_with_buffers_keeps_all_calcium(tmp_path):
    rapid = {"total": "200 uM", "dissociation": "10 uM", "rapid": True}
    run = runs.macro(line(tmp_path, dye=DYE, store=STORE, endogenous=rapid))
    report = run.report()
    (conserved,) = report["conserved"]
    assert conserved["drift"] < 1e-13
    assert set(run.result.fields) == {"cytosol", "er", "dye", "store", "endogenous"}
    assert {"dye", "store", "endogenous"} <= set(report["probes"]["end"])
    # Of the rapid one c and b are in equilibrium at every node at the end.
    c, b = (run.result.fields[name].x.array for name in ("cytosol", "endogenous"))
    assert b == pytest.approx(200.0 * c / (10.0 + c), rel=1e-9)
    free = runs.macro(line(tmp_path))
    assert conserved["start"] > free.report()["conserved"][0]["start"]
    assert run.result.maximum[-1] > 0.0


def test_the_keys_become_buffers():
    config = make_config(line(dye=DYE, store=STORE | {"initial": "100 uM"}))
    dye, store = make_problem(config, config.macro, MPI.COMM_SELF).buffers
    assert (dye.buffer.name, dye.buffer.total, dye.buffer.k_on, dye.buffer.k_off) == ("dye", 50.0, 100.0, 50.0)
    assert (dye.ratio, dye.initial, dye.buffer.phase) == (0.1, None, "cytosol")
    assert (store.buffer.phase, store.buffer.total, store.initial) == (
        "er",
        pytest.approx(1000.0),
        pytest.approx(100.0),
    )
    assert store.buffer.k_off == pytest.approx(65.0)
    assert store.buffer.diffusivity == 0.0


def tissue(cytosol):
    return {
        "cell": {"shape": "three-pipe", "edges": [0.3, 0.4, 0.5], "resolution": 1 / 3, "period": "0.5 um"},
        "effective": {
            "physics": "diffusion",
            "degree": 1,
            "phases": {"cytosol": cytosol, "er": "110 um^2/s"},
        },
        "macro": {
            "model": "calcium",
            "domain": {"shape": "box", "size": ["4 um", "4 um", "4 um"], "resolution": "4 um"},
            "kinetics": {"ip3": "0.3 uM"},
            "time": {"end": "0.1 s", "step": "5 ms"},
            "buffers": {
                "dye": {key: value for key, value in DYE.items() if key != "ratio"} | {"diffusivity": "22 um^2/s"}
            },
        },
    }


def test_a_proportional_diffusivity_shares_the_cell_problem_of_calcium():
    config = make_config(tissue("220 um^2/s"))
    (dye,) = make_problem(config, config.macro, MPI.COMM_SELF).buffers
    assert dye.ratio == pytest.approx(0.1)
    assert dye.diffusion is None


def test_another_diffusivity_has_its_own_cell_problem():
    along = [
        ["300 um^2/s", "0 um^2/s", "0 um^2/s"],
        ["0 um^2/s", "220 um^2/s", "0 um^2/s"],
        ["0 um^2/s"] * 2 + ["9 um^2/s"],
    ]
    config = make_config(tissue(along))
    problem = make_problem(config, config.macro, MPI.COMM_SELF)
    (dye,) = problem.buffers
    assert dye.ratio is None
    shares = dye.diffusion.value.diagonal() / problem.cytosol.value.diagonal()
    assert np.ptp(shares) > 0.5
    config = make_config(tissue("220 um^2/s"))
    other = make_problem(config, config.macro, MPI.COMM_SELF)
    assert dye.diffusion.value == pytest.approx(0.1 * other.cytosol.value, rel=1e-7)


@pytest.mark.parametrize(
    ("name", "change", "key", "told"),
    [
        ("dye", {"k_on": "-1 1/(uM*s)"}, "dye.k_on", "> 0"),
        ("dye", {"k_off": "0 1/s"}, "dye.k_off", "> 0"),
        ("dye", {"total": "-50 uM"}, "dye.total", "> 0"),
        ("dye", {"total": "50 um"}, "dye.total", "concentration"),
        ("dye", {"phase": "nucleus"}, "dye.phase", "'cytosol', 'er'"),
        ("dye", {"initial": "51 uM"}, "dye.initial", "at most the total, 50 uM"),
        ("dye", {"dissociation": "1 uM"}, "dye.dissociation", "absent where both rates"),
        ("dye", {"k_off": None}, "dye.k_off", "two of k_on"),
        ("dye", {"diffusivity": "1 um^2/s"}, "dye.ratio", "absent where diffusivity"),
        ("dye", {"ratio": None, "diffusivity": "1 um^2/s"}, "dye.diffusivity", "given as ratio"),
        ("dye", {"ratio": None, "tensor": {"phase": "cytosol"}}, "dye.tensor", "unless the config has [cell]"),
        ("dye", {"ratio": None, "tensor": "none.json"}, "dye.tensor", "a file that exists"),
        ("dye", {"rapid": True, "initial": "1 uM"}, "dye.initial", "in equilibrium"),
        ("dye", {"regions": []}, "dye.regions", "not empty"),
        ("dye", {"regions": ["cleft"]}, "dye.regions", "cleft"),
        ("dye", {"kon": "1 1/(uM*s)"}, "dye.kon", "k_on"),
        ("cytosol", {}, "buffers", "names that differ"),
    ],
)
def test_what_is_wrong_is_told_by_its_key(tmp_path, name, change, key, told):
    table = {entry: value for entry, value in (DYE | change).items() if value is not None}
    with pytest.raises(InputError) as caught:
        runs.macro(line(tmp_path, **{name: table}), folder=tmp_path)
    assert caught.value.name.startswith("macro.buffers")
    assert key in caught.value.name
    assert told in str(caught.value)


def test_a_run_of_calcium_tells_its_scales(tmp_path):
    """The rate of the exchange is that of the pump, steepest where its Hill function is; of a large cell it is told."""
    tables = line(tmp_path)
    tables["macro"]["cell_size"] = "0.2 um"
    run = runs.macro(tables)
    scales = run.report()["scales"]
    assert scales["epsilon"] == pytest.approx(0.01)
    # At rest, c = k = 0.1 uM, the pump of v = 2.5 uM/s has the slope v/(2 k) = 12.5/s; the channels open against it.
    assert 3.0 < scales["damkoehler"] / (0.2**2 / 20.0) < 12.5
    assert scales["front"] == pytest.approx(10.0, rel=0.6)
    assert not any("cell" in text for text in run.warnings)
    tables["macro"]["cell_size"] = "1.5 um"
    assert any("of the length over which the solution varies" in text for text in runs.macro(tables).warnings)
