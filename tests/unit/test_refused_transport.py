"""Checks of transport in the cell one by one: each is tripped, and says the name, the value and what is allowed."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import ufl
from dolfinx import fem
from mpi4py import MPI

from homfem import solve
from homfem.cells import blocks, fibre_array, laminate
from homfem.cells.symmetry import symmetric_part
from homfem.cells.unitcell import UnitCell
from homfem.certify.chemotaxis import homogenize_chemotaxis
from homfem.certify.dispersion import GivenFlow, StokesFlow, StreamFunction, coarse, solve_dispersion
from homfem.certify.electrokinetics import solve_electrokinetics
from homfem.certify.electrokinetics.matrix import require_definite, symmetric
from homfem.certify.inclusions import homogenize_reactive_inclusions
from homfem.certify.multiplication import CrossSections, solve_multiplication
from homfem.certify.reaction import homogenize_reaction
from homfem.electrolytes import Gel, Ion
from homfem.local.bloch import respond
from homfem.local.charges import Charges
from homfem.local.equilibrium import Equilibrium
from homfem.local.problem import Field, element_of
from homfem.local.spectral import Pencil, SpectralProblem, solve_spectrum
from homfem.parameters import ConvergenceError, InputError
from made_cells import grid_cell, grid_raw, square

ONE = {"a": 1.0, "b": 1.0}
FUEL = CrossSections(diffusion=0.05, absorption=1.0, production=1.5)


def refused(message: str, kind: type[Exception] = InputError) -> Any:
    """Expect an error whose text matches."""
    return pytest.raises(kind, match=message)


def salt(*phases: str) -> list[Ion]:
    everywhere = dict.fromkeys(phases, 1.0)
    return [Ion(name=name, valence=z, bath=1.0, diffusivities=everywhere) for name, z in (("+", 1), ("-", -1))]


@pytest.fixture(scope="module")
def cell() -> UnitCell:
    return grid_cell((6, 6), square)


@pytest.fixture(scope="module")
def apart() -> UnitCell:
    """A cell whose opposite faces do not match."""
    return UnitCell.from_raw(grid_raw((6, 6), square), comm=MPI.COMM_WORLD, faces="non-matching")


# -- what no physics of transport takes -----------------------------------------------------------------------------


def test_faces_that_do_not_match(apart: UnitCell) -> None:
    with refused("cell = .*opposite faces match"):
        solve_dispersion(apart, {"a": 1.0}, peclet=1.0)
    with refused("cell = .*opposite faces match"):
        solve_electrokinetics(apart, salt("a"), "a", viscosity=1.0, permittivity=1.0)
    with refused("cell = .*opposite faces match"):
        solve_multiplication(apart, {"a": FUEL, "b": FUEL})
    with refused("cell = .*opposite faces match"):
        homogenize_reaction(apart, ONE, rates={"b": 1.0})
    with refused("backend = 'non-matching'.*'identified'"):
        homogenize_chemotaxis(apart, ONE, ONE, ONE)
    with refused("backend = 'non-matching'.*'identified'"):
        homogenize_reactive_inclusions(apart, ONE, {"b": 1.0})
    with refused("cell = .*match for a spectral problem"):
        solve_spectrum(apart, coupled(apart, 0.0))


def test_backends_that_are_not_there(cell: UnitCell) -> None:
    for call in (
        lambda: homogenize_chemotaxis(cell, ONE, ONE, ONE, backend="multipoint"),
        lambda: homogenize_reactive_inclusions(cell, ONE, {"b": 1.0}, backend="multipoint"),
    ):
        with refused("backend = 'multipoint'.*'identified'"):
            call()


def test_what_curved_cells_do_not_have() -> None:
    curved = fibre_array(fraction=0.3, resolution=0.3, order=2)
    with refused(r"tolerance = 0\.1: it must be None on triangles of order 2"):
        homogenize_reaction(curved, {"fibre": 1.0, "matrix": 1.0}, rates={"fibre": 1.0}, tolerance=0.1)
    charged = {"viscosity": 1.0, "permittivity": 1.0, "wall_potential": 1.0}
    with refused(r"tolerance = 0\.1: it must be None on triangles of order 2"):
        solve_electrokinetics(curved, salt("matrix"), "matrix", tolerance=0.1, **charged)
    with refused("refine_layers = True: it must be False on triangles of order 2"):
        solve_electrokinetics(curved, salt("matrix"), "matrix", refine_layers=True, **charged)


def test_parts_between_mirror_planes() -> None:
    part = symmetric_part(laminate([0.3, 0.7], dimension=2, resolution=0.25, comm=MPI.COMM_SELF))
    with refused("cell = .*must be whole"):
        Equilibrium(part, part.cell_function(dict.fromkeys(part.phase_names, 1.0)), 2)


# -- one by one -----------------------------------------------------------------------------------------------------


def test_flows(cell: UnitCell) -> None:
    fluid = {"a": 1.0}
    for flow, message in (
        (StokesFlow(fluid=[]), r"flow\.fluid = \[\]: it must be at least one of 'a'"),
        (StreamFunction(function=1.0, fluid="a"), r"flow\.function = 1\.0: it must be a function of points"),
        (StreamFunction(function=np.sin, mean=(1.0,)), r"flow\.mean = .*two finite speeds"),
        (StreamFunction(function=np.sin, mean=(1.0, np.inf)), r"flow\.mean = .*two finite speeds"),
    ):
        with refused(message):
            solve_dispersion(cell, fluid, flow=flow, peclet=1.0)
    with refused(r"flow\.fluid = .*the phase that flows, one of 'a', 'b'"):
        solve_dispersion(cell, ONE, peclet=1.0)
    with refused(r"flow\.function = .*left out in space"):
        solve_dispersion(grid_cell((3, 3, 3)), fluid, flow=StreamFunction(function=np.sin))
    for peclet in ([], "10"):
        with refused("peclet = .*a number >= 0, or several"):
            solve_dispersion(cell, fluid, peclet=peclet)
    for diffusivities in ({}, 1.0):
        with refused("diffusivities = .*a table"):
            solve_dispersion(cell, diffusivities, peclet=1.0)
    everywhere = GivenFlow(velocity=lambda x: np.ones_like(x), fluid=("a", "b"))
    with refused(r"wall_rate = 1\.0: it must be 0 where every phase carries"):
        solve_dispersion(cell, ONE, flow=everywhere, wall_rate=1.0)


def test_a_flow_through_closed_pores() -> None:
    """A ring that carries but does not flow, with a pore of the fluid in it."""
    ring = blocks(["FFFFF", "FSSSF", "FSFSF", "FSSSF", "FFFFF"], resolution=0.2)
    with refused(r"flow\.fluid = .*without closed pores"):
        solve_dispersion(ring, {"F": 1.0, "S": 1.0}, flow=StokesFlow(fluid="F"), peclet=1.0)


def test_walls_and_phases(cell: UnitCell) -> None:
    three = blocks(["abc", "aac"], resolution=0.3)
    with refused(r"interface_rates\['b\|a'\] = 1\.0: it must be on an interface of a phase that carries"):
        homogenize_reaction(three, {"c": 1.0}, interface_rates={"b|a": 1.0})
    charges = Charges(fluid=("c",), valences=(1, -1), baths=(1.0, 1.0), permittivities={"c": 1.0}, charges={"a|b": 1.0})
    with refused("wall_charge = 'a|b': it must be the name of an interface of 'c'"):
        charges.check_cell(three)
    with refused(r"sensitivity\['a'\] = 'fast': it must be a finite number or a 2x2 matrix"):
        homogenize_chemotaxis(cell, ONE, {"a": "fast"}, ONE)
    with refused(r"ions\.K\.diffusivities = \{\}: it must be given for at least one of \('gel', 'water'\)"):
        third = Ion(name="K", valence=1, bath=1.0, diffusivities={})
        double = Ion(name="SO4", valence=-2, bath=0.5, diffusivities={"gel": 1.0, "water": 1.0})
        Gel(ions=(*salt("gel", "water"), third, double)).coefficients(("gel", "water"), 2)
    with refused("bounds = True: it must be False for several groups"):
        two = CrossSections(diffusion=[1.0, 1.0], absorption=[0.1, 0.1], production=[0.1, 0.1])
        solve_multiplication(cell, {"a": two, "b": two}, bounds=True)


def test_a_scattering_of_one_group_does_not_matter() -> None:
    assert CrossSections(diffusion=1.0, absorption=1.0, scattering=3.0).removal == 1.0


# -- what is looked at of what was found ----------------------------------------------------------------------------


def coupled(cell: UnitCell, turn: float) -> SpectralProblem:
    """Two fields that decay alike, and turn into each other: the first eigenvalues are 1 +- i turn."""

    def bilinear(u: Any, w: Any) -> ufl.Form:
        form = ufl.inner(ufl.grad(u), ufl.grad(w)) + ufl.inner(u, w)
        return (form + turn * (u[0] * w[1] - u[1] * w[0])) * ufl.dx(domain=cell.mesh)

    return SpectralProblem(
        name="two fields",
        unknown=Field(element=element_of(cell, "Lagrange", 1, (2,)), name="fields"),
        bilinear=bilinear,
        mass=lambda u, w: ufl.inner(u, w) * ufl.dx(domain=cell.mesh),
        domain=cell.mesh,
        symmetric=turn == 0.0,
        shift=1.0,
    )


def test_first_eigenvalues_that_are_not_simple_or_not_real(cell: UnitCell) -> None:
    with refused("two fields: the first eigenvalue 1 is not simple, the second is 1", ConvergenceError):
        solve_spectrum(cell, coupled(cell, 0.0))
    with refused(
        r"two fields: the first eigenvalue 1[+-]0\.5j is not real: a relative residual of 2\.5e-01", ConvergenceError
    ):
        solve_spectrum(cell, coupled(cell, 0.5))


def decaying(cell: UnitCell, drift: float) -> SpectralProblem:
    """A solute that a uniform field carries, and which decays."""
    along = fem.Constant(cell.mesh, np.array([drift, 0.0]))
    return SpectralProblem(
        name="one field",
        unknown=Field(element=element_of(cell, "Lagrange", 1), name="field"),
        bilinear=lambda u, w: (
            (ufl.inner(ufl.grad(u), ufl.grad(w)) + ufl.inner(along, ufl.grad(u)) * w + u * w) * ufl.dx(domain=cell.mesh)
        ),
        mass=lambda u, w: u * w * ufl.dx(domain=cell.mesh),
        domain=cell.mesh,
        symmetric=drift == 0.0,
        shift=1.0,
    )


def test_an_adjoint_with_another_eigenvalue(cell: UnitCell, monkeypatch: pytest.MonkeyPatch) -> None:
    found, known = [], solve.nearest_eigenpairs

    def other(*given: Any, **options: Any) -> Any:
        pairs = known(*given, **options)
        found.append(pairs)
        return pairs if len(found) == 1 else replace(pairs, values=1.001 * pairs.values)

    monkeypatch.setattr(solve, "nearest_eigenpairs", other)
    with refused(r"one field: the adjoint problem has the first eigenvalue 1\.001.*not 1", ConvergenceError):
        solve_spectrum(cell, decaying(cell, 3.0))


def test_a_response_without_its_forms(cell: UnitCell) -> None:
    pencil = Pencil(cell, decaying(cell, 0.0))
    with refused("along = None: it must be given, with spread"):
        respond(pencil, pencil.first())
    pencil.destroy()


def test_neutrons_that_neither_come_nor_go_in_a_phase() -> None:
    """Without absorption in the moderator the lower side of 1/k has nothing to divide by, and says so."""
    slab = laminate([0.6, 0.4], axis="x", dimension=2, resolution=0.25)
    tensor = solve_multiplication(slab, {"layer1": FUEL, "layer2": CrossSections(diffusion=0.1, absorption=0.0)}).tensor
    k = tensor.coefficients["multiplication"]
    assert k.upper is None
    assert k.lower <= 1.5 < 1.5001
    assert tensor.warnings == ("no upper bound of the multiplication: where nothing reacts nothing is held either",)


def test_matrices_of_onsager() -> None:
    with refused("not symmetric: entries differ by 1.0e-03", ConvergenceError):
        symmetric(np.array([[1.0, 0.1], [0.101, 1.0]]))
    assert symmetric(np.array([[1.0, 0.1], [0.1 + 1e-12, 1.0]]))[0, 1] == pytest.approx(0.1, abs=1e-11)
    with refused("not positive definite: its smallest eigenvalue is -1.0e[+]00", ConvergenceError):
        require_definite(np.diag([4.0, -2.0]), np.eye(2), np.diag([4.0, 2.0]))
    require_definite(np.diag([4.0, -2.0]), np.eye(2)[:1], np.diag([4.0, 2.0]))


def test_no_estimate_where_fewer_degrees_find_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """The warning says then that there is none."""
    cell = fibre_array(fraction=0.3, resolution=0.3, order=2)

    def fails(*_: Any) -> Any:
        raise ConvergenceError("not found")

    monkeypatch.setattr(coarse, "solve_dispersed", fails)
    tensor = solve_dispersion(cell, {"matrix": 1.0}, peclet=1000.0).tensor
    assert tensor.estimated_error is None
    assert "there is no estimate of what is missed" in tensor.warnings[0]


@pytest.mark.parametrize(("part", "passes"), [(0.06, True), (0.08, False)])
def test_a_twentieth_of_a_gradient_is_the_most_that_a_given_flow_may_have(part, passes):
    """Of (1 + a cos 2 pi x, 0) the gradient is a/sqrt(2 + a^2) in the root mean square: .042 and .057."""
    cell = grid_cell((4, 4), lambda s: np.zeros(len(s), dtype=int))
    flow = GivenFlow(velocity=lambda x: np.stack([1.0 + part * np.cos(2.0 * np.pi * x[0]), np.zeros(x.shape[1])]))
    if passes:
        found = solve_dispersion(cell, {"a": 1.0}, flow=flow, peclet=1.0, degree=3)
        assert found.tensor.value[0, 0] == pytest.approx(1.0, abs=1e-5)
    else:
        with refused("without divergence"):
            solve_dispersion(cell, {"a": 1.0}, flow=flow, peclet=1.0, degree=3)
