"""Checkpoints of fields of any spaces that restart on any number of ranks, and are whole or refused.

A checkpoint is one NumPy archive: the values of each field in an order that does not depend on the ranks
(:mod:`homfem.solve.numbering`), the nodes of the meshes, series of numbers, the state of the run and what tells its
problem from others. Rank 0 writes and reads it block by block (:mod:`homfem.output.archives`). It is written to a new
file, synchronised and renamed; the one before is kept as ``NAME.previous``. The checksums and the directory of the
archive, which stands at its end, tell a truncated file.

A mesh is the same on another number of ranks if it was made from the same arrays (a Gmsh model, a file, a box); cells
and coordinates are compared, so that another mesh is refused. A mesh that was refined in parallel is not.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from dolfinx import fem
from mpi4py import MPI

from homfem.macro.state import StateField
from homfem.output.archives import BROKEN, ArchiveReader, ArchiveWriter
from homfem.parameters import Array, CheckpointError, InputError
from homfem.ranks import collective
from homfem.solve import MeshNumbering, Numbering

_FORMAT = "homfem checkpoint 4"
_EXACT = 1e-11  # numbers that the input gives: its units are converted
_ABOUT = 1e-10  # numbers that sums over the ranks or solvers make


class Saved(NamedTuple):
    """What a checkpoint holds: values of the fields that the rank owns, series (on rank 0), the state of the run."""

    values: Mapping[str, Array]
    series: Mapping[str, Array]
    state: Mapping[str, Any]


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
    _numberings: list[Numbering] = field(default_factory=list, init=False, repr=False, compare=False)

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

    def prepare(self, spaces: Mapping[str, fem.FunctionSpace]) -> None:
        """Number the dofs of the fields to come, which takes longer than to write them; collective."""
        self._number(spaces)

    def write(
        self,
        fields: Mapping[str, StateField],
        *,
        state: Mapping[str, Any],
        problem: Mapping[str, Any],
        series: Mapping[str, Array] | None = None,
    ) -> None:
        """Write a checkpoint; collective.

        Parameters
        ----------
        fields
            Fields by name, of any spaces; their arrays begin with the values that the rank owns.
        state
            Where the run is: numbers, strings, lists and mappings that JSON takes.
        problem
            What tells the problem from others, likewise; :meth:`read` compares it. Numbers that may differ with the
            number of ranks stand in a mapping ``{"about": numbers}``.
        series
            Further arrays by name, whole on rank 0; what the other ranks give is not used.

        Raises
        ------
        CheckpointError
            If the file cannot be written. Any file at the path is then as it was.
        """
        spaces, meshes = self._number({name: entry.space for name, entry in fields.items()})
        header = {
            "format": _FORMAT,
            "fields": {name: _described(numbering, meshes) for name, numbering in spaces.items()},
            "meshes": [{"digest": mesh.digest, "nodes": _nodes(mesh)} for mesh in meshes],
            "state": dict(state),
            "problem": dict(problem),
        }
        with self._replacing(meshes[0].comm) as archive:
            archive.add_whole({"header": np.frombuffer(json.dumps(header).encode(), dtype=np.uint8)})
            for number, mesh in enumerate(meshes):
                archive.add(f"keys {number}", mesh.keys)
                archive.add(f"points {number}", mesh.points)
            for name, entry in fields.items():
                archive.add(f"field {name}", spaces[name].to_block(entry.values))
            archive.add_whole({f"series {name}": np.asarray(values) for name, values in (series or {}).items()})

    def _number(self, spaces: Mapping[str, fem.FunctionSpace]) -> tuple[dict[str, Numbering], list[MeshNumbering]]:
        """Return the numbering of each space, and those of their meshes; made once, kept with the file. Collective."""
        if not spaces:
            raise InputError("fields", [], "at least one field")
        found: dict[str, Numbering] = {}
        for name, space in spaces.items():
            known = next((entry for entry in self._numberings if entry.space is space), None)
            if known is None:
                same = (e.mesh for e in self._numberings if e.mesh.mesh._cpp_object is space.mesh._cpp_object)
                known = Numbering(space, next(same, None))
                self._numberings.append(known)
            found[name] = known
        meshes: list[MeshNumbering] = []
        for numbering in found.values():
            if not any(mesh is numbering.mesh for mesh in meshes):
                meshes.append(numbering.mesh)
        return found, meshes

    @contextmanager
    def _replacing(self, comm: MPI.Comm) -> Iterator[ArchiveWriter]:
        """Give a new archive, which takes the place of the old one if all is well; collective."""
        path, root = Path(self.path), comm.rank == 0
        partial = path.with_name(f"{path.name}.part")
        file = None
        with self._refusing(comm):
            file = open(partial, "wb") if root else None  # noqa: SIM115 - closed below, on every way
        archive = ArchiveWriter(comm, file)
        try:
            yield archive
            with self._refusing(comm):
                archive.finish()
                if file is not None:
                    file.flush()
                    os.fsync(file.fileno())
                    file.close()
                    self._take_place(partial)
        finally:
            if file is not None:
                file.close()
                partial.unlink(missing_ok=True)

    @contextmanager
    def _refusing(self, comm: MPI.Comm) -> Iterator[None]:
        with collective(comm):
            try:
                yield
            except OSError as error:
                remedy = f"{error.strerror}: check folder, rights and space."
                raise CheckpointError("checkpoint", str(self.path), "a path that can be written", remedy) from error

    def _take_place(self, partial: Path) -> None:
        path = Path(self.path)
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

    def read(self, spaces: Mapping[str, fem.FunctionSpace], problem: Mapping[str, Any] | None = None) -> Saved:
        """Read a checkpoint on any number of ranks; collective.

        Parameters
        ----------
        spaces
            The space of each field in the checkpoint, on the meshes that it was written from.
        problem
            If given, the checkpoint must be of this problem: the same names, and numbers that agree to 1e-11, those
            in ``{"about": numbers}`` to 1e-10, relative to the largest of a list.

        Raises
        ------
        CheckpointError
            If the file is missing, truncated, no checkpoint, of other meshes, fields, spaces or of another problem.
        """
        numberings, meshes = self._number(spaces)
        comm = meshes[0].comm
        with self._open(comm) as archive:
            header: dict[str, Any] = {}
            with self._reading(comm):
                if comm.rank == 0:
                    header = json.loads(archive.whole("header").tobytes())
            header = comm.bcast(header)
            if not isinstance(header, dict) or header.get("format") != _FORMAT:
                remedy = "Go on with the version of homfem that made it, or start anew in another folder."
                raise CheckpointError("checkpoint", str(self.path), f"of the format {_FORMAT!r}", remedy)
            self._compare_meshes(archive, header["meshes"], meshes)
            with collective(comm):
                self._compare(header["problem"], problem)
                self._compare_fields(header["fields"], numberings, meshes)
            values = {}
            for name, numbering in numberings.items():
                like = np.empty((numbering.rows, numbering.block))
                values[name] = numbering.from_block(self._block(archive, f"field {name}", like))
            series = {}
            with self._reading(comm):
                names = [name for name in archive.names if name.startswith("series ")]
                series = {name.removeprefix("series "): archive.whole(name) for name in names}
        return Saved(values, series, header["state"])

    def _block(self, archive: ArchiveReader, name: str, like: npt.NDArray[Any]) -> npt.NDArray[Any]:
        with self._reading(archive.comm):
            return archive.block(name, like)

    def _compare_meshes(self, archive: ArchiveReader, stored: list[Any], meshes: list[MeshNumbering]) -> None:
        remedy = "Restart on the mesh that it was written from, made from the same arrays."
        path = str(self.path)
        if len(stored) != len(meshes):
            raise CheckpointError("checkpoint", path, f"of {len(meshes)} mesh(es), not {len(stored)}", remedy)
        for number, (there, mesh) in enumerate(zip(stored, meshes, strict=True)):
            if there["nodes"] != _nodes(mesh):
                allowed = f"of a mesh of {_nodes(mesh)} nodes, not {there['nodes']} nodes"
                raise CheckpointError("checkpoint", path, allowed, remedy)
            keys = self._block(archive, f"keys {number}", mesh.keys)
            points = self._block(archive, f"points {number}", mesh.points)
            apart = np.abs(points - mesh.points).max(initial=0.0) if np.array_equal(keys, mesh.keys) else np.inf
            measured = np.concatenate(
                [points.max(axis=0, initial=-np.inf), -points.min(axis=0, initial=np.inf), [apart]]
            )
            mesh.comm.Allreduce(MPI.IN_PLACE, measured, op=MPI.MAX)
            if not measured[6] <= 1e-10 * (measured[:3] + measured[3:6]).max():
                raise CheckpointError("checkpoint", path, "of this mesh: its nodes are others", remedy)
            if there["digest"] != mesh.digest:
                raise CheckpointError("checkpoint", path, "of this mesh: its cells are others", remedy)

    def _compare_fields(
        self,
        stored: Mapping[str, dict[str, Any]],
        numberings: Mapping[str, Numbering],
        meshes: list[MeshNumbering],
    ) -> None:
        wanted = {name: _described(numbering, meshes) for name, numbering in numberings.items()}
        wrong = [
            f"{name}: {_space(stored.get(name))} in the checkpoint, {_space(wanted.get(name))} here"
            for name in sorted({*stored, *wanted})
            if {**stored.get(name, {}), "orientation": ""} != {**wanted.get(name, {}), "orientation": ""}
        ]
        if wrong:
            remedy = "Restart with the spaces that it was written from."
            raise CheckpointError("checkpoint", str(self.path), "of these fields; " + "; ".join(wrong), remedy)
        for name, numbering in numberings.items():
            if stored[name]["orientation"] != numbering.orientation:
                allowed = f"with the nodes of each cell in this order, for {name} (in a mesh of facets ranks choose it)"
                raise CheckpointError("checkpoint", str(self.path), allowed, "Restart on as many ranks as wrote it.")

    @property
    def _remedy(self) -> str:
        if self.previous.is_file():
            return f"The checkpoint before it is {str(self.previous)!r}: copy it to this path, or start anew."
        return "Start anew."

    @contextmanager
    def _reading(self, comm: MPI.Comm) -> Iterator[None]:
        """Say on every rank what is wrong with the file; collective."""
        failure = None
        try:
            yield
        except BROKEN as error:
            failure = error
        with collective(comm):
            if failure is not None:
                allowed = "a whole checkpoint; this file is truncated, damaged or of another kind"
                raise CheckpointError("checkpoint", str(self.path), allowed, self._remedy) from failure

    @contextmanager
    def _open(self, comm: MPI.Comm) -> Iterator[ArchiveReader]:
        path = Path(self.path)
        with collective(comm):
            if comm.rank == 0 and not path.is_file():
                allowed, remedy = "a file that exists", f"Check the path. {self._remedy}"
                raise CheckpointError("checkpoint", str(path), allowed, remedy)
        with self._reading(comm):
            archive = ArchiveReader(comm, path if comm.rank == 0 else None)
        try:
            yield archive
        finally:
            archive.close()

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


def _nodes(mesh: MeshNumbering) -> int:
    """Return the number of nodes of a mesh, over all ranks; collective."""
    return int(mesh.comm.allreduce(len(mesh.keys)))


def _described(numbering: Numbering, meshes: list[MeshNumbering]) -> dict[str, Any]:
    """Return what tells a space from others on its mesh."""
    place = next(number for number, mesh in enumerate(meshes) if mesh is numbering.mesh)
    element, orientation = str(numbering.space.ufl_element()), numbering.orientation
    return {"element": element, "mesh": place, "values": numbering.size, "orientation": orientation}


def _space(described: Mapping[str, Any] | None) -> str:
    if described is None:
        return "nothing"
    element = described["element"]
    element = element if len(element) <= 80 else f"{element[:77]}..."
    return f"{element} with {described['values']} values on mesh {described['mesh']}"


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
