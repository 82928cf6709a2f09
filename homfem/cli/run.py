"""The command ``homfem run``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from homfem import runs
from homfem.cli import session
from homfem.cli.effective import hand_over, start
from homfem.output.canvas import FORMATS
from homfem.runs.targets import check_target

#: What is no line of the text: series, and warnings, which the log has said.
_LONG = {
    *("times", "total", "maximum", "minimum", "tensors", "config", "versions", "units", "probes", "drift", "ecg"),
    "warnings",
}


def run_macro(
    path: str,
    assignments: Sequence[str],
    files: Mapping[str, str | None],
    *,
    resume: bool,
    dark: bool,
    verbose: bool,
) -> int:
    """Run the macroscale model of a config; return the exit status. Collective.

    ``files`` are those that the options ``json`` and ``figure`` name.
    """
    json, figure = files["json"], files["figure"]
    check_target("--json", json)
    check_target("--figure", figure, FORMATS)
    config, comm = start(path, assignments, ("macro",), verbose, json=json, figure=figure)
    with session.results_only(json == "-"):
        run = runs.macro(config, resume=resume, drawn=figure is not None)
        if figure is not None:
            runs.draw_macro(run, figure, theme="dark" if dark else "light")
    if run.outcome is runs.Outcome.INTERRUPTED and comm.rank == 0:
        session.say("interrupted; homfem run --resume goes on from the checkpoint")
    report = run.report()
    hand_over(report, described(report), json, comm)
    return run.outcome.status


def described(report: Mapping[str, Any]) -> str:
    """Return the text of a run's report: one line for each of its numbers, with their units; series are left out."""
    units = {"seconds": "s", **report.get("units", {})}
    units["end"] = units.get("time", "")
    lines = []
    for name, value in report.items():
        if name == "brought":
            total = units.get("total", "")
            lines += [f"brought: {label}, {_with_unit(series[-1], total)}" for label, series in value.items()]
        elif name == "conserved":
            lines += [
                f"conserved: {entry['name']}, {_with_unit(entry['start'], entry['unit'])} at the start, "
                f"to {entry['drift']:.2g} of it"
                for entry in value
            ]
        elif name not in _LONG:
            lines.append(f"{name}: {_with_unit(value, units.get(name.removesuffix('_range'), ''))}")
    for name, series in report.get("probes", {}).items():
        lines.append(f"activation of {name}: {_with_unit(series['activation'], units['end'])}")
    return "\n".join(lines)


def _with_unit(value: Any, unit: str) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {_with_unit(entry, unit)}" for name, entry in value.items())
    if value is None:
        return "none"
    return f"{value:.6g} {unit}".rstrip() if isinstance(value, float) else str(value)
