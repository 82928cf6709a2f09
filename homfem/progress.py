"""What a user sees of long work: the log on rank 0, and a progress bar where there is a terminal. No dolfinx."""

from __future__ import annotations

import logging
import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any, TextIO

_LOG = logging.getLogger("homfem")


class _Lines(logging.Handler):
    """Writes messages to standard error as it is when they come."""

    def emit(self, record: logging.LogRecord) -> None:
        word = "" if record.levelno <= logging.INFO else f"{record.levelname.lower()}: "
        with suppress(OSError):  # what is computed does not depend on who listens
            print(f"homfem: {word}{record.getMessage()}", file=sys.stderr, flush=True)  # noqa: T201


def set_up_logging(*, rank: int = 0, verbose: bool = False) -> None:
    """Send the log of homfem to standard error on rank 0, nowhere on the other ranks.

    Parameters
    ----------
    rank
        Rank of this process.
    verbose
        Show progress messages (INFO) too, not warnings alone.
    """
    for handler in [h for h in _LOG.handlers if isinstance(h, (_Lines, logging.NullHandler))]:
        _LOG.removeHandler(handler)
    if rank == 0:
        handler = _Lines(logging.INFO if verbose else logging.WARNING)
    else:
        handler = logging.NullHandler()
        warnings.simplefilter("ignore")
    _LOG.addHandler(handler)
    _LOG.setLevel(logging.INFO)


@contextmanager
def progress_bar(
    title: str, total: float | None = None, *, rank: int = 0, stream: TextIO | None = None
) -> Iterator[Callable[[float], None]]:
    """Show a progress bar on standard error while the block runs; give ``advance_to(done)``.

    Nothing is shown on other ranks than 0 and where standard error is no terminal. The last message of the log stands
    beside the bar.

    Parameters
    ----------
    title
        What is going on.
    total
        The value of ``done`` at the end; None if it is not known.
    rank
        Rank of this process.
    stream
        Where the bar is drawn; standard error by default.
    """
    target = sys.stderr if stream is None else stream
    if rank != 0 or not target.isatty():
        yield lambda done: None
        return
    from rich.console import Console
    from rich.markup import escape
    from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    columns = [
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        TimeElapsedColumn(),
        TextColumn("{task.fields[status]}"),
    ]
    console = Console(file=stream) if stream is not None else Console(stderr=True)
    with Progress(*columns, console=console, transient=True, redirect_stdout=False) as bar:
        task = bar.add_task(escape(title), total=total, status="")
        handler = _Beside(lambda text: bar.update(task, status=escape(text)))
        _LOG.addHandler(handler)
        try:
            yield lambda done: bar.update(task, completed=done)
        finally:
            _LOG.removeHandler(handler)


class _Beside(logging.Handler):
    """Hands each message on as text."""

    def __init__(self, show: Callable[[str], Any]) -> None:
        super().__init__(logging.INFO)
        self.show = show

    def emit(self, record: logging.LogRecord) -> None:
        if record.levelno == logging.INFO:
            self.show(record.getMessage())
