"""The table ``[macro.reaction]``: a reaction by its name, or rates as expressions of the species."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any

from pydantic import Field, create_model, model_validator

from homfem.config.models.stimulus import stimuli, stimulus_path
from homfem.config.table import Check, Missing, Table, choice, keys_from
from homfem.kinetics.combined import combined_reactions
from homfem.kinetics.named_reactions import REACTIONS
from homfem.kinetics.point import PointKinetics
from homfem.kinetics.reactions import named_reaction, written_reaction
from homfem.parameters import InputError


def _parameter(value: Any) -> Any:
    if isinstance(value, dict) and value:
        return {str(region): _parameter(entry) for region, entry in value.items()}
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        raise InputError("", value, "a number, a quantity, or one for each region")
    return value


def _names(value: Any) -> tuple[str, ...]:
    given = [value] if isinstance(value, str) else value
    if not isinstance(given, list) or not given or not all(isinstance(entry, str) for entry in given):
        raise InputError("", value, "the name of a species, or a list of names")
    return tuple(given)


def _rates(value: Any) -> Any:
    entries = list(value.values()) if isinstance(value, dict) else value if isinstance(value, list) else [value]
    if not entries or not all(
        isinstance(entry, (str, int, float)) and not isinstance(entry, bool) for entry in entries
    ):
        raise InputError("", value, 'expressions by species, such as { u = "u*(1 - u)" }')
    return value if isinstance(value, dict) else tuple(entries)


def _numbers(value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise InputError("", value, "a table of numbers and quantities by name")
    return {str(name): _parameter(entry) for name, entry in value.items()}


Parameter = Annotated[Any, Check(_parameter, says="a number or a quantity, or one for each region")]


def _keys() -> dict[str, Any]:
    """Return the keys of the parameters of all named reactions, each with its meanings."""
    meanings: dict[str, list[str]] = {}
    for reaction in REACTIONS.values():
        for entry in reaction.parameters:
            meanings.setdefault(entry.name, []).append(f"{reaction.name}: {entry.meaning}")
    return {
        name: (Parameter | None, Field(default=None, description="; ".join(told))) for name, told in meanings.items()
    }


_Named: Any = create_model("_Named", __base__=Table, **_keys())


class ReactionTable(_Named):
    """``[macro.reaction]``: a reaction by its `name` with its parameters, or `rates` as expressions.

    Rates are per volume of tissue and time, in the unit of the species.
    """

    name: Annotated[str, choice(*REACTIONS)] | None = None
    """A reaction of the literature."""
    species: Annotated[Any, Check(_names, says="the name of a species, or a list of names")] | None = None
    """The species of the named reaction, in the order of their roles; all without it."""
    rates: Annotated[Any, Check(_rates, says="expressions by species, or a list in their order")] | None = None
    """What each species gains per time: an expression of the species, the parameters, `t`, `x`, `y`, `z` (s, um)."""
    parameters: Annotated[Any, Check(_numbers, says="a table of numbers and quantities")] | None = None
    """The names in the rates: numbers, or quantities with units, all of which must fit then."""

    @model_validator(mode="after")
    def _one(self) -> ReactionTable:
        if (self.name is None) == (self.rates is None):
            given = Missing() if self.name is None else self.name
            raise InputError("name", given, "given, or rates: one of the two")
        own = [] if self.name is None else [entry.name for entry in REACTIONS[self.name].parameters]
        for key in type(self)._parameter_names():
            if getattr(self, key) is not None and key not in own:
                has = f"which has {', '.join(own)}" if own else "where rates are given: their numbers are parameters"
                raise InputError(key, getattr(self, key), f"absent for {self.name or 'rates'}, {has}")
        if self.parameters is not None and self.name is not None:
            raise InputError("parameters", self.parameters, "absent with name: its numbers are keys of the table")
        if self.species is not None and self.rates is not None:
            raise InputError("species", list(self.species), "absent with rates")
        return self

    @classmethod
    def _parameter_names(cls) -> list[str]:
        return [key for key in cls.model_fields if key not in ("name", "species", "rates", "parameters")]

    def kinetics(self, units: Mapping[str, str], dimension: int) -> tuple[PointKinetics, dict[str, Any]]:
        """Return the kinetics, in s and um, and the parameters that differ by region, for species with their units.

        Raises
        ------
        InputError
            Under the keys of the table.
        """
        given = (self.parameters or {}) if self.name is None else self._given()
        regions = {key: value for key, value in given.items() if isinstance(value, dict)}
        plain = {key: next(iter(value.values())) if key in regions else value for key, value in given.items()}
        found = self._kinetics(units, plain, dimension)
        by_region: dict[str, Any] = {}
        for key, entries in regions.items():
            by_region[key] = {}
            for region, value in entries.items():
                try:
                    numbers = self._kinetics(units, plain | {key: value}, dimension).values()
                except InputError as error:
                    raise type(error)(f"{self._at(key)}.{region}", value, error.allowed, error.remedy) from error
                by_region[key][region] = getattr(numbers, key)
        return found, by_region

    def _given(self) -> dict[str, Any]:
        values = {key: getattr(self, key) for key in self._parameter_names()}
        return {key: value for key, value in values.items() if value is not None}

    def _at(self, key: str) -> str:
        return key if self.name is not None else f"parameters.{key}"

    def _kinetics(self, units: Mapping[str, str], parameters: Mapping[str, Any], dimension: int) -> PointKinetics:
        if self.name is None:
            rates = self._by_species(list(units))
            return written_reaction(rates, units, parameters=parameters, dimension=dimension, bare=False)
        names: Sequence[str] = self.species or tuple(units)
        roles = len(REACTIONS[self.name].roles)
        if self.species is None and len(names) != roles:
            words = ", ".join(REACTIONS[self.name].roles)
            raise InputError("species", Missing(), f"a list of {roles} of {', '.join(units)}, for {words}")
        for name in names:
            if name not in units:
                raise InputError("species", name, "one of " + ", ".join(units))
        chosen = {name: units[name] for name in names}
        missing = [
            entry
            for entry in REACTIONS[self.name].parameters
            if entry.name not in parameters and entry.value != entry.value
        ]
        if missing:
            raise InputError(missing[0].name, Missing(), f"given: {missing[0].meaning}")
        return named_reaction(self.name, chosen, parameters=parameters, bare=False)

    def _by_species(self, names: list[str]) -> dict[str, str]:
        if isinstance(self.rates, dict):
            return {name: str(rate) for name, rate in self.rates.items()}
        rates = self.rates or ()
        if len(rates) != len(names):
            raise InputError("rates", list(rates), f"{len(names)} expressions, for {', '.join(names)}")
        return {name: str(rate) for name, rate in zip(names, rates, strict=True)}


def parse_reactions(value: Any) -> tuple[ReactionTable, ...]:
    """Return one table ``[macro.reaction]``, or several ``[[macro.reaction]]``."""
    return stimuli(ReactionTable, "reaction")(value)


def kinetics_of(
    reactions: Sequence[ReactionTable], units: Mapping[str, str], dimension: int
) -> tuple[PointKinetics | None, dict[str, Any]]:
    """Return the sum of reactions and the parameters that differ by region; None without a reaction.

    Raises
    ------
    InputError
        Under the keys of ``[macro]``.
    """
    made: list[tuple[PointKinetics, dict[str, Any]]] = []
    for k, reaction in enumerate(reactions):
        with keys_from({}, stimulus_path("reaction", k, len(reactions))):
            made.append(reaction.kinetics(units, dimension))
    if len(made) < 2:
        return made[0] if made else (None, {})
    parts = {f"reaction{k}": kinetics for k, (kinetics, _) in enumerate(made)}
    by_region = {f"reaction{k}_{name}": value for k, (_, given) in enumerate(made) for name, value in given.items()}
    return combined_reactions(parts), by_region
