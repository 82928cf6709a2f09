"""What belongs to one length of a step, for each length that occurs: set up once, kept."""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")

#: Lengths that are kept; of more the one that was not used for longest goes.
MOST = 32
#: Digits of a length: what differs by round-off is one, and which one it is does not depend on which came first.
DIGITS = 12


class Rungs(Generic[T]):
    """Entries by length of step, made at their first use; collective where making one is.

    Parameters
    ----------
    make
        Makes the entry of a length.
    rounded
        Lengths are taken to 12 digits; else as they are.

    Example
    -------
    >>> rungs = Rungs(lambda length: [length], rounded=True)
    >>> rungs.of(0.5) is rungs.of(0.5 * (1.0 + 1e-15))
    True
    """

    def __init__(self, make: Callable[[float], T], *, rounded: bool) -> None:
        self._make, self._rounded = make, rounded
        self._made: dict[float, T] = {}

    def of(self, length: float) -> T:
        """Return the entry of a length."""
        key = float(f"{length:.{DIGITS}g}") if self._rounded else length
        entry = self._made.pop(key) if key in self._made else self._make(key)
        self._made[key] = entry
        if len(self._made) > MOST:
            del self._made[next(iter(self._made))]
        return entry

    def __len__(self) -> int:
        """Number of lengths that are kept."""
        return len(self._made)
