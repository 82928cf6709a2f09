r"""Action potentials at every node of a run: activation, peak, rest, repolarisation, duration, diastolic interval.

A beat of a node begins where its potential V rises through the threshold :math:`\theta`. With the largest value
:math:`V_p` that it has until it falls through :math:`\theta` again, and the least value :math:`V_r` since the peak of
the beat before (the rest), repolarisation to p percent is where V falls through

.. math:: V_p - \frac{p}{100}(V_p - V_r),

and the action potential duration APDp is the time from activation to there; the diastolic interval is the time from
the repolarisation of the beat before to activation. All crossings are linear in time within the step.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np
from dolfinx import fem

from homfem.macro.observers import Observer
from homfem.macro.state import Model, StateField, with_unit
from homfem.parameters import Array, InputError, check_choice, check_integer, check_number


class ActionPotentials(Observer):
    """The action potentials of each node of a field: when they begin, how high and how long they are.

    Parameters
    ----------
    field
        Name of a field of the model's state, of any Lagrange or quadrature space.
    threshold
        Where a beat begins, in the unit of the field.
    levels : sequence of float
        Percentages of repolarisation, between 0 and 100: 90 for APD90.
    fixed : sequence of float
        Further levels in the unit of the field, the same for every node and beat.
    activation
        ``"threshold"``: a beat is activated where V passes the threshold; ``"upstroke"``: in the middle of the step in
        which V rises fastest, from the fall through the threshold before to that after.
    beats
        How many beats of each node are kept.
    keep
        ``"last"`` or ``"first"``: which of them, where a node has more.
    name
        For several of them in one run.

    Raises
    ------
    InputError
        For levels that are out of range or none, and at the start of the march for a field that there is not.

    Notes
    -----
    What is above the threshold at the start is active from then on; its rest is not known, so that this beat has
    repolarisation at ``fixed`` levels alone. Of several falls through a level in a beat the last one counts for levels
    above the threshold (a notch is not repolarisation) and the first for those below (what a stimulus that fails does
    in diastole is none either). Maps are functions of the field's space, NaN where there is nothing; a ``beat`` counts
    from 0, the first of each node, or from -1, its last, backwards.

    Example
    -------
    ``observer = ActionPotentials("V", -40.0, levels=[50, 90], beats=2)``; after the march ``observer.duration(90)``,
    ``observer.diastolic_interval(90)``.
    """

    def __init__(
        self,
        field: str,
        threshold: float,
        *,
        levels: Sequence[float] = (90.0,),
        fixed: Sequence[float] = (),
        activation: Literal["threshold", "upstroke"] = "threshold",
        beats: int = 1,
        keep: Literal["last", "first"] = "last",
        name: str = "action potentials",
    ) -> None:
        super().__init__(name)
        self.field, self.threshold = field, check_number("threshold", threshold)
        self.levels = tuple(check_number("levels", level, above=0.0, below=100.0) for level in levels)
        self.fixed = tuple(check_number("fixed", level) for level in fixed)
        for key, values in (("levels", self.levels), ("fixed", self.fixed)):
            if len(set(values)) < len(values):
                raise InputError(key, list(values), "different levels")
        self._upstroke = check_choice("activation", activation, ("threshold", "upstroke")) == "upstroke"
        self.number = check_integer("beats", beats, at_least=1)
        self._first = check_choice("keep", keep, ("last", "first")) == "first"

    def begin(self, model: Model, time: float) -> None:
        """Take hold of the field."""
        from homfem.macro import beats

        state = model.state()
        self._space, self._values = state[check_choice("field", self.field, list(state))]
        self._unit, self._time_unit = model.units.fields.get(self.field, ""), model.units.time
        v = self._values
        self._before, self._low, self._count = v.copy(), v.copy(), np.zeros(v.size)
        self._steepest, self._steepest_at = np.zeros(v.size), np.full(v.size, np.nan)
        falls = len(self.levels) + len(self.fixed)
        self._beats = np.full((len(beats.ROWS) + falls, self.number, v.size), np.nan)
        self._at, self._peak, self._rest, self._slope = self._beats[: len(beats.ROWS)]
        self._falls = self._beats[len(beats.ROWS) :]
        self._top, self._marks = np.full(v.size, np.nan), np.full((falls, v.size), np.nan)
        self._kept = beats.Kept(
            self._beats, self._count, self._low, self._steepest, self._steepest_at, self._top, self._marks,
            np.array(self.levels), np.array(self.fixed),
        )  # fmt: skip
        beats.begin_high(time, v, self.threshold, self._first, self._kept)

    def identity(self, model: Model) -> Mapping[str, Any]:
        """The beats of a run are told in one way from its start to its end."""
        kept = {
            with_unit("threshold", self._unit): self.threshold, "levels": list(self.levels), "fixed": list(self.fixed),
            "upstroke": self._upstroke, "beats": self.number, "first": self._first, "field": self.field,
        }  # fmt: skip
        return {self.name: kept}

    def watch(self, model: Model, step: int, start: float, end: float, last: bool) -> None:
        """See which nodes pass what in this step."""
        from homfem.macro.beats import watch_nodes

        rule = (self.threshold, self._first, self._upstroke)
        watch_nodes((start, end), self._before, self._values, *rule, self._kept)

    def fields(self) -> Mapping[str, StateField]:
        """Return all that is kept."""
        kept = {"least": self._low, "steepest": self._steepest, "steepest at": self._steepest_at, "count": self._count}
        for row in range(self.number):
            kept |= {
                f"activation {row}": self._at[row], f"peak {row}": self._peak[row], f"rest {row}": self._rest[row],
                f"upstroke {row}": self._slope[row],
            }  # fmt: skip
            kept |= {f"repolarisation {k} {row}": falls[row] for k, falls in enumerate(self._falls)}
        return {key: StateField(self._space, values) for key, values in kept.items()}

    def restore(self, series: Mapping[str, Array]) -> None:
        """Take the values of the restored model as those before the next step."""
        from homfem.macro.beats import mark_all

        self._before[:] = self._values
        over = self._count > (self.number if self._first else np.inf)
        self._top[:] = np.where(over, np.nan, self._peak[0])
        mark_all(self._kept)

    @property
    def count(self) -> fem.Function:
        """How many beats each node has had; collective."""
        return self._function("beats", self._count)

    def activation(self, beat: int = -1) -> fem.Function:
        """Return when a beat was activated; collective."""
        return self._function("activation", self._of(self._at, beat))

    def peak(self, beat: int = -1) -> fem.Function:
        """Return the largest value of a beat; collective."""
        return self._function("peak", self._of(self._peak, beat))

    def rest(self, beat: int = -1) -> fem.Function:
        """Return the value from which a beat began; collective."""
        return self._function("rest", self._of(self._rest, beat))

    def upstroke(self, beat: int = -1) -> fem.Function:
        """Return the largest rate of change in the upstroke of a beat, over a step; collective."""
        return self._function("upstroke", self._of(self._slope, beat))

    def repolarisation(self, level: float | None = None, *, fixed: float | None = None, beat: int = -1) -> fem.Function:
        """Return when a beat fell through a level, in percent or ``fixed``; collective.

        Raises
        ------
        InputError
            For a level that is not watched.
        """
        row, word = self._row(level, fixed)
        return self._function(f"repolarisation{word}", self._of(self._falls[row], beat))

    def duration(self, level: float | None = None, *, fixed: float | None = None, beat: int = -1) -> fem.Function:
        """Return the duration of a beat, APD90 with ``level=90``; collective, errors as :meth:`repolarisation`."""
        row, word = self._row(level, fixed)
        return self._function(f"APD{word}", self._of(self._falls[row], beat) - self._of(self._at, beat))

    def diastolic_interval(
        self, level: float | None = None, *, fixed: float | None = None, beat: int = -1
    ) -> fem.Function:
        """Return the time from the repolarisation of the beat before to the activation of a beat; collective.

        Raises
        ------
        InputError
            For a level that is not watched, and where the beat before is not kept.
        """
        row, word = self._row(level, fixed)
        check_integer("beats", self.number, at_least=2)
        return self._function(f"DI{word}", self._of(self._at, beat) - self._of(self._falls[row], beat, before=1))

    def cycle_length(self, beat: int = -1) -> fem.Function:
        """Return the time from the activation of the beat before to that of a beat; collective.

        Raises
        ------
        InputError
            Where the beat before is not kept.
        """
        check_integer("beats", self.number, at_least=2)
        return self._function("cycle length", self._of(self._at, beat) - self._of(self._at, beat, before=1))

    def _row(self, level: float | None, fixed: float | None) -> tuple[int, str]:
        """Return the number of a level, and how it is called."""
        if (level is None) == (fixed is None):
            raise InputError("level", level, "a level in percent, or a fixed one, and not both")
        if level is not None:
            if level not in self.levels:
                raise InputError("level", level, f"one of {list(self.levels)}", "Watch it: levels=[...].")
            return self.levels.index(level), f"{level:g}"
        if fixed not in self.fixed:
            raise InputError("fixed", fixed, f"one of {list(self.fixed)}", "Watch it: fixed=[...].")
        return len(self.levels) + self.fixed.index(fixed), f" at {fixed:g} {self._unit}".rstrip()

    def _of(self, table: Array, beat: int, before: int = 0) -> Array:
        """Return the entries of a beat, or of one so many beats before it, NaN where it is not kept."""
        if isinstance(beat, bool) or not isinstance(beat, int):
            raise InputError("beat", beat, "an integer: 0 the first of a node, -1 its last")
        kept = np.minimum(self._count, self.number) if self._first else self._count
        row = (kept - 1.0 - beat if beat >= 0 else np.full(kept.size, -1.0 - beat)) + before
        there = (row >= 0) & (row < np.minimum(kept, self.number))
        nodes = np.flatnonzero(there)
        found = np.full(kept.size, np.nan)
        found[nodes] = table[row[nodes].astype(np.int64), nodes]
        return found

    def _function(self, name: str, values: Array) -> fem.Function:
        function = fem.Function(self._space, name=name)
        function.x.array[: values.size] = values
        function.x.scatter_forward()
        return function
