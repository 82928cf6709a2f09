r"""Potential and flux of a block medium at any point, from the cosine moments of the interface fluxes.

The formulas are those of :mod:`homfem.blocks.elements`; the flux is their exact derivative, so that it is free of
divergence at every point, whatever the accuracy of the moments.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from homfem.blocks.elements import decay, decay_slope
from homfem.blocks.rectangles import Integers, Partition
from homfem.parameters import Array, InputError

CHUNK = 4096


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class FieldGroup:
    """Moments of the outward fluxes of rectangles of one shape.

    Parameters
    ----------
    members : int array, shape (r,)
        Numbers of the rectangles.
    ratio : float
        Aspect ratio rho.
    moments_y : array, shape (r, 2, K+1, 2)
        c_0 ... c_K of the left and the right side, last axis the load.
    moments_x : array, shape (r, 2, K'+1, 2)
        The same of the bottom and the top.
    """

    members: Integers
    ratio: float
    moments_y: Array
    moments_x: Array


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class BlockFields:
    """Potential and flux anywhere in the cell.

    Parameters
    ----------
    partition : Partition
        The rectangles.
    constants : array, shape (r, 2)
        Mean of the total potential in each rectangle for the two loads; for each load the periodic part has zero mean.
    groups : tuple of FieldGroup
        The moments.
    """

    partition: Partition
    constants: Array
    groups: tuple[FieldGroup, ...]

    @classmethod
    def build(cls, partition: Partition, constants: Array, groups: list[FieldGroup]) -> BlockFields:
        """Return the fields with the constants shifted so that the periodic part has zero mean in each component."""
        medium, boxes = partition.medium, partition.boxes
        x, y = (np.concatenate([[0.0], np.cumsum(part)]) for part in (medium.widths, medium.heights))
        area = (y[boxes[:, 1]] - y[boxes[:, 0]]) * (x[boxes[:, 3]] - x[boxes[:, 2]])
        centre = np.stack([x[boxes[:, 2]] + x[boxes[:, 3]], y[boxes[:, 0]] + y[boxes[:, 1]]], axis=1) / 2
        number, label = medium.components()
        label = label[boxes[:, 0], boxes[:, 2]]
        size = np.bincount(label, area, minlength=number)
        excess = constants - centre
        for load in (0, 1):
            excess[:, load] -= (np.bincount(label, area * excess[:, load], minlength=number) / size)[label]
        return cls(partition=partition, constants=excess + centre, groups=tuple(groups))

    def potential(self, points: npt.ArrayLike) -> Array:
        """Return the periodic parts psi of the potential for the loads x and y, shape (p, 2); NaN in zero blocks.

        ``points``: shape (p, 2), anywhere; they are taken modulo the period.
        """
        return self._at(points)[0]

    def flux(self, points: npt.ArrayLike) -> Array:
        """Return the flux D grad(psi + x_load), shape (p, 2 components, 2 loads); zero in zero blocks.

        On a block's corner of several diffusivities the exact flux may be infinite; here it is a large finite number.
        """
        return self._at(points)[1]

    def _at(self, points: npt.ArrayLike) -> tuple[Array, Array]:
        medium, boxes = self.partition.medium, self.partition.boxes
        given = np.asarray(points, dtype=np.float64)
        if given.ndim != 2 or given.shape[1] != 2 or not np.all(np.isfinite(given)):
            raise InputError("points", points, "an array of finite numbers of shape (p, 2)")
        where = given % np.array(medium.lengths)
        x, y = (np.concatenate([[0.0], np.cumsum(part)]) for part in (medium.widths, medium.heights))
        column = np.clip(np.searchsorted(x, where[:, 0], side="right") - 1, 0, len(x) - 2)
        row = np.clip(np.searchsorted(y, where[:, 1], side="right") - 1, 0, len(y) - 2)
        owner = self.partition.owner[row, column]
        potential = np.full((len(given), 2), np.nan)
        flux = np.zeros((len(given), 2, 2))
        for group in self.groups:
            place = np.full(len(boxes), -1, dtype=np.int64)
            place[group.members] = np.arange(len(group.members))
            inside = np.flatnonzero((owner >= 0) & (place[owner] >= 0))
            for start in range(0, len(inside), CHUNK):
                chosen = inside[start : start + CHUNK]
                box = boxes[owner[chosen]]
                corner = np.stack([x[box[:, 2]], y[box[:, 0]]], axis=1)
                size = np.stack([x[box[:, 3]], y[box[:, 1]]], axis=1) - corner
                local = (where[chosen] - corner) / size
                value, slope = _local(group, place[owner[chosen]], local)
                axial = medium.axial[row[chosen], column[chosen]]
                mean = np.sqrt(axial[:, 0] * axial[:, 1])
                total = value / mean[:, None] + self.constants[owner[chosen]]
                potential[chosen] = total - where[chosen]
                flux[chosen] = slope * (axial / size / mean[:, None])[:, :, None]
        return potential, flux


def _local(group: FieldGroup, member: Integers, local: Array) -> tuple[Array, Array]:
    """Return sqrt(D_x D_y) v of zero mean, shape (p, 2), and its slopes in xi and eta, shape (p, 2 slopes, 2 loads)."""
    value = np.zeros((len(local), 2))
    slope = np.zeros((len(local), 2, 2))
    for moments, rho, along, across in (
        (group.moments_y, group.ratio, 1, 0),
        (group.moments_x, 1.0 / group.ratio, 0, 1),
    ):
        s, t = local[:, along], local[:, across]
        omega = np.pi * np.arange(1, moments.shape[2])
        phase = np.multiply.outer(s, omega)
        cosine, sine = np.cos(phase), np.sin(phase)
        for side, distance, direction in ((0, t, 1.0), (1, 1.0 - t, -1.0)):
            c = moments[member, side]
            amplitude = c[:, 1:] * (2.0 / omega)[None, :, None]
            shape = decay(omega * rho, distance)
            fall = decay_slope(omega * rho, distance) * (omega * rho)
            value += 0.5 * rho * c[:, 0] * ((1.0 - distance) ** 2 - 1.0 / 3.0)[:, None]
            value += np.einsum("pk,pka->pa", shape * cosine, amplitude)
            slope[:, across] -= direction * rho * c[:, 0] * (1.0 - distance)[:, None]
            slope[:, across] -= direction * np.einsum("pk,pka->pa", fall * cosine, amplitude)
            slope[:, along] -= np.einsum("pk,pka->pa", shape * sine * omega, amplitude)
    return value, slope
