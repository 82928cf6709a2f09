r"""The diffusion cell problem, in one phase (perforated) or all phases (contrast).

.. math:: -\nabla\cdot\bigl(D(\nabla\chi_j + e_j)\bigr) = 0 \text{ in the active phases},\quad
          D(\nabla\chi_j+e_j)\cdot n = 0 \text{ on their boundary},\quad \chi_j \text{ periodic},

.. math:: D^*_{ij} = \frac1{|Y|}\int (e_i+\nabla\chi_i)\cdot D(e_j+\nabla\chi_j)\,dy .

The averaged expression is the energy. For exact correctors it equals :math:`\frac1{|Y|}\int e_i\cdot D(e_j+\nabla
\chi_j)`; for any conforming corrector, converged or not, it is an upper bound of :math:`D^*` in the Loewner order,
because :math:`\xi\cdot D^*\xi` is its minimum.

Source: Goel, Sneyd, Friedman 2006, eqs 2.15, 2.25, Multiscale Model. Simul. 5(4), 1045.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import ufl
from dolfinx import fem

from homfem.brackets import symmetric
from homfem.cells.unitcell import UnitCell
from homfem.fields import check_spd_field, field_of
from homfem.local.problem import CellProblem, Field, domain_of, element_of, on_domain
from homfem.local.samples import sample
from homfem.parameters import Array, InputError, check_choice, check_spd
from homfem.ranks import collective

#: A coefficient of one phase: a number, a matrix, a function of position (3, n) -> (n,) or (n, d, d), or an array with
#: a number or a matrix for each element of the mesh.
Coefficient = float | npt.ArrayLike | Callable[[Array], Array]


def diffusion_coefficient(cell: UnitCell, coefficients: Mapping[str, Coefficient]) -> fem.Function:
    """Return the diffusivity of the cell's phases, constant on each mesh cell.

    Parameters
    ----------
    cell
        A cell whose phases are all named in ``coefficients``.
    coefficients
        For each phase a number > 0, a symmetric positive definite (d, d) matrix, or a function of position that is
        evaluated at the midpoint of each mesh cell: ``f(x)`` with ``x`` of shape (d, n) in mesh units, returning
        shape (n,) or (n, d, d). The bounds then belong to that cell-wise constant field. An array has a value for each
        element of the mesh as it was made, or voxel of the image: shape ``cell.element_shape``, or that and (d, d);
        what is refined keeps the value of its element, so that the bounds hold.

    Returns
    -------
    fem.Function
        Scalar if every coefficient is, else tensor-valued; in the unit of the coefficients.

    Raises
    ------
    InputError
        For a phase without coefficient, and for a value that is not positive definite, on every rank.
    """
    d = cell.dimension
    for name in cell.phase_names:
        if name not in coefficients:
            raise InputError(f"coefficients[{name!r}]", None, "given for every phase of this cell")
    fields = {name: coefficients[name] for name in cell.phase_names if varies(cell, name, coefficients[name])}
    fixed = {name: check_spd(f"coefficients[{name!r}]", coefficients[name], d)
             for name in cell.phase_names if name not in fields}  # fmt: skip
    scalar = all(np.array_equal(matrix, matrix[0, 0] * np.eye(d)) for matrix in fixed.values())
    sampled = {name: _values(cell, name, value) for name, value in fields.items()}
    scalar = scalar and all(values.ndim == 1 for values in sampled.values())
    placeholder = {name: np.eye(d) for name in sampled}
    tensors = {**fixed, **placeholder}
    table: Mapping[str, Any] = {name: m[0, 0] for name, m in tensors.items()} if scalar else tensors
    function = cell.cell_function(table)
    entries = function.x.array.reshape(len(cell.phase_of_cell), -1)
    for name, values in sampled.items():
        inside = cell.phase_of_cell == cell.phases[name]
        full = values[:, None, None] * np.eye(d) if values.ndim == 1 and not scalar else values
        entries[inside] = full[inside].reshape(int(inside.sum()), -1)
    return function


def varies(cell: UnitCell, name: str, coefficient: Coefficient) -> bool:
    """Return whether the coefficient of a phase is a function of position or an array with a value for each element."""
    if callable(coefficient):
        return True
    d = cell.dimension
    return field_of(f"coefficients[{name!r}]", coefficient, cell.element_shape, (d, d)) is not None


def _values(cell: UnitCell, name: str, coefficient: Any) -> Array:
    """Values of a coefficient that varies on all local cells, checked on those of its phase, on every rank."""
    if callable(coefficient):
        return _sample(cell, name, coefficient)
    d, label = cell.dimension, f"coefficients[{name!r}]"
    field = np.asarray(coefficient, dtype=np.float64)
    tail = field.shape[len(cell.element_shape) :]
    values = np.ones((len(cell.phase_of_cell), *tail))
    inside = cell.phase_of_cell == cell.phases[name]
    with collective(cell.comm):
        values[inside] = check_spd_field(label, field, cell.element_shape, cell.element_of_cell[inside], (d, d))
    return values


def _sample(cell: UnitCell, name: str, function: Any) -> Array:
    """Values of a coefficient function at the midpoints of all local cells, checked on every rank."""
    d = cell.dimension
    values = sample(cell, f"coefficients[{name!r}]", function, ((), (d, d)))
    with collective(cell.comm):
        inside = values[cell.phase_of_cell == cell.phases[name]]
        good = bool(np.all(np.isfinite(inside)))
        if good and inside.ndim > 1 and len(inside):
            turned = inside.transpose(0, 2, 1)
            size = np.abs(inside).max(axis=(1, 2), keepdims=True)
            good = bool(np.all(np.abs(inside - turned) <= 1e-12 * size))
            inside = np.linalg.eigvalsh(0.5 * (inside + turned))
        if not (good and inside.min(initial=np.inf) > 0.0):
            raise InputError(f"coefficients[{name!r}]", function, "finite, symmetric and positive definite everywhere")
    return values if values.ndim == 1 else symmetric(values)


def diffusion_problem(
    cell: UnitCell,
    coefficient: fem.Function,
    *,
    element: str = "Lagrange",
    degree: int = 1,
    axes: Sequence[int] | None = None,
    backend: str | None = None,
    boundary: str = "periodic",
) -> CellProblem:
    """Return the diffusion cell problem of a cell.

    Parameters
    ----------
    cell
        Restricted to the phases that conduct.
    coefficient
        As :func:`diffusion_coefficient` gives it.
    element, degree
        ``"Lagrange"`` of any degree (upper bound) or ``"CR"`` of degree 1 (the lower bound of :mod:`homfem.certify`,
        on simplices).
    axes
        The axes of the unit loads; by default all.
    backend, boundary
        What it is solved with: they say which mesh the forms are on.

    Raises
    ------
    InputError
        For another element, and for ``"CR"`` on quadrilaterals and hexahedra.
    """
    check_choice("element", element, ("Lagrange", "CR") if cell.simplicial else ("Lagrange",))
    domain = domain_of(cell, backend, boundary)
    conductivity = on_domain(cell, coefficient, domain)

    def flux(gradient: Any) -> Any:
        return conductivity * gradient if not conductivity.ufl_shape else ufl.dot(conductivity, gradient)

    d = cell.dimension
    along = list(range(d)) if axes is None else list(axes)
    return CellProblem(
        name="diffusion",
        fields=(Field(element=element_of(cell, element, degree), name="potential"),),
        loads=len(along),
        bilinear=lambda u, v: ufl.inner(flux(ufl.grad(u)), ufl.grad(v)) * ufl.dx,
        affine=lambda x, s: sum(s[k] * x[axis] for k, axis in enumerate(along)),
        parity=(1 - 2 * np.eye(d, dtype=int))[along],
        flux=lambda u, _: flux(ufl.grad(u)),
        domain=domain,
        coefficients={"diffusivity": conductivity},
        formula=("diffusion", tuple(along)),
    )
