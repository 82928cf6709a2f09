"""What facets change in double layers: slits that are wider exactly, charges that are larger, round fibres, ranks."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from mpi4py import MPI

from homfem.cells import fibre_array, slit
from homfem.certify.electrokinetics import solve_electrokinetics
from homfem.certify.electrokinetics.geometry import Moved, _displacement, matrix_changes
from homfem.electrolytes import Ion

SALT = {"viscosity": 0.08, "permittivity": 0.02}
WALLS = [
    {"wall_potential": -2.0},
    {"wall_charge": -0.1},
    {"wall_charge": -0.1, "permittivity": {"pore": 0.02, "solid": 0.01}, "fixed_charge": {"solid": 0.3}},
]


def ions(phase: str) -> list[Ion]:
    return [
        Ion(name=name, valence=z, bath=1.0, diffusivities={phase: d}) for name, z, d in (("K", 1, 1.0), ("X", -1, 1.5))
    ]


def of_slit(aperture: float = 0.5, degree: int = 3, **wall):
    cell = slit(aperture, dimension=2, resolution=0.1)
    return solve_electrokinetics(cell, ions("pore"), "pore", degree=degree, rtol=1e-12, **(SALT | wall)).solved


@pytest.mark.parametrize("wall", WALLS)
def test_a_slit_whose_walls_move_has_the_matrix_of_a_wider_one(wall):
    """Both walls by h make it wider by 2 h; beside the pore the solid is as much thinner."""
    solved = of_slit(**wall)
    cell, h = solved.whole, 1e-3
    flows = cell.phase_of_cell == cell.phases["pore"]
    mesh = cell.mesh
    links = mesh.topology.connectivity(1, 2)
    facets = np.array([f for f in range(mesh.topology.index_map(1).size_local)
                       if flows[links.links(f)].sum() == 1], dtype=np.int32)  # fmt: skip
    inside = np.array([next(c for c in links.links(f) if flows[c]) for f in facets], dtype=np.int32)
    moved = Moved(cell, solved.cell, solved.response)
    found = moved.derivative(_displacement(cell, facets, inside, np.ones(len(facets))))
    wider, narrower = (of_slit(0.5 + 2 * step, **wall).response.correctors.average for step in (h, -h))
    slope = (wider - narrower) / (2 * h)
    assert np.abs(found - slope).max() <= 5e-3 * np.abs(slope).max()
    # Afterwards everything is where it was.
    assert np.abs(moved.value() - solved.response.correctors.average).max() <= 1e-12 * np.abs(moved.value()).max()


def test_walls_that_are_charged_more():
    solved = of_slit(**WALLS[1])
    found = Moved(solved.whole, solved.cell, solved.response).by_charge()
    more, less = (of_slit(wall_charge=-0.1 * (1.0 + step)).response.correctors.average for step in (1e-3, -1e-3))
    assert found == pytest.approx((more - less) / 2e-3, rel=1e-3, abs=1e-6 * np.abs(found).max())


def of_fibres(order: int, degree: int, comm: MPI.Comm = MPI.COMM_WORLD, resolution: float = 0.1, **wall):
    cell = fibre_array(fraction=0.3, dimension=2, resolution=resolution, order=order, comm=comm)
    return solve_electrokinetics(cell, ions("matrix"), "matrix", degree=degree, **(SALT | wall)).tensor


@pytest.mark.parametrize("wall", WALLS[:2])
def test_the_estimate_covers_what_facets_change_around_round_fibres(wall):
    """Cells of second order have round ones; degree 4 resolves the layer of both."""
    flat, curved = (of_fibres(order, 4, **wall) for order in (1, 2))
    change = np.linalg.norm(flat.value - curved.value, 2) / curved.value[0, 0]
    assert change <= flat.relative_geometric_error <= 30.0 * change
    assert curved.geometric_error == 0.0
    assert not any("facets" in text for text in flat.warnings)


def test_flat_walls_have_none():
    solved = of_slit(degree=2, wall_potential=-1.0)
    assert matrix_changes(solved.whole, solved.cell, replace(solved.response)) == []


def _on_ranks(comm: MPI.Comm) -> dict[str, list[float]]:
    """With the fibres in the mesh, whose permittivity the field sees."""
    wall = {"wall_charge": -0.1, "permittivity": {"matrix": 0.02, "fibre": 0.01}}
    return {"found": [of_fibres(1, 2, comm, 0.3, **wall).geometric_error]}


def test_ranks_agree(on_ranks):
    one, *others = (each["found"] for each in on_ranks(_on_ranks))
    assert one[0] > 0.0
    for other in others:
        assert other == pytest.approx(one, rel=1e-4)
