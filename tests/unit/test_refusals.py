"""Checks of input one by one: each is tripped, and says the key, the value and what is allowed."""

from __future__ import annotations

import threading
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import typer
from mpi4py import MPI

from homfem import cells, certify
from homfem.blocks import BlockMedium, homogenize_blocks
from homfem.blocks.boxes import BoxMedium
from homfem.blocks.finite_volume import solve_finite_volume
from homfem.cli import effective as commands
from homfem.cli.app import app
from homfem.coefficients import NamedCoefficient, named_coefficients
from homfem.config import make_config, present
from homfem.config.cells import parse_cell
from homfem.config.document import DEEPEST, read_document, set_values
from homfem.grid import Image, homogenize_image
from homfem.meshing.files import foreign, time_limit
from homfem.meshing.shapes import spheres
from homfem.meshing.shapes.three_pipe_grid import check_edges
from homfem.parameters import FileError, InputError
from homfem.runs.domains import make_domain
from homfem.runs.meshless import solve_meshless
from homfem.runs.physics import solve_effective
from homfem.runs.shapes import image_of, make_cell
from homfem.runs.targets import check_target
from homfem.stiffness import check_stiffness
from homfem.stiffness.notation import check_plane
from made_bad_inputs import (
    BESIDE,
    BLOCKS,
    DELETED,
    FIBRES,
    IMAGE,
    MESH,
    PARTICLES,
    PIPES,
    SPHERES,
    WAVE,
    changed,
    naming,
    npy,
)
from made_cells import grid_cell, square

LONG = "x" * 5000


def refuse(message: str, kind: type[Exception] = InputError) -> Any:
    """Expect an error whose text matches."""
    return pytest.raises(kind, match=message)


@pytest.mark.parametrize(
    ("document", "path", "value", "message"),
    [
        (WAVE, "macro.output.folder", "a\0b", r"^macro\.output\.folder = 'a\\x00b': .*control characters"),
        (WAVE, "macro.output.folder", "a\ud800b", r"^macro\.output\.folder = .*control characters"),
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
    ids=range(9),
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
    with refuse("^overrides = 'cell.*(sane length|at most)"):
        set_values({}, [text])


def test_numbers_that_python_does_not_print_are_refused_with_a_message():
    assert str(InputError("a", 10**5000, "small")) == "a = (too long to show): it must be small"


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: check_edges(1e-10), r"^edges = 1e-10: .*at least 1e-09 away from 0"),
        (lambda: check_edges([0.5, 0.5, 1.0 - 1e-10]), r"^edges = .*0.9999999999\]: .*at least 1e-09 away"),
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


def test_a_reader_that_does_not_end_is_ended(tmp_path, monkeypatch):
    # meshio waits for ever for the first line of a TetGen file that has none.
    monkeypatch.setattr(time_limit, "LEAST", 0.1)
    (tmp_path / "a.node").touch()
    with refuse("a mesh file that meshio can read.*not come to an end after 0 s", FileError):
        foreign.read_meshio(tmp_path / "a.node")


def test_the_limit_of_reading_is_gone_after_it_and_other_threads_have_none(tmp_path, monkeypatch):
    monkeypatch.setattr(time_limit, "LEAST", 0.05)
    path = tmp_path / "a"
    path.touch()

    def work() -> None:  # the clock of the limit has steps of some hundredths
        start = time.process_time()
        while time.process_time() - start < 0.4:
            pass

    with time_limit.reading_limit(path):
        pass
    work()
    with pytest.raises(TimeoutError), time_limit.reading_limit(path):
        work()
    path.write_bytes(bytes(int(3.0 * time_limit.BYTES_PER_SECOND)))  # three seconds more
    with time_limit.reading_limit(path):
        work()
    path.write_bytes(b"")
    failures: list[BaseException] = []

    def elsewhere() -> None:
        try:
            with time_limit.reading_limit(path):
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
        image_of(image, tmp_path)
    (tmp_path / "quad.vtk").write_bytes((Path(__file__).parents[1] / "cases" / "quad.vtk").read_bytes())
    skew = changed(MESH, ("cell", "period"), [["1 m", "1 m"], ["1 m", "1 m"]])
    with refuse(r"^cell\.period = .*linearly independent"):
        make_cell(make_config(skew, folder=tmp_path).cell, MPI.COMM_SELF, tmp_path)
    solid = changed(MESH, ("cell", "period"), [["1 m", "0 m", "0 m"], ["0 m", "1 m", "0 m"], ["0 m", "0 m", "1 m"]])
    solid = changed(solid, ("cell", "dimension"), DELETED)
    with refuse(r"^cell\.period = .*2 period vectors, as the mesh has quadrilateral cells"):
        make_cell(make_config(solid, folder=tmp_path).cell, MPI.COMM_SELF, tmp_path)
    (tmp_path / "flat.obj").write_text("v 0 0 0\n")
    with refuse(r"^cell\.file = 'flat.obj': it must be a usable cell, but its cells = \[\] must be at least one"):
        make_cell(make_config(naming("cell", "flat.obj"), folder=tmp_path).cell, MPI.COMM_SELF, tmp_path)


def test_a_fluid_that_is_an_island_is_refused_under_its_key():
    config = make_config(changed(SPHERES, ("effective", "fluid"), "sphere"))
    with refuse(r"^effective\.fluid = .*connected"):
        solve_effective(config.effective, make_cell(config.cell, MPI.COMM_SELF, Path()), config={})


# Checks that nothing else trips: the config, the path of the key, its value, the message.
ROWS: list[tuple[Any, str, Any, str]] = [
    (WAVE, "macro.stimulus.centre", ["0 um"], r"^macro\.stimulus\.centre = .*2 lengths, as the domain"),
    (WAVE, "macro.stimulus.centre", [], r"^macro\.stimulus\.centre = .*1 to 3 lengths"),
    (WAVE, "macro.model", DELETED, r"^macro\.model = \(missing\): .*'calcium'"),
    (WAVE, "macro.tensors.er", 3, r"^macro\.tensors\.er = 3: .*one of the keys file, value, phase"),
    (WAVE, "macro.domain.size", [], r"^macro\.domain\.size = \[\]: .*2 or 3 lengths"),
    (MESH, "cell.period", [["1 m"]] * 4, r"^cell\.period = .*2 or 3 period vectors"),
    (MESH, "cell.period", [["1 m", "0 m"], ["1 m"]], r"^cell\.period\[1\] = \['1 m'\]: .*2 period vectors"),
    (MESH, "cell.trust", True, r"^cell\.trust = True: .*false for a \.vtk file"),
    (MESH, "cell.cracks", 1, r"^cell\.cracks = 1: .*true or false"),
    (IMAGE, "effective.boundary", "flux", r"^effective\.boundary = 'flux': .*'periodic' with method 'grid'"),
    (
        BLOCKS, "effective.phases.a", {"field": {"file": "quad.vtk", "unit": "m^2/s"}},
        r"^effective\.phases\.a = .*one value with method 'semi-analytical'",
    ),
    (
        IMAGE, "effective.phases.a", {"field": {"file": "a.npy", "unit": "m^2/s"}, "also": 1},
        r"^effective\.phases\.a\.also = 1: .*only the key field",
    ),
    (
        IMAGE, "effective.phases.a", {"field": {"file": "a.npy", "unit": "m^2/s", "name": 3}},
        r"^effective\.phases\.a\.field\.name = 3: .*a name",
    ),
    (PARTICLES, "cell.semi_axes", [0.1, 0.2], r"^cell\.semi_axes = .*absent for particle = 'sphere'"),
    (PARTICLES, "cell.period", ["1 m", "2 m"], r"^cell\.period = .*one length: the cell is a square"),
    (PARTICLES, "cell.period", [["1 m", "0 m"], ["0 m", "1 m"]], r"^cell\.period = .*one length"),
]  # fmt: skip


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder with the files that the configs name."""
    place = tmp_path_factory.mktemp("files")
    for name, content in BESIDE.items():
        (place / name).write_bytes(content)
    return place


@pytest.mark.parametrize(("document", "path", "value", "message"), ROWS, ids=range(len(ROWS)))
def test_further_values_of_keys(folder, document, path, value, message):
    with refuse(message):
        config = make_config(changed(document, tuple(path.split(".")), value), folder=folder)
        solve_meshless(config.cell, config.effective, folder)


def test_greys_without_limits_or_names(folder):
    grey = changed(IMAGE, ("cell", "labels"), DELETED)
    for key, value, message in (("thresholds", [], "numbers that grow"), ("names", [], "one more than thresholds")):
        document = changed(changed(grey, ("cell", "thresholds"), 0.5), ("cell", key), value)
        with refuse(rf"^cell\.{key} = \[\]: .*{message}"):
            make_config(document, folder=folder)


@pytest.mark.parametrize(("key", "value"), [("method", "grid"), ("physics", "elasticity")])
def test_tensors_of_a_model_come_from_diffusion_on_meshes(folder, key, value):
    base = FIBRES if key == "physics" else IMAGE
    document = {**base, **changed(WAVE, ("macro", "tensors", "er"), {"phase": "a"})}
    with refuse(rf"^effective\.{key} = '{value}': .*'(diffusion|finite-element)'( or 'reaction')? for \[macro\]"):
        make_config(document, folder=folder)


def test_tables_that_are_needed_later():
    with refuse(r"^cell = \(missing\): it must be given, as a table \[cell\]"):
        present("cell", None)
    with refuse(r"^overrides = .*the path of one key"):
        set_values({}, ["[a]\n[b]\nc=1"])
    with refuse(r"^method = 'grid': it must be 'finite-element' for this cell"):
        solve_meshless(parse_cell(FIBRES["cell"], Path()), SimpleNamespace(method="grid"), Path())  # type: ignore[arg-type]


@pytest.mark.parametrize("arguments", [["cell"], ["cell", "c.toml", "--check", "a.msh"], ["cell", "c.toml", "--trust"]])
def test_options_that_do_not_go_together(arguments):
    with pytest.raises(typer.BadParameter, match=r"either CONFIG\.toml or --check|go with --check"):
        app(arguments, standalone_mode=False)


def test_domains_that_are_no_simplices_or_not_flat(folder):
    domain = make_config(naming("domain", "quad.vtk"), folder=folder).macro.domain
    with refuse(r"^file = .*straight triangles or tetrahedra.*It has quad"):
        make_domain(domain, MPI.COMM_SELF, folder)
    (folder / "bent.obj").write_text("v 0 0 0\nv 1 0 0\nv 0 1 0\nv 1 1 1\nf 1 2 3\nf 2 4 3\n")
    with refuse(r"^file = .*flat mesh if it is one of triangles"):
        make_domain(make_config(naming("domain", "bent.obj"), folder=folder).macro.domain, MPI.COMM_SELF, folder)


def reach(method, tolerance):
    """Ask a method for a tolerance on the simplest medium: two layers, 1 and 3."""
    if method == "blocks":
        return homogenize_blocks(BlockMedium(diffusivity=[[1.0, 3.0]]), tolerance=tolerance)
    if method == "grid":
        image = Image.from_labels([[0, 0], [1, 1]], {"a": 0, "b": 1})
        return homogenize_image(image, {"a": 1.0, "b": 3.0}, tolerance=tolerance, rtol=1e-10)
    cell = grid_cell((4, 4), square)
    if method == "stokes":
        return certify.homogenize_stokes(cell, fluid="b", tolerance=tolerance)
    if method == "diffusion":
        return certify.homogenize_diffusion(cell, {"a": 1.0, "b": 3.0}, tolerance=tolerance)
    return certify.homogenize_elasticity(cell, {"a": {"young": 1.0, "poisson": 0.3}}, tolerance=tolerance)


@pytest.mark.parametrize("method", ["blocks", "grid", "stokes", "diffusion", "elasticity"])
def test_tolerances_that_round_off_keeps_from_all_media_are_refused(method):
    with refuse(r"^tolerance = 1e-300: it must be a finite number >= 1e-13.*\. Round-off alone leaves about that much"):
        reach(method, 1e-300)
    with refuse(r"^tolerance = -1.0: it must be a finite number >= 1e-13( and < 1)?$"):
        reach(method, -1.0)
    if method in ("blocks", "grid"):
        assert reach(method, 1e-13).reached


def test_arguments_of_media_and_stiffnesses():
    ones = np.ones((2, 2, 2))
    for make, message in (
        (lambda: BoxMedium(diffusivity=ones[0]), r"^diffusivity = .*\(n1, n2, n3\)"),
        (lambda: BoxMedium(diffusivity=np.arange(8.0).reshape(2, 2, 2)), r"^diffusivity = .*> 0 in every box"),
        (lambda: BoxMedium(diffusivity=ones, lengths=([1.0, 1.0],)), r"^lengths = .*three lists of lengths"),
        (lambda: BoxMedium(diffusivity=ones).graded((0.5, 0.6)), r"^shares = .*whose sum is 1"),
        (lambda: BlockMedium.from_layout([["ab"], ["ba"]], {"a": 1.0}), r"^layout = .*two dimensions"),
        (lambda: BlockMedium.from_layout(["ab"], {"a": 1.0}).dual(), r"^diffusivity = 0.0: .*> 0 in every block"),
        (
            lambda: solve_finite_volume(
                BlockMedium.from_layout(["ab"], {"a": 1.0, "b": 2.0}, widths=[1.0, 2.0]), intervals=2, solver="fft"
            ),
            r"^solver = 'fft': .*not equally spaced",
        ),
        (lambda: check_plane("stress", 3), r"^plane = 'stress': .*left out in three dimensions"),
        (lambda: check_stiffness("c", [[1.0], [2.0, 3.0]], 2), r"^c = .*symmetric positive definite 3x3"),
        (lambda: NamedCoefficient(value=1.0, lower=[1.0, 2.0]), r"^lower = .*finite, of shape \(\)"),
        (lambda: named_coefficients({"biot": {"rubbish": 1}}), r"^coefficients\.biot = .*value, lower, upper"),
    ):
        with refuse(message):
            make()
