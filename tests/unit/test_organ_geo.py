"""Domains of macroscale models that Gmsh draws: parameters, resolution, names, units of .geo and STEP files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from dolfinx import fem
from mpi4py import MPI

from homfem.config.models.domains import parse_domain
from homfem.macro.domain import Domain
from homfem.macro.domain_makers import read_domain
from homfem.meshing.by_gmsh.session import gmsh_session
from homfem.meshing.files.body import read_body
from homfem.parameters import FileError, InputError
from homfem.runs.domains import make_domain
from homfem.solve import integrate

# A slab of tissue with a scar; the translation that makes both ends alike is no period of a body.
ORGAN = """
DefineConstant[ wide = {2, Name "Organ/width"}, scar = 0.5 ];
SetFactory("OpenCASCADE");
Rectangle(1) = {0, 0, 0, wide, 1}; Rectangle(2) = {0, 0, 0, scar, 1};
BooleanFragments{ Surface{1, 2}; Delete; }{}
left() = Surface In BoundingBox {-.1, -.1, -.1, scar + .1, 1.1, .1};
rest() = Surface{:}; rest() -= left();
Physical Surface("scar") = {left()}; Physical Surface("muscle") = {rest()};
Physical Curve("base") = Curve In BoundingBox {-.1, -.1, -.1, 10, .1, .1};
Physical Curve("top") = Curve In BoundingBox {-.1, .9, -.1, 10, 1.1, .1};
Periodic Curve {Curve In BoundingBox {wide - .1, -.1, -.1, 10, 1.1, .1}} =
  {Curve In BoundingBox {-.1, -.1, -.1, .1, 1.1, .1}} Translate {wide, 0, 0};
"""


def organ(folder: Path, text: str = ORGAN) -> Path:
    (folder / "organ.geo").write_text(text)
    return folder / "organ.geo"


def length_of(domain: Domain, name: str) -> float:
    return float(integrate(fem.Constant(domain.mesh, 1.0) * domain.ds(name)))


def case_organ(comm: MPI.Comm, *, folder: str) -> dict[str, Any]:
    table = {"file": "organ.geo", "unit": "mm", "resolution": "200 um", "parameters": {"wide": 3.0, "scar": 1.0}}
    domain = make_domain(parse_domain(table), comm, Path(folder), "um")
    return {
        "volumes": dict(sorted(domain.volumes().items())),
        "lengths": {name: length_of(domain, name) for name in sorted(domain.boundaries)},
        "cells": domain.mesh.topology.index_map(2).size_global,
    }


def test_a_geo_file_is_a_domain_of_a_config(on_ranks, tmp_path: Path) -> None:
    organ(tmp_path)
    one, two = on_ranks(case_organ, ranks=(1, 2), folder=str(tmp_path))
    assert one["volumes"] == pytest.approx({"muscle": 2e6, "scar": 1e6}, rel=1e-9)
    assert one["lengths"] == pytest.approx({"base": 3e3, "top": 3e3}, rel=1e-9)
    assert two["volumes"] == pytest.approx(one["volumes"], rel=1e-12)
    assert two["lengths"] == pytest.approx(one["lengths"], rel=1e-12)
    assert one["cells"] == two["cells"]
    assert one["cells"] > 2.0 * 3.0 / 0.2**2  # no edge is longer than .2 mm


def case_refused(comm: MPI.Comm, *, folder: str, change: dict[str, Any]) -> dict[str, Any]:
    table = {"file": "organ.geo", "unit": "mm"} | change
    try:
        make_domain(parse_domain(table), comm, Path(folder), "um")
    except InputError as error:
        return {"name": error.name, "text": str(error)}
    return {}


@pytest.mark.parametrize(
    ("change", "name", "text"),
    [
        ({"parameters": {"wdie": 1.0}}, "parameters", "declares by DefineConstant"),
        ({"parameters": {"wide": "1 mm"}}, "parameters.wide", "without unit"),
        ({"regions": {"a": "scra"}}, "regions.a", "'scar'"),
        ({"boundaries": {"a": "base", "b": "base"}}, "boundaries.b", "that 'a' has"),
        ({"resolution": 0.1}, "resolution", "no unit"),
        ({"resolution": "1e-9 mm"}, "resolution", "memory"),
    ],
)
def test_what_does_not_fit_is_refused_on_all_ranks(on_ranks, tmp_path: Path, change, name, text) -> None:
    organ(tmp_path)
    for found in on_ranks(case_refused, ranks=(1, 2), folder=str(tmp_path), change=change):
        assert found["name"] == name
        assert text in found["text"]


def test_groups_are_renamed_as_those_of_a_mesh(tmp_path: Path) -> None:
    path = organ(tmp_path)
    body = read_body(path, regions={"all": ["scar", "muscle"]}, boundaries={"floor": "base"})
    assert (set(body.regions), set(body.boundaries)) == ({"all"}, {"floor"})
    assert (body.region_of_cell == body.regions["all"]).all()
    part = read_body(path, regions={"wound": 1})
    assert 0 < (part.region_of_cell == 0).sum() < len(part.region_of_cell)
    assert set(part.boundaries) == {"base", "top"}


def test_a_script_that_does_more_than_draw_needs_trust(tmp_path: Path) -> None:
    path = organ(tmp_path, ORGAN + f'Printf("x") > "{tmp_path}/said.txt";\n')
    with pytest.raises(FileError, match=r"line \d+ has Printf to a file.*trust = true"):
        read_domain(MPI.COMM_SELF, path, unit="mm")
    assert not (tmp_path / "said.txt").exists()
    assert read_domain(MPI.COMM_SELF, path, unit="mm", trust=True).volumes()["scar"] == pytest.approx(0.5)
    assert (tmp_path / "said.txt").exists()


def test_the_constant_resolution_of_a_file_is_set_by_the_resolution(tmp_path: Path) -> None:
    path = organ(tmp_path, f"DefineConstant[ resolution = 0.5 ];\n{ORGAN}Mesh.MeshSizeMax = resolution;\n")
    coarse, fine = (len(read_body(path, resolution=size).cells) for size in (None, 0.1))
    assert fine > 3 * coarse
    with pytest.raises(InputError, match="left out where a resolution is given"):
        read_body(path, resolution=0.1, parameters={"resolution": 0.2})


def test_a_step_file_keeps_its_size_and_need_not_be_periodic(tmp_path: Path) -> None:
    """A box with a tower on it, in millimetres: its flat sides have no partners."""
    with gmsh_session() as gmsh:
        occ = gmsh.model.occ
        occ.fuse([(3, occ.addBox(0, 0, 0, 2, 1, 1))], [(3, occ.addBox(0, 0, 1, 0.5, 1, 1))])
        occ.synchronize()
        gmsh.write(str(tmp_path / "organ.step"))
    table = {"file": "organ.step", "unit": "um", "resolution": "0.4 mm"}
    domain = make_domain(parse_domain(table), MPI.COMM_SELF, tmp_path, "cm")
    assert sum(domain.volumes().values()) == pytest.approx(2.5e-3, rel=1e-9)


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"resolution": "1 mm"}, "resolution = '1 mm'.*already made"),
        ({"parameters": {"wide": 1.0}}, "parameters = .*no constants"),
    ],
)
def test_a_mesh_that_is_made_takes_no_sizes(tmp_path: Path, change: dict[str, Any], named: str) -> None:
    with pytest.raises(InputError, match=named):
        parse_domain({"file": "organ.msh", "unit": "mm"} | change)
    words = {"resolution": 1.0} if "resolution" in change else change
    with pytest.raises(InputError, match="already made"):
        read_body(tmp_path / "organ.msh", **words)
