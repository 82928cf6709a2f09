"""Ions and fluid in charged pores: what follows from Onsager's matrix, units, limits, the loop, what is refused."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from dolfinx import fem
from scipy.integrate import solve_ivp
from scipy.optimize import brentq

from homfem.cells import fibre_array, obstacles, slit
from homfem.certify import Accuracy, solve_cell
from homfem.certify.electrokinetics import Electrokinetics, homogenize_electrokinetics, layers, solve_electrokinetics
from homfem.certify.electrokinetics.change import Response, _of_equilibrium, compare
from homfem.certify.electrokinetics.layers import cells_along_walls
from homfem.certify.electrokinetics.results import derived
from homfem.electrolytes import FARADAY, GAS, Ion
from homfem.local.charges import Charges
from homfem.local.electrokinetics import electrokinetic_problem, potential_on
from homfem.local.engine import solve_correctors
from homfem.local.poisson_boltzmann import solve_poisson_boltzmann
from homfem.parameters import ConvergenceError, InputError, PercolationError

PHASES = ("pore", "matrix")


def salt(*, bath: float = 1.0, diffusivity: float = 1.0, ratio: float = 1.0) -> list[Ion]:
    """A 1:1 salt; the anion diffuses ``ratio`` times as fast."""
    return [
        Ion(name=name, valence=z, bath=bath, diffusivities=dict.fromkeys(PHASES, diffusivity * factor))
        for name, z, factor in (("Na", 1, 1.0), ("Cl", -1, ratio))
    ]


def value(tensor: Any, name: str) -> Any:
    """A coefficient of a tensor."""
    return tensor.coefficients[name].value


def test_a_charged_slit_has_the_derived_numbers_of_its_matrix() -> None:
    cell = slit(0.5, axis="y", resolution=0.1, period=4.0)
    given: dict[str, Any] = {"viscosity": 1.0, "permittivity": 0.5, "wall_potential": -2.0}
    tensor = homogenize_electrokinetics(cell, salt(), degree=4, **given)
    found = {name: one.value.ravel()[0] for name, one in tensor.coefficients.items()}
    assert tensor.value[0, 0] / 0.5 == pytest.approx(4.111901100, rel=1e-6)
    assert found["electroosmotic_mobility"] / 0.5 == pytest.approx(0.5468936036, rel=1e-6)
    assert found["transference.Na"] == pytest.approx(0.9595617693, rel=1e-6)
    assert found["transference.Na"] + found["transference.Cl"] == pytest.approx(1.0, rel=1e-12)
    assert found["concentration.Na"] / 0.5 == pytest.approx(2.736703332, rel=1e-6)
    assert found["permeability"] == pytest.approx(0.5 / 3.0, rel=1e-10)
    stopped = 0.5 / 3.0 - found["electroosmotic_mobility"] ** 2 / tensor.value[0, 0]
    assert found["electroviscous_permeability"] == pytest.approx(stopped, rel=1e-9)
    assert found["streaming_coupling"] == pytest.approx(-found["electroosmotic_mobility"] / tensor.value[0, 0])
    matrix, virtual = value(tensor, "onsager"), value(tensor, "onsager_bath")
    assert np.array_equal(matrix, matrix.T)
    assert virtual[2, 2] == pytest.approx(matrix[2, 2] - 2.0 * matrix[0, 2] + matrix[0, 0], rel=1e-12)
    assert np.all(matrix[1::2] == 0.0)  # nothing crosses the walls
    assert "onsager_bath" in tensor.conventions["variables"]


def test_what_follows_from_any_matrix_is_what_its_forces_drive() -> None:
    """A field alone, and a pressure gradient without a current, by the fluxes of a matrix that is only symmetric."""
    draw, d, charge, viscosity = np.random.default_rng(5), 2, 1.7, 0.3
    ions = [Ion(name=name, valence=z, bath=1.0, diffusivities={}) for name, z in (("Na", 1), ("Ca", 2), ("Cl", -1))]
    root = draw.standard_normal((d * 4, d * 4))
    matrix, z = root @ root.T, charge * np.array([ion.valence for ion in ions])
    found = derived(matrix, ions, np.eye(d), viscosity=viscosity, charge=charge)

    def driven(pull, field):
        fluxes = (matrix @ np.concatenate([pull, *(one * field for one in z)])).reshape(4, d)
        return fluxes[0], fluxes[1:], z @ fluxes[1:]

    for axis in np.eye(d):
        flow, carried, current = driven(0.0 * axis, axis)
        assert found["conductivity"] @ axis == pytest.approx(current, rel=1e-12)
        assert found["electroosmotic_mobility"] @ axis == pytest.approx(flow, rel=1e-12)
        for one, own, ion in zip(z, carried, ions, strict=True):
            assert found[f"transference.{ion.name}"] @ current == pytest.approx(one * own, rel=1e-9)
        # The field that stops the current of a pressure gradient: minus the gradient of its potential.
        field = found["streaming_coupling"] @ axis
        flow, _, current = driven(axis, field)
        assert current == pytest.approx(np.zeros(d), abs=1e-9 * np.abs(matrix).max())
        assert found["electroviscous_permeability"] @ axis == pytest.approx(viscosity * flow, rel=1e-9)
        assert found["permeability"] @ axis == pytest.approx(viscosity * driven(axis, 0.0 * axis)[0], rel=1e-12)


def test_the_units_of_the_input_are_those_of_the_result() -> None:
    cell = fibre_array("square", fraction=0.3, resolution=0.2, order=2, period=50.0, length_unit="nm")
    temperature, bath, diffusivity, length = 300.0, 2.0, 1.5e-9, 50e-9
    thermal = GAS * temperature
    plain = fibre_array("square", fraction=0.3, resolution=0.2, order=2)
    reduced = homogenize_electrokinetics(
        plain, salt(ratio=1.4), "matrix", viscosity=0.1, permittivity=0.02, wall_charge=-0.1
    )
    real = homogenize_electrokinetics(
        cell,
        salt(bath=bath, diffusivity=diffusivity, ratio=1.4),
        "matrix",
        viscosity=0.1 * thermal * bath * length**2 / diffusivity,
        permittivity=0.02 * FARADAY**2 * bath * length**2 / thermal,
        wall_charge=-0.1 * FARADAY * bath * length,
        temperature=temperature,
    )
    assert real.unit == "S/m"
    factor = FARADAY**2 * diffusivity * bath / thermal
    assert real.value == pytest.approx(factor * reduced.value, rel=1e-9, abs=1e-9 * factor)
    for name, scale in {
        "permeability": length**2,
        "electroviscous_permeability": length**2,
        "electroosmotic_mobility": diffusivity * FARADAY / thermal,
        "streaming_coupling": 1.0 / (FARADAY * bath),
        "transference.Cl": 1.0,
        "concentration.Na": bath,
    }.items():
        expected = scale * value(reduced, name)
        assert value(real, name) == pytest.approx(expected, rel=1e-8, abs=1e-9 * scale)
    matrix, other = value(real, "onsager"), value(reduced, "onsager")
    assert matrix[0, 0] == pytest.approx(other[0, 0] * diffusivity / (thermal * bath), rel=1e-9)
    assert matrix[0, 4] == pytest.approx(other[0, 4] * diffusivity / thermal, rel=1e-9)
    assert matrix[2, 4] == pytest.approx(other[2, 4] * diffusivity * bath / thermal, rel=1e-9)


def test_thin_layers_slip_as_smoluchowski_says() -> None:
    cell = fibre_array("square", fraction=0.3, resolution=0.1, refinement=1, order=2)
    lags = []
    for kappa in (30.0, 60.0):
        tensor = homogenize_electrokinetics(
            cell, salt(), "matrix", viscosity=1.0, permittivity=2.0 / kappa**2, wall_potential=-0.1, degree=3
        )
        # U = -(eps zeta / eta) E, with E the field of the uncharged cell: D* = 0.53758 of its mean.
        thin = 0.1 * 2.0 / kappa**2 * 0.53758
        lags.append(1.0 - value(tensor, "electroosmotic_mobility")[0, 0] / thin)
    # What is left is the displacement of the layers, which falls as their thickness.
    assert 0.0 < lags[1] < 0.2
    assert lags[0] / lags[1] == pytest.approx(2.0, rel=0.25)


def test_a_tolerance_is_reached_on_meshes_refined_at_the_walls() -> None:
    cell = obstacles(0.5, resolution=0.2)
    given = Electrokinetics(ions=salt(), fluid="pore", viscosity=0.1, permittivity=2.0 / 6.0**2, wall_potential=-2.0)
    solution = solve_cell(cell, given, Accuracy(tolerance=0.03))
    tensor = solution.tensor
    assert tensor.reached
    assert tensor.estimated_error < 0.03
    assert solution.history[-1]["relative_gap"] < solution.history[0]["relative_gap"]
    finer = homogenize_electrokinetics(
        obstacles(0.5, resolution=0.1, grading=0.2), salt(), viscosity=0.1, permittivity=2.0 / 6.0**2,
        wall_potential=-2.0, degree=3,
    )  # fmt: skip
    change = value(tensor, "onsager") - value(finer, "onsager")
    size = np.sqrt(np.diag(value(finer, "onsager")))
    assert np.abs(change / np.outer(size, size)).max() < tensor.estimated_error
    assert not tensor.warnings


def test_a_layer_that_the_mesh_does_not_resolve_is_told() -> None:
    cell = slit(0.5, axis="y", resolution=0.25)
    tensor = homogenize_electrokinetics(cell, salt(), viscosity=1.0, permittivity=1e-4, wall_potential=-6.0)
    assert any("does not resolve the diffuse layer" in text for text in tensor.warnings)
    curved = fibre_array("square", fraction=0.3, resolution=0.2)
    tensor = homogenize_electrokinetics(curved, salt(), "matrix", viscosity=1.0, permittivity=0.1)
    assert 0.0 < tensor.relative_geometric_error < 0.1  # it was warned of, and is estimated


def test_layers_that_would_take_too_many_mesh_cells_are_refused_at_once() -> None:
    ions = [
        Ion(name=name, valence=z, bath=c, diffusivities={"matrix": 1.0}) for name, z, c in (("Ca", 2, 1), ("Cl", -1, 2))
    ]
    cell = fibre_array("square", fraction=0.3, resolution=0.1)
    with pytest.raises(InputError, match=r"refine_layers.*layer is .* thick, and some .* mesh cells"):
        solve_electrokinetics(
            cell, ions, "matrix", viscosity=0.1, permittivity=0.02, wall_potential=-12.0, tolerance=0.1
        )


def test_walls_take_as_many_mesh_cells_as_their_layer_is_thin() -> None:
    cell = slit(0.5, axis="y", resolution=0.25)
    common: dict[str, Any] = {
        "fluid": ("pore",),
        "valences": (1, -1),
        "baths": (1.0, 1.0),
        "permittivities": {"pore": 0.02},
    }
    zeta = -5.0
    thickness, number = cells_along_walls(cell, Charges(**common, potentials={"walls": zeta}), 3)
    assert thickness == pytest.approx(np.sqrt(0.02 / (2.0 * np.cosh(zeta))), rel=1e-12)
    assert number == pytest.approx(2.0 / (9.0 * thickness), rel=1e-12)
    charge = np.sqrt(8.0 * 0.02) * np.sinh(0.5 * zeta)  # Grahame's equation of a 1:1 salt
    assert cells_along_walls(cell, Charges(**common, charges={"walls": charge}), 3) == pytest.approx(
        (thickness, number)
    )
    assert cells_along_walls(cell, Charges(**common), 3) == (np.inf, 0.0)
    space = slit(0.5, axis="y", dimension=3, resolution=1 / 3)
    assert cells_along_walls(space, Charges(**common, potentials={"walls": zeta}), 3)[1] == pytest.approx(
        2.0 / (9.0 * thickness) ** 2, rel=1e-12
    )


def test_a_slit_in_space_is_that_in_the_plane() -> None:
    given: dict[str, Any] = {"viscosity": 1.0, "permittivity": 0.2, "wall_charge": -0.5}
    plane = homogenize_electrokinetics(slit(0.5, axis="y", resolution=0.25, period=2.0), salt(), degree=2, **given)
    cell = slit(0.5, axis="y", dimension=3, resolution=1 / 3, period=2.0)
    space = homogenize_electrokinetics(cell, salt(), preconditioner="multigrid", **given)
    assert space.value[0, 0] == pytest.approx(plane.value[0, 0], rel=0.01)
    assert space.value[2, 2] == pytest.approx(space.value[0, 0], rel=0.01)
    assert space.iterations > 15  # of all nine loads at once; factors take one for each


def test_layers_are_refined_where_they_are_thin(monkeypatch: pytest.MonkeyPatch, caplog: Any) -> None:
    """Mesh cells thicker than the length of Debye are bisected, at the walls alone; or are told of."""
    cell = slit(0.5, axis="y", resolution=0.15)
    given: dict[str, Any] = {"viscosity": 1.0, "permittivity": 1e-3, "wall_potential": -3.0}
    coarse = solve_electrokinetics(cell, salt(), **given)
    assert any("does not resolve the diffuse layer" in words for words in coarse.tensor.warnings)
    fine = solve_electrokinetics(cell, salt(), refine_layers=True, **given)
    assert not fine.tensor.warnings
    assert fine.tensor.estimated_error is None
    # The estimate beside the warning is about as large as the error in the matrix, relative to the dissipation.
    better, off = (value(one.tensor, "onsager") for one in (fine, coarse))
    size = np.sqrt(np.diag(better)[::2])
    change = np.linalg.eigvalsh(((off - better)[::2, ::2]) / np.outer(size, size))
    assert 0.5 < coarse.tensor.estimated_error / np.abs(change).max() < 2.0
    # A tolerance is not reached where layers are not resolved, whatever the estimate.
    loose = solve_electrokinetics(cell, salt(), refine_layers=False, tolerance=0.5, **given)
    assert loose.tensor.estimated_error < 0.5
    assert not loose.tensor.reached
    assert loose.tensor.warnings
    heights = fine.cell.mesh.geometry.x[:, 1]
    at_walls = (np.abs(heights - 0.25) < 0.05) | (np.abs(heights - 0.75) < 0.05)
    assert 2 * np.count_nonzero(at_walls) > len(heights) > 4 * len(cell.mesh.geometry.x)
    # The slit's conductivity in closed form: sum z^2 D <c> + (eps^2/eta) <psi'^2>, by quadrature of psi.
    exact = _slit_conductivity(zeta=-3.0, half=0.25, permittivity=1e-3, viscosity=1.0)
    errors = [abs(one.tensor.value[0, 0] / exact - 1.0) for one in (coarse, fine)]
    assert errors[1] < 4e-3 < 20.0 * errors[1] < errors[0], errors
    monkeypatch.setitem(layers.MOST, 2, fine.cell.number_of_cells - 1)
    with caplog.at_level("WARNING", "homfem"):
        left = layers.resolved(cell, Electrokinetics(ions=salt(), fluid="pore", **given).prepared(cell, Accuracy())[
            0].charges(cell), 2)  # fmt: skip
    assert cell.number_of_cells < left.number_of_cells < fine.cell.number_of_cells
    assert "they stay as coarse as they are" in caplog.text


def test_without_a_positive_dissipation_there_is_no_estimate(monkeypatch: pytest.MonkeyPatch, caplog: Any) -> None:
    """As the matrix of a mesh that is far too coarse may have none: the sign of one entry is turned here."""
    cell = slit(0.5, axis="y", resolution=0.25)
    given: dict[str, Any] = {"viscosity": 1.0, "permittivity": 1e-3, "wall_potential": -3.0, "refine_layers": False}
    sound = solve_electrokinetics(cell, salt(), degree=2, **given)
    assert sound.tensor.estimated_error > 0.0
    respond = Electrokinetics._response

    def without_a_sign(self: Electrokinetics, *rest: Any) -> Any:
        found = respond(self, *rest)
        if rest[-1] == 2:
            return found
        average = found.correctors.average.copy()
        average[0, 0] *= -1.0
        return replace(found, correctors=replace(found.correctors, average=average))

    monkeypatch.setattr(Electrokinetics, "_response", without_a_sign)
    with caplog.at_level("INFO", "homfem"):
        left = solve_electrokinetics(cell, salt(), degree=2, **given)
    assert left.tensor.estimated_error is None
    assert "no estimate of the error" in caplog.text
    assert left.tensor.value == pytest.approx(sound.tensor.value, rel=1e-12)
    with pytest.raises(ConvergenceError, match=r"no estimate of the error.*refine_layers"):
        solve_electrokinetics(cell, salt(), degree=3, tolerance=0.5, **given)


@pytest.mark.parametrize("zeta", [None, -3.0])
def test_where_a_degree_changes_something(zeta: float | None) -> None:
    """In the fluid alone; of the equilibrium it is less than its own energy."""
    cell = fibre_array("square", fraction=0.3, resolution=0.2)
    given: dict[str, Any] = {"viscosity": 1.0, "permittivity": 0.02, "wall_potential": zeta}
    solved = solve_electrokinetics(
        cell, salt(), "matrix", tolerance=0.9, refine_layers=False, **given
    ).solved  # fmt: skip
    parts = solved.gaps()
    assert np.count_nonzero(parts) == solved.cell.number_of_cells < 0.9 * len(parts)  # that of the fluid
    assert parts.min() == 0.0
    assert 1e-5 < parts.sum() < 1.0


def _uncharged(viscosity: float):
    cell = fibre_array("square", fraction=0.3, resolution=0.3)
    charges = Charges(fluid=("matrix",), valences=(1, -1), baths=(1.0, 1.0), permittivities={"matrix": 0.1})
    found, fluid = solve_poisson_boltzmann(cell, charges), cell.restrict(["matrix"])
    problem = electrokinetic_problem(
        fluid, charges, potential_on(fluid, found), diffusivities=(1.0, 1.0), viscosity=viscosity
    )
    return (
        cell,
        fluid,
        Response(equilibrium=found, correctors=solve_correctors(fluid, problem, preconditioner="direct", rtol=1e-12)),
    )


def _scaled(response: Response, fields: float, matrix: float) -> Response:
    """With other fields and another matrix."""
    scaled = []
    for load in response.correctors.functions:
        functions = tuple(fem.Function(one.function_space) for one in load)
        for one, source in zip(functions, load, strict=True):
            one.x.array[:] = fields * source.x.array
        scaled.append(functions)
    correctors = replace(response.correctors, functions=tuple(scaled), average=matrix * response.correctors.average)
    return replace(response, correctors=correctors)


def test_what_a_degree_changes_is_the_larger_of_fields_and_matrix() -> None:
    """Of the uncharged: all that the flow dissipates is the energy of its velocity."""
    cell, fluid, response = _uncharged(1.0)
    for fields, matrix, error in ((1.0, 0.9, 0.1), (0.5, 1.0, 0.25), (0.5, 1.4, 0.4), (1.0, 1.0, 0.0)):
        change = compare(cell, fluid, response, _scaled(response, fields, matrix))
        assert change.error == pytest.approx(error, rel=1e-6, abs=1e-9)


def test_parts_of_what_a_degree_changes_have_no_unit() -> None:
    parts = []
    for viscosity in (1.0, 10.0):
        cell, fluid, response = _uncharged(viscosity)
        parts.append(compare(cell, fluid, response, _scaled(response, 0.0, 1.0)).parts)
    assert parts[0].sum() > 0.1
    assert parts[1] == pytest.approx(parts[0], rel=1e-6, abs=1e-9)


def test_parts_of_the_equilibrium_are_those_of_its_energy() -> None:
    """Where the other potential is zero all of it is changed."""
    cell = fibre_array("square", fraction=0.3, resolution=0.3)
    for permittivity in (0.1, 5.0):
        charges = Charges(
            fluid=("matrix",),
            valences=(1, -1),
            baths=(1.0, 1.0),
            permittivities={"matrix": permittivity},
            potentials={"walls": -1.0},
        )
        found = solve_poisson_boltzmann(cell, charges)
        other = replace(found, potential=fem.Function(found.potential.function_space))
        assert _of_equilibrium(cell, found, other).sum() == pytest.approx(1.0, rel=1e-9)


def _slit_conductivity(zeta: float, half: float, permittivity: float, viscosity: float) -> float:
    """Of a 1:1 salt, c_b = D = 1, per volume of a cell of the period 1."""
    kappa = np.sqrt(2.0 / permittivity)

    def rhs(y: float, state: Any) -> list[float]:
        return [state[1], kappa**2 * np.sinh(state[0])]

    def wall(middle: float) -> float:
        found = solve_ivp(rhs, (0.0, half), [middle, 0.0], rtol=1e-10, atol=1e-14)
        return float(found.y[0, -1]) - zeta

    middle = brentq(wall, zeta, 1e-3 * zeta * np.exp(-kappa * half), xtol=1e-16, rtol=1e-13)
    y, weights = np.polynomial.legendre.leggauss(200)
    y, weights = 0.5 * half * (y + 1.0), weights * half  # both halves
    psi, slope = solve_ivp(rhs, (0.0, half), [middle, 0.0], rtol=1e-10, atol=1e-14, dense_output=True).sol(y)
    return float(weights @ (2.0 * np.cosh(psi) + permittivity**2 / viscosity * slope**2))


@pytest.mark.parametrize(
    ("changes", "name"),
    [
        ({"viscosity": 0.0}, "viscosity"),
        ({"viscosity": float("nan")}, "viscosity"),
        ({"permittivity": -1.0}, "permittivity"),
        ({"permittivity": {"solid": 1.0}}, "permittivity"),
        ({"wall_potential": 1.0, "wall_charge": 1.0}, "wall_charge"),
        ({"wall_potential": {"pore|gel": 1.0}}, "wall_potential"),
        ({"temperature": 20.0}, "temperature"),
        ({"fluid": "gel"}, "fluid"),
        ({"fluid": ["pore", "solid"]}, "fluid"),
        ({"fluid": []}, "fluid"),
        ({"ions": []}, "ions"),
        ({"ions": salt()[:1]}, "ions"),
        ({"ions": [Ion(name="a", valence=1, bath=1.0, diffusivities={}), *salt()[1:]]}, "diffusivities"),
        ({"fixed_charge": {"solid": 1.0}}, "fixed_charge"),
        ({"symmetry": "auto"}, "symmetry"),
        ({"degree": 1}, "degree"),
        ({"degree": 2, "tolerance": 0.1}, "degree"),
        ({"backend": "multipoint"}, "backend"),
    ],
)
def test_what_makes_no_sense_is_refused(changes: dict[str, Any], name: str) -> None:
    cell = slit(0.5, resolution=0.25)
    given: dict[str, Any] = {"ions": salt(), "viscosity": 1.0, "permittivity": 0.1} | changes
    with pytest.raises(InputError, match=name):
        solve_electrokinetics(cell, **given)


def test_pores_that_do_not_percolate_carry_nothing() -> None:
    cell = fibre_array("square", fraction=0.3, resolution=0.2)
    ions = [Ion(name=name, valence=z, bath=1.0, diffusivities={"fibre": 1.0}) for name, z in (("Na", 1), ("Cl", -1))]
    with pytest.raises(PercolationError, match="zero"):
        solve_electrokinetics(cell, ions, "fibre", viscosity=1.0, permittivity=0.1)
