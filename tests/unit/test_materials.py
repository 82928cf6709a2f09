"""Kinds of tensors with their units, and what a macroscale model requires: a tensor or a coefficient, or an error."""

from __future__ import annotations

import json
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

import homfem
from homfem import kinds, quantities
from homfem.blocks import homogenize_blocks
from homfem.blocks.boxes import homogenize_boxes
from homfem.cells import image_cell
from homfem.coefficients import NamedCoefficient
from homfem.grid import Image, homogenize_image
from homfem.kinds import CONDUCTIVITY, DIFFUSION, DISPERSION, PERMEABILITY, STIFFNESS, TensorKind, kind_of
from homfem.materials import carrying_velocity, interface_area, read_tensor, required_coefficient, required_tensor
from homfem.orientation import Uniform, mixture_tensor
from homfem.parameters import FileError, InputError, UnitError
from homfem.stiffness import isotropic
from homfem.tensors import EffectiveTensor

CELLS = np.diag([0.17, 0.019, 0.019])


def tissue(**changes):
    given = {"value": CELLS, "unit": "S/m", "physics": "conductivity", "volume_fractions": {"cells": 0.8, "rest": 0.2}}
    return EffectiveTensor(**given | {"active_phases": ("cells",)} | changes)


def porous(**changes):
    coefficients = {
        "biot": NamedCoefficient(value=[0.8, 0.8, 0.8, 0, 0, 0], basis="stress"),
        "modulus": NamedCoefficient(value=30.0, unit="GPa", basis="scalar"),
        "velocity": NamedCoefficient(value=[1.0, 0.0, 2.0], unit="um/s", basis="vector"),
    }
    value = isotropic(young=10.0, poisson=0.25)
    given = {"value": value, "unit": "GPa", "physics": "poroelasticity", "coefficients": coefficients}
    return EffectiveTensor(**given | changes)


# -- kinds ---------------------------------------------------------------------------------------------------------


def test_every_physics_has_a_kind_and_every_kind_a_unit_of_its_own_dimension():
    for physics, kind in kinds.PHYSICS.items():
        assert kinds.KINDS[kind.name] == kind
        assert kind_of(physics) == kind
        unit = "um^2/s/uM" if kind.quantity is None else kind.quantity.unit  # a sensitivity: per what is measured
        assert EffectiveTensor(value=np.eye(3), physics=physics, unit=unit).kind == kind
    assert kind_of("something else") == kinds.GENERAL


@pytest.mark.parametrize(
    ("physics", "good", "bad", "message"),
    [
        ("diffusion", "um^2/s", "furlong", r"'furlong' is of dimension \[length\]"),
        ("diffusion", "cm^2/day", "S/m", "belongs to the physics 'conductivity'"),
        ("conductivity", "mS/mm", "um^2/s", "a unit of a conductivity"),
        ("heat-conduction", "mW/(mm*K)", "W/m", "a unit of a thermal conductivity"),
        ("elasticity", "kPa", "N", "a unit of a modulus"),
        ("active-stress", "mN/mm^2", "um", "a unit of a modulus"),
        ("stokes", "um^2", "m/s", "a unit of an area"),
        ("dispersion", "um^2/ms", "1/s", "a unit of a diffusivity"),
    ],
)
def test_a_unit_of_another_kind_is_refused(physics, good, bad, message):
    tensor = EffectiveTensor(value=np.eye(3), physics=physics, unit=good)
    assert tensor.unit == good
    with pytest.raises(UnitError, match=message):
        EffectiveTensor(value=np.eye(3), physics=physics, unit=bad)
    with pytest.raises(UnitError, match="unit = "):
        EffectiveTensor.from_json(json.dumps(tensor.to_dict() | {"unit": bad}))
    assert EffectiveTensor(value=np.eye(3), physics=physics).unit == ""
    for none in (None, 3):
        for other in (physics, "own"):
            with pytest.raises(UnitError, match=f"unit = {none}"):
                EffectiveTensor(value=np.eye(3), physics=other, unit=none)


def test_a_unit_is_kept_in_plain_letters():
    assert EffectiveTensor(value=np.eye(2), unit="\u00b5m\u00b2/s").unit == "um^2/s"


def test_a_kind_that_contradicts_the_physics_is_refused():
    with pytest.raises(InputError, match="kind = 'conductivity': it must be 'diffusion', the kind of physics"):
        EffectiveTensor(value=np.eye(2), kind=CONDUCTIVITY)
    with pytest.raises(InputError, match=r"kind = 'conductivty'.*Did you mean 'conductivity'"):
        EffectiveTensor.from_json('{"value": [[1]], "physics": "own", "kind": "conductivty"}')
    for entry in (3, {"name": "own", "base": "vector"}, {"name": 3}, {"name": "own", "quantity": {"unit": 1}}):
        with pytest.raises(InputError, match="kind = "):
            EffectiveTensor.from_json(json.dumps({"value": [[1]], "physics": "own", "kind": entry}))
    with pytest.raises(InputError, match=r"kind\.basis = 'mandel'"):
        TensorKind(name="own", basis="mandel")


def test_a_physics_from_outside_brings_its_kind_through_json():
    kind = TensorKind(name="sensitivity", symmetric=False, quantity=quantities.DIFFUSIVITY, title="sensitivity")
    tensor = EffectiveTensor(value=[[1.0, 0.5], [0.0, 1.0]], physics="galvanotaxis", kind=kind, unit="mm^2/s")
    again = EffectiveTensor.from_json(tensor.to_json())
    assert again == tensor
    assert again.kind == kind
    assert required_tensor("s", again, kind, unit="um^2/s").value[0, 1] == pytest.approx(0.5e6)
    assert str(again).startswith("sensitivity (galvanotaxis, whole cell; ")
    with pytest.raises(UnitError, match="a unit of a diffusivity"):
        replace(tensor, unit="S/m")


def test_stiffness_of_another_physics_is_one():
    tensor = EffectiveTensor(value=isotropic(young=2.0, poisson=0.25), physics="viscoelasticity", kind=STIFFNESS)
    assert tensor.space_dimension == 3
    assert tensor.young_moduli == pytest.approx([2.0] * 3)


# -- conversion ----------------------------------------------------------------------------------------------------


def test_a_tensor_in_another_unit_is_the_same_tensor():
    tensor = tissue(
        lower=0.9 * CELLS, upper=1.1 * CELLS, roundoff=1e-12, geometric_error=1e-3, membranes={"cells|rest": 5.0}
    )
    other = tensor.to("uS/mm")
    for name in ("value", "lower", "upper", "roundoff", "geometric_error"):
        assert getattr(other, name) == pytest.approx(1e3 * getattr(tensor, name), rel=1e-14)
    assert other.membranes == {"cells|rest": pytest.approx(5e3)}
    assert other.relative_gap == pytest.approx(tensor.relative_gap, rel=1e-12)
    assert other.unit == "uS/mm"
    with pytest.raises(UnitError, match="a unit of a conductivity"):
        tensor.to("um^2/s")
    with pytest.raises(UnitError, match=r"unit = ''.*given"):
        tissue(unit="").to("S/m")


# -- what a model requires -----------------------------------------------------------------------------------------


def test_a_tensor_comes_in_the_unit_of_the_model(tmp_path):
    tissue().to_json(tmp_path / "tissue.json")
    for source in (tissue(), tmp_path / "tissue.json", str(tmp_path / "tissue.json"), tissue(unit="")):
        taken = required_tensor("intracellular", source, CONDUCTIVITY, unit="mS/mm", dimension=3)
        np.testing.assert_allclose(taken.value, CELLS, rtol=1e-14)  # 1 S/m is 1 mS/mm
        assert (taken.unit, taken.active_fraction) == ("mS/mm", 0.8)
    np.testing.assert_allclose(
        required_tensor("k", tissue(), CONDUCTIVITY, unit="S/cm").value, 0.01 * CELLS, rtol=1e-14
    )


def test_what_round_off_left_of_asymmetry_is_gone_and_no_more():
    skewed = np.array([[1.0, 0.3 + 1e-9], [0.3, 1.0]])
    taken = required_tensor("D", EffectiveTensor(value=skewed), DIFFUSION, unit="m^2/s")
    assert taken.value[0, 1] == taken.value[1, 0] == pytest.approx(0.3, abs=1e-9)
    flow = EffectiveTensor(value=[[1.0, 0.3], [-0.3, 1.0]], physics="dispersion")
    np.testing.assert_array_equal(required_tensor("D", flow, DISPERSION, unit="m^2/s").value, flow.value)
    shares = {"volume_fractions": {"pore": 0.4, "grain": 0.6}, "active_phases": ("pore",), "retardation": 2.0}
    within = EffectiveTensor(value=flow.value, physics="dispersion", averaged_over="active", **shares)
    np.testing.assert_allclose(required_tensor("D", within, DISPERSION, unit="m^2/s").value, 0.8 * flow.value)
    slit = EffectiveTensor(value=np.diag([1.0, 0.0]), physics="stokes")
    np.testing.assert_array_equal(
        required_tensor("K", slit, PERMEABILITY, unit="m^2", definite=False).value, slit.value
    )


@pytest.mark.parametrize(
    ("tensor", "kind", "unit", "message"),
    [
        (tissue(), DIFFUSION, "um^2/s", r"k = .conductivity \(physics 'conductivity'\).*effective tensor of diffusion"),
        (porous(), CONDUCTIVITY, "S/m", "stiffness .*an effective tensor of conductivity"),
        (tissue(), CONDUCTIVITY, "um", "k = 'S/m': it must be a tensor in a unit that converts to um"),
        (tissue(value=np.eye(2)), CONDUCTIVITY, "S/m", "a 3x3 tensor, as the mesh"),
        (porous(value=np.eye(3)), STIFFNESS, "Pa", "a 6x6 tensor, as the mesh"),
        (tissue(value=np.diag([1.0, 1.0, 0.0])), CONDUCTIVITY, "S/m", "a positive definite tensor.*value is 0"),
        (tissue(value=np.eye(3) + np.diag([1e-3, 0], 1)), CONDUCTIVITY, "S/m", "not symmetric"),
    ],
)
def test_what_a_model_cannot_take_is_refused_by_name(tensor, kind, unit, message):
    with pytest.raises(InputError, match=f"(?s)^k = .*{message}" if not message.startswith("k") else message):
        required_tensor("k", tensor, kind, unit=unit, dimension=3)


def test_a_negative_value_is_none_of_a_permeability():
    with pytest.raises(InputError, match="positive semidefinite"):
        required_tensor(
            "K", EffectiveTensor(value=np.diag([1.0, -0.1]), physics="stokes"), PERMEABILITY, unit="m^2", definite=False
        )


def test_a_file_that_is_none_of_a_tensor_is_refused_by_name(tmp_path):
    (tmp_path / "cut.json").write_text(tissue().to_json()[:-20])
    (tmp_path / "other.json").write_text(json.dumps(tissue().to_dict() | {"unit": "furlong"}))
    for name, message in (("none", "exists"), ("cut", "valid JSON"), ("other", "In it unit = 'furlong'")):
        with pytest.raises(FileError, match=rf"tensor = '{name}\.json'.*{message}"):
            read_tensor("tensor", f"{name}.json", tmp_path)


# -- coefficients --------------------------------------------------------------------------------------------------


def test_coefficients_come_in_the_unit_of_the_model():
    tensor = EffectiveTensor.from_json(porous().to_json())
    modulus = required_coefficient("solid", tensor, "modulus", quantities.MODULUS, unit="kPa", basis="scalar")
    assert modulus == pytest.approx(30e6)
    biot = required_coefficient("solid", tensor, "biot", quantities.PURE, unit="", basis="stress")
    np.testing.assert_array_equal(biot, [0.8, 0.8, 0.8, 0, 0, 0])
    velocity = required_coefficient("solid", tensor, "velocity", quantities.SPEED, unit="mm/s")
    np.testing.assert_allclose(velocity, [1e-3, 0.0, 2e-3], rtol=1e-14)


@pytest.mark.parametrize(
    ("key", "quantity", "unit", "basis", "message"),
    [
        ("biots", quantities.PURE, "", "", r"s = 'poroelasticity'.*coefficient 'biots'.*Did you mean 'biot'"),
        ("modulus", quantities.SPEED, "m/s", "", r"s\.coefficients\.modulus = 'GPa'.*a speed in a unit"),
        ("biot", quantities.PURE, "", "strain", r"s\.coefficients\.biot\.basis = 'stress'.*'strain'"),
    ],
)
def test_a_coefficient_that_does_not_fit_is_refused_by_name(key, quantity, unit, basis, message):
    with pytest.raises(InputError, match=message):
        required_coefficient("s", porous(), key, quantity, unit=unit, basis=basis)


def test_the_shape_of_a_coefficient_is_that_of_its_basis():
    for basis, good, bad in (("scalar", 1.0, [1.0]), ("vector", [1.0, 2.0], np.eye(2)), ("stress", np.ones(6), [1, 2])):
        assert NamedCoefficient(value=good, basis=basis) == NamedCoefficient(value=good, basis=basis)
        with pytest.raises(InputError, match=f"as a {basis}"):
            NamedCoefficient(value=bad, basis=basis)
    with pytest.raises(InputError, match="basis = 'vectr'"):
        NamedCoefficient(value=[1.0, 2.0], basis="vectr")
    with pytest.raises(InputError, match=r"coefficients\.rate"):
        EffectiveTensor(value=np.eye(2), coefficients={"rate": {"value": 1.0, "unit": 3}})


def test_interface_area_in_any_unit():
    tensors = (tissue(interface_area=0.14, length_unit="um"), tissue(interface_area=1.4e5, length_unit="m"), tissue())
    assert interface_area("beta", tensors, "1/mm") == pytest.approx(140.0, rel=1e-12)
    assert interface_area("beta", [tissue(interface_area=140.0)], "1/mm") == 140.0
    for wrong in ([tissue()], [*tensors, tissue(interface_area=0.14, length_unit="mm")]):
        with pytest.raises(InputError, match=r"beta = .*one positive area that all tensors share.*Give beta in 1/mm"):
            interface_area("beta", wrong, "1/mm")
    with pytest.raises(UnitError, match="an area per volume"):
        interface_area("beta", tensors, "mm")


# -- functions that compute ----------------------------------------------------------------------------------------


NOTHING = SimpleNamespace(volume_fractions={})


@pytest.mark.parametrize(
    "compute",
    [
        lambda unit: homfem.homogenize_diffusion(None, {"a": 1.0}, unit=unit),
        lambda unit: homfem.homogenize_diffusion(None, {"a": 1.0}, unit=unit, physics="conductivity"),
        lambda unit: homfem.homogenize_elasticity(None, {"a": {"young": 1.0, "poisson": 0.3}}, unit=unit),
        lambda unit: homfem.homogenize_poroelasticity(NOTHING, {"a": {"young": 1.0, "poisson": 0.3}}, unit=unit),
        lambda unit: homogenize_blocks(None, unit=unit),
        lambda unit: homogenize_image(None, {"a": 1.0}, unit=unit),
        lambda unit: homogenize_boxes(None, unit=unit),
        lambda unit: mixture_tensor(Uniform(3), longitudinal=2.0, transverse=1.0, unit=unit),
    ],
)
def test_a_unit_that_is_none_is_refused_before_the_work(compute):
    """There is not even a cell to work on."""
    with pytest.raises(UnitError, match="unit = 'furlong': it must be a unit of "):
        compute("furlong")


def test_other_units_are_refused_before_the_work():
    with pytest.raises(UnitError, match=r"cell\.length_unit = 'parsnip\^2'"):
        homfem.homogenize_stokes(SimpleNamespace(length_unit="parsnip"), fluid="a")
    with pytest.raises(UnitError, match="temperature_unit"):
        homfem.homogenize_thermoelasticity(None, {}, {}, temperature_unit="furlong")


def test_the_unit_of_a_mixture_says_what_it_conducts():
    for unit, physics in (("mS/mm", "conductivity"), ("um^2/s", "diffusion"), ("W/(m*K)", "heat-conduction")):
        tensor = mixture_tensor(Uniform(3), longitudinal=2.0, transverse=1.0, unit=unit)
        assert (tensor.physics, tensor.kind) == (physics, kind_of(physics))


def test_an_image_without_a_unit_of_length_has_a_permeability_without_unit():
    labels = np.array([[0, 0, 0, 0], [1, 0, 0, 1], [1, 0, 0, 1], [0, 0, 0, 0]])
    tensor = homfem.homogenize_stokes(image_cell(Image.from_labels(labels, {"pore": 0, "solid": 1})), fluid="pore")
    assert tensor.unit == ""
    assert tensor.value[0, 0] > 0.0


@pytest.mark.parametrize(("physics", "key"), [("reaction", "sink"), ("dispersion", "rate")])
def test_the_sink_of_a_reaction_is_not_left_out_in_silence(caplog, physics, key):
    sink = NamedCoefficient(value=np.array(2.5), unit="1/s", basis="scalar")
    fractions = {"active_phases": ("a",), "volume_fractions": {"a": 0.8, "b": 0.2}}
    plain = EffectiveTensor(value=np.eye(2), unit="um^2/s", physics=physics, averaged_over="active", **fractions)
    per_whole = "2.5 1/s" if key == "sink" else "2 1/s"
    for tensor, told in ((plain, False), (replace(plain, coefficients={key: sink}), True)):
        caplog.clear()
        taken = required_tensor("macro.tensors.er", tensor, (DIFFUSION, DISPERSION), unit="um^2/s", dimension=2)
        required_tensor(
            "macro.tensors.er", taken, (DIFFUSION, DISPERSION), unit="um^2/s", dimension=2
        )  # twice the same
        words = (
            "macro.tensors.er: the reaction of the cell is no part of its tensor: it is one of the model, of the rate"
        )
        assert caplog.text.count(f"{words} {per_whole}\n") == (2 if told else 0)


def test_of_several_kinds_one_must_fit():
    tensor = EffectiveTensor(value=np.eye(2), unit="um^2/s", physics="dispersion", averaged_over="active")
    with pytest.raises(InputError, match=r"an effective tensor of diffusion\b(?! or)"):
        required_tensor("t", tensor, DIFFUSION, unit="um^2/s")
    with pytest.raises(InputError, match="an effective tensor of diffusion or permeability"):
        required_tensor("t", tensor, (DIFFUSION, PERMEABILITY), unit="um^2/s")


def test_what_carries_is_the_mean_velocity_times_all_that_is_held():
    """Of walls that hold as much again the velocity is half, and the flux of the fluid is the same."""
    for retardation, speed in ((1.0, 2.0), (2.0, 1.0)):
        velocity = NamedCoefficient(value=np.array([speed, -speed]), unit="mm/s", basis="vector")
        shares = {"volume_fractions": {"pore": 0.4, "grain": 0.6}, "active_phases": ("pore",)}
        tensor = EffectiveTensor(
            value=np.eye(2), unit="um^2/s", physics="dispersion", averaged_over="active", retardation=retardation,
            coefficients={"velocity": velocity}, **shares,
        )  # fmt: skip
        assert carrying_velocity("t", tensor, unit="um/s") == pytest.approx([800.0, -800.0])
    with pytest.raises(InputError, match="velocity"):
        carrying_velocity("t", replace(tensor, coefficients={}), unit="um/s")
