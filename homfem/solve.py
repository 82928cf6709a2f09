"""Checked linear solves, assembly, global integrals and errors that reach every rank.

The only module besides :mod:`homfem.periodic` that names PETSc options. A solver that does not reach its tolerance
raises; a matrix is set up once and then serves any number of right-hand sides.
"""

from __future__ import annotations

import itertools
import logging
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import dolfinx.fem.petsc
import ufl
from dolfinx import fem
from mpi4py import MPI
from petsc4py import PETSc

from homfem.parameters import ConvergenceError, HomfemError, check_choice, check_integer, check_number

log = logging.getLogger("homfem")

#: Passed to every form: another rank or run may hold the lock of the compiled-form cache for a while.
JIT_OPTIONS: dict[str, Any] = {"timeout": 600}

_serial = itertools.count()

_MULTIGRID = {
    # Smoothed aggregation; the smoother is symmetric, as conjugate gradients need it.
    "pc_type": "gamg",
    "pc_gamg_type": "agg",
    "pc_gamg_agg_nsmooths": 1,
    "pc_gamg_threshold": 0.02,
    "pc_gamg_coarse_eq_limit": 500,
    "mg_levels_ksp_type": "chebyshev",
    "mg_levels_ksp_max_it": 2,
    "mg_levels_pc_type": "jacobi",
    "mg_coarse_pc_type": "redundant",
    "mg_coarse_redundant_pc_type": "svd",
}

_PRECONDITIONERS: dict[str, dict[str, Any]] = {
    "multigrid": _MULTIGRID,
    "ssor": {"pc_type": "sor", "pc_sor_local_symmetric": None},
    "jacobi": {"pc_type": "jacobi"},
    "none": {"pc_type": "none"},
    "direct": {
        "pc_type": "cholesky",
        "pc_factor_mat_solver_type": "mumps",
        "mat_mumps_icntl_24": 1,
        "mat_mumps_icntl_14": 50,
    },
}


_SMOOTHERS: dict[str, dict[str, Any]] = {
    "ssor": {"mg_levels_pc_type": "sor", "mg_levels_pc_sor_local_symmetric": None},
    "incomplete-cholesky": {
        "mg_levels_pc_type": "bjacobi",
        "mg_levels_sub_pc_type": "icc",
        "mg_levels_sub_pc_factor_shift_type": "positive_definite",
    },
}


class LinearSolver:
    r"""A linear system that is set up once and solved for many right-hand sides, :math:`A x = b`.

    Parameters
    ----------
    matrix
        An assembled PETSc matrix, symmetric and positive (semi-)definite for ``method="cg"``.
    method
        ``"cg"`` (conjugate gradients) or ``"minres"``; ignored by ``preconditioner="direct"``.
    preconditioner
        ``"multigrid"`` (smoothed aggregation), ``"ssor"``, ``"jacobi"``, ``"none"`` or ``"direct"`` (MUMPS).
    rtol, atol
        The solve ends when :math:`\|b-Ax\|_2\le\max(\mathrm{rtol}\,\|b\|_2,\mathrm{atol})`: the true residual, not
        the preconditioned one.
    max_iterations
        Raise :class:`ConvergenceError` beyond this many.
    constant_kernel
        The constants are in the kernel of ``matrix``: they are removed from every right-hand side and solution.
    kernel, near_kernel
        Vectors that span the kernel (orthonormal), and the near-kernel that coarse grids must represent.
    prolongations
        Matrices from a coarser to the next finer space, coarsest first: p-multigrid with Galerkin products, and
        aggregation below the coarsest. Empty: aggregation alone.
    smoother
        Of the p-multigrid: ``"ssor"``, which stays good on stretched meshes, or ``"incomplete-cholesky"``, which is
        up to twice as fast on the fluxes of :mod:`homfem.local.flux` and several times slower on stretched Lagrange
        elements.
    name
        For messages.

    Raises
    ------
    InputError
        For an unknown method or a tolerance out of range.
    """

    def __init__(
        self,
        matrix: PETSc.Mat,
        *,
        method: str = "cg",
        preconditioner: str = "multigrid",
        rtol: float = 1e-10,
        atol: float = 0.0,
        max_iterations: int = 500,
        constant_kernel: bool = False,
        kernel: Sequence[PETSc.Vec] = (),
        near_kernel: Sequence[PETSc.Vec] = (),
        prolongations: Sequence[PETSc.Mat] = (),
        smoother: str = "ssor",
        name: str = "linear system",
    ) -> None:
        check_choice("method", method, ("cg", "minres"))
        check_choice("preconditioner", preconditioner, tuple(_PRECONDITIONERS))
        check_choice("smoother", smoother, tuple(_SMOOTHERS))
        check_number("rtol", rtol, at_least=0.0, below=1.0)
        check_number("atol", atol, at_least=0.0)
        check_integer("max_iterations", max_iterations, at_least=1)
        start = time.perf_counter()
        self.matrix, self.name, self.iterations, self.solves = matrix, name, 0, 0
        self._null = None
        if constant_kernel or kernel:
            self._null = PETSc.NullSpace().create(constant=constant_kernel, vectors=list(kernel), comm=matrix.comm)
            matrix.setNullSpace(self._null)
            matrix.setTransposeNullSpace(self._null)
        if near_kernel:
            near = PETSc.NullSpace().create(vectors=list(near_kernel), comm=matrix.comm)
            matrix.setNearNullSpace(near)
            near.destroy()  # the matrix holds it
        elif self._null is not None:
            matrix.setNearNullSpace(self._null)
        self.ksp = PETSc.KSP().create(matrix.comm)
        self.ksp.setOperators(matrix)
        direct = preconditioner == "direct"
        options: dict[str, Any] = dict(_PRECONDITIONERS[preconditioner])
        if prolongations and preconditioner == "multigrid":
            coarse = {f"mg_coarse_{key}": value for key, value in _MULTIGRID.items()}
            options = {
                "pc_type": "mg",
                "pc_mg_galerkin": "both",
                "mg_levels_ksp_type": "chebyshev",
                "mg_levels_ksp_max_it": 2,
                **_SMOOTHERS[smoother],
                "mg_coarse_ksp_type": "preonly",
                **coarse,
            }
        options["ksp_type"] = "preonly" if direct else method
        prefix = f"homfem_{next(_serial)}_"
        self.ksp.setOptionsPrefix(prefix)
        matrix.setOption(PETSc.Mat.Option.SYMMETRIC, True)
        if not direct:
            self.ksp.setNormType(PETSc.KSP.NormType.UNPRECONDITIONED)
        self.ksp.setTolerances(rtol=rtol, atol=max(atol, 1e-300), max_it=max_iterations, divtol=1e30)
        if prolongations and preconditioner == "multigrid":
            pc = self.ksp.getPC()
            pc.setType("mg")
            pc.setMGLevels(len(prolongations) + 1)
            for level, prolongation in enumerate(prolongations, start=1):
                pc.setMGInterpolation(level, prolongation)
        with _options(prefix, options):
            self.ksp.setFromOptions()
            self.ksp.setUp()
        self.setup_seconds = time.perf_counter() - start

    def solve(self, b: PETSc.Vec, x: PETSc.Vec, guess: bool = False) -> int:
        """Solve for one right-hand side; collective.

        Parameters
        ----------
        b
            Right-hand side; its component in the kernel is removed in place.
        x
            Solution; the start value as well if ``guess`` is true.
        guess
            Start from ``x`` instead of zero; a direct solver has no use for it.

        Returns
        -------
        int
            Number of iterations.

        Raises
        ------
        ConvergenceError
            On every rank, if the tolerance was not reached.
        """
        if self._null is not None:
            self._null.remove(b)
        self.ksp.setInitialGuessNonzero(guess and self.ksp.getType() != PETSc.KSP.Type.PREONLY)
        self.ksp.solve(b, x)
        reason, count = self.ksp.getConvergedReason(), self.ksp.getIterationNumber()
        if reason <= 0:
            raise ConvergenceError(
                f"{self.name}: {self.ksp.getType()} stopped after {count} iterations with PETSc reason {reason} "
                f"({_REASONS.get(reason, 'see KSPConvergedReason')}), residual {self.ksp.getResidualNorm():.3e}. "
                "Check that every active phase is connected and every coefficient positive; "
                "then raise max_iterations or choose another preconditioner."
            )
        if self._null is not None:
            self._null.remove(x)
        self.iterations += count
        self.solves += 1
        return int(count)

    def destroy(self) -> None:
        """Free the solver's PETSc objects (collective); the matrix stays the caller's."""
        self.ksp.destroy()
        if self._null is not None:
            self._null.destroy()


_REASONS = {
    -3: "too many iterations",
    -4: "diverged",
    -5: "breakdown",
    -8: "the preconditioner is indefinite",
    -9: "not a number",
    -10: "the matrix is indefinite",
    -11: "the preconditioner failed",
}


@contextmanager
def _options(prefix: str, options: dict[str, Any]) -> Iterator[None]:
    database = PETSc.Options()
    for key, value in options.items():
        database.setValue(prefix + key, value)
    try:
        yield
    finally:
        for key in options:
            database.delValue(prefix + key)


def compile_form(form: Any, **arguments: Any) -> Any:
    """Compile a UFL form (or a nested list of them) with the project's compiler options."""
    return fem.form(form, jit_options=JIT_OPTIONS, **arguments)


def assemble_matrix(form: Any) -> PETSc.Mat:
    """Assemble a bilinear form (UFL or compiled) into a new PETSc matrix; collective."""
    compiled = form if isinstance(form, fem.Form) else compile_form(form)
    matrix = dolfinx.fem.petsc.create_matrix(compiled)
    return reassemble_matrix(matrix, compiled)


def reassemble_matrix(matrix: PETSc.Mat, compiled: fem.Form) -> PETSc.Mat:
    """Assemble a compiled bilinear form into a matrix that :func:`assemble_matrix` made from it; collective."""
    matrix.zeroEntries()
    dolfinx.fem.petsc.assemble_matrix(matrix, compiled)
    matrix.assemble()
    return matrix


def assemble_vector(form: Any) -> PETSc.Vec:
    """Assemble a linear form (UFL or compiled) into a new PETSc vector, ghosts added to their owners; collective."""
    compiled = form if isinstance(form, fem.Form) else compile_form(form)
    vector = dolfinx.fem.petsc.assemble_vector(compiled)
    vector.ghostUpdate(addv=PETSc.InsertMode.ADD, mode=PETSc.ScatterMode.REVERSE)
    return vector


def reassemble_vector(vector: PETSc.Vec, compiled: fem.Form) -> PETSc.Vec:
    """Assemble a compiled linear form into an existing vector; collective."""
    with vector.localForm() as local:
        local.set(0.0)
    dolfinx.fem.petsc.assemble_vector(vector, compiled)
    vector.ghostUpdate(addv=PETSc.InsertMode.ADD, mode=PETSc.ScatterMode.REVERSE)
    return vector


def integral(form: ufl.Form) -> Callable[[], float]:
    """Compile a functional once; the callable returned gives its global value each time (collective)."""
    compiled = compile_form(form)
    comm = compiled.mesh.comm

    def value() -> float:
        return float(comm.allreduce(fem.assemble_scalar(compiled), op=MPI.SUM))

    return value


def integrate(form: ufl.Form) -> float:
    """Return the global value of a functional on every rank (collective)."""
    return integral(form)()


@contextmanager
def collective(comm: MPI.Comm) -> Iterator[None]:
    """Raise on every rank what one rank raised inside.

    The body must not communicate: a rank that fails would leave the others waiting. An error of homfem reaches the
    other ranks as it is, any other, and one that holds what cannot be sent, as a :class:`HomfemError` with its text.
    """
    mine: BaseException | None = None
    try:
        yield
    except Exception as error:  # noqa: BLE001 - handed on below, on every rank
        mine = error
    shared = mine if isinstance(mine, HomfemError) or mine is None else HomfemError(f"{type(mine).__name__}: {mine}")
    try:
        MPI.pickle.dumps(shared)
    except Exception:  # noqa: BLE001 - pickle raises what the object pleases; an error must not hang the other ranks
        shared = HomfemError(str(mine))
    errors = [error for error in comm.allgather(shared) if error is not None]
    if mine is not None:
        raise mine
    if errors:
        raise errors[0]
