"""The common part of the benchmarks beside other codes: from a table of cases to tables, figure and file.

Each method solves the cases of its plan in a process of its own, on one thread: a coarse case of each curve first, so
that imports and compiled forms do not count. Each case runs ``--repeat`` times and its shortest time counts. With
``--rounds`` all of it is done several times, the methods in turn, and the median of the rounds counts. On a machine
that is busy with other work compare processor time (``--clock cpu``). A peer that is not installed is named and left
out; to have them all: ``pip install homfem[benchmark]``. In a folder of its own, on ``PYTHONPATH``, NGSolve is
installed with ``--prefix``: with ``--target`` it does not find OpenCASCADE.
"""

from __future__ import annotations

import argparse
import importlib.util
import statistics
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))
from equal_error import Case, coarsest, curves, draw, ratios, slowest_stage, work
from measure import machine, run_worker, table, write_json

#: What a mesh is made with, by the names in the cases.
SETTINGS = ("resolution", "grading", "size", "edge_size", "hp")
#: What is measured of a case in each round.
MEASURED = ("seconds", "wall", "cpu")


@dataclass(frozen=True, kw_only=True, slots=True)
class Comparison:
    """What is compared.

    Parameters
    ----------
    script
        The file of the benchmark.
    about
        One line that says what is measured.
    peers
        The package by which each method is found.
    solvers
        ``solvers[peer]()`` imports its package and returns ``solve(case of the table, settings) -> outcome``, and its
        version.
    cases
        The table: the title of each case in the figure.
    plan
        ``plan(peer, case)`` returns the settings, the coarsest of each curve first.
    error
        Relative error of a result.
    levels
        Errors at which times are compared.
    parts
        Which curves are compared with each other: tests of their names.
    """

    script: str
    about: str
    peers: Mapping[str, str]
    solvers: Mapping[str, Callable[[], Any]]
    cases: Mapping[str, str]
    plan: Callable[[str, str], list[Case]]
    error: Callable[[Mapping[str, Any]], float]
    levels: Sequence[float]
    parts: Mapping[str, Callable[[str], bool]] = field(default_factory=lambda: {"": lambda _: True})

    def main(self) -> None:
        """Run what the command line asks for."""
        options = self._options()
        if options.worker:
            work(*options.worker, self.solvers)
            return
        here = [peer for peer in options.peers if importlib.util.find_spec(self.peers[peer])]
        for peer in sorted(set(options.peers) - set(here)):
            print(f"{peer} is not installed and left out; pip install homfem[benchmark]")
        rounds: list[list[Case]] = []
        versions: dict[str, str] = {}
        for _ in range(options.rounds):
            rounds.append([])
            for case in options.cases:
                for peer in here:
                    if not self.plan(peer, case):
                        continue
                    answer = self._run(peer, case, options)
                    rounds[-1] += answer["results"]
                    versions[peer] = answer["version"]
        results = medians(rounds)
        print("\n" + self.report(results))
        if options.json:
            write_json(options.json, {"machine": machine(), "versions": versions, "results": results})
        if options.figure:
            draw(self.panels(results), dict(zip(self.peers, ("Blues", "Oranges", "Greens"), strict=True)),
                 options.figure, options.clock)  # fmt: skip

    def _options(self) -> argparse.Namespace:
        parser = argparse.ArgumentParser(description=self.about)
        parser.add_argument("--peers", nargs="+", default=list(self.peers), choices=list(self.peers))
        parser.add_argument("--cases", nargs="+", default=list(self.cases), choices=list(self.cases))
        parser.add_argument("--repeat", type=int, default=2)
        parser.add_argument("--rounds", type=int, default=1, help="all of it so often, in turn; medians count")
        parser.add_argument("--clock", default="wall", choices=["wall", "cpu"])
        parser.add_argument("--quick", action="store_true", help="the coarsest case of each curve only")
        parser.add_argument("--json", default="", help="file for the numbers")
        parser.add_argument("--figure", default="", help="file for the figure")
        parser.add_argument("--worker", nargs=2, metavar=("CASE", "ANSWER"), help=argparse.SUPPRESS)
        return parser.parse_args()

    def _run(self, peer: str, case: str, options: argparse.Namespace) -> dict[str, Any]:
        plan = self.plan(peer, case)
        plan = coarsest(plan) if options.quick else plan
        task = {"peer": peer, "phase": case, "cases": plan, "repeat": options.repeat, "clock": options.clock}
        answer, _ = run_worker(self.script, task)
        told = f"{len(plan)} cases, imports {answer['imports']:.2f} s"
        print(f"{peer} {answer['version']}, {case}: {told}", flush=True)
        return answer

    def report(self, results: Sequence[Mapping[str, Any]]) -> str:
        """Return the tables: every case, and the time at equal error as a ratio to the best of homfem."""
        rows = []
        for r in results:
            gap = f"{r['half_gap']:.1e}" if r.get("half_gap") is not None else ""
            settings = ", ".join(f"{name} {r[name]:.3g}" for name in SETTINGS if r.get(name))
            times = f"{r['wall']:.3f}", f"{r['cpu']:.3f}"
            rows.append([r["phase"], r["peer"], r["curve"], settings, r["dofs"], *times, f"{self.error(r):.1e}", gap,
                         slowest_stage(r)])  # fmt: skip
        head = ["case", "method", "curve", "mesh", "dofs", "wall s", "cpu s", "error", "half-gap", "slowest stage"]
        text = table("all cases", head, rows)
        for case in self.cases:
            found = curves(results, case, self.error)
            for part, belongs in self.parts.items():
                chosen = {key: points for key, points in found.items() if belongs(key[1])}
                title = f"{case}{part}: seconds at equal error (over those of homfem's best curve)"
                text += "\n" + ratios(title, chosen, list(self.peers), self.levels) if chosen else ""
        return text

    def panels(self, results: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
        """Return the curves of each case, by the title of its panel."""
        found = {title: curves(results, case, self.error) for case, title in self.cases.items()}
        return {title: lines for title, lines in found.items() if lines}


def medians(rounds: Sequence[Sequence[Case]]) -> list[Case]:
    """Return the results of the first round with the medians of what was measured in all, and the ``spread``: the
    longest time over the shortest."""
    found = []
    for several in zip(*rounds, strict=True):
        times = [one["seconds"] for one in several]
        middle = {name: statistics.median(one[name] for one in several) for name in MEASURED}
        found.append({**several[0], **middle, "spread": max(times) / min(times)})
    return found
