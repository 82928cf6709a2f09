r"""Where the gap between the bounds of a dispersion tensor is.

.. math:: U-L=\frac1{m(1)}\sum_K\int_K|D(e+\nabla f)-p|^2_{D^{-1}}+|D\nabla g-q|^2_{D^{-1}} ,

see :mod:`homfem.certify.dispersion.bounds`. Source: Prager, Synge 1947, doi 10.1090/qam/25902.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import ufl
from dolfinx import fem

from homfem import solve
from homfem.certify.dispersion.stream import Stream
from homfem.local.equilibrium import Equilibrated
from homfem.local.flux import inverse_coefficient
from homfem.local.membranes import times
from homfem.parameters import Array


def dispersion_gaps(
    stream: Stream, f: Sequence[fem.Function], g: Sequence[fem.Function], fluxes: Equilibrated
) -> Array:
    """Return the sum of the gap over the axes for each owned mesh cell, per unit of the measure; collective.

    Their sum over all mesh cells is the trace of U - L without the allowances, for any fields.

    Parameters
    ----------
    stream, f, g
        As of :func:`homfem.certify.dispersion.bounds.certify`.
    fluxes
        What it has found with them.
    """
    mesh, d = stream.cell.mesh, stream.cell.dimension
    coefficient, inverse = stream.coefficient, inverse_coefficient(stream.coefficient, d)
    u, load = fem.Function(f[0].function_space), fem.Constant(mesh, np.zeros(d))
    flux = fem.Function(fluxes.function(0, "flux").function_space)
    space = solve.function_space(mesh, "DG", 0)

    def energy() -> ufl.Form:
        apart: Any = times(coefficient, load + ufl.grad(u)) - flux
        return ufl.inner(apart, times(inverse, apart)) * ufl.TestFunction(space) * ufl.dx

    terminals = solve.Terminals(mesh=mesh, spaces=[space], functions=[coefficient, inverse, u, flux], constants=[load])
    form = solve.compile_formula(("dispersion", "gap"), energy, terminals)
    total = np.zeros(mesh.topology.index_map(d).size_local)
    for fields, first, size in ((g, 0, 0.0), (f, d, 1.0)):
        for axis, unit in enumerate(np.eye(d)):
            u.x.array[:] = fields[axis].x.array
            flux.x.array[:] = fluxes.function(first + axis, "flux").x.array
            load.value[:] = size * unit
            vector = solve.assemble_vector(form)
            total += vector.array_r[: len(total)]
            vector.destroy()
    return total / stream.measure
