"""Curved cells around narrow gaps: on the surface and never folded, with the tensors that they shall have."""

from __future__ import annotations

import math

import numpy as np
import pytest
from mpi4py import MPI

from homfem import homogenize_diffusion
from homfem.cells import fibre_array, medium_cell, sphere_array
from homfem.cells.unitcell import UnitCell
from homfem.meshing.arrays.identification import identify_nodes
from homfem.meshing.arrays.jacobians import lagrange_gradients, lattice_nodes
from homfem.meshing.arrays.raw_cell import RawCell
from homfem.meshing.cut import bending, coarsening, curved, ears, implicit
from homfem.meshing.cut.background import sines
from homfem.meshing.cut.bending import BentCells, bent, soundness
from homfem.meshing.cut.cutting import cut, start
from homfem.meshing.cut.implicit import implicit_raw
from homfem.meshing.cut.level_sets import LevelSet, balls
from homfem.meshing.cut.mirror_parts import Part
from homfem.meshing.cut.resolved import TooCoarseError
from homfem.meshing.cut.volume_correction import interface
from homfem.meshing.shapes.random_media import medium_plan
from homfem.parameters import CellError, Lattice
from homfem.random_media import ParticleMedium, Sphere, random_sequential_addition

RADIUS = math.sqrt(0.1 / math.pi)
#: D*/D around the four discs of DISCS, by degree 6 on 1,586 triangles with sides of order 4.
VALUE = [[0.439864128, 0.000786644], [0.000786644, 0.410135589]]


def discs():
    return random_sequential_addition(Sphere(RADIUS), period=(1.0, 1.0), seed=14, number=4, fraction=0.4)


def cell_of(order: int, **how) -> UnitCell:
    medium = discs()
    feature = medium.feature_size()
    raw = implicit_raw(
        medium.level_set(), ["inclusion", "matrix"], lattice=Lattice.box(1.0, 1.0), resolution=1 / 3, order=order,
        size=lambda x: 0.7 * feature(x), fractions={"inclusion": medium.volume_fraction}, **how,
    )  # fmt: skip
    return UnitCell.from_raw(raw, comm=MPI.COMM_SELF)


def least_jacobian(raw: RawCell) -> float:
    """The least determinant at many points of each cell over that of the straight cell."""
    d = raw.dimension
    places = np.random.default_rng(0).dirichlet(np.full(d + 1, 0.5), 80)[:, 1:]
    places = np.vstack([places, np.zeros(d), np.eye(d)])
    maps = np.einsum("mkx,qkr->mqxr", raw.points[raw.cells], lagrange_gradients(places, d, raw.order))
    x = raw.points[raw.corners]
    return float((np.linalg.det(maps) / np.linalg.det(np.swapaxes(x[:, 1:] - x[:, :1], 1, 2))[:, None]).min())


@pytest.mark.parametrize(
    ("order", "degree", "length", "accuracy"),
    [(2, 3, 2e-6, 6e-5), (3, 4, 2e-5, 5e-5), (4, 5, 1e-8, 2e-6)],
)
def test_discs_with_narrow_gaps(order, degree, length, accuracy):
    """A cell would fold; with nodes taken off the surface D* is 2e-3 off."""
    cell = cell_of(order)
    assert cell.warnings == ()
    assert cell.volume_fractions["inclusion"] == pytest.approx(0.4, abs=1e-12)
    assert cell.interface_area == pytest.approx(8.0 * math.pi * RADIUS, rel=length)
    assert least_jacobian(cell.raw) > 0.0
    found = homogenize_diffusion(cell, {"matrix": 1.0}, degree=degree, bounds=False)
    np.testing.assert_allclose(found.value, VALUE, atol=accuracy * VALUE[0][0])


@pytest.mark.parametrize("order", [2, 3, 4])
def test_cells_are_folded_unless_they_follow_the_surface(monkeypatch, order):
    seen = []

    def told(given, points):
        known = bent(given, points)[1]
        seen.append((given.soundness(points, np.arange(len(given.cells))).min(), known.min()))
        return bent(given, points)

    monkeypatch.setattr(curved, "bent", told)
    raw = cell_of(order).raw
    assert len(seen) == 1
    before, after = seen[0]
    assert before < 0.0
    assert after > 0.1
    # The surface is moved a little after that, for the volume.
    assert soundness(raw.points, raw.points, raw.cells, order).min() == pytest.approx(after, abs=0.02)


def test_what_cannot_be_bent_is_meshed_finer_and_then_said(monkeypatch):
    monkeypatch.setattr(
        curved, "bent", lambda given, points: (points, given.soundness(points, np.arange(len(given.cells))))
    )
    finer = cell_of(4)
    assert finer.warnings == ()
    assert least_jacobian(finer.raw) > 0.0
    assert finer.interface_area == pytest.approx(8.0 * math.pi * RADIUS, rel=1e-8)
    monkeypatch.setattr(implicit, "FINER", 0)
    off = cell_of(4)
    assert off.number_of_cells < finer.number_of_cells
    assert len(off.warnings) == 1
    assert "3 nodes on edges are off the surface, as cells would fold: mesh finer" in off.warnings[0]
    assert least_jacobian(off.raw) > 0.0
    assert off.interface_area != pytest.approx(8.0 * math.pi * RADIUS, rel=1e-6)


def test_where_cells_fold_no_edges_are_collapsed_again(monkeypatch):
    """Cells at one place are too large after collapses, and the grid is finer than half of them as it is."""
    place, meshes = np.array([0.8, 0.5]), []

    def folded_if_large(given, points):
        corners = given.straight[given.cells[:, :3]]
        sizes = np.linalg.norm(corners - np.roll(corners, 1, axis=1), axis=2).max(axis=1)
        near = np.linalg.norm(corners.mean(axis=1) - place, axis=1) < 0.1
        meshes.append(len(corners))
        return points, np.where(near & (sizes > 0.13), -1.0, 1.0)

    monkeypatch.setattr(curved, "bent", folded_if_large)
    function, lattice = balls(Lattice.box(1.0, 1.0), [[0.5, 0.5]], 0.3), Lattice.box(1.0, 1.0)
    raw = implicit_raw(
        function, ["a", "b"], lattice=lattice, resolution=1 / 3, size=lambda x: np.full(len(x), 0.08), order=2,
        collapse=True,
    )  # fmt: skip
    assert raw.notes == ()
    assert len(meshes) == 2
    assert meshes[0] < meshes[1] < 3 * meshes[0]


@pytest.mark.parametrize("kink", [0.2, 0.27])
def test_moves_that_make_cells_worse_are_not_kept(kink):
    """Where the middle of the longest side is moved too far, the least distortion has a Jacobian of -0.25 for -0.08."""
    straight = lattice_nodes(2, 2)[:, 1:]
    points = straight.copy()
    points[3] -= kink
    held = np.array([True, True, True, True, False, False])
    given = BentCells(
        straight=straight, cells=np.arange(6)[None], representative=np.arange(6), held=held, free_in=None, order=2
    )  # fmt: skip
    before = given.soundness(points, np.arange(1))
    moved, known = bent(given, points)
    assert known == given.soundness(moved, np.arange(1))
    if kink < 0.25:
        assert known > before + 0.01
    else:
        assert before == pytest.approx(-0.08)
        assert np.array_equal(moved, points)


def test_folded_cells_are_an_error_where_the_mesh_can_be_finer(monkeypatch):
    monkeypatch.setattr(curved, "bent", lambda given, points: (points, np.full(len(given.cells), -1.0)))
    raw = sphere_array(fraction=0.3, resolution=1 / 3, comm=MPI.COMM_SELF).raw
    function = balls(raw.lattice, [[0.5] * 3], (0.3 * 0.75 / math.pi) ** (1 / 3))
    with pytest.raises(CellError, match=r"order = '2 for a surface that bends much near.*no cell folds.*Mesh finer"):
        curved.of_order(raw, [function], straighten=False)


def disc(resolution: float = 0.2) -> tuple[RawCell, LevelSet]:
    """With straight sides, and its function."""
    function = balls(Lattice.box(1.0, 1.0), [[0.5, 0.5]], 0.3)
    return implicit_raw(
        function, ["a", "b"], lattice=Lattice.box(1.0, 1.0), resolution=resolution, conserve=False
    ), function  # fmt: skip


def test_surfaces_that_are_moved_for_the_volume_fold_no_cell(monkeypatch):
    """The shift is made after the cells were made sound; a fifth of the period folds those beside the surface."""
    raw, function = disc()
    volume = {0: math.pi * 0.3**2}
    assert least_jacobian(curved.of_order(raw, [function], volume)) > 0.0
    monkeypatch.setattr(curved, "_shifted", lambda *_: np.array([0.2]))
    with pytest.raises(TooCoarseError, match="no cell folds") as caught:
        curved.of_order(raw, [function], volume)
    assert np.abs(np.linalg.norm(caught.value.places - 0.5, axis=1) - 0.4).max() < 0.2
    assert caught.value.sizes.max() < 0.5


def test_edges_far_from_their_surface_are_too_coarse():
    """With the places, so that the mesh is made finer there."""
    raw, function = disc()
    curved.of_order(raw, [function])
    with pytest.raises(TooCoarseError, match=r"bend too much for the mesh.*Mesh finer") as caught:
        curved.of_order(raw, [balls(raw.lattice, [[0.55, 0.5]], 0.22)])
    assert len(caught.value.places) == len(caught.value.sizes) > 2
    assert np.linalg.norm(caught.value.places - 0.5, axis=1) == pytest.approx(0.3, abs=0.06)


def test_cells_too_flat_at_a_mirror_are_meshed_finer(monkeypatch):
    """Only where cells are curved."""
    phi, lattice = disc()[1], Lattice.box(1.0, 1.0)
    monkeypatch.setattr(implicit, "FLATTEST", {2: 44.0})
    calls = []
    monkeypatch.setattr(implicit, "of_order", lambda raw, *_, **how: calls.append(raw))
    for order, meshes in ((1, 1), (2, implicit.FINER + 1)):
        seen = []
        monkeypatch.setattr(implicit, "start", lambda raw, *rest, seen=seen: seen.append(raw) or start(raw, *rest))
        with pytest.raises(TooCoarseError, match=r"cell with an angle of .* degrees near.*of 44 degrees") as caught:
            implicit_raw(phi, ["a", "b"], lattice=lattice, resolution=0.2, order=order, mirrors=["x", "y"])
        assert len(seen) == meshes
        assert len(caught.value.places) == len(caught.value.sizes) > 0
        assert [len(one.cells) for one in seen] == sorted({len(one.cells) for one in seen})
    assert calls == []


def test_cells_that_straightening_folds_are_straightened_as_well(monkeypatch):
    """A stretch of the period is moved to the right as it is, by three cells; the cells to the right of it fold, and
    as these go back those to the left of them do."""
    raw = disc(0.05)[0]
    edges, of_cell, _ = curved._edges(raw, 2)
    straight = np.vstack([raw.points, raw.points[edges].mean(axis=1)])
    cells = np.hstack([raw.cells, len(raw.points) + of_cell])
    points = straight.copy()
    points[:, 0] += 0.12 * np.clip(np.minimum((straight[:, 0] - 0.05) / 0.3, (0.8 - straight[:, 0]) / 0.05), 0.0, 1.0)
    known = soundness(points, straight, cells, 2)
    assert 0 < np.count_nonzero(known < bending.FOLDED) < 0.1 * len(cells)
    made = curved._Curved(
        raw=raw, order=2, points=points, straight=straight, cells=cells, facets=cells[:0],
        representative=np.arange(len(points)), node=cells[0, :0], number=cells[0, :0], slope=points[:0],
    )  # fmt: skip
    found, count = made._straightened(points, np.arange(len(raw.points), len(points)), known)
    assert soundness(found, straight, cells, 2).min() >= bending.FOLDED
    assert count > 0
    monkeypatch.setattr(curved, "STRAIGHTENINGS", 2)
    with pytest.raises(TooCoarseError, match="no cell folds"):
        made._straightened(points, np.arange(0), known)


def test_spheres_are_not_folded():
    cell = sphere_array(fraction=0.3, resolution=0.3, order=2, comm=MPI.COMM_SELF)
    assert cell.warnings == ()
    radius = (0.3 * 0.75 / math.pi) ** (1 / 3)
    raw = cell.raw
    away = np.linalg.norm(raw.points[np.unique(raw.facets)] - 0.5, axis=1)
    # On the sphere, but for the one distance by which it is moved for the volume.
    assert np.ptp(away) < 2e-4 * radius
    assert least_jacobian(raw) > 0.0


# -- short edges collapsed ---------------------------------------------------------------------------------------------


def balls_in_boxes(n: int, dimension: int, fraction: float) -> ParticleMedium:
    """Each in a box of its own, at a random place."""
    one = math.sqrt(fraction / math.pi) if dimension == 2 else (0.75 * fraction / math.pi) ** (1 / 3)
    boxes = np.stack(np.meshgrid(*[np.arange(n)] * dimension, indexing="ij"), axis=-1).reshape(-1, dimension) + 0.5
    centres = (boxes + (0.45 - one) * np.random.default_rng(1).uniform(-1.0, 1.0, boxes.shape)) / n
    return ParticleMedium(
        particle=Sphere(one / n), period=(1.0,) * dimension, centres=centres,
        frames=np.tile(np.eye(dimension), (len(centres), 1, 1)), scales=np.ones(len(centres)), overlap=False,
        expected_fraction=fraction, seed=1,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("n", "dimension", "fraction", "order", "most"), [(4, 2, 0.3, 4, 55), (4, 2, 0.3, 2, 60), (2, 3, 0.2, 2, 830)]
)
def test_few_cells_are_enough(n, dimension, fraction, order, most):
    medium = balls_in_boxes(n, dimension, fraction)
    raw = medium_plan(medium, order=order, resolution=1 / (3 * n)).make()
    assert len(raw.cells) <= most * medium.number
    assert raw.notes == ()
    assert least_jacobian(raw) > 0.0
    identify_nodes(raw.points, raw.lattice)
    on = np.unique(raw.facets)
    assert np.abs(medium.level_set()(raw.points[on])).max() < 2e-3 * medium.particle.radius


def test_the_same_mesh_again():
    one, other = (medium_plan(discs(), order=4, resolution=1 / 3).make() for _ in range(2))
    assert np.array_equal(one.points, other.points)
    assert np.array_equal(one.cells, other.cells)


def test_sixteen_fibres_have_their_tensor():
    """Against degree 6 on a mesh three times as fine."""
    medium = balls_in_boxes(4, 2, 0.3)
    values = [
        homogenize_diffusion(
            medium_cell(medium, order=4, resolution=resolution, comm=MPI.COMM_SELF), {"matrix": 1.0}, degree=degree,
            bounds=False,
        ).value
        for resolution, degree in ((1 / 12, 5), (1 / 40, 5))
    ]  # fmt: skip
    np.testing.assert_allclose(values[0], values[1], atol=5e-6)


@pytest.mark.parametrize("mirrors", ["none", "auto"])
def test_a_thin_coating_takes_a_third_of_the_cells(mirrors):
    """What halvings for the gap and the coating leave, with the tensor that it had; the mirrors stay mirrors."""
    phases = {"matrix": 1.0, "coating": 0.01, "fibre": 10.0}
    made = {"radius": 0.4, "coating": 0.03, "order": 4, "resolution": 0.3, "mirrors": mirrors, "comm": MPI.COMM_SELF}
    few, many = fibre_array(**made), fibre_array(refinement=4, **made)
    assert few.number_of_cells < 0.4 * many.number_of_cells
    assert few.volume_fractions == pytest.approx(many.volume_fractions, abs=1e-12)
    assert least_jacobian(few.raw) > 0.0
    symmetry = "none" if mirrors == "none" else "auto"
    values = [
        homogenize_diffusion(cell, phases, degree=4, bounds=False, symmetry=symmetry).value for cell in (few, many)
    ]
    np.testing.assert_allclose(values[0], values[1], rtol=1e-8, atol=1e-8)


def test_fewer_cells_across_a_thin_coating_cost_little_at_low_degree():
    """One cell in place of two is twice the error at 36 % of the cells, which is what linear elements are worth."""
    phases = {"matrix": 1.0, "coating": 0.01, "fibre": 10.0}
    made = {"radius": 0.4, "coating": 0.03, "order": 2, "comm": MPI.COMM_SELF}
    few, many = fibre_array(**made), fibre_array(refinement=3, **made)
    exact = homogenize_diffusion(many, phases, degree=4, bounds=False).value[0, 0]
    for degree in (1, 2):
        error = [homogenize_diffusion(cell, phases, degree=degree, bounds=False).value[0, 0] / exact - 1.0
                 for cell in (few, many)]  # fmt: skip
        assert 0.0 < error[0] < 2.5 * error[1]
    assert few.number_of_cells < 0.4 * many.number_of_cells


@pytest.mark.parametrize("d", [2, 3])
def test_a_collapse_keeps_what_it_must(d):
    """Volume, faces of the period, nodes on the surface; no edge gets too long, no angle worse than wished."""
    lattice = Lattice.box(*(1.0,) * d)
    phi = balls(lattice, [[0.1, 0.2, 0.3][:d]], 0.34)
    part = Part(lattice=lattice)
    mesh = start(implicit.background_raw(lattice, 0.1, "m", part), 1, part)
    cut(mesh, [phi], 0)
    before, worst, inside = len(mesh.cells), sines(mesh.points[mesh.cells]).min(), volumes(mesh)[mesh.region == 0].sum()
    taken = coarsening.coarsen(mesh, [phi], np.array([0, 1]), 0.2, 2)
    assert taken > 10
    assert len(mesh.cells) < 0.5 * before
    assert volumes(mesh).min() > 0.0
    assert volumes(mesh).sum() == pytest.approx(1.0, rel=1e-12)
    assert volumes(mesh)[mesh.region == 0].sum() == pytest.approx(inside, rel=0.15)
    assert sines(mesh.points[mesh.cells]).min() >= min(worst, coarsening.LEAST[d])
    ends = mesh.points[mesh.cells[:, np.array(np.triu_indices(d + 1, 1))]]
    assert np.linalg.norm(ends[:, 0] - ends[:, 1], axis=2).max() <= 0.2 * (1.0 + 1e-9)
    faces = interface(mesh, np.array([0, 1]))
    assert np.abs(phi(mesh.points[faces.nodes].reshape(-1, d))).max() < 1e-12
    identify_nodes(mesh.points[np.unique(mesh.cells)], lattice)


@pytest.mark.parametrize("order", [2, 4])
def test_edges_on_a_surface_turn_little(order):
    lattice = Lattice.box(1.0, 1.0)
    phi = balls(lattice, [[0.4, 0.5]], 0.15)
    part = Part(lattice=lattice)
    mesh = start(implicit.background_raw(lattice, 0.05, "m", part), 1, part)
    cut(mesh, [phi], 0)
    coarsening.coarsen(mesh, [phi], np.array([0, 1]), 0.3, order)
    ends = mesh.points[interface(mesh, np.array([0, 1])).nodes] - [0.4, 0.5]
    cosine = np.einsum("fx,fx->f", ends[:, 0], ends[:, 1]) / 0.15**2
    turn = np.degrees(np.arccos(cosine))
    assert 0.6 * coarsening.TURN[order] < turn.max() < coarsening.TURN[order] + 1e-6


def volumes(mesh) -> np.ndarray:
    return np.linalg.det(np.diff(mesh.points[mesh.cells], axis=1)) / math.factorial(mesh.points.shape[1])


def test_a_gap_that_the_mesh_closes_is_meshed_finer():
    """Curved cells may start coarser than the gap; straight ones are refused there."""
    medium = discs()
    how = {"lattice": Lattice.box(1.0, 1.0), "resolution": 1 / 3}
    with pytest.raises(TooCoarseError, match="thinner than the mesh") as caught:
        implicit_raw(medium.level_set(), ["inclusion", "matrix"], **how)
    assert len(caught.value.places) == len(caught.value.sizes) > 0
    raw = implicit_raw(medium.level_set(), ["inclusion", "matrix"], order=2, **how)
    assert least_jacobian(raw) > 0.0
    cell = UnitCell.from_raw(raw, comm=MPI.COMM_SELF)
    assert len(cell.connectivity["inclusion"].parts) == 4


# -- the parts ---------------------------------------------------------------------------------------------------------


def test_bernstein_coefficients_tell_of_the_corners():
    """An edge whose middle node is at a quarter of it: the determinant is 0 at one end, and 4 t - 1 ... there."""
    straight = np.array([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0], [0.5, 0.5], [0.0, 0.5], [0.5, 0.0]])
    cells = np.arange(6)[None]
    assert soundness(straight, straight, cells, 2) == pytest.approx(1.0)
    for place, least in ((0.25, 0.0), (0.3, 0.2), (0.2, -0.2)):
        points = straight.copy()
        points[5, 0] = place
        assert soundness(points, straight, cells, 2) == pytest.approx(least, abs=1e-14)
    x = np.array([[0.0, 0.0, 0.0], [1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]])
    pairs = [(2, 3), (1, 3), (1, 2), (0, 3), (0, 2), (0, 1)]
    straight = np.vstack([x, [0.5 * (x[i] + x[j]) for i, j in pairs]])
    points = straight.copy()
    points[9, 0] = 0.2
    assert soundness(points, straight, np.arange(10)[None], 2) == pytest.approx(-0.2, abs=1e-14)


@pytest.mark.parametrize(("d", "order"), [(2, 2), (2, 3), (2, 4), (3, 2)])
def test_no_point_of_a_cell_is_below_its_soundness(d, order):
    rng = np.random.default_rng(5)
    straight = lattice_nodes(d, order)[:, 1:]
    count = len(straight)
    many = np.tile(straight, (60, 1))
    points = many + rng.normal(scale=0.06 / order, size=many.shape)
    cells = np.arange(60 * count).reshape(60, count)
    places = rng.dirichlet(np.full(d + 1, 0.4), 400)[:, 1:]
    maps = np.einsum("mkx,qkr->mqxr", points[cells], lagrange_gradients(places, d, order))
    least = np.linalg.det(maps).min(axis=1)
    found = soundness(points, many, cells, order)
    assert (found <= least + 1e-12).all()
    assert np.median(least - found) < 0.4
    assert least.max() > 0.4


@pytest.mark.parametrize("d", [2, 3])
def test_the_slope_of_the_distortion(d):
    rng = np.random.default_rng(3)
    deformation = rng.normal(size=(4, d, 5, d))
    value, slope = bending._distortion(deformation, 0.1)
    step = rng.normal(size=deformation.shape)
    ahead, behind = (bending._distortion(deformation + s * 1e-6 * step, 0.1)[0] for s in (1.0, -1.0))
    assert np.vdot(slope, step) == pytest.approx((ahead - behind) / 2e-6, rel=1e-5)
    rest = np.broadcast_to(np.eye(d)[:, None], (1, d, 1, d))
    assert bending._distortion(rest, 0.0)[0] == pytest.approx(1.0)
    assert np.abs(bending._distortion(rest, 0.0)[1]).max() < 1e-14
    assert value > 20.0


def test_nodes_in_walls_stay_in_them():
    x = np.array([[0.0, 0.0], [1.0, 0.0], [1.0, 1.0], [0.0, 1.0]])
    corners = np.array([[0, 1, 2], [0, 2, 3]])
    middles = [0.5 * (x[i] + x[j]) for i, j in ((1, 2), (0, 2), (0, 1), (2, 3), (0, 3))]
    straight = np.vstack([x, middles])
    cells = np.hstack([corners, [[4, 5, 6], [7, 8, 5]]])
    points = straight.copy()
    points[5] = [0.7, 0.3]  # the diagonal bends through a side
    held = np.zeros(9, dtype=bool)
    held[:6] = held[7] = True
    free = np.tile(np.diag([1.0, 0.0]), (9, 1, 1))
    given = BentCells(
        straight=straight, cells=cells, representative=np.arange(9), held=held, free_in=free, order=2
    )  # fmt: skip
    moved, _ = bent(given, points)
    assert np.array_equal(moved[held], points[held])
    assert np.array_equal(moved[:, 1], points[:, 1])
    assert abs(moved[6, 0] - points[6, 0]) > 1e-3


@pytest.mark.parametrize(("d", "radius", "size"), [(2, 0.25, 1 / 3), (3, 0.44, 1 / 3)])
def test_corners_between_surface_edges_are_opened(d, radius, size):
    """No cell has a corner all of whose edges lie in the surface; the faces of the cell still match."""
    lattice = Lattice.box(*(1.0,) * d)
    phi = balls(lattice, [[0.1, 0.2, 0.3][:d]], radius)
    part = Part(lattice=lattice)
    mesh = start(implicit.background_raw(lattice, size, "m", part), 1, part)
    cut(mesh, [phi], 0)
    phase = np.array([0, 1])

    def flat_corners() -> int:
        number, on = ears.surface_edges(mesh, phase)
        pairs = np.stack(np.triu_indices(d + 1, 1), axis=1)
        at = (np.arange(d + 1)[:, None, None] == pairs).any(axis=2)
        # One all of whose edges lie in the surface has none to be bisected.
        flat = on[number]
        return int(np.count_nonzero((flat.astype(int) @ at.T == d) & ~flat.all(axis=1)[:, None]))

    volume, before = np.abs(np.linalg.det(np.diff(mesh.points[mesh.cells], axis=1))).sum(), flat_corners()
    count = ears.open_ears(mesh, phase)
    assert (count > 0) == (before > 0)
    assert before > 0
    assert flat_corners() == 0
    assert np.abs(np.linalg.det(np.diff(mesh.points[mesh.cells], axis=1))).sum() == pytest.approx(volume, rel=1e-12)
    identify_nodes(mesh.points, lattice)
