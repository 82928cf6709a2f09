r"""The fields in the microstructure for a given macroscopic load (localisation), over one period or several.

With the correctors :math:`\chi_j` and the macroscopic gradient :math:`s`,

.. math:: u(x) = F_s(x) + \sum_j s_j\,\chi_j(x) ,

a potential or a displacement, whose gradient is periodic: over the next period it grows by :math:`F_s(a_k)`.
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
from homfem.cells.raw import RawCell
from homfem.cells.tiling import tiled_raw
from homfem.cells.unitcell import UnitCell
from homfem.local.problem import Correctors
from homfem.output.fields import FieldSeries
from homfem.output.pictures import draw_cell
from homfem.parameters import Array, InputError, check_number
from homfem.reference import CORNERS


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class MicroFields:
    r"""The fields of one period as arrays, on rank 0; empty elsewhere.

    Parameters
    ----------
    cell
        The cell that was solved.
    load : array, shape (loads,)
        The macroscopic gradient: of the potential, or the Voigt strain.
    field : array, shape (n,) or (n, d)
        :math:`u` at the nodes of ``cell.raw``, in units of length times that of the load.
    flux : array, shape (m, q)
        The flux (diffusion) or the Voigt stress (elasticity) in the middle of each mesh cell of ``cell.raw``; its
        average over the cell is the effective tensor times the load.
    growth : array, shape (d, 1) or (d, d)
        What :math:`u` grows by along each period vector.
    """

    cell: UnitCell
    load: Array
    field: Array
    flux: Array
    growth: Array

    def unfolded(self, periods: int | Sequence[int] = 1) -> tuple[RawCell, Array, Array]:
        """Return the arrays of several periods: mesh (in ``cell.length_unit``), field and flux; on rank 0 only."""
        raw = self.cell.raw
        if raw is None:
            raise InputError("rank", self.cell.comm.rank, "0: the arrays are there")
        d = raw.dimension
        counts = [periods] * d if isinstance(periods, (int, np.integer)) else list(periods)
        big, node, shift = tiled_raw(raw, counts, partial=self.cell.partial)
        # A node of the big mesh is a node of the cell, moved by whole periods.
        grown = self.field.reshape(len(raw.points), -1)[node] + shift @ self.growth
        flux = np.tile(self.flux, (len(big.cells) // len(raw.cells), 1))
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
        with solve.collective(self.cell.comm):
            if self.cell.comm.rank == 0:
                raw, field, flux = self.unfolded(periods)
                mesh = _mesh_of(raw)
                for name, place, values, element in (
                    ("field", target, field, ("Lagrange", 1)),
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
            For a deformation of a scalar field.
        FileError
            As :func:`homfem.output.pictures.draw_cell`.
        """
        deform = check_number("deform", deform, at_least=0.0)
        with solve.collective(self.cell.comm):
            if self.cell.comm.rank == 0:
                raw, field, _ = self.unfolded(periods)
                vector = field.ndim > 1
                if deform and not vector:
                    raise InputError("deform", deform, "0 for a potential")
                # A potential is what it is up to a constant: half-way is zero.
                values = np.linalg.norm(field, axis=1) if vector else field - 0.5 * (field.min() + field.max())
                moved = deform * np.ptp(raw.points, axis=0).max() / max(float(values.max()), 1e-300) if deform else 0.0
                draw_cell(
                    self.cell.length * (raw.points + moved * field if vector else raw.points),
                    raw.cells,
                    raw.phase_of_cell,
                    path,
                    phases=raw.phases,
                    corrector=self.cell.length * values,
                    label=f"{'displacement' if vector else 'potential'} ({self.cell.length_unit})",
                    translucent=(),
                    title=title or self.cell.name,
                    unit=self.cell.length_unit,
                )


def localise(cell: UnitCell, correctors: Correctors, load: npt.ArrayLike) -> MicroFields:
    """Return the fields in the cell for a macroscopic gradient; collective.

    Parameters
    ----------
    cell, correctors
        What was solved: ``solution.cell`` and ``solution.upper``, of diffusion or elasticity.
    load : array, shape (loads,)
        The gradient of the potential, or the Voigt strain (engineering shear).

    Raises
    ------
    InputError
        For a load of another size, for the symmetric part of a cell, and for a physics of several fields or without a
        macroscopic gradient.
    """
    cell.require_whole()
    problem = correctors.problem
    if len(problem.fields) != 1 or problem.affine is None or problem.flux is None:
        raise InputError("correctors", problem.name, "of one field that a macroscopic gradient drives, with its flux")
    weights = np.asarray(load, dtype=np.float64)
    if weights.shape != (problem.loads,) or not np.all(np.isfinite(weights)):
        raise InputError("load", load, f"{problem.loads} finite numbers, one for each load of {problem.name}")
    space = correctors.space
    fluctuation = fem.Function(space, name="fluctuation")
    for weight, corrector in zip(weights, correctors.functions, strict=True):
        fluctuation.x.array[:] += weight * corrector.x.array
    constant = fem.Constant(problem.domain, weights)
    total = fluctuation + problem.affine(ufl.SpatialCoordinate(problem.domain), constant)
    flux = _on_cells(cell, problem.flux(total), problem.domain)
    values = cell.nodal_values(fluctuation)
    matrix = _gradient_of(problem, weights, cell.dimension)
    growth = cell.lattice.vectors @ matrix
    if values is None or cell.raw is None or flux is None:
        return MicroFields(cell=cell, load=weights, field=np.zeros(0), flux=np.zeros((0, 0)), growth=growth)
    whole = values.reshape(len(values), -1) + cell.raw.points @ matrix
    return MicroFields(cell=cell, load=weights, field=whole.reshape(values.shape), flux=flux, growth=growth)


def _gradient_of(problem: Any, weights: Array, d: int) -> Array:
    """The matrix G with F(x) = x G, read off at the unit vectors."""
    load = ufl.as_vector(weights.tolist())
    columns = []
    for k in range(d):
        value = problem.affine(ufl.as_vector(np.eye(d)[k].tolist()), load)
        entries = [value] if not value.ufl_shape else [value[i] for i in range(value.ufl_shape[0])]
        columns.append([float(entry) for entry in entries])
    return np.array(columns)


def _on_cells(cell: UnitCell, expression: Any, domain: Any) -> Array | None:
    """An expression in the middle of each mesh cell, in the order of the arrays; on rank 0."""
    shape = expression.ufl_shape
    function = fem.Function(fem.functionspace(domain, ("DG", 0, shape) if shape else ("DG", 0)))
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
    shape = values.shape[1:]
    space = fem.functionspace(mesh, (*element, shape) if shape else element)
    function = fem.Function(space, name=name)
    entries = function.x.array.reshape(-1, *shape)
    if element[0] == "DG":
        entries[space.dofmap.list.ravel()] = values[_dolfinx.original_cell_index(mesh)]
    else:
        node = np.asarray(mesh.geometry.input_global_indices)[_dolfinx.geometry_dofmap(mesh)]
        entries[space.dofmap.list.ravel()] = values[node.ravel()]
    return function
