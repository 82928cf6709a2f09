"""The options of PETSc that the solvers share."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
from mpi4py import MPI
from petsc4py import PETSc

from homfem.parameters import check_choice

_serial = itertools.count()

#: Steps of the estimates of a smoother's largest eigenvalue. The noise that they start from is small where the matrix
#: is large: at a contrast of 1e6 ten steps see too little of it, and the preconditioner is indefinite then.
ESTIMATES = 20
#: Entries of the largest matrix that a direct solver takes over where the others have failed.
DIRECT = 3_000_000
#: Entries of the largest matrix whose unknowns MUMPS orders by approximate minimum fill, by dimension. Its own choice
#: beyond 10,000 unknowns is nested dissection, which takes two to five times as long in the plane as all that this one
#: needs (a flow with 104,000 unknowns of degree 4: .36 s for .66; with 1.5 million: 8.8 s for 12.9), up to twice in
#: space, and pays only where the matrix is large.
QUICK_ORDER = {2: 100_000_000, 3: 1_500_000}
#: Entries of the largest matrix of a cell for which a direct solver goes first, by dimension: it is up to five times as
#: fast as multigrid there (two or three right-hand sides). In space it is as fast at this size; in the plane cell
#: problems of diffusion took 1.6 (degree 1), 1.7 (2) and 3 times (4) as long by multigrid with a million entries.
DIRECT_FIRST = {2: 1_500_000, 3: 100_000}
#: The same of correctors, whose fields are continuous: in the plane those of diffusion took 1.6 to 1.8 times (degree 1
#: and 2, up to 6.8 million entries) and 2.9 times (4, ten million) as long by multigrid.
DIRECT_CORRECTORS = {2: 10_000_000, 3: 100_000}
#: Unknowns of the largest saddle point of a cell for which a direct solver goes first, by dimension. In space all loads
#: at once took half the time of factors with 20,000 unknowns, a third with 64,000 (spheres of degree 2). In the
#: plane factors are faster at any size (64 fibres: .22 s for 2.8 with 81,000 unknowns of degree 2; 1.3 s for 25 with
#: 380,000 of degree 4), and with 1.5 million they take 9 s and 3.2 GB.
DIRECT_SADDLE = {2: 1_500_000, 3: 6_000}
#: The same of a pressure that is discontinuous and of a higher degree than 0 (Scott and Vogelius): iterations are three
#: to ten times as many there. In space factors took 3.6 s with 149,000 unknowns (all loads at once 38) and 7.3 s and
#: 1.9 GB with 518,000.
DIRECT_BROKEN = {2: 1_500_000, 3: 600_000}

MULTIGRID = {
    # Smoothed aggregation; the smoother is symmetric, as conjugate gradients need it.
    "pc_type": "gamg",
    "pc_gamg_type": "agg",
    "pc_gamg_agg_nsmooths": 1,
    "pc_gamg_threshold": 0.02,
    "pc_gamg_coarse_eq_limit": 200,  # singular values of 500 unknowns take longer than all the rest of a small set-up
    "pc_gamg_esteig_ksp_max_it": ESTIMATES,
    "mg_levels_ksp_type": "chebyshev",
    "mg_levels_ksp_chebyshev_esteig_steps": ESTIMATES,
    "mg_levels_ksp_max_it": 2,
    "mg_levels_pc_type": "jacobi",
    "mg_coarse_pc_type": "redundant",
    "mg_coarse_redundant_pc_type": "svd",
}

PRECONDITIONERS: dict[str, dict[str, Any]] = {
    "multigrid": MULTIGRID,
    "ssor": {"pc_type": "sor", "pc_sor_local_symmetric": None},
    "jacobi": {"pc_type": "jacobi"},
    # Of what each rank has of the matrix.
    "incomplete-cholesky": {
        "pc_type": "bjacobi",
        "sub_pc_type": "icc",
        "sub_pc_factor_shift_type": "positive_definite",
    },
    # The diagonal blocks whose sizes the matrix has been told (setVariableBlockSizes), inverted.
    "nodal-blocks": {"pc_type": "vpbjacobi"},
    "none": {"pc_type": "none"},
    # Overlapping subdomains, incomplete factors in each: holds where convection is strong, and needs no symmetry.
    "incomplete-factors": {"pc_type": "asm", "sub_pc_type": "ilu", "sub_pc_factor_levels": 2},
    "direct": {
        "pc_type": "cholesky",
        "pc_factor_mat_solver_type": "mumps",
        "mat_mumps_icntl_12": 1,  # no matching before the ordering: it took half of the set-up of a saddle point
        "mat_mumps_icntl_24": 1,
        "mat_mumps_icntl_14": 300,  # pivots that are put off at high contrast take several times what is foreseen
    },
}


SMOOTHERS: dict[str, dict[str, Any]] = {
    "ssor": {"mg_levels_pc_type": "sor", "mg_levels_pc_sor_local_symmetric": None},
    "incomplete-cholesky": {
        "mg_levels_pc_type": "bjacobi",
        "mg_levels_sub_pc_type": "icc",
        "mg_levels_sub_pc_factor_shift_type": "positive_definite",
    },
}
#: On the aggregated levels too, and with one level of fill: without it pairs that stiff terms tie come apart.
SMOOTHERS["incomplete-cholesky-throughout"] = SMOOTHERS["incomplete-cholesky"] | {"mg_levels_sub_pc_factor_levels": 1}


#: Smoothers of the aggregation. On the extracellular potential of a slab, from a start value, to 1e-4, symmetric sweeps
#: took 3 iterations and as much time as 3.5 Chebyshev iterations, incomplete Cholesky factors 2, and 0.55 to 0.7 of it.
#: Both depend on the ranks: each takes what it has of the matrix. The factors are indefinite for some matrices.
RELAXATIONS: dict[str, dict[str, Any]] = {
    "chebyshev": {},
    "sweeps": {
        "mg_levels_ksp_type": "richardson",
        "mg_levels_ksp_max_it": 1,
        "mg_levels_pc_type": "sor",
        "mg_levels_pc_sor_local_symmetric": None,
    },
    "incomplete-cholesky": {
        "pc_gamg_aggressive_coarsening": 2,
        "mg_levels_ksp_type": "richardson",
        "mg_levels_ksp_max_it": 1,
        **SMOOTHERS["incomplete-cholesky"],
    },
}


REASONS = {
    -3: "too many iterations",
    -4: "diverged",
    -5: "breakdown",
    -8: "the preconditioner is indefinite",
    -9: "not a number",
    -10: "the matrix is indefinite",
    -11: "the preconditioner failed",
}


def stopped(name: str, method: str, iterations: int, reason: int, residual: float) -> str:
    """Return the beginning of the message about a solve that did not converge."""
    return (
        f"{name}: {method} stopped after {iterations} iterations with PETSc reason {reason} "
        f"({REASONS.get(reason, 'see KSPConvergedReason')}), residual {residual:.3e}"
    )


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Coarse:
    """What multigrid needs beside the matrix.

    Parameters
    ----------
    prolongations
        Matrices from a coarser to the next finer space, coarsest first: p-multigrid with Galerkin products, and
        aggregation below the coarsest. Empty: aggregation alone.
    near_kernel
        Orthonormal vectors that coarse grids must represent: of the coarsest space where there are prolongations.
    """

    prolongations: Sequence[PETSc.Mat] = ()
    near_kernel: Sequence[PETSc.Vec] = ()


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Multigrid:
    """Multigrid as a preconditioner, and what is tried before and after it.

    Parameters
    ----------
    coarse
        What it needs beside the matrix, or a function that makes it when multigrid is set up (collective).
    smoother
        Of the p-multigrid: ``"ssor"``, which stays good on stretched meshes, or ``"incomplete-cholesky"``, which is
        up to twice as fast on the fluxes of :mod:`homfem.local.flux` and several times slower on stretched Lagrange
        elements; or ``"incomplete-cholesky-throughout"``, on the aggregated levels as well, which copes with unknowns
        that stiff terms tie in pairs. Several: in the order in which they are tried.
    relaxation
        Of the aggregation, where there is no p-multigrid: ``"chebyshev"``, ``"sweeps"`` or ``"incomplete-cholesky"``
        (:data:`RELAXATIONS`). Several: in the order in which they are tried.
    direct_first
        Entries up to which a direct solver goes first.
    dimension
        Of the mesh: how the unknowns are ordered for factors.

    Raises
    ------
    InputError
        For an unknown smoother or relaxation.
    """

    coarse: Coarse | Callable[[], Coarse] = Coarse()
    smoother: str | Sequence[str] = "ssor"
    relaxation: str | Sequence[str] = "chebyshev"
    direct_first: int = 0
    dimension: int = 3

    def __post_init__(self) -> None:
        for one in self.relaxations:
            check_choice("relaxation", one, tuple(RELAXATIONS))
        for one in self.smoothers:
            check_choice("smoother", one, tuple(SMOOTHERS))

    @property
    def smoothers(self) -> tuple[str, ...]:
        """Those that are tried, in their order."""
        return (self.smoother,) if isinstance(self.smoother, str) else tuple(self.smoother)

    @property
    def relaxations(self) -> tuple[str, ...]:
        """Those that are tried, in their order."""
        return (self.relaxation,) if isinstance(self.relaxation, str) else tuple(self.relaxation)


@dataclass(frozen=True, kw_only=True, slots=True)
class Direct:
    """Factors as a preconditioner, of a matrix on a mesh of this dimension: how the unknowns are ordered."""

    dimension: int = 3


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Kernel:
    """The kernel of a matrix: it is removed from every right-hand side and solution.

    Parameters
    ----------
    vectors
        Orthonormal vectors that span it.
    left
        Those of the transpose, where that has another one.
    constant
        Whether the constants are in it.
    """

    vectors: Sequence[PETSc.Vec] = ()
    left: Sequence[PETSc.Vec] = ()
    constant: bool = False


@contextmanager
def options_set(prefix: str, options: dict[str, Any]) -> Iterator[None]:
    """Set options for the duration of the block."""
    database = PETSc.Options()
    for key, value in options.items():
        database.setValue(prefix + key, value)
    try:
        yield
    finally:
        for key in options:
            database.delValue(prefix + key)


@contextmanager
def held(matrix: PETSc.Mat, kernel: PETSc.Vec | None) -> Iterator[None]:
    r"""Hold an unknown of a singular symmetric matrix for the duration of the block, by its diagonal; collective.

    With :math:`Ak=0` and :math:`k_i\ne0` the solution of :math:`(A+te_ie_i^T)x=b` solves :math:`Ax=b` for every t
    where b is orthogonal to k, and has :math:`x_i=0`.

    Parameters
    ----------
    matrix
        A.
    kernel
        k, all of its kernel; nothing is done without.
    """
    if kernel is None:
        yield
        return
    size = kernel.copy()
    size.abs()
    place, _ = size.max()
    size.destroy()
    first, last = matrix.owner_range
    own = first <= place < last
    before = float(matrix.getValue(place, place)) if own else 0.0
    change = np.copysign(matrix.norm(PETSc.NormType.INFINITY), before or -1.0)
    matrix.setOption(PETSc.Mat.Option.NEW_NONZERO_ALLOCATION_ERR, False)

    def put(value: float) -> None:
        if own:
            matrix.setValue(place, place, value)
        matrix.assemble()

    put(before + change)
    try:
        yield
    finally:
        put(before)


def new_prefix() -> str:
    """Return a prefix of options that no other solver has."""
    return f"homfem_{next(_serial)}_"


def null_space(matrix: PETSc.Mat, kernel: Kernel) -> PETSc.NullSpace | None:
    """Give a matrix its kernel, and that of its transpose if it is another one; None without one."""
    if not (kernel.constant or kernel.vectors):
        return None
    null = PETSc.NullSpace().create(constant=kernel.constant, vectors=list(kernel.vectors), comm=matrix.comm)
    matrix.setNullSpace(null)
    other = PETSc.NullSpace().create(vectors=list(kernel.left), comm=matrix.comm) if kernel.left else null
    matrix.setTransposeNullSpace(other)
    if kernel.left:
        other.destroy()  # the matrix holds it
    return null


def options_of(
    preconditioner: str, prolonged: bool, smoother: str, matrix: PETSc.Mat, steps: int = 1, dimension: int = 3
) -> dict[str, Any]:
    """Return the options of a preconditioner for a matrix; p-multigrid if there are prolongations; collective.

    ``steps`` of the smoother before and after. One instead of two takes a sixth to two thirds more iterations (the
    latter on stretched meshes) at little more than half the cost.
    """
    if preconditioner == "direct" and entries(matrix) <= QUICK_ORDER[dimension]:
        return PRECONDITIONERS["direct"] | {"mat_mumps_icntl_7": 2}
    if preconditioner != "multigrid":
        return dict(PRECONDITIONERS[preconditioner])
    # PETSc takes singular values of the coarsest matrix for zero below an absolute number.
    aggregation = MULTIGRID | {
        "mg_coarse_redundant_pc_svd_zero_sing": 1e-13 * matrix.norm(PETSc.NormType.INFINITY),
    }
    if smoother == "incomplete-cholesky-throughout":
        aggregation |= SMOOTHERS[smoother]
    if not prolonged:
        return aggregation
    return {
        "pc_type": "mg",
        "mg_levels_ksp_type": "chebyshev",
        "mg_levels_ksp_chebyshev_esteig_steps": ESTIMATES,
        "mg_levels_ksp_max_it": steps,
        **SMOOTHERS[smoother],
        "mg_coarse_ksp_type": "preonly",
        **{f"mg_coarse_{key}": value for key, value in aggregation.items()},
    }


def interpolate(
    pc: PETSc.PC, preconditioner: str, prolongations: Sequence[PETSc.Mat], near_kernel: Sequence[PETSc.Vec] = ()
) -> dict[str, Any]:
    """Give p-multigrid its levels; return the options that follow from it.

    With a near-kernel of the coarsest space the Galerkin products are made here, once: made by PETSc they would reach
    the aggregation without it.
    """
    if not prolongations or preconditioner != "multigrid":
        return {}
    pc.setType("mg")
    pc.setMGLevels(len(prolongations) + 1)
    for level, prolongation in enumerate(prolongations, start=1):
        pc.setMGInterpolation(level, prolongation)
    if not near_kernel:
        return {"pc_mg_galerkin": "both"}
    matrix = pc.getOperators()[1]
    for level in range(len(prolongations) - 1, -1, -1):
        matrix = matrix.ptap(prolongations[level])
        matrix.setOption(PETSc.Mat.Option.SYMMETRIC, True)
        pc.getMGSmoother(level).setOperators(matrix)
    set_near_kernel(matrix, near_kernel)
    return {"pc_mg_galerkin": "none"}


def set_near_kernel(matrix: PETSc.Mat, near_kernel: Sequence[PETSc.Vec]) -> None:
    """Give a matrix the vectors that the coarse grids of its aggregation must represent."""
    near = PETSc.NullSpace().create(vectors=list(near_kernel), comm=matrix.comm)
    matrix.setNearNullSpace(near)
    near.destroy()  # the matrix holds it


def free_unused(*comms: MPI.Comm) -> None:
    """Free the objects of PETSc on these communicators that Python has let go of on every rank; collective.

    On several ranks they are kept until then: to free one is collective, and Python lets go at any time.
    """
    for comm in comms:
        if comm.size > 1:
            PETSc.garbage_cleanup(comm)


def cheap(matrix: PETSc.Mat) -> bool:
    """Whether a direct solver serves a matrix at little cost; collective."""
    if matrix.getType() == "nest":
        rows, columns = matrix.getNestSize()
        blocks = [matrix.getNestSubMatrix(i, j) for i in range(rows) for j in range(columns)]
        return sum(entries(block) for block in blocks if block) <= DIRECT
    return entries(matrix) <= DIRECT


def entries(matrix: PETSc.Mat) -> int:
    """Return the number of entries that a matrix stores, over all ranks; collective."""
    return int(matrix.getInfo(PETSc.Mat.InfoType.GLOBAL_SUM)["nz_used"])


def symmetric_part(matrix: PETSc.Mat) -> PETSc.Mat:
    """Return half of the sum of a matrix and its transpose; collective."""
    transposed = matrix.transpose(PETSc.Mat())
    result = matrix.copy()
    result.axpy(1.0, transposed)
    result.scale(0.5)
    result.setOption(PETSc.Mat.Option.SYMMETRIC, True)
    transposed.destroy()
    return result
