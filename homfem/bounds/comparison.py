"""A computed tensor beside the bounds that hold for it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from homfem.bounds import conductivity, elasticity
from homfem.bounds.averages import voigt_reuss_conductivity, voigt_reuss_stiffness
from homfem.bounds.phases import Fractions, PerPhase, TensorBounds, aligned
from homfem.brackets import symmetric
from homfem.kinds import CONDUCTION, kind_of
from homfem.parameters import Array, InputError, check_choice, check_number
from homfem.stiffness import CLASSES, dimension_of, distance, project, stiffness, voigt_to_mandel
from homfem.tensors import EffectiveTensor


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Row:
    """One line of a table of bounds: a value beside a lower and an upper one.

    Parameters
    ----------
    name
        The bounds, or the estimate, and the quantity that they are about.
    lower, value, upper
        Numbers, or matrices in the Loewner order (stiffnesses as Voigt matrices). None where there is none.
    estimate
        The number of an estimate, which has no sides; else None.
    inside
        Whether the value lies between the two, up to its own uncertainty; None for an estimate, which need not contain
        it, and for bounds that do not hold for this tensor.
    note
        For which tensors the bounds hold.
    """

    name: str
    lower: float | Array | None
    value: float | Array | None
    upper: float | Array | None
    inside: bool | None
    note: str
    estimate: float | None = None


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class BoundsTable:
    """Rows of bounds and estimates for one tensor; ``print`` it. Of a matrix it prints the range of eigenvalues.

    The eigenvalues of a stiffness are those of its Mandel matrix, such as 3K and 2G.
    """

    rows: tuple[Row, ...]
    physics: str
    unit: str = ""

    @property
    def inside(self) -> bool:
        """True if every bound that holds for this tensor contains it."""
        return all(row.inside is not False for row in self.rows)

    def __str__(self) -> str:
        head = ("", "lower", "value", "upper", "estimate", "inside")
        words = {True: "yes", False: "NO", None: "-"}
        lines: list[tuple[str, ...]] = [head]
        for row in self.rows:
            entries = (self._text(entry) for entry in (row.lower, row.value, row.upper, row.estimate))
            lines.append((row.name, *entries, words[row.inside]))
        widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
        table = [f"bounds of {self.physics}" + (f" in {self.unit}" if self.unit else "")]
        for line, note in zip(lines, ["", *(row.note for row in self.rows)], strict=True):
            cells = [line[0].ljust(widths[0]), *(w.rjust(n) for w, n in zip(line[1:], widths[1:], strict=True)), note]
            table.append("  ".join(cells).rstrip())
        return "\n".join(table)

    def _text(self, entry: float | Array | None) -> str:
        if entry is None:
            return "-"
        if np.ndim(entry) == 0:
            return f"{float(entry):.6g}"
        matrix = voigt_to_mandel(entry) if kind_of(self.physics).voigt else np.asarray(entry)
        values = np.linalg.eigvalsh(matrix)
        low, high = f"{values[0]:.6g}", f"{values[-1]:.6g}"
        return low if low == high else f"{low} to {high}"


def table(
    value: EffectiveTensor | npt.ArrayLike,
    phases: PerPhase,
    fractions: Fractions | None = None,
    *,
    physics: str | None = None,
    tolerance: float = 1e-6,
) -> BoundsTable:
    """Set an effective tensor beside the bounds that hold for it, and beside estimates.

    Voigt and Reuss hold for every tensor and are compared in the Loewner order. Hashin and Shtrikman hold for isotropic
    ones (bulk modulus: cubic, 2D square, ones too); of an anisotropic conductivity of two isotropic phases the trace
    bounds are taken, which reduce to them: :math:`k_1 + (\\frac1d\\mathrm{tr}(D^*-k_1)^{-1})^{-1} \\ge k^-_{HS}`,
    :math:`k_2 - (\\frac1d\\mathrm{tr}(k_2-D^*)^{-1})^{-1} \\le k^+_{HS}`. What does not hold is not compared.

    Parameters
    ----------
    value
        An :class:`EffectiveTensor`, or its matrix (averaged over the whole cell; a stiffness as Voigt matrix).
    phases
        The coefficient of each phase, as :mod:`homfem.bounds` takes it; a phase without one insulates, or is a void.
    fractions
        Volume fractions; by default those of the tensor.
    physics
        A physics of :data:`homfem.kinds.CONDUCTION` or ``"elasticity"``; by default that of the tensor, else
        elasticity for a 6x6 matrix or where a phase is given by moduli.
    tolerance
        Relative distance from isotropy that still counts as isotropic, and slack of the comparison; half the distance
        of the tensor's own bounds, and its geometric error, are added to the slack.

    Returns
    -------
    BoundsTable

    Raises
    ------
    InputError
        For phases that do not fit, as the bounds themselves.

    Source
    ------
    Murat and Tartar 1985; Lurie and Cherkaev 1986, Proc. R. Soc. Edinb. A 104, 21 (trace bounds).
    """
    check_number("tolerance", tolerance, at_least=0.0)
    unit, doubt = "", 0.0
    if isinstance(value, EffectiveTensor):
        unit, doubt = value.unit, (value.half_gap or 0.0) + value.geometric_error
        fractions = value.volume_fractions if fractions is None else fractions
        physics = physics or ("elasticity" if value.kind.voigt else value.physics)
        if value.plane == "stress":
            phases = _reduced(phases)
        value = value.value
    if fractions is None:
        raise InputError("fractions", None, "given: a plain matrix does not know them")
    matrix = np.asarray(value, dtype=np.float64)
    if matrix.shape not in ((2, 2), (3, 3), (6, 6)) or not np.all(np.isfinite(matrix)):
        raise InputError("value", value, "a finite matrix: 2x2, 3x3, or the 6x6 Voigt matrix of a stiffness")
    matrix = symmetric(matrix)
    entries = list(phases.values()) if isinstance(phases, Mapping) else list(phases)
    by_moduli = matrix.shape == (6, 6) or any(isinstance(entry, Mapping) for entry in entries)
    physics = "elasticity" if physics and kind_of(physics).voigt else physics
    known = (*CONDUCTION, "elasticity")
    physics = check_choice("physics", physics or ("elasticity" if by_moduli else "diffusion"), known)
    make = _conductivity_rows if physics in CONDUCTION else _stiffness_rows
    return BoundsTable(rows=tuple(make(matrix, phases, fractions, tolerance, doubt)), physics=physics, unit=unit)


def _reduced(phases: PerPhase) -> PerPhase:
    """Stiffnesses in plane stress; a void stays one."""

    def of(value: Any, name: str) -> Any:
        return value if np.ndim(value) == 0 and not isinstance(value, Mapping) else stiffness(value, 2, name, "stress")

    if isinstance(phases, Mapping):
        return {name: of(value, f"stiffness[{name}]") for name, value in phases.items()}
    return [of(value, f"stiffness[{name}]") for name, value in enumerate(phases)]


def _between(name: str, sides: Any, value: float, slack: float, note: str) -> Row:
    inside = sides.lower - slack <= value <= sides.upper + slack
    return Row(name=name, lower=sides.lower, value=value, upper=sides.upper, inside=bool(inside), note=note)


def _loewner(sides: TensorBounds, value: Array, slack: float, weights: Array) -> Row:
    ends = [np.linalg.eigvalsh(weights * gap)[0] for gap in (value - sides.lower, sides.upper - value)]
    note = "every tensor, in the Loewner order"
    inside = bool(min(ends) >= -slack)
    return Row(name="Voigt-Reuss", lower=sides.lower, value=value, upper=sides.upper, inside=inside, note=note)


def _estimate(name: str, value: float, number: float) -> Row:
    note = "no bound"
    return Row(name=name, lower=None, value=value, upper=None, inside=None, note=note, estimate=number)


def _conductivity_rows(
    value: Array, phases: PerPhase, fractions: Fractions, tolerance: float, doubt: float
) -> list[Row]:
    d = len(value)
    if d > 3:
        raise InputError("value", value, "2x2 or 3x3 for a conductivity")
    own = np.linalg.eigvalsh(value)
    slack = tolerance * float(np.abs(own).max()) + doubt
    rows = [_loewner(voigt_reuss_conductivity(phases, fractions, dimension=d), value, slack, np.ones((d, d)))]
    names, entries, _ = aligned(phases, fractions)
    isotropic = own[-1] - own[0] <= 2.0 * slack
    if any(np.ndim(entry) for entry in entries):
        note = "only for isotropic phases"
        return [*rows, Row(name="Hashin-Shtrikman", lower=None, value=None, upper=None, inside=None, note=note)]
    hs = conductivity.hashin_shtrikman(phases, fractions, dimension=d)
    if isotropic:
        mean = float(own.mean())
        rows.append(_between("Hashin-Shtrikman", hs, mean, slack, "isotropic tensors of isotropic phases"))
        for matrix in names:
            guess = conductivity.maxwell(phases, fractions, matrix=matrix, dimension=d)
            rows.append(_estimate(guess.model, mean, guess.value))
        rows.append(_estimate("Bruggeman", mean, conductivity.bruggeman(phases, fractions, dimension=d).value))
    elif len(names) == 2:
        low, high = sorted(map(float, entries))
        below = low + d / float(np.sum(1.0 / (own - low))) if own[0] > low else float(own[0])
        above = high - d / float(np.sum(1.0 / (high - own))) if own[-1] < high else float(own[-1])
        note = "any tensor of two isotropic phases"
        rows += [
            Row(
                name="lower trace", lower=hs.lower, value=below, upper=None, inside=below >= hs.lower - slack, note=note
            ),
            Row(
                name="upper trace", lower=None, value=above, upper=hs.upper, inside=above <= hs.upper + slack, note=note
            ),
        ]
    else:
        note = "does not hold: the tensor is not isotropic"
        rows.append(Row(name="Hashin-Shtrikman", lower=hs.lower, value=None, upper=hs.upper, inside=None, note=note))
    return rows


def _stiffness_rows(value: Array, phases: PerPhase, fractions: Fractions, tolerance: float, doubt: float) -> list[Row]:
    d = dimension_of(value)
    size = float(np.linalg.norm(voigt_to_mandel(value), 2))
    slack = tolerance * size + doubt
    weights = voigt_to_mandel(np.ones_like(value))
    rows = [_loewner(voigt_reuss_stiffness(phases, fractions, dimension=d), value, slack, weights)]
    names, entries, _ = aligned(phases, fractions)
    far = [distance(entry, "isotropic") for entry in entries if np.ndim(entry) == 2]
    if any(gap > 1e-9 for gap in far):
        note = "only for isotropic phases"
        return [*rows, Row(name="Hashin-Shtrikman", lower=None, value=None, upper=None, inside=None, note=note)]
    hs = elasticity.hashin_shtrikman_moduli(phases, fractions, dimension=d)
    near = tolerance + doubt / size
    isotropic, cubic = (distance(value, name) <= near for name in CLASSES[d][:2])
    mean = project(value, "isotropic")
    shear, bulk = float(mean[-1, -1]), float(mean[:d, :d].sum()) / d**2
    of_bulk = "bulk modulus" if d == 3 else "area bulk modulus"
    parts = (
        (of_bulk, hs.bulk, bulk, cubic, "cubic" if d == 3 else "square"),
        ("shear modulus", hs.shear, shear, isotropic, "isotropic"),
    )
    for name, sides, number, holds, what in parts:
        if holds:
            rows.append(
                _between(f"Hashin-Shtrikman, {name}", sides, number, slack, f"{what} tensors of isotropic phases")
            )
        else:
            note = f"does not hold: the tensor is not {what}"
            empty = Row(
                name=f"Hashin-Shtrikman, {name}",
                lower=sides.lower,
                value=None,
                upper=sides.upper,
                inside=None,
                note=note,
            )
            rows.append(empty)
    if isotropic:
        for matrix in names:
            guess = elasticity.mori_tanaka(phases, fractions, matrix=matrix, dimension=d)
            rows.append(_estimate(f"{guess.bulk.model}, {of_bulk}", bulk, guess.bulk.value))
            rows.append(_estimate(f"{guess.shear.model}, shear modulus", shear, guess.shear.value))
    return rows
