r"""Effective tensors with guaranteed two-sided bounds, and the adaptive loop that tightens them.

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

**Where the gap is**: :mod:`homfem.certify.adapt`.

Source: Prager, Synge 1947, doi 10.1090/qam/25902; Marini 1985, doi 10.1137/0722029 (the flux of Crouzeix-Raviart).
"""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from dolfinx import fem

from homfem import brackets, periodic
from homfem.cells.unitcell import UnitCell
from homfem.certify.adapt import refine_towards
from homfem.certify.geometry import geometric_error
from homfem.certify.loop import CellSolution, MeshSolution, add_seconds, solve_adaptively
from homfem.certify.lower import solve_lower, values_of
from homfem.certify.symmetry import SYMMETRIES, Loads, symmetric_cell
from homfem.kinds import CONDUCTION, kind_of
from homfem.local import roundoff
from homfem.local.diffusion import Coefficient, diffusion_coefficient, diffusion_problem
from homfem.local.engine import Correctors, solve_correctors
from homfem.local.flux import Fluxes
from homfem.local.membranes import (
    Membranes,
    check_membranes,
    crossing_strength,
    find_membranes,
    membrane_problem,
)
from homfem.local.problem import BOUNDARIES
from homfem.parameters import Array, InputError, check_choice, check_integer, check_number, check_tolerance
from homfem.tensors import EffectiveTensor

log = logging.getLogger("homfem")

#: What the residual of the solver may take off the lower bound, relative to it.
ALLOWANCE = 1e-7


def homogenize_diffusion(cell: UnitCell, coefficients: Mapping[str, Coefficient], **options: Any) -> EffectiveTensor:
    """Return the effective diffusion tensor of a cell with guaranteed bounds; see :func:`solve_diffusion`."""
    return solve_diffusion(cell, coefficients, **options).tensor


def solve_diffusion(
    cell: UnitCell,
    coefficients: Mapping[str, Coefficient],
    *,
    tolerance: float | None = None,
    max_dofs: int | None = None,
    degree: int = 2,
    lower_degree: int | None = None,
    bounds: bool = True,
    unit: str = "",
    physics: str = "diffusion",
    boundary: str = "periodic",
    symmetry: str = "none",
    backend: str | None = None,
    rtol: float = 1e-9,
    config: Mapping[str, Any] | None = None,
    membranes: Mapping[str, float] | None = None,
) -> CellSolution:
    r"""Solve the diffusion cell problem and bound its effective tensor from both sides; collective.

    :math:`L \le D^* \le U` in the Loewner order; ``value`` is the midpoint of the two energies.

    Parameters
    ----------
    cell
        The unit cell.
    coefficients
        Diffusivity of each conducting phase, in ``unit``: a number, a symmetric positive definite matrix, an array with
        one of these for each element of the mesh as it was made (or each voxel of the image), or a function of position
        (see :func:`homfem.local.diffusion.diffusion_coefficient`). A phase that is not named insulates.
    tolerance
        Relative half-gap to reach by refinement; without it the cell's mesh is used as it is.
    max_dofs
        No larger linear system is solved: a first mesh that needs one is refused; refinement ends before, and what was
        reached is returned with ``tensor.reached`` false and a warning in the log.
    degree
        Degree of the conforming correctors, 1 to 4.
    lower_degree
        Degree of the fluxes of the lower bound: 0 (Crouzeix-Raviart) or 1 (:mod:`homfem.local.flux`, identified
        backend only). By default 1 where ``degree`` is two or more and the backend allows it.
    bounds
        Without bounds the value is that of the conforming correctors alone and ``lower`` is None.
    unit
        Unit of the coefficients, for the result; refused where it is none of the physics.
    physics
        ``"diffusion"``, ``"conductivity"`` or ``"heat-conduction"``: the name in the result, and what its unit must
        be. The equations are the same.
    boundary
        ``"periodic"``, or a condition on the faces of a parallelepiped (:mod:`homfem.local.engine`): ``"affine"``
        (KUBC), ``"flux"`` (SUBC) or ``"mixed"``. With the last three the tensor is that of a sample, not of the
        periodic medium; ``upper`` bounds the sample's for affine and flux; no lower bound, and no ``tolerance``.
    symmetry
        ``"none"``, or ``"auto"``: mirror planes and axes that are alike are looked for on the mesh and in the
        coefficients, and no more is solved than what they leave: an octant of a cubic cell, for one load. The bounds
        are of the whole cell. What does not qualify is solved whole, with the reason in the log
        (:mod:`homfem.cells.symmetry`).
    backend
        ``"identified"`` or ``"multipoint"``, see :mod:`homfem.periodic`; by default the one that the cell needs.
    rtol
        Relative residual of the linear solves. What it may add to the bounds is subtracted; it grows with its square,
        with the contrast and with the mesh. Where it is not small, the lower side is solved sharper. Where it leaves no
        positive lower bound, ``value`` is the upper energy, ``reached`` False, and a warning tells so.
    config
        The input that led here, kept in the result.
    membranes
        Permeability h of interfaces that resist the flux, in ``unit`` per ``cell.length_unit``, by the names of the
        facets, such as ``"fibre|matrix"`` (in either order): the flux through them is h times the jump of the
        potential (:mod:`homfem.local.membranes`). The other interfaces are in perfect contact.

    Returns
    -------
    CellSolution

    Raises
    ------
    InputError
        For an unknown phase, a coefficient that is not positive definite, an option out of range.
    BudgetError, MemoryLimitError
        If the system of the first mesh has more unknowns than ``max_dofs``, or does not fit into the memory.
    PercolationError
        If the named phases reach from cell to cell in no direction.
    ConvergenceError
        If a linear solve did not converge.

    Notes
    -----
    Both bounds need simplices with straight sides. On rectangles and boxes, such as the voxels of an image, and other
    parallelepipeds there is the upper one alone, which is ``value``; on a curved mesh ``lower`` and ``upper`` are None.
    A function of position is sampled at the midpoint of each mesh cell: the bounds then hold for the sampled medium,
    whose distance from the true one is not known, so that the result has none. ``tolerance`` refers to the sampled
    medium's. Where the faces of the cell need not match there are no bounds either: the correctors do not conform
    across the period.
    """
    unit = kind_of(check_choice("physics", physics, CONDUCTION)).check_unit(unit)
    check_choice("boundary", boundary, BOUNDARIES)
    check_choice("symmetry", symmetry, SYMMETRIES)
    check_integer("degree", degree, at_least=1, at_most=4)
    check_number("rtol", rtol, above=0.0, at_most=1e-4)
    backend = periodic.check_backend(cell.periodic_mesh, backend)
    if lower_degree is None:
        lower_degree = 1 if degree > 1 and backend == "identified" else 0
    check_integer("lower_degree", lower_degree, at_least=0, at_most=1 if backend == "identified" else 0)
    names = _known_phases(cell, coefficients)
    permeabilities = check_membranes(cell, names, membranes or {})
    if permeabilities and (backend != "identified" or boundary != "periodic"):
        raise InputError("membranes", membranes, "None unless backend = 'identified' and boundary = 'periodic'")
    if symmetry != "none" and (permeabilities or boundary != "periodic" or backend != "identified"):
        allowed = "'none' with membranes, other boundaries than 'periodic' and other backends than 'identified'"
        raise InputError("symmetry", symmetry, allowed, "Leave it out: the whole cell is solved.")
    matching = cell.periodic_mesh.matching
    periodic_faces = boundary == "periodic"
    two_sided = bounds and cell.order == 1 and cell.simplicial and matching and periodic_faces
    if tolerance is not None:
        check_tolerance(tolerance)
        if not two_sided:
            allowed = (
                "None without two-sided bounds" if matching else "None on faces that do not match: no bounds there"
            )
            remedy = "Choose the resolution instead."
            if not cell.simplicial:
                remedy = 'Cut the cell into simplices (elements = "simplex").'
            raise InputError("tolerance", tolerance, allowed, remedy)
    if max_dofs is not None:
        check_integer("max_dofs", max_dofs, at_least=1)
    start = time.perf_counter()
    stages: dict[str, float] = dict(cell.seconds)
    active = cell.restrict(names)
    active.require_percolation()
    active = active.without_islands()
    add_seconds(stages, {"restrict": time.perf_counter() - start})
    loads, found = Loads.of(tuple(range(cell.dimension))), None
    if symmetry == "auto":
        lap = time.perf_counter()
        active, loads, found = symmetric_cell(active, coefficients)
        add_seconds(stages, {"symmetry": time.perf_counter() - lap})
    wanted = lower_degree if two_sided else None

    def solve_mesh(part: UnitCell) -> MeshSolution:
        medium = diffusion_coefficient(part, {name: coefficients[name] for name in part.phase_names})
        resisting = find_membranes(part, permeabilities) if permeabilities else None
        upper, lower, fields = _solve_mesh(
            part, medium, resisting, loads, degree, wanted, backend, rtol, tolerance, boundary
        )
        # On curved elements the energy is integrated by quadrature, not exactly; correctors that do not conform across
        # the period may have less than the least energy: no guarantee.
        if not part.affine or not (matching or not periodic_faces) or boundary == "mixed":
            fields |= {"upper": None, "roundoff": 0.0}

        def geometric() -> float:
            if cell.order != 1 or not periodic_faces:
                return 0.0
            return geometric_error(part, medium, upper, resisting, axes=loads.axes)

        def refine(dofs: int) -> UnitCell | None:
            if lower is None:
                return None
            return refine_towards(part, upper, lower, max_dofs, dofs, medium, resisting, axes=loads.axes)

        return MeshSolution(
            tensor=EffectiveTensor(**fields),
            upper=upper,
            lower=lower,
            refine=refine,
            geometric_error=geometric,
        )

    solution = solve_adaptively(
        cell,
        active,
        solve_mesh,
        tolerance=tolerance,
        max_dofs=max_dofs,
        sampled=any(callable(value) for value in coefficients.values()),
        stages=stages,
        start=start,
    )
    tensor = replace(
        solution.tensor,
        unit=unit,
        physics=physics,
        kind=kind_of(physics),
        boundary=boundary,
        active_phases=tuple(names),
        membranes=permeabilities,
        config=dict(config or {}),
    )
    return replace(solution, tensor=tensor, symmetry=found)


def _known_phases(cell: UnitCell, coefficients: Mapping[str, Coefficient]) -> list[str]:
    if not coefficients:
        raise InputError("coefficients", coefficients, f"given for at least one of {cell.phase_names}")
    for name in coefficients:
        check_choice("phase", name, cell.phase_names)
    return [name for name in cell.phase_names if name in coefficients]


def _solve_mesh(
    cell: UnitCell,
    coefficient: fem.Function,
    membranes: Membranes | None,
    loads: Loads,
    degree: int,
    lower_degree: int | None,
    backend: str,
    rtol: float,
    tolerance: float | None,
    boundary: str,
) -> tuple[Correctors, Correctors | Fluxes | None, dict[str, Any]]:
    """Solve both sides on one mesh: correctors, and the fields of the tensor."""
    if membranes is None:
        problem = diffusion_problem(
            cell, coefficient, degree=degree, axes=loads.axes, backend=backend, boundary=boundary
        )
    else:
        problem = membrane_problem(cell, coefficient, membranes, degree=degree)
    below = None
    if lower_degree is not None and boundary == "periodic":
        # As a rule the larger system: what is too large is refused before anything is solved.
        allowance = min(ALLOWANCE, 0.1 * tolerance) if tolerance is not None else ALLOWANCE
        below = solve_lower(cell, coefficient, membranes, loads, lower_degree, backend, rtol, allowance)
    upper = solve_correctors(cell, problem, backend=backend, boundary=boundary, rtol=rtol)
    axes = [(axis,) for axis in loads.axes]
    largest = roundoff.largest(values_of(cell, coefficient), cell.dimension)
    jumps = 0.0 if membranes is None else crossing_strength(cell, membranes)
    noise = roundoff.of_correctors(cell, largest, upper, axes, jumps)
    if boundary != "periodic":
        return upper, None, {"value": upper.average, "upper": upper.average + noise, "roundoff": _size(noise)}
    # Nothing flows but in the directions that the parts span: whatever round-off and allowance say of the others.
    span = cell.whole.span(cell.lattice)
    conducts = span.T @ span if len(span) < cell.dimension else np.eye(cell.dimension)

    def whole(matrix: Array) -> Array:
        return np.asarray(conducts @ loads.tensor(matrix) @ conducts)

    above, noise = whole(upper.average), whole(noise)
    if below is None:
        return upper, None, {"value": above, "upper": above + noise, "roundoff": _size(noise)}
    lower, excess, doubt = below
    fields = brackets.bracket(
        whole(lower.average),
        above,
        below=whole(brackets.shared(excess, roundoff.weights(cell, lower.average, axes))),
        above=np.zeros_like(above),
        noise=(whole(doubt), noise),
    )
    return upper, lower, fields


def _size(matrix: Array) -> float:
    return float(np.linalg.norm(matrix, 2))
