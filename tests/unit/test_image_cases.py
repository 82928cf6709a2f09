"""The image cases of ``tests/cases``, through the command line: the right number, or one message and status 2."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest

from homfem.runs.shapes import make_cell

CASES = Path(__file__).parents[1] / "cases"
EFFECTIVE = '[effective]\nphysics = "diffusion"\nmethod = "grid"\n[effective.phases]\n'
ENDINGS = ["npy", "npz", "h5", "hdf5", "png", "bmp", "jpg", "jpeg", "tif", "tiff", "nrrd", "nhdr", "mha", "mhd"]
ENDINGS += ["nii", "nii.gz", "vti", "vtk"]


def tensor(homfem, config, *options):
    status, out, error = homfem("effective", config, "--json", "-", *options)
    assert status == 0, error
    return json.loads(out)


def test_the_size_of_a_voxel_in_the_file_is_used(homfem):
    own, given = (tensor(homfem, CASES / f"aniso_{name}.toml") for name in ("nrrd", "given"))
    assert np.diag(own["value"]) == pytest.approx([1.2964, 1.2964, 1.4651], abs=1e-4)
    assert own["value"] == pytest.approx(np.array(given["value"]), abs=1e-9)
    assert (own["length_unit"], given["length_unit"]) == ("unit of the file", "mm")
    status, _, error = homfem("effective", CASES / "aniso_nrrd.toml", "--set", "cell.voxel='1 um'")
    assert status == 2
    assert re.match(r"homfem: cell.voxel = .*absent, or what the file states: voxels of 0.5 x 0.5 x 2", error)


def test_a_volume_of_one_write_per_page_has_three_axes(homfem):
    value = np.array(tensor(homfem, CASES / "pagewise.toml")["value"])
    assert value.shape == (3, 3)
    # Layers along one axis: the mean along them, the harmonic mean across.
    assert value[2, 2] == pytest.approx(5.5)


def test_gaps_one_voxel_thin_are_said_of_the_file(homfem):
    status, _, error = homfem("effective", CASES / "pagewise.toml", "--set", "effective.phases={p='1 m^2/s'}")
    assert status == 2
    assert re.match(r"homfem: cell\.file = 'pagewise\.tif': it must be one whose passages", error), error


@pytest.mark.parametrize(("case", "words"), [("tif_0.6", "whole.*cut short"), ("trunc.vti", "whole.*cut short")])
def test_what_is_cut_short_is_refused(homfem, case, words):
    status, out, error = homfem("effective", CASES / f"{case}.toml")
    assert (status, out, error.count("\n")) == (2, "", 1)
    assert re.match(rf"homfem: cell\.file = '.*{words}", error), error


def test_whole_files_of_the_cases_are_read(homfem, tmp_path):
    lines = {
        "pal.png": "labels = { a = 0, b = 1 }\n",
        "vol.mha": "thresholds = [1]\nnames = ['a', 'b']\n",
        "bomb.png": "labels = { a = 0, b = 1 }\n",
    }
    found = {}
    for name, keys in lines.items():
        config = tmp_path / "config.toml"
        text = f"[cell]\nshape = 'image'\nfile = '{CASES / name}'\n{keys}{EFFECTIVE}a = '1 m^2/s'\nb = '10 m^2/s'\n"
        config.write_text(text)
        found[name] = homfem("effective", config, "--json", "-")
    assert [status for status, _, _ in found.values()] == [0, 0, 2]
    whole = tensor(homfem, CASES / "trunc.vti.toml", "--set", "cell.file=full.vti")
    assert whole["value"][0][0] == pytest.approx(3.100, abs=5e-4)
    assert re.match(r"homfem: cell\.file = .*GB of memory.*60000 x 60000", found["bomb.png"][2])


def test_random_bytes_under_every_ending_are_one_message(homfem, tmp_path):
    random = np.random.default_rng(7)
    config = tmp_path / "config.toml"
    for ending in ENDINGS:
        (tmp_path / f"a.{ending}").write_bytes(random.integers(0, 256, 3000, dtype=np.uint8).tobytes())
        text = f"[cell]\nshape = 'image'\nfile = 'a.{ending}'\nlabels = {{ a = 0, b = 1 }}\n{EFFECTIVE}a = '1 m^2/s'\n"
        for method in ("grid", "finite-element"):
            config.write_text(text.replace("grid", method))
            status, out, error = homfem("effective", config)
            assert (status, out, error.count("\n")) == (2, "", 1), error
            assert re.match(rf"homfem: cell\.file = '.*a\.{ending}': ", error), error


def refusals(comm, folder):
    """What each rank is told of random bytes, by ending."""
    from homfem.config import make_config
    from homfem.parameters import InputError

    told = {}
    for ending in ENDINGS:
        cell = {"shape": "image", "file": f"a.{ending}", "labels": {"a": 0, "b": 1}}
        try:
            make_cell(make_config({"cell": cell}, folder=folder).cell, comm, Path(folder))
        except InputError as error:
            told[ending] = comm.gather(str(error), root=0)
    return told


def test_random_bytes_are_refused_on_every_rank(on_ranks, tmp_path):
    for ending in ENDINGS:
        (tmp_path / f"a.{ending}").write_bytes(
            np.random.default_rng(8).integers(0, 256, 3000, dtype=np.uint8).tobytes()
        )
    (told,) = on_ranks(refusals, ranks=(2,), folder=str(tmp_path))
    assert list(told) == ENDINGS
    assert all(len(texts) == 2 and len(set(texts)) == 1 for texts in told.values())


def test_a_field_that_does_not_fit_names_its_phase(homfem, tmp_path):
    values = np.ones((6, 6, 6))
    values[0, 2, 1] = -3.0
    np.save(tmp_path / "field.npy", values)
    config = tmp_path / "config.toml"
    cell = f"[cell]\nshape = 'image'\nfile = '{CASES / 'cube.npy'}'\nlabels = {{ p = 1, s = 0 }}\nvoxel = '1 um'\n"
    config.write_text(f"{cell}{EFFECTIVE}s = {{ field = {{ file = 'field.npy', unit = 'm^2/s' }} }}\n")
    for method in ("grid", "finite-element"):
        status, out, error = homfem("effective", config, "--set", f"effective.method={method}")
        assert (status, out, error.count("\n")) == (2, "", 1)
        assert error.startswith("homfem: effective.phases.s[0, 2, 1] = -3.0: it must be a finite number > 0"), error
