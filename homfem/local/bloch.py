r"""How what is left of a solute moves and spreads: the first eigenvalue of the Bloch problem to second order.

Seen over many cells, what is left of a solute is :math:`e^{-\lambda t}\varphi(y)\,w(x,t)` with
:math:`\partial_tw+V\cdot\nabla w=\nabla\cdot(D^*\nabla w)`: the first eigenvalue of the Bloch problem, in which
:math:`\nabla+i\theta` stands for the gradient in :mod:`homfem.local.spectral`, is
:math:`\lambda+iV\cdot\theta+\theta\cdot D^*\theta+O(\theta^3)`. With the forms that a then has besides,

.. math:: a_\theta=a+i\theta_jc_j+\theta_i\theta_jd_{ij} ,\qquad
          c_j(u,w)=\int u\,De_j\cdot\nabla w-w\,De_j\cdot\nabla u+v_j\,u\,w ,\quad d_{ij}(u,w)=\int D_{ij}\,u\,w ,

the first two orders say, for :math:`m(\varphi,\varphi^*)=m(Y)` and every w,

.. math:: V_j=\frac{c_j(\varphi,\varphi^*)}{m(Y)} ,\qquad
          a(\psi_j,w)-\lambda m(\psi_j,w)=V_jm(\varphi,w)-c_j(\varphi,w) ,\quad m(\psi_j,\varphi^*)=0 ,

.. math:: D^*_{ij}=\tfrac1{m(Y)}\bigl(d_{ij}(\varphi,\varphi^*)-c_i(\psi_j,\varphi^*)\bigr)\ \text{(symmetric part)} .

With :math:`\psi_j=\varphi\chi_j` these are the cell problems with the weight :math:`\varphi\varphi^*` and the drift
:math:`b=\varphi\varphi^*v+D(\varphi\nabla\varphi^*-\varphi^*\nabla\varphi)`, :math:`V=\frac1{m(Y)}\int b`. In finite
elements they are the derivatives of the discrete Bloch eigenvalue, exactly, and converge as it does, with twice the
order of the functions; a velocity need not be free of divergence for it.

Source: Allaire, Raphael 2007, doi 10.1016/j.crma.2007.03.008; Conca, Orive, Vanninathan 2002,
doi 10.1137/S0036141001382200 (effective coefficients from Bloch waves).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import ufl
from dolfinx import fem
from petsc4py import PETSc

from homfem import solve
from homfem.brackets import symmetric
from homfem.local.problem import CellProblem
from homfem.local.spectral import Pencil, SpectralProblem, Spectrum
from homfem.parameters import Array, InputError


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Response:
    r"""How what is left of a solute moves and spreads.

    Parameters
    ----------
    velocity : array, shape (d,)
        V, in the units of the forms.
    dispersion : array, shape (d, d)
        The symmetric part of :math:`D^*`.
    functions : tuple of fem.Function
        :math:`\psi_j`.
    iterations, seconds
        Of the linear solves.
    """

    velocity: Array
    dispersion: Array
    functions: tuple[fem.Function, ...]
    iterations: int
    seconds: float


def respond(pencil: Pencil, spectrum: Spectrum) -> Response:
    """Return drift and spreading of what is left; collective.

    Raises
    ------
    ConvergenceError
        If a linear solve did not converge.
    """
    pencil.clock.skip()
    forms = _Bloch(pencil.posed.problem, pencil.problem, spectrum)
    sides = [pencil.reduced.vector([side]) for side in forms.driven()]
    back = [pencil.reduced.vector([side]) for side in forms.received()]
    right, left = (_vector(pencil, f) for f in (spectrum.function, spectrum.adjoint))
    image = right.duplicate()
    pencil.mass.mult(right, image)
    amount = image.dot(left)
    velocity = np.array([side.dot(left) for side in sides]) / amount
    solver, held = _singular(pencil, spectrum.value, right, left)
    dispersion, functions = forms.spreading(), []
    noise = solve.round_off(pencil.matrix, pencil.reduced.dofs) * right.norm() / np.sqrt(pencil.reduced.dofs)
    for j, side in enumerate(sides):
        side.scale(-1.0)
        side.axpy(velocity[j], image)
        psi = right.duplicate()
        # What round-off leaves of a load that does nothing cannot be solved for.
        if side.norm() > noise:
            solver.solve(side, psi)
        pencil.mass.multTranspose(left, side)
        psi.axpy(-side.dot(psi) / amount, right)
        dispersion[:, j] -= [other.dot(psi) for other in back]
        functions.append(pencil.reduced.functions(psi, f"response_{j + 1}")[0])
        psi.destroy()
    iterations = solver.iterations
    solver.destroy()
    for thing in (*sides, *back, right, left, image, *held):
        thing.destroy()
    return Response(
        velocity=velocity,
        dispersion=symmetric(dispersion) / amount,
        functions=tuple(functions),
        iterations=iterations,
        seconds=pencil.clock.skip(),
    )


def _vector(pencil: Pencil, function: fem.Function) -> PETSc.Vec:
    space = function.function_space
    whole = PETSc.Vec().createMPI((space.dofmap.index_map.size_local * space.dofmap.bs, None), comm=pencil.cell.comm)
    whole.array[:] = function.x.array[: whole.local_size]
    result = pencil.reduced.vector([whole])
    whole.destroy()
    return result


def _singular(pencil: Pencil, value: float, right: PETSc.Vec, left: PETSc.Vec) -> tuple[solve.LinearSolver, list[Any]]:
    """The solver of the pencil at its eigenvalue, and what is to be freed after it; collective."""
    matrix = pencil.matrix.copy()
    matrix.axpy(-value, pencil.mass)
    kernel = [right.copy()] if pencil.problem.symmetric else [right.copy(), left.copy()]
    for vector in kernel:
        vector.normalize()
    known = solve.Kernel(vectors=kernel[:1], left=kernel[1:])
    solver = pencil.solver(matrix, symmetric=pencil.problem.symmetric, kernel=known)
    return solver, [matrix, *kernel]


class _Bloch:
    """The forms of the Bloch problem beside a and m, with the eigenfunctions in them; collective."""

    def __init__(self, problem: CellProblem, spectral: SpectralProblem, spectrum: Spectrum) -> None:
        if spectral.along is None or spectral.spread is None:
            raise InputError("along", None, "given, with spread: drift and spreading are asked for")
        self.problem, self.along, self.spread = problem, spectral.along, spectral.spread
        self.space, self.d = spectrum.space, spectrum.space.mesh.geometry.dim
        self.function, self.adjoint = spectrum.function, spectrum.adjoint
        if self.adjoint is self.function:  # two functions of one form
            self.adjoint = self.function.copy()
        self.s, self.t = (fem.Constant(problem.domain, np.zeros(self.d)) for _ in range(2))

    def driven(self) -> list[PETSc.Vec]:
        """The vectors of the linear forms :math:`c_j(\\varphi,\\cdot)`."""
        return self._vectors("driven", self.function, lambda f, v: self.along(f, v, self.s))

    def received(self) -> list[PETSc.Vec]:
        """The vectors of the linear forms :math:`c_j(\\cdot,\\varphi^*)`."""
        return self._vectors("received", self.adjoint, lambda f, v: self.along(v, f, self.s))

    def _vectors(self, name: str, function: fem.Function, form: Any) -> list[PETSc.Vec]:
        test = ufl.TestFunction(self.space)
        compiled = self.problem.compile(
            name, lambda: form(function, test), spaces=[self.space], functions=[function], constants=[self.s]
        )
        result = []
        for axis in np.eye(self.d):
            self.s.value[:] = axis
            result.append(solve.assemble_vector(compiled))
        return result

    def spreading(self) -> Array:
        """The numbers :math:`d_{ij}(\\varphi,\\varphi^*)`."""
        value = solve.integral(
            self.problem.compile(
                "spreading",
                lambda: self.spread(self.function, self.adjoint, self.s, self.t),
                functions=[self.function, self.adjoint],
                constants=[self.s, self.t],
            )
        )
        result = np.empty((self.d, self.d))
        for i, one in enumerate(np.eye(self.d)):
            for j, other in enumerate(np.eye(self.d)):
                self.s.value[:], self.t.value[:] = one, other
                result[i, j] = value()
        return result
