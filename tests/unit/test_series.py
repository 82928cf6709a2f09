"""Series of fields against what was written, as PyVista and meshio read them; resumed and killed runs."""

from __future__ import annotations

import logging
import os
import shutil
from collections import Counter
from contextlib import suppress
from pathlib import Path
from xml.etree import ElementTree

import h5py
import numpy as np
import pytest
from dolfinx import fem, mesh
from mpi4py import MPI

from homfem.macro.domain import Domain
from homfem.macro.march import march
from homfem.macro.observers import Observer
from homfem.macro.state import StateField
from homfem.output.checkpoint import CheckpointFile
from homfem.output.fields import FieldSeries
from homfem.output.observers import Fields
from homfem.parameters import FileError, InputError
from homfem.timestepping import TimeGrid
from polynomial_fields import Polynomials
from read_files import read_with_meshio, read_with_pyvista

# The corners of each.
CELLS = {"interval": 2, "triangle": 3, "quadrilateral": 4, "tetrahedron": 4, "hexahedron": 8, "prism": 6}


def _mesh(comm, cell):
    kind = getattr(mesh.CellType, cell)
    if cell == "interval":
        return mesh.create_interval(comm, 5, [0.0, 2.0])
    if cell in ("triangle", "quadrilateral"):
        return mesh.create_rectangle(comm, [[0, 0], [2, 1]], [3, 2], kind)
    return mesh.create_box(comm, [[0, 0, 0], [2, 1, 1]], [3, 2, 1], kind)


def _linear(x):
    return 1.0 + x[0] - 2.0 * x[1] + 0.5 * x[2]


def _quadratic(x):
    return x[0] ** 2 - x[1] * x[2] + x[0] * x[1]


def _functions(domain, *, degree, broken):
    """A function of each kind that a grid of this degree takes, and what its values are at points (3, n)."""
    d = domain.geometry.dim
    formulas = {
        "u": (("Lagrange", 1), _linear),
        "v": (("Lagrange", 1, (d,)), lambda x: np.stack([_linear(x), x[0], 3.0 * x[1]])[:d]),
        "T": (("Lagrange", 1, (d, d)), lambda x: np.stack([k + _linear(x) for k in range(d * d)])),
        "many": (("Lagrange", 1, (4,)), lambda x: np.stack([k * _linear(x) for k in range(4)])),
        "in cells": (("DG", 0), _linear),
    }
    if degree == 2:
        formulas["q"] = (("Lagrange", 2), _quadratic)
    if broken:
        formulas["jump"] = (("DG", 1), _linear)
    if broken and domain.topology.cell_name() in ("triangle", "tetrahedron"):
        turned = (lambda x: np.stack([x[1], -x[0]])) if d == 2 else (lambda x: np.stack([x[1], -x[0], 0 * x[2]]))
        formulas["edge"] = (("N1curl", 1), turned)
    functions = []
    for name, (element, formula) in formulas.items():
        functions.append(fem.Function(fem.functionspace(domain, element), name=name))
        functions[-1].interpolate(formula)
    return functions, {name: formula for name, (_, formula) in formulas.items()}


def _exact(name, formula, points, middles, d):
    """The array of a function as the readers give it."""
    if name == "in cells":
        return formula(middles.T)
    values = formula(points.T)
    if values.ndim == 1 or d == 1:
        return values.ravel()
    whole = np.zeros((len(points), 3, 3) if name == "T" else (len(points), 3))
    if name == "T":
        whole[:, :d, :d] = values.T.reshape(-1, d, d)
        return whole.reshape(-1, 9)
    whole[:, : len(values)] = values.T
    return whole


def _cases():
    return [
        (cell, degree, broken)
        for cell in CELLS
        for degree in (1, 2)
        for broken in (False, True)
        if (cell, degree) != ("prism", 2)
    ]


def test_pyvista_and_meshio_read_every_space_on_every_cell(tmp_path):
    paths = [tmp_path / f"{cell}-{degree}-{broken}.xdmf" for cell, degree, broken in _cases()]
    kept = []
    for path, (cell, degree, broken) in zip(paths, _cases(), strict=True):
        domain = _mesh(MPI.COMM_SELF, cell)
        functions, formulas = _functions(domain, degree=degree, broken=broken)
        with FieldSeries(path, functions) as series:
            for time in (0.0, 0.25, 1e-3 + 7e5):
                for function in functions:
                    function.x.array[:] *= 1.0 if time == 0.0 else 2.0
                series.write(time)
        kept.append((domain.geometry.dim, formulas))
    for path, (d, formulas), read in zip(paths, kept, read_with_pyvista(paths, tmp_path), strict=True):
        other = read_with_meshio(path)
        assert read["times"] == other["times"] == [0.0, 0.25, 1e-3 + 7e5]
        for number, grid in enumerate(read["grids"]):
            points, cells = grid["points"], grid["cells"]
            assert grid["kind"] == "UnstructuredGrid"
            assert len(grid["types"]) == 1
            assert grid["size"] == pytest.approx(2.0, rel=1e-12)  # so are the nodes of the cells in order
            assert np.array_equal(points, other["points"])
            assert np.array_equal(cells, other["cells"])
            middles = points[cells[:, : CELLS[path.name.split("-")[0]]]].mean(axis=1)
            for name, formula in formulas.items():
                if name == "many":
                    found = np.stack([grid["nodal"][f"many[{k}]"] for k in range(4)], axis=1)
                    exact = formula(points.T).T
                else:
                    found = (grid["cellular"] if name == "in cells" else grid["nodal"])[name]
                    exact = _exact(name, formula, points, middles, d)
                assert found == pytest.approx(2.0**number * exact, rel=1e-13, abs=1e-12), (path.name, name)
            for mine, theirs in (("nodal", grid["nodal"]), ("cellular", grid["cellular"])):
                assert set(other[mine][number]) == set(theirs)
                for name, values in theirs.items():
                    assert np.array_equal(other[mine][number][name], values)


def case_polynomials(comm, folder):
    """Fields of several spaces on the mesh and on a part of it, with regions, as the files hold them."""
    model = Polynomials(comm, ("p2", "v", "half"))
    domain = Domain(mesh=model.mesh, unit="um").with_regions(
        {"left": lambda x: x[0] < 0.6, "right": lambda x: x[0] > 1.4}
    )
    if comm.rank == 0:
        Path(folder).mkdir(exist_ok=True)
    comm.barrier()
    fields = Fields(folder, every=2, domain=domain, time_unit="ms")
    march(model, TimeGrid(end=2.0, step=0.5), observers=[fields])
    return {}


def _arrays(folder):
    """Every array of every file of a folder, with its attributes."""
    found = {}
    for path in sorted(Path(folder).rglob("*.h5")):
        with h5py.File(path) as file:
            name = path.relative_to(folder).as_posix()
            found[name] = dict(file.attrs)

            def take(place, entry, name=name):
                if isinstance(entry, h5py.Dataset):
                    found[f"{name}:{place}"] = (entry[...], dict(entry.attrs))

            file.visititems(take)
    return found


def _same(one, two):
    assert one.keys() == two.keys()
    for name, entry in one.items():
        if isinstance(entry, tuple):
            assert np.asarray(two[name][0]) == pytest.approx(np.asarray(entry[0]), rel=1e-12, abs=1e-12), name
            assert entry[1] == two[name][1]
        else:
            assert entry == two[name]


#: XDMF 3: nodes of a cell by the name of its topology, numbers of a value by the type of its attribute.
NODES = {"Polyline": 2, "Edge_3": 3, "Triangle": 3, "Triangle_6": 6, "Quadrilateral": 4, "Quadrilateral_9": 9,
         "Tetrahedron": 4, "Tetrahedron_10": 10, "Hexahedron": 8, "Hexahedron_27": 27, "Wedge": 6}  # fmt: skip
ENTRIES = {"Scalar": (), "Vector": (3,), "Tensor": (9,)}


def _array(item, folder):
    """The array that an item names, which must be as the item says."""
    assert item.attrib["Format"] == "HDF"
    file, _, place = item.text.rpartition(":/")
    with h5py.File(folder / file, "r") as data:
        array = data[place][()]
    assert tuple(map(int, item.attrib["Dimensions"].split())) == array.shape
    kind, size = {"Float": "f", "Int": "i"}[item.attrib["NumberType"]], int(item.attrib["Precision"])
    assert (array.dtype.kind, array.dtype.itemsize) == (kind, size)
    return array


@pytest.mark.parametrize(("cell", "degree", "broken"), _cases())
def test_the_xdmf_is_what_the_standard_says(tmp_path, cell, degree, broken):
    """One collection of grids, each whole in itself: what every reader of XDMF 3 takes, ParaView's two among them."""
    functions, _ = _functions(_mesh(MPI.COMM_SELF, cell), degree=degree, broken=broken)
    domain = Domain(mesh=functions[0].function_space.mesh, unit="um").with_regions({"left": lambda x: x[0] < 1.0})
    with FieldSeries(tmp_path / "a.xdmf", functions, domain=domain) as series:
        for time in (0.0, 0.5):
            series.write(time)
    root = ElementTree.parse(tmp_path / "a.xdmf").getroot()
    assert (root.tag, root.attrib["Version"], [child.tag for child in root]) == ("Xdmf", "3.0", ["Domain"])
    ((collection,),) = root
    assert {"GridType": "Collection", "CollectionType": "Temporal"}.items() <= collection.attrib.items()
    assert [float(grid.find("Time").attrib["Value"]) for grid in collection] == [0.0, 0.5]
    for grid in collection:
        assert (grid.tag, grid.attrib["GridType"]) == ("Grid", "Uniform")
        counts = Counter(child.tag for child in grid if child.tag not in ("Attribute", "Information"))
        assert counts == {"Time": 1, "Geometry": 1, "Topology": 1}
        geometry, topology = grid.find("Geometry"), grid.find("Topology")
        points, cells = _array(geometry[0], tmp_path), _array(topology[0], tmp_path)
        assert geometry.attrib == {"GeometryType": "XYZ"}
        assert cells.shape[1] == NODES[topology.attrib["TopologyType"]] == int(topology.attrib["NodesPerElement"])
        assert len(cells) == int(topology.attrib["NumberOfElements"])
        assert sorted(set(cells.ravel())) == list(range(len(points)))
        names = [attribute.attrib["Name"] for attribute in grid.findall("Attribute")]
        assert len(set(names)) == len(names) >= len(functions) + 1
        for attribute in grid.findall("Attribute"):
            rows = {"Node": len(points), "Cell": len(cells)}[attribute.attrib["Center"]]
            (item,) = attribute
            assert _array(item, tmp_path).shape == (rows, *ENTRIES[attribute.attrib["AttributeType"]])


@pytest.mark.mpi
def test_the_files_are_the_same_on_any_ranks(on_ranks, tmp_path):
    """Also where HDF5 knows no MPI; the times are in the unit that was asked for, regions are data of cells."""
    for number in (1, 2, 3):
        on_ranks(case_polynomials, ranks=(number,), folder=str(tmp_path / str(number)))
    on_ranks(case_without_mpi, ranks=(3,), folder=str(tmp_path / "plain"))
    one = _arrays(tmp_path / "1")
    for name in ("2", "3", "plain"):
        _same(one, _arrays(tmp_path / name))
    assert not list(tmp_path.rglob("*.part"))
    index = (tmp_path / "1" / "fields.xdmf").read_text()
    assert all((tmp_path / name / "fields.xdmf").read_text() == index for name in ("2", "3", "plain"))
    assert '<Information Name="time unit" Value="ms"/>' in index
    assert '<Information Name="region 2" Value="right"/>' in index
    assert one["fields.h5:fields/p2"][1]["unit"] == "uM"
    assert one["fields.h5:mesh/points"][1]["unit"] == "um"
    (read, half) = read_with_pyvista([tmp_path / "2" / name for name in ("fields.xdmf", "fields-half.xdmf")], tmp_path)
    assert read["times"] == half["times"] == [0.0, 1000.0, 2000.0]
    formulas = Polynomials(MPI.COMM_SELF).formulas
    grid = read["grids"][2]
    for name in ("p2", "v"):
        assert grid["nodal"][name] == pytest.approx(3.0 * formulas[name](grid["points"].T).T, abs=1e-12)
    middles = grid["points"][grid["cells"][:, :4]].mean(axis=1)[:, 0]
    assert grid["cellular"]["region"].tolist() == np.where(middles < 0.6, 1, np.where(middles > 1.4, 2, 0)).tolist()
    assert half["grids"][0]["nodal"]["half"] == pytest.approx(3.0 - half["grids"][0]["points"][:, 0])
    assert half["grids"][0]["size"] == pytest.approx(1.0)


def case_without_mpi(comm, folder):
    kept = h5py.get_config
    h5py.get_config = lambda: type("Config", (), {"mpi": False})
    try:
        return case_polynomials(comm, folder)
    finally:
        h5py.get_config = kept


class Growing(Polynomials):
    """As its parent, with what it needs to be resumed on any ranks."""

    def state(self):
        spaces = {name: f.function_space for name, f in self.functions.items()}
        owned = {name: space.dofmap.index_map.size_local * space.dofmap.bs for name, space in spaces.items()}
        return {name: StateField(spaces[name], f.x.array[: owned[name]]) for name, f in self.functions.items()}

    def fields(self):
        for function in self.functions.values():
            function.x.scatter_forward()
        return self.functions

    def identity(self):
        return {"model": "growing"}


class Stop(Observer):
    """Ends the run as a kill would, once all files of a step are written."""

    def __init__(self, step):
        super().__init__("stop")
        self.step = step

    def show(self, model, step, time):
        if step == self.step:
            raise InterruptedError


def case_run(comm, folder, end, resume=False, killed_at=-1):
    """A run with outputs every two steps and checkpoints every three."""
    if comm.rank == 0:
        Path(folder).mkdir(exist_ok=True)
    comm.barrier()
    with suppress(InterruptedError):
        march(
            Growing(comm, ("p2", "half")),
            TimeGrid(end=end, step=0.5),
            observers=[Fields(folder, every=2), Stop(killed_at)],
            checkpoint=CheckpointFile(Path(folder) / "checkpoint"),
            checkpoint_every=3,
            resume=resume,
        )
    return {"files": sorted(path.relative_to(folder).as_posix() for path in Path(folder).rglob("*") if path.is_file())}


@pytest.mark.mpi
@pytest.mark.parametrize(("killed_at", "first", "then"), [(4, 2, 1), (7, 1, 3), (8, 3, 2), (3, 1, 1)])
def test_a_resumed_run_goes_on_with_the_series(on_ranks, tmp_path, killed_at, first, then):
    """The times are those of the run without a break, on any ranks; what was written after the checkpoint is gone."""
    (whole,) = on_ranks(case_run, ranks=(1,), folder=str(tmp_path / "whole"), end=5.0)
    on_ranks(case_run, ranks=(first,), folder=str(tmp_path / "parts"), end=5.0, killed_at=killed_at)
    (parts,) = on_ranks(case_run, ranks=(then,), folder=str(tmp_path / "parts"), end=5.0, resume=True)
    assert [name for name in parts["files"] if "previous" not in name] == [
        name for name in whole["files"] if "previous" not in name
    ]
    _same(_arrays(tmp_path / "whole"), _arrays(tmp_path / "parts"))
    for name in ("fields", "fields-half"):
        series = read_with_meshio(tmp_path / "parts" / f"{name}.xdmf")
        assert series["times"] == [0.0, 1.0, 2.0, 3.0, 4.0, 5.0]
        assert (tmp_path / "parts" / f"{name}.xdmf").read_text() == (tmp_path / "whole" / f"{name}.xdmf").read_text()


def test_an_end_that_moves_and_a_resume_without_steps_leave_no_gap_and_no_repeat(tmp_path):
    times = []
    for end in (1.5, 1.5, 3.5):
        case_run(MPI.COMM_SELF, str(tmp_path), end, resume=True)
        times.append(read_with_meshio(tmp_path / "fields.xdmf")["times"])
    assert times == [[0.0, 1.0, 1.5], [0.0, 1.0, 1.5], [0.0, 1.0, 1.5, 2.0, 3.0, 3.5]]
    case_run(MPI.COMM_SELF, str(tmp_path), 1.0)  # anew: nothing of the old one is left
    assert read_with_meshio(tmp_path / "fields.xdmf")["times"] == [0.0, 1.0]
    assert [path.name for path in (tmp_path / "fields-times").iterdir()] == ["00000002.h5"]


def test_a_series_of_other_fields_is_left_and_the_run_goes_on_beside_it(tmp_path, caplog):
    case_run(MPI.COMM_SELF, str(tmp_path), 1.5)
    with FieldSeries(tmp_path / "fields.xdmf", [Polynomials(MPI.COMM_SELF, ("v",)).functions["v"]]) as series:
        series.write(0.0)
    before = (tmp_path / "fields.xdmf").read_bytes()
    with caplog.at_level(logging.WARNING, "homfem"):
        case_run(MPI.COMM_SELF, str(tmp_path), 2.5, resume=True)
    assert "goes on in fields-from-step-3.xdmf" in caplog.text
    assert (tmp_path / "fields.xdmf").read_bytes() == before
    assert read_with_meshio(tmp_path / "fields-from-step-3.xdmf")["times"] == [2.0, 2.5]
    assert read_with_meshio(tmp_path / "fields-half.xdmf")["times"] == [0.0, 1.0, 1.5, 2.0, 2.5]


def test_fields_and_files_may_have_any_name(tmp_path):
    names = ["a/b: c", "Ca²⁺ & <x>", "q\"uo'te", "region", " ", "column-1"]
    space = fem.functionspace(_mesh(MPI.COMM_SELF, "triangle"), ("Lagrange", 1))
    functions = [fem.Function(space, name=name) for name in names]
    for number, function in enumerate(functions):
        function.x.array[:] = number
    domain = Domain(mesh=space.mesh, unit="um").with_regions({"a & b": lambda x: x[0] > 1.0})
    path = tmp_path / "in a folder" / "fields of é.xdmf"
    path.parent.mkdir()
    with FieldSeries(path, functions, domain=domain) as series:
        series.write(0.0)
        series.write(1.0)
    (read,) = read_with_pyvista([path], tmp_path)
    other = read_with_meshio(path)
    for number, name in enumerate(names):
        assert set(read["grids"][1]["nodal"][name]) == set(other["nodal"][1][name]) == {number}
    assert set(read["grids"][1]["cellular"]["region number"]) == {0, 1}
    with FieldSeries(path, functions, domain=domain, after=0) as series:
        assert series.last == 0


@pytest.mark.parametrize("damage", ["index", "file", "step", "other"])
def test_a_damaged_series_is_not_gone_on_with(tmp_path, damage):
    functions = list(Polynomials(MPI.COMM_SELF, ("p2",)).functions.values())
    path = tmp_path / "a.xdmf"
    with FieldSeries(path, functions) as series:
        for step in range(3):
            series.write(0.5 * step, step)
    if damage == "index":
        path.write_text(path.read_text()[:-40])
    elif damage == "file":
        (tmp_path / "a.h5").write_bytes(b"no")
    elif damage == "step":
        (tmp_path / "a-times" / "00000001.h5").unlink()
    else:
        functions = [fem.Function(fem.functionspace(_mesh(MPI.COMM_SELF, "tetrahedron"), ("Lagrange", 2)), name="p2")]
    before = path.read_bytes()
    with pytest.raises(FileError, match=r"to go on with"):
        FieldSeries(path, functions, after=1)
    assert path.read_bytes() == before


def test_the_series_can_be_read_whenever_the_run_is_killed(tmp_path, monkeypatch):
    """What lies on the disk before and after whatever touches a file, in a new series and in one that goes on."""
    left, moments = tmp_path / "left", []
    place = tmp_path / "run"
    place.mkdir()

    def watched(function):
        def run(*arguments, **options):
            look()
            result = function(*arguments, **options)
            look()
            return result

        return run

    def look():
        if (place / "a.xdmf").exists() and not left.exists():
            shutil.copytree(place, left)
            series = read_with_meshio(left / "a.xdmf")
            moments.append(len(series["times"]))
            for number, values in enumerate(series["nodal"]):
                assert values["u"] == pytest.approx(number + series["points"][:, 0])
            shutil.rmtree(left)

    domain = _mesh(MPI.COMM_SELF, "triangle")
    u = fem.Function(fem.functionspace(domain, ("Lagrange", 1)), name="u")
    u.interpolate(lambda x: x[0])
    for owner, name in ((os, "replace"), (Path, "unlink"), (Path, "replace"), (Path, "mkdir"), (h5py.File, "close")):
        monkeypatch.setattr(owner, name, watched(getattr(owner, name)))
    with FieldSeries(place / "a.xdmf", [u]) as series:
        for step in range(4):
            series.write(0.5 * step, step)
            u.x.array[:] += 1.0
    u.x.array[:] -= 2.0
    with FieldSeries(place / "a.xdmf", [u], after=1) as series:
        assert series.last == 1
        series.write(1.0, 2)
    assert set(moments) == {1, 2, 3, 4}


def test_what_cannot_be_written_is_refused(tmp_path):
    comm = MPI.COMM_SELF
    functions = Polynomials(comm).functions
    with pytest.raises(InputError, match="functions on one mesh"):
        FieldSeries(tmp_path / "a.xdmf", list(functions.values()))
    with pytest.raises(InputError, match=r"functions of one space.*NAME\.xdmf"):
        FieldSeries(tmp_path / "a.bp", [functions["p2"], functions["v"]])
    import basix.ufl

    quadrature = basix.ufl.quadrature_element("tetrahedron", degree=2)
    strain = fem.Function(fem.functionspace(_mesh(comm, "tetrahedron"), quadrature), name="strain")
    with pytest.raises(InputError, match=r"strain: .*functions with values at points.*Interpolate"):
        FieldSeries(tmp_path / "a.xdmf", [strain])
    prism = fem.Function(fem.functionspace(_mesh(comm, "prism"), ("DG", 2)))
    with pytest.raises(InputError, match=r"prism of degree 2.*cells that XDMF takes"):
        FieldSeries(tmp_path / "a.xdmf", [prism])
    with pytest.raises(InputError, match=r"mm"):
        march(Growing(comm, ("p2",)), TimeGrid(end=1.0, step=0.5), observers=[Fields(tmp_path, time_unit="mm")])
    with pytest.raises(InputError, match="fields = 'p3'"):
        march(Growing(comm, ("p2",)), TimeGrid(end=1.0, step=0.5), observers=[Fields(tmp_path, fields=["p3"])])
    assert list(tmp_path.iterdir()) == []
