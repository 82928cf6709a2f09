r"""Thermoelasticity, poroelasticity and active stress: an elastic cell with one more load.

The stiffness is the energy of the conforming corrector, an upper bound of the true one on straight meshes
(:mod:`homfem.local.elasticity`), with which the relations of Levin and of Biot hold exactly on any mesh; with
``bounds`` or a ``tolerance`` there is the lower bound of :mod:`homfem.certify.elasticity` as well. The other
coefficients have no guarantee.

Source: Levin 1967 and Rosen, Hashin 1970, doi 10.1016/0020-7225(70)90066-2 (thermal expansion); Dormieux, Kondo, Ulm
2006, Microporomechanics, chapter 5 (pressure).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import fields, replace
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt
import ufl
from dolfinx import fem

from homfem import brackets, periodic, solve
from homfem.cells.unitcell import UnitCell
from homfem.certify.coupled_results import ActiveStress, CoupledOptions, PoroElastic, ThermoElastic
from homfem.certify.elasticity import noise_of_energy, solid_part, solve_elasticity, transmitted
from homfem.certify.geometry_elasticity import elastic_geometric_error
from homfem.certify.loop import add_seconds, measured
from homfem.local.budget import unknowns_limited
from homfem.local.elasticity import Stiffness, elastic_coefficient, elasticity_problem
from homfem.local.engine import solve_correctors
from homfem.local.problem import CellProblem, Correctors
from homfem.parameters import Array, InputError, PercolationError, check_choice, check_number
from homfem.quantities import EXPANSION, check_unit
from homfem.stiffness import PAIRS, check_plane
from homfem.tensors import EffectiveTensor


def homogenize_thermoelasticity(
    cell: UnitCell,
    stiffnesses: Mapping[str, Stiffness],
    expansions: Mapping[str, float | npt.ArrayLike],
    *,
    temperature_unit: str = "",
    **options: Any,
) -> ThermoElastic:
    r"""Return the effective stiffness and thermal expansion of a cell; collective.

    Parameters
    ----------
    cell
        The unit cell; phases without stiffness are voids.
    stiffnesses
        For each solid phase, see :func:`homfem.local.elasticity.elastic_coefficient`; in ``unit``.
    expansions
        For each solid phase its thermal strain per unit of temperature: a number (isotropic) or a Voigt strain. In
        plane strain it is the strain in the plane while none is let out of it: :math:`(1+\nu)\alpha` for an isotropic
        solid of linear expansion :math:`\alpha`, and a number there is said in the warnings.
    temperature_unit
        Unit of temperature, for the result.
    options
        As :class:`CoupledOptions` has them.

    Raises
    ------
    InputError
        For a solid phase without expansion, and as :func:`homfem.certify.solve_elasticity`.
    PercolationError
        If the solid transmits no stress in some direction: what it expands there is not determined.
    """
    chosen = CoupledOptions(**options)
    if temperature_unit:
        check_unit("temperature_unit", f"1/({temperature_unit})", EXPANSION)
    expanding = {
        name: _voigt_strain(f"expansions[{name!r}]", expansions.get(name), cell.dimension) for name in stiffnesses
    }

    def further(active: UnitCell, coefficient: fem.Function) -> dict[str, Any]:
        if len(active.whole.span(active.lattice)) < cell.dimension:
            remedy = "What it expands in a direction without is not determined."
            raise PercolationError("stiffnesses", active.phase_names, "connected in every direction", remedy)
        strains = {name: expanding[name] for name in active.phase_names}
        return {"eigenstresses": [_stress_of(active, coefficient, strains)]}

    active, correctors, tensor = _solve(cell, stiffnesses, chosen, further)
    stress = -correctors.average[:-1, -1]
    if tensor.plane == "strain" and any(np.ndim(expansions[name]) == 0 for name in stiffnesses):
        note = "expansions are strains in the plane while none is let out of it: (1 + nu) times that of a free solid"
        tensor = replace(tensor, warnings=(*tensor.warnings, note))
    return ThermoElastic(
        stiffness=tensor,
        expansion=np.asarray(np.linalg.solve(correctors.average[:-1, :-1], stress), dtype=np.float64),
        stress=stress,
        cell=active,
        correctors=correctors,
        temperature_unit=temperature_unit,
    )


def homogenize_poroelasticity(
    cell: UnitCell, stiffnesses: Mapping[str, Stiffness], *, fluid_bulk: float | None = None, **options: Any
) -> PoroElastic:
    """Return the drained stiffness, Biot's tensor and Biot's modulus of a cell with voids; collective.

    Parameters
    ----------
    cell
        The unit cell; phases without stiffness are voids, filled with a fluid of one pressure. So are islands of solid
        that touch nothing, which the warnings say.
    stiffnesses
        For each solid phase, see :func:`homfem.local.elasticity.elastic_coefficient`; in ``unit``.
    fluid_bulk
        Bulk modulus of the fluid, in ``unit``: the result then tells what the pores store.
    options
        As :class:`CoupledOptions` has them. In plane stress the pressure acts in the plane alone.

    Raises
    ------
    InputError
        If the cell has no voids, and as :func:`homfem.certify.solve_elasticity`.
    """
    chosen = CoupledOptions(**options)
    if fluid_bulk is not None:
        check_number("fluid_bulk", fluid_bulk, above=0.0)
    if 1.0 - sum(cell.volume_fractions.get(name, 0.0) for name in stiffnesses) <= 1e-12:
        raise InputError("stiffnesses", sorted(stiffnesses), "given for some phases only", "Voids are left out.")
    active, correctors, tensor = _solve(cell, stiffnesses, chosen, lambda active, coefficient: {"pressure": True})
    porosity = float(1.0 - sum(cell.volume_fractions[name] for name in stiffnesses))
    solid = solve.integrate(fem.Constant(active.mesh, 1.0) * ufl.dx) / cell.lattice.volume
    islands = 1.0 - porosity - solid
    if islands > 1e-12:
        porosity += islands
        note = f"solid that touches no other, {islands:.3g} of the volume, is taken for a part of the fluid"
        tensor = replace(tensor, warnings=(*tensor.warnings, note))
    return PoroElastic(
        stiffness=tensor,
        biot=-correctors.average[:-1, -1],
        modulus=float(-1.0 / correctors.average[-1, -1]),
        porosity=porosity,
        cell=active,
        correctors=correctors,
        fluid_bulk=fluid_bulk,
    )


def homogenize_active_stress(
    cell: UnitCell,
    stiffnesses: Mapping[str, Stiffness],
    active_phase: str,
    direction: npt.ArrayLike,
    *,
    tension: float | None = None,
    **options: Any,
) -> ActiveStress:
    r"""Return the macroscopic stress of an active stress :math:`f\otimes f` in one phase; collective.

    Parameters
    ----------
    cell
        The unit cell; phases without stiffness are voids.
    stiffnesses
        For each solid phase, see :func:`homfem.local.elasticity.elastic_coefficient`; in ``unit``.
    active_phase
        The phase that contracts, such as the myofibrils.
    direction : array, shape (d,)
        The fibre direction :math:`f`; its length does not matter.
    tension
        Active stress of the phase along :math:`f`, in ``unit``; by default the result is per unit of it.
    options
        As :class:`CoupledOptions` has them.
    """
    chosen = CoupledOptions(**options)
    check_choice("active_phase", active_phase, [name for name in cell.phase_names if name in stiffnesses])
    d = cell.dimension
    fibre = np.asarray(direction, dtype=np.float64)
    if fibre.shape != (d,) or not np.all(np.isfinite(fibre)) or np.linalg.norm(fibre) == 0.0:
        raise InputError("direction", direction, f"a vector of {d} numbers, not zero")
    fibre = fibre / np.linalg.norm(fibre)
    own = np.array([fibre[i] * fibre[j] for i, j in PAIRS[d]])
    pull = 1.0 if tension is None else check_number("tension", tension)

    def further(active: UnitCell, coefficient: fem.Function) -> dict[str, Any]:
        check_choice("active_phase", active_phase, active.phase_names)
        stresses = {name: own if name == active_phase else np.zeros_like(own) for name in active.phase_names}
        return {"eigenstresses": [active.cell_function(stresses)]}

    active, correctors, tensor = _solve(cell, stiffnesses, chosen, further)
    return ActiveStress(
        stiffness=tensor,
        stress=pull * correctors.average[:-1, -1],
        average=pull * active.volume_fractions[active_phase] * own,
        cell=active,
        correctors=correctors,
        tension=tension,
    )


def _solve(
    cell: UnitCell,
    stiffnesses: Mapping[str, Stiffness],
    options: CoupledOptions,
    further: Callable[[UnitCell, fem.Function], dict[str, Any]],
) -> tuple[UnitCell, Correctors, EffectiveTensor]:
    """Solve for the strains and the further load; the value is the energy of the correctors, within the bounds."""
    start = time.perf_counter()
    plane = check_plane(options.plane, cell.dimension)
    backend = periodic.check_backend(cell.periodic_mesh, options.backend)
    active, bracket = _between_bounds(cell, stiffnesses, replace(options, backend=backend))
    coefficient = elastic_coefficient(active, {name: stiffnesses[name] for name in active.phase_names}, plane)
    posed = partial(elasticity_problem, active, coefficient, degree=options.degree, backend=backend)
    problem = posed(**further(active, coefficient))
    with unknowns_limited(options.max_dofs):
        correctors = solve_correctors(active, problem, backend=backend, rtol=options.rtol)
    if bracket is None:
        sampled = any(callable(value) for value in stiffnesses.values())
        bracket = replace(
            _upper(active, coefficient, correctors, posed(), guaranteed=not sampled),
            plane=plane,
            unit=options.unit,
            active_phases=tuple(name for name in cell.phase_names if name in stiffnesses),
            config=dict(options.config),
            warnings=active.warnings,
            seconds=cell.seconds,
            **measured(cell),
        )
    seconds = dict(bracket.seconds)
    add_seconds(seconds, correctors.seconds)
    seconds["total"] = sum(cell.seconds.values()) + time.perf_counter() - start
    value = bracket.value  # without a lower bound the energy of the correctors, as it should be
    if bracket.lower is not None and bracket.upper is not None:
        energy = transmitted(active, correctors.average[:-1, :-1])
        value = brackets.clipped(energy, bracket.lower, bracket.upper)
    dofs, iterations = max(bracket.dofs, correctors.dofs), bracket.iterations + correctors.iterations
    tensor = replace(bracket, value=value, dofs=dofs, iterations=iterations, seconds=seconds)
    return active, correctors, tensor


def _between_bounds(
    cell: UnitCell, stiffnesses: Mapping[str, Stiffness], options: CoupledOptions
) -> tuple[UnitCell, EffectiveTensor | None]:
    """The solid, refined towards a tolerance, and its stiffness where bounds are asked for; collective."""
    if not options.bounds and options.tolerance is None:
        return solid_part(cell, stiffnesses), None
    kept = {key.name: getattr(options, key.name) for key in fields(options) if key.name != "bounds"}
    solved = solve_elasticity(cell, stiffnesses, **kept)
    return solved.cell, solved.tensor


def _upper(
    cell: UnitCell, coefficient: fem.Function, correctors: Correctors, elastic: CellProblem, *, guaranteed: bool
) -> EffectiveTensor:
    """The stiffness with its upper bound, where there is one; ``elastic`` is the problem of the strains. Collective."""
    size = elastic.loads
    strains = replace(
        correctors,
        problem=elastic,
        functions=correctors.functions[:size],
        average=correctors.average[:size, :size],
        residual_norms=correctors.residual_norms[:size],
    )
    value = transmitted(cell, strains.average)
    rest: dict[str, Any] = {}
    if cell.order == 1:
        rest["geometric_error"] = elastic_geometric_error(cell, coefficient, strains)
    if guaranteed and cell.affine and cell.periodic_mesh.matching:
        noise = transmitted(cell, noise_of_energy(cell, coefficient, strains, range(size)))
        rest |= {"upper": value + noise, "roundoff": float(np.linalg.norm(noise, 2))}
    return EffectiveTensor(value=value, physics="elasticity", **rest)


def _voigt_strain(name: str, value: Any, d: int) -> Array:
    size = len(PAIRS[d])
    array = np.asarray(value, dtype=np.float64)
    if array.ndim == 0:
        array = np.array([float(array) if i == j else 0.0 for i, j in PAIRS[d]])
    if array.shape != (size,) or not np.all(np.isfinite(array)):
        raise InputError(name, value, f"a finite number, or a Voigt strain of {size} numbers")
    return array


def _stress_of(cell: UnitCell, coefficient: fem.Function, strains: Mapping[str, Array]) -> fem.Function:
    r""":math:`-C\varepsilon` on each mesh cell."""
    function = cell.cell_function(strains)
    size = function.ufl_shape[0]
    moduli = coefficient.x.array.reshape(-1, size, size)
    function.x.array[:] = -np.einsum("nij,nj->ni", moduli, function.x.array.reshape(-1, size)).ravel()
    return function
