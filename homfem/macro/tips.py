r"""Tips of spiral waves, and filaments of scroll waves: where the front of a wave meets its back.

A tip is where V passes a level :math:`V^*` at two successive times, :math:`V(t) = V(t-\tau) = V^*`: the isolines of a
plane wave at both times are apart, those of a spiral cross at its tip, a singularity of the phase, about which it runs
by :math:`2\pi`. In space the surfaces cross along the filament of a scroll wave. With linear elements both are found
exactly, triangle by triangle, where the origin lies in the image of (V(t) - V*, V(t - tau) - V*).

Source
------
Fenton, Karma 1998, Chaos 8, 20, doi 10.1063/1.166311. Gray, Pertsov, Jalife 1998, Nature 392, 75, doi 10.1038/32164.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from dolfinx import fem

from homfem._dolfinx import geometry_dofmap
from homfem.macro.samples import Samples
from homfem.macro.series import DataSet
from homfem.macro.state import Model, StateField, with_unit
from homfem.parameters import Array, InputError, check_choice, check_integer, check_number

_FACES = ((1, 2, 3), (0, 3, 2), (0, 1, 3), (0, 2, 1))


class Tips(Samples):
    """Watches tips of spiral waves (2D) or filaments of scroll waves (3D).

    Parameters
    ----------
    field
        Name of a field of the model's state, scalar and continuous of degree 1 on straight simplices.
    level
        :math:`V^*`, in its unit: between rest and plateau, where fronts and backs are steep.
    every
        Steps from one time to the next, :math:`\\tau`: a small part of a turn, such as 1 to 5 ms.
    path, name
        As of :class:`homfem.macro.samples.Samples`.

    Attributes
    ----------
    found : array, shape (tips, d + 2)
        Of each tip the time, its coordinates, and 1 for a spiral that turns counterclockwise, -1 for one that turns
        clockwise; in 3D the middle of each piece of a filament, and its length. In the order of times, then of
        coordinates; the same on every rank.

    Notes
    -----
    The row of a time holds the number of tips and the sum of their signs; in 3D the number of pieces and the length of
    all filaments. Tips at the start are not known. All stand in the checkpoints.
    """

    def __init__(
        self, field: str, level: float, *, every: int, path: Path | str | None = None, name: str = "tips"
    ) -> None:
        super().__init__(name, every=check_integer("every", every, at_least=1), path=path)
        self.field, self.level = field, check_number("level", level)

    def begin(self, model: Model, time: float) -> None:
        """Take the start; collective."""
        self.comm, self.units = model.comm, model.units
        state = model.state()
        self._space, self._values = state[check_choice("field", self.field, list(state))]
        mesh = self._space.mesh
        self._d = mesh.topology.dim
        owned = mesh.topology.index_map(self._d).size_local
        self._cells = np.asarray(self._space.dofmap.list)[:owned]
        nodes = geometry_dofmap(mesh)[:owned]
        if self._d < 2 or self._space.value_shape or {self._cells.shape[1], nodes.shape[1]} != {self._d + 1}:
            allowed = "scalar continuous Lagrange of degree 1 on triangles or tetrahedra"
            raise InputError("field", str(self._space.ufl_element()), allowed)
        self._corners = np.asarray(mesh.geometry.x)[nodes][:, :, : self._d]
        self._now, self._then = fem.Function(self._space), fem.Function(self._space)
        self._before = self._values.copy()
        self._pieces: list[Array] = []
        self.take(model, time)

    def labels(self) -> list[str]:
        """Return the headers of a row."""
        if self._d == 2:
            return ["tips", "turns"]
        return ["pieces", with_unit("filaments", self.units.length)]

    def sample(self, model: Model, time: float) -> Array:
        """Find the tips of a time; collective."""
        values = []
        for function, owned in ((self._now, self._values), (self._then, self._before)):
            function.x.array[: owned.size] = owned
            function.x.scatter_forward()
            values.append(function.x.array - self.level)
        first = not self._pieces
        mine = np.zeros((0, self._d + 1))
        if not first:
            # The front passes few cells: the others cannot hold a tip.
            above = [np.count_nonzero((a > 0.0)[self._cells], axis=1) for a in values]
            near = np.flatnonzero(np.logical_and.reduce([(count > 0) & (count <= self._d) for count in above]))
            cells = self._cells[near]
            mine = (_tips if self._d == 2 else _filaments)(self._corners[near], *(a[cells] for a in values))
        everyones = np.concatenate(self.comm.allgather(mine))
        everyones = everyones[np.lexsort(np.round(everyones[:, : self._d], 9).T[::-1])]
        self._pieces.append(np.column_stack([np.full(len(everyones), time), everyones]))
        self._before[:] = self._values
        return np.array([float(len(everyones)), float(everyones[:, -1].sum())])

    def watch(self, model: Model, step: int, start: float, end: float, last: bool) -> None:
        """Sample at equal distances of time alone; collective."""
        if self.due(step, end):
            super().watch(model, step, start, end, last)

    def data_sets(self) -> Iterator[DataSet]:
        """The rows, and all tips."""
        units = ["", "" if self._d == 2 else self.units.length]
        for column, (label, unit) in enumerate(zip(self.labels(), units, strict=True)):
            yield DataSet(label.split(" ")[0], self.rows[:, column], unit)
        words = ["time", *"xyz"[: self._d], "turn" if self._d == 2 else "length"]
        for column, word in enumerate(words):
            unit = self.units.time if word == "time" else "" if word == "turn" else self.units.length
            yield DataSet(f"found/{word}", self.found[:, column], unit)

    @property
    def found(self) -> Array:
        """All tips so far."""
        return np.concatenate(self._pieces)

    def identity(self, model: Model) -> Mapping[str, Any]:
        """Tips are those of one level and one interval."""
        return {self.name: {"field": self.field, "level": self.level, "every": self.every}}

    def fields(self) -> Mapping[str, StateField]:
        """Return the field of the time before."""
        return {"before": StateField(self._space, self._before)}

    def series(self) -> Mapping[str, Array]:
        """Return the rows and the tips so far."""
        return {**super().series(), "found": self.found}

    def restore(self, series: Mapping[str, Array]) -> None:
        """Go on from them; collective."""
        super().restore(series)
        found = self.comm.bcast(series["found"] if self.comm.rank == 0 else None)
        self._pieces = [found.reshape(-1, self._d + 2)]


def _areas(a: Array, b: Array) -> Array:
    """Return twice the signed areas that the origin spans with the sides of image triangles, by corner, (n, 3)."""
    return np.stack([a[:, i] * b[:, j] - a[:, j] * b[:, i] for i, j in ((1, 2), (2, 0), (0, 1))], axis=1)


def _tips(corners: Array, a: Array, b: Array) -> Array:
    """Return the places in triangles where two linear fields are zero, and which way the wave turns, shape (m, 3)."""
    areas = _areas(a, b)
    inside = np.flatnonzero((areas > 0.0).all(axis=1) | (areas < 0.0).all(axis=1))
    edges = corners[inside, 1:] - corners[inside, :1]
    # The image turns over with the triangle's own corners; the later field runs behind in a counterclockwise turn.
    turns = -np.sign(areas[inside].sum(axis=1)) * np.sign(np.linalg.det(edges)) if inside.size else np.zeros(0)
    shares = areas[inside] / areas[inside].sum(axis=1, keepdims=True)
    return np.column_stack([np.einsum("nk,nkx->nx", shares, corners[inside]), turns])


def _filaments(corners: Array, a: Array, b: Array) -> Array:
    """Return the middles and the lengths of the lines in tetrahedra where two linear fields are zero, shape (m, 4)."""
    count = np.zeros(len(corners), dtype=np.int64)
    ends = np.zeros((2, len(corners), 3))
    for face in _FACES:
        areas = _areas(a[:, face], b[:, face])
        through = np.flatnonzero((areas > 0.0).all(axis=1) | (areas < 0.0).all(axis=1))
        shares = areas[through] / areas[through].sum(axis=1, keepdims=True)
        ends[np.minimum(count[through], 1), through] = np.einsum("nk,nkx->nx", shares, corners[through][:, face])
        count[through] += 1
    whole = np.flatnonzero(count == 2)
    one, other = ends[:, whole]
    return np.column_stack([0.5 * (one + other), np.linalg.norm(one - other, axis=1)])
