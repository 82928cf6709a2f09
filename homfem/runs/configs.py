"""The config of a run, from a file, a mapping or a checked config, and the ranks that it runs on."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from homfem.config import Config, make_config, plain_document, read_document, set_values
from homfem.parameters import InputError
from homfem.ranks import require_communicator, world

if TYPE_CHECKING:
    from mpi4py import MPI

Source = str | Path | Mapping[str, Any] | Config
"""The path of a TOML file, its tables as a mapping, or a checked config."""

Overrides = Mapping[str, Any] | Iterable[str]
"""Keys to set: values by the path of the key, or assignments ``"path.to.key=value"`` as on the command line."""


def read_config(
    config: Source, *, overrides: Overrides = (), folder: str | Path | None = None, needed: Iterable[str] = ()
) -> Config:
    """Return the checked config of a run. Every rank reads it.

    Parameters
    ----------
    config
        The path of a TOML file, its tables as a mapping, or a config that was checked before.
    overrides
        Keys to set, ``{"cell.edge": 0.2}`` or ``["cell.edge=0.2"]``.
    folder
        Where the paths in the config are sought from; by default the folder of the file, for a mapping the current one.
    needed
        Names of the tables that must be there.

    Raises
    ------
    FileError
        If a file is missing or is not TOML.
    InputError
        For the first thing that is wrong in it: the path of its key, its value, what is allowed.
    """
    document: Mapping[str, Any]
    if isinstance(config, Config):
        document, place = config.document, config.folder
    elif isinstance(config, Mapping):
        document, place = plain_document(config), Path()
    elif isinstance(config, (str, Path)):
        document, place = read_document(config), Path(config).parent
    else:
        raise InputError("config", config, "the path of a TOML file, a mapping of its tables, or a checked config")
    if folder is not None and not isinstance(folder, (str, Path)):
        raise InputError("folder", folder, "the path of a folder")
    place = place if folder is None else Path(folder)
    return make_config(set_values(document, overrides), folder=place, needed=needed)


def communicator(comm: MPI.Comm | None) -> MPI.Comm:
    """Return the communicator of a run: that of all ranks, if none is given.

    Raises
    ------
    InputError
        For anything else than a communicator of ``mpi4py``.
    """
    return world() if comm is None else require_communicator(comm)
