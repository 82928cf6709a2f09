r"""The cell problems of cells that follow an attractant: two diffusions, and the fluxes that one drives in the other.

With the motility :math:`D_n`, the attractant's diffusivity :math:`D_c` and the sensitivity S,

.. math:: n_t=\nabla\cdot(D_n\nabla n-n\,S\nabla c),\qquad c_t=\nabla\cdot(D_c\nabla c)+\dots

has the correctors :math:`\chi^n,\chi^c` of the two diffusions, and :math:`\omega_j` of the cells that are driven:
:math:`\int D_n\nabla\omega_j\cdot\nabla v=\int S(e_j+\nabla\chi^c_j)\cdot\nabla v`. The macroscopic flux of the cells
is :math:`-D_n^*\nabla n_0+n_0S^*\nabla c_0` with

.. math:: S^*_{ij}=\langle[S(e_j+\nabla\chi^c_j)-D_n\nabla\omega_j]_i\rangle
    =\langle(e_i+\nabla\chi^n_i)\cdot S(e_j+\nabla\chi^c_j)\rangle ,

the second without :math:`\omega`, by testing its problem with :math:`\chi^n_i` and that of :math:`\chi^n_i` with
:math:`\omega_j`. It is not symmetric in general, and has no sign.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import ufl
from dolfinx import fem

from homfem import solve
from homfem.cells.unitcell import UnitCell
from homfem.local.problem import CellProblem, Field, domain_of, element_of
from homfem.local.samples import sample
from homfem.parameters import Array, InputError
from homfem.ranks import collective


def tensor_function(cell: UnitCell, name: str, table: Mapping[str, Any]) -> fem.Function:
    """Return a matrix on each mesh cell, zero in the phases that are not named; collective.

    Parameters
    ----------
    cell
    name
        Of the coefficient, for messages.
    table
        For each phase a matrix, or a function of position: ``f(x)`` of points (d, n) in mesh units, of shape (n,) or
        (n, d, d).
    """
    d = cell.dimension
    fixed = {phase: matrix for phase, matrix in table.items() if not callable(matrix)}
    result = cell.cell_function({phase: fixed.get(phase, np.zeros((d, d))) for phase in cell.phase_names})
    entries = result.x.array.reshape(-1, d, d)
    for phase in (one for one in table if one not in fixed):
        label = f"{name}[{phase!r}]"
        values = sample(cell, label, table[phase], ((), (d, d)))
        inside = cell.phase_of_cell == cell.phases[phase]
        with collective(cell.comm):
            own = values[inside]
            full = own[:, None, None] * np.eye(d) if own.ndim == 1 else own
            if not np.all(np.isfinite(full)):
                raise InputError(label, table[phase], "finite everywhere")
            entries[inside] = full if name == "sensitivity" else _definite(label, table[phase], full)
    return result


def _definite(label: str, given: Any, values: Array) -> Array:
    turned = values.transpose(0, 2, 1)
    size = np.abs(values).max(axis=(1, 2), keepdims=True)
    same = bool(np.all(np.abs(values - turned) <= 1e-12 * size))
    if not same or np.linalg.eigvalsh(0.5 * (values + turned)).min(initial=np.inf) <= 0.0:
        raise InputError(label, given, "symmetric and positive definite everywhere")
    return np.asarray(0.5 * (values + turned))


def driven_diffusion(
    cell: UnitCell,
    coefficient: fem.Function,
    phases: Sequence[str],
    *,
    degree: int,
    drives: Sequence[fem.Function] = (),
    sensitivity: fem.Function,
    size: float = 0.0,
) -> CellProblem:
    r"""Return a diffusion problem for unit gradients, and for fields that drive a flux: one more load for each.

    Parameters
    ----------
    cell
        With all phases in which anything diffuses.
    coefficient
        A matrix on each mesh cell; zero outside of ``phases``.
    phases
        Where it diffuses.
    degree
        Of the Lagrange elements.
    drives
        The correctors q of every axis, or none. The load is :math:`\int S(e_j+\nabla q_j)\cdot\nabla v`.
    sensitivity
        S, a matrix on each mesh cell.
    size
        A load of a drive that is smaller, relative to :math:`S(e_j+\nabla q_j)` itself, is none: it is what round-off
        and the solver leave of a field that does no work.
    """
    d, domain = cell.dimension, domain_of(cell)
    shares = [fem.Constant(domain, 1.0) for _ in drives]
    own = () if set(phases) == set(cell.phase_names) else tuple(phases)

    def macroscopic(s: Any) -> Any:
        return ufl.as_vector([s[k] for k in range(d)])

    def drive(k: int) -> Any:
        return ufl.dot(sensitivity, ufl.as_vector(np.eye(d)[k].tolist()) + ufl.grad(drives[k]))

    def linear(v: Any, s: Any) -> ufl.Form:
        form = -ufl.inner(ufl.dot(coefficient, macroscopic(s)), ufl.grad(v)) * ufl.dx
        driven = (share * s[d + k] * ufl.inner(drive(k), ufl.grad(v)) * ufl.dx for k, share in enumerate(shares))
        return form + sum(driven)

    for k, share in enumerate(shares):
        share.value = float(size == 0.0 or _work(cell, drive(k), degree) > size)

    def average(w: Any, s: Any, z: Any, t: Any) -> ufl.Form:
        one, other = macroscopic(s) + ufl.grad(w), macroscopic(t) + ufl.grad(z)
        return ufl.inner(ufl.dot(coefficient, one), other) * ufl.dx

    return CellProblem(
        name="diffusion",
        fields=(Field(element=element_of(cell, "Lagrange", degree), phases=own, name="potential"),),
        loads=d + len(drives),
        bilinear=lambda u, v: ufl.inner(ufl.dot(coefficient, ufl.grad(u)), ufl.grad(v)) * ufl.dx,
        linear=linear,
        average=average,
        affine=lambda x, s: sum(s[k] * x[k] for k in range(d)),
        flux=lambda u, _: ufl.dot(coefficient, ufl.grad(u)),
        domain=domain,
        coefficients={"diffusivity": coefficient},
        given=(*drives, sensitivity, *shares) if drives else (),
        formula=("driven diffusion", own, len(drives)),
    )


def _work(cell: UnitCell, field: Any, degree: int) -> float:
    """The load that a field is, over what it would be if nothing of it cancelled: about the root of its square."""
    space = solve.function_space(cell.mesh, "Lagrange", degree)
    vector = solve.assemble_vector(ufl.inner(field, ufl.grad(ufl.TestFunction(space))) * ufl.dx)
    norm = float(vector.norm())
    vector.destroy()
    square = solve.integrate(ufl.inner(field, field) * ufl.dx)
    length = (cell.lattice.volume / cell.number_of_cells) ** (1.0 / cell.dimension)
    return norm / (np.sqrt(square) * length ** (0.5 * cell.dimension - 1.0)) if square > 0.0 else 0.0
