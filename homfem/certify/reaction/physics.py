r"""A solute that reacts in the phases and on their interfaces: its rate of decay, and its diffusion meanwhile.

.. math:: \partial_tc=\nabla\cdot(D\nabla c)-kc ,\qquad -n\cdot D\nabla c=k_sc\ \text{ on interfaces},\qquad
          \partial_tw=\nabla\cdot(D^*\nabla w)-\mathrm{rate}\;w ,

with the number c per volume of the active phases.

``slow``
    Diffusion evens the concentration out before the reaction is felt: :math:`\mathrm{rate}=(\int k+\int_\Gamma k_s)
    /|Y_f|`, and :math:`D^*` is that of the solute without reaction, with its bounds. How far this limit is away is
    computed beside it: the rate of decay proper, and the Damkoehler number :math:`\mathrm{rate}\,\ell^2/D^*` with the
    shortest period.
``finite``
    At any rate: the first eigenvalue of :mod:`homfem.local.spectral`, and :math:`D^*` weighted by the square of its
    function (:mod:`homfem.local.reaction`). It is at most the slow rate. **Guaranteed bounds** of the rate are those of
    :mod:`homfem.local.eigenvalue_bounds`, for the cell as it is meshed; of :math:`D^*` the error is estimated by the
    change from elements of one degree less, without guarantee; where bounds are asked for (``bounds=True``) it has
    guaranteed ones too, wider than that (:mod:`homfem.local.weighted_bounds`).

Neither is the effectiveness of particles whose boundary is held at a concentration.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any, Self, Unpack

import numpy as np

from homfem.brackets import EPS
from homfem.cells.symmetry import CellSymmetry
from homfem.cells.unitcell import UnitCell
from homfem.certify.accuracy import STRAIGHT, Accuracy, AccuracyOptions, Plan, straight
from homfem.certify.diffusion import Diffusion
from homfem.certify.diffusion.physics import DiffusionOnMesh
from homfem.certify.islands import without_closed_pores
from homfem.certify.loop import solve_cell
from homfem.certify.physics import CellSolution, MeshSolution, sampled
from homfem.certify.reaction.interfaces import check_interfaces
from homfem.certify.reaction.on_mesh import DecayOnMesh, diffusivity_of, left_of, per_amount, rate_of
from homfem.certify.symmetry import Loads
from homfem.coefficients import NamedCoefficient
from homfem.keywords import inherits, part_of, takes
from homfem.kinds import kind_of
from homfem.local.diffusion import Coefficient, diffusion_coefficient
from homfem.local.eigenvalue_bounds import eigenvalue_bounds
from homfem.local.reaction import Reacting, keep_interfaces, surfaces_of
from homfem.local.spectral import require_one_part, solve_spectrum
from homfem.local.weighted_bounds import weighted_bounds
from homfem.parameters import Array, InputError, check_choice, check_number
from homfem.tensors import EffectiveTensor

log = logging.getLogger("homfem")

REGIMES = ("finite", "slow")
FACETS = "the larger of what straight facets change in the diffusion and, as much relative to it, in the rate"
#: The slow rate is no limit where it is above that of the decay by more than this part.
SLOW = 0.01


@dataclass(frozen=True, kw_only=True, slots=True)
class Reaction:
    """Diffusion and reaction in the named phases; see :func:`solve_reaction` for the parameters.

    ``weighted``: whether the diffusivity at finite rates has its bounds as well.
    """

    coefficients: Mapping[str, Coefficient]
    rates: Mapping[str, float] = field(default_factory=dict)
    interface_rates: Mapping[str, float] = field(default_factory=dict)
    regime: str = "finite"
    time_unit: str = ""
    weighted: bool = False

    def prepared(self, cell: UnitCell, accuracy: Accuracy) -> tuple[Self, Plan]:
        """Refuse what does not go together; return the interfaces by the names of the cell, and the plan."""
        check_choice("regime", self.regime, REGIMES)
        self._unit(cell)
        names = self._names(cell)
        for name, rate in self.rates.items():
            check_choice("rates", name, names)
            check_number(f"rates[{name!r}]", rate, at_least=0.0)
        interfaces = check_interfaces(cell, names, self.interface_rates)
        if not any(value > 0.0 for value in (*self.rates.values(), *interfaces.values())):
            allowed = "at least one above zero, or one of interface_rates"
            raise InputError("rates", dict(self.rates), allowed, "Without reaction it is diffusion.")
        accuracy.allow_symmetry(False, "for a reaction")
        check_choice("backend", accuracy.backend or "identified", ("identified",))
        if not cell.matching:
            raise InputError("cell", cell.name, "one whose opposite faces match")
        physics = replace(self, interface_rates=interfaces, weighted=bool(accuracy.bounds))
        if self.regime == "slow":
            return physics, self._diffusion().prepared(cell, accuracy)[1]
        for key in ("tolerance", "bounds"):
            value = getattr(accuracy, key)
            if value and not straight(cell):
                raise InputError(key, value, f"None on {cell.kind}s of order {cell.order}: no bounds there", STRAIGHT)
        usual = 2 if accuracy.tolerance is None else 3  # the estimate is the error of one degree less
        return physics, accuracy.plan(
            degree=usual if accuracy.degree is None else accuracy.degree,
            two_sided=straight(cell) and accuracy.bounds is not False,
            backend="identified",
        )

    def _names(self, cell: UnitCell) -> list[str]:
        """The phases that carry the solute, in the order of the cell."""
        if not self.coefficients:
            raise InputError("coefficients", self.coefficients, f"given for at least one of {cell.phase_names}")
        for name in self.coefficients:
            check_choice("phase", name, cell.phase_names)
        return [name for name in cell.phase_names if name in self.coefficients]

    def _unit(self, cell: UnitCell) -> str:
        unit = f"{cell.length_unit}^2/{self.time_unit}" if self.time_unit and cell.length_unit else ""
        return kind_of("reaction").check_unit(unit, "time_unit")

    def _diffusion(self) -> Diffusion:
        return Diffusion(coefficients=self.coefficients)

    def active(self, cell: UnitCell) -> UnitCell:
        """Return what carries the solute, in one part, with the names of its interfaces; collective."""
        cell.require_whole()
        named = keep_interfaces(cell, list(self.interface_rates))
        active = named.restrict(self._names(cell))
        active.require_percolation()
        active = without_closed_pores(active)
        require_one_part(active)
        return active

    def loads(self, dimension: int) -> Loads:
        """Return the unit gradients along all axes."""
        return Loads.of(tuple(range(dimension)))

    def symmetric(self, active: UnitCell) -> tuple[UnitCell, Loads, CellSymmetry]:
        """Refuse: the whole cell is solved."""
        raise InputError("symmetry", "auto", "'none' for a reaction", "Leave it out: the whole cell is solved.")

    def medium(self, cell: UnitCell) -> Reacting:
        """Return the solute on one mesh, in mesh units; collective."""
        length, names = cell.length, cell.phase_names
        rates = {name: length * rate for name, rate in self.interface_rates.items() if name in cell.facets}
        return Reacting(
            cell=cell,
            diffusivity=diffusion_coefficient(cell, {name: self.coefficients[name] for name in names}),
            rate=cell.cell_function({name: length**2 * self.rates.get(name, 0.0) for name in names}),
            capacity=cell.cell_function(dict.fromkeys(names, 1.0)),
            surfaces=surfaces_of(cell, rates),
        )

    def solve(self, cell: UnitCell, loads: Loads, plan: Plan) -> MeshSolution:
        """Solve on one mesh; collective."""
        return self._slow(cell, loads, plan) if self.regime == "slow" else self._finite(cell, plan)

    def _finite(self, cell: UnitCell, plan: Plan) -> DecayOnMesh:
        medium = self.medium(cell)
        spectrum, correctors = left_of(medium, plan, plan.degree)
        other, compared = left_of(medium, plan, plan.degree - 1 if plan.degree > 1 else 2)
        bounds = None
        if plan.two_sided and not self.sampled:
            bounds = eigenvalue_bounds(medium, spectrum, degree=plan.degree)
        found = per_amount(medium, correctors.average)
        more = {}
        if bounds is not None and self.weighted:
            sides = weighted_bounds(medium, spectrum, correctors, bounds, degree=plan.degree)
            more["diffusivity"] = diffusivity_of(found, sides, self._unit(cell))
        change = float(np.linalg.norm(found - per_amount(medium, compared.average), 2) / np.linalg.norm(found, 2))
        rate = rate_of(cell, spectrum.value, bounds)
        gap = abs(other.value / spectrum.value - 1.0)
        if rate.lower is not None and rate.upper is not None:
            gap = float(0.5 * (rate.upper - rate.lower) / rate.upper)
        warnings = () if bounds is None or not bounds.reason else (f"no lower bound of the rate: {bounds.reason}",)
        tensor = EffectiveTensor(
            value=found,
            averaged_over="active",
            retardation=self._reached(medium),
            coefficients=self._coefficients(medium, rate, found, more),
            conventions=self._conventions(cell, bounded=bounds is not None),
            estimated_error=max(change, gap),
            warnings=warnings,
        )
        return DecayOnMesh(
            tensor=tensor,
            cell=cell,
            correctors=correctors,
            dual=spectrum,
            compared=compared,
            medium=medium,
            other=other,
        )

    def _slow(self, cell: UnitCell, loads: Loads, plan: Plan) -> SlowOnMesh:
        diffusion = replace(self._diffusion(), lower_degree=1 if plan.degree > 1 else 0)
        solved = diffusion.solve(cell, loads, plan)
        medium, tensor = self.medium(cell), solved.tensor
        storage = medium.amount() / cell.lattice.volume
        sides = {name: getattr(tensor, name) for name in ("value", "lower", "upper", "roundoff")}
        divided: dict[str, Any] = {name: side / storage for name, side in sides.items() if side is not None}
        slow = medium.slow_rate() / cell.length**2
        rate = NamedCoefficient(
            value=np.asarray(slow), lower=np.asarray(slow * (1 - 1e3 * EPS)), upper=np.asarray(slow * (1 + 1e3 * EPS)),
            unit=self._per_time(), basis="scalar",
        )  # fmt: skip
        decay = solve_spectrum(cell, medium.problem(plan.degree)).value / cell.length**2
        above = slow / decay - 1.0
        warnings = tensor.warnings
        more = {"decay": NamedCoefficient(value=np.asarray(decay), unit=self._per_time(), basis="scalar")}
        if above > SLOW:
            words = f"the solute decays at {decay:.6g}, and the slow rate is {100 * above:.3g} % above it"
            words = f"the reaction is not slow beside diffusion: {words}; take regime = 'finite'"
            warnings = (*warnings, words)
            log.warning("%s: %s", cell.name, words)
        tensor = replace(
            tensor,
            **divided,
            averaged_over="active",
            retardation=self._reached(medium),
            coefficients=self._coefficients(medium, rate, divided["value"], more),
            conventions=self._conventions(cell),
            warnings=warnings,
        )
        own = {one.name: getattr(solved, one.name) for one in fields(solved)}
        return SlowOnMesh(**own | {"tensor": tensor}, storage=storage)

    def _reached(self, medium: Reacting) -> float:
        """What of the phases holds the solute that is transported: all of them but islands; collective."""
        cell = medium.cell
        held = medium.amount() / cell.lattice.volume / sum(cell.volume_fractions[name] for name in self.coefficients)
        return held if abs(held - 1.0) > 1e-9 else 1.0

    def _per_time(self) -> str:
        return f"1/{self.time_unit}" if self.time_unit else ""

    def _coefficients(
        self, medium: Reacting, rate: NamedCoefficient, diffusion: Array, more: Mapping[str, NamedCoefficient]
    ) -> dict[str, NamedCoefficient]:
        """The rate and what is said beside it; collective."""
        cell = medium.cell
        speed = f"{cell.length_unit}/{self.time_unit}" if self.time_unit and cell.length_unit else ""
        slow = medium.slow_rate() / cell.length**2
        storage = medium.amount() / cell.lattice.volume
        scalar: dict[str, Any] = {"unit": self._per_time(), "basis": "scalar"}
        smallest = min(value for value in np.linalg.eigvalsh(diffusion) if value > 1e-9 * np.abs(diffusion).max())
        damkoehler = slow * min(cell.periods) ** 2 / smallest
        named = {
            "rate": replace(rate, **scalar),
            "velocity": NamedCoefficient(value=np.zeros(cell.dimension), unit=speed, basis="vector"),
            "sink": NamedCoefficient(value=np.asarray(storage * rate.value), **scalar),
            "slow_rate": NamedCoefficient(value=np.asarray(slow), **scalar),
            "damkoehler": NamedCoefficient(value=np.asarray(damkoehler), basis="scalar"),
        }
        return named | dict(more)

    def _conventions(self, cell: UnitCell, *, bounded: bool = False) -> dict[str, str]:
        words = {
            "slow": "diffusion is fast beside the reaction: rate = (int k + int k_s) / volume of the active phases",
            "finite": "at any rate: the slowest decay of the cell, and the diffusion of what is left",
        }
        straight = {}
        if bounded and cell.comm.allreduce(len(cell.slivers[0])):
            straight["bounds"] = (
                "of rate and diffusivity: for straight facets in place of curved surfaces, which order = 2 has"
            )
        if cell.order == 1 and cell.comm.allreduce(len(cell.slivers[0])) and self.regime == "finite":
            straight["geometric_error"] = FACETS
        return straight | {
            "regime": f"{self.regime}: {words[self.regime]}",
            "average": "per volume of the active phases: dw/dt = div(D* grad w) - rate w; the sink is per total volume",
            "rate": "of decay; not the effectiveness of particles whose boundary is held",
            "velocity": "zero: nothing flows",
            "damkoehler": "slow rate times the square of the shortest period, over the least principal diffusivity",
        }

    def record(self, cell: UnitCell) -> dict[str, Any]:
        """Return what the tensor keeps of the input."""
        return {
            "unit": self._unit(cell),
            "physics": "reaction",
            "kind": kind_of("reaction"),
            "active_phases": tuple(self._names(cell)),
        }

    @property
    def sampled(self) -> bool:
        """Whether a diffusivity is a function of position."""
        return sampled(self.coefficients)


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class SlowOnMesh(DiffusionOnMesh):
    """A slow reaction on one mesh: diffusion, per volume of the active phases, which are this part of the cell."""

    storage: float

    def geometric_error(self) -> float:
        """Return an estimate of what straight facets change; collective."""
        return DiffusionOnMesh.geometric_error(self) / self.storage  # super() does not know a dataclass with slots


@takes(Accuracy)
@inherits(solve_cell)
def solve_reaction(
    cell: UnitCell,
    coefficients: Mapping[str, Coefficient],
    *,
    rates: Mapping[str, float] | None = None,
    interface_rates: Mapping[str, float] | None = None,
    regime: str = "finite",
    time_unit: str = "",
    config: Mapping[str, Any] | None = None,
    **accuracy: Unpack[AccuracyOptions],
) -> CellSolution:
    r"""Solve for the rate of decay of a solute that reacts, and for its diffusion meanwhile; collective.

    .. math:: \partial_tw=\nabla\cdot(D^*\nabla w)-\mathrm{rate}\;w .

    Parameters
    ----------
    cell
    coefficients
        Diffusivity of each phase that carries the solute, in ``cell.length_unit``\ ^2 per ``time_unit``; as of
        :func:`homfem.certify.solve_diffusion`.
    rates
        k of phases, >= 0, in 1 per ``time_unit``; zero where it is not named.
    interface_rates
        :math:`k_s` of interfaces, >= 0, in ``cell.length_unit`` per ``time_unit``, by the names of the facets, such as
        ``"fibre|matrix"`` (in either order); also of those to phases without the solute. At least one of all rates is
        above zero.
    regime
        ``"finite"``: at any rate. ``"slow"``: the limit of fast diffusion, with a warning where it is none.
    time_unit
        Unit of time of all numbers, for the result.
    config
    **accuracy
        As :class:`homfem.certify.Accuracy` has them.

    Returns
    -------
    CellSolution
        ``tensor.value`` is :math:`D^*` per volume of the active phases. ``tensor.coefficients``: ``rate``, ``sink``
        (the rate per total volume), ``slow_rate``, ``damkoehler``, ``velocity`` (zero); in the slow regime ``decay``,
        the rate without that limit; at finite rates with ``bounds=True`` ``diffusivity``, :math:`D^*` with its bounds.
        At finite rates ``dual`` is the :class:`homfem.local.spectral.Spectrum`.

    Raises
    ------
    InputError
        For an unknown phase or interface, a rate that is negative or not finite, no rate at all.
    BudgetError, MemoryLimitError
    PercolationError
        If the named phases reach from cell to cell in no direction, or are in several parts.
    ConvergenceError

    Notes
    -----
    At finite rates ``tolerance`` is for the half-gap of the rate and the estimated error of :math:`D^*`, which is the
    change from one degree less; ``degree`` is 3 then by default. Bounds of the rate need straight simplices, and hold
    for the cell as it is meshed: on curved surfaces take second-order geometry for the best value; none are given then.

    Examples
    --------
    >>> from homfem.cells import fibre_array
    >>> cell = fibre_array(fraction=0.3, dimension=2, resolution=0.1)
    >>> tensor = solve_reaction(cell, {"fibre": 1.0, "matrix": 1.0}, rates={"fibre": 10.0}).tensor
    >>> rate = tensor.coefficients["rate"]
    >>> bool(rate.lower < 2.6506 < rate.upper)
    True
    """
    given = Reaction(
        coefficients=coefficients,
        rates=rates or {},
        interface_rates=interface_rates or {},
        regime=regime,
        time_unit=time_unit,
    )
    return solve_cell(cell, given, Accuracy(**accuracy), config=config)


homogenize_reaction = part_of(
    solve_reaction,
    "homogenize_reaction",
    lambda solution: solution.tensor,
    returns=EffectiveTensor,
    summary="Return the rate of decay of a solute that reacts and its diffusion meanwhile; collective.",
)
