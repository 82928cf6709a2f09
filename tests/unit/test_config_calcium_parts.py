"""Configs of calcium with regions, fluxes, sources and IP3: what they give in Python, and what is refused by key."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest

from homfem import runs
from homfem.cli.run import described
from homfem.kinetics.currents import PER_PICOAMPERE
from homfem.parameters import ConvergenceError, FileError, InputError

CLEFT = {
    "model": "calcium",
    "domain": {
        "shape": "box",
        "size": ["12 um", "6 um"],
        "resolution": "1 um",
        "regions": {"cleft": {"type": "box", "min": ["0 um", "0 um"], "max": ["4 um", "6 um"]}},
    },
    "tensors": {
        "cytosol": {"value": "16 um^2/s", "volume_fraction": 0.8},
        "er": {"value": "2 um^2/s", "volume_fraction": 0.2},
        "interface_area": "2 1/um",
    },
    "regions": {"cleft": {"diffusivity": "220 um^2/s"}},
    "kinetics": {"ip3": "0.3 uM"},
    "time": {"end": "0.1 s", "step": "5 ms"},
}
PUMP = {"boundary": "left", "type": "pump", "largest": "2 uM*um/s", "half": "0.4 uM"}
CHANNEL = {"at": ["1 um", "3 um"], "rate": "4 uM*um^2/s", "duration": "20 ms", "name": "channel"}


def run(tmp_path, **change):
    return runs.macro({"macro": CLEFT | change}, folder=tmp_path)


def test_a_cleft_with_a_pump_a_channel_and_ip3(tmp_path):
    probes = [
        {"name": "beside", "at": ["1 um", "1 um"]},
        {"name": "cleft", "region": "cleft"},
        {"name": "tissue", "region": "tissue"},
    ]
    fluxes = [PUMP, {"boundary": "right", "flux": "0.1 uM um/s", "start": "50 ms"}]
    found = run(tmp_path, fluxes=fluxes, sources=[CHANNEL], ip3={"degradation": "2 1/s", "rest": "0 uM"}, probes=probes)
    report = json.loads(json.dumps(found.facts))
    assert f"brought: channel, {4.0 * 0.02:g} uM um^2" in described(found.facts)
    brought = {name: values[-1] for name, values in report["brought"].items()}
    assert brought["channel"] == pytest.approx(4.0 * 0.02, rel=1e-9)
    assert brought["right"] == pytest.approx(0.1 * 6.0 * 0.05, rel=1e-9)
    assert -2.0 * 6.0 * 0.1 < brought["pump at left"] < -1e-3
    assert report["drift"] < 1e-13
    assert report["total"][-1] - report["total"][0] == pytest.approx(sum(brought.values()), rel=1e-6)
    assert set(report["tensors"]["er"]) == {"tissue"}
    assert report["tensors"]["cytosol"]["cleft"]["volume_fractions"] == {"cytosol": 1.0}
    assert set(report["probes"]["beside"]) == {"cytosol", "ip3", "activation"}
    assert set(report["probes"]["cleft"]) == {"cytosol", "ip3", "activation"}
    assert report["probes"]["tissue"]["er"]["integral"][0] == pytest.approx(
        48.0 * found.result.er.x.array.max(), rel=0.1
    )
    assert report["units"]["ip3"] == "uM"
    ip3 = report["probes"]["cleft"]["ip3"]["mean"]
    assert ip3[-1] == pytest.approx(0.3 * math.exp(-0.2), rel=1e-4)
    assert (tmp_path / "output" / "fields-er-h.xdmf").is_file()


@pytest.mark.parametrize(
    ("time", "key", "allowed"),
    [
        ({"splitting": "none"}, "macro.time.splitting", "'implicit'"),
        ({"scheme": "tr-bdf2"}, "macro.time.scheme", "absent with a splitting"),
        ({"splitting": "implicit", "subcycles": 2}, "macro.time.subcycles", "1 where nothing is split"),
    ],
)
def test_nothing_is_split_when_asked(time, key, allowed, tmp_path):
    given = {"end": "20 ms", "step": "10 ms"}
    chosen = given | {"splitting": "implicit", "scheme": "crank-nicolson"}
    found = run(tmp_path, time=chosen, fluxes=[PUMP])
    assert found.facts["drift"] < 1e-13
    assert "implicit" in found.facts["seconds"]
    with pytest.raises(InputError, match=allowed) as caught:
        run(tmp_path, time=given | time)
    assert caught.value.name == key


def test_tissue_at_rest_stays_so_beside_a_cleft(tmp_path):
    result = run(tmp_path).result
    assert np.ptp(result.cytosol.x.array) < 1e-12
    assert np.ptp(result.er.x.array) < 1e-10


def test_regions_with_another_type_of_er_rest_together(tmp_path):
    """The transporters belong to the membrane: where there is more of it there are more of them; rest is one."""
    other = {
        "cytosol": {"value": "10 um^2/s", "volume_fraction": 0.6},
        "er": {"value": "3 um^2/s", "volume_fraction": 0.3},
        "interface_area": "5 1/um",
    }
    found = run(tmp_path, regions={"cleft": other})
    assert np.ptp(found.result.cytosol.x.array) < 1e-12
    assert found.result.drift < 1e-13
    assert set(found.facts["tensors"]["er"]) == {"cleft", "tissue"}


def test_the_regions_may_all_be_named(tmp_path):
    """Then the default tensors are not asked for."""
    own = {
        "cytosol": {"value": "16 um^2/s", "volume_fraction": 0.8},
        "er": {"value": "2 um^2/s", "volume_fraction": 0.2},
        "interface_area": "2 1/um",
    }
    tables = dict(CLEFT) | {"regions": {**CLEFT["regions"], "rest": own}}
    tables["domain"] = CLEFT["domain"] | {
        "regions": {
            **CLEFT["domain"]["regions"],
            "rest": {"type": "box", "min": ["4 um", "0 um"], "max": ["12 um", "6 um"]},
        }
    }
    tables["stimulus"] = {"rise": "0.3 uM", "centre": ["8 um", "3 um"], "radius": "2 um"}
    named = runs.macro({"macro": tables}, folder=tmp_path).result
    plain = run(tmp_path, stimulus=tables["stimulus"]).result
    assert named.cytosol.x.array == pytest.approx(plain.cytosol.x.array, rel=1e-12)


def test_a_nucleus_in_a_cell_body(tmp_path):
    """Three dimensions, a channel of a current, and the leak of the plasma membrane."""
    domain = {
        "shape": "cell-body",
        "size": ["12 um", "10 um", "8 um"],
        "resolution": "2 um",
        "regions": {"nucleus": {"centre": ["1 um", "0 um", "0 um"], "radius": "2.5 um"}},
    }
    leak = {"boundary": "surface", "type": "leak", "permeability": "1e-5 um/s", "outside": "2 mM"}
    opened = {"boundary": "surface", "type": "store-operated", "largest": "3 uM um/s", "half": "5 uM"}
    channel = {"at": ["-4 um", "0 um", "0 um"], "current": "0.01 pA"}
    regions = {"nucleus": {"diffusivity": "100 um^2/s"}}
    found = run(tmp_path, domain=domain, regions=regions, fluxes=[leak, opened], sources=[channel]).facts
    brought = {name: values[-1] for name, values in found["brought"].items()}
    assert brought["source"] == pytest.approx(0.01 * PER_PICOAMPERE * 0.1, rel=1e-9)
    area = 4.0 * math.pi * (((6 * 5) ** 1.6 + (6 * 4) ** 1.6 + (5 * 4) ** 1.6) / 3) ** (1 / 1.6)
    assert brought["leak at surface"] == pytest.approx(1e-5 * 2000 * area * 0.1, rel=0.12)
    share = 5.0**4 / (5.0**4 + 11.6**4)
    assert brought["store-operated at surface"] == pytest.approx(3.0 * share * area * 0.1, rel=0.15)
    assert found["drift"] < 1e-12


@pytest.mark.parametrize(
    ("kinetics", "states"),
    [
        ({"model": "li-rinzel-reversible", "parameters": "de-young-keizer"}, {"h"}),
        ({"model": "keizer-levine-reduced", "values": {"v3": "0.7 uM/s"}, "ip3": None}, None),
        ({"model": "de-young-keizer"}, None),
    ],
    ids=["reversible", "ryanodine", "eight-states"],
)
def test_other_kinetics_by_name(tmp_path, kinetics, states):
    """Published per volume of cytosol, they belong to the membrane here; beside a cleft calcium is kept."""
    given = {"ip3": "0.3 uM"} | kinetics
    found = run(tmp_path, kinetics={key: value for key, value in given.items() if value is not None})
    assert found.result.drift < 1e-13
    assert states is None or set(found.result.states) == states
    assert found.result.states
    assert np.ptp(found.result.total) <= 1e-12 * found.result.total[0]


def test_li_rinzel_by_name_is_that_of_the_tables(tmp_path):
    """The pump that stalls at an infinite ratio is Hill's: the same run by two doors."""
    stimulus = {"rise": "0.3 uM", "centre": ["8 um", "3 um"], "radius": "2 um"}
    initial = {"cytosol": "0.1 uM", "er": "11.5 uM"}
    plain = run(tmp_path, stimulus=stimulus, initial=initial).result
    values = {"stall": 1e12}
    kinetics = {"ip3": "0.3 uM", "model": "li-rinzel-reversible", "parameters": "trigger-wave", "values": values}
    other = run(tmp_path, stimulus=stimulus, initial=initial, kinetics=kinetics).result
    assert other.cytosol.x.array == pytest.approx(plain.cytosol.x.array, rel=1e-9)


def test_rates_are_keys_or_stand_in_values(tmp_path):
    """One door for all kinetics; that of single keys reads as before."""
    both = [{"ip3": "0.3 uM", "v3": "2 uM/s"}, {"ip3": "0.3 uM", "values": {"v3": "2e-3 mM/s"}}]
    ends = [run(tmp_path / str(k), kinetics=one).result.cytosol.x.array for k, one in enumerate(both)]
    assert ends[1] == pytest.approx(ends[0], rel=1e-12)
    assert np.abs(ends[0] - run(tmp_path).result.cytosol.x.array).max() > 1e-3


ODE = """
parameters("Cell", IP3 = ScalarParam(0.4, unit="uM"), v1 = ScalarParam(6.0, unit="1/s"))
states("Cell", Ca = ScalarParam(0.1, unit="uM"), CaER = ScalarParam(10.0, unit="uM"), h = ScalarParam(0.8, unit="1"))
expressions("Cell")
gate = IP3/(IP3 + 0.13)*Ca/(Ca + 0.08234)*h # 1
Q2 = 1.049*(IP3 + 0.13)/(IP3 + 0.9434) # uM
out = 0.25*(v1*gate**3 + 0.11)*(CaER - Ca) # uM/s
back = 0.9*Ca**2/(0.1**2 + Ca**2) # uM/s
dCa_dt = out - back
dCaER_dt = -(out - back)/0.25
dh_dt = 0.2*(Q2 - (Q2 + Ca)*h)
"""


def test_kinetics_from_a_file(tmp_path):
    """Those of De Young and Keizer with this geometry, c1 = 0.25: the same run by three doors."""
    (tmp_path / "cell.ode").write_text(ODE)
    ends = (("out", "er", "cytosol"), ("back", "cytosol", "er"))
    fluxes = [dict(zip(("name", "source", "target"), one, strict=True)) for one in ends]
    names = {"cytosol": "Ca", "er": "CaER", "ip3": "IP3"}
    given = {"file": "cell.ode", "names": names, "fluxes": fluxes, "time_unit": "s", "ip3": "0.3 uM"}
    initial = {"cytosol": "0.3 uM", "er": "10 uM"}
    ours = run(tmp_path, kinetics=given | {"values": {"v1": 5.0}}, initial=initial).result
    kinetics = {"ip3": "0.3 uM", "parameters": "de-young-keizer", "values": {"v1": "5 1/s"}}
    theirs = run(tmp_path / "other", kinetics=kinetics, initial=initial).result
    assert ours.cytosol.x.array == pytest.approx(theirs.cytosol.x.array, rel=1e-9)
    assert np.ptp(ours.cytosol.x.array) > 0.01
    (tmp_path / "bad").mkdir()
    (tmp_path / "bad" / "cell.ode").write_text(ODE)
    for change, named in (
        ({"file": "cel.ode"}, r"^macro\.kinetics\.file"),
        ({"names": {"cytosol": "Ca"}}, r"^macro\.kinetics\.names\.er"),
        ({"names": names | {"er": "CaE"}}, r"^macro\.kinetics.*'CaE'.*CaER"),
        ({"fluxes": []}, r"^macro\.kinetics\.fluxes"),
        ({"fluxes": [fluxes[0] | {"name": "ou"}]}, r"^macro\.kinetics\.fluxes.*'ou'.*out"),
        ({"model": "atri"}, r"^macro\.kinetics\.model.*absent where file"),
        ({"values": {"v9": 1.0}}, r"^macro\.kinetics\.values\.v9"),
        ({"time_unit": "m"}, r"time.*'m'"),
    ):
        with pytest.raises((InputError, FileError), match=named):
            run(tmp_path / "bad", kinetics=given | change)
    with pytest.raises(InputError, match=r"^macro\.kinetics\.fluxes = .*absent without a file"):
        run(tmp_path / "bad", kinetics={"ip3": "0.3 uM", "fluxes": fluxes})


def test_no_calcium_passes_a_barrier(tmp_path):
    """The cleft has a field of its own; a puff outside leaves it as it was, one inside stays there."""
    regions = {"cleft": {"diffusivity": "220 um^2/s", "barrier": True}}
    puff = {"at": ["8 um", "3 um"], "rate": "40 uM*um^2/s", "duration": "50 ms", "name": "puff"}
    found = run(tmp_path, regions=regions, sources=[puff])
    assert found.result.drift < 1e-13
    inside = found.result.fields["cleft"].x.array
    assert inside == pytest.approx(inside[0], rel=1e-12)
    assert found.result.cytosol.x.array.max() > 1.2 * inside[0]
    through = run(tmp_path / "open", sources=[puff]).result.cytosol
    x = through.function_space.tabulate_dof_coordinates()[:, 0]
    assert through.x.array[x < 3.9].min() > 1.002 * inside[0]
    assert (tmp_path / "output" / "fields-cleft.xdmf").is_file()


def test_a_checkpoint_of_another_pump_is_refused(tmp_path):
    from homfem.parameters import CheckpointError

    run(tmp_path, fluxes=[PUMP])
    tables = CLEFT | {"fluxes": [PUMP | {"largest": "3 uM*um/s"}]}
    with pytest.raises(CheckpointError, match="fluxes and sources"):
        runs.macro({"macro": tables}, folder=tmp_path, resume=True)


OTHER = {"cytosol": {"value": "1 um^2/s", "volume_fraction": 0.6}, "er": {"value": "1 um^2/s", "volume_fraction": 0.3}}


@pytest.mark.parametrize(
    ("change", "error", "named"),
    [
        ({"regions": {"nucleus": {"diffusivity": "1 um^2/s"}}}, InputError, r"^macro\.regions = 'nucleus'.*'cleft'"),
        ({"regions": {"cleft": {"diffusivity": "1 um"}}}, InputError, r"^macro\.regions\.cleft\.diffusivity = '1 um'"),
        ({"regions": {"cleft": {"diffusivity": "1 um^2/s", "er": "a.json"}}}, InputError,
         r"^macro\.regions\.cleft\.er = 'given'.*no ER"),
        ({"regions": {"cleft": {}}}, InputError, r"^macro\.regions\.cleft\.cytosol"),
        ({"regions": {"cleft": {"cytosol": "a.json"}}}, InputError, r"^macro\.regions\.cleft\.er"),
        ({"regions": {"cleft": OTHER | {"er": "none.json"}}}, FileError, r"^macro\.regions\.cleft\.er\.file = 'none"),
        ({"regions": {"cleft": OTHER | {"er": {"phase": "er"}}}}, InputError, r"^macro\.regions\.cleft\.er.*\[cell\]"),
        ({"regions": {"cleft": OTHER}}, InputError, r"^macro\.regions\.cleft\.interface_area"),
        ({"fluxes": [PUMP | {"boundary": "sky"}]}, InputError, r"^macro\.fluxes\.boundary = 'sky'.*'left'"),
        ({"fluxes": [PUMP, PUMP | {"boundary": "sky"}]}, InputError, r"^macro\.fluxes\[1\]\.boundary = 'sky'"),
        ({"fluxes": [PUMP, PUMP]}, InputError, r"name = \['pump at left'\].*differ"),
        ({"fluxes": [{"boundary": "left", "type": "pump", "largest": "1 uM um/s"}]}, InputError,
         r"^macro\.fluxes\.half"),
        ({"fluxes": [PUMP | {"flux": "1 uM um/s"}]}, InputError, r"^macro\.fluxes\.flux = .*largest and half"),
        ({"fluxes": [{"boundary": "left", "flux": "1 uM/s"}]}, InputError,
         r"^macro\.fluxes\.flux = '1 uM/s'.*per area"),
        ({"fluxes": [PUMP | {"type": "exchanger"}]}, InputError, r"^macro\.fluxes\.type = 'exchanger'"),
        ({"sources": [CHANNEL | {"at": ["1 um"]}]}, InputError, r"^macro\.sources\.at = .*2 lengths"),
        ({"sources": [CHANNEL | {"at": ["13 um", "1 um"]}]}, InputError,
         r"^macro\.sources\.at = .*a point of the domain"),
        ({"sources": [CHANNEL | {"radius": "1 um"}]}, InputError, r"^macro\.sources\.radius = '1 um'.*absent"),
        ({"sources": [CHANNEL | {"rate": "4 uM*um^3/s"}]}, InputError, r"^macro\.sources\.rate = .*uM\*um\^2/s"),
        ({"sources": [{"at": ["1 um", "3 um"], "current": "1 pA"}]}, InputError,
         r"^macro\.sources\.current = '1 pA'.*three dimensions"),
        ({"sources": [{"at": ["1 um", "3 um"]}]}, InputError, r"^macro\.sources\.current = .*or rate"),
        ({"sources": [{"rate": "1 uM*um^2/s", "centre": ["20 um", "3 um"], "radius": "1 um"}]}, InputError,
         r"macro\.sources\.radius = .*nearest one is"),
        ({"sources": [CHANNEL | {"field": "ip3"}]}, InputError, r"^macro\.sources\.field = 'ip3'.*macro\.ip3"),
        ({"sources": [CHANNEL | {"field": "er"}]}, InputError, r"^macro\.sources.*where the er is"),
        ({"ip3": {"diffusivity_ratio": 0}}, InputError, r"^macro\.ip3\.diffusivity_ratio = 0"),
        ({"ip3": {"degradation": "1 s"}}, InputError, r"^macro\.ip3\.degradation = '1 s'"),
        ({"kinetics": {"ip3": "0.3 uM", "model": "atri", "v1": "1 1/s"}}, InputError,
         r"^macro\.kinetics\.v1 = .*values"),
        ({"kinetics": {"ip3": "0.3 uM", "model": "de-young-keizer", "values": {"v7": 1}}}, InputError,
         r"^macro\.kinetics\.values\.v7"),
        ({"kinetics": {"ip3": "0.3 uM", "model": "de-young-keizer", "values": {"v3": "1 1/s"}}}, InputError,
         r"^macro\.kinetics\.values\.v3 = '1 1/s'"),
        ({"kinetics": {"ip3": "0.3 uM", "v3": "1 uM/s", "values": {"v3": "1 uM/s"}}}, InputError,
         r"^macro\.kinetics\.values\.v3 = .*absent where v3 is given"),
        ({"kinetics": {"ip3": "0.3 uM", "values": {"c1": 0.2}}}, InputError, r"^macro\.kinetics\.values\.c1 = 0.2"),
        ({"kinetics": {"model": "atri"}}, InputError, r"^macro\.kinetics\.ip3"),
        ({"regions": {"cleft": {key: CLEFT["tensors"][key] for key in ("cytosol", "er")} | {"barrier": True}}},
         InputError, r"^macro\.regions\.cleft\.barrier = True"),
        ({"kinetics": {"ip3": "0.3 uM", "parameters": "mine"}}, InputError, r"^macro\.kinetics\.parameters = 'mine'"),
        ({"fluxes": [{"boundary": "left", "flux": "-60 uM um/s"}]}, ConvergenceError,
         r"cytosol = -.* uM < 0 at t = 0\.00.* s, at \(0, "),
    ],
)  # fmt: skip
def test_bad_configs_are_refused_by_key(tmp_path, change, error, named):
    with pytest.raises(error, match=named):
        run(tmp_path, **change)
    assert error is ConvergenceError or not list(tmp_path.iterdir())  # nothing is written


def test_a_region_that_meets_no_other_is_refused(tmp_path):
    """ER beside nothing: an interface that bounds nothing."""
    regions = {"cleft": {"type": "box", "min": ["0 um", "0 um"], "max": ["12 um", "6 um"]}}
    with pytest.raises(InputError, match=r"^macro\.regions = \['cleft'\].*some region has ER"):
        run(tmp_path, domain=CLEFT["domain"] | {"regions": regions})
