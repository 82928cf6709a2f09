r"""Axes of fibres: at each point an orthonormal frame of fibre f, sheet s and normal n, constant, by cell or by node.

A tensor that is diagonal in the frame is :math:`\sum_k \kappa_k\,a_k\otimes a_k` with the axes :math:`a_k`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import ufl
from dolfinx import fem
from dolfinx import mesh as dmesh

from homfem.parameters import Array, InputError, check_direction
from homfem.ranks import collective

#: Lengths of given directions may differ from 1 by this much; of others it is not sure that they are directions.
UNIT = 1e-2
#: A sheet direction within this angle (its sine) of the fibre says nothing.
PARALLEL = 1e-3

Direction = Callable[[Array], Array]


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class FibreFrame:
    """The axes of fibres on a mesh.

    Parameters
    ----------
    fibre, sheet : Function, Constant or None
        Unit vectors; the sheet normal to the fibre. None: only the fibre is known (the plane across is all alike), in
        2D the sheet is the direction across.

    A fibre of length zero says that the place has none: a bath, a nucleus.
    """

    fibre: fem.Function | fem.Constant
    sheet: fem.Function | fem.Constant | None = None

    @classmethod
    def constant(cls, mesh: dmesh.Mesh, fibre: Any, sheet: Any = None) -> FibreFrame:
        """Return the same axes everywhere, from directions of any length (d numbers each).

        Raises
        ------
        InputError
            For a direction of length zero or of another dimension, and a sheet along the fibre.
        """
        d = mesh.geometry.dim
        f = check_direction("direction", fibre, d)
        if sheet is None:
            return cls(fibre=fem.Constant(mesh, f))
        s = _across(f[None], check_direction("sheet", sheet, d)[None], "sheet")[0]
        return cls(fibre=fem.Constant(mesh, f), sheet=fem.Constant(mesh, s))

    @classmethod
    def of_cells(cls, mesh: dmesh.Mesh, *, fibre: Array, sheet: Array | None = None) -> FibreFrame:
        """Return axes that are constant in each cell; collective.

        Parameters
        ----------
        mesh
            The mesh.
        fibre, sheet
            Unit vectors to a hundredth, or zeros where there is no fibre, for each local cell, ghosts included; shape
            (cells, d) or in the plane (cells, 3). They are made orthonormal: the sheet gives way.

        Raises
        ------
        InputError
            For vectors that are not of length 1 or 0, and sheets along the fibre; with the number of the cell.
        """
        space = fem.functionspace(mesh, ("DG", 0, (mesh.geometry.dim,)))
        return cls._filled(mesh, space, fibre, sheet, np.asarray(space.dofmap.list).ravel())

    @classmethod
    def of_nodes(cls, mesh: dmesh.Mesh, fibre: Direction, sheet: Direction | None = None) -> FibreFrame:
        """Return axes from functions of position, ``f(x) -> values`` with x of shape (3, n), values (d, n); collective.

        They are held at the nodes and made orthonormal between them.
        """
        space = fem.functionspace(mesh, ("Lagrange", 1, (mesh.geometry.dim,)))
        points = space.tabulate_dof_coordinates().T
        with collective(mesh.comm):
            values = [_evaluated(name, f, points) for name, f in (("fibre", fibre), ("sheet", sheet)) if f is not None]
        return cls._filled(mesh, space, values[0], values[1] if len(values) > 1 else None, np.arange(points.shape[1]))

    @classmethod
    def _filled(
        cls, mesh: dmesh.Mesh, space: fem.FunctionSpace, fibre: Array, sheet: Array | None, places: Array
    ) -> FibreFrame:
        d = mesh.geometry.dim
        with collective(mesh.comm):
            f = _units("fibre", fibre, d, len(places))
            s = None
            if sheet is not None:
                s = _units("sheet", sheet, d, len(places))
                s[~f.any(axis=1)] = 0.0
                s = _across(f, s, "sheet")
        functions = []
        for name, values in (("fibre", f), ("sheet", s)):
            if values is not None:
                function = fem.Function(space, name=name)
                function.x.array.reshape(-1, d)[places] = values
                functions.append(function)
        return cls(fibre=functions[0], sheet=functions[1] if len(functions) > 1 else None)

    def axes(self) -> list[Any]:
        """Return the axes as UFL vectors, orthonormal at every point: d of them, or in 3D without a sheet the fibre."""
        f = self.fibre
        d = f.ufl_shape[0]
        nodal = isinstance(f, fem.Function) and f.function_space.ufl_element().degree > 0
        f = _normalised(f) if nodal else f
        if d == 1:
            return [f]
        if d == 2:
            return [f, ufl.as_vector([-f[1], f[0]])]
        if self.sheet is None:
            return [f]
        s = self.sheet
        s = _normalised(s - ufl.inner(s, f) * f) if nodal else s
        return [f, s, ufl.cross(f, s)]

    def missing(self) -> Any:
        """Return the local cells without a fibre, ghosts included (of nodal axes those with a node without one)."""
        if isinstance(self.fibre, fem.Constant):
            return np.zeros(0, dtype=np.int32)
        space = self.fibre.function_space
        vectors = self.fibre.x.array.reshape(-1, space.dofmap.bs)
        return np.flatnonzero((~vectors.any(axis=1))[np.asarray(space.dofmap.list)].any(axis=1)).astype(np.int32)


def _evaluated(name: str, f: Direction, points: Array) -> Array:
    values = np.asarray(f(points), dtype=np.float64)
    if values.ndim != 2 or values.shape[1] != points.shape[1]:
        raise InputError(name, values.shape, f"a function whose values have shape (d, {points.shape[1]})")
    return values.T


def _units(name: str, given: Array, d: int, count: int) -> Array:
    """Return given vectors with length 1 or 0; refuse others."""
    vectors = np.array(given, dtype=np.float64)
    if vectors.shape == (count, 3) and d == 2 and not vectors[:, 2].any():
        vectors = vectors[:, :2]
    if vectors.shape != (count, d):
        raise InputError(name, vectors.shape, f"a vector of {d} components for each of {count} places")
    lengths = np.linalg.norm(vectors, axis=1)
    bad = ~((np.abs(lengths - 1.0) <= UNIT) | (lengths == 0.0))
    if bad.any():
        first = int(np.argmax(bad))
        allowed = "a field of unit vectors, or zeros where there is no fibre"
        remedy = f"{int(bad.sum())} are of another length, the first (place {first}) of {lengths[first]:.4g}."
        raise InputError(name, vectors[first].tolist(), allowed, remedy)
    return vectors / np.where(lengths > 0.0, lengths, 1.0)[:, None]


def _across(f: Array, s: Array, name: str) -> Array:
    """Return s without its part along f, of length 1 (0 where there is no fibre); refuse an s along f."""
    across = s - np.einsum("ij,ij->i", s, f)[:, None] * f
    lengths = np.linalg.norm(across, axis=1)
    bad = (lengths < PARALLEL) & f.any(axis=1)
    if bad.any():
        first = int(np.argmax(bad))
        raise InputError(name, s[first].tolist(), f"a direction across the fibre {f[first].tolist()}")
    return across / np.where(lengths > 0.0, lengths, 1.0)[:, None]


def _normalised(vector: Any) -> Any:
    return vector / ufl.sqrt(ufl.inner(vector, vector))
