"""Conduction velocity of exact fronts: plane, circular, elliptic, colliding; between points; on any ranks."""

from __future__ import annotations

import math

import numpy as np
import pytest
from dolfinx import fem, mesh
from mpi4py import MPI

from homfem.macro.conduction import conduction_velocity, velocity_between
from homfem.parameters import InputError


def activated(comm, formula, n=16, degree=1, d=2, cell=None):
    """Times on [0, 2]^d, mm and ms."""
    if d == 2:
        made = mesh.create_rectangle(comm, [[0, 0], [2, 2]], [n, n], cell or mesh.CellType.triangle)
    else:
        made = mesh.create_box(comm, [[0] * 3, [2] * 3], [n] * 3)
    times = fem.Function(fem.functionspace(made, ("Lagrange", degree)))
    times.interpolate(formula)
    return times


def middles(times):
    made = times.function_space.mesh
    d = made.topology.dim
    return mesh.compute_midpoints(made, d, np.arange(made.topology.index_map(d).size_local, dtype=np.int32))


@pytest.mark.parametrize("d", [2, 3])
def test_a_plane_front_is_exact(d):
    """Along (3, 4, 0)/5 at .6 mm/ms; along and across of axes, apparent velocities between points."""
    times = activated(MPI.COMM_SELF, lambda x: (3 * x[0] + 4 * x[1]) / 5 / 0.6 + 7.0, n=4, d=d)
    found = conduction_velocity(times)
    assert found.left_out == {"not reached": 0, "too early": 0, "at once": 0, "start or collision": 0, "near an end": 0}
    exact = np.array([0.36, 0.48, 0.0][:d])
    assert found.velocity.x.array.reshape(-1, d) == pytest.approx(np.tile(exact, (found.cells, 1)), abs=1e-12)
    assert found.speed.x.array == pytest.approx(0.6, rel=1e-12)
    for speed in (found.over_all(), found.along(exact), found.across([0.8, -0.6, 0.0][:d], within=1)):
        assert [speed.mean, speed.least, speed.largest] == pytest.approx([0.6] * 3, rel=1e-12)
        assert speed.volume == pytest.approx(2.0**d, rel=1e-12)
    points = {"a": [0.1, 0.1, 0.3][:d], "b": [0.7, 0.9, 0.3][:d], "c": [1.1, 0.1, 0.3][:d]}
    assert velocity_between(times, points, "a", "b") == pytest.approx(0.6, rel=1e-12)
    assert velocity_between(times, points, "b", "a") == pytest.approx(-0.6, rel=1e-12)
    assert velocity_between(times, points, "a", "c") == pytest.approx(1.0, rel=1e-12)  # .6/.6: obliquely


def test_ends_of_a_way_are_left_out_and_walls_beside_it_are_not():
    """Of 32 columns along x: nearer than 1 ms x .5 mm/ms to what started before 1 ms (x < .5), and to the end at 2."""
    times = activated(MPI.COMM_SELF, lambda x: x[0] / 0.5 + 0.01 * (x[0] > 1.8), n=32)
    found = conduction_velocity(times, after=1.0 - 1e-9, clear=1.0)
    x = middles(times)[:, 0]
    kept = np.isfinite(found.speed.x.array)
    assert x[kept].min() == pytest.approx(1.0, abs=2 / 32)
    assert x[kept].max() == pytest.approx(1.5, abs=2 / 32)
    assert found.over_all().mean == pytest.approx(0.5, rel=1e-12)
    assert (
        found.over_all().cells
        == np.count_nonzero(kept)
        == np.count_nonzero((x > x[kept].min() - 1e-9) & (x < x[kept].max() + 1e-9))
    )
    assert sum(found.left_out.values()) + found.over_all().cells == found.cells == 2 * 32**2
    assert conduction_velocity(times, clear=9.0).left_out["near an end"] > 1900
    with pytest.raises(InputError, match="clear"):
        conduction_velocity(times, clear=-1.0)


def test_cells_of_other_shapes():
    times = activated(MPI.COMM_SELF, lambda x: x[0] / 0.5, n=4, cell=mesh.CellType.quadrilateral)
    assert conduction_velocity(times).along([1.0, 0.0]).mean == pytest.approx(0.5, rel=1e-12)


def case_circle(comm, n, degree):
    times = activated(comm, lambda x: np.hypot(x[0] - 1.0, x[1] - 1.0) / 0.6, n=n, degree=degree)
    found = conduction_velocity(times)
    x = middles(times)
    r = np.hypot(x[:, 0] - 1.0, x[:, 1] - 1.0)
    speed = found.speed.x.array[: len(r)]
    out = ~np.isfinite(speed)
    v = found.velocity.x.array.reshape(-1, 2)[: len(r)]
    turned = np.abs(v[:, 0] * (x[:, 1] - 1.0) - v[:, 1] * (x[:, 0] - 1.0)) / r
    far = comm.allreduce(float(r[out].max(initial=0.0)), MPI.MAX)
    error = comm.allreduce(float(np.abs(speed[r > 0.5] / 0.6 - 1).max(initial=0.0)), MPI.MAX)
    aside = comm.allreduce(float(turned[r > 0.5].max(initial=0.0)), MPI.MAX)
    return [found.left_out, far, error, aside, found.over_all().mean, found.cells]


@pytest.mark.mpi
def test_a_circular_front_has_its_speed_but_at_its_origin(on_ranks):
    """Of first order with linear elements and of second with quadratic ones; the same on any ranks."""
    errors = {}
    for n, degree in ((16, 1), (32, 1), (16, 2), (32, 2)):
        answers = on_ranks(case_circle, n=n, degree=degree)
        for left_out, far, error, aside, mean, cells in answers:
            assert left_out["not reached"] == left_out["at once"] == 0
            assert 4 <= left_out["start or collision"] <= 32
            assert far < 3.0 * 2.0 / n
            assert mean == pytest.approx(answers[0][4], rel=1e-12)
            assert left_out == answers[0][0]
            assert cells == 2 * n * n
            errors[n, degree] = error, aside
    assert errors[32, 1][0] < 0.05
    assert errors[16, 1][1] / errors[32, 1][1] > 1.8
    assert errors[32, 2][0] < 1e-3
    assert errors[16, 2][0] / errors[32, 2][0] > 3.5


def test_an_elliptic_front_has_its_speed_along_and_across():
    """t = sqrt((x/a)^2 + (y/b)^2): a front with the normal n moves at sqrt(a^2 nx^2 + b^2 ny^2)."""
    a, b = 0.6, 0.2
    times = activated(MPI.COMM_SELF, lambda x: np.hypot((x[0] - 1) / a, (x[1] - 1) / b), n=48, degree=2)
    found = conduction_velocity(times)
    v, x = found.velocity.x.array.reshape(-1, 2), middles(times) - 1.0
    size = np.linalg.norm(v, axis=1)
    use = np.isfinite(size) & (np.hypot(x[:, 0] / a, x[:, 1] / b) > 1.0)
    n = v[use] / size[use, None]
    assert size[use] == pytest.approx(np.hypot(a * n[:, 0], b * n[:, 1]), rel=2e-3)
    along, across = (
        found.along([1.0, 0.0], within=10.0),
        found.across(fem.Constant(found.speed.function_space.mesh, [1.0, 0.0])),
    )
    assert along.mean == pytest.approx(a, rel=0.02)
    assert along.least >= 0.98 * math.hypot(a * math.cos(math.radians(10)), b * math.sin(math.radians(10)))
    assert across.mean == pytest.approx(b, rel=0.06)
    assert across.least == pytest.approx(b, rel=0.02)
    points = {"o": (1.2, 1.0), "fibre": (1.8, 1.0), "p": (1.0, 1.1), "cross": (1.0, 1.5)}
    assert velocity_between(times, points, "o", "fibre") == pytest.approx(a, rel=1e-3)
    assert velocity_between(times, points, "p", "cross") == pytest.approx(b, rel=1e-3)


def case_masks(comm):
    """Fronts from both ends that collide in the middle, a stimulus that is activated at once, what is not reached."""

    def formula(x):
        left, right = np.maximum(0.0, x[0] - 0.25) / 0.5, (2.1 - x[0]) / 0.5
        return np.where(x[1] > 1.51, np.inf, np.minimum(left, right))

    times = activated(comm, formula)
    times.x.array[np.isinf(times.x.array)] = np.nan if comm.size == 2 else np.inf
    found = conduction_velocity(times)
    x = middles(times)
    speed = found.speed.x.array[: len(x)]
    out = ~np.isfinite(speed) & (x[:, 1] < 1.5)
    wrong = [point for point in x[out, 0] if not (point < 0.3 or 0.95 < point < 1.4)]
    through = np.isfinite(speed) & (x[:, 0] > 1.125) & (x[:, 0] < 1.25)
    over = found.over_all()
    slow = conduction_velocity(times, fastest=0.4).left_out
    late = conduction_velocity(times, after=1.0).left_out
    return [
        found.left_out,
        late["too early"],
        late["not reached"],
        comm.allreduce(len(wrong)),
        comm.allreduce(int(through.sum())),
        over.least,
        over.largest,
        slow,
    ]


@pytest.mark.mpi
def test_what_is_not_reached_or_at_once_or_collides_is_left_out(on_ranks):
    for left_out, early, not_reached, wrong, through, least, largest, slow in on_ranks(case_masks):
        assert left_out["not reached"] == 2 * 16 * 4
        assert left_out["at once"] == 2 * 2 * 12
        assert not_reached == left_out["not reached"]
        assert early == 2 * 12 * (6 + 4)  # x < .75 and x > 1.6
        assert 2 * 12 <= left_out["start or collision"] <= 2 * 12 * 3
        assert (wrong, through) == (0, 0)
        assert (least, largest) == (pytest.approx(0.5, rel=1e-12), pytest.approx(0.5, rel=1e-12))
        assert slow["at once"] == 2 * 16 * 12


def test_bad_input_is_refused():
    times = activated(MPI.COMM_SELF, lambda x: np.where(x[0] > 1.0, np.inf, x[0]), n=4)
    found = conduction_velocity(times)
    points = {"a": (0.1, 0.1), "b": (1.9, 0.1), "c": (0.1, 0.9), "d": (3.0, 0.0), "e": (0.1,)}
    vector = fem.Function(fem.functionspace(times.function_space.mesh, ("Lagrange", 1, (2,))))
    broken = fem.Function(fem.functionspace(times.function_space.mesh, ("DG", 1)))
    nothing = activated(MPI.COMM_SELF, lambda x: np.full(x.shape[1], np.inf), n=2)
    for ask, named in [
        (lambda: velocity_between(times, points, "a", "b"), r"points\['b'\] = (inf|nan).*front has come"),
        (lambda: velocity_between(times, points, "a", "c"), "one after the other"),
        (lambda: velocity_between(times, points, "a", "a"), "one after the other"),
        (lambda: velocity_between(times, points, "a", "d"), r"points\['d'\].*a point of the domain"),
        (lambda: velocity_between(times, points, "a", "e"), r"points\['e'\].*2 coordinates"),
        (lambda: velocity_between(times, points, "a", "f"), r"points\['f'\]"),
        (lambda: found.across([1.0, 0.0]), "axis = 'nowhere'.*Left out"),
        (lambda: found.along([1.0, 0.0, 0.0]), "axis.*2 components"),
        (lambda: found.along([1.0, 0.0], within=60.0), "within = 60"),
        (lambda: conduction_velocity(nothing).over_all(), "nowhere"),
        (lambda: conduction_velocity(vector), "activation.*scalar continuous"),
        (lambda: conduction_velocity(broken), "activation.*scalar continuous"),
        (lambda: conduction_velocity(times, fastest=0.0), "fastest = 0"),
        (lambda: conduction_velocity(times, after=math.nan), "after = nan"),
        (lambda: conduction_velocity(times, coherence=2.0), "coherence = 2"),
    ]:
        with pytest.raises(InputError, match=named):
            ask()
