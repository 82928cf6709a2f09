"""The table ``[macro.membrane]``: an ionic model by its name or file, its parameters, area and capacitance."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

from pydantic import model_validator

from homfem.config.models.heart_beats import PacingTable
from homfem.config.table import Check, Missing, Table, keys_from, renamed, text
from homfem.kinetics.ionic import IONIC_MODELS, ionic_kinetics, read_ionic
from homfem.kinetics.ionic.kernels import SCHEMES
from homfem.kinetics.ionic.ranges import check_ranges
from homfem.kinetics.parameters import Parameter, refuse_unknown
from homfem.kinetics.point import PointKinetics, Variable
from homfem.parameters import FileError, InputError, UnitError, check_choice, check_number
from homfem.quantities import CAPACITANCE_PER_AREA, INVERSE_LENGTH, Kind, Quantity, check_unit, parse_quantity


def _numbers(value: Any) -> dict[str, Any]:
    allowed = "a table of numbers and quantities by name, each one for all or a table of regions"
    if not isinstance(value, dict):
        raise InputError("", value, allowed)
    for name, entry in value.items():
        for region, number in entry.items() if isinstance(entry, dict) and entry else [("", entry)]:
            if isinstance(number, bool) or not isinstance(number, (int, float, str)):
                raise InputError(f"{name}.{region}" if region else str(name), number, "a number or a quantity")
    return dict(value)


def by_region(kind: Kind) -> Check:
    """Return the validator of a quantity > 0, or of a table with one for each region."""

    def check(value: Any) -> Quantity | dict[str, Quantity]:
        if not isinstance(value, dict) or not value:
            return parse_quantity("", value, kind, above=0.0)
        return {str(region): parse_quantity(str(region), entry, kind, above=0.0) for region, entry in value.items()}

    says = f'{kind.name} > 0, such as "{kind.example}", or a table with one for each region'
    return Check(check, says=says)


def _variant(value: Any) -> str | dict[str, str]:
    if isinstance(value, dict) and value:
        return {str(region): _name(str(region), entry) for region, entry in value.items()}
    return _name("", value)


def _name(path: str, value: Any) -> str:
    if not isinstance(value, str) or not value.strip():
        raise InputError(path, value, "the name of a variant, or a table with one for each region")
    return value


def _model(value: Any) -> str:
    if isinstance(value, dict):
        remedy = "Parameters, starts and variants may differ by region; a scar has conductances of 0."
        raise InputError("", value, "one model for all of the tissue", remedy)
    return check_choice("", value, tuple(IONIC_MODELS))


_MODEL = Check(_model, says=" or ".join(f'"{name}"' for name in IONIC_MODELS), schema={"enum": [*IONIC_MODELS]})
_VARIANT = Check(_variant, says="the name of a variant, or a table with one for each region")
_TABLE = Check(_numbers, says="a table of numbers and quantities, also by region")


#: What gotranx and others call the schemes.
_OTHERS = {"hybrid-rush-larsen": "rush-larsen", "forward-euler": "explicit", "explicit-euler": "explicit"}
_SCHEME_NAMES = " or ".join(f'"{name}"' for name in SCHEMES)


def _scheme(value: Any) -> str:
    plain = value.replace("_", "-") if isinstance(value, str) else value
    return check_choice("", _OTHERS.get(plain, plain) if isinstance(plain, str) else plain, SCHEMES)


class MembraneTable(Table):
    """``[macro.membrane]``: the ionic model, and how much membrane there is."""

    model: Annotated[str, _MODEL] | None = None
    """An ionic model of the literature; either this or a file is given."""
    variant: Annotated[Any, _VARIANT] | None = None
    """A variant of the model, such as `"endo"`, also by region: `{ endo = "endo", "*" = "epi" }`; its first one without
    it."""
    file: Annotated[str, text("the path of a .ode, .cellml or .mmt file")] | None = None
    """A gotranx, CellML or Myokit file with an ionic model."""
    potential: Annotated[str, text("the name of the membrane potential in the file")] | None = None
    """The membrane potential in the file, if it has an unusual name."""
    scheme: Annotated[str, Check(_scheme, says=_SCHEME_NAMES, schema={"enum": [*SCHEMES]})] = SCHEMES[0]
    """Steps of the membrane: gates exponentially and the rest explicitly, all exponentially, or all explicitly."""
    parameters: Annotated[Mapping[str, Any], _TABLE] = {}
    """Parameters of the model in place of its own: with units where the model has them, each also by region."""
    initial: Annotated[Mapping[str, Any], _TABLE] = {}
    """The start, as parameters: `V`, and states of the model; what is not named is as the model says."""
    pacing: PacingTable | None = None
    """Beats of single cells before the run, whose end is its start."""
    area: Annotated[Any, by_region(INVERSE_LENGTH)] | None = None
    """Area of the membrane per volume of tissue, also by region; without it what tensors from the cell tell."""
    capacitance: Annotated[Any, by_region(CAPACITANCE_PER_AREA)] = Quantity(1.0, "uF/cm^2")
    """Capacitance per area of the membrane, also by region."""

    @model_validator(mode="after")
    def _one(self) -> MembraneTable:
        if (self.model is None) == (self.file is None):
            given = Missing() if self.model is None else self.model
            raise InputError("model", given, "given, or file: one of the two")
        for key, owner in (("variant", "model"), ("potential", "file")):
            if getattr(self, key) is not None and getattr(self, owner) is None:
                raise InputError(key, getattr(self, key), f"absent without {owner}")
        return self

    def kinetics(self, folder: Path) -> PointKinetics:
        """Return the ionic model; files are sought from ``folder``."""
        try:
            if self.model is not None:
                return self._of_literature(self.model)
            return read_ionic(folder / str(self.file), self.potential)
        except FileError as error:
            raise FileError("file", str(self.file), error.allowed, error.remedy) from error
        except InputError as error:
            raise renamed(error, error.name if error.name.startswith(("variant", "potential")) else "file") from error

    def _of_literature(self, model: str) -> PointKinetics:
        if not isinstance(self.variant, dict):
            return ionic_kinetics(model, self.variant)
        variants = {region: self._of_region(model, region) for region in self.variant}
        base = variants.get("*", next(iter(variants.values())))
        names = ", ".join(f"{region}: {name}" for region, name in self.variant.items())
        return dataclasses.replace(base, name=f"{model} ({names})")

    def _of_region(self, model: str, region: str) -> PointKinetics:
        with keys_from({"variant": f"variant.{region}"}):
            return ionic_kinetics(model, dict(self.variant or {})[region])

    def _by_variants(self) -> dict[str, dict[str, float]]:
        """Return the parameters in which the variants of the regions differ, by region."""
        if self.model is None or not isinstance(self.variant, dict):
            return {}
        numbers = {region: vars(self._of_region(self.model, region).values()) for region in self.variant}
        names = next(iter(numbers.values()))
        found = {name: {region: float(given[name]) for region, given in numbers.items()} for name in names}
        return {name: values for name, values in found.items() if len(set(values.values())) > 1}

    def check(self, kinetics: PointKinetics) -> None:
        """Refuse numbers and a scheme that the ionic model does not take."""
        self.numbers(kinetics)
        if self.scheme != SCHEMES[0] and kinetics.slopes is None:
            remedy = "Others take models that tell their slopes, as those from files do."
            raise InputError("scheme", self.scheme, f"{SCHEMES[0]!r} for {kinetics.name}", remedy)

    def numbers(self, kinetics: PointKinetics) -> tuple[dict[str, Any], dict[str, Any]]:
        """Return the parameters and the start that are given, in the units of the ionic model, also by region.

        Raises
        ------
        InputError
            For names that it does not have, with the nearest, and numbers out of range.
        UnitError
            For units that do not convert to its own.
        """
        known: dict[str, Parameter] = {entry.name: entry for entry in kinetics.parameters}
        states: dict[str, Variable] = {entry.name: entry for entry in (*kinetics.fields, *kinetics.states)}
        refuse_unknown("parameters", self.parameters, known)
        refuse_unknown("initial", self.initial, states)
        parameters = {name: _read(f"parameters.{name}", known[name], given) for name, given in self.parameters.items()}
        initial = {name: _read(f"initial.{name}", states[name], given) for name, given in self.initial.items()}
        for name, values in self._by_variants().items():
            own = parameters.get(name, {})
            if isinstance(own, dict) and "*" not in own:
                parameters[name] = values | own
        check_ranges("parameters", kinetics, parameters)
        check_ranges("initial", kinetics, initial)
        return parameters, initial


def _read(path: str, entry: Parameter | Variable, given: Any) -> Any:
    """Return a number in the unit of an entry, or one for each region."""
    if isinstance(given, dict):
        return {region: _read(f"{path}.{region}", entry, value) for region, value in given.items()}
    unit = _known_unit(entry.unit)
    if not unit:
        remedy = f"The model has {entry.name} without a unit." if isinstance(given, str) else ""
        value = check_number(path, given, remedy=remedy)
    elif isinstance(given, str):
        value = parse_quantity(path, given, Kind(name="a quantity", unit=unit, example=f"1 {unit}")).to(unit)
    else:
        raise UnitError(path, given, f"with its unit, such as '{given} {unit}'")
    if isinstance(entry, Parameter):
        with keys_from({entry.name: path}):
            entry.check(value)
    return value


def _known_unit(unit: str) -> str:
    """Return a unit that converts; empty where there is none, or the file has its own words."""
    if not unit or unit == "1":
        return ""
    try:
        return check_unit("unit", unit, Kind(name="a quantity", unit=unit, example=f"1 {unit}"))
    except InputError:
        return ""
