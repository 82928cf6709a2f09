"""The folder of a run: made if it is not there, and kept from other runs."""

from __future__ import annotations

import fcntl
import os
import platform
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from homfem.parameters import FileError
from homfem.ranks import on_root

if TYPE_CHECKING:
    from mpi4py import MPI

_KEY = "macro.output.folder"


@contextmanager
def run_folder(folder: Path, comm: MPI.Comm) -> Iterator[None]:
    """Make a folder and keep other runs out of it while the block lasts; collective.

    Rank 0 holds the lock of the file ``.lock`` in it, which ends with the process, however that ends. A folder that was
    made here goes again where the block fails before anything is written into it.

    Raises
    ------
    FileError
        If the folder cannot be made or written in, or another run writes there.
    """
    held: list[int] = []
    made: list[Path] = []

    def take() -> None:
        try:
            made.extend(path for path in (folder, *folder.parents) if not path.exists())
            folder.mkdir(parents=True, exist_ok=True)
            held.append(os.open(folder / ".lock", os.O_RDWR | os.O_CREAT, 0o666))
        except OSError as error:
            allowed = "a folder that exists or can be made, and written in"
            raise FileError(_KEY, str(folder), allowed, f"{error.strerror}.") from error
        _lock(held[0], folder)

    try:
        on_root(comm, take)
        yield
    except BaseException:
        with suppress(OSError):
            if made and held and os.listdir(folder) == [".lock"]:
                (folder / ".lock").unlink()
                for path in made:
                    path.rmdir()
        raise
    finally:
        for file in held:
            os.close(file)


def _lock(file: int, folder: Path) -> None:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        holder = os.pread(file, 200, 0).decode("utf-8", "replace").strip() or "another process"
        remedy = f"It is {holder}: wait for its end, or take another folder."
        raise FileError(_KEY, str(folder), "a folder into which no other run writes", remedy) from error
    except OSError:  # a file system without locks
        return
    with suppress(OSError):  # a full disk: others then do not see whose lock it is
        os.ftruncate(file, 0)
        os.pwrite(file, f"process {os.getpid()} on {platform.node()}\n".encode(), 0)
