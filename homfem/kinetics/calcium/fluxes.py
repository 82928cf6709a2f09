r"""Fluxes of calcium as data: what moves, from where to where, and per what it is counted.

A flux through a membrane is counted per area of that membrane (:class:`SurfaceFlux`, uM um/s) or per volume of cytosol
(:class:`VolumeFlux`, uM/s). They are different types: their sum is refused, and so is that of fluxes through different
membranes. With the area S of the membrane per volume of tissue (1/um) and the volume fraction :math:`\gamma_c` of the
cytosol, a surface flux f and a volume flux J say the same where

.. math:: S f = \gamma_c J,

both being amounts per volume of tissue and time. For a cell Y of the microstructure :math:`S = |\Gamma|/|Y|`.

From the density of pumps
-------------------------
With N pumps per volume of tissue :math:`\rho_V`, each of which moves f, a membrane carries :math:`\sigma = \rho_V/S` of
them per area, so that the flux per area is :math:`\sigma f` and that per volume of tissue :math:`S\sigma f = \rho_V f`:
for given pumps per volume it does not depend on the geometry (:func:`pumps_per_area`). For a cubic cell of period
:math:`\varepsilon` with the area :math:`\tilde\sigma\varepsilon^2`, :math:`S = \tilde\sigma/\varepsilon` and
:math:`\sigma = \varepsilon\rho_V/\tilde\sigma = \varepsilon\lambda`, as in the appendix of the source.

Source: Goel, Sneyd, Friedman 2006, Multiscale Model. Simul. 5(4), 1045, eqs 2.2, 2.26 and the appendix.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import ClassVar, Self

from homfem.kinetics.parameters import Parameter
from homfem.parameters import InputError, check_choice, check_number
from homfem.quantities import (
    BINDING_RATE,
    CONCENTRATION,
    CONCENTRATION_RATE,
    INVERSE_LENGTH,
    LENGTH,
    PERMEABILITY,
    RATE,
    TIME,
    Kind,
)

CYTOSOL, ER, OUTSIDE, BOUND, IP3 = "cytosol", "er", "outside", "bound", "ip3"
#: Membranes by what they are between.
MEMBRANES = {
    frozenset((CYTOSOL, ER)): "er",
    frozenset((CYTOSOL, BOUND)): "er",
    frozenset((BOUND, ER)): "er",
    frozenset((CYTOSOL, OUTSIDE)): "plasma",
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Geometry:
    r"""Volumes and areas of a tissue, per its volume.

    Parameters
    ----------
    cytosol_fraction, er_fraction : float
        :math:`\gamma_c, \gamma_e`, each in (0, 1), their sum at most 1.
    er_area : float
        Membrane of the ER, 1/um, > 0: :math:`|\Gamma|/|Y|`.
    plasma_area : float
        Plasma membrane that is spread over the volume, 1/um, >= 0: 0 where it is a boundary of the tissue, or there is
        none.

    Raises
    ------
    InputError
        If a number is out of range.
    """

    cytosol_fraction: float
    er_fraction: float
    er_area: float = 1.0
    plasma_area: float = 0.0

    def __post_init__(self) -> None:
        for name in ("cytosol_fraction", "er_fraction"):
            check_number(name, getattr(self, name), above=0.0, below=1.0)
        if self.cytosol_fraction + self.er_fraction > 1.0 + 1e-9:
            raise InputError("er_fraction", self.er_fraction, f"at most {1.0 - self.cytosol_fraction:g}, the rest")
        check_number("er_area", self.er_area, above=0.0)
        check_number("plasma_area", self.plasma_area, at_least=0.0)

    def area(self, membrane: str) -> float:
        """Return the area of a membrane per volume of tissue, 1/um; the plasma membrane's must be given."""
        check_choice("membrane", membrane, ("er", "plasma"))
        if membrane == "plasma":
            return check_number("plasma_area", self.plasma_area, above=0.0)
        return self.er_area


def closed_cell(er_to_cytosol: float) -> Geometry:
    """Return the geometry of cytosol and ER alone, with the ratio of their volumes, ER over cytosol (published c1)."""
    ratio = check_number("er_to_cytosol", er_to_cytosol, above=0.0)
    return Geometry(cytosol_fraction=1.0 / (1.0 + ratio), er_fraction=ratio / (1.0 + ratio))


@dataclass(frozen=True, kw_only=True, slots=True)
class Flux:
    """What moves from one place to another: :class:`SurfaceFlux` or :class:`VolumeFlux`.

    Parameters
    ----------
    name : str
        Name of the flux.
    source, target : str
        Where it comes from and goes to where the expression is > 0: ``"cytosol"``, ``"er"``, ``"outside"``, ``"bound"``
        (to the membrane of the ER, in a state of it); or from and to ``"ip3"``, what makes and degrades IP3 in the
        cytosol (the other one is ``"outside"`` then).
    expression : str
        Of ``c``, ``e``, ``ip3`` (uM), ``t`` (s), and the states, parameters and definitions of its mechanism.
    meaning, reference : str
        What it is, and where it was published.
    """

    unit: ClassVar[str] = ""
    counted: ClassVar[str] = ""

    name: str
    source: str
    target: str
    expression: str
    meaning: str = ""
    reference: str = ""

    def __post_init__(self) -> None:
        for what in ("source", "target"):
            check_choice(f"{self.name}.{what}", getattr(self, what), (CYTOSOL, ER, OUTSIDE, BOUND, IP3))
        ends = frozenset((self.source, self.target))
        if ends not in MEMBRANES and ends != {IP3, OUTSIDE}:
            raise InputError(
                f"{self.name}.target", self.target, f"another place, on the other side of a membrane from {self.source}"
            )

    @property
    def membrane(self) -> str:
        """The membrane that it crosses: ``"er"`` or ``"plasma"``; empty for IP3."""
        return MEMBRANES.get(frozenset((self.source, self.target)), "")

    def __add__(self, other: Self) -> Self:
        """Return the sum of two fluxes of one type through one membrane; all others are refused."""
        mine = f"a {type(self).__name__} ({self.unit}) through the membrane {self.membrane!r}"
        if not isinstance(other, Flux):
            raise InputError("flux", other, mine)
        if type(other) is not type(self) or other.membrane != self.membrane:
            given = f"{other.name}: {type(other).__name__} ({other.unit}), membrane {other.membrane!r}"
            raise InputError("flux", given, mine, "Convert it by per_volume or per_area with the geometry.")
        sign = "+" if (other.source, other.target) == (self.source, self.target) else "-"
        text = f"({self.expression}) {sign} ({other.expression})"
        return replace(self, name=f"{self.name}_{other.name}", expression=text)


@dataclass(frozen=True, kw_only=True, slots=True)
class SurfaceFlux(Flux):
    """A flux through a membrane per its area, uM um/s (1 uM um/s = 1e-9 mol/(m^2 s))."""

    unit: ClassVar[str] = "uM*um/s"
    counted: ClassVar[str] = "per membrane area"

    def __post_init__(self) -> None:
        super(SurfaceFlux, self).__post_init__()
        if not self.membrane:
            raise InputError(self.name, self.source, "between places that a membrane divides", "Take a VolumeFlux.")

    def per_volume(self, geometry: Geometry) -> VolumeFlux:
        r"""Return the same flux per volume of cytosol: :math:`S f/\gamma_c`."""
        return VolumeFlux(**_with(self, f"{geometry.area(self.membrane) / geometry.cytosol_fraction!r}*per_um"))


@dataclass(frozen=True, kw_only=True, slots=True)
class VolumeFlux(Flux):
    """A flux per volume of cytosol, uM/s."""

    unit: ClassVar[str] = "uM/s"
    counted: ClassVar[str] = "per volume of cytosol"

    def per_area(self, geometry: Geometry) -> SurfaceFlux:
        r"""Return the same flux per area of its membrane: :math:`\gamma_c J/S`."""
        if not self.membrane:
            raise InputError(self.name, self.source, "a flux through a membrane")
        return SurfaceFlux(**_with(self, f"{geometry.cytosol_fraction / geometry.area(self.membrane)!r}*one_um"))


def _with(flux: Flux, factor: str) -> dict[str, str]:
    names = ("name", "source", "target", "meaning", "reference")
    return {name: getattr(flux, name) for name in names} | {"expression": f"{factor}*({flux.expression})"}


#: Lengths of 1, which give numbers of a geometry their unit in expressions.
UNITS_OF_LENGTH = {"per_um": "1/um", "one_um": "um"}


def pumps_per_area(per_volume: float, geometry: Geometry) -> float:
    r"""Return the pumps per area of the ER membrane, :math:`\sigma = \rho_V/S`, of pumps per volume of tissue.

    Example
    -------
    >>> geometry = Geometry(cytosol_fraction=0.972, er_fraction=0.028, er_area=1.08 / 0.25)
    >>> round(pumps_per_area(400.0, geometry), 9) == round(0.25 * 400.0 / (3 * 4 * 0.1 * 0.9), 9)
    True
    """
    return check_number("per_volume", per_volume, at_least=0.0) / geometry.er_area


_KINDS: Mapping[str, Kind] = {
    "1/s": RATE,
    "uM": CONCENTRATION,
    "uM/s": CONCENTRATION_RATE,
    "1/(uM*s)": BINDING_RATE,
    "um/s": PERMEABILITY,
    "1/um": INVERSE_LENGTH,
    "um": LENGTH,
    "s": TIME,
}


def number(name: str, value: float, unit: str, meaning: str, source: str = "", *, zero: bool = False) -> Parameter:
    """Return a parameter of a flux: its number is > 0, or >= 0 where that makes sense (``zero``)."""
    kind = _KINDS.get(unit, Kind(name=f"a quantity in {unit}", unit=unit, example=f"0.5 {unit}")) if unit else None
    limits = {"at_least": 0.0} if zero else {"above": 0.0}
    return Parameter(name=name, value=value, unit=unit, kind=kind, meaning=meaning, source=source, **limits)


#: Parameters of a tissue, which its geometry gives.
GEOMETRY = (
    number("density", 1.0, "", "density of the transporters relative to that of the kinetics", zero=True),
    number("er_area", 1.0, "1/um", "membrane of the ER per volume of tissue"),
    number("plasma_area", 0.0, "1/um", "plasma membrane per volume of tissue", zero=True),
    number("cytosol_fraction", 1.0, "", "volume fraction of the cytosol"),
)
