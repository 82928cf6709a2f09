"""Wall time by stage."""

from __future__ import annotations

import time
from collections.abc import Mapping


class Clock:
    """Wall time since the last lap, by name.

    Parameters
    ----------
    before
        What earlier stages took.
    """

    def __init__(self, before: Mapping[str, float] | None = None) -> None:
        self.seconds: dict[str, float] = dict(before or {})
        self._start = self._last = time.perf_counter()

    def lap(self, name: str) -> None:
        """Add the time since the last lap to a stage."""
        self.add({name: self.skip()})

    def skip(self) -> float:
        """Begin a lap; return the time since the last one, which counts nowhere."""
        now = time.perf_counter()
        spent, self._last = now - self._last, now
        return spent

    def add(self, *spent: Mapping[str, float]) -> None:
        """Add what was measured elsewhere."""
        for seconds in spent:
            for name, value in seconds.items():
                self.seconds[name] = self.seconds.get(name, 0.0) + value

    @property
    def elapsed(self) -> float:
        """Time since the clock was made."""
        return time.perf_counter() - self._start
