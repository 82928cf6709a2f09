r"""Effective stiffness with guaranteed two-sided bounds.

**Upper bound.** :math:`E\cdot C^*E = \min_w \frac1{|Y|}\int(E+\varepsilon(w))\cdot C(E+\varepsilon(w))` over periodic
:math:`w\in H^1`: the energy of any conforming corrector (:mod:`homfem.local.elasticity`).

**Lower bound.** The energy of symmetric stresses in equilibrium (:mod:`homfem.local.stress`), less what the residual of
the solver may have added.

Both are in the Loewner order, which is the same in Voigt and in Mandel notation. They need straight simplices, a
stiffness that is constant on each of them, faces that match and periodicity. What round-off can do is in both
(:mod:`homfem.local.roundoff`). Phases that are left out are voids: where the solid reaches from cell to cell in the
directions of a subspace S only, :math:`C^*` vanishes but on the symmetric tensors of S, and both bounds are projected
on those.

Source: Prager, Synge 1947, doi 10.1090/qam/25902; Hill 1963, doi 10.1016/0022-5096(63)90036-X.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Self, Unpack

import numpy as np
from dolfinx import fem

from homfem import brackets, periodic, solve
from homfem.cells.symmetry import CellSymmetry
from homfem.cells.unitcell import UnitCell
from homfem.certify.accuracy import Accuracy, AccuracyOptions, Plan
from homfem.certify.adapt import on_root
from homfem.certify.elasticity.gap import elastic_gaps
from homfem.certify.elasticity.geometry import elastic_geometric_error
from homfem.certify.loop import solve_cell
from homfem.certify.physics import CellSolution, MeshSolution, owned_values, sampled
from homfem.certify.symmetry import StrainLoads, symmetric_solid
from homfem.keywords import inherits, part_of, takes
from homfem.kinds import STIFFNESS
from homfem.local import roundoff
from homfem.local.elasticity import Stiffness, elastic_coefficient, elasticity_problem
from homfem.local.engine import solve_correctors
from homfem.local.problem import BOUNDARIES, Correctors
from homfem.local.stress import Stresses, solve_stresses
from homfem.parameters import Array, ConvergenceError, InputError, PercolationError, check_choice
from homfem.stiffness import PAIRS, basis, check_plane, mandel_to_voigt, voigt_to_mandel
from homfem.tensors import EffectiveTensor

log = logging.getLogger("homfem")

#: Part of the smallest eigenvalue that the residual may take from the lower bound; a tenth of a tolerance if less.
ALLOWANCE = 1e-6


@dataclass(frozen=True, kw_only=True, slots=True)
class Elasticity:
    """Linear elasticity of the named phases; see :func:`solve_elasticity` for the parameters."""

    name: ClassVar[str] = "elasticity"

    stiffnesses: Mapping[str, Stiffness]
    plane: str | None = None
    unit: str = ""
    boundary: str = "periodic"

    def prepared(self, cell: UnitCell, accuracy: Accuracy) -> tuple[Self, Plan]:
        """Refuse what does not go together; return the physics and the plan."""
        unit = STIFFNESS.check_unit(self.unit)
        plane = check_plane(self.plane, cell.dimension)
        check_choice("boundary", self.boundary, BOUNDARIES)
        backend = periodic.check_backend(cell, accuracy.backend)
        identified = backend == "identified"
        two_sided = accuracy.between_bounds(
            cell, self.boundary, wanted=accuracy.bounds is not False, backend=identified
        )
        accuracy.allow_symmetry(
            self.boundary == "periodic" and identified,
            "for other boundaries than 'periodic', backends than 'identified'",
        )
        degree = 2 if accuracy.degree is None else accuracy.degree
        return replace(self, plane=plane, unit=unit), accuracy.plan(degree=degree, two_sided=two_sided, backend=backend)

    def active(self, cell: UnitCell) -> UnitCell:
        """Return the solid, without islands; collective."""
        return solid_part(cell, self.stiffnesses, turning=self.boundary != "periodic")

    def loads(self, dimension: int) -> StrainLoads:
        """Return all unit strains."""
        return StrainLoads.of(tuple(range(dimension)))

    def symmetric(self, active: UnitCell) -> tuple[UnitCell, StrainLoads, CellSymmetry]:
        """Return the part between the mirror planes, and the strains that are left; collective."""
        return symmetric_solid(active, self.stiffnesses, self.plane)

    def solve(self, cell: UnitCell, loads: StrainLoads, plan: Plan) -> ElasticityOnMesh:
        """Solve both sides on one mesh; collective."""
        coefficient = elastic_coefficient(cell, {name: self.stiffnesses[name] for name in cell.phase_names}, self.plane)
        posed: dict[str, Any] = {
            "degree": plan.degree, "strains": loads.strains, "backend": plan.backend, "boundary": self.boundary,
        }  # fmt: skip
        elastic = elasticity_problem(cell, coefficient, **posed)
        further = self.further_loads(cell, coefficient)
        problem = elasticity_problem(cell, coefficient, **posed | {"strains": None} | further) if further else elastic
        lower = None
        if plan.two_sided:  # the larger system
            lower = _stresses(cell, coefficient, loads, plan.rtol, plan.allowance(ALLOWANCE))
        upper = solve_correctors(cell, problem, backend=plan.backend, boundary=self.boundary, rtol=plan.rtol)
        strains, size = upper, elastic.loads
        if further:
            strains = replace(
                upper,
                problem=elastic,
                functions=upper.functions[:size],
                average=upper.average[:size, :size],
                residual_norms=upper.residual_norms[:size],
            )
        solid = Solid(cell=cell, coefficient=coefficient, loads=loads, boundary=self.boundary)
        return ElasticityOnMesh(
            tensor=self.completed(solid.tensor(strains, lower), cell, upper),
            cell=cell,
            correctors=upper,
            dual=lower,
            solid=solid,
            strains=strains,
        )

    def further_loads(self, cell: UnitCell, coefficient: fem.Function) -> dict[str, Any]:
        """Return what loads there are beside the strains, see :func:`homfem.local.elasticity.elasticity_problem`."""
        return {}

    def completed(self, stiffness: EffectiveTensor, cell: UnitCell, correctors: Correctors) -> EffectiveTensor:
        """Return the tensor with the coefficients of further loads; collective."""
        return stiffness

    def record(self, cell: UnitCell) -> dict[str, Any]:
        """Return what the tensor keeps of the input."""
        return {
            "unit": self.unit,
            "physics": self.name,
            "plane": self.plane,
            "boundary": self.boundary,
            "active_phases": tuple(name for name in cell.phase_names if name in self.stiffnesses),
        }

    @property
    def sampled(self) -> bool:
        """Whether a stiffness is a function of position."""
        return sampled(self.stiffnesses)


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Solid:
    """What is elastic, on one mesh.

    Parameters
    ----------
    cell
        Restricted to the solid.
    coefficient
        Voigt matrices, constant on each mesh cell.
    loads
        The unit strains.
    boundary
        Condition on the faces of the cell.
    """

    cell: UnitCell
    coefficient: fem.Function
    loads: StrainLoads
    boundary: str

    @property
    def axes(self) -> list[tuple[int, ...]]:
        """The axes that each load needs."""
        return [PAIRS[self.cell.dimension][k] for k in self.loads.strains]

    def noise(self, upper: Correctors) -> Array:
        """Return what round-off can have done to the energies of the strains; collective."""
        size = len(PAIRS[self.cell.dimension])
        stiffest = 2.0 * roundoff.largest(owned_values(self.cell, self.coefficient), size)
        return roundoff.of_correctors(self.cell, stiffest, upper, self.axes)

    def tensor(self, upper: Correctors, lower: Stresses | None) -> EffectiveTensor:
        """Return value and bounds, projected on the strains that the solid can transmit; collective."""
        noise = self.noise(upper)
        if self.boundary != "periodic":
            return EffectiveTensor(value=upper.average, physics="elasticity")

        def whole(matrix: Array) -> Array:
            return transmitted(self.cell, self.loads.tensor(matrix))

        above, noise = whole(upper.average), whole(noise)
        if lower is not None:
            size = roundoff.weights(self.cell, lower.average, self.axes)
            found = brackets.bracket(
                whole(lower.average),
                above,
                below=whole(brackets.shared(lower.excess, size)),
                above=np.zeros_like(above),
                noise=(whole(lower.noise), noise),
            )
            return EffectiveTensor(physics="elasticity", **found)
        if not (self.cell.matching and self.cell.affine):
            return EffectiveTensor(value=above, physics="elasticity")
        size_of_noise = float(np.linalg.norm(noise, 2))
        return EffectiveTensor(value=above, upper=above + noise, roundoff=size_of_noise, physics="elasticity")


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class ElasticityOnMesh(MeshSolution):
    """Elasticity on one mesh; ``strains`` are the correctors without those of further loads."""

    solid: Solid
    strains: Correctors

    def gaps(self) -> Array:
        """Return the part of the gap in each mesh cell, on rank 0; collective."""
        return on_root(self.cell, elastic_gaps(self.cell, self.strains, self.dual, strains=self.solid.loads.strains))

    def geometric_error(self) -> float:
        """Return an estimate of what straight facets change; collective."""
        if self.cell.order != 1 or self.solid.boundary != "periodic":
            return 0.0
        strains = self.solid.loads.strains
        return elastic_geometric_error(self.cell, self.solid.coefficient, self.strains, strains=strains)


def _stresses(cell: UnitCell, coefficient: fem.Function, loads: StrainLoads, rtol: float, allowance: float) -> Stresses:
    """Solve for the stresses; where rounding keeps the solver from ``rtol``, as sharply as it can.

    What is left is counted by the allowance in either case.
    """
    try:
        return solve_stresses(cell, coefficient, strains=loads.strains, rtol=rtol, allowance=allowance)
    except ConvergenceError as error:
        log.warning("%s Once more with a relative residual of %.0e.", error, solve.LARGEST)
        return solve_stresses(cell, coefficient, strains=loads.strains, rtol=solve.LARGEST, allowance=math.inf)


def solid_part(cell: UnitCell, stiffnesses: Mapping[str, Stiffness], *, turning: bool = False) -> UnitCell:
    """Return the solid of a cell without its islands; collective.

    Parameters
    ----------
    cell
        The unit cell.
    stiffnesses
        Its keys are the solid phases.
    turning
        Whether a part may be a fibre in three dimensions, which can turn about its axis.

    Raises
    ------
    InputError
        For no phase or an unknown one.
    PercolationError
        If nothing is connected to the next cell, or a fibre can turn.
    """
    if not stiffnesses:
        raise InputError("stiffnesses", stiffnesses, f"given for at least one of {cell.phase_names}")
    for name in stiffnesses:
        check_choice("phase", name, cell.phase_names)
    cell.require_whole()
    active = cell.restrict([name for name in cell.phase_names if name in stiffnesses])
    active.require_percolation()
    active = active.without_islands()
    if not turning and any(part.rank < cell.dimension - 1 for part in active.whole.parts):
        raise PercolationError(
            "phases",
            active.phase_names,
            f"connected from one cell to the next in {cell.dimension - 1} independent directions at least",
            "A fibre on its own can turn about its axis: give a surrounding phase a stiffness as well.",
        )
    return active


def transmitted(cell: UnitCell, matrix: Array) -> Array:
    """Return a Voigt matrix on the symmetric tensors of the directions in which the solid percolates."""
    span = cell.whole.span(cell.lattice)
    if len(span) == cell.dimension:
        return matrix
    b, onto = basis(cell.dimension), span.T @ span
    projector = np.einsum("Iij,ik,Jkl,lj->IJ", b, onto, b, onto)
    return mandel_to_voigt(projector @ voigt_to_mandel(matrix) @ projector)


@takes(Accuracy)
@inherits(solve_cell)
def solve_elasticity(
    cell: UnitCell,
    stiffnesses: Mapping[str, Stiffness],
    *,
    plane: str | None = None,
    unit: str = "",
    boundary: str = "periodic",
    config: Mapping[str, Any] | None = None,
    **accuracy: Unpack[AccuracyOptions],
) -> CellSolution:
    r"""Solve the elastic cell problem and bound its effective stiffness from both sides; collective.

    :math:`L \le C^* \le U` in the Loewner order, as Voigt matrices (engineering shear); ``value``
    is the midpoint.

    Parameters
    ----------
    cell
    stiffnesses
        For each solid phase a mapping such as ``{"young": 10.0, "poisson": 0.3}``, a Voigt matrix, or a function of
        position (see :func:`homfem.local.elasticity.elastic_coefficient`), in ``unit``. A phase that is not named is a
        void.
    plane
        Of a cell in 2D: ``"strain"`` (default), or ``"stress"`` for a thin sheet with the reduced stiffness of each
        phase (:func:`homfem.stiffness.plane_stress`); value and bounds are those of that problem.
    unit
        Unit of the stiffnesses, for the result.
    boundary
        ``"periodic"``, or a condition on the faces of a parallelepiped (:mod:`homfem.local.engine`): ``"affine"``
        (KUBC), ``"flux"`` (SUBC) or ``"mixed"``. With the last three the tensor is that of a sample, not of the
        periodic medium, and has no bounds: affine tells an upper bound of the periodic stiffness only if the cell is
        a period, flux approaches its value from above while that lies below the periodic stiffness. No ``symmetry``.
    config
    **accuracy
        As :class:`homfem.certify.Accuracy` has them.

    Returns
    -------
    CellSolution

    Raises
    ------
    InputError
        For an unknown phase, a stiffness that is not positive definite, an option out of range.
    BudgetError, MemoryLimitError
    PercolationError
        If the solid reaches from cell to cell in no direction, or a part of it can turn about its axis.
    ConvergenceError

    Notes
    -----
    The lower bound is of the order of degree 2, and the identified backend alone has one. A function of position is
    sampled at the midpoint of each mesh cell; the bounds then are those of the sampled medium, and the result has none.
    """
    given = Elasticity(stiffnesses=stiffnesses, plane=plane, unit=unit, boundary=boundary)
    return solve_cell(cell, given, Accuracy(**accuracy), config=config)


homogenize_elasticity = part_of(
    solve_elasticity,
    "homogenize_elasticity",
    lambda solution: solution.tensor,
    returns=EffectiveTensor,
    summary="Return the effective stiffness of a cell with guaranteed bounds; collective.",
)
