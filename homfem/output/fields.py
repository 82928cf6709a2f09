"""Fields in time for ParaView: XDMF with HDF5, or VTX (ADIOS2). One file holds functions of one space."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
from dolfinx import fem

from homfem._dolfinx import geometry_dofmap
from homfem.disk import require_room
from homfem.parameters import FileError, InputError
from homfem.ranks import collective


class FieldSeries:
    """Writes functions at several times; use it in a ``with`` block. Collective.

    After each time the file is whole: however the run ends, what was written can be read.

    Parameters
    ----------
    path : Path or str
        ``NAME.xdmf`` (and ``NAME.h5`` beside it) for functions of the degree of the mesh or constant on cells;
        ``NAME.bp`` (a folder) for Lagrange functions of any degree.
    functions
        Functions of one space on one mesh, with different names.

    Raises
    ------
    InputError
        If the functions are of several spaces or share a name, or the format does not take their element.
    FileError
        If the suffix is another, the folder does not exist, something else has the name, or dolfinx was built without
        ADIOS2.
    OSError
        If there is no room for the file; before the writers, which end the process, find out.

    Example
    -------
    ``with FieldSeries("wave.bp", [c, e]) as series: series.write(0.0)``
    """

    def __init__(self, path: Path | str, functions: Sequence[fem.Function]) -> None:
        self.path, self.functions = Path(path), list(functions)
        if not self.functions:
            raise InputError("functions", [], "at least one function")
        first = self.functions[0].function_space
        names = [function.name for function in self.functions]
        if len(set(names)) < len(names):
            raise InputError("functions", names, "functions with different names", "Give each one a name of its own.")
        for function in self.functions:
            space = function.function_space
            if space.mesh is not first.mesh or space.ufl_element() != first.ufl_element():
                raise InputError("functions", names, "functions of one space", "Write one file per space.")
        self.comm = first.mesh.comm
        element = first.ufl_element()
        if getattr(element, "family_name", "") != "P":
            remedy = "Interpolate them into a discontinuous Lagrange space, or write the parts of a mixed one."
            raise InputError("functions", str(element), "Lagrange functions, continuous or not", remedy)
        with collective(self.comm):
            if self.path.suffix not in (".xdmf", ".bp"):
                raise FileError("path", str(path), "a name that ends in .xdmf or .bp")
            if self.comm.rank == 0:
                self._check_place()
        mesh, per_cell = first.mesh, geometry_dofmap(first.mesh).shape[1]
        self._values = 8 * len(self.functions) * first.dofmap.index_map.size_global * first.dofmap.bs
        self._require_room(8 * per_cell * mesh.topology.index_map(mesh.topology.dim).size_global + 3 * self._values)
        self._open = True
        self._vtx: Any = None
        if self.path.suffix == ".xdmf":
            self._begin_xdmf(first)
        else:
            self._vtx = self._open_vtx()

    def _check_place(self) -> None:
        """Refuse a path that the writers cannot take: they would end the process."""
        if not self.path.parent.is_dir():
            raise FileError("path", str(self.path), "in a folder that exists", "Make the folder first.")
        folders = self.path.suffix == ".bp"
        for path in (self.path,) if folders else (self.path, self.path.with_suffix(".h5")):
            if path.exists() and path.is_dir() != folders:
                raise FileError("path", str(path), "the name of a folder or a new name" if folders else "no folder")
        if not os.access(self.path if self.path.exists() else self.path.parent, os.W_OK):
            raise FileError("path", str(self.path), "in a folder that can be written in")

    def _require_room(self, size: int) -> None:
        with collective(self.comm):
            if self.comm.rank == 0:
                require_room(self.path, size)

    def _begin_xdmf(self, space: fem.FunctionSpace) -> None:
        from dolfinx.io import XDMFFile

        element, mesh = space.ufl_element(), space.mesh
        degree, cmap_degree = (
            element.embedded_superdegree,
            mesh.ufl_domain().ufl_coordinate_element().embedded_superdegree,
        )
        if not (degree == 0 or (degree == cmap_degree and not element.discontinuous)):
            raise InputError(
                "functions", str(element), "of the degree of the mesh or 0 for XDMF", "Use NAME.bp instead."
            )
        with XDMFFile(self.comm, str(self.path), "w") as file:
            file.write_mesh(mesh)

    def _open_vtx(self) -> Any:
        try:
            from dolfinx.io import VTXWriter
        except ImportError as error:
            raise FileError("path", str(self.path), "NAME.xdmf: this dolfinx has no ADIOS2") from error
        return VTXWriter(self.comm, str(self.path), self.functions, engine="BP4")

    def write(self, time: float) -> None:
        """Write the functions as they are now, for the given time."""
        if not self._open:
            raise InputError("series", "closed", "open; write inside the with block")
        if not np.isfinite(time):
            raise InputError("time", time, "a finite number")
        self._require_room(2 * self._values)
        if self._vtx is not None:
            self._vtx.write(time)
            return
        from dolfinx.io import XDMFFile

        # HDF5 files that are open when a process ends cannot be read.
        with XDMFFile(self.comm, str(self.path), "a") as file:
            for function in self.functions:
                file.write_function(function, time)

    def close(self) -> None:
        """Finish the file; a second call does nothing."""
        self._open = False
        if self._vtx is not None:
            self._vtx.close()
            self._vtx = None

    def __enter__(self) -> FieldSeries:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def write_unfolded(path: Path | str, periodic_mesh: Any, functions: Sequence[fem.Function]) -> None:
    """Write functions on a periodic mesh as they lie in space, to ``.bp`` or ``.xdmf``; collective.

    Parameters
    ----------
    path
        As for :class:`FieldSeries`; correctors of degree two need ``NAME.bp``.
    periodic_mesh
        The :class:`homfem.periodic.PeriodicMesh` of the cell.
    functions
        Functions of one space on ``periodic_mesh.mesh`` (or on ``.plain``), with different names.
    """
    unfolded = [
        function if function.function_space.mesh is periodic_mesh.plain else periodic_mesh.to_plain(function)
        for function in functions
    ]
    # One space for all, as the writers want it.
    space = unfolded[0].function_space
    shared = []
    for function in unfolded:
        copy = fem.Function(space, name=function.name)
        copy.x.array[:] = function.x.array
        shared.append(copy)
    with FieldSeries(path, shared) as series:
        series.write(0.0)
