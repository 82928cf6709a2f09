"""Text on disk: written whole or not at all. No dolfinx here."""

from __future__ import annotations

import os
import shutil
from pathlib import Path


def write_text(path: str | Path, text: str) -> None:
    """Write text through a new file that takes the place of the old one; a device or a pipe is written to as it is.

    Where there can be no new file beside the old one, the old one is written over. A symbolic link stays, and the
    file that it leads to is replaced.

    Raises
    ------
    OSError
        With the name of the file; it is then as it was.
    """
    target = Path(os.path.realpath(path))
    partial = target.with_name(f".homfem-{os.getpid()}.part")
    try:
        if (target.exists() and not target.is_file()) or not os.access(target.parent, os.W_OK):
            target.write_text(text, encoding="utf-8")
            return
        try:
            partial.write_text(text, encoding="utf-8")
            if target.exists():
                shutil.copymode(target, partial)
            partial.replace(target)
        finally:
            partial.unlink(missing_ok=True)
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(path)) from error
