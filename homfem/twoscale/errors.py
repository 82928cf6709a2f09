r"""Norms of what two fields on a resolved domain differ by: over all of it, inside, and against the distance to its
boundary.

With e in the Lagrange space of the resolved problem, the squares of

.. math:: \|e\|_{L^2},\qquad |e|_{H^1}=\|\nabla e\|_{L^2},\qquad \|e\|_A=\Bigl(\int \nabla e\cdot A\nabla e\Bigr)^{1/2}

are summed from the mesh cells, exactly: both fields are in the space, the reconstruction by its values at the nodes, so
that no quadrature and no interpolation from one mesh to another enters.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import ufl
from dolfinx import fem
from mpi4py import MPI

from homfem import solve
from homfem.parameters import Array
from homfem.twoscale.resolved import Tiled


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Norms:
    """The norms of a field, each over all of a resolved domain and over its inside."""

    whole: dict[str, float]
    inside: dict[str, float]


class Meter:
    """Measures fields on a resolved domain; collective.

    Parameters
    ----------
    tiled
        The domain.
    inside
        Which of the local mesh cells, ghosts included, are its inside.
    energy
        The density of the energy norm of a field, if it is asked for.
    """

    def __init__(
        self, tiled: Tiled, inside: npt.NDArray[np.bool_], energy: Callable[[fem.Function], Any] | None = None
    ) -> None:
        self.comm, mesh = tiled.comm, tiled.mesh
        self._e = fem.Function(tiled.space)
        q = ufl.TestFunction(solve.function_space(mesh, "DG", 0))
        e = self._e
        densities = {"l2": ufl.inner(e, e), "h1": ufl.inner(ufl.grad(e), ufl.grad(e))}
        if energy is not None:
            densities["energy"] = energy(e)
        self._forms = {name: solve.compile_form(density * q * ufl.dx) for name, density in densities.items()}
        self._order = q.ufl_function_space().dofmap.list[:, 0][: tiled.owned_cells]
        self.distance = tiled.distance()[: tiled.owned_cells]
        self.volumes = self._on_cells(solve.compile_form(q * ufl.dx(mesh)))
        self.inside = inside[: tiled.owned_cells]

    def squares(self, values: Array) -> dict[str, Array]:
        """Return the square of each norm on each mesh cell of the rank, of a field with values (m, n) at the nodes."""
        self._e.x.array[:] = values.T.ravel()
        return {name: self._on_cells(form) for name, form in self._forms.items()}

    def norms(self, values: Array, only: npt.NDArray[np.bool_] | None = None) -> Norms:
        """Return the norms of a field with values (m, n) at the nodes; ``only`` over some of the owned mesh cells."""
        squares = self.squares(values)
        if only is not None:
            squares = {name: own * only for name, own in squares.items()}
        return Norms(
            whole={name: self._root(own) for name, own in squares.items()},
            inside={name: self._root(own[self.inside]) for name, own in squares.items()},
        )

    def profile(self, squares: Array, edges: Array) -> Array:
        """Return the root mean square density in strips between distances from the boundary, nan in empty ones."""
        place = np.digitize(self.distance, edges) - 1
        good = (place >= 0) & (place < len(edges) - 1)
        sums = np.stack(
            [np.bincount(place[good], own[good], minlength=len(edges) - 1) for own in (squares, self.volumes)]
        )
        self.comm.Allreduce(MPI.IN_PLACE, sums, op=MPI.SUM)
        with np.errstate(invalid="ignore", divide="ignore"):
            return np.asarray(np.sqrt(sums[0] / sums[1]))

    def _on_cells(self, form: fem.Form) -> Array:
        vector = solve.assemble_vector(form)
        values = vector.array_r[self._order].copy()
        vector.destroy()
        return np.asarray(values)

    def _root(self, squares: Array) -> float:
        # A square that rounding has made negative is none.
        return float(np.sqrt(max(self.comm.allreduce(float(squares.sum()), op=MPI.SUM), 0.0)))
