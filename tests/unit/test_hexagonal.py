"""Heart muscle cells of hexagonal section: exact fractions and areas, every point, symmetry, the tensors' bounds."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from homfem import homogenize_diffusion
from homfem.cells.hexagonal import hexagonal_myocyte
from homfem.meshing.arrays.facets import cell_facets
from homfem.meshing.arrays.raw_cell import RawCell, cell_volumes
from homfem.meshing.cut.background import angles
from homfem.parameters import InputError
from homfem.periodic import identify_nodes

SIZES = (80.0, 16.0, 2.0)


def areas(raw: RawCell) -> dict[tuple[str, str], float]:
    """Area between each two phases, in mesh units; every facet of the torus must have two cells."""
    representative, _ = identify_nodes(raw.points, raw.lattice)
    facets = cell_facets(raw.corners, raw.kind).reshape(-1, 3)
    owner = np.repeat(raw.phase_of_cell, 4)
    _, place, count = np.unique(
        np.sort(representative[facets], axis=1), axis=0, return_inverse=True, return_counts=True
    )
    assert set(count.tolist()) == {2}
    order = np.argsort(place, kind="stable")
    a, b, c = np.moveaxis(raw.points[facets[order[::2]]], 1, 0)
    size = 0.5 * np.linalg.norm(np.cross(b - a, c - a), axis=1)
    pairs = np.sort(np.stack([owner[order[::2]], owner[order[1::2]]]), axis=0)
    names = {tag: name for name, tag in raw.phases.items()}
    return {
        (names[i], names[j]): float(size[(pairs[0] == i) & (pairs[1] == j)].sum())
        for i in names
        for j in names
        if i < j
    }


lengths = st.floats(10.0, 60.0)
widths = st.floats(8.0, 30.0)
shares = st.floats(0.1, 0.9)


@settings(max_examples=5, deadline=None)
@given(long=lengths, w=widths, g=st.floats(0.2, 5.0), e=shares, s=shares, staggered=st.booleans())
def test_fractions_and_areas_are_exact(long, w, g, e, s, staggered):
    cell = hexagonal_myocyte(long, w, g, end_patch=e, side_patch=s, staggered=staggered, resolution=1 / 3)
    p = w + g
    assert cell.periods == pytest.approx((long + g, p, math.sqrt(3) * p), rel=1e-13)
    hexagon = math.sqrt(3) / 2
    period = (long + g) * 2 * hexagon * p**2
    # Of two cells: the end faces are hexagons, and each of the six sides has two patches, half of each its own.
    patches = 2 * (2 * hexagon * (e * w) ** 2 + 12 * (e * w / math.sqrt(3)) * (s * (long - g) / 2))
    inside = 2 * hexagon * w**2 * long
    surface = 2 * (2 * hexagon * w**2 + 6 * w / math.sqrt(3) * long)
    rims = 2 * g * (6 * e * w / math.sqrt(3) + 6 * 2 * (e * w / math.sqrt(3) + s * (long - g) / 2))
    fractions = {"intracellular": inside / period, "junction": 0.5 * g * patches / period}
    fractions["extracellular"] = 1 - sum(fractions.values())
    assert cell.volume_fractions == pytest.approx(fractions, abs=1e-12)
    found = {pair: area * cell.length**2 for pair, area in areas(cell.raw).items()}
    assert found["intracellular", "junction"] == pytest.approx(patches, rel=1e-11)
    assert found["intracellular", "extracellular"] == pytest.approx(surface - patches, rel=1e-11)
    assert found["junction", "extracellular"] == pytest.approx(rims, rel=1e-11)
    assert cell.interface_area == pytest.approx((surface + rims) / period, rel=1e-11)
    assert {"intracellular|junction", "intracellular|extracellular"} <= set(cell.facets)
    assert cell.connectivity["extracellular"].rank == 3
    assert cell.connectivity["intracellular"].rank == 0
    assert cell.connectivity["junction"].rank == 0
    assert cell.restrict(["intracellular", "junction"]).whole.rank == 3


@pytest.mark.parametrize("staggered", [True, False])
def test_every_point_has_its_phase(staggered):
    long, w, g = SIZES
    e, s, p, period = 0.6, 0.3, w + g, long + g
    cell = hexagonal_myocyte(*SIZES, end_patch=e, side_patch=s, staggered=staggered, resolution=1 / 3)
    raw = cell.raw
    weights = np.random.default_rng(3).dirichlet(np.ones(4), len(raw.cells))
    x, y, z = np.einsum("mk,mkx->xm", weights, raw.points[raw.corners]) * cell.length
    # The nearest axis of all around, by the greatest distance along the three normals.
    normals = [(1.0, 0.0), (0.5, math.sqrt(3) / 2), (0.5, -math.sqrt(3) / 2)]
    axes = [(i + 0.5 * (j % 2), j * math.sqrt(3) / 2, j % 2) for i in range(-2, 4) for j in range(-2, 4)]
    along = np.array([[ny * (y - cy * p) + nz * (z - cz * p) for ny, nz in normals] for cy, cz, _ in axes])
    far = np.abs(along).max(axis=1)
    near = far.argmin(axis=0)
    reach = far.min(axis=0)
    assert reach.max() < p / 2 + 1e-9
    row = np.array([r for _, _, r in axes])[near]
    moved = x - 0.5 * period * row * staggered
    at_end = np.abs(moved - period * np.rint(moved / period)) < g / 2
    # The distances along the other two normals differ by sqrt(3) times the place along the side.
    own = np.abs(along[:, :, np.arange(len(x))][near, :, np.arange(len(x))])
    own.sort(axis=1)
    beside = (own[:, 1] - own[:, 0]) / math.sqrt(3)
    at_patch = np.abs((2 * x / period) % 1.0 - 0.5) * period / 2 < s * (long - g) / 4
    expected = np.where(reach < w / 2, np.where(at_end, np.where(reach < e * w / 2, 2, 3), 1), 3)
    expected[(reach > w / 2) & at_patch & (beside < e * w / (2 * math.sqrt(3)))] = 2
    assert np.array_equal(expected, raw.phase_of_cell)
    assert raw.phases == {"intracellular": 1, "junction": 2, "extracellular": 3}


@pytest.mark.parametrize("gap", [2.0, 0.02])
def test_no_angle_is_flat_however_thin_the_gap(gap):
    raw = hexagonal_myocyte(80.0, 16.0, gap, resolution=0.25).raw
    assert angles(raw.points, raw.cells)[1].max() < 120.0 + 1e-9
    assert cell_volumes(raw).sum() == pytest.approx(raw.lattice.volume, rel=1e-13)


def test_tensors_lie_between_planes_and_tubes():
    """Ideal conductors across leave the harmonic mean of the sections; insulating tubes the straight ones."""
    long, w, g = SIZES
    e, s, p = 0.5, 0.2, w + g
    cell = hexagonal_myocyte(*SIZES, end_patch=e, side_patch=s, resolution=0.25)
    free = (p**2 - w**2) / p**2
    bridged = free - 2 * e * w * g / p**2
    open_end = free + 0.5 * (1 - e**2) * w**2 / p**2
    share = np.array([s * (long - g), 2 * g, 0.0]) / (long + g)
    share[2] = 1 - share.sum()
    outside = homogenize_diffusion(cell, {"extracellular": 1.0}, degree=1, lower_degree=0)
    assert outside.contains(outside.value)
    assert bridged < outside.lower[0, 0]
    assert outside.upper[0, 0] < 1 / (share @ (1 / np.array([bridged, open_end, free])))
    inside = homogenize_diffusion(cell, {"intracellular": 1.0, "junction": 1.0}, degree=1, lower_degree=0)
    section = w**2 / p**2
    sections = [section + 2 * e * w * g / p**2, 0.5 * (1 + e**2) * section, section]
    assert e**2 * section < inside.lower[0, 0]
    assert inside.upper[0, 0] < 1 / (share @ (1 / np.array(sections)))
    assert inside.lower[1, 1] > 0.1
    assert inside.lower[0, 0] > inside.upper[1, 1]
    # All phases: between Reuss and Voigt.
    values = {"intracellular": 4.0, "junction": 0.1, "extracellular": 20.0}
    whole = homogenize_diffusion(cell, values, degree=1, lower_degree=0)
    fractions = np.array([cell.volume_fractions[name] for name in values])
    coefficients = np.array(list(values.values()))
    assert np.linalg.eigvalsh(whole.upper)[-1] < fractions @ coefficients
    assert np.linalg.eigvalsh(whole.lower)[0] > 1 / (fractions @ (1 / coefficients))


@pytest.mark.parametrize("phases", [("extracellular",), ("intracellular", "junction")])
def test_without_the_shift_tensors_are_isotropic_across(phases):
    cell = hexagonal_myocyte(40.0, 16.0, 2.0, staggered=False, resolution=1 / 3)
    found = homogenize_diffusion(cell, dict.fromkeys(phases, 1.0), degree=1, lower_degree=0, rtol=1e-12)
    for side in (found.lower, found.upper):
        assert np.abs(side - np.diag(side[[0, 1, 1], [0, 1, 1]])).max() < 1e-9


def test_thin_gaps_are_a_honeycomb_of_sheets():
    r"""Sheets of thickness g on honeycomb edges p/3^(1/2) conduct g/p across and 2g/p along; the ends add g/(l+g)."""
    long, w, g = 40.0, 20.0, 0.2
    cell = hexagonal_myocyte(long, w, g, staggered=False, resolution=1 / 3)
    found = homogenize_diffusion(cell, {"extracellular": 1.0, "junction": 1.0}, bounds=False)
    assert found.value[1, 1] == pytest.approx(g / (w + g) + g / (long + g), rel=0.02)
    assert found.value[0, 0] == pytest.approx(2 * g / (w + g), rel=0.02)


@pytest.mark.parametrize(
    ("arguments", "name"),
    [
        ({"length": 0.0}, "length"),
        ({"width": -1.0}, "width"),
        ({"width": math.nan}, "width"),
        ({"gap": 0.0}, "gap"),
        ({"gap": 20.0}, "gap"),
        ({"length": 1.0}, "gap"),
        ({"end_patch": 1.0}, "end_patch"),
        ({"end_patch": 0.0}, "end_patch"),
        ({"side_patch": 1.0}, "side_patch"),
        ({"side_patch": -0.1}, "side_patch"),
        ({"resolution": 0.5}, "resolution"),
    ],
)
def test_bad_input_is_refused(arguments, name):
    with pytest.raises(InputError) as caught:
        hexagonal_myocyte(**arguments)
    assert caught.value.name == name
