r"""Kinetics of calcium from a file: gotranx ``.ode``, CellML, Myokit ``.mmt``, by the reader of ionic models.

A file has equations for the calcium of the cytosol and mostly for that of the ER; which of its quantities are fluxes,
and between what, it does not say. So one names the two concentrations and the fluxes; the file's own derivatives of the
concentrations are left, the states keep theirs. Concentrations become uM, time s, whatever the file has.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from homfem.kinetics.calcium.fluxes import GEOMETRY, UNITS_OF_LENGTH, Flux, SurfaceFlux, VolumeFlux, number
from homfem.kinetics.calcium.mechanisms import FIELDS, CalciumKinetics, Mechanism, State
from homfem.kinetics.expressions import CONSTANTS, FUNCTIONS
from homfem.kinetics.written import TIME
from homfem.parameters import FileError, InputError, UnitError, check_choice, nearest_name
from homfem.quantities import conversion_factor

if TYPE_CHECKING:
    from homfem.kinetics.ionic.sources import Source

#: Kinds of files by the end of their names.
KINDS = (".ode", ".cellml", ".mmt")
_LARGEST = 5_000_000
_KINDS_OF_FLUX: Mapping[str, type[Flux]] = {"volume": VolumeFlux, "surface": SurfaceFlux}
_SCALED = re.compile(r"(.*?)\s*\(([-+0-9.e]+)\)")


@dataclass(frozen=True, kw_only=True, slots=True)
class FluxOfFile:
    """A quantity of a file that is a flux.

    Parameters
    ----------
    name : str
        Its name in the file.
    source, target : str
        Where it comes from and goes to, where it is > 0: ``"cytosol"``, ``"er"``, ``"outside"``.
    per : str
        ``"volume"`` of cytosol or ``"surface"`` of the membrane.
    unit : str
        Its unit, where the file does not say it: one that converts to uM/s or uM um/s.
    """

    name: str
    source: str
    target: str
    per: str = "volume"
    unit: str = ""


def read_calcium(
    path: str | Path,
    *,
    cytosol: str,
    er: str,
    fluxes: tuple[FluxOfFile, ...] | list[FluxOfFile],
    ip3: str | None = None,
    unit: str = "",
    time_unit: str = "",
) -> CalciumKinetics:
    """Return the kinetics of calcium of a file.

    Parameters
    ----------
    path
        A gotranx ``.ode``, CellML ``.cellml`` or Myokit ``.mmt`` file.
    cytosol, er
        Names of the concentrations in the file: states or parameters of it.
    fluxes
        Which of its quantities are fluxes.
    ip3
        Name of IP3 in the file, if it has it: a parameter or a state, whose equation is left.
    unit, time_unit
        Of the concentrations and of time, where the file does not say them: ``.ode`` files never say that of time.

    Returns
    -------
    CalciumKinetics
        In uM and s; its other states and its parameters bear the names of the file (with ``_`` behind those that have
        another meaning here), the parameters its units.

    Raises
    ------
    FileError
        If the file is missing, cannot be read, or has functions that expressions have not.
    InputError
        For names that the file does not have, with the nearest.
    UnitError
        For a concentration, a time or a flux whose unit is missing or does not convert.
    """
    from homfem.kinetics.ionic.sources import read_source

    file = Path(path)
    if file.suffix.lower() not in KINDS:
        raise FileError("calcium kinetics", str(path), "a file that ends in " + ", ".join(KINDS))
    try:
        with file.open("rb") as stream:
            data = stream.read(_LARGEST + 1)
    except OSError as error:
        raise FileError("calcium kinetics", str(path), f"a file that can be read ({error.strerror})") from error
    if len(data) > _LARGEST:
        raise FileError("calcium kinetics", str(path), f"at most {_LARGEST // 1_000_000} MB")
    source = read_source(file, data)
    known = {"c": cytosol, "e": er} | ({} if ip3 is None else {"ip3": ip3})
    return _Translation(file, source, known, unit, time_unit).kinetics(fluxes)


class _Translation:
    """What takes the equations of a file into expressions in uM and s."""

    def __init__(self, file: Path, source: Source, known: Mapping[str, str], unit: str, time_unit: str) -> None:
        self.file, self.source = file, source
        quantities = {**source.states, **source.parameters}
        for name, own in known.items():
            if own not in quantities:
                allowed = f"a state or parameter of {file.name}: {', '.join(quantities)}"
                raise InputError(FIELDS[name], own, allowed, nearest_name(own, list(quantities)))
        if len(set(known.values())) < len(known):
            raise InputError("er", known["e"], "another one than those of the other concentrations")
        said = "" if file.suffix.lower() == ".ode" else source.time_unit  # the language has no unit of time
        self.seconds = _factor(f"{file.name}: time", time_unit or said, "s")
        self.factors = {
            own: _factor(f"{file.name}: {own}", unit or quantities[own].unit, "uM") for own in known.values()
        }
        self.fields = {own: name for name, own in known.items()}
        self.quantities = quantities
        taken = {*FIELDS, *FIELDS.values(), *FUNCTIONS, *CONSTANTS, TIME, *UNITS_OF_LENGTH}
        taken |= {entry.name for entry in GEOMETRY}
        names = [*quantities, *source.definitions, *(f"d{name}_dt" for name in source.states)]
        self.names = {name: _own_name(name, taken) for name in names if name not in self.fields}
        if len(set(self.names.values())) < len(self.names):
            raise FileError("calcium kinetics", str(file), "names that differ also without leading _", "Rename some.")

    def kinetics(self, fluxes: tuple[FluxOfFile, ...] | list[FluxOfFile]) -> CalciumKinetics:
        states = self._states()
        mechanism = Mechanism(
            name=self.file.stem,
            fluxes=tuple(map(self._flux, fluxes)),
            states=states,
            definitions={self.names[name]: self._text(entry) for name, entry in self._ordered()},
            parameters=tuple(
                replace(number(self.names[name], entry.value, "", entry.meaning or name), above=-float("inf"))
                for name, entry in self.source.parameters.items()
                if name in self.names and name not in self.source.times
            ),
        )
        start = {
            FIELDS[name]: self.quantities[own].value * self.factors[own]
            for own, name in self.fields.items()
            if name != "ip3"
        }
        ip3 = next((own for own, name in self.fields.items() if name == "ip3"), None)
        return CalciumKinetics(
            name=self.file.stem,
            mechanisms=(mechanism,),
            ip3=0.0 if ip3 is None else self.quantities[ip3].value * self.factors[ip3],
            start=start,
            source=str(self.file.name),
            checked=False,
        )

    def _ordered(self) -> list[tuple[str, Any]]:
        """Return the definitions, each after those that it uses."""
        import graphlib

        definitions = dict(self.source.definitions)
        uses = {
            name: {symbol.name for symbol in entry.free_symbols if symbol.name in definitions}
            for name, entry in definitions.items()
        }
        try:
            order = list(graphlib.TopologicalSorter(uses).static_order())
        except graphlib.CycleError as error:
            raise FileError("calcium kinetics", str(self.file), "without a circle", ", ".join(error.args[1])) from error
        derivatives = {f"d{name}_dt" for name in self.source.states}
        return [(name, definitions[name]) for name in order if name not in derivatives]

    def _flux(self, given: FluxOfFile) -> Flux:
        check_choice(f"{given.name}.per", given.per, tuple(_KINDS_OF_FLUX))
        kind, every = _KINDS_OF_FLUX[given.per], [*self.source.definitions, *self.source.parameters]
        if given.name not in every:
            allowed = f"a quantity of {self.file.name}: {', '.join(every)}"
            raise InputError("fluxes", given.name, allowed, nearest_name(given.name, every))
        unit = given.unit or self.source.units.get(given.name, "")
        factor = _factor(f"{self.file.name}: {given.name}", unit, kind.unit)
        return kind(
            name=f"flux_of_{given.name}",
            source=given.source,
            target=given.target,
            expression=f"{factor!r}*{self.names[given.name]}",
            reference=self.file.name,
        )

    def _states(self) -> tuple[State, ...]:
        from homfem.kinetics.ionic.derivation import gates
        from homfem.kinetics.ionic.equations import Equations, plain, symbol

        times = self.source.times
        equations = Equations(
            name=self.file.stem,
            potential="",
            states=self.source.states,
            parameters=self.source.parameters,
            definitions={symbol(name): plain(entry, times) for name, entry in self.source.definitions.items()},
            derivatives={name: plain(entry, times) for name, entry in self.source.derivatives.items()},
        )
        relaxing, found = gates(equations), []
        per_second = repr(1.0 / self.seconds)
        for name, entry in self.source.states.items():
            if name in self.fields:
                continue
            about: dict[str, Any] = {"name": self.names[name], "start": entry.value, "meaning": entry.meaning}
            if name in relaxing:
                gate = relaxing[name]
                rate, target = self._text(gate.rate), self._text(gate.target)
                found.append(State(rate=f"{per_second}*({rate})", target=target, **about))
            else:
                drift = self._text(self.source.derivatives[name])
                found.append(State(drift=f"{per_second}*({drift})", **about))
        return tuple(found)

    def _text(self, entry: Any) -> str:
        """Return an expression of SymPy as text, with concentrations in uM and time in s."""
        import sympy

        kind = type(entry)
        if entry.is_Symbol:
            return self._name(entry.name)
        if entry.is_number and not entry.args:
            value = float(entry)
            return f"({value!r})" if value < 0.0 else repr(value)
        name = {sympy.Abs: "abs", sympy.Max: "max", sympy.Min: "min"}.get(kind, kind.__name__)
        if not (entry.is_Add or entry.is_Mul or entry.is_Pow or name in FUNCTIONS):
            allowed = f"equations of + - * / ^ and {', '.join(FUNCTIONS)}"
            raise FileError("calcium kinetics", str(self.file), allowed, f"It has {kind.__name__}: {str(entry)[:60]}.")
        parts = [self._text(part) for part in entry.args]
        if entry.is_Add:
            return f"({' + '.join(parts)})"
        if entry.is_Mul:
            return f"({'*'.join(parts)})"
        if entry.is_Pow:
            return f"(({parts[0]})^({parts[1]}))"
        if name in ("max", "min"):
            text = parts[0]
            for part in parts[1:]:
                text = f"{name}({text}, {part})"
            return text
        return f"{name}({parts[0]})"

    def _name(self, name: str) -> str:
        if name in self.source.times or name == "time":
            return f"({1.0 / self.seconds!r}*t)"
        if name in self.fields:
            return f"({1.0 / self.factors[name]!r}*{self.fields[name]})"
        if name not in self.names:
            raise FileError(
                "calcium kinetics", str(self.file), "equations of names that it defines", f"{name} is none."
            )
        return self.names[name]


def _own_name(name: str, taken: set[str]) -> str:
    """Return a name that can stand in expressions."""
    plain = name.lstrip("_") or "x"
    return f"{plain}_" if plain in taken or not plain[0].isalpha() else plain


def _factor(name: str, unit: str, wanted: str) -> float:
    """Return how many ``wanted`` one unit of a file is."""
    scaled = _SCALED.fullmatch(unit)
    if not unit:
        raise UnitError(name, unit, f"in a unit that converts to {wanted}", "The file gives none: give it here.")
    try:
        return float(scaled[2]) * conversion_factor(scaled[1], wanted) if scaled else conversion_factor(unit, wanted)
    except UnitError as error:
        raise UnitError(name, unit, f"in a unit that converts to {wanted}", error.remedy) from error
