"""The formulas of a membrane as source code, with the tables of what is in them: what is kept of a file."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from homfem.kinetics.parameters import Parameter
from homfem.kinetics.point import Fields, PointKinetics, Variable
from homfem.parameters import Array


@dataclass(frozen=True, kw_only=True, slots=True)
class Formulas:
    """A membrane as source code.

    Parameters
    ----------
    name : str
        Name of the model.
    potential : Variable
        The membrane potential.
    states : tuple of Variable
        Gates, then the other states.
    parameters : tuple of Parameter
        Its parameters.
    python : str
        Module with ``rates``, ``relaxation``, ``drift`` and ``slopes``, in NumPy.
    c : str
        The same formulas as statements in C, for one node: see :mod:`homfem.kinetics.ionic.kernels`.
    c_slopes : str
        The same with the slopes.
    notes : tuple of str
        What was done to the file, in sentences.
    """

    name: str
    potential: Variable
    states: tuple[Variable, ...]
    parameters: tuple[Parameter, ...]
    python: str
    c: str
    c_slopes: str
    notes: tuple[str, ...] = ()

    @property
    def gates(self) -> int:
        """Number of gates."""
        return sum(state.gate for state in self.states)

    def to_json(self) -> str:
        """Return all of it as text."""
        parameters = [{key: getattr(entry, key) for key in _PARAMETER} for entry in self.parameters]
        rest = {key: getattr(self, key) for key in ("name", "python", "c", "c_slopes", "notes")}
        states = [asdict(state) for state in self.states]
        return json.dumps(rest | {"potential": asdict(self.potential), "states": states, "parameters": parameters})

    @classmethod
    def from_json(cls, text: str) -> Formulas:
        """Return what :meth:`to_json` wrote."""
        entries: dict[str, Any] = json.loads(text)
        entries["potential"] = Variable(**entries["potential"])
        entries["states"] = tuple(Variable(**entry) for entry in entries["states"])
        entries["parameters"] = tuple(Parameter(**entry) for entry in entries["parameters"])
        entries["notes"] = tuple(entries["notes"])
        return cls(**entries)


_PARAMETER = ("name", "value", "unit", "meaning", "source")


class _Functions:
    """The functions of formulas in NumPy."""

    def __init__(self, formulas: Formulas) -> None:
        self._formulas = formulas
        self._names: dict[str, Any] = {}

    def _call(self, which: str, time: float, fields: Fields, states: Array, p: Any) -> Any:
        if not self._names:  # compiled steps need none of it
            self._names["numpy"] = np
            exec(compile(self._formulas.python, f"<{self._formulas.name}>", "exec"), self._names)
        with np.errstate(over="ignore", divide="ignore", invalid="ignore", under="ignore"):
            return self._names[which](time, fields, states, p)

    def rates(self, time: float, fields: Fields, states: Array, p: Any) -> Array:
        return np.asarray(self._call("rates", time, fields, states, p))

    def drift(self, time: float, fields: Fields, states: Array, p: Any) -> Array:
        return np.asarray(self._call("drift", time, fields, states, p))

    def slopes(self, time: float, fields: Fields, states: Array, p: Any) -> Array:
        return np.asarray(self._call("slopes", time, fields, states, p))

    def relaxation(self, time: float, fields: Fields, states: Array, p: Any) -> tuple[Array, Array]:
        both = self._call("relaxation", time, fields, states, p)
        return both[0], both[1]


def kinetics_of(formulas: Formulas) -> PointKinetics:
    """Return the kinetics of formulas: the membrane potential as the field, gates, then the other states."""
    functions = _Functions(formulas)
    gates = formulas.gates
    return PointKinetics(
        name=formulas.name,
        time_unit="ms",
        fields=(formulas.potential,),
        states=formulas.states,
        parameters=formulas.parameters,
        rates=functions.rates,
        relaxation=functions.relaxation if gates else None,
        drift=functions.drift if gates < len(formulas.states) else None,
        slopes=functions.slopes,
        formulas=formulas,
    )
