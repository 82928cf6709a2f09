r"""Coefficients of a macroscale equation: effective tensors, one or one for each region, in the model's unit.

A tensor that is given in the axes of the fibres, :math:`\kappa_{ij}`, becomes
:math:`K = \sum_{ij}\kappa_{ij}\,a_i\otimes a_j` with the axes :math:`a_i` of :class:`homfem.macro.fibres.FibreFrame`.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from dolfinx import fem
from mpi4py import MPI

from homfem.kinds import TensorKinds
from homfem.macro.domain import Domain
from homfem.macro.fibres import FibreFrame
from homfem.materials import required_tensor
from homfem.parameters import Array, InputError, check_choice, check_number, check_spd
from homfem.solve import function_space
from homfem.tensors import EffectiveTensor
from homfem.tensors.expression import laid_along

#: Entries of a tensor that differ by less than this, relative to the largest, are alike.
ALIKE = 1e-9

TensorInput: TypeAlias = Any
"""An EffectiveTensor, the path of its JSON file, a number or a matrix in the model's unit."""


def tensor_coefficient(
    name: str,
    domain: Domain,
    given: TensorInput | Mapping[str, TensorInput],
    kind: TensorKinds,
    *,
    unit: str,
    axes: str = "domain",
    per_phase: bool = False,
) -> Any:
    """Return a second-order tensor as a UFL coefficient of shape (d, d); collective.

    Parameters
    ----------
    name
        The parameter, for messages.
    domain
        Where it lives.
    given
        One tensor, or one for each region; ``"*"`` for all regions that are not named and cells without one.
    kind, unit
        What the model needs, such as :data:`homfem.kinds.CONDUCTIVITY` in ``"mS/mm"``; of kinds also several.
    axes
        The axes of the tensor: ``"domain"``, those of the coordinates, or ``"fibre"``: fibre, sheet, normal.
    per_phase
        Divide an effective tensor by the volume fraction of its phases.

    Returns
    -------
    Constant, Function of degree 0, or a UFL expression
        A Constant where it is the same everywhere.

    Raises
    ------
    InputError
        For a region without a tensor or an unknown one, a tensor of another kind or dimension, or one that is not
        positive definite; in the axes of fibres for a domain without fibres, places without them where the tensor is
        not isotropic, and one that needs the sheets where these are not known.
    UnitError
        For a unit that does not convert.

    Example
    -------
    ``tensor_coefficient("sigma", heart, {"wall": tensor, "scar": 0.01}, CONDUCTIVITY, unit="mS/mm", axes="fibre")``
    """
    check_choice("axes", axes, ("domain", "fibre"))
    d = domain.dimension
    if domain.mesh.geometry.dim != d:
        raise InputError("mesh", f"{d}D cells in {domain.mesh.geometry.dim}D", "of cells of the dimension of space")
    values = tensor_values(name, given, kind, unit=unit, dimension=d, per_phase=per_phase)
    domain.cell_values(dict.fromkeys(values, 0.0), name)  # every cell has one
    if axes == "domain":
        if set(values) == {"*"}:
            return fem.Constant(domain.mesh, values["*"])
        return cell_function(domain, domain.cell_values(values, name))
    return _turned(name, domain, values)


def tensor_values(
    name: str,
    given: TensorInput | Mapping[str, TensorInput],
    kind: TensorKinds,
    *,
    unit: str,
    dimension: int,
    per_phase: bool = False,
) -> dict[str, Array]:
    """Return one tensor, as ``"*"``, or one for each region, as symmetric positive definite matrices.

    Parameters
    ----------
    name, given, kind, unit, per_phase
        As in :func:`tensor_coefficient`.
    dimension
        Number of space dimensions.
    """
    if not isinstance(given, Mapping):
        return {"*": _matrix(name, given, kind, unit, dimension, per_phase)}
    return {
        region: _matrix(f"{name}.{region}", entry, kind, unit, dimension, per_phase) for region, entry in given.items()
    }


def scalar_coefficient(
    name: str, domain: Domain, given: float | Mapping[str, float], *, above: float = -np.inf, at_least: float = -np.inf
) -> Any:
    """Return a number, or one for each region, as a UFL coefficient; collective.

    Parameters
    ----------
    name, domain, given
        As in :func:`tensor_coefficient`.
    above, at_least
        Limits of the numbers.
    """
    if not isinstance(given, Mapping):
        return fem.Constant(domain.mesh, check_number(name, given, above=above, at_least=at_least))
    values = {
        region: check_number(f"{name}.{region}", entry, above=above, at_least=at_least)
        for region, entry in given.items()
    }
    return cell_function(domain, domain.cell_values(values, name))


def _matrix(name: str, given: TensorInput, kind: TensorKinds, unit: str, d: int, per_phase: bool) -> Array:
    if not isinstance(given, (EffectiveTensor, str, Path)):
        return check_spd(name, given, d)
    tensor = required_tensor(name, given, kind, unit=unit, dimension=d)
    return np.asarray(tensor.value / tensor.storage if per_phase else tensor.value, dtype=np.float64)


def cell_function(domain: Domain, values: Array) -> fem.Function:
    """Return values of each local cell, of shape (cells, ...), as a function of degree 0; collective."""
    space = function_space(domain.mesh, "DG", 0, values.shape[1:])
    function = fem.Function(space)
    function.x.array.reshape(-1, space.dofmap.bs)[np.asarray(space.dofmap.list).ravel()] = values.reshape(
        len(values), -1
    )
    return function


def _turned(name: str, domain: Domain, values: Mapping[str, Array]) -> Any:
    """Return tensors in the axes of the fibres, one for each region."""
    if domain.fibres is None:
        raise InputError(name, "in the axes of fibres", "in those of the domain, where it has no fibres")
    frame, d = domain.fibres, domain.dimension
    known = len(frame.axes())
    for region, matrix in values.items():
        across = matrix[1:, 1:]
        size = ALIKE * np.abs(matrix).max()
        alike = np.abs(across - across[0, 0] * np.eye(d - 1)).max() <= size if d > 1 else True
        if known < d and not (alike and np.abs(matrix[0, 1:]).max(initial=0.0) <= size):
            where = f"{name}.{region}" if region != "*" else name
            allowed = "alike in all directions across the fibre, where the sheets are not known"
            raise InputError(where, matrix.tolist(), allowed, "Give the domain sheets as well.")
    cells = domain.cell_values(values, name)
    _check_missing(name, domain, frame, cells)
    if isinstance(frame.fibre, fem.Function) and frame.fibre.function_space.ufl_element().degree > 0:
        return _nodal(domain, frame, values, cells)
    if isinstance(frame.fibre, fem.Constant) and set(values) == {"*"}:
        return fem.Constant(domain.mesh, _turn(values["*"][None], _frame_of_cells(frame, 1, d))[0])
    return cell_function(domain, _turn(cells, _frame_of_cells(frame, len(cells), d)))


def _turn(matrices: Array, axes: Array) -> Array:
    """Return tensors (n, d, d) in the coordinates, from those in axes (n, d, d) or, alike across, in (n, 1, d)."""
    d = matrices.shape[1]
    if axes.shape[1] == d:
        turned = np.einsum("cij,cix,cjy->cxy", matrices, axes, axes)
    else:
        along, across = matrices[:, 0, 0], matrices[:, 1, 1]
        turned = across[:, None, None] * np.eye(d) + np.einsum("c,cx,cy->cxy", along - across, axes[:, 0], axes[:, 0])
    without = ~axes[:, 0].any(axis=1)
    turned[without] = matrices[without]
    return np.asarray(0.5 * (turned + np.swapaxes(turned, 1, 2)))


def _frame_of_cells(frame: FibreFrame, count: int, d: int) -> Array:
    """Return the axes of each local cell as rows, shape (cells, d, d); in 3D without sheets the fibre alone."""
    f = _of_cells(frame.fibre, count, d)
    if d == 1 or (d == 3 and frame.sheet is None):
        return f[:, None]
    if d == 2:
        return np.stack([f, np.stack([-f[:, 1], f[:, 0]], axis=1)], axis=1)
    s = _of_cells(frame.sheet, count, d)
    return np.stack([f, s, np.cross(f, s)], axis=1)


def _of_cells(axis: fem.Function | fem.Constant | None, count: int, d: int) -> Array:
    if isinstance(axis, fem.Function):
        return axis.x.array.reshape(-1, d)[np.asarray(axis.function_space.dofmap.list).ravel()]
    return np.tile(np.asarray(axis.value, dtype=np.float64), (count, 1))  # type: ignore[union-attr]


def _nodal(domain: Domain, frame: FibreFrame, values: Mapping[str, Array], cells: Array) -> Any:
    """Return the tensor with axes that vary in a cell, as an expression."""
    matrix = fem.Constant(domain.mesh, values["*"]) if set(values) == {"*"} else cell_function(domain, cells)
    return laid_along(matrix, frame.axes())


def _check_missing(name: str, domain: Domain, frame: FibreFrame, cells: Array) -> None:
    """Refuse tensors that are not isotropic in cells without a fibre; collective."""
    nodal = isinstance(frame.fibre, fem.Function) and frame.fibre.function_space.ufl_element().degree > 0
    owned = domain.mesh.topology.index_map(domain.dimension).size_local
    missing = frame.missing()
    missing = missing[missing < owned]
    matrices = cells[missing]
    size = ALIKE * np.abs(matrices).max(axis=(1, 2), initial=0.0)
    spread = np.abs(matrices - matrices[:, 0, 0, None, None] * np.eye(domain.dimension)).max(axis=(1, 2), initial=0.0)
    bad = missing if nodal else missing[spread > size]
    numbers = domain.region_of_cell[bad]
    counts = np.array([np.count_nonzero(numbers == number) for number in (0, *domain.regions.values())])
    domain.comm.Allreduce(MPI.IN_PLACE, counts, op=MPI.SUM)
    for region, count in zip(("", *domain.regions), counts, strict=True):
        if count:
            where = f"region {region!r}" if region else "the domain"
            allowed = "isotropic where there are no fibres" if not nodal else "used where every node has a fibre"
            raise InputError(f"{name}.{region}" if region else name, "in the axes of fibres", allowed,
                             f"{count} cells of {where} have none.")  # fmt: skip
