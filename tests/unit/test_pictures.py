"""Pictures of cells: what is drawn, where, and in which colours."""

from __future__ import annotations

import itertools
from dataclasses import asdict, replace

import matplotlib
import matplotlib.image
import numpy as np
import pytest
from matplotlib.colors import to_rgb
from matplotlib.contour import ContourSet

from homfem import three_pipe
from homfem.cells.symmetry import symmetric_part
from homfem.meshing.arrays.raw_cell import RawCell
from homfem.meshing.shapes.three_pipe_grid import structured_three_pipe
from homfem.output import canvas, pictures, scene, skins
from homfem.output import cell_figures as figures
from homfem.output.colours import THEMES, colour_scale
from homfem.output.cuts import Patch
from homfem.output.pyvista_pictures import pyvista_works
from homfem.output.streams import in_sight, with_streams
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


# What is read off a picture.


def cube_of_phases():
    raw = structured_three_pipe(0.4, resolution=0.25)
    own = np.where(raw.phase_of_cell == raw.phases["er"], 0.25, 0.9)
    return raw, np.repeat(own[:, None], 4, axis=1)


def count(image: np.ndarray, colour) -> int:
    return np.count_nonzero((np.abs(image - np.asarray(colour)[:3]) < 1.05 / 255).all(axis=2))


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("theme", ["light", "dark"])
def test_colours_in_space_are_those_of_the_bar(tmp_path, engine, theme):
    """A field with one value in each phase: its faces, and the faces of the cut, have exactly those two colours."""
    raw, values = cube_of_phases()
    image = draw(
        raw, tmp_path / "a.png", engine=engine, theme=theme, corrector=values, translucent=[], limits=(0.0, 1.0)
    )
    scale = colour_scale(values, limits=(0.0, 1.0))
    counts = [count(image, scale.rgba(value)) for value in (0.25, 0.9)]
    assert counts[0] > 3_000
    assert counts[1] > 12_000
    assert image[0, 0] == pytest.approx(to_rgb(THEMES[theme].ground), abs=1 / 255)


def test_colours_in_the_plane_are_those_of_the_bar(tmp_path):
    nodes, cells, tags = flat_cell()
    values = np.repeat(np.where(tags == 1, -0.3, 0.7)[:, None], 3, axis=1)
    options = {"phases": {"a": 1, "b": 2}, "corrector": values, "view": CellView(size=SIZE)}
    path = pictures.draw_cell(nodes, cells, tags, tmp_path / "a.png", **options)
    image = matplotlib.image.imread(path)[:, :, :3]
    scale = colour_scale(values)
    shares = [count(image, scale.rgba(value)) for value in (-0.3, 0.7)]
    assert shares[0] / sum(shares) == pytest.approx(0.25, abs=0.03)
    assert sum(shares) > 0.25 * image.shape[0] * image.shape[1]


@pytest.fixture
def drawn(monkeypatch):
    """The figures that are written."""
    found = []
    save = canvas.save

    def kept(figure, path):
        save(figure, path)
        found.append(figure)

    monkeypatch.setattr(canvas, "save", kept)
    return found


def outside(figure) -> list[str]:
    width, height = figure.bbox.size
    boxes = [(text.get_text(), text.get_window_extent()) for text in canvas.words_of(figure)]
    return [text for text, box in boxes if min(box.x0, box.y0, width - box.x1, height - box.y1) < -0.5]


LONG = "a cell with a name that goes on for some while: diffusion, gradient along x, 1/8 of the period"


@pytest.mark.parametrize("size", [SIZE, (1400, 1100), (400, 1100), (1400, 300)])
@pytest.mark.parametrize("shape", [(1.0, 1.0), (1.0, 9.0), (9.0, 1.0)])
def test_words_stay_on_the_sheet_in_the_plane(tmp_path, drawn, size, shape):
    nodes, cells, tags = flat_cell()
    values = np.where(nodes[:, 0] >= 0.25, 1e-7 * nodes[:, 1] - 3e-8, np.nan)
    view = CellView(size=size, unit="um", title=LONG, label="the corrector, of which much could be said (um^2/s)")
    for corrector in (None, values):
        options = {"phases": {"a": 1, "some phase with a name": 2}, "corrector": corrector, "view": view}
        pictures.draw_cell(nodes * shape, cells, tags, tmp_path / "a.png", **options)
    for figure in drawn:
        assert len(canvas.words_of(figure)) > 5
        assert outside(figure) == []
        image = matplotlib.image.imread(tmp_path / "a.png")
        assert image.shape[0] <= size[1] + 1
        assert image.shape[1] <= size[0] + 1


@pytest.mark.parametrize("engine", ENGINES)
def test_words_stay_on_the_sheet_in_space(tmp_path, drawn, engine):
    raw, values = cube_of_phases()
    for corrector, translucent in ((None, None), (values, ["cytosol"])):
        view = {"unit": "um", "title": LONG, "label": "corrector (µm)", "engine": engine, "translucent": translucent}
        draw(raw, tmp_path / "a.png", corrector=corrector, **view)
    for figure in drawn:
        assert outside(figure) == []
        texts = [text.get_text() for text in canvas.words_of(figure)]
        assert {"x: 1 µm", "y: 1 µm", "z: 1 µm", LONG} <= {text.replace("\n", " ") for text in texts}


def test_letters_of_a_sheet_are_not_those_of_other_figures(tmp_path):
    """Settings of matplotlib hold again after a picture of a size of its own, and a sheet sets none."""
    before = dict(matplotlib.rcParams)
    canvas.laid_out((1.0, 1.0), SIZE, canvas.Words(title="title", label="label"))
    draw(structured_three_pipe(0.3, resolution=0.3), tmp_path / "a.png", engine="matplotlib")
    assert dict(matplotlib.rcParams) == before
    with canvas.styled(points=canvas.letters_for(SIZE)):
        assert matplotlib.rcParams["font.size"] == pytest.approx(10.0 * SIZE[0] / canvas.DPI / 7.0, rel=0.2)


def test_words_that_do_not_fit_are_set_smaller_when_a_picture_is_written(tmp_path):
    figure = canvas.sheet(2.0, 1.0)
    figure.text(0.5, 0.5, "much too long to be inside", fontsize=12, ha="center")
    figure.text(0.9, 0.2, "wherever one looks", fontsize=12)
    assert set(outside(figure)) == {"much too long to be inside", "wherever one looks"}
    canvas.save(figure, tmp_path / "a.png")
    assert outside(figure) == ["wherever one looks"]
    assert figure.texts[0].get_fontsize() > figure.texts[1].get_fontsize() == canvas.SMALLEST


# Hostile input.


def one_cell(d):
    return np.vstack([np.zeros(d), np.eye(d)]), np.arange(d + 1)[None], np.array([1])


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("d", [2, 3])
@pytest.mark.parametrize("values", [None, 0.0, 3.0, np.nan, -2.0])
def test_one_cell_with_any_constant_is_drawn(tmp_path, d, values, engine):
    nodes, cells, tags = one_cell(d)
    corrector = None if values is None else np.full(d + 1, values)
    view = CellView(size=SIZE, engine=engine)
    for cut in (True, False):
        options = {"phases": {"a": 1, "empty": 2}, "corrector": corrector, "view": replace(view, cut=cut)}
        path = pictures.draw_cell(nodes, cells, tags, tmp_path / "a.png", **options)
        assert matplotlib.image.imread(path)[:, :, :3].std() > 0.02


@pytest.mark.parametrize("d", [2, 3])
def test_vectors_that_are_nowhere_are_no_lines(tmp_path, d):
    nodes, cells, tags = one_cell(d)
    for vectors in (np.zeros((d + 1, d)), np.full((d + 1, d), np.nan)):
        drawn = pictures.made_drawable(nodes, cells, tags, vectors=vectors)
        assert pictures.draw_fields(drawn, tmp_path / "a.png", phases={"a": 1}, view=CellView(size=SIZE)).exists()
    with pytest.raises(InputError, match="vectors"):
        pictures.made_drawable(nodes, cells, tags, vectors=np.zeros(d + 1))


def test_no_cells_are_refused(tmp_path):
    with pytest.raises(InputError, match="cells"):
        pictures.draw_cell(np.eye(3)[:, :2], np.empty((0, 3), int), [], tmp_path / "a.png", phases={"a": 1})


# Formats, lines, displacements.


@pytest.mark.parametrize("d", [2, 3])
@pytest.mark.parametrize(("suffix", "start"), [(".pdf", b"%PDF"), (".svg", b"<?xml"), (".PNG", b"\x89PNG")])
def test_the_end_of_the_name_chooses_the_format(tmp_path, suffix, start, d):
    nodes, cells, tags = one_cell(d)
    view = CellView(size=SIZE, title="words", unit="um")
    path = pictures.draw_cell(nodes, cells, tags, tmp_path / f"a{suffix}", phases={"a": 1}, view=view)
    written = path.read_bytes()
    assert written.startswith(start)
    if suffix == ".svg":
        assert b">words</text>" in written
        again = pictures.draw_cell(nodes, cells, tags, tmp_path / "b.svg", phases={"a": 1}, view=view)
        assert again.read_bytes() == written


def test_lines_along_a_flow_are_its_stream_lines(tmp_path, drawn):
    nodes, cells, tags = flat_cell()
    made = pictures.made_drawable(nodes, cells, tags, vectors=np.tile([0.6, 0.8], (len(nodes), 1)))
    pictures.draw_fields(made, tmp_path / "a.png", phases={"a": 1, "b": 2}, view=CellView(size=SIZE, lines=7))
    contours = next(one for one in drawn[0].axes[0].collections if isinstance(one, ContourSet))
    assert len(contours.levels) == 7
    for path in contours.get_paths():
        steps = np.diff(path.vertices, axis=0)[path.codes[1:] == path.LINETO]
        assert np.abs(steps @ [0.8, -0.6]).max() < 1e-9


@pytest.mark.skipif("pyvista" not in ENGINES, reason="pyvista traces the lines")
def test_lines_in_space_run_along_the_flow():
    raw = structured_three_pipe(0.4, resolution=0.25)
    made = pictures.made_drawable(
        raw.points, raw.cells, raw.phase_of_cell, vectors=np.tile([2.0, 0.0, 0.0], (len(raw.points), 1))
    )
    view = CellView(lines=8)
    found = with_streams(scene.build(made, raw.phases, view), made, view)
    assert len(found.streams) == 16
    for points, sizes in found.streams:
        assert np.ptp(points[:, 0]) > 0.95
        assert np.ptp(points[:, 1:], axis=0) == pytest.approx([0.0, 0.0], abs=1e-6)
        assert sizes == pytest.approx(2.0)
    assert (found.scale.low, found.scale.high) == (0.0, pytest.approx(2.0))


def plate(normal: int, place: float) -> scene.Layer:
    """A square of side 1 across an axis, with a line from one end of it to the other."""
    corners = np.insert(np.array(list(itertools.product((0.0, 1.0), repeat=2))), normal, place, axis=1)
    patch = Patch(corners, np.array([[0, 1, 2], [2, 1, 3]]), None)
    return scene.Layer(patch=patch, name="wall", colour="#808080", translucent=False, lines=corners[None, [0, 3]])


def area(patch: Patch) -> float:
    a, b, c = (patch.points[patch.triangles[:, k]] for k in range(3))
    return 0.5 * float(np.linalg.norm(np.cross(b - a, c - a), axis=1).sum())


@pytest.mark.skipif("pyvista" not in ENGINES, reason="pyvista looks for what is hidden")
def test_walls_that_hide_the_lines_are_looked_through_in_front():
    points = np.random.default_rng(1).uniform(0.3, 0.7, (200, 3))
    points[:, 2] = 0.7
    points[:2, 1] = 0.2, 0.8
    behind, before, above = plate(1, 1.0), plate(1, 0.0), plate(2, 0.75)
    assert in_sight([behind], points) == [behind]
    (seen,) = in_sight([before], points)
    assert seen.translucent
    assert area(seen.patch) == pytest.approx(1.0)
    front, back = in_sight([above], points)
    assert (front.translucent, back.translucent) == (True, False)
    assert front.patch.points[:, 1].max() == pytest.approx(0.5) == back.patch.points[:, 1].min()
    assert area(front.patch) == pytest.approx(0.5) == area(back.patch)
    assert len(front.lines) == 0
    assert back.lines == pytest.approx(np.array([[[0.5, 0.5, 0.75], [1.0, 1.0, 0.75]]]))


def test_a_displacement_moves_the_nodes_and_keeps_them_at_rest():
    nodes, cells, tags = flat_cell()
    moved = nodes @ np.array([[0.1, 0.0], [0.05, -0.2]])
    made = pictures.made_drawable(nodes, cells, tags, displacement=moved)
    assert made.rest == pytest.approx(nodes)
    assert made.nodes == pytest.approx(nodes + moved)
    sized = pictures.made_drawable(nodes, cells, tags, vectors=moved).sized()
    assert sized.values == pytest.approx(np.linalg.norm(moved, axis=1)[cells])


@pytest.mark.parametrize("engine", ENGINES)
def test_a_cell_that_others_enclose_is_not_looked_through(tmp_path, engine):
    """The largest phase is inside of another: it is seen through that one; to be looked through it is not there."""
    n = 6
    corners = np.stack(np.meshgrid(*[np.linspace(0.0, 1.0, n + 1)] * 3, indexing="ij"), axis=-1).reshape(-1, 3)
    number = np.arange(len(corners)).reshape([n + 1] * 3)
    boxes = np.stack([number[i : n + i, j : n + j, k : n + k].ravel() for i in (0, 1) for j in (0, 1) for k in (0, 1)],
                     axis=1)  # fmt: skip
    middle = corners[boxes].mean(axis=1)
    tags = np.where((np.abs(middle - 0.5) < 0.5 - 0.9 / n).all(axis=1), 1, 2)
    made = pictures.made_drawable(corners, boxes, tags)
    phases, view = {"cells": 1, "between": 2}, CellView(size=SIZE, engine=engine)
    found = {layer.name: layer.translucent for layer in scene.build(made, phases, view).layers}
    assert found == {"cells": False, "between": True}
    for translucent in (["cells"], ["cells", "between"]):
        asked = CellView(size=SIZE, engine=engine, translucent=translucent)
        pictures.draw_fields(made, tmp_path / "a.png", phases=phases, view=asked)
    layers = scene.build(made, phases, CellView(translucent=["cells"])).layers
    assert [layer.name for layer in layers] == ["between"]
