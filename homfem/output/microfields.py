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
from homfem.output.cell_figures import at_second_order
from homfem.output.fields import FieldSeries
from homfem.output.pictures import draw_fields, made_drawable
from homfem.output.solved import (
    fields_of_load,
    flux_of_load,
    gradient_of,
    node_places,
    on_cells,
    shown_fields,
    values_at_arrays,
)
from homfem.output.views import CellView
from homfem.output.words import load_words, with_unit
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
        The flux (diffusion) or the Voigt stress (elasticity), the mean over each mesh cell of ``cell.raw``; its
        average over the cell is the effective tensor times the load. Of dispersion the flux in the frame that moves,
        :math:`D\\nabla u-(v-\\rho V)\\chi`, whose average is the flux form times the load and the mass, but for what
        walls hold.
    fine : array, shape (m, nodes) or (m, nodes, d)
        :math:`u` in each mesh cell, at its nodes of second order or at its corners; for pictures.
    growth : array, shape (d, 1) or (d, d)
        What :math:`u` grows by along each period vector.
    jumps
        Whether the field jumps from phase to phase, across membranes.
    """

    cell: UnitCell
    load: Array
    field: Array
    flux: Array
    fine: Array
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

    def draw(
        self,
        path: str | Path,
        periods: int | Sequence[int] = 1,
        *,
        deform: float = 0.0,
        title: str = "",
        theme: str = "light",
    ) -> None:
        """Draw the field over several periods, a potential with lines along the flux, or a displacement; collective.

        Parameters
        ----------
        path
            Name that ends in .png, .pdf or .svg.
        periods
            Number of periods along each period vector.
        deform
            Largest displacement in the picture, as a fraction of the picture's extent; 0 leaves the mesh as it is. The
            title says by which factor the displacement is drawn.
        title
            Line above the picture.
        theme
            The ground: ``"light"`` or ``"dark"``.

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
                raw, field, flux = self.unfolded(periods)
                vector = field.ndim > (2 if self.jumps else 1)
                if deform and (self.jumps or not vector):
                    raise InputError("deform", deform, "0 for a potential, and for a field that jumps")
                length, unit = self.cell.length, self.cell.length_unit
                fine = length * self._several(raw)
                extent = length * float(np.ptp(raw.points, axis=0).max())
                factor = deform * extent / max(float(np.linalg.norm(fine, axis=-1).max()), 1e-300) if deform else 0.0
                plane = np.repeat(flux[:, None], fine.shape[1], axis=1) if raw.dimension == 2 and not vector else None
                lines = fine if vector else plane
                drawn = made_drawable(
                    length * raw.points,
                    raw.cells,
                    raw.phase_of_cell,
                    # A potential is what it is up to a constant: half-way is zero.
                    None if vector else fine - 0.5 * (np.nanmin(fine) + np.nanmax(fine)),
                    vectors=lines,
                    displacement=factor * fine if factor else None,
                )
                if vector:
                    drawn = drawn.sized()._replace(vectors=None)
                outline = "dashed" if raw.dimension == 2 else "frame"
                words = title or f"{self.cell.name}: {self.load_words(vector)}"
                view = CellView(
                    label=with_unit("size of the displacement" if vector else "potential", unit),
                    translucent=(),
                    title=words + (f"\ndisplacement drawn {factor:.3g} times ({outline}: at rest)" if factor else ""),
                    unit=unit,
                    theme=theme,
                    heads=False,
                )
                draw_fields(drawn, path, phases=raw.phases, view=view)

    def _several(self, raw: RawCell) -> Array:
        """The field in each mesh cell of several periods, as :meth:`unfolded` gives them."""
        own: Any = self.cell.raw
        copies = len(raw.cells) // len(own.cells)
        moved = raw.points[raw.cells[:, 0]] - np.tile(own.points[own.cells[:, 0]], (copies, 1))
        grown = np.rint(moved @ np.linalg.inv(own.lattice.vectors)) @ self.growth
        return np.tile(self.fine, (copies, *[1] * (self.fine.ndim - 1))) + (
            grown[:, None] if self.fine.ndim == 3 else grown
        )

    def load_words(self, vector: bool) -> str:
        """Return the load in words: a single one by its direction, several by their numbers."""
        numbers = np.flatnonzero(self.load)
        if len(numbers) == 1:
            return load_words("stiffness" if vector else "diffusion", int(numbers[0]), len(self.load))
        entries = ", ".join(f"{entry:.3g}" for entry in self.load)
        return f"{'strain' if vector else 'gradient'} ({entries})"


def localise(cell: UnitCell, correctors: Correctors, load: npt.ArrayLike) -> MicroFields:
    """Return the fields in the cell for a macroscopic gradient; collective.

    Parameters
    ----------
    cell, correctors
        What was solved: ``solution.cell`` and ``solution.correctors``, of diffusion (with membranes or without),
        dispersion (of the Peclet number that the correctors are of; not with a reaction on the walls) or elasticity;
        coupled elasticity with the cell restricted to the solid phases.
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
    flux = on_cells(cell, _means(flux_of_load(problem, fluctuations, weights), problem.domain), problem.domain, 0)
    values = values_at_arrays(cell, problem, shown[0], fluctuations)
    fine = at_second_order(cell, problem, shown[0], fluctuations)
    matrix = gradient_of(problem, weights, cell.dimension)
    about: dict[str, Any] = {
        "cell": cell,
        "load": weights,
        "growth": cell.lattice.vectors @ matrix,
        "jumps": len(shown[0]) > 1,
    }
    if values is None or cell.raw is None or flux is None or fine is None:
        return MicroFields(**about, field=np.zeros(0), flux=np.zeros((0, 0)), fine=np.zeros(0))
    places = cell.raw.points @ matrix
    if about["jumps"]:
        places = places[cell.raw.cells[:, : CORNERS[cell.raw.kind]]]
    affine = (node_places(cell.raw, fine.shape[1]) @ matrix).reshape(fine.shape)
    return MicroFields(**about, field=values + places.reshape(values.shape), flux=flux[:, 0], fine=fine + affine)


def _means(flux: Any, domain: Any) -> fem.Function:
    """The means of a vector over the mesh cells; collective."""
    function = fem.Function(solve.function_space(domain, "DG", 0, flux.ufl_shape))
    test, one = ufl.TestFunction(function.function_space), fem.Constant(domain, np.ones(flux.ufl_shape))
    sums, volumes = (solve.assemble_vector(ufl.inner(f, test) * ufl.dx) for f in (flux, one))
    function.x.array[: sums.getLocalSize()] = sums.array_r / volumes.array_r
    function.x.scatter_forward()
    for vector in (sums, volumes):
        vector.destroy()
    return function


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
