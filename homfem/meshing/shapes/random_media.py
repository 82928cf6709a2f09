"""Random media as cells: one sample, periodic, meshed along its surfaces."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from homfem.meshing.arrays.raw_cell import RawCell, scaled
from homfem.meshing.cut.grading import MeshSize
from homfem.meshing.cut.implicit import implicit_raw
from homfem.meshing.shapes.plan import CellPlan
from homfem.parameters import InputError, Lattice
from homfem.random_media import GaussianMedium, ParticleMedium

PHASES = ("inclusion", "matrix")

#: Mesh size near a surface over what it must resolve there (:meth:`ParticleMedium.feature_size`) with flat facets, and
#: with curved ones by the dimension; the least mesh size as a fraction of the shortest period: particles that all but
#: touch are refused.
FLAT_SIZE, CURVED_SIZE, LEAST = 0.7, {2: 0.8, 3: 1.0}, 1e-6


def medium_plan(
    medium: ParticleMedium | GaussianMedium,
    *,
    phases: Sequence[str] = PHASES,
    resolution: float = 0.05,
    refinement: int = 0,
    order: int = 1,
    length: float = 1.0,
    length_unit: str = "m",
) -> CellPlan:
    """Plan the cell of :func:`homfem.cells.medium_cell`, which has the parameters; no MPI here."""
    names = list(phases)
    if len(names) != 2 or len(set(names)) != 2:
        raise InputError("phases", phases, "two different names: of the inclusions and of the rest")
    fraction = medium.volume_fraction if isinstance(medium, ParticleMedium) else None
    shortest = min(medium.period)
    size: MeshSize | None = None
    if isinstance(medium, ParticleMedium) and fraction is not None:
        feature = medium.feature_size()
        part = FLAT_SIZE if order == 1 else CURVED_SIZE[len(medium.period)]
        size = lambda points: np.maximum(part * feature(points), LEAST * shortest)  # noqa: E731

    def make() -> RawCell:
        raw = implicit_raw(
            medium.level_set(),
            names,
            lattice=Lattice.box(*medium.period),
            resolution=resolution,
            refinement=refinement,
            size=size,
            order=order,
            collapse=isinstance(medium, ParticleMedium) and not refinement,
            fractions=None if fraction is None else {names[0]: fraction},
            length_unit=length_unit,
        )
        return scaled(raw, 1.0 / shortest)

    return CellPlan(make=make, name="random", length=shortest * length, length_unit=length_unit)
