"""Sets of elements: which of them are the phases."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

Flags = npt.NDArray[np.bool_]
_MOST_STEPS = 2000


def partition(sets: Mapping[str, Flags], preferred: Sequence[str] = ()) -> list[str] | None:
    """Return the names of the sets that hold each cell once.

    Parameters
    ----------
    sets
        For each name whether each cell is in the set. Of sets that are equal the first counts.
    preferred
        Names that are taken if they hold each cell once, such as those that have a material.

    Returns
    -------
    list of str or None
        In the order of ``sets``. A set of all cells counts only if there is no other set. None: no choice, or several.
    """
    own = [name for name in sets if name in preferred]
    if own and np.all(np.sum([sets[name] for name in own], axis=0) == 1):
        return own
    first: dict[bytes, str] = {}
    for name, flags in sets.items():
        first.setdefault(np.packbits(flags).tobytes(), name)
    parts = {name: sets[name] for name in first.values() if not sets[name].all()}
    if not parts:
        return next(([name] for name in first.values()), None)
    flags = np.array(list(parts.values()))
    if np.all(flags.sum(axis=0) == 1):
        return list(parts)
    found = _covers(np.unique(flags, axis=1))
    return [list(parts)[k] for k in sorted(found[0])] if len(found) == 1 else None


def _covers(flags: Flags) -> list[list[int]]:
    """Return up to two exact covers of the columns by rows; none if that takes too many steps."""
    found: list[list[int]] = []
    todo: list[tuple[list[int], Flags]] = [([], np.zeros(flags.shape[1], dtype=bool))]
    for _ in range(_MOST_STEPS):
        if not todo or len(found) > 1:
            return found
        chosen, covered = todo.pop()
        if covered.all():
            found.append(chosen)
            continue
        fits = ~np.any(flags & covered, axis=1)
        count = np.where(covered, len(flags) + 1, flags[fits].sum(axis=0))
        column = int(np.argmin(count))
        todo += [([*chosen, int(row)], covered | flags[row]) for row in np.flatnonzero(fits & flags[:, column])]
    return []
