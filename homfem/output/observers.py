"""Observers of a march that write field files and keep fields for pictures; see :mod:`homfem.macro.observers`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from dolfinx import fem

from homfem.macro.observers import Observer
from homfem.macro.state import Model
from homfem.output.fields import FieldSeries
from homfem.output.waves import FieldRecord
from homfem.parameters import Array, check_choice


class Fields(Observer):
    """Writes the fields that a model shows for ParaView, in one file for the fields of each space.

    The fields of the first one's space go to ``fields.SUFFIX``, those of another to ``fields-NAMES.SUFFIX``. A run that
    goes on writes new files beside those of its first part, ``fields-from-step-40.SUFFIX``.

    Parameters
    ----------
    folder
        Where the files go; it exists.
    suffix
        ``"xdmf"`` or ``"bp"``, see :class:`homfem.output.fields.FieldSeries`.
    every
        Write at the start, every so many steps, and at the end.
    fields
        Names of the fields; None: all that the model shows.
    name
        For several of them in one run; it begins the names of the files.
    """

    def __init__(
        self,
        folder: Path | str,
        suffix: str = "xdmf",
        *,
        every: int = 1,
        fields: Sequence[str] | None = None,
        name: str = "fields",
    ) -> None:
        super().__init__(name, every=every)
        self.folder, self.suffix, self.wanted = Path(folder), check_choice("suffix", suffix, ("xdmf", "bp")), fields
        self._series: list[FieldSeries] = []

    def show(self, model: Model, step: int, time: float) -> None:
        """Write the fields as they are now."""
        if not self._series:
            self._open(model.fields(), step)
        else:
            model.fields()
        for series in self._series:
            series.write(time)

    def _open(self, shown: Mapping[str, fem.Function], step: int) -> None:
        names = (
            list(shown) if self.wanted is None else [check_choice("fields", name, list(shown)) for name in self.wanted]
        )
        groups: list[list[str]] = []
        for name in names:
            space = shown[name].function_space
            same = (group for group in groups if _alike(shown[group[0]].function_space, space))
            group = next(same, None)
            if group is None:
                groups.append([name])
            else:
                group.append(name)
        begin = f"-from-step-{step}" if step else ""
        for number, group in enumerate(groups):
            of = "" if number == 0 else "-" + "-".join(group)
            functions = []
            for name in group:
                shown[name].name = name
                functions.append(shown[name])
            self._series.append(FieldSeries(self.folder / f"{self.name}{of}{begin}.{self.suffix}", functions))

    def end(self) -> None:
        """Finish the files."""
        for series in self._series:
            series.close()
        self._series = []


class Record(Observer):
    """Keeps a field over time for :func:`homfem.output.waves.draw_series`; a run that goes on keeps that of its start.

    Parameters
    ----------
    field
        Name of a field that the model shows: a Lagrange function on triangles or tetrahedra, scalar, or a vector, whose
        length is kept.
    every
        Keep at the start, every so many steps, and at the end.
    name
        For several of them in one run.

    Attributes
    ----------
    record
        The :class:`~homfem.output.waves.FieldRecord`.
    """

    def __init__(self, field: str, *, every: int = 1, name: str = "record") -> None:
        super().__init__(name, every=every)
        self.field, self.record, self._goes_on = field, FieldRecord(), False

    def begin(self, model: Model, time: float) -> None:
        """Refuse a field that cannot be kept."""
        shown = model.fields()
        self.record.begin(shown[check_choice("field", self.field, list(shown))].function_space)

    def shows(self, step: int, bound: bool) -> bool:
        """Where a run goes on, only what was due in the run without a break."""
        bound, self._goes_on = bound and not self._goes_on, False
        return super().shows(step, bound)

    def show(self, model: Model, step: int, time: float) -> None:
        """Keep the field as it is now."""
        self.record.add(model.fields()[self.field], time)

    def series(self) -> Mapping[str, Array]:
        """Return what was kept so far."""
        return {"times": np.array(self.record.times), "values": np.array(self.record.values)}

    def restore(self, series: Mapping[str, Array]) -> None:
        """Go on from what a checkpoint holds; one of a run without pictures holds nothing."""
        self._goes_on = True
        self.record.restore(series.get("times"), series.get("values"))


def _alike(a: fem.FunctionSpace, b: fem.FunctionSpace) -> bool:
    return a.mesh is b.mesh and a.ufl_element() == b.ufl_element()
