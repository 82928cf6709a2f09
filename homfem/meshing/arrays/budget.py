"""How large a mesh becomes, before it is made. Plain numbers; no dolfinx here."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import numpy as np
import numpy.typing as npt

from homfem.limits import require_memory

#: Bytes for each mesh cell while a mesh is made, checked and distributed: measured, rounded up.
BYTES = {"triangle": 1000.0, "tetrahedron": 1500.0, "quadrilateral": 1200.0, "hexahedron": 2500.0}
_SEVERAL = {
    "triangle": "triangles", "tetrahedron": "tetrahedra", "quadrilateral": "quadrilaterals", "hexahedron": "hexahedra",
}  # fmt: skip
_REMEDIES = {
    "resolution": "Choose a larger one.",
    "file": "Let the script make a coarser mesh.",
    "image": "For diffusion method 'grid' takes a fraction of it; else take larger voxels: block_averaged.",
}

_after: ContextVar[float] = ContextVar("after", default=0.0)


def require_cells(name: str, value: Any, kind: str, count: float) -> None:
    """Refuse a parameter with which a mesh would not fit into the memory (:mod:`homfem.limits`).

    Parameters
    ----------
    name, value
        The parameter that decides about it.
    kind
        ``"triangle"``, ``"tetrahedron"``, ``"quadrilateral"`` or ``"hexahedron"``.
    count
        About how many mesh cells there will be.

    Raises
    ------
    MemoryLimitError
    """
    remedy = _REMEDIES.get(name, "Choose a smaller one.")
    each, what = BYTES[kind], f"a mesh of about {count:.2g} {_SEVERAL[kind]}"
    if _after.get() > each:
        each, what = _after.get(), f"{what} and the systems on it"
    require_memory(name, value, each * count, what, remedy)


@contextmanager
def followed_by(each: float) -> Iterator[None]:
    """Refuse meshes in the block on which what is computed afterwards would not fit, with bytes for each mesh cell."""
    token = _after.set(each)
    try:
        yield
    finally:
        _after.reset(token)


def require_filled(name: str, value: Any, sides: npt.ArrayLike, size: float, share: float = 1.0) -> None:
    """Refuse a mesh size with which simplices of one size that fill a box would not fit into the memory.

    Parameters
    ----------
    name, value
        The parameter that decides about it.
    sides
        Of the box, two or three.
    size
        Length of the edges.
    share
        Part of the box that is filled.
    """
    with np.errstate(over="ignore", divide="ignore"):
        boxes = share * float(np.prod(np.asarray(sides, dtype=np.float64) / size))
    kind, several = ("triangle", 2.3) if np.size(sides) == 2 else ("tetrahedron", 7.0)
    require_cells(name, value, kind, several * boxes)
