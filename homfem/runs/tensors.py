"""The run of the tables ``[cell]`` and ``[effective]``: the effective tensor, and what it was computed from."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from homfem.config import Config, present
from homfem.disk import writing
from homfem.kinds import CONDUCTION, kind_of
from homfem.parameters import InputError
from homfem.progress import progress_bar
from homfem.ranks import on_root
from homfem.runs.cells import build_cell
from homfem.runs.configs import Overrides, Source, communicator, read_config
from homfem.runs.keys import keys_under
from homfem.runs.meshless import BlockSolution, solve_meshless
from homfem.runs.outcome import Outcome
from homfem.runs.physics import solve_effective, with_known_area, with_symmetry
from homfem.tensors.text import described_together

if TYPE_CHECKING:
    from mpi4py import MPI

    from homfem.tensors import EffectiveTensor


@dataclass(frozen=True, kw_only=True, slots=True)
class TensorRun:
    """The effective tensor of a config.

    Parameters
    ----------
    tensor
        The effective tensor: value, bounds, unit, what it took.
    outcome
        Done, or short of the tolerance.
    solution
        What it was computed from, for pictures and fields; of a method without a mesh on rank 0 alone.
    config
        What was asked for.
    comm
        The ranks that share the solution.
    series
        Tensors for several numbers of the input, such as Peclet numbers; empty where one was asked for.
    """

    tensor: EffectiveTensor
    outcome: Outcome
    solution: Any
    config: Config
    comm: MPI.Comm
    series: tuple[EffectiveTensor, ...] = ()

    @property
    def warnings(self) -> tuple[str, ...]:
        """What the tensor does not say by its numbers."""
        return self.tensor.warnings

    def report(self) -> dict[str, Any]:
        """Return the tensor and all that is known of it as plain values; several of them under ``results``."""
        if self.series:
            return {"physics": self.tensor.physics, "results": [tensor.to_dict() for tensor in self.series]}
        return self.tensor.to_dict()

    def __str__(self) -> str:
        return described_together(self.series or (self.tensor,))


def tensor(
    config: Source,
    *,
    overrides: Overrides = (),
    folder: str | Path | None = None,
    comm: MPI.Comm | None = None,
    drawn: bool = False,
) -> TensorRun:
    """Compute the effective tensor of a config. Collective.

    Parameters
    ----------
    config
        The path of a TOML file with ``[cell]`` and ``[effective]``, its tables as a mapping, or a checked config.
    overrides
        Keys to set, ``{"cell.edge": 0.2}`` or ``["cell.edge=0.2"]``.
    folder
        Where files are sought from; by default the folder of the config's file, for a mapping the current one.
    comm
        The ranks that share the work; all by default.
    drawn
        Keep what pictures and fields need: of ``method = "grid"`` the flux in voxels, for :func:`draw_tensor`; on a
        mesh the whole cell, where by default no more than its part between mirror planes is solved.

    Returns
    -------
    TensorRun
        With ``tensor``, ``report()``, ``outcome``, ``warnings`` and ``solution``.

    Raises
    ------
    InputError
        For anything wrong in the config (a missing file: FileError), under the path of its key; on every rank.
    ConvergenceError
        If a solver fails.
    """
    checked = read_config(config, overrides=overrides, folder=folder, needed=("cell", "effective"))
    ranks = communicator(comm)
    with progress_bar("effective tensor", rank=ranks.rank):
        if present("effective", checked.effective).meshless:
            found, series, solution = _without_mesh(checked, ranks, drawn)
        else:
            solution = _on_mesh(checked, ranks, drawn)
            found, series = solution.tensor, getattr(solution, "series", ())
    found = with_known_area(found)
    outcome = Outcome.DONE if found.reached else Outcome.SHORT
    several = present("effective", checked.effective).several
    series = tuple(map(with_known_area, series)) if several else ()
    return TensorRun(tensor=found, outcome=outcome, solution=solution, config=checked, comm=ranks, series=series)


def _on_mesh(config: Config, comm: MPI.Comm, drawn: bool) -> Any:
    """Mesh the cell and solve its problem, on the whole cell if it is to be drawn; collective."""
    from homfem.meshing.arrays.budget import followed_by

    with followed_by(systems_on(config)):
        cell = build_cell(config, comm)
    table = present("effective", config.effective)
    with keys_under("effective"):
        return solve_effective(table if drawn else with_symmetry(table, cell), cell, config=config.document)


def systems_on(config: Config) -> float:
    """Return the bytes for each mesh cell that both bounds take at the least; zero where that depends on the mesh."""
    from homfem.local.budget import bytes_on_cell

    cell, table = present("cell", config.cell), present("effective", config.effective)
    d, phases = cell.known_dimension, cell.known_phases
    usual = {
        "boundary": ("periodic",),
        "symmetry": (None, "none"),
        "degree": (None, 2, 3, 4),
        "elements": (None, "simplex"),
        "order": (None, 1),
    }
    whole = phases is not None and set(phases) <= set(table.phase_names)
    plain = all(getattr(part, key, values[0]) in values for key, values in usual.items() for part in (cell, table))
    kind = kind_of(table.physics)
    if d is None or table.physics not in (*CONDUCTION, "elasticity") or not (whole and plain):
        return 0.0
    return bytes_on_cell(d, d if kind.voigt else 1)


def _without_mesh(
    config: Config, comm: MPI.Comm, drawn: bool
) -> tuple[EffectiveTensor, tuple[EffectiveTensor, ...], Any]:
    """Compute the tensors by a method of the cell's own, on rank 0; collective. The solution stays there."""
    found: list[Any] = []

    def work() -> None:
        table: Any = present("effective", config.effective)
        with keys_under("effective"):
            found.append(solve_meshless(present("cell", config.cell), table, config.folder, fields=drawn))

    on_root(comm, work)
    own: list[EffectiveTensor] = []
    if found:
        told = {"ranks": 1, "config": dict(config.document)}
        own = [replace(one, **told) for one in (found[0].tensor, *getattr(found[0], "series", ()))]
    first, *series = comm.bcast(own, root=0)
    return first, tuple(series), found[0] if found else None


def draw_tensor(run: TensorRun, path: str | Path, *, theme: str = "light") -> None:
    """Draw the cell of a run with the fields of its first load into a PNG, PDF or SVG file; collective.

    A block medium is drawn with its flux lines, voxels with their flux, for which ``drawn = True`` was to be said. The
    ground is ``"light"`` or ``"dark"``.

    Raises
    ------
    InputError
        If the fields of voxels were not kept.
    OSError
        If the file cannot be written.
    """
    if not present("effective", run.config.effective).meshless:
        from homfem.output.cell_figures import draw_solution

        with writing(path):
            draw_solution(run.solution, str(path), theme=theme)
        return
    on_root(run.comm, lambda: _draw_meshless(run.solution, path, theme))


def _draw_meshless(solution: Any, path: str | Path, theme: str) -> None:
    from homfem.grid import ImageDispersion, ImageFlow
    from homfem.output.image_flows import draw_image_flow
    from homfem.output.media import draw_block_medium, draw_image

    with writing(path):
        if isinstance(solution, BlockSolution):
            medium, tensor, unit = solution.medium, solution.tensor, solution.length_unit
            draw_block_medium(medium, path, tensor=tensor, length_unit=unit, theme=theme)
        elif isinstance(solution, (ImageFlow, ImageDispersion)):
            draw_image_flow(solution, path, theme=theme)
        elif solution.fluxes:
            draw_image(solution, path, theme=theme)
        else:
            raise InputError("drawn", False, "true for a run whose voxels are to be drawn")
