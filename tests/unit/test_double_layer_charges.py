"""What is refused of charges, and where the potential cannot be found."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import ufl

from homfem import solve
from homfem.cells import fibre_array, slit
from homfem.local.charges import Charges
from homfem.local.electrokinetics import cells_within, electrokinetic_problem
from homfem.local.engine import solve_correctors
from homfem.local.poisson_boltzmann import _Layer, solve_poisson_boltzmann
from homfem.local.problem import CellProblem, Field, element_of
from homfem.parameters import CellError, ConvergenceError, InputError
from made_cells import grid_cell

SALT: dict[str, Any] = {
    "fluid": ("pore",), "valences": (1, -1), "baths": (1.0, 1.0), "permittivities": {"pore": 0.1}
}  # fmt: skip


@pytest.mark.parametrize(
    ("changes", "name"),
    [
        ({"valences": (1,)}, "valences"),
        ({"valences": (), "baths": ()}, "valences"),
        ({"baths": (1.0, float("nan"))}, "bath"),
        ({"baths": (1.0, 0.0)}, "bath"),
        ({"baths": (1.0, 2.0)}, "ions"),
        ({"valences": (2, -1)}, "ions"),
        ({"permittivities": {}}, "permittivity"),
        ({"permittivities": {"pore": -1.0}}, "permittivity"),
        ({"permittivities": {"pore": float("nan")}}, "permittivity"),
        ({"potentials": {"walls": float("nan")}}, "wall_potential"),
        ({"potentials": {"walls": 101.0}}, "wall_potential"),
        ({"charges": {"walls": float("inf")}}, "wall_charge"),
        ({"potentials": {"walls": 1.0}, "charges": {"walls": 1.0}}, "wall_charge"),
        ({"potentials": {"pore|solid": 1.0}, "charges": {"solid|pore": 1.0}}, "wall_charge"),
        ({"potentials": {"pore|solid": 1.0}, "charges": {"walls": 1.0}}, "wall_charge"),
        ({"charges": {"pore|solid": 1.0, "walls": 1.0}}, "wall_charge"),
        ({"fixed": {"solid": 1.0}}, "fixed_charge"),
        ({"valences": (0, 0), "potentials": {"walls": 1.0}}, "wall_potential"),
        ({"valences": (0, 0), "charges": {"walls": 1.0}}, "wall_charge"),
        ({"valences": (0, 0), "fixed": {"pore": 1.0}}, "fixed_charge"),
    ],
)
def test_charges_that_make_no_sense_are_refused(changes: dict[str, Any], name: str) -> None:
    with pytest.raises(InputError, match=name):
        Charges(**SALT | changes)


def test_names_that_a_cell_does_not_have_are_refused() -> None:
    cell = slit(0.5, resolution=0.25)
    for changes, name in (
        ({"potentials": {"pore|gel": 1.0}}, "wall_potential"),
        ({"charges": {"gel": 1.0}}, "wall_charge"),
        ({"permittivities": {"pore": 0.1, "gel": 0.1}}, "phase"),
    ):
        with pytest.raises(InputError, match=name):
            solve_poisson_boltzmann(cell, Charges(**SALT | changes))
    with pytest.raises(InputError, match="degree"):
        solve_poisson_boltzmann(cell, Charges(**SALT), degree=5)


def test_what_is_not_found_is_told_with_its_numbers() -> None:
    cell = slit(0.5, resolution=0.25)
    with pytest.raises(ConvergenceError, match=r"residual is .* of the charges, the energy .* kT/e"):
        solve_poisson_boltzmann(cell, Charges(**SALT | {"charges": {"walls": 1e4}}), max_iterations=1)


def test_large_charges_and_fields_are_found() -> None:
    cell = slit(0.5, axis="y", resolution=0.1, grading=0.2)
    for given in ({"potentials": {"walls": -12.0}}, {"potentials": {"walls": 60.0}}, {"charges": {"walls": -1e4}}):
        found = solve_poisson_boltzmann(cell, Charges(**SALT | given))
        assert found.residual < 1e-9
        assert np.isfinite(found.energy)
    # Grahame: sigma = 2 eps kappa sinh(zeta / 2) of a wall whose ions all are beside it
    kappa = np.sqrt(2.0 / 0.1)
    sinh = 1e4 / (2.0 * 0.1 * kappa)
    assert np.abs(found.potential.x.array).max() == pytest.approx(2.0 * np.arcsinh(sinh), rel=0.1)
    assert found.resolution > 1.0  # and the mesh is too coarse for it


def test_a_large_potential_and_ions_of_two_charges() -> None:
    cell = slit(0.5, axis="y", resolution=0.1)
    given = SALT | {"valences": (2, -1), "baths": (1.0, 2.0), "potentials": {"walls": -12.0}}
    found = solve_poisson_boltzmann(cell, Charges(**given))
    assert found.residual < 1e-9
    assert found.resolution > 1e3  # a mesh that holds nothing of the layer, which its thickness says


def test_another_cell_is_no_part() -> None:
    one, other = (slit(0.5, resolution=resolution).raw for resolution in (0.25, 0.2))
    with pytest.raises(CellError, match="part of the cell"):
        cells_within(one, other)


def test_a_diffusivity_is_missing() -> None:
    cell = slit(0.5, resolution=0.25)
    charges = Charges(**SALT)
    found = solve_poisson_boltzmann(cell, charges)
    with pytest.raises(InputError, match="diffusivities"):
        electrokinetic_problem(cell, charges, found.potential, diffusivities=(1.0,), viscosity=1.0)


def test_a_field_without_a_load_between_fields_with_one_is_no_hindrance() -> None:
    cell = fibre_array("square", fraction=0.3, resolution=0.2)
    element = element_of(cell, "Lagrange", 1)

    def bilinear(u: Any, v: Any) -> Any:
        return sum(a * b + ufl.inner(ufl.grad(a), ufl.grad(b)) for a, b in zip(u, v, strict=True)) * ufl.dx

    def linear(v: Any, s: Any) -> Any:
        return s[0] * (v[0] + 3.0 * v[2]) * ufl.dx

    problem = CellProblem(
        name="three fields", fields=(Field(element=element),) * 3, loads=1, bilinear=bilinear, linear=linear,
        average=lambda w, s, z, t: linear(w, t), domain=cell.mesh,
    )  # fmt: skip
    found = solve_correctors(cell, problem).functions[0]
    for function, expected in zip(found, (1.0, 0.0, 3.0), strict=True):
        assert function.x.array == pytest.approx(expected, abs=1e-8)


def test_charges_in_parts_are_solved_by_multigrid_too(monkeypatch: pytest.MonkeyPatch) -> None:
    """Too few steps for all charges at once: half of them go first, and each part has prolongations of its own."""
    cell = slit(0.5, axis="y", resolution=0.15)
    charges = Charges(**SALT | {"permittivities": {"pore": 1e-3}}, potentials={"walls": -12.0})
    parts, hold = list[float](), _Layer.hold

    def held(layer: _Layer, part: float) -> None:
        parts.append(part)
        hold(layer, part)

    whole = solve_poisson_boltzmann(cell, charges, degree=2)
    monkeypatch.setattr(_Layer, "hold", held)
    monkeypatch.setitem(solve.DIRECT_CORRECTORS, 2, 0)
    found = solve_poisson_boltzmann(cell, charges, degree=2, max_iterations=7)
    assert parts == [1.0, 0.5, 1.0]
    assert found.potential.x.array == pytest.approx(whole.potential.x.array, abs=1e-6)


def test_residuals_are_relative_to_all_charges() -> None:
    """Of both signs, in the fluid, fixed and on walls: at no potential in closed form."""
    cell = slit(0.5, axis="y", resolution=0.25)
    charges = Charges(
        **SALT | {"valences": (2, -1), "baths": (1.5, 3.0)}, fixed={"pore": -0.7}, charges={"walls": -0.4}
    )
    layer = _Layer(cell, charges, 2)
    vector = solve.assemble_vector(layer.size(ufl.TestFunction(layer.psi.function_space)))
    assert vector.sum() == pytest.approx(0.5 * (2 * 1.5 + 3.0) + 0.5 * 0.7 + 2.0 * 0.4, rel=1e-12)
    vector.destroy()


@pytest.mark.parametrize("degree", [1, 2])
def test_resolution_is_the_thickness_over_that_of_the_layer_and_the_degree(degree: int) -> None:
    """Heights of right triangles with legs 1/3 and 1/8, in a layer of a small potential, of Debye's length."""
    cell = grid_cell((3, 8), lambda s: (np.abs(s[:, 1] - 0.5) > 0.25).astype(int), names=("pore", "solid"))
    charges = Charges(**SALT | {"permittivities": {"pore": 0.05}}, potentials={"walls": 0.3})
    found = solve_poisson_boltzmann(cell, charges, degree=degree)
    height = 1.0 / np.hypot(3.0, 8.0)
    assert found.resolution == pytest.approx(height * np.sqrt(2.0 / 0.05) / degree, rel=0.03)
