r"""Electroneutral gels in Donnan equilibrium: which diffusion problems their transport is.

The electrochemical potentials :math:`\mu_i` are continuous from phase to phase, so that steady transport decouples:
the flux of each ion is :math:`J_i=-L_i\nabla\mu_i` with the effective tensor :math:`L_i` of the diffusion problem with
the coefficient :math:`D_ic_i` of each phase. Where concentrations have no time to change (periods short compared to
:math:`l^2/D`) one potential drives all ions: the frozen conductivity is the effective tensor of
:math:`s=\sum_iz_i^2D_ic_i`. Problems whose coefficients are a number times those of another are not solved again.

Source: Kedem, Katchalsky 1961, doi 10.1085/jgp.45.1.143; Yaroshchuk 2019, doi 10.1016/j.cis.2019.02.001.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from homfem.electrolytes.donnan import Equilibrium, equilibria
from homfem.electrolytes.ions import TEMPERATURE, Ion, check_bath, check_temperature
from homfem.parameters import Array, InputError, check_spd
from homfem.quantities import CONCENTRATION, DIFFUSIVITY, check_unit
from homfem.tensors import EffectiveTensor
from homfem.tensors.conversion import scaled

FROZEN = "frozen"
#: Coefficients that agree to this relative difference are a number times each other.
_SAME = 1e-14
#: Solves the diffusion problems of several coefficients by phase, each under a name.
Solve = Callable[[Mapping[str, Mapping[str, Any]]], Mapping[str, EffectiveTensor]]


@dataclass(frozen=True, kw_only=True, slots=True)
class Gel:
    """Ions and fixed charges, in one system of units.

    Parameters
    ----------
    ions
        At least one cation and one anion; the bath is electroneutral.
    fixed_charges
        Concentration of fixed elementary charges of each phase that has some, with their sign, per volume of that
        phase.
    temperature
        In K.
    unit, concentration_unit
        Of the diffusivities and of the concentrations; with both the conductivity is in S/m.

    Raises
    ------
    InputError
        For two ions of one name, a bath that is not electroneutral, one unit without the other.
    """

    ions: Sequence[Ion]
    fixed_charges: Mapping[str, float] = field(default_factory=dict)
    temperature: float = TEMPERATURE
    unit: str = ""
    concentration_unit: str = ""

    def __post_init__(self) -> None:
        object.__setattr__(self, "ions", tuple(self.ions))
        check_bath(self.ions)
        check_temperature(self.temperature)
        for name, kind in (("unit", DIFFUSIVITY), ("concentration_unit", CONCENTRATION)):
            given = getattr(self, name)
            object.__setattr__(self, name, check_unit(name, given, kind) if given else "")
        if bool(self.unit) != bool(self.concentration_unit):
            name = "concentration_unit" if self.unit else "unit"
            raise InputError(name, "", "given where the other unit is", "A conductivity has both in it.")

    def coefficients(self, phases: Sequence[str], dimension: int) -> dict[str, dict[str, Array]]:
        r"""Return :math:`D_ic_i` of each ion by phase, and :math:`\sum_iz_i^2D_ic_i` under ``"frozen"``.

        Raises
        ------
        InputError
            For what :func:`homfem.electrolytes.equilibria` refuses, and a diffusivity that is not positive definite.
        """
        inside = equilibria(self.ions, self.fixed_charges, phases)
        found: dict[str, dict[str, Array]] = {}
        for ion in self.ions:
            if not ion.diffusivities:
                raise InputError(f"ions.{ion.name}.diffusivities", {}, f"given for at least one of {tuple(phases)}")
            found[ion.name] = {
                phase: check_spd(f"ions.{ion.name}.diffusivities.{phase}", ion.diffusivities[phase], dimension)
                * inside[phase].concentrations[ion.name]
                for phase in phases
                if phase in ion.diffusivities
            }
        total: dict[str, Array] = {}
        for phase in inside:
            parts = [ion.valence**2 * found[ion.name][phase] for ion in self.ions if phase in found[ion.name]]
            total[phase] = np.sum(parts, axis=0)
        return found | {FROZEN: total}


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class GelTensors:
    """The solved diffusion problems of a gel, in the unit of the diffusivities times that of the concentrations.

    Parameters
    ----------
    onsager : mapping of str to EffectiveTensor
        :math:`L_i` of each ion by name.
    frozen : EffectiveTensor
        Of all ions at frozen concentrations.
    coefficients
        Those of each, by phase.
    inside
        The equilibrium in each phase that an ion enters.
    shared : mapping of str to str
        Whose tensor was a number times another, and of which.
    """

    onsager: Mapping[str, EffectiveTensor]
    frozen: EffectiveTensor
    coefficients: Mapping[str, Mapping[str, Array]]
    inside: Mapping[str, Equilibrium]
    shared: Mapping[str, str]

    @property
    def solved(self) -> list[EffectiveTensor]:
        """The tensors that were computed, and not scaled."""
        own = {**self.onsager, FROZEN: self.frozen}
        return [tensor for name, tensor in own.items() if name not in self.shared]


def solved_gel(gel: Gel, phases: Sequence[str], dimension: int, solve: Solve) -> GelTensors:
    """Solve what is not a number times something solved before.

    Parameters
    ----------
    gel, phases, dimension
        The gel, and the phases and the dimension of the cell.
    solve
        What solves diffusion problems; with coefficients that are numbers where they can be.
    """
    coefficients = gel.coefficients(phases, dimension)
    own: list[str] = []
    shared: dict[str, str] = {}
    factors: dict[str, float] = {}
    for name, table in coefficients.items():
        for other in own:
            factor = ratio(table, coefficients[other])
            if factor is not None:
                shared[name], factors[name] = other, factor
                break
        else:
            own.append(name)
    found = dict(solve({name: {phase: _plain(matrix) for phase, matrix in coefficients[name].items()} for name in own}))
    found |= {name: scaled(found[other], factors[name]) for name, other in shared.items()}
    return GelTensors(
        onsager={ion.name: found[ion.name] for ion in gel.ions},
        frozen=found[FROZEN],
        coefficients=coefficients,
        inside=equilibria(gel.ions, gel.fixed_charges, phases),
        shared=shared,
    )


def ratio(one: Mapping[str, Array], other: Mapping[str, Array]) -> float | None:
    """Return the number by which coefficients of phases are others; None if by no number.

    Example
    -------
    >>> ratio({"a": np.eye(2), "b": 3.0 * np.eye(2)}, {"a": 2.0 * np.eye(2), "b": 6.0 * np.eye(2)})
    0.5
    """
    if set(one) != set(other):
        return None
    a, b = (np.concatenate([given[phase].ravel() for phase in one]) for given in (one, other))
    place = int(np.abs(b).argmax())
    factor = float(a[place] / b[place])
    return factor if np.allclose(factor * b, a, rtol=_SAME, atol=0.0) else None


def _plain(matrix: Array) -> float | list[list[float]]:
    """A number where the matrix is one times the identity."""
    if np.array_equal(matrix, matrix[0, 0] * np.eye(len(matrix))):
        return float(matrix[0, 0])
    return [[float(entry) for entry in row] for row in matrix]
