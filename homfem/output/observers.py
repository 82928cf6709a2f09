"""Observers of a march that write field files and keep fields for pictures; see :mod:`homfem.macro.observers`."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from dolfinx import fem

from homfem.macro.domain import Domain
from homfem.macro.observers import Observer
from homfem.macro.state import Model
from homfem.output.fields import FieldSeries
from homfem.output.waves import FieldRecord
from homfem.output.xdmf import plain
from homfem.parameters import Array, FileError, check_choice
from homfem.quantities import conversion_factor
from homfem.step_control import Interval

log = logging.getLogger("homfem")


class Fields(Observer):
    """Writes the fields that a model shows, for ParaView, PyVista and meshio.

    The fields on one mesh go to ``fields.xdmf`` (and what belongs to it), those on another, a part of the domain, to
    ``fields-NAMES.xdmf``. A run that goes on goes on with these files: the times after its checkpoint are taken away,
    and nothing is there twice, on any number of ranks. Where other fields are in them, a warning says so, and it writes
    ``fields-from-step-40.xdmf``. With the suffix ``"bp"`` or ``"pvd"`` there is a file for each space, and a new
    one for each start.

    Parameters
    ----------
    folder
        Where the files go; it exists.
    suffix
        ``"xdmf"``, ``"bp"`` or ``"pvd"``, see :class:`homfem.output.fields.FieldSeries`.
    every
        Write at the start, every so many steps, and at the end.
    fields
        Names of the fields; None: all that the model shows.
    domain
        Its regions are cell data in XDMF.
    time_unit
        Unit of the times in the files; None: the model's.
    name
        For several of them in one run; it begins the names of the files.

    Raises
    ------
    InputError
        At the start of the march: for fields that there are not, and a unit that is none of time.
    """

    def __init__(
        self,
        folder: Path | str,
        suffix: str = "xdmf",
        *,
        every: int | Interval = 1,
        fields: Sequence[str] | None = None,
        domain: Domain | None = None,
        time_unit: str | None = None,
        name: str = "fields",
    ) -> None:
        super().__init__(name, every=every)
        self.folder, self.wanted = Path(folder), fields
        self.suffix = check_choice("suffix", suffix, ("xdmf", "bp", "pvd"))
        self.domain, self.time_unit = domain, time_unit
        self._series: list[FieldSeries] = []
        self._goes_on, self._due = False, True

    def begin(self, model: Model, time: float) -> None:
        """Refuse names and units that there are not."""
        if self.wanted is not None:
            for name in self.wanted:
                check_choice("fields", name, list(model.fields()))
        self._units = model.units
        self._per_time = 1.0
        if self.time_unit is not None:
            self._per_time = conversion_factor(model.units.time, self.time_unit)
            self._units = replace(model.units, time=self.time_unit)

    def restore(self, series: Mapping[str, Array]) -> None:
        """Go on with the files that are there."""
        self._goes_on = True

    def shows(self, step: int, time: float, bound: bool) -> bool:
        """Where a run goes on, the files are opened, and only what was due in the run without a break is written."""
        opens = self._goes_on and not self._series
        self._due = super().shows(step, time, bound and not opens)
        return self._due or opens

    def show(self, model: Model, step: int, time: float) -> None:
        """Write the fields as they are now."""
        found = model.fields()
        shown = {name: found[name] for name in (found if self.wanted is None else self.wanted)}
        if not self._series:
            self._open(shown, step)
        for series in self._series:
            if self._due and series.last != step:
                series.write(self._per_time * time, step)

    def _open(self, shown: Mapping[str, fem.Function], step: int) -> None:
        alike = _on_one_mesh if self.suffix == "xdmf" else _alike
        groups: list[list[str]] = []
        for name, function in shown.items():
            space = function.function_space
            group = next((group for group in groups if alike(shown[group[0]].function_space, space)), None)
            if group is None:
                groups.append([name])
            else:
                group.append(name)
        for number, group in enumerate(groups):
            of = "" if number == 0 else "-" + plain("-".join(group))
            functions = []
            for name in group:
                shown[name].name = name
                functions.append(shown[name])
            self._series.append(self._begun(f"{self.name}{of}", functions, step))

    def _begun(self, name: str, functions: list[fem.Function], step: int) -> FieldSeries:
        beside = f"{name}-from-step-{step}.{self.suffix}"
        if self._goes_on and self.suffix == "xdmf":
            path = self.folder / f"{name}.xdmf"
            try:
                return FieldSeries(path, functions, units=self._units, domain=self.domain, after=step)
            except FileError as error:
                if functions[0].function_space.mesh.comm.rank == 0:
                    log.warning("%s; the run goes on in %s", error, beside)
        path = self.folder / (beside if self._goes_on else f"{name}.{self.suffix}")
        return FieldSeries(path, functions, units=self._units, domain=self.domain)

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
        Name of a field that the model shows: a Lagrange function on simplices, scalar, or a vector, whose
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

    def __init__(self, field: str, *, every: int | Interval = 1, name: str = "record") -> None:
        super().__init__(name, every=every)
        self.field, self.record, self._goes_on = field, FieldRecord(), False

    def begin(self, model: Model, time: float) -> None:
        """Refuse a field that cannot be kept."""
        shown = model.fields()
        self.record.begin(shown[check_choice("field", self.field, list(shown))].function_space)

    def shows(self, step: int, time: float, bound: bool) -> bool:
        """Where a run goes on, only what was due in the run without a break."""
        bound, self._goes_on = bound and not self._goes_on, False
        return super().shows(step, time, bound)

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


def _on_one_mesh(a: fem.FunctionSpace, b: fem.FunctionSpace) -> bool:
    return a.mesh is b.mesh


def _alike(a: fem.FunctionSpace, b: fem.FunctionSpace) -> bool:
    return a.mesh is b.mesh and a.ufl_element() == b.ufl_element()
