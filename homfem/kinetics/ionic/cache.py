"""Files that are made once and kept in the user's cache: formulas of files, compiled kernels."""

from __future__ import annotations

import logging
import os
import tempfile
from collections.abc import Callable
from functools import cache
from pathlib import Path

log = logging.getLogger("homfem")


def cache_folder() -> Path:
    """Return the folder of what is kept between runs: ``homfem/ionic`` in the user's cache."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "homfem" / "ionic"


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
    """Return a file of this name, made by ``make(path)``: it is there whole or not at all.

    Many processes may do so at once: each makes a file of its own and gives it the name; what a killed one leaves bears
    another name. Where the cache cannot be written, it goes to a folder of this process alone, and that is said once.
    """
    folder = cache_folder()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".part-", dir=folder) as place:
            return _made(place, folder / name, make)
    except OSError as error:
        _say_not_kept(folder, error.strerror or str(error))
    own = Path(_own_folder().name)
    with tempfile.TemporaryDirectory(prefix=".part-", dir=own) as place:
        return _made(place, own / name, make)


def _made(place: str, path: Path, make: Callable[[Path], None]) -> Path:
    part = Path(place) / path.name
    make(part)
    os.replace(part, path)
    return path
