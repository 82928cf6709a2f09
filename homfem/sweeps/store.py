"""The store of a sweep: one file for each row, written whole or not at all, and who is at work on a row."""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from homfem.parameters import FileError

Record = Mapping[str, Any]
"""What is stored of a row: ``key``, ``status`` (done, short, failed), ``report`` or ``message``, ``seconds``."""


@dataclass(frozen=True, slots=True)
class Store:
    """A folder of results.

    A row is computed by whoever holds the lock of its file, which ends with the process, however that ends; so several
    processes, ranks and jobs share a store, and what was killed is done again.
    """

    folder: Path

    @property
    def rows(self) -> Path:
        """The folder of the rows' files."""
        return self.folder / "rows"

    def run_folder(self, key: str) -> Path:
        """The folder of the fields and checkpoints of a macroscale run."""
        return self.folder / "runs" / key

    def file(self, key: str) -> Path:
        """The file of a row."""
        return self.rows / f"{key}.json"

    def make(self) -> None:
        """Make the folders; raise :class:`FileError` where that cannot be, or where nothing can be written."""
        try:
            self.rows.mkdir(parents=True, exist_ok=True)
            trial = self.rows / f".{os.getpid()}.part"
            trial.touch()
            trial.unlink()
        except OSError as error:
            allowed = "a folder that exists or can be made, and written in"
            raise FileError("store", str(self.folder), allowed, f"{error.strerror}.") from error

    def read(self, key: str) -> Record | None:
        """Return what is stored of a row; None where there is nothing, or no whole file."""
        try:
            record = json.loads(self.file(key).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return None
        return record if isinstance(record, dict) and record.get("key") == key else None

    def write(self, record: Record) -> None:
        """Store a row: its file is there whole, or is as it was."""
        target = self.file(record["key"])
        partial = target.with_suffix(".part")
        with open(partial, "w", encoding="utf-8") as stream:
            json.dump(record, stream, allow_nan=False)
            stream.flush()
            os.fsync(stream.fileno())
        partial.replace(target)

    def forget(self, key: str) -> None:
        """Take the file of a row away."""
        self.file(key).unlink(missing_ok=True)

    @contextmanager
    def claim(self, key: str) -> Iterator[bool]:
        """Give whether the row is this process's to compute while the block lasts: nobody else's, and not stored.

        On a file system without locks nobody is seen.
        """
        lock = self.rows / f"{key}.lock"
        held = os.open(lock, os.O_RDWR | os.O_CREAT, 0o666)
        try:
            free = _locked(held) and self.read(key) is None
            yield free
            if free and self.read(key) is not None:
                lock.unlink(missing_ok=True)  # who waits for it finds the row stored
        finally:
            os.close(held)


def _locked(file: int) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:  # a file system without locks
        return True
    return True
