"""Forms compiled with the project's options, assembled, integrated."""

from __future__ import annotations

import functools
import logging
import time
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import dolfinx.fem.petsc
import dolfinx.jit
import numpy as np
import numpy.typing as npt
import ufl
from dolfinx import fem
from dolfinx import mesh as dmesh
from mpi4py import MPI
from petsc4py import PETSc

from homfem import _dolfinx

#: Passed to every form: another rank or run may hold the lock of the compiled-form cache for a while.
JIT_OPTIONS: dict[str, Any] = {"timeout": 600}
#: The same for curved mesh cells of the order 3 and more, whose kernels have dozens of points: with loops in vectors,
#: which the compiler does not make by default, matrices take two thirds of the time. No option that changes arithmetic.
CURVED: dict[str, Any] = JIT_OPTIONS | {"cffi_extra_compile_args": ["-O3", "-g0"]}

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


@dataclass(frozen=True, kw_only=True, slots=True)
class Terminals:
    """All that a form is made of besides its formula.

    Parameters
    ----------
    mesh
        What it is integrated over.
    spaces
        Of its arguments.
    functions, constants
        Its coefficients, in any order that is always the same.
    tags
        Mesh tags over whose parts it is integrated, in such an order too.
    """

    mesh: dmesh.Mesh
    spaces: Sequence[fem.FunctionSpace] = ()
    functions: Sequence[fem.Function] = ()
    constants: Sequence[fem.Constant] = ()
    tags: Sequence[dmesh.MeshTags] = ()

    @property
    def alike(self) -> bool:
        """Whether all are on the one mesh and none occurs twice: the formula alone tells what the form is then."""
        spaces = [*self.spaces, *(function.function_space for function in self.functions)]
        domain, several = self.mesh.ufl_domain(), [*self.functions, *self.constants, *self.tags]
        here = all(space.mesh is self.mesh for space in spaces)
        here = here and all(constant.ufl_domain() is domain for constant in self.constants)
        return here and len(set(map(id, several))) == len(several)

    @property
    def elements(self) -> Hashable:
        """What kernels depend on."""
        return (
            self.mesh.ufl_domain().ufl_coordinate_element(),
            tuple(space.ufl_element() for space in self.spaces),
            tuple(function.function_space.ufl_element() for function in self.functions),
            tuple(constant.ufl_shape for constant in self.constants),
            tuple(tags.dim for tags in self.tags),
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class _Template:
    """Compiled kernels, and the places among the terminals of what they take.

    ``parts`` has for each type of integral the place of the tags, None without any, and their values.
    """

    kernels: Any
    module: Any
    parts: dict[Any, tuple[int | None, list[int]]]
    spaces: tuple[int, ...]
    functions: tuple[int, ...]
    constants: tuple[int, ...]

    def join(self, terminals: Terminals) -> fem.Form:
        parts = _dolfinx.FormParts(
            mesh=terminals.mesh._cpp_object,
            spaces=[terminals.spaces[i] for i in self.spaces],
            functions=[terminals.functions[i] for i in self.functions],
            constants=[terminals.constants[i] for i in self.constants],
        )
        data = {kind: (None if at is None else terminals.tags[at], marks) for kind, (at, marks) in self.parts.items()}
        return _dolfinx.join_form(parts, self.kernels, self.module, data)


#: By formula and elements; None for a form without integrals.
_TEMPLATES: dict[Hashable, list[_Template | None]] = {}


def compile_formula(formula: Hashable, build: Callable[[], ufl.Form], terminals: Terminals) -> Any:
    """Compile the form of a formula, or take it from an earlier one; collective.

    To build a form in UFL and to find its signature costs more than to assemble it on a small mesh.

    Parameters
    ----------
    formula
        Its name: forms of one name and with terminals of the same elements and shapes, in the same order, are the same.
    build
        Returns the form; called if none is known.
    terminals
        What the form is made of. A form of others is compiled as by :func:`compile_form`.
    """
    return compile_formulas(formula, lambda: [build()], terminals)[0]


def compile_formulas(
    formula: Hashable, build: Callable[[], Sequence[ufl.Form | None]], terminals: Terminals
) -> list[Any]:
    """Compile the forms of a formula, such as its blocks, as :func:`compile_formula` does; collective.

    None in place of a form, and a form without integrals, gives None.
    """
    if not terminals.alike:
        return [_compiled(form) for form in build()]
    key, comm = (formula, terminals.elements), terminals.mesh.comm
    templates = _TEMPLATES.get(key)
    known = templates is not None
    if comm.size > 1:  # to build is collective, and ranks of other groups may have built more
        known = comm.allreduce(known, op=MPI.LAND)
    if templates is not None and known:
        return [None if one is None else one.join(terminals) for one in templates]
    forms = [None if form is None or form.empty() else form for form in build()]
    made = [None if form is None else _template(form, terminals) for form in forms]
    if any(made) and all((one is None) == (form is None) for one, form in zip(made, forms, strict=True)):
        _TEMPLATES[key] = made
    return [_compiled(form) for form in forms]


def _compiled(form: ufl.Form | None) -> Any:
    return None if form is None else compile_form(form)


def _template(form: ufl.Form, terminals: Terminals) -> _Template | None:
    """What is kept of a form; None if it has other terminals."""
    kernels, module = _kernels(form)
    data = _dolfinx.integration_data(form, kernels)
    tags = [entry for entry, _ in data.values() if entry is not None]
    found = [
        _places([argument.ufl_function_space() for argument in form.arguments()], terminals.spaces),
        _places(form.coefficients(), terminals.functions),
        _places(form.constants(), terminals.constants),
        _places(tags, terminals.tags),
    ]
    spaces, functions, constants, places = found
    if spaces is None or functions is None or constants is None or places is None:
        return None
    place = dict(zip(map(id, tags), places, strict=True))
    return _Template(
        kernels=kernels,
        module=module,
        parts={kind: (place.get(id(entry)), marks) for kind, (entry, marks) in data.items()},
        spaces=spaces,
        functions=tuple(functions[i] for i in _dolfinx.taken_coefficients(kernels)),
        constants=constants,
    )


def _places(wanted: Sequence[Any], among: Sequence[Any]) -> tuple[int, ...] | None:
    """The place of each of some things among others; None if one is not there."""
    place = {id(one): i for i, one in reversed(list(enumerate(among)))}
    return tuple(place[id(one)] for one in wanted) if all(id(one) in place for one in wanted) else None


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
        curved = any(domain.ufl_coordinate_element().degree >= 3 for domain in form.ufl_domains())
        return _dolfinx.compile_kernels(form, CURVED if curved else JIT_OPTIONS)
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


def integral(form: ufl.Form | fem.Form) -> Callable[[], float]:
    """Compile a functional once; the callable returned gives its global value each time (collective)."""
    compiled = compile_form(form)
    comm = compiled.mesh.comm

    def value() -> float:
        return float(comm.allreduce(fem.assemble_scalar(compiled), op=MPI.SUM))

    return value


def integrate(form: ufl.Form | fem.Form) -> float:
    """Return the global value of a functional on every rank (collective)."""
    return integral(form)()


def integrals(
    formula: Hashable,
    build: Callable[[fem.Constant], ufl.Form],
    mesh: dmesh.Mesh,
    given: Sequence[fem.Function | fem.Constant] = (),
    shape: tuple[int, ...] = (),
) -> npt.NDArray[np.float64]:
    """Return the global integrals of a functional that is linear in a constant: one for each component (collective).

    Parameters
    ----------
    formula
        Its name, as of :func:`compile_formula`; None compiles it anew.
    build
        The form with the constant: ``build(c)``.
    mesh
        What is integrated over.
    given
        The functions and constants of the form.
    shape
        Of the constant, and of what is returned; a number by default.
    """
    constant = fem.Constant(mesh, np.zeros(shape))
    if formula is None:
        compiled = compile_form(build(constant))
    else:
        terminals = Terminals(
            mesh=mesh,
            functions=[one for one in given if isinstance(one, fem.Function)],
            constants=[constant, *(one for one in given if isinstance(one, fem.Constant))],
        )
        compiled = compile_formula(formula, lambda: build(constant), terminals)
    own = np.zeros(int(np.prod(shape)))
    for k, unit in enumerate(np.eye(len(own))):
        constant.value[...] = unit.reshape(shape)
        own[k] = fem.assemble_scalar(compiled)
    return np.asarray(mesh.comm.allreduce(own, op=MPI.SUM)).reshape(shape)


def volume(mesh: dmesh.Mesh) -> float:
    """Return the volume of a mesh (its area in 2D) on every rank (collective)."""
    return float(integrals("volume", lambda one: one * ufl.dx, mesh))
