"""How a run ended."""

from __future__ import annotations

from enum import Enum


class Outcome(Enum):
    """How a run ended, in words, with the exit status of the command: 0 done, 3 done but short, 1 anything else."""

    DONE = "done"
    SHORT = "done, but short of the tolerance, or with a bound that says nothing"
    UNFIT = "the mesh is no periodic cell"
    INTERRUPTED = "interrupted"

    @property
    def status(self) -> int:
        """Exit status of the command."""
        return {Outcome.DONE: 0, Outcome.SHORT: 3}.get(self, 1)
