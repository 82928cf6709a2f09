r"""The boundary conditions of a representative volume element (RVE), side by side, on windows of several periods.

On one mesh the spaces are nested (affine in periodic in free), so that the apparent tensors are ordered exactly,

.. math:: M^\mathrm{flux} \le M^\mathrm{periodic} \le M^\mathrm{affine} ,

and windows that are made of smaller ones lie between those: all three tend to the tensor of the periodic medium as the
window grows, the outer two as one over its size.

Source: Huet 1990, doi 10.1016/0022-5096(90)90041-2; Kanit et al. 2003, doi 10.1016/S0020-7683(03)00143-4.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from homfem.cells.tiling import tiled
from homfem.cells.unitcell import UnitCell
from homfem.certify.diffusion import solve_diffusion
from homfem.certify.elasticity import solve_elasticity
from homfem.certify.physics import CellSolution
from homfem.kinds import CONDUCTION
from homfem.parameters import InputError, check_choice, check_integer
from homfem.tensors import EffectiveTensor

_SOLVERS: dict[str, Callable[..., CellSolution]] = {
    **{name: partial(solve_diffusion, physics=name) for name in CONDUCTION},
    "elasticity": solve_elasticity,
}
_ORDER = ("flux", "periodic", "affine")


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class BoundaryComparison:
    """Apparent tensors of windows under several boundary conditions.

    Parameters
    ----------
    windows : tuple of int
        Number of periods along each axis.
    tensors : mapping
        Boundary condition to the tensor of each window.
    violation : float
        Largest amount, relative to the tensor, by which the order flux <= periodic <= affine is broken; of the size of
        the solver's residual, or the tensors are wrong.
    """

    windows: tuple[int, ...]
    tensors: Mapping[str, tuple[EffectiveTensor, ...]]
    violation: float

    def spread(self, window: int) -> float:
        """Return the largest relative half-distance of affine and flux over all directions, for one window."""
        k = self.windows.index(window)
        pair = EffectiveTensor(
            value=self.tensors["periodic"][k].value,
            lower=self.tensors["flux"][k].value,
            upper=self.tensors["affine"][k].value,
        )
        return float(pair.relative_gap or 0.0)

    def __str__(self) -> str:
        lines = ["window   " + "".join(f"{name:>28}" for name in self.tensors)]
        for k, window in enumerate(self.windows):
            values = [np.diag(found[k].value) for found in self.tensors.values()]
            lines.append(f"{window:6d}   " + "".join(f"{' '.join(f'{v:.5g}' for v in row[:3]):>28}" for row in values))
        lines.append(f"flux <= periodic <= affine holds to {self.violation:.1e}")
        return "\n".join(lines)


def compare_boundary_conditions(
    cell: UnitCell,
    coefficients: Mapping[str, Any],
    *,
    physics: str = "diffusion",
    windows: Sequence[int] = (1, 2, 3),
    degree: int = 1,
    **options: Any,
) -> BoundaryComparison:
    """Return the apparent tensors under uniform flux, periodic and affine boundary conditions; collective.

    Parameters
    ----------
    cell
        A parallelepiped whose phases with coefficients fill its faces (voids and insulators lie inside).
    coefficients
        As for :func:`homfem.certify.solve_diffusion`, or stiffnesses for ``physics="elasticity"``.
    physics
        ``"diffusion"``, ``"conductivity"``, ``"heat-conduction"`` or ``"elasticity"``.
    windows
        Sizes of the windows, in periods along every axis.
    degree
        Of the correctors.
    options
        For the solver of the physics.

    Raises
    ------
    InputError
        For windows that are not different whole numbers >= 1, and what the solver refuses.
    """
    check_choice("physics", physics, tuple(_SOLVERS))
    sizes = tuple(check_integer(f"windows[{k}]", size, at_least=1) for k, size in enumerate(windows))
    if not sizes or len(set(sizes)) < len(sizes):
        raise InputError("windows", windows, "different whole numbers >= 1")
    found: dict[str, list[EffectiveTensor]] = {name: [] for name in _ORDER}
    violation = 0.0
    for size in sizes:
        window = tiled(cell, size)
        for name in _ORDER:
            solution = _SOLVERS[physics](window, coefficients, boundary=name, degree=degree, bounds=False, **options)
            found[name].append(solution.tensor)
        lower, middle, upper = (found[name][-1].value for name in _ORDER)
        scale = float(np.linalg.norm(middle, 2))
        for step in (middle - lower, upper - middle):
            violation = max(violation, float(-np.linalg.eigvalsh(step)[0]) / scale)
    return BoundaryComparison(
        windows=sizes, tensors={name: tuple(rows) for name, rows in found.items()}, violation=violation
    )
