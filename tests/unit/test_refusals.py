"""Checks of input one by one: each is tripped, and says the key, the value and what is allowed."""

from __future__ import annotations

import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from mpi4py import MPI

from homfem import cells
from homfem.cells import own_meshes, patience, spheres
from homfem.cells.shapes import check_edges
from homfem.cli import effective as commands
from homfem.cli.targets import check_target
from homfem.config import make_config
from homfem.config.document import DEEPEST, read_document, set_values
from homfem.parameters import FileError, InputError
from homfem.tensors import EffectiveTensor
from made_bad_inputs import IMAGE, MESH, PIPES, SPHERES, WAVE, changed, naming, npy

LONG = "x" * 5000


def refuse(message: str, kind: type[Exception] = InputError) -> Any:
    """Expect an error whose text matches."""
    return pytest.raises(kind, match=message)


@pytest.mark.parametrize(
    ("document", "path", "value", "message"),
    [
        (WAVE, "macro.output.folder", "a\0b", r"^macro\.output\.folder = 'a\\x00b': .*control characters"),
        (WAVE, "macro.time.subcycles", 1001, r"^macro\.time\.subcycles = 1001: .*<= 1000"),
        (WAVE, "macro.time.step", "1e-14 s", r"^macro\.time\.step = '1e-14 s': .*at most 1e\+09 times into 0.04 s"),
        (MESH, "cell.file", LONG, r"^cell\.file = 'xxx.*a file that exists"),
        (IMAGE, "cell.file", LONG, r"^cell\.file = 'xxx.*a file that exists"),
        (WAVE, "macro.domain", {"file": LONG, "unit": "m"}, r"^macro\.domain\.file = 'xxx.*a file that exists"),
        (WAVE, "macro.tensors.er", f"{LONG}.json", r"^macro\.tensors\.er\.file = 'xxx.*a file that exists"),
        (
            PIPES, "effective.phases.er", {"field": {"file": LONG, "unit": "m^2/s"}},
            r"^effective\.phases\.er\.field\.file = 'xxx.*a file that exists",
        ),
    ],
    ids=range(8),
)  # fmt: skip
def test_values_of_keys(document, path, value, message):
    with refuse(message):
        make_config(changed(document, tuple(path.split(".")), value))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"cell = " + b"[" * 50_000, f"nested|stand at most {DEEPEST} deep"),
        (b"cell = " + b"[" * (DEEPEST + 1) + b"]" * (DEEPEST + 1), f"stand at most {DEEPEST} deep"),
        (b"a.b . " * 10_000 + b"c = 1", f"stand at most {DEEPEST} deep"),
        (b"cell.edge = " + b"9" * 5000, "numbers of a sane length"),
        (b'a = "\xff"', "text in UTF-8. Byte 5 is not"),
    ],
    ids=["brackets", "lists", "keys", "digits", "bytes"],
)
def test_texts_that_are_no_config(tmp_path, content, message):
    (tmp_path / "c.toml").write_bytes(content)
    start = time.process_time()
    with refuse(message, FileError):
        read_document(tmp_path / "c.toml")
    assert time.process_time() - start < 1.0


def test_a_config_as_deep_as_allowed_is_read(tmp_path):
    lists = DEEPEST - 1
    (tmp_path / "c.toml").write_bytes(b"cell = " + b"[" * lists + b"]" * lists)
    assert read_document(tmp_path / "c.toml")["cell"]
    with refuse("a TOML file that exists", FileError):
        read_document(LONG)


@pytest.mark.parametrize(
    "text",
    ["cell.edge=" + "9" * 5000, "cell.edge=" + "[" * 5000, "cell." + "a." * DEEPEST + "b=1"],
    ids=["digits", "brackets", "keys"],
)
def test_assignments_without_end(text):
    with refuse("^--set = 'cell.*(sane length|at most)"):
        set_values({}, [text])


def test_numbers_that_python_does_not_print_are_refused_with_a_message():
    assert str(InputError("a", 10**5000, "small")) == "a = (too long to show): it must be small"


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: check_edges(1e-10), r"^edges = 1e-10: .*>= 1e-09"),
        (lambda: check_edges([0.5, 0.5, 1.0 - 1e-10]), r"^edges = 0.9999999999: .*<= 1"),
        (lambda: cells.myocyte(gap=1e-6), r"^gap = 1e-06: .*>= 2e-05 and < 20"),
        (lambda: cells.hexagonal_myocyte(80.0, 16.0, 1e-6), r"^gap = 1e-06: .*>= 1.6e-05 and < 16"),
        (lambda: cells.fibre_array(fraction=1e-8), r"^fraction = 1e-08: .*no gap or layer is thinner.*One is 2.8e-05"),
        (lambda: cells.fibre_array(radius=1e-5), r"^radius = 1e-05: .*no gap or layer is thinner.*One is 5e-06"),
        (lambda: cells.fibre_array(radius=0.2, coating=1e-5), r"^coating = 1e-05: .*thinner.*One is 1e-05"),
        (lambda: cells.sphere_array(fraction=1e-30), r"^fraction = 1e-30: .*no gap or layer is thinner"),
        (lambda: cells.sphere_array(radius=1e-7), r"^radius = 1e-07: .*no gap or layer is thinner"),
    ],
)
def test_sizes_that_vanish_in_the_period(make, message):
    with refuse(message):
        make()


def test_spheres_have_the_radius_of_their_fraction_apart_and_overlapping():
    # A ball apart; overlapping without its six caps.
    for radius in (0.3, 0.55):
        cap = max(radius - 0.5, 0.0)
        fraction = 4 / 3 * np.pi * radius**3 - 6 * np.pi * cap**2 * (3 * radius - cap) / 3
        assert spheres._radius("simple-cubic", fraction, None, radius > 0.5) == pytest.approx(radius, rel=1e-12)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"\xff\xfe", "text in UTF-8. Byte 0 is not"),
        (b"9" * 5000, "the JSON of an effective tensor. Exceeds"),
        (b"[" * 200_000, "the JSON of an effective tensor"),
        (b"[1, 2]", "the JSON of an effective tensor"),
    ],
    ids=["bytes", "digits", "brackets", "list"],
)
def test_tensors_that_are_none(tmp_path, content, message):
    (tmp_path / "a.json").write_bytes(content)
    with refuse(message, FileError):
        EffectiveTensor.from_json(tmp_path / "a.json")


def test_a_reader_that_does_not_end_is_ended(tmp_path, monkeypatch):
    # meshio waits for ever for the first line of a TetGen file that has none.
    monkeypatch.setattr(patience, "LEAST", 0.1)
    (tmp_path / "a.node").touch()
    with refuse("a mesh file that meshio can read.*not come to an end after 0 s", FileError):
        own_meshes.read_meshio(tmp_path / "a.node")


def test_the_limit_of_reading_is_gone_after_it_and_other_threads_have_none(tmp_path, monkeypatch):
    monkeypatch.setattr(patience, "LEAST", 0.05)
    path = tmp_path / "a"
    path.touch()

    def work() -> None:  # the clock of the limit has steps of some hundredths
        start = time.process_time()
        while time.process_time() - start < 0.4:
            pass

    with patience.reading_limit(path):
        pass
    work()
    with pytest.raises(TimeoutError), patience.reading_limit(path):
        work()
    path.write_bytes(bytes(int(3.0 * patience.BYTES_PER_SECOND)))  # three seconds more
    with patience.reading_limit(path):
        work()
    path.write_bytes(b"")
    failures: list[BaseException] = []

    def elsewhere() -> None:
        try:
            with patience.reading_limit(path):
                work()
        except BaseException as error:  # noqa: BLE001 - looked at below
            failures.append(error)

    thread = threading.Thread(target=elsewhere)
    thread.start()
    thread.join()
    assert not failures


@pytest.mark.parametrize(
    "period",
    ["-1", "[1, -1]", "[]", "[1, 1, 1, 1]", "[" * 3000, "1e999", '"a"', "[[1, 0], [2, 0]]"],
    ids=range(8),
)
def test_periods_on_the_command_line(tmp_path, period):
    (tmp_path / "a.msh").touch()
    with refuse(r"^--period = .*one length > 0"):
        commands.run_check(str(tmp_path / "a.msh"), json=None, period=period)


def test_names_that_no_file_can_have():
    for name in (LONG, "a\0b"):
        with refuse("^--json = .*a file that can be written", FileError):
            check_target("--json", name)
    with refuse("^--check = 'xxx.*a file that exists", FileError):
        commands.run_check(LONG, json=None)


def test_what_a_file_of_a_cell_holds_is_said_of_the_file(tmp_path):
    (tmp_path / "a.npy").write_bytes(npy(np.zeros((4, 4))))
    (tmp_path / "b.msh").write_text("$MeshFormat\n")
    image = make_config(changed(IMAGE, ("cell", "dimension"), 3), folder=tmp_path).cell
    with refuse(r"^cell\.file = 'a.npy': it must be an image with 3 axes. It holds an array of shape \(4, 4\)"):
        image.read(tmp_path)
    (tmp_path / "quad.vtk").write_bytes((Path(__file__).parents[1] / "cases" / "quad.vtk").read_bytes())
    skew = changed(MESH, ("cell", "period"), [["1 m", "1 m"], ["1 m", "1 m"]])
    with refuse(r"^cell\.period = .*linearly independent"):
        make_config(skew, folder=tmp_path).cell.build(MPI.COMM_SELF, tmp_path)
    (tmp_path / "flat.obj").write_text("v 0 0 0\n")
    with refuse(r"^cell\.file = 'flat.obj': it must be a usable cell, but its cells = \[\] must be at least one"):
        make_config(naming("cell", "flat.obj"), folder=tmp_path).cell.build(MPI.COMM_SELF, tmp_path)


def test_a_fluid_that_is_an_island_is_refused_under_its_key():
    config = make_config(changed(SPHERES, ("effective", "fluid"), "sphere"))
    with refuse(r"^effective\.fluid = .*connected"):
        config.effective.solve(config.cell.build(MPI.COMM_SELF, Path()), config={})
