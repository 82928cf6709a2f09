"""Effective tensors as UFL expressions: integrals over a square and a cube against what numpy makes of them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import ufl
from dolfinx import fem
from dolfinx import mesh as dmesh
from mpi4py import MPI

from homfem.parameters import InputError, UnitError
from homfem.stiffness import orthotropic, transversely_isotropic, voigt_to_tensor
from homfem.tensors import EffectiveTensor

SQUARE = dmesh.create_unit_square(MPI.COMM_SELF, 1, 1)
CUBE = dmesh.create_unit_cube(MPI.COMM_SELF, 1, 1, 1)
FIBRE, SHEET = np.array([1.0, 2.0, 2.0]) / 3.0, np.array([2.0, 1.0, -2.0]) / 3.0


def integral(expression: Any, mesh: dmesh.Mesh) -> float:
    return float(fem.assemble_scalar(fem.form(expression * ufl.dx(mesh))))


def entries(tensor: Any, mesh: dmesh.Mesh) -> np.ndarray:
    """Mean of each entry over a mesh of unit volume, by one form."""
    d = tensor.ufl_shape[0]
    pick = fem.Constant(mesh, np.zeros((d, d)))
    form, found = fem.form(ufl.inner(tensor, pick) * ufl.dx(mesh)), np.zeros((d, d))
    for place in np.ndindex(d, d):
        pick.value[:] = 0.0
        pick.value[place] = 1.0
        found[place] = fem.assemble_scalar(form)
    return found


def test_numbers_and_constants_are_the_value() -> None:
    value = [[2.0, 0.5], [0.5, 1.0]]
    tensor = EffectiveTensor(value=value, unit="um^2/s", active_phases=("a",), volume_fractions={"a": 0.5, "b": 0.5})
    np.testing.assert_allclose(entries(tensor.ufl(), SQUARE), value, rtol=1e-14)
    constant = tensor.ufl(SQUARE, unit="mm^2/s", per_phase=True)
    assert isinstance(constant, fem.Constant)
    np.testing.assert_allclose(constant.value, 2e-6 * np.array(value), rtol=1e-14)
    plain = EffectiveTensor(value=value).ufl(unit="um^2/s")
    np.testing.assert_allclose(entries(plain, SQUARE), value, rtol=1e-14)
    with pytest.raises(UnitError, match="unit"):
        tensor.ufl(unit="S/m")


def test_a_stiffness_has_four_indices() -> None:
    c = orthotropic(young=(10.0, 5.0, 3.0), poisson=(0.2, 0.25, 0.3), shear=(1.0, 2.0, 3.0))
    tensor = EffectiveTensor(value=c, physics="elasticity", unit="kPa").ufl(CUBE, unit="Pa")
    np.testing.assert_allclose(tensor.value, 1e3 * voigt_to_tensor(c), rtol=1e-14)


def test_a_tensor_lies_along_fibres_and_sheets_that_vary() -> None:
    """On [0, 1] the fibre turns with x by a right angle: the mean of cos^2 is 1/2, of sin cos 1/pi."""
    x = ufl.SpatialCoordinate(SQUARE)
    angle = 0.5 * np.pi * x[0]
    tensor = EffectiveTensor(value=np.diag([3.0, 1.0]))
    found = tensor.ufl(SQUARE, fibre=ufl.as_vector([ufl.cos(angle), ufl.sin(angle)]))
    measure = ufl.dx(SQUARE, metadata={"quadrature_degree": 20})
    mean = [[fem.assemble_scalar(fem.form(found[i, j] * measure)) for j in range(2)] for i in range(2)]
    np.testing.assert_allclose(mean, [[2.0, 2.0 / np.pi], [2.0 / np.pi, 2.0]], rtol=1e-12)


@pytest.mark.parametrize("with_mesh", [False, True])
def test_in_space_it_is_that_of_the_turned_body(with_mesh: bool) -> None:
    mesh = CUBE if with_mesh else None
    fibre, sheet = (fem.Constant(CUBE, axis) for axis in (FIBRE, SHEET))
    tensor = EffectiveTensor(value=np.diag([5.0, 3.0, 1.0]))
    turned = tensor.rotated(fibre=FIBRE, sheet=SHEET).value
    np.testing.assert_allclose(entries(tensor.ufl(mesh, fibre=fibre, sheet=sheet), CUBE), turned, atol=1e-13)
    alike = EffectiveTensor(value=np.diag([5.0, 2.0, 2.0]))
    np.testing.assert_allclose(
        entries(alike.ufl(mesh, fibre=fibre), CUBE), alike.rotated(fibre=FIBRE).value, atol=1e-13
    )


@pytest.mark.parametrize(("alike", "f"), [(False, FIBRE), (True, FIBRE), (True, [1, 0, 0]), (True, [0, 0.6, 0.8])])
def test_energies_of_a_turned_stiffness_are_those_of_numpy(alike: bool, f: Any) -> None:
    if alike:
        c = transversely_isotropic(
            young_along=10.0, young_across=4.0, poisson_along=0.3, poisson_across=0.35, shear_along=2.0, axis="x"
        )
    else:
        c = orthotropic(young=(10.0, 5.0, 3.0), poisson=(0.2, 0.25, 0.3), shear=(1.0, 2.0, 3.0))
    tensor = EffectiveTensor(value=c, physics="elasticity")
    axes = {"fibre": np.array(f, dtype=np.float64)} if alike else {"fibre": FIBRE, "sheet": SHEET}
    found = tensor.ufl(CUBE, **{name: fem.Constant(CUBE, axis) for name, axis in axes.items()})
    strain = np.array([[1.0, 0.2, -0.4], [0.2, -0.5, 0.3], [-0.4, 0.3, 0.1]])
    i, j, k, m = ufl.indices(4)
    e = fem.Constant(CUBE, strain)
    energy = integral(found[i, j, k, m] * e[i, j] * e[k, m], CUBE)
    expected = np.einsum("ijkl,ij,kl", voigt_to_tensor(tensor.rotated(**axes).value), strain, strain)
    assert energy == pytest.approx(expected, rel=1e-12)


def test_what_does_not_fit_is_refused() -> None:
    tensor = EffectiveTensor(value=np.diag([3.0, 2.0, 1.0]))
    fibre = fem.Constant(CUBE, FIBRE)
    for arguments, message in (
        ({"mesh": SQUARE}, "mesh in 3 dimensions"),
        ({"mesh": "mesh"}, "mesh in 3 dimensions"),
        ({"fibre": fibre}, "sheet = None"),
        ({"sheet": fibre}, "left out without a fibre"),
        ({"fibre": FIBRE}, r"UFL vector of 3 components.*rotated"),
        ({"fibre": fibre, "sheet": fem.Constant(SQUARE, FIBRE[:2])}, "sheet.*3 components"),
    ):
        with pytest.raises(InputError, match=f"(?s){message}"):
            tensor.ufl(**arguments)
    # A part that is skew about the fibre is the same however it is turned, and no multiple of f f.
    hall = EffectiveTensor(value=[[3.0, 0, 0], [0, 1.0, 0.2], [0, -0.2, 1.0]], physics="dispersion")
    with pytest.raises(InputError, match="sheet = None"):
        hall.ufl(fibre=fibre)
