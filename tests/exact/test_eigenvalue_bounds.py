"""Both sides of first eigenvalues: closed forms and printed numbers are between them, on any mesh that gives some."""

from __future__ import annotations

import math

import numpy as np
import pytest
import scipy.linalg
import scipy.optimize
import ufl
from mpi4py import MPI

from homfem import _dolfinx, solve
from homfem.cells import blocks, fibre_array, laminate, slit, sphere_array
from homfem.cells.unitcell import UnitCell
from homfem.local.eigenvalue_bounds import EigenvalueBounds, _energies, _Simplices, eigenvalue_bounds, second_eigenvalue
from homfem.local.reaction import Reacting, surfaces_of
from homfem.local.spectral import Spectrum, solve_spectrum
from made_cells import grid_cell

QUARTERS = [0.25, 0.5, 0.25]


def square(resolution: float) -> UnitCell:
    return blocks(["LLL", "LDL", "LLL"], widths=QUARTERS, heights=QUARTERS, resolution=resolution)


def medium_of(cell: UnitCell, rates: dict, surfaces: dict, held: dict | None = None, diffusivity=None) -> Reacting:
    return Reacting(
        cell=cell,
        diffusivity=cell.cell_function(diffusivity or dict.fromkeys(cell.phases, 1.0)),
        rate=cell.cell_function({name: rates.get(name, 0.0) for name in cell.phases}),
        capacity=cell.cell_function(dict.fromkeys(cell.phases, 1.0)),
        surfaces=surfaces_of(cell, surfaces, held),
    )


def bounds_of(medium: Reacting, degree: int = 2) -> tuple[Spectrum, EigenvalueBounds]:
    spectrum = solve_spectrum(medium.cell, medium.problem(degree))
    return spectrum, eigenvalue_bounds(medium, spectrum, degree=degree)


def slit_rate(damkoehler: float, held: float, half: float) -> float:
    """m tan m = Da - K m^2 in a slit of half-width 1."""
    root = scipy.optimize.brentq(
        lambda m: m * math.sin(m) - (damkoehler - held * m * m) * math.cos(m), 1e-9, 0.5 * math.pi
    )
    return root**2 / half**2


@pytest.mark.parametrize("degree", [1, 2])
@pytest.mark.parametrize(("damkoehler", "held"), [(1.0, 0.0), (50.0, 0.0), (1.0, 0.7)])
def test_slit_is_between_its_bounds_and_they_close(degree: int, damkoehler: float, held: float) -> None:
    half, gaps = 0.25, []
    exact = slit_rate(damkoehler, held, half)
    for resolution in (0.125, 0.0625):
        cell = slit(2 * half, dimension=2, resolution=resolution).restrict(["pore"])
        medium = medium_of(cell, {}, {"walls": damkoehler / half}, {"walls": held * half} if held else None)
        spectrum, found = bounds_of(medium, degree)
        assert found.lower is not None
        assert found.lower < exact < found.upper
        assert spectrum.value <= found.upper
        gaps.append((found.upper - found.lower) / exact)
    assert gaps[1] < gaps[0] / 2 ** (2 * degree - 0.6)


@pytest.mark.parametrize(("rate", "exact"), [(1.0, 0.24687380), (10.0, 2.21120494)])
def test_reaction_in_a_square_is_between_its_bounds(rate: float, exact: float) -> None:
    _, found = bounds_of(medium_of(square(0.1), {"D": rate}, {}))
    assert found.lower is not None
    assert found.lower < exact < found.upper
    assert found.upper - found.lower < 1e-4 * exact


def test_any_function_gives_bounds() -> None:
    """A solver that did badly makes them wider, never wrong."""
    medium = medium_of(square(0.2), {"D": 10.0}, {})
    spectrum, good = bounds_of(medium)
    values = spectrum.function.x.array
    values *= 1.0 + 0.05 * np.random.default_rng(3).uniform(-1.0, 1.0, len(values))
    worse = eigenvalue_bounds(medium, spectrum, degree=2)
    assert good.lower is not None
    assert worse.upper > good.upper
    assert worse.lower is None or worse.lower < good.lower < 2.21120494


@pytest.mark.parametrize("diffusivity", [1.0, [[2.0, 0.5], [0.5, 1.0]]])
def test_second_eigenvalue_is_bounded_below(diffusivity: object) -> None:
    """Without reaction it is that of a torus: the least of theta . D theta, theta = 2 pi n."""
    matrix = np.eye(2) * diffusivity if np.ndim(diffusivity) == 0 else np.array(diffusivity)
    waves = [np.array([i, j]) for i in range(-2, 3) for j in range(-2, 3) if i or j]
    exact = min(4 * math.pi**2 * float(wave @ matrix @ wave) for wave in waves)
    found = []
    for resolution in (0.2, 0.1, 0.05):
        cell = laminate([0.5, 0.5], axis="x", dimension=2, resolution=resolution)
        medium = medium_of(cell, {}, {}, diffusivity=dict.fromkeys(cell.phases, matrix))
        found.append(second_eigenvalue(medium, exact))
    assert 0.0 < found[0] < found[1] < found[2] < exact
    assert found[2] > 0.9 * exact


def test_a_guess_that_is_too_high_gives_no_bound() -> None:
    """The eigenvalues below it are counted: of the torus there are four at the second."""
    cell = laminate([0.5, 0.5], axis="x", dimension=2, resolution=0.1)
    medium = medium_of(cell, {}, {})
    assert second_eigenvalue(medium, 5.0 * 4 * math.pi**2) == 0.0


def test_least_energy_of_functions_with_given_means() -> None:
    """That of y . D^-1 y itself is the least of its means, on every triangle: the weight is exact."""
    cell = fibre_array(fraction=0.3, dimension=2, resolution=0.3)
    matrix = np.array([[2.0, 0.5], [0.5, 1.0]])
    shape = _Simplices.of(medium_of(cell, {}, {}, diffusivity=dict.fromkeys(cell.phases, matrix)))
    nodes = cell.mesh.geometry.x[_dolfinx.geometry_dofmap(cell.mesh)][:, :, :2]
    inverse = np.linalg.inv(matrix)
    for corners, volume, weight in list(zip(nodes, shape.volume, shape.weight, strict=True))[:20]:
        arms = corners - corners.mean(axis=0)
        square = np.einsum("mi,ij,mj->m", arms, inverse, arms)
        middles = 0.5 * (arms + np.roll(arms, -1, axis=0))
        between = np.einsum("mi,ij,mj->m", middles, inverse, middles)
        mean = between.mean()  # the three middles of the sides integrate squares exactly
        on_facets = (square + np.roll(square, -1) + 4.0 * between) / 6.0  # Simpson
        energy = 4.0 * volume * mean  # 2 D^-1 y . D 2 D^-1 y
        assert np.ptp(on_facets) < 1e-12 * on_facets.max()  # no linear part
        assert weight * (mean - on_facets.mean()) ** 2 == pytest.approx(energy, rel=1e-10)


def test_capacity_of_walls_lowers_the_bound_of_the_second_eigenvalue() -> None:
    cell = slit(0.5, dimension=2, resolution=0.1).restrict(["pore"])
    plain, held = (medium_of(cell, {}, {"walls": 4.0}, {"walls": amount}) for amount in (0.0, 0.2))
    values = [solve_spectrum(cell, medium.problem(2)).second for medium in (plain, held)]
    found = [second_eigenvalue(medium, value) for medium, value in zip((plain, held), values, strict=True)]
    assert found[1] < found[0]
    assert found[1] < values[1]


def test_a_coarse_mesh_says_why_there_is_no_lower_bound() -> None:
    apart = blocks(["LLLLL", "LDLDL", "LLLLL"], resolution=0.1)  # two inclusions that hardly know of each other
    _, found = bounds_of(medium_of(apart, {"L": 20.0}, {}, diffusivity={"L": 1.0, "D": 0.01}))
    assert found.lower is None
    assert "too coarse" in found.reason


# Surfaces inside of the active phases --------------------------------------------------------------------------------


def layers_that_meet_in_a_reaction(first: float, slow: float, rate: float) -> float:
    """D_1 q_1 tan(q_1 a_1) + D_2 q_2 tan(q_2 a_2) = k_s, a_i half of the thickness of each layer."""

    def left(value: float) -> float:
        pairs = [(1.0, 0.5 * first), (slow, 0.5 * (1.0 - first))]
        return sum(d * math.sqrt(value / d) * math.tan(math.sqrt(value / d) * a) for d, a in pairs) - rate

    pole = min((math.pi / first) ** 2, slow * (math.pi / (1.0 - first)) ** 2)
    return float(scipy.optimize.brentq(left, 1e-12, pole * (1.0 - 1e-12), xtol=1e-14))


@pytest.mark.parametrize("degree", [1, 2])
def test_reaction_where_layers_meet_is_between_its_bounds(degree: int) -> None:
    exact, gaps = layers_that_meet_in_a_reaction(0.6, 0.3, 2.0), []
    for resolution in (0.2, 0.1):
        cell = laminate([0.6, 0.4], axis="x", dimension=2, resolution=resolution)
        medium = medium_of(cell, {}, {"layer1|layer2": 2.0}, diffusivity={"layer1": 1.0, "layer2": 0.3})
        _, found = bounds_of(medium, degree)
        assert found.lower is not None
        assert found.lower < exact < found.upper
        gaps.append((found.upper - found.lower) / exact)
    assert gaps[1] < gaps[0] / 2 ** (2 * degree - 0.6)


def three_phases(resolution: float, comm: MPI.Comm = MPI.COMM_WORLD) -> Reacting:
    """Three phases that meet in points, with a reaction and a capacity on every surface between two."""
    cell = blocks(["AAB", "CAB", "CCB"], resolution=resolution, comm=comm)
    rates = {"A|B": 1.0, "A|C": 0.3, "B|C": 2.0}
    return medium_of(cell, {"A": 0.5}, rates, {"A|B": 0.1}, {"A": 1.0, "B": 0.4, "C": 2.0})


def test_three_phases_that_meet() -> None:
    medium = three_phases(0.17)
    _, found = bounds_of(medium)
    finer = solve_spectrum(medium.cell, medium.problem(4)).value
    assert found.lower is not None
    assert found.lower < finer < found.upper
    assert found.upper - found.lower < 0.02 * finer


def _on_ranks(comm: MPI.Comm) -> dict[str, list[float]]:
    _, found = bounds_of(three_phases(0.33, comm), 1)
    return {"found": [float(found.lower or 0.0), found.upper, found.second]}


def test_ranks_agree(on_ranks) -> None:
    one, *others = (each["found"] for each in on_ranks(_on_ranks))
    assert one[0] > 0.0
    for other in others:
        assert other == pytest.approx(one, rel=1e-7)


def test_layers_in_space_that_meet_in_a_reaction() -> None:
    cell = grid_cell((4, 3, 3), lambda s: (s[:, 0] > 0.5).astype(int))
    medium = medium_of(cell, {}, {"a|b": 1.0}, diffusivity={"a": 1.0, "b": 0.3})
    _, found = bounds_of(medium, 1)
    assert found.lower is not None
    assert found.lower < layers_that_meet_in_a_reaction(0.5, 0.3, 1.0) < found.upper


@pytest.mark.parametrize("degree", [1, 2])
@pytest.mark.parametrize("rate", [1.0, 300.0])
def test_a_surface_inside_of_one_phase_is_between_its_bounds(degree: int, rate: float) -> None:
    """A sheet through a uniform medium: 2 m tan(m / 2) = k, the eigenvalue m^2."""
    exact = scipy.optimize.brentq(lambda m: 2 * m * math.sin(m / 2) - rate * math.cos(m / 2), 1e-9, math.pi) ** 2
    gaps = []
    for n in (4, 8):
        cell = grid_cell((n, n), lambda s: np.zeros(len(s), dtype=int))
        _, found = bounds_of(medium_of(cell, {}, {"period-1": rate}), degree)
        assert found.lower is not None
        assert found.lower < exact < found.upper
        gaps.append((found.upper - found.lower) / exact)
    assert gaps[1] < gaps[0] / 2 ** (2 * degree - 0.7)


def sheets(comm: MPI.Comm = MPI.COMM_WORLD) -> Reacting:
    """Sheets through both phases along both axes: where they cross, three colours are not enough."""
    cell = fibre_array(fraction=0.3, dimension=2, resolution=0.3, comm=comm)
    names = {"period-1": 3.0, "period-2": 1.0}
    return medium_of(cell, {"fibre": 2.0}, names, {"period-1": 0.2}, {"matrix": 1.0, "fibre": 0.4})


def test_surfaces_that_cross_inside_of_one_phase() -> None:
    medium = sheets()
    _, found = bounds_of(medium)
    finer = solve_spectrum(medium.cell, medium.problem(4)).value
    assert found.lower is not None
    assert found.lower < finer < found.upper
    assert found.upper - found.lower < 0.02 * finer


def _sheets_on_ranks(comm: MPI.Comm) -> dict[str, list[float]]:
    _, found = bounds_of(sheets(comm), 1)
    return {"found": [float(found.lower or 0.0), found.upper, found.second]}


def test_ranks_agree_on_surfaces_inside_of_one_phase(on_ranks) -> None:
    one, *others = (each["found"] for each in on_ranks(_sheets_on_ranks))
    assert one[0] > 0.0
    for other in others:
        assert other == pytest.approx(one, rel=1e-7)


def test_spheres_in_space() -> None:
    """The lower bound holds in space too; a better value lies between the two."""
    cell = sphere_array(fraction=0.2, resolution=0.3).restrict(["matrix"])
    medium = medium_of(cell, {}, {"walls": 1.0})
    _, found = bounds_of(medium, 1)
    finer = solve_spectrum(cell, medium.problem(2)).value
    assert found.lower is not None
    assert found.lower < finer < found.upper


# What the bounds rest on, where they have room --------------------------------------------------------------------


def dense(form) -> np.ndarray:
    matrix = solve.assemble_matrix(form)
    found = matrix.convert("dense").getDenseArray().copy()
    matrix.destroy()
    return found


def of_facet_means(medium: Reacting, space) -> np.ndarray:
    """The form of the capacity of surfaces with the means over facets, of cubics on each triangle."""
    mesh, surfaces, size = medium.cell.mesh, medium.surfaces, space.dofmap.index_map.size_local
    links, facets = mesh.topology.connectivity(1, 2), mesh.topology.connectivity(2, 1).array.reshape(-1, 3)
    corners = mesh.geometry.x[_dolfinx.geometry_dofmap(mesh)][:, :, :2]
    layout = solve.function_space(mesh, "Lagrange", 3).dofmap.dof_layout
    found = np.zeros((size, size))
    for facet, number in zip(surfaces.tags.indices, surfaces.tags.values, strict=True):
        mean, sides = np.zeros(size), links.links(facet)
        for side in sides:
            k = int(np.flatnonzero(facets[side] == facet)[0])
            ends = [i for i in range(3) if i != k]
            # The rule of Gauss and Lobatto, at whose points the nodes are.
            mean[space.dofmap.list[side, layout.entity_dofs(1, k)]] = 5.0 / 12.0 / len(sides)
            mean[space.dofmap.list[side, ends]] = 1.0 / 12.0 / len(sides)
        length = np.linalg.norm(corners[side, ends[1]] - corners[side, ends[0]])
        found += float(surfaces.capacities[number].value) * length * np.outer(mean, mean)
    return found


@pytest.mark.parametrize("where", ["walls", "a|b", "phases"])
def test_what_means_leave_is_at_most_delta_times_the_energy(where: str) -> None:
    """The largest quotient of m - m_h and a, of cubics on each of flat triangles, is below delta, and not far."""
    cell = grid_cell((3, 24), lambda s: np.digitize(s[:, 1], [0.25, 0.5])).restrict(["a", "b"])
    medium = medium_of(cell, {}, {}) if where == "phases" else medium_of(cell, {}, {where: 1.0}, {where: 1.0})
    if where != "phases":
        medium.capacity.x.array[:] = 0.0
    space = solve.function_space(cell.mesh, "DG", 3)
    u, v = ufl.TrialFunction(space), ufl.TestFunction(space)
    ones = ufl.TestFunction(solve.function_space(cell.mesh, "DG", 0))
    shape, means = _Simplices.of(medium), dense(u * ones * ufl.dx)
    left = dense(medium.mass(u, v)) - (means.T * (medium.capacity.x.array / shape.volume)) @ means
    left -= of_facet_means(medium, space) if medium.surfaces is not None else 0.0
    energy = dense(ufl.inner(ufl.grad(u), ufl.grad(v)) * ufl.dx) + means.T @ means  # constants have no part in either
    largest = float(scipy.linalg.eigh(left, energy, eigvals_only=True)[-1])
    assert 0.1 * shape.delta < largest < shape.delta


def test_round_off_is_on_both_sides() -> None:
    """Where the reaction is the same everywhere the quotient is the rate but for its last digits."""
    cell, outside = grid_cell((4, 4)), 0
    medium = medium_of(cell, {"a": 1.0}, {})
    spectrum = solve_spectrum(cell, medium.problem(1))
    for rate in np.random.default_rng(1).uniform(0.5, 2.0, 12):
        medium.rate.x.array[:] = rate
        spectrum.function.x.array[:] = math.sqrt(rate)
        found = eigenvalue_bounds(medium, spectrum, degree=1)
        assert found.lower is not None
        assert found.lower <= rate <= found.upper < rate * (1.0 + 1e-9)
        energy, mass = _energies(medium, spectrum.function)
        outside += energy / mass < rate
    assert outside
