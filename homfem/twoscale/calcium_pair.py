"""What a study of calcium in a resolved network is of, and how it is made."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from homfem.cells.unitcell import UnitCell
from homfem.kinetics.calcium import CalciumKinetics, MembraneKinetics
from homfem.parameters import Array, InputError, check_choice, check_integer, check_number
from homfem.quantities import conversion_factor
from homfem.timestepping import TimeGrid
from homfem.twoscale.problem import as_function
from homfem.twoscale.study import require_type

Concentration = float | Callable[[Array], Array]


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class CalciumPair:
    r"""Calcium in the two phases of a box of periods.

    Parameters
    ----------
    cell
        One period, with both phases; a length in any unit.
    diffusivities
        Of the two phases by name, um^2/s: first the cytosol, then the ER.
    kinetics
        The flux f from the ER into the cytosol per area of membrane, uM um/s, and the states X, which start at rest; or
        named kinetics, whose fluxes per volume of cytosol belong to the membrane by the geometry of the cell.
    side
        Length of the box along x, um.
    initial_cytosol, initial_er
        Concentrations at the start, uM, >= 0: numbers, or functions of points (um, one corner of the box is the
        origin), shape (d, n) -> (n,). With ``strip`` of the first coordinate alone.
    end, step
        Time, s.
    ip3
        IP3, uM, >= 0.
    density
        :math:`\lambda\ge0`.
    strip
        The box has one period across (along y and z), so that :math:`\varepsilon` can be small: what depends on x alone
        depends on x alone in the limit too.
    """

    cell: UnitCell
    diffusivities: Mapping[str, float]
    kinetics: MembraneKinetics | CalciumKinetics
    side: float
    initial_cytosol: Concentration
    initial_er: Concentration
    end: float
    step: float
    ip3: float = 0.0
    density: float = 1.0
    strip: bool = False

    def __post_init__(self) -> None:
        require_type("cell", self.cell, UnitCell)
        if len(self.diffusivities) != 2:
            raise InputError("diffusivities", dict(self.diffusivities), "given for two phases, first the cytosol")
        for name, value in self.diffusivities.items():
            check_choice("diffusivities", name, self.cell.phase_names)
            check_number(f"diffusivities.{name}", value, above=0.0)
        if not isinstance(self.kinetics, (MembraneKinetics, CalciumKinetics)):
            allowed = "homfem.kinetics.calcium.MembraneKinetics or CalciumKinetics"
            raise InputError("kinetics", type(self.kinetics).__name__, allowed)
        check_number("side", self.side, above=0.0)
        check_number("ip3", self.ip3, at_least=0.0)
        check_number("density", self.density, at_least=0.0)
        _ = self.grid, self.unit

    @property
    def grid(self) -> TimeGrid:
        """The time steps."""
        return TimeGrid(end=self.end, step=self.step)

    @property
    def unit(self) -> float:
        """What one mesh unit of the cell is in um."""
        return self.cell.length * conversion_factor(self.cell.length_unit, "um")

    def starts(self) -> dict[str, Callable[[Array], Array]]:
        """Return the concentrations at the start as functions that refuse negative values, by phase."""
        given = zip(self.diffusivities, (self.initial_cytosol, self.initial_er), strict=True)
        return {name: _start(f"initial, {name}", one, self.strip) for name, one in given}


def _start(name: str, given: Concentration, strip: bool) -> Callable[[Array], Array]:
    function = as_function(name, given, ())

    def values(x: Array) -> Array:
        found = function(x)[0]
        if found.size and found.min() < 0.0:
            raise InputError(name, float(found.min()), ">= 0 everywhere, uM")
        if strip:
            flat = x.copy()
            flat[1:] = 0.0
            if found.size and np.abs(function(flat)[0] - found).max() > 1e-12 * np.abs(found).max():
                raise InputError(name, given, "a function of the first coordinate alone", "Or set strip = False.")
        return found

    return values


@dataclass(frozen=True, kw_only=True, slots=True)
class CalciumPairMethod:
    """How a study is made.

    Parameters
    ----------
    margin
        The inside is what is at least this part of the side away from the sides of the box (of a strip: from its ends).
    rtol
        Of the linear solvers.
    max_dofs
        Largest number of unknowns of a network.
    elements
        Elements of the limit along each axis; by default 256 of a strip, 72 in the plane, 24 in space.
    """

    margin: float = 0.25
    rtol: float = 1e-10
    max_dofs: int = 2_000_000
    elements: int | None = None

    def __post_init__(self) -> None:
        check_number("margin", self.margin, above=0.0, below=0.5)
        check_number("rtol", self.rtol, above=0.0, at_most=1e-6)
        check_integer("max_dofs", self.max_dofs, at_least=1)
        if self.elements is not None:
            check_integer("elements", self.elements, at_least=6)
