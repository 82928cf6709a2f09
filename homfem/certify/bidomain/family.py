r"""Effective conductivities for any conductivities of phases and permeabilities of junctions from a few.

With factors :math:`f_p` of the conductivities :math:`\sigma` of the phases :math:`Y_p` and the permeabilities
:math:`h_k` of the junctions' faces :math:`\Gamma_k` both energies are affine in what changes:

.. math:: \xi\cdot\Sigma\xi\;\le\;\frac1{|Y|}\Bigl[\sum_pf_p\int_{Y_p}\nabla u\cdot\sigma\nabla u
          +\sum_kh_k\int_{\Gamma_k}[u]^2\Bigr],
          \qquad
          \xi\cdot\Sigma\xi\;\ge\;\frac1{|Y|}\Bigl[2\,\xi\cdot\!\int q-\sum_p\frac1{f_p}\int_{Y_p}
          q\cdot\sigma^{-1}q-\sum_k\frac1{h_k}\int_{\Gamma_k}(q\cdot n)^2\Bigr]

for every u whose gradient has the mean :math:`\xi` and every current q that is free of divergence. The potentials
:math:`u_a` and the currents :math:`q_a` that solve the cell problem for some of them are admissible for all others, and
so are their combinations. With their products :math:`A^p_{ab}=\int_{Y_p}\nabla u_a\cdot\sigma\nabla u_b`,
:math:`B^k_{ab}=\int_{\Gamma_k}[u_a][u_b]` and those of the currents, the best combination is the solution of a small
system, for each anew: a Galerkin method whose error in the energy is the square of that of the fields.

**What is wrong with the fields** is in the bounds. Potentials conform. A current misses continuity by the residual
:math:`\rho` of its solver, which a current :math:`\delta` mends whose energy is at most :math:`W\|\rho\|_1^2`
(:mod:`homfem.local.flux`), at others at most the largest :math:`f_p^\mathrm{old}/f_p` or
:math:`h_k^\mathrm{old}/h_k` times as much. By Cauchy's inequality :math:`\xi\cdot\langle\delta\rangle` and the product
of q with it take off at most
:math:`2(\sqrt{\xi\cdot\langle\sigma\rangle\xi}+\sqrt{E(q)})\sqrt{E(\delta)}+E(\delta)`.

Source: Prud'homme et al. 2002, doi 10.1115/1.1448332 (reduced bases of parametrised problems); Prager, Synge 1947,
doi 10.1090/qam/25902.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import basix
import numpy as np
import numpy.typing as npt
import ufl
from dolfinx import fem
from mpi4py import MPI

from homfem import _dolfinx, brackets, solve
from homfem.brackets import EPS, symmetric
from homfem.cells.unitcell import UnitCell
from homfem.certify.diffusion.dual import solve_lower
from homfem.certify.diffusion.medium import Medium
from homfem.certify.physics import owned_values
from homfem.local import roundoff
from homfem.local.engine import solve_correctors
from homfem.local.flux import Fluxes
from homfem.local.membranes import measures
from homfem.parameters import Array

Numbers = npt.NDArray[np.int64]

#: What the residual of a current may take off its own energy: its square root comes in here.
SHARP = 1e-14
#: Fields whose energies differ by less, and currents that have less, are left out of the combinations.
_ALIKE, _NOTHING = 1e-10, 1e-18


@dataclass(kw_only=True, eq=False)
class Family:
    """The fields for some conductivities and permeabilities, and their products.

    What changes are the weights: the factor of each phase, in the order of ``medium.cell.phases``, and the permeability
    of each link in mesh units.

    Parameters
    ----------
    medium
        The medium with factors of 1; the permeabilities of its membranes do not matter.
    degree, rtol
        Of the potentials; of the solves.
    """

    medium: Medium
    degree: int
    rtol: float
    #: The weights for which fields were solved, shape (phases + links,) each.
    solved: list[Array] = field(default_factory=list)
    dofs: int = 0
    iterations: int = 0
    _potentials: _Side = field(init=False)
    _currents: _Side = field(init=False)
    _totals: Array = field(init=False)
    _excess: list[Array] = field(default_factory=list)
    _noise: list[tuple[Array, Array]] = field(default_factory=list)

    def __post_init__(self) -> None:
        part, self._totals = _part_of_cell(self.medium), _totals(self.medium)
        self._potentials, self._currents = (_Side(self.medium.cell, part) for _ in range(2))

    @property
    def _loads(self) -> int:
        return self.medium.cell.dimension

    def add(self, weights: Array) -> None:
        """Solve for some weights; collective."""
        medium = self._weighted(weights)
        below = solve_lower(medium, 1, self.rtol, SHARP)
        above = solve_correctors(medium.cell, medium.problem("Lagrange", self.degree), rtol=self.rtol)
        fluxes = below.fields
        assert isinstance(fluxes, Fluxes)
        points = _Points(self.medium, self.degree)
        for j in range(self._loads):
            potentials = above.functions[j] if medium.membranes is not None else (above.functions[j],)
            self._potentials.add(points.gradient(potentials, j), *points.jumps(potentials))
            self._currents.add(points.flux(fluxes.functions[j]), *points.through(fluxes.functions[j]))
            self._currents.means.append(points.mean(fluxes.functions[j]))
        self.solved.append(np.asarray(weights, dtype=float))
        self._excess.append(fluxes.excess)
        self._noise.append((np.diag(fluxes.noise), np.diag(medium.noise(above))))
        self.dofs = max(self.dofs, above.dofs, fluxes.dofs)
        self.iterations += above.iterations + fluxes.iterations

    def _weighted(self, weights: Array) -> Medium:
        """Return the medium with other factors and permeabilities."""
        cell, membranes = self.medium.cell, self.medium.membranes
        factors, permeabilities = np.split(np.asarray(weights, dtype=float), [len(cell.phases)])
        coefficient = self.medium.coefficient.copy()
        of_cell = coefficient.x.array.reshape(len(cell.phase_of_cell), -1)
        for phase, factor in zip(cell.phases.values(), factors, strict=True):
            of_cell[cell.phase_of_cell == phase] *= factor
        if membranes is not None:
            links = zip(membranes.links, permeabilities, strict=True)
            membranes = replace(membranes, links=tuple((a, b, float(h)) for (a, b, _), h in links))
        return replace(self.medium, coefficient=coefficient, membranes=membranes)

    def bracket(self, weights: Array) -> dict[str, Any]:
        """Return the fields of an effective tensor for some weights."""
        d, w = self._loads, np.asarray(weights, dtype=float)
        share = self.medium.cell.copies / self.medium.cell.lattice.volume
        high, one = self._above(share * self._potentials.gram(w))
        means = share * np.array(self._currents.means).T
        low, two = _below(share * self._currents.gram(1.0 / w), means)
        mean = share * np.tensordot(w[: len(self._totals)], self._totals, axes=1)
        # Energies of currents grow where less conducts than when they were solved for, those of potentials where more.
        less, more = ([float(ratio.max()) for ratio in ratios] for ratios in
                      ([old / w for old in self.solved], [w / old for old in self.solved]))  # fmt: skip
        excess = np.concatenate([ratio * e for ratio, e in zip(less, self._excess, strict=True)])
        missing = (np.abs(two).T @ np.sqrt(excess)) ** 2
        energies = np.diag(mean) + np.abs(np.diag(low))
        below = brackets.of_round_off(4.0 * missing, energies, 0.0)
        noise = [np.concatenate([ratio * own[side] for ratio, own in zip(ratios, self._noise, strict=True)])
                 for side, ratios in enumerate((less, more))]  # fmt: skip
        whole = self._conducting
        return brackets.bracket(
            whole(low),
            whole(high),
            below=whole(below),
            above=np.zeros((d, d)),
            noise=(whole(self._doubt(two, noise[0], low)), whole(self._doubt(one, noise[1], high))),
        )

    def _conducting(self, matrix: Array) -> Array:
        """The matrix in the directions in which anything flows; exactly nothing does in the others."""
        cell = self.medium.cell
        span = cell.whole.span(cell.lattice)
        return np.asarray(span.T @ span @ matrix @ span.T @ span) if len(span) < cell.dimension else matrix

    def _above(self, gram: Array) -> tuple[Array, Array]:
        """The least energy of combined potentials, and the combinations; the loads of each must add up to one."""
        d = self._loads
        count = len(gram) // d
        base = np.vstack([np.eye(d), np.zeros((len(gram) - d, d))])
        rest = np.vstack([np.tile(-np.eye(d), (1, count - 1)), np.eye(len(gram) - d)]) if count > 1 else None
        combined = base
        if rest is not None:
            combined = base - rest @ _solve(rest.T @ gram @ rest, rest.T @ gram @ base, float(np.diag(gram).max()))
        return brackets.symmetric(combined.T @ gram @ combined), combined

    def _doubt(self, combined: Array, noise: Array, energy: Array) -> Array:
        """What round-off can have done to the energies of combinations."""
        own = (np.abs(combined).T @ np.sqrt(np.abs(noise))) ** 2
        products = self._potentials.terms * EPS * np.abs(combined).sum(axis=0) ** 2 * np.abs(np.diag(energy))
        weights = roundoff.weights(self.medium.cell, energy, self.medium.axes)
        return brackets.shared(own + products, weights)


def _below(gram: Array, means: Array) -> tuple[Array, Array]:
    """The largest lower energy of combined currents, and the combinations."""
    combined = _solve(gram, means.T, float(np.diag(gram).max(initial=0.0)))
    product = means @ combined
    return brackets.symmetric(product + product.T - combined.T @ gram @ combined), combined


def _solve(matrix: Array, right: Array, energy: float) -> Array:
    """Solve a positive semidefinite system, scaled; what is next to nothing beside an energy, or dependent, is zero."""
    found = np.zeros_like(right)
    some = np.diag(matrix) > _NOTHING * energy
    size = np.sqrt(np.diag(matrix)[some])
    inverse = np.linalg.pinv(matrix[np.ix_(some, some)] / np.outer(size, size), rcond=_ALIKE, hermitian=True)
    found[some] = (inverse @ (right[some] / size[:, None])) / size[:, None]
    return found


def _part_of_cell(medium: Medium) -> Numbers:
    """The number of the phase of each owned mesh cell, in the order of the cell's phases."""
    cell = medium.cell
    owned = len(owned_values(cell, medium.coefficient))
    number = np.full(max(cell.phases.values()) + 1, -1)
    number[list(cell.phases.values())] = np.arange(len(cell.phases))
    return np.asarray(number[cell.phase_of_cell[:owned]], dtype=np.int64)


def _totals(medium: Medium) -> Array:
    """The integral of the conductivity over each phase, shape (phases, d, d); collective."""
    values, d = owned_values(medium.cell, medium.coefficient), medium.cell.dimension
    matrices = values[:, :, None] * np.eye(d) if values.shape[1] == 1 else values.reshape(-1, d, d)
    volume, _ = roundoff.steepness(medium.cell)
    own, part = np.zeros((len(medium.cell.phases), d, d)), _part_of_cell(medium)
    np.add.at(own, part, volume[:, None, None] * matrices)
    return np.asarray(medium.cell.comm.allreduce(own, op=MPI.SUM))


class _Side:
    """Fields at points, weighted so that the products are energies, and on the faces of the junctions."""

    def __init__(self, cell: UnitCell, part: Numbers) -> None:
        self.cell, self._part = cell, part
        self.means: list[Array] = []
        self._inside: list[Array] = []
        self._faces: list[Array] = []
        self._tests: list[list[Array]] = []
        self._products: Array | None = None
        #: Terms of a product, on all ranks.
        self.terms = 0.0

    def add(self, inside: Array, face: Array, tests: list[Array]) -> None:
        """Add a field: values in each mesh cell, unknowns, the products of each link with all unknowns; collective."""
        self._inside.append(inside)
        self._faces.append(face)
        self._tests.append(tests)
        self._products = None
        self.terms = float(self.cell.comm.allreduce(inside.size, op=MPI.SUM))

    def gram(self, weights: Array) -> Array:
        """Return the products of all fields, those in each phase and on each link times its weight."""
        if self._products is None:
            fields, faces = np.array(self._inside), np.array(self._faces)
            phases = [fields[:, self._part == k].reshape(len(fields), -1) for k in range(len(self.cell.phases))]
            bulk = np.array([own @ own.T for own in phases])
            links = [faces @ np.array(test).T for test in zip(*self._tests, strict=True)]  # (unknowns' field, test)
            own = np.concatenate([bulk, np.array(links).reshape(-1, *bulk.shape[1:])])
            products = self.cell.comm.allreduce(own, op=MPI.SUM)
            self._products = symmetric(products)
        return np.asarray(np.tensordot(weights, self._products, axes=1))


class _Points:
    """Values of fields of a medium at the points of a quadrature that is exact for their energies."""

    def __init__(self, medium: Medium, degree: int) -> None:
        self.medium, cell = medium, medium.cell
        d = cell.dimension
        kind = basix.CellType[cell.kind]
        self.points, weights = basix.make_quadrature(kind, max(2, 2 * (degree - 1)))
        values = owned_values(cell, medium.coefficient)
        self.owned = len(values)
        nodes = cell.mesh.geometry.x[_dolfinx.geometry_dofmap(cell.mesh)[: self.owned]][:, :, :d]
        edges = np.swapaxes(nodes[:, 1:] - nodes[:, :1], 1, 2)
        size = np.abs(np.linalg.det(edges))
        self.inverse = np.linalg.inv(edges)
        self.weight = size[:, None] * weights
        matrices = values[:, :, None] * np.eye(d) if values.shape[1] == 1 else values.reshape(-1, d, d)
        # L L^T of D and the inverse of L: |L^T g|^2 = g.Dg and |L^-1 q|^2 = q.D^-1 q
        self.root = np.linalg.cholesky(matrices)

    def gradient(self, functions: Any, load: int) -> Array:
        """The weighted gradient of a corrector with its load."""
        membranes = self.medium.membranes
        group = np.zeros(self.owned, dtype=int) if membranes is None else membranes.group_of_cell[: self.owned]
        space = functions[0].function_space
        slopes = space.element.basix_element.tabulate(1, self.points)[1:, :, :, 0]
        values = np.stack([f.x.array[space.dofmap.list[: self.owned]] for f in functions])
        own = np.take_along_axis(values, group[None, :, None], axis=0)[0]
        gradient = np.einsum("mi,kqi,mka->mqa", own, slopes, self.inverse, optimize=True)
        gradient[:, :, load] += 1.0
        turned = np.einsum("mab,mqa->mqb", self.root, gradient)
        return np.asarray((np.sqrt(self.weight)[:, :, None] * turned).reshape(self.owned, -1))

    def _values(self, flux: fem.Function) -> Array:
        space, d = flux.function_space, self.medium.cell.dimension
        shapes = space.element.basix_element.tabulate(0, self.points)[0, :, :, 0]
        own = flux.x.array.reshape(-1, d)[space.dofmap.list[: self.owned]]
        return np.asarray(np.einsum("mia,qi->mqa", own, shapes))

    def flux(self, flux: fem.Function) -> Array:
        """The weighted current."""
        turned = np.linalg.solve(self.root, np.swapaxes(self._values(flux), 1, 2))
        return np.asarray((np.sqrt(self.weight)[:, None] * turned).reshape(self.owned, -1))

    def mean(self, flux: fem.Function) -> Array:
        """The integral of a current, shape (d,); collective."""
        own = np.einsum("mq,mqa->a", self.weight, self._values(flux))
        return np.asarray(self.medium.cell.comm.allreduce(own, op=MPI.SUM))

    def jumps(self, functions: Sequence[fem.Function]) -> tuple[Array, list[Array]]:
        """The unknowns of a potential, and its products with any other's on each link; collective."""
        membranes, space = self.medium.membranes, functions[0].function_space
        if membranes is None:
            return np.zeros(0), []
        test = ufl.TestFunction(space)
        _, facets = measures(self.medium.cell.mesh, membranes)
        owned = space.dofmap.index_map.size_local
        unknowns = np.array([f.x.array[:owned] for f in functions])
        products: list[Array] = []
        for (one, other, _), part in zip(membranes.links, facets, strict=True):
            # Every potential of a group stands in a space of its own, all of one numbering.
            first, second = (_in(space, functions[g]) for g in (one, other))
            tested = _assembled(ufl.avg(second - first) * ufl.avg(test) * part)
            product = np.zeros_like(unknowns)
            product[other] += tested
            product[one] -= tested
            products.append(product.ravel())
        return np.asarray(unknowns.ravel()), products

    def through(self, flux: fem.Function) -> tuple[Array, list[Array]]:
        """The unknowns of a current, and the products of what it sends through each link with any other's."""
        membranes, space = self.medium.membranes, flux.function_space
        if membranes is None:
            return np.zeros(0), []
        mesh, d = self.medium.cell.mesh, self.medium.cell.dimension
        test, normal = ufl.TestFunction(space), ufl.FacetNormal(mesh)
        _, facets = measures(mesh, membranes)
        owned = space.dofmap.index_map.size_local * d
        across = ufl.inner(flux("+"), normal("+"))
        products = [_assembled(across * ufl.inner(test("+"), normal("+")) * part) for part in facets]
        return np.asarray(flux.x.array[:owned]).copy(), products


def _in(space: fem.FunctionSpace, function: fem.Function) -> fem.Function:
    if function.function_space is space:
        return function
    same = fem.Function(space)
    same.x.array[:] = function.x.array
    return same


def _assembled(form: ufl.Form) -> Array:
    vector = solve.assemble_vector(solve.compile_form(form))
    values = vector.array_r.copy()
    vector.destroy()
    return np.asarray(values)
