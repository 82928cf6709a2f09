"""Fields of images in VTK's files: what another reader finds in them, and which files the command writes."""

from __future__ import annotations

import numpy as np
import pytest
import pyvista

from homfem import cli
from homfem.grid import Image, solve_dispersion_image, solve_image, solve_stokes_image
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
