"""Coefficients by region and in fibre axes: against rotations by hand, the same on every rank, refusals."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import ufl
from dolfinx import fem, mesh
from mpi4py import MPI

from homfem.kinds import CONDUCTIVITY, DIFFUSION
from homfem.macro.coefficients import scalar_coefficient, tensor_coefficient
from homfem.macro.domain import Domain
from homfem.macro.fibres import FibreFrame
from homfem.parameters import InputError, UnitError
from homfem.tensors import EffectiveTensor

ORTHOTROPIC = np.array([[3.0, 0.2, 0.0], [0.2, 2.0, 0.1], [0.0, 0.1, 1.0]])


def cube(comm=MPI.COMM_SELF, fibres=True, sheet=True) -> Domain:
    """Regions "low" and "high" (x from .5), fibres that turn with z about z, by cell."""
    made = mesh.create_unit_cube(comm, 4, 4, 4)
    domain = Domain(mesh=made, unit="mm").with_regions({"low": lambda x: x[0] < 0.5, "high": lambda x: x[0] > 0.5})
    if not fibres:
        return domain
    z = midpoints(domain)[:, 2]
    f = np.stack([np.cos(z), np.sin(z), 0 * z], axis=1)
    s = np.stack([0 * z, 0 * z, 1 + 0 * z], axis=1)
    return domain.with_fibres(FibreFrame.of_cells(made, fibre=f, sheet=s if sheet else None))


def midpoints(domain: Domain) -> np.ndarray:
    d = domain.dimension
    index_map = domain.mesh.topology.index_map(d)
    return mesh.compute_midpoints(
        domain.mesh, d, np.arange(index_map.size_local + index_map.num_ghosts, dtype=np.int32)
    )


def measured(value, unit="S/m", dimension=3):
    return EffectiveTensor.measured("cells", value, unit=unit, physics="conductivity", dimension=dimension)


def frame_at(z: float) -> np.ndarray:
    return np.array([[math.cos(z), math.sin(z), 0.0], [0.0, 0.0, 1.0], [math.sin(z), -math.cos(z), 0.0]])


def mean(coefficient, domain):
    """The mean over the cells of a tensor of degree 0."""
    owned = domain.mesh.topology.index_map(3).size_local
    values = coefficient.x.array.reshape(-1, 3, 3)[:owned]
    total = (domain.cell_volumes()[:owned, None, None] * values).sum(axis=0)
    return domain.comm.allreduce(total)


def case_turned(comm):
    domain = cube(comm)
    given = {"low": measured(ORTHOTROPIC), "high": 0.5}
    coefficient = tensor_coefficient("k", domain, given, CONDUCTIVITY, unit="mS/mm", axes="fibre")
    scalar = scalar_coefficient("c", domain, {"low": 2.0, "*": 5.0})
    owned = domain.mesh.topology.index_map(3).size_local
    return {
        "mean": mean(coefficient, domain).tolist(),
        "scalar": comm.allreduce(float(domain.cell_volumes()[:owned] @ scalar.x.array[:owned])),
    }


def test_tensors_in_fibre_axes_by_region_on_any_ranks(on_ranks):
    """By hand: of each cell its rotation; S/m are mS/mm."""
    domain = cube()
    expected = np.zeros((3, 3))
    for volume, (x, _, z) in zip(domain.cell_volumes(), midpoints(domain), strict=True):
        axes = frame_at(z)
        expected += volume * (axes.T @ ORTHOTROPIC @ axes if x < 0.5 else 0.5 * np.eye(3))
    for found in on_ranks(case_turned):
        assert np.array(found["mean"]) == pytest.approx(expected, rel=1e-12, abs=1e-14)
        assert found["scalar"] == pytest.approx(3.5, rel=1e-12)


def test_without_sheets_the_directions_across_are_alike():
    domain = cube(sheet=False)
    found = tensor_coefficient("k", domain, np.diag([3.0, 1.0, 1.0]), CONDUCTIVITY, unit="mS/mm", axes="fibre")
    values = found.x.array.reshape(-1, 3, 3)
    z = midpoints(domain)[:, 2]
    f = np.stack([np.cos(z), np.sin(z), 0 * z], axis=1)
    assert values == pytest.approx(np.eye(3) + 2.0 * np.einsum("ci,cj->cij", f, f), abs=1e-14)
    with pytest.raises(InputError, match=r"k.*alike in all directions across.*sheets"):
        tensor_coefficient("k", domain, np.diag([3.0, 2.0, 1.0]), CONDUCTIVITY, unit="mS/mm", axes="fibre")
    given = {"low": ORTHOTROPIC, "high": 1.0}
    with pytest.raises(InputError, match=r"k\.low.*alike in all directions across"):
        tensor_coefficient("k", domain, given, CONDUCTIVITY, unit="mS/mm", axes="fibre")


def test_constant_axes_give_a_constant():
    domain = cube(fibres=False)
    domain = domain.with_fibres(FibreFrame.constant(domain.mesh, [1, 2, 2], sheet=[0, 1, -1]))
    found = tensor_coefficient("k", domain, ORTHOTROPIC, CONDUCTIVITY, unit="mS/mm", axes="fibre")
    f, s = np.array([1, 2, 2]) / 3, np.array([0, 1, -1]) / math.sqrt(2)
    axes = np.stack([f, s, np.cross(f, s)])
    assert isinstance(found, fem.Constant)
    assert found.value == pytest.approx(axes.T @ ORTHOTROPIC @ axes, abs=1e-14)
    by_region = tensor_coefficient(
        "k", domain, {"*": ORTHOTROPIC, "low": 1.0}, CONDUCTIVITY, unit="mS/mm", axes="fibre"
    )
    assert by_region.x.array.reshape(-1, 3, 3)[domain.cells("high")[0]] == pytest.approx(found.value, abs=1e-14)


def test_axes_at_nodes_and_in_the_plane():
    """The energy of a linear field: along x in fibres that turn with y, in closed form up to the mesh."""
    square = mesh.create_unit_square(MPI.COMM_SELF, 8, 8)
    domain = Domain(mesh=square, unit="mm")
    frame = FibreFrame.of_nodes(square, lambda x: np.array([np.cos(x[1]), np.sin(x[1])]))
    exact = 2.0 + 0.5 * math.sin(2.0)  # of 3 cos^2 + sin^2
    y = midpoints(domain)[:, 1]
    by_cell = FibreFrame.of_cells(square, fibre=np.stack([np.cos(y), np.sin(y)], axis=1))
    for axes in (frame, by_cell):
        given = np.diag([3.0, 1.0])
        k = tensor_coefficient("k", domain.with_fibres(axes), given, DIFFUSION, unit="um^2/s", axes="fibre")
        found = fem.assemble_scalar(fem.form(k[0, 0] * ufl.dx(metadata={"quadrature_degree": 2}, domain=square)))
        assert found == pytest.approx(exact, rel=2e-3)


def test_uniform_tensors_are_constants_in_the_unit_of_the_model():
    domain = cube(fibres=False)
    tensor = replace(measured(ORTHOTROPIC, unit="mS/cm"), volume_fractions={"cells": 0.5})
    found = tensor_coefficient("k", domain, tensor, CONDUCTIVITY, unit="mS/mm", per_phase=True)
    assert isinstance(found, fem.Constant)
    assert found.value == pytest.approx(0.2 * ORTHOTROPIC, rel=1e-12)
    assert tensor_coefficient("k", domain, 2.0, DIFFUSION, unit="um^2/s").value.tolist() == (2.0 * np.eye(3)).tolist()


@pytest.mark.parametrize("sheet", [False, True])
def test_a_place_without_fibres_takes_an_isotropic_tensor_alone(sheet):
    domain = cube(fibres=False)
    fibre = np.where(midpoints(domain)[:, :1] < 0.5, [[1.0, 0.0, 0.0]], 0.0)
    across = np.tile([[0.0, 0.0, 1.0]], (len(fibre), 1)) if sheet else None
    domain = domain.with_fibres(FibreFrame.of_cells(domain.mesh, fibre=fibre, sheet=across))
    given = {"low": np.diag([3.0, 1.0, 1.0]), "high": 0.5}
    found = tensor_coefficient("k", domain, given, CONDUCTIVITY, unit="mS/mm", axes="fibre").x.array.reshape(-1, 3, 3)
    assert found[domain.cells("high")[0]] == pytest.approx(0.5 * np.eye(3))
    with pytest.raises(
        InputError, match=r"k\.high = .*isotropic where there are no fibres. 192 cells of region 'high'"
    ):
        tensor_coefficient("k", domain, given["low"], CONDUCTIVITY, unit="mS/mm", axes="fibre")


@pytest.mark.parametrize(
    ("given", "options", "error", "named"),
    [
        ({"low": 1.0}, {}, InputError, r"k = \['low'\].*'high' would have none"),
        ({"low": 1.0, "hig": 2.0}, {}, InputError, r"k = 'hig'.*Did you mean 'high'"),
        (EffectiveTensor.measured("er", 1.0), {}, InputError, "k = .*diffusion.*an effective tensor of conductivity"),
        ({"low": 1.0, "high": np.diag([1.0, 1.0, -1.0])}, {}, InputError, r"k\.high = .*smallest eigenvalue is -1"),
        (measured(1.0, dimension=2), {}, InputError, "3x3 tensor, as the mesh"),
        (np.eye(2), {}, InputError, "k = .*3x3"),
        (measured(1.0, unit="S/m"), {"unit": "mS"}, UnitError, "k = 'S/m'.*converts to mS"),
        (1.0, {"axes": "fibres"}, InputError, "axes = 'fibres'.*'fibre'"),
        (1.0, {"axes": "fibre"}, InputError, "k = .*where it has no fibres"),
    ],
)
def test_bad_tensors_are_refused(given, options, error, named):
    with pytest.raises(error, match=named):
        tensor_coefficient("k", cube(fibres=False), given, CONDUCTIVITY, **({"unit": "mS/mm"} | options))


def test_bad_numbers_are_refused():
    with pytest.raises(InputError, match=r"c\.high = -1.*> 0"):
        scalar_coefficient("c", cube(fibres=False), {"low": 1.0, "high": -1.0}, above=0.0)
    with pytest.raises(InputError, match="c = nan"):
        scalar_coefficient("c", cube(fibres=False), math.nan)
