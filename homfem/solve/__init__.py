"""Checked linear solves, assembly and global integrals.

The only package besides :mod:`homfem.periodic` that names PETSc options. A solver that does not reach its tolerance
raises; a matrix is set up once and then serves any number of right-hand sides.
"""

from homfem.solve.blocks import Block, BlockSolver, find_kernel, product_noise, round_off
from homfem.solve.columns import Componentwise, repeated
from homfem.solve.eigen import Eigenpairs, nearest_eigenpairs, negative_eigenvalues
from homfem.solve.factors import Factors, multiply, summed, work_of_factors
from homfem.solve.forms import (
    JIT_OPTIONS,
    Terminals,
    assemble_matrix,
    assemble_vector,
    compile_form,
    compile_formula,
    compile_formulas,
    function_space,
    integral,
    integrals,
    integrate,
    reassemble_matrix,
    volume,
)
from homfem.solve.linear import LARGEST, LinearSolver, solve_with
from homfem.solve.numbering import MeshNumbering, Numbering
from homfem.solve.options import (
    DIRECT_BROKEN,
    DIRECT_CORRECTORS,
    DIRECT_FIRST,
    DIRECT_SADDLE,
    Coarse,
    Direct,
    Kernel,
    Multigrid,
    cheap,
    entries,
    free_unused,
)
from homfem.solve.routes import Blocks, fingerprint, positions
from homfem.solve.stacked import StackedSolver
from homfem.solve.streamline import StreamlineSolver
from homfem.solve.successive import Successive
from homfem.solve.vertices import input_vertices, nodal_fingerprint

__all__ = [
    "DIRECT_BROKEN",
    "DIRECT_CORRECTORS",
    "DIRECT_FIRST",
    "DIRECT_SADDLE",
    "JIT_OPTIONS",
    "LARGEST",
    "Block",
    "BlockSolver",
    "Blocks",
    "Coarse",
    "Componentwise",
    "Direct",
    "Eigenpairs",
    "Factors",
    "Kernel",
    "LinearSolver",
    "MeshNumbering",
    "Multigrid",
    "Numbering",
    "StackedSolver",
    "StreamlineSolver",
    "Successive",
    "Terminals",
    "assemble_matrix",
    "assemble_vector",
    "cheap",
    "compile_form",
    "compile_formula",
    "compile_formulas",
    "entries",
    "find_kernel",
    "fingerprint",
    "free_unused",
    "function_space",
    "input_vertices",
    "integral",
    "integrals",
    "integrate",
    "multiply",
    "nearest_eigenpairs",
    "negative_eigenvalues",
    "nodal_fingerprint",
    "positions",
    "product_noise",
    "reassemble_matrix",
    "repeated",
    "round_off",
    "solve_with",
    "summed",
    "volume",
    "work_of_factors",
]
