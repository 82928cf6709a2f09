"""What transport problems show beside their correctors: the concentration, the flow, and their files."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.optimize
from mpi4py import MPI

from homfem.cells import fibre_array, slit
from homfem.certify import (
    CrossSections,
    solve_chemotaxis,
    solve_electrokinetics,
    solve_multiplication,
    solve_reaction,
)
from homfem.certify.dispersion import StokesFlow, solve_dispersion
from homfem.electrolytes import Ion
from homfem.output.cell_figures import draw_solution, write_solution
from homfem.output.pictured import _known, pictured
from read_files import read_vtx


@pytest.fixture
def drawn(monkeypatch):
    found = {}

    def keep(cell, path, *, phases, view):
        found[path] = (cell, view)

    monkeypatch.setattr("homfem.output.pictured.draw_fields", keep)
    return found


def channel(**options):
    """A slit of half the period along x: flow with a parabola, its corrector in closed form."""
    cell = slit(0.5, axis="y", dimension=2, resolution=0.1, period=2.0, length_unit="um")
    return solve_dispersion(cell, {"pore": 3.0}, degree=4, unit="um^2/s", **options)


def test_the_flow_the_corrector_and_the_concentration_are_drawn(drawn, tmp_path):
    solution = channel(peclet=8.0)
    draw_solution(solution, str(tmp_path / "a.png"))
    (chi, view), (total, second), (flow, third) = (
        drawn[str(tmp_path / f"a{end}.png")] for end in ("", "_concentration", "_velocity")
    )
    assert (view.title, view.label) == (f"{solution.cell.name}: dispersion, gradient along x, Pe = 8", "corrector (µm)")
    assert second.label == "concentration for a gradient of 1 (µm)"
    assert third.label == "speed over its mean in the fluid"
    assert view.heads
    # The flow: 3/2 of the mean in the middle, none at the walls, along x.
    places = flow.nodes[flow.corners].reshape(-1, 2)
    across = (places[:, 1] - 1.0) / 0.5
    assert flow.vectors.reshape(-1, 2)[:, 0] == pytest.approx(1.5 * (1.0 - across**2), abs=0.01)
    assert flow.values.max() == pytest.approx(1.5, abs=0.01)
    # chi'' = Pe (v - 1) in periods L = 2, with v of the fluid half a period wide and Pe of the period.
    places, values = chi.nodes[chi.corners].reshape(-1, 2), chi.values.ravel()
    eta = (places[:, 1] - 1.0) / 0.5
    exact = 2.0 * 8.0 * 0.25**2 * (eta**2 / 4.0 - eta**4 / 8.0)
    assert values - values.mean() == pytest.approx(exact - exact.mean(), abs=2e-3)
    # The concentration is the corrector and the place: over a period it grows by its length.
    grown = total.values.ravel() - values
    assert grown - grown.mean() == pytest.approx(places[:, 0] - places[:, 0].mean(), abs=1e-9)
    assert total.values.max() == pytest.approx(-total.values.min())


def test_lines_in_space_have_a_picture_of_their_own(drawn, tmp_path):
    cell = slit(0.5, axis="y", dimension=3, resolution=1 / 3)
    draw_solution(solve_dispersion(cell, {"pore": 1.0}, peclet=1.0), str(tmp_path / "a.png"))
    assert drawn[str(tmp_path / "a.png")][0].vectors is None
    flow = drawn[str(tmp_path / "a_velocity.png")][0]
    assert flow.vectors is not None
    assert flow.values is None


def test_the_velocity_is_written_beside_the_correctors(tmp_path):
    solution = channel(peclet=8.0)
    write_solution(solution, str(tmp_path / "a.bp"))
    (velocity,) = read_vtx(tmp_path / "a_velocity.bp", "velocity")
    assert velocity.reshape(-1, velocity.shape[-1])[:, 0].max() == pytest.approx(1.5, abs=0.01)
    assert (tmp_path / "a.bp").exists()


def test_the_pictures_are_made(tmp_path):
    cell = fibre_array(fraction=0.3, order=2, resolution=0.2)
    flow = StokesFlow(direction=[1.0, 1.0])
    draw_solution(solve_dispersion(cell, {"matrix": 1.0}, flow=flow, peclet=20.0), str(tmp_path / "a.png"))
    assert all((tmp_path / f"a{end}.png").stat().st_size > 20_000 for end in ("", "_concentration", "_velocity"))


def test_what_is_left_of_a_solute_is_drawn(drawn, tmp_path):
    """Between walls at half a period that take it up: a cosine, m tan m = Da."""
    cell = slit(0.5, axis="y", dimension=2, resolution=0.1, period=2.0, length_unit="um")
    solution = solve_reaction(cell, {"pore": 1.0}, interface_rates={"pore|solid": 2.0}, degree=4, time_unit="s")
    draw_solution(solution, str(tmp_path / "a.png"))
    shown, view = drawn[str(tmp_path / "a.png")]
    m = scipy.optimize.brentq(lambda x: x * np.tan(x) - 2.0 * 0.5, 0.1, 1.5)
    assert view.title == f"{cell.name}: reaction, rate {m * m / 0.25:.4g} 1/s"
    across = (shown.nodes[shown.corners].reshape(-1, 2)[:, 1] - 1.0) / 0.5
    assert shown.values.ravel() == pytest.approx(np.cos(m * across) * m / np.sin(m), abs=2e-4)
    assert set(drawn) == {str(tmp_path / name) for name in ("a.png", "a_corrector.png")}
    write_solution(solution, str(tmp_path / "a.bp"))
    (shape,) = read_vtx(tmp_path / "a_shape.bp", solution.dual.function.name)
    assert shape.min() > 0.0
    slow = solve_reaction(cell, {"pore": 1.0}, interface_rates={"pore|solid": 2.0}, regime="slow")
    assert pictured(slow) == ()


@pytest.mark.parametrize("potential", [-2.0, 0.0])
def test_double_layers_are_drawn(drawn, tmp_path, potential):
    ions = [
        Ion(name=f"{name}/x", valence=z, bath=1.0, diffusivities={"pore": 1.0}) for name, z in (("K", 1), ("Cl", -1))
    ]
    cell = slit(0.5, axis="y", dimension=2, resolution=0.1)
    given = {"viscosity": 1.0, "permittivity": 0.02, "wall_potential": potential}
    draw_solution(solve_electrokinetics(cell, ions, "pore", **given), str(tmp_path / "a.png"))
    shown = {place.removeprefix(str(tmp_path / "a")): cell for place, (cell, _) in drawn.items()}
    assert set(shown) == {".png", "_K_x.png", "_Cl_x.png", "_velocity.png"} | (
        {"_electro-osmosis.png"} if potential else set()
    )
    psi = shown[".png"].values
    assert (psi.min(), psi.max()) == (pytest.approx(potential, abs=1e-9), pytest.approx(psi.max()))
    ends = np.exp([-psi.max(), -psi.min()])
    for name, expected in (("K", ends), ("Cl", 1.0 / ends[::-1])):
        over = shown[f"_{name}_x.png"].values
        assert (over.min(), over.max()) == pytest.approx(tuple(expected), rel=1e-6)
    assert shown["_velocity.png"].values.max() == pytest.approx(1.5, abs=0.02)
    if potential:  # a plug: flatter than the parabola
        assert 1.0 < shown["_electro-osmosis.png"].values.max() < 1.4


def test_the_fields_of_several_ranks_are_those_of_one(on_ranks):
    for answer in on_ranks(case_range, ranks=(2,)):
        assert answer == pytest.approx(case_range(MPI.COMM_SELF), abs=1e-6)


def case_range(comm):
    cell = fibre_array(fraction=0.3, resolution=0.2, comm=comm)
    solution = solve_dispersion(cell, {"matrix": 1.0}, peclet=20.0)
    found = _known(solution.cell, pictured(solution)[0].values)
    return comm.bcast(None if found is None else [float(np.ptp(found)), float(found.min())], root=0)


def test_the_attractant_and_the_flux_of_every_group_are_drawn(drawn, tmp_path):
    cell = fibre_array(fraction=0.3, resolution=0.2)
    same = {"fibre": 1.0, "matrix": 1.0}
    followed = {"fibre": 0.1, "matrix": 1.0}
    draw_solution(solve_chemotaxis(cell, same, same, followed), str(tmp_path / "c.png"))
    attractant, motility = (drawn[str(tmp_path / name)][0] for name in ("c.png", "c_motility.png"))
    assert np.abs(motility.values).max() < 1e-9  # of a uniform medium
    places = attractant.nodes[attractant.corners].reshape(-1, 2)
    ends = [attractant.values.ravel()[np.isclose(places[:, 0], side)].mean() for side in (0.0, 1.0)]
    assert ends[1] - ends[0] == pytest.approx(1.0, abs=1e-9)

    fuel = CrossSections(
        diffusion=[1.2, 0.4], absorption=[0.01, 0.1], production=[0.007, 0.14], scattering=[[0.0, 0.02], [0.0, 0.0]]
    )
    water = CrossSections(diffusion=[1.5, 0.2], absorption=[0.0005, 0.01], scattering=[[0.0, 0.05], [0.0, 0.0]])
    solution = solve_multiplication(cell, {"fibre": fuel, "matrix": water}, spectrum=[1.0, 0.0])
    draw_solution(solution, str(tmp_path / "m.png"))
    for name, label in (("m", "flux of group 1 over its mean"), ("m_group2", "flux of group 2 over its mean")):
        shown, view = drawn[str(tmp_path / f"{name}.png")]
        assert view.label == label
        assert shown.values.min() < 1.0 < shown.values.max()
    write_solution(solution, str(tmp_path / "m.bp"))
    assert (tmp_path / "m_flux.bp").exists()
