"""What must hold for every cell: Voigt and Reuss, translation, exchanged axes, doubled periods, Keller."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from mpi4py import MPI

from homfem import EffectiveTensor, homogenize_diffusion
from homfem.cells import Box, painted_cell
from homfem.config import make_config
from homfem.meshing.topology.faces import join
from homfem.runs.shapes import make_cell

fraction = st.floats(0.15, 0.85)
small = st.floats(0.12, 0.35)
SHAPES = {
    "three-pipe": st.fixed_dictionaries({"edge": st.floats(0.2, 0.6), "resolution": st.just(0.33)}),
    "sheets": st.fixed_dictionaries({"thickness": small, "tube": small, "resolution": st.just(0.33)}),
    "slit": st.fixed_dictionaries({"aperture": fraction, "axis": st.sampled_from("xy")}),
    "laminate": st.fixed_dictionaries(
        {"fractions": fraction.map(lambda f: [f, 1.0 - f]), "axis": st.sampled_from("xyz"), "resolution": st.just(0.33)}
    ),
    "obstacles": st.fixed_dictionaries({"edge": small, "lattice": st.sampled_from(["square", "staggered"])}),
    "blocks": st.fixed_dictionaries(
        {"layout": st.lists(st.text("AB", min_size=3, max_size=3), min_size=1, max_size=3), "resolution": st.just(0.2)}
    ),
    "myocyte": st.fixed_dictionaries(
        {
            "length": st.floats(24.0, 30.0).map(lambda x: f"{x} um"),
            "gap": st.floats(3.0, 4.0).map(lambda x: f"{x} um"),
            "end_patch": st.floats(0.3, 0.7),
            "resolution": st.just(0.33),
        }
    ),
    "hexagonal-myocyte": st.fixed_dictionaries(
        {
            "length": st.floats(30.0, 40.0).map(lambda x: f"{x} um"),
            "gap": st.floats(3.0, 4.0).map(lambda x: f"{x} um"),
            "resolution": st.just(0.33),
        }
    ),
    "random-particles": st.fixed_dictionaries(
        {
            "seed": st.integers(0, 100),
            "fraction": st.just(0.15),
            "radius": st.just(0.12),
            "gap": st.just(0.08),
            "resolution": st.just(0.05),
        }
    ),
    "fibre-array": st.fixed_dictionaries(
        {"fraction": st.floats(0.1, 0.5), "lattice": st.sampled_from(["square", "hexagonal"])}
    ),
    "sphere-array": st.fixed_dictionaries({"fraction": st.floats(0.05, 0.3), "resolution": st.just(0.15)}),
    "tube": st.fixed_dictionaries({"radius": st.floats(0.15, 0.35), "dimension": st.just(2)}),
    "gyroid": st.fixed_dictionaries({"level": st.floats(-0.5, 0.5), "resolution": st.just(0.15)}),
}


@pytest.mark.parametrize("shape", SHAPES)
def test_every_shape_meshes_and_lies_between_reuss_and_voigt(shape):
    @settings(max_examples=2, deadline=None, derandomize=True, phases=[Phase.generate])
    @given(keys=SHAPES[shape], contrast=st.floats(0.1, 10.0))
    def check(keys, contrast):
        cell = make_cell(make_config({"cell": {"shape": shape} | keys}).cell, MPI.COMM_WORLD, None)
        # Grids that are made here are not searched for cracks and overlaps: there are none.
        assert join(cell.raw).warnings == ()
        values = {name: contrast**k for k, name in enumerate(cell.phase_names)}
        found = homogenize_diffusion(cell, values, degree=1, lower_degree=0)
        shares = np.array([cell.volume_fractions[name] for name in values])
        assert shares.sum() == pytest.approx(1.0, abs=1e-11)
        given = np.array(list(values.values()))
        assert np.linalg.eigvalsh(found.lower)[-1] <= shares @ given * (1 + 1e-9)
        assert np.linalg.eigvalsh(found.upper)[0] >= 1.0 / (shares @ (1.0 / given)) * (1 - 1e-9)
        assert np.linalg.eigvalsh(found.upper - found.lower)[0] > -1e-9

    check()


def overlap(one: EffectiveTensor, other: EffectiveTensor, turn: np.ndarray) -> None:
    """Both brackets hold one tensor: neither lower bound is above the other's upper bound."""
    for first, second, matrix in ((one, other, turn), (other, one, turn.T)):
        moved = matrix.T @ second.lower @ matrix
        assert np.linalg.eigvalsh(first.upper - moved)[0] > -1e-9


# Multiples of 1/20: planes are equal or well apart.
corner = st.integers(0, 19).map(lambda k: k / 20)
width = st.integers(4, 10).map(lambda k: k / 20)
boxes_2d = st.lists(st.tuples(st.sampled_from("ab"), corner, corner, width, width), min_size=1, max_size=3)


def plane(boxes, *, shift=(0.0, 0.0), swap=False, copies=1):
    made = []
    for phase, x, y, w, h in boxes:
        for i in range(copies):
            low = ((x + shift[0] + i) / copies, y + shift[1])
            high = ((x + w + shift[0] + i) / copies, y + h + shift[1])
            made.append(Box(phase, low[::-1], high[::-1]) if swap else Box(phase, low, high))
    period = [float(copies), 1.0]
    return painted_cell(made, "c", resolution=0.12, period=period[::-1] if swap else period)


VALUES = {"a": 5.0, "b": 0.3, "c": 1.0}


def solve(cell, values=VALUES):
    return homogenize_diffusion(cell, {name: values[name] for name in cell.phase_names})


@settings(max_examples=8, deadline=None, derandomize=True)
@given(boxes=boxes_2d, shift=st.tuples(corner, corner))
def test_translation_permutation_and_doubling_change_nothing(boxes, shift):
    here = solve(plane(boxes))
    overlap(here, solve(plane(boxes, shift=shift)), np.eye(2))
    overlap(here, solve(plane(boxes, swap=True)), np.eye(2)[::-1])
    overlap(here, solve(plane(boxes, copies=2)), np.eye(2))


@settings(max_examples=8, deadline=None, derandomize=True)
@given(boxes=boxes_2d)
def test_keller_holds_on_any_plane_cell(boxes):
    cell = plane(boxes)
    direct = solve(cell)
    dual = solve(cell, {name: 1.0 / value for name, value in VALUES.items()})
    turn = np.array([[0.0, -1.0], [1.0, 0.0]])
    # D*(1/k) = R' D*(k)^-1 R: bounds of the one, inverted, are bounds of the other.
    inverse = turn.T @ np.linalg.inv(dual.lower) @ turn, turn.T @ np.linalg.inv(dual.upper) @ turn
    assert np.linalg.eigvalsh(inverse[0] - direct.lower)[0] > -1e-9
    assert np.linalg.eigvalsh(direct.upper - inverse[1])[0] > -1e-9


@settings(max_examples=2, deadline=None, derandomize=True, phases=[Phase.generate])
@given(
    boxes=st.lists(st.tuples(corner, corner, corner, width, width, width), min_size=1, max_size=2),
    shift=st.tuples(corner, corner, corner),
)
def test_boxes_may_be_moved_and_their_axes_exchanged(boxes, shift):
    def solid(move, order):
        made = []
        for box in boxes:
            low = [box[a] + move[a] for a in order]
            made.append(Box("a", tuple(low), tuple(x + box[3 + a] for x, a in zip(low, order, strict=True))))
        return homogenize_diffusion(painted_cell(made, "c", resolution=0.3), {"a": 5.0, "c": 1.0}, degree=1)

    here = solid((0.0, 0.0, 0.0), (0, 1, 2))
    overlap(here, solid(shift, (0, 1, 2)), np.eye(3))
    overlap(here, solid((0.0, 0.0, 0.0), (2, 0, 1)), np.eye(3)[[2, 0, 1]])
