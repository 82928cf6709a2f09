"""The effective tensor: what a cell problem gives and a macroscale model takes. No dolfinx here.

An :class:`EffectiveTensor` carries its value, the two sides between which the theory puts it, and everything that is
needed to say where it came from. It goes to JSON and back without loss.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from homfem import brackets
from homfem.coefficients import NamedCoefficient, named_coefficients, plain
from homfem.descriptions import checked_description, read_description
from homfem.disk import write_text
from homfem.kinds import GENERAL, PHYSICS, TensorKind, conduction_in, read_kind, settled
from homfem.parameters import Array, InputError, UnitError, check_choice, check_number, check_spd
from homfem.quantities import conversion_factor
from homfem.stiffness import PLANES, EngineeringConstants, dimension_of, stiffness, voigt_to_mandel
from homfem.tensors import anisotropy, moduli
from homfem.tensors.text import described


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class EffectiveTensor:
    r"""An effective (homogenized) coefficient with its guaranteed bounds and its provenance.

    For diffusion ``value`` is :math:`D^*_{ij} = \frac1{|Y|}\int_Y e_i\cdot D(e_j+\nabla\chi_j)\,dy`, averaged over the
    *whole* cell, phases that do not conduct included, so that the macroscale equation reads
    :math:`\gamma\,\partial_t u = \nabla\cdot(D^*\nabla u)` with the volume fraction :math:`\gamma` of the phase.

    Parameters
    ----------
    value : array, shape (n, n)
        The estimate, between the bounds: where both exist the midpoint of the two energies, without what the solver
        and round-off may have left in them, unless the method says otherwise. Unit: ``unit``.
    lower, upper : array of the same shape, or None
        :math:`\xi\cdot L\xi\le\xi\cdot D^*\xi\le\xi\cdot U\xi` for every :math:`\xi` (Loewner order); None where the
        theory gives no guarantee. Symmetric and in order.
    unit : str
        Unit of ``value``, such as ``"um^2/s"``; empty if it was never given.
    plane : str or None
        Of a stiffness in 2D: ``"strain"`` or ``"stress"``, what vanishes out of the plane.
    physics, method, boundary : str
        The cell problem, the way it was solved, and the boundary condition of the cell.
    kind : TensorKind
        What the entries mean (:mod:`homfem.kinds`): that of the physics, where the package knows it. Of another
        physics it says the basis, the unit and the symmetry; without it nothing more is known of the tensor.
    volume_fractions : mapping
        Phase name to volume fraction; they sum to one.
    active_phases : tuple of str
        The phases that carry the flux (the others insulate).
    membranes : mapping
        Permeability of each interface that resists the flux, in ``unit`` per ``length_unit``.
    interface_area : float or None
        Area of the phase interfaces per cell volume; unit: 1 / ``length_unit``. None where no unit of length is known.
    length_unit : str
        Unit of length of the cell.
    dofs, iterations : int
        Unknowns of the largest linear system and iterations summed over all loads.
    seconds : mapping
        Wall time by stage, and ``"total"``.
    ranks : int
        Number of MPI ranks that computed it.
    versions : mapping
        Versions of the packages that computed it.
    config : mapping
        The input that made it.
    geometric_error : float
        Estimate of what the straight facets of the mesh may change in the tensor of curved phases, in ``unit``; not in
        the bounds, which are those of the mesh. Zero where the mesh is the shape.
    roundoff : float
        By how much the bounds were moved apart, in the worst direction, for what floating-point round-off can have done
        to them, in ``unit``; it is in the bounds. Zero where it is not accounted for.
    coefficients : mapping
        Further effective coefficients by name, such as the thermal expansion of a solid, each with bounds and unit.
    estimated_error : float or None
        Estimate, without guarantee, of the relative error that the mesh leaves in ``value``, where there are no bounds.
        Of methods for block media: what bounds by another method leave to it (:mod:`homfem.blocks`).
    reached : bool
        False if the computation ended short of the tolerance that was asked for, which counts the half-gap and the
        geometric error, or if a bound says nothing: ``warnings`` then tell why.
    warnings : tuple of str
        What the user must know of this number beside the number: a phase that was left out, a reading that was chosen.

    Raises
    ------
    InputError
        If the arrays do not fit together, a bound is not symmetric, or the bounds are not in order; if the kind is
        another than that of the physics.
    UnitError
        If the unit is none of this kind.

    Source
    ------
    Goel, Sneyd, Friedman 2006, eqs 2.25, 2.27 (definition), Multiscale Model. Simul. 5(4), 1045.
    """

    value: Array
    lower: Array | None = None
    upper: Array | None = None
    unit: str = ""
    physics: str = "diffusion"
    kind: TensorKind = field(default=GENERAL, repr=False)
    plane: str | None = None
    method: str = "finite-element"
    boundary: str = "periodic"
    volume_fractions: Mapping[str, float] = field(default_factory=dict)
    active_phases: tuple[str, ...] = ()
    membranes: Mapping[str, float] = field(default_factory=dict)
    interface_area: float | None = 0.0
    length_unit: str = ""
    dofs: int = 0
    iterations: int = 0
    seconds: Mapping[str, float] = field(default_factory=dict)
    ranks: int = 1
    versions: Mapping[str, str] = field(default_factory=dict)
    config: Mapping[str, Any] = field(default_factory=dict)
    geometric_error: float = 0.0
    roundoff: float = 0.0
    coefficients: Mapping[str, NamedCoefficient] = field(default_factory=dict)
    estimated_error: float | None = None
    reached: bool = True
    warnings: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        value = np.array(self.value, dtype=np.float64)
        if value.ndim != 2 or value.shape[0] != value.shape[1] or not np.all(np.isfinite(value)):
            raise InputError("value", self.value, "a finite square matrix")
        object.__setattr__(self, "value", value)
        kind = settled(read_kind(self.kind), self.physics)
        object.__setattr__(self, "kind", kind)
        object.__setattr__(self, "unit", kind.check_unit(self.unit))
        if self.plane is not None:
            check_choice("plane", self.plane, PLANES)
        for name in ("lower", "upper"):
            bound = getattr(self, name)
            if bound is None:
                continue
            array = np.array(bound, dtype=np.float64)
            if array.shape != value.shape or not np.all(np.isfinite(array)):
                raise InputError(name, bound, f"a finite {value.shape[0]}x{value.shape[0]} matrix or None")
            brackets.check_symmetric(name, array)
            brackets.check_symmetric("value", value)
            object.__setattr__(self, name, array)
        for low, high in (("lower", "upper"), ("lower", "value"), ("value", "upper")):
            if getattr(self, low) is not None and getattr(self, high) is not None:
                brackets.check_order(low, getattr(self, low), high, getattr(self, high))
        object.__setattr__(self, "coefficients", named_coefficients(self.coefficients))
        object.__setattr__(self, "active_phases", tuple(self.active_phases))
        object.__setattr__(self, "warnings", tuple(self.warnings))

    @classmethod
    def measured(
        cls,
        name: str,
        value: Any,
        *,
        volume_fraction: float = 1.0,
        unit: str = "",
        dimension: int = 3,
        physics: str | None = None,
    ) -> EffectiveTensor:
        """Return a tensor that was measured rather than computed, for a macroscale model.

        Parameters
        ----------
        name
            Name of the phase that carries the flux or the stress.
        value
            A positive number or a symmetric positive definite matrix, averaged over the whole tissue. A stiffness
            (``physics="elasticity"``) as :func:`homfem.stiffness.stiffness` takes it.
        volume_fraction
            Volume fraction of that phase, in (0, 1].
        unit, dimension
            Unit of ``value``; number of space dimensions.
        physics
            What it is a tensor of, see :data:`homfem.kinds.PHYSICS`; by default the conduction that the unit belongs
            to, ``"conductivity"`` for S/m, and diffusion without a unit.

        Raises
        ------
        InputError
            If the value is not positive definite, or a parameter is out of range; UnitError for a unit of another kind.
        """
        check_number("volume_fraction", volume_fraction, above=0.0, at_most=1.0)
        physics = check_choice("physics", physics or conduction_in(unit), tuple(PHYSICS))
        kind = PHYSICS[physics]
        return cls(
            value=stiffness(value, dimension, name) if kind.voigt else check_spd(name, value, dimension),
            unit=unit,
            physics=physics,
            method="measured",
            boundary="none",
            volume_fractions={name: volume_fraction},
            active_phases=(name,),
        )

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
    def effective_coefficient(self) -> Array:
        """``value`` per volume of the active phases: Goel's effective diffusion coefficient (EDC)."""
        return np.asarray(self.value / self.active_fraction)

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
    def relative_geometric_error(self) -> float:
        """``geometric_error`` over the smallest principal value; a direction in which nothing flows does not count."""
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

    def to(self, unit: str) -> EffectiveTensor:
        """Return the same tensor in another unit of its kind, with its bounds; further coefficients keep theirs.

        Raises
        ------
        UnitError
            If the tensor has no unit, or the unit is of another dimension.
        """
        if not self.unit:
            raise UnitError("unit", self.unit, f"given, to be converted to {unit}")
        wanted = self.kind.check_unit(unit)
        factor = conversion_factor(self.unit, wanted)
        given = {name: getattr(self, name) for name in ("value", "lower", "upper", "roundoff", "geometric_error")}
        scaled = {name: factor * entry for name, entry in given.items() if entry is not None}
        membranes = {name: factor * entry for name, entry in self.membranes.items()}
        return replace(self, unit=wanted, membranes=membranes, **scaled)

    def contains(self, matrix: npt.ArrayLike, *, slack: float = 0.0) -> bool:
        """Tell whether ``lower <= matrix <= upper`` in the Loewner order, up to ``slack`` (in ``unit``)."""
        if self.lower is None or self.upper is None:
            raise InputError("bounds", None, "both present to ask what lies between them")
        array = np.asarray(matrix, dtype=np.float64)
        array = array * np.eye(self.dimension) if array.ndim == 0 else array
        above = np.linalg.eigvalsh(brackets.symmetric(array - self.lower))[0]
        below = np.linalg.eigvalsh(brackets.symmetric(self.upper - array))[0]
        return bool(above >= -slack and below >= -slack)

    def to_dict(self) -> dict[str, Any]:
        """Return plain lists, numbers and strings: the JSON fields of the command line's result."""
        result = {f.name: plain(getattr(self, f.name)) for f in fields(self)}
        gap = self.relative_gap
        result["relative_gap"] = gap if gap is not None and math.isfinite(gap) else None
        result["effective_coefficient"] = self.effective_coefficient.tolist()
        result["principal_values"] = self.principal_values.tolist()
        result["principal_axes"] = self.principal_axes.tolist()
        if self.dimension <= 3 or self.kind.voigt:
            result["anisotropy"] = self.anisotropy
        if self.kind.voigt:
            constants = self.engineering_constants
            result["engineering_constants"] = None if constants is None else constants.to_dict()
        return result

    def to_json(self, path: str | Path | None = None) -> str:
        """Return the tensor as JSON text, and write it to ``path`` (whole or not at all) if given."""
        text = json.dumps(self.to_dict(), indent=2, allow_nan=False) + "\n"
        if path is not None:
            write_text(path, text)
        return text

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> EffectiveTensor:
        """Return the tensor that :meth:`to_dict` wrote; derived fields are computed anew."""
        return cls(**checked_description(data, {f.name for f in fields(cls)}))

    @classmethod
    def from_json(cls, source: str | Path) -> EffectiveTensor:
        """Return the tensor from a JSON file (a path) or JSON text (a string that begins with a brace)."""
        return cls.from_dict(read_description(source))

    def __eq__(self, other: object) -> bool:
        """Tell whether all fields are the same, number by number; lists and tuples, as from JSON, are alike."""
        if not isinstance(other, EffectiveTensor):
            return NotImplemented
        return all(plain(getattr(self, f.name)) == plain(getattr(other, f.name)) for f in fields(self))

    def __hash__(self) -> int:
        return hash((self.physics, self.unit, tuple(self.value.ravel().tolist())))

    def __str__(self) -> str:
        return described(self)

    def in_orthonormal_basis(self, matrix: Array) -> Array:
        """The symmetric part of a matrix of this tensor's kind; a stiffness as Mandel matrix."""
        return voigt_to_mandel(brackets.symmetric(matrix)) if self.kind.voigt else brackets.symmetric(matrix)
