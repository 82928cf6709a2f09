"""Functions of position as they are written in a config, in the units of a cell."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from homfem.config.functions import FunctionTable
from homfem.config.table import keys_from
from homfem.quantities import conversion_factor

if TYPE_CHECKING:
    from homfem.cells.unitcell import UnitCell


def written_on(cell: UnitCell, table: FunctionTable, unit: str, key: str) -> Written:
    """Return a function of points in mesh units, with values in a unit; ``key``: where it stands, for errors."""
    place = conversion_factor(cell.length_unit, "um") * cell.length
    with keys_from({}, key):
        function = table.function(unit, dimension=cell.dimension, timed=False)
    return Written(expression=table.expression, function=function, place=place)


@dataclass(frozen=True, kw_only=True, slots=True)
class Written:
    """A field as it is written in a config, of points in mesh units; an error shows the expression."""

    expression: Any
    function: Callable[[Any], Any]
    place: float

    def __call__(self, x: Any) -> Any:
        """Return the values at points of shape (d, n)."""
        return self.function(self.place * x)

    def __repr__(self) -> str:
        return repr(self.expression if isinstance(self.expression, str) else list(self.expression))
