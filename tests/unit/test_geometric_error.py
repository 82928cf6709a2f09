"""The estimate of what straight facets on curved surfaces change: against the change that it is to predict."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from mpi4py import MPI

from homfem import UnitCell, homogenize_diffusion, homogenize_elasticity, homogenize_stokes
from homfem.cells import sphere_array
from homfem.meshing.cut.implicit import implicit_raw
from homfem.parameters import Lattice
from homfem.stiffness import voigt_to_mandel
from homfem.tensors import EffectiveTensor
from made_cells import grid_raw, with_named_facets

COEFFICIENTS = [
    {"fibre": 10.0, "matrix": 1.0},
    {"fibre": np.diag([4.0, 4.0]), "matrix": np.eye(2)},
    {"matrix": 1.0},
    {"fibre": 0.1, "matrix": 1.0},
]


def disc(radius):
    def level(points):
        return np.linalg.norm(points - np.floor(points) - 0.5, axis=1) - radius

    return level


def disc_raw(radius, resolution=0.05, fractions=None):
    return implicit_raw(
        disc(radius), ["fibre", "matrix"], lattice=Lattice.box(1.0, 1.0), resolution=resolution, fractions=fractions
    )


def disc_cell(comm, radius, step=None, resolution=0.03):
    def make():
        raw = disc_raw(radius, resolution, fractions={"fibre": np.pi * radius**2})
        if step is None:
            return raw
        edges = raw.points[raw.facets]
        volumes = np.linalg.norm(edges[:, 1] - edges[:, 0], axis=1) * step
        return replace(raw, slivers=np.column_stack([volumes, np.zeros(len(volumes))]))

    return UnitCell.from_raw(make, comm=comm)


@pytest.mark.parametrize("coefficients", COEFFICIENTS, ids=["conducting", "tensor", "void", "resisting"])
def test_it_predicts_the_change_by_a_moved_surface(coefficients):
    step = 2e-3
    here, there = (homogenize_diffusion(disc_cell(MPI.COMM_WORLD, r), coefficients) for r in (0.3, 0.3 + step))
    predicted = (
        100.0 * homogenize_diffusion(disc_cell(MPI.COMM_WORLD, 0.3, step / 100.0), coefficients).geometric_error
    )  # first order
    change = np.linalg.norm(there.value - here.value, 2)
    assert predicted == pytest.approx(change, rel=0.04)


def test_it_covers_the_error_of_a_disc_and_falls_with_the_mesh():
    exact, errors, estimates = 1.652036, [], []  # square array, fraction .3, contrast 10 (multipoles)
    radius = np.sqrt(0.3 / np.pi)
    for resolution in (0.1, 0.05):
        raw = disc_raw(radius, resolution, {"fibre": 0.3})
        cell = UnitCell.from_raw(raw, comm=MPI.COMM_WORLD)
        found = homogenize_diffusion(cell, {"fibre": 10.0, "matrix": 1.0}, tolerance=1e-5, degree=3)
        errors.append(abs(found.value[0, 0] - exact))
        estimates.append(found.geometric_error)
        assert found.contains(exact, slack=found.geometric_error)
    assert all(error < estimate for error, estimate in zip(errors, estimates, strict=True))
    assert estimates[1] < 0.35 * estimates[0]


@pytest.mark.parametrize(("fraction", "contrast", "resolution"), [(0.6, 0.0, 0.05), (0.2, 0.1, 0.1), (0.4, 100.0, 0.1)])
def test_half_gap_and_geometric_error_cover_the_truth_together(fraction, contrast, resolution):
    """Meshes of the true volumes: the bracket alone is that of the polygon, and misses the disc."""
    radius, coefficients = np.sqrt(fraction / np.pi), {"matrix": 1.0} | ({"fibre": contrast} if contrast else {})

    def found(size, tolerance, centre):
        def level(points):
            step = points - centre
            return np.linalg.norm(step - np.rint(step), axis=1) - radius

        raw = implicit_raw(
            level, ["fibre", "matrix"], lattice=Lattice.box(1.0, 1.0), resolution=size, fractions={"fibre": fraction}
        )
        return homogenize_diffusion(UnitCell.from_raw(raw, comm=MPI.COMM_WORLD), coefficients, tolerance=tolerance)

    true = found(0.03, 2e-5, 0.5).value
    alone = []
    for centre in np.random.default_rng(0).random((3, 2)):
        tensor = found(resolution, 1e-3, centre)
        error = np.linalg.norm(tensor.value - true, 2)
        assert error < tensor.half_gap + tensor.geometric_error
        assert tensor.reached
        assert tensor.relative_gap + tensor.relative_geometric_error <= 1e-3
        alone.append(error > tensor.half_gap)
    assert contrast > 1.0 or any(alone)


def test_a_tolerance_below_the_geometric_error_is_not_reached():
    tensor = homogenize_diffusion(disc_cell(MPI.COMM_WORLD, 0.3, resolution=0.1), {"matrix": 1.0}, tolerance=1e-5)
    assert tensor.relative_gap <= 1e-5 < tensor.relative_geometric_error
    assert not tensor.reached
    assert "straight facets" in tensor.warnings[-1]


def test_cells_of_plane_faces_have_none():
    from homfem import three_pipe

    found = homogenize_diffusion(three_pipe(0.4, resolution=0.3), {"er": 1.0})
    assert found.geometric_error == 0.0
    assert "straight facets" not in str(found)


def test_it_is_in_the_result():
    tensor = EffectiveTensor(value=np.eye(2), geometric_error=1e-3)
    assert "less than about 1.0e-03" in str(tensor)
    assert EffectiveTensor.from_json(tensor.to_json()).geometric_error == 1e-3


@pytest.mark.parametrize("name", ["disc.msh", "disc.xdmf"])
def test_a_saved_cell_keeps_it(tmp_path, name):
    from homfem import load_cell
    from homfem.meshing.arrays.raw_cell import stretched
    from homfem.parameters import FileError

    cell = disc_cell(MPI.COMM_WORLD, 0.3, resolution=0.1)
    cell.save(tmp_path / name)
    values = {"fibre": 10.0, "matrix": 1.0}
    here, there = (homogenize_diffusion(c, values).geometric_error for c in (cell, load_cell(tmp_path / name)))
    assert here > 0.0
    assert there == pytest.approx(here, rel=1e-6)
    # Twice as large in one direction: areas are twice as large.
    wide = stretched(cell.raw, np.array([2.0, 1.0]), "m")
    assert wide.slivers == pytest.approx(2.0 * cell.raw.slivers, rel=1e-12)
    beside = tmp_path / f"{name}.slivers.npz"
    with np.load(beside) as held:
        np.savez(beside, middles=held["middles"] + 0.01, slivers=held["slivers"])
    with pytest.raises(FileError, match="of the facets of this cell"):
        load_cell(tmp_path / name)
    beside.unlink()
    with pytest.raises(FileError, match="present beside the cell"):
        load_cell(tmp_path / name)


def arcs(length, radius):
    """The areas on both sides of a chord between it and an arc that encloses the same area."""
    t = (np.arange(4000) + 0.5) / 4000 - 0.5
    height = -((length * t) ** 2) / (2.0 * radius)
    height -= height.mean()
    return length * np.array([np.maximum(height, 0.0).mean(), np.maximum(-height, 0.0).mean()])


def test_the_area_of_a_membrane_is_that_of_its_facets():
    """Chords are longer than arcs around the same area by l^2/24r^2; so much more permeable is the membrane.

    Both phases conduct alike, and flat layers have a uniform flux: nothing else depends on where the membrane is. What
    it is to predict is the difference quotient with respect to the logarithm of the permeability of these facets.
    """
    n, h, radius = 8, 0.4, 0.7
    raw = with_named_facets(
        grid_raw((n, n), lambda s: (s[:, 0] > 0.5).astype(int)), "gate", lambda x: np.abs(x[:, 0] - 0.5) < 1e-9
    )
    curved = replace(raw, slivers=np.tile(arcs(1.0 / n, radius), (n, 1)))

    def found(raw, permeability):
        cell = UnitCell.from_raw(raw, comm=MPI.COMM_WORLD)
        return homogenize_diffusion(cell, {"a": 1.0, "b": 1.0}, membranes={"a|b": 2.0, "gate": permeability})

    assert found(raw, h).geometric_error == 0.0
    step = 1e-3
    slope = (found(raw, h * (1 + step)).value - found(raw, h * (1 - step)).value)[0, 0] / (2 * step)
    excess = 1.0 / (24.0 * (n * radius) ** 2)
    assert found(curved, h).geometric_error == pytest.approx(excess * slope, rel=0.03)


def test_it_predicts_the_change_of_a_permeability():
    step = 2e-3
    here, there = (homogenize_stokes(disc_cell(MPI.COMM_WORLD, r), "matrix") for r in (0.3, 0.3 + step))
    predicted = (
        100.0 * homogenize_stokes(disc_cell(MPI.COMM_WORLD, 0.3, step / 100.0), "matrix").geometric_error
    )  # first order
    change = np.linalg.norm(there.value - here.value, 2)
    assert predicted == pytest.approx(change, rel=0.04)


@pytest.mark.parametrize("element", ["scott-vogelius", "crouzeix-raviart"])
def test_all_elements_see_the_walls(element):
    cell = disc_cell(MPI.COMM_WORLD, 0.3, 2e-3, resolution=0.05)
    expected = homogenize_stokes(cell, "matrix").geometric_error
    assert homogenize_stokes(cell, "matrix", element=element).geometric_error == pytest.approx(expected, rel=0.2)


def test_it_covers_the_error_of_a_permeability():
    exact, errors, estimates = 0.0097199390, [], []  # square array, fraction .3 (another code, converged)
    for resolution in (0.1, 0.05):
        raw = disc_raw(np.sqrt(0.3 / np.pi), resolution, {"fibre": 0.3})
        found = homogenize_stokes(UnitCell.from_raw(raw, comm=MPI.COMM_WORLD, length=2.0), "matrix", degree=3)
        errors.append(abs(found.value[0, 0] / 4.0 - exact))
        estimates.append(found.geometric_error / 4.0)
    assert all(error < estimate for error, estimate in zip(errors, estimates, strict=True))
    assert estimates[1] < 0.35 * estimates[0]


SOLIDS = {
    "stiff": {"fibre": {"young": 10.0, "poisson": 0.3}, "matrix": {"young": 1.0, "poisson": 0.3}},
    "soft": {"fibre": {"young": 0.1, "poisson": 0.2}, "matrix": {"young": 1.0, "poisson": 0.35}},
    "void": {"matrix": {"young": 1.0, "poisson": 0.3}},
}


@pytest.mark.parametrize("solids", list(SOLIDS.values()), ids=list(SOLIDS))
def test_it_predicts_the_change_of_a_stiffness(solids):
    step = 2e-3
    here, there = (homogenize_elasticity(disc_cell(MPI.COMM_WORLD, r), solids, bounds=False) for r in (0.3, 0.3 + step))
    predicted = (
        100.0
        * homogenize_elasticity(disc_cell(MPI.COMM_WORLD, 0.3, step / 100.0), solids, bounds=False).geometric_error
    )  # first order
    change = np.linalg.norm(voigt_to_mandel(there.value - here.value), 2)
    assert predicted == pytest.approx(change, rel=0.05)


def test_an_octant_has_that_of_the_whole():
    cell = sphere_array(fraction=0.3, resolution=0.3, mirrors="auto")
    solids = {"sphere": SOLIDS["stiff"]["fibre"], "matrix": SOLIDS["stiff"]["matrix"]}
    whole, part = (
        [
            homogenize_elasticity(cell, solids, degree=1, bounds=False, symmetry=symmetry).geometric_error,
            homogenize_stokes(cell, "matrix", symmetry=symmetry, preconditioner="direct").geometric_error,
        ]
        for symmetry in ("none", "auto")
    )
    assert part == pytest.approx(whole, rel=1e-5)


def case_estimate(comm):
    cell = disc_cell(comm, 0.3, resolution=0.06)
    found = (
        homogenize_diffusion(cell, {"fibre": 10.0, "matrix": 1.0}),
        homogenize_stokes(cell, "matrix"),
        homogenize_elasticity(cell, SOLIDS["stiff"], bounds=False),
    )
    return {"errors": [tensor.geometric_error for tensor in found]}


@pytest.mark.mpi
def test_ranks_agree(on_ranks):
    one, two, three = (result["errors"] for result in on_ranks(case_estimate))
    assert min(one) > 0.0
    assert two == pytest.approx(one, rel=1e-6)
    assert three == pytest.approx(one, rel=1e-6)
