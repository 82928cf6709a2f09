"""What is left of a solute on one mesh, without a flow: spectrum, weighted correctors, where they are not settled."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import ufl
from dolfinx import fem

from homfem import brackets, solve
from homfem.brackets import symmetric
from homfem.cells.unitcell import UnitCell
from homfem.certify.accuracy import Plan
from homfem.certify.adapt import element_sums, on_root
from homfem.certify.diffusion.geometry import geometric_error
from homfem.certify.physics import MeshSolution, Side
from homfem.certify.reaction.geometry import rate_error
from homfem.coefficients import NamedCoefficient
from homfem.local.eigenvalue_bounds import EigenvalueBounds
from homfem.local.engine import solve_correctors
from homfem.local.membranes import times
from homfem.local.problem import Correctors
from homfem.local.reaction import Reacting
from homfem.local.spectral import Spectrum, solve_spectrum
from homfem.parameters import Array


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class DecayOnMesh(MeshSolution):
    """The slowest decay on one mesh: ``dual`` is the spectrum, ``other`` that of the compared degree."""

    medium: Reacting
    other: Spectrum

    def gaps(self) -> Array:
        """Return the energy of the change from the other degree in each mesh cell, on rank 0; collective."""
        problem, spectrum = self.correctors.problem, self.dual
        assert self.compared is not None  # always solved
        first, second = fem.Function(self.correctors.space), fem.Function(self.compared.space)
        below, medium = self.compared, self.medium

        def energy() -> ufl.Form:
            one, two = ufl.grad(spectrum.function - self.other.function), ufl.grad(first - second)
            own = ufl.inner(times(medium.diffusivity, one), one)
            return (own + spectrum.function**2 * ufl.inner(times(medium.diffusivity, two), two)) * ufl.dx

        def take(j: int) -> None:
            first.x.array[:] = self.correctors.functions[j].x.array
            second.x.array[:] = below.functions[j].x.array

        functions = [self.other.function, first, second]
        return on_root(self.cell, element_sums(self.cell, problem, "change", energy, take, functions, []))

    def geometric_error(self) -> float:
        """Return the larger of what straight facets may change in the diffusion and in the rate; collective."""
        medium, cell = self.medium, self.cell
        if cell.order != 1:
            return 0.0
        weighted = fem.Function(medium.diffusivity.function_space)
        size = weighted.function_space.dofmap.bs
        square = _mean_square(self.dual.function)
        weighted.x.array[:] = (square[:, None] * medium.diffusivity.x.array.reshape(-1, size)).ravel()
        own = geometric_error(cell, weighted, self.correctors) * cell.lattice.volume / medium.amount()
        own /= _smallest(per_amount(medium, self.correctors.average))
        return max(own, rate_error(medium, self.dual)) * _smallest(self.tensor.value)

    @property
    def sides(self) -> list[Side]:
        """What was solved."""
        return [*MeshSolution.sides.fget(self), self.other]  # type: ignore[attr-defined]


def _smallest(matrix: Array) -> float:
    """The smallest principal value of those in which anything flows."""
    values = np.linalg.eigvalsh(matrix)
    return float(values[values > 1e-9 * values[-1]][0])


def _mean_square(function: fem.Function) -> Array:
    """The mean of the square of a function over each local mesh cell; collective."""
    space = solve.function_space(function.function_space.mesh, "DG", 0)
    test, means = ufl.TestFunction(space), fem.Function(space)
    above, below = (solve.assemble_vector(form * test * ufl.dx) for form in (function**2, 1.0 + 0.0 * function))
    means.x.array[: above.local_size] = above.array_r / below.array_r
    means.x.scatter_forward()
    for vector in (above, below):
        vector.destroy()
    return np.asarray(means.x.array)


def left_of(medium: Reacting, plan: Plan, degree: int) -> tuple[Spectrum, Correctors]:
    """The spectrum and the correctors of what is left, of a degree; collective."""
    spectrum = solve_spectrum(medium.cell, medium.problem(degree))
    return spectrum, solve_correctors(medium.cell, medium.weighted(spectrum, degree), rtol=plan.rtol)


def per_amount(medium: Reacting, average: Array) -> Array:
    """A tensor per amount, exactly zero in the directions that do not percolate; collective."""
    cell = medium.cell
    span = cell.whole.span(cell.lattice)
    matrix = average * cell.lattice.volume / medium.amount()
    if len(span) < cell.dimension:
        project = span.T @ span
        matrix = project @ matrix @ project
    return symmetric(np.asarray(matrix, dtype=np.float64))


def diffusivity_of(value: Array, sides: tuple[Array, Array] | None, unit: str) -> NamedCoefficient:
    """Return the weighted diffusivity with its bounds."""
    if sides is None:
        return NamedCoefficient(value=value, unit=unit, basis="matrix")
    lower, upper = sides
    value = brackets.clipped(value, lower, upper)
    return NamedCoefficient(value=value, lower=lower, upper=upper, unit=unit, basis="matrix", order="loewner")


def rate_of(cell: UnitCell, value: float, bounds: EigenvalueBounds | None) -> NamedCoefficient:
    """Return the rate of decay with its bounds, in its unit."""
    sides: dict[str, Any] = {}
    if bounds is not None:
        upper = bounds.upper / cell.length**2
        lower = None if bounds.lower is None else max(bounds.lower, 0.0) / cell.length**2
        sides = {"upper": np.asarray(upper), "lower": None if lower is None else np.asarray(lower)}
        value = min(value, bounds.upper) if bounds.lower is None else min(max(value, bounds.lower), bounds.upper)
    return NamedCoefficient(value=np.asarray(value / cell.length**2), **sides)
