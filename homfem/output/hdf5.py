"""HDF5 files whose arrays lie in blocks over the ranks: written by all of them at once where HDF5 can."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from mpi4py import MPI

from homfem.output.grids import Part
from homfem.ranks import collective

_TAG = 72


def write_hdf5(comm: MPI.Comm, path: Path, parts: Mapping[str, Part], attributes: Mapping[str, Any]) -> None:
    """Write a file that is there whole or not at all; collective.

    With an HDF5 for MPI each rank writes its own blocks, else rank 0 takes and writes one block after the other.

    Parameters
    ----------
    path
        The file, which is replaced; its folder exists.
    parts
        By the path in the file the block of this rank.
    attributes
        Of the whole file (under the key ``""``) and of arrays, each a mapping.

    Raises
    ------
    OSError
        If it cannot be written.
    """
    import h5py

    partial = path.with_name(f"{path.name}.part")
    failure = None
    try:
        if comm.size == 1:
            with h5py.File(partial, "w") as file:
                _fill(file, parts, attributes)
        elif h5py.get_config().mpi:
            with h5py.File(partial, "w", driver="mpio", comm=comm) as file:
                _fill(file, parts, attributes)
        else:
            _write_by_root(comm, partial, parts, attributes)
    except OSError as error:
        failure = error
    with collective(comm):
        if failure is not None:
            raise failure
    with collective(comm):
        if comm.rank == 0:
            os.replace(partial, path)


def _begin(file: Any, parts: Mapping[str, Part], attributes: Mapping[str, Any]) -> dict[str, Any]:
    found = {
        place: file.create_dataset(place, (part.size, *part.block.shape[1:]), part.block.dtype)
        for place, part in parts.items()
    }
    for place, entries in attributes.items():
        (found[place] if place else file).attrs.update(entries)
    return found


def _fill(file: Any, parts: Mapping[str, Part], attributes: Mapping[str, Any]) -> None:
    for place, written in _begin(file, parts, attributes).items():
        block, first = parts[place].block, parts[place].first
        if len(block):
            written[first : first + len(block)] = block


def _write_by_root(comm: MPI.Comm, path: Path, parts: Mapping[str, Part], attributes: Mapping[str, Any]) -> None:
    import h5py

    if comm.rank:
        for part in parts.values():
            comm.gather((part.first, len(part.block)))
            comm.Send(np.ascontiguousarray(part.block).reshape(-1).view(np.uint8), 0, _TAG)
        return
    failure = None
    file = None
    try:
        file = h5py.File(path, "w")
        _begin(file, parts, attributes)
    except OSError as error:
        failure = error
    for place, part in parts.items():
        for rank, (first, count) in enumerate(comm.gather((part.first, len(part.block))) or []):
            block = part.block if rank == 0 else np.empty((count, *part.block.shape[1:]), part.block.dtype)
            if rank:  # also after a failure: the other rank waits
                comm.Recv(block.reshape(-1).view(np.uint8), rank, _TAG)
            if failure is None and file is not None and count:
                try:
                    file[place][first : first + count] = block
                except OSError as error:
                    failure = error
    if file is not None:
        file.close()
    if failure is not None:
        raise failure
