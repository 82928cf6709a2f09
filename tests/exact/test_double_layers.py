"""Double layers against closed forms: the slit by elliptic functions, Gouy and Chapman, Debye and Hueckel, Donnan."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import ufl
from dolfinx import mesh as dmesh
from mpi4py import MPI

from homfem import solve
from homfem.cells import UnitCell, fibre_array, laminate, slit
from homfem.electrolytes import ChargedSlit
from homfem.local.charges import Charges, facets_of_wall
from homfem.local.electrokinetics import bath_transform, electrokinetic_problem, potential_on
from homfem.local.engine import solve_correctors
from homfem.local.poisson_boltzmann import Equilibrium, solve_poisson_boltzmann
from homfem.parameters import Array

#: Order (U, J+, J-), averages over the slit: half-width 1, kappa 2, zeta -2, D = 1, eta 1 (Chebyshev, two methods).
SLIT = np.array(
    [
        [0.3333333333, 0.7151236702, 0.1682300666],
        [0.7151236702, 4.3018878633, 0.3562647688],
        [0.1682300666, 0.3562647688, 0.5225427742],
    ]
)
#: Square array of charged cylinders, fraction .3, no slip: kappa L 10, zeta -2, eta .08, D = 1, per volume of the cell.
FIBRES = np.array(
    [
        [0.11965935, 0.19628203, 0.07533562],
        [0.19628203, 1.47967447, 0.12158068],
        [0.07533562, 0.12158068, 0.33809791],
    ]
)


def salt(fluid: str, kappa: float, **given: Any) -> Charges:
    """A 1:1 salt of concentration 1 with the inverse length of Debye ``kappa`` in mesh units."""
    permittivities = {fluid: 2.0 / kappa**2, **given.pop("solids", {})}
    return Charges(fluid=(fluid,), valences=(1, -1), baths=(1.0, 1.0), permittivities=permittivities, **given)


def onsager(
    cell: UnitCell, found: Equilibrium, viscosity: float, degree: int, diffusivities: Any = (1.0, 1.0)
) -> tuple[Array, Array]:
    """L and L_b of a cell."""
    fluid = cell.restrict(found.charges.fluid)
    problem = electrokinetic_problem(
        fluid,
        found.charges,
        potential_on(fluid, found),
        diffusivities=diffusivities,
        viscosity=viscosity,
        degree=degree,
    )
    virtual = solve_correctors(fluid, problem, preconditioner="direct").average
    back = np.linalg.inv(bath_transform(found.charges.baths, cell.dimension))
    return back @ virtual @ back.T, virtual


def across(found: Equilibrium, axis: int = 1) -> tuple[Array, Array]:
    """Places along an axis and potentials of the nodes."""
    return found.potential.function_space.tabulate_dof_coordinates()[:, axis], found.potential.x.array


@pytest.mark.parametrize(("zeta", "kappa", "allowed"), [(-2.0, 2.0, 1e-5), (6.0, 3.0, 2e-4), (-12.0, 2.0, 2e-2)])
def test_the_potential_of_a_slit_is_that_of_elliptic_functions(zeta: float, kappa: float, allowed: float) -> None:
    cell = slit(0.5, axis="y", resolution=0.1, grading=0.1)
    found = solve_poisson_boltzmann(cell, salt("pore", kappa / 0.25, potentials={"walls": zeta}), degree=4)
    y, psi = across(found)
    inside = np.abs(y - 0.5) < 0.25 - 1e-9
    exact = ChargedSlit(zeta=zeta, kappa=kappa)
    centre, places = exact.centre, exact.place(psi[inside])
    middle = np.abs(y - 0.5) < 1e-9
    assert np.abs(psi[middle] - centre).max() < allowed
    # Near the middle the place says nothing: the potential is flat there.
    off = np.abs(y[inside] - 0.5) > 0.05
    assert np.abs(places - np.abs(y[inside] - 0.5) / 0.25)[off].max() < 10.0 * allowed


def test_the_closed_form_of_the_slit_is_that_of_chebyshev_polynomials() -> None:
    exact = ChargedSlit(zeta=-2.0, kappa=2.0)
    assert exact.centre == pytest.approx(-0.4804561154, abs=1e-10)
    assert exact.onsager(viscosity=1.0) == pytest.approx(SLIT, abs=1e-10)
    assert exact.concentrations == pytest.approx([2.736703332, 0.4369036716], abs=1e-9)
    # K_I = -(eps / eta) (zeta - <psi>), sigma = sum D <c> + (eps^2 / eta) <psi'^2>, <c+ - c-> = -2 psi'(1) / kappa^2
    epsilon = 2.0 / 2.0**2
    assert -epsilon * (-2.0 - exact.mean_potential) == pytest.approx(0.5468936036, abs=1e-10)
    field = exact.concentrations.sum() + epsilon**2 * exact.mean_square_field
    assert field == pytest.approx(4.111901100, abs=1e-9)
    slope = 2.0 * np.sqrt(2.0 * (np.cosh(2.0) - np.cosh(exact.centre)))
    assert exact.concentrations @ [1.0, -1.0] == pytest.approx(2.0 * slope / 2.0**2, rel=1e-12)


@pytest.mark.parametrize(
    ("zeta", "kappa", "centre"), [(4.0, 40.0, 8.0 * np.tanh(1.0) * np.exp(-40.0)), (1e-6, 3.0, 1e-6 / np.cosh(3.0))]
)
def test_the_middle_of_thin_layers_and_of_small_potentials(zeta: float, kappa: float, centre: float) -> None:
    assert ChargedSlit(zeta=zeta, kappa=kappa).centre == pytest.approx(centre, rel=1e-9)


def test_onsagers_matrix_of_a_slit_converges_to_that_of_chebyshev_polynomials() -> None:
    errors = []
    for resolution in (0.1, 0.05):
        cell = slit(0.5, axis="y", resolution=resolution)
        found = solve_poisson_boltzmann(cell, salt("pore", 8.0, potentials={"walls": -2.0}), degree=3)
        whole, _ = onsager(cell, found, 1.0 * 0.25**2, 3)
        errors.append(np.abs(whole[::2, ::2] / 0.5 - SLIT).max())
        assert np.abs(whole[1::2]).max() < 1e-12  # nothing crosses the walls
    assert errors[1] < 2e-6
    assert np.log2(errors[0] / errors[1]) > 3.5


def test_onsagers_matrix_of_charged_fibres() -> None:
    cell = fibre_array("square", fraction=0.3, resolution=0.05, order=2)
    found = solve_poisson_boltzmann(cell, salt("matrix", 10.0, potentials={"fibre|matrix": -2.0}), degree=3)
    whole, virtual = onsager(cell, found, 0.08, 3)
    assert np.abs(whole[::2, ::2] - FIBRES).max() < 3e-6
    assert np.abs(whole[1::2, 1::2] - FIBRES).max() < 3e-6
    assert virtual[::2, ::2][0] == pytest.approx([0.11965935, 0.07662268, -0.04432373], abs=1e-6)
    assert np.abs(whole - whole.T).max() < 1e-14
    assert np.linalg.eigvalsh(whole).min() > 0.0


def test_without_charge_ions_and_fluid_do_not_meet() -> None:
    cell = fibre_array("square", fraction=0.3, resolution=0.1, order=2)
    found = solve_poisson_boltzmann(cell, salt("matrix", 10.0))
    assert found.iterations == 0
    assert np.all(found.potential.x.array == 0.0)
    whole, virtual = onsager(cell, found, 0.5, 2)
    assert virtual[0, 0] == pytest.approx(0.0194398781, rel=1e-3)
    assert whole[2, 2] == pytest.approx(0.5570198618, rel=1e-4)
    assert np.abs(virtual[0, 2:]).max() < 1e-14
    assert np.abs(virtual[2:4, 4:]).max() < 1e-14
    # L_0i = c_b K and L_ij = D_i c_b Y delta_ij + c_b^2 K, exactly
    assert whole[0, 2] == pytest.approx(whole[0, 0], rel=1e-12)
    assert whole[2, 4] == pytest.approx(whole[0, 0], rel=1e-12)


def test_turned_charges_exchange_the_ions() -> None:
    cell = fibre_array("square", fraction=0.3, resolution=0.1)
    entries = []
    for zeta in (-3.0, 3.0):
        found = solve_poisson_boltzmann(cell, salt("matrix", 10.0, potentials={"walls": zeta}))
        entries.append(onsager(cell, found, 0.08, 2)[0][::2, ::2])
    assert entries[0] == pytest.approx(entries[1][np.ix_([0, 2, 1], [0, 2, 1])], rel=1e-9)


def test_small_potentials_are_those_of_debye_and_hueckel() -> None:
    cell, kappa = slit(0.5, axis="y", resolution=0.05), 8.0
    found = solve_poisson_boltzmann(cell, salt("pore", kappa, potentials={"walls": 1e-3}), degree=4)
    y, psi = across(found)
    inside = np.abs(y - 0.5) < 0.25
    expected = 1e-3 * np.cosh(kappa * (y - 0.5)) / np.cosh(kappa * 0.25)
    assert np.abs(psi - expected)[inside].max() < 1e-9


def test_a_wall_with_the_charge_that_its_potential_has_is_the_same_wall() -> None:
    cell, kappa, zeta = slit(0.5, axis="y", resolution=0.05, grading=0.1), 40.0, -5.0
    held = solve_poisson_boltzmann(cell, salt("pore", kappa, potentials={"walls": zeta}), degree=4)
    # Grahame, for a layer that is thin against the slit: eps dpsi/dn = 2 eps kappa sinh(zeta / 2)
    charge = 2.0 * (2.0 / kappa**2) * kappa * np.sinh(0.5 * zeta)
    free = solve_poisson_boltzmann(cell, salt("pore", kappa, charges={"pore|solid": charge}), degree=4)
    y, psi = across(free)
    assert psi[np.abs(np.abs(y - 0.5) - 0.25) < 1e-9] == pytest.approx(zeta, abs=5e-3)
    assert psi == pytest.approx(held.potential.x.array, abs=5e-3)


def test_a_layer_is_that_of_gouy_and_chapman() -> None:
    cell, kappa, zeta = slit(0.5, axis="y", resolution=0.05, grading=0.1), 40.0, 4.0
    found = solve_poisson_boltzmann(cell, salt("pore", kappa, potentials={"walls": zeta}), degree=4)
    y, psi = across(found)
    depth = 0.25 - np.abs(y - 0.5)
    inside = depth > -1e-9
    expected = 4.0 * np.arctanh(np.tanh(zeta / 4.0) * np.exp(-kappa * depth[inside]))
    assert np.abs(psi[inside] - expected).max() < 2e-3


def test_charge_inside_a_dielectric_wall_acts_as_charge_on_it() -> None:
    cell, density = slit(0.5, axis="y", resolution=0.05), -0.5
    solids = {"solid": 0.02}
    inside = solve_poisson_boltzmann(cell, salt("pore", 8.0, solids=solids, fixed={"solid": density}), degree=3)
    on = solve_poisson_boltzmann(cell, salt("pore", 8.0, charges={"walls": 0.25 * density}), degree=3)
    y, psi = across(inside)
    pore = np.abs(y - 0.5) < 0.25 + 1e-9
    assert psi[pore] == pytest.approx(across(on)[1][pore], abs=1e-5)
    # A parabola in the solid, whose field ends at the walls with the charge.
    solid = ~pore | (np.abs(np.abs(y - 0.5) - 0.25) < 1e-9)
    wall = psi[np.abs(np.abs(y - 0.5) - 0.25) < 1e-9].mean()
    from_middle = 0.5 - np.abs(y[solid] - 0.5)
    assert psi[solid] == pytest.approx(wall + 0.5 * density / 0.02 * (0.25**2 - from_middle**2), abs=1e-5)


def test_fixed_charge_throughout_is_donnans_potential() -> None:
    cell = laminate([0.5, 0.5], dimension=2, resolution=0.25)
    both = ("layer1", "layer2")
    charges = Charges(
        fluid=both, valences=(1, -1), baths=(1.0, 1.0), permittivities=dict.fromkeys(both, 0.1),
        fixed=dict.fromkeys(both, -2.0),
    )  # fmt: skip
    found = solve_poisson_boltzmann(cell, charges)
    assert found.potential.x.array == pytest.approx(-np.arcsinh(1.0), abs=1e-10)


def on_ranks_case(comm: MPI.Comm) -> dict[str, Any]:
    """Fibres with charged walls and solids that the field enters."""
    cell = fibre_array("square", fraction=0.3, resolution=0.1, comm=comm)
    charges = salt("matrix", 10.0, charges={"matrix|fibre": -0.4}, solids={"fibre": 0.001})
    found = solve_poisson_boltzmann(cell, charges)
    whole, _ = onsager(cell, found, 0.08, 2, (1.0, 1.5))
    return {"onsager": whole.tolist(), "energy": found.energy, "resolution": found.resolution}


def test_one_two_and_three_ranks_agree(on_ranks: Any) -> None:
    one, *others = on_ranks(on_ranks_case)
    for other in others:
        assert np.array(other["onsager"]) == pytest.approx(np.array(one["onsager"]), rel=1e-9, abs=1e-12)
        assert other["energy"] == pytest.approx(one["energy"], rel=1e-11)
        assert other["resolution"] == pytest.approx(one["resolution"], rel=1e-9)


def test_the_energy_is_stationary_in_the_potential() -> None:
    """So its derivatives by what it is given are those at a fixed potential: charges, salt, permittivities."""
    cell = slit(0.5, axis="y", resolution=0.125)
    given = {"wall": -1.0, "fixed": 0.6, "bath": 1.3, "pore": 0.2, "solid": 0.05}

    def solved(**changes: float) -> Equilibrium:
        now = {**given, **changes}
        charges = Charges(
            fluid=("pore",),
            valences=(2, -1),
            baths=(now["bath"], 2.0 * now["bath"]),
            permittivities={"pore": now["pore"], "solid": now["solid"]},
            fixed={"pore": now["fixed"], "solid": 0.3},
            charges={"pore|solid": now["wall"]},
        )
        return solve_poisson_boltzmann(cell, charges, degree=2, rtol=1e-11)

    found = solved()
    psi = found.potential
    inside, gradient = cell.cell_function({"pore": 1.0, "solid": 0.0}), ufl.grad(psi)
    facets = np.sort(facets_of_wall(cell, ("pore",), "pore|solid"))
    walls = dmesh.meshtags(cell.mesh, 1, facets, np.ones(len(facets), dtype=np.int32))
    dx = ufl.dx(metadata={"quadrature_degree": 8})  # the rule that the forms are integrated by
    exact = {
        "wall": -solve.integrate(ufl.avg(psi) * ufl.Measure("dS", domain=cell.mesh, subdomain_data=walls)(1)),
        "fixed": -solve.integrate(inside * psi * dx),
        "bath": solve.integrate(inside * (ufl.exp(-2.0 * psi) + 2.0 * ufl.exp(psi) - 3.0) * dx),
        "pore": solve.integrate(0.5 * inside * ufl.inner(gradient, gradient) * dx),
        "solid": solve.integrate(0.5 * (1.0 - inside) * ufl.inner(gradient, gradient) * dx),
    }
    for name, slope in exact.items():
        step = 1e-3 * abs(given[name])
        ahead, back = (solved(**{name: given[name] + sign * step}).energy for sign in (1.0, -1.0))
        assert (ahead - back) / (2.0 * step) == pytest.approx(slope, rel=1e-4), name
