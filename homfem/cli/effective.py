"""The commands ``homfem effective`` and ``homfem cell``."""

from __future__ import annotations

import json as jsonlib
import os
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from homfem.cli import session
from homfem.cli.targets import check_target, keep_apart, with_derived
from homfem.config import Config, load_config, present
from homfem.config.effective import with_known_area
from homfem.disk import write_text, writing
from homfem.parameters import FileError, InputError, Lattice
from homfem.progress import progress_bar, set_up_logging

if TYPE_CHECKING:
    from mpi4py import MPI

    from homfem.cells.unitcell import UnitCell
    from homfem.tensors import EffectiveTensor


def start(
    path: str, assignments: Sequence[str], needed: Sequence[str], verbose: bool, **outputs: str | None
) -> tuple[Config, MPI.Comm]:
    """Return the checked config and the communicator of all ranks; the log goes where it should.

    ``outputs`` are the files of the options that write, by the names of the options; none may be one that is read.
    """
    set_up_logging(rank=session.launched_rank() or 0, verbose=verbose)
    config = load_config(path, assignments=assignments, needed=needed)
    run = config.macro.written(config.folder) if config.macro is not None and "macro" in needed else []
    named = [pair for option, file in outputs.items() for pair in with_derived(f"--{option}", file)]
    keep_apart([*(("macro.output.folder", file) for file in run), *named], [("CONFIG", Path(path)), *config.files])
    return config, session.world()


def build_cell(config: Config, comm: MPI.Comm) -> UnitCell:
    """Return the cell of a config that has one; collective."""
    with session.keys_under("cell"):
        return present("cell", config.cell).build(comm, config.folder)


def run_effective(
    path: str, assignments: Sequence[str], *, json: str | None, figure: str | None, fields: str | None, verbose: bool
) -> int:
    """Compute, show and write the effective tensor of a config; return the exit status. Collective."""
    check_target("--json", json)
    check_target("--figure", figure, (".png",))
    check_target("--fields", fields, (".bp",))
    config, comm = start(path, assignments, ("cell", "effective"), verbose, json=json, figure=figure, fields=fields)
    meshless = present("effective", config.effective).meshless
    if meshless and fields is not None:
        raise InputError("--fields", fields, "absent unless method = 'finite-element'", "Only that method writes them.")
    with session.results_only(json == "-"), progress_bar("effective tensor", rank=comm.rank):
        if meshless:
            tensor = solve_without_mesh(config, comm, figure)
        else:
            tensor = solve_on_mesh(config, comm, figure, fields)
    tensor = with_known_area(tensor)
    write_tensor(tensor, json, comm)
    return session.DONE if tensor.reached else session.SHORT


def solve_on_mesh(config: Config, comm: MPI.Comm, figure: str | None, fields: str | None) -> EffectiveTensor:
    """Mesh the cell, solve its problem, draw and write what is asked for; collective."""
    from homfem.meshing.arrays.budget import followed_by

    with followed_by(systems_on(config)):
        cell = build_cell(config, comm)
    with session.keys_under("effective"):
        solution = present("effective", config.effective).solve(cell, config=config.document)
    if figure is not None:
        from homfem.cli.figures import draw_solution

        with writing(figure):
            draw_solution(solution, figure)
    if fields is not None:
        from homfem.cli.figures import write_solution

        write_solution(solution, fields)
    return solution.tensor


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
    vector = {"diffusion": False, "conductivity": False, "elasticity": True}.get(table.physics)
    if d is None or vector is None or not (whole and plain):
        return 0.0
    return bytes_on_cell(d, d if vector else 1)


def solve_without_mesh(config: Config, comm: MPI.Comm, figure: str | None) -> EffectiveTensor:
    """Compute the tensor by a method of the cell's own, on rank 0; collective."""
    found: list[EffectiveTensor] = []

    def work() -> None:
        table: Any = present("effective", config.effective)
        with session.keys_under("effective"), nullcontext() if figure is None else writing(figure):
            tensor = present("cell", config.cell).homogenize(table, config.folder, figure=figure)
        found.append(replace(tensor, ranks=1, config=dict(config.document)))

    session.on_root(comm, work)
    result: EffectiveTensor = comm.bcast(found[0] if found else None, root=0)
    return result


def write_tensor(tensor: EffectiveTensor, json: str | None, comm: MPI.Comm) -> None:
    """Show a tensor, or write it to a JSON file as well; ``-`` for JSON on standard output instead. Collective."""
    if json not in (None, "-"):
        session.on_root(comm, lambda: tensor.to_json(json))
    session.show(tensor.to_json().rstrip() if json == "-" else str(tensor))


def run_cell(path: str, assignments: Sequence[str], *, save: str | None, figure: str | None, verbose: bool) -> int:
    """Mesh, describe and save the cell of a config; return the exit status. Collective."""
    check_target("--figure", figure, (".png",))
    check_target("--save", save, (".msh", ".xdmf"))
    config, comm = start(path, assignments, ("cell",), verbose, save=save, figure=figure)
    with progress_bar("cell", rank=comm.rank):
        cell = build_cell(config, comm)
        text = cell.describe()
        if save is not None:
            with writing(save):
                cell.save(save)
        if figure is not None:
            from homfem.cli.figures import draw_unit_cell

            with writing(figure):
                draw_unit_cell(cell, figure)
    session.show(text)
    return session.DONE


def run_check(path: str, *, json: str | None, period: str | None = None, trust: bool = False) -> int:
    """Check a mesh and say what was found; return the exit status: 0 for a good periodic cell, else 1."""
    from homfem.meshing.files.check import check_mesh

    check_target("--json", json)
    if not os.path.isfile(path):
        raise FileError("--check", path, "a file that exists")
    keep_apart(with_derived("--json", json), [("--check", Path(path))])
    given = None if period is None else _period_of(period)
    set_up_logging(rank=session.launched_rank() or 0, verbose=False)
    if session.launched_rank():
        return session.DONE
    with session.results_only(json == "-"):
        report = check_mesh(path, given, trust=trust)
    text = jsonlib.dumps(report.to_dict(), indent=2, allow_nan=False) + "\n"
    if json not in (None, "-"):
        write_text(str(json), text)
    session.show(text.rstrip() if json == "-" else str(report))
    return session.DONE if report.ok else session.FAILED


def _period_of(text: str) -> Any:
    """Return the period of ``--period``: a number, a list of them, or a lattice."""
    allowed = "one length > 0, 2 or 3 of them, or 2 or 3 period vectors, as [[1, 0], [0.5, 0.866]]"
    import numpy as np

    try:
        value = jsonlib.loads(text)
        array = np.array(value, dtype=np.float64)
        if array.ndim > 1:
            return Lattice(vectors=array)
        if array.size not in (1, 2, 3) or not np.all((array > 0.0) & np.isfinite(array)):
            raise ValueError
        return array.tolist()
    except (ValueError, TypeError, RecursionError) as error:
        raise InputError("--period", text, allowed) from error
