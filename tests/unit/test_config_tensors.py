"""Tensors in a config of a macroscale model: of the kind that the model needs, in its unit, from wherever they come."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from homfem.config.models.macro_table import Taken, parse_source, take_tensor
from homfem.kinds import CONDUCTIVITY, DIFFUSION, DISPERSION, PERMEABILITY, STIFFNESS
from homfem.parameters import InputError, UnitError
from homfem.stiffness import isotropic


def taken(tmp_path, kind, unit, compute=None):
    return Taken(phase="er", kind=kind, unit=unit, dimension=3, folder=tmp_path, compute=compute)


@pytest.mark.parametrize(
    ("kind", "unit", "value", "expected"),
    [
        (CONDUCTIVITY, "mS/mm", "1.7 mS/cm", 0.17 * np.eye(3)),
        (STIFFNESS, "kPa", {"young": "2 MPa", "poisson": 0.25}, isotropic(young=2000.0, poisson=0.25)),
        (PERMEABILITY, "um^2", "1e-12 m^2", np.eye(3)),
        (DIFFUSION, "um^2/ms", "1 m^2/s", 1e9 * np.eye(3)),
    ],
    ids=lambda value: getattr(value, "name", ""),
)
def test_a_model_takes_tensors_of_its_kind_in_its_unit(tmp_path, kind, unit, value, expected):
    found = take_tensor(parse_source({"value": value, "volume_fraction": 0.5}, kind=kind), taken(tmp_path, kind, unit))
    assert found.value == pytest.approx(expected, rel=1e-12)
    assert (found.kind, found.unit, found.active_fraction) == (kind, unit, 0.5)
    wanted = taken(tmp_path, kind, unit, {"er": found.to(kind.quantity.unit)}.__getitem__)
    wanted.compute("er").to_json(tmp_path / "a.json")
    for source in ({"file": "a.json"}, {"phase": "er"}, "a.json"):
        assert take_tensor(parse_source(source, kind=kind), wanted).value == pytest.approx(expected, rel=1e-12)
    other = DIFFUSION if kind != DIFFUSION else CONDUCTIVITY
    with pytest.raises(InputError, match=f"an effective tensor of {other.name}"):
        take_tensor(parse_source("a.json", kind=other), replace(wanted, kind=other, unit=other.quantity.unit))
    with pytest.raises(InputError, match="as the mesh"):
        take_tensor(parse_source("a.json", kind=kind), replace(wanted, dimension=2))


def test_a_value_of_another_kind_is_refused_where_it_is_read():
    for kind, value in ((CONDUCTIVITY, "1 um^2/s"), (DIFFUSION, "1 S/m"), (PERMEABILITY, "1 m"), (DIFFUSION, 1.0)):
        with pytest.raises(UnitError, match=rf"t\.value = .*{kind.quantity.name} as a string with its unit"):
            parse_source({"value": value, "volume_fraction": 0.5}, "t", kind=kind)
    with pytest.raises(InputError, match=r"t\.value = '1 GPa'.*young"):
        parse_source({"value": "1 GPa", "volume_fraction": 0.5}, "t", kind=STIFFNESS)
    with pytest.raises(InputError, match=r't = .*\{ value = "0.3 S/m", volume_fraction = 0.8 \}'):
        parse_source("0.3 S/m", "t", kind=CONDUCTIVITY)


def test_only_what_diffuses_must_say_which_part_of_the_tissue_it_fills(tmp_path):
    source = parse_source({"value": "0.3 S/m"}, kind=CONDUCTIVITY)
    assert take_tensor(source, taken(tmp_path, CONDUCTIVITY, "mS/mm")).active_fraction == 1.0
    for kind in (DIFFUSION, DISPERSION):
        with pytest.raises(InputError, match=r"t\.volume_fraction = \(missing\)"):
            parse_source({"value": "1 m^2/s"}, "t", kind=kind)


def test_a_measured_matrix_of_another_dimension_has_its_key(tmp_path):
    source = parse_source({"value": [["1 S/m", "0 S/m"], ["0 S/m", "1 S/m"]], "volume_fraction": 1}, kind=CONDUCTIVITY)
    with pytest.raises(InputError, match=r"^value = .*3x3"):
        take_tensor(source, taken(tmp_path, CONDUCTIVITY, "mS/mm"))
