"""The equations of the species as linear problems on one space, and the amounts of what they move."""

from __future__ import annotations

import logging
from dataclasses import replace
from typing import Any

import numpy as np
import ufl
from dolfinx import fem

from homfem.kinds import DIFFUSION, DISPERSION
from homfem.macro.coefficients import scalar_coefficient, tensor_coefficient
from homfem.macro.conditions import Condition
from homfem.macro.flow import Darcy, cell_peclet, divergence, streamline_time, velocity_coefficient
from homfem.macro.linear_problem import LinearProblem
from homfem.macro.reaction_diffusion.problem import Method, ReactionDiffusion, Species
from homfem.parameters import Array
from homfem.solve import DIRECT_FIRST, assemble_matrix, assemble_vector, integrate

log = logging.getLogger("homfem")

#: Cell Peclet number from which on streamline diffusion is taken, and divergence from which on it is told.
PECLET, DIVERGENCE = 1.0, 1e-6
#: Share of what flows through the boundary that may do so where no condition is.
WALL = 1e-6
#: Entries of a row of the matrix of degree 1, about; of degree 2 one and a half times as many.
_ROW = {1: 3, 2: 7, 3: 15}


class Equations:
    """The linear problem of each species that moves; collective.

    Attributes
    ----------
    space
        The scalar space of all species.
    problems
        By species; without those that neither diffuse nor flow.
    alike
        For each of these the first species with the same matrices.
    weights
        For each species the integrals of phi times the basis functions, those that the rank owns.
    ranged
        Species whose fluxes are to be limited where advection rules, in place of streamline diffusion.
    per_tissue
        For each species what a rate per tissue changes in it at a node: 1/phi.
    """

    def __init__(self, problem: ReactionDiffusion, method: Method) -> None:
        domain = problem.domain
        self.problem, self.method = problem, method
        self.space = fem.functionspace(domain.mesh, ("Lagrange", problem.degree))
        self.owned = int(self.space.dofmap.index_map.size_local)
        self.problems: dict[str, LinearProblem] = {}
        self.alike: dict[str, str] = {}
        self.weights: dict[str, Array] = {}
        self.per_tissue: dict[str, float | Array] = {}
        whole = assemble_vector(ufl.TestFunction(self.space) * ufl.dx)
        self.volumes = whole.array_r.copy()
        self.ranged: set[str] = set()
        self._velocities: dict[Any, Any] = {}
        self._capacities: dict[str, Any] = {}
        first: dict[Any, str] = {}
        for species in problem.species:
            fraction = species.fraction
            capacity = scalar_coefficient(f"species.{species.name}.volume_fraction", domain, fraction, above=0.0)
            self._capacities[species.name] = capacity
            if isinstance(fraction, dict):
                weights = assemble_vector(capacity * ufl.TestFunction(self.space) * ufl.dx)
                self.weights[species.name] = weights.array_r.copy()
                self.per_tissue[species.name] = self._squares(1.0) / self._squares(capacity)
            else:
                self.weights[species.name] = fraction * self.volumes
                self.per_tissue[species.name] = 1.0 / fraction
            if species.tensor is None and species.velocity is None:
                continue
            same = first.setdefault(species.operator, species.name)
            self.alike[species.name] = same
            self.problems[species.name] = (
                self._equation(species, capacity)
                if same == species.name
                else with_conditions(self.problems[same], species.conditions, species.name)
            )

    def _squares(self, capacity: Any) -> Array:
        """Return the integrals of the squares of the basis functions; in each cell they are its volume times a number.

        So the ratio of two of them is that of the volumes about a node, where integrals of basis functions of degree 2
        may be zero.
        """
        u, v = ufl.TrialFunction(self.space), ufl.TestFunction(self.space)
        matrix = assemble_matrix(capacity * u * v * ufl.dx(domain=self.problem.domain.mesh))
        found = matrix.getDiagonal().array_r.copy()
        matrix.destroy()
        return np.asarray(found)

    def problem_of(self, name: str) -> LinearProblem:
        """Return the linear problem of a species; of one that does not move that of nothing but its change in time."""
        if name in self.problems:
            return self.problems[name]
        capacity = self._capacities[name]
        return LinearProblem(
            domain=self.problem.domain, space=self.space, coefficient=None, capacity=capacity, name=name
        )

    def _equation(self, species: Species, capacity: Any) -> LinearProblem:
        problem, path = self.problem, f"species.{species.name}"
        domain, coefficient, streamline = problem.domain, None, None
        if species.tensor is not None:
            coefficient = tensor_coefficient(
                f"{path}.tensor",
                domain,
                species.tensor,
                (DIFFUSION, DISPERSION),
                unit=problem.diffusivity_unit,
                axes="domain" if domain.fibres is None else "fibre",
            )
        velocity = self._velocity(species)
        if velocity is not None:
            self._tell_walls(species, velocity)
        if velocity is not None and self._streamline(species, velocity, coefficient):
            streamline = streamline_time(domain, velocity, coefficient, problem.degree)
        return LinearProblem(
            domain=domain,
            space=self.space,
            coefficient=coefficient,
            capacity=capacity,
            conditions=tuple(species.conditions),
            velocity=velocity,
            streamline=streamline,
            name=f"transport of {species.name}",
        )

    def _velocity(self, species: Species) -> Any:
        """Return the velocity; species that give the same object share what is computed from it."""
        if species.velocity is None:
            return None
        domain, path = self.problem.domain, f"species.{species.name}.velocity"
        if id(species.velocity) not in self._velocities:
            found = velocity_coefficient(path, domain, self.space, species.velocity)
            gained = divergence(self.space, found)
            if gained > DIVERGENCE and domain.comm.rank == 0:
                log.warning(
                    "%s: its divergence is not zero (%.2g of its size): amounts are kept, but it gathers and dilutes",
                    path,
                    gained,
                )
            self._velocities[id(species.velocity)] = found
        return self._velocities[id(species.velocity)]

    def _tell_walls(self, species: Species, velocity: Any) -> None:
        """Warn where a given velocity crosses a boundary of which nothing is said: nothing passes there."""
        domain = self.problem.domain
        if isinstance(species.velocity, Darcy):
            return
        through = abs(ufl.dot(velocity, ufl.FacetNormal(domain.mesh)))
        told = sum(integrate(through * domain.ds(entry.boundary)) for entry in species.conditions)
        whole = integrate(through * ufl.ds(domain=domain.mesh))
        if whole - told > WALL * whole and domain.comm.rank == 0:
            log.warning(
                "transport of %s: the flow crosses boundaries of which nothing is said, so that the species piles up "
                "or is thinned out there: give them a value, a flux or outflow",
                species.name,
            )

    def _streamline(self, species: Species, velocity: Any, coefficient: Any) -> bool:
        """Tell whether streamline diffusion is to be added, and say so."""
        wanted, domain = self.method.stabilization, self.problem.domain
        peclet = cell_peclet(domain, velocity, coefficient, self.problem.degree)
        needed = wanted == "supg" or (wanted == "auto" and peclet > PECLET)
        if needed and self.method.positivity:
            self.ranged.add(species.name)
        if domain.comm.rank == 0:
            kept = ("limited fluxes" if self.method.positivity else "SUPG") if needed else "no stabilization"
            log.info("transport of %s: Peclet number of a cell up to %.3g, %s", species.name, peclet, kept)
        return needed and not self.method.positivity

    def solver_options(self, name: str) -> dict[str, Any]:
        """Return the options of the linear solver of a species' transport in time."""
        d, method = self.problem.domain.dimension, self.method
        entries = self.space.dofmap.index_map.size_global * _ROW[d] * (1.0 if self.problem.degree == 1 else 1.5)
        chosen = method.preconditioner
        if chosen is None and (d == 1 or entries <= DIRECT_FIRST[d]):
            chosen = "direct"
        options: dict[str, Any] = {"rtol": method.rtol, "name": self.problems[name].name}
        return options | ({} if chosen is None else {"preconditioner": chosen})

    def coordinates(self) -> Array:
        """Return the coordinates of the owned nodes, shape (3, n)."""
        return np.asarray(self.space.tabulate_dof_coordinates()[: self.owned].T)


def with_conditions(problem: LinearProblem, conditions: Any, name: str) -> LinearProblem:
    """Return a problem with the same coefficients and other conditions."""
    chosen: tuple[Condition, ...] = tuple(conditions)
    return replace(problem, conditions=chosen, name=f"transport of {name}")
