r"""Axes of fibres by rules: of the ellipsoids of an ideal ventricle, and the Laplace-Dirichlet rule of any ventricle.

The Laplace-Dirichlet rule (Bayer, Blake, Plank, Trayanova 2012, Ann. Biomed. Eng. 40, 2243,
doi:10.1007/s10439-012-0593-5) solves Laplace's equation for :math:`\phi_{\rm epi}`, :math:`\phi_{\rm lv}` and
:math:`\phi_{\rm rv}`, each 1 on its surface and 0 on the others, and for :math:`\psi`, which rises from the apex to the
base. With the axes

.. math::
    e_l = \frac{\nabla\psi}{|\nabla\psi|},\quad
    e_t = \frac{v-(v\cdot e_l)e_l}{|v-(v\cdot e_l)e_l|},\quad e_c = e_l\times e_t

of a transmural direction v the fibre is :math:`f = \cos\alpha\,e_c + \sin\alpha\,e_l`, and the sheet
:math:`\sin\beta\,(\cos\alpha\,e_l - \sin\alpha\,e_c) + \cos\beta\,e_t`: with :math:`\beta = 0` it is transmural. There
is such a frame for v = :math:`-\nabla\phi_{\rm lv}`, :math:`\nabla\phi_{\rm rv}` and :math:`\nabla\phi_{\rm epi}`; the
first two are joined by the depth in the septum, :math:`d = \phi_{\rm rv}/(\phi_{\rm lv}+\phi_{\rm rv})`, what comes out
and the third by :math:`\phi_{\rm epi}`, each time by the shortest rotation between the frames up to signs of their axes
("bislerp").
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from dolfinx import fem
from mpi4py import MPI

from homfem._dolfinx import geometry_dofmap
from homfem.macro.coefficients import cell_function
from homfem.macro.conditions import Dirichlet
from homfem.macro.domain import Domain
from homfem.macro.extent import bounding_box
from homfem.macro.fibres import FibreFrame
from homfem.macro.linear import EllipticSolver
from homfem.macro.linear_problem import LinearProblem, dofs_on
from homfem.meshing.shapes.ventricles import Ventricle
from homfem.parameters import Array, InputError, check_choice, check_number
from homfem.ranks import collective
from homfem.solve import function_space

Flags = npt.NDArray[np.bool_]

#: A direction that is shorter than this part of what it is compared with is none.
NO_DIRECTION = 1e-9
#: Conductivity of what has no fibres, relative to that of the tissue: its potentials are of no use.
OUTSIDE = 1e-8
#: Nodes whose distances from the base differ by less than this part of the size are equally far.
SAME_DISTANCE = 1e-9


@dataclass(frozen=True, kw_only=True, slots=True)
class RuleAngles:
    r"""Angles of the Laplace-Dirichlet rule in degrees; the defaults are those of Bayer et al. (2012).

    Parameters
    ----------
    alpha_endo, alpha_epi
        Of the fibre from the circumference towards the base, on the endocardia and the epicardium; -90 to 90.
    beta_endo, beta_epi
        Of the sheet from the transmural direction; -90 to 90.
    profile
        ``"linear"``: in every free wall :math:`\alpha = (1-\phi_{\rm epi})\,\alpha_{\rm endo} + \phi_{\rm epi}
        \,\alpha_{\rm epi}`, in the septum from :math:`\alpha_{\rm endo}` on the left through 0 to
        :math:`\alpha_{\rm endo}` on the right; angles of the frames of lv and rv are :math:`(1-2d)\,\alpha`.
        ``"bayer"``: these are :math:`(1-2d)\,\alpha_{\rm endo}` as published, which makes the profile of a free wall
        that of :math:`\phi_{\rm epi}^2`; beyond 90 degrees between both surfaces it would jump in the wall.

    Raises
    ------
    InputError
        For angles out of range, and those of which the profile ``"bayer"`` makes a jump.
    """

    alpha_endo: float = 40.0
    alpha_epi: float = -50.0
    beta_endo: float = -65.0
    beta_epi: float = 25.0
    profile: str = "linear"

    def __post_init__(self) -> None:
        for name in ("alpha_endo", "alpha_epi", "beta_endo", "beta_epi"):
            check_number(name, getattr(self, name), at_least=-90.0, at_most=90.0)
        check_choice("profile", self.profile, ("linear", "bayer"))
        for kind in ("alpha", "beta"):
            turn = abs(getattr(self, f"{kind}_endo") - getattr(self, f"{kind}_epi"))
            if self.profile == "bayer" and turn > 90.0:
                allowed = f"'linear' where {kind}_endo and {kind}_epi are more than 90 degrees apart; they are {turn:g}"
                raise InputError("profile", self.profile, allowed, "The other profile jumps within the wall.")


def ellipsoid_fibres(domain: Domain, *, alpha_endo: float = 90.0, alpha_epi: float = -90.0) -> FibreFrame:
    """Return the axes of an ideal ventricle by :meth:`homfem.meshing.shapes.ventricles.Ventricle.axes`; collective.

    They are constant in each cell, those at its middle; sheets are transmural. The defaults are those of Land et al.
    (2015), problem 3.

    Raises
    ------
    InputError
        For a domain that is no ideal ventricle, and angles that are not from -90 to 90.
    """
    if not isinstance(domain.shape, Ventricle):
        raise InputError("rule", "ellipsoid", "used for the shape 'ventricle'", "Other shapes have the rule 'ldrb'.")
    for name, angle in (("alpha_endo", alpha_endo), ("alpha_epi", alpha_epi)):
        check_number(name, angle, at_least=-90.0, at_most=90.0)
    middles = np.asarray(domain.mesh.geometry.x)[geometry_dofmap(domain.mesh)].mean(axis=1)
    fibre, sheet = domain.shape.axes(middles, alpha_endo, alpha_epi)
    return FibreFrame.of_cells(domain.mesh, fibre=fibre, sheet=sheet)


def ldrb_fibres(
    domain: Domain,
    *,
    angles: RuleAngles | None = None,
    apex: Any = None,
    tissue: Sequence[str] | None = None,
    rtol: float = 1e-12,
) -> FibreFrame:
    """Return the axes of a ventricle or of both by the Laplace-Dirichlet rule, constant in each cell; collective.

    Parameters
    ----------
    domain
        In three dimensions, with the boundaries ``base``, ``epi``, and ``endo`` or ``lv`` (and ``rv``).
    angles
        See :class:`RuleAngles`.
    apex
        A point; the nearest node is the apex. By default it is the boundary ``apex`` if there is one, else the node
        that is farthest from the plane through the base.
    tissue
        The regions with fibres; all others, such as blood and a bath, have none, and nothing passes to them. By default
        the whole domain is tissue.
    rtol
        Relative tolerance of the solves.

    Raises
    ------
    InputError
        Without these boundaries, for an apex outside of the domain, and where a direction is not defined: with the
        place.
    """
    angles = RuleAngles() if angles is None else angles
    if domain.dimension != 3:
        raise InputError("rule", "ldrb", f"used in 3 dimensions; the domain has {domain.dimension}")
    left, known = ("lv" if "lv" in domain.boundaries else "endo"), domain.boundaries
    for name in (left, "base", *([] if "rv" in known and "lv" in known else ["epi"])):
        domain.boundary(name, "boundaries")
    surfaces = [name for name in (left, "rv", "epi") if name in known and not (name == "rv" and left == "endo")]
    inside = _tissue_cells(domain, tissue)
    conducts = cell_function(domain, np.where(inside, 1.0, OUTSIDE))
    phi = _depths(domain, surfaces, conducts, inside, rtol)
    up = _Field(domain, _rising(domain, apex, conducts, inside, rtol), inside)
    fields = [phi.get(name) for name in (left, "rv", "epi")]
    frames = _joined(angles, up, fields, "gradient")
    frames[~inside] = 0.0
    bad = ~np.isfinite(frames).all(axis=(1, 2))
    if domain.comm.allreduce(bool(bad.any()), MPI.LOR):  # all corners on one surface: the cells around tell
        frames[bad] = _joined(angles, up, fields, "smooth")[bad]
    with collective(domain.comm):
        bad = ~np.isfinite(frames).all(axis=(1, 2))
        if bad.any():
            place = dict(zip("xyz", up.places[bad][0].tolist(), strict=True))
            allowed = "defined everywhere: here apex to base and through the wall are not two directions"
            raise InputError("fibres", place, allowed, "Name the boundaries otherwise, or refine the mesh there.")
    return FibreFrame.of_cells(domain.mesh, fibre=frames[:, :, 0], sheet=frames[:, :, 2])


class _Field:
    """A function of degree 1 on tetrahedra: its mean and gradient in each local cell, ghosts included."""

    def __init__(self, domain: Domain, function: fem.Function, inside: Flags) -> None:
        self._domain, self._space = domain, function.function_space
        dofs = np.asarray(function.function_space.dofmap.list)
        corners = function.function_space.tabulate_dof_coordinates()[dofs]
        values = np.asarray(function.x.array)[dofs]
        self.places, self.middle = corners.mean(axis=1), values.mean(axis=1)
        edges, rises = corners[:, 1:] - corners[:, :1], values[:, 1:] - values[:, :1]
        self.gradient = np.linalg.solve(edges, rises[:, :, None])[:, :, 0] * inside[:, None]

    @property
    def smooth(self) -> Array:
        """The mean over the corners of the mean gradients about them, by volume; collective."""
        dofs, owned = np.asarray(self._space.dofmap.list), self._domain.mesh.topology.index_map(3).size_local
        result = np.zeros_like(self.gradient)
        for k in range(3):
            function = fem.Function(self._space)
            shares = np.repeat(self.gradient[:owned, k, None] / 4.0, 4, axis=1)
            function.x.array[: self._space.dofmap.index_map.size_local] = self._domain.nodal_mean(self._space, shares)
            function.x.scatter_forward()
            result[:, k] = np.asarray(function.x.array)[dofs].mean(axis=1)
        return result


def _tissue_cells(domain: Domain, tissue: Sequence[str] | None) -> Flags:
    """Which of the local cells have fibres."""
    numbers = domain.region_of_cell
    if tissue is None:
        return np.ones(len(numbers), dtype=bool)
    return np.isin(numbers, [domain.region(name, "tissue") for name in tissue])


def _depths(
    domain: Domain, surfaces: list[str], conducts: fem.Function, inside: Flags, rtol: float
) -> dict[str, _Field]:
    """The solutions that are 1 on one of the surfaces and 0 on the others; one matrix serves all."""
    space = function_space(domain.mesh, "Lagrange", 1)

    def value(number: int) -> Any:
        return lambda _x, time: float(time == number)

    conditions = [Dirichlet(boundary=name, value=value(k)) for k, name in enumerate(surfaces)]
    problem = LinearProblem(
        domain=domain, space=space, coefficient=conducts, conditions=conditions, name="depth in the wall"
    )
    solver, found = EllipticSolver(problem, rtol=rtol), {}
    for k, name in enumerate(surfaces):
        function = fem.Function(space)
        solver.solve(function.x.petsc_vec, float(k))
        function.x.scatter_forward()
        found[name] = _Field(domain, function, inside)
    return found


def _rising(domain: Domain, apex: Any, conducts: fem.Function, inside: Flags, rtol: float) -> fem.Function:
    """What rises from the apex to the base, 0 there: from a boundary, or with a sink at one node.

    A value at one node in place of the sink gives a multiple of it: directions are the same, and have a limit under
    refinement.
    """
    space = function_space(domain.mesh, "Lagrange", 1)
    conditions = [Dirichlet(boundary="base", value=0.0)]
    of_boundary = apex is None and "apex" in domain.boundaries
    if of_boundary:
        conditions.append(Dirichlet(boundary="apex", value=-1.0))
    problem = LinearProblem(
        domain=domain, space=space, coefficient=conducts, conditions=conditions, name="apex to base"
    )
    solver, function = EllipticSolver(problem, rtol=rtol), fem.Function(space)
    load = None
    if not of_boundary:
        load = solver.matrix.createVecLeft()
        load.set(0.0)
        nodes = np.unique(np.asarray(space.dofmap.list)[inside])
        node = _apex_node(domain, space, dofs_on(problem, "base"), nodes, apex)
        if node is not None:
            load.array[node] = -1.0
    solver.solve(function.x.petsc_vec, more=load)
    function.x.scatter_forward()
    return function


def _apex_node(domain: Domain, space: fem.FunctionSpace, base: Array, nodes: Array, apex: Any) -> int | None:
    """The dof of the apex on the rank that owns it, None on others; collective."""
    comm, owned = domain.comm, space.dofmap.index_map.size_local
    points, size = space.tabulate_dof_coordinates()[:owned], float(np.ptp(bounding_box(domain), axis=0).max())
    if apex is None:
        sums = comm.allreduce(np.concatenate([[len(base)], points[base].sum(axis=0)]))
        centre = sums[1:] / sums[0]
        spread = points[base] - centre
        normal = np.linalg.eigh(comm.allreduce(spread.T @ spread))[1][:, 0]
        far = np.abs((points - centre) @ normal)
    else:
        at = [check_number(f"apex[{k}]", value) for k, value in enumerate(apex)]
        if len(at) != 3:
            raise InputError("apex", at, "a point with 3 coordinates")
        far = -np.linalg.norm(points - at, axis=1)
    chosen = np.full(owned, -np.inf)
    chosen[nodes[nodes < owned]] = far[nodes[nodes < owned]]
    best = comm.allreduce(float(chosen.max(initial=-np.inf)), MPI.MAX)
    if apex is not None and -best > 0.1 * size:
        raise InputError("apex", at, f"a point of the domain; the nearest node is {-best:.4g} away")
    near = np.flatnonzero(chosen >= best - SAME_DISTANCE * size)
    mine = min(((tuple(np.round(points[k] / size, 9).tolist()), int(k)) for k in near), default=None)
    least = min(key for key in comm.allgather(None if mine is None else mine[0]) if key is not None)
    return mine[1] if mine is not None and mine[0] == least else None


def _joined(angles: RuleAngles, rising: _Field, fields: list[_Field | None], gradient: str) -> Array:
    """The frames of cells as columns: fibre, sheet normal, sheet; from psi and the depths of lv, rv and epi."""
    up = getattr(rising, gradient)
    zero = np.zeros(len(up)), np.zeros((len(up), 3))
    lv, rv, epi = (zero if field is None else (field.middle, getattr(field, gradient)) for field in fields)
    total = lv[0] + rv[0]
    d = np.where(total > NO_DIRECTION, rv[0] / np.where(total > NO_DIRECTION, total, 1.0), 0.0)
    d, depth = np.clip(d, 0.0, 1.0), np.clip(epi[0], 0.0, 1.0)
    walls = {}
    for kind in ("alpha", "beta"):
        inner, outer = getattr(angles, f"{kind}_endo"), getattr(angles, f"{kind}_epi")
        wall = (1.0 - depth) * inner + depth * outer
        walls[kind] = wall, (1.0 - 2.0 * d) * (wall if angles.profile == "linear" else inner)
    scale = np.linalg.norm(lv[1], axis=1) + np.linalg.norm(rv[1], axis=1) + np.linalg.norm(epi[1], axis=1)
    inner = walls["alpha"][1], walls["beta"][1]
    outer = walls["alpha"][0], walls["beta"][0]
    of_lv = _turned(_axes(up, -lv[1], scale), *inner)
    of_rv = _turned(_axes(up, rv[1], scale), *inner)
    of_epi = _turned(_axes(up, epi[1], scale), *outer)
    return bislerp(bislerp(of_lv, of_rv, d), of_epi, depth)


def _axes(up: Array, through: Array, scale: Array) -> Array:
    """The axes e_c, e_l, e_t as columns, shape (n, 3, 3); nan where they are not defined."""
    with np.errstate(all="ignore"):
        along = up / np.linalg.norm(up, axis=1)[:, None]
        across = through - np.einsum("ij,ij->i", through, along)[:, None] * along
        length = np.linalg.norm(across, axis=1)
        across = across / np.where(length > NO_DIRECTION * scale, length, np.nan)[:, None]
    return np.stack([np.cross(along, across), along, across], axis=2)


def _turned(axes: Array, alpha: Array, beta: Array) -> Array:
    """Axes turned by alpha about the third, then by beta about the first: fibre, sheet normal, sheet as columns."""
    c, s = np.cos(np.radians(alpha))[:, None], np.sin(np.radians(alpha))[:, None]
    first, second, third = axes[:, :, 0], axes[:, :, 1], axes[:, :, 2]
    fibre, second = c * first + s * second, c * second - s * first
    c, s = np.cos(np.radians(beta))[:, None], np.sin(np.radians(beta))[:, None]
    return np.stack([fibre, c * second - s * third, s * second + c * third], axis=2)


def bislerp(first: Array, second: Array, t: Array) -> Array:
    """Return frames between frames: the shortest rotation from the first to the second, up to signs of axes.

    Parameters
    ----------
    first, second
        Rotations, shape (n, 3, 3), axes as columns. Where one of them is nan the other one is taken.
    t
        Part of the way, shape (n,).
    """
    known = [np.asarray(np.isfinite(frames).all(axis=(1, 2))) for frames in (first, second)]
    some, result = known[0] | known[1], np.full_like(first, np.nan)
    first, second = np.where(known[0][:, None, None], first, second), np.where(known[1][:, None, None], second, first)
    a, b, t = _quaternions(first[some]), _quaternions(second[some]), t[some]
    w, x, y, z = b.T
    # b times 1, i, j, k: the frame with two of its axes the other way.
    turned = np.stack([b.T, [-x, w, z, -y], [-y, -z, w, x], [-z, y, -x, w]]).transpose(2, 0, 1)
    dots = np.einsum("nkc,nc->nk", turned, a)
    best = np.argmax(np.abs(dots), axis=1)
    rows = np.arange(len(best))
    dot = dots[rows, best]
    b, dot = turned[rows, best] * np.where(dot < 0.0, -1.0, 1.0)[:, None], np.minimum(np.abs(dot), 1.0)
    angle = np.arctan2(np.sqrt(np.maximum(1.0 - dot * dot, 0.0)), dot)
    small = angle < 1e-6
    sine = np.where(small, 1.0, np.sin(angle))
    left = np.where(small, 1.0 - t, np.sin((1.0 - t) * angle) / sine)
    right = np.where(small, t, np.sin(t * angle) / sine)
    q = left[:, None] * a + right[:, None] * b
    result[some] = _rotations(q / np.linalg.norm(q, axis=1)[:, None])
    return result


def _quaternions(frames: Array) -> Array:
    """Unit quaternions (w, x, y, z) of rotations, shape (n, 4): by the largest of the four components."""
    m = frames.transpose(1, 2, 0)
    xx, yy, zz = m[0, 0], m[1, 1], m[2, 2]
    a, b, c = m[2, 1] - m[1, 2], m[0, 2] - m[2, 0], m[1, 0] - m[0, 1]
    d, e, f = m[0, 1] + m[1, 0], m[0, 2] + m[2, 0], m[1, 2] + m[2, 1]
    # Rows of 4 q q^T.
    rows = np.array([
        [1 + xx + yy + zz, a, b, c],
        [a, 1 + xx - yy - zz, d, e],
        [b, d, 1 - xx + yy - zz, f],
        [c, e, f, 1 - xx - yy + zz],
    ])  # fmt: skip
    largest = np.argmax(np.stack([rows[k, k] for k in range(4)]), axis=0)
    q = rows[largest, :, np.arange(frames.shape[0])]
    return np.asarray(q / np.linalg.norm(q, axis=1)[:, None])


def _rotations(q: Array) -> Array:
    """Rotations of unit quaternions, shape (n, 3, 3)."""
    w, x, y, z = q.T
    return np.array([
        [1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)],
        [2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)],
        [2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)],
    ]).transpose(2, 0, 1)  # fmt: skip
