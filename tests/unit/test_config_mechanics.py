"""The tables of elasticity and Stokes flow: what they say, and what they refuse."""

from __future__ import annotations

import json
import re

import numpy as np
import pytest

from homfem import cli
from homfem.cli import session
from homfem.config import load_config
from homfem.parameters import InputError
from homfem.stiffness import isotropic
from read_files import read_with_meshio

FIBRES = """
[cell]
shape = "fibre-array"
lattice = "square"
fraction = 0.3
dimension = 2
resolution = 0.1
period = "10 um"
[effective]
physics = "elasticity"
[effective.phases]
fibre = { young = "10 GPa", poisson = 0.3 }
matrix = { bulk = "833.3333333333334 MPa", shear = "384.6153846153846 MPa" }
"""
CHANNEL = """
[cell]
shape = "slit"
aperture = 0.5
axis = "y"
dimension = 2
resolution = 0.25
period = "2 um"
[effective]
physics = "stokes"
fluid = "pore"
"""


@pytest.fixture
def status(monkeypatch):
    """Run a command in this process; give its exit status."""
    for name in session._LAUNCHERS:
        monkeypatch.delenv(name, raising=False)

    def run(*arguments):
        with pytest.raises(SystemExit) as end:
            cli.main(list(arguments))
        return end.value.code

    return run


def write(folder, text):
    (folder / "config.toml").write_text(text)
    return str(folder / "config.toml")


def test_moduli_in_one_unit(tmp_path):
    table = load_config(write(tmp_path, FIBRES)).effective
    assert table.unit == "GPa"
    assert table.phases["fibre"].to("MPa") == pytest.approx({"young": 1e4, "poisson": 0.3})
    assert table.phases["matrix"].to("GPa") == pytest.approx({"bulk": 1 / 1.2, "shear": 1 / 2.6})
    assert table.phase_names == ("fibre", "matrix")
    mixed = FIBRES.replace("384.6153846153846 MPa", "0.3846153846153846 GPa")
    assert load_config(write(tmp_path, mixed)).effective.phases["matrix"].to("GPa") == pytest.approx(
        {"bulk": 1 / 1.2, "shear": 1 / 2.6}
    )


def test_a_slip_length_in_another_unit_than_the_cell(tmp_path, status):
    """Navier's slip between flat walls, h apart: k = h^2 (1 + 6 b / h) / 12 times the share of the channel."""
    text = CHANNEL + 'slip_length = "100 nm"\n'
    assert status("effective", write(tmp_path, text), "--json", str(tmp_path / "out.json")) == 0
    value = json.loads((tmp_path / "out.json").read_text())["value"]
    assert np.max(value) == pytest.approx(0.5 * (1.0 + 0.6) / 12.0, rel=1e-6)


def test_a_matrix_of_moduli(tmp_path):
    matrix = isotropic(young=2.0, poisson=0.2, dimension=2)
    rows = [[f"{entry!r} GPa" for entry in row] for row in matrix.tolist()]
    rows[1] = [f"{1e3 * entry!r} MPa" for entry in matrix[1].tolist()]
    text = FIBRES.split("fibre = {")[0] + f"fibre = {json.dumps(rows)}\n"
    table = load_config(write(tmp_path, text)).effective
    assert np.array(table.phases["fibre"].to("Pa")) == pytest.approx(1e9 * matrix)
    with pytest.raises(InputError, match="6x6"):
        load_config(write(tmp_path, text.replace("dimension = 2", "dimension = 3")))


REFUSED = [
    (FIBRES, "effective.phases.fibre.young=10", ["effective.phases.fibre.young = 10", "unit"]),
    (FIBRES, "effective.phases.fibre.young='10 um'", ["effective.phases.fibre.young", "modulus"]),
    (FIBRES, "effective.phases.fibre.young='-10 GPa'", ["effective.phases.fibre.young = -10", "> 0"]),
    (FIBRES, "effective.phases.fibre.poisson=0.5", ["effective.phases.fibre.poisson = 0.5", "incompressible"]),
    (FIBRES, "effective.phases.fibre.poisson='0.3'", ["effective.phases.fibre.poisson = '0.3'", "pure number"]),
    (FIBRES, "effective.phases.fibre={shear='1 GPa'}", ["effective.phases.fibre", "young and poisson"]),
    (FIBRES, "effective.phases.fibre=[['1 GPa']]", ["effective.phases.fibre", "6x6"]),
    (FIBRES, "effective.phases.fiber={young='1 GPa', poisson=0.1}", ["effective.phases.fiber", "fibre"]),
    (FIBRES, "effective.phases={}", ["effective.phases = {}", "one key per solid phase"]),
    (FIBRES, "effective.method=grid", ["effective.method = 'grid'", "'finite-element'"]),
    (FIBRES, "effective.degree=5", ["effective.degree = 5", "<= 4"]),
    (FIBRES, "effective.fluid=matrix", ["effective.fluid"]),
    (CHANNEL, "effective.fluid=water", ["effective.fluid = 'water'", "'pore'"]),
    (CHANNEL, "effective.fluid=3", ["effective.fluid = 3", "name of the phase that flows"]),
    (CHANNEL, "effective.slip_length=1.0", ["effective.slip_length = 1.0", "unit"]),
    (CHANNEL, "effective.slip_length='-1 um'", ["effective.slip_length", "> 0"]),
    (CHANNEL, "effective.boundary=affine", ["effective.boundary = 'affine'", "'periodic'"]),
    (CHANNEL, "effective.tolerance=1.0", ["effective.tolerance = 1.0", "< 1"]),
    (CHANNEL, "effective.max_dofs=0", ["effective.max_dofs = 0", ">= 1"]),
    (CHANNEL, "effective.bounds=1", ["effective.bounds = 1", "true"]),
    (CHANNEL, "effective.degree=1", ["effective.degree = 1", ">= 2"]),
    (CHANNEL, "effective.phases={pore='1 m^2/s'}", ["effective.phases"]),
    (CHANNEL, "effective={physics='stokes'}", ["effective.fluid = (missing)", "the phase that flows"]),
]


@pytest.mark.parametrize(("text", "assignment", "fragments"), [pytest.param(*case, id=case[1]) for case in REFUSED])
def test_refusals_name_path_value_and_what_is_allowed(tmp_path, text, assignment, fragments):
    with pytest.raises(InputError) as caught:
        load_config(write(tmp_path, text), assignments=[assignment])
    for fragment in fragments:
        assert fragment in str(caught.value)


def test_elasticity_from_the_command_line(tmp_path, capsys, status):
    assert status("effective", write(tmp_path, FIBRES), "--json", str(tmp_path / "out.json")) == 0
    result = json.loads((tmp_path / "out.json").read_text())
    assert (result["physics"], result["unit"], result["boundary"]) == ("elasticity", "GPa", "periodic")
    value = np.array(result["value"])
    # Computed independently of homfem, in units of the matrix' Young's modulus (1 GPa here).
    assert value[0, 0] == pytest.approx(2.07500597, rel=2e-3)
    assert value[2, 2] == pytest.approx(0.55703320, rel=2e-3)
    assert np.linalg.eigvalsh(np.array(result["upper"]) - np.array(result["lower"]))[0] > -1e-9
    assert "elasticity" in capsys.readouterr().out


def test_affine_boundary_from_the_command_line(tmp_path, status):
    path = write(tmp_path, FIBRES)
    values = {}
    for boundary in ("flux", "periodic", "affine"):
        out = str(tmp_path / f"{boundary}.json")
        assert status("effective", path, "--set", f"effective.boundary={boundary}", "--json", out) == 0
        values[boundary] = np.array(json.loads((tmp_path / f"{boundary}.json").read_text())["value"])[2, 2]
    assert values["flux"] < values["periodic"] < values["affine"]


def test_stokes_from_the_command_line(tmp_path, status):
    options = ["--figure", str(tmp_path / "flow.png"), "--fields", str(tmp_path / "flow.bp")]
    assert status("effective", write(tmp_path, CHANNEL), "--json", str(tmp_path / "out.json"), *options) == 0
    assert (tmp_path / "flow.png").stat().st_size > 5_000
    assert (tmp_path / "flow.bp").exists()
    # The pressure beside it.
    assert (tmp_path / "flow_pressure.png").stat().st_size > 5_000
    assert (tmp_path / "flow_pressure.bp").exists()
    result = json.loads((tmp_path / "out.json").read_text())
    assert (result["physics"], result["unit"]) == ("stokes", "um^2")
    assert status("effective", write(tmp_path, CHANNEL), "--fields", str(tmp_path / "flow.xdmf")) == 0
    for name, dimensions in (("flow.xdmf", 2), ("flow_pressure.xdmf", 1)):
        (fields,) = read_with_meshio(tmp_path / name)["nodal"]
        assert {values.ndim for values in fields.values()} == {dimensions}
        assert all(np.isfinite(values).all() for values in fields.values())
    # porosity h^2 / 12 with h = 1 um; nothing flows across.
    assert np.array(result["value"]) == pytest.approx(np.diag([0.5 / 12.0, 0.0]), abs=1e-10)


CYLINDERS = CHANNEL.replace(
    'shape = "slit"\naperture = 0.5\naxis = "y"', 'shape = "fibre-array"\nfraction = 0.4'
).replace('"pore"', '"matrix"')


@pytest.mark.parametrize(("bounds", "tolerance"), [(None, 0.05), (False, 1e-4)])
def test_a_tolerance_of_a_permeability(tmp_path, status, capfd, bounds, tolerance):
    text = CYLINDERS + f"tolerance = {tolerance}\n" + ("" if bounds is None else "bounds = false\n")
    # The tolerance counts what straight facets change: about 6e-3 on this mesh.
    coarse = tolerance < 1e-3
    assert status("effective", write(tmp_path, text), "--json", str(tmp_path / "out.json")) == (3 if coarse else 0)
    result = json.loads((tmp_path / "out.json").read_text())
    reached = "relative_gap" if bounds is None else "estimated_error"
    other = "estimated_error" if bounds is None else "relative_gap"
    assert result[reached] <= tolerance
    assert result[other] is None
    assert result["reached"] is not coarse
    assert ("straight facets" in str(result["warnings"])) == coarse
    assert (result["lower"] is None) == (bounds is False)
    # Sangani, Acrivos 1982, for a period of 2 um.
    slack = 2.0 * tolerance * 4.0 / 217.89 + result["geometric_error"]
    assert result["value"][0][0] == pytest.approx(4.0 / 217.89, abs=slack)
    first = text.replace(f"tolerance = {tolerance}", "tolerance = 0.9")
    assert status("effective", write(tmp_path, first), "--json", str(tmp_path / "first.json")) == 0
    dofs = json.loads((tmp_path / "first.json").read_text())["dofs"]
    if bounds is False:  # two meshes must confirm an estimate: the refusal names the unknowns of the first
        assert status("effective", write(tmp_path, first + "max_dofs = 1\n")) == 2
        dofs = int(re.search(r"it must be >= (\d+)", capfd.readouterr().err)[1])
    assert status("effective", write(tmp_path, text + f"max_dofs = {dofs}\n")) == 3
    assert status("effective", write(tmp_path, text + f"max_dofs = {dofs - 1}\n")) == 2
    if coarse:
        fits = text.replace(str(tolerance), "1e-2")
        assert status("effective", write(tmp_path, fits)) == 0


MEMBRANE = """
[cell]
shape = "laminate"
fractions = [0.25, 0.75]
axis = "x"
dimension = 2
resolution = 0.25
period = "20 um"
[effective]
physics = "diffusion"
[effective.phases]
layer1 = "2 um^2/ms"
layer2 = "1 um^2/ms"
[effective.membranes]
"layer1|layer2" = "0.01 cm/s"
"""


def test_membranes_from_the_command_line(tmp_path, status):
    """Two membranes in each period: 1/D* = <1/D> + 2/(h L), with h = 0.1 um/ms and L = 20 um."""
    assert status("effective", write(tmp_path, MEMBRANE), "--json", str(tmp_path / "out.json")) == 0
    result = json.loads((tmp_path / "out.json").read_text())
    across = 1.0 / (0.25 / 2.0 + 0.75 / 1.0 + 2.0 / (0.1 * 20.0))
    assert np.array(result["value"]) == pytest.approx(np.diag([across, 0.25 * 2.0 + 0.75]), rel=1e-7, abs=1e-9)


PIPES = """
[cell]
shape = "three-pipe"
edge = 0.25
resolution = 0.25
period = "1 um"
[effective]
physics = "diffusion"
symmetry = "auto"
[effective.phases]
er = "1 um^2/s"
"""


def test_an_eighth_of_a_symmetric_cell_gives_the_same_tensor(tmp_path, status):
    values = {}
    for symmetry in ("auto", "none"):
        out = tmp_path / f"{symmetry}.json"
        path = write(tmp_path, PIPES)
        assert status("effective", path, "--set", f"effective.symmetry={symmetry}", "--json", str(out)) == 0
        values[symmetry] = json.loads(out.read_text())
    assert np.array(values["auto"]["value"]) == pytest.approx(np.array(values["none"]["value"]), abs=1e-7)
    assert values["auto"]["dofs"] < values["none"]["dofs"] / 4


ROUND_FIBRES = """
[cell]
shape = "fibre-array"
fraction = 0.5
resolution = 0.067
[effective]
physics = "diffusion"
symmetry = "auto"
[effective.phases]
fibre = "10 m^2/s"
matrix = "1 m^2/s"
"""


def test_symmetry_asks_for_a_symmetric_mesh(tmp_path, status):
    """Without another word fibres are solved on a quadrant; mirrors = "none" leaves their mesh as it was."""
    dofs = {}
    for mirrors in ("auto", "none", None):
        out = tmp_path / f"{mirrors}.json"
        extra = [] if mirrors is None else ["--set", f"cell.mirrors={mirrors}"]
        assert status("effective", write(tmp_path, ROUND_FIBRES), *extra, "--json", str(out)) == 0
        result = json.loads(out.read_text())
        dofs[mirrors] = result["dofs"]
        assert np.array(result["value"]) == pytest.approx(2.4154674 * np.eye(2), rel=2e-3, abs=1e-3)
    assert dofs[None] == dofs["auto"] < dofs["none"] / 2
