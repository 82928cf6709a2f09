"""What follows from the matrix of an effective tensor and its bounds: gaps, principal axes, moduli. No dolfinx here."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from homfem import brackets
from homfem.kinds import SENSITIVITY, TensorKind
from homfem.parameters import Array, InputError
from homfem.stiffness import INDEX_NAMES, EngineeringConstants, dimension_of, voigt_to_mandel
from homfem.tensors import anisotropy, moduli


class TensorProperties:
    """The derived quantities of :class:`homfem.tensors.EffectiveTensor`, which has the fields."""

    __slots__ = ()

    value: Array
    lower: Array | None
    upper: Array | None
    kind: TensorKind
    plane: str | None
    volume_fractions: Mapping[str, float]
    active_phases: tuple[str, ...]
    geometric_error: float
    averaged_over: str
    retardation: float

    @property
    def dimension(self) -> int:
        """Size of the matrix: the number of loads of the cell problem."""
        return int(self.value.shape[0])

    @property
    def space_dimension(self) -> int:
        """Number of space dimensions: that of the solid where the tensor is a stiffness, else :attr:`dimension`."""
        return dimension_of(self.value) if self.kind.voigt else self.dimension

    @property
    def active_fraction(self) -> float:
        """Volume fraction of the phases that carry the flux (1 if no phase is named)."""
        if not self.active_phases:
            return 1.0
        return float(sum(self.volume_fractions[name] for name in self.active_phases))

    @property
    def storage(self) -> float:
        """Capacity per total volume, before the change in time: the active fraction times the retardation."""
        return self.active_fraction * self.retardation

    @property
    def effective_coefficient(self) -> Array:
        """The value over :attr:`storage`; without retardation per volume of the active phases.

        Goel's effective diffusion coefficient (EDC). It is ``value`` where that is averaged over the active phases.
        """
        return np.asarray(self.value if self.averaged_over == "active" else self.value / self.storage)

    @property
    def half_gap(self) -> float | None:
        """Largest half-distance of the bounds over all unit directions, in ``unit``; None without both bounds.

        For a stiffness over all strains of unit (Frobenius) norm.
        """
        if self.lower is None or self.upper is None:
            return None
        return 0.5 * float(np.linalg.norm(self.in_orthonormal_basis(self.upper - self.lower), 2))

    @property
    def relative_gap(self) -> float | None:
        r"""Largest relative half-gap over all directions, :math:`\max_\xi \frac{\xi\cdot(U-L)\xi}{\xi\cdot(U+L)\xi}`.

        None without both bounds; see :func:`homfem.brackets.relative_gap`. One or more, or infinite, when the bounds
        say nothing about some direction.
        """
        if self.lower is None or self.upper is None:
            return None
        return brackets.relative_gap(self.lower, self.upper)

    @property
    def entry_bounds(self) -> tuple[Array, Array] | None:
        r"""Bounds of each entry that follow from those in every direction; None without both of these.

        With :math:`M=(L+U)/2` and :math:`G=(U-L)/2` it is :math:`|D_{ij}-M_{ij}|\le\sqrt{G_{ii}G_{jj}}`, and nothing
        narrower holds for an entry alone.
        """
        if self.lower is None or self.upper is None:
            return None
        middle, half = brackets.symmetric(0.5 * (self.lower + self.upper)), 0.5 * np.diag(self.upper - self.lower)
        root = np.sqrt(np.maximum(half, 0.0))
        width = (1.0 + 8.0 * brackets.EPS) * np.outer(root, root) + 2.0 * brackets.EPS * np.abs(middle)
        below, above = middle - width, middle + width
        np.fill_diagonal(below, np.diag(self.lower))
        np.fill_diagonal(above, np.diag(self.upper))
        return below, above

    @property
    def relative_geometric_error(self) -> float:
        """``geometric_error`` over the smallest principal value; a direction in which nothing flows does not count.

        Of a sensitivity, which may have either sign, over the largest entry.
        """
        if self.kind == SENSITIVITY:
            return self.geometric_error / float(np.abs(self.value).max(initial=0.0) or math.inf)
        values = np.abs(self.principal_values)
        return self.geometric_error / float(values[values > 1e-9 * values.max(initial=0.0)].min(initial=math.inf))

    @property
    def principal_values(self) -> Array:
        """Eigenvalues of the symmetric part of ``value``, descending; shape (n,), unit ``unit``.

        For a stiffness those of its Mandel matrix.
        """
        return anisotropy.principal(self.in_orthonormal_basis(self.value))[0]

    @property
    def principal_axes(self) -> Array:
        """Unit principal axes as rows, in the order of :attr:`principal_values`; shape (n, n).

        For a stiffness the eigenstrains in Mandel notation.
        """
        return anisotropy.principal(self.in_orthonormal_basis(self.value))[1]

    @property
    def anisotropy_ratio(self) -> float:
        """Largest over smallest principal value; infinite where a direction does not conduct."""
        values = self.principal_values
        return float(values[0] / values[-1]) if values[-1] > 1e-12 * abs(values[0]) else float("inf")

    @property
    def anisotropy(self) -> str:
        """Class of a second-order tensor as far as the bounds can tell.

        ``"isotropic"``, ``"transversely isotropic"`` (3D: two principal values equal) or ``"orthotropic"``. Two
        principal values count as equal when they differ by no more than the width of the bracket, or by 1e-6 of the
        largest where that is more. For a stiffness the class of :func:`homfem.stiffness.symmetry` about the coordinate
        axes, within the width of the bracket. ``"undetermined"`` where the bracket is wider than a tenth of the value
        and does not tell these classes apart. Without bounds it is the class of the value alone.
        """
        return anisotropy.class_within(self.value, self.kind.voigt, self.class_width or 0.0)

    @property
    def class_width(self) -> float | None:
        """Relative width of the bracket, within which :attr:`anisotropy` holds; None without both bounds."""
        if self.half_gap is None or self.relative_gap is None:
            return None
        if self.kind.voigt:
            return 2.0 * self.relative_gap
        return 2.0 * self.half_gap / (abs(float(self.principal_values[0])) or 1.0)

    @property
    def engineering_constants(self) -> EngineeringConstants | None:
        """Constants of a stiffness about the coordinate axes; None where it transmits no stress in some direction."""
        return moduli.constants(self)

    @property
    def young_moduli(self) -> Array:
        r"""Young's moduli :math:`E_i=1/S_{ii}`, :math:`S=C^{-1}`, of a stiffness along the axes; shape (d,), ``unit``.

        In plane strain those of stress along i at :math:`\varepsilon_{zz}=0`, as for the other constants. InputError if
        the tensor is no stiffness, or transmits no stress in some direction.
        """
        return moduli.existing(self).young

    @property
    def shear_moduli(self) -> Array:
        r"""Shear moduli :math:`1/S_{II}` of a stiffness in yz, xz, xy, or in 2D xy; shape (3,) or (1,), ``unit``."""
        return moduli.existing(self).shear

    @property
    def poisson_ratios(self) -> Array:
        r"""Poisson's ratios :math:`\nu_{ij}=-S_{ji}/S_{ii}` of a stiffness: contraction along j over extension along i.

        Under stress along i alone; shape (d, d), NaN on the diagonal.
        """
        return moduli.existing(self).poisson

    def contains(self, matrix: npt.ArrayLike, *, slack: float = 0.0) -> bool:
        """Tell whether ``lower <= matrix <= upper`` in the Loewner order, up to ``slack`` (in ``unit``)."""
        if self.lower is None or self.upper is None:
            raise InputError("bounds", None, "both present to ask what lies between them")
        array = np.asarray(matrix, dtype=np.float64)
        array = array * np.eye(self.dimension) if array.ndim == 0 else array
        above = np.linalg.eigvalsh(brackets.symmetric(array - self.lower))[0]
        below = np.linalg.eigvalsh(brackets.symmetric(self.upper - array))[0]
        return bool(above >= -slack and below >= -slack)

    def in_orthonormal_basis(self, matrix: Array) -> Array:
        """The symmetric part of a matrix of this tensor's kind; a stiffness as Mandel matrix."""
        return voigt_to_mandel(brackets.symmetric(matrix)) if self.kind.voigt else brackets.symmetric(matrix)


def entry_names(size: int, voigt: bool) -> npt.NDArray[np.str_]:
    """Return the indices of each entry of a matrix as text: ``"xy"``, of a stiffness ``"xxyy"``; shape (size, size)."""
    if voigt:
        names = INDEX_NAMES[2 if size == 3 else 3]
    else:
        names = tuple("xyz"[:size]) if size <= 3 else tuple(f"{k + 1}," for k in range(size))
    return np.array([[f"{row}{column}".rstrip(",") for column in names] for row in names])
