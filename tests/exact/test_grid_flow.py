"""Flow and dispersion between the voxels of an image: closed forms, identities, refusals."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from homfem import runs
from homfem.grid import (
    Image,
    carrier,
    homogenize_dispersion_image,
    homogenize_stokes_image,
    multigrid,
    solve_dispersion_image,
)
from homfem.grid.pores import Pores
from homfem.grid.solute import Solute
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


def dense_flow(inside, sizes, force):
    """The mean velocity and that through the lower faces, of the staggered grid written down row by row."""
    volume, shape, d = float(np.prod(sizes)), inside.shape, inside.ndim
    steps = np.eye(d, dtype=int)
    unknown = {}
    for place in np.ndindex(shape):
        for a in range(d):
            if inside[place] and inside[moved(place, -steps[a], shape)]:
                unknown[a, place] = len(unknown)
    faces = len(unknown)
    for place in np.ndindex(shape):
        if inside[place]:
            unknown[d, place] = len(unknown)
    matrix, load = np.zeros((len(unknown), len(unknown))), np.zeros(len(unknown))
    for (a, place), row in list(unknown.items())[:faces]:
        load[row] = volume * force[a]
        for b in range(d):
            for step in (steps[b], -steps[b]) if shape[b] > 1 else ():
                other = unknown.get((a, moved(place, step, shape)))
                # A wall is where the next velocity along its own axis is, and half of that away along the others.
                weight = volume / sizes[b] ** 2 * (1.0 if other is not None or a == b else 2.0)
                matrix[row, row] += weight
                if other is not None:
                    matrix[row, other] -= weight
        for pressure, sign in ((place, 1.0), (moved(place, -steps[a], shape), -1.0)):
            matrix[row, unknown[d, pressure]] += sign * volume / sizes[a]
            matrix[unknown[d, pressure], row] += sign * volume / sizes[a]
    found = np.linalg.lstsq(matrix, load, rcond=1e-12)[0]
    velocity = np.zeros((d, *shape))
    for (a, place), row in list(unknown.items())[:faces]:
        velocity[(a, *place)] = found[row]
    return velocity.reshape(d, -1).mean(axis=1), velocity


def dense_dispersion(inside, sizes, velocity):
    """The flux form of the finite volumes with diffusivity 1, written down face by face."""
    volume, d = float(np.prod(sizes)), inside.ndim
    number = {place: k for k, place in enumerate(zip(*np.nonzero(inside), strict=True))}
    matrix, load, back = np.zeros((len(number),) * 2), np.zeros((d, len(number))), np.zeros((d, len(number)))
    mean = np.array([velocity[a][inside].mean() for a in range(d)])
    flux = np.zeros((d, d))
    for place, row in number.items():
        for a in range(d):
            load[a, row] += volume * mean[a]
            back[a, row] -= volume * mean[a]
            below = number.get(moved(place, -np.eye(d, dtype=int)[a], inside.shape))
            if below is None:
                continue
            through, flow = volume / sizes[a] ** 2, volume / sizes[a] * velocity[(a, *place)]
            # What passes upwards for the concentrations x below and y above: F (x + y) / 2 - T (y - x).
            for other, sign in ((row, -1.0), (below, 1.0)):
                matrix[other, below] += sign * (0.5 * flow + through)
                matrix[other, row] += sign * (0.5 * flow - through)
                load[a, other] += sign * through * sizes[a] - 0.5 * flow * sizes[a]
                back[a, other] += sign * through * sizes[a] + 0.5 * flow * sizes[a]
            flux[a, a] += through * sizes[a] ** 2
    correctors = np.linalg.lstsq(matrix, load.T, rcond=1e-12)[0]
    return (flux - back @ correctors) / (volume * len(number))


def moved(place, step, shape):
    return tuple(int(k) for k in (np.array(place) + step) % shape)


RINGS = np.array([[1, 0, 0, 1], [0, 0, 0, 0], [0, 0, 1, 0]])


@pytest.mark.parametrize(
    ("labels", "voxel"),
    [(RINGS, (1.0, 1.0)), (RINGS, (0.2, 1.5)), (np.stack([RINGS, 0 * RINGS], axis=1), (1.0, 0.7, 2.0))],
)
def test_iterations_give_what_dense_matrices_give(labels, voxel):
    image = Image.from_labels(labels, {"pore": 0, "solid": 1}, voxel=voxel)
    d, sizes = image.dimension, np.array(voxel) / 2.0
    inside = image.refined(2).phases == 0
    axes = [dense_flow(inside, sizes, force) for force in np.eye(d)]
    mobility = np.array([mean for mean, _ in axes])
    given = {"refine": 2, "rtol": 1e-11, "estimate": False}
    flow = homogenize_stokes_image(image, **given)
    assert flow.value == pytest.approx(mobility, rel=1e-7, abs=1e-9 * np.abs(mobility).max())
    direction = np.arange(1.0, d + 1.0)
    pull = np.linalg.solve(mobility, direction / np.linalg.norm(direction)) * inside.mean()
    velocity = sum(one * field for one, (_, field) in zip(pull, axes, strict=True))
    for peclet in (0.0, 3.0, 300.0):
        expected = dense_dispersion(inside, sizes, peclet / min(image.period) * velocity)
        found = homogenize_dispersion_image(image, {"pore": 1.0}, peclet=peclet, direction=direction, **given)
        flux = found.coefficients["flux_form"].value
        assert flux == pytest.approx(expected, rel=1e-7, abs=1e-7 * np.abs(expected).max())
        speed = peclet / min(image.period) * direction / np.linalg.norm(direction)
        assert found.coefficients["velocity"].value == pytest.approx(speed, rel=1e-7, abs=1e-9)


def test_correctors_have_the_unit_of_length():
    """Of an image five times as large they are five times as large; on cut voxels they are those of small ones."""
    labels = square(8).phases.astype(int)
    fine = np.kron(labels, np.ones((2, 2), dtype=int))
    cut, large, small = (
        solve_dispersion_image(
            Image.from_labels(part, {"pore": 0, "solid": 1}, voxel=size), {"pore": 1.0}, peclet=10.0, refine=refine,
            rtol=1e-10, estimate=False,
        )
        for part, size, refine in ((labels, 1 / 8, 2), (labels, 5 / 8, 2), (fine, 1 / 16, 1))
    )  # fmt: skip
    size = np.abs(small.correctors[0]).max()
    assert size > 0.01
    assert np.allclose(large.correctors[0], 5.0 * small.correctors[0], atol=1e-6 * size)
    assert np.allclose(cut.correctors[0], small.correctors[0], atol=1e-6 * size)
    assert np.allclose(cut.velocity, small.velocity, atol=1e-8 * np.abs(small.velocity).max())


def test_blocks_of_long_voxels_are_made_along_their_short_edges(monkeypatch):
    """Which leaves less than half of the iterations; for a ratio of 100 it is the end of them that is at stake."""
    image = Image.from_labels(lopsided().phases.astype(int), {"pore": 0, "solid": 1}, voxel=(1.0, 20.0))
    found = homogenize_stokes_image(image, estimate=False)
    monkeypatch.setattr(multigrid, "STRONG", 0.0)
    plain = homogenize_stokes_image(image, estimate=False)
    assert plain.value == pytest.approx(found.value, rel=1e-5, abs=1e-5 * np.abs(found.value).max())
    assert found.iterations < 0.6 * plain.iterations


def test_factors_take_over_where_iterations_do_not_end(monkeypatch):
    given = {"peclet": 100.0, "direction": [1.0, 0.3], "estimate": False}
    iterated = homogenize_dispersion_image(square(16), {"pore": 1.0}, **given)
    monkeypatch.setattr(carrier, "PATIENCE", 1)
    factored = homogenize_dispersion_image(square(16), {"pore": 1.0}, **given)
    assert factored.iterations < iterated.iterations
    flux, other = (tensor.coefficients["flux_form"].value for tensor in (iterated, factored))
    assert other == pytest.approx(flux, rel=1e-6)
    monkeypatch.undo()
    fast = homogenize_dispersion_image(square(32), {"pore": 1.0}, peclet=[1e5, 1e6], direction=[1.0, 0.3])
    assert np.linalg.eigvalsh(fast[1].value - fast[0].value)[0] > 0.0
    assert fast[1].estimated_error > 0.05
    assert any("voxels are large" in warning for warning in fast[1].warnings)
    monkeypatch.setattr(carrier, "LARGEST", {2: 0, 3: 0})
    with pytest.raises(ConvergenceError, match="finer grid"):
        homogenize_dispersion_image(square(32), {"pore": 1.0}, peclet=1e6, direction=[1.0, 0.3], max_iterations=60)


def test_what_the_coarser_grid_does_not_reach_is_no_estimate(monkeypatch):
    """Its failure is not that of the result."""
    solve = Solute.solve

    def only_fine(self, image, *rest, **options):
        if image.shape == (8, 8):
            raise ConvergenceError("not on blocks")
        return solve(self, image, *rest, **options)

    monkeypatch.setattr(Solute, "solve", only_fine)
    found = homogenize_dispersion_image(square(16), {"pore": 1.0}, peclet=1.0)
    assert found.estimated_error is None
    assert any("too fast for it" in warning for warning in found.warnings)
    assert "estimated_error" not in found.conventions


def test_the_estimate_says_what_it_is_of():
    flow, moved_on = homogenize_stokes_image(square(8)), homogenize_dispersion_image(square(8), {"pore": 1.0}, peclet=1)
    for tensor in (flow, moved_on):
        assert "smooth walls is not in it" in str(tensor)


def test_images_are_refused_before_anything_is_solved(monkeypatch):
    """A gap of one voxel, a direction, several parts: not after the flow in blocks of two voxels."""
    monkeypatch.setattr(Pores, "flow", None)
    thin = square(16).phases.astype(int)
    thin[:, 0] = thin[8, 1:] = 1
    thin[8, 2] = 0
    image = Image.from_labels(thin, {"pore": 0, "solid": 1})
    for call in (homogenize_stokes_image, lambda image: homogenize_dispersion_image(image, {"pore": 1.0}, peclet=1e5)):
        with pytest.raises(InputError, match="one voxel thin"):
            call(image)
    with pytest.raises(PercolationError):
        homogenize_dispersion_image(slit(4, along=4), {"pore": 1.0}, peclet=1.0, direction=[0.0, 1.0])


@pytest.mark.parametrize("shape", [(1, 8), (8, 1), (1, 1, 8), (8, 1, 8), (2, 8)])
def test_axes_of_one_voxel(shape, monkeypatch):
    """A channel across the longest axis, and the same of an image that is longer along the others; by iterations."""
    monkeypatch.setattr(carrier, "LARGEST", {2: 0, 3: 0})
    axis = int(np.argmax(shape))
    labels = np.zeros(shape, dtype=int)
    np.moveaxis(labels, axis, 0)[:4] = 1
    wide = np.repeat(labels, 4, axis=(axis + 1) % len(shape))
    direction = np.eye(len(shape))[(axis + 1) % len(shape)]
    one, other = (
        homogenize_dispersion_image(
            Image.from_labels(part, {"pore": 0, "solid": 1}), {"pore": 1.0}, direction=direction, estimate=False,
            peclet=5.0 * min(part.shape),
        )
        for part in (labels, wide)
    )  # fmt: skip
    assert one.value == pytest.approx(other.value, rel=1e-7, abs=1e-9)


def test_voxels_that_touch_at_corners_do_not_join():
    board = np.kron(np.indices((4, 4)).sum(axis=0) % 2, np.ones((4, 4), dtype=int))
    with pytest.raises(PercolationError, match="closed pores"):
        homogenize_stokes_image(Image.from_labels(board, {"pore": 0, "solid": 1}))
    deep = np.repeat(board[:8, :8, None], 4, axis=2)  # channels along z that touch at edges
    image = Image.from_labels(deep, {"pore": 0, "solid": 1})
    with pytest.raises(InputError, match="one connected part"):
        homogenize_dispersion_image(image, {"pore": 1.0}, peclet=1.0, direction=[0.0, 0.0, 1.0])
    flow = homogenize_stokes_image(image, estimate=False)
    assert flow.value[2, 2] > 0.0
    assert np.abs(flow.value[:2]).max() == 0.0


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


def case_on_ranks(comm, *, folder):
    """Rank 0 solves; all have the tensors."""
    given = {"physics": "dispersion", "peclet": [0, 10], "phases": {"pore": "100 um^2/s"}, "refine": 2}
    run = runs.tensor(config(Path(folder), **given), folder=folder, comm=comm)
    values = [tensor.value.tolist() for tensor in run.series]
    assert len({str(one) for one in comm.allgather(values)}) == 1
    flow = runs.tensor(config(Path(folder), physics="stokes", fluid="pore"), folder=folder, comm=comm).tensor
    with pytest.raises(InputError) as caught:
        runs.tensor(config(Path(folder), physics="stokes", fluid="water"), folder=folder, comm=comm)
    return {"values": values, "flow": flow.value.tolist(), "refused": caught.value.name, "ranks": run.tensor.ranks}


def test_numbers_are_the_same_on_ranks(on_ranks, tmp_path):
    np.save(tmp_path / "image.npy", square(16).phases)
    one, *others = on_ranks(case_on_ranks, folder=str(tmp_path))
    assert one["refused"] == "effective.fluid"
    for other in others:
        assert other["refused"] == one["refused"]
        assert np.allclose(other["values"], one["values"], rtol=1e-9, atol=1e-9)
        assert np.allclose(other["flow"], one["flow"], rtol=1e-9, atol=1e-12)


def test_memory_does_not_grow_with_the_peclet_numbers():
    """Only the largest one keeps its correctors, wherever it stands in the list."""
    alone = solve_dispersion_image(square(16), {"pore": 1.0}, peclet=20.0, estimate=False)
    several = solve_dispersion_image(square(16), {"pore": 1.0}, peclet=[1.0, 20.0, 3.0], estimate=False)
    assert [len(one) for one in several.correctors] == [16, 16]
    assert np.allclose(several.correctors[0], alone.correctors[0], atol=1e-6)
    assert several.tensor is several.series[1]
    assert set(alone.tensor.seconds) == {"flow", "concentration", "total"}


def config(tmp_path, **effective):
    if not (tmp_path / "image.npy").exists():
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


@pytest.mark.parametrize(
    ("key", "value"),
    [("wall_rate", "1 um/s"), ("bounds", True), ("degree", 2), ("velocity", {"expression": ["1 um/s", "0"]})],
)
def test_keys_of_meshes_are_refused_on_a_grid(tmp_path, key, value):
    given = {"physics": "dispersion", "peclet": 1, "phases": {"pore": "1 um^2/s"}, key: value}
    with pytest.raises(InputError, match="belongs to meshes") as caught:
        runs.tensor(config(tmp_path, **given), folder=tmp_path)
    assert caught.value.name == f"effective.{key}"
