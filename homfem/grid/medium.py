"""What conducts in an image: coefficients, one for each phase or for each voxel, and the voxels that a flux reaches."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from homfem.fields import check_spd_field, field_of
from homfem.grid.connectivity import find_parts, open_passages
from homfem.grid.image import Image, coefficient_table
from homfem.parameters import Array, InputError, PercolationError, check_choice, left_out

log = logging.getLogger("homfem")


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Medium:
    """What conducts in an image.

    Parameters
    ----------
    image
        The image.
    rows : array of int, shape of the image
        For each voxel its row of the table.
    table : array, shape (n, d, d)
        Coefficients; zero where nothing conducts.
    conducts : array of bool, shape (phases,)
        Which phases have a coefficient.
    """

    image: Image
    rows: npt.NDArray[Any]
    table: Array
    conducts: npt.NDArray[np.bool_]

    @property
    def names(self) -> tuple[str, ...]:
        """The phases that conduct."""
        return tuple(name for name, flag in zip(self.image.names, self.conducts, strict=True) if flag)

    @property
    def has_fields(self) -> bool:
        """Whether a coefficient differs from voxel to voxel."""
        return len(self.table) > len(self.image.names)

    def percolating(self, *, drop_islands: bool) -> tuple[npt.NDArray[np.bool_], Array]:
        """Return the voxels that take part, and orthonormal directions in which they percolate."""
        inside = self.conducts[self.image.phases]
        if inside.all():
            return inside, np.eye(self.image.dimension)
        parts = find_parts(inside)
        span = parts.span(self.image.period)
        if len(span) == 0:
            raise PercolationError(
                "coefficients",
                list(self.names),
                "phases that reach from one side of the image to the opposite one in some direction",
                f"Their {len(parts.voxels)} part(s) are islands, so that the effective tensor is zero.",
            )
        if drop_islands and parts.islands.any():
            inside = inside & ~np.concatenate([[False], parts.islands])[parts.number]
        return inside, span

    def left_out(self, inside: npt.NDArray[np.bool_]) -> tuple[str, ...]:
        """Return what to say of phases that conduct and have no voxel inside; it is in the log then."""
        taken = np.bincount(self.image.phases[inside], minlength=len(self.conducts)) > 0
        lost = self.conducts & ~taken
        warnings = left_out(name for name, flag in zip(self.image.names, lost, strict=True) if flag)
        for warning in warnings:
            log.warning("image: %s", warning)
        return warnings

    def require_passages(self, inside: npt.NDArray[np.bool_], span: Array) -> None:
        """Refuse an image through which a flux passes only where the phases that conduct are one voxel thin.

        One element across decides the tensor there, and the bounds are far apart.
        """
        if inside.all() or len(find_parts(open_passages(inside)).span(self.image.period)) == len(span):
            return
        raise InputError(
            "image",
            self.image.shape,
            "one whose passages are no gaps one voxel thin, but at least two voxels across wherever the flux needs "
            "them",
            "Cut the voxels (refine = 2), ask for a tolerance, or take a finer image.",
        )


def medium_of(image: Image, coefficients: Mapping[str, float | npt.ArrayLike]) -> Medium:
    """Return what conducts.

    The first rows are those of the phases; different values of a field, an array with a value for each voxel, follow.
    """
    d = image.dimension
    fields: dict[str, Array] = {}
    single: Any = coefficients
    for name, value in coefficients.items() if isinstance(coefficients, Mapping) else ():
        check_choice("phase", name, image.names)
        field = field_of(f"coefficients.{name}", value, image.shape, (d, d))
        if field is not None:
            fields[name] = field
    if fields:
        single = {name: 1.0 if name in fields else value for name, value in coefficients.items()}
    table = coefficient_table(image, single)
    conducts = table[:, 0, 0] > 0.0
    rows: npt.NDArray[Any] = image.phases
    for name, field in fields.items():
        inside = np.flatnonzero(image.phases == image.names.index(name))
        values = check_spd_field(f"coefficients.{name}", field, image.shape, inside, (d, d))
        distinct, number = np.unique(values, axis=0, return_inverse=True)
        rows = rows.astype(np.int64)
        rows.reshape(-1)[inside] = len(table) + number.reshape(-1)
        table = np.concatenate([table, distinct if distinct.ndim == 3 else distinct[:, None, None] * np.eye(d)])
    return Medium(image=image, rows=rows, table=table, conducts=conducts)
