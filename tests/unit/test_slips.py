"""A number with a zero too many in a config: refused at once, by its key, before anything is made."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from homfem import cli
from homfem.cli import session
from homfem.config import load_config
from homfem.limits import VARIABLE
from homfem.runs.tensors import systems_on

DIFFUSION = '[effective]\nphysics = "diffusion"\n'
PHASES = {
    "blocks": 'L = "1 m^2/s"\nD = "2 m^2/s"\n',
    "random-particles": 'matrix = "1 m^2/s"\ninclusion = "2 m^2/s"\n',
    "gaussian-field": 'matrix = "1 m^2/s"\ninclusion = "2 m^2/s"\n',
    "image": 'a = "1 m^2/s"\nb = "2 m^2/s"\n',
    "three-pipe": 'er = "1 m^2/s"\n',
    "obstacles": 'pore = "1 m^2/s"\n',
}
RANDOM = "fraction = 0.3\nseed = 1\n"
DISCS, FIELD = RANDOM + "radius = 0.1\n", RANDOM + "correlation_length = 0.2\n"
LAYOUT = 'layout = ["LD", "DL"]\n'
IMAGE = 'file = "a.npy"\nlabels = { a = 0, b = 1 }\nvoxel = "1 m"\n'
# The key that decides, the shape, further keys of [cell] and of [effective].
SLIPS = [
    ("cell.resolution", "three-pipe", "edge = 0.1\nresolution = 2e-3\n", ""),
    ("cell.resolution", "three-pipe", "edge = 0.1\nresolution = 1e-6\n", ""),
    ("cell.resolution", "obstacles", 'edge = 0.5\nperiod = ["1 nm", "1 km"]\n', ""),
    ("effective.abscissas", "blocks", LAYOUT, 'method = "semi-analytical"\nabscissas = 1000000000\n'),
    ("effective.intervals", "blocks", LAYOUT, 'method = "finite-volume"\nintervals = 1000000\n'),
    ("effective.max_dofs", "blocks", LAYOUT, "method = 'corner-galerkin'\nmax_dofs = 3\n"),
    ("effective.max_dofs", "blocks", LAYOUT + "resolution = 0.2\n", "symmetry = 'none'\nmax_dofs = 383\n"),
    ("effective.max_dofs", "image", IMAGE, 'method = "grid"\nmax_dofs = 15\n'),
    ("effective.refine", "image", IMAGE, 'method = "grid"\nrefine = 100000\n'),
    ("cell.voxels", "random-particles", DISCS + "voxels = 1000000\n", 'method = "grid"\n'),
    ("cell.voxels", "random-particles", DISCS + "voxels = 11000\n", 'method = "grid"\n'),
    ("cell.radius", "random-particles", RANDOM + "radius = 1e-4\n", ""),
    ("cell.radius", "random-particles", RANDOM + "radius = 1e-12\noverlap = true\n", ""),
    ("cell.radius", "random-particles", RANDOM + "radius = 1e-4\ndimension = 3\n", 'method = "grid"\n'),
    ("cell.resolution", "random-particles", DISCS + "resolution = 1e-6\n", ""),
    ("cell.refinement", "random-particles", DISCS + "resolution = 5e-3\nrefinement = 6\n", ""),
    ("cell.resolution", "blocks", LAYOUT + "resolution = 8e-4\n", ""),
    ("cell.voxels", "gaussian-field", FIELD + "voxels = 1000000\n", 'method = "grid"\n'),
    ("cell.correlation_length", "gaussian-field", RANDOM + "correlation_length = 1e-6\n", ""),
]


def status_of(*arguments: Any) -> int:
    """Run the command in this process; the exit status."""
    with pytest.raises(SystemExit) as end:
        cli.main([str(argument) for argument in arguments])
    return int(end.value.code or 0)


@pytest.fixture(autouse=True)
def alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """No launcher of MPI, and a machine of some size."""
    for name in session._LAUNCHERS:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv(VARIABLE, "5 GB")


@pytest.mark.parametrize(("key", "shape", "cell", "effective"), SLIPS)
def test_slips_end_with_status_two_and_their_key(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, key: str, shape: str, cell: str, effective: str
) -> None:
    np.save(tmp_path / "a.npy", (np.arange(16).reshape(4, 4) % 2).astype(np.uint8))
    text = f'[cell]\nshape = "{shape}"\n{cell}{DIFFUSION}{effective}[effective.phases]\n{PHASES[shape]}'
    (tmp_path / "a.toml").write_text(text)
    start = time.process_time()
    assert status_of("effective", tmp_path / "a.toml") == 2
    assert time.process_time() - start < 5.0
    captured = capsys.readouterr()
    assert captured.err.startswith(f"homfem: {key} = ")
    assert captured.err.count("\n") == 1
    assert not captured.out


@pytest.mark.parametrize(
    ("change", "each"),
    [
        ("", 4500.0),  # three unknowns of fluxes for each triangle
        ("effective.phases={ L = '1 m^2/s' }", 0.0),  # on how many triangles is not known
        ("effective.symmetry=auto", 0.0),
        ("effective.boundary=affine", 0.0),
        ("effective.degree=1", 0.0),
    ],
)
def test_what_the_bounds_take_is_known_for_whole_cells(tmp_path: Path, change: str, each: float) -> None:
    text = f'[cell]\nshape = "blocks"\n{LAYOUT}{DIFFUSION}[effective.phases]\n{PHASES["blocks"]}'
    (tmp_path / "a.toml").write_text(text)
    assert systems_on(load_config(tmp_path / "a.toml", assignments=[change] if change else [])) == each


def test_a_refinement_that_is_too_fine_is_refused(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv(VARIABLE, "20 MB")
    cell = f'[cell]\nshape = "random-particles"\n{DISCS}resolution = 0.05\nrefinement = 6\n'
    (tmp_path / "a.toml").write_text(f"{cell}{DIFFUSION}[effective.phases]\n{PHASES['random-particles']}")
    assert status_of("effective", tmp_path / "a.toml") == 2
    assert capsys.readouterr().err.startswith("homfem: cell.refinement = 6: ")


@pytest.mark.parametrize(
    "domain",
    ['shape = "box"\nsize = ["1 mm", "1 mm", "1 mm"]', 'shape = "cell-body"\nsize = ["1 mm", "1 mm", "1 mm"]'],
)
def test_huge_domains_are_refused(capsys: pytest.CaptureFixture[str], tmp_path: Path, domain: str) -> None:
    (tmp_path / "a.toml").write_text(
        f'[macro]\nmodel = "calcium"\n[macro.domain]\n{domain}\nresolution = "0.1 um"\n[macro.tensors]\n'
        'cytosol = { value = "16 um^2/s", volume_fraction = 0.8 }\ner = { value = "2 um^2/s", volume_fraction = 0.2 }\n'
        'interface_area = "2 1/um"\n[macro.kinetics]\nip3 = "0.3 uM"\n[macro.time]\nend = "0.4 s"\nstep = "20 ms"\n'
    )
    assert status_of("run", tmp_path / "a.toml") == 2
    error = capsys.readouterr().err
    assert error.startswith("homfem: macro.domain.resolution = ")
    assert "5 GB of memory" in error
