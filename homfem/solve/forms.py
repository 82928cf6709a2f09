"""Forms compiled with the project's options, assembled, integrated."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import dolfinx.fem.petsc
import ufl
from dolfinx import fem
from mpi4py import MPI
from petsc4py import PETSc

#: Passed to every form: another rank or run may hold the lock of the compiled-form cache for a while.
JIT_OPTIONS: dict[str, Any] = {"timeout": 600}


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
