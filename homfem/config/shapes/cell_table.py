"""What every table ``[cell]`` has, and the values that shapes share."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

import numpy as np

from homfem.config.table import Check, Table, lengths_of, same_unit
from homfem.parameters import CellError, InputError, Lattice, check_number
from homfem.quantities import LENGTH, Quantity, parse_quantity

if TYPE_CHECKING:
    from homfem.config.physics.effective_table import EffectiveTable


def _period(value: Any) -> tuple[Quantity, ...]:
    if isinstance(value, list):
        return lengths_of(LENGTH, value, (2, 3), "a length, or a list of 2 or 3 lengths, one per axis")
    return (parse_quantity("", value, LENGTH, above=0.0),)


def _vectors(value: Any) -> tuple[Quantity, ...] | tuple[tuple[Quantity, ...], ...]:
    if not isinstance(value, list) or not any(isinstance(row, list) for row in value):
        return _period(value)
    allowed = f"a list of {len(value)} period vectors, each of {len(value)} lengths (2 or 3)"
    if len(value) not in (2, 3):
        raise InputError("", value, "2 or 3 period vectors, or lengths")
    rows = []
    for k, row in enumerate(value):
        if not isinstance(row, list) or len(row) != len(value):
            raise InputError(f"[{k}]", row, allowed)
        rows += [parse_quantity(f"[{k}][{j}]", entry, LENGTH) for j, entry in enumerate(row)]
    flat = same_unit(rows)
    try:
        Lattice(vectors=np.array([entry.value for entry in flat]).reshape(len(value), -1))
    except CellError as error:
        raise InputError("", value, "linearly independent period vectors") from error
    return tuple(flat[k : k + len(value)] for k in range(0, len(flat), len(value)))


def fraction(value: Any) -> float:
    """Return a number in (0, 1), a fraction of the period."""
    return check_number("", value, above=0.0, below=1.0, remedy="It is a fraction of the period.")


_LENGTHS = {"type": ["string", "array"]}
Period = Annotated[tuple[Quantity, ...], Check(_period, says="a length, or a list of one per axis", schema=_LENGTHS)]
#: Lengths as :data:`Period` has them, or the period vectors as rows of lengths.
LatticePeriod = Annotated[
    tuple[Quantity, ...] | tuple[tuple[Quantity, ...], ...],
    Check(_vectors, says="a length, a list of one per axis, or rows of period vectors", schema=_LENGTHS),
]
_FRACTION = {"type": "number", "exclusiveMinimum": 0.0, "exclusiveMaximum": 1.0}
Fraction = Annotated[float, Check(fraction, says="a number > 0 and < 1, a fraction of the period", schema=_FRACTION)]


class CellTable(Table):
    """What every cell has."""

    #: Numbers of dimensions in which the period may be given as period vectors.
    vector_dimensions: ClassVar[tuple[int, ...]] = ()

    #: The function that meshes it, ``"package.module:function"``, called with the table, the communicator and the
    #: folder of its files: by default it calls :attr:`maker`, which takes :meth:`arguments` and the communicator.
    runner: ClassVar[str] = "homfem.runs.shapes:made"
    maker: ClassVar[str]
    #: The function of :attr:`methods`, called with the cell's table, that of ``[effective]``, the folder of files, and
    #: whether the fields are to be drawn; it returns a solution with a ``tensor``.
    meshless_runner: ClassVar[str] = ""

    def arguments(self) -> dict[str, Any]:
        """Return the arguments of :attr:`maker`."""
        return {}

    @property
    def argument_keys(self) -> Mapping[str, str]:
        """Keys of the config by the arguments of :attr:`maker`, where these differ."""
        return {}

    @property
    def known_phases(self) -> tuple[str, ...] | None:
        """Names of the phases, if they are known before the cell is made."""
        return None

    @property
    def known_dimension(self) -> int | None:
        """Number of space dimensions, if it is known before the cell is made."""
        return None

    @property
    def methods(self) -> tuple[str, ...]:
        """Methods for diffusion that need no mesh and that this shape allows, beside the finite elements."""
        return ()

    def suited_to(self, effective: EffectiveTable) -> CellTable:
        """Return the cell with what the table ``[effective]`` asks of its mesh."""
        return self

    def check_effective(self, effective: EffectiveTable) -> None:
        """Refuse keys of the cell that do not go with the table ``[effective]``."""


def written(period: tuple[Quantity, ...] | tuple[tuple[Quantity, ...], ...]) -> list[str | list[str]]:
    """Return periods, or period vectors, as a message shows them."""
    return [str(p) if isinstance(p, Quantity) else [str(entry) for entry in p] for p in period]


def sizes(
    period: tuple[Quantity, ...] | tuple[tuple[Quantity, ...], ...] | None, resolution: float | None
) -> dict[str, Any]:
    """Return the arguments of a mesher for what is given; its own defaults stand for the rest."""
    given: dict[str, Any] = {} if resolution is None else {"resolution": resolution}
    if period is not None:
        rows = [entry for entry in period if isinstance(entry, tuple)]
        if rows:
            vectors = [[entry.value for entry in row] for row in rows]
            return given | {"period": Lattice(vectors=np.array(vectors)), "length_unit": rows[0][0].unit}
        lengths = [entry for entry in period if isinstance(entry, Quantity)]
        values = [entry.value for entry in lengths]
        given |= {"period": values[0] if len(values) == 1 else values, "length_unit": lengths[0].unit}
    return given
