"""A folder for what is made once and kept: formulas of files, compiled kernels."""

from __future__ import annotations

import os
import tempfile
from functools import cache
from pathlib import Path


@cache
def cache_folder() -> Path:
    """Return a folder that can be written: ``homfem/ionic`` in the user's cache, else one of this process alone."""
    wanted = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "homfem" / "ionic"
    try:
        wanted.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=wanted):
            return wanted
    except OSError:
        return wanted


def keep(path: Path, data: bytes) -> None:
    """Write a file that is there whole or not at all, also where many processes do so at once."""
    with tempfile.NamedTemporaryFile(dir=path.parent, prefix=".part-", delete=False) as file:
        file.write(data)
    os.replace(file.name, path)
