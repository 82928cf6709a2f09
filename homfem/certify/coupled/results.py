"""The coefficients of coupled elasticity by their own names."""

from __future__ import annotations

from dataclasses import dataclass, replace

from homfem.cells.unitcell import UnitCell
from homfem.certify.physics import CellSolution
from homfem.local.problem import Correctors
from homfem.parameters import Array
from homfem.tensors import EffectiveTensor


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class CoupledElastic:
    """An elastic solid with one more load.

    Parameters
    ----------
    solution
        What was solved.
    """

    solution: CellSolution

    @property
    def tensor(self) -> EffectiveTensor:
        """The stiffness with all further coefficients by name."""
        return self.solution.tensor

    @property
    def stiffness(self) -> EffectiveTensor:
        """:math:`C^*` in Voigt notation, alone."""
        return replace(self.tensor, physics="elasticity", coefficients={})

    @property
    def cell(self) -> UnitCell:
        """The cell that was solved: its solid, refined where a tolerance was asked for."""
        return self.solution.cell

    @property
    def correctors(self) -> Correctors:
        """Of the unit strains and, last, of the further load."""
        return self.solution.correctors

    def _named(self, name: str) -> Array:
        return self.tensor.coefficients[name].value


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class ThermoElastic(CoupledElastic):
    r"""Effective thermoelastic solid: :math:`\Sigma = C^*(E - \alpha^*\theta)`."""

    @property
    def expansion(self) -> Array:
        r""":math:`\alpha^*` as a Voigt strain (engineering shear), per unit of temperature, shape (m,)."""
        return self._named("expansion")

    @property
    def stress(self) -> Array:
        r""":math:`C^*\alpha^*`, the stress that a unit of temperature takes away at zero strain, shape (m,)."""
        return self._named("stress")


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class PoroElastic(CoupledElastic):
    r"""Effective poroelastic solid: :math:`\Sigma = C^*E - b\,p`, :math:`\varphi-\varphi_0 = b\cdot E + p/N`."""

    @property
    def biot(self) -> Array:
        r"""Biot's tensor :math:`b` as a Voigt stress, shape (m,); :math:`b\,I` for an isotropic medium."""
        return self._named("biot")

    @property
    def modulus(self) -> float:
        """Biot's modulus :math:`N` of the pore volume, in the unit of the stiffness."""
        return float(self._named("modulus"))

    @property
    def porosity(self) -> float:
        r""":math:`\varphi_0`, the volume of the voids over that of the period; solid that touches no other is void."""
        return float(self._named("porosity"))

    def storage(self, fluid_bulk: float) -> float:
        r"""Return :math:`1/M = 1/N + \varphi_0/K_f` for a fluid of bulk modulus ``fluid_bulk``."""
        return 1.0 / self.modulus + self.porosity / fluid_bulk


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class ActiveStress(CoupledElastic):
    r"""Macroscopic active stress: :math:`\Sigma = C^*E + s\,T`."""

    @property
    def stress(self) -> Array:
        """:math:`T` as a Voigt stress, shape (m,): what a clamped sample shows, per activation or of the tension."""
        return self._named("stress")

    @property
    def average(self) -> Array:
        """The volume average of the active stress alone, without the elastic relaxation of the cell, shape (m,)."""
        return self._named("average")
