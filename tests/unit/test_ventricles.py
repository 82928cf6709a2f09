"""Ideal ventricles: volumes and areas against exact ones, names, the depth in the wall, fibres by formula, configs."""

from __future__ import annotations

import logging
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from mpi4py import MPI
from scipy.integrate import quad

from homfem.config.models.domains import FibresTable, parse_domain
from homfem.config.table import parse_table
from homfem.macro.domain_makers import ventricle_domain
from homfem.meshing.files.body import BodyArrays
from homfem.meshing.shapes.ventricles import BiVentricle, Ventricle
from homfem.parameters import InputError
from homfem.runs.domains import make_domain, with_fibres


def volumes(body: BodyArrays) -> dict[str, float]:
    corners = body.points[body.cells]
    each = np.abs(np.linalg.det(corners[:, 1:] - corners[:, :1])) / 6.0
    return {name: float(each[body.region_of_cell == tag].sum()) for name, tag in body.regions.items()}


def areas(body: BodyArrays) -> dict[str, float]:
    corners = body.points[body.facets]
    each = 0.5 * np.linalg.norm(np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]), axis=1)
    return {name: float(each[body.facet_tags == tag].sum()) for name, tag in body.boundaries.items()}


def circle(radii: tuple[float, ...], z: float) -> float:
    """Radius of the section of a spheroid."""
    return radii[0] * math.sqrt(max(0.0, 1.0 - (z / radii[2]) ** 2))


def lens(r: float, s: float, d: float) -> float:
    """Area that two circles share."""
    if r + s <= d or min(r, s) == 0.0:
        return 0.0
    if d <= abs(r - s):
        return math.pi * min(r, s) ** 2
    a, b = ((d * d + r * r - s * s) / (2 * d * r)), ((d * d + s * s - r * r) / (2 * d * s))
    kite = math.sqrt((-d + r + s) * (d + r - s) * (d - r + s) * (d + r + s))
    return r * r * math.acos(a) + s * s * math.acos(b) - 0.5 * kite


def exact_right(heart: BiVentricle) -> float:
    """Volume of the right wall: its sections are circles less circles."""

    def section(z: float) -> float:
        outer, inner, left = (circle(r, z) for r in (heart.rv_epi, heart.rv_endo, heart.lv_epi))
        taken = lens(outer, left, heart.offset) - lens(inner, left, heart.offset)
        return math.pi * (outer**2 - inner**2) - taken

    return quad(section, -heart.rv_epi[2], heart.base, epsabs=1e-8, limit=400, points=[-heart.rv_endo[2], 0.0])[0]


def test_a_ventricle_has_its_exact_volume_to_second_order() -> None:
    heart = Ventricle()
    coarse, fine = (heart.mesh(size) for size in (3.0, 1.5))
    errors = [abs(volumes(body)["wall"] - heart.volume) / heart.volume for body in (coarse, fine)]
    assert errors[0] < 0.015
    assert errors[1] < errors[0] / 3.0
    # Land et al. (2015): the cavity of their ellipsoid without load.
    assert heart.cavity == pytest.approx(math.pi * 49 * (5 - 125 / (3 * 289) + 34 / 3), rel=1e-13)
    rim = math.pi * (100 * (1 - 25 / 400) - 49 * (1 - 25 / 289))
    assert areas(fine)["base"] == pytest.approx(rim, rel=0.01)
    assert set(areas(fine)) == {"base", "endo", "epi"}
    inside = fine.points[fine.facets[fine.facet_tags == fine.boundaries["endo"]]].reshape(-1, 3)
    assert np.abs(((inside / heart.endo) ** 2).sum(axis=1) - 1).max() < 1e-6


def test_both_ventricles_have_their_exact_volumes_and_names() -> None:
    heart = BiVentricle()
    body = heart.mesh(2.0)
    left = Ventricle(endo=heart.lv_endo, epi=heart.lv_epi, base=heart.base)
    assert volumes(body) == pytest.approx({"left": left.volume, "right": exact_right(heart)}, rel=0.012)
    assert set(body.boundaries) == {"base", "epi", "lv", "rv"}
    assert areas(body)["lv"] == pytest.approx(areas(left.mesh(2.0))["endo"], rel=0.005)
    # Around the cavity of the right ventricle: its free wall, and the septum on the left one's outside.
    at = body.points[body.facets[body.facet_tags == body.boundaries["rv"]]].mean(axis=1)
    free = ((at - [heart.offset, 0, 0]) / heart.rv_endo) ** 2
    septum = (at / heart.lv_epi) ** 2
    near = np.minimum(np.abs(free.sum(axis=1) - 1), np.abs(septum.sum(axis=1) - 1))
    assert near.max() < 0.05
    assert (np.abs(septum.sum(axis=1) - 1) < 0.05).mean() > 0.2
    assert (at[:, 0] > 0).all()
    outside = body.points[body.facets[body.facet_tags == body.boundaries["epi"]]].mean(axis=1)
    assert (((outside - [heart.offset, 0, 0]) / heart.rv_endo) ** 2).sum(axis=1).min() > 0.97


def test_a_body_of_other_sides_is_stretched() -> None:
    heart = BiVentricle().stretched((58.0, 26.0, 50.0))
    assert heart.lv_endo == pytest.approx((14.0, 7.0, 34.0))
    assert (heart.offset, heart.base) == pytest.approx((12.0, 10.0))
    body = heart.mesh(1.9)
    assert np.ptp(body.points, axis=0) == pytest.approx((58.0, 26.0, 50.0), rel=0.01)
    assert volumes(body)["right"] == pytest.approx(4.0 * exact_right(BiVentricle()), rel=0.012)


def on_ellipsoids(t: np.ndarray, u: np.ndarray, v: np.ndarray) -> np.ndarray:
    """Land et al. (2015): r_s = 7 + 3 t, r_l = 17 + 3 t."""
    short, long_ = 7.0 + 3.0 * t, 17.0 + 3.0 * t
    return np.stack([short * np.sin(u) * np.cos(v), short * np.sin(u) * np.sin(v), long_ * np.cos(u)], axis=1)


def test_depth_and_fibres_are_those_of_the_benchmark() -> None:
    rng = np.random.default_rng(3)
    t, u, v = rng.uniform(0, 1, 300), rng.uniform(-3.1, -1.4, 300), rng.uniform(-3.1, 3.1, 300)
    points = on_ellipsoids(t, u, v)
    assert Ventricle().depth(points) == pytest.approx(t, abs=1e-12)
    fibre, normal = Ventricle().axes(points)
    h = 1e-6
    du = (on_ellipsoids(t, u + h, v) - on_ellipsoids(t, u - h, v)) / (2 * h)
    dv = (on_ellipsoids(t, u, v + h) - on_ellipsoids(t, u, v - h)) / (2 * h)
    # On the side of sin u < 0 the direction of dx/dv is that of increasing v in the plane.
    alpha = np.radians(90 - 180 * t)[:, None]
    expected = (
        np.sin(alpha) * du / np.linalg.norm(du, axis=1)[:, None]
        + np.cos(alpha) * dv / np.linalg.norm(dv, axis=1)[:, None]
    )
    assert fibre == pytest.approx(expected, abs=1e-8)
    assert np.abs(np.einsum("ij,ij->i", normal, du)).max() < 1e-7
    assert np.einsum("ij,ij->i", normal, points).min() > 0
    assert np.abs(np.einsum("ij,ij->i", normal, fibre)).max() < 1e-14


def test_the_apex_and_places_outside_have_axes_too() -> None:
    fibre, normal = Ventricle().axes(np.array([[0.0, 0.0, -18.5], [0.0, 0.0, -20.5], [7.0, 0.0, 0.0]]))
    assert np.linalg.norm(fibre, axis=1) == pytest.approx(1.0)
    assert normal == pytest.approx(np.array([[0, 0, -1.0], [0, 0, -1.0], [1, 0, 0]]))
    assert fibre[2] == pytest.approx([0, 0, 1], abs=1e-14)  # along the long axis, towards the base
    assert Ventricle().axes(np.array([[10.0, 0.0, 0.0]]), 60, 0)[0][0] == pytest.approx([0, 1, 0], abs=1e-14)


@pytest.mark.parametrize(
    ("make", "named"),
    [
        (lambda: Ventricle(endo=(11.0, 17.0)), r"endo = \[11.0, 11.0, 17.0\].*shorter than the half axes of epi"),
        (lambda: Ventricle(endo=(7.0,)), r"endo = .*two half axes"),
        (lambda: Ventricle(endo=(7.0, math.nan)), r"endo\[1\] = nan"),
        (lambda: Ventricle(base=17.5), r"base = 17.5.*< 17.*plane of the base must cut endo"),
        (lambda: Ventricle().mesh(7.0), r"resolution = 7.*< 7.*least half axis"),
        (lambda: Ventricle().mesh(1e-5), r"resolution = 1e-05.*memory"),
        (lambda: BiVentricle(offset=30.0), r"offset = 30.*begins in the left one"),
        (lambda: BiVentricle(rv_endo=(3.0, 15.0)), r"offset = 6.*reaches beyond x = 9.68.*2.828 wide"),
        (lambda: BiVentricle(rv_endo=(14.0, 15.0)), r"rv_endo = .*shorter than the half axes of rv_epi"),
        (lambda: BiVentricle(base=16.0), r"base = 16.*< 15"),
    ],
)  # fmt: skip
def test_shapes_that_are_none_are_refused(make: Any, named: str) -> None:
    with pytest.raises(InputError, match=named):
        make()


def case_config(comm: MPI.Comm, *, table: dict[str, Any], fibres: dict[str, Any]) -> dict[str, Any]:
    domain = make_domain(parse_domain(table), comm, Path(), "um")
    domain = with_fibres(domain, parse_table(FibresTable, fibres, "fibres"), Path())
    owned = domain.mesh.topology.index_map(3).size_local
    f = domain.fibres.fibre.x.array.reshape(-1, 3)[:owned]
    mean = comm.allreduce(np.einsum("c,ci,cj->ij", domain.cell_volumes()[:owned], f, f))
    return {
        "volumes": dict(sorted(domain.volumes().items())),
        "names": sorted(domain.boundaries),
        "mean": mean.tolist(),
    }


@pytest.mark.parametrize(
    ("table", "fibres", "volume"),
    [
        ({"shape": "ventricle"}, {"rule": "ellipsoid"}, {"wall": Ventricle().volume * 1e9}),
        (
            {"shape": "ventricle", "endo": ["0.7 cm", "1.7 cm"], "base": "0 mm"},
            {"rule": "ldrb", "apex": ["0 mm", "0 mm", "-2 cm"]},
            {"wall": 2 / 3 * math.pi * (100 * 20 - 49 * 17) * 1e9},
        ),
        (
            {"shape": "ventricle", "size": ["40 mm", "20 mm", "25 mm"]},
            {"rule": "ellipsoid", "alpha_endo": 60.0, "alpha_epi": -60.0},
            {"wall": 2e9 * Ventricle().volume},
        ),
        (
            {"shape": "biventricle", "size": ["43.5 mm", "39 mm", "37.5 mm"]},
            {"rule": "ldrb", "alpha_endo": 60.0, "alpha_epi": -60.0, "beta_endo": 0.0, "beta_epi": 0.0},
            {"left": 1.5**3 * Ventricle().volume * 1e9, "right": 1.5**3 * exact_right(BiVentricle()) * 1e9},
        ),
    ],
)
def test_ventricles_of_a_config_are_equal_on_two_ranks(on_ranks, table, fibres, volume) -> None:
    table = {"resolution": "3 mm"} | table
    one, two = on_ranks(case_config, ranks=(1, 2), table=table, fibres=fibres)
    assert one["volumes"] == pytest.approx(volume, rel=0.025)
    assert two["volumes"] == pytest.approx(one["volumes"], rel=1e-12)
    assert one["names"] == two["names"]
    assert np.trace(one["mean"]) == pytest.approx(sum(one["volumes"].values()), rel=1e-12)
    assert np.ravel(two["mean"]) == pytest.approx(np.ravel(one["mean"]), abs=1e-9 * np.trace(one["mean"]))


@pytest.mark.parametrize(
    ("table", "named"),
    [
        ({"shape": "ventricle"}, r"resolution = \(missing\).*size of the mesh cells"),
        ({"shape": "ventricle", "resolution": 1.0}, r"resolution = 1.0.*no unit|resolution = 1.0"),
        ({"shape": "ventricle", "resolution": "1 mm", "lv_endo": ["7 mm", "17 mm"]}, r"lv_endo = .*known keys"),
        ({"shape": "ventricle", "resolution": "1 mm", "endo": ["7 mm"]}, r"endo = .*half axes across and along"),
        ({"shape": "ventricle", "resolution": "1 mm", "endo": ["7 cm", "17 mm"]}, r"endo = \[70.0, 70.0, 17.0\]"),
        (
            {"shape": "ventricle", "resolution": "1 mm", "size": ["1 mm"] * 3, "base": "1 mm"},
            r"size = .*absent where base is given",
        ),
        ({"shape": "biventricle", "resolution": "1 mm", "offset": "-30 mm"}, r"offset = -30"),
    ],
)
def test_bad_tables_are_refused(table: dict[str, Any], named: str) -> None:
    with pytest.raises(InputError, match=named):
        parse_domain(table)


@pytest.mark.parametrize(
    ("fibres", "named"),
    [
        ({"rule": "ldrb", "direction": [1, 0, 0]}, r"direction = \[1.0, 0.0, 0.0\].*one of the three"),
        ({}, r"direction = \(missing\).*one of the three"),
        ({"rule": "ellipsoid", "beta_endo": 0.0}, r"beta_endo = 0.0.*absent with ellipsoid.*rule ldrb"),
        ({"direction": [1, 0, 0], "alpha_endo": 0.0}, r"alpha_endo = 0.0.*absent with direction.*belongs to a rule"),
        ({"rule": "ldrb", "alpha_endo": 91.0}, r"alpha_endo = 91.0.*<= 90"),
        ({"rule": "ldrb", "tissue": "left"}, r"tissue = 'left'.*list of names"),
        ({"rule": "lrdb"}, r"rule = 'lrdb'.*'ldrb'"),
    ],
)
def test_bad_fibre_tables_are_refused(fibres: dict[str, Any], named: str) -> None:
    with pytest.raises(InputError, match=named):
        parse_table(FibresTable, fibres, "fibres")


def test_cells_larger_than_the_wall_are_told(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, logger="homfem"):
        assert volumes(Ventricle().mesh(5.0))["wall"] == pytest.approx(Ventricle().volume, rel=0.1)
    assert "larger than the wall is thick (3)" in caplog.text


def test_a_ventricle_keeps_its_shape_for_the_rule() -> None:
    heart = ventricle_domain(MPI.COMM_SELF, Ventricle(), resolution=3.0, unit="mm")
    assert heart.shape == Ventricle()
    assert heart.fibres is None
