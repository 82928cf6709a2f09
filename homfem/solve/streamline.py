r"""GMRES for diffusion and convection, with p-multigrid that a diffusion along the streamlines holds up.

The matrix :math:`A=K+C` of elements of a higher degree on the linear ones below them. Where the mesh is coarse for the
flow, neither the coarse matrix nor incomplete factors of A can be trusted: both are those of a matrix with a diffusion
along the streamlines, :math:`S(u,w)=\int\frac{h}{|b|}(b\cdot\nabla u)(b\cdot\nabla w)`, of which the smoother takes a
little and the coarse matrix as much as upwinding would. It is in the preconditioner alone: what is solved is A.

The coarse matrix takes constants to zero: factors of it as it is give a huge constant now and then, and what it leaves
of the digits made iterations 60 and 140 where 10 and 30 are enough. A shift of :data:`SHIFT` of its diagonal is all
that this takes.

Source: Brooks, Hughes 1982, doi 10.1016/0045-7825(82)90071-8 (diffusion along streamlines).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from petsc4py import PETSc

from homfem.parameters import ConvergenceError
from homfem.solve.options import Kernel, new_prefix, null_space, options_set, stopped

#: How much of S the smoother and the coarse matrix have.
SMOOTHER, COARSE = 0.1, 0.5
#: What is added to the diagonal of the coarse matrix, relative to it.
SHIFT = 1e-7
OPTIONS: dict[str, Any] = {
    "ksp_type": "fgmres",
    "ksp_gmres_restart": 60,
    "pc_mg_galerkin": "none",
    "mg_levels_ksp_type": "gmres",
    "mg_levels_ksp_max_it": 3,
    "mg_levels_pc_type": "bjacobi",
    "mg_levels_sub_pc_type": "ilu",
    "mg_coarse_ksp_type": "preonly",
    "mg_coarse_pc_type": "lu",
    "mg_coarse_pc_factor_mat_solver_type": "mumps",
    "mg_coarse_mat_mumps_icntl_14": 100,
}


class StreamlineSolver:
    r"""A matrix of diffusion and convection that is set up once and solved for any number of right-hand sides.

    Parameters
    ----------
    matrix
        A; constants, or those of each part, are the kernel of it and of its transpose.
    along
        S, with the scale that the velocity has in A.
    prolongation
        From the linear elements.
    rtol
        A solution has :math:`\|b-Ax\|_2\le\mathrm{rtol}\,\|b\|_2`: the true residual.
    max_iterations
        Of each right-hand side.
    kernel
        Orthonormal vectors that span it.
    name
        For messages.
    """

    def __init__(
        self,
        matrix: PETSc.Mat,
        along: PETSc.Mat,
        prolongation: PETSc.Mat,
        *,
        rtol: float = 1e-10,
        max_iterations: int = 500,
        kernel: Sequence[PETSc.Vec] = (),
        name: str = "linear system",
    ) -> None:
        self.matrix, self.name, self.iterations, self.solves = matrix, name, 0, 0
        self._rtol, self._max_iterations = rtol, max_iterations
        self._null = null_space(matrix, Kernel(vectors=kernel))
        self._smooth = _sum(matrix, SMOOTHER, along)
        held = _sum(matrix, COARSE, along)
        self._coarse = held.ptap(prolongation)
        held.destroy()
        diagonal = self._coarse.getDiagonal()
        diagonal.scale(1.0 + SHIFT)
        self._coarse.setDiagonal(diagonal)
        diagonal.destroy()
        self.ksp = PETSc.KSP().create(matrix.comm)
        prefix = new_prefix()
        self.ksp.setOptionsPrefix(prefix)
        self.ksp.setOperators(matrix)
        pc = self.ksp.getPC()
        pc.setType("mg")
        pc.setMGLevels(2)
        pc.setMGInterpolation(1, prolongation)
        pc.getMGCoarseSolve().setOperators(self._coarse)
        pc.getMGSmoother(1).setOperators(matrix, self._smooth)
        try:
            with options_set(prefix, OPTIONS):
                self.ksp.setFromOptions()
                self.ksp.setUp()
        except PETSc.Error as error:  # a pivot that is zero
            words = " ".join(str(error).split())[-120:]
            raise ConvergenceError(f"{name}: multigrid cannot be set up (...{words}).") from error

    def solve(self, b: PETSc.Vec, x: PETSc.Vec) -> int:
        """Solve for one right-hand side from a zero start; its component in the kernel is removed; collective.

        Raises
        ------
        ConvergenceError
            On every rank, if the tolerance was not reached.
        """
        if self._null is not None:
            self._null.remove(b)
        wanted, rest, more = self._rtol * b.norm(), b.copy(), b.duplicate()
        x.set(0.0)
        used, residual, before = 0, rest.norm(), float("inf")
        reason = 0
        while residual > wanted and used < self._max_iterations and residual < 0.5 * before:
            before = residual
            self.ksp.setTolerances(rtol=1e-14, atol=0.8 * wanted, max_it=self._max_iterations - used)
            self.ksp.solve(rest, more)
            reason = self.ksp.getConvergedReason()
            used += self.ksp.getIterationNumber()
            x.axpy(1.0, more)
            if self._null is not None:
                self._null.remove(x)
            self.matrix.mult(x, rest)
            rest.aypx(-1.0, b)
            residual = rest.norm()
        for vector in (rest, more):
            vector.destroy()
        if not residual <= wanted:
            words = stopped(self.name, "fgmres", used, reason, residual)
            raise ConvergenceError(f"{words} where {wanted:.3e} was asked for.")
        self.iterations += used
        self.solves += 1
        return int(used)

    def destroy(self) -> None:
        """Free the solver's PETSc objects (collective); the matrices stay the caller's."""
        for thing in (self.ksp, self._smooth, self._coarse, self._null):
            if thing is not None:
                thing.destroy()


def _sum(matrix: PETSc.Mat, part: float, other: PETSc.Mat) -> PETSc.Mat:
    made = matrix.copy()
    made.axpy(part, other)
    return made
