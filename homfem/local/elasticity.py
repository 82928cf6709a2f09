r"""The elastic cell problem, with eigenstresses and the pressure of a fluid in the pores.

With the strain :math:`\varepsilon(u) = \mathrm{sym}\nabla u` in Voigt notation (engineering shear) and the stiffness
:math:`C`, constant on each mesh cell, the loads are the unit macroscopic strains :math:`E_i` (6 in 3D; 3 in 2D, plane
strain or plane stress, which differ in :math:`C` alone):

.. math:: \int \varepsilon(v)\cdot C\,(E_j+\varepsilon(\chi_j)) = 0 ,\qquad
          C^*_{ij} = \frac1{|Y|}\int (E_i+\varepsilon(\chi_i))\cdot C\,(E_j+\varepsilon(\chi_j)) .

The averaged expression is the energy: for any conforming corrector an upper bound of :math:`C^*` in the Loewner order.
Phases that are left out are voids.

More loads follow the strains. An **eigenstress** :math:`\tau` (stress at zero strain: :math:`-C\alpha` per unit of
temperature with the thermal strain :math:`\alpha`, or an active stress) adds :math:`s\,\tau` to the stress, the
**pressure** :math:`p` of a fluid in the voids pulls :math:`\sigma n=-p\,n` at the walls. All are in one potential

.. math:: \Psi(E, s, p) = \min_w \frac1{|Y|}\Bigl[\int \tfrac12(E+\varepsilon(w))\cdot C(E+\varepsilon(w))
          + s\,\tau\cdot(E+\varepsilon(w)) + p\int_\Gamma w\cdot n\Bigr] - p\,\varphi\,\mathrm{tr}E

with the porosity :math:`\varphi` and the normal :math:`n` out of the solid; the matrix of averages is that of its
second derivatives. Its last columns are what they add to the macroscopic stress,
:math:`\Sigma = \partial\Psi/\partial E = C^*E + s\,\tau^* - p\,b` with Biot's tensor :math:`b`, and
:math:`\partial^2\Psi/\partial p^2 = -1/N` with Biot's modulus :math:`N` of the pore volume.

Source: Levin 1967 (thermal expansion); Dormieux, Kondo, Ulm 2006, Microporomechanics, sections 5.1-5.3 (pressure).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import ufl
from dolfinx import fem

from homfem import solve
from homfem.brackets import symmetric
from homfem.cells.unitcell import UnitCell
from homfem.fields import check_spd_field
from homfem.local.problem import CellProblem, Field, domain_of, element_of, on_domain
from homfem.local.samples import sample
from homfem.parameters import Array, InputError
from homfem.ranks import collective
from homfem.stiffness import PAIRS, check_plane, check_stiffness, isotropic_field, stiffness, voigt_to_mandel

#: A stiffness of one phase: moduli, a Voigt matrix, or a function of position (d, n) -> (n, m, m).
Stiffness = Any


def elastic_coefficient(cell: UnitCell, stiffnesses: Mapping[str, Stiffness], plane: str | None = None) -> fem.Function:
    """Return the stiffness of the cell's phases as Voigt matrices, constant on each mesh cell.

    Parameters
    ----------
    cell
        A cell whose phases are all named in ``stiffnesses``.
    stiffnesses
        For each phase what :func:`homfem.stiffness.stiffness` takes, or a function of position evaluated at the
        midpoint of each mesh cell: ``f(x)`` with ``x`` of shape (d, n) in mesh units returns Voigt matrices of shape
        (n, m, m), m = 6 or 3; a field of fibre directions, say. Or a numpy array of Voigt matrices, or moduli that are
        arrays, such as ``{"young": array, "poisson": 0.3}``, with a value for each element of the mesh as it was made,
        or voxel of the image: shape ``cell.element_shape``, of matrices that and (m, m).
    plane
        What vanishes out of the plane of a cell in 2D: ``"strain"`` (default), or ``"stress"``, of thin sheets: moduli
        and 6x6 matrices are reduced to it. A 3x3 matrix is that of the plane itself in either case.

    Raises
    ------
    InputError
        For a phase without stiffness and for one that is not positive definite, on every rank.
    """
    d = cell.dimension
    plane = check_plane(plane, d)
    size = len(PAIRS[d])
    for name in cell.phase_names:
        if name not in stiffnesses:
            raise InputError(f"stiffnesses[{name!r}]", None, "given for every phase of this cell")
    table: dict[str, Any] = {}
    for name in cell.phase_names:
        value = stiffnesses[name]
        table[name] = np.eye(size) if varies(cell, value) else stiffness(value, d, f"stiffnesses[{name!r}]", plane)
    function = cell.cell_function(table)
    entries = function.x.array.reshape(len(cell.phase_of_cell), -1)
    for name in cell.phase_names:
        inside = cell.phase_of_cell == cell.phases[name]
        if callable(stiffnesses[name]):
            entries[inside] = _sampled(cell, name, stiffnesses[name])[inside].reshape(-1, size * size)
        elif varies(cell, stiffnesses[name]):
            entries[inside] = _of_elements(cell, name, stiffnesses[name], inside, plane).reshape(-1, size * size)
    return function


def varies(cell: UnitCell, value: Stiffness) -> bool:
    """Return whether a stiffness is a function of position, or has a value for each element of the mesh."""
    size = len(PAIRS[cell.dimension])
    if isinstance(value, Mapping):
        return any(np.ndim(entry) > 0 for entry in value.values())
    return callable(value) or (isinstance(value, np.ndarray) and value.shape not in ((size, size), (6, 6)))


def _of_elements(
    cell: UnitCell, name: str, value: Stiffness, inside: npt.NDArray[np.bool_], plane: str | None
) -> Array:
    """Voigt matrices of the local cells of a phase whose stiffness has a value for each element; collective."""
    label, size, shape = f"stiffnesses[{name!r}]", len(PAIRS[cell.dimension]), cell.element_shape
    with collective(cell.comm):
        numbers = cell.element_of_cell[inside]
        if isinstance(value, Mapping):
            own: dict[str, Array] = {}
            for key, entry in value.items():
                array = np.asarray(entry, dtype=np.float64)
                if array.shape not in ((), shape):
                    allowed = f"a number or one for each voxel or mesh element: of shape {shape}"
                    raise InputError(f"{label}.{key}", f"an array of shape {array.shape}", allowed)
                own[key] = np.broadcast_to(array, shape)
            matrices = isotropic_field(label, own, cell.dimension, plane)
        else:
            matrices = value
            if value.shape != (*shape, size, size):
                allowed = (
                    f"a {size}x{size} Voigt matrix for each voxel or mesh element: of shape {(*shape, size, size)}"
                )
                raise InputError(label, f"an array of shape {value.shape}", allowed)
        return check_spd_field(label, matrices, shape, numbers, (size, size))


def _sampled(cell: UnitCell, name: str, function: Callable[[Array], Array]) -> Array:
    label, size = f"stiffnesses[{name!r}]", len(PAIRS[cell.dimension])
    values = sample(cell, label, function, ((size, size),))
    inside = cell.phase_of_cell == cell.phases[name]
    with collective(cell.comm):
        mine = values[inside]
        good = bool(np.all(np.isfinite(mine)))
        if good and len(mine):
            turned = mine.transpose(0, 2, 1)
            good = bool(np.all(np.abs(mine - turned) <= 1e-12 * np.abs(mine).max(axis=(1, 2), keepdims=True)))
            weights = voigt_to_mandel(np.ones((size, size)))
            worst = mine[np.argmin(np.linalg.eigvalsh(0.5 * (mine + turned) * weights)[:, 0])]
            good = good and np.linalg.eigvalsh(voigt_to_mandel(worst))[0] > 0.0
            if not good:
                check_stiffness(f"{label}(x)", worst, cell.dimension)
        if not good:
            raise InputError(label, function, "finite, symmetric and positive definite everywhere")
    return symmetric(values)


def voigt_strain(u: Any) -> Any:
    """Return the strain of a displacement as a UFL vector, engineering shear."""
    d = u.ufl_shape[0]
    gradient = ufl.grad(u)
    return ufl.as_vector([gradient[i, i] if i == j else gradient[i, j] + gradient[j, i] for i, j in PAIRS[d]])


def strained(x: Any, s: Any, d: int) -> Any:
    """Return the affine displacement of the macroscopic strain in the first loads, as a UFL vector."""
    rows: list[list[Any]] = [[0] * d for _ in range(d)]
    for k, (i, j) in enumerate(PAIRS[d]):
        rows[i][j] = rows[j][i] = s[k] if i == j else 0.5 * s[k]
    return ufl.as_matrix(rows) * x


def strain_parity(d: int) -> Array:
    """Return for each strain (rows) whether a mirror across each axis keeps it (1) or changes its sign (-1)."""
    return np.array([[(-1) ** ((i == m) + (j == m)) for m in range(d)] for i, j in PAIRS[d]])


def every_strain(s: Any, along: Sequence[int], size: int) -> Any:
    """Return the vector of all strains, of which the loads ``s`` give those at the places ``along``."""
    return ufl.as_vector([s[along.index(k)] if k in along else 0 for k in range(size)])


def rigid_motions(d: int) -> Callable[[Array], list[Array]]:
    """Return the function of points (3, n) that gives the translations and rotations, each of shape (d, n)."""

    def motions(x: Array) -> list[Array]:
        fields = [np.repeat(np.eye(d)[:, [k]], x.shape[1], axis=1) for k in range(d)]
        for i in range(d):
            for j in range(i + 1, d):
                turn = np.zeros((d, x.shape[1]))
                turn[i], turn[j] = -x[j], x[i]
                fields.append(turn)
        return fields

    return motions


def elasticity_problem(
    cell: UnitCell,
    coefficient: fem.Function,
    *,
    degree: int = 2,
    strains: Sequence[int] | None = None,
    eigenstresses: Sequence[fem.Function] = (),
    pressure: bool = False,
    backend: str | None = None,
    boundary: str = "periodic",
) -> CellProblem:
    """Return the elastic cell problem of a cell.

    Parameters
    ----------
    cell
        Restricted to the solid phases.
    coefficient
        As :func:`elastic_coefficient` gives it.
    degree
        Of the displacement, 1 to 4.
    strains
        The macroscopic strains that are loads, by their place in :data:`homfem.stiffness.PAIRS`; by default all. Not
        with eigenstresses or pressure.
    eigenstresses
        Voigt vectors, constant on each mesh cell: one more load for each.
    pressure
        Whether the pressure in the voids is the last load.
    backend, boundary
        What it is solved with. Eigenstresses and pressure are for ``boundary="periodic"``.
    """
    d = cell.dimension
    size = len(PAIRS[d])
    along = list(range(size)) if strains is None else list(strains)
    if (eigenstresses or pressure) and strains is not None:
        raise InputError("strains", strains, "None with eigenstresses or pressure")
    if (eigenstresses or pressure) and boundary != "periodic":
        raise InputError("boundary", boundary, "'periodic' with eigenstresses or pressure")
    domain = domain_of(cell, backend, boundary)
    solid = _Solid(
        dimension=d,
        domain=domain,
        modulus=on_domain(cell, coefficient, domain),
        stresses=tuple(on_domain(cell, stress, domain) for stress in eigenstresses),
        voids=fem.Constant(domain, _void_ratio(cell, domain)) if pressure else None,
    )
    element = element_of(cell, "Lagrange", degree, shape=(d,))
    further = len(eigenstresses) + pressure
    return CellProblem(
        name="elasticity",
        fields=(Field(element=element, near_kernel=rigid_motions(d), name="displacement"),),
        loads=len(along) + further,
        bilinear=solid.bilinear,
        affine=lambda x, s: strained(x, every_strain(s, along, size), d),
        linear=solid.linear if further else None,
        average=solid.average if further else None,
        flux=solid.total,
        parity=None if further else strain_parity(d)[along],
        domain=domain,
        coefficients=solid.coefficients,
        given=() if solid.voids is None else (solid.voids,),
        formula=("elasticity", tuple(along), len(eigenstresses), pressure),
    )


def _void_ratio(cell: UnitCell, domain: Any) -> float:
    """The volume of the voids over that of the solid; islands, no part of the mesh, float in them. Collective."""
    solid = solve.volume(domain)
    return (cell.lattice.volume - solid) / solid


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class _Solid:
    """The forms of an elastic cell; its loads are the strains, then the eigenstresses, then the pressure.

    With a pressure ``voids`` is their volume over that of the solid.
    """

    dimension: int
    domain: Any
    modulus: fem.Function
    stresses: tuple[fem.Function, ...]
    voids: fem.Constant | None

    @property
    def size(self) -> int:
        """Number of strains."""
        return len(PAIRS[self.dimension])

    @property
    def coefficients(self) -> dict[str, fem.Function]:
        """The material by name."""
        return {"stiffness": self.modulus} | {f"eigenstress {k + 1}": own for k, own in enumerate(self.stresses)}

    def stress(self, u: Any) -> Any:
        """The elastic stress of a displacement."""
        return ufl.dot(self.modulus, voigt_strain(u))

    def bilinear(self, u: Any, v: Any) -> ufl.Form:
        """The elastic work."""
        return ufl.inner(self.stress(u), voigt_strain(v)) * ufl.dx

    def total(self, u: Any, s: Any) -> Any:
        """The stress of a displacement and of the loads."""
        whole = self.stress(u)
        for k, own in enumerate(self.stresses):
            whole += s[self.size + k] * own
        return whole

    def macroscopic(self, s: Any) -> Any:
        """The macroscopic strain."""
        return ufl.as_vector([s[k] for k in range(self.size)])

    def further(self, s: Any, z: Any, strain: Any) -> ufl.Form:
        """The work of the further loads ``s`` on a displacement at the walls and on a strain."""
        form = sum(s[self.size + k] * ufl.inner(own, strain) * ufl.dx for k, own in enumerate(self.stresses))
        if self.voids is None:
            return form
        return form + s[self._at_pressure] * ufl.inner(z, ufl.FacetNormal(self.domain)) * ufl.ds

    @property
    def _at_pressure(self) -> int:
        return self.size + len(self.stresses)

    def linear(self, v: Any, s: Any) -> ufl.Form:
        """The work of the loads."""
        elastic = ufl.inner(ufl.dot(self.modulus, self.macroscopic(s)), voigt_strain(v)) * ufl.dx
        return -elastic - self.further(s, v, voigt_strain(v))

    def average(self, w: Any, s: Any, z: Any, t: Any) -> ufl.Form:
        """The work of one load on another."""
        one, other = self.macroscopic(s) + voigt_strain(w), self.macroscopic(t) + voigt_strain(z)
        form = ufl.inner(ufl.dot(self.modulus, one), other) * ufl.dx
        form += self.further(s, z, other) + self.further(t, w, one)
        if self.voids is None:
            return form
        # The pressure works on the macroscopic change of the voids too.
        for load, strain in ((s, t), (t, s)):
            trace = sum(strain[k] for k in range(self.dimension))
            form -= self.voids * load[self._at_pressure] * trace * ufl.dx(self.domain)
        return form
