"""The command ``homfem run``: fields, checkpoints, probes, tensors and stimuli; the same on several ranks."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from homfem.parameters import InputError
from homfem.tensors import EffectiveTensor
from made_configs import CELL, EFFECTIVE, WAVE, outside
from read_files import read_with_meshio


def test_a_mesh_of_junk_is_no_domain(homfem, tmp_path):
    for name in ("dom_junk.toml", "junk.msh"):  # the folder of the run is made beside them
        shutil.copy(Path(__file__).parents[1] / "cases" / name, tmp_path)
    status, _, err = homfem("run", tmp_path / "dom_junk.toml")
    assert status == 2
    assert err.startswith("homfem: macro.domain.file = ")
    assert "read file" in err
    assert err.count("\n") == 1


def test_run_writes_fields_summary_and_figure(homfem, wave, tmp_path):
    figure, summary = tmp_path / "wave.png", tmp_path / "wave.json"
    status, out, err = homfem("run", wave, "--figure", figure, "--json", summary)
    assert status == 0, err
    assert "finished: True" in out
    result = json.loads(summary.read_text())
    assert result["times"] == pytest.approx(np.linspace(0, 0.4, 21))
    assert result["drift"] < 1e-12
    # At the start: rest (0.1 uM) and 0.8 uM on top in the ball; c0 = 3 uM per volume of cytosol.
    assert result["maximum"][0] == pytest.approx(0.9, abs=0.02)
    ball = 0.8 * 0.8 * np.pi * 12**2 / 4
    assert result["total"][0] == pytest.approx(3 * 0.8 * 800 + ball, rel=0.02)
    assert result["config"]["macro"]["model"] == "calcium"
    assert figure.read_bytes().startswith(b"\x89PNG")
    import meshio

    with meshio.xdmf.TimeSeriesReader(tmp_path / "wave" / "fields.xdmf") as series:
        series.read_points_cells()
        times = [series.read_data(k)[0] for k in range(series.num_steps)]
    assert set(np.round(times, 12)) >= {0.0, 0.1, 0.2, 0.3, 0.4}


def test_run_goes_on_from_its_checkpoint(homfem, wave):
    whole = json.loads(homfem("run", wave, "--json", "-")[1])
    folder = ["--set", "macro.output.folder=parts"]
    assert homfem("run", wave, *folder, "--set", "macro.time.end=0.2 s")[0] == 0
    status, out, err = homfem("run", wave, *folder, "--resume", "--json", "-")
    assert status == 0, err
    result = json.loads(out)
    assert result["total"] == whole["total"]
    assert result["maximum"] == whole["maximum"]
    for change, named in (
        ("macro.kinetics.ip3=0.4 uM", "IP3 (uM)"),
        ("macro.time.step=10 ms", "time step (s): 0.02 in the checkpoint, 0.01 here"),
        ("macro.time.splitting=godunov", "splitting: strang: reaction 0.5, diffusion 1.0, reaction 0.5 in the "),
        ("macro.stimulus.rise=0.7 uM", "cytosol at the start (uM)"),
        ("macro.output.threshold=0.4 uM", "threshold (uM): none in the checkpoint, 0.4 here"),
        ("macro.tensors.er.value=3 um^2/s", "er (um^2/s)"),
    ):
        status, _, err = homfem("run", wave, *folder, "--resume", "--set", change)
        assert status == 2
        assert "checkpoint = " in err
        assert named in err


PROBED = """
[[macro.probes]]
name = "near"
at = ["0.016 mm", "0 um"]
[[macro.probes]]
name = "far"
at = ["40 um", "20 um"]
"""


def test_run_reports_probes_in_the_unit_of_its_end(homfem, wave, tmp_path):
    """Values over time, first times above the threshold and what is conserved; the same series after a resume."""
    wave.write_text(WAVE.replace('end = "0.4 s"', 'end = "400 ms"') + 'threshold = "0.2 uM"\n' + PROBED)
    status, out, err = homfem("run", wave, "--json", "-")
    assert status == 0, err
    result = json.loads(out)
    assert result["times"] == pytest.approx(np.linspace(0, 400, 21))
    assert result["units"]["time"] == "ms"
    near, far = result["probes"]["near"], result["probes"]["far"]
    assert [len(series[name]) for series in (near, far) for name in ("cytosol", "er", "h")] == [21] * 6
    assert 0.8 * far["cytosol"][0] + 0.2 * far["er"][0] == pytest.approx(3.0 * 0.8)  # at rest: c0 per volume of cytosol
    rising = np.array(near["cytosol"])
    step = int(np.flatnonzero(rising >= 0.2)[0])
    assert step > 0
    exact = 20.0 * (step - 1 + (0.2 - rising[step - 1]) / (rising[step] - rising[step - 1]))
    assert near["activation"] == pytest.approx(exact, rel=1e-9)
    assert far["activation"] is None
    import meshio

    fields = read_with_meshio(tmp_path / "wave" / "fields.xdmf")
    assert fields["times"] == pytest.approx([0.0, 100.0, 200.0, 300.0, 400.0])
    corner = int(np.hypot(*(fields["points"][:, :2] - (40, 20)).T).argmin())
    assert [nodal["er"][corner] for nodal in fields["nodal"]] == pytest.approx(far["er"][::5], rel=1e-12)
    with meshio.xdmf.TimeSeriesReader(tmp_path / "wave" / "activation.xdmf") as series:
        points, _ = series.read_points_cells()
        at, data, _ = series.read_data(0)
    assert at == pytest.approx(0.4)
    mapped = data["activation"].ravel()[
        [int(np.hypot(*(points[:, :2] - place).T).argmin()) for place in ((16, 0), (40, 20))]
    ]
    assert mapped[0] == pytest.approx(near["activation"] / 1000, rel=1e-9)  # in s, at the node
    assert np.isnan(mapped[1])
    low = np.min(near["er"])
    change = ["--set", "macro.output.threshold_field=er", "--set", f"macro.output.threshold={low - 1e-3:.6f} uM"]
    er = json.loads(homfem("run", wave, "--json", "-", *change, "--set", "macro.output.folder=er")[1])
    assert er["probes"]["near"]["activation"] == 0.0  # above from the start
    assert er["probes"]["near"]["er"] == near["er"]
    assert (tmp_path / "er" / "activation.xdmf").is_file()
    assert {"dolfinx", "homfem"} <= set(result["versions"])
    total = result["total"]
    (conserved,) = result["conserved"]
    assert (conserved["name"], conserved["start"], conserved["unit"]) == ("calcium", total[0], "uM um^2")
    assert conserved["drift"] == pytest.approx(np.abs(np.array(total) / total[0] - 1).max(), abs=1e-15)
    assert conserved["drift"] < 1e-12
    table = (tmp_path / "wave" / "probes.csv").read_text()
    assert table.startswith("time (s),near: cytosol (uM),far: cytosol (uM),near: er (uM)")
    assert homfem("run", wave, "--set", "macro.time.end=200 ms")[0] == 0
    assert len((tmp_path / "wave" / "probes.csv").read_text().splitlines()) == 12
    status, out, err = homfem("run", wave, "--resume", "--json", "-")
    assert status == 0, err
    assert json.loads(out)["probes"] == result["probes"]
    assert (tmp_path / "wave" / "probes.csv").read_text() == table
    status, out, _ = homfem("run", wave, "--resume")
    lines = out.splitlines()
    assert "end: 400 ms" in lines
    assert f"activation of near: {near['activation']:.6g} ms" in lines
    assert "activation of far: none" in lines
    low, high = min(result["minimum"]), max(result["maximum"])
    assert f"cytosol_range: smallest {low:.6g} uM, largest {high:.6g} uM" in lines
    assert f"conserved: calcium, {total[0]:.6g} uM um^2 at the start, to {conserved['drift']:.2g} of it" in lines
    assert all(part.endswith(" s") for line in lines if line.startswith("seconds: ") for part in line.split(", "))
    status, _, err = homfem("run", wave, "--resume", "--set", "macro.probes=[{name='near', at=['16 um', '1 um']}]")
    assert status == 2
    assert "probes.points.near: [16, 0, 0] in the checkpoint, [16, 1, 0] here" in err


def test_probes_keep_the_quantities_that_are_asked_for(homfem, wave, tmp_path):
    """Of all of the domain: what the run says of itself, by name; the same series after a resume."""
    probes = """
[[macro.probes]]
name = "peak"
quantity = "maximum"
[[macro.probes]]
name = "whole"
region = "*"
quantity = ["integral", "minimum"]
[[macro.probes]]
name = "average"
quantity = "mean"
"""
    wave.write_text(wave.read_text() + probes)
    status, out, err = homfem("run", wave, "--json", "-")
    assert status == 0, err
    result = json.loads(out)
    peak, whole, average = (result["probes"][name] for name in ("peak", "whole", "average"))
    assert peak["cytosol"] == pytest.approx(result["maximum"], rel=1e-12)
    assert set(whole["cytosol"]) == {"integral", "minimum", "minimum_at"}
    assert whole["cytosol"]["minimum"] == pytest.approx(result["minimum"], rel=1e-12)
    total = 0.8 * np.array(whole["cytosol"]["integral"]) + 0.2 * np.array(whole["er"]["integral"])
    assert total == pytest.approx(np.array(result["total"]), rel=1e-12)
    assert average["er"] == pytest.approx(np.array(whole["er"]["integral"]) / 800, rel=1e-12)
    assert np.shape(peak["where"]["cytosol"]) == np.shape(whole["er"]["minimum_at"]) == (21, 2)
    assert np.hypot(*peak["where"]["cytosol"][0]) <= 12.0  # in the ball of the stimulus
    header = (tmp_path / "wave" / "probes.csv").read_text().splitlines()[0].split(",")
    assert header[1:4] == [
        "peak: cytosol maximum (uM)",
        "peak: cytosol maximum at x (um)",
        "peak: cytosol maximum at y (um)",
    ]
    before = (tmp_path / "wave" / "probes.csv").read_text()
    half = ["--set", "macro.output.folder=half"]
    assert homfem("run", wave, *half, "--set", "macro.time.end=0.2 s")[0] == 0
    resumed = json.loads(homfem("run", wave, *half, "--resume", "--json", "-")[1])
    assert resumed["probes"] == result["probes"]
    assert (tmp_path / "half" / "probes.csv").read_text() == before


def test_probes_of_regions_keep_mean_extrema_and_integral(homfem, wave, tmp_path):
    """The halves of a rectangle from a file with named groups: their integrals make the total of the calcium."""
    import meshio
    from dolfinx import mesh as made_mesh
    from mpi4py import MPI

    from homfem._dolfinx import geometry_dofmap

    domain = made_mesh.create_rectangle(MPI.COMM_SELF, [[0, 0], [40, 20]], [10, 5])
    points, cells = domain.geometry.x, geometry_dofmap(domain)
    tags = np.where(points[cells][:, :, 0].mean(axis=1) < 20, 1, 2)
    data = {"gmsh:physical": [tags], "gmsh:geometrical": [tags]}
    groups = {"left": np.array([1, 2]), "right": np.array([2, 2])}
    meshio.Mesh(points, [("triangle", cells)], cell_data=data, field_data=groups).write(
        tmp_path / "halves.msh", file_format="gmsh22", binary=False
    )
    options = ["--set", "macro.domain={file='halves.msh', unit='um'}", "--set", "macro.output.threshold=0.95 uM"]
    given = "macro.probes=[{name='l', region='left'}, {name='r', region='right'}, {name='p', at=['0 um', '0 um']}]"
    status, out, err = homfem("run", wave, *options, "--set", given, "--json", "-")
    assert status == 0, err
    result = json.loads(out)
    sides = [result["probes"][name] for name in "lr"]
    total = sum(
        share * np.array(side[field]["integral"]) for side in sides for field, share in (("cytosol", 0.8), ("er", 0.2))
    )
    assert total == pytest.approx(np.array(result["total"]), rel=1e-12)
    assert np.array(sides[0]["er"]["mean"]) * 400 == pytest.approx(np.array(sides[0]["er"]["integral"]), rel=1e-12)
    assert np.maximum(*(side["cytosol"]["maximum"] for side in sides)) == pytest.approx(np.array(result["maximum"]))
    assert np.minimum(*(side["cytosol"]["minimum"] for side in sides)) == pytest.approx(np.array(result["minimum"]))
    assert 0.0 < sides[0]["activation"] < 0.4
    assert sides[1]["activation"] is None
    other = given.replace("region='left'", "region='it'").replace("region='right'", "region='left'")
    other = other.replace("region='it'", "region='right'")
    status, _, err = homfem("run", wave, *options, "--set", other, "--resume")
    assert status == 2, "the halves in each other's place are other probes"
    assert "these differ: probes.regions.l.hash, probes.regions.r.hash." in err
    status, _, err = homfem("run", wave, *options, "--set", given, "--resume", "--set", "macro.time.end=0.2 s")
    assert (status, err) == (
        2,
        "homfem: macro.time.end = 0.2: it must be no earlier than the checkpoint, at t = 0.4 s\n",
    )
    status, _, err = homfem("run", wave, *options, "--set", "macro.probes=[{name='l', region='lefd'}]")
    assert status == 2
    assert err.startswith("homfem: macro.probes[0].region = 'lefd'")
    assert "'left'" in err


@pytest.mark.parametrize(
    ("probes", "message"),
    [
        ("[{name='a', at=['41 um', '3 um']}]", "macro.probes[0].at = '(41, 3) um': it must be a point of the domain. "
         "The nearest node is at (40, 4) um, 1.41 um away"),
        ("[{name='a', at=['1 um']}]", "macro.probes[0].at = ['1 um']: it must be 2 lengths, as the domain"),
        ("[{name='a', at=['1 um', 2]}]", "macro.probes[0].at[1] = 2: it must be a length"),
        ("[{name='a', at=['1 um', '2 s']}]", "macro.probes[0].at[1] = '2 s'"),
        ("[{name='a', at=['1 um', '2 um']}, {name='a', at=['1 um', '3 um']}]", "macro.probes[1].name = 'a': it must "
         "be a name that no other probe has"),
        ("[{name='a/b', at=['1 um', '2 um']}]", "macro.probes[0].name = 'a/b'"),
        ("[{name='time', at=['1 um', '2 um']}]", "macro.probes[0].name = 'time': it must be a name without '/', "
         "and not 'time' or '.'"),
        ("[{name='.', at=['1 um', '2 um']}]", "macro.probes[0].name = '.'"),
        ("[{name='a', ad=['1 um', '2 um']}]", "macro.probes[0].ad = ['1 um', '2 um']: it must be one of the known keys "
         "name, at, region, quantity. Did you mean 'macro.probes[0].at'?"),
        ("[{name='a', quantity='mode'}]", "macro.probes[0].quantity = 'mode'"),
        ("[{name='a', quantity=['mean', 'maxium']}]", "macro.probes[0].quantity[1] = 'maxium'"),
        ("[{name='a', quantity=['mean', 'mean']}]", "macro.probes[0].quantity = ['mean', 'mean']"),
        ("[{name='a', quantity=[]}]", "macro.probes[0].quantity = []"),
        ("[{name='a', quantity=3}]", "macro.probes[0].quantity = 3"),
        ("[{name='a', at=['1 um', '2 um'], quantity='mean'}]", "macro.probes[0].quantity = 'mean': it must be absent"),
        ("[{name='a'}]", "macro.probes[0].at = (missing): it must be given, or region, not both"),
        ("[{name='a', at=['1 um', '2 um'], region='b'}]", "macro.probes[0].at = 'beside region'"),
        ("[{name='a', region='b'}]", "macro.probes[0].region = 'b'"),
        ("{name='a', at=['1 um', '2 um']}", "macro.probes = {"),
        ("[3]", "macro.probes[0] = 3: it must be a table of keys"),
    ],
)  # fmt: skip
def test_probes_that_cannot_be_are_refused_by_their_key(homfem, wave, probes, message):
    status, out, err = homfem("run", wave, "--set", f"macro.probes={probes}")
    assert (status, out) == (2, "")
    assert err.startswith(f"homfem: {message}")


def test_resume_where_nothing_is_says_that_it_starts_anew(homfem, wave, tmp_path):
    status, out, err = homfem("run", wave, "--resume", "--set", "macro.time.end=0.2 s")
    assert status == 0
    assert "steps: 10" in out
    path = str(tmp_path / "wave" / "checkpoint")
    assert err == f"homfem: warning: calcium bidomain: no checkpoint {path!r} to resume from; starting at t = 0 s\n"


def test_interrupted_run_is_status_1(homfem, wave, monkeypatch):
    import dataclasses

    import homfem.macro.calcium as calcium

    run = calcium.run_calcium
    interrupted = lambda *a, **o: dataclasses.replace(run(*a, **o), finished=False)  # noqa: E731
    monkeypatch.setattr(calcium, "run_calcium", interrupted)
    status, out, err = homfem("run", wave)
    assert status == 1
    assert "finished: False" in out
    assert "--resume" in err


def test_run_takes_tensors_from_the_cell_and_from_files(homfem, tmp_path):
    """The tensors of the run are those that the command effective gives for each phase alone."""
    phases = EFFECTIVE + 'cytosol = "0.22 um^2/ms"\n'
    start, _, rest = WAVE.partition("[macro.tensors]")
    rest = "[macro.kinetics]" + rest.partition("[macro.kinetics]")[2]
    text = (start + rest).replace('["40 um", "20 um"]', '["40 um", "20 um", "20 um"]')
    text = text.replace('"0 um", "0 um"', '"0 um", "0 um", "0 um"').replace('"4 um"', '"10 um"')
    path = tmp_path / "both.toml"
    path.write_text(text + CELL + phases)
    status, out, err = homfem("run", path, "--json", "-")
    assert status == 0, err
    computed = json.loads(out)
    for name, other in (("er", "cytosol"), ("cytosol", "er")):
        alone = tmp_path / f"{name}.toml"
        kept = [line for line in (CELL + phases).splitlines() if not line.startswith(other)]
        alone.write_text("\n".join(kept))
        status, _, err = homfem("effective", alone, "--json", tmp_path / f"{name}.json")
        assert status == 0, err
        tensor = EffectiveTensor.from_json(tmp_path / f"{name}.json")
        factor = 1.0 if name == "er" else 1000.0
        assert np.array(computed["tensors"][name]["value"]) == pytest.approx(factor * tensor.value, rel=1e-7, abs=1e-9)
    files = [option for name in ("er", "cytosol") for option in ("--set", f"macro.tensors.{name}={name}.json")]
    status, out, err = homfem("run", path, "--json", "-", *files, "--set", "macro.output.folder=again")
    assert status == 0, err
    assert json.loads(out)["maximum"] == pytest.approx(computed["maximum"], rel=1e-7)


@pytest.mark.parametrize("shape", ["cell-body", "file"])
def test_domains_have_their_size_in_um(shape, tmp_path):
    import ufl
    from dolfinx import fem
    from mpi4py import MPI

    from homfem.config.models.domains import parse_domain
    from homfem.runs.domains import make_domain
    from homfem.solve import integrate

    volume = 4 / 3 * np.pi * 15 * 10 * 8
    table = {"shape": "cell-body", "size": ["30 um", "20 um", "0.016 mm"], "resolution": "2 um"}
    if shape == "file":
        import meshio

        points = np.array([[0.0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1], [9, 9, 9]])
        meshio.Mesh(points, [("tetra", [[0, 1, 2, 3]])]).write(
            tmp_path / "body.msh", file_format="gmsh22", binary=False
        )
        table, volume = {"file": "body.msh", "unit": "mm"}, 1e9 / 6
    mesh = make_domain(parse_domain(table), MPI.COMM_SELF, tmp_path).mesh
    measured = integrate(fem.Constant(mesh, 1.0) * ufl.dx)
    assert measured == pytest.approx(volume, rel=0.02 if shape == "cell-body" else 1e-12)


@pytest.mark.parametrize("given", ["interface_area", "files"])
def test_membrane_area_of_a_config_is_converted(given, wave, tmp_path):
    """2 per um, as 2000 per mm: the membrane whose rates are per volume scales with it."""
    from mpi4py import MPI

    from homfem.config import load_config
    from homfem.kinetics import TRIGGER_WAVE
    from homfem.runs.calcium import make_problem

    change = ["macro.tensors.interface_area=2000 1/mm"]
    if given == "files":
        for name, fraction in (("cytosol", 0.8), ("er", 0.2)):
            tensor = EffectiveTensor.measured(name, 20.0 * fraction, volume_fraction=fraction, dimension=2)
            replace(tensor, interface_area=2000.0, length_unit="mm").to_json(tmp_path / f"{name}.json")
        change = ["macro.tensors={cytosol='cytosol.json', er='er.json'}"]
    config = load_config(wave, assignments=change)
    problem = make_problem(config, config.macro, MPI.COMM_SELF)
    assert problem.area == pytest.approx(2.0, rel=1e-12)
    found = problem.kinetics.parameters["channel_permeability"]
    assert found == pytest.approx(TRIGGER_WAVE.v1 * 0.2 / 2.0, rel=1e-12)


@pytest.mark.parametrize("keys", [{"interface_area": 2.0, "length_unit": "voxel"}, {"interface_area": None}, {}])
def test_a_membrane_area_that_is_not_known_is_asked_for(keys, wave, tmp_path):
    from mpi4py import MPI

    from homfem.config import load_config
    from homfem.runs.calcium import make_problem

    for name, fraction in (("cytosol", 0.8), ("er", 0.2)):
        tensor = EffectiveTensor.measured(name, 20.0 * fraction, volume_fraction=fraction, dimension=2)
        replace(tensor, **keys).to_json(tmp_path / f"{name}.json")
    config = load_config(wave, assignments=["macro.tensors={cytosol='cytosol.json', er='er.json'}"])
    message = r"macro\.tensors\.interface_area = \[\]: it must be one positive area that both tensors share\. Give"
    with pytest.raises(InputError, match=message):
        make_problem(config, config.macro, MPI.COMM_SELF)


def test_receptors_start_as_they_were_before_the_stimulus(wave):
    """A puff is too quick for them: the start is the rest of the kinetics with calcium added, and no state changed."""
    from mpi4py import MPI

    from homfem.config import load_config
    from homfem.macro.calcium import CalciumModel
    from homfem.runs.calcium import make_problem

    config = load_config(wave)
    problem = make_problem(config, config.macro, MPI.COMM_SELF)
    c, e, h = (CalciumModel(problem, step=0.01).state()[name].values for name in ("cytosol", "er", "h"))
    resting = c == c.min()
    assert c.max() == pytest.approx(c.min() + 0.8, rel=1e-12)
    assert 0 < resting.sum() < len(c)
    rate, target = problem.kinetics.relaxation(c[resting], e[resting], h[None, resting], problem.ip3)
    np.testing.assert_allclose(h[resting], target[0], rtol=1e-9)  # the unstimulated receptors are at rest
    np.testing.assert_allclose(h, h[resting][0], rtol=1e-12)  # and so are those inside the ball
    assert np.all(np.abs(problem.kinetics.flux(c[resting], e[resting], h[None, resting], problem.ip3)) < 1e-6)
    assert rate.min() > 0.0


@pytest.mark.parametrize(
    ("centre", "radius", "nearest", "enough"),
    [
        ("['-9 um', '-12 um']", "14 um", "15 um", "15.01 um"),
        ("['2 um', '2 um']", "0.001 mm", "2.828 um", "2.83 um"),
    ],
)
def test_a_stimulus_that_no_node_feels_is_refused(homfem, wave, centre, radius, nearest, enough):
    """Outside the domain, and between the nodes, which are 4 um apart."""
    options = ["--set", "macro.time.end=0.1 s", "--set", f"macro.stimulus.centre={centre}"]
    status, out, err = homfem("run", wave, *options, "--set", f"macro.stimulus.radius={radius}")
    assert (status, out) == (2, "")
    assert err.startswith(f"homfem: macro.stimulus.radius = {radius!r}: it must be ")
    assert f"the nearest one is {nearest} from its centre" in err
    assert "up to 5.66 um wide" in err
    assert homfem("run", wave, *options, "--set", f"macro.stimulus.radius={enough}")[0] == 0


@pytest.mark.mpi
def test_run_is_the_same_on_two_ranks(homfem, wave):
    one = json.loads(homfem("run", wave, "--json", "-")[1])
    answer = outside("run", wave, "--json", "-", ranks=2)
    assert answer.returncode == 0, answer.stderr
    two = json.loads(answer.stdout)
    assert two["ranks"] == 2
    assert two["maximum"] == pytest.approx(one["maximum"], rel=1e-8)
    assert two["total"] == pytest.approx(one["total"], rel=1e-12)
