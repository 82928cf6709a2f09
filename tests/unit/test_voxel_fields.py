"""Fields of images in VTK's files: what another reader finds in them, and which files the command writes."""

from __future__ import annotations

import errno
import os
import tracemalloc
from types import SimpleNamespace

import numpy as np
import pytest
import pyvista

from homfem import cli, disk
from homfem.grid import Image, solve_dispersion_image, solve_image, solve_stokes_image
from homfem.output import voxel_fields
from homfem.output.voxel_fields import write_image_solution

PLANE = np.array([[0, 0, 0, 1, 0, 0], [0, 0, 1, 1, 0, 0], [0, 0, 0, 0, 0, 0], [0, 0, 0, 0, 0, 0]])


def made(labels, voxel):
    return Image.from_labels(labels, {"pore": 0, "solid": 1}, voxel=voxel, length_unit="um")


def placed(data, image):
    """Which voxel each of the reader's cells is, by its middle."""
    middles = data.cell_centers().points[:, : image.dimension]
    return tuple(np.floor(middles / np.array(image.voxel)).astype(int).T)


@pytest.mark.parametrize("deep", [False, True])
def test_a_flow_is_read_by_another_program(tmp_path, deep):
    labels = np.repeat(PLANE[:, :, None], 3, axis=2) if deep else PLANE
    found = solve_stokes_image(made(labels, (0.5, 0.25, 2.0)[: labels.ndim]), refine=2, estimate=False)
    write_image_solution(found, tmp_path / "a.vti")
    data = pyvista.read(tmp_path / "a.vti")
    at = placed(data, found.image)
    assert len(set(zip(*at, strict=True))) == found.image.phases.size
    assert np.array_equal(data.cell_data["phase"], found.image.phases[at])
    for j in range(labels.ndim):
        velocity = data.cell_data[f"velocity_{j + 1}"]
        assert velocity.shape == (found.image.phases.size, 3)
        mean = found.tensor.value @ found.loads[j]
        assert velocity.mean(axis=0)[: labels.ndim] == pytest.approx(mean, abs=1e-7 * np.abs(mean).max())
        assert not velocity[~found.fluid[at]].any()


def test_dispersion_and_diffusion_are_read_by_another_program(tmp_path):
    image = made(PLANE, (0.5, 0.25))
    found = solve_dispersion_image(image, {"pore": 1.0}, peclet=5.0, direction=[0.6, 0.8], refine=2, estimate=False)
    write_image_solution(found, tmp_path / "a.vti")
    data = pyvista.read(tmp_path / "a.vti")
    at = placed(data, found.image)
    assert data.cell_data["velocity"][found.fluid[at]].mean(axis=0) == pytest.approx([0.6, 0.8, 0.0], abs=1e-9)
    assert np.isnan(data.cell_data["corrector_2"]).sum() == np.count_nonzero(~found.inside)
    known = found.correctors[1][at]
    assert data.cell_data["corrector_2"][found.inside[at]] == pytest.approx(known[found.inside[at]])
    plain = solve_image(image, {"pore": 1.0, "solid": 0.1}, refine=2)
    write_image_solution(plain, tmp_path / "b.vti")
    data = pyvista.read(tmp_path / "b.vti")
    ends = data.points[:, :2] / np.array(plain.image.voxel)
    at = tuple(np.round(ends).astype(int).T % np.array(plain.image.shape)[:, None])
    assert data.point_data["corrector_1"] == pytest.approx(plain.potentials[0][at])
    assert data.cell_data["flux_1"].mean(axis=0)[:2] == pytest.approx(
        [one.mean() for one in plain.fluxes[0]], abs=1e-12
    )


@pytest.mark.parametrize("deep", [False, True])
def test_correctors_are_numbers_where_something_around_conducts(tmp_path, deep):
    labels = np.zeros((7, 6), dtype=int)
    labels[2:5, 1:4] = 1
    labels = np.repeat(labels[:, :, None], 3, axis=2) if deep else labels
    found = solve_image(made(labels, (0.5, 0.25, 2.0)[: labels.ndim]), {"pore": 1.0})
    write_image_solution(found, tmp_path / "a.vti")
    data = pyvista.read(tmp_path / "a.vti")
    ends = np.round(data.points[:, :2] / np.array(found.image.voxel[:2])).astype(int)
    # Only the corners between solid voxels alone.
    solid = (ends[:, 0] > 2) & (ends[:, 0] < 5) & (ends[:, 1] > 1) & (ends[:, 1] < 4)
    assert np.array_equal(np.isnan(data.point_data["corrector_1"]), solid)
    assert np.count_nonzero(solid) == 4 * (4 if deep else 2)


def test_no_file_is_half_written(tmp_path, monkeypatch):
    """Neither where the work breaks off in the middle nor where there is no room."""
    found = solve_image(made(PLANE, (0.5, 0.25)), {"pore": 1.0})
    target = tmp_path / "a.vti"
    target.write_text("old")
    full = SimpleNamespace(f_blocks=10**6, f_bavail=300, f_frsize=4096)
    with monkeypatch.context() as patch:
        patch.setattr(disk, "_SPARE", 300 * 4096 - 100)
        patch.setattr(os, "statvfs", lambda path: full)
        with pytest.raises(OSError, match=r"a\.vti") as caught:
            write_image_solution(found, target)
        assert caught.value.errno == errno.ENOSPC
    broken = iter([None] * 4)
    write = voxel_fields._Array.write
    monkeypatch.setattr(voxel_fields._Array, "write", lambda one, stream: (next(broken), write(one, stream)))
    with pytest.raises(StopIteration):
        write_image_solution(found, target)
    assert target.read_text() == "old"
    assert [path.name for path in tmp_path.iterdir()] == ["a.vti"]


def test_little_is_held_beside_the_solution(tmp_path):
    image = Image.from_labels(np.zeros((40, 40, 40), dtype=int), {"pore": 0}, voxel=1.0)
    flux = np.random.default_rng(0).normal(size=(3, 40, 40, 40))
    tracemalloc.start()
    voxel_fields.write_voxels(
        image, {"flux": voxel_fields._middles(flux, image.phases >= 0)}, tmp_path / "a.vti"
    )  # fmt: skip
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 0.5 * flux.nbytes
    data = pyvista.read(tmp_path / "a.vti")
    assert data.cell_data["flux"].mean(axis=0) == pytest.approx(flux.reshape(3, -1).mean(axis=1), abs=1e-14)
    along = 0.5 * (flux[2] + np.roll(flux[2], -1, 2))
    assert np.array_equal(data.cell_data["flux"][:, 2], along.ravel(order="F"))


CONFIG = """
[cell]
shape = "image"
file = "a.npy"
labels = {{ pore = 0, solid = 1 }}
voxel = "1 um"
[effective]
physics = "stokes"
method = "{method}"
fluid = "pore"
"""


@pytest.mark.parametrize(
    ("method", "name", "status"),
    [("grid", "f.vti", 0), ("grid", "f.xdmf", 2), ("finite-element", "f.vti", 2)],
)
def test_the_command_writes_what_belongs_to_the_method(tmp_path, capsys, method, name, status):
    np.save(tmp_path / "a.npy", np.repeat(np.repeat(PLANE, 3, axis=0), 3, axis=1))
    (tmp_path / "c.toml").write_text(CONFIG.format(method=method))
    with pytest.raises(SystemExit) as ended:
        cli.main(["effective", str(tmp_path / "c.toml"), "--fields", str(tmp_path / name)])
    assert ended.value.code == status
    assert (tmp_path / name).exists() == (status == 0)
    if status:
        assert "--fields" in capsys.readouterr().err
