"""The unit cell: a periodic mesh with its phases, named facets, lattice and physical size.

A cell is meshed on rank 0 as plain arrays (:class:`homfem.meshing.arrays.raw_cell.RawCell`), checked there, and
distributed when its mesh is asked for. The arrays stay on rank 0: a phase alone, a refined cell and a file are made
from them, so that each is balanced anew.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Unpack

import numpy as np
import numpy.typing as npt
from dolfinx import fem
from dolfinx import mesh as dmesh
from mpi4py import MPI

from homfem import periodic, solve
from homfem.cells.description import describe
from homfem.cells.distribution import Distribution
from homfem.cells.features import Slivers, at_nodes
from homfem.cells.making import Making, MakingOptions, made
from homfem.keywords import takes
from homfem.meshing.arrays import raw_cell
from homfem.meshing.arrays.raw_cell import RawCell
from homfem.meshing.files import saved
from homfem.meshing.shapes.plan import CellPlan
from homfem.meshing.topology.broadcast import Facts, Known
from homfem.meshing.topology.faces import join
from homfem.meshing.topology.mirrors import Mirror
from homfem.meshing.topology.percolation import PhaseConnectivity, merged, on_islands
from homfem.parameters import Array, InputError, Lattice, PercolationError, check_choice, left_out
from homfem.ranks import collective
from homfem.reference import is_simplex

log = logging.getLogger("homfem")


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class UnitCell:
    r"""One period of a microstructure, meshed and distributed.

    Parameters
    ----------
    name
        What it is, for messages and results.
    length, length_unit
        Physical length of one mesh unit, and its unit: period vectors are ``length * lattice.vectors``.
    facts
        What was found on the arrays: lattice, phases, connectivity, ...
    distribution
        The mesh over the ranks. It is made when it is first asked for, so that of a cell whose phases, islands and
        mirrors are chosen first only what is left is distributed.
    volume_fractions : mapping
        Volume of each phase over the volume of the period; measured on the mesh.
    interface_area
        Area of all phase boundaries per cell volume, in 1 / ``length_unit``; measured on the mesh.
    raw
        The arrays; on rank 0 only, None elsewhere.
    partial
        Whether it is a part of a cell whose faces were matched: a face of the part may be a wall.
    mirrors
        The mesh is what lies between these mirror planes of a symmetric cell (:mod:`homfem.cells.symmetry`), and all
        numbers are those of the whole; none for a mesh of the whole.
    cracks, warnings
        Whether parts that touch and are not joined are meant, and what must be said of every result of this cell.

    Notes
    -----
    Made by :meth:`from_raw` or the functions of :mod:`homfem.cells`; every number is global.
    """

    name: str
    length: float
    length_unit: str
    facts: Facts
    distribution: Distribution
    volume_fractions: Mapping[str, float]
    interface_area: float
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
    def lattice(self) -> Lattice:
        """Period vectors in mesh units (of order one)."""
        return self.facts.lattice

    @property
    def phases(self) -> Mapping[str, int]:
        """Phase name to the tag in the arrays; phases are named everywhere else."""
        return self.facts.phases

    @property
    def connectivity(self) -> Mapping[str, PhaseConnectivity]:
        """For each phase its connected parts and the directions along which they reach through the cell."""
        return self.facts.connectivity

    @property
    def whole(self) -> PhaseConnectivity:
        """The same for all phases of the mesh together."""
        return self.facts.whole

    @property
    def element_shape(self) -> tuple[int, ...]:
        """Shape of an array with a value for each element of the mesh, or voxel of the image, as it was made."""
        return self.facts.element_shape

    @property
    def order(self) -> int:
        """Degree of the geometry."""
        return self.facts.order

    @property
    def affine(self) -> bool:
        """Whether mesh cells are affine images of the reference cell, so that energies are integrated exactly."""
        return self.facts.affine

    @property
    def periodic_mesh(self) -> periodic.PeriodicMesh:
        """The mesh as a torus and as it lies in space; distributed at the first time, collective then."""
        return self.distribution.mesh.periodic_mesh

    @property
    def phase_of_cell(self) -> npt.NDArray[np.int32]:
        """Tag of the phase of each local cell of ``mesh``, ghosts included."""
        return self.distribution.mesh.phase_of_cell

    @property
    def facets(self) -> Mapping[str, npt.NDArray[np.int32]]:
        """Local facets of ``mesh``: interfaces ``"a|b"``, period faces ``"period-1"``..., what the file named."""
        return self.distribution.mesh.facets

    @property
    def part_of_cell(self) -> npt.NDArray[np.int32]:
        """Number of the connected part of the whole mesh to which each local cell belongs."""
        return self.distribution.mesh.part_of_cell

    @property
    def element_of_cell(self) -> npt.NDArray[np.int64]:
        """Number of the original element, or voxel, of which each local cell is a part."""
        return self.distribution.mesh.element_of_cell

    @property
    def slivers(self) -> Slivers:
        """Local facets that stand for a curved surface; volumes of the first cell's phase beyond them, and within."""
        return self.distribution.mesh.slivers

    @property
    def mesh(self) -> dmesh.Mesh:
        """The periodic mesh (a torus); the mesh as it lies in space where opposite faces do not match."""
        return self.periodic_mesh.mesh

    @property
    def comm(self) -> MPI.Comm:
        """The communicator of the mesh."""
        return self.distribution.comm

    @property
    def dimension(self) -> int:
        """Number of space dimensions."""
        return self.lattice.dimension

    @property
    def kind(self) -> str:
        """Shape of the mesh cells, such as ``"tetrahedron"``."""
        return self.facts.kind

    @property
    def simplicial(self) -> bool:
        """Whether the mesh cells are simplices."""
        return is_simplex(self.kind)

    @property
    def matching(self) -> bool:
        """Whether opposite faces match node by node."""
        return self.origin is None

    @property
    def faces(self) -> str:
        """``"matching"``, or ``"non-matching"`` where opposite faces need not match."""
        return "matching" if self.matching else "non-matching"

    @property
    def origin(self) -> Array | None:
        """Low corner of the cell in lattice coordinates, where opposite faces need not match; else None."""
        return self.facts.origin

    @property
    def phase_names(self) -> tuple[str, ...]:
        """Names of the phases."""
        return tuple(self.phases)

    @property
    def number_of_cells(self) -> int:
        """Number of mesh cells, over all ranks."""
        return self.facts.number_of_cells

    @property
    def periods(self) -> tuple[float, ...]:
        """Lengths of the period vectors, in ``length_unit``."""
        return tuple(float(v) for v in self.length * np.linalg.norm(self.lattice.vectors, axis=1))

    @classmethod
    @takes(Making)
    def from_raw(
        cls,
        make: Callable[[], RawCell | None] | RawCell | None,
        *,
        comm: MPI.Comm,
        **how: Unpack[MakingOptions],
    ) -> UnitCell:
        """Make a cell of arrays; collective.

        Parameters
        ----------
        make
            The arrays, or a function that makes them; called on rank 0 only. Elsewhere it may be None.
        comm
            Communicator of the cell.
        **how
            As :class:`homfem.cells.making.Making` has them.

        Raises
        ------
        CellError
            On every rank, if rank 0 could not make the cell, its faces do not match or its parts are not joined.
        """
        return cls(**made(make, comm, Making(**how)))

    @classmethod
    def from_plan(cls, plan: CellPlan, *, comm: MPI.Comm) -> UnitCell:
        """Make a planned cell; collective."""
        how = Making(name=plan.name, length=plan.length, length_unit=plan.length_unit)
        cell = cls(**made(plan.make, comm, how, conforming=plan.conforming))
        cell = cell if plan.phases is None else cell.restrict(plan.phases)
        return replace(cell, warnings=plan.warnings + cell.warnings) if plan.warnings else cell

    def restrict(self, phase_names: Sequence[str]) -> UnitCell:
        """Return the cell with the named phases alone; collective.

        Volume fractions and interface area stay those of the whole cell. Raises :class:`InputError` for an unknown
        phase.
        """
        for name in phase_names:
            check_choice("phase", name, self.phase_names)
        if set(phase_names) == set(self.phases):
            return self
        self._require_no_mirrors()
        whole = self.raw
        connectivity = {name: parts for name, parts in self.connectivity.items() if name in phase_names}
        return self.with_mesh(
            lambda: raw_cell.restrict(whole, phase_names) if whole is not None else None,
            replace(self._known, connectivity=connectivity, whole=_alone(connectivity)),
        )

    def connectivity_of(self, phase_names: Sequence[str]) -> PhaseConnectivity:
        """Return the connectivity of phases together; collective where it is that of several but not of all."""
        for name in phase_names:
            check_choice("phase", name, self.phase_names)
        if set(phase_names) == set(self.phases):
            return self.whole
        return _alone({name: self.connectivity[name] for name in phase_names}) or self.restrict(phase_names).whole

    def without_islands(self) -> UnitCell:
        """Return the cell without the parts of its mesh that percolate in no direction; collective.

        They carry no flux. A phase with no other part is gone, which the warnings say; volume fractions stay.
        """
        whole = self.raw
        if not self.whole.islands or not self.whole.rank:
            return self
        self._require_no_mirrors()

        def make() -> RawCell | None:
            if whole is None:
                return None
            joined = join(whole, faces=self.faces, partial=True, origin=self.origin)
            return raw_cell.select(whole, ~on_islands(merged(whole), *joined.nodes))

        part = self.with_mesh(make, replace(self._known, connectivity=None, whole=None))
        warnings = left_out(name for name in self.phases if name not in part.phases)
        for warning in warnings:
            log.warning("%s: %s", self.name, warning)
        return replace(part, warnings=self.warnings + warnings)

    def with_mesh(self, make: Callable[[], RawCell | None] | RawCell | None, known: Known | None = None) -> UnitCell:
        """Return the cell with other mesh cells: a part of its own, or finer ones; collective.

        Parameters
        ----------
        make
            As in :meth:`from_raw`; of a cell whose faces match in the same places.
        known
            What is known of the new cell; by default all that is known of this one.
        """
        how = Making(
            name=self.name,
            length=self.length,
            length_unit=self.length_unit,
            partial=True,
            faces=self.faces,
            origin=self.origin,
            cracks=self.cracks,
        )
        fields = made(make, self.comm, how, known=self._known if known is None else known)
        return UnitCell(**fields, mirrors=self.mirrors)

    def _require_no_mirrors(self) -> None:
        if self.mirrors:
            raise InputError("cell", self.name, "whole", "Take the symmetric part last, when the phases are chosen.")

    @property
    def _known(self) -> Known:
        names = ("volume_fractions", "interface_area", "connectivity", "whole", "warnings")
        return Known(**{name: getattr(self, name) for name in names})

    def require_percolation(self, name: str = "phases") -> None:
        """Raise :class:`PercolationError` unless the mesh reaches from cell to cell in at least one direction.

        ``name`` is that of the parameter that says which phases these are.
        """
        if not self.whole.rank:
            raise PercolationError(
                name,
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
        return at_nodes(function, self.periodic_mesh, None if self.raw is None else len(self.raw.points))

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
        with collective(self.comm):
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


def _alone(connectivity: Mapping[str, PhaseConnectivity]) -> PhaseConnectivity | None:
    """The connectivity of the only phase; None of several."""
    return next(iter(connectivity.values())) if len(connectivity) == 1 else None
