"""The command ``homfem cell``: a cell described, saved, drawn; a mesh checked."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from homfem import runs


def test_cell_is_described_saved_and_drawn(homfem, er, tmp_path):
    mesh, figure = tmp_path / "er.msh", tmp_path / "er.png"
    status, out, err = homfem("cell", er, "--save", mesh, "--figure", figure, "--json", tmp_path / "er.json")
    assert status == 0, err
    report = json.loads((tmp_path / "er.json").read_text())
    assert report == runs.cell(er).report()
    assert report["volume_fractions"]["er"] == pytest.approx(0.5, rel=1e-12)
    status, alone, err = homfem("cell", er, "--json", "-")
    assert (status, json.loads(alone)) == (0, report), err
    assert "periods 2 x 2 x 2 um" in out
    assert mesh.stat().st_size > 1000
    assert figure.read_bytes().startswith(b"\x89PNG")
    (tmp_path / "again.toml").write_text('[cell]\nfile = "er.msh"\nperiod = "2 um"\n')
    status, again, err = homfem("cell", tmp_path / "again.toml")
    assert status == 0, err
    assert "periods 2 x 2 x 2 um" in again
    assert [line for line in again.splitlines() if "tetrahedra" in line] == [
        line for line in out.splitlines() if "tetrahedra" in line
    ]


def case_unfolded(comm):
    """Fill a periodic function with cos(2 pi x) cos(4 pi y) and unfold it to the nodes of the arrays."""
    from dolfinx import fem

    import homfem

    def wavy(x):
        return np.cos(2 * np.pi * x[0]) * np.cos(4 * np.pi * x[1])

    cell = homfem.three_pipe(0.5, resolution=0.3, period=(1.0, 2.0, 1.0), comm=comm)
    periods = np.diag(cell.lattice.vectors)
    function = fem.Function(fem.functionspace(cell.mesh, ("Lagrange", 2)))
    function.interpolate(lambda x: wavy(x / periods[:, None]))
    values = cell.nodal_values(function)
    if cell.raw is None or values is None:
        return {}
    return {"error": float(np.abs(values - wavy((cell.raw.points / periods).T)).max()), "size": len(values)}


@pytest.mark.mpi
def test_figures_take_a_periodic_function_to_every_node(on_ranks):
    for answer in on_ranks(case_unfolded, ranks=(1, 2)):
        assert answer["size"] > 100
        assert answer["error"] < 1e-12


def test_any_mesh_can_be_checked(homfem, tmp_path):
    good = Path(__file__).parents[2] / "meshes" / "slit.geo"
    status, output, _ = homfem("cell", "--check", str(good), "--json", str(tmp_path / "report.json"))
    assert status == 0
    assert "match" in output
    report = json.loads((tmp_path / "report.json").read_text())
    assert report["ok"] is True
    import meshio

    points = np.array([[0, 0], [1, 0], [2, 0], [3, 0], [0, 3], [1.4, 3], [3, 3], [0, 1.5], [3, 1.5], [1.5, 1.5]], float)
    rim = [0, 1, 2, 3, 8, 6, 5, 4, 7]
    triangles = np.array([[a, b, 9] for a, b in zip(rim, rim[1:] + rim[:1], strict=True)])
    meshio.write(tmp_path / "bad.vtu", meshio.Mesh(np.pad(points, ((0, 0), (0, 1))), [("triangle", triangles)]))
    status, output, _ = homfem("cell", "--check", str(tmp_path / "bad.vtu"))
    assert status == 1
    assert "period 2" in output
    for arguments in (
        ["cell"],
        ["cell", "a.toml", "--check", "b.msh"],
        ["cell", "--check", str(tmp_path / "none.msh")],
    ):
        assert homfem(*arguments)[0] == 2
