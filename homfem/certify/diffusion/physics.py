r"""Diffusion: effective tensors with guaranteed two-sided bounds.

**Upper bound.** :math:`\xi\cdot D^*\xi = \min_v \frac1{|Y|}\int(\xi+\nabla v)\cdot D(\xi+\nabla v)` over periodic
:math:`v\in H^1`. Conforming correctors are admissible, so their energy tensor :math:`U` satisfies :math:`D^*\le U` in
the Loewner order, whether or not the linear solver has converged.

**Lower bound.** Let :math:`D` be constant on each simplex and :math:`\chi_j` the Crouzeix-Raviart correctors. The
broken flux :math:`\sigma_j = D(\nabla_h\chi_j+e_j)` is constant on each element, so it has no divergence there. The
basis function :math:`\varphi_F` of a facet gives :math:`\int\sigma_j\cdot\nabla_h\varphi_F =
\int_F[\sigma_j\cdot n]\varphi_F = |F|\,[\sigma_j\cdot n]_F = 0`: the normal component is continuous across every inner
and period facet, and zero on an insulated interface. Hence :math:`\sigma_j` is admissible in the complementary energy
principle

.. math:: \langle\sigma\rangle\cdot (D^*)^{-1}\langle\sigma\rangle \le \frac1{|Y|}\int\sigma\cdot D^{-1}\sigma .

With :math:`L_{ij}=\frac1{|Y|}\int(e_i+\nabla_h\chi_i)\cdot D(e_j+\nabla_h\chi_j)` both sides are known for
:math:`\sigma=\sum_j\xi_j\sigma_j`: the mean is :math:`L\xi` (test the discrete problem with :math:`\chi_i`) and the
energy is :math:`\xi\cdot L\xi`, so :math:`L (D^*)^{-1} L\le L`, that is :math:`L\le D^*`.

**The algebraic residual.** The solver leaves :math:`\rho_j=b_j-A\chi_j\ne0`. The energy tensor :math:`M` of what was
computed exceeds the exact discrete minimum :math:`L` by :math:`\rho^TA^+\rho/|Y|`. For facets :math:`F, F'` of one
element :math:`|\varphi_F-\varphi_{F'}|^2\le (h_K/d)^2|\nabla\varphi|^2\le w_K\,a_K(\varphi,\varphi)` with
:math:`w_K=(h_K/d)^2/(|K|\lambda_{\min}(D_K))`. A path between any two facets of a connected mesh meets no element
twice, so :math:`\max|\varphi|^2\le W a(\varphi,\varphi)` with :math:`W=\sum_Kw_K` once :math:`\varphi` vanishes on one
facet, and :math:`\rho^TA^+\rho\le W\|\rho\|_1^2`. Therefore

.. math:: \xi\cdot D^*\xi \;\ge\; \xi\cdot M\xi - \frac{W}{|Y|}\Bigl(\sum_j|\xi_j|\,\|\rho_j\|_1\Bigr)^2 .

**Membranes** (:mod:`homfem.local.membranes`) have a term in each energy: :math:`\int_\Gamma h\,[u]^2` above,
:math:`\int_\Gamma(\sigma\cdot n)^2/h` below. With Crouzeix-Raviart correctors of each group of phases and the jump
taken in the middle of each facet, :math:`\sigma\cdot n=h\,[\chi]` is constant on it and all of the above holds. A path
now also crosses membranes, from one piece that they enclose to the next, each pair of pieces once at the most and
through whichever facet is best: :math:`|\varphi_+-\varphi_-|^2\le w_F\,h|F|\,[\varphi]^2` with
:math:`w_F=1/(h|F|)`. The least :math:`w_F` of each pair of pieces is added to W.

The loads share this in proportion to their energies (:mod:`homfem.brackets`), and the residual counts with what
round-off can hide of it. What round-off can do to the energies is in both bounds (:mod:`homfem.local.roundoff`). Where
the active phases percolate in some directions only, :math:`D^*` vanishes in the others, and both bounds are projected
on the former.

**A sharper lower bound** comes from fluxes that are linear on each element (:mod:`homfem.local.flux`), with the same
guarantee and its own allowance. It is the default beside conforming correctors of degree two or more: the errors of
both sides then are of one size and opposite sign, so that the midpoint is far closer than the half-gap.

**Where the gap is**: :mod:`homfem.certify.diffusion.gap`.

Source: Prager, Synge 1947, doi 10.1090/qam/25902; Marini 1985, doi 10.1137/0722029 (the flux of Crouzeix-Raviart).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Self, Unpack

import numpy as np

from homfem import brackets, periodic
from homfem.cells.symmetry import CellSymmetry
from homfem.cells.unitcell import UnitCell
from homfem.certify.accuracy import HIGHEST, Accuracy, AccuracyOptions, Plan
from homfem.certify.adapt import on_root
from homfem.certify.diffusion.dual import Lower, solve_lower
from homfem.certify.diffusion.gap import diffusion_gaps
from homfem.certify.diffusion.geometry import geometric_error
from homfem.certify.diffusion.medium import Medium
from homfem.certify.loop import solve_cell
from homfem.certify.physics import CellSolution, MeshSolution, sampled
from homfem.certify.symmetry import Loads, symmetric_cell
from homfem.keywords import inherits, part_of, takes
from homfem.kinds import CONDUCTION, kind_of
from homfem.local import roundoff
from homfem.local.diffusion import Coefficient, diffusion_coefficient
from homfem.local.engine import solve_correctors
from homfem.local.membranes import check_membranes, find_membranes
from homfem.local.problem import BOUNDARIES, Correctors
from homfem.parameters import Array, InputError, check_choice, check_integer
from homfem.tensors import EffectiveTensor

#: What the residual of the solver may take off the lower bound, relative to it.
ALLOWANCE = 1e-7


@dataclass(frozen=True, kw_only=True, slots=True)
class Diffusion:
    """Diffusion in the named phases; see :func:`solve_diffusion` for the parameters."""

    coefficients: Mapping[str, Coefficient]
    membranes: Mapping[str, float] = field(default_factory=dict)
    physics: str = "diffusion"
    lower_degree: int | None = None
    unit: str = ""
    boundary: str = "periodic"

    def prepared(self, cell: UnitCell, accuracy: Accuracy) -> tuple[Self, Plan]:
        """Refuse what does not go together; return the membranes by the names of the cell, and the plan."""
        unit = kind_of(check_choice("physics", self.physics, CONDUCTION)).check_unit(self.unit)
        check_choice("boundary", self.boundary, BOUNDARIES)
        backend = periodic.check_backend(cell, accuracy.backend)
        degree = 2 if accuracy.degree is None else accuracy.degree
        identified, of_period = backend == "identified", self.boundary == "periodic"
        lower = (1 if degree > 1 and identified else 0) if self.lower_degree is None else self.lower_degree
        check_integer("lower_degree", lower, at_least=0, at_most=1 if identified else 0)
        membranes = check_membranes(cell, self._names(cell), self.membranes or {})
        if membranes and not (identified and of_period):
            allowed = "None unless backend = 'identified' and boundary = 'periodic'"
            raise InputError("membranes", self.membranes, allowed)
        accuracy.allow_symmetry(
            not membranes and of_period and identified,
            "with membranes, other boundaries than 'periodic' and other backends than 'identified'",
        )
        two_sided = accuracy.between_bounds(cell, self.boundary, wanted=accuracy.bounds is not False)
        plan = accuracy.plan(degree=degree, two_sided=two_sided, backend=backend, highest=HIGHEST)
        return replace(self, membranes=membranes, lower_degree=lower, unit=unit), plan

    def _names(self, cell: UnitCell) -> list[str]:
        """The phases that conduct, in the order of the cell."""
        if not self.coefficients:
            raise InputError("coefficients", self.coefficients, f"given for at least one of {cell.phase_names}")
        for name in self.coefficients:
            check_choice("phase", name, cell.phase_names)
        return [name for name in cell.phase_names if name in self.coefficients]

    def active(self, cell: UnitCell) -> UnitCell:
        """Return what conducts, without islands; collective."""
        active = cell.restrict(self._names(cell))
        active.require_percolation()
        return active.without_islands()

    def loads(self, dimension: int) -> Loads:
        """Return the unit gradients along all axes."""
        return Loads.of(tuple(range(dimension)))

    def symmetric(self, active: UnitCell) -> tuple[UnitCell, Loads, CellSymmetry]:
        """Return the part between the mirror planes, and the loads that are left; collective."""
        return symmetric_cell(active, self.coefficients)

    def solve(self, cell: UnitCell, loads: Loads, plan: Plan) -> DiffusionOnMesh:
        """Solve both sides on one mesh; collective."""
        medium = Medium(
            cell=cell,
            coefficient=diffusion_coefficient(cell, {name: self.coefficients[name] for name in cell.phase_names}),
            membranes=find_membranes(cell, self.membranes) if self.membranes else None,
            loads=loads,
            backend=plan.backend,
            boundary=self.boundary,
        )
        problem = medium.problem("Lagrange", plan.degree)
        lower = None
        if plan.two_sided:  # as a rule the larger system
            lower = solve_lower(medium, self.lower_degree or 0, plan.rtol, plan.allowance(ALLOWANCE))
        upper = solve_correctors(cell, problem, backend=plan.backend, boundary=self.boundary, rtol=plan.rtol)
        return DiffusionOnMesh(
            tensor=_bracket(medium, upper, lower),
            cell=cell,
            correctors=upper,
            dual=None if lower is None else lower.fields,
            medium=medium,
        )

    def record(self, cell: UnitCell) -> dict[str, Any]:
        """Return what the tensor keeps of the input."""
        return {
            "unit": self.unit,
            "physics": self.physics,
            "kind": kind_of(self.physics),
            "boundary": self.boundary,
            "active_phases": tuple(self._names(cell)),
            "membranes": dict(self.membranes),
        }

    @property
    def sampled(self) -> bool:
        """Whether a coefficient is a function of position."""
        return sampled(self.coefficients)


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class DiffusionOnMesh(MeshSolution):
    """Diffusion on one mesh."""

    medium: Medium

    def gaps(self) -> Array:
        """Return the part of the gap in each mesh cell, on rank 0; collective."""
        medium = self.medium
        own = diffusion_gaps(
            self.cell, self.correctors, self.dual, medium.coefficient, medium.membranes, axes=medium.loads.axes
        )
        return on_root(self.cell, own)

    def geometric_error(self) -> float:
        """Return an estimate of what straight facets change; collective."""
        medium = self.medium
        if self.cell.order != 1 or medium.boundary != "periodic":
            return 0.0
        return geometric_error(self.cell, medium.coefficient, self.correctors, medium.membranes, axes=medium.loads.axes)


def _bracket(medium: Medium, upper: Correctors, lower: Lower | None) -> EffectiveTensor:
    """Value and bounds in the directions in which anything flows."""
    cell, noise = medium.cell, medium.noise(upper)
    of_period = medium.boundary == "periodic"
    conducts, above = np.eye(cell.dimension), upper.average
    if of_period:
        # Nothing flows but in the directions that the parts span, whatever round-off and allowance say of the others.
        span = cell.whole.span(cell.lattice)
        conducts = span.T @ span if len(span) < cell.dimension else conducts

    def whole(matrix: Array) -> Array:
        return np.asarray(conducts @ medium.loads.tensor(matrix) @ conducts) if of_period else matrix

    above, noise = whole(above), whole(noise)
    if lower is not None:
        shares = roundoff.weights(cell, lower.fields.average, medium.axes)
        found = brackets.bracket(
            whole(lower.fields.average),
            above,
            below=whole(brackets.shared(lower.excess, shares)),
            above=np.zeros_like(above),
            noise=(whole(lower.noise), noise),
        )
        return EffectiveTensor(**found)
    # On curved elements the energy is integrated by quadrature, not exactly; correctors that do not conform across the
    # period may have less than the least energy: no guarantee.
    if not cell.affine or (of_period and not cell.matching) or medium.boundary == "mixed":
        return EffectiveTensor(value=above)
    return EffectiveTensor(value=above, upper=above + noise, roundoff=float(np.linalg.norm(noise, 2)))


@takes(Accuracy)
@inherits(solve_cell)
def solve_diffusion(
    cell: UnitCell,
    coefficients: Mapping[str, Coefficient],
    *,
    membranes: Mapping[str, float] | None = None,
    physics: str = "diffusion",
    lower_degree: int | None = None,
    unit: str = "",
    boundary: str = "periodic",
    config: Mapping[str, Any] | None = None,
    **accuracy: Unpack[AccuracyOptions],
) -> CellSolution:
    r"""Solve the diffusion cell problem and bound its effective tensor from both sides; collective.

    :math:`L \le D^* \le U` in the Loewner order; ``value`` is the midpoint of the two energies.

    Parameters
    ----------
    cell
    coefficients
        Diffusivity of each conducting phase, in ``unit``: a number, a symmetric positive definite matrix, an array with
        one of these for each element of the mesh as it was made (or each voxel of the image), or a function of position
        (see :func:`homfem.local.diffusion.diffusion_coefficient`). A phase that is not named insulates.
    membranes
        Permeability h of interfaces that resist the flux, in ``unit`` per ``cell.length_unit``, by the names of the
        facets, such as ``"fibre|matrix"`` (in either order): the flux through them is h times the jump of the
        potential (:mod:`homfem.local.membranes`). The other interfaces are in perfect contact.
    physics
        ``"diffusion"``, ``"conductivity"`` or ``"heat-conduction"``: the name in the result, and what its unit must
        be. The equations are the same.
    lower_degree
        Degree of the fluxes of the lower bound: 0 (Crouzeix-Raviart) or 1 (:mod:`homfem.local.flux`, identified
        backend only). By default 1 where ``degree`` is two or more and the backend allows it.
    unit
        Unit of the coefficients, for the result; refused where it is none of the physics.
    boundary
        ``"periodic"``, or a condition on the faces of a parallelepiped (:mod:`homfem.local.engine`): ``"affine"``
        (KUBC), ``"flux"`` (SUBC) or ``"mixed"``. With the last three the tensor is that of a sample, not of the
        periodic medium; ``upper`` bounds the sample's for affine and flux; no lower bound, no ``tolerance``, and no
        ``symmetry``.
    config
    **accuracy
        As :class:`homfem.certify.Accuracy` has them.

    Returns
    -------
    CellSolution

    Raises
    ------
    InputError
        For an unknown phase, a coefficient that is not positive definite, an option out of range.
    BudgetError, MemoryLimitError
    PercolationError
        If the named phases reach from cell to cell in no direction.
    ConvergenceError

    Notes
    -----
    Both bounds need simplices with straight sides. On rectangles and boxes, such as the voxels of an image, and other
    parallelepipeds there is the upper one alone, which is ``value``; on a curved mesh ``lower`` and ``upper`` are None.
    A function of position is sampled at the midpoint of each mesh cell: the bounds then hold for the sampled medium,
    whose distance from the true one is not known, so that the result has none. ``tolerance`` refers to the sampled
    medium's. Where the faces of the cell need not match there are no bounds either: the correctors do not conform
    across the period. What ``rtol`` may add to the bounds grows with its square, with the contrast and with the mesh;
    where it leaves no positive lower bound, ``value`` is the upper energy, ``reached`` False, and a warning tells so.
    """
    given = Diffusion(
        coefficients=coefficients,
        membranes=membranes or {},
        physics=physics,
        lower_degree=lower_degree,
        unit=unit,
        boundary=boundary,
    )
    return solve_cell(cell, given, Accuracy(**accuracy), config=config)


homogenize_diffusion = part_of(
    solve_diffusion,
    "homogenize_diffusion",
    lambda solution: solution.tensor,
    returns=EffectiveTensor,
    summary="Return the effective diffusion tensor of a cell with guaranteed bounds; collective.",
)
