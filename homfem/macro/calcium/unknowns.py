"""Fields of a calcium problem at the nodes of a mesh, and the matrices of those that diffuse, each made once."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import ufl
from dolfinx import fem
from mpi4py import MPI
from petsc4py import PETSc

from homfem.kinds import DIFFUSION
from homfem.macro.calcium.fields import REST, Field
from homfem.macro.coefficients import cell_function, tensor_coefficient
from homfem.macro.initial import nodal_values
from homfem.macro.parts import DomainPart
from homfem.macro.state import StateField
from homfem.parameters import Array, InputError, check_number
from homfem.solve import assemble_matrix

#: Regions that a field does not live in have this one: nothing is assembled there.
_NOWHERE = 1.0


class Nodal:
    """Values at the nodes of a part, and the function that shows them; collective.

    Parameters
    ----------
    part
        Where it lives.
    name
        Of the function.
    vector
        Has the values already; without it they are new.

    Attributes
    ----------
    values : array
        At the nodes that the rank owns; a function of the whole mesh has them as its own array.
    vector : PETSc.Vec
        The same.
    function : Function
        What is shown (:meth:`refresh` brings it up to date).
    """

    def __init__(self, part: DomainPart, name: str, vector: PETSc.Vec | None = None) -> None:
        self.part, self.name = part, name
        self.function = fem.Function(part.shown, name=name)
        if vector is not None:
            self.values, self.vector = vector.array, vector
        elif part.nodes is None:
            self.values, self.vector = self.function.x.array[: part.owned], self.function.x.petsc_vec
        else:
            self.values = np.zeros(part.size)
            self.vector = PETSc.Vec().createWithArray(self.values, comm=part.comm)

    def refresh(self) -> None:
        """Bring the function up to date, ghosts included; collective."""
        self.part.show(self.values, self.function)

    def taken(self) -> None:
        """Take the values of the function, as a checkpoint has set them; collective."""
        self.part.take(self.function, self.values)

    def state(self) -> StateField:
        """Return what a restart needs: the function's own values."""
        space = self.part.shown
        return StateField(space, self.function.x.array[: space.dofmap.index_map.size_local])


class Unknown(Nodal):
    """A field at the nodes of its part; collective.

    Attributes
    ----------
    capacity : float or None
        Where it is the same everywhere in the part.
    weights : array
        :math:`w_i = \\int\\gamma\\varphi_i`.
    """

    def __init__(self, field: Field, part: DomainPart) -> None:
        super().__init__(part, field.name)
        self.field = field
        self.values[:] = self._initial()
        numbers = set(field.capacity.values())
        self.capacity = numbers.pop() if len(numbers) == 1 else None
        if self.capacity is None:
            self.weights = part.integrals(self._by_region(field.capacity))
        else:
            self.weights = self.capacity * part.volumes

    def _initial(self) -> Array:
        given, part, name = self.field.initial, self.part, f"initial_{self.name}"
        if not isinstance(given, Mapping):
            whole = nodal_values(name, given, part.space, at_least=-np.inf)
            return _checked(name, part, part.of_nodes(whole))
        for region, value in given.items():
            check_number(f"{name}.{region}", value, at_least=0.0)
            self._refuse_elsewhere(name, region)
        lives = part.regions
        if lives is None:
            part.domain.require_all(part.domain.region_of_cell, given, name)
        elif REST not in given and set(lives) - set(given):
            raise InputError(name, sorted(given), f"given for every region of {self.name}: {', '.join(lives)}")
        return np.asarray(part.integrals(self._by_region(given)) / part.volumes)

    def _refuse_elsewhere(self, name: str, region: str) -> None:
        """Refuse a value in a region where the field does not live."""
        if region != REST:
            self.part.domain.region(region, name)
        lives = self.part.regions
        if lives is not None and region != REST and region not in lives:
            raise InputError(f"{name}.{region}", "given", f"absent: {self.name} lives in {', '.join(lives)} alone")

    def _by_region(self, values: Mapping[str, float]) -> fem.Function:
        whole = {REST: _NOWHERE} | dict(values)
        return cell_function(self.part.domain, self.part.domain.cell_values(whole, self.name))

    def spread_weights(self) -> Array:
        """Return the weights at all owned dofs, 0 elsewhere."""
        return self.part.spread(self.weights)

    def matrices(self) -> tuple[PETSc.Mat, PETSc.Mat]:
        """Return the mass matrix of the capacity and the matrix of the tensor, on the nodes; collective."""
        part, field = self.part, self.field
        u, v = ufl.TrialFunction(part.space), ufl.TestFunction(part.space)
        capacity: Any = self._by_region(field.capacity)
        if self.capacity is not None:
            capacity = fem.Constant(part.domain.mesh, self.capacity)
        dx = part.measure()
        mass = assemble_matrix(capacity * u * v * dx)
        stiffness = assemble_matrix(ufl.inner(self._tensor() * ufl.grad(u), ufl.grad(v)) * dx)
        return part.restricted(mass), part.restricted(stiffness)

    def _tensor(self) -> Any:
        domain, given = self.part.domain, dict(self.field.diffusion or {})
        if REST not in given:
            given = {REST: np.eye(domain.dimension)} | given
        axes = "domain" if domain.fibres is None else "fibre"
        return tensor_coefficient(self.name, domain, given, DIFFUSION, unit="um^2/s", axes=axes)

    def largest(self) -> float:
        """Return the largest value of all ranks; collective."""
        return float(self.part.comm.allreduce(float(self.values.max(initial=0.0)), op=MPI.MAX))


def _checked(name: str, part: DomainPart, values: Array) -> Array:
    """Refuse negative concentrations, on every rank; collective."""
    least = float(part.comm.allreduce(float(values.min(initial=np.inf)), op=MPI.MIN))
    if least < 0.0:
        raise InputError(name, least, "a finite number >= 0 everywhere")
    return values
