"""Fields in the microstructure for a macroscopic load: their means, their growth, files and pictures."""

from __future__ import annotations

import re

import numpy as np
import pytest

from homfem import (
    _dolfinx,
    homogenize_poroelasticity,
    homogenize_thermoelasticity,
    localise,
    solve_diffusion,
    solve_elasticity,
    solve_stokes,
)
from homfem.cells import slit
from homfem.certify.dispersion import GivenFlow, solve_dispersion
from homfem.local.elasticity import elastic_coefficient, elasticity_problem
from homfem.local.engine import solve_correctors
from homfem.meshing.arrays.raw_cell import cell_volumes
from homfem.output.cell_figures import draw_solution
from homfem.output.microfields import _function, _mesh_of
from homfem.parameters import FileError, InputError
from made_cells import grid_cell

SKEW = [[1.0, 0.0], [0.3, 0.9]]
SOLIDS = {"a": {"young": 1.0, "poisson": 0.3}, "b": {"young": 10.0, "poisson": 0.2}}


def corner(s):
    return ((s[:, 0] > 0.25) & (s[:, 1] > 0.5) & (s[:, 0] < 0.9)).astype(int)


def hole(s):
    return (np.abs(s - 0.5).max(axis=1) < 0.2).astype(int)


def layers(s):
    return np.select([s[:, 0] < 0.25, s[:, 0] < 0.5], [0, 1], default=2)


def potential(comm=None, vectors=SKEW):
    cell = grid_cell((6, 5), corner, names=("a", "b"), vectors=vectors, **({} if comm is None else {"comm": comm}))
    solution = solve_diffusion(cell, {"a": 1.0, "b": 10.0}, bounds=False, rtol=1e-12)
    return solution.tensor, localise(solution.cell, solution.correctors, [0.5, -2.0])


def displacement():
    cell = grid_cell((4, 4), corner, names=("a", "b"))
    solved = solve_correctors(cell, elasticity_problem(cell, elastic_coefficient(cell, SOLIDS)), rtol=1e-12)
    return solved.average, localise(cell, solved, [0.1, -0.2, 0.3])


def test_the_mean_flux_is_the_tensor_times_the_load():
    tensor, fields = potential()
    raw = fields.cell.raw
    mean = cell_volumes(raw) @ fields.flux / raw.lattice.volume
    assert mean == pytest.approx(tensor.value @ fields.load, abs=1e-8)
    average, fields = displacement()
    raw = fields.cell.raw
    mean = cell_volumes(raw) @ fields.flux / raw.lattice.volume
    assert mean == pytest.approx(average @ fields.load, abs=1e-8)


def test_over_a_period_the_field_grows_by_the_load():
    _, fields = potential()
    assert fields.growth[:, 0] == pytest.approx(np.array(SKEW) @ fields.load)
    raw, field, flux = fields.unfolded((2, 3))
    assert len(raw.cells) == 6 * len(fields.cell.raw.cells) == len(flux)
    # Wherever a node and its image one period further are both there, they differ by the growth.
    for k, vector in enumerate(np.array(SKEW)):
        place = {tuple(np.round(point, 9)): value for point, value in zip(raw.points, field, strict=True)}
        pairs = [(value, place[key]) for point, value in zip(raw.points, field, strict=True)
                 if (key := tuple(np.round(point + vector, 9))) in place]  # fmt: skip
        assert len(pairs) > 10
        steps = np.diff(np.array(pairs), axis=1)
        assert steps == pytest.approx(np.full_like(steps, fields.growth[k, 0]), abs=1e-9)


def test_a_strain_displaces_the_corners_of_the_cell_by_itself():
    _, fields = displacement()
    exx, eyy, gxy = fields.load
    assert fields.growth == pytest.approx(np.array([[exx, gxy / 2], [gxy / 2, eyy]]))
    assert fields.field.shape == (25, 2)


def test_files_and_pictures(tmp_path):
    _, fields = displacement()
    for path in fields.write(tmp_path / "cell.bp", 2):
        assert path.exists()
    fields.draw(tmp_path / "cell.png", (2, 1), deform=0.1)
    assert (tmp_path / "cell.png").stat().st_size > 10_000
    with pytest.raises(FileError):
        fields.write(tmp_path / "cell.csv")
    with pytest.raises(InputError, match="deform"):
        potential()[1].draw(tmp_path / "potential.png", deform=0.1)


@pytest.mark.parametrize("d", [2, 3])
def test_the_potential_jumps_across_membranes(d, tmp_path):
    """Layers: slopes q/k, jumps q/h, one of them on the period face; over two periods the potential grows on."""
    length, k = 2.0, {"a": 1.0, "b": 5.0, "c": 0.2}
    membranes = {"a|b": 1.0, "b|c": 0.3, "a|c": 3.0}
    cell = grid_cell((4, 3, 3)[:d], layers, length=length)
    solution = solve_diffusion(cell, k, membranes=membranes, bounds=False, degree=1, rtol=1e-12)
    fields = localise(solution.cell, solution.correctors, [1.0, *[0.0] * (d - 1)])
    raw, field, flux = fields.unfolded((2, 1, 1)[:d])
    q = solution.tensor.value[0, 0]
    assert flux == pytest.approx(np.tile([q, *[0.0] * (d - 1)], (len(raw.cells), 1)), abs=1e-9)
    # In mesh units, in which h is h times the length; from the low side of the first layer on.
    first = np.cumsum([0.0, 0.25 * q / k["a"] + q / membranes["a|b"] / length, 0.25 * q / k["b"] + q / 0.3 / length])
    x = raw.points[raw.cells][..., 0]
    period = np.floor(x.mean(axis=1) + 1e-9)[:, None]
    layer = np.array([raw.phases[name] for name in "abc"]).tolist().index
    number = np.array([layer(tag) for tag in raw.phase_of_cell])
    low = np.array([0.0, 0.25, 0.5])[number][:, None]
    exact = period + first[number][:, None] + (q / np.array(list(k.values())))[number][:, None] * (x - period - low)
    assert field - field[0, 0] == pytest.approx(exact - exact[0, 0], abs=1e-9)
    for path in fields.write(tmp_path / "layers.bp", 2):
        assert path.exists()
    with pytest.raises(InputError, match="deform"):
        fields.draw(tmp_path / "layers.png", deform=0.1)


def test_files_keep_the_jumps():
    cell = grid_cell((6, 6), hole, names=("a", "b"))
    solution = solve_diffusion(cell, {"a": 1.0, "b": 10.0}, membranes={"a|b": 0.5}, bounds=False)
    raw, field, _ = localise(solution.cell, solution.correctors, [1.0, 2.0]).unfolded()
    mesh = _mesh_of(raw)
    function = _function(mesh, "field", field, ("DG", 1))
    number = _dolfinx.original_cell_index(mesh)
    # In the middle of each mesh cell the function is the mean of its corners, and near a corner it has its value.
    for weights in (np.full(3, 1 / 3), np.array([0.98, 0.01, 0.01]), np.array([0.01, 0.01, 0.98])):
        points = np.einsum("k,mkx->mx", weights, raw.points[raw.cells[number]])
        values = function.eval(np.column_stack([points, np.zeros(len(points))]), np.arange(len(points)))
        assert values.ravel() == pytest.approx(field[number] @ weights, abs=1e-12)


def test_stress_of_a_load_and_a_temperature():
    """Its mean is C* (E - alpha* theta); with a pressure in the voids C* E - b p, the fluid's share taken off."""
    cell = grid_cell((6, 6), corner, names=("a", "b"))
    found = homogenize_thermoelasticity(cell, SOLIDS, {"a": 1.0, "b": -0.5}, rtol=1e-12)
    strain, temperature = np.array([0.1, -0.2, 0.3]), 0.7
    fields = localise(cell, found.correctors, [*strain, temperature])
    mean = cell_volumes(fields.cell.raw) @ fields.flux / fields.cell.lattice.volume
    assert mean == pytest.approx(found.stiffness.value @ (strain - found.expansion * temperature), abs=1e-9)
    solid = grid_cell((6, 6), hole, names=("a", "b")).restrict(["a"])
    porous = homogenize_poroelasticity(solid, {"a": SOLIDS["a"]}, rtol=1e-12)
    fields = localise(solid, porous.correctors, [*strain, temperature])
    mean = cell_volumes(fields.cell.raw) @ fields.flux / fields.cell.lattice.volume
    mean -= porous.porosity * temperature * np.array([1.0, 1.0, 0.0])
    assert mean == pytest.approx(porous.stiffness.value @ strain - porous.biot * temperature, abs=1e-9)


def test_the_mean_flux_of_dispersion_is_the_flux_form_times_the_gradient():
    """In the frame that moves, past a phase that does not flow and holds three times as much."""
    cell = grid_cell((6, 6), hole, names=("a", "b"), vectors=SKEW)

    def above(x):
        speed = np.maximum(np.abs((x[1] / 0.9) % 1.0 - 0.5) - 1.0 / 6.0, 0.0)
        return np.array([speed, 0.0 * speed])

    found = solve_dispersion(
        cell, {"a": 1.0, "b": 0.2}, partition={"b": 3.0}, flow=GivenFlow(fluid="a", velocity=above), peclet=[1.0, 30.0]
    )
    fields = localise(found.cell, found.correctors, [0.4, -1.0])
    mean = cell_volumes(fields.cell.raw) @ fields.flux / fields.cell.lattice.volume
    wanted = found.solved.dispersed[-1].mass * found.tensor.coefficients["flux_form"].value @ fields.load
    assert mean == pytest.approx(wanted, abs=1e-8)
    assert fields.growth[:, 0] == pytest.approx(np.array(SKEW) @ fields.load)
    # Convection has its part in it.
    still = solve_dispersion(
        cell, {"a": 1.0, "b": 0.2}, partition={"b": 3.0}, flow=GivenFlow(fluid="a", velocity=above), peclet=0.0
    )
    assert np.abs(mean[0]) > 1.2 * np.abs(still.solved.dispersed[-1].mass * still.tensor.value @ fields.load)[0]


def test_the_flux_of_dispersion_in_a_channel_is_that_of_the_frame_that_moves():
    """D - (v - V) chi across the channel: 1 + Pe^2/210 in the mean, and in each place by its polynomials."""
    cell = slit(0.5, axis="y", dimension=2, resolution=0.05)
    solution = solve_dispersion(cell, {"pore": 1.0}, peclet=8.0, degree=4)
    found = localise(solution.cell, solution.correctors, [1.0, 0.0])
    middles = solution.cell.raw.points[solution.cell.raw.corners].mean(axis=1)
    eta = (middles[:, 1] - 0.5) / 0.25
    chi = 8.0 * 0.25**2 * (eta**2 / 4.0 - eta**4 / 8.0 - (1.0 / 12.0 - 1.0 / 40.0))
    drift = 8.0 * (1.5 * (1.0 - eta**2) - 1.0)
    assert found.flux[:, 0] == pytest.approx(1.0 - drift * chi, abs=0.02)
    assert np.ptp(drift * chi) > 0.2
    assert np.abs(8.0 * chi).max() > 0.15  # what the frame that stands would be off by


def test_refused():
    _, fields = displacement()
    solved = solve_correctors(
        fields.cell, elasticity_problem(fields.cell, elastic_coefficient(fields.cell, SOLIDS)), rtol=1e-12
    )
    for load in ([1.0, 2.0], [1.0, np.nan, 0.0]):
        with pytest.raises(InputError, match="load"):
            localise(fields.cell, solved, load)
    with pytest.raises(InputError, match="the cell that was solved"):
        localise(grid_cell((4, 4), corner, names=("a", "b")), solved, [0.0] * 3)
    flow = solve_stokes(grid_cell((6, 6), hole, names=("a", "b")), fluid="a", bounds=False)
    with pytest.raises(InputError, match="macroscopic gradient"):
        localise(flow.cell, flow.correctors, [1.0, 0.0])


def case_fields(comm):
    _, fields = potential(comm, None)
    if comm.rank:
        return {"field": [], "flux": []}
    raw, field, _ = fields.unfolded(2)
    order = np.lexsort(np.round(raw.points, 9).T)
    middle = fields.cell.raw.points[fields.cell.raw.cells].mean(axis=1)
    return {
        "field": (field[order] - field[order[0]]).tolist(),
        "flux": fields.flux[np.lexsort(np.round(middle, 9).T)].tolist(),
    }


@pytest.mark.mpi
def test_ranks_agree(on_ranks):
    one, *others = on_ranks(case_fields)
    for other in others:
        for key in ("field", "flux"):
            assert np.array(other[key]) == pytest.approx(np.array(one[key]), abs=1e-7)


@pytest.fixture
def drawn(monkeypatch):
    """What is given to be drawn: cells and views."""
    found = []

    def keep(cell, path, *, phases, view):
        found.append((cell, view))

    for module in ("microfields", "cell_figures"):
        monkeypatch.setattr(f"homfem.output.{module}.draw_fields", keep)
    return found


def test_a_deformed_shape_has_the_factor_that_its_title_says(drawn, tmp_path):
    _, fields = displacement()
    fields.draw(tmp_path / "a.png", (2, 1), deform=0.1)
    cell, view = drawn[0]
    factor = float(re.search(r"drawn ([\d.]+) times", view.title)[1])
    raw, field, _ = fields.unfolded((2, 1))
    moved = cell.nodes - cell.rest
    assert np.linalg.norm(moved, axis=1).max() == pytest.approx(0.1 * 2.0, rel=1e-6)
    place = {tuple(np.round(point, 9)): value for point, value in zip(cell.rest, moved, strict=True)}
    for point, value in zip(raw.points, field, strict=True):
        assert place[tuple(np.round(point, 9))] == pytest.approx(factor * value, abs=2e-3)
    assert cell.values.min() >= 0.0


def test_a_solved_solid_is_drawn_with_the_strain_that_its_title_says(drawn, tmp_path):
    """Far corners are displaced by the strain alone, the fluctuation is periodic; the mean stress is the stiffness."""
    cell = grid_cell((4, 4), corner, names=("a", "b"), length=3.0)
    solution = solve_elasticity(cell, SOLIDS, bounds=False, unit="GPa")
    draw_solution(solution, str(tmp_path / "a.png"))
    shown, view = drawn[0]
    factor = float(re.search(r"strain of ([\d.]+);", view.title)[1])
    assert view.title.startswith(f"{cell.name}: elasticity, stretch along x\n")
    assert view.label == "stress xx for the strain xx = 1 (GPa)"
    moved = shown.nodes - shown.rest
    corners = [int(np.argmin(np.linalg.norm(shown.rest - target, axis=1))) for target in ([0, 0], [3, 0], [3, 3])]
    for far in corners[1:]:
        assert moved[far] - moved[corners[0]] == pytest.approx([3.0 * factor, 0.0], abs=1e-8)
    a, b = (shown.rest[shown.corners[:, k]] - shown.rest[shown.corners[:, 0]] for k in (1, 2))
    area = 0.5 * np.abs(a[:, 0] * b[:, 1] - a[:, 1] * b[:, 0])
    assert area @ shown.values.mean(axis=1) / 9.0 == pytest.approx(solution.tensor.value[0, 0], rel=1e-6)


def test_a_solved_diffusion_is_drawn_with_its_corrector_and_its_flux(drawn, tmp_path):
    cell = grid_cell((6, 5), corner, names=("a", "b"), length=2.0)
    solution = solve_diffusion(cell, {"a": 1.0, "b": 10.0}, bounds=False, degree=2, rtol=1e-12)
    draw_solution(solution, str(tmp_path / "a.png"))
    shown, view = drawn[0]
    assert (view.title, view.label, view.heads) == (
        f"{cell.name}: diffusion, gradient along x",
        "corrector (µm)",
        False,
    )
    values = cell.nodal_values(solution.correctors.functions[0])
    place = {tuple(np.round(2.0 * point, 9)): value for point, value in zip(cell.raw.points, values, strict=True)}
    for point, value in zip(shown.nodes[shown.corners].reshape(-1, 2), shown.values.ravel(), strict=True):
        if tuple(np.round(point, 9)) in place:
            assert value == pytest.approx(2.0 * place[tuple(np.round(point, 9))], abs=1e-10)
    assert len(shown.corners) > len(cell.raw.cells)
    a, b = (shown.nodes[shown.corners[:, k]] - shown.nodes[shown.corners[:, 0]] for k in (1, 2))
    area = 0.5 * np.abs(a[:, 0] * b[:, 1] - a[:, 1] * b[:, 0])
    mean = np.einsum("m,mx->x", area, shown.vectors.mean(axis=1)) / area.sum()
    assert mean == pytest.approx(solution.tensor.value[:, 0], abs=1e-8)


def test_a_solved_diffusion_in_space_has_a_picture_of_its_flux(drawn, tmp_path):
    """The corrector as ever, and beside it lines along the flux through all phases, which one looks through."""
    cell = grid_cell((4, 3, 3), lambda s: (s[:, 0] > 0.5).astype(int), names=("a", "b"), length=2.0)
    solution = solve_diffusion(cell, {"a": 1.0, "b": 10.0}, bounds=False, unit="um^2/s")
    draw_solution(solution, str(tmp_path / "a.png"))
    (flux, view), (corrector, plain) = drawn
    assert (view.title, view.label) == (
        f"{cell.name}: diffusion, gradient along x, flux",
        "flux for a gradient of 1 (µm²/s)",
    )
    assert list(view.translucent) == ["a", "b"]
    assert flux.values is None
    # Layers in series: the same flux everywhere, that of the tensor.
    assert flux.vectors.reshape(-1, 3) == pytest.approx(
        np.tile(solution.tensor.value[:, 0], (flux.corners.size, 1)), abs=1e-8
    )
    assert (corrector.vectors, plain.label) == (None, "corrector (µm)")
