"""Image files: their sizes and axes are used, what is cut short, of another kind or too large is refused."""

from __future__ import annotations

import bz2
import gzip
import re
import struct
import zipfile
import zlib
from pathlib import Path

import h5py
import nibabel
import nrrd
import numpy as np
import pytest
import pyvista
import tifffile
import vtk
from PIL import Image as Picture
from PIL import ImageFile

from homfem.cells import image_cell
from homfem.certify import homogenize_diffusion, homogenize_stokes
from homfem.config import make_config
from homfem.grid import homogenize_image, read_image
from homfem.grid.files import read_array
from homfem.limits import VARIABLE, MemoryLimitError
from homfem.parameters import FileError, InputError
from homfem.runs.physics import solve_effective
from homfem.runs.shapes import image_of, make_cell
from homfem.tensors import EffectiveTensor

CASES = Path(__file__).parents[1] / "cases"
VOLUME = (np.random.default_rng(5).random((7, 6, 5)) * 4).astype(np.uint8)
FLAT = VOLUME[:, :, 0]
LABELS = {"a": [0, 1], "b": [2, 3]}
META = "ObjectType = Image\nNDims = 3\nDimSize = 7 6 5\nElementType = MET_UCHAR\nElementSpacing = 0.5 0.5 2\n"


def refused(message, make, kind=InputError):
    with pytest.raises(kind) as caught:
        make()
    assert re.search(message, str(caught.value)), str(caught.value)


def vtk_grid():
    grid = pyvista.ImageData(dimensions=(8, 7, 6), spacing=(0.5, 0.5, 2.0))
    grid.cell_data["a"] = VOLUME.ravel(order="F")
    return grid


def write_vti(path, mode, compressed):
    writer = vtk.vtkXMLImageDataWriter()
    writer.SetInputData(vtk_grid())
    writer.SetFileName(str(path))
    getattr(writer, {"inline": "SetDataModeToBinary"}.get(mode, "SetDataModeToAppended"))()
    writer.SetEncodeAppendedData(mode == "base64")
    (writer.SetCompressorTypeToZLib if compressed else writer.SetCompressorTypeToNone)()
    writer.Write()


def write_h5(path, **options):
    with h5py.File(path, "w") as file:
        file.create_dataset("scan/labels", data=VOLUME, **options).attrs["element_size_um"] = [0.5, 0.5, 2.0]


def write_mha(path, compressed):
    data = VOLUME.tobytes(order="F")
    more = "CompressedData = True\n" if compressed else ""
    head = META + more + "ElementDataFile = LOCAL\n"
    path.write_bytes(head.encode() + (zlib.compress(data) if compressed else data))


def nifti(path, units="mm"):
    image = nibabel.Nifti1Image(VOLUME, np.diag([0.5, 0.5, 2.0, 1.0]))
    image.header.set_xyzt_units(units)
    image.to_filename(path)


WRITERS = {
    "a.npy": lambda p: np.save(p, VOLUME),
    "a.npz": lambda p: np.savez_compressed(p, scan=VOLUME),
    "a.h5": write_h5,
    "gzip.h5": lambda p: write_h5(p, compression="gzip"),
    "a.png": lambda p: Picture.fromarray(FLAT).save(p),
    "a.bmp": lambda p: Picture.fromarray(FLAT).save(p),
    "a.jpg": lambda p: Picture.fromarray(FLAT * 60).save(p, quality=95),
    "stack.tif": lambda p: tifffile.imwrite(p, VOLUME, photometric="minisblack"),
    "plain.tif": lambda p: tifffile.imwrite(p, VOLUME, photometric="minisblack", metadata=None),
    "zlib.tif": lambda p: tifffile.imwrite(p, VOLUME, photometric="minisblack", compression="zlib"),
    "a.ome.tif": lambda p: tifffile.imwrite(p, VOLUME, metadata={"axes": "ZYX"}),
    "raw.nrrd": lambda p: nrrd.write(str(p), VOLUME, {"encoding": "raw"}),
    "gzip.nrrd": lambda p: nrrd.write(str(p), VOLUME, {"encoding": "gzip"}),
    "bzip2.nrrd": lambda p: nrrd.write(str(p), VOLUME, {"encoding": "bzip2"}),
    "a.mha": lambda p: write_mha(p, False),
    "zlib.mha": lambda p: write_mha(p, True),
    "a.nii": nifti,
    "a.nii.gz": nifti,
    "binary.vtk": lambda p: vtk_grid().save(p),
    "text.vtk": lambda p: vtk_grid().save(p, binary=False),
    "raw.vti": lambda p: write_vti(p, "raw", False),
    "zlib.vti": lambda p: write_vti(p, "raw", True),
    "base64.vti": lambda p: write_vti(p, "base64", False),
    "inline.vti": lambda p: write_vti(p, "inline", True),
}


@pytest.mark.filterwarnings("ignore:datetime")
def test_a_file_that_is_cut_short_is_refused_or_is_whole(tmp_path):
    """Of each length: never other numbers. Junk behind the ending, or behind the header, is refused."""
    for name in WRITERS:
        WRITERS[name](tmp_path / name)
        check_cuts(tmp_path / name, name)


def check_cuts(path, name):
    whole, data = read_array(path).array, path.read_bytes()
    flat = name.endswith((".png", ".bmp", ".jpg"))
    assert whole.shape == {True: (6, 7), False: (7, 6, 5)}[flat] or name.endswith(".tif")
    kept = 0
    for length in [*range(0, len(data), max(1, len(data) // 24)), len(data) - 1, len(data) - 2, len(data) - 9]:
        path.write_bytes(data[:length])
        try:
            found = read_array(path).array
        except FileError:
            continue
        assert np.array_equal(found, whole), (name, length)
        kept += 1
    assert kept <= 4, name  # a sum at the end may be missing
    junk = np.random.default_rng(3).integers(0, 256, (6, 600), dtype=np.uint8)
    for number, row in enumerate(junk):
        path.write_bytes(data[: 40 * (number % 2)] + row.tobytes())
        refused(".", lambda: read_array(path))


def test_what_pillow_was_told_elsewhere_does_not_count(tmp_path, monkeypatch):
    monkeypatch.setattr(ImageFile, "LOAD_TRUNCATED_IMAGES", True)
    picture = Picture.fromarray(np.random.default_rng(1).integers(0, 256, (64, 64), dtype=np.uint8))
    for ending in ("png", "bmp", "jpg"):
        path = tmp_path / f"a.{ending}"
        picture.save(path)
        path.write_bytes(path.read_bytes()[:2500])
        refused("(PNG|BMP|JPEG) image", lambda path=path: read_array(path), FileError)
    assert ImageFile.LOAD_TRUNCATED_IMAGES is True


def test_a_png_is_nothing_but_a_png(tmp_path):
    """Neither another picture, nor PostScript, which Pillow would hand to an interpreter."""
    path = tmp_path / "a.png"
    for kind in ("GIF", "JPEG", "BMP", "TIFF", "PPM"):
        Picture.fromarray(FLAT).save(path, format=kind)
        refused("PNG", lambda: read_array(path), FileError)
    path.write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\n(x) (w) file\n")
    refused("PNG", lambda: read_array(path), FileError)


def test_several_pictures_in_one_file_are_refused(tmp_path):
    frames = [Picture.fromarray(FLAT + k) for k in range(3)]
    frames[0].save(tmp_path / "a.png", save_all=True, append_images=frames[1:])
    refused("one picture.*It has 3", lambda: read_array(tmp_path / "a.png"), FileError)


# ---- sizes of voxels -------------------------------------------------------------------------------------------------


def test_the_size_and_the_unit_that_a_file_states_are_used(tmp_path):
    for name in ("a.nii", "a.h5", "a.mha", "raw.vti", "binary.vtk"):
        WRITERS[name](tmp_path / name)
    found = {name: read_array(tmp_path / name) for name in ("a.nii", "a.h5", "a.mha", "raw.vti", "binary.vtk")}
    assert all(entry.voxel == pytest.approx((0.5, 0.5, 2.0)) for entry in found.values())
    assert [entry.unit for entry in found.values()] == ["mm", "um", "", "", ""]
    path = tmp_path / "ij.tif"
    words = {"axes": "ZYX", "spacing": 2.0, "unit": "um"}
    tifffile.imwrite(path, VOLUME, imagej=True, metadata=words, resolution=(2.0, 4.0))
    assert read_array(path)[1:3] == ((0.5, 0.25, 2.0), "um")
    sizes = {f"PhysicalSize{axis}": h for axis, h in zip("XYZ", (0.5, 0.25, 2.0), strict=True)}
    tifffile.imwrite(tmp_path / "a.ome.tif", VOLUME, metadata={"axes": "ZYX"} | sizes)
    assert read_array(tmp_path / "a.ome.tif")[1:3] == ((0.5, 0.25, 2.0), "um")
    tifffile.imwrite(path, FLAT, resolution=(1e4, 2e4), resolutionunit="CENTIMETER")
    assert read_array(path)[1:3] == ((1e-4, 5e-5), "cm")
    for dots, unit in ((72, "INCH"), (300, "INCH"), (300 / 2.54, "CENTIMETER"), (1, "NONE")):
        tifffile.imwrite(path, FLAT, resolution=(dots, dots), resolutionunit=unit)
        assert read_array(path).voxel is None


@pytest.mark.filterwarnings("ignore:datetime")
def test_units_of_the_file_become_those_that_are_asked_for(tmp_path):
    WRITERS["a.nii"](tmp_path / "a.nii")
    image = read_image(tmp_path / "a.nii", labels=LABELS)
    assert (image.voxel, image.length_unit) == ((0.5, 0.5, 2.0), "mm")
    image = read_image(tmp_path / "a.nii", labels=LABELS, length_unit="um")
    assert image.voxel == pytest.approx((500.0, 500.0, 2000.0))
    path = tmp_path / "a.nrrd"
    nrrd.write(str(path), VOLUME, {"spacings": [0.5, 0.5, 2.0], "units": ["um", "um", "um"]})
    assert read_array(path)[1:3] == ((0.5, 0.5, 2.0), "um")
    directions = {"space directions": np.diag([0.5, 0.5, 2.0]), "space dimension": 3, "space units": ["mm"] * 3}
    nrrd.write(str(path), VOLUME, directions)
    assert read_array(path)[1:3] == ((0.5, 0.5, 2.0), "mm")
    nrrd.write(str(path), VOLUME, {"spacings": [0.5, 0.5, 2.0], "units": ["um", "um", "mm"]})
    refused("one unit of length.*mm, um", lambda: read_array(path))
    nrrd.write(str(path), VOLUME, {"spacings": [0.5, 0.5, 2.0], "units": ["pixel"] * 3})
    assert read_image(path, labels=LABELS).length_unit == "unit of the file"


def test_a_size_that_contradicts_the_file_is_refused(tmp_path):
    WRITERS["a.nii"](tmp_path / "a.nii")
    for options, message in (
        ({"voxel": [0.5, 0.5, 2.0], "length_unit": "mm"}, ""),
        ({"voxel": [500.0, 500.0, 2000.0], "length_unit": "um"}, ""),
        ({"voxel": [0.5003, 0.5, 2.0], "length_unit": "mm"}, ""),
        ({"voxel": [0.5, 0.5, 2.0], "length_unit": "um"}, "voxel.*absent, or what the file.*500 x 500 x 2000 um"),
        ({"voxel": 0.5, "length_unit": "mm"}, r"\[0.5, 0.5, 0.5\] mm per voxel contradicts it"),
        ({"period": [3.5, 3.0, 10.0], "length_unit": "mm"}, ""),
        ({"period": 3.5, "length_unit": "mm"}, "period = 3.5.*contradicts.*Leave period out"),
        ({"voxel": 1.0, "period": 2.0}, "voxel.*absent where the period"),
    ):

        def read(options=options):
            return read_image(tmp_path / "a.nii", labels=LABELS, **options)

        if message:
            refused(message, read)
        else:
            assert read().voxel[2] / read().voxel[1] == pytest.approx(4.0, rel=1e-3)


def test_without_a_unit_only_the_shape_of_a_voxel_can_contradict(tmp_path):
    WRITERS["a.mha"](tmp_path / "a.mha")
    image = read_image(tmp_path / "a.mha", labels=LABELS, voxel=[3.0, 3.0, 12.0], length_unit="um")
    assert (image.voxel, image.length_unit) == ((3.0, 3.0, 12.0), "um")
    refused("without a unit", lambda: read_image(tmp_path / "a.mha", labels=LABELS, voxel=1.0, length_unit="um"))
    path = tmp_path / "ones.vti"
    grid = pyvista.ImageData(dimensions=(8, 7, 6))
    grid.cell_data["a"] = VOLUME.ravel(order="F")
    grid.save(path)
    assert read_image(path, labels=LABELS, voxel=[1.0, 1.0, 3.0], length_unit="um").voxel == (1.0, 1.0, 3.0)
    assert read_image(path, labels=LABELS).length_unit == "voxel"


def test_a_stack_that_states_the_size_of_its_pixels_alone_needs_one_of_its_voxels(tmp_path):
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, VOLUME, photometric="minisblack", resolution=(1e4, 1e4), resolutionunit="CENTIMETER")
    refused("voxel.*given: the file states.*along x and y alone", lambda: read_image(path, labels=LABELS))
    image = read_image(path, labels=LABELS, voxel=[1.0, 1.0, 4.0], length_unit="um")
    assert image.voxel == (1.0, 1.0, 4.0)
    refused("1 x 1 x [?] um", lambda: read_image(path, labels=LABELS, voxel=2.0, length_unit="um"))


def test_an_answer_with_a_length_in_it_needs_the_size_of_a_voxel(tmp_path):
    for physics in ("stokes", "membranes"):
        check_length(tmp_path, physics)


def check_length(tmp_path, physics):
    slab = np.repeat([0, 0, 1, 1], 16).reshape(4, 4, 4)
    np.save(tmp_path / "a.npy", slab)
    cell = {"shape": "image", "file": "a.npy", "labels": {"p": 0, "s": 1}}
    effective = {"physics": "stokes", "fluid": "p"}
    if physics == "membranes":
        effective = {
            "physics": "diffusion",
            "phases": {"p": "1 um^2/s", "s": "1 um^2/s"},
            "membranes": {"p|s": "1 um/s"},
        }

    def solve(**keys):
        from mpi4py import MPI

        config = make_config({"cell": cell | keys, "effective": effective}, folder=tmp_path)
        return solve_effective(
            config.effective, make_cell(config.cell, MPI.COMM_SELF, tmp_path), config=config.document
        ).tensor

    refused(r"cell\.voxel = \(missing\).*no size of a voxel with its unit", solve)
    tensor = solve(voxel="2 um")
    if physics == "stokes":
        assert tensor.value[1, 1] == pytest.approx(0.5 * 4.0**2 / 12.0, rel=1e-6)  # two voxels of 2 um between walls
    else:
        assert tensor.value[0, 0] == pytest.approx(1.0 / (1.0 + 2.0 / 8.0), rel=1e-6)
    assert tensor.length_unit == "um"


@pytest.mark.parametrize("method", ["grid", "finite-element"])
def test_an_interface_area_without_the_size_of_a_voxel_is_left_out(homfem, method, tmp_path):
    np.save(tmp_path / "a.npy", np.repeat([0, 0, 1, 1], 4).reshape(4, 4))
    path = tmp_path / "a.toml"
    path.write_text(
        f"[cell]\nshape = 'image'\nfile = 'a.npy'\nlabels = {{ p = 0, s = 1 }}\n"
        f"[effective]\nphysics = 'diffusion'\nmethod = '{method}'\n"
        "[effective.phases]\np = '1 um^2/s'\ns = '3 um^2/s'\n"
    )
    found = {}
    for name, keys in {"none": (), "2 um": ("--set", "cell.voxel='2 um'")}.items():
        status, shown, error = homfem("effective", path, *keys, "--json", tmp_path / "a.json")
        assert (status, error) == (0, "")
        found[name] = EffectiveTensor.from_json(tmp_path / "a.json"), shown
    tensor, shown = found["none"]
    assert tensor.interface_area is None
    assert "interface area per volume: left out, no unit of length is known (cell.voxel" in shown
    assert np.allclose(tensor.value, np.diag([1.5, 2.0]), rtol=1e-9)  # has no length in it
    tensor, shown = found["2 um"]
    assert tensor.interface_area == pytest.approx(2.0 / 8.0)  # two faces in eight micrometres
    assert "interface area per volume: 0.25 /um" in shown


def test_python_says_in_which_unit_a_permeability_is(tmp_path):
    np.save(tmp_path / "a.npy", np.repeat([0, 0, 1, 1], 4).reshape(4, 4))
    tensor = homogenize_stokes(image_cell(read_image(tmp_path / "a.npy", labels={"p": 0, "s": 1})), fluid="p")
    assert tensor.unit == "voxel^2"
    assert tensor.value[1, 1] == pytest.approx(0.5 * 2.0**2 / 12.0, rel=1e-6)


# ---- axes ------------------------------------------------------------------------------------------------------------


def test_axes_are_those_of_space(tmp_path):
    path = tmp_path / "a.nii"
    turned = np.flip(VOLUME, 0).transpose(1, 0, 2)
    affine = np.array([[0, -0.5, 0, 9], [0.25, 0, 0, 0], [0, 0, 2.0, 0], [0, 0, 0, 1.0]])
    nibabel.Nifti1Image(turned, affine).to_filename(path)
    found = read_array(path)
    assert np.array_equal(found.array, VOLUME)
    assert found.voxel == pytest.approx((0.5, 0.25, 2.0))
    c, s = np.cos(0.1), np.sin(0.1)
    affine = np.array([[c, -s, 0, 0], [s, c, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1.0]])
    nibabel.Nifti1Image(VOLUME, affine).to_filename(path)
    refused("rectangular grid along its axes.*turned", lambda: read_array(path), FileError)
    path = tmp_path / "a.mha"
    words = META.replace("ElementSpacing", "TransformMatrix = -1 0 0 0 1 0 0 0 1\nElementSpacing")
    path.write_bytes(f"{words}ElementDataFile = LOCAL\n".encode() + np.flip(VOLUME, 0).tobytes(order="F"))
    assert np.array_equal(read_array(path).array, VOLUME)


def test_a_header_with_its_numbers_in_another_file(tmp_path):
    (tmp_path / "a.raw").write_bytes(b"12345" + VOLUME.astype(">u2").tobytes(order="F"))
    words = META.replace("MET_UCHAR", "MET_USHORT") + "ElementByteOrderMSB = True\nHeaderSize = 5\n"
    (tmp_path / "a.mhd").write_text(f"{words}ElementDataFile = a.raw\n")
    assert np.array_equal(read_array(tmp_path / "a.mhd").array, VOLUME)
    (tmp_path / "a.raw").write_bytes(b"12345")
    refused("0 of the 420 bytes", lambda: read_array(tmp_path / "a.mhd"), FileError)
    (tmp_path / "a.mhd").write_text(f"{words}ElementDataFile = b.raw\n")
    refused("'b.raw' is not beside it", lambda: read_array(tmp_path / "a.mhd"), FileError)
    (tmp_path / "a.mhd").write_text(f"{words}ElementDataFile = LIST\n")
    refused("one file of numbers", lambda: read_array(tmp_path / "a.mhd"), FileError)


def test_raw_numbers_are_as_many_as_they_are_said_to_be(tmp_path):
    path = tmp_path / "a.raw"
    path.write_bytes(b"head" + VOLUME.astype(">u2").tobytes(order="F"))
    header = {"type": "uint16", "size": [7, 6, 5], "byte_order": "big", "offset": 4}
    assert np.array_equal(read_array(path, raw=header).array, VOLUME)
    cell = {"shape": "image", "file": "a.raw", "labels": LABELS, "raw": header, "voxel": "1 um"}
    image = image_of(make_config({"cell": cell}, folder=tmp_path).cell, tmp_path)
    assert np.array_equal(image.phases, VOLUME // 2)
    refused("426 bytes.*It has 424", lambda: read_array(path, raw=header | {"offset": 6}), FileError)
    refused("212 bytes.*It has 424", lambda: read_array(path, raw=header | {"size": [26, 4]}), FileError)
    refused(r"raw.type = 'uint7'", lambda: read_array(path, raw=header | {"type": "uint7"}))
    refused(r"raw.size = \[7\]", lambda: read_array(path, raw=header | {"size": [7]}))
    refused(r"raw.size\[1\] = 0", lambda: read_array(path, raw=header | {"size": [7, 0, 3]}))
    refused("raw = 'colour'", lambda: read_array(path, raw=header | {"colour": 1}))
    refused("key raw", lambda: read_array(path), FileError)
    bad = cell | {"raw": header | {"type": "uint7"}}
    refused(r"cell\.raw\.type", lambda: image_of(make_config({"cell": bad}, folder=tmp_path).cell, tmp_path))


# ---- several arrays, pages, palettes ---------------------------------------------------------------------------------


def test_one_of_several_arrays_is_named(tmp_path):
    np.savez(tmp_path / "a.npz", labels=VOLUME, grey=VOLUME * 2.0)
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["scan/labels"], file["scan/grey"], file["note"] = VOLUME, VOLUME * 2.0, "words"
    grid = vtk_grid()
    grid.cell_data["grey"], grid.point_data["nodes"] = 2.0 * VOLUME.ravel(order="F"), np.arange(8 * 7 * 6)
    grid.save(tmp_path / "a.vti")
    for name, own in (("a.npz", "grey"), ("a.h5", "scan/grey"), ("a.vti", "grey")):
        assert np.array_equal(read_array(tmp_path / name, array=own).array, VOLUME * 2.0)
        refused("It has .*grey.*name one by the key array", lambda name=name: read_array(tmp_path / name), FileError)
        refused("array = 'graz'.*grey", lambda name=name: read_array(tmp_path / name, array="graz"))
    assert read_array(tmp_path / "a.vti", array="nodes").array.shape == (8, 7, 6)
    np.save(tmp_path / "a.npy", VOLUME)
    refused("array = 'x'.*absent for a.npy", lambda: read_array(tmp_path / "a.npy", array="x"))


def test_all_pages_of_a_tiff_file_count(tmp_path):
    path = tmp_path / "a.tif"
    pages = VOLUME.transpose(2, 1, 0)[:, ::-1]
    with tifffile.TiffWriter(path) as writer:
        for page in pages:
            writer.write(page)
    assert np.array_equal(read_array(path).array, VOLUME)
    with tifffile.TiffWriter(path) as writer:
        writer.write(pages[0])
        writer.write(pages[1, :3])
    refused(r"2 images of different kinds \(6x7, 3x7", lambda: read_array(path), FileError)
    for axes, kind in (("CYX", "channels"), ("TYX", "times")):
        tifffile.imwrite(path, pages, metadata={"axes": axes}, imagej=True)
        refused(f"5 pages are {kind} of one picture.*dimension = 3", lambda: read_array(path), FileError)
        assert np.array_equal(read_array(path, dimension=3).array, VOLUME)
    tifffile.imwrite(path, np.stack([pages, pages]), metadata={"axes": "TZYX"}, imagej=True)
    refused("2 or 3 axes.*TZYX", lambda: read_array(path, dimension=3), FileError)


def test_compressed_pages_are_read_whole(tmp_path):
    path = tmp_path / "a.tif"
    pages = [Picture.fromarray(page) for page in VOLUME.transpose(2, 1, 0)[:, ::-1]]
    for compression in ("tiff_lzw", "zstd", "packbits", "jpeg"):
        pages[0].save(path, save_all=True, append_images=pages[1:], compression=compression)
        found = read_array(path)
        assert bool(found.warnings) == (compression == "jpeg")
        assert np.array_equal(found.array, VOLUME) or compression == "jpeg"
        data = path.read_bytes()
        for share in (0.2, 0.5, 0.9, 0.97):
            path.write_bytes(data[: int(share * len(data))])
            refused(".", lambda: read_array(path), FileError)


def test_indices_of_a_palette_are_labels(tmp_path):
    for name in ("a.png", "a.bmp"):
        picture = Picture.fromarray(FLAT, mode="P")
        picture.putpalette([200, 10, 10, 10, 200, 10, 10, 10, 200, 90, 90, 0])
        picture.save(tmp_path / name)
        assert np.array_equal(read_array(tmp_path / name).array, FLAT[::-1].T)
        assert read_image(tmp_path / name, labels=LABELS).shape == (6, 7)
        refused("absent for an image with a palette",
                lambda name=name: read_image(tmp_path / name, thresholds=1, names=["a", "b"]))  # fmt: skip


def test_the_loss_of_a_jpeg_is_said_in_the_tensor(tmp_path):
    path = tmp_path / "a.jpg"
    Picture.fromarray(np.kron([[20, 230], [230, 230]], np.ones((8, 8))).astype(np.uint8)).save(path, quality=90)
    image = read_image(path, thresholds=128, names=["dark", "bright"])
    assert image.volume_fractions["dark"] == 0.25
    coefficients = {"dark": 1.0, "bright": 2.0}
    for tensor in (
        homogenize_image(image.mirrored(0), coefficients),
        homogenize_diffusion(image_cell(image), coefficients),
    ):
        assert len(tensor.warnings) == 1
        assert "JPEG" in tensor.warnings[0]
    assert read_image(CASES / "pal.png", labels={"x": 0, "y": 1}).warnings == ()


# ---- too large -------------------------------------------------------------------------------------------------------


def write_bomb(path):
    """A small file that says it holds 40,000 x 40,000 (x 40,000) numbers."""
    many = 40_000
    if path.suffix == ".png":

        def chunk(kind, data):
            return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

        head = struct.pack(">IIBBBBB", many, many, 8, 0, 0, 0, 0)
        path.write_bytes(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", b"") + chunk(b"IEND", b""))
    elif path.suffix == ".bmp":
        head = struct.pack("<2sIHHI", b"BM", 1078, 0, 0, 1078) + struct.pack(
            "<IiiHHIIiiII", 40, many, many, 1, 8, *[0] * 6
        )
        path.write_bytes(head + bytes(1024))
    elif path.suffix == ".tif":
        tifffile.imwrite(path, np.zeros((8, 8), np.uint8), metadata=None)
        data = bytearray(path.read_bytes())
        with tifffile.TiffFile(path) as file:
            places = [file.pages[0].tags[name].valueoffset for name in ("ImageWidth", "ImageLength", "RowsPerStrip")]
        for place in places:
            data[place : place + 2] = struct.pack("<H", many)
        path.write_bytes(bytes(data))
    elif path.suffix in (".npy", ".npz"):
        head = np.lib.format.header_data_from_array_1_0(np.zeros(1)) | {"shape": (many,) * 3}
        with path.open("wb") as stream:
            np.lib.format.write_array_header_1_0(stream, head)
        if path.suffix == ".npz":
            data = path.read_bytes()
            with zipfile.ZipFile(path, "w") as archive:
                archive.writestr("a.npy", data)
    elif path.suffix == ".h5":
        with h5py.File(path, "w") as file:
            file.create_dataset("a", shape=(many,) * 3, dtype="f8", chunks=(64, 64, 64))
    elif path.suffix == ".nrrd":
        path.write_bytes(b"NRRD0004\ntype: uchar\ndimension: 3\nsizes: 40000 40000 40000\nencoding: gzip\n\n")
    elif path.suffix == ".mha":
        path.write_bytes(META.replace("7 6 5", "40000 40000 40000").encode() + b"ElementDataFile = LOCAL\n")
    elif path.suffix == ".nii":
        nifti(path)
        data = bytearray(path.read_bytes())
        data[42:48] = struct.pack("<3h", 30000, 30000, 30000)
        path.write_bytes(bytes(data))
    elif path.suffix == ".vti":
        write_vti(path, "raw", False)
        path.write_bytes(path.read_bytes().replace(b"0 7 0 6 0 5", b"0 40000 0 40000 0 40000"))
    elif path.suffix == ".vtk":
        vtk_grid().save(path)
        path.write_bytes(path.read_bytes().replace(b"DIMENSIONS 8 7 6", b"DIMENSIONS 40000 40000 40000"))


def test_an_image_too_large_is_refused_by_its_header(tmp_path, monkeypatch):
    for ending in ("png", "bmp", "tif", "npy", "npz", "h5", "nrrd", "mha", "nii", "vti", "vtk", "raw"):
        path = tmp_path / f"a.{ending}"
        raw = {"type": "uint8", "size": [40_000, 40_000, 40_000]} if ending == "raw" else None
        path.write_bytes(b"")
        write_bomb(path)
        monkeypatch.setenv(VARIABLE, "2 GB")

        def read(path=path, raw=raw):
            return read_array(path, raw=raw)

        refused("fits into 2 GB of memory.*would take about.*HOMFEM_MEMORY", read, MemoryLimitError)
        monkeypatch.setenv(VARIABLE, "100000 TB")
        if ending in ("bmp", "nrrd", "mha", "raw"):  # what allocates nothing before it finds too little
            refused(".", read, FileError)


def test_numbers_that_swell_are_not_held(tmp_path):
    zeros = bytes(20_000_000)
    for encoding, data in (("gzip", gzip.compress(zeros)), ("bzip2", bz2.compress(zeros))):
        path = tmp_path / "a.nrrd"
        head = f"NRRD0004\ntype: uchar\ndimension: 3\nsizes: 7 6 5\nencoding: {encoding}\n\n"
        path.write_bytes(head.encode() + data)
        refused("compressed numbers are many more", lambda path=path: read_array(path), FileError)


def test_a_mesh_too_large_is_refused(monkeypatch):
    image = read_image(CASES / "cube.npy", labels={"p": 1, "s": 0}, voxel=1.0)
    monkeypatch.setenv(VARIABLE, "1 MB")
    refused(r"image = \(6, 6, 6\).*fits into 1 MB.*a mesh of about 1.3e[+]03 tetrahedra.*method 'grid'",
            lambda: image_cell(image), MemoryLimitError)  # fmt: skip
    assert image_cell(image, elements="voxel").number_of_cells == 216


def test_a_grid_too_fine_is_refused(monkeypatch):
    image = read_image(CASES / "cube.npy", labels={"p": 1, "s": 0}, voxel=1.0)
    refused("refine = 100000.*of memory: a grid of 2.16e[+]17 voxels",
            lambda: homogenize_image(image, {"p": 1.0}, refine=100_000), MemoryLimitError)  # fmt: skip
