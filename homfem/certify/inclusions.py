r"""The steady effectiveness factor of inclusions in which a solute diffuses slowly and reacts, from both sides.

Outside of the inclusions the solute diffuses fast, so that it is uniform on the scale of a cell; inside diffusion and
reaction balance (:mod:`homfem.local.inclusions`). Per volume of the whole cell the macroscale equation is

.. math:: \varphi\,c_t=\nabla\cdot(D^*\nabla c)-k^*c,\qquad k^*=\frac1{|Y|}\int_Pk\,w=\eta\,\frac1{|Y|}\int_Pk ,

with the tensor of the phases outside, for which the inclusions are insulators, and the effectiveness factor
:math:`\eta`. It is another number than the rate of decay over the mean rate (:mod:`homfem.certify.reaction`): the
concentration around the inclusions is held.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Self, Unpack

import numpy as np
import ufl
from dolfinx import fem

from homfem import brackets, solve
from homfem.brackets import EPS
from homfem.cells.symmetry import CellSymmetry
from homfem.cells.unitcell import UnitCell
from homfem.certify.accuracy import Accuracy, AccuracyOptions, Plan
from homfem.certify.adapt import on_root
from homfem.certify.diffusion import homogenize_diffusion
from homfem.certify.geometry import change_of_tensor, curved_facets, facet_normals
from homfem.certify.loop import solve_cell
from homfem.certify.physics import CellSolution, MeshSolution, owned_values, sampled
from homfem.certify.symmetry import Loads
from homfem.coefficients import NamedCoefficient
from homfem.keywords import inherits, part_of, takes
from homfem.local import roundoff
from homfem.local.diffusion import Coefficient, diffusion_coefficient
from homfem.local.engine import solve_correctors
from homfem.local.inclusions import Supply, inclusion_problem, solve_supply
from homfem.local.means import mean_gradients
from homfem.parameters import Array, InputError, check_choice, check_number
from homfem.tensors import EffectiveTensor

CONVENTIONS: Mapping[str, str] = {
    "regime": "slow diffusion in the inclusions: steady there, the concentration on their surface held",
    "average": "value and rate per volume of the whole cell; the value is that of the phases outside of the inclusions",
    "effectiveness": "what the inclusions consume over what they would at the concentration on their surface; not the "
    "rate of decay over the mean rate",
    "thiele_modulus": "V/S sqrt(k/D) with volume and surface of the inclusions; 2 and 3 times that with the radius of "
    "a cylinder and a sphere, the same with half the thickness of a layer",
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Inclusions:
    """Inclusions in which a solute diffuses and reacts: a physics whose 1x1 tensor is what they consume."""

    coefficients: Mapping[str, Coefficient]
    rates: Mapping[str, float]

    def prepared(self, cell: UnitCell, accuracy: Accuracy) -> tuple[Self, Plan]:
        """Refuse what does not go together; return the physics and the plan."""
        accuracy.allow_symmetry(False, "for inclusions")
        if accuracy.backend not in (None, "identified") or not cell.matching:
            remedy = "Choose a cell whose opposite faces match."
            raise InputError("backend", accuracy.backend or cell.faces, "'identified', on faces that match", remedy)
        two_sided = accuracy.between_bounds(cell, "periodic", wanted=accuracy.bounds is not False)
        degree = 2 if accuracy.degree is None else accuracy.degree
        return self, accuracy.plan(degree=degree, two_sided=two_sided, backend="identified")

    def active(self, cell: UnitCell) -> UnitCell:
        """Return the inclusions; collective."""
        return cell.restrict([name for name in cell.phase_names if name in self.rates])

    def loads(self, dimension: int) -> Loads:
        """Return the one load, the concentration on the surface."""
        return Loads.of((0,))

    def symmetric(self, active: UnitCell) -> tuple[UnitCell, Loads, CellSymmetry]:
        """Not reached: the whole cell is solved."""
        raise InputError("symmetry", "auto", "'none'")

    def solve(self, cell: UnitCell, loads: Loads, plan: Plan) -> InclusionsOnMesh:
        """Solve both sides on one mesh; collective."""
        coefficient = diffusion_coefficient(cell, {name: self.coefficients[name] for name in cell.phase_names})
        rate = cell.cell_function({name: cell.length**2 * self.rates[name] for name in cell.phase_names})
        problem = inclusion_problem(cell, coefficient, rate, plan.degree)
        above = solve_correctors(cell, problem, rtol=plan.rtol)
        below = None
        if plan.two_sided:
            below = solve_supply(cell, coefficient, rate, above, degree=plan.degree, rtol=plan.rtol)
        largest = roundoff.largest(owned_values(cell, coefficient), cell.dimension)
        noise = roundoff.of_correctors(cell, largest, above, [()])
        noise = noise + 4.0 * roundoff.STEPS * EPS * above.average
        if below is not None:
            found = brackets.bracket(
                below.average, above.average, below=0.0 * noise, above=0.0 * noise, noise=(noise, noise)
            )
        elif cell.affine:
            found = {"value": above.average, "upper": above.average + noise}
        else:
            found = {"value": above.average}
        return InclusionsOnMesh(
            tensor=EffectiveTensor(physics="inclusions", **found), cell=cell, correctors=above, dual=below,
            coefficient=coefficient, rate=rate,
        )  # fmt: skip

    def record(self, cell: UnitCell) -> dict[str, Any]:
        """Return what the tensor keeps of the input."""
        return {"physics": "inclusions", "active_phases": tuple(n for n in cell.phase_names if n in self.rates)}

    @property
    def sampled(self) -> bool:
        """Whether a coefficient is a function of position."""
        return sampled(self.coefficients)


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class InclusionsOnMesh(MeshSolution):
    """Inclusions on one mesh."""

    coefficient: fem.Function
    rate: fem.Function

    def gaps(self) -> Array:
        """Return the part of the gap in each mesh cell, on rank 0; collective."""
        dual: Supply = self.dual
        return on_root(self.cell, dual.places)

    def geometric_error(self) -> float:
        r"""Return what straight facets may change, :math:`\int V(k-n\cdot Dn\,(\partial_nw)^2)`; collective."""
        cell = self.cell
        facets, volumes, first, _ = curved_facets(cell)
        if cell.order != 1 or not cell.comm.allreduce(len(facets)):
            return 0.0
        normal, d = facet_normals(cell, facets, first), cell.dimension
        slope = np.einsum("fi,fi->f", mean_gradients(cell, self.correctors)[first, 0, 0], normal)
        values = self.coefficient.x.array.reshape(len(cell.phase_of_cell), -1)[first]
        matrices = values[:, :, None] * np.eye(d) if values.shape[1] == 1 else values.reshape(-1, d, d)
        change = self.rate.x.array[first] - np.einsum("fi,fij,fj->f", normal, matrices, normal) * slope**2
        return change_of_tensor(cell, self.correctors.problem, facets, volumes, change[:, None, None])


def _checked(cell: UnitCell, coefficients: Mapping[str, Coefficient], rates: Mapping[str, float]) -> dict[str, float]:
    """Refuse inclusions without a rate or a diffusivity, and a cell that has nothing around them."""
    for name in coefficients:
        check_choice("coefficients", name, cell.phase_names)
    if not rates:
        raise InputError("rates", rates, f"given for at least one of {cell.phase_names}: the inclusions")
    found = {}
    for name, rate in rates.items():
        check_choice("rates", name, cell.phase_names)
        remedy = "A phase in which nothing reacts is none of the inclusions: leave its rate out."
        found[name] = check_number(f"rates[{name!r}]", rate, above=0.0, remedy=remedy)
        if name not in coefficients:
            raise InputError(f"coefficients[{name!r}]", None, "given for every inclusion, whatever it is")
    if not set(coefficients) - set(rates):
        remedy = "Name a phase around the inclusions, without a rate."
        raise InputError(
            "coefficients", sorted(coefficients), "given for a phase outside of the inclusions too", remedy
        )
    cell.require_whole()
    return found


@takes(Accuracy)
@inherits(solve_cell)
def solve_reactive_inclusions(
    cell: UnitCell,
    coefficients: Mapping[str, Coefficient],
    rates: Mapping[str, float],
    *,
    time_unit: str = "",
    config: Mapping[str, Any] | None = None,
    **accuracy: Unpack[AccuracyOptions],
) -> CellSolution:
    r"""Solve for what inclusions with slow diffusion consume, and for the diffusion around them; collective.

    Parameters
    ----------
    cell
    coefficients
        Diffusivity of each phase that the solute enters, in ``cell.length_unit``\ ^2 per ``time_unit``.
    rates
        Rate k > 0 of the reaction in each inclusion, per ``time_unit``; the phases without one are around them.
    time_unit
        For the units of the result.
    config
    **accuracy
        As :class:`homfem.certify.Accuracy` has them; of both problems.

    Returns
    -------
    CellSolution
        The tensor is that of the phases around the inclusions, per volume of the whole cell. ``coefficients`` has
        ``rate``, :math:`k^*`, ``effectiveness``, :math:`\eta`, ``mean_rate``, :math:`\langle k\rangle`, and of one
        isotropic inclusion phase ``thiele_modulus``. The fields are those of 1 - w.

    Raises
    ------
    InputError
        For a phase that the cell does not have, a rate that is not > 0, nothing around the inclusions.
    BudgetError, MemoryLimitError
    PercolationError
        If the phases around the inclusions reach from cell to cell in no direction.
    ConvergenceError

    Examples
    --------
    A layer of half the thickness l: tanh(F)/F, F = l sqrt(k/D).

    >>> from homfem.cells import laminate
    >>> layers = laminate([0.5, 0.5], axis="x", dimension=2, resolution=0.05)
    >>> found = homogenize_reactive_inclusions(layers, {"layer1": 1.0, "layer2": 100.0}, {"layer1": 16.0})
    >>> [round(float(found.coefficients[name].value), 4) for name in ("thiele_modulus", "effectiveness", "rate")]
    [1.0, 0.7616, 6.0928]
    """
    known = _checked(cell, coefficients, rates)
    inside = solve_cell(cell, Inclusions(coefficients=coefficients, rates=known), Accuracy(**accuracy), config=config)
    unit = f"{cell.length_unit}^2/{time_unit}" if time_unit and cell.length_unit else ""
    around = {name: value for name, value in coefficients.items() if name not in known}
    outside = homogenize_diffusion(cell, around, unit=unit, config=config, **accuracy)
    consumed, mean = inside.tensor, sum(known[name] * cell.volume_fractions[name] for name in known)
    sides = {
        name: None if (side := getattr(consumed, name)) is None else float(side[0, 0]) / cell.length**2
        for name in ("value", "lower", "upper")
    }

    def named(factor: float, unit: str) -> NamedCoefficient:
        scaled = {name: None if side is None else np.asarray(factor * side) for name, side in sides.items()}
        return NamedCoefficient(unit=unit, basis="scalar", **scaled)  # type: ignore[arg-type]

    per = f"1/{time_unit}" if time_unit else ""
    found = {
        "rate": named(1.0, per),
        "effectiveness": named(1.0 / mean, ""),
        "mean_rate": NamedCoefficient(value=np.asarray(mean), unit=per, basis="scalar"),
    }
    modulus = _thiele_modulus(cell, coefficients, known)
    if modulus is not None:
        found["thiele_modulus"] = NamedCoefficient(value=np.asarray(modulus), basis="scalar")
    curved = consumed.geometric_error / (cell.length**2 * mean)
    note = (f"straight facets on curved surfaces change the effectiveness by about {curved:.1e}",) if curved else ()
    tensor = replace(
        outside,
        physics="reaction",
        coefficients=found,
        conventions=CONVENTIONS,
        reached=outside.reached and consumed.reached,
        iterations=outside.iterations + consumed.iterations,
        dofs=max(outside.dofs, consumed.dofs),
        seconds={name: outside.seconds.get(name, 0.0) + consumed.seconds.get(name, 0.0)
                 for name in {**outside.seconds, **consumed.seconds}},
        warnings=tuple(dict.fromkeys((*outside.warnings, *consumed.warnings, *note))),
    )  # fmt: skip
    return replace(inside, tensor=tensor)


homogenize_reactive_inclusions = part_of(
    solve_reactive_inclusions,
    "homogenize_reactive_inclusions",
    lambda solution: solution.tensor,
    returns=EffectiveTensor,
    summary="Return the rate at which inclusions with slow diffusion consume, and the tensor around them; collective.",
)


def _thiele_modulus(
    cell: UnitCell, coefficients: Mapping[str, Coefficient], rates: Mapping[str, float]
) -> float | None:
    """Volume over surface times sqrt(k/D) of one isotropic inclusion phase; None of others. Collective."""
    (name, rate), *others = rates.items()
    value = coefficients[name]
    if others or callable(value) or np.ndim(value) != 0:
        return None
    part = cell.restrict([name])
    surface = solve.integrate(fem.Constant(part.mesh, 1.0) * ufl.ds)
    return float(cell.length * solve.volume(part.mesh) / surface * np.sqrt(rate / float(np.asarray(value))))
