"""The command ``homfem``: effective tensors, cells and macroscale runs from TOML files.

Exit status: 0 done; 2 bad input (one message that names the key's path, the value and what is allowed); 3 done, but
short of the tolerance; 1 anything else. Under mpirun rank 0 alone speaks, and all ranks end with the same status.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Annotated

import typer

from homfem import __version__
from homfem.cli import session

__all__ = ["app", "main"]

app = typer.Typer(
    name="homfem",
    help="Effective tensors of periodic microstructures with guaranteed bounds, and the models that use them.",
    epilog="Exit status: 0 done, 2 bad input, 3 done but short of the tolerance, 1 anything else.",
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
)

ConfigFile = Annotated[str, typer.Argument(metavar="CONFIG.toml", help="The config.", show_default=False)]
Assignments = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="KEY=VALUE",
        show_default=False,
        help="Set a key of the config, such as cell.edge=0.2; may be repeated.",
    ),
]
JsonFile = Annotated[
    str | None,
    typer.Option("--json", metavar="FILE", show_default=False, help="Write the result as JSON; - for standard output."),
]
Verbose = Annotated[bool, typer.Option("--verbose", "-v", help="Show the log.")]


def _version(wanted: bool) -> None:
    if wanted:
        session.show(f"homfem {__version__}")
        raise typer.Exit


@app.callback()
def _common(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version and end.")
    ] = False,
    progress: Annotated[
        bool, typer.Option("--progress", help="Show progress also where standard error is no terminal, as lines.")
    ] = False,
) -> None:
    from homfem.progress import show_always

    show_always(progress)


Dark = Annotated[bool, typer.Option("--dark", help="With --figure: on a dark ground.")]


@app.command()
def effective(
    config: ConfigFile,
    json: JsonFile = None,
    figure: Annotated[
        str | None,
        typer.Option(
            "--figure",
            metavar="FILE",
            show_default=False,
            help="Draw the cell with the fields of its first load: .png, .pdf or .svg.",
        ),
    ] = None,
    dark: Dark = False,
    fields: Annotated[
        str | None,
        typer.Option(
            "--fields",
            metavar="FILE.xdmf",
            show_default=False,
            help="Write the correctors: .xdmf for ParaView, PyVista and meshio, .bp for ParaView; "
            ".vti of method = 'grid'.",
        ),
    ] = None,
    assignments: Assignments = None,
    verbose: Verbose = False,
) -> int:
    """Compute the effective tensor of the config's cell."""
    from homfem.cli.effective import run_effective

    files = {"json": json, "figure": figure, "fields": fields}
    return run_effective(config, assignments or [], files, dark=dark, verbose=verbose)


@app.command()
def cell(
    config: Annotated[
        str | None, typer.Argument(metavar="[CONFIG.toml]", help="The config.", show_default=False)
    ] = None,
    check: Annotated[
        str | None,
        typer.Option(
            "--check",
            metavar="FILE",
            show_default=False,
            help="Check a mesh as a periodic cell, whatever is wrong in it.",
        ),
    ] = None,
    period: Annotated[
        str | None,
        typer.Option(
            "--period",
            metavar="PERIOD",
            show_default=False,
            # The backslashes keep Rich from taking the brackets for its markup.
            help=r"With --check: one length, \[a, b, c], or vectors \[\[a, b], \[c, d]], in the unit of the file.",
        ),
    ] = None,
    trust: Annotated[bool, typer.Option("--trust", help="With --check: run a .geo script whatever it does.")] = False,
    save: Annotated[
        str | None,
        typer.Option("--save", metavar="FILE", show_default=False, help="Write the mesh to a .msh or .xdmf file."),
    ] = None,
    figure: Annotated[
        str | None,
        typer.Option("--figure", metavar="FILE", show_default=False, help="Draw the cell: .png, .pdf or .svg."),
    ] = None,
    dark: Dark = False,
    json: JsonFile = None,
    assignments: Assignments = None,
    verbose: Verbose = False,
) -> int:
    """Mesh the config's cell and describe it, or check a mesh."""
    from homfem.cli.effective import run_cell, run_check

    if (check is None) == (config is None):
        raise typer.BadParameter("either CONFIG.toml or --check FILE is needed.")
    if check is not None:
        if save is not None or figure is not None or assignments:
            raise typer.BadParameter("--save, --figure and --set go with CONFIG.toml, not with --check.")
        return run_check(check, json=json, period=period, trust=trust)
    if period is not None or trust:
        raise typer.BadParameter("--period and --trust go with --check; a config has keys for them.")
    files = {"json": json, "save": save, "figure": figure}
    return run_cell(str(config), assignments or [], files, dark=dark, verbose=verbose)


@app.command()
def run(
    config: ConfigFile,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on from the last checkpoint; where there is none, warn and start anew.")
    ] = False,
    json: JsonFile = None,
    figure: Annotated[
        str | None,
        typer.Option("--figure", metavar="FILE", show_default=False, help="Draw the first field at several times."),
    ] = None,
    dark: Dark = False,
    assignments: Assignments = None,
    verbose: Verbose = False,
) -> int:
    """Run the config's macroscale model."""
    from homfem.cli.run import run_macro

    files = {"json": json, "figure": figure}
    return run_macro(config, assignments or [], files, resume=resume, dark=dark, verbose=verbose)


@app.command()
def plot(
    folder: Annotated[
        str,
        typer.Argument(
            metavar="FOLDER",
            help="The folder of a run or of cells and tensors, or one file of them.",
            show_default=False,
        ),
    ],
    field: Annotated[
        str | None, typer.Option("--field", metavar="NAME", show_default=False, help="Draw this field alone.")
    ] = None,
    time: Annotated[
        str | None,
        typer.Option(
            "--time",
            metavar="TIME",
            show_default=False,
            help="Draw the fields at the output nearest to it, such as '0.2 s'; the last one by default.",
        ),
    ] = None,
    out: Annotated[
        str | None,
        typer.Option(
            "--out",
            metavar="PATH",
            show_default=False,
            help="A folder for the pictures, by default that of the run, or the name of one (.png, .pdf, .svg).",
        ),
    ] = None,
    dark: Dark = False,
) -> int:
    """Draw results: of a run that has ended or goes on, of cells with their fields, tensors."""
    from homfem.cli.plot import run_plot

    return run_plot(folder, field=field, time=time, out=out, dark=dark)


@app.command()
def sweep(
    plan: Annotated[str, typer.Argument(metavar="PLAN.toml", help="The plan.", show_default=False)],
    workers: Annotated[
        int | None,
        typer.Option("--workers", min=1, show_default=False, help="Processes, in place of the plan's workers."),
    ] = None,
    retry: Annotated[bool, typer.Option("--retry", help="Run rows again that failed.")] = False,
    task: Annotated[
        int | None, typer.Option("--task", metavar="N", show_default=False, help="Run row N alone, from 1.")
    ] = None,
    collect: Annotated[bool, typer.Option("--collect", help="Run nothing: the table of what is stored.")] = False,
    slurm: Annotated[
        bool, typer.Option("--slurm", help="Run nothing: write a job script with a task for each row.")
    ] = False,
    json: JsonFile = None,
    figure: Annotated[
        str | None,
        typer.Option("--figure", metavar="FILE", show_default=False, help="Draw the results, also into this file."),
    ] = None,
) -> int:
    """Run a config over a grid, a list or a sample of its keys."""
    from homfem.cli.sweep import run_sweep

    chosen = [word for word, wanted in (("collect", collect), ("slurm", slurm)) if wanted]
    if len(chosen) + (task is not None) > 1 or (chosen and retry):
        raise typer.BadParameter("only one of --task, --collect, --slurm; --retry goes with neither of the last two.")
    how = chosen[0] if chosen else "run" if task is None else task
    return run_sweep(plan, workers=workers, retry=retry, how=how, json=json, figure=figure)


blocks_app = typer.Typer(help="Block media: the method of March, Carr and Turner, and what goes past it.")
app.add_typer(blocks_app, name="blocks", no_args_is_help=True)


@blocks_app.callback()
def _blocks() -> None:  # makes "tables" a command of its own name while it is the only one
    pass


@blocks_app.command()
def tables(
    which: Annotated[
        list[str] | None,
        typer.Argument(metavar="[TABLE]...", show_default=False, help="1, 2, 3, 4 or 'figure 3'; all by default."),
    ] = None,
    quick: Annotated[bool, typer.Option("--quick", help="Leave out what takes more than a few seconds.")] = False,
    repeats: Annotated[int, typer.Option("--repeats", min=1, help="Times are medians of that many runs.")] = 3,
    json: JsonFile = None,
    figure: Annotated[
        str | None,
        typer.Option("--figure", metavar="FILE.png", show_default=False, help="Draw the curves of their figure 3."),
    ] = None,
) -> int:
    """Regenerate the tables of March, Carr and Turner, their numbers beside ours."""
    from homfem.cli.blocks import run_tables

    return run_tables(which or [], quick=quick, repeats=repeats, json=json, figure=figure)


@app.command()
def validate(
    name: Annotated[
        str | None, typer.Argument(metavar="[NAME]", show_default=False, help="What --list names; all by default.")
    ] = None,
    names: Annotated[bool, typer.Option("--list", help="Say which names there are.")] = False,
    json: JsonFile = None,
) -> int:
    """Compute what is published, and show both numbers with what they may differ by."""
    from homfem.cli.validate import list_studies, run_validate

    return list_studies() if names else run_validate(name, json=json)


@app.command()
def init(
    name: Annotated[
        str | None, typer.Argument(metavar="[NAME]", show_default=False, help="What --list names: a physics, a model.")
    ] = None,
    file: Annotated[
        str | None,
        typer.Argument(metavar="[FILE]", show_default=False, help="By default NAME.toml; - for standard output."),
    ] = None,
    names: Annotated[bool, typer.Option("--list", help="Say which templates there are.")] = False,
    force: Annotated[bool, typer.Option("--force", help="Write over a file that is there.")] = False,
) -> int:
    """Write a config that works, with every key and what it means."""
    from homfem.cli.init import list_templates, run_init

    if names:
        return list_templates()
    if name is None:
        raise typer.BadParameter("NAME is needed; --list says which there are.")
    return run_init(name, file, force=force)


@app.command()
def keys(
    table: Annotated[
        str | None,
        typer.Argument(
            metavar="[TABLE]", help="Such as cell.three-pipe, effective, macro.calcium.time.", show_default=False
        ),
    ] = None,
    schema: Annotated[
        bool, typer.Option("--schema", help="Print a JSON Schema of whole configs instead, for editors.")
    ] = False,
) -> int:
    """Print the reference of the configuration: every key, what it takes, its default and meaning."""
    from homfem.config.reference import as_markdown, reference

    if schema:
        from homfem.config.schema import as_json

        if table is not None:
            raise typer.BadParameter("--schema goes without a table.")
        session.show(as_json())
        return session.DONE
    session.show(as_markdown(reference(table or "")))
    return session.DONE


@app.command()
def doctor(
    json: JsonFile = None,
) -> int:
    """Say what homfem runs on, and what works."""
    from homfem.cli.doctor import run_doctor

    return run_doctor(json=json)


_INTERRUPTED = 130  # what typer makes of an interrupt from the keyboard


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command and end the process with its exit status."""
    given = list(sys.argv[1:] if arguments is None else arguments) or ["--help"]
    if "--progress" in given:  # it goes with every command, and may stand behind it
        given = ["--progress", *(word for word in given if word != "--progress")]

    def body() -> int:
        status = app(given, prog_name="homfem", standalone_mode=False)
        if status == _INTERRUPTED:
            raise KeyboardInterrupt
        return status if isinstance(status, int) else session.DONE

    raise SystemExit(session.run_on_all_ranks(body))
