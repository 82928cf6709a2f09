"""The commands ``homfem effective`` and ``homfem cell``."""

from __future__ import annotations

import json as jsonlib
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from homfem import runs
from homfem.cli import session
from homfem.config import Config, load_config, present
from homfem.disk import write_text, writing
from homfem.output.canvas import FORMATS
from homfem.parameters import FileError, InputError, Lattice
from homfem.progress import set_up_logging
from homfem.ranks import on_root, world
from homfem.runs.targets import check_target, keep_apart, with_derived

if TYPE_CHECKING:
    from mpi4py import MPI


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
    return config, world()


def hand_over(report: Mapping[str, Any], text: str, json: str | None, comm: MPI.Comm | None = None) -> None:
    """Show the text of a result and write its report to a JSON file; ``-`` for JSON in place of the text.

    Collective on ``comm``; without one on this rank alone.
    """
    written = jsonlib.dumps(report, indent=2, allow_nan=False)
    if json not in (None, "-"):
        if comm is None:
            write_text(str(json), written + "\n")
        else:
            on_root(comm, lambda: write_text(str(json), written + "\n"))
    session.show(written if json == "-" else text)


def run_effective(
    path: str, assignments: Sequence[str], files: Mapping[str, str | None], *, dark: bool, verbose: bool
) -> int:
    """Compute the effective tensor of a config; return the exit status. Collective.

    ``files`` are those that the options ``json``, ``figure`` and ``fields`` name.
    """
    json, figure, fields = (files[name] for name in ("json", "figure", "fields"))
    check_target("--json", json)
    check_target("--figure", figure, FORMATS)
    check_target("--fields", fields, (".xdmf", ".bp", ".vti"))
    config, comm = start(path, assignments, ("cell", "effective"), verbose, json=json, figure=figure, fields=fields)
    meshless = present("effective", config.effective).meshless
    if fields is not None:
        _check_fields(fields, meshless=meshless, method=getattr(config.effective, "method", ""))
    with session.results_only(json == "-"):
        run = runs.tensor(config, drawn=figure is not None or fields is not None)
        if figure is not None:
            runs.draw_tensor(run, figure, theme="dark" if dark else "light")
        if fields is not None:
            _write_fields(run, fields, meshless=meshless)
    hand_over(run.report(), str(run), json, comm)
    return run.outcome.status


def _check_fields(path: str, *, meshless: bool, method: str) -> None:
    """Refuse a file of another kind than the method writes."""
    if meshless and method != "grid":
        remedy = "Those of block media are functions of Python (homfem.blocks)."
        raise InputError("--fields", path, "absent unless method = 'finite-element' or 'grid'", remedy)
    allowed = (".vti",) if meshless else (".xdmf", ".bp")
    if not path.endswith(allowed):
        about = "with method = 'grid'" if meshless else "unless method = 'grid'"
        raise FileError("--fields", path, f"a name that ends in {' or '.join(allowed)} {about}")


def _write_fields(run: runs.TensorRun, path: str, *, meshless: bool) -> None:
    """Write what was solved; collective."""
    if meshless:
        from homfem.output.voxel_fields import write_image_solution

        on_root(run.comm, lambda: write_image_solution(run.solution, path))
        return
    from homfem.output.cell_figures import write_solution

    write_solution(run.solution, path)


def run_cell(
    path: str, assignments: Sequence[str], files: Mapping[str, str | None], *, dark: bool, verbose: bool
) -> int:
    """Mesh, describe and save the cell of a config; return the exit status. Collective.

    ``files`` are those that the options ``json``, ``save`` and ``figure`` name.
    """
    json, save, figure = (files[name] for name in ("json", "save", "figure"))
    check_target("--json", json)
    check_target("--figure", figure, FORMATS)
    check_target("--save", save, (".msh", ".xdmf"))
    config, comm = start(path, assignments, ("cell",), verbose, json=json, save=save, figure=figure)
    with session.results_only(json == "-"):
        run = runs.cell(config)
        if save is not None:
            with writing(save):
                run.cell.save(save)
        if figure is not None:
            from homfem.output.cell_figures import draw_unit_cell

            with writing(figure):
                draw_unit_cell(run.cell, figure, theme="dark" if dark else "light")
    hand_over(run.report(), run.description, json, comm)
    return run.outcome.status


def run_check(path: str, *, json: str | None, period: str | None = None, trust: bool = False) -> int:
    """Check a mesh and say what was found; return the exit status: 0 for a good periodic cell, else 1."""
    check_target("--json", json)
    if not os.path.isfile(path):
        raise FileError("--check", path, "a file that exists")
    keep_apart(with_derived("--json", json), [("--check", Path(path))])
    given = None if period is None else _period_of(period)
    set_up_logging(rank=session.launched_rank() or 0, verbose=False)
    if session.launched_rank():
        return session.DONE
    with session.results_only(json == "-"):
        run = runs.check(path, period=given, trust=trust)
    hand_over(run.report(), str(run.found), json)
    return run.outcome.status


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
