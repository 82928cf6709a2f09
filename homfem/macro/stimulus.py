"""Stimuli: where (a box, a ball, a region), when (a schedule of pulses) and how strong; their weights at the nodes.

A stimulus acts on what of the basis functions lies in its place: the weight of node i is
``w_i = integral of phi_i over the place / integral of phi_i``, between 0 and 1, so that the stimulated volume
``sum_i w_i integral of phi_i`` is that of the place whatever the mesh, and the same on any number of ranks.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
import numpy.typing as npt
import ufl
from dolfinx import fem, la
from mpi4py import MPI

from homfem._dolfinx import geometry_dofmap
from homfem.macro.clipping import shares_inside
from homfem.macro.domain import Domain
from homfem.macro.protocols import Timing
from homfem.parameters import Array, InputError, check_number
from homfem.solve import assemble_vector, function_space
from homfem.timestepping import Schedule

Flags = npt.NDArray[np.bool_]

# A point on the surface belongs to the place, whatever the round-off of its coordinates.
_ON = 1e-9


class Place(Protocol):
    """Where a stimulus acts; lengths in the unit of the domain."""

    @property
    def dimension(self) -> int | None:
        """Number of space dimensions, if it says one."""

    @property
    def centre_of(self) -> Array | None:
        """A point inside, if it says one."""

    @property
    def curvature(self) -> float:
        """The radius of curvature of its surface; infinite if that is made of planes."""

    def inside(self, points: Array) -> Flags:
        """Tell which points (n, d) are inside."""

    def levels(self, points: Array) -> Array:
        """Return functions (k, n) at points (n, d), all >= 0 inside."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Box:
    """A rectangle or box between two corners; an axis may be without limits (infinite)."""

    low: tuple[float, ...]
    high: tuple[float, ...]

    def __post_init__(self) -> None:
        if len(self.low) != len(self.high) or not all(a <= b for a, b in zip(self.low, self.high, strict=True)):
            raise InputError("max", list(self.high), f"as many numbers as min, none smaller: min = {list(self.low)}")

    @property
    def dimension(self) -> int:
        """Number of axes."""
        return len(self.low)

    @property
    def centre_of(self) -> Array | None:
        """The middle, of a finite box."""
        middle = 0.5 * (np.array(self.low) + np.array(self.high))
        return middle if np.all(np.isfinite(middle)) else None

    def inside(self, points: Array) -> Flags:
        """Tell which points (n, d) are inside or on the surface."""
        size = np.abs([x for x in (*self.low, *self.high) if math.isfinite(x)]).max(initial=0.0)
        low, high = np.array(self.low) - _ON * size, np.array(self.high) + _ON * size
        return np.asarray(((points >= low) & (points <= high)).all(axis=1))

    @property
    def curvature(self) -> float:
        """Infinite."""
        return math.inf

    def levels(self, points: Array) -> Array:
        """Return the distances from the finite sides, positive inside."""
        distances = [x - a for x, a in zip(points.T, self.low, strict=True) if math.isfinite(a)]
        distances += [b - x for x, b in zip(points.T, self.high, strict=True) if math.isfinite(b)]
        return np.array(distances).reshape(len(distances), len(points))


@dataclass(frozen=True, kw_only=True, slots=True)
class Ball:
    """An interval, a disc or a ball."""

    centre: tuple[float, ...]
    radius: float

    def __post_init__(self) -> None:
        check_number("radius", self.radius, above=0.0)

    @property
    def dimension(self) -> int:
        """Number of coordinates of the centre."""
        return len(self.centre)

    @property
    def centre_of(self) -> Array:
        """The centre."""
        return np.array(self.centre)

    def inside(self, points: Array) -> Flags:
        """Tell which points (n, d) are inside or on the surface."""
        distance = np.linalg.norm(points.T - np.array(self.centre)[:, None], axis=0)
        return np.asarray(distance <= self.radius * (1.0 + _ON))

    @property
    def curvature(self) -> float:
        """The radius."""
        return self.radius

    def levels(self, points: Array) -> Array:
        """Return the distance from the surface, positive inside."""
        return np.asarray(self.radius - np.linalg.norm(points - np.array(self.centre), axis=1))[None]


@dataclass(frozen=True, kw_only=True, slots=True)
class Region:
    """A region of the domain, by name."""

    name: str

    @property
    def dimension(self) -> None:
        """Any."""

    @property
    def centre_of(self) -> None:
        """Not said."""

    @property
    def curvature(self) -> float:
        """Not asked."""
        return math.inf

    def inside(self, points: Array) -> Flags:
        """Not asked: the cells of a region are known."""
        raise InputError("region", self.name, "asked of a domain")

    def levels(self, points: Array) -> Array:
        """Not asked either."""
        raise InputError("region", self.name, "asked of a domain")


@dataclass(frozen=True, kw_only=True, slots=True)
class Stimulus:
    """A source: per time and volume ``amplitude`` (in the model's unit) in a place, while the schedule is on."""

    place: Place
    amplitude: float
    schedule: Timing = field(default_factory=Schedule)


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Part:
    """A part of a domain: its cells, true for each local one, and its nodes, among the owned dofs of a space."""

    cells: Flags
    nodes: npt.NDArray[np.int64]


class NodalStimulus:
    """Stimuli at the nodes that a rank owns; collective at the set-up.

    Parameters
    ----------
    domain, space
        The domain, and a scalar Lagrange space on it (:func:`overlap`).
    stimuli
        The stimuli; ``volumes`` holds the volume that each acts on, in the unit of the domain.
    scale
        What an amplitude changes in the field: a number, or one for each node that the rank owns.
    name
        Of the parameter, for messages.
    within
        A part of the domain on which the field lives; scale and values are those of its nodes.

    Raises
    ------
    InputError
        For a place that meets no part of the domain, with the nearest node.
    """

    def __init__(
        self,
        domain: Domain,
        space: fem.FunctionSpace,
        stimuli: Sequence[Stimulus],
        *,
        scale: float | Array = 1.0,
        name: str = "stimulus",
        within: Part | None = None,
    ) -> None:
        self.stimuli, self.volumes, self._parts = tuple(stimuli), [], []
        for k, stimulus in enumerate(stimuli):
            weights, volume = overlap(domain, space, stimulus.place, name=f"{name}[{k}]", within=within)
            nodes = np.flatnonzero(weights)
            self.volumes.append(volume)
            self._parts.append((nodes, stimulus.amplitude * (scale * weights)[nodes]))

    def add(self, values: Array, time: float, step: float, *, part: float = 1.0) -> None:
        """Add what the stimuli bring in the step from ``time``, or a part of it, to the owned values of the space."""
        for stimulus, (nodes, strength) in zip(self.stimuli, self._parts, strict=True):
            share = stimulus.schedule.share(time, step)
            if share:
                values[nodes] += (part * share * step) * strength

    def brought(self, weights: Array, time: float, step: float) -> float:
        """Return what the stimuli bring in a step, with a weight for each owned node; the rank's part of it."""
        total = 0.0
        for stimulus, (nodes, strength) in zip(self.stimuli, self._parts, strict=True):
            share = stimulus.schedule.share(time, step)
            if share:
                total += share * step * float(weights[nodes] @ strength)
        return total


def overlap(
    domain: Domain, space: fem.FunctionSpace, place: Place, *, name: str = "stimulus", within: Part | None = None
) -> tuple[Array, float]:
    """Return the weights of the owned nodes of a space for a place, and the volume that it has; collective.

    Of a place ``within`` a part of the domain, those of the part's nodes, for basis functions that end with the part.

    In a P1 space they are between 0 and 1. In one of higher degree, where the integral of a basis function may be zero,
    nodes inside have one weight and all others none, so that the integral of the function is the volume as well.

    Raises
    ------
    InputError
        If the place meets no part of the domain.
    """
    _check_dimension(domain, place, name)
    d = domain.dimension
    owned = domain.mesh.topology.index_map(d).size_local
    volumes = domain.cell_volumes()[:owned]
    inside = np.zeros((owned, d + 1))
    if isinstance(place, Region):
        inside[(domain.region_of_cell == domain.region(place.name, f"{name}.region"))[:owned]] = 1.0 / (d + 1)
    else:
        corners = np.asarray(domain.mesh.geometry.x)[geometry_dofmap(domain.mesh)[:owned]][:, :, :d]
        flags = place.inside(corners.reshape(-1, d)).reshape(owned, d + 1)
        inside[flags.all(axis=1)] = 1.0 / (d + 1)  # boxes and balls are convex
        cut = np.flatnonzero(~flags.all(axis=1) & _near(place, corners))
        inside[cut] = shares_inside(place.levels, corners[cut], size=place.curvature)
    if within is not None and domain.comm.allreduce(bool(inside.any()), op=MPI.LOR):
        inside[~within.cells[:owned]] = 0.0
        if not domain.comm.allreduce(bool(inside.any()), op=MPI.LOR):
            raise InputError(f"{name}.place", repr(place), "one that holds tissue", "This one lies in the bath.")
    total = domain.comm.allreduce(float((volumes[:, None] * inside).sum()))
    if total <= 0.0:
        raise _nothing(domain, space, place, name)
    if space.ufl_element().degree == 1:
        weights = domain.nodal_mean(space, inside)
        if within is not None:
            of_part = np.repeat(within.cells[:owned, None] / (d + 1), d + 1, axis=1)
            weights = weights[within.nodes] / domain.nodal_mean(space, of_part)[within.nodes]
        return np.minimum(weights, 1.0), total
    weights = nodes_inside(domain, space, place, name=name).astype(np.float64)
    share: fem.Function | float = 1.0
    if within is not None:
        share = fem.Function(function_space(domain.mesh, "DG", 0, ()))
        share.x.array[np.asarray(share.function_space.dofmap.list)[:, 0]] = within.cells
    volumes = assemble_vector(share * ufl.TestFunction(space) * ufl.dx).array_r
    whole = domain.comm.allreduce(float(volumes @ weights))
    if whole <= 1e-9 * total:
        raise _nothing(domain, space, place, name)
    weights *= total / whole
    return (weights if within is None else weights[within.nodes]), total


def nodes_inside(domain: Domain, space: fem.FunctionSpace, place: Place, *, name: str = "stimulus") -> Flags:
    """Tell which nodes that the rank owns lie in a place (of a region: those of its cells); collective.

    Raises
    ------
    InputError
        If none does on any rank, with the nearest one.
    """
    _check_dimension(domain, place, name)
    size = space.dofmap.index_map.size_local
    flags: Flags
    if isinstance(place, Region):
        number = domain.region(place.name, f"{name}.region")
        owned = domain.mesh.topology.index_map(domain.dimension).size_local
        inside = fem.Function(space)
        inside.x.array[np.asarray(space.dofmap.list)[:owned][(domain.region_of_cell == number)[:owned]]] = 1.0
        inside.x.scatter_reverse(la.InsertMode.add)
        flags = np.asarray(inside.x.array[:size] > 0.0)
    else:
        flags = place.inside(space.tabulate_dof_coordinates()[:size, : domain.dimension])
    if not domain.comm.allreduce(bool(flags.any()), op=MPI.LOR):
        raise _nothing(domain, space, place, name)
    return flags


def _check_dimension(domain: Domain, place: Place, name: str) -> None:
    if place.dimension not in (None, domain.dimension):
        key = "centre" if isinstance(place, Ball) else "min"
        raise InputError(f"{name}.{key}", place.dimension, f"{domain.dimension} lengths, as the domain")


def _near(place: Place, corners: Array) -> Flags:
    """Tell which cells may meet a box or a ball."""
    low, high = corners.min(axis=1), corners.max(axis=1)
    if isinstance(place, Ball):
        closest = np.clip(np.array(place.centre), low, high)
        return np.asarray(np.linalg.norm(closest - np.array(place.centre), axis=1) <= place.radius)
    if isinstance(place, Box):
        return np.asarray(((high >= np.array(place.low)) & (low <= np.array(place.high))).all(axis=1))
    return np.ones(len(corners), dtype=bool)


def _nothing(domain: Domain, space: fem.FunctionSpace, place: Place, name: str) -> InputError:
    """Return the error of a place that holds nothing, with the nearest node; collective."""
    if isinstance(place, Region):
        return InputError(f"{name}.region", place.name, "a region with cells")
    comm, d = domain.comm, domain.dimension
    cells = np.arange(domain.mesh.topology.index_map(d).size_local, dtype=np.int32)
    size = comm.allreduce(float(domain.mesh.h(d, cells).max(initial=0.0)), op=MPI.MAX)
    points = space.tabulate_dof_coordinates()[:, :d]
    unit, what = domain.unit, "ball" if isinstance(place, Ball) else "box"
    middle = np.zeros(d) if place.centre_of is None else place.centre_of
    nearest = comm.allreduce(float(np.linalg.norm(points - middle, axis=1).min(initial=np.inf)), op=MPI.MIN)
    allowed = (
        f"so large that the {what} holds a node of the mesh: the nearest one is {nearest:.4g} {unit} from its centre"
    )
    remedy = "Move the centre into the domain, or take a larger radius or finer elements"
    if not isinstance(place, Ball):
        remedy = "Move it into the domain, or take a larger one or finer elements"
    key, value = ("radius", place.radius) if isinstance(place, Ball) else ("max", list(getattr(place, "high", ())))
    return InputError(f"{name}.{key}", value, allowed, f"{remedy} (now up to {size:.3g} {unit} wide).")
