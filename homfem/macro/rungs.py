"""What belongs to one length of a step, for each length that occurs: set up once, kept."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")

#: Lengths that are kept; of more the one that was not used for longest goes.
MOST = 32
#: Lengths that are nearer to each other than this, relatively, are one.
SAME = 1e-9


class Rungs(Generic[T]):
    """Entries by length of step, made at their first use; collective where making one is.

    Example
    -------
    >>> rungs = Rungs(lambda length: [length])
    >>> rungs.of(0.5) is rungs.of(0.5 * (1.0 + 1e-12))
    True
    """

    def __init__(self, make: Callable[[float], T]) -> None:
        self._make = make
        self._made: list[tuple[float, T]] = []

    def of(self, length: float) -> T:
        """Return the entry of a length."""
        for k, (known, entry) in enumerate(self._made):
            if math.isclose(known, length, rel_tol=SAME):
                self._made.append(self._made.pop(k))
                return entry
        entry = self._make(length)
        self._made = [*self._made[1 - MOST :], (length, entry)]
        return entry

    def __len__(self) -> int:
        """Number of lengths that are kept."""
        return len(self._made)
