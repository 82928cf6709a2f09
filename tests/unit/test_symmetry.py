"""Cells solved on the part between their mirror planes: what is found on the mesh, and the same tensors and bounds."""

from __future__ import annotations

import logging

import numpy as np
import pytest
from mpi4py import MPI

from homfem import (
    homogenize_diffusion,
    homogenize_elasticity,
    homogenize_stokes,
    periodic,
    solve_diffusion,
    solve_elasticity,
    solve_stokes,
    three_pipe,
)
from homfem.cells import fibre_array, sphere_array, struts, tpms
from homfem.cells.painted import laminate
from homfem.cells.symmetry import find_symmetry, symmetric_part
from homfem.cells.tiling import tiled
from homfem.cells.unitcell import UnitCell
from homfem.certify.symmetry import symmetric_solid
from homfem.local.allowance import unfolded
from homfem.local.elasticity import elastic_coefficient, elasticity_problem
from homfem.local.engine import solve_correctors
from homfem.meshing.shapes.three_pipe_grid import structured_three_pipe
from homfem.meshing.topology.mirrors import Region, between, equal_axes, find_mirrors, same_regions
from homfem.output.microfields import localise
from homfem.parameters import InputError
from homfem.stiffness import rotate, transversely_isotropic
from homfem.validation.published import DRAG_OF_SPHERES, permeability_of_spheres
from made_cells import grid_cell, grid_raw, square

PAIRS = [(0, 1), (0, 2), (1, 2)]
CONTRAST = {"a": 1.0, "b": 10.0}
SOLIDS = {"a": {"young": 1.0, "poisson": 0.3}, "b": {"young": 10.0, "poisson": 0.2}}


def slab(s):
    """Mirrors across y and z, none across x."""
    return (np.abs(s[:, 1:] - 0.5).max(axis=1) < 0.25) * np.select([s[:, 0] < 0.25, s[:, 0] < 0.5], [1, 2], default=3)


def centred(s):
    return (np.abs(s - 0.5).max(axis=1) < 0.25).astype(int)


def unequal(s):
    """A box inside that is longer along z."""
    return (np.abs(s - 0.5).max(axis=1, initial=0.0, where=[True, True, False]) < 0.25).astype(int) * (
        np.abs(s[:, 2] - 0.5) < 0.375
    )


def twisted(s):
    """Three bars along x, y and z that a cyclic exchange of the axes takes to each other, an exchange of two not."""
    p = np.abs(s - 0.5)
    bars = [(p[:, k] < 0.375) & (p[:, (k + 1) % 3] < 0.25) & (p[:, (k + 2) % 3] < 0.125) for k in range(3)]
    return (bars[0] | bars[1] | bars[2]).astype(int)


def mirrored_cell(divisions, paint):
    """A cell whose mesh is its own image in every mirror."""
    raw = grid_raw(divisions, paint)
    mirrors = find_mirrors(raw)[0]
    return UnitCell.from_raw(unfolded(between(raw, mirrors), mirrors), comm=MPI.COMM_WORLD)


def region(raw):
    return Region.of(raw.points, raw.corners, raw.phase_of_cell, raw.kind)


@pytest.mark.parametrize("d", [2, 3])
def test_regions_are_compared_as_sets(d):
    """The same square or cube, cut along other diagonals and on another grid; then moved, and with another phase."""
    one = grid_raw((4, 4, 4)[:d], centred)
    images = one.points * ([-1.0] + [1.0] * (d - 1)) + ([1.0] + [0.0] * (d - 1))
    turned = Region.of(images, one.corners, one.phase_of_cell, one.kind)
    finer = region(grid_raw((8, 4, 12)[:d], centred))
    assert same_regions(region(one), turned)
    assert same_regions(region(one), finer)
    assert not same_regions(region(one), region(grid_raw((8, 4, 4)[:d], lambda s: centred(s - 0.125))))
    swapped = Region.of(one.points, one.corners, 3 - one.phase_of_cell, one.kind)
    assert not same_regions(region(one), swapped)


def test_one_cell_of_another_phase_is_a_defect():
    """Every mesh cell in turn would do; two are tried, one of them next to a plane."""
    raw = structured_three_pipe(0.3, resolution=0.25, grading=1.0)
    assert [mirror.axis for mirror in find_mirrors(raw)[0]] == [0, 1, 2]
    for number in (0, len(raw.cells) // 2 + 3):
        tags = raw.phase_of_cell.copy()
        tags[number] = 3 - tags[number]
        defect = type(raw)(**{name: getattr(raw, name) for name in raw.__slots__} | {"phase_of_cell": tags})
        mirrors, reasons = find_mirrors(defect)
        assert mirrors == ()
        assert reasons == dict.fromkeys(range(3), "the phases are not their mirror image")


def test_planes_are_found_where_they_are():
    cell = laminate([0.3, 0.7], dimension=3)
    found = find_symmetry(cell, pairs=PAIRS)
    assert found.mirrors[0].low == pytest.approx(0.15, abs=1e-12)
    assert found.first_axis == (0, 1, 1)
    assert symmetric_part(cell).volume_fractions == pytest.approx({"layer1": 0.3, "layer2": 0.7})
    three = find_symmetry(laminate([0.2, 0.3, 0.5]))
    assert [mirror.axis for mirror in three.mirrors] == [1]
    assert "none across x: the phases are not their mirror image" in three.describe()


@pytest.mark.parametrize(
    ("paint", "expected"), [(centred, (0, 0, 0)), (unequal, (0, 0, 2)), (twisted, (0, 0, 0)), (slab, (0, 1, 2))]
)
def test_equal_axes(paint, expected):
    raw = grid_raw((8, 8, 8), paint)
    mirrors = find_mirrors(raw)[0]
    assert len(mirrors) == (2 if paint is slab else 3)
    assert equal_axes(between(raw, mirrors), mirrors, PAIRS) == expected
    if paint is twisted:
        assert equal_axes(between(raw, mirrors), mirrors, PAIRS[:2]) == (0, 1, 2)


def test_a_mesh_that_crosses_the_plane_does_not_qualify():
    mirrors, reasons = find_mirrors(grid_raw((5, 4), lambda s: np.zeros(len(s))))
    assert [mirror.axis for mirror in mirrors] == [1]
    assert list(reasons) == [0]
    assert reasons[0].startswith("mesh cells lie on both sides of every plane")
    skew = grid_raw((4, 4), vectors=[[1.0, 0.0], [0.5, 1.0]])
    assert set(find_mirrors(skew)[1].values()) == {"the period is no box along the axes"}


@pytest.mark.parametrize("lower_degree", [0, 1])
@pytest.mark.parametrize("phases", [{"er": 1.0}, {"er": 1.0, "cytosol": 20.0}])
def test_the_octant_has_the_tensor_of_the_whole(phases, lower_degree):
    """The mesh is its own image: both discrete problems are one."""
    cell = three_pipe(edges=[0.3, 0.4, 0.3], resolution=0.3, grading=1.0)
    whole, part = (
        solve_diffusion(cell, phases, symmetry=symmetry, lower_degree=lower_degree, rtol=1e-12)
        for symmetry in ("none", "auto")
    )
    for one, other, error in ((part.correctors, whole.correctors, 1e-11), (part.dual, whole.dual, 1e-10)):
        assert np.diag(one.average)[[0, 1, 0]] == pytest.approx(np.diag(other.average), abs=error)
    stated = part.tensor.roundoff + whole.tensor.roundoff
    assert stated < 1e-9
    assert part.tensor.upper == pytest.approx(whole.tensor.upper, abs=1e-11 + stated)
    assert part.tensor.lower == pytest.approx(whole.tensor.lower, abs=1e-10 + stated)
    assert part.cell.number_of_cells * 8 == whole.cell.number_of_cells
    assert part.symmetry.first_axis == (0, 1, 0)
    assert part.correctors.average.shape == (2, 2)
    assert part.tensor.volume_fractions == whole.tensor.volume_fractions
    assert part.tensor.interface_area == whole.tensor.interface_area


@pytest.mark.parametrize("symmetry", ["none", "auto"])
def test_a_cell_is_distributed_once(symmetry, monkeypatch):
    """However often phases, islands and mirrors are chosen; the whole is so only when its own mesh is asked for."""
    sizes = []
    make = periodic.create_periodic_mesh

    def counted(comm, points, cells, *rest, **more):
        sizes.append(len(cells))
        return make(comm, points, cells, *rest, **more)

    monkeypatch.setattr(periodic, "create_periodic_mesh", counted)
    cell = three_pipe(0.3, resolution=1 / 3)
    solution = solve_diffusion(cell, {"er": 1.0}, symmetry=symmetry)
    assert sizes == [solution.cell.number_of_cells]
    assert cell.number_of_cells > sizes[0] * (8 if symmetry == "auto" else 1)
    assert cell.mesh.topology.index_map(3).size_global == cell.number_of_cells == sizes[-1]
    assert cell.restrict(["er", "cytosol"]).mesh is cell.mesh
    assert len(sizes) == 2


def test_coefficients_rule_mirrors_out():
    """A matrix with an entry xy leaves the mirror across z; the tensor keeps its entry xy."""
    cell = grid_cell((4, 4, 4), centred)
    values = {"a": 1.0, "b": np.array([[4.0, 1.0, 0.0], [1.0, 3.0, 0.0], [0.0, 0.0, 2.0]])}
    whole, part = (solve_diffusion(cell, values, symmetry=symmetry, rtol=1e-12) for symmetry in ("none", "auto"))
    assert [mirror.axis for mirror in part.symmetry.mirrors] == [2]
    assert part.symmetry.reasons[0] == "the coefficient of 'b' is not its mirror image"
    assert part.cell.copies == 2
    # The meshes of both halves differ, so do the bounds; what they enclose is one tensor.
    assert np.linalg.eigvalsh(part.tensor.upper - whole.tensor.lower)[0] > 0.0
    assert np.linalg.eigvalsh(whole.tensor.upper - part.tensor.lower)[0] > 0.0
    assert part.tensor.value == pytest.approx(whole.tensor.value, abs=2.0 * whole.tensor.half_gap)
    assert part.tensor.value[0, 1] > 5.0 * whole.tensor.half_gap > 0.0
    assert part.tensor.value[0, 2] == part.tensor.value[1, 2] == 0.0


def bars(s):
    """Bars at the rim in some columns, in the middle in others, of one volume and one centre; no halves are alike."""
    rim = np.abs(s[:, 1] - 0.5) > 0.25
    return np.where(np.array([0, 0, 0, 1, 0, 1, 1, 0])[(8 * s[:, 0]).astype(int)], rim, ~rim).astype(int)


def orthotropic(**changed):
    """A cubic stiffness in which some entries are changed, such as xx=30 for that of xx, xx."""
    matrix = np.diag([9.0, 9.0, 9.0, 4.0, 4.0, 4.0])
    matrix[:3, :3] += 2.0 * (1.0 - np.eye(3))
    order = ["xx", "yy", "zz", "yz", "xz", "xy"]
    for entry, value in changed.items():
        i, j = order.index(entry[:2]), order.index(entry[-2:])
        matrix[i, j] = matrix[j, i] = value
    return matrix


def cracked(place):
    """A crack across x in the middle of the height: its nodes are there twice, but for its ends."""
    raw = grid_raw((8, 8))
    on = np.flatnonzero((np.abs(raw.points - [place, 0.5]) < [0.01, 0.24]).all(axis=1))
    number = np.arange(len(raw.points))
    number[on] = len(number) + np.arange(len(on))
    right = raw.points[raw.cells].mean(axis=1)[:, 0] > place
    cells = np.where(right[:, None], number[raw.cells], raw.cells)
    raw = type(raw)(
        **{name: getattr(raw, name) for name in raw.__slots__}
        | {"cells": cells, "points": np.vstack([raw.points, raw.points[on]])}
    )
    return UnitCell.from_raw(raw, comm=MPI.COMM_SELF, cracks=True)


def _same_bracket(solve_cell):
    """Solve with and without symmetries: two brackets of one tensor have something in common, in every direction."""
    whole, part = (solve_cell(symmetry=how) for how in ("none", "auto"))
    assert np.linalg.eigvalsh(part.upper - whole.lower)[0] > -1e-9
    assert np.linalg.eigvalsh(whole.upper - part.lower)[0] > -1e-9
    return whole


@pytest.mark.parametrize("more", [(30.0, 1.0), (1.0, 30.0), (30.0, 1.0, 1.0), (1.0, 30.0, 1.0), (1.0, 1.0, 30.0)])
@pytest.mark.parametrize("where", ["a", "b"])
def test_axes_whose_coefficients_differ_are_not_exchanged(more, where):
    """The mesh is that of a cube; along one axis one phase conducts thirty times better."""
    cell = grid_cell((4,) * len(more), centred)
    values = {"a": 1.0, "b": 2.0} | {where: np.diag(more)}
    tensor = _same_bracket(lambda **options: homogenize_diffusion(cell, values, **options))
    along = np.diag(tensor.lower).max()
    assert along > 1.2 * np.sort(np.diag(tensor.upper))[-2]


@pytest.mark.parametrize("entry", ["xx", "yy", "zz", "yz", "xz", "xy", "xx_yy", "xx_zz", "yy_zz"])
def test_axes_whose_stiffnesses_differ_are_not_exchanged(entry):
    """Of a cubic stiffness one entry is another one."""
    cell = mirrored_cell((4, 4, 4), centred)
    value = -1.5 if "_" in entry else 40.0
    solids = {"a": orthotropic(**{entry: value}), "b": SOLIDS["a"]}
    whole = _same_bracket(lambda **o: homogenize_elasticity(cell, solids, degree=1, **o))
    images = [[1, 0, 2, 4, 3, 5], [2, 1, 0, 5, 4, 3], [0, 2, 1, 3, 5, 4]]
    apart = [np.linalg.eigvalsh(whole.lower - whole.upper[np.ix_(order, order)])[-1] for order in images]
    assert max(apart) > 0.1  # an exchange that should not be is seen


@pytest.mark.parametrize("fluid", ["a", "b"])
def test_pores_that_differ_along_the_axes_are_not_exchanged(fluid):
    def cross(s):
        """Two channels that cross, one of them twice as wide."""
        return ((np.abs(s[:, 0] - 0.5) < 0.25) | (np.abs(s[:, 1] - 0.5) < 0.125)).astype(int)

    paint = cross if fluid == "b" else lambda s: (np.abs(s - 0.5) < [0.375, 0.125]).all(axis=1).astype(int)
    cell = grid_cell((8, 8), paint)
    tensor = _same_bracket(lambda **options: homogenize_stokes(cell, fluid, bounds=True, **options))
    assert max(tensor.lower[0, 0] / tensor.upper[1, 1], tensor.lower[1, 1] / tensor.upper[0, 0]) > 1.2


def test_halves_that_are_no_mirror_images_are_not_taken_for_it():
    """Volumes and centres are those of mirror images, the phases are not."""
    cell = grid_cell((8, 8), bars)
    assert [mirror.axis for mirror in find_symmetry(cell).mirrors] == [1]
    tensor = _same_bracket(lambda **options: homogenize_diffusion(cell, {"a": 1.0, "b": 100.0}, **options))
    assert tensor.upper[0, 0] < 40.0  # straight bars have 50.5
    _same_bracket(
        lambda **options: homogenize_elasticity(cell, SOLIDS | {"b": {"young": 100.0, "poisson": 0.3}}, **options)
    )
    flow = _same_bracket(
        lambda **options: homogenize_stokes(
            grid_cell((8, 8), lambda s: bars(s) * (s[:, 1] < 0.75)), "a", bounds=True, **options
        )
    )
    assert flow.upper[0, 0] > 0.0


@pytest.mark.parametrize("place", [0.25, 0.5, 0.75])
def test_cracks_have_a_say(place):
    """The phases of the cell are their mirror images, its crack is not; on the plane itself it would vanish."""
    cell = cracked(place)
    tensor = _same_bracket(lambda **options: homogenize_diffusion(cell, {"a": 1.0}, **options))
    assert tensor.upper[0, 0] < 0.9
    _same_bracket(lambda **options: homogenize_elasticity(cell, {"a": SOLIDS["a"]}, **options))
    assert set(find_symmetry(cell).reasons.values()) == {"the mesh may have cracks, which are no part of the phases"}


def test_functions_of_position_are_solved_whole(caplog):
    caplog.set_level(logging.INFO, logger="homfem")
    cell = grid_cell((4, 4), square)
    values = {"a": 1.0, "b": lambda x: 2.0 + x[0]}
    found = solve_diffusion(cell, values, symmetry="auto")
    assert found.cell.number_of_cells == cell.number_of_cells
    assert "the coefficient of 'b' is a function of position" in caplog.text
    assert found.tensor.value == pytest.approx(homogenize_diffusion(cell, values).value)


def test_obnosov_on_a_quadrant_by_refinement():
    """The bisected quadrant is no longer symmetric about its diagonal; its bounds are bounds nevertheless."""
    exact = np.sqrt((1.0 + 30.0) / (10.0 + 3.0))
    found = solve_diffusion(grid_cell((8, 8), square), CONTRAST, symmetry="auto", tolerance=3e-4)
    assert found.symmetry.first_axis == (0, 0)
    assert len(found.history) > 2
    assert found.tensor.reached
    assert found.tensor.contains(exact)
    assert np.array_equal(found.tensor.value, found.tensor.value[0, 0] * np.eye(2))


@pytest.mark.parametrize(("phase", "exact"), [("er", 0.0104499413), ("cytosol", 0.94938977)])
def test_the_calcium_cell(phase, exact):
    """The converged factors of Goel, Sneyd, Friedman's cell (computed independently), in a bracket from one octant."""
    found = homogenize_diffusion(three_pipe(edges=0.1, resolution=0.1), {phase: 1.0}, symmetry="auto")
    assert found.contains(exact)
    assert found.relative_gap < 1e-2


#: Cells that level sets give, the phase that conducts ten times better, published D*, and the first of like axes.
ARRAYS = {
    "spheres": (lambda **o: sphere_array(fraction=0.3, resolution=0.125, **o), "sphere", 1.88774, (0, 0, 0)),
    "fibres": (lambda **o: fibre_array(fraction=0.5, resolution=0.05, **o), "fibre", 2.4154674, (0, 0)),
}


@pytest.mark.parametrize("name", ARRAYS)
def test_arrays_of_curved_bodies_qualify(name):
    """One load on an octant (quadrant), and the tensor is the published one, in the bracket as on the whole."""
    make, phase, exact, alike = ARRAYS[name]
    values = {phase: 10.0, "matrix": 1.0}
    cell = make(mirrors="auto")
    part, whole = solve_diffusion(cell, values, symmetry="auto"), homogenize_diffusion(cell, values)
    assert part.symmetry.first_axis == alike
    assert part.symmetry.reasons == {}
    assert part.cell.copies * part.cell.number_of_cells == cell.number_of_cells
    assert len(part.correctors.average) == 1
    tensor = part.tensor
    assert tensor.lower == pytest.approx(whole.lower, abs=1e-6)
    assert tensor.upper == pytest.approx(whole.upper, abs=1e-6)
    # The bounds hold for the polyhedra, whose volume is exact.
    assert tensor.contains(exact)
    if name == "fibres":
        plain = homogenize_diffusion(make(), values)
        assert tensor.value == pytest.approx(plain.value, abs=plain.half_gap + tensor.half_gap)
        assert tensor.relative_gap < 1.2 * plain.relative_gap
    assert cell.volume_fractions[phase] == pytest.approx(0.3 if phase == "sphere" else 0.5, abs=1e-12)


@pytest.mark.parametrize(
    ("make", "alike"),
    [
        (lambda **o: sphere_array("body-centred", fraction=0.3, resolution=0.125, refinement=0, **o), (0, 0, 0)),
        (lambda **o: sphere_array("face-centred", fraction=0.3, resolution=0.125, refinement=0, **o), (0, 0, 0)),
        (lambda **o: tpms("schwarz-p", resolution=0.2, **o), (0, 0, 0)),
        (lambda **o: struts("cubic", thickness=0.4, resolution=0.2, **o), (0, 0, 0)),
        (lambda **o: struts("body-centred", thickness=0.3, fillet=0.1, resolution=0.125, **o), (0, 0, 0)),
        (lambda **o: fibre_array("hexagonal", fraction=0.3, coating=0.05, **o), (0, 1)),
        (lambda **o: fibre_array(fraction=0.3, dimension=3, axis="y", **o), (0, 1, 0)),
        (lambda **o: fibre_array("hexagonal", section="elliptical", aspect=2.0, fraction=0.3, **o), (0, 1)),
    ],
)
def test_shapes_with_mirrors(make, alike):
    cell = make(mirrors="auto")
    found = find_symmetry(cell, pairs=PAIRS[: 1 if cell.dimension == 2 else 3])
    assert [mirror.axis for mirror in found.mirrors] == list(range(cell.dimension))
    assert found.first_axis == alike


def test_shapes_without_mirrors():
    for make in (lambda **o: tpms("gyroid", resolution=0.15, **o), lambda **o: tpms("schwarz-d", resolution=0.12, **o)):
        assert find_symmetry(make(mirrors="auto")).mirrors == ()
    for make in (sphere_array, fibre_array, tpms, struts):
        with pytest.raises(InputError, match="mirrors"):
            make(mirrors="yes")


@pytest.mark.parametrize("d", [2, 3])
def test_elasticity_on_the_part(d):
    """Shears as well, which have other conditions on the planes than stretches."""
    if d == 2:
        cell, degree = laminate([0.3, 0.7]), 2
        solids = dict(zip(("layer1", "layer2"), SOLIDS.values(), strict=True))
    else:
        cell, degree = three_pipe(edges=0.4, resolution=0.3, grading=1.0), 1
        solids = dict(zip(("er", "cytosol"), SOLIDS.values(), strict=True))
    part = symmetric_part(cell)
    assert part.copies == 2**d
    whole, found = (
        solve_correctors(c, elasticity_problem(c, elastic_coefficient(c, solids), degree=degree), rtol=1e-12).average
        for c in (cell, part)
    )
    assert found == pytest.approx(whole, abs=1e-8)


@pytest.mark.parametrize(
    ("divisions", "paint", "loads"),
    [((8, 8), centred, 3), ((4, 4, 8), unequal, 5), ((4, 4, 4), centred, 4), ((4, 4, 4), slab, 6)],
)
def test_both_bounds_of_elasticity_on_the_part(divisions, paint, loads):
    """The mesh is its own mirror image, so that both discrete problems are one; not under an exchange of axes."""
    cell, young = mirrored_cell(divisions, paint), {"a": 1.0, "b": 10.0, "c": 3.0, "d": 5.0}
    solids = {name: {"young": young[name], "poisson": 0.25} for name in cell.phase_names}
    whole, part = (solve_elasticity(cell, solids, symmetry=how, degree=1, rtol=1e-12) for how in ("none", "auto"))
    assert part.cell.copies == (4 if paint is slab or len(divisions) == 2 else 8)
    assert len(part.correctors.functions) == len(part.dual.functions) == loads
    allowances = whole.dual.allowance + part.dual.allowance
    assert allowances < 1e-5
    for key in ("lower", "upper"):
        one, other = getattr(whole.tensor, key), getattr(part.tensor, key)
        if loads < 6 and len(divisions) == 3:
            # An exchange of axes takes the tensor to itself, the mesh not: the mean over the exchanges.
            images = [[0, 1, 2, 3, 4, 5], [1, 0, 2, 4, 3, 5]] if paint is unequal else [
                [0, 1, 2, 3, 4, 5], [1, 2, 0, 4, 5, 3], [2, 0, 1, 5, 3, 4]
            ]  # fmt: skip
            one = np.mean([one[np.ix_(order, order)] for order in images], axis=0)
            assert np.abs(other[:3, :3] - one[:3, :3]).max() < 10 * allowances + 1e-9
            assert np.abs(other - one).max() < whole.tensor.relative_gap * np.abs(one).max()
        else:
            assert np.abs(other - one).max() < 10 * allowances + 1e-9
    assert part.tensor.relative_gap == pytest.approx(whole.tensor.relative_gap, rel=0.05)


def test_the_gap_on_the_octant_closes_where_it_is():
    """Refined on the octant until the bracket is narrow: it holds the value of a fine mesh of the whole."""
    cell = grid_cell((8, 8), square)
    fine = homogenize_elasticity(grid_cell((64, 64), square), SOLIDS, degree=2, bounds=False)
    found = solve_elasticity(cell, SOLIDS, symmetry="auto", tolerance=5e-3)
    assert found.tensor.reached
    assert len(found.history) > 1
    assert np.linalg.eigvalsh(found.tensor.upper - fine.value)[0] > -1e-6
    assert np.linalg.eigvalsh(fine.value - found.tensor.lower)[0] > 0.0


def test_stiffnesses_have_a_say():
    """Fibres along z leave x and y alike; fibres off the axes take the mirrors that they cross."""
    cell = grid_cell((4, 4, 4), centred)
    fibre = {"young_along": 9.0, "young_across": 2.0, "poisson_along": 0.3, "poisson_across": 0.4, "shear_along": 1.0}
    along = transversely_isotropic(**fibre, axis="z")
    assert symmetric_solid(cell, {"a": SOLIDS["a"], "b": along})[2].first_axis == (0, 0, 2)
    turn = np.array([[np.cos(0.3), -np.sin(0.3), 0.0], [np.sin(0.3), np.cos(0.3), 0.0], [0.0, 0.0, 1.0]])
    across = rotate(transversely_isotropic(**fibre, axis="x"), turn)
    found = symmetric_solid(cell, {"a": SOLIDS["a"], "b": across})[2]
    assert [mirror.axis for mirror in found.mirrors] == [2]
    assert found.reasons[0] == "the stiffness of 'b' is not its mirror image"


@pytest.mark.parametrize(
    ("edges", "forces", "element"),
    [
        (0.4, 1, "taylor-hood"),
        (0.4, 1, "equal-order"),
        (0.4, 1, "scott-vogelius"),
        ([0.3, 0.4, 0.3], 2, "taylor-hood"),
        ([0.3, 0.4, 0.3], 2, "crouzeix-raviart"),
    ],
)
def test_stokes_flow_on_the_octant(edges, forces, element):
    """The mesh is its own mirror image: one discrete problem, bounds and allowances of either element included."""
    cell = three_pipe(edges=edges, resolution=0.3, grading=1.0)
    whole, part = (
        solve_stokes(cell, "er", element=element, rtol=1e-12, symmetry=how, preconditioner="direct")
        for how in ("none", "auto")
    )
    assert part.cell.copies == 8
    assert len(part.correctors.functions) == forces
    size = np.abs(whole.tensor.value).max()
    for key in ("value", "lower", "upper"):
        one, other = getattr(whole.tensor, key), getattr(part.tensor, key)
        assert (one is None) == (other is None)
        if one is not None:
            assert other == pytest.approx(one, abs=2e-8 * size)


def test_permeability_of_spheres_from_one_octant():
    """Drag of Zick and Homsy 1982 at fraction .216, between bounds and from the best value."""
    exact = permeability_of_spheres(0.216, DRAG_OF_SPHERES[0.216])
    cell = sphere_array(fraction=0.216, resolution=0.125, mirrors="auto")
    value = solve_stokes(cell, "matrix", symmetry="auto")
    assert value.symmetry.first_axis == (0, 0, 0)
    assert value.tensor.value == pytest.approx(exact * np.eye(3), abs=0.005 * exact)
    coarse = sphere_array(fraction=0.216, resolution=0.25, mirrors="auto", refinement=0)
    bounds = homogenize_stokes(coarse, "matrix", symmetry="auto", bounds=True)
    assert np.all(np.linalg.eigvalsh(bounds.upper - value.tensor.value) > 0.0)
    assert np.all(np.linalg.eigvalsh(value.tensor.value - bounds.lower) > 0.0)


def test_the_gap_of_stokes_closes_on_the_quadrant():
    cell = fibre_array(fraction=0.3, resolution=0.125, mirrors="auto")
    found = solve_stokes(cell, "matrix", symmetry="auto", bounds=True, tolerance=0.03)
    assert found.tensor.reached
    assert len(found.history) > 1
    whole = homogenize_stokes(fibre_array(fraction=0.3, resolution=0.05), "matrix", degree=3)
    assert found.tensor.lower[0, 0] < whole.value[0, 0] < found.tensor.upper[0, 0]


def test_refusals():
    cell = grid_cell((4, 4), square)
    with pytest.raises(InputError, match="symmetry"):
        homogenize_diffusion(cell, CONTRAST, symmetry="yes")
    for options in ({"boundary": "affine"}, {"backend": "multipoint"}, {"membranes": {"a|b": 1.0}}):
        with pytest.raises(InputError, match="'none' with membranes, other boundaries"):
            homogenize_diffusion(cell, CONTRAST, symmetry="auto", **options)
    with pytest.raises(InputError, match="symmetry"):
        homogenize_elasticity(cell, SOLIDS, symmetry="yes")
    with pytest.raises(InputError, match="symmetry"):
        homogenize_stokes(cell, "a", symmetry="yes")
    with pytest.raises(InputError, match="'none' with a slip length"):
        homogenize_stokes(cell, "a", symmetry="auto", slip_length=0.1)
    for options in ({"boundary": "affine"}, {"backend": "multipoint"}):
        with pytest.raises(InputError, match="'none' for other boundaries"):
            homogenize_elasticity(cell, SOLIDS, symmetry="auto", **options)
    part = symmetric_part(cell)
    with pytest.raises(InputError, match="symmetric part last"):
        part.restrict(["a"])
    with pytest.raises(InputError, match="whole for other backends"):
        homogenize_diffusion(part, CONTRAST, boundary="flux")
    solution = solve_diffusion(cell, CONTRAST, symmetry="auto")
    for needs_the_whole in (
        lambda: localise(solution.cell, solution.correctors, [1.0]),
        lambda: tiled(part, 2),
        lambda: part.save("part.msh"),
        lambda: homogenize_elasticity(part, SOLIDS),
        lambda: homogenize_stokes(part, "a"),
    ):
        with pytest.raises(InputError, match="whole, not its part"):
            needs_the_whole()
    again = find_symmetry(part)
    assert again.mirrors == ()
    assert again.reasons[0] == "the cell is a symmetric part already"


def case(comm):
    cell = grid_cell((8, 8), square, comm=comm)
    found = solve_diffusion(cell, CONTRAST, symmetry="auto", tolerance=1e-2, rtol=1e-12)
    slabs = homogenize_diffusion(
        grid_cell((4, 4, 4), slab, comm=comm), CONTRAST | {"c": 2.0, "d": 4.0}, symmetry="auto"
    )
    arrays = {}
    for name, (make, phase, _, _) in ARRAYS.items():
        cell = make(mirrors="auto", comm=comm)
        arrays[name] = homogenize_diffusion(cell, {phase: 10.0, "matrix": 1.0}, symmetry="auto", rtol=1e-10)
    box = grid_cell((4, 4, 4), centred, comm=comm)
    solid = solve_elasticity(box, SOLIDS, symmetry="auto", degree=1, rtol=1e-12)
    flow = [
        homogenize_stokes(box, "a", symmetry="auto", rtol=1e-12, element=element)
        for element in ("equal-order", "crouzeix-raviart")
    ]
    return {
        "lower": found.tensor.lower.tolist(),
        "upper": found.tensor.upper.tolist(),
        "soft": solid.tensor.lower.tolist(),
        "stiff": solid.tensor.upper.tolist(),
        "flow": [tensor.value.tolist() for tensor in flow],
        "slabs": slabs.value.tolist(),
        "cells": found.cell.number_of_cells,
        "arrays": [tensor.value[0, 0] for tensor in arrays.values()],
    }


def test_ranks_agree(on_ranks):
    one, *others = on_ranks(case)
    assert one["arrays"] == pytest.approx([exact for _, _, exact, _ in ARRAYS.values()], rel=3e-4)
    for other in others:
        assert other["cells"] == one["cells"]
        for key in ("lower", "upper", "slabs", "arrays", "soft", "stiff", "flow"):
            assert np.array(other[key]) == pytest.approx(np.array(one[key]), abs=1e-8)
