"""The words of :func:`homfem.certify.solve_electrokinetics`: what is charged, and how well it is to be solved."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields

from homfem.certify.accuracy import Accuracy, AccuracyOptions

#: A number, or one for each name of a phase or a wall.
ByName = float | Mapping[str, float]


class ElectrokineticsOptions(AccuracyOptions, total=False):
    """The words of :class:`ElectrokineticsWords` as keywords of a function."""

    viscosity: float
    permittivity: ByName
    wall_potential: ByName | None
    wall_charge: ByName | None
    fixed_charge: Mapping[str, float]
    temperature: float | None
    preconditioner: str | None
    max_iterations: int
    refine_layers: bool | None


@dataclass(frozen=True, kw_only=True, slots=True)
class ElectrokineticsWords(Accuracy):
    """What is charged, and how well it is to be solved.

    Parameters
    ----------
    viscosity
        Of the fluid, > 0.
    permittivity
        Of the fluid, or of each phase that the field enters, solids too; where a solid has none the field ends.
    wall_potential, wall_charge
        Of the walls: one number for all, or by the name of an interface (``"pore|solid"``). A wall has one of the two,
        or is not charged.
    fixed_charge
        Concentration of fixed elementary charges by phase, signed; what they sit on has no drag.
    temperature
        In K: all numbers are in SI (mol/m^3, m^2/s, Pa s, F/m, V, C/m^2), the cell's length in its unit, and so are the
        results. Without it kT = e = 1, and all is in one system of units with ``cell.length_unit``.
    preconditioner
        ``"multigrid"`` or ``"direct"``; by default direct in 2D and for small cells in 3D.
    max_iterations
        Of MINRES, for each force.
    refine_layers
        Whether mesh cells of the diffuse layers are bisected until they are no thicker than the length of Debye there
        times the degree; by default with a tolerance.
    """

    viscosity: float
    permittivity: ByName
    wall_potential: ByName | None = None
    wall_charge: ByName | None = None
    fixed_charge: Mapping[str, float] = field(default_factory=dict)
    temperature: float | None = None
    preconditioner: str | None = None
    max_iterations: int = 2000
    refine_layers: bool | None = None


#: Those that are not of the accuracy.
OWN = tuple(one.name for one in fields(ElectrokineticsWords) if one.name not in {own.name for own in fields(Accuracy)})
