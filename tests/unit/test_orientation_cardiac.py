"""Angles of heart muscle: round trips, signs, and conductivity tensors."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from scipy.spatial.transform import Rotation

from homfem.orientation import (
    FibreAngles,
    conductivity_tensors,
    diffusion_frames,
    fibre_angles,
    fibre_frames,
    fractional_anisotropy,
    local_frames,
    mean_diffusivity,
)
from homfem.parameters import InputError

HALF = np.pi / 2
INSIDE = st.floats(-HALF + 1e-3, HALF - 1e-3)
LOCAL = Rotation.from_rotvec([0.2, 0.9, -0.4]).as_matrix().T
# A wall point on the x axis of a heart whose base is up: r = x, c = y (anticlockwise from above), l = z.
PLAIN = local_frames([1.0, 0, 0], [0, 0, 1.0])


@given(angles=arrays.arrays(float, (3, 5), elements=INSIDE))
def test_angles_come_back(angles):
    given_angles = FibreAngles(helix=angles[0], imbrication=angles[1], sheet=angles[2])
    frames = fibre_frames(given_angles, LOCAL)
    assert np.allclose(frames @ frames.swapaxes(-1, -2), np.eye(3), atol=1e-12)
    assert np.allclose(np.linalg.det(frames), 1.0)
    signs = np.array([1.0, -1.0, 1.0, -1.0, -1.0])[:, None]
    for fibre, sheet in ((frames[:, 0], frames[:, 1]), (signs * frames[:, 0], -signs * frames[:, 1])):
        back = fibre_angles(fibre, LOCAL, sheet=sheet)
        for name, column in zip(("helix", "imbrication", "sheet"), angles, strict=True):
            assert np.allclose(getattr(back, name), column, atol=1e-9)


@given(vector=arrays.arrays(float, 3, elements=st.floats(-1, 1)).filter(lambda v: np.linalg.norm(v) > 0.1))
def test_a_fibre_comes_back_as_an_axis(vector):
    fibre = vector / np.linalg.norm(vector)
    angles = fibre_angles(fibre, LOCAL)
    assert -HALF <= angles.imbrication <= HALF
    assert -HALF <= angles.helix <= HALF
    assert abs(fibre_frames(angles, LOCAL)[0] @ fibre) == pytest.approx(1.0, abs=1e-12)


def test_signs_of_the_helix():
    assert np.allclose(PLAIN, np.eye(3))
    # A right-handed helix about z: (cos t, sin t, a t), whose tangent at t = 0 is (0, 1, a).
    right = np.array([0.0, 1.0, np.tan(np.pi / 3)]) / 2.0
    assert fibre_angles(right, PLAIN).helix == pytest.approx(np.pi / 3)
    assert fibre_angles(-right, PLAIN).helix == pytest.approx(np.pi / 3)
    assert fibre_angles(right * [1, 1, -1], PLAIN).helix == pytest.approx(-np.pi / 3)
    # Handedness does not depend on which way the axis of the heart points.
    upside_down = local_frames([1.0, 0, 0], [0, 0, -1.0])
    assert fibre_angles(right, upside_down).helix == pytest.approx(np.pi / 3)
    out = np.array([np.sin(0.2), np.cos(0.2), 0.0])
    angles = fibre_angles(out, PLAIN)
    assert angles.imbrication == pytest.approx(0.2)
    assert angles.transverse == pytest.approx(0.2)
    assert fibre_angles(-out, PLAIN).transverse == pytest.approx(0.2)


def test_angles_at_the_ends_of_their_ranges():
    for fibre, helix, imbrication in (
        ([0, 0, 1], HALF, 0),
        ([0, 0, -1], HALF, 0),
        ([1, 0, 0], 0, HALF),
        ([-1, 0, 0], 0, HALF),
    ):
        angles = fibre_angles(np.array(fibre, dtype=float), PLAIN)
        assert angles.helix == pytest.approx(helix)
        assert angles.imbrication == pytest.approx(imbrication)
    assert fibre_angles([0, 1.0, 0], PLAIN, sheet=[1.0, 0, 0]).sheet == pytest.approx(HALF)
    assert fibre_angles([0, 1.0, 0], PLAIN, sheet=[-1.0, 0, 0]).sheet == pytest.approx(HALF)


def test_projected_angles_are_what_they_are_called():
    angles = FibreAngles(helix=0.5, imbrication=0.3, sheet=-0.8)
    fibre, sheet, _ = fibre_frames(angles, LOCAL)
    r, c, up = LOCAL
    assert angles.transverse == pytest.approx(np.arctan((fibre @ r) / (fibre @ c)))
    # E2A: the sheet projected onto the plane across the fibre's projection in the wall.
    wall = fibre - (fibre @ r) * r
    across = np.cross(r, wall / np.linalg.norm(wall))
    assert abs(across @ up) == pytest.approx(np.cos(0.5))
    assert angles.second_eigenvector == pytest.approx(np.arctan((sheet @ r) / (sheet @ across)))


def test_frames_of_a_wall():
    angle = np.linspace(0, 6, 7)
    radial = 3.0 * np.stack([np.cos(angle), np.sin(angle), 0.3 * np.ones(7)], axis=1)
    frames = local_frames(radial, [0, 0, 2.0])
    assert np.allclose(frames @ frames.swapaxes(1, 2), np.eye(3), atol=1e-14)
    assert np.allclose(frames[:, 1], np.stack([-np.sin(angle), np.cos(angle), 0 * angle], axis=1))
    assert np.all(frames[:, 2, 2] > 0.9)


def test_diffusion_tensors_go_to_angles_and_back():
    g = np.random.default_rng(4)
    angles = FibreAngles(
        helix=g.uniform(-1, 1, 50), imbrication=g.uniform(-0.3, 0.3, 50), sheet=g.uniform(-1.5, 1.5, 50)
    )
    frames = fibre_frames(angles, LOCAL)
    tensors = conductivity_tensors([1.7, 1.1, 0.6], frames)
    values, found = diffusion_frames(tensors)
    assert np.allclose(values, [1.7, 1.1, 0.6])
    assert np.allclose(np.linalg.det(found), 1.0)
    back = fibre_angles(found[:, 0], LOCAL, sheet=found[:, 1])
    for name in ("helix", "imbrication", "sheet"):
        assert np.allclose(getattr(back, name), getattr(angles, name), atol=1e-9)
    assert np.allclose(mean_diffusivity(tensors), 3.4 / 3)
    # FA of three eigenvalues, in the form with their differences.
    d = (1.7 - 1.1) ** 2 + (1.1 - 0.6) ** 2 + (0.6 - 1.7) ** 2
    assert np.allclose(fractional_anisotropy(tensors), np.sqrt(0.5 * d / (1.7**2 + 1.1**2 + 0.6**2)))


def test_conductivities_along_the_axes():
    frames = Rotation.from_rotvec(np.random.default_rng(3).standard_normal((6, 3))).as_matrix()
    values = np.arange(18.0).reshape(6, 3)
    tensors = conductivity_tensors(values, frames)
    for a in range(3):
        assert np.allclose(np.einsum("nij,nj->ni", tensors, frames[:, a]), values[:, a, None] * frames[:, a])
    # A fibre along z in a frame (f, s, n) = (z, x, y).
    assert np.allclose(conductivity_tensors([3, 2, 1], [[0, 0, 1], [1, 0, 0], [0, 1, 0]]), np.diag([2, 1, 3]))


@pytest.mark.parametrize(
    ("call", "match"),
    [
        (lambda: local_frames([0, 0, 1], [0, 0, 2]), "parallel"),
        (lambda: local_frames([0, 0, 0], [0, 0, 2]), "radial"),
        (lambda: local_frames([0, 0, 1], [0, np.nan, 2]), "longitudinal"),
        (lambda: fibre_angles([0, 1.0], PLAIN), "fibre"),
        (lambda: fibre_angles([0, 2.0, 0], PLAIN), "length"),
        (lambda: fibre_angles([0, 1.0, 0], 2 * PLAIN), "orthonormal"),
        (lambda: fibre_angles([0, 1.0, 0], PLAIN[0]), "local"),
        (lambda: fibre_angles([0, 1.0, 0], PLAIN, sheet=[0, 1.0, 0]), "orthogonal"),
        (lambda: FibreAngles(helix=[1, 2], imbrication=[1, 2, 3]), "shape"),
        (lambda: FibreAngles(helix=np.inf, imbrication=0), "helix"),
        (lambda: diffusion_frames(np.eye(2)), "tensors"),
        (lambda: diffusion_frames([[1, 2, 0], [0, 1, 0], [0, 0, 1]]), "not symmetric"),
        (lambda: conductivity_tensors([1, -1, 1], PLAIN), "values"),
        (lambda: conductivity_tensors(1.0, PLAIN), "values"),
        (lambda: conductivity_tensors([1, 1, 1], np.ones((3, 3))), "frames"),
    ],
)
def test_bad_input_is_refused(call, match):
    with pytest.raises(InputError, match=match):
        call()
