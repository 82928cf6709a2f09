"""Regions and fibres of a calcium tissue, from Python and from a config."""

from __future__ import annotations

import math

import meshio
import numpy as np
import pytest
from dolfinx import mesh
from mpi4py import MPI

from homfem import runs
from homfem._dolfinx import geometry_dofmap
from homfem.config.models.domains import FibresTable
from homfem.config.table import parse_table
from homfem.kinetics import TRIGGER_WAVE, li_rinzel, membrane_from_rates, resting_state
from homfem.macro.calcium import CalciumProblem, run_calcium
from homfem.macro.domain import Domain
from homfem.macro.fibres import FibreFrame
from homfem.output.checkpoint import CheckpointFile
from homfem.parameters import CheckpointError, FileError, InputError
from homfem.tensors import EffectiveTensor
from homfem.timestepping import TimeGrid

FRACTIONS = {"cytosol_fraction": 0.8, "er_fraction": 0.2}
MEMBRANE = membrane_from_rates(TRIGGER_WAVE, interface_area=2.0, **FRACTIONS)
REST = resting_state(MEMBRANE, total=2.4, ip3=0.3, **FRACTIONS)


def tissue(**change) -> CalciumProblem:
    given = {
        "kinetics": li_rinzel(MEMBRANE),
        "ip3": 0.3,
        "initial_cytosol": lambda x: REST.cytosol + 0.8 * (np.linalg.norm(x, axis=0) <= 15.1),
        "initial_er": REST.er,
        "interface_area": 2.0,
        "cytosol": EffectiveTensor.measured("cytosol", 0.8 * np.diag([20.0, 5.0]), volume_fraction=0.8, dimension=2),
        "er": EffectiveTensor.measured("er", 0.2 * np.diag([10.0, 1.0]), volume_fraction=0.2, dimension=2),
    }
    return CalciumProblem(**(given | change))


def square() -> mesh.Mesh:
    return mesh.create_rectangle(MPI.COMM_SELF, [[0, 0], [60, 40]], [12, 8])


def test_fibres_turn_the_tensors():
    """A direction at an angle is the tensor turned by hand."""
    angle, grid = 0.4, TimeGrid(end=0.4, step=0.02)
    turn = np.array([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])
    along = FibreFrame.constant(domain := square(), turn[:, 0])
    found = run_calcium(tissue(mesh=Domain(mesh=domain, unit="um", fibres=along)), grid).cytosol.x.array
    by_hand = {
        name: EffectiveTensor.measured(name, part * turn @ np.diag(k) @ turn.T, volume_fraction=part, dimension=2)
        for name, part, k in (("cytosol", 0.8, [20.0, 5.0]), ("er", 0.2, [10.0, 1.0]))
    }
    assert found == pytest.approx(run_calcium(tissue(mesh=square(), **by_hand), grid).cytosol.x.array, rel=1e-9)
    assert np.abs(found - run_calcium(tissue(mesh=square()), grid).cytosol.x.array).max() > 0.01


def by_hand(x):
    """One left, none right, between them the share of the left triangles: half of six, one of three, two of three."""
    between = np.where(x[1] < 1, 1 / 3, np.where(x[1] > 39, 2 / 3, 0.5))
    return np.where(x[0] < 29, 1.0, np.where(x[0] > 31, 0.0, between))


def test_transporters_may_differ_by_region():
    """None in the right half: its ER keeps its calcium but for what diffuses; as one function of position."""
    domain = Domain(mesh=square(), unit="um").with_regions({"left": lambda x: x[0] < 30, "right": lambda x: x[0] > 30})
    grid = TimeGrid(end=0.4, step=0.02)
    found = run_calcium(tissue(mesh=domain, density={"left": 1.0, "right": 0.0}), grid)
    same = run_calcium(tissue(mesh=square(), density=by_hand), grid)
    assert found.er.x.array == pytest.approx(same.er.x.array, rel=1e-12)
    assert found.drift < 1e-13
    everywhere = run_calcium(tissue(mesh=domain, density={"*": 1.0}), grid).er.x.array
    assert everywhere == pytest.approx(run_calcium(tissue(mesh=square()), grid).er.x.array, rel=1e-12)


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"density": {"left": 1.0}}, r"density = 'left'.*there are none"),
        ({"density": {"*": -1.0}}, r"density\.\* = -1"),
        ({"mesh": Domain(mesh=square(), unit="mm")}, "mesh = 'mm'.*in um"),
    ],
)
def test_bad_tissues_are_refused(change, named):
    with pytest.raises(InputError, match=named):
        run_calcium(tissue(**({"mesh": square()} | change)), TimeGrid(end=0.1, step=0.05))


def test_a_checkpoint_of_other_fibres_is_refused(tmp_path):
    grid, domain = TimeGrid(end=0.1, step=0.05), square()
    along, across = (
        Domain(mesh=domain, unit="um", fibres=FibreFrame.constant(domain, direction)) for direction in ([3, 1], [3, -1])
    )
    run_calcium(tissue(mesh=along), grid, checkpoint=CheckpointFile(tmp_path / "a"))
    with pytest.raises(CheckpointError, match="fibre axes"):
        run_calcium(tissue(mesh=across), grid, checkpoint=CheckpointFile(tmp_path / "a"), resume=True)


CONFIG = {
    "model": "calcium",
    "domain": {"file": "body.vtu", "unit": "um"},
    "tensors": {
        "cytosol": {"value": [["16 um^2/s", "0 um^2/s"], ["0 um^2/s", "4 um^2/s"]], "volume_fraction": 0.8},
        "er": {"value": "2 um^2/s", "volume_fraction": 0.2},
        "interface_area": "2 1/um",
    },
    "kinetics": {"ip3": "0.3 uM"},
    "time": {"end": "0.2 s", "step": "20 ms"},
    "stimulus": [
        {"rise": "0.8 uM", "centre": ["0 um", "0 um"], "radius": "12 um"},
        {"rise": "0.3 uM", "type": "box", "min": ["30 um", "0 um"], "max": ["60 um", "5 um"]},
    ],
}


@pytest.fixture
def place(tmp_path):
    made = square()
    cells = geometry_dofmap(made)
    y = made.geometry.x[cells].mean(axis=1)[:, 1]
    f = np.stack([np.cos(y / 20), np.sin(y / 20), 0 * y], axis=1)
    data = {"f": [f], "y": [y], "half": [f * (y > 20)[:, None]]}
    meshio.Mesh(made.geometry.x, [("triangle", cells)], cell_data=data).write(tmp_path / "body.vtu")
    return tmp_path


def test_a_config_with_fibres_of_a_file_and_two_stimuli(place):
    plain = runs.macro({"macro": CONFIG}, folder=place).result
    turned = runs.macro({"macro": CONFIG | {"fibres": {"file": "body.vtu", "name": "f"}}}, folder=place).result
    x = plain.cytosol.function_space.tabulate_dof_coordinates()
    inside = (np.linalg.norm(x, axis=1) <= 12) * 0.8 + ((x[:, 0] >= 30) & (x[:, 1] <= 5)) * 0.3
    assert plain.maximum[0] == pytest.approx(REST.cytosol + inside.max(), abs=0.02)
    weights = plain.total[0] - 2400 * (0.8 * REST.cytosol + 0.2 * REST.er)
    assert weights == pytest.approx(0.8 * (0.8 * np.pi * 36 + 0.3 * 30 * 7.5), rel=0.15)
    assert np.abs(turned.cytosol.x.array - plain.cytosol.x.array).max() > 0.01
    assert turned.drift < 1e-13
    along = runs.macro({"macro": CONFIG | {"fibres": {"direction": [2, 0]}}}, folder=place).result
    assert along.cytosol.x.array == pytest.approx(plain.cytosol.x.array, rel=1e-12)


@pytest.mark.parametrize(
    ("change", "error", "named"),
    [
        ({"fibres": {"file": "body.vtu", "name": "y"}}, InputError, r"macro\.fibres\.name = .*2 or 3 components"),
        ({"fibres": {"file": "body.vtu"}}, InputError, r"macro\.fibres\.(name|file).*'f', 'y'"),
        ({"fibres": {"file": "body.vtu", "name": "half"}}, InputError, r"^macro\.tensors\.cytosol = .*isotropic"),
        ({"domain": CONFIG["domain"] | {"regions": {"*": "a"}}}, InputError,
         r"^macro\.domain\.regions\.\* = 'a'.*other than"),
        ({"domain": CONFIG["domain"] | {"regions": {"a": []}}}, InputError,
         r"^macro\.domain\.regions\.a = \[\].*one group"),
        ({"fibres": {"file": "none.vtu"}}, FileError, r"macro\.fibres\.file = 'none.vtu'.*exists"),
        ({"domain": {"shape": "box", "size": ["60 um", "40 um"], "resolution": "5 um"},
          "fibres": {"file": "body.vtu", "name": "f"}}, InputError, r"^macro\.fibres\.file = 'body.vtu'.*absent"),
        ({"fibres": {"direction": [1, 0, 0]}}, InputError, r"macro\.fibres\.direction = .*2 finite numbers"),
        ({"kinetics": {"ip3": "0.3 uM", "density": {"wall": 1}}}, InputError, r"macro\.kinetics\.density = 'wall'"),
        ({"kinetics": {"ip3": "0.3 uM", "density": {"wall": -1}}}, InputError, r"macro\.kinetics\.density\.wall = -1"),
        ({"stimulus": [CONFIG["stimulus"][0], {"rise": "1 uM", "type": "region", "region": "a"}]}, InputError,
         r"macro\.stimulus\[1\]\.region = 'a'"),
        ({"stimulus": [CONFIG["stimulus"][0], {"rise": "1 uM", "centre": ["1 um"], "radius": "1 um"}]}, InputError,
         r"macro\.stimulus\[1\]\.centre = .*2 lengths"),
    ],
)  # fmt: skip
def test_bad_configs_are_refused_by_key(place, change, error, named):
    with pytest.raises(error, match=named):
        runs.macro({"macro": CONFIG | change}, folder=place)


@pytest.mark.parametrize(
    ("value", "named"),
    [
        ({}, "^direction = .missing.*or file"),
        ({"direction": [1, 0], "file": "a.vtu"}, r"^direction = \[1.0, 0.0\].*one of the three"),
        ({"direction": [1, 0], "name": "f"}, "^name = 'f'.*absent"),
        ({"file": "a.vtu", "sheet": [1, 0]}, "^sheet = .*absent"),
        ({"file": "a.vtu", "sheet_name": "s"}, "^name = .missing"),
        ({"direction": [1, "x"]}, r"^direction\[1\] = 'x'"),
        ({"direction": 3}, "^direction = 3.*1 to 3 numbers"),
    ],
)
def test_bad_tables_of_fibres_are_refused(value, named):
    with pytest.raises(InputError, match=named):
        parse_table(FibresTable, value, "")
