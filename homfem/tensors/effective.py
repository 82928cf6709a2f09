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
from homfem.coefficients import NamedCoefficient, named_coefficients, nested, plain
from homfem.descriptions import check_words, checked_description, read_description
from homfem.disk import write_text
from homfem.kinds import GENERAL, PHYSICS, TensorKind, conduction_in, read_kind, settled
from homfem.parameters import Array, InputError, check_choice, check_number, check_spd
from homfem.stiffness import PLANES, stiffness
from homfem.tensors.comparison import TensorComparison, compared
from homfem.tensors.conversion import AVERAGES, converted, per_total_volume
from homfem.tensors.expression import expression
from homfem.tensors.properties import TensorProperties
from homfem.tensors.rotation import rotated
from homfem.tensors.tables import html_of
from homfem.tensors.text import described

#: Coefficients whose values JSON has beside the tensor's, too: its macroscale equation needs them.
LIFTED = ("velocity", "rate", "peclet")


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class EffectiveTensor(TensorProperties):
    r"""An effective (homogenized) coefficient with its guaranteed bounds and its provenance.

    For diffusion ``value`` is :math:`D^*_{ij} = \frac1{|Y|}\int_Y e_i\cdot D(e_j+\nabla\chi_j)\,dy`, averaged over the
    *whole* cell, phases that do not conduct included, so that the macroscale equation reads
    :math:`\gamma\,\partial_t u = \nabla\cdot(D^*\nabla u)` with the volume fraction :math:`\gamma` of the phase.

    With ``averaged_over="active"`` it is divided by the capacity of the cell, that volume fraction times the
    ``retardation``: :math:`\partial_t c+V\cdot\nabla c=\nabla\cdot(D^*\nabla c)`, as of a dispersion tensor.

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
    averaged_over : str
        ``"total"``: ``value`` is per volume of the whole cell. ``"active"``: per capacity of the phases that carry what
        is transported; :meth:`per_total_volume` is the other one.
    retardation : float
        Capacity over the volume of those phases, above 1 where walls adsorb; see :attr:`storage`.
    conventions : mapping
        In plain words what else one must know to use the numbers: of which velocity, the length and the speed in a
        Peclet number, the regime, the pair of variables. Printed, and in the JSON.
    coefficients : mapping
        Further effective coefficients by name, such as the thermal expansion of a solid, each with bounds and unit. A
        name with a dot, such as ``"transference.Na"``, is one in a table of the JSON.
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
    averaged_over: str = "total"
    retardation: float = 1.0
    conventions: Mapping[str, str] = field(default_factory=dict)
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
        check_choice("averaged_over", self.averaged_over, AVERAGES)
        check_number("retardation", self.retardation, above=0.0)
        check_words("conventions", self.conventions)
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

    def to(self, unit: str) -> EffectiveTensor:
        """Return the same tensor in another unit of its kind, with its bounds and all that is in its unit.

        Further coefficients go along where their unit is of the same kind, or is written with that of the tensor: from
        GPa to MPa a modulus in GPa goes to MPa, a stress in GPa/K to MPa/K, a storage in 1/GPa to 1/MPa.

        Raises
        ------
        UnitError
            If the tensor has no unit, or the unit is of another dimension.
        """
        return converted(self, unit)

    def per_total_volume(self) -> EffectiveTensor:
        """Return the tensor averaged over the whole cell: value and bounds times :attr:`storage` if they are not yet.

        Matrices among the coefficients that are in its unit go along.
        """
        return per_total_volume(self)

    def rotated(
        self,
        rotation: npt.ArrayLike | None = None,
        *,
        fibre: npt.ArrayLike | None = None,
        sheet: npt.ArrayLike | None = None,
        axis: str = "x",
    ) -> EffectiveTensor:
        r"""Return the tensor of the body turned by R: :math:`D'_{ij} = R_{ia}R_{jb}D_{ab}`, a stiffness by four R.

        Or, which is the same, the components in the axes that are the rows of R:
        ``tensor.rotated(tensor.principal_axes)`` is diagonal. ``rotated(R.T)`` turns it back.

        Parameters
        ----------
        rotation : array, shape (d, d)
            An orthogonal matrix R to 1e-9; it is made orthogonal to round-off.
        fibre, sheet : array, shape (d,)
            In place of ``rotation``: directions of any length, along which ``axis`` of the tensor and the axis after it
            (x, y, z, x) are laid; the sheet gives way where they are not at right angles. In 3D the sheet may be left
            out where the tensor is alike in all directions across the axis.
        axis
            ``"x"``, ``"y"`` or ``"z"``: the axis of this tensor that becomes the fibre.

        Returns
        -------
        EffectiveTensor
            Bounds in the Loewner order turn with it, and are moved apart for what round-off may do to them (counted in
            ``roundoff``; nothing where R permutes axes). Bounds that hold entry by entry, of further coefficients, are
            derived again, and wider: :math:`\sum_b\min(T_{ab}l_b, T_{ab}u_b)` for entries that turn by T; a bound that
            has no other side is left out. ``config`` and ``method`` stay those of the
            tensor that was turned.

        Raises
        ------
        InputError
            If R is not orthogonal or of another size, a direction is zero, the sheet is along the fibre, or missing
            where it matters; if it is not known how the tensor (:data:`homfem.kinds.GENERAL`) or a further coefficient
            (without a basis) turns.

        Example
        -------
        >>> tissue = EffectiveTensor.measured("cells", [[0.3, 0], [0, 0.1]], unit="S/m", dimension=2)
        >>> print(tissue.rotated(fibre=[1, 1]).value.round(3))
        [[0.2 0.1]
         [0.1 0.2]]
        """
        return rotated(self, rotation, fibre=fibre, sheet=sheet, axis=axis)

    def compared(
        self, other: EffectiveTensor | npt.ArrayLike, *, unit: str | None = None, norm: str = "frobenius"
    ) -> TensorComparison:
        """Set the tensor beside another one, or beside a measured number or matrix; ``print`` what comes.

        Parameters
        ----------
        other
            The reference: a tensor of the same kind, or its matrix (a number k of a second-order tensor is k I).
        unit
            Unit of a matrix; by default that of this tensor, in which everything is compared. A tensor has its own.
        norm
            ``"frobenius"`` or ``"spectral"``; of a stiffness that of its Mandel matrix.

        Raises
        ------
        InputError
            If the other is of another kind, size or plane.
        UnitError
            If its unit does not convert, or only one of both has one.
        """
        return compared(self, other, unit=unit, norm=norm)

    def ufl(
        self,
        mesh: Any = None,
        *,
        unit: str | None = None,
        per_phase: bool = False,
        fibre: Any = None,
        sheet: Any = None,
    ) -> Any:
        r"""Return the value as a UFL expression, for forms of one's own.

        Parameters
        ----------
        mesh
            A DOLFINx mesh: a ``Constant`` on it, whose ``value`` can be changed without another form. None: numbers.
        unit
            The unit that the forms compute in; by default the tensor's own. A tensor without a unit is taken to be in
            it.
        per_phase
            Divide by the volume fraction of the phases that carry the flux, as :attr:`effective_coefficient`; else per
            total volume, whichever ``value`` is.
        fibre, sheet
            UFL vectors (a Function, a Constant, an expression) of length 1 and at right angles, along which the first
            and the second axis of the tensor lie at each point: :math:`\sum_{ij} D_{ij}\,a_i\otimes a_j`. In 3D a
            tensor that is alike in all directions across the first axis needs no sheet.

        Returns
        -------
        UFL expression of shape (d, d), of a stiffness (d, d, d, d): :math:`\sigma_{ij} = C_{ijkl}\varepsilon_{kl}`

        Raises
        ------
        InputError
            If the tensor is of another dimension than the mesh or the fibre, or needs the sheet.
        UnitError
            If the unit does not convert.
        """
        return expression(self, mesh, unit=unit, per_phase=per_phase, fibre=fibre, sheet=sheet)

    def to_dict(self) -> dict[str, Any]:
        """Return plain lists, numbers and strings: the JSON fields of the command line's result."""
        result = {f.name: plain(getattr(self, f.name)) for f in fields(self)}
        gap = self.relative_gap
        result["relative_gap"] = gap if gap is not None and math.isfinite(gap) else None
        result["effective_coefficient"] = self.effective_coefficient.tolist()
        result["principal_values"] = self.principal_values.tolist()
        result["principal_axes"] = self.principal_axes.tolist()
        result["coefficients"] = nested(result["coefficients"])
        result |= {name: plain(self.coefficients[name].value) for name in LIFTED if name in self.coefficients}
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

    def _repr_html_(self) -> str:
        return html_of(self)
