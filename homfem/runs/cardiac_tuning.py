"""Conductivities that give the wanted conduction velocities on the mesh of a config."""

from __future__ import annotations

import logging
import math
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from homfem.config.models.cardiac import CardiacTable
from homfem.parameters import InputError
from homfem.quantities import Quantity
from homfem.runs.keys import keys_under

if TYPE_CHECKING:
    from homfem.kinetics.point import PointKinetics
    from homfem.macro.cardiac import CardiacMethod
    from homfem.macro.cardiac.tuning import Cable, TunedConductivity
    from homfem.macro.domain import Domain

log = logging.getLogger("homfem")

#: An error of the velocity by the mesh that is told.
LARGE = 0.1
_PATH = "macro.tensors.velocity"


@dataclass(frozen=True, kw_only=True, slots=True)
class Given:
    """What a cable takes from the tissue, each number for all or by region.

    Parameters
    ----------
    membrane
        The ionic model.
    numbers
        ``parameters``, ``start`` (mappings), ``area``, ``capacitance``.
    method, threshold
        How it is solved, and V at which a front has come.
    """

    membrane: PointKinetics
    numbers: dict[str, Any]
    method: CardiacMethod
    threshold: float


def tuned(
    table: CardiacTable, domain: Domain, spaces: dict[str, Any], given: Given
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the tensors by argument with tuned conductivities, and what is reported of these. Collective.

    Raises
    ------
    InputError
        For tensors that are not along fibres.
    ConvergenceError
        If no conductivity gives a wanted velocity.
    """
    from homfem.macro.cardiac.tuning import tune_conductivities

    wanted = {name: speed.to("mm/ms") for name, speed in table.tensors.wanted(domain.dimension).items()}
    own = {name: _diagonal(source, wanted) for name, source in spaces.items()}
    options: dict[str, Any] = {} if "conductivity" in spaces else dict(own)
    with keys_under(_PATH):
        found = tune_conductivities(wanted, _cable(table, domain, given), **options)
    for name, entry in found.items():
        if abs(entry.mesh_error) > LARGE and domain.comm.rank == 0:
            log.warning(
                "%s.%s: %.3g mm/ms on this mesh; of a mesh and a step of a quarter the same conductivity gives %.3g "
                "mm/ms: refine the mesh, or know that the conductivity holds its error.",
                _PATH, name, entry.velocity, entry.fine_velocity,
            )  # fmt: skip
    side = {"intracellular": "intracellular", "extracellular": "extracellular"}
    made = {
        name: _replaced(spaces.get(name), [float(getattr(entry, side.get(name, "conductivity")))
                                           for entry in found.values()], domain.dimension)
        for name in (spaces or {"conductivity": None})
    }  # fmt: skip
    return made, {name: _told(entry) for name, entry in found.items()}


def _told(entry: TunedConductivity) -> dict[str, Any]:
    return asdict(entry) | {"mesh_error": entry.mesh_error}


def _diagonal(source: Any, wanted: dict[str, float]) -> dict[str, float]:
    """Return the conductivities along the axes by direction."""
    matrix = source.get("*") if isinstance(source, dict) else source
    if not isinstance(matrix, np.ndarray):
        allowed = "absent unless conductivities are tables of longitudinal and transverse ones, by region that of '*'"
        raise InputError(_PATH, "given", allowed)
    return {name: float(matrix[k, k]) for k, name in enumerate(wanted)}


def _replaced(source: Any, numbers: list[float], dimension: int) -> Any:
    """Return the tensors with other conductivities along the axes; of regions those of ``"*"``.

    Where fewer velocities are wanted than there are axes, the others keep their ratio to the last of them.
    """
    given = np.eye(dimension) if source is None else source["*"] if isinstance(source, dict) else source
    factors = [number / given[k, k] for k, number in enumerate(numbers)]
    matrix = np.diag(np.diag(given) * [*factors, *[factors[-1]] * (dimension - len(factors))])
    return source | {"*": matrix} if isinstance(source, dict) else matrix


def _cable(table: CardiacTable, domain: Domain, given: Given) -> Cable:
    """Return a cable with the mean element size of the tissue, its step and membrane; collective."""
    from homfem.macro.cardiac.tuning import Cable

    d, bath = domain.dimension, table.tensors.bath or {}
    owned = domain.mesh.topology.index_map(d).size_local
    tissue = ~np.isin(domain.region_of_cell[:owned], [domain.region(name, "macro.tensors.bath") for name in bath])
    mine = np.array([domain.cell_volumes()[:owned][tissue].sum(), np.count_nonzero(tissue)])
    volume, count = domain.comm.allreduce(mine)
    pulse: dict[str, Any] = {}
    if given.membrane.fields[0].unit != "mV":
        if not table.stimulus or table.stimulus[0].duration is None:
            raise InputError("macro.stimulus", [], f"given, for {given.membrane.name}, whose potential is not in mV")
        first = table.stimulus[0]
        duration: Quantity | None = first.duration
        pulse = {"amplitude": first.amplitude.to("uA/mm^3"), "duration": 1.0 if duration is None else duration.to("ms")}
        pulse["threshold"] = given.threshold
    numbers: dict[str, Any] = {
        name: {key: _one(entry) for key, entry in value.items()} if name in ("parameters", "start") else _one(value)
        for name, value in given.numbers.items()
    }
    return Cable(
        size=float((math.factorial(d) * volume / count) ** (1.0 / d)),
        step=table.time.step.to("ms"),
        membrane=given.membrane,
        method=given.method,
        **numbers,
        **pulse,
    )


def _one(value: Any) -> Any:
    """Return a number, of several by region that of ``"*"`` or else the first."""
    return value.get("*", next(iter(value.values()))) if isinstance(value, dict) else value
