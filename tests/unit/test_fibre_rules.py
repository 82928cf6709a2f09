"""The Laplace-Dirichlet rule: slabs and a tube where it is known exactly, the ellipsoid's formula, ranks, refusals."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from dolfinx import mesh
from mpi4py import MPI
from scipy.spatial.transform import Rotation, Slerp

from homfem._dolfinx import geometry_dofmap, original_cell_index
from homfem.macro.domain import Domain
from homfem.macro.domain_makers import ventricle_domain
from homfem.macro.fibre_rules import RuleAngles, bislerp, ellipsoid_fibres, ldrb_fibres
from homfem.macro.fibres import FibreFrame
from homfem.meshing.by_gmsh.session import gmsh_session
from homfem.meshing.shapes.ventricles import BiVentricle, Ventricle
from homfem.parameters import InputError


def slab(low: str, high: str, n: int = 4, comm: MPI.Comm = MPI.COMM_SELF) -> Domain:
    """A cube: through the wall along x from ``low`` to ``high``, up along z from ``apex`` to ``base``."""
    domain = Domain(mesh=mesh.create_unit_cube(comm, n, n, n), unit="mm")
    return domain.with_boundaries(
        {
            low: lambda x: x[0] < 1e-9,
            high: lambda x: x[0] > 1 - 1e-9,
            "apex": lambda x: x[2] < 1e-9,
            "base": lambda x: x[2] > 1 - 1e-9,
        }
    )


def middles(domain: Domain) -> np.ndarray:
    return np.asarray(domain.mesh.geometry.x)[geometry_dofmap(domain.mesh)].mean(axis=1)


def vectors(function: Any) -> np.ndarray:
    return np.asarray(function.x.array).reshape(-1, 3)


def angle_between(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """In degrees, of lines."""
    cross = np.linalg.norm(np.cross(a, b), axis=1)
    return np.degrees(np.arctan2(cross, np.abs(np.einsum("ij,ij->i", a, b))))


def turned(alpha: np.ndarray, beta: np.ndarray, outward: float = 1.0) -> tuple[np.ndarray, np.ndarray]:
    """Fibre and sheet in a slab whose outward direction is x, up z: the circumference is y."""
    a, b, zero = np.radians(alpha), np.radians(beta), 0.0 * alpha
    across = np.stack([zero, -np.sin(a), np.cos(a)], axis=1)
    through = np.stack([zero + outward, zero, zero], axis=1)
    sheet = np.sin(b)[:, None] * across + np.cos(b)[:, None] * through
    return np.stack([zero, np.cos(a), np.sin(a)], axis=1), sheet


@pytest.mark.parametrize("profile", ["linear", "bayer"])
@pytest.mark.parametrize("angles", [(40.0, -50.0, 0.0, 0.0), (30.0, -20.0, 40.0, 40.0)])
def test_in_a_slab_of_free_wall_the_angles_are_those_of_the_profile(profile: str, angles: tuple[float, ...]) -> None:
    domain = slab("endo", "epi")
    endo, epi, inner, outer = angles
    rule = RuleAngles(alpha_endo=endo, alpha_epi=epi, beta_endo=inner, beta_epi=outer, profile=profile)
    frame = ldrb_fibres(domain, angles=rule)
    x = middles(domain)[:, 0]
    weight = x if profile == "linear" else x**2
    fibre, sheet = turned(endo + (epi - endo) * weight, inner + 0 * x)
    assert angle_between(vectors(frame.fibre), fibre).max() < 1e-6
    assert angle_between(vectors(frame.sheet), sheet).max() < 1e-6


@pytest.mark.parametrize("profile", ["linear", "bayer"])
def test_in_the_septum_the_fibres_turn_from_one_inside_to_the_other(profile: str) -> None:
    domain = slab("lv", "rv")
    rule = RuleAngles(alpha_endo=60.0, alpha_epi=0.0, beta_endo=20.0, beta_epi=0.0, profile=profile)
    frame = ldrb_fibres(domain, angles=rule)
    x = middles(domain)[:, 0]
    fibre, sheet = turned(60 * (1 - 2 * x), 20 * (1 - 2 * x))
    assert angle_between(vectors(frame.fibre), fibre).max() < 1e-6
    assert angle_between(vectors(frame.sheet), sheet).max() < 1e-6


def test_both_walls_turn_the_same_way_seen_from_their_own_inside() -> None:
    domain = ventricle_domain(MPI.COMM_SELF, BiVentricle(), resolution=2.0)
    rule = RuleAngles(alpha_endo=60.0, alpha_epi=-60.0, beta_endo=0.0, beta_epi=0.0)
    frame, at = ldrb_fibres(domain, angles=rule), middles(domain)
    f, s = vectors(frame.fibre), vectors(frame.sheet)
    middle = (at[:, 2] > -8.0) & (at[:, 2] < 3.0)
    for own, centre, inner in (
        (at[:, 0] < -1.0, 0.0, np.hypot(at[:, 0], at[:, 1]) < 7.8),
        (at[:, 0] > 13.0, 6.0, (((at - [6, 0, 0]) / [11.6, 11.6, 15.6]) ** 2).sum(axis=1) < 1.0),
    ):
        wall = own & middle & inner
        assert wall.sum() > 20
        outward = at[wall] - [centre, 0.0, 0.0]
        outward[:, 2] = 0.0
        assert (np.abs(np.einsum("ij,ij->i", s[wall], outward)) > 0.8 * np.linalg.norm(outward, axis=1)).all()
        round_ = outward[:, 0] * f[wall, 1] - outward[:, 1] * f[wall, 0]
        rise = np.degrees(np.arcsin(np.sign(round_) * f[wall, 2]))
        assert (rise > 5.0).mean() > 0.9
        assert 25.0 < rise.mean() < 60.0


def tube(size: float) -> Domain:
    """A quarter of a tube with radii 1 and 2, length 1."""
    from homfem.macro.domain_makers import domain_from_arrays
    from homfem.meshing.shapes.ventricles import mesh_of_solids

    def make() -> Any:
        with gmsh_session(Mesh_MeshSizeMin=size, Mesh_MeshSizeMax=size) as gmsh:
            occ = gmsh.model.occ
            outer, inner = (occ.addCylinder(0, 0, 0, 0, 0, 1, r, angle=math.pi / 2) for r in (2.0, 1.0))
            parts, _ = occ.cut([(3, outer)], [(3, inner)])
            occ.synchronize()

            def name(points: np.ndarray, _middle: np.ndarray) -> str:
                r, z = np.hypot(points[:, 0], points[:, 1]), points[:, 2]
                flat = {"apex": z, "base": z - 1, "endo": r - 1, "epi": r - 2}
                return next((key for key, value in flat.items() if np.abs(value).max() < 1e-6), "side")

            return mesh_of_solids(gmsh, {"wall": parts}, name, size)

    return domain_from_arrays(MPI.COMM_SELF, make, unit="mm")


def test_in_a_tube_the_fibres_converge_to_the_exact_ones() -> None:
    rule = RuleAngles(alpha_endo=70.0, alpha_epi=-40.0, beta_endo=0.0, beta_epi=0.0)
    errors = []
    for size in (0.3, 0.15):
        domain = tube(size)
        x, y, _ = middles(domain).T
        r = np.hypot(x, y)
        alpha = np.radians(70 - 110 * np.log(r) / math.log(2.0))
        exact = np.stack([-np.cos(alpha) * y / r, np.cos(alpha) * x / r, np.sin(alpha)], axis=1)
        angles = angle_between(vectors(ldrb_fibres(domain, angles=rule).fibre), exact)
        errors.append(math.sqrt(float(np.average(angles**2, weights=domain.cell_volumes()))))
    assert errors[0] < 5.0
    assert errors[1] < 0.62 * errors[0]


def test_on_the_ellipsoid_the_rule_comes_near_the_formula() -> None:
    """The depth of the rule is harmonic and that of the formula is not: the angles differ by their difference."""
    domain = ventricle_domain(MPI.COMM_SELF, Ventricle(), resolution=2.0)
    rule = RuleAngles(alpha_endo=60.0, alpha_epi=-60.0, beta_endo=0.0, beta_epi=0.0)
    by_rule, by_formula = ldrb_fibres(domain, angles=rule), ellipsoid_fibres(domain, alpha_endo=60, alpha_epi=-60)
    at, volume = middles(domain), domain.cell_volumes()
    apart = angle_between(vectors(by_rule.fibre), vectors(by_formula.fibre))
    middle = at[:, 2] > -12.0
    assert np.average(apart[middle], weights=volume[middle]) < 3.0
    assert np.average(apart, weights=volume) < 4.0
    sheets = angle_between(vectors(by_rule.sheet), vectors(by_formula.sheet))
    assert np.average(sheets, weights=volume) < 5.0
    # Handed the right way: near the inside the fibres rise counterclockwise, seen from the base.
    depth = domain.shape.depth(at)
    inner = middle & (depth < 0.25)
    f = vectors(by_rule.fibre)[inner]
    round_ = at[inner, 0] * f[:, 1] - at[inner, 1] * f[:, 0]
    assert (np.sign(round_) * f[:, 2] > 0.3).all()


def test_blood_and_bath_have_no_fibres_and_let_nothing_pass() -> None:
    """The free wall of the slab between blood and bath, which reach beyond the apex: fibres are those of it alone."""
    made = mesh.create_box(MPI.COMM_SELF, [[-1, 0, -1], [2, 1, 1]], [9, 3, 6])
    wall = lambda x: (x[0] > 0) & (x[0] < 1) & (x[2] > 0)  # noqa: E731
    domain = Domain(mesh=made, unit="mm").with_regions({"wall": wall, "bath": lambda x: ~wall(x)})
    made.topology.create_entities(2)
    made.topology.create_connectivity(2, 3)
    facets = np.arange(made.topology.index_map(2).size_local, dtype=np.int32)
    x = mesh.compute_midpoints(made, 2, facets).T
    inside = (x[0] > -1e-9) & (x[0] < 1 + 1e-9) & (x[2] > -1e-9)
    tags = np.select([inside & (np.abs(x[0]) < 1e-9), inside & (np.abs(x[0] - 1) < 1e-9),
                      inside & (np.abs(x[2]) < 1e-9), inside & (np.abs(x[2] - 1) < 1e-9)], [1, 2, 3, 4], 0)  # fmt: skip
    marks = mesh.meshtags(made, 2, facets[tags > 0], tags[tags > 0].astype(np.int32))
    domain = replace(domain, facet_tags=marks, boundaries={"endo": 1, "epi": 2, "apex": 3, "base": 4})
    rule = RuleAngles(alpha_endo=60.0, alpha_epi=-60.0, beta_endo=0.0, beta_epi=0.0)
    frame, at = ldrb_fibres(domain, angles=rule, tissue=["wall"]), middles(domain)
    own = np.isin(np.arange(len(at)), domain.cells("wall"))
    fibre, _ = turned(60 - 120 * at[:, 0], 0 * at[:, 0])
    assert angle_between(vectors(frame.fibre), fibre)[own].max() < 1e-4
    assert not vectors(frame.fibre)[~own].any()
    # The apex is sought in the tissue.
    free = replace(domain, boundaries={name: tag for name, tag in domain.boundaries.items() if name != "apex"})
    found, told = (ldrb_fibres(free, angles=rule, tissue=["wall"], apex=apex) for apex in (None, (0, 0, 0)))
    assert angle_between(vectors(found.fibre)[own], vectors(told.fibre)[own]).max() < 1e-6
    assert "tissue = 'wal'" in refused(domain, tissue=["wal"])


def case_ranks(comm: MPI.Comm, *, both: bool) -> dict[str, Any]:
    shape = BiVentricle() if both else Ventricle()
    domain = ventricle_domain(comm, shape, resolution=3.0)
    owned = domain.mesh.topology.index_map(3).size_local
    frames = [ldrb_fibres(domain)] + ([] if both else [ellipsoid_fibres(domain)])
    lines = [np.einsum("ci,cj->cij", *[vectors(axis)[:owned]] * 2) for f in frames for axis in (f.fibre, f.sheet)]
    mine = original_cell_index(domain.mesh)[:owned], np.stack(lines, axis=1).reshape(owned, -1)
    parts = comm.allgather(mine)
    number, rows = (np.concatenate([part[k] for part in parts]) for k in (0, 1))
    return {"lines": rows[np.argsort(number)].tolist()}


@pytest.mark.mpi
@pytest.mark.parametrize("both", [False, True])
def test_fibres_are_the_same_on_any_number_of_ranks(on_ranks, both: bool) -> None:
    one, *others = (np.array(found["lines"]) for found in on_ranks(case_ranks, both=both))
    assert np.isfinite(one).all()
    for other in others:
        assert np.abs(other - one).max() < 1e-9


def test_the_apex_is_the_farthest_node_or_the_one_that_is_named() -> None:
    domain = ventricle_domain(MPI.COMM_SELF, Ventricle(), resolution=3.0)
    nearest = ldrb_fibres(domain, apex=(0.0, 0.0, -20.0))
    assert angle_between(vectors(ldrb_fibres(domain).fibre), vectors(nearest.fibre)).max() < 1e-9
    aside = ldrb_fibres(domain, apex=(10.0, 0.0, 0.0))
    assert np.median(angle_between(vectors(nearest.fibre), vectors(aside.fibre))) > 5.0


def test_psi_rises_from_a_node_as_from_a_boundary() -> None:
    """Upside down the fibres would be the same lines, but the sheets would lean to the other side."""
    domain = slab("endo", "epi")
    rule = RuleAngles(alpha_endo=0.0, alpha_epi=0.0, beta_endo=50.0, beta_epi=50.0)
    above = middles(domain)[:, 2] > 0.6
    free = replace(domain, boundaries={name: tag for name, tag in domain.boundaries.items() if name != "apex"})
    sheets = [vectors(ldrb_fibres(d, angles=rule, apex=apex).sheet)[above]
              for d, apex in ((domain, None), (free, (0.5, 0.5, 0.0)))]  # fmt: skip
    assert angle_between(*sheets).mean() < 15.0


def refused(domain: Domain, **given: Any) -> str:
    with pytest.raises(InputError) as caught:
        ldrb_fibres(domain, **given)
    return str(caught.value)


def test_what_the_rule_needs_is_said() -> None:
    heart = ventricle_domain(MPI.COMM_SELF, Ventricle(), resolution=3.0)
    assert "apex = [0.0, 0.0, -200.0]" in refused(heart, apex=(0, 0, -200.0))
    assert "3 coordinates" in refused(heart, apex=(0, 0))
    cube = Domain(mesh=mesh.create_unit_cube(MPI.COMM_SELF, 2, 2, 2), unit="mm")
    assert "boundaries = 'endo'" in refused(cube)
    ends = {"endo": lambda x: x[0] < 1e-9, "base": lambda x: x[2] > 1 - 1e-9}
    assert "boundaries = 'epi'" in refused(cube.with_boundaries(ends))
    square = Domain(mesh=mesh.create_unit_square(MPI.COMM_SELF, 2, 2), unit="mm")
    assert "3 dimensions" in refused(square)
    with pytest.raises(InputError, match=r"rule = 'ellipsoid'.*shape 'ventricle'"):
        ellipsoid_fibres(cube)


def flat_base(n: int) -> Domain:
    """A cube whose sides along x are the base: with one cell between them all nodes are on it."""
    made = mesh.create_box(MPI.COMM_SELF, [[0, 0, 0], [1, 1, 1]], [n, 4, 4])
    return Domain(mesh=made, unit="mm").with_boundaries(
        {
            "base": lambda x: np.abs(x[0] - 0.5) > 0.5 - 1e-9,
            "endo": lambda x: x[1] < 1e-9,
            "epi": lambda x: x[1] > 1 - 1e-9,
            "apex": lambda x: x[2] < 1e-9,
        }
    )


def test_where_no_direction_is_defined_the_place_is_told() -> None:
    assert np.isfinite(vectors(ldrb_fibres(flat_base(3)).fibre)).all()
    both = flat_base(1)
    both = replace(both, boundaries={name: tag for name, tag in both.boundaries.items() if name != "apex"})
    text = refused(both)
    assert "fibres = {'x': 0." in text
    assert "apex to base and through the wall are not two directions" in text


def test_cells_with_all_corners_on_a_surface_have_the_fibres_of_those_about_them() -> None:
    """The corner of a cube whose sides x = 0 and y = 1 are the inside."""
    domain = Domain(mesh=mesh.create_unit_cube(MPI.COMM_SELF, 4, 4, 4), unit="mm").with_boundaries(
        {
            "endo": lambda x: np.minimum(x[0], 1 - x[1]) < 1e-9,
            "epi": lambda x: np.maximum(x[0], 1 - x[1]) > 1 - 1e-9,
            "apex": lambda x: x[2] < 1e-9,
            "base": lambda x: x[2] > 1 - 1e-9,
        }
    )
    at, dofs = middles(domain), geometry_dofmap(domain.mesh)
    corners = domain.mesh.geometry.x[dofs]
    flat = (np.minimum(corners[:, :, 0], 1 - corners[:, :, 1]) < 1e-9).all(axis=1)
    assert flat.sum() > 3
    frame = ldrb_fibres(domain, angles=RuleAngles(alpha_endo=0.0, alpha_epi=0.0, beta_endo=0.0, beta_epi=0.0))
    assert np.linalg.norm(vectors(frame.fibre), axis=1) == pytest.approx(1.0)
    assert np.abs(vectors(frame.fibre)[flat, 2]).max() < 0.05
    assert (at[flat, 0] < 0.26).all()


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"alpha_endo": 120.0}, "alpha_endo = 120"),
        ({"beta_epi": math.nan}, "beta_epi = nan"),
        ({"profile": "cubic"}, "profile = 'cubic'"),
        ({"alpha_endo": 60.0, "alpha_epi": -60.0, "profile": "bayer"}, "profile = 'bayer'.*they are 120.*jumps"),
    ],
)
def test_angles_that_are_none_are_refused(change: dict[str, Any], named: str) -> None:
    with pytest.raises(InputError, match=named):
        RuleAngles(**change)


def frames(rotation: Rotation) -> np.ndarray:
    return np.asarray(rotation.as_matrix())


def test_frames_between_frames_are_on_the_shortest_way() -> None:
    first, second = Rotation.random(60, random_state=1), Rotation.random(60, random_state=2)
    t = np.random.default_rng(5).uniform(0, 1, 60)
    flips = [Rotation.from_matrix(np.diag(d)) for d in ([1, 1, 1], [1, -1, -1], [-1, 1, -1], [-1, -1, 1])]
    expected = []
    for a, b, part in zip(first, second, t, strict=True):
        nearest = min((b * flip for flip in flips), key=lambda r, a=a: (a.inv() * r).magnitude())
        expected.append(Slerp([0, 1], Rotation.concatenate([a, nearest]))(part).as_matrix())
    assert bislerp(frames(first), frames(second), t) == pytest.approx(np.array(expected), abs=1e-12)
    ends = bislerp(frames(first), frames(second), np.ones(60))
    assert np.abs(ends) == pytest.approx(np.abs(frames(second)), abs=1e-12)
    assert bislerp(frames(first), frames(second), np.zeros(60)) == pytest.approx(frames(first), abs=1e-12)


def test_a_frame_that_is_not_known_gives_way() -> None:
    first, second = frames(Rotation.random(3, random_state=1)), frames(Rotation.random(3, random_state=2))
    first[0], second[1] = np.nan, np.nan
    first[2], second[2] = np.nan, np.nan
    found = bislerp(first, second, np.full(3, 0.3))
    assert found[0] == pytest.approx(second[0])
    assert found[1] == pytest.approx(first[1])
    assert np.isnan(found[2]).all()
    assert isinstance(FibreFrame.constant(slab("endo", "epi", 1).mesh, [1, 0, 0]), FibreFrame)
