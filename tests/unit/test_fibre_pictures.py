"""Fibres on pictures, and domains as arrays and as files of openCARP: the same on any number of ranks."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from dolfinx import mesh
from mpi4py import MPI

from homfem.macro.domain import Domain
from homfem.macro.domain_makers import read_domain, ventricle_domain
from homfem.macro.fibre_rules import ellipsoid_fibres
from homfem.macro.fibres import FibreFrame
from homfem.meshing.shapes.ventricles import Ventricle
from homfem.output.bodies import body_of, export_carp
from homfem.output.fibre_pictures import draw_fibres, fibre_scene, rise
from homfem.parameters import InputError

UP = np.array([0.0, 0.0, 1.0])


def test_the_rise_of_a_helix_has_its_angle_and_sign() -> None:
    angle, turn = np.radians(np.linspace(-89, 89, 13)), np.linspace(0, 6, 13)
    place = np.stack([np.cos(turn), np.sin(turn), turn], axis=1)
    fibre = np.stack([-np.sin(turn) * np.cos(angle), np.cos(turn) * np.cos(angle), np.sin(angle)], axis=1)
    for side in (1.0, -1.0):
        assert rise(side * fibre, place, UP) == pytest.approx(np.degrees(angle), abs=1e-12)


def test_strokes_lie_on_the_surface_along_the_fibres() -> None:
    heart = Ventricle()
    body = heart.mesh(2.0)
    fibre, _ = heart.axes(body.points[body.cells].mean(axis=1), 60.0, -60.0)
    scene = fibre_scene(body.points, body.cells, fibre, UP, strokes=600, cut=False)
    assert 300 < len(scene.streams) < 900
    ends = np.array([points for points, _ in scene.streams])
    middle, along = ends.mean(axis=1), ends[:, 1] - ends[:, 0]
    depth = heart.depth(middle)
    outside, inside = depth > 0.95, depth < 0.05
    assert (outside | inside | (middle[:, 2] > 4.9)).all()
    along /= np.linalg.norm(along, axis=1)[:, None]
    exact, _ = heart.axes(middle, 60.0, -60.0)
    assert np.abs(np.einsum("ij,ij->i", along, exact))[middle[:, 2] > -12].min() > 0.8
    values = np.array([value[0] for _, value in scene.streams])
    wall = np.abs(middle[:, 2]) < 4.0
    # Those of the cells at the surface, whose middles lie a quarter of the wall inside.
    assert -45 < values[outside & wall].mean() < -20
    assert 20 < values[inside & wall].mean() < 45


def test_a_quarter_is_cut_away_and_the_section_has_strokes() -> None:
    heart = Ventricle()
    body = heart.mesh(2.0)
    fibre, _ = heart.axes(body.points[body.cells].mean(axis=1))
    fibre[body.points[body.cells].mean(axis=1)[:, 2] < -10] = 0.0  # no fibres there: no strokes
    scene = fibre_scene(body.points, body.cells, fibre, UP, strokes=900, cut=True)
    middle = np.array([points.mean(axis=0) for points, _ in scene.streams])
    assert not ((middle[:, 0] > 1.0) & (middle[:, 1] < -1.0)).any()
    assert ((np.abs(middle[:, 0]) < 0.5) & (np.abs(middle[:, 1]) > 7.5) & (np.abs(middle[:, 1]) < 9.5)).sum() > 3
    assert middle[:, 2].min() > -12.0


@pytest.mark.parametrize("engine", [None, "matplotlib"])
def test_a_picture_is_drawn(tmp_path: Path, engine: str | None) -> None:
    from homfem.output.views import CellView

    heart = ventricle_domain(MPI.COMM_SELF, Ventricle(), resolution=3.0)
    with pytest.raises(InputError, match="with fibres"):
        draw_fibres(heart, tmp_path / "a.png")
    heart = heart.with_fibres(ellipsoid_fibres(heart))
    draw_fibres(heart, tmp_path / "a.png", strokes=300, view=CellView(engine=engine, size=(500, 400)))
    assert (tmp_path / "a.png").read_bytes().startswith(b"\x89PNG")
    with pytest.raises(InputError, match="axis"):
        draw_fibres(heart, tmp_path / "a.png", axis=(0, 0, 0))


def case_body(comm: MPI.Comm, *, folder: str) -> dict[str, Any]:
    heart = ventricle_domain(comm, Ventricle(), resolution=3.0)
    heart = heart.with_fibres(ellipsoid_fibres(heart))
    export_carp(heart, Path(folder) / f"heart{comm.size}")
    comm.Barrier()
    again = read_domain(comm, Path(folder) / f"heart{comm.size}.pts", unit="um", to="mm")
    body, other = body_of(heart), body_of(again)
    if body is None or other is None:
        return {}
    return {
        "points": body.points.tolist(),
        "cells": body.cells.tolist(),
        "apart": float(np.abs(body.points - other.points).max()),
        "same": bool((body.cells == other.cells).all()),
        "fibres": float(max(np.abs(body.directions[n] - other.directions[n]).max() for n in ("fibre", "sheet"))),
    }


@pytest.mark.mpi
def test_a_domain_is_the_same_as_arrays_and_in_files_of_any_ranks(on_ranks, tmp_path: Path) -> None:
    one, two = on_ranks(case_body, ranks=(1, 2), folder=str(tmp_path))
    body = Ventricle().mesh(3.0)
    assert (one["cells"], two["cells"]) == (body.cells.tolist(), body.cells.tolist())
    for found in (one, two):
        assert np.array(found["points"]) == pytest.approx(body.points, abs=1e-12)
        assert found["apart"] < 1e-12
        assert found["same"]
        assert found["fibres"] < 1e-14
    assert (tmp_path / "heart1.elem").read_text() == (tmp_path / "heart2.elem").read_text()


def test_flat_domains_and_constant_and_nodal_axes_are_written(tmp_path: Path) -> None:
    square = mesh.create_unit_square(MPI.COMM_SELF, 2, 2)
    domain = Domain(mesh=square, unit="mm").with_regions({"a": lambda x: x[0] < 0.5, "b": lambda x: x[0] > 0.5})
    export_carp(domain.with_fibres(FibreFrame.constant(square, [3, 4])), tmp_path / "flat")
    again = read_domain(MPI.COMM_SELF, tmp_path / "flat.elem", unit="um", to="mm")
    assert again.volumes() == pytest.approx({"1": 0.5, "2": 0.5})
    assert again.fibres.fibre.x.array.reshape(-1, 2) == pytest.approx(np.tile([0.6, 0.8], (8, 1)))
    body = body_of(domain)
    left = body.points[body.cells].mean(axis=1)[:, 0] < 0.5
    assert (left == (body.region_of_cell == body.regions["a"])).all()
    nodal = FibreFrame.of_nodes(square, lambda x: np.array([np.cos(x[0]), np.sin(x[0])]))
    vectors = body_of(domain.with_fibres(nodal)).directions["fibre"]
    assert np.linalg.norm(vectors, axis=1) == pytest.approx(1.0)
    boxes = mesh.create_unit_square(MPI.COMM_SELF, 2, 2, mesh.CellType.quadrilateral)
    with pytest.raises(InputError, match="straight simplices"):
        body_of(Domain(mesh=boxes, unit="mm"))
