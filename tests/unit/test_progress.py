"""The log and the progress bar: rank 0 only, a bar only on a terminal."""

from __future__ import annotations

import io
import json
import logging
import os
import pty
import re
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest

from homfem import progress
from homfem.progress import progress_bar, set_up_logging, tell
from made_configs import CELL, EFFECTIVE

log = logging.getLogger("homfem.something")


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture(autouse=True)
def _restored():
    logger = logging.getLogger("homfem")
    handlers, level = list(logger.handlers), logger.level
    yield
    logger.handlers[:] = handlers
    logger.setLevel(level)


def speak():
    log.debug("detail")
    log.info("step")
    log.warning("short of %g", 0.5)


def test_warnings_alone_unless_asked_for_more(capsys):
    set_up_logging()
    speak()
    assert capsys.readouterr().err == "homfem: warning: short of 0.5\n"
    set_up_logging(verbose=True)
    speak()
    assert capsys.readouterr().err == "homfem: step\nhomfem: warning: short of 0.5\n"


@pytest.mark.filterwarnings("ignore")
def test_other_ranks_are_silent(capsys):
    set_up_logging(rank=1, verbose=True)
    speak()
    captured = capsys.readouterr()
    assert captured.out == captured.err == ""


@pytest.fixture
def at_once(monkeypatch):
    monkeypatch.setenv("COLUMNS", "160")
    monkeypatch.setattr(progress, "DELAY", 0.0)
    monkeypatch.setattr(progress, "EVERY", 0.01)
    monkeypatch.setattr(progress, "LINES_EVERY", 0.01)


def until(seen: Callable[[], bool]) -> None:
    """Wait for what another thread does; five seconds at the most."""
    for _ in range(500):
        if seen():
            return
        time.sleep(0.01)


def test_bar_on_a_terminal_moves_and_shows_what_is_told(at_once):
    set_up_logging()
    stream = Terminal()
    with progress_bar("calcium [um]", 4.0, stream=stream, unit="s") as advance_to:
        log.info("load [1]: 12 iterations")
        tell("half-gap 3e-2, wanted 1e-2")
        advance_to(0.0)
        until(lambda: "0 of 4 s" in stream.getvalue())
        advance_to(2.0)
        until(lambda: "2 of 4 s" in stream.getvalue())
    text = stream.getvalue()
    for part in ("calcium [um]", "2 of 4 s", "0:00 left", "half-gap 3e-2, wanted 1e-2", "load [1]: 12 iterations"):
        assert part in text
    before = len(text)
    log.info("later")
    tell("later")
    assert len(stream.getvalue()) == before
    assert "progress" not in {thread.name for thread in threading.enumerate()}


def test_a_bar_in_a_bar_stands_below_it(at_once):
    set_up_logging()
    stream = Terminal()
    with progress_bar("outer", stream=stream):
        until(lambda: "outer" in stream.getvalue())
        with progress_bar("inner", 2.0) as advance_to:
            log.info("step")
            advance_to(0.0)
            advance_to(1.0)
            until(lambda: "50 %" in stream.getvalue())
        time.sleep(0.05)
    lines = re.split(r"[\r\n]+", stream.getvalue())
    assert any("inner" in line and "50 %" in line and "step" in line for line in lines)
    assert not any("outer" in line and "step" in line for line in lines)
    assert "outer" in lines[-2] or "outer" in stream.getvalue()[-200:]


def test_what_is_short_shows_no_bar():
    stream = Terminal()
    with progress_bar("calcium", 4.0, stream=stream) as advance_to:
        advance_to(4.0)
    assert stream.getvalue() == ""


def test_the_time_left_counts_from_the_first_note(monkeypatch):
    """A run that is resumed at 6 of 10 and takes 2 seconds to 8 has 2 seconds left."""
    now = [100.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    bar = progress._Bar("run", 10.0, "s")
    now[0] = 105.0
    bar.advance_to(6.0)
    assert bar.text == "6 of 10 s, 0:05"
    now[0] = 107.0
    bar.advance_to(8.0)
    assert bar.text == "8 of 10 s, 0:07, 0:02 left"
    assert progress._clock(3725.4) == "1:02:05"


@pytest.mark.parametrize(("stream", "rank"), [(io.StringIO(), 0), (Terminal(), 1)], ids=["no terminal", "rank 1"])
def test_no_bar_elsewhere(at_once, stream, rank):
    with progress_bar("calcium", 4.0, rank=rank, stream=stream) as advance_to:
        log.info("step")
        advance_to(2.0)
        time.sleep(0.05)
    assert stream.getvalue() == ""


def test_lines_where_they_are_asked_for(at_once, monkeypatch):
    monkeypatch.setattr(progress, "_always", True)
    stream = io.StringIO()
    with progress_bar("rows", 4.0, stream=stream, unit="") as advance_to:
        advance_to(0.0)
        until(lambda: "0 of 4" in stream.getvalue())
        advance_to(4.0)
    lines = stream.getvalue().splitlines()
    assert lines[0].startswith("homfem: rows: 0 of 4, 0:00")
    assert lines[-1].startswith("homfem: rows: 4 of 4, 0:00, 0:00 left")
    assert "\x1b" not in stream.getvalue()


def test_bar_goes_away_with_an_error_and_with_its_terminal(at_once):
    class Closed(Terminal):
        def write(self, text: str) -> int:
            raise OSError(5, "Input/output error")

    handlers = list(logging.getLogger("homfem").handlers)

    def fail(stream):
        with progress_bar("cell", stream=stream):
            time.sleep(0.05)
            raise KeyError

    for stream in (Terminal(), Closed()):
        with pytest.raises(KeyError):
            fail(stream)
        assert logging.getLogger("homfem").handlers == handlers
        assert progress._display is None


def test_a_note_costs_next_to_nothing():
    """A step of a march takes some hundred microseconds at the least."""
    with progress_bar("steps", 1e4, stream=Terminal()) as advance_to:
        begun = time.perf_counter()
        for step in range(10_000):
            advance_to(step)
        assert (time.perf_counter() - begun) / 10_000 < 2e-5


#: The command, whose bars do not wait for a second.
AT_ONCE = (sys.executable, "-c", "from homfem import cli, progress; progress.DELAY = 0.0; cli.main()")


def on_a_terminal(*arguments: Any) -> tuple[int, str, str]:
    """Run the command with a pseudo-terminal as standard error; give status, standard output, what the terminal got."""
    ours, theirs = pty.openpty()
    process = subprocess.Popen([*AT_ONCE, *map(str, arguments)], stdout=subprocess.PIPE, stderr=theirs, text=True)
    os.close(theirs)
    got = b""
    while True:
        try:
            part = os.read(ours, 4096)
        except OSError:  # its end
            break
        if not part:
            break
        got += part
    out, _ = process.communicate(timeout=100)
    os.close(ours)
    return process.returncode, out, got.decode("utf-8", "replace")


def test_a_terminal_sees_bars_and_a_pipe_does_not(tmp_path):
    (tmp_path / "er.toml").write_text(
        CELL.replace("0.3", "0.15") + EFFECTIVE.replace("[effective.phases]", "tolerance = 6e-4\n[effective.phases]")
    )
    status, out, terminal = on_a_terminal("effective", tmp_path / "er.toml", "--json", "-")
    assert status == 0
    assert json.loads(out)["relative_gap"] <= 6e-4
    assert "effective tensor" in terminal
    assert "relative half-gap" in terminal
    assert "wanted 6.0e-04" in terminal
    command = [*AT_ONCE, "effective", str(tmp_path / "er.toml"), "--progress"]
    lines = subprocess.run(command, capture_output=True, text=True, timeout=100)
    assert "homfem: effective tensor: 0:0" in lines.stderr
    assert "\x1b" not in lines.stderr
    assert "homfem:" not in lines.stdout
