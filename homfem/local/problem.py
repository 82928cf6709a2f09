r"""What a cell problem is: its fields and its UFL formulas; and what solving it gives."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import ufl
from dolfinx import fem
from petsc4py import PETSc

from homfem import _dolfinx, periodic, solve
from homfem.cells.unitcell import UnitCell
from homfem.parameters import Array, InputError, check_choice

KINDS = ("definite", "saddle", "general")
#: Fields at points of shape (3, n), each of shape (components, n); or none.
NearKernel = Callable[[Array], list[Array]] | None
BOUNDARIES = ("periodic", "affine", "flux", "mixed")


@dataclass(frozen=True, kw_only=True, slots=True)
class Field:
    """One unknown field of a cell problem.

    Parameters
    ----------
    element
        ``basix.ufl`` element.
    phases
        The phases on which it lives; all of the cell if empty. Fields of different phases meet in ``dS`` integrals over
        the facets between them.
    fixed_walls
        It vanishes on the walls (no-slip): the facets of the cell that have no neighbour, or none of ``phases``.
    primary
        Whether boundary conditions of the cell apply to it; not to a pressure.
    near_kernel
        Optional ``near_kernel(x) -> list of (components, n) arrays``: fields at points ``x`` of shape (3, n) that
        coarse grids must represent, such as rigid-body motions.
    preconditioner
        ``"multigrid"``, ``"jacobi"``, ``"ssor"`` or ``"direct"``; of this field in a problem that is not definite.
    name
        What it is, for files and pictures. Fields of one name and one element on different phases are one field that
        jumps where they meet.
    fixed_facets : array of int
        It vanishes on these local facets as well, such as interfaces that hold a potential.
    """

    element: Any
    phases: tuple[str, ...] = ()
    fixed_walls: bool = False
    primary: bool = True
    near_kernel: NearKernel = None
    preconditioner: str = "multigrid"
    name: str = ""
    fixed_facets: npt.NDArray[np.int32] | None = field(default=None, compare=False)

    @property
    def components(self) -> int:
        """Number of components of the field."""
        return int(np.prod(self.element.reference_value_shape, dtype=int))


@dataclass(frozen=True, kw_only=True, slots=True)
class CellProblem:
    r"""A linear cell problem as UFL formulas.

    With the bilinear form and the affine fields :math:`F_s(x)` of unit macroscopic gradients, the corrector and the
    effective coefficient are

    .. math:: a(\chi_j + F_j, v) = 0 ,\qquad M_{ij} = \frac1{|Y|}\,a(\chi_j + F_j, \chi_i + F_i) .

    A problem with loads that are no macroscopic gradient gives ``linear`` and ``average``, with or without ``affine``:

    .. math:: a(\chi_j, v) = \ell(v; s_j) ,\qquad M_{ij} = \frac1{|Y|}\,m(\chi_j, s_j;\, \chi_i, s_i) .

    With one field ``u`` below is that field, with several the tuple of them.

    Parameters
    ----------
    name
        The physics, for messages and results.
    fields
        The unknown fields.
    loads
        Number of unit loads (d for diffusion, 3 or 6 for elasticity).
    bilinear
        ``bilinear(u, v)``: the UFL form :math:`a(u, v)`, measures included; symmetric unless ``kind`` says otherwise,
        which is checked.
    domain
        The mesh of the forms, see :func:`domain_of`.
    affine
        ``affine(x, s)``: the field (or fields) :math:`F_s(x)`, linear in the point ``x`` and in the load ``s`` (a
        vector of ``loads`` components).
    linear
        ``linear(v, s)``: the UFL form :math:`\ell(v; s)`; by default :math:`-a(F_s, v)`.
    average
        ``average(w, s, z, t)``: the UFL form :math:`m(w, s; z, t)`; by default :math:`a(w + F_s, z + F_t)`.
    kind
        ``"definite"``: :math:`a` is symmetric and positive (semi-)definite: conjugate gradients. ``"saddle"``:
        symmetric: MINRES with a preconditioner for each field, its own diagonal block or that of ``metric``.
        ``"general"``: not symmetric: factors where they are cheap, else GMRES, for ``boundary="periodic"`` and
        ``"affine"``; :math:`M` is not symmetric then, row i the flux, column j the gradient. Where constants are in the
        kernel of :math:`a`, so is a density in that of its transpose (:func:`homfem.local.engine.left_kernel`), on
        which no load may work.
    metric
        ``metric(u, v)``: a UFL form whose diagonal blocks are positive definite, such as a mass matrix of the
        pressure.
    component
        ``component(u, v)``: what the form and the metric are for one component of the first field, scalar functions,
        where its components do not meet and have the same form each: all loads of a ``"saddle"`` problem are then
        solved at once (:class:`homfem.solve.StackedSolver`). Of the other pairs of fields those below the diagonal are
        then the transposes of those above it.
    stationary
        Whether ``average`` is :math:`\ell(z; s)+\ell(w; t)-a(w, z)`, the value of Lagrange's function: the matrix and
        the loads give it then, without a form of its own.
    smoother
        Of the p-multigrid of a definite problem, see :class:`homfem.solve.LinearSolver`.
    flux
        ``flux(u, s)``: the UFL expression of the flux or stress for the field (or fields) ``u``, the affine one
        included, and the load ``s``; for pictures.
    parity : array, shape (loads, d)
        +1 or -1: how each load answers a mirror image along each axis; for ``boundary="mixed"``. Vector fields are
        mirrored as vectors, others stay.
    coefficients
        The functions and constants in the forms that are material, by name, for derivatives by them
        (:mod:`homfem.local.slopes`).
    given
        Further functions and constants in the forms: of the geometry, say.
    assembled
        Matrices that there are already, which stay the caller's: ``"component"``, or ``"bilinear"`` of a single field.
    tags
        Mesh tags over whose parts the forms are integrated.
    formula
        Optional name of the formulas, with all that they depend on besides the elements of the mesh, of the fields, of
        ``coefficients`` and of ``given``: the forms of problems that share it are built once in a process
        (:func:`homfem.solve.compile_formula`). Without it, with formulas of several modules, and with a coefficient
        that is neither a function nor a constant of DOLFINx, each problem builds its own.
    """

    name: str
    fields: tuple[Field, ...]
    loads: int
    bilinear: Callable[[Any, Any], ufl.Form]
    domain: Any
    affine: Callable[[Any, Any], Any] | None = None
    linear: Callable[[Any, Any], ufl.Form] | None = None
    average: Callable[[Any, Any, Any, Any], ufl.Form] | None = None
    kind: str = "definite"
    metric: Callable[[Any, Any], ufl.Form] | None = None
    component: Callable[[Any, Any], ufl.Form] | None = None
    stationary: bool = False
    smoother: str = "ssor"
    flux: Callable[[Any, Any], Any] | None = None
    parity: npt.ArrayLike | None = None
    coefficients: Mapping[str, fem.Function | fem.Constant] = field(default_factory=dict)
    given: Sequence[fem.Function | fem.Constant] = ()
    assembled: Mapping[str, PETSc.Mat] = field(default_factory=dict)
    tags: Sequence[Any] = ()
    formula: Hashable = None

    def __post_init__(self) -> None:
        check_choice("kind", self.kind, KINDS)
        if not self.fields:
            raise InputError("fields", self.fields, "at least one Field")
        if self.affine is None and (self.linear is None or self.average is None):
            raise InputError("affine", None, "given, or else both linear and average")

    def pick(self, several: Sequence[Any]) -> Any:
        """Return what the formulas take for the fields: the one, or the tuple of them."""
        return several[0] if len(self.fields) == 1 else tuple(several)

    def linear_form(self, v: Any, s: Any) -> ufl.Form:
        r"""Return :math:`\ell(v; s)`."""
        return -self.bilinear(self._affine(s), v) if self.linear is None else self.linear(v, s)

    def average_form(self, w: Any, s: Any, z: Any, t: Any) -> ufl.Form:
        r"""Return :math:`m(w, s; z, t)`."""
        if self.average is not None:
            return self.average(w, s, z, t)
        return self.bilinear(_sum(w, self._affine(s)), _sum(z, self._affine(t)))

    def compile(
        self,
        name: str,
        build: Callable[[], ufl.Form],
        *,
        spaces: Sequence[fem.FunctionSpace] = (),
        functions: Sequence[fem.Function] = (),
        constants: Sequence[fem.Constant] = (),
    ) -> Any:
        """Compile a form of the problem, or join one that has been built before to these terminals; collective."""
        terminals = self._terminals(spaces, functions, constants, self.tags)
        if terminals is None:
            return solve.compile_form(build())
        return solve.compile_formula((self._formula, name), build, terminals)

    def compile_blocks(
        self,
        name: Hashable,
        build: Callable[[], Sequence[ufl.Form | None]],
        *,
        spaces: Sequence[fem.FunctionSpace],
        constants: Sequence[fem.Constant] = (),
        tags: Sequence[Any] = (),
    ) -> list[Any]:
        """Compile the blocks of a form, None where one is absent, as :meth:`compile` does; collective."""
        terminals = self._terminals(spaces, (), constants, [*self.tags, *tags])
        if terminals is None:
            return [None if form is None else solve.compile_form(form) for form in build()]
        return solve.compile_formulas((self._formula, name), build, terminals)

    @property
    def _formula(self) -> Hashable:
        """The name with the code of the formulas; None where one of them was replaced by one of another module."""
        formulas = (self.bilinear, self.affine, self.linear, self.average, self.metric, self.component)
        codes = [getattr(getattr(one, "__func__", one), "__code__", None) for one in formulas if one is not None]
        modules = {getattr(one, "__module__", None) for one in formulas if one is not None}
        if self.formula is None or None in codes or len(modules) > 1:
            return None
        return self.formula, tuple(one is None for one in formulas), tuple(codes)

    def _terminals(
        self,
        spaces: Sequence[fem.FunctionSpace],
        functions: Sequence[fem.Function],
        constants: Sequence[fem.Constant],
        tags: Sequence[Any],
    ) -> solve.Terminals | None:
        """What a form of the problem is made of; None where it is not to be kept."""
        own = [*self.coefficients.values(), *self.given]
        # An expression or a number in place of a function is part of the form itself.
        if self._formula is None or not all(isinstance(one, (fem.Function, fem.Constant)) for one in own):
            return None
        return solve.Terminals(
            mesh=self.domain,
            spaces=spaces,
            functions=[*functions, *(one for one in own if isinstance(one, fem.Function))],
            constants=[*constants, *(one for one in own if isinstance(one, fem.Constant))],
            tags=tags,
        )

    def _affine(self, s: Any) -> Any:
        assert self.affine is not None  # or else both forms are given
        return self.affine(ufl.SpatialCoordinate(self.domain), s)


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Correctors:
    r"""The solved cell problem.

    Parameters
    ----------
    functions : tuple
        :math:`\chi_j` in mesh units, a ``fem.Function`` or, of several fields, a tuple of them. Mean zero per component
        over each connected part where the problem does not feel constants. With ``boundary="flux"`` the whole field
        less the affine one.
    average : array, shape (loads, loads)
        :math:`M_{ij}`, per volume of the whole period.
    residual_norms : array, shape (loads,)
        :math:`\|b_j - A\chi_j\|_1`, the sum of the absolute algebraic residuals over all unknowns, with what round-off
        can have hidden of them.
    problem
        What was solved.
    spaces
        The function space of each field.
    dofs, iterations
        Number of independent unknowns; iterations summed over the loads.
    left_kernel
        Of a problem that is not symmetric the fields m with :math:`a(v, m) = 0` for every v, where they are no
        constants (:func:`homfem.local.engine.left_kernel`).
    seconds
        Wall time of ``constraint``, ``assembly``, ``preconditioner``, ``solve``, ``average``.
    """

    functions: tuple[Any, ...]
    average: Array
    residual_norms: Array
    problem: CellProblem
    spaces: tuple[fem.FunctionSpace, ...]
    dofs: int
    iterations: int
    left_kernel: tuple[Any, ...] = ()
    seconds: Mapping[str, float] = field(default_factory=dict)

    @property
    def space(self) -> fem.FunctionSpace:
        """The function space of the first field."""
        return self.spaces[0]


def domain_of(cell: UnitCell, backend: str | None = None, boundary: str = "periodic") -> Any:
    """Return the mesh on which the forms of a cell problem stand: the torus, or the cell as it lies in space."""
    backend = periodic.check_backend(cell, backend)
    check_choice("boundary", boundary, BOUNDARIES)
    return cell.mesh if backend == "identified" and boundary == "periodic" else cell.periodic_mesh.plain


def on_domain(cell: UnitCell, function: fem.Function, domain: Any) -> fem.Function:
    """Return a function of the cell on the mesh of the forms."""
    return function if domain is cell.mesh else cell.periodic_mesh.to_plain(function)


def element_of(cell: UnitCell, family: str, degree: int, shape: tuple[int, ...] = ()) -> Any:
    """Return the ``basix.ufl`` element of a family on the cell's mesh."""
    return _dolfinx.element(family, cell.kind, degree, shape)


def _sum(one: Any, other: Any) -> Any:
    if isinstance(one, tuple):
        return tuple(a + b for a, b in zip(one, other, strict=True))
    return one + other
