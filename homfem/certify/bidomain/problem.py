"""A cell of heart muscle for its two conductivities: which phases are inside, what its junctions resist."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import ufl
from dolfinx import fem
from dolfinx import mesh as dmesh

from homfem import solve
from homfem.cells.features import PERIOD, facet_names
from homfem.cells.unitcell import UnitCell
from homfem.local.diffusion import Coefficient
from homfem.parameters import InputError, UnitError, check_choice, check_number
from homfem.quantities import LENGTH, check_unit, conversion_factor
from homfem.tensors.bidomain import AREA_UNIT, UNIT

INTRACELLULAR, EXTRACELLULAR, JUNCTION = "intracellular", "extracellular", "junction"
#: The faces of the junctions, where nothing else is named.
FACES = f"{INTRACELLULAR}|{JUNCTION}"
MEMBRANE = f"{INTRACELLULAR}|{EXTRACELLULAR}"
#: A resistance, or one for each group of faces.
Resistance = float | Mapping[str, float]


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Tissue:
    """What conducts inside of the cells and outside.

    Parameters
    ----------
    cell
        The whole cell.
    inside, outside
        The conductivity of each phase on either side of the membrane.
    area
        That of the membrane, in 1/mm.
    """

    cell: UnitCell
    inside: Mapping[str, Coefficient]
    outside: Mapping[str, Coefficient]
    area: float

    def resistances(self, given: Resistance) -> dict[str, float]:
        """Return the resistance of each group of faces, in kOhm mm^2; none where there are no junctions.

        Raises
        ------
        InputError
            For a resistance that is negative, for one of some faces but not of others that are zero, and for a name
            that is no group of faces or that is given twice.
        """
        if not isinstance(given, Mapping):
            value = check_number("resistance", given, at_least=0.0, remedy="Of a junction, per area, in kOhm mm^2.")
            if value > 0.0 and FACES not in self.cell.facets:
                remedy = "Name the faces of its junctions, such as {'junction|intracellular': 0.15}."
                raise InputError("resistance", given, "0 for a cell without junctions", remedy)
            return {FACES: value} if FACES in self.cell.facets else {}
        found = {
            own: check_number(f"resistance[{name!r}]", given[name], at_least=0.0)
            for name, own in facet_names("resistance", given, self.cell.facets).items()
        }
        if any(found.values()) and not all(found.values()):
            zero = next(name for name, value in found.items() if value == 0.0)
            raise InputError(
                f"resistance[{zero!r}]", 0.0, "> 0 beside faces that resist", "A thousandth of the others is next to 0."
            )
        return found

    def permeabilities(self, resistances: Mapping[str, float]) -> dict[str, float]:
        """Return the permeability of the faces, in mS/mm per unit of length: a junction has two in series."""
        factor = conversion_factor("mS/mm^2", f"{UNIT}/({self.cell.length_unit})")
        return {name: 2.0 * factor / value for name, value in resistances.items() if value > 0.0}


def tissue_of(cell: UnitCell, conductivities: Mapping[str, Coefficient], membrane: str) -> Tissue:
    """Return a cell with its conductivities inside and outside; collective.

    Raises
    ------
    InputError
        For a cell that lacks a phase, a conductivity that is missing, a membrane that is none of its interfaces.
    UnitError
        If the unit of length of the cell is not known.
    """
    try:
        check_unit("length_unit", cell.length_unit, LENGTH)
    except UnitError as error:
        raise UnitError(
            "cell.length_unit", cell.length_unit, "a unit of length", "The area of the membrane has it."
        ) from error
    cell.require_whole()
    inside, outside = sides(cell, conductivities)
    return Tissue(cell=cell, inside=inside, outside=outside, area=_membrane_area(cell, membrane))


def sides(
    cell: UnitCell, conductivities: Mapping[str, Coefficient], name: str = "conductivities"
) -> tuple[dict[str, Coefficient], dict[str, Coefficient]]:
    """Return the conductivities of the phases inside and outside; a junction without one has that of the cells.

    Raises
    ------
    InputError
        For a cell that lacks a phase, a conductivity that is missing.
    """
    for phase in (INTRACELLULAR, EXTRACELLULAR):
        if phase not in cell.phase_names:
            raise InputError(
                "cell", cell.phase_names, f"a cell with the phase {phase!r}, such as homfem.cells.myocyte()"
            )
        if phase not in conductivities:
            raise InputError(f"{name}[{phase!r}]", None, "given, in mS/mm")
    for phase in conductivities:
        check_choice(name, phase, cell.phase_names)
    inside = {phase: value for phase, value in conductivities.items() if phase != EXTRACELLULAR}
    if JUNCTION in cell.phase_names:
        inside.setdefault(JUNCTION, conductivities[INTRACELLULAR])
    return inside, {EXTRACELLULAR: conductivities[EXTRACELLULAR]}


def _membrane_area(cell: UnitCell, membrane: str) -> float:
    """The area of a group of inner facets per volume, in 1/mm; collective."""
    known = [name for name in cell.facets if not name.startswith(PERIOD)]
    check_choice("membrane", membrane, known)
    mesh, d = cell.mesh, cell.dimension
    facets = cell.facets[membrane]
    tags = dmesh.meshtags(mesh, d - 1, facets, facets * 0 + 1)
    one = fem.Constant(mesh, 1.0)
    area = solve.integrate(one("+") * ufl.Measure("dS", mesh, subdomain_data=tags)(1))
    per = area / cell.lattice.volume / cell.length
    return per * conversion_factor(f"1/({cell.length_unit})", AREA_UNIT)
