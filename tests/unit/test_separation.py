"""Scale separation: the numbers, and what a run says of them."""

from __future__ import annotations

import dataclasses
import logging

import numpy as np
import pytest
from dolfinx import fem
from mpi4py import MPI

from homfem import runs
from homfem.bodies import box_mesh
from homfem.config import make_config
from homfem.macro.separation import FrontLength, ScaleSeparation
from homfem.macro.state import Units
from homfem.parameters import InputError
from homfem.runs.scales import cell_size

APART = ScaleSeparation(
    period=0.5, domain=30.0, front=10.0, diffusivity=220.0, effective=90.0, speed=11.0, exchange=2.0
)


def test_the_numbers():
    assert APART.epsilon == pytest.approx(0.5 / 30)
    assert APART.epsilon_front == pytest.approx(0.05)
    assert APART.cell_time == pytest.approx(0.25 / 220)
    assert APART.diffusion_ratio == pytest.approx((0.5 / 30) ** 2 * 90 / 220)
    assert APART.advection_ratio == APART.epsilon
    assert APART.quasi_steadiness == pytest.approx((0.25 / 220) / min(100 / 90, 10 / 11))
    assert APART.damkoehler == pytest.approx(2 * 0.25 / 220)
    assert APART.peclet == pytest.approx(11 * 0.5 / 220)
    assert APART.warnings() == ()
    bare = ScaleSeparation(period=1.0, domain=100.0)
    assert bare.report() == {"period": 1.0, "domain": 100.0, "epsilon": 0.01}
    assert bare.warnings() == ()


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"domain": 4.0}, "0.12 of the domain, 4 um"),
        ({"front": 3.0}, "0.17 of the length over which the solution varies, 3 um"),
        ({"speed": 2e4}, "relaxes in 2.3 of the time"),
        ({"exchange": 200.0}, "Damköhler number of the exchange is 0.23"),
        ({"speed": 600.0}, "Péclet number of the cell is 1.4"),
        ({"diffusivity": 1.0}, "Damköhler number of the exchange is 0.5"),
    ],
)
def test_what_is_not_apart_is_told_with_its_number(change, told):
    assert any(told in text for text in dataclasses.replace(APART, **change).warnings())


def test_numbers_out_of_range_are_refused():
    for name in ("period", "domain", "front", "diffusivity", "effective"):
        with pytest.raises(InputError, match=name):
            dataclasses.replace(APART, **{name: 0.0})
    with pytest.raises(InputError, match="exchange"):
        dataclasses.replace(APART, exchange=-1.0)


class Shown:
    """A field as a model shows it."""

    name, units = "shown", Units(length="um")

    def __init__(self, comm, profile):
        mesh = box_mesh(comm, [40.0, 2.0], [400, 2])
        self.comm, self.function = comm, fem.Function(fem.functionspace(mesh, ("Lagrange", 1)), name="u")
        self.function.interpolate(lambda x: profile(x[0]))

    def fields(self):
        return {"u": self.function}


def measured(comm, profile, step=1):
    model, front = Shown(comm, profile), FrontLength("u")
    front.begin(model, 0.0)
    front.show(model, step, 0.0)
    return front.length


def test_the_length_of_a_slope_of_a_front_and_of_nothing(on_ranks):
    on_ranks(case_lengths, ranks=(1, 2))


def case_lengths(comm):
    assert measured(comm, lambda x: 3.0 + 0.1 * x) == pytest.approx(40.0, rel=1e-9)
    # H int|u'| / int u'^2 of 1/(1 + exp(x/w)): 6 w
    assert measured(comm, lambda x: 1 / (1 + np.exp((x - 20.0) / 0.7))) == pytest.approx(4.2, rel=5e-3)
    assert measured(comm, lambda x: 0 * x + 2.0) is None
    assert measured(comm, lambda x: np.full_like(x, np.nan)) is None
    # A start is looked at where nothing comes after it, and what is nearly at rest is not.
    model, front = Shown(comm, lambda x: 0.1 * x), FrontLength("u")
    front.begin(model, 0.0)
    front.show(model, 0, 0.0)
    assert front.length == pytest.approx(40.0, rel=1e-9)
    kept = FrontLength("u")
    kept.begin(model, 0.0)
    kept.restore(front.series() if comm.rank == 0 else {})
    assert kept.length == front.length
    model.function.interpolate(lambda x: 1e-3 * np.tanh(x[0] - 20.0))
    front.show(model, 1, 0.0)
    assert front.length == pytest.approx(40.0, rel=1e-9)


def config(tmp_path, **changes):
    tables = {
        "macro": {
            "model": "reaction-diffusion",
            "domain": {"shape": "interval", "size": ["40 um"], "resolution": "0.5 um"},
            "species": {
                "u": {
                    "tensor": {"value": "2 um^2/s", "volume_fraction": 1.0},
                    "initial": {"type": "box", "min": ["0 um"], "max": ["8 um"], "value": 1.0},
                }
            },
            "reaction": {"name": "nagumo", "rate": "5 1/s", "threshold": 0.2},
            "time": {"end": "2 s", "step": "0.02 s"},
            "output": {"folder": str(tmp_path / "out"), "every": "0.5 s"},
        }
    }
    tables["macro"] |= changes
    return tables


def test_a_run_tells_of_scales_that_are_not_apart(tmp_path, caplog):
    with caplog.at_level(logging.WARNING, logger="homfem"):
        run = runs.macro(config(tmp_path, cell_size="2 um"))
    (text,) = [text for text in run.warnings if "period of the cell" in text]
    scales = run.report()["scales"]
    # A front of Nagumo's has the width sqrt(2 D/k), which makes 6 times that as its length: it begins steeper.
    assert 0.7 < scales["front"] / (6 * np.sqrt(2 * 2 / 5)) < 1.0
    assert scales["epsilon"] == pytest.approx(0.05)
    assert scales["epsilon_front"] == pytest.approx(2.0 / scales["front"])
    assert f"{scales['epsilon_front']:.2g} of the length over which the solution varies" in text
    assert text in caplog.text


def test_a_run_whose_scales_are_apart_warns_of_nothing(tmp_path):
    run = runs.macro(config(tmp_path, cell_size="20 nm"))
    assert run.report()["scales"]["epsilon"] == pytest.approx(5e-4)
    assert not any("period of the cell" in text for text in run.warnings)
    assert "scales" not in runs.macro(config(tmp_path)).report()


@pytest.mark.parametrize(
    ("cell", "size"),
    [
        ({"shape": "three-pipe", "edge": 0.2, "period": "0.5 um"}, 0.5),
        ({"shape": "three-pipe", "edge": 0.2, "period": ["0.5 um", "700 nm", "0.3 um"]}, 0.7),
        ({"shape": "three-pipe", "edge": 0.2}, None),
        ({"shape": "myocyte"}, 100.0),
        (None, None),
    ],
)
def test_the_size_of_a_cell(tmp_path, cell, size):
    tables = config(tmp_path)
    if cell is not None:
        phase = "er" if cell["shape"] == "three-pipe" else "intracellular"
        tables |= {"cell": cell, "effective": {"physics": "diffusion", "phases": {phase: "1 um^2/s"}}}
    made = make_config(tables)
    assert cell_size(made, made.macro, "um") == (None if size is None else pytest.approx(size))


def test_scales_are_of_one_communicator():
    assert measured(MPI.COMM_SELF, lambda x: 0.1 * x) == pytest.approx(40.0)
