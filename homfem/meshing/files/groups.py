"""Groups and sets of elements: which of them have which names."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from homfem.meshing.by_gmsh.reading import Labels
from homfem.parameters import InputError, nearest_name

Tags = npt.NDArray[np.int32]


def chosen(
    groups: Mapping[str, npt.NDArray[np.bool_]], wanted: Labels, size: int, what: str
) -> tuple[dict[str, int], Tags]:
    """Names with numbers from 1 on, and the number of each of ``size`` elements that are flagged in groups."""
    tags = np.zeros(size, dtype=np.int32)
    for number, (key, labels) in enumerate(wanted.items(), start=1):
        for label in [labels] if isinstance(labels, (str, int)) else labels:
            if str(label) not in groups:
                allowed = "a group or set of the file: " + (", ".join(map(repr, groups)) or "it has none")
                raise InputError(f"{what}.{key}", label, allowed, nearest_name(str(label), list(groups)))
            flags = groups[str(label)]
            both = flags & (tags > 0)
            if both.any():
                other = list(wanted)[int(tags[both][0]) - 1]
                remedy = f"Name those that are meant: {what} = {{ {other} = {wanted[other]!r} }}."
                raise InputError(f"{what}.{key}", label, f"without the {int(both.sum())} that {other!r} has", remedy)
            tags[flags] = number
    return {str(key): number for number, key in enumerate(wanted, start=1)}, tags
