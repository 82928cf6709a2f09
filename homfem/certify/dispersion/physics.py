r"""Dispersion in a cell as data, solved on one mesh for one Peclet number or several.

A concentration c of the fluid, equal at its boundary to :math:`c_i/P_i` of a phase with the partition coefficient
:math:`P_i`, is carried by the flow v of the fluid and diffuses in all phases, and the walls hold K c per area:

.. math:: \partial_tc+V\cdot\nabla c=\nabla\cdot(D^*\nabla c) ,\qquad V=\frac1m\int v ,\qquad
          m=\sum_iP_i|Y_i|+K|\Gamma| ,

for the flow that crosses a cell in the time of diffusion through it, :math:`v=O(1/\varepsilon)`, in the frame that
moves with V; in one that is slower, :math:`v=O(1)`, V is the same and :math:`D^*` that of no flow
(:mod:`homfem.local.dispersion`).

The Peclet number is :math:`|\bar v|\ell/D` with the mean velocity in the fluid, the shortest period and the
diffusivity of the fluid (of a matrix a third, or half, of the trace; of several phases their mean).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Self

import numpy as np
import ufl
from dolfinx import fem

from homfem import solve
from homfem.brackets import outwards
from homfem.cells.symmetry import CellSymmetry
from homfem.cells.unitcell import UnitCell
from homfem.certify.accuracy import HIGHEST, STRAIGHT, Accuracy, Plan
from homfem.certify.adapt import on_root
from homfem.certify.dispersion.certified import Bounded, bound_all, without_divergence
from homfem.certify.dispersion.coarse import estimated_errors, warnings_of
from homfem.certify.dispersion.flow import Flow, FlowOnMesh, StokesFlow, volume
from homfem.certify.dispersion.geometry import geometric_error
from homfem.certify.dispersion.reacting import WallReaction, changes_of_degree, react_all
from homfem.certify.islands import without_closed_pores
from homfem.certify.physics import MeshSolution, sampled
from homfem.certify.reaction.geometry import rate_error
from homfem.coefficients import NamedCoefficient
from homfem.kinds import REGIME
from homfem.local.clock import Clock
from homfem.local.diffusion import Coefficient, diffusion_coefficient
from homfem.local.dispersion import Carrier
from homfem.local.dispersion_series import Dispersed, solve_dispersed
from homfem.local.posed import Method
from homfem.local.reaction import Reacting
from homfem.local.spectral import Spectrum
from homfem.parameters import Array, InputError, check_choice, check_number, check_peclet
from homfem.quantities import rate_unit, speed_unit
from homfem.tensors import EffectiveTensor

#: What the residual of the fluxes may take off the bounds, relative to their energies.
ALLOWANCE = 1e-7


@dataclass(frozen=True, kw_only=True, slots=True)
class Dispersion:
    """Diffusion in a flow; see :func:`homfem.certify.dispersion.solve_dispersion` for the parameters."""

    diffusivities: Mapping[str, Coefficient]
    flow: Flow = field(default_factory=StokesFlow)
    peclet: float | Sequence[float] | None = None
    sorption_length: float = 0.0
    wall_rate: float = 0.0
    partition: Mapping[str, float] = field(default_factory=dict)
    preconditioner: str | None = None
    max_iterations: int = 2000
    unit: str = ""

    def prepared(self, cell: UnitCell, accuracy: Accuracy) -> tuple[Self, Plan]:
        """Refuse what does not go together; return the physics with its fluid, and the plan; collective."""
        check_choice("backend", accuracy.backend or "identified", ("identified",))
        accuracy.allow_symmetry(False, "for dispersion: a flow along an axis has no mirror across it")
        if not cell.matching:
            raise InputError("cell", cell.name, "one whose opposite faces match", "Mesh the faces alike.")
        cell.require_whole()
        if not isinstance(self.diffusivities, Mapping) or not self.diffusivities:
            raise InputError("diffusivities", self.diffusivities, "a table with the diffusivity of each phase")
        for name in self.diffusivities:
            check_choice("phase", name, cell.phase_names)
        if not isinstance(self.flow, Flow):
            raise InputError("flow", self.flow, "a StokesFlow, a GivenFlow or a StreamFunction")
        self._check_walls(cell, accuracy)
        fluid = self.flow.phases(cell, list(self.diffusivities))
        for name, value in self.partition.items():
            check_choice("partition", name, tuple(self.diffusivities))
            check_number(f"partition.{name}", value, above=0.0)
            if name in fluid and value != 1.0:
                raise InputError(f"partition.{name}", value, "1 in the fluid", "It is relative to the fluid.")
        self.flow.check(cell, fluid, set(fluid) == set(self.diffusivities))
        two_sided, degree = self._bounded(cell, accuracy), accuracy.degree or 2
        plan = accuracy.plan(degree=degree, two_sided=two_sided, backend="identified", highest=HIGHEST)
        return replace(self, flow=replace(self.flow, fluid=tuple(fluid)), peclet=self._peclet()), plan

    def _check_walls(self, cell: UnitCell, accuracy: Accuracy) -> None:
        """Refuse what walls are to do that are not there, and a reaction on them with bounds."""
        rate = self.wall_rate
        if rate != math.inf:
            check_number("wall_rate", rate, at_least=0.0, remedy="It is infinite where walls take all that comes.")
        elif self.sorption_length:
            remedy = "Where the concentration is zero walls hold nothing."
            raise InputError("sorption_length", self.sorption_length, "0 with an infinite wall_rate", remedy)
        check_number("sorption_length", self.sorption_length, at_least=0.0)
        all_carry = sum(cell.volume_fractions[name] for name in self.diffusivities) > 1.0 - 1e-12
        for name in ("sorption_length", "wall_rate"):
            if getattr(self, name) > 0.0 and all_carry:
                remedy = "A wall is where a phase that carries meets one that does not."
                raise InputError(name, getattr(self, name), "0 where every phase carries: there is no wall", remedy)
        if rate == 0.0:
            return
        for name in ("bounds", "tolerance"):
            if getattr(accuracy, name):
                allowed = "left out with a reaction on the walls: there are no bounds"
                raise InputError(name, getattr(accuracy, name), allowed, "Choose the resolution.")

    def _bounded(self, cell: UnitCell, accuracy: Accuracy) -> bool:
        """Whether there are bounds from both sides: where they are asked for; refuse them where there are none."""
        wanted = bool(accuracy.bounds) or accuracy.tolerance is not None
        found = accuracy.between_bounds(cell, "periodic", wanted=wanted)
        if accuracy.bounds and not found:
            raise InputError("bounds", True, f"False on {cell.kind}s of order {cell.order}", STRAIGHT)
        return found

    def _peclet(self) -> tuple[float, ...] | None:
        """The Peclet numbers, checked."""
        if self.peclet is None:
            if self.flow.unit:
                raise InputError("peclet", None, "a number >= 0, or several", "It says how fast the fluid flows.")
            return None
        return check_peclet(self.peclet)

    def active(self, cell: UnitCell) -> UnitCell:
        """Return the phases that carry, without islands; collective."""
        active = cell.restrict([name for name in cell.phase_names if name in self.diffusivities])
        active.require_percolation()
        return without_closed_pores(active)

    def loads(self, dimension: int) -> tuple[int, ...]:
        """Return all axes."""
        return tuple(range(dimension))

    def symmetric(self, active: UnitCell) -> tuple[UnitCell, tuple[int, ...], CellSymmetry]:
        """A flow has no mirror across its axis."""
        raise InputError("symmetry", "auto", "'none' for dispersion")

    def solve(self, cell: UnitCell, loads: tuple[int, ...], plan: Plan) -> DispersionOnMesh:
        """Solve on one mesh for all Peclet numbers; collective."""
        fluid = [name for name in cell.phase_names if name in (self.flow.fluid or ())]
        clock = Clock()
        flow = self.flow.on(cell, fluid, plan)
        if plan.two_sided:
            flow = without_divergence(cell, flow)
        clock.lap("flow")
        # What is assembled is not kept with the result.
        stiffness, flow = flow.stiffness, replace(flow, stiffness=None)
        medium = self.medium(cell, flow, plan)
        reference = self.reference(medium, fluid)
        unit = self._scale(cell, flow, reference)
        peclet = self.peclet if isinstance(self.peclet, tuple) else (1.0 / unit,)
        for one in peclet:
            check_peclet(one)
        method = Method(preconditioner=self.preconditioner, rtol=plan.rtol, max_iterations=self.max_iterations)
        scales = [one * unit for one in peclet]
        both = [*scales, *(-one for one in scales)] if plan.two_sided else scales
        spectra: tuple[Spectrum, ...] = ()
        errors: list[float | None] = [None] * len(peclet)
        decaying: Reacting | None = None
        if self.wall_rate:
            factor = speed_unit(self.unit, cell.length_unit)[1]
            walls = WallReaction(
                rate=self.wall_rate * cell.length / factor, capacity=self.sorption_length / cell.length
            )
            decaying = walls.medium(medium, None)
            both_of = react_all(medium, flow, walls, scales)
            errors = changes_of_degree(medium, flow, walls, both_of)
            solved, spectra = zip(*both_of, strict=True)
        else:
            solved = solve_dispersed(medium, both, method, stiffness)
        if stiffness is not None:
            stiffness.destroy()
        pairs = list(zip(solved, solved[len(peclet) :], strict=False))
        solved = solved[: len(peclet)]
        sides: list[Bounded | None] = [None] * len(peclet)
        if plan.two_sided:
            sides = [*bound_all(medium, flow, pairs, rtol=plan.rtol, allowance=plan.allowance(ALLOWANCE))]
        frame = _Frame(physics=self, cell=cell, flow=flow, fluid=tuple(fluid), unit=unit)
        left = spectra or [None] * len(peclet)
        tensors = tuple(frame.tensor(*one) for one in zip(solved, peclet, sides, left, strict=True))
        if not plan.two_sided:
            if not spectra:
                errors = estimated_errors(medium, solved, peclet, method)
            tensors = tuple(
                replace(tensor, estimated_error=error, warnings=words)
                for tensor, error, words in zip(tensors, errors, warnings_of(medium, peclet, errors), strict=True)
            )
        hardest = int(np.argmax(peclet))
        if plan.two_sided:
            hardest = int(np.argmax([np.inf if one.relative_gap is None else one.relative_gap for one in tensors]))
        for one in range(len(peclet)):
            if one != hardest:
                clock.add(solved[one].correctors.seconds)
        return DispersionOnMesh(
            tensor=tensors[hardest],
            cell=cell,
            correctors=solved[hardest].correctors,
            dual=sides[hardest],
            series=tensors,
            dispersed=solved,
            spectra=spectra,
            seconds=clock.seconds,
            carrier=medium,
            flow=flow,
            decaying=decaying,
        )

    def medium(self, cell: UnitCell, flow: FlowOnMesh, plan: Plan) -> Carrier:
        """Return what carries on a mesh, in mesh units; collective."""
        shares = {name: float(self.partition.get(name, 1.0)) for name in cell.phase_names}
        diffusivity = diffusion_coefficient(cell, {name: self.diffusivities[name] for name in cell.phase_names})
        capacity = None
        if any(share != 1.0 for share in shares.values()):
            capacity = cell.cell_function(shares)
            block = diffusivity.function_space.dofmap.bs
            diffusivity.x.array[:] *= np.repeat(capacity.x.array, block)
        walls = fem.Constant(cell.mesh, self.sorption_length / cell.length) if self.sorption_length else None
        return Carrier(
            cell=cell,
            diffusivity=diffusivity,
            velocity=flow.velocity,
            potential=flow.potential,
            capacity=capacity,
            wall_capacity=walls,
            degree=plan.degree,
        )

    def reference(self, medium: Carrier, fluid: Sequence[str]) -> float:
        """Return the diffusivity in a Peclet number: the mean over the fluid of a d-th of the trace; collective."""
        cell, own = medium.cell, medium.diffusivity  # in the fluid the partition coefficient is one
        d = cell.dimension
        trace = own if not own.ufl_shape else sum(own[k, k] for k in range(d)) / d
        inside = cell.cell_function({name: float(name in fluid) for name in cell.phase_names})
        total = solve.integrals("trace", lambda one: one * trace * inside * ufl.dx, cell.mesh, [own, inside])
        return float(total) / volume(cell, fluid)

    def _scale(self, cell: UnitCell, flow: FlowOnMesh, reference: float) -> float:
        """What the field is multiplied with at the Peclet number 1."""
        shortest = min(cell.periods) / cell.length
        if flow.speed == 0.0:
            if isinstance(self.peclet, tuple) and any(self.peclet):
                raise InputError("peclet", self.peclet, "None for a flow that is nowhere", "Its velocity is zero.")
            return 1.0
        return reference / (shortest * flow.speed)

    def record(self, cell: UnitCell) -> dict[str, Any]:
        """Return what the tensor keeps of the input."""
        return {"unit": self.unit, "active_phases": tuple(self.diffusivities)}

    @property
    def sampled(self) -> bool:
        """Whether a diffusivity is a function of position."""
        return sampled(self.diffusivities)


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class _Frame:
    """What turns numbers of a mesh into an effective tensor; ``unit`` is the scale at the Peclet number 1."""

    physics: Dispersion
    cell: UnitCell
    flow: FlowOnMesh
    fluid: tuple[str, ...]
    unit: float

    def tensor(
        self, solved: Dispersed, peclet: float, sides: Bounded | None, left: Spectrum | None = None
    ) -> EffectiveTensor:
        """Return one effective tensor."""
        cell, span = self.cell, self.cell.whole.span(self.cell.lattice)
        project = span.T @ span if len(span) < cell.dimension else np.eye(cell.dimension)
        unit = self.physics.unit
        speed, factor = speed_unit(unit, cell.length_unit)
        held = solved.mass / sum(cell.volume_fractions[name] for name in self.physics.diffusivities)
        velocity = np.asarray(factor * project @ solved.velocity / cell.length)
        coefficients = {
            "velocity": NamedCoefficient(value=velocity, unit=speed, basis="vector"),
            "flux_form": NamedCoefficient(value=project @ solved.flux @ project, unit=unit, basis="matrix"),
            "peclet": NamedCoefficient(value=np.array(peclet), basis="scalar"),
        }
        if left is not None:
            del coefficients["flux_form"]
            rate = np.asarray(factor * left.value / cell.length**2)
            coefficients["rate"] = NamedCoefficient(value=rate, unit=rate_unit(unit, cell.length_unit), basis="scalar")
        fields: dict[str, Any] = {"value": project @ solved.value @ project}
        if sides is not None:
            fields = sides.bracket(solved.value, project)
            flow_error = np.array(sides.flow_error(self.flow.change, fields["value"]))
            coefficients["flow_error"] = NamedCoefficient(value=flow_error, basis="scalar")
        return EffectiveTensor(
            **fields,
            physics="dispersion",
            unit=unit,
            averaged_over="active",
            retardation=held if abs(held - 1.0) > 1e-9 else 1.0,
            coefficients=coefficients,
            conventions=self.conventions(held),
        )

    def conventions(self, held: float) -> dict[str, str]:
        """Return in words what the numbers are."""
        fluid = " and ".join(self.fluid)
        alone = set(self.physics.diffusivities) == set(self.fluid)
        reached = volume(self.cell, self.cell.phase_names) / self.cell.lattice.volume
        reached /= sum(self.cell.volume_fractions[name] for name in self.physics.diffusivities)
        retarded = abs(held / reached - 1.0) > 1e-9
        phases = "fluid" if alone else "phases that carry"
        phases += "" if abs(reached - 1.0) < 1e-9 else " without closed pores"
        exact = {}
        if self.flow.potential is None:
            exact["bounds"] = (
                "of the flow without divergence on this mesh, which is "
                f"{outwards(self.flow.change)} of it away from the one that was computed or given"
            )
            exact["flow_error"] = "estimate of what that may change in the tensor, relative; it is not in the bounds"
        if self.physics.wall_rate:
            exact["rate"] = "of decay at the walls: what is left has the factor exp(-rate t)"
            exact["geometric_error"] = (
                "estimate of what straight facets change in the rate, as much relative to the tensor"
            )
            exact["reaction"] = "velocity and tensor are those of what is left, weighted by the functions of the decay"
        words = exact | {
            "average": f"per {'capacity' if retarded else 'volume'} of the {phases}",
            "velocity": f"mean over the {phases}" + (", over the retardation" if retarded else ""),
            "peclet_length": f"the shortest period, {min(self.cell.periods):g} {self.cell.length_unit}".rstrip(),
            "peclet_speed": f"root mean square over {fluid}: the mean velocity is zero"
            if self.flow.still
            else f"the size of the mean velocity over {fluid}, not retarded",
            "flux_form": "not symmetric; its symmetric part is the value where diffusivities do not vary with place",
            "regime": REGIME,
        }
        if self.physics.wall_rate:
            del words["flux_form"]
            words["velocity"] += ", weighted by what is left of the solute"
        return words


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class DispersionOnMesh(MeshSolution):
    """Dispersion on one mesh; ``series`` has the tensors of all Peclet numbers in their order.

    ``tensor`` is that of the largest, and with bounds the one whose bounds are farthest apart.

    Parameters
    ----------
    dispersed
        The solved cell problems.
    spectra
        With a reaction on the walls the decay at each Peclet number.
    carrier
        What carries: of :mod:`homfem.local.dispersion`, in mesh units.
    flow
        The flow.
    decaying
        With a reaction on the walls what decays, at rest.
    """

    dispersed: tuple[Dispersed, ...] = ()
    spectra: tuple[Spectrum, ...] = ()
    carrier: Carrier
    flow: FlowOnMesh
    decaying: Reacting | None = None

    def gaps(self) -> Array:
        """Return the part of the gap in each mesh cell, on rank 0; collective."""
        return on_root(self.cell, self.dual.gaps())

    def geometric_error(self) -> float:
        """Return an estimate of what straight facets change: beside bounds, and of a rate on walls; collective."""
        if self.cell.order != 1:
            return 0.0
        if self.decaying is not None:
            values = np.linalg.eigvalsh(self.tensor.value)
            worst = max(rate_error(self.decaying, spectrum) for spectrum in self.spectra)
            return worst * float(values[values > 1e-9 * values[-1]][0])
        return (
            0.0
            if self.dual is None
            else geometric_error(self.correctors.problem, self.dual, self.flow, self.tensor.value)
        )
