"""Probes against polynomials: points in cells, on facets and nodes, regions, vectors, parts of the mesh; files."""

from __future__ import annotations

import csv

import h5py
import numpy as np
import pytest
from dolfinx import fem, mesh
from mpi4py import MPI

from homfem.macro.march import march
from homfem.macro.places import extent
from homfem.macro.probes import Probes
from homfem.parameters import InputError
from homfem.timestepping import TimeGrid
from polynomial_fields import Polynomials

# In a cell, on facets and edges between cells, nodes, corners, off the mesh by round-off.
POINTS = {
    "in": (0.13, 0.21, 0.34), "facet": (0.5, 0.3, 0.4), "node": (1.5, 0.5, 0.5),
    "corner": (2.0, 1.0, 1.0), "round": (2.0 + 1e-13, 0.3, -1e-14), "edge": (0.25, 0.0, 0.0),
}  # fmt: skip
TIMES = [0.0, 0.5, 1.0]


def case_points(comm, path):
    model = Polynomials(comm)
    probes = Probes(POINTS, path=path)
    march(model, TimeGrid(end=1.0, step=0.5), observers=[probes])
    values = {
        f"{name} {point}": comm.allgather(probes.values(point, name).tolist())
        for name in model.functions
        for point in POINTS
        if name != "half" or POINTS[point][0] <= 1.0
    }
    jump = fem.Function(fem.functionspace(model.mesh, ("DG", 0)), name="jump")
    jump.interpolate(lambda x: x[0] + 10 * x[1] + 100 * x[2])
    model.functions = {"jump": jump}
    sides = Probes(POINTS, name="sides")
    march(model, TimeGrid(end=1.0, step=0.5), observers=[sides])
    return {
        "sides": [sides.values(point, "jump").tolist() for point in POINTS],
        "values": values,
        "columns": [column.label for column in probes.columns],
        "times": probes.times.tolist(),
    }


@pytest.mark.mpi
def test_values_at_points_are_those_of_the_polynomial_on_any_ranks(on_ranks, tmp_path):
    """N1curl of degree 1 holds rigid rotations; a field on a part of the mesh has no columns elsewhere."""
    formulas = Polynomials(MPI.COMM_SELF).formulas
    answers = on_ranks(case_points, path=str(tmp_path / "probes"))
    for answer in answers:
        assert np.array(answer["sides"]) == pytest.approx(np.array(answers[0]["sides"]), rel=1e-12)  # of the same cell
        assert answer["times"] == TIMES
        assert len(answer["columns"]) == 6 + 18 + 18 + 3
        assert answer["columns"][:2] == ["in: p2 (uM)", "facet: p2 (uM)"]
        assert "in: v[2] (um/s)" in answer["columns"]
        for name, everyones in answer["values"].items():
            field, point = name.split()
            exact = np.asarray(formulas[field](np.array(POINTS[point])))
            for values in everyones:
                assert values == pytest.approx(np.multiply.outer([1.0, 1.5, 2.0], exact), abs=1e-12), name


def case_regions(comm):
    regions = {"left": lambda x: x[0] < 1.0, "top": lambda x: x[2] > 0.5}
    for k in range(4):
        regions[f"slice{k}"] = lambda x, k=k: (x[0] > 0.5 * k) & (x[0] < 0.5 * (k + 1))
    probes = Probes(regions=regions, fields=["p2", "v", "half"])
    march(Polynomials(comm), TimeGrid(end=0.5, step=0.5), observers=[probes])
    return {
        "values": {
            f"{c.probe} {c.field} {c.statistic}": probes.values(c.probe, c.field, c.statistic)[1].tolist()
            for c in probes.columns
        },
        "units": {c.statistic: c.unit for c in probes.columns if c.field == "p2"},
    }


@pytest.mark.mpi
def test_statistics_of_regions_are_exact_on_any_ranks(on_ranks):
    """x^2 - yz over [0, 1]^3 and [0, 2] x [0, 1] x [.5, 1]; the vector (x, 2y, z - x); all times 1.5."""
    exact = {
        "left p2 integral": 1 / 3 - 1 / 4, "left p2 mean": 1 / 3 - 1 / 4, "left p2 maximum": 1.0,
        "left p2 minimum": -1.0, "top p2 integral": 8 / 6 - 3 / 8, "top p2 mean": 4 / 3 - 3 / 8,
        "top p2 maximum": 4.0, "top p2 minimum": -1.0,
        "left v integral": [0.5, 1.0, 0.0], "top v mean": [1.0, 1.0, -0.25], "top v minimum": [0.0, 0.0, -1.5],
        "left v maximum": [1.0, 2.0, 1.0], "left half mean": 2.5, "left half minimum": 2.0,
        "top half integral": 1.25, "top half maximum": 3.0,
    }  # fmt: skip
    for answer in on_ranks(case_regions):
        assert answer["units"] == {"mean": "uM", "minimum": "uM", "maximum": "uM", "integral": "uM um^3"}
        for k in range(4):  # where the ranks meet, nodes belong to one of them
            found = [answer["values"][f"slice{k} v {name}"][0] for name in ("minimum", "mean", "maximum")]
            assert found == pytest.approx([0.75 * k, 0.75 * (k + 0.5), 0.75 * (k + 1)], abs=1e-12)
            least = answer["values"][f"slice{k} p2 minimum"]  # at one node, whichever rank owns it
            assert least == pytest.approx(1.5 * (0.25 * k**2 - 1.0), abs=1e-12)
        for name, value in exact.items():
            assert answer["values"][name] == pytest.approx(1.5 * np.array(value), abs=1e-12), name


def case_places(comm, path):
    regions = {"left": lambda x: x[0] < 1.0, "all": lambda x: x[0] >= 0.0}
    statistics = {"left": ["maximum", "mean", "minimum"], "all": ["minimum"]}
    probes = Probes({"point": (0.5, 0.5, 0.5)}, regions=regions, fields=["p2", "v", "half"], statistics=statistics,
                    where=True, path=path)  # fmt: skip
    march(Polynomials(comm), TimeGrid(end=0.5, step=0.5), observers=[probes])
    return {
        "labels": [column.label for column in probes.columns],
        "units": sorted({column.unit for column in probes.columns if column.statistic.endswith("at")}),
        "values": {
            f"{c.probe} {c.field} {c.statistic}": probes.values(c.probe, c.field, c.statistic)[1].tolist()
            for c in probes.columns
        },
    }


@pytest.mark.mpi
def test_extrema_are_where_they_are_on_any_ranks(on_ranks, tmp_path):
    """Of several nodes the first by its coordinates; x^2 - yz is largest in [0, 1]^3 on two edges."""
    exact = {
        "left p2 maximum at": [1, 0, 0], "left p2 minimum at": [0, 1, 1], "all p2 minimum at": [0, 1, 1],
        "left v maximum at": [[1, 0, 0], [0, 1, 0], [0, 0, 1]], "left v minimum at": [[0, 0, 0], [0, 0, 0], [1, 0, 0]],
        "all v minimum at": [[0, 0, 0], [0, 0, 0], [2, 0, 0]], "all half minimum at": [1, 0, 0],
        "left p2 maximum": 1.5, "left p2 mean": 1.5 / 12, "all p2 minimum": -1.5,
    }  # fmt: skip
    for answer in on_ranks(case_places, path=str(tmp_path / "probes")):
        assert answer["units"] == ["um"]
        for name, value in exact.items():
            assert np.array(answer["values"][name]) == pytest.approx(np.array(value), abs=1e-12), name
        assert not any(name.startswith("all") and "max" in name for name in answer["values"])
        labels = [label for label in answer["labels"] if label.startswith("left: p2")]
        assert labels == [
            "left: p2 maximum (uM)", "left: p2 maximum at x (um)", "left: p2 maximum at y (um)",
            "left: p2 maximum at z (um)", "left: p2 mean (uM)", "left: p2 minimum (uM)", "left: p2 minimum at x (um)",
            "left: p2 minimum at y (um)", "left: p2 minimum at z (um)",
        ]  # fmt: skip
        assert len(answer["labels"]) == (1 + 3 + 1) + (9 + 27 + 9) + (4 + 12 + 4)
        with (tmp_path / "probes.csv").open(newline="") as file:
            header, *rows = csv.reader(file)
        assert header[1:] == answer["labels"]
        assert {len(row) for row in rows} == {len(header)}
        with h5py.File(tmp_path / "probes.h5") as file:
            assert file["left/v/maximum at"].shape == (2, 3, 3)
            assert file["left/v/maximum at"].attrs["unit"] == "um"
            assert file["left/v/maximum at"][1] == pytest.approx(np.array(exact["left v maximum at"]))


def case_identity(comm):
    """Of cells by the places of their midpoints: two on a diagonal have the count, extent and mean of the other two."""
    square = mesh.create_unit_square(comm, 2, 2, mesh.CellType.quadrilateral)
    regions = {
        "rising": lambda x: (x[0] < 0.5) == (x[1] < 0.5),
        "falling": lambda x: (x[0] < 0.5) != (x[1] < 0.5),
        "all": lambda x: x[0] >= 0.0,
    }
    return {name: extent(square, name, where) for name, where in regions.items()}


@pytest.mark.mpi
def test_regions_with_the_same_extent_are_told_apart_on_any_ranks(on_ranks):
    answers = on_ranks(case_identity)
    assert answers[0] == answers[1] == answers[2]
    assert [entry["cells"] for entry in answers[0].values()] == [2, 2, 4]
    assert len({entry["hash"] for entry in answers[0].values()}) == 3


@pytest.mark.parametrize("cell", [mesh.CellType.hexahedron, mesh.CellType.tetrahedron])
def test_files_have_every_number_with_its_unit(tmp_path, cell):
    probes = Probes({"a, b": (0.1, 0.2, 0.3)}, regions={"all": lambda x: x[0] > -1}, fields=["p2", "v"],
                    path=tmp_path / "probes")  # fmt: skip
    model = Polynomials(MPI.COMM_SELF, ("p2", "v"), cell)
    march(model, TimeGrid(end=1.0, step=0.5), observers=[probes])
    assert sorted(path.name for path in tmp_path.iterdir()) == ["probes.csv", "probes.h5"]
    with (tmp_path / "probes.csv").open(newline="") as file:
        header, *rows = csv.reader(file)
    assert header[:3] == ["time (s)", "a, b: p2 (uM)", "a, b: v[0] (um/s)"]
    assert header[-1] == "all: v[2] integral (um/s um^3)"
    numbers = np.array(rows, dtype=float)
    assert numbers[:, 0].tolist() == TIMES
    assert numbers[:, 1] == pytest.approx([-0.05, -0.075, -0.1])
    with h5py.File(tmp_path / "probes.h5") as file:
        assert file["time"][:].tolist() == TIMES
        assert file["time"].attrs["unit"] == "s"
        assert file["a, b/v"].shape == (3, 3)
        assert file["a, b/v"].attrs["unit"] == "um/s"
        assert file["a, b"].attrs["at"].tolist() == [0.1, 0.2, 0.3]
        assert file["a, b"].attrs["length_unit"] == "um"
        assert file["all/p2/integral"][0] == pytest.approx(8 / 3 - 0.5)
        assert np.array_equal(file["a, b/p2"][:], numbers[:, 1])  # to the last bit


def run(*arguments, model=None, **options):
    grid = TimeGrid(end=0.5, step=0.5)
    march(model or Polynomials(MPI.COMM_SELF, ("p2", "edge")), grid, observers=[Probes(*arguments, **options)])


def test_probes_that_cannot_be_are_refused(tmp_path):
    with pytest.raises(
        InputError,
        match=r"^points\['far'\] = '\(2\.5, 1, 0\.9\) um': .* nearest node is at \(2, 1, 1\) um, 0\.51 um away",
    ):
        run({"in": (1, 1, 1), "far": (2.5, 1.0, 0.9)})
    with pytest.raises(InputError, match=r"points\['far'\]"):
        run({"far": (2.0 + 1e-6, 1.0, 0.9)})
    with pytest.raises(InputError, match=r"points\['far'\]"):
        run({"far": (0.3, -1e-6, 0.9)})
    for point in ((1, 2, 3, 4), (np.nan, 0, 0), [[0, 0, 0]]):
        with pytest.raises(InputError, match=r"points\['a'\].*one to three finite"):
            Probes({"a": point})
    with pytest.raises(InputError, match=r"points\['a'\] = \[1, 1\]: it must be 3 coordinates, one per axis"):
        run({"a": (1, 1)})
    with pytest.raises(InputError, match="no '/'"):
        Probes({"a/b": (0, 0, 0)})
    for name in (".", "time"):  # of the series of times in the file, and of its root
        with pytest.raises(InputError, match=rf"probes = '{name}'.*neither '\.' nor 'time'"):
            Probes({name: (0, 0, 0)})
    with pytest.raises(InputError, match="differ"):
        Probes({"a": (0, 0, 0)}, regions={"a": lambda x: x[0] > 0})
    with pytest.raises(InputError, match=r"fields = 'q'.*'p2', 'edge'"):
        run({"a": (0, 0, 0)}, fields=["q"])
    with pytest.raises(InputError, match=r"statistics = 'median'"):
        Probes(statistics=["median"])
    with pytest.raises(InputError, match=r"without extrema: 'edge' has no nodes.*mean and integral alone"):
        run(regions={"all": lambda x: x[0] > 0})
    run(regions={"all": lambda x: x[0] > 0}, statistics=["mean"])
    with pytest.raises(InputError, match=r"regions\['none'\].*at least one cell"):
        run(regions={"none": lambda x: x[0] > 9})
    with pytest.raises(InputError, match=r"regions\['odd'\].*True or False"):
        run(regions={"odd": lambda x: x[0]})
    probes = Probes({"a": (0, 0, 0)})
    march(Polynomials(MPI.COMM_SELF), TimeGrid(end=0.5, step=0.5), observers=[probes])
    with pytest.raises(InputError, match=r"one of \[\('a', 'p2', ''\)"):
        probes.values("b", "p2")


def test_fields_without_values_at_points_are_left_out_or_refused():
    import basix.ufl

    model = Polynomials(MPI.COMM_SELF, ("p2",))
    quadrature = fem.functionspace(model.mesh, basix.ufl.quadrature_element("tetrahedron", degree=2))
    model.functions["q"] = fem.Function(quadrature)
    probes = Probes({"a": (0, 0, 0)})
    march(model, TimeGrid(end=0.5, step=0.5), observers=[probes])
    assert [column.field for column in probes.columns] == ["p2"]
    with pytest.raises(InputError, match=r"fields = 'q'.*values at points"):
        run({"a": (0, 0, 0)}, fields=["q"], model=model)


def test_a_point_takes_the_value_of_the_cell_that_holds_it():
    """Two triangles with a number each: their boxes are the same; the number is that of the one around the point."""
    square = mesh.create_unit_square(MPI.COMM_SELF, 1, 1)
    model = Polynomials(MPI.COMM_SELF, ("p2",))
    model.functions = {"side": fem.Function(fem.functionspace(square, ("DG", 0)))}
    model.functions["side"].interpolate(lambda x: x[0] - x[1])
    probes = Probes({"below": (0.75, 0.25), "above": (0.25, 0.75), "near": (0.5 + 1e-6, 0.5)})
    march(model, TimeGrid(end=0.5, step=0.5), observers=[probes])
    found = [probes.values(name, "side")[0] for name in ("below", "above", "near")]
    assert found == pytest.approx([1 / 3, -1 / 3, 1 / 3])


def test_activation_between_samples_is_linear():
    probes = Probes({"a": (2.0, 0.0, 0.0)}, fields=["p2"])
    model = Polynomials(MPI.COMM_SELF, ("p2",))
    march(model, TimeGrid(end=1.0, step=0.5), observers=[probes])
    assert probes.values("a", "p2") == pytest.approx([4.0, 6.0, 8.0])
    assert probes.values("a", "p2")[-1] in model.functions["p2"].x.array  # at a node, to the last bit
    assert probes.activation("a", "p2", 5.0) == pytest.approx(0.25)
    assert probes.activation("a", "p2", 3.9) == 0.0
    assert probes.activation("a", "p2", 9.0) == np.inf


def test_a_disk_that_is_full_is_said_on_every_rank_at_the_next_checkpoint(tmp_path, monkeypatch):
    from homfem.macro.series import SeriesFiles

    class Full:
        def write(self, text):
            raise OSError(28, "No space left on device")

        def close(self):
            pass

    begin = SeriesFiles.__init__

    def broken(self, *arguments):
        begin(self, *arguments)
        self._stream.close()
        self._stream = Full()

    monkeypatch.setattr(SeriesFiles, "__init__", broken)
    with pytest.raises(OSError, match="No space left"):
        run({"a": (0, 0, 0)}, path=tmp_path / "p")
