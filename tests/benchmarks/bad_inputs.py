"""Give the command line bad inputs and print how many of each group it refused as it should.

``python tests/benchmarks/bad_inputs.py --seed 1 --ranks 1 2``. A bad input must end with exit status 2 and one message
that names the key and the value; without a traceback, a signal, standard output, a file left behind, more than
``--limit`` seconds, or more than ``--memory`` GB. Exit status 1 if one did not. ``--only`` takes the inputs whose name
holds some words, ``--every`` all places of junk in configs in place of a sample, ``--quick`` a part of those that are
refused at once, ``--keep`` a folder in which the files stay.
"""

from __future__ import annotations

import argparse
import collections
import contextlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))
from made_bad_commands import bad_inputs, quick_inputs
from made_bad_inputs import BadInput

CRASHED = -1


@dataclass(frozen=True, kw_only=True, slots=True)
class Outcome:
    """What became of a command: exit status (minus the signal), seconds, peak memory (GB; nan: not known), output."""

    status: int
    seconds: float
    memory: float
    out: str
    err: str
    left: tuple[str, ...]


def fault(bad: BadInput, outcome: Outcome, *, limit: float, memory: float) -> str:
    """Return what is wrong with the outcome of a bad input; empty if nothing is."""
    if outcome.seconds > limit:
        return f"it took more than {limit:g} s"
    if outcome.status < 0:
        return f"it ended by signal {-outcome.status}"
    if "Traceback (most" in outcome.out + outcome.err:
        return "a traceback"
    if outcome.memory > memory:
        return f"it took {outcome.memory:.1f} GB"
    if outcome.status != 2:
        return f"exit status {outcome.status}"
    messages = re.findall(r"^homfem: (?!warning: ).*", outcome.err, re.MULTILINE)
    if len(messages) != 1:
        return f"{len(messages)} messages"
    if outcome.out:
        return "something on standard output"
    if outcome.left:
        return f"files left behind: {', '.join(outcome.left)}"
    named = tuple(f"homfem: {key}{end}" for key in bad.keys for end in (" = ", ".", "["))
    if named and not messages[0].startswith(named):
        return f"the message does not begin with {' or '.join(bad.keys)}"
    return "" if bad.value in messages[0] else f"the message does not show {bad.value}"


def prepare(bad: BadInput, folder: Path) -> None:
    """Write the files of a bad input into a new folder."""
    folder.mkdir(parents=True)
    for name, content in bad.files.items():
        (folder / name).write_bytes(content)


def left_behind(bad: BadInput, folder: Path) -> tuple[str, ...]:
    """Return the names in the folder that were not there before; a folder with nothing but a lock does not count."""
    own = {*bad.files, "out0", "err0", "out1", "err1"}
    new = [path for path in folder.iterdir() if path.name not in own]
    return tuple(sorted(path.name for path in new if not path.is_dir() or set(os.listdir(path)) - {".lock"}))


@contextlib.contextmanager
def captured(folder: Path, rank: int) -> Iterator[None]:
    """Send the standard streams of the process into files of the folder, and work there."""
    kept, place = [os.dup(1), os.dup(2)], Path.cwd()
    for number, name in ((1, "out"), (2, "err")):
        handle = os.open(folder / f"{name}{rank}", os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(handle, number)
        os.close(handle)
    os.chdir(folder)
    try:
        yield
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        for number, old in enumerate(kept, start=1):
            os.dup2(old, number)
            os.close(old)
        os.chdir(place)


def status_of(arguments: Sequence[str]) -> int:
    """Run a command in this process; its exit status."""
    from homfem.cli import main

    try:
        main(arguments)
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else 1
    return 0


def run_forked(bad: BadInput, folder: Path, limit: float) -> Outcome:
    """Run a command in a fork of this process, which has loaded the package but neither MPI nor dolfinx."""
    prepare(bad, folder)
    sys.stdout.flush()
    start = time.monotonic()
    child = os.fork()
    if child == 0:
        status = 99
        try:
            os.setsid()
            with captured(folder, 0):
                status = status_of(bad.arguments)
                sys.stdout.flush()
        finally:
            os._exit(status)
    while True:
        done, ended, used = os.wait4(child, os.WNOHANG)
        seconds = time.monotonic() - start
        if done:
            break
        if seconds > limit:
            os.killpg(child, signal.SIGKILL)
            _, ended, used = os.wait4(child, 0)
            break
        time.sleep(0.002)
    return Outcome(
        status=-os.WTERMSIG(ended) if os.WIFSIGNALED(ended) else os.WEXITSTATUS(ended),
        seconds=seconds,
        memory=used.ru_maxrss * 1024 / 1e9,
        out=(folder / "out0").read_text(errors="replace"),
        err=(folder / "err0").read_text(errors="replace"),
        left=left_behind(bad, folder),
    )


def run_forked_each(bads: Sequence[BadInput], root: Path, limit: float) -> Iterator[Outcome]:
    """Run each command in a fork of its own."""
    return (run_forked(bad, root / f"{k}", limit) for k, bad in enumerate(bads))


def run_on_two(bads: Sequence[BadInput], root: Path, limit: float) -> Iterator[Outcome]:
    """Run all commands on two ranks, one after the other in one start of MPI; a new start after one that ended it."""
    folders = [root / f"{k}" for k in range(len(bads))]
    for bad, folder in zip(bads, folders, strict=True):
        prepare(bad, folder)
    (root / "jobs.json").write_text(json.dumps([list(bad.arguments) for bad in bads]))
    answers: dict[int, tuple[int, float]] = {}
    while len(answers) < len(bads):
        first = len(answers)
        progress = root / f"progress{first}"
        progress.touch()
        command = ["mpirun", "-n", "2", sys.executable, __file__, "--serve", str(root), str(first)]
        with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as job:
            length, since = 0, time.monotonic()
            while job.poll() is None:
                if progress.stat().st_size != length:
                    length, since = progress.stat().st_size, time.monotonic()
                if time.monotonic() - since > limit + 10.0:
                    job.kill()
                time.sleep(0.05)
        for line in progress.read_text().splitlines():
            number, status, seconds = json.loads(line)
            answers[number] = (status, seconds)
        if len(answers) < len(bads):
            answers[len(answers)] = (CRASHED, time.monotonic() - since)
    return (_of_two(bad, folder, *answers[k]) for k, (bad, folder) in enumerate(zip(bads, folders, strict=True)))


def _of_two(bad: BadInput, folder: Path, status: int, seconds: float) -> Outcome:
    out, err = (
        "".join((folder / f"{name}{rank}").read_text(errors="replace") for rank in (0, 1)) for name in ("out", "err")
    )
    left = left_behind(bad, folder)
    return Outcome(status=status, seconds=seconds, memory=float("nan"), out=out, err=err, left=left)


def serve(root: Path, first: int) -> None:
    """Run the commands from number ``first`` on, on all ranks of MPI; rank 0 notes how each ended."""
    from mpi4py import MPI

    comm = MPI.COMM_WORLD
    jobs = json.loads((root / "jobs.json").read_text())
    for number in range(first, len(jobs)):
        start = time.monotonic()
        with captured(root / f"{number}", comm.rank):
            status = status_of(jobs[number])
        worst = comm.allreduce(status, op=MPI.MAX)
        if comm.rank == 0:
            with (root / f"progress{first}").open("a") as progress:
                progress.write(json.dumps([number, worst, time.monotonic() - start]) + "\n")


def load() -> None:
    """Load what commands load before MPI, so that a fork need not."""
    import meshio  # noqa: F401
    import pint  # noqa: F401
    import scipy.spatial  # noqa: F401
    import typer  # noqa: F401

    import homfem.cli.effective
    import homfem.grid
    import homfem.quantities
    import homfem.runs.calcium

    homfem.quantities.parse_quantity("", "1 um", homfem.quantities.LENGTH)


def main() -> int:
    """Run the inputs; print each fault, and the counts of each group."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--ranks", type=int, nargs="+", default=[1, 2], choices=[1, 2])
    parser.add_argument("--limit", type=float, default=60.0)
    parser.add_argument("--memory", type=float, default=1.0)
    parser.add_argument("--only", default="")
    parser.add_argument("--every", action="store_true")
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--keep", type=Path)
    parser.add_argument("--serve", nargs=2, help=argparse.SUPPRESS)
    given = parser.parse_args()
    os.environ.setdefault("HOMFEM_MEMORY", f"{given.memory} GB")
    if given.serve:
        serve(Path(given.serve[0]), int(given.serve[1]))
        return 0
    load()
    bads = quick_inputs(given.seed) if given.quick else bad_inputs(given.seed, every=given.every)
    bads = [bad for bad in bads if given.only in f"{bad.group}: {bad.name}"]
    faults, record = 0, []
    with tempfile.TemporaryDirectory() as folder:
        root = given.keep or Path(folder)
        for ranks in given.ranks:
            place = root / f"ranks{ranks}"
            shutil.rmtree(place, ignore_errors=True)
            place.mkdir(parents=True)
            wrong: collections.Counter[str] = collections.Counter()
            run = run_forked_each if ranks == 1 else run_on_two
            for k, (bad, outcome) in enumerate(zip(bads, run(bads, place, given.limit), strict=True)):
                found = fault(bad, outcome, limit=given.limit, memory=given.memory)
                record.append(asdict(outcome) | {"group": bad.group, "name": bad.name, "ranks": ranks, "fault": found})
                if found:
                    wrong[bad.group] += 1
                    said = " ".join(outcome.err.split())[-300:]
                    print(f"{ranks} {k} {bad.group}: {bad.name}: {found}\n    {said}", flush=True)
            faults += sum(wrong.values())
            for group, count in collections.Counter(bad.group for bad in bads).items():
                print(f"{ranks} rank(s), {group}: {count} inputs, {wrong[group]} faults")
    if given.json:
        given.json.write_text(json.dumps(record, indent=1))
    print(f"{len(bads)} inputs, {faults} faults")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
