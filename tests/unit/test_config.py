"""Configs: what is read, and that everything else is refused with the path of its key, its value, what is allowed."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from homfem.config import load_config, make_config, set_values
from homfem.config.models.macro_table import Taken
from homfem.kinds import DIFFUSION
from homfem.parameters import FileError, InputError, UnitError
from homfem.runs.meshless import block_medium
from homfem.runs.physics import solve_effective
from homfem.runs.shapes import image_of, make_cell

ER = {
    "cell": {"shape": "three-pipe", "edge": 0.1, "period": "1 um", "resolution": 0.05},
    "effective": {"physics": "diffusion", "tolerance": 5e-3, "phases": {"er": "250 um^2/s"}},
}
WAVE = {
    "macro": {
        "model": "calcium",
        "domain": {"shape": "box", "size": ["60 um", "0.04 mm"], "resolution": "2 um"},
        "tensors": {
            "cytosol": {"value": "16 um^2/s", "volume_fraction": 0.8},
            "er": {"value": [["2 um^2/s", "0 um^2/s"], ["0 um^2/s", "1e-12 m^2/s"]], "volume_fraction": 0.2},
            "interface_area": "2 1/um",
        },
        "kinetics": {"ip3": "300 nM", "v1": "10 1/s", "k3": "200 nM"},
        "time": {"end": "1 s", "step": "20 ms"},
        "stimulus": {"rise": "0.8 uM", "centre": ["0 um", "0 um"], "radius": "20 um"},
        "output": {"every": "0.1 s"},
    }
}


def test_cell_and_coefficients_are_read():
    config = make_config(ER)
    assert config.cell.edge == 0.1
    assert [(p.value, p.unit) for p in config.cell.period] == [(1.0, "um")]
    assert config.effective.tolerance == 5e-3
    assert config.effective.phases["er"].to("m^2/s") == pytest.approx(250e-12, rel=1e-14)
    assert config.document == ER


def test_defaults():
    config = make_config({"cell": {"shape": "three-pipe", "edges": [0.1, 0.2, 0.3]}})
    assert [(p.value, p.unit) for p in config.cell.period] == [(1.0, "m")]
    assert config.cell.section == "square"
    assert make_config(ER).effective.boundary == "periodic"
    assert make_config(ER).effective.method == "finite-element"


def test_periods_come_in_the_unit_of_the_first():
    cell = make_config(set_values(ER, ['cell.period=["1 um", "2e-3 mm", "500 nm"]'])).cell
    assert [p.unit for p in cell.period] == ["um"] * 3
    assert [p.value for p in cell.period] == pytest.approx([1.0, 2.0, 0.5], rel=1e-14)


def test_matrix_of_a_coefficient_is_in_the_unit_of_its_first_entry():
    rows = '[["2 um^2/s","1e-12 m^2/s","0 m^2/s"],["1 um^2/s","2 um^2/s","0 m^2/s"],["0 m^2/s","0 m^2/s","3 um^2/s"]]'
    coefficient = make_config(set_values(ER, [f"effective.phases.er={rows}"])).effective.phases["er"]
    assert coefficient.unit == "um^2/s"
    expected = np.array([[2e-3, 1e-3, 0], [1e-3, 2e-3, 0], [0, 0, 3e-3]])
    assert np.array(coefficient.to("um^2/ms")) == pytest.approx(expected, rel=1e-13)


class Recorded:
    """Stands for the libraries: keeps the arguments that a config leads to."""

    def __init__(self, monkeypatch):
        import homfem
        import homfem.cells

        monkeypatch.setattr(homfem.cells, "three_pipe", self.call)
        monkeypatch.setattr(homfem.cells, "from_file", self.call)
        monkeypatch.setattr(homfem, "solve_diffusion", self.call, raising=False)

    def call(self, *arguments, **options):
        self.arguments, self.options = arguments, options
        return self

    phase_names = ("er", "cytosol")
    dimension = 3


def test_coefficients_go_on_in_the_unit_of_the_first_phase(monkeypatch):
    recorded = Recorded(monkeypatch)
    config = make_config(set_values(ER, ["effective.phases.cytosol=0.22 um^2/ms", "effective.max_dofs=1000"]))
    solve_effective(config.effective, recorded, config=config.document)
    assert recorded.arguments[1] == {"er": 250.0, "cytosol": pytest.approx(220.0, rel=1e-13)}
    assert recorded.options["unit"] == "um^2/s"
    assert recorded.options["tolerance"] == 5e-3
    assert recorded.options["max_dofs"] == 1000
    assert recorded.options["config"] == config.document
    assert "degree" not in recorded.options


def test_one_phase_alone(monkeypatch):
    recorded = Recorded(monkeypatch)
    config = make_config(set_values(ER, ["effective.phases.cytosol=220 um^2/s", "effective.degree=3"]))
    solve_effective(config.effective, recorded, config={}, only=["cytosol"])
    assert recorded.arguments[1] == {"cytosol": 220.0}
    assert recorded.options["degree"] == 3


def test_cell_goes_on_in_the_unit_of_its_period(monkeypatch, tmp_path):
    recorded = Recorded(monkeypatch)
    make_cell(make_config(set_values(ER, ["cell.period=500 nm"])).cell, None, tmp_path)
    assert recorded.arguments == ()
    assert recorded.options == {
        "edges": 0.1, "section": "square", "resolution": 0.05, "period": 500.0, "length_unit": "nm", "comm": None
    }  # fmt: skip


def test_files_are_sought_from_the_folder_of_the_config(monkeypatch, tmp_path):
    recorded = Recorded(monkeypatch)
    (tmp_path / "hex.geo").write_text("")
    (tmp_path / "a.toml").write_text('[cell]\nfile = "hex.geo"\nperiod = ["1 um", "2 um"]\ndimension = 2\n')
    config = load_config(tmp_path / "a.toml", needed=["cell"])
    make_cell(config.cell, None, config.folder)
    assert recorded.arguments == (tmp_path / "hex.geo",)
    assert recorded.options["period"] == [1.0, 2.0]
    assert recorded.options["dimension"] == 2


def test_phases_of_a_file_are_checked_when_it_is_read(tmp_path):
    (tmp_path / "hex.geo").write_text("")
    document = ER | {"cell": {"file": "hex.geo"}}
    config = make_config(set_values(document, ["effective.phases.matrx=1 m^2/s"]), folder=tmp_path)
    with pytest.raises(
        InputError, match=r"effective\.phases\.matrx = '1 m\^2/s'.*er, matrix.*'effective.phases.matrix'"
    ):
        config.effective.check(("er", "matrix"), 2)


BAD_CELLS = [
    ("cell.edge=1.0", ["cell.edge = 1.0", "> 0 and < 1", "fraction of the period"]),
    ("cell.edge=0", ["cell.edge = 0", "> 0 and < 1"]),
    ("cell.edge=nan", ["cell.edge = nan", "finite"]),
    ("cell.edge=-inf", ["cell.edge = -inf", "finite"]),
    ("cell.edge=0.1 um", ["cell.edge = '0.1 um'", "a finite number"]),
    ("cell.edge=" + "9" * 400, ["cell.edge = 999", "64 bits"]),
    ("cell.edg=0.2", ["cell.edg = 0.2", "known keys shape, edge", "'cell.edge'"]),
    ("cell.edges=[0.1, 0.2, 0.3]", ["cell.edges", "absent where edge is given"]),
    ("cell={shape='three-pipe', edges=[0.1, 0.2, 1.3]}", ["cell.edges[2] = 1.3", "< 1"]),
    ("cell={shape='sphere-array', fraction=0.3, mirrors='x'}", ["cell.mirrors = 'x'", "'none', 'auto'"]),
    ("cell={shape='three-pipe', edges=[0.1, 0.2]}", ["cell.edges = [0.1, 0.2]", "a list of 3 numbers"]),
    (
        "cell={shape='slit', aperture=0.5, period=[['1 m', '0 m'], ['2 m', '0 m']]}",
        ["cell.period = [['1 m', '0 m'], ['2 m', '0 m']]", "linearly independent"],
    ),
    ("cell={shape='three-pipe'}", ["cell.edge = (missing)", "edges = [a, b, c]"]),
    ("cell={edge=0.1}", ["cell.shape = (missing)", "'three-pipe'", "cell.file"]),
    ("cell={shap='three-pipe'}", ["cell.shap = 'three-pipe'", "'cell.shape'"]),
    ("cell.shape=tree-pipe", ["cell.shape = 'tree-pipe'", "one of 'three-pipe'", "Did you mean 'three-pipe'?"]),
    ("cell.shape=foam", ["cell.shape = 'foam'", "one of 'three-pipe'"]),
    ("cell.shape=[1]", ["cell.shape = [1]", "one of 'three-pipe'"]),
    ("cell.file=cell.geo", ["cell.file = 'cell.geo'", "absent where a shape is given"]),
    ("cell={file='none.geo'}", ["cell.file = 'none.geo'", "a file that exists"]),
    ("cell={file='cell.stl'}", ["cell.file = 'cell.stl'", "a file that exists"]),
    ("cell={file='a.msh', resolution=0.1}", ["cell.resolution = 0.1", "absent for a .msh file"]),
    ("cell={file='a.geo', dimension=2, period=['1 m', '1 m', '1 m']}", ["cell.period", "one length, or 2"]),
    ("cell={file='a.geo', section='round'}", ["cell.section = 'round'", "known keys file, period"]),
    ("cell.period=1", ["cell.period = 1", "such as '1 um'", "no unit"]),
    ("cell.period=1 s", ["cell.period = '1 s'", "a length", "[time]"]),
    ("cell.period=-1 um", ["cell.period = '-1 um'", "> 0"]),
    ("cell.period=['1 um', '1 um']", ["cell.period", "one length, or 3"]),
    ("cell.period=['1 um', 2, '1 um']", ["cell.period[1] = 2", "a length", "no unit"]),
    ("cell.section=oval", ["cell.section = 'oval'", "'square', 'round'"]),
    ("cell.resolution=0.5", ["cell.resolution = 0.5", "<= 0.333333"]),
    ("cell.resolution='fine'", ["cell.resolution = 'fine'", "without unit"]),
    ("cell.dimension=2", ["cell.dimension = 2", "three-dimensional"]),
    ("cell=3", ["cell = 3", "a table"]),
    ("cel.edge=1", ["cel = {'edge': 1}", "cell, effective, macro", "'cell'"]),
]
BAD_EFFECTIVE = [
    ("effective.phases.err=1 um^2/s", ["effective.phases.err = '1 um^2/s'", "er, cytosol", "'effective.phases.er'"]),
    ("effective.phases.er=250", ["effective.phases.er = 250", "a diffusivity as a string", "no unit"]),
    ("effective.phases.er=250 um", ["effective.phases.er = '250 um'", "'250 um^2/s'", "[length]"]),
    ("effective.phases.er=-250 um^2/s", ["effective.phases.er = '-250 um^2/s'", "> 0"]),
    ("effective.phases.er=nan um^2/s", ["effective.phases.er = 'nan um^2/s'", "finite"]),
    ("effective.phases.er=[['1 m^2/s', '0 m^2/s'], ['0 m^2/s', '1 m^2/s']]", ["effective.phases.er = ", "3x3 matrix"]),
    (
        "effective.phases.er=[['1 m^2/s', '2 m^2/s'], ['2 m^2/s', '1 m^2/s']]",
        ["effective.phases.er = ", "eigenvalue is -1"],
    ),
    (
        "effective.phases.er=[['1 m^2/s', '2 m^2/s'], ['0 m^2/s', '9 m^2/s']]",
        ["effective.phases.er = ", "not symmetric"],
    ),
    ("effective.phases.er=[['1 m^2/s', 0], ['0 m^2/s', '1 m^2/s']]", ["effective.phases.er[0][1] = 0", "no unit"]),
    ("effective.phases.er=[['1 m^2/s']]", ["effective.phases.er = [['1 m^2/s']]", "2x2 or 3x3"]),
    ("effective.phases={}", ["effective.phases = {}", "one key per phase"]),
    ("effective.phases=er", ["effective.phases = 'er'", "a table"]),
    ("effective={physics='diffusion'}", ["effective.phases = (missing)", "[effective.phases]"]),
    ("effective={phases={}}", ["effective.physics = (missing)", "'diffusion'"]),
    ("effective={phyics='diffusion'}", ["effective.phyics", "'effective.physics'"]),
    ("effective.physics=elastic", ["effective.physics = 'elastic'", "'elasticity'"]),
    ("effective.physics=elasticity", ["effective.phases.er = '250 um^2/s'", "young"]),
    ("effective.tolerence=1e-2", ["effective.tolerence = 0.01", "'effective.tolerance'"]),
    ("effective.tolerance=1.0", ["effective.tolerance = 1.0", ">= 1e-13 and < 1"]),
    ("effective.tolerance=1e-300", ["effective.tolerance = 1e-300", ">= 1e-13 and < 1. Round-off alone leaves"]),
    ("effective.tolerance=1 %", ["effective.tolerance = '1 %'", "a pure number, without unit"]),
    ("effective.tolerance=true", ["effective.tolerance = True", "a finite number"]),
    ("effective.max_dofs=1.5", ["effective.max_dofs = 1.5", "a whole number >= 1"]),
    ("effective.degree=0", ["effective.degree = 0", ">= 1"]),
    ("effective.method=grid", ["effective.method = 'grid'", "'finite-element'"]),
    ("effective.membranes={'er|cytosol'='1 um/s'}", ["effective.membranes = 'er|cytosol'", "two phases"]),
    ("effective.membranes={er='1 um/s'}", ["effective.membranes = 'er'", "a bar between"]),
    ("effective.membranes={'er|er'='1 um^2/s'}", ["effective.membranes.er|er = '1 um^2/s'", "permeability"]),
    ("effective.membranes={'er|er'='0 um/s'}", ["effective.membranes.er|er", "> 0", "insulates"]),
    ("effective.membranes={}", ["effective.membranes = {}", "'fibre|matrix'"]),
    ("effective.symmetry=octant", ["effective.symmetry = 'octant'", "'auto'"]),
    ("effective.boundary=affin", ["effective.boundary = 'affin'", "'affine'"]),
    ("effective.boundary=affine", ["effective.tolerance = 0.005", "absent with boundary 'affine'"]),
]
BAD_MACRO = [
    ("macro.model=cardio", ["macro.model = 'cardio'", "'calcium'"]),
    ("macro={modell='calcium'}", ["macro.modell", "'macro.model'"]),
    (
        "macro.time.step=30 ms",
        ["macro.time.step = '30 ms'", "divides the end, 1 s", "30.303030303030305 ms' (33 steps)"],
    ),
    ("macro.time.step=0.02", ["macro.time.step = 0.02", "a time", "no unit"]),
    ("macro.time.stp=1", ["macro.time.stp = 1", "'macro.time.step'"]),
    ("macro.time={end='1 s'}", ["macro.time.step = (missing)", "'20 ms'"]),
    ("macro.time.splitting=lie", ["macro.time.splitting = 'lie'", "'godunov', 'strang'"]),
    ("macro.time.subcycles=0", ["macro.time.subcycles = 0", ">= 1"]),
    ("macro.time=3", ["macro.time = 3", "a table"]),
    ("macro.initial.cytosol=-0.1 uM", ["macro.initial.cytosol = '-0.1 uM'", ">= 0"]),
    ("macro.initial.cytosol=0.1 uM", ["macro.initial.er = (missing)", "Give both"]),
    ("macro.initial.er=1 um", ["macro.initial.er = '1 um'", "a concentration"]),
    ("macro.output.every=30 ms", ["macro.output.every = '30 ms'", "whole number of steps of 20 ms"]),
    ("macro.output.checkpoint_every=1 ms", ["macro.output.checkpoint_every = '1 ms'", "steps of 20 ms"]),
    ("macro.output.format=vtk", ["macro.output.format = 'vtk'", "'xdmf', 'bp'"]),
    ("macro.stimulus.centre=['0 um', '0 um', '0 um']", ["macro.stimulus.centre", "2 lengths, as the domain"]),
    (
        "macro.stimulus={type='box', min=['2 um', '0 um'], max=['1 um', '9 um'], rise='1 uM'}",
        ["macro.stimulus.max = ['1 um', '9 um']", "on no axis less than min"],
    ),
    ("macro.output.threshold_field='er'", ["macro.output.threshold_field = 'er'", "absent without a threshold"]),
    ("macro.stimulus.centre=['0 um', 0]", ["macro.stimulus.centre[1] = 0", "no unit"]),
    ("macro.stimulus={rise='1 uM'}", ["macro.stimulus.centre = (missing)", "centre of the ball"]),
    ("macro.domain.shape=bal", ["macro.domain.shape = 'bal'", "'interval', 'box', 'cell-body'"]),
    ("macro.domain.size=['1 um', 2]", ["macro.domain.size[1] = 2", "no unit"]),
    ("macro.domain.resolution=2", ["macro.domain.resolution = 2", "no unit"]),
    ("macro.domain={}", ["macro.domain.shape = (missing)", "'interval', 'box', 'cell-body'"]),
    ("macro.domain={file='a.msh'}", ["macro.domain.unit = (missing)"]),
    ("macro.domain={file='a.msh', unit='s'}", ["macro.domain.unit = 's'", "a unit of a length"]),
    ("macro.domain={file='a.msh', unit='um'}", ["macro.domain.file = 'a.msh'", "a file that exists"]),
    ("macro.domian=1", ["macro.domian = 1", "'macro.domain'"]),
    ("macro.tensors.er.volume_fraction=1.2", ["macro.tensors.er.volume_fraction = 1.2", "<= 1"]),
    ("macro.tensors.er.value=2", ["macro.tensors.er.value = 2", "no unit"]),
    ("macro.tensors.er=er.json", ["macro.tensors.er.file = 'er.json'", "a file that exists"]),
    ("macro.tensors.er=2 um^2/s", ["macro.tensors.er = '2 um^2/s'", "a JSON file"]),
    ("macro.tensors.er={phase='er'}", ["macro.tensors.er = (missing)", "[cell] and [effective]"]),
    ("macro.tensors.er={phas='er'}", ["macro.tensors.er.phas", "Did you mean"]),
    ("macro.tensors.er={file='a', phase='er'}", ["macro.tensors.er", "exactly one of the keys"]),
    ("macro.tensors.interface_area=2 um", ["macro.tensors.interface_area = '2 um'", "an area per volume"]),
    ("macro.kinetics.v1=12 uM/s", ["macro.kinetics.v1 = '12 uM/s'", "a rate"]),
    ("macro.kinetics.ip3=0.3", ["macro.kinetics.ip3 = 0.3", "a concentration", "no unit"]),
    ("macro.kinetics.density=-1", ["macro.kinetics.density = -1", ">= 0"]),
    ("macro.kinetics.parameters=mine", ["macro.kinetics.parameters = 'mine'", "'trigger-wave', 'de-young-keizer'"]),
    ("macro.kinetics={}", ["macro.kinetics.ip3 = (missing)", "'0.3 uM'"]),
]


@pytest.mark.parametrize(
    ("document", "assignment", "fragments"),
    [pytest.param(ER, *case, id=case[0][:60]) for case in BAD_CELLS + BAD_EFFECTIVE]
    + [pytest.param(WAVE, *case, id=case[0][:60]) for case in BAD_MACRO],
)
def test_refusals_name_path_value_and_what_is_allowed(document, assignment, fragments, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # the example of the README leaves files behind where it runs
    make_config(document)
    with pytest.raises(InputError) as caught:
        make_config(set_values(document, [assignment]))
    message = str(caught.value)
    for fragment in fragments:
        assert fragment in message
    assert "\n" not in message


def test_units_have_their_own_error():
    with pytest.raises(UnitError):
        make_config(set_values(ER, ["cell.period=1"]))


def test_unknown_key_comes_before_the_missing_one_that_it_was_meant_to_be():
    with pytest.raises(InputError, match=r"macro\.kinetics\.ip = .*'macro\.kinetics\.ip3'"):
        make_config(set_values(WAVE, ["macro.kinetics={ip='0.3 uM'}"]))


@pytest.mark.parametrize("name", ["cell", "effective", "macro"])
def test_tables_that_are_needed(name):
    with pytest.raises(InputError, match=rf"{name} = \(missing\): it must be given, as a table \[{name}\]"):
        make_config({}, needed=[name])


def test_macro_is_read():
    table = make_config(WAVE).macro
    rates = table.kinetics.rates()
    assert (rates.v1, rates.v3, rates.c0) == (10.0, 2.5, 3.0)  # one given, two of the named set
    assert rates.k3 == pytest.approx(0.2, rel=1e-14)
    assert table.domain.sides() == pytest.approx([60.0, 40.0], rel=1e-14)
    assert table.time.grid().steps == 50
    assert (table.steps("every"), table.steps("checkpoint_every")) == (5, 50)
    minutes = make_config(set_values(WAVE, ['macro.time={end="0.05 min", step="20 ms"}'])).macro.time.grid()
    assert (minutes.end, minutes.step) == pytest.approx((3.0, 0.02), rel=1e-14)
    wanted = Taken(phase="er", kind=DIFFUSION, unit="um^2/s", dimension=2, folder=Path(), compute=None)
    tensor = table.tensors.er.tensor(wanted)
    assert tensor.value == pytest.approx(np.diag([2.0, 1.0]), rel=1e-13)
    assert (tensor.unit, tensor.active_fraction) == ("um^2/s", 0.2)


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("v1", "450 1/min", 7.5),
        ("v2", "0.00013 1/ms", 0.13),
        ("v3", "1.7 nM/ms", 1.7),
        ("k3", "0.15 mmol/m^3", 0.15),
        ("a2", "0.4 1/(nM*min)", 400 / 60),
        ("d1", "170 nM", 0.17),
        ("d2", "0.0019 mM", 1.9),
        ("d3", "0.83 mmol/m^3", 0.83),
        ("d5", "90 pmol/cm^3", 0.09),
        ("c0", "2.5e-6 M", 2.5),
    ],
)
def test_kinetic_parameters_are_converted_and_the_others_stay(name, text, value):
    from dataclasses import asdict

    from homfem.kinetics import DE_YOUNG_KEIZER

    kinetics = {"ip3": "0.3 uM", "parameters": "de-young-keizer", name: text}
    found = asdict(make_config(WAVE | {"macro": WAVE["macro"] | {"kinetics": kinetics}}).macro.kinetics.rates())
    assert found.pop(name) == pytest.approx(value, rel=1e-12)
    assert found == {key: number for key, number in asdict(DE_YOUNG_KEIZER).items() if key != name}


def test_tensors_come_from_the_cell_where_there_is_one():
    document = ER | set_values(WAVE, ["macro.tensors={}"])
    with pytest.raises(InputError, match=r"macro\.tensors\.cytosol = 'cytosol'.*\[effective.phases\]: er"):
        make_config(document)
    table = make_config(set_values(document, ["effective.phases.cytosol=220 um^2/s"])).macro
    assert (table.tensors.cytosol.phase, table.tensors.er.phase) == ("cytosol", "er")


@pytest.mark.parametrize(
    ("assignment", "value"),
    [
        ("a.b=0.2", 0.2),
        ("a.b=2 um", "2 um"),
        ("a.b='2 um'", "2 um"),
        ("a.b = [1, 2]", [1, 2]),
        ("a.b=x=y", "x=y"),
        ("a.b=", ""),
        ("a.b=true", True),
        ("a.b=1\nc=2", "1\nc=2"),
    ],
)
def test_set_takes_toml_values_and_else_strings(assignment, value):
    document = {"a": {"c": 1}}
    assert set_values(document, [assignment]) == {"a": {"c": 1, "b": value}}
    assert document == {"a": {"c": 1}}


def test_set_makes_tables_takes_quoted_keys_and_goes_in_order():
    assert set_values({}, ['a."b.c".d=1', "a.e=2", "a.e=3"]) == {"a": {"b.c": {"d": 1}, "e": 3}}


@pytest.mark.parametrize(
    ("assignment", "message"),
    [
        ("nokey", "of the form path.to.key=value"),
        ("a b=1", "a path as TOML writes it"),
        ("=1", "a path as TOML writes it"),
        ("a..b=1", "a path as TOML writes it"),
        ("a.b.c=1", "a.b is a value, not a table"),
    ],
)
def test_bad_assignments_are_refused(assignment, message):
    with pytest.raises(InputError, match=r"^--set = ") as caught:
        set_values({"a": {"b": 1}}, [assignment], name="--set")
    assert assignment in str(caught.value)
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("text", "line", "content"),
    [
        (b'[cell]\nshape = "three-pipe"\nedge 0.1\n', "line 3", "'edge 0.1'"),
        (b"[cell\n", "line 1", "'[cell'"),
        (b"[cell]\nedge = 1\nedge = 2\n", "line 3", "'edge = 2'"),
        (b"[cell]\nedge =", "line 2", "'edge ='"),
    ],
)
def test_what_is_no_toml_is_refused_with_its_line(tmp_path, text, line, content):
    path = tmp_path / "a.toml"
    path.write_bytes(text)
    with pytest.raises(FileError, match="valid TOML") as caught:
        load_config(path)
    assert f"{path}, {line} = {content}" in str(caught.value)


def test_files_that_cannot_be_read_are_refused(tmp_path):
    for path in (tmp_path / "none.toml", tmp_path):
        with pytest.raises(FileError, match="a TOML file that exists"):
            load_config(path)
    (tmp_path / "latin.toml").write_bytes(b"# caf\xe9\n")
    with pytest.raises(FileError, match="text in UTF-8"):
        load_config(tmp_path / "latin.toml")


def test_configs_load_nothing_heavy():
    script = (
        "import sys, homfem.config as c; c.make_config(" + repr(ER) + "); "
        "print(*{m.split('.')[0] for m in sys.modules} & {'dolfinx', 'mpi4py', 'petsc4py', 'gmsh', 'rich'})"
    )
    answer = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert answer.stdout.split() == []


BLOCKS = {
    "cell": {"shape": "blocks", "layout": ["LDD", "LLD"], "widths": [0.5, 0.3, 0.2], "heights": [0.25, 0.75]},
    "effective": {"physics": "diffusion", "phases": {"L": "1 um^2/s", "D": "1e-7 mm^2/s"}},
}


def test_blocks_become_a_medium_in_the_units_of_the_config():
    config = make_config(set_values(BLOCKS, ['cell.period=["2 um","1 um"]', "effective.method=corner-galerkin"]))
    medium = block_medium(config.cell, config.effective, "um^2/s")
    assert medium.widths == pytest.approx([1.0, 0.6, 0.4])
    assert medium.heights == pytest.approx([0.75, 0.25])  # upwards: the first string is the top row
    assert medium.diffusivity == pytest.approx(np.array([[1.0, 1.0, 0.1], [1.0, 0.1, 0.1]]))
    assert config.cell.known_phases == ("D", "L")
    assert config.cell.methods == ("corner-galerkin", "semi-analytical", "finite-volume")
    lengths = ['cell.widths=["1 um","600 nm","400 nm"]', 'cell.heights=["250 nm","750 nm"]']
    other = make_config(set_values(BLOCKS, [*lengths, "effective.method=corner-galerkin"]))
    same = block_medium(other.cell, other.effective, "um^2/s")
    assert same.widths == pytest.approx(medium.widths)
    assert same.heights == pytest.approx(medium.heights)


def test_diagonal_coefficients_of_blocks_stay_anisotropic():
    matrix = 'effective.phases.D=[["2 um^2/s","0 um^2/s"],["0 um^2/s","3 um^2/s"]]'
    config = make_config(set_values(BLOCKS, [matrix, "effective.method=semi-analytical"]))
    assert block_medium(config.cell, config.effective, "um^2/s").axial[0, 2] == pytest.approx([2.0, 3.0])
    skew = 'effective.phases.D=[["2 um^2/s","1 um^2/s"],["1 um^2/s","3 um^2/s"]]'
    config = make_config(set_values(BLOCKS, [skew, "effective.method=semi-analytical"]))
    with pytest.raises(InputError, match="diagonal matrix"):
        block_medium(config.cell, config.effective, "um^2/s")


@pytest.mark.parametrize(
    ("assignments", "name"),
    [
        (['cell.layout=["LDD","LL"]'], "cell.layout"),
        (["cell.layout=LDD"], "cell.layout"),
        (["cell.widths=[0.5,0.5]"], "cell.widths"),
        (["cell.widths=[0.5,0.3,0.3]"], "cell.widths"),
        (["cell.widths=[0.5,0.5,-0.1]"], "cell.widths[2]"),
        (["cell.widths=1"], "cell.widths"),
        (['cell.widths=["1 um","1 um","1 s"]'], "cell.widths[2]"),
        (['cell.widths=["1 um","1 um","1 um"]'], "cell.heights"),
        (['cell.widths=["1 um","1 um","1 um"]', "cell.period=1 um"], "cell.period"),
        (["cell.depths=[1.0]"], "cell.depths"),
        (["cell.dimension=3"], "cell.dimension"),
        (['cell.period=["1 um","1 um","1 um"]'], "cell.period"),
        (["effective.phases.Q=1 um^2/s"], "effective.phases.Q"),
        (["effective.phases.L=-1 um^2/s"], "effective.phases.L"),
        (["effective.phases.L=nan um^2/s"], "effective.phases.L"),
        (["effective.method=grid"], "effective.method"),
        (["effective.method=semi-analytical", "effective.abscissas=1"], "effective.abscissas"),
        (["effective.abscissas=8"], "effective.abscissas"),
        (["effective.method=finite-volume", "effective.max_dofs=100"], "effective.max_dofs"),
        (["effective.method=semi-analytical", "effective.merge=1"], "effective.merge"),
        (["effective.degree=7"], "effective.degree"),
    ],
)
def test_bad_blocks_are_refused_by_the_path_of_their_key(assignments, name):
    with pytest.raises(InputError) as caught:
        make_config(set_values(BLOCKS, assignments))
    assert caught.value.name == name


def test_other_shapes_have_no_method_of_the_blocks():
    with pytest.raises(InputError, match="for this cell"):
        make_config(set_values(ER, ["effective.method=semi-analytical"]))
    deep = set_values(BLOCKS, ['cell.layout=[["LD"],["DL"]]', "effective.method=finite-volume"])
    del deep["cell"]["widths"], deep["cell"]["heights"]
    with pytest.raises(InputError, match=r"effective\.method"):
        make_config(deep)


SHAPE_CONFIGS = {
    "slit": ({"aperture": 0.25}, ("pore", "solid"), 2),
    "laminate": ({"fractions": [0.25, 0.75], "axis": "z"}, ("layer1", "layer2"), 3),
    "obstacles": ({"edge": 0.5, "lattice": "square"}, ("obstacle", "pore"), 2),
    "sheets": ({"thickness": 0.3}, ("er", "cytosol"), 3),
    "tortuous-pipes": ({}, ("er", "cytosol"), 3),
    "myocyte": ({"length": "0.1 mm", "gap": "2 um"}, ("intracellular", "junction", "extracellular"), 3),
    "fibre-array": ({"lattice": "hexagonal", "fraction": 0.3, "coating": 0.05}, ("fibre", "coating", "matrix"), 2),
    "tube": ({"radius": 0.3}, ("pore", "solid"), 3),
    "sphere-array": ({"lattice": "body-centred", "radius": 0.2}, ("sphere", "matrix"), 3),
    "struts": ({"kind": "octet", "fraction": 0.2}, ("strut", "pore"), 3),
    "gyroid": ({"level": 0.1}, ("solid", "pore"), 3),
    "hexagonal-myocyte": ({"length": "0.1 mm", "staggered": False}, ("intracellular", "junction", "extracellular"), 3),
}


@pytest.mark.parametrize("shape", SHAPE_CONFIGS)
def test_shapes_hand_their_keys_on(shape, monkeypatch, tmp_path):
    import homfem.cells

    keys, phases, dimension = SHAPE_CONFIGS[shape]
    recorded = {}
    maker = {"gyroid": "tpms"}.get(shape, shape.replace("-", "_"))
    monkeypatch.setattr(homfem.cells, maker, lambda **options: recorded.update(options))
    cell = make_config({"cell": {"shape": shape, "resolution": 0.25, **keys}}).cell
    assert cell.known_phases == phases
    assert cell.known_dimension == dimension
    assert cell.methods == ()
    make_cell(cell, None, tmp_path)
    assert recorded["resolution"] == 0.25
    for name, value in keys.items():
        expected = {"length": 0.1, "gap": pytest.approx(2e-3)}.get(name, value) if "myocyte" in shape else value
        assert recorded[name] == expected
    assert recorded["length_unit"] == ("mm" if "myocyte" in shape else "m")


@pytest.mark.parametrize(
    ("cell", "name"),
    [
        ({"shape": "slit"}, "cell.aperture"),
        ({"shape": "slit", "aperture": "0.1 um"}, "cell.aperture"),
        ({"shape": "slit", "aperture": 0.2, "axis": "z", "dimension": 2}, "cell.axis"),
        ({"shape": "laminate", "fractions": [0.5, "a"]}, "cell.fractions[1]"),
        ({"shape": "laminate", "fractions": []}, "cell.fractions"),
        ({"shape": "sheets", "dimension": 2}, "cell.dimension"),
        ({"shape": "obstacles", "edge": 0.5, "period": ["1 um", "1 um", "1 um"], "dimension": 2}, "cell.period"),
        ({"shape": "myocyte", "length": 100}, "cell.length"),
        ({"shape": "myocyte", "period": "1 um"}, "cell.period"),
        ({"shape": "fibre"}, "cell.shape"),
        ({"shape": "fibre-array", "fraction": 0.3, "axis": "x", "dimension": 2}, "cell.axis"),
        ({"shape": "fibre-array", "radius": "1 um"}, "cell.radius"),
        ({"shape": "sphere-array", "fraction": 0.3, "period": ["1 um", "1 um", "1 um"]}, "cell.period"),
        ({"shape": "tube", "radius": 0.3, "fraction": 0.2}, "cell.fraction"),
        ({"shape": "gyroid", "surface": "schwarz-p"}, "cell.surface"),
        ({"shape": "struts", "kind": "cubic", "dimension": 2}, "cell.dimension"),
        ({"shape": "hexagonal-myocyte", "height": "20 um"}, "cell.height"),
        ({"shape": "hexagonal-myocyte", "staggered": 1}, "cell.staggered"),
    ],
)
def test_bad_shapes_are_refused_by_the_path_of_their_key(cell, name):
    with pytest.raises(InputError) as caught:
        make_config({"cell": cell})
    assert caught.value.name == name


def image_config(tmp_path, **keys):
    np.save(tmp_path / "cube.npy", np.indices((3, 4, 5)).sum(axis=0) % 2)
    cell = {"shape": "image", "file": "cube.npy", "labels": {"pore": 0, "solid": 1}} | keys
    return make_config({"cell": {key: value for key, value in cell.items() if value is not None}}, folder=tmp_path).cell


def test_images_are_read_with_their_size(tmp_path):
    image = image_of(image_config(tmp_path, voxel=["1 um", "500 nm", "2 um"]), tmp_path)
    assert image.voxel == pytest.approx((1.0, 0.5, 2.0))
    assert image.length_unit == "um"
    assert image_of(image_config(tmp_path, period="3 um"), tmp_path).period == pytest.approx((3.0, 3.0, 3.0))
    mirrored = image_of(image_config(tmp_path, mirror=["y"]), tmp_path)
    assert mirrored.shape == (3, 8, 5)
    grey = image_config(tmp_path, labels=None, thresholds=0.5, names=["dark", "bright"])
    assert grey.known_phases == ("dark", "bright")
    assert image_of(grey, tmp_path).volume_fractions["bright"] == pytest.approx(0.5)
    assert grey.methods == ("grid",)


def test_images_become_cells_of_the_elements_that_are_asked_for(tmp_path):
    from mpi4py import MPI

    kinds = [
        make_cell(image_config(tmp_path, **keys), MPI.COMM_SELF, tmp_path).kind
        for keys in ({}, {"elements": "simplex"}, {"elements": "voxel"})
    ]
    assert kinds == ["tetrahedron", "tetrahedron", "hexahedron"]


@pytest.mark.parametrize(
    ("keys", "name"),
    [
        ({"file": "none.npy"}, "cell.file"),
        ({"labels": None}, "cell.labels"),
        ({"labels": {"pore": "a"}}, "cell.labels.pore"),
        ({"labels": {}}, "cell.labels"),
        ({"thresholds": 0.5}, "cell.labels"),
        ({"labels": None, "thresholds": 0.5}, "cell.names"),
        ({"voxel": 1.0}, "cell.voxel"),
        ({"voxel": "1 um", "period": "3 um"}, "cell.voxel"),
        ({"mirror": ["w"]}, "cell.mirror"),
        ({"elements": "cube"}, "cell.elements"),
    ],
)
def test_bad_images_are_refused_by_the_path_of_their_key(tmp_path, keys, name):
    with pytest.raises(InputError) as caught:
        image_config(tmp_path, **keys)
    assert caught.value.name == name


def test_elements_belong_to_meshes(tmp_path):
    np.save(tmp_path / "cube.npy", np.indices((3, 4, 5)).sum(axis=0) % 2)
    document = {
        "cell": {"shape": "image", "file": "cube.npy", "labels": {"pore": 0, "solid": 1}, "elements": "voxel"},
        "effective": {"physics": "diffusion", "method": "grid", "phases": {"pore": "1 m^2/s"}},
    }
    with pytest.raises(InputError, match=r"cell\.elements = 'voxel'.*absent with method 'grid'"):
        make_config(document, folder=tmp_path)
    document["effective"]["method"] = "finite-element"
    make_config(document, folder=tmp_path)


def test_what_is_wrong_with_the_image_itself_is_said(tmp_path):
    for keys, text in (
        ({"dimension": 2}, "2"),
        ({"labels": {"pore": 0}}, "label"),
        ({"labels": {"a": 0, "b": 7}}, "7"),
    ):
        with pytest.raises(InputError, match=text):
            image_of(image_config(tmp_path, **keys), tmp_path)


def test_files_take_the_keys_of_their_kind(monkeypatch, tmp_path):
    recorded = Recorded(monkeypatch)
    (tmp_path / "a.vtu").write_text("")
    table = {"file": "a.vtu", "phases": {"pore": 1, "solid": [2, 3]}, "phase_data": "tag", "repair": True}
    make_cell(make_config({"cell": table}, folder=tmp_path).cell, None, tmp_path)
    assert recorded.arguments == (tmp_path / "a.vtu",)
    assert recorded.options["phases"] == {"pore": 1, "solid": [2, 3]}
    assert recorded.options["phase_data"] == "tag"
    assert recorded.options["repair"] is True
    assert recorded.options["faces"] == "matching"
    make_cell(make_config({"cell": {"file": "a.vtu", "faces": "non-matching"}}, folder=tmp_path).cell, None, tmp_path)
    assert recorded.options["faces"] == "non-matching"
    for keys, name in (
        ({"phases": {}}, "cell.phases"),
        ({"phases": {"pore": 1.5}}, "cell.phases.pore"),
        ({"repair": 1}, "cell.repair"),
        ({"timeout": 0.0}, "cell.timeout"),
        ({"faces": "none"}, "cell.faces"),
        ({"faces": "non-matching", "repair": True}, "cell.repair"),
        ({"resolution": 0.1}, "cell.resolution"),
    ):
        with pytest.raises(InputError) as caught:
            make_config({"cell": {"file": "a.vtu"} | keys}, folder=tmp_path)
        assert caught.value.name == name


@pytest.mark.parametrize("offsets", [[0.1, 0.1], [0.1, 0.1, 0.5], 0.1])
def test_offsets_of_pipes_are_checked(offsets):
    with pytest.raises(InputError, match="offsets"):
        make_config({"cell": {"shape": "three-pipe", "edge": 0.2, "offsets": offsets}})
    assert make_config({"cell": {"shape": "three-pipe", "edge": 0.2, "offsets": [0, 0.1, -0.1]}}).cell.offsets == (
        0,
        0.1,
        -0.1,
    )
