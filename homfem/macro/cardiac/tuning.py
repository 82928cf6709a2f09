r"""Conduction velocity in a cable, and the conductivity that gives a wanted one on a given mesh, step and scheme.

A front of width :math:`w\sim\sqrt{D\tau}`, :math:`D=\sigma/(\chi C_m)`, on elements as wide as a part of w does not run
at the velocity of the equations: too fast with consistent mass, too slow with lumped mass. As in the equations
:math:`v\sim\sqrt\sigma`, the secant method on :math:`\log v(\log\sigma)` finds in a few runs of a cable, with the same
element size, step, scheme and membrane as the tissue's, the conductivity with which the tissue has the measured
velocity on its mesh. It then holds part of the mesh's error: on another mesh the same conductivity gives another
velocity, which stands beside it.

Source
------
Costa, Hoetzl, Rocha, Prassl, Plank 2013, Comput. Cardiol. 40, 851.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from dolfinx import mesh as dmesh
from mpi4py import MPI

from homfem.kinetics import PointKinetics
from homfem.macro.cardiac.model import CardiacModel
from homfem.macro.cardiac.problem import CardiacMethod, CardiacProblem
from homfem.macro.domain import Domain
from homfem.macro.observers import crossed
from homfem.macro.stimulus import Box, Stimulus
from homfem.parameters import ConvergenceError, InputError, check_integer, check_number, check_tolerance
from homfem.progress import without_warnings
from homfem.timestepping import Schedule

log = logging.getLogger("homfem")

#: Rise of V by the stimulus, mV/ms; width of the stimulus and length of the cable in widths of the front.
RISE, STIMULATED, LENGTH = 36.0, 5.0, 45.0
#: The front's width is that of diffusion in so long, ms.
FRONT_TIME = 1.0
#: The slowest front is one that takes so long for its own width, ms.
SLOWEST = 10.0
MOST_RUNS = 20


@dataclass(frozen=True, kw_only=True, slots=True)
class Cable:
    """How a cable is discretised: as the tissue for which it stands.

    Parameters
    ----------
    size
        Length of the elements, mm.
    step
        Time step, ms.
    membrane, area, capacitance, parameters, start
        As of :class:`CardiacProblem`.
    method
        How it is solved.
    threshold
        V at which the front has come, in the unit of V.
    amplitude, duration
        Of the stimulus at one end, uA/mm^3 and ms. None: a rise of V by 36 mV/ms, of a membrane in mV.
    """

    size: float
    step: float
    membrane: PointKinetics
    area: float
    capacitance: float
    parameters: Mapping[str, Any] = field(default_factory=dict)
    start: Mapping[str, Any] = field(default_factory=dict)
    method: CardiacMethod = field(default_factory=CardiacMethod)
    threshold: float = -40.0
    amplitude: float | None = None
    duration: float = 2.0

    def __post_init__(self) -> None:
        for name in ("size", "step", "area", "capacitance", "duration"):
            check_number(name, getattr(self, name), above=0.0)
        check_number("threshold", self.threshold)
        if self.amplitude is None and self.membrane.fields[0].unit != "mV":
            raise InputError("amplitude", None, f"given, for {self.membrane.name}, whose potential is not in mV")

    @property
    def current(self) -> float:
        """The amplitude of the stimulus, uA/mm^3."""
        return RISE * self.area * self.capacitance if self.amplitude is None else self.amplitude

    def finer(self, factor: int) -> Cable:
        """Return the cable with elements and steps that are so many times shorter."""
        return replace(self, size=self.size / factor, step=self.step / factor)


def cable_velocity(conductivity: float, cable: Cable) -> float:
    """Return the conduction velocity of a cable, mm/ms; the same on every rank, each of which computes all of it.

    The inverse slope of the regression of activation time on place, over the half of the cable before its last tenth.

    Parameters
    ----------
    conductivity
        That of the monodomain, mS/mm.
    cable
        Its discretisation.

    Raises
    ------
    ConvergenceError
        If no front comes to the end of the cable: it is not excited, or the elements are too wide for it.
    """
    sigma = check_number("conductivity", conductivity, above=0.0)
    width = max(math.sqrt(sigma / (cable.area * cable.capacitance) * FRONT_TIME), cable.size)
    number = math.ceil(LENGTH * width / cable.size)
    length = number * cable.size
    made = dmesh.create_interval(MPI.COMM_SELF, number, [0.0, length])
    place = Box(low=(0.0,), high=(STIMULATED * width,))
    pulse = Stimulus(place=place, amplitude=cable.current, schedule=Schedule(duration=cable.duration))
    problem = CardiacProblem(
        mesh=Domain(mesh=made, unit="mm"), membrane=cable.membrane, area=cable.area, capacitance=cable.capacitance,
        conductivity=sigma, parameters=cable.parameters, start=cable.start, stimuli=[pulse],
    )  # fmt: skip
    with without_warnings():  # of elements that are wide: how wide they may be is what is asked here
        model = CardiacModel(problem, step=cable.step, method=cable.method)
    x = model.space.tabulate_dof_coordinates()[: model.values.size, 0]
    arrival, before = np.full(x.size, np.inf), model.values.copy()
    last = np.abs(x - 0.9 * length).argmin()
    steps = math.ceil((cable.duration + SLOWEST * LENGTH) / cable.step)
    for k in range(steps):
        model.advance(k * cable.step)
        crossed(arrival, before, model.values, cable.threshold, k * cable.step, (k + 1) * cable.step)
        before[:] = model.values
        if np.isfinite(arrival[last]):
            break
        if k % 100 == 0:
            numbers = {name: number for name, (number, _) in model.measure().items()}
            model.judge(k * cable.step, numbers)
    use = (x > 0.4 * length) & (x < 0.9 * length)
    if not np.isfinite(arrival[use]).all():
        raise ConvergenceError(
            f"conduction velocity: no front runs through a cable of {sigma:.4g} mS/mm with elements of {cable.size:g} "
            f"mm, within {steps * cable.step:g} ms: they are too wide for it, or the stimulus of {cable.current:.4g} "
            "uA/mm^3 does not excite the membrane."
        )
    slope = float(np.polyfit(x[use], arrival[use], 1)[0])
    if slope <= 0.0:
        raise ConvergenceError("conduction velocity: all of the cable is excited at once; take a smaller amplitude.")
    return 1.0 / slope


@dataclass(frozen=True, kw_only=True, slots=True)
class TunedConductivity:
    """A conductivity that gives a wanted velocity.

    Parameters
    ----------
    conductivity : float
        That of the monodomain, mS/mm.
    wanted, velocity : float
        The velocity that was wanted, and the one that it gives on the mesh, mm/ms.
    fine_velocity : float
        What the same conductivity gives on a finer mesh with shorter steps, mm/ms.
    intracellular, extracellular : float or None
        The two of the bidomain, scaled by one factor, mS/mm; None where they were not given.
    runs : int
        Runs of the cable that it took.
    """

    conductivity: float
    wanted: float
    velocity: float
    fine_velocity: float
    intracellular: float | None
    extracellular: float | None
    runs: int

    @property
    def mesh_error(self) -> float:
        """The error of the velocity by mesh and step, relative to that of the finer mesh."""
        return self.velocity / self.fine_velocity - 1.0


def tune_conductivities(
    velocities: Mapping[str, float],
    cable: Cable,
    *,
    intracellular: Mapping[str, float] | None = None,
    extracellular: Mapping[str, float] | None = None,
    tolerance: float = 1e-3,
    refinement: int = 4,
) -> dict[str, TunedConductivity]:
    """Return the conductivities that give wanted conduction velocities on a mesh.

    Each rank computes all of it. The velocity of the tissue is that of the cable where its front is plane and its
    elements have the cable's length along the way of the front.

    Parameters
    ----------
    velocities : mapping of str to float
        Wanted velocities, mm/ms, by direction: ``{"longitudinal": 0.6, "transverse": 0.3}``; any names.
    cable
        Element size, step, membrane and method.
    intracellular, extracellular : mapping of str to float
        Conductivities of each direction, mS/mm, of which the ratio is kept: both are scaled by one factor, that of
        their monodomain conductivity. Without them the monodomain conductivity alone is found.
    tolerance
        Of the velocity, relative.
    refinement
        How many times finer the mesh and the step of ``fine_velocity`` are.

    Raises
    ------
    InputError
        For velocities or conductivities that are not > 0, and directions without them.
    ConvergenceError
        If no front runs, or no conductivity gives the velocity.

    Example
    -------
    ``tune_conductivities({"longitudinal": 0.6, "transverse": 0.2}, Cable(size=0.25, step=0.02, membrane=model,
    area=140.0, capacitance=0.01), intracellular={"longitudinal": 0.17, "transverse": 0.019}, extracellular=
    {"longitudinal": 0.62, "transverse": 0.24})["longitudinal"].intracellular``
    """
    check_tolerance(tolerance)
    finer = cable.finer(check_integer("refinement", refinement, at_least=2))
    if (intracellular is None) != (extracellular is None):
        raise InputError("extracellular", extracellular, "given with intracellular, or neither")
    found = {}
    for name, velocity in velocities.items():
        wanted = check_number(f"velocities[{name!r}]", velocity, above=0.0)
        pair = None
        if intracellular is not None and extracellular is not None:
            sides = (("intracellular", intracellular), ("extracellular", extracellular))
            pair = [check_number(f"{side}[{name!r}]", given.get(name), above=0.0) for side, given in sides]
        # sigma/(chi C_m) times 2 to 10 per ms is the square of the velocity, of fast and slow membranes.
        first = wanted**2 * cable.area * cable.capacitance / 4.0
        if pair is not None:
            first = pair[0] * pair[1] / (pair[0] + pair[1])
        sigma, reached, runs = _tuned(wanted, first, cable, tolerance)
        factor = 1.0 if pair is None else sigma * (pair[0] + pair[1]) / (pair[0] * pair[1])
        found[name] = TunedConductivity(
            conductivity=sigma, wanted=wanted, velocity=reached, fine_velocity=cable_velocity(sigma, finer),
            intracellular=None if pair is None else factor * pair[0],
            extracellular=None if pair is None else factor * pair[1], runs=runs,
        )  # fmt: skip
        _tell(name, found[name], cable, refinement)
    return found


def _tuned(wanted: float, first: float, cable: Cable, tolerance: float) -> tuple[float, float, int]:
    """Return the conductivity, its velocity, and the number of runs: the secant method on logarithms."""
    points: list[tuple[float, float]] = []
    sigma = first
    for run in range(1, MOST_RUNS + 1):
        try:
            velocity = cable_velocity(sigma, cable)
        except ConvergenceError:
            if points:
                raise
            sigma *= 4.0  # a front that is wider beside the elements
            continue
        if abs(velocity / wanted - 1.0) <= tolerance:
            return sigma, velocity, run
        points.append((math.log(sigma), math.log(velocity)))
        slope = 0.5
        if len(points) > 1:
            (x0, y0), (x1, y1) = points[-2:]
            # Between half and all of what it is in the equations, and more where elements are wide.
            slope = min(max((y1 - y0) / (x1 - x0), 0.25), 2.0) if x1 != x0 else 0.5
        sigma = math.exp(points[-1][0] + (math.log(wanted) - points[-1][1]) / slope)
    raise ConvergenceError(
        f"tuning: no conductivity found in {MOST_RUNS} runs that gives {wanted:g} mm/ms with elements of "
        f"{cable.size:g} mm and steps of {cable.step:g} ms; the last one was {sigma:.4g} mS/mm."
    )


def _tell(name: str, tuned: TunedConductivity, cable: Cable, refinement: int) -> None:
    log.info(
        "%s: %.4g mS/mm gives %.4g mm/ms with elements of %g mm and steps of %g ms, and %.4g mm/ms with those of "
        "1/%d: the mesh's error is %+.1f %%", name, tuned.conductivity, tuned.velocity, cable.size, cable.step,
        tuned.fine_velocity, refinement, 100.0 * tuned.mesh_error,
    )  # fmt: skip
