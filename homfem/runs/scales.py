"""Whether the scales of a run are apart: what its config and its tensors say of cell, domain and solution."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from homfem.config import Config
from homfem.config.models.marching import RunTable
from homfem.config.physics.coefficients import Coefficient
from homfem.parameters import UnitError
from homfem.quantities import Quantity, conversion_factor

if TYPE_CHECKING:
    from homfem.macro.domain import Domain
    from homfem.macro.separation import FrontLength
    from homfem.runs.watching import Watch
    from homfem.step_control import Interval
    from homfem.tensors import EffectiveTensor

log = logging.getLogger("homfem")


@dataclass(frozen=True, kw_only=True, slots=True)
class Transport:
    """What moves the field of a run, in um and s; None where it is not known.

    Parameters
    ----------
    effective, diffusivity
        Largest D* per volume of its phase, smallest D in the cell.
    speed
        Of what carries it.
    exchange
        Rate of the exchange through the membrane.
    """

    effective: float | None = None
    diffusivity: float | None = None
    speed: float | None = None
    exchange: float | None = None


def transport(
    config: Config, tensor: EffectiveTensor | None, *, speed: float | None = None, exchange: float | None = None
) -> Transport:
    """Return what a tensor of diffusion and the phases of ``[effective]`` say; of other kinds nothing."""
    if tensor is None or tensor.kind.name != "diffusion" or not tensor.unit:
        return Transport(speed=speed, exchange=exchange)
    taken = tensor.to("um^2/s")
    per_phase = np.linalg.eigvalsh(taken.per_total_volume().value).max() / (taken.storage or 1.0)
    phases: Mapping[str, Any] = getattr(config.effective, "phases", {})
    found = [phases[name] for name in tensor.active_phases if name in phases]
    inside = [
        float(np.linalg.eigvalsh(np.atleast_2d(entry.to("um^2/s"))).min())
        for entry in found
        if isinstance(entry, Coefficient)
    ]
    return Transport(
        effective=float(per_phase) or None,
        diffusivity=min(inside) if inside else None,
        speed=speed,
        exchange=exchange,
    )


def cell_size(config: Config, table: RunTable, unit: str) -> float | None:
    """Return the longest period that the config says, in a unit of length; None where it says none.

    The default period of a shape is none that is meant: tensors do not depend on it. Of cells that are described by
    lengths, such as myocytes, it is the longest of these.
    """
    if table.cell_size is not None:
        return table.cell_size.to(unit)
    cell = config.cell
    if cell is None:
        return None
    fields = type(cell).model_fields
    if "period" in fields and "period" not in cell.model_fields_set:
        return None
    given = [getattr(cell, name) for name in (["period"] if "period" in fields else fields)]
    lengths = [entry.to(unit) for entry in _flat(given) if _is_length(entry)]
    return max(lengths, default=0.0) or None


def _flat(values: Any) -> list[Any]:
    if isinstance(values, (tuple, list)):
        return [entry for value in values for entry in _flat(value)]
    return [values]


def _is_length(value: Any) -> bool:
    if not isinstance(value, Quantity):
        return False
    try:
        value.to("um")
    except UnitError:
        return False
    return True


def with_scales(
    found: Watch,
    config: Config,
    table: RunTable,
    domain: Domain,
    *,
    front: str | None = None,
    every: int | Interval = 1,
) -> Watch:
    """Return what watches a run, with what tells its scales where its cell has a size; collective.

    Parameters
    ----------
    found
        What watches it else.
    front
        The field whose length is compared with that of a cell.
    every
        Steps between two looks at it.
    """
    size = cell_size(config, table, domain.unit)
    if size is None:
        return found
    from homfem.macro.separation import FrontLength

    length = None if front is None else FrontLength(front, every=every)
    return replace(
        found,
        observers=found.observers if length is None else (*found.observers, length),
        scales=lambda moved: told_scales(size, domain, length, moved, domain.unit),
    )


def told_scales(
    size: float | None, domain: Domain, front: FrontLength | None, moved: Transport, unit: str
) -> dict[str, float]:
    """Return the numbers of a run whose cell has a size; warn where the scales are not apart. Collective.

    Parameters
    ----------
    size
        Period of the cell, in ``unit``, that of the domain; None: nothing is returned.
    domain
        Where the model lives.
    front
        What has looked at the field.
    moved
        What moves it, in um and s.
    unit
        Of length.
    """
    from homfem.macro.extent import bounding_box
    from homfem.macro.separation import ScaleSeparation

    if size is None:
        return {}
    to_um = conversion_factor(unit, "um")
    found = ScaleSeparation(
        period=to_um * size,
        domain=to_um * float(np.ptp(bounding_box(domain), axis=0).max()),
        front=None if front is None or front.length is None else to_um * front.length,
        effective=moved.effective,
        diffusivity=moved.diffusivity,
        speed=moved.speed,
        exchange=moved.exchange,
    )
    if domain.comm.rank == 0:
        for text in found.warnings():
            log.warning("%s", text)
    return found.report()
