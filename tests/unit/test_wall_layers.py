"""Layers of a wall as regions, by the depth in it."""

from __future__ import annotations

import numpy as np
import pytest
from dolfinx import mesh
from mpi4py import MPI

from homfem.macro.domain import Domain
from homfem.macro.domain_makers import ventricle_domain
from homfem.macro.layers import wall_depth, with_layers
from homfem.meshing.shapes.ventricles import BiVentricle
from homfem.parameters import InputError

PARTS = {"inside": 0.25, "middle": 0.5, "outside": 0.25}


def slab(comm, n=8):
    """[0, 3] x [0, 2], the bath right of 2."""
    made = mesh.create_rectangle(comm, [[0, 0], [3, 2]], [3, 2 * n])
    domain = Domain(mesh=made, unit="mm").with_regions({"wall": lambda x: x[0] < 2, "bath": lambda x: x[0] > 2})
    ends = {"bottom": lambda x: np.isclose(x[1], 0.0), "top": lambda x: np.isclose(x[1], 2.0)}
    return domain.with_boundaries(ends)


def middles(domain):
    d = domain.dimension
    count = len(domain.region_of_cell)
    return mesh.compute_midpoints(domain.mesh, d, np.arange(count, dtype=np.int32))


def case_slab(comm):
    domain = with_layers(slab(comm), PARTS, inner=["bottom"], outer=["top"])
    return domain.volumes()


@pytest.mark.mpi
def test_layers_of_a_plane_wall_have_their_parts_of_its_volume(on_ranks):
    for volumes in on_ranks(case_slab):
        assert volumes == pytest.approx({"inside": 1.5, "middle": 3.0, "outside": 1.5})


def test_the_depth_of_a_plane_wall_is_the_distance_and_other_regions_stay():
    domain = slab(MPI.COMM_SELF)
    x, y = middles(domain)[:, :2].T
    assert wall_depth(domain, ["bottom"], ["top"]) == pytest.approx(y / 2.0, abs=1e-9)
    made = with_layers(domain, {"a": 0.5, "b": 0.5}, inner=["bottom"], outer=["top"], within=["wall"])
    assert made.volumes() == pytest.approx({"bath": 2.0, "a": 2.0, "b": 2.0})
    depth = wall_depth(domain, ["bottom"], ["top"], within=["wall"])
    assert np.array_equal(np.isnan(depth), x > 2.0)
    assert depth[x < 2.0] == pytest.approx(y[x < 2.0] / 2.0, abs=1e-9)


def test_layers_of_both_ventricles_lie_in_their_order():
    """Inside, in between, outside: of the nodes of each cell by distance from the surface outside."""
    heart = ventricle_domain(MPI.COMM_SELF, BiVentricle(), resolution=3.0, unit="mm")
    depth = wall_depth(heart, ["lv", "rv"], ["epi"])
    made = with_layers(heart, {"endo": 0.3, "mid": 0.4, "epi": 0.3})
    assert list(made.regions) == ["endo", "mid", "epi"]
    numbers = made.region_of_cell
    low = [depth[numbers == made.regions[name]].min() for name in made.regions]
    high = [depth[numbers == made.regions[name]].max() for name in made.regions]
    assert low[1] >= 0.3 >= high[0]
    assert low[2] >= 0.7 >= high[1]
    assert made.shape is heart.shape


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"parts": {"a": 0.5}}, "parts = .*sum to 1"),
        ({"parts": {}}, "parts = .*sum to 1"),
        ({"parts": {"a": -0.5, "b": 1.5}}, r"parts\.a = -0\.5"),
        ({"parts": {"a": 0.999, "b": 0.001}}, r"parts\.b = 0\.001.*Refine"),
        ({"parts": {"bath": 1.0}, "within": ["wall"]}, r"parts\.bath = 'bath'.*no other region"),
        ({"inner": None}, "inner = 'endo'"),
        ({"outer": ["bottom"]}, "outer = .*not inner"),
        ({"outer": []}, "outer = .*at least one"),
        ({"within": ["wal"]}, "within = 'wal'.*'wall'"),
    ],
)
def test_bad_layers_are_refused(change, message):
    given = {"parts": PARTS, "inner": ["bottom"], "outer": ["top"]} | change
    with pytest.raises(InputError, match=message):
        with_layers(slab(MPI.COMM_SELF), given.pop("parts"), **given)
