"""How large a domain is, and whether its unit can be meant: against the length of the wave that runs through it."""

from __future__ import annotations

import logging

import numpy as np
from mpi4py import MPI

from homfem.macro.domain import Domain
from homfem.parameters import Array, check_number
from homfem.quantities import conversion_factor

log = logging.getLogger("homfem")

#: A body that is longer than this many waves, or shorter than this part of one, is rare.
MOST_WAVES, LEAST_WAVES = 20.0, 1e-3
#: Units in which coordinates are written, in which another one is sought.
_UNITS = ("m", "cm", "mm", "um")


def bounding_box(domain: Domain) -> Array:
    """Return the lowest and the highest coordinates of the nodes, shape (2, d); collective."""
    points = np.asarray(domain.mesh.geometry.x)[:, : domain.dimension]
    box = np.stack([points.min(axis=0, initial=np.inf), -points.max(axis=0, initial=-np.inf)])
    domain.comm.Allreduce(MPI.IN_PLACE, box, op=MPI.MIN)
    return np.asarray(box * np.array([[1.0], [-1.0]]))


def check_extent(domain: Domain, wave_length: float) -> float:
    """Return the longest side of the bounding box in wave lengths; warn where the unit of the mesh cannot be meant.

    Coordinates in mm that are taken for m make a heart of 100 m, in which a wave of 0.2 m is lost: the model runs, and
    nothing is right. Where the side is more than %g or less than %g wave lengths, rank 0 says so in the log, with the
    unit that would do. Collective.

    Parameters
    ----------
    domain
        Where the wave runs.
    wave_length
        Duration times velocity of the wave, in the unit of the domain; of a normal heart about 150 to 250 mm.

    Raises
    ------
    InputError
        For a wave length that is not > 0.
    """
    wave = check_number("wave_length", wave_length, above=0.0)
    side = float(np.ptp(bounding_box(domain), axis=0).max())
    waves = side / wave
    if not LEAST_WAVES <= waves <= MOST_WAVES and domain.comm.rank == 0:
        log.warning("%s", _warning(side, wave, domain.unit))
    return waves


def _warning(side: float, wave: float, unit: str) -> str:
    text = (
        f"The domain is {side:.3g} {unit} long, {side / wave:.2g} lengths of the wave ({wave:.3g} {unit}) that is to "
        f"run in it: is {unit!r} the unit of the mesh?"
    )
    fitting = []
    for other in _UNITS:
        waves = side / (wave * conversion_factor(unit, other))
        if LEAST_WAVES * 10.0 <= waves <= MOST_WAVES / 10.0:
            fitting.append(f"in {other!r} it would be {waves:.2g}")
    return f"{text} {'; '.join(fitting).capitalize()} wave lengths." if fitting else text
