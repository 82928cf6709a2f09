"""The description of a calcium problem: tissue, tensors by region, membranes, start."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

import numpy as np
from dolfinx import mesh as dmesh

from homfem.kinds import DIFFUSION
from homfem.kinetics.calcium import (
    CalciumKinetics,
    Geometry,
    MembraneKinetics,
    SurfaceFlux,
    exchange_kinetics,
    membrane_kinetics,
    on_membrane,
)
from homfem.kinetics.joined import with_fields
from homfem.kinetics.point import PointKinetics
from homfem.macro.calcium.buffers import TissueBuffer
from homfem.macro.calcium.fields import MEMBRANE, REST, Exchange, Field
from homfem.macro.calcium.loads import BoundaryFlux, Source
from homfem.macro.calcium.messenger import Messenger
from homfem.macro.domain import Domain
from homfem.macro.initial import FieldInput
from homfem.macro.parts import refuse_not_beside
from homfem.materials import interface_area, required_tensor
from homfem.parameters import Array, InputError, check_number
from homfem.tensors import EffectiveTensor

TensorByRegion: TypeAlias = EffectiveTensor | Mapping[str, EffectiveTensor | float]
"""An effective tensor, or one for each region; a number is the diffusivity (um^2/s) of cytosol without ER in it."""

#: Its names for the fields of the calcium bidomain.
CYTOSOL, ER, IP3 = "cytosol", "er", "ip3"


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class CalciumProblem:
    r"""What is solved: tissue, tensors, membranes and start.

    Parameters
    ----------
    mesh : dolfinx.mesh.Mesh or Domain
        The cell or tissue, 1D to 3D, coordinates in um; with :class:`homfem.macro.domain.Domain` also its regions and
        fibres.
    cytosol, er : EffectiveTensor or mapping of str to EffectiveTensor
        :math:`A^*` and :math:`B^*` with the volume fractions of their phases, in um^2/s (any unit of area per time
        is converted; a tensor without a unit is taken to be in um^2/s). In a domain with fibres they are in the axes
        of these: fibre, sheet, normal. Or one for each region of the domain. The ER lives in the regions of ``er``
        alone; a region that ``cytosol`` has and ``er`` has not is cytosol without ER, :math:`\Omega^-`: a number there
        is its diffusivity, with volume fraction 1.
    kinetics : MembraneKinetics or CalciumKinetics
        The flux f and the states X. Fluxes of :class:`~homfem.kinetics.calcium.CalciumKinetics` that are per volume of
        cytosol belong to the membrane here, by the geometry of the first region with ER.
    ip3 : FieldInput or Messenger
        Concentration of IP3, uM, >= 0; constant in time, or a field that diffuses and is degraded.
    initial_cytosol, initial_er : FieldInput or mapping of str to float
        Concentrations at the start, uM, >= 0.
    initial_states : mapping of str to FieldInput
        States X at the start by name; one that is not named starts at rest with the initial c and e.
    interface_area : float, mapping of str to float, or None
        S, 1/um, > 0, or one for each region with ER. None: that of the tensors (they must agree).
    density : FieldInput, or mapping of str to float
        :math:`\lambda\ge0`, dimensionless: density of the transporters relative to that of ``kinetics``; or a number
        for each region of the domain (``"*"`` for all others).
    fluxes : sequence of BoundaryFlux
        What enters through named outer boundaries, such as pumps and channels of the plasma membrane.
    sources : sequence of Source
        What enters in places: a channel mouth, a puff.
    buffers : sequence of TissueBuffer
        What binds calcium in cytosol and ER; their fields have the names of the buffers.
    species : sequence of Field
        Further fields.
    exchanges : sequence of Exchange
        Further kinetics between fields.

    Raises
    ------
    InputError
        If the tensors fit neither the mesh nor each other, a region with ER meets no other region, or a number is out
        of range.
    UnitError
        If a tensor has a unit that is not an area per time.
    """

    mesh: dmesh.Mesh | Domain
    cytosol: TensorByRegion
    er: TensorByRegion
    kinetics: MembraneKinetics | CalciumKinetics
    ip3: FieldInput | Messenger
    initial_cytosol: FieldInput | Mapping[str, float]
    initial_er: FieldInput | Mapping[str, float]
    initial_states: Mapping[str, FieldInput] = field(default_factory=dict)
    interface_area: float | Mapping[str, float] | None = None
    density: FieldInput | Mapping[str, float] = 1.0
    fluxes: Sequence[BoundaryFlux] = ()
    sources: Sequence[Source] = ()
    buffers: Sequence[TissueBuffer] = ()
    species: Sequence[Field] = ()
    exchanges: Sequence[Exchange] = ()
    domain: Domain = field(init=False)
    membrane: PointKinetics = field(init=False)

    def __post_init__(self) -> None:
        domain = self.mesh if isinstance(self.mesh, Domain) else Domain(mesh=self.mesh, unit="um")
        if domain.unit != "um":
            raise InputError("mesh", domain.unit, "a domain in um")
        dimension = domain.dimension
        if domain.mesh.geometry.dim != dimension:
            shown = f"{dimension}D cells in {domain.mesh.geometry.dim}D"
            raise InputError("mesh", shown, "of cells of the dimension of space")
        object.__setattr__(self, "domain", domain)
        object.__setattr__(self, "mesh", domain.mesh)
        for name in (CYTOSOL, ER):
            for region, tensor in self.tensors(name).items():
                if region != REST:
                    domain.region(region, name)
                diffusivity(_path(name, region), tensor, dimension)
        self._check_phases()
        for one in self.buffers:
            for region in one.regions or ():
                domain.region(region, f"buffers.{one.buffer.name}.regions")
        if isinstance(self.er, Mapping) and REST not in self.er:
            missing = [region for region in domain.regions if region not in self.er]
            if missing:
                refuse_not_beside(domain, tuple(self.er), ER)
        object.__setattr__(self, "membrane", self._membrane())
        states = [state.name for state in self.membrane.states]
        unknown = sorted(set(self.initial_states) - set(states))
        if unknown:
            raise InputError("initial_states", unknown, f"named as the states of the kinetics: {states}")

    def _membrane(self) -> PointKinetics:
        """Return the kinetics per area of the ER's membrane."""
        areas = self.areas()
        if isinstance(self.kinetics, MembraneKinetics):
            return exchange_kinetics(self.kinetics)
        region, er = next(iter(self.tensors(ER).items()))
        cytosol = self.tensors(CYTOSOL)
        shares = cytosol.get(region, cytosol.get(REST, er)).active_fraction, er.active_fraction
        geometry = Geometry(cytosol_fraction=shares[0], er_fraction=shares[1], er_area=areas[region])
        moved = on_membrane(self.kinetics, geometry)
        others = [one.name for one in moved.fluxes if not (isinstance(one, SurfaceFlux) and one.membrane == "er")]
        found = membrane_kinetics(moved)
        if others or found is None:
            remedy = "Those through the plasma membrane belong to a boundary (boundary_law), IP3 is a Messenger."
            raise InputError("kinetics", others, "fluxes through the membrane of the ER alone", remedy)
        return found

    def _check_phases(self) -> None:
        """Refuse ER where there is no cytosol, and phases that fill more than the volume."""
        cytosol, er = self.tensors(CYTOSOL), self.tensors(ER)
        for region, tensor in er.items():
            beside = cytosol.get(region, cytosol.get(REST))
            at = _path(ER, region)
            if beside is None:
                raise InputError(at, "given", f"for regions with cytosol: {', '.join(cytosol)}")
            if set(beside.active_phases) & set(tensor.active_phases):
                raise InputError(at, tensor.active_phases, "a tensor of other phases than the cytosol's")
            if beside.active_fraction + tensor.active_fraction > 1.0 + 1e-9:
                rest = 1.0 - beside.active_fraction
                raise InputError(at, tensor.active_fraction, f"a volume fraction <= {rest:g}, the rest")

    def tensors(self, name: str) -> dict[str, EffectiveTensor]:
        """Return the tensors of ``"cytosol"`` or ``"er"`` by region; ``"*"`` is everything that is not named."""
        given = self.cytosol if name == CYTOSOL else self.er
        if not isinstance(given, Mapping):
            return {REST: given}
        if not given:
            raise InputError(name, {}, "at least one region")
        return {
            region: one if isinstance(one, EffectiveTensor) else free_cytosol(one, self.domain.dimension, region)
            for region, one in given.items()
        }

    @property
    def cytosol_fraction(self) -> float:
        r""":math:`\gamma_c`, where it is the same everywhere."""
        return self._fraction(CYTOSOL)

    @property
    def er_fraction(self) -> float:
        r""":math:`\gamma_e`, where it is the same everywhere."""
        return self._fraction(ER)

    def _fraction(self, name: str) -> float:
        fractions = {region: tensor.active_fraction for region, tensor in self.tensors(name).items()}
        if len(set(fractions.values())) > 1:
            raise InputError(f"{name}_fraction", fractions, "asked of a tissue with one", f"Ask tensors({name!r}).")
        return next(iter(fractions.values()))

    @property
    def area(self) -> float:
        """S: membrane area per volume of tissue, 1/um, where it is the same in all regions with ER."""
        areas = self.areas()
        if len(set(areas.values())) > 1:
            raise InputError("area", areas, "asked of a tissue with one", "Ask areas().")
        return next(iter(areas.values()))

    def areas(self) -> dict[str, float]:
        """Return S by region with ER, 1/um."""
        given, cytosol, er = self.interface_area, self.tensors(CYTOSOL), self.tensors(ER)
        areas = {}
        for region, tensor in er.items():
            value = given.get(region, given.get(REST)) if isinstance(given, Mapping) else given
            if value is None:
                beside = cytosol.get(region, cytosol.get(REST, tensor))
                value = interface_area("interface_area", (beside, tensor), "1/um")
            areas[region] = check_number(_path("interface_area", region), value, above=0.0)
        if isinstance(given, Mapping):
            unknown = [region for region in given if region not in (*er, REST)]
            if unknown:
                raise InputError("interface_area", unknown, f"regions with ER: {', '.join(er)}")
        return areas

    def fields(self) -> tuple[Field, ...]:
        """Return all fields: cytosol, ER, IP3 if it is one, what buffers have bound, and further species."""
        found = [self._field(CYTOSOL, self.initial_cytosol), self._field(ER, self.initial_er)]
        if isinstance(self.ip3, Messenger):
            found.append(self.ip3.field(IP3, self.tensors(CYTOSOL), self.domain.dimension))
        phases = {one.name: one for one in found}
        found += [one.field(phases[one.buffer.phase], self.domain.dimension) for one in self.buffers]
        found += self.species
        names = [one.name for one in found]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise InputError("buffers" if self.buffers else "species", twice, "fields with names that differ")
        return tuple(found)

    def _field(self, name: str, initial: FieldInput | Mapping[str, float]) -> Field:
        tensors, d = self.tensors(name), self.domain.dimension
        return Field(
            name=name,
            capacity={region: tensor.active_fraction for region, tensor in tensors.items()},
            diffusion={
                region: tensor.active_fraction * diffusivity(_path(name, region), tensor, d)
                for region, tensor in tensors.items()
            },
            initial=initial,
            calcium=1.0,
        )

    def held(self) -> dict[str, float]:
        """Return the calcium that states hold per area of the membrane where they are 1, uM um, by their names."""
        if isinstance(self.kinetics, MembraneKinetics):
            return {}
        region, er = next(iter(self.tensors(ER).items()))
        cytosol = self.tensors(CYTOSOL)
        share = cytosol.get(region, cytosol.get(REST, er)).active_fraction
        return {name: share / self.areas()[region] * value for name, value in self.kinetics.held().items()}

    def kinetics_of_fields(self) -> tuple[Exchange, ...]:
        """Return all kinetics: the membrane's first, the loss of IP3 if it is a field, further ones."""
        reads = any(entry.name == IP3 for entry in self.membrane.parameters)
        if not isinstance(self.ip3, Messenger):
            first = Exchange(kinetics=self.membrane, per=MEMBRANE, parameters={IP3: self.ip3} if reads else {})
            return (first, *self.exchanges)
        kinetics = with_fields(self.membrane, {IP3: IP3}) if reads else self.membrane
        first = Exchange(kinetics=kinetics, per=MEMBRANE, parameters={})
        return (first, *self.ip3.exchanges(IP3), *self.exchanges)


def diffusivity(name: str, tensor: EffectiveTensor, dimension: int) -> Array:
    """Return the tensor per volume of its own phase in um^2/s, checked against the dimension."""
    taken = required_tensor(name, tensor, DIFFUSION, unit="um^2/s", dimension=dimension)
    return np.asarray((1.0 / taken.storage) * taken.value, dtype=np.float64)


def free_cytosol(value: float, dimension: int, region: str = "") -> EffectiveTensor:
    """Return the tensor of cytosol without ER in it: volume fraction 1, a diffusivity in um^2/s.

    Example
    -------
    >>> free_cytosol(220.0, 2).active_fraction
    1.0
    """
    number = check_number(_path(CYTOSOL, region or REST), value, above=0.0)
    return EffectiveTensor.measured(CYTOSOL, number, volume_fraction=1.0, unit="um^2/s", dimension=dimension)


def _path(name: str, region: str) -> str:
    return name if region == REST else f"{name}.{region}"
