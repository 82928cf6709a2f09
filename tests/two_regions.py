"""Two regions, cytosol alone and cytosol with ER, and a mode of both that decays: an exact solution for tests."""

from __future__ import annotations

import math

import numpy as np
import scipy.optimize
import ufl
from dolfinx import mesh

from homfem.kinetics import MembraneKinetics
from homfem.macro.calcium import CalciumProblem
from homfem.macro.domain import Domain
from homfem.solve import integrate
from homfem.tensors import EffectiveTensor

GAMMA_C, GAMMA_E, AREA, WALL = 0.7, 0.2, 1.5, 0.375


def measured(name: str, fraction: float, diagonal) -> EffectiveTensor:
    matrix = np.diag(diagonal)
    return EffectiveTensor.measured(name, matrix, volume_fraction=fraction, dimension=len(matrix))


def linear(k: float) -> MembraneKinetics:
    return MembraneKinetics(
        name="linear exchange",
        states=(),
        flux=lambda c, e, x, p: k * (e - c),
        relaxation=lambda c, e, x, p: (x, x),
        steady=lambda c, e, p: np.empty((0, c.size)),
    )


def unit_mesh(comm, dimension: int, cells: int):
    if dimension == 1:
        return mesh.create_unit_interval(comm, cells)
    if dimension == 2:
        return mesh.create_unit_square(comm, cells, cells)
    return mesh.create_unit_cube(comm, cells, cells, cells)


def halves(domain) -> Domain:
    """Cytosol alone to the left of the wall, cytosol and ER to its right."""
    return Domain(mesh=domain, unit="um").with_regions({"cleft": lambda x: x[0] < WALL, "myo": lambda x: x[0] > WALL})


class Mode:
    r"""A decaying mode of both regions: left :math:`\cos px`, right two pairs :math:`v_j\cos q_j(1-x)`, across cosines.

    With c continuous, :math:`A\partial_xc^- = \tilde A\partial_xc^+` and :math:`\partial_x e = 0` at the wall, the rate
    of decay is a root of a determinant. Capacity, tensor and reaction jump there.
    """

    k = 0.5
    free, cytosol, er = (0.12, 0.05, 0.07), (0.04, 0.03, 0.02), (0.01, 0.006, 0.02)

    def __init__(self, domain) -> None:
        self.domain, self.d = domain, domain.topology.dim
        self.across = np.pi * np.array([1.0, 1.0])[: self.d - 1]
        rates = np.linspace(0.02, 6.0, 4000)
        values = np.array([np.linalg.det(self.conditions(s)) for s in rates])
        k = int(np.flatnonzero(values[1:] * values[:-1] < 0.0)[0])
        determinant = lambda s: float(np.linalg.det(self.conditions(s)))  # noqa: E731
        self.rate = scipy.optimize.brentq(determinant, rates[k], rates[k + 1], xtol=1e-15, rtol=1e-14)
        _, sizes, rows = np.linalg.svd(self.conditions(self.rate))
        assert sizes[-1] < 1e-9 * sizes[0]
        self.parts = rows[-1] / np.abs(rows[-1]).max()

    def right(self, s: float):
        """Squares of wave numbers and vectors (c, e) of the right."""
        exchange = AREA * self.k
        spread = [t[0] for t in (self.cytosol, self.er)]
        more = [float(np.sum(self.across**2 * t[1 : self.d])) for t in (self.cytosol, self.er)]
        matrix = (
            np.array([[GAMMA_C * s - exchange - more[0], exchange], [exchange, GAMMA_E * s - exchange - more[1]]])
            / np.array(spread)[:, None]
        )
        return np.linalg.eig(matrix)

    def conditions(self, s: float):
        p2 = (s - float(np.sum(self.across**2 * self.free[1 : self.d]))) / self.free[0]
        squares, vectors = self.right(s)
        width = 1.0 - WALL
        rows = np.zeros((3, 3))
        rows[:2, 0] = cosine(p2, WALL), -self.free[0] * sine(p2, WALL)
        for j in range(2):
            c, e = vectors[:, j]
            rows[0, 1 + j] = -c * cosine(squares[j], width)
            rows[1, 1 + j] = -self.cytosol[0] * c * sine(squares[j], width)
            rows[2, 1 + j] = e * sine(squares[j], width)
        return rows

    def exact(self, x, time: float):
        """Values of c and e."""
        p2 = (self.rate - float(np.sum(self.across**2 * self.free[1 : self.d]))) / self.free[0]
        squares, vectors = self.right(self.rate)
        left = self.parts[0] * cosine(p2, x[0])
        waves = [self.parts[1 + j] * cosine(squares[j], 1.0 - x[0]) for j in range(2)]
        both = [sum(vectors[i, j] * wave for j, wave in enumerate(waves)) for i in range(2)]
        decay = math.exp(-self.rate * time) * np.prod([np.cos(q * x[1 + i]) for i, q in enumerate(self.across)], axis=0)
        c = np.where(x[0] <= WALL, left, both[0])
        return 3.0 + c * decay, 3.0 + both[1] * decay

    def problem(self, **change) -> CalciumProblem:
        d = self.d
        given = {
            "mesh": halves(self.domain),
            "cytosol": {
                "cleft": measured("cytosol", 1.0, self.free[:d]),
                "myo": measured("cytosol", GAMMA_C, self.cytosol[:d]),
            },
            "er": {"myo": measured("er", GAMMA_E, self.er[:d])},
            "kinetics": linear(self.k),
            "ip3": 0.0,
            "initial_cytosol": lambda x: self.exact(x, 0.0)[0],
            "initial_er": lambda x: np.where(x[0] >= WALL - 1e-9, self.exact(x, 0.0)[1], 1.0),
            "interface_area": AREA,
        }
        return CalciumProblem(**(given | change))

    def errors(self, result, time: float) -> list[float]:
        """Errors of c and e at the nodes, in the mean square by volume, and the largest ones."""
        found = []
        for number, function in enumerate((result.cytosol, result.er)):
            x = function.function_space.tabulate_dof_coordinates().T
            error = function.x.array - self.exact(x, time)[number]
            copy = function.copy()
            copy.x.array[:] = error
            found += [math.sqrt(integrate(copy**2 * ufl.dx)), float(np.abs(error).max())]
        return found


def cosine(square, x):
    return np.cos(np.sqrt(square) * x) if square >= 0 else np.cosh(np.sqrt(-square) * x)


def sine(square, x):
    """Minus the derivative of the cosine."""
    q = math.sqrt(abs(square))
    return q * math.sin(q * x) if square >= 0 else -q * math.sinh(q * x)
