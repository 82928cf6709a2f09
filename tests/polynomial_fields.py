"""A model whose fields are known: polynomials in spaces of several kinds that grow in time."""

from __future__ import annotations

import numpy as np
from dolfinx import fem, mesh

from homfem.macro.state import StateField, Units


class Polynomials:
    """Fields of many spaces that grow in time: a polynomial of the space times (1 + t)."""

    name, seconds, dofs = "polynomials", {}, 0
    units = Units(time="s", length="um", fields={"p2": "uM", "v": "um/s"})

    def __init__(self, comm, wanted=None, cell=mesh.CellType.tetrahedron):
        self.comm = comm
        domain = mesh.create_box(comm, [[0, 0, 0], [2, 1, 1]], [4, 2, 2], cell)
        self.mesh = domain
        d = 3
        middles = mesh.compute_midpoints(domain, d, np.arange(_local(domain), dtype=np.int32))
        part = mesh.create_submesh(domain, d, np.flatnonzero(middles[:, 0] < 1.0).astype(np.int32))[0]
        elements = {
            "p2": (domain, ("Lagrange", 2), lambda x: x[0] ** 2 - x[1] * x[2]),
            "v": (domain, ("Lagrange", 1, (3,)), lambda x: np.stack([x[0], 2 * x[1], x[2] - x[0]])),
            "edge": (domain, ("N1curl", 1), lambda x: np.stack([x[1], -x[0], 0 * x[2]])),
            "half": (part, ("DG", 1), lambda x: 3 - x[0]),
        }
        self.functions, self.formulas = {}, {}
        for name, (where, element, formula) in elements.items():
            if wanted is None or name in wanted:
                self.functions[name] = fem.Function(fem.functionspace(where, element), name=name)
                self.functions[name].interpolate(formula)
                self.formulas[name] = formula

    def advance(self, time):
        for function in self.functions.values():
            function.x.array[:] *= (1.5 + time) / (1.0 + time)

    def measure(self):
        return {}

    def judge(self, time, numbers):
        pass

    def fields(self):
        return self.functions

    def state(self):
        return {name: StateField(f.function_space, f.x.array) for name, f in self.functions.items()}

    def identity(self):
        return {}


def _local(domain):
    number = domain.topology.index_map(3)
    return number.size_local + number.num_ghosts
