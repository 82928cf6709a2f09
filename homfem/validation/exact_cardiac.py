r"""Cardiac problems with exact solutions: monodomain, bidomain and bidomain with bath in one to three dimensions.

With :math:`F = \prod_j\cos(m_j\pi x_j)`, :math:`\lambda = \pi^2\sum_j\sigma_j m_j^2` and :math:`G = 1 + x y^2 z^3`,

.. math:: V = \sqrt{1+t}\,F + u_3,\quad \varphi_e = -k\sqrt{1+t}\,F - u_3,\quad
    u_1 = V - u_3 + (1+t)G,\quad u_2 = \frac{G^{-1/2}}{1+t}

solve the equations of :mod:`homfem.macro.cardiac` with :math:`\sigma_e = \sigma_i(1-k)/k` and the membrane

.. math::
    I_{ion} &= -\tfrac12 C_m\,w u_2^2\,(V-u_3) + \beta\,(V-u_3),\qquad w = u_1 + u_3 - V,\\
    \dot u_1 &= w^2u_2^2 + \tfrac12 w u_2^2\,(V-u_3),\qquad \dot u_2 = -w u_2^3,\qquad \dot u_3 = 0,

where :math:`\beta = -\lambda/\chi` in a monodomain and :math:`-(1-k)\lambda/\chi` in a bidomain. Without a bath
:math:`u_3 = 0`; with one a current :math:`\alpha` flows along x, and :math:`u_3 = -\alpha x/\sigma_e`.

Source: Pathmanathan, Gray 2014, Int. J. Numer. Meth. Biomed. Engng. 30, 525, doi 10.1002/cnm.2619.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import ufl
from dolfinx import fem
from dolfinx import mesh as dmesh
from mpi4py import MPI

from homfem.kinetics import Parameter, PointKinetics, Variable
from homfem.kinetics.point import Fields
from homfem.macro.cardiac import CardiacMethod, CardiacProblem, solve_cardiac
from homfem.macro.conditions import Neumann
from homfem.macro.domain import Domain
from homfem.macro.observers import Observer
from homfem.parameters import Array
from homfem.solve import assemble_matrix
from homfem.timestepping import TimeGrid

WAVES = np.array([1.0, 2.0, 3.0])
SIGMA = np.array([1.1, 1.2, 0.3]) / math.pi**2
AREA, CAPACITANCE, SHARE, CURRENT = 3.0, 2.0, 1.0 / math.sqrt(2.0), 0.01


def _rates(_time: float, fields: Fields, states: Array, p: Any) -> Array:
    u1, u2, u3 = states
    active = fields[0] - u3
    return np.asarray((active * (0.5 * (u1 - active) * u2**2 - p.beta / p.capacitance))[None])


def _drift(_time: float, fields: Fields, states: Array, _p: Any) -> Array:
    u1, u2, u3 = states
    active = fields[0] - u3
    w = u1 - active
    return np.stack([w * u2**2 * (w + 0.5 * active), -w * u2**3, np.zeros_like(u3)])


MEMBRANE = PointKinetics(
    name="membrane of the exact solutions",
    time_unit="ms",
    fields=(Variable(name="V", unit="mV"),),
    states=tuple(Variable(name=name, gate=False) for name in ("u1", "u2", "u3")),
    parameters=(
        Parameter(name="beta", value=0.0, meaning="conductance per area of the membrane"),
        Parameter(name="capacitance", value=CAPACITANCE, meaning="capacitance per area of the membrane"),
    ),
    rates=_rates,
    drift=_drift,
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Exact:
    """One of the problems with its solution.

    Parameters
    ----------
    kind
        ``"monodomain"``, ``"bidomain"`` or ``"bath"``.
    dimension
        1, 2 or 3. The tissue is the unit interval, square or cube; the bath reaches from x = -1 to 2.
    """

    kind: str
    dimension: int

    @property
    def waves(self) -> Array:
        """m; with a bath F depends on x alone."""
        return WAVES[: self.dimension] * (np.arange(self.dimension) == 0 if self.kind == "bath" else 1.0)

    @property
    def slope(self) -> float:
        """The gradient of -u3."""
        return CURRENT / self.extracellular if self.kind == "bath" else 0.0

    @property
    def extracellular(self) -> float:
        """The extracellular conductivity along x."""
        return float(SIGMA[0]) * (1.0 - SHARE) / SHARE

    @property
    def beta(self) -> float:
        """Of the membrane."""
        sigma = SIGMA[: self.dimension] * (1.0 if self.kind == "monodomain" else 1.0 - SHARE)
        return float(-(math.pi**2) * (sigma @ self.waves**2) / AREA)

    def product(self, x: Array) -> Array:
        """F at points of shape (3, n)."""
        return np.asarray(np.prod([np.cos(m * math.pi * x[j]) for j, m in enumerate(self.waves)], axis=0))

    def potential(self, x: Array, time: float) -> Array:
        """V."""
        return np.asarray(math.sqrt(1.0 + time) * self.product(x) - self.slope * x[0])

    def phi_e(self, x: Array, time: float) -> Array:
        """The extracellular potential, of mean zero."""
        inside = np.clip(x[0], 0.0, 1.0)
        at = np.array([inside, *x[1:]])
        bath = 2.0 * self.slope * (x[0] - inside)  # its conductivity is half of the tissue's
        return np.asarray(-SHARE * math.sqrt(1.0 + time) * self.product(at) + self.slope * (inside - 0.5) + bath)

    def factor(self, x: Array) -> Array:
        """G; outside of the tissue that of the nearest point."""
        powers = np.arange(1, self.dimension + 1)[:, None]
        return np.asarray(1.0 + np.prod(np.clip(x[: self.dimension], 0.0, 1.0) ** powers, axis=0))

    def problem(self, cells: int, comm: MPI.Comm = MPI.COMM_WORLD) -> CardiacProblem:
        """Return the problem with a number of cells along each side of the tissue; collective."""
        d, bath = self.dimension, self.kind == "bath"
        counts, low, high = [cells] * d, np.zeros(d), np.ones(d)
        if bath:
            counts[0], low[0], high[0] = 3 * cells, -1.0, 2.0
        made = (
            dmesh.create_interval(comm, counts[0], [low[0], high[0]])
            if d == 1
            else (dmesh.create_rectangle if d == 2 else dmesh.create_box)(comm, [low, high], counts)
        )
        domain = Domain(mesh=made, unit="mm")
        given: dict[str, Any] = {}
        sigma = np.diag(SIGMA[:d])
        if bath:
            domain = domain.with_regions(
                {"tissue": lambda x: (x[0] > 0.0) & (x[0] < 1.0), "bath": lambda x: (x[0] < 0.0) | (x[0] > 1.0)}
            ).with_boundaries({"left": lambda x: x[0] < -1.0 + 1e-9, "right": lambda x: x[0] > 2.0 - 1e-9})
            given = {
                "bath": {"bath": 0.5 * self.extracellular},
                "electrodes": [Neumann(boundary="left", flux=-CURRENT), Neumann(boundary="right", flux=CURRENT)],
            }
        if self.kind == "monodomain":
            given["conductivity"] = sigma
        else:
            given |= {"intracellular": sigma, "extracellular": sigma * (1.0 - SHARE) / SHARE}
        return CardiacProblem(
            mesh=domain,
            kind=self.kind,  # type: ignore[arg-type]
            membrane=MEMBRANE,
            area=AREA,
            capacitance=CAPACITANCE,
            parameters={"beta": self.beta},
            start={
                "V": lambda x: self.potential(x, 0.0),
                "u1": lambda x: self.factor(x) + self.product(x),
                "u2": lambda x: self.factor(x) ** -0.5,
                "u3": lambda x: -self.slope * x[0],
            },
            **given,
        )

    def errors(
        self, cells: int, step: float, *, end: float = 1.0, method: CardiacMethod | None = None,
        comm: MPI.Comm = MPI.COMM_WORLD,
    ) -> dict[str, float]:  # fmt: skip
        """Return the largest error over time in the norm of L2, of V (in the tissue) and of phi_e; collective."""
        seen = {"V": _Error(self, "V", self.potential)}
        if self.kind != "monodomain":
            seen["phi_e"] = _Error(self, "phi_e", self.phi_e)
        solve_cardiac(self.problem(cells, comm), TimeGrid(end=end, step=step), method, observers=list(seen.values()))
        return {name: observer.largest for name, observer in seen.items()}


class _Error(Observer):
    """The largest error of a field over time in the norm of L2, by interpolation into a space two degrees higher."""

    def __init__(self, exact: Exact, name: str, solution: Callable[[Array, float], Array]) -> None:
        super().__init__(f"error of {name}")
        self.exact, self.field, self.solution, self.largest = exact, name, solution, 0.0

    def begin(self, model: Any, time: float) -> None:
        """Make the finer space."""
        space = model.space
        fine = fem.functionspace(space.mesh, ("Lagrange", space.ufl_element().degree + 2))
        u, v = ufl.TrialFunction(fine), ufl.TestFunction(fine)
        inside = model.tissue.inside if self.field == "V" else 1.0
        self.mass = assemble_matrix(inside * u * v * ufl.dx(domain=space.mesh))
        tissue = np.flatnonzero(model.tissue.cells if self.field == "V" else np.ones_like(model.tissue.cells))
        self.cells = tissue.astype(np.int32)
        self.difference, self.points = fem.Function(fine), fine.tabulate_dof_coordinates().T
        self.product = self.mass.createVecLeft()

    def show(self, model: Any, step: int, time: float) -> None:
        """Compare."""
        function = model.fields()[self.field]
        self.difference.interpolate(function, cells0=self.cells, cells1=self.cells)
        self.difference.x.array[:] -= self.solution(self.points, time)
        vector = self.difference.x.petsc_vec
        self.mass.mult(vector, self.product)
        self.largest = max(self.largest, math.sqrt(max(0.0, float(self.product.dot(vector)))))
