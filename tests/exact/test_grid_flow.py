"""Flow and dispersion between the voxels of an image: closed forms, identities, refusals."""

from __future__ import annotations

import numpy as np
import pytest

from homfem import runs
from homfem.grid import Image, homogenize_dispersion_image, homogenize_stokes_image, solve_dispersion_image
from homfem.parameters import ConvergenceError, InputError, PercolationError

#: Of a square of side .5: permeability, D*/D along and across at Pe = 10; computed independently of homfem.
SQUARE = (0.013023322, 2.4115574, 0.8123318)


def square(n):
    labels = np.zeros((n, n), dtype=int)
    labels[n // 4 : -(n // 4), n // 4 : -(n // 4)] = 1
    return Image.from_labels(labels, {"pore": 0, "solid": 1}, voxel=1.0 / n)


def slit(n, *, along=3):
    labels = np.zeros((along, 2 * n), dtype=int)
    labels[:, n:] = 1
    return Image.from_labels(labels, {"pore": 0, "solid": 1}, voxel=0.5 / n)


def lopsided():
    """An image without mirrors, with a closed pore, its axes of odd and even length."""
    rng = np.random.default_rng(4)
    noise = np.fft.ifft2(np.fft.fft2(rng.standard_normal((27, 32))) * _smooth((27, 32))).real
    labels = (noise > np.quantile(noise, 0.7)).astype(int)
    return Image.from_labels(labels, {"pore": 0, "solid": 1}, voxel=(1.0 / 27, 1.5 / 32))


def _smooth(shape):
    x, y = (np.fft.fftfreq(n) * n for n in shape)
    return np.exp(-0.03 * (x[:, None] ** 2 + y**2))


@pytest.mark.parametrize("n", [2, 5, 8])
def test_a_channel_lets_through_what_the_theory_of_the_grid_says(n):
    """The mirror image behind a wall gives 1 + 2/n^2 of Poiseuille's flow, exactly."""
    found = homogenize_stokes_image(slit(n), refine=1, rtol=1e-12, estimate=False)
    assert found.value[0, 0] == pytest.approx(0.5**3 / 12.0 * (1.0 + 2.0 / n**2), rel=1e-10)
    assert found.value[1, 1] == 0.0


def test_dispersion_in_a_channel_is_of_second_order():
    """1 + Pe^2/210 with the width of the channel."""
    exact = 1.0 + (0.5 / 0.3 * 12.0) ** 2 / 210.0  # the shortest period is the length of the image, .3
    off = []
    for n in (8, 16):
        labels = np.zeros((3, 2 * n), dtype=int)
        labels[:, n:] = 1
        image = Image.from_labels(labels, {"pore": 0, "solid": 1}, voxel=(0.1, 0.5 / n))
        found = homogenize_dispersion_image(image, {"pore": 1.0}, peclet=12.0, estimate=False)
        off.append(abs(found.value[0, 0] - exact) / (exact - 1.0))
    assert off[1] < 0.02
    assert off[0] / off[1] == pytest.approx(4.0, rel=0.1)


def test_around_squares_the_values_of_another_method_are_within_the_estimate():
    image = square(48)
    flow = homogenize_stokes_image(image)
    assert abs(flow.value[0, 0] / SQUARE[0] - 1.0) < min(flow.estimated_error, 0.01)
    found = homogenize_dispersion_image(image, {"pore": 1.0}, peclet=10.0)
    off = np.abs(np.diag(found.value) / SQUARE[1:] - 1.0)
    assert np.all(off < min(found.estimated_error, 0.005))


def test_identities_hold_to_what_the_iterations_leave():
    image, direction = lopsided(), np.array([1.0, 0.4])
    given = {"peclet": [0.0, 1.0, 60.0], "rtol": 1e-11, "estimate": False}
    there = solve_dispersion_image(image, {"pore": 2.0}, direction=direction, **given)
    back = solve_dispersion_image(image, {"pore": 2.0}, direction=-direction, **given)
    divergence = sum(
        (np.roll(u, -1, a) - u) / h for a, (u, h) in enumerate(zip(there.velocity, image.voxel, strict=True))
    )
    assert np.abs(divergence).max() < 1e-11 * np.abs(there.velocity).max() / min(image.voxel)
    for one, other in zip(there.series, back.series, strict=True):
        size = np.abs(one.value).max()
        assert np.allclose(one.value, other.value, atol=1e-8 * size)
        flux, turned = (tensor.coefficients["flux_form"].value for tensor in (one, other))
        assert np.allclose(flux, turned.T, atol=1e-8 * size)
        assert np.linalg.eigvalsh(one.value - there.series[0].value)[0] > -1e-8
    assert np.abs(flux - flux.T).max() > 1e-3 * size  # there is something to turn
    velocity = there.tensor.coefficients["velocity"].value
    assert velocity == pytest.approx(60.0 * 2.0 * direction / np.linalg.norm(direction), rel=1e-8)


def test_what_walls_hold_only_slows_across_the_flow():
    still, held = (
        homogenize_dispersion_image(square(16), {"pore": 1.0}, peclet=10.0, sorption_length=one, estimate=False)
        for one in (0.0, 0.5)
    )
    assert held.retardation == pytest.approx(1.0 + 0.5 * 2.0 / 0.75, rel=1e-12)  # a perimeter of 2 in an area of .75
    assert held.retardation * held.value[1, 1] == pytest.approx(still.value[1, 1], rel=1e-6)
    assert held.value[0, 0] > still.value[0, 0] / held.retardation
    assert held.coefficients["velocity"].value[0] == pytest.approx(10.0 / held.retardation, rel=1e-8)


def test_layers_that_hold_the_solute_back_have_their_closed_form():
    """Beside a channel an immobile layer: at Pe = 0 diffusion is that of layers, and what it holds slows the flow."""
    found = homogenize_dispersion_image(
        slit(8, along=4), {"pore": 1.0, "solid": 0.2}, fluid="pore", partition={"solid": 3.0}, peclet=[0.0, 5.0],
        estimate=False,
    )  # fmt: skip
    capacity = 0.5 + 0.5 * 3.0
    assert found[0].value[0, 0] == pytest.approx((0.5 + 0.5 * 0.6) / capacity, rel=1e-8)
    assert found[0].value[1, 1] == pytest.approx(1.0 / (0.5 / 1.0 + 0.5 / 0.6) / capacity, rel=1e-8)
    assert found[1].retardation == pytest.approx(capacity)
    speed = 5.0 / min(4 / 16, 1.0)
    assert found[1].coefficients["velocity"].value[0] == pytest.approx(speed * 0.5 / capacity, rel=1e-8)


def test_cut_voxels_reach_a_tolerance_and_say_so():
    found = homogenize_stokes_image(square(16), tolerance=0.03)
    assert found.reached
    assert found.estimated_error <= 0.03
    assert found.dofs > 256
    short = homogenize_stokes_image(square(16), tolerance=1e-6, max_dofs=1100)
    assert not short.reached
    assert short.dofs == 1024


def test_space_has_the_flow_of_the_plane():
    plane = homogenize_dispersion_image(square(16), {"pore": 1.0}, peclet=10.0, estimate=False)
    deep = np.repeat(square(16).phases[:, :, None], 4, axis=2)
    image = Image.from_labels(deep, {"pore": 0, "solid": 1}, voxel=(1 / 16, 1 / 16, 1 / 4))
    found = homogenize_dispersion_image(image, {"pore": 1.0}, peclet=10.0, estimate=False)
    assert found.value[:2, :2] == pytest.approx(plane.value, abs=1e-6)
    assert found.value[2, 2] == pytest.approx(1.0, rel=1e-8)  # nothing changes along it


def test_closed_pores_are_left_out_and_said():
    labels = square(16).phases.astype(int)
    labels[6:9, 6:9] = 0
    image = Image.from_labels(labels, {"pore": 0, "solid": 1}, voxel=1 / 16)
    found, plain = (
        homogenize_dispersion_image(one, {"pore": 1.0}, peclet=10.0, estimate=False) for one in (image, square(16))
    )
    assert found.value == pytest.approx(plain.value, rel=1e-10)
    assert found.volume_fractions["closed pores"] == pytest.approx(9 / 256)
    assert any("closed pores" in warning for warning in found.warnings)


@pytest.mark.parametrize(
    ("changed", "name", "error"),
    [
        ({"peclet": -1.0}, "peclet", InputError),
        ({"peclet": float("nan")}, "peclet", InputError),
        ({"peclet": []}, "peclet", InputError),
        ({"direction": [0.0, 1.0]}, "direction", PercolationError),
        ({"direction": [0.0, 0.0]}, "direction", InputError),
        ({"fluid": "water"}, "fluid", InputError),
        ({"partition": {"pore": 2.0}}, "partition.pore", InputError),
        ({"sorption_length": -1.0}, "sorption_length", InputError),
        ({"refine": 0}, "refine", InputError),
        ({"rtol": 1.0}, "rtol", InputError),
        ({"max_dofs": 5}, "max_dofs", InputError),
        ({"tolerance": 0.1, "estimate": False}, "tolerance", InputError),
    ],
)
def test_what_is_refused_is_named(changed, name, error):
    given = {"peclet": 1.0} | changed
    with pytest.raises(error) as caught:
        homogenize_dispersion_image(slit(4, along=4), {"pore": 1.0}, **given)
    assert caught.value.name == name


def test_media_that_have_no_tensor_are_refused():
    thin, whole = slit(1, along=4), np.array([[0, 0], [1, 1]])
    for call in (homogenize_stokes_image, lambda image: homogenize_dispersion_image(image, {"pore": 1.0}, peclet=1.0)):
        with pytest.raises(InputError, match="one voxel thin"):
            call(thin)
    image = Image.from_labels(whole, {"pore": 0, "solid": 1})
    with pytest.raises(InputError, match="Without walls"):
        homogenize_stokes_image(image, ["pore", "solid"])
    with pytest.raises(InputError, match="diagonal matrix"):
        homogenize_dispersion_image(slit(4), {"pore": [[1.0, 0.1], [0.1, 1.0]]}, peclet=1.0)
    two = np.zeros((4, 12), dtype=int)
    two[:, [0, 5, 6, 11]] = 1
    with pytest.raises(InputError, match="one connected part"):
        homogenize_dispersion_image(Image.from_labels(two, {"pore": 0, "solid": 1}), {"pore": 1.0}, peclet=1.0)
    with pytest.raises(ConvergenceError, match="max_iterations"):
        homogenize_stokes_image(square(16), max_iterations=2)


def config(tmp_path, **effective):
    np.save(tmp_path / "image.npy", square(16).phases)
    labels = {"pore": 0, "solid": 1}
    cell = {"shape": "image", "file": "image.npy", "labels": labels, "voxel": "0.5 um"}
    return {"cell": cell, "effective": {"method": "grid", **effective}}


def test_from_a_config(tmp_path):
    given = {"physics": "dispersion", "peclet": [0, 10], "phases": {"pore": "100 um^2/s"}}
    run = runs.tensor(config(tmp_path, **given), folder=tmp_path, drawn=True)
    still, moved = run.report()["results"]
    expected = homogenize_dispersion_image(square(16), {"pore": 100.0}, peclet=10.0)
    assert np.array(moved["value"]) == pytest.approx(expected.value, rel=1e-6, abs=1e-6)
    assert moved["method"] == "grid"
    assert moved["velocity"][0] == pytest.approx(10.0 * 100.0 / 8.0)
    assert np.trace(still["value"]) < np.trace(moved["value"])
    runs.draw_tensor(run, tmp_path / "flow.png")
    assert (tmp_path / "flow.png").stat().st_size > 10_000
    flow = runs.tensor(config(tmp_path, physics="stokes", fluid="pore"), folder=tmp_path).tensor
    assert flow.unit == "um^2"
    assert flow.value[0, 0] == pytest.approx(64.0 * homogenize_stokes_image(square(16)).value[0, 0], rel=1e-6)


@pytest.mark.parametrize(("key", "value"), [("wall_rate", "1 um/s"), ("bounds", True), ("degree", 2)])
def test_keys_of_meshes_are_refused_on_a_grid(tmp_path, key, value):
    given = {"physics": "dispersion", "peclet": 1, "phases": {"pore": "1 um^2/s"}, key: value}
    with pytest.raises(InputError) as caught:
        runs.tensor(config(tmp_path, **given), folder=tmp_path)
    assert caught.value.name == f"effective.{key}"
