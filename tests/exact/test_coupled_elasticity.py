"""Thermoelasticity, poroelasticity and active stress: relations that hold exactly on every mesh."""

from __future__ import annotations

import numpy as np
import pytest

from homfem.cells import fibre_array
from homfem.certify import (
    homogenize_active_stress,
    homogenize_elasticity,
    homogenize_poroelasticity,
    homogenize_thermoelasticity,
)
from homfem.limits import BudgetError
from homfem.parameters import InputError, PercolationError
from homfem.quantities import Quantity
from homfem.stiffness import isotropic, stiffness
from made_cells import grid_cell

PHASES = {"a": {"young": 1.0, "poisson": 0.3}, "b": {"young": 8.0, "poisson": 0.2}}


def square_inclusion(s):
    return ((np.abs(s[:, 0] - 0.5) < 0.3) & (np.abs(s[:, 1] - 0.5) < 0.2)).astype(int)


def layers(s):
    return (s[:, 0] > 0.25).astype(int)


CELLS = {2: ((10, 10), square_inclusion), 3: ((4, 4, 4), lambda s: (np.abs(s - 0.5).max(axis=1) < 0.3).astype(int))}


@pytest.mark.parametrize("dimension", [2, 3])
def test_rosen_and_hashin(dimension):
    """Two phases: the expansion follows from the stiffness, a* = a1 + (a2 - a1) (S2 - S1)^-1 (S* - S1)."""
    shape, paint = CELLS[dimension]
    cell = grid_cell(shape, paint, names=("a", "b"))
    found = homogenize_thermoelasticity(cell, PHASES, {"a": 1.0, "b": -0.5}, degree=1, rtol=1e-12)
    compliance = {name: np.linalg.inv(stiffness(value, dimension)) for name, value in PHASES.items()}
    ones = np.where(np.arange(len(found.expansion)) < dimension, 1.0, 0.0)
    mixed = np.linalg.solve(compliance["b"] - compliance["a"], np.linalg.inv(found.stiffness.value) - compliance["a"])
    assert found.expansion == pytest.approx(ones - 1.5 * ones @ mixed, abs=1e-9)
    assert found.stress == pytest.approx(found.stiffness.value @ found.expansion, abs=1e-12)


def test_anisotropic_expansion_of_one_solid_is_its_own():
    cell = grid_cell((4, 4), layers, names=("a", "b"))
    strain = [0.1, -0.4, 0.3]
    found = homogenize_thermoelasticity(cell, PHASES, {"a": strain, "b": strain})
    assert found.expansion == pytest.approx(strain, abs=1e-9)
    assert {entry.unit for entry in found.tensor.coefficients.values()} == {""}


@pytest.mark.parametrize("dimension", [2, 3])
def test_biot(dimension):
    """One solid: b = (1 - C* S) I and 1/N = (b - phi I).S I, whatever the pores look like."""
    shape, paint = CELLS[dimension]
    cell = grid_cell(shape, paint, names=("solid", "pore"))
    found = homogenize_poroelasticity(cell, {"solid": PHASES["a"]}, degree=1, rtol=1e-12)
    ones = np.where(np.arange(len(found.biot)) < dimension, 1.0, 0.0)
    squeezed = np.linalg.solve(isotropic(**PHASES["a"], dimension=dimension), ones)
    assert found.porosity == pytest.approx(cell.volume_fractions["pore"])
    assert found.biot == pytest.approx(ones - found.stiffness.value @ squeezed, abs=1e-9)
    assert 1.0 / found.modulus == pytest.approx((found.biot - found.porosity * ones) @ squeezed, abs=1e-9)
    assert found.biot[0] > found.porosity
    assert found.storage(np.inf) == pytest.approx(1.0 / found.modulus)


def test_solid_that_floats_in_the_pores_is_fluid():
    """It has the pressure of the fluid all over: the stress of the body is that without it."""

    def rings(inner):
        return grid_cell(
            (10, 10),
            lambda s: np.digitize(np.abs(s - 0.5).max(axis=1), [0.2, 0.3]) == (2 if inner else 1),
            names=("solid", "pore") if not inner else ("pore", "solid"),
        )

    floating, empty = (
        homogenize_poroelasticity(rings(inner), {"solid": PHASES["a"]}, degree=1, rtol=1e-12, bounds=True)
        for inner in (False, True)
    )
    assert floating.biot == pytest.approx(empty.biot, abs=1e-9)
    assert floating.modulus == pytest.approx(empty.modulus, rel=1e-9)
    assert floating.porosity == pytest.approx(empty.porosity) == pytest.approx(0.36)
    assert "0.16 of the volume, is taken for a part of the fluid" in "".join(floating.tensor.warnings)
    assert not empty.tensor.warnings
    ones = np.array([1.0, 1.0, 0.0])
    squeezed = np.linalg.solve(isotropic(**PHASES["a"], dimension=2), ones)
    assert floating.biot == pytest.approx(ones - floating.stiffness.value @ squeezed, abs=1e-9)


def test_max_dofs_holds_without_bounds():
    cell = grid_cell((4, 4), layers, names=("a", "b"))
    with pytest.raises(BudgetError, match="max_dofs = 20"):
        homogenize_active_stress(cell, PHASES, "a", [1.0, 0.0], max_dofs=20)
    with pytest.raises(InputError, match="max_dofs = 0"):
        homogenize_active_stress(cell, PHASES, "a", [1.0, 0.0], max_dofs=0)


def test_storage_has_a_unit_that_is_one():
    """Also where that of the stiffness is a quotient."""
    cell = grid_cell((4, 4), layers, names=("pore", "solid"))
    for unit, factor in (("N/mm^2", 1e-6), ("GPa", 1e-9)):
        found = homogenize_poroelasticity(cell, {"solid": PHASES["a"]}, fluid_bulk=0.5, unit=unit).tensor
        storage = found.coefficients["storage"]
        assert Quantity(float(storage.value), storage.unit).to("1/Pa") == pytest.approx(factor * float(storage.value))


@pytest.mark.parametrize("fluid", [0.02, 0.3, 2.0])
def test_gassmann(fluid):
    """Undrained: K/(Ks - K) = Kd/(Ks - Kd) + Kf/(phi (Ks - Kf)), Gassmann 1951; K = Kd + b^2 M here."""
    shape, paint = CELLS[3]
    cell = grid_cell(shape, paint, names=("solid", "pore"))
    found = homogenize_poroelasticity(cell, {"solid": PHASES["a"]}, degree=1, rtol=1e-12)
    solid = 1.0 / (3.0 * (1.0 - 2.0 * 0.3))
    drained = found.stiffness.value[:3, :3].sum() / 9.0
    undrained = drained + found.biot[:3].mean() ** 2 / found.storage(fluid)
    ratio = drained / (solid - drained) + fluid / (found.porosity * (solid - fluid))
    assert undrained == pytest.approx(solid * ratio / (1.0 + ratio), rel=1e-8)
    assert abs(undrained - drained) > 0.01 * drained


def test_active_layers():
    """Along the layers nothing relaxes; across them the traction is shared as the layers' moduli want it."""
    cell = grid_cell((4, 4), layers, names=("a", "b"))
    share = cell.volume_fractions["a"]
    along = homogenize_active_stress(cell, PHASES, "a", [0.0, 3.0])
    assert along.stress == pytest.approx([0.0, share, 0.0], abs=1e-10)
    assert along.average == pytest.approx([0.0, share, 0.0], abs=1e-14)
    across = homogenize_active_stress(cell, PHASES, "a", [1.0, 0.0])
    (a, b), (lame_a, lame_b) = ([isotropic(**PHASES[name], dimension=2)[0, k] for name in ("a", "b")] for k in (0, 1))
    # M_a e_a + 1 = M_b e_b with share e_a + (1 - share) e_b = 0.
    strain_a = -1.0 / (a + b * share / (1.0 - share))
    strain_b = -share * strain_a / (1.0 - share)
    lateral = share * lame_a * strain_a + (1.0 - share) * lame_b * strain_b
    assert across.stress == pytest.approx([b * strain_b, lateral, 0.0], abs=1e-10)


def test_active_stress_of_all_phases_does_not_relax():
    cell = grid_cell((4, 4), lambda s: np.zeros(len(s), dtype=int), names=("a",))
    found = homogenize_active_stress(cell, {"a": PHASES["a"]}, "a", [1.0, 1.0])
    assert found.stress == pytest.approx([0.5, 0.5, 0.5], abs=1e-12)


@pytest.mark.parametrize("options", [{"bounds": True}, {"tolerance": 0.15}], ids=str)
def test_relations_hold_between_bounds(options):
    """The value stays the energy of the correctors, and that of the mesh a tolerance has refined."""
    cell = grid_cell((6, 6), square_inclusion, names=("solid", "pore"))
    found = homogenize_poroelasticity(cell, {"solid": PHASES["a"]}, degree=1, rtol=1e-12, unit="GPa", **options)
    both = homogenize_elasticity(cell, {"solid": PHASES["a"]}, degree=1, **options)
    assert found.stiffness.relative_gap == pytest.approx(both.relative_gap, rel=1e-6)
    assert found.stiffness.relative_gap <= options.get("tolerance", 1.0)
    assert (found.cell.number_of_cells > cell.number_of_cells) == ("tolerance" in options)
    assert found.porosity == pytest.approx(cell.volume_fractions["pore"], rel=1e-12)
    ones = np.array([1.0, 1.0, 0.0])
    squeezed = np.linalg.solve(isotropic(**PHASES["a"], dimension=2), ones)
    assert found.biot == pytest.approx(ones - found.stiffness.value @ squeezed, abs=1e-9)
    assert found.stiffness.contains(found.stiffness.value, slack=1e-12)
    assert found.tensor.coefficients["modulus"].unit == "GPa"
    assert found.tensor.lower == pytest.approx(found.stiffness.lower)


def test_an_upper_bound_is_claimed_only_where_there_is_one():
    cell = grid_cell((4, 4), layers, names=("a", "b"))
    plain = homogenize_thermoelasticity(cell, PHASES, {"a": [1, 1, 0], "b": [1, 1, 0]}, degree=1).stiffness
    assert plain.upper is not None
    assert np.linalg.eigvalsh(plain.upper - homogenize_elasticity(cell, PHASES, degree=1).lower)[0] > 0.0
    solid = isotropic(**PHASES["a"], dimension=2)
    sampled = PHASES | {"a": lambda x: np.broadcast_to(solid, (x.shape[1], 3, 3))}
    found = homogenize_thermoelasticity(cell, sampled, {"a": [1, 1, 0], "b": [1, 1, 0]}, degree=1).stiffness
    assert found.upper is None
    assert found.value == pytest.approx(plain.value, abs=1e-9)


def test_curved_phases_say_what_straight_facets_may_change():
    """As elasticity says it of the same cell, with bounds or without."""
    cell = fibre_array(fraction=0.3, resolution=0.2)
    solids = {"fibre": PHASES["b"], "matrix": PHASES["a"]}
    exact = homogenize_elasticity(cell, solids, degree=1)
    for options in ({}, {"bounds": True}):
        found = homogenize_active_stress(cell, solids, "fibre", [1.0, 0.0], degree=1, **options).stiffness
        assert found.geometric_error == pytest.approx(exact.geometric_error, rel=1e-6) != 0.0
        assert found.upper == pytest.approx(exact.upper, abs=1e-7)


def test_a_sheet_between_voids_has_no_expansion_of_its_own():
    """It transmits no stress across: what it expands there is not determined. Its Biot tensor is."""
    cell = grid_cell((4, 4), layers, names=("void", "solid"))
    with pytest.raises(PercolationError, match="connected in every direction"):
        homogenize_thermoelasticity(cell, {"solid": PHASES["a"]}, {"solid": 1.0})
    found = homogenize_poroelasticity(cell, {"solid": PHASES["a"]}, degree=1)
    # The fluid carries all of the traction across: b_xx = 1, and Poisson's part of it along.
    assert found.stiffness.value[0, 0] == 0.0
    assert found.biot == pytest.approx([1.0, 0.25 + 0.75 * 0.3 / 0.7, 0.0], abs=1e-9)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda c: homogenize_thermoelasticity(c, PHASES, {"a": 1.0}), r"expansions\['b'\]"),
        (lambda c: homogenize_thermoelasticity(c, PHASES, {"a": 1.0, "b": [1.0, 2.0]}), "Voigt strain of 3"),
        (lambda c: homogenize_thermoelasticity(c, {}, {}), "given for at least one"),
        (lambda c: homogenize_poroelasticity(c, PHASES), "given for some phases only"),
        (lambda c: homogenize_active_stress(c, PHASES, "c", [1.0, 0.0]), "active_phase"),
        (lambda c: homogenize_active_stress(c, PHASES, "a", [0.0, 0.0]), "direction"),
        (lambda c: homogenize_active_stress(c, PHASES, "a", [1.0, 0.0], tension=np.nan), "tension"),
        (lambda c: homogenize_active_stress(c, PHASES, "a", [1.0, 0.0], degree=5), "degree"),
        (lambda c: homogenize_active_stress(c, PHASES, "a", [1.0, 0.0], rtol=1.0), "rtol"),
        (lambda c: homogenize_active_stress(c, PHASES, "a", [1.0, 0.0], plane="plate"), "plane"),
        (lambda c: homogenize_poroelasticity(c, {"a": PHASES["a"]}, fluid_bulk=0.0), "fluid_bulk"),
        (lambda c: homogenize_poroelasticity(c, {"a": {"young": -1.0, "poisson": 0.3}}), "young"),
        (lambda c: homogenize_poroelasticity(c, {"a": {"young": 1.0, "poisson": 0.5}}), "incompressible"),
    ],
)
def test_refused(call, message):
    with pytest.raises(InputError, match=message):
        call(grid_cell((4, 4), layers, names=("a", "b")))
