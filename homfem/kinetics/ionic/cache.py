"""Files that are made once and kept in the user's cache: formulas of files, compiled kernels."""

from __future__ import annotations

import contextlib
import fcntl
import logging
import os
import tempfile
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path

log = logging.getLogger("homfem")


def cache_folder() -> Path:
    """Return the folder of what is kept between runs: ``homfem/ionic`` in the user's cache, if there is such a user."""
    try:
        return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "homfem" / "ionic"
    except RuntimeError:  # without a home
        return Path(_own_folder().name)


@cache
def _own_folder() -> tempfile.TemporaryDirectory[str]:
    return tempfile.TemporaryDirectory(prefix="homfem-")


@cache
def _say_not_kept(folder: Path, reason: str) -> None:
    log.warning("%s cannot be written (%s): what is made of ionic models is not kept between runs", folder, reason)


def kept(name: str) -> Path | None:
    """Return the file of this name that is kept, or None."""
    for folder in (cache_folder(), *((Path(_own_folder().name),) if _own_folder.cache_info().currsize else ())):
        path = folder / name
        if path.is_file():
            return path
    return None


def keep(name: str, make: Callable[[Path], None]) -> Path:
    """Return the file of this name, which ``make(path)`` writes where there is none: it is there whole or not at all.

    One process of a cache makes at a time; others wait, and find what it made. What a killed one leaves bears another
    name. Where the cache cannot be written, the file goes to a folder of this process alone, and that is said once.
    """
    folder = _writable()
    with _alone(folder):
        path = kept(name)
        if path is None:
            path = folder / name
            with tempfile.TemporaryDirectory(prefix=".part-", dir=folder) as place:
                part = Path(place) / name
                make(part)
                os.replace(part, path)
    return path


def _writable() -> Path:
    """Return the cache, or a folder of this process where the cache cannot be written."""
    folder = cache_folder()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            return folder
    except OSError as error:
        _say_not_kept(folder, error.strerror or str(error))
        return Path(_own_folder().name)


@contextlib.contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Keep other processes out; the system takes the lock from one that ends, in whatever way.

    On a file system without locks each makes its own.
    """
    with (folder / "lock").open("a") as file:
        with contextlib.suppress(OSError):
            fcntl.flock(file, fcntl.LOCK_EX)
        yield
