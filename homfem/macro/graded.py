"""Tissue whose volume fractions vary in space: regions of a table of cells."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from dolfinx import mesh as dmesh
from mpi4py import MPI

from homfem.macro.domain import Domain
from homfem.parameters import Array, InputError, check_integer
from homfem.tensors.effective import EffectiveTensor
from homfem.tensors.family import TensorFamily


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class GradedTissue:
    """A domain in regions, with the tensors of each phase for each of them.

    Parameters
    ----------
    domain : Domain
        With the regions ``"level1"``, ``"level2"``, ... in place of its own.
    tensors : mapping of str to mapping of str to EffectiveTensor
        By phase and region, as :class:`homfem.macro.calcium.CalciumProblem` takes them.
    fractions : mapping of str to float
        Volume fraction of the phase in each region.
    """

    domain: Domain
    tensors: dict[str, dict[str, EffectiveTensor]]
    fractions: dict[str, float]


def graded_tissue(
    domain: Domain, family: TensorFamily, phase: str, fraction: Callable[[Array], Array], *, levels: int = 8
) -> GradedTissue:
    """Return a domain in regions by the volume fraction of a phase, with the tensors of a table of cells; collective.

    Parameters
    ----------
    domain
        Where.
    family
        The table.
    phase
        Whose volume fraction varies.
    fraction
        Its values at points: ``f(x)`` with x of shape (3, n), of shape (n,), within the table.
    levels
        Number of regions at the most: each has the mean of its range, as far from its ends as half a level.

    Raises
    ------
    InputError
        For fractions outside of the table, or not finite.
    """
    count = check_integer("levels", levels, at_least=1)
    index_map = domain.mesh.topology.index_map(domain.dimension)
    cells = np.arange(index_map.size_local + index_map.num_ghosts, dtype=np.int32)
    values = np.asarray(fraction(dmesh.compute_midpoints(domain.mesh, domain.dimension, cells).T), dtype=np.float64)
    ends = np.array([values.min(initial=np.inf), -values.max(initial=-np.inf)])
    if not np.isfinite(values).all():
        ends[0] = -np.inf
    domain.comm.Allreduce(MPI.IN_PLACE, ends, op=MPI.MIN)
    low, high = float(ends[0]), -float(ends[1])
    if not np.isfinite([low, high]).all():
        raise InputError("fraction", "not a number", "finite everywhere")
    width = (high - low) / count

    def level(x: Array) -> Array:
        if width <= 0.0:
            return np.zeros(x.shape[1], dtype=np.int64)
        return np.clip(((np.asarray(fraction(x)) - low) / width).astype(np.int64), 0, count - 1)

    own = (
        np.clip(((values - low) / width).astype(np.int64), 0, count - 1) if width > 0.0 else 0 * values.astype(np.int64)
    )
    used = np.zeros(count, dtype=np.int64)
    used[np.unique(own)] = 1
    domain.comm.Allreduce(MPI.IN_PLACE, used, op=MPI.MAX)
    fractions = {f"level{k + 1}": low + (k + 0.5) * width for k in np.flatnonzero(used)}
    places = {f"level{k + 1}": (lambda x, k=k: level(x) == k) for k in np.flatnonzero(used)}
    return GradedTissue(
        domain=domain.with_regions(places), tensors=family.by_region(phase, fractions), fractions=fractions
    )
