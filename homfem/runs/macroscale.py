"""The run of a table ``[macro]``: a macroscale model in time."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from homfem.config import Config, present
from homfem.disk import writing
from homfem.parameters import InputError
from homfem.progress import collected_warnings
from homfem.runs.configs import Overrides, Source, communicator, read_config
from homfem.runs.outcome import Outcome
from homfem.runs.runners import runner

log = logging.getLogger("homfem")

if TYPE_CHECKING:
    from mpi4py import MPI

    from homfem.output.waves import FieldRecord


@dataclass(frozen=True, kw_only=True, slots=True)
class MacroRun:
    """A macroscale run.

    Parameters
    ----------
    result
        What the model gives, with its fields at the end.
    facts
        What is reported of it, as plain values.
    outcome
        Done, or interrupted: then a run with ``resume`` goes on from the checkpoint.
    config
        What was asked for.
    warnings
        What is to be known of the tensors that it took, and whatever else the log warned of while it ran.
    record, label
        The first field at the output times, if it was to be drawn, and its name with its unit.
    length_unit, time_unit
        Units of the model, for the figure.
    """

    result: Any
    facts: Mapping[str, Any]
    outcome: Outcome
    config: Config
    warnings: tuple[str, ...] = ()
    record: FieldRecord | None = None
    label: str = ""
    length_unit: str = "um"
    time_unit: str = "s"

    def report(self) -> dict[str, Any]:
        """Return what the run says of itself as plain values."""
        return {**self.facts, "warnings": list(self.warnings)}


def macro(
    config: Source,
    *,
    resume: bool = False,
    overrides: Overrides = (),
    folder: str | Path | None = None,
    comm: MPI.Comm | None = None,
    drawn: bool = False,
) -> MacroRun:
    """Run the macroscale model of a config; its fields and checkpoints go into the folder that it names. Collective.

    Parameters
    ----------
    config
        The path of a TOML file with a table ``[macro]``, its tables as a mapping, or a checked config.
    resume
        Go on from the last checkpoint in the folder; where there is none, warn and start anew.
    overrides
        Keys to set, ``{"macro.time.end": "4 s"}`` or ``["macro.time.end=4 s"]``.
    folder
        Where files are sought from, and the folder of the run; by default the folder of the config's file, for a
        mapping the current one.
    comm
        The ranks that share the work; all by default.
    drawn
        Keep the first field at the output times, which :func:`draw_macro` needs.

    Returns
    -------
    MacroRun
        With ``result``, ``report()``, ``outcome`` and ``warnings``.

    Raises
    ------
    InputError
        For anything wrong in the config (FileError for a file that is missing or a folder into which another run
        writes, CheckpointError for a checkpoint of another problem), under the path of its key; on every rank.
    ConvergenceError
        If a solver fails.
    """
    checked = read_config(config, overrides=overrides, folder=folder, needed=("macro",))
    table = present("macro", checked.macro)
    ranks = communicator(comm)
    with collected_warnings() as told:
        run: MacroRun = runner(table.runner)(checked, table, ranks, resume=resume, drawn=drawn)
        for text in run.warnings if ranks.rank == 0 else ():
            log.warning("%s", text)
    return replace(run, warnings=tuple(ranks.bcast(told)))


def draw_macro(run: MacroRun, path: str | Path, *, theme: str = "light") -> None:
    """Draw the first field of a run at up to six of its output times into a PNG, PDF or SVG file; collective.

    The ground is ``"light"`` or ``"dark"``.

    Raises
    ------
    InputError
        If the field was not kept: ``drawn = True`` was to be said.
    OSError
        If the file cannot be written.
    """
    from homfem.output.views import SeriesView
    from homfem.output.waves import draw_series

    if run.record is None:
        raise InputError("drawn", False, "true for a run that is to be drawn")
    recorded = run.record.times
    # Evenly apart, where the output times allow that.
    number = next((n for n in (6, 4, 5) if len(recorded) >= n and (len(recorded) - 1) % (n - 1) == 0), 6)
    times = [float(time) for time in np.linspace(recorded[0], recorded[-1], number)]
    with writing(path):
        view = SeriesView(
            label=run.label, style="body", theme=theme, length_unit=run.length_unit, time_unit=run.time_unit
        )
        draw_series(run.record, str(path), view=view, times=times)
