"""Means over each cell of a tissue: what a model with resolved membranes and its limit have in common."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import ufl
from dolfinx import fem
from mpi4py import MPI

from homfem.macro.domain import Domain
from homfem.parameters import Array, InputError, check_integer
from homfem.solve import assemble_matrix, assemble_vector, function_space


class TileMeans:
    r"""Means of functions over equal boxes ("tiles") that fill a domain: :math:`\int_k u\,d\mu / \int_k d\mu`.

    About a smooth solution u of the limit, a potential of resolved cells is
    :math:`u + \varepsilon\,\chi(x/\varepsilon)\cdot\nabla u + O(\varepsilon^2)`. The correctors of a cell with mirror
    planes are odd, and so have the mean zero over its spaces and its membrane: means over whole cells differ by
    :math:`O(\varepsilon^2)`.

    Parameters
    ----------
    domain
        A domain that the tiles fill, elements within one tile each.
    space
        The Lagrange space of the functions.
    counts
        Tiles along each axis.
    measure
        A UFL measure ``dx`` or ``dS``, within the tiles; all volume by default.

    Attributes
    ----------
    sizes : array, shape (tiles,)
        :math:`\int_k d\mu`, the first axis slowest.
    low, high : array, shape (d,)
        The corners of the domain.

    Raises
    ------
    InputError
        For counts that are no whole numbers >= 1, one for each axis, and tiles that the measure does not meet.
    """

    def __init__(
        self, domain: Domain, space: fem.FunctionSpace, counts: Sequence[int], measure: ufl.Measure | None = None
    ) -> None:
        d = domain.dimension
        if len(counts) != d:
            raise InputError("counts", counts, f"{d} whole numbers, one for each axis")
        self.counts = tuple(check_integer(f"counts[{k}]", count, at_least=1) for k, count in enumerate(counts))
        self.comm, mesh = domain.comm, domain.mesh
        dx = ufl.dx(domain=mesh) if measure is None else measure
        elements = function_space(mesh, "DG", 0)
        w, u = ufl.TestFunction(elements), ufl.TrialFunction(space)
        twofold = dx.integral_type() == "interior_facet"
        self._matrix = assemble_matrix((ufl.avg(w) * ufl.avg(u) if twofold else w * u) * dx)
        self._image = self._matrix.createVecLeft()
        points = elements.tabulate_dof_coordinates()[: len(self._image.array_r), :d]
        x = np.asarray(mesh.geometry.x)[:, :d]
        self.low = np.array([self.comm.allreduce(float(x[:, k].min()), op=MPI.MIN) for k in range(d)])
        self.high = np.array([self.comm.allreduce(float(x[:, k].max()), op=MPI.MAX) for k in range(d)])
        place = np.floor((points - self.low) / (self.high - self.low) * self.counts).astype(np.int64)
        self._tile = np.ravel_multi_index(tuple(place.T), self.counts)
        weight = assemble_vector((ufl.avg(w) if twofold else w) * dx)
        self.sizes = self._gathered(weight.array_r)
        weight.destroy()
        if not np.all(self.sizes > 0.0):
            raise InputError("counts", self.counts, "tiles that all hold a part of what is measured")

    def _gathered(self, values: Array) -> Array:
        """The sums of values of elements over each tile, of all ranks."""
        sums: Array = np.bincount(self._tile, values, minlength=int(np.prod(self.counts))).astype(np.float64)
        self.comm.Allreduce(MPI.IN_PLACE, sums, op=MPI.SUM)
        return sums

    def of(self, function: fem.Function) -> Array:
        """Return the means of a function of the space, ghosts up to date, shape (tiles,); collective."""
        self._matrix.mult(function.x.petsc_vec, self._image)
        return self._gathered(self._image.array_r) / self.sizes

    def weights(self, tile: int) -> Array:
        """Return the weights of the owned values of a function in the mean over a tile; collective."""
        self._image.array[:] = (self._tile == tile) / self.sizes[tile]
        weights = self._matrix.createVecRight()
        self._matrix.multTranspose(self._image, weights)
        found = weights.array_r.copy()
        weights.destroy()
        return found
