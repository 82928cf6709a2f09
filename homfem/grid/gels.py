"""Electroneutral gels with fixed charges on the voxels of an image: one diffusion problem for each ion, one for all."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Unpack

from homfem.electrolytes import Gel, gel_tensor
from homfem.electrolytes.gels import FROZEN, solved_gel
from homfem.electrolytes.transport import Sides
from homfem.grid.accuracy import GridAccuracy, GridOptions
from homfem.grid.effective import GridSolution, solve_image
from homfem.grid.frozen import frozen_flux
from homfem.grid.image import Image
from homfem.keywords import part_of, takes
from homfem.tensors import EffectiveTensor


@takes(GridAccuracy)
def solve_gel_image(
    image: Image,
    gel: Gel,
    *,
    fields: bool = True,
    config: Mapping[str, Any] | None = None,
    **accuracy: Unpack[GridOptions],
) -> GridSolution:
    """Solve the transport of ions in an electroneutral gel on an image, and bound its coefficients.

    As :func:`homfem.certify.solve_gel` does on a mesh; of more than two phases the bounds of ``frozen_transference``
    are wider (:mod:`homfem.grid.frozen`).

    Parameters
    ----------
    image
        The image, one period.
    gel
        Ions and fixed charges; a phase that no ion enters insulates.
    fields
        Whether the potentials and fluxes are kept: of the last problem that was solved.
    config
        The input that led here, kept in the result.
    **accuracy
        As :class:`homfem.grid.GridAccuracy` has them.

    Returns
    -------
    GridSolution

    Raises
    ------
    InputError
        For what the gel and :func:`homfem.grid.solve_image` refuse.
    PercolationError
        If an ion reaches from period to period in no direction.
    ConvergenceError
        If ``max_iterations`` do not suffice.

    Examples
    --------
    >>> import numpy as np
    >>> from homfem.electrolytes import Ion
    >>> layers = Image.from_labels(np.array([[0, 1, 1, 1]]).T, {"gel": 0, "water": 1})
    >>> salt = [Ion(name=name, valence=z, bath=1.0, diffusivities={"gel": 0.5, "water": 1.0})
    ...         for name, z in (("Na", 1), ("Cl", -1))]
    >>> found = homogenize_gel_image(layers, Gel(ions=salt, fixed_charges={"gel": -2.0}))
    >>> found.coefficients["transference.Na"].value.diagonal().round(6).tolist()
    [0.671573, 0.567438]
    """
    last: list[GridSolution] = []

    def solve(coefficients: Mapping[str, Any]) -> EffectiveTensor:
        last[:] = [solve_image(image, coefficients, fields=True, config=config, **accuracy)]
        return last[0].tensor

    def every(tables: Mapping[str, Mapping[str, Any]]) -> dict[str, EffectiveTensor]:
        return {name: solve(table) for name, table in tables.items()}

    tensors = solved_gel(gel, image.names, image.dimension, every)
    total = tensors.coefficients[FROZEN]

    def flux(ion: str) -> Sides:
        if FROZEN in tensors.shared:  # then the last problem was that of another ion
            solve({phase: matrix.tolist() for phase, matrix in total.items()})
        return frozen_flux(last[0], tensors.frozen, total, tensors.coefficients[ion])

    tensor = gel_tensor(gel, tensors, flux)
    return replace(last[0], tensor=tensor) if fields else replace(last[0], tensor=tensor, potentials=(), fluxes=())


homogenize_gel_image = part_of(
    solve_gel_image,
    "homogenize_gel_image",
    lambda solution: solution.tensor,
    returns=EffectiveTensor,
    summary="Return the steady conductivity of a gel on an image with bounds, and all coefficients of its ions.",
    fixed={"fields": False},
)
