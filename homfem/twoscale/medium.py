"""A periodic medium on every rank: its cell, its correctors and its effective tensor, all of one mesh."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import ufl
from dolfinx import fem
from mpi4py import MPI

from homfem import solve
from homfem._dolfinx import original_cell_index
from homfem.cells.unitcell import UnitCell
from homfem.certify import Diffusion, Elasticity
from homfem.local.diffusion import diffusion_coefficient, diffusion_problem
from homfem.local.elasticity import elastic_coefficient, elasticity_problem, rigid_motions, voigt_strain
from homfem.local.engine import solve_correctors
from homfem.meshing.arrays.raw_cell import RawCell
from homfem.parameters import Array, InputError, PercolationError, check_choice, check_integer
from homfem.stiffness import PAIRS

Indices = npt.NDArray[np.int64]


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Medium:
    r"""A periodic medium, discretised; the same on every rank.

    Parameters
    ----------
    comm
        Communicator of the resolved domains.
    cell
        One period, on the rank's own communicator, of the active phases.
    raw
        Its arrays.
    physics
        ``"diffusion"`` or ``"elasticity"``.
    degree
        Of the Lagrange elements, on the cell and on every resolved domain.
    coefficient
        Of the physics, on the mesh of the cell.
    correctors
        :math:`\chi_j` on the mesh of the cell.
    average : array, shape (loads, loads)
        The effective tensor of the discretised cell: that of the limit of the discretised resolved problems.
    dofs
        Unknowns of one period that stands alone.
    """

    comm: MPI.Comm
    cell: UnitCell
    raw: RawCell
    physics: str
    degree: int
    coefficient: fem.Function
    correctors: tuple[fem.Function, ...]
    average: Array
    dofs: int

    @property
    def dimension(self) -> int:
        """Number of space dimensions."""
        return self.cell.dimension

    @property
    def components(self) -> int:
        """Number of unknown fields m."""
        return 1 if self.physics == "diffusion" else self.dimension

    @property
    def shape(self) -> tuple[int, ...]:
        """Of a value: () or (d,)."""
        return () if self.physics == "diffusion" else (self.dimension,)

    @property
    def sides(self) -> Array:
        """Lengths of the box that one period fills, in mesh units."""
        return np.diag(self.cell.lattice.vectors).copy()

    @property
    def low(self) -> Array:
        """Its low corner."""
        return np.asarray(self.raw.points.min(axis=0))

    @property
    def tensor(self) -> Array:
        """The effective tensor :math:`A_{piqj}`, shape (m, d, m, d)."""
        d = self.dimension
        if self.physics == "diffusion":
            return self.average.reshape(1, d, 1, d)
        place = np.zeros((d, d), dtype=np.int64)
        for k, (i, j) in enumerate(PAIRS[d]):
            place[i, j] = place[j, i] = k
        return np.asarray(self.average[place[:, :, None, None], place[None, None, :, :]])

    def loads(self, gradients: Array) -> Array:
        """Return the macroscopic gradients that drive the correctors, shape (loads, n), of (m, d, n)."""
        if self.physics == "diffusion":
            return gradients[0]
        return np.stack([gradients[i, i] if i == j else gradients[i, j] + gradients[j, i]
                         for i, j in PAIRS[self.dimension]])  # fmt: skip

    def energy(self, u: Any, v: Any, coefficient: fem.Function) -> Any:
        """Return the UFL density of the energy of two fields, with the coefficient on their mesh."""
        if self.physics == "elasticity":
            return ufl.inner(ufl.dot(coefficient, voigt_strain(u)), voigt_strain(v))
        flux = ufl.dot(coefficient, ufl.grad(u)) if coefficient.ufl_shape else coefficient * ufl.grad(u)
        return ufl.inner(flux, ufl.grad(v))

    def near_kernel(self, points: Array) -> list[Array]:
        """Return what coarse grids of a solver must represent, at points of shape (3, n)."""
        if self.physics == "diffusion":
            return [np.ones((1, points.shape[1]))]
        return rigid_motions(self.dimension)(points)

    @property
    def fractions(self) -> Mapping[str, float]:
        """Volume of each active phase on the mesh over that of the period."""
        volumes = self.of_elements(_volumes(self.cell))[:, 0] / self.cell.lattice.volume
        return {name: float(volumes[self.raw.phase_of_cell == tag].sum()) for name, tag in self.raw.phases.items()}

    def of_elements(self, values: Array) -> Array:
        """Return the rows of an array over the mesh cells of the cell in the order of the arrays."""
        number = original_cell_index(self.cell.mesh)
        ordered = np.empty_like(values).reshape(len(values), -1)
        ordered[number] = values.reshape(len(values), -1)
        return ordered

    def at_elements(self, function: fem.Function) -> Array:
        """Return the unknowns of a function of the cell by element of the arrays, shape (elements, own, components)."""
        dofs, block = function.function_space.dofmap.list, function.function_space.dofmap.bs
        values = function.x.array.reshape(-1, block)[dofs]
        return self.of_elements(values).reshape(values.shape)


def make_medium(cell: UnitCell, physics: Diffusion | Elasticity, *, degree: int = 1, rtol: float = 1e-12) -> Medium:
    """Return a medium: its correctors and its tensor, with the elements of the resolved problems; collective.

    Parameters
    ----------
    cell
        Whole, on the lattice of a box, of straight simplices with matching faces.
    physics
        :class:`homfem.certify.Diffusion` or :class:`~homfem.certify.Elasticity`, with periodic conditions and without
        membranes. Phases that are not named are insulating holes, or voids.
    degree
        1 or 2.
    rtol
        Of the cell problems.

    Raises
    ------
    InputError
        For other cells and physics.
    PercolationError
        If the active phases together are not one connected body that reaches through the cell in every direction.
    """
    check_integer("degree", degree, at_least=1, at_most=2)
    active = active_part(cell, physics)
    own = on_own_rank(active)
    kind = "elasticity" if isinstance(physics, Elasticity) else "diffusion"
    if isinstance(physics, Elasticity):
        stiffnesses = {name: physics.stiffnesses[name] for name in own.phase_names}
        coefficient = elastic_coefficient(own, stiffnesses, physics.plane)
        problem = elasticity_problem(own, coefficient, degree=degree)
    else:
        coefficient = diffusion_coefficient(own, {name: physics.coefficients[name] for name in own.phase_names})
        problem = diffusion_problem(own, coefficient, degree=degree)
    found = solve_correctors(own, problem, rtol=rtol)
    raw = own.raw
    assert raw is not None  # on a communicator of one rank
    alone = solve.function_space(own.periodic_mesh.plain, "Lagrange", degree).dofmap.index_map.size_global
    return Medium(
        comm=cell.comm,
        cell=own,
        raw=raw,
        physics=kind,
        degree=degree,
        coefficient=coefficient,
        correctors=tuple(found.functions),
        average=found.average,
        dofs=int(alone) * (own.dimension if kind == "elasticity" else 1),
    )


def require_box(cell: UnitCell) -> None:
    """Refuse cells of which no box can be tiled: another lattice, bent or other elements, faces that do not match."""
    if not isinstance(cell, UnitCell):
        raise InputError("cell", cell, "a homfem.UnitCell")
    cell.require_whole()
    vectors = cell.lattice.vectors
    if not np.array_equal(vectors, np.diag(np.diag(vectors))) or np.any(np.diag(vectors) <= 0.0):
        remedy = "Give a cell whose period vectors are along the axes: a hexagonal array has a rectangular one too."
        raise InputError("cell", vectors.tolist(), "one whose period vectors are the sides of a box", remedy)
    if not (cell.simplicial and cell.order == 1 and cell.matching):
        what = f"{cell.kind} of order {cell.order}, faces {cell.faces}"
        raise InputError("cell", what, "a mesh of straight simplices whose opposite faces match")


def active_part(cell: UnitCell, physics: Diffusion | Elasticity) -> UnitCell:
    """Return the phases that take part, of a cell and a physics that can be resolved; collective."""
    require_box(cell)
    if not isinstance(physics, (Diffusion, Elasticity)):
        allowed = "homfem.certify.Diffusion or homfem.certify.Elasticity"
        raise InputError("physics", type(physics).__name__, allowed)
    if physics.boundary != "periodic":
        raise InputError("physics.boundary", physics.boundary, "'periodic'")
    if isinstance(physics, Diffusion) and physics.membranes:
        raise InputError("physics.membranes", dict(physics.membranes), "none: both sides of a membrane are one field")
    given = physics.stiffnesses if isinstance(physics, Elasticity) else physics.coefficients
    if not given:
        raise InputError("physics", given, f"given for at least one of {cell.phase_names}")
    for name in given:
        check_choice("phase", name, cell.phase_names)
    active = cell.restrict([name for name in cell.phase_names if name in given])
    require_one_body(active)
    return active


def require_one_body(active: UnitCell) -> None:
    """Refuse phases that together are not one body which reaches through the cell in every direction."""
    whole = active.whole
    if whole.rank < active.dimension or len(whole.parts) != 1:
        what = (
            f"{len(whole.parts)} part(s) that reach through the cell in {whole.rank} of {active.dimension} directions"
        )
        allowed = "one connected body that reaches from period to period in every direction"
        remedy = "Give the phases around it a coefficient as well, or leave out what is not connected."
        raise PercolationError("phases", f"{active.phase_names}: {what}", allowed, remedy)


def on_own_rank(cell: UnitCell) -> UnitCell:
    """Return a cell whole on every rank, with all of its arrays; collective."""
    raw = cell.comm.bcast(cell.raw)
    filled, sides = np.ptp(raw.points, axis=0), np.diag(cell.lattice.vectors)
    if not np.allclose(filled, sides, rtol=1e-6):
        raise InputError("cell", filled.tolist(), f"one that fills the box of its periods, {sides.tolist()}")
    own = UnitCell.from_raw(
        raw,
        comm=MPI.COMM_SELF,
        name=cell.name,
        length=cell.length,
        length_unit=cell.length_unit,
        partial=True,
        cracks=cell.cracks,
    )
    return replace(own, volume_fractions=cell.volume_fractions, interface_area=cell.interface_area)


def _volumes(cell: UnitCell) -> Array:
    """Volumes of the mesh cells of a cell that is whole on the rank."""
    raw = cell.raw
    assert raw is not None
    edges = raw.points[raw.cells[:, 1:]] - raw.points[raw.cells[:, :1]]
    volumes = np.abs(np.linalg.det(edges)) / float(np.prod(np.arange(1, cell.dimension + 1)))
    return np.asarray(volumes[original_cell_index(cell.mesh)])
