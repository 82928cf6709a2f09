r"""Ions and fluid in charged pores, from thin double layers to overlapping ones.

First the equilibrium (:mod:`homfem.local.poisson_boltzmann`), then the linear response
(:mod:`homfem.local.electrokinetics`), on one mesh. The dissipation :math:`f\cdot Lf` is stationary: what the mesh
leaves in the velocity and the potentials enters L with its square. What it leaves is estimated, **without guarantee**,
by the solution of one degree less, its equilibrium included: the largest energy of the difference over all forces,
relative to the dissipation, or what the last refinement changed if that is more.

Layers thinner than the mesh cells at the walls are told
(:class:`homfem.local.poisson_boltzmann.Equilibrium`), and with a tolerance these cells are bisected first: where they
stay too thick the tolerance does not count as reached. Without a tolerance the error is estimated there all the same.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import Any, Self, Unpack

import numpy as np

from homfem import brackets
from homfem.cells.symmetry import CellSymmetry
from homfem.cells.unitcell import UnitCell
from homfem.certify.accuracy import Accuracy, Plan
from homfem.certify.electrokinetics.bounds import Medium, cell_means, lower_matrix, upper_matrix
from homfem.certify.electrokinetics.change import Change, Response, change_between, compare
from homfem.certify.electrokinetics.equilibrium import mean_concentrations, unresolved, warnings_of
from homfem.certify.electrokinetics.layers import resolved
from homfem.certify.electrokinetics.matrix import confined, require_definite, symmetric
from homfem.certify.electrokinetics.on_mesh import ElectrokineticsOnMesh, Sides
from homfem.certify.electrokinetics.results import UNITS, conducting, conventions, derived, named
from homfem.certify.electrokinetics.scales import Scales
from homfem.certify.electrokinetics.words import OWN, ByName, ElectrokineticsOptions, ElectrokineticsWords
from homfem.certify.loop import solve_cell
from homfem.certify.physics import CellSolution
from homfem.certify.stokes.physics import fluid_phases
from homfem.electrolytes.ions import Ion, check_bath, check_temperature
from homfem.keywords import inherits, part_of, takes
from homfem.limits import BudgetError, MemoryLimitError
from homfem.local.charges import WALLS, Charges
from homfem.local.electrokinetics import bath_transform, electrokinetic_problem, potential_on
from homfem.local.engine import solve_correctors
from homfem.local.poisson_boltzmann import solve_poisson_boltzmann
from homfem.parameters import ConvergenceError, InputError, check_choice, check_integer, check_number
from homfem.tensors import EffectiveTensor

log = logging.getLogger("homfem")

PHYSICS = "electrodiffusion"
PRECONDITIONERS = ("multigrid", "direct")
#: Relative residual of the linear solves, whose square enters the result.
RTOL = 1e-9


@dataclass(frozen=True, kw_only=True, slots=True)
class Electrokinetics:
    """Ions and fluid in charged pores; see :func:`solve_electrokinetics` for the parameters."""

    ions: Sequence[Ion]
    fluid: str | Sequence[str]
    viscosity: float
    permittivity: ByName
    wall_potential: ByName | None = None
    wall_charge: ByName | None = None
    fixed_charge: Mapping[str, float] = field(default_factory=dict)
    temperature: float | None = None
    preconditioner: str | None = None
    max_iterations: int = 2000
    refine_layers: bool | None = None
    degree: int = 2

    def prepared(self, cell: UnitCell, accuracy: Accuracy) -> tuple[Self, Plan]:
        """Refuse what does not go together; return the physics in lists and tables, and the plan."""
        check_choice("backend", accuracy.backend or "identified", ("identified",))
        accuracy.allow_symmetry(False, "for charged cells: their equilibrium and bounds are made on whole cells")
        check_integer("max_iterations", self.max_iterations, at_least=1)
        if self.preconditioner is not None:
            check_choice("preconditioner", self.preconditioner, PRECONDITIONERS)
        self._check_bounds(cell, accuracy)
        if not cell.matching:
            raise InputError("cell", cell.name, "one whose opposite faces match", "Mesh the faces alike.")
        estimated = accuracy.tolerance is not None
        if estimated and (not cell.simplicial or cell.order != 1):
            remedy = "Such a mesh is not refined: choose the resolution instead."
            raise InputError("tolerance", accuracy.tolerance, f"None on {cell.kind}s of order {cell.order}", remedy)
        least = 3 if estimated and not accuracy.bounds else 2
        degree = check_integer("degree", accuracy.degree or least, at_least=least, at_most=4)
        check_bath(self.ions)
        if self.temperature is not None:
            check_temperature(self.temperature)
        check_number("viscosity", self.viscosity, above=0.0)
        names = fluid_phases(cell, self.fluid)
        made = replace(
            self,
            ions=tuple(self.ions),
            fluid=names,
            permittivity=_table(self.permittivity, names),
            wall_potential=_table(self.wall_potential, (WALLS,)),
            wall_charge=_table(self.wall_charge, (WALLS,)),
            refine_layers=estimated if self.refine_layers is None else self.refine_layers,
            degree=degree,
        )
        for ion in self.ions:
            for name in names:
                where = f"ions.{ion.name}.diffusivities.{name}"
                check_number(where, ion.diffusivities.get(name), above=0.0, remedy="Every ion is in all of the fluid.")
        made.charges(cell).check_cell(cell)
        return made, accuracy.plan(degree=degree, two_sided=bool(accuracy.bounds), backend="identified", rtol=RTOL)

    def _check_bounds(self, cell: UnitCell, accuracy: Accuracy) -> None:
        """Refuse bounds where there are none."""
        if not accuracy.bounds:
            return
        if not cell.simplicial or cell.order != 1:
            remedy = "The elements that bound need simplices with straight sides."
            raise InputError("bounds", True, f"False on {cell.kind}s of order {cell.order}", remedy)

    def scales(self, cell: UnitCell) -> Scales:
        """Return what the reduced numbers are multiples of."""
        largest = max(float(ion.diffusivities[name]) for ion in self.ions for name in self.fluid)  # type: ignore[arg-type]
        return Scales.of(cell, self.ions, largest, self.temperature)

    def charges(self, cell: UnitCell) -> Charges:
        """Return the charges in mesh units with kT = e = 1."""
        scales = self.scales(cell)

        def reduced(given: Any, unit: float) -> dict[str, float]:
            return {name: check_number("value", value) / unit for name, value in (given or {}).items()}

        return Charges(
            fluid=tuple(self.fluid),
            valences=tuple(ion.valence for ion in self.ions),
            baths=tuple(ion.bath / scales.concentration for ion in self.ions),
            permittivities=reduced(self.permittivity, scales.permittivity),
            fixed=reduced(self.fixed_charge, scales.concentration),
            potentials=reduced(self.wall_potential, scales.voltage),
            charges=reduced(self.wall_charge, scales.surface_charge),
        )

    def active(self, cell: UnitCell) -> UnitCell:
        """Return the cell, whose walls are what bounds the fluid in it; its layers refined on request; collective."""
        cell.require_whole()
        fluid = cell.restrict(self.fluid)
        fluid.require_percolation()
        if len(fluid.whole.span(cell.lattice)) < cell.dimension:
            log.warning("%s: %s; no flux in the other directions", cell.name, fluid.whole.describe())
        return resolved(cell, self.charges(cell), self.degree) if self.refine_layers else cell

    def loads(self, dimension: int) -> int:
        """Return the number of forces."""
        return dimension * (1 + len(self.ions))

    def symmetric(self, active: UnitCell) -> tuple[UnitCell, int, CellSymmetry]:
        """Refuse mirror planes."""
        raise InputError("symmetry", "auto", "'none' for charged cells")

    def solve(self, cell: UnitCell, loads: int, plan: Plan) -> ElectrokineticsOnMesh:
        """Solve equilibrium and response on one mesh, with a tolerance in two degrees; collective."""
        fluid = cell.restrict(self.fluid).without_islands()
        charges, scales = self.charges(cell), self.scales(cell)
        response = self._response(cell, fluid, charges, scales, plan, plan.degree)
        change, sides = None, None
        if plan.two_sided:
            problem = response.correctors.problem
            medium = Medium(
                fluid=fluid,
                charges=charges,
                potential=problem.given[0],
                diffusivities=self._diffusivities(fluid, scales),
                viscosity=self.viscosity / scales.viscosity,
            )
            upper, dual = upper_matrix(medium)
            below, lower = lower_matrix(medium, upper)
            sides = Sides(lower=below, upper=upper, dual=dual, fields=lower)
        elif plan.tolerance is not None:
            other = self._response(cell, fluid, charges, scales, plan, plan.degree - 1)
            change = compare(cell, fluid, response, other)
        found = self._gathered(cell, fluid, scales, response, change, sides)
        if not unresolved(response):
            return found
        if plan.tolerance is not None:  # what is estimated, or bounded, on such a mesh is not what was asked for
            return replace(found, tensor=replace(found.tensor, reached=False))
        if plan.two_sided:
            return found
        error = self._estimate(cell, fluid, response, lambda k: self._response(cell, fluid, charges, scales, plan, k))
        return replace(found, tensor=replace(found.tensor, estimated_error=error))

    def _estimate(
        self, cell: UnitCell, fluid: UnitCell, response: Response, solved: Callable[[int], Response]
    ) -> float | None:
        """The change from one degree less, of quadratic velocities from one more; None where that is not found."""
        try:
            other = solved(self.degree - 1 if self.degree > 2 else self.degree + 1)
        except (BudgetError, MemoryLimitError, ConvergenceError) as error:
            log.info("%s: no estimate of the error: %s", cell.name, error)
            return None
        better, worse = (response, other) if self.degree > 2 else (other, response)
        change = change_between(fluid, better, worse)
        if change is None:
            log.info("%s: no estimate of the error: on this mesh what is dissipated has no sign", cell.name)
        return change

    def _diffusivities(self, fluid: UnitCell, scales: Scales) -> list[dict[str, float]]:
        """Those of each ion by phase, in reduced numbers."""
        return [
            {name: float(ion.diffusivities[name]) / scales.diffusivity for name in fluid.phase_names}  # type: ignore[arg-type]
            for ion in self.ions
        ]

    def _response(
        self, cell: UnitCell, fluid: UnitCell, charges: Charges, scales: Scales, plan: Plan, degree: int
    ) -> Response:
        found = solve_poisson_boltzmann(cell, charges, degree=degree)
        potential = potential_on(fluid, found)
        problem = electrokinetic_problem(
            fluid,
            charges,
            cell_means(potential) if plan.two_sided else potential,
            diffusivities=self._diffusivities(fluid, scales),
            viscosity=self.viscosity / scales.viscosity,
            degree=degree,
        )
        correctors = solve_correctors(
            fluid,
            problem,
            preconditioner=self.preconditioner,
            rtol=plan.rtol,
            max_iterations=self.max_iterations,
        )
        return Response(equilibrium=found, correctors=correctors)

    def _gathered(
        self,
        cell: UnitCell,
        fluid: UnitCell,
        scales: Scales,
        response: Response,
        change: Change | None,
        sides: Sides | None,
    ) -> ElectrokineticsOnMesh:
        """The tensor of a response, with all that follows from it; collective."""
        d, count = cell.dimension, len(self.ions)
        factors, back = scales.onsager(count, d), np.linalg.inv(bath_transform([ion.bath for ion in self.ions], d))
        value, bounds = symmetric(response.correctors.average), None
        if sides is not None:
            lower, upper = symmetric(sides.lower), symmetric(sides.upper)
            value = brackets.clipped(value, lower, upper)
            bounds = tuple(confined(fluid, side) * factors for side in (lower, upper))
        virtual = confined(fluid, value) * factors
        matrix = symmetric(back @ virtual @ back.T)
        span = fluid.whole.span(cell.lattice)
        require_definite(matrix, np.asarray(np.kron(np.eye(1 + count), span)), factors)
        found: dict[str, Any] = {"onsager": matrix, "onsager_bath": virtual}
        found |= derived(matrix, self.ions, span, viscosity=self.viscosity, charge=scales.charge)
        found |= {
            f"concentration.{ion.name}": value * scales.concentration
            for ion, value in zip(self.ions, mean_concentrations(fluid, response), strict=True)
        }
        maps = {
            "onsager": back,
            "onsager_bath": np.eye(len(back)),
            "permeability": np.sqrt(self.viscosity) * np.eye(len(back))[:d],
            "conductivity": conducting(self.ions, d, scales.charge) @ back,
        }
        units = self.temperature is not None
        coefficients = named(found, maps, bounds, units=units)
        conductivity = coefficients["conductivity"]
        return ElectrokineticsOnMesh(
            tensor=EffectiveTensor(
                value=conductivity.value,
                lower=conductivity.lower,
                upper=conductivity.upper,
                physics=PHYSICS,
                unit=UNITS["conductivity"] if units else "",
                coefficients=coefficients,
                conventions=conventions(self.ions, self.temperature),
                estimated_error=None if change is None else change.error,
                warnings=warnings_of(cell, fluid, response, bounds is not None),
            ),
            cell=fluid,
            correctors=response.correctors,
            dual=None if sides is None else sides.dual,
            compared=None if change is None else change.other.correctors,
            response=response,
            whole=cell,
            change=change,
            bounded=sides,
            forces=conducting(self.ions, d, 1.0) @ back if sides is not None else None,
            conducting=maps["conductivity"] * np.sqrt(np.diag(factors)),
        )

    def record(self, cell: UnitCell) -> dict[str, Any]:
        """Return what the tensor keeps of the input."""
        return {"active_phases": tuple(fluid_phases(cell, self.fluid))}

    @property
    def sampled(self) -> bool:
        """No coefficient is a function of position."""
        return False


def _table(given: ByName | None, names: Sequence[str]) -> dict[str, float]:
    """A number for all names, or a table."""
    if given is None:
        return {}
    return dict(given) if isinstance(given, Mapping) else dict.fromkeys(names, given)


@takes(ElectrokineticsWords)
@inherits(solve_cell)
def solve_electrokinetics(
    cell: UnitCell,
    ions: Sequence[Ion],
    fluid: str | Sequence[str] = "pore",
    *,
    config: Mapping[str, Any] | None = None,
    **words: Unpack[ElectrokineticsOptions],
) -> CellSolution:
    r"""Solve for ions and fluid that move through charged pores, and average their matrix of Onsager; collective.

    .. math:: \begin{pmatrix}U\J_i\end{pmatrix}=L\begin{pmatrix}-\nabla P\-\nabla\mu_i\end{pmatrix},\qquad
              P=p-RT\sum_ic_i ,

    about the equilibrium of Poisson and Boltzmann: double layers of any thickness, overlapping or thin.

    Parameters
    ----------
    cell
    ions
        Each with its diffusivity in every phase of the fluid, a number; the bath is electroneutral.
    fluid
        The phase that flows, or several that flow as one. The others are solid.
    config
    **words
        As :class:`homfem.certify.electrokinetics.words.ElectrokineticsWords` has them.

    Returns
    -------
    CellSolution
        ``tensor.value`` is the conductivity :math:`\sigma=F^2\sum_{ij}z_iz_jL_{ij}` per volume of the whole cell.
        ``tensor.coefficients``: ``onsager`` (blocks of the axes: fluid, ions in order), ``onsager_bath`` (the other
        pair of variables), ``conductivity``, ``permeability`` (:math:`\eta L_{00}`), ``electroviscous_permeability``,
        ``electroosmotic_mobility`` (its transpose is the streaming current), ``streaming_coupling``,
        ``transference.ION``, ``concentration.ION``. ``correctors.functions[j]`` are velocity,
        pressure and potentials of the ions for the force j, in the variables of the virtual bath.

    Raises
    ------
    InputError
        For charges, ions and walls that make no sense (:class:`homfem.local.charges.Charges`).
    PercolationError
        If the fluid reaches from cell to cell in no direction: then all coefficients are zero.
    BudgetError, MemoryLimitError
    ConvergenceError
        If an equilibrium or a response was not found, or the matrix is not positive definite.

    Notes
    -----
    ``bounds=True``: the bounds of ``onsager``, ``onsager_bath``, ``conductivity`` and ``permeability`` in the Loewner
    order are guaranteed **for the equilibrium as it was computed**, with the potential that is constant in each mesh
    cell (:mod:`homfem.certify.electrokinetics.bounds`), for which all numbers are then; on straight simplices, by
    direct solvers.

    With ``bounds=True`` and a ``tolerance`` the mesh is refined where the bounds of the conductivity are apart
    (:mod:`homfem.certify.electrokinetics.gap`) until they are as close as asked for. Without, a ``tolerance`` is an
    **estimate** of the relative error, without guarantee, by comparison with one degree less
    (degree 3 or 4, by default 3): mesh cells of the layers are bisected first where they are too thick, then those that
    carry the estimate. Without it the degree is 2 by default; of layers that the mesh does not resolve a warning tells
    then, with the estimated error (of degree 2 by the change to degree 3). With a tolerance it is not reached there.

    Examples
    --------
    A slit whose walls attract cations: half-width 1, Debye's length 1/2.

    >>> from homfem.cells import slit
    >>> from homfem.electrolytes import Ion
    >>> salt = [Ion(name=n, valence=z, bath=1.0, diffusivities={"pore": 1.0}) for n, z in (("+", 1), ("-", -1))]
    >>> cell = slit(0.5, axis="y", resolution=0.1, period=4.0)
    >>> tensor = solve_electrokinetics(cell, salt, viscosity=1.0, permittivity=0.5, wall_potential=-2.0).tensor
    >>> round(float(tensor.value[0, 0]) / 0.5, 2)
    4.11
    """
    checked = ElectrokineticsWords(**words)
    given = {name: getattr(checked, name) for name in OWN}
    accuracy = Accuracy(**{one.name: getattr(checked, one.name) for one in fields(Accuracy)})
    return solve_cell(cell, Electrokinetics(ions=ions, fluid=fluid, **given), accuracy, config=config)


homogenize_electrokinetics = part_of(
    solve_electrokinetics,
    "homogenize_electrokinetics",
    lambda solution: solution.tensor,
    returns=EffectiveTensor,
    summary="Return the conductivity of charged pores with their matrix of Onsager; collective.",
)
