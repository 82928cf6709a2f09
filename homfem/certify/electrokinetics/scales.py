r"""From the units of the input to mesh units with kT = e = 1, and back.

With the length l of a mesh unit, a concentration :math:`c_0`, a diffusivity :math:`D_0` and the thermal voltage
:math:`V_T=RT/F` the reduced numbers are

.. math:: \varepsilon'=\frac{\varepsilon V_T}{Fc_0l^2},\quad \psi'=\frac{\psi}{V_T},\quad \sigma'=\frac{\sigma}{Fc_0l},
          \quad \eta'=\frac{\eta D_0}{RTc_0l^2},\quad D'=\frac D{D_0},\quad c'=\frac c{c_0} ,

and of the matrix of Onsager :math:`L_{00}=\frac{D_0}{RTc_0}L_{00}'`, :math:`L_{0i}=\frac{D_0}{RT}L_{0i}'`,
:math:`L_{ij}=\frac{D_0c_0}{RT}L_{ij}'`. In units with kT = e = 1, F and RT are 1.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from homfem.cells.unitcell import UnitCell
from homfem.electrolytes.ions import FARADAY, GAS, Ion
from homfem.parameters import Array
from homfem.quantities import LENGTH, check_unit, conversion_factor


@dataclass(frozen=True, kw_only=True, slots=True)
class Scales:
    """What the reduced numbers are multiples of; ``energy`` is RT per mole (or kT = 1), ``charge`` F (or e = 1)."""

    length: float
    concentration: float
    diffusivity: float
    energy: float = 1.0
    charge: float = 1.0

    @classmethod
    def of(cls, cell: UnitCell, ions: Sequence[Ion], diffusivity: float, temperature: float | None) -> Scales:
        """Return those of a cell; with a temperature in SI."""
        largest = max(ion.bath for ion in ions)
        if temperature is None:
            return cls(length=cell.length, concentration=largest, diffusivity=diffusivity)
        metre = conversion_factor(check_unit("cell.length_unit", cell.length_unit, LENGTH), "m")
        return cls(
            length=cell.length * metre,
            concentration=largest,
            diffusivity=diffusivity,
            energy=GAS * temperature,
            charge=FARADAY,
        )

    @property
    def voltage(self) -> float:
        """The thermal voltage."""
        return self.energy / self.charge

    @property
    def permittivity(self) -> float:
        """What a permittivity of 1 in reduced numbers is."""
        return self.charge * self.concentration * self.length**2 / self.voltage

    @property
    def surface_charge(self) -> float:
        """The same of a charge per area."""
        return self.charge * self.concentration * self.length

    @property
    def viscosity(self) -> float:
        """The same of a viscosity."""
        return self.energy * self.concentration * self.length**2 / self.diffusivity

    def onsager(self, ions: int, d: int) -> Array:
        """Return the factors of the entries of Onsager's matrix, shape (d (1 + N), d (1 + N))."""
        side = np.concatenate([[1.0 / self.concentration], np.ones(ions)])
        small = self.diffusivity * self.concentration / self.energy * np.outer(side, side)
        return np.asarray(np.kron(small, np.ones((d, d))))
