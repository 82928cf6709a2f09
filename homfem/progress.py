"""What a user sees of long work: the log on rank 0, and a progress bar where there is a terminal. No dolfinx."""

from __future__ import annotations

import logging
import sys
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any, TextIO

_LOG = logging.getLogger("homfem")
#: Level of what a user is told without asking, and what is no warning: such as how large a mesh is that was read.
NOTICE = 25


class _Lines(logging.Handler):
    """Writes messages to standard error as it is when they come."""

    def emit(self, record: logging.LogRecord) -> None:
        word = "" if record.levelno <= NOTICE else f"{record.levelname.lower()}: "
        with suppress(OSError):  # what is computed does not depend on who listens
            print(f"homfem: {word}{record.getMessage()}", file=sys.stderr, flush=True)  # noqa: T201


def set_up_logging(*, rank: int = 0, verbose: bool = False) -> None:
    """Send the log of homfem to standard error on rank 0, nowhere on the other ranks.

    Parameters
    ----------
    rank
        Rank of this process.
    verbose
        Show progress messages (INFO) too, not notices and warnings alone.
    """
    for handler in [h for h in _LOG.handlers if isinstance(h, (_Lines, logging.NullHandler))]:
        _LOG.removeHandler(handler)
    if rank == 0:
        handler = _Lines(logging.INFO if verbose else NOTICE)
    else:
        handler = logging.NullHandler()
        warnings.simplefilter("ignore")
    _LOG.addHandler(handler)
    _LOG.setLevel(logging.INFO)


class _Collector(logging.Handler):
    """Keeps the texts of warnings."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.texts: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        text = record.getMessage()
        if text not in self.texts:
            self.texts.append(text)


@contextmanager
def collected_warnings() -> Iterator[list[str]]:
    """Collect what the log of homfem warns of while the block lasts, each text once; it goes where it went as well.

    >>> with collected_warnings() as told:
    ...     logging.getLogger("homfem.example").warning("%d cells are flat", 3)
    >>> told
    ['3 cells are flat']
    """
    handler = _Collector()
    _LOG.addHandler(handler)
    try:
        yield handler.texts
    finally:
        _LOG.removeHandler(handler)


@contextmanager
def without_warnings() -> Iterator[None]:
    """Keep what is not above a warning from the log of homfem while the block lasts, of work that serves another."""

    def above(record: logging.LogRecord) -> bool:
        return record.levelno > logging.WARNING

    _LOG.addFilter(above)
    try:
        yield
    finally:
        _LOG.removeFilter(above)


class _Bar:
    """One piece of work: how far it is, and what is to be said of it. Setting numbers is all that the work does."""

    def __init__(self, title: str, total: float | None, unit: str | None) -> None:
        self.title, self.total, self.unit = title, total, unit
        self.done, self.told, self.message = 0.0, "", ""
        self.begun = time.monotonic()
        self.first: tuple[float, float] | None = None

    def advance_to(self, done: float) -> None:
        """Take note of what is done; the first note is where it began, such as a checkpoint."""
        if self.first is None:
            self.first = (done, time.monotonic())
        self.done = done

    @property
    def text(self) -> str:
        """What stands beside the bar: how much of it, the time so far and the time left, what was told last."""
        now = time.monotonic()
        parts = [_clock(now - self.begun)]
        if self.total:
            share = min(max(self.done / self.total, 0.0), 1.0)
            counted = f"{self.done:.4g} of {self.total:.4g} {self.unit}".rstrip()
            parts.insert(0, f"{100.0 * share:.0f} %" if self.unit is None else counted)
            start, since = self.first or (0.0, self.begun)
            if self.done > start:
                parts.append(f"{_clock((now - since) * (self.total - self.done) / (self.done - start))} left")
        return ", ".join(part for part in (*parts, self.told, self.message) if part)


def _clock(seconds: float) -> str:
    """Return a time as a clock shows it."""
    minutes, rest = divmod(round(max(seconds, 0.0)), 60)
    return f"{minutes // 60}:{minutes % 60:02d}:{rest:02d}" if minutes >= 60 else f"{minutes}:{rest:02d}"


class _Display(threading.Thread):
    """Draws the bars that there are, beside the work; on what is no terminal it writes lines now and then."""

    def __init__(self, stream: TextIO, terminal: bool) -> None:
        super().__init__(daemon=True, name="progress")
        self.stream, self.terminal = stream, terminal
        self.bars: list[_Bar] = []
        self.ended = threading.Event()

    def run(self) -> None:
        if self.ended.wait(DELAY):
            return
        with suppress(OSError, ValueError):  # a terminal that is closed: the work goes on
            self._draw() if self.terminal else self._write()

    def _draw(self) -> None:
        from rich.console import Console
        from rich.markup import escape
        from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn
        from rich.table import Column

        title = TextColumn("{task.description}", table_column=Column(no_wrap=True))
        text = TextColumn("{task.fields[text]}", table_column=Column(no_wrap=True, overflow="ellipsis"))
        columns = (SpinnerColumn(), title, BarColumn(16), text)
        console = Console(file=self.stream)
        tasks: dict[_Bar, Any] = {}
        with Progress(*columns, console=console, transient=True, redirect_stdout=False, auto_refresh=False) as progress:
            last = False
            while True:
                bars = list(self.bars)
                for gone in [bar for bar in tasks if bar not in bars and not last]:
                    progress.remove_task(tasks.pop(gone))
                for bar in bars:
                    if bar not in tasks:
                        tasks[bar] = progress.add_task(escape(bar.title), total=bar.total, text="")
                    progress.update(tasks[bar], completed=bar.done, text=escape(bar.text))
                progress.refresh()
                if last:
                    return
                last = self.ended.wait(EVERY)

    def _write(self) -> None:
        last = False
        while True:
            for bar in list(self.bars)[-1:]:
                print(f"homfem: {bar.title}: {bar.text}", file=self.stream, flush=True)
            if last:
                return
            last = self.ended.wait(LINES_EVERY)


#: Seconds until a bar appears, from one look of it to the next, and from one line to the next without a terminal.
DELAY, EVERY, LINES_EVERY = 1.0, 0.2, 5.0

_display: _Display | None = None
_always = False


def show_always(wanted: bool) -> None:
    """Show progress also where standard error is no terminal: as lines."""
    global _always
    _always = wanted


def tell(text: str) -> None:
    """Say something of the work under way beside its bar, such as what is reached and what is wanted."""
    if _display is not None and _display.bars:
        _display.bars[-1].told = text


@contextmanager
def progress_bar(
    title: str, total: float | None = None, *, rank: int = 0, unit: str | None = None, stream: TextIO | None = None
) -> Iterator[Callable[[float], None]]:
    """Show a progress bar on standard error while the block runs; give ``advance_to(done)``.

    It appears where the block takes more than a second, with the time so far and, where the total is known, the time
    left; one inside another stands below it. Nothing is shown on other ranks than 0 and where standard error is no
    terminal, if :func:`show_always` was not called. The last message of the log stands beside the bar.

    Parameters
    ----------
    title
        What is going on.
    total
        The value of ``done`` at the end; None if it is not known.
    rank
        Rank of this process.
    unit
        Shows ``done`` and ``total`` in this unit, empty for a number of things; None: per cent.
    stream
        Where the bar is drawn; standard error by default.
    """
    global _display
    target = sys.stderr if stream is None else stream
    if rank != 0 or not (_display is not None or _always or target.isatty()):
        yield lambda done: None
        return
    bar, outer = _Bar(title, total, unit), _display is None
    handler = _Beside(bar)
    if _display is None:
        _display = _Display(target, target.isatty())
        _display.start()
    display = _display
    display.bars.append(bar)
    _LOG.addHandler(handler)
    try:
        yield bar.advance_to
    finally:
        _LOG.removeHandler(handler)
        if outer:
            _display = None
            display.ended.set()
            display.join()
        display.bars.remove(bar)


class _Beside(logging.Handler):
    """Puts each message beside a bar, if it is the innermost one."""

    def __init__(self, bar: _Bar) -> None:
        super().__init__(logging.INFO)
        self.bar = bar

    def emit(self, record: logging.LogRecord) -> None:
        if record.levelno == logging.INFO and _display is not None and _display.bars[-1] is self.bar:
            self.bar.message = record.getMessage()
