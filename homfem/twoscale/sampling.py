r"""Two-scale convergence, sampled: integrals against functions that oscillate with the medium.

:math:`u_\varepsilon` converges to :math:`u_0` on two scales if for every smooth :math:`\psi(x, y)`, periodic in y,

.. math::
    \int_{\Omega_\varepsilon} u_\varepsilon\,\psi(x, x/\varepsilon)\,dx &\to
        \int_\Omega\frac1{|Y|}\int_{Y^*} u_0(x)\,\psi(x, y)\,dy\,dx,\\
    \int_{\Omega_\varepsilon} \nabla u_\varepsilon:\Psi(x, x/\varepsilon)\,dx &\to
        \int_\Omega\frac1{|Y|}\int_{Y^*} (\nabla u_0(x)+\nabla_yu_1(x, y)):\Psi(x, y)\,dy\,dx,\qquad
    u_1=\chi_j(y)\,G_j(u_0)(x),

with the active part :math:`Y^*` of the period. The samples are
:math:`\psi=\cos(\pi a\cdot x/L+\alpha)\cos(2\pi b\cdot y/p+\beta)` with whole numbers a, b and phases at random, times
a random vector or matrix of size one. Integrals over the cell have the quadrature of those over the resolved domain.

Source: Allaire 1992, SIAM J. Math. Anal. 23, 1482, doi 10.1137/0523084; Nguetseng 1989, doi 10.1137/0520043.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import Any

import numpy as np
import ufl
from dolfinx import fem

from homfem import solve
from homfem.parameters import Array
from homfem.twoscale.medium import Medium
from homfem.twoscale.resolved import Resolved
from homfem.twoscale.splines import SmoothField

#: Largest whole numbers of a and of b.
SLOW, FAST = 2, 2
#: Points of Gauss along each axis for integrals of the limit, by dimension.
POINTS = {2: 96, 3: 40}


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Sample:
    """One test function: whole numbers, phases, and the matrix of which the first column weighs the field itself."""

    slow: Array
    fast: Array
    phases: Array
    weights: Array


def samples(medium: Medium, number: int, seed: int) -> list[Sample]:
    """Return test functions drawn at random, the same on every rank."""
    random, m, d = np.random.default_rng(seed), medium.components, medium.dimension
    found = []
    for _ in range(number):
        weights = random.normal(size=(m, d))
        found.append(
            Sample(
                slow=random.integers(0, SLOW + 1, size=d).astype(np.float64),
                fast=random.integers(0, FAST + 1, size=d).astype(np.float64),
                phases=random.uniform(0.0, 2.0 * np.pi, size=2),
                weights=weights / np.linalg.norm(weights),
            )
        )
    return found


class _Oscillating:
    """UFL of a test function, with constants that are set to one sample after the other."""

    def __init__(self, mesh: Any, medium: Medium, low: Array, scale: float) -> None:
        d = medium.dimension
        self.medium, self.scale = medium, scale
        self.slow, self.fast = fem.Constant(mesh, np.zeros(d)), fem.Constant(mesh, np.zeros(d))
        self.phases = fem.Constant(mesh, np.zeros(2))
        self.weights = fem.Constant(mesh, np.zeros((medium.components, d)))
        x = ufl.SpatialCoordinate(mesh) - ufl.as_vector(low.tolist())
        self.factor = ufl.cos(ufl.dot(self.slow, x) + self.phases[0]) * ufl.cos(ufl.dot(self.fast, x) + self.phases[1])
        self.dx = ufl.Measure("dx", domain=mesh, metadata={"quadrature_degree": 2 * medium.degree + 4})

    def value(self, u: Any) -> Any:
        """The form of a field."""
        own = self.weights[0, 0] * u if not self.medium.shape else ufl.inner(self.weights[:, 0], u)
        return own * self.factor * self.dx

    def gradient(self, u: Any) -> Any:
        """The form of its gradient."""
        weights = self.weights[0, :] if not self.medium.shape else self.weights
        return ufl.inner(weights, ufl.grad(u)) * self.factor * self.dx

    def set(self, sample: Sample, *, slow: bool = True) -> None:
        """Take a sample; its slow factor is left out on a cell."""
        sides = self.medium.sides
        self.slow.value[:] = np.pi * sample.slow / sides if slow else 0.0
        self.phases.value[:] = sample.phases if slow else (0.0, sample.phases[1])
        self.fast.value[:] = 2.0 * np.pi * sample.fast / sides * self.scale
        self.weights.value[:] = sample.weights


def on_resolved(resolved: Resolved, function: fem.Function, chosen: list[Sample]) -> Array:
    """Return the integrals of a field and of its gradient against samples, shape (samples, 2); collective."""
    medium = resolved.medium
    test = _Oscillating(resolved.mesh, medium, np.zeros(medium.dimension), float(resolved.periods))
    forms = [solve.integral(test.value(function)), solve.integral(test.gradient(function))]
    found = np.zeros((len(chosen), 2))
    for k, sample in enumerate(chosen):
        test.set(sample)
        found[k] = [form() for form in forms]
    return found


def in_limit(medium: Medium, field: SmoothField, chosen: list[Sample]) -> tuple[Array, Array]:
    r"""Return what these integrals tend to, shape (samples, 2), and how large they may be, shape (2,); not collective.

    The latter are :math:`\|u_0\|_{L^2}|\Omega|^{1/2}` and the same of its gradient: no test function exceeds one.
    """
    nodes, weights = np.polynomial.legendre.leggauss(POINTS[medium.dimension])
    points = np.array(list(itertools.product(0.5 * (nodes + 1.0), repeat=medium.dimension))).T
    points *= medium.sides[:, None]
    quadrature = np.prod(np.array(list(itertools.product(0.5 * weights, repeat=medium.dimension))), axis=1)
    quadrature *= np.prod(medium.sides)
    values, gradients = field.values(points), field.gradients(points)
    loads = medium.loads(gradients)
    cell = medium.cell
    test = _Oscillating(cell.mesh, medium, medium.low, 1.0)
    corrector = fem.Function(medium.correctors[0].function_space)
    mean, slope = solve.integral(test.factor * test.dx), solve.integral(test.gradient(corrector))
    found = np.zeros((len(chosen), 2))
    for k, sample in enumerate(chosen):
        test.set(sample, slow=False)
        # The slow factor on the cell is cos 0 = 1.
        fast = mean() / cell.lattice.volume
        own = quadrature * np.cos(np.pi * (sample.slow / medium.sides) @ points + sample.phases[0])
        found[k] = fast * (sample.weights[:, 0] @ values @ own), fast * np.sum(sample.weights * (gradients @ own))
        for one, load in zip(medium.correctors, loads, strict=True):
            corrector.x.array[:] = one.x.array
            found[k, 1] += slope() / cell.lattice.volume * (load @ own)
    squares = [float(np.sum(one**2, axis=0) @ quadrature) for one in (values, gradients.reshape(-1, len(quadrature)))]
    return found, np.sqrt(np.array(squares) * quadrature.sum())
