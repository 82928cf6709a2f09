"""Electrocardiograms of a folder on their paper, and marks of action potentials."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from homfem import runs
from homfem.output import canvas
from homfem.output.lead_pictures import last_action_potential, read_leads
from homfem.output.run_files import read_curves
from homfem.parameters import FileError

NAMES = ("I", "II", "III", "aVR", "aVL", "aVF", "V1", "V2", "V3", "V4", "V5", "V6", "RA", "LA", "LL", "apex")


def write(path, names, times, values, unit="mV"):
    header = ",".join(["time (ms)", *(f"{name} ({unit})" for name in names)])
    rows = [",".join(map(repr, [float(t), *map(float, row)])) for t, row in zip(times, values, strict=True)]
    path.write_text("\n".join([header, *rows]) + "\n")


@pytest.fixture
def figures(monkeypatch):
    kept, save = {}, canvas.save

    def keep(figure, path):
        kept[Path(path).name] = figure
        save(figure, path)

    monkeypatch.setattr(canvas, "save", keep)
    return kept


def test_leads_stand_as_on_their_paper(tmp_path, figures):
    times = np.linspace(0.0, 1000.0, 11)
    values = np.outer(np.sin(times / 100.0), np.linspace(0.5, 1.0, len(NAMES)))
    write(tmp_path / "ecg.csv", NAMES, times, values)
    assert runs.plot(tmp_path, out=tmp_path / "ecg.png") == (tmp_path / "ecg.png",)
    figure = figures["ecg.png"]
    assert figure.get_suptitle() == "a large square: 200 ms, 0.5 mV"
    shown = [axes for axes in figure.axes if axes.get_visible()]
    names = [axes.texts[0].get_text() for axes in shown]
    rows = ["I", "aVR", "V1", "V4", "II", "aVL", "V2", "V5", "III", "aVF", "V3", "V6", "apex"]
    assert names == rows  # and none of the limbs alone
    for name, axes in zip(names, shown, strict=True):
        (line,) = axes.lines
        assert line.get_ydata() == pytest.approx(values[:, NAMES.index(name)])
    # Collections of lines: small squares upright and across, then large ones.
    x = [np.array([line[0, 0] for line in entry.get_segments()]) for entry in shown[0].collections[::2]]
    y = [np.array([line[0, 1] for line in entry.get_segments()]) for entry in shown[0].collections[1::2]]
    for lines, sides in ((x, (40.0, 200.0)), (y, (0.1, 0.5))):
        for at, side in zip(lines, sides, strict=True):
            assert np.diff(at) == pytest.approx(side)
            assert at / side == pytest.approx(np.round(at / side), abs=1e-9)
    assert len({axes.get_ylim() for axes in shown}) == 1


def test_small_and_short_leads_have_squares_that_show_them_and_the_picture_says_which(tmp_path, figures):
    times = np.linspace(0.0, 30.0, 7)
    write(tmp_path / "ecg.csv", ("E1", "E2"), times, np.outer(times / 30.0, [1e-3, -1e-3]))
    assert runs.plot(tmp_path) == (tmp_path / "ecg.png", tmp_path / "ecg.pdf")
    runs.plot(tmp_path / "ecg.csv", out=tmp_path / "e.svg", theme="dark")
    title = figures["e.svg"].get_suptitle()
    assert title == "a large square: 5 ms, 0.0005 mV"
    assert [axes.texts[0].get_text() for axes in figures["e.svg"].axes] == ["E1", "E2"]
    with pytest.raises(FileError, match="table of probes"):
        runs.plot(_written(tmp_path / "junk.csv", "time (ms),a: V (mV\n0.0,x\n"))


def _written(path, text):
    path.write_text(text)
    return path


def beats(period=400.0, number=2, end=790.0):
    """V rises to 20 mV in 1 ms and falls linearly to -80 in 200 ms, every ``period``."""
    times = np.arange(0.0, end + 0.5, 0.5)
    since = np.mod(times - 10.0, period)
    v = np.where(since < 1.0, -80.0 + 100.0 * since, np.maximum(20.0 - 0.5 * (since - 1.0), -80.0))
    return times, np.where(times < 10.0, -80.0, v)


def test_the_last_action_potential_that_is_over_is_marked(tmp_path, figures):
    times, v = beats()
    mark = last_action_potential(times, v)
    assert mark.begin == pytest.approx(410.5, abs=0.5)
    assert mark.end == pytest.approx(411.0 + 0.9 * 200.0, abs=0.5)
    assert mark.level == pytest.approx(-70.0, abs=1e-9)
    assert mark.duration == pytest.approx(mark.end - mark.begin)
    half = last_action_potential(times, v, 0.5)
    assert half.duration == pytest.approx(100.5, abs=0.6)
    early = times < 500.0  # the second one is under way
    assert last_action_potential(times[early], v[early]).begin == pytest.approx(10.5, abs=0.5)
    assert last_action_potential(times[times < 100.0], v[times < 100.0]) is None
    assert last_action_potential(times, 0.1 * v) is None
    (tmp_path / "probes.csv").write_text(
        "time (ms),apex: V (mV),apex: Ca_i (mM)\n"
        + "".join(f"{float(t)!r},{float(u)!r},0.1\n" for t, u in zip(times, v, strict=True))
    )
    runs.plot(tmp_path)
    potential, calcium = figures["probes.png"].axes
    assert potential.lines[0].get_xdata() == pytest.approx([mark.begin, mark.end])
    assert potential.get_legend().texts[0].get_text() == f"apex, APD90 {mark.duration:.4g} ms"
    assert calcium.get_legend().texts[0].get_text() == "apex"


def test_tables_of_leads_and_of_probes_are_told_apart(tmp_path):
    write(tmp_path / "a.csv", ("I", "V1"), [0.0], [[1.0, 2.0]])
    assert read_leads(tmp_path / "a.csv").names == ("I", "V1")
    assert read_leads(tmp_path / "a.csv").unit == "mV"
    probes = _written(tmp_path / "b.csv", "time (ms),apex: V (mV)\n0.0,1.0\n")
    assert len(read_curves(probes).curves) == 1
    with pytest.raises(FileError, match="table of leads"):
        read_leads(probes)
    with pytest.raises(FileError, match="table of leads"):
        read_leads(tmp_path / "none.csv")
