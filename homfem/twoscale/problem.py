"""What is solved on the resolved domain and in the limit: sources in the phases, and the sides that are held."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from homfem.parameters import Array, InputError, check_choice

#: A number, one for each component, or a function of points in units of the box, shape (d, n) -> (n,) or (m, n).
Given = float | Sequence[float] | Array | Callable[[Array], Any]
SIDES = ("x-low", "x-high", "y-low", "y-high", "z-low", "z-high")


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class SteadyProblem:
    r"""A steady problem on a box :math:`\Omega`, for diffusion or elasticity.

    .. math:: -\nabla\cdot(A(x/\varepsilon)\nabla u_\varepsilon) = f \quad\text{in the active phases of }\Omega,

    :math:`u_\varepsilon=g` on the sides that are held (their active parts), no flux or traction through the others and
    the walls of holes. Where no side is held, a problem of diffusion, the mean of f is taken off and
    :math:`u_\varepsilon` has mean zero.

    Parameters
    ----------
    source
        f, per volume of an active phase (a body force, in elasticity); or one for each phase, ``"*"`` for all others,
        zero in those that are not named.
    held
        g for each side that is held: ``"x-low"``, ``"x-high"``, ``"y-low"``, ...; ``"*"`` for all others. Values of
        sides that meet agree on their common edge.

    Notes
    -----
    Points are in units of the box, whose sides have the lengths of those of the cell in mesh units: the unit square for
    a square cell. Functions take points of shape (d, n) and return shape (n,), or (m, n) for m components.
    """

    source: Given | Mapping[str, Given] = 1.0
    held: Mapping[str, Given] = field(default_factory=lambda: {"*": 0.0})

    def sources(self, phases: Iterable[str], shape: tuple[int, ...]) -> dict[str, Callable[[Array], Array]]:
        """Return the source of each phase as a function; refuse names of others."""
        names = list(phases)
        if not isinstance(self.source, Mapping):
            one = as_function("source", self.source, shape)
            return dict.fromkeys(names, one)
        for name in self.source:
            check_choice("source", name, [*names, "*"])
        zero = np.zeros(shape)
        found = {name: self.source.get(name, self.source.get("*", zero)) for name in names}
        return {name: as_function(f"source.{name}", given, shape) for name, given in found.items()}

    def sides(self, dimension: int, shape: tuple[int, ...]) -> dict[tuple[int, int], Callable[[Array], Array]]:
        """Return the values of each side that is held as a function, by axis and end (0 or 1)."""
        known = SIDES[: 2 * dimension]
        for name in self.held:
            check_choice("held", name, [*known, "*"])
        if shape and not self.held:
            raise InputError("held", dict(self.held), "given for at least one side: a solid that is free moves away")
        found = {}
        for number, name in enumerate(known):
            given = self.held.get(name, self.held.get("*"))
            if given is not None:
                found[number // 2, number % 2] = as_function(f"held.{name}", given, shape)
        return found


def as_function(name: str, given: Given, shape: tuple[int, ...]) -> Callable[[Array], Array]:
    """Return what is given as a function of points (d, n) that returns checked values of shape (m, n)."""
    components = int(np.prod(shape, dtype=int))
    wanted = f"finite values of shape (n,) or ({components}, n) at points of shape (d, n)"
    if not callable(given):
        try:
            constant = np.asarray(given, dtype=np.float64)
        except (TypeError, ValueError) as error:
            raise InputError(name, given, "numbers, or a function of points") from error
        if constant.shape not in ((), (components,)) or not np.all(np.isfinite(constant)):
            raise InputError(name, given, f"a finite number, or {components} of them")
        return lambda x: np.broadcast_to(constant.reshape(-1, 1), (components, x.shape[1]))

    def values(x: Array) -> Array:
        found = np.asarray(given(x), dtype=np.float64)
        if found.shape not in ((x.shape[1],), (components, x.shape[1]), ()) or not np.all(np.isfinite(found)):
            raise InputError(name, found.shape, wanted)
        return np.broadcast_to(found, (components, x.shape[1]))

    return values
