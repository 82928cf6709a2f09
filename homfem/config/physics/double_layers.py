"""The keys of ``[effective]`` that charged pores with double layers have beside those of gels."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Annotated, Any

from homfem.config.table import Check, Table, flag, quantity, renamed
from homfem.parameters import InputError, check_number
from homfem.quantities import SURFACE_CHARGE, VISCOSITY, VOLTAGE, Kind, Quantity, parse_quantity

#: Its word in a config.
DOUBLE_LAYER = "double-layer"
#: No material has more, relative to the vacuum.
MOST_PERMITTIVITY = 1e6
#: A config of it: fibres with a charge in a salt whose length of Debye is a tenth of the period.
CHARGED_PORES: Mapping[str, Any] = {
    "cell": {
        "shape": "fibre-array",
        "fraction": 0.3,
        "period": "100 nm",
        "resolution": 0.1,
        "dimension": 2,
        "order": 2,
    },
    "regime": DOUBLE_LAYER,
    "temperature": "298.15 K",
    "viscosity": "0.89 mPa*s",
    "permittivity": 78.4,
    "wall_charge": "-5 mC/m^2",
    "ions": [
        {"name": name, "valence": valence, "bath": "1 mol/m^3", "diffusivity": {"matrix": f"{mobile} um^2/s"}}
        for name, valence, mobile in (("K", 1, 1957), ("Cl", -1, 2032))
    ],
}


def one_or_each(parse: Callable[[Any], Any], what: str, of: str) -> Check:
    """Return the validator of one value for all, or a table with one for each name; ``of`` says of what."""

    def check(value: Any) -> Any:
        if not isinstance(value, dict):
            return parse(value)
        if not value:
            raise InputError("", value, f"{what}, or a table with one for each {of}")
        found = {}
        for name, entry in value.items():
            try:
                found[name] = parse(entry)
            except InputError as error:
                raise renamed(error, f"{name}{error.name}") from error
        return found

    return Check(check, says=f"{what}, or a table with one for each {of}")


def _walls(kind: Kind) -> Check:
    says = f'{kind.name}, such as "{kind.example}"'
    return one_or_each(lambda value: parse_quantity("", value, kind), says, "interface")


def _permittivity(value: Any) -> float:
    remedy = "It is relative to that of the vacuum, without unit: 78.4 for water." if isinstance(value, str) else ""
    return check_number("", value, at_least=1.0, at_most=MOST_PERMITTIVITY, remedy=remedy)


class DoubleLayerKeys(Table):
    """What ``regime = "double-layer"`` has."""

    viscosity: Annotated[Quantity, quantity(VISCOSITY, above=0.0)] | None = None
    """Of the fluid, which is in the phases that the ions enter; of `double-layer`."""
    permittivity: Annotated[Any, one_or_each(_permittivity, "a number >= 1, such as 78.4", "phase")] | None = None
    """Relative to the vacuum: of the fluid, or of each phase that the field enters, solids too; of `double-layer`."""
    wall_potential: Annotated[Any, _walls(VOLTAGE)] | None = None
    """Of all walls of the fluid, or by interface (`"pore|solid"`); of `double-layer`."""
    wall_charge: Annotated[Any, _walls(SURFACE_CHARGE)] | None = None
    """In its place the charge of the walls per area, with its sign; of `double-layer`."""
    refine_layers: Annotated[bool, flag()] | None = None
    """Whether mesh cells that are too thick for the layers are bisected; by default with a tolerance."""

    bounds: Annotated[bool, flag()] | None = None
    """Whether the matrix of Onsager of `double-layer` is bounded, for the equilibrium as it was computed; by default
    not. A `tolerance` is then the relative half-gap of the conductivity. Of `donnan` all is bounded."""

    def check_regime(self, regime: str) -> None:
        """Refuse keys of this regime in another, and require them in this one."""
        keys = tuple(DoubleLayerKeys.model_fields)
        if regime != DOUBLE_LAYER:
            for key in keys:
                if getattr(self, key) is not None:
                    remedy = f'It belongs to regime = "{DOUBLE_LAYER}".'
                    raise InputError(f"effective.{key}", _shown(getattr(self, key)), f"absent of {regime!r}", remedy)
            return
        for key, example in (("viscosity", '"0.89 mPa*s"'), ("permittivity", "78.4")):
            if getattr(self, key) is None:
                raise InputError(f"effective.{key}", None, f"given for {DOUBLE_LAYER!r}, such as {key} = {example}")
        if self.wall_potential is not None and self.wall_charge is not None and not (
            isinstance(self.wall_potential, Mapping) and isinstance(self.wall_charge, Mapping)
        ):  # fmt: skip
            remedy = "A wall has one or the other; of several interfaces each has its own in a table."
            raise InputError(
                "effective.wall_charge", _shown(self.wall_charge), "absent beside a wall potential", remedy
            )


def _shown(value: Any) -> Any:
    return str(value) if isinstance(value, Quantity) else value


def in_unit(given: Any, unit: str) -> Any:
    """Return a quantity, or a table of them, as numbers in a unit."""
    if isinstance(given, Mapping):
        return {name: entry.to(unit) for name, entry in given.items()}
    return None if given is None else given.to(unit)
