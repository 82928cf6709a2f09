r"""What a lattice of heart muscle cells gives the bidomain equations: two conductivities and the area of the membrane.

.. math:: \beta\,(C_m\,\partial_tV + I_\mathrm{ion}) = \nabla\cdot(\Sigma_i\nabla\varphi_i)
          = -\nabla\cdot(\Sigma_e\nabla\varphi_e),\qquad V=\varphi_i-\varphi_e .

Where :math:`\Sigma_i` and :math:`\Sigma_e` have a common ratio, and for plane waves along an axis of both, V alone
obeys the monodomain equation with the conductivities in series, :math:`\Sigma_m=\Sigma_i(\Sigma_i+\Sigma_e)^{-1}
\Sigma_e`. Its fronts scale with :math:`\sqrt{\Sigma_m/\beta}`. No dolfinx here.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from homfem import brackets
from homfem.coefficients import NamedCoefficient
from homfem.descriptions import read_description
from homfem.disk import write_text
from homfem.parameters import Array, InputError
from homfem.tensors.effective import EffectiveTensor

#: The name of beta among the coefficients of both tensors.
MEMBRANE_AREA = "membrane_area"
UNIT, AREA_UNIT = "mS/mm", "1/mm"


@dataclass(frozen=True, kw_only=True, slots=True)
class BidomainTensors:
    r"""Effective conductivities inside and outside of the cells, and the membrane between them.

    Parameters
    ----------
    intracellular, extracellular : EffectiveTensor
        :math:`\Sigma_i`, :math:`\Sigma_e`, averaged over the whole tissue, in mS/mm (= S/m); in both :math:`\beta`
        stands as the coefficient ``"membrane_area"`` in 1/mm.
    resistance : mapping of str to float
        Resistance per area of the gap junctions, by the names of their faces, in kOhm mm^2.

    Raises
    ------
    InputError
        If the two differ in their dimension or in :math:`\beta`, or have none.
    """

    intracellular: EffectiveTensor
    extracellular: EffectiveTensor
    resistance: Mapping[str, float]

    def __post_init__(self) -> None:
        areas = []
        for name in ("intracellular", "extracellular"):
            tensor = getattr(self, name)
            if MEMBRANE_AREA not in tensor.coefficients:
                raise InputError(name, sorted(tensor.coefficients), f"a tensor with the coefficient {MEMBRANE_AREA!r}")
            object.__setattr__(self, name, tensor.to(UNIT))
            areas.append(float(tensor.coefficients[MEMBRANE_AREA].value))
        if self.intracellular.dimension != self.extracellular.dimension or not math.isclose(*areas, rel_tol=1e-9):
            raise InputError("extracellular", areas[1], "of the same cell as the intracellular tensor")

    @property
    def membrane_area(self) -> float:
        r""":math:`\beta`, the area of the membrane per volume of tissue without the faces of the junctions, in 1/mm."""
        return float(self.intracellular.coefficients[MEMBRANE_AREA].value)

    @property
    def volume_fractions(self) -> Mapping[str, float]:
        """The fraction of each phase."""
        return self.intracellular.volume_fractions

    @property
    def intracellular_fraction(self) -> float:
        """Of the cells with their junctions."""
        return self.intracellular.active_fraction

    @property
    def extracellular_fraction(self) -> float:
        """Of the space between the cells."""
        return self.extracellular.active_fraction

    @property
    def monodomain(self) -> EffectiveTensor:
        r""":math:`\Sigma_m=\Sigma_i(\Sigma_i+\Sigma_e)^{-1}\Sigma_e`, with the bounds that follow from those of both.

        The parallel sum grows with each of its tensors in the Loewner order (Anderson and Duffin 1969,
        doi 10.1016/0022-247X(69)90200-5), so that lower bounds give a lower bound.
        """
        inside, outside = self.intracellular, self.extracellular

        def of(side: str) -> Array | None:
            one, two = getattr(inside, side), getattr(outside, side)
            return None if one is None or two is None else _parallel(one, two)

        lower, upper = of("lower"), of("upper")
        value = of("value")
        assert value is not None  # every tensor has one
        if lower is not None and upper is not None:
            lower, upper = _apart(lower, upper)
            value = brackets.clipped(value, lower, upper)
        return replace(
            inside,
            value=value,
            lower=lower,
            upper=upper,
            active_phases=(*inside.active_phases, *outside.active_phases),
            membranes={},
            geometric_error=inside.geometric_error + outside.geometric_error,
            roundoff=inside.roundoff + outside.roundoff,
            dofs=max(inside.dofs, outside.dofs),
            iterations=inside.iterations + outside.iterations,
            reached=inside.reached and outside.reached,
        )

    @property
    def tensor(self) -> EffectiveTensor:
        r"""All in one: :math:`\Sigma_i`, with ``extracellular``, ``monodomain``, ``membrane_area`` as coefficients."""
        inside = self.intracellular
        others = {"extracellular": self.extracellular, "monodomain": self.monodomain}
        named = {
            name: NamedCoefficient(
                value=t.value,
                lower=t.lower,
                upper=t.upper,
                unit=t.unit,
                basis="matrix",
                order="entries" if t.lower is None and t.upper is None else "loewner",
            )
            for name, t in others.items()
        }
        return replace(
            inside,
            physics="bidomain",
            coefficients={**inside.coefficients, **named},
            dofs=max(inside.dofs, self.extracellular.dofs),
            iterations=inside.iterations + self.extracellular.iterations,
            geometric_error=max(inside.geometric_error, self.extracellular.geometric_error),
            reached=inside.reached and self.extracellular.reached,
            warnings=tuple(dict.fromkeys((*inside.warnings, *self.extracellular.warnings))),
        )

    def anisotropy(self, axis: int = 1) -> dict[str, float]:
        """Return the ratio of each conductivity along x to that along another axis; infinite where nothing flows."""
        pairs = {
            "intracellular": self.intracellular,
            "extracellular": self.extracellular,
            "monodomain": self.monodomain,
        }
        with np.errstate(divide="ignore"):
            return {name: float(np.divide(t.value[0, 0], max(t.value[axis, axis], 0.0))) for name, t in pairs.items()}

    def velocity_ratio(self, reference: BidomainTensors) -> Array:
        r"""Return :math:`\sqrt{(\Sigma_m/\beta)/(\Sigma_m/\beta)_\mathrm{reference}}` along each axis, shape (d,).

        By so much a plane wave along that axis is faster than in the reference, with one membrane in both.
        """
        own, other = (np.diag(t.monodomain.value) / t.membrane_area for t in (self, reference))
        return np.asarray(np.sqrt(own / other))

    def to_dict(self) -> dict[str, Any]:
        """Return plain lists, numbers and strings."""
        return {
            "physics": "bidomain",
            "intracellular": self.intracellular.to_dict(),
            "extracellular": self.extracellular.to_dict(),
            "resistance": dict(self.resistance),
            "membrane_area": self.membrane_area,
            "monodomain": self.monodomain.value.tolist(),
        }

    def to_json(self, path: str | Path | None = None) -> str:
        """Return the result as JSON text, and write it to ``path`` (whole or not at all) if given."""
        text = json.dumps(self.to_dict(), indent=2, allow_nan=False) + "\n"
        if path is not None:
            write_text(path, text)
        return text

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> BidomainTensors:
        """Return the result that :meth:`to_dict` wrote.

        Raises
        ------
        InputError
            If a part is missing, or is not what it must be.
        """
        tables = []
        for name in ("intracellular", "extracellular", "resistance"):
            if not isinstance(data.get(name), Mapping):
                raise InputError(name, data.get(name), "a table of the description of a bidomain")
            tables.append(data[name])
        resistance = {str(name): _number(f"resistance.{name}", value) for name, value in tables[2].items()}
        inside, outside = (EffectiveTensor.from_dict(table) for table in tables[:2])
        return cls(intracellular=inside, extracellular=outside, resistance=resistance)

    @classmethod
    def from_json(cls, source: str | Path) -> BidomainTensors:
        """Return the result from a JSON file (a path) or JSON text (a string that begins with a brace)."""
        return cls.from_dict(read_description(source))

    def __str__(self) -> str:
        junctions = ", ".join(f"{name} {value:.6g}" for name, value in self.resistance.items())
        lines = [
            f"bidomain in {UNIT}: membrane {self.membrane_area:.6g} {AREA_UNIT}, "
            f"cells {self.intracellular_fraction:.6g}, space between them {self.extracellular_fraction:.6g}"
            + (f"; junctions in kOhm mm^2: {junctions}" if junctions else ""),
        ]
        for name in ("intracellular", "extracellular", "monodomain"):
            tensor = getattr(self, name)
            gap = tensor.relative_gap
            known = "no bounds" if gap is None else f"+- {gap:.1e} of it, guaranteed"
            values = "  ".join(f"{entry:.6g}" for entry in np.diag(tensor.value))
            lines.append(f"  {name:<14} {values}  ({known})")
        warnings = dict.fromkeys((*self.intracellular.warnings, *self.extracellular.warnings))
        return "\n".join([*lines, *(f"  WARNING: {warning}" for warning in warnings)])


def with_membrane(tensor: EffectiveTensor, area: float) -> EffectiveTensor:
    """Return a conductivity with the area of the membrane, in 1/mm, among its coefficients."""
    area_of = NamedCoefficient(value=np.asarray(area), unit=AREA_UNIT, basis="scalar")
    return replace(tensor, coefficients={**tensor.coefficients, MEMBRANE_AREA: area_of})


def _number(name: str, value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not value >= 0.0:
        raise InputError(name, value, "a number >= 0, in kOhm mm^2")
    return float(value)


def _parallel(one: Array, two: Array) -> Array:
    """The parallel sum of positive semidefinite matrices; at most each of them, so nothing where one has nothing."""
    found = brackets.symmetric(one @ np.linalg.pinv(one + two, rcond=1e-14, hermitian=True) @ two)
    nothing = (np.diag(one) == 0.0) | (np.diag(two) == 0.0)
    found[nothing], found[:, nothing] = 0.0, 0.0
    return found


def _apart(lower: Array, upper: Array) -> tuple[Array, Array]:
    """Bounds moved apart by what round-off can have done to a parallel sum."""
    wide = np.diag(16.0 * len(lower) * brackets.EPS * np.maximum(np.diag(upper), 0.0))
    return lower - wide, upper + wide
