"""Meshes of bodies from arrays and from Gmsh: volume, the same on any number of ranks, refusals."""

from __future__ import annotations

import numpy as np
import pytest
import ufl
from mpi4py import MPI

from homfem import solve
from homfem.bodies import gmsh_arrays, mesh_from_arrays
from homfem.parameters import InputError


def ball(radius, resolution):
    import gmsh

    gmsh.initialize(interruptible=False)
    gmsh.option.setNumber("General.Terminal", 0)
    gmsh.option.setNumber("Mesh.MeshSizeMax", resolution)
    gmsh.model.occ.addSphere(0.0, 0.0, 0.0, radius)
    gmsh.model.occ.synchronize()
    gmsh.model.mesh.generate(3)
    arrays = gmsh_arrays(3)
    gmsh.finalize()
    return arrays


def case_ball(comm):
    mesh = mesh_from_arrays(comm, lambda: ball(2.0, 0.5))
    return {"volume": solve.integrate(1.0 * ufl.dx(domain=mesh)), "nodes": mesh.geometry.index_map().size_global}


@pytest.mark.mpi
def test_a_ball_from_gmsh(on_ranks):
    answers = on_ranks(case_ball, ranks=(1, 2))
    exact = 4 / 3 * np.pi * 8
    for answer in answers:
        assert 0.97 * exact < answer["volume"] < exact
        assert answer["nodes"] == answers[0]["nodes"]
        assert answer["volume"] == pytest.approx(answers[0]["volume"], rel=1e-12)


def case_refused(comm):
    try:
        mesh_from_arrays(comm, lambda: (np.zeros((4, 3)), np.zeros((1, 3), dtype=np.int64)))
    except InputError as error:
        return {"texts": comm.allgather(str(error))}
    return {"texts": []}


@pytest.mark.mpi
def test_arrays_that_do_not_fit_are_refused_on_every_rank(on_ranks):
    (answer,) = on_ranks(case_refused, ranks=(2,))
    assert len(answer["texts"]) == 2
    assert all("(m, d + 1)" in text for text in answer["texts"])


def test_one_dimension():
    mesh = mesh_from_arrays(
        MPI.COMM_SELF, lambda: (np.array([[0.0], [1.0], [3.0]]), np.array([[0, 1], [1, 2]], dtype=np.int64))
    )
    assert solve.integrate(1.0 * ufl.dx(domain=mesh)) == pytest.approx(3.0)
