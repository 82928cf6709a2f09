"""Meshes of openCARP: what is read is what was written, in any spelling; what is wrong is told with file and line."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from mpi4py import MPI

from homfem._dolfinx import original_cell_index
from homfem.config.models.domains import FibresTable, parse_domain
from homfem.config.table import parse_table
from homfem.macro.domain_makers import read_domain
from homfem.macro.fibre_files import fibres_of_file
from homfem.meshing.files.body import read_body
from homfem.meshing.files.carp import outer_facets, read_axes, read_mesh, write_carp
from homfem.meshing.shapes.ventricles import Ventricle
from homfem.parameters import FileError, InputError
from homfem.runs.domains import make_domain, with_fibres

PTS = "5\n0 0 0\n1000 0 0\n0 1000 0\n0 0 1000\n1000 1000 1000\n"
ELEM = "2\nTt 0 1 2 3 1\nTt 1 2 3 4 7\n"
LON = "1\n1 0 0\n0 0.6 0.8\n"


def write(folder: Path, **change: str | None) -> Path:
    for suffix, text in ({"pts": PTS, "elem": ELEM, "lon": LON} | change).items():
        if text is not None:
            (folder / f"heart.{suffix}").write_bytes(text.encode())
    return folder / "heart.elem"


def heart() -> tuple[Any, np.ndarray, np.ndarray, np.ndarray]:
    body = Ventricle().mesh(3.0)
    middles = body.points[body.cells].mean(axis=1)
    fibre, sheet = Ventricle().axes(middles)
    fibre[middles[:, 2] > 4.0] = 0.0  # no fibres near the base
    sheet[middles[:, 2] > 4.0] = 0.0
    return body, fibre, sheet, np.where(middles[:, 0] > 0, 3, 12)


def test_what_is_written_is_read(tmp_path: Path) -> None:
    body, fibre, sheet, tags = heart()
    write_carp(tmp_path / "heart.pts", body.points, body.cells, regions=tags, fibre=fibre, sheet=sheet)
    points, cells, regions = read_mesh(tmp_path / "heart.elem")
    assert (points == body.points).all()
    assert (cells == body.cells).all()
    assert (regions == tags).all()
    axes = read_axes(tmp_path / "heart.lon")
    assert np.abs(axes[0] - fibre).max() < 1e-15
    assert np.abs(axes[1] - sheet).max() < 1e-15
    plain = tmp_path / "plain"
    write_carp(plain, body.points, body.cells)
    assert sorted(path.name for path in tmp_path.glob("plain*")) == ["plain.elem", "plain.pts"]
    assert (read_mesh(tmp_path / "plain.pts")[2] == 1).all()
    with pytest.raises(InputError, match="sheet"):
        write_carp(plain, body.points, body.cells, sheet=sheet)


def case_heart(comm: MPI.Comm, *, folder: str, table: dict[str, Any], fibres: dict[str, Any] | None) -> dict[str, Any]:
    domain = make_domain(parse_domain(table), comm, Path(folder), "mm")
    if fibres is not None:
        domain = with_fibres(domain, parse_table(FibresTable, fibres, "fibres"), Path(folder))
    owned = domain.mesh.topology.index_map(3).size_local
    axes = [f.x.array.reshape(-1, 3)[:owned] for f in (domain.fibres.fibre, domain.fibres.sheet) if f is not None]
    parts = comm.allgather((original_cell_index(domain.mesh)[:owned], np.hstack(axes)))
    numbers, rows = (np.concatenate([part[k] for part in parts]) for k in (0, 1))
    facets = {name: comm.allreduce(int((domain.facets(name) < domain.mesh.topology.index_map(2).size_local).sum()))
              for name in sorted(domain.boundaries)}  # fmt: skip
    return {
        "volumes": dict(sorted(domain.volumes().items())),
        "axes": rows[np.argsort(numbers)].tolist(),
        "facets": facets,
    }


@pytest.mark.mpi
def test_a_heart_of_a_config_has_its_regions_fibres_and_surfaces(on_ranks, tmp_path: Path) -> None:
    body, fibre, sheet, tags = heart()
    write_carp(tmp_path / "heart", 1e3 * body.points, body.cells, regions=tags, fibre=fibre, sheet=sheet)
    endo = body.facets[body.facet_tags == body.boundaries["endo"]]
    rows = "".join(f"Tr {a} {b} {c}\n" for a, b, c in endo.tolist())
    (tmp_path / "endo.surf").write_text(f"{len(endo)}\n{rows}")
    epi = np.unique(body.facets[body.facet_tags == body.boundaries["epi"]])
    (tmp_path / "epi.vtx").write_text("\n".join(map(str, [len(epi), "extra", *epi.tolist()])))
    table = {
        "file": "heart.elem",
        "regions": {"free": [3], "septum": 12},
        "boundaries": {"endo": "endo.surf", "epi": ["epi.vtx"]},
    }
    one, two = on_ranks(case_heart, ranks=(1, 2), folder=str(tmp_path), table=table, fibres=None)
    assert sum(one["volumes"].values()) == pytest.approx(Ventricle().volume, rel=0.015)
    assert set(one["volumes"]) == {"free", "septum"}
    counts = {name: int((body.facet_tags == body.boundaries[name]).sum()) for name in ("endo", "epi")}
    assert one["facets"] == counts
    assert np.array(one["axes"]) == pytest.approx(np.hstack([fibre, sheet]), abs=1e-12)
    assert two["volumes"] == pytest.approx(one["volumes"], rel=1e-12)
    assert (two["axes"], two["facets"]) == (one["axes"], one["facets"])
    # Other fibres of the same mesh, by a .lon file of their own; and coordinates in mm.
    write_carp(tmp_path / "round", body.points, body.cells, fibre=sheet)
    (other,) = on_ranks(
        case_heart, ranks=(1,), folder=str(tmp_path), table={"file": "heart.pts"}, fibres={"file": "round.lon"}
    )
    assert np.array(other["axes"]) == pytest.approx(sheet, abs=1e-12)
    assert set(other["volumes"]) == {"3", "12"}
    plain = read_domain(MPI.COMM_SELF, tmp_path / "round.pts", unit="mm")
    assert plain.volumes() == pytest.approx({"1": sum(one["volumes"].values())}, rel=1e-9)


@pytest.mark.parametrize(
    ("change", "same"),
    [
        ({"pts": PTS.replace("\n", "\r\n"), "elem": ELEM.replace(" ", "\t"), "lon": LON.replace("\n", " \n\n")}, True),
        ({"pts": PTS.replace("1000 ", "1e3  "), "lon": "  " + LON.rstrip()}, True),
        ({"elem": "2\nTt 0 1 2 3\nTt 1 2 3 4\n"}, False),
        ({"lon": "2\n1 0 0 0 1 0\n0 .6 .8 1 0 0"}, False),
    ],
)
def test_spellings_of_the_same_mesh(tmp_path: Path, change: dict[str, str], same: bool) -> None:
    body, expected = read_body(write(tmp_path, **change)), None
    write(tmp_path)
    expected = read_body(tmp_path / "heart.pts")
    assert (body.points == expected.points).all()
    assert (body.cells == expected.cells).all()
    assert body.directions["fibre"] == pytest.approx(expected.directions["fibre"])
    if same:
        assert dict(body.regions) == dict(expected.regions) == {"1": 1, "7": 2}
        assert body.region_of_cell.tolist() == [1, 2]


def test_a_flat_mesh_of_triangles_is_one_in_the_plane(tmp_path: Path) -> None:
    flat = "4\n0 0 5\n1e3 0 5\n0 1e3 5\n1e3 1e3 5\n"
    body = read_body(write(tmp_path, pts=flat, elem="2\nTr 0 1 2 4\nTr 1 3 2 4\n", lon="1\n1 0 0\n0 1 0\n"))
    assert body.points.shape == (4, 2)
    assert len(outer_facets(body.cells)) == 4
    assert read_domain(MPI.COMM_SELF, tmp_path / "heart.pts", unit="um", to="mm").volumes() == pytest.approx({"4": 1.0})


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"pts": None}, ["heart.pts", "existing file"]),
        ({"elem": ""}, ["heart.elem", "It is empty"]),
        ({"pts": PTS[2:]}, ["first line is the number of nodes", "line 1 is '0 0 0'"]),
        ({"pts": PTS.replace("5\n", "6\n", 1)}, ["heart.pts", "6 nodes", "It has 5: is it cut short"]),
        ({"pts": PTS.replace("5\n", "4\n", 1)}, ["heart.pts", "4 nodes", "line 6 is '1000 1000 1000'"]),
        ({"pts": PTS[:-10]}, ["heart.pts", "3 words in each line", "line 6 is '1000'"]),
        ({"pts": PTS.replace("0 1000 0", "0 x 0")}, ["heart.pts", "numbers", "line 4 is '0 x 0'"]),
        ({"pts": PTS.replace("0 1000 0", "0 nan 0")}, ["heart.pts", "finite", "line 4"]),
        ({"pts": PTS.replace("0 1000 0", "0 1e999 0")}, ["heart.pts", "finite", "line 4"]),
        ({"pts": PTS.replace("5\n", "6\n", 1) + "9 9 9\n"}, ["heart.pts", "line 7 is '9 9 9'", "1 nodes belong"]),
        ({"pts": "5\n" + "0 0 0\n" * 5}, ["heart.elem", "with a volume", "line 2"]),
        ({"elem": ELEM.replace("3 4 7", "3 5 7")}, ["heart.elem", "nodes 0 to 4", "line 3 is 'Tt 1 2 3 5 7'"]),
        ({"elem": ELEM.replace("0 1 2", "-1 1 2")}, ["heart.elem", "nodes 0 to 4", "line 2"]),
        ({"elem": ELEM.replace("1 2 3 4", "1 2 2 4")}, ["heart.elem", "line 3"]),
        ({"elem": ELEM.replace("1 2 3 4 7", "1 2 3 4.5 7")}, ["heart.elem", "whole numbers", "line 3"]),
        ({"elem": ELEM.replace("4 7", "4 9" + "9" * 30)}, ["heart.elem", "whole numbers", "line 3"]),
        ({"elem": ELEM.replace(" 7", "")}, ["heart.elem", "6 words in each line", "line 3 is 'Tt 1 2 3 4'"]),
        ({"elem": ELEM.replace("Tt 1 2 3 4", "Hx 1 2 3 4")}, ["heart.elem", "hexahedra", "line 3"]),
        ({"elem": ELEM.replace("Tt 1 2 3 4", "Ttt 1 2 3 4")}, ["heart.elem", "Tt", "line 3"]),
        ({"elem": ELEM.replace("Tt", "Pr")}, ["heart.elem", "prisms", "line 2"]),
        ({"elem": "2\n"}, ["heart.elem", "2 elements", "none"]),
        ({"elem": "0\n"}, ["heart.elem", "none"]),
        ({"elem": "two\n" + ELEM[2:]}, ["heart.elem", "number of elements", "line 1 is 'two'"]),
        ({"lon": LON + "1 0 0\n"}, ["heart.lon", "each of the 2 elements", "It has 3"]),
        ({"lon": LON[:-12]}, ["heart.lon", "each of the 2 elements", "It has 1"]),
        ({"lon": LON.replace("1\n", "3\n", 1)}, ["heart.lon", "1 (fibres) or 2", "line 1 is '3'"]),
        ({"lon": LON[2:]}, ["heart.lon", "1 (fibres) or 2", "line 1"]),
        ({"lon": LON.replace("1\n", "2\n", 1)}, ["heart.lon", "6 words", "line 2"]),
        ({"lon": LON.replace("0.6", "nan")}, ["heart.lon", "unit vectors", "line 3", "element 1"]),
        ({"lon": LON.replace("0.6", "6")}, ["heart.lon", "unit vectors", "line 3 is '0 6 0.8'"]),
        ({"lon": "2\n1 0 0 1 0 0\n0 .6 .8 1 0 0\n"}, ["heart.lon", "across the fibres", "line 2"]),
        ({"elem": "1\nTr 0 1 4 1\n", "pts": "5\n" + PTS[2:]}, ["belong to elements", "line 4"]),
    ],
)  # fmt: skip
def test_what_is_wrong_is_told_with_file_and_line(
    tmp_path: Path, change: dict[str, str | None], said: list[str]
) -> None:
    with pytest.raises(FileError) as caught:
        read_body(write(tmp_path, **change))
    assert all(text in str(caught.value) for text in said), str(caught.value)


def test_random_cuts_and_letters_are_refused_or_read(tmp_path: Path) -> None:
    """Whatever happens to a byte of a file, it is read as numbers that fit, or refused as a file."""
    rng = np.random.default_rng(4)
    texts = {"pts": PTS, "elem": ELEM, "lon": LON}
    refused = 0
    for _ in range(150):
        suffix = str(rng.choice(list(texts)))
        letters = bytearray(texts[suffix].encode())
        if rng.random() < 0.3:
            del letters[int(rng.integers(len(letters))) :]
        else:
            letters[int(rng.integers(len(letters)))] = int(rng.choice(list(b"0918 .-eTt\n\x00\xff#")))
        write(tmp_path)
        (tmp_path / f"heart.{suffix}").write_bytes(bytes(letters))
        try:
            body = read_body(tmp_path / "heart.elem")
        except InputError:
            refused += 1
            continue
        assert np.isfinite(body.points).all()
        assert len(body.directions["fibre"]) == len(body.cells) == 2
    assert refused > 50


@pytest.mark.parametrize(
    ("factor", "unit", "said"),
    [
        (1.0, "um", "bounding box 0 to 1000 x 0 to 1000 x 0 to 1000 um"),
        (1e-3, "um", "heart.elem is 1 um long"),
        (1e-3, "mm", "bounding box 0 to 1 x 0 to 1 x 0 to 1 mm"),
    ],
)
def test_the_bounding_box_is_told(tmp_path: Path, caplog: pytest.LogCaptureFixture, factor, unit, said) -> None:
    scaled = "\n".join(" ".join(str(float(x) * factor) for x in row.split()) for row in PTS.split("\n")[1:])
    with caplog.at_level(logging.INFO, logger="homfem"):
        read_body(write(tmp_path, pts=f"5\n{scaled}"), length_unit=unit)
    assert said in caplog.text
    warned = [record for record in caplog.records if record.levelno == logging.WARNING]
    assert len(warned) == (1 if "long" in said else 0)


@pytest.mark.parametrize(("scale", "unit", "said"), [("1000", "mm", ""), ("1500", "mm", "1.5"), ("1e9", "um", "1e+03")])
def test_a_heart_longer_than_a_metre_is_refused(tmp_path: Path, scale: str, unit: str, said: str) -> None:
    path = write(tmp_path, pts=PTS.replace("1000", scale))
    if not said:
        assert sum(read_domain(MPI.COMM_SELF, path, unit=unit, to="m").volumes().values()) == pytest.approx(0.5)
        return
    with pytest.raises(FileError) as caught:
        read_domain(MPI.COMM_SELF, path, unit=unit)
    assert f"at most 1 m; this one has {said} m" in str(caught.value)
    assert "are in um; say unit" in str(caught.value)


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"regions": {"scar": 2}}, r"regions\.scar = 2.*'1', '7'"),
        ({"regions": {"a": [1, 7], "b": 7}}, r"regions\.b = 7.*that 'a' has"),
        ({"boundaries": {"endo": "endo"}}, r"boundaries\.endo = 'endo'.*\.surf or \.vtx"),
        ({"boundaries": {"endo": "endo.surf"}}, r"endo\.surf.*existing file"),
        ({"resolution": 1.0}, r"resolution = 1\.0.*absent for a \.elem file"),
    ],
)
def test_what_the_files_do_not_have_is_refused(tmp_path: Path, change: dict[str, Any], named: str) -> None:
    with pytest.raises(InputError, match=named):
        read_body(write(tmp_path), **change)


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("a.surf", "2\nTr 0 1 2\n", "It has 1: is it cut short"),
        ("a.surf", "1\nTr 0 1 x\n", "line 2 is 'Tr 0 1 x'"),
        ("a.surf", "1\nTr 0 1 4\n", "facets of none"),
        ("a.vtx", "3\nextra\n0\n1\n9\n", "nodes 0 to 4; line 5 is '9'"),
        ("a.vtx", "3\nintra\n0\n1\n", "It has 2: is it cut short"),
    ],
)
def test_surfaces_that_are_none_are_refused(tmp_path: Path, name: str, text: str, said: str) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(InputError) as caught:
        read_body(write(tmp_path), boundaries={"a": name}).tags_of_sides()
    assert said in str(caught.value)


def test_tables_of_a_config(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"unit = \(missing\).*given: the unit"):
        parse_domain({"file": "heart.vtu"})
    assert parse_domain({"file": "heart.pts"}).coordinates == "um"
    assert parse_domain({"file": "heart.pts", "unit": "mm"}).coordinates == "mm"
    domain = read_domain(MPI.COMM_SELF, write(tmp_path), unit="um")
    with pytest.raises(InputError, match=r"name = 'f'.*absent for a \.lon file"):
        fibres_of_file(domain.mesh, tmp_path / "heart.lon", "f")
    (tmp_path / "short.lon").write_text("1\n1 0 0\n")
    with pytest.raises(FileError, match=r"short\.lon.*each of the 2 elements"):
        fibres_of_file(domain.mesh, tmp_path / "short.lon")
