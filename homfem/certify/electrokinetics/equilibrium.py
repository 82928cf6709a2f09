"""What is told of the equilibrium of a charged cell: mean concentrations, layers that are not resolved."""

from __future__ import annotations

import ufl
from dolfinx import fem

from homfem import solve
from homfem.cells.unitcell import UnitCell
from homfem.certify.electrokinetics.change import Response
from homfem.local.poisson_boltzmann import quadrature

#: What bounds leave open.
BOUNDED = (
    "the bounds are those of the equilibrium as it was computed, with concentrations that are constant in each mesh "
    "cell: what the mesh leaves in the equilibrium is not in them"
)


def mean_concentrations(fluid: UnitCell, response: Response) -> list[float]:
    """Return the mean of each concentration over the whole cell, in reduced numbers; collective."""
    charges, potential = response.equilibrium.charges, response.correctors.problem.given[0]
    # The rule of the equilibrium, in which ions and walls are neutral together.
    dx = ufl.dx(metadata={"quadrature_degree": quadrature(potential.function_space.ufl_element().degree)})
    found = []
    for valence, bath in zip(charges.valences, charges.baths, strict=True):
        factor = ufl.exp(-fem.Constant(fluid.mesh, float(valence)) * potential)
        found.append(bath * solve.integrate(factor * dx) / fluid.lattice.volume)
    return found


def unresolved(response: Response) -> bool:
    """Whether mesh cells of the diffuse layer are thicker than it."""
    return response.equilibrium.resolution > 1.0


def warnings_of(cell: UnitCell, fluid: UnitCell, response: Response, bounded: bool) -> tuple[str, ...]:
    """Return what the user must know of a result; collective."""
    found, layer = list(fluid.warnings[len(cell.warnings) :]), response.equilibrium.resolution
    if unresolved(response):
        found.append(
            f"the mesh does not resolve the diffuse layer: the thickest mesh cell there is {layer:.2g} lengths of "
            "Debye (at the concentrations there) times the degree; take a finer resolution, a grading or refine_layers"
        )
    return (*found, BOUNDED) if bounded else tuple(found)
