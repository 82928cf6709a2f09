r"""Whether the scales of a macroscale run are apart, as homogenization takes them to be.

With the period :math:`\ell` of the cell, the length L of the domain and the length F over which the solution varies,

.. math:: \varepsilon=\frac{\ell}{L},\qquad \varepsilon_F=\frac{\ell}{F},\qquad
    \frac{\tau_\text{cell}}{\tau_\text{domain}}=\varepsilon^2\frac{D^*}{D}\ \text{(diffusion)},\quad
    \varepsilon\ \text{(advection)},\qquad
    \mathrm{Da}=k\,\frac{\ell^2}{D},\qquad \mathrm{Pe}=\frac{v\,\ell}{D} .

The fields inside a cell differ from the homogenized ones by :math:`\ell\,\chi\,\nabla u`, which is
:math:`\varepsilon_F` of the variation of u. The cell problem is steady: the time :math:`\ell^2/D` in which a cell
relaxes must be short beside that in which the solution changes, :math:`\min(F^2/D^*,\,F/v)`. An exchange of the rate k
through the membrane is taken to be uniform in the cell, for which it must be slow beside diffusion across it:
:math:`\mathrm{Da}\ll1`.

Where does the solution vary: :class:`FrontLength` takes :math:`F=H\int|\nabla u|\,/\int|\nabla u|^2` with the range H
of u: of a front its width, of a uniform slope the length of the domain.

Source: Auriault 1991, Int. J. Engng Sci. 29, 785, doi 10.1016/0020-7225(91)90001-J.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from mpi4py import MPI

from homfem.macro.observers import Observer
from homfem.macro.state import Model
from homfem.parameters import Array, check_number
from homfem.step_control import Interval

#: Ratios above this are too large: what is neglected is a tenth of what is kept.
LIMIT = 0.1


@dataclass(frozen=True, kw_only=True, slots=True)
class ScaleSeparation:
    """Lengths and times of a run, in one system of units; what is not known is None.

    Parameters
    ----------
    period
        Of the cell, the longest one, > 0.
    domain
        Longest side of the domain, > 0.
    front
        Length over which the solution varies, > 0.
    diffusivity
        In the cell, D: the smallest of the phases in which something moves, > 0.
    effective
        Of the macroscale, D*, per volume of its phase, > 0.
    speed
        Of advection or of a front, >= 0.
    exchange
        Rate of the exchange through the membrane, 1/time, >= 0.
    unit
        Of the lengths, for the text.

    Raises
    ------
    InputError
        For a number out of range.

    Example
    -------
    >>> cell = ScaleSeparation(period=0.5, domain=30.0, front=4.0, diffusivity=220.0, effective=90.0, exchange=2.0)
    >>> round(cell.epsilon, 4), cell.epsilon_front, round(cell.damkoehler, 5)
    (0.0167, 0.125, 0.00227)
    >>> cell.warnings()[0].partition(" (")[0]
    'The period of the cell, 0.5 um, is 0.12 of the length over which the solution varies, 4 um'
    """

    period: float
    domain: float
    front: float | None = None
    diffusivity: float | None = None
    effective: float | None = None
    speed: float | None = None
    exchange: float | None = None
    unit: str = "um"

    def __post_init__(self) -> None:
        for name in ("period", "domain"):
            check_number(name, getattr(self, name), above=0.0)
        for name in ("front", "diffusivity", "effective"):
            if getattr(self, name) is not None:
                check_number(name, getattr(self, name), above=0.0)
        for name in ("speed", "exchange"):
            if getattr(self, name) is not None:
                check_number(name, getattr(self, name), at_least=0.0)

    @property
    def epsilon(self) -> float:
        """Period over domain."""
        return self.period / self.domain

    @property
    def epsilon_front(self) -> float | None:
        """Period over the length in which the solution varies."""
        return None if self.front is None else self.period / self.front

    @property
    def cell_time(self) -> float | None:
        """The time in which a cell relaxes by diffusion, period^2/D; D* stands for a D that is not known."""
        inside = self.diffusivity or self.effective
        return None if inside is None else self.period**2 / inside

    @property
    def diffusion_ratio(self) -> float | None:
        """Diffusion times of cell and domain."""
        if self.cell_time is None or self.effective is None:
            return None
        return self.cell_time * self.effective / self.domain**2

    @property
    def advection_ratio(self) -> float | None:
        """Advection times of cell and domain; None where nothing is carried."""
        return self.epsilon if self.speed else None

    @property
    def quasi_steadiness(self) -> float | None:
        """The time in which a cell relaxes over that in which the solution changes."""
        length, times = self.front or self.domain, []
        if self.effective is not None:
            times.append(length**2 / self.effective)
        if self.speed:
            times.append(length / self.speed)
        return self.cell_time / min(times) if self.cell_time is not None and times else None

    @property
    def damkoehler(self) -> float | None:
        """Rate of the exchange times the time in which a cell relaxes."""
        return None if self.exchange is None or self.cell_time is None else self.exchange * self.cell_time

    @property
    def peclet(self) -> float | None:
        """Speed times period over D."""
        return None if self.speed is None or self.cell_time is None else self.speed * self.cell_time / self.period

    def report(self) -> dict[str, float]:
        """Return the numbers that are known, by name."""
        names = (
            *("period", "domain", "front", "epsilon", "epsilon_front"),
            *("diffusion_ratio", "advection_ratio", "quasi_steadiness", "damkoehler", "peclet"),
        )
        found = {name: getattr(self, name) for name in names}
        return {name: float(value) for name, value in found.items() if value is not None}

    def warnings(self) -> tuple[str, ...]:
        """Return why homogenization should not be trusted, each with its number; nothing where the scales are apart."""
        found = []
        limit = f"(at most {LIMIT:g})"
        period = f"The period of the cell, {self.period:.3g} {self.unit},"
        if self.epsilon > LIMIT:
            found.append(
                f"{period} is {self.epsilon:.2g} of the domain, {self.domain:.4g} {self.unit} {limit}: it holds so few "
                "cells that they have no average. Resolve the cells."
            )
        elif (self.epsilon_front or 0.0) > LIMIT:
            found.append(
                f"{period} is {self.epsilon_front:.2g} of the length over which the solution varies, {self.front:.3g} "
                f"{self.unit} {limit}: the fields inside a cell differ from the homogenized ones by that part of the "
                "variation. Resolve the cells, or smooth the start."
            )
        if (self.quasi_steadiness or 0.0) > LIMIT:
            found.append(
                f"A cell relaxes in {self.quasi_steadiness:.2g} of the time in which the solution changes {limit}: the "
                "steady cell problem does not hold."
            )
        if (self.damkoehler or 0.0) > LIMIT:
            found.append(
                f"The Damköhler number of the exchange is {self.damkoehler:.2g} {limit}: what crosses the membrane "
                "makes the concentrations in a cell uneven, which the homogenized exchange does not know."
            )
        if (self.peclet or 0.0) > 1.0 and self.advection_ratio is not None:
            found.append(
                f"The Péclet number of the cell is {self.peclet:.2g} (at most 1): what is carried is dispersed, which "
                'the tensor of diffusion does not know. Take that of physics = "dispersion".'
            )
        return tuple(found)


class FrontLength(Observer):
    r"""The shortest length over which a field varies, :math:`H\int|\nabla u|/\int|\nabla u|^2`, after the start.

    Parameters
    ----------
    field
        Name of a scalar field of the model.
    every
        Steps between two looks.
    """

    def __init__(self, field: str, *, every: int | Interval = 1) -> None:
        super().__init__("front length", every=every)
        self.field = field
        self._first, self._least, self._range = math.inf, math.inf, 0.0

    @property
    def length(self) -> float | None:
        """The shortest length so far, of the start alone where nothing came after it; None of a uniform field."""
        found = self._least if math.isfinite(self._least) else self._first
        return found if math.isfinite(found) else None

    def begin(self, model: Model, time: float) -> None:
        """Compile the integrals."""
        import ufl

        from homfem.solve import integral

        self._comm = model.comm
        function = model.fields()[self.field]
        squared = ufl.inner(ufl.grad(function), ufl.grad(function))
        self._slope = integral(ufl.sqrt(squared + 1e-300) * ufl.dx)
        self._square = integral(squared * ufl.dx)

    def show(self, model: Model, step: int, time: float) -> None:
        """Look at the field; one whose range is a small part of its largest one is at rest."""
        values = model.fields()[self.field].x.array
        ends = np.array([values.max(initial=-np.inf), -values.min(initial=np.inf)])
        model.comm.Allreduce(MPI.IN_PLACE, ends, op=MPI.MAX)
        height, slope, square = float(ends.sum()), self._slope(), self._square()
        if not math.isfinite(square) or square <= 0.0 or height <= 1e-2 * self._range:
            return
        self._range = max(self._range, height)
        if step == 0:
            self._first = height * slope / square
        else:
            self._least = min(self._least, height * slope / square)

    def series(self) -> Mapping[str, Array]:
        """What a run that goes on needs."""
        return {"lengths": np.array([self._first, self._least, self._range])}

    def restore(self, series: Mapping[str, Array]) -> None:
        """Go on."""
        found = self._comm.bcast(series.get("lengths"))
        if found is not None:
            self._first, self._least, self._range = map(float, found)
