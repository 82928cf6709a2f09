"""A model whose potential is a given function of place and time, at the nodes of any mesh."""

from __future__ import annotations

import numpy as np
from dolfinx import fem

from homfem.macro.state import StateField, Units


class Given:
    """V = formula(x, t) in mV at the nodes, with x of shape (3, n) in mm, t in ms."""

    name, units = "given", Units(time="ms", length="mm", fields={"V": "mV"})

    def __init__(self, mesh, formula, *, step, start=0.0, degree=1):
        self.comm, self.mesh, self.step, self.formula = mesh.comm, mesh, step, formula
        self.space = fem.functionspace(mesh, ("Lagrange", degree))
        self.dofs, self.seconds = self.space.dofmap.index_map.size_global, {}
        self.V = fem.Function(self.space, name="V")
        self.values = self.V.x.array[: self.space.dofmap.index_map.size_local]
        self.at(start)

    def at(self, time):
        self.V.x.array[:] = self.formula(self.space.tabulate_dof_coordinates().T, time)

    def advance(self, time):
        self.at(time + self.step)

    def measure(self):
        return {"largest": (float(self.values.max(initial=-np.inf)), "max")}

    def judge(self, time, numbers):
        pass

    def fields(self):
        self.V.x.scatter_forward()
        return {"V": self.V}

    def state(self):
        return {"V": StateField(self.space, self.values)}

    def identity(self):
        return {"model": self.name}
