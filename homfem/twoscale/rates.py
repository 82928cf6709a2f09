"""Errors of several levels, their rates, and the table of both."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

import numpy as np

from homfem.parameters import Array


class HasErrors(Protocol):
    r"""What was found for one :math:`\varepsilon`."""

    @property
    def eps(self) -> float:
        r""":math:`\varepsilon`."""

    @property
    def dofs(self) -> int:
        """Unknowns of the resolved problem."""

    @property
    def errors(self) -> Mapping[str, float]:
        """Errors by name."""


class Rates:
    r"""What a study has of its levels, the largest :math:`\varepsilon` first; a base class."""

    @property
    def found(self) -> Sequence[HasErrors]:
        """The levels."""
        raise NotImplementedError

    @property
    def names(self) -> tuple[str, ...]:
        """What :meth:`errors` and :meth:`rates` take."""
        return tuple(self.found[0].errors)

    @property
    def eps(self) -> Array:
        r""":math:`\varepsilon` of each level."""
        return np.array([level.eps for level in self.found])

    def errors(self, name: str) -> Array:
        """Return an error of each level."""
        return np.array([level.errors[name] for level in self.found])

    def rates(self, name: str) -> Array:
        r"""Return the rates in :math:`\varepsilon` of an error, from each level to the next."""
        return np.asarray(np.diff(np.log(self.errors(name))) / np.diff(np.log(self.eps)))

    def table(self) -> str:
        """Return errors and rates as a table in text."""
        width = max(map(len, self.names)) + 2
        lines = [f"{'1/eps':>6}{'dofs':>10}" + "".join(f"{name:>{width}}{'rate':>6}" for name in self.names)]
        rates = {name: [np.nan, *self.rates(name)] for name in self.names}
        errors = {name: self.errors(name) for name in self.names}
        for k, level in enumerate(self.found):
            told = "".join(
                f"{errors[name][k]:{width}.3e}" + (f"{rates[name][k]:6.2f}" if k else " " * 6) for name in self.names
            )
            lines.append(f"{round(1.0 / level.eps):6d}{level.dofs:10d}{told}")
        return "\n".join(lines)
