"""Meshes that would not fit are refused before they are made; what is estimated is what is made."""

from __future__ import annotations

import resource
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from mpi4py import MPI

from homfem import cells
from homfem.cells.tiling import tiled
from homfem.cells.unitcell import UnitCell
from homfem.config.models.domains import parse_domain
from homfem.grid import Image
from homfem.limits import VARIABLE, MemoryLimitError
from homfem.meshing.arrays import budget
from homfem.meshing.by_gmsh.subprocess_mesher import run_limited
from homfem.meshing.shapes.three_pipe_gmsh import gmsh_three_pipe
from homfem.parameters import CellError
from homfem.random_media import Sphere, random_sequential_addition
from homfem.runs.domains import make_domain

SQUARE = """SetFactory("OpenCASCADE"); Rectangle(1) = {0, 0, 0, 2, 1}; Physical Surface("a") = {1};
Periodic Curve {2} = {4} Translate {2, 0, 0}; Periodic Curve {3} = {1} Translate {0, 1, 0};
"""
LABELS = (np.arange(216).reshape(6, 6, 6) % 5 == 0).astype(np.uint8)
IMAGE = Image.from_labels(LABELS, {"a": 0, "b": 1})


def gmsh_pipes(**options: Any) -> UnitCell:
    return UnitCell.from_raw(lambda: gmsh_three_pipe(**options), comm=MPI.COMM_WORLD)


def random_discs(**options: Any) -> UnitCell:
    medium = random_sequential_addition(Sphere(0.1), period=(1.0, 1.0), fraction=0.3, seed=1)
    return cells.medium_cell(medium, **options)


MAKERS: dict[str, Callable[[], UnitCell]] = {
    "boxes": lambda: cells.obstacles(0.5, resolution=0.1, period=[1.0, 7.0]),
    "graded boxes": lambda: cells.obstacles(0.5, dimension=3, resolution=0.3, grading=0.1),
    "blocks": lambda: cells.blocks(["LDDLD"] * 4, resolution=0.2),
    "thin layer": lambda: cells.laminate([0.001, 0.999]),
    "three pipes": lambda: cells.three_pipe([0.1, 0.2, 0.05], resolution=0.2),
    "three pipes by Gmsh": lambda: gmsh_pipes(edges=0.3, resolution=0.3),
    "round pipes": lambda: gmsh_pipes(edges=0.4, resolution=0.2, section="round"),
    "fibres": lambda: cells.fibre_array(fraction=0.4, resolution=0.05),
    "fine fibres": lambda: cells.fibre_array(fraction=0.4, resolution=0.2, refinement=4),
    "long fibres": lambda: cells.fibre_array(fraction=0.4, resolution=0.2, dimension=3, layers=12),
    "spheres": lambda: cells.sphere_array(fraction=0.3, resolution=0.25, refinement=1),
    "narrow gaps": lambda: cells.sphere_array(radius=0.45, resolution=0.3),
    "octants": lambda: cells.sphere_array(fraction=0.3, resolution=0.2, mirrors="auto"),
    "struts": lambda: cells.struts("cubic", thickness=0.3, resolution=0.2),
    "hexagonal": lambda: cells.hexagonal_myocyte(80.0, 16.0, 2.0, resolution=1 / 3),
    "voxels": lambda: cells.image_cell(IMAGE),
    "whole voxels": lambda: cells.image_cell(IMAGE, elements="voxel"),
    "random": lambda: random_discs(resolution=0.05, refinement=2),
    "periods": lambda: tiled(cells.obstacles(0.5, resolution=0.3), 3),
}


@pytest.mark.parametrize("name", MAKERS)
def test_what_is_estimated_is_what_is_made(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    seen: list[float] = []
    monkeypatch.setattr(budget, "require_memory", lambda name, value, needed, *rest: seen.append(needed))
    cell = MAKERS[name]()
    expected = np.array(seen) / budget.BYTES[cell.kind] / cell.number_of_cells
    assert 0.5 < expected[-1] < 5.0
    assert expected.max() < 5.0


def test_gmsh_fills_a_box_as_estimated(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "a.geo").write_text(SQUARE)
    seen: list[float] = []
    monkeypatch.setattr(budget, "require_memory", lambda name, value, needed, *rest: seen.append(needed))
    cell = cells.from_file(tmp_path / "a.geo", resolution=0.1, timeout=None)
    assert 0.5 < seen[-1] / budget.BYTES["triangle"] / cell.number_of_cells < 2.0


@pytest.mark.parametrize("shape", ["box", "cell-body"])
@pytest.mark.parametrize("size", [["0.03 mm", "20 um"], ["0.03 mm", "20 um", "16 um"]])
def test_domains_are_filled_as_estimated(monkeypatch: pytest.MonkeyPatch, shape: str, size: list[str]) -> None:
    seen: list[float] = []
    monkeypatch.setattr(budget, "require_memory", lambda name, value, needed, *rest: seen.append(needed))
    mesh = make_domain(
        parse_domain({"shape": shape, "size": size, "resolution": "0.0025 mm"}), MPI.COMM_SELF, Path()
    ).mesh
    d = len(size)
    count = mesh.topology.index_map(d).size_local
    assert 0.5 < seen[-1] / budget.BYTES["triangle" if d == 2 else "tetrahedron"] / count < 2.0
    assert np.ptp(mesh.geometry.x, axis=0)[:d] == pytest.approx([30.0, 20.0, 16.0][:d], rel=0.02)


@pytest.mark.parametrize(
    ("name", "make"),
    [
        ("resolution", lambda: cells.obstacles(0.5, resolution=1e-6)),
        ("resolution", lambda: cells.obstacles(0.5, resolution=1e-320)),
        ("resolution", lambda: cells.obstacles(0.5, period=[1.0, 1e12])),
        ("resolution", lambda: cells.obstacles(0.5, grading=1e-12, growth=1e-12)),
        ("resolution", lambda: cells.three_pipe(0.1, resolution=2e-3)),
        ("resolution", lambda: cells.three_pipe(0.1, resolution=2e-3, offsets=(0.1, 0.1, 0.1))),
        ("resolution", lambda: cells.three_pipe(0.1, resolution=1e-320)),
        ("resolution", lambda: gmsh_pipes(edges=0.1, resolution=2e-3)),
        ("resolution", lambda: gmsh_pipes(edges=1e-4, section="round")),
        ("resolution", lambda: cells.blocks(["LD"], resolution=1e-6)),
        ("resolution", lambda: cells.laminate([0.5, 0.5], resolution=1e-6)),
        ("resolution", lambda: cells.fibre_array(fraction=0.4, resolution=1e-6)),
        ("resolution", lambda: cells.fibre_array(fraction=0.4, resolution=1e-320)),
        ("resolution", lambda: cells.fibre_array(fraction=0.4, dimension=3, period=[1.0, 1.0, 1e9])),
        ("layers", lambda: cells.fibre_array(fraction=0.4, dimension=3, layers=10**9)),
        ("refinement", lambda: cells.sphere_array(fraction=0.3, refinement=11)),
        ("resolution", lambda: cells.sphere_array(fraction=0.3, resolution=1e-4, mirrors="auto")),
        ("resolution", lambda: cells.tpms("gyroid", resolution=1e-6)),
        ("resolution", lambda: cells.struts("cubic", thickness=0.3, resolution=1e-6)),
        ("resolution", lambda: cells.myocyte(resolution=1e-4)),
        ("resolution", lambda: cells.myocyte(length=1e12)),
        ("resolution", lambda: cells.hexagonal_myocyte(resolution=1e-5)),
        ("resolution", lambda: cells.hexagonal_myocyte(length=1e15)),
        ("resolution", lambda: random_discs(resolution=1e-6)),
        ("counts", lambda: tiled(cells.obstacles(0.5, resolution=0.3), 100_000)),
    ],
)
def test_slips_are_refused_at_once_and_named(
    monkeypatch: pytest.MonkeyPatch, name: str, make: Callable[[], UnitCell]
) -> None:
    monkeypatch.setenv(VARIABLE, "16 GB")
    before, start = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.process_time()
    with pytest.raises(MemoryLimitError, match=rf"^{name} = .*fits into 16 GB of memory.*HOMFEM_MEMORY"):
        make()
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 200_000  # kB
    assert time.process_time() - start < 5.0


def test_the_limit_can_be_raised(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, "100 kB")
    with pytest.raises(MemoryLimitError, match="resolution"):
        cells.obstacles(0.5, resolution=0.1)
    monkeypatch.setenv(VARIABLE, "100 MB")
    assert cells.obstacles(0.5, resolution=0.1).number_of_cells > 100


def test_a_mesher_has_no_more_memory_than_it_may(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, "1 GB")
    with pytest.raises(CellError, match=r"mesher = 'out of memory'.*1 GB of memory.*HOMFEM_MEMORY"):
        run_limited(bytearray, 2 * 10**9)
