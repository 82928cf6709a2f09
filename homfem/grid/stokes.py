r"""The permeability of an image: slow flow between its voxels.

.. math:: \langle u\rangle=K f ,\qquad -\Delta u+\nabla p=f ,\qquad \nabla\cdot u=0 ,

with the force f and viscosity 1, per volume of the whole image; see :mod:`homfem.grid.pores` for the grid, and
:mod:`homfem.grid.resolution` for the estimate of its error. On meshes there are bounds
(:func:`homfem.certify.solve_stokes`).
"""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Unpack

import numpy as np
import numpy.typing as npt

from homfem.brackets import symmetric
from homfem.grid.budget import threads_set
from homfem.grid.fluid import Fluid, fluid_of, on_grid, scaled_sizes
from homfem.grid.image import Image
from homfem.grid.on_grid import refined
from homfem.grid.pores import PoreFlow, Pores
from homfem.grid.provenance import provenance
from homfem.grid.resolution import ESTIMATE, FlowAccuracy, FlowOptions, resolve
from homfem.keywords import part_of, takes
from homfem.kinds import PERMEABILITY
from homfem.parameters import Array
from homfem.progress import progress_bar
from homfem.tensors import EffectiveTensor

log = logging.getLogger("homfem")


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class ImageFlow:
    r"""A permeability with the flows that it was averaged from.

    Parameters
    ----------
    tensor : EffectiveTensor
        The permeability.
    image : Image
        The image on the grid that was solved, refined.
    fluid : array of bool, shape of the image
        The voxels that flow.
    loads : array, shape (m, d)
        Orthonormal forces: the axes, or a basis of what percolates.
    velocities : tuple of m arrays, shape (d, \*shape of the image)
        Velocity of a unit force through the lower face of each voxel along each axis, in the square of the unit of
        length; free of divergence.
    history : tuple of mapping
        For each grid: cuts of a voxel, dofs (voxels), estimated error, seconds.
    """

    tensor: EffectiveTensor
    image: Image
    fluid: npt.NDArray[np.bool_]
    loads: Array
    velocities: tuple[Array, ...]
    history: tuple[Mapping[str, float], ...]


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class FlowsOnGrid:
    """The flows of an image on one grid, in units of the shortest edge of a voxel, which is ``length``.

    ``inside`` (n0, n1, n2) are the voxels of the fluid on the grid, ``sizes`` (3,) their edges, ``seconds`` what the
    flows took. What solved them is gone.
    """

    fluid: Fluid
    inside: npt.NDArray[np.bool_]
    sizes: Array
    flows: tuple[PoreFlow, ...]
    length: float
    period: tuple[float, ...]
    seconds: float

    @property
    def volume(self) -> float:
        """Volume of a voxel."""
        return float(np.prod(self.sizes))

    @property
    def areas(self) -> Array:
        """Areas of the faces across each axis, shape (3,)."""
        return np.asarray(self.volume / self.sizes, dtype=np.float64)

    @property
    def mobility(self) -> Array:
        """Mean velocity over the whole image for each unit force, in the directions that percolate; symmetric."""
        first = 3 - self.fluid.inside.ndim
        means = [flow.fluxes.sum(axis=(1, 2, 3)) / (self.areas * self.inside.size) for flow in self.flows]
        found = np.array(means)[:, first:] @ self.fluid.span.T
        return np.asarray(symmetric(found), dtype=np.float64)

    @property
    def values(self) -> tuple[Array, ...]:
        """The permeability."""
        return (self.length**2 * self.mobility,)

    @property
    def iterations(self) -> int:
        """Of all loads together."""
        return sum(flow.iterations for flow in self.flows)


def flows_on(image: Image, fluid: Fluid, cuts: int, accuracy: FlowAccuracy) -> FlowsOnGrid:
    """Return the flows of unit forces in all directions that percolate, on a grid.

    Raises
    ------
    ConvergenceError
        If ``max_iterations`` do not suffice.
    """
    d, start = image.dimension, time.perf_counter()
    sizes, length = scaled_sizes(image, cuts)
    inside = on_grid(refined(fluid.inside, cuts), d)
    pores = Pores(inside, sizes, d)
    forces = np.hstack([np.zeros((len(fluid.span), 3 - d)), fluid.span])
    flows = []
    with progress_bar("flow through the image", total=float(len(forces))) as advance_to:
        for number, force in enumerate(forces, start=1):
            flows.append(pores.flow(np.asarray(force), rtol=accuracy.residual, max_iterations=accuracy.max_iterations))
            advance_to(number)
    return FlowsOnGrid(
        fluid=fluid,
        inside=inside,
        sizes=sizes,
        flows=tuple(flows),
        length=length,
        period=image.period,
        seconds=time.perf_counter() - start,
    )


@takes(FlowAccuracy)
def solve_stokes_image(
    image: Image,
    fluid: str | Sequence[str] = "pore",
    *,
    config: Mapping[str, Any] | None = None,
    **accuracy: Unpack[FlowOptions],
) -> ImageFlow:
    r"""Solve slow flow between the voxels of an image.

    Parameters
    ----------
    image
        The image, one period.
    fluid
        The phase that flows, or several; the others are solid. Parts that reach from period to period in no direction
        are left out.
    config
        The input that led here, kept in the result.
    **accuracy
        As :class:`homfem.grid.FlowAccuracy` has them.

    Returns
    -------
    ImageFlow
        Its ``tensor`` is the permeability, per volume of the whole image, in the square of the unit of length; there
        are no bounds, and ``tensor.estimated_error`` is an estimate (:mod:`homfem.grid.resolution`).

    Raises
    ------
    InputError
        For an unknown phase, a fluid without walls, an option out of range, gaps one voxel thin.
    PercolationError
        If the fluid reaches from period to period in no direction.
    ConvergenceError
        If ``max_iterations`` do not suffice.

    Notes
    -----
    A direction in which nothing percolates gives exactly zero. Under MPI every rank computes the same.

    Examples
    --------
    >>> import numpy as np
    >>> labels = np.zeros((4, 16), dtype=int)
    >>> labels[:, 8:] = 1
    >>> channel = Image.from_labels(labels, {"pore": 0, "solid": 1}, voxel=1 / 16)
    >>> float(round(homogenize_stokes_image(channel).value[0, 0] * 12 / 0.5**3, 9))  # 1 + 2/n^2 with 8 voxels
    1.03125
    """
    wanted = FlowAccuracy(**accuracy)
    start = time.perf_counter()
    fluid_of(image, fluid, thin=wanted.cuts_voxels)

    def on(part: Image, cuts: int) -> FlowsOnGrid:
        thin = wanted.cuts_voxels or part is not image
        return flows_on(part, fluid_of(part, fluid, thin=thin), cuts, wanted)

    with threads_set(wanted.threads):
        found, how = resolve(image, wanted, on)
    span = found.fluid.span
    for warning in found.fluid.warnings:
        log.warning("image: %s", warning)
    tensor = EffectiveTensor(
        value=span.T @ found.values[0] @ span,
        physics="stokes",
        kind=PERMEABILITY,
        unit=f"{image.length_unit}^2" if image.length_unit else "",
        active_phases=found.fluid.names,
        conventions={} if how.errors[0] is None else {"estimated_error": ESTIMATE},
        estimated_error=how.errors[0],
        reached=how.enough,
        warnings=image.warnings + found.fluid.warnings + how.warnings,
        dofs=found.inside.size,
        iterations=found.iterations,
        seconds={"total": time.perf_counter() - start},
        config=dict(config or {}),
        **provenance(image),
    )
    first, scale = 3 - image.dimension, found.length**2
    return ImageFlow(
        tensor=tensor,
        image=image.refined(how.cuts),
        fluid=refined(found.fluid.inside, how.cuts),
        loads=span,
        velocities=tuple(scale * velocity_of(found, flow)[first:] for flow in found.flows),
        history=how.history,
    )


def velocity_of(found: FlowsOnGrid, flow: PoreFlow) -> Array:
    """Return the velocity through the lower faces, shape (3, *shape of the image)."""
    shape = found.inside.shape[3 - found.fluid.inside.ndim :]
    return np.asarray((flow.fluxes / found.areas[:, None, None, None]).reshape((3, *shape)))


homogenize_stokes_image = part_of(
    solve_stokes_image,
    "homogenize_stokes_image",
    lambda solution: solution.tensor,
    returns=EffectiveTensor,
    summary="Return the permeability of an image, with an estimate of its error.",
)
