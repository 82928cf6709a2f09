"""The effective tensor: what a cell problem gives and a macroscale model takes. No dolfinx here.

An :class:`EffectiveTensor` carries its value, the two sides between which the theory puts it, and everything that is
needed to say where it came from. It goes to JSON and back without loss.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from homfem import brackets
from homfem.coefficients import NamedCoefficient, named_coefficients, plain
from homfem.descriptions import checked_description, read_description
from homfem.disk import write_text
from homfem.kinds import ELASTIC
from homfem.parameters import Array, InputError, check_choice, check_spd
from homfem.stiffness import PLANES, engineering_constants, symmetry, voigt_to_mandel

#: Relative width of a bracket beyond which values that differ within it are not called equal.
VAGUE = 0.1


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
        If the arrays do not fit together, a bound is not symmetric, or the bounds are not in order.

    Source
    ------
    Goel, Sneyd, Friedman 2006, eqs 2.25, 2.27 (definition), Multiscale Model. Simul. 5(4), 1045.
    """

    value: Array
    lower: Array | None = None
    upper: Array | None = None
    unit: str = ""
    physics: str = "diffusion"
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
        cls, name: str, value: npt.ArrayLike, *, volume_fraction: float = 1.0, unit: str = "", dimension: int = 3
    ) -> EffectiveTensor:
        """Return a tensor that was measured rather than computed, for a macroscale model.

        Parameters
        ----------
        name
            Name of the phase that carries the flux.
        value
            A positive number or a symmetric positive definite matrix, averaged over the whole tissue.
        volume_fraction
            Volume fraction of that phase, in (0, 1].
        unit, dimension
            Unit of ``value``; number of space dimensions.
        """
        if not 0.0 < volume_fraction <= 1.0:
            raise InputError("volume_fraction", volume_fraction, "a number > 0 and <= 1")
        return cls(
            value=check_spd(name, value, dimension),
            unit=unit,
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
        return 0.5 * float(np.linalg.norm(self._in_orthonormal_basis(self.upper - self.lower), 2))

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
        return principal(self._in_orthonormal_basis(self.value))[0]

    @property
    def principal_axes(self) -> Array:
        """Unit principal axes as rows, in the order of :attr:`principal_values`; shape (n, n).

        For a stiffness the eigenstrains in Mandel notation.
        """
        return principal(self._in_orthonormal_basis(self.value))[1]

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
        axes, within the width of the bracket. ``"undetermined"`` where that is another class than the value's own and
        the bracket is wider than a tenth of the value: such a bracket does not tell.
        """
        if self.physics in ELASTIC:
            width = 2.0 * (self.relative_gap or 0.0)
        else:
            width = 2.0 * (self.half_gap or 0.0) / (abs(self.principal_values[0]) or 1.0)
        found = self._class_within(max(width, 1e-6))
        return found if width <= VAGUE or found == self._class_within(1e-6) else "undetermined"

    def _class_within(self, tolerance: float) -> str:
        if self.physics in ELASTIC:
            return str(symmetry(self.value, tolerance=tolerance))
        if self.dimension > 3:
            raise InputError("dimension", self.dimension, "2 or 3 for an anisotropy class")
        values = self.principal_values
        return anisotropy_class(values, tolerance * abs(values[0]))

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
        if self.dimension <= 3 or self.physics in ELASTIC:
            result["anisotropy"] = self.anisotropy
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

    def __str__(self) -> str:
        kind = self.physics + (" in plane stress" if self.plane == "stress" else "")
        name = f"{kind}, {', '.join(self.active_phases) or 'whole cell'}"
        what = "permeability" if self.physics == "stokes" else "effective tensor"
        lines = [f"{what} ({name}; {self.method}, {self.boundary})" + (f" in {self.unit}" if self.unit else "")]
        rows, printed = brackets.rounded(self.value, self.half_gap)
        lines += [f"  [{row} ]" for row in rows]
        gap, of = self.relative_gap, ", for the straight-sided mesh" if self.geometric_error else ""
        if gap is not None and self.half_gap is not None and self.lower is not None and self.upper is not None:
            around = max(
                float(np.linalg.norm(self._in_orthonormal_basis(part), 2))
                for part in (self.upper - printed, printed - self.lower)
            )
            if around <= 1.5 * self.half_gap:
                within = brackets.outwards(around)
                lines.append(f"  guaranteed to ± {within} in every direction (relative {gap:.2e}{of})")
            else:
                apart = brackets.outwards(2.0 * self.half_gap)
                lines.append(f"  between bounds {apart} apart, off their middle (relative {gap:.2e}{of})")
        elif self.upper is not None:
            lines.append("  an upper bound; no lower bound is guaranteed")
        elif self.lower is not None:
            lines.append("  a lower bound; no upper bound is guaranteed")
        else:
            lines.append("  no guaranteed bounds")
        if self.estimated_error is not None:
            lines.append(f"  relative error by an estimate, without guarantee: {self.estimated_error:.1e}")
        if self.geometric_error:
            lines.append(
                f"  straight facets on curved surfaces change it by less than about {self.geometric_error:.1e} "
                f"(relative {self.relative_geometric_error:.1e})"
            )
        if not self.reached:
            why = "see below" if self.warnings else "the budget ended it"
            lines.append(f"  NOTE: short of the tolerance that was asked for, or of a bound: {why}")
        lines += [f"  WARNING: {warning}" for warning in self.warnings]
        if self.physics in ELASTIC:
            lines.append(f"  {self.anisotropy}" + self._constants())
        elif self.dimension <= 3:
            lines.append(
                f"  {self.anisotropy}; principal values " + ", ".join(f"{v:.6g}" for v in self.principal_values)
            )
        lines += [f"  {name}: {coefficient}" for name, coefficient in self.coefficients.items()]
        if self.active_phases:
            share = ", ".join(f"{phase} {fraction:.6g}" for phase, fraction in self.volume_fractions.items())
            lines.append(f"  volume fractions: {share}")
        if self.active_phases and self.physics not in ELASTIC:
            lines.append(
                "  per volume of the active phases: "
                + ", ".join(f"{v:.6g}" for v in self.principal_values / self.active_fraction)
            )
        if self.membranes:
            per = f" {self.unit}/{self.length_unit}" if self.unit and self.length_unit else ""
            lines.append("  membranes: " + ", ".join(f"{name} {h:.6g}{per}" for name, h in self.membranes.items()))
        if self.interface_area is None:
            lines.append("  interface area per volume: left out, no unit of length is known (cell.voxel of an image)")
        elif self.interface_area:
            unit = f" /{self.length_unit}" if self.length_unit else ""
            lines.append(f"  interface area per volume: {self.interface_area:.6g}{unit}")
        if self.dofs:
            total = self.seconds.get("total", 0.0)
            lines.append(f"  {self.dofs} dofs, {self.iterations} iterations, {total:.1f} s on {self.ranks} rank(s)")
        return "\n".join(lines)

    def _in_orthonormal_basis(self, matrix: Array) -> Array:
        """The symmetric part of a matrix of this tensor's kind; a stiffness as Mandel matrix."""
        return voigt_to_mandel(brackets.symmetric(matrix)) if self.physics in ELASTIC else brackets.symmetric(matrix)

    def _constants(self) -> str:
        """Engineering constants of a stiffness, where all exist."""
        values = self.principal_values
        if values[-1] <= 1e-9 * values[0]:
            return "; it transmits no stress in some direction"
        return f"; {engineering_constants(brackets.symmetric(self.value), plane=self.plane)}"


def principal(matrix: Array) -> tuple[Array, Array]:
    """Return the eigenvalues of the symmetric part of a matrix, descending, and the unit eigenvectors as rows."""
    values, vectors = np.linalg.eigh(brackets.symmetric(matrix))
    return np.asarray(values[::-1]), np.asarray(vectors[:, ::-1].T)


def anisotropy_class(values: Array, equal: float) -> str:
    """Return ``"isotropic"``, ``"transversely isotropic"`` or ``"orthotropic"`` for sorted principal values.

    Two neighbours that differ by no more than ``equal`` count as equal.
    """
    if abs(values[0] - values[-1]) <= equal:
        return "isotropic"
    return "transversely isotropic" if np.any(np.abs(np.diff(values)) <= equal) else "orthotropic"
