r"""The fields in the microstructure for a given macroscopic load (localisation), over one period or several.

With the correctors :math:`\chi_j` and the macroscopic gradient :math:`s`,

.. math:: u(x) = F_s(x) + \sum_j s_j\,\chi_j(x) ,

a potential or a displacement, whose gradient is periodic: over the next period it grows by :math:`F_s(a_k)`. Further
loads (a temperature, an activation, a pressure) follow the gradient in :math:`s`. Across membranes a potential jumps.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import basix.ufl
import numpy as np
import numpy.typing as npt
import ufl
from dolfinx import fem
from mpi4py import MPI

from homfem import _dolfinx, solve
from homfem.cells.unitcell import UnitCell
from homfem.local.problem import Correctors
from homfem.meshing.arrays.raw_cell import RawCell
from homfem.meshing.topology.tiles import tiled_raw
from homfem.output.fields import FieldSeries
from homfem.output.pictures import draw_cell
from homfem.output.solved import fields_of_load, shown_fields, values_at_arrays
from homfem.output.views import CellView
from homfem.parameters import Array, InputError, check_number
from homfem.ranks import collective
from homfem.reference import CORNERS


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class MicroFields:
    r"""The fields of one period as arrays, on rank 0; empty elsewhere.

    Parameters
    ----------
    cell
        The cell that was solved.
    load : array, shape (loads,)
        The macroscopic gradient: of the potential, or the Voigt strain; then further loads.
    field : array, shape (n,) or (n, d); with ``jumps`` (m, corners) or (m, corners, d)
        :math:`u` at the nodes of ``cell.raw``, or at the corners of each of its mesh cells; in units of length times
        that of the load.
    flux : array, shape (m, q)
        The flux (diffusion) or the Voigt stress (elasticity) in the middle of each mesh cell of ``cell.raw``; its
        average over the cell is the effective tensor times the load.
    growth : array, shape (d, 1) or (d, d)
        What :math:`u` grows by along each period vector.
    jumps
        Whether the field jumps from phase to phase, across membranes.
    """

    cell: UnitCell
    load: Array
    field: Array
    flux: Array
    growth: Array
    jumps: bool = False

    def unfolded(self, periods: int | Sequence[int] = 1) -> tuple[RawCell, Array, Array]:
        """Return the arrays of several periods: mesh (in ``cell.length_unit``), field and flux; on rank 0 only."""
        raw = self.cell.raw
        if raw is None:
            raise InputError("rank", self.cell.comm.rank, "0: the arrays are there")
        d = raw.dimension
        counts = [periods] * d if isinstance(periods, (int, np.integer)) else list(periods)
        big, node, shift = tiled_raw(raw, counts, partial=self.cell.partial)
        copies = len(big.cells) // len(raw.cells)
        flux = np.tile(self.flux, (copies, 1))
        if self.jumps:
            corners = slice(None, CORNERS[raw.kind])
            moved = big.points[big.cells[:, corners]] - np.tile(raw.points[raw.cells[:, corners]], (copies, 1, 1))
            several = np.tile(self.field.reshape(*raw.cells[:, corners].shape, -1), (copies, 1, 1))
            grown = several + np.rint(moved @ np.linalg.inv(raw.lattice.vectors)) @ self.growth
        else:
            # A node of the big mesh is a node of the cell, moved by whole periods.
            grown = self.field.reshape(len(raw.points), -1)[node] + shift @ self.growth
        return big, grown.reshape(-1, *self.field.shape[1:]), flux

    def write(self, path: str | Path, periods: int | Sequence[int] = 1) -> tuple[Path, Path]:
        """Write field and flux over several periods to two files, ``NAME.bp`` and ``NAME_flux.bp`` (VTX); collective.

        Raises
        ------
        FileError
            For another suffix, or a folder that does not exist, on every rank.
        """
        target = Path(path)
        second = target.with_name(f"{target.stem}_flux{target.suffix}")
        with collective(self.cell.comm):
            if self.cell.comm.rank == 0:
                raw, field, flux = self.unfolded(periods)
                mesh = _mesh_of(raw)
                for name, place, values, element in (
                    ("field", target, field, ("DG" if self.jumps else "Lagrange", 1)),
                    ("flux", second, flux, ("DG", 0)),
                ):
                    with FieldSeries(place, [_function(mesh, name, values, element)]) as series:
                        series.write(0.0)
        return target, second

    def draw(self, path: str | Path, periods: int | Sequence[int] = 1, *, deform: float = 0.0, title: str = "") -> None:
        """Draw the field over several periods: a potential, or the size of a displacement; collective.

        Parameters
        ----------
        path
            Name that ends in .png.
        periods
            Number of periods along each period vector.
        deform
            Largest displacement in the picture, as a fraction of the picture's extent; 0 leaves the mesh as it is.
        title
            Line above the picture.

        Raises
        ------
        InputError
            For a deformation of a scalar field, and of one that jumps.
        FileError
            As :func:`homfem.output.pictures.draw_cell`.
        """
        deform = check_number("deform", deform, at_least=0.0)
        with collective(self.cell.comm):
            if self.cell.comm.rank == 0:
                raw, field, _ = self.unfolded(periods)
                vector = field.ndim > (2 if self.jumps else 1)
                if deform and (self.jumps or not vector):
                    raise InputError("deform", deform, "0 for a potential, and for a field that jumps")
                # A potential is what it is up to a constant: half-way is zero.
                values = np.linalg.norm(field, axis=-1) if vector else field - 0.5 * (field.min() + field.max())
                moved = deform * np.ptp(raw.points, axis=0).max() / max(float(values.max()), 1e-300) if deform else 0.0
                draw_cell(
                    self.cell.length * (raw.points + moved * field if vector else raw.points),
                    raw.cells,
                    raw.phase_of_cell,
                    path,
                    phases=raw.phases,
                    corrector=self.cell.length * values,
                    view=CellView(
                        label=f"{'displacement' if vector else 'potential'} ({self.cell.length_unit})",
                        translucent=(),
                        title=title or self.cell.name,
                        unit=self.cell.length_unit,
                    ),
                )


def localise(cell: UnitCell, correctors: Correctors, load: npt.ArrayLike) -> MicroFields:
    """Return the fields in the cell for a macroscopic gradient; collective.

    Parameters
    ----------
    cell, correctors
        What was solved: ``solution.cell`` and ``solution.correctors``, of diffusion (with membranes or without) or
        elasticity; coupled elasticity with the cell restricted to the solid phases.
    load : array, shape (loads,)
        The gradient of the potential, or the Voigt strain (engineering shear); then the further loads of coupled
        elasticity, such as the temperature. The flux is that in the mesh: none in voids, whatever their pressure.

    Raises
    ------
    InputError
        For a load of another size, for the symmetric part of a cell, and for a physics that has several fields (but
        for one that jumps from phase to phase) or no macroscopic gradient.
    """
    cell.require_whole()
    problem = correctors.problem
    if problem.domain is not cell.mesh and problem.domain is not cell.periodic_mesh.plain:
        raise InputError("cell", cell.name, "the cell that was solved", "Take solution.cell, or give the solid alone.")
    shown = list(shown_fields(problem).values())
    if len(shown) != 1 or problem.affine is None or problem.flux is None:
        raise InputError("correctors", problem.name, "of one field that a macroscopic gradient drives, with its flux")
    weights = np.asarray(load, dtype=np.float64)
    if weights.shape != (problem.loads,) or not np.all(np.isfinite(weights)):
        raise InputError("load", load, f"{problem.loads} finite numbers, one for each load of {problem.name}")
    fluctuations = [fem.Function(space, name="fluctuation") for space in correctors.spaces]
    for weight, corrector in zip(weights, correctors.functions, strict=True):
        for fluctuation, part in zip(fluctuations, fields_of_load(problem, corrector), strict=True):
            fluctuation.x.array[:] += weight * part.x.array
    constant = fem.Constant(problem.domain, weights)
    affine = fields_of_load(problem, problem.affine(ufl.SpatialCoordinate(problem.domain), constant))
    total = problem.pick([one + other for one, other in zip(fluctuations, affine, strict=True)])
    flux = _on_cells(cell, problem.flux(total, constant), problem.domain)
    values = values_at_arrays(cell, problem, shown[0], fluctuations)
    matrix = _gradient_of(problem, weights, cell.dimension)
    about: dict[str, Any] = {
        "cell": cell,
        "load": weights,
        "growth": cell.lattice.vectors @ matrix,
        "jumps": len(shown[0]) > 1,
    }
    if values is None or cell.raw is None or flux is None:
        return MicroFields(**about, field=np.zeros(0), flux=np.zeros((0, 0)))
    places = cell.raw.points @ matrix
    if about["jumps"]:
        places = places[cell.raw.cells[:, : CORNERS[cell.raw.kind]]]
    return MicroFields(**about, field=values + places.reshape(values.shape), flux=flux)


def _gradient_of(problem: Any, weights: Array, d: int) -> Array:
    """The matrix G with F(x) = x G, read off at the unit vectors."""
    load = ufl.as_vector(weights.tolist())
    columns = []
    for k in range(d):
        value = fields_of_load(problem, problem.affine(ufl.as_vector(np.eye(d)[k].tolist()), load))[0]
        entries = [value] if not value.ufl_shape else [value[i] for i in range(value.ufl_shape[0])]
        columns.append([float(entry) for entry in entries])
    return np.array(columns)


def _on_cells(cell: UnitCell, expression: Any, domain: Any) -> Array | None:
    """An expression in the middle of each mesh cell, in the order of the arrays; on rank 0."""
    shape = expression.ufl_shape
    function = fem.Function(solve.function_space(domain, "DG", 0, shape))
    function.interpolate(fem.Expression(expression, _dolfinx.interpolation_points(function.function_space)))
    owned = domain.topology.index_map(domain.topology.dim).size_local
    number = _dolfinx.original_cell_index(domain)[:owned]
    size = int(np.prod(shape, dtype=int))
    mine = function.x.array.reshape(-1, size)[:owned]
    gathered = cell.comm.gather((number, mine), root=0)
    if gathered is None:
        return None
    result = np.empty((sum(len(index) for index, _ in gathered), size))
    for index, entries in gathered:
        result[index] = entries
    return result


def _mesh_of(raw: RawCell) -> Any:
    element = basix.ufl.element("Lagrange", raw.kind, 1, shape=(raw.dimension,), dtype=np.float64)
    return _dolfinx.create_mesh(MPI.COMM_SELF, raw.cells[:, : CORNERS[raw.kind]], raw.points, element)


def _function(mesh: Any, name: str, values: Array, element: tuple[str, int]) -> fem.Function:
    """A function from values at nodes (continuous), on cells (DG of degree 0), or at their corners (degree 1)."""
    shape = values.shape[2:] if element == ("DG", 1) else values.shape[1:]
    space = fem.functionspace(mesh, (*element, shape) if shape else element)
    function = fem.Function(space, name=name)
    entries = function.x.array.reshape(-1, *shape)
    if element[0] == "DG":
        local = space.dofmap.list if element[1] else space.dofmap.list.ravel()
        entries[local] = values[_dolfinx.original_cell_index(mesh)]
    else:
        node = np.asarray(mesh.geometry.input_global_indices)[_dolfinx.geometry_dofmap(mesh)]
        entries[space.dofmap.list.ravel()] = values[node.ravel()]
    return function
