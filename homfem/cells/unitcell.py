"""The unit cell: a distributed periodic mesh with its phases, named facets, lattice and physical size.

A cell is meshed on rank 0 as plain arrays (:class:`homfem.meshing.arrays.raw_cell.RawCell`), checked there, and
distributed. The arrays stay on rank 0: a phase alone, a refined cell and a file are made from them, so that each is
balanced anew.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from dolfinx import fem
from dolfinx import mesh as dmesh
from mpi4py import MPI

from homfem import _dolfinx, periodic, solve
from homfem.cells import features
from homfem.cells.description import describe
from homfem.meshing.arrays import raw_cell
from homfem.meshing.arrays.raw_cell import RawCell
from homfem.meshing.files import saved
from homfem.meshing.shapes.plan import CellPlan
from homfem.meshing.topology.broadcast import head_of
from homfem.meshing.topology.faces import join
from homfem.meshing.topology.mirrors import Mirror
from homfem.meshing.topology.percolation import PhaseConnectivity, merged, on_islands
from homfem.parameters import Array, InputError, Lattice, PercolationError, check_choice, check_number, left_out
from homfem.reference import is_simplex

log = logging.getLogger("homfem")


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class UnitCell:
    r"""One period of a microstructure, meshed and distributed.

    Parameters
    ----------
    name
        What it is, for messages and results.
    lattice
        Period vectors in mesh units (of order one).
    length, length_unit
        Physical length of one mesh unit, and its unit: period vectors are ``length * lattice.vectors``.
    phases : mapping
        Phase name to the tag in the arrays; phases are named everywhere else.
    periodic_mesh
        The mesh as a torus (``mesh``) and as it lies in space (``plain``).
    phase_of_cell : array of int, shape (local cells,)
        Tag of the phase of each local cell of ``mesh``, ghosts included.
    facets : mapping
        Name to local facets of ``mesh``: interfaces ``"a|b"`` between phases, period faces ``"period-1"``..., and
        what the mesh file named.
    volume_fractions : mapping
        Volume of each phase over the volume of the period; measured on the mesh.
    interface_area
        Area of all phase boundaries per cell volume, in 1 / ``length_unit``; measured on the mesh.
    connectivity : mapping
        For each phase its connected parts and the directions along which they reach through the cell.
    whole
        The same for all phases of the mesh together.
    part_of_cell : array of int, shape (local cells,)
        Number of the connected part of the whole mesh to which each local cell belongs.
    element_of_cell : array of int, shape (local cells,)
        Number of the element of the mesh, or voxel of the image, as it was made, of which each local cell is a part.
    element_shape
        Shape of an array with a value for each of them: that of the image, or the number of mesh cells.
    order
        Degree of the geometry.
    affine
        Whether every mesh cell is an affine image of the reference cell, so that energies are integrated exactly.
    slivers
        Local facets that stand for a curved surface, and the volumes between the two, shape (k, 2), in mesh units:
        where the true phase of the first cell at the facet is larger than its mesh, and where it is smaller.
    raw
        The arrays; on rank 0 only, None elsewhere.
    partial
        Whether it is a part of a cell whose faces were matched: a face of the part may be a wall.
    mirrors
        The mesh is what lies between these mirror planes of a symmetric cell (:mod:`homfem.cells.symmetry`), and all
        numbers are those of the whole; none for a mesh of the whole.
    cracks
        Whether parts that touch and are not joined are meant.
    warnings
        What must be said of every result of this cell, such as that its mesh has cracks.

    Notes
    -----
    Made by :meth:`from_raw` or the functions of :mod:`homfem.cells`; every number is global.
    """

    name: str
    lattice: Lattice
    length: float
    length_unit: str
    phases: Mapping[str, int]
    periodic_mesh: periodic.PeriodicMesh
    phase_of_cell: npt.NDArray[np.int32]
    facets: Mapping[str, npt.NDArray[np.int32]]
    volume_fractions: Mapping[str, float]
    interface_area: float
    connectivity: Mapping[str, PhaseConnectivity]
    whole: PhaseConnectivity
    part_of_cell: npt.NDArray[np.int32]
    element_of_cell: npt.NDArray[np.int64]
    element_shape: tuple[int, ...]
    order: int
    affine: bool
    slivers: features.Slivers
    raw: RawCell | None
    seconds: Mapping[str, float] = field(default_factory=dict)
    partial: bool = False
    mirrors: tuple[Mirror, ...] = ()
    cracks: bool = False
    warnings: tuple[str, ...] = ()

    @property
    def copies(self) -> int:
        """How many mirror images of the mesh make one period; 1 for a mesh of the whole."""
        return 1 << len(self.mirrors)

    @property
    def mesh(self) -> dmesh.Mesh:
        """The periodic mesh (a torus); the mesh as it lies in space where opposite faces do not match."""
        return self.periodic_mesh.mesh

    @property
    def comm(self) -> MPI.Comm:
        """The communicator of the mesh."""
        return self.mesh.comm

    @property
    def dimension(self) -> int:
        """Number of space dimensions."""
        return self.lattice.dimension

    @property
    def kind(self) -> str:
        """Shape of the mesh cells, such as ``"tetrahedron"``."""
        return str(self.mesh.basix_cell().name)

    @property
    def simplicial(self) -> bool:
        """Whether the mesh cells are simplices."""
        return is_simplex(self.kind)

    @property
    def faces(self) -> str:
        """``"matching"``, or ``"non-matching"`` where opposite faces need not match."""
        return "matching" if self.periodic_mesh.seam is None else "non-matching"

    @property
    def origin(self) -> Array | None:
        """Low corner of the cell in lattice coordinates, where opposite faces need not match; else None."""
        return None if self.periodic_mesh.seam is None else self.periodic_mesh.seam.origin

    @property
    def phase_names(self) -> tuple[str, ...]:
        """Names of the phases."""
        return tuple(self.phases)

    @property
    def number_of_cells(self) -> int:
        """Number of mesh cells, over all ranks."""
        return int(self.mesh.topology.index_map(self.mesh.topology.dim).size_global)

    @property
    def periods(self) -> tuple[float, ...]:
        """Lengths of the period vectors, in ``length_unit``."""
        return tuple(float(v) for v in self.length * np.linalg.norm(self.lattice.vectors, axis=1))

    @classmethod
    def from_raw(
        cls,
        make: Callable[[], RawCell | None] | RawCell | None,
        *,
        comm: MPI.Comm,
        name: str = "cell",
        length: float = 1.0,
        length_unit: str = "m",
        normalise: bool = False,
        partial: bool = False,
        faces: str = "matching",
        origin: Array | None = None,
        cracks: bool = False,
    ) -> UnitCell:
        """Distribute a cell; collective.

        Parameters
        ----------
        make
            The arrays, or a function that makes them; called on rank 0 only. Elsewhere it may be None.
        comm
            Communicator of the cell.
        name
            What it is.
        length, length_unit
            Physical length of one mesh unit.
        normalise
            Scale the mesh so that its shortest period is 1, and ``length`` so that the physical size stays.
        partial
            The arrays are some of the phases of a cell whose faces were found to match, see
            :func:`homfem.periodic.identify_nodes`.
        faces, origin
            Whether opposite faces match, and where they need not, for a part of a cell, the low corner of that cell:
            see :func:`homfem.meshing.topology.faces.join`.
        cracks
            Whether parts that touch and are not joined, else refused, are meant
            (:mod:`homfem.meshing.topology.cracks`).

        Raises
        ------
        CellError
            On every rank, if rank 0 could not make the cell, its faces do not match or its parts are not joined.
        """
        length = check_number("length", length, above=0.0, remedy="The period is a length.")
        start = time.perf_counter()
        raw: RawCell | None = None
        head: dict[str, Any] = {}
        representative: npt.NDArray[np.int64] = np.zeros(0, dtype=np.int64)
        with solve.collective(comm):
            if comm.rank == 0:
                raw = make() if callable(make) else make
                if raw is None:
                    raise InputError("make", make, "a RawCell, or a function that makes one, on rank 0")
                if normalise:
                    length = raw.lattice.shortest * length
                    raw = raw_cell.scaled(raw, 1.0 / raw.lattice.shortest)
                meshed = time.perf_counter()
                head, representative = head_of(raw, faces=faces, partial=partial, origin=origin, cracks=cracks)
                head["seconds"] = {"mesh": meshed - start, "identify": time.perf_counter() - meshed}
                head["length"] = length
        head = comm.bcast(head, root=0)
        lattice: Lattice = head["lattice"]
        length = head["length"]
        checked = time.perf_counter()
        dimension = lattice.dimension
        points = raw.points if raw is not None else np.zeros((0, dimension))
        cells = (
            raw.cells
            if raw is not None
            else np.zeros((0, raw_cell.CELL_NODES[head["kind"], head["order"]]), dtype=np.int64)
        )
        if head["origin"] is None:
            periodic_mesh = periodic.create_periodic_mesh(
                comm, points, cells, representative, kind=head["kind"], order=head["order"]
            )
        else:
            periodic_mesh = periodic.create_open_mesh(
                comm, points, cells, head["phase_of_cell"], head["origin"], kind=head["kind"]
            )
        mesh = periodic_mesh.mesh
        number = _dolfinx.original_cell_index(mesh)
        phase_of_cell = head["phase_of_cell"][number]
        fractions, area, _ = features.measure(mesh, phase_of_cell, head["phases"], lattice, affine=head["affine"])
        facets, slivers = features.named_facets(periodic_mesh, phase_of_cell, head)
        seconds = head["seconds"] | {"periodic mesh": time.perf_counter() - checked}
        cell = cls(
            name=name,
            lattice=lattice,
            length=length,
            length_unit=length_unit,
            phases=head["phases"],
            periodic_mesh=periodic_mesh,
            phase_of_cell=phase_of_cell,
            facets=facets,
            volume_fractions=fractions,
            interface_area=(area + head["seam_area"]) / (lattice.volume * length),
            connectivity=head["connectivity"],
            whole=head["whole"],
            part_of_cell=features.on_cells(head["part_of_cell"], number),
            element_of_cell=head["element"][number],
            element_shape=head["element_shape"],
            order=head["order"],
            affine=head["affine"],
            slivers=slivers,
            raw=raw,
            seconds=seconds,
            partial=partial,
            cracks=cracks,
            warnings=head["warnings"],
        )
        for warning in cell.warnings:
            log.warning("%s: %s", name, warning)
        log.info("%s: %d cells, %.2f s", name, cell.number_of_cells, time.perf_counter() - start)
        return cell

    @classmethod
    def from_plan(cls, plan: CellPlan, *, comm: MPI.Comm) -> UnitCell:
        """Mesh and distribute a planned cell; collective."""
        cell = cls.from_raw(plan.make, comm=comm, name=plan.name, length=plan.length, length_unit=plan.length_unit)
        cell = cell if plan.phases is None else cell.restrict(plan.phases)
        return replace(cell, warnings=plan.warnings + cell.warnings) if plan.warnings else cell

    def restrict(self, phase_names: Sequence[str]) -> UnitCell:
        """Return the cell with the named phases alone, distributed anew; collective.

        Volume fractions and interface area stay those of the whole cell. Raises :class:`InputError` for an unknown
        phase.
        """
        for name in phase_names:
            check_choice("phase", name, self.phase_names)
        if set(phase_names) == set(self.phases):
            return self
        whole = self.raw
        return self._with(lambda: raw_cell.restrict(whole, phase_names) if whole is not None else None)

    def without_islands(self) -> UnitCell:
        """Return the cell without the parts of its mesh that percolate in no direction; collective.

        They carry no flux. A phase with no other part is gone, which the warnings say; volume fractions stay.
        """
        whole = self.raw
        if not self.whole.islands or not self.whole.rank:
            return self

        def make() -> RawCell | None:
            if whole is None:
                return None
            joined = join(whole, faces=self.faces, partial=True, origin=self.origin)
            return raw_cell.select(whole, ~on_islands(merged(whole), *joined.nodes))

        part = self._with(make)
        warnings = left_out(name for name in self.phases if name not in part.phases)
        for warning in warnings:
            log.warning("%s: %s", self.name, warning)
        return replace(part, warnings=self.warnings + warnings)

    def _with(self, make: Callable[[], RawCell | None]) -> UnitCell:
        """The cell with some of its mesh."""
        if self.mirrors:
            raise InputError("cell", self.name, "whole", "Take the symmetric part last, when the phases are chosen.")
        part = UnitCell.from_raw(
            make,
            comm=self.comm,
            name=self.name,
            length=self.length,
            length_unit=self.length_unit,
            partial=True,
            faces=self.faces,
            origin=self.origin,
            cracks=self.cracks,
        )
        known = {name: getattr(self, name) for name in ("volume_fractions", "interface_area", "warnings")}
        return replace(part, **known)

    def require_percolation(self) -> None:
        """Raise :class:`PercolationError` unless the mesh reaches from cell to cell in at least one direction."""
        if not self.whole.rank:
            raise PercolationError(
                "phases",
                self.phase_names,
                "connected from one cell to the next in at least one direction",
                "Their effective coefficient is zero: give a surrounding phase a coefficient as well.",
            )

    def require_whole(self) -> None:
        """Raise :class:`InputError` for the part of a cell between mirror planes, where the whole is needed."""
        if self.mirrors:
            raise InputError("cell", self.name, "whole, not its part between mirror planes", "Give the whole cell.")

    def cell_function(self, values: Mapping[str, Any]) -> fem.Function:
        """Return a function that is constant on each mesh cell, with one number or matrix per phase.

        Parameters
        ----------
        values
            For each phase of the cell a number, or an array of one shape for all.
        """
        arrays = {name: np.asarray(value, dtype=np.float64) for name, value in values.items()}
        shape = arrays[next(iter(arrays))].shape
        space = solve.function_space(self.mesh, "DG", 0, shape)
        function = fem.Function(space)
        size = int(np.prod(shape)) if shape else 1
        table = np.zeros((max(self.phases.values()) + 1, size))
        for name, tag in self.phases.items():
            table[tag] = arrays[name].ravel()
        function.x.array[:] = table[self.phase_of_cell].ravel()
        return function

    def nodal_values(self, function: fem.Function) -> npt.NDArray[np.float64] | None:
        """Return a periodic function at the nodes of the arrays, on rank 0 (None elsewhere); collective.

        ``values[i]`` belongs to ``raw.points[i]``, of shape (n,) or, of a vector, (n, components); where a function is
        not continuous it is that of one of the cells at the node.
        """
        return features.at_nodes(function, self.periodic_mesh, None if self.raw is None else len(self.raw.points))

    def describe(self) -> str:
        """Return a readable description: sizes, phases, fractions, connectivity, named facets (collective)."""
        return describe(self)

    def save(self, path: str | Path) -> None:
        """Write the cell to a ``.msh`` (Gmsh) or ``.xdmf`` (ParaView) file; collective.

        What the file format cannot hold (name, lattice, physical length) goes into a small JSON file beside it.
        """
        self.require_whole()
        target = Path(path)
        check_choice("suffix", target.suffix, saved.SUFFIXES)
        with solve.collective(self.comm):
            if self.raw is not None:
                about = {
                    "name": self.name,
                    "length": self.length,
                    "length_unit": self.length_unit,
                    "partial": self.partial,
                    "faces": self.faces,
                    "origin": None if self.origin is None else self.origin.tolist(),
                    "cracks": self.cracks,
                    "warnings": list(self.warnings),
                }
                saved.write_cell(self.raw, target, about)
