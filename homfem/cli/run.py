"""The command ``homfem run``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from homfem import runs
from homfem.cli import session
from homfem.cli.effective import hand_over, start
from homfem.runs.targets import check_target

_LONG = ("times", "total", "maximum", "minimum", "tensors", "config", "versions", "probes")


def run_macro(
    path: str, assignments: Sequence[str], *, resume: bool, json: str | None, figure: str | None, verbose: bool
) -> int:
    """Run the macroscale model of a config; return the exit status. Collective."""
    check_target("--json", json)
    check_target("--figure", figure, (".png", ".pdf", ".svg"))
    config, comm = start(path, assignments, ("macro",), verbose, json=json, figure=figure)
    with session.results_only(json == "-"):
        run = runs.macro(config, resume=resume, drawn=figure is not None)
        if figure is not None:
            runs.draw_macro(run, figure)
    if run.outcome is runs.Outcome.INTERRUPTED and comm.rank == 0:
        session.say("interrupted; homfem run --resume goes on from the checkpoint")
    report = run.report()
    shown = [f"{name}: {_readable(value)}" for name, value in report.items() if name not in _LONG]
    shown += [f"activation of {name}: {_readable(series['activation'])}" for name, series in report["probes"].items()]
    hand_over(report, "\n".join(shown), json, comm)
    return run.outcome.status


def _readable(value: Any) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {_readable(entry)}" for name, entry in value.items())
    if isinstance(value, list):
        return "; ".join(map(_readable, value))
    return f"{value:.6g}" if isinstance(value, float) else "none" if value is None else str(value)
