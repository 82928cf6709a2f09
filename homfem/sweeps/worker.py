"""A process that runs rows: a row as JSON in each line of its input, its record in each line of its output."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterable
from typing import TextIO

from homfem.progress import set_up_logging
from homfem.ranks import world
from homfem.sweeps.work import Task, run_task


def serve(lines: Iterable[str], answers: TextIO) -> None:
    """Run the row of each line, and answer with its record, or with ``taken`` where another process has the row."""
    for line in lines:
        record = run_task(Task(**json.loads(line)), world())
        print("taken" if record is None else json.dumps(record), file=answers, flush=True)


def main() -> None:
    """Serve on the standard streams; what libraries write to standard output goes to standard error."""
    from homfem.parameters import HomfemError

    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    set_up_logging(rank=1)
    try:
        serve(sys.stdin, answers)
    except BrokenPipeError:  # who asked is gone; the row is stored
        os._exit(1)
    except (KeyboardInterrupt, HomfemError) as error:
        print(error, file=sys.stderr)  # noqa: T201
        os._exit(1)


if __name__ == "__main__":
    main()
