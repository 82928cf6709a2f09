"""The coefficients of an image: one for each phase, or a field with one for each voxel."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from homfem.fields import check_spd_field, field_of
from homfem.grid.image import Image, coefficient_table
from homfem.parameters import Array, check_choice


def medium_of(
    image: Image, coefficients: Mapping[str, float | npt.ArrayLike]
) -> tuple[npt.NDArray[Any], Array, npt.NDArray[np.bool_]]:
    """Return the row of a table for each voxel, the table (n, d, d), and which phases conduct.

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
    return rows, table, conducts
