"""Pictures of a run from its folder: what they show, also while it goes on and after a resume; what is refused."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from dolfinx import fem, mesh
from mpi4py import MPI
from PIL import Image

from homfem import runs
from homfem.macro.march import march
from homfem.macro.probes import Probes
from homfem.output import canvas
from homfem.output.fields import FieldSeries
from homfem.output.observers import Fields
from homfem.output.run_files import read_curves, read_series
from homfem.parameters import FileError, InputError
from homfem.timestepping import TimeGrid
from made_configs import WAVE
from polynomial_fields import Polynomials
from toy_march import FitzHughNagumo

PROBES = """
[[macro.probes]]
name = "near"
at = ["16 um", "0 um"]
[[macro.probes]]
name = "all: of it"
quantity = ["mean", "maximum", "integral"]
"""


@pytest.fixture
def figures(monkeypatch):
    """The figures of matplotlib that are saved, by the names of their files."""
    kept, save = {}, canvas.save

    def keep(figure, path):
        kept[Path(path).name] = figure
        save(figure, path)

    monkeypatch.setattr(canvas, "save", keep)
    return kept


@pytest.fixture
def wave(tmp_path):
    path = tmp_path / "wave.toml"
    path.write_text(WAVE.replace('end = "0.4 s"', 'end = "400 ms"') + 'threshold = "0.2 uM"\n' + PROBES)
    return path


def test_plot_draws_probes_fields_and_activation(homfem, wave, tmp_path, figures):
    result = json.loads(homfem("run", wave, "--json", "-")[1])
    status, out, err = homfem("plot", tmp_path / "wave")
    assert (status, err) == (0, "")
    names = ["fields.png", "probes.png", "probes.pdf", "activation.png"]
    assert out.splitlines() == [str(tmp_path / "wave" / name) for name in names]
    assert (tmp_path / "wave" / "probes.pdf").read_bytes().startswith(b"%PDF")
    panels = {axes.get_ylabel(): axes for axes in figures["probes.png"].axes}
    assert list(panels) == ["cytosol (µM)", "er (µM)", "h", "integral of cytosol (µM µm²)", "integral of er (µM µm²)",
                            "integral of h (µm²)"]  # fmt: skip
    assert {axes.get_xlabel() for axes in panels.values()} == {"time (s)"}
    lines = {line.get_label(): line for line in panels["cytosol (µM)"].lines}
    assert list(lines) == ["near", "all: of it, mean", "all: of it, maximum"]
    assert lines["near"].get_ydata() == pytest.approx(result["probes"]["near"]["cytosol"], rel=1e-15)
    assert lines["near"].get_xdata() == pytest.approx(np.array(result["times"]) / 1000)
    (integral,) = panels["integral of er (µM µm²)"].lines
    assert integral.get_ydata() == pytest.approx(result["probes"]["all: of it"]["er"]["integral"], rel=1e-15)
    fields = figures["fields.png"]
    assert fields.get_suptitle() == "t = 400 ms"
    assert [axes.get_ylabel() for axes in fields.axes if axes.get_ylabel()] == ["cytosol (µM)", "er (µM)", "h"]
    bar = next(axes for axes in fields.axes if axes.get_ylabel() == "cytosol (µM)")
    assert bar.get_ylim()[1] == pytest.approx(result["maximum"][-1], rel=1e-6)
    assert "activation (s)" in [axes.get_ylabel() for axes in figures["activation.png"].axes]


def test_plot_takes_a_field_a_time_and_a_place(homfem, wave, tmp_path, figures):
    folder = tmp_path / "wave"
    assert homfem("run", wave)[0] == 0
    before = sorted(folder.iterdir())
    for time, shown in (("0.11 s", "100"), ("190", "200"), ("0", "0"), ("400 ms", "400")):
        status, out, err = homfem("plot", folder, "--time", time, "--field", "er", "--out", tmp_path / "er.svg")
        assert (status, err) == (0, "")
        assert out.split() == [str(tmp_path / "er.svg"), str(tmp_path / "er-probes.svg")]
        assert figures["er.svg"].get_suptitle() == f"t = {shown} ms"
        assert [axes.get_ylabel() for axes in figures["er.svg"].axes if axes.get_ylabel()] == ["er (µM)"]
        assert {axes.get_ylabel() for axes in figures["er-probes.svg"].axes} == {"er (µM)", "integral of er (µM µm²)"}
    assert runs.plot(folder, field="activation", out=tmp_path / "a" / "b") == (tmp_path / "a" / "b" / "activation.png",)
    assert sorted(folder.iterdir()) == before
    for arguments, message in (
        (
            ["--field", "cytosl"],
            "--field = 'cytosl': it must be one of 'cytosol', 'er', 'h', 'activation'. Did you mean",
        ),
        (["--time", "0.5 s"], "--time = '0.5 s': it must be from 0 to 400 ms"),
        (["--time", "-1"], "--time = '-1': it must be from 0 to 400 ms"),
        (["--time", "3 um"], "--time = '3 um'"),
        (["--time", "nan"], "--time = nan"),
        (["--out", wave], f"--out = '{wave}': it must be a folder, or the name of a picture"),
        (
            ["--out", tmp_path / "none" / "a.png"],
            f"--out = '{tmp_path}/none/a.png': it must be in a folder that exists",
        ),
    ):
        status, out, err = homfem("plot", folder, *arguments)
        assert (status, out) == (2, ""), err
        assert err.lower().startswith(f"homfem: {message}".lower()), err
        assert err.count("\n") == 1


def test_a_resumed_run_has_the_pictures_of_the_run_without_a_break(homfem, wave, tmp_path):
    """Curves, activation and the figure are of the whole series, not of its second part."""
    figures = [tmp_path / name for name in ("whole.png", "half.png", "parts.png")]
    parts = ["--set", "macro.output.folder=parts"]
    assert homfem("run", wave, "--figure", figures[0])[0] == 0
    assert homfem("run", wave, *parts, "--set", "macro.time.end=200 ms", "--figure", figures[1])[0] == 0
    assert homfem("run", wave, *parts, "--resume", "--figure", figures[2])[0] == 0
    for folder in ("wave", "parts"):
        assert homfem("plot", tmp_path / folder)[0] == 0
    names = ("fields.png", "probes.png", "activation.png")
    pairs = [(tmp_path / "wave" / name, tmp_path / "parts" / name) for name in names]
    for one, two in [*pairs, (figures[0], figures[2])]:
        assert np.array_equal(np.asarray(Image.open(one)), np.asarray(Image.open(two))), two.name
    assert Image.open(figures[1]).size != Image.open(figures[0]).size
    assert read_series(tmp_path / "parts" / "fields.xdmf").times == pytest.approx((0.0, 100.0, 200.0, 300.0, 400.0))


def test_folders_without_a_run_are_refused(homfem, tmp_path):
    (tmp_path / "empty").mkdir()
    (tmp_path / "file").write_text("")
    (tmp_path / "bp" / "fields.bp").mkdir(parents=True)
    for name, message in (
        ("none", "it must be a folder or a file that exists\n"),
        (
            "file",
            "it must be a series of fields (.xdmf), a table of probes (.csv) or a tensor (.json) that homfem wrote",
        ),
        ("empty", "it must be the folder of a run, with fields.xdmf, probes.csv, ecg.csv or tensors in JSON"),
        ("bp", 'run with format = "xdmf"'),
    ):
        status, out, err = homfem("plot", tmp_path / name)
        assert (status, out) == (2, "")
        assert err.startswith(f"homfem: FOLDER = '{tmp_path / name}': ")
        assert message in err
    for name, text in (
        ("probes.csv", "a,b\n1,2\n"),
        ("probes.csv", "time (s),p: V (mV)\n1,x\n"),
        ("fields.xdmf", "<x>"),
    ):
        path = tmp_path / "empty" / name
        path.write_text(text)
        with pytest.raises(FileError, match="as homfem writes it"):
            runs.plot(tmp_path / "empty")
        path.unlink()
    (tmp_path / "empty" / "probes.csv").write_text("time (s)\n0.0\n")
    with pytest.raises(FileError, match="folder of a run, with"):
        runs.plot(tmp_path / "empty")


CELL = """
[cell]
shape = "fibre-array"
lattice = "square"
fraction = 0.3
dimension = 2
period = "40 um"
resolution = 0.2
[effective]
physics = "diffusion"
[effective.phases]
fibre = "10 um^2/s"
matrix = "1 um^2/s"
"""


def test_cells_and_their_fields_are_drawn_from_their_files(homfem, tmp_path, figures):
    """In the folder and one by one; lengths and correctors are those of the cell, in the unit of its period."""
    config, kept = tmp_path / "cell.toml", tmp_path / "kept"
    config.write_text(CELL)
    kept.mkdir()
    fields, tensor, cell = kept / "found.xdmf", kept / "found.json", kept / "cell.xdmf"
    assert homfem("effective", config, "--fields", fields, "--json", tensor)[0] == 0
    assert homfem("cell", config, "--save", cell, "--json", kept / "about.json")[0] == 0
    assert homfem("cell", config, "--save", kept / "cell.msh")[0] == 0
    (kept / "foreign.xdmf").write_text("<Xdmf><Domain><Grid><Grid/></Grid></Domain></Xdmf>")
    names = ["tensors.png", "found-corrector_1.png", "found-corrector_2.png", "cell.png"]
    status, out, err = homfem("plot", kept)
    assert (status, out.split(), err) == (0, [str(kept / name) for name in names], "")
    picture, bar = figures["found-corrector_1.png"].axes
    assert (picture.get_xlabel(), bar.get_ylabel()) == ("x (µm)", "corrector_1 (µm)")
    assert np.ptp(picture.get_xlim()) == pytest.approx(40.0, rel=0.2)
    solved = read_series(fields).cell()
    assert solved.phases == {"fibre": 1, "matrix": 2}
    corners = solved.points[solved.cells]
    areas = np.abs(np.linalg.det(corners[:, 1:] - corners[:, :1])) / 2.0
    assert areas.sum() == pytest.approx(1600.0)
    assert areas[solved.phase_of_cell == 1].sum() == pytest.approx(480.0, rel=0.02)
    # By the tensor's formula the mean gradient in the fibre is (D*/D - 1)/(f (k - 1)), the field nearly linear there.
    values = solved.fields["corrector_1 (um)"]
    assert values.max() == pytest.approx(-values.min(), rel=1e-6)
    slope = 1.0 - (json.loads(tensor.read_text())["value"][0][0] - 1.0) / (0.3 * 9.0)
    assert values.max() == pytest.approx(slope * 40.0 * np.sqrt(0.3 / np.pi), rel=0.01)
    for path, drawn in (
        (tensor, ["tensors.png"]),
        (fields, ["found-corrector_1.png", "found-corrector_2.png"]),
        (cell, ["cell.png"]),
        (kept / "cell.msh", ["cell.png"]),
    ):
        place = tmp_path / "of one"
        assert homfem("plot", path, "--out", place)[1].splitlines() == [str(place / name) for name in drawn]
    assert homfem("plot", kept, "--field", "corrector_2", "--out", tmp_path / "one.pdf")[1] == f"{tmp_path}/one.pdf\n"
    for path, message in (
        (config, "This is a config"),
        (kept / "about.json", "homfem cell CONFIG --save"),
        (kept / "foreign.xdmf", "that homfem wrote"),
        (kept / "cell_facets.xdmf", "that homfem wrote"),
        (kept / "cell.png", "that homfem wrote"),
    ):
        status, out, err = homfem("plot", path)
        assert (status, out) == (2, "")
        assert err.startswith(f"homfem: FOLDER = '{path}': it must be a series of fields (.xdmf)")
        assert message in err


def test_tensors_are_drawn_between_their_bounds(homfem, tmp_path, figures):
    from homfem import EffectiveTensor

    bounds = {"lower": np.diag([1.0, 2.0]), "upper": np.diag([1.5, 2.25])}
    tensor = EffectiveTensor.measured("er", np.diag([1.25, 2.125]), unit="um^2/s", dimension=2)
    entries = {"unit": "S/m", "value": [[3.0, 0.0], [0.0, 3.0]], "lower": None, "upper": None}
    tensor.to_json(tmp_path / "measured.json")
    found = json.loads((tmp_path / "measured.json").read_text())
    (tmp_path / "er.json").write_text(json.dumps(found | {key: value.tolist() for key, value in bounds.items()}))
    (tmp_path / "tissue.json").write_text(json.dumps(entries))
    for number, text in enumerate(("[1]", "{", '{"value": 3}', '{"value": [[1]], "lower": [[1, 2]], "upper": 3}')):
        (tmp_path / f"other{number}.json").write_text(text)
    status, out, err = homfem("plot", tmp_path)
    assert (status, out, err) == (0, f"{tmp_path / 'tensors.png'}\n", "")
    er, tissue = figures["tensors.png"].axes
    assert (er.get_ylabel(), tissue.get_ylabel()) == ("effective tensor (µm²/s)", "effective tensor (S/m)")
    assert [text.get_text() for text in er.get_legend().get_texts()] == ["er", "measured"]
    ends = np.array(er.containers[0].lines[2][0].get_segments())[:, :, 1]
    assert ends.tolist() == [[1.0, 1.5], [2.0, 2.25]]


def test_a_run_that_goes_on_is_drawn_as_far_as_it_is(tmp_path, figures):
    """In the middle of a march: between two steps, and where a row of the table is half written."""
    seen = []

    class Look(Fields):
        def watch(self, model, step, start, end, last):
            if step == 25:
                seen.append(runs.plot(tmp_path))
                with (tmp_path / "probes.csv").open("a") as file:
                    file.write("1.3,0.1")
                seen.append(runs.plot(tmp_path))

    probes = Probes({"a": (5.0, 1.0)}, path=tmp_path / "probes")
    model = FitzHughNagumo(MPI.COMM_SELF, step=0.05)
    march(model, TimeGrid(end=1.5, step=0.05), observers=[probes, Look(tmp_path, every=10)])
    assert len(seen) == 2
    assert figures["fields.png"].get_suptitle() == "t = 1 ms"
    (line,) = next(axes for axes in figures["probes.png"].axes if axes.get_ylabel() == "V (mV)").lines
    assert line.get_xdata() == pytest.approx(0.05 * np.arange(26))


@pytest.mark.parametrize("broken", [False, True])
def test_series_are_read_back_as_simplices_of_any_cell(tmp_path, broken):
    """Their volume is that of the body, the fields are what was written, both sides of a facet have its nodes."""
    kinds = {
        "interval": mesh.create_interval(MPI.COMM_SELF, 5, [0.0, 2.0]),
        **{name: mesh.create_rectangle(MPI.COMM_SELF, [[0, 0], [2, 1]], [3, 2], getattr(mesh.CellType, name))
           for name in ("triangle", "quadrilateral")},
        **{name: mesh.create_box(MPI.COMM_SELF, [[0, 0, 0], [2, 1, 1]], [3, 2, 1], getattr(mesh.CellType, name))
           for name in ("tetrahedron", "hexahedron", "prism")},
    }  # fmt: skip
    for name, domain in kinds.items():
        d = domain.geometry.dim
        for degree in (1, 2) if name != "prism" else (1,):
            space = fem.functionspace(domain, ("DG" if broken else "Lagrange", degree))
            u = fem.Function(space, name="u")
            u.interpolate(lambda x, power=degree: x[0] ** power)
            v = fem.Function(fem.functionspace(domain, ("Lagrange", 1, (d,))), name="v")
            v.interpolate(lambda x, d=d: np.stack([3.0 * x[0], 4.0 * x[0], 0.0 * x[0]])[:d])
            c = fem.Function(fem.functionspace(domain, ("DG", 0)), name="c")
            c.x.array[:] = 7.0
            with FieldSeries(tmp_path / "a.xdmf", [u, v, c]) as series:
                series.write(0.5)
            snapshot = read_series(tmp_path / "a.xdmf").at(0)
            x = snapshot.points
            corners = x[snapshot.cells][:, :, :d]
            sizes = np.abs(np.linalg.det(corners[:, 1:] - corners[:, :1])) / [1, 1, 2, 6][d]
            assert sizes.sum() == pytest.approx(2.0), name
            assert sizes.min() > 0.0
            assert snapshot.fields["u"] == pytest.approx(x[:, 0] ** degree, abs=1e-12)
            assert snapshot.fields["v"] == pytest.approx((5.0 if d > 1 else 3.0) * x[:, 0], abs=1e-12)
            assert snapshot.fields["c"] == pytest.approx(7.0)
            assert len(x) == fem.functionspace(domain, ("Lagrange", degree)).dofmap.index_map.size_global


def test_labels_of_probes_come_back(tmp_path):
    """Names with colons and units with brackets are told from the rest; places of extrema are no curves."""
    probes = Probes(
        {"a: b, c": (0.5, 0.5, 0.5)}, regions={"mean of it": lambda x: x[0] < 1.0}, where=True, path=tmp_path / "probes"
    )
    model = Polynomials(MPI.COMM_SELF, ("p2", "v"))
    model.units = type(model.units)(time="s", length="um", fields={"p2": "W/(m K)", "v": "um/s"})
    march(model, TimeGrid(end=1.0, step=0.5), observers=[probes])
    read = read_curves(tmp_path / "probes.csv")
    assert (read.unit, read.times.tolist()) == ("s", [0.0, 0.5, 1.0])
    wanted = [column for column in probes.columns if column.axis is None]
    assert [(c.probe, c.field, c.part, c.statistic, c.unit) for c in read.curves] == [
        (c.probe, c.field, c.component, c.statistic, c.unit) for c in wanted
    ]
    for curve in read.curves:
        values = probes.values(curve.probe, curve.field, curve.statistic)
        assert curve.values.tolist() == (values if curve.part is None else values[:, curve.part]).tolist()


def test_a_field_with_no_activation_has_no_map(homfem, wave, tmp_path):
    assert homfem("run", wave, "--set", "macro.output.threshold=90 uM")[0] == 0
    assert [path.name for path in runs.plot(tmp_path / "wave")] == ["fields.png", "probes.png", "probes.pdf"]
    status, out, _ = homfem("plot", tmp_path / "wave", "--field", "activation")
    assert (status, out) == (0, "nothing to draw: the field stayed below the threshold everywhere\n")
    with pytest.raises(InputError, match="time"):
        runs.plot(tmp_path / "wave", time=1e9)
