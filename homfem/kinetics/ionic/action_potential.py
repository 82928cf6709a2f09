r"""Action potentials in a trace of the membrane potential: duration at a level, rest, peak, upstroke.

The duration APD\ :sub:`p` runs from the time of the largest :math:`\dot V` (or from the first time that V rises above a
threshold) to the time, after the peak, at which V falls below

.. math:: V_{peak} - p\,(V_{peak} - V_{rest}),

with V at rest the potential just before the stimulus. Times between two samples are found by linear interpolation; the
time of the largest :math:`\dot V` is the middle of the step in which V rises most.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from homfem.parameters import Array, InputError, check_number


@dataclass(frozen=True, kw_only=True, slots=True)
class ActionPotential:
    """V over one beat that starts with the stimulus.

    Parameters
    ----------
    times, potential : array, shape (n,)
        Times since the start of the stimulus, rising, and V; V at the first one is that at rest.
    threshold, settled, charge : float
        A beat is captured if V is above the threshold at a time beyond ``settled``, and rises from rest by more than
        ``charge``, which is what the stimulus alone can do.
    """

    times: Array
    potential: Array
    threshold: float
    settled: float
    charge: float = 0.0

    def __post_init__(self) -> None:
        if self.times.ndim != 1 or self.times.shape != self.potential.shape or len(self.times) < 3:
            raise InputError("times", self.times.shape, "at least three, as many as potentials")
        if not (np.all(np.diff(self.times) > 0.0) and np.all(np.isfinite(self.potential))):
            raise InputError("times, potential", self.times, "rising times and finite potentials")

    @property
    def captured(self) -> bool:
        """Whether the stimulus started an action potential."""
        above = bool(np.any(self.potential[self.times > self.settled] > self.threshold))
        return above and self.peak - self.rest > self.charge

    @property
    def rest(self) -> float:
        """V just before the stimulus."""
        return float(self.potential[0])

    @property
    def peak(self) -> float:
        """The largest V."""
        return float(self.potential.max())

    @property
    def upstroke(self) -> float:
        r"""The largest :math:`\dot V`."""
        return float(np.max(np.diff(self.potential) / np.diff(self.times)))

    @property
    def upstroke_time(self) -> float:
        r"""The time of the largest :math:`\dot V`."""
        k = int(np.argmax(np.diff(self.potential) / np.diff(self.times)))
        return float(0.5 * (self.times[k] + self.times[k + 1]))

    def repolarisation(self, level: float = 0.9) -> float:
        """Return the time at which V has lost a part of its amplitude; NaN if it has not, or nothing was captured."""
        check_number("level", level, above=0.0, below=1.0)
        if not self.captured:
            return math.nan
        top = int(np.argmax(self.potential))
        limit = self.peak - level * (self.peak - self.rest)
        below = np.nonzero(self.potential[top:] < limit)[0]
        if not len(below):
            return math.nan
        k = top + int(below[0])
        (t0, t1), (v0, v1) = self.times[k - 1 : k + 1], self.potential[k - 1 : k + 1]
        return float(t0 + (t1 - t0) * (v0 - limit) / (v0 - v1))

    def duration(self, level: float = 0.9, *, above: float | None = None) -> float:
        r"""Return APD at a level; NaN if V has not fallen so far by the end, or nothing was captured.

        Parameters
        ----------
        level
            Part of the amplitude that is lost at its end, in (0, 1).
        above
            Start at the first time that V rises above it; None: at the largest :math:`\dot V`.
        """
        end = self.repolarisation(level)
        if above is None:
            return end - self.upstroke_time
        check_number("above", above)
        over = np.nonzero(self.potential > above)[0]
        if math.isnan(end) or not len(over) or over[0] == 0:
            return math.nan
        k = int(over[0])
        (t0, t1), (v0, v1) = self.times[k - 1 : k + 1], self.potential[k - 1 : k + 1]
        return end - float(t0 + (t1 - t0) * (above - v0) / (v1 - v0))
