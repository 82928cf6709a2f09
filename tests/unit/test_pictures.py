"""Pictures of cells: what is drawn, where, and in which colours."""

from __future__ import annotations

import itertools
from dataclasses import asdict

import matplotlib.image
import numpy as np
import pytest

from homfem import three_pipe
from homfem.cells.symmetry import symmetric_part
from homfem.meshing.arrays.raw_cell import RawCell
from homfem.meshing.shapes.three_pipe_grid import structured_three_pipe
from homfem.output import cell_figures as figures
from homfem.output import pictures, skins
from homfem.output.pyvista_pictures import pyvista_works
from homfem.output.views import CellView
from homfem.parameters import FileError, InputError

ENGINES = [name for name in ("matplotlib", "pyvista") if name == "matplotlib" or pyvista_works()]
SIZE = (420, 330)


def draw(raw: RawCell, path, **options) -> np.ndarray:
    corrector, lattice = options.pop("corrector", None), options.pop("lattice", raw.lattice.vectors)
    given = {"phases": raw.phases, "corrector": corrector, "lattice": lattice}
    view = CellView(size=SIZE, **options)
    assert pictures.draw_cell(raw.points, raw.cells, raw.phase_of_cell, path, **given, view=view) == path
    return matplotlib.image.imread(path)[:, :, :3]


def reddish(image: np.ndarray) -> np.ndarray:
    return (image[:, :, 0] > image[:, :, 2] + 0.25) & (image[:, :, 0] > 0.4)


def bluish(image: np.ndarray) -> np.ndarray:
    return image[:, :, 2] > image[:, :, 0] + 0.25


@pytest.mark.parametrize("engine", ENGINES)
def test_network_is_seen_through_the_other_phase(tmp_path, engine):
    thin = draw(structured_three_pipe(0.2, resolution=0.2), tmp_path / "thin.png", engine=engine)
    thick = draw(structured_three_pipe(0.4, resolution=0.2), tmp_path / "thick.png", engine=engine)
    assert thin.shape == (SIZE[1], SIZE[0], 3)
    assert 0.01 < reddish(thin).mean() < reddish(thick).mean() < 0.5


@pytest.mark.parametrize("engine", ENGINES)
def test_nothing_is_said_while_it_is_drawn(tmp_path, capfd, engine):
    draw(structured_three_pipe(0.3, resolution=0.3), tmp_path / "quiet.png", engine=engine)
    assert capfd.readouterr() == ("", "")


def test_the_part_between_mirror_planes_is_named_and_not_cut(tmp_path, monkeypatch):
    drawn = {}
    monkeypatch.setattr(figures, "draw_cell", lambda *places, **options: drawn.update(asdict(options["view"])))
    cell = three_pipe(0.4, resolution=0.3, grading=1.0)
    figures.draw_unit_cell(symmetric_part(cell), str(tmp_path / "part.png"))
    assert drawn["title"] == f"{cell.name}, 1/8 of the period"
    assert drawn["cut"] is False
    figures.draw_unit_cell(cell, str(tmp_path / "whole.png"))
    assert (drawn["title"], drawn["cut"]) == (cell.name, None)


@pytest.mark.parametrize("engine", ENGINES)
def test_corrector_colours_both_ends(tmp_path, engine):
    raw = structured_three_pipe(0.4, resolution=0.2)
    x = raw.points[:, 0] - 0.5
    image = draw(raw, tmp_path / "one.png", engine=engine, corrector=x)[:, : int(0.8 * SIZE[0])]
    turned = draw(raw, tmp_path / "two.png", engine=engine, corrector=-x)[:, : int(0.8 * SIZE[0])]
    # x grows to the right of the picture: blue is left of red, and the other way round.
    for picture, sign in ((image, 1), (turned, -1)):
        centre = [np.nonzero(mask)[1].mean() for mask in (bluish(picture), reddish(picture))]
        assert sign * (centre[1] - centre[0]) > 20


@pytest.mark.parametrize("engine", ENGINES)
def test_several_periods_show_more_pipes(tmp_path, engine):
    raw = structured_three_pipe(0.3, resolution=0.25)
    options = {"engine": engine, "translucent": ["cytosol"]}
    one, two = (draw(raw, tmp_path / f"{n}.png", periods=n, **options) for n in (1, 2))
    changes = [np.abs(np.diff(reddish(image).astype(int), axis=1)).sum() for image in (one, two)]
    assert changes[1] > 1.3 * changes[0]


def flat_cell() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    n = 8
    nodes = np.array(list(itertools.product(np.linspace(0, 1, n + 1), repeat=2)))
    i, j = np.divmod(np.arange(n * n), n)
    low = i * (n + 1) + j
    cells = np.concatenate([np.stack([low, low + n + 1, low + n + 2], 1), np.stack([low, low + n + 2, low + 1], 1)])
    tags = np.where(nodes[cells].mean(axis=1)[:, 0] < 0.25, 1, 2)
    return nodes, cells, tags


def test_plane_cell_has_its_phases_in_place(tmp_path):
    nodes, cells, tags = flat_cell()
    path = tmp_path / "flat.png"
    pictures.draw_cell(nodes, cells, tags, path, phases={"a": 1, "b": 2}, view=CellView(size=SIZE))
    image = matplotlib.image.imread(path)[:, :, :3]
    assert reddish(image).sum() / (reddish(image).sum() + bluish(image).sum()) == pytest.approx(0.25, abs=0.04)
    assert np.nonzero(reddish(image))[1].mean() < np.nonzero(bluish(image))[1].mean()


def test_corrector_of_one_phase_of_a_plane_cell(tmp_path):
    nodes, cells, tags = flat_cell()
    values = np.where(nodes[:, 0] >= 0.25, nodes[:, 1] - 0.5, np.nan)
    path = tmp_path / "flat.png"
    pictures.draw_cell(nodes, cells, tags, path, phases={"a": 1, "b": 2}, corrector=values, view=CellView(size=SIZE))
    image = matplotlib.image.imread(path)[:, : SIZE[0] // 2, :3]
    assert np.nonzero(reddish(image[:, 120:]))[0].mean() < np.nonzero(bluish(image[:, 120:]))[0].mean()


def test_skin_is_the_closed_surface_turned_outward():
    raw = structured_three_pipe(0.4, resolution=0.25, phases="er")
    corners = raw.points[skins.skin(raw.points, raw.cells)]
    area = 0.5 * np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    np.testing.assert_allclose(area.sum(axis=0), 0.0, atol=1e-14)
    assert np.linalg.norm(area, axis=1).sum() == pytest.approx(12 * 0.4 * 0.6 + 6 * 0.16)
    # Gauss: a third of the flux of x through the surface is the volume.
    assert np.einsum("ix,ix->", area, corners.mean(axis=1)) / 3 == pytest.approx(3 * 0.16 - 2 * 0.064)


def test_divided_surface_keeps_area_and_linear_values():
    raw = structured_three_pipe(0.4, resolution=0.25, phases="er")
    whole = skins.surface(raw.points, skins.skin(raw.points, raw.cells), raw.points @ [1.0, 2.0, 3.0])
    fine = skins.divided(whole)
    assert len(fine.faces) == 4 * len(whole.faces)
    np.testing.assert_allclose(fine.values, fine.points @ [1.0, 2.0, 3.0], atol=1e-14)


def test_periods_are_joined_at_their_faces():
    raw = structured_three_pipe(0.4, resolution=0.25)
    nodes, cells, tags, *_ = skins.repeated(
        skins.Drawn(raw.points, raw.cells, raw.phase_of_cell, None), np.eye(3), [2, 1, 1]
    )
    on_face = np.count_nonzero(raw.points[:, 0] == 0.0)
    assert len(nodes) == 2 * len(raw.points) - on_face
    assert len(cells) == len(tags) == 2 * len(raw.cells)
    assert skins.volumes(nodes, cells).sum() == pytest.approx(2.0)


@pytest.mark.parametrize(
    ("changes", "error", "text"),
    [
        ({"path": "cell.jpg"}, FileError, "png"),
        ({"path": "nowhere/cell.png"}, FileError, "directory"),
        ({"corrector": np.zeros(3)}, InputError, "corrector"),
        ({"translucent": ["cytosole"]}, InputError, "Did you mean 'cytosol'"),
        ({"periods": 2, "lattice": None}, InputError, "lattice"),
        ({"periods": (1, 2)}, InputError, "periods"),
        ({"engine": "mayavi"}, InputError, "engine"),
    ],
)
def test_bad_input_is_refused(tmp_path, changes, error, text):
    raw = structured_three_pipe(0.4, resolution=0.25)
    path = tmp_path / changes.pop("path", "cell.png")
    with pytest.raises(error, match=text):
        draw(raw, path, **changes)
    assert not path.exists()
