"""A model written on the march alone, as a user would: FitzHugh-Nagumo waves on a strip, quadratic elements."""

from __future__ import annotations

import numpy as np
import ufl
from dolfinx import fem, mesh

from homfem.macro.state import StateField, Units
from homfem.parameters import ConvergenceError
from homfem.solve import LinearSolver, assemble_matrix


class FitzHughNagumo:
    r""":math:`V_t = D\Delta V + kV(1-V)(V-a) - w,\ w_t = \varepsilon(V - \gamma w)` in mm and ms; Godunov splitting."""

    name = "FitzHugh-Nagumo"
    units = Units(time="ms", length="mm", fields={"V": "mV"})

    def __init__(self, comm, *, step, diffusivity=0.5, rate=8.0, cells=(20, 4), degree=2):
        self.comm, self.step, self.rate = comm, step, rate
        self.mesh = mesh.create_rectangle(comm, [[0, 0], [20, 4]], list(cells))
        self.space = fem.functionspace(self.mesh, ("Lagrange", degree))
        index_map = self.space.dofmap.index_map
        self.dofs, owned = index_map.size_global, index_map.size_local
        self.V, self.w = (fem.Function(self.space, name=name) for name in ("V", "w"))
        self.V.interpolate(lambda x: np.where(x[0] < 4.1, 1.0, 0.0))
        self.v, self.u = self.V.x.array[:owned], self.w.x.array[:owned]
        trial, test = ufl.TrialFunction(self.space), ufl.TestFunction(self.space)
        self.mass = assemble_matrix(trial * test * ufl.dx)
        matrix = self.mass.copy()
        stiffness = assemble_matrix(ufl.inner(ufl.grad(trial), ufl.grad(test)) * ufl.dx)
        matrix.axpy(step * diffusivity, stiffness, structure=stiffness.Structure.SAME_NONZERO_PATTERN)
        self.solver = LinearSolver(matrix, preconditioner="jacobi", rtol=1e-11, name="diffusion")
        self.rhs, self.count, self.diffusivity = self.mass.createVecLeft(), 0, diffusivity
        self.seconds = {"setup": 0.0}

    def advance(self, time):
        v, w = self.v, self.u
        rate = self.rate * v * (1.0 - v) * (v - 0.1) - w
        w += self.step * 0.02 * (v - 0.5 * w)
        v += self.step * rate
        self.mass.mult(self.V.x.petsc_vec, self.rhs)
        self.count = self.solver.solve(self.rhs, self.V.x.petsc_vec, guess=True)

    def measure(self):
        greatest, least = self.v.max(initial=-np.inf), self.v.min(initial=np.inf)
        return {"largest": (greatest, "max"), "least": (least, "min"), "dofs": (float(self.v.size), "sum")}

    def judge(self, time, numbers):
        if not np.isfinite(numbers["largest"]):
            raise ConvergenceError(f"FitzHugh-Nagumo: V is not finite at t = {time:g} ms")

    def fields(self):
        for function in (self.V, self.w):
            function.x.scatter_forward()
        return {"V": self.V, "w": self.w}

    def state(self):
        return {"V": StateField(self.space, self.v), "w": StateField(self.space, self.u)}

    def identity(self):
        return {"model": self.name, "time step (ms)": self.step, "D (mm^2/ms)": self.diffusivity, "k": self.rate}
