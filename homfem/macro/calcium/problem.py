"""The description of a calcium bidomain problem: tissue, tensors, membrane, start."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from dolfinx import mesh as dmesh

from homfem.kinds import DIFFUSION
from homfem.kinetics.calcium import MembraneKinetics
from homfem.macro.domain import Domain
from homfem.macro.initial import FieldInput
from homfem.materials import interface_area, required_tensor
from homfem.parameters import Array, InputError, check_number
from homfem.tensors import EffectiveTensor


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class CalciumProblem:
    r"""What is solved: tissue, tensors, membrane and start.

    Parameters
    ----------
    mesh : dolfinx.mesh.Mesh or Domain
        The cell or tissue, 1D to 3D, coordinates in um; with :class:`homfem.macro.domain.Domain` also its regions and
        fibres.
    cytosol, er : EffectiveTensor
        :math:`A^*` and :math:`B^*` with the volume fractions of their phases, in um^2/s (any unit of area per time
        is converted; a tensor without a unit is taken to be in um^2/s). In a domain with fibres they are in the axes
        of these: fibre, sheet, normal.
    kinetics : MembraneKinetics
        The flux f and the states X.
    ip3 : FieldInput
        Concentration of IP3, uM, >= 0; constant in time.
    initial_cytosol, initial_er : FieldInput
        Concentrations at the start, uM, >= 0.
    initial_states : mapping of str to FieldInput
        States X at the start by name; one that is not named starts at rest with the initial c and e.
    interface_area : float or None
        S, 1/um, > 0. None: that of the tensors (they must agree).
    density : FieldInput, or mapping of str to float
        :math:`\lambda\ge0`, dimensionless: density of the transporters relative to that of ``kinetics``; or a number
        for each region of the domain (``"*"`` for all others).

    Raises
    ------
    InputError
        If the tensors fit neither the mesh nor each other, or a number is out of range.
    UnitError
        If a tensor has a unit that is not an area per time.
    """

    mesh: dmesh.Mesh | Domain
    cytosol: EffectiveTensor
    er: EffectiveTensor
    kinetics: MembraneKinetics
    ip3: FieldInput
    initial_cytosol: FieldInput
    initial_er: FieldInput
    initial_states: Mapping[str, FieldInput] = field(default_factory=dict)
    interface_area: float | None = None
    density: FieldInput | Mapping[str, float] = 1.0
    domain: Domain = field(init=False)

    def __post_init__(self) -> None:
        domain = self.mesh if isinstance(self.mesh, Domain) else Domain(mesh=self.mesh, unit="um")
        if domain.unit != "um":
            raise InputError("mesh", domain.unit, "a domain in um")
        object.__setattr__(self, "domain", domain)
        object.__setattr__(self, "mesh", domain.mesh)
        for name, tensor in (("cytosol", self.cytosol), ("er", self.er)):
            diffusivity(name, tensor, domain.mesh)
        shared = set(self.cytosol.active_phases) & set(self.er.active_phases)
        if shared:
            raise InputError("er", self.er.active_phases, "a tensor of other phases than the cytosol's")
        if self.cytosol_fraction + self.er_fraction > 1.0 + 1e-9:
            raise InputError("er", self.er_fraction, f"a volume fraction <= {1.0 - self.cytosol_fraction:g}, the rest")
        unknown = sorted(set(self.initial_states) - set(self.kinetics.states))
        if unknown:
            raise InputError("initial_states", unknown, f"named as the states of the kinetics: {self.kinetics.states}")
        check_number("interface_area", self.area, above=0.0)

    @property
    def cytosol_fraction(self) -> float:
        r""":math:`\gamma_c`."""
        return self.cytosol.active_fraction

    @property
    def er_fraction(self) -> float:
        r""":math:`\gamma_e`."""
        return self.er.active_fraction

    @property
    def area(self) -> float:
        """S: membrane area per volume of tissue, 1/um."""
        if self.interface_area is not None:
            return self.interface_area
        return interface_area("interface_area", (self.cytosol, self.er), "1/um")


def diffusivity(name: str, tensor: EffectiveTensor, mesh: dmesh.Mesh) -> Array:
    """Return the tensor per volume of its own phase in um^2/s, checked against the mesh."""
    dimension = mesh.topology.dim
    if mesh.geometry.dim != dimension:
        raise InputError("mesh", f"{dimension}D cells in {mesh.geometry.dim}D", "of cells of the dimension of space")
    taken = required_tensor(name, tensor, DIFFUSION, unit="um^2/s", dimension=dimension)
    return np.asarray((1.0 / taken.active_fraction) * taken.value, dtype=np.float64)
