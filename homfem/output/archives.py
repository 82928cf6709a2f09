"""NumPy archives (``.npz``) whose arrays lie in blocks over the ranks: rank 0 writes and reads block by block.

A file is one stream of bytes with checksums, so one rank writes it; it never holds more than one block of an array.
To ``numpy.load`` they are plain arrays.
"""

from __future__ import annotations

import functools
import zipfile
from collections.abc import Callable, Mapping
from contextlib import suppress
from io import BytesIO
from typing import IO, Any

import numpy as np
import numpy.typing as npt
from mpi4py import MPI

Values = npt.NDArray[Any]

_TAG = 71
#: What damaged or foreign archives make the reader raise.
BROKEN = (zipfile.BadZipFile, zipfile.LargeZipFile, OSError, EOFError, ValueError, KeyError)


class ArchiveWriter:
    """Writes an archive to a stream that rank 0 has opened.

    What fails is raised by :meth:`finish`, on rank 0.

    Parameters
    ----------
    comm
        The ranks.
    file
        The stream; None on the other ranks.
    """

    def __init__(self, comm: MPI.Comm, file: IO[bytes] | None) -> None:
        self.comm = comm
        self._failure: OSError | None = None
        self._stream: Any = None
        self._zip = None if file is None else zipfile.ZipFile(file, "w", zipfile.ZIP_STORED)

    def add(self, name: str, block: Values) -> None:
        """Add an array of which each rank has a block along the first axis, in their order; collective."""
        block = np.ascontiguousarray(block)
        counts = self.comm.gather(len(block))
        if counts is None:
            self.comm.Send(_bytes(block), 0, _TAG)
            return
        self._try(lambda: self._begin(name, block.dtype, (sum(counts), *block.shape[1:])))
        for rank, count in enumerate(counts):
            piece = block if rank == 0 else np.empty((count, *block.shape[1:]), dtype=block.dtype)
            if rank:  # also after a failure: the other rank waits
                self.comm.Recv(_bytes(piece), rank, _TAG)
            self._try(functools.partial(write_piece, self._stream, piece))
        self._try(lambda: self._stream.close())

    def add_whole(self, arrays: Mapping[str, Values]) -> None:
        """Add arrays that rank 0 has; nothing on the others."""
        for name, array in arrays.items() if self.comm.rank == 0 else ():
            self._try(functools.partial(self._begin, name, array.dtype, array.shape))
            self._try(functools.partial(write_piece, self._stream, array))
            self._try(lambda: self._stream.close())

    def finish(self) -> None:
        """Write the directory of the archive."""
        if self._zip is not None:
            self._try(self._zip.close)
        if self._failure is not None:
            for entry in (self._stream, self._zip):
                with suppress(OSError, ValueError):
                    if entry is not None:
                        entry.close()
            raise self._failure

    def _begin(self, name: str, kind: Any, shape: tuple[int, ...]) -> None:
        header = BytesIO()
        description = {"descr": np.lib.format.dtype_to_descr(kind), "fortran_order": False, "shape": shape}
        np.lib.format.write_array_header_1_0(header, description)
        zip_file = self._zip
        if zip_file is None:
            raise OSError(name)
        self._stream = zip_file.open(f"{name}.npy", "w", force_zip64=True)
        self._stream.write(header.getvalue())

    def _try(self, work: Callable[[], None]) -> None:
        """Do work unless some has failed."""
        if self._failure is None:
            try:
                work()
            except OSError as error:
                self._failure = error


def write_piece(stream: IO[bytes], piece: Values) -> None:
    """Write the numbers of an array as they are in memory."""
    stream.write(_bytes(np.ascontiguousarray(piece)).data)


class ArchiveReader:
    """Reads an archive on rank 0 and hands blocks to the others.

    Parameters
    ----------
    comm
        The ranks.
    path
        The file; None on the other ranks.

    Raises
    ------
    One of ``BROKEN``
        On rank 0, for what is no archive.
    """

    def __init__(self, comm: MPI.Comm, path: Any) -> None:
        self.comm, self.names, self._zip = comm, list[str](), None
        if path is not None:
            if not zipfile.is_zipfile(path):
                raise zipfile.BadZipFile("no archive")
            self._zip = zipfile.ZipFile(path)
            self.names = [name.removesuffix(".npy") for name in self._zip.namelist()]

    def whole(self, name: str) -> Values:
        """Return an array; on rank 0."""
        stream, kind, shape = self._open(name)
        with stream:
            values = np.frombuffer(stream.read(), dtype=kind)
        return values.reshape(shape).copy()

    def block(self, name: str, like: Values) -> Values:
        """Return this rank's block of an array, of the shape and type of ``like``; collective.

        Raises
        ------
        One of ``BROKEN``
            On rank 0, if the file is damaged or the blocks do not cover the array; the others then return zeros.
        """
        counts = self.comm.gather(len(like))
        mine = np.zeros_like(like)
        if counts is None:
            self.comm.Recv(_bytes(mine), 0, _TAG)
            return mine
        failure: Exception | None = None
        stream: Any = None
        for rank, count in enumerate(counts):
            piece = np.zeros((count, *like.shape[1:]), dtype=like.dtype)
            try:
                if failure is None:
                    if stream is None:
                        stream, kind, shape = self._open(name)
                        if kind != like.dtype or shape != (sum(counts), *like.shape[1:]):
                            raise ValueError(name)
                    piece = np.frombuffer(stream.read(piece.nbytes), dtype=like.dtype).reshape(piece.shape)
                    if rank == len(counts) - 1 and stream.read(1):
                        raise ValueError(name)
            except BROKEN as error:
                failure = error
            if rank:
                self.comm.Send(_bytes(np.ascontiguousarray(piece)), rank, _TAG)
            else:
                mine = piece.copy()
        if failure is not None:
            raise failure
        return mine

    def close(self) -> None:
        """Close the file."""
        if self._zip is not None:
            self._zip.close()

    def _open(self, name: str) -> tuple[IO[bytes], np.dtype[Any], tuple[int, ...]]:
        if self._zip is None:
            raise KeyError(name)
        stream = self._zip.open(f"{name}.npy")
        version = np.lib.format.read_magic(stream)
        read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        shape, turned, kind = read(stream)
        if turned or kind.hasobject:
            raise ValueError(name)
        return stream, kind, shape


def _bytes(array: Values) -> npt.NDArray[np.uint8]:
    return array.reshape(-1).view(np.uint8)
