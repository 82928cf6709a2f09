"""Rows of numbers over time that an observer keeps through restarts and writes to CSV and HDF5."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np
from mpi4py import MPI

from homfem.macro.observers import Observer
from homfem.macro.series import DataSet, SeriesFiles
from homfem.macro.state import Model, Units, with_unit
from homfem.parameters import Array
from homfem.ranks import collective
from homfem.step_control import Interval


class Samples(Observer):
    """A row of numbers at the start, every so many steps, and at the end of the grid, the same on every rank.

    The rows stand in the checkpoints: a run that goes on continues them, without gaps or rows that are there twice, and
    rows in files that are later than the checkpoint are cut. A subclass sets ``comm`` and ``units`` and takes the first
    row in :meth:`begin`, and says what a row is.

    Parameters
    ----------
    every
        Sample at the start, every so many steps, and at the end of the grid.
    path
        ``PATH.csv`` gets a row at each sample, ``PATH.h5`` all rows at each checkpoint and at the end; None: no files.
    name
        For several of them in one run.
    """

    comm: MPI.Comm
    units: Units

    def __init__(self, name: str, *, every: int | Interval = 1, path: Path | str | None = None) -> None:
        super().__init__(name, every=every)
        self.path = None if path is None else Path(path)
        self._times: list[float] = []
        self._rows: list[Array] = []
        self._files: SeriesFiles | None = None

    def labels(self) -> Sequence[str]:
        """Return the header of each column of a row, with its unit."""
        raise NotImplementedError

    def sample(self, model: Model, time: float) -> Array:
        """Return the row of a time, the same on every rank; collective."""
        raise NotImplementedError

    def data_sets(self) -> Iterable[DataSet]:
        """Return every series with its place in the HDF5 file, but the times."""
        raise NotImplementedError

    def take(self, model: Model, time: float) -> None:
        """Add a row; collective."""
        self._rows.append(self.sample(model, time))
        self._times.append(time)

    def watch(self, model: Model, step: int, start: float, end: float, last: bool) -> None:
        """Sample what is due, and add it to the file; collective."""
        if not self.due(step, end) and not last:
            return
        self.take(model, end)
        if self._files is not None:
            self._files.append(end, self._rows[-1])

    def series(self) -> Mapping[str, Array]:
        """Return the samples so far."""
        return {"times": np.array(self._times), "rows": self.rows}

    def restore(self, series: Mapping[str, Array]) -> None:
        """Go on from saved samples; collective."""
        kept = (series["times"].tolist(), [*series["rows"]]) if self.comm.rank == 0 else None
        self._times, self._rows = self.comm.bcast(kept)

    def write(self, model: Model, step: int, time: float) -> None:
        """Bring the files up to date; errors on every rank. Collective."""
        if self.path is None:
            return
        with collective(self.comm):
            if self.comm.rank == 0:
                if self._files is None:
                    header = [with_unit("time", self.units.time), *self.labels()]
                    self._files = SeriesFiles(self.path, header, self._times, self._rows)
                times = DataSet("time", self.times, self.units.time)
                self._files.settle([times, *self.data_sets()], self.units.length)

    def end(self) -> None:
        """Close the file."""
        if self._files is not None:
            self._files.close()
            self._files = None

    @property
    def times(self) -> Array:
        """Times of the samples."""
        return np.array(self._times)

    @property
    def rows(self) -> Array:
        """All samples, shape (times, columns)."""
        return np.array(self._rows).reshape(len(self._times), -1)
