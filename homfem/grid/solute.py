r"""What a flow between the voxels of an image carries, and how it is solved on one grid; no estimate of the error."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from homfem.grid.carrier import Carried, Carrier, wall_areas
from homfem.grid.connectivity import find_parts
from homfem.grid.fluid import fluid_of, on_grid, scaled_sizes
from homfem.grid.image import Image
from homfem.grid.medium import Medium, medium_of
from homfem.grid.on_grid import refined
from homfem.grid.resolution import FlowAccuracy
from homfem.grid.stokes import FlowsOnGrid, flows_on
from homfem.parameters import Array, InputError, check_choice, check_number
from homfem.progress import progress_bar


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Solute:
    """What is carried in an image, and how fast; see :func:`homfem.grid.dispersion.solve_dispersion_image`."""

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

    def check(self, image: Image, *, thin: bool) -> None:
        """Refuse an image through which it is not carried, before anything is solved."""
        fluid_of(image, self.fluid, thin=thin).driven(self.direction)
        self._carried(medium_of(image, self.diffusivities))

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
        hardest, start = int(np.argmax(self.peclet)), time.perf_counter()
        carried: list[Carried] = []
        correctors: Array = np.zeros(0)
        with progress_bar("concentration in the image", total=float(len(self.peclet))) as advance_to:
            for number, one in enumerate(self.peclet):
                found = carrier.solve(one / shortest, rtol=accuracy.residual, max_iterations=accuracy.max_iterations)
                if number == hardest:
                    correctors = found.correctors
                # Those of all numbers would soon take more memory than all else.
                carried.append(replace(found, correctors=np.zeros(0)))
                advance_to(number + 1)
        return DispersionOnGrid(
            flows=flows,
            inside=inside,
            velocity=velocity,
            reference=reference,
            retardation=carrier.mass / (np.count_nonzero(inside) * cuts**image.dimension * flows.volume),
            carried=tuple(carried),
            correctors=correctors,
            seconds={"flow": flows.seconds, "concentration": time.perf_counter() - start},
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

    ``velocity`` (3, n0, n1, n2) is that through the lower faces, over its mean in the fluid; ``correctors``
    (d, n0, n1, n2) those of the largest Peclet number, and ``carried`` has none; ``seconds`` are by stage.
    """

    flows: FlowsOnGrid
    inside: npt.NDArray[np.bool_]
    velocity: Array
    reference: float
    retardation: float
    carried: tuple[Carried, ...]
    correctors: Array
    seconds: Mapping[str, float]

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


def solute_of(
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
    span = flows.fluid.span
    pull = np.linalg.solve(flows.mobility, span @ along)
    fluxes = sum(one * flow.fluxes for one, flow in zip(pull, flows.flows, strict=True))
    velocity = np.asarray(fluxes) / flows.areas[:, None, None, None]
    means = velocity.sum(axis=(1, 2, 3)) / np.count_nonzero(flows.inside)
    return np.asarray(velocity / float(np.linalg.norm(means)), dtype=np.float64)
