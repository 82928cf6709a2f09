"""Images of phases: what they hold, how files become x, y, z, and what is refused."""

from __future__ import annotations

import re
import sys

import numpy as np
import pytest

from homfem.grid import Image, read_image
from homfem.grid.files import read_array
from homfem.parameters import FileError, InputError

LABELS = {"pore": 0, "solid": 1}
#: Seen as a picture: columns to the right are x, the first row is the top, the largest y.
ROWS = np.array([[0, 1, 2], [3, 4, 5]], dtype=np.uint8)


def refused(message: str, make, kind: type[Exception] = InputError) -> None:
    with pytest.raises(kind) as caught:
        make()
    assert re.search(message, str(caught.value)), str(caught.value)


def test_labels_become_phases_in_the_order_of_the_table():
    image = Image.from_labels([[7, 7, 3], [3, 7, 9]], {"b": [3, 9], "a": 7}, voxel=(2.0, 0.5), length_unit="um")
    assert image.names == ("b", "a")
    assert image.phases.tolist() == [[1, 1, 0], [0, 1, 0]]
    assert image.volume_fractions == {"b": 0.5, "a": 0.5}
    assert image.period == (4.0, 1.5)
    assert image.lattice.volume == 6.0
    assert image.mask("a").tolist() == [[True, True, False], [False, True, False]]


def test_thresholds_cut_grey_levels():
    image = Image.from_grey([[0.0, 0.5], [0.2, 0.9]], [0.2, 0.8], ["dark", "grey", "bright"])
    assert image.phases.tolist() == [[0, 1], [1, 2]]
    assert Image.from_grey([[0.0, 0.5]], 0.5, ["a", "b"]).phases.tolist() == [[0, 1]]


@pytest.mark.parametrize(
    ("array", "labels", "message"),
    [
        ([["a", "b"], ["c", "d"]], LABELS, "array of numbers"),
        (np.zeros((2, 2), dtype=complex), LABELS, "array of numbers"),
        ([[0, 1], [1]], LABELS, "rectangular"),
        ([[0.0, 1.0], [np.nan, 1.0]], LABELS, r"image\[1, 0\] = nan.*finite.*Replace"),
        ([[0.0, np.inf]], LABELS, r"image\[0, 1\] = inf"),
        ([0, 1], LABELS, "2 or 3 axes"),
        (np.zeros((2, 0)), LABELS, "at least one voxel"),
        ([[0, 1]], {"pore": 0, "solid": 2}, r"labels\.solid = 2.*has 0, 1.*No voxel"),
        ([[0, 1, 2]], LABELS, "every label.*also has 2"),
        (np.arange(64).reshape(8, 8), LABELS, "62 different.*thresholds instead"),
        ([[0, 1]], {"pore": [0, 1], "solid": 1}, "one phase only"),
        ([[0, 1]], {"pore": "x", "solid": 1}, r"labels\.pore"),
        ([[0, 1]], {}, "table of phase names"),
    ],
)
def test_bad_label_images_are_refused(array, labels, message):
    refused(message, lambda: Image.from_labels(array, labels))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"voxel": (1.0, 1.0, 1.0)}, r"voxel = \(1.0, 1.0, 1.0\).*one for each axis.*2 axes"),
        ({"voxel": (1.0, 0.0)}, "voxel"),
        ({"voxel": np.nan}, "voxel"),
        ({"voxel": "1 um"}, "voxel"),
        ({"dimension": 3}, r"shape \(1, 2\).*3 axes"),
    ],
)
def test_options_that_do_not_fit_are_refused(options, message):
    refused(message, lambda: Image.from_labels([[0, 1]], LABELS, **options))


def test_three_axes_are_refused_where_two_are_asked():
    array = np.arange(8).reshape(2, 2, 2) % 2
    refused("2 axes.*one slice", lambda: Image.from_labels(array, LABELS, dimension=2))
    refused("2 axes.*one slice", lambda: Image.from_grey(array, 0.5, ["a", "b"], dimension=2))


@pytest.mark.parametrize(
    ("thresholds", "names", "message"),
    [
        ([0.5], ["a"], "2 names"),
        ([0.6, 0.4], ["a", "b", "c"], "that grow"),
        ([np.nan], ["a", "b"], "finite"),
        ([2.0], ["a", "b"], "some voxel is 'b'.*from 0 to 1"),
    ],
)
def test_bad_thresholds_are_refused(thresholds, names, message):
    refused(message, lambda: Image.from_grey([[0.0, 1.0]], thresholds, names))


@pytest.mark.parametrize(
    ("phases", "names", "message"),
    [
        ([[0, 2]], ("a", "b"), "from 0 to 1"),
        ([[-1, 0]], ("a", "b"), "from 0 to 1"),
        ([[0.5, 1.0]], ("a", "b"), "whole numbers"),
        ([[0, 0]], ("a", "b"), "'b'.*at least one voxel"),
        ([[0, 1]], ("a", "a"), "different names"),
    ],
)
def test_phases_and_names_must_fit(phases, names, message):
    refused(message, lambda: Image(phases=np.array(phases), names=names))


def test_interface_area_counts_faces_between_phases_across_the_period_too():
    phases = np.zeros((4, 5), dtype=int)
    phases[0, 0] = 1
    image = Image(phases=phases, names=("a", "b"), voxel=(2.0, 3.0))
    assert image.interface_area == pytest.approx((2 * 2.0 + 2 * 3.0) / (8.0 * 15.0))


def test_mirrored_refined_shifted_transposed():
    image = Image.from_labels([[0, 1, 1], [0, 0, 1]], LABELS, voxel=(1.0, 2.0))
    assert image.mirrored(1).phases.tolist() == [[0, 1, 1, 1, 1, 0], [0, 0, 1, 1, 0, 0]]
    both = image.mirrored()
    assert both.shape == (4, 6)
    assert np.array_equal(both.phases, both.phases[::-1, ::-1])
    fine = image.refined(2)
    assert fine.shape == (4, 6)
    assert fine.period == image.period
    assert fine.volume_fractions == image.volume_fractions
    assert fine.interface_area == pytest.approx(image.interface_area)
    assert image.shifted(1, 0).phases.tolist() == image.phases[::-1].tolist()
    assert image.transposed(1, 0).voxel == (2.0, 1.0)
    refused("axis = 2", lambda: image.mirrored(2))
    refused("cuts = 0", lambda: image.refined(0))
    refused("phase = 'x'", lambda: image.mask("x"))


def test_block_average_takes_the_majority():
    image = Image.from_labels([[0, 0, 1, 1], [0, 1, 1, 1], [2, 0, 0, 1], [0, 0, 0, 1]], {"a": 0, "b": 1, "c": 2})
    blocks = image.block_averaged(2)
    assert blocks.names == ("a", "b")
    assert blocks.phases.tolist() == [[0, 1], [0, 0]]
    assert blocks.voxel == (2.0, 2.0)
    assert blocks.period == image.period
    refused("size = 3.*divisor", lambda: image.block_averaged(3))


def test_mixed_blocks_have_mean_coefficients():
    image = Image.from_labels([[0, 0, 1, 1], [0, 1, 1, 1]], LABELS)
    for mean, value in (("arithmetic", 1.75), ("geometric", 4.0**0.25), ("harmonic", 1 / 0.8125)):
        blocks, coefficients = image.mixed(2, {"pore": 1.0, "solid": 4.0}, mean=mean)
        mixture = blocks.names[int(blocks.phases[0, 0])]
        assert mixture == "0.75 pore + 0.25 solid"
        assert coefficients[mixture] == pytest.approx(value)
        assert coefficients["solid"] == pytest.approx(4.0)
    matrix = np.array([[2.0, 0.5], [0.5, 1.0]])
    _, coefficients = image.mixed(2, {"pore": matrix, "solid": matrix})
    assert np.allclose(coefficients["0.75 pore + 0.25 solid"], matrix)
    assert image.mixed(2, {"solid": 4.0})[1].keys() == {"solid"}
    assert image.mixed(2, {"solid": 4.0}, mean="arithmetic")[1]["0.75 pore + 0.25 solid"] == pytest.approx(1.0)


def write_png(path, array):
    from PIL import Image as Picture

    Picture.fromarray(array).save(path)


def test_rows_of_a_picture_run_down_along_y(tmp_path):
    write_png(tmp_path / "a.png", ROWS)
    import tifffile

    tifffile.imwrite(tmp_path / "a.tif", ROWS)
    for name in ("a.png", "a.tif"):
        array, voxel = read_array(tmp_path / name)[:2]
        assert voxel is None
        assert array.tolist() == [[3, 0], [4, 1], [5, 2]]


def test_pages_of_a_tiff_stack_are_z(tmp_path):
    import tifffile

    tifffile.imwrite(tmp_path / "stack.tiff", np.stack([ROWS, ROWS + 10]), photometric="minisblack")
    array = read_array(tmp_path / "stack.tiff").array
    assert array.shape == (3, 2, 2)
    assert array[:, :, 0].tolist() == [[3, 0], [4, 1], [5, 2]]
    assert array[2, 0, 1] == 15


def test_numpy_and_nrrd_keep_their_axes(tmp_path):
    nrrd = pytest.importorskip("nrrd")

    array = np.arange(24).reshape(2, 3, 4)
    np.save(tmp_path / "a.npy", array)
    nrrd.write(str(tmp_path / "a.nrrd"), array, {"spacings": [1.0, 2.0, 0.5]})
    assert np.array_equal(read_array(tmp_path / "a.npy")[0], array)
    found, voxel = read_array(tmp_path / "a.nrrd")[:2]
    assert np.array_equal(found, array)
    assert voxel == (1.0, 2.0, 0.5)
    nrrd.write(str(tmp_path / "b.nrrd"), array, {"space directions": np.diag([3.0, 2.0, 1.0]), "space dimension": 3})
    assert read_array(tmp_path / "b.nrrd")[1] == (3.0, 2.0, 1.0)
    turned = np.array([[1.0, 1.0, 0.0], [-1.0, 1.0, 0.0], [0.0, 0.0, 1.0]])
    nrrd.write(str(tmp_path / "c.nrrd"), array, {"space directions": turned, "space dimension": 3})
    refused("rectangular grid", lambda: read_array(tmp_path / "c.nrrd"), FileError)


@pytest.mark.parametrize("ending", ["vti", "vtk"])
def test_vtk_images_have_x_fastest(tmp_path, ending):
    pyvista = pytest.importorskip("pyvista")
    array = np.arange(24).reshape(2, 3, 4)
    grid = pyvista.ImageData(dimensions=(3, 4, 5), spacing=(0.1, 0.2, 0.3))
    grid.cell_data["phase"] = array.ravel(order="F")
    grid.save(tmp_path / f"a.{ending}")
    found, voxel = read_array(tmp_path / f"a.{ending}")[:2]
    assert np.array_equal(found, array)
    assert voxel == pytest.approx((0.1, 0.2, 0.3))
    flat = pyvista.ImageData(dimensions=(2, 3, 1))
    flat.point_data["phase"] = np.arange(6)
    flat.save(tmp_path / f"b.{ending}")
    assert read_array(tmp_path / f"b.{ending}")[0].tolist() == [[0, 2, 4], [1, 3, 5]]
    flat.point_data["more"] = np.arange(6)
    flat.save(tmp_path / f"b.{ending}")
    refused("one array", lambda: read_array(tmp_path / f"b.{ending}"), FileError)


def test_vtk_files_of_another_kind_are_refused(tmp_path):
    pyvista = pytest.importorskip("pyvista")
    pyvista.Sphere().save(tmp_path / "a.vtk")
    refused("PolyData", lambda: read_array(tmp_path / "a.vtk"), FileError)


def test_grey_pictures_in_other_clothes(tmp_path):
    grey = np.repeat(ROWS[..., None], 3, axis=-1)
    write_png(tmp_path / "grey.png", grey)
    assert np.array_equal(read_array(tmp_path / "grey.png")[0], ROWS[::-1].T)
    import tifffile

    tifffile.imwrite(tmp_path / "grey.tif", grey, photometric="rgb")
    assert np.array_equal(read_array(tmp_path / "grey.tif")[0], ROWS[::-1].T)
    write_png(tmp_path / "bits.png", ROWS > 2)
    assert read_array(tmp_path / "bits.png")[0].astype(int).tolist() == [[1, 0], [1, 0], [1, 0]]
    colour = grey.copy()
    colour[0, 0, 1] = 99
    write_png(tmp_path / "colour.png", colour)
    refused("coloured", lambda: read_array(tmp_path / "colour.png"), FileError)
    clear = np.dstack([grey, np.full(ROWS.shape, 100, dtype=np.uint8)])
    write_png(tmp_path / "clear.png", clear)
    refused("transparent", lambda: read_array(tmp_path / "clear.png"), FileError)


def test_read_image(tmp_path):
    np.save(tmp_path / "a.npy", ROWS)
    image = read_image(tmp_path / "a.npy", thresholds=3, names=["low", "high"], voxel=(1.0, 2.0), length_unit="um")
    assert image.phases.tolist() == [[0, 0, 0], [1, 1, 1]]
    assert image.voxel == (1.0, 2.0)
    labels = {"a": [0, 1, 2], "b": [3, 4, 5]}
    assert np.array_equal(read_image(tmp_path / "a.npy", labels=labels).phases, image.phases)
    refused("thresholds and names instead", lambda: read_image(tmp_path / "a.npy"))
    refused("one name more", lambda: read_image(tmp_path / "a.npy", thresholds=3))
    refused("3 axes", lambda: read_image(tmp_path / "a.npy", labels=labels, dimension=3))


def test_the_voxel_size_of_the_file_counts_unless_one_is_given(tmp_path):
    nrrd = pytest.importorskip("nrrd")

    nrrd.write(str(tmp_path / "a.nrrd"), ROWS, {"spacings": [2.0, 3.0]})
    assert read_image(tmp_path / "a.nrrd", thresholds=3, names=["a", "b"]).voxel == (2.0, 3.0)
    options = {"thresholds": 3, "names": ["a", "b"]}
    given = read_image(tmp_path / "a.nrrd", **options, voxel=[1.0, 1.5], length_unit="um")
    assert (given.voxel, given.length_unit) == ((1.0, 1.5), "um")
    refused(
        r"voxel = 1.0.*absent, or what the file states: voxels of 2 x 3.*\[1.0, 1.0\] per voxel contradicts it",
        lambda: read_image(tmp_path / "a.nrrd", **options, voxel=1.0),
    )


@pytest.mark.parametrize("ending", ["npy", "png", "tif", "nrrd", "vti", "vtk"])
def test_files_that_are_no_images_are_refused(tmp_path, ending):
    if ending == "nrrd":
        pytest.importorskip("nrrd")
    path = tmp_path / f"a.{ending}"
    refused("exists", lambda: read_array(path), FileError)
    path.write_text("These are words, and not an image.\n" * 10)
    refused("must be an? .*(image|array|TIFF)", lambda: read_array(path), FileError)
    path.write_bytes(b"")
    refused("must be an? .*(image|array|TIFF)", lambda: read_array(path), FileError)


def test_a_missing_library_is_named(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "nrrd", None)
    (tmp_path / "a.nrrd").write_text("NRRD0004")
    refused("pip install pynrrd", lambda: read_array(tmp_path / "a.nrrd"), FileError)


def test_unknown_endings_and_pickles_are_refused(tmp_path):
    refused("ends in one of .npy", lambda: read_array(tmp_path / "a.gif"), FileError)
    np.save(tmp_path / "a.npy", np.array([{"a": 1}], dtype=object), allow_pickle=True)
    refused("numpy array", lambda: read_array(tmp_path / "a.npy"), FileError)
    np.save(tmp_path / "b.npy", np.array([["a", "b"]]))
    refused("array of numbers", lambda: read_image(tmp_path / "b.npy", labels=LABELS))
