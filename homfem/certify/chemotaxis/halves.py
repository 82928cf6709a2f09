"""The errors of both diffusions on one mesh, and the width of the bounds that their products give."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from mpi4py import MPI

from homfem import brackets
from homfem.brackets import EPS
from homfem.certify.chemotaxis.sides import Below, Diffusing, distances, solve_below
from homfem.coefficients import NamedCoefficient
from homfem.local import roundoff
from homfem.local.problem import Correctors
from homfem.parameters import Array


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Half:
    """One of the two diffusions with its errors: of unit gradients, and of what the other one drives.

    Parameters
    ----------
    own
        The diffusion.
    upper, below
        Conforming correctors and fluxes: of unit gradients, then of the driven loads.
    noise
        What round-off can have done to the energies above.
    places
        Of :func:`homfem.certify.chemotaxis.sides.distances`.
    """

    own: Diffusing
    upper: Correctors
    below: Below
    noise: Array
    places: Array

    @classmethod
    def of(cls, own: Diffusing, upper: Correctors, other: Correctors, rtol: float) -> Half:
        """Solve the lower side, which the correctors ``other`` drive; collective."""
        below = solve_below(own, other, rtol)
        return cls(
            own=own, upper=upper, below=below, noise=own.noise(upper), places=distances(own, upper, below, other)
        )

    @property
    def dimension(self) -> int:
        """Number of unit gradients."""
        return self.own.cell.dimension

    @property
    def sides(self) -> tuple[Array, Array]:
        """The effective tensor from below and from above, each moved for what may be wrong with it."""
        d, below = self.dimension, self.below
        weights = roundoff.weights(self.own.cell, below.average, [(k,) for k in range(d)])
        lower = below.average - below.noise - brackets.shared(below.excess[:d], weights)
        return lower, self.upper.average[:d, :d] + self.noise

    @property
    def energies(self) -> Array:
        r""":math:`\varepsilon` of each unit gradient."""
        lower, upper = self.sides
        return np.sqrt(np.maximum(np.diag(upper - lower), 0.0))

    @property
    def sums(self) -> Array:
        """The places summed over all mesh cells: squares of the distances, shape (2 d,); collective."""
        return np.asarray(self.own.cell.comm.allreduce(self.places.sum(axis=1), op=MPI.SUM))

    @property
    def driven(self) -> Array:
        r""":math:`\eta` of each driven load, with what the residual leaves; collective."""
        d = self.dimension
        return np.asarray(np.sqrt(self.sums[d:]) * (1.0 + 1e-12) + np.sqrt(self.below.excess[d:]))

    def named(self, unit: str, bounded: bool = True) -> NamedCoefficient:
        """The effective tensor with its bounds."""
        lower, upper = (brackets.symmetric(side) for side in self.sides)
        value = 0.5 * (self.upper.average[: self.dimension, : self.dimension] + self.below.average)
        if not bounded:
            return NamedCoefficient(value=value, unit=unit, basis="matrix")
        value = brackets.clipped(value, lower, upper)
        return NamedCoefficient(value=value, lower=lower, upper=upper, unit=unit, basis="matrix", order="loewner")


def width_of(largest: float, moving: Half, spreading: Half) -> Array:
    r"""The half-width of each entry's bounds, see :mod:`homfem.certify.chemotaxis.sides`; collective.

    ``largest`` is :math:`\max\|D_n^{-1/2}SD_c^{-1/2}\|`.
    """
    d = moving.dimension
    width = np.outer(moving.energies, moving.driven) + np.outer(spreading.driven, spreading.energies)
    width += largest * np.outer(moving.energies, spreading.energies)
    roots = [np.sqrt(np.maximum(np.diag(half.upper.average)[:d], 0.0)) for half in (moving, spreading)]
    # An error of a field changes its energy by twice as much: so much of the noise, and the sums themselves.
    loose = [
        np.divide(np.diag(half.noise), root, out=np.zeros(d), where=root > 0.0)
        for half, root in zip((moving, spreading), roots, strict=True)
    ]
    width += largest * (np.outer(loose[0], roots[1]) + np.outer(roots[0], loose[1]))
    return np.asarray(width + largest * roundoff.STEPS * EPS * np.outer(*roots))


def carried(largest: float, moving: Half, spreading: Half) -> Array:
    r"""Return what each owned mesh cell has of the width; collective.

    The width is about :math:`\sqrt{E_nH_n}+\sqrt{E_cH_c}+\sigma\sqrt{E_nE_c}` with the sums E over the mesh cells of
    the squares of the :math:`\varepsilon` and H of the :math:`\eta`: each part counts with the slope of the whole in
    it, so that a mesh cell in which one factor of a product is left counts as one with the other.
    """
    d, halves = moving.dimension, (moving, spreading)
    parts = [[half.places[:d].sum(axis=0), half.places[d:].sum(axis=0)] for half in halves]
    e, h = (np.array([part.sum() for part in (half.sums[:d], half.sums[d:])]) for half in halves)
    (first, driven), (second, back) = e, h
    slopes = [
        [_ratio(driven, first) + largest * _ratio(second, first), _ratio(first, driven)],
        [_ratio(back, second) + largest * _ratio(first, second), _ratio(second, back)],
    ]
    return np.asarray(
        sum(s * part for own, among in zip(slopes, parts, strict=True) for s, part in zip(own, among, strict=True))
    )


def _ratio(one: float, other: float) -> float:
    return float(np.sqrt(one / other)) if other > 0.0 else 0.0
