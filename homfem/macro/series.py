"""Series of numbers over time on disk: a CSV file that grows row by row, an HDF5 file that is whole at any time."""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Iterable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from homfem.parameters import Array


class DataSet(NamedTuple):
    """A series with its place in the HDF5 file, its unit, and the coordinates of the point that it belongs to."""

    place: str
    values: Array
    unit: str
    at: Array | None = None


class SeriesFiles:
    """``PATH.csv`` and ``PATH.h5``, begun with what is known so far; on one rank.

    An older file is replaced: rows that an earlier run wrote beyond its last checkpoint are gone.

    Parameters
    ----------
    path
        Path of the files without their suffixes; the folder exists.
    header
        Names of the columns with their units, the time first.
    times, rows
        The rows so far.

    Raises
    ------
    OSError
        If the file cannot be written.
    """

    def __init__(self, path: Path, header: Sequence[str], times: Sequence[float], rows: Sequence[Array]) -> None:
        self.path = path
        table = path.with_name(f"{path.name}.csv")
        partial = table.with_name(f"{table.name}.part")
        with open(partial, "w", newline="", encoding="utf-8") as file:
            csv.writer(file).writerow(header)
            file.writelines(_line(time, row) for time, row in zip(times, rows, strict=True))
        os.replace(partial, table)
        self._stream = open(table, "a", newline="", encoding="utf-8")  # noqa: SIM115 - open while the run lasts
        self._failure: OSError | None = None

    def append(self, time: float, row: Array) -> None:
        """Add a row to the CSV file; what fails is raised by :meth:`settle`, where all ranks meet."""
        if self._failure is None:
            try:
                self._stream.write(_line(time, row))
                self._stream.flush()
            except OSError as error:
                self._failure = error

    def settle(self, data: Iterable[DataSet], length_unit: str) -> None:
        """Write the HDF5 file anew; each data set has its ``unit``, the group of a point ``at`` and ``length_unit``.

        Raises
        ------
        OSError
            If it cannot be written, or a row could not.
        """
        import h5py

        if self._failure is not None:
            raise self._failure
        target = self.path.with_name(f"{self.path.name}.h5")
        partial = target.with_name(f"{target.name}.part")
        with h5py.File(partial, "w") as file:
            for entry in data:
                written = file.create_dataset(entry.place, data=entry.values)
                written.attrs["unit"] = entry.unit
                if entry.at is not None:
                    written.parent.attrs.update(at=entry.at, length_unit=length_unit)
        os.replace(partial, target)

    def close(self) -> None:
        """Close the CSV file."""
        with suppress(OSError):
            self._stream.close()


def _line(time: float, row: Array) -> str:
    text = io.StringIO()
    csv.writer(text).writerow([repr(time), *(repr(float(value)) for value in row)])
    return text.getvalue()
