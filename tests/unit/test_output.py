"""Field files and figures: what is written is read back; cuts have the exact area; figures show the field."""

from __future__ import annotations

import re

import numpy as np
import pytest
from dolfinx import fem, mesh
from mpi4py import MPI

from homfem.macro.march import march
from homfem.output import canvas
from homfem.output.cuts import boundary, clip, outline, section, vertex_normals
from homfem.output.fields import FieldSeries
from homfem.output.observers import Fields, Record
from homfem.output.views import SeriesView
from homfem.output.waves import FieldRecord, draw_series, nice_length
from homfem.parameters import FileError, InputError
from homfem.timestepping import TimeGrid
from polynomial_fields import Polynomials
from read_files import read_vtx


def _cube(cells: int = 3):
    record = FieldRecord()
    domain = mesh.create_unit_cube(MPI.COMM_SELF, cells, cells, cells)
    record.add(_function(domain), 0.0)
    return record


def _function(domain, name="f", element=("Lagrange", 1), formula=lambda x: x[0] + 2 * x[1]):
    function = fem.Function(fem.functionspace(domain, element), name=name)
    function.interpolate(formula)
    return function


def _areas(points, triangles):
    a, b, c = (points[triangles[:, k]] for k in range(3))
    return 0.5 * np.cross(b - a, c - a)


def _at(edges, weights, values):
    w = weights.reshape(-1, *([1] * (values.ndim - 1)))
    return (1 - w) * values[edges[:, 0]] + w * values[edges[:, 1]]


@pytest.mark.parametrize(
    ("origin", "normal", "area"),
    [
        ((0.5, 0.5, 0.4), (0, 0, 1), 1.0),
        ((0.5, 0.5, 0.5), (0, 2, 0), 1.0),
        ((0.5, 0.5, 0.5), (1, -1, 0), np.sqrt(2)),
        ((0.5, 0.5, 0.5), (1, 1, 1), 3 * np.sqrt(3) / 4),
        ((0.1, 0.0, 0.0), (1, 1, 1), np.sqrt(3) / 2 * 0.01),
        ((2.0, 0.0, 0.0), (1, 0, 0), 0.0),
    ],
)
def test_section_of_a_cube_has_the_exact_area(origin, normal, area):
    record = _cube()
    triangles, edges, weights = section(record.points, record.cells, np.array(origin, float), np.array(normal, float))
    points = _at(edges, weights, record.points)
    assert np.linalg.norm(_areas(points, triangles), axis=1).sum() == pytest.approx(area, abs=1e-12)
    assert (points - origin) @ normal == pytest.approx(0.0, abs=1e-12)
    assert np.all((weights >= 0) & (weights <= 1))
    assert _at(edges, weights, record.values[0]) == pytest.approx(points[:, 0] + 2 * points[:, 1])


def test_boundary_of_a_cube_points_outward():
    record = _cube()
    faces = boundary(record.points, record.cells)
    areas = _areas(record.points, faces)
    assert np.linalg.norm(areas, axis=1).sum() == pytest.approx(6.0)
    centres = record.points[faces].mean(axis=1)
    assert np.einsum("ij,ij->", centres, areas) == pytest.approx(3.0)  # three times the volume
    top = np.isclose(record.points, [0.5, 0.5, 1.0], atol=0.2).all(axis=1)
    assert vertex_normals(record.points, faces)[top] == pytest.approx(np.tile([0.0, 0.0, 1.0], (top.sum(), 1)))


@pytest.mark.parametrize("height", [0.5, 0.4, 1.0 / 3.0, -1.0, 2.0])
def test_clipped_boundary_has_the_exact_area(height):
    record = _cube()
    triangles, edges, weights = clip(boundary(record.points, record.cells), record.points[:, 2] - height)
    points = _at(edges, weights, record.points)
    inside = np.clip(1.0 - height, 0.0, 1.0)
    exact = 4 * inside + (height <= 1.0) + (height < 0.0)
    assert np.linalg.norm(_areas(points, triangles), axis=1).sum() == pytest.approx(exact)
    assert height > 1.0 or points[:, 2].min() >= height - 1e-12


def test_outline_of_a_square_is_its_rim():
    triangles = np.array([[0, 1, 2], [1, 3, 2]])
    assert sorted(map(tuple, outline(triangles))) == [(0, 1), (0, 2), (1, 3), (2, 3)]


@pytest.mark.parametrize(("target", "length"), [(1.0, 1.0), (10.5, 10.0), (4.9, 2.0), (0.07, 0.05), (99.0, 50.0)])
def test_scale_bars_have_round_lengths(target, length):
    assert nice_length(target) == pytest.approx(length)


def _shown(path) -> np.ndarray:
    from matplotlib.image import imread

    return imread(path)[..., :3]


@pytest.mark.parametrize("style", ["section", "body"])
def test_figure_of_a_body_shows_the_field(tmp_path, style):
    """A field of x that grows from panel to panel on one scale: the third panel is brighter, its right side most."""
    domain = mesh.create_unit_cube(MPI.COMM_SELF, 4, 4, 4)
    record = FieldRecord()
    for time in (0.0, 1.0, 2.0):
        record.add(_function(domain, formula=lambda x, t=time: t * x[0]), time)
    path = tmp_path / "a.png"
    draw_series(record, path, view=SeriesView(label="c (uM)", style=style, colormap="inferno"))
    image = _shown(path).sum(axis=2)
    rows, columns = image.shape
    panels = [image[rows // 2, int(columns * 0.88 * k / 3) : int(columns * 0.88 * (k + 1) / 3)] for k in range(3)]
    inner = [panel[len(panel) // 4 : -len(panel) // 4] for panel in panels]
    assert inner[0].max() < 0.4  # dark everywhere
    left, right = inner[2][: len(inner[2]) // 3].mean(), inner[2][-len(inner[2]) // 3 :].mean()
    assert right > left + 0.5
    assert inner[1].mean() < inner[2].mean() - 0.1


def test_figure_of_a_plane_mesh_and_chosen_times(tmp_path):
    domain = mesh.create_unit_square(MPI.COMM_SELF, 3, 3)
    record = FieldRecord()
    for time in np.linspace(0, 1, 11):
        record.add(_function(domain, formula=lambda x: 0 * x[0] + 1.0), time)
    draw_series(record, tmp_path / "a.png", view=SeriesView(label="c", columns=2), times=[0.0, 0.52])
    wide = _shown(tmp_path / "a.png").shape
    draw_series(record, tmp_path / "b.png", view=SeriesView(label="c", columns=2), times=[0.0])
    assert wide[1] > 1.5 * _shown(tmp_path / "b.png").shape[1]


def case_record(comm):
    record = FieldRecord()
    record.add(_function(mesh.create_unit_cube(comm, 3, 3, 3)), 0.0)
    if comm.rank != 0:
        assert record.points.size == 0
        return {}
    triangles, edges, weights = section(record.points, record.cells, np.full(3, 0.45), np.array([0.0, 0.0, 1.0]))
    points = _at(edges, weights, record.points)
    field = _at(edges, weights, record.values[0])
    area = float(np.linalg.norm(_areas(points, triangles), axis=1).sum())
    return {
        "cells": len(record.cells),
        "area": area,
        "error": float(np.abs(field - points[:, 0] - 2 * points[:, 1]).max()),
    }


@pytest.mark.mpi
def test_record_is_whole_on_rank_0(on_ranks):
    for answer in on_ranks(case_record):
        assert answer["cells"] == 162
        assert answer["area"] == pytest.approx(1.0)
        assert answer["error"] < 1e-12


@pytest.mark.parametrize(("number", "lines"), [(3, 3), (12, 12)])
def test_fields_on_an_interval_are_lines_over_the_place(tmp_path, monkeypatch, number, lines):
    """Few have their times in a legend, many a colour bar; a line has the values in the order of the places."""
    kept, save = [], canvas.save
    monkeypatch.setattr(canvas, "save", lambda figure, path: (kept.append(figure), save(figure, path)))
    record, domain = FieldRecord(), mesh.create_interval(MPI.COMM_SELF, 7, [0.0, 2.0])
    for time in range(number):
        record.add(_function(domain, formula=lambda x, time=time: x[0] * (time + 1)), float(time))
    draw_series(record, tmp_path / "a.png", view=SeriesView(label="c (uM)", time_unit="ms", front=0.5))
    assert (tmp_path / "a.png").read_bytes().startswith(b"\x89PNG")
    axes = kept[0].axes[0]
    drawn = [line.get_xydata() for line in axes.get_lines() if len(line.get_xdata()) > 2]
    assert len(drawn) == lines
    for time, line in enumerate(drawn):
        assert np.all(np.diff(line[:, 0]) > 0.0)
        assert line[:, 1] == pytest.approx(line[:, 0] * (time + 1), abs=1e-12)
    words = [text.get_text() for text in canvas.words_of(kept[0])]
    assert {"x (µm)", "c (µM)"} <= set(words)
    assert ("2 ms" in words) == (number == 3)
    assert ("time (ms)" in words) == (number == 12)


def test_bad_figures_are_refused(tmp_path):
    record = _cube()
    with pytest.raises(InputError, match="record"):
        draw_series(FieldRecord(), tmp_path / "a.png", view=SeriesView(label="c"))
    with pytest.raises(InputError, match="style"):
        SeriesView(label="c", style="bodi")
    with pytest.raises(InputError, match="normal"):
        draw_series(record, tmp_path / "a.png", view=SeriesView(label="c", normal=(0, 0, 0)))
    with pytest.raises(FileError, match="existing directory"):
        draw_series(record, tmp_path / "b" / "a.png", view=SeriesView(label="c"))
    with pytest.raises(InputError, match="continuous Lagrange function on intervals, triangles or tetrahedra"):
        FieldRecord().add(_function(mesh.create_unit_cube(MPI.COMM_SELF, 1, 1, 1), element=("DG", 1)), 0.0)


def case_kept(comm):
    model = Polynomials(comm, ("p2", "v"))
    kept = [Record("p2"), Record("v", every=3, name="speed")]
    march(model, TimeGrid(end=2.0, step=0.5), observers=kept)
    return {
        kind.field: {
            "points": kind.record.points.tolist(),
            "values": [values.tolist() for values in kind.record.values],
            "times": kind.record.times,
            "volume": float(np.abs(np.linalg.det(np.diff(kind.record.points[kind.record.cells], axis=1))).sum())
            if comm.rank == 0
            else 0.0,
        }
        for kind in kept
    }


@pytest.mark.mpi
def test_records_of_quadratic_fields_and_vectors_are_in_one_order_on_any_ranks(on_ranks):
    """Of the vector its length, of the quadratic field the values at the vertices; times 1 + t."""
    answers = on_ranks(case_kept)
    formulas = Polynomials(MPI.COMM_SELF, ("p2", "v")).formulas
    for answer in answers:
        assert answer["p2"]["times"] == [0.0, 0.5, 1.0, 1.5, 2.0]
        assert answer["v"]["times"] == [0.0, 1.5, 2.0]
        for field, kept in answer.items():
            points = np.array(kept["points"])
            assert points == pytest.approx(np.array(answers[0]["p2"]["points"]), abs=1e-12)
            assert kept["volume"] == pytest.approx(2.0 * 6)
            exact = formulas[field](points.T)
            exact = np.linalg.norm(exact, axis=0) if field == "v" else exact
            for time, values in zip(kept["times"], kept["values"], strict=True):
                assert values == pytest.approx((1 + time) * exact, abs=1e-12)


def test_fields_of_several_spaces_go_to_a_file_each(tmp_path):
    model = Polynomials(MPI.COMM_SELF, ("p2", "v", "half"))
    grid = TimeGrid(end=2.0, step=0.5)
    march(model, grid, observers=[Fields(tmp_path, "bp", every=2)])
    assert sorted(path.name for path in tmp_path.iterdir()) == ["fields-half.bp", "fields-v.bp", "fields.bp"]
    points, last, time = read_vtx(tmp_path / "fields-half.bp", "geometry", "half", "step", step=2)
    assert set(time.ravel()) == {2.0}
    assert last.ravel() == pytest.approx(3 * (3 - points[:, 0]))
    assert len(points) == 4 * 48
    march(Polynomials(MPI.COMM_SELF, ("v", "edge")), grid, observers=[Fields(tmp_path, fields=["v"], name="v")])
    assert (tmp_path / "v.xdmf").read_text().count("Time Value=") == 5
    with pytest.raises(InputError, match=r"Lagrange functions, continuous or not.*interpolate"):
        march(Polynomials(MPI.COMM_SELF, ("edge",)), grid, observers=[Fields(tmp_path, "bp")])


def read_vtu(path, name):
    """The points of a file, and a field at them, as VTK reads it."""
    import vtk
    from vtkmodules.util.numpy_support import vtk_to_numpy

    reader = vtk.vtkXMLUnstructuredGridReader()
    reader.SetFileName(str(path))
    reader.Update()
    grid = reader.GetOutput()
    assert grid.GetNumberOfCells() > 0
    return vtk_to_numpy(grid.GetPoints().GetData()), vtk_to_numpy(grid.GetPointData().GetArray(name))


def case_vtu(comm, folder):
    march(Polynomials(comm, ("p2", "v")), TimeGrid(end=1.0, step=0.5), observers=[Fields(folder, "pvd", every=2)])


@pytest.mark.mpi
def test_vtu_files_hold_the_polynomials_on_any_ranks(on_ranks, tmp_path):
    """A collection for each space; the pieces of all ranks together have every point, at the start and at the end."""
    formulas = Polynomials(MPI.COMM_SELF, ("p2", "v")).formulas
    for ranks in (1, 2):
        folder = tmp_path / str(ranks)
        folder.mkdir()
        on_ranks(case_vtu, ranks=(ranks,), folder=str(folder))
        assert sorted(path.name for path in folder.glob("*.pvd")) == ["fields-v.pvd", "fields.pvd"]
        assert re.findall(r'timestep="([\d.]+)"', (folder / "fields.pvd").read_text()) == ["0", "1"]
        for name, collection in (("p2", "fields"), ("v", "fields-v")):
            paths = sorted(folder.glob(f"{collection}_p*_000001.vtu"))
            assert len(paths) == ranks
            pieces = [read_vtu(path, name) for path in paths]
            points, values = (np.concatenate(part) for part in zip(*pieces, strict=True))
            assert np.ptp(points, axis=0) == pytest.approx([2.0, 1.0, 1.0])
            exact = np.asarray(formulas[name](points.T)).T
            assert values.reshape(len(points), -1) == pytest.approx(2.0 * exact.reshape(len(points), -1), abs=1e-12)


def case_series(comm, path):
    domain = mesh.create_unit_square(comm, 4, 4)
    c, e = _function(domain, "cytosol"), _function(domain, "er", formula=lambda x: np.rint(4 * x[0] + 8 * x[1]))
    with FieldSeries(path, [c, e]) as series:
        for time in (0.0, 0.5, 1.5):
            c.interpolate(lambda x, t=time: np.rint(4 * x[0]) + t)
            series.write(time)
    return {}


@pytest.mark.mpi
def test_vtx_has_every_time_and_the_values(on_ranks, tmp_path):
    """Read back with ADIOS2 itself: each step, each field, at the places where it is."""
    path = tmp_path / "wave.bp"
    for ranks in (2, 1):
        on_ranks(case_series, ranks=(ranks,), path=str(path))
        steps = [read_vtx(path, "geometry", "cytosol", "er", "step", step=k) for k in range(3)]
        for (points, cytosol, er, time), expected in zip(steps, (0.0, 0.5, 1.5), strict=True):
            x, y = np.rint(4 * points[:, 0]), np.rint(8 * points[:, 1])
            assert len(np.unique(points.round(9), axis=0)) == 25
            assert set(time.ravel()) == {expected}
            assert np.array_equal(cytosol.ravel(), x + expected)
            assert np.array_equal(er.ravel(), x + y)


def test_bad_field_files_are_refused(tmp_path):
    domain = mesh.create_unit_square(MPI.COMM_SELF, 2, 2)
    c, d, q = _function(domain, "c"), _function(domain, "c"), _function(domain, "q", ("Lagrange", 2))
    for path, functions, error, message in (
        ("a.xdmf", [c, d], InputError, "different names"),
        ("a.bp", [c, q], InputError, "one space"),
        ("a.vtk", [c], FileError, "xdmf, .bp or .pvd"),
        ("b/a.xdmf", [c], FileError, "folder"),
        ("a.xdmf", [], InputError, "at least one"),
    ):
        with pytest.raises(error, match=message):
            FieldSeries(tmp_path / path, functions)
    with FieldSeries(tmp_path / "a.xdmf", [c]) as series, pytest.raises(InputError, match="time"):
        series.write(float("nan"))
    with pytest.raises(InputError, match="closed"):
        series.write(1.0)
