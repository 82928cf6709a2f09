"""Cells of a tissue whose potentials are kept over time, as means over each."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from mpi4py import MPI

from homfem.macro.emi.model import EmiModel
from homfem.macro.emi.tile_means import TileMeans
from homfem.macro.samples import Samples
from homfem.macro.series import DataSet
from homfem.macro.state import Model, with_unit
from homfem.parameters import Array, InputError


class CellProbes(Samples):
    """The mean of V over the membrane, and of each potential over its space, in periods of the cell.

    Parameters
    ----------
    points
        A point in each of the cells by a name, mm.
    counts
        Cells along each axis.
    every, path, name
        As of :class:`homfem.macro.samples.Samples`.

    Attributes
    ----------
    kept : list of str
        ``"V"`` and the spaces; known once the run has begun.

    Raises
    ------
    InputError
        At the start, for a point that lies in no cell.
    """

    def __init__(
        self,
        points: Mapping[str, Sequence[float]],
        counts: Sequence[int],
        *,
        every: int = 1,
        path: Path | str | None = None,
        name: str = "probes",
    ) -> None:
        super().__init__(name, every=every, path=path)
        self.points, self.counts = {key: tuple(map(float, at)) for key, at in points.items()}, tuple(counts)

    def begin(self, model: Model, time: float) -> None:
        """Find the cells, and take the start; collective."""
        if not isinstance(model, EmiModel) or model.problem.membrane is None:
            raise InputError("model", model.name, "one of resolved membranes")
        self.comm, self.units = model.comm, model.units
        domain, spaces, membrane = model.problem.domain, model.spaces, model.problem.membrane
        measures = {"V": spaces.between(membrane.inside, membrane.outside, "membrane")}
        for name, regions in model.problem.spaces.items():
            measures[name] = domain.dx()(tuple(domain.region(region) for region in regions))
        self.kept, self._weights = list(measures), []
        state, self._values = model.state(), []
        for name, dx in measures.items():
            means = TileMeans(domain, spaces.space, self.counts, dx)
            tiles = [self._tile(probe, at, means) for probe, at in self.points.items()]
            weights = np.array([means.weights(tile) for tile in tiles]).reshape(len(tiles), -1)
            nodes = np.flatnonzero(np.any(weights != 0.0, axis=0))
            self._weights.append((nodes, weights[:, nodes]))
            self._values.append(state[name].values)
        self.take(model, time)

    def _tile(self, name: str, at: tuple[float, ...], means: TileMeans) -> int:
        low, high = means.low, means.high
        point = np.array(at)
        near = 1e-9 * float((high - low).max())
        if len(at) != len(low) or np.any(point < low - near) or np.any(point > high + near):
            allowed = f"in the tissue, from {low.tolist()} to {high.tolist()} mm"
            raise InputError(f"points[{name!r}]", list(at), allowed)
        place = np.floor((point - low) / (high - low) * self.counts).astype(int)
        return int(np.ravel_multi_index(tuple(np.clip(place, 0, np.array(self.counts) - 1)), self.counts))

    def labels(self) -> list[str]:
        """Return each probe with each of its fields and its unit."""
        return [
            with_unit(f"{probe} {name}", self.units.fields.get(name, "")) for probe in self.points for name in self.kept
        ]

    def sample(self, model: Model, time: float) -> Array:
        """Return the means; collective."""
        found = np.zeros((len(self.points), len(self.kept)))
        for column, ((nodes, weights), values) in enumerate(zip(self._weights, self._values, strict=True)):
            found[:, column] = weights @ values[nodes]
        self.comm.Allreduce(MPI.IN_PLACE, found, op=MPI.SUM)
        return np.asarray(found.ravel())

    def values(self, probe: str, field: str) -> Array:
        """Return a field of a probe over time."""
        return self.rows[:, list(self.points).index(probe) * len(self.kept) + self.kept.index(field)]

    def data_sets(self) -> Iterator[DataSet]:
        """Every field of every probe."""
        for probe, at in self.points.items():
            for name in self.kept:
                yield DataSet(
                    f"{probe}/{name}", self.values(probe, name), self.units.fields.get(name, ""), np.array(at)
                )

    def activation(self, probe: str, threshold: float, field: str = "V") -> float:
        """Return when a field of a probe first rose through a threshold, linear between samples; inf if it did not."""
        values, times = self.values(probe, field), self.times
        if values[0] >= threshold:
            return float(times[0])
        passed = np.flatnonzero((values[:-1] < threshold) & (values[1:] >= threshold))
        if not len(passed):
            return float("inf")
        k = passed[0]
        share = (threshold - values[k]) / (values[k + 1] - values[k])
        return float(times[k] + share * (times[k + 1] - times[k]))

    def identity(self, model: Model) -> Mapping[str, Any]:
        """The series of a run are of the same cells from its start to its end."""
        return {f"{self.name}: cells": {name: list(at) for name, at in self.points.items()}}
