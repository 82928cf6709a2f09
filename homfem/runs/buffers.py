"""The buffers of a calcium model from the tables of a config."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from homfem.config import Config
from homfem.config.models.buffers import BufferTable
from homfem.config.models.macro_table import ComputedTensor, Taken, TensorSource, take_tensor
from homfem.config.physics.coefficients import Coefficient
from homfem.kinds import DIFFUSION
from homfem.runs.keys import keys_under

if TYPE_CHECKING:
    from homfem.macro.calcium import TissueBuffer
    from homfem.tensors import EffectiveTensor


def make_buffers(
    config: Config,
    tables: Mapping[str, BufferTable],
    sources: Mapping[str, TensorSource],
    *,
    dimension: int,
    compute: Callable[..., EffectiveTensor],
) -> list[TissueBuffer]:
    """Return the buffers; collective where a tensor is computed.

    A buffer whose diffusivity is a number times that of calcium shares the tensor of its phase; any other has a cell
    problem of its own.

    Parameters
    ----------
    tables
        Those of ``[macro.buffers]``.
    sources
        Where the tensors of calcium come from, by phase.
    dimension
        Of the domain.
    compute
        As :func:`homfem.runs.phases.phase_tensors` returns it.
    """
    from homfem.kinetics.calcium import Buffer
    from homfem.macro.calcium import TissueBuffer

    found = []
    for name, table in tables.items():
        with keys_under(f"macro.buffers.{name}"):
            moved, diffusivity = _moved(config, table, sources[table.phase], dimension, compute)
            on, off = table.rates()
            buffer = Buffer(
                name=name,
                total=table.total.to("uM"),
                k_on=on,
                k_off=off,
                diffusivity=diffusivity,
                phase=table.phase,
                rapid=table.rapid,
            )
            initial = None if table.initial is None else table.initial.to("uM")
            found.append(TissueBuffer(buffer=buffer, initial=initial, regions=table.regions, **moved))
    return found


def _moved(
    config: Config,
    table: BufferTable,
    source: TensorSource,
    dimension: int,
    compute: Callable[..., EffectiveTensor],
) -> tuple[dict[str, Any], float]:
    """Return how it diffuses, as the arguments of a buffer of a tissue, and its diffusivity, um^2/s."""
    if table.ratio is not None:
        return {"ratio": table.ratio}, table.ratio
    if table.tensor is not None:
        taken = Taken(
            phase=table.phase,
            kind=DIFFUSION,
            unit="um^2/s",
            dimension=dimension,
            folder=config.folder,
            compute=compute,
        )
        with keys_under("tensor"):
            tensor = take_tensor(table.tensor, taken)
        return {"diffusion": tensor}, float(tensor.effective_coefficient.diagonal().max())
    if table.diffusivity is None or not isinstance(source, ComputedTensor):
        return {}, 0.0
    own = table.diffusivity.to("um^2/s")
    calcium = getattr(config.effective, "phases", {}).get(source.phase)
    if isinstance(calcium, Coefficient) and not isinstance(calcium.value, tuple):
        return {"ratio": own / float(calcium.to("um^2/s"))}, own  # type: ignore[arg-type]
    coefficient = Coefficient(table.diffusivity.value, table.diffusivity.unit)
    return {"diffusion": compute(source.phase, coefficient)}, own
