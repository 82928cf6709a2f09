r"""Conduction velocity from activation times: in each cell from their gradient, and between points.

Where a front passes at the time t(x), its velocity along its own normal is

.. math:: v = \frac{\nabla t}{|\nabla t|^2} .

It has no meaning in cells that the front has not wholly reached, where a region is activated at once, and where fronts
start or collide; these cells are left out and counted.

Source
------
Bayly et al. 1998, IEEE Trans. Biomed. Eng. 45, 563, doi 10.1109/10.668746.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import ufl
from dolfinx import fem, la
from dolfinx import mesh as dmesh
from mpi4py import MPI

from homfem._dolfinx import interpolation_points
from homfem.macro.places import sample_points
from homfem.parameters import Array, InputError, check_number
from homfem.solve import assemble_vector, function_space

REASONS = ("not reached", "too early", "at once", "start or collision", "near an end")
#: A front meets a boundary whose normal is within 45 degrees of its way.
_HEAD_ON = math.sqrt(0.5)


@dataclass(frozen=True, kw_only=True, slots=True)
class FrontSpeed:
    """The speed of a front over some cells.

    Parameters
    ----------
    mean, least, largest : float
        The mean by volume, and the extrema, in length per time of the activation.
    volume : float
        Of the cells, in the unit of the mesh.
    cells : int
        How many they are.
    """

    mean: float
    least: float
    largest: float
    volume: float
    cells: int


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class ConductionVelocity:
    """The velocity of a front in each cell.

    Parameters
    ----------
    velocity : Function
        A vector of degree 0, in length per time; NaN in cells that are left out.
    left_out : mapping of str to int
        How many cells are, over all ranks, by reason: ``"not reached"``, ``"too early"``, ``"at once"``,
        ``"start or collision"``, ``"near an end"``.
    cells : int
        How many cells there are.
    """

    velocity: fem.Function
    left_out: Mapping[str, int]
    cells: int

    @property
    def speed(self) -> fem.Function:
        """The length of the velocity, of degree 0; collective."""
        mesh = self.velocity.function_space.mesh
        function = fem.Function(function_space(mesh, "DG", 0), name="conduction velocity")
        function.x.array[:] = np.linalg.norm(self.velocity.x.array.reshape(-1, mesh.geometry.dim), axis=1)
        return function

    def over_all(self) -> FrontSpeed:
        """Return the speed over all cells that are not left out; collective, errors as :meth:`along`."""
        return self._over(np.ones(self.speed.x.array.size, dtype=bool), "over_all")

    def along(self, axis: Any, *, within: float = 15.0) -> FrontSpeed:
        """Return the speed where the front moves along an axis; collective.

        Parameters
        ----------
        axis
            A vector, or a UFL vector such as ``domain.fibres.axes()[0]``.
        within
            The largest angle between the two, in degrees, in (0, 45].

        Raises
        ------
        InputError
            If it does so nowhere.
        """
        angle = math.radians(check_number("within", within, above=0.0, at_most=45.0))
        return self._over(self._cosines(axis) >= math.cos(angle), "axis")

    def across(self, axis: Any, *, within: float = 15.0) -> FrontSpeed:
        """Return the speed where the front moves across an axis, up to an angle; see :meth:`along`."""
        angle = math.radians(check_number("within", within, above=0.0, at_most=45.0))
        return self._over(self._cosines(axis) <= math.sin(angle), "axis")

    def _cosines(self, axis: Any) -> Array:
        """Return the cosine between the velocity and an axis in each local cell, NaN where it is left out."""
        space = self.velocity.function_space
        d = space.mesh.geometry.dim
        direction = axis if hasattr(axis, "ufl_shape") else fem.Constant(space.mesh, np.asarray(axis, dtype=np.float64))
        if direction.ufl_shape != (d,):
            raise InputError("axis", direction.ufl_shape, f"a vector of {d} components")
        values = _in_cells(direction, space).x.array.reshape(-1, d)
        v = self.velocity.x.array.reshape(-1, d)
        size = np.linalg.norm(v, axis=1) * np.linalg.norm(values, axis=1)
        with np.errstate(invalid="ignore", divide="ignore"):
            return np.asarray(np.abs(np.einsum("cx,cx->c", v, values)) / size)

    def _over(self, chosen: npt.NDArray[np.bool_], name: str) -> FrontSpeed:
        speed = self.speed
        owned = speed.function_space.dofmap.index_map.size_local
        use = chosen[:owned] & np.isfinite(speed.x.array[:owned])
        volumes, values = _volumes(speed.function_space)[use], speed.x.array[:owned][use]
        comm = speed.function_space.mesh.comm
        sums = np.array([volumes.sum(), volumes @ values, float(values.size)])
        comm.Allreduce(MPI.IN_PLACE, sums, op=MPI.SUM)
        ends = np.array([values.max(initial=-np.inf), -values.min(initial=np.inf)])
        comm.Allreduce(MPI.IN_PLACE, ends, op=MPI.MAX)
        if sums[0] <= 0.0:
            remedy = f"Left out are {dict(self.left_out)} of {self.cells} cells."
            raise InputError(name, "nowhere", "where the front moves in some cell", remedy)
        return FrontSpeed(
            mean=float(sums[1] / sums[0]), least=float(-ends[1]), largest=float(ends[0]), volume=float(sums[0]),
            cells=round(sums[2]),
        )  # fmt: skip


def conduction_velocity(
    activation: fem.Function,
    *,
    after: float = -math.inf,
    fastest: float = math.inf,
    coherence: float = 0.7,
    clear: float = 0.0,
) -> ConductionVelocity:
    """Return the velocity of the front that gave activation times; collective.

    Parameters
    ----------
    activation
        Activation times of a scalar Lagrange space, such as those of :class:`homfem.macro.observers.Activation` or
        :class:`homfem.macro.action_potentials.ActionPotentials`; not finite where the front did not come.
    after
        Cells with a node that was activated before are left out: under a stimulus until its end.
    fastest
        What is faster is activated at once, as by a stimulus.
    coherence
        Around a node the directions of the cells' fronts have a mean of length 1 if they agree, of 0 if they oppose
        each other. The cells of a node where it is less than this hold a start or a collision: with .7, of fronts that
        meet at more than 90 degrees.
    clear
        Left out, too, are the cells that are nearer to an end of its way than the front runs in this time, at its mean
        speed: to a cell that is activated too early or at once, and to a boundary that it leaves or comes to, head on
        (its normal within 45 degrees). There it is not yet, or no longer, a front by itself.

    Notes
    -----
    In the middle of cells; exact for plane fronts, of first order in the size of cells for curved ones and linear
    elements.

    Example
    -------
    ``found = conduction_velocity(result.activation); found.along(domain.fibres.axes()[0]).mean``
    """
    space = activation.function_space
    if space.value_shape or space.ufl_element().basix_element.discontinuous:
        raise InputError("activation", str(space.ufl_element()), "of a scalar continuous Lagrange space")
    check_number("coherence", coherence, at_least=0.0, at_most=1.0)
    if math.isnan(after):
        raise InputError("after", after, "a time")
    if not fastest > 0.0:
        raise InputError("fastest", fastest, "a speed > 0")
    check_number("clear", clear, at_least=0.0)
    mesh, d = space.mesh, space.mesh.geometry.dim
    times = fem.Function(space)
    times.x.array[:] = activation.x.array
    times.x.scatter_forward()
    finite = np.isfinite(times.x.array)
    reached = finite[np.asarray(space.dofmap.list)].all(axis=1)
    early = reached & (times.x.array[np.asarray(space.dofmap.list)] < after).any(axis=1)
    span = _span(mesh.comm, times.x.array[finite])
    times.x.array[~finite] = 0.0
    vectors = function_space(mesh, "DG", 0, (d,))
    gradient = _in_cells(ufl.grad(times), vectors).x.array.reshape(-1, d)
    steepness = np.linalg.norm(gradient, axis=1)
    cells = np.arange(len(reached), dtype=np.int32)
    # A change over the cell that is round-off beside all times is none.
    least = np.maximum(1.0 / fastest, 1e-12 * span / mesh.h(mesh.topology.dim, cells))
    at_once = reached & ~early & (steepness <= least)
    moving = reached & ~early & ~at_once
    directions = gradient / np.where(moving, steepness, np.inf)[:, None]
    torn = moving & ~_coherent(mesh, directions, moving, coherence)
    velocity = fem.Function(vectors, name="velocity of the front")
    kept = moving & ~torn
    near = np.zeros_like(kept)
    if clear > 0.0:
        near = _near_ends(vectors, directions, kept, early | at_once, clear / np.where(kept, steepness, np.inf))
        kept &= ~near
    values = np.full((len(kept), d), np.nan)
    values[kept] = gradient[kept] / steepness[kept, None] ** 2
    velocity.x.array[:] = values.ravel()
    owned = mesh.topology.index_map(mesh.topology.dim).size_local
    counts = np.array([np.count_nonzero(flags[:owned]) for flags in (~reached, early, at_once, torn, near)])
    mesh.comm.Allreduce(MPI.IN_PLACE, counts, op=MPI.SUM)
    left_out = {reason: int(count) for reason, count in zip(REASONS, counts, strict=True)}
    return ConductionVelocity(velocity=velocity, left_out=left_out, cells=mesh.comm.allreduce(owned))


def velocity_between(
    activation: fem.Function, points: Mapping[str, Sequence[float]], start: str, end: str, *, unit: str = ""
) -> float:
    """Return the distance of two points over the time that the front took between them, < 0 against it; collective.

    Parameters
    ----------
    activation
        As of :func:`conduction_velocity`.
    points
        Coordinates by name, one per axis.
    start, end
        The names of the two.
    unit
        Of lengths, for messages.

    Raises
    ------
    InputError
        For a point outside, or in a cell that the front has not wholly reached, and for two that it reaches at once.
    """
    space = activation.function_space
    comm, d = space.mesh.comm, space.mesh.geometry.dim
    chosen = {}
    for name in (start, end):
        given = np.asarray(points.get(name, ()), dtype=np.float64)
        if given.shape != (d,):
            raise InputError(f"points[{name!r}]", given.tolist(), f"given, with {d} coordinates")
        chosen[name] = np.append(given, np.zeros(3 - d))
    values, _ = sample_points(comm, {"activation": activation}, chosen, unit)["activation"]
    times = np.zeros(len(chosen))
    times[values.rows] = values(activation)[:, 0]
    comm.Allreduce(MPI.IN_PLACE, times, op=MPI.SUM)
    for name, time in zip(chosen, times, strict=True):
        if not math.isfinite(time):
            raise InputError(f"points[{name!r}]", float(time), "where the front has come to all of the cell")
    if len(chosen) < 2 or times[0] == times[1]:
        raise InputError("points", [start, end], "two points that the front reaches one after the other")
    return float(np.linalg.norm(chosen[end] - chosen[start]) / (times[1] - times[0]))


def _coherent(mesh: Any, directions: Array, moving: npt.NDArray[np.bool_], coherence: float) -> npt.NDArray[np.bool_]:
    """Tell at the nodes of which local cells the directions of the front agree; collective."""
    d = directions.shape[1]
    space = function_space(mesh, "Lagrange", 1)
    dofs = np.asarray(space.dofmap.list)
    owned = mesh.topology.index_map(mesh.topology.dim).size_local
    sums = []
    for weights in (*directions.T, moving.astype(np.float64)):
        function = fem.Function(space)
        per_corner = np.repeat(weights[:owned], dofs.shape[1])
        function.x.array[:] = np.bincount(dofs[:owned].ravel(), per_corner, minlength=function.x.array.size)
        function.x.scatter_reverse(la.InsertMode.add)
        function.x.scatter_forward()
        sums.append(function.x.array)
    agree = np.linalg.norm(sums[:d], axis=0) >= coherence * sums[d]
    return np.asarray(agree[dofs].all(axis=1))


def _near_ends(
    vectors: fem.FunctionSpace,
    directions: Array,
    kept: npt.NDArray[np.bool_],
    started: npt.NDArray[np.bool_],
    ways: Array,
) -> npt.NDArray[np.bool_]:
    """Tell which of the kept local cells are nearer to an end of the front's way than the mean of its ways. Collective.

    ``ways`` is how far each cell's front runs in the time that is asked for.
    """
    from scipy.spatial import cKDTree

    mesh, d = vectors.mesh, directions.shape[1]
    owned = mesh.topology.index_map(mesh.topology.dim).size_local
    outward = assemble_vector(ufl.inner(ufl.FacetNormal(mesh), ufl.TestFunction(vectors)) * ufl.ds(domain=mesh))
    normals = outward.array_r.reshape(-1, d)[:owned].copy()
    outward.destroy()
    length = np.linalg.norm(normals, axis=1)
    met = np.abs(np.einsum("cx,cx->c", normals, directions[:owned])) > _HEAD_ON * length
    ends = (started[:owned] & _beside(mesh, kept)[:owned]) | (kept[:owned] & met & (length > 0.0))
    middles = dmesh.compute_midpoints(mesh, mesh.topology.dim, np.arange(len(kept), dtype=np.int32))
    points = np.concatenate(mesh.comm.allgather(middles[:owned][ends]))
    sums = mesh.comm.allreduce(np.array([ways[:owned][kept[:owned]].sum(), np.count_nonzero(kept[:owned])]))
    near = np.zeros_like(kept)
    if len(points) and sums[1]:
        reach, _ = cKDTree(points).query(middles[kept], distance_upper_bound=sums[0] / sums[1])
        near[kept] = np.isfinite(reach)
    return near


def _beside(mesh: Any, chosen: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    """Tell which local cells share a node with one that is chosen; collective."""
    space = function_space(mesh, "Lagrange", 1)
    dofs, marks = np.asarray(space.dofmap.list), fem.Function(space)
    owned = mesh.topology.index_map(mesh.topology.dim).size_local
    marks.x.array[np.unique(dofs[:owned][chosen[:owned]])] = 1.0
    marks.x.scatter_reverse(la.InsertMode.add)
    marks.x.scatter_forward()
    return np.asarray((marks.x.array[dofs] > 0.0).any(axis=1))


def _in_cells(expression: Any, space: fem.FunctionSpace) -> fem.Function:
    """Return the values of a UFL expression in the middle of cells."""
    function = fem.Function(space)
    function.interpolate(fem.Expression(expression, interpolation_points(space)))
    function.x.scatter_forward()
    return function


def _span(comm: MPI.Comm, values: Array) -> float:
    ends = np.array([values.max(initial=-np.inf), -values.min(initial=np.inf)])
    comm.Allreduce(MPI.IN_PLACE, ends, op=MPI.MAX)
    return max(0.0, float(ends.sum()))


def _volumes(space: fem.FunctionSpace) -> Array:
    """Return the volumes of the owned cells, of any shape."""
    vector = assemble_vector(ufl.TestFunction(space) * ufl.dx(domain=space.mesh))
    volumes = vector.array_r.copy()
    vector.destroy()
    return np.asarray(volumes)
