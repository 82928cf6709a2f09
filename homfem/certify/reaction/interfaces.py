"""Rates of interfaces by the names that a cell has for them."""

from __future__ import annotations

from collections.abc import Mapping

from homfem.cells.features import facet_names
from homfem.cells.unitcell import UnitCell
from homfem.parameters import InputError, check_number


def check_interfaces(cell: UnitCell, phases: list[str], rates: Mapping[str, float]) -> dict[str, float]:
    """Return the rates by the names that the facets have in the cell.

    Raises
    ------
    InputError
        For a name that is no interface of one of the phases, for one named twice, for a rate that is negative.
    """
    result: dict[str, float] = {}
    for given, name in facet_names("interface_rates", rates, cell.facets).items():
        value = rates[given]
        sides = name.split("|")
        if len(sides) == 2 and not any(side in phases for side in sides):
            raise InputError(f"interface_rates[{given!r}]", value, "on an interface of a phase that carries the solute")
        result[name] = check_number(f"interface_rates[{given!r}]", value, at_least=0.0)
    return result
