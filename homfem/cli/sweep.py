"""The command ``homfem sweep``."""

from __future__ import annotations

from pathlib import Path

from homfem import sweeps
from homfem.cli import session
from homfem.cli.effective import hand_over
from homfem.disk import write_text
from homfem.parameters import InputError
from homfem.progress import set_up_logging
from homfem.runs.targets import check_target, keep_apart, with_derived
from homfem.sweeps.picture import draw
from homfem.sweeps.slurm import write_job_script


def run_sweep(
    plan: str, *, workers: int | None, retry: bool, how: str | int, json: str | None, figure: str | None
) -> int:
    """Run a plan, show its table and write it; return the exit status. Collective.

    Parameters
    ----------
    plan
        The path of the plan.
    workers, retry
        As those of :func:`homfem.sweeps.sweep`.
    how
        ``"run"`` runs all rows, a number that row alone, ``"collect"`` none; ``"slurm"`` writes a job script.
    json, figure
        Files beside those of the store.
    """
    check_target("--json", json)
    check_target("--figure", figure, (".png", ".pdf", ".svg"))
    rank = session.launched_rank() or 0
    set_up_logging(rank=rank, verbose=False)
    ready = sweeps.prepare(plan)
    named = [pair for option, file in (("--json", json), ("--figure", figure)) for pair in with_derived(option, file)]
    keep_apart(named, [("PLAN", Path(plan)), *ready.files])
    if how == "slurm":
        if rank == 0:
            script = write_job_script(ready, plan)
            session.show(f"{script}: {len(ready.rows)} tasks; sbatch {script}")
        return session.DONE
    with session.results_only(json == "-"):
        table = _table(ready, how, workers, retry)
        if how in ("run", "collect") and rank == 0:
            _keep(table, ready.plan.store, figure)
    if isinstance(how, int):
        return _one(table, how)
    hand_over(table.to_dict(), str(table), json if rank == 0 else None)
    return table.status


def _table(ready: sweeps.Prepared, how: str | int, workers: int | None, retry: bool) -> sweeps.SweepTable:
    if how == "collect":
        return sweeps.collect(ready)
    try:
        return sweeps.sweep(ready, workers=workers, retry=retry, task=how if isinstance(how, int) else None)
    except KeyboardInterrupt:
        counts = sweeps.collect(ready).counts
        if not session.launched_rank():
            done = sum(number for status, number in counts.items() if status != "missing")
            session.say(f"interrupted with {done} of {len(ready.rows)} rows; the same command goes on from there")
        raise


def _keep(table: sweeps.SweepTable, store: Path, figure: str | None) -> None:
    """Write the table and its picture into the store, and the picture where it is wanted."""
    import json as jsonlib

    if not store.is_dir():
        raise InputError("store", str(store), "a folder with results to collect", "Run the sweep first.")
    table.to_csv(store / "table.csv")
    write_text(store / "table.json", jsonlib.dumps(table.to_dict(), indent=2, allow_nan=False) + "\n")
    drawable = any(isinstance(value, (int, float)) for entry in table.columns for value in entry.values)
    for path in (store / "table.png", *([Path(figure)] if figure else [])) if drawable else ():
        draw(table, path)
    if figure and not drawable:
        session.say("no row has a number: nothing is drawn")


def _one(table: sweeps.SweepTable, number: int) -> int:
    """Say how one row ended; return its exit status."""
    status, message = table.statuses[number - 1], table.messages[number - 1]
    session.show(f"row {number}: {status}{f': {message}' if message else ''}")
    return {"done": session.DONE, "short": session.SHORT}.get(status, session.FAILED)
