"""What flows in an image: the voxels of the fluid that reach from period to period, and where they lead."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from homfem.grid.connectivity import find_parts, open_passages
from homfem.grid.image import Image
from homfem.parameters import Array, InputError, PercolationError, check_choice, check_direction


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Fluid:
    """The fluid of an image.

    Parameters
    ----------
    names
        Its phases.
    inside : array of bool, shape of the image
        Its voxels, without parts that percolate in no direction.
    span : array, shape (m, d)
        Orthonormal directions in which it percolates.
    closed
        Volume fraction of what was left out.
    """

    names: tuple[str, ...]
    inside: npt.NDArray[np.bool_]
    span: Array
    closed: float

    @property
    def warnings(self) -> tuple[str, ...]:
        """What the user must know of it."""
        if not self.closed:
            return ()
        fluid = " and ".join(self.names)
        return (f"closed pores of {fluid}, {self.closed:.3g} of the volume, do not flow and are left out",)

    def driven(self, direction: Sequence[float] | Array | None) -> Array:
        """Return the direction of the mean velocity, of length 1; refuse one in which the fluid does not percolate."""
        d = self.inside.ndim
        along = check_direction("direction", np.eye(d)[0] if direction is None else direction, d)
        if float(np.linalg.norm(along - self.span.T @ (self.span @ along))) > 1e-9:
            fluid = " and ".join(self.names)
            ways = "; ".join(f"({', '.join(f'{entry:.3g}' for entry in row)})" for row in self.span)
            raise PercolationError(
                "direction",
                along.tolist(),
                f"one in which {fluid} reaches through the image",
                f"It does along {ways}.",
            )
        return along


def fluid_of(image: Image, fluid: str | Sequence[str], *, thin: bool) -> Fluid:
    """Return what flows in an image.

    Parameters
    ----------
    image
        The image, one period.
    fluid
        The phase that flows, or several.
    thin
        Whether it may pass through gaps that are one voxel thin.

    Raises
    ------
    InputError
        For a phase that the image does not have, a fluid without walls, or gaps that are one voxel thin.
    PercolationError
        If the fluid reaches from period to period in no direction.
    """
    chosen = [fluid] if isinstance(fluid, str) else list(fluid)
    if not chosen:
        raise InputError("fluid", fluid, f"at least one of {image.names}")
    for name in chosen:
        check_choice("fluid", name, image.names)
    names = tuple(name for name in image.names if name in chosen)
    there = image.mask(*names)
    if there.all():
        raise InputError("fluid", fluid, "a part of the image", "Without walls nothing holds the flow back.")
    parts = find_parts(there)
    span = parts.span(image.period)
    if len(span) == 0:
        raise PercolationError(
            "fluid", list(names), "a fluid that reaches from one side of the image to the opposite one",
            f"Its {len(parts.voxels)} part(s) are closed pores.",
        )  # fmt: skip
    inside = there & ~np.concatenate([[False], parts.islands])[parts.number]
    if not thin and len(find_parts(open_passages(inside)).span(image.period)) < len(span):
        raise InputError(
            "image", image.shape, "one whose passages are no gaps one voxel thin, but at least two voxels across",
            "A gap of one voxel lets through three times what it should: cut the voxels (refine = 2), ask for a "
            "tolerance, or take a finer image.",
        )  # fmt: skip
    closed = float(np.count_nonzero(there & ~inside) / inside.size)
    return Fluid(names=names, inside=inside, span=span, closed=closed)


def on_grid(array: npt.NDArray[Any], dimension: int) -> npt.NDArray[Any]:
    """Return an array of three axes, of which the first has one voxel in the plane."""
    return np.ascontiguousarray(array.reshape((1,) * (3 - dimension) + array.shape))


def scaled_sizes(image: Image, cuts: int) -> tuple[Array, float]:
    """Return the edges of a voxel of the grid over the shortest one, of three axes, and that one."""
    shortest = min(image.voxel) / cuts
    return np.array([1.0] * (3 - image.dimension) + [h / cuts / shortest for h in image.voxel]), shortest
