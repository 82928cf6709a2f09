r"""Dispersion in an image: slow flow between its voxels, and what diffuses in it, for any Peclet numbers from one flow.

.. math:: \partial_tc+V\cdot\nabla c=\nabla\cdot(D^*\nabla c) ,

as :mod:`homfem.certify.dispersion` has it on meshes, for images of which no mesh would fit into the memory: flow by
:mod:`homfem.grid.pores`, concentration by :mod:`homfem.grid.carrier`, an estimate of the error by
:mod:`homfem.grid.resolution`. The walls are faces of voxels. Central differences add no dispersion of their own; where
the flow is fast for a voxel they oscillate, and the estimate says so.

Source: Brenner 1980, doi 10.1098/rsta.1980.0205; Mauri 1991, doi 10.1063/1.858159.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Unpack

import numpy as np
import numpy.typing as npt

from homfem.coefficients import NamedCoefficient
from homfem.grid.budget import threads_set
from homfem.grid.carrier import Carried, Carrier, wall_areas
from homfem.grid.connectivity import find_parts
from homfem.grid.fluid import fluid_of, on_grid, scaled_sizes
from homfem.grid.image import Image
from homfem.grid.medium import Medium, medium_of
from homfem.grid.on_grid import refined
from homfem.grid.provenance import provenance
from homfem.grid.resolution import FlowAccuracy, FlowOptions, Resolved, resolve
from homfem.grid.stokes import FlowsOnGrid, flows_on
from homfem.keywords import takes
from homfem.kinds import DISPERSION, REGIME
from homfem.parameters import Array, InputError, check_choice, check_number, check_peclet
from homfem.progress import progress_bar
from homfem.quantities import speed_unit
from homfem.tensors import EffectiveTensor

log = logging.getLogger("homfem")

#: What is left out of the phases that carry, in the volume fractions.
CLOSED = "closed pores"


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class ImageDispersion:
    r"""Dispersion tensors with the fields that they were averaged from.

    Parameters
    ----------
    tensor : EffectiveTensor
        That of the largest Peclet number.
    series : tuple of EffectiveTensor
        Those of all Peclet numbers in their order.
    image : Image
        The image on the grid that was solved, refined.
    inside, fluid : array of bool, shape of the image
        The voxels that carry, and those that flow.
    velocity : array, shape (d, \*shape of the image)
        Velocity through the lower face of each voxel along each axis, over the size of its mean in the fluid; free of
        divergence.
    correctors : tuple of d arrays, shape of the image
        :math:`\chi_j` of ``tensor`` in the middle of each voxel, in the unit of length: the concentration of a unit
        gradient is :math:`x_j+\chi_j`.
    history : tuple of mapping
        For each grid: cuts of a voxel, dofs (voxels), estimated error, seconds.
    """

    tensor: EffectiveTensor
    series: tuple[EffectiveTensor, ...]
    image: Image
    inside: npt.NDArray[np.bool_]
    fluid: npt.NDArray[np.bool_]
    velocity: Array
    correctors: tuple[Array, ...]
    history: tuple[Mapping[str, float], ...]


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Solute:
    """What is carried in an image, and how fast; see :func:`solve_dispersion_image` for the parameters."""

    diffusivities: Mapping[str, float | npt.ArrayLike]
    fluid: tuple[str, ...]
    direction: Sequence[float] | None
    peclet: tuple[float, ...]
    partition: Mapping[str, float]
    sorption_length: float

    @property
    def alone(self) -> bool:
        """Whether nothing but the fluid carries."""
        return set(self.fluid) == set(self.diffusivities)

    def within(self, image: Image) -> Solute:
        """Return what of it concerns the phases of an image."""
        return replace(
            self,
            diffusivities={name: value for name, value in self.diffusivities.items() if name in image.names},
            partition={name: value for name, value in self.partition.items() if name in image.names},
        )

    def solve(self, image: Image, cuts: int, accuracy: FlowAccuracy, *, thin: bool) -> DispersionOnGrid:
        """Solve on a grid for all Peclet numbers.

        Raises
        ------
        ConvergenceError
            If ``max_iterations`` do not suffice.
        """
        medium = medium_of(image, self.diffusivities)
        diagonal = _diagonal(medium)
        fluid = fluid_of(image, self.fluid, thin=thin)
        along = fluid.driven(self.direction)
        inside = self._carried(medium)
        reference = float(diagonal[medium.rows[fluid.inside]].mean())
        flows = flows_on(image, fluid, cuts, accuracy)
        velocity = _velocity(flows, along)
        carrier = self._carrier(image, cuts, inside, diagonal[medium.rows] / reference, velocity)
        shortest = min(image.period) / flows.length
        carried = []
        with progress_bar("concentration in the image", total=float(len(self.peclet))) as advance_to:
            for number, one in enumerate(self.peclet, start=1):
                carried.append(
                    carrier.solve(one / shortest, rtol=accuracy.residual, max_iterations=accuracy.max_iterations)
                )
                advance_to(number)
        return DispersionOnGrid(
            flows=flows,
            inside=inside,
            velocity=velocity,
            reference=reference,
            retardation=carrier.mass / (np.count_nonzero(inside) * cuts**image.dimension * flows.pores.volume),
            carried=tuple(carried),
        )

    def _carried(self, medium: Medium) -> npt.NDArray[np.bool_]:
        """The voxels that carry, without islands: one connected part."""
        inside, _ = medium.percolating(drop_islands=True)
        number = len(find_parts(inside).voxels)
        if number > 1:
            raise InputError(
                "diffusivities", list(self.diffusivities), f"phases of one connected part, not of {number}",
                "Each part has a velocity and a dispersion of its own: give the image of one.",
            )  # fmt: skip
        return inside

    def _carrier(
        self, image: Image, cuts: int, inside: npt.NDArray[np.bool_], diffusivity: Array, velocity: Array
    ) -> Carrier:
        """Return what carries on a grid, in units of the shortest edge of its voxels and of the reference."""
        d = image.dimension
        sizes, length = scaled_sizes(image, cuts)
        volume = float(np.prod(sizes))
        there = on_grid(refined(inside, cuts), d)
        shares = np.array([float(self.partition.get(name, 1.0)) for name in image.names])[image.phases]
        capacity = volume * np.where(there, on_grid(refined(shares, cuts), d), 0.0)
        diffusivities = np.zeros((3, *there.shape))
        for axis in range(d):
            along = shares * diffusivity[..., axis]
            diffusivities[3 - d + axis] = np.where(there, on_grid(refined(along, cuts), d), 0.0)
        if self.sorption_length:
            capacity += self.sorption_length / length * wall_areas(there, sizes, d)
        return Carrier(diffusivities, velocity * (volume / sizes)[:, None, None, None], capacity, sizes, d)


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class DispersionOnGrid:
    """Dispersion on one grid, in units of the shortest edge of its voxels and of the ``reference`` diffusivity.

    ``velocity`` (3, n0, n1, n2) is that through the lower faces, over its mean in the fluid.
    """

    flows: FlowsOnGrid
    inside: npt.NDArray[np.bool_]
    velocity: Array
    reference: float
    retardation: float
    carried: tuple[Carried, ...]

    @property
    def values(self) -> tuple[Array, ...]:
        """The symmetric parts, in the directions in which what carries percolates."""
        found = [0.5 * (one.flux + one.flux.T) for one in self.carried]
        span = self.span
        return tuple(span @ value @ span.T for value in found)

    @property
    def span(self) -> Array:
        """The directions in which what carries percolates."""
        if self.inside.all():
            return np.eye(self.inside.ndim)
        # Directions alone: the shape of the period does not matter for axes, and is that of the fluid otherwise.
        return find_parts(self.inside).span(self.flows.period)

    @property
    def iterations(self) -> int:
        """Of flows and concentrations together."""
        return self.flows.iterations + sum(one.iterations for one in self.carried)


class SoluteOptions(FlowOptions, total=False):
    """The words of :class:`VoxelWalls` as keywords of a function."""

    sorption_length: float


@dataclass(frozen=True, kw_only=True, slots=True)
class VoxelWalls(FlowAccuracy):
    """What the walls do, beside how well all of it is to be solved.

    Parameters
    ----------
    sorption_length
        What a unit concentration holds on an area of the walls, in equilibrium, in the unit of length. The walls are
        faces of voxels, whose area is not that of a smooth wall: of a sphere it is 3/2 of it.
    """

    sorption_length: float = 0.0


@takes(VoxelWalls)
def solve_dispersion_image(
    image: Image,
    diffusivities: Mapping[str, float | npt.ArrayLike],
    *,
    peclet: float | Sequence[float],
    fluid: str | Sequence[str] | None = None,
    direction: Sequence[float] | None = None,
    partition: Mapping[str, float] | None = None,
    unit: str = "",
    config: Mapping[str, Any] | None = None,
    **how: Unpack[SoluteOptions],
) -> ImageDispersion:
    r"""Solve the dispersion of a solute in the slow flow between the voxels of an image.

    Parameters
    ----------
    image
        The image, one period.
    diffusivities
        Of each phase that carries, in ``unit``: a number, a diagonal matrix (d, d) with positive entries, or one of
        them for each voxel. Nothing passes into the others. Parts that reach from period to period in no direction are
        left out, and what remains must be one part.
    peclet
        Mean speed in the fluid times the shortest period over the diffusivity of the fluid, >= 0; or several, from one
        flow.
    fluid
        The phase that flows, or several that flow as one; by default the only one that carries. A phase that carries
        and does not flow holds the solute back.
    direction : array, shape (d,)
        Of the **mean velocity**, of any length; by default the first axis.
    partition
        Concentration in a phase over that in the fluid, where it is not 1.
    unit
        Of the diffusivities.
    config
        The input that led here, kept in the result.
    **how
        As :class:`VoxelWalls` has them.

    Returns
    -------
    ImageDispersion
        ``tensor``: the symmetric :math:`D^*` of the largest Peclet number, per capacity of what carries
        (``averaged_over`` is ``"active"``), with the coefficients ``velocity`` V, ``flux_form`` F and ``peclet``;
        ``series``: those of all Peclet numbers in their order. There are no bounds: ``estimated_error`` is an estimate.

    Raises
    ------
    InputError
        For a Peclet number < 0, an unknown phase, a matrix that is not diagonal, gaps one voxel thin, several parts.
    PercolationError
        If the fluid does not reach from period to period along ``direction``.
    ConvergenceError
        If ``max_iterations`` do not suffice.

    Notes
    -----
    Volume fractions have what was left out of the phases that carry as a phase of its own, ``"closed pores"``. Under
    MPI every rank computes the same.

    Examples
    --------
    >>> import numpy as np
    >>> labels = np.zeros((4, 32), dtype=int)
    >>> labels[:, 16:] = 1
    >>> channel = Image.from_labels(labels, {"pore": 0, "solid": 1}, voxel=1 / 32)
    >>> found = homogenize_dispersion_image(channel, {"pore": 1.0}, peclet=1.25)  # of the period of 1/8
    >>> float(round(found.value[0, 0], 3))  # 1 + Pe^2/210, Pe = 5 with the width of the channel, is 1.119
    1.117
    """
    wanted = VoxelWalls(**how)
    start = time.perf_counter()
    solute = _solute(image, diffusivities, fluid, partition, wanted.sorption_length)
    solute = replace(solute, direction=direction, peclet=check_peclet(peclet))

    def on(part: Image, cuts: int) -> DispersionOnGrid:
        if part is image:
            return solute.solve(image, cuts, wanted, thin=wanted.cuts_voxels)
        return solute.within(part).solve(part, cuts, wanted, thin=True)

    with threads_set(wanted.threads):
        found, grids = resolve(image, wanted, on, blocks=not medium_of(image, diffusivities).has_fields)
    lost = found.flows.fluid.warnings if solute.alone else ()
    for warning in lost:
        log.warning("image: %s", warning)
    frame = _Frame(image=image, solute=solute, found=found, how=grids, unit=unit)
    about: dict[str, Any] = {
        "warnings": image.warnings + lost + grids.warnings,
        "seconds": {"total": time.perf_counter() - start},
        "config": dict(config or {}),
    }
    series = tuple(replace(frame.tensor(number), **about) for number in range(len(solute.peclet)))
    hardest = int(np.argmax(solute.peclet))
    first, cuts = 3 - image.dimension, grids.cuts
    shape = found.flows.pores.inside.shape[first:]
    return ImageDispersion(
        tensor=series[hardest],
        series=series,
        image=image.refined(cuts),
        inside=refined(found.inside, cuts),
        fluid=refined(found.flows.fluid.inside, cuts),
        velocity=found.velocity[first:].reshape(-1, *shape),
        correctors=tuple(found.flows.length * one.reshape(shape) for one in found.carried[hardest].correctors),
        history=grids.history,
    )


def homogenize_dispersion_image(
    image: Image,
    diffusivities: Mapping[str, float | npt.ArrayLike],
    *,
    peclet: float | Sequence[float],
    **options: Any,
) -> EffectiveTensor | tuple[EffectiveTensor, ...]:
    """Return the dispersion tensor of an image, or one for each of several Peclet numbers.

    Parameters
    ----------
    image, diffusivities, peclet, **options
        As :func:`solve_dispersion_image` has them.
    """
    solution = solve_dispersion_image(image, diffusivities, peclet=peclet, **options)
    return solution.tensor if isinstance(peclet, (int, float)) else solution.series


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class _Frame:
    """What turns numbers of a grid into effective tensors."""

    image: Image
    solute: Solute
    found: DispersionOnGrid
    how: Resolved
    unit: str

    def tensor(self, number: int) -> EffectiveTensor:
        """Return one effective tensor."""
        found, image, unit = self.found, self.image, self.unit
        one, span = found.carried[number], found.span
        project = span.T @ span if len(span) < image.dimension else np.eye(image.dimension)
        flux = found.reference * project @ one.flux @ project
        speed, factor = speed_unit(unit, image.length_unit)
        velocity = factor * found.reference / found.flows.length * project @ one.velocity
        retarded = abs(found.retardation - 1.0) > 1e-9
        about = provenance(image)
        return EffectiveTensor(
            value=0.5 * (flux + flux.T),
            physics="dispersion",
            kind=DISPERSION,
            unit=unit,
            averaged_over="active",
            active_phases=tuple(name for name in image.names if name in self.solute.diffusivities),
            retardation=found.retardation if retarded else 1.0,
            coefficients={
                "velocity": NamedCoefficient(value=velocity, unit=speed, basis="vector"),
                "flux_form": NamedCoefficient(value=flux, unit=unit, basis="matrix"),
                "peclet": NamedCoefficient(value=np.array(self.solute.peclet[number]), basis="scalar"),
            },
            conventions=self._conventions(retarded),
            estimated_error=self.how.errors[number],
            reached=self.how.enough,
            dofs=found.inside.size * self.how.cuts**image.dimension,
            iterations=found.iterations,
            **about | {"volume_fractions": self._fractions(about["volume_fractions"])},
        )

    def _fractions(self, fractions: Mapping[str, float]) -> dict[str, float]:
        """Volume fractions, with what carries in no direction apart."""
        image, inside = self.image, self.found.inside
        result = dict(fractions)
        for number, name in enumerate(image.names):
            if name in self.solute.diffusivities:
                result[name] = float(np.count_nonzero(inside & (image.phases == number)) / inside.size)
        closed = 1.0 - sum(result.values())
        return result | ({CLOSED: closed} if closed > 0.5 / inside.size else {})

    def _conventions(self, retarded: bool) -> dict[str, str]:
        """Return in words what the numbers are."""
        fluid = " and ".join(self.solute.fluid)
        phases = "fluid" if self.solute.alone else "phases that carry"
        left = "" if not self.found.flows.fluid.closed else ", without closed pores"
        return {
            "average": f"per {'capacity' if retarded else 'volume'} of the {phases}",
            "velocity": f"mean over the {phases}" + (", over the retardation" if retarded else ""),
            "peclet_length": f"the shortest period, {min(self.image.period):g} {self.image.length_unit}".rstrip(),
            "peclet_speed": f"the size of the mean velocity over {fluid}{left}, not retarded",
            "flux_form": "not symmetric; its symmetric part is the value where diffusivities do not vary with place",
            "regime": REGIME,
        }


def _solute(
    image: Image,
    diffusivities: Mapping[str, float | npt.ArrayLike],
    fluid: str | Sequence[str] | None,
    partition: Mapping[str, float] | None,
    sorption_length: float,
) -> Solute:
    """Check what carries and what flows, as far as that needs no grid."""
    _diagonal(medium_of(image, diffusivities))
    carriers = tuple(name for name in image.names if name in diffusivities)
    if fluid is None and len(carriers) > 1:
        raise InputError("fluid", None, f"the phase that flows, one of {', '.join(map(repr, carriers))}")
    chosen = carriers if fluid is None else (fluid,) if isinstance(fluid, str) else tuple(fluid)
    for name in chosen:
        check_choice("fluid", name, carriers)
    for name, share in (partition or {}).items():
        check_choice("partition", name, carriers)
        check_number(f"partition.{name}", share, above=0.0)
        if name in chosen and share != 1.0:
            raise InputError(f"partition.{name}", share, "1 in the fluid", "It is relative to the fluid.")
    return Solute(
        diffusivities=dict(diffusivities),
        fluid=chosen,
        direction=None,
        peclet=(),
        partition=dict(partition or {}),
        sorption_length=check_number("sorption_length", sorption_length, at_least=0.0),
    )


def _diagonal(medium: Medium) -> Array:
    """Return the diagonals of the coefficients, shape (n, d); refuse matrices that have more."""
    diagonal = np.einsum("raa->ra", medium.table)
    off = medium.table - diagonal[:, :, None] * np.eye(diagonal.shape[1])
    if off.any():
        row = int(np.argmax(np.abs(off).max(axis=(1, 2))))
        name = medium.image.names[row] if row < len(medium.image.names) else medium.names[0]
        raise InputError(
            f"coefficients.{name}", medium.table[row].tolist(), "a number or a diagonal matrix on the grid of an image",
            "Fluxes through faces know the axes of the voxels alone; take method = 'finite-element'.",
        )  # fmt: skip
    return diagonal


def _velocity(flows: FlowsOnGrid, along: Array) -> Array:
    """Return the velocity whose mean over the fluid is a direction of length 1, shape (3, n0, n1, n2)."""
    span, pores = flows.fluid.span, flows.pores
    pull = np.linalg.solve(flows.mobility, span @ along)
    fluxes = sum(one * flow.fluxes for one, flow in zip(pull, flows.flows, strict=True))
    velocity = np.asarray(fluxes) / pores.areas[:, None, None, None]
    means = velocity.sum(axis=(1, 2, 3)) / np.count_nonzero(pores.inside)
    return velocity / float(np.linalg.norm(means))
