"""Forms compiled with the project's options, assembled, integrated."""

from __future__ import annotations

import functools
import logging
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import dolfinx.fem.petsc
import dolfinx.jit
import ufl
from dolfinx import fem
from dolfinx import mesh as dmesh
from mpi4py import MPI
from petsc4py import PETSc

from homfem import _dolfinx

#: Passed to every form: another rank or run may hold the lock of the compiled-form cache for a while.
JIT_OPTIONS: dict[str, Any] = {"timeout": 600}

#: Compiled forms of this process by their signature. They hold no mesh and no coefficient, and a library stays loaded
#: to the end of the process anyway.
_KERNELS: dict[str, tuple[Any, Any]] = {}

log = logging.getLogger("homfem")


def compile_form(form: ufl.Form | fem.Form) -> Any:
    """Compile a UFL form with the project's options and join it to its mesh, spaces and coefficients; collective.

    What is compiled depends on the form's signature alone and is kept in the process: to look it up in the cache on
    disk costs more than most small forms take to assemble. A compiled form is returned as it is; None for one without
    integrals.
    """
    if isinstance(form, fem.Form):
        return form
    if form.empty():
        return None
    kernels, module = _kernels(form)
    return _dolfinx.create_form(form, kernels, module)


def _kernels(form: ufl.Form) -> tuple[Any, Any]:
    """Return the compiled kernels of a form. All ranks compile if one has to: compilation is collective."""
    key = form.signature()
    comm = _dolfinx.cargo(form).comm
    known = key in _KERNELS
    if comm.size > 1:
        known = comm.allreduce(known, op=MPI.LAND)
    if not known:
        _KERNELS[key] = _compile(form)
    return _KERNELS[key]


def _compile(form: ufl.Form) -> tuple[Any, Any]:
    """Compile a form or take it from the cache on disk; collective.

    The cache of compiled forms has a lock for each form under way, for which others wait. One that a killed process has
    left would stop every later run: an interrupt takes its own away, and the first form of a process those that have
    been there for longer than anyone waits.
    """
    _clear_old_locks()
    start = time.time() - 0.1  # clocks of file systems are coarse
    try:
        return _dolfinx.compile_kernels(form, JIT_OPTIONS)
    except (KeyboardInterrupt, SystemExit):
        clear_locks(_cache(), after=start)
        raise


def function_space(mesh: dmesh.Mesh, family: str, degree: int, shape: tuple[int, ...] = ()) -> fem.FunctionSpace:
    """Return the space of a family of elements on a mesh; collective."""
    return fem.functionspace(mesh, _dolfinx.element(family, mesh.topology.cell_name(), degree, shape))


def clear_locks(folder: Path, *, after: float = 0.0, before: float = float("inf")) -> list[Path]:
    """Remove the locks of forms that were never finished, last touched between two times (s, as of the clock)."""
    found = []
    for lock in folder.glob("libffcx_*.c"):
        try:
            if not lock.with_suffix(".c.cached").exists() and after <= lock.stat().st_mtime <= before:
                lock.unlink()
                found.append(lock)
        except OSError:  # another process was quicker, or the cache is read-only
            continue
    return found


@functools.cache
def _clear_old_locks() -> None:
    for lock in clear_locks(_cache(), before=time.time() - JIT_OPTIONS["timeout"]):
        log.warning("a compiled form that was never finished is made anew: %s", lock.name)


def _cache() -> Path:
    return Path(dolfinx.jit.get_options({})["cache_dir"])


def assemble_matrix(form: Any) -> PETSc.Mat:
    """Assemble a bilinear form (UFL or compiled) into a new PETSc matrix; collective."""
    compiled = compile_form(form)
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
    compiled = compile_form(form)
    vector = dolfinx.fem.petsc.assemble_vector(compiled)
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
