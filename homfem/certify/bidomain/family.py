r"""Effective conductivities for any resistance of the junctions from a few: bounds from combined fields.

With the permeabilities :math:`h_k` of the junctions' faces :math:`\Gamma_k` both energies are affine in what changes:

.. math:: \xi\cdot\Sigma\xi\;\le\;\frac1{|Y|}\Bigl[\int\nabla u\cdot\sigma\nabla u+\sum_kh_k\int_{\Gamma_k}[u]^2\Bigr],
          \qquad
          \xi\cdot\Sigma\xi\;\ge\;\frac1{|Y|}\Bigl[2\,\xi\cdot\!\int q-\int q\cdot\sigma^{-1}q
          -\sum_k\frac1{h_k}\int_{\Gamma_k}(q\cdot n)^2\Bigr]

for every u whose gradient has the mean :math:`\xi` and every current q that is free of divergence. The potentials
:math:`u_a` and the currents :math:`q_a` that solve the cell problem for some permeabilities are admissible for all
others, and so are their combinations. With their products :math:`A_{ab}=\int\nabla u_a\cdot\sigma\nabla u_b`,
:math:`B^k_{ab}=\int_{\Gamma_k}[u_a][u_b]` and those of the currents, the best combination is the solution of a small
system, for each h anew: a Galerkin method whose error in the energy is the square of that of the fields.

**What is wrong with the fields** is in the bounds. Potentials conform. A current misses continuity by the residual
:math:`\rho` of its solver, which a current :math:`\delta` mends whose energy is at most :math:`W\|\rho\|_1^2`
(:mod:`homfem.local.flux`), at other permeabilities at most :math:`\max_kh_k^\mathrm{old}/h_k` times as much (if that is
above 1). By Cauchy's inequality :math:`\xi\cdot\langle\delta\rangle` and the product of q with it take off at most
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
import ufl
from dolfinx import fem
from mpi4py import MPI

from homfem import _dolfinx, brackets, solve
from homfem.brackets import EPS
from homfem.cells.unitcell import UnitCell
from homfem.certify.diffusion.dual import solve_lower
from homfem.certify.diffusion.medium import Medium
from homfem.certify.physics import owned_values
from homfem.local import roundoff
from homfem.local.engine import solve_correctors
from homfem.local.flux import Fluxes
from homfem.local.membranes import measures
from homfem.parameters import Array

#: What the residual of a current may take off its own energy: its square root comes in here.
SHARP = 1e-14
#: Fields whose energies differ by less, and currents that have less, are left out of the combinations.
_ALIKE, _NOTHING = 1e-10, 1e-18


@dataclass(kw_only=True, eq=False)
class Family:
    """The fields for some permeabilities, and their products.

    Parameters
    ----------
    medium
        The medium; the permeabilities of its membranes do not matter.
    degree, rtol
        Of the potentials; of the solves.
    """

    medium: Medium
    degree: int
    rtol: float
    #: The permeabilities of the links for which fields were solved, in mesh units, shape (links,) each.
    solved: list[Array] = field(default_factory=list)
    dofs: int = 0
    iterations: int = 0
    _potentials: _Side = field(init=False)
    _currents: _Side = field(init=False)
    _old: list[Array] = field(default_factory=list)
    _excess: list[Array] = field(default_factory=list)
    _noise: list[tuple[Array, Array]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._potentials, self._currents = _Side(self.medium.cell), _Side(self.medium.cell)

    @property
    def _loads(self) -> int:
        return self.medium.cell.dimension

    def add(self, permeabilities: Array) -> None:
        """Solve for the permeabilities of the links, in mesh units; collective."""
        assert self.medium.membranes is not None
        links = self.medium.membranes.links
        changed = tuple((a, b, float(h)) for (a, b, _), h in zip(links, permeabilities, strict=True))
        medium = replace(self.medium, membranes=replace(self.medium.membranes, links=changed))
        below = solve_lower(medium, 1, self.rtol, SHARP)
        above = solve_correctors(medium.cell, medium.problem("Lagrange", self.degree), rtol=self.rtol)
        fluxes = below.fields
        assert isinstance(fluxes, Fluxes)
        points = _Points(medium, self.degree)
        for j in range(self._loads):
            self._potentials.add(points.gradient(above.functions[j], j), *points.jumps(above.functions[j]))
            self._currents.add(points.flux(fluxes.functions[j]), *points.through(fluxes.functions[j]))
            self._currents.means.append(points.mean(fluxes.functions[j]))
        self.solved.append(np.asarray(permeabilities, dtype=float))
        self._excess.append(fluxes.excess)
        self._noise.append((np.diag(fluxes.noise), np.diag(medium.noise(above))))
        self.dofs = max(self.dofs, above.dofs, fluxes.dofs)
        self.iterations += above.iterations + fluxes.iterations

    def bracket(self, permeabilities: Array) -> dict[str, Any]:
        """Return the fields of an effective tensor for the permeabilities of the links, in mesh units."""
        d, h = self._loads, np.asarray(permeabilities, dtype=float)
        share = self.medium.cell.copies / self.medium.cell.lattice.volume
        high, one = self._above(share * self._potentials.gram(h))
        means = share * np.array(self._currents.means).T
        low, two = _below(share * self._currents.gram(1.0 / h), means)
        mean = share * _total(self.medium)
        worse = np.array([max(1.0, float((old / h).max(initial=1.0))) for old in self.solved])
        excess = np.concatenate([w * e for w, e in zip(worse, self._excess, strict=True)])
        missing = (np.abs(two).T @ np.sqrt(excess)) ** 2
        energies = np.diag(mean) + np.abs(np.diag(low))
        below = brackets.of_round_off(4.0 * missing, energies, 0.0)
        noise = [np.concatenate(parts) for parts in zip(*self._noise, strict=True)]
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


def _total(medium: Medium) -> Array:
    """The integral of the conductivity, shape (d, d); collective."""
    values, d = owned_values(medium.cell, medium.coefficient), medium.cell.dimension
    matrices = values[:, :, None] * np.eye(d) if values.shape[1] == 1 else values.reshape(-1, d, d)
    volume, _ = roundoff.steepness(medium.cell)
    own = np.einsum("m,mij->ij", volume, matrices)
    return np.asarray(medium.cell.comm.allreduce(own, op=MPI.SUM))


class _Side:
    """Fields at points, weighted so that the products are energies, and on the faces of the junctions."""

    def __init__(self, cell: UnitCell) -> None:
        self.cell = cell
        self.means: list[Array] = []
        self._inside: list[Array] = []
        self._faces: list[Array] = []
        self._tests: list[list[Array]] = []
        self._products: tuple[Array, Array] | None = None
        #: Terms of a product, on all ranks.
        self.terms = 0.0

    def add(self, inside: Array, face: Array, tests: list[Array]) -> None:
        """Add a field: values inside, unknowns, and the products of each link with all unknowns; collective."""
        self._inside.append(inside)
        self._faces.append(face)
        self._tests.append(tests)
        self._products = None
        self.terms = float(self.cell.comm.allreduce(inside.size, op=MPI.SUM))

    def gram(self, weights: Array) -> Array:
        """Return the products of all fields, those on each link times its weight."""
        if self._products is None:
            fields, faces = np.array(self._inside), np.array(self._faces)
            bulk = self.cell.comm.allreduce(fields @ fields.T, op=MPI.SUM)
            own = np.array([[faces @ test for test in tests] for tests in self._tests])  # (field, link, field)
            links = self.cell.comm.allreduce(own, op=MPI.SUM)
            self._products = brackets.symmetric(bulk), 0.5 * (links + links.transpose(2, 1, 0))
        bulk, links = self._products
        return np.asarray(bulk + np.einsum("akb,k->ab", links, weights))


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
        assert self.medium.membranes is not None
        group = self.medium.membranes.group_of_cell[: self.owned]
        space = functions[0].function_space
        slopes = space.element.basix_element.tabulate(1, self.points)[1:, :, :, 0]
        values = np.stack([f.x.array[space.dofmap.list[: self.owned]] for f in functions])
        own = np.take_along_axis(values, group[None, :, None], axis=0)[0]
        gradient = np.einsum("mi,kqi,mka->mqa", own, slopes, self.inverse, optimize=True)
        gradient[:, :, load] += 1.0
        turned = np.einsum("mab,mqa->mqb", self.root, gradient)
        return np.asarray((np.sqrt(self.weight)[:, :, None] * turned).ravel())

    def _values(self, flux: fem.Function) -> Array:
        space, d = flux.function_space, self.medium.cell.dimension
        shapes = space.element.basix_element.tabulate(0, self.points)[0, :, :, 0]
        own = flux.x.array.reshape(-1, d)[space.dofmap.list[: self.owned]]
        return np.asarray(np.einsum("mia,qi->mqa", own, shapes))

    def flux(self, flux: fem.Function) -> Array:
        """The weighted current."""
        turned = np.linalg.solve(self.root, np.swapaxes(self._values(flux), 1, 2))
        return np.asarray((np.sqrt(self.weight)[:, None] * turned).ravel())

    def mean(self, flux: fem.Function) -> Array:
        """The integral of a current, shape (d,); collective."""
        own = np.einsum("mq,mqa->a", self.weight, self._values(flux))
        return np.asarray(self.medium.cell.comm.allreduce(own, op=MPI.SUM))

    def jumps(self, functions: Sequence[fem.Function]) -> tuple[Array, list[Array]]:
        """The unknowns of a potential, and its products with any other's on each link; collective."""
        membranes, space = self.medium.membranes, functions[0].function_space
        assert membranes is not None
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
        assert membranes is not None
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
