"""Resolved membranes in a config: what a run gives, ranks and restarts, what is refused."""

from __future__ import annotations

import copy
import csv
import tomllib

import numpy as np
import pytest
from mpi4py import MPI

from homfem import runs
from homfem.cells import myocyte
from homfem.kinetics.ionic import ionic_kinetics
from homfem.limits import MemoryLimitError
from homfem.macro.emi import (
    CellProbes,
    Contact,
    EmiMethod,
    EmiProblem,
    Membrane,
    require_tiles,
    solve_emi,
    tiled_domain,
)
from homfem.macro.stimulus import Box, Stimulus
from homfem.parameters import InputError
from homfem.timestepping import Schedule, TimeGrid

STRIP = """
[cell]
shape = "myocyte"
dimension = 2
length = "96 um"
width = "14 um"
gap = ["4 um", "6 um"]
staggered = false
joined = "x"
end_patch = 0.4
resolution = 0.33

[macro]
model = "emi"
cells = [6, 1]
resistance = "0.05 kohm*mm^2"

[macro.phases]
intracellular = "0.5 S/m"
extracellular = "2 S/m"

[macro.membrane]
model = "gray-pathmanathan-2016"

[[macro.stimulus]]
type = "box"
min = ["0 mm", "0 mm"]
max = ["0.3 mm", "1 mm"]
amplitude = "150 uA/cm^2"
duration = "0.5 ms"

[[macro.probes]]
name = "near"
at = ["0.35 mm", "0.01 mm"]

[[macro.probes]]
name = "far"
at = ["0.55 mm", "0.01 mm"]

[macro.time]
end = "1.5 ms"
step = "0.05 ms"

[macro.output]
every = "0.5 ms"
threshold = "-30 mV"
"""
CONTRACT = {"times", "probes", "conserved", "seconds", "dofs", "iterations", "ranks", "versions", "config"}


def tables(**changes):
    """The strip with keys of [macro], or of [cell], in place of its own, or absent (None)."""
    document = copy.deepcopy(tomllib.loads(STRIP))
    for path, value in changes.items():
        keys = path.split("__")
        at = document if keys[0] == "cell" else document["macro"]
        for key in keys[:-1]:
            at = at.setdefault(key, {})
        if value is None:
            at.pop(keys[-1], None)
        else:
            at[keys[-1]] = value
    return document


def run(folder, **changes):
    return runs.macro(tables(**changes), folder=folder)


SPACES = {name: [name] for name in ("extracellular", "intracellular", "junction")}


def tissue():
    """The same in Python: its cell, and the problem."""
    cell = myocyte(96.0, 14.0, None, (4.0, 6.0), staggered=False, joined="x", end_patch=0.4, resolution=0.33)
    return cell, EmiProblem(
        domain=tiled_domain(MPI.COMM_WORLD, cell.raw, [6, 1], length=1e-3 * cell.length),
        spaces=SPACES,
        conductivities={"extracellular": 2.0, "intracellular": 0.5, "junction": 0.5},
        membrane=Membrane(
            kinetics=ionic_kinetics("gray-pathmanathan-2016"),
            capacitance=0.01,
            stimuli=[Stimulus(place=Box(low=(0, 0), high=(0.3, 1.0)), amplitude=1.5, schedule=Schedule(duration=0.5))],
        ),
        contacts=[Contact(first="intracellular", second="junction", resistance=0.025)],
    )


def test_a_strip_gives_what_the_contract_says_and_is_that_of_python(tmp_path):
    done = run(tmp_path)
    report = done.report()
    assert report.keys() >= CONTRACT
    assert report["warnings"] == []
    near, far = report["probes"]["near"], report["probes"]["far"]
    assert 0.0 < near["activation"] < far["activation"] < 1.5
    assert set(near) == {"V", "extracellular", "intracellular", "junction", "activation"}
    assert report["activation"]["share"] == 1.0
    with open(tmp_path / "output" / "probes.csv") as file:
        rows = list(csv.reader(file))
    assert rows[0][:2] == ["time (ms)", "near V (mV)"]
    assert len(rows) == 1 + 31
    for name in ("fields.xdmf", "activation.xdmf", "checkpoint"):
        assert (tmp_path / "output" / name).exists()
    probes = CellProbes({"near": (0.35, 0.01), "far": (0.55, 0.01)}, [6, 1])
    result = solve_emi(tissue()[1], TimeGrid(end=1.5, step=0.05), EmiMethod(), threshold=-30.0, observers=[probes])
    assert report["dofs"] == result.dofs
    assert near["V"] == pytest.approx(probes.values("near", "V").tolist(), abs=1e-7)
    assert far["extracellular"] == pytest.approx(probes.values("far", "extracellular").tolist(), abs=1e-7)
    # The potentials' means are consistent with V in each cell: the cell is isopotential to some millivolts.
    assert np.subtract(near["intracellular"], near["extracellular"]) == pytest.approx(np.array(near["V"]), abs=6.0)
    assert report["seconds"].keys() >= {"setup", "ODE", "potentials", "output", "total"}


def case_strip(comm, folder, end, resume):
    found = runs.macro(
        tables(time__end=end, cells=[3, 1], probes=[{"name": "a", "at": ["0.2 mm", "0.01 mm"]}]),
        folder=folder,
        comm=comm,
        resume=resume,
    ).report()
    return {"V": found["probes"]["a"]["V"], "outside": found["probes"]["a"]["extracellular"]}


@pytest.mark.mpi
def test_ranks_agree_and_a_run_goes_on_on_others(on_ranks, tmp_path):
    found = [
        on_ranks(case_strip, ranks=(number,), folder=str(tmp_path / str(number)), end="0.5 ms", resume=False)[0]
        for number in (1, 2, 3)
    ]
    for other in found[1:]:
        for name in ("V", "outside"):
            assert other[name] == pytest.approx(found[0][name], abs=1e-6)
    # What three ranks began, one ends; what one began, two.
    whole = on_ranks(case_strip, ranks=(1,), folder=str(tmp_path / "whole"), end="1 ms", resume=False)[0]
    for begun, other in ((3, 1), (1, 2)):
        given = {"folder": str(tmp_path / str(begun)), "end": "1 ms", "resume": True}
        (again,) = on_ranks(case_strip, ranks=(other,), **given)
        assert len(again["V"]) == 21
        assert again["V"] == pytest.approx(whole["V"], abs=1e-6)
        assert again["outside"] == pytest.approx(whole["outside"], abs=1e-6)


SHORT = {"time__end": "0.1 ms", "output__every": None, "output__threshold": None}


def test_faces_of_junctions_have_resistances_of_their_own(tmp_path):
    whole = run(tmp_path, **SHORT).report()["probes"]
    ends = run(tmp_path, resistance={"end-junctions": "0.05 kohm*mm^2"}, **SHORT).report()["probes"]
    assert ends["near"]["V"] == pytest.approx(whole["near"]["V"], abs=1e-9)
    none, least = (run(tmp_path, resistance=r, **SHORT).report()["probes"] for r in (None, "1e-9 kohm*mm^2"))
    assert none["near"]["V"] == pytest.approx(least["near"]["V"], abs=1e-4)
    assert none["near"]["V"][-1] > whole["near"]["V"][-1] + 0.01
    cell = {
        "cell__dimension": None,
        "cell__joined": "xy",
        "cell__side_patch": 0.3,
        "cell__length": "40 um",
        "cells": [2, 1, 1],
    }
    at = [{"name": "far", "at": ["0.06 mm", "0.01 mm", "0.01 mm"]}]
    box = [{"type": "box", "min": ["0 mm"] * 3, "max": ["0.044 mm"] * 3, "amplitude": "1 uA/mm^2", "duration": "1 ms"}]
    three = SHORT | cell | {"probes": at, "stimulus": box, "membrane__model": "mitchell-schaeffer"}
    found = {}
    for name, end, side in (("side", 0.05, 5.0), ("end", 5.0, 0.05)):
        given = {"end-junctions": f"{end} kohm*mm^2", "side-junctions": f"{side} kohm*mm^2"}
        found[name] = run(tmp_path, resistance=given, **three).report()["probes"]["far"]["intracellular"][-1]
    found["one"] = run(tmp_path, resistance="0.05 kohm*mm^2", **three).report()["probes"]["far"]["intracellular"][-1]
    # Along one row nothing flows through the sides; the ends let less through.
    assert found["side"] == pytest.approx(found["one"], abs=0.05)
    assert found["end"] < found["one"] - 0.2


def test_a_field_excites_the_tissue_at_its_cathode(tmp_path):
    pulse = {"duration": "1 ms", "current": "150 uA/mm^2"}
    electrodes = [
        {"boundary": "x-high", **pulse},
        {"boundary": "x-low", **pulse, "current": "-150 uA/mm^2"},
    ]
    found = run(tmp_path, stimulus=None, electrodes=electrodes, time__splitting="strang").report()
    assert found["V_range"]["largest"] > 0.0
    near, far = (np.array(found["probes"][name]["V"]) for name in ("near", "far"))
    assert near[10] > far[10] + 5.0
    volts = [{"boundary": "x-high", "ground": True}, {"boundary": "x-low", "potential": "-60 mV", "duration": "0.5 ms"}]
    pulsed = run(tmp_path, stimulus=None, electrodes=volts, time__end="1 ms").report()
    potential = np.array(pulsed["probes"]["near"]["extracellular"])
    on = np.array(pulsed["times"]) < 0.5 + 1e-9
    assert potential[on].max() < -20.0
    assert np.abs(potential[~on]).max() < 1.0
    silent = run(tmp_path, stimulus=None, electrodes=[{"boundary": "x-low", "ground": True}], **SHORT)
    assert any("macro.electrodes: no membrane becomes active" in text for text in silent.warnings)


WRONG = [
    ({"cell": None}, r"^cell = .*missing.*given, as a table \[cell\].*myocyte"),
    ({"cell": {"shape": "three-pipe", "edge": 0.2}}, r"^cell = .*'cytosol', 'er'.*the phases 'intracellular'"),
    ({"cell": {"shape": "laminate", "fractions": [0.5, 0.5]}}, r"^cell = .*layer1.*the phases 'intracellular'"),
    ({"cells": [0, 1]}, r"^macro\.cells\[0\] = 0: .*>= 1"),
    ({"cells": [6, 1, 1]}, r"^macro\.stimulus\.min|^macro\.cells = \[6, 1, 1\]: .*2 whole numbers"),
    ({"cells": [6]}, r"^macro\.cells = \[6\]: .*one per axis"),
    ({"cells": [10**6, 10**4]}, r"^macro\.cells = \[1000000, 10000\]: .*unknown potentials.*Take fewer cells"),
    ({"resistance": "0 kohm*mm^2"}, r"^macro\.resistance = "),
    ({"resistance": "3 mV"}, r"^macro\.resistance = '3 mV': "),
    ({"resistance": {"end-junction": "1 kohm*mm^2"}}, r"^macro\.resistance\.end-junction = .*'end-junctions'"),
    ({"resistance": {"side-junctions": "1 kohm*mm^2"}}, r"^macro\.resistance.*(end-junctions|meet in facets)"),
    ({"phases": {"intracellular": "0.5 S/m"}}, r"^macro\.phases\.extracellular = .*missing"),
    ({"phases__er": "0.5 S/m"}, r"^macro\.phases = 'er'|^macro\.phases.*'er'"),
    ({"membrane__model": "gray-pathmanathan"}, r"^macro\.membrane\.model = .*gray-pathmanathan-2016"),
    ({"membrane__area": "100 1/mm"}, r"^macro\.membrane\.area = "),
    ({"membrane__parameters": {"g_Naa": 1.0}}, r"^macro\.membrane\.parameters.*g_Naa"),
    ({"membrane__parameters": {"g_Na": {"a": "1 mS/uF"}}}, r"^macro\.membrane\.parameters\.g_Na = "),
    ({"membrane__capacitance": {"a": "1 uF/cm^2"}}, r"^macro\.membrane\.capacitance = .*whole membrane"),
    ({"electrodes": [{"boundary": "left", "ground": True}]}, r"^macro\.electrodes\.boundary = 'left'.*'x-low'"),
    ({"electrodes": [{"boundary": "x-low"}]}, r"^macro\.electrodes = .*one of potential, current"),
    (
        {"electrodes": [{"boundary": "x-low", "space": "intracellular", "ground": True}]},
        r"^macro\.electrodes = .*reaches this boundary",
    ),
    (
        {"electrodes": [{"boundary": "x-low", "ground": True, "duration": "1 ms"}]},
        r"^macro\.electrodes\.ground = .*without a schedule",
    ),
    ({"electrodes": [{"boundary": "x-low", "current": "1 uA/mm^2"}]}, r"^macro\.electrodes = .*sum zero.*Hold"),
    ({"probes": [{"name": "a", "region": "junction"}]}, r"^macro\.probes\[0\]\.at = .*missing"),
    ({"probes": [{"name": "a", "at": ["9 mm", "0.01 mm"]}]}, r"^macro\.probes\[0\]\.at = .*in the tissue, from"),
    ({"output__apd": [90]}, r"^macro\.output\.apd = .*absent"),
    ({"output__fields": ["W"]}, r"^macro\.output\.fields = 'W'"),
    ({"output__threshold": 0.5}, r"^macro\.output\.threshold = .*a voltage"),
    (
        {
            "stimulus": [
                {
                    "type": "ball",
                    "centre": ["5 mm", "5 mm"],
                    "radius": "1 um",
                    "amplitude": "1 uA/cm^2",
                    "duration": "1 ms",
                }
            ]
        },
        r"^macro\.stimulus\.radius = ",
    ),
    ({"step": 1}, r"^macro\.step"),
]


@pytest.mark.parametrize(("changes", "message"), WRONG)
def test_what_is_wrong_is_refused_under_its_key(tmp_path, changes, message):
    document = tables(**(SHORT | changes)) if "cell" not in changes else tables(**SHORT)
    if "cell" in changes:
        document.pop("cell")
        document |= {"cell": changes["cell"]} if changes["cell"] else {}
    with pytest.raises(InputError, match=message):
        runs.macro(document, folder=tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_too_many_cells_are_told_with_their_unknowns(monkeypatch):
    cell, problem = tissue()
    unknowns = require_tiles(cell.raw, SPACES, [6, 1])
    made = solve_emi(problem, TimeGrid(end=0.05, step=0.05)).dofs
    assert made <= unknowns < 1.2 * made
    monkeypatch.setenv("HOMFEM_MEMORY", "20 MB")
    with pytest.raises(MemoryLimitError, match=r"cells = \[600, 1\].*e\+05 unknown potentials"):
        require_tiles(cell.raw, SPACES, [600, 1])
