r"""The diffusion cell problem in its fluxes, one degree above Crouzeix-Raviart: a sharper lower bound.

The effective tensor is also a maximum over fluxes: for every field :math:`\sigma` that is periodic, free of divergence
and without flux through insulated walls,

.. math:: \xi\cdot D^*\xi \;\ge\; \frac1{|Y|}\int (2\,\xi\cdot\sigma - \sigma\cdot D^{-1}\sigma)\,dy .

Here :math:`\sigma` is linear on each simplex with :math:`\nabla\cdot\sigma=0` (the divergence-free fields of
Raviart-Thomas of second order) and its normal component is continuous. Continuity is imposed by a multiplier
:math:`\lambda`, linear on each facet (Arnold and Brezzi 1985), and :math:`\sigma` is eliminated element by element:

.. math:: \sigma_K = A_K^{-1} C_K(\lambda + \xi\cdot x),\qquad
          A_K = \int_K \tau_i\cdot D^{-1}\tau_j,\qquad C_K = \int_{\partial K}\mu_j\,\tau_i\cdot n ,

for a basis :math:`\tau_i` of the divergence-free linear fields (:math:`d + d^2 - 1` of them) and the functions
:math:`\mu_j` of the facets. What is left is a symmetric problem for :math:`\lambda` that looks like a conforming one,

.. math:: \sum_K \mu^T S_K(\lambda+\xi\cdot x) = 0\quad\text{for all }\mu,\qquad S_K = C_K^TA_K^{-1}C_K .

It says that :math:`[\sigma\cdot n]` vanishes on every inner and period facet and :math:`\sigma\cdot n` on every wall.
Its minimal energy per volume,

.. math:: \frac1{|Y|}\sum_K(\lambda+\xi\cdot x)^TS_K(\lambda+\xi\cdot x)
          = \frac1{|Y|}\int\sigma\cdot D^{-1}\sigma = \xi\cdot\langle\sigma\rangle ,

is the value of the maximum above for this :math:`\sigma`: a lower bound of :math:`\xi\cdot D^*\xi`.

On the part of a cell between its mirror planes :math:`\lambda=0` on the planes across the load, where the potential is
a constant, and on the others nothing is asked: :math:`\sigma\cdot n=0` comes out. The mirror images of
:math:`\sigma` make a flux of the whole cell.

The solver leaves a residual :math:`\rho`: the energy computed is too high by :math:`\rho^TA^+\rho`. On one element any
two unknowns obey :math:`|\mu_i-\mu_j|^2\le w_K\,\mu^TS_K\mu` with :math:`w_K = 4\max_i(S_K^+)_{ii}`, and the argument
of :mod:`homfem.certify` gives :math:`\rho^TA^+\rho\le\|\rho\|_1^2\sum_Kw_K`.

**Membranes** of permeability h (:mod:`homfem.local.membranes`) have two multipliers, one for each side, which

.. math:: \int_\Gamma h\,(\lambda_+-\lambda_-)(\mu_+-\mu_-)

ties to each other. Tested with the linear :math:`\mu_+` it says that :math:`\sigma\cdot n=h\,(\lambda_+-\lambda_-)`
with n towards the + side: the flux passes, and the energy has the term :math:`\int_\Gamma h(\lambda_+-\lambda_-)^2
=\int_\Gamma(\sigma\cdot n)^2/h` of the maximum principle with membranes. On a facet the unknowns at a vertex obey
:math:`|\mu_{+,i}-\mu_{-,i}|^2\le w_F\int_Fh(\mu_+-\mu_-)^2` with :math:`w_F=(M^{-1})_{ii}/h=d^2/(h|F|)` for the mass
matrix :math:`M=\frac{|F|}{d(d+1)}(I+11^T)`; for each pair of pieces that membranes enclose the least is added to
:math:`\sum_Kw_K`.

Source: Arnold, Brezzi 1985, doi 10.1051/m2an/1985190100071.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
from dolfinx import fem
from mpi4py import MPI
from petsc4py import PETSc

from homfem import _dolfinx, solve
from homfem.cells.unitcell import UnitCell
from homfem.local.facets import FacetUnknowns, HeldUnknowns
from homfem.local.fixed import Planes
from homfem.local.membrane_facets import MembraneUnknowns
from homfem.local.membranes import Membranes, crossing_weight
from homfem.parameters import Array, InputError

log = logging.getLogger("homfem")

Indices = npt.NDArray[np.int64]
_BLOCK = 20000  # mesh cells per pass of the element matrices, so that their temporaries stay small


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Fluxes:
    r"""The solved flux problem.

    Parameters
    ----------
    functions : tuple of fem.Function
        :math:`\sigma_j` for the load :math:`e_j`, linear and discontinuous with a continuous normal component.
    average : array, shape (loads, loads)
        The energy tensor; the allowance is not subtracted.
    inverse : fem.Function
        :math:`D^{-1}`, constant on each mesh cell, scalar or tensor as the coefficient is.
    allowance
        What the algebraic residual can have added to any eigenvalue of ``average``.
    dofs, iterations, seconds
        As in :class:`homfem.local.engine.Correctors`.
    """

    functions: tuple[fem.Function, ...]
    average: Array
    inverse: fem.Function
    allowance: float
    dofs: int
    iterations: int
    seconds: Mapping[str, float] = field(default_factory=dict)


def solve_fluxes(
    cell: UnitCell,
    coefficient: fem.Function,
    *,
    membranes: Membranes | None = None,
    axes: Sequence[int] | None = None,
    rtol: float = 1e-10,
    max_iterations: int = 500,
) -> Fluxes:
    """Solve the flux problem for unit loads; collective.

    Parameters
    ----------
    cell
        A cell of straight simplices, restricted to the phases that conduct.
    coefficient
        Diffusivity, constant on each mesh cell (see :func:`homfem.local.diffusion.diffusion_coefficient`).
    membranes
        Of the cell, see :func:`homfem.local.membranes.find_membranes`.
    axes
        The axes of the loads; by default all.
    rtol, max_iterations
        See :class:`homfem.solve.LinearSolver`.

    Raises
    ------
    InputError
        For curved cells, quadrilaterals and hexahedra.
    ConvergenceError
        If a load was not solved to ``rtol``.
    """
    if not (cell.simplicial and cell.order == 1):
        raise InputError("cell", f"{cell.kind} cells of order {cell.order}", "made of straight simplices")
    start = time.perf_counter()
    d = cell.dimension
    axes = list(range(d)) if axes is None else list(axes)
    number = FacetUnknowns(cell) if membranes is None else MembraneUnknowns(cell, membranes)
    elements = _Elements(cell, coefficient, number.order)
    full = number.matrix(elements.stiffness)
    trace = elements.trace[:, :, axes]
    reaction = elements.stiffness @ trace
    energy = cell.comm.allreduce(np.tensordot(trace, reaction, axes=((0, 1), (0, 1))), op=MPI.SUM)
    weight = cell.comm.allreduce(elements.weight, op=MPI.SUM)
    if membranes is not None:
        weight += d**2 * crossing_weight(cell, membranes)
    # With membranes the faster smoother is used on every level.
    smoothers = ("incomplete-cholesky" + ("" if membranes is None else "-throughout"), "ssor")
    noise = solve.round_off(full, number.dofs)
    options: dict[str, Any] = {"rtol": rtol, "max_iterations": max_iterations, "name": "diffusion flux"}
    options["atol"] = 0.0 if membranes is None else noise
    vertices = number.at_vertices()
    prolongation = number.from_vertices(vertices)
    seconds = {"assembly": time.perf_counter() - start}
    functions: list[Any] = [None] * len(axes)
    residual, iterations, dofs = 0.0, 0, 0
    together = np.zeros((len(axes), len(axes)), dtype=bool)
    for planes, members in _groups(cell, axes).items():
        lap = time.perf_counter()
        held = HeldUnknowns(number, vertices, planes)
        matrix, coarse = held.matrices(full, prolongation)
        kernel = held.constants()
        sides = [held.without(number.vector(-reaction[:, :, j])) for j in members]
        multipliers = [matrix.createVecRight() for _ in sides]
        solver = solve.solve_with(
            smoothers, matrix, sides, multipliers, noise=noise, kernel=kernel, prolongations=[coarse], **options
        )
        prepared = lap + solver.setup_seconds
        seconds["preconditioner"] = seconds.get("preconditioner", 0.0) + solver.setup_seconds
        iterations, dofs = iterations + solver.iterations, max(dofs, matrix.getSize()[0])
        solver.destroy()
        product = matrix.createVecRight()
        for j, x in zip(members, multipliers, strict=True):
            matrix.mult(x, product)
            for i, side, other in zip(members, sides, multipliers, strict=True):
                energy[i, j] += other.dot(product) - other.dot(sides[members.index(j)]) - x.dot(side)
                together[i, j] = True
            product.aypx(-1.0, sides[members.index(j)])
            residual += product.norm(PETSc.NormType.N1) ** 2
            functions[j] = elements.flux(held.local(x) + trace[:, :, j], f"flux_{axes[j] + 1}")
        for thing in (*kernel, product, *sides, *multipliers, *((matrix, coarse) if matrix is not full else ())):
            thing.destroy()
        seconds["solve"] = seconds.get("solve", 0.0) + time.perf_counter() - prepared
    full.destroy()
    prolongation.destroy()
    # Loads that answer a mirror differently have no energy together.
    energy = np.where(together, 0.5 * (energy + energy.T), 0.0) * cell.copies
    return Fluxes(
        functions=tuple(functions),
        average=energy / cell.lattice.volume,
        inverse=inverse_coefficient(coefficient, d),
        allowance=float(weight * residual * cell.copies / cell.lattice.volume),
        dofs=dofs,
        iterations=iterations,
        seconds=seconds,
    )


def _groups(cell: UnitCell, axes: Sequence[int]) -> dict[Planes, list[int]]:
    """The loads by the axes on whose mirror planes the multiplier vanishes."""
    mirrored = [mirror.axis for mirror in cell.mirrors]
    groups: dict[Planes, list[int]] = {}
    for j, axis in enumerate(axes):
        groups.setdefault(((axis,) if axis in mirrored else (),), []).append(j)
    return groups


def inverse_coefficient(coefficient: fem.Function, dimension: int) -> fem.Function:
    """Return :math:`D^{-1}` for a cell-wise constant coefficient."""
    result = fem.Function(coefficient.function_space)
    values = coefficient.x.array
    if coefficient.ufl_shape:
        result.x.array[:] = np.linalg.inv(values.reshape(-1, dimension, dimension)).ravel()
    else:
        result.x.array[:] = 1.0 / values
    return result


class _Elements:
    """Element matrices of all owned cells, and what gives the flux back."""

    def __init__(self, cell: UnitCell, coefficient: fem.Function, order: Indices) -> None:
        d = cell.dimension
        self.cell, self.d = cell, d
        count = len(order)
        self._nodes = cell.mesh.geometry.x[_dolfinx.geometry_dofmap(cell.mesh)[:count, : d + 1]][:, :, :d]
        values = coefficient.x.array.reshape(len(cell.phase_of_cell), -1)[:count]
        tensors = values[:, :, None] * np.eye(d) if values.shape[1] == 1 else values.reshape(-1, d, d)
        self._inverse = np.linalg.inv(tensors)
        # The energy does not feel a constant, but its digits do: x counts from a corner of the cell.
        origin = np.empty(d)
        cell.comm.Allreduce(self._nodes.min(axis=(0, 1), initial=np.inf), origin, op=MPI.MIN)
        #: The trace of x on the facets of each cell, from the cell's own side (it jumps across the period): (m, k, d).
        self.trace = np.take_along_axis(self._nodes, order.reshape(count, -1, 1), axis=1) - origin
        size = (d + 1) * d
        self.stiffness = np.empty((count, size, size))
        self._lift = np.empty((count, d + d * d - 1, size))
        self.weight = 0.0
        for begin in range(0, count, _BLOCK):
            self._fill(slice(begin, min(begin + _BLOCK, count)), order)

    def _fields(self, part: slice) -> tuple[Array, Array]:
        """The basis at the vertices, shape (m, fields, d + 1, d), and the volumes."""
        d, nodes = self.d, self._nodes[part]
        edges = nodes[:, 1:] - nodes[:, :1]
        volume = np.abs(np.linalg.det(edges)) / (2.0 if d == 2 else 6.0)
        size = volume ** (1.0 / d)
        local = (nodes - nodes.mean(axis=1, keepdims=True)) / size[:, None, None]
        gradients = _traceless(d)
        constant = np.broadcast_to(np.eye(d)[:, None, :], (len(nodes), d, d + 1, d))
        linear = local[:, None] @ gradients.transpose(0, 2, 1)
        return np.concatenate([constant, linear], axis=1), volume

    def _fill(self, part: slice, order: Indices) -> None:
        d = self.d
        fields, volume = self._fields(part)
        nodes, inverse, order = self._nodes[part], self._inverse[part], order[part]
        # Mass of linear fields from their values at the vertices: |K|/((d+1)(d+2)) (sum_v a_v.b_v + sum a . sum b).
        weighted = fields @ inverse[:, None]
        total, weighted_total = fields.sum(axis=2), weighted.sum(axis=2)
        count, number = fields.shape[:2]
        mass = fields.reshape(count, number, -1) @ weighted.reshape(count, number, -1).transpose(0, 2, 1)
        mass += total @ weighted_total.transpose(0, 2, 1)
        mass *= (volume / ((d + 1) * (d + 2)))[:, None, None]
        # Facet k is opposite to vertex k: its outward area vector is -d |K| grad of the barycentric coordinate.
        edges = nodes[:, 1:] - nodes[:, :1]
        gradient = np.linalg.inv(edges).transpose(0, 2, 1)
        gradient = np.concatenate([-gradient.sum(axis=1, keepdims=True), gradient], axis=1)
        area = -d * volume[:, None, None] * gradient
        through = (fields @ area.transpose(0, 2, 1)[:, None]).transpose(0, 1, 3, 2)
        at_facet = np.take_along_axis(through, order[:, None], axis=3)
        moments = (at_facet + at_facet.sum(axis=3, keepdims=True)) / (d * (d + 1))
        moments = moments.reshape(count, number, -1)
        lift = np.linalg.solve(mass, moments)
        stiffness = moments.transpose(0, 2, 1) @ lift
        self._lift[part], self.stiffness[part] = lift, stiffness
        size = stiffness.shape[1]
        scale = np.trace(stiffness, axis1=1, axis2=2) / size
        pseudo = np.linalg.inv(stiffness + scale[:, None, None] / size)
        self.weight += float(4.0 * np.einsum("mii->mi", pseudo).max(axis=1).sum())

    def flux(self, multiplier: Array, name: str) -> fem.Function:
        """The flux of a multiplier, its load's trace included, as a discontinuous linear function on the torus."""
        mesh, d = self.cell.mesh, self.d
        space = fem.functionspace(mesh, ("DG", 1, (d,)))
        function = fem.Function(space, name=name)
        values = function.x.array.reshape(-1, d)
        coefficients = (self._lift @ multiplier[:, :, None])[:, :, 0]
        for begin in range(0, len(coefficients), _BLOCK):
            part = slice(begin, min(begin + _BLOCK, len(coefficients)))
            fields, _ = self._fields(part)
            combined = coefficients[part][:, None] @ fields.reshape(len(fields), fields.shape[1], -1)
            values[space.dofmap.list[part]] = combined.reshape(-1, d + 1, d)
        function.x.scatter_forward()
        return function


def _traceless(d: int) -> Array:
    """A basis of the d x d matrices without trace, shape (d^2 - 1, d, d)."""
    matrices = []
    for i in range(d):
        for j in range(d):
            if i != j:
                matrices.append(np.outer(np.eye(d)[i], np.eye(d)[j]))
    for i in range(d - 1):
        matrices.append(np.diag(np.eye(d)[i] - np.eye(d)[i + 1]))
    return np.array(matrices)
