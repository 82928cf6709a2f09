r"""The extracellular potential of a given membrane potential, and the lead fields that give it at electrodes at once.

From the membrane potential V of a monodomain the bidomain's second equation recovers the extracellular potential,

.. math:: -\nabla\cdot\bigl((\sigma_i+\sigma_e)\nabla\varphi_e\bigr) = \nabla\cdot(\sigma_i\nabla V),\qquad
    K\varphi_e = -K_i V .

With the functional :math:`\delta_a` of an electrode (the value at a point, the mean over a boundary) and that of its
reference, the lead field z of the pair solves :math:`K z = \delta_a - \delta_b` once: it is the potential of a unit
current that enters at a and leaves at b. As K is symmetric (reciprocity),

.. math:: \varphi_e(a) - \varphi_e(b) = z\cdot K\varphi_e = -(K_i z)\cdot V ,

a dot product per time in place of a solve, with the same result to the solver's tolerance.

Source
------
McFee, Johnston 1953, Circulation 8, 554, doi 10.1161/01.CIR.8.4.554. Bishop, Plank 2011, IEEE Trans. Biomed. Eng. 58,
2297, doi 10.1109/TBME.2011.2148718.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np
import ufl
from dolfinx import fem, la
from petsc4py import PETSc

from homfem.macro.conditions import Dirichlet
from homfem.macro.domain import Domain
from homfem.macro.leads import Leads
from homfem.macro.linear import EllipticSolver
from homfem.macro.linear_problem import LinearProblem
from homfem.macro.places import PointValues, locate, refuse_outside
from homfem.parameters import Array, InputError
from homfem.solve import assemble_matrix, assemble_vector, integrate

Electrode: TypeAlias = Sequence[float] | str
"""A point of the domain, or the name of a boundary."""

MEAN = "mean"
"""The reference that is the mean of the extracellular potential over the domain."""


class Recovery:
    """Recovers the extracellular potential; matrices and solver are set up once. Collective.

    Parameters
    ----------
    domain
        The tissue, and a bath where there is one.
    space
        The scalar Lagrange space of V.
    intracellular, extracellular
        The conductivities as :func:`homfem.macro.coefficients.tensor_coefficient` returns them, of one unit. In a bath
        the intracellular one is zero, and V has no meaning.
    grounded
        Boundaries where the potential is zero; without them its mean is zero.
    options
        Of :class:`homfem.solve.LinearSolver`, such as ``preconditioner="direct"``: factors, made once.

    Raises
    ------
    InputError
        For an unknown boundary.

    Example
    -------
    ``recovery = Recovery(heart, space, intracellular=si, extracellular=se)``, then
    ``phi_e = recovery(V.x.array[:owned])`` at some time, or ``recovery.leads({"E1": (1, 2, 3), "E2": (4, 2, 3)})`` for
    a :class:`homfem.macro.leads.LeadSeries`: unipolar electrograms.
    """

    def __init__(
        self,
        domain: Domain,
        space: fem.FunctionSpace,
        *,
        intracellular: Any,
        extracellular: Any,
        grounded: Sequence[str] = (),
        **options: Any,
    ) -> None:
        self.domain, self.space, self.grounded = domain, space, tuple(grounded)
        u, v = ufl.TrialFunction(space), ufl.TestFunction(space)
        dx = ufl.dx(domain=domain.mesh)
        self._source = assemble_matrix(ufl.inner(intracellular * ufl.grad(u), ufl.grad(v)) * dx)
        problem = LinearProblem(
            domain=domain,
            space=space,
            coefficient=intracellular + extracellular,
            conditions=[Dirichlet(boundary=name, value=0.0) for name in self.grounded],
            name="extracellular potential",
        )
        self._solver = EllipticSolver(problem, **options)
        self._v, self._load = self._source.createVecRight(), self._source.createVecLeft()
        self._size = self._source.norm(PETSc.NormType.INFINITY)
        diagonal = self._source.getDiagonal()
        self._counts = diagonal.array_r != 0.0
        diagonal.destroy()
        self.iterations = 0

    def __call__(self, values: Array) -> fem.Function:
        """Return the extracellular potential for the owned values of V, in the unit of V; collective.

        Values in a bath, such as NaN, do not count.

        Raises
        ------
        ConvergenceError
            If the solver does not converge.
        """
        phi = fem.Function(self.space, name="phi_e")
        self._v.array[:] = np.where(self._counts, values, 0.0)
        self._source.mult(self._v, self._load)
        self._load.scale(-1.0)
        # V that is the same everywhere drives nothing but round-off, which does not balance.
        noise = 1e-14 * self._size * self._v.norm(PETSc.NormType.INFINITY)
        if self._load.norm(PETSc.NormType.INFINITY) > noise:
            self.iterations += self._solver.solve(phi.x.petsc_vec, more=self._load)
        phi.x.scatter_forward()
        return phi

    def leads(self, electrodes: Mapping[str, Electrode], *, reference: str | None = None) -> Leads:
        """Return the vectors of electrodes, a solve each; collective.

        Parameters
        ----------
        electrodes
            Points of the domain, or names of boundaries (their mean), by name.
        reference
            An electrode, which has no lead of its own then; ``"mean"``: the mean over the domain. None: the mean, or
            the ground if there are grounded boundaries.

        Raises
        ------
        InputError
            For a point outside, an unknown boundary or reference, and a grounded boundary as an electrode.
        """
        functionals = self._functionals(electrodes)
        names = [name for name in electrodes if name != reference]
        if not names:
            raise InputError("electrodes", list(electrodes), "at least one beside the reference")
        other = None
        if reference == MEAN or (reference is None and not self.grounded):
            other = self._solver.weights.array_r / self._solver.weights.sum()
        elif reference is not None:
            if reference not in functionals:
                raise InputError("reference", reference, f"'mean', or one of {list(electrodes)}")
            other = functionals[reference]
        weights = np.zeros((len(names), self._v.getLocalSize()))
        field = self._source.createVecRight()
        for row, name in enumerate(names):
            self._load.array[:] = functionals[name] if other is None else functionals[name] - other
            field.set(0.0)
            self.iterations += self._solver.solve(field, more=self._load)
            self._source.mult(field, self._v)
            weights[row] = -self._v.array_r
        field.destroy()
        return Leads(comm=self.domain.comm, names=tuple(names), weights=weights)

    def _functionals(self, electrodes: Mapping[str, Electrode]) -> dict[str, Array]:
        """Return the functional of each electrode, on the owned nodes; collective."""
        d = self.domain.dimension
        points = {}
        for name, at in electrodes.items():
            if name == MEAN:
                raise InputError("electrodes", name, "another name: this one is that of a reference")
            if isinstance(at, str):
                self.domain.boundary(at, f"electrodes[{name!r}]")
                if at in self.grounded:
                    raise InputError(f"electrodes[{name!r}]", at, "a boundary that is not grounded")
                continue
            point = np.asarray(at, dtype=np.float64)
            if point.shape not in ((d,), (3,)) or not np.all(np.isfinite(point)) or point[d:].any():
                raise InputError(f"electrodes[{name!r}]", at, f"{d} finite coordinates, or the name of a boundary")
            points[name] = np.append(point, np.zeros(3 - point.size))
        found = self._at_points(points) if points else {}
        test = ufl.TestFunction(self.space)
        for name, at in electrodes.items():
            if isinstance(at, str):
                ds = self.domain.ds(at)
                vector = assemble_vector(test * ds)
                area = integrate(fem.Constant(self.domain.mesh, 1.0) * ds)
                found[name] = vector.array_r / area
                vector.destroy()
        return found

    def _at_points(self, points: Mapping[str, Array]) -> dict[str, Array]:
        mesh, comm = self.domain.mesh, self.domain.comm
        at = np.array([*points.values()])
        cells = locate(mesh, at)
        everyones = [any(held) for held in zip(*comm.allgather((cells >= 0).tolist()), strict=True)]
        named = {f"electrodes: {name}": point for name, point in points.items()}
        refuse_outside([mesh], named, everyones, self.domain.unit)
        values = PointValues.of(self.space, at, cells)
        found = {}
        for number, name in enumerate(points):
            delta = la.vector(self.space.dofmap.index_map, 1, dtype=np.float64)
            delta.array[:] = 0.0
            for row in np.flatnonzero(values.rows == number):
                delta.array[values.dofs[row]] = values.weights[row, :, 0]
            delta.scatter_reverse(la.InsertMode.add)
            found[name] = delta.array[: self.space.dofmap.index_map.size_local].copy()
        return found
