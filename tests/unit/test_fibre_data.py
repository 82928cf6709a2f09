"""Fibres by name from .vtu and from the XDMF of DOLFINx, of cells and of points; what is no direction is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import h5py
import meshio
import numpy as np
import pytest
from dolfinx import fem, io, mesh
from mpi4py import MPI

from homfem._dolfinx import geometry_dofmap, original_cell_index
from homfem.macro.domain_makers import read_domain
from homfem.macro.fibre_files import fibres_of_file
from homfem.meshing.files.body import read_body
from homfem.meshing.files.directions import read_directions
from homfem.parameters import FileError, InputError


def turning(x: np.ndarray) -> np.ndarray:
    """Unit vectors that turn with x: (3, n) -> (3, n)."""
    return np.array([0 * x[0], np.cos(x[0]), np.sin(x[0])])


def write_vtu(path: Path, change: Any = None) -> np.ndarray:
    """A cube with the fibres "f" at points, some of them the other way round; returns the middles of its cells."""
    made = mesh.create_unit_cube(MPI.COMM_SELF, 3, 3, 3)
    points, cells = made.geometry.x.copy(), geometry_dofmap(made).astype(np.int64)
    values = turning(points.T).T
    values[::3] *= -1.0
    if change is not None:
        change(values)
    unused = np.vstack([points, [[9.0, 9.0, 9.0]]])
    data = np.vstack([values, [[0.0, 0.0, 7.0]]])  # a point of no cell may have anything
    meshio.Mesh(unused, [("tetra", cells)], point_data={"f": data, "v": data[:, 0]}).write(path)
    return points[cells].mean(axis=1)


def test_fibres_of_points_are_turned_to_one_side(tmp_path: Path) -> None:
    middles = write_vtu(tmp_path / "f.vtu")
    found = read_directions(tmp_path / "f.vtu", "f")
    exact = turning(middles.T).T
    assert np.linalg.norm(found, axis=1) == pytest.approx(1.0, abs=1e-14)
    assert np.abs(np.einsum("ij,ij->i", found, exact)).min() > 1 - 1e-3  # of 1 + O(h^2)
    domain = read_domain(MPI.COMM_SELF, tmp_path / "f.vtu", unit="mm")
    frame = fibres_of_file(domain.mesh, tmp_path / "f.vtu", "f")
    own = np.asarray(frame.fibre.x.array).reshape(-1, 3)
    assert own == pytest.approx(found[original_cell_index(domain.mesh)], abs=1e-14)


def test_places_without_fibres_do_not_count_in_a_mean(tmp_path: Path) -> None:
    def change(values: np.ndarray) -> None:
        values[::2] = 0.0

    write_vtu(tmp_path / "f.vtu", change)
    lengths = np.linalg.norm(read_directions(tmp_path / "f.vtu", "f"), axis=1)
    assert set(np.round(lengths, 12)) <= {0.0, 1.0}
    assert lengths.mean() > 0.8


@pytest.mark.parametrize(
    ("value", "said"),
    [([np.nan] * 3, "[nan, nan, nan]"), ([0.0, 0.5, 0.0], "[0.0, 0.5, 0.0]"), ([np.inf, 0.0, 0.0], "[inf, 0.0, 0.0]")],
)
def test_the_vertex_of_a_direction_that_is_none_is_told(tmp_path: Path, value: list[float], said: str) -> None:
    """As at the apex of many a heart, where rules divide by zero."""

    def change(values: np.ndarray) -> None:
        values[5] = value

    write_vtu(tmp_path / "f.vtu", change)
    points = np.asarray(meshio.read(tmp_path / "f.vtu").points)[5]
    with pytest.raises(InputError) as caught:
        read_directions(tmp_path / "f.vtu", "f")
    place = ", ".join(f"{x:.6g}" for x in points)
    for text in (said, "unit vectors", "1 are of another length", f"at node 5, ({place})"):
        assert text in str(caught.value)


def test_data_that_are_no_vectors_or_not_there_are_refused(tmp_path: Path) -> None:
    write_vtu(tmp_path / "f.vtu")
    with pytest.raises(InputError, match=r"name = \(65,\).*2 or 3 components"):
        read_directions(tmp_path / "f.vtu", "v")
    with pytest.raises(InputError, match=r"name = 'g'.*in the file: 'f', 'v' of points"):
        read_directions(tmp_path / "f.vtu", "g")
    with pytest.raises(FileError, match=r"one field, or name the one that is meant: 'f', 'v' of points"):
        read_directions(tmp_path / "f.vtu", None)  # there are two


def write_dolfinx(path: Path, comm: MPI.Comm = MPI.COMM_SELF, order: int = 1) -> None:
    made = mesh.create_unit_cube(comm, 3, 3, 3)
    x = mesh.compute_midpoints(made, 3, np.arange(162, dtype=np.int32)).T
    nodal = fem.Function(fem.functionspace(made, ("Lagrange", order, (3,))), name="f_nodes")
    nodal.interpolate(turning)
    cells = fem.Function(fem.functionspace(made, ("DG", 0, (3,))), name="f_cells")
    cells.interpolate(turning)
    tags = mesh.meshtags(made, 3, np.arange(162, dtype=np.int32), np.where(x[0] < 0.5, 4, 9).astype(np.int32))
    tags.name = "tissue"
    made.topology.create_connectivity(2, 3)
    made.topology.create_connectivity(2, 0)
    facets = np.sort(mesh.exterior_facet_indices(made.topology)).astype(np.int32)
    z = mesh.compute_midpoints(made, 2, facets)[:, 2]
    sides = mesh.meshtags(made, 2, facets, np.where(z > 1 - 1e-9, 7, 2).astype(np.int32))
    sides.name = "walls"
    with io.XDMFFile(comm, str(path), "w") as file:
        file.write_mesh(made)
        if order == 1:
            file.write_function(nodal, 0.0)
        file.write_function(cells, 0.0)
        file.write_meshtags(tags, made.geometry)
        file.write_meshtags(sides, made.geometry)


def case_dolfinx(comm: MPI.Comm, *, path: str) -> dict[str, Any]:
    domain = read_domain(comm, path, unit="mm", regions={"scar": 4, "wall": 9}, boundaries={"top": 7})
    owned = domain.mesh.topology.index_map(3).size_local
    x = mesh.compute_midpoints(domain.mesh, 3, np.arange(owned, dtype=np.int32)).T
    apart = {}
    for name in ("f_cells", "f_nodes"):
        f = np.asarray(fibres_of_file(domain.mesh, path, name).fibre.x.array).reshape(-1, 3)[:owned]
        apart[name] = comm.allreduce(float(np.abs(f - turning(x).T).max(initial=0.0)), op=MPI.MAX)
    one = fem.Constant(domain.mesh, 1.0)
    top = comm.allreduce(fem.assemble_scalar(fem.form(one * domain.ds("top"))))
    return {"volumes": dict(sorted(domain.volumes().items())), "top": top, "apart": apart}


@pytest.mark.mpi
def test_a_file_of_dolfinx_has_mesh_functions_and_tags(on_ranks, tmp_path: Path) -> None:
    write_dolfinx(tmp_path / "heart.xdmf")
    for found in on_ranks(case_dolfinx, ranks=(1, 2), path=str(tmp_path / "heart.xdmf")):
        assert found["volumes"] == pytest.approx({"scar": 0.5, "wall": 0.5}, rel=0.2)
        assert sum(found["volumes"].values()) == pytest.approx(1.0)
        assert found["top"] == pytest.approx(1.0)
        assert found["apart"]["f_cells"] < 1e-14
        assert found["apart"]["f_nodes"] < 0.03
    assert set(read_body(tmp_path / "heart.xdmf").regions) == {"4", "9"}


def test_tags_belong_to_their_cells_in_any_order(tmp_path: Path) -> None:
    write_dolfinx(tmp_path / "heart.xdmf")
    expected = read_body(tmp_path / "heart.xdmf")
    with h5py.File(tmp_path / "heart.h5", "r+") as file:
        order = np.random.default_rng(0).permutation(162)
        for name in ("topology", "Values"):
            data = file[f"MeshTags/tissue/{name}"]
            data[...] = data[...][order]
    found = read_body(tmp_path / "heart.xdmf")
    assert (found.region_of_cell == expected.region_of_cell).all()
    left = found.points[found.cells].mean(axis=1)[:, 0] < 0.5
    assert (left == (found.region_of_cell == found.regions["4"])).all()


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("heart.h5:/Mesh/mesh/topology", "heart.h5:/Mesh/mesh/nothing", "numbers are all there"),
        ("heart.h5:/Mesh/mesh/geometry", "other.h5:/Mesh/mesh/geometry", "numbers are all there"),
        ('TopologyType="Tetrahedron"', 'TopologyType="Dodecahedron"', "it has 'Dodecahedron'"),
        ("heart.h5:/Function/f_cells/0", "heart.h5:/Function/f_nodes/0", "'f_cells' have 162 values; they have 64"),
        ("heart.h5:/MeshTags/tissue/topology", "heart.h5:/Mesh/mesh/geometry", "whole numbers"),
        ('<Geometry GeometryType="XYZ">', '<Nothing GeometryType="XYZ">', "meshio|mesh"),
    ],
)
def test_a_file_of_dolfinx_that_does_not_fit_is_refused(tmp_path: Path, old: str, new: str, said: str) -> None:
    write_dolfinx(tmp_path / "heart.xdmf")
    text = (tmp_path / "heart.xdmf").read_text()
    assert old in text
    (tmp_path / "heart.xdmf").write_text(text.replace(old, new))
    with pytest.raises(FileError, match=said):
        read_directions(tmp_path / "heart.xdmf", "f_cells")
