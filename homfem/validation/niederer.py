"""The benchmark of Niederer et al. 2011: activation of a slab of ventricular muscle that is stimulated at a corner.

Source: Niederer et al. 2011, Verification of cardiac tissue electrophysiology simulators using an N-version benchmark,
Phil. Trans. R. Soc. A 369, 4331, doi 10.1098/rsta.2011.0139.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from mpi4py import MPI

from homfem.bodies import box_mesh
from homfem.kinetics.ionic import ionic_kinetics
from homfem.macro.cardiac import CardiacProblem
from homfem.macro.domain import Domain
from homfem.macro.stimulus import Box, Stimulus
from homfem.timestepping import Schedule

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
