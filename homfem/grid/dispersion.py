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

from homfem.grid.budget import threads_set
from homfem.grid.dispersion_tensors import Frame
from homfem.grid.image import Image
from homfem.grid.medium import medium_of
from homfem.grid.on_grid import refined
from homfem.grid.resolution import FlowAccuracy, FlowOptions, resolve
from homfem.grid.solute import DispersionOnGrid, solute_of
from homfem.keywords import takes
from homfem.parameters import Array, check_peclet
from homfem.tensors import EffectiveTensor

log = logging.getLogger("homfem")


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
    solute = solute_of(image, diffusivities, fluid, partition, wanted.sorption_length)
    solute = replace(solute, direction=direction, peclet=check_peclet(peclet))
    solute.check(image, thin=wanted.cuts_voxels)

    def on(part: Image, cuts: int) -> DispersionOnGrid:
        if part is image:
            return solute.solve(image, cuts, wanted, thin=wanted.cuts_voxels)
        return solute.within(part).solve(part, cuts, wanted, thin=True)

    with threads_set(wanted.threads):
        found, grids = resolve(image, wanted, on, blocks=not medium_of(image, diffusivities).has_fields)
    lost = found.flows.fluid.warnings if solute.alone else ()
    for warning in lost:
        log.warning("image: %s", warning)
    frame = Frame(image=image, solute=solute, found=found, how=grids, unit=unit)
    about: dict[str, Any] = {
        "warnings": image.warnings + lost + grids.warnings,
        "seconds": {**found.seconds, "total": time.perf_counter() - start},
        "config": dict(config or {}),
    }
    series = tuple(replace(frame.tensor(number), **about) for number in range(len(solute.peclet)))
    hardest = int(np.argmax(solute.peclet))
    first, cuts = 3 - image.dimension, grids.cuts
    shape = found.flows.inside.shape[first:]
    return ImageDispersion(
        tensor=series[hardest],
        series=series,
        image=image.refined(cuts),
        inside=refined(found.inside, cuts),
        fluid=refined(found.flows.fluid.inside, cuts),
        velocity=found.velocity[first:].reshape(-1, *shape),
        correctors=tuple(found.flows.length * one.reshape(shape) for one in found.correctors),
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
    return solution.tensor if np.ndim(peclet) == 0 else solution.series
