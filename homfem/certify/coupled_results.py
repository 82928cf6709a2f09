"""What coupled elasticity takes and gives: options, and a stiffness with its further coefficients."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from homfem.cells.unitcell import UnitCell
from homfem.coefficients import NamedCoefficient
from homfem.kinds import STIFFNESS
from homfem.local.problem import Correctors
from homfem.parameters import Array, check_integer, check_number
from homfem.tensors import EffectiveTensor


@dataclass(frozen=True, kw_only=True, slots=True)
class CoupledOptions:
    """What the three functions share.

    Parameters
    ----------
    tolerance
        Relative half-gap of the stiffness to reach by refinement; None: the mesh is used as it is.
    max_dofs
        As in :func:`homfem.certify.solve_elasticity`.
    bounds
        Whether the stiffness has a lower bound too, which takes most of the time; with a tolerance it has.
    degree
        Of the displacement, 1 to 4.
    plane
        Of a cell in 2D, see :func:`homfem.certify.solve_elasticity`.
    unit
        Unit of the stiffnesses, for the result.
    rtol, backend
        See :func:`homfem.local.engine.solve_correctors`; the backend by default the one that the cell needs.
    config
        The input that led here, kept in the result.
    """

    tolerance: float | None = None
    max_dofs: int | None = None
    bounds: bool = False
    degree: int = 2
    plane: str | None = None
    unit: str = ""
    rtol: float = 1e-9
    backend: str | None = None
    config: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        STIFFNESS.check_unit(self.unit)
        check_integer("degree", self.degree, at_least=1, at_most=4)
        check_number("rtol", self.rtol, above=0.0, at_most=1e-4)
        if self.max_dofs is not None:
            check_integer("max_dofs", self.max_dofs, at_least=1)


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
    cell
        The cell that was solved: its solid, refined where a tolerance was asked for.
    correctors
        Of the unit strains and, last, of the temperature.
    temperature_unit
        Unit of temperature, for the result.
    """

    stiffness: EffectiveTensor
    expansion: Array
    stress: Array
    cell: UnitCell
    correctors: Correctors
    temperature_unit: str = ""

    @property
    def tensor(self) -> EffectiveTensor:
        """The stiffness with ``expansion`` and ``stress`` as further coefficients."""
        kelvin, unit = self.temperature_unit, self.stiffness.unit
        return _further(
            self.stiffness,
            "thermoelasticity",
            expansion=(self.expansion, f"1/{kelvin}" if kelvin else "", "strain"),
            stress=(self.stress, f"{unit}/{kelvin}" if unit and kelvin else "", "stress"),
        )


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
        :math:`\varphi_0`, the volume of the voids over that of the period; solid that touches no other counts as void.
    cell
        The cell that was solved: its solid, refined where a tolerance was asked for.
    correctors
        Of the unit strains and, last, of the pressure.
    fluid_bulk
        Bulk modulus of the fluid, in the unit of the stiffness, if it is known.
    """

    stiffness: EffectiveTensor
    biot: Array
    modulus: float
    porosity: float
    cell: UnitCell
    correctors: Correctors
    fluid_bulk: float | None = None

    @property
    def tensor(self) -> EffectiveTensor:
        """The stiffness with ``biot``, ``modulus``, ``porosity`` and ``storage`` (of a fluid) beside it."""
        unit = self.stiffness.unit
        given: dict[str, tuple[Any, str, str]] = {
            "biot": (self.biot, "", "stress"),
            "modulus": (self.modulus, unit, "scalar"),
            "porosity": (self.porosity, "", "scalar"),
        }
        if self.fluid_bulk is not None:
            below = f"({unit})" if "/" in unit else unit
            given["storage"] = (self.storage(self.fluid_bulk), f"1/{below}" if unit else "", "scalar")
        return _further(self.stiffness, "poroelasticity", **given)

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
        :math:`T` as a Voigt stress: what a clamped sample shows, per unit of activation, or of the ``tension``.
    average : array, shape (m,)
        The volume average of the active stress alone, without the elastic relaxation of the cell.
    cell
        The cell that was solved: its solid, refined where a tolerance was asked for.
    correctors
        Of the unit strains and, last, of the activation, which is one.
    tension
        Active stress of the phase, in the unit of the stiffness; None: per unit of activation.
    """

    stiffness: EffectiveTensor
    stress: Array
    average: Array
    cell: UnitCell
    correctors: Correctors
    tension: float | None = None

    @property
    def tensor(self) -> EffectiveTensor:
        """The stiffness with ``stress`` and ``average`` as further coefficients."""
        unit = "" if self.tension is None else self.stiffness.unit
        given = {"stress": (self.stress, unit, "stress"), "average": (self.average, unit, "stress")}
        return _further(self.stiffness, "active-stress", **given)


def _further(stiffness: EffectiveTensor, physics: str, **given: tuple[Any, str, str]) -> EffectiveTensor:
    """The stiffness under another physics with coefficients: of each the value, the unit and the basis."""
    coefficients = {
        name: NamedCoefficient(value=np.asarray(value), unit=unit, basis=basis)
        for name, (value, unit, basis) in given.items()
    }
    return replace(stiffness, physics=physics, coefficients=coefficients)
