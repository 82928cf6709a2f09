"""Checkpoints of P1 fields that restart on any number of ranks, and are whole or refused.

A checkpoint is one NumPy archive: the nodal values sorted by the index that each vertex had in the arrays which made
the mesh (``mesh.geometry.input_global_indices``), the coordinates of the vertices, the state of the run and what tells
its problem from others. It is written to a new file, synchronised and renamed; the one before is kept as
``NAME.previous``. The checksums and the directory of the archive, which stands at its end, tell a truncated file.

A mesh is the same on another number of ranks if it was made from the same arrays (a Gmsh model, a file, a box); the
coordinates are compared, so that another mesh is refused. A mesh that was refined in parallel is not.
"""

from __future__ import annotations

import json
import os
import shutil
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from dolfinx import fem
from mpi4py import MPI

from homfem.parameters import Array, CheckpointError
from homfem.solve import collective, input_vertices

_FORMAT = "homfem checkpoint 2"
_EXACT = 1e-11  # numbers that the input gives: its units are converted
_ABOUT = 1e-10  # numbers that sums over the ranks or solvers make


@dataclass(frozen=True, slots=True)
class CheckpointFile:
    """A checkpoint at a path that all ranks share.

    Parameters
    ----------
    path : Path or str
        The file; its folder exists. ``PATH.previous`` holds the checkpoint before the last one.

    Example
    -------
    >>> file = CheckpointFile("wave.ckpt")
    >>> file.previous.name
    'wave.ckpt.previous'
    """

    path: Path | str

    @property
    def previous(self) -> Path:
        """Where the checkpoint before the last one is kept."""
        path = Path(self.path)
        return path.with_name(path.name + ".previous")

    def exists(self, comm: MPI.Comm) -> bool:
        """Tell whether there is a checkpoint, or one before it; the same answer on every rank (collective)."""
        files = (Path(self.path), self.previous)
        return bool(comm.bcast(any(file.is_file() for file in files) if comm.rank == 0 else None))

    def __str__(self) -> str:
        return str(self.path)

    def write(
        self,
        space: fem.FunctionSpace,
        values: Mapping[str, Array],
        *,
        state: Mapping[str, Any],
        problem: Mapping[str, Any],
    ) -> None:
        """Write a checkpoint; collective.

        Parameters
        ----------
        space
            A scalar P1 space.
        values
            Nodal values by name; each array begins with the values of the dofs that the rank owns.
        state
            Where the run is: numbers, strings, lists and mappings that JSON takes.
        problem
            What tells the problem from others, likewise; :meth:`read` compares it. Numbers that may differ with the
            number of ranks stand in a mapping ``{"about": numbers}``.

        Raises
        ------
        InputError
            If the space is not scalar P1.
        CheckpointError
            If the file cannot be written. Any file at the path is then as it was.
        """
        comm = space.mesh.comm
        keys, points = input_vertices(space)
        owned = keys.size
        table = np.column_stack([points, *(np.asarray(array)[:owned] for array in values.values())])
        parts = comm.gather((keys, table))
        with collective(comm):
            if parts is not None:
                all_keys = np.concatenate([part[0] for part in parts])
                order = np.argsort(all_keys)
                whole = np.concatenate([part[1] for part in parts])[order]
                header = {"format": _FORMAT, "names": list(values), "state": dict(state), "problem": dict(problem)}
                arrays = {
                    "header": np.frombuffer(json.dumps(header).encode(), dtype=np.uint8),
                    "keys": all_keys[order],
                    "points": whole[:, :3],
                    "values": np.ascontiguousarray(whole[:, 3:].T),
                }
                self._replace(arrays)

    def _replace(self, arrays: Mapping[str, npt.NDArray[Any]]) -> None:
        path = Path(self.path)
        partial = path.with_name(f"{path.name}.part")
        try:
            with open(partial, "wb") as file:
                np.savez(file, **arrays)  # type: ignore[arg-type]
                file.flush()
                os.fsync(file.fileno())
            if path.is_file():
                # A second name for the old file, so that there is a whole one at the path at every moment.
                spare = path.with_name(f"{path.name}.old")
                spare.unlink(missing_ok=True)
                try:
                    os.link(path, spare)
                except OSError:  # a file system without hard links
                    shutil.copyfile(path, spare)
                os.replace(spare, self.previous)
            os.replace(partial, path)
            folder = os.open(path.parent, os.O_RDONLY)
            try:
                os.fsync(folder)
            finally:
                os.close(folder)
        except OSError as error:
            partial.unlink(missing_ok=True)
            raise CheckpointError(
                "checkpoint",
                str(path),
                "a path that can be written",
                f"{error.strerror}: check folder, rights and space.",
            ) from error

    def read(
        self, space: fem.FunctionSpace, problem: Mapping[str, Any] | None = None
    ) -> tuple[dict[str, Array], dict[str, Any]]:
        """Read a checkpoint on any number of ranks; collective.

        Parameters
        ----------
        space
            A scalar P1 space on the mesh that the checkpoint was written from.
        problem
            If given, the checkpoint must be of this problem: the same names, and numbers that agree to 1e-11, those
            in ``{"about": numbers}`` to 1e-10, relative to the largest of a list.

        Returns
        -------
        values : dict of str to array
            The values of the dofs that the rank owns, by name.
        state : dict
            The state that was written.

        Raises
        ------
        CheckpointError
            If the file is missing, truncated, no checkpoint, of another mesh or of another problem.
        """
        comm = space.mesh.comm
        keys, points = input_vertices(space)
        requests = comm.gather((keys, points))
        answers: list[tuple[Array, list[str], dict[str, Any]]] | None = None
        with collective(comm):
            if requests is not None:
                arrays, header = self._load()
                answers = []
                number = sum(wanted.size for wanted, _ in requests)
                remedy = "Restart on the mesh that it was written from, made from the same arrays."
                if arrays["keys"].size != number:
                    found = f"{arrays['keys'].size} nodes"
                    raise CheckpointError(
                        "checkpoint", str(self.path), f"of a mesh of {number} nodes, not {found}", remedy
                    )
                scale = float(np.ptp(arrays["points"], axis=0).max())
                for wanted, at in requests:
                    place = np.minimum(np.searchsorted(arrays["keys"], wanted), number - 1)
                    found_keys, found_points = arrays["keys"][place], arrays["points"][place]
                    if not (
                        np.array_equal(found_keys, wanted) and np.abs(found_points - at).max(initial=0) <= 1e-10 * scale
                    ):
                        raise CheckpointError(
                            "checkpoint", str(self.path), "of this mesh: its nodes are others", remedy
                        )
                    answers.append((arrays["values"][:, place], header["names"], header["state"]))
                self._compare(header["problem"], problem)
        values, names, state = comm.scatter(answers)
        return {name: values[row].copy() for row, name in enumerate(names)}, state

    def _load(self) -> tuple[dict[str, npt.NDArray[Any]], dict[str, Any]]:
        path = Path(self.path)
        remedy = "Start anew."
        if self.previous.is_file():
            remedy = f"The checkpoint before it is {str(self.previous)!r}: copy it to this path, or start anew."
        if not path.is_file():
            raise CheckpointError("checkpoint", str(path), "a file that exists", f"Check the path. {remedy}")
        try:
            if not zipfile.is_zipfile(path):
                raise zipfile.BadZipFile("no archive")
            with np.load(path, allow_pickle=False) as archive:
                arrays = {name: archive[name] for name in ("header", "keys", "points", "values")}
            header = json.loads(arrays["header"].tobytes())
        except (zipfile.BadZipFile, zipfile.LargeZipFile, OSError, EOFError, ValueError, KeyError) as error:
            raise CheckpointError(
                "checkpoint",
                str(path),
                "a whole checkpoint; this file is truncated, damaged or of another kind",
                remedy,
            ) from error
        if not isinstance(header, dict) or header.get("format") != _FORMAT:
            remedy = "Go on with the version of homfem that made it, or start anew in another folder."
            raise CheckpointError("checkpoint", str(path), f"of the format {_FORMAT!r}", remedy)
        return arrays, header

    def _compare(self, stored: Mapping[str, Any], wanted: Mapping[str, Any] | None) -> None:
        if wanted is None:
            return
        found = _differences(stored, json.loads(json.dumps(dict(wanted))))
        if found:
            raise CheckpointError(
                "checkpoint",
                str(self.path),
                "of this problem; these differ: " + ", ".join(name for name, _, _ in found),
                "; ".join(f"{name}: {there} in the checkpoint, {here} here" for name, there, here in found)
                + ". Resume with the input that made it, or start anew in another folder.",
            )


def _differences(stored: Any, wanted: Any, name: str = "", tolerance: float = _EXACT) -> list[tuple[str, str, str]]:
    """Return the names of the entries of JSON data that differ, each with both values as text."""
    if isinstance(stored, Mapping) and isinstance(wanted, Mapping):
        if stored.keys() == wanted.keys() == {"about"}:
            return _differences(stored["about"], wanted["about"], name, _ABOUT)
        found = []
        for key in sorted({*stored, *wanted}):
            path = f"{name}.{key}" if name else key
            if key in stored and key in wanted:
                found += _differences(stored[key], wanted[key], path, tolerance)
            else:
                there, here = (_text(side[key]) if key in side else "nothing" for side in (stored, wanted))
                found.append((path, there, here))
        return found
    return [] if _same(stored, wanted, tolerance) else [(name, _text(stored), _text(wanted))]


def _same(a: Any, b: Any, tolerance: float) -> bool:
    """Compare JSON data; numbers, also nested lists of them, relative to the largest."""
    x, y = np.asarray(a), np.asarray(b)
    if x.dtype.kind not in "iuf" or y.dtype.kind not in "iuf":
        return bool(a == b)
    if x.shape != y.shape:
        return False
    largest = max(np.abs(x).max(initial=0.0), np.abs(y).max(initial=0.0))
    return bool(np.abs(x - y).max(initial=0.0) <= tolerance * largest)


def _text(value: Any) -> str:
    if isinstance(value, Mapping) and value.keys() == {"about"}:
        return _text(value["about"])
    if isinstance(value, list):
        return "[" + ", ".join(map(_text, value)) + "]"
    return f"{value:.12g}" if isinstance(value, float) else "none" if value is None else str(value)
