r"""Thermoelasticity, poroelasticity and active stress: an elastic cell with one more load.

The stiffness is the energy of the conforming corrector, an upper bound of the true one on straight meshes
(:mod:`homfem.local.elasticity`); the other coefficients have no guarantee.

Source: Levin 1967 and Rosen, Hashin 1970, doi 10.1016/0020-7225(70)90066-2 (thermal expansion); Dormieux, Kondo, Ulm
2006, Microporomechanics, chapter 5 (pressure).
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from dolfinx import fem

from homfem.cells.unitcell import UnitCell
from homfem.certify.elasticity import solid_part
from homfem.certify.loop import measured
from homfem.local.elasticity import Stiffness, elastic_coefficient, elasticity_problem
from homfem.local.engine import solve_correctors
from homfem.local.problem import Correctors
from homfem.parameters import Array, InputError, check_choice
from homfem.stiffness import PAIRS
from homfem.tensors import EffectiveTensor


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class ThermoElastic:
    r"""Effective thermoelastic solid: :math:`\Sigma = C^*(E - \alpha^*\theta)`.

    Parameters
    ----------
    stiffness
        :math:`C^*` in Voigt notation.
    expansion : array, shape (m,)
        :math:`\alpha^*` as a Voigt strain (engineering shear), per unit of temperature.
    stress : array, shape (m,)
        :math:`C^*\alpha^*`, the stress that a unit of temperature takes away at zero strain.
    correctors
        Of the unit strains and, last, of the temperature.
    """

    stiffness: EffectiveTensor
    expansion: Array
    stress: Array
    correctors: Correctors


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class PoroElastic:
    r"""Effective poroelastic solid, drained: :math:`\Sigma = C^*E - b\,p`, :math:`\varphi-\varphi_0 = b\cdot E + p/N`.

    Parameters
    ----------
    stiffness
        :math:`C^*`, drained, in Voigt notation.
    biot : array, shape (m,)
        Biot's tensor :math:`b` as a Voigt stress; :math:`b\,I` for an isotropic medium.
    modulus : float
        Biot's modulus :math:`N` of the pore volume, in the unit of the stiffness.
    porosity : float
        :math:`\varphi_0`, the volume of the voids over that of the period.
    correctors
        Of the unit strains and, last, of the pressure.
    """

    stiffness: EffectiveTensor
    biot: Array
    modulus: float
    porosity: float
    correctors: Correctors

    def storage(self, fluid_bulk: float) -> float:
        r"""Return :math:`1/M = 1/N + \varphi_0/K_f` for a fluid of bulk modulus ``fluid_bulk``."""
        return 1.0 / self.modulus + self.porosity / fluid_bulk


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class ActiveStress:
    r"""Macroscopic active stress: :math:`\Sigma = C^*E + s\,T`.

    Parameters
    ----------
    stiffness
        :math:`C^*` in Voigt notation.
    stress : array, shape (m,)
        :math:`T` per unit of activation, as a Voigt stress: what a clamped sample shows.
    average : array, shape (m,)
        The volume average of the active stress alone, without the elastic relaxation of the cell.
    correctors
        Of the unit strains and, last, of the activation.
    """

    stiffness: EffectiveTensor
    stress: Array
    average: Array
    correctors: Correctors


def homogenize_thermoelasticity(
    cell: UnitCell,
    stiffnesses: Mapping[str, Stiffness],
    expansions: Mapping[str, float | npt.ArrayLike],
    *,
    degree: int = 2,
    unit: str = "",
    rtol: float = 1e-9,
    backend: str = "identified",
) -> ThermoElastic:
    r"""Return the effective stiffness and thermal expansion of a cell; collective.

    Parameters
    ----------
    cell
        The unit cell; phases without stiffness are voids.
    stiffnesses
        For each solid phase, see :func:`homfem.local.elasticity.elastic_coefficient`; in ``unit``.
    expansions
        For each solid phase its thermal strain per unit of temperature: a number (isotropic) or a Voigt strain. In 2D,
        plane strain, it is the strain in the plane while none is let out of it: :math:`(1+\nu)\alpha` for an isotropic
        solid of linear expansion :math:`\alpha`.
    degree, rtol, backend
        See :func:`homfem.local.elasticity.elasticity_problem` and :func:`homfem.local.engine.solve_correctors`.
    unit
        Unit of the stiffnesses, for the result.
    """
    active = solid_part(cell, stiffnesses)
    coefficient = elastic_coefficient(active, stiffnesses)
    strains = {}
    for name in active.phase_names:
        if name not in expansions:
            raise InputError(f"expansions[{name!r}]", None, "given for every solid phase")
        strains[name] = _voigt_strain(f"expansions[{name!r}]", expansions[name], cell.dimension)
    thermal = _stress_of(active, coefficient, strains)
    correctors, tensor = _solve(cell, active, coefficient, degree, rtol, backend, unit, eigenstresses=[thermal])
    stress = -correctors.average[:-1, -1]
    expansion = np.asarray(np.linalg.solve(tensor.value, stress), dtype=np.float64)
    return ThermoElastic(stiffness=tensor, expansion=expansion, stress=stress, correctors=correctors)


def homogenize_poroelasticity(
    cell: UnitCell,
    stiffnesses: Mapping[str, Stiffness],
    *,
    degree: int = 2,
    unit: str = "",
    rtol: float = 1e-9,
    backend: str = "identified",
) -> PoroElastic:
    """Return the drained stiffness, Biot's tensor and Biot's modulus of a cell with voids; collective.

    Parameters
    ----------
    cell
        The unit cell; phases without stiffness are voids, filled with a fluid of one pressure.
    stiffnesses
        For each solid phase, see :func:`homfem.local.elasticity.elastic_coefficient`; in ``unit``.
    degree, rtol, backend, unit
        As in :func:`homogenize_thermoelasticity`.

    Raises
    ------
    InputError
        If the cell has no voids.
    """
    active = solid_part(cell, stiffnesses)
    porosity = 1.0 - sum(active.volume_fractions[name] for name in active.phase_names)
    if porosity <= 1e-12:
        raise InputError("stiffnesses", sorted(stiffnesses), "given for some phases only", "Voids are left out.")
    coefficient = elastic_coefficient(active, stiffnesses)
    correctors, tensor = _solve(cell, active, coefficient, degree, rtol, backend, unit, pressure=True)
    return PoroElastic(
        stiffness=tensor,
        biot=-correctors.average[:-1, -1],
        modulus=float(-1.0 / correctors.average[-1, -1]),
        porosity=float(porosity),
        correctors=correctors,
    )


def homogenize_active_stress(
    cell: UnitCell,
    stiffnesses: Mapping[str, Stiffness],
    active_phase: str,
    direction: npt.ArrayLike,
    *,
    degree: int = 2,
    unit: str = "",
    rtol: float = 1e-9,
    backend: str = "identified",
) -> ActiveStress:
    r"""Return the macroscopic stress of a unit active stress :math:`f\otimes f` in one phase; collective.

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
    degree, rtol, backend, unit
        As in :func:`homogenize_thermoelasticity`.
    """
    active = solid_part(cell, stiffnesses)
    check_choice("active_phase", active_phase, active.phase_names)
    d = cell.dimension
    fibre = np.asarray(direction, dtype=np.float64)
    if fibre.shape != (d,) or not np.all(np.isfinite(fibre)) or np.linalg.norm(fibre) == 0.0:
        raise InputError("direction", direction, f"a vector of {d} numbers, not zero")
    fibre = fibre / np.linalg.norm(fibre)
    unit_stress = np.array([fibre[i] * fibre[j] for i, j in PAIRS[d]])
    zero = np.zeros_like(unit_stress)
    stress = active.cell_function({name: unit_stress if name == active_phase else zero for name in active.phase_names})
    coefficient = elastic_coefficient(active, stiffnesses)
    correctors, tensor = _solve(cell, active, coefficient, degree, rtol, backend, unit, eigenstresses=[stress])
    return ActiveStress(
        stiffness=tensor,
        stress=correctors.average[:-1, -1],
        average=active.volume_fractions[active_phase] * unit_stress,
        correctors=correctors,
    )


def _solve(
    cell: UnitCell,
    active: UnitCell,
    coefficient: fem.Function,
    degree: int,
    rtol: float,
    backend: str,
    unit: str,
    *,
    eigenstresses: Sequence[fem.Function] = (),
    pressure: bool = False,
) -> tuple[Correctors, EffectiveTensor]:
    start = time.perf_counter()
    problem = elasticity_problem(
        active, coefficient, degree=degree, eigenstresses=eigenstresses, pressure=pressure, backend=backend
    )
    correctors = solve_correctors(active, problem, backend=backend, rtol=rtol)
    strains = len(PAIRS[cell.dimension])
    value = correctors.average[:strains, :strains]
    seconds: dict[str, Any] = dict(cell.seconds) | dict(correctors.seconds)
    tensor = EffectiveTensor(
        value=value,
        upper=value if cell.order == 1 else None,
        unit=unit,
        physics="elasticity",
        active_phases=active.phase_names,
        **measured(cell),
        warnings=active.warnings,
        dofs=correctors.dofs,
        iterations=correctors.iterations,
        seconds=seconds | {"total": sum(cell.seconds.values()) + time.perf_counter() - start},
    )
    return correctors, tensor


def _voigt_strain(name: str, value: float | npt.ArrayLike, d: int) -> Array:
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
