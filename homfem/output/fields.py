"""Fields in time: XDMF with HDF5 for ParaView, PyVista and meshio, VTX (ADIOS2) for ParaView, or VTU."""

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
from homfem.macro.domain import Domain
from homfem.macro.state import Units
from homfem.output.xdmf import XdmfSeries, data_places
from homfem.parameters import FileError, InputError
from homfem.ranks import collective

_NO_UNITS = Units()


class FieldSeries:
    """Writes functions at several times; use it in a ``with`` block. Collective.

    After each time the files are whole: however the run ends, what was written can be read.

    Parameters
    ----------
    path : Path or str
        ``NAME.xdmf``, with ``NAME.h5`` and the folder ``NAME-times`` beside it, for functions of any spaces with values
        at points: all of them in each grid, at nodes of degree 1 or 2 (:class:`homfem.output.grids.Grid`), in order
        for ParaView, PyVista and meshio. ``NAME.bp`` (a folder of ADIOS2, for ParaView) or
        ``NAME.pvd`` with a ``.vtu`` file for each time (and each rank) for Lagrange functions of one space.
    functions
        Functions on one mesh, with different names.
    units
        Of times, lengths and fields; they stand in the files of XDMF.
    domain
        Its regions are cell data of XDMF.
    after
        Go on with the series at the path, of which the steps up to this one are kept; XDMF only.

    Raises
    ------
    InputError
        If the functions are of several meshes or share a name, or the format does not take their spaces.
    FileError
        If the suffix is another, the folder does not exist, something else has the name, the series to go on with is of
        other functions, or dolfinx was built without ADIOS2.
    OSError
        If there is no room for the file; before the writers, which end the process, find out.

    Example
    -------
    ``with FieldSeries("wave.xdmf", [c, e]) as series: series.write(0.0)``
    """

    def __init__(
        self,
        path: Path | str,
        functions: Sequence[fem.Function],
        *,
        units: Units = _NO_UNITS,
        domain: Domain | None = None,
        after: int | None = None,
    ) -> None:
        self.path, self.functions = Path(path), list(functions)
        if not self.functions:
            raise InputError("functions", [], "at least one function")
        first = self.functions[0].function_space
        names = [function.name for function in self.functions]
        if len(set(names)) < len(names):
            raise InputError("functions", names, "functions with different names", "Give each one a name of its own.")
        for function in self.functions:
            if function.function_space.mesh is not first.mesh:
                raise InputError("functions", names, "functions on one mesh", "Write one file per mesh.")
        self.comm = first.mesh.comm
        with collective(self.comm):
            if self.path.suffix not in (".xdmf", ".bp", ".pvd"):
                raise FileError("path", str(path), "a name that ends in .xdmf, .bp or .pvd")
            if self.comm.rank == 0:
                self._check_place()
        mesh, per_cell = first.mesh, geometry_dofmap(first.mesh).shape[1]
        spaces = [function.function_space for function in self.functions]
        self._values = 8 * sum(space.dofmap.index_map.size_global * space.dofmap.bs for space in spaces)
        self._require_room(8 * per_cell * mesh.topology.index_map(mesh.topology.dim).size_global + 3 * self._values)
        self._open = True
        self._writer: Any = None  # VTX or VTU
        self._xdmf: XdmfSeries | None = None
        if self.path.suffix == ".xdmf":
            self._xdmf = XdmfSeries(self.path, self.functions, units=units, domain=domain, after=after)
        else:
            self._writer = self._open_writer()

    @property
    def last(self) -> int | None:
        """The last step in the files of XDMF; None before the first."""
        return None if self._xdmf is None else self._xdmf.last

    def _check_place(self) -> None:
        """Refuse a path that the writers cannot take: they would end the process."""
        if not self.path.parent.is_dir():
            raise FileError("path", str(self.path), "in a folder that exists", "Make the folder first.")
        folders = self.path.suffix == ".bp"
        start, times = data_places(self.path)
        for path in (self.path,) if folders else (self.path, start):
            if path.exists() and path.is_dir() != folders:
                raise FileError("path", str(path), "the name of a folder or a new name" if folders else "no folder")
        if not folders and times.exists() and not times.is_dir():
            raise FileError("path", str(times), "a folder of the series or a new name")
        if not os.access(self.path if self.path.exists() else self.path.parent, os.W_OK):
            raise FileError("path", str(self.path), "in a folder that can be written in")

    def _require_room(self, size: int) -> None:
        with collective(self.comm):
            if self.comm.rank == 0:
                require_room(self.path, size)

    def _open_writer(self) -> Any:
        spaces = [function.function_space for function in self.functions]
        names, elements = [function.name for function in self.functions], [space.ufl_element() for space in spaces]
        if any(element != elements[0] for element in elements):
            raise InputError("functions", names, "functions of one space", "Write one file per space, or NAME.xdmf.")
        if getattr(elements[0], "family_name", "") != "P":
            remedy = "Write NAME.xdmf, or interpolate them into a discontinuous Lagrange space."
            raise InputError("functions", str(elements[0]), "Lagrange functions, continuous or not", remedy)
        if self.path.suffix == ".pvd":
            from dolfinx.io import VTKFile

            return VTKFile(self.comm, str(self.path), "w")
        try:
            from dolfinx.io import VTXWriter
        except ImportError as error:
            raise FileError("path", str(self.path), "NAME.xdmf: this dolfinx has no ADIOS2") from error
        return VTXWriter(self.comm, str(self.path), self.functions, engine="BP4")

    def write(self, time: float, step: int | None = None) -> None:
        """Write the functions as they are now, for the given time; steps ascend, by default by one."""
        if not self._open:
            raise InputError("series", "closed", "open; write inside the with block")
        if not np.isfinite(time):
            raise InputError("time", time, "a finite number")
        self._require_room(2 * self._values)
        if self._xdmf is not None:
            self._xdmf.write(float(time), step)
        elif self.path.suffix == ".pvd":
            self._writer.write_function(self.functions, float(time))
        else:
            self._writer.write(time)

    def close(self) -> None:
        """Finish the file; a second call does nothing."""
        self._open = False
        if self._writer is not None:
            self._writer.close()
            self._writer = None

    def __enter__(self) -> FieldSeries:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def write_unfolded(
    path: Path | str,
    periodic_mesh: Any,
    functions: Sequence[fem.Function],
    *,
    units: Units = _NO_UNITS,
    domain: Domain | None = None,
) -> None:
    """Write functions on a periodic mesh as they lie in space, to ``.bp`` or ``.xdmf``; collective.

    Parameters
    ----------
    path
        As for :class:`FieldSeries`.
    periodic_mesh
        The :class:`homfem.periodic.PeriodicMesh` of the cell.
    functions
        Functions of one space on ``periodic_mesh.mesh`` (or on ``.plain``), with different names.
    units, domain
        As for :class:`FieldSeries`; the mesh of the domain is ``periodic_mesh.plain``.
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
    with FieldSeries(path, shared, units=units, domain=domain) as series:
        series.write(0.0)
