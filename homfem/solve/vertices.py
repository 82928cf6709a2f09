"""Vertices by their index in the arrays that made the mesh: what does not depend on how the ranks share it."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from dolfinx import fem
from mpi4py import MPI

from homfem._dolfinx import geometry_dofmap
from homfem.parameters import Array, InputError
from homfem.solve.numbering import Numbering

# Any two fields that are not the same differ in some weighted mean, unless they are made to agree in all.
_IRRATIONAL = np.sqrt([5.0, 2.0, 3.0])


def input_vertices(space: fem.FunctionSpace) -> tuple[npt.NDArray[np.int64], Array]:
    """Return the vertex of each dof that the rank owns.

    Parameters
    ----------
    space
        A scalar P1 space.

    Returns
    -------
    keys : array
        Index of the vertex in the arrays that made the mesh, the same on any number of ranks.
    points : array
        Its coordinates, shape (n, 3).

    Raises
    ------
    InputError
        If the space is not scalar P1.
    """
    mesh = space.mesh
    element, dofmap = space.ufl_element(), space.dofmap
    cells = np.asarray(dofmap.list)
    if not _is_linear(space):
        raise InputError("space", str(element), "scalar continuous Lagrange of degree 1")
    nodes = geometry_dofmap(mesh)[: cells.shape[0], : cells.shape[1]]  # a cell's vertices come first
    node_of_dof = np.empty(cells.max(initial=-1) + 1, dtype=np.int64)
    node_of_dof[cells] = nodes
    owned = node_of_dof[: dofmap.index_map.size_local]
    points = np.asarray(mesh.geometry.x, dtype=np.float64)[owned]
    return np.asarray(mesh.geometry.input_global_indices, dtype=np.int64)[owned], points


def nodal_fingerprint(space: fem.FunctionSpace, values: Array) -> list[float]:
    """Return numbers that tell a field from others, equal on any number of ranks to round-off; collective.

    Parameters
    ----------
    space
        A space with any element; scalar P1 takes the least work.
    values
        Values of the dofs that the rank owns.

    Returns
    -------
    list of float
        The least and the largest value, the mean, and means with weights in [1, 2) that depend on the index of the
        vertex in the input, or on the number of the dof (:class:`homfem.solve.Numbering`).
    """
    comm = space.mesh.comm
    if _is_linear(space):
        keys, _ = input_vertices(space)
    else:
        numbering = Numbering(space)
        values = numbering.to_block(values).ravel()
        keys = numbering.first * numbering.block + np.arange(values.size)
    weights = np.vstack([np.ones(keys.size), 1.0 + np.outer(_IRRATIONAL, keys) % 1.0])
    sums = np.vstack([weights @ values, weights.sum(axis=1)])
    extrema = np.array([values.max(initial=-np.inf), -values.min(initial=np.inf)])
    comm.Allreduce(MPI.IN_PLACE, sums, op=MPI.SUM)
    comm.Allreduce(MPI.IN_PLACE, extrema, op=MPI.MAX)
    return [-float(extrema[1]), float(extrema[0]), *(sums[0] / sums[1]).tolist()]


def _is_linear(space: fem.FunctionSpace) -> bool:
    element = space.ufl_element()
    linear = getattr(element, "family_name", "") == "P" and element.degree == 1 and not element.discontinuous
    return bool(linear and space.dofmap.bs == 1)
