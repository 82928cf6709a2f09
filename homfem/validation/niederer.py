"""The benchmark of Niederer et al. 2011: activation of a slab of ventricular muscle that is stimulated at a corner.

Source: Niederer et al. 2011, Verification of cardiac tissue electrophysiology simulators using an N-version benchmark,
Phil. Trans. R. Soc. A 369, 4331, doi 10.1098/rsta.2011.0139.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from mpi4py import MPI

from homfem.bodies import box_mesh
from homfem.kinetics.ionic import ionic_kinetics
from homfem.macro.cardiac import CardiacMethod, CardiacProblem, solve_cardiac
from homfem.macro.domain import Domain
from homfem.macro.probes import Probes
from homfem.macro.stimulus import Box, Stimulus
from homfem.output.checkpoint import CheckpointFile
from homfem.timestepping import Schedule, TimeGrid

SIDES = (20.0, 7.0, 3.0)
INTRACELLULAR, EXTRACELLULAR = (0.17, 0.019, 0.019), (0.62, 0.24, 0.24)
AREA, CAPACITANCE = 140.0, 0.01
#: The points of the benchmark, mm, P1 to P9: the corners, and the centre of the slab.
POINTS = (
    *((0.0, 0.0, 0.0), (0.0, 0.0, 3.0), (0.0, 7.0, 0.0), (0.0, 7.0, 3.0)),
    *((20.0, 0.0, 0.0), (20.0, 0.0, 3.0), (20.0, 7.0, 0.0), (20.0, 7.0, 3.0), (10.0, 3.5, 1.5)),
)
#: mV: the time of activation is that at which V first passes it.
THRESHOLD = 0.0
#: ms: a run with a checkpoint goes so far at a time.
PORTION = 5.0


def niederer_problem(
    spacing: float, *, kind: str = "monodomain", sides: Sequence[float] = SIDES, comm: MPI.Comm = MPI.COMM_WORLD
) -> CardiacProblem:
    """Return the slab with cubes of a size (mm), each cut into six tetrahedra; collective.

    Parameters
    ----------
    spacing
        A divisor of the sides.
    kind
        ``"monodomain"``, as in the benchmark, or ``"bidomain"``.
    sides
        Lengths, mm: of fewer axes a strip or a fibre, stimulated from its end, of which the cross-section is not seen.
    """
    d = len(sides)
    mesh = box_mesh(comm, sides, [round(side / spacing) for side in sides])
    return CardiacProblem(
        mesh=Domain(mesh=mesh, unit="mm"),
        kind=kind,  # type: ignore[arg-type]
        membrane=ionic_kinetics("tentusscher-panfilov-2006", "epi"),
        intracellular=np.diag(INTRACELLULAR[:d]),
        extracellular=np.diag(EXTRACELLULAR[:d]),
        area=AREA,
        capacitance=CAPACITANCE,
        stimuli=[Stimulus(place=Box(low=(0.0,) * d, high=(1.5,) * d), amplitude=50.0, schedule=Schedule(duration=2.0))],
    )


def niederer_times(
    spacing: float,
    step: float,
    *,
    end: float = 70.0,
    method: CardiacMethod | None = None,
    diagonal: int = 0,
    checkpoint: Path | str | None = None,
    comm: MPI.Comm = MPI.COMM_WORLD,
) -> dict[str, float]:
    """Return the times of activation at the points, ms, by their names, P1 to P9; collective.

    Between nodes V is that of the elements; a point that is not active by the end has infinity.

    Parameters
    ----------
    spacing, step
        Size of the cubes (mm) and time step (ms).
    end
        Time (ms) to which the run goes; with a checkpoint in portions, until the far corner is active.
    method
        How it is solved.
    diagonal
        So many more points, ``"D0"`` and on, at equal distances from P1 to P8, both included.
    checkpoint
        A file from which an interrupted run goes on.
    comm
        The communicator of the mesh.
    """
    points: dict[str, Sequence[float]] = {f"P{k}": point for k, point in enumerate(POINTS, start=1)}
    for k, share in enumerate(np.linspace(0.0, 1.0, diagonal)):
        points[f"D{k}"] = [float(share) * side for side in SIDES]
    ends = [end] if checkpoint is None else [*np.arange(6.0 * PORTION, end, 2.0 * PORTION), end]
    for until in ends:
        probes = Probes(points, fields=["V"])
        solve_cardiac(
            niederer_problem(spacing, comm=comm),
            TimeGrid(end=float(until), step=step),
            method,
            observers=[probes],
            checkpoint=None if checkpoint is None else CheckpointFile(checkpoint),
            checkpoint_every=round(PORTION / step),
            resume=checkpoint is not None,
        )
        found = {name: probes.activation(name, "V", THRESHOLD) for name in points}
        if np.isfinite(found["P8"]):
            break
    return found


def fibre_velocity(spacing: float, step: float, *, transverse: bool = False, comm: MPI.Comm = MPI.COMM_SELF) -> float:
    """Return the conduction velocity along a fibre of the slab's tissue, or across, between its thirds, mm/ms."""
    length = 5.0 if transverse else 12.0
    problem = niederer_problem(spacing, sides=[length], comm=comm)
    if transverse:
        problem = replace(problem, intracellular=INTRACELLULAR[1], extracellular=EXTRACELLULAR[1])
    places = {"start": (length / 3.0,), "end": (2.0 * length / 3.0,)}
    probes = Probes(places, fields=["V"])
    solve_cardiac(problem, TimeGrid(end=20.0, step=step), observers=[probes])
    times = [probes.activation(name, "V", THRESHOLD) for name in places]
    return length / 3.0 / (times[1] - times[0])
