"""The calcium bidomain model from the tables of a config."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import numpy as np

from homfem.config import Config, present
from homfem.config.calcium import CalciumTable, StimulusTable
from homfem.config.effective import with_known_area
from homfem.config.macro_table import Taken, take_tensor
from homfem.kinds import DIFFUSION
from homfem.materials import interface_area
from homfem.parameters import Array, InputError
from homfem.progress import progress_bar
from homfem.quantities import conversion_factor
from homfem.runs.cells import build_cell
from homfem.runs.folders import run_folder
from homfem.runs.keys import keys_under
from homfem.runs.macroscale import MacroRun
from homfem.runs.outcome import Outcome
from homfem.runs.watching import Shown, probe_keys, probe_report, watch
from homfem.tensors import EffectiveTensor

if TYPE_CHECKING:
    from dolfinx.mesh import Mesh
    from mpi4py import MPI

    from homfem.cells import UnitCell
    from homfem.macro.calcium import CalciumProblem, CalciumResult
    from homfem.macro.probes import Probes


def make_tensors(config: Config, table: CalciumTable, comm: MPI.Comm, dimension: int) -> dict[str, EffectiveTensor]:
    """Return the tensors of the two phases: read, measured, or computed from the config's cell. Collective."""

    @functools.cache
    def cell() -> UnitCell:
        return build_cell(config, comm)

    def compute(phase: str) -> EffectiveTensor:
        unit_cell, effective = cell(), present("effective", config.effective)
        with keys_under("effective"):
            tensor: EffectiveTensor = effective.solve(unit_cell, config=config.document, only=[phase]).tensor
        return tensor

    tensors = {}
    for name in ("cytosol", "er"):
        taken = Taken(
            phase=name, kind=DIFFUSION, unit="um^2/s", dimension=dimension, folder=config.folder, compute=compute
        )
        with keys_under(f"macro.tensors.{name}"):
            tensors[name] = take_tensor(getattr(table.tensors, name), taken)
    return tensors


def make_problem(config: Config, table: CalciumTable, comm: MPI.Comm) -> tuple[CalciumProblem, Array]:
    """Return the calcium problem of a config, and where its stimulus is centred (um). Collective."""
    from homfem.kinetics import li_rinzel, membrane_from_rates, resting_state
    from homfem.macro.calcium import CalciumProblem

    with keys_under("macro.domain"):
        mesh = table.domain.build(comm, config.folder).mesh
    dimension = mesh.topology.dim
    centre = np.zeros(dimension) if table.stimulus is None else _stimulated(mesh, table.stimulus)
    tensors = make_tensors(config, table, comm, dimension)
    fractions = {f"{name}_fraction": tensor.active_fraction for name, tensor in tensors.items()}
    ip3, rates = table.kinetics.ip3.to("uM"), table.kinetics.rates()
    with keys_under("macro.tensors"):
        area = _membrane_area(table, tensors)
        membrane = membrane_from_rates(rates, interface_area=area, **fractions)
    initial = table.initial
    if initial.cytosol is not None and initial.er is not None:
        cytosol, er = initial.cytosol.to("uM"), initial.er.to("uM")
    else:
        total = fractions["cytosol_fraction"] * rates.c0
        rest = resting_state(membrane, total=total, ip3=ip3, **fractions)
        cytosol, er = rest.cytosol, rest.er
    raised = cytosol if table.stimulus is None else _ball(cytosol, table.stimulus, centre)
    kinetics = li_rinzel(membrane)
    states = kinetics.steady(np.array([cytosol]), np.array([er]), ip3)[:, 0]
    with keys_under("macro", _KEYS):
        problem = CalciumProblem(
            mesh=mesh,
            cytosol=tensors["cytosol"],
            er=tensors["er"],
            kinetics=kinetics,
            ip3=ip3,
            initial_cytosol=raised,
            initial_er=er,
            # A stimulus comes too quickly for the receptors to follow: they start as before it.
            initial_states={name: float(states[row]) for row, name in enumerate(kinetics.states)},
            interface_area=area,
            density=table.kinetics.density,
        )
    return problem, centre


# Keys of the config by the names of the arguments that they become.
_KEYS = {
    "cytosol": "tensors.cytosol",
    "er": "tensors.er",
    "interface_area": "tensors.interface_area",
    "ip3": "kinetics.ip3",
    "density": "kinetics.density",
    "initial_cytosol": "initial.cytosol",
    "initial_er": "initial.er",
    "mesh": "domain",
    "time": "time.step",
}


def _membrane_area(table: CalciumTable, tensors: Mapping[str, EffectiveTensor]) -> float:
    """Return the membrane area per volume in 1/um: the config's, or that of the tensors, which must agree."""
    if table.tensors.interface_area is not None:
        return table.tensors.interface_area.to("1/um")
    return interface_area("interface_area", map(with_known_area, tensors.values()), "1/um")


def _ball(value: float, stimulus: StimulusTable, centre: Array) -> Callable[[Array], Array]:
    rise, radius = stimulus.rise.to("uM"), stimulus.radius.to("um")

    def field(x: Array) -> Array:
        distance = np.linalg.norm(x[: len(centre)] - centre[:, None], axis=0)
        # A node on the sphere belongs to the ball, whatever the round-off of its coordinates.
        return np.where(distance <= radius * (1.0 + 1e-9), value + rise, value)

    return field


def _stimulated(mesh: Mesh, stimulus: StimulusTable) -> Array:
    """Return the centre of a stimulus that some node of the mesh feels; the same error on every rank. Collective."""
    from dolfinx import fem
    from mpi4py import MPI

    centre, dimension = np.array([entry.to("um") for entry in stimulus.centre]), mesh.topology.dim
    if len(centre) != dimension:
        raise InputError("macro.stimulus.centre", len(centre), f"{dimension} lengths, as the domain")
    points = fem.functionspace(mesh, ("Lagrange", 1)).tabulate_dof_coordinates()
    distance = np.linalg.norm(points[:, :dimension] - centre, axis=1)
    if mesh.comm.allreduce(bool(_ball(0.0, stimulus, centre)(points.T).any()), op=MPI.LOR):
        return centre
    cells = np.arange(mesh.topology.index_map(dimension).size_local, dtype=np.int32)
    size = mesh.comm.allreduce(float(mesh.h(dimension, cells).max(initial=0.0)), op=MPI.MAX)
    nearest = mesh.comm.allreduce(float(distance.min(initial=np.inf)), op=MPI.MIN)
    raise InputError(
        "macro.stimulus.radius",
        str(stimulus.radius),
        f"so large that the ball holds a node of the mesh: the nearest one is {nearest:.4g} um from its centre",
        f"Move the centre into the domain, or take a larger radius or finer elements (now up to {size:.3g} um wide).",
    )


def run_table(config: Config, table: CalciumTable, comm: MPI.Comm, *, resume: bool, drawn: bool) -> MacroRun:
    """Run the model and write its fields and checkpoints; collective."""
    from homfem.macro.calcium import run_calcium
    from homfem.output.checkpoint import CheckpointFile

    folder = config.folder / table.output.folder
    grid = table.time.grid()
    threshold = None if table.output.threshold is None else table.output.threshold.to("uM")
    with ExitStack() as stack:
        stack.enter_context(run_folder(folder, comm))
        with progress_bar("effective tensors", rank=comm.rank):
            problem, _ = make_problem(config, table, comm)
        move = stack.enter_context(progress_bar("calcium", grid.end, rank=comm.rank))
        shown = Shown(
            folder=folder,
            suffix=table.output.format,
            every=table.steps("every"),
            length_unit="um",
            drawn="cytosol" if drawn else None,
        )
        watching = watch(shown, table.probes, move)
        with keys_under("macro", _KEYS | probe_keys(table.probes)):
            result = run_calcium(
                problem,
                grid,
                splitting=table.time.splitting,
                subcycles=table.time.subcycles,
                threshold=threshold,
                observers=watching.observers,
                checkpoint=CheckpointFile(folder / "checkpoint"),
                checkpoint_every=table.steps("checkpoint_every"),
                resume=resume,
            )
    warnings = (f"{name}: {text}" for name in ("cytosol", "er") for text in getattr(problem, name).warnings)
    return MacroRun(
        result=result,
        facts=_report(config, table, problem, result, watching.probes, threshold),
        outcome=Outcome.DONE if result.finished else Outcome.INTERRUPTED,
        config=config,
        warnings=tuple(warnings),
        record=None if watching.record is None else watching.record.record,
        label="calcium in the cytosol (uM)",
    )


def _report(
    config: Config,
    table: CalciumTable,
    problem: CalciumProblem,
    result: CalciumResult,
    probes: Probes | None,
    threshold: float | None,
) -> dict[str, Any]:
    """Return what is said of a run; times are in the unit of its end."""
    unit = table.time.end.unit
    per_time = conversion_factor("s", unit)
    times = [per_time * float(time) for time in result.times]
    total = f"uM um^{problem.mesh.topology.dim}"
    return {
        "model": "calcium",
        "finished": result.finished,
        "end": times[-1],
        "steps": len(result.times) - 1,
        "cytosol_range": {"smallest": float(result.minimum.min()), "largest": float(result.maximum.max())},
        "drift": result.drift,
        "conserved": [{"name": "calcium", "start": float(result.total[0]), "drift": result.drift, "unit": total}],
        "dofs": result.dofs,
        "iterations": int(result.iterations.sum()),
        "ranks": result.ranks,
        "seconds": dict(result.seconds),
        "units": {"time": unit, "cytosol": "uM", "er": "uM", "total": total},
        "times": times,
        "total": result.total.tolist(),
        "maximum": result.maximum.tolist(),
        "minimum": result.minimum.tolist(),
        "probes": probe_report(probes, field="cytosol", threshold=threshold, per_time=per_time),
        "tensors": {"cytosol": problem.cytosol.to_dict(), "er": problem.er.to_dict()},
        "config": config.document,
    }
