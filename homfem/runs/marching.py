"""What the runs of all models that march in time have alike: their folder, what watches them, what is said of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from homfem.config import Config
from homfem.config.models.marching import MarchTable, RunTable
from homfem.progress import progress_bar
from homfem.quantities import conversion_factor
from homfem.runs.domains import layered, make_domain, with_fibres
from homfem.runs.folders import run_folder
from homfem.runs.keys import keys_under
from homfem.runs.macroscale import MacroRun
from homfem.runs.outcome import Outcome
from homfem.runs.scales import Transport, with_scales
from homfem.runs.watching import Shown, Watch, probe_keys, probe_report, watch

if TYPE_CHECKING:
    from mpi4py import MPI

    from homfem.macro.domain import Domain
    from homfem.macro.observers import Observer
    from homfem.tensors import EffectiveTensor


@dataclass(frozen=True, kw_only=True, slots=True)
class ModelUnits:
    """The units in which a model computes, and that of the times which a user is told."""

    length: str = "um"
    time: str = "s"
    told: str = "s"

    @property
    def per_time(self) -> float:
        """The model's unit of time in the one that is told."""
        return conversion_factor(self.time, self.told)


@dataclass(frozen=True, kw_only=True, slots=True)
class Marching:
    """The run of a table that marches in time, its folder taken.

    Parameters
    ----------
    config, table, comm
        What is run, and the ranks that share it.
    units
        The model's.
    resume, drawn
        Whether it goes on from its checkpoint, and whether a field is kept for the figure.
    move
        Is told the time that the run has reached.
    """

    config: Config
    table: RunTable
    comm: MPI.Comm
    units: ModelUnits
    resume: bool
    drawn: bool
    move: Callable[[float], None]

    @property
    def folder(self) -> Path:
        """Where it writes."""
        return self.config.folder / self.table.output.folder

    def domain(self) -> Domain:
        """Return the domain with its fibres; collective."""
        return domain_of(self.config, cast(MarchTable, self.table), self.comm, self.units.length)

    def shown(self, field: str, fields: Sequence[str] | None = None) -> Shown:
        """Return what is written: ``field`` is the one that the figure shows."""
        return Shown(
            folder=self.folder,
            suffix=self.table.output.format,
            every=self.table.steps("every"),
            length_unit=self.units.length,
            drawn=field if self.drawn else None,
            time_unit=self.units.told,
            fields=None if fields is None else tuple(fields),
        )

    def watch(self, shown: Shown, domain: Domain, *, front: str | None = None) -> Watch:
        """Return what watches it; ``front`` is the field whose length is compared with that of a cell. Collective."""
        found = watch(shown, self.table.probes, domain, self.move)
        return with_scales(found, self.config, self.table, domain, front=front, every=shown.every)

    @property
    def keys(self) -> dict[str, str]:
        """The keys of the config by the names of the arguments that the probes become."""
        return probe_keys(self.table.probes)

    def options(self, *observers: Observer | None) -> dict[str, Any]:
        """Return what :func:`homfem.macro.march.march` is told of checkpoints, resuming and observers."""
        from homfem.output.checkpoint import CheckpointFile

        return {
            "checkpoint": CheckpointFile(self.folder / "checkpoint"),
            "checkpoint_every": self.table.steps("checkpoint_every"),
            "resume": self.resume,
            "observers": [entry for entry in observers if entry is not None],
        }

    def facts(
        self,
        result: Any,
        watching: Watch,
        *,
        field: str,
        threshold: float | None,
        moved: Transport = Transport(),  # noqa: B008  (frozen)
    ) -> dict[str, Any]:
        """Return what is said of a run of any model; times are in the unit that is told.

        Parameters
        ----------
        result
            What the model gives: ``times``, ``finished``, ``dofs``, ``ranks``, ``seconds``.
        watching
            What watched it.
        field, threshold
            Of ``activation`` of the probes, as :func:`homfem.runs.watching.probe_report` takes them.
        moved
            What moves the field, for the scales of a run whose cell has a size.
        """
        from homfem.certify import versions

        times = [0.0]
        if self.table.time is not None:  # a state at rest has no time
            times = told_times(self.table, result.times, self.units)
        return {
            "finished": result.finished,
            "end": times[-1],
            "steps": len(times) - 1,
            "dofs": result.dofs,
            "ranks": result.ranks,
            "seconds": dict(result.seconds),
            "versions": versions(),
            "times": times,
            "probes": probe_report(
                watching.probes, self.table.probes, field=field, threshold=threshold, per_time=self.units.per_time
            ),
            "config": self.config.document,
        } | ({} if watching.scales is None else {"scales": watching.scales(moved)})

    def run(
        self, result: Any, watching: Watch, facts: Mapping[str, Any], *, label: str, warnings: Sequence[str] = ()
    ) -> MacroRun:
        """Return the run that is over; ``label`` names the field of the figure with its unit."""
        return MacroRun(
            result=result,
            facts=facts,
            outcome=Outcome.DONE if result.finished else Outcome.INTERRUPTED,
            config=self.config,
            warnings=tuple(warnings),
            record=None if watching.record is None else watching.record.record,
            label=label,
            length_unit=self.units.length,
            time_unit=self.units.time,
        )


def told_times(table: RunTable, times: Sequence[float], units: ModelUnits) -> list[float]:
    """Return the times of a run in the unit that is told; of equal steps those of the grid in that unit."""
    if table.time.auto:
        return [units.per_time * float(time) for time in times]
    grid = table.time.grid(units.told)
    return [grid.time(step) for step in range(len(times))]


def control_facts(control: Mapping[str, Any], per_time: float) -> dict[str, Any]:
    """Return what is said of steps that follow a tolerance; nothing of equal ones."""
    if "time step" not in control:
        return {}
    return {
        "time_steps": (per_time * control["time step"][1:]).tolist(),
        "step_errors": control["error of the step"][1:].tolist(),
        "rejected_steps": int(control["rejected steps"].sum()),
    }


def domain_of(config: Config, table: MarchTable, comm: MPI.Comm, unit: str) -> Domain:
    """Return the domain of a table with its fibres and layers, coordinates in ``unit``; collective."""
    with keys_under("macro.domain"):
        domain = make_domain(table.domain, comm, config.folder, unit)
    if table.fibres is not None:
        with keys_under("macro.fibres"):
            domain = with_fibres(domain, table.fibres, config.folder)
    with keys_under("macro.domain"):
        return layered(domain, table.domain)


@contextmanager
def marching(
    config: Config, table: RunTable, comm: MPI.Comm, *, units: ModelUnits, title: str, resume: bool, drawn: bool
) -> Iterator[Marching]:
    """Take the folder of a run while the block lasts, and show how far it is under a ``title``; collective.

    Raises
    ------
    FileError
        If the folder cannot be made or written in, or another run writes there.
    """
    end = 1.0 if table.time is None else table.time.grid(units.time).end
    folder = config.folder / table.output.folder
    with run_folder(folder, comm), progress_bar(title, end, rank=comm.rank, unit=units.time) as move:
        yield Marching(config=config, table=table, comm=comm, units=units, resume=resume, drawn=drawn, move=move)


def tensor_warnings(tensors: Mapping[str, EffectiveTensor]) -> list[str]:
    """Return the warnings of tensors, each under its name."""
    return [f"{name}: {text}" for name, tensor in tensors.items() for text in tensor.warnings]
