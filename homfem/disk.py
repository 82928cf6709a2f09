"""Files on disk: text that is written whole or not at all, and room for what is to be written. No dolfinx here."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO


def write_text(path: str | Path, text: str) -> None:
    """Write text whole or not at all, see :func:`whole`.

    Raises
    ------
    OSError
        With the name of the file; it is then as it was.
    """
    with whole(path) as stream:
        stream.write(text.encode("utf-8"))


@contextmanager
def whole(path: str | Path) -> Iterator[BinaryIO]:
    """Open a new file that takes the place of the old one at the end; a device or a pipe is written to as it is.

    Where there can be no new file beside the old one, the old one is written over. A symbolic link stays, and the
    file that it leads to is replaced. Where what is done with the file fails, the old one is as it was.

    Raises
    ------
    OSError
        With the name of the file.
    """
    target = Path(os.path.realpath(path))
    partial = target.with_name(f".homfem-{os.getpid()}.part")
    try:
        if (target.exists() and not target.is_file()) or not os.access(target.parent, os.W_OK):
            with target.open("wb") as stream:
                yield stream
            return
        try:
            with partial.open("wb") as stream:
                yield stream
            if target.exists():
                shutil.copymode(target, partial)
            partial.replace(target)
        finally:
            partial.unlink(missing_ok=True)
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(path)) from error


# What HDF5 and ADIOS2 take beside the numbers: buffers, indices, and again at the end.
_SPARE = 1 << 20


def require_room(path: str | Path, size: int) -> None:
    """Refuse to begin a file where there is no room for it: HDF5 and ADIOS2 end the process when they find out.

    Parameters
    ----------
    path
        The file; its folder exists.
    size
        Bytes of the numbers in it.

    Raises
    ------
    OSError
        With the name of the file.
    """
    place = os.statvfs(Path(path).parent)
    if place.f_blocks and place.f_bavail * place.f_frsize < size + _SPARE:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))


@contextmanager
def writing(path: str | Path) -> Iterator[None]:
    """Give errors of the system that name no file this one, and take away what was begun of it.

    Raises
    ------
    OSError
        With the name of the file.
    """
    try:
        yield
    except OSError as error:
        if error.errno is None:
            raise
        if error.errno in (errno.ENOSPC, errno.EFBIG, errno.EDQUOT) and Path(path).is_file():
            Path(path).unlink()
        raise OSError(error.errno, error.strerror, error.filename or str(path)) from error
