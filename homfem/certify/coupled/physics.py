r"""Thermoelasticity, poroelasticity and active stress: an elastic cell with one more load.

The stiffness is the energy of the conforming corrector, an upper bound of the true one on straight meshes
(:mod:`homfem.local.elasticity`), with which the relations of Levin and of Biot hold exactly on any mesh; with
``bounds`` or a ``tolerance`` there is the lower bound of :mod:`homfem.certify.elasticity` as well, and the energy lies
between the two. The other coefficients have no guarantee.

Source: Levin 1967 and Rosen, Hashin 1970, doi 10.1016/0020-7225(70)90066-2 (thermal expansion); Dormieux, Kondo, Ulm
2006, Microporomechanics, chapter 5 (pressure).
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Self

import numpy as np
import numpy.typing as npt
from dolfinx import fem

from homfem import brackets, solve
from homfem.cells.unitcell import UnitCell
from homfem.certify.accuracy import Accuracy, Plan
from homfem.certify.elasticity import Elasticity, transmitted
from homfem.coefficients import NamedCoefficient
from homfem.local.problem import Correctors
from homfem.parameters import Array, InputError, PercolationError, check_choice, check_number
from homfem.quantities import EXPANSION, check_unit
from homfem.stiffness import PAIRS
from homfem.tensors import EffectiveTensor


@dataclass(frozen=True, kw_only=True, slots=True)
class CoupledElasticity(Elasticity):
    """Elasticity with one more load, of a periodic cell that is solved whole."""

    def prepared(self, cell: UnitCell, accuracy: Accuracy) -> tuple[Self, Plan]:
        """Refuse what does not go together; a lower bound, which takes most of the time, is made where it is needed."""
        check_choice("boundary", self.boundary, ("periodic",))
        accuracy.allow_symmetry(False, f"for {self.name}")
        bounds = bool(accuracy.bounds) or accuracy.tolerance is not None
        # super() does not know the class of a dataclass with slots
        return Elasticity.prepared(self, cell, replace(accuracy, bounds=bounds))

    @abstractmethod
    def further(self, cell: UnitCell, correctors: Correctors) -> dict[str, tuple[Any, str, str]]:
        """Return the further coefficients by name, with their units and bases; collective."""

    def completed(self, stiffness: EffectiveTensor, cell: UnitCell, correctors: Correctors) -> EffectiveTensor:
        """Return the stiffness, its value the energy of the correctors, with the further coefficients; collective."""
        value = stiffness.value
        if stiffness.lower is not None and stiffness.upper is not None:
            energy = transmitted(cell, correctors.average[:-1, :-1])
            value = brackets.clipped(energy, stiffness.lower, stiffness.upper)
        coefficients = {
            name: NamedCoefficient(value=np.asarray(entry), unit=unit, basis=basis)
            for name, (entry, unit, basis) in self.further(cell, correctors).items()
        }
        return replace(stiffness, value=value, coefficients=coefficients)


@dataclass(frozen=True, kw_only=True, slots=True)
class Thermoelasticity(CoupledElasticity):
    """Elasticity with thermal expansion; see :func:`homfem.certify.solve_thermoelasticity` for the parameters."""

    name: ClassVar[str] = "thermoelasticity"

    expansions: Mapping[str, float | npt.ArrayLike]
    temperature_unit: str = ""

    def prepared(self, cell: UnitCell, accuracy: Accuracy) -> tuple[Self, Plan]:
        """Refuse a solid phase without expansion, and what elasticity refuses."""
        if self.temperature_unit:
            check_unit("temperature_unit", f"1/({self.temperature_unit})", EXPANSION)
        for name in self.stiffnesses:
            self._strain(name, cell.dimension)
        return CoupledElasticity.prepared(self, cell, accuracy)

    def _strain(self, name: str, d: int) -> Array:
        return _voigt_strain(f"expansions[{name!r}]", self.expansions.get(name), d)

    def active(self, cell: UnitCell) -> UnitCell:
        """Return the solid, which must be connected in every direction; collective."""
        active = CoupledElasticity.active(self, cell)
        if len(active.whole.span(active.lattice)) < cell.dimension:
            remedy = "What it expands in a direction without is not determined."
            raise PercolationError("stiffnesses", active.phase_names, "connected in every direction", remedy)
        return active

    def further_loads(self, cell: UnitCell, coefficient: fem.Function) -> dict[str, Any]:
        """Return the stress that the unit of temperature takes away."""
        strains = {name: self._strain(name, cell.dimension) for name in cell.phase_names}
        return {"eigenstresses": [_stress_of(cell, coefficient, strains)]}

    def further(self, cell: UnitCell, correctors: Correctors) -> dict[str, tuple[Any, str, str]]:
        """Return ``expansion`` and ``stress``."""
        kelvin, unit = self.temperature_unit, self.unit
        stress = -correctors.average[:-1, -1]
        return {
            "expansion": (
                np.linalg.solve(correctors.average[:-1, :-1], stress),
                f"1/{kelvin}" if kelvin else "",
                "strain",
            ),
            "stress": (stress, f"{unit}/{kelvin}" if unit and kelvin else "", "stress"),
        }

    def completed(self, stiffness: EffectiveTensor, cell: UnitCell, correctors: Correctors) -> EffectiveTensor:
        """Return the tensor, and say what an expansion is in plane strain; collective."""
        tensor = CoupledElasticity.completed(self, stiffness, cell, correctors)
        if self.plane != "strain" or all(np.ndim(self.expansions[name]) for name in self.stiffnesses):
            return tensor
        note = "expansions are strains in the plane while none is let out of it: (1 + nu) times that of a free solid"
        return replace(tensor, warnings=(*tensor.warnings, note))


@dataclass(frozen=True, kw_only=True, slots=True)
class Poroelasticity(CoupledElasticity):
    """Elasticity with a pressure in the voids; see :func:`homfem.certify.solve_poroelasticity` for the parameters."""

    name: ClassVar[str] = "poroelasticity"

    fluid_bulk: float | None = None

    def prepared(self, cell: UnitCell, accuracy: Accuracy) -> tuple[Self, Plan]:
        """Refuse a cell without voids, and what elasticity refuses."""
        if self.fluid_bulk is not None:
            check_number("fluid_bulk", self.fluid_bulk, above=0.0)
        if self._named_voids(cell) <= 1e-12:
            allowed = "given for some phases only"
            raise InputError("stiffnesses", sorted(self.stiffnesses), allowed, "Voids are left out.")
        return CoupledElasticity.prepared(self, cell, accuracy)

    def _named_voids(self, cell: UnitCell) -> float:
        return float(1.0 - sum(cell.volume_fractions.get(name, 0.0) for name in self.stiffnesses))

    def further_loads(self, cell: UnitCell, coefficient: fem.Function) -> dict[str, Any]:
        """Return the pressure in the voids."""
        return {"pressure": True}

    def further(self, cell: UnitCell, correctors: Correctors) -> dict[str, tuple[Any, str, str]]:
        """Return ``biot``, ``modulus``, ``porosity`` and, of a fluid, ``storage``."""
        modulus, porosity, unit = -1.0 / correctors.average[-1, -1], self._porosity(cell), self.unit
        found: dict[str, tuple[Any, str, str]] = {
            "biot": (-correctors.average[:-1, -1], "", "stress"),
            "modulus": (modulus, unit, "scalar"),
            "porosity": (porosity, "", "scalar"),
        }
        if self.fluid_bulk is not None:
            below = f"({unit})" if "/" in unit else unit
            found["storage"] = (1.0 / modulus + porosity / self.fluid_bulk, f"1/{below}" if unit else "", "scalar")
        return found

    def _porosity(self, cell: UnitCell) -> float:
        """The volume that is no part of the solid as it is solved: islands float in the fluid."""
        porosity = self._named_voids(cell)
        islands = 1.0 - porosity - solve.volume(cell.mesh) / cell.lattice.volume
        return porosity + islands if islands > 1e-12 else porosity

    def completed(self, stiffness: EffectiveTensor, cell: UnitCell, correctors: Correctors) -> EffectiveTensor:
        """Return the tensor, and say which solid was taken for fluid; collective."""
        tensor = CoupledElasticity.completed(self, stiffness, cell, correctors)
        islands = float(tensor.coefficients["porosity"].value) - self._named_voids(cell)
        if islands == 0.0:
            return tensor
        note = f"solid that touches no other, {islands:.3g} of the volume, is taken for a part of the fluid"
        return replace(tensor, warnings=(*tensor.warnings, note))


@dataclass(frozen=True, kw_only=True, slots=True)
class ActiveElasticity(CoupledElasticity):
    """Elasticity with a phase that contracts; see :func:`homfem.certify.solve_active_stress` for the parameters."""

    name: ClassVar[str] = "active-stress"

    active_phase: str
    direction: npt.ArrayLike
    tension: float | None = None

    def prepared(self, cell: UnitCell, accuracy: Accuracy) -> tuple[Self, Plan]:
        """Refuse a phase without stiffness, a direction of another dimension, and what elasticity refuses."""
        stiff = [name for name in cell.phase_names if name in self.stiffnesses]
        check_choice("active_phase", self.active_phase, stiff)
        fibre, d = np.asarray(self.direction, dtype=np.float64), cell.dimension
        if fibre.shape != (d,) or not np.all(np.isfinite(fibre)) or np.linalg.norm(fibre) == 0.0:
            raise InputError("direction", self.direction, f"a vector of {d} numbers, not zero")
        if self.tension is not None:
            check_number("tension", self.tension)
        unit = replace(self, direction=fibre / np.linalg.norm(fibre))
        return CoupledElasticity.prepared(unit, cell, accuracy)

    def active(self, cell: UnitCell) -> UnitCell:
        """Return the solid, of which the active phase must be a part; collective."""
        active = CoupledElasticity.active(self, cell)
        check_choice("active_phase", self.active_phase, active.phase_names)
        return active

    def _own(self, cell: UnitCell) -> Array:
        r""":math:`f\otimes f` as a Voigt stress."""
        fibre = np.asarray(self.direction)
        return np.array([fibre[i] * fibre[j] for i, j in PAIRS[cell.dimension]])

    def further_loads(self, cell: UnitCell, coefficient: fem.Function) -> dict[str, Any]:
        """Return the unit active stress."""
        own = self._own(cell)
        stresses = {name: own if name == self.active_phase else np.zeros_like(own) for name in cell.phase_names}
        return {"eigenstresses": [cell.cell_function(stresses)]}

    def further(self, cell: UnitCell, correctors: Correctors) -> dict[str, tuple[Any, str, str]]:
        """Return ``stress`` and ``average``."""
        pull, unit = (1.0, "") if self.tension is None else (self.tension, self.unit)
        return {
            "stress": (pull * correctors.average[:-1, -1], unit, "stress"),
            "average": (pull * cell.volume_fractions[self.active_phase] * self._own(cell), unit, "stress"),
        }


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
