"""What watches the run of a config, for every macroscale model: field files, a record for the figure, probes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from homfem.config.models.probes import EVERYWHERE, ProbeTable

if TYPE_CHECKING:
    from dolfinx.fem import Function

    from homfem.macro.domain import Domain
    from homfem.macro.observers import Observer
    from homfem.macro.places import Region
    from homfem.macro.probes import Probes
    from homfem.output.observers import Record
    from homfem.runs.scales import Transport
    from homfem.step_control import Interval


@dataclass(frozen=True, kw_only=True, slots=True)
class Watch:
    """The observers of a run, and those of them that are asked later; None where they are not wanted.

    ``scales`` tells whether the scales of the run are apart, of what moves its field.
    """

    observers: tuple[Observer, ...]
    probes: Probes | None
    record: Record | None
    scales: Callable[[Transport], dict[str, float]] | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Shown:
    """What is written of a run.

    Parameters
    ----------
    folder
        The folder of the run.
    suffix
        Format of the field files, ``"xdmf"``, ``"bp"`` or ``"pvd"``.
    every
        Steps, or time, from one output to the next.
    length_unit
        The model's.
    drawn
        Name of the field that the figure will show; None: no figure.
    time_unit
        Unit of the times in the files of fields; None: the model's, which is then that of the time grid.
    fields
        Names of the fields that are written and probed; None: all.
    """

    folder: Path
    suffix: str
    every: int | Interval
    length_unit: str
    drawn: str | None
    time_unit: str | None = None
    fields: tuple[str, ...] | None = None


def watch(shown: Shown, probes: Sequence[ProbeTable], domain: Domain, move: Callable[[float], None]) -> Watch:
    """Return the observers of a run; ``move`` is told the time that it has reached.

    Raises
    ------
    InputError
        For a region that the domain does not have.
    """
    from homfem.macro.observers import Call
    from homfem.macro.probes import Probes
    from homfem.output.observers import Fields, Record

    points = {probe.name: probe.point(shown.length_unit) for probe in probes if probe.at is not None}
    regions: dict[str, Region] = {}
    for k, probe in enumerate(probes):
        if probe.place == EVERYWHERE:
            regions[probe.name] = lambda x: np.full(x.shape[1], True)
        elif probe.place is not None:
            domain.region(probe.place, path=f"macro.probes[{k}].region")
            regions[probe.name] = domain.inside(probe.place)
    statistics = {probe.name: probe.kept for probe in probes if probe.place is not None}
    path = shown.folder / "probes"
    kept = None
    if probes:
        kept = Probes(points, regions=regions, statistics=statistics, where=True, path=path, fields=shown.fields)
    record = None if shown.drawn is None else Record(shown.drawn, every=shown.every)
    fields = Fields(
        shown.folder,
        shown.suffix,
        every=shown.every,
        domain=domain,
        time_unit=shown.time_unit,
        fields=shown.fields,
    )
    progress = Call(lambda _model, _step, time: move(time), name="progress")
    return Watch(
        observers=tuple(entry for entry in (kept, fields, record, progress) if entry is not None),
        probes=kept,
        record=record,
    )


def probe_keys(probes: Sequence[ProbeTable]) -> dict[str, str]:
    """Return the keys of the config by the names of the arguments that the probes become."""
    return {f"points[{probe.name!r}]": f"probes[{k}].at" for k, probe in enumerate(probes)}


def write_activation(shown: Shown, activation: Function | None, end: float, unit: str = "") -> None:
    """Write a map of activation times beside the fields, NaN where the field stayed below. Collective.

    Parameters
    ----------
    activation
        The times, inf where there is none; nothing is written of None.
    end
        The time that the run has reached.
    unit
        That of the times, the model's.
    """
    if activation is not None:
        write_map(shown, "activation", [activation], end, unit)


def write_map(shown: Shown, name: str, maps: Sequence[Function], end: float, unit: str) -> None:
    """Write maps of times beside the fields into a file of their name; one alone has it, too. Collective.

    ``end``, ``unit`` as for :func:`write_activation`.
    """
    from homfem.macro.state import Units
    from homfem.output.fields import FieldSeries

    written = []
    for entry in maps:
        times = entry.copy()
        times.name = name if len(maps) == 1 else entry.name
        times.x.array[~np.isfinite(times.x.array)] = np.nan
        written.append(times)
    units = Units(time=unit, length=shown.length_unit, fields={entry.name: unit for entry in written})
    with FieldSeries(shown.folder / f"{name}.{shown.suffix}", written, units=units) as series:
        series.write(end)


def probe_report(
    probes: Probes | None,
    tables: Sequence[ProbeTable] = (),
    *,
    field: str,
    threshold: float | None,
    per_time: float,
) -> dict[str, Any]:
    """Return the series by probe: each field over time, and ``activation``, when the named field passed a threshold.

    A field in a region has a series for each statistic, and the places of the extrema (``minimum_at``,
    ``maximum_at``); with one ``quantity`` in its table it is that series, as at a point, with the places in ``where``.
    A region is activated when its maximum passes, or its mean or minimum where no maximum is kept.

    Parameters
    ----------
    tables
        Those of the config.
    threshold
        In the unit of the field; None: ``activation`` is null, as where the field stayed below.
    per_time
        The model's unit of time in that of the report.
    """
    if probes is None:
        return {}
    single = {table.name for table in tables if isinstance(table.quantity, str)}
    report: dict[str, Any] = {name: {} for name in (*probes.points, *probes.regions)}
    for column in probes.columns:
        values = probes.values(column.probe, column.field, column.statistic).tolist()
        place = report[column.probe]
        if not column.statistic:
            place[column.field] = values
        elif column.probe not in single:
            place.setdefault(column.field, {})[column.statistic.replace(" ", "_")] = values
        elif column.axis is None:
            place[column.field] = values
        else:
            place.setdefault("where", {})[column.field] = values
    for name, series in report.items():
        arrival = np.inf
        statistics = probes.statistics.get(name, [""])
        passing = next((entry for entry in ("maximum", "mean", "minimum", "") if entry in statistics), None)
        if threshold is not None and field in series and passing is not None:
            arrival = probes.activation(name, field, threshold, passing)
        series["activation"] = per_time * arrival if np.isfinite(arrival) else None
    return report
