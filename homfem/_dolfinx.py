"""What differs between the supported dolfinx versions (0.9 to 0.11), and nothing else.

Every function here has one meaning on all of them; the rest of the package names no version.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import basix.ufl
import dolfinx
import dolfinx.common
import dolfinx.fem.forms
import dolfinx.jit
import numpy as np
import numpy.typing as npt
import ufl
from dolfinx import cpp, fem
from dolfinx import mesh as dmesh
from mpi4py import MPI

VERSION = tuple(int(part) for part in dolfinx.__version__.split(".")[:2])


def create_mesh(
    comm: MPI.Comm,
    cells: npt.NDArray[np.int64],
    points: npt.NDArray[np.float64],
    element: Any,
    partitioner: Callable[..., Any] | None = None,
) -> dmesh.Mesh:
    """Create a distributed mesh; the order of the positional arguments changed between versions."""
    return dmesh.create_mesh(comm=comm, cells=cells, x=points, e=element, partitioner=partitioner)


def cell_partitioner(ghost_mode: dmesh.GhostMode) -> Callable[..., Any]:
    """Return the default graph partitioner with the given ghost mode."""
    if VERSION >= (0, 11):
        return dmesh.create_cell_partitioner(ghost_mode, 2)
    return dmesh.create_cell_partitioner(ghost_mode)


def geometry_dofmap(mesh: dmesh.Mesh) -> npt.NDArray[np.int32]:
    """Return the nodes of each local cell, shape (cells, nodes per cell)."""
    geometry = mesh.geometry
    if hasattr(geometry, "dofmaps") and VERSION >= (0, 11):
        dofmaps = geometry.dofmaps
        return np.asarray(dofmaps(0) if callable(dofmaps) else dofmaps[0])
    return np.asarray(geometry.dofmap)


def mesh_with_geometry(
    topology_of: dmesh.Mesh, geometry_of: dmesh.Mesh, dofmap: npt.NDArray[np.int32], element: Any
) -> dmesh.Mesh:
    """Return a mesh with the topology of one mesh and the nodes of another.

    Parameters
    ----------
    topology_of, geometry_of
        Two meshes of the same cells on the same ranks.
    dofmap
        Nodes of ``geometry_of`` for each local cell of ``topology_of``.
    element
        The ``basix.ufl`` coordinate element.
    """
    geometry = geometry_of.geometry
    points = np.ascontiguousarray(geometry.x[:, : geometry.dim])
    return _with_nodes(topology_of, geometry.index_map(), dofmap, points, geometry.input_global_indices, element)


def mesh_with_nodes(
    topology_of: dmesh.Mesh, cells: npt.NDArray[np.int64], points: npt.NDArray[np.float64], element: Any
) -> dmesh.Mesh:
    """Return a mesh with the topology of one mesh and nodes of its own; of a mesh on one rank.

    Parameters
    ----------
    topology_of
        The mesh.
    cells
        Nodes of each of its cells, the corners first.
    points
        Places of all nodes.
    element
        The ``basix.ufl`` coordinate element.
    """
    # Nodes in the order in which the cells meet them, so that neighbours lie together.
    flat = cells.ravel()
    first = np.full(len(points), len(flat))
    first[flat[::-1]] = np.arange(len(flat))[::-1]
    used = np.argsort(first, kind="stable")[: np.count_nonzero(first < len(flat))]
    number = np.empty(len(points), dtype=np.int32)
    number[used] = np.arange(len(used))
    index_map = dolfinx.common.IndexMap(topology_of.comm, len(used))
    return _with_nodes(topology_of, index_map, number[cells], np.ascontiguousarray(points[used]), used, element)


def _with_nodes(
    topology_of: dmesh.Mesh,
    index_map: Any,
    dofmap: npt.NDArray[np.int32],
    points: npt.NDArray[np.float64],
    numbers: npt.NDArray[np.int64],
    element: Any,
) -> dmesh.Mesh:
    cmap = _coordinate_element(element)
    made = dmesh.create_geometry(index_map, np.ascontiguousarray(dofmap), cmap, points, numbers)
    topology = getattr(topology_of.topology, "_cpp_object", topology_of.topology)
    of_cpp = cpp.mesh.Mesh_float64(topology_of.comm, topology, getattr(made, "_cpp_object", made))
    return dmesh.Mesh(of_cpp, ufl.Mesh(element))


@functools.cache
def _coordinate_element(element: Any) -> Any:
    """The map of the reference cell as ``create_geometry`` takes it."""
    made = fem.coordinate_element(element.basix_element)
    return made._cpp_object if VERSION < (0, 11) else made


@functools.cache
def element(family: str, kind: str, degree: int, shape: tuple[int, ...] = ()) -> Any:
    """Return the ``basix.ufl`` element, always the same one for the same arguments.

    UFL asks it for its reference cell dozens of times for each form, and basix makes that anew each time, with all that
    it consists of: here it is made once, and so is its hash, by which forms are told apart.
    """
    return _told(basix.ufl.element(family, kind, degree, shape=shape or None, dtype=np.float64))


def _told(made: Any) -> Any:
    """The element with its reference cell and its hash as things that are, not made."""
    number = hash(made)
    made.__class__ = type(type(made).__name__, (type(made),), {"cell": made.cell, "__hash__": lambda _: number})
    return made


@functools.cache
def geometry_element(kind: str, order: int, dimension: int) -> Any:
    """Return the element of the places of a mesh: of equispaced nodes, as other programs have them."""
    if order < 3:
        return element("Lagrange", kind, order, (dimension,))
    variant = basix.LagrangeVariant.equispaced
    return _told(
        basix.ufl.element("Lagrange", kind, order, shape=(dimension,), lagrange_variant=variant, dtype=np.float64)
    )


def compile_kernels(form: ufl.Form, jit_options: dict[str, Any]) -> tuple[Any, Any]:
    """Compile what a form computes on one element and return the ``ufcx_form`` and its module; collective."""
    options = {"scalar_type": dolfinx.default_scalar_type}
    kernels, module, _ = dolfinx.jit.ffcx_jit(cargo(form).comm, form, options, jit_options)
    return kernels, module


def create_form(form: ufl.Form, kernels: Any, module: Any) -> fem.Form:
    """Join compiled kernels to the mesh, spaces, coefficients and subdomains of their form.

    Raises
    ------
    ValueError
        The form has several subdomain data for integrals of one type.
    """
    coefficients = form.coefficients()
    parts = FormParts(
        mesh=cargo(form),
        spaces=[argument.ufl_function_space() for argument in form.arguments()],
        functions=[coefficients[i] for i in taken_coefficients(kernels)],
        constants=form.constants(),
    )
    return join_form(parts, kernels, module, integration_data(form, kernels))


@dataclass(frozen=True, kw_only=True, slots=True)
class FormParts:
    """What compiled kernels are joined to.

    Parameters
    ----------
    mesh
        The C++ mesh.
    spaces
        Of the arguments, in the order of their numbers.
    functions, constants
        In the order in which the kernels take them.
    """

    mesh: Any
    spaces: Sequence[fem.FunctionSpace]
    functions: Sequence[fem.Function] = ()
    constants: Sequence[fem.Constant] = ()


def join_form(
    parts: FormParts, kernels: Any, module: Any, data: Mapping[Any, tuple[dmesh.MeshTags | None, list[int]]]
) -> fem.Form:
    """Join compiled kernels to what they are for; ``data`` as from :func:`integration_data`."""
    subdomains = {
        kind: dolfinx.fem.forms.get_integration_domains(kind, tags, marks) for kind, (tags, marks) in data.items()
    }
    pointer = module.ffi.cast("uintptr_t", module.ffi.addressof(kernels))
    old = VERSION < (0, 10)
    made = dolfinx.fem.forms.form_cpp_class(dolfinx.default_scalar_type)(
        pointer if old else [int(pointer)],
        [space._cpp_object for space in parts.spaces],
        [function._cpp_object for function in parts.functions],
        [constant._cpp_object for constant in parts.constants],
        subdomains,
        {} if old else [],
        parts.mesh,
    )
    return fem.Form(made, kernels, None, module)


def taken_coefficients(kernels: Any) -> list[int]:
    """Return the places of the coefficients that kernels take, among all that their form had."""
    return [kernels.original_coefficient_positions[i] for i in range(kernels.num_coefficients)]


def cargo(form: ufl.Form) -> Any:
    """Return the C++ mesh that a form is integrated over."""
    (domain,) = form.subdomain_data()
    return domain.ufl_cargo()


def integration_data(form: ufl.Form, kernels: Any) -> dict[Any, tuple[dmesh.MeshTags | None, list[int]]]:
    """Return for each type of integral the tags of the parts of the mesh, None over all of it, and their values.

    Raises
    ------
    ValueError
        The form has several subdomain data for integrals of one type.
    """
    (of_type,) = form.subdomain_data().values()
    kinds = dolfinx.fem.forms._ufl_to_dolfinx_domain  # in the order of the kernels' offsets
    found: dict[Any, tuple[dmesh.MeshTags | None, list[int]]] = {}
    for name, several in of_type.items():
        data = [entry for entry in several if entry is not None]
        if any(entry is not data[0] for entry in data):
            raise ValueError(f"{name} integrals of one form have different subdomain data; give them the same")
        place = list(kinds).index(name)
        first, last = (kernels.form_integral_offsets[i] for i in (place, place + 1))
        marks = [mark for i in range(first, last) if (mark := kernels.form_integral_ids[i]) >= 0]
        found[kinds[name]] = data[0] if data else None, marks
    return found


def interpolation_points(space: fem.FunctionSpace) -> npt.NDArray[np.float64]:
    """Return the reference points at which an expression is evaluated to interpolate it into a space."""
    points = space.element.interpolation_points
    return np.asarray(points() if callable(points) else points)


def original_cell_index(mesh: dmesh.Mesh) -> npt.NDArray[np.int64]:
    """Return for each local cell (ghosts included) its index in the arrays that made the mesh."""
    return np.asarray(mesh.topology.original_cell_index)


def periodic_constraint(
    mpc: Any, space: fem.FunctionSpace, indicator: Callable[..., Any], relation: Callable[..., Any]
) -> None:
    """Add one geometrical periodic constraint; where there is a search tolerance it is 1e-9."""
    method = mpc.create_periodic_constraint_geometrical
    extra = {"tol": 1e-9} if "tol" in inspect.signature(method).parameters else {}
    method(space, indicator, relation, [], **extra)


def coordinate_map(mesh: dmesh.Mesh) -> Any:
    """Return the map of the reference cell, with ``pull_back`` and ``push_forward``."""
    return mesh.geometry.cmap if VERSION < (0, 11) else mesh.geometry.cmaps[0]


def vtk_order(mesh: dmesh.Mesh, number: int) -> npt.NDArray[np.int64]:
    """Return which of the nodes of a cell comes where in VTK; ``number`` of them: ``nodes[:, order]``."""
    from dolfinx.cpp.io import perm_vtk

    return np.argsort(perm_vtk(mesh.topology.cell_type, number))
