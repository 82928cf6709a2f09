r"""Pseudo-electrocardiograms: what electrodes see of a tissue that lies in an unbounded conductor.

The tissue's current sources :math:`-\sigma_i\nabla V` in a homogeneous conductor :math:`\sigma_b` that fills all of
space (the tissue's own extracellular space included) have at a point :math:`x_e` the potential

.. math:: \varphi(x_e) = -\frac{1}{4\pi\sigma_b}\int \sigma_i\nabla V\cdot\nabla\frac{1}{|x-x_e|}\,dx .

It is linear in V: one vector for each electrode, assembled once, and a dot product per time. In cells near the
electrode the mean of :math:`\nabla(1/|x-x_e|)` is exact: the integral of 1/r over the facets, which is known in closed
form for triangles and segments; beyond, quadrature is as good as that. So an electrode may also lie at the surface of
the tissue or inside.

Source
------
Plonsey, Barr 2007, Bioelectricity, Springer, section 8. Gima, Rudy 2002, Circ. Res. 90, 889,
doi 10.1161/01.RES.0000016960.61087.86. Integrals: Wilton et al. 1984, IEEE Trans. Antennas Propag. 32, 276,
doi 10.1109/TAP.1984.1143304.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import basix
import numpy as np
import numpy.typing as npt
import ufl
from dolfinx import fem
from mpi4py import MPI

from homfem._dolfinx import geometry_dofmap
from homfem.macro.coefficients import cell_function
from homfem.macro.domain import Domain
from homfem.macro.leads import Leads
from homfem.macro.places import locate
from homfem.parameters import Array, InputError, check_number
from homfem.solve import assemble_vector, compile_form

#: Cells within so many of their diameters of an electrode have the exact mean of the kernel.
NEAR = 4.0
_TOUCHING = 1.2  # radii of a cell: the kernel has its mean alone
_DEGREE = 4  # of the quadrature, with elements of degree 1


def pseudo_ecg(
    domain: Domain,
    space: fem.FunctionSpace,
    intracellular: Any,
    electrodes: Mapping[str, Sequence[float]],
    *,
    bath: float,
    section: float | None = None,
    near: float = NEAR,
) -> Leads:
    r"""Return the vectors of electrodes, against a reference at infinity; collective.

    Parameters
    ----------
    domain
        The tissue, of straight simplices.
    space
        The scalar Lagrange space of V on its mesh.
    intracellular
        :math:`\sigma_i` as :func:`homfem.macro.coefficients.tensor_coefficient` returns it, in the unit of ``bath``.
    electrodes
        Places by name, three coordinates (or one for each axis, the others zero), in the unit of the domain. In 3D they
        may lie anywhere, also in the tissue; in 1D and 2D they lie off the line or the plane of the tissue, or
        outside of it.
    bath
        :math:`\sigma_b`, > 0.
    section
        What is across: the thickness of a sheet (2D), the area of the section of a cable (1D), in the unit of the
        domain; not in 3D.
    near
        Up to how many of their diameters from an electrode cells have the exact mean of the kernel, >= 1.

    Raises
    ------
    InputError
        For coordinates that are not finite, electrodes in a tissue of one or two dimensions, a missing ``section``.

    Notes
    -----
    With elements of degree 1 and conductivities that are constant in a cell, what is exact for the kernel's mean is
    exact for the potential; else the kernel varies about its mean as the quadrature sees it, in cells that touch the
    electrode not at all.

    Example
    -------
    ``leads = pseudo_ecg(heart, space, sigma, {"RA": (-60, 40, 0), "LA": (60, 40, 0), "LL": (0, -80, 0)}, bath=0.2)``,
    then ``leads.combined(standard_leads(leads.names))`` for a
    :class:`homfem.macro.leads.LeadSeries`.
    """
    d = domain.dimension
    check_number("bath", bath, above=0.0)
    check_number("near", near if near != math.inf else NEAR, at_least=1.0)
    if (section is None) != (d == 3):
        allowed = "absent in 3D" if d == 3 else f"given: the {'thickness' if d == 2 else 'area of the section'}"
        raise InputError("section", section, allowed)
    across = 1.0 if section is None else check_number("section", section, above=0.0)
    if not electrodes:
        raise InputError("electrodes", [], "at least one")
    points = {name: _point(name, at, d) for name, at in electrodes.items()}
    _refuse_inside(domain, points)
    corners = np.asarray(domain.mesh.geometry.x)[geometry_dofmap(domain.mesh)]
    if corners.shape[1] != d + 1:
        raise InputError("mesh", corners.shape[1], f"of straight simplices with {d + 1} nodes each")
    kernel, far = cell_function(domain, np.zeros((len(corners), d))), cell_function(domain, np.zeros(len(corners)))
    place = fem.Constant(domain.mesh, np.zeros(3))
    form = compile_form(_form(domain, space, intracellular, (kernel, far, place)))
    weights, volumes = [], domain.cell_volumes()
    for point in points.values():
        touching, close = _within(corners, point, _TOUCHING), _within(corners, point, 2.0 * near)
        means = np.zeros((len(corners), d))
        means[close] = kernel_integrals(corners[close], point) / volumes[close, None]
        beside = close & ~touching
        means[beside] -= _means_of_quadrature(corners[beside], point, _degree(space))
        for function, values in ((kernel, means), (far, (~touching).astype(np.float64))):
            rows = np.asarray(function.function_space.dofmap.list).ravel()
            function.x.array.reshape(len(corners), -1)[rows] = values.reshape(len(corners), -1)
        place.value[:] = point
        vector = assemble_vector(form)
        weights.append(-across / (4.0 * math.pi * bath) * vector.array_r)
        vector.destroy()
    return Leads(comm=domain.comm, names=tuple(points), weights=np.array(weights))


def _form(domain: Domain, space: fem.FunctionSpace, sigma: Any, parts: tuple[Any, Any, Any]) -> ufl.Form:
    """The functional of V: the kernel where it is ``far``, and what is added to its mean in each cell."""
    kernel, far, place = parts
    x = ufl.SpatialCoordinate(domain.mesh)
    d = domain.dimension
    from_place = [x[k] - place[k] for k in range(d)]
    # No division by zero where it is multiplied by zero.
    square = sum(a * a for a in from_place) + sum(place[k] ** 2 for k in range(d, 3)) + (1.0 - far)
    gradient = ufl.as_vector([-a / (square * ufl.sqrt(square)) for a in from_place])
    dx = ufl.Measure("dx", domain=domain.mesh, metadata={"quadrature_degree": _degree(space)})
    return ufl.inner(sigma * ufl.grad(ufl.TestFunction(space)), kernel + far * gradient) * dx


def _point(name: str, at: Sequence[float], d: int) -> Array:
    given = np.asarray(at, dtype=np.float64)
    if given.shape not in ((3,), (d,)) or not np.all(np.isfinite(given)):
        raise InputError(f"electrodes[{name!r}]", at, f"three finite coordinates, or {d}")
    return np.append(given, np.zeros(3 - given.size))


def _refuse_inside(domain: Domain, points: Mapping[str, Array]) -> None:
    """Refuse electrodes in a sheet or a cable, where the kernel has no integral; collective."""
    if domain.dimension == 3:
        return
    cells = locate(domain.mesh, np.array([*points.values()]))
    held = np.array(cells >= 0)
    domain.comm.Allreduce(MPI.IN_PLACE, held, op=MPI.LOR)
    for (name, point), inside in zip(points.items(), held, strict=True):
        if inside and not point[domain.dimension :].any():
            what = "the sheet" if domain.dimension == 2 else "the cable"
            remedy = "Lift it, or take the lead field of the tissue (homfem.macro.recovery)."
            raise InputError(f"electrodes[{name!r}]", point.tolist(), f"outside of {what}", remedy)


def _degree(space: fem.FunctionSpace) -> int:
    return int(_DEGREE + 2 * (space.ufl_element().degree - 1))


def _within(corners: Array, point: Array, radii: float) -> npt.NDArray[np.bool_]:
    """Tell which cells have their middle within so many of their radii of a point."""
    middles = corners.mean(axis=1)
    radius = np.linalg.norm(corners - middles[:, None], axis=2).max(axis=1)
    return np.asarray(np.linalg.norm(middles - point, axis=1) <= radii * radius)


def _means_of_quadrature(corners: Array, point: Array, degree: int) -> Array:
    """Return the means of the kernel over cells that the quadrature of the forms gives, shape (n, d)."""
    d = corners.shape[1] - 1
    kind = {1: basix.CellType.interval, 2: basix.CellType.triangle, 3: basix.CellType.tetrahedron}[d]
    at, weights = basix.make_quadrature(kind, degree)
    coordinates = np.column_stack([1.0 - at.sum(axis=1), at])
    rays = np.einsum("qk,nkx->nqx", coordinates, corners) - point
    kernels = -rays[:, :, :d] / np.linalg.norm(rays, axis=2)[:, :, None] ** 3
    return np.asarray(np.einsum("q,nqx->nx", weights / weights.sum(), kernels))


def kernel_integrals(corners: Array, point: Array) -> Array:
    r"""Return :math:`\int_T\nabla(1/|x-p|)\,dx` over simplices T, exact; shape (n, d).

    It is the sum over the facets of the outward normal times the integral of 1/r.

    Parameters
    ----------
    corners
        Shape (n, d + 1, 3); the last 3 - d coordinates are zero.
    point
        p, shape (3,).
    """
    d = corners.shape[1] - 1
    total = np.zeros((len(corners), d))
    for opposite in range(d + 1):
        facet = corners[:, [k for k in range(d + 1) if k != opposite]]
        normal = _normals(facet, corners[:, opposite], d)
        total += normal[:, :d] * _inverse_distances(facet, point)[:, None]
    return total


def _normals(facets: Array, beyond: Array, d: int) -> Array:
    """Return the unit normals (n, 3) of facets that point away from the corners opposite."""
    if d == 3:
        normal = np.cross(facets[:, 1] - facets[:, 0], facets[:, 2] - facets[:, 0])
    elif d == 2:
        edge = facets[:, 1] - facets[:, 0]
        normal = np.stack([edge[:, 1], -edge[:, 0], 0.0 * edge[:, 0]], axis=1)
    else:
        normal = np.zeros((len(facets), 3))
        normal[:, 0] = 1.0
    side = np.einsum("nx,nx->n", normal, facets[:, 0] - beyond)
    return np.asarray(normal * (np.sign(side) / np.linalg.norm(normal, axis=1))[:, None])


def _inverse_distances(facets: Array, point: Array) -> Array:
    """Return the integrals of 1/|x - p| over points, segments or triangles, shape (n, corners, 3)."""
    rays = facets - point
    lengths = np.linalg.norm(rays, axis=2)
    if facets.shape[1] == 1:
        return np.asarray(1.0 / lengths[:, 0])
    if facets.shape[1] == 2:
        return _logarithm(facets[:, 0] - facets[:, 1], lengths[:, 0], lengths[:, 1])
    normal = np.cross(facets[:, 1] - facets[:, 0], facets[:, 2] - facets[:, 0])
    normal /= np.linalg.norm(normal, axis=1)[:, None]
    height = np.abs(np.einsum("nx,nx->n", normal, rays[:, 0]))
    total = np.zeros(len(facets))
    for a, b in ((0, 1), (1, 2), (2, 0)):
        edge = facets[:, b] - facets[:, a]
        along = edge / np.linalg.norm(edge, axis=1)[:, None]
        outward = np.cross(along, normal)
        across = np.einsum("nx,nx->n", rays[:, a], outward)
        # Where the foot of p lies on the line of an edge, that edge adds nothing.
        use = np.abs(across) > 1e-14 * (lengths[:, a] + lengths[:, b])
        logarithm = np.zeros(len(facets))
        logarithm[use] = _logarithm(edge[use], lengths[use, a], lengths[use, b])
        total += across * logarithm
        square = across**2 + height**2
        for end, sign in ((b, -1.0), (a, 1.0)):
            at = np.einsum("nx,nx->n", rays[:, end], along)
            total += sign * height * np.arctan2(across * at, square + height * lengths[:, end])
    return total


def _logarithm(edges: Array, one: Array, other: Array) -> Array:
    """Return the integrals of 1/r over segments from the distances of their ends; infinite on them."""
    length = np.linalg.norm(edges, axis=1)
    with np.errstate(divide="ignore"):
        return np.asarray(np.log1p(2.0 * length / (one + other - length)))
