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
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from dolfinx import fem

from homfem import brackets, periodic, solve
from homfem.cells.unitcell import UnitCell
from homfem.certify.adapt import refine_towards
from homfem.certify.geometry_elasticity import elastic_geometric_error
from homfem.certify.loop import CellSolution, MeshSolution, add_seconds, solve_adaptively
from homfem.certify.symmetry import SYMMETRIES, StrainLoads, symmetric_solid
from homfem.kinds import STIFFNESS
from homfem.local import roundoff
from homfem.local.elasticity import Stiffness, elastic_coefficient, elasticity_problem
from homfem.local.engine import solve_correctors
from homfem.local.problem import BOUNDARIES, Correctors
from homfem.local.stress import Stresses, solve_stresses
from homfem.parameters import (
    Array,
    ConvergenceError,
    InputError,
    PercolationError,
    check_choice,
    check_integer,
    check_number,
    check_tolerance,
)
from homfem.stiffness import PAIRS, basis, check_plane, mandel_to_voigt, voigt_to_mandel
from homfem.tensors import EffectiveTensor

log = logging.getLogger("homfem")

#: Part of the smallest eigenvalue that the residual may take from the lower bound; a tenth of a tolerance if less.
ALLOWANCE = 1e-6


def homogenize_elasticity(cell: UnitCell, stiffnesses: Mapping[str, Stiffness], **options: Any) -> EffectiveTensor:
    """Return the effective stiffness of a cell with guaranteed bounds; see :func:`solve_elasticity`."""
    return solve_elasticity(cell, stiffnesses, **options).tensor


def solve_elasticity(
    cell: UnitCell,
    stiffnesses: Mapping[str, Stiffness],
    *,
    tolerance: float | None = None,
    max_dofs: int | None = None,
    degree: int = 2,
    bounds: bool = True,
    plane: str | None = None,
    unit: str = "",
    boundary: str = "periodic",
    symmetry: str = "none",
    backend: str | None = None,
    rtol: float = 1e-9,
    config: Mapping[str, Any] | None = None,
) -> CellSolution:
    r"""Solve the elastic cell problem and bound its effective stiffness from both sides; collective.

    :math:`L \le C^* \le U` in the Loewner order, as Voigt matrices (engineering shear); ``value``
    is the midpoint.

    Parameters
    ----------
    cell
        The unit cell.
    stiffnesses
        For each solid phase a mapping such as ``{"young": 10.0, "poisson": 0.3}``, a Voigt matrix, or a function of
        position (see :func:`homfem.local.elasticity.elastic_coefficient`), in ``unit``. A phase that is not named is a
        void.
    tolerance
        Relative half-gap to reach by refinement; without it the cell's mesh is used as it is.
    max_dofs
        No larger linear system is solved: a first mesh that needs one is refused; refinement ends before, and what was
        reached is returned with ``tensor.reached`` false and a warning in the log.
    degree
        Degree of the conforming correctors, 1 to 4. The lower bound is of the order of degree 2.
    bounds
        Without bounds the value is that of the conforming correctors alone and ``lower`` is None.
    plane
        Of a cell in 2D: ``"strain"`` (default), or ``"stress"`` for a thin sheet with the reduced stiffness of each
        phase (:func:`homfem.stiffness.plane_stress`); value and bounds are those of that problem.
    unit
        Unit of the stiffnesses, for the result.
    boundary
        ``"periodic"``, or a condition on the faces of a parallelepiped (:mod:`homfem.local.engine`): ``"affine"``
        (KUBC), ``"flux"`` (SUBC) or ``"mixed"``. With the last three the tensor is that of a sample, not of the
        periodic medium, and has no bounds: affine tells an upper bound of the periodic stiffness only if the cell is
        a period, flux approaches its value from above while that lies below the periodic stiffness.
    symmetry
        ``"auto"``: solve on the part between the mirror planes that mesh and stiffnesses have, and one shear for axes
        that are alike (:mod:`homfem.certify.symmetry`). The bounds are those of the whole cell. Periodic only.
    backend
        ``"identified"`` or ``"multipoint"`` (no lower bound), see :mod:`homfem.periodic`; by default the one that the
        cell needs.
    rtol
        Relative residual of the linear solves. The stresses are solved sharper where the residual matters.
    config
        The input that led here, kept in the result.

    Returns
    -------
    CellSolution
        ``upper`` holds the correctors, ``lower`` the stresses.

    Raises
    ------
    InputError
        For an unknown phase, a stiffness that is not positive definite, an option out of range.
    BudgetError, MemoryLimitError
        If the system of the first mesh has more unknowns than ``max_dofs``, or does not fit into the memory.
    PercolationError
        If the solid reaches from cell to cell in no direction, or a part of it can turn about its axis.
    ConvergenceError
        If a linear solve did not converge.

    Notes
    -----
    A function of position is sampled at the midpoint of each mesh cell; the bounds then are those of the sampled
    medium, and the result has none.
    """
    unit = STIFFNESS.check_unit(unit)
    plane = check_plane(plane, cell.dimension)
    check_choice("boundary", boundary, BOUNDARIES)
    check_choice("symmetry", symmetry, SYMMETRIES)
    check_integer("degree", degree, at_least=1, at_most=4)
    check_number("rtol", rtol, above=0.0, at_most=1e-4)
    backend = periodic.check_backend(cell.periodic_mesh, backend)
    matching = cell.periodic_mesh.matching and boundary == "periodic"
    two_sided = bounds and matching and cell.simplicial and cell.order == 1 and backend == "identified"
    if tolerance is not None:
        check_tolerance(tolerance)
        if not two_sided:
            raise InputError("tolerance", tolerance, "None without two-sided bounds", "Choose the resolution instead.")
    if max_dofs is not None:
        check_integer("max_dofs", max_dofs, at_least=1)
    if symmetry == "auto" and (boundary != "periodic" or backend != "identified"):
        raise InputError(
            "symmetry", symmetry, "'none' for other boundaries than 'periodic', backends than 'identified'"
        )
    start = time.perf_counter()
    stages: dict[str, float] = dict(cell.seconds)
    active = solid_part(cell, stiffnesses, turning=boundary != "periodic")
    add_seconds(stages, {"restrict": time.perf_counter() - start})
    loads, found = StrainLoads.of(tuple(range(cell.dimension))), None
    if symmetry == "auto":
        lap = time.perf_counter()
        active, loads, found = symmetric_solid(active, stiffnesses, plane)
        add_seconds(stages, {"symmetry": time.perf_counter() - lap})

    def solve_mesh(part: UnitCell) -> MeshSolution:
        coefficient = elastic_coefficient(part, {name: stiffnesses[name] for name in part.phase_names}, plane)
        problem = elasticity_problem(
            part, coefficient, degree=degree, strains=loads.strains, backend=backend, boundary=boundary
        )
        lower = None
        if two_sided:  # the larger system: what is too large is refused before anything is solved
            least = min(ALLOWANCE, 0.1 * tolerance) if tolerance is not None else ALLOWANCE
            lower = _stresses(part, coefficient, loads, rtol, least)
        upper = solve_correctors(part, problem, backend=backend, boundary=boundary, rtol=rtol)

        def refine(dofs: int) -> UnitCell | None:
            if lower is None:
                return None
            return refine_towards(part, upper, lower, max_dofs, dofs, axes=loads.strains)

        def geometric() -> float:
            if cell.order != 1 or boundary != "periodic":
                return 0.0
            return elastic_geometric_error(part, coefficient, upper, strains=loads.strains)

        noise = noise_of_energy(part, coefficient, upper, loads.strains)
        tensor = _bracket(part, loads, (upper, noise), lower, boundary, guaranteed=matching and part.affine)
        return MeshSolution(tensor=tensor, upper=upper, lower=lower, refine=refine, geometric_error=geometric)

    solution = solve_adaptively(
        cell,
        active,
        solve_mesh,
        tolerance=tolerance,
        max_dofs=max_dofs,
        sampled=any(callable(value) for value in stiffnesses.values()),
        stages=stages,
        start=start,
    )
    tensor = replace(
        solution.tensor,
        unit=unit,
        plane=plane,
        boundary=boundary,
        active_phases=tuple(name for name in cell.phase_names if name in stiffnesses),
        config=dict(config or {}),
    )
    return replace(solution, tensor=tensor, symmetry=found)


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


def _bracket(
    cell: UnitCell,
    loads: StrainLoads,
    upper: tuple[Correctors, Array],
    lower: Stresses | None,
    boundary: str,
    *,
    guaranteed: bool,
) -> EffectiveTensor:
    """Value and bounds, projected on the strains that the solid can transmit; ``upper`` with what round-off may do."""
    if boundary != "periodic":
        return EffectiveTensor(value=upper[0].average, physics="elasticity")

    def whole(matrix: Array) -> Array:
        return transmitted(cell, loads.tensor(matrix))

    above, noise = whole(upper[0].average), whole(upper[1])
    if lower is None:
        rest: dict[str, Any] = (
            {"upper": above + noise, "roundoff": float(np.linalg.norm(noise, 2))} if guaranteed else {}
        )
        return EffectiveTensor(value=above, physics="elasticity", **rest)
    size = roundoff.weights(cell, lower.average, [PAIRS[cell.dimension][k] for k in loads.strains])
    fields = brackets.bracket(
        whole(lower.average),
        above,
        below=whole(brackets.shared(lower.excess, size)),
        above=np.zeros_like(above),
        noise=(whole(lower.noise), noise),
    )
    return EffectiveTensor(physics="elasticity", **fields)


def noise_of_energy(cell: UnitCell, coefficient: fem.Function, upper: Correctors, strains: Sequence[int]) -> Array:
    """Return what round-off can have done to the energies of strains, given by their places; collective."""
    owned = cell.mesh.topology.index_map(cell.dimension).size_local
    size = len(PAIRS[cell.dimension])
    stiffest = 2.0 * roundoff.largest(coefficient.x.array.reshape(-1, size**2)[:owned], size)
    return roundoff.of_correctors(cell, stiffest, upper, [PAIRS[cell.dimension][k] for k in strains])


def transmitted(cell: UnitCell, matrix: Array) -> Array:
    """Return a Voigt matrix on the symmetric tensors of the directions in which the solid percolates."""
    span = cell.whole.span(cell.lattice)
    if len(span) == cell.dimension:
        return matrix
    b, onto = basis(cell.dimension), span.T @ span
    projector = np.einsum("Iij,ik,Jkl,lj->IJ", b, onto, b, onto)
    return mandel_to_voigt(projector @ voigt_to_mandel(matrix) @ projector)


def hill_mandel(cell: UnitCell, correctors: Correctors) -> tuple[float, float]:
    r"""Return how far Hill's condition and the symmetry of the mean stresses are violated; collective.

    .. math:: \max_{ij}|\langle\sigma_j\cdot\varepsilon_i\rangle-\langle\sigma_j\rangle\cdot E_i|,\qquad
              \max_{ij}|\langle\sigma_j\rangle_i-\langle\sigma_i\rangle_j|,

    both over the largest entry; they measure the algebraic residual. For periodic correctors of unit strains.

    Parameters
    ----------
    cell
        The cell that was solved.
    correctors
        As :func:`solve_elasticity` returns them in ``upper``.
    """
    problem = correctors.problem
    w, z = fem.Function(correctors.space), fem.Function(correctors.space)
    none = fem.Function(correctors.space)
    s, t = (fem.Constant(problem.domain, np.zeros(problem.loads)) for _ in range(2))
    of_energy = solve.integral(problem.average_form(w, s, z, t))
    of_mean = solve.integral(problem.average_form(w, s, none, t))
    unit = np.eye(problem.loads)
    energy, mean = np.zeros_like(unit), np.zeros_like(unit)
    for j, first in enumerate(correctors.functions):
        w.x.array[:] = first.x.array
        s.value[:] = unit[j]
        for i, second in enumerate(correctors.functions):
            z.x.array[:] = second.x.array
            t.value[:] = unit[i]
            energy[i, j], mean[i, j] = of_energy(), of_mean()
    size = np.abs(energy).max()
    return float(np.abs(energy - mean).max() / size), float(np.abs(mean - mean.T).max() / size)
