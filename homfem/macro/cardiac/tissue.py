"""The tissue of a cardiac problem: its cells and nodes, numbers at these, the matrices of the membrane potential."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import ufl
from dolfinx import fem, la
from mpi4py import MPI
from petsc4py import PETSc

from homfem.kinds import CONDUCTIVITY
from homfem.macro.cardiac.problem import CardiacMethod, CardiacProblem
from homfem.macro.coefficients import cell_function, scalar_coefficient, tensor_coefficient
from homfem.macro.initial import nodal_values
from homfem.macro.parts import NodalPart
from homfem.parameters import Array, check_number
from homfem.solve import assemble_matrix, function_space


class Tissue(NodalPart):
    """The part of a domain that is not bath, and what is assembled on it; collective.

    Attributes
    ----------
    tensors
        The coefficients by name, over the whole domain; those of the bath's regions are 1.
    shares
        Volume of the tissue's cells about each owned dof.
    inside
        1 in cells of the tissue, 0 in the bath; a UFL coefficient.
    capacity
        :math:`\\chi C_m` at the nodes, uF/mm^3.
    """

    def __init__(self, problem: CardiacProblem, method: CardiacMethod) -> None:
        domain = problem.domain
        super().__init__(
            domain, function_space(domain.mesh, "Lagrange", method.degree, ()), without=tuple(problem.bath)
        )
        self.problem, self.method = problem, method
        self._volumes = np.where(self.cells, domain.cell_volumes(), 0.0)
        self.shares = self._gathered(self._volumes)
        self.inside: Any = fem.Constant(domain.mesh, 1.0)
        if problem.bath:
            self.inside = cell_function(domain, self.cells.astype(np.float64))
        axes = "domain" if domain.fibres is None else "fibre"
        self.tensors = {
            name: tensor_coefficient(name, domain, values, CONDUCTIVITY, unit="mS/mm", axes=axes)
            for name, values in problem.tissue_tensors().items()
        }
        self.capacity: float | Array = self.values("area", problem.area) * self.values(
            "capacitance", problem.capacitance
        )

    def mean_size(self) -> float:
        """Return the edge (mm) of cubes or squares whose simplices are as large as the mean cell; collective."""
        dim, comm = self.domain.dimension, self.domain.comm
        owned = int(self.domain.mesh.topology.index_map(dim).size_local)
        volume = comm.allreduce(float(self._volumes[:owned].sum()), op=MPI.SUM)
        count = comm.allreduce(int(np.count_nonzero(self.cells[:owned])), op=MPI.SUM)
        return float((math.factorial(dim) * volume / max(count, 1)) ** (1.0 / dim))

    def values(self, name: str, given: Any) -> float | Array:
        """Return a number, or values at the nodes: of numbers by region, a function of position or of the space."""
        if isinstance(given, Mapping):
            return self._mean(name, given)
        if callable(given) or isinstance(given, fem.Function):
            return self.of_nodes(nodal_values(name, given, self.space))
        if np.ndim(given):
            values: Array = np.asarray(given, dtype=np.float64)
            return values
        return check_number(name, given)

    def _mean(self, name: str, given: Mapping[str, float]) -> Array:
        """Return numbers by region at the nodes: means over the cells of the tissue about them, by their volumes."""
        numbers = {region: check_number(f"{name}.{region}", value) for region, value in given.items()}
        values = self.domain.cell_values(numbers | dict.fromkeys(self.problem.bath, 0.0), name)
        return self.of_nodes(self._gathered(values * self._volumes)) / self.of_nodes(self.shares)

    def _gathered(self, values: Array) -> Array:
        """Return the sums of values of cells at their owned dofs."""
        dofs = np.asarray(self.space.dofmap.list)
        count = self.domain.mesh.topology.index_map(self.domain.dimension).size_local
        sums = fem.Function(self.space)
        weights = np.repeat(values[:count], dofs.shape[1])
        sums.x.array[:] = np.bincount(dofs[:count].ravel(), weights, minlength=len(sums.x.array))
        sums.x.scatter_reverse(la.InsertMode.add)
        return np.asarray(sums.x.array[: self.owned].copy())

    def cell_capacity(self) -> Array:
        r"""Return :math:`\chi C_m` in each local cell, 0 in the bath."""
        product = np.where(self.cells, 1.0, 0.0)
        for name in ("area", "capacitance"):
            given = getattr(self.problem, name)
            if isinstance(given, Mapping):
                values = {**given, **dict.fromkeys(self.problem.bath, 0.0)}
                product = product * self.domain.cell_values(values, name)
            else:
                product = product * float(given)
        return product

    def _scalar(self, name: str, given: float | Mapping[str, float]) -> Any:
        if isinstance(given, Mapping):
            given = {**given, **dict.fromkeys(self.problem.bath, 1.0)}
        return scalar_coefficient(name, self.domain, given, above=0.0)

    def mass(self) -> PETSc.Mat:
        r"""Return the matrix of :math:`\chi C_m`, blended with its lumped one, on the nodes of the tissue."""
        u, v = ufl.TrialFunction(self.space), ufl.TestFunction(self.space)
        problem, share = self.problem, self.method.mass
        capacity = self._scalar("area", problem.area) * self._scalar("capacitance", problem.capacitance)
        matrix = self.restricted(assemble_matrix(self.inside * capacity * u * v * ufl.dx(domain=self.domain.mesh)))
        if share < 1.0:
            ones, lumped = matrix.createVecs()
            ones.set(1.0)
            matrix.mult(ones, lumped)
            matrix.scale(share)
            lumped.scale(1.0 - share)
            matrix.setDiagonal(lumped, addv=PETSc.InsertMode.ADD_VALUES)
            ones.destroy()
            lumped.destroy()
        return matrix

    def stiffness(self) -> PETSc.Mat:
        r"""Return the matrix of :math:`\sigma_i`, or of a monodomain :math:`\sigma`, on the nodes of the tissue."""
        u, v = ufl.TrialFunction(self.space), ufl.TestFunction(self.space)
        sigma = self.tensors["conductivity" if self.problem.kind == "monodomain" else "intracellular"]
        form = self.inside * ufl.inner(sigma * ufl.grad(u), ufl.grad(v)) * ufl.dx(domain=self.domain.mesh)
        return self.restricted(assemble_matrix(form))

    def whole_coefficient(self) -> Any:
        r"""Return :math:`\sigma_i+\sigma_e` in the tissue and :math:`\sigma_b` in the bath."""
        both = self.tensors["intracellular"] + self.tensors["extracellular"]
        if self.nodes is None:
            return both
        identity = np.eye(self.domain.dimension)
        others = {"*": identity} | dict(self.problem.bath)
        bath = tensor_coefficient("bath", self.domain, others, CONDUCTIVITY, unit="mS/mm")
        return self.inside * both + (1.0 - self.inside) * bath
